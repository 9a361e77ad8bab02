//! How a rebalance begins and ends, and how members come and go.

use super::{
    ClassicGroup, ErrorCode, Fact, GroupPhase, Instant, JoinGroupRequest, LeaveReason, Member, NEW_MEMBER_JOIN_TIMEOUT,
    Name, Rc, ReplyTo, Response, Then, Timer, Turn, join_error, sync_error,
};
use crate::kafka::ids::Generation;
use crate::time::Duration;

/// What the end of a join phase waits for besides the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinWait {
    /// The first rebalance of an empty group: more members may come. It has waited for `delay` this time, and may wait
    /// for `remaining` more.
    Initial { until: Instant, delay: Duration, remaining: Duration },
    /// The rebalance timeout.
    Rebalance { until: Instant },
}

impl ClassicGroup {
    /// When the join phase ends at the latest, as of now.
    pub fn join_deadline(&self) -> Option<Instant> {
        self.join_wait.map(|(JoinWait::Initial { until, .. } | JoinWait::Rebalance { until })| until)
    }

    /// `addMemberThenRebalanceOrCompleteJoin`.
    pub(super) fn add_and_rebalance(&mut self, id: Name, request: &JoinGroupRequest, reply: ReplyTo, turn: &mut Turn) {
        let member = Member {
            id: id.clone(),
            instance_id: request.group_instance_id.clone(),
            client_id: request.client_id.clone(),
            host: format!("/{}", request.client_id).into(),
            session_timeout: request.session_timeout,
            rebalance_timeout: request.rebalance_timeout,
            protocols: request.protocols.clone(),
            assignment: Rc::from([]),
            awaiting_join: Some(reply),
            awaiting_sync: None,
            is_new: true,
        };
        if self.phase == GroupPhase::PreparingRebalance && self.previous == GroupPhase::Empty {
            self.new_member_added = true;
        }
        if let Some(instance) = &member.instance_id {
            self.static_members.insert(instance.clone(), id.clone());
        }
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.pending_joins.remove(&id);
        self.members.insert(id.clone(), member);
        turn.out.note(Fact::MemberJoined { group: self.id.clone(), member: id.clone() });
        // It cannot send heartbeats before it knows that it is in, and a client that is gone would otherwise stay.
        self.set_session(&id, NEW_MEMBER_JOIN_TIMEOUT, turn);
        self.rebalance_or_complete_join(turn);
    }

    /// A member's JoinGroup brings what it can do now, and waits for its answer.
    pub(super) fn update_member(&mut self, request: &JoinGroupRequest, reply: ReplyTo) {
        if let Some(member) = self.members.get_mut(&request.member_id) {
            member.protocols.clone_from(&request.protocols);
            member.rebalance_timeout = request.rebalance_timeout;
            member.session_timeout = request.session_timeout;
            member.awaiting_join = Some(reply);
        }
    }

    /// `replaceStaticMember`: everything stays but the id. Whoever waits under the old one is turned away.
    pub(super) fn replace_static_member(&mut self, old: &Name, new: &Name, turn: &mut Turn) {
        let Some(mut member) = self.members.remove(old) else { return };
        if let Some(reply) = member.awaiting_join.take() {
            reply.respond(Response::JoinGroup(join_error(ErrorCode::FencedInstanceId, old)), turn.out);
        }
        if let Some(reply) = member.awaiting_sync.take() {
            reply.respond(Response::SyncGroup(sync_error(ErrorCode::FencedInstanceId)), turn.out);
        }
        turn.out.cancel_timer(Timer::GroupSession { group: self.id.clone(), member: old.clone() });
        member.id = new.clone();
        member.is_new = false;
        if let Some(instance) = &member.instance_id {
            self.static_members.insert(instance.clone(), new.clone());
        }
        if self.is_leader(old) {
            self.leader = Some(new.clone());
        }
        self.set_session(new, member.session_timeout, turn);
        self.members.insert(new.clone(), member);
        let (group, reason) = (self.id.clone(), LeaveReason::Replaced);
        turn.out.note(Fact::MemberRemoved { group: group.clone(), member: old.clone(), reason });
        turn.out.note(Fact::MemberJoined { group, member: new.clone() });
    }

