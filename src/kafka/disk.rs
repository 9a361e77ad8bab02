//! A broker's disk and the page cache above it: what they hold, and what they cost.
//!
//! A write goes to the page cache, which is memory, and costs the broker nothing; the disk gets it later, in the
//! background. A read of what is in the cache costs nothing either. So a consumer that keeps up never touches the disk,
//! and one that begins far back does. There the place counts more than the amount: to go on where the last access ended
//! costs only the bytes, anywhere else a *seek* comes first. Kafka's logs are written and read in order for that reason.
//!
//! The operating system writes dirty pages back as Linux does by default: every 5 s it looks for files whose oldest dirty
//! page is 30 s old (`vm.dirty_writeback_centisecs`, `vm.dirty_expire_centisecs`), and writes all of such a file. A page that
//! has to make room for another is written before it goes.
//!
//! The cache keeps what was written last, over all logs. One disk does one thing after another: who comes while it is
//! busy waits.
//!
//! What we leave out: writers that are slowed down by too many dirty pages (`vm.dirty_ratio`); a cache that also keeps
//! what was read from the disk; memory that the process itself takes away from it.

use std::collections::{BTreeMap, VecDeque};

use super::ids::{Offset, TopicPartition};
use crate::time::{Duration, Instant};

/// `vm.dirty_writeback_centisecs`: how often the operating system looks for old dirty pages.
pub const WRITE_BACK_INTERVAL: Duration = Duration::secs(5);
/// `vm.dirty_expire_centisecs`: how old they are when it writes them.
pub const DIRTY_EXPIRES_AFTER: Duration = Duration::secs(30);
/// Where Kafka's own Docker image keeps its logs (`log.dirs`).
pub const LOG_DIR: &str = "/tmp/kraft-combined-logs";

const MIB: u64 = 1 << 20;

/// The page cache of a machine with 24 GiB of memory, of which Kafka's heap and the rest take 8.
const CACHE: u64 = 16 << 30;

/// The disks there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskKind {
    /// A solid-state disk: 0.1 ms to any place, 500 MiB/s.
    Ssd,
    /// A hard disk of 7200 revolutions a minute: 12 ms to any place (8 of them for the arm, 4 for half a turn), 150 MiB/s.
    Hdd,
}

impl DiskKind {
    /// As commands call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ssd => "ssd",
            Self::Hdd => "hdd",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Ssd, Self::Hdd].into_iter().find(|kind| kind.name() == name)
    }

    const fn seek(self) -> Duration {
        match self {
            Self::Ssd => Duration::micros(100),
            Self::Hdd => Duration::millis(12),
        }
    }

    const fn per_mib(self) -> Duration {
        match self {
            Self::Ssd => Duration::micros(2000),
            Self::Hdd => Duration::micros(6667),
        }
    }
}

/// What a person does to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskChange {
    /// Nothing more can be written.
    Full,
    /// There is room again.
    Ok,
    /// Another kind of disk, another amount of memory, or both; what is on the disk stays.
    Other { kind: Option<DiskKind>, cache: Option<u64> },
}

/// One machine's disk.
#[derive(Clone, Debug)]
pub struct Disk {
    kind: DiskKind,
    /// Bytes of the page cache, at most.
    cache_limit: u64,
    is_full: bool,
    busy_until: Instant,
    /// Where the last access ended.
    head: Option<(TopicPartition, Offset)>,
    cache: PageCache,
    counts: DiskCounts,
}

/// What a disk and its broker have done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskCounts {
    pub read_bytes: u64,
    pub written_bytes: u64,
    /// Accesses that did not go on where the last one had ended.
    pub seeks: u64,
    pub busy: Duration,
    /// Bytes of fetch answers that went from the page cache to the network untouched (`sendfile`).
    pub sent_zero_copy: u64,
    /// Bytes of fetch answers that had to pass through the process, because the connection is encrypted.
    pub sent_copied: u64,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            kind: DiskKind::Ssd,
            cache_limit: CACHE,
            is_full: false,
            busy_until: Instant::ZERO,
            head: None,
            cache: PageCache::default(),
            counts: DiskCounts::default(),
        }
    }
}

