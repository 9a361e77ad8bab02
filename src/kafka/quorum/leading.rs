//! The leader's part: it writes, answers fetches, and finds out what is committed (`LeaderState`).
//!
//! A fetch is held for up to 500 ms while there is nothing to bring, and answered early when there are records, or when
//! the high watermark is higher than the sender's (KIP-1166). An observer is given committed records only; in Kafka it
//! gets them all, and waits for the high watermark itself.
//!
//! A leader that no majority has fetched from for 1.5 × `controller.quorum.fetch.timeout.ms` resigns: the others have
//! elected somebody else by then, or cannot commit anything.

use std::collections::{BTreeMap, BTreeSet};

use super::super::effects::{Effects, Timer};
use super::super::error::ErrorCode;
use super::super::ids::{ControllerId, LeaderEpoch, Node, Offset};
use super::super::message::{
    DescribeQuorumResponse, FetchSnapshotRequest, FetchSnapshotResponse, QuorumFetchRequest, QuorumFetchResponse,
    QuorumReplica, Response,
};
use super::super::metadata::{MetadataBatch, MetadataRecord, SnapshotId};
use super::log::Agreement;
use super::{Quorum, Role};
use crate::time::{Duration, Instant};

/// An observer that has not fetched for so long is forgotten (`OBSERVER_SESSION_TIMEOUT_MS`).
const OBSERVER_SESSION: Duration = Duration::secs(300);

/// What a leader knows of the others.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// Offset of its first record.
    epoch_start: Offset,
    voters: BTreeMap<ControllerId, Progress>,
    observers: BTreeMap<Node, Progress>,
    held: BTreeMap<Node, HeldFetch>,
    /// Who has fetched since a majority last had.
    fetched: BTreeSet<ControllerId>,
    /// It resigns then; `None` where it is alone.
    check_quorum_at: Option<Instant>,
    begin_at: Instant,
}

/// How far a replica is (`ReplicaState`).
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    log_end: Option<Offset>,
    last_fetch: Option<Instant>,
    /// The leader's log end at the last fetch.
    leader_end: Offset,
    last_caught_up: Option<Instant>,
}

impl Progress {
    /// It has caught up now, or had when it last fetched, if it has everything that the leader had then.
    fn fetched(&mut self, now: Instant, offset: Offset, leader_end: Offset) {
        if offset >= leader_end {
            self.last_caught_up = Some(now);
        } else if self.leader_end > 0 && offset >= self.leader_end {
            self.last_caught_up = self.last_caught_up.max(self.last_fetch);
        }
        (self.leader_end, self.last_fetch, self.log_end) = (leader_end, Some(now), Some(offset));
    }

