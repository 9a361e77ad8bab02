//! The broker's part in share groups (KIP-932): it hands out records of the partitions that it leads, and keeps the state of
//! share-partitions whose partition of `__share_group_state` it leads (`SharePartitionManager`, `DelayedShareFetch`).
//!
//! A window on a partition is opened when the first member asks for it: the share coordinator is asked where the group
//! stands ([`questions`]). A request may wait for several things, and is answered when all are there: the window, records
//! that can be acquired, and the share coordinator's word that acknowledgements are safe. It waits for the windows that it
//! found: where one of them is let go of meanwhile, the request comes back without that partition when its time is over.

mod questions;
mod requests;

use std::collections::BTreeMap;

use self::questions::{Heed, Question, Summary};
use super::Broker;
use crate::kafka::config::ShareOffsetReset;
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::Fact;
use crate::kafka::ids::{LeaderEpoch, Name, Node, Offset, TopicPartition};
use crate::kafka::message::share::{
    ReadShareGroupStateResponse, ShareFetchRequest, ShareFetchedPartition, SharePartitionKey, StateBatch,
    WriteShareGroupStateRequest,
};
use crate::kafka::message::{Request, Response};
use crate::kafka::mistakes::Mistake;
use crate::kafka::replica::Replica;
use crate::kafka::share::partition::{Limits, SharePartition};
use crate::kafka::share::session::{SessionKey, ShareSessions};
use crate::kafka::share::state::ShareCoordinator;
use crate::time::Instant;

/// What a broker knows of share groups.
#[derive(Clone, Debug, Default)]
pub(super) struct Share {
    coordinator: ShareCoordinator,
    windows: BTreeMap<SharePartitionKey, Window>,
    sessions: ShareSessions,
    /// Requests of members that are not answered yet.
    exchanges: BTreeMap<u64, Exchange>,
    /// What share coordinators have been asked.
    questions: BTreeMap<u64, Question>,
    summaries: BTreeMap<u64, Summary>,
    next_id: u64,
}

/// A group's window on a partition (`SharePartitionState`).
#[derive(Clone, Debug)]
enum Window {
    /// The share coordinator has been asked this, in the epoch in which the broker leads, for that exchange.
    Loading { question: u64, epoch: LeaderEpoch, opener: u64 },
    /// The question tells it from others of its group and partition.
    Open { question: u64, window: Box<SharePartition> },
}

impl Window {
    fn question(&self) -> u64 {
        match self {
            Self::Loading { question, .. } | Self::Open { question, .. } => *question,
        }
    }
}

/// A request of a member.
#[derive(Clone, Debug)]
struct Exchange {
    from: Node,
    correlation_id: u32,
    session: SessionKey,
    /// `None` for ShareAcknowledge.
    fetch: Option<FetchPart>,
    /// What became of its acknowledgements; `None` while they are being written.
    acknowledged: Vec<Acknowledged>,
    /// The session ends with the answer.
    closes: bool,
}

#[derive(Clone, Debug)]
struct Acknowledged {
    partition: TopicPartition,
    write: u64,
    error: Option<ErrorCode>,
}

/// What a ShareFetch wants, and what it got, once that is settled.
#[derive(Clone, Debug)]
struct FetchPart {
    request: ShareFetchRequest,
    /// Each with the window that it waits for.
    partitions: Vec<(TopicPartition, u64)>,
    /// Partitions without a window, and why.
    erroneous: BTreeMap<TopicPartition, ErrorCode>,
    fetched: Option<Vec<ShareFetchedPartition>>,
}

impl Share {
    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn window_mut(&mut self, key: &SharePartitionKey) -> Option<&mut SharePartition> {
        match self.windows.get_mut(key)? {
            Window::Open { window, .. } => Some(window),
            Window::Loading { .. } => None,
        }
    }
}

impl Broker {
    /// Every window that is open here, by group and partition.
    pub fn share_partitions(&self) -> impl Iterator<Item = &SharePartition> {
        self.share.windows.values().filter_map(|window| match window {
            Window::Open { window, .. } => Some(&**window),
            Window::Loading { .. } => None,
        })
    }

    /// One group's window on a partition, if it is open here.
    pub fn share_partition(&self, key: &SharePartitionKey) -> Option<&SharePartition> {
        match self.share.windows.get(key)? {
            Window::Open { window, .. } => Some(window),
            Window::Loading { .. } => None,
        }
    }

