//! The books: every record is accounted for, from send() to the application that works on it.
//!
//! They are kept from facts alone, as ranges: per producer and partition which records were acknowledged, per group
//! which were worked on. What is lost, doubled or missed is found by holding the ranges against the logs.

use std::collections::BTreeMap;

use rangemap::RangeSet;

use crate::kafka::fact::Fact;
use crate::kafka::ids::{ClientId, Name, Node, Offset, Origin, TopicPartition};
use crate::kafka::record::Batch;
use crate::sim::trace::Stamped;

/// One producer's records of one partition, counted from 0 in the order they were sent.
pub type Stream = (ClientId, TopicPartition);

/// The accounts of a run.
#[derive(Clone, Debug, Default)]
pub struct Books {
    producers: BTreeMap<ClientId, ProducerAccount>,
    consumers: BTreeMap<ClientId, ConsumerAccount>,
    acked: BTreeMap<(TopicPartition, ClientId), RangeSet<u64>>,
    /// Records that were deleted because they were old, or because somebody asked for it.
    retired: BTreeMap<TopicPartition, BTreeMap<ClientId, RangeSet<u64>>>,
    groups: BTreeMap<Name, GroupAccount>,
}

/// What a producer's application knows, in records; retries in batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProducerAccount {
    pub sent: u64,
    pub acked: u64,
    pub failed: u64,
    pub retries: u64,
}

/// What a consumer's application did, in records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerAccount {
    pub polled: u64,
    pub processed: u64,
}

/// What a group's applications did together.
#[derive(Clone, Debug, Default)]
pub struct GroupAccount {
    /// Every time an application worked on a record.
    pub processed: u64,
    /// Each record once.
    pub distinct: u64,
    /// First deliveries after a later record of the same key. Share groups promise no order.
    pub out_of_order: u64,
    /// The last committed offset of each partition; of a share group, its start offset.
    pub committed: BTreeMap<TopicPartition, Offset>,
    seen: BTreeMap<Stream, RangeSet<u64>>,
}

/// Records that reached a group for the first time although later ones of their stream had been there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateArrivals {
    pub group: Name,
    pub stream: Stream,
    pub ranges: Vec<std::ops::Range<u64>>,
}

/// What became of one producer's records of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub acked: u64,
    /// Acknowledged, and on no log that can still serve the partition.
    pub lost: u64,
    /// Surplus copies.
    pub duplicated: u64,
    /// A batch stands after one that was sent later.
    pub disordered: bool,
}

impl Books {
    /// Enters a fact. Records that came late are handed back: whether a later one has the same key, only the log tells.
    pub fn enter(&mut self, stamped: &Stamped) -> Option<LateArrivals> {
        match &stamped.fact {
            Fact::RecordsSent { origin, .. } => self.producer(origin.producer).sent += u64::from(origin.count),
            Fact::SendFailed { count, .. } => {
                if let Some(Node::Producer(id)) = stamped.node {
                    let account = self.producer(id);
                    account.sent += u64::from(*count);
                    account.failed += u64::from(*count);
                }
            }
            Fact::BatchAcked { partition, origin, .. } => {
                self.producer(origin.producer).acked += u64::from(origin.count);
                self.acked.entry((*partition, origin.producer)).or_default().insert(ordinals(origin));
            }
            Fact::BatchRetried { origin, .. } => self.producer(origin.producer).retries += 1,
            Fact::BatchFailed { origin, .. } => self.producer(origin.producer).failed += u64::from(origin.count),
            Fact::Polled { count, .. } => {
                if let Some(Node::Consumer(id)) = stamped.node {
                    self.consumers.entry(id).or_default().polled += u64::from(*count);
                }
            }
            Fact::Processed { group, partition, count, origin, .. } => {
                if let Some(Node::Consumer(id)) = stamped.node {
                    self.consumers.entry(id).or_default().processed += u64::from(*count);
                }
                if let (Some(group), Some(origin)) = (group, origin) {
                    return self.processed(group, (origin.producer, *partition), ordinals(origin));
                }
            }
            // A share group has no committed offset; everything before its start is done with.
            Fact::ShareStartAdvanced { group, partition, to, .. } => {
                self.groups.entry(group.clone()).or_default().committed.insert(*partition, *to);
            }
            Fact::OffsetDeleted { group, partition } => {
                if let Some(account) = self.groups.get_mut(group) {
                    account.committed.remove(partition);
                }
            }
            Fact::OffsetCommitted { group, partition, offset } => {
                self.groups.entry(group.clone()).or_default().committed.insert(*partition, *offset);
            }
            _ => {}
        }
        None
    }

