//! Where between two nodes a message is: a pure function of when it was sent, when it is due, and now.
//!
//! So the picture is right while paused, stepping, scrubbing or running backwards.

use std::collections::BTreeMap;

use super::layout::{Layout, Point, Rect};
use super::stage::Flight;
use crate::kafka::ids::{ControllerId, Node, ZooKeeperId};
use crate::time::Instant;

/// How far a message has come, 0 to 1; `None` before it was sent and after it is due.
pub fn progress(sent: Instant, due: Instant, now: Instant) -> Option<f64> {
    if now < sent || now > due {
        return None;
    }
    let whole = due.since(sent).as_micros();
    Some(if whole == 0 { 1.0 } else { now.since(sent).as_micros() as f64 / whole as f64 })
}

/// The path between two nodes, as points at equal distances.
#[derive(Clone, Debug, PartialEq)]
pub struct Lane {
    points: Vec<Point>,
    pub length: f64,
}

/// How many equal steps a lane has.
const STEPS: usize = 40;
/// How far the two directions of one path lie from its middle.
const SIDE: f64 = 4.5;
/// How far apart messages are drawn that are at the same place of the same lane.
const PILL: f64 = 24.0;

impl Lane {
    /// The place at `t` of the way, `aside` pixels to the right of the direction of travel.
    pub fn at(&self, t: f64, aside: f64) -> Point {
        let place = t.clamp(0.0, 1.0) * STEPS as f64;
        let step = (place as usize).min(STEPS - 1);
        let (a, b) = (self.points[step], self.points[step + 1]);
        let part = place - step as f64;
        let (dx, dy) = (b.x - a.x, b.y - a.y);
        let length = dx.hypot(dy).max(1e-6);
        // Both ends meet the middle of the path, so that nothing starts beside its node.
        let aside = aside * (t * (1.0 - t) * 12.0).min(1.0) / length;
        Point { x: a.x + dx * part - dy * aside, y: a.y + dy * part + dx * aside }
    }

    /// The points of the path.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    fn along(raw: &[Point]) -> Self {
        let gaps: Vec<f64> = raw.windows(2).map(|pair| (pair[1].x - pair[0].x).hypot(pair[1].y - pair[0].y)).collect();
        let length: f64 = gaps.iter().sum();
        let mut points = Vec::with_capacity(STEPS + 1);
        let (mut gap, mut before) = (0, 0.0);
        for step in 0..=STEPS {
            let want = length * step as f64 / STEPS as f64;
            while gap + 1 < gaps.len() && before + gaps[gap] < want {
                before += gaps[gap];
                gap += 1;
            }
            let part = if gaps[gap] > 0.0 { ((want - before) / gaps[gap]).clamp(0.0, 1.0) } else { 0.0 };
            let (a, b) = (raw[gap], raw[gap + 1]);
            points.push(Point { x: a.x + (b.x - a.x) * part, y: a.y + (b.y - a.y) * part });
        }
        Self { points, length }
    }

    fn reversed(&self) -> Self {
        Self { points: self.points.iter().rev().copied().collect(), length: self.length }
    }
}

/// Every path of one layout, worked out when first asked for. Each has a number, so that thousands of messages find
/// theirs without a search.
#[derive(Clone, Debug, Default)]
pub struct Lanes {
    numbers: BTreeMap<(Node, Node), usize>,
    lanes: Vec<((Node, Node), Option<Lane>)>,
    /// By a few bits of both nodes: the path that was asked for last.
    lately: Vec<Option<((Node, Node), usize)>>,
}

/// How many paths are found without a search.
const LATELY: usize = 1024;

impl Lanes {
    /// The path from one node to another; `None` where one of them is not on the stage.
    pub fn between(&mut self, layout: &Layout, from: Node, to: Node) -> Option<&Lane> {
        let number = self.number(layout, from, to);
        self.lane(number)
    }

