//! The menu of the built-in scenarios: by chapter, each with its title and what it is about.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, KeyboardEvent};

use super::browser;

/// A scenario of the menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its name in the address.
    pub name: &'static str,
    pub title: String,
    pub summary: String,
}

/// A button with the title on show; pressed, it opens the list below it.
#[component]
pub fn ScenarioMenu(
    /// Titles of chapters, and their scenarios.
    chapters: Vec<(&'static str, Vec<Choice>)>,
    /// The chosen one's name; empty for one that came by link or script.
    #[prop(into)]
    chosen: Signal<String>,
    /// The title of the scenario on show.
    #[prop(into)]
    title: Signal<String>,
    on_choose: Callback<String>,
) -> impl IntoView {
    let open = RwSignal::new(false);
    let chapters = StoredValue::new(chapters);
    let names: Vec<&'static str> = chapters
        .with_value(|chapters| chapters.iter().flat_map(|(_, all)| all.iter().map(|choice| choice.name)).collect());
    let names = StoredValue::new(names);
    Effect::new(move |_| {
        if open.get() {
            let chosen = chosen.get_untracked();
            focus(
                names.with_value(|names| names.iter().copied().find(|name| *name == chosen).or(names.first().copied())),
            );
        }
    });
    let close = move || {
        open.set(false);
        if let Some(button) = browser::by_testid("scenarios") {
            let _ = button.focus();
        }
    };
    let on_key = move |event: KeyboardEvent| {
        let key = event.key();
        // The page's own keys rest while the menu is open.
        event.stop_propagation();
        if key == "Escape" {
            return close();
        }
        let to = names.with_value(|names| step(names, &key));
        if to.is_some() {
            event.prevent_default();
            focus(to);
        }
    };
    let item = move |choice: Choice| {
        let name = choice.name;
        let is_chosen = move || chosen.with(|chosen| chosen == name);
        view! {
            <button
                role="menuitemradio"
                aria-checked=move || is_chosen().to_string()
                class:chosen=is_chosen
                data-testid=format!("scenario-{name}")
                on:click=move |_| {
                    on_choose.run(name.to_owned());
                    close();
                }
            >
                <b>{choice.title}</b>
                <small>{choice.summary}</small>
            </button>
        }
    };
    view! {
        <div class="scenarios">
            <button
                class="picked"
                data-testid="scenarios"
                data-value=move || chosen.get()
                aria-haspopup="menu"
                aria-expanded=move || open.get().to_string()
                aria-label=move || format!("Scenario: {}", title.get())
                on:click=move |_| open.update(|open| *open = !*open)
            >
                {move || title.get()}
            </button>
            <Show when=move || open.get()>
                <div class="behind" on:pointerdown=move |_| close()></div>
                <div class="list" role="menu" aria-label="Scenarios" data-testid="scenario-menu" on:keydown=on_key>
                    {chapters.with_value(|chapters| {
                        chapters
                            .iter()
                            .map(|(title, choices)| {
                                view! {
                                    <div role="group" aria-label=*title>
                                        <strong aria-hidden="true">{*title}</strong>
                                        {choices.iter().cloned().map(item).collect::<Vec<_>>()}
                                    </div>
                                }
                            })
                            .collect::<Vec<_>>()
                    })}
                </div>
            </Show>
        </div>
    }
}

fn focus(name: Option<&str>) {
    if let Some(item) = name.and_then(|name| browser::by_testid(&format!("scenario-{name}"))) {
        let _ = item.focus();
    }
}

/// The item that a key leads to from the one that has the focus.
fn step(names: &[&'static str], key: &str) -> Option<&'static str> {
    let on = browser::document().active_element()?.dyn_into::<HtmlElement>().ok()?.get_attribute("data-testid")?;
    let at = names.iter().position(|name| on.strip_prefix("scenario-") == Some(*name))?;
    match key {
        "ArrowDown" => names.get(at + 1).copied(),
        "ArrowUp" => names.get(at.checked_sub(1)?).copied(),
        "Home" => names.first().copied(),
        "End" => names.last().copied(),
        _ => None,
    }
}
