//! Groups: one reader of a partition in a generation, and committed offsets that are there, stay, and only rise.
//!
//! Committed offsets rise whoever commits: a member that is given a partition begins where the group has committed, and what
//! the member before it still had to say is refused. They may fall where somebody wants them to: a member that sought, a
//! tool, and whoever commits while the group has no members. What else there is to hold groups to is in the files below.

mod attendance;
mod readers;
mod refusals;
mod share;

pub use self::attendance::Attendance;
pub(super) use self::attendance::Peace;
pub(super) use self::readers::{Readers, assignment_is_sound, epochs_rise};
pub(super) use self::refusals::{Refusals, may_be_due};
pub(super) use self::share::{ShareChecks, Shared};

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use super::{Verdict, Witness};
use crate::kafka::coordinator::Group;
use crate::kafka::group_log::{self, GroupRecord};
use crate::kafka::ids::{BrokerId, ClientId, Generation, Name, OFFSETS_TOPIC, Offset, TopicPartition};
use crate::kafka::log::Log;
use crate::kafka::record::Batch;
use crate::kafka::replica::Replica;
use crate::sim::trace::Stamped;

#[derive(Clone, Debug, Default)]
pub(super) struct GroupChecks {
    owners: BTreeMap<(Name, TopicPartition), (Generation, ClientId)>,
    /// What each member of the consumer protocol holds, as the broker has it that decided. One that was frozen and is the
    /// coordinator no more goes on from what it knows, and writes that on a log that is cut off later: no member hears of it.
    holders: BTreeMap<(BrokerId, Name), Holders>,
    /// From when until when, in milliseconds since 1970, a group had no members: whoever commits for it then comes from
    /// outside, and may go back. The last stretch has no end where it has none now.
    without_members: BTreeMap<Name, Vec<(i64, Option<i64>)>>,
    commits: BTreeMap<(Name, TopicPartition), LastCommit>,
    /// Where an application has moved its position by itself: what it commits there may fall.
    sought: BTreeSet<TopicPartition>,
    /// What was read of the partitions of `__consumer_offsets`.
    read: BTreeMap<TopicPartition, Rc<ReadLog>>,
}

/// The newest commits on a coordinator's log, as far as it was read.
#[derive(Clone, Debug)]
struct ReadLog {
    coordinator: BrokerId,
    /// Offsets before it have been read.
    until: Offset,
    /// The last few, from old to new, of each group and partition.
    commits: BTreeMap<(Name, TopicPartition), VecDeque<(Offset, i64)>>,
}

/// How many commits of one group and partition are remembered. Seldom do more of them wait to be replicated.
const REMEMBERED: usize = 8;

/// What each member of a group holds.
type Holders = BTreeMap<Name, BTreeSet<(Name, u32)>>;

/// The last committed offset, and when the coordinator took it in, where that is known.
type LastCommit = (Offset, Option<i64>);

/// What one batch commits: offsets and when the coordinator took them in.
type Commits = BTreeMap<(Name, TopicPartition), (Offset, i64)>;

impl GroupChecks {
    #[expect(clippy::too_many_arguments, reason = "the fact's own fields")]
    pub(super) fn assigned(
        &mut self,
        stamped: &Stamped,
        group: &Name,
        generation: Generation,
        partitions: &[TopicPartition],
        member: ClientId,
        world: &impl Witness,
        verdict: &mut Verdict,
    ) {
        // A share group gives a partition to as many as like.
        if is_share_group(group, world) {
            return;
        }
        for partition in partitions {
            let before = self.owners.insert((group.clone(), *partition), (generation, member));
            // A coordinator whose log is gone counts generations from the beginning.
            let lost = || verdict.forgiven.iter().any(|of| world.name(*of).starts_with(OFFSETS_TOPIC));
            if let Some((_, other)) = before.filter(|(of, other)| *of == generation && *other != member && !lost()) {
                let what = format!(
                    "{} has two readers in generation {generation} of {group}: clients {other} and {member}",
                    world.name(*partition)
                );
                verdict.report("OneReaderPerGeneration", stamped, what);
            }
        }
    }

    /// A static member has another process now: that one has the partitions, in the same generation. The one before
    /// learns by its next request that it is fenced.
    pub(super) fn replaced(&mut self, group: &Name) {
        self.owners.retain(|(of, _), _| of != group);
    }

    /// An application has moved its position.
    pub(super) fn sought(&mut self, partition: TopicPartition) {
        self.sought.insert(partition);
    }

    /// A consumer has let partitions go: whoever comes in its place may read them in the same generation.
    pub(super) fn released(&mut self, group: &Name, partitions: &[TopicPartition], member: ClientId) {
        for partition in partitions {
            let key = (group.clone(), *partition);
            if self.owners.get(&key).is_some_and(|(_, owner)| *owner == member) {
                self.owners.remove(&key);
            }
        }
    }

