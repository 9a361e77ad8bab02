//! What stands still: cards of nodes, the logs in them, and the frames of groups.

use super::pen::{Align, Face, Pen};
use super::{Painter, Shown, View};
use crate::kafka::ids::Node;
use crate::scene::focus::Thing;
use crate::scene::layout::{Detail, Point, Rect, StripPlace};
use crate::scene::stage::{BrokerCard, Cast, ConsumerCard, ControllerCard, GroupFrame, Health, ProducerCard, Strip};
use crate::scene::words;

/// Whether something turns on its own, so that the cast must be painted again though nothing happened.
pub fn has_ring(cast: &Cast) -> bool {
    cast.groups.iter().any(|group| group.rebalancing) || cast.nodes().any(|(_, _, health)| health == Health::Starting)
}

impl Painter {
    pub(super) fn paint_cast(&mut self, cast: &Cast, view: &View, at: f64) {
        let pen = self.pens[0].clone();
        pen.clear(self.layout.width, self.layout.height);
        for (point, text) in &self.layout.headings {
            pen.text((point.x, point.y), text, Face::Heading, &self.palette.muted, Align::Left);
        }
        let lit = |node: Node| view.selected.as_ref().is_none_or(|thing| thing.lights_node(cast, node));
        let dim = |node: Node| if lit(node) { 1.0 } else { 0.35 };
        for card in &cast.producers {
            let Some(rect) = self.layout.nodes.get(&card.node).copied() else { continue };
            pen.alpha(dim(card.node));
            self.frame(&pen, rect, card.node, card.health, view);
            self.producer(&pen, rect, card);
        }
        for card in &cast.tools {
            let Some(rect) = self.layout.nodes.get(&card.node).copied() else { continue };
            pen.alpha(dim(card.node));
            self.frame(&pen, rect, card.node, Health::Running, view);
            pen.clipped(
                (rect.x + 14.0, rect.center().y + 4.0),
                &card.name,
                Face::Mono,
                &self.palette.ink,
                rect.w - 28.0,
            );
        }
        for card in &cast.controllers {
            let Some(rect) = self.layout.nodes.get(&card.node).copied() else { continue };
            pen.alpha(dim(card.node));
            self.controller(&pen, rect, card, view);
        }
        let mut places = std::mem::take(&mut self.layout.strips);
        for card in &cast.brokers {
            let Some(rect) = self.layout.nodes.get(&card.node).copied() else { continue };
            pen.alpha(dim(card.node));
            self.frame(&pen, rect, card.node, card.health, view);
            self.broker_header(&pen, rect, card, at);
            let mine = places.iter().filter(|place| place.broker == card.node);
            for (place, strip) in mine.zip(&card.strips) {
                let lit =
                    view.selected.as_ref().is_none_or(|thing| thing.lights_strip(cast, card.node, strip.partition));
                let gone = if matches!(card.health, Health::Down) { 0.5 } else { 1.0 };
                self.strip(&pen, place, strip, view, dim(card.node) * gone * if lit { 1.0 } else { 0.3 });
            }
            pen.alpha(dim(card.node));
            self.veil(&pen, rect, card.health);
        }
        self.layout.strips = std::mem::take(&mut places);
        for (group, frame) in cast.groups.iter().zip(self.layout.groups.clone()) {
            let shown = view
                .selected
                .as_ref()
                .is_none_or(|thing| group.members.iter().any(|card| thing.lights_node(cast, card.node)));
            pen.alpha(if shown { 1.0 } else { 0.35 });
            self.group(&pen, frame, group, view, at);
            for card in &group.members {
                let Some(rect) = self.layout.nodes.get(&card.node).copied() else { continue };
                pen.alpha(dim(card.node));
                self.frame(&pen, rect, card.node, card.health, view);
                self.consumer(&pen, rect, card);
                self.veil(&pen, rect, card.health);
            }
        }
        pen.alpha(1.0);
        self.legend(&pen);
    }

    /// A node's card: its body and its border, by how it fares.
    fn frame(&self, pen: &Pen, rect: Rect, node: Node, health: Health, view: &View) {
        let p = &self.palette;
        let radius = (rect.h * 0.2).min(10.0);
        let is = |thing: &Option<Thing>| thing.as_ref() == Some(&Thing::Node(node));
        if health == Health::Down {
            pen.dash(&[5.0, 5.0]);
            pen.outline(rect, radius, &p.faint, 1.25);
            pen.dash(&[]);
        } else {
            pen.fill(Rect { y: rect.y + 1.5, ..rect }, radius, &p.shadow);
            pen.fill(rect, radius, &p.panel);
            let (color, width) = match health {
                Health::Fenced | Health::Starting | Health::Stopping => (&p.warn, 1.25),
                _ => (&p.line, 1.0),
            };
            pen.outline(rect, radius, color, width);
        }
        if is(&view.selected) {
            pen.outline(rect, radius, &p.accent, 2.0);
        } else if is(&view.hovered) {
            pen.outline(rect, radius, &p.muted, 1.5);
        }
    }

