//! What a heartbeat brings about, and what its absence does (`consumerGroupHeartbeat`, `consumerGroupLeave`,
//! `consumerGroupFenceMember`).

use std::rc::Rc;

use super::target::{Target, metadata_hash};
use super::{Changes, ConsumerGroup, Generation, Member, Name, Reconciliation, Turn, ids_of, named};
use crate::kafka::config::{BrokerConfig, ServerAssignors};
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::{EpochReason, Fact, LeaveReason};
use crate::kafka::group_log::ConsumerRecord;
use crate::kafka::ids::TopicPartition;
use crate::kafka::message::consumer_group::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, JOIN_EPOCH, LEAVE_EPOCH, LEAVE_STATIC_EPOCH,
};

/// What is wrong with a heartbeat, whatever the group says (`throwIfConsumerGroupHeartbeatRequestIsInvalid`).
pub fn check(request: &ConsumerGroupHeartbeatRequest, assignors: &ServerAssignors) -> Result<(), ErrorCode> {
    let is_empty = |name: &Option<Name>| name.as_ref().is_some_and(|name| name.is_empty());
    let incomplete = match request.member_epoch {
        JOIN_EPOCH => {
            let subscribes = request.topics.is_some() || request.regex.is_some();
            let owns_nothing = request.owned.as_ref().is_some_and(Vec::is_empty);
            request.rebalance_timeout.is_none() || !owns_nothing || !subscribes
        }
        LEAVE_STATIC_EPOCH => request.instance_id.is_none(),
        epoch => epoch < LEAVE_STATIC_EPOCH,
    };
    let nameless = request.member_id.is_empty() || request.group.is_empty();
    if nameless || is_empty(&request.instance_id) || is_empty(&request.rack) || incomplete {
        return Err(ErrorCode::InvalidRequest);
    }
    match &request.server_assignor {
        Some(name) if assignors.find(name).is_none() => Err(ErrorCode::UnsupportedAssignor),
        _ => Ok(()),
    }
}

impl ConsumerGroup {
    /// Handles ConsumerGroupHeartbeat: what is to be written, and what the member is told when it is safe. An error
    /// changes nothing.
    pub fn heartbeat(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest,
        turn: &mut Turn,
    ) -> Result<(Changes, ConsumerGroupHeartbeatResponse), ErrorCode> {
        match request.member_epoch {
            LEAVE_EPOCH | LEAVE_STATIC_EPOCH => self.leave(request, turn),
            _ => self.stay(request, turn),
        }
    }

    fn stay(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest,
        turn: &mut Turn,
    ) -> Result<(Changes, ConsumerGroupHeartbeatResponse), ErrorCode> {
        self.check_room(&request.member_id, turn.config)?;
        let mut changes = Changes::default();
        let (before, is_new) = self.sender(request, &mut changes)?;
        let mut after = Member::clone(&before);
        after.update(request);
        self.advance(&before, &mut after, is_new, request.owned.as_deref(), &mut changes, turn)?;
        self.keep_session(&after, turn);
        let full = request.rebalance_timeout.is_some()
            && (request.topics.is_some() || request.regex.is_some())
            && request.owned.is_some();
        let tells = request.member_epoch == JOIN_EPOCH || full || after.standing.assigned != before.standing.assigned;
        let response = ConsumerGroupHeartbeatResponse {
            error: ErrorCode::None,
            member_id: after.id.clone(),
            member_epoch: after.standing.epoch,
            heartbeat_interval: turn.config.group_consumer_heartbeat_interval,
            assignment: tells.then(|| after.assigned().collect()),
        };
        Ok((changes, response))
    }

    /// What follows from what a member tells, for itself and for the group.
    pub(super) fn advance(
        &mut self,
        before: &Member,
        after: &mut Member,
        is_new: bool,
        owned: Option<&[TopicPartition]>,
        changes: &mut Changes,
        turn: &mut Turn,
    ) -> Result<(), ErrorCode> {
        // 1. The member itself, and what it wants to read.
        if *after != *before {
            changes.records.push(ConsumerRecord::Member { member: after.id.clone(), value: Some(after.record()) });
        }
        let topics_changed = after.topics != before.topics;
        let regex = self.update_regex(before, after, changes, turn)?;
        let subscription_changed = topics_changed || regex.is_updated();
        let reason = match is_new {
            true => EpochReason::MemberJoined,
            false => EpochReason::SubscriptionChanged,
        };
        let reason = (topics_changed || regex.is_resolved()).then_some(reason);
        let mut epoch = self.epoch;
        if reason.is_some() || self.is_metadata_stale() {
            epoch = self.refresh_metadata(reason, after, changes, turn);
        }
        // 2. The target, if the group is beyond it. 3. The member's next step towards it.
        let target = self.update_target(epoch, after, changes, turn);
        self.reconcile(after, &target, subscription_changed, owned, changes, turn)
    }

