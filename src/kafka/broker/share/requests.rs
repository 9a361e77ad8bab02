//! ShareFetch and ShareAcknowledge (`KafkaApis.handleShareFetchRequest`, `handleShareAcknowledgeRequest`).

use std::collections::BTreeMap;

use super::questions::Heed;
use super::{Acknowledged, Broker, Exchange, FetchPart};
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{Node, TopicPartition};
use crate::kafka::message::Response;
use crate::kafka::message::share::{
    Acknowledgements, FINAL_SESSION_EPOCH, FIRST_SESSION_EPOCH, ShareAcknowledgeRequest, ShareAcknowledgeResponse,
    ShareFetchRequest, ShareFetchResponse, ShareFetchedPartition, SharePartitionKey,
};
use crate::kafka::share::partition::{Limits, Wish};
use crate::kafka::share::session::SessionKey;
use crate::time::{Duration, Instant};

impl Broker {
    pub(super) fn on_share_fetch(
        &mut self,
        now: Instant,
        from: Node,
        correlation_id: u32,
        mut request: ShareFetchRequest,
        out: &mut Effects,
    ) {
        let acknowledgements: Acknowledgements = request
            .partitions
            .iter_mut()
            .map(|(partition, batches)| (*partition, std::mem::take(batches)))
            .filter(|(_, batches)| !batches.is_empty())
            .collect();
        let session = (request.group.clone(), request.member_id.clone());
        let epoch = request.session_epoch;
        let added = request.partitions.iter().map(|(partition, _)| *partition);
        // Whoever opens a session can have nothing to acknowledge.
        let admitted = if epoch == FIRST_SESSION_EPOCH && !acknowledgements.is_empty() {
            Err(ErrorCode::InvalidRequest)
        } else {
            self.share.sessions.fetch(&session, from, epoch, added, &request.forgotten)
        };
        let partitions = match admitted {
            Ok(partitions) => partitions,
            Err(error) => {
                let acquisition_lock_timeout = Duration::ZERO;
                let response = ShareFetchResponse { error, acquisition_lock_timeout, partitions: Vec::new() };
                return out.respond(from, correlation_id, Response::ShareFetch(response));
            }
        };
        let id = self.share.next_id();
        let max_wait = request.max_wait;
        // A renewal must not wait for records.
        let closes = epoch == FINAL_SESSION_EPOCH;
        let fetched = (closes || request.is_renewal || partitions.is_empty()).then(Vec::new);
        let waits = fetched.is_none();
        let fetch = Some(FetchPart { request, partitions: Vec::new(), erroneous: BTreeMap::new(), fetched });
        self.share
            .exchanges
            .insert(id, Exchange { from, correlation_id, session, fetch, acknowledged: Vec::new(), closes });
        if waits {
            out.set_timer(now + max_wait, Timer::DelayedShareFetch { id });
        }
        self.acknowledge(now, id, acknowledgements, out);
        if waits {
            let is_hopeless = !self.find_windows(now, id, &partitions, out);
            self.try_share_fetch(now, id, is_hopeless, out);
        }
        self.try_finish_exchange(now, id, out);
    }

    /// Finds the windows that a ShareFetch is about. Returns whether there is any (`processShareFetch`).
    fn find_windows(&mut self, now: Instant, id: u64, partitions: &[TopicPartition], out: &mut Effects) -> bool {
        let Some(group) = self.share.exchanges.get(&id).map(|exchange| exchange.session.0.clone()) else { return true };
        let mut found = Vec::new();
        let mut missing = Vec::new();
        for partition in partitions {
            let key = SharePartitionKey { group: group.clone(), partition: *partition };
            match self.open_window(now, &key, id, out) {
                Ok(window) => found.push((*partition, window)),
                Err(error) => missing.push((*partition, error)),
            }
        }
        let finds_any = !found.is_empty();
        if let Some(fetch) = self.share.exchanges.get_mut(&id).and_then(|exchange| exchange.fetch.as_mut()) {
            fetch.partitions = found;
            fetch.erroneous.extend(missing);
        }
        finds_any
    }

