//! The stage: two canvases, a button over every node, and what one does with the pointer.

use std::cell::RefCell;
use std::rc::Rc;

use leptos::ev::PointerEvent;
use leptos::html::{Canvas, Div};
use leptos::prelude::*;

use super::browser;
use super::canvas::{Painter, View};
use super::caption::CaptionLine;
use super::dock::Tab;
use super::engine::{Brought, Engine};
use super::fallback;
use super::hints::Hints;
use super::node_menu::{NodeMenu, OpenMenu};
use super::page::Page;
use super::scenarios;
use crate::kafka::ids::Node;
use crate::scene::caption::Caption;
use crate::scene::focus::Thing;
use crate::scene::layout::{Detail, Layout, Point, Rect};
use crate::scene::sample;
use crate::scene::stage::{Cast, Health, Stage, Trouble};
use crate::scene::traffic::Lanes;
use crate::scene::words;
use crate::time::{Duration, Instant};

/// A node's place, for its button.
#[derive(Clone, Debug, PartialEq)]
pub struct Spot {
    pub node: Node,
    pub name: String,
    pub health: Health,
    pub rect: Rect,
}

/// The stage, its caption, hints and menus.
#[component]
pub fn StageView(page: Page) -> impl IntoView {
    let place = NodeRef::<Div>::new();
    let lower = NodeRef::<Canvas>::new();
    let upper = NodeRef::<Canvas>::new();
    let painter: Rc<RefCell<Option<Painter>>> = Rc::default();
    let groups = RwSignal::new(Vec::<(String, Rect)>::new());
    let menu = RwSignal::new(None::<OpenMenu>);
    let knife = RwSignal::new(None::<(Point, Point)>);
    let tip = RwSignal::new(None::<(Point, String)>);

    let mounting = Rc::clone(&painter);
    Effect::new(move |_| {
        let (Some(lower), Some(upper)) = (lower.get(), upper.get()) else { return };
        match Painter::new(lower, upper) {
            Ok(painter) => *mounting.borrow_mut() = Some(painter),
            Err(why) => fallback::show(
                "Nothing can be drawn here.",
                "Please try another browser, or allow canvas in this one's settings.",
                &why,
            ),
        }
    });
    let restyling = Rc::clone(&painter);
    Effect::new(move |_| {
        page.themed.track();
        if let Some(painter) = restyling.borrow_mut().as_mut() {
            painter.restyle();
        }
    });
    let painting = Rc::clone(&painter);
    frames(page, place, painting, groups);

    let at = move |event: &PointerEvent| {
        let rect = place.get_untracked().map(|place| place.get_bounding_client_rect());
        let (left, top) = rect.map_or((0.0, 0.0), |rect| (rect.left(), rect.top()));
        Point { x: f64::from(event.client_x()) - left, y: f64::from(event.client_y()) - top }
    };
    let hit = {
        let painter = Rc::clone(&painter);
        move |point: Point| painter.borrow().as_ref().and_then(|painter| thing_at(page, painter, point))
    };
    let hit = StoredValue::new_local(hit);
    let tiled = {
        let painter = Rc::clone(&painter);
        StoredValue::new_local(move || painter.borrow().as_ref().is_some_and(|painter| painter.layout().tiled))
    };
    let crossed = {
        let painter = Rc::clone(&painter);
        move |a: Point, b: Point| {
            painter.borrow().as_ref().map(|painter| links_across(page, painter.layout(), a, b)).unwrap_or_default()
        }
    };
    let crossed = StoredValue::new_local(crossed);
    let pressed = RwSignal::new(None::<Point>);
    let on_down = move |event: PointerEvent| {
        menu.set(None);
        pressed.set(Some(at(&event)));
    };
    let on_move = move |event: PointerEvent| {
        let point = at(&event);
        if let Some(from) = pressed.get_untracked() {
            let far = (from.x - point.x).hypot(from.y - point.y) > 12.0;
            if far && hit.with_value(|hit| hit(from)).is_none() {
                knife.set(Some((from, point)));
            }
            return;
        }
        let thing = hit.with_value(|hit| hit(point));
        tip.set(
            thing.as_ref().and_then(|thing| Some((point, tip_text(page, thing, tiled.with_value(|tiled| tiled()))?))),
        );
        if page.hovered.with_untracked(|hovered| *hovered != thing) {
            page.hovered.set(thing);
            page.revision.update(|revision| *revision += 1);
        }
    };
    let on_up = move |event: PointerEvent| {
        let point = at(&event);
        pressed.set(None);
        if let Some((a, b)) = knife.get_untracked() {
            knife.set(None);
            let pairs = crossed.with_value(|crossed| crossed(a, b));
            for (one, other, healed) in pairs {
                page.run_from_menu(&if healed {
                    format!("heal {one} {other}")
                } else {
                    format!("cut {one} | {other}")
                });
            }
            return;
        }
        match hit.with_value(|hit| hit(point)) {
            Some(thing) => page.select(thing),
            None => page.selected.set(None),
        }
    };
    let on_leave = move |_| {
        pressed.set(None);
        knife.set(None);
        tip.set(None);
        page.hovered.set(None);
    };
    let spoken = StoredValue::new((None::<Caption>, 0.0, Instant::ZERO));
    let caption = Memo::new(move |_| {
        page.revision.track();
        held(page, spoken)
    });
    let ending = Memo::new(move |_| {
        page.digest.track();
        page.read(|engine| engine.ending())
    });
    let strokes = move || knife.get().map(|(a, b)| knife_view(a, b, &crossed.with_value(|crossed| crossed(a, b))));
    let open_menu = move |spot: &Spot| {
        let right = spot.rect.right() > 420.0;
        let x = if right { spot.rect.right() - 184.0 } else { spot.rect.x };
        let style = format!("left:{:.0}px;top:{:.0}px", x.max(8.0), spot.rect.y + 34.0_f64.min(spot.rect.h));
        menu.set(Some(OpenMenu { node: spot.node, name: spot.name.clone(), health: spot.health, style }));
    };
    view! {
        <div
            class="stage"
            node_ref=place
            data-testid="stage"
            role="group"
            aria-label="The cluster: producers, brokers, consumer groups"
            // Nobody can see it while the microscope lies over it.
            prop:inert=move || page.subject.with(Option::is_some)
            on:pointerdown=on_down
            on:pointermove=on_move
            on:pointerup=on_up
            on:pointerleave=on_leave
        >
            <canvas node_ref=lower aria-hidden="true"></canvas>
            <canvas class="upper" node_ref=upper aria-hidden="true"></canvas>
            {move || {
                page.spots.get().into_iter().map(|spot| spot_view(page, spot, open_menu)).collect_view()
            }}
            {move || {
                groups.get().into_iter().map(|(name, rect)| add_view(page, name, rect)).collect_view()
            }}
            <NodeMenu
                open=menu
                on_run=Callback::new(move |command: String| page.run_from_menu(&command))
                on_inspect=Callback::new(move |node| page.select(Thing::Node(node)))
                on_close=Callback::new(move |()| menu.set(None))
            />
            {strokes}
            <AilingView page=page />
            {move || tip.get().map(|(point, text)| view! {
                <div class="tip" style=format!("left:{:.0}px;top:{:.0}px", point.x + 14.0, point.y + 16.0)>{text}</div>
            })}
            <CaptionLine caption=caption ending=ending on_again=Callback::new(move |()| page.again()) />
            <Show when=move || browser::query("embed").is_none() && page.chosen.get() == scenarios::DEFAULT><Hints /></Show>
        </div>
    }
}

