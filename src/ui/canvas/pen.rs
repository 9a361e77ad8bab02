//! The few strokes everything on the stage is drawn with.

use web_sys::CanvasRenderingContext2d;

use crate::scene::layout::{Point, Rect};
use crate::scene::marks::{Mark, Shape};
use crate::ui::theme::Palette;

/// A canvas context that speaks in rectangles, points and colours.
#[derive(Clone)]
pub struct Pen {
    pub ctx: CanvasRenderingContext2d,
}

/// How text is set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// Names of things.
    Name,
    /// Names of lesser things.
    Strong,
    Text,
    Tiny,
    /// Offsets, partitions, node ids.
    Mono,
    MonoTiny,
    /// Headings over a column.
    Heading,
}

impl Face {
    const fn font(self) -> &'static str {
        match self {
            Self::Name => "650 15px system-ui, \"Segoe UI\", Roboto, \"DejaVu Sans\", sans-serif",
            Self::Strong => "600 13px system-ui, \"Segoe UI\", Roboto, \"DejaVu Sans\", sans-serif",
            Self::Text => "400 12px system-ui, \"Segoe UI\", Roboto, \"DejaVu Sans\", sans-serif",
            Self::Tiny => "400 11px system-ui, \"Segoe UI\", Roboto, \"DejaVu Sans\", sans-serif",
            Self::Mono => "500 12px ui-monospace, \"SF Mono\", Menlo, \"DejaVu Sans Mono\", monospace",
            Self::MonoTiny => "600 10px ui-monospace, \"SF Mono\", Menlo, \"DejaVu Sans Mono\", monospace",
            Self::Heading => "600 10.5px system-ui, \"Segoe UI\", Roboto, \"DejaVu Sans\", sans-serif",
        }
    }
}

/// Where text stands to its point.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Middle,
    Right,
}

impl Pen {
    pub fn clear(&self, width: f64, height: f64) {
        self.ctx.clear_rect(0.0, 0.0, width, height);
    }

    pub fn alpha(&self, alpha: f64) {
        self.ctx.set_global_alpha(alpha);
    }

    pub fn fill(&self, rect: Rect, radius: f64, color: &str) {
        self.ctx.set_fill_style_str(color);
        self.path(rect, radius);
        self.ctx.fill();
    }

    pub fn outline(&self, rect: Rect, radius: f64, color: &str, width: f64) {
        self.ctx.set_stroke_style_str(color);
        self.ctx.set_line_width(width);
        self.path(rect, radius);
        self.ctx.stroke();
    }

