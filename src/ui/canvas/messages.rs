//! What moves: links, flows, and messages on their way.

use std::collections::BTreeSet;

use super::pen::{Align, Face, Pen};
use super::sprites::Shape;
use super::{Painter, View};
use crate::kafka::ids::Node;
use crate::scene::layout::{Point, Rect};
use crate::scene::marks::Mark;
use crate::scene::stage::{Flight, FlightKind, LinkState, Stage};
use crate::scene::traffic;
use crate::time::Instant;

/// From here on messages are specks, not pills.
const CROWD: usize = 400;
/// Up to here every message is named.
const NAMED: usize = 28;

impl Painter {
    pub(super) fn paint_messages(&mut self, stage: &Stage, view: &View, seconds: f64) {
        let pen = self.pens[1].clone();
        self.measure_flows(stage, view, seconds);
        if stage.messages.len() > CROWD {
            self.paint_crowd(&pen, stage, view);
            // The marks came first, as they replace all there was; what belongs below them goes below.
            let _ = pen.ctx.set_global_composite_operation("destination-over");
            self.paint_flows(&pen);
            self.paint_links(&pen, stage);
            let _ = pen.ctx.set_global_composite_operation("source-over");
        } else {
            pen.clear(self.layout.width, self.layout.height);
            self.paint_links(&pen, stage);
            self.paint_flows(&pen);
            self.paint_each(&pen, stage, view);
        }
    }

    /// Smooths how many messages are on each path; by Little's law that is the rate times the time one takes.
    fn measure_flows(&mut self, stage: &Stage, view: &View, seconds: f64) {
        let keep = (-seconds * 3.0).exp();
        for flow in self.flows.values_mut() {
            *flow *= keep;
        }
        let mut counts: Vec<u32> = vec![0; self.lanes.count()];
        for flight in stage.messages.iter().filter(|flight| flight.kind <= FlightKind::Error) {
            if view.hidden.has(flight.kind) {
                continue;
            }
            let number = self.lanes.number(&self.layout, flight.from, flight.to);
            if number >= counts.len() {
                counts.resize(number + 1, 0);
            }
            counts[number] += 1;
        }
        for (number, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            if let Some(path) = self.lanes.ends(number) {
                *self.flows.entry(path).or_default() += (1.0 - keep) * f64::from(count);
            }
        }
        self.flows.retain(|_, flow| *flow > 0.01);
    }

    /// Whether both ends belong to the selected thing, if there is one.
    fn are_lit(&self, from: Node, to: Node) -> bool {
        self.lit.as_ref().is_none_or(|lit| lit.node(from) && lit.node(to))
    }

    fn paint_links(&mut self, pen: &Pen, stage: &Stage) {
        let mut painted = BTreeSet::new();
        for link in &stage.cast.links {
            let number = self.lanes.number(&self.layout, link.from, link.to);
            let lit = self.are_lit(link.from, link.to);
            // Members that are tiles share the path to their group.
            if !painted.insert((number, link.state, lit)) {
                continue;
            }
            let Some(lane) = self.lanes.lane(number) else { continue };
            pen.alpha(if lit { 1.0 } else { 0.25 });
            match link.state {
                LinkState::Open => pen.line(lane.points(), &self.palette.line, 1.5),
                LinkState::Slow => pen.line(lane.points(), &self.palette.faint, 5.0),
                LinkState::Dead => {
                    pen.dash(&[2.0, 6.0]);
                    pen.line(lane.points(), &self.palette.faint, 1.5);
                    pen.dash(&[]);
                }
                LinkState::Cut => {
                    pen.line(lane.points(), &self.palette.line, 1.5);
                    wall(pen, lane.at(0.48, 0.0), lane.at(0.52, 0.0), &self.palette.bad);
                }
                // The arrow runs into the wall; the other way is open.
                LinkState::CutThere => {
                    pen.line(lane.points(), &self.palette.line, 1.5);
                    stopped(pen, [0.44, 0.5].map(|t| lane.at(t, 0.0)), &self.palette.bad);
                }
                LinkState::CutBack => {
                    pen.line(lane.points(), &self.palette.line, 1.5);
                    stopped(pen, [0.56, 0.5].map(|t| lane.at(t, 0.0)), &self.palette.bad);
                }
            }
        }
        pen.alpha(1.0);
    }

