//! What a partition's log tells of its producers: how a leader recognises a batch that was sent twice, or too early.
//!
//! An idempotent producer has an id from the cluster, an epoch, and counts its records of each partition (KIP-98). Every
//! batch carries the three. A replica remembers, per producer, the epoch and the last five batches; that many requests a
//! client may have in flight. A leader holds a new batch against that:
//!
//! | the batch | what becomes of it |
//! |---|---|
//! | has epoch, first and last sequence of one of the five | a duplicate: success with the offset of then, nothing appended |
//! | has an older epoch | INVALID_PRODUCER_EPOCH |
//! | has a newer epoch, and begins at 0 | appended; the five are forgotten |
//! | has a newer epoch, and begins elsewhere | OUT_OF_ORDER_SEQUENCE_NUMBER |
//! | begins right after the last one (0 follows 2^31-1) | appended |
//! | begins anywhere else, also if it is older than the five | OUT_OF_ORDER_SEQUENCE_NUMBER |
//! | is of a producer that is not known | appended, whatever its sequence |
//!
//! Nothing of this is sent between brokers: followers read it off the batches they copy, without checks, and so know it
//! when they come to lead. What is cut off the log is forgotten; a restarted broker reads its log again.
//!
//! A transactional batch opens a transaction, and a marker ends it. Consumers that read committed data stop at the first
//! transaction that is open, or whose marker is not below the high watermark yet.
//!
//! Kafka's `ProducerStateManager`, `ProducerStateEntry`, `ProducerAppendInfo`. What we leave out: the transaction
//! coordinator, which alone writes markers, and the verification of a transaction's first write (KIP-890); the index of
//! aborted transactions; snapshot files: state is read from the whole log, and after a clean stop only what a snapshot
//! would have held is kept.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use super::error::ErrorCode;
use super::ids::Offset;
use super::record::{Batch, ControlType, NO_PRODUCER_EPOCH, NO_SEQUENCE, sequence_after, sequence_before};
use crate::time::Duration;

/// Batches remembered of each producer (`NUM_BATCHES_TO_RETAIN`).
pub const REMEMBERED_BATCHES: usize = 5;

/// The producers of one replica's log.
#[derive(Clone, Debug, Default)]
pub struct ProducerState {
    producers: BTreeMap<i64, ProducerEntry>,
    /// Open transactions: the producer, by the transaction's first offset.
    ongoing: BTreeMap<Offset, i64>,
    /// Ended ones whose marker is not below the high watermark: the marker's offset, by the transaction's first.
    unreplicated: BTreeMap<Offset, Offset>,
}

/// What is known of one producer.
#[derive(Clone, Debug)]
pub struct ProducerEntry {
    pub epoch: i16,
    /// Of the transaction coordinator that wrote its last marker.
    pub coordinator_epoch: i32,
    /// When its last batch or marker was written, in milliseconds since 1970.
    pub last_timestamp: i64,
    /// Where its open transaction begins.
    pub transaction_first_offset: Option<Offset>,
    /// The last ones of this epoch, oldest first.
    batches: VecDeque<RememberedBatch>,
    /// Of its last batch or marker.
    last_offset: Offset,
}

/// A batch that would be recognised (`BatchMetadata`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RememberedBatch {
    pub last_sequence: i32,
    pub last_offset: Offset,
    /// Its records, less one.
    pub offset_delta: i32,
    pub timestamp: i64,
}

/// Where a batch comes from, and so what is asked of it (`AppendOrigin`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A producer: epoch and sequence are checked.
    Client,
    /// The transaction coordinator. `strict` is transaction version 2: each marker bumps the epoch.
    Coordinator { strict: bool },
    /// The leader: it has checked them.
    Replication,
}

/// Why a batch is not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub error: ErrorCode,
    /// The sequence that would have been right, where it is the sequence that is wrong.
    pub expected: Option<i32>,
}

/// A transaction that a marker has ended (`CompletedTxn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletedTransaction {
    pub producer_id: i64,
    pub first_offset: Offset,
    /// The marker's.
    pub last_offset: Offset,
    pub aborted: bool,
}

