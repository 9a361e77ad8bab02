//! The metadata quorum: how the voters agree on one log, `__cluster_metadata-0`, and on who leads it (KIP-595, KIP-996).
//!
//! Raft with pull: the leader sends no records by itself. Voters, and brokers as observers, fetch from it, and each fetch
//! tells how far the sender is. A record is committed once a majority of the voters holds it; only then does anybody
//! act on it. The leader raises the high watermark only over a record of its own epoch, so it begins by writing one
//! (`LeaderChange`).
//!
//! Kafka's `QuorumState`, and what leads from one state to the next:
//!
//! | state | here | leaves it for |
//! |---|---|---|
//! | Unattached | knows no leader, and looks for one; may have voted | Prospective: election timeout. Follower: learns of a leader |
//! | Follower | fetches from the leader | Prospective: no answer for the fetch timeout |
//! | Prospective | asks for pre-votes, which bind nobody; the epoch stays | Candidate: a majority would vote for it. Follower (of the leader it knew) or Unattached: lost, or out of time |
//! | Candidate | took the next epoch, voted for itself, asks for votes | Leader: majority. Prospective: out of time; one that has lost waits for that |
//! | Leader | appends, answers fetches | Resigned: asked to stop, or no majority has fetched for 1.5 × the fetch timeout |
//! | Resigned | tells the others to elect; appends nothing | Unattached, in the next epoch: election timeout |
//!
//! From each state a higher epoch leads to Unattached, or to Follower where its leader is known. A voter remembers epoch,
//! vote and leader on disk (`quorum-state`): whoever led when it went down comes back Resigned, whoever stood Candidate.
//!
//! Why pre-votes: a voter that was cut off would come back with a higher epoch and depose a leader that serves everybody.
//! So it first asks whether it could win, and nobody who hears from a leader says yes.
//!
//! [`Quorum::poll`] does what is due, and [`Quorum::on_request`] and [`Quorum::on_response`] what a message brings; the
//! controller polls before and after each of its steps, as Kafka's `KafkaRaftClient.poll` does. Votes are in
//! [`voting`], the leader's part in [`leading`], the followers' in [`following`].
//!
//! What we leave out: changes of voters (KIP-853), directory ids, waiting for the disk. A voter that has lost more than
//! the leader ever committed is asked to truncate below its high watermark: Kafka's process ends with a fault; this one
//! asks again until somebody else leads.

use std::collections::{BTreeMap, BTreeSet};

use super::config::BrokerConfig;
use super::connection::InFlight;
use super::effects::{Effects, Timer};
use super::error::ErrorCode;
use super::fact::{Fact, QuorumPhase};
use super::ids::{ControllerId, LeaderEpoch, Node, Offset, Voters};
use super::message::{Request, Response};
use super::metadata::{MetadataBatch, MetadataRecord};
use super::mistakes::Mistake;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

mod following;
mod leading;
pub mod log;
pub mod snapshots;
mod voting;

use leading::Leadership;
use log::MetadataLog;
use snapshots::SnapshotClock;
use voting::Election;

/// How long the leader holds a fetch that has nothing to bring (`MAX_FETCH_WAIT_MS` of `KafkaRaftClient`).
pub const FETCH_MAX_WAIT: Duration = Duration::millis(500);
/// How long a leader that stops waits for a successor (`KafkaRaftManager.shutdown`).
const SHUTDOWN_TIMEOUT: Duration = Duration::secs(5);
/// The least and the longest pause before a voter that did not answer is tried again (`KafkaRaftManager`'s
/// `reconnectBackoffMs` and `reconnectBackoffMsMs`).
const PAUSE: Duration = Duration::millis(50);
const PAUSE_MAX: Duration = Duration::millis(500);

/// How long to leave a voter alone that was of no use so often before.
pub fn pause_after(failures: u32) -> Duration {
    (PAUSE * (1 << failures.min(10))).min(PAUSE_MAX)
}

/// What of a voter survives a crash: the log, and the file `quorum-state` (`ElectionState`).
#[derive(Clone, Debug, Default)]
pub struct ControllerDisk {
    pub log: MetadataLog,
    pub epoch: LeaderEpoch,
    /// Whom it voted for in this epoch; itself where it stood for election.
    pub voted: Option<ControllerId>,
    /// Who leads in this epoch, as far as it learned.
    pub leader: Option<ControllerId>,
}

