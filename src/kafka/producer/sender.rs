//! Getting batches to their leaders (`Sender`, `RecordAccumulator.ready`, `drain`).

use std::collections::{BTreeMap, BTreeSet};

use super::transaction_manager::ProducerIdAndEpoch;
use super::{PendingBatch, Phase, Producer, Purpose};
use crate::kafka::backoff::Backoff;
use crate::kafka::config::Acks;
use crate::kafka::connection::Connection;
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::Fact;
use crate::kafka::ids::{BrokerId, Node, Offset, TopicPartition};
use crate::kafka::message::{
    InitProducerIdRequest, InitProducerIdResponse, MetadataRequest, PartitionProduceResponse, ProduceRequest, Request,
};
use crate::time::Instant;

impl Producer {
    /// Sends every batch that is ready to leaders that will take it, and sets a timer for the next that will be
    /// (`Sender.runOnce`).
    pub(super) fn run_sender(&mut self, now: Instant, out: &mut Effects) {
        let ask_again = self.run_transactions(now, out);
        let Some(topic) = self.view.topic(&self.workload.topic) else {
            ask_again.into_iter().for_each(|at| out.set_timer(at, Timer::Sender));
            return;
        };
        let id = topic.id;
        let flushing = self.phase == Phase::Closing;
        loop {
            let mut requests: BTreeMap<BrokerId, Vec<TopicPartition>> = BTreeMap::new();
            let mut next = ask_again;
            let mut leaderless = false;
            let mut lost: BTreeSet<BrokerId> = BTreeSet::new();
            for partition in self.accumulator.waiting() {
                let Some(ready_at) = self.accumulator.ready_at(partition, self.config.linger, flushing) else {
                    continue;
                };
                let Some(leader) = self.leader_of(partition) else {
                    leaderless = true;
                    continue;
                };
                let wait_until = match self.connections.state(now, Node::Broker(leader)) {
                    _ if ready_at > now => Some(ready_at),
                    Connection::Ready => None,
                    Connection::BackingOff(until) => Some(until),
                    Connection::Due => {
                        lost.insert(leader);
                        continue;
                    }
                    Connection::Connecting => continue,
                };
                if let Some(at) = wait_until {
                    next = Some(next.map_or(at, |earliest| earliest.min(at)));
                } else if self.may_send_to(leader) && self.may_send(partition) {
                    requests.entry(leader).or_default().push(TopicPartition::new(id, partition));
                }
            }
            if leaderless {
                self.view.mark_stale();
            }
            lost.into_iter().for_each(|leader| self.connect(now, leader, out));
            if requests.is_empty() {
                if let Some(at) = next {
                    out.set_timer(at, Timer::Sender);
                }
                return;
            }
            for (leader, partitions) in requests {
                self.send_batches(now, leader, &partitions, out);
            }
        }
    }

    /// What an idempotent producer does before it sends: it bumps its epoch where a sequence cannot be completed, and sees
    /// to its id. Returns when to ask for that again.
    fn run_transactions(&mut self, now: Instant, out: &mut Effects) -> Option<Instant> {
        if !self.config.enable_idempotence {
            return None;
        }
        self.transactions.resolve();
        if self.transactions.bump() {
            self.note_identity(out);
        }
        for partition in self.transactions.take_to_rewrite() {
            let on_their_way = self.sent.values_mut().flatten().filter(|(of, _)| of.partition == partition);
            let on_their_way = on_their_way.map(|(_, batch)| batch).filter(|batch| batch.batch.has_producer_id());
            let mut batches: Vec<_> = on_their_way.chain(self.accumulator.sequenced_mut(partition)).collect();
            batches.sort_by_key(|batch| batch.origin.first);
            self.transactions.rewrite(partition, &mut batches);
        }
        match self.transactions.is_init_due(now) {
            Ok(true) => self.ask_for_producer_id(now, out),
            Ok(false) => None,
            Err(at) => Some(at),
        }
    }

    /// Asks a broker that is not busy (`NetworkClient.leastLoadedNode`); which one is all the same.
    fn ask_for_producer_id(&mut self, now: Instant, out: &mut Effects) -> Option<Instant> {
        let brokers = self.view.brokers();
        let turn = self.id.0 as usize % brokers.len().max(1);
        let in_turn = brokers[turn..].iter().chain(&brokers[..turn]).map(|id| Node::Broker(*id));
        let reachable = in_turn
            .map(|node| (self.connections.state(now, node), node))
            .filter(|(state, _)| matches!(state, Connection::Ready | Connection::Due));
        let Some((state, to)) = reachable.min_by_key(|(_, node)| self.in_flight.count_to(*node)) else {
            let retry_at = now + self.config.retry_backoff;
            self.transactions.init_failed(retry_at);
            return Some(retry_at);
        };
        if state == Connection::Due {
            self.connections.connecting(to);
        }
        self.transactions.init_asked();
        let request = Request::InitProducerId(InitProducerIdRequest {});
        self.in_flight.send(now, to, request, self.config.request_timeout, Purpose::InitProducerId, out);
        None
    }

