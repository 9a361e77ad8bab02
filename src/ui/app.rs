//! The whole page: what it opens with, and which component gets which signal.

use leptos::prelude::*;
use wasm_bindgen::JsValue;

use super::assignors::Assignors;
use super::browser;
use super::charts::{Chart, ChartView, Line};
use super::command_bar::{CommandBar, Completion};
use super::dialog::{Help, Notice, Toast};
use super::dock::{Dock, Tab, Unfold};
use super::engine::Engine;
use super::events::EventList;
use super::inspector::Inspector;
use super::keys;
use super::microscope::{self, LookCloser, MicroscopePanel};
use super::page::Page;
use super::playback_bar::PlaybackBar;
use super::report::ReportTables;
use super::scenario_menu::Choice;
use super::scenarios;
use super::script;
use super::shown::Shown;
use super::stage::StageView;
use super::theme::Theme;
use super::timeline::Timeline;
use super::topbar::TopBar;
use crate::scene::complete;
use crate::scene::events::{self, Event, Weight};
use crate::scene::focus::Thing;
use crate::scene::layout::NARROW;
use crate::scene::words;
use crate::sim::link::Shared;
use crate::sim::playback::{Pace, PlaybackCommand};
use crate::sim::scenario::Scenario;
use crate::time::Instant;

/// The page.
#[component]
pub fn App() -> impl IntoView {
    let page = Page::new();
    let theme = RwSignal::new(Theme::at_start());
    theme.get_untracked().apply();
    page.folded
        .set(browser::window().inner_width().ok().and_then(|width| width.as_f64()).is_some_and(|width| width < NARROW));
    open(page);
    // A link pasted into the address of an open page.
    browser::on_window("hashchange", move |_: web_sys::Event| {
        if browser::hash().starts_with("s=") {
            open(page);
        }
    });
    script::install(page);

    let toggle_theme = move || {
        theme.update(|theme| *theme = theme.toggled());
        theme.get_untracked().apply();
        theme.get_untracked().remember();
        page.themed.update(|count| *count += 1);
    };
    let why = move || why_selected(page);
    keys::listen(page, toggle_theme, why);
    let embed = browser::query("embed").is_some();

    view! {
        <div class="page" class:folded=move || page.folded.get() class:embed=embed>
            <Top page=page on_theme=Callback::new(move |()| toggle_theme()) on_why=Callback::new(move |()| why()) />
            <main>
                <div style="position:relative;height:100%">
                    <StageView page=page />
                    <MicroscopePanel page=page />
                    <Show when=move || !embed><Unfold folded=page.folded /></Show>
                </div>
            </main>
            <Dock tab=page.tab folded=page.folded panel=ViewFn::from(move || panel(page)) />
            <Foot page=page embed=embed />
            <Help open=page.help summary=Signal::derive(move || { page.digest.track(); page.read(|engine| engine.scenario().summary.clone()) }) />
            <Assignors open=page.sharing />
            <Toast notice=page.notice />
        </div>
    }
}

/// Opens what the address asks for; whatever is wrong with it is said, and the default opens instead.
fn open(page: Page) {
    let wanted = browser::hash().strip_prefix("s=").map(str::to_owned);
    let opened = match (wanted, browser::query("scenario")) {
        (Some(link), _) => open_link(page, &link),
        (None, Some(name)) => page.load_built_in(&name),
        (None, None) => page.load_built_in(scenarios::DEFAULT),
    };
    if let Err(why) = opened {
        page.notice.set(Some(Notice { text: why, bad: true }));
        if let Err(why) = page.load_built_in(scenarios::DEFAULT) {
            page.notice.set(Some(Notice { text: why, bad: true }));
        }
    }
    if browser::prefers("(prefers-reduced-motion: reduce)") {
        page.playback(PlaybackCommand::Pause);
    }
}

fn open_link(page: Page, link: &str) -> Result<(), String> {
    let shared = Shared::decode(link).map_err(|error| format!("{error} The default scenario is open instead."))?;
    page.load(&shared.scenario)?;
    page.change(|engine| engine.restore(&shared)).unwrap_or(Ok(()))
}

#[component]
fn Top(page: Page, on_theme: Callback<()>, on_why: Callback<()>) -> impl IntoView {
    let choice = |(name, file): &(&'static str, &str)| {
        // What is built in can be read: the tests run every one of them.
        let scenario = Scenario::parse(file).ok()?;
        Some(Choice { name, title: scenario.title, summary: scenario.summary })
    };
    let chapters = scenarios::CHAPTERS
        .iter()
        .map(|chapter| (chapter.title, chapter.scenarios.iter().filter_map(choice).collect()))
        .collect();
    let title = Memo::new(move |_| {
        page.chosen.track();
        page.digest.track();
        page.read(|engine| engine.scenario().title.clone())
    });
    let seed = Memo::new(move |_| {
        page.digest.track();
        page.read(|engine| engine.scenario().seed)
    });
    view! {
        <TopBar
            chapters=chapters
            chosen=page.chosen
            title=title
            seed=seed
            on_choose=Callback::new(move |name: String| if let Err(text) = page.load_built_in(&name) {
                page.notice.set(Some(Notice { text, bad: true }));
            })
            on_why=on_why
            on_assignors=Callback::new(move |()| page.sharing.set(true))
            on_fork=Callback::new(move |()| fork(page))
            on_share=Callback::new(move |()| share(page))
            on_theme=on_theme
            on_help=Callback::new(move |()| page.help.set(true))
        />
    }
}

