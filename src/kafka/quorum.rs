//! The metadata quorum: how the voters agree on one log, `__cluster_metadata-0` (KIP-595).
//!
//! Raft with pull: the leader sends nothing by itself. Voters, and brokers as observers, fetch from it, and each fetch
//! tells how far the sender is. A record is committed once a majority of the voters holds it; only then does anybody
//! act on it. The leader raises the high watermark only over a record of its own epoch, so it begins by writing one
//! (`LeaderChange`).
//!
//! Kafka's `QuorumState` has these states; the ones marked *later* come with elections:
//!
//! | state | here |
//! |---|---|
//! | Unattached | knows no leader: it has not heard from one for `controller.quorum.fetch.timeout.ms` |
//! | Follower | fetches from the leader |
//! | Prospective | *later*: asks for pre-votes (KIP-996) |
//! | Candidate | *later*: asks for votes |
//! | Leader | appends, answers fetches |
//! | Resigned | led, but no majority has fetched for 1.5 × the fetch timeout (check quorum); appends nothing |
//!
//! Until there are elections, the first voter is the only one that leads. It takes a new epoch each time it starts, or
//! is fetched from by a majority again after it resigned. While it is down, metadata stands still: no elections of
//! partition leaders, no new topics; brokers go on serving what they lead. That is what Kafka does without a quorum.
//!
//! The leader holds a fetch that has nothing to bring for up to 500 ms, and answers it early when there are records, or
//! when the high watermark has moved (KIP-1166). An observer is given committed records only; in Kafka it gets them
//! all, and waits for the high watermark itself.
//!
//! What we leave out: Vote, BeginQuorumEpoch, EndQuorumEpoch, voter changes (KIP-853), snapshots.

use std::collections::BTreeMap;

use super::backoff::QuorumBackoff;
use super::config::BrokerConfig;
use super::connection::InFlight;
use super::effects::{Effects, Timer};
use super::error::ErrorCode;
use super::ids::{ControllerId, LeaderEpoch, Node, Offset, Voters};
use super::message::{QuorumFetchRequest, QuorumFetchResponse, Request, Response};
use super::metadata::{MetadataBatch, MetadataRecord};
use crate::time::{Duration, Instant};

pub mod log;

use log::MetadataLog;

/// How long the leader holds a fetch that has nothing to bring (`MAX_FETCH_WAIT_MS` of `KafkaRaftClient`).
pub const FETCH_MAX_WAIT: Duration = Duration::millis(500);

/// What of a voter survives a crash: the log, and the file `quorum-state`.
#[derive(Clone, Debug, Default)]
pub struct ControllerDisk {
    pub log: MetadataLog,
    pub epoch: LeaderEpoch,
}

/// One voter's part in the quorum.
#[derive(Clone, Debug)]
pub struct Quorum {
    id: ControllerId,
    voters: Voters,
    append_linger: Duration,
    fetch_timeout: Duration,
    request_timeout: Duration,
    disk: ControllerDisk,
    role: Role,
    high_watermark: Offset,
    /// Records that have their offsets, and wait for `controller.quorum.append.linger.ms` to be written.
    lingering: Vec<MetadataBatch>,
    in_flight: InFlight<()>,
    backoff: QuorumBackoff,
}

/// A voter's state; see the table above.
#[derive(Clone, Debug)]
pub enum Role {
    Unattached,
    Follower { leader: ControllerId, last_fetch: Instant },
    Leader(Leadership),
    Resigned { contacts: BTreeMap<ControllerId, Instant> },
}

/// What a leader knows of the others.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// Offset of its first record.
    epoch_start: Offset,
    voters: BTreeMap<ControllerId, VoterProgress>,
    held: BTreeMap<Node, HeldFetch>,
}

#[derive(Clone, Copy, Debug)]
struct VoterProgress {
    log_end: Offset,
    last_fetch: Instant,
    /// The high watermark it was told last.
    told: Offset,
}

#[derive(Clone, Copy, Debug)]
struct HeldFetch {
    correlation_id: u32,
    fetch_offset: Offset,
}

