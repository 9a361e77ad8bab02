//! Records that wait to be sent, gathered into batches by partition (`RecordAccumulator`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;

use super::transaction_manager::ProducerIdAndEpoch;
use crate::kafka::config::ProducerConfig;
use crate::kafka::ids::{ClientId, Origin};
use crate::kafka::record::{Batch, BatchBuilder};
use crate::time::{Duration, Instant};

/// The batches of one topic's partitions.
#[derive(Clone, Debug, Default)]
pub(super) struct Accumulator {
    /// By partition number.
    queues: BTreeMap<u32, Queue>,
    /// The partitions that have a batch waiting.
    waiting: BTreeSet<u32>,
    /// The partitions that records were appended to since they were last noted.
    fresh: BTreeSet<u32>,
    /// Bytes of `buffer.memory` in use, by batches here and in flight.
    memory: u64,
}

#[derive(Clone, Debug, Default)]
struct Queue {
    /// Full, or back for a retry; the first goes out next.
    closed: VecDeque<PendingBatch>,
    open: Option<OpenBatch>,
    /// Of all records ever sent to this partition, how many.
    sent: u64,
    /// How many of them have been noted.
    noted: u64,
    bytes_since_note: u32,
}

#[derive(Clone, Debug)]
struct OpenBatch {
    builder: BatchBuilder,
    created: Instant,
    first: u64,
    memory: u64,
}

/// A batch that will not change any more.
#[derive(Clone, Debug)]
pub(super) struct PendingBatch {
    pub batch: Batch,
    pub origin: Origin,
    pub created: Instant,
    /// How often it has been sent.
    pub attempts: u32,
    /// Backing off until then.
    pub not_before: Instant,
    /// It came back to be sent again.
    pub retried: bool,
    /// Its sequence was changed by a bump of the epoch.
    pub renumbered: bool,
    memory: u64,
}

impl PendingBatch {
    /// Puts identity and sequence into the batch (`ProducerBatch.setProducerState`).
    pub fn number(&mut self, identity: ProducerIdAndEpoch, sequence: i32) {
        self.batch = self.batch.clone().with_producer(identity.id, identity.epoch, sequence);
    }
}

/// What an append did.
pub(super) struct Appended {
    /// A batch was opened for it.
    pub new_batch: bool,
    /// Bytes it added.
    pub bytes: u32,
}

impl Accumulator {
    /// Adds a record to the open batch of a partition, or opens one. `Err` where `buffer.memory` is used up.
    pub fn append(
        &mut self,
        now: Instant,
        partition: u32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        config: &ProducerConfig,
        client: ClientId,
    ) -> Result<Appended, BufferExhausted> {
        let queue = self.queues.entry(partition).or_default();
        let timestamp = now.timestamp_ms();
        if let Some(open) = &mut queue.open
            && open.builder.size_with(timestamp, key, value, &[]) <= u64::from(config.batch_size)
        {
            let before = open.builder.size();
            open.builder.append(timestamp, key, value, &[]);
            let bytes = (open.builder.size() - before) as u32;
            queue.note(partition, bytes, &mut self.fresh);
            return Ok(Appended { new_batch: false, bytes });
        }
        let mut builder = BatchBuilder::new(config.compression).with_room_for(config.batch_size);
        builder.append(timestamp, key, value, &[]);
        let memory = u64::from(config.batch_size).max(builder.size());
        if self.memory + memory > config.buffer_memory {
            return Err(BufferExhausted);
        }
        self.memory += memory;
        queue.close(client);
        let bytes = builder.size() as u32;
        queue.note(partition, bytes, &mut self.fresh);
        queue.open = Some(OpenBatch { builder, created: now, first: queue.sent - 1, memory });
        self.waiting.insert(partition);
        Ok(Appended { new_batch: true, bytes })
    }

    /// Without any batch, but counting on where the records of each partition left off.
    pub fn emptied(self) -> Self {
        let counted = |queue: Queue| Queue { sent: queue.sent, noted: queue.noted, ..Queue::default() };
        let queues = self.queues.into_iter().map(|(partition, queue)| (partition, counted(queue))).collect();
        Self { queues, ..Self::default() }
    }

    /// What was appended to each partition since the last call: the records and their bytes.
    pub fn take_appended(&mut self, client: ClientId) -> Vec<(u32, Origin, u32)> {
        let mut appended = Vec::with_capacity(self.fresh.len());
        for partition in mem::take(&mut self.fresh) {
            if let Some(queue) = self.queues.get_mut(&partition) {
                let origin = Origin { producer: client, first: queue.noted, count: (queue.sent - queue.noted) as u32 };
                appended.push((partition, origin, mem::take(&mut queue.bytes_since_note)));
                queue.noted = queue.sent;
            }
        }
        appended
    }

    /// The partitions that have a batch waiting, ascending.
    pub fn waiting(&self) -> impl Iterator<Item = u32> {
        self.waiting.iter().copied()
    }

