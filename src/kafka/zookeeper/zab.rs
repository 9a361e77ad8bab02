//! How writes are agreed on: Zab, ZooKeeper's atomic broadcast (`Leader`, `LearnerHandler`, `Follower`).
//!
//! A new leader first gathers a majority. It takes an epoch higher than any of them has seen, brings each to its own
//! history, and begins to serve when a majority has that on disk: so everything that was ever committed is in it, and no
//! leader of before can commit anything any more. From then on each write is a proposal, acknowledged from the disk, and
//! committed in order.

use std::collections::{BTreeMap, BTreeSet};

use super::{FSYNC, INIT_LIMIT, SYNC_LIMIT, State, TICK, ZooKeeperServer};
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::fact::{EnsemblePhase, Fact};
use crate::kafka::ids::{Node, ZooKeeperId};
use crate::kafka::message::ensemble::{
    SessionId, ZabAck, ZabCommit, ZabFollow, ZabPingRequest, ZabPingResponse, ZkChange, ZkOp, ZkTxn, ZkWrite, Zxid,
};
use crate::kafka::message::{NewLeader, Request, Response};
use crate::time::{Duration, Instant};

/// A leader's knowledge of the others.
#[derive(Clone, Debug)]
pub(super) struct Leading {
    since: Instant,
    /// 0 until a majority has gathered.
    epoch: u32,
    gathered: BTreeMap<ZooKeeperId, ZabFollow>,
    /// What each has on its disk, of those that have been given the leader's history.
    acked: BTreeMap<ZooKeeperId, Zxid>,
    /// Those that have been told to serve: they get every commit.
    up_to_date: BTreeSet<ZooKeeperId>,
    pub last_heard: BTreeMap<ZooKeeperId, Instant>,
    pub established: bool,
    last_proposed: Zxid,
    committed: Zxid,
    /// When each session was last heard of, as far as the leader was told.
    pub sessions: BTreeMap<SessionId, Instant>,
    closing: BTreeSet<SessionId>,
}

impl Leading {
    pub fn new(now: Instant) -> Self {
        Self {
            since: now,
            epoch: 0,
            gathered: BTreeMap::new(),
            acked: BTreeMap::new(),
            up_to_date: BTreeSet::new(),
            last_heard: BTreeMap::new(),
            established: false,
            last_proposed: Zxid::default(),
            committed: Zxid::default(),
            sessions: BTreeMap::new(),
            closing: BTreeSet::new(),
        }
    }

    /// It has led for long, and everybody follows.
    pub fn settled(epoch: u32, last: Zxid, ensemble: &[ZooKeeperId]) -> Self {
        Self {
            epoch,
            acked: ensemble.iter().map(|id| (*id, last)).collect(),
            up_to_date: ensemble.iter().copied().collect(),
            last_heard: ensemble.iter().map(|id| (*id, Instant::ZERO)).collect(),
            established: true,
            last_proposed: last,
            committed: last,
            ..Self::new(Instant::ZERO)
        }
    }

    pub fn touch(&mut self, now: Instant, session: SessionId) {
        self.sessions.insert(session, now);
    }

    /// Keeps the list of sessions in step with the tree.
    pub fn after_apply(&mut self, now: Instant, txn: &ZkTxn, done: bool) {
        match &txn.write.change {
            ZkChange::OpenSession { .. } => self.touch(now, SessionId(txn.zxid.0)),
            ZkChange::MoveSession if done => self.touch(now, txn.write.session),
            ZkChange::CloseSession { .. } | ZkChange::Op(ZkOp::CloseSession) => {
                self.closing.remove(&txn.write.session);
                self.sessions.remove(&txn.write.session);
            }
            _ => {}
        }
    }
}

/// A follower's knowledge of its leader.
#[derive(Clone, Debug)]
pub(super) struct Following {
    pub leader: ZooKeeperId,
    pub last_heard: Instant,
    /// It has the leader's history, and a majority has.
    pub serving: bool,
    has_history: bool,
}

impl Following {
    pub fn new(leader: ZooKeeperId, now: Instant) -> Self {
        Self { leader, last_heard: now, serving: false, has_history: false }
    }

    pub fn settled(leader: ZooKeeperId) -> Self {
        Self { leader, last_heard: Instant::ZERO, serving: true, has_history: true }
    }
}