/// One voter's part in the quorum.
#[derive(Clone, Debug)]
pub struct Quorum {
    id: ControllerId,
    voters: Voters,
    settings: Settings,
    disk: ControllerDisk,
    role: Role,
    high_watermark: Offset,
    /// Records that have their offsets, and wait for `controller.quorum.append.linger.ms` to be written.
    lingering: Vec<MetadataBatch>,
    in_flight: InFlight<Question>,
    /// Counts the changes of role: what was asked before the last one is of no interest (`resetConnections`).
    round: u32,
    /// Voters that did not answer, and when to try them again (`RequestManager`).
    pauses: BTreeMap<ControllerId, Pause>,
    snapshots: SnapshotClock,
    is_settled: bool,
    is_stopping: bool,
    rng: Rng,
}

/// The settings it obeys.
#[derive(Clone, Copy, Debug)]
struct Settings {
    election_timeout: Duration,
    election_backoff_max: Duration,
    fetch_timeout: Duration,
    request_timeout: Duration,
    append_linger: Duration,
    /// Planted: a vote binds nobody.
    votes_again: bool,
    /// Planted: the leader alone commits.
    commits_alone: bool,
}

/// A request under way.
#[derive(Clone, Copy, Debug)]
struct Question {
    round: u32,
    to: ControllerId,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    failures: u32,
    until: Instant,
}

/// A voter's state; see the table above.
#[derive(Clone, Debug)]
pub enum Role {
    Unattached {
        until: Instant,
    },
    Follower {
        leader: ControllerId,
        until: Instant,
        /// Since then it grants no pre-votes.
        has_fetched: bool,
        /// The leader wants it to take this snapshot first.
        snapshot: Option<super::metadata::SnapshotId>,
    },
    Prospective(Election),
    Candidate(Election),
    Leader(Leadership),
    Resigned {
        until: Instant,
        successors: Vec<ControllerId>,
        /// Who has not answered EndQuorumEpoch.
        unacked: BTreeSet<ControllerId>,
    },
}

impl Role {
    pub const fn phase(&self) -> QuorumPhase {
        match self {
            Self::Unattached { .. } => QuorumPhase::Unattached,
            Self::Follower { .. } => QuorumPhase::Follower,
            Self::Prospective(_) => QuorumPhase::Prospective,
            Self::Candidate(_) => QuorumPhase::Candidate,
            Self::Leader(_) => QuorumPhase::Leader,
            Self::Resigned { .. } => QuorumPhase::Resigned,
        }
    }
}

impl Quorum {
    pub fn new(id: ControllerId, voters: Voters, config: &BrokerConfig, disk: ControllerDisk, rng: Rng) -> Self {
        Self {
            id,
            voters,
            settings: Settings {
                election_timeout: config.quorum_election_timeout,
                election_backoff_max: config.quorum_election_backoff_max,
                fetch_timeout: config.quorum_fetch_timeout,
                request_timeout: config.quorum_request_timeout,
                append_linger: config.quorum_append_linger,
                votes_again: config.makes(Mistake::VoteGrantedTwice),
                commits_alone: config.makes(Mistake::QuorumCommitsAlone),
            },
            high_watermark: disk.log.snapshot_end(),
            snapshots: SnapshotClock::new(config, &disk.log),
            disk,
            role: Role::Unattached { until: Instant::ZERO },
            lingering: Vec::new(),
            in_flight: InFlight::default(),
            round: 0,
            pauses: BTreeMap::new(),
            is_settled: false,
            is_stopping: false,
            rng,
        }
    }

    /// The run begins with the quorum up: a moment ago the first voter was elected in epoch 1, and everybody knows.
    pub fn settle(&mut self) {
        let first = self.voters.first().copied();
        self.is_settled = true;
        self.disk.epoch = LeaderEpoch(1);
        (self.disk.voted, self.disk.leader) = (first, first);
    }