    /// What lies over a card that is frozen, or that the controller does not count on.
    fn veil(&self, pen: &Pen, rect: Rect, health: Health) {
        let radius = (rect.h * 0.2).min(10.0);
        match health {
            Health::Paused => {
                pen.alpha(0.62);
                pen.fill(rect, radius, &self.palette.soft);
                pen.alpha(0.9);
                let middle = rect.center();
                for side in [-7.0, 3.0] {
                    pen.fill(Rect::new(middle.x + side, middle.y - 9.0, 5.0, 18.0), 1.5, &self.palette.muted);
                }
                pen.alpha(1.0);
            }
            Health::Fenced => {
                pen.alpha(0.3);
                pen.hatch(Rect { h: rect.h.min(6.0), ..rect }, 3.0, &self.palette.warn, 6.0);
                pen.alpha(1.0);
            }
            _ => {}
        }
    }

    fn producer(&self, pen: &Pen, rect: Rect, card: &ProducerCard) {
        let p = &self.palette;
        let pad = if rect.w < 170.0 { 12.0 } else { 16.0 };
        let (x, room) = (rect.x + pad, rect.w - 2.0 * pad);
        let ink = if card.health == Health::Down { &p.muted } else { &p.ink };
        if rect.h < 26.0 {
            return pen.clipped((x, rect.center().y + 4.0), &card.name, Face::Tiny, ink, room);
        }
        let short = rect.h < 90.0;
        let y = rect.y + if short { 21.0 } else { 27.0 };
        pen.clipped((x, y), &card.name, if short { Face::Strong } else { Face::Name }, ink, room);
        if !short {
            pen.clipped((x, y + 20.0), &card.line, Face::Text, &p.muted, room);
        }
        let mut y = if short { rect.y + 40.0 } else { y + 46.0 };
        if y > rect.bottom() - 4.0 {
            return;
        }
        let mut at = x;
        let failed = (card.failed > 0).then(|| (format!("{} failed", words::short(card.failed)), &p.bad));
        let acked = Some((format!("{} acked", words::short(card.acked)), &p.ok));
        let sent = Some((format!("{} sent", words::short(card.sent)), &p.ink));
        let open = (card.open > 0).then(|| (format!("{} open", words::short(card.open)), &p.muted));
        for (text, color) in [sent, acked, failed, open].into_iter().flatten() {
            let width = pen.width(&text, Face::Text);
            if at + width > x + room && at > x {
                if short {
                    break;
                }
                (at, y) = (x, y + 18.0);
            }
            pen.text((at, y), &text, Face::Text, color, Align::Left);
            at += width + 10.0;
        }
    }

    fn controller(&self, pen: &Pen, rect: Rect, card: &ControllerCard, view: &View) {
        let p = &self.palette;
        self.frame(pen, rect, card.node, card.health, view);
        if card.active && card.health != Health::Down {
            pen.outline(rect, (rect.h * 0.2).min(10.0), &p.accent, 1.5);
        }
        let label = card.name.rsplit('-').next().unwrap_or(&card.name);
        let y = rect.center().y + 4.0;
        let ink = if card.health == Health::Down { &p.muted } else { &p.ink };
        pen.text((rect.x + 12.0, y), label, Face::Mono, ink, Align::Left);
        let mut room = rect.w - 24.0 - 30.0;
        if card.active && rect.w > 90.0 {
            self.crown(pen, rect.x + 40.0, y);
            room -= 18.0;
        }
        let role = if card.health == Health::Running { card.role.as_str() } else { card.health.word() };
        // Where room is short, the crown says who leads.
        let role = if pen.width(role, Face::Tiny) <= room { role } else { role.rsplit(" · ").next().unwrap_or(role) };
        if pen.width(role, Face::Tiny) <= room {
            pen.text((rect.right() - 12.0, y), role, Face::Tiny, &p.muted, Align::Right);
        } else if card.active {
            pen.dot(Point { x: rect.right() - 14.0, y: rect.center().y }, 3.5, &p.accent);
        }
    }

