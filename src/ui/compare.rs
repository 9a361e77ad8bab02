//! The microscope's comparison: the same run under eager, cooperative and the consumer protocol, side by side.
//!
//! The three runs are taken in small pieces between frames, so that the page stays at hand.

use std::sync::Arc;

use leptos::prelude::*;

use super::browser;
use super::microscope::{REDELIVERED, SheetCanvas, Shown, score_view};
use super::page::Page;
use crate::scene::microscope::axis::Axis;
use crate::scene::microscope::words::seconds;
use crate::scene::microscope::{Slide, Subject, slide_of};
use crate::scene::words;
use crate::sim::compare::{Protocol, Variant};
use crate::time::{Duration, Instant};

/// How far a comparison has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Compared {
    #[default]
    Not,
    /// Part done, 0 to 1.
    Running(f64),
    Done(Vec<Column>),
}

/// One protocol's column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub protocol: Protocol,
    pub slide: Option<Slide>,
    /// Of all the group's rebalances.
    pub whole: Whole,
}

/// What the whole run cost the group.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Whole {
    rebalances: usize,
    unread: Duration,
    moved: u64,
    redelivered: u64,
    messages: u64,
}

/// Milliseconds of work between two frames.
const PIECE_MS: f64 = 10.0;

/// Runs the three variants of the run on show, and compares the rebalance that lies under the microscope.
pub fn start(page: Page, compared: RwSignal<Compared>) {
    let Some(subject) = page.subject.get_untracked() else { return };
    let made = page.read(|engine| {
        let known = engine.chronicle().known();
        let end = (Instant::ZERO + engine.scenario().duration).max(known);
        let began = engine.chronicle().rebalances().of_group(&subject.group)?.rebalance(subject.number)?.began;
        let given = engine.given();
        let variant = |protocol| Variant::new(engine.scenario(), protocol, &given, end);
        let variants: Result<Vec<Variant>, String> = Protocol::ALL.into_iter().map(variant).collect();
        Some((began, variants))
    });
    match made {
        None => {}
        Some((_, Err(why))) => page.tell(&format!("This run cannot be compared: {why}")),
        Some((began, Ok(variants))) => {
            compared.set(Compared::Running(0.0));
            let run = StoredValue::new_local((variants, 0_usize));
            go_on(page, run, compared, subject, began);
        }
    }
}

type Run = StoredValue<(Vec<Variant>, usize), LocalStorage>;

fn go_on(page: Page, run: Run, compared: RwSignal<Compared>, subject: Subject, began: Instant) {
    // Closed meanwhile: nobody waits for it.
    if !matches!(compared.try_get_untracked(), Some(Compared::Running(_))) {
        return run.dispose();
    }
    let start = browser::now_ms();
    let part = run.try_update_value(|(variants, at)| {
        while let Some(variant) = variants.get_mut(*at) {
            if !variant.run(|| browser::now_ms() - start < PIECE_MS) {
                break;
            }
            *at += 1;
        }
        let within = variants.get(*at).map_or(0.0, |variant| {
            variant.world().now().as_micros() as f64 / variant.until().as_micros().max(1) as f64
        });
        (*at as f64 + within) / variants.len().max(1) as f64
    });
    match part {
        None => {}
        Some(part) if part < 1.0 => {
            compared.set(Compared::Running(part));
            set_timeout(move || go_on(page, run, compared, subject, began), std::time::Duration::from_millis(4));
        }
        Some(_) => {
            let refused = run.try_with_value(|(variants, _)| {
                let of =
                    |variant: &Variant| Some(format!("{}: {}", variant.protocol.title(), variant.refused().first()?));
                variants.iter().find_map(of)
            });
            if let Some(refused) = refused.flatten() {
                page.tell(&format!("One of your commands could not be given to every run. {refused}"));
            }
            let columns = run.try_with_value(|(variants, _)| columns(variants, &subject, began)).unwrap_or_default();
            compared.set(Compared::Done(columns));
            run.dispose();
        }
    }
}

