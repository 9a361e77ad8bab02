//! How a group answers each request; the tables are in [`group`](super).

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{ClassicGroup, Member, Replaced, ReplyTo, Then, Turn, join_error, sync_error};
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::{Fact, GroupPhase, LeaveReason};
use crate::kafka::ids::{Generation, Name};
use crate::kafka::message::{
    Assignment, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    OffsetCommitRequest, Response, SyncGroupRequest,
};
use crate::kafka::mistakes::Mistake;
use crate::rng::Rng;

/// Since this version of JoinGroup a new member first gets its id (`JoinGroupRequest.requiresKnownMemberId`).
const KNOWN_MEMBER_ID: i16 = 4;
/// Since this version its answer can tell a leader to skip the assignment (`supportsSkippingAssignment`).
const SKIP_ASSIGNMENT: i16 = 9;

impl ClassicGroup {
    /// Handles JoinGroup (`classicGroupJoinToClassicGroup`).
    pub fn join(&mut self, request: &JoinGroupRequest, reply: ReplyTo, turn: &mut Turn) {
        let refuse = |error, member_id: &Name, turn: &mut Turn| {
            reply.respond(Response::JoinGroup(join_error(error, member_id)), turn.out);
        };
        if !self.has_room_for(&request.member_id, turn.config.group_max_size) {
            self.remove(&request.member_id, LeaveReason::GroupFull, turn);
            return refuse(ErrorCode::GroupMaxSizeReached, &"".into(), turn);
        }
        if self.phase == GroupPhase::Dead {
            return refuse(ErrorCode::CoordinatorNotAvailable, &request.member_id, turn);
        }
        if !self.supports(&request.protocol_type, &request.protocols) {
            return refuse(ErrorCode::InconsistentGroupProtocol, &request.member_id, turn);
        }
        if request.member_id.is_empty() {
            return self.join_new(request, reply, turn);
        }
        if self.pending_joins.contains(&request.member_id) {
            return self.add_and_rebalance(request.member_id.clone(), request, reply, turn);
        }
        if let Err(error) = self.validate_member(&request.member_id, request.group_instance_id.as_ref()) {
            return refuse(error, &request.member_id, turn);
        }
        self.join_again(request, reply, turn);
    }

    /// JoinGroup without a member id.
    fn join_new(&mut self, request: &JoinGroupRequest, reply: ReplyTo, turn: &mut Turn) {
        match &request.group_instance_id {
            Some(instance) => {
                let id = new_member_id(instance, turn.rng);
                match self.static_members.get(instance).cloned() {
                    Some(old) => self.return_of_static_member(old, id, request, reply, turn),
                    None => self.add_and_rebalance(id, request, reply, turn),
                }
            }
            // A client that gives up on a slow JoinGroup and asks again would leave a member behind each time. So an id
            // comes first, and the second JoinGroup names it (KIP-394).
            None if request.version < KNOWN_MEMBER_ID => {
                let id = new_member_id(&request.client_id, turn.rng);
                self.add_and_rebalance(id, request, reply, turn);
            }
            None => {
                let id = new_member_id(&request.client_id, turn.rng);
                self.pending_joins.insert(id.clone());
                self.set_session(&id, request.session_timeout, turn);
                reply.respond(Response::JoinGroup(join_error(ErrorCode::MemberIdRequired, &id)), turn.out);
            }
        }
    }

    /// JoinGroup of somebody who is a member already.
    fn join_again(&mut self, request: &JoinGroupRequest, reply: ReplyTo, turn: &mut Turn) {
        let id = &request.member_id;
        let changed = self.members.get(id).is_some_and(|member| member.protocols != request.protocols);
        let rebalance = match self.phase {
            GroupPhase::PreparingRebalance => true,
            // Unchanged, it has only missed the answer.
            GroupPhase::CompletingRebalance => changed,
            // A leader that joins again has seen something that calls for another assignment.
            GroupPhase::Stable => changed || self.is_leader(id),
            GroupPhase::Empty | GroupPhase::Dead => {
                let response = join_error(ErrorCode::UnknownMemberId, id);
                return reply.respond(Response::JoinGroup(response), turn.out);
            }
        };
        if rebalance {
            self.update_member(request, reply);
            self.rebalance_or_complete_join(turn);
        } else {
            let knows_members = self.phase == GroupPhase::CompletingRebalance && self.is_leader(id);
            reply.respond(Response::JoinGroup(self.join_response(id, knows_members)), turn.out);
        }
    }