    fn describe(&self, replica: Node) -> QuorumReplica {
        let stamp = |at: Option<Instant>| at.map_or(-1, Instant::timestamp_ms);
        QuorumReplica {
            replica,
            log_end: self.log_end.unwrap_or(-1),
            last_fetch_timestamp: stamp(self.last_fetch),
            last_caught_up_timestamp: stamp(self.last_caught_up),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct HeldFetch {
    correlation_id: u32,
    fetch_offset: Offset,
    /// What the sender takes for the high watermark.
    high_watermark: Offset,
}

impl Leadership {
    pub(super) const fn epoch_start(&self) -> Offset {
        self.epoch_start
    }

    pub(super) fn has_lost_majority(&self, now: Instant) -> bool {
        self.check_quorum_at.is_some_and(|at| at <= now)
    }

    pub(super) fn set_timers(&self, now: Instant, out: &mut Effects) {
        if let Some(at) = self.check_quorum_at {
            out.set_timer(at, Timer::CheckQuorum);
        }
        if self.begin_at > now {
            out.set_timer(self.begin_at, Timer::BeginQuorumEpoch);
        }
    }

    /// The voters that are to be told of the leader, if it is time; the next time is after `interval`.
    pub(super) fn take_silent(&mut self, now: Instant, interval: Duration) -> Option<Vec<ControllerId>> {
        if self.begin_at > now || self.voters.is_empty() {
            return None;
        }
        self.begin_at = now + interval;
        let is_silent = |progress: &Progress| progress.last_fetch.is_none_or(|at| now.since(at) >= interval);
        Some(self.voters.iter().filter(|(_, progress)| is_silent(progress)).map(|(id, _)| *id).collect())
    }

    /// The voter with the longest log first.
    fn successors(&self) -> Vec<ControllerId> {
        let mut voters: Vec<(ControllerId, Option<Offset>)> =
            self.voters.iter().map(|(id, progress)| (*id, progress.log_end)).collect();
        voters.sort_by_key(|(id, log_end)| (std::cmp::Reverse(*log_end), *id));
        voters.into_iter().map(|(id, _)| id).collect()
    }
}

impl Quorum {
    /// Begins its epoch with a record of it.
    pub(super) fn lead(&mut self, now: Instant, out: &mut Effects) {
        self.disk.leader = Some(self.id);
        let settled = Progress { last_fetch: Some(now), ..Progress::default() };
        let unknown = if self.is_settled { settled } else { Progress::default() };
        let others = self.others();
        let leadership = Leadership {
            epoch_start: self.disk.log.end(),
            check_quorum_at: (!others.is_empty()).then(|| now + self.check_quorum_timeout()),
            begin_at: if self.is_settled { now + self.settings.fetch_timeout / 2 } else { now },
            voters: others.into_iter().map(|voter| (voter, unknown)).collect(),
            observers: BTreeMap::new(),
            held: BTreeMap::new(),
            fetched: BTreeSet::new(),
        };
        self.become_role(Role::Leader(leadership), now, out);
        self.disk.log.append(MetadataBatch {
            base_offset: self.disk.log.end(),
            epoch: self.disk.epoch,
            records: [MetadataRecord::LeaderChange { leader: self.id }].into(),
        });
        self.advance_high_watermark(now, out);
    }

    fn check_quorum_timeout(&self) -> Duration {
        self.settings.fetch_timeout * 3 / 2
    }

    /// Leads no longer, and names who should.
    pub(super) fn resign(&mut self, now: Instant, out: &mut Effects) {
        let Role::Leader(leadership) = &self.role else { return };
        let successors = leadership.successors();
        let until = now + self.random_election_timeout();
        self.become_role(Role::Resigned { until, successors, unacked: self.others() }, now, out);
    }

    /// What a leader leaves behind: records that were not written yet are gone, and whoever waits for some is to look
    /// elsewhere.
    pub(super) fn leave_leadership(&mut self, out: &mut Effects) {
        let Role::Leader(leadership) = &mut self.role else { return };
        let held = std::mem::take(&mut leadership.held);
        self.lingering.clear();
        out.cancel_timer(Timer::AppendLinger);
        for (replica, held) in held {
            out.cancel_timer(Timer::QuorumFetchWait { replica });
            let response = QuorumFetchResponse { leader: None, ..self.refusal(ErrorCode::NotLeaderOrFollower) };
            out.respond(replica, held.correlation_id, Response::QuorumFetch(response));
        }
    }

    /// On [`Timer::AppendLinger`]: writes what has its offsets, and hands it to those who wait.
    pub fn flush(&mut self, now: Instant, out: &mut Effects) {
        for batch in std::mem::take(&mut self.lingering) {
            self.disk.log.append(batch);
        }
        self.advance_high_watermark(now, out);
        self.answer_held(out);
    }

    /// A voter or an observer fetches.
    pub(super) fn on_fetch(
        &mut self,
        now: Instant,
        from: Node,
        correlation_id: u32,
        request: &QuorumFetchRequest,
        out: &mut Effects,
    ) {
        if let Some(error) = self.leader_only(request.epoch) {
            return out.respond(from, correlation_id, Response::QuorumFetch(self.refusal(error)));
        }
        let refusal = self.refusal(ErrorCode::None);
        let answer = match self.disk.log.validate(request.fetch_offset, request.last_fetched_epoch) {
            Agreement::Valid => None,
            Agreement::Diverging(epoch, end) => {
                Some(QuorumFetchResponse { diverging_epoch: Some((epoch, end)), ..refusal })
            }
            Agreement::Snapshot(id) => Some(QuorumFetchResponse { snapshot_id: Some(id), ..refusal }),
        };
        if let Some(answer) = answer {
            return out.respond(from, correlation_id, Response::QuorumFetch(answer));
        }
        self.note_progress(now, from, request.fetch_offset, out);
        let Role::Leader(leadership) = &mut self.role else { return };
        let held =
            HeldFetch { correlation_id, fetch_offset: request.fetch_offset, high_watermark: request.high_watermark };
        leadership.held.insert(from, held);
        out.set_timer(now + request.max_wait, Timer::QuorumFetchWait { replica: from });
        self.advance_high_watermark(now, out);
        self.answer_held(out);
    }

    /// A replica that lacks the log's beginning takes the snapshot. Asking for it is a sign of life, too.
    pub(super) fn on_fetch_snapshot(
        &mut self,
        now: Instant,
        from: Node,
        correlation_id: u32,
        request: &FetchSnapshotRequest,
        out: &mut Effects,
    ) {
        let snapshot =
            self.disk.log.snapshot().filter(|snapshot| (snapshot.epoch, snapshot.end) == request.snapshot_id);
        let error = self.leader_only(request.epoch);
        let error = error.or(if snapshot.is_none() { Some(ErrorCode::SnapshotNotFound) } else { None });
        let response = FetchSnapshotResponse {
            error: error.unwrap_or_default(),
            leader: self.leader(),
            epoch: self.disk.epoch,
            snapshot: snapshot.filter(|_| error.is_none()).cloned(),
        };
        out.respond(from, correlation_id, Response::FetchSnapshot(response));
        if let (None, Node::Controller(voter)) = (error, from) {
            self.note_sign_of_life(now, voter, out);
        }
    }

    /// On [`Timer::QuorumFetchWait`]: answers with what there is.
    pub fn end_wait(&mut self, replica: Node, out: &mut Effects) {
        let Role::Leader(leadership) = &mut self.role else { return };
        if let Some(held) = leadership.held.remove(&replica) {
            self.answer(replica, held, out);
        }
    }

    /// Nobody waits for this answer any more.
    pub(super) fn forget_held(&mut self, peer: Node, out: &mut Effects) {
        if let Role::Leader(leadership) = &mut self.role
            && leadership.held.remove(&peer).is_some()
        {
            out.cancel_timer(Timer::QuorumFetchWait { replica: peer });
        }
    }

    /// How the quorum is, as only the leader can tell.
    pub(super) fn describe(&self, now: Instant) -> DescribeQuorumResponse {
        let mut response = DescribeQuorumResponse {
            error: ErrorCode::NotLeaderOrFollower,
            leader: self.leader(),
            epoch: self.disk.epoch,
            high_watermark: self.told_high_watermark(),
            voters: Vec::new(),
            observers: Vec::new(),
        };
        let Role::Leader(leadership) = &self.role else { return response };
        let stamp = now.timestamp_ms();
        response.error = ErrorCode::None;
        response.voters =
            leadership.voters.iter().map(|(id, progress)| progress.describe(Node::Controller(*id))).collect();
        response.voters.push(QuorumReplica {
            replica: Node::Controller(self.id),
            log_end: self.disk.log.end(),
            last_fetch_timestamp: stamp,
            last_caught_up_timestamp: stamp,
        });
        let is_there = |progress: &Progress| progress.last_fetch.is_some_and(|at| now.since(at) < OBSERVER_SESSION);
        let observers = leadership.observers.iter().filter(|(_, progress)| is_there(progress));
        response.observers = observers.map(|(node, progress)| progress.describe(*node)).collect();
        response
    }

    /// Why a request that only the leader of this epoch answers is refused (`validateLeaderOnlyRequest`).
    fn leader_only(&self, epoch: LeaderEpoch) -> Option<ErrorCode> {
        if epoch < self.disk.epoch {
            Some(ErrorCode::FencedLeaderEpoch)
        } else if epoch > self.disk.epoch {
            Some(ErrorCode::UnknownLeaderEpoch)
        } else if !self.is_leader() {
            Some(ErrorCode::NotLeaderOrFollower)
        } else {
            None
        }
    }

    fn note_progress(&mut self, now: Instant, from: Node, fetch_offset: Offset, out: &mut Effects) {
        let leader_end = self.disk.log.end();
        let Role::Leader(leadership) = &mut self.role else { return };
        if let Node::Controller(voter) = from {
            if let Some(progress) = leadership.voters.get_mut(&voter) {
                progress.fetched(now, fetch_offset, leader_end);
                self.note_sign_of_life(now, voter, out);
            }
        } else {
            leadership.observers.entry(from).or_default().fetched(now, fetch_offset, leader_end);
        }
    }

    /// Once a majority has been heard, the leader included, it is good for another while
    /// (`updateCheckQuorumForFollowingVoter`).
    fn note_sign_of_life(&mut self, now: Instant, voter: ControllerId, out: &mut Effects) {
        let (needed, timeout) = (self.majority() - 1, self.check_quorum_timeout());
        let Role::Leader(leadership) = &mut self.role else { return };
        leadership.fetched.insert(voter);
        if leadership.fetched.len() >= needed {
            leadership.fetched.clear();
            leadership.check_quorum_at = Some(now + timeout);
            out.set_timer(now + timeout, Timer::CheckQuorum);
        }
    }

    /// Raises the high watermark to what a majority holds, once that reaches into this epoch. It never falls.
    fn advance_high_watermark(&mut self, now: Instant, out: &mut Effects) {
        let Role::Leader(leadership) = &self.role else { return };
        let mut ends: Vec<Offset> = leadership.voters.values().map(|voter| voter.log_end.unwrap_or(-1)).collect();
        ends.push(self.disk.log.end());
        ends.sort_unstable_by(|a, b| b.cmp(a));
        let reached = ends[if self.settings.commits_alone { 0 } else { ends.len() / 2 }];
        if reached > leadership.epoch_start {
            self.committed_to(reached, now, out);
        }
    }

    /// What the leader tells of the high watermark: nothing, until it is of its own epoch. Only then is it sure not to
    /// tell less than the leader before did.
    fn told_high_watermark(&self) -> Offset {
        if self.is_established() { self.high_watermark } else { -1 }
    }

    /// Answers every held fetch that has something to bring.
    fn answer_held(&mut self, out: &mut Effects) {
        let (log_end, high_watermark) = (self.disk.log.end(), self.told_high_watermark());
        let Role::Leader(leadership) = &mut self.role else { return };
        let mut due = Vec::new();
        leadership.held.retain(|replica, held| {
            let news = match replica {
                Node::Controller(_) => log_end > held.fetch_offset || high_watermark > held.high_watermark,
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

    fn answer(&self, replica: Node, held: HeldFetch, out: &mut Effects) {
        let is_voter = matches!(replica, Node::Controller(_));
        let to = if is_voter { self.disk.log.end() } else { self.told_high_watermark() };
        let batches = self.disk.log.read(held.fetch_offset, to);
        let response = QuorumFetchResponse { batches, ..self.refusal(ErrorCode::None) };
        out.respond(replica, held.correlation_id, Response::QuorumFetch(response));
    }

    /// An answer without records.
    fn refusal(&self, error: ErrorCode) -> QuorumFetchResponse {
        QuorumFetchResponse {
            error,
            leader: self.leader(),
            epoch: self.disk.epoch,
            high_watermark: self.told_high_watermark(),
            diverging_epoch: None,
            snapshot_id: None::<SnapshotId>,
            batches: Vec::new(),
        }
    }
}