impl Quorum {
    pub fn new(id: ControllerId, voters: Voters, config: &BrokerConfig, disk: ControllerDisk) -> Self {
        Self {
            id,
            voters,
            append_linger: config.quorum_append_linger,
            fetch_timeout: config.quorum_fetch_timeout,
            request_timeout: config.quorum_request_timeout,
            disk,
            role: Role::Unattached,
            high_watermark: 0,
            lingering: Vec::new(),
            in_flight: InFlight::default(),
            backoff: QuorumBackoff::default(),
        }
    }

    /// The process starts: the first voter leads, the others look for it.
    pub fn start(&mut self, now: Instant, out: &mut Effects) {
        if self.is_first_voter() { self.lead(now, out) } else { self.fetch(now, out) }
    }

    /// What survives the process.
    pub fn into_disk(self) -> ControllerDisk {
        self.disk
    }

    pub fn role(&self) -> &Role {
        &self.role
    }

    pub fn epoch(&self) -> LeaderEpoch {
        self.disk.epoch
    }

    pub fn log(&self) -> &MetadataLog {
        &self.disk.log
    }

    /// The offset after the last record that a majority is known to hold.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// Whether this voter leads and a record of its own epoch is committed: it knows everything committed before.
    pub fn is_established(&self) -> bool {
        matches!(&self.role, Role::Leader(leadership) if self.high_watermark > leadership.epoch_start)
    }

    /// The leader, as far as this voter knows.
    pub fn leader(&self) -> Option<ControllerId> {
        match &self.role {
            Role::Leader(_) => Some(self.id),
            Role::Follower { leader, .. } => Some(*leader),
            Role::Unattached | Role::Resigned { .. } => None,
        }
    }

    /// Where the next record will stand.
    pub fn next_offset(&self) -> Offset {
        self.lingering.last().map_or(self.disk.log.end(), MetadataBatch::next_offset)
    }

    /// Gives records their offsets, as one batch. Only a leader may. Returns the offset after the last.
    pub fn append(&mut self, now: Instant, records: Vec<MetadataRecord>, out: &mut Effects) -> Offset {
        assert!(self.is_leader(), "only the leader of the quorum appends");
        let batch = MetadataBatch { base_offset: self.next_offset(), epoch: self.disk.epoch, records: records.into() };
        let next_offset = batch.next_offset();
        if self.lingering.is_empty() {
            out.set_timer(now + self.append_linger, Timer::AppendLinger);
        }
        self.lingering.push(batch);
        next_offset
    }

    /// On [`Timer::AppendLinger`], or before a clean stop: writes what has its offsets, and hands it to those who wait.
    pub fn flush(&mut self, out: &mut Effects) {
        for batch in std::mem::take(&mut self.lingering) {
            self.disk.log.append(batch);
        }
        self.advance_high_watermark();
        self.answer_held(out);
    }

    /// Whether a majority of the voters, this one included, has fetched lately. A leader without one resigns.
    pub fn check_quorum(&mut self, now: Instant, out: &mut Effects) {
        let Role::Leader(leadership) = &self.role else { return };
        let limit = self.fetch_timeout * 3 / 2;
        let fetched = leadership.voters.values().filter(|voter| now.since(voter.last_fetch) <= limit).count();
        if fetched < self.voters.len() / 2 {
            self.resign(out);
        }
    }

    /// A voter or an observer fetches.
    pub fn on_fetch(
        &mut self,
        now: Instant,
        from: Node,
        correlation_id: u32,
        request: &QuorumFetchRequest,
        out: &mut Effects,
    ) {
        self.note_contact(now, from, out);
        if let Some(error) = self.fetch_error(request) {
            return self.respond(from, correlation_id, error, None, Vec::new(), out);
        }
        if let Some(diverging) = self.divergence(request) {
            return self.respond(from, correlation_id, ErrorCode::None, Some(diverging), Vec::new(), out);
        }
        self.note_progress(now, from, request.fetch_offset);
        let Role::Leader(leadership) = &mut self.role else { return };
        leadership.held.insert(from, HeldFetch { correlation_id, fetch_offset: request.fetch_offset });
        out.set_timer(now + request.max_wait, Timer::QuorumFetchWait { replica: from });
        self.advance_high_watermark();
        self.answer_held(out);
    }

    /// On [`Timer::QuorumFetchWait`]: answers with what there is.
    pub fn end_wait(&mut self, replica: Node, out: &mut Effects) {
        let Role::Leader(leadership) = &mut self.role else { return };
        if let Some(held) = leadership.held.remove(&replica) {
            self.answer(replica, held, out);
        }
    }

