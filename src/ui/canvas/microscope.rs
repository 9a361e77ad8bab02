//! The microscope's sheet: lanes, messages and deadlines above, who reads which partition below.
//!
//! Only what is on show is drawn, and what would fall on one pixel is drawn once: a thousand lanes cost what the window
//! has room for.

use web_sys::HtmlCanvasElement;

use super::pen::{Align, Face, Pen};
use crate::scene::layout::{Point, Rect};
use crate::scene::microscope::axis::Axis;
use crate::scene::microscope::{Arrow, Slide, Sort, Spot};
use crate::scene::words;
use crate::sim::rebalances::What;
use crate::time::Instant;
use crate::ui::theme::Palette;
use wasm_bindgen::JsCast;

/// Which part of the sheet is on show: places on the axis, and pixels down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lens {
    pub left: f64,
    pub right: f64,
    pub down: f64,
}

impl Default for Lens {
    fn default() -> Self {
        Self { left: 0.0, right: 1.0, down: 0.0 }
    }
}

/// What else is to be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sight {
    pub lens: Lens,
    /// The moment on show on the stage.
    pub now: Option<Instant>,
    /// What the person points at, or has the focus on.
    pub spot: Option<Spot>,
    /// The pointer's place across.
    pub pointer: Option<f64>,
}

/// Paints slides onto a canvas and finds what lies under a point.
pub struct Microscope {
    canvas: HtmlCanvasElement,
    pen: Pen,
    palette: Palette,
    size: (f64, f64, f64),
    plan: Plan,
    hits: Vec<(Spot, Point, Point)>,
}

/// Where lanes and rows lie.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Plan {
    pub gutter: f64,
    /// Below the axis.
    pub top: f64,
    head: f64,
    lane: f64,
    chart: f64,
    rows: f64,
    row: f64,
    /// Down to the last row.
    pub whole: f64,
    /// Few enough lanes to draw messages from one to another.
    few: bool,
}

const RIGHT: f64 = 14.0;
const AXIS: f64 = 24.0;

impl Plan {
    fn of(slide: &Slide, width: f64, height: f64) -> Self {
        let members = slide.lanes.len().saturating_sub(slide.coordinators);
        let gutter = if width < 560.0 { 84.0 } else { 148.0 };
        let head = 62.0;
        let chart = if slide.rows.len() > 12 { 52.0 } else { 0.0 };
        let row = match slide.rows.len() {
            0..=8 => 26.0,
            9..=40 => 20.0,
            _ => 12.0,
        };
        let rows_below = if slide.rows.is_empty() { 0.0 } else { 26.0 + slide.rows.len() as f64 * row };
        let left = height - AXIS - head * slide.coordinators as f64 - chart - rows_below.min(height * 0.42);
        let lane = (left / members.max(1) as f64).clamp(if members <= 12 { 36.0 } else { 15.0 }, 104.0);
        let lanes = head * slide.coordinators as f64 + lane * members as f64;
        let rows = AXIS + lanes + chart + 26.0;
        Self {
            gutter,
            top: AXIS,
            head,
            lane,
            chart,
            rows,
            row,
            whole: rows + slide.rows.len() as f64 * row + 12.0,
            few: members <= 12,
        }
    }

    /// The line of a lane, before scrolling.
    fn line(&self, slide: &Slide, lane: usize) -> f64 {
        if lane < slide.coordinators {
            return self.top + self.head * (lane as f64 + 1.0) - 10.0;
        }
        let members = self.top + self.head * slide.coordinators as f64;
        members + self.lane * ((lane - slide.coordinators) as f64 + 0.62)
    }
}

impl Microscope {
    /// A painter for a canvas; `None` where the browser gives no drawing context.
    pub fn new(canvas: HtmlCanvasElement) -> Option<Self> {
        let ctx = canvas.get_context("2d").ok().flatten()?.dyn_into().ok()?;
        Some(Self {
            canvas,
            pen: Pen { ctx },
            palette: Palette::read(),
            size: (0.0, 0.0, 0.0),
            plan: Plan::default(),
            hits: Vec::new(),
        })
    }