    pub(super) fn on_share_acknowledge(
        &mut self,
        now: Instant,
        from: Node,
        correlation_id: u32,
        request: ShareAcknowledgeRequest,
        out: &mut Effects,
    ) {
        let session = (request.group.clone(), request.member_id.clone());
        if let Err(error) = self.share.sessions.acknowledge(&session, request.session_epoch) {
            let response = ShareAcknowledgeResponse { error, partitions: Vec::new() };
            return out.respond(from, correlation_id, Response::ShareAcknowledge(response));
        }
        let id = self.share.next_id();
        let closes = request.session_epoch == FINAL_SESSION_EPOCH;
        let exchange = Exchange { from, correlation_id, session, fetch: None, acknowledged: Vec::new(), closes };
        self.share.exchanges.insert(id, exchange);
        self.acknowledge(now, id, request.partitions, out);
        self.try_finish_exchange(now, id, out);
    }

    /// Lets acknowledgements act on their windows. What they change is written first.
    fn acknowledge(&mut self, now: Instant, id: u64, acknowledgements: Acknowledgements, out: &mut Effects) {
        let limits = Limits::of(&self.config);
        let Some((group, member)) = self.share.exchanges.get(&id).map(|exchange| exchange.session.clone()) else {
            return;
        };
        // All of them first: one may be done before the next is begun.
        let numbered: Vec<_> = acknowledgements.into_iter().map(|of| (self.share.next_id(), of)).collect();
        if let Some(exchange) = self.share.exchanges.get_mut(&id) {
            let begun = |(write, (partition, _)): &(u64, (TopicPartition, _))| Acknowledged {
                partition: *partition,
                write: *write,
                error: None,
            };
            exchange.acknowledged = numbered.iter().map(begun).collect();
        }
        for (write, (partition, batches)) in numbered {
            let key = SharePartitionKey { group: group.clone(), partition };
            let outcome = match self.share.window_mut(&key) {
                None => Err(ErrorCode::UnknownTopicOrPartition),
                Some(window) => window.acknowledge(now, &member, &batches, &limits, write),
            };
            let (error, changed) = match outcome {
                Err(error) => (Some(error), Vec::new()),
                Ok(changed) if changed.is_empty() => (Some(ErrorCode::None), changed),
                Ok(changed) => (None, changed),
            };
            if let Some(exchange) = self.share.exchanges.get_mut(&id) {
                exchange.acknowledged.iter_mut().filter(|of| of.write == write).for_each(|of| of.error = error);
            }
            if !changed.is_empty() {
                self.write_share_state(now, &key, write, changed, Heed::Fencing, out);
            }
            self.arm_lock(&key, out);
        }
    }

    /// Settles what a ShareFetch gets: if there is something, or if it has waited long enough (`DelayedShareFetch`).
    pub(super) fn try_share_fetch(&mut self, now: Instant, id: u64, is_late: bool, out: &mut Effects) {
        let Some(exchange) = self.share.exchanges.get(&id) else { return };
        let Some(fetch) = exchange.fetch.as_ref().filter(|fetch| fetch.fetched.is_none()) else { return };
        let (session, request, partitions) =
            (exchange.session.clone(), fetch.request.clone(), fetch.partitions.clone());
        let erroneous = fetch.erroneous.clone();
        let errors = erroneous.iter().map(|(partition, error)| self.failed_fetch(*partition, *error));
        let mut fetched: Vec<ShareFetchedPartition> = errors.collect();
        let asked =
            partitions.iter().filter(|(partition, _)| !erroneous.contains_key(partition)).count() + fetched.len();
        let share = request.max_bytes / u32::try_from(asked.max(1)).unwrap_or(u32::MAX);
        let mut left = request.max_records;
        for (partition, window) in partitions {
            let found = self.acquire(now, &session, &request, (partition, window), (share, left), out);
            left = left.saturating_sub(found.iter().flat_map(|found| &found.acquired).map(count).sum());
            fetched.extend(found);
        }
        let has_records = fetched.iter().any(|found| !found.acquired.is_empty());
        if !has_records && !is_late {
            return;
        }
        out.cancel_timer(Timer::DelayedShareFetch { id });
        let sent = fetched.iter().flat_map(|found| &found.batches).map(|batch| batch.size()).sum();
        self.count_sent(sent, out);
        if let Some(fetch) = self.share.exchanges.get_mut(&id).and_then(|exchange| exchange.fetch.as_mut()) {
            fetch.fetched = Some(fetched);
        }
        self.try_finish_exchange(now, id, out);
    }

