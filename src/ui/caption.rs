//! The line at the stage's bottom, which is also read out, and what is said when a scenario has ended.

use leptos::prelude::*;

use crate::scene::caption::Caption;

/// What the scenario says, or the latest news; at the scenario's end what it came to.
#[component]
pub fn CaptionLine(
    #[prop(into)] caption: Signal<Option<Caption>>,
    /// What the run came to, once it has ended.
    #[prop(into)]
    ending: Signal<Option<String>>,
    on_again: Callback<()>,
) -> impl IntoView {
    view! {
        <div class="captions">
            <Show when=move || ending.with(Option::is_some)>
                <div
                    class="ending"
                    data-testid="ending"
                    on:pointerdown=|event| event.stop_propagation()
                    on:pointerup=|event| event.stop_propagation()
                >
                    <span role="status">{move || ending.get()}</span>
                    <button class="button" data-testid="again" on:click=move |_| on_again.run(())>"Again"</button>
                </div>
            </Show>
            <div aria-live="polite" role="status">
                {move || {
                    caption.get().map(|caption| {
                        let class = if caption.spoken { "caption spoken".to_owned() } else { format!("caption news {}", caption.tone.word()) };
                        view! { <p class=class data-testid="caption">{with_names(&caption.text)}</p> }
                    })
                }}
            </div>
        </div>
    }
}

/// Text in which `backticks` set off names, as the page shows it.
fn with_names(text: &str) -> Vec<AnyView> {
    let parts = text.split('`').enumerate();
    let view = |(place, part): (usize, &str)| {
        let part = part.to_owned();
        if place % 2 == 1 { view! { <code>{part}</code> }.into_any() } else { part.into_any() }
    };
    parts.map(view).collect()
}
