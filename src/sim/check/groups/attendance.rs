//! Whether each group has had everything, when somebody asks.
//!
//! `GroupsMissNothing` holds at any time: what a group has committed past, one of its applications has worked on. It does not
//! hold, in Kafka neither, for groups that skip by their own will: `auto.offset.reset` other than earliest where a member
//! looked for a position in vain, seek(), a reset by a tool, records that the application passes over, and partitions that
//! lost records by right.
//!
//! `EveryPartitionHasAReader` and `ReadersCatchUp` are asked of groups that were left in peace for as long as their own
//! timeouts allow them to take: no command, no machine that stops or starts, no new partitions, every broker up.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Verdict, Witness};
use crate::kafka::config::OffsetReset;
use crate::kafka::fact::{Fact, FailurePolicy, ResetReason};
use crate::kafka::ids::{ClientId, Name, Node, TopicPartition};
use crate::sim::trace::Stamped;
use crate::time::{Duration, Instant};

/// How a group fares, as the world has it.
#[derive(Clone, Debug)]
pub struct Attendance {
    pub group: Name,
    /// How long it may take to settle after whatever disturbed it.
    pub patience: Duration,
    /// Records that it has passed and nobody worked on.
    pub missed: Vec<(TopicPartition, u64)>,
    /// Partitions that a running member wants and no running member has.
    pub unread: Vec<TopicPartition>,
    /// Partitions whose reader is not at work and has not read everything.
    pub behind: Vec<(TopicPartition, ClientId)>,
    /// Every broker runs and is let in, every partition has a leader.
    pub is_sheltered: bool,
}

/// Time that answers, metadata and pauses between attempts may take besides the group's own timeouts.
const SLACK: Duration = Duration::secs(5);

#[derive(Clone, Debug, Default)]
pub(in crate::sim::check) struct Peace {
    /// The last time that somebody disturbed the cluster.
    disturbed: Instant,
    /// Members look at topics for new partitions by `metadata.max.age.ms`, which is longer than most runs.
    grown: bool,
    /// When a partition last had something new to read.
    moved: BTreeMap<TopicPartition, Instant>,
    /// When a consumer's application last got something. Small polls with a commit after each take their time.
    polled: BTreeMap<ClientId, Instant>,
    /// Groups that skip records by their own will.
    skipping: BTreeSet<Name>,
    /// All do.
    all_skip: bool,
}

impl Peace {
    pub(in crate::sim::check) fn enter(&mut self, stamped: &Stamped, world: &impl Witness) {
        match &stamped.fact {
            Fact::Command { text } => {
                self.disturbed = stamped.at;
                // Who reads everything again misses nothing.
                let resets = text.starts_with("kafka-consumer-groups") && text.contains("--reset-offsets");
                self.all_skip |= resets && !text.contains("--to-earliest");
            }
            // A producer that is done disturbs nobody.
            Fact::NodeState(_) if matches!(stamped.node, Some(Node::Producer(_) | Node::Tool(_))) => {}
            Fact::NodeState(_)
            | Fact::NetworkChanged { .. }
            | Fact::LeaderElected { .. }
            | Fact::TopicCreated { .. } => {
                self.disturbed = stamped.at;
            }
            Fact::PartitionsAdded { .. } | Fact::TopicDeleted { .. } => self.grown = true,
            Fact::HighWatermark { partition, leader: true, .. } => {
                self.moved.insert(*partition, stamped.at);
            }
            Fact::Polled { .. } => {
                let client = stamped.node.and_then(Node::client);
                self.polled.extend(client.map(|client| (client, stamped.at)));
            }
            Fact::PositionReset { reason, .. } => {
                let Some(Node::Consumer(client)) = stamped.node else { return };
                let Some(consumer) = world.consumer(client) else { return };
                let skips = match reason {
                    ResetReason::Committed => false,
                    ResetReason::Sought => true,
                    ResetReason::NoOffset | ResetReason::OutOfRange | ResetReason::Truncated => {
                        consumer.config().auto_offset_reset != OffsetReset::Earliest
                    }
                };
                self.skipping.extend(consumer.group().filter(|_| skips).cloned());
            }
            Fact::RecordFailed { group: Some(group), then, .. } => {
                let passes_over = matches!(then, FailurePolicy::Skip | FailurePolicy::DeadLetter);
                self.skipping.extend(passes_over.then(|| group.clone()));
            }
            _ => {}
        }
    }

    /// Every promise that is broken to a group.
    pub(in crate::sim::check) fn audit(
        &self,
        now: Instant,
        groups: &[Attendance],
        verdict: &Verdict,
        name: impl Fn(TopicPartition) -> String,
    ) -> Vec<(&'static str, String)> {
        let mut broken = Vec::new();
        for attendance in groups {
            let group = &attendance.group;
            let skips = self.all_skip || self.skipping.contains(group);
            for (partition, count) in attendance.missed.iter().filter(|(at, _)| !skips && !verdict.is_forgiven(*at)) {
                let what =
                    format!("{group} has passed {count} records of {}, and nobody worked on them", name(*partition));
                broken.push(("GroupsMissNothing", what));
            }
            let patience = attendance.patience + SLACK;
            if !attendance.is_sheltered || now.since(self.disturbed) < patience {
                continue;
            }
            for partition in attendance.unread.iter().filter(|_| !self.grown) {
                let what = format!("nobody in {group} reads {}, {patience} after the last trouble", name(*partition));
                broken.push(("EveryPartitionHasAReader", what));
            }
            let is_long_ago = |at: Option<&Instant>| at.is_none_or(|at| now.since(*at) >= SLACK);
            for (partition, reader) in &attendance.behind {
                if !is_long_ago(self.moved.get(partition)) || !is_long_ago(self.polled.get(reader)) {
                    continue;
                }
                let what = format!("client {reader} of {group} waits, and has not read all of {}", name(*partition));
                broken.push(("ReadersCatchUp", what));
            }
        }
        broken
    }
}