    /// Reads the colours again, after the theme changed.
    pub fn restyle(&mut self) {
        self.palette = Palette::read();
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The part of the width, left of the lanes' end, that a point across has; beyond 0 and 1 outside of it.
    pub fn across(&self, x: f64) -> f64 {
        (x - self.plan.gutter) / (self.size.0 - self.plan.gutter - RIGHT).max(1.0)
    }

    pub fn paint(&mut self, slide: &Slide, axis: &Axis, sight: &Sight, size: (f64, f64, f64)) {
        if self.size != size {
            self.size = size;
            self.canvas.set_width((size.0 * size.2).round() as u32);
            self.canvas.set_height((size.1 * size.2).round() as u32);
            // Only a number that is none is refused.
            let _ = self.pen.ctx.set_transform(size.2, 0.0, 0.0, size.2, 0.0, 0.0);
        }
        self.plan = Plan::of(slide, size.0, size.1);
        self.hits.clear();
        let pen = self.pen.clone();
        pen.clear(size.0, size.1);
        let draw = Draw { pen: &pen, p: &self.palette, plan: &self.plan, slide, axis, sight, size };
        let mut hits = std::mem::take(&mut self.hits);
        pen.ctx.save();
        draw.clip(Rect::new(0.0, AXIS, size.0, size.1 - AXIS));
        draw.rows(&mut hits);
        draw.chart();
        draw.lanes();
        draw.states();
        draw.arrows(&mut hits);
        draw.brackets(&mut hits);
        draw.marks(&mut hits);
        draw.names();
        pen.ctx.restore();
        draw.axis();
        draw.lines();
        self.hits = hits;
    }

    /// What lies under a point, the nearest first.
    pub fn spot_at(&self, point: Point) -> Option<Spot> {
        const NEAR: f64 = 9.0;
        let distance = |a: Point, b: Point| {
            let (dx, dy) = (b.x - a.x, b.y - a.y);
            let length = dx * dx + dy * dy;
            let part = if length > 0.0 { ((point.x - a.x) * dx + (point.y - a.y) * dy) / length } else { 0.0 };
            let part = part.clamp(0.0, 1.0);
            (point.x - a.x - dx * part).hypot(point.y - a.y - dy * part)
        };
        let near = self.hits.iter().map(|(spot, a, b)| (spot, distance(*a, *b))).filter(|(_, far)| *far < NEAR);
        // What is drawn later lies above.
        near.rev().min_by(|a, b| a.1.total_cmp(&b.1)).map(|(spot, _)| *spot)
    }
}

struct Draw<'a> {
    pen: &'a Pen,
    p: &'a Palette,
    plan: &'a Plan,
    slide: &'a Slide,
    axis: &'a Axis,
    sight: &'a Sight,
    size: (f64, f64, f64),
}

type Hits = Vec<(Spot, Point, Point)>;

