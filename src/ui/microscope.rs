//! The microscope: a rebalance as a swim-lane, over the stage, with its score above it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use leptos::ev::{KeyboardEvent, PointerEvent, WheelEvent};
use leptos::html::{Canvas, Div};
use leptos::prelude::*;

use super::browser;
use super::canvas::microscope::{Lens, Microscope, Sight};
use super::compare::{self, CompareView, Compared};
use super::icons::{Glyph, Icon};
use super::page::Page;
use crate::kafka::ids::Node;
use crate::scene::focus::Thing;
use crate::scene::layout::Point;
use crate::scene::microscope::axis::Axis;
use crate::scene::microscope::words::seconds;
use crate::scene::microscope::{self, ScoreCard, Slide, Sort, Spot, Subject};
use crate::scene::words;

/// The slide on show, with its axis.
pub type Shown = Arc<(Slide, Axis)>;

/// How many messages the table has at the most.
const LINES: usize = 400;

/// Opens the microscope on the selected group's latest rebalance, or on the latest of all; closes it where it is open.
pub fn toggle(page: Page) {
    if page.subject.get_untracked().is_some() {
        return page.subject.set(None);
    }
    let group = page.selected.get_untracked().and_then(|thing| match thing {
        Thing::Group(name) => Some(name),
        _ => None,
    });
    look(page, group.as_deref());
}

/// Looks at the latest rebalance of a group, or of all.
pub fn look(page: Page, group: Option<&str>) {
    let found = page.read(|engine| {
        let (chronicle, now) = (engine.chronicle(), engine.now());
        match group {
            Some(group) => {
                let track = chronicle.rebalances().of_group(group)?;
                let last = track.rebalances().rev().find(|rebalance| rebalance.began <= now)?;
                Some(Subject { group: group.to_owned(), number: last.number })
            }
            None => microscope::latest(chronicle.rebalances(), now),
        }
    });
    match found {
        Some(subject) => page.subject.set(Some(subject)),
        None => page.tell(
            "No group has rebalanced yet. The microscope opens once one does. (Share groups never do: nobody owns a partition.)",
        ),
    }
}

/// Looks at the rebalance that an event tells of.
pub fn look_at_event(page: Page, id: u64) {
    let found = page.read(|engine| {
        let about = engine.chronicle().events().iter().find(|event| event.id == id)?.about.clone();
        let Some(Thing::Group(group)) = about else { return None };
        microscope::subject_of(engine.chronicle().rebalances(), &group, id)
    });
    if found.is_some() {
        page.subject.set(found);
    }
}

/// The panel over the stage.
#[component]
pub fn MicroscopePanel(page: Page) -> impl IntoView {
    view! {
        <Show when=move || page.subject.with(Option::is_some)>
            <Sheet page=page />
        </Show>
    }
}