    /// The process starts (`QuorumState.initialize`, `KafkaRaftClient.initialize`).
    pub fn start(&mut self, now: Instant, out: &mut Effects) {
        self.snapshots.start(now);
        let last_epoch = self.disk.log.last_epoch().unwrap_or_default();
        if self.disk.epoch < last_epoch {
            self.disk =
                ControllerDisk { epoch: last_epoch, voted: None, leader: None, ..std::mem::take(&mut self.disk) };
        }
        let (election, fetch) = (now + self.random_election_timeout(), now + self.settings.fetch_timeout);
        match (self.disk.leader, self.disk.voted) {
            (Some(leader), _) if leader == self.id && self.is_settled => self.lead(now, out),
            _ if self.voters.len() == 1 => self.stand(now, out),
            // It may have lost records that it had not flushed, so it must not lead this epoch again.
            (Some(leader), _) if leader == self.id => {
                self.become_role(
                    Role::Resigned { until: election, successors: Vec::new(), unacked: self.others() },
                    now,
                    out,
                );
            }
            (Some(leader), _) => {
                let role = Role::Follower { leader, until: fetch, has_fetched: false, snapshot: None };
                self.become_role(role, now, out);
            }
            (None, Some(voted)) if voted == self.id => {
                self.become_role(Role::Candidate(Election::new(self.id, None, election)), now, out);
            }
            _ => self.become_role(Role::Unattached { until: election }, now, out),
        }
        self.is_settled = false;
        self.poll(now, out);
    }

    /// Does whatever is due: what the role's time is up for, and requests to voters that can be asked now
    /// (`KafkaRaftClient.pollCurrentState`).
    pub fn poll(&mut self, now: Instant, out: &mut Effects) {
        // Each deadline that comes up leads to another role, with a deadline of its own.
        while self.follow_deadline(now, out) {}
        match &self.role {
            Role::Unattached { .. } | Role::Follower { .. } => self.fetch(now, out),
            Role::Prospective(_) | Role::Candidate(_) => self.ask_for_votes(now, out),
            Role::Leader(_) => self.begin_epoch(now, out),
            Role::Resigned { .. } => self.end_epoch(now, out),
        }
    }

    /// One change of role because its time is up; false where there is none.
    fn follow_deadline(&mut self, now: Instant, out: &mut Effects) -> bool {
        match &self.role {
            Role::Leader(leadership) => {
                let due = leadership.has_lost_majority(now) || (self.is_stopping && self.voters.len() > 1);
                if due {
                    self.resign(now, out);
                }
                due
            }
            // A process that stops takes no new part.
            _ if self.is_stopping => false,
            Role::Unattached { until } | Role::Follower { until, .. } if *until <= now => {
                self.stand(now, out);
                true
            }
            Role::Prospective(election) if election.until() <= now => {
                self.give_up_standing(now, out);
                true
            }
            Role::Candidate(election) if election.until() <= now => {
                self.stand(now, out);
                true
            }
            Role::Resigned { until, .. } if *until <= now => {
                self.detach(LeaderEpoch(self.disk.epoch.0 + 1), now, out);
                true
            }
            _ => false,
        }
    }

    /// The process is asked to stop. It may, once [`may_exit`](Self::may_exit) says so.
    pub fn shut_down(&mut self, now: Instant, out: &mut Effects) {
        if self.is_stopping {
            return;
        }
        self.is_stopping = true;
        out.set_timer(now + SHUTDOWN_TIMEOUT, Timer::ControlledShutdown);
        self.poll(now, out);
    }

    /// Whether it was asked to stop and is not needed any more: somebody else leads, or it is alone
    /// (`maybeCompleteShutdown`).
    pub fn may_exit(&self) -> bool {
        let somebody_leads = self.leader().is_some_and(|leader| leader != self.id);
        self.is_stopping && (self.voters.len() == 1 || somebody_leads)
    }

    /// A voter or an observer asks something.
    pub fn on_request(&mut self, now: Instant, from: Node, correlation_id: u32, request: &Request, out: &mut Effects) {
        match request {
            Request::QuorumFetch(fetch) => self.on_fetch(now, from, correlation_id, fetch, out),
            Request::FetchSnapshot(fetch) => self.on_fetch_snapshot(now, from, correlation_id, fetch, out),
            Request::Vote(vote) => {
                let answer = self.on_vote(now, vote, out);
                out.respond(from, correlation_id, Response::Vote(answer));
            }
            Request::BeginQuorumEpoch(begin) => {
                let answer = self.on_begin_epoch(now, begin, out);
                out.respond(from, correlation_id, Response::BeginQuorumEpoch(answer));
            }
            Request::EndQuorumEpoch(end) => {
                let answer = self.on_end_epoch(now, end, out);
                out.respond(from, correlation_id, Response::EndQuorumEpoch(answer));
            }
            Request::DescribeQuorum(_) => {
                let answer = self.describe(now);
                out.respond(from, correlation_id, Response::DescribeQuorum(answer));
            }
            _ => out.close_connection(from),
        }
    }

