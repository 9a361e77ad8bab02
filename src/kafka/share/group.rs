//! A share group at its coordinator (`ShareGroup`, `GroupMetadataManager.shareGroupHeartbeat`).
//!
//! A member sends heartbeats and gets partitions to fetch from; it gives nothing up before others may have it, so there is
//! no rebalance to wait for. Three numbers count: the *group epoch* rises when a member comes or goes, or wants other
//! topics, or the topics change; the *assignment epoch* is the group epoch that the target assignment was made for; a
//! member's epoch is that of the target it has heard of.
//!
//! | state | when |
//! | --- | --- |
//! | Empty | it has no members |
//! | Stable | it has |
//! | Dead | it is deleted |
//!
//! Before a partition is given to anybody, the share coordinator is told that the group will read it. What a heartbeat
//! changes is written as records, and they alone change the group, here as after the log was loaded.
//!
//! What we leave out: subscriptions that change while a member stays, Kafka's hash of the topics (another one does the
//! same), racks in it.

use std::collections::{BTreeMap, BTreeSet};

use super::assignor::{self, ShareMemberSpec};
use super::group_log::{About, MemberValue, PartitionsValue, ShareGroupRecord, TopicPartitions};
use crate::kafka::config::BrokerConfig;
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::{Fact, LeaveReason, ModernGroupPhase};
use crate::kafka::ids::{Generation, Name, TopicId, TopicPartition};
use crate::kafka::message::share::{
    DescribedShareGroup, DescribedShareMember, JOIN_EPOCH, LEAVE_EPOCH, ShareGroupHeartbeatRequest,
    ShareGroupHeartbeatResponse,
};
use crate::time::{Duration, Instant};

/// The assignor's name.
pub const ASSIGNOR: &str = "simple";

/// `group.share.initialize.retry.interval.ms`.
const INITIALIZE_RETRY_INTERVAL: Duration = Duration::secs(30);

/// Name and number of partitions of every topic.
pub type TopicSizes = BTreeMap<TopicId, (Name, u32)>;

/// What a group needs to act.
pub struct ShareTurn<'a> {
    pub now: Instant,
    pub config: &'a BrokerConfig,
    pub topics: &'a TopicSizes,
    pub out: &'a mut Effects,
}

/// What follows from a heartbeat: what is to be written, what is answered then, and which partitions the share coordinator
/// is to be told of before.
#[derive(Debug)]
pub struct Decision {
    pub records: Vec<ShareGroupRecord>,
    pub response: ShareGroupHeartbeatResponse,
    pub initialize: Vec<TopicPartition>,
}

/// A share group.
#[derive(Clone, Debug)]
pub struct ShareGroup {
    id: Name,
    phase: ModernGroupPhase,
    epoch: Generation,
    metadata_hash: i64,
    assignment_epoch: Generation,
    /// When the target assignment was made, in milliseconds since 1970.
    assigned_at: i64,
    members: BTreeMap<Name, ShareMember>,
    target: BTreeMap<Name, Vec<TopicPartition>>,
    /// Partitions that the share coordinator knows, each with its topic's name.
    initialized: BTreeMap<TopicPartition, Name>,
    /// Partitions that it is being told of, and since when.
    initializing: BTreeMap<TopicPartition, (Name, Instant)>,
}

/// A member of a share group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareMember {
    value: Option<MemberValue>,
    epoch: Generation,
    previous_epoch: Generation,
    assigned: Vec<TopicPartition>,
}

impl ShareMember {
    /// `client.id`
    pub fn client_id(&self) -> Option<&Name> {
        self.value.as_ref().map(|value| &value.client_id)
    }

    pub fn assigned(&self) -> &[TopicPartition] {
        &self.assigned
    }

    pub fn epoch(&self) -> Generation {
        self.epoch
    }

    fn topics(&self) -> &[Name] {
        self.value.as_ref().map_or(&[], |value| &value.topics)
    }
}

