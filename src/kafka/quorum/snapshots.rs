//! When a replica of the metadata log takes a snapshot (KIP-630, `SnapshotGenerator`): every voter and every broker for
//! itself, of what is committed, after so many bytes of records or so much time since the last one.

use super::super::config::BrokerConfig;
use super::super::effects::Effects;
use super::super::fact::Fact;
use super::super::ids::Offset;
use super::super::metadata::MetadataBatch;
use super::log::MetadataLog;
use crate::time::{Duration, Instant};

/// How long ago the last snapshot was, in time and in bytes.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotClock {
    max_bytes: u64,
    interval: Duration,
    max_retention_bytes: u64,
    bytes: u64,
    counted_to: Offset,
    since: Instant,
}

impl SnapshotClock {
    /// What `log` holds when the process starts.
    pub fn new(config: &BrokerConfig, log: &MetadataLog) -> Self {
        Self {
            max_bytes: config.metadata_snapshot_bytes,
            interval: config.metadata_snapshot_interval,
            max_retention_bytes: config.metadata_max_retention_bytes,
            bytes: 0,
            counted_to: log.snapshot_end(),
            since: Instant::ZERO,
        }
    }

    /// The process starts.
    pub fn start(&mut self, now: Instant) {
        self.since = now;
    }

    /// A snapshot up to `end` is there.
    pub fn restart(&mut self, now: Instant, end: Offset) {
        (self.bytes, self.counted_to, self.since) = (0, end, now);
    }

    /// Everything before `offset` is committed: takes a snapshot if it is time, and deletes what need not be kept.
    pub fn after_commit(&mut self, now: Instant, offset: Offset, log: &mut MetadataLog, out: &mut Effects) {
        self.bytes += log.read(self.counted_to, offset).iter().map(MetadataBatch::bytes).sum::<u64>();
        self.counted_to = self.counted_to.max(offset);
        let is_old = !self.interval.is_zero() && now.since(self.since) >= self.interval;
        if self.bytes < self.max_bytes && !is_old {
            return;
        }
        if let Some(records) = log.take_snapshot(offset) {
            out.note(Fact::SnapshotTaken { end: offset, records });
            log.clean(self.max_retention_bytes);
        }
        self.restart(now, offset);
    }
}
