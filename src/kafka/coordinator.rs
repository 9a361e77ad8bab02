//! A broker's group coordinator: the groups of those partitions of `__consumer_offsets` that the broker leads
//! (`GroupCoordinatorService`, `CoordinatorRuntime`, `GroupCoordinatorShard`).
//!
//! A group belongs to the partition that its name hashes to. Whoever leads that partition keeps the group in memory and
//! writes what must last into the partition's log, so that the next leader can load it from there. The road of a
//! request: *decide* (a group's rules, in [`group`](super::group)) gives records and what to do when they are safe;
//! *append* goes to the broker, as a leader's append with `acks=1`; when the high watermark has passed the records they
//! are *applied* and whoever waited is answered. An answer that needs no record of its own still waits for the
//! writes before it. Loading applies the same records from the log. A group of the consumer protocol (KIP-848, in
//! [`modern_group`](super::modern_group)) is all records: it changes as soon as they are appended, so that the next
//! heartbeat builds on them, and only its answers wait for the high watermark.
//!
//! | partition | requests for its groups get |
//! | --- | --- |
//! | not led here | NOT_COORDINATOR |
//! | being loaded | COORDINATOR_LOAD_IN_PROGRESS (a heartbeat gets no error) |
//! | loaded | an answer by the group's state |
//!
//! What we leave out: transactional offsets, and the linger that gathers several writes in one batch
//! (`group.coordinator.append.linger.ms`).

mod admin;
mod group;
mod migration;
mod modern;
mod offsets;
mod shard;
mod share;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use self::group::Group;
use self::modern::OwnAssignor;
pub use self::offsets::CommittedOffset;
use self::shard::{Host, Shard};
pub use self::share::ShareAsk;
use super::config::BrokerConfig;
use super::effects::{Effects, Timer};
use super::error::ErrorCode;
use super::fact::{Fact, GroupPhase};
use super::group::{ReplyTo, join_error, sync_error};
use super::ids::{LeaderEpoch, Name, Node, OFFSETS_TOPIC, Offset, TopicId, TopicPartition};
use super::message::consumer_group::{
    ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatResponse, DescribedConsumerGroup,
};
use super::message::share::ShareGroupDescribeResponse;
use super::message::{
    DescribeGroupsResponse, DescribedGroup, HeartbeatResponse, LeaveGroupResponse, ListGroupsRequest,
    ListGroupsResponse, OffsetCommitResponse, OffsetDeleteResponse, OffsetFetchResponse, Request, Response,
};
use super::metadata::MetadataImage;
use super::modern_group::{self, Assign, ConsumerGroup};
use super::partitioner;
use super::record::Batch;
use super::share::group::heartbeat_error;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// Records that the coordinator wants in one of its partitions. The broker appends them as the leader, with `acks=1`,
/// and reports by [`GroupCoordinator::appended`]; the coordinator waits for the high watermark itself.
#[derive(Clone, Debug)]
pub struct Append {
    pub id: u64,
    /// Of `__consumer_offsets`.
    pub partition: u32,
    pub batch: Batch,
}

/// The group coordinator of one broker.
#[derive(Clone, Debug)]
pub struct GroupCoordinator {
    host: Host,
    /// How many partitions `__consumer_offsets` has.
    partitions: u32,
    shards: BTreeMap<u32, Shard>,
    /// [`Timer::OffsetExpiry`] is set.
    expiry_armed: bool,
    /// What [`Timer::GroupWrite`] is set for.
    write_deadline: Option<Instant>,
}

impl GroupCoordinator {
    /// A coordinator of nothing yet. `rng` is for the ids it gives out to members.
    pub fn new(config: BrokerConfig, rng: Rng) -> Self {
        Self {
            partitions: config.offsets_topic_partitions,
            host: Host {
                config,
                rng,
                topics: BTreeMap::new(),
                image: MetadataImage::default(),
                assign: OwnAssignor::default(),
                next_write: 0,
                share_asks: Vec::new(),
            },
            shards: BTreeMap::new(),
            expiry_armed: false,
            write_deadline: None,
        }
    }