impl ShareGroup {
    /// A group that nobody has joined. Its epoch is the one before the first (`ShareGroup`).
    pub fn new(id: Name) -> Self {
        Self {
            id,
            phase: ModernGroupPhase::Empty,
            epoch: Generation(1),
            metadata_hash: 0,
            assignment_epoch: Generation(0),
            assigned_at: 0,
            members: BTreeMap::new(),
            target: BTreeMap::new(),
            initialized: BTreeMap::new(),
            initializing: BTreeMap::new(),
        }
    }

    pub fn id(&self) -> &Name {
        &self.id
    }

    pub fn phase(&self) -> ModernGroupPhase {
        self.phase
    }

    /// The group epoch.
    pub fn epoch(&self) -> Generation {
        self.epoch
    }

    pub fn members(&self) -> impl Iterator<Item = (&Name, &ShareMember)> {
        self.members.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether some member wants to read the topic.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        self.members.values().any(|member| member.topics().iter().any(|name| &**name == topic))
    }

    /// Every partition that the group reads, or has read.
    pub fn initialized(&self) -> impl Iterator<Item = TopicPartition> {
        self.initialized.keys().copied()
    }

    /// A member's sign of life.
    pub fn heartbeat(
        &mut self,
        request: &ShareGroupHeartbeatRequest,
        turn: &mut ShareTurn,
    ) -> Result<Decision, ErrorCode> {
        let id = &request.member_id;
        if request.member_epoch == LEAVE_EPOCH {
            if !self.members.contains_key(id) {
                return Err(ErrorCode::UnknownMemberId);
            }
            let records = self.remove(id, LeaveReason::Closed, turn);
            let response = answer(request, LEAVE_EPOCH, None, turn.config);
            return Ok(Decision { records, response, initialize: Vec::new() });
        }
        let before = self.check_member(request, turn.config)?;
        let mut records = Vec::new();
        if request.member_epoch == JOIN_EPOCH && !self.members.contains_key(id) {
            turn.out.note(Fact::MemberJoined { group: self.id.clone(), member: id.clone() });
        }
        let known = before.value.as_ref();
        let value = MemberValue {
            rack: request.rack.clone().or_else(|| known?.rack.clone()),
            client_id: request.client_id.clone(),
            client_host: format!("/{}", request.client_id).as_str().into(),
            topics: request.subscribed_topics.clone().unwrap_or_else(|| before.topics().to_vec()),
        };
        let subscription_changed = value.topics != before.topics();
        if known != Some(&value) {
            self.write(About::Member { member: id.clone(), value: Some(value) }, &mut records);
        }
        let assignment_pending = self.assignment_epoch >= self.epoch && self.lacks_assignment(turn.topics);
        self.bump_epoch(subscription_changed || assignment_pending, turn, &mut records);
        self.update_target(turn, &mut records);
        self.reconcile(id, &mut records);
        turn.out.set_timer(turn.now + turn.config.share_session_timeout, self.session_timer(id));
        let initialize = self.begin_initializing(turn, &mut records);
        let member = self.members.get(id).cloned().unwrap_or_default();
        let is_full = request.member_epoch == JOIN_EPOCH || request.subscribed_topics.is_some();
        let assignment = (is_full || member.assigned != before.assigned).then(|| member.assigned.clone());
        self.settle(turn.out);
        Ok(Decision { records, response: answer(request, member.epoch, assignment, turn.config), initialize })
    }

    /// The checks of a heartbeat (`throwIfShareGroupIsFull`, `throwIfShareGroupMemberEpochIsInvalid`). Returns the member as
    /// it was.
    fn check_member(
        &self,
        request: &ShareGroupHeartbeatRequest,
        config: &BrokerConfig,
    ) -> Result<ShareMember, ErrorCode> {
        let Some(member) = self.members.get(&request.member_id) else {
            return match request.member_epoch {
                JOIN_EPOCH if self.members.len() as u64 >= u64::from(config.share_max_size) => {
                    Err(ErrorCode::GroupMaxSizeReached)
                }
                JOIN_EPOCH => Ok(ShareMember::default()),
                _ => Err(ErrorCode::UnknownMemberId),
            };
        };
        // The answer that told the newer epoch may have been lost.
        let accepted = [JOIN_EPOCH, member.epoch, member.previous_epoch];
        if accepted.contains(&request.member_epoch) { Ok(member.clone()) } else { Err(ErrorCode::FencedMemberEpoch) }
    }