    /// The coordinator has led a member of the consumer protocol (KIP-848) a step on: what that may read, or is still to
    /// give up, is nobody else's.
    pub(super) fn reconciled(
        &mut self,
        stamped: &Stamped,
        (broker, group): (BrokerId, &Name),
        member: &Name,
        holds: impl Iterator<Item = (Name, u32)>,
        verdict: &mut Verdict,
    ) {
        let members = self.holders.entry((broker, group.clone())).or_default();
        let holds: BTreeSet<(Name, u32)> = holds.collect();
        let lost = !verdict.forgiven.is_empty();
        for (other, theirs) in members.iter().filter(|(other, _)| *other != member && !lost) {
            if let Some((topic, partition)) = theirs.intersection(&holds).next() {
                let what = format!("{topic}-{partition} is held by two members of {group}: {other} and {member}");
                verdict.report("OneReaderPerGeneration", stamped, what);
            }
        }
        members.insert(member.clone(), holds);
    }

    /// A member is out: it holds nothing.
    pub(super) fn removed(&mut self, broker: BrokerId, group: &Name, member: &Name) {
        if let Some(members) = self.holders.get_mut(&(broker, group.clone())) {
            members.remove(member);
        }
    }

    /// A coordinator takes over, and goes on from its log: what it decided when it was the coordinator before is long past.
    pub(super) fn forget_holders(&mut self, broker: BrokerId) {
        self.holders.retain(|(of, _), _| *of != broker);
    }

    /// The group follows another protocol now: who holds what is written down anew.
    pub(super) fn converted(&mut self, broker: BrokerId, group: &Name) {
        self.holders.remove(&(broker, group.clone()));
        self.replaced(group);
    }

