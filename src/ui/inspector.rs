//! The selected thing: its state, its settings, its bytes, and why it is so.

use leptos::prelude::*;

use crate::scene::focus::Thing;
use crate::scene::inspect::{Inspection, Row, Section};
use crate::scene::words;
use crate::time::Instant;

/// One step of an answer, ready to show: the deciding setting with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct ReasonView {
    pub at: Instant,
    pub text: String,
    pub setting: Option<String>,
}

/// What the inspector says, and the reasons it was asked for.
#[component]
pub fn Inspector(
    #[prop(into)] inspection: Signal<Option<Inspection>>,
    #[prop(into)] reasons: Signal<Vec<ReasonView>>,
    on_select: Callback<Thing>,
    on_seek: Callback<Instant>,
    /// A command: a setting was edited in place.
    on_run: Callback<String>,
) -> impl IntoView {
    // Each part is drawn anew only where it changed itself: time goes on, and a setting being edited must stay in hand.
    let shape = Memo::new(move |_| {
        inspection.with(|shown| shown.as_ref().map(|shown| (shown.title.clone(), shown.sections.len())))
    });
    let subtitle = Memo::new(move |_| {
        inspection.with(|shown| shown.as_ref().map(|shown| shown.subtitle.clone()).unwrap_or_default())
    });
    let question =
        Memo::new(move |_| inspection.with(|shown| shown.as_ref()?.why.as_ref().map(|(question, _)| question.clone())));
    let section = move |index: usize| {
        let section = Memo::new(move |_| inspection.with(|shown| shown.as_ref()?.sections.get(index).cloned()));
        move || section.get().map(|section| section_view(section, on_select, on_run))
    };
    view! {
        <div data-testid="inspector">
            {move || match shape.get() {
                None => view! {
                    <p class="empty">"Select a broker, a partition, a record, a client or a group on the stage: its state, its settings and its bytes appear here."</p>
                }.into_any(),
                Some((title, count)) => {
                    let mut sections = (0..count).map(section);
                    let first = sections.next();
                    let rest: Vec<_> = sections.collect();
                    let why = move || question.get().map(|question| view! {
                        <h3>{question}</h3>
                        {move || reasons.with(|reasons| (!reasons.is_empty()).then(|| view! { <Reasons reasons=reasons.clone() on_seek=on_seek /> }))}
                    });
                    view! { <h2>{title}</h2><p class="sub">{move || subtitle.get()}</p>{first}{why}{rest} }.into_any()
                }
            }}
        </div>
    }
}

/// A chain of causes, the latest first.
#[component]
pub fn Reasons(reasons: Vec<ReasonView>, on_seek: Callback<Instant>) -> impl IntoView {
    let steps: Vec<_> = reasons
        .into_iter()
        .map(|reason| {
            let at = reason.at;
            let setting = reason.setting.map(|setting| view! { " " <code>{setting}</code> });
            view! {
                <li>
                    <button title="Go to this moment" on:click=move |_| on_seek.run(at)>{words::moment(at)}</button>
                    {reason.text}
                    {setting}
                </li>
            }
        })
        .collect();
    view! { <ol class="reasons">{steps}</ol> }
}

fn section_view(section: Section, on_select: Callback<Thing>, on_run: Callback<String>) -> AnyView {
    let rows: Vec<_> = section.rows.into_iter().map(|row| row_view(row, on_select, on_run)).collect();
    let hex = (!section.hex.is_empty()).then(|| view! { <pre class="hex">{section.hex.join("\n")}</pre> });
    let body = view! { <table class="rows"><tbody>{rows}</tbody></table>{hex} };
    let heading = section.heading;
    if section.folded {
        return view! { <details><summary><h3>{heading}</h3></summary>{body}</details> }.into_any();
    }
    let heading = (!heading.is_empty()).then(|| view! { <h3>{heading}</h3> });
    view! { {heading}{body} }.into_any()
}

fn row_view(row: Row, on_select: Callback<Thing>, on_run: Callback<String>) -> impl IntoView {
    let editing = RwSignal::new(false);
    let text = row.value.clone();
    let label = row.name.clone();
    let value = match (row.goes_to, row.edit) {
        (Some(thing), _) => {
            view! { <button on:click=move |_| on_select.run(thing.clone())>{row.value}</button> }.into_any()
        }
        (None, Some(command)) => view! {
            <Show
                when=move || editing.get()
                fallback={let value = row.value.clone(); move || view! { <button title="Change it" on:click=move |_| editing.set(true)>{value.clone()}</button> }}
            >
                <input
                    aria-label=label.clone()
                    value=text.clone()
                    autofocus
                    on:keydown={let command = command.clone(); move |event: leptos::ev::KeyboardEvent| match event.key().as_str() {
                        "Enter" => {
                            on_run.run(format!("{command}{}", event_target_value(&event).trim()));
                            editing.set(false);
                        }
                        "Escape" => editing.set(false),
                        _ => {}
                    }}
                    on:blur=move |_| editing.set(false)
                />
            </Show>
        }.into_any(),
        (None, None) => row.value.into_any(),
    };
    let told = RwSignal::new(false);
    let (name, hint) = (row.name, row.hint);
    // What a setting means is one press away, for fingers and keys too.
    let name = if hint.is_empty() {
        name.into_any()
    } else {
        view! {
            <button title=hint.clone() aria-expanded=move || told.get().to_string() on:click=move |_| told.update(|told| *told = !*told)>{name}</button>
            {move || told.get().then(|| view! { <small>{hint.clone()}</small> })}
        }
        .into_any()
    };
    view! {
        <tr>
            <th scope="row">{name}</th>
            <td class:changed=row.changed>{value}</td>
        </tr>
    }
}