    /// `maybePrepareRebalanceOrCompleteJoin`.
    pub(super) fn rebalance_or_complete_join(&mut self, turn: &mut Turn) {
        match self.phase {
            GroupPhase::Empty | GroupPhase::CompletingRebalance | GroupPhase::Stable => self.prepare_rebalance(turn),
            GroupPhase::PreparingRebalance => self.maybe_complete_join(turn),
            GroupPhase::Dead => {}
        }
    }

    /// Begins a rebalance. The first of an empty group waits a while for more members; any other ends as soon as all
    /// have joined (`prepareRebalance`).
    pub fn prepare_rebalance(&mut self, turn: &mut Turn) {
        if self.phase == GroupPhase::CompletingRebalance {
            self.answer_syncs(Err(ErrorCode::RebalanceInProgress), turn);
        }
        self.pending_syncs.clear();
        turn.out.cancel_timer(Timer::GroupSync { group: self.id.clone() });
        let initial = self.phase == GroupPhase::Empty;
        self.transition(GroupPhase::PreparingRebalance, turn);
        if initial {
            let delay = turn.config.group_initial_rebalance_delay;
            self.new_member_added = false;
            self.wait_for_more(delay, self.rebalance_timeout() - delay, turn);
        } else if self.all_have_joined() {
            self.complete_join(turn);
        } else {
            self.wait_for_everybody(turn);
        }
    }

    /// [`Timer::GroupJoin`] came.
    pub fn join_timed_out(&mut self, turn: &mut Turn) {
        if self.phase != GroupPhase::PreparingRebalance || self.join_deadline().is_none_or(|until| turn.now < until) {
            return;
        }
        match self.join_wait {
            // While members keep coming, it waits on, up to the rebalance timeout.
            Some(JoinWait::Initial { delay, remaining, .. }) if self.new_member_added && !remaining.is_zero() => {
                self.new_member_added = false;
                let next = turn.config.group_initial_rebalance_delay.min(remaining);
                self.wait_for_more(next, remaining - delay, turn);
            }
            _ => self.complete_join(turn),
        }
    }

    fn wait_for_more(&mut self, delay: Duration, remaining: Duration, turn: &mut Turn) {
        let until = turn.now + delay;
        self.join_wait = Some(JoinWait::Initial { until, delay, remaining });
        turn.out.set_timer(until, Timer::GroupJoin { group: self.id.clone() });
    }

    fn wait_for_everybody(&mut self, turn: &mut Turn) {
        let until = turn.now + self.rebalance_timeout();
        self.join_wait = Some(JoinWait::Rebalance { until });
        turn.out.set_timer(until, Timer::GroupJoin { group: self.id.clone() });
    }

    /// Ends the join phase if everybody is there; the first rebalance ends by its timer alone (`maybeCompleteJoinPhase`).
    pub(super) fn maybe_complete_join(&mut self, turn: &mut Turn) {
        let initial = self.previous == GroupPhase::Empty;
        if self.phase == GroupPhase::PreparingRebalance && !initial && self.all_have_joined() {
            self.complete_join(turn);
        }
    }

    fn all_have_joined(&self) -> bool {
        self.pending_joins.is_empty() && self.members.values().all(|member| member.awaiting_join.is_some())
    }

    /// The join phase is over: the next generation consists of those who have joined (`completeClassicGroupJoin`).
    fn complete_join(&mut self, turn: &mut Turn) {
        self.join_wait = None;
        turn.out.cancel_timer(Timer::GroupJoin { group: self.id.clone() });
        let missing = |member: &&Member| member.awaiting_join.is_none() && member.instance_id.is_none();
        let missing: Vec<Name> = self.members.values().filter(missing).map(|member| member.id.clone()).collect();
        for id in missing {
            self.dismiss(&id, LeaveReason::JoinTimeout, turn);
        }
        if self.members.is_empty() {
            return self.become_empty(turn);
        }
        if !self.elect_leader() {
            // Only static members are left, and none has joined: their sessions will tell.
            return self.wait_for_everybody(turn);
        }
        self.generation = Generation(self.generation.0 + 1);
        self.protocol = self.select_protocol();
        self.subscribed_topics = self.compute_subscribed_topics();
        self.pending_syncs = self.members.keys().cloned().collect();
        self.transition(GroupPhase::CompletingRebalance, turn);
        self.answer_joins(turn);
        turn.out.set_timer(turn.now + self.rebalance_timeout(), Timer::GroupSync { group: self.id.clone() });
    }

