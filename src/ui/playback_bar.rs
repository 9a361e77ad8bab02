//! Play, pause, step, pace and clock.

use leptos::prelude::*;

use super::icons::{Glyph, Icon};
use crate::scene::words;
use crate::sim::playback::{FASTEST, Pace, PlaybackCommand, SLOWEST};

/// Play, pause and step, the pace, and the moment on show.
#[component]
pub fn PlaybackBar(
    /// The moment on show, already formatted.
    #[prop(into)]
    clock: Signal<String>,
    #[prop(into)] playing: Signal<bool>,
    #[prop(into)] pace: Signal<Pace>,
    /// Simulated microseconds that pass in one second at the moment.
    #[prop(into)]
    rate: Signal<u64>,
    on_command: Callback<PlaybackCommand>,
) -> impl IntoView {
    let send = move |command| move |_| on_command.run(command);
    let auto = move || pace.get() == Pace::Auto;
    view! {
        <div class="playback" role="toolbar" aria-label="Playback">
            <button class="button round" data-testid="back" aria-label="Step back" title="Back to the fact before (←)" on:click=send(PlaybackCommand::Back)>
                <Glyph icon=Icon::Back />
            </button>
            <button
                class="button round primary"
                data-testid="play"
                aria-label=move || if playing.get() { "Pause" } else { "Play" }
                title="Play or pause (space)"
                on:click=send(PlaybackCommand::Toggle)
            >
                <Glyph icon=Signal::derive(move || if playing.get() { Icon::Pause } else { Icon::Play }) />
            </button>
            <button class="button round" data-testid="step" aria-label="Step" title="On to the next fact that matters (→)" on:click=send(PlaybackCommand::Step)>
                <Glyph icon=Icon::Step />
            </button>
            <time class="clock" data-testid="clock">{clock}</time>
            <div class="pace" role="group" aria-label="Pace">
                <button
                    class="button auto"
                    data-testid="auto"
                    aria-pressed=move || auto().to_string()
                    title="Messages take about a second to cross; idle stretches pass quickly"
                    on:click=move |_| {
                        let pace = if auto() { Pace::Fixed(rate.get_untracked()) } else { Pace::Auto };
                        on_command.run(PlaybackCommand::SetPace(pace));
                    }
                >
                    "auto"
                </button>
                <input
                    type="range"
                    data-testid="speed"
                    aria-label="Pace, from a thousandth to a thousandfold"
                    aria-valuetext=move || words::pace(rate.get())
                    min="-3"
                    max="3"
                    step="0.05"
                    prop:value=move || slider(rate.get())
                    on:input=move |event| {
                        let times: f64 = event_target_value(&event).parse().unwrap_or(0.0);
                        on_command.run(PlaybackCommand::SetPace(Pace::Fixed(rate_of(times))));
                    }
                />
                <output>{move || words::pace(rate.get())}</output>
            </div>
        </div>
    }
}

/// The slider's place for a rate: the power of ten of how many times real time it is.
fn slider(rate: u64) -> String {
    format!("{:.2}", (rate.clamp(SLOWEST, FASTEST) as f64 / 1e6).log10())
}

fn rate_of(power: f64) -> u64 {
    ((10_f64.powf(power) * 1e6) as u64).clamp(SLOWEST, FASTEST)
}
