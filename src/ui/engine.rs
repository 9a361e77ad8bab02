//! The engine as the page drives it: a history that runs within a time budget, and the scene read from it.

use std::rc::Rc;

use super::browser;
use crate::kafka::ids::Node;
use crate::scene::caption::{self, Caption};
use crate::scene::chronicle::Chronicle;
use crate::scene::events;
use crate::scene::read::{self, Reader};
use crate::scene::stage::Stage;
use crate::scene::timeline::Ribbon;
use crate::sim::command::Command;
use crate::sim::history::History;
use crate::sim::link::Shared;
use crate::sim::playback::{Move, Pace, Playback, PlaybackCommand};
use crate::sim::report::Report;
use crate::sim::scenario::Scenario;
use crate::sim::world::World;
use crate::time::{Duration, Instant};

/// One run on show.
pub struct Engine {
    toml: Rc<str>,
    history: History,
    playback: Playback,
    reader: Reader,
    chronicle: Chronicle,
    stage: Stage,
    /// The world has moved since the stage was read.
    stale: bool,
    /// The world has moved since the stage's cast was read.
    cast_stale: bool,
    /// When the cast was read, in milliseconds of the person's time.
    cast_read_at: f64,
    /// How long that took, in milliseconds.
    cast_took: f64,
}

/// What a frame brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brought {
    Nothing,
    /// Time passed, and messages with it.
    Messages,
    /// Everything on the stage was read anew.
    Cast,
}

/// How long the engine may run for one frame, in milliseconds.
const BUDGET_MS: f64 = 9.0;
/// Between two readings of the cast, this many times as long passes as one takes: where thousands of partitions make that
/// long, messages still move in every frame.
const CAST_REST: f64 = 6.0;
/// The longest the engine runs on without looking for something worth watching.
const GLANCE: Duration = Duration::micros(500);
/// How far a step looks for the next fact that matters.
const STEP_LIMIT: Duration = Duration::secs(60);

impl Engine {
    /// Opens a scenario; an error names the line, the key and what is allowed.
    pub fn open(toml: &str) -> Result<Self, String> {
        let scenario = Scenario::parse(toml).map_err(|error| error.to_string())?;
        let history = History::new(&scenario);
        let mut reader = Reader::default();
        let (playback, chronicle) = (Playback::default(), Chronicle::default());
        let stage = reader.stage(history.world(), chronicle.footprints());
        Ok(Self {
            toml: toml.into(),
            history,
            playback,
            reader,
            chronicle,
            stage,
            stale: false,
            cast_stale: false,
            cast_read_at: 0.0,
            cast_took: 0.0,
        })
    }

    pub fn world(&self) -> &World {
        self.history.world()
    }

    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    pub fn chronicle(&self) -> &Chronicle {
        &self.chronicle
    }

    pub fn scenario(&self) -> &Scenario {
        self.world().scenario()
    }

    pub fn now(&self) -> Instant {
        self.history.now()
    }

    pub fn playing(&self) -> bool {
        self.playback.playing()
    }

    pub fn pace(&self) -> Pace {
        self.playback.pace()
    }

    /// Simulated microseconds that pass in one second at the moment.
    pub fn rate(&self) -> u64 {
        self.playback.rate()
    }

    pub fn report(&self) -> Report {
        self.world().report()
    }

    pub fn ribbon(&self) -> Ribbon {
        let forks = self.history.forks().iter().map(|fork| fork.at).collect();
        let duration = self.scenario().duration;
        Ribbon::of(self.chronicle.events(), self.chronicle.series(), self.history.frontier(), duration, forks)
    }

    /// Whether the scenario does something to disks or to the power, so that what is on disk is worth seeing.
    pub fn is_about_disks(&self) -> bool {
        let about = |command: &Command| matches!(command, Command::Disk { .. } | Command::Kill { power: true, .. });
        self.scenario().steps.iter().any(|step| step.run.as_ref().is_some_and(about))
    }

    pub fn caption(&self) -> Option<Caption> {
        // A caption foretells what the scenario does by itself. Once the viewer has changed the run it may be untrue, so
        // from there on the news speak; Kafka's tools that only look change nothing.
        let changed = self.history.given().iter().find(|given| !matches!(given.command, Command::Tool(_)));
        let until = changed.map(|given| given.at);
        let told = self.scenario().steps.iter().filter(|step| until.is_none_or(|until| step.at <= until));
        let said = told.filter_map(|step| Some((step.at, step.caption.as_deref()?)));
        caption::at(self.now(), said, self.chronicle.events())
    }

    /// How a scenario ended, once it has; `None` before, and where somebody went on after its end.
    pub fn ending(&self) -> Option<String> {
        let end = self.world().end();
        let went_on = self.history.given().iter().any(|given| given.at >= end && given.at <= self.now());
        (self.now() >= end && !went_on).then(|| caption::ending(&self.report()))
    }

