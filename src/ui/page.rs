//! What the page's components share: the engine, and the signals that say it moved.

use leptos::prelude::*;

use super::canvas::Hidden;
use super::command_bar::Said;
use super::dialog::Notice;
use super::dock::Tab;
use super::engine::{Brought, Engine};
use super::inspector::ReasonView;
use super::scenarios;
use super::stage::Spot;
use crate::kafka::ids::Node;
use crate::scene::focus::Thing;
use crate::scene::inspect::{self, Inspection};
use crate::scene::layout::Rect;
use crate::scene::microscope::Subject;
use crate::scene::stage::Stage;
use crate::scene::words;
use crate::sim::playback::PlaybackCommand;
use crate::time::Instant;

/// Handles to the page's state; copying it copies handles.
#[derive(Clone, Copy)]
pub struct Page {
    engine: StoredValue<Option<Engine>, LocalStorage>,
    /// Bumped once for every frame in which something moved.
    pub revision: RwSignal<u64>,
    /// For panels of text: follows the revision a few times a second, and at once when somebody does something.
    pub digest: RwSignal<u64>,
    /// The built-in scenario on show; empty for another one.
    pub chosen: RwSignal<String>,
    pub selected: RwSignal<Option<Thing>>,
    pub hovered: RwSignal<Option<Thing>>,
    pub spots: RwSignal<Vec<Spot>>,
    /// Where the brokers stand.
    pub brokers: RwSignal<Rect>,
    pub tab: RwSignal<Tab>,
    pub folded: RwSignal<bool>,
    pub said: RwSignal<Vec<Said>>,
    pub notice: RwSignal<Option<Notice>>,
    pub help: RwSignal<bool>,
    /// The assignors by themselves are open.
    pub sharing: RwSignal<bool>,
    pub asked: RwSignal<Option<(u64, Vec<ReasonView>)>>,
    /// Kinds of messages that are hidden.
    pub hidden: RwSignal<Hidden>,
    /// What is on the disk and what is in the page cache alone is shown.
    pub disk: RwSignal<bool>,
    /// Counts changes of the theme.
    pub themed: RwSignal<u64>,
    /// The rebalance under the microscope.
    pub subject: RwSignal<Option<Subject>>,
    /// How many messages a benchmark keeps flying; 0 for none.
    pub crowd: RwSignal<u64>,
}

impl Page {
    /// A page without a run.
    pub fn new() -> Self {
        Self {
            engine: StoredValue::new_local(None),
            revision: RwSignal::new(0),
            digest: RwSignal::new(0),
            chosen: RwSignal::new(String::new()),
            selected: RwSignal::new(None),
            hovered: RwSignal::new(None),
            spots: RwSignal::new(Vec::new()),
            brokers: RwSignal::new(Rect::default()),
            tab: RwSignal::new(Tab::default()),
            folded: RwSignal::new(false),
            said: RwSignal::new(Vec::new()),
            notice: RwSignal::new(None),
            help: RwSignal::new(false),
            sharing: RwSignal::new(false),
            asked: RwSignal::new(None),
            hidden: RwSignal::new(Hidden::default()),
            disk: RwSignal::new(false),
            themed: RwSignal::new(0),
            subject: RwSignal::new(None),
            crowd: RwSignal::new(0),
        }
    }

    /// Reads from the engine; the default where no run is open.
    pub fn read<T: Default>(self, read: impl FnOnce(&Engine) -> T) -> T {
        self.engine.with_value(|engine| engine.as_ref().map(read)).unwrap_or_default()
    }

    /// Changes the engine, and says that it moved.
    pub fn change<T>(self, change: impl FnOnce(&mut Engine) -> T) -> Option<T> {
        let result = self.engine.try_update_value(|engine| engine.as_mut().map(change)).flatten();
        self.moved();
        result
    }

    /// Lets time pass; quiet where nothing moved.
    pub fn frame(self, wall: u64) -> Brought {
        let frame = self.engine.try_update_value(|engine| engine.as_mut().map(|engine| engine.frame(wall)));
        frame.flatten().unwrap_or(Brought::Nothing)
    }

    /// The stage at this moment.
    pub fn with_stage<T>(self, read: impl FnOnce(&Stage) -> T) -> Option<T> {
        self.engine.with_value(|engine| engine.as_ref().map(|engine| read(engine.stage())))
    }

    /// Brings the panels of text up to the present.
    pub fn digest_now(self) {
        self.digest.set(self.revision.get_untracked());
    }