    /// Who speaks, and whether it is new (`getOrMaybeSubscribe…ConsumerGroupMember`).
    fn sender(
        &self,
        request: &ConsumerGroupHeartbeatRequest,
        changes: &mut Changes,
    ) -> Result<(Rc<Member>, bool), ErrorCode> {
        let joins = request.member_epoch == JOIN_EPOCH;
        let id = &request.member_id;
        let holder = request.instance_id.as_ref().map(|instance| self.static_members.get(instance));
        let known = match holder {
            None => self.members.get(id),
            Some(holder) => holder.and_then(|holder| self.members.get(holder)),
        };
        match known {
            None if joins => {
                changes.facts.push(Fact::MemberJoined { group: self.id.clone(), member: id.clone() });
                Ok((Rc::new(Member::new(id.clone())), true))
            }
            None => Err(ErrorCode::UnknownMemberId),
            // A static member joins: its predecessor must have left, and leaves it everything.
            Some(member) if joins && member.instance_id.is_some() && holder.is_some() => {
                if member.classic.is_none() && member.standing.epoch != LEAVE_STATIC_EPOCH {
                    return Err(ErrorCode::UnreleasedInstanceId);
                }
                Ok((Rc::new(self.replace(member, id, changes)), false))
            }
            Some(member) if member.id != *id => Err(ErrorCode::FencedInstanceId),
            Some(member) => {
                check_epoch(member, request)?;
                Ok((member.clone(), false))
            }
        }
    }

    /// A static member's successor takes over its partitions and its target (`replaceMember`).
    pub(super) fn replace(&self, old: &Member, id: &Name, changes: &mut Changes) -> Member {
        let mut new = Member { id: id.clone(), ..old.clone() };
        new.standing.epoch = JOIN_EPOCH;
        new.standing.previous_epoch = JOIN_EPOCH;
        changes.remove(&old.id);
        let target = self.target_of(&old.id).collect();
        changes.records.push(ConsumerRecord::Member { member: id.clone(), value: Some(new.record()) });
        changes.records.push(ConsumerRecord::Target { member: id.clone(), value: Some(target) });
        changes.records.push(new.current_record());
        let (group, reason) = (self.id.clone(), LeaveReason::Replaced);
        changes.facts.push(Fact::MemberRemoved { group: group.clone(), member: old.id.clone(), reason });
        changes.facts.push(Fact::MemberJoined { group, member: id.clone() });
        new
    }

    /// `maybeReconcile`.
    fn reconcile(
        &self,
        member: &mut Member,
        target: &Target,
        subscription_changed: bool,
        owned: Option<&[TopicPartition]>,
        changes: &mut Changes,
        turn: &mut Turn,
    ) -> Result<(), ErrorCode> {
        if !subscription_changed && member.standing.is_reconciled_to(target.epoch) {
            return Ok(());
        }
        let subscribed = ids_of(turn.image, self.topics_of(member));
        let way = Reconciliation {
            target_epoch: target.epoch,
            target: &target.partitions,
            subscribed: Some(&subscribed),
            subscription_changed,
            is_held: &|partition| self.held.contains_key(&partition),
            owned,
        };
        let next = member.standing.next(&way)?;
        if next == member.standing {
            return Ok(());
        }
        member.standing = next;
        changes.records.push(member.current_record());
        changes.facts.extend(self.told(member, turn));
        self.watch_revocation(member, turn);
        Ok(())
    }

    fn told(&self, member: &Member, turn: &Turn) -> Option<Fact> {
        let standing = &member.standing;
        Some(Fact::MemberReconciled {
            group: self.id.clone(),
            member: member.id.clone(),
            epoch: standing.epoch,
            state: standing.state?,
            assigned: named(turn.image, standing.assigned.keys().copied()),
            revoking: named(turn.image, standing.revoking.keys().copied()),
        })
    }

    /// A member says goodbye; a static one may only lend its place (`consumerGroupLeave`).
    fn leave(
        &self,
        request: &ConsumerGroupHeartbeatRequest,
        turn: &mut Turn,
    ) -> Result<(Changes, ConsumerGroupHeartbeatResponse), ErrorCode> {
        let member = match &request.instance_id {
            None => self.find(&request.member_id)?,
            Some(instance) => {
                let holder = self.static_members.get(instance).ok_or(ErrorCode::UnknownMemberId)?;
                if *holder != request.member_id {
                    return Err(ErrorCode::FencedInstanceId);
                }
                self.find(holder)?
            }
        };
        let changes = match request.member_epoch {
            LEAVE_STATIC_EPOCH if request.instance_id.is_some() => self.lend_place(member, turn),
            _ => self.dismiss(&[member], request.leave_reason, turn),
        };
        let response = ConsumerGroupHeartbeatResponse {
            error: ErrorCode::None,
            member_id: request.member_id.clone(),
            member_epoch: request.member_epoch,
            heartbeat_interval: crate::time::Duration::ZERO,
            assignment: None,
        };
        Ok((changes, response))
    }

