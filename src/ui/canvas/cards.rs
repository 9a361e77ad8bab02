//! What stands still: cards of nodes, the logs in them, and the frames of groups.

use super::pen::{Align, Face, Pen};
use super::{Painter, Shown, View};
use crate::kafka::ids::{Node, Offset};
use crate::scene::focus::Thing;
use crate::scene::layout::{Detail, Point, Rect, StripPlace};
use crate::scene::stage::{
    BrokerCard, Cast, ConsumerCard, ControllerCard, GroupFrame, Health, Moving, ProducerCard, Strip, Trouble,
};
use crate::scene::words;

/// A ring that turns by itself while something goes on whose end cannot be told. It is painted with what moves, so that
/// what stands still need not be painted again.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    center: Point,
    radius: f64,
    /// How much of the whole circle is drawn.
    part: f64,
    /// How long one turn takes, in milliseconds.
    period: f64,
}

/// How far from a track's left edge its first record is.
const BEFORE_RECORDS: f64 = 4.0;
/// How much of a track stays free behind the newest record, for the log's end.
const BEHIND_RECORDS: f64 = 34.0;

impl Painter {
    /// Paints the rings as they stand at this moment of the browser's time.
    pub(super) fn paint_rings(&self, pen: &Pen, at: f64) {
        for ring in &self.rings {
            let turn = (at / ring.period).fract();
            pen.arc(ring.center, ring.radius, turn, turn + ring.part, &self.palette.warn, 2.5);
        }
    }

    pub(super) fn paint_cast(&mut self, cast: &Cast, view: &View) {
        let pen = self.pens[0].clone();
        self.rings.clear();
        pen.clear(self.layout.width, self.layout.height);
        for (point, text) in &self.layout.headings {
            pen.text((point.x, point.y), text, Face::Heading, &self.palette.muted, Align::Left);
        }
        let lit = self.lit.take();
        let is_lit = |node: Node| lit.as_ref().is_none_or(|lit| lit.node(node));
        let dim = |node: Node| if is_lit(node) { 1.0 } else { 0.35 };
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
        self.znodes(&pen, cast);
        let mut places = std::mem::take(&mut self.layout.strips);
        for card in &cast.brokers {
            let Some(rect) = self.layout.nodes.get(&card.node).copied() else { continue };
            pen.alpha(dim(card.node));
            self.frame(&pen, rect, card.node, card.health, view);
            self.broker_header(&pen, rect, card);
            let mine = places.iter().filter(|place| place.broker == card.node);
            let gone = if matches!(card.health, Health::Down) { 0.5 } else { 1.0 };
            let alpha = |strip: &Strip| {
                let is_lit = lit.as_ref().is_none_or(|lit| lit.strip(card.node, strip.partition));
                dim(card.node) * gone * if is_lit { 1.0 } else { 0.3 }
            };
            if self.layout.detail == Detail::Cells {
                for (place, strip) in mine.zip(&card.strips) {
                    self.strip(&pen, place, strip, view, alpha(strip));
                }
            } else {
                let p = &self.palette;
                let colored = mine.zip(&card.strips).map(|(place, strip)| {
                    let color = match strip.trouble {
                        Trouble::Offline => &p.bad,
                        _ if strip.leader => &p.ink,
                        _ if strip.in_sync => &p.faint,
                        _ => &p.warn,
                    };
                    (place.track, color.as_str(), alpha(strip))
                });
                pen.tiles(colored);
            }
            pen.alpha(dim(card.node));
            self.veil(&pen, rect, card.health);
        }
        self.layout.strips = std::mem::take(&mut places);
        for (group, frame) in cast.groups.iter().zip(self.layout.groups.clone()) {
            let shown = group.members.is_empty() || group.members.iter().any(|card| is_lit(card.node));
            pen.alpha(if shown { 1.0 } else { 0.35 });
            self.group(&pen, frame, group, view);
            if self.layout.tiled {
                self.member_tiles(&pen, group, view, dim);
                continue;
            }
            for card in &group.members {
                let Some(rect) = self.layout.nodes.get(&card.node).copied() else { continue };
                pen.alpha(dim(card.node));
                self.frame(&pen, rect, card.node, card.health, view);
                self.consumer(&pen, rect, card);
                self.veil(&pen, rect, card.health);
            }
        }
        pen.alpha(1.0);
        let shared = cast.groups.iter().any(|group| group.line.starts_with("share"));
        self.legend(&pen, view.disk, shared);
        self.lit = lit;
    }