    fn broker_header(&self, pen: &Pen, rect: Rect, card: &BrokerCard, at: f64) {
        let p = &self.palette;
        let pad = if rect.w < 200.0 { 8.0 } else { 16.0 };
        let down = card.health == Health::Down;
        let face = if rect.h < 110.0 || rect.w < 200.0 { Face::Strong } else { Face::Name };
        let y = rect.y + if face == Face::Name { 28.0 } else { 18.0 };
        let ink = if down { &p.muted } else { &p.ink };
        let name = pen.width(&card.name, face);
        pen.clipped((rect.x + pad, y), &card.name, face, ink, rect.w - 2.0 * pad);
        // The menu's button has the corner.
        let mut right = rect.right() - pad - if self.layout.narrow { 26.0 } else { 20.0 };
        if card.health == Health::Starting {
            let turn = (at / 900.0).fract();
            pen.arc(Point { x: right - 6.0, y: y - 4.0 }, 5.5, turn, turn + 0.7, &p.warn, 2.0);
            right -= 20.0;
        }
        let color = match card.health {
            _ if card.alarming => &p.bad,
            Health::Running => &p.muted,
            Health::Down => &p.bad,
            _ => &p.warn,
        };
        let status = if pen.width(&card.status, Face::Text) + name + 16.0 <= right - rect.x - pad {
            card.status.as_str()
        } else {
            card.health.word()
        };
        if pen.width(status, Face::Text) + name + 12.0 <= right - rect.x - pad {
            pen.text((right, y), status, Face::Text, color, Align::Right);
        }
    }

    fn strip(&self, pen: &Pen, place: &StripPlace, strip: &Strip, view: &View, alpha: f64) {
        let p = &self.palette;
        let StripPlace { row, track, .. } = *place;
        pen.alpha(alpha);
        if self.layout.detail != Detail::Cells {
            let color = if strip.leader {
                &p.ink
            } else if strip.in_sync {
                &p.faint
            } else {
                &p.warn
            };
            return pen.fill(track, 1.0, color);
        }
        let label = track.x - row.x;
        let middle = track.y + track.h / 2.0;
        if label > 0.0 {
            let crown = if label > 72.0 { 20.0 } else { 0.0 };
            let color = if strip.leader { &p.ink } else { &p.muted };
            pen.partition((row.x, middle + 4.0), &strip.label, Face::Mono, color, label - crown - 6.0);
            if strip.leader && crown > 0.0 {
                self.crown(pen, track.x - 20.0, middle + 4.0);
            }
        }
        pen.fill(track, 5.0, &p.soft);
        if !strip.in_sync {
            pen.alpha(alpha * 0.5);
            pen.hatch(track, 5.0, &p.faint, 7.0);
            pen.alpha(alpha);
        }
        let is = |thing: &Option<Thing>| match thing {
            Some(Thing::Partition(partition)) => *partition == strip.partition,
            Some(Thing::Replica(broker, partition) | Thing::Record(broker, partition, _)) => {
                (*broker, *partition) == (place.broker, strip.partition)
            }
            _ => false,
        };
        let (color, width) = match (strip.leader, strip.in_sync) {
            _ if is(&view.selected) => (&p.accent, 2.0),
            _ if is(&view.hovered) => (&p.muted, 1.6),
            (true, _) => (&p.ink, 1.5),
            (false, true) => (&p.line, 1.0),
            (false, false) => (&p.faint, 1.0),
        };
        pen.outline(track, 5.0, color, width);
        self.records(pen, place, strip, view, alpha);
    }