    /// A group has come to a state, in which it has members or not.
    pub(super) fn attended(&mut self, stamped: &Stamped, group: &Name, is_empty: bool) {
        let now = stamped.at.timestamp_ms();
        let stretches = self.without_members.entry(group.clone()).or_default();
        match stretches.last_mut() {
            Some((_, end @ None)) if !is_empty => *end = Some(now),
            Some((_, None)) => {}
            _ if is_empty => stretches.push((now, None)),
            _ => {}
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fact's own fields")]
    pub(super) fn committed(
        &mut self,
        stamped: &Stamped,
        broker: BrokerId,
        group: &Name,
        partition: TopicPartition,
        offset: Offset,
        world: &impl Witness,
        verdict: &mut Verdict,
    ) {
        // Where records went, a consumer may have been beyond what is left.
        let forgiven = verdict.is_forgiven(partition) || self.sought.contains(&partition);
        let ends = world.broker_ids().into_iter().filter_map(|id| world.log(id, partition)).map(Log::end);
        if let Some(end) = ends.max().filter(|end| offset > *end && !forgiven) {
            let what = format!("{group} committed {offset} of {}, whose log ends at {end}", world.name(partition));
            verdict.report("CommitsWithinLog", stamped, what);
        }
        let key = (group.clone(), partition);
        let Some(replica) = offsets_of(broker, group, world) else { return };
        let taken_in = self.find(broker, replica, &key, offset);
        // A coordinator whose log is gone counts generations from the beginning, and knows no offsets.
        let forgiven = forgiven || verdict.is_forgiven(replica.partition());
        if taken_in.is_none() && !verdict.is_forgiven(replica.partition()) {
            let what = format!(
                "{group} has committed {offset} of {}, but no record below the high watermark {} of {} says so",
                world.name(partition),
                replica.high_watermark(),
                world.name(replica.partition())
            );
            verdict.report("CommitIsReplicated", stamped, what);
        }
        // A coordinator that takes over says once more what was committed before.
        let newest = self.commits.get(&key).and_then(|(_, at)| *at);
        if newest.zip(taken_in).is_some_and(|(newest, at)| at <= newest) {
            return;
        }
        // It may be long ago that the coordinator took it in: the record waited to be replicated.
        let by_member = self.without_members.get(group).is_some_and(|stretches| {
            let was_empty = |at: i64| stretches.iter().any(|(from, to)| at >= *from && to.is_none_or(|to| at <= to));
            let is_empty = stretches.last().is_some_and(|(_, end)| end.is_none());
            !taken_in.map_or(is_empty, was_empty)
        });
        let before = self.commits.insert(key, (offset, taken_in));
        if let Some((fell_from, _)) = before.filter(|(before, _)| *before > offset && by_member && !forgiven) {
            let what = format!("{group} committed {offset} of {} after {fell_from}", world.name(partition));
            verdict.report("CommitsNeverFall", stamped, what);
        }
    }

    /// The group's offset there expired, or somebody deleted it.
    pub(super) fn offset_deleted(&mut self, group: &Name, partition: TopicPartition) {
        self.commits.remove(&(group.clone(), partition));
    }

    /// When the coordinator took in the commit of that offset, if a record below the high watermark has it.
    fn find(
        &mut self,
        broker: BrokerId,
        replica: &Replica,
        key: &(Name, TopicPartition),
        offset: Offset,
    ) -> Option<i64> {
        let end = replica.high_watermark();
        let read = self.read.entry(replica.partition()).or_insert_with(|| Rc::new(ReadLog::of(broker)));
        // What was committed may be gone, with the log of whoever had it.
        if read.coordinator != broker || read.until > end {
            *read = Rc::new(ReadLog::of(broker));
        }
        if read.until < end {
            Rc::make_mut(read).go_on(replica, end);
        }
        let known = read.commits.get(key).and_then(|commits| commits.iter().rev().find(|(of, _)| *of == offset));
        known.map(|(_, at)| *at).or_else(|| {
            let committed = replica.log().batches().rev().filter(|batch| batch.next_offset() <= end);
            committed.filter_map(|batch| commits_in(batch).remove(key)).find(|(of, _)| *of == offset).map(|(_, at)| at)
        })
    }

    /// A coordinator takes over: what was committed is on its log.
    pub(super) fn loaded(
        &mut self,
        stamped: &Stamped,
        broker: BrokerId,
        number: u32,
        world: &impl Witness,
        verdict: &mut Verdict,
    ) {
        let led = world.led_offsets(broker);
        let Some(replica) = led.into_iter().find(|replica| replica.partition().partition == number) else { return };
        let Some(coordinator) = world.coordinator(broker) else { return };
        if verdict.is_forgiven(replica.partition()) {
            return;
        }
        let mine = self.commits.iter().filter(|((group, _), _)| coordinator.partition_of(group) == number);
        let mut missing: BTreeMap<_, Offset> = mine.map(|(key, (offset, _))| (key, *offset)).collect();
        for batch in replica.log().batches().rev() {
            if missing.is_empty() {
                return;
            }
            let commits = commits_in(batch);
            missing.retain(|key, offset| commits.get(*key).is_none_or(|(of, _)| of != offset));
        }
        if let Some(((group, partition), offset)) = missing.first_key_value() {
            let what = format!(
                "broker-{broker} took over {}, where the commit of {offset} of {} by {group} is missing",
                world.name(replica.partition()),
                world.name(*partition)
            );
            verdict.report("CommittedOffsetsSurvive", stamped, what);
        }
    }
}

impl ReadLog {
    fn of(coordinator: BrokerId) -> Self {
        Self { coordinator, until: 0, commits: BTreeMap::new() }
    }

    fn go_on(&mut self, replica: &Replica, end: Offset) {
        let unread = replica.log().batches().rev().take_while(|batch| batch.base_offset >= self.until);
        let unread: Vec<&Batch> = unread.filter(|batch| batch.next_offset() <= end).collect();
        for batch in unread.into_iter().rev() {
            for (key, commit) in commits_in(batch) {
                let commits = self.commits.entry(key).or_default();
                commits.push_back(commit);
                if commits.len() > REMEMBERED {
                    commits.pop_front();
                }
            }
            self.until = batch.next_offset();
        }
    }
}

fn is_share_group(group: &Name, world: &impl Witness) -> bool {
    let coordinators = world.broker_ids().into_iter().filter_map(|id| world.coordinator(id));
    coordinators.filter_map(|coordinator| coordinator.group(group)).any(|group| group.as_share().is_some())
}

/// A group at its coordinator: the newest leader of its partition of `__consumer_offsets`.
fn current_group<'a>(group: &Name, world: &'a impl Witness) -> Option<&'a Group> {
    let of = |broker| Some((offsets_of(broker, group, world)?.leader_epoch(), broker));
    let (_, broker) = world.broker_ids().into_iter().filter_map(of).max()?;
    world.coordinator(broker)?.group(group)
}

/// The partition of `__consumer_offsets` that a broker keeps a group in, if it leads it.
fn offsets_of<'a>(broker: BrokerId, group: &Name, world: &'a impl Witness) -> Option<&'a Replica> {
    let number = world.coordinator(broker)?.partition_of(group);
    world.led_offsets_partition(broker, number)
}

fn commits_in(batch: &Batch) -> Commits {
    let records = group_log::records(batch).into_iter();
    let commits = records.filter_map(|(_, record)| match record {
        GroupRecord::Offset { group, partition, value: Some(value), .. } => {
            let partition = TopicPartition::new(value.topic_id?, partition);
            Some(((group, partition), (value.offset, value.commit_timestamp)))
        }
        _ => None,
    });
    commits.collect()
}