#[component]
fn Sheet(page: Page) -> impl IntoView {
    let eased = RwSignal::new(true);
    let lens = RwSignal::new(Lens::default());
    let spot = RwSignal::new(None::<Spot>);
    let pointer = RwSignal::new(None::<f64>);
    let compared = RwSignal::new(Compared::Not);
    let comparing = Memo::new(move |_| compared.with(|compared| *compared != Compared::Not));
    let even = RwSignal::new(true);
    // What a slide shows changes only while its rebalance, or what follows it closely, goes on.
    let stamp = Memo::new(move |_| {
        page.digest.track();
        let subject = page.subject.get()?;
        page.read(|engine| {
            let track = engine.chronicle().rebalances().of_group(&subject.group)?;
            let rebalance = track.rebalance(subject.number)?;
            let last = track.rebalances().next_back().map(|last| last.number);
            let fresh = engine.chronicle().known().since(rebalance.ended).as_micros() < 6_000_000;
            let at =
                if rebalance.closed.is_none() || fresh { engine.chronicle().known().as_micros() / 50_000 } else { 0 };
            Some((subject.clone(), rebalance.ended, rebalance.score, at, last))
        })
    });
    let shown = Memo::new_with_compare(
        move |_| {
            stamp.track();
            let subject = page.subject.get()?;
            let slide = page.read(|engine| microscope::slide(engine.chronicle(), engine.world().names(), &subject))?;
            let axis = if eased.get() { Axis::eased(&slide) } else { Axis::clock(slide.from, slide.to) };
            Some(Arc::new((slide, axis)))
        },
        |_, _| true,
    );
    Effect::new(move |before: Option<Option<Subject>>| {
        let subject = page.subject.get();
        if before.is_some_and(|before| before != subject) {
            lens.set(Lens::default());
            spot.set(None);
            compared.set(Compared::Not);
        }
        subject
    });
    // Keys go to the sheet while it lies over the stage, and back to where they went before.
    let before = browser::focused();
    Effect::new(move |first: Option<()>| {
        if first.is_none()
            && let Some(sheet) = browser::by_testid("microscope-sheet")
        {
            let _ = sheet.focus();
        }
    });
    let before = StoredValue::new_local(before);
    on_cleanup(move || {
        let before = before.try_get_value().flatten();
        // The stage takes no focus before it is told that it can be seen again.
        request_animation_frame(move || {
            if let Some(before) = before.filter(|before| before.is_connected()) {
                let _ = before.focus();
            }
        });
    });
    // Of several groups, each can be looked at.
    let groups = Memo::new(move |_| {
        page.digest.track();
        page.read(|engine| {
            let (groups, now) = (engine.chronicle().rebalances().groups(), engine.now());
            let known = groups.filter(|(_, track)| track.rebalances().any(|rebalance| rebalance.began <= now));
            known.map(|(name, _)| name.to_string()).collect::<Vec<String>>()
        })
    });
    let read = move |of: &dyn Fn(&Slide) -> String| {
        shown.with(|shown| shown.as_ref().map(|shown| of(&shown.0)).unwrap_or_default())
    };
    let number = move || read(&|slide| format!("Rebalance {}", slide.subject.number));
    let group = move || read(&|slide| format!(" of {}", slide.subject.group));
    let step = move |by: i64| {
        page.subject.update(|subject| {
            if let Some(subject) = subject {
                subject.number = (i64::from(subject.number) + by).max(1) as u32;
            }
        });
    };
    let can = move |by: i64| {
        shown.with(|shown| {
            shown.as_ref().is_some_and(|shown| {
                let (first, last) = shown.0.known;
                let next = i64::from(shown.0.subject.number) + by;
                (i64::from(first)..=i64::from(last)).contains(&next)
            })
        })
    };
    let zoom = move |times: f64| lens.update(|lens| zoom_at(lens, 0.5, times));
    view! {
        <section class="microscope" data-testid="microscope" aria-label="Microscope">
            <header>
                <div class="which">
                    <button class="button icon" aria-label="The rebalance before" data-testid="microscope-before" disabled=move || !can(-1) on:click=move |_| step(-1)>"‹"</button>
                    <button class="button icon" aria-label="The next rebalance" data-testid="microscope-next" disabled=move || !can(1) on:click=move |_| step(1)>"›"</button>
                    <Show when=move || { groups.with(|groups| groups.len() > 1) }>
                        <select
                            class="button"
                            aria-label="Group"
                            data-testid="microscope-group"
                            on:change=move |event| look(page, Some(&event_target_value(&event)))
                        >
                            {move || groups.get().into_iter().map(|name| {
                                let chosen = name.clone();
                                let chosen = move || page.subject.with(|subject| subject.as_ref().is_some_and(|subject| subject.group == chosen));
                                view! { <option value=name.clone() prop:selected=chosen>{name.clone()}</option> }
                            }).collect_view()}
                        </select>
                    </Show>
                    <div class="title">
                        <h2>{number}<span class="of">{group}</span></h2>
                        <p>{move || read(&|slide| slide.line.clone())}</p>
                    </div>
                </div>
                <div class="tools">
                    <Show when=move || !comparing.get()>
                        <button class="button icon" aria-label="Zoom in" data-testid="microscope-in" on:click=move |_| zoom(0.6)>"+"</button>
                        <button class="button icon" aria-label="Zoom out" data-testid="microscope-out" on:click=move |_| zoom(1.0 / 0.6)>"−"</button>
                        <button class="button" data-testid="microscope-fit" on:click=move |_| lens.set(Lens::default())>"Fit"</button>
                    </Show>
                    <button
                        class="button"
                        data-testid="microscope-axis"
                        title="Eased: quiet stretches are drawn together. Clock: every second is as wide as any other."
                        on:click=move |_| if comparing.get_untracked() {
                            even.update(|even| *even = !*even);
                        } else {
                            eased.update(|eased| *eased = !*eased);
                            lens.set(Lens::default());
                        }
                    >
                        {move || if comparing.get() && !even.get() || !comparing.get() && eased.get() { "Eased time" } else { "Clock time" }}
                    </button>
                    <button
                        class="button primary"
                        data-testid="microscope-compare"
                        on:click=move |_| if comparing.get_untracked() { compared.set(Compared::Not) } else { compare::start(page, compared) }
                    >
                        {move || if comparing.get() { "Back" } else { "Compare" }}
                    </button>
                    <button class="button icon" aria-label="Close the microscope" data-testid="microscope-close" on:click=move |_| page.subject.set(None)>
                        <Glyph icon=Icon::Close />
                    </button>
                </div>
            </header>
            <Show when=move || comparing.get()>
                <CompareView page=page compared=compared eased=Signal::derive(move || !even.get()) />
            </Show>
            <Show when=move || !comparing.get()>
                {move || shown.with(|shown| shown.as_ref().map(|shown| score_view(&shown.0.score, shown.0.open)))}
                <SheetCanvas page=page shown=shown lens=lens spot=spot pointer=pointer />
                <Told page=page shown=shown spot=spot />
                <details class="tables" data-testid="microscope-tables">
                    <summary>"The same as tables"</summary>
                    {move || shown.with(|shown| shown.as_ref().map(|shown| tables(&shown.0)))}
                </details>
            </Show>
        </section>
    }
}