    /// A static member without an id: the one of its instance id is replaced
    /// (`updateStaticMemberThenRebalanceOrCompleteJoin`).
    fn return_of_static_member(
        &mut self,
        old: Name,
        new: Name,
        request: &JoinGroupRequest,
        reply: ReplyTo,
        turn: &mut Turn,
    ) {
        let leader = self.leader.clone();
        self.replace_static_member(&old, &new, turn);
        let Some(before) = self.members.get(&new) else { return };
        let replaced = Replaced {
            old,
            new: new.clone(),
            leader,
            version: request.version,
            session_timeout: before.session_timeout,
            rebalance_timeout: before.rebalance_timeout,
            protocols: before.protocols.clone(),
        };
        self.update_member(&JoinGroupRequest { member_id: new, ..request.clone() }, reply);
        match self.phase {
            GroupPhase::Stable if self.select_protocol() == self.protocol => {
                let record = self.record(None);
                turn.write(record, Then::Replace { group: self.id.clone(), replaced: Box::new(replaced) });
            }
            // The old id may be in what the leader is working out.
            GroupPhase::Stable | GroupPhase::CompletingRebalance => self.prepare_rebalance(turn),
            GroupPhase::PreparingRebalance => self.maybe_complete_join(turn),
            GroupPhase::Empty | GroupPhase::Dead => {}
        }
    }

    /// The record that names a returned static member's new id is committed, or cannot be: then all is as before.
    pub fn replaced(&mut self, replaced: &Replaced, result: Result<(), ErrorCode>, turn: &mut Turn) {
        let new = &replaced.new;
        let Some(member) = self.members.get_mut(new) else { return };
        let Some(reply) = member.awaiting_join.take() else { return };
        let former_leader = replaced.leader.clone().unwrap_or_else(|| "".into());
        let response = match result {
            Ok(()) if replaced.version >= SKIP_ASSIGNMENT => {
                let leads = self.is_leader(new);
                JoinGroupResponse { skip_assignment: leads, ..self.join_response(new, leads) }
            }
            // Told the old leader's name, it takes itself for a follower.
            Ok(()) => JoinGroupResponse { leader: former_leader, ..self.join_response(new, false) },
            Err(error) => {
                member.session_timeout = replaced.session_timeout;
                member.rebalance_timeout = replaced.rebalance_timeout;
                member.protocols.clone_from(&replaced.protocols);
                self.replace_static_member(new, &replaced.old, turn);
                let known = self.join_response(&"".into(), false);
                JoinGroupResponse { error, leader: former_leader, ..known }
            }
        };
        reply.respond(Response::JoinGroup(response), turn.out);
    }

    /// Handles SyncGroup (`classicGroupSyncToClassicGroup`).
    pub fn sync(&mut self, request: &SyncGroupRequest, reply: ReplyTo, turn: &mut Turn) {
        let id = &request.member_id;
        let error = match self.phase {
            GroupPhase::Empty => Err(ErrorCode::UnknownMemberId),
            GroupPhase::Dead => Err(ErrorCode::CoordinatorNotAvailable),
            _ => self.validate_generation(id, request.group_instance_id.as_ref(), request.generation),
        };
        let same_protocol = request.protocol.is_none() || request.protocol == self.protocol;
        let error = error.err().or_else(|| (!same_protocol).then_some(ErrorCode::InconsistentGroupProtocol));
        if let Some(error) = error {
            return reply.respond(Response::SyncGroup(sync_error(error)), turn.out);
        }
        match self.phase {
            GroupPhase::CompletingRebalance => {
                self.synced(id, turn);
                if let Some(member) = self.members.get_mut(id) {
                    member.awaiting_sync = Some(reply);
                }
                if self.is_leader(id) {
                    self.take_assignment(request, turn);
                }
            }
            GroupPhase::Stable => {
                self.synced(id, turn);
                let assignment = self.members.get(id).map(|member| member.assignment.clone());
                let response = self.sync_response(assignment.unwrap_or_else(|| Rc::from([])));
                reply.respond(Response::SyncGroup(response), turn.out);
            }
            _ => reply.respond(Response::SyncGroup(sync_error(ErrorCode::RebalanceInProgress)), turn.out),
        }
    }