impl ZooKeeperServer {
    pub(super) fn on_server_request(
        &mut self,
        now: Instant,
        from: ZooKeeperId,
        correlation_id: u32,
        request: Request,
        out: &mut Effects,
    ) {
        let is_leader = matches!(&self.state, State::Following(following) if following.leader == from);
        if let State::Following(following) = &mut self.state
            && is_leader
        {
            following.last_heard = now;
        }
        match request {
            Request::ZabVote(vote) => self.on_vote(now, from, vote, out),
            Request::ZabFollow(info) => self.on_follow(now, from, info, out),
            Request::ZabAck(ack) => self.on_ack(now, from, ack, out),
            Request::ZabForward(write) => self.on_forward(now, write, out),
            Request::ZabNewLeader(history) if is_leader => self.on_new_leader(now, *history, out),
            Request::ZabProposal(txn) if is_leader => self.on_proposal(now, txn, out),
            Request::ZabCommit(commit) if is_leader => self.on_commit(now, commit, out),
            Request::ZabPing(ZabPingRequest {}) if is_leader => {
                let heard_of = std::mem::take(&mut self.heard_of).into_iter().collect();
                out.respond(Node::ZooKeeper(from), correlation_id, Response::ZabPing(ZabPingResponse { heard_of }));
            }
            // Of a leader that this server has left.
            _ => {}
        }
    }

    // The leader.

    pub(super) fn on_follow(&mut self, now: Instant, from: ZooKeeperId, info: ZabFollow, out: &mut Effects) {
        match &mut self.state {
            State::Leading(leading) => {
                leading.last_heard.insert(from, now);
                if leading.epoch == 0 {
                    leading.gathered.insert(from, info);
                    self.choose_epoch(now, out);
                } else {
                    self.send_history(from, info, out);
                }
            }
            State::Looking(_) => {
                self.early.insert(from, info);
            }
            State::Following(_) => out.close_connection(Node::ZooKeeper(from)),
        }
    }

    /// Once a majority has gathered, the leader takes an epoch that none of them has seen.
    pub(super) fn choose_epoch(&mut self, now: Instant, out: &mut Effects) {
        let majority = self.majority();
        let State::Leading(leading) = &mut self.state else { return };
        if leading.epoch != 0 || leading.gathered.len() + 1 < majority {
            return;
        }
        let seen = leading.gathered.values().map(|info| info.accepted_epoch).max().unwrap_or(0);
        leading.epoch = seen.max(self.disk.current_epoch()) + 1;
        leading.last_proposed = Zxid::new(leading.epoch, 0);
        self.disk.accept_epoch(leading.epoch);
        leading.acked.insert(self.id, leading.last_proposed);
        for (follower, info) in std::mem::take(&mut leading.gathered) {
            self.send_history(follower, info, out);
        }
        self.advance_commit(now, out);
    }

    fn send_history(&mut self, to: ZooKeeperId, info: ZabFollow, out: &mut Effects) {
        let State::Leading(leading) = &mut self.state else { return };
        leading.acked.insert(to, Zxid::default());
        leading.up_to_date.remove(&to);
        let difference = self.disk.difference(info.last_zxid);
        let (snapshot, truncate_to, mut txns) = match difference {
            Some((shared, txns)) => (None, shared, txns),
            None => (Some(self.disk.tree().clone()), self.disk.tree().applied(), self.disk.unapplied().collect()),
        };
        // Proposals on their way to this server's own disk are on their way to the follower as well.
        txns.extend(self.unsynced.iter().cloned());
        let history = NewLeader { epoch: leading.epoch, snapshot, truncate_to, txns };
        out.request(Node::ZooKeeper(to), 0, Request::ZabNewLeader(Box::new(history)));
    }

    fn on_ack(&mut self, now: Instant, from: ZooKeeperId, ack: ZabAck, out: &mut Effects) {
        let State::Leading(leading) = &mut self.state else { return };
        leading.last_heard.insert(from, now);
        let Some(acked) = leading.acked.get_mut(&from) else { return };
        *acked = ack.zxid.max(*acked);
        self.advance_commit(now, out);
        self.bring_up_to_date(from, out);
    }

    /// A follower that has the history of an established leader may serve.
    fn bring_up_to_date(&mut self, follower: ZooKeeperId, out: &mut Effects) {
        let State::Leading(leading) = &mut self.state else { return };
        let ready = leading.acked.get(&follower).is_some_and(|acked| *acked >= Zxid::new(leading.epoch, 0));
        if leading.established && ready && follower != self.id && leading.up_to_date.insert(follower) {
            out.request(Node::ZooKeeper(follower), 0, Request::ZabCommit(ZabCommit { zxid: leading.committed }));
        }
    }