    /// The number of the path between two nodes.
    pub fn number(&mut self, layout: &Layout, from: Node, to: Node) -> usize {
        let place = (bits(from) * 37 + bits(to)) % LATELY;
        if let Some(Some((path, number))) = self.lately.get(place)
            && *path == (from, to)
        {
            return *number;
        }
        let asked = (from, to);
        let (from, to) = (layout.stand_in(from), layout.stand_in(to));
        let next = self.lanes.len();
        let number = *self.numbers.entry((from, to)).or_insert(next);
        if number == next {
            let lane = if rank(from) <= rank(to) {
                route(layout, from, to)
            } else {
                route(layout, to, from).map(|lane| lane.reversed())
            };
            self.lanes.push(((from, to), lane));
        }
        self.lately.resize(LATELY, None);
        self.lately[place] = Some((asked, number));
        number
    }

    /// A path by its number.
    pub fn lane(&self, number: usize) -> Option<&Lane> {
        self.lanes.get(number)?.1.as_ref()
    }

    /// The two ends of a path.
    pub fn ends(&self, number: usize) -> Option<(Node, Node)> {
        self.lanes.get(number).map(|(ends, _)| *ends)
    }

    /// How many paths have a number.
    pub fn count(&self) -> usize {
        self.lanes.len()
    }

    /// Where a message is now, so many places further aside than its lane.
    pub fn aside(&mut self, layout: &Layout, flight: &Flight, now: Instant, places: u32) -> Option<Point> {
        let t = progress(flight.sent, flight.due, now)?;
        Some(self.between(layout, flight.from, flight.to)?.at(t, SIDE + f64::from(places) * PILL))
    }

    /// Where a message is now.
    pub fn place(&mut self, layout: &Layout, flight: &Flight, now: Instant, crowded: bool) -> Option<Point> {
        let t = progress(flight.sent, flight.due, now)?;
        let number = self.number(layout, flight.from, flight.to);
        let spread = if crowded {
            f64::from((flight.id.wrapping_mul(2_654_435_769) >> 7 & 63) as u32) / 63.0 * 16.0 - 5.0
        } else {
            0.0
        };
        Some(self.lane(number)?.at(t, SIDE + spread))
    }
}

/// A small number that tells neighbouring nodes apart.
fn bits(node: Node) -> usize {
    let (kind, id) = rank(node);
    usize::from(kind) * 251 + (id.unsigned_abs() as usize) * 4
}

/// Paths are worked out from the smaller rank to the larger, so that both directions share one.
fn rank(node: Node) -> (u8, i64) {
    match node {
        Node::Producer(id) | Node::Tool(id) => (0, i64::from(id.0)),
        Node::Broker(id) => (1, i64::from(id.0)),
        Node::Controller(ControllerId(id)) | Node::ZooKeeper(ZooKeeperId(id)) => (2, i64::from(id)),
        Node::Consumer(id) => (3, i64::from(id.0)),
    }
}

fn route(layout: &Layout, from: Node, to: Node) -> Option<Lane> {
    let (a, b) = (layout.door(from)?, layout.door(to)?);
    let raw = match (from, to) {
        (Node::Producer(_) | Node::Tool(_), Node::Broker(_)) => {
            let end = on_side(b, true, layout.order(from));
            if layout.narrow {
                let start = Point { x: a.x + a.w * share(layout.order(to)), y: a.bottom() };
                around(start, end, layout.broker_area.x - 16.0)
            } else {
                sweep(on_side(a, false, layout.order(to)), end)
            }
        }
        (Node::Broker(_), Node::Consumer(_)) => {
            let start = on_side(a, false, layout.order(to));
            if layout.narrow {
                let end = Point { x: b.x + b.w * share(layout.order(from)), y: b.y };
                let mut path = around(end, start, layout.broker_area.right() + 16.0);
                path.reverse();
                path
            } else {
                sweep(start, on_side(b, true, layout.order(from)))
            }
        }
        (Node::Broker(_), Node::Broker(_)) if layout.one_column => {
            let apart = (layout.order(to).0 as f64 - layout.order(from).0 as f64).abs();
            let reach = if layout.narrow { 8.0 + 6.0 * apart } else { 18.0 + 18.0 * apart };
            let low =
                |rect: Rect, down: bool| Point { x: rect.right(), y: rect.y + rect.h * if down { 0.72 } else { 0.28 } };
            let down = b.y > a.y;
            bow(low(a, down), low(b, !down), reach)
        }
        (Node::Broker(_), Node::Controller(_)) if layout.one_column => {
            let side = layout.broker_area.x - if layout.narrow { 8.0 } else { 14.0 };
            let start = Point { x: a.x, y: a.y + 20.0_f64.min(a.h / 2.0) };
            let end = Point { x: b.x + b.w * share(layout.order(from)), y: b.bottom() };
            corridor(start, end, side, (b.bottom() + layout.broker_area.y) / 2.0 - 6.0)
        }
        (Node::Controller(_), Node::Controller(_)) => {
            let top = |rect: Rect| Point { x: rect.center().x, y: rect.y };
            arch(top(a), top(b), 14.0)
        }
        _ => sweep(a.center(), b.center()),
    };
    Some(Lane::along(&raw))
}

