//! The dock at the right, or the sheet at the bottom of a narrow screen: four panels under tabs.

use leptos::prelude::*;

use super::browser;
use super::icons::{Glyph, Icon};

/// A panel of the dock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tab {
    #[default]
    Inspect,
    Events,
    Charts,
    Report,
}

impl Tab {
    /// Every panel, in the order of the tabs.
    pub const ALL: [Self; 4] = [Self::Inspect, Self::Events, Self::Charts, Self::Report];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Inspect => "Inspect",
            Self::Events => "Events",
            Self::Charts => "Charts",
            Self::Report => "Report",
        }
    }
}

/// Tabs, and the chosen panel below them.
#[component]
pub fn Dock(
    tab: RwSignal<Tab>,
    folded: RwSignal<bool>,
    /// The panel of the chosen tab.
    #[prop(into)]
    panel: ViewFn,
) -> impl IntoView {
    let tabs = Tab::ALL.map(|name| {
        view! {
            <button
                role="tab"
                id=format!("tab-{}", name.name())
                aria-controls="panel"
                aria-selected=move || (tab.get() == name).to_string()
                tabindex=move || if tab.get() == name { "0" } else { "-1" }
                data-testid=testid(name)
                on:click=move |_| tab.set(name)
            >
                {name.name()}
            </button>
        }
    });
    let turn = move |event: leptos::ev::KeyboardEvent| {
        let place = Tab::ALL.iter().position(|name| *name == tab.get_untracked()).unwrap_or(0);
        let to = match event.key().as_str() {
            "ArrowRight" => (place + 1) % 4,
            "ArrowLeft" => (place + 3) % 4,
            _ => return,
        };
        event.stop_propagation();
        tab.set(Tab::ALL[to]);
        // The focus goes along: only the chosen tab has a place in the Tab order.
        if let Some(chosen) = browser::by_testid(&testid(Tab::ALL[to])) {
            let _ = chosen.focus();
        }
    };
    view! {
        <aside class="dock" aria-label="Details">
            <div class="tabs">
                <div class="list" role="tablist" aria-label="Details" on:keydown=turn>{tabs}</div>
                <button class="fold" aria-label="Fold the panel away" title="Fold away" data-testid="fold" on:click=move |_| folded.set(true)>
                    <svg viewBox="0 0 14 14" width="12" height="12" aria-hidden="true"><path fill="none" stroke="currentColor" stroke-width="1.800" d="M4 2l5 5-5 5" /></svg>
                </button>
            </div>
            <div class="panel" role="tabpanel" id="panel" tabindex="0" aria-labelledby=move || format!("tab-{}", tab.get().name())>
                {move || panel.run()}
            </div>
        </aside>
    }
}

fn testid(tab: Tab) -> String {
    format!("tab-{}", tab.name().to_lowercase())
}

/// The button that brings a folded dock back.
#[component]
pub fn Unfold(folded: RwSignal<bool>) -> impl IntoView {
    view! {
        <Show when=move || folded.get()>
            <button class="button icon unfold" aria-label="Show details" title="Details" data-testid="unfold" on:click=move |_| folded.set(false)>
                <Glyph icon=Icon::Panel />
            </button>
        </Show>
    }
}