    /// What a majority has on disk is committed.
    fn advance_commit(&mut self, now: Instant, out: &mut Effects) {
        let (majority, id) = (self.majority(), self.id);
        let State::Leading(leading) = &mut self.state else { return };
        let mut acked: Vec<Zxid> = leading.acked.values().copied().collect();
        acked.sort_unstable_by(|a, b| b.cmp(a));
        let Some(reached) = acked.get(majority - 1).copied() else { return };
        if leading.epoch == 0 || reached < Zxid::new(leading.epoch, 0) || reached <= leading.committed {
            return;
        }
        let begins = !leading.established;
        leading.established = true;
        leading.committed = reached;
        let (epoch, followers) = (leading.epoch, leading.up_to_date.clone());
        if begins {
            let known: Vec<SessionId> = self.disk.tree().sessions().map(|(session, _)| session).collect();
            // Nobody lost a session because there was no leader to keep it.
            leading.sessions = known.into_iter().map(|session| (session, now)).collect();
            out.note(Fact::EnsembleState {
                from: EnsemblePhase::Looking,
                to: EnsemblePhase::Leading,
                epoch,
                leader: Some(id),
            });
        }
        for follower in followers.into_iter().filter(|follower| *follower != id) {
            out.request(Node::ZooKeeper(follower), 0, Request::ZabCommit(ZabCommit { zxid: reached }));
        }
        self.apply_up_to(now, reached, out);
        if begins {
            self.others().for_each(|other| self.bring_up_to_date(other, out));
        }
    }

    fn on_forward(&mut self, now: Instant, write: ZkWrite, out: &mut Effects) {
        self.propose(now, write, out);
    }

    /// A write gets its number.
    pub(super) fn propose(&mut self, now: Instant, write: ZkWrite, out: &mut Effects) {
        let State::Leading(leading) = &mut self.state else { return };
        if !leading.established {
            return;
        }
        leading.last_proposed = leading.last_proposed.next();
        let txn = ZkTxn { zxid: leading.last_proposed, write };
        let followers: Vec<ZooKeeperId> = leading.acked.keys().copied().filter(|id| *id != self.id).collect();
        for follower in followers {
            out.request(Node::ZooKeeper(follower), 0, Request::ZabProposal(txn.clone()));
        }
        self.log(now, txn, out);
    }

    pub(super) fn on_pong(&mut self, now: Instant, from: Node, pong: &ZabPingResponse) {
        let State::Leading(leading) = &mut self.state else { return };
        if let Node::ZooKeeper(server) = from {
            leading.last_heard.insert(server, now);
        }
        for session in &pong.heard_of {
            leading.touch(now, *session);
        }
    }

    // The follower.

    /// FOLLOWERINFO.
    pub(super) fn report_to(&self, leader: ZooKeeperId, out: &mut Effects) {
        let info = ZabFollow { accepted_epoch: self.disk.current_epoch(), last_zxid: self.disk.last_zxid() };
        out.request(Node::ZooKeeper(leader), 0, Request::ZabFollow(info));
    }

    fn on_new_leader(&mut self, now: Instant, history: NewLeader, out: &mut Effects) {
        if history.epoch < self.disk.current_epoch() {
            return self.look(now, out);
        }
        let State::Following(following) = &mut self.state else { return };
        following.has_history = true;
        let leader = following.leader;
        self.disk.accept_epoch(history.epoch);
        self.unsynced.clear();
        self.disk.take_over(history.snapshot, history.truncate_to, history.txns);
        self.pending = self.disk.unapplied().collect();
        let zxid = self.disk.last_zxid().max(Zxid::new(history.epoch, 0));
        out.request(Node::ZooKeeper(leader), 0, Request::ZabAck(ZabAck { zxid }));
    }

    fn on_proposal(&mut self, now: Instant, txn: ZkTxn, out: &mut Effects) {
        if matches!(&self.state, State::Following(following) if following.has_history) {
            self.log(now, txn, out);
        }
    }

