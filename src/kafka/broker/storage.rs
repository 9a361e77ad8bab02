//! The broker and its disk: flushing, retention, recovery, reads that the page cache cannot serve, and a disk that is
//! full (`LogManager`, `LogLoader`).
//!
//! Kafka itself forces records to the disk at three moments only: when a segment is closed, in the background; when the
//! process stops cleanly; and where `flush.messages` or `flush.ms` ask for it, which by default they do not. All else is
//! left to the operating system, and the safety of records to their replicas. The operating system's writer has a timer
//! of the broker's here, as no other process lives on the machine; what it did while the process was frozen or gone is
//! made up for afterwards.
//!
//! A log directory that can no longer be written is taken offline. There is one, so the broker halts
//! (`LogManager.handleLogDirFailure`), without a word to the controller: its session has to run out. With more than one
//! directory it would tell the controller in its heartbeats which replicas it has lost (KIP-858).
//!
//! What we leave out: several log directories, moving replicas between them, `log.dir.failure.timeout.ms`.

use std::collections::BTreeMap;

use super::{Broker, BrokerDisk};
use crate::kafka::config::{CleanupPolicy, Listeners, TopicConfig};
use crate::kafka::disk::{DIRTY_EXPIRES_AFTER, Disk, DiskChange, WRITE_BACK_INTERVAL};
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::Fact;
use crate::kafka::ids::{Node, Offset, TopicPartition};
use crate::kafka::log::{Log, Retention, SegmentLimits};
use crate::kafka::message::{
    DescribeLogDirsRequest, DescribeLogDirsResponse, DescribedReplica, FetchRequest, Request, Response,
};
use crate::kafka::purgatory::DelayedFetch;
use crate::time::{Duration, Instant};

/// To open the logs, however small they are.
const OPEN: Duration = Duration::millis(20);
/// To check a mebibyte of log in memory and make its indexes anew.
const CHECK_PER_MIB: Duration = Duration::millis(1);

/// What a broker remembers of its disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Storage {
    files: Files,
    /// How each log was when it was last looked at: bytes ever written, and the base of its active segment.
    seen: BTreeMap<TopicPartition, (u64, Offset)>,
    /// Fetches that wait for the disk.
    reads: BTreeMap<u64, DelayedFetch>,
    next_read: u64,
    /// Logs that are being recovered, with their recovery points.
    recovering: Vec<(TopicPartition, Offset)>,
}

/// The part of it that outlives the process.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    pub disk: Disk,
    /// `recovery-point-offset-checkpoint`.
    recovery_points: BTreeMap<TopicPartition, Offset>,
    /// Since when, by the operating system's writer, a log has pages that are not on the disk.
    dirty_since: BTreeMap<TopicPartition, Instant>,
    /// When that writer last looked.
    last_write_back: Instant,
}

impl Storage {
    pub fn new(files: Files) -> Self {
        Self { files, ..Self::default() }
    }

    pub fn into_files(self) -> Files {
        self.files
    }

    pub fn disk(&self) -> &Disk {
        &self.files.disk
    }

    pub fn disk_mut(&mut self) -> &mut Disk {
        &mut self.files.disk
    }

    /// A log was opened.
    pub fn opened(&mut self, partition: TopicPartition, log: &Log) {
        self.seen.insert(partition, (log.written(), log.active_segment().base_offset()));
    }

    /// A replica is gone, and its files with it.
    pub fn dropped(&mut self, partition: TopicPartition) {
        self.seen.remove(&partition);
        self.files.recovery_points.remove(&partition);
        self.files.dirty_since.remove(&partition);
        self.files.disk.forget(partition);
    }
}

impl Files {
    /// Makes up for what the operating system's writer did since it last looked.
    fn catch_up<'a>(
        &mut self,
        now: Instant,
        logs: impl Iterator<Item = (&'a TopicPartition, &'a mut Log)>,
    ) -> Vec<Fact> {
        let mut written = Vec::new();
        let next = self.last_write_back + WRITE_BACK_INTERVAL;
        for (partition, log) in logs.filter(|(_, log)| log.flushed() < log.end()) {
            let since = *self.dirty_since.entry(*partition).or_insert(next);
            if since + DIRTY_EXPIRES_AFTER <= now
                && let Some((from, to)) = log.write_back()
            {
                self.dirty_since.remove(partition);
                written.push(Fact::Flushed { partition: *partition, from, to });
            }
        }
        while self.last_write_back + WRITE_BACK_INTERVAL <= now {
            self.last_write_back += WRITE_BACK_INTERVAL;
        }
        written
    }
}

