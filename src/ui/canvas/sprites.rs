//! Message shapes drawn once and then stamped: a pill costs the same whether it is the first or the ten thousandth.

use std::collections::BTreeMap;

use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

use super::pen::{Align, Face, Pen};
use crate::scene::layout::{Point, Rect};
use crate::scene::marks::Mark;
use crate::scene::words;
use crate::ui::browser;
use crate::ui::theme::Palette;

/// What a sprite shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// A pill with the first marks of a batch, and how many records it has.
    Pill {
        marks: [Option<Mark>; 3],
        records: u32,
    },
    Ask,
    Tick,
    Cross,
    Control,
    Ballot,
    Pulse,
}

/// A drawn shape, and half its size.
#[derive(Clone)]
pub struct Sprite {
    pub canvas: HtmlCanvasElement,
    pub half: (f64, f64),
}

/// The shapes drawn so far, for one theme and one resolution.
#[derive(Default)]
pub struct Sprites {
    drawn: BTreeMap<Shape, Option<Sprite>>,
}

/// Enough for every batch of a lively stage; more would only hold memory.
const MOST: usize = 600;

impl Sprites {
    /// A shape, drawn now if it was not before.
    pub fn get(&mut self, shape: Shape, palette: &Palette, scale: f64) -> Option<&Sprite> {
        if self.drawn.len() > MOST && !self.drawn.contains_key(&shape) {
            self.drawn.clear();
        }
        self.drawn.entry(shape).or_insert_with(|| draw(shape, palette, scale)).as_ref()
    }
}

fn draw(shape: Shape, palette: &Palette, scale: f64) -> Option<Sprite> {
    let half = half_size(shape);
    let canvas: HtmlCanvasElement = browser::document().create_element("canvas").ok()?.dyn_into().ok()?;
    canvas.set_width((half.0 * 2.0 * scale).ceil() as u32);
    canvas.set_height((half.1 * 2.0 * scale).ceil() as u32);
    let ctx: CanvasRenderingContext2d = canvas.get_context("2d").ok()??.dyn_into().ok()?;
    let _ = ctx.scale(scale, scale);
    let pen = Pen { ctx };
    let center = Point { x: half.0, y: half.1 };
    match shape {
        Shape::Pill { marks, records } => pill(&pen, center, marks, records, palette),
        Shape::Ask => {
            pen.dot(center, 4.0, &palette.stage);
            pen.arc(center, 4.0, 0.0, 1.0, &palette.muted, 1.6);
        }
        Shape::Tick => {
            pen.dot(center, 7.0, &palette.ok_soft);
            let tick = [(-3.0, 0.2), (-0.9, 2.4), (3.2, -2.2)];
            pen.line(&tick.map(|(x, y)| Point { x: center.x + x, y: center.y + y }), &palette.ok, 1.8);
        }
        Shape::Cross => {
            pen.dot(center, 8.0, &palette.bad);
            for side in [-1.0, 1.0] {
                let stroke = [(-2.8, -2.8 * side), (2.8, 2.8 * side)];
                pen.line(&stroke.map(|(x, y)| Point { x: center.x + x, y: center.y + y }), &palette.panel, 1.8);
            }
        }
        Shape::Control => {
            let corners = [(0.0, -5.5), (5.5, 0.0), (0.0, 5.5), (-5.5, 0.0)];
            pen.polygon(&corners.map(|(x, y)| (center.x + x, center.y + y)), &palette.accent);
            pen.polygon(&corners.map(|(x, y)| (center.x + x * 0.55, center.y + y * 0.55)), &palette.panel);
        }
        Shape::Ballot => {
            let paper = Rect::new(center.x - 7.0, center.y - 6.0, 14.0, 12.0);
            pen.fill(paper, 2.0, &palette.panel);
            pen.outline(paper, 2.0, &palette.accent, 1.6);
            let tick = [(-3.0, 0.2), (-0.9, 2.4), (3.2, -2.2)];
            pen.line(&tick.map(|(x, y)| Point { x: center.x + x, y: center.y + y }), &palette.accent, 1.6);
        }
        Shape::Pulse => pen.dot(center, 2.2, &palette.muted),
    }
    Some(Sprite { canvas, half })
}

fn half_size(shape: Shape) -> (f64, f64) {
    match shape {
        Shape::Pill { marks, records } => {
            let marks = marks.iter().flatten().count() as f64;
            let digits = if f64::from(records) > marks { words::short(u64::from(records)).len() as f64 } else { 0.0 };
            (8.0 + marks * 6.5 + digits * 3.6 + 7.0, 18.0)
        }
        Shape::Ask => (6.0, 6.0),
        Shape::Tick => (8.0, 8.0),
        Shape::Cross => (9.0, 9.0),
        Shape::Control => (7.0, 7.0),
        Shape::Ballot => (9.0, 8.0),
        Shape::Pulse => (3.0, 3.0),
    }
}

fn pill(pen: &Pen, center: Point, marks: [Option<Mark>; 3], records: u32, palette: &Palette) {
    let (half_w, _) = half_size(Shape::Pill { marks, records });
    let body = Rect::new(center.x - half_w + 7.0, center.y - 11.0, (half_w - 7.0) * 2.0, 22.0);
    let hue = marks[0].map_or(crate::scene::marks::HUES, |mark| mark.hue);
    // A halo in the first record's hue: light in the dark, a soft shadow in the light.
    pen.ctx.set_shadow_color(if palette.dark { palette.key(hue) } else { &palette.shadow });
    pen.ctx.set_shadow_blur(if palette.dark { 9.0 } else { 6.0 });
    pen.fill(body, 11.0, &palette.raised);
    pen.ctx.set_shadow_blur(0.0);
    pen.ctx.set_shadow_color("transparent");
    pen.fill(body, 11.0, palette.key_soft(hue));
    pen.outline(body, 11.0, palette.key(hue), 1.5);
    let mut x = body.x + 14.5;
    for mark in marks.iter().flatten() {
        pen.mark(*mark, Point { x, y: center.y }, 4.8, palette, false);
        x += 13.0;
    }
    let shown = marks.iter().flatten().count();
    if records as usize > shown {
        let text = words::short(u64::from(records));
        pen.text((x - 3.0, center.y + 3.6), &text, Face::MonoTiny, &palette.ink, Align::Left);
    }
}
