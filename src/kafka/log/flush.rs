//! What of a log is on the disk, and what in the page cache alone.

use super::Log;
use crate::kafka::ids::Offset;
use crate::time::Instant;

impl Log {
    /// Records before this offset are on the disk. What lies behind it is gone when the machine loses its power.
    pub fn flushed(&self) -> Offset {
        self.flushed
    }

    /// Kafka itself has forced everything before this offset to the disk (`recoveryPoint`); the operating system may
    /// have written more.
    pub fn recovery_point(&self) -> Offset {
        self.recovery_point
    }

    /// The log is opened: it will have to be recovered from here on after an unclean stop.
    pub fn set_recovery_point(&mut self, to: Offset) {
        self.recovery_point = to;
    }

    /// When Kafka last forced it to the disk, or opened it.
    pub fn last_flush(&self) -> Instant {
        self.last_flush
    }

    /// Forces everything before `to` to the disk (`UnifiedLog.flush`). Returns what was not there yet, if anything.
    pub fn flush(&mut self, now: Instant, to: Offset) -> Option<(Offset, Offset)> {
        let to = to.min(self.end);
        self.last_flush = now;
        self.recovery_point = self.recovery_point.max(to);
        self.reach_disk(to)
    }

    /// The operating system writes back everything there is. Kafka does not know of it. Returns what was not on the disk
    /// yet, if anything.
    pub fn write_back(&mut self) -> Option<(Offset, Offset)> {
        self.reach_disk(self.end)
    }

    fn reach_disk(&mut self, to: Offset) -> Option<(Offset, Offset)> {
        let from = self.flushed;
        self.flushed = from.max(to);
        (self.flushed > from).then_some((from, self.flushed))
    }

    /// The machine's power went: so does what the page cache alone held. Returns what that was, if anything.
    ///
    /// Pages know nothing of batches: a batch that is there in part is cut off when the log is recovered.
    pub fn lose_unflushed(&mut self) -> Option<(Offset, Offset)> {
        let end = self.end;
        let left = self.truncate_to(self.flushed);
        (left < end).then_some((left, end))
    }

    /// Bytes that recovery has to read after an unclean stop: all segments from the one that holds `recovery_point` on
    /// (`LogLoader.recoverLog`).
    pub fn bytes_to_recover(&self, recovery_point: Offset) -> u64 {
        self.segments[self.segment_of(recovery_point)..].iter().map(|segment| segment.bytes).sum()
    }
}
