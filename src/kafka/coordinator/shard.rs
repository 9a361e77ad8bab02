//! The groups of one partition of `__consumer_offsets`, and the writes that have not come through yet.

use std::collections::{BTreeMap, VecDeque};

use super::Append;
use super::group::Group;
use super::modern::OwnAssignor;
use super::offsets::Offsets;
use super::share::{Held, ShareAsk};
use crate::kafka::config::BrokerConfig;
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::Fact;
use crate::kafka::group::{ClassicGroup, ReplyTo, Then, Turn, Write, join_error, sync_error};
use crate::kafka::group_log::{self, GroupRecord, OffsetCommitValue};
use crate::kafka::ids::{LeaderEpoch, Name, Offset, TopicId};
use crate::kafka::message::consumer_group::ConsumerGroupHeartbeatResponse;
use crate::kafka::message::{
    DeleteGroupsResponse, HeartbeatResponse, JoinGroupRequest, LeaveGroupResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetDeleteResponse, OffsetFetchRequest, OffsetFetchResponse, Request, Response,
};
use crate::kafka::metadata::MetadataImage;
use crate::kafka::mistakes::Mistake;
use crate::kafka::record::Batch;
use crate::kafka::share::group::heartbeat_error;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// What all partitions of a broker's coordinator share.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) config: BrokerConfig,
    pub(super) rng: Rng,
    /// Name and number of partitions of every topic there is.
    pub(super) topics: BTreeMap<TopicId, (Name, u32)>,
    pub(super) image: MetadataImage,
    pub(super) assign: OwnAssignor,
    pub(super) next_write: u64,
    /// What share coordinators are to be told.
    pub(super) share_asks: Vec<ShareAsk>,
}

/// What a shard needs to act.
pub(super) struct ShardTurn<'a> {
    pub(super) now: Instant,
    pub(super) host: &'a mut Host,
    pub(super) out: &'a mut Effects,
    pub(super) writes: &'a mut Vec<Write>,
}

impl ShardTurn<'_> {
    pub(super) fn group(&mut self) -> Turn<'_> {
        Turn { now: self.now, config: &self.host.config, rng: &mut self.host.rng, out: self.out, writes: self.writes }
    }
}

/// One partition's groups.
#[derive(Clone, Debug)]
pub(super) struct Shard {
    epoch: LeaderEpoch,
    loading: bool,
    pub(super) groups: BTreeMap<Name, Group>,
    /// Heartbeats of share groups that wait for the share coordinator.
    pub(super) held: Vec<Held>,
    /// As of the high watermark.
    offsets: Offsets,
    /// In the order of the log.
    writes: VecDeque<Pending>,
    high_watermark: Offset,
}

/// A write that is not committed yet.
#[derive(Clone, Debug)]
struct Pending {
    id: u64,
    write: Write,
    /// The offset after its last record, once it is appended.
    end: Option<Offset>,
    /// Until when somebody waits for it.
    deadline: Instant,
}

impl Shard {
    /// A partition whose log has still to be read.
    pub(super) fn loading(epoch: LeaderEpoch) -> Self {
        Self {
            epoch,
            loading: true,
            groups: BTreeMap::new(),
            held: Vec::new(),
            offsets: Offsets::default(),
            writes: VecDeque::new(),
            high_watermark: 0,
        }
    }

    /// Reads the log (`CoordinatorLoaderImpl`). Groups are what the last record says, committed or not, as the next
    /// generation builds on it; offsets that are not committed yet wait for it.
    pub(super) fn load(
        now: Instant,
        epoch: LeaderEpoch,
        batches: &[Batch],
        high_watermark: Offset,
        host: &mut Host,
        out: &mut Effects,
    ) -> Self {
        let mut shard = Self { loading: false, high_watermark, ..Self::loading(epoch) };
        for (offset, record) in batches.iter().flat_map(group_log::records) {
            match record {
                GroupRecord::Group { group, value: Some(value) } => {
                    shard.groups.insert(group.clone(), Group::Classic(ClassicGroup::load(group, value)));
                }
                record @ (GroupRecord::Group { .. } | GroupRecord::Consumer { .. }) => {
                    shard.replay_group(&record, &mut Effects::default());
                }
                GroupRecord::Share(record) => shard.load_share(record),
                record if offset < high_watermark => {
                    shard.apply(&record);
                }
                record => {
                    let write = Write { records: vec![record], then: Then::Nothing };
                    let end = Some(offset + 1);
                    let deadline = now + Duration::MAX;
                    shard.writes.push_back(Pending { id: host.take_write_id(), write, end, deadline });
                }
            }
        }
        let mut none = Vec::new();
        let mut turn = ShardTurn { now, host, out, writes: &mut none };
        for group in shard.groups.values_mut() {
            group.loaded(&mut turn.group());
        }
        shard.consumer_groups_loaded(&mut turn);
        shard
    }