    /// From here on, groups of the consumer protocol are assigned by this, in the place of Kafka's own assignors
    /// (`group.consumer.assignors` takes classes of one's own).
    pub fn assign_by(&mut self, assign: std::rc::Rc<Assign>) {
        self.host.assign = OwnAssignor(Some(assign));
    }

    /// The partition of `__consumer_offsets` that a group belongs to.
    pub fn partition_of(&self, group: &str) -> u32 {
        partitioner::coordinator_partition(group, self.partitions)
    }

    /// Every group kept here, by partition and name.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.shards.values().flat_map(Shard::groups)
    }

    /// A group, if it is kept here.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.shards.get(&self.partition_of(name))?.group(name)
    }

    /// The assignor that a group of the consumer protocol would use now, by its name.
    pub fn assignor_of(&self, group: &ConsumerGroup) -> &'static str {
        group.assignor(&self.host.config).name()
    }

    /// What a group has committed, if it is kept here.
    pub fn committed_offsets(&self, name: &str) -> impl Iterator<Item = (TopicPartition, &CommittedOffset)> {
        self.shards.get(&self.partition_of(name)).into_iter().flat_map(move |shard| shard.offsets().of(name))
    }

    /// The partitions that are loaded.
    pub fn loaded_partitions(&self) -> impl Iterator<Item = u32> {
        self.shards.iter().filter(|(_, shard)| !shard.is_loading()).map(|(partition, _)| *partition)
    }

    /// The broker has become leader of a partition and is about to read it. A call for an epoch that is not newer than
    /// the one known changes nothing.
    pub fn begin_load(&mut self, partition: u32, epoch: LeaderEpoch, out: &mut Effects) {
        if self.shards.get(&partition).is_some_and(|shard| shard.epoch() >= epoch) {
            return;
        }
        self.unload(partition, out);
        self.shards.insert(partition, Shard::loading(epoch));
    }

    /// The broker has read the partition it leads: from here on it answers for the groups in there. What lies at or
    /// above the high watermark counts once that has passed it. A partition that is loaded in that epoch stays as it is.
    pub fn load(
        &mut self,
        now: Instant,
        partition: u32,
        epoch: LeaderEpoch,
        batches: &[Batch],
        high_watermark: Offset,
        out: &mut Effects,
    ) {
        if self.shards.get(&partition).is_some_and(|shard| shard.epoch() >= epoch && !shard.is_loading()) {
            return;
        }
        self.unload(partition, out);
        let shard = Shard::load(now, epoch, batches, high_watermark, &mut self.host, out);
        out.note(Fact::CoordinatorLoaded { partition, groups: shard.groups().count() as u32 });
        self.shards.insert(partition, shard);
        if !self.expiry_armed {
            self.arm_expiry(now, out);
        }
    }

    /// The broker does not lead the partition any more. Everybody who waits is told to look for the new coordinator.
    pub fn unload(&mut self, partition: u32, out: &mut Effects) {
        let Some(mut shard) = self.shards.remove(&partition) else { return };
        if !shard.is_loading() {
            shard.unload(&mut self.host, out);
            out.note(Fact::CoordinatorUnloaded { partition });
        }
    }

    /// The topics may have changed. Offsets of deleted ones go (`onNewMetadataImage`).
    pub fn topics_changed(&mut self, now: Instant, image: &MetadataImage, out: &mut Effects) -> Vec<Append> {
        if let Some((_, topic)) = image.topic(OFFSETS_TOPIC) {
            self.partitions = topic.partitions.len() as u32;
        }
        let known = |(id, topic): (&TopicId, &std::rc::Rc<super::metadata::TopicImage>)| {
            (*id, (topic.name.clone(), topic.partitions.len() as u32))
        };
        let topics: BTreeMap<TopicId, (Name, u32)> = image.topics.iter().map(known).collect();
        let before = std::mem::replace(&mut self.host.topics, topics);
        self.host.image = image.clone();
        self.shards.values_mut().for_each(Shard::topics_may_have_changed);
        let deleted: Vec<TopicId> = before.into_keys().filter(|topic| !self.host.topics.contains_key(topic)).collect();
        if deleted.is_empty() {
            return Vec::new();
        }
        let partitions: Vec<u32> = self.shards.keys().copied().collect();
        let appends = partitions.into_iter().flat_map(|partition| {
            let Some(shard) = self.shards.get_mut(&partition) else { return Vec::new() };
            let writes = shard.topics_deleted(&deleted);
            shard.submit(now, partition, writes, &mut self.host, out)
        });
        let appends = appends.collect();
        self.arm_write_deadline(now, out);
        appends
    }

    /// Handles a request of the group protocol, or about groups. The answer may have to wait for what is returned here
    /// to be appended and committed.
    pub fn on_request(
        &mut self,
        now: Instant,
        from: Node,
        correlation_id: u32,
        request: &Request,
        out: &mut Effects,
    ) -> Vec<Append> {
        let reply = ReplyTo { node: from, correlation_id };
        let group = match request {
            Request::JoinGroup(request) => &request.group,
            Request::SyncGroup(request) => &request.group,
            Request::Heartbeat(request) => &request.group,
            Request::LeaveGroup(request) => &request.group,
            Request::OffsetCommit(request) => &request.group,
            Request::OffsetFetch(request) => &request.group,
            Request::OffsetDelete(request) => &request.group,
            Request::ConsumerGroupHeartbeat(request) => &request.group,
            Request::ConsumerGroupDescribe(request) => {
                let groups = request.groups.iter().map(|group| self.describe_consumer_group(group)).collect();
                let response = ConsumerGroupDescribeResponse { groups };
                reply.respond(Response::ConsumerGroupDescribe(response), out);
                return Vec::new();
            }
            Request::ShareGroupHeartbeat(request) => &request.group,
            Request::ShareGroupDescribe(request) => {
                let groups = request.groups.iter().map(|group| self.describe_share(group)).collect();
                reply.respond(Response::ShareGroupDescribe(ShareGroupDescribeResponse { groups }), out);
                return Vec::new();
            }
            Request::DescribeGroups(request) => {
                let groups = request.groups.iter().map(|group| self.describe(group)).collect();
                reply.respond(Response::DescribeGroups(DescribeGroupsResponse { groups }), out);
                return Vec::new();
            }
            Request::ListGroups(request) => {
                reply.respond(Response::ListGroups(self.list(request)), out);
                return Vec::new();
            }
            Request::DeleteGroups(request) => return self.delete_groups(now, request, reply, out),
            // The broker asks only for what is above.
            _ => return Vec::new(),
        };
        let partition = self.partition_of(group);
        let refused = precheck(request, &self.host.config).or_else(|| self.availability(partition));
        if let Some(error) = refused {
            respond_with_error(request, error, reply, out);
            return Vec::new();
        }
        let appends = self.on_shard(now, partition, out, |shard, turn| shard.on_request(request, reply, turn));
        self.arm_write_deadline(now, out);
        appends
    }

    /// Handles the group coordinator's timers: those of classic, consumer and share groups, of writes, and of offsets.
    pub fn on_timer(&mut self, now: Instant, timer: &Timer, out: &mut Effects) -> Vec<Append> {
        let appends = match timer {
            Timer::GroupJoin { group } | Timer::GroupSync { group } | Timer::GroupSession { group, .. } => {
                let partition = self.partition_of(group);
                self.on_shard(now, partition, out, |shard, turn| shard.on_timer(timer, group, turn))
            }
            Timer::ConsumerGroupSession { group, .. }
            | Timer::ConsumerGroupRevocation { group, .. }
            | Timer::ConsumerGroupRegexes { group } => {
                let partition = self.partition_of(group);
                self.on_shard(now, partition, out, |shard, turn| shard.consumer_timer(timer, group, turn))
            }
            Timer::ShareSession { group, member } => self.share_session_timed_out(now, group, member, out),
            Timer::OffsetExpiry => self.expire_offsets(now, out),
            Timer::GroupWrite => {
                self.write_deadline = None;
                for shard in self.shards.values_mut() {
                    shard.give_up_writes(now, &mut self.host, out);
                }
                Vec::new()
            }
            _ => Vec::new(),
        };
        self.arm_write_deadline(now, out);
        appends
    }

    /// The broker has appended what was asked for, up to the given offset, or could not.
    pub fn appended(&mut self, now: Instant, id: u64, result: Result<Offset, ErrorCode>, out: &mut Effects) {
        if let Some(shard) = self.shards.values_mut().find(|shard| shard.awaits(id)) {
            shard.appended(now, id, result, &mut self.host, out);
        }
    }

    /// The partition's high watermark has moved: what was waiting below it is applied, and answered.
    pub fn committed(&mut self, now: Instant, partition: u32, high_watermark: Offset, out: &mut Effects) {
        if let Some(shard) = self.shards.get_mut(&partition) {
            shard.committed(now, high_watermark, &mut self.host, out);
        }
    }

    /// Lets a loaded partition act, and hands over what it wants to write.
    fn on_shard(
        &mut self,
        now: Instant,
        partition: u32,
        out: &mut Effects,
        act: impl FnOnce(&mut Shard, &mut shard::ShardTurn),
    ) -> Vec<Append> {
        let Some(shard) = self.shards.get_mut(&partition).filter(|shard| !shard.is_loading()) else {
            return Vec::new();
        };
        let mut writes = Vec::new();
        act(shard, &mut shard::ShardTurn { now, host: &mut self.host, out, writes: &mut writes });
        shard.submit(now, partition, writes, &mut self.host, out)
    }

    /// Why a partition's groups cannot be asked for, if so.
    fn availability(&self, partition: u32) -> Option<ErrorCode> {
        match self.shards.get(&partition) {
            None => Some(ErrorCode::NotCoordinator),
            Some(shard) if shard.is_loading() => Some(ErrorCode::CoordinatorLoadInProgress),
            Some(_) => None,
        }
    }

    fn describe(&self, name: &Name) -> DescribedGroup {
        let partition = self.partition_of(name);
        let unknown = |error| DescribedGroup {
            error,
            group: name.clone(),
            state: GroupPhase::Dead.name().into(),
            protocol_type: "".into(),
            protocol: "".into(),
            members: Vec::new(),
        };
        match (self.availability(partition), self.group(name).and_then(Group::as_classic)) {
            (Some(error), _) => unknown(error),
            (None, Some(group)) => group.describe(),
            (None, None) => unknown(ErrorCode::GroupIdNotFound),
        }
    }

    fn describe_consumer_group(&self, name: &Name) -> DescribedConsumerGroup {
        match (self.availability(self.partition_of(name)), self.group(name).and_then(Group::as_consumer)) {
            (Some(error), _) => modern::unknown(name, error),
            (None, Some(group)) => group.describe(&self.host.config, &self.host.image),
            (None, None) => modern::unknown(name, ErrorCode::GroupIdNotFound),
        }
    }

    fn list(&self, request: &ListGroupsRequest) -> ListGroupsResponse {
        if self.shards.values().any(Shard::is_loading) {
            return ListGroupsResponse { error: ErrorCode::CoordinatorLoadInProgress, groups: Vec::new() };
        }
        let passes = |filter: &[Name], word: &str| {
            filter.is_empty() || filter.iter().any(|wanted| wanted.trim().eq_ignore_ascii_case(word))
        };
        let wanted = |group: &&Group| passes(&request.states, group.state()) && passes(&request.types, group.kind());
        let groups = self.groups().filter(wanted).map(Group::listed).collect();
        ListGroupsResponse { error: ErrorCode::None, groups }
    }

    fn expire_offsets(&mut self, now: Instant, out: &mut Effects) -> Vec<Append> {
        self.expiry_armed = false;
        if self.shards.is_empty() {
            return Vec::new();
        }
        self.arm_expiry(now, out);
        let partitions: Vec<u32> = self.loaded_partitions().collect();
        let mut appends = Vec::new();
        for partition in partitions {
            appends.extend(self.on_shard(now, partition, out, |shard, turn| shard.expire_offsets(turn)));
        }
        appends
    }

    fn arm_expiry(&mut self, now: Instant, out: &mut Effects) {
        self.expiry_armed = true;
        out.set_timer(now + self.host.config.offsets_retention_check_interval, Timer::OffsetExpiry);
    }

    /// Sets [`Timer::GroupWrite`] for the write that has waited longest, unless it is set already.
    fn arm_write_deadline(&mut self, now: Instant, out: &mut Effects) {
        if self.write_deadline.is_some_and(|deadline| deadline > now) {
            return;
        }
        self.write_deadline = self.shards.values().filter_map(Shard::first_deadline).min();
        if let Some(deadline) = self.write_deadline {
            out.set_timer(deadline, Timer::GroupWrite);
        }
    }
}