/// What "redelivered" means, for whoever points at it.
pub const REDELIVERED: &str = "Records that the group had processed before, and processes once more.";

pub fn score_view(card: &ScoreCard, open: bool) -> impl IntoView + use<> {
    let tile = |id: &'static str, value: String, unit: String, bad: bool| {
        let means = (id == "redelivered").then_some(REDELIVERED);
        view! { <div class="tile" class:bad=bad data-testid=format!("score-{id}") title=means><b>{value}</b><span>{unit}</span></div> }
    };
    let members = words::count(u64::from(card.members), "member");
    view! {
        <div class="score" data-testid="score">
            {tile("unread", seconds(card.score.unread.as_micros()), "partition-seconds unread".into(), card.score.unread.as_micros() > 0)}
            {tile("moved", words::grouped(u64::from(card.score.moved)), format!("of {} moved", words::count(u64::from(card.partitions), "partition")), false)}
            {tile("redelivered", words::grouped(card.score.redelivered), "records redelivered".into(), card.score.redelivered > 0)}
            {tile("messages", words::grouped(card.traffic.messages), format!("messages, {}", words::bytes(card.traffic.bytes)), false)}
            {tile("duration", words::span(card.duration), if open { format!("so far, {members}") } else { format!("long, {members}") }, false)}
        </div>
    }
}

/// Makes what is on show wider or narrower around a part of the width.
fn zoom_at(lens: &mut Lens, part: f64, times: f64) {
    let width = lens.right - lens.left;
    let next = (width * times).clamp(1e-4, 1.0);
    let fixed = lens.left + width * part;
    lens.left = fixed - next * part;
    lens.right = lens.left + next;
    keep_inside(lens);
}

fn keep_inside(lens: &mut Lens) {
    let width = (lens.right - lens.left).min(1.0);
    lens.left = lens.left.clamp(0.0, 1.0 - width);
    lens.right = lens.left + width;
    lens.down = lens.down.max(0.0);
}