    fn become_empty(&mut self, turn: &mut Turn) {
        self.generation = Generation(self.generation.0 + 1);
        self.protocol = None;
        self.leader = None;
        self.subscribed_topics = self.compute_subscribed_topics();
        self.pending_syncs.clear();
        self.transition(GroupPhase::Empty, turn);
        let record = self.record(None);
        turn.write(record, Then::Nothing);
    }

    /// The leader stays if it has joined, else somebody who has takes over (`maybeElectNewJoinedLeader`).
    fn elect_leader(&mut self) -> bool {
        let has_joined = |member: &Member| member.awaiting_join.is_some();
        let stays = self.leader.as_ref().and_then(|id| self.members.get(id)).is_some_and(has_joined);
        if !stays {
            let Some(next) = self.members.values().find(|member| has_joined(member)) else { return false };
            self.leader = Some(next.id.clone());
        }
        true
    }

    fn answer_joins(&mut self, turn: &mut Turn) {
        let ids: Vec<Name> = self.members.keys().cloned().collect();
        for id in &ids {
            let response = self.join_response(id, self.is_leader(id));
            let Some(member) = self.members.get_mut(id) else { continue };
            member.is_new = false;
            if let Some(reply) = member.awaiting_join.take() {
                reply.respond(Response::JoinGroup(response), turn.out);
            }
            self.keep_session(id, turn);
        }
    }

    /// Answers everybody who waits in SyncGroup: with its assignment, or with an error, which takes assignments away
    /// (`propagateAssignment`, `resetAndPropagateAssignmentWithError`).
    pub(super) fn answer_syncs(&mut self, result: Result<(), ErrorCode>, turn: &mut Turn) {
        let ids: Vec<Name> = self.members.keys().cloned().collect();
        for id in &ids {
            let Some(member) = self.members.get_mut(id) else { continue };
            if result.is_err() {
                member.assignment = Rc::from([]);
            }
            let assignment = member.assignment.clone();
            let Some(reply) = member.awaiting_sync.take() else { continue };
            let response = match result {
                Ok(()) => self.sync_response(assignment),
                Err(error) => sync_error(error),
            };
            reply.respond(Response::SyncGroup(response), turn.out);
            self.keep_session(id, turn);
        }
    }

    /// The member has sent SyncGroup in this generation.
    pub(super) fn synced(&mut self, id: &Name, turn: &mut Turn) {
        self.pending_syncs.remove(id);
        if self.pending_syncs.is_empty() {
            turn.out.cancel_timer(Timer::GroupSync { group: self.id.clone() });
        }
    }

    /// [`Timer::GroupSync`] came: who has not sent SyncGroup is out (`expirePendingSync`).
    pub fn sync_timed_out(&mut self, turn: &mut Turn) {
        let waits = matches!(self.phase, GroupPhase::CompletingRebalance | GroupPhase::Stable);
        if !waits || self.pending_syncs.is_empty() {
            return;
        }
        for id in self.pending_syncs.clone() {
            self.dismiss(&id, LeaveReason::SyncTimeout, turn);
        }
        self.prepare_rebalance(turn);
    }

    /// [`Timer::GroupSession`] came: the member, or the id that nobody came back with, is out
    /// (`expireClassicGroupMemberHeartbeat`).
    pub fn session_timed_out(&mut self, id: &Name, turn: &mut Turn) {
        if self.phase == GroupPhase::Dead {
            return;
        }
        if self.pending_joins.remove(id) {
            return self.complete_join_if_ready(turn);
        }
        if self.members.get(id).is_none_or(Member::has_satisfied_heartbeat) {
            return;
        }
        self.dismiss(id, LeaveReason::SessionTimeout, turn);
        match self.phase {
            GroupPhase::Stable | GroupPhase::CompletingRebalance => self.prepare_rebalance(turn),
            _ => self.complete_join_if_ready(turn),
        }
    }

    /// Somebody whom the join phase waited for is gone. Other than [`maybe_complete_join`](Self::maybe_complete_join)
    /// this ends the first rebalance too, as in Kafka.
    fn complete_join_if_ready(&mut self, turn: &mut Turn) {
        if self.phase == GroupPhase::PreparingRebalance && self.all_have_joined() {
            self.complete_join(turn);
        }
    }

