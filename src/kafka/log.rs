//! The log of one replica: batches, one after another, each from where the last one ended (`UnifiedLog`).
//!
//! It is cut into *segments*, each a file with two sparse indexes ([`segment`]). Records go to the end of the last one,
//! the active segment; a new one begins when it is full, too old, or its index is. Old segments go as a whole
//! ([`retention`]), and the log start offset with them.
//!
//! An append reaches the page cache and no further. What is on the disk ends at [`Log::flushed`]: the operating system
//! writes its dirty pages back in its own time, and Kafka itself forces a segment to the disk once the next one has
//! begun. From [`Log::recovery_point`] on the log is read again after an unclean stop.
//!
//! Batches sit in chunks that clones share, so that a snapshot of the world costs a few pointers; the chunk at the end is
//! copied when one of the clones appends. A chunk never holds batches of two segments.
//!
//! What we leave out: compaction, transaction indexes, the jitter of `segment.ms`, files that wait for
//! `file.delete.delay.ms`.

mod dump;
mod flush;
mod retention;
mod segment;
#[cfg(test)]
mod tests;

pub use dump::{dump_index, dump_log, dump_time_index};
pub use retention::Retention;
pub use segment::{OffsetEntry, Segment, SegmentLimits, TimeEntry};

use std::rc::Rc;

use super::epochs::EpochCache;
use super::ids::{LeaderEpoch, Offset, Origin};
use super::record::Batch;
use crate::time::Instant;

/// Batches in a chunk. Small enough to copy on the first append after a snapshot, large enough to make the list short.
const CHUNK: usize = 64;

/// An append-only sequence of batches that can be cut off at its end.
#[derive(Clone, Debug)]
pub struct Log {
    chunks: Vec<Rc<Chunk>>,
    /// Oldest first. The last one is the active segment; there is always one.
    segments: Vec<Segment>,
    limits: SegmentLimits,
    start: Offset,
    end: Offset,
    epochs: EpochCache,
    bytes: u64,
    /// Bytes of all appends there ever were.
    written: u64,
    flushed: Offset,
    recovery_point: Offset,
    last_flush: Instant,
    /// Not in Kafka: which application records went with deleted segments, for the books.
    retired: Vec<Origin>,
}

/// Batches that follow each other in one segment, and the index entries that were made for them.
#[derive(Clone, Debug, Default)]
struct Chunk {
    batches: Vec<Batch>,
    /// Where in the segment's file the first batch begins.
    position: u64,
    offsets: Vec<OffsetEntry>,
    times: Vec<TimeEntry>,
}

impl Default for Log {
    fn default() -> Self {
        Self::starting_at(0)
    }
}

impl Log {
    /// An empty log whose first record will have this offset.
    fn starting_at(start: Offset) -> Self {
        Self {
            chunks: Vec::new(),
            segments: vec![Segment::new(start)],
            limits: SegmentLimits::default(),
            start,
            end: start,
            epochs: EpochCache::default(),
            bytes: 0,
            written: 0,
            flushed: start,
            recovery_point: start,
            last_flush: Instant::ZERO,
            retired: Vec::new(),
        }
    }

    /// The settings of its topic, from the next append on.
    pub fn set_limits(&mut self, limits: SegmentLimits) {
        self.limits = limits;
    }

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

    /// Bytes ever appended, those included that are gone again.
    pub fn written(&self) -> u64 {
        self.written
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
        self.chunks.iter().flat_map(|chunk| chunk.batches.iter())
    }

    /// Every segment, oldest first; the last one is the active segment.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The segment that is written to.
    pub fn active_segment(&self) -> &Segment {
        self.segments.last().expect("a log has an active segment")
    }

    /// Every batch with a record at `from` or later, oldest first.
    pub fn batches_from(&self, from: Offset) -> impl Iterator<Item = &Batch> {
        let first = self.chunk_of(from);
        let skip = self.chunks.get(first).map_or(0, |chunk| chunk.place_of(from));
        self.chunks[first.min(self.chunks.len())..].iter().flat_map(|chunk| chunk.batches.iter()).skip(skip)
    }

    /// The first chunk with a record at `offset` or later.
    fn chunk_of(&self, offset: Offset) -> usize {
        self.chunks.partition_point(|chunk| chunk.next_offset().is_none_or(|next| next <= offset))
    }