    /// Lets `wall` microseconds of the person's time pass.
    pub fn frame(&mut self, wall: u64) -> Brought {
        let mut left = wall.min(100_000);
        let began = browser::now_ms();
        while left > 0 && self.playback.playing() {
            let attention = read::attention(self.world());
            // Fast stretches are run through in small steps, so that what comes up in them is seen when it comes up. A
            // pace that was set by hand does not change, so there is nothing to look for.
            let rate = self.playback.rate().max(1);
            let glance = if self.pace() == Pace::Auto { GLANCE.as_micros() * 1_000_000 / rate } else { left };
            let step = glance.clamp(50, left.max(50)).min(left);
            let passed = self.playback.advance(step, attention);
            left -= step;
            if !passed.is_zero() {
                let to = self.now() + passed;
                let done = self.history.run_until(to, || browser::now_ms() - began < BUDGET_MS);
                self.stale = true;
                if !done {
                    break;
                }
            }
            if browser::now_ms() - began > BUDGET_MS {
                break;
            }
        }
        self.refresh(false)
    }

    /// Play, pause, step, seek, pace.
    pub fn playback(&mut self, command: PlaybackCommand) {
        match self.playback.apply(command) {
            None => {}
            Some(Move::Seek(to)) => self.history.seek(to),
            Some(Move::StepForward) => self.step_forward(),
            Some(Move::StepBack) => self.step_back(),
        }
        self.stale = true;
        self.refresh(true);
    }

    /// Gives a command and returns what it prints. In the past it begins another future.
    pub fn run(&mut self, text: &str) -> Result<String, String> {
        let command = Command::parse(text)?;
        self.give(&command)
    }

    fn give(&mut self, command: &Command) -> Result<String, String> {
        let last = self.world().fact_count();
        self.hear();
        let output = self.history.command(command)?;
        self.chronicle.forget_after(last, self.history.world().names());
        self.playback.refresh();
        self.stale = true;
        self.refresh(true);
        Ok(output)
    }

    /// What was given by hand, each with its moment.
    pub fn given(&self) -> Vec<(Instant, Command)> {
        self.history.given().iter().map(|given| (given.at, given.command.clone())).collect()
    }

    /// This run up to this moment, for a link.
    pub fn shared(&self) -> Shared {
        let given = self.history.given().iter().filter(|given| given.at <= self.now());
        let commands = given.map(|given| (given.at.as_micros(), given.command.to_string())).collect();
        Shared { scenario: self.toml.to_string(), commands, at: self.now().as_micros() }
    }

    /// Gives the commands of a link, and goes to its moment.
    pub fn restore(&mut self, shared: &Shared) -> Result<(), String> {
        for (at, text) in &shared.commands {
            self.history.seek(Instant::from_micros(at.saturating_sub(1)));
            self.hear();
            self.run(text)?;
        }
        self.history.seek(shared.moment());
        self.stale = true;
        self.refresh(true);
        Ok(())
    }

    /// The state of affairs as a scenario file.
    pub fn scenario_now(&self) -> String {
        self.history.as_scenario(&self.toml)
    }

    /// A node by its name.
    pub fn node(&self, name: &str) -> Option<Node> {
        self.world().nodes().map(|(node, _)| node).find(|node| self.world().names().node(*node) == name)
    }

    /// Hears the news, and reads the stage again where the world has moved: its cast at once, or when it is due.
    fn refresh(&mut self, at_once: bool) -> Brought {
        let moved = std::mem::take(&mut self.stale);
        if moved {
            self.hear();
        }
        self.cast_stale |= moved;
        let began = browser::now_ms();
        let world = self.history.world();
        if self.cast_stale && (at_once || began - self.cast_read_at >= CAST_REST * self.cast_took) {
            self.stage = self.reader.stage(world, self.chronicle.footprints());
            self.cast_read_at = browser::now_ms();
            self.cast_took = self.cast_read_at - began;
            self.cast_stale = false;
            return Brought::Cast;
        }
        if !moved {
            return Brought::Nothing;
        }
        self.stage.now = world.now();
        self.stage.messages = self.reader.messages(world);
        Brought::Messages
    }

    fn hear(&mut self) {
        for letter in self.history.take_letters() {
            self.chronicle.deliver(letter);
        }
        for stamped in self.history.take_facts() {
            self.chronicle.enter(stamped, self.history.world().names());
        }
    }

    fn step_forward(&mut self) {
        let names = self.world().names().clone();
        let limit = self.now() + STEP_LIMIT;
        self.history.step_forward(limit, |stamped| events::matters(stamped, &names));
    }

    fn step_back(&mut self) {
        let now = self.now();
        let names = self.world().names();
        self.history.seek(self.chronicle.before(now, names).unwrap_or(Instant::ZERO));
    }
}
