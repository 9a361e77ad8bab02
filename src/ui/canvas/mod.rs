//! The painter: a [`Stage`] and a [`Layout`] become pixels.
//!
//! Two canvases lie on each other. What stands still is painted on the lower one, only when it changed; messages on the
//! upper one, every frame. The painter holds nothing but what eases one picture into the next.

mod cards;
mod legend;
mod messages;
pub mod microscope;
mod pen;
mod specks;
mod sprites;

use std::collections::BTreeMap;
use std::rc::Rc;

use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

use crate::kafka::ids::{Node, TopicPartition};
use crate::scene::focus::{Lit, Thing};
use crate::scene::layout::Layout;
use crate::scene::stage::{Cast, FlightKind, Stage};
use crate::scene::traffic::Lanes;
use crate::ui::theme::Palette;
use cards::Ring;
use pen::Pen;
use specks::Specks;
use sprites::Sprites;

/// How the person looks at the stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    pub selected: Option<Thing>,
    pub hovered: Option<Thing>,
    /// Simulated microseconds that pass in one second; messages too quick to follow fade into flows.
    pub rate: u64,
    /// `prefers-reduced-motion`: nothing eases.
    pub still: bool,
    /// Kinds of messages that are hidden.
    pub hidden: Hidden,
    /// What is on the disk and what is in the page cache alone is shown.
    pub disk: bool,
}

/// A set of kinds of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hidden(u8);

impl Hidden {
    pub fn has(self, kind: FlightKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// The set with one kind put in or taken out.
    pub fn with(self, kind: FlightKind, hidden: bool) -> Self {
        let bit = 1 << kind as u8;
        Self(if hidden { self.0 | bit } else { self.0 & !bit })
    }
}

/// Paints stages onto a pair of canvases.
pub struct Painter {
    canvases: [HtmlCanvasElement; 2],
    pens: [Pen; 2],
    palette: Palette,
    layout: Layout,
    lanes: Lanes,
    sprites: Sprites,
    specks: Specks,
    scale: f64,
    painted: Option<(Rc<Cast>, View)>,
    /// What belongs to the selected thing.
    lit: Option<Lit>,
    /// Rings that turn, as they stand on what was painted last.
    rings: Vec<Ring>,
    /// Log end and high watermark as shown, on their way to the true ones.
    shown: BTreeMap<(Node, TopicPartition), Shown>,
    /// How busy each path is, smoothed.
    flows: BTreeMap<(Node, Node), f64>,
    last_frame: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    end: f64,
    high_watermark: f64,
}

impl Painter {
    /// A painter for two canvases; an error in plain words where the browser gives no drawing context.
    pub fn new(lower: HtmlCanvasElement, upper: HtmlCanvasElement) -> Result<Self, String> {
        let pen = |canvas: &HtmlCanvasElement| {
            let context = canvas.get_context("2d").ok().flatten();
            let ctx = context.and_then(|context| context.dyn_into::<CanvasRenderingContext2d>().ok());
            ctx.map(|ctx| Pen { ctx }).ok_or("This browser gives the page no 2D canvas to draw on.".to_owned())
        };
        Ok(Self {
            pens: [pen(&lower)?, pen(&upper)?],
            canvases: [lower, upper],
            palette: Palette::read(),
            layout: Layout::default(),
            lanes: Lanes::default(),
            sprites: Sprites::default(),
            specks: Specks::default(),
            scale: 1.0,
            painted: None,
            lit: None,
            rings: Vec::new(),
            shown: BTreeMap::new(),
            flows: BTreeMap::new(),
            last_frame: 0.0,
        })
    }

    /// Reads the colours again, after the theme changed.
    pub fn restyle(&mut self) {
        self.palette = Palette::read();
        self.sprites = Sprites::default();
        self.specks = Specks::default();
        self.painted = None;
    }

    /// Where everything was painted last.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Paints a stage into a window of this size; `at` is the browser's time in milliseconds. Returns whether the
    /// layout changed.
    pub fn paint(&mut self, stage: &Stage, view: &View, size: (f64, f64, f64), at: f64) -> bool {
        let seconds = ((at - self.last_frame) / 1000.0).clamp(0.0, 0.1);
        self.last_frame = at;
        let painted = self.painted.as_ref();
        let same = painted.is_some_and(|(cast, _)| Rc::ptr_eq(cast, &stage.cast) || *cast == stage.cast);
        let moved = self.fit(&stage.cast, same, size);
        let easing = self.ease(&stage.cast, if view.still { 1.0 } else { seconds });
        self.lit = view.selected.as_ref().map(|thing| thing.lights(&stage.cast));
        let stale = self.painted.as_ref().is_none_or(|(_, shown)| {
            (&shown.selected, &shown.hovered, shown.disk) != (&view.selected, &view.hovered, view.disk)
        });
        if moved || easing || stale || !same {
            self.paint_cast(&stage.cast, view);
            self.painted = Some((Rc::clone(&stage.cast), view.clone()));
        }
        self.paint_messages(stage, view, seconds);
        self.paint_rings(&self.pens[1], if view.still { 0.0 } else { at });
        moved
    }

    fn fit(&mut self, cast: &Cast, same: bool, (width, height, scale): (f64, f64, f64)) -> bool {
        let resized = (self.layout.width, self.layout.height, self.scale) != (width, height, scale);
        if resized {
            self.scale = scale;
            self.sprites = Sprites::default();
            self.specks = Specks::default();
            for (canvas, pen) in self.canvases.iter().zip(&self.pens) {
                canvas.set_width((width * scale).round() as u32);
                canvas.set_height((height * scale).round() as u32);
                // Only a number that is none is refused.
                let _ = pen.ctx.set_transform(scale, 0.0, 0.0, scale, 0.0, 0.0);
            }
        }
        if !resized && same {
            return false;
        }
        let layout = Layout::of(cast, width, height);
        if layout == self.layout {
            return resized;
        }
        self.layout = layout;
        self.lanes = Lanes::default();
        true
    }

    /// Moves what is shown towards what is; tells whether anything still moves.
    fn ease(&mut self, cast: &Cast, seconds: f64) -> bool {
        let part = 1.0 - (-seconds * 14.0).exp();
        let mut moving = false;
        let mut approach = |shown: &mut f64, truth: f64| {
            let gap = truth - *shown;
            // Far away is another moment of the run, not a step of this one.
            if gap == 0.0 {
                return;
            }
            moving = true;
            *shown = if gap.abs() < 0.02 || gap.abs() > 40.0 { truth } else { *shown + gap * part };
        };
        for broker in &cast.brokers {
            for strip in &broker.strips {
                let truth = Shown { end: strip.log_end as f64, high_watermark: strip.high_watermark as f64 };
                let shown = self.shown.entry((broker.node, strip.partition)).or_insert(truth);
                approach(&mut shown.end, truth.end);
                approach(&mut shown.high_watermark, truth.high_watermark);
            }
        }
        moving
    }
}