    /// Whether a request is one of the quorum's own.
    pub const fn answers(request: &Request) -> bool {
        matches!(
            request,
            Request::QuorumFetch(_)
                | Request::FetchSnapshot(_)
                | Request::Vote(_)
                | Request::BeginQuorumEpoch(_)
                | Request::EndQuorumEpoch(_)
                | Request::DescribeQuorum(_)
        )
    }

    /// Another voter answered.
    pub fn on_response(&mut self, now: Instant, correlation_id: u32, response: Response, out: &mut Effects) {
        let Some((_, question)) = self.in_flight.complete(correlation_id) else { return };
        if question.round != self.round {
            return;
        }
        let from = question.to;
        if !matches!(&response, Response::QuorumFetch(fetched) if fetched.error != ErrorCode::None) {
            self.pauses.remove(&from);
        }
        match response {
            Response::QuorumFetch(fetched) => self.on_fetched(now, from, fetched, out),
            Response::FetchSnapshot(fetched) => self.on_snapshot(now, from, fetched, out),
            Response::Vote(vote) => self.on_voted(now, from, &vote, out),
            Response::BeginQuorumEpoch(answer) => {
                self.learn(answer.error, answer.leader, answer.epoch, now, out);
            }
            Response::EndQuorumEpoch(answer) => {
                if !self.learn(answer.error, answer.leader, answer.epoch, now, out)
                    && let Role::Resigned { unacked, .. } = &mut self.role
                {
                    unacked.remove(&from);
                }
            }
            _ => {}
        }
    }

    /// The connection to a peer is gone.
    pub fn on_disconnected(&mut self, now: Instant, peer: Node, out: &mut Effects) {
        self.forget_held(peer, out);
        for question in self.in_flight.disconnected(peer) {
            self.on_lost(now, question);
        }
    }

    /// On [`Timer::RequestTimeouts`].
    pub fn on_request_timeouts(&mut self, now: Instant, out: &mut Effects) {
        for (_, question) in self.in_flight.expired(now, out) {
            self.on_lost(now, question);
        }
    }

    fn on_lost(&mut self, now: Instant, question: Question) {
        if question.round == self.round {
            self.pause(now, question.to);
        }
    }

    /// Leaves a voter alone for a while; longer, the more often it has not been of use.
    fn pause(&mut self, now: Instant, voter: ControllerId) {
        let failures = self.pauses.get(&voter).map_or(0, |pause| pause.failures);
        let until = now + pause_after(failures);
        self.pauses.insert(voter, Pause { failures: failures + 1, until });
    }

    /// Whether a voter may be asked now: it owes no answer, and is not left alone (`RequestManager.isReady`).
    fn is_ready(&self, now: Instant, voter: ControllerId) -> bool {
        self.pauses.get(&voter).is_none_or(|pause| pause.until <= now) && !self.owes_answer(voter)
    }

    fn owes_answer(&self, voter: ControllerId) -> bool {
        self.in_flight.purposes().any(|(_, question)| question.round == self.round && question.to == voter)
    }

    fn has_question_under_way(&self) -> bool {
        self.in_flight.purposes().any(|(_, question)| question.round == self.round)
    }

    fn ask(&mut self, now: Instant, to: ControllerId, request: Request, out: &mut Effects) {
        let question = Question { round: self.round, to };
        self.in_flight.send(now, Node::Controller(to), request, self.settings.request_timeout, question, out);
    }

    /// Asks each of these voters that can be asked, and comes back for the others.
    fn ask_each(
        &mut self,
        now: Instant,
        voters: impl IntoIterator<Item = ControllerId>,
        request: impl Fn() -> Request,
        out: &mut Effects,
    ) {
        let (ready, busy): (Vec<_>, Vec<_>) = voters.into_iter().partition(|voter| self.is_ready(now, *voter));
        ready.into_iter().for_each(|voter| self.ask(now, voter, request(), out));
        self.come_back_for(now, busy, out);
    }