    fn records(&self, pen: &Pen, place: &StripPlace, strip: &Strip, view: &View, alpha: f64) {
        let p = &self.palette;
        let StripPlace { track, cell, .. } = *place;
        let truth = Shown { end: strip.log_end as f64, high_watermark: strip.high_watermark as f64 };
        let shown = self.shown.get(&(place.broker, strip.partition)).copied().unwrap_or(truth);
        // The newest record stays in sight, with room behind it for the log's end.
        let capacity = ((track.w - 34.0) / cell).max(1.0);
        let first = (shown.end - capacity).max(strip.log_start as f64);
        let x_of = |offset: f64| track.x + 4.0 + (offset - first) * cell;
        pen.ctx.save();
        pen.ctx.begin_path();
        pen.ctx.rect(track.x, track.y - 14.0, track.w, track.h + 28.0);
        pen.ctx.clip();
        let pad = (track.h * 0.14).clamp(1.5, 4.0);
        for record in strip.cells.iter().filter(|record| record.offset as f64 > first - 1.0) {
            let grown = (shown.end - record.offset as f64).clamp(0.0, 1.0);
            if grown <= 0.02 {
                continue;
            }
            let body = Rect::new(x_of(record.offset as f64) + 1.0, track.y + pad, cell - 2.5, track.h - 2.0 * pad);
            let committed = (record.offset as f64) < shown.high_watermark - 0.5;
            pen.alpha(alpha * grown * if committed { 1.0 } else { 0.45 });
            if record.control {
                pen.fill(Rect { x: body.x + body.w / 2.0 - 1.5, w: 3.0, ..body }, 1.5, &p.faint);
                continue;
            }
            pen.fill(body, 3.5, p.key_soft(record.mark.hue));
            if !committed {
                pen.dash(&[2.0, 2.0]);
                pen.outline(body, 3.5, p.key(record.mark.hue), 1.0);
                pen.dash(&[]);
            }
            let chosen = Some(Thing::Record(place.broker, strip.partition, record.offset));
            if view.selected == chosen || view.hovered == chosen {
                pen.outline(body, 3.5, &p.ink, 1.5);
            }
            let radius = (track.h * 0.21).clamp(2.0, 6.0) * (0.6 + 0.4 * grown);
            pen.mark(record.mark, body.center(), radius, p, record.tombstone);
        }
        pen.ctx.restore();
        pen.alpha(alpha);
        let end = x_of(shown.end);
        if strip.log_end > 0 && end + 20.0 < track.right() && track.h >= 14.0 {
            let text = strip.log_end.to_string();
            pen.text((end + 6.0, track.y + track.h / 2.0 + 3.6), &text, Face::MonoTiny, &p.faint, Align::Left);
        }
        if strip.log_end > 0 {
            self.flag(pen, place, x_of(shown.high_watermark), strip);
        }
    }

    /// The high watermark: a line, and a flag with its offset where there is room above the log.
    fn flag(&self, pen: &Pen, place: &StripPlace, x: f64, strip: &Strip) {
        let StripPlace { track, row, .. } = *place;
        let x = x.clamp(track.x + 1.0, track.right() - 1.0) - 0.25;
        let color = &self.palette.accent;
        let above = track.y - row.y >= 7.0;
        let top = track.y - if above { 5.0 } else { 2.0 };
        pen.line(&[Point { x, y: top }, Point { x, y: track.bottom() + 3.0 }], color, 1.75);
        if !above {
            return pen.polygon(
                &[(x, top), (x + 7.0, top), (x + 5.0, top + 2.5), (x + 7.0, top + 5.0), (x, top + 5.0)],
                color,
            );
        }
        let text = strip.high_watermark.to_string();
        let w = text.len() as f64 * 6.0 + 8.0;
        let flag = Rect::new((x - 0.8).min(track.right() - w), top - 7.0, w, 12.0);
        pen.fill(flag, 2.5, color);
        pen.text((flag.x + w / 2.0, flag.y + 9.4), &text, Face::MonoTiny, &self.palette.panel, Align::Middle);
    }

    pub(super) fn crown(&self, pen: &Pen, x: f64, y: f64) {
        let shape = [(0.0, 0.0), (0.0, -9.0), (3.6, -4.6), (6.5, -10.0), (9.4, -4.6), (13.0, -9.0), (13.0, 0.0)];
        pen.polygon(&shape.map(|(dx, dy)| (x + dx, y + dy)), &self.palette.ink);
    }