    /// The place is kept until the session is over, and what was the member's is its successor's: whatever is assigned
    /// counts as given in epoch 0 (`consumerGroupStaticMemberGroupLeave`).
    fn lend_place(&self, member: &Member, turn: &Turn) -> Changes {
        let mut away = member.clone();
        away.standing.epoch = LEAVE_STATIC_EPOCH;
        away.standing.revoking = Rc::default();
        away.standing.assigned = Rc::new(member.assigned().map(|partition| (partition, Generation(0))).collect());
        let facts = self.told(&away, turn).into_iter().collect();
        Changes { records: vec![away.current_record()], facts }
    }

    /// [`Timer::ConsumerGroupSession`](crate::kafka::effects::Timer) came.
    pub fn session_timed_out(&self, member: &str, turn: &mut Turn) -> Changes {
        match self.members.get(member) {
            Some(member) => self.dismiss(&[member], LeaveReason::SessionTimeout, turn),
            None => Changes::default(),
        }
    }

    /// [`Timer::ConsumerGroupRevocation`](crate::kafka::effects::Timer) came. A member that has gone on meanwhile has
    /// cancelled it.
    pub fn revocation_timed_out(&self, member: &str, turn: &mut Turn) -> Changes {
        let overdue = self.members.get(member).and_then(|member| Some((member, self.overdue(member)?)));
        match overdue {
            Some((member, reason)) => self.dismiss(&[member], reason, turn),
            None => Changes::default(),
        }
    }

    /// Members go, and the group has another epoch (`consumerGroupFenceMembers`).
    pub fn dismiss(&self, gone: &[&Rc<Member>], reason: LeaveReason, turn: &mut Turn) -> Changes {
        let mut changes = Changes::default();
        for member in gone {
            changes.remove(&member.id);
            let (group, member) = (self.id.clone(), member.id.clone());
            changes.facts.push(Fact::MemberRemoved { group, member, reason });
        }
        let stays = |member: &&Member| gone.iter().all(|gone| gone.id != member.id);
        for regex in self.regexes.keys() {
            let wanted = |member: &Member| member.subscribed_regex() == Some(regex);
            if !self.members().filter(stays).any(wanted) {
                changes.records.push(ConsumerRecord::Regex { regex: regex.clone(), value: None });
            }
        }
        let epoch = Generation(self.epoch.0 + 1);
        let hash = metadata_hash(self.members().filter(stays), &self.regexes, turn.image);
        changes.records.push(ConsumerRecord::Epoch(Some((epoch, hash))));
        changes.facts.push(Fact::GroupEpoch { group: self.id.clone(), epoch, reason: EpochReason::MemberLeft });
        gone.iter().for_each(|member| self.cancel_timers(&member.id, turn.out));
        changes
    }

    pub(super) fn check_room(&self, member: &Name, config: &BrokerConfig) -> Result<(), ErrorCode> {
        let is_full = self.members.len() as u64 >= u64::from(config.group_consumer_max_size);
        if is_full && !self.members.contains_key(member) { Err(ErrorCode::GroupMaxSizeReached) } else { Ok(()) }
    }
}

impl Member {
    /// Takes over what the request tells (`maybeUpdate…`).
    fn update(&mut self, request: &ConsumerGroupHeartbeatRequest) {
        let keep = |field: &mut Option<Name>, told: &Option<Name>| {
            if told.is_some() {
                field.clone_from(told);
            }
        };
        keep(&mut self.instance_id, &request.instance_id);
        keep(&mut self.rack, &request.rack);
        keep(&mut self.server_assignor, &request.server_assignor);
        keep(&mut self.regex, &request.regex);
        self.rebalance_timeout = request.rebalance_timeout.or(self.rebalance_timeout);
        if let Some(topics) = &request.topics {
            self.topics = Rc::new(topics.iter().cloned().collect());
        }
        self.client_id = request.client_id.clone();
        self.host = format!("/{}", request.client_id).into();
        self.classic = None;
    }
}

impl Changes {
    /// A member's records go, in the order that makes sense to whoever reads them (`removeMember`).
    pub(super) fn remove(&mut self, member: &Name) {
        self.records.push(ConsumerRecord::Current { member: member.clone(), value: None });
        self.records.push(ConsumerRecord::Target { member: member.clone(), value: None });
        self.records.push(ConsumerRecord::Member { member: member.clone(), value: None });
    }
}

/// `throwIfConsumerGroupMemberEpochIsInvalid`.
///
/// | epoch | |
/// | --- | --- |
/// | 0 | joins again: always |
/// | the member's | yes |
/// | the one before, and it owns nothing but what it was assigned | yes: the answer was lost |
/// | any other | FENCED_MEMBER_EPOCH |
fn check_epoch(member: &Member, request: &ConsumerGroupHeartbeatRequest) -> Result<(), ErrorCode> {
    let standing = &member.standing;
    let told = request.member_epoch;
    if told == JOIN_EPOCH || told == standing.epoch {
        return Ok(());
    }
    let is_subset =
        || request.owned.as_ref().is_some_and(|owned| owned.iter().all(|at| standing.assigned.contains_key(at)));
    match told < standing.epoch && told == standing.previous_epoch && is_subset() {
        true => Ok(()),
        false => Err(ErrorCode::FencedMemberEpoch),
    }
}