    /// On [`Timer::QuorumFetch`]: asks again, if nothing is under way.
    pub fn retry_fetch(&mut self, now: Instant, out: &mut Effects) {
        if !self.is_first_voter() && self.in_flight.purposes().next().is_none() {
            self.fetch(now, out);
        }
    }

    /// The leader answered, or whoever was taken for it.
    pub fn on_response(&mut self, now: Instant, correlation_id: u32, response: QuorumFetchResponse, out: &mut Effects) {
        if self.in_flight.complete(correlation_id).is_none() || self.is_first_voter() {
            return;
        }
        let newer_epoch = response.epoch > self.disk.epoch;
        self.disk.epoch = self.disk.epoch.max(response.epoch);
        if response.error != ErrorCode::None {
            // The epoch was news: the next fetch will be welcome.
            return if newer_epoch { self.fetch(now, out) } else { self.fetch_failed(now, out) };
        }
        self.backoff = QuorumBackoff::default();
        self.role = Role::Follower { leader: self.voters[0], last_fetch: now };
        if let Some((_, end)) = response.diverging_epoch {
            self.disk.log.truncate(end.min(self.disk.log.end()));
        }
        response.batches.into_iter().for_each(|batch| self.disk.log.append(batch));
        self.high_watermark = self.high_watermark.max(response.high_watermark.min(self.disk.log.end()));
        self.fetch(now, out);
    }

    /// The connection to a peer is gone.
    pub fn on_disconnected(&mut self, now: Instant, peer: Node, out: &mut Effects) {
        if let Role::Leader(leadership) = &mut self.role
            && leadership.held.remove(&peer).is_some()
        {
            out.cancel_timer(Timer::QuorumFetchWait { replica: peer });
        }
        if !self.in_flight.disconnected(peer).is_empty() {
            self.fetch_failed(now, out);
        }
    }

    /// On [`Timer::RequestTimeouts`].
    pub fn on_request_timeouts(&mut self, now: Instant, out: &mut Effects) {
        if !self.in_flight.expired(now, out).is_empty() {
            self.fetch_failed(now, out);
        }
    }

    fn is_first_voter(&self) -> bool {
        self.voters.first() == Some(&self.id)
    }

    /// Takes a new epoch and writes its first record.
    fn lead(&mut self, now: Instant, out: &mut Effects) {
        self.disk.epoch = LeaderEpoch(self.disk.epoch.0 + 1);
        let others = self.voters.iter().filter(|voter| **voter != self.id);
        let unknown = VoterProgress { log_end: -1, last_fetch: now, told: -1 };
        self.role = Role::Leader(Leadership {
            epoch_start: self.disk.log.end(),
            voters: others.map(|voter| (*voter, unknown)).collect(),
            held: BTreeMap::new(),
        });
        self.disk.log.append(MetadataBatch {
            base_offset: self.disk.log.end(),
            epoch: self.disk.epoch,
            records: [MetadataRecord::LeaderChange { leader: self.id }].into(),
        });
        self.advance_high_watermark();
        self.answer_held(out);
    }

    fn resign(&mut self, out: &mut Effects) {
        self.flush(out);
        out.cancel_timer(Timer::AppendLinger);
        let resigned = Role::Resigned { contacts: BTreeMap::new() };
        let Role::Leader(leadership) = std::mem::replace(&mut self.role, resigned) else { return };
        for (replica, held) in leadership.held {
            out.cancel_timer(Timer::QuorumFetchWait { replica });
            self.respond(replica, held.correlation_id, ErrorCode::NotLeaderOrFollower, None, Vec::new(), out);
        }
    }

    /// A resigned leader leads again when a majority asks it to.
    fn note_contact(&mut self, now: Instant, from: Node, out: &mut Effects) {
        let Node::Controller(voter) = from else { return };
        let Role::Resigned { contacts } = &mut self.role else { return };
        contacts.insert(voter, now);
        let lately = contacts.values().filter(|contact| now.since(**contact) <= self.fetch_timeout).count();
        if lately >= self.voters.len() / 2 {
            self.lead(now, out);
        }
    }

