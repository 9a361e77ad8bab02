//! ShareFetch and ShareAcknowledge, sent and answered (`ShareConsumeRequestManager`, `ShareSessionHandler`).

use std::collections::{BTreeMap, BTreeSet};

use super::work::ShareSlice;
use super::{Purpose, ShareConsumer};
use crate::kafka::effects::Effects;
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::Fact;
use crate::kafka::ids::{BrokerId, Node, Offset, Origin, TopicPartition};
use crate::kafka::message::Request;
use crate::kafka::message::share::{
    AcknowledgeType, Acknowledgements, FINAL_SESSION_EPOCH, FIRST_SESSION_EPOCH, ShareAcknowledgeRequest,
    ShareAcknowledgeResponse, ShareFetchRequest, ShareFetchResponse, ShareFetchedPartition,
};
use crate::kafka::record::Batch;
use crate::time::{Duration, Instant};

/// A share session with one leader.
#[derive(Clone, Debug, Default)]
pub(super) struct ShareSession {
    /// Of the next request.
    epoch: i32,
    partitions: BTreeSet<TopicPartition>,
    /// A request is out.
    asking: bool,
    /// Not asked before then.
    not_before: Instant,
}

/// Records that have come, and who gave them out.
#[derive(Clone, Debug)]
pub(super) struct Buffered {
    broker: BrokerId,
    pub(super) slice: ShareSlice,
}

impl Buffered {
    pub(super) fn count(&self) -> u64 {
        u64::from(self.slice.count)
    }
}

impl ShareConsumer {
    /// Hands what has come to the application, about `max.poll.records` of it: what was acquired together stays so.
    pub(super) fn collect(&mut self, out: &mut Effects) {
        let mut room = self.config.max_poll_records;
        while room > 0
            && let Some(Buffered { broker, slice }) = self.buffer.pop_front()
        {
            room = room.saturating_sub(slice.count);
            let (partition, base_offset, count) = (slice.partition, slice.base_offset, slice.count);
            out.note(Fact::Polled { partition, base_offset, count });
            self.work.give(broker, slice);
        }
    }

    /// What is to be said of the records of the last poll(), if anything.
    pub(super) fn gather_acknowledgements(&mut self) {
        for (broker, partition, batch) in self.work.take_outcomes() {
            self.acknowledgements.entry(broker).or_default().entry(partition).or_default().push(batch);
        }
    }

    /// Asks every leader of an assigned partition that is not asked already, and takes along what is to be said to it.
    pub(super) fn send_fetches(&mut self, now: Instant, out: &mut Effects) {
        let mut leaders: BTreeMap<BrokerId, BTreeSet<TopicPartition>> = BTreeMap::new();
        for partition in self.membership.assigned() {
            match self.view.leader(*partition) {
                Some(leader) => {
                    leaders.entry(leader).or_default().insert(*partition);
                }
                None => self.view.mark_stale(),
            }
        }
        for (broker, wanted) in leaders {
            let session = self.sessions.entry(broker).or_default();
            if session.asking {
                continue;
            }
            if now < session.not_before {
                let at = session.not_before;
                self.wake_at(now, at, out);
                continue;
            }
            let request = self.share_fetch(broker, wanted);
            let purpose = Purpose::ShareFetch(broker);
            self.send(now, Node::Broker(broker), Request::ShareFetch(request), purpose, out);
        }
        self.send_acknowledgements(now, out);
    }

    fn share_fetch(&mut self, broker: BrokerId, wanted: BTreeSet<TopicPartition>) -> ShareFetchRequest {
        let session = self.sessions.entry(broker).or_default();
        // A new session knows nothing of what an old one gave out: it has been released.
        let said = self.acknowledgements.remove(&broker).filter(|_| session.epoch != FIRST_SESSION_EPOCH);
        let known = std::mem::replace(&mut session.partitions, wanted);
        let added = session.partitions.difference(&known).map(|partition| (*partition, Vec::new()));
        let mut partitions: BTreeMap<_, _> = added.collect();
        partitions.extend(said.into_iter().flatten());
        let forgotten = known.difference(&session.partitions).copied().collect();
        session.asking = true;
        let is_renewal = partitions.values().flatten().any(|batch| batch.kind == AcknowledgeType::Renew);
        ShareFetchRequest {
            group: self.group.clone(),
            member_id: self.membership.member_id().clone(),
            session_epoch: session.epoch,
            max_wait: if is_renewal { Duration::ZERO } else { self.config.fetch_max_wait },
            min_bytes: self.config.fetch_min_bytes,
            max_bytes: self.config.fetch_max_bytes,
            max_records: if is_renewal { 0 } else { self.config.max_poll_records },
            batch_size: self.config.max_poll_records,
            acquire_mode: self.config.acquire_mode,
            is_renewal,
            partitions: partitions.into_iter().collect(),
            forgotten,
        }
    }

    /// What nobody takes along is sent by itself (`ShareAcknowledgeAsyncEvent`).
    pub(super) fn send_acknowledgements(&mut self, now: Instant, out: &mut Effects) {
        let brokers: Vec<BrokerId> = self.acknowledgements.keys().copied().collect();
        for broker in brokers {
            let session = self.sessions.entry(broker).or_default();
            if session.epoch == FIRST_SESSION_EPOCH {
                self.acknowledgements.remove(&broker);
            } else if !session.asking {
                let epoch = session.epoch;
                self.send_acknowledge(now, broker, epoch, out);
            }
        }
    }

