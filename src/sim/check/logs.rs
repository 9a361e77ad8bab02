//! Logs and high watermarks: what is committed stays, and it is the same everywhere.

use std::collections::{BTreeMap, BTreeSet};

use super::{Verdict, Witness};
use crate::kafka::ids::{BrokerId, LeaderEpoch, Offset, TopicPartition};
use crate::kafka::log::Log;
use crate::sim::trace::Stamped;

#[derive(Clone, Debug, Default)]
pub(super) struct LogChecks {
    high_watermarks: BTreeMap<(BrokerId, TopicPartition), (LeaderEpoch, Offset)>,
    committed: BTreeMap<TopicPartition, Tip>,
    /// Machines that lost committed records with their power, until they are in the ISR again.
    hurt: BTreeMap<TopicPartition, BTreeSet<BrokerId>>,
    /// The epoch of the last unclean election. A leader before it that has not heard of it goes on committing for nothing.
    unclean: BTreeMap<TopicPartition, LeaderEpoch>,
    /// Brokers that started since a controller of ZooKeeper mode took over.
    restarted: BTreeSet<BrokerId>,
    /// Brokers that stayed eligible to lead when their replica was moved elsewhere.
    moved: BTreeMap<TopicPartition, BTreeSet<BrokerId>>,
}

/// The last committed batch of a partition. As every replica's log is one history, it stands for all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tip {
    next_offset: Offset,
    epoch: LeaderEpoch,
    crc: u32,
}

impl LogChecks {
    /// The highest high watermark that a leader ever had.
    pub(super) fn committed_up_to(&self, partition: TopicPartition) -> Offset {
        self.committed.get(&partition).map_or(0, |tip| tip.next_offset)
    }

    /// Records are gone, and by right. What is committed from here on is another history.
    pub(super) fn forgive(&mut self, partition: TopicPartition, verdict: &mut Verdict) {
        verdict.forgiven.insert(partition);
        self.committed.remove(&partition);
    }

    /// The new leader's log is the partition's, whatever is on others.
    pub(super) fn elected_uncleanly(&mut self, partition: TopicPartition, epoch: LeaderEpoch, verdict: &mut Verdict) {
        self.unclean.insert(partition, epoch);
        self.forgive(partition, verdict);
    }

    /// `PartitionChangeBuilder.maybePopulateTargetElr` keeps replicas that a reassignment takes away, where what is left
    /// of the ISR is below `min.insync.replicas`. Such a broker gets an empty log if the partition comes back to it, and
    /// may be elected with that one: Kafka's own gap.
    pub(super) fn eligible(&mut self, partition: TopicPartition, elr: &[BrokerId], world: &impl Witness) {
        let Some(known) = world.registration(partition) else { return };
        let gone = elr.iter().copied().filter(|id| !known.replicas.contains(id));
        self.moved.entry(partition).or_default().extend(gone);
    }

    pub(super) fn had_moved_away(&self, partition: TopicPartition, leader: BrokerId) -> bool {
        self.moved.get(&partition).is_some_and(|moved| moved.contains(&leader))
    }

    /// In the ISR again, a machine has what it had lost. One that the controller has not yet taken out of it does not.
    pub(super) fn healed(&mut self, partition: TopicPartition, from: &[BrokerId], to: &[BrokerId]) {
        let joined = |id: &BrokerId| to.contains(id) && !from.contains(id);
        if let Some(moved) = self.moved.get_mut(&partition) {
            moved.retain(|id| !joined(id));
        }
        if let Some(hurt) = self.hurt.get_mut(&partition) {
            hurt.retain(|id| !joined(id));
        }
    }

    pub(super) fn restarted(&mut self, broker: BrokerId) {
        self.restarted.insert(broker);
    }

