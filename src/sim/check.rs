//! What the model promises, checked after every event. A broken promise is our bug, never the user's.
//!
//! Each check reads the facts of one event and, where they touch a partition, its replicas; what it must remember it
//! keeps itself, so that it never trusts the bookkeeping of the machines it judges. Names follow the properties of
//! Kafka's TLA+ models where there is one.

use std::collections::{BTreeMap, BTreeSet};

use crate::kafka::fact::Fact;
use crate::kafka::ids::{
    BrokerId, ClientId, ControllerId, Generation, LeaderEpoch, Name, Node, OFFSETS_TOPIC, Offset, TopicPartition,
};
use crate::kafka::log::Log;
use crate::kafka::quorum::Quorum;
use crate::kafka::quorum::log::MetadataLog;
use crate::kafka::replica::Replica;
use crate::sim::trace::Stamped;
use crate::time::Instant;

mod quorum;

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The property's name.
    pub name: &'static str,
    pub at: Instant,
    /// What was promised and what was found.
    pub what: String,
    /// The fact that broke it.
    pub fact: u64,
}

/// How checks look at the world.
pub trait Witness {
    /// The replica of a broker that runs.
    fn replica(&self, broker: BrokerId, partition: TopicPartition) -> Option<&Replica>;
    /// A broker's log, whether its process runs or not.
    fn log(&self, broker: BrokerId, partition: TopicPartition) -> Option<&Log>;
    /// Every broker there is.
    fn broker_ids(&self) -> Vec<BrokerId>;
    /// A voter that runs.
    fn quorum(&self, voter: ControllerId) -> Option<&Quorum>;
    /// Every voter's metadata log, whether its process runs or not.
    fn metadata_logs(&self) -> Vec<MetadataLog>;
    /// How a partition is called.
    fn name(&self, partition: TopicPartition) -> String;
    /// The brokers that may come to lead this partition by a clean election.
    fn may_lead(&self, partition: TopicPartition) -> Vec<BrokerId>;
    /// Whether a replica outside the ISR may lead this partition.
    fn allows_unclean_election(&self, partition: TopicPartition) -> bool;
}

/// What the checks remember.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    leaders: BTreeMap<(TopicPartition, LeaderEpoch), BrokerId>,
    high_watermarks: BTreeMap<(BrokerId, TopicPartition), (LeaderEpoch, Offset)>,
    committed: BTreeMap<TopicPartition, Tip>,
    owners: BTreeMap<(Name, TopicPartition), (Generation, ClientId)>,
    /// Partitions whose last copy somebody took away.
    wiped: BTreeSet<TopicPartition>,
    quorum: quorum::QuorumChecks,
    /// Partitions of which a power failure took records from some replica.
    unflushed: BTreeSet<TopicPartition>,
    violations: Vec<Violation>,
}

/// The last committed batch of a partition. As every replica's log is one history, it stands for all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tip {
    next_offset: Offset,
    epoch: LeaderEpoch,
    crc: u32,
}

/// More than this is not kept: one broken promise breaks others.
const MAX_VIOLATIONS: usize = 100;

impl Checks {
    /// Looks at what one event did.
    pub fn after_event(&mut self, facts: &[Stamped], world: &impl Witness) {
        for stamped in facts {
            let voter = if let Some(Node::Controller(id)) = stamped.node { world.quorum(id) } else { None };
            if let Some((name, what)) = self.quorum.after_fact(stamped, voter, || world.metadata_logs()) {
                self.report(name, stamped, what);
            }
            match &stamped.fact {
                Fact::BecameLeader { partition, epoch, .. } => {
                    let Some(Node::Broker(broker)) = stamped.node else { continue };
                    self.one_leader_per_epoch(stamped, broker, *partition, *epoch, world);
                    self.leader_completeness(stamped, broker, *partition, world);
                    self.leader_high_watermark_monotonic(stamped, broker, *partition, world);
                }
                Fact::HighWatermark { partition, leader: true, .. } => {
                    let Some(Node::Broker(broker)) = stamped.node else { continue };
                    self.leader_high_watermark_monotonic(stamped, broker, *partition, world);
                    self.committed_on_every_isr_log(stamped, broker, *partition, world);
                }
                Fact::UnflushedLost { partition, .. } => self.unflushed_lost(*partition, world),
                Fact::LeaderElected { partition, unclean: true, .. } if self.unflushed.contains(partition) => {
                    // The last known leader may be the one that had lost its power.
                    self.promise_is_void(*partition, world);
                }
                Fact::Truncated { partition, to, .. } => {
                    self.committed_survives_truncation(stamped, *partition, *to, world)
                }
                Fact::PartitionsAssigned { group, generation, partitions } => {
                    let Some(Node::Consumer(member)) = stamped.node else { continue };
                    for partition in partitions {
                        self.one_owner_per_generation(stamped, group, *generation, *partition, member, world);
                    }
                }
                Fact::OffsetCommitted { group, partition, offset } => {
                    self.commit_within_log(stamped, group, *partition, *offset, world);
                }
                _ => {}
            }
        }
    }

