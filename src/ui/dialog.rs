//! Help, and short messages over the page.

use leptos::html::Dialog;
use leptos::prelude::*;

use super::icons::{Glyph, Icon};

/// A short message, there until it is closed; a `bad` one says that something went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub text: String,
    pub bad: bool,
}

/// A message over the page.
#[component]
pub fn Toast(notice: RwSignal<Option<Notice>>) -> impl IntoView {
    Effect::new(move |_| {
        let Some(said) = notice.get().filter(|said| !said.bad) else { return };
        let fade = move || {
            if notice.with_untracked(|now| now.as_ref() == Some(&said)) {
                notice.set(None);
            }
        };
        set_timeout(fade, std::time::Duration::from_secs(7));
    });
    view! {
        {move || {
            notice.get().map(|said| {
                view! {
                    <div class="toast" class:bad=said.bad role="alert" data-testid="notice">
                        <p>{said.text}</p>
                        <button class="button icon" aria-label="Close" on:click=move |_| notice.set(None)>
                            <Glyph icon=Icon::Close />
                        </button>
                    </div>
                }
            })
        }}
    }
}

/// What the page is, its keys, and its commands.
#[component]
pub fn Help(open: RwSignal<bool>, #[prop(into)] summary: Signal<String>) -> impl IntoView {
    let dialog = NodeRef::<Dialog>::new();
    Effect::new(move |_| {
        let Some(dialog) = dialog.get() else { return };
        if open.get() {
            // Only an open dialog refuses to open.
            let _ = dialog.show_modal();
        } else {
            dialog.close();
        }
    });
    const KEYS: [(&str, &str); 12] = [
        ("space", "play or pause"),
        ("→  ←", "step to the next fact that matters, or back to the one before"),
        ("/  Ctrl-K", "give a command: kill broker-1, cut broker-1 | broker-2, kafka-topics --describe …"),
        ("Tab", "from node to node; Enter inspects, the ⋯ beside it kills, stops, pauses"),
        ("I  E  C  R", "inspector, events, charts, report"),
        ("w", "why is the selected thing as it is?"),
        ("m", "the microscope: the last rebalance, message by message"),
        ("d", "what is on the disk, and what in the page cache alone"),
        ("a", "the assignors by themselves: type a group, and see who would read what"),
        ("t", "light or dark"),
        ("+  −", "faster, slower; 0 for the auto pace"),
        ("Esc", "close, deselect"),
    ];
    view! {
        <dialog node_ref=dialog aria-labelledby="help-title" on:close=move |_| open.set(false)>
            <h2 id="help-title">"A Kafka cluster that lives in this page"</h2>
            <p style="margin:0;color:var(--muted)">{move || summary.get()}</p>
            <dl>{KEYS.map(|(key, what)| view! { <dt>{key}</dt><dd>{what}</dd> })}</dl>
            <p style="margin:0 0 16px;font-size:13px">
                "The brokers follow Kafka's own rules, with Kafka's names, defaults and error codes. Drag across a link to cut it. Drag the timeline to go back; a command given there begins another future."
            </p>
            <form method="dialog"><button class="button primary">"Close"</button></form>
        </dialog>
    }
}