impl ProducerState {
    /// What a log tells, read from its beginning.
    pub fn of_log<'a>(batches: impl Iterator<Item = &'a Batch>, high_watermark: Offset) -> Self {
        let mut state = Self::default();
        batches.for_each(|batch| state.append(batch));
        state.high_watermark_moved(high_watermark);
        state
    }

    /// What is known of a producer.
    pub fn entry(&self, producer_id: i64) -> Option<&ProducerEntry> {
        self.producers.get(&producer_id)
    }

    /// The remembered batch that this one repeats (`findDuplicateBatch`).
    pub fn find_duplicate(&self, batch: &Batch) -> Option<&RememberedBatch> {
        let entry = self.producers.get(&batch.producer_id).filter(|entry| entry.epoch == batch.producer_epoch)?;
        let range = (batch.base_sequence, batch.last_sequence());
        entry.batches.iter().find(|known| (known.first_sequence(), known.last_sequence) == range)
    }

    /// Whether a batch may be appended (`ProducerAppendInfo`). Whether it is a duplicate is asked before.
    pub fn check(&self, batch: &Batch, origin: AppendOrigin) -> Result<(), Refusal> {
        if !batch.has_producer_id() {
            return Ok(());
        }
        let entry = self.producers.get(&batch.producer_id);
        if batch.is_control() {
            return check_marker(entry, batch, origin);
        }
        if origin != AppendOrigin::Replication && entry.is_some_and(|entry| batch.producer_epoch < entry.epoch) {
            return refuse(ErrorCode::InvalidProducerEpoch);
        }
        if origin == AppendOrigin::Client {
            check_sequence(entry, batch)?;
        }
        let in_transaction = entry.is_some_and(|entry| entry.transaction_first_offset.is_some());
        if in_transaction && !batch.is_transactional() {
            return refuse(ErrorCode::InvalidTxnState);
        }
        Ok(())
    }

    /// Takes note of a batch that is in the log now.
    pub fn append(&mut self, batch: &Batch) {
        if let Some(completed) = self.note(batch) {
            self.complete(completed);
        }
    }

    /// Takes note of a batch; the transaction that it ends is still to be [`complete`](Self::complete)d.
    pub fn note(&mut self, batch: &Batch) -> Option<CompletedTransaction> {
        if !batch.has_producer_id() {
            return None;
        }
        if batch.is_control() {
            return self.note_marker(batch);
        }
        let entry = self.producers.entry(batch.producer_id).or_default();
        entry.add(batch);
        if batch.is_transactional() && entry.transaction_first_offset.is_none() {
            entry.transaction_first_offset = Some(batch.base_offset);
            self.ongoing.insert(batch.base_offset, batch.producer_id);
        }
        None
    }

    fn note_marker(&mut self, marker: &Batch) -> Option<CompletedTransaction> {
        let (kind, coordinator_epoch) = end_of_transaction(marker)?;
        let entry = self.producers.entry(marker.producer_id).or_default();
        entry.begin_epoch(marker.producer_epoch);
        entry.coordinator_epoch = coordinator_epoch;
        entry.last_timestamp = marker.max_timestamp;
        entry.last_offset = marker.last_offset();
        let first_offset = entry.transaction_first_offset.take()?;
        Some(CompletedTransaction {
            producer_id: marker.producer_id,
            first_offset,
            last_offset: marker.last_offset(),
            aborted: kind == ControlType::Abort,
        })
    }

    /// A transaction is over; it holds readers of committed data back until the high watermark has passed its marker.
    pub fn complete(&mut self, transaction: CompletedTransaction) {
        if self.ongoing.remove(&transaction.first_offset).is_some() {
            self.unreplicated.insert(transaction.first_offset, transaction.last_offset);
        }
    }

    /// What is below the high watermark is decided.
    pub fn high_watermark_moved(&mut self, high_watermark: Offset) {
        if !self.unreplicated.is_empty() {
            self.unreplicated.retain(|_, last_offset| *last_offset >= high_watermark);
        }
    }

    /// Where the first transaction begins that is open, or whose end is not certain (`firstUnstableOffset`).
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        let first_ended = self.unreplicated.keys().next().copied();
        let first_open = self.ongoing.keys().next().copied();
        first_ended.into_iter().chain(first_open).min()
    }

    /// The log was cut off at `end`. Producers that had written beyond are forgotten, and must be read from the log again:
    /// these are they. What is known of the others holds.
    pub fn truncate(&mut self, end: Offset) -> BTreeSet<i64> {
        let cut: BTreeSet<i64> = self
            .producers
            .iter()
            .filter(|(_, entry)| entry.last_offset >= end)
            .map(|(producer_id, _)| *producer_id)
            .collect();
        self.forget(&cut);
        self.unreplicated.retain(|_, last_offset| *last_offset < end);
        cut
    }

    /// What a snapshot file of the log's `range` gives back (`truncateAndReload`): only the last batch of each producer,
    /// and nobody who has been silent for `expiration`.
    pub fn reload(&mut self, range: Range<Offset>, now_ms: i64, expiration: Duration) {
        self.remove_expired(now_ms, expiration);
        let outside = self.producers.iter().filter(|(_, entry)| !range.contains(&entry.last_offset));
        let outside: BTreeSet<i64> = outside.map(|(producer_id, _)| *producer_id).collect();
        self.forget(&outside);
        self.unreplicated.clear();
        for entry in self.producers.values_mut() {
            let older = entry.batches.len().saturating_sub(1);
            entry.batches.drain(..older);
        }
    }

    fn forget(&mut self, producers: &BTreeSet<i64>) {
        self.producers.retain(|producer_id, _| !producers.contains(producer_id));
        self.ongoing.retain(|_, producer_id| !producers.contains(producer_id));
    }

    /// Whether somebody has been silent for `expiration` (`producer.id.expiration.ms`).
    pub fn has_expired(&self, now_ms: i64, expiration: Duration) -> bool {
        self.producers.values().any(|entry| entry.is_expired(now_ms, expiration))
    }

    /// Forgets who has been silent for `expiration` and has no open transaction.
    pub fn remove_expired(&mut self, now_ms: i64, expiration: Duration) {
        self.producers.retain(|_, entry| !entry.is_expired(now_ms, expiration));
    }
}

