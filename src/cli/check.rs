//! `brokerscope check`: many seeds, random faults, every check on.
//!
//! What is printed depends on the seeds alone, not on how many threads ran them: threads take seeds in turn, and the sums
//! and the first failing seed are read off afterwards. How fast it went goes to stderr.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Outcome, read_scenario};
use crate::sim::faults::{self, FaultKind, Faults};
use crate::sim::scenario::Scenario;
use crate::sim::trial::{self, Failure, Tally};
use crate::sim::units;

/// Run many seeds with random faults and every check on; print the shortest run that fails.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// A scenario, a TOML file: it runs under each seed, with random faults on top of its steps. Without one each seed
    /// draws a cluster of its own, which runs for 60 s.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The seeds from A to B, both included; or one.
    #[arg(long, value_name = "A..B", value_parser = seeds, allow_hyphen_values = true)]
    pub seeds: Seeds,
    /// Which faults strike: `all` (every kind but wipe), `none`, or kinds with commas between them: kill, power, stop,
    /// pause, slow, cut, loss, disk, tool, members, wipe. `-KIND` takes one away again: `all,-cut`. `members` lets members
    /// of groups come, go, be slow and read other topics. With `none` a file's expectations count.
    #[arg(long, value_name = "KINDS", default_value = "all", value_parser = kinds, allow_hyphen_values = true)]
    pub faults: Kinds,
    /// How many threads run seeds; as many as there are processors, if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
    /// Plant a mistake in the model: the checks should find it.
    #[cfg(feature = "planted-mistakes")]
    #[arg(long, value_name = "NAME", value_parser = mistake)]
    pub mistake: Option<String>,
}

/// The first seed and the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    pub first: u64,
    pub last: u64,
}

/// Kinds of faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kinds(pub BTreeSet<FaultKind>);

fn seeds(text: &str) -> Result<Seeds, String> {
    // A scenario file holds its seed in 63 bits.
    let number = |text: &str| text.trim().parse::<u64>().ok().filter(|seed| i64::try_from(*seed).is_ok());
    let found = match text.split_once("..") {
        Some((first, last)) => number(first).zip(number(last.strip_prefix('=').unwrap_or(last))),
        None => number(text).zip(number(text)),
    };
    let seeds = found.filter(|(first, last)| first <= last).map(|(first, last)| Seeds { first, last });
    seeds.ok_or_else(|| "allowed is A..B with A not above B, such as 1..1000, or one number".into())
}

fn kinds(text: &str) -> Result<Kinds, String> {
    Faults::kinds_of(text).map(Kinds).ok_or_else(|| format!("allowed is {}", faults::KINDS))
}

#[cfg(feature = "planted-mistakes")]
fn mistake(text: &str) -> Result<String, String> {
    let names = crate::kafka::mistakes::Mistake::ALL.map(crate::kafka::mistakes::Mistake::name);
    if names.contains(&text) { Ok(text.to_owned()) } else { Err(format!("allowed is one of {}", names.join(", "))) }
}

impl CheckArgs {
    pub fn run(&self) -> Outcome {
        let scenario = match self.file.as_deref().map(read_scenario).transpose() {
            Ok(scenario) => scenario,
            Err(why) => return Outcome::wrong(why),
        };
        // A scenario shares its names without locks: each thread reads one of its own.
        let text = scenario.map(|scenario| scenario.to_toml());
        let began = now();
        let results = self.run_seeds(text.as_deref());
        let mut tally = Tally::default();
        results.values().for_each(|result| tally += &result.tally);
        let failed = results.iter().find_map(|(seed, result)| Some((*seed, result.failure.clone()?)));
        let speed = speed(results.len() as u64, now() - began);
        match failed {
            None => Outcome {
                stdout: format!("{} seeds, no violation\n{tally}", results.len()),
                stderr: format!("{speed}\n"),
                status: 0,
            },
            Some((seed, failure)) => {
                let scenario = self.scenario(seed, &mut read(text.as_deref()));
                let at = units::show_instant(failure.at);
                say(&format!(
                    "{speed}\nseed {seed} fails: {} at {at}; looking for the shortest run that does",
                    failure.name
                ));
                let (shortest, why) = trial::shortest(&scenario, &failure);
                Outcome {
                    stdout: format!("{}{}", heading(seed, &scenario, &shortest, &why), shortest.to_toml()),
                    status: 1,
                    ..Outcome::default()
                }
            }
        }
    }