impl BrokerDisk {
    /// The machine loses its power at `now`: what only the page cache held is gone.
    ///
    /// The checkpoint files and the leader epochs are forced to the disk whenever they are written (`CheckpointFile`);
    /// what they say of records that are gone is corrected when the logs are opened.
    pub fn lose_power(&mut self, now: Instant) -> Vec<Fact> {
        let mut facts = self.files.catch_up(now, self.logs.iter_mut());
        for (partition, log) in &mut self.logs {
            let lost = log.lose_unflushed();
            facts.extend(lost.map(|(from, to)| Fact::UnflushedLost { partition: *partition, from, to }));
        }
        self.files.dirty_since.clear();
        self.files.disk.lose_power(self.logs.iter().map(|(partition, log)| (*partition, log.end())));
        facts
    }

    /// Does to the disk what a person asked for.
    pub fn change_disk(&mut self, change: DiskChange) {
        self.files.disk.change(change);
    }

    pub fn disk(&self) -> &Disk {
        &self.files.disk
    }
}

impl Broker {
    /// The process starts: what the operating system wrote meanwhile is on the disk.
    pub(super) fn start_storage(&mut self, now: Instant, out: &mut Effects) {
        for fact in self.storage.files.catch_up(now, self.unopened.iter_mut()) {
            out.note(fact);
        }
        self.storage.files.last_write_back = now;
        out.set_timer(now + WRITE_BACK_INTERVAL, Timer::WriteBack);
        out.set_timer(now + self.config.log_retention_check_interval, Timer::LogRetention);
        out.set_timer(now + self.config.log_flush_checkpoint_interval, Timer::RecoveryPointCheckpoint);
        self.schedule_flushes(now, out);
    }

    fn schedule_flushes(&self, now: Instant, out: &mut Effects) {
        // By default the interval has no end.
        let interval = u64::try_from(self.config.log_flush_scheduler_interval_ms).unwrap_or(u64::MAX);
        if interval <= Duration::MAX.as_millis() {
            out.set_timer(now + Duration::millis(interval), Timer::LogFlush);
        }
    }

    pub(super) fn on_storage_timer(&mut self, now: Instant, timer: &Timer, out: &mut Effects) {
        if !matches!(timer, Timer::DiskRead { .. } | Timer::LogRecovery) && self.log_dir_fails(out) {
            return;
        }
        match timer {
            Timer::WriteBack => {
                self.write_back(now, out);
                out.set_timer(now + WRITE_BACK_INTERVAL, Timer::WriteBack);
            }
            Timer::LogRetention => {
                self.delete_old_segments(now, out);
                out.set_timer(now + self.config.log_retention_check_interval, Timer::LogRetention);
            }
            Timer::RecoveryPointCheckpoint => {
                self.checkpoint_recovery_points();
                out.set_timer(now + self.config.log_flush_checkpoint_interval, Timer::RecoveryPointCheckpoint);
            }
            Timer::LogFlush => {
                self.flush_old(now, out);
                self.schedule_flushes(now, out);
            }
            Timer::DiskRead { id } => {
                if let Some(read) = self.storage.reads.remove(id) {
                    self.answer_fetch(read.from, read.correlation_id, &read.request, out);
                }
            }
            _ => self.finish_recovery(now, out),
        }
    }

    /// Whether the log directory can no longer be written; then the process ends here. A request that would have been
    /// written is not.
    pub(super) fn log_dir_fails(&mut self, out: &mut Effects) -> bool {
        if !self.storage.disk().is_full() {
            return false;
        }
        let replicas = self.replicas.keys().count() + self.unopened.len();
        out.note(Fact::LogDirOffline { replicas: replicas as u32 });
        out.halt();
        true
    }

    /// Whether a request makes the broker write.
    pub(super) fn is_write(request: &Request) -> bool {
        matches!(
            request,
            Request::Produce(_)
                | Request::OffsetCommit(_)
                | Request::JoinGroup(_)
                | Request::SyncGroup(_)
                | Request::ConsumerGroupHeartbeat(_)
        )
    }