    /// A disk is about to be emptied. Nobody promised that what only it holds will be there afterwards.
    pub fn before_wipe(&mut self, broker: BrokerId, world: &impl Witness) {
        let others: Vec<BrokerId> = world.broker_ids().into_iter().filter(|id| *id != broker).collect();
        let is_elsewhere = |partition: TopicPartition, tip: Tip| {
            let mut logs = others.iter().filter_map(|id| world.log(*id, partition));
            logs.any(|log| holds(log, tip))
        };
        self.wiped.extend(self.committed.iter().filter(|(of, tip)| !is_elsewhere(**of, **tip)).map(|(of, _)| *of));
        self.committed.retain(|partition, _| !self.wiped.contains(partition));
    }

    /// A machine lost its power, and records that it had not flushed. Replication is to make up for that; where no other
    /// replica that may lead has what was committed, nobody promised that it would be there afterwards.
    fn unflushed_lost(&mut self, partition: TopicPartition, world: &impl Witness) {
        self.unflushed.insert(partition);
        let Some(tip) = self.committed.get(&partition).copied() else { return };
        let mut logs = world.may_lead(partition).into_iter().filter_map(|id| world.log(id, partition));
        if !logs.any(|log| holds(log, tip)) {
            self.promise_is_void(partition, world);
        }
    }

    fn promise_is_void(&mut self, partition: TopicPartition, world: &impl Witness) {
        self.wiped.insert(partition);
        self.committed.remove(&partition);
        if world.name(partition).starts_with(OFFSETS_TOPIC) {
            // Groups may have forgotten generations.
            self.owners.clear();
        }
    }