    fn group(&self, pen: &Pen, frame: Rect, group: &GroupFrame, view: &View, at: f64) {
        let p = &self.palette;
        pen.fill(frame, 14.0, &p.raised);
        let chosen = view.selected == Some(Thing::Group(group.name.clone()));
        pen.outline(frame, 14.0, if chosen { &p.accent } else { &p.line }, if chosen { 2.0 } else { 1.25 });
        let x = frame.x + 14.0;
        let low = self.layout.narrow;
        let y = frame.y + if low { 24.0 } else { 27.0 };
        let (tone, soft) = match group.state.as_str() {
            "Stable" => (&p.ok, &p.ok_soft),
            "Empty" | "Dead" | "" => (&p.muted, &p.soft),
            _ => (&p.warn, &p.warn_soft),
        };
        // Long names of states give way to what a person needs to know.
        let state = if group.rebalancing { "rebalancing" } else { group.state.as_str() };
        let mut right = frame.right() - 14.0;
        let below = if low { y } else { y + 20.0 };
        if !state.is_empty() {
            let width = pen.width(state, Face::Tiny) + 18.0;
            let pill = Rect::new(right - width + 2.0, below - 14.0, width, 20.0);
            pen.fill(pill, 10.0, soft);
            pen.text((pill.x + width / 2.0, below), state, Face::Tiny, tone, Align::Middle);
            right = pill.x - 8.0;
        }
        if group.rebalancing {
            let center = Point { x: right - 8.0, y: below - 4.0 };
            pen.arc(center, 7.0, 0.0, 1.0, &p.soft, 2.5);
            let turn = (at / 1200.0).fract();
            match group.progress {
                Some(part) => pen.arc(center, 7.0, 0.0, f64::from(part).clamp(0.02, 1.0), &p.warn, 2.5),
                None => pen.arc(center, 7.0, turn, turn + 0.3, &p.warn, 2.5),
            }
            right -= 22.0;
        }
        if low {
            return pen.clipped((x, y), &group.name, Face::Name, &p.ink, right - x);
        }
        let lag = format!("lag {}", words::short(group.lag));
        let color = if group.lag > 0 { &p.warn } else { &p.muted };
        pen.text((frame.right() - 14.0, y), &lag, Face::Text, color, Align::Right);
        let room = frame.right() - 22.0 - x - pen.width(&lag, Face::Text);
        pen.clipped((x, y), &group.name, Face::Name, &p.ink, room);
        pen.clipped((x, below), &group.line, Face::Text, &p.muted, right - x);
    }

    fn consumer(&self, pen: &Pen, rect: Rect, card: &ConsumerCard) {
        let p = &self.palette;
        let pad = 12.0;
        let (x, room) = (rect.x + pad, rect.w - 2.0 * pad);
        let ink = if card.health == Health::Down { &p.muted } else { &p.ink };
        if rect.h < 30.0 {
            return pen.clipped((x, rect.center().y + 4.0), &card.name, Face::Tiny, ink, room);
        }
        let processed = words::short(card.processed);
        let y = rect.y + 22.0;
        let width = pen.width(&processed, Face::Mono);
        let right = rect.right() - pad - 22.0;
        pen.text((right, y), &processed, Face::Mono, &p.muted, Align::Right);
        pen.clipped((x, y), &card.name, Face::Strong, ink, room - width - 30.0);
        if rect.h < 62.0 {
            return;
        }
        self.chips(pen, (x, rect.y + 32.0), room, card);
        if rect.h < 84.0 {
            return self.bar(pen, Rect::new(x, rect.bottom() - 10.0, room, 4.0), card);
        }
        let y = rect.y + 70.0;
        let mut at = x;
        if let Some(mark) = card.mark {
            pen.mark(mark, Point { x: x + 5.0, y: y - 4.0 }, 4.6, p, false);
            at += 16.0;
        }
        let doing = if card.health == Health::Running { card.doing.as_str() } else { card.health.word() };
        pen.clipped((at, y), doing, Face::Text, &p.muted, x + room - at);
        self.bar(pen, Rect::new(x, rect.bottom() - 16.0, room, 5.0), card);
    }

    fn bar(&self, pen: &Pen, rect: Rect, card: &ConsumerCard) {
        pen.fill(rect, rect.h / 2.0, &self.palette.soft);
        if let Some(progress) = card.progress {
            let hue = card.mark.map_or(&*self.palette.ok, |mark| self.palette.key(mark.hue));
            let w = (rect.w * f64::from(progress.clamp(0.0, 1.0))).max(rect.h);
            pen.fill(Rect { w, ..rect }, rect.h / 2.0, hue);
        }
    }

    fn chips(&self, pen: &Pen, (x, y): (f64, f64), room: f64, card: &ConsumerCard) {
        let p = &self.palette;
        if card.chips.is_empty() {
            return pen.text((x, y + 13.0), "no partitions", Face::Tiny, &p.muted, Align::Left);
        }
        let mut at = x;
        for (place, chip) in card.chips.iter().enumerate() {
            let width = pen.width(&chip.label, Face::MonoTiny) + 12.0;
            let left = card.chips.len() - place;
            if at + width > x + room - if left > 1 { 26.0 } else { 0.0 } {
                pen.text((at, y + 13.0), &format!("+{left}"), Face::MonoTiny, &p.muted, Align::Left);
                return;
            }
            let body = Rect::new(at, y, width, 19.0);
            pen.fill(body, 5.0, if chip.stopped { &p.warn_soft } else { &p.soft });
            if chip.stopped {
                pen.hatch(body, 5.0, &p.warn, 6.0);
            }
            pen.text((at + 6.0, y + 13.0), &chip.label, Face::MonoTiny, &p.ink, Align::Left);
            at += width + 6.0;
        }
    }
}