    /// Members too many for cards: a square for each.
    fn member_tiles(&self, pen: &Pen, group: &GroupFrame, view: &View, dim: impl Fn(Node) -> f64) {
        let p = &self.palette;
        let placed = || group.members.iter().filter_map(|card| Some((*self.layout.nodes.get(&card.node)?, card)));
        let colored = placed().map(|(rect, card)| {
            let color = match card.health {
                Health::Down => &p.line,
                Health::Running if card.chips.is_empty() => &p.faint,
                Health::Running if card.chips.iter().any(|chip| chip.stopped) => &p.warn,
                Health::Running => &p.ok,
                _ => &p.bad,
            };
            (rect, color.as_str(), dim(card.node))
        });
        pen.tiles(colored);
        for (rect, card) in placed() {
            let is = |thing: &Option<Thing>| thing.as_ref() == Some(&Thing::Node(card.node));
            if is(&view.selected) || is(&view.hovered) {
                let around = Rect::new(rect.x - 1.5, rect.y - 1.5, rect.w + 3.0, rect.h + 3.0);
                pen.outline(around, 1.5, if is(&view.selected) { &p.accent } else { &p.ink }, 1.5);
            }
        }
    }

    /// A node's card: its body and its border, by how it fares.
    fn frame(&self, pen: &Pen, rect: Rect, node: Node, health: Health, view: &View) {
        let p = &self.palette;
        let radius = (rect.h * 0.2).min(10.0);
        let is = |thing: &Option<Thing>| thing.as_ref() == Some(&Thing::Node(node));
        if health == Health::Down {
            pen.dash(&[5.0, 5.0]);
            pen.outline(rect, radius, &p.muted, 1.25);
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
                pen.alpha(0.22);
                let mut x = rect.x + 12.0;
                while x < rect.right() - 6.0 {
                    pen.fill(Rect::new(x, rect.y + 1.0, 3.0, rect.h - 2.0), 0.0, &self.palette.warn);
                    x += 22.0;
                }
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
        // The menu's button has the corner. Where the whole name has no room, its own part tells more than its beginning.
        let (beside, face) = (room - 18.0, if short { Face::Strong } else { Face::Name });
        let own = card.name.strip_prefix("producer-").unwrap_or(&card.name);
        let name = if pen.width(&card.name, face) <= beside { &card.name } else { own };
        let face = if pen.width(name, face) <= beside { face } else { Face::Strong };
        pen.clipped((x, y), name, face, ink, beside);
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

    /// The znodes that say who is there: at the right above the groups.
    fn znodes(&self, pen: &Pen, cast: &Cast) {
        let Some(area) = self.layout.znodes else { return };
        let p = &self.palette;
        for (place, line) in cast.znodes.iter().enumerate() {
            let y = area.y + 10.0 + place as f64 * 13.0;
            if y > area.bottom() {
                return;
            }
            pen.text((area.x, y), &line.path, Face::MonoTiny, &p.ink, Align::Left);
            let right = area.x + pen.width(&line.path, Face::MonoTiny) + 8.0;
            let room = area.right() - right;
            let note = if line.ephemeral && line.value.is_empty() { "ephemeral" } else { line.value.as_str() };
            let color = if line.value.is_empty() { &p.muted } else { &p.accent };
            pen.clipped((right, y), note, Face::Tiny, color, room);
        }
    }

    fn controller(&mut self, pen: &Pen, rect: Rect, card: &ControllerCard, view: &View) {
        let p = &self.palette;
        self.frame(pen, rect, card.node, card.health, view);
        if card.active && card.health != Health::Down {
            pen.outline(rect, (rect.h * 0.2).min(10.0), &p.accent, 1.5);
        }
        let label = card.name.rsplit('-').next().unwrap_or(&card.name);
        let y = rect.center().y + 4.0;
        let ink = if card.health == Health::Down { &p.muted } else { &p.ink };
        pen.text((rect.x + 12.0, y), label, Face::Mono, ink, Align::Left);
        // On a narrow screen the menu's button is always there, at the right.
        let right = rect.right() - if self.layout.narrow { 26.0 } else { 12.0 };
        let mut room = right - rect.x - 12.0 - 30.0;
        if card.active && rect.w > 90.0 {
            self.crown(pen, rect.x + 40.0, y, &p.ink);
            room -= 18.0;
        }
        if card.electing {
            pen.outline(rect, (rect.h * 0.2).min(10.0), &p.warn, 1.5);
            let center = Point { x: rect.x + 46.0, y: rect.center().y };
            match card.votes {
                // A ring that fills with the votes.
                Some((got, needed)) => {
                    pen.arc(center, 6.0, 0.0, 1.0, &p.soft, 2.5);
                    let part = (f64::from(got) / f64::from(needed.max(1))).clamp(0.05, 1.0);
                    pen.arc(center, 6.0, 0.0, part, &p.warn, 2.5);
                }
                None => self.rings.push(Ring { center, radius: 6.0, part: 0.3, period: 900.0 }),
            }
            room -= 22.0;
        }
        let voted = card.votes.map(|(got, needed)| {
            let phase = card.role.split(" · ").next().unwrap_or_default();
            format!("{phase} · {got}/{needed} votes")
        });
        let role = match (&voted, card.health) {
            (Some(voted), _) => voted.as_str(),
            (None, Health::Running) => card.role.as_str(),
            (None, health) => health.word(),
        };
        // Where room is short, the crown says who leads.
        let short = if card.active { role.rsplit(" · ").next() } else { role.split(" · ").next() };
        let role = if pen.width(role, Face::Tiny) <= room { role } else { short.unwrap_or(role) };
        if pen.width(role, Face::Tiny) <= room {
            pen.text((right, y), role, Face::Tiny, &p.muted, Align::Right);
        } else if card.active {
            pen.dot(Point { x: right - 2.0, y: rect.center().y }, 3.5, &p.accent);
        }
    }

    fn broker_header(&mut self, pen: &Pen, rect: Rect, card: &BrokerCard) {
        let p = &self.palette;
        let pad = if rect.w < 200.0 { 8.0 } else { 16.0 };
        let down = card.health == Health::Down;
        let face = if rect.h < 110.0 || rect.w < 200.0 || self.layout.narrow { Face::Strong } else { Face::Name };
        let y = rect.y + if face == Face::Name { 28.0 } else { 18.0 };
        let ink = if down { &p.muted } else { &p.ink };
        let name = pen.width(&card.name, face);
        pen.clipped((rect.x + pad, y), &card.name, face, ink, rect.w - 2.0 * pad);
        // The menu's button has the corner.
        let mut right = rect.right() - pad - if self.layout.narrow { 26.0 } else { 20.0 };
        if card.health == Health::Starting || card.loading.is_some() {
            let center = Point { x: right - 6.0, y: y - 4.0 };
            self.rings.push(Ring { center, radius: 5.5, part: 0.7, period: 900.0 });
            right -= 20.0;
        }
        let color = match card.health {
            _ if card.alarming => &p.bad,
            Health::Running if card.loading.is_some() => &p.warn,
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
        let label = track.x - row.x;
        let middle = track.y + track.h / 2.0;
        if label > 0.0 {
            let crown = if label > 72.0 { 20.0 } else { 0.0 };
            let color = if strip.leader { &p.ink } else { &p.muted };
            pen.partition((row.x, middle + 4.0), &strip.label, Face::Mono, color, label - crown - 6.0);
            if crown > 0.0 {
                let tone = self.tone(strip.trouble);
                if strip.leader {
                    self.crown(pen, track.x - 20.0, middle + 4.0, tone.unwrap_or(&p.ink));
                } else if strip.trouble == Trouble::Offline {
                    warning(pen, Point { x: track.x - 13.0, y: middle }, &p.bad, &p.panel);
                }
            }
        }
        pen.fill(track, 5.0, if strip.trouble == Trouble::Offline { &p.bad_soft } else { &p.soft });
        if !strip.in_sync {
            pen.alpha(alpha * 0.7);
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
            _ if strip.trouble == Trouble::Offline => (&p.bad, 2.0),
            (true, _) if strip.trouble == Trouble::UnderMinIsr => (&p.warn, 2.0),
            (true, _) => (&p.ink, 1.5),
            (false, true) => (&p.line, 1.0),
            (false, false) => (&p.faint, 1.0),
        };
        if strip.moving == Some(Moving::Coming) {
            pen.dash(&[2.0, 3.0]);
        }
        pen.outline(track, 5.0, if strip.moving.is_some() { &p.accent } else { color }, width);
        pen.dash(&[]);
        self.records(pen, place, strip, view, alpha * if strip.moving == Some(Moving::Going) { 0.6 } else { 1.0 });
        let Some(tag) = tag_of(strip) else { return };
        let w = pen.width(tag, Face::MonoTiny) + 8.0;
        let body = Rect::new(track.right() - w - 3.0, middle - 7.0, w, 14.0);
        pen.alpha(alpha);
        pen.fill(body, 4.0, &p.accent_soft);
        pen.text((body.x + 4.0, body.y + 10.5), tag, Face::MonoTiny, &p.accent, Align::Left);
    }

    /// The colour of what ails a partition.
    fn tone(&self, trouble: Trouble) -> Option<&str> {
        match trouble {
            Trouble::None => None,
            Trouble::UnderReplicated | Trouble::UnderMinIsr => Some(&self.palette.warn),
            Trouble::Offline => Some(&self.palette.bad),
        }
    }

    fn shown_of(&self, place: &StripPlace, strip: &Strip) -> Shown {
        let truth = Shown { end: strip.log_end as f64, high_watermark: strip.high_watermark as f64 };
        self.shown.get(&(place.broker, strip.partition)).copied().unwrap_or(truth)
    }

    /// The offset at a track's left edge. The newest record stays in sight, with room behind it for the log's end.
    fn first_in_sight(&self, pen: &Pen, place: &StripPlace, strip: &Strip, end: f64) -> f64 {
        let tag = tag_of(strip).map_or(0.0, |tag| pen.width(tag, Face::MonoTiny) + 8.0);
        let capacity = ((place.track.w - BEHIND_RECORDS - tag) / place.cell).max(1.0);
        (in_sight(strip, end, capacity) - capacity).max(strip.log_start as f64)
    }

    /// The record that is painted at this distance from the window's left edge, if there is one.
    pub fn offset_at(&self, place: &StripPlace, strip: &Strip, x: f64) -> Option<Offset> {
        let first = self.first_in_sight(&self.pens[0], place, strip, self.shown_of(place, strip).end);
        let offset = (first + (x - place.track.x - BEFORE_RECORDS) / place.cell).floor() as Offset;
        (strip.log_start..strip.log_end).contains(&offset).then_some(offset)
    }

    fn records(&self, pen: &Pen, place: &StripPlace, strip: &Strip, view: &View, alpha: f64) {
        let p = &self.palette;
        let StripPlace { track, cell, .. } = *place;
        let shown = self.shown_of(place, strip);
        let first = self.first_in_sight(pen, place, strip, shown.end);
        let x_of = |offset: f64| track.x + BEFORE_RECORDS + (offset - first) * cell;
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
            if strip.held.iter().any(|(first, last)| (*first..=*last).contains(&record.offset)) {
                pen.outline(body, 3.5, &p.accent, 1.75);
            }
            let chosen = Some(Thing::Record(place.broker, strip.partition, record.offset));
            if view.selected == chosen || view.hovered == chosen {
                pen.outline(body, 3.5, &p.ink, 1.5);
            }
            let radius = (track.h * 0.21).clamp(2.0, 6.0) * (0.6 + 0.4 * grown);
            pen.mark(record.mark, body.center(), radius, p, record.tombstone);
        }
        pen.alpha(alpha);
        self.epochs(pen, track, strip, x_of);
        pen.ctx.restore();
        if view.disk {
            self.files(pen, *place, strip, x_of);
        }
        self.fallen(pen, place, strip, x_of, alpha);
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

    /// Where leader epochs begin: a thin line, with the epoch's number at its foot.
    fn epochs(&self, pen: &Pen, track: Rect, strip: &Strip, x_of: impl Fn(f64) -> f64) {
        let p = &self.palette;
        if strip.epochs.len() < 2 && strip.epochs.first().is_none_or(|(_, epoch)| *epoch == 0) {
            return;
        }
        for (start, epoch) in &strip.epochs {
            let x = x_of(*start as f64).max(track.x + 1.0);
            if *start < strip.log_start || x > track.right() - 8.0 {
                continue;
            }
            pen.line(&[Point { x, y: track.y + 1.0 }, Point { x, y: track.bottom() - 1.0 }], &p.muted, 1.0);
            if track.h >= 14.0 {
                let text = format!("e{epoch}");
                let w = pen.width(&text, Face::MonoTiny) + 4.0;
                let foot = Rect::new(x, track.bottom() - 8.0, w, 12.0);
                pen.fill(foot, 3.0, &p.panel);
                pen.outline(foot, 3.0, &p.line, 1.0);
                pen.text((x + 2.0, track.bottom() + 1.0), &text, Face::MonoTiny, &p.muted, Align::Left);
            }
        }
    }

    /// What is on the disk: a solid line below it; dashed below what is in the page cache alone. Ticks where segments begin.
    fn files(&self, pen: &Pen, StripPlace { row, track, .. }: StripPlace, strip: &Strip, x_of: impl Fn(f64) -> f64) {
        let p = &self.palette;
        let y = track.bottom() + 2.5;
        let from = x_of(strip.log_start as f64).max(track.x);
        let end = x_of(strip.log_end as f64).min(track.right());
        let middle = x_of(strip.flushed.clamp(strip.log_start, strip.log_end) as f64).clamp(from, end.max(from));
        let label = track.x - row.x;
        if label > 60.0 && row.h >= 34.0 && strip.log_end > 0 {
            let text = format!("on disk: {}", words::short(strip.flushed.max(0).unsigned_abs()));
            pen.clipped((row.x, track.bottom() + 5.0), &text, Face::Tiny, &p.muted, label - 6.0);
        }
        pen.line(&[Point { x: from, y }, Point { x: middle, y }], &p.ok, 3.0);
        pen.dash(&[3.0, 3.0]);
        pen.line(&[Point { x: middle, y }, Point { x: end, y }], &p.warn, 2.0);
        pen.dash(&[]);
        for start in strip.segments.iter().filter(|start| **start > strip.log_start && **start <= strip.log_end) {
            let x = x_of(*start as f64);
            for side in [-1.5, 1.5] {
                let ends = [Point { x: x + side, y: track.y - 3.0 }, Point { x: x + side, y: track.bottom() + 5.0 }];
                pen.line(&ends, &p.muted, 1.0);
            }
        }
    }

    /// Records that were cut off: they fall out of the log and fade.
    fn fallen(&self, pen: &Pen, place: &StripPlace, strip: &Strip, x_of: impl Fn(f64) -> f64, alpha: f64) {
        let p = &self.palette;
        let StripPlace { track, cell, .. } = *place;
        for fallen in &strip.fallen {
            let x = x_of(fallen.cell.offset as f64);
            if x < track.x || x + cell > track.right() {
                continue;
            }
            let part = f64::from(fallen.part);
            let aside = if fallen.cell.offset % 2 == 0 { -5.0 } else { 5.0 } * part;
            let pad = (track.h * 0.14).clamp(1.5, 4.0);
            let y = track.y + pad + part * part * (track.h * 2.0 + 16.0);
            let body = Rect::new(x + 1.0 + aside, y, cell - 2.5, track.h - 2.0 * pad);
            pen.alpha(alpha * (1.0 - part * part));
            pen.fill(body, 3.5, p.key_soft(fallen.cell.mark.hue));
            pen.outline(body, 3.5, &p.bad, 1.25);
            pen.mark(fallen.cell.mark, body.center(), (track.h * 0.21).clamp(2.0, 6.0), p, fallen.cell.tombstone);
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

    pub(super) fn crown(&self, pen: &Pen, x: f64, y: f64, color: &str) {
        let shape = [(0.0, 0.0), (0.0, -9.0), (3.6, -4.6), (6.5, -10.0), (9.4, -4.6), (13.0, -9.0), (13.0, 0.0)];
        pen.polygon(&shape.map(|(dx, dy)| (x + dx, y + dy)), color);
    }

    fn group(&mut self, pen: &Pen, frame: Rect, group: &GroupFrame, view: &View) {
        let p = &self.palette;
        pen.fill(frame, 14.0, &p.raised);
        let chosen = view.selected == Some(Thing::Group(group.name.clone()));
        pen.outline(frame, 14.0, if chosen { &p.accent } else { &p.line }, if chosen { 2.0 } else { 1.25 });
        let x = frame.x + 14.0;
        let low = self.layout.narrow;
        let y = if low { frame.bottom() - 14.0 } else { frame.y + 27.0 };
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
            match group.progress {
                Some(part) => pen.arc(center, 7.0, 0.0, f64::from(part).clamp(0.02, 1.0), &p.warn, 2.5),
                None => self.rings.push(Ring { center, radius: 7.0, part: 0.3, period: 1200.0 }),
            }
            right -= 22.0;
        }
        if low {
            return pen.clipped((x, y), &group.name, Face::Name, &p.ink, right - x);
        }
        let lag = format!("lag {}", words::short(group.lag));
        // What is read and not committed yet is no backlog; what nobody reads is.
        let waits = group.lag > 0 && (group.unread > 0 || group.stopped.0 > 0);
        let color = if waits { &p.warn } else { &p.muted };
        pen.text((frame.right() - 14.0, y), &lag, Face::Text, color, Align::Right);
        let room = frame.right() - 22.0 - x - pen.width(&lag, Face::Text);
        pen.clipped((x, y), &group.name, Face::Name, &p.ink, room);
        let (stopped, all) = group.stopped;
        if stopped == 0 || group.members.is_empty() || group.line.starts_with("share") {
            return pen.clipped((x, below), &group.line, Face::Text, &p.muted, right - x);
        }
        // What stands still is the news: hatched, as a chip that nobody reads.
        let text = format!("{} of {} unread", words::short(u64::from(stopped)), words::short(u64::from(all)));
        let width = (pen.width(&text, Face::Tiny) + 14.0).min(right - x);
        let body = Rect::new(x, below - 14.0, width, 19.0);
        pen.fill(body, 5.0, &p.warn_soft);
        pen.hatch(body, 5.0, &p.warn_soft, 6.0);
        pen.outline(body, 5.0, &p.warn, 1.0);
        pen.clipped((x + 7.0, below), &text, Face::Tiny, &p.warn, width - 10.0);
        if right - x - width > 60.0 {
            pen.clipped((x + width + 8.0, below), &group.line, Face::Text, &p.muted, right - x - width - 8.0);
        }
    }

    fn consumer(&self, pen: &Pen, rect: Rect, card: &ConsumerCard) {
        let p = &self.palette;
        let pad = 12.0;
        let (x, room) = (rect.x + pad, rect.w - 2.0 * pad);
        let ink = if card.health == Health::Down { &p.muted } else { &p.ink };
        // Where the whole name has no room, its own part tells more than its beginning.
        let own = card.name.strip_prefix("consumer-").unwrap_or(&card.name);
        let name_within = |room: f64, face| if pen.width(&card.name, face) <= room { &card.name } else { own };
        if rect.h < 30.0 {
            let pad = if rect.w < 120.0 { 6.0 } else { pad };
            let (x, room) = (rect.x + pad, rect.w - 2.0 * pad);
            return pen.clipped((x, rect.center().y + 4.0), name_within(room, Face::Tiny), Face::Tiny, ink, room);
        }
        let processed = words::short(card.processed);
        let y = rect.y + 22.0;
        let width = pen.width(&processed, Face::Mono);
        let right = rect.right() - pad - 22.0;
        pen.text((right, y), &processed, Face::Mono, &p.muted, Align::Right);
        let beside = room - width - 30.0;
        pen.clipped((x, y), name_within(beside, Face::Strong), Face::Strong, ink, beside);
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
            if chip.label.is_empty() || at + width > x + room - if left > 1 { 26.0 } else { 0.0 } {
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

/// What the controller has in mind for a replica, in a word.
fn tag_of(strip: &Strip) -> Option<&'static str> {
    match (strip.moving, strip.eligible) {
        (Some(Moving::Coming), _) => Some("joins"),
        (Some(Moving::Going), _) => Some("leaves"),
        (None, true) => Some("ELR"),
        (None, false) => None,
    }
}

/// The offset at the right edge of what a strip shows: its log's end, or behind it while records fall off there.
fn in_sight(strip: &Strip, end: f64, capacity: f64) -> f64 {
    let Some(last) = strip.fallen.iter().max_by_key(|fallen| fallen.cell.offset) else { return end };
    let lost = (last.cell.offset + 1 - strip.log_end).max(0) as f64;
    let back = ((f64::from(last.part) - 0.75) / 0.25).clamp(0.0, 1.0);
    strip.log_end as f64 + lost.min(capacity * 0.6) * (1.0 - back * back * (3.0 - 2.0 * back))
}

/// A sign that cannot be overlooked: a filled triangle with a stroke in it.
fn warning(pen: &Pen, at: Point, color: &str, ink: &str) {
    let Point { x, y } = at;
    pen.polygon(&[(x, y - 7.0), (x + 7.5, y + 6.0), (x - 7.5, y + 6.0)], color);
    pen.line(&[Point { x, y: y - 2.5 }, Point { x, y: y + 1.8 }], ink, 1.6);
    pen.dot(Point { x, y: y + 4.0 }, 0.9, ink);
}
