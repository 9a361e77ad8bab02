//! The bar at the top: the name, the scenario, and what one does with a whole run.

use leptos::prelude::*;

use super::icons::{Glyph, Icon};
use super::scenario_menu::{Choice, ScenarioMenu};

/// Name, scenario menu, share, theme, help.
#[component]
pub fn TopBar(
    /// The built-in scenarios: titles of chapters, and what is in them.
    chapters: Vec<(&'static str, Vec<Choice>)>,
    /// The chosen one's name; empty for one that came by link or script.
    #[prop(into)]
    chosen: Signal<String>,
    /// The title of the scenario on show.
    #[prop(into)]
    title: Signal<String>,
    #[prop(into)] seed: Signal<u64>,
    on_choose: Callback<String>,
    on_why: Callback<()>,
    on_assignors: Callback<()>,
    on_fork: Callback<()>,
    on_share: Callback<()>,
    on_theme: Callback<()>,
    on_help: Callback<()>,
) -> impl IntoView {
    view! {
        <header class="topbar">
            <h1 class="brand" title="Brokerscope">
                <svg viewBox="0 0 32 32" aria-hidden="true">
                    <rect width="32" height="32" rx="9" fill="var(--accent)" />
                    <circle cx="8.500" cy="16" r="3.800" fill="var(--accent-ink)" />
                    <rect x="13.500" y="12.500" width="7" height="7" rx="1.500" fill="var(--accent-ink)" opacity=".8" />
                    <path d="M25.500 12.200l3.600 7h-7.200z" fill="var(--accent-ink)" opacity=".6" />
                </svg>
                <span>"Brokerscope"</span>
            </h1>
            <ScenarioMenu chapters=chapters chosen=chosen title=title on_choose=on_choose />
            <span class="grow"></span>
            <span class="seed">{move || format!("seed {}", seed.get())}</span>
            <button class="button wide" data-testid="why" on:click=move |_| on_why.run(())>"Why?"</button>
            <button class="button wide" data-testid="assignors" title="Type a group, and see what every assignor makes of it (a)" on:click=move |_| on_assignors.run(())>"Assignors"</button>
            <button class="button wide" data-testid="fork" title="Open this moment as a second run beside this one" on:click=move |_| on_fork.run(())>"Fork here"</button>
            <button class="button primary share" data-testid="share" aria-label="Share" on:click=move |_| on_share.run(())>
                <Glyph icon=Icon::Share />
                <span>"Share"</span>
            </button>
            <button class="button icon" data-testid="theme" aria-label="Light or dark" title="Light or dark" on:click=move |_| on_theme.run(())>
                <Glyph icon=Icon::Theme />
            </button>
            <button class="button icon" data-testid="help" aria-label="Help" title="Help (?)" on:click=move |_| on_help.run(())>
                <Glyph icon=Icon::Help />
            </button>
        </header>
    }
}
