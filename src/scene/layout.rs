//! Where everything stands: producers, brokers and groups from left to right, the metadata quorum above the brokers; on
//! a narrow screen from top to bottom.
//!
//! Lengths are CSS pixels. A node's place depends on how many of its kind there are, never on how they fare, so nothing
//! moves when a machine dies or comes back.

use std::collections::BTreeMap;

use super::stage::{BrokerCard, Cast};
use crate::kafka::ids::{Node, TopicPartition};

/// A point on the stage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
}

/// A rectangle on the stage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rect {
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
}

impl Rect {
    pub const fn new(x: f64, y: f64, w: f64, h: f64) -> Self {
        Self { x, y, w, h }
    }

    pub fn right(self) -> f64 {
        self.x + self.w
    }

    pub fn bottom(self) -> f64 {
        self.y + self.h
    }

    pub fn center(self) -> Point {
        Point { x: self.x + self.w / 2.0, y: self.y + self.h / 2.0 }
    }

    pub fn contains(self, point: Point) -> bool {
        (self.x..=self.right()).contains(&point.x) && (self.y..=self.bottom()).contains(&point.y)
    }
}

/// Where one replica's log is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StripPlace {
    pub broker: Node,
    pub partition: TopicPartition,
    /// The whole row, label included.
    pub row: Rect,
    /// The log itself.
    pub track: Rect,
    /// Width of one record.
    pub cell: f64,
}

/// How much of a broker's logs there is room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// One square a partition.
    Squares,
    /// A bar a partition.
    Bars,
    /// Records as cells.
    #[default]
    Cells,
}

/// Where everything on the stage stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    pub width: f64,
    pub height: f64,
    /// Top to bottom instead of left to right.
    pub narrow: bool,
    pub detail: Detail,
    pub headings: Vec<(Point, &'static str)>,
    pub nodes: BTreeMap<Node, Rect>,
    pub strips: Vec<StripPlace>,
    /// The frames of the groups, in the order of the cast.
    pub groups: Vec<Rect>,
    /// Members of groups are too many for cards: each is a square.
    pub tiled: bool,
    /// Where members are squares, or stand beside each other: each one's group, by its place in the cast, and that group's
    /// first member.
    homes: BTreeMap<Node, (usize, Node)>,
    /// Where znodes are listed, with ZooKeeper.
    pub znodes: Option<Rect>,
    /// Where there is room for the legend.
    pub legend: Option<Rect>,
    /// Everything that the brokers take up.
    pub broker_area: Rect,
    /// Brokers stand below each other, so that lines run along their sides.
    pub one_column: bool,
    /// Each node's place among its kind and how many of them there are.
    order: BTreeMap<Node, (usize, usize)>,
}

/// Room for the line of text at the stage's bottom.
const CAPTION: f64 = 76.0;
const HEADING: f64 = 20.0;
/// About how wide one letter of a partition's name is.
const LETTER: f64 = 7.3;
/// Members lower than this cannot hold a name.
const LOWEST: f64 = 18.0;
/// Below this width the stage runs from top to bottom.
pub const NARROW: f64 = 720.0;

impl Layout {
    /// Lays out a cast in a window of this size.
    pub fn of(cast: &Cast, width: f64, height: f64) -> Self {
        let mut layout = Self { width, height, narrow: width < NARROW, ..Self::default() };
        layout.number(cast);
        if layout.narrow {
            layout.stack(cast)
        } else {
            layout.spread(cast)
        }
        layout
    }

    /// The node at a point, the frame of a group not counted.
    pub fn node_at(&self, point: Point) -> Option<Node> {
        self.nodes.iter().find(|(_, rect)| rect.contains(point)).map(|(node, _)| *node)
    }

    /// The replica whose row is at a point.
    pub fn strip_at(&self, point: Point) -> Option<&StripPlace> {
        self.strips.iter().find(|strip| strip.row.contains(point))
    }

    /// The node whose paths a node's messages take: itself, or its group's first member where a group has one path.
    pub fn stand_in(&self, node: Node) -> Node {
        self.homes.get(&node).map_or(node, |(_, first)| *first)
    }

    /// Where paths to a node end: at its card, or at its group's frame where a group has one path.
    pub fn door(&self, node: Node) -> Option<Rect> {
        match self.homes.get(&node) {
            Some((group, _)) => self.groups.get(*group).copied(),
            None => self.nodes.get(&node).copied(),
        }
    }

    /// A node's place among its kind, and how many there are.
    pub fn order(&self, node: Node) -> (usize, usize) {
        self.order.get(&node).copied().unwrap_or((0, 1))
    }