/// A place on the left or right side of a card, each of the others' kind at its own height.
fn on_side(rect: Rect, left: bool, order: (usize, usize)) -> Point {
    let span = rect.h.min(96.0) * 0.6;
    let y = rect.y + rect.h / 2.0 + (share(order) - 0.5) * span;
    Point { x: if left { rect.x } else { rect.right() }, y }
}

/// The place of one among many, evenly spread over 0 to 1.
fn share((place, count): (usize, usize)) -> f64 {
    (place as f64 + 1.0) / (count as f64 + 1.0)
}

fn bezier(a: Point, b: Point, c: Point, d: Point) -> Vec<Point> {
    (0..=STEPS)
        .map(|step| {
            let t = step as f64 / STEPS as f64;
            let u = 1.0 - t;
            let (p, q, r, s) = (u * u * u, 3.0 * u * u * t, 3.0 * u * t * t, t * t * t);
            Point { x: p * a.x + q * b.x + r * c.x + s * d.x, y: p * a.y + q * b.y + r * c.y + s * d.y }
        })
        .collect()
}

/// Leaves and arrives level, as from one column to the next.
fn sweep(a: Point, b: Point) -> Vec<Point> {
    let middle = (a.x + b.x) / 2.0;
    bezier(a, Point { x: middle, y: a.y }, Point { x: middle, y: b.y }, b)
}

/// Out to the right and back.
fn bow(a: Point, b: Point, reach: f64) -> Vec<Point> {
    bezier(a, Point { x: a.x + reach * 1.34, y: a.y }, Point { x: b.x + reach * 1.34, y: b.y }, b)
}

/// Up and over.
fn arch(a: Point, b: Point, reach: f64) -> Vec<Point> {
    bezier(a, Point { x: a.x, y: a.y - reach }, Point { x: b.x, y: b.y - reach }, b)
}

/// From a card above or below, along the side of the brokers at `x`, into a broker's edge.
fn around(start: Point, end: Point, x: f64) -> Vec<Point> {
    let turn = Point { x, y: end.y + (start.y - end.y).signum() * 24.0 };
    let mut path = bezier(
        start,
        Point { x: start.x, y: start.y + (end.y - start.y).signum() * 24.0 },
        Point { x, y: start.y + (end.y - start.y).signum() * 4.0 },
        Point { x, y: start.y + (end.y - start.y).signum() * 28.0 },
    );
    path.extend(bezier(turn, Point { x, y: end.y }, Point { x, y: end.y }, end));
    path
}