    /// Every broken promise so far.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    fn report(&mut self, name: &'static str, stamped: &Stamped, what: String) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(Violation { name, at: stamped.at, what, fact: stamped.id });
        }
    }

    fn one_leader_per_epoch(
        &mut self,
        stamped: &Stamped,
        broker: BrokerId,
        partition: TopicPartition,
        epoch: LeaderEpoch,
        world: &impl Witness,
    ) {
        let first = *self.leaders.entry((partition, epoch)).or_insert(broker);
        if first != broker {
            let what = format!(
                "{} has two leaders in epoch {epoch}: broker-{first} and broker-{broker}",
                world.name(partition)
            );
            self.report("OneLeaderPerEpoch", stamped, what);
        }
    }

    /// A leader's high watermark never falls, within its epoch.
    fn leader_high_watermark_monotonic(
        &mut self,
        stamped: &Stamped,
        broker: BrokerId,
        partition: TopicPartition,
        world: &impl Witness,
    ) {
        let Some(replica) = world.replica(broker, partition).filter(|replica| replica.is_leader()) else { return };
        let now = (replica.leader_epoch(), replica.high_watermark());
        let before = self.high_watermarks.insert((broker, partition), now);
        if let Some((_, fell_from)) = before.filter(|&(epoch, offset)| epoch == now.0 && offset > now.1) {
            let what = format!("{} on broker-{broker} fell from {fell_from} to {}", world.name(partition), now.1);
            self.report("LeaderHighWatermarkNeverFalls", stamped, what);
        }
        if now.1 > replica.log().end() {
            let what =
                format!("{} on broker-{broker}: high watermark {} is beyond the log end", world.name(partition), now.1);
            self.report("HighWatermarkWithinLog", stamped, what);
        }
    }

    /// What is below the high watermark is on the log of every replica in the ISR, and it is the same there.
    fn committed_on_every_isr_log(
        &mut self,
        stamped: &Stamped,
        broker: BrokerId,
        partition: TopicPartition,
        world: &impl Witness,
    ) {
        let Some(leader) = world.replica(broker, partition) else { return };
        let Some(leadership) = leader.leadership() else { return };
        let high_watermark = leader.high_watermark();
        let Some(tip) = tip_at(leader.log(), high_watermark) else { return };
        for id in leadership.isr().iter().filter(|id| **id != broker) {
            let Some(follower) = world.replica(*id, partition) else { continue };
            // What grew too old need not be there any more.
            if follower.log().start() < high_watermark && tip_at(follower.log(), high_watermark) != Some(tip) {
                let what = format!(
                    "{}: broker-{id} is in the ISR but its log does not agree with broker-{broker}'s up to {high_watermark}",
                    world.name(partition)
                );
                self.report("LogsAgreeUpToHighWatermark", stamped, what);
            }
        }
        let known = self.committed.entry(partition).or_insert(tip);
        if tip.next_offset >= known.next_offset {
            *known = tip;
        }
    }

    /// A leader elected from the ISR has every committed record.
    fn leader_completeness(
        &mut self,
        stamped: &Stamped,
        broker: BrokerId,
        partition: TopicPartition,
        world: &impl Witness,
    ) {
        let Some(tip) = self.committed.get(&partition).copied() else { return };
        if world.allows_unclean_election(partition) {
            self.committed.remove(&partition);
            return;
        }
        let Some(leader) = world.replica(broker, partition) else { return };
        if !holds(leader.log(), tip) {
            let what = format!(
                "{}: broker-{broker} leads without the committed records below {}; its log ends at {}",
                world.name(partition),
                tip.next_offset,
                leader.log().end()
            );
            self.report("LeaderHasEveryCommittedRecord", stamped, what);
        }
    }

    fn committed_survives_truncation(
        &mut self,
        stamped: &Stamped,
        partition: TopicPartition,
        to: Offset,
        world: &impl Witness,
    ) {
        let Some(tip) = self.committed.get(&partition).copied().filter(|tip| to < tip.next_offset) else { return };
        if world.allows_unclean_election(partition) {
            return;
        }
        // A replica outside the ISR may lag and hold records of a lost leader; what counts is that the record is on some log.
        let somewhere =
            world.broker_ids().into_iter().filter_map(|id| world.log(id, partition)).any(|log| holds(log, tip));
        if !somewhere {
            let what =
                format!("{}: a truncation to {to} removed the last copy of a committed record", world.name(partition));
            self.report("CommittedRecordsSurvive", stamped, what);
        }
    }

    fn one_owner_per_generation(
        &mut self,
        stamped: &Stamped,
        group: &Name,
        generation: Generation,
        partition: TopicPartition,
        member: ClientId,
        world: &impl Witness,
    ) {
        let before = self.owners.insert((group.clone(), partition), (generation, member));
        if let Some((_, other)) =
            before.filter(|&(other_generation, other)| other_generation == generation && other != member)
        {
            let what = format!(
                "{} has two readers in generation {generation} of {group}: clients {other} and {member}",
                world.name(partition)
            );
            self.report("OneReaderPerGeneration", stamped, what);
        }
    }

    fn commit_within_log(
        &mut self,
        stamped: &Stamped,
        group: &Name,
        partition: TopicPartition,
        offset: Offset,
        world: &impl Witness,
    ) {
        let ends = world.broker_ids().into_iter().filter_map(|id| world.log(id, partition)).map(Log::end);
        // Where records may go again, a consumer may have been beyond what is left.
        if self.wiped.contains(&partition) || world.allows_unclean_election(partition) {
            return;
        }
        if let Some(end) = ends.max().filter(|end| offset > *end) {
            let what = format!("{group} committed {offset} of {}, whose log ends at {end}", world.name(partition));
            self.report("CommitsWithinLog", stamped, what);
        }
    }
}

/// Whether a log has this batch, or had it until it grew too old.
fn holds(log: &Log, tip: Tip) -> bool {
    log.start() >= tip.next_offset || tip_at(log, tip.next_offset) == Some(tip)
}

/// The batch that ends at or before `offset`, as evidence of everything up to there; `None` where the log is shorter.
fn tip_at(log: &Log, offset: Offset) -> Option<Tip> {
    if offset == 0 || log.end() < offset {
        return None;
    }
    let batch = log.batch_at(offset - 1)?;
    Some(Tip { next_offset: batch.next_offset(), epoch: batch.leader_epoch, crc: batch.crc })
}