/// Opens this moment as a run of its own beside this one, so that two futures can be compared.
fn fork(page: Page) {
    let link = page.read(|engine| engine.shared().encode());
    let opened = browser::window().open_with_url_and_target(&format!("#s={link}"), "_blank");
    if !opened.is_ok_and(|window| window.is_some()) {
        let text = "The browser did not let a second window open. Press Share, and open the link beside this page.";
        page.notice.set(Some(Notice { text: text.to_owned(), bad: true }));
    }
}

/// Puts the run into the address, and the address on the clipboard.
fn share(page: Page) {
    let link = page.read(|engine| engine.shared().encode());
    let window = browser::window();
    // Replaced rather than set: no `hashchange` for a run that is open already.
    let _ = window
        .history()
        .and_then(|history| history.replace_state_with_url(&JsValue::NULL, "", Some(&format!("#s={link}"))));
    let address = window.location().href().unwrap_or_default();
    // Without a secure context there is no clipboard; the address bar has the link all the same.
    let clipboard =
        js_sys::Reflect::get(&window.navigator(), &"clipboard".into()).is_ok_and(|found| !found.is_undefined());
    let text = if clipboard {
        let _ = window.navigator().clipboard().write_text(&address);
        "The link is on the clipboard and in the address bar. It holds the scenario, the seed and every command so far."
    } else {
        "The link is in the address bar. It holds the scenario, the seed and every command so far."
    };
    page.notice.set(Some(Notice { text: text.to_owned(), bad: false }));
}

/// Answers "why?" for the selected thing, or for what happened last.
fn why_selected(page: Page) {
    let about =
        page.selected.get_untracked().and_then(|_| page.inspection()).and_then(|shown| shown.why).map(|(_, id)| id);
    page.folded.set(false);
    if about.is_some() {
        return page.tab.set(Tab::Inspect);
    }
    let now = page.read(|engine| engine.now());
    let last = page.read(|engine| {
        let mut known = engine.chronicle().events().iter().rev();
        known.find(|event| event.at <= now && event.weight == Weight::Marked).map(|event| event.id)
    });
    page.tab.set(Tab::Events);
    if let Some(id) = last {
        page.asked.set(None);
        page.ask_why(id);
    }
}

fn panel(page: Page) -> AnyView {
    let on_seek = Callback::new(move |at| page.seek(at));
    match page.tab.get() {
        Tab::Inspect => {
            let inspection = Memo::new(move |_| {
                page.digest.track();
                page.inspection()
            });
            let asked = Memo::new(move |_| inspection.with(|shown| shown.as_ref()?.why.as_ref().map(|(_, id)| *id)));
            let reasons = Memo::new(move |_| asked.get().map(|id| page.reasons(id)).unwrap_or_default());
            view! {
                <Inspector
                    inspection=inspection
                    reasons=reasons
                    on_select=Callback::new(move |thing: Thing| page.select(thing))
                    on_seek=on_seek
                    on_run=Callback::new(move |command: String| page.run_from_menu(&command))
                />
                <LookCloser page=page />
                <Shown page=page />
            }
            .into_any()
        }
        Tab::Events => {
            let events = Memo::new(move |_| {
                page.digest.track();
                page.read(events_so_far)
            });
            view! { <EventList events=events asked=page.asked on_seek=on_seek on_why=Callback::new(move |id| page.ask_why(id)) on_closer=Callback::new(move |id| microscope::look_at_event(page, id)) /> }.into_any()
        }
        Tab::Charts => {
            let throughput = Memo::new(move |_| {
                page.digest.track();
                page.read(|engine| Some(throughput(engine)))
            });
            let lag = Memo::new(move |_| {
                page.digest.track();
                page.read(|engine| Some(lag(engine)))
            });
            let chart = |chart: Memo<Option<Chart>>| {
                Signal::derive(move || {
                    chart.get().unwrap_or(Chart { title: "", unit: "", lines: Vec::new(), span: (0.0, 1.0), now: 0.0 })
                })
            };
            view! {
                <ChartView chart=chart(throughput) themed=page.themed />
                <ChartView chart=chart(lag) themed=page.themed />
            }
            .into_any()
        }
        Tab::Report => {
            let report = Memo::new(move |_| {
                page.digest.track();
                page.read(|engine| Some(engine.report()))
            });
            view! { <ReportTables report=report /> }.into_any()
        }
    }
}