    fn number(&mut self, cast: &Cast) {
        let mut kinds: [Vec<Node>; 4] = Default::default();
        for (node, _, _) in cast.nodes() {
            let kind = match node {
                Node::Producer(_) | Node::Tool(_) => 0,
                Node::Controller(_) | Node::ZooKeeper(_) => 1,
                Node::Broker(_) => 2,
                Node::Consumer(_) => 3,
            };
            kinds[kind].push(node);
        }
        for kind in kinds {
            let count = kind.len();
            self.order.extend(kind.into_iter().enumerate().map(|(place, node)| (node, (place, count))));
        }
    }

    fn spread(&mut self, cast: &Cast) {
        let margin = 24.0;
        let producers = (self.width * 0.165).clamp(150.0, 208.0);
        let groups = (self.width * 0.215).clamp(200.0, 272.0);
        let gap = (self.width * 0.1).clamp(64.0, 168.0);
        let top = 24.0;
        let quorum = if cast.controllers.is_empty() { 0.0 } else { HEADING + 34.0 + 28.0 };
        // Where nobody reads, the brokers take that room, but for the lines along their side.
        let right = if cast.groups.is_empty() { 72.0 } else { groups + gap };
        let brokers = Rect {
            x: margin + producers + gap,
            y: top + quorum + HEADING,
            w: (self.width - 2.0 * margin - producers - gap - right).max(160.0),
            h: (self.height - top - quorum - HEADING - CAPTION).max(120.0),
        };
        if quorum > 0.0 {
            let zookeeper = cast.controllers.iter().any(|card| matches!(card.node, Node::ZooKeeper(_)));
            let heading = if zookeeper { "ZOOKEEPER ENSEMBLE" } else { "METADATA QUORUM" };
            self.headings.push((Point { x: brokers.x, y: top + 8.0 }, heading));
            if !cast.znodes.is_empty() {
                let x = self.width - margin - groups;
                self.headings.push((Point { x, y: top + 8.0 }, "ZNODES"));
                self.znodes = Some(Rect::new(x, top + 14.0, groups, quorum - HEADING - 12.0));
            }
            let taken = self.znodes.map_or(0.0, |znodes| (brokers.right() + 16.0 - znodes.x).max(0.0));
            self.row(
                cast.controllers.iter().map(|card| card.node),
                Rect { y: top + HEADING, h: 34.0, w: brokers.w - taken, ..brokers },
                8.0,
                220.0,
            );
        }
        self.headings.push((Point { x: brokers.x, y: brokers.y - 12.0 }, "BROKERS"));
        self.place_brokers(&cast.brokers, brokers, 44.0, 16.0);

        let left = Rect { x: margin, w: producers, ..brokers };
        let clients = cast.producers.len() + cast.tools.len();
        if clients > 0 {
            self.headings.push((Point { x: left.x, y: left.y - 12.0 }, "PRODUCERS"));
        }
        let used = self.column(
            cast.producers.iter().map(|card| card.node).chain(cast.tools.iter().map(|card| card.node)),
            left,
            (108.0, 12.0),
        );
        // The caption may come below it.
        let legend = Rect::new(margin, self.height - 252.0, producers + gap * 0.5, 184.0);
        self.legend = (used + 24.0 < legend.y).then_some(legend);

        let right = Rect { x: self.width - margin - groups, w: groups, ..brokers };
        if !cast.groups.is_empty() {
            self.headings.push((Point { x: right.x, y: right.y - 12.0 }, "CONSUMER GROUPS"));
        }
        self.place_groups(cast, right, (66.0, 40.0), 104.0);
    }

    fn stack(&mut self, cast: &Cast) {
        let margin = 12.0;
        let whole = Rect::new(margin, margin, self.width - 2.0 * margin, self.height - margin - CAPTION);
        let clients = cast.producers.iter().map(|card| card.node).chain(cast.tools.iter().map(|card| card.node));
        let mut y = whole.y;
        if !cast.producers.is_empty() || !cast.tools.is_empty() {
            self.row(clients, Rect { y, h: 58.0, ..whole }, 8.0, 220.0);
            y += 58.0 + 30.0;
        }
        let inner = Rect { x: margin + 24.0, w: whole.w - 48.0, ..whole };
        if !cast.controllers.is_empty() {
            self.row(cast.controllers.iter().map(|card| card.node), Rect { y, h: 26.0, ..inner }, 6.0, 160.0);
            y += 26.0 + 18.0;
        }
        let columns = cast.groups.iter().map(|group| group.members.len()).max().unwrap_or(0).clamp(1, 3);
        let lines: usize = cast.groups.iter().map(|group| group.members.len().div_ceil(columns).max(1)).sum();
        let groups = if cast.groups.is_empty() {
            0.0
        } else {
            (lines as f64 * 78.0 + cast.groups.len() as f64 * 42.0 + 36.0).min(self.height * 0.4)
        };
        let brokers = Rect { y, h: (whole.bottom() - groups - y).max(80.0), ..inner };
        self.place_brokers(&cast.brokers, brokers, 26.0, 8.0);
        let below = Rect { y: whole.bottom() - groups + 30.0, h: groups - 30.0, ..whole };
        // The group's name stands below its members, so that what comes from above does not cross it.
        self.place_groups(cast, below, (10.0, 36.0), 72.0);
    }

