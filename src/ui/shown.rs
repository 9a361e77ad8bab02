//! What the stage shows and hides: kinds of messages, and what is on the disk.

use leptos::prelude::*;

use super::page::Page;
use crate::scene::stage::FlightKind;

/// One checkbox for each kind of message, and one for disk and page cache.
#[component]
pub fn Shown(page: Page) -> impl IntoView {
    let kinds = FlightKind::ALL.map(|kind| {
        view! {
            <label>
                <input
                    type="checkbox"
                    data-testid=format!("kind-{}", format!("{kind:?}").to_lowercase())
                    prop:checked=move || !page.hidden.get().has(kind)
                    on:change=move |event| {
                        page.hidden.update(|hidden| *hidden = hidden.with(kind, !event_target_checked(&event)));
                        page.moved();
                    }
                />
                {kind.words()}
            </label>
        }
    });
    view! {
        <details class="shown" data-testid="shown">
            <summary><h3>"Show on the stage"</h3></summary>
            <fieldset>
                <legend>"Messages"</legend>
                {kinds.collect_view()}
            </fieldset>
            <fieldset>
                <legend>"Logs"</legend>
                <label>
                    <input
                        type="checkbox"
                        data-testid="disk"
                        prop:checked=move || page.disk.get()
                        on:change=move |_| page.toggle_disk()
                    />
                    "Disk and page cache (d)"
                </label>
                <p>"Solid: on the disk. Dashed: in the page cache alone, lost when the power fails. Double strokes: where segments begin."</p>
            </fieldset>
        </details>
    }
}