/// Paints before every frame in which something moved.
fn frames(
    page: Page,
    place: NodeRef<Div>,
    painter: Rc<RefCell<Option<Painter>>>,
    groups: RwSignal<Vec<(String, Rect)>>,
) {
    let mut last = 0.0;
    let mut digested = 0.0;
    let mut idle = 0_u32;
    let mut seen = (0, (0.0, 0.0, 0.0));
    let mut placed: Rc<Cast> = Rc::default();
    let still = browser::prefers("(prefers-reduced-motion: reduce)");
    browser::every_frame(move |at| {
        let wall = ((at - last) * 1000.0).clamp(0.0, 250_000.0) as u64;
        last = at;
        let brought = page.frame(wall);
        if brought != Brought::Nothing {
            page.revision.update(|revision| *revision += 1);
        }
        // Where both are much work, panels and stage are not brought up to date in the same frame.
        let rest = if brought == Brought::Cast { 240.0 } else { 180.0 };
        if at - digested > rest && page.revision.get_untracked() != page.digest.get_untracked() {
            digested = at;
            page.digest_now();
        }
        let Some(size) = place.get_untracked().map(|place| {
            let scale = browser::window().device_pixel_ratio().clamp(1.0, 3.0);
            (f64::from(place.client_width()), f64::from(place.client_height()), scale)
        }) else {
            return;
        };
        let now = (page.revision.get_untracked() + page.themed.get_untracked(), size);
        // A second of frames after the last change lets everything that eases come to rest.
        idle = if now == seen { idle + 1 } else { 0 };
        seen = now;
        if (idle > 60 && page.crowd.get_untracked() == 0) || size.0 < 1.0 {
            return;
        }
        let Ok(mut painter) = painter.try_borrow_mut() else { return };
        let Some(painter) = painter.as_mut() else { return };
        let view = View {
            selected: page.selected.get_untracked(),
            hovered: page.hovered.get_untracked(),
            rate: page.read(|engine| engine.rate()).max(1),
            still,
            hidden: page.hidden.get_untracked(),
            disk: page.disk.get_untracked(),
        };
        let crowd = page.crowd.get_untracked();
        page.with_stage(|stage| {
            if crowd > 0 {
                let now = Instant::from_micros((at * 1000.0) as u64);
                let messages = sample::crowd(&stage.cast, crowd, now);
                let busy = Stage { now, cast: stage.cast.clone(), messages };
                painter.paint(&busy, &View { rate: 1_000_000, ..view.clone() }, size, at);
                return;
            }
            let moved = painter.paint(stage, &view, size, at);
            if !moved && Rc::ptr_eq(&placed, &stage.cast) {
                return;
            }
            placed = Rc::clone(&stage.cast);
            let area = painter.layout().broker_area;
            if page.brokers.with_untracked(|known| *known != area) {
                page.brokers.set(area);
            }
            let spots = spots(&stage.cast, painter.layout());
            if page.spots.with_untracked(|known| *known != spots) {
                page.spots.set(spots);
            }
            // On a narrow stage the group's name stands where the button would.
            let shown = if painter.layout().narrow { &[] } else { painter.layout().groups.as_slice() };
            let names = stage.cast.groups.iter().map(|group| group.name.clone());
            let frames: Vec<(String, Rect)> = names.zip(shown.iter().copied()).collect();
            if groups.with_untracked(|known| *known != frames) {
                groups.set(frames);
            }
        });
    });
}

