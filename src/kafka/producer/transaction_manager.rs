//! What makes a producer idempotent: its id and epoch, and the sequence numbers of its batches (`TransactionManager`,
//! `TxnPartitionEntry`; KIP-98, KIP-360).
//!
//! A batch gets its sequence when it is first sent, counted per partition and record, and keeps it through all retries:
//! by it the leader knows a batch that it has already. A batch that comes back goes to the head of its partition's queue,
//! and while it waits only the first batch without an answer is sent again, so that none overtakes.
//!
//! Where a sequence can never be completed, because a batch failed for good, the producer bumps its epoch, by itself, and
//! counts that partition anew from 0. What it may have doubled by then nobody can tell.
//!
//! What we leave out: transactions; UNKNOWN_PRODUCER_ID, which no leader answers any more.

use std::collections::{BTreeMap, BTreeSet};

use super::accumulator::PendingBatch;
use crate::kafka::error::ErrorCode;
use crate::kafka::record::sequence_after;
use crate::time::Instant;

/// Who the leaders take the producer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProducerIdAndEpoch {
    pub id: i64,
    pub epoch: i16,
}

/// The idempotent state of a producer.
#[derive(Clone, Debug, Default)]
pub(super) struct TransactionManager {
    identity: Option<ProducerIdAndEpoch>,
    init: Init,
    partitions: BTreeMap<u32, Sequences>,
    /// Partitions with a batch that expired after it was sent, so that nobody knows whether its sequences are taken: the
    /// last such batch's first record, and the sequence behind it.
    unresolved: BTreeMap<u32, (u64, i32)>,
    /// Partitions to count anew with the next epoch.
    to_rewrite: BTreeSet<u32>,
}

/// How far asking for an id has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Init {
    #[default]
    Due,
    Asked,
    RetryAt(Instant),
}

/// What a producer knows of one partition.
#[derive(Clone, Debug, Default)]
struct Sequences {
    identity: Option<ProducerIdAndEpoch>,
    next: i32,
    /// The last acknowledged batch's first record and last sequence.
    last_acked: Option<(u64, i32)>,
    /// The batches that have a sequence and no final answer, by their first records.
    in_flight: BTreeSet<u64>,
}

impl TransactionManager {
    pub fn identity(&self) -> Option<ProducerIdAndEpoch> {
        self.identity
    }

    /// Whether to ask for an id now; `Err` says when, if not before.
    pub fn is_init_due(&self, now: Instant) -> Result<bool, Instant> {
        match self.init {
            _ if self.identity.is_some() => Ok(false),
            Init::Due => Ok(true),
            Init::Asked => Ok(false),
            Init::RetryAt(at) if at <= now => Ok(true),
            Init::RetryAt(at) => Err(at),
        }
    }

    pub fn init_asked(&mut self) {
        self.init = Init::Asked;
    }

    /// No id this time.
    pub fn init_failed(&mut self, retry_at: Instant) {
        self.init = Init::RetryAt(retry_at);
    }

    pub fn initialized(&mut self, identity: ProducerIdAndEpoch) {
        self.identity = Some(identity);
    }

    /// Whether the first batch of a partition's queue may go out (`shouldStopDrainBatchesForPartition`). `sequenced` says
    /// which one it is, by its first record, where it was sent before.
    pub fn may_send(&self, partition: u32, sequenced: Option<u64>) -> bool {
        let Some(identity) = self.identity else { return false };
        let known = self.partitions.get(&partition);
        let first_in_flight = known.and_then(|known| known.in_flight.first().copied());
        match sequenced {
            // Only the first one without an answer is sent again.
            Some(first_record) => first_in_flight.is_none_or(|first| first == first_record),
            None => {
                let stale = known.is_some_and(|known| known.identity != Some(identity));
                !(stale && first_in_flight.is_some()) && !self.unresolved.contains_key(&partition)
            }
        }
    }

    /// Gives a batch its sequence, which it keeps from here on. The caller has seen that it [`may_send`](Self::may_send).
    pub fn sequence(&mut self, partition: u32, pending: &mut PendingBatch) {
        let Some(identity) = self.identity else { return };
        let known = self.partitions.entry(partition).or_default();
        if known.identity != Some(identity) {
            known.begin_anew(identity, 0);
        }
        pending.number(identity, known.next);
        known.next = sequence_after(known.next, pending.batch.record_count);
        known.in_flight.insert(pending.origin.first);
    }