    /// After an append: a segment that was closed is forced to the disk, and so is everything where `flush.messages` says
    /// so; then whoever appended waits for it.
    pub(super) fn after_log_growth(&mut self, now: Instant, partition: TopicPartition, out: &mut Effects) {
        let Some(replica) = self.replicas.get(&partition) else { return };
        let log = replica.log();
        let (written, active, end) = (log.written(), log.active_segment().base_offset(), log.end());
        let unflushed = end - log.recovery_point();
        let flush_messages = replica.config().flush_messages;
        let seen = self.storage.seen.entry(partition).or_default();
        let (before, rolled_from) = std::mem::replace(seen, (written, active));
        if written == before {
            return;
        }
        let rolled = if active > rolled_from {
            log.segments().iter().map(|segment| segment.base_offset()).filter(|base| *base > rolled_from).collect()
        } else {
            Vec::new()
        };
        let made_room = self.storage.disk_mut().cache(partition, end, written - before);
        for base_offset in &rolled {
            out.note(Fact::SegmentRolled { partition, base_offset: *base_offset });
        }
        if !rolled.is_empty() {
            self.flush(now, partition, active, out);
        }
        for other in made_room {
            if self.must_be_written(other) {
                self.write_back_log(now, other, out);
            }
        }
        if unflushed >= flush_messages {
            let done = self.flush(now, partition, end, out);
            out.busy(done.since(now));
        }
    }

    /// Forces a log to the disk up to `to`. Returns when it is there.
    fn flush(&mut self, now: Instant, partition: TopicPartition, to: Offset, out: &mut Effects) -> Instant {
        let Some(replica) = self.replicas.get_mut(&partition) else { return now };
        let log = replica.log_mut();
        let Some((from, to)) = log.flush(now, to) else { return now };
        let bytes = log.bytes_between(from, to);
        if log.flushed() == log.end() {
            self.storage.files.dirty_since.remove(&partition);
        }
        out.note(Fact::Flushed { partition, from, to });
        self.storage.disk_mut().write(now, partition, from, to, bytes)
    }

    /// A clean stop forces everything to the disk.
    pub(super) fn flush_all(&mut self, now: Instant, out: &mut Effects) {
        for partition in self.partitions() {
            let end = self.replicas.get(&partition).map_or(0, |replica| replica.log().end());
            self.flush(now, partition, end, out);
        }
        self.checkpoint_recovery_points();
    }

    /// `flush.ms`: logs that were not forced to the disk for so long are. Nobody looks unless
    /// `log.flush.scheduler.interval.ms` says so.
    fn flush_old(&mut self, now: Instant, out: &mut Effects) {
        for partition in self.partitions() {
            let Some(replica) = self.replicas.get(&partition) else { continue };
            let limit = u64::try_from(replica.config().flush_ms).unwrap_or_default();
            if replica.log().recovery_point() < replica.log().end()
                && now.since(replica.log().last_flush()).as_millis() >= limit
            {
                let end = replica.log().end();
                self.flush(now, partition, end, out);
            }
        }
    }

    fn partitions(&self) -> Vec<TopicPartition> {
        self.replicas.keys().copied().collect()
    }

    /// The operating system's writer: files that have been dirty for long enough, one after the other.
    fn write_back(&mut self, now: Instant, out: &mut Effects) {
        self.storage.files.last_write_back = now;
        for partition in self.partitions() {
            let Some(log) = self.replicas.get(&partition).map(|replica| replica.log()) else { continue };
            if log.flushed() == log.end() {
                self.storage.files.dirty_since.remove(&partition);
                continue;
            }
            let since = *self.storage.files.dirty_since.entry(partition).or_insert(now);
            if now.since(since) >= DIRTY_EXPIRES_AFTER || self.must_be_written(partition) {
                self.write_back_log(now, partition, out);
            }
        }
    }

    /// Whether records that are not on the disk had to leave the page cache: they are written first.
    fn must_be_written(&self, partition: TopicPartition) -> bool {
        let log = self.replicas.get(&partition).map(|replica| replica.log());
        log.is_some_and(|log| log.flushed() < self.storage.disk().cold_below(partition).min(log.end()))
    }