    /// Takes a member out. If it waits for its JoinGroup answer it learns that it must start anew.
    pub(super) fn dismiss(&mut self, id: &Name, reason: LeaveReason, turn: &mut Turn) {
        turn.out.cancel_timer(Timer::GroupSession { group: self.id.clone(), member: id.clone() });
        if let Some(reply) = self.members.get_mut(id).and_then(|member| member.awaiting_join.take()) {
            reply.respond(Response::JoinGroup(join_error(ErrorCode::UnknownMemberId, &"".into())), turn.out);
        }
        self.remove(id, reason, turn);
    }

    /// `ClassicGroup.remove`.
    pub(super) fn remove(&mut self, id: &Name, reason: LeaveReason, turn: &mut Turn) {
        self.pending_joins.remove(id);
        self.pending_syncs.remove(id);
        let Some(member) = self.members.remove(id) else { return };
        if let Some(instance) = &member.instance_id {
            self.static_members.remove(instance);
        }
        if let Some(reply) = member.awaiting_sync {
            reply.respond(Response::SyncGroup(sync_error(ErrorCode::UnknownMemberId)), turn.out);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        turn.out.note(Fact::MemberRemoved { group: self.id.clone(), member: id.clone(), reason });
    }

    /// The group has no members and no offsets any more: nobody finds it from now on.
    pub fn bury(&mut self, turn: &mut Turn) {
        self.transition(GroupPhase::Dead, turn);
    }

    /// The tombstone could not be written: the group is still there.
    pub fn exhume(&mut self, turn: &mut Turn) {
        if self.phase == GroupPhase::Dead {
            let (from, to) = (self.phase, GroupPhase::Empty);
            self.phase = to;
            turn.out.note(Fact::GroupState { group: self.id.clone(), from, to, generation: self.generation });
        }
    }

    /// This broker is not the coordinator any more: everybody who waits learns it, and all deadlines go (`onUnloaded`).
    pub fn unload(&mut self, error: ErrorCode, out: &mut crate::kafka::effects::Effects) {
        let group = &self.id;
        for id in self.members.keys().chain(&self.pending_joins) {
            out.cancel_timer(Timer::GroupSession { group: group.clone(), member: id.clone() });
        }
        out.cancel_timer(Timer::GroupJoin { group: group.clone() });
        out.cancel_timer(Timer::GroupSync { group: group.clone() });
        for (id, member) in &mut self.members {
            if let Some(reply) = member.awaiting_join.take() {
                reply.respond(Response::JoinGroup(join_error(error, id)), out);
            }
            if let Some(reply) = member.awaiting_sync.take() {
                reply.respond(Response::SyncGroup(sync_error(error)), out);
            }
        }
    }

    /// After loading, every member has a whole session to be heard of.
    pub fn loaded(&mut self, turn: &mut Turn) {
        for id in self.members.keys() {
            self.keep_session(id, turn);
        }
        if self.members.len() as u64 > u64::from(turn.config.group_max_size) {
            self.prepare_rebalance(turn);
        }
    }

    /// The longest that any member may take to join (`rebalanceTimeoutMs`).
    fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or(Duration::ZERO)
    }

    pub(super) fn transition(&mut self, to: GroupPhase, turn: &mut Turn) {
        let from = self.phase;
        assert!(may_follow(from, to), "group {} cannot go from {} to {}", self.id, from.name(), to.name());
        self.previous = from;
        self.phase = to;
        self.since = Some(turn.now.timestamp_ms());
        turn.out.note(Fact::GroupState { group: self.id.clone(), from, to, generation: self.generation });
    }
}

/// The table of legal transitions (`ClassicGroupState.validPreviousStates`).
fn may_follow(from: GroupPhase, to: GroupPhase) -> bool {
    use GroupPhase::{CompletingRebalance, Dead, Empty, PreparingRebalance, Stable};
    match to {
        Empty | CompletingRebalance => from == PreparingRebalance,
        PreparingRebalance => matches!(from, Empty | CompletingRebalance | Stable),
        Stable => from == CompletingRebalance,
        Dead => true,
    }
}