    /// What a member can acquire of one partition. `None` where there is nothing to tell.
    fn acquire(
        &mut self,
        now: Instant,
        (group, member): &SessionKey,
        request: &ShareFetchRequest,
        (partition, window): (TopicPartition, u64),
        (max_bytes, max_records): (u32, u32),
        out: &mut Effects,
    ) -> Option<ShareFetchedPartition> {
        let key = SharePartitionKey { group: group.clone(), partition };
        // The window that it waits for may be gone, and another in its place.
        self.share.windows.get(&key).filter(|now| now.question() == window)?;
        let limits = Limits::of(&self.config);
        let mut found = self.failed_fetch(partition, ErrorCode::None);
        let replica = self.replicas.get(&partition)?;
        let window = self.share.window_mut(&key)?;
        window.log_start_moved(replica.log().start(), out);
        if !window.can_acquire(&limits) || max_records == 0 {
            return None;
        }
        let from = window.next_fetch_offset();
        let (end, max_bytes) = (replica.high_watermark(), u64::from(max_bytes));
        let read = replica.log().read(from, end, max_bytes, true);
        let wish = Wish { member, max_records, batch_size: request.batch_size, mode: request.acquire_mode };
        found.acquired = self.share.window_mut(&key)?.acquire(now, &wish, &read, &limits, out);
        if found.acquired.is_empty() {
            return None;
        }
        self.arm_lock(&key, out);
        // Batches of which nothing was acquired need not travel.
        let last = found.acquired.iter().map(|acquired| acquired.last).max()?;
        found.batches = read.into_iter().take_while(|batch| batch.base_offset <= last).collect();
        Some(found)
    }

    /// What a member is told of a partition from which it gets nothing.
    fn failed_fetch(&self, partition: TopicPartition, error: ErrorCode) -> ShareFetchedPartition {
        ShareFetchedPartition {
            partition,
            error,
            acknowledge_error: ErrorCode::None,
            current_leader: self.share_leader(partition, error),
            batches: Vec::new(),
            acquired: Vec::new(),
        }
    }

    fn share_leader(&self, partition: TopicPartition, error: ErrorCode) -> crate::kafka::message::CurrentLeader {
        if error != ErrorCode::NotLeaderOrFollower {
            return None;
        }
        self.replicas.get(&partition)?.current_leader(self.id)
    }

    /// Answers a member once everything that its request waits for is there.
    pub(super) fn try_finish_exchange(&mut self, now: Instant, id: u64, out: &mut Effects) {
        let is_done = |exchange: &Exchange| {
            exchange.acknowledged.iter().all(|of| of.error.is_some())
                && exchange.fetch.as_ref().is_none_or(|fetch| fetch.fetched.is_some())
        };
        if !self.share.exchanges.get(&id).is_some_and(is_done) {
            return;
        }
        let Some(exchange) = self.share.exchanges.remove(&id) else { return };
        let Exchange { from, correlation_id, session, fetch, acknowledged, closes } = exchange;
        let acknowledged = acknowledged.into_iter().map(|of| (of.partition, of.error.unwrap_or(ErrorCode::None)));
        let response = match fetch {
            None => {
                let answer = |(partition, error)| (partition, error, self.share_leader(partition, error));
                let partitions = acknowledged.map(answer).collect();
                Response::ShareAcknowledge(ShareAcknowledgeResponse { error: ErrorCode::None, partitions })
            }
            Some(fetch) => {
                let mut partitions = fetch.fetched.unwrap_or_default();
                for (partition, error) in acknowledged {
                    match partitions.iter_mut().find(|found| found.partition == partition) {
                        Some(found) => found.acknowledge_error = error,
                        None => partitions.push(ShareFetchedPartition {
                            acknowledge_error: error,
                            ..self.failed_fetch(partition, ErrorCode::None)
                        }),
                    }
                }
                let acquisition_lock_timeout = self.config.share_record_lock_duration;
                Response::ShareFetch(ShareFetchResponse {
                    error: ErrorCode::None,
                    acquisition_lock_timeout,
                    partitions,
                })
            }
        };
        out.respond(from, correlation_id, response);
        if closes {
            self.close_share_session(now, &session, out);
        }
    }
}

fn count(acquired: &crate::kafka::message::share::AcquiredRecords) -> u32 {
    u32::try_from(acquired.last - acquired.first + 1).unwrap_or(0)
}