    /// Sets the timer for the first of these voters that need not be left alone any more.
    fn come_back_for(&self, now: Instant, voters: impl IntoIterator<Item = ControllerId>, out: &mut Effects) {
        let pauses = voters.into_iter().filter_map(|voter| self.pauses.get(&voter)).map(|pause| pause.until);
        if let Some(at) = pauses.filter(|until| *until > now).min() {
            out.set_timer(at, Timer::QuorumFetch);
        }
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

    /// Whom it voted for in this epoch.
    pub fn voted(&self) -> Option<ControllerId> {
        self.disk.voted
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
        matches!(&self.role, Role::Leader(leadership) if self.high_watermark > leadership.epoch_start())
    }

    /// The leader, as far as this voter knows.
    pub fn leader(&self) -> Option<ControllerId> {
        match &self.role {
            Role::Leader(_) => Some(self.id),
            Role::Follower { leader, .. } => Some(*leader),
            Role::Prospective(election) => election.leader(),
            Role::Unattached { .. } | Role::Candidate(_) | Role::Resigned { .. } => None,
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
            out.set_timer(now + self.settings.append_linger, Timer::AppendLinger);
        }
        self.lingering.push(batch);
        next_offset
    }

    fn others(&self) -> BTreeSet<ControllerId> {
        self.voters.iter().copied().filter(|voter| *voter != self.id).collect()
    }

    fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// Between one and two election timeouts, so that voters seldom stand at the same moment.
    fn random_election_timeout(&mut self) -> Duration {
        let base = self.settings.election_timeout;
        base + Duration::micros(self.rng.between(0, base.as_micros().saturating_sub(1)))
    }

    /// Takes up a role: its timers are set, and nothing that was asked before is of interest any more.
    fn become_role(&mut self, role: Role, now: Instant, out: &mut Effects) {
        let (from, to) = (self.role.phase(), role.phase());
        for timer in [Timer::Election, Timer::QuorumFetchTimeout, Timer::CheckQuorum, Timer::BeginQuorumEpoch] {
            out.cancel_timer(timer);
        }
        self.leave_leadership(out);
        self.role = role;
        self.round = self.round.wrapping_add(1);
        self.pauses.clear();
        match &self.role {
            Role::Unattached { until } | Role::Resigned { until, .. } => out.set_timer(*until, Timer::Election),
            Role::Prospective(election) | Role::Candidate(election) => out.set_timer(election.until(), Timer::Election),
            Role::Follower { until, .. } => out.set_timer(*until, Timer::QuorumFetchTimeout),
            Role::Leader(leadership) => leadership.set_timers(now, out),
        }
        out.note(Fact::QuorumState { from, to, epoch: self.disk.epoch, leader: self.leader() });
    }

    /// No leader is known (any more) in this epoch (`transitionToUnattached`).
    fn detach(&mut self, epoch: LeaderEpoch, now: Instant, out: &mut Effects) {
        let until = match &self.role {
            Role::Unattached { until } | Role::Resigned { until, .. } => *until,
            Role::Candidate(election) => election.until(),
            Role::Prospective(election) if !election.is_lost(self.voters.len()) => election.until(),
            _ => now + self.random_election_timeout(),
        };
        if epoch > self.disk.epoch {
            self.disk.voted = None;
        }
        (self.disk.epoch, self.disk.leader) = (epoch, None);
        self.become_role(Role::Unattached { until }, now, out);
    }

    /// Somebody else leads in this epoch (`transitionToFollower`).
    fn follow(&mut self, leader: ControllerId, epoch: LeaderEpoch, now: Instant, out: &mut Effects) {
        if epoch > self.disk.epoch {
            self.disk.voted = None;
        }
        (self.disk.epoch, self.disk.leader) = (epoch, Some(leader));
        let until = now + self.settings.fetch_timeout;
        self.become_role(Role::Follower { leader, until, has_fetched: false, snapshot: None }, now, out);
    }

    /// What a message tells of leader and epoch (`maybeTransition`).
    fn hear_of(&mut self, leader: Option<ControllerId>, epoch: LeaderEpoch, now: Instant, out: &mut Effects) {
        let leader = leader.filter(|leader| *leader != self.id);
        match leader {
            Some(leader) if epoch > self.disk.epoch => self.follow(leader, epoch, now, out),
            None if epoch > self.disk.epoch => self.detach(epoch, now, out),
            Some(leader) if epoch == self.disk.epoch && self.disk.leader.is_none() => {
                self.follow(leader, epoch, now, out);
            }
            _ => {}
        }
    }

    /// What a response tells of leader and epoch. True where that was all it was good for
    /// (`maybeHandleCommonResponse`).
    fn learn(
        &mut self,
        error: ErrorCode,
        leader: Option<ControllerId>,
        epoch: LeaderEpoch,
        now: Instant,
        out: &mut Effects,
    ) -> bool {
        if epoch < self.disk.epoch || error == ErrorCode::UnknownLeaderEpoch {
            return true;
        }
        let is_news = epoch > self.disk.epoch;
        self.hear_of(leader, epoch, now, out);
        // Who just learned of its epoch's leader can use a good answer all the same.
        is_news || error != ErrorCode::None
    }
}