    /// ZooKeeper mode: the controller was gone before it saw a leader die, and the next one finds that broker alive again.
    /// It leads on in the same epoch (`PartitionStateMachine.initializePartitionState`), from the high watermark that its
    /// disk has. Brokers that did not start anew have no such excuse.
    pub(super) fn controller_replaced(&mut self) {
        let restarted = std::mem::take(&mut self.restarted);
        self.high_watermarks.retain(|(broker, _), _| !restarted.contains(broker));
    }

    pub(super) fn became_leader(
        &mut self,
        stamped: &Stamped,
        broker: BrokerId,
        partition: TopicPartition,
        world: &impl Witness,
        verdict: &mut Verdict,
    ) {
        self.leader_has_every_committed_record(stamped, broker, partition, world, verdict);
        self.high_watermark_never_falls(stamped, broker, partition, world, verdict);
    }

    pub(super) fn high_watermark_moved(
        &mut self,
        stamped: &Stamped,
        broker: BrokerId,
        partition: TopicPartition,
        world: &impl Witness,
        verdict: &mut Verdict,
    ) {
        self.high_watermark_never_falls(stamped, broker, partition, world, verdict);
        self.committed_on_every_isr_log(stamped, broker, partition, world, verdict);
    }

    /// A leader's high watermark never falls, within its epoch.
    fn high_watermark_never_falls(
        &mut self,
        stamped: &Stamped,
        broker: BrokerId,
        partition: TopicPartition,
        world: &impl Witness,
        verdict: &mut Verdict,
    ) {
        let Some(replica) = world.replica(broker, partition).filter(|replica| replica.is_leader()) else { return };
        let now = (replica.leader_epoch(), replica.high_watermark());
        let before = self.high_watermarks.insert((broker, partition), now);
        if let Some((_, fell_from)) = before.filter(|&(epoch, offset)| epoch == now.0 && offset > now.1) {
            let what = format!("{} on broker-{broker} fell from {fell_from} to {}", world.name(partition), now.1);
            verdict.report("LeaderHighWatermarkNeverFalls", stamped, what);
        }
        if now.1 > replica.log().end() {
            let what =
                format!("{} on broker-{broker}: high watermark {} is beyond the log end", world.name(partition), now.1);
            verdict.report("HighWatermarkWithinLog", stamped, what);
        }
    }

    /// What is below the high watermark is on the log of every replica in the ISR, and it is the same there.
    fn committed_on_every_isr_log(
        &mut self,
        stamped: &Stamped,
        broker: BrokerId,
        partition: TopicPartition,
        world: &impl Witness,
        verdict: &mut Verdict,
    ) {
        let Some(leader) = world.replica(broker, partition) else { return };
        let Some(leadership) = leader.leadership() else { return };
        if self.unclean.get(&partition).is_some_and(|epoch| leader.leader_epoch() < *epoch) {
            return;
        }
        let high_watermark = leader.high_watermark();
        let Some(tip) = tip_at(leader.log(), high_watermark) else { return };
        let old_rules = world.has_old_rules();
        if !old_rules && (leadership.isr().len() as u64) < u64::from(leader.effective_min_isr()) {
            let what = format!(
                "{} on broker-{broker}: {high_watermark} is committed by an ISR of {}, min.insync.replicas is {}",
                world.name(partition),
                leadership.isr().len(),
                leader.effective_min_isr()
            );
            verdict.report("NoCommitBelowMinIsr", stamped, what);
        }
        // A leader may think the ISR larger than it is, never smaller.
        let known = world.registration(partition);
        let known = known.filter(|known| known.leader == Some(broker) && known.leader_epoch == leader.leader_epoch());
        let known = known.map(|known| &*known.isr).unwrap_or_default();
        let mut isr: BTreeSet<&BrokerId> = leadership.isr().iter().chain(known).collect();
        isr.remove(&broker);
        for id in isr {
            let hurt = self.hurt.get(&partition).is_some_and(|hurt| hurt.contains(id));
            let Some(follower) = world.replica(*id, partition).filter(|_| !hurt && !old_rules) else { continue };
            if tip_at(follower.log(), high_watermark) != Some(tip) {
                let what = format!(
                    "{}: broker-{id} is in the ISR but its log does not agree with broker-{broker}'s up to {high_watermark}",
                    world.name(partition)
                );
                verdict.report("LogsAgreeUpToHighWatermark", stamped, what);
            }
        }
        let known = self.committed.entry(partition).or_insert(tip);
        if tip.next_offset >= known.next_offset {
            *known = tip;
        }
    }