    /// When the first batch of a partition may go out: at once when it is full, backing off or lingering otherwise.
    pub fn ready_at(&self, partition: u32, linger: Duration, flushing: bool) -> Option<Instant> {
        let queue = self.queues.get(&partition)?;
        if let Some(first) = queue.closed.front() {
            return Some(first.not_before);
        }
        let open = queue.open.as_ref()?;
        Some(if flushing { open.created } else { open.created + linger })
    }

    /// The first record of the batch that is next, where that one was sent before with a sequence.
    pub fn first_sequenced(&self, partition: u32) -> Option<u64> {
        let first = self.queues.get(&partition)?.closed.front()?;
        first.batch.has_producer_id().then_some(first.origin.first)
    }

    /// The batches of a partition that were sent before with a sequence.
    pub fn sequenced_mut(&mut self, partition: u32) -> impl Iterator<Item = &mut PendingBatch> {
        let closed = self.queues.get_mut(&partition).into_iter().flat_map(|queue| queue.closed.iter_mut());
        closed.filter(|pending| pending.batch.has_producer_id())
    }

    /// Takes the first batch of a partition, to send it. At its first time it has neither identity nor CRC yet.
    pub fn take(&mut self, partition: u32, client: ClientId) -> Option<PendingBatch> {
        let queue = self.queues.get_mut(&partition)?;
        if queue.closed.is_empty() {
            queue.close(client);
        }
        let mut batch = queue.closed.pop_front()?;
        batch.attempts += 1;
        if queue.is_empty() {
            self.waiting.remove(&partition);
        }
        Some(batch)
    }

    /// Puts a batch back, to send it again. With idempotence in the order of its records; else in front, whatever
    /// comes behind it (`RecordAccumulator.reenqueue`).
    pub fn put_back(&mut self, partition: u32, mut batch: PendingBatch, in_order: bool) {
        batch.retried = true;
        let queue = self.queues.entry(partition).or_default();
        let place =
            if in_order { queue.closed.partition_point(|other| other.origin.first < batch.origin.first) } else { 0 };
        queue.closed.insert(place, batch);
        self.waiting.insert(partition);
    }

    /// A batch is done with: its memory is free again.
    pub fn release(&mut self, batch: &PendingBatch) {
        self.memory -= batch.memory;
    }

    /// Takes every waiting batch created at or before `deadline`.
    pub fn take_expired(&mut self, deadline: Instant, client: ClientId) -> Vec<(u32, PendingBatch)> {
        let mut expired = Vec::new();
        for (partition, queue) in &mut self.queues {
            if queue.open.as_ref().is_some_and(|open| open.created <= deadline) {
                queue.close(client);
            }
            while queue.closed.front().is_some_and(|batch| batch.created <= deadline) {
                expired.extend(queue.closed.pop_front().map(|batch| (*partition, batch)));
            }
            if queue.is_empty() {
                self.waiting.remove(partition);
            }
        }
        expired
    }

    /// When the oldest waiting batch was created.
    pub fn oldest(&self) -> Option<Instant> {
        let first = |queue: &Queue| {
            queue.closed.iter().map(|batch| batch.created).chain(queue.open.as_ref().map(|open| open.created)).min()
        };
        self.waiting.iter().filter_map(|partition| first(self.queues.get(partition)?)).min()
    }

    /// Batches waiting for a partition, the open one included.
    pub fn queued(&self, partition: u32) -> u32 {
        self.queues.get(&partition).map_or(0, |queue| queue.closed.len() as u32 + u32::from(queue.open.is_some()))
    }

    /// Whether a record for the partition would have to open a batch, or no batch of it is unfinished.
    pub fn has_open(&self, partition: u32) -> bool {
        self.queues.get(&partition).is_some_and(|queue| queue.open.is_some())
    }

    /// How many partitions have ever had a record.
    pub fn partitions_used(&self) -> u32 {
        self.queues.len() as u32
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Bytes of `buffer.memory` in use.
    pub fn memory(&self) -> u64 {
        self.memory
    }
}

/// `buffer.memory` is used up: send() blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BufferExhausted;

impl Queue {
    fn is_empty(&self) -> bool {
        self.closed.is_empty() && self.open.is_none()
    }

    /// One more record was appended.
    fn note(&mut self, partition: u32, bytes: u32, fresh: &mut BTreeSet<u32>) {
        if self.noted == self.sent {
            fresh.insert(partition);
        }
        self.bytes_since_note += bytes;
        self.sent += 1;
    }

    fn close(&mut self, producer: ClientId) {
        let Some(open) = self.open.take() else { return };
        let mut batch = open.builder.build_unsealed();
        let origin = Origin { producer, first: open.first, count: batch.record_count as u32 };
        batch.origin = Some(origin);
        self.closed.push_back(PendingBatch {
            batch,
            origin,
            created: open.created,
            attempts: 0,
            not_before: open.created,
            retried: false,
            renumbered: false,
            memory: open.memory,
        });
    }
}