    /// Where groups stand, as the share coordinator here has it: start offsets, and how many records from there on need no
    /// delivery, with the epoch in which it leads.
    pub fn share_standings(&self) -> impl Iterator<Item = (LeaderEpoch, &SharePartitionKey, Offset, i32)> {
        self.share.coordinator.standings()
    }

    pub(super) fn on_share_request(
        &mut self,
        now: Instant,
        from: Node,
        correlation_id: u32,
        request: Request,
        out: &mut Effects,
    ) {
        match request {
            Request::ShareFetch(fetch) => self.on_share_fetch(now, from, correlation_id, fetch, out),
            Request::ShareAcknowledge(request) => self.on_share_acknowledge(now, from, correlation_id, request, out),
            Request::DescribeShareGroupOffsets(request) => {
                self.on_describe_share_offsets(now, from, correlation_id, &request, out);
            }
            request => self.on_share_state_request(now, from, correlation_id, &request, out),
        }
    }

    pub(super) fn on_share_timer(&mut self, now: Instant, timer: &Timer, out: &mut Effects) {
        match timer {
            Timer::DelayedShareFetch { id } => self.try_share_fetch(now, *id, true, out),
            Timer::AcquisitionLock { group, partition } => {
                let key = SharePartitionKey { group: group.clone(), partition: *partition };
                self.expire_locks(now, &key, out);
            }
            _ => self.ask_again(now, out),
        }
    }

    /// A peer is gone. The sessions on its connection end, and what their members had is released.
    pub(super) fn share_peer_lost(&mut self, now: Instant, peer: Node, out: &mut Effects) {
        let lost: Vec<u64> =
            self.share.exchanges.iter().filter(|(_, exchange)| exchange.from == peer).map(|(id, _)| *id).collect();
        for id in lost {
            self.share.exchanges.remove(&id);
            out.cancel_timer(Timer::DelayedShareFetch { id });
        }
        self.share.summaries.retain(|_, summary| summary.from != peer);
        for session in self.share.sessions.of_node(peer) {
            self.close_share_session(now, &session, out);
        }
        if let Some(group) = self.share.sessions.group_left_empty(peer) {
            self.forget_share_group(group, out);
        }
    }

    /// No member of the group is connected: the next one finds everything as the share coordinator has it (`onGroupEmpty`).
    fn forget_share_group(&mut self, group: Name, out: &mut Effects) {
        let keys: Vec<SharePartitionKey> =
            self.share.windows.keys().filter(|key| key.group == group).cloned().collect();
        if keys.is_empty() {
            return;
        }
        for key in keys {
            self.close_window(&key, out);
        }
        out.note(Fact::ShareGroupForgotten { group });
    }

    fn close_window(&mut self, key: &SharePartitionKey, out: &mut Effects) {
        self.share.windows.remove(key);
        out.cancel_timer(Timer::AcquisitionLock { group: key.group.clone(), partition: key.partition });
    }

    /// `releaseSession`
    fn close_share_session(&mut self, now: Instant, session: &SessionKey, out: &mut Effects) {
        let (group, member) = session;
        let limits = Limits::of(&self.config);
        // A partition that was taken out of the session may still have given it records: they wait for the lock's end.
        for partition in self.share.sessions.close(session) {
            let key = SharePartitionKey { group: group.clone(), partition };
            let write = self.share.next_id();
            let Some(window) = self.share.window_mut(&key) else { continue };
            let changed = window.release(member, &limits, write);
            if !changed.is_empty() {
                self.write_share_state(now, &key, write, changed, Heed::Fencing, out);
                self.arm_lock(&key, out);
            }
        }
    }

