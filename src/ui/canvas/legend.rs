//! What the marks on the stage mean, in the corner that nothing else needs.

use super::Painter;
use super::pen::{Align, Face, Pen};
use super::sprites::Shape;
use crate::scene::layout::{Point, Rect};
use crate::scene::marks::Mark;

impl Painter {
    pub(super) fn legend(&mut self, pen: &Pen, disk: bool, shared: bool) {
        let Some(area) = self.layout.legend else { return };
        let always = [
            "records, coloured by key",
            "not on all in-sync replicas yet",
            "high watermark: read up to here",
            "leads its partition",
            "asks for records",
            "answered",
            "control: groups, metadata",
            "outside the ISR",
            "a leader epoch begins",
        ];
        let mut rows: Vec<(usize, &str)> = always.into_iter().enumerate().collect();
        if disk {
            rows.push((9, "on the disk; in memory alone"));
        }
        if shared {
            rows.push((10, "a share group's member has it"));
        }
        let step = area.h / rows.len() as f64;
        for (place, (sign, text)) in rows.into_iter().enumerate() {
            let y = area.y + (place as f64 + 0.5) * step;
            pen.text((area.x + 40.0, y + 4.0), text, Face::Tiny, &self.palette.muted, Align::Left);
            self.sign(pen, sign, Point { x: area.x + 14.0, y });
        }
    }

    fn sign(&mut self, pen: &Pen, row: usize, at: Point) {
        let Point { x, y } = at;
        match row {
            0 => {
                for (place, key) in [0, 1, 2].into_iter().enumerate() {
                    let center = Point { x: x - 8.0 + place as f64 * 12.0, y };
                    pen.mark(Mark::nth(key), center, 4.2, &self.palette, false);
                }
            }
            1 => {
                let body = Rect::new(x - 6.0, y - 8.0, 16.0, 16.0);
                let mark = Mark::nth(3);
                pen.alpha(0.5);
                pen.fill(body, 3.5, self.palette.key_soft(mark.hue));
                pen.dash(&[2.0, 2.0]);
                pen.outline(body, 3.5, self.palette.key(mark.hue), 1.0);
                pen.dash(&[]);
                pen.mark(mark, body.center(), 4.2, &self.palette, false);
                pen.alpha(1.0);
            }
            2 => {
                pen.line(
                    &[Point { x: x - 2.0, y: y - 8.0 }, Point { x: x - 2.0, y: y + 8.0 }],
                    &self.palette.accent,
                    1.75,
                );
                pen.fill(Rect::new(x - 2.8, y - 8.0, 13.0, 9.0), 2.0, &self.palette.accent);
            }
            3 => self.crown(pen, x - 5.0, y + 5.0, &self.palette.ink),
            7 => {
                let body = Rect::new(x - 8.0, y - 6.0, 20.0, 12.0);
                pen.fill(body, 4.0, &self.palette.soft);
                pen.hatch(body, 4.0, &self.palette.faint, 6.0);
                pen.outline(body, 4.0, &self.palette.faint, 1.0);
            }
            8 => {
                pen.line(
                    &[Point { x: x - 2.0, y: y - 8.0 }, Point { x: x - 2.0, y: y + 6.0 }],
                    &self.palette.muted,
                    1.0,
                );
                pen.text((x, y + 6.0), "e1", Face::MonoTiny, &self.palette.muted, Align::Left);
            }
            9 => {
                pen.line(&[Point { x: x - 8.0, y }, Point { x: x + 1.0, y }], &self.palette.ok, 3.0);
                pen.dash(&[3.0, 3.0]);
                pen.line(&[Point { x: x + 3.0, y }, Point { x: x + 14.0, y }], &self.palette.warn, 2.0);
                pen.dash(&[]);
            }
            10 => {
                let body = Rect::new(x - 6.0, y - 8.0, 16.0, 16.0);
                let mark = Mark::nth(1);
                pen.fill(body, 3.5, self.palette.key_soft(mark.hue));
                pen.outline(body, 3.5, &self.palette.accent, 1.75);
                pen.mark(mark, body.center(), 4.2, &self.palette, false);
            }
            _ => {
                let shape = [Shape::Ask, Shape::Tick, Shape::Control][(row - 4).min(2)];
                self.stamp(pen, shape, Point { x: x + 2.0, y });
            }
        }
    }
}