    /// Nodes beside each other. None is wider than `widest`.
    fn row(&mut self, nodes: impl Iterator<Item = Node>, area: Rect, gap: f64, widest: f64) {
        let nodes: Vec<Node> = nodes.collect();
        let count = nodes.len().max(1) as f64;
        let w = ((area.w - gap * (count - 1.0)) / count).min(widest);
        for (place, node) in nodes.into_iter().enumerate() {
            self.nodes.insert(node, Rect { x: area.x + place as f64 * (w + gap), w, ..area });
        }
    }

    /// Nodes below each other, each with the height and the gap given, or less where room is short. Returns where they
    /// end.
    fn column(&mut self, nodes: impl Iterator<Item = Node>, area: Rect, (tallest, gap): (f64, f64)) -> f64 {
        let nodes: Vec<Node> = nodes.collect();
        let step = (area.h / nodes.len().max(1) as f64).min(tallest + gap);
        let h = (step - gap.min(step * 0.2)).max(2.0);
        let mut end = area.y;
        for (place, node) in nodes.into_iter().enumerate() {
            let rect = Rect { y: area.y + place as f64 * step, h, ..area };
            end = rect.bottom();
            self.nodes.insert(node, rect);
        }
        end
    }

    fn place_brokers(&mut self, brokers: &[BrokerCard], area: Rect, header: f64, gap: f64) {
        self.broker_area = area;
        let count = brokers.len();
        if count == 0 {
            return;
        }
        let rows = brokers.iter().map(|broker| broker.strips.len()).max().unwrap_or(0);
        let columns = best_columns(count, rows, area, (header, gap), if self.narrow { 13.0 } else { 20.0 });
        self.one_column = columns == 1;
        let lines = count.div_ceil(columns) as f64;
        let w = (area.w - gap * (columns as f64 - 1.0)) / columns as f64;
        let room = (area.h - gap * (lines - 1.0)) / lines;
        // One log alone need not fill the whole card, and a broker without any is still a card.
        let h = room.min(header + rows.max(1) as f64 * 52.0 + 12.0);
        let header = header.min(h * 0.5);
        for (place, broker) in brokers.iter().enumerate() {
            let x = area.x + (place % columns) as f64 * (w + gap);
            let y = area.y + (place / columns) as f64 * (h + gap);
            let rect = Rect { x, y, w, h };
            self.nodes.insert(broker.node, rect);
            self.place_strips(broker, rect, header, rows);
        }
    }

    fn place_strips(&mut self, broker: &BrokerCard, card: Rect, header: f64, rows: usize) {
        let pad = if card.w < 200.0 { 8.0 } else { 16.0 };
        let inner = Rect::new(card.x + pad, card.y + header, card.w - 2.0 * pad, card.h - header - pad * 0.6);
        let row_height = inner.h / rows.max(1) as f64;
        let detail = match row_height {
            14.0.. => Detail::Cells,
            4.0.. => Detail::Bars,
            _ => Detail::Squares,
        };
        self.detail = detail;
        if detail == Detail::Squares {
            return self.place_squares(broker, inner);
        }
        let longest = broker.strips.iter().map(|strip| strip.label.chars().count()).max().unwrap_or(0) as f64;
        // The label's letters, and the crown; where room is short, the log goes first.
        let label = (longest * LETTER + if inner.w < 300.0 { 8.0 } else { 30.0 }).min(inner.w * 0.42);
        let label = if detail == Detail::Bars || inner.w < 150.0 { 0.0 } else { label };
        let track_height = if detail == Detail::Bars {
            row_height * 0.7
        } else {
            (row_height - if row_height < 30.0 { 6.0 } else { 12.0 }).clamp(8.0, 30.0)
        };
        for (place, strip) in broker.strips.iter().enumerate() {
            let row = Rect::new(inner.x, inner.y + place as f64 * row_height, inner.w, row_height);
            let track = Rect {
                x: row.x + label,
                y: row.y + (row_height - track_height) / 2.0 + if row_height > 30.0 { 2.0 } else { 0.0 },
                w: row.w - label,
                h: track_height,
            };
            let cell = (track_height + 2.0).clamp(6.0, 30.0);
            self.strips.push(StripPlace { broker: broker.node, partition: strip.partition, row, track, cell });
        }
    }

