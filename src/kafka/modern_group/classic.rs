//! Members of the classic protocol in a group of the consumer protocol, while a group moves from one to the other, and
//! the change itself (KIP-848, "online migration").
//!
//! A classic member is led to its target as the others are; it only hears of it in other words. Its generation is its
//! member epoch. When it has a step to make, its heartbeat is answered REBALANCE_IN_PROGRESS, JoinGroup makes that step
//! and is answered at once, and SyncGroup brings what is assigned. Nobody leads.
//!
//! What we leave out: the change back by a classic member that takes a static member's place.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::target::metadata_hash;
use super::{Changes, ClassicMember, ConsumerGroup, Epochs, Generation, Member, Name, Standing, Turn, named};
use crate::kafka::config::MigrationPolicy;
use crate::kafka::effects::Timer;
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::{Fact, LeaveReason, ReconciliationState};
use crate::kafka::group::ClassicGroup;
use crate::kafka::group_log::{ConsumerRecord, GroupMetadataValue, MemberMetadata};
use crate::kafka::ids::TopicPartition;
use crate::kafka::message::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, Subscription,
    SyncGroupRequest, SyncGroupResponse,
};
use crate::kafka::metadata::MetadataImage;

/// The records of a group of the consumer protocol that has a classic one's members, each with what it was last assigned
/// (`ConsumerGroup.fromClassicGroup`).
pub fn upgraded(classic: &ClassicGroup, image: &MetadataImage) -> Vec<ConsumerRecord> {
    let epoch = classic.generation();
    let members: Vec<Member> = classic
        .members()
        .map(|member| {
            let subscription = classic.protocol().and_then(|protocol| {
                member.protocols().iter().find(|(name, _)| name == protocol).map(|(_, subscription)| subscription)
            });
            let subscription =
                subscription.or_else(|| member.protocols().first().map(|(_, subscription)| subscription));
            let assigned: Epochs = by_id(image, member.assignment()).map(|partition| (partition, epoch)).collect();
            Member {
                standing: Standing {
                    epoch,
                    previous_epoch: epoch,
                    state: Some(ReconciliationState::Stable),
                    assigned: Rc::new(assigned),
                    revoking: Rc::default(),
                },
                instance_id: member.instance_id().cloned(),
                rack: subscription.and_then(|subscription| subscription.rack.clone()),
                client_id: member.client_id().clone(),
                host: member.host().clone(),
                rebalance_timeout: Some(member.rebalance_timeout()),
                topics: Rc::new(
                    subscription.into_iter().flat_map(|subscription| subscription.topics.iter().cloned()).collect(),
                ),
                classic: Some(Rc::new(ClassicMember {
                    session_timeout: member.session_timeout(),
                    protocols: member.protocols().to_vec(),
                })),
                ..Member::new(member.id().clone())
            }
        })
        .collect();
    let hash = metadata_hash(members.iter(), &BTreeMap::new(), image);
    let told =
        members.iter().map(|member| ConsumerRecord::Member { member: member.id.clone(), value: Some(member.record()) });
    let mut records: Vec<ConsumerRecord> = told.collect();
    records.push(ConsumerRecord::Epoch(Some((epoch, hash))));
    let target = |member: &Member| Some(member.assigned().collect());
    records.extend(
        members.iter().map(|member| ConsumerRecord::Target { member: member.id.clone(), value: target(member) }),
    );
    records.push(ConsumerRecord::TargetEpoch(Some((epoch, 0))));
    records.extend(members.iter().map(Member::current_record));
    records
}

fn by_id(image: &MetadataImage, partitions: &[(Name, u32)]) -> impl Iterator<Item = TopicPartition> {
    partitions.iter().filter_map(|(name, at)| Some(TopicPartition::new(*image.topic_ids.get(name)?, *at)))
}

impl ConsumerGroup {
    /// Handles JoinGroup (`classicGroupJoinToConsumerGroup`). The id of a member that comes without one is `new_id`.
    pub fn classic_join(
        &mut self,
        request: &JoinGroupRequest,
        new_id: Name,
        turn: &mut Turn,
    ) -> Result<(Changes, JoinGroupResponse), ErrorCode> {
        if turn.config.group_consumer_migration_policy == MigrationPolicy::Disabled || !self.supports(request) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let is_unknown = request.member_id.is_empty();
        let id = if is_unknown { new_id } else { request.member_id.clone() };
        self.check_room(&id, turn.config)?;
        let protocol = request.protocols.first().ok_or(ErrorCode::InconsistentGroupProtocol)?;
        let answer = |error, generation, protocol| JoinGroupResponse {
            error,
            generation,
            protocol,
            leader: "".into(),
            member_id: id.clone(),
            skip_assignment: false,
            members: Vec::new(),
        };
        if is_unknown && request.group_instance_id.is_none() && request.version >= 4 {
            return Ok((Changes::default(), answer(ErrorCode::MemberIdRequired, Generation(-1), None)));
        }
        let mut changes = Changes::default();
        let (before, is_new) =
            self.classic_sender(&id, is_unknown, request.group_instance_id.as_ref(), &mut changes)?;
        let mut after = Member::clone(&before);
        after.take_join(request, &protocol.1);
        let owned: Vec<TopicPartition> = by_id(turn.image, &protocol.1.owned_partitions).collect();
        self.advance(&before, &mut after, is_new, Some(&owned), &mut changes, turn)?;
        self.expected.remove(&id);
        self.keep_session(&after, turn);
        // SyncGroup is to follow within the rebalance timeout.
        turn.out.set_timer(turn.now + request.rebalance_timeout, self.revocation_timer(&id));
        let response = answer(ErrorCode::None, after.standing.epoch, Some(protocol.0.clone()));
        Ok((changes, response))
    }