impl Disk {
    pub fn kind(&self) -> DiskKind {
        self.kind
    }

    /// Bytes that the page cache can hold.
    pub fn cache_limit(&self) -> u64 {
        self.cache_limit
    }

    /// Whether nothing can be written any more.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    pub fn counts(&self) -> DiskCounts {
        self.counts
    }

    /// How long whoever comes now has to wait.
    pub fn backlog(&self, now: Instant) -> Duration {
        self.busy_until.since(now)
    }

    /// Bytes in the page cache.
    pub fn cached(&self) -> u64 {
        self.cache.bytes
    }

    /// Records before this offset are no longer in the page cache.
    pub fn cold_below(&self, partition: TopicPartition) -> Offset {
        self.cache.cold_below.get(&partition).copied().unwrap_or_default()
    }

    /// Does what a person asked for.
    pub fn change(&mut self, change: DiskChange) {
        match change {
            DiskChange::Full => self.is_full = true,
            DiskChange::Ok => self.is_full = false,
            DiskChange::Other { kind, cache } => {
                self.kind = kind.unwrap_or(self.kind);
                self.cache_limit = cache.unwrap_or(self.cache_limit);
                // The operating system's writer sees to what was not on the disk yet.
                let _ = self.cache.evict(self.cache_limit);
            }
        }
    }

    /// Records up to `end` came into the page cache. Returns the logs that had to make room for them.
    pub fn cache(&mut self, partition: TopicPartition, end: Offset, bytes: u64) -> Vec<TopicPartition> {
        self.cache.add(partition, end, bytes, self.cache_limit)
    }

    /// A replica is gone.
    pub fn forget(&mut self, partition: TopicPartition) {
        self.cache.cold_below.remove(&partition);
    }

    /// The machine lost its power: nothing is in memory any more. `ends` are the log ends.
    pub fn lose_power(&mut self, ends: impl Iterator<Item = (TopicPartition, Offset)>) {
        self.cache = PageCache { cold_below: ends.filter(|(_, end)| *end > 0).collect(), ..PageCache::default() };
        self.busy_until = Instant::ZERO;
        self.head = None;
    }

    /// Reads records from `from` to `to`. Returns when they are there.
    pub fn read(&mut self, now: Instant, partition: TopicPartition, from: Offset, to: Offset, bytes: u64) -> Instant {
        self.counts.read_bytes += bytes;
        self.access(now, partition, from, to, bytes)
    }

    /// Writes records from `from` to `to`. Returns when they are there.
    pub fn write(&mut self, now: Instant, partition: TopicPartition, from: Offset, to: Offset, bytes: u64) -> Instant {
        self.counts.written_bytes += bytes;
        self.access(now, partition, from, to, bytes)
    }

    fn access(&mut self, now: Instant, partition: TopicPartition, from: Offset, to: Offset, bytes: u64) -> Instant {
        let mut cost = Duration::micros(self.kind.per_mib().as_micros() * bytes / MIB);
        if self.head != Some((partition, from)) {
            cost = cost + self.kind.seek();
            self.counts.seeks += 1;
        }
        self.head = Some((partition, to));
        self.counts.busy = self.counts.busy + cost;
        self.busy_until = now.max(self.busy_until) + cost;
        self.busy_until
    }

    /// A fetch was answered with so many bytes. Returns how long the processor was busy with them.
    ///
    /// From the page cache straight to the network card costs the process nothing. Encryption takes the bytes through it:
    /// about 1 ms for a mebibyte.
    pub fn count_sent(&mut self, bytes: u64, encrypted: bool) -> Duration {
        if !encrypted {
            self.counts.sent_zero_copy += bytes;
            return Duration::ZERO;
        }
        self.counts.sent_copied += bytes;
        Duration::micros(bytes * 1000 / MIB)
    }
}

