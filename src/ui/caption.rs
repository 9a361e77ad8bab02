//! The line at the stage's bottom, which is also read out.

use leptos::prelude::*;

use crate::scene::caption::Caption;

/// What the scenario says, or the latest news.
#[component]
pub fn CaptionLine(#[prop(into)] caption: Signal<Option<Caption>>) -> impl IntoView {
    view! {
        <div aria-live="polite" role="status">
            {move || {
                caption.get().map(|caption| {
                    let class = if caption.spoken { "caption spoken".to_owned() } else { format!("caption news {}", caption.tone.word()) };
                    view! { <p class=class data-testid="caption" style="margin:0">{caption.text}</p> }
                })
            }}
        </div>
    }
}