    /// Writes what the leader decided. A member that it forgot gets nothing.
    fn take_assignment(&mut self, request: &SyncGroupRequest, turn: &mut Turn) {
        let given: BTreeMap<&Name, &Assignment> = request.assignments.iter().map(|(id, given)| (id, given)).collect();
        let assignment_of = |id: &Name| given.get(id).map_or_else(|| Rc::from([]), |given| Assignment::clone(given));
        let assignments: BTreeMap<Name, Assignment> =
            self.members.keys().map(|id| (id.clone(), assignment_of(id))).collect();
        let record = self.record(Some(&assignments));
        turn.write(record, Then::Assign { group: self.id.clone(), generation: self.generation, assignments });
    }

    /// The leader's assignment is committed, or cannot be. By then another rebalance may have begun.
    pub fn assigned(
        &mut self,
        generation: Generation,
        assignments: &BTreeMap<Name, Assignment>,
        result: Result<(), ErrorCode>,
        turn: &mut Turn,
    ) {
        if self.phase != GroupPhase::CompletingRebalance || self.generation != generation {
            return;
        }
        if let Err(error) = result {
            self.answer_syncs(Err(error), turn);
            return self.rebalance_or_complete_join(turn);
        }
        for (id, member) in &mut self.members {
            let twice = turn.config.makes(Mistake::PartitionAssignedTwice);
            let id = assignments.keys().next().filter(|_| twice).unwrap_or(id);
            member.assignment = assignments.get(id).cloned().unwrap_or_else(|| Rc::from([]));
        }
        let members = self.members.values().map(|member| (member.id.clone(), member.assignment.to_vec())).collect();
        turn.out.note(Fact::GroupAssigned { group: self.id.clone(), generation, members });
        self.answer_syncs(Ok(()), turn);
        self.transition(GroupPhase::Stable, turn);
    }

    /// Handles Heartbeat (`classicGroupHeartbeatToClassicGroup`): what it is answered with.
    pub fn heartbeat(&mut self, request: &HeartbeatRequest, turn: &mut Turn) -> ErrorCode {
        if self.phase == GroupPhase::Dead {
            return ErrorCode::CoordinatorNotAvailable;
        }
        let (id, instance) = (&request.member_id, request.group_instance_id.as_ref());
        if let Err(error) = self.validate_generation(id, instance, request.generation) {
            return error;
        }
        self.keep_session(id, turn);
        match self.phase {
            GroupPhase::Empty | GroupPhase::Dead => ErrorCode::UnknownMemberId,
            GroupPhase::PreparingRebalance => ErrorCode::RebalanceInProgress,
            GroupPhase::CompletingRebalance | GroupPhase::Stable => ErrorCode::None,
        }
    }

    /// Handles LeaveGroup (`classicGroupLeaveToClassicGroup`).
    pub fn leave(&mut self, request: &LeaveGroupRequest, turn: &mut Turn) -> LeaveGroupResponse {
        if self.phase == GroupPhase::Dead {
            return LeaveGroupResponse { error: ErrorCode::CoordinatorNotAvailable, members: Vec::new() };
        }
        let mut members = Vec::new();
        for (id, instance) in &request.members {
            let error = self.leave_one(id, instance.as_ref(), request.reason, turn).err();
            members.push((id.clone(), error.unwrap_or(ErrorCode::None)));
        }
        if members.iter().any(|(_, error)| error.is_none()) {
            match self.phase {
                GroupPhase::Stable | GroupPhase::CompletingRebalance => self.prepare_rebalance(turn),
                GroupPhase::PreparingRebalance => self.maybe_complete_join(turn),
                GroupPhase::Empty | GroupPhase::Dead => {}
            }
        }
        LeaveGroupResponse { error: ErrorCode::None, members }
    }