    /// Says that something moved, to everything.
    pub fn moved(self) {
        self.revision.update(|revision| *revision += 1);
        self.digest_now();
    }

    /// Opens a scenario file and plays it.
    pub fn load(self, toml: &str) -> Result<(), String> {
        let engine = Engine::open(toml)?;
        let about_disks = engine.is_about_disks();
        self.engine.set_value(Some(engine));
        self.selected.set(None);
        self.hovered.set(None);
        self.asked.set(None);
        self.subject.set(None);
        self.chosen.set(String::new());
        self.disk.set(about_disks);
        self.change(|engine| engine.playback(PlaybackCommand::Play));
        Ok(())
    }

    /// Opens a built-in scenario.
    pub fn load_built_in(self, name: &str) -> Result<(), String> {
        let file = scenarios::file(name).ok_or_else(|| {
            let known: Vec<&str> = scenarios::all().map(|(name, _)| name).collect();
            format!("There is no scenario called {name}. There are: {}.", known.join(", "))
        })?;
        self.load(file)?;
        self.chosen.set(name.to_owned());
        Ok(())
    }

    pub fn playback(self, command: PlaybackCommand) {
        self.change(|engine| engine.playback(command));
    }

    pub fn seek(self, at: Instant) {
        self.playback(PlaybackCommand::Seek(at));
    }

    /// Gives a command and shows what it prints.
    pub fn run(self, command: &str) {
        match self.give(command) {
            Ok(output) if output.is_empty() => {
                let at = self.read(|engine| words::moment(engine.now()));
                self.say(command, &format!("done at {at}"), false);
            }
            Ok(output) => self.say(command, &output, false),
            Err(why) => self.say(command, &why, true),
        }
    }

    /// Gives a command and returns what it prints.
    pub fn give(self, command: &str) -> Result<String, String> {
        self.change(|engine| engine.run(command)).unwrap_or_else(|| Err("No scenario is open.".to_owned()))
    }

    /// What a node's menu does: the command, and a word where it was refused.
    pub fn run_from_menu(self, command: &str) {
        self.run(command);
        let wrong =
            self.said.with_untracked(|said| said.last().filter(|said| said.wrong).map(|said| said.output.clone()));
        if let Some(text) = wrong {
            self.notice.set(Some(Notice { text, bad: true }));
        }
    }

    /// Says something in passing.
    pub fn tell(self, text: &str) {
        self.notice.set(Some(Notice { text: text.to_owned(), bad: false }));
    }

    /// Shows or hides what is on the disk.
    pub fn toggle_disk(self) {
        self.disk.update(|disk| *disk = !*disk);
        self.moved();
    }

    /// Goes back to the beginning and plays.
    pub fn again(self) {
        self.seek(Instant::ZERO);
        self.playback(PlaybackCommand::Play);
    }

    /// Selects a thing and shows it.
    pub fn select(self, thing: Thing) {
        self.selected.set(Some(thing));
        self.tab.set(Tab::Inspect);
    }

    /// Everything the inspector says about the selected thing.
    pub fn inspection(self) -> Option<Inspection> {
        let thing = self.selected.get();
        self.read(|engine| match &thing {
            Some(thing) => inspect::inspect(engine.world(), engine.chronicle(), thing),
            None => Some(inspect::overview(engine.world())),
        })
    }

    /// Why an event came about.
    pub fn reasons(self, id: u64) -> Vec<ReasonView> {
        self.read(|engine| {
            let world = engine.world();
            let reasons = engine.chronicle().why(id, world.names());
            let view = |reason: crate::scene::why::Reason| ReasonView {
                at: reason.at,
                text: reason.text,
                setting: reason.setting.map(|(name, node)| {
                    let value = node.and_then(|node: Node| inspect::setting(world, node, name));
                    value.map_or_else(|| name.to_owned(), |value| format!("{name} = {value}"))
                }),
            };
            reasons.into_iter().map(view).collect()
        })
    }

    /// Asks why an event came about, or takes the question back.
    pub fn ask_why(self, id: u64) {
        let again = self.asked.with_untracked(|asked| asked.as_ref().is_some_and(|(of, _)| *of == id));
        self.asked.set((!again).then(|| (id, self.reasons(id))));
    }

    fn say(self, command: &str, output: &str, wrong: bool) {
        self.said.update(|said| said.push(Said { command: command.to_owned(), output: output.to_owned(), wrong }));
    }
}