    fn write_back_log(&mut self, now: Instant, partition: TopicPartition, out: &mut Effects) {
        self.storage.files.dirty_since.remove(&partition);
        let Some(log) = self.replicas.get_mut(&partition).map(|replica| replica.log_mut()) else { return };
        let Some((from, to)) = log.write_back() else { return };
        let bytes = log.bytes_between(from, to);
        out.note(Fact::Flushed { partition, from, to });
        self.storage.disk_mut().write(now, partition, from, to, bytes);
    }

    fn checkpoint_recovery_points(&mut self) {
        let points = self.replicas.iter().map(|(partition, replica)| (partition, replica.log().recovery_point()));
        self.storage.files.recovery_points.extend(points);
    }

    /// The retention pass (`LogManager.cleanupLogs`). A log that is compacted only loses what lies before its start.
    fn delete_old_segments(&mut self, now: Instant, out: &mut Effects) {
        for partition in self.partitions() {
            let Some(replica) = self.replicas.get_mut(&partition) else { continue };
            let (retention, high_watermark) = (retention(replica.config()), replica.high_watermark());
            let from = replica.log().start();
            if replica.log_mut().delete_old_segments(now.timestamp_ms(), &retention, high_watermark) {
                let to = replica.log().start();
                out.note(Fact::LogStartAdvanced { partition, from, to });
            }
            let (log, rolled) = (replica.log(), replica.log().active_segment().base_offset());
            if self.storage.seen.insert(partition, (log.written(), rolled)).is_some_and(|(_, active)| active < rolled) {
                out.note(Fact::SegmentRolled { partition, base_offset: rolled });
            }
        }
    }

    /// A follower learns from its leader where the log begins (`ReplicaFetcherThread.processPartitionData`).
    pub(super) fn follow_log_start(&mut self, partition: TopicPartition, leader_start: Offset, out: &mut Effects) {
        let Some(replica) = self.replicas.get(&partition) else { return };
        let from = replica.log().start();
        if leader_start <= from || leader_start > replica.high_watermark() {
            return;
        }
        if self.replicas.get_mut(&partition).is_some_and(|replica| replica.log_mut().advance_start(leader_start)) {
            out.note(Fact::LogStartAdvanced { partition, from, to: leader_start });
        }
    }

    /// The logs are opened. After a clean stop they are as they were left; after any other each is read again from its
    /// recovery point on, and its indexes are made anew. What is in the page cache still need not come from the disk.
    pub(super) fn begin_recovery(&mut self, now: Instant, out: &mut Effects) {
        let mut done = now + OPEN;
        for (partition, log) in &mut self.unopened {
            if self.clean_shutdown {
                log.set_recovery_point(log.end());
                continue;
            }
            let checkpoint = self.storage.files.recovery_points.get(partition).copied().unwrap_or_default();
            let recovery_point = checkpoint.clamp(log.start(), log.end());
            log.set_recovery_point(recovery_point);
            let bytes = log.bytes_to_recover(recovery_point);
            if bytes == 0 {
                continue;
            }
            self.storage.recovering.push((*partition, recovery_point));
            let cold = self.storage.files.disk.cold_below(*partition).min(log.end());
            if cold > recovery_point {
                let cold_bytes = log.bytes_between(recovery_point, cold);
                let read = self.storage.files.disk.read(now, *partition, recovery_point, cold, cold_bytes);
                done = done.max(read + OPEN);
            }
            done += Duration::micros((CHECK_PER_MIB.as_micros() * bytes) >> 20);
        }
        out.set_timer(done, Timer::LogRecovery);
    }

    fn finish_recovery(&mut self, now: Instant, out: &mut Effects) {
        self.note_recovered(out);
        self.publish_all(now, out);
        self.lifecycle.logs_recovered(now, out);
    }

    /// The logs have been read.
    pub(super) fn note_recovered(&mut self, out: &mut Effects) {
        for (partition, recovery_point) in std::mem::take(&mut self.storage.recovering) {
            if let Some(log) = self.unopened.get(&partition) {
                out.note(Fact::LogRecovered { partition, recovery_point, log_end: log.end() });
            }
        }
    }

