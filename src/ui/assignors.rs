//! The assignors by themselves: somebody types topics and members, and sees what every assignor makes of them, side by
//! side; and, when a member leaves, what moves.

use std::collections::BTreeSet;

use leptos::html::Dialog;
use leptos::prelude::*;

use super::icons::{Glyph, Icon};
use crate::scene::assignors::{self, Board, Card, Cell, Row, TopicCells, Who};
use crate::sim::sharing::Sharing;

/// Groups to begin with: what they show, topics, members.
const EXAMPLES: [(&str, &str, &str); 4] = [
    ("All alike", "orders:7 users:4", "a b c"),
    ("Different topics", "orders:6 users:3 mails:2", "a=orders,users b=orders c=users,mails d=orders,mails"),
    ("More members than partitions", "orders:4", "a b c d e f"),
    ("Twenty of them", "orders:50 users:30", "c1..c20"),
];

/// The dialog with the playground.
#[component]
pub fn Assignors(open: RwSignal<bool>) -> impl IntoView {
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
    view! {
        <dialog class="assignors" node_ref=dialog aria-labelledby="assignors-title" data-testid="assignors-dialog" on:close=move |_| open.set(false)>
            <header>
                <h2 id="assignors-title">"Who reads what?"</h2>
                <p>"Topics and members go in; every assignor says how it would share them. Untick a member, and it leaves."</p>
                <button class="button icon" aria-label="Close" data-testid="assignors-close" on:click=move |_| open.set(false)>
                    <Glyph icon=Icon::Close />
                </button>
            </header>
            <Show when=move || open.get()><Playground /></Show>
        </dialog>
    }
}

#[component]
fn Playground() -> impl IntoView {
    let topics = RwSignal::new(EXAMPLES[0].1.to_owned());
    let members = RwSignal::new(EXAMPLES[0].2.to_owned());
    let away = RwSignal::new(BTreeSet::<String>::new());
    let group = move || Sharing::parse(&topics.read(), &members.read());
    let who = Memo::new(move |_| group().as_ref().map(assignors::members).unwrap_or_default());
    let answer = Memo::new(move |_| group().map(|group| Board::of(&group, &away.read())));
    let examples = EXAMPLES.map(|(name, some_topics, some_members)| {
        let choose = move |_| {
            topics.set(some_topics.to_owned());
            members.set(some_members.to_owned());
            away.set(BTreeSet::new());
        };
        view! { <button class="button" on:click=choose>{name}</button> }
    });
    view! {
        <div class="typed">
            <label for="assignors-topics">"Topics"</label>
            <input id="assignors-topics" data-testid="assignors-topics" autocomplete="off" spellcheck="false" aria-describedby="assignors-how" bind:value=topics />
            <label for="assignors-members">"Members"</label>
            <input id="assignors-members" data-testid="assignors-members" autocomplete="off" spellcheck="false" aria-describedby="assignors-how" bind:value=members />
            <p id="assignors-how">
                "A topic is " <code>"name:partitions"</code> ". A member is " <code>"name"</code> " for all topics, " <code>"name=topic,topic"</code> " for some; " <code>"c1..c6"</code> " are six."
            </p>
            <div class="examples" role="group" aria-label="Examples">{examples}</div>
        </div>
        <fieldset>
            <legend>"Who is there?"</legend>
            {move || who.get().into_iter().map(|who| presence(who, away)).collect_view()}
        </fieldset>
        <p class="summary" role="status" data-testid="assignors-summary" class:wrong=move || answer.read().is_err()>
            {move || answer.get().map_or_else(|wrong| wrong, |board| board.summary)}
        </p>
        <div class="cards" data-testid="assignors-answers">
            {move || answer.get().ok().map(|board| board.cards.into_iter().map(card).collect_view())}
        </div>
    }
}

/// The tick of one member.
fn presence(who: Who, away: RwSignal<BTreeSet<String>>) -> impl IntoView {
    let name = StoredValue::new(who.name.clone());
    let there = move || !away.read().contains(&name.get_value());
    let toggle = move |_| {
        away.update(|away| {
            if !away.remove(&name.get_value()) {
                away.insert(name.get_value());
            }
        });
    };
    let colours = hue(&who);
    view! {
        <label class="who" style=colours class:gone=move || !there()>
            <input type="checkbox" data-testid=format!("member-{}", who.name) prop:checked=there on:change=toggle />
            <i aria-hidden="true">{who.letter}</i>
            {who.name}
        </label>
    }
}

fn card(card: Card) -> impl IntoView {
    view! {
        <table data-testid=format!("answer-{}", card.name)>
            <caption>
                <b>{card.name}</b>
                <span>{card.kind}</span>
            </caption>
            <thead class="unseen"><tr><th scope="col">"Member"</th><th scope="col">"How many"</th><th scope="col">"Partitions"</th></tr></thead>
            <tbody>{card.rows.into_iter().map(row).collect_view()}</tbody>
            <tfoot>
                {card.others.map(|others| view! { <tr><td colspan="3">{others}</td></tr> })}
                <tr><td colspan="3" class="verdict" class:good=card.good>{card.verdict}</td></tr>
            </tfoot>
        </table>
    }
}

fn row(row: Row) -> impl IntoView {
    let colours = hue(&row.who);
    let cells = if row.away {
        view! { <em aria-hidden="true">"has left"</em> }.into_any()
    } else {
        row.groups.into_iter().map(topic).collect_view().into_any()
    };
    view! {
        <tr class:gone=row.away style=colours>
            <th scope="row"><i aria-hidden="true">{row.who.letter}</i><span class="unseen">{row.who.name}</span></th>
            <td class="count">{row.count}</td>
            <td class="held"><span class="unseen">{row.spoken}</span>{cells}</td>
        </tr>
    }
}

fn topic(group: TopicCells) -> impl IntoView {
    view! {
        <span class="topic" aria-hidden="true"><small>{group.topic}</small>{group.cells.into_iter().map(cell).collect_view()}</span>
    }
}

/// A partition; one that moved shows whose it was.
fn cell(cell: Cell) -> impl IntoView {
    let has_moved = cell.from.is_some();
    let from = cell.from.map(|from| {
        let colours = hue(&from);
        view! { <sup style=colours>{from.letter}</sup> }
    });
    view! { <span class="cell" class:moved=has_moved>{cell.text}{from}</span> }
}

/// The variables of a member's colours.
fn hue(who: &Who) -> String {
    format!("--hue: var(--key-{0}); --hue-soft: var(--key-{0}-soft)", who.hue)
}