    /// A broker answered: with an id, or that it is waiting for a block of them.
    pub(super) fn on_producer_id(&mut self, now: Instant, answer: &InitProducerIdResponse, out: &mut Effects) {
        if !answer.error.is_none() {
            return self.transactions.init_failed(now + self.config.retry_backoff);
        }
        self.transactions.initialized(ProducerIdAndEpoch { id: answer.producer_id, epoch: answer.producer_epoch });
        self.note_identity(out);
    }

    fn note_identity(&self, out: &mut Effects) {
        if let Some(ProducerIdAndEpoch { id, epoch }) = self.transactions.identity() {
            out.note(Fact::ProducerIdAssigned { producer_id: id, producer_epoch: epoch });
        }
    }

    /// Tries a lost connection before any batch is given to it (`Sender.sendProducerData`, `NetworkClient.ready`). What
    /// Kafka asks first on a new connection is ApiVersions; here it is Metadata about nothing.
    fn connect(&mut self, now: Instant, leader: BrokerId, out: &mut Effects) {
        let to = Node::Broker(leader);
        self.connections.connecting(to);
        let request = Request::Metadata(MetadataRequest { topics: Some(Vec::new()), allow_auto_topic_creation: false });
        self.in_flight.send(now, to, request, self.config.request_timeout, Purpose::Connect, out);
    }

    fn leader_of(&self, partition: u32) -> Option<BrokerId> {
        self.view.topic(&self.workload.topic)?.partitions.get(partition as usize)?.0
    }

    fn may_send_to(&self, leader: BrokerId) -> bool {
        self.in_flight.count_to(Node::Broker(leader)) < self.config.max_in_flight_requests as usize
    }

    /// Whether the next batch of a partition may go out while others are on their way.
    fn may_send(&self, partition: u32) -> bool {
        let sequenced = self.accumulator.first_sequenced(partition);
        if self.config.enable_idempotence || sequenced.is_some() {
            return self.transactions.may_send(partition, sequenced);
        }
        // With one request in flight records keep their order, whatever the leader (`RecordAccumulator.mutePartition`).
        let in_flight = |(of, _): &(TopicPartition, PendingBatch)| of.partition == partition;
        self.config.max_in_flight_requests > 1 || !self.sent.values().flatten().any(in_flight)
    }