/// The sheet of a slide: zoomed, panned, pointed at, and walked through by keys.
#[component]
pub fn SheetCanvas(
    page: Page,
    shown: Memo<Option<Shown>>,
    lens: RwSignal<Lens>,
    spot: RwSignal<Option<Spot>>,
    pointer: RwSignal<Option<f64>>,
    /// It is of the run on show: a click goes to its moment there.
    #[prop(default = true)]
    seeks: bool,
) -> impl IntoView {
    let place = NodeRef::<Div>::new();
    let canvas = NodeRef::<Canvas>::new();
    let painter: Rc<RefCell<Option<Microscope>>> = Rc::default();
    let resized = RwSignal::new(0_u32);
    let watching = StoredValue::new_local(None);
    Effect::new(move |_| {
        let Some(place) = place.get() else { return };
        watching.set_value(browser::on_resize(&place, move || {
            let _ = resized.try_update(|count| *count += 1);
        }));
    });
    let mounting = Rc::clone(&painter);
    Effect::new(move |_| {
        if let Some(canvas) = canvas.get() {
            *mounting.borrow_mut() = Microscope::new(canvas);
        }
    });
    let now = Memo::new(move |_| {
        page.revision.track();
        page.read(|engine| engine.now())
    });
    let painting = Rc::clone(&painter);
    let styled = StoredValue::new(0_u64);
    Effect::new(move |_| {
        canvas.track();
        resized.track();
        let themed = page.themed.get();
        let Some(place) = place.get() else { return };
        let scale = browser::window().device_pixel_ratio().clamp(1.0, 3.0);
        let size = (f64::from(place.client_width()), f64::from(place.client_height()), scale);
        let mut painter = painting.borrow_mut();
        let Some(painter) = painter.as_mut() else { return };
        if styled.get_value() != themed {
            styled.set_value(themed);
            painter.restyle();
        }
        let now = if seeks { Some(now.get()) } else { None };
        let sight = Sight { lens: lens.get(), now, spot: spot.get(), pointer: pointer.get() };
        shown.with(|shown| {
            if let Some(shown) = shown.as_ref().filter(|_| size.0 > 1.0) {
                painter.paint(&shown.0, &shown.1, &sight, size);
            }
        });
    });

    let at = move |event: &PointerEvent| {
        let rect = place.get_untracked().map(|place| place.get_bounding_client_rect());
        let (left, top) = rect.map_or((0.0, 0.0), |rect| (rect.left(), rect.top()));
        Point { x: f64::from(event.client_x()) - left, y: f64::from(event.client_y()) - top }
    };
    let painter = StoredValue::new_local(painter);
    let with_painter = move |of: &dyn Fn(&Microscope) -> Option<f64>| {
        painter.with_value(|painter| painter.borrow().as_ref().and_then(of))
    };
    let across = move |x: f64| with_painter(&|painter| Some(painter.across(x))).unwrap_or(0.5);
    let height = move || place.get_untracked().map_or(1.0, |place| f64::from(place.client_height()));
    let lowest = move || with_painter(&|painter| Some(painter.plan().whole)).unwrap_or(0.0) - height();
    let under = move |point: Point| {
        painter.with_value(|painter| painter.borrow().as_ref().and_then(|painter| painter.spot_at(point)))
    };
    let pressed = RwSignal::new(None::<(Point, Lens, bool)>);
    let go_to = move |x: f64, found: Option<Spot>| {
        let moment = shown.with_untracked(|shown| {
            let shown = shown.as_ref()?;
            let lens = lens.get_untracked();
            let at = shown.1.moment(lens.left + across(x) * (lens.right - lens.left));
            Some(found.and_then(|found| shown.0.moment(found)).unwrap_or(at))
        });
        if let Some(moment) = moment.filter(|_| seeks) {
            page.seek(moment);
        }
    };
    let on_move = move |event: PointerEvent| {
        let point = at(&event);
        pointer.set(Some(point.x));
        let Some((from, before, moved)) = pressed.get_untracked() else {
            if let found @ Some(_) = under(point) {
                spot.set(found);
            }
            return;
        };
        if !moved && (from.x - point.x).hypot(from.y - point.y) < 6.0 {
            return;
        }
        pressed.set(Some((from, before, true)));
        let width = across(point.x) - across(from.x);
        lens.update(|lens| {
            let shift = width * (before.right - before.left);
            lens.left = before.left - shift;
            lens.right = before.right - shift;
            lens.down = (before.down + from.y - point.y).min(lowest().max(0.0));
            keep_inside(lens);
        });
    };
    let on_wheel = move |event: WheelEvent| {
        event.prevent_default();
        let rect = place.get_untracked().map_or(0.0, |place| place.get_bounding_client_rect().left());
        let part = across(f64::from(event.client_x()) - rect).clamp(0.0, 1.0);
        let tall = lowest() > 4.0;
        lens.update(|lens| {
            if event.delta_x().abs() > event.delta_y().abs() {
                let shift = event.delta_x() / 1200.0 * (lens.right - lens.left);
                lens.left += shift;
                lens.right += shift;
                keep_inside(lens);
            } else if event.ctrl_key() || event.meta_key() || !tall {
                zoom_at(lens, part, (event.delta_y() / 400.0).clamp(-0.6, 0.6).exp());
            } else {
                lens.down = (lens.down + event.delta_y()).clamp(0.0, lowest().max(0.0));
            }
        });
    };
    let on_key = move |event: KeyboardEvent| {
        let pan = |part: f64| {
            lens.update(|lens| {
                let shift = part * (lens.right - lens.left);
                lens.left += shift;
                lens.right += shift;
                keep_inside(lens);
            });
        };
        match event.key().as_str() {
            "ArrowRight" if event.shift_key() => pan(0.15),
            "ArrowLeft" if event.shift_key() => pan(-0.15),
            "ArrowRight" => shown.with_untracked(|shown| walk(shown.as_ref(), spot, lens, 1)),
            "ArrowLeft" => shown.with_untracked(|shown| walk(shown.as_ref(), spot, lens, -1)),
            "ArrowDown" => lens.update(|lens| lens.down = (lens.down + 40.0).clamp(0.0, lowest().max(0.0))),
            "ArrowUp" => lens.update(|lens| lens.down = (lens.down - 40.0).max(0.0)),
            "+" | "=" => lens.update(|lens| zoom_at(lens, 0.5, 0.6)),
            "-" => lens.update(|lens| zoom_at(lens, 0.5, 1.0 / 0.6)),
            "0" | "Home" => lens.set(Lens::default()),
            "Enter" => {
                let moment = shown.with_untracked(|shown| shown.as_ref()?.0.moment(spot.get_untracked()?));
                if let Some(moment) = moment.filter(|_| seeks) {
                    page.seek(moment);
                }
            }
            "Escape" => page.subject.set(None),
            _ => return,
        }
        event.prevent_default();
        event.stop_propagation();
    };
    view! {
        <div
            class="sheet"
            node_ref=place
            tabindex="0"
            role="application"
            aria-roledescription="swim-lane"
            aria-label=move || shown.with(|shown| shown.as_ref().map(|shown| shown.0.summary()).unwrap_or_default())
            data-testid="microscope-sheet"
            on:pointerdown=move |event| {
                if let Some(place) = place.get_untracked() {
                    let _ = place.set_pointer_capture(event.pointer_id());
                }
                pressed.set(Some((at(&event), lens.get_untracked(), false)));
            }
            on:pointermove=on_move
            on:pointerup=move |event| {
                let point = at(&event);
                if pressed.get_untracked().is_some_and(|(_, _, moved)| !moved) {
                    let found = under(point);
                    if found.is_some() {
                        spot.set(found);
                    }
                    go_to(point.x, found);
                }
                pressed.set(None);
            }
            on:pointercancel=move |_| pressed.set(None)
            on:pointerleave=move |_| pointer.set(None)
            on:wheel=on_wheel
            on:keydown=on_key
        >
            <canvas node_ref=canvas aria-hidden="true"></canvas>
        </div>
    }
}