/// Which records are in memory: of each log those from some offset on.
#[derive(Clone, Debug, Default)]
struct PageCache {
    /// Oldest first: up to which offset of which log, and how many bytes.
    blocks: VecDeque<(TopicPartition, Offset, u64)>,
    /// Bytes that are not in a block yet.
    open: BTreeMap<TopicPartition, u64>,
    bytes: u64,
    cold_below: BTreeMap<TopicPartition, Offset>,
}

impl PageCache {
    fn add(&mut self, partition: TopicPartition, end: Offset, bytes: u64, limit: u64) -> Vec<TopicPartition> {
        self.bytes += bytes;
        let open = self.open.entry(partition).or_default();
        *open += bytes;
        // About a thousand blocks, so that a snapshot of the world stays small.
        if *open < (limit / 1024).max(16 * 1024) {
            return Vec::new();
        }
        self.blocks.push_back((partition, end, std::mem::take(open)));
        self.evict(limit)
    }

    fn evict(&mut self, limit: u64) -> Vec<TopicPartition> {
        let mut made_room = Vec::new();
        while self.bytes > limit
            && let Some((partition, end, bytes)) = self.blocks.pop_front()
        {
            self.bytes -= bytes;
            let cold = self.cold_below.entry(partition).or_default();
            *cold = end.max(*cold);
            made_room.push(partition);
        }
        made_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::ids::TopicId;

    fn partition(number: u32) -> TopicPartition {
        TopicPartition::new(TopicId(0), number)
    }

    fn hard_disk(cache: u64) -> Disk {
        let mut disk = Disk::default();
        disk.change(DiskChange::Other { kind: Some(DiskKind::Hdd), cache: Some(cache) });
        disk
    }

    #[test]
    fn reading_on_costs_the_bytes_and_reading_elsewhere_a_seek_too() {
        let mut disk = hard_disk(CACHE);
        let first = disk.read(Instant::ZERO, partition(0), 0, 10, MIB);
        assert_eq!(first, Instant::from_micros(12_000 + 6667));
        let second = disk.read(first, partition(0), 10, 20, MIB);
        assert_eq!(second.since(first), Duration::micros(6667), "the head is there already");
        let third = disk.read(second, partition(1), 0, 10, MIB);
        assert_eq!(third.since(second), Duration::micros(12_000 + 6667));
        assert_eq!(disk.counts().seeks, 2);
    }

    #[test]
    fn who_comes_while_the_disk_is_busy_waits() {
        let mut disk = hard_disk(CACHE);
        let first = disk.write(Instant::ZERO, partition(0), 0, 10, MIB);
        let second = disk.read(Instant::from_micros(5), partition(1), 0, 10, MIB);
        assert_eq!(second.since(first), Duration::micros(12_000 + 6667));
    }

    #[test]
    fn the_cache_keeps_what_was_written_last() {
        let mut disk = hard_disk(64 * 1024);
        for block in 1..=8 {
            disk.cache(partition(0), block * 10, 16 * 1024);
        }
        assert_eq!(disk.cached(), 64 * 1024);
        assert_eq!(disk.cold_below(partition(0)), 40, "four blocks of sixteen KiB are left");
        disk.lose_power([(partition(0), 80)].into_iter());
        assert_eq!((disk.cached(), disk.cold_below(partition(0))), (0, 80));
    }

    #[test]
    fn only_encrypted_answers_are_copied() {
        let mut disk = Disk::default();
        assert_eq!(disk.count_sent(MIB, false), Duration::ZERO);
        assert_eq!(disk.count_sent(MIB, true), Duration::millis(1));
        assert_eq!((disk.counts().sent_zero_copy, disk.counts().sent_copied), (MIB, MIB));
    }
}
