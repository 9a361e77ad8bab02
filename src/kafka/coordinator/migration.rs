//! A group changes its protocol while its members go on (KIP-848, `group.consumer.migration.policy`).
//!
//! The first member of the consumer protocol makes a classic group one of that protocol; the last one that goes makes it
//! a classic group again. Either way the group is taken over as it is, and what follows is an ordinary change of members.

use super::group::Group;
use super::shard::{Shard, ShardTurn};
use crate::kafka::config::MigrationPolicy;
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::{Fact, GroupPhase};
use crate::kafka::group::{ClassicGroup, ReplyTo, Then, Write, join_error, new_member_id, sync_error};
use crate::kafka::group_log::{ConsumerRecord, GroupRecord};
use crate::kafka::ids::Name;
use crate::kafka::message::consumer_group::ConsumerGroupHeartbeatRequest;
use crate::kafka::message::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, LeaveGroupRequest, Response, Subscription, SyncGroupRequest,
};
use crate::kafka::modern_group::{Changes, ConsumerGroup, upgraded};

impl Shard {
    /// The group as one of the consumer protocol, and the records that make it one, if it may become one
    /// (`validateOnlineUpgrade`, `convertToConsumerGroup`).
    pub(super) fn upgrade(
        &self,
        request: &ConsumerGroupHeartbeatRequest,
        turn: &ShardTurn,
    ) -> Option<(ConsumerGroup, Vec<GroupRecord>)> {
        let name = &request.group;
        let classic = self.groups.get(name)?.as_classic()?;
        let config = &turn.host.config;
        let policy = config.group_consumer_migration_policy;
        let allowed = matches!(policy, MigrationPolicy::Upgrade | MigrationPolicy::Bidirectional);
        let is_consumer = classic.protocol_type().is_some_and(|kind| &**kind == Subscription::PROTOCOL_TYPE);
        let fits = classic.members().count() as u64 <= u64::from(config.group_consumer_max_size);
        if !allowed || !is_consumer || !fits || classic.phase() == GroupPhase::Dead {
            return None;
        }
        let mut group = ConsumerGroup::new(name.clone());
        let mut records = vec![GroupRecord::Group { group: name.clone(), value: None }];
        for record in upgraded(classic, &turn.host.image) {
            group.apply(&record);
            records.push(GroupRecord::Consumer { group: name.clone(), record });
        }
        Some((group, records))
    }

    /// The upgrade is decided: whoever waits in the classic group's rebalance is told to join again, and everybody's
    /// session goes on.
    pub(super) fn upgraded(&mut self, name: &Name, group: &ConsumerGroup, changes: &mut Changes, turn: &mut ShardTurn) {
        if let Some(Group::Classic(classic)) = self.groups.get_mut(name) {
            classic.unload(ErrorCode::RebalanceInProgress, turn.out);
        }
        group.loaded(&mut turn.modern());
        changes.facts.insert(0, Fact::GroupConverted { group: name.clone(), to_consumer: true });
    }

    /// Members of a group of the consumer protocol go. If only classic ones are left it is a classic group from now on,
    /// and rebalances, and the reply waits for that; else it is returned.
    pub(super) fn downgrade(
        &mut self,
        name: &Name,
        changes: &Changes,
        reply: Option<(ReplyTo, Response)>,
        turn: &mut ShardTurn,
    ) -> Option<(ReplyTo, Response)> {
        let gone = changes.records.iter().filter_map(|record| match record {
            ConsumerRecord::Member { member, value: None } => Some(member.clone()),
            _ => None,
        });
        let gone: Vec<Name> = gone.collect();
        let Some(Group::Consumer(group)) = self.groups.get(name) else { return reply };
        let now = turn.now.timestamp_ms();
        let value = if gone.is_empty() { None } else { group.downgraded(&gone, now, &turn.modern()) };
        let Some(value) = value else { return reply };
        let mut records: Vec<GroupRecord> = group
            .tombstones()
            .into_iter()
            .map(|record| GroupRecord::Consumer { group: name.clone(), record })
            .collect();
        records.push(GroupRecord::Group { group: name.clone(), value: Some(value.clone()) });
        group.unload(turn.out);
        for fact in changes.facts.iter().filter(|fact| matches!(fact, Fact::MemberRemoved { .. })) {
            turn.out.note(fact.clone());
        }
        turn.out.note(Fact::GroupConverted { group: name.clone(), to_consumer: false });
        let mut classic = ClassicGroup::load(name.clone(), value);
        // What was decided is written before what the rebalance may write.
        let then = reply.map_or(Then::Nothing, |(reply, response)| Then::Reply(reply, response));
        turn.writes.push(Write { records, then });
        classic.loaded(&mut turn.group());
        classic.prepare_rebalance(&mut turn.group());
        self.groups.insert(name.clone(), Group::Classic(classic));
        None
    }

