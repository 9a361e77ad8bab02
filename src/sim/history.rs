//! Time travel: any moment of a run can be had again, and run on differently.
//!
//! A run is its scenario, its seed and its commands, so a past moment is a snapshot from before it and a replay of what
//! followed. Snapshots are clones of the world, taken every so many events and thinned with age. A command given in the
//! past ends the future that was there; its commands are remembered as a fork.

use crate::kafka::ids::ClientId;
use crate::sim::command::Command;
use crate::sim::letters::Letter;
use crate::sim::scenario::Scenario;
use crate::sim::trace::Stamped;
use crate::sim::world::World;
use crate::time::{Duration, Instant};

/// A run, and the way back through it.
#[derive(Debug)]
pub struct History {
    world: World,
    /// Ascending; the first is the beginning.
    snapshots: Vec<Snapshot>,
    since_snapshot: u32,
    /// What was given by hand, ascending. Those later than the present are still to be replayed.
    given: Vec<Given>,
    /// The farthest moment that this course of events has reached.
    frontier: Instant,
    forks: Vec<Fork>,
    facts: Vec<Stamped>,
    letters: Vec<Letter>,
}

#[derive(Debug)]
struct Snapshot {
    world: World,
}

/// A command and when it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    pub at: Instant,
    pub command: Command,
}

/// A future that was left for another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    /// Where the two part.
    pub at: Instant,
    /// How far the old one had come.
    pub reached: Instant,
    /// Everything given by hand in the old one.
    pub given: Vec<Given>,
}

/// A snapshot after so many events: what a seek replays at the most, for a recent moment.
const EVENTS_PER_SNAPSHOT: u32 = 10_000;
/// When there are more, every second of the older half goes.
const MAX_SNAPSHOTS: usize = 240;
/// A tool that has not ended by then is left to itself.
const TOOL_PATIENCE: Duration = Duration::secs(90);

impl History {
    /// A run of the scenario, at its beginning.
    pub fn new(scenario: &Scenario) -> Self {
        let mut world = World::new(scenario);
        world.listen(true);
        world.keep_letters(true);
        let first = Snapshot { world: world.clone() };
        Self {
            world,
            snapshots: vec![first],
            since_snapshot: 0,
            given: Vec::new(),
            frontier: Instant::ZERO,
            forks: Vec::new(),
            facts: Vec::new(),
            letters: Vec::new(),
        }
    }

    /// The world at the present moment.
    pub fn world(&self) -> &World {
        &self.world
    }

    pub fn now(&self) -> Instant {
        self.world.now()
    }

    /// The farthest moment that this course of events has reached.
    pub fn frontier(&self) -> Instant {
        self.frontier
    }

    /// Everything given by hand, in order; also what lies ahead of a present that was moved back.
    pub fn given(&self) -> &[Given] {
        &self.given
    }

    /// The futures that were left.
    pub fn forks(&self) -> &[Fork] {
        &self.forks
    }

    /// The facts noted since the last call, in order. After a seek to the past they come once more, with the same ids.
    pub fn take_facts(&mut self) -> Vec<Stamped> {
        self.gather();
        std::mem::take(&mut self.facts)
    }

    /// The messages of groups since the last call; after a seek to the past they come once more, too.
    pub fn take_letters(&mut self) -> Vec<Letter> {
        self.gather();
        std::mem::take(&mut self.letters)
    }

    fn gather(&mut self) {
        self.facts.append(&mut self.world.take_journal());
        self.letters.append(&mut self.world.take_letters());
    }

    /// Runs on to `until`, or as long as `go_on` says so; it is asked every few events. Returns whether `until` was
    /// reached.
    pub fn run_until(&mut self, until: Instant, mut go_on: impl FnMut() -> bool) -> bool {
        const EVENTS_PER_QUESTION: u32 = 8;
        let mut events = 0;
        while let Some(at) = self.next_at().filter(|at| *at <= until) {
            self.advance_to(at);
            events += 1;
            if events % EVENTS_PER_QUESTION == 0 && !go_on() {
                return false;
            }
        }
        self.world.run_until(until);
        self.frontier = self.frontier.max(self.world.now());
        true
    }

    /// When something comes next: an event, or a command given before.
    fn next_at(&self) -> Option<Instant> {
        let ahead = self.next_given().map(|given| given.at);
        [self.world.next_event_at(), ahead].into_iter().flatten().min()
    }

    fn next_given(&self) -> Option<&Given> {
        let done = self.given.partition_point(|given| given.at <= self.world.now());
        self.given.get(done)
    }