    /// Who joins the ISR has every committed record.
    pub(super) fn joined(
        &self,
        stamped: &Stamped,
        partition: TopicPartition,
        from: &[BrokerId],
        to: &[BrokerId],
        world: &impl Witness,
        verdict: &mut Verdict,
    ) {
        let Some(tip) = self.committed.get(&partition).filter(|_| !world.has_old_rules()) else { return };
        let hurt = |id: &BrokerId| self.hurt.get(&partition).is_some_and(|hurt| hurt.contains(id));
        for id in to.iter().filter(|id| !from.contains(id) && !hurt(id)) {
            let Some(log) = world.log(*id, partition) else { continue };
            if tip_at(log, tip.next_offset) != Some(*tip) {
                let what = format!(
                    "{}: broker-{id} joins the ISR without the committed records below {}; its log ends at {}",
                    world.name(partition),
                    tip.next_offset,
                    log.end()
                );
                verdict.report("IsrHasEveryCommittedRecord", stamped, what);
            }
        }
    }

    /// A leader elected from the ISR has every committed record.
    fn leader_has_every_committed_record(
        &mut self,
        stamped: &Stamped,
        broker: BrokerId,
        partition: TopicPartition,
        world: &impl Witness,
        verdict: &mut Verdict,
    ) {
        let Some(tip) = self.committed.get(&partition).copied() else { return };
        let Some(leader) = world.replica(broker, partition) else { return };
        // Told late, of an epoch that is over: nobody follows it, and it commits nothing.
        if world.registration(partition).is_some_and(|known| known.leader_epoch > leader.leader_epoch()) {
            return;
        }
        if tip_at(leader.log(), tip.next_offset) != Some(tip) && !world.has_old_rules() {
            let what = format!(
                "{}: broker-{broker} leads without the committed records below {}; its log ends at {}",
                world.name(partition),
                tip.next_offset,
                leader.log().end()
            );
            verdict.report("LeaderHasEveryCommittedRecord", stamped, what);
        }
    }

    /// A replica outside the ISR may lag and hold records of a lost leader; what counts is that a committed record is on
    /// some log.
    pub(super) fn truncated(
        &mut self,
        stamped: &Stamped,
        partition: TopicPartition,
        to: Offset,
        world: &impl Witness,
        verdict: &mut Verdict,
    ) {
        let Some(tip) = self.committed.get(&partition).copied().filter(|tip| to < tip.next_offset) else { return };
        if copies(partition, tip, world).is_empty() && !world.has_old_rules() {
            let what =
                format!("{}: a truncation to {to} removed the last copy of a committed record", world.name(partition));
            verdict.report("CommittedRecordsSurvive", stamped, what);
        }
    }

    /// The power went, and what was in the page cache alone. One machine's loss another can make good; with as many as
    /// `min.insync.replicas` gone together, or the only one in the ISR, nothing is promised: an acknowledgement does not
    /// wait for a disk.
    pub(super) fn unflushed_lost(
        &mut self,
        broker: BrokerId,
        partition: TopicPartition,
        from: Offset,
        world: &impl Witness,
        verdict: &mut Verdict,
    ) {
        let Some(tip) = self.committed.get(&partition).copied().filter(|tip| from < tip.next_offset) else { return };
        let hurt = self.hurt.entry(partition).or_default();
        hurt.insert(broker);
        let min_isr = world.broker_ids().into_iter().find_map(|id| world.replica(id, partition));
        let min_isr = min_isr.map_or(1, |replica| replica.effective_min_isr());
        let alone = world.registration(partition).is_none_or(|known| known.isr.len() <= 1);
        let sound = copies(partition, tip, world).into_iter().any(|id| !hurt.contains(&id));
        if alone || !sound || hurt.len() as u64 >= u64::from(min_isr) {
            self.forgive(partition, verdict);
        }
    }