    fn leave_one(
        &mut self,
        id: &Name,
        instance: Option<&Name>,
        reason: LeaveReason,
        turn: &mut Turn,
    ) -> Result<(), ErrorCode> {
        let id = match instance.and_then(|instance| self.static_members.get(instance)) {
            // Without an id it is an administrator who removes a static member.
            Some(member) if id.is_empty() => member.clone(),
            _ if id.is_empty() => return Err(ErrorCode::UnknownMemberId),
            _ => id.clone(),
        };
        if !self.pending_joins.contains(&id) {
            self.validate_member(&id, instance)?;
        }
        self.dismiss(&id, reason, turn);
        Ok(())
    }

    /// Whether a commit may be taken (`validateOffsetCommit`). A member's commit counts as a sign of life.
    pub fn validate_commit(&mut self, request: &OffsetCommitRequest, turn: &mut Turn) -> Result<(), ErrorCode> {
        if self.phase == GroupPhase::Dead {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        // From the outside (a tool, a consumer that was given its partitions by hand), while nobody is a member.
        if request.generation.is_none() && self.phase == GroupPhase::Empty {
            return Ok(());
        }
        let instance = request.group_instance_id.as_ref();
        if request.generation.is_none() && request.member_id.is_empty() && instance.is_none() {
            return Err(ErrorCode::UnknownMemberId);
        }
        if turn.config.makes(Mistake::GenerationNotChecked) {
            return Ok(());
        }
        self.validate_generation(&request.member_id, instance, request.generation.unwrap_or(Generation(-1)))?;
        if self.phase == GroupPhase::CompletingRebalance {
            return Err(ErrorCode::RebalanceInProgress);
        }
        self.keep_session(&request.member_id, turn);
        Ok(())
    }

    fn validate_generation(&self, id: &Name, instance: Option<&Name>, generation: Generation) -> Result<(), ErrorCode> {
        self.validate_member(id, instance)?;
        if generation == self.generation { Ok(()) } else { Err(ErrorCode::IllegalGeneration) }
    }

    /// Whether there is such a member, and it is the one that its instance id belongs to (`validateMember`).
    fn validate_member(&self, id: &Name, instance: Option<&Name>) -> Result<(), ErrorCode> {
        if let Some(instance) = instance {
            let owner = self.static_members.get(instance).ok_or(ErrorCode::UnknownMemberId)?;
            if owner != id {
                return Err(ErrorCode::FencedInstanceId);
            }
        }
        if self.members.contains_key(id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// Whether one more may join (`acceptJoiningMember`). During a rebalance those count who have joined it already.
    fn has_room_for(&self, id: &Name, group_max_size: u32) -> bool {
        let joined = |member: &&Member| member.awaiting_join.is_some();
        match self.phase {
            GroupPhase::Empty | GroupPhase::Dead => true,
            GroupPhase::PreparingRebalance => {
                self.members.get(id).is_some_and(|member| joined(&member))
                    || (self.members.values().filter(joined).count() as u64) < u64::from(group_max_size)
            }
            GroupPhase::CompletingRebalance | GroupPhase::Stable => {
                self.members.contains_key(id) || (self.members.len() as u64) < u64::from(group_max_size)
            }
        }
    }
}

/// `generateMemberId`: who it is, and a random UUID.
pub fn new_member_id(prefix: &str, rng: &mut Rng) -> Name {
    let (high, low) = (rng.next_u64(), rng.next_u64());
    let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
    let (d, e) = (0x8000 | ((low >> 48) & 0x3fff), low & 0xffff_ffff_ffff);
    format!("{prefix}-{a:08x}-{b:04x}-4{c:03x}-{d:04x}-{e:012x}").into()
}