    /// Answers a fetch: at once, or when the disk has brought what the page cache does not hold.
    pub(super) fn read_and_answer(
        &mut self,
        now: Instant,
        from: Node,
        correlation_id: u32,
        request: FetchRequest,
        out: &mut Effects,
    ) {
        let Some(at) = self.read_from_disk(now, &request) else {
            return self.answer_fetch(from, correlation_id, &request, out);
        };
        let id = self.storage.next_read;
        self.storage.next_read += 1;
        self.storage.reads.insert(id, DelayedFetch { from, correlation_id, request, segments: Vec::new() });
        out.set_timer(at, Timer::DiskRead { id });
    }

    fn read_from_disk(&mut self, now: Instant, request: &FetchRequest) -> Option<Instant> {
        let mut done = None;
        let mut left = u64::from(request.max_bytes);
        for wanted in &request.partitions {
            let cold = self.storage.disk().cold_below(wanted.partition);
            if wanted.fetch_offset >= cold || left == 0 {
                continue;
            }
            let Some(replica) = self.replicas.get(&wanted.partition) else { continue };
            let log = replica.log();
            if wanted.fetch_offset < log.start() {
                continue;
            }
            let limit = left.min(u64::from(wanted.max_bytes));
            let (mut bytes, mut to) = (0, wanted.fetch_offset);
            for batch in log.readable(wanted.fetch_offset).take_while(|batch| batch.base_offset < cold) {
                if bytes > 0 && bytes + batch.size() > limit {
                    break;
                }
                bytes += batch.size();
                to = batch.next_offset();
            }
            if bytes > 0 {
                left = left.saturating_sub(bytes);
                let at = self.storage.disk_mut().read(now, wanted.partition, wanted.fetch_offset, to, bytes);
                done = done.max(Some(at));
            }
        }
        done
    }

    /// Nobody waits for the answers to this peer any more.
    pub(super) fn forget_reads_of(&mut self, peer: Node) {
        self.storage.reads.retain(|_, read| read.from != peer);
    }

    /// A fetch was answered: over an encrypted connection its bytes have to pass through the process.
    pub(super) fn count_sent(&mut self, bytes: u64, out: &mut Effects) {
        let encrypted = self.config.listeners == Listeners::Ssl;
        let busy = self.storage.disk_mut().count_sent(bytes, encrypted);
        if !busy.is_zero() {
            out.busy(busy);
        }
    }

    /// What a person does to the disk under a running broker.
    pub fn change_disk(&mut self, change: DiskChange) {
        self.storage.disk_mut().change(change);
    }

    pub fn disk(&self) -> &Disk {
        self.storage.disk()
    }

    /// The log directory, replica by replica (`ReplicaManager.describeLogDirs`).
    pub(super) fn on_describe_log_dirs(
        &self,
        from: Node,
        correlation_id: u32,
        request: &DescribeLogDirsRequest,
        out: &mut Effects,
    ) {
        let is_meant = |partition: &TopicPartition| match &request.topics {
            Some(topics) => topics.contains(&partition.topic),
            None => true,
        };
        let replicas = self.replicas.iter().filter(|(partition, _)| is_meant(partition));
        let replicas = replicas.map(|(partition, replica)| DescribedReplica {
            partition,
            size: replica.log().bytes(),
            offset_lag: (replica.high_watermark() - replica.log().end()).max(0),
        });
        let response = DescribeLogDirsResponse { error: ErrorCode::None, replicas: replicas.collect() };
        out.respond(from, correlation_id, Response::DescribeLogDirs(response));
    }
}

/// What a topic's settings say about segments.
pub(super) fn segment_limits(config: &TopicConfig) -> SegmentLimits {
    SegmentLimits {
        bytes: u64::from(config.segment_bytes),
        age_ms: i64::try_from(config.segment_time.as_millis()).unwrap_or(i64::MAX),
        index_interval: u64::from(config.index_interval_bytes),
        index_bytes: u64::from(config.segment_index_bytes),
    }
}

fn retention(config: &TopicConfig) -> Retention {
    if config.cleanup_policy == CleanupPolicy::Compact {
        return Retention::default();
    }
    let age = (config.retention != Duration::MAX).then(|| config.retention.as_millis());
    Retention { age_ms: age.and_then(|age| i64::try_from(age).ok()), bytes: u64::try_from(config.retention_bytes).ok() }
}