    /// The segment that holds `offset`, or would: the one with the greatest base that is not beyond it.
    fn segment_of(&self, offset: Offset) -> usize {
        self.segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1)
    }

    /// The base offset of the segment that holds `offset`, or would (`LogOffsetMetadata.segmentBaseOffset`).
    pub fn segment_base(&self, offset: Offset) -> Offset {
        self.segments[self.segment_of(offset)].base_offset
    }

    /// Bytes of the batches from the one that holds `from` up to, not including, the one that holds `to`.
    pub fn bytes_between(&self, from: Offset, to: Offset) -> u64 {
        self.bytes_before(to).saturating_sub(self.bytes_before(from))
    }

    /// Bytes that lie before the batch that holds `offset`.
    fn bytes_before(&self, offset: Offset) -> u64 {
        let Some(chunk) = self.chunks.get(self.chunk_of(offset)) else { return self.bytes };
        let within: u64 = chunk.batches[..chunk.place_of(offset)].iter().map(Batch::size).sum();
        let segment = chunk.batches.first().map_or(0, |first| self.segment_of(first.base_offset));
        let earlier: u64 = self.segments[..segment].iter().map(|segment| segment.bytes).sum();
        earlier + chunk.position + within
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
        if self.active_segment().must_roll(&batch, &self.limits) {
            self.roll();
        }
        let Some(active) = self.segments.last_mut() else { return };
        self.epochs.assign(batch.leader_epoch, batch.base_offset);
        self.end = batch.next_offset();
        self.bytes += batch.size();
        self.written += batch.size();
        let fits = |chunk: &&mut Rc<Chunk>| active.bytes > 0 && chunk.batches.len() < CHUNK;
        match self.chunks.last_mut().filter(fits) {
            Some(chunk) => {
                let chunk = Rc::make_mut(chunk);
                active.append(&batch, chunk, self.limits.index_interval);
                chunk.batches.push(batch);
            }
            None => {
                let mut chunk =
                    Chunk { batches: Vec::with_capacity(CHUNK), position: active.bytes, ..Chunk::default() };
                active.append(&batch, &mut chunk, self.limits.index_interval);
                chunk.batches.push(batch);
                self.chunks.push(Rc::new(chunk));
            }
        }
    }

    /// Closes the active segment and begins another at the log end. An empty one stays (`UnifiedLog.roll`).
    fn roll(&mut self) {
        let end = self.end;
        let Some(active) = self.segments.last_mut().filter(|active| active.bytes > 0) else { return };
        if let Some(chunk) = self.chunks.last_mut() {
            active.add_time_entry(Rc::make_mut(chunk));
        }
        self.segments.push(Segment::new(end));
    }

    /// Batches from the one that holds `from` up to, not including, the first that reaches beyond `up_to`; at most
    /// `max_bytes`, but always one when `at_least_one`; and of one segment only (`LocalLog.read`).
    pub fn read(&self, from: Offset, up_to: Offset, max_bytes: u64, at_least_one: bool) -> Vec<Batch> {
        let mut found = Vec::new();
        let mut left = max_bytes;
        for batch in self.readable(from).take_while(|batch| batch.next_offset() <= up_to) {
            let size = batch.size();
            if size > left && !(at_least_one && found.is_empty()) {
                break;
            }
            left = left.saturating_sub(size);
            found.push(batch.clone());
        }
        found
    }

    /// The batches that one read can return: from the one that holds `from` to the end of its segment.
    pub fn readable(&self, from: Offset) -> impl Iterator<Item = &Batch> {
        let next = self.segments.get(self.segment_of(from) + 1).map(|segment| segment.base_offset);
        self.batches_from(from).take_while(move |batch| next.is_none_or(|next| batch.base_offset < next))
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
            if chunk.batches.first().is_some_and(|batch| batch.base_offset >= to) {
                self.bytes -= chunk.bytes();
                self.chunks.pop();
                continue;
            }
            let keep = chunk.batches.partition_point(|batch| batch.next_offset() <= to);
            if keep < chunk.batches.len() {
                self.bytes -= chunk.batches[keep..].iter().map(Batch::size).sum::<u64>();
                Rc::make_mut(chunk).truncate(keep);
            }
            break;
        }
        let last = self.chunks.last().and_then(|chunk| chunk.next_offset());
        self.end = last.map_or(self.start, |end| end.max(self.start));
        self.epochs.truncate_from_end(self.end);
        self.flushed = self.flushed.min(self.end);
        self.recovery_point = self.recovery_point.min(self.end);
        self.reopen_active_segment();
        self.end
    }

    /// After a cut the segment that holds the new end is the active one again; what is known of it is counted anew.
    fn reopen_active_segment(&mut self) {
        let keep = self.segment_of(self.end) + 1;
        self.segments.truncate(keep);
        let Some(active) = self.segments.last_mut() else { return };
        let mut again = Segment::new(active.base_offset);
        let own =
            |chunk: &&Rc<Chunk>| chunk.batches.first().is_some_and(|first| first.base_offset >= again.base_offset);
        let first = self.chunks.len() - self.chunks.iter().rev().take_while(own).count();
        for chunk in &self.chunks[first..] {
            for batch in &chunk.batches {
                if batch.max_timestamp > again.largest.timestamp {
                    again.largest = TimeEntry { timestamp: batch.max_timestamp, offset: batch.last_offset() };
                }
                again.bytes += batch.size();
            }
            let indexed = chunk.offsets.last().map_or(0, |entry| entry.position);
            again.bytes_since_index_entry = again.bytes - indexed.min(again.bytes);
            again.offset_entries += chunk.offsets.len() as u64;
            again.time_entries += chunk.times.len() as u64;
            again.last_time_entry = chunk.times.last().copied().or(again.last_time_entry);
        }
        let oldest = self.chunks.get(first).and_then(|chunk| chunk.batches.first());
        again.first_timestamp = oldest.map(|batch| batch.max_timestamp).filter(|timestamp| *timestamp >= 0);
        *active = again;
    }

    /// Drops everything and begins anew at `start` (a follower whose leader no longer has what it lacks).
    pub fn truncate_fully_and_start_at(&mut self, start: Offset) {
        *self = Self {
            limits: self.limits,
            last_flush: self.last_flush,
            written: self.written,
            retired: std::mem::take(&mut self.retired),
            ..Self::starting_at(start)
        };
    }

    /// The batch that holds the record at `offset`, if there is one.
    pub fn batch_at(&self, offset: Offset) -> Option<&Batch> {
        self.batches_from(offset).next().filter(|batch| batch.base_offset <= offset)
    }

    /// The first record that is not older than `timestamp`, and its timestamp (`UnifiedLog.fetchOffsetByTimestamp`): the
    /// first segment that has one so young, the time index there, and a walk.
    pub fn offset_for_time(&self, timestamp: i64) -> Option<TimeEntry> {
        let segment = self.segments.iter().find(|segment| segment.largest.timestamp >= timestamp)?;
        let first = self.chunk_of(segment.base_offset);
        let entries = self.chunks[first..].iter().flat_map(|chunk| chunk.times.iter());
        let floor = entries.take_while(|entry| entry.timestamp <= timestamp).last();
        let from = floor.map_or(segment.base_offset, |entry| entry.offset).max(segment.base_offset).max(self.start);
        let young = self.batches_from(from).filter(|batch| batch.max_timestamp >= timestamp);
        let mut records = young.filter_map(|batch| batch.records().ok()).flatten();
        let found = records.find(|record| record.timestamp >= timestamp && record.offset >= self.start)?;
        Some(TimeEntry { timestamp: found.timestamp, offset: found.offset })
    }

    /// The first of the records with the largest timestamp (`OffsetSpec.maxTimestamp`).
    pub fn max_timestamp(&self) -> Option<TimeEntry> {
        let largest = self.segments.iter().map(|segment| segment.largest.timestamp).max()?;
        (largest >= 0).then(|| self.offset_for_time(largest)).flatten()
    }

    /// The offset index of the segment that begins at `base_offset`.
    pub fn offset_index(&self, base_offset: Offset) -> impl Iterator<Item = &OffsetEntry> {
        self.chunks_of_segment(base_offset).flat_map(|chunk| chunk.offsets.iter())
    }

    /// The time index of the segment that begins at `base_offset`.
    pub fn time_index(&self, base_offset: Offset) -> impl Iterator<Item = &TimeEntry> {
        self.chunks_of_segment(base_offset).flat_map(|chunk| chunk.times.iter())
    }

    /// The batches of the segment that begins at `base_offset`.
    pub fn segment_batches(&self, base_offset: Offset) -> impl Iterator<Item = &Batch> {
        self.chunks_of_segment(base_offset).flat_map(|chunk| chunk.batches.iter())
    }

    fn chunks_of_segment(&self, base_offset: Offset) -> impl Iterator<Item = &Rc<Chunk>> {
        let next = self.segments.iter().map(|segment| segment.base_offset).find(|base| *base > base_offset);
        let from = self.chunks.partition_point(|chunk| chunk.base_offset() < base_offset);
        self.chunks[from..].iter().take_while(move |chunk| next.is_none_or(|next| chunk.base_offset() < next))
    }
}

impl Chunk {
    fn base_offset(&self) -> Offset {
        self.batches.first().map_or(Offset::MAX, |batch| batch.base_offset)
    }

    /// The offset after its last record.
    fn next_offset(&self) -> Option<Offset> {
        self.batches.last().map(Batch::next_offset)
    }

    /// Its first batch with a record at `offset` or later.
    fn place_of(&self, offset: Offset) -> usize {
        self.batches.partition_point(|batch| batch.next_offset() <= offset)
    }

    fn bytes(&self) -> u64 {
        self.batches.iter().map(Batch::size).sum()
    }

    /// Keeps the first batches, and the index entries that speak of them.
    fn truncate(&mut self, keep: usize) {
        self.batches.truncate(keep);
        let end = self.next_offset().unwrap_or(Offset::MIN);
        self.offsets.retain(|entry| entry.offset < end);
        self.times.retain(|entry| entry.offset < end);
    }
}