    /// A member was silent for `group.share.session.timeout.ms`.
    pub fn session_timed_out(&mut self, member: &Name, turn: &mut ShareTurn) -> Vec<ShareGroupRecord> {
        if !self.members.contains_key(member) {
            return Vec::new();
        }
        self.remove(member, LeaveReason::SessionTimeout, turn)
    }

    /// `shareGroupFenceMember`.
    fn remove(&mut self, id: &Name, reason: LeaveReason, turn: &mut ShareTurn) -> Vec<ShareGroupRecord> {
        let mut records = Vec::new();
        let member = id.clone();
        turn.out.cancel_timer(self.session_timer(id));
        turn.out.note(Fact::MemberRemoved { group: self.id.clone(), member: member.clone(), reason });
        self.write(About::Current { member: member.clone(), value: None }, &mut records);
        self.write(About::MemberTarget { member: member.clone(), value: None }, &mut records);
        self.write(About::Member { member, value: None }, &mut records);
        self.bump_epoch(true, turn, &mut records);
        self.settle(turn.out);
        records
    }

    /// The share coordinator knows this partition now, or could not be told.
    pub fn partition_initialized(&mut self, partition: TopicPartition, is_known: bool) -> Vec<ShareGroupRecord> {
        let mut records = Vec::new();
        let Some((topic, _)) = self.initializing.remove(&partition).filter(|_| is_known) else { return records };
        self.initialized.insert(partition, topic);
        self.write_partitions(&mut records);
        records
    }

    /// Which partitions nobody has told the share coordinator of (`subscribedTopicsChangeMap`).
    fn begin_initializing(&mut self, turn: &mut ShareTurn, records: &mut Vec<ShareGroupRecord>) -> Vec<TopicPartition> {
        let now = turn.now;
        let is_settled = |partition: &TopicPartition| {
            let begun = self.initializing.get(partition);
            self.initialized.contains_key(partition)
                || begun.is_some_and(|(_, begun)| now.since(*begun) < INITIALIZE_RETRY_INTERVAL)
        };
        let mut missing = Vec::new();
        for (topic, (name, count)) in turn.topics.iter().filter(|(_, (name, _))| self.is_subscribed_to(name)) {
            let partitions = (0..*count).map(|partition| TopicPartition::new(*topic, partition));
            missing.extend(partitions.filter(|of| !is_settled(of)).map(|of| (of, name.clone())));
        }
        if missing.is_empty() {
            return Vec::new();
        }
        let partitions = missing.iter().map(|(partition, _)| *partition).collect();
        self.initializing.extend(missing.into_iter().map(|(partition, name)| (partition, (name, now))));
        self.write_partitions(records);
        partitions
    }

    /// Whether some partition that could be given to somebody is not (`initializedAssignmentPending`).
    fn lacks_assignment(&self, topics: &TopicSizes) -> bool {
        if self.members.is_empty() {
            return false;
        }
        let assigned: BTreeSet<TopicPartition> = self.target.values().flatten().copied().collect();
        self.assignable(topics).iter().any(|partition| !assigned.contains(partition))
    }

    fn assignable(&self, topics: &TopicSizes) -> BTreeSet<TopicPartition> {
        let wanted =
            self.initialized.iter().filter(|(of, name)| topics.contains_key(&of.topic) && self.is_subscribed_to(name));
        wanted.map(|(partition, _)| *partition).collect()
    }

    /// The group epoch rises if something that the assignment depends on has changed.
    fn bump_epoch(&mut self, changed: bool, turn: &ShareTurn, records: &mut Vec<ShareGroupRecord>) {
        let hash = self.hash_metadata(turn.topics);
        if changed || hash != self.metadata_hash {
            let epoch = Generation(self.epoch.0 + 1);
            self.write(About::Group { value: Some((epoch, hash)) }, records);
        }
    }

    /// A number that is another one when a subscribed topic is (FNV-1a).
    fn hash_metadata(&self, topics: &TopicSizes) -> i64 {
        let subscribed = topics.iter().filter(|(_, (name, _))| self.is_subscribed_to(name));
        let bytes = subscribed.flat_map(|(topic, (name, count))| {
            [topic.0, *count].into_iter().flat_map(u32::to_be_bytes).chain(name.bytes().collect::<Vec<u8>>())
        });
        let hash =
            bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        hash.cast_signed()
    }

