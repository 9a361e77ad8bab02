//! What happened, in plain sentences, each with "Why?".

use leptos::prelude::*;

use super::inspector::{ReasonView, Reasons};
use crate::scene::events::{Event, REBALANCE, Tone};
use crate::scene::words;
use crate::time::Instant;

/// The list of events, newest first.
#[component]
pub fn EventList(
    #[prop(into)] events: Signal<Vec<Event>>,
    /// The event whose reasons are shown, and those reasons.
    #[prop(into)]
    asked: Signal<Option<(u64, Vec<ReasonView>)>>,
    on_seek: Callback<Instant>,
    on_why: Callback<u64>,
    /// A rebalance is to be looked at.
    on_closer: Callback<u64>,
) -> impl IntoView {
    view! {
        <div data-testid="events">
            <Show when=move || events.with(Vec::is_empty)>
                <p class="empty">"Nothing to tell yet. Failures, elections, rebalances and commands appear here."</p>
            </Show>
            <ol class="events" reversed>
                <For each=move || events.get() key=|event| event.id let:event>
                    {row(event, asked, on_seek, on_why, on_closer)}
                </For>
            </ol>
        </div>
    }
}

fn row(
    event: Event,
    asked: Signal<Option<(u64, Vec<ReasonView>)>>,
    on_seek: Callback<Instant>,
    on_why: Callback<u64>,
    on_closer: Callback<u64>,
) -> impl IntoView {
    let (id, at) = (event.id, event.at);
    // The answer begins below the sentence it is asked about: that one need not be said twice.
    let mine = move || {
        asked.get().filter(|(of, _)| *of == id).map(|(_, mut reasons)| {
            if reasons.len() > 1 {
                reasons.remove(0);
            }
            reasons
        })
    };
    let why = (event.tone != Tone::Asked).then(|| {
        view! {
            <button class="why" aria-expanded=move || mine().is_some().to_string() on:click=move |_| on_why.run(id)>"Why?"</button>
        }
    });
    let closer = (event.tag == REBALANCE).then(|| {
        view! { <button class="closer" data-testid="closer" on:click=move |_| on_closer.run(id)>"Look closer"</button> }
    });
    view! {
        <li class=format!("{} tone-{}", event.tone.word(), event.tone.word())>
            <span class="dot" aria-hidden="true"></span>
            <button class="at" title="Go to this moment" on:click=move |_| on_seek.run(at)>{words::moment(at)}</button>
            <span class="text">{event.text}</span>
            {why}
            {closer}
            {move || mine().map(|reasons| view! { <div class="answer"><Reasons reasons=reasons on_seek=on_seek /></div> })}
        </li>
    }
}
