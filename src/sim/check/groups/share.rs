//! Share groups (KIP-932), as the leader of a partition hands its records out: to one member at a time, not again once they
//! are done with, and not more often than the limit.
//!
//! A new leader knows nothing of who had what, and may hand it out again at once, as in Kafka. What was accepted or
//! rejected it does know: `AcquisitionEnded` is noted once the share coordinator has it.

use std::collections::BTreeMap;

use rangemap::RangeSet;

use super::super::{Verdict, Witness};
use crate::kafka::fact::AcquisitionEnd;
use crate::kafka::ids::{BrokerId, Name, OFFSETS_TOPIC, Offset, TopicPartition};
use crate::sim::trace::Stamped;

/// The topic of the share coordinators.
const STATE_TOPIC: &str = "__share_group_state";

#[derive(Clone, Debug, Default)]
pub(in crate::sim::check) struct ShareChecks {
    windows: BTreeMap<(Name, TopicPartition), Window>,
}

#[derive(Clone, Debug, Default)]
struct Window {
    leader: Option<BrokerId>,
    held: BTreeMap<Name, RangeSet<Offset>>,
    /// Accepted, rejected, or delivered too often.
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
        let window = self.windows.entry((group.clone(), partition)).or_default();
        if window.leader.replace(broker) != Some(broker) {
            window.held.clear();
        }
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
        if window.done.overlaps(&range) && !verdict.is_forgiven(partition) && !state_is_lost {
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
        let window = self.windows.entry((shared.group.clone(), shared.partition)).or_default();
        if window.leader == Some(broker)
            && let Some(held) = window.held.get_mut(shared.member)
        {
            held.remove(shared.range());
        }
        if matches!(how, AcquisitionEnd::Accepted | AcquisitionEnd::Rejected | AcquisitionEnd::LimitReached) {
            window.done.insert(shared.range());
        }
    }

    /// A broker leads the partition anew, or in another epoch: nobody has anything.
    pub(in crate::sim::check) fn led(&mut self, partition: TopicPartition) {
        let windows = self.windows.iter_mut().filter(|((_, of), _)| *of == partition);
        windows.for_each(|(_, window)| window.leader = None);
    }

    /// The broker's process has ended, and what it had handed out is free again.
    pub(in crate::sim::check) fn stopped(&mut self, broker: BrokerId) {
        for window in self.windows.values_mut().filter(|window| window.leader == Some(broker)) {
            window.leader = None;
        }
    }
}