    /// A log start moved past these records: they were kept as long as was promised, and are not lost.
    pub fn retire(&mut self, partition: TopicPartition, origins: impl Iterator<Item = Origin>) {
        let retired = self.retired.entry(partition).or_default();
        for origin in origins {
            retired.entry(origin.producer).or_default().insert(ordinals(&origin));
        }
    }

    fn producer(&mut self, id: ClientId) -> &mut ProducerAccount {
        self.producers.entry(id).or_default()
    }

    fn processed(&mut self, group: &Name, stream: Stream, range: std::ops::Range<u64>) -> Option<LateArrivals> {
        let account = self.groups.entry(group.clone()).or_default();
        account.processed += range.end - range.start;
        let seen = account.seen.entry(stream).or_default();
        let highest = seen.last().map_or(0, |last| last.end);
        // Nearly always the range begins where the last one ended.
        if range.start >= highest {
            account.distinct += range.end - range.start;
            seen.insert(range);
            return None;
        }
        let first_time: Vec<_> = seen.gaps(&range).collect();
        account.distinct += first_time.iter().map(|gap| gap.end - gap.start).sum::<u64>();
        seen.insert(range);
        let ranges: Vec<_> = first_time.into_iter().filter(|gap| gap.start < highest).collect();
        (!ranges.is_empty()).then(|| LateArrivals { group: group.clone(), stream, ranges })
    }