    fn on_commit(&mut self, now: Instant, commit: ZabCommit, out: &mut Effects) {
        let State::Following(following) = &mut self.state else { return };
        if !following.has_history {
            return;
        }
        let (begins, leader) = (!following.serving, following.leader);
        following.serving = true;
        if begins {
            out.note(Fact::EnsembleState {
                from: EnsemblePhase::Looking,
                to: EnsemblePhase::Following,
                epoch: self.disk.current_epoch(),
                leader: Some(leader),
            });
        }
        self.apply_up_to(now, commit.zxid, out);
    }

    // Both.

    /// Takes a proposal to the disk. What arrives while the disk is at work goes with the next time.
    fn log(&mut self, now: Instant, txn: ZkTxn, out: &mut Effects) {
        if self.unsynced.is_empty() {
            out.set_timer(now + FSYNC, Timer::ZkFsync);
        }
        self.unsynced.push(txn.clone());
        self.pending.push_back(txn);
    }

    pub(super) fn on_synced(&mut self, now: Instant, out: &mut Effects) {
        for txn in std::mem::take(&mut self.unsynced) {
            self.disk.append(txn);
        }
        let zxid = self.disk.last_zxid();
        let id = self.id;
        match &mut self.state {
            State::Leading(leading) if leading.epoch != 0 => {
                leading.acked.insert(id, zxid.max(Zxid::new(leading.epoch, 0)));
                self.advance_commit(now, out);
            }
            State::Following(following) if following.has_history => {
                out.request(Node::ZooKeeper(following.leader), 0, Request::ZabAck(ZabAck { zxid }));
            }
            _ => {}
        }
    }

    fn apply_up_to(&mut self, now: Instant, zxid: Zxid, out: &mut Effects) {
        while self.pending.front().is_some_and(|txn| txn.zxid <= zxid) {
            if let Some(txn) = self.pending.pop_front() {
                self.apply(now, &txn, out);
            }
        }
    }

    /// Every half tick: is there still a leader, or a majority?
    pub(super) fn on_tick(&mut self, now: Instant, out: &mut Effects) {
        let majority = self.majority();
        match &self.state {
            State::Looking(_) => {}
            State::Following(following) => {
                let limit = if following.serving { SYNC_LIMIT } else { INIT_LIMIT };
                if now.since(following.last_heard) > limit {
                    self.look(now, out);
                }
            }
            State::Leading(leading) => {
                let heard = |at: &Instant| now.since(*at) <= SYNC_LIMIT;
                let near =
                    1 + leading.last_heard.iter().filter(|(server, at)| **server != self.id && heard(at)).count();
                let gathering = !leading.established && now.since(leading.since) <= INIT_LIMIT;
                if (!leading.established || near < majority) && !gathering {
                    return self.look(now, out);
                }
                for server in leading.acked.keys().filter(|server| **server != self.id) {
                    out.request(Node::ZooKeeper(*server), 0, Request::ZabPing(ZabPingRequest {}));
                }
                self.expire_sessions(now, out);
            }
        }
    }

    /// A session ends `timeout` after it was last heard of, rounded up to a whole tick (`ExpiryQueue`).
    fn expire_sessions(&mut self, now: Instant, out: &mut Effects) {
        let State::Leading(leading) = &mut self.state else { return };
        if !leading.established {
            return;
        }
        let mut expired: Vec<(SessionId, Duration)> = Vec::new();
        for (id, session) in self.disk.tree().sessions() {
            let heard = *leading.sessions.entry(id).or_insert(now);
            let end = (heard + session.timeout).as_micros() / TICK.as_micros() * TICK.as_micros() + TICK.as_micros();
            if now.as_micros() >= end && leading.closing.insert(id) {
                expired.push((id, now.since(heard)));
            }
        }
        for (session, silent_for) in expired {
            let change = ZkChange::CloseSession { silent_for: Some(silent_for) };
            let ticket = self.next_ticket;
            self.next_ticket += 1;
            self.propose(now, ZkWrite { origin: self.id, ticket, session, change }, out);
        }
    }

    pub(super) fn on_server_lost(&mut self, now: Instant, server: ZooKeeperId, out: &mut Effects) {
        match &mut self.state {
            State::Following(following) if following.leader == server => self.look(now, out),
            State::Leading(leading) => {
                leading.gathered.remove(&server);
                leading.acked.remove(&server);
                leading.up_to_date.remove(&server);
                leading.last_heard.remove(&server);
            }
            _ => {
                self.early.remove(&server);
            }
        }
    }
}
