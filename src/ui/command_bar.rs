//! The command language, with completion, and what Kafka's tools print.

use leptos::ev::KeyboardEvent;
use leptos::html::Input;
use leptos::prelude::*;

/// One exchange: what was asked and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub command: String,
    pub output: String,
    pub wrong: bool,
}

/// A completion: the whole line, and what it does.
pub type Completion = (String, String);

/// A line for commands. `/` and Ctrl-K lead to it.
#[component]
pub fn CommandBar(
    /// What the line may become.
    complete: Callback<String, Vec<Completion>>,
    said: RwSignal<Vec<Said>>,
    on_run: Callback<String>,
) -> impl IntoView {
    let line = RwSignal::new(String::new());
    let focused = RwSignal::new(false);
    let chosen = RwSignal::new(None::<usize>);
    let shown = RwSignal::new(false);
    let past = RwSignal::new(0_usize);
    let input = NodeRef::<Input>::new();
    // After a command its output has the room; suggestions come back with the next letter.
    let choices = Memo::new(move |_| {
        let reading = shown.get() && line.with(String::is_empty);
        if focused.get() && !reading { complete.run(line.get()) } else { Vec::new() }
    });
    let give = move || {
        let text = line.get_untracked().trim().to_owned();
        if !text.is_empty() {
            on_run.run(text);
            line.set(String::new());
            chosen.set(None);
            past.set(0);
            shown.set(true);
        }
    };
    let take = move |index: usize| {
        if let Some((text, _)) = choices.with_untracked(|choices| choices.get(index).cloned()) {
            line.set(text);
            chosen.set(None);
        }
    };
    let on_key = move |event: KeyboardEvent| {
        let count = choices.with_untracked(Vec::len);
        let empty = line.with_untracked(String::is_empty);
        match event.key().as_str() {
            "Enter" => match chosen.get_untracked() {
                Some(index) => take(index),
                None => give(),
            },
            "Tab" if count > 0 && !event.shift_key() && !empty => {
                event.prevent_default();
                take(chosen.get_untracked().unwrap_or(0));
            }
            "ArrowDown" if count > 0 && past.get_untracked() == 0 => {
                event.prevent_default();
                chosen.update(|at| *at = Some(at.map_or(0, |at| (at + 1) % count)));
            }
            "ArrowUp" if chosen.get_untracked().is_some() => {
                event.prevent_default();
                chosen.update(|at| *at = at.and_then(|at| at.checked_sub(1)));
            }
            "ArrowUp" | "ArrowDown" => {
                event.prevent_default();
                let step = if event.key() == "ArrowUp" { 1 } else { -1 };
                let history = said.with_untracked(Vec::len);
                past.update(|back| *back = back.saturating_add_signed(step).min(history));
                let back = past.get_untracked();
                line.set(said.with_untracked(|said| {
                    if back == 0 { String::new() } else { said[said.len() - back].command.clone() }
                }));
            }
            "Escape" => {
                shown.set(false);
                if let Some(input) = input.get_untracked() {
                    let _ = input.blur();
                }
            }
            _ => return,
        }
        event.stop_propagation();
    };
    view! {
        <div class="command" role="search">
            <input
                node_ref=input
                type="text"
                data-testid="command"
                placeholder="kill broker-2"
                aria-label="Command"
                autocomplete="off"
                autocapitalize="off"
                spellcheck="false"
                role="combobox"
                aria-expanded=move || choices.with(|choices| (!choices.is_empty()).to_string())
                aria-controls="choices"
                prop:value=move || line.get()
                on:input=move |event| {
                    line.set(event_target_value(&event));
                    chosen.set(None);
                    past.set(0);
                }
                on:focus=move |_| focused.set(true)
                on:blur=move |_| focused.set(false)
                on:keydown=on_key
            />
            <kbd aria-hidden="true">"/"</kbd>
            {move || choices.with(|choices| (!choices.is_empty()).then(|| choice_list(choices, chosen, take)))}
            {move || {
                let quiet = choices.with(Vec::is_empty);
                said.with(|said| (quiet && shown.get() && !said.is_empty()).then(|| output(said, shown)))
            }}
        </div>
    }
}

fn choice_list(
    choices: &[Completion],
    chosen: RwSignal<Option<usize>>,
    take: impl Fn(usize) + Copy + 'static,
) -> AnyView {
    let rows: Vec<_> = choices
        .iter()
        .enumerate()
        .map(|(index, (text, what))| {
            view! {
                <li
                    role="option"
                    aria-selected=move || (chosen.get() == Some(index)).to_string()
                    on:pointerdown=move |event| {
                        event.prevent_default();
                        take(index);
                    }
                >
                    <span>{text.clone()}</span>
                    <small>{what.clone()}</small>
                </li>
            }
        })
        .collect();
    view! { <div class="above"><ul class="choices" id="choices" role="listbox">{rows}</ul></div> }.into_any()
}

fn output(said: &[Said], shown: RwSignal<bool>) -> impl IntoView + use<> {
    let parts: Vec<_> = said
        .iter()
        .rev()
        .take(12)
        .map(|said| {
            view! {
                <span class="said">{format!("> {}\n", said.command)}</span>
                <span class:wrong=said.wrong>{format!("{}\n\n", said.output.trim_end())}</span>
            }
        })
        .collect();
    view! {
        <div class="above">
            <pre class="output" data-testid="output" tabindex="0">{parts}</pre>
            <button class="shut" aria-label="Close the output" on:click=move |_| shown.set(false)>"×"</button>
        </div>
    }
}