    /// Which window a group has on a partition from now on: it is opened if there is none (`getOrCreateSharePartition`).
    fn open_window(
        &mut self,
        now: Instant,
        key: &SharePartitionKey,
        opener: u64,
        out: &mut Effects,
    ) -> Result<u64, ErrorCode> {
        let Some(replica) = self.replicas.get(&key.partition) else {
            return Err(self.error_of_missing(key.partition));
        };
        if !replica.is_leader() {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        if let Some(window) = self.share.windows.get(key) {
            return Ok(window.question());
        }
        let epoch = replica.leader_epoch();
        let question = self.share.next_id();
        self.share.windows.insert(key.clone(), Window::Loading { question, epoch, opener });
        self.ask_where_group_stands(now, key, question, epoch, out);
        Ok(question)
    }

    /// The share coordinator has said where a group stands (`SharePartition.maybeInitialize`).
    fn window_loaded(
        &mut self,
        now: Instant,
        key: &SharePartitionKey,
        id: u64,
        answer: &ReadShareGroupStateResponse,
        out: &mut Effects,
    ) {
        // An earlier window may have asked, too: what it hears is of no use to this one.
        let (epoch, opener) = match self.share.windows.get(key) {
            Some(Window::Loading { question, epoch, opener }) if *question == id => (*epoch, *opener),
            _ => return,
        };
        let replica = self.replicas.get(&key.partition).filter(|replica| replica.is_leader());
        let start = match replica {
            Some(_) if !answer.error.is_none() => Err(error_for_members(answer.error)),
            None => Err(ErrorCode::NotLeaderOrFollower),
            Some(replica) if self.config.makes(Mistake::ShareStateForgotten) => Ok((replica.log().start(), &[][..])),
            Some(replica) => {
                self.begin_at(replica, epoch, answer.start_offset).map(|start| (start, &answer.batches[..]))
            }
        };
        match start {
            Ok((start, batches)) => {
                let window = SharePartition::load(key.clone(), epoch, answer.state_epoch, start, batches, out);
                let window = Window::Open { question: id, window: Box::new(window) };
                self.share.windows.insert(key.clone(), window);
            }
            // Whoever asked for it first hears why there is none, the others only that there is nothing; the next request
            // begins anew (`handleInitializationException`).
            Err(error) => {
                self.share.windows.remove(key);
                let opener = self.share.exchanges.get_mut(&opener).and_then(|exchange| exchange.fetch.as_mut());
                if let Some(fetch) = opener {
                    fetch.erroneous.insert(key.partition, error);
                }
            }
        }
        self.wake_share_fetches_of(now, key, out);
    }

    /// Where a group begins whose start has never been decided (`startOffsetDuringInitialization`).
    fn begin_at(&self, replica: &Replica, epoch: LeaderEpoch, decided: Offset) -> Result<Offset, ErrorCode> {
        if decided >= 0 {
            return Ok(decided);
        }
        // Offsets are looked up in the epoch in which the window was opened.
        if replica.leader_epoch() != epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        match self.config.share_auto_offset_reset {
            ShareOffsetReset::Earliest => Ok(replica.log().start()),
            ShareOffsetReset::Latest => {
                // A new leader does not know yet what is committed (KIP-207).
                let epoch_start = replica.leadership().map_or(0, |leadership| leadership.epoch_start());
                let committed = Some(replica.high_watermark()).filter(|high_watermark| *high_watermark >= epoch_start);
                committed.ok_or(ErrorCode::OffsetNotAvailable)
            }
        }
    }

    /// The broker does not lead the partition any more: its windows are of the past (`SharePartitionListener`). What is
    /// being written of them goes on, and whoever waits for it hears how it ends.
    pub(super) fn close_windows(&mut self, partition: TopicPartition, out: &mut Effects) {
        let keys: Vec<SharePartitionKey> =
            self.share.windows.keys().filter(|key| key.partition == partition).cloned().collect();
        for key in keys {
            self.close_window(&key, out);
        }
    }

    /// Something can be acquired on the partition that could not before.
    pub(super) fn wake_share_fetches(&mut self, now: Instant, partition: TopicPartition, out: &mut Effects) {
        if self.share.exchanges.is_empty() {
            return;
        }
        self.wake_exchanges(now, |_, of| *of == partition, out);
    }

    fn wake_share_fetches_of(&mut self, now: Instant, key: &SharePartitionKey, out: &mut Effects) {
        self.wake_exchanges(now, |session, of| *of == key.partition && session.0 == key.group, out);
    }

    fn wake_exchanges(
        &mut self,
        now: Instant,
        waits_for: impl Fn(&SessionKey, &TopicPartition) -> bool,
        out: &mut Effects,
    ) {
        let waiting = self.share.exchanges.iter().filter(|(_, exchange)| {
            let fetch = exchange.fetch.as_ref().filter(|fetch| fetch.fetched.is_none());
            fetch.is_some_and(|fetch| fetch.partitions.iter().any(|(of, _)| waits_for(&exchange.session, of)))
        });
        let waiting: Vec<u64> = waiting.map(|(id, _)| *id).collect();
        for id in waiting {
            self.try_share_fetch(now, id, false, out);
        }
    }

    /// [`Timer::AcquisitionLock`] came: whoever had records for too long has them no more.
    fn expire_locks(&mut self, now: Instant, key: &SharePartitionKey, out: &mut Effects) {
        let limits = Limits::of(&self.config);
        let Some(window) = self.share.window_mut(key) else { return };
        let changed = window.expire(now, &limits, out);
        if !changed.is_empty() {
            let write = self.share.next_id();
            self.write_share_state(now, key, write, changed, Heed::Nobody, out);
        }
        self.arm_lock(key, out);
        self.wake_share_fetches_of(now, key, out);
    }

    fn arm_lock(&mut self, key: &SharePartitionKey, out: &mut Effects) {
        let Some(window) = self.share.window_mut(key) else { return };
        let timer = Timer::AcquisitionLock { group: key.group.clone(), partition: key.partition };
        match window.next_expiry() {
            Some(at) => out.set_timer(at, timer),
            None => out.cancel_timer(timer),
        }
    }

    /// The share coordinator has what was to be written, or does not take it.
    fn window_written(
        &mut self,
        now: Instant,
        written: &WriteShareGroupStateRequest,
        write: u64,
        (error, heed): (ErrorCode, Heed),
        out: &mut Effects,
    ) {
        let (key, limits) = (&written.key, Limits::of(&self.config));
        if let Some(window) = self.share.window_mut(key) {
            window.completed(now, write, error.is_none(), &limits, out);
        }
        if heed == Heed::Fencing && matches!(error, ErrorCode::FencedLeaderEpoch | ErrorCode::FencedStateEpoch) {
            self.fence_window(written, error, out);
        }
        self.arm_lock(key, out);
        let error = error_for_members(error);
        let waits =
            |exchange: &Exchange| exchange.acknowledged.iter().any(|of| of.write == write && of.error.is_none());
        let found = self.share.exchanges.iter().find(|(_, exchange)| waits(exchange)).map(|(id, _)| *id);
        if let Some(id) = found
            && let Some(exchange) = self.share.exchanges.get_mut(&id)
        {
            exchange.acknowledged.iter_mut().filter(|of| of.write == write).for_each(|of| of.error = Some(error));
            self.try_finish_exchange(now, id, out);
        }
        self.wake_share_fetches_of(now, key, out);
    }

    /// Somebody has opened a window in a newer epoch: the one here is of the past (`fencedSharePartitionHandler`). It goes
    /// by its name, whichever window wrote that: a broker that leads again may have opened the newer one itself, and loses
    /// it when it hears what became of the old one's writes.
    fn fence_window(&mut self, written: &WriteShareGroupStateRequest, error: ErrorCode, out: &mut Effects) {
        if self.share.windows.remove(&written.key).is_some() {
            let SharePartitionKey { group, partition } = written.key.clone();
            out.note(Fact::SharePartitionFenced { group, partition, leader_epoch: written.leader_epoch, error });
        }
    }

    fn write_share_state(
        &mut self,
        now: Instant,
        key: &SharePartitionKey,
        write: u64,
        changed: Vec<StateBatch>,
        heed: Heed,
        out: &mut Effects,
    ) {
        let Some(window) = self.share.window_mut(key) else { return };
        let request = Request::WriteShareGroupState(window.to_write(changed));
        self.ask_share_coordinator(now, write, request, heed, out);
    }

    /// The answer of another broker's share coordinator.
    pub(super) fn on_share_state_response(&mut self, now: Instant, id: u64, response: &Response, out: &mut Effects) {
        self.on_share_answer(now, id, response, out);
    }
}

/// What members are told where the share coordinator answered this (`SharePartition.fetchPersisterError`).
fn error_for_members(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::FencedLeaderEpoch | ErrorCode::FencedStateEpoch => ErrorCode::NotLeaderOrFollower,
        ErrorCode::NotCoordinator | ErrorCode::CoordinatorLoadInProgress => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::None
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::GroupIdNotFound
        | ErrorCode::UnknownTopicOrPartition => error,
        _ => ErrorCode::UnknownServerError,
    }
}
