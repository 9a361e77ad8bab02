//! One seed put to the test: a cluster, faults, every check; and, where one fails, the shortest run that still fails.

mod shrink;
mod tally;

use std::collections::BTreeSet;

pub use self::shrink::shortest;
pub use self::tally::Tally;
use super::check::Violation;
use super::command::Command;
use super::faults::{FaultKind, Faults};
use super::random::{self, FAULT_STREAM, Sort};
use super::scenario::{Scenario, Step};
use super::spec::NodeName;
use super::world::World;
use crate::kafka::ids::ControllerId;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// How long a random run is.
pub const DURATION: Duration = Duration::secs(60);

/// How much of a run is lived through before somebody looks at it.
const SLICE: Duration = Duration::secs(1);

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The first broken promise, if one was broken, or expectation that does not hold.
    pub failure: Option<Failure>,
    pub tally: Tally,
}

/// What went wrong, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The property's name. Two runs fail alike if it is the same.
    pub name: String,
    pub at: Instant,
    pub what: String,
}

/// A random cluster under random faults of these kinds, as a scenario.
pub fn random(seed: u64, kinds: &BTreeSet<FaultKind>) -> Scenario {
    let text = random::cluster(seed, Sort::Any, DURATION, Duration::secs(45));
    let mut scenario = Scenario::parse(&text).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
    hurt(&mut scenario, kinds);
    scenario
}

/// The same scenario under another seed, with random faults on top of its own steps. What it expects is meant for a run
/// without them.
pub fn of_file(scenario: &Scenario, seed: u64, kinds: &BTreeSet<FaultKind>) -> Scenario {
    let mut scenario = Scenario { seed, ..scenario.clone() };
    if !kinds.is_empty() {
        scenario.expects.clear();
        hurt(&mut scenario, kinds);
    }
    scenario
}

/// Faults from a twentieth of the run on; half-way all is put right, so that what was broken is used once more, and groups
/// have the time to come to rest.
fn hurt(scenario: &mut Scenario, kinds: &BTreeSet<FaultKind>) {
    if kinds.is_empty() {
        return;
    }
    let whole = scenario.duration.as_millis();
    let at = |part: u64, of: u64| Instant::ZERO + Duration::millis(whole * part / of);
    let faults = Faults {
        kinds: kinds.clone(),
        count: (1, 12),
        from: at(1, 20),
        until: at(1, 2),
        lasting: (Duration::millis(100), Duration::millis((whole / 4).clamp(100, 15_000))),
        topics: scenario.topics.iter().map(|topic| (topic.name.clone(), topic.partitions)).collect(),
        consumers: scenario.consumers.clone(),
    };
    let targets = targets(scenario);
    let mut rng = Rng::new(scenario.seed, FAULT_STREAM);
    let course = faults.draw(&mut rng, &targets).into_iter().chain(Faults::repairs(faults.until, &targets));
    scenario.steps.extend(course.map(|(at, command)| Step { at, run: Some(command), caption: None }));
    scenario.steps.sort_by_key(|step| step.at);
}

/// Breaks a rule of the model in this run: at brokers, topics and clients.
#[cfg(feature = "planted-mistakes")]
pub fn plant(scenario: &mut Scenario, mistake: &str) {
    let setting = ("planted.mistake".to_owned(), mistake.to_owned());
    scenario.cluster_config.push(setting.clone());
    let joining = scenario.steps.iter_mut().filter_map(|step| match &mut step.run {
        Some(Command::AddConsumer(spec)) => Some(&mut **spec),
        _ => None,
    });
    for spec in scenario.consumers.iter_mut().chain(joining) {
        spec.overrides.push(setting.clone());
        if let Ok(config) = super::spec::consumer_config(&spec.overrides) {
            spec.config = config;
        }
    }
}

/// Everything that can be hit: brokers and controllers more often than the rest.
fn targets(scenario: &Scenario) -> Vec<NodeName> {
    let mut targets = Vec::new();
    for broker in &scenario.brokers {
        targets.extend(std::iter::repeat_n(NodeName::Broker(broker.id), 3));
    }
    let first = super::spec::FIRST_CONTROLLER;
    for at in 0..scenario.controllers {
        targets.extend(std::iter::repeat_n(NodeName::Controller(ControllerId(first + at as i32)), 2));
    }
    targets.extend(scenario.producers.iter().map(|spec| NodeName::Producer(spec.name.as_str().into())));
    targets.extend(scenario.consumers.iter().map(|spec| NodeName::Consumer(spec.name.as_str().into())));
    targets
}

/// Runs a scenario to its end, or to the first broken promise.
pub fn run(scenario: &Scenario) -> Outcome {
    let mut world = World::new(scenario);
    world.listen(true);
    let mut tally = Tally::default();
    loop {
        world.run_until(world.end().min(world.now() + SLICE));
        world.take_journal().iter().for_each(|stamped| tally.enter(&stamped.fact));
        if let Some(first) = world.checks().violations().first() {
            return Outcome { failure: Some(Failure::of(first)), tally };
        }
        if world.now() >= world.end() {
            break;
        }
    }
    tally.close(&world);
    let failure = world.audit().first().map(Failure::of).or_else(|| {
        let report = world.report();
        let fails = report.expectations.iter().find(|expectation| !expectation.holds);
        fails.map(|expectation| Failure {
            name: "Expectation".into(),
            at: world.now(),
            what: format!("{} was expected, found is {}", expectation.that, expectation.found),
        })
    });
    Outcome { failure, tally }
}

impl Failure {
    fn of(violation: &Violation) -> Self {
        Self { name: violation.name.into(), at: violation.at, what: violation.what.clone() }
    }
}

/// The commands of a scenario, as a person counts them.
pub fn commands(scenario: &Scenario) -> impl Iterator<Item = (Instant, &Command)> {
    scenario.steps.iter().filter_map(|step| Some((step.at, step.run.as_ref()?)))
}