    /// Handles JoinGroup of a group of the consumer protocol. Returns false if there is nobody in it: then it makes way
    /// for a classic one (`maybeDeleteEmptyConsumerGroup`).
    pub(super) fn join_consumer_group(
        &mut self,
        request: &JoinGroupRequest,
        reply: ReplyTo,
        turn: &mut ShardTurn,
    ) -> bool {
        let name = &request.group;
        let Some(Group::Consumer(group)) = self.groups.get_mut(name) else { return false };
        if group.is_empty() {
            let of = |record| GroupRecord::Consumer { group: name.clone(), record };
            let records = group.tombstones().into_iter().map(of).collect();
            self.groups.remove(name);
            turn.writes.push(Write { records, then: Then::Nothing });
            return false;
        }
        let new_id = match request.member_id.is_empty() {
            true => new_member_id(&request.client_id, &mut turn.host.rng),
            false => "".into(),
        };
        match group.classic_join(request, new_id, &mut turn.modern()) {
            Ok((changes, response)) => {
                turn.write_changes(name, Vec::new(), changes, Some((reply, Response::JoinGroup(response))));
            }
            Err(error) => {
                reply.respond(Response::JoinGroup(join_error(error, &request.member_id)), turn.out);
            }
        }
        true
    }

    /// Handles SyncGroup of a group of the consumer protocol. Returns whether it is one.
    pub(super) fn sync_consumer_group(
        &mut self,
        request: &SyncGroupRequest,
        reply: ReplyTo,
        turn: &mut ShardTurn,
    ) -> bool {
        let Some(Group::Consumer(group)) = self.groups.get_mut(&request.group) else { return false };
        let response = group.classic_sync(request, &mut turn.modern()).unwrap_or_else(sync_error);
        turn.reply(reply, Response::SyncGroup(response));
        true
    }

    /// Handles Heartbeat of a group of the consumer protocol. Returns whether it is one.
    pub(super) fn heartbeat_consumer_group(
        &mut self,
        request: &HeartbeatRequest,
        reply: ReplyTo,
        turn: &mut ShardTurn,
    ) -> bool {
        let Some(Group::Consumer(group)) = self.groups.get_mut(&request.group) else { return false };
        let error = group.classic_heartbeat(request, &mut turn.modern());
        turn.reply(reply, Response::Heartbeat(HeartbeatResponse { error }));
        true
    }

    /// Handles LeaveGroup of a group of the consumer protocol. Returns whether it is one.
    pub(super) fn leave_consumer_group(
        &mut self,
        request: &LeaveGroupRequest,
        reply: ReplyTo,
        turn: &mut ShardTurn,
    ) -> bool {
        let name = &request.group;
        let Some(Group::Consumer(group)) = self.groups.get(name) else { return false };
        let (changes, response) = group.classic_leave(request, &mut turn.modern());
        let reply = Some((reply, Response::LeaveGroup(response)));
        if let Some(reply) = self.downgrade(name, &changes, reply, turn) {
            turn.write_changes(name, Vec::new(), changes, Some(reply));
        }
        true
    }
}