/// How long what a scenario says stays on the line at least, in milliseconds of the person's time.
const READING: f64 = 4_000.0;

/// The line for this moment. What the scenario said is held until it could be read, unless somebody went elsewhere.
fn held(page: Page, spoken: StoredValue<(Option<Caption>, f64, Instant)>) -> Option<Caption> {
    let (caption, now) = page.read(|engine| (engine.caption(), Some(engine.now())));
    let (now, wall) = (now?, browser::now_ms());
    if caption.as_ref().is_some_and(|caption| caption.spoken) {
        spoken.update_value(|known| {
            if known.0 != caption {
                known.1 = wall;
            }
            (known.0, known.2) = (caption.clone(), now);
        });
        return caption;
    }
    let playing = page.read(Engine::playing);
    let (last, since, at) = spoken.get_value();
    let near = now >= at && now.since(at) < Duration::secs(15);
    if playing && near && last.is_some() && wall - since < READING {
        return last;
    }
    spoken.set_value((None, 0.0, now));
    caption
}

/// The stroke of a cut, and what it would cut.
fn knife_view(a: Point, b: Point, crossed: &[(String, String, bool)]) -> impl IntoView + use<> {
    let mut words: Vec<String> = crossed
        .iter()
        .take(4)
        .map(|(one, other, healed)| format!("{} {one} | {other}", if *healed { "heal" } else { "cut" }))
        .collect();
    if crossed.len() > 4 {
        words.push(format!("and {} more", crossed.len() - 4));
    }
    if words.is_empty() {
        words.push("Drag across a link to cut it".to_owned());
    }
    let lines: Vec<_> = words.into_iter().map(|line| view! { <b>{line}</b> }).collect();
    view! {
        <svg class="knife" width="100%" height="100%"><line x1=a.x y1=a.y x2=b.x y2=b.y /></svg>
        <div class="tip" data-testid="knife" style=format!("left:{:.0}px;top:{:.0}px", b.x + 14.0, b.y + 16.0)>{lines}</div>
    }
}

