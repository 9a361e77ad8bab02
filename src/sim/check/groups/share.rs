//! Share groups (KIP-932), as the leader of a partition hands its records out: to one member at a time, not again once they
//! are done with, and not more often than the limit.
//!
//! Who has what, a leader keeps in memory: one window for each group and partition. So that a record has one holder is
//! promised within a window, by the leader that opened it. A new leader may hand out at once what the old one did, and one
//! that is cut off goes on meanwhile; so may the same leader once it has let go of its window. It does that in four cases:
//! it follows, its process ends, the last session of the group has gone with its connection, or the share coordinator
//! refuses a write because somebody has read in a newer epoch.
//! That it leads in another epoch is none, as in Kafka.
//!
//! What was accepted or rejected a new leader does know: `AcquisitionEnded` is noted once the share coordinator has it. One
//! that was frozen while another took its place goes on from what it knew.
//! That a record was delivered as often as it may be is promised within a window only: when the time of a lock is over the
//! leader goes on, whether that could be written or not.

use std::collections::BTreeMap;

use rangemap::RangeSet;

use super::super::{Verdict, Witness};
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::AcquisitionEnd;
use crate::kafka::ids::{BrokerId, LeaderEpoch, Name, OFFSETS_TOPIC, Offset, TopicPartition};
use crate::sim::trace::Stamped;

/// The topic of the share coordinators.
const STATE_TOPIC: &str = "__share_group_state";

#[derive(Clone, Debug, Default)]
pub(in crate::sim::check) struct ShareChecks {
    windows: BTreeMap<(BrokerId, Name, TopicPartition), Window>,
    /// Accepted or rejected.
    done: BTreeMap<(Name, TopicPartition), RangeSet<Offset>>,
    /// The newest epoch in which somebody has led, and who.
    leaders: BTreeMap<TopicPartition, (LeaderEpoch, BrokerId)>,
}

/// What a leader remembers.
#[derive(Clone, Debug, Default)]
struct Window {
    held: BTreeMap<Name, RangeSet<Offset>>,
    /// Accepted, rejected, or delivered as often as they may be.
    done: RangeSet<Offset>,
}

/// Records of a partition as a share group has them.
#[derive(Clone, Copy, Debug)]
pub(in crate::sim::check) struct Shared<'a> {
    pub(in crate::sim::check) group: &'a Name,
    pub(in crate::sim::check) member: &'a Name,
    pub(in crate::sim::check) partition: TopicPartition,
    pub(in crate::sim::check) base_offset: Offset,
    pub(in crate::sim::check) count: u32,
}

impl Shared<'_> {
    fn range(&self) -> std::ops::Range<Offset> {
        self.base_offset..self.base_offset + Offset::from(self.count)
    }
}

impl ShareChecks {
    /// `OneHolderPerRecord`, `WhatIsDoneIsNotDelivered`, `DeliveriesAreLimited`.
    pub(in crate::sim::check) fn acquired(
        &mut self,
        stamped: &Stamped,
        broker: BrokerId,
        shared: &Shared,
        delivery_count: u16,
        world: &impl Witness,
        verdict: &mut Verdict,
    ) {
        let Shared { group, member, partition, .. } = *shared;
        let window = self.windows.entry((broker, group.clone(), partition)).or_default();
        let range = shared.range();
        let place = || format!("offsets {} to {} of {}", range.start, range.end - 1, world.name(partition));
        // Where the group itself is lost, it begins anew, with another state.
        let lost = |of: &TopicPartition| {
            let name = world.name(*of);
            name.starts_with(STATE_TOPIC) || name.starts_with(OFFSETS_TOPIC)
        };
        let state_is_lost = verdict.forgiven.iter().any(lost);
        let holder = window.held.iter().find(|(_, held)| held.overlaps(&range));
        if let Some((holder, _)) = holder.filter(|_| !state_is_lost) {
            let what = format!("{} went to {member} of {group} while {holder} had them", place());
            verdict.report("OneHolderPerRecord", stamped, what);
        }
        let leads = self.leaders.get(&partition).is_none_or(|(_, leader)| *leader == broker);
        let done = self.done.get(&(group.clone(), partition)).filter(|_| leads);
        let is_done = window.done.overlaps(&range) || done.is_some_and(|done| done.overlaps(&range));
        if is_done && !verdict.is_forgiven(partition) && !state_is_lost {
            let what = format!("{} went to {member} of {group}, which was done with them", place());
            verdict.report("WhatIsDoneIsNotDelivered", stamped, what);
        }
        let limit = world.delivery_limit(broker);
        if u32::from(delivery_count) > limit {
            let what = format!("{} went to {member} of {group} as delivery {delivery_count} of {limit}", place());
            verdict.report("DeliveriesAreLimited", stamped, what);
        }
        window.held.entry(member.clone()).or_default().insert(range);
    }

    pub(in crate::sim::check) fn ended(&mut self, broker: BrokerId, shared: &Shared, how: AcquisitionEnd) {
        let (group, partition) = (shared.group.clone(), shared.partition);
        let window = self.windows.entry((broker, group.clone(), partition)).or_default();
        if let Some(held) = window.held.get_mut(shared.member) {
            held.remove(shared.range());
        }
        if !matches!(how, AcquisitionEnd::Released | AcquisitionEnd::TimedOut) {
            window.done.insert(shared.range());
        }
        if matches!(how, AcquisitionEnd::Accepted | AcquisitionEnd::Rejected) {
            self.done.entry((group, partition)).or_default().insert(shared.range());
        }
    }

    pub(in crate::sim::check) fn led(&mut self, broker: BrokerId, partition: TopicPartition, epoch: LeaderEpoch) {
        let newest = self.leaders.entry(partition).or_insert((epoch, broker));
        *newest = (epoch, broker).max(*newest);
    }

    /// A broker follows, and lets go of its windows.
    pub(in crate::sim::check) fn followed(&mut self, broker: BrokerId, partition: TopicPartition) {
        self.windows.retain(|(leader, _, of), _| (*leader, *of) != (broker, partition));
    }

    /// These brokers have the partition from now on; the others drop it.
    pub(in crate::sim::check) fn moved(&mut self, partition: TopicPartition, replicas: &[BrokerId]) {
        self.windows.retain(|(leader, _, of), _| *of != partition || replicas.contains(leader));
    }

    /// A share coordinator refused a write of this epoch. Only who has led in a newer one can be the reason, or that the
    /// group has begun anew: else the window stays, and whoever gets its records a second time should not.
    pub(in crate::sim::check) fn fenced(
        &mut self,
        broker: BrokerId,
        group: &Name,
        partition: TopicPartition,
        (epoch, error): (LeaderEpoch, ErrorCode),
    ) {
        let is_old = self.leaders.get(&partition).is_some_and(|(newest, _)| *newest > epoch);
        if is_old || error == ErrorCode::FencedStateEpoch {
            self.windows.remove(&(broker, group.clone(), partition));
        }
    }

    /// Nobody of the group has a session with the broker. Whatever members had was released with their sessions.
    pub(in crate::sim::check) fn forgotten(&mut self, broker: BrokerId, group: &Name) {
        self.windows.retain(|(leader, of, _), _| (*leader, of) != (broker, group));
    }

    /// The broker's process has ended, and its windows with it.
    pub(in crate::sim::check) fn stopped(&mut self, broker: BrokerId) {
        self.windows.retain(|(leader, _, _), _| *leader != broker);
    }
}