    /// Lets the one thing happen that comes next, at `at`.
    fn advance_to(&mut self, at: Instant) {
        match self.next_given().filter(|given| given.at <= at).cloned() {
            Some(given) => {
                let done = self.world.command_at(given.at, &given.command);
                // It could be done when it was given; where it cannot be now, this is another run.
                assert!(done.is_ok(), "seed {}: the replay of `{}` differs", self.world.scenario().seed, given.command);
            }
            None => {
                self.world.run_event();
            }
        }
        self.since_snapshot += 1;
        if self.since_snapshot >= EVENTS_PER_SNAPSHOT && self.world.now() > self.last_snapshot() {
            self.take_snapshot();
        }
        self.frontier = self.frontier.max(self.world.now());
    }

    fn last_snapshot(&self) -> Instant {
        self.snapshots.last().map_or(Instant::ZERO, |snapshot| snapshot.world.now())
    }

    fn take_snapshot(&mut self) {
        self.since_snapshot = 0;
        self.gather();
        self.snapshots.push(Snapshot { world: self.world.clone() });
        if self.snapshots.len() > MAX_SNAPSHOTS {
            let half = MAX_SNAPSHOTS / 2;
            let mut index = 0;
            self.snapshots.retain(|_| {
                index += 1;
                index > half || index % 2 == 1
            });
        }
    }

    /// Goes to any moment, past or future. What was given by hand stays given.
    pub fn seek(&mut self, at: Instant) {
        self.gather();
        let now = self.world.now();
        let from = self.snapshots.partition_point(|snapshot| snapshot.world.now() < at).saturating_sub(1);
        // A snapshot that lies ahead saves the replay of all that is between: its facts have been handed out before.
        if let Some(snapshot) = self.snapshots.get(from).filter(|snapshot| at < now || snapshot.world.now() > now) {
            self.world = snapshot.world.clone();
            self.since_snapshot = 0;
        }
        if at < now {
            self.facts.clear();
            self.letters.clear();
        }
        self.run_until(at, || true);
    }

    /// Goes on until a fact `matters`, at most to `limit`. Returns whether one did.
    pub fn step_forward(&mut self, limit: Instant, matters: impl Fn(&Stamped) -> bool) -> bool {
        let mut found = false;
        self.gather();
        while let Some(at) = self.next_at().filter(|at| *at <= limit) {
            self.advance_to(at);
            let news = self.world.take_journal();
            found = news.iter().any(&matters);
            self.facts.extend(news);
            if found {
                break;
            }
        }
        if !found {
            self.world.run_until(limit);
        }
        self.frontier = self.frontier.max(self.world.now());
        found
    }

    /// Does what a command says and returns what it prints. One of Kafka's tools takes simulated time; the world goes on
    /// until it has ended. In the past, a command begins another future.
    pub fn command(&mut self, command: &Command) -> Result<String, String> {
        let at = self.world.now() + Duration::micros(1);
        let tool = self.world.command_at(at, command);
        // A refusal leaves the world where it was. Else the moment is lived through to its end, or a seek to it would
        // find another world.
        if self.world.now() == at {
            self.world.run_until(at);
        }
        let tool = tool?;
        self.part_from_the_future(at);
        self.given.push(Given { at, command: command.clone() });
        self.frontier = self.frontier.max(at);
        match tool {
            Some(tool) => self.wait_for(tool),
            None => Ok(String::new()),
        }
    }

    /// The old future's commands and snapshots no longer lead anywhere.
    fn part_from_the_future(&mut self, at: Instant) {
        let old = self.frontier;
        self.snapshots.retain(|snapshot| snapshot.world.now() < at);
        if old > at {
            let given = self.given.clone();
            self.forks.push(Fork { at, reached: old, given });
        }
        self.given.retain(|given| given.at < at);
        self.frontier = at;
    }

    fn wait_for(&mut self, tool: ClientId) -> Result<String, String> {
        let patience = self.world.now() + TOOL_PATIENCE;
        while self.world.tool_output(tool).is_none() {
            match self.next_at().filter(|at| *at <= patience) {
                Some(at) => self.advance_to(at),
                None => return Err("the tool has had no answer for 90 s of simulated time".into()),
            }
        }
        self.world.tool_output(tool).map(|(_, output)| output.to_owned()).ok_or_else(String::new)
    }

    /// The run so far as a scenario file: `source`, the file it began with, and what was given by hand as further steps.
    pub fn as_scenario(&self, source: &str) -> String {
        let mut text = source.trim_end().to_owned();
        text.push('\n');
        for given in self.given.iter().filter(|given| given.at <= self.world.now()) {
            let at = given.at.since(Instant::ZERO);
            let run = toml::Value::from(given.command.to_string());
            text.push_str(&format!("\n[[step]]\nat = \"{at}\"\nrun = {run}\n"));
        }
        text
    }
}