/// What ails partitions, over the brokers; a click selects the first that ails.
#[component]
fn AilingView(page: Page) -> impl IntoView {
    let ailing = Memo::new(move |_| {
        page.digest.track();
        page.with_stage(|stage| stage.cast.ailing).unwrap_or_default()
    });
    let find = move |trouble: Trouble| {
        let found = page.with_stage(|stage| {
            let mut strips = stage.cast.brokers.iter().flat_map(|broker| &broker.strips);
            strips.find(|strip| strip.trouble == trouble).map(|strip| strip.partition)
        });
        match found.flatten() {
            Some(partition) => page.select(Thing::Partition(partition)),
            None => page.tab.set(Tab::Report),
        }
    };
    let pill = move |id: &'static str, bad: bool, text: String, trouble: Trouble| {
        view! {
            <button
                class:bad=bad
                data-testid=format!("ailing-{id}")
                on:pointerdown=|event| event.stop_propagation()
                on:pointerup=|event| event.stop_propagation()
                on:click=move |_| find(trouble)
            >
                {text}
            </button>
        }
    };
    let pills = move || {
        let found = ailing.get();
        let some = |number: u32| number > 0;
        let internal = some(found.internal_offline) && !some(found.offline);
        view! {
            {found.no_controller.then(|| pill("controller", true, "no controller".to_owned(), Trouble::None))}
            {some(found.offline).then(|| pill("offline", true, format!("{} offline", found.offline), Trouble::Offline))}
            {internal.then(|| pill("internal", true, format!("{} internal offline", found.internal_offline), Trouble::None))}
            {(found.under_min_isr > found.offline).then(|| {
                pill("min-isr", false, format!("{} under min ISR", found.under_min_isr), Trouble::UnderMinIsr)
            })}
            // What a worse word has told of all of them is not said again.
            {(found.under_replicated > found.offline.max(found.under_min_isr)).then(|| {
                pill("under-replicated", false, format!("{} under-replicated", found.under_replicated), Trouble::UnderReplicated)
            })}
        }
    };
    let style = move || {
        let area = page.brokers.get();
        let above = if area.w < 400.0 { 19.0 } else { 26.0 };
        format!("left:{:.0}px;width:{:.0}px;top:{:.0}px", area.x, area.w, (area.y - above).max(0.0))
    };
    view! { <div class="ailing" style=style data-testid="ailing">{pills}</div> }
}

fn spots(cast: &Cast, layout: &Layout) -> Vec<Spot> {
    cast.nodes()
        .filter_map(|(node, name, health)| {
            let rect = *layout.nodes.get(&node)?;
            // What is too small to be hit is no button: a thousand of them would only cost time.
            if rect.h < 9.0 || rect.w < 9.0 {
                return None;
            }
            Some(Spot { node, name: name.to_owned(), health, rect })
        })
        .collect()
}

fn spot_view(page: Page, spot: Spot, open_menu: impl Fn(&Spot) + Copy + 'static) -> impl IntoView {
    let Rect { x, y, w, h } = spot.rect;
    let node = spot.node;
    let style = format!("left:{x:.1}px;top:{y:.1}px;width:{w:.1}px;height:{h:.1}px");
    let top = if h < 40.0 { y + (h - 22.0) / 2.0 } else { y + 6.0 };
    let more = format!("left:{:.1}px;top:{top:.1}px", x + w - 32.0);
    let label = format!("{}, {}", spot.name, spot.health.word());
    let can = !matches!(node, Node::Tool(_)) && h > 20.0;
    let name = spot.name.clone();
    let menu = can.then(|| {
        view! {
            <button
                class="more"
                class:slim=h < 40.0
                style=more
                aria-haspopup="menu"
                aria-label=format!("Actions for {name}")
                data-testid=format!("menu-of-{name}")
                on:pointerdown=|event| event.stop_propagation()
                on:pointerup=|event| event.stop_propagation()
                on:click={let spot = spot.clone(); move |_| open_menu(&spot)}
            >
                "⋯"
            </button>
        }
    });
    view! {
        <button
            class="spot"
            style=style
            aria-label=label
            data-testid=format!("node-{}", spot.name)
            on:keydown=move |event| if event.key() == "Enter" || event.key() == " " {
                event.prevent_default();
                event.stop_propagation();
                page.select(Thing::Node(node));
            }
            // A screen reader presses without a pointer.
            on:click=move |event| if event.detail() == 0 {
                page.select(Thing::Node(node));
            }
        ></button>
        {menu}
    }
}