    fn send_acknowledge(&mut self, now: Instant, broker: BrokerId, session_epoch: i32, out: &mut Effects) {
        let said: Acknowledgements =
            self.acknowledgements.remove(&broker).map(|said| said.into_iter().collect()).unwrap_or_default();
        self.sessions.entry(broker).or_default().asking = true;
        let request = ShareAcknowledgeRequest {
            group: self.group.clone(),
            member_id: self.membership.member_id().clone(),
            session_epoch,
            is_renewal: said.iter().flat_map(|(_, said)| said).any(|batch| batch.kind == AcknowledgeType::Renew),
            partitions: said,
        };
        let purpose = Purpose::ShareAcknowledge(broker, session_epoch == FINAL_SESSION_EPOCH);
        self.send(now, Node::Broker(broker), Request::ShareAcknowledge(request), purpose, out);
    }

    /// Ends every session, with the last acknowledgements. Returns whether that is over.
    pub(super) fn end_sessions(&mut self, now: Instant, out: &mut Effects) -> bool {
        self.sessions.retain(|_, session| session.asking || session.epoch != FIRST_SESSION_EPOCH);
        let quiet = self.sessions.iter().filter(|(_, session)| !session.asking);
        let quiet: Vec<BrokerId> = quiet.map(|(broker, _)| *broker).collect();
        for broker in quiet {
            self.send_acknowledge(now, broker, FINAL_SESSION_EPOCH, out);
        }
        self.sessions.is_empty()
    }

    pub(super) fn on_share_fetched(
        &mut self,
        now: Instant,
        broker: BrokerId,
        response: ShareFetchResponse,
        out: &mut Effects,
    ) {
        let pause = self.backoff().pause(0, &mut self.rng);
        let Some(session) = self.sessions.get_mut(&broker) else { return };
        session.asking = false;
        if !response.error.is_none() {
            session.not_before = now + pause;
            return self.session_refused(broker, response.error, out);
        }
        session.epoch = next_epoch(session.epoch);
        for fetched in response.partitions {
            if !fetched.acknowledge_error.is_none() {
                let (group, error) = (self.group.clone(), fetched.acknowledge_error);
                out.note(Fact::CommitFailed { group, error });
            }
            if !fetched.error.is_none() {
                let knows_better = self.view.learn_leader(fetched.partition, fetched.current_leader);
                if !knows_better {
                    self.view.mark_stale();
                    if let Some(session) = self.sessions.get_mut(&broker) {
                        session.not_before = now + pause;
                    }
                }
            }
            self.take_acquired(broker, &fetched, out);
        }
    }

    /// Cuts the acquired records out of the batches that came.
    fn take_acquired(&mut self, broker: BrokerId, fetched: &ShareFetchedPartition, out: &mut Effects) {
        let partition = fetched.partition;
        for acquired in &fetched.acquired {
            for batch in &fetched.batches {
                let first = acquired.first.max(batch.base_offset);
                let last = acquired.last.min(batch.last_offset());
                if let Some(slice) = slice(partition, first, last, acquired.delivery_count, batch) {
                    let (base_offset, count) = (slice.base_offset, slice.count);
                    out.note(Fact::Fetched { partition, base_offset, count });
                    self.buffer.push_back(Buffered { broker, slice });
                }
            }
        }
    }

    pub(super) fn on_acknowledged(
        &mut self,
        broker: BrokerId,
        is_last: bool,
        response: &ShareAcknowledgeResponse,
        out: &mut Effects,
    ) {
        if is_last {
            self.sessions.remove(&broker);
        } else if let Some(session) = self.sessions.get_mut(&broker) {
            session.asking = false;
            session.epoch = next_epoch(session.epoch);
        }
        if !response.error.is_none() {
            return self.session_refused(broker, response.error, out);
        }
        for (_, error, _) in response.partitions.iter().filter(|(_, error, _)| !error.is_none()) {
            out.note(Fact::CommitFailed { group: self.group.clone(), error: *error });
        }
    }

    /// The leader knows another session than this one: the next request opens a new one.
    fn session_refused(&mut self, broker: BrokerId, error: ErrorCode, out: &mut Effects) {
        out.note(Fact::CommitFailed { group: self.group.clone(), error });
        self.acknowledgements.remove(&broker);
        if let Some(session) = self.sessions.get_mut(&broker) {
            session.epoch = FIRST_SESSION_EPOCH;
            session.partitions.clear();
        }
    }

    /// The connection is gone, and the session with it: the leader has released what it had given out. What has come and
    /// waits is somebody else's now.
    pub(super) fn session_lost(&mut self, broker: BrokerId, retry_at: Instant) {
        self.acknowledgements.remove(&broker);
        self.buffer.retain(|buffered| buffered.broker != broker);
        if let Some(session) = self.sessions.get_mut(&broker) {
            *session = ShareSession { not_before: retry_at, ..ShareSession::default() };
        }
    }
}

/// `ShareRequestMetadata.nextEpoch`.
fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

/// The records of a batch from `first` to `last`, if there are any.
fn slice(
    partition: TopicPartition,
    first: Offset,
    last: Offset,
    delivery_count: u16,
    batch: &Batch,
) -> Option<ShareSlice> {
    let count = u32::try_from(last - first + 1).ok().filter(|count| *count > 0 && !batch.is_control())?;
    let delta = u64::try_from(first - batch.base_offset).ok()?;
    let origin = batch.origin.map(|origin| Origin { first: origin.first + delta, count, ..origin });
    Some(ShareSlice { partition, base_offset: first, count, origin, batch: batch.clone(), delivery_count })
}
