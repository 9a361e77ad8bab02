//! The ribbon of what happened, which one drags to go there.

use leptos::ev::{KeyboardEvent, PointerEvent};
use leptos::html::Div;
use leptos::prelude::*;

use crate::scene::timeline::{Ribbon, STRETCHES};
use crate::scene::words;
use crate::time::{Duration, Instant};

/// The ribbon, its marks, and the moment on show.
#[component]
pub fn Timeline(
    #[prop(into)] ribbon: Signal<Ribbon>,
    #[prop(into)] now: Signal<Instant>,
    on_seek: Callback<Instant>,
    /// A mark was chosen: the id of its first event.
    on_event: Callback<u64>,
) -> impl IntoView {
    let place = NodeRef::<Div>::new();
    let dragging = RwSignal::new(false);
    let moment = move |event: &PointerEvent| {
        let rect = place.get_untracked()?.get_bounding_client_rect();
        let part = (f64::from(event.client_x()) - rect.left()) / rect.width().max(1.0);
        Some(ribbon.with_untracked(|ribbon| ribbon.moment(part)))
    };
    let seek = move |event: &PointerEvent| {
        if let Some(at) = moment(event) {
            on_seek.run(at);
        }
    };
    let on_key = move |event: KeyboardEvent| {
        let now = now.get_untracked();
        let step = if event.shift_key() { Duration::secs(1) } else { Duration::millis(100) };
        let to = match event.key().as_str() {
            "ArrowRight" | "ArrowUp" => now + step,
            "ArrowLeft" | "ArrowDown" => Instant::ZERO + (now.since(Instant::ZERO) - step),
            "Home" => Instant::ZERO,
            "End" => ribbon.with_untracked(|ribbon| ribbon.end),
            _ => return,
        };
        event.prevent_default();
        event.stop_propagation();
        on_seek.run(to);
    };
    let head = move || ribbon.with(|ribbon| format!("left:{:.3}%", ribbon.place(now.get()) * 100.0));
    view! {
        <div
            class="timeline"
            node_ref=place
            data-testid="timeline"
            role="slider"
            tabindex="0"
            aria-label="Timeline"
            aria-valuemin="0"
            aria-valuemax=move || ribbon.with(|ribbon| ribbon.end.as_micros() / 1000)
            aria-valuenow=move || now.get().as_micros() / 1000
            aria-valuetext=move || words::moment(now.get())
            on:keydown=on_key
            on:pointerdown=move |event| {
                dragging.set(true);
                if let Some(place) = place.get_untracked() {
                    let _ = place.set_pointer_capture(event.pointer_id());
                }
                seek(&event);
            }
            on:pointermove=move |event| if dragging.get_untracked() { seek(&event) }
            on:pointerup=move |_| dragging.set(false)
            on:pointercancel=move |_| dragging.set(false)
        >
            <svg viewBox="0 0 1200 20" preserveAspectRatio="none" aria-hidden="true">
                <path class="known" d=move || ribbon.with(|ribbon| bars(ribbon, ribbon.known)) />
                <path class="past" d=move || { let now = now.get(); ribbon.with(|ribbon| bars(ribbon, now)) } />
            </svg>
            <div class="base"></div>
            {move || ribbon.with(ticks)}
            {move || ribbon.with(|ribbon| ribbon.forks.iter().map(|at| view! {
                <i class="fork" style=format!("left:{:.3}%", ribbon.place(*at) * 100.0) title="Another future was left here"></i>
            }).collect_view())}
            {move || ribbon.with(|ribbon| marks(ribbon, on_seek, on_event))}
            <div class="head" style=head></div>
        </div>
    }
}

/// One bar for each stretch up to a moment.
fn bars(ribbon: &Ribbon, up_to: Instant) -> String {
    use std::fmt::Write;
    let width = 1200.0 / STRETCHES as f64;
    let shown = (ribbon.place(up_to) * STRETCHES as f64).ceil() as usize;
    let mut path = String::new();
    for (place, part) in ribbon.density.iter().enumerate().take(shown).filter(|(_, part)| **part > 0.0) {
        let height = 2.0 + part * 14.0;
        let x = place as f64 * width + 1.0;
        let _ = write!(path, "M{x:.1} 20v-{height:.1}h{:.1}v{height:.1}z", width - 2.0);
    }
    path
}

fn ticks(ribbon: &Ribbon) -> Vec<impl IntoView + use<>> {
    let last = ribbon.ticks.last().copied();
    ribbon
        .ticks
        .iter()
        .map(|at| {
            let place = ribbon.place(*at);
            let end = Some(*at) == last && place > 0.97;
            let seconds = at.as_micros() as f64 / 1e6;
            let label = if seconds >= 120.0 && seconds % 60.0 == 0.0 {
                format!("{}m", seconds / 60.0)
            } else {
                format!("{seconds}s")
            };
            view! { <span class="tick" class:last=end style=format!("left:{:.3}%", place * 100.0)>{label}</span> }
        })
        .collect()
}

fn marks(ribbon: &Ribbon, on_seek: Callback<Instant>, on_event: Callback<u64>) -> Vec<impl IntoView + use<>> {
    // A label needs room up to the next mark; without it the mark speaks when pointed at.
    let places: Vec<f64> = ribbon.marks.iter().map(|mark| ribbon.place(mark.at)).collect();
    ribbon
        .marks
        .iter()
        .enumerate()
        .map(|(index, mark)| {
            let next = places.get(index + 1).copied().unwrap_or(1.04);
            let short = words::clip(&mark.text, 30);
            let fits = (next - places[index]) * 200.0 > short.chars().count() as f64 + 2.0;
            let (at, event) = (mark.at, mark.event);
            let title = format!("{} · {}", words::moment(at), mark.text);
            let label = fits.then(|| view! { <span>{short}</span> });
            view! {
                // Within a slider nothing else can be used by those who do not see it; the events panel tells them the same.
                <span
                    class=format!("mark tone-{}", mark.tone.word())
                    style=format!("left:{:.3}%", places[index] * 100.0)
                    title=title
                    aria-hidden="true"
                    on:pointerdown=|event| event.stop_propagation()
                    on:click=move |_| {
                        on_seek.run(at);
                        on_event.run(event);
                    }
                >
                    {label}
                </span>
            }
        })
        .collect()
}
