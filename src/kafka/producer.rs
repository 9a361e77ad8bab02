//! A producer: an application that hands records to send(), and the client that gets them to the leaders
//! (`KafkaProducer`, `RecordAccumulator`, `Sender`, `BuiltInPartitioner`).
//!
//! A record's way: the application sends it when it is due; the key's hash, or for want of a key the sticky partitioner,
//! chooses its partition; it joins the open batch of that partition. A batch goes out when it is full or has lingered,
//! in a Produce request to the partition's leader, as long as that broker has fewer than
//! `max.in.flight.requests.per.connection` unanswered. No batch goes out while the connection to that broker is lost: it
//! waits, and that is no retry. What fails with a retriable error goes out again after a pause,
//! until `delivery.timeout.ms` is over.
//!
//! With `enable.idempotence` it first asks any broker for a producer id, and no batch goes out before that is here
//! ([`transaction_manager`]). Without, a batch whose answer is lost may be written twice, and one that is sent again may
//! come behind those that were sent after it.
//!
//! What we leave out: transactions, splitting of batches that are too large, interceptors.

mod accumulator;
mod sender;
mod transaction_manager;

use std::collections::{BTreeMap, VecDeque};

use self::accumulator::{Accumulator, PendingBatch};
use self::transaction_manager::TransactionManager;
use super::backoff::Backoff;
use super::cluster_view::ClusterView;
use super::config::ProducerConfig;
use super::connection::{InFlight, LostConnections};
use super::effects::{Effects, Input, Timer};
use super::error::ErrorCode;
use super::fact::Fact;
use super::ids::{BrokerId, ClientId, Name, Node, TopicPartition};
use super::message::{Message, Response};
use super::partitioner::{self, Choice, StickyPartitioner};
use super::workload::Workload;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// What a producer is made of.
#[derive(Clone, Debug)]
pub struct ProducerSetup {
    pub id: ClientId,
    /// `producer-shop`.
    pub name: Name,
    pub workload: Workload,
    pub config: ProducerConfig,
    /// `bootstrap.servers`.
    pub bootstrap: Vec<BrokerId>,
    pub rng: Rng,
}

/// One producer and its application.
#[derive(Clone, Debug)]
pub struct Producer {
    id: ClientId,
    name: Name,
    config: ProducerConfig,
    workload: Workload,
    rng: Rng,
    view: ClusterView,
    in_flight: InFlight<Purpose>,
    connections: LostConnections,
    accumulator: Accumulator,
    transactions: TransactionManager,
    sticky: StickyPartitioner,
    /// Batches that were sent and not answered, by the ticket of their request.
    sent: BTreeMap<u64, Vec<(TopicPartition, PendingBatch)>>,
    next_ticket: u64,
    phase: Phase,
    /// The record that the application hands over next.
    next_record: u64,
    /// When the record of that number was due; due times are counted from there.
    pace: (Instant, u64),
    by_hand: VecDeque<HandRecord>,
    /// Since when send() blocks.
    blocked_since: Option<Instant>,
    counters: Counters,
    /// [`Timer::Delivery`] is set.
    delivery_armed: bool,
    /// Room for the next record's key and value.
    key: Vec<u8>,
    value: Vec<u8>,
}

/// A record that somebody sends by hand.
#[derive(Clone, Debug)]
pub struct HandRecord {
    pub key: Option<Name>,
    /// `None` is a tombstone.
    pub value: Option<Name>,
    pub partition: Option<u32>,
}

/// How the record in the producer's hands is to be sent.
#[derive(Clone, Copy)]
struct Sending {
    /// Its key is not null.
    keyed: bool,
    /// Its value is null.
    tombstone: bool,
    /// Where the application wants it.
    partition: Option<u32>,
}

/// What send() was given and what it reported, in records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub sent: u64,
    pub acked: u64,
    pub failed: u64,
    /// Batches that went out again.
    pub retries: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// close() waits for what is on its way.
    Closing,
    Closed,
}

