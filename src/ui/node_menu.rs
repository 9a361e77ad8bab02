//! What one does to a node most, one click away.

use leptos::html::Div;
use leptos::prelude::*;

use super::browser;
use crate::kafka::ids::Node;
use crate::scene::stage::Health;

/// The node whose menu is open, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenMenu {
    pub node: Node,
    pub name: String,
    pub health: Health,
    /// CSS of its place on the stage.
    pub style: String,
}

/// Kill, stop, start, pause, resume.
#[component]
pub fn NodeMenu(
    #[prop(into)] open: Signal<Option<OpenMenu>>,
    on_run: Callback<String>,
    on_inspect: Callback<Node>,
    on_close: Callback<()>,
) -> impl IntoView {
    let place = NodeRef::<Div>::new();
    Effect::new(move |_| {
        if open.with(Option::is_some)
            && let Some(first) =
                place.get().and_then(|menu| menu.query_selector("button:not(:disabled)").ok().flatten())
        {
            use wasm_bindgen::JsCast;
            if let Some(button) = first.dyn_ref::<web_sys::HtmlElement>() {
                let _ = button.focus();
            }
        }
    });
    view! {
        {move || {
            open.get().map(|menu| {
                let name = menu.name.clone();
                let item = move |verb: &'static str, hint: &'static str, enabled: bool, danger: bool| {
                    let command = format!("{verb} {name}");
                    let name = name.clone();
                    view! {
                        <button
                            role="menuitem"
                            class:danger=danger
                            disabled=!enabled
                            data-testid=format!("menu-{verb}")
                            on:click=move |_| {
                                on_run.run(command.clone());
                                on_close.run(());
                                back(&name);
                            }
                        >
                            {verb}
                            <small>{hint}</small>
                        </button>
                    }
                };
                let node = menu.node;
                let down = menu.health == Health::Down;
                let paused = menu.health == Health::Paused;
                view! {
                    <div
                        class="menu"
                        role="menu"
                        node_ref=place
                        data-testid="menu"
                        style=menu.style
                        aria-label=menu.name.clone()
                        // A press on the stage closes the menu: a press inside it must not, or no click ever comes.
                        on:pointerdown=|event| event.stop_propagation()
                        on:pointerup=|event| event.stop_propagation()
                        on:keydown={let name = menu.name.clone(); move |event| match event.key().as_str() {
                            "Escape" => {
                                // It closes the menu and no more: what is selected stays so.
                                event.stop_propagation();
                                on_close.run(());
                                back(&name);
                            }
                            "ArrowDown" | "ArrowUp" => {
                                event.prevent_default();
                                event.stop_propagation();
                                step(place, event.key() == "ArrowDown");
                            }
                            _ => {}
                        }}
                    >
                        <strong>{menu.name.clone()}</strong>
                        {item("kill", "crash at once", !down, true)}
                        {item("stop", "clean shutdown", !down, false)}
                        {item("start", "boot again", down, false)}
                        {item("pause", "freeze", !down && !paused, false)}
                        {item("resume", "thaw", paused, false)}
                        <button role="menuitem" on:click=move |_| { on_inspect.run(node); on_close.run(()); }>
                            "inspect"
                            <small>"state, settings"</small>
                        </button>
                    </div>
                }
            })
        }}
    }
}

/// Gives the keyboard back to the button that opened the menu.
fn back(name: &str) {
    if let Some(button) = browser::by_testid(&format!("menu-of-{name}")) {
        let _ = button.focus();
    }
}

/// Moves the focus to the next thing one can do, or to the one before.
fn step(place: NodeRef<Div>, down: bool) {
    use wasm_bindgen::JsCast;
    let Some(menu) = place.get_untracked() else { return };
    let beside = |item: &web_sys::Element| {
        if down { item.next_element_sibling() } else { item.previous_element_sibling() }
    };
    let mut next = menu.query_selector("button:focus").ok().flatten().and_then(|item| beside(&item));
    while let Some(item) = next {
        if item.matches("button:not(:disabled)").unwrap_or(false) {
            if let Some(item) = item.dyn_ref::<web_sys::HtmlElement>() {
                let _ = item.focus();
            }
            return;
        }
        next = beside(&item);
    }
}