    /// Where messages come and go too quickly to be seen, their paths swell instead.
    fn paint_flows(&mut self, pen: &Pen) {
        let flows: Vec<((Node, Node), f64)> = self.flows.iter().map(|(path, flow)| (*path, *flow)).collect();
        for ((from, to), flow) in flows {
            let lit = self.are_lit(from, to);
            let Some(lane) = self.lanes.between(&self.layout, from, to) else { continue };
            pen.alpha((0.25 + flow * 0.3).min(0.7) * if lit { 1.0 } else { 0.2 });
            pen.line(lane.points(), &self.palette.accent, (1.0 + (1.0 + flow).ln() * 2.2).min(9.0));
        }
        pen.alpha(1.0);
    }

    fn paint_each(&mut self, pen: &Pen, stage: &Stage, view: &View) {
        let mut labels: Vec<Rect> = Vec::new();
        let mut taken: Vec<Point> = Vec::new();
        let named = stage.messages.iter().filter(|flight| flight.kind != FlightKind::Pulse).count() <= NAMED;
        // Faint ones first, records on top.
        let mut order: Vec<&Flight> = stage.messages.iter().collect();
        order.sort_by_key(|flight| (std::cmp::Reverse(flight.kind), flight.id));
        for flight in order {
            let strength = strength(flight, view.rate) * if flight.kind == FlightKind::Pulse { 0.55 } else { 1.0 };
            if strength < 0.02 || view.hidden.has(flight.kind) {
                continue;
            }
            let lit = self.are_lit(flight.from, flight.to);
            let strength = if lit { strength } else { strength * 0.2 };
            let Some(point) = self.free_place(flight, stage.now, &mut taken) else { continue };
            if flight.kind == FlightKind::Records && !view.still {
                self.paint_trail(pen, flight, stage, strength);
            }
            pen.alpha(strength);
            self.stamp(pen, shape_of(flight), point);
            if named && lit && wants_label(flight) {
                let text = flight.label;
                let color = if flight.kind == FlightKind::Error { &self.palette.bad } else { &self.palette.muted };
                let width = pen.width(text, Face::Tiny);
                let rect = Rect::new(point.x - width / 2.0, point.y - 28.0, width, 14.0);
                let free = |rect: Rect| labels.iter().all(|taken| !touches(*taken, rect));
                let place = [rect, Rect { y: point.y + 14.0, ..rect }].into_iter().find(|rect| free(*rect));
                if let Some(place) = place {
                    labels.push(place);
                    pen.text((point.x, place.y + 11.0), text, Face::Tiny, color, Align::Middle);
                }
            }
        }
        pen.alpha(1.0);
    }

    /// Where a message is, or beside it where another one is already.
    fn free_place(&mut self, flight: &Flight, now: Instant, taken: &mut Vec<Point>) -> Option<Point> {
        const APART: f64 = 20.0;
        let mut place = self.lanes.place(&self.layout, flight, now, false)?;
        if flight.kind == FlightKind::Pulse {
            return Some(place);
        }
        for aside in 1..6 {
            if taken.iter().all(|other| (other.x - place.x).hypot(other.y - place.y) > APART) {
                break;
            }
            place = self.lanes.aside(&self.layout, flight, now, aside)?;
        }
        // On a narrow stage the lanes run close to its edges.
        place.x = place.x.clamp(22.0, (self.layout.width - 22.0).max(22.0));
        taken.push(place);
        Some(place)
    }

    /// A short tail along the way it came.
    fn paint_trail(&mut self, pen: &Pen, flight: &Flight, stage: &Stage, strength: f64) {
        let Some(t) = traffic::progress(flight.sent, flight.due, stage.now) else { return };
        let Some(lane) = self.lanes.between(&self.layout, flight.from, flight.to) else { return };
        let hue = flight.marks[0].map_or(crate::scene::marks::HUES, |mark| mark.hue);
        let length = (90.0 / lane.length.max(1.0)).min(0.5);
        for part in 0..6 {
            let (near, far) = (f64::from(part) / 6.0, f64::from(part + 1) / 6.0);
            if t - near * length <= 0.0 {
                break;
            }
            let tail = [lane.at(t - near * length, 4.5), lane.at((t - far * length).max(0.0), 4.5)];
            pen.alpha(strength * 0.55 * (1.0 - near));
            pen.line(&tail, self.palette.key(hue), 3.0 * (1.0 - near) + 0.8);
        }
    }