    /// Works out a target for the group epoch, unless the last one is too young (`maybeUpdateTargetAssignment`).
    fn update_target(&mut self, turn: &mut ShareTurn, records: &mut Vec<ShareGroupRecord>) {
        let now = turn.now.timestamp_ms();
        let interval = i64::try_from(turn.config.share_assignment_interval.as_millis()).unwrap_or(i64::MAX);
        if self.assignment_epoch >= self.epoch || now < self.assigned_at.saturating_add(interval) {
            return;
        }
        let subscribed = |member: &ShareMember| {
            let wanted = turn.topics.iter().filter(|(_, (name, _))| member.topics().contains(name));
            wanted.map(|(topic, _)| *topic).collect()
        };
        let members: Vec<ShareMemberSpec> = self
            .members
            .iter()
            .map(|(id, member)| ShareMemberSpec {
                id: id.clone(),
                topics: subscribed(member),
                owned: self.target.get(id).cloned().unwrap_or_default(),
            })
            .collect();
        let target = assignor::assign(&self.assignable(turn.topics), &members);
        let name = |of: &TopicPartition| {
            let name = turn.topics.get(&of.topic).map_or_else(|| "".into(), |(name, _)| name.clone());
            (name, of.partition)
        };
        turn.out.note(Fact::TargetAssigned {
            group: self.id.clone(),
            epoch: self.epoch,
            members: target.iter().map(|(id, of)| (id.clone(), of.iter().map(name).collect())).collect(),
        });
        for (member, partitions) in target {
            let partitions: Vec<TopicPartition> = partitions.into_iter().collect();
            if self.target.get(&member) != Some(&partitions) {
                self.write(About::MemberTarget { member, value: Some(partitions) }, records);
            }
        }
        self.write(About::Target { value: Some((self.epoch, now)) }, records);
    }

    /// The member goes straight to its target (`ShareGroupAssignmentBuilder`).
    fn reconcile(&mut self, id: &Name, records: &mut Vec<ShareGroupRecord>) {
        let Some(member) = self.members.get(id).filter(|member| member.epoch != self.assignment_epoch) else { return };
        let target = self.target.get(id).cloned().unwrap_or_default();
        let value = Some((self.assignment_epoch, member.epoch, target));
        self.write(About::Current { member: id.clone(), value }, records);
    }

    fn write_partitions(&mut self, records: &mut Vec<ShareGroupRecord>) {
        let initializing = self.initializing.iter().map(|(of, (name, _))| (*of, name));
        let value = PartitionsValue {
            initializing: by_topic(initializing),
            initialized: by_topic(self.initialized.iter().map(|(of, name)| (*of, name))),
        };
        let record = ShareGroupRecord { group: self.id.clone(), about: About::Partitions { value: Some(value) } };
        records.push(record);
    }

    fn write(&mut self, about: About, records: &mut Vec<ShareGroupRecord>) {
        self.apply(&about);
        records.push(ShareGroupRecord { group: self.id.clone(), about });
    }

    /// Takes in a record.
    pub fn apply(&mut self, about: &About) {
        match about {
            About::Member { member, value: Some(value) } => {
                self.members.entry(member.clone()).or_default().value = Some(value.clone());
            }
            About::Member { member, value: None } => {
                self.members.remove(member);
            }
            About::Group { value: Some((epoch, hash)) } => (self.epoch, self.metadata_hash) = (*epoch, *hash),
            About::Target { value: Some((epoch, at)) } => (self.assignment_epoch, self.assigned_at) = (*epoch, *at),
            About::MemberTarget { member, value: Some(partitions) } => {
                self.target.insert(member.clone(), partitions.clone());
            }
            About::MemberTarget { member, value: None } => {
                self.target.remove(member);
            }
            About::Current { member, value: Some((epoch, previous, assigned)) } => {
                if let Some(member) = self.members.get_mut(member) {
                    (member.epoch, member.previous_epoch) = (*epoch, *previous);
                    member.assigned.clone_from(assigned);
                }
            }
            About::Partitions { value: Some(value) } => {
                // Whatever was being told when the coordinator changed is told again.
                self.initialized = flat(&value.initialized);
            }
            About::Current { value: None, .. }
            | About::Group { value: None }
            | About::Target { value: None }
            | About::Partitions { value: None } => {}
        }
    }