fn events_so_far(engine: &Engine) -> Vec<Event> {
    let events = engine.chronicle().events();
    let until = events.partition_point(|event| event.at <= engine.now());
    let listed: Vec<&Event> =
        events[..until].iter().rev().filter(|event| event.weight >= Weight::Listed).take(1_000).collect();
    let mut folded = events::folded(listed.into_iter().rev());
    folded.reverse();
    folded.truncate(250);
    folded
}

const HUES: [&str; 8] = ["--key-4", "--key-3", "--key-2", "--key-5", "--key-0", "--key-1", "--key-6", "--key-7"];

fn seconds(at: Instant) -> f64 {
    at.as_micros() as f64 / 1e6
}

fn span(engine: &Engine) -> (f64, f64) {
    (0.0, seconds(engine.ribbon().end))
}

fn throughput(engine: &Engine) -> Chart {
    let series = engine.chronicle().series();
    let width = series.width().as_micros() as f64 / 1e6;
    let line = |name: &str, color, area, of: fn(&crate::scene::series::Bucket) -> u64| Line {
        name: name.to_owned(),
        color,
        area,
        points: series
            .buckets()
            .iter()
            .enumerate()
            .map(|(place, bucket)| (place as f64 * width, series.per_second(of(bucket))))
            .collect(),
    };
    Chart {
        title: "Throughput",
        unit: "records per second",
        lines: vec![
            line("written", HUES[0], true, |bucket| bucket.written),
            line("read", HUES[1], false, |bucket| bucket.read),
        ],
        span: span(engine),
        now: seconds(engine.now()),
    }
}

fn lag(engine: &Engine) -> Chart {
    let names = engine.world().names();
    let known = seconds(engine.chronicle().known());
    let lines =
        engine.chronicle().series().lags().into_iter().take(8).enumerate().map(|(place, (_, partition, steps))| {
            let mut points = Vec::with_capacity(steps.len() * 2 + 1);
            for (at, lag) in steps {
                let before = points.last().map_or(*lag as f64, |last: &(f64, f64)| last.1);
                points.push((seconds(*at), before));
                points.push((seconds(*at), *lag as f64));
            }
            points.extend(points.last().copied().map(|last| (known, last.1)));
            Line { name: names.partition(partition), color: HUES[place], area: false, points }
        });
    Chart {
        title: "Lag",
        unit: "records not yet committed by the group",
        lines: lines.collect(),
        span: span(engine),
        now: seconds(engine.now()),
    }
}

#[component]
fn Foot(page: Page, embed: bool) -> impl IntoView {
    let clock = Memo::new(move |_| {
        page.revision.track();
        page.read(|engine| words::clock(engine.now()))
    });
    let playing = Memo::new(move |_| {
        page.revision.track();
        page.read(Engine::playing)
    });
    let pace = Memo::new(move |_| {
        page.revision.track();
        page.read(|engine| if engine.pace() == Pace::Auto { None } else { Some(engine.pace()) })
    });
    let rate = Memo::new(move |_| {
        page.digest.track();
        page.read(Engine::rate)
    });
    let ribbon = Memo::new(move |_| {
        page.digest.track();
        page.read(Engine::ribbon)
    });
    let now = Memo::new(move |_| {
        page.revision.track();
        page.read(|engine| engine.now())
    });
    let complete = Callback::new(move |line: String| -> Vec<Completion> {
        page.read(|engine| complete::complete(&line, &complete::Known::of(engine.world())))
    });
    let tabs = move || {
        Tab::ALL.map(|tab| {
            view! {
                <button class="button" data-testid=format!("sheet-{}", tab.name().to_lowercase()) on:click=move |_| {
                    page.tab.set(tab);
                    page.folded.set(false);
                }>{tab.name()}</button>
            }
        })
    };
    view! {
        <footer>
            <div class="footbar">
                <PlaybackBar
                    clock=clock
                    playing=playing
                    pace=Signal::derive(move || pace.get().unwrap_or(Pace::Auto))
                    rate=rate
                    on_command=Callback::new(move |command| page.playback(command))
                />
                <span class="grow"></span>
                <Show when=move || !embed>
                    <CommandBar complete=complete said=page.said on_run=Callback::new(move |command: String| page.run(&command)) />
                </Show>
            </div>
            <Timeline
                ribbon=ribbon
                now=now
                on_seek=Callback::new(move |at| page.seek(at))
                on_event=Callback::new(move |id| {
                    page.tab.set(Tab::Events);
                    page.asked.set(Some((id, page.reasons(id))));
                })
            />
            <Show when=move || !embed>
                <nav class="sheets" aria-label="Details">
                    {tabs()}
                    <button class="button" data-testid="sheet-assignors" on:click=move |_| page.sharing.set(true)>"Assignors"</button>
                    <button class="button" data-testid="sheet-fork" on:click=move |_| fork(page)>"Fork"</button>
                </nav>
            </Show>
        </footer>
    }
}