/// Moves the focus to the next thing that is worth a word, and the lens with it.
fn walk(shown: Option<&Shown>, spot: RwSignal<Option<Spot>>, lens: RwSignal<Lens>, by: i64) {
    let Some(shown) = shown else { return };
    let (slide, axis) = (&shown.0, &shown.1);
    let arrows = slide
        .arrows
        .iter()
        .enumerate()
        .filter(|(_, arrow)| arrow.sort != Sort::Pulse)
        .map(|(place, _)| Spot::Arrow(place));
    let marks = (0..slide.marks.len()).map(Spot::Mark);
    let brackets = (0..slide.brackets.len()).map(Spot::Bracket);
    let mut all: Vec<Spot> = arrows.chain(marks).chain(brackets).collect();
    all.sort_by_key(|spot| slide.moment(*spot));
    let last = all.len() as i64 - 1;
    if last < 0 {
        return;
    }
    let here = spot.get_untracked().and_then(|spot| all.iter().position(|known| *known == spot));
    let next = here.map_or(if by > 0 { 0 } else { last }, |here| (here as i64 + by).clamp(0, last));
    let found = all[next as usize];
    spot.set(Some(found));
    if let Some(moment) = slide.moment(found) {
        let place = axis.place(moment);
        lens.update(|lens| {
            let width = lens.right - lens.left;
            if place < lens.left || place > lens.right {
                lens.left = place - width / 2.0;
                lens.right = lens.left + width;
                keep_inside(lens);
            }
        });
    }
}