/// The "+" of a group.
fn add_view(page: Page, group: String, rect: Rect) -> Option<impl IntoView> {
    let reading = page.read(|engine| {
        let mut specs = engine.world().consumers().map(|(.., spec, _)| spec);
        // Another member like the first: as slow, and with the same settings.
        specs.find(|spec| spec.group.as_deref() == Some(&group)).map(|spec| {
            let settings: String = spec.overrides.iter().map(|(key, value)| format!(" {key}={value}")).collect();
            let (key, value) = spec.reading();
            format!("{key}={value} work={}{settings}", spec.work)
        })
    })?;
    let style = format!("left:{:.1}px;top:{:.1}px;width:{:.1}px", rect.x + 12.0, rect.bottom() - 36.0, rect.w - 24.0);
    Some(view! {
        <button
            class="add"
            style=style
            data-testid=format!("add-to-{group}")
            on:pointerdown=|event| event.stop_propagation()
            on:pointerup=|event| event.stop_propagation()
            on:click=move |_| {
                let name = page.read(|engine| (1..).map(|place| format!("c{place}")).find(|name| engine.node(&format!("consumer-{name}")).is_none()));
                if let Some(name) = name {
                    page.run_from_menu(&format!("add consumer {name} group={group} {reading}"));
                }
            }
        >
            "+ add a consumer"
        </button>
    })
}

/// What lies under a point: a record before its log, a log before its broker, a node before its group.
fn thing_at(page: Page, painter: &Painter, point: Point) -> Option<Thing> {
    let layout = painter.layout();
    if let Some(place) = layout.strip_at(point) {
        let offset = (layout.detail == Detail::Cells && place.track.contains(point)).then(|| {
            page.with_stage(|stage| {
                let broker = stage.cast.brokers.iter().find(|broker| broker.node == place.broker)?;
                let strip = broker.strips.iter().find(|strip| strip.partition == place.partition)?;
                painter.offset_at(place, strip, point.x)
            })
            .flatten()
        });
        return Some(match offset.flatten() {
            Some(offset) => Thing::Record(place.broker, place.partition, offset),
            None => Thing::Replica(place.broker, place.partition),
        });
    }
    if let Some(node) = layout.node_at(point) {
        return Some(Thing::Node(node));
    }
    let place = layout.groups.iter().position(|rect| rect.contains(point))?;
    page.with_stage(|stage| stage.cast.groups.get(place).map(|group| Thing::Group(group.name.clone()))).flatten()
}

/// The links that a stroke crosses, by the names of their ends, and whether each is cut already.
fn links_across(page: Page, layout: &Layout, a: Point, b: Point) -> Vec<(String, String, bool)> {
    use crate::scene::stage::LinkState;
    let mut lanes = Lanes::default();
    page.with_stage(|stage| {
        let names: Vec<(Node, String)> = stage.cast.nodes().map(|(node, name, _)| (node, name.to_owned())).collect();
        let name = |node: Node| names.iter().find(|(known, _)| *known == node).map(|(_, name)| name.clone());
        let crossed = stage.cast.links.iter().filter(|link| {
            lanes
                .between(layout, link.from, link.to)
                .is_some_and(|lane| lane.points().windows(2).any(|pair| cross(a, b, pair[0], pair[1])))
        });
        let is_cut = |state| matches!(state, LinkState::Cut | LinkState::CutThere | LinkState::CutBack);
        crossed.filter_map(|link| Some((name(link.from)?, name(link.to)?, is_cut(link.state)))).collect()
    })
    .unwrap_or_default()
}

fn cross(a: Point, b: Point, c: Point, d: Point) -> bool {
    let side = |p: Point, q: Point, r: Point| (q.x - p.x) * (r.y - p.y) - (q.y - p.y) * (r.x - p.x);
    side(a, b, c) * side(a, b, d) < 0.0 && side(c, d, a) * side(c, d, b) < 0.0
}

fn tip_text(page: Page, thing: &Thing, tiled: bool) -> Option<String> {
    page.read(|engine| {
        let names = engine.world().names();
        Some(match thing {
            Thing::Record(broker, partition, offset) => {
                let shown = crate::scene::inspect::inspect(engine.world(), engine.chronicle(), thing)?;
                let record = shown.sections.iter().find(|section| section.heading.starts_with("Record"))?;
                let value = |name: &str| {
                    record.rows.iter().find(|row| row.name == name).map(|row| row.value.clone()).unwrap_or_default()
                };
                format!(
                    "{}@{offset} on {}: {} · {}",
                    names.partition(*partition),
                    names.node(*broker),
                    value("Key"),
                    value("Value")
                )
            }
            Thing::Replica(broker, partition) => format!("{} on {}", names.partition(*partition), names.node(*broker)),
            // A square says no name by itself.
            Thing::Node(node) if tiled => {
                let mut cards = engine.stage().cast.groups.iter().flat_map(|group| &group.members);
                let card = cards.find(|card| card.node == *node)?;
                format!("{} · {}", card.name, words::count(card.chips.len() as u64, "partition"))
            }
            _ => return None,
        })
    })
}