    /// The partition has moved to `replicas`, which may be in the ISR and yet have lost their page cache with the power: the
    /// controller has not heard of it. Where that leaves no sound copy, the operator has deleted the last one.
    pub(super) fn moved(
        &mut self,
        partition: TopicPartition,
        replicas: &[BrokerId],
        world: &impl Witness,
        verdict: &mut Verdict,
    ) {
        let Some(tip) = self.committed.get(&partition).copied() else { return };
        let Some(hurt) = self.hurt.get(&partition).filter(|hurt| !hurt.is_empty()) else { return };
        if !copies(partition, tip, world).iter().any(|id| replicas.contains(id) && !hurt.contains(id)) {
            self.forgive(partition, verdict);
        }
    }

    /// What only a disk that is being emptied holds is forgiven.
    pub(super) fn before_wipe(&mut self, broker: BrokerId, world: &impl Witness, verdict: &mut Verdict) {
        let tips: Vec<(TopicPartition, Tip)> = self.committed.iter().map(|(of, tip)| (*of, *tip)).collect();
        for (partition, tip) in tips {
            if copies(partition, tip, world).into_iter().all(|id| id == broker) {
                self.forgive(partition, verdict);
            }
        }
    }
}

/// The brokers that have the committed records on their logs.
fn copies(partition: TopicPartition, tip: Tip, world: &impl Witness) -> Vec<BrokerId> {
    let has = |id: &BrokerId| world.log(*id, partition).is_some_and(|log| tip_at(log, tip.next_offset) == Some(tip));
    world.broker_ids().into_iter().filter(has).collect()
}

/// Epochs on a log never fall, and where two logs have the same batch they have the same before it (`LogMatching`).
pub(super) fn appended(
    stamped: &Stamped,
    (broker, leads): (BrokerId, bool),
    partition: TopicPartition,
    base_offset: Offset,
    epoch: LeaderEpoch,
    world: &impl Witness,
    verdict: &mut Verdict,
) {
    let Some(replica) = world.replica(broker, partition) else { return };
    if base_offset == 0 {
        return;
    }
    let log = replica.log();
    let before = tip_at(log, base_offset);
    if before.is_some_and(|before| before.epoch > epoch) && !world.has_old_rules() {
        let what =
            format!("{} on broker-{broker}: epoch {epoch} at {base_offset} after a newer one", world.name(partition));
        verdict.report("EpochsOnLogRise", stamped, what);
    }
    if leads {
        return;
    }
    let Some(leader) = replica.leader().and_then(|id| world.log(id, partition)) else { return };
    let is_the_same = leader.batch_at(base_offset).is_some_and(|batch| {
        batch.base_offset == base_offset && batch.leader_epoch == epoch && base_offset > leader.start()
    });
    if is_the_same && base_offset > log.start() && tip_at(leader, base_offset) != before && !world.has_old_rules() {
        let what = format!(
            "{}: broker-{broker} has its leader's batch at {base_offset}, but something else before it",
            world.name(partition)
        );
        verdict.report("LogsMatch", stamped, what);
    }
}

/// The batch that ends at or before `offset`, as evidence of everything up to there; `None` where the log is shorter.
fn tip_at(log: &Log, offset: Offset) -> Option<Tip> {
    if offset == 0 || log.end() < offset {
        return None;
    }
    let batch = log.batch_at(offset - 1)?;
    Some(Tip { next_offset: batch.next_offset(), epoch: batch.leader_epoch, crc: batch.crc })
}