/// What one points at, in words, and what led to it.
#[component]
fn Told(page: Page, shown: Memo<Option<Shown>>, spot: RwSignal<Option<Spot>>) -> impl IntoView {
    let told = Memo::new(move |_| {
        let spot = spot.get()?;
        shown.with(|shown| {
            let slide = &shown.as_ref()?.0;
            let sentence = slide.sentence(spot);
            let at = slide.moment(spot)?;
            let cause = slide.fact(spot).and_then(|id| {
                let reasons = page.reasons(id);
                let reason = reasons.get(1).or(reasons.first().filter(|reason| reason.setting.is_some()))?.clone();
                let setting = reason.setting.map(|setting| format!(" {setting}")).unwrap_or_default();
                Some(format!("{}{setting}", reason.text))
            });
            (!sentence.is_empty()).then_some((words::moment(at), sentence, cause))
        })
    });
    view! {
        <p class="told" role="status" data-testid="microscope-told">
            {move || match told.get() {
                Some((at, sentence, cause)) => view! {
                    <b>{at}</b>" "{sentence}
                    {cause.map(|cause| view! { <span class="cause">" Because: "{cause}</span> })}
                }.into_any(),
                None => view! {
                    <span class="cause">"Point at a message, or press → on the sheet: what it says and why it was sent stands here. A click goes to its moment."</span>
                }.into_any(),
            }}
        </p>
    }
}

fn tables(slide: &Slide) -> impl IntoView + use<> {
    let row = |cells: [String; 5]| view! { <tr>{cells.map(|cell| view! { <td>{cell}</td> })}</tr> };
    let unread: Vec<_> = slide.unread_lines().take(LINES).map(row).collect();
    let messages: Vec<_> = slide.message_lines().take(LINES).map(row).collect();
    let deadlines: Vec<_> = (0..slide.brackets.len())
        .take(LINES)
        .map(|place| view! { <li>{slide.sentence(Spot::Bracket(place))}</li> })
        .collect();
    let happened: Vec<_> = (0..slide.marks.len())
        .take(LINES)
        .map(|place| {
            let at = slide.marks[place].at;
            view! { <li>{format!("{} {}", words::moment(at), slide.sentence(Spot::Mark(place)))}</li> }
        })
        .collect();
    view! {
        <p>{slide.summary()}</p>
        <h3>"Read by nobody"</h3>
        <table>
            <thead><tr><th>"Partition"</th><th>"From"</th><th>"For"</th><th>"Why"</th><th>"Then read by"</th></tr></thead>
            <tbody>{unread}</tbody>
        </table>
        <h3>"Deadlines that came"</h3>
        <ul>{deadlines}</ul>
        <h3>"What happened to members"</h3>
        <ul>{happened}</ul>
        <h3>"Messages"</h3>
        <table>
            <thead><tr><th>"Sent"</th><th>"From"</th><th>"To"</th><th>"What"</th><th>"Under way"</th></tr></thead>
            <tbody>{messages}</tbody>
        </table>
    }
}

/// The way in from a selected group.
#[component]
pub fn LookCloser(page: Page) -> impl IntoView {
    let group = Memo::new(move |_| {
        page.digest.track();
        let name = match page.selected.get()? {
            Thing::Group(name) => name,
            Thing::Node(node @ Node::Consumer(_)) => page.read(|engine| {
                let mut groups = engine.chronicle().rebalances().groups();
                groups.find(|(_, track)| track.is_member(node)).map(|(name, _)| name.to_string())
            })?,
            _ => return None,
        };
        let count = page.read(|engine| {
            let now = engine.now();
            let track = engine.chronicle().rebalances().of_group(&name)?;
            Some(track.rebalances().filter(|rebalance| rebalance.began <= now).count())
        })?;
        (count > 0).then_some(name)
    });
    view! {
        {move || group.get().map(|name| {
            let of = name.clone();
            view! {
                <p class="closer">
                    <button class="button" data-testid="look-closer" on:click=move |_| look(page, Some(&of))>
                        "Look closer at the last rebalance of "{name}
                    </button>
                </p>
            }
        })}
    }
}
