//! Three small hints on the first visit: kill a broker, rewind, ask why.

use leptos::prelude::*;

use super::browser;

const HINTS: [&str; 3] = [
    "Kill a broker: point at one and open its ⋯ menu.",
    "Rewind: drag the timeline back, then change something.",
    "Ask why: open Events and press Why? beside any of them.",
];

/// One hint at a time, until all were seen.
#[component]
pub fn Hints() -> impl IntoView {
    let seen: usize = browser::remembered("hints").and_then(|count| count.parse().ok()).unwrap_or(0);
    let at = RwSignal::new(seen);
    let next = move |to: usize| {
        at.set(to);
        browser::remember("hints", &to.to_string());
    };
    view! {
        <Show when=move || at.get() < HINTS.len()>
            <div class="hints">
                <div
                    class="hint"
                    data-testid="hint"
                    role="note"
                    on:pointerdown=|event| event.stop_propagation()
                    on:pointerup=|event| event.stop_propagation()
                >
                    <b>{move || format!("{}/{}", at.get() + 1, HINTS.len())}</b>
                    <span>{move || HINTS.get(at.get()).copied().unwrap_or_default()}</span>
                    <button class="button" on:click=move |_| next(at.get_untracked() + 1)>
                        {move || if at.get() + 1 < HINTS.len() { "Next" } else { "Done" }}
                    </button>
                </div>
            </div>
        </Show>
    }
}