/// What a request was for.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Metadata,
    /// To see whether a lost connection stands again.
    Connect,
    InitProducerId,
    Produce {
        ticket: u64,
    },
}

impl Producer {
    pub fn new(setup: ProducerSetup) -> Self {
        let ProducerSetup { id, name, workload, config, bootstrap, rng } = setup;
        let backoff = Backoff { initial: config.retry_backoff, max: config.retry_backoff_max };
        let view = ClusterView::new(bootstrap, vec![workload.topic.clone()], backoff, config.metadata_max_age);
        Self {
            id,
            name,
            workload,
            rng,
            view,
            in_flight: InFlight::default(),
            connections: LostConnections::default(),
            accumulator: Accumulator::default(),
            transactions: TransactionManager::default(),
            sticky: StickyPartitioner::new(config.batch_size),
            sent: BTreeMap::new(),
            next_ticket: 0,
            phase: Phase::Open,
            next_record: 0,
            pace: (Instant::ZERO, 0),
            by_hand: VecDeque::new(),
            blocked_since: None,
            counters: Counters::default(),
            delivery_armed: false,
            key: Vec::new(),
            value: Vec::new(),
            config,
        }
    }

    /// The same application in a new process: it goes on with its next record. What was buffered is gone, and of what
    /// was in flight nobody will hear. It asks for a producer id of its own, so leaders cannot tell what it sends again.
    pub fn restarted(self, rng: Rng, bootstrap: Vec<BrokerId>) -> Self {
        let Self { id, name, config, workload, accumulator, next_record, counters, .. } = self;
        let fresh = Self::new(ProducerSetup { id, name, workload, config, bootstrap, rng });
        Self { accumulator: accumulator.emptied(), next_record, counters, ..fresh }
    }

    pub fn step(&mut self, now: Instant, input: Input, out: &mut Effects) {
        match input {
            Input::Start => self.pace = (now, self.next_record),
            Input::Message { message: Message::Response { correlation_id, response }, .. } => {
                self.on_response(now, correlation_id, response, out);
            }
            // Nobody asks a producer anything.
            Input::Message { .. } => {}
            Input::Timer(Timer::RequestTimeouts) => {
                // Not an answer of the broker's: it is what the client makes of having none (`Sender.handleProduceResponse`).
                // The connection is closed, and that asks for metadata (`NetworkClient.handleServerDisconnect`).
                let mut silent = None;
                for (peer, purpose) in self.in_flight.expired(now, out) {
                    if silent.replace(peer) != Some(peer) {
                        self.connections.lost(now, peer, &mut self.rng);
                    }
                    self.view.mark_stale();
                    self.on_lost(now, purpose, ErrorCode::RequestTimedOut, out);
                }
            }
            Input::Timer(Timer::Delivery) => {
                self.delivery_armed = false;
                self.expire_batches(now, out);
            }
            Input::Timer(_) => {}
            Input::Disconnected { peer } => {
                // The leaders may have changed; with acks=0 this is also how a broker says that something is wrong
                // (`NetworkClient.handleServerDisconnect`).
                self.view.mark_stale();
                self.connections.lost(now, peer, &mut self.rng);
                for purpose in self.in_flight.disconnected(peer) {
                    self.on_lost(now, purpose, ErrorCode::NetworkException, out);
                }
            }
            Input::Shutdown => self.close(),
        }
        self.run(now, out);
    }

    /// After every input: whatever can go on, goes on.
    fn run(&mut self, now: Instant, out: &mut Effects) {
        if self.phase == Phase::Closed {
            return;
        }
        self.run_application(now, out);
        self.run_sender(now, out);
        if let Some((to, request)) = self.view.next_request(now, out) {
            self.in_flight.send(now, to, request, self.config.request_timeout, Purpose::Metadata, out);
        }
        if self.phase == Phase::Closing && self.accumulator.is_empty() && self.sent.is_empty() {
            self.phase = Phase::Closed;
            out.exit();
        }
    }

