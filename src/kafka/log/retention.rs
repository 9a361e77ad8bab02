//! Old segments go: by age, by size, and where the log start has passed them (`UnifiedLog.deleteOldSegments`).

use super::Log;
use crate::kafka::ids::{Offset, Origin};

/// How much of a log is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// `retention.ms`; `None` keeps for ever.
    pub age_ms: Option<i64>,
    /// `retention.bytes`; `None` knows no limit.
    pub bytes: Option<u64>,
}

impl Log {
    /// Deletes the oldest segments that need not be kept, and moves the log start to what is left. Returns whether it
    /// moved.
    ///
    /// Only whole segments go, oldest first, up to the first that must stay, and none that reaches beyond the high
    /// watermark. So data outlives `retention.ms`, and the log never falls below `retention.bytes`. The active segment
    /// may go like any other; a new one is begun first.
    pub fn delete_old_segments(&mut self, now_ms: i64, retention: &Retention, high_watermark: Offset) -> bool {
        let start = self.start;
        let mut surplus = retention.bytes.map_or(0, |limit| self.bytes.saturating_sub(limit));
        let mut gone = 0;
        let mut by_size = true;
        for (segment, next) in self.segments.iter().zip(1..) {
            let next = self.segments.get(next).map(|next| next.base_offset);
            if segment.bytes == 0 || high_watermark < next.unwrap_or(self.end) {
                break;
            }
            let before_start = next.is_some_and(|next| next <= self.start);
            // The three rules take turns in Kafka, each from the oldest segment on; the outcome is the same.
            by_size &= segment.bytes <= surplus;
            let newest = segment.largest.timestamp;
            let too_old = newest >= 0 && retention.age_ms.is_some_and(|age| now_ms - newest > age);
            if !before_start && !by_size && !too_old {
                break;
            }
            surplus = surplus.saturating_sub(segment.bytes);
            gone += 1;
        }
        if gone == 0 {
            return false;
        }
        if gone == self.segments.len() {
            self.roll();
        }
        let first = self.segments[gone].base_offset;
        self.drop_segments(gone, first);
        self.advance_start(first);
        self.start > start
    }

    fn drop_segments(&mut self, segments: usize, first_left: Offset) {
        self.bytes -= self.segments.drain(..segments).map(|segment| segment.bytes).sum::<u64>();
        let chunks = self.chunks.partition_point(|chunk| chunk.base_offset() < first_left);
        for chunk in self.chunks.drain(..chunks) {
            for origin in chunk.batches.iter().filter_map(|batch| batch.origin) {
                retire(&mut self.retired, origin);
            }
        }
        self.flushed = self.flushed.max(first_left);
        self.recovery_point = self.recovery_point.max(first_left);
    }

    /// Records before `to` are no longer in the log (`maybeIncrementLogStartOffset`); their segments go with the next
    /// retention pass. It never moves back. Returns whether it moved.
    pub fn advance_start(&mut self, to: Offset) -> bool {
        if to <= self.start || to > self.end {
            return false;
        }
        self.start = to;
        self.epochs.truncate_from_start(to);
        true
    }

    /// Which application records the log start has passed, whether their segments are gone or will be.
    pub fn retired(&self) -> impl Iterator<Item = Origin> {
        let waiting = self.batches().take_while(|batch| batch.next_offset() <= self.start);
        self.retired.iter().copied().chain(waiting.filter_map(|batch| batch.origin))
    }
}

/// Adds to the records of the same producer that they follow, so that the list stays short.
fn retire(retired: &mut Vec<Origin>, origin: Origin) {
    let follows =
        |known: &&mut Origin| known.producer == origin.producer && known.first + u64::from(known.count) == origin.first;
    match retired.iter_mut().find(follows).filter(|known| known.count.checked_add(origin.count).is_some()) {
        Some(known) => known.count += origin.count,
        None => retired.push(origin),
    }
}