    /// Many small rectangles, each with its colour and how clearly it is seen. Neighbours that look the same are filled in
    /// one go.
    pub fn tiles<'a>(&self, tiles: impl Iterator<Item = (Rect, &'a str, f64)>) {
        let mut look = None;
        for (rect, color, alpha) in tiles {
            if look != Some((color, alpha)) {
                if look.is_some() {
                    self.ctx.fill();
                }
                look = Some((color, alpha));
                self.ctx.set_fill_style_str(color);
                self.ctx.set_global_alpha(alpha);
                self.ctx.begin_path();
            }
            self.ctx.rect(rect.x, rect.y, rect.w, rect.h);
        }
        if look.is_some() {
            self.ctx.fill();
        }
    }

    /// Dashes for what follows; none for a solid line.
    pub fn dash(&self, pattern: &[f64]) {
        let dashes: js_sys::Array = pattern.iter().map(|length| wasm_bindgen::JsValue::from_f64(*length)).collect();
        // Only a list with something else than numbers is refused.
        let _ = self.ctx.set_line_dash(&dashes);
    }

    pub fn line(&self, points: &[Point], color: &str, width: f64) {
        let Some((first, rest)) = points.split_first() else { return };
        self.ctx.set_stroke_style_str(color);
        self.ctx.set_line_width(width);
        self.ctx.begin_path();
        self.ctx.move_to(first.x, first.y);
        for point in rest {
            self.ctx.line_to(point.x, point.y);
        }
        self.ctx.stroke();
    }

    pub fn polygon(&self, points: &[(f64, f64)], color: &str) {
        let Some(((x, y), rest)) = points.split_first() else { return };
        self.ctx.set_fill_style_str(color);
        self.ctx.begin_path();
        self.ctx.move_to(*x, *y);
        for (x, y) in rest {
            self.ctx.line_to(*x, *y);
        }
        self.ctx.close_path();
        self.ctx.fill();
    }

    pub fn arc(&self, center: Point, radius: f64, from: f64, to: f64, color: &str, width: f64) {
        self.ctx.set_stroke_style_str(color);
        self.ctx.set_line_width(width);
        self.ctx.begin_path();
        let turn = std::f64::consts::TAU;
        // Only a negative radius is refused.
        let _ = self.ctx.arc(center.x, center.y, radius.max(0.0), (from - 0.25) * turn, (to - 0.25) * turn);
        self.ctx.stroke();
    }

    pub fn dot(&self, center: Point, radius: f64, color: &str) {
        self.ctx.set_fill_style_str(color);
        self.ctx.begin_path();
        let _ = self.ctx.arc(center.x, center.y, radius.max(0.0), 0.0, std::f64::consts::TAU);
        self.ctx.fill();
    }

    pub fn text(&self, at: (f64, f64), text: &str, face: Face, color: &str, align: Align) {
        self.ctx.set_font(face.font());
        self.ctx.set_fill_style_str(color);
        self.ctx.set_text_align(match align {
            Align::Left => "left",
            Align::Middle => "center",
            Align::Right => "right",
        });
        let _ = self.ctx.fill_text(text, at.0, at.1);
    }

    pub fn width(&self, text: &str, face: Face) -> f64 {
        self.ctx.set_font(face.font());
        self.ctx.measure_text(text).map(|measured| measured.width()).unwrap_or(0.0)
    }

    /// Text cut off with an ellipsis where it would be wider than `room`.
    pub fn clipped(&self, at: (f64, f64), text: &str, face: Face, color: &str, room: f64) {
        if self.width(text, face) <= room {
            return self.text(at, text, face, color, Align::Left);
        }
        let mut kept: String = text.to_owned();
        while kept.pop().is_some() {
            let shown = format!("{}…", kept.trim_end());
            if self.width(&shown, face) <= room {
                return self.text(at, &shown, face, color, Align::Left);
            }
        }
    }

    /// A partition's name; where it is too wide, the topic's is shortened and the number stays.
    pub fn partition(&self, at: (f64, f64), label: &str, face: Face, color: &str, room: f64) {
        if self.width(label, face) <= room {
            return self.text(at, label, face, color, Align::Left);
        }
        let (topic, number) = label.rsplit_once('-').unwrap_or((label, ""));
        let mut kept = topic.to_owned();
        while kept.pop().is_some() {
            let shown = format!("{kept}…-{number}");
            if self.width(&shown, face) <= room {
                return self.text(at, &shown, face, color, Align::Left);
            }
        }
    }

    /// A record's mark. A hollow one stands for a tombstone.
    pub fn mark(&self, mark: Mark, center: Point, radius: f64, palette: &Palette, hollow: bool) {
        let color = palette.key(mark.hue);
        let Point { x, y } = center;
        self.ctx.begin_path();
        match mark.shape {
            Shape::Circle => {
                let _ = self.ctx.arc(x, y, radius, 0.0, std::f64::consts::TAU);
            }
            Shape::Square => {
                let side = radius * 0.92;
                let _ = self.ctx.round_rect_with_f64(x - side, y - side, 2.0 * side, 2.0 * side, radius * 0.3);
            }
            Shape::Triangle => {
                self.ctx.move_to(x, y - radius * 1.15);
                self.ctx.line_to(x + radius * 1.12, y + radius * 0.85);
                self.ctx.line_to(x - radius * 1.12, y + radius * 0.85);
                self.ctx.close_path();
            }
            Shape::Diamond => {
                self.ctx.move_to(x, y - radius * 1.22);
                self.ctx.line_to(x + radius * 1.22, y);
                self.ctx.line_to(x, y + radius * 1.22);
                self.ctx.line_to(x - radius * 1.22, y);
                self.ctx.close_path();
            }
        }
        if hollow {
            self.ctx.set_stroke_style_str(color);
            self.ctx.set_line_width(1.5);
            self.ctx.stroke();
        } else {
            self.ctx.set_fill_style_str(color);
            self.ctx.fill();
        }
    }

    /// Diagonal lines over a rectangle.
    pub fn hatch(&self, rect: Rect, radius: f64, color: &str, gap: f64) {
        self.ctx.save();
        self.path(rect, radius);
        self.ctx.clip();
        self.ctx.set_stroke_style_str(color);
        self.ctx.set_line_width(1.0);
        self.ctx.begin_path();
        let mut x = rect.x - rect.h;
        while x < rect.right() {
            self.ctx.move_to(x, rect.bottom());
            self.ctx.line_to(x + rect.h, rect.y);
            x += gap;
        }
        self.ctx.stroke();
        self.ctx.restore();
    }

    fn path(&self, rect: Rect, radius: f64) {
        self.ctx.begin_path();
        let radius = radius.min(rect.w / 2.0).min(rect.h / 2.0).max(0.0);
        // Only a negative radius is refused.
        let _ = self.ctx.round_rect_with_f64(rect.x, rect.y, rect.w.max(0.0), rect.h.max(0.0), radius);
    }
}