impl Default for ProducerEntry {
    fn default() -> Self {
        Self {
            epoch: NO_PRODUCER_EPOCH,
            coordinator_epoch: -1,
            last_timestamp: -1,
            transaction_first_offset: None,
            batches: VecDeque::with_capacity(REMEMBERED_BATCHES),
            last_offset: -1,
        }
    }
}

impl ProducerEntry {
    /// The first sequence that would be recognised; -1 where none would.
    pub fn first_sequence(&self) -> i32 {
        self.batches.front().map_or(NO_SEQUENCE, RememberedBatch::first_sequence)
    }

    /// The last one; -1 where there is none.
    pub fn last_sequence(&self) -> i32 {
        self.batches.back().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    /// Offset of the last record of this epoch; -1 where there is none.
    pub fn last_data_offset(&self) -> Offset {
        self.batches.back().map_or(-1, |batch| batch.last_offset)
    }

    /// The batches that would be recognised, oldest first.
    pub fn batches(&self) -> impl ExactSizeIterator<Item = &RememberedBatch> {
        self.batches.iter()
    }

    fn add(&mut self, batch: &Batch) {
        self.begin_epoch(batch.producer_epoch);
        if self.batches.len() == REMEMBERED_BATCHES {
            self.batches.pop_front();
        }
        self.batches.push_back(RememberedBatch {
            last_sequence: batch.last_sequence(),
            last_offset: batch.last_offset(),
            offset_delta: batch.last_offset_delta,
            timestamp: batch.max_timestamp,
        });
        self.last_timestamp = batch.max_timestamp;
        self.last_offset = batch.last_offset();
    }

    fn begin_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }

    fn is_expired(&self, now_ms: i64, expiration: Duration) -> bool {
        let silent_ms = now_ms.saturating_sub(self.last_timestamp);
        self.transaction_first_offset.is_none()
            && u64::try_from(silent_ms).is_ok_and(|silent_ms| silent_ms >= expiration.as_millis())
    }
}

impl RememberedBatch {
    pub fn first_sequence(&self) -> i32 {
        sequence_before(self.last_sequence, self.offset_delta)
    }

    pub fn first_offset(&self) -> Offset {
        self.last_offset - Offset::from(self.offset_delta)
    }
}

/// `checkSequence`: whether a producer's batch is the next one.
fn check_sequence(entry: Option<&ProducerEntry>, batch: &Batch) -> Result<(), Refusal> {
    // Nothing is known of it, perhaps because everything it wrote was deleted.
    let Some(entry) = entry else { return Ok(()) };
    let expected = if batch.producer_epoch == entry.epoch { sequence_after(entry.last_sequence(), 1) } else { 0 };
    if batch.base_sequence == expected {
        return Ok(());
    }
    Err(Refusal { error: ErrorCode::OutOfOrderSequenceNumber, expected: Some(expected) })
}

/// `appendEndTxnMarker`: whether a marker may end the producer's transaction.
fn check_marker(entry: Option<&ProducerEntry>, marker: &Batch, origin: AppendOrigin) -> Result<(), Refusal> {
    let (Some(entry), AppendOrigin::Client | AppendOrigin::Coordinator { .. }) = (entry, origin) else {
        return Ok(());
    };
    let epoch = marker.producer_epoch;
    let ended = entry.transaction_first_offset.is_none() || epoch == i16::MAX;
    // The same marker once more, because its answer was lost, does no harm (KAFKA-19999).
    let repeats = epoch == entry.epoch && !ended && origin == AppendOrigin::Coordinator { strict: true };
    if epoch < entry.epoch || repeats {
        return refuse(ErrorCode::InvalidProducerEpoch);
    }
    if end_of_transaction(marker).is_some_and(|(_, coordinator_epoch)| coordinator_epoch < entry.coordinator_epoch) {
        return refuse(ErrorCode::TransactionCoordinatorFenced);
    }
    Ok(())
}

/// What a marker says: commit or abort, and the coordinator's epoch. `None` for other control batches.
fn end_of_transaction(marker: &Batch) -> Option<(ControlType, i32)> {
    let (kind, value) = marker.control()?;
    if !matches!(kind, ControlType::Abort | ControlType::Commit) {
        return None;
    }
    let epoch = value.get(2..6)?.first_chunk::<4>()?;
    Some((kind, i32::from_be_bytes(*epoch)))
}

fn refuse(error: ErrorCode) -> Result<(), Refusal> {
    Err(Refusal { error, expected: None })
}

#[cfg(test)]
mod tests;