/// What is refused before a group is looked for.
fn precheck(request: &Request, config: &BrokerConfig) -> Option<ErrorCode> {
    let bounds = config.group_min_session_timeout..=config.group_max_session_timeout;
    let group_is_empty = match request {
        Request::JoinGroup(join) => {
            let refused: Option<Duration> = Some(join.session_timeout).filter(|timeout| !bounds.contains(timeout));
            if !join.group.is_empty() && refused.is_some() {
                return Some(ErrorCode::InvalidSessionTimeout);
            }
            join.group.is_empty()
        }
        Request::SyncGroup(sync) => sync.group.is_empty(),
        Request::Heartbeat(heartbeat) => heartbeat.group.is_empty(),
        Request::LeaveGroup(leave) => leave.group.is_empty(),
        Request::OffsetDelete(delete) => delete.group.is_empty(),
        Request::ConsumerGroupHeartbeat(heartbeat) => {
            return modern_group::check(heartbeat, &config.group_consumer_assignors).err();
        }
        Request::ShareGroupHeartbeat(heartbeat) => heartbeat.group.is_empty(),
        // Old consumers without a group commit under the empty name.
        _ => false,
    };
    group_is_empty.then_some(ErrorCode::InvalidGroupId)
}

/// Answers with nothing but an error.
fn respond_with_error(request: &Request, error: ErrorCode, reply: ReplyTo, out: &mut Effects) {
    let response = match request {
        Request::JoinGroup(join) => Response::JoinGroup(join_error(error, &join.member_id)),
        Request::SyncGroup(_) => Response::SyncGroup(sync_error(error)),
        // While the group is being loaded nobody can say that the member is not in it.
        Request::Heartbeat(_) if error == ErrorCode::CoordinatorLoadInProgress => {
            Response::Heartbeat(HeartbeatResponse { error: ErrorCode::None })
        }
        Request::Heartbeat(_) => Response::Heartbeat(HeartbeatResponse { error }),
        Request::LeaveGroup(_) => Response::LeaveGroup(LeaveGroupResponse { error, members: Vec::new() }),
        Request::ConsumerGroupHeartbeat(_) => {
            Response::ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse::refused(error))
        }
        Request::ShareGroupHeartbeat(_) => Response::ShareGroupHeartbeat(heartbeat_error(error)),
        Request::OffsetCommit(commit) => {
            let partitions = commit.partitions.iter().map(|(partition, ..)| (*partition, error)).collect();
            Response::OffsetCommit(OffsetCommitResponse { partitions })
        }
        Request::OffsetDelete(_) => Response::OffsetDelete(OffsetDeleteResponse { error, partitions: Vec::new() }),
        Request::OffsetFetch(_) => Response::OffsetFetch(OffsetFetchResponse { error, partitions: Vec::new() }),
        _ => return,
    };
    reply.respond(response, out);
}