    fn classic_sender(
        &self,
        id: &Name,
        is_unknown: bool,
        instance: Option<&Name>,
        changes: &mut Changes,
    ) -> Result<(Rc<Member>, bool), ErrorCode> {
        let holder = instance.map(|instance| self.static_members.get(instance).and_then(|id| self.members.get(id)));
        match holder {
            Some(Some(member)) if is_unknown => Ok((Rc::new(self.replace(member, id, changes)), false)),
            Some(Some(member)) if member.id != *id => Err(ErrorCode::FencedInstanceId),
            Some(None) if !is_unknown => Err(ErrorCode::UnknownMemberId),
            Some(Some(member)) => Ok((member.clone(), false)),
            None if self.members.contains_key(id) => Ok((self.find(id)?.clone(), false)),
            Some(None) | None => {
                changes.facts.push(Fact::MemberJoined { group: self.id.clone(), member: id.clone() });
                Ok((Rc::new(Member::new(id.clone())), true))
            }
        }
    }

    /// Whether one of its assignors is one that all classic members have (`supportsClassicProtocols`).
    fn supports(&self, request: &JoinGroupRequest) -> bool {
        let mut classic = self.members().filter_map(|member| member.classic.as_ref());
        let of_all = |name: &Name| classic.all(|member| member.protocols.iter().any(|(other, _)| other == name));
        let is_consumer = &*request.protocol_type == Subscription::PROTOCOL_TYPE;
        is_consumer && request.protocols.iter().map(|(name, _)| name).any(of_all)
    }

