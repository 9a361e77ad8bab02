//! The log of one replica: batches, one after another, each from where the last one ended (`UnifiedLog`).
//!
//! Batches sit in chunks that clones share, so that a snapshot of the world costs a few pointers; the chunk at the end is
//! copied when one of the clones appends.
//!
//! What we leave out: segments and their indexes, flushing, retention and compaction; they come with storage.

use std::rc::Rc;

use super::epochs::EpochCache;
use super::ids::{LeaderEpoch, Offset};
use super::record::Batch;

/// Batches in a chunk. Small enough to copy on the first append after a snapshot, large enough to make the list short.
const CHUNK: usize = 64;

/// An append-only sequence of batches that can be cut off at its end.
#[derive(Clone, Debug, Default)]
pub struct Log {
    chunks: Vec<Rc<Vec<Batch>>>,
    start: Offset,
    end: Offset,
    epochs: EpochCache,
    bytes: u64,
}

impl Log {
    /// Offset of the first record (log start offset).
    pub fn start(&self) -> Offset {
        self.start
    }

    /// Offset that the next record will get (log end offset, LEO).
    pub fn end(&self) -> Offset {
        self.end
    }

    /// Bytes of all batches.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn epochs(&self) -> &EpochCache {
        &self.epochs
    }

    /// Epoch of the last record (`lastFetchedEpoch` of a follower's fetch).
    pub fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest()
    }

    /// Every batch, oldest first.
    pub fn batches(&self) -> impl DoubleEndedIterator<Item = &Batch> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// Every batch with a record at `from` or later, oldest first.
    pub fn batches_from(&self, from: Offset) -> impl Iterator<Item = &Batch> {
        let first = self.chunks.partition_point(|chunk| chunk.last().is_none_or(|batch| batch.next_offset() <= from));
        let skip = self.chunks.get(first).map_or(0, |chunk| chunk.partition_point(|batch| batch.next_offset() <= from));
        self.chunks[first.min(self.chunks.len())..].iter().flat_map(|chunk| chunk.iter()).skip(skip)
    }

    /// A new leader's epoch begins at the log end, even if it never writes.
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch) {
        self.epochs.assign(epoch, self.end);
    }

    /// Gives a batch its offsets and this leader's epoch, and appends it. Returns its first offset.
    pub fn append_as_leader(&mut self, mut batch: Batch, epoch: LeaderEpoch) -> Offset {
        batch.base_offset = self.end;
        batch.leader_epoch = epoch;
        let base_offset = batch.base_offset;
        self.append(batch);
        base_offset
    }

    /// Appends a batch as the leader has it. It must begin where this log ends.
    pub fn append_as_follower(&mut self, batch: Batch) {
        assert_eq!(batch.base_offset, self.end, "a follower's append leaves a gap");
        self.append(batch);
    }

    fn append(&mut self, batch: Batch) {
        self.epochs.assign(batch.leader_epoch, batch.base_offset);
        self.end = batch.next_offset();
        self.bytes += batch.size();
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => Rc::make_mut(chunk).push(batch),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(batch);
                self.chunks.push(Rc::new(chunk));
            }
        }
    }

    /// Batches from the one that holds `from` up to, not including, the first that reaches beyond `up_to`; at most
    /// `max_bytes`, but always one when `at_least_one`.
    pub fn read(&self, from: Offset, up_to: Offset, max_bytes: u64, at_least_one: bool) -> Vec<Batch> {
        let mut found = Vec::new();
        let mut left = max_bytes;
        for batch in self.batches_from(from).take_while(|batch| batch.next_offset() <= up_to) {
            let size = batch.size();
            if size > left && !(at_least_one && found.is_empty()) {
                break;
            }
            left = left.saturating_sub(size);
            found.push(batch.clone());
        }
        found
    }

    /// Bytes that a read from `from` to `up_to` could return; stops counting at `enough`.
    pub fn readable_bytes(&self, from: Offset, up_to: Offset, enough: u64) -> u64 {
        if from >= up_to {
            return 0;
        }
        let mut bytes = 0;
        for batch in self.batches_from(from).take_while(|batch| batch.next_offset() <= up_to) {
            bytes += batch.size();
            if bytes >= enough {
                break;
            }
        }
        bytes
    }

    /// Cuts off every batch that reaches to `to` or beyond. Returns the new end.
    pub fn truncate_to(&mut self, to: Offset) -> Offset {
        while let Some(chunk) = self.chunks.last_mut() {
            if chunk.first().is_some_and(|batch| batch.base_offset >= to) {
                self.bytes -= chunk.iter().map(Batch::size).sum::<u64>();
                self.chunks.pop();
                continue;
            }
            let keep = chunk.partition_point(|batch| batch.next_offset() <= to);
            if keep < chunk.len() {
                self.bytes -= chunk[keep..].iter().map(Batch::size).sum::<u64>();
                Rc::make_mut(chunk).truncate(keep);
            }
            break;
        }
        let last = self.chunks.last().and_then(|chunk| chunk.last());
        self.end = last.map_or(self.start, Batch::next_offset);
        self.epochs.truncate_from_end(self.end);
        self.end
    }

    /// Drops everything and begins anew at `start` (a follower whose leader no longer has what it lacks).
    pub fn truncate_fully_and_start_at(&mut self, start: Offset) {
        *self = Self { start, end: start, ..Self::default() };
    }

    /// The batch that holds the record at `offset`, if there is one.
    pub fn batch_at(&self, offset: Offset) -> Option<&Batch> {
        self.batches_from(offset).next().filter(|batch| batch.base_offset <= offset)
    }
}