/// Each variant's rebalance that began nearest to the one looked at, all over the same span of time.
fn columns(variants: &[Variant], subject: &Subject, began: Instant) -> Vec<Column> {
    let away = |at: Instant| at.as_micros().abs_diff(began.as_micros());
    let mut columns: Vec<Column> = variants
        .iter()
        .map(|variant| {
            let track = variant.rebalances().of_group(&subject.group);
            let nearest = track.and_then(|track| track.rebalances().min_by_key(|rebalance| away(rebalance.began)));
            let slide = nearest.and_then(|nearest| {
                let subject = Subject { group: subject.group.clone(), number: nearest.number };
                let world = variant.world();
                slide_of(variant.rebalances(), variant.letters(), world.names(), world.now(), &subject)
            });
            let mut whole = Whole::default();
            if let Some(track) = track {
                let now = variant.world().now();
                whole.unread = track.unread_now().fold(track.unread(), |sum, (_, since)| sum + now.since(since));
                for rebalance in track.rebalances() {
                    whole.rebalances += 1;
                    whole.moved += u64::from(rebalance.score.moved);
                    whole.redelivered += rebalance.score.redelivered;
                    whole.messages += track.traffic(rebalance, variant.letters()).messages;
                }
            }
            Column { protocol: variant.protocol, slide, whole }
        })
        .collect();
    let slides = || columns.iter().filter_map(|column| column.slide.as_ref());
    let before = slides().map(|slide| slide.began.since(slide.from)).max().unwrap_or_default();
    let after = slides().map(|slide| slide.to.since(slide.began)).max().unwrap_or_default();
    for slide in columns.iter_mut().filter_map(|column| column.slide.as_mut()) {
        slide.from = Instant::ZERO + (slide.began.since(Instant::ZERO) - before);
        slide.to = slide.began + after;
    }
    columns
}

/// The columns, or how far they have come.
#[component]
pub fn CompareView(page: Page, compared: RwSignal<Compared>, #[prop(into)] eased: Signal<bool>) -> impl IntoView {
    view! {
        <div class="compare" data-testid="compare">
            {move || match compared.get() {
                Compared::Not => ().into_any(),
                Compared::Running(part) => view! {
                    <p class="running" role="status">
                        "Running the same scenario and seed three times … "
                        <progress max="1" value=part.to_string()></progress>
                    </p>
                }.into_any(),
                Compared::Done(columns) => done(page, columns, eased).into_any(),
            }}
        </div>
    }
}

fn done(page: Page, columns: Vec<Column>, eased: Signal<bool>) -> impl IntoView {
    let whole = whole_table(&columns);
    let each: Vec<_> = columns
        .into_iter()
        .map(|column| {
            let id = column.protocol.name();
            let body = match column.slide {
                None => view! { <p class="empty">"The group did not rebalance here."</p> }.into_any(),
                Some(slide) => {
                    let (score, open) = (slide.score, slide.open);
                    let line = format!(
                        "Rebalance {} of {}, from {} · {}",
                        slide.subject.number,
                        column.whole.rebalances,
                        words::moment(slide.began),
                        slide.line
                    );
                    let slide = Arc::new(slide);
                    let shown: Memo<Option<Shown>> = Memo::new_with_compare(
                        move |_| {
                            let axis = if eased.get() { Axis::eased(&slide) } else { Axis::clock(slide.from, slide.to) };
                            Some(Arc::new(((*slide).clone(), axis)))
                        },
                        |_, _| true,
                    );
                    let lens = RwSignal::new(Default::default());
                    let (spot, pointer) = (RwSignal::new(None), RwSignal::new(None));
                    view! {
                        <p class="line" title=line.clone()>{line.clone()}</p>
                        {score_view(&score, open)}
                        <SheetCanvas page=page shown=shown lens=lens spot=spot pointer=pointer seeks=false />
                        <p class="told">{move || {
                            let spot = spot.get();
                            shown.with(|shown| Some(shown.as_ref()?.0.sentence(spot?))).unwrap_or_else(|| "Point at a message.".to_owned())
                        }}</p>
                    }.into_any()
                }
            };
            view! {
                <section class="column" data-testid=format!("compare-{id}") aria-label=column.protocol.title()>
                    <h3>{column.protocol.title()}</h3>
                    {body}
                </section>
            }
        })
        .collect();
    view! {
        {whole}
        <p class="beside">"Below: of each run, the rebalance that began nearest to the one you looked at. It need not have the same cause."</p>
        <div class="columns">{each}</div>
    }
}

fn whole_table(columns: &[Column]) -> impl IntoView + use<> {
    let least = columns.iter().map(|column| column.whole.unread).min();
    let alike = columns.iter().all(|column| Some(column.whole.unread) == least);
    let rows: Vec<_> = columns
        .iter()
        .map(|column| {
            let whole = column.whole;
            let best = !alike && Some(whole.unread) == least;
            view! {
                <tr>
                    <th scope="row">{column.protocol.title()}</th>
                    <td>{whole.rebalances}</td>
                    <td>{best.then(|| view! { <span class="best">"least"</span>" " })}{seconds(whole.unread.as_micros())}</td>
                    <td>{words::grouped(whole.moved)}</td>
                    <td>{words::grouped(whole.redelivered)}</td>
                    <td>{words::grouped(whole.messages)}</td>
                </tr>
            }
        })
        .collect();
    view! {
        <table class="whole" data-testid="compare-whole">
            <caption>"The whole run"</caption>
            <thead>
                <tr><th></th><th>"Rebalances"</th><th>"Partition-seconds unread"</th><th>"Moved"</th><th title=REDELIVERED>"Redelivered"</th><th>"Messages"</th></tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
}