    fn send_batches(&mut self, now: Instant, leader: BrokerId, partitions: &[TopicPartition], out: &mut Effects) {
        let mut batches = Vec::with_capacity(partitions.len());
        for partition in partitions {
            if let Some(mut batch) = self.accumulator.take(partition.partition, self.id) {
                if batch.attempts == 1 && self.config.enable_idempotence {
                    self.transactions.sequence(partition.partition, &mut batch);
                } else if batch.attempts == 1 {
                    batch.batch = batch.batch.sealed();
                }
                batches.push((*partition, batch));
            }
        }
        let request = Request::Produce(ProduceRequest {
            acks: self.config.acks,
            timeout: self.config.request_timeout,
            partitions: batches.iter().map(|(partition, pending)| (*partition, pending.batch.clone())).collect(),
        });
        let to = Node::Broker(leader);
        if self.config.acks == Acks::None {
            // No answer will come: what is on the wire counts as acknowledged.
            out.request(to, u32::MAX, request);
            for (partition, batch) in batches {
                self.succeed(now, partition, &batch, -1, out);
            }
            return;
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.sent.insert(ticket, batches);
        self.in_flight.send(now, to, request, self.config.request_timeout, Purpose::Produce { ticket }, out);
    }

    /// The leader answered.
    pub(super) fn on_produced(
        &mut self,
        now: Instant,
        ticket: u64,
        answers: &[PartitionProduceResponse],
        out: &mut Effects,
    ) {
        for (partition, batch) in self.sent.remove(&ticket).unwrap_or_default() {
            let answer = answers.iter().find(|answer| answer.partition == partition);
            let error = answer.map_or(ErrorCode::UnknownServerError, |answer| answer.error);
            // A leader of old that has the batch already; it does not know where any more.
            if error.is_none() || error == ErrorCode::DuplicateSequenceNumber {
                self.transactions.completed(partition.partition, &batch);
                self.succeed(now, partition, &batch, answer.map_or(-1, |answer| answer.base_offset), out);
                continue;
            }
            let news = answer.is_some_and(|answer| self.view.learn_leader(partition, answer.current_leader));
            self.fail_or_retry(now, partition, batch, error, news, out);
        }
    }

    /// No answer will come.
    pub(super) fn on_lost(&mut self, now: Instant, purpose: Purpose, error: ErrorCode, out: &mut Effects) {
        match purpose {
            Purpose::Metadata => self.view.request_failed(now, &mut self.rng, out),
            Purpose::Connect => {}
            Purpose::InitProducerId => self.transactions.init_failed(now + self.config.retry_backoff),
            Purpose::Produce { ticket } => {
                for (partition, batch) in self.sent.remove(&ticket).unwrap_or_default() {
                    self.fail_or_retry(now, partition, batch, error, false, out);
                }
            }
        }
    }

    /// Sends a batch again after a pause, as long as there is time and the error allows it. A new leader needs no pause.
    fn fail_or_retry(
        &mut self,
        now: Instant,
        partition: TopicPartition,
        mut batch: PendingBatch,
        error: ErrorCode,
        new_leader: bool,
        out: &mut Effects,
    ) {
        if error.is_stale_metadata() {
            self.view.mark_stale();
        }
        let in_time = now.since(batch.created) < self.config.delivery_timeout;
        let tries_left = batch.attempts <= self.config.retries;
        let sequenced = batch.batch.has_producer_id();
        let may_retry = in_time
            && tries_left
            && if sequenced {
                self.transactions.can_retry(partition.partition, &batch, error)
            } else {
                error.is_retriable()
            };
        if !may_retry {
            self.transactions.failed(partition.partition, &batch, error, tries_left);
            let error = if error.is_retriable() && !in_time { ErrorCode::RequestTimedOut } else { error };
            return self.fail(partition, &batch, error, out);
        }
        let backoff = Backoff { initial: self.config.retry_backoff, max: self.config.retry_backoff_max };
        batch.not_before = if new_leader { now } else { now + backoff.pause(batch.attempts - 1, &mut self.rng) };
        self.counters.retries += 1;
        out.note(Fact::BatchRetried { partition, origin: batch.origin, error, attempt: batch.attempts });
        self.accumulator.put_back(partition.partition, batch, sequenced);
    }

    fn succeed(
        &mut self,
        now: Instant,
        partition: TopicPartition,
        batch: &PendingBatch,
        base_offset: Offset,
        out: &mut Effects,
    ) {
        self.accumulator.release(batch);
        self.counters.acked += u64::from(batch.origin.count);
        let latency = now.since(batch.created);
        out.note(Fact::BatchAcked { partition, origin: batch.origin, base_offset, latency });
    }

    fn fail(&mut self, partition: TopicPartition, batch: &PendingBatch, error: ErrorCode, out: &mut Effects) {
        self.accumulator.release(batch);
        self.counters.failed += u64::from(batch.origin.count);
        out.note(Fact::BatchFailed { partition, origin: batch.origin, error });
    }

    /// Sets [`Timer::Delivery`] for the oldest batch. While it is set already it is set for one that is older.
    pub(super) fn arm_delivery(&mut self, out: &mut Effects) {
        if self.delivery_armed {
            return;
        }
        let in_flight = self.sent.values().flatten().map(|(_, batch)| batch.created).min();
        let oldest = [self.accumulator.oldest(), in_flight].into_iter().flatten().min();
        if let Some(created) = oldest {
            self.delivery_armed = true;
            out.set_timer(created + self.config.delivery_timeout, Timer::Delivery);
        }
    }

    /// Fails every batch that was not delivered within `delivery.timeout.ms`, whether it waits or is on its way.
    pub(super) fn expire_batches(&mut self, now: Instant, out: &mut Effects) {
        let timeout = self.config.delivery_timeout;
        if now.since(Instant::ZERO) < timeout {
            return self.arm_delivery(out);
        }
        let deadline = Instant::from_micros(now.as_micros() - timeout.as_micros());
        let Some(topic) = self.view.topic(&self.workload.topic).map(|topic| topic.id) else { return };
        let mut expired: Vec<(TopicPartition, PendingBatch)> = Vec::new();
        for batches in self.sent.values_mut() {
            expired.extend(batches.extract_if(.., |(_, batch)| batch.created <= deadline));
        }
        let waiting = self.accumulator.take_expired(deadline, self.id);
        expired.extend(waiting.into_iter().map(|(partition, batch)| (TopicPartition::new(topic, partition), batch)));
        for (partition, batch) in expired {
            self.transactions.expired(partition.partition, &batch);
            self.fail(partition, &batch, ErrorCode::RequestTimedOut, out);
        }
        self.arm_delivery(out);
    }
}