impl Draw<'_> {
    fn clip(&self, rect: Rect) {
        self.pen.ctx.begin_path();
        self.pen.ctx.rect(rect.x, rect.y, rect.w, rect.h);
        self.pen.ctx.clip();
    }

    fn x(&self, at: Instant) -> f64 {
        let Lens { left, right, .. } = self.sight.lens;
        let part = (self.axis.place(at) - left) / (right - left).max(1e-9);
        self.plan.gutter + part * (self.size.0 - self.plan.gutter - RIGHT)
    }

    fn y(&self, lane: usize) -> f64 {
        self.plan.line(self.slide, lane) - self.sight.lens.down
    }

    fn left(&self) -> f64 {
        self.plan.gutter
    }

    fn right(&self) -> f64 {
        self.size.0 - RIGHT
    }

    /// Lanes that are on show.
    fn shown(&self) -> impl Iterator<Item = usize> {
        (0..self.slide.lanes.len()).filter(|lane| {
            let y = self.y(*lane);
            y > AXIS - self.plan.lane && y < self.size.1 + self.plan.lane
        })
    }

    fn hue(&self, lane: usize) -> u8 {
        (lane.saturating_sub(self.slide.coordinators) % 8) as u8
    }

    fn axis(&self) {
        let (pen, p) = (self.pen, self.p);
        pen.fill(Rect::new(0.0, 0.0, self.size.0, AXIS), 0.0, &p.panel);
        let Lens { left, right, .. } = self.sight.lens;
        let apart = 92.0 / (self.right() - self.left()).max(1.0) * (right - left);
        for tick in self.axis.ticks(left, right, apart) {
            let x = self.x(tick);
            pen.line(&[Point { x, y: AXIS - 5.0 }, Point { x, y: AXIS }], &p.faint, 1.0);
            if x < self.right() - 20.0 && x > self.left() + 12.0 {
                pen.text((x, 14.0), &precise(tick), Face::Tiny, &p.muted, Align::Middle);
            }
        }
        pen.line(&[Point { x: 0.0, y: AXIS }, Point { x: self.size.0, y: AXIS }], &p.line, 1.0);
    }

    /// The moment on the stage, and the one under the pointer.
    fn lines(&self) {
        let (pen, p) = (self.pen, self.p);
        let now = self.sight.now.map(|now| self.x(now));
        if let Some(now) = now.filter(|now| *now >= self.left() && *now <= self.right() + 1.0) {
            pen.line(&[Point { x: now, y: AXIS - 4.0 }, Point { x: now, y: self.size.1 }], &p.accent, 1.5);
            pen.dot(Point { x: now, y: AXIS - 4.0 }, 4.0, &p.accent);
        }
        if let Some(x) = self.sight.pointer.filter(|x| *x > self.left() && *x < self.right()) {
            let Lens { left, right, .. } = self.sight.lens;
            let part = (x - self.left()) / (self.right() - self.left());
            let label = precise(self.axis.moment(left + part * (right - left)));
            pen.alpha(0.5);
            pen.line(&[Point { x, y: AXIS }, Point { x, y: self.size.1 }], &p.faint, 1.0);
            pen.alpha(1.0);
            let width = pen.width(&label, Face::Tiny) + 12.0;
            let at = (x - width / 2.0).clamp(self.left(), self.right() - width);
            pen.fill(Rect::new(at, 2.0, width, 18.0), 6.0, &p.ink);
            pen.text((at + width / 2.0, 15.0), &label, Face::Tiny, &p.panel, Align::Middle);
        }
    }

    fn names(&self) {
        let (pen, p) = (self.pen, self.p);
        pen.fill(Rect::new(0.0, AXIS, self.left() - 6.0, self.size.1), 0.0, &p.panel);
        let room = self.left() - 34.0;
        let face = if self.plan.lane < 22.0 { Face::Tiny } else { Face::Strong };
        // Where room is short, what all names begin with goes.
        let is_long = |lane: usize| lane >= self.slide.coordinators && pen.width(self.slide.lane(lane), face) > room;
        let common = if self.shown().any(is_long) { self.slide.common() } else { 0 };
        for lane in self.shown() {
            let name = self.slide.lane(lane);
            let y = self.y(lane);
            if lane < self.slide.coordinators {
                pen.clipped((12.0, y - 14.0), name, Face::Strong, &p.ink, room + 14.0);
                pen.clipped((12.0, y + 1.0), "coordinator", Face::Tiny, &p.muted, room + 14.0);
                continue;
            }
            pen.fill(Rect::new(12.0, y - 5.0, 9.0, 9.0), 2.5, p.key(self.hue(lane)));
            pen.clipped((27.0, y + 4.0), &name[common..], face, &p.ink, room);
        }
        let top = self.plan.rows - self.sight.lens.down;
        if !self.slide.rows.is_empty() {
            let heading = if self.left() < 100.0 { "READ BY" } else { "PARTITIONS, READ BY" };
            pen.text((12.0, top - 9.0), heading, Face::Heading, &p.muted, Align::Left);
        }
        for (place, row) in self.rows_shown() {
            let y = top + place as f64 * self.plan.row;
            let face = if self.plan.row < 16.0 { Face::MonoTiny } else { Face::Mono };
            pen.partition((12.0, y + self.plan.row / 2.0 + 4.0), &row.label, face, &p.ink, room + 14.0);
        }
    }

    fn lanes(&self) {
        let (pen, p) = (self.pen, self.p);
        for lane in self.shown() {
            let y = self.y(lane);
            let color = if lane < self.slide.coordinators { &p.muted } else { &p.line };
            pen.line(&[Point { x: self.left(), y }, Point { x: self.right(), y }], color, 1.25);
        }
        // While a process is gone or frozen its line is broken.
        for (place, mark) in self.slide.marks.iter().enumerate() {
            if !matches!(mark.what, What::Ended | What::Froze) {
                continue;
            }
            let later = self.slide.marks[place + 1..].iter().find(|next| next.lane == mark.lane);
            let end = later.map_or(self.slide.to, |next| next.at);
            let y = self.y(mark.lane);
            let (a, b) = (self.x(mark.at).max(self.left()), self.x(end).min(self.right()));
            if a < b {
                pen.line(&[Point { x: a, y }, Point { x: b, y }], &p.panel, 3.0);
                pen.dash(&[3.0, 4.0]);
                pen.line(&[Point { x: a, y }, Point { x: b, y }], &p.bad, 1.5);
                pen.dash(&[]);
            }
        }
    }

    fn states(&self) {
        let (pen, p) = (self.pen, self.p);
        if self.slide.coordinators == 0 {
            return;
        }
        let y = AXIS + 6.0 - self.sight.lens.down;
        for state in &self.slide.states {
            let (a, b) = (self.x(state.from).max(self.left()), self.x(state.to).min(self.right()));
            if b - a < 0.5 {
                continue;
            }
            let (tone, soft) = match state.name {
                "Stable" => (&p.ok, &p.ok_soft),
                "Empty" | "Dead" => (&p.muted, &p.soft),
                _ => (&p.warn, &p.warn_soft),
            };
            pen.fill(Rect::new(a + 0.5, y, (b - a - 1.0).max(1.0), 18.0), 5.0, soft);
            let text = match state.generation {
                known if known > 0 => format!("{} {known}", state.name),
                _ => state.name.to_owned(),
            };
            if b - a > 26.0 {
                pen.clipped((a + 7.0, y + 13.0), &text, Face::Tiny, tone, b - a - 12.0);
            }
        }
    }

    fn tone(&self, sort: Sort) -> &str {
        match sort {
            Sort::Join => &self.p.accent,
            Sort::Sync => self.p.key(2),
            Sort::Offsets => self.p.key(6),
            Sort::Leave => &self.p.warn,
            Sort::News => &self.p.accent,
            Sort::Pulse => &self.p.faint,
            Sort::Error => &self.p.bad,
        }
    }

    fn arrows(&self, hits: &mut Hits) {
        let mut last = vec![f64::MIN; self.slide.lanes.len()];
        let mut labelled = vec![f64::MIN; self.slide.lanes.len() * 2];
        for (place, arrow) in self.slide.arrows.iter().enumerate() {
            let (a, b) = (self.x(arrow.sent), self.x(arrow.due));
            if b < self.left() || a > self.right() {
                continue;
            }
            let member = if arrow.request { arrow.from } else { arrow.to };
            let spot = Spot::Arrow(place);
            let chosen = self.sight.spot == Some(spot);
            if arrow.sort == Sort::Pulse && !chosen {
                // One beat a pixel and lane says all that can be seen.
                if (a - last[member]).abs() < 1.0 {
                    continue;
                }
                last[member] = a;
            }
            if self.plan.few {
                self.arrow(arrow, (a, b), chosen, &mut labelled, hits, spot);
            } else {
                self.tick(arrow, (a, b), member, chosen, hits, spot);
            }
        }
        self.pen.alpha(1.0);
    }

    fn arrow(
        &self,
        arrow: &Arrow,
        (a, b): (f64, f64),
        chosen: bool,
        labelled: &mut [f64],
        hits: &mut Hits,
        spot: Spot,
    ) {
        let (pen, p) = (self.pen, self.p);
        let (start, end) = (Point { x: a, y: self.y(arrow.from) }, Point { x: b, y: self.y(arrow.to) });
        let faint = arrow.sort == Sort::Pulse;
        let color = self.tone(arrow.sort);
        pen.alpha(if chosen {
            1.0
        } else if faint {
            0.4
        } else if arrow.request {
            0.95
        } else {
            0.7
        });
        if chosen {
            pen.line(&[start, end], &p.accent_soft, 7.0);
        }
        if !arrow.request {
            pen.dash(&[4.0, 3.0]);
        }
        pen.line(
            &[start, end],
            color,
            if chosen {
                2.5
            } else if faint {
                1.0
            } else {
                1.6
            },
        );
        pen.dash(&[]);
        self.tip(start, end, color, if faint { 3.0 } else { 5.0 });
        hits.push((spot, start, end));
        let member = if arrow.request { arrow.from } else { arrow.to };
        let text = short(arrow);
        if faint || text.is_empty() {
            return;
        }
        // Requests are named below their member's line; an error beside its arrow's middle, where it has room.
        let error = arrow.sort == Sort::Error;
        let at = if error { (a + b) / 2.0 + 6.0 } else { a + 3.0 };
        let place = if error { self.slide.lanes.len() + member } else { member };
        let width = pen.width(text, Face::Tiny);
        let fits = at > labelled[place] && at + width < self.right() && at > self.left();
        // An error's name is long: it is told seldom, and not at all where it would hide what it is about.
        let hides = error && width > 0.4 * (self.right() - self.left());
        if (fits && !hides) || chosen {
            labelled[place] = at + width * if error { 3.0 } else { 1.0 } + 8.0;
            let y = if error { (start.y + end.y) / 2.0 } else { self.y(member) + 16.0 };
            pen.alpha(1.0);
            if error {
                pen.fill(Rect::new(at - 3.0, y - 11.0, width + 6.0, 15.0), 3.0, &p.bad_soft);
            }
            pen.text((at, y), text, Face::Tiny, color, Align::Left);
        }
    }

    /// The head of an arrow.
    fn tip(&self, start: Point, end: Point, color: &str, size: f64) {
        let (dx, dy) = (end.x - start.x, end.y - start.y);
        let length = dx.hypot(dy);
        if length < 6.0 {
            return;
        }
        let (ux, uy) = (dx / length, dy / length);
        let back = (end.x - ux * size * 1.5, end.y - uy * size * 1.5);
        let wing = size * 0.62;
        self.pen.polygon(
            &[(end.x, end.y), (back.0 - uy * wing, back.1 + ux * wing), (back.0 + uy * wing, back.1 - ux * wing)],
            color,
        );
    }

    /// Where lanes are many, a message is a stroke on its member's lane.
    fn tick(&self, arrow: &Arrow, (a, b): (f64, f64), member: usize, chosen: bool, hits: &mut Hits, spot: Spot) {
        let x = if arrow.request { a } else { b };
        let y = self.y(member);
        if y < AXIS - 20.0 || y > self.size.1 + 20.0 || x < self.left() || x > self.right() {
            return;
        }
        let faint = arrow.sort == Sort::Pulse;
        let half = (self.plan.lane * if faint { 0.18 } else { 0.36 }).min(10.0);
        let (top, bottom) = if arrow.request { (y - half * 2.0, y) } else { (y, y + half) };
        self.pen.alpha(if chosen {
            1.0
        } else if faint {
            0.45
        } else {
            0.9
        });
        let (start, end) = (Point { x, y: top }, Point { x, y: bottom });
        self.pen.line(&[start, end], self.tone(arrow.sort), if chosen { 3.0 } else { 1.4 });
        hits.push((spot, start, end));
    }

    fn brackets(&self, hits: &mut Hits) {
        let (pen, p) = (self.pen, self.p);
        for (place, bracket) in self.slide.brackets.iter().enumerate() {
            let (a, b) = (self.x(bracket.from).max(self.left()), self.x(bracket.to).min(self.right()));
            let on_coordinator = bracket.lane < self.slide.coordinators;
            let y = self.y(bracket.lane) - if on_coordinator { 16.0 } else { (self.plan.lane * 0.44).max(8.0) };
            if b - a < 2.0 || y < AXIS - 10.0 || y > self.size.1 {
                continue;
            }
            let chosen = self.sight.spot == Some(Spot::Bracket(place));
            let (start, end) = (Point { x: a, y }, Point { x: b, y });
            let width = if chosen { 2.5 } else { 1.5 };
            pen.line(&[Point { x: a, y: y + 5.0 }, start, end, Point { x: b, y: y + 5.0 }], &p.warn, width);
            hits.push((Spot::Bracket(place), start, end));
            let text = format!("{} · {}", bracket.setting, words::span(bracket.to.since(bracket.from)));
            let wide = pen.width(&text, Face::Tiny) + 10.0;
            if b - a > 60.0 && (self.plan.lane > 20.0 || on_coordinator) {
                let w = wide.min(b - a - 8.0);
                pen.fill(Rect::new((a + b - w) / 2.0, y - 8.0, w, 16.0), 4.0, &p.panel);
                pen.clipped(((a + b - w) / 2.0 + 5.0, y + 4.0), &text, Face::Tiny, &p.warn, w - 8.0);
            }
        }
    }

    fn marks(&self, hits: &mut Hits) {
        let (pen, p) = (self.pen, self.p);
        let mut last = vec![f64::MIN; self.slide.lanes.len()];
        for (place, mark) in self.slide.marks.iter().enumerate() {
            let x = self.x(mark.at);
            let y = self.y(mark.lane);
            if x < self.left() - 1.0 || x > self.right() + 1.0 || y < AXIS - 20.0 || y > self.size.1 + 20.0 {
                continue;
            }
            let (text, tone, soft) = match mark.what {
                What::Assigned => (format!("+{}", mark.count), &p.ok, &p.ok_soft),
                What::Revoked => (format!("−{}", mark.count), &p.warn, &p.warn_soft),
                What::Lost => (format!("✕{}", mark.count), &p.bad, &p.bad_soft),
                What::Leaves => ("leaves".to_owned(), &p.warn, &p.warn_soft),
                What::Out => ("out".to_owned(), &p.bad, &p.bad_soft),
                What::CommitFailed => ("no commit".to_owned(), &p.bad, &p.bad_soft),
                What::Started => ("starts".to_owned(), &p.muted, &p.soft),
                What::Froze => ("frozen".to_owned(), &p.bad, &p.bad_soft),
                What::WentOn => ("goes on".to_owned(), &p.ok, &p.ok_soft),
                What::Ended => ("ends".to_owned(), &p.bad, &p.bad_soft),
                What::Epoch => (format!("e{}", mark.count), &p.accent, &p.accent_soft),
                What::Joins => continue,
            };
            let chosen = self.sight.spot == Some(Spot::Mark(place));
            let small = self.plan.lane < 22.0;
            let face = if small { Face::MonoTiny } else { Face::Tiny };
            let width = pen.width(&text, face) + 10.0;
            // Marks that would cover each other make room.
            let at = (x - width / 2.0).max(last[mark.lane] + 2.0).min(self.right() - width + 10.0);
            last[mark.lane] = at + width;
            let h = if small { 12.0 } else { 17.0 };
            let body = Rect::new(at, y - h / 2.0, width, h);
            pen.fill(body, h / 2.0, soft);
            pen.outline(body, h / 2.0, if chosen { &p.accent } else { tone }, if chosen { 2.0 } else { 1.0 });
            pen.text((at + width / 2.0, y + if small { 3.5 } else { 4.0 }), &text, face, tone, Align::Middle);
            hits.push((Spot::Mark(place), Point { x: at + 4.0, y }, Point { x: at + width - 4.0, y }));
        }
    }

    fn rows_shown(&self) -> impl Iterator<Item = (usize, &crate::scene::microscope::Row)> {
        let top = self.plan.rows - self.sight.lens.down;
        let first = ((AXIS - top) / self.plan.row).floor().max(0.0) as usize;
        let count = (self.size.1 / self.plan.row) as usize + 2;
        self.slide.rows.iter().enumerate().skip(first).take(count)
    }

    fn rows(&self, hits: &mut Hits) {
        let (pen, p) = (self.pen, self.p);
        let top = self.plan.rows - self.sight.lens.down;
        let h = self.plan.row - if self.plan.row > 14.0 { 5.0 } else { 3.0 };
        for (place, row) in self.rows_shown() {
            let y = top + place as f64 * self.plan.row;
            for (index, spell) in row.spells.iter().enumerate() {
                let (a, b) = (self.x(spell.from).max(self.left()), self.x(spell.to).min(self.right()));
                if b - a < 0.3 {
                    continue;
                }
                let body = Rect::new(a, y, b - a, h);
                let spot = Spot::Stretch(place, index);
                let chosen = self.sight.spot == Some(spot);
                match spell.reader {
                    Some(lane) => {
                        let hue = self.hue(lane);
                        pen.fill(body, 3.0, p.key_soft(hue));
                        if b - a > 70.0 && h > 12.0 {
                            let name = self.slide.lane(lane);
                            pen.clipped(
                                (a.max(self.left()) + 6.0, y + h - 4.0),
                                name,
                                Face::MonoTiny,
                                p.key(hue),
                                b - a - 10.0,
                            );
                        }
                    }
                    None => {
                        pen.fill(body, 2.0, &p.bad_soft);
                        if b - a > 4.0 {
                            pen.hatch(body, 2.0, &p.bad, 6.0);
                        } else {
                            pen.fill(body, 1.0, &p.bad);
                        }
                    }
                }
                if chosen {
                    pen.outline(body, 3.0, &p.accent, 2.0);
                }
                hits.push((spot, Point { x: a, y: y + h / 2.0 }, Point { x: b, y: y + h / 2.0 }));
            }
        }
    }

    /// How many partitions are read by nobody, over time.
    fn chart(&self) {
        if self.plan.chart == 0.0 {
            return;
        }
        let (pen, p) = (self.pen, self.p);
        let bottom = self.plan.rows - self.sight.lens.down - 28.0;
        let high = self.plan.chart - 18.0;
        let most = self.slide.rows.len().max(1) as f64;
        let mut points = vec![(self.left(), bottom)];
        for (at, unread) in &self.slide.unread_steps {
            let x = self.x(*at).clamp(self.left(), self.right());
            let before = points.last().map_or(bottom, |last| last.1);
            points.push((x, before));
            points.push((x, bottom - high * f64::from(*unread) / most));
        }
        let last = points.last().map_or(bottom, |last| last.1);
        points.push((self.right(), last));
        points.push((self.right(), bottom));
        pen.alpha(0.75);
        pen.polygon(&points, &p.bad_soft);
        pen.alpha(1.0);
        let line: Vec<Point> = points.iter().map(|(x, y)| Point { x: *x, y: *y }).collect();
        pen.line(&line, &p.bad, 1.25);
        let peak = self.slide.unread_steps.iter().map(|(_, unread)| *unread).max().unwrap_or(0);
        let text =
            format!("read by nobody: up to {} of {}", words::grouped(u64::from(peak)), words::grouped(most as u64));
        pen.text((self.right() - 4.0, bottom - high - 4.0), &text, Face::Tiny, &p.bad, Align::Right);
    }
}

/// What stands beside an arrow.
fn short(arrow: &Arrow) -> &'static str {
    match (arrow.sort, arrow.request) {
        (Sort::Error, _) => arrow.label,
        (Sort::Join, true) => "Join",
        (Sort::Sync, true) => "Sync",
        (Sort::Leave, true) => "Leave",
        (Sort::Offsets, true) => {
            if arrow.label == "OffsetCommit" {
                "commit"
            } else {
                "offsets?"
            }
        }
        (Sort::News, _) => "heartbeat",
        _ => "",
    }
}

/// A moment as exact as its digits: `3.002 5 s` needs no zeros.
fn precise(at: Instant) -> String {
    let micros = at.as_micros();
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} s")
}