/// From a broker's left edge up along `side`, then level at `height` to below a controller, and up.
fn corridor(start: Point, end: Point, side: f64, height: f64) -> Vec<Point> {
    let r = 8.0;
    let corner = Point { x: side, y: start.y };
    let upper = Point { x: side, y: height };
    let below = Point { x: end.x, y: height };
    let mut path = vec![start];
    path.extend(quarter(Point { x: (side + r).min(start.x), y: start.y }, corner, Point { x: side, y: start.y - r }));
    path.extend(quarter(Point { x: side, y: height + r }, upper, Point { x: side + r, y: height }));
    path.extend(quarter(
        Point { x: end.x - r, y: height },
        below,
        Point { x: end.x, y: height - r.min(height - end.y) },
    ));
    path.push(end);
    path
}

fn quarter(a: Point, corner: Point, b: Point) -> Vec<Point> {
    (0..=6)
        .map(|step| {
            let t = f64::from(step) / 6.0;
            let (p, q, r) = ((1.0 - t) * (1.0 - t), 2.0 * t * (1.0 - t), t * t);
            Point { x: p * a.x + q * corner.x + r * b.x, y: p * a.y + q * corner.y + r * b.y }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::scene::sample;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn a_message_is_where_its_time_says() {
        assert_eq!(progress(at(100), at(300), at(100)), Some(0.0));
        assert_eq!(progress(at(100), at(300), at(150)), Some(0.25));
        assert_eq!(progress(at(100), at(300), at(300)), Some(1.0));
    }

    #[test]
    fn a_message_is_nowhere_before_it_is_sent_and_after_it_is_due() {
        assert_eq!(progress(at(100), at(300), at(99)), None);
        assert_eq!(progress(at(100), at(300), at(301)), None);
    }

    #[test]
    fn every_message_starts_and_ends_at_the_edge_of_its_nodes() {
        let stage = sample::hello();
        for (width, height) in [(1072.0, 744.0), (390.0, 600.0)] {
            let layout = Layout::of(&stage.cast, width, height);
            let mut lanes = Lanes::default();
            for flight in &stage.messages {
                for (node, now) in [(flight.from, flight.sent), (flight.to, flight.due)] {
                    let point = lanes.place(&layout, flight, now, false).expect("both nodes stand on the stage");
                    let rect = layout.nodes[&node];
                    let near = Rect::new(rect.x - 2.0, rect.y - 2.0, rect.w + 4.0, rect.h + 4.0);
                    assert!(near.contains(point), "{flight:?} is at {point:?}, not at {rect:?}");
                }
            }
        }
    }

    #[test]
    fn a_path_keeps_its_number_and_its_ends() {
        let stage = sample::cluster(50, 1, 40);
        let layout = Layout::of(&stage.cast, 1072.0, 744.0);
        let mut lanes = Lanes::default();
        let nodes: Vec<Node> = stage.cast.nodes().map(|(node, ..)| node).collect();
        let pairs: Vec<(Node, Node)> = nodes.iter().flat_map(|from| nodes.iter().map(|to| (*from, *to))).collect();
        let numbers: Vec<usize> = pairs.iter().map(|(from, to)| lanes.number(&layout, *from, *to)).collect();
        // Members beside each other share the path to their group.
        let ends = |(from, to): (Node, Node)| (layout.stand_in(from), layout.stand_in(to));
        let distinct: BTreeSet<(Node, Node)> = pairs.iter().map(|pair| ends(*pair)).collect();
        assert_eq!(lanes.count(), distinct.len());
        for ((from, to), number) in pairs.iter().zip(numbers) {
            assert_eq!(lanes.number(&layout, *from, *to), number);
            assert_eq!(lanes.ends(number), Some(ends((*from, *to))));
        }
    }

    #[test]
    fn a_request_and_its_reply_keep_to_their_own_side() {
        let stage = sample::hello();
        let layout = Layout::of(&stage.cast, 1072.0, 744.0);
        let mut lanes = Lanes::default();
        let (a, b) = (stage.cast.producers[0].node, stage.cast.brokers[1].node);
        let there = lanes.between(&layout, a, b).expect("a path").at(0.5, SIDE);
        let back = lanes.between(&layout, b, a).expect("a path").at(0.5, SIDE);
        assert!((there.x - back.x).hypot(there.y - back.y) > SIDE);
    }
}