    fn place_squares(&mut self, broker: &BrokerCard, inner: Rect) {
        let count = broker.strips.len().max(1) as f64;
        // Whole squares only: begin with the side that would use up the area, and take less until all lines fit.
        let mut side = (inner.w * inner.h / count).sqrt().clamp(2.0, 12.0);
        let lines = |side: f64| (count / (inner.w / side).floor().max(1.0)).ceil();
        while side > 2.0 && lines(side) * side > inner.h {
            side = (side - 0.125).max(2.0);
        }
        let per_line = (inner.w / side).floor().max(1.0) as usize;
        for (place, strip) in broker.strips.iter().enumerate() {
            let x = inner.x + (place % per_line) as f64 * side;
            let y = inner.y + (place / per_line) as f64 * side;
            let row = Rect::new(x, y, side, side);
            let track = Rect::new(x, y, side * 0.82, side * 0.82);
            self.strips.push(StripPlace { broker: broker.node, partition: strip.partition, row, track, cell: side });
        }
    }

    fn place_groups(&mut self, cast: &Cast, area: Rect, (header, footer): (f64, f64), tallest: f64) {
        let gap = 12.0;
        let frames = cast.groups.len().max(1) as f64;
        let room = area.h - frames * (header + footer) - (frames - 1.0) * gap;
        let most = cast.groups.iter().map(|group| group.members.len()).max().unwrap_or(0).clamp(1, 3);
        let lines_in = |columns: usize| -> usize {
            cast.groups.iter().map(|group| group.members.len().div_ceil(columns).max(1)).sum()
        };
        let step_in = |columns: usize| (room / lines_in(columns).max(1) as f64).min(tallest + gap);
        // Beside each other where they would be too low to hold a name.
        let columns = if self.narrow { most } else { (1..=most).find(|c| step_in(*c) >= LOWEST).unwrap_or(most) };
        let step = step_in(columns);
        if step < LOWEST {
            return self.place_member_tiles(cast, area, (header, footer, gap), room);
        }
        let space = gap.min(step * 0.16);
        let mut y = area.y;
        for (number, group) in cast.groups.iter().enumerate() {
            let lines = group.members.len().div_ceil(columns).max(1) as f64;
            let frame = Rect { y, h: header + lines * step + footer, ..area };
            let inner_w = frame.w - 24.0;
            let w = (inner_w - 8.0 * (columns as f64 - 1.0)) / columns as f64;
            for (place, member) in group.members.iter().enumerate() {
                // Paths to the second column, or on a narrow stage to the second line, would strike through the names of
                // the first.
                if columns > 1 && (!self.narrow || lines > 1.0) {
                    self.homes.insert(member.node, (number, group.members[0].node));
                    self.order.insert(member.node, (number, cast.groups.len()));
                }
                let x = frame.x + 12.0 + (place % columns) as f64 * (w + 8.0);
                let card = Rect::new(x, y + header + (place / columns) as f64 * step, w, step - space);
                self.nodes.insert(member.node, card);
            }
            self.groups.push(frame);
            y = frame.bottom() + gap;
        }
    }

    /// Groups of so many members that each is a square.
    fn place_member_tiles(&mut self, cast: &Cast, area: Rect, (header, footer, gap): (f64, f64, f64), room: f64) {
        self.tiled = true;
        let inner = area.w - 24.0;
        let per_line = |side: f64| (inner / side).floor().max(1.0);
        let lines = |side: f64, members: usize| (members as f64 / per_line(side)).ceil().max(1.0);
        let height = |side: f64| cast.groups.iter().map(|group| lines(side, group.members.len()) * side).sum::<f64>();
        let mut side = 16.0;
        while side > 2.0 && height(side) > room {
            side -= 0.125;
        }
        // Those that were given a place among their kind one by one share that of their group.
        let groups = cast.groups.len();
        let mut y = area.y;
        for (number, group) in cast.groups.iter().enumerate() {
            let frame = Rect { y, h: header + lines(side, group.members.len()) * side + footer, ..area };
            let columns = per_line(side) as usize;
            for (place, member) in group.members.iter().enumerate() {
                let x = frame.x + 12.0 + (place % columns) as f64 * side;
                let y = y + header + (place / columns) as f64 * side;
                self.nodes.insert(member.node, Rect::new(x, y, side * 0.82, side * 0.82));
                self.homes.insert(member.node, (number, group.members[0].node));
                self.order.insert(member.node, (number, groups));
            }
            self.groups.push(frame);
            y = frame.bottom() + gap;
        }
    }
}

