//! Who reads what, in all group protocols: a partition has one reader at a time, who is given it before, and lets go of it
//! when it is out.
//!
//! A member that was thrown out and has not heard of it yet goes on reading (it was frozen, or cut off), and in Kafka nothing
//! keeps it from that: that its commits are refused is all the help there is. So only members count that are where the
//! coordinator has them, in the group's generation or in their own epoch. Two consumers with one `group.instance.id` are one
//! member, of which the older one is out.

use std::collections::{BTreeMap, BTreeSet};

use super::super::logs::LogChecks;
use super::super::{Verdict, Witness};
use super::{current_group, is_share_group, offsets_of};
use crate::kafka::consumer::Consumer;
use crate::kafka::coordinator::Group;
use crate::kafka::fact::{Fact, LeaveReason};
use crate::kafka::ids::{BrokerId, ClientId, Generation, Name, Offset, TopicPartition};
use crate::sim::trace::Stamped;

#[derive(Clone, Debug, Default)]
pub(in crate::sim::check) struct Readers {
    /// What each member reads, by its own account.
    held: BTreeMap<ClientId, Held>,
    /// Where the record of a member's epoch lies, as the broker wrote it that decided: the partition of
    /// `__consumer_offsets`, and the offset after it. One that was frozen and is the coordinator no more may decide the
    /// same epoch on a log that is cut off later.
    epochs: BTreeMap<(BrokerId, Name, Name, Generation), (TopicPartition, Offset)>,
}

#[derive(Clone, Debug)]
struct Held {
    group: Name,
    partitions: BTreeSet<TopicPartition>,
}

impl Readers {
    /// `OneReaderAtOnce`.
    pub(in crate::sim::check) fn assigned(
        &mut self,
        stamped: &Stamped,
        group: &Name,
        partitions: &[TopicPartition],
        member: ClientId,
        world: &impl Witness,
        verdict: &mut Verdict,
    ) {
        if world.consumer(member).is_none_or(Consumer::is_share) {
            return;
        }
        let partitions: BTreeSet<TopicPartition> = partitions.iter().copied().collect();
        let others = self.held.iter().filter(|(other, held)| **other != member && held.group == *group);
        for (other, held) in others {
            let Some(shared) = held.partitions.intersection(&partitions).next() else { continue };
            let are_in = || is_in_place(*other, group, world) && is_in_place(member, group, world);
            if are_in() {
                let what = format!(
                    "{} is read by clients {other} and {member} of {group} at once, and both are members",
                    world.name(*shared)
                );
                verdict.report("OneReaderAtOnce", stamped, what);
            }
        }
        self.held.insert(member, Held { group: group.clone(), partitions });
    }

    pub(in crate::sim::check) fn gave_up(&mut self, member: ClientId, partitions: &[TopicPartition]) {
        if let Some(held) = self.held.get_mut(&member) {
            held.partitions.retain(|partition| !partitions.contains(partition));
        }
    }

    /// Its process has ended.
    pub(in crate::sim::check) fn ended(&mut self, member: ClientId) {
        self.held.remove(&member);
    }

    /// `ReadersHoldWhatTheyRead`: poll() returns records of partitions that the consumer was given and has not given up.
    pub(in crate::sim::check) fn polled(
        &self,
        stamped: &Stamped,
        member: ClientId,
        partition: TopicPartition,
        world: &impl Witness,
        verdict: &mut Verdict,
    ) {
        if self.held.get(&member).is_some_and(|held| held.partitions.contains(&partition)) {
            return;
        }
        // Members of a share group have records, not partitions.
        let is_judged = |consumer: &Consumer| consumer.is_member() && !consumer.is_share();
        if world.consumer(member).is_some_and(is_judged) {
            let what = format!("client {member} reads {}, which it was not given", world.name(partition));
            verdict.report("ReadersHoldWhatTheyRead", stamped, what);
        }
    }

    /// `WhoIsOutHoldsNothing`: whoever joins anew, and not from the generation it is in, has given up everything before.
    pub(in crate::sim::check) fn joins(
        &self,
        stamped: &Stamped,
        member: ClientId,
        world: &impl Witness,
        verdict: &mut Verdict,
    ) {
        let Some(held) = self.held.get(&member) else { return };
        let is_out = world.consumer(member).is_some_and(|consumer| consumer.generation().is_none());
        if let Some(kept) = held.partitions.first().filter(|_| is_out) {
            let what = format!("client {member} joins {} anew and has still {}", held.group, world.name(*kept));
            verdict.report("WhoIsOutHoldsNothing", stamped, what);
        }
    }

