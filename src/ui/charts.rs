//! The charts: throughput in and out, and each partition's lag. plotters draws, the scene has the numbers.

use leptos::html::Canvas;
use leptos::prelude::*;
use plotters::prelude::*;
use plotters::style::FontFamily;
use plotters_canvas::CanvasBackend;

use super::browser;
use super::theme::Palette;

/// One line of a chart: its name, and its points as seconds and values.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub name: String,
    /// `--accent`, `--key-3`: the variable that has its colour.
    pub color: &'static str,
    pub points: Vec<(f64, f64)>,
    /// Filled below.
    pub area: bool,
}

/// A chart ready to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    pub title: &'static str,
    pub unit: &'static str,
    pub lines: Vec<Line>,
    /// The seconds shown.
    pub span: (f64, f64),
    /// The moment on show.
    pub now: f64,
}

/// A chart on a canvas of its own, with its lines named below.
#[component]
pub fn ChartView(#[prop(into)] chart: Signal<Chart>, #[prop(into)] themed: Signal<u64>) -> impl IntoView {
    let canvas = NodeRef::<Canvas>::new();
    Effect::new(move |_| {
        themed.track();
        let Some(canvas) = canvas.get() else { return };
        chart.with(|chart| {
            let scale = browser::window().device_pixel_ratio().max(1.0);
            let (width, height) = (f64::from(canvas.client_width()), f64::from(canvas.client_height()));
            canvas.set_width((width * scale) as u32);
            canvas.set_height((height * scale) as u32);
            // A chart that cannot be drawn leaves its place empty; its numbers are in the report.
            let _ = draw(chart, canvas.clone(), scale);
        });
    });
    let keys = Memo::new(move |_| {
        chart.with(|chart| chart.lines.iter().map(|line| (line.name.clone(), line.color)).collect::<Vec<_>>())
    });
    view! {
        <figure class="chart">
            <figcaption>
                <span>{move || chart.with(|chart| chart.title)}</span>
                <span style="color:var(--muted);font-weight:400">{move || chart.with(|chart| chart.unit)}</span>
            </figcaption>
            <canvas node_ref=canvas role="img" aria-label=move || chart.with(|chart| format!("{}: the same numbers are in the report", chart.title))></canvas>
            <div class="keys">
                {move || keys.get().into_iter().map(|(name, color)| view! {
                    <span><i style=format!("--of:var({color})")></i>{name}</span>
                }).collect_view()}
            </div>
        </figure>
    }
}

fn draw(chart: &Chart, canvas: web_sys::HtmlCanvasElement, scale: f64) -> Option<()> {
    let palette = Palette::read();
    let style = browser::root_style()?;
    let of = |name: &str| color(&style.get_property_value(name).unwrap_or_default());
    let area = CanvasBackend::with_canvas_object(canvas)?.into_drawing_area();
    area.fill(&color(&palette.panel)).ok()?;
    let most = chart.lines.iter().flat_map(|line| &line.points).map(|point| point.1).fold(0.0, f64::max);
    let top = round_up(most.max(1.0));
    let font = (FontFamily::SansSerif, 10.5 * scale).into_font().color(&color(&palette.muted));
    let mut drawn = ChartBuilder::on(&area)
        .margin_top((6.0 * scale) as i32)
        .margin_right((8.0 * scale) as i32)
        .x_label_area_size((18.0 * scale) as i32)
        .y_label_area_size((34.0 * scale) as i32)
        .build_cartesian_2d(chart.span.0..chart.span.1, 0.0..top)
        .ok()?;
    drawn
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(color(&palette.soft))
        .axis_style(color(&palette.line))
        .label_style(font)
        .x_labels(5)
        .y_labels(4)
        .x_label_formatter(&|x| format!("{x}s"))
        .y_label_formatter(&|y| if *y >= 10_000.0 { format!("{:.0}k", y / 1000.0) } else { format!("{y}") })
        .draw()
        .ok()?;
    for line in &chart.lines {
        let hue = of(line.color);
        if line.area {
            drawn.draw_series(AreaSeries::new(line.points.iter().copied(), 0.0, hue.mix(0.16))).ok()?;
        }
        let stroke = ShapeStyle::from(&hue).stroke_width((1.75 * scale).round() as u32);
        drawn.draw_series(LineSeries::new(line.points.iter().copied(), stroke)).ok()?;
    }
    let now = ShapeStyle::from(&color(&palette.accent)).stroke_width(scale.round() as u32);
    drawn.draw_series(LineSeries::new([(chart.now, 0.0), (chart.now, top)], now)).ok()?;
    area.present().ok()
}

/// `#rrggbb` as plotters has it.
fn color(css: &str) -> RGBColor {
    let digits = css.trim().trim_start_matches('#');
    let part = |at: usize| digits.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(128);
    RGBColor(part(0), part(2), part(4))
}

/// 1, 2 or 5 times a power of ten, not below the value.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|top| *top >= value).unwrap_or(value)
}