    /// A batch is acknowledged.
    pub fn completed(&mut self, partition: u32, pending: &PendingBatch) {
        let Some(known) = self.partitions.get_mut(&partition) else { return };
        let acked = (pending.origin.first, pending.batch.last_sequence());
        known.last_acked = known.last_acked.max(Some(acked));
        known.in_flight.remove(&pending.origin.first);
    }

    /// Whether a refused batch may go out again (`TransactionManager.canRetry`).
    pub fn can_retry(&mut self, partition: u32, pending: &PendingBatch, error: ErrorCode) -> bool {
        if error != ErrorCode::OutOfOrderSequenceNumber {
            return error.is_retriable();
        }
        let sequence = pending.batch.base_sequence;
        let unresolved = self.unresolved.get(&partition).map(|(_, next)| *next);
        // Its turn has not come: one before it is on its way. Else there is a gap that nothing will fill.
        let waits = unresolved.is_none() && (pending.renumbered || !self.is_next(partition, sequence));
        if !waits && unresolved.is_none_or(|next| next == sequence) {
            self.to_rewrite.insert(partition);
        }
        true
    }

    /// A batch has failed for good. Its sequences are free for others if it is certain that no leader has it: `certain`.
    pub fn failed(&mut self, partition: u32, pending: &PendingBatch, error: ErrorCode, certain: bool) {
        if !pending.batch.has_producer_id() {
            return;
        }
        if let Some(known) = self.partitions.get_mut(&partition) {
            known.in_flight.remove(&pending.origin.first);
        }
        if error == ErrorCode::OutOfOrderSequenceNumber || certain {
            self.to_rewrite.insert(partition);
        }
    }

    /// A batch's time is over. If it was to be sent again, nobody knows whether a leader has it (`markSequenceUnresolved`).
    pub fn expired(&mut self, partition: u32, pending: &PendingBatch) {
        self.failed(partition, pending, ErrorCode::RequestTimedOut, false);
        if pending.batch.has_producer_id() && pending.retried {
            let behind = (pending.origin.first, sequence_after(pending.batch.last_sequence(), 1));
            let known = self.unresolved.entry(partition).or_insert(behind);
            *known = behind.max(*known);
        }
    }

    /// Partitions where everything else has been answered: either the leader had the expired batch, and all is well, or
    /// the epoch must be bumped (`maybeResolveSequences`).
    pub fn resolve(&mut self) {
        let idle = |partition: &u32| self.partitions.get(partition).is_none_or(|known| known.in_flight.is_empty());
        let decided: Vec<u32> = self.unresolved.keys().copied().filter(idle).collect();
        for partition in decided {
            self.unresolved.remove(&partition);
            let next = self.partitions.get(&partition).map_or(0, |known| known.next);
            if !self.is_next(partition, next) {
                self.to_rewrite.insert(partition);
            }
        }
    }

    /// Bumps the epoch if that is needed (`bumpIdempotentProducerEpoch`). When no epoch is left it takes another id.
    /// Returns whether it did.
    pub fn bump(&mut self) -> bool {
        let Some(identity) = self.identity.filter(|_| !self.to_rewrite.is_empty()) else { return false };
        match identity.epoch.checked_add(1) {
            Some(epoch) => self.identity = Some(ProducerIdAndEpoch { epoch, ..identity }),
            None => (self.identity, self.init) = (None, Init::Due),
        }
        self.identity.is_some()
    }

    /// The partitions to count anew, once there is an identity to do it with.
    pub fn take_to_rewrite(&mut self) -> BTreeSet<u32> {
        if self.identity.is_some() { std::mem::take(&mut self.to_rewrite) } else { BTreeSet::new() }
    }

    /// Counts a partition from 0 again. `batches` are those that had sequences, in the order of their records.
    pub fn rewrite(&mut self, partition: u32, batches: &mut [&mut PendingBatch]) {
        let Some(identity) = self.identity else { return };
        let mut next = 0;
        for pending in batches {
            pending.number(identity, next);
            pending.renumbered = true;
            next = sequence_after(next, pending.batch.record_count);
        }
        self.partitions.entry(partition).or_default().begin_anew(identity, next);
        self.unresolved.remove(&partition);
    }

    /// Whether that is the sequence behind the last acknowledged one.
    fn is_next(&self, partition: u32, sequence: i32) -> bool {
        let last_acked = self.partitions.get(&partition).and_then(|known| known.last_acked);
        sequence == last_acked.map_or(0, |(_, last)| sequence_after(last, 1))
    }
}

impl Sequences {
    fn begin_anew(&mut self, identity: ProducerIdAndEpoch, next: i32) {
        self.identity = Some(identity);
        self.next = next;
        self.last_acked = None;
    }
}