    /// Ten thousand messages: one mark each, as pixels.
    fn paint_crowd(&mut self, pen: &Pen, stage: &Stage, view: &View) {
        let [_, canvas] = &self.canvases;
        self.specks.begin(canvas.width() as usize, canvas.height() as usize);
        for flight in stage.messages.iter().filter(|flight| !view.hidden.has(flight.kind)) {
            let Some(point) = self.lanes.place(&self.layout, flight, stage.now, true) else { continue };
            let mark = flight.marks[0].unwrap_or(Mark::KEYLESS);
            self.specks.stamp(mark, point, &self.palette, self.scale);
        }
        self.specks.show(pen);
    }

    pub(super) fn stamp(&mut self, pen: &Pen, shape: Shape, at: Point) {
        let Some(sprite) = self.sprites.get(shape, &self.palette, self.scale) else { return };
        let (x, y) = (at.x - sprite.half.0, at.y - sprite.half.1);
        let (w, h) = (sprite.half.0 * 2.0, sprite.half.1 * 2.0);
        // Only an empty sprite is refused, and none is.
        let _ = pen.ctx.draw_image_with_html_canvas_element_and_dw_and_dh(&sprite.canvas, x, y, w, h);
    }
}

fn shape_of(flight: &Flight) -> Shape {
    match flight.kind {
        FlightKind::Records => Shape::Pill { marks: flight.marks, records: flight.records },
        FlightKind::Ask => Shape::Ask,
        FlightKind::Reply => Shape::Tick,
        FlightKind::Error => Shape::Cross,
        FlightKind::Control => Shape::Control,
        FlightKind::Ballot => Shape::Ballot,
        FlightKind::Pulse => Shape::Pulse,
    }
}

fn wants_label(flight: &Flight) -> bool {
    matches!(flight.kind, FlightKind::Records | FlightKind::Control | FlightKind::Ballot | FlightKind::Error)
}

/// How clearly a message is seen: one that crosses in less than a tenth of a second would only flicker.
fn strength(flight: &Flight, rate: u64) -> f64 {
    let seconds = flight.due.since(flight.sent).as_micros() as f64 / rate.max(1) as f64;
    let t = ((seconds - 0.08) / 0.27).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

fn touches(a: Rect, b: Rect) -> bool {
    a.x < b.right() + 4.0 && b.x < a.right() + 4.0 && a.y < b.bottom() && b.y < a.bottom()
}

/// An arrow against a wall: what comes this way is stopped.
fn stopped(pen: &Pen, [from, to]: [Point; 2], color: &str) {
    let (dx, dy) = (to.x - from.x, to.y - from.y);
    let length = dx.hypot(dy).max(1e-6);
    let (ux, uy) = (dx / length, dy / length);
    let at = |along: f64, aside: f64| Point { x: to.x + ux * along - uy * aside, y: to.y + uy * along + ux * aside };
    pen.line(&[at(0.0, -11.0), at(0.0, 11.0)], color, 3.0);
    pen.line(&[at(-18.0, 0.0), at(-6.0, 0.0)], color, 2.0);
    pen.polygon(
        &[
            (at(-3.0, 0.0).x, at(-3.0, 0.0).y),
            (at(-10.0, -5.0).x, at(-10.0, -5.0).y),
            (at(-10.0, 5.0).x, at(-10.0, 5.0).y),
        ],
        color,
    );
}

/// A wall across a link.
fn wall(pen: &Pen, a: Point, b: Point, color: &str) {
    let (dx, dy) = (b.x - a.x, b.y - a.y);
    let length = dx.hypot(dy).max(1e-6);
    let (nx, ny) = (-dy / length * 11.0, dx / length * 11.0);
    for place in [a, b] {
        pen.line(&[Point { x: place.x - nx, y: place.y - ny }, Point { x: place.x + nx, y: place.y + ny }], color, 3.0);
    }
}