/// How many columns of brokers leave each log the most room.
fn best_columns(count: usize, rows: usize, area: Rect, (header, gap): (f64, f64), enough: f64) -> usize {
    let row_height = |columns: usize| {
        let lines = count.div_ceil(columns) as f64;
        ((area.h - gap * (lines - 1.0)) / lines - header) / rows.max(1) as f64
    };
    let width = |columns: usize| (area.w - gap * (columns as f64 - 1.0)) / columns as f64;
    let most = (1..=count).take_while(|columns| *columns == 1 || width(*columns) >= 120.0).last().unwrap_or(1);
    // More columns only where rows would otherwise be too low to show records.
    (1..=most).find(|columns| row_height(*columns) >= enough).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::sample;

    fn overlaps(a: Rect, b: Rect) -> bool {
        a.x < b.right() && b.x < a.right() && a.y < b.bottom() && b.y < a.bottom()
    }

    fn check_apart_and_inside(layout: &Layout) {
        let nodes: Vec<_> = layout.nodes.iter().collect();
        for (at, (node, rect)) in nodes.iter().enumerate() {
            assert!(
                rect.x >= 0.0 && rect.right() <= layout.width + 0.5,
                "{node:?} leaves the stage sideways: {rect:?}"
            );
            assert!(rect.y >= 0.0 && rect.bottom() <= layout.height + 0.5, "{node:?} leaves the stage: {rect:?}");
            for (other, other_rect) in &nodes[at + 1..] {
                assert!(!overlaps(**rect, **other_rect), "{node:?} lies on {other:?}");
            }
        }
    }

    #[test]
    fn no_node_lies_on_another_or_off_the_stage() {
        for (width, height) in [(1072.0, 744.0), (1440.0, 792.0), (800.0, 600.0), (390.0, 600.0), (360.0, 520.0)] {
            check_apart_and_inside(&Layout::of(&sample::hello().cast, width, height));
        }
        check_apart_and_inside(&Layout::of(&sample::cluster(50, 100, 40).cast, 1072.0, 744.0));
    }

    #[test]
    fn a_node_keeps_its_place_when_another_fails() {
        let mut stage = sample::hello();
        let before = Layout::of(&stage.cast, 1072.0, 744.0);
        std::rc::Rc::make_mut(&mut stage.cast).brokers[0].health = crate::scene::stage::Health::Running;
        assert_eq!(Layout::of(&stage.cast, 1072.0, 744.0), before);
    }

    #[test]
    fn fewer_details_are_shown_where_room_is_short() {
        assert_eq!(Layout::of(&sample::hello().cast, 1072.0, 744.0).detail, Detail::Cells);
        assert!(Layout::of(&sample::cluster(50, 100, 40).cast, 1072.0, 744.0).detail < Detail::Cells);
    }

    #[test]
    fn a_square_for_every_partition_stays_in_its_broker() {
        for partitions in [100, 1003, 2000] {
            let layout = Layout::of(&sample::cluster(3, partitions, 0).cast, 1072.0, 744.0);
            for strip in &layout.strips {
                let card = layout.nodes[&strip.broker];
                assert!(
                    strip.row.right() <= card.right() && strip.row.bottom() <= card.bottom(),
                    "{partitions}: {strip:?}"
                );
            }
        }
    }

    #[test]
    fn a_square_for_every_member_stays_in_its_group() {
        for (width, height) in [(1072.0, 744.0), (390.0, 600.0)] {
            let cast = sample::cluster(3, 30, 1000).cast;
            let layout = Layout::of(&cast, width, height);
            assert!(layout.tiled);
            for (group, frame) in cast.groups.iter().zip(&layout.groups) {
                assert!(frame.bottom() <= height + 0.5, "{frame:?}");
                for member in &group.members {
                    let tile = layout.nodes[&member.node];
                    assert!(
                        tile.x >= frame.x && tile.right() <= frame.right() && tile.bottom() <= frame.bottom(),
                        "{tile:?} is outside {frame:?}"
                    );
                    assert_eq!(layout.door(member.node), Some(*frame));
                }
            }
        }
    }

    #[test]
    fn a_point_finds_the_replica_under_it() {
        let layout = Layout::of(&sample::hello().cast, 1072.0, 744.0);
        let strip = layout.strips[4];
        assert_eq!(layout.strip_at(strip.track.center()), Some(&strip));
        assert_eq!(layout.node_at(strip.track.center()), Some(strip.broker));
    }
}
