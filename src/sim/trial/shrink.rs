//! The shortest run that still fails: delta debugging (Zeller and Hildebrandt, 2002) over the commands, then everything
//! made smaller that can be.

use super::{Failure, run};
use crate::sim::command::Command;
use crate::sim::scenario::{Scenario, Step};
use crate::time::Duration;

/// What a search may cost.
const MAX_RUNS: u32 = 1_500;

/// A search under way.
struct Search {
    /// The shortest that failed so far.
    best: Scenario,
    failure: Failure,
    runs: u32,
}

/// The shortest run found that breaks the same promise as `scenario`, which must break one, and how it does.
pub fn shortest(scenario: &Scenario, failure: &Failure) -> (Scenario, Failure) {
    let mut search = Search { best: scenario.clone(), failure: failure.clone(), runs: 0 };
    search.best.steps.retain(|step| step.run.is_some());
    loop {
        let before = search.best.clone();
        search.end_early();
        search.fewer_steps();
        search.smaller_cluster();
        search.rounder_times();
        if search.best == before || search.runs >= MAX_RUNS {
            return (search.best, search.failure);
        }
    }
}

impl Search {
    /// Takes the candidate if it fails alike, and can be written down as a file. Returns whether it was taken.
    fn attempt(&mut self, candidate: Scenario) -> bool {
        if candidate == self.best || self.runs >= MAX_RUNS {
            return false;
        }
        let Ok(candidate) = Scenario::parse(&candidate.to_toml()) else { return false };
        self.runs += 1;
        match run(&candidate).failure.filter(|failure| failure.name == self.failure.name) {
            Some(failure) => {
                (self.best, self.failure) = (candidate, failure);
                true
            }
            None => false,
        }
    }

    fn try_change(&mut self, change: impl FnOnce(&mut Scenario)) -> bool {
        let mut candidate = self.best.clone();
        change(&mut candidate);
        self.attempt(candidate)
    }

    /// The run ends with the whole second in which the promise is broken.
    fn end_early(&mut self) {
        let end = Duration::secs(self.failure.at.as_micros().div_ceil(1_000_000).max(1));
        if end < self.best.duration {
            self.try_change(|scenario| {
                scenario.duration = end;
                scenario.steps.retain(|step| step.at.as_micros() <= end.as_micros());
            });
        }
    }

    /// ddmin: takes away ever smaller shares of the steps, until no single one can go.
    fn fewer_steps(&mut self) {
        let mut share = self.best.steps.len().div_ceil(2);
        while share > 0 {
            let mut from = 0;
            while from < self.best.steps.len() {
                let gone = |scenario: &mut Scenario| {
                    let to = (from + share).min(scenario.steps.len());
                    scenario.steps.drain(from..to);
                };
                if !self.try_change(gone) {
                    from += share;
                }
            }
            share = if share == 1 { 0 } else { share.div_ceil(2) };
        }
    }

    fn smaller_cluster(&mut self) {
        for at in (0..self.best.producers.len()).rev() {
            self.try_change(|scenario| drop(scenario.producers.remove(at)));
        }
        for at in (0..self.best.consumers.len()).rev() {
            self.try_change(|scenario| drop(scenario.consumers.remove(at)));
        }
        for at in (0..self.best.topics.len()).rev() {
            self.try_change(|scenario| drop(scenario.topics.remove(at)));
        }
        while self.best.brokers.len() > 1 && self.try_change(|scenario| drop(scenario.brokers.pop())) {}
        self.try_change(|scenario| scenario.controllers = 1);
        for at in 0..self.best.topics.len() {
            while self.best.topics[at].partitions > 1 && self.try_change(|scenario| scenario.topics[at].partitions -= 1)
            {
            }
            while self.best.topics[at].replication_factor > 1
                && self.try_change(|scenario| scenario.topics[at].replication_factor -= 1)
            {}
        }
        for at in 0..self.best.producers.len() {
            for count in [1, 2, 5, 20, 100, 500] {
                if self.best.producers[at].workload.count.is_none_or(|now| now > count)
                    && self.try_change(|scenario| scenario.producers[at].workload.count = Some(count))
                {
                    break;
                }
            }
        }
        self.fewer_settings();
    }

    fn fewer_settings(&mut self) {
        for at in (0..self.best.cluster_config.len()).rev() {
            self.try_change(|scenario| drop(scenario.cluster_config.remove(at)));
        }
        for client in 0..self.best.producers.len() {
            for at in (0..self.best.producers[client].overrides.len()).rev() {
                self.try_change(|scenario| drop(scenario.producers[client].overrides.remove(at)));
            }
        }
        for client in 0..self.best.consumers.len() {
            for at in (0..self.best.consumers[client].overrides.len()).rev() {
                self.try_change(|scenario| drop(scenario.consumers[client].overrides.remove(at)));
            }
        }
    }

    /// Moments and durations in whole seconds, cuts between fewer nodes.
    fn rounder_times(&mut self) {
        const SECOND: u64 = 1_000_000;
        for at in 0..self.best.steps.len() {
            let whole = |micros: u64| micros.div_ceil(SECOND) * SECOND;
            self.try_change(|scenario| {
                let step = &mut scenario.steps[at];
                step.at = crate::time::Instant::from_micros(whole(step.at.as_micros()));
                scenario.steps.sort_by_key(|step| step.at);
            });
            self.try_change(|scenario| {
                if let Some(lasting) = lasting_of(&mut scenario.steps[at]) {
                    *lasting = Duration::micros(whole(lasting.as_micros()));
                }
            });
            while self.try_change(|scenario| fewer_cut_off(&mut scenario.steps[at])) {}
        }
    }
}

fn lasting_of(step: &mut Step) -> Option<&mut Duration> {
    match &mut step.run {
        Some(Command::Pause { lasting, .. } | Command::Slow { lasting, .. } | Command::Cut { lasting, .. }) => {
            lasting.as_mut()
        }
        _ => None,
    }
}

fn fewer_cut_off(step: &mut Step) {
    if let Some(Command::Cut { other, .. }) = &mut step.run
        && other.len() > 1
    {
        other.pop();
    }
}
