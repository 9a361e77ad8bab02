//! Who leads the ensemble (`FastLeaderElection`).
//!
//! Everybody votes for itself first, and goes over to a better vote when it hears of one: of the later epoch, else of the
//! later transaction, else of the higher server number. Each change goes out to everybody. Once a majority votes alike a
//! server waits 200 ms for a still better vote, and then leads or follows. Servers that have a leader tell those who ask;
//! whoever comes back joins a leader that a majority has, and that says so itself.

use std::collections::BTreeMap;

use super::zab::{Following, Leading};
use super::{State, ZooKeeperServer};
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::fact::{EnsemblePhase, Fact};
use crate::kafka::ids::{Node, ZooKeeperId};
use crate::kafka::message::Request;
use crate::kafka::message::ensemble::{ZabVote, ZkVote};
use crate::time::{Duration, Instant};

/// `finalizeWait`.
const FINALIZE_WAIT: Duration = Duration::millis(200);
/// Votes are sent again after this, doubling (`minNotificationInterval`, `maxNotificationInterval`).
const RESEND: Duration = Duration::millis(200);
const MAX_RESEND: Duration = Duration::secs(60);

/// One server's search for a leader.
#[derive(Clone, Debug)]
pub(super) struct Election {
    vote: ZkVote,
    /// What the others of the same round want.
    votes: BTreeMap<ZooKeeperId, ZkVote>,
    /// What servers that have a leader say.
    settled: BTreeMap<ZooKeeperId, (ZkVote, EnsemblePhase)>,
    finalize_at: Option<Instant>,
    resend_at: Instant,
    resend: Duration,
}

impl Election {
    pub fn new(vote: ZkVote) -> Self {
        Self {
            vote,
            votes: BTreeMap::new(),
            settled: BTreeMap::new(),
            finalize_at: None,
            resend_at: Instant::ZERO,
            resend: RESEND,
        }
    }
}

impl ZooKeeperServer {
    /// A new round begins.
    pub(super) fn look(&mut self, now: Instant, out: &mut Effects) {
        let from = self.phase();
        if from != EnsemblePhase::Looking {
            let fact = Fact::EnsembleState {
                from,
                to: EnsemblePhase::Looking,
                epoch: self.disk.current_epoch(),
                leader: None,
            };
            out.note(fact);
            self.drop_clients(out);
            // What is logged but not committed stays logged; it is the next leader who decides about it.
            for txn in std::mem::take(&mut self.unsynced) {
                self.disk.append(txn);
            }
        }
        self.round += 1;
        let mut election = Election::new(self.disk.vote(self.id));
        election.resend_at = now + RESEND;
        self.state = State::Looking(election);
        self.broadcast_vote(out);
        self.count_votes(now, out);
        self.set_election_timer(out);
    }

    fn broadcast_vote(&self, out: &mut Effects) {
        for other in self.others() {
            self.send_vote(other, out);
        }
    }

    fn send_vote(&self, to: ZooKeeperId, out: &mut Effects) {
        let vote = match &self.state {
            State::Looking(election) => election.vote,
            State::Following(following) => ZkVote { leader: following.leader, ..self.disk.vote(self.id) },
            State::Leading(_) => self.disk.vote(self.id),
        };
        let notification = ZabVote { round: self.round, vote, phase: self.phase() };
        out.request(Node::ZooKeeper(to), 0, Request::ZabVote(notification));
    }

    pub(super) fn on_vote(&mut self, now: Instant, from: ZooKeeperId, notification: ZabVote, out: &mut Effects) {
        let own_vote = self.disk.vote(self.id);
        let State::Looking(election) = &mut self.state else {
            // Only somebody who looks for a leader needs to be told.
            if notification.phase == EnsemblePhase::Looking {
                self.send_vote(from, out);
            }
            return;
        };
        if notification.phase != EnsemblePhase::Looking {
            election.settled.insert(from, (notification.vote, notification.phase));
            self.join_settled(now, notification, out);
            return;
        }
        if notification.round < self.round {
            return self.send_vote(from, out);
        }
        if notification.round > self.round {
            self.round = notification.round;
            election.votes.clear();
            election.vote = own_vote.max(notification.vote);
            election.votes.insert(from, notification.vote);
            self.broadcast_vote(out);
        } else {
            election.votes.insert(from, notification.vote);
            if notification.vote > election.vote {
                election.vote = notification.vote;
                self.broadcast_vote(out);
            }
        }
        self.count_votes(now, out);
        self.set_election_timer(out);
    }

    /// Joins a leader that a majority follows, and that says itself that it leads (`checkLeader`).
    fn join_settled(&mut self, now: Instant, notification: ZabVote, out: &mut Effects) {
        let State::Looking(election) = &self.state else { return };
        let leader = notification.vote.leader;
        let behind = election.settled.values().filter(|(vote, _)| vote.leader == leader).count();
        let says_so = election.settled.get(&leader).is_some_and(|(_, phase)| *phase == EnsemblePhase::Leading);
        // With this server the majority may be complete.
        if says_so && behind + 1 >= self.majority() && leader != self.id {
            self.round = notification.round;
            self.follow(now, leader, out);
        }
    }

    fn count_votes(&mut self, now: Instant, out: &mut Effects) {
        let majority = self.majority();
        let State::Looking(election) = &mut self.state else { return };
        let alike = 1 + election.votes.values().filter(|vote| **vote == election.vote).count();
        if alike < majority {
            election.finalize_at = None;
        } else if alike >= self.ensemble.len() {
            // Nobody is left who could know better.
            self.finalize(now, out);
        } else if election.finalize_at.is_none() {
            election.finalize_at = Some(now + FINALIZE_WAIT);
        }
    }

    fn set_election_timer(&self, out: &mut Effects) {
        if let State::Looking(election) = &self.state {
            let at = election.finalize_at.map_or(election.resend_at, |at| at.min(election.resend_at));
            out.set_timer(at, Timer::ZkElection);
        }
    }

    pub(super) fn on_election_timer(&mut self, now: Instant, out: &mut Effects) {
        let State::Looking(election) = &mut self.state else { return };
        if election.finalize_at.is_some_and(|at| at <= now) {
            return self.finalize(now, out);
        }
        if election.resend_at <= now {
            election.resend = MAX_RESEND.min(election.resend * 2);
            election.resend_at = now + election.resend;
            self.broadcast_vote(out);
        }
        self.set_election_timer(out);
    }

    fn finalize(&mut self, now: Instant, out: &mut Effects) {
        let State::Looking(election) = &self.state else { return };
        let leader = election.vote.leader;
        if leader == self.id {
            out.cancel_timer(Timer::ZkElection);
            self.state = State::Leading(Leading::new(now));
            for (follower, info) in std::mem::take(&mut self.early) {
                self.on_follow(now, follower, info, out);
            }
            self.choose_epoch(now, out);
        } else {
            self.follow(now, leader, out);
        }
    }

    fn follow(&mut self, now: Instant, leader: ZooKeeperId, out: &mut Effects) {
        out.cancel_timer(Timer::ZkElection);
        self.early.clear();
        self.state = State::Following(Following::new(leader, now));
        self.report_to(leader, out);
    }
}