    /// A member of the consumer protocol has come a step nearer to its target; the record of it is the last of the log.
    pub(in crate::sim::check) fn reconciled(
        &mut self,
        broker: BrokerId,
        (group, member, epoch): (&Name, &Name, Generation),
        world: &impl Witness,
    ) {
        if let Some(replica) = offsets_of(broker, group, world) {
            let key = (broker, group.clone(), member.clone(), epoch);
            // It may come to more of its target in the same epoch; then the first record tells of that.
            self.epochs.entry(key).or_insert((replica.partition(), replica.log().end()));
        }
    }

    /// A coordinator takes over: what the one before had not replicated may be decided again, and lie elsewhere.
    pub(in crate::sim::check) fn forget_epochs(&mut self) {
        self.epochs.clear();
    }

    /// `EpochsAreReplicated`: a member hears of its epoch once the record of it cannot be lost.
    pub(in crate::sim::check) fn heard_of_epoch(
        &self,
        stamped: &Stamped,
        member: ClientId,
        (group, epoch): (&Name, Generation),
        logs: &LogChecks,
        world: &impl Witness,
        verdict: &mut Verdict,
    ) {
        let Some(consumer) = world.consumer(member) else { return };
        // It hears of its epoch from the coordinator that it asked.
        let Some(broker) = consumer.coordinator() else { return };
        let id = consumer.member_id().clone();
        let Some((of, end)) = self.epochs.get(&(broker, group.clone(), id.clone(), epoch)) else { return };
        let committed = logs.committed_up_to(*of);
        if committed < *end && !verdict.is_forgiven(*of) {
            let what = format!(
                "{id} was told of epoch {epoch} of {group}, which ends at {end} of {}, committed up to {committed}",
                world.name(*of)
            );
            verdict.report("EpochsAreReplicated", stamped, what);
        }
    }
}

/// `OneOwnerPerPartition`, where an assignment is made: nothing is given to two.
pub(in crate::sim::check) fn assignment_is_sound(
    stamped: &Stamped,
    group: &Name,
    members: &[(Name, Vec<(Name, u32)>)],
    world: &impl Witness,
    verdict: &mut Verdict,
) {
    let mut owners: BTreeMap<&(Name, u32), &Name> = BTreeMap::new();
    for (member, partition) in members.iter().flat_map(|(member, given)| given.iter().map(move |at| (member, at))) {
        let Some(other) = owners.insert(partition, member) else { continue };
        if !is_share_group(group, world) {
            let what = format!("{}-{} is assigned to {other} and to {member} of {group}", partition.0, partition.1);
            verdict.report("OneOwnerPerPartition", stamped, what);
        }
    }
}

/// `GroupEpochRisesWithItsMembers`: when a member of the consumer protocol goes, the group has another epoch, and so
/// another target. `facts` are those of one event.
pub(in crate::sim::check) fn epochs_rise(
    stamped: &Stamped,
    broker: BrokerId,
    (of, reason): (&Name, LeaveReason),
    facts: &[Stamped],
    world: &impl Witness,
    verdict: &mut Verdict,
) {
    let group = world.coordinator(broker).and_then(|coordinator| coordinator.group(of));
    let is_modern = matches!(group, Some(Group::Consumer(_)));
    let rises = |stamped: &Stamped| matches!(&stamped.fact, Fact::GroupEpoch { group, .. } if group == of);
    if is_modern && reason != LeaveReason::Replaced && !facts.iter().any(rises) {
        verdict.report("GroupEpochRisesWithItsMembers", stamped, format!("{of} lost a member and kept its epoch"));
    }
}

/// Whether a consumer is a member of its group in the very generation or epoch that it thinks it is in.
fn is_in_place(client: ClientId, group: &Name, world: &impl Witness) -> bool {
    let Some(consumer) = world.consumer(client) else { return false };
    let Some(generation) = consumer.generation() else { return false };
    match current_group(group, world) {
        Some(Group::Classic(group)) => {
            group.generation() == generation && group.members().any(|member| member.id() == consumer.member_id())
        }
        Some(Group::Consumer(group)) => {
            group.member(consumer.member_id()).is_some_and(|member| member.epoch() == generation)
        }
        _ => false,
    }
}