    /// The log has been read: every member has a whole session from now on.
    pub fn loaded(&mut self, now: Instant, config: &BrokerConfig, out: &mut Effects) {
        self.phase = self.phase_now();
        for member in self.members.keys() {
            out.set_timer(now + config.share_session_timeout, self.session_timer(member));
        }
    }

    /// This broker coordinates the group no longer.
    pub fn unload(&self, out: &mut Effects) {
        for member in self.members.keys() {
            out.cancel_timer(self.session_timer(member));
        }
    }

    fn session_timer(&self, member: &Name) -> Timer {
        Timer::ShareSession { group: self.id.clone(), member: member.clone() }
    }

    fn phase_now(&self) -> ModernGroupPhase {
        if self.members.is_empty() { ModernGroupPhase::Empty } else { ModernGroupPhase::Stable }
    }

    fn settle(&mut self, out: &mut Effects) {
        let to = self.phase_now();
        let from = std::mem::replace(&mut self.phase, to);
        if from != to {
            out.note(Fact::ModernGroupState { group: self.id.clone(), from, to, epoch: self.epoch });
        }
    }

    /// Answers ShareGroupDescribe. Topics have their names here.
    pub fn describe(&self, topics: &TopicSizes) -> DescribedShareGroup {
        let name = |of: &TopicPartition| Some((topics.get(&of.topic)?.0.clone(), of.partition));
        let member = |(id, member): (&Name, &ShareMember)| DescribedShareMember {
            member_id: id.clone(),
            member_epoch: member.epoch,
            client_id: member.client_id().cloned().unwrap_or_else(|| "".into()),
            client_host: member.value.as_ref().map_or_else(|| "".into(), |value| value.client_host.clone()),
            topics: member.topics().to_vec(),
            assignment: member.assigned.iter().filter_map(name).collect(),
        };
        DescribedShareGroup {
            error: ErrorCode::None,
            group: self.id.clone(),
            state: self.phase.name().into(),
            group_epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            assignor: ASSIGNOR.into(),
            members: self.members.iter().map(member).collect(),
        }
    }
}

/// The answer to a heartbeat that was taken in.
fn answer(
    request: &ShareGroupHeartbeatRequest,
    member_epoch: Generation,
    assignment: Option<Vec<TopicPartition>>,
    config: &BrokerConfig,
) -> ShareGroupHeartbeatResponse {
    ShareGroupHeartbeatResponse {
        error: ErrorCode::None,
        member_id: request.member_id.clone(),
        member_epoch,
        heartbeat_interval: config.share_heartbeat_interval,
        assignment,
    }
}

/// The answer to one that was not.
pub fn heartbeat_error(error: ErrorCode) -> ShareGroupHeartbeatResponse {
    ShareGroupHeartbeatResponse {
        error,
        member_id: "".into(),
        member_epoch: JOIN_EPOCH,
        heartbeat_interval: Duration::ZERO,
        assignment: None,
    }
}

fn by_topic<'a>(partitions: impl Iterator<Item = (TopicPartition, &'a Name)>) -> TopicPartitions {
    let mut topics: BTreeMap<TopicId, (Name, Vec<u32>)> = BTreeMap::new();
    for (partition, name) in partitions {
        topics.entry(partition.topic).or_insert_with(|| (name.clone(), Vec::new())).1.push(partition.partition);
    }
    topics.into_iter().map(|(topic, (name, partitions))| (topic, name, partitions)).collect()
}

fn flat(topics: &TopicPartitions) -> BTreeMap<TopicPartition, Name> {
    let of = |(topic, name, partitions): &(TopicId, Name, Vec<u32>)| {
        let (topic, name) = (*topic, name.clone());
        partitions.clone().into_iter().map(move |partition| (TopicPartition::new(topic, partition), name.clone()))
    };
    topics.iter().flat_map(of).collect()
}
