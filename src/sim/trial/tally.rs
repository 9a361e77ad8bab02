//! What happened in many runs, counted.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use crate::kafka::config::Acks;
use crate::kafka::fact::Fact;
use crate::sim::world::World;

/// Sums over runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub runs: u64,
    /// Commands that were carried out, by their first word (`kill power` counts for itself).
    pub commands: BTreeMap<String, u64>,
    pub elections: u64,
    pub unclean: u64,
    pub isr_changes: u64,
    pub fenced: u64,
    pub truncations: u64,
    pub rebalances: u64,
    pub sent: u64,
    pub failed: u64,
    pub pending: u64,
    /// Acknowledged records, and those of them that are lost, by what was promised of them.
    pub by_promise: BTreeMap<Promise, (u64, u64)>,
}

/// What the settings and the course of a run promise of an acknowledged record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// `acks=all`, and nothing happened that may cost a committed record.
    Kept,
    /// `acks=all`, but there was an unclean election, an emptied disk, or power lost on too many machines at once.
    Void,
    /// `acks=1`: the leader alone may have had it.
    Leader,
    /// `acks=0`: nobody may have had it.
    Nobody,
}

impl Tally {
    /// Counts a fact.
    pub fn enter(&mut self, fact: &Fact) {
        match fact {
            Fact::Command { text } if !text.contains(": left out, ") => {
                let mut words = text.split(' ');
                let verb = words.next().unwrap_or_default();
                let verb = if verb == "kill" && words.nth(1) == Some("power") { "kill power" } else { verb };
                *self.commands.entry(verb.to_owned()).or_default() += 1;
            }
            Fact::LeaderElected { unclean, .. } => {
                self.elections += 1;
                self.unclean += u64::from(*unclean);
            }
            Fact::IsrChanged { .. } => self.isr_changes += 1,
            Fact::BrokerFenced { .. } => self.fenced += 1,
            Fact::Truncated { .. } => self.truncations += 1,
            Fact::GroupAssigned { .. } => self.rebalances += 1,
            _ => {}
        }
    }

    /// Counts what a run has come to.
    pub(super) fn close(&mut self, world: &World) {
        self.runs += 1;
        let total = world.books().total();
        self.sent += total.sent;
        self.failed += total.failed;
        self.pending += total.sent.saturating_sub(total.acked + total.failed);
        for account in world.accounts() {
            let acks =
                world.producers().find(|(id, ..)| *id == account.producer).map(|(_, _, spec, _)| spec.config.acks);
            let promise = match acks {
                Some(Acks::None) => Promise::Nobody,
                Some(Acks::Leader) => Promise::Leader,
                _ if world.checks().is_forgiven(account.partition) => Promise::Void,
                _ => Promise::Kept,
            };
            let sums = self.by_promise.entry(promise).or_default();
            *sums = (sums.0 + account.found.acked, sums.1 + account.found.lost);
        }
    }
}

impl AddAssign<&Self> for Tally {
    fn add_assign(&mut self, other: &Self) {
        self.runs += other.runs;
        for (verb, count) in &other.commands {
            *self.commands.entry(verb.clone()).or_default() += count;
        }
        self.elections += other.elections;
        self.unclean += other.unclean;
        self.isr_changes += other.isr_changes;
        self.fenced += other.fenced;
        self.truncations += other.truncations;
        self.rebalances += other.rebalances;
        self.sent += other.sent;
        self.failed += other.failed;
        self.pending += other.pending;
        for (promise, (acked, lost)) in &other.by_promise {
            let sums = self.by_promise.entry(*promise).or_default();
            *sums = (sums.0 + acked, sums.1 + lost);
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commands: Vec<String> = self.commands.iter().map(|(verb, count)| format!("{verb} {count}")).collect();
        writeln!(f, "commands    {}", if commands.is_empty() { "none".into() } else { commands.join(", ") })?;
        writeln!(f, "elections   {}, of these unclean {}", self.elections, self.unclean)?;
        writeln!(
            f,
            "cluster     brokers fenced {}, ISR changes {}, truncations {}, rebalances {}",
            self.fenced, self.isr_changes, self.truncations, self.rebalances
        )?;
        let acked: u64 = self.by_promise.values().map(|(acked, _)| acked).sum();
        writeln!(f, "records     sent {}, acked {acked}, failed {}, pending {}", self.sent, self.failed, self.pending)?;
        for (promise, (acked, lost)) in &self.by_promise {
            let name = match promise {
                Promise::Kept => "acks=all",
                Promise::Void => "acks=all, after an unclean election, a wipe or too many power failures",
                Promise::Leader => "acks=1",
                Promise::Nobody => "acks=0",
            };
            writeln!(f, "            lost {lost} of {acked} acked with {name}")?;
        }
        Ok(())
    }
}