    fn fetch_error(&self, request: &QuorumFetchRequest) -> Option<ErrorCode> {
        if request.epoch < self.disk.epoch {
            Some(ErrorCode::FencedLeaderEpoch)
        } else if request.epoch > self.disk.epoch {
            Some(ErrorCode::UnknownLeaderEpoch)
        } else if !self.is_leader() {
            Some(ErrorCode::NotLeaderOrFollower)
        } else {
            None
        }
    }

    /// Where the replica's log leaves ours, if it does.
    fn divergence(&self, request: &QuorumFetchRequest) -> Option<(LeaderEpoch, Offset)> {
        let last = request.last_fetched_epoch?;
        let (epoch, end) = self.disk.log.end_of_epoch(last);
        (epoch < last || end < request.fetch_offset).then_some((epoch, end))
    }

    fn note_progress(&mut self, now: Instant, from: Node, fetch_offset: Offset) {
        let (Role::Leader(leadership), Node::Controller(voter)) = (&mut self.role, from) else { return };
        if let Some(progress) = leadership.voters.get_mut(&voter) {
            progress.log_end = fetch_offset;
            progress.last_fetch = now;
        }
    }

    /// Raises the high watermark to what a majority holds, once that reaches into this epoch. It never falls.
    fn advance_high_watermark(&mut self) {
        let Role::Leader(leadership) = &self.role else { return };
        let mut ends: Vec<Offset> = leadership.voters.values().map(|voter| voter.log_end).collect();
        ends.push(self.disk.log.end());
        ends.sort_unstable_by(|a, b| b.cmp(a));
        let reached = ends[ends.len() / 2];
        if reached > leadership.epoch_start {
            self.high_watermark = self.high_watermark.max(reached);
        }
    }

    /// Answers every held fetch that has something to bring.
    fn answer_held(&mut self, out: &mut Effects) {
        let (log_end, high_watermark) = (self.disk.log.end(), self.high_watermark);
        let Role::Leader(leadership) = &mut self.role else { return };
        let mut due = Vec::new();
        leadership.held.retain(|replica, held| {
            let news = match replica {
                Node::Controller(voter) => {
                    let told = leadership.voters.get(voter).map_or(-1, |progress| progress.told);
                    log_end > held.fetch_offset || high_watermark > told
                }
                _ => high_watermark > held.fetch_offset,
            };
            if news {
                due.push((*replica, *held));
            }
            !news
        });
        for (replica, held) in due {
            out.cancel_timer(Timer::QuorumFetchWait { replica });
            self.answer(replica, held, out);
        }
    }

    fn answer(&mut self, replica: Node, held: HeldFetch, out: &mut Effects) {
        let Role::Leader(leadership) = &mut self.role else { return };
        let mut to = self.high_watermark;
        if let Node::Controller(voter) = replica {
            to = self.disk.log.end();
            if let Some(progress) = leadership.voters.get_mut(&voter) {
                progress.told = self.high_watermark;
            }
        }
        let batches = self.disk.log.read(held.fetch_offset, to);
        self.respond(replica, held.correlation_id, ErrorCode::None, None, batches, out);
    }

    fn respond(
        &self,
        to: Node,
        correlation_id: u32,
        error: ErrorCode,
        diverging_epoch: Option<(LeaderEpoch, Offset)>,
        batches: Vec<MetadataBatch>,
        out: &mut Effects,
    ) {
        let response = QuorumFetchResponse {
            error,
            leader: self.leader(),
            epoch: self.disk.epoch,
            high_watermark: self.high_watermark,
            diverging_epoch,
            batches,
        };
        out.respond(to, correlation_id, Response::QuorumFetch(response));
    }

    fn fetch(&mut self, now: Instant, out: &mut Effects) {
        let request = QuorumFetchRequest {
            replica: Node::Controller(self.id),
            epoch: self.disk.epoch,
            fetch_offset: self.disk.log.end(),
            last_fetched_epoch: self.disk.log.last_epoch(),
            max_wait: FETCH_MAX_WAIT,
        };
        let leader = Node::Controller(self.voters[0]);
        self.in_flight.send(now, leader, Request::QuorumFetch(request), self.request_timeout, (), out);
    }

    fn fetch_failed(&mut self, now: Instant, out: &mut Effects) {
        if let Role::Follower { last_fetch, .. } = self.role
            && now.since(last_fetch) >= self.fetch_timeout
        {
            self.role = Role::Unattached;
        }
        out.set_timer(now + self.backoff.next_pause(), Timer::QuorumFetch);
    }
}