    /// close(): no new records; those on their way are waited for.
    fn close(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
        }
    }

    /// Hands over every record that is due, unless send() blocks.
    fn run_application(&mut self, now: Instant, out: &mut Effects) {
        if self.phase != Phase::Open {
            return;
        }
        let topic = match self.view.topic(&self.workload.topic) {
            Some(topic) if !topic.partitions.is_empty() => {
                (topic.id, topic.partitions.len() as u32, topic.available.clone())
            }
            _ => return self.block(now, out),
        };
        let choice = Choice { partitions: topic.1, available: &topic.2 };
        let mut blocked = false;
        while let Some(record) = self.by_hand.pop_front() {
            self.key.clear();
            self.value.clear();
            self.key.extend_from_slice(record.key.as_deref().unwrap_or_default().as_bytes());
            self.value.extend_from_slice(record.value.as_deref().unwrap_or_default().as_bytes());
            let sending =
                Sending { keyed: record.key.is_some(), tombstone: record.value.is_none(), partition: record.partition };
            if !self.send_one(now, choice, sending, out) {
                self.by_hand.push_front(record);
                blocked = true;
                break;
            }
        }
        while !blocked && self.workload.count.is_none_or(|count| self.next_record < count) && self.is_due(now) {
            self.key.clear();
            self.value.clear();
            let keyed = self.workload.key(self.next_record, &mut self.key);
            self.workload.value(self.next_record, &mut self.value);
            if self.send_one(now, choice, Sending { keyed, tombstone: false, partition: None }, out) {
                self.next_record += 1;
            } else {
                blocked = true;
            }
        }
        for (partition, origin, bytes) in self.accumulator.take_appended(self.id) {
            out.note(Fact::RecordsSent { partition: TopicPartition::new(topic.0, partition), origin, bytes });
        }
        if blocked {
            return self.block(now, out);
        }
        self.blocked_since = None;
        if self.workload.count.is_some_and(|count| self.next_record >= count) {
            self.close();
        } else if let Some(due) = self.next_due() {
            // Records of a fast application are handed over a millisecond's worth at a time.
            out.set_timer(due.max(now + MIN_TICK), Timer::Application);
        }
    }

    /// send() of the record in `key` and `value`. False where it blocks: nothing has happened then.
    fn send_one(&mut self, now: Instant, choice: Choice<'_>, sending: Sending, out: &mut Effects) -> bool {
        if self.value.len() + self.key.len() > self.config.max_request_size as usize {
            self.counters.sent += 1;
            self.counters.failed += 1;
            out.note(Fact::SendFailed { count: 1, error: ErrorCode::MessageTooLarge });
            return true;
        }
        let by_key = sending.keyed && !self.config.ignore_keys;
        let chosen = sending.partition.filter(|partition| *partition < choice.partitions);
        let partition = match chosen {
            Some(partition) => partition,
            None if by_key => partitioner::partition_for_key(&self.key, choice.partitions),
            None => self.stick(choice),
        };
        let key = sending.keyed.then_some(self.key.as_slice());
        let value = (!sending.tombstone).then_some(self.value.as_slice());
        let Ok(appended) = self.accumulator.append(now, partition, key, value, &self.config, self.id) else {
            return false;
        };
        self.counters.sent += 1;
        if chosen.is_none() && !by_key {
            let all_full = !self.accumulator.has_open(partition);
            self.sticky.appended(appended.bytes, all_full, choice, &mut self.rng);
        }
        if appended.new_batch {
            self.arm_delivery(out);
        }
        true
    }

    /// The partition for a record without a key. A switch waits for the end of a batch.
    fn stick(&mut self, choice: Choice<'_>) -> u32 {
        if self.config.adaptive_partitioning && self.sticky.may_switch() {
            let queues: Vec<(u32, u32)> =
                choice.available.iter().map(|partition| (*partition, self.accumulator.queued(*partition))).collect();
            self.sticky.measure(&queues, self.accumulator.partitions_used(), choice.partitions);
        }
        let partition = self.sticky.partition(choice, &mut self.rng);
        if !self.accumulator.has_open(partition) && self.sticky.settle(choice, &mut self.rng) {
            return self.sticky.partition(choice, &mut self.rng);
        }
        partition
    }

    /// send() waits for metadata or for room, at most `max.block.ms`; then the record has failed.
    fn block(&mut self, now: Instant, out: &mut Effects) {
        if !self.is_due(now) && self.by_hand.is_empty() {
            if let Some(due) = self.next_due() {
                out.set_timer(due.max(now + MIN_TICK), Timer::Application);
            }
            return;
        }
        let since = *self.blocked_since.get_or_insert(now);
        let until = since + self.config.max_block;
        if now < until {
            out.set_timer(until, Timer::Application);
            return;
        }
        self.blocked_since = Some(now);
        self.counters.sent += 1;
        self.counters.failed += 1;
        if self.by_hand.pop_front().is_none() {
            self.next_record += 1;
        }
        out.note(Fact::SendFailed { count: 1, error: ErrorCode::RequestTimedOut });
        out.set_timer(now + self.config.max_block, Timer::Application);
    }

    fn next_due(&self) -> Option<Instant> {
        let (since, first) = self.pace;
        Some(since + self.workload.due(self.next_record - first)?)
    }

    fn is_due(&self, now: Instant) -> bool {
        self.workload.count.is_none_or(|count| self.next_record < count)
            && self.next_due().is_some_and(|due| due <= now)
    }

    fn on_response(&mut self, now: Instant, correlation_id: u32, response: Response, out: &mut Effects) {
        let Some((from, purpose)) = self.in_flight.complete(correlation_id) else { return };
        self.connections.stands(from);
        match (purpose, response) {
            (Purpose::Connect, _) => {}
            (Purpose::Metadata, Response::Metadata(metadata)) => {
                out.note(Fact::MetadataUpdated { brokers: metadata.brokers.len() as u32 });
                self.view.update(now, metadata, &mut self.rng, out);
            }
            (Purpose::InitProducerId, Response::InitProducerId(answer)) => self.on_producer_id(now, &answer, out),
            (Purpose::Produce { ticket }, Response::Produce(produced)) => {
                self.on_produced(now, ticket, &produced.partitions, out)
            }
            (purpose, _) => self.on_lost(now, purpose, ErrorCode::UnknownServerError, out),
        }
    }

    /// Changes the application's pace, from now on.
    pub fn set_workload(&mut self, now: Instant, workload: Workload) {
        self.pace = (now, self.next_record);
        self.workload = workload;
    }

    /// Changes the settings, from now on.
    pub fn set_config(&mut self, config: ProducerConfig) {
        self.config = config;
    }

    /// send() of one record by hand, at the next step.
    pub fn send_by_hand(&mut self, record: HandRecord) {
        self.by_hand.push_back(record);
    }

    pub fn id(&self) -> ClientId {
        self.id
    }

    /// `producer-shop`.
    pub fn name(&self) -> &Name {
        &self.name
    }

    pub fn node(&self) -> Node {
        Node::Producer(self.id)
    }

    pub fn config(&self) -> &ProducerConfig {
        &self.config
    }

    pub fn workload(&self) -> &Workload {
        &self.workload
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Records given to send() of which nothing is known yet.
    pub fn pending(&self) -> u64 {
        self.counters.sent - self.counters.acked - self.counters.failed
    }

    /// Its id and epoch, by which leaders know its batches, once it has them.
    pub fn producer_id_and_epoch(&self) -> Option<(i64, i16)> {
        self.transactions.identity().map(|identity| (identity.id, identity.epoch))
    }

    /// Bytes of `buffer.memory` in use.
    pub fn buffered_bytes(&self) -> u64 {
        self.accumulator.memory()
    }

    /// Whether send() is blocked for want of metadata or room.
    pub fn is_blocked(&self) -> bool {
        self.blocked_since.is_some()
    }

    /// Whether close() is done.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// What it believes about the cluster.
    pub fn view(&self) -> &ClusterView {
        &self.view
    }
}

/// The application hands over what has become due since its last turn at most this often.
const MIN_TICK: Duration = Duration::millis(1);
