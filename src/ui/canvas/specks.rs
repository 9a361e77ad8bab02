//! Thousands of marks as pixels of our own: one call hands them to the canvas, where ten thousand would cost ten
//! thousand calls.

use wasm_bindgen::{Clamped, JsCast};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, ImageData};

use super::pen::Pen;
use crate::scene::layout::Point;
use crate::scene::marks::{HUES, Mark, Shape};
use crate::ui::browser;
use crate::ui::theme::Palette;

/// The pixels of a whole canvas, and the marks that are stamped into them.
#[derive(Default)]
pub struct Specks {
    width: usize,
    height: usize,
    /// Red, green, blue and opacity of each pixel, not multiplied.
    pixels: Vec<u8>,
    /// By the mark's number.
    stencils: Vec<Option<Stencil>>,
}

/// One mark's pixels, row by row: where the row begins, and its bytes.
struct Stencil {
    half: f64,
    rows: Vec<(usize, Vec<u8>)>,
}

/// A speck's radius in CSS pixels.
const RADIUS: f64 = 3.6;

impl Specks {
    /// Begins an empty picture of so many device pixels.
    pub fn begin(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        self.pixels.clear();
        self.pixels.resize(width * height * 4, 0);
    }

    /// Puts a mark with its middle at a point, in CSS pixels.
    pub fn stamp(&mut self, mark: Mark, at: Point, palette: &Palette, scale: f64) {
        if self.stencils.is_empty() {
            self.stencils = stencils(palette, scale);
        }
        let Some(Some(stencil)) = self.stencils.get(mark.index()) else { return };
        let (left, top) = ((at.x * scale - stencil.half).round(), (at.y * scale - stencil.half).round());
        if left < 0.0 || top < 0.0 {
            return;
        }
        let (left, top) = (left as usize, top as usize);
        for (row, (start, bytes)) in stencil.rows.iter().enumerate() {
            let (x, y) = (left + start, top + row);
            if x * 4 + bytes.len() > self.width * 4 || y >= self.height {
                continue;
            }
            let place = (y * self.width + x) * 4;
            self.pixels[place..place + bytes.len()].copy_from_slice(bytes);
        }
    }

    /// Replaces everything on a canvas with this picture.
    pub fn show(&self, pen: &Pen) {
        let picture = ImageData::new_with_u8_clamped_array_and_sh(
            Clamped(self.pixels.as_slice()),
            self.width as u32,
            self.height as u32,
        );
        // A canvas without any size takes no picture, and shows none.
        if let Ok(picture) = picture {
            let _ = pen.ctx.put_image_data(&picture, 0.0, 0.0);
        }
    }
}

fn stencils(palette: &Palette, scale: f64) -> Vec<Option<Stencil>> {
    let mut all: Vec<Option<Stencil>> = (0..Mark::COUNT).map(|_| None).collect();
    for mark in (0..=HUES).flat_map(|hue| Shape::ALL.map(|shape| Mark { hue, shape })) {
        all[mark.index()] = stencil(mark, palette, scale);
    }
    all
}

/// Draws a mark once and reads its pixels back.
fn stencil(mark: Mark, palette: &Palette, scale: f64) -> Option<Stencil> {
    let side = ((RADIUS * 1.3 + 1.0) * 2.0 * scale).ceil();
    let canvas: HtmlCanvasElement = browser::document().create_element("canvas").ok()?.dyn_into().ok()?;
    canvas.set_width(side as u32);
    canvas.set_height(side as u32);
    let ctx: CanvasRenderingContext2d = canvas.get_context("2d").ok()??.dyn_into().ok()?;
    let _ = ctx.scale(scale, scale);
    let middle = side / 2.0 / scale;
    let pen = Pen { ctx };
    pen.mark(mark, Point { x: middle, y: middle }, RADIUS, palette, false);
    let data = pen.ctx.get_image_data(0.0, 0.0, side, side).ok()?.data().0;
    let rows = data.chunks_exact(side as usize * 4).map(|row| {
        let seen = |pixel: &[u8]| pixel[3] > 24;
        let start = row.chunks_exact(4).position(seen).unwrap_or(0);
        let end = row.chunks_exact(4).rposition(seen).map_or(start, |last| last + 1);
        (start, row[start * 4..end * 4].to_vec())
    });
    Some(Stencil { half: side / 2.0, rows: rows.collect() })
}