    /// Counts the late arrivals that came after a later record of their own key. `log` is a log of their partition.
    pub fn enter_late<'a>(&mut self, late: &LateArrivals, log: impl Iterator<Item = &'a Batch>) {
        let Some(account) = self.groups.get_mut(&late.group) else { return };
        let Some(seen) = account.seen.get(&late.stream) else { return };
        let mut keyed: BTreeMap<u64, bytes::Bytes> = BTreeMap::new();
        for batch in log {
            let Some(origin) = batch.origin.filter(|origin| origin.producer == late.stream.0) else { continue };
            let Ok(records) = batch.records() else { continue };
            for (record, ordinal) in records.zip(origin.first..) {
                keyed.extend(record.key.map(|key| (ordinal, key)));
            }
        }
        for ordinal in late.ranges.iter().cloned().flatten() {
            let Some(key) = keyed.get(&ordinal) else { continue };
            let overtaken = keyed
                .range(ordinal + 1..)
                .any(|(later, other)| other == key && seen.contains(later) && !late.contains(*later));
            account.out_of_order += u64::from(overtaken);
        }
    }

    /// Every producer's account.
    pub fn producers(&self) -> &BTreeMap<ClientId, ProducerAccount> {
        &self.producers
    }

    /// Every consumer's account.
    pub fn consumers(&self) -> &BTreeMap<ClientId, ConsumerAccount> {
        &self.consumers
    }

    /// Every group's account.
    pub fn groups(&self) -> &BTreeMap<Name, GroupAccount> {
        &self.groups
    }

    /// All producers together.
    pub fn total(&self) -> ProducerAccount {
        self.producers.values().fold(ProducerAccount::default(), |sum, account| ProducerAccount {
            sent: sum.sent + account.sent,
            acked: sum.acked + account.acked,
            failed: sum.failed + account.failed,
            retries: sum.retries + account.retries,
        })
    }

    /// How many acknowledged records of a partition are on none of `logs`, which are those that can still serve it, and
    /// have not grown too old for them either.
    pub fn lost<'a>(&self, partition: TopicPartition, logs: impl Iterator<Item = &'a Batch>) -> u64 {
        self.found(partition, logs).values().map(|found| found.lost).sum()
    }

    /// The same, producer by producer.
    fn found<'a>(&self, partition: TopicPartition, logs: impl Iterator<Item = &'a Batch>) -> BTreeMap<ClientId, Found> {
        let mut acked = self.acked.range((partition, ClientId(0))..=(partition, ClientId(u32::MAX))).peekable();
        if acked.peek().is_none() {
            return BTreeMap::new();
        }
        let mut present = self.retired.get(&partition).cloned().unwrap_or_default();
        for origin in logs.filter_map(|batch| batch.origin) {
            present.entry(origin.producer).or_default().insert(ordinals(&origin));
        }
        let none = RangeSet::new();
        let mut found = BTreeMap::new();
        for ((_, producer), acked) in acked {
            let present = present.get(producer).unwrap_or(&none);
            let count = |range: std::ops::Range<u64>| range.end - range.start;
            found.insert(
                *producer,
                Found {
                    acked: acked.iter().cloned().map(count).sum(),
                    lost: acked.iter().flat_map(|range| present.gaps(range)).map(count).sum(),
                    ..Found::default()
                },
            );
        }
        found
    }

    /// What became of each producer's records of a partition. `logs` can still serve it, `leading` speaks for it.
    pub fn account<'a>(
        &self,
        partition: TopicPartition,
        logs: impl Iterator<Item = &'a Batch>,
        leading: impl Iterator<Item = &'a Batch>,
    ) -> BTreeMap<ClientId, Found> {
        let mut accounts = self.found(partition, logs);
        let mut highest: BTreeMap<ClientId, u64> = BTreeMap::new();
        let mut seen: BTreeMap<ClientId, RangeSet<u64>> = BTreeMap::new();
        for origin in leading.filter_map(|batch| batch.origin) {
            let found = accounts.entry(origin.producer).or_default();
            let highest = highest.entry(origin.producer).or_default();
            found.disordered |= origin.first < *highest;
            found.duplicated += surplus(seen.entry(origin.producer).or_default(), &origin);
            *highest = (*highest).max(origin.first);
        }
        accounts
    }

    /// Surplus copies of application records on one log.
    pub fn duplicated<'a>(log: impl Iterator<Item = &'a Batch>) -> u64 {
        let mut seen: BTreeMap<ClientId, RangeSet<u64>> = BTreeMap::new();
        log.filter_map(|batch| batch.origin)
            .map(|origin| surplus(seen.entry(origin.producer).or_default(), &origin))
            .sum()
    }

    /// Records of a partition's log that the group has committed past although nobody worked on them.
    pub fn missed<'a>(account: &GroupAccount, partition: TopicPartition, log: impl Iterator<Item = &'a Batch>) -> u64 {
        let Some(&committed) = account.committed.get(&partition) else { return 0 };
        let none = RangeSet::new();
        let mut missed = 0;
        for batch in log.take_while(|batch| batch.base_offset < committed) {
            let Some(origin) = batch.origin else { continue };
            let passed = u64::try_from((committed - batch.base_offset).min(i64::from(origin.count))).unwrap_or(0);
            let range = origin.first..origin.first + passed;
            let seen = account.seen.get(&(origin.producer, partition)).unwrap_or(&none);
            missed += seen.gaps(&range).map(|gap| gap.end - gap.start).sum::<u64>();
        }
        missed
    }
}

impl LateArrivals {
    fn contains(&self, ordinal: u64) -> bool {
        self.ranges.iter().any(|range| range.contains(&ordinal))
    }
}

/// How many of these records were seen before; they all are from here on.
fn surplus(seen: &mut RangeSet<u64>, origin: &Origin) -> u64 {
    let range = ordinals(origin);
    let mut surplus = 0;
    if seen.last().is_some_and(|last| range.start < last.end) {
        let fresh: u64 = seen.gaps(&range).map(|gap| gap.end - gap.start).sum();
        surplus = u64::from(origin.count) - fresh;
    }
    seen.insert(range);
    surplus
}

fn ordinals(origin: &Origin) -> std::ops::Range<u64> {
    origin.first..origin.first + u64::from(origin.count)
}