    /// The run of one seed.
    fn scenario(&self, seed: u64, file: &mut Option<Scenario>) -> Scenario {
        #[cfg_attr(not(feature = "planted-mistakes"), expect(unused_mut, reason = "nothing is planted"))]
        let mut scenario = match file {
            Some(scenario) => trial::of_file(scenario, seed, &self.faults.0),
            None => trial::random(seed, &self.faults.0),
        };
        #[cfg(feature = "planted-mistakes")]
        self.mistake.iter().for_each(|name| trial::plant(&mut scenario, name));
        scenario
    }

    /// Runs seeds until one fails; all those before it are run too.
    fn run_seeds(&self, text: Option<&str>) -> BTreeMap<u64, trial::Outcome> {
        let Seeds { first, last } = self.seeds;
        let next = AtomicU64::new(first);
        let first_failing = AtomicU64::new(u64::MAX);
        let results = Mutex::new(BTreeMap::new());
        let default = || thread::available_parallelism().map_or(1, |threads| threads.get() as u32);
        let threads = u64::from(self.threads.unwrap_or_else(default)).min(last - first + 1);
        let work = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed > last || seed > first_failing.load(Ordering::Relaxed) {
                    return;
                }
                let result = self.run_seed(seed, text);
                if result.failure.is_some() {
                    first_failing.fetch_min(seed, Ordering::Relaxed);
                }
                results.lock().unwrap_or_else(PoisonError::into_inner).insert(seed, result);
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let count = || results.lock().unwrap_or_else(PoisonError::into_inner).len() as u64;
            let mut progress = Progress::new(last - first + 1);
            while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
                thread::park_timeout(Duration::from_millis(50));
                progress.show(count());
            }
            progress.end();
        });
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Which later ones were run by chance depends on the threads.
        results.retain(|seed, _| *seed <= first_failing.load(Ordering::Relaxed));
        results
    }

    /// Each seed has a thread of its own name, so that an assertion that fails in it says which one it was.
    fn run_seed(&self, seed: u64, text: Option<&str>) -> trial::Outcome {
        thread::scope(|scope| {
            let run = || trial::run(&self.scenario(seed, &mut read(text)));
            let thread = thread::Builder::new().name(format!("seed {seed}")).spawn_scoped(scope, run);
            match thread.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                Err(_) => run(),
            }
        })
    }
}

/// The scenario of a file that was read before.
fn read(text: Option<&str>) -> Option<Scenario> {
    text.and_then(|text| Scenario::parse(text).ok())
}

/// What went wrong, as comments above the scenario that shows it.
fn heading(seed: u64, whole: &Scenario, shortest: &Scenario, why: &Failure) -> String {
    let count = |scenario: &Scenario| trial::commands(scenario).count();
    format!(
        "# Seed {seed} fails at {}: {}\n# {}\n# {} of its {} commands are enough.\n",
        units::show_instant(why.at),
        why.name,
        why.what.replace('\n', "\n# "),
        count(shortest),
        count(whole)
    )
}

fn speed(seeds: u64, took: Duration) -> String {
    let tenths = seeds as u128 * 10_000 / took.as_millis().max(1);
    format!(
        "{seeds} seeds in {}.{} s, {}.{} a second",
        took.as_secs(),
        took.subsec_millis() / 100,
        tenths / 10,
        tenths % 10
    )
}

/// Says something while the work goes on. Nobody there to hear it is no error.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[expect(clippy::disallowed_methods, reason = "this measures the program, and is never built for a browser")]
fn now() -> Instant {
    Instant::now()
}

/// How far it has got: a line that is written over on a terminal, else a line now and then.
struct Progress {
    seeds: u64,
    began: Instant,
    said: Instant,
    on_terminal: bool,
}

impl Progress {
    fn new(seeds: u64) -> Self {
        Self { seeds, began: now(), said: now(), on_terminal: std::io::stderr().is_terminal() }
    }

    fn show(&mut self, done: u64) {
        let pause = Duration::from_millis(if self.on_terminal { 200 } else { 10_000 });
        if now() - self.said < pause {
            return;
        }
        self.said = now();
        let line = format!("{done} of {} seeds, {}", self.seeds, speed(done, now() - self.began));
        if self.on_terminal {
            let _ = write!(std::io::stderr(), "\r{line}  ");
        } else {
            say(&line);
        }
    }

    fn end(&self) {
        if self.on_terminal {
            let _ = write!(std::io::stderr(), "\r{:60}\r", "");
        }
    }
}