    /// Handles SyncGroup (`classicGroupSyncToConsumerGroup`): what is assigned.
    pub fn classic_sync(
        &mut self,
        request: &SyncGroupRequest,
        turn: &mut Turn,
    ) -> Result<SyncGroupResponse, ErrorCode> {
        let member = self.classic_member(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation != member.standing.epoch {
            return Err(ErrorCode::IllegalGeneration);
        }
        let protocol =
            member.classic.as_ref().and_then(|classic| classic.protocols.first()).map(|(name, _)| name.clone());
        if request.protocol.is_some() && request.protocol != protocol {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if self.epoch > member.standing.epoch && !member.is_revoking() {
            self.expect_join(&member, turn);
            return Err(ErrorCode::RebalanceInProgress);
        }
        turn.out.cancel_timer(self.revocation_timer(&member.id));
        self.keep_session(&member, turn);
        let assignment = named(turn.image, member.assigned()).into();
        Ok(SyncGroupResponse { error: ErrorCode::None, protocol, assignment })
    }

    /// Handles Heartbeat (`classicGroupHeartbeatToConsumerGroup`): REBALANCE_IN_PROGRESS where the member has a step to
    /// make.
    pub fn classic_heartbeat(&mut self, request: &HeartbeatRequest, turn: &mut Turn) -> ErrorCode {
        let member = match self.classic_member(&request.member_id, request.group_instance_id.as_ref()) {
            Ok(member) => member,
            Err(error) => return error,
        };
        if request.generation != member.standing.epoch {
            return ErrorCode::IllegalGeneration;
        }
        self.keep_session(&member, turn);
        let released = || {
            let mut wanted = self.target_of(&member.id).filter(|at| !member.standing.assigned.contains_key(at));
            !wanted.any(|at| self.held.contains_key(&at))
        };
        let has_step = member.standing.epoch < self.epoch
            || match member.standing.state {
                Some(ReconciliationState::UnrevokedPartitions) => true,
                Some(ReconciliationState::UnreleasedPartitions) => released(),
                _ => false,
            };
        if !has_step {
            return ErrorCode::None;
        }
        self.expect_join(&member, turn);
        ErrorCode::RebalanceInProgress
    }

    /// Handles LeaveGroup (`classicGroupLeaveToConsumerGroup`).
    pub fn classic_leave(&self, request: &LeaveGroupRequest, turn: &mut Turn) -> (Changes, LeaveGroupResponse) {
        let mut gone: Vec<&Rc<Member>> = Vec::new();
        let mut members = Vec::new();
        for (id, instance) in &request.members {
            let found = match instance {
                Some(instance) => self.static_members.get(instance).and_then(|holder| self.members.get(holder)),
                None => self.members.get(id),
            };
            let error = match found {
                None => ErrorCode::UnknownMemberId,
                Some(member) if !id.is_empty() && member.id != *id => ErrorCode::FencedInstanceId,
                Some(member) => {
                    if gone.iter().all(|other| other.id != member.id) {
                        gone.push(member);
                    }
                    ErrorCode::None
                }
            };
            members.push((id.clone(), error));
        }
        let changes = match gone.is_empty() {
            true => Changes::default(),
            false => self.dismiss(&gone, request.reason, turn),
        };
        (changes, LeaveGroupResponse { error: ErrorCode::None, members })
    }

    /// The member, if there is one of that id that speaks the classic protocol (`validateConsumerGroupMember`).
    fn classic_member(&self, id: &Name, instance: Option<&Name>) -> Result<Rc<Member>, ErrorCode> {
        if let Some(instance) = instance {
            let holder = self.static_members.get(instance).ok_or(ErrorCode::UnknownMemberId)?;
            if holder != id {
                return Err(ErrorCode::FencedInstanceId);
            }
        }
        let member = self.find(id)?;
        if member.classic.is_some() { Ok(member.clone()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// The member has its rebalance timeout to send JoinGroup, from when it was first told.
    fn expect_join(&mut self, member: &Member, turn: &mut Turn) {
        if let Some(timeout) = member.rebalance_timeout.filter(|_| self.expected.insert(member.id.clone())) {
            turn.out.set_timer(turn.now + timeout, self.revocation_timer(&member.id));
        }
    }

    /// What the group would be as a classic one, if nobody but classic members stays and the policy lets it
    /// (`validateOnlineDowngradeWithFencedMembers`, `ClassicGroup.fromConsumerGroup`).
    pub fn downgraded(&self, gone: &[Name], now: i64, turn: &Turn) -> Option<GroupMetadataValue> {
        let policy = turn.config.group_consumer_migration_policy;
        let stays: Vec<&Member> = self.members().filter(|member| !gone.contains(&member.id)).collect();
        let allowed = matches!(policy, MigrationPolicy::Downgrade | MigrationPolicy::Bidirectional);
        let fits = stays.len() as u64 <= u64::from(turn.config.group_max_size);
        if !allowed || !fits || stays.is_empty() || stays.iter().any(|member| member.classic.is_none()) {
            return None;
        }
        let protocols =
            |member: &&Member| member.classic.as_ref().map(|classic| classic.protocols.clone()).unwrap_or_default();
        let common = |name: &Name| stays.iter().all(|member| protocols(member).iter().any(|(other, _)| other == name));
        let protocol = protocols(stays.first()?).into_iter().map(|(name, _)| name).find(common)?;
        let members = stays.iter().map(|member| {
            let classic = member.classic.as_ref();
            let subscription = protocols(member).into_iter().find(|(name, _)| *name == protocol);
            MemberMetadata {
                member_id: member.id.clone(),
                group_instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                client_host: member.host.clone(),
                rebalance_timeout: member.rebalance_timeout.unwrap_or_default(),
                session_timeout: classic.map(|classic| classic.session_timeout).unwrap_or_default(),
                subscription: subscription.map(|(_, subscription)| subscription).unwrap_or_default(),
                assignment: named(turn.image, member.assigned()).into(),
            }
        });
        Some(GroupMetadataValue {
            protocol_type: Subscription::PROTOCOL_TYPE.into(),
            generation: self.epoch,
            leader: stays.first().map(|member| member.id.clone()),
            current_state_timestamp: now,
            members: members.collect(),
            protocol: Some(protocol),
        })
    }

    pub(super) fn revocation_timer(&self, member: &Name) -> Timer {
        Timer::ConsumerGroupRevocation { group: self.id.clone(), member: member.clone() }
    }

    /// Why a member whose time is over is out.
    pub(super) fn overdue(&self, member: &Member) -> Option<LeaveReason> {
        match (member.classic.is_some(), self.expected.contains(&member.id)) {
            (true, true) => Some(LeaveReason::JoinTimeout),
            (true, false) => Some(LeaveReason::SyncTimeout),
            (false, _) if member.is_revoking() && member.standing.epoch.0 >= 0 => Some(LeaveReason::RevocationTimeout),
            (false, _) => None,
        }
    }
}

impl Member {
    fn take_join(&mut self, request: &JoinGroupRequest, subscription: &Subscription) {
        self.instance_id = request.group_instance_id.clone().or(self.instance_id.take());
        self.rack = subscription.rack.clone().or(self.rack.take());
        self.rebalance_timeout = Some(request.rebalance_timeout);
        self.topics = Rc::new(subscription.topics.iter().cloned().collect());
        self.regex = Some("".into());
        self.client_id = request.client_id.clone();
        self.host = format!("/{}", request.client_id).into();
        self.classic = Some(Rc::new(ClassicMember {
            session_timeout: request.session_timeout,
            protocols: request.protocols.clone(),
        }));
    }
}
