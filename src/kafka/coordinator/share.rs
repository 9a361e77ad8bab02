//! Share groups among the groups of a coordinator: their heartbeats, and what the share coordinator is told of them.

use std::collections::BTreeSet;

use super::group::Group;
use super::shard::{Host, Shard, ShardTurn};
use super::{Append, GroupCoordinator};
use crate::kafka::effects::Effects;
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::ModernGroupPhase;
use crate::kafka::group::{ReplyTo, Then, Write};
use crate::kafka::group_log::GroupRecord;
use crate::kafka::ids::{Generation, Name, TopicPartition};
use crate::kafka::message::Response;
use crate::kafka::message::share::{DescribedShareGroup, JOIN_EPOCH, ShareGroupHeartbeatRequest};
use crate::kafka::share::group::{ASSIGNOR, ShareGroup, ShareTurn, heartbeat_error};
use crate::kafka::share::group_log::{About, ShareGroupRecord};
use crate::time::Instant;

/// A group begins to read a partition: the share coordinator is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareAsk {
    pub group: Name,
    /// The group epoch.
    pub epoch: Generation,
    pub partition: TopicPartition,
}

/// A heartbeat that is answered once the share coordinator knows these partitions.
#[derive(Clone, Debug)]
pub(super) struct Held {
    group: Name,
    partitions: BTreeSet<TopicPartition>,
    reply: ReplyTo,
    response: Response,
}

impl Held {
    pub(super) fn into_reply(self) -> (ReplyTo, Response) {
        (self.reply, self.response)
    }
}

impl ShardTurn<'_> {
    fn share(&mut self) -> ShareTurn<'_> {
        ShareTurn { now: self.now, config: &self.host.config, topics: &self.host.topics, out: self.out }
    }
}

impl GroupCoordinator {
    /// What share coordinators are to be told. The broker reports by
    /// [`share_partition_initialized`](Self::share_partition_initialized).
    pub fn take_share_asks(&mut self) -> Vec<ShareAsk> {
        std::mem::take(&mut self.host.share_asks)
    }

    /// The share coordinator knows the partition, or could not be told.
    pub fn share_partition_initialized(
        &mut self,
        now: Instant,
        ask: &ShareAsk,
        is_known: bool,
        out: &mut Effects,
    ) -> Vec<Append> {
        let partition = self.partition_of(&ask.group);
        self.on_shard(now, partition, out, |shard, turn| shard.share_partition_initialized(ask, is_known, turn))
    }

    pub(super) fn share_session_timed_out(
        &mut self,
        now: Instant,
        group: &Name,
        member: &Name,
        out: &mut Effects,
    ) -> Vec<Append> {
        let partition = self.partition_of(group);
        self.on_shard(now, partition, out, |shard, turn| {
            let Some(group) = shard.groups.get_mut(group).and_then(Group::as_share_mut) else { return };
            let records = group.session_timed_out(member, &mut turn.share());
            turn.writes.push(Write { records: about_shares(records), then: Then::Nothing });
        })
    }

    /// The partitions that a share group reads or has read, or why that cannot be told.
    pub fn share_partitions(&self, name: &Name) -> Result<Vec<TopicPartition>, ErrorCode> {
        if let Some(error) = self.availability(self.partition_of(name)) {
            return Err(error);
        }
        let group = self.group(name).and_then(Group::as_share).ok_or(ErrorCode::GroupIdNotFound)?;
        Ok(group.initialized().collect())
    }

    pub(super) fn describe_share(&self, name: &Name) -> DescribedShareGroup {
        let unknown = |error| DescribedShareGroup {
            error,
            group: name.clone(),
            state: ModernGroupPhase::Dead.name().into(),
            group_epoch: Generation(0),
            assignment_epoch: Generation(0),
            assignor: ASSIGNOR.into(),
            members: Vec::new(),
        };
        match (self.availability(self.partition_of(name)), self.group(name).and_then(Group::as_share)) {
            (Some(error), _) => unknown(error),
            (None, Some(group)) => group.describe(&self.host.topics),
            (None, None) => unknown(ErrorCode::GroupIdNotFound),
        }
    }
}

impl Shard {
    /// Takes in a record of the log that is being read.
    pub(super) fn load_share(&mut self, record: ShareGroupRecord) {
        let ShareGroupRecord { group, about } = record;
        if about == (About::Group { value: None }) {
            self.groups.remove(&group);
            return;
        }
        let new = || Group::Share(Box::new(ShareGroup::new(group.clone())));
        if let Some(group) = self.groups.entry(group.clone()).or_insert_with(new).as_share_mut() {
            group.apply(&about);
        }
    }

    pub(super) fn share_heartbeat(
        &mut self,
        request: &ShareGroupHeartbeatRequest,
        reply: ReplyTo,
        turn: &mut ShardTurn,
    ) {
        let name = &request.group;
        if request.member_epoch == JOIN_EPOCH && !self.groups.contains_key(name) {
            self.groups.insert(name.clone(), Group::Share(Box::new(ShareGroup::new(name.clone()))));
        }
        let decision = match self.groups.get_mut(name).and_then(Group::as_share_mut) {
            Some(group) => group.heartbeat(request, &mut turn.share()),
            None => Err(ErrorCode::GroupIdNotFound),
        };
        let decision = match decision {
            Ok(decision) => decision,
            Err(error) => return reply.respond(Response::ShareGroupHeartbeat(heartbeat_error(error)), turn.out),
        };
        let response = Response::ShareGroupHeartbeat(decision.response);
        let then = if decision.initialize.is_empty() {
            Then::Reply(reply, response)
        } else {
            let epoch = self.groups.get(name).and_then(Group::as_share).map_or(JOIN_EPOCH, ShareGroup::epoch);
            Then::InitializeShare { group: name.clone(), epoch, partitions: decision.initialize, reply, response }
        };
        turn.writes.push(Write { records: about_shares(decision.records), then });
    }

    /// What the heartbeat changed is written: now the share coordinator is to be told.
    pub(super) fn hold(
        &mut self,
        group: Name,
        epoch: Generation,
        partitions: Vec<TopicPartition>,
        (reply, response): (ReplyTo, Response),
        host: &mut Host,
    ) {
        let asks = partitions.iter().map(|partition| ShareAsk { group: group.clone(), epoch, partition: *partition });
        host.share_asks.extend(asks);
        self.held.push(Held { group, partitions: partitions.into_iter().collect(), reply, response });
    }

    fn share_partition_initialized(&mut self, ask: &ShareAsk, is_known: bool, turn: &mut ShardTurn) {
        if let Some(group) = self.groups.get_mut(&ask.group).and_then(Group::as_share_mut) {
            let records = group.partition_initialized(ask.partition, is_known);
            turn.writes.push(Write { records: about_shares(records), then: Then::Nothing });
        }
        for held in self.held.iter_mut().filter(|held| held.group == ask.group) {
            held.partitions.remove(&ask.partition);
        }
        let (answerable, waiting) =
            std::mem::take(&mut self.held).into_iter().partition(|held| held.partitions.is_empty());
        self.held = waiting;
        let answerable: Vec<Held> = answerable;
        for (reply, response) in answerable.into_iter().map(Held::into_reply) {
            turn.writes.push(Write { records: Vec::new(), then: Then::Reply(reply, response) });
        }
    }
}

fn about_shares(records: Vec<ShareGroupRecord>) -> Vec<GroupRecord> {
    records.into_iter().map(GroupRecord::Share).collect()
}