    /// The leader epoch in which the broker keeps these groups.
    pub(super) fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    pub(super) fn is_loading(&self) -> bool {
        self.loading
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    pub(super) fn group_mut(&mut self, name: &str) -> Option<&mut Group> {
        self.groups.get_mut(name)
    }

    pub(super) fn remove_group(&mut self, name: &str) -> Option<Group> {
        self.groups.remove(name)
    }

    /// What is written and not committed yet.
    pub(super) fn unsafe_records(&self) -> impl Iterator<Item = &GroupRecord> {
        self.writes.iter().flat_map(|pending| &pending.write.records)
    }

    pub(super) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)
    }

    /// The group, if there is one of the classic protocol.
    fn classic(&mut self, name: &Name) -> Option<&mut ClassicGroup> {
        self.groups.get_mut(name)?.as_classic_mut()
    }

    pub(super) fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    /// Whether the write of that id is one of this partition's.
    pub(super) fn awaits(&self, id: u64) -> bool {
        self.writes.iter().any(|pending| pending.id == id)
    }

    /// When somebody stops waiting for a write.
    pub(super) fn first_deadline(&self) -> Option<Instant> {
        self.writes.iter().filter(|pending| !matches!(pending.write.then, Then::Nothing)).map(|p| p.deadline).min()
    }

    /// Handles a request for one of the groups.
    pub(super) fn on_request(&mut self, request: &Request, reply: ReplyTo, turn: &mut ShardTurn) {
        match request {
            Request::JoinGroup(request) => self.join(request, reply, turn),
            Request::SyncGroup(request) if self.sync_consumer_group(request, reply, turn) => {}
            Request::Heartbeat(request) if self.heartbeat_consumer_group(request, reply, turn) => {}
            Request::LeaveGroup(request) if self.leave_consumer_group(request, reply, turn) => {}
            Request::SyncGroup(request) => match self.classic(&request.group) {
                Some(group) => group.sync(request, reply, &mut turn.group()),
                None => reply.respond(Response::SyncGroup(sync_error(ErrorCode::UnknownMemberId)), turn.out),
            },
            Request::Heartbeat(request) => {
                let group = self.classic(&request.group);
                let error = group.map(|group| group.heartbeat(request, &mut turn.group()));
                let error = error.unwrap_or(ErrorCode::UnknownMemberId);
                turn.reply(reply, Response::Heartbeat(HeartbeatResponse { error }));
            }
            Request::LeaveGroup(request) => {
                let response = match self.classic(&request.group) {
                    Some(group) => group.leave(request, &mut turn.group()),
                    None => {
                        let unknown = |(id, _): &(Name, Option<Name>)| (id.clone(), ErrorCode::UnknownMemberId);
                        let members = request.members.iter().map(unknown).collect();
                        LeaveGroupResponse { error: ErrorCode::None, members }
                    }
                };
                turn.reply(reply, Response::LeaveGroup(response));
            }
            Request::ShareGroupHeartbeat(request) => self.share_heartbeat(request, reply, turn),
            Request::OffsetCommit(request) => self.commit(request, reply, turn),
            Request::OffsetDelete(request) => self.delete_offsets(request, reply, turn),
            Request::ConsumerGroupHeartbeat(request) => self.consumer_heartbeat(request, reply, turn),
            Request::OffsetFetch(request) => {
                reply.respond(Response::OffsetFetch(self.fetch_offsets(request)), turn.out);
            }
            _ => {}
        }
    }

    fn join(&mut self, request: &JoinGroupRequest, reply: ReplyTo, turn: &mut ShardTurn) {
        if self.join_consumer_group(request, reply, turn) {
            return;
        }
        let is_new = !self.groups.contains_key(&request.group);
        if is_new && !request.member_id.is_empty() {
            let response = join_error(ErrorCode::UnknownMemberId, &request.member_id);
            return reply.respond(Response::JoinGroup(response), turn.out);
        }
        let name = request.group.clone();
        let group = self.groups.entry(name.clone()).or_insert_with(|| Group::Classic(ClassicGroup::new(name.clone())));
        let Some(group) = group.as_classic_mut() else {
            let response = join_error(ErrorCode::InconsistentGroupProtocol, &request.member_id);
            return reply.respond(Response::JoinGroup(response), turn.out);
        };
        group.join(request, reply, &mut turn.group());
        if is_new && turn.writes.is_empty() {
            turn.writes.push(Write { records: vec![group.empty_record()], then: Then::NewGroup(name) });
        }
    }

    /// Handles OffsetCommit (`OffsetMetadataManager.commitOffset`).
    fn commit(&mut self, request: &OffsetCommitRequest, reply: ReplyTo, turn: &mut ShardTurn) {
        let name = &request.group;
        // Without a generation it comes from a tool or from a consumer that was given its partitions by hand: such a
        // group exists by its offsets alone.
        if request.generation.is_none() && !self.groups.contains_key(name) {
            self.groups.insert(name.clone(), Group::Classic(ClassicGroup::new(name.clone())));
        }
        let refused = match self.groups.get_mut(name) {
            None => Some(ErrorCode::GroupIdNotFound),
            Some(group) => group.validate_commit(request, &mut turn.group()).err(),
        };
        let right = self.groups.get(name).and_then(Group::as_consumer);
        let right = right.and_then(|group| group.check_commit(&request.member_id, request.generation).ok());
        let mut records = Vec::new();
        let mut partitions = Vec::new();
        for (partition, offset, leader_epoch) in &request.partitions {
            let topic = turn.host.topics.get(&partition.topic).filter(|(_, count)| partition.partition < *count);
            let error = refused.or_else(|| topic.is_none().then_some(ErrorCode::UnknownTopicOrPartition));
            let error = error.or_else(|| right.as_ref().and_then(|right| right.refuses(*partition)));
            partitions.push((*partition, error.unwrap_or(ErrorCode::None)));
            if let (None, Some((topic, _))) = (error, topic) {
                let value = OffsetCommitValue {
                    offset: *offset,
                    leader_epoch: *leader_epoch,
                    commit_timestamp: turn.now.timestamp_ms(),
                    topic_id: Some(partition.topic),
                };
                let (group, topic, partition) = (name.clone(), topic.clone(), partition.partition);
                records.push(GroupRecord::Offset { group, topic, partition, value: Some(value) });
            }
        }
        let response = Response::OffsetCommit(OffsetCommitResponse { partitions });
        if refused.is_some() {
            return reply.respond(response, turn.out);
        }
        turn.writes.push(Write { records, then: Then::Reply(reply, response) });
    }

    /// Handles OffsetFetch (`OffsetMetadataManager.fetchOffsets`): -1 where nothing is committed.
    fn fetch_offsets(&self, request: &OffsetFetchRequest) -> OffsetFetchResponse {
        if let Some(group) = self.groups.get(&request.group).and_then(Group::as_consumer)
            && let Err(error) = group.check_fetch(request.member.as_ref())
        {
            return OffsetFetchResponse { error, partitions: Vec::new() };
        }
        let is_there = self.groups.get(&request.group).is_some_and(|group| !group.is_dead());
        let known = |partition| self.offsets.get(&request.group, partition).filter(|_| is_there);
        let found = |partition| match known(partition) {
            Some(committed) => (partition, committed.offset, committed.leader_epoch),
            None => (partition, -1, None),
        };
        let partitions = match &request.partitions {
            Some(partitions) => partitions.iter().map(|partition| found(*partition)).collect(),
            None if !is_there => Vec::new(),
            None => self.offsets.of(&request.group).map(|(partition, _)| found(partition)).collect(),
        };
        OffsetFetchResponse { error: ErrorCode::None, partitions }
    }

    /// Handles a deadline of one of the groups.
    pub(super) fn on_timer(&mut self, timer: &Timer, group: &Name, turn: &mut ShardTurn) {
        if let Some(group) = self.groups.get_mut(group) {
            group.on_timer(timer, &mut turn.group());
        }
    }

    /// Offsets that nobody has used for `offsets.retention.minutes` go, and so does an Empty group that has none left
    /// (`cleanupGroupMetadata`).
    pub(super) fn expire_offsets(&mut self, turn: &mut ShardTurn) {
        // What is still to be applied might be a fresh commit.
        if !self.writes.is_empty() {
            return;
        }
        let retention = Duration::secs(turn.host.config.offsets_retention_minutes.saturating_mul(60));
        let may_expire = |group: &&mut Group| !group.is_dead() && group.as_share().is_none();
        for group in self.groups.values_mut().filter(may_expire) {
            let (mut records, all) = self.offsets.expired(group, turn.now, retention);
            let mut then = Then::Nothing;
            if all && group.is_empty() {
                records.extend(group.tombstones());
                group.bury(&mut turn.group());
                then = Then::Delete(group.id().clone());
            }
            if !records.is_empty() {
                turn.writes.push(Write { records, then });
            }
        }
    }

    /// What is to be written when topics are deleted.
    pub(super) fn topics_deleted(&self, deleted: &[TopicId]) -> Vec<Write> {
        let records = self.offsets.of_topics(deleted);
        if records.is_empty() { Vec::new() } else { vec![Write { records, then: Then::Nothing }] }
    }

    /// Queues writes, in order. Those that wait for nothing are done at once.
    pub(super) fn submit(
        &mut self,
        now: Instant,
        partition: u32,
        writes: Vec<Write>,
        host: &mut Host,
        out: &mut Effects,
    ) -> Vec<Append> {
        let mut appends = Vec::new();
        for write in writes {
            if write.records.is_empty() && self.writes.is_empty() {
                self.finish(now, write, Ok(()), host, out);
                continue;
            }
            let id = host.take_write_id();
            if !write.records.is_empty() {
                appends.push(Append { id, partition, batch: group_log::batch(&write.records, now) });
            }
            let deadline = now + host.config.offsets_commit_timeout;
            self.writes.push_back(Pending { id, write, end: None, deadline });
        }
        appends
    }

    pub(super) fn appended(
        &mut self,
        now: Instant,
        id: u64,
        result: Result<Offset, ErrorCode>,
        host: &mut Host,
        out: &mut Effects,
    ) {
        let Some(at) = self.writes.iter().position(|pending| pending.id == id) else { return };
        match result {
            Ok(end) => {
                let pending = &mut self.writes[at];
                pending.end = Some(end);
                if let Then::Consumer(write) = &mut pending.write.then {
                    let facts = std::mem::take(&mut write.facts);
                    let records = pending.write.records.clone();
                    self.appended_changes(&records, facts, out);
                }
            }
            Err(error) => {
                if let Some(pending) = self.writes.remove(at) {
                    self.finish(now, pending.write, Err(answer_for(error)), host, out);
                }
            }
        }
        self.complete(now, host, out);
    }

    pub(super) fn committed(&mut self, now: Instant, high_watermark: Offset, host: &mut Host, out: &mut Effects) {
        self.high_watermark = self.high_watermark.max(high_watermark);
        self.complete(now, host, out);
    }

    /// Whatever the high watermark has passed is done, in the order of the log.
    fn complete(&mut self, now: Instant, host: &mut Host, out: &mut Effects) {
        while let Some(pending) = self.writes.front() {
            let at_once = host.config.makes(Mistake::CommitBeforeReplication);
            let is_committed = pending.end.is_some_and(|end| at_once || end <= self.high_watermark);
            if !is_committed && !pending.write.records.is_empty() {
                return;
            }
            if let Some(pending) = self.writes.pop_front() {
                self.finish(now, pending.write, Ok(()), host, out);
            }
        }
    }

    /// [`Timer::GroupWrite`] came: nobody waits longer than `offsets.commit.timeout.ms`. The records may still come to
    /// be committed, and count then.
    pub(super) fn give_up_writes(&mut self, now: Instant, host: &mut Host, out: &mut Effects) {
        let mut late = Vec::new();
        for pending in self.writes.iter_mut().filter(|pending| pending.deadline <= now) {
            let then = std::mem::replace(&mut pending.write.then, Then::Nothing);
            late.push(Write { records: Vec::new(), then });
        }
        self.writes.retain(|pending| !pending.write.records.is_empty() || pending.deadline > now);
        for write in late {
            self.finish(now, write, Err(answer_for(ErrorCode::RequestTimedOut)), host, out);
        }
    }

    /// A write is committed, or has failed: applies it and does what it was for.
    fn finish(
        &mut self,
        now: Instant,
        write: Write,
        result: Result<(), ErrorCode>,
        host: &mut Host,
        out: &mut Effects,
    ) {
        if result.is_ok() {
            for record in &write.records {
                if let Some(fact) = self.apply(record) {
                    out.note(fact);
                }
            }
        }
        // A group that cannot write its assignment begins a rebalance, and that writes nothing before members answer.
        let mut none = Vec::new();
        let mut turn = ShardTurn { now, host, out, writes: &mut none };
        match (write.then, result) {
            (Then::Nothing, _) | (Then::NewGroup(_), Ok(())) => {}
            (Then::Reply(reply, response), Ok(())) => reply.respond(response, turn.out),
            (Then::Reply(reply, response), Err(error)) => reply.respond(failed(response, error), turn.out),
            (Then::NewGroup(name), Err(error)) => {
                if let Some(mut group) = self.groups.remove(&name) {
                    group.unload(error, turn.out);
                }
            }
            (Then::Assign { group, generation, assignments }, result) => {
                if let Some(group) = self.classic(&group) {
                    group.assigned(generation, &assignments, result, &mut turn.group());
                }
            }
            (Then::Replace { group, replaced }, result) => {
                if let Some(group) = self.classic(&group) {
                    group.replaced(&replaced, result, &mut turn.group());
                }
            }
            (Then::InitializeShare { group, epoch, partitions, reply, response }, Ok(())) => {
                self.hold(group, epoch, partitions, (reply, response), turn.host);
            }
            (Then::InitializeShare { reply, response, .. }, Err(error)) => {
                reply.respond(failed(response, error), turn.out);
            }
            (Then::Delete(name), result) => self.deleted(&name, result.is_ok(), &mut turn),
            (Then::DeleteGroups { groups, reply, response }, result) => {
                groups.iter().for_each(|name| self.deleted(name, result.is_ok(), &mut turn));
                let response = Response::DeleteGroups(response);
                let response = match result {
                    Ok(()) => response,
                    Err(error) => failed(response, error),
                };
                reply.respond(response, turn.out);
            }
            (Then::Consumer(write), result) => {
                if let Some((reply, response)) = write.reply {
                    let response = match result {
                        Ok(()) => response,
                        Err(error) => failed(response, error),
                    };
                    reply.respond(response, turn.out);
                }
            }
        }
    }

    /// Takes in a committed record. A group's own record brings nothing new: whoever wrote it has the group in memory.
    fn apply(&mut self, record: &GroupRecord) -> Option<Fact> {
        let GroupRecord::Offset { group, topic, partition, value } = record else { return None };
        let partition = self.offsets.apply(group, topic, *partition, value.as_ref())?;
        let group = group.clone();
        let Some(value) = value else { return Some(Fact::OffsetDeleted { group, partition }) };
        self.groups.entry(group.clone()).or_insert_with(|| Group::Classic(ClassicGroup::new(group.clone())));
        Some(Fact::OffsetCommitted { group, partition, offset: value.offset })
    }

    /// Everybody who waits learns that this broker is not the coordinator any more.
    pub(super) fn unload(&mut self, host: &mut Host, out: &mut Effects) {
        for group in self.groups.values_mut() {
            group.unload(ErrorCode::NotCoordinator, out);
        }
        self.groups.clear();
        for (reply, response) in self.held.drain(..).map(Held::into_reply) {
            reply.respond(failed(response, ErrorCode::NotCoordinator), out);
        }
        for pending in std::mem::take(&mut self.writes) {
            self.finish(Instant::ZERO, pending.write, Err(ErrorCode::NotCoordinator), host, out);
        }
    }
}

