//! One segment of a log: what is known of its `.log` file, and its sparse indexes (`LogSegment`, `OffsetIndex`,
//! `TimeIndex`).
//!
//! An index has no entry for every batch, but one after each `index.interval.bytes` of log. A lookup takes the last entry
//! that is not beyond what is wanted, and walks from there.

use super::Chunk;
use crate::kafka::ids::Offset;
use crate::kafka::record::Batch;

/// Bytes of one entry of an offset index: relative offset and file position.
const OFFSET_ENTRY: u64 = 8;
/// Bytes of one entry of a time index: timestamp and relative offset.
const TIME_ENTRY: u64 = 12;

/// One segment. Its batches are in the log's chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub(super) base_offset: Offset,
    pub(super) bytes: u64,
    /// Of its first batch, by which its age is counted (`rollingBasedTimestamp`); `None` while it is empty.
    pub(super) first_timestamp: Option<i64>,
    /// The largest timestamp and the last offset of the batch that has it; -1 where there is none.
    pub(super) largest: TimeEntry,
    pub(super) last_time_entry: Option<TimeEntry>,
    pub(super) bytes_since_index_entry: u64,
    pub(super) offset_entries: u64,
    pub(super) time_entries: u64,
}

/// An entry of an offset index: the last offset of a batch, and where in the file that batch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetEntry {
    pub offset: Offset,
    pub position: u64,
}

/// An entry of a time index: the largest timestamp so far, and the last offset of the batch that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeEntry {
    pub timestamp: i64,
    pub offset: Offset,
}

/// When a segment is full, and how dense its indexes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentLimits {
    /// `segment.bytes`
    pub bytes: u64,
    /// `segment.ms`
    pub age_ms: i64,
    /// `index.interval.bytes`
    pub index_interval: u64,
    /// `segment.index.bytes`
    pub index_bytes: u64,
}

impl Segment {
    /// An empty segment whose first record will have this offset.
    pub fn new(base_offset: Offset) -> Self {
        Self {
            base_offset,
            bytes: 0,
            first_timestamp: None,
            largest: TimeEntry { timestamp: -1, offset: -1 },
            last_time_entry: None,
            bytes_since_index_entry: 0,
            offset_entries: 0,
            time_entries: 0,
        }
    }

    /// Offset of the first record; also the name of its files.
    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// Size of its `.log` file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether this batch has to go into a new segment (`LogSegment.shouldRoll`).
    pub(super) fn must_roll(&self, batch: &Batch, limits: &SegmentLimits) -> bool {
        let too_old = self.first_timestamp.is_some_and(|first| batch.max_timestamp - first > limits.age_ms);
        self.bytes + batch.size() > limits.bytes
            || too_old
            || self.offset_entries >= limits.index_bytes / OFFSET_ENTRY
            || self.time_entries + 1 >= limits.index_bytes / TIME_ENTRY
            || batch.last_offset() - self.base_offset > Offset::from(i32::MAX)
    }

    /// A batch goes to its end (`LogSegment.append`): the entries are made before the batch is counted.
    pub(super) fn append(&mut self, batch: &Batch, chunk: &mut Chunk, index_interval: u64) {
        if self.bytes == 0 {
            self.first_timestamp = (batch.max_timestamp >= 0).then_some(batch.max_timestamp);
        }
        if batch.max_timestamp > self.largest.timestamp {
            self.largest = TimeEntry { timestamp: batch.max_timestamp, offset: batch.last_offset() };
        }
        if self.bytes_since_index_entry > index_interval {
            chunk.offsets.push(OffsetEntry { offset: batch.last_offset(), position: self.bytes });
            self.offset_entries += 1;
            self.add_time_entry(chunk);
            self.bytes_since_index_entry = 0;
        }
        self.bytes += batch.size();
        self.bytes_since_index_entry += batch.size();
    }

    /// Time moves forward in a time index, so a largest timestamp that has an entry gets no other
    /// (`TimeIndex.maybeAppend`). A segment gets its last one when it is closed.
    pub(super) fn add_time_entry(&mut self, chunk: &mut Chunk) {
        let last = self.last_time_entry.map_or(-1, |entry| entry.timestamp);
        if self.largest.timestamp > last {
            chunk.times.push(self.largest);
            self.last_time_entry = Some(self.largest);
            self.time_entries += 1;
        }
    }
}

impl Default for SegmentLimits {
    /// Kafka's defaults: 1 GiB, a week, an entry each 4 KiB, 10 MiB of index.
    fn default() -> Self {
        Self { bytes: 1 << 30, age_ms: 604_800_000, index_interval: 4096, index_bytes: 10 << 20 }
    }
}