impl ShardTurn<'_> {
    /// Answers once everything written before is committed.
    pub(super) fn reply(&mut self, reply: ReplyTo, response: Response) {
        self.writes.push(Write { records: Vec::new(), then: Then::Reply(reply, response) });
    }
}

impl Host {
    fn take_write_id(&mut self) -> u64 {
        self.next_write += 1;
        self.next_write
    }
}

/// What a client is told when an append fails (`appendGroupMetadataErrorToResponseError`).
fn answer_for(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => ErrorCode::UnknownServerError,
        other => other,
    }
}

/// The answer that takes the place of one whose write has failed.
fn failed(response: Response, error: ErrorCode) -> Response {
    match response {
        Response::Heartbeat(_) => Response::Heartbeat(HeartbeatResponse { error }),
        Response::ConsumerGroupHeartbeat(_) => {
            Response::ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse::refused(error))
        }
        Response::LeaveGroup(_) => Response::LeaveGroup(LeaveGroupResponse { error, members: Vec::new() }),
        Response::ShareGroupHeartbeat(_) => Response::ShareGroupHeartbeat(heartbeat_error(error)),
        Response::OffsetCommit(commit) => {
            let partitions = commit.partitions.into_iter().map(|(partition, _)| (partition, error)).collect();
            Response::OffsetCommit(OffsetCommitResponse { partitions })
        }
        Response::OffsetDelete(_) => Response::OffsetDelete(OffsetDeleteResponse { error, partitions: Vec::new() }),
        Response::DeleteGroups(deleted) => {
            let results = deleted.results.into_iter().map(|(group, _)| (group, error)).collect();
            Response::DeleteGroups(DeleteGroupsResponse { results })
        }
        other => other,
    }
}
