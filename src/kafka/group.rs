//! One consumer group of the classic protocol, as its coordinator keeps it (`ClassicGroup`, and the `classicGroup…`
//! methods of `GroupMetadataManager`).
//!
//! A rebalance has two rounds. In the first everybody sends JoinGroup; the answers are held until all have come, or the
//! rebalance timeout is over. They name the new generation and its leader, who alone learns of all members. In the
//! second everybody sends SyncGroup; the leader's carries the assignment. Once that is safe in the log, every answer
//! brings its member its partitions. In between, members prove by heartbeats that they live, and learn from the answers
//! that a rebalance is under way.
//!
//! | state | what it means | may come from |
//! | --- | --- | --- |
//! | Empty | no members, maybe offsets | PreparingRebalance |
//! | PreparingRebalance | waits for everybody's JoinGroup | Empty, CompletingRebalance, Stable |
//! | CompletingRebalance | waits for SyncGroup, the leader's above all | PreparingRebalance |
//! | Stable | everybody can have its assignment | CompletingRebalance |
//! | Dead | on its way out of the coordinator's memory | any |
//!
//! How each request is answered:
//!
//! | state | JoinGroup of a member | SyncGroup | Heartbeat | OffsetCommit |
//! | --- | --- | --- | --- | --- |
//! | Empty | UNKNOWN_MEMBER_ID | UNKNOWN_MEMBER_ID | UNKNOWN_MEMBER_ID | only without a generation |
//! | PreparingRebalance | waits | REBALANCE_IN_PROGRESS | REBALANCE_IN_PROGRESS | yes |
//! | CompletingRebalance | changed: rebalance; else the generation as it is | waits | ok | REBALANCE_IN_PROGRESS |
//! | Stable | leader, or changed: rebalance; else the generation as it is | its assignment | ok | yes |
//! | Dead | COORDINATOR_NOT_AVAILABLE | COORDINATOR_NOT_AVAILABLE | COORDINATOR_NOT_AVAILABLE | COORDINATOR_NOT_AVAILABLE |
//!
//! As in Kafka, who is waiting for whom lives in memory alone: only what a rebalance ends with is written, and a
//! coordinator that takes over knows the last generation that was.
//!
//! What we leave out: what members of another protocol type than `consumer` tell each other (their type is kept, and
//! nobody reads their assignments), and the refusal to write a member's metadata that is too large.

mod rebalance;
mod requests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

pub use self::rebalance::JoinWait;
pub use self::requests::new_member_id;
use super::config::BrokerConfig;
use super::effects::{Effects, Timer};
use super::error::ErrorCode;
use super::fact::{Fact, GroupPhase, LeaveReason};
use super::group_log::{GroupMetadataValue, GroupRecord, MemberMetadata};
use super::ids::{Generation, Name, Node, TopicPartition};
use super::message::{
    Assignment, DeleteGroupsResponse, DescribedGroup, DescribedMember, JoinGroupRequest, JoinGroupResponse, Response,
    Subscription, SyncGroupResponse,
};
use super::mistakes::Mistake;
use super::partitioner::java_hash_bucket;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// A new member is dropped after this if the join phase has not ended by then: its client may be gone, and has no id yet
/// to send heartbeats with (`CLASSIC_GROUP_NEW_MEMBER_JOIN_TIMEOUT_MS`).
const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::secs(300);

/// A classic group.
#[derive(Clone, Debug)]
pub struct ClassicGroup {
    id: Name,
    phase: GroupPhase,
    previous: GroupPhase,
    /// When it came into its state, in milliseconds since 1970; unknown for a group that only has offsets.
    since: Option<i64>,
    generation: Generation,
    /// `None` until somebody joins.
    protocol_type: Option<Name>,
    /// The assignor of this generation.
    protocol: Option<Name>,
    leader: Option<Name>,
    members: BTreeMap<Name, Member>,
    /// Member ids that were given out and have not joined yet.
    pending_joins: BTreeSet<Name>,
    /// Members that have not sent SyncGroup in this generation.
    pending_syncs: BTreeSet<Name>,
    /// Member id by instance id.
    static_members: BTreeMap<Name, Name>,
    /// What ends the join phase.
    join_wait: Option<JoinWait>,
    /// Somebody new came during the first rebalance's delay.
    new_member_added: bool,
    /// What the members of the last generation want; `None` where the coordinator cannot tell.
    subscribed_topics: Option<Rc<BTreeSet<Name>>>,
}

/// A member of a classic group (`ClassicGroupMember`).
#[derive(Clone, Debug)]
pub struct Member {
    id: Name,
    instance_id: Option<Name>,
    client_id: Name,
    host: Name,
    session_timeout: Duration,
    rebalance_timeout: Duration,
    /// Assignors it can work with, the preferred one first, each with its subscription.
    protocols: Vec<(Name, Rc<Subscription>)>,
    assignment: Assignment,
    awaiting_join: Option<ReplyTo>,
    awaiting_sync: Option<ReplyTo>,
    /// It has not seen an answer to its first JoinGroup yet.
    is_new: bool,
}

/// From when on the retention of committed offsets counts (`OffsetExpirationCondition`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetExpiry {
    /// From the commit.
    SinceCommit,
    /// From when the group became empty, in milliseconds since 1970; where that is not known, from the commit.
    SinceEmpty(Option<i64>),
}

/// Where an answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    pub node: Node,
    pub correlation_id: u32,
}

impl ReplyTo {
    pub fn respond(self, response: Response, out: &mut Effects) {
        out.respond(self.node, self.correlation_id, response);
    }
}

/// What a group needs to act: the moment, the settings, and where what follows goes.
pub struct Turn<'a> {
    pub now: Instant,
    pub config: &'a BrokerConfig,
    pub rng: &'a mut Rng,
    pub out: &'a mut Effects,
    /// Records to write, in order.
    pub writes: &'a mut Vec<Write>,
}

/// Records that belong together, and what happens once they are committed, or cannot be.
#[derive(Clone, Debug)]
pub struct Write {
    /// Without any, it only waits for the writes before it.
    pub records: Vec<GroupRecord>,
    pub then: Then,
}

/// What a write was for.
#[derive(Clone, Debug)]
pub enum Then {
    /// Nobody waits for it.
    Nothing,
    /// An answer was waiting for it.
    Reply(ReplyTo, Response),
    /// The group is new; if it cannot be written it does not exist.
    NewGroup(Name),
    /// The leader's assignment of a generation.
    Assign { group: Name, generation: Generation, assignments: BTreeMap<Name, Assignment> },
    /// A static member came back under a new id.
    Replace { group: Name, replaced: Box<Replaced> },
    /// An administrator deletes groups.
    DeleteGroups { groups: Vec<Name>, reply: ReplyTo, response: DeleteGroupsResponse },
    /// A share group begins to read partitions: the share coordinator is told of them, and then the member answered.
    InitializeShare {
        group: Name,
        epoch: Generation,
        partitions: Vec<TopicPartition>,
        reply: ReplyTo,
        response: Response,
    },
    /// A group without members and offsets goes.
    Delete(Name),
    /// A group of the consumer protocol changes as soon as this is on the log.
    Consumer(Box<ConsumerWrite>),
}

/// What a group of the consumer protocol has decided.
#[derive(Clone, Debug)]
pub struct ConsumerWrite {
    pub group: Name,
    /// Told once it is on the log.
    pub facts: Vec<Fact>,
    /// Leaves once it is committed.
    pub reply: Option<(ReplyTo, Response)>,
}

/// A static member that came back while its group was Stable, and what it was before.
#[derive(Clone, Debug)]
pub struct Replaced {
    old: Name,
    new: Name,
    /// Who led the group before.
    leader: Option<Name>,
    /// Of the JoinGroup request.
    version: i16,
    session_timeout: Duration,
    rebalance_timeout: Duration,
    protocols: Vec<(Name, Rc<Subscription>)>,
}

impl Turn<'_> {
    fn write(&mut self, record: GroupRecord, then: Then) {
        self.writes.push(Write { records: vec![record], then });
    }
}

impl ClassicGroup {
    /// A group of that name, without members or history.
    pub fn new(id: Name) -> Self {
        Self {
            id,
            phase: GroupPhase::Empty,
            previous: GroupPhase::Dead,
            since: None,
            generation: Generation(0),
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            pending_joins: BTreeSet::new(),
            pending_syncs: BTreeSet::new(),
            static_members: BTreeMap::new(),
            join_wait: None,
            new_member_added: false,
            subscribed_topics: None,
        }
    }

    /// The group as its record says: Stable if it has members, else Empty (`GroupMetadataManager.replay`).
    pub fn load(id: Name, value: GroupMetadataValue) -> Self {
        let mut group = Self::new(id);
        group.phase = if value.members.is_empty() { GroupPhase::Empty } else { GroupPhase::Stable };
        group.generation = value.generation;
        group.protocol_type = Some(value.protocol_type).filter(|kind| !kind.is_empty());
        group.since = Some(value.current_state_timestamp).filter(|since| *since >= 0);
        for member in value.members {
            let member = Member::load(member, value.protocol.as_ref());
            if let Some(instance) = &member.instance_id {
                group.static_members.insert(instance.clone(), member.id.clone());
            }
            group.members.insert(member.id.clone(), member);
        }
        group.protocol = value.protocol;
        group.leader = value.leader;
        group.subscribed_topics = group.compute_subscribed_topics();
        group
    }

    pub fn id(&self) -> &Name {
        &self.id
    }

    pub fn phase(&self) -> GroupPhase {
        self.phase
    }

    /// Whether nobody is a member, or about to become one.
    pub fn is_vacant(&self) -> bool {
        self.phase == GroupPhase::Empty && self.pending_joins.is_empty()
    }

    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// What kind of groups its members make, mostly `consumer`; `None` until somebody joins.
    pub fn protocol_type(&self) -> Option<&Name> {
        self.protocol_type.as_ref()
    }

    /// The assignor in use.
    pub fn protocol(&self) -> Option<&Name> {
        self.protocol.as_ref()
    }

    pub fn leader(&self) -> Option<&Name> {
        self.leader.as_ref()
    }

    /// In the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// From when on the retention of its offsets counts (`offsetExpirationCondition`).
    ///
    /// | group | counted from |
    /// | --- | --- |
    /// | Empty | when it became empty |
    /// | Stable | the commit, for topics that no member wants any more |
    /// | never joined by anybody | the commit |
    /// | in a rebalance | never |
    pub fn offset_expiry(&self) -> Option<OffsetExpiry> {
        match self.phase {
            // It only keeps offsets that somebody committed.
            _ if self.protocol_type.is_none() => Some(OffsetExpiry::SinceCommit),
            GroupPhase::Empty => Some(OffsetExpiry::SinceEmpty(self.since)),
            GroupPhase::Stable if self.subscribed_topics.is_some() => Some(OffsetExpiry::SinceCommit),
            GroupPhase::Stable
            | GroupPhase::PreparingRebalance
            | GroupPhase::CompletingRebalance
            | GroupPhase::Dead => None,
        }
    }

    /// Whether a member of the last generation wants the topic. A group of consumers that has not come to a generation
    /// yet counts as wanting everything (`isSubscribedToTopic`).
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.is_of_consumers(),
        }
    }

    /// `computeSubscribedTopics`.
    fn compute_subscribed_topics(&self) -> Option<Rc<BTreeSet<Name>>> {
        if !self.is_of_consumers() {
            return None;
        }
        if self.members.is_empty() {
            return Some(Rc::default());
        }
        let protocol = self.protocol.as_ref()?;
        let subscriptions = self.members().filter_map(|member| member.subscription(protocol));
        Some(Rc::new(subscriptions.flat_map(|subscription| subscription.topics.iter().cloned()).collect()))
    }

    /// `usesConsumerGroupProtocol`.
    fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(Subscription::PROTOCOL_TYPE)
    }

    /// Whether its offsets may be deleted (`validateOffsetDelete`): of consumers, those of topics that none of them
    /// wants.
    pub fn validate_offset_delete(&self) -> Result<(), ErrorCode> {
        match self.phase {
            GroupPhase::Dead => Err(ErrorCode::GroupIdNotFound),
            GroupPhase::Empty => Ok(()),
            _ if self.is_of_consumers() => Ok(()),
            _ => Err(ErrorCode::NonEmptyGroup),
        }
    }

    /// Whether it may be deleted (`validateDeleteGroup`).
    pub fn validate_delete(&self) -> Result<(), ErrorCode> {
        match self.phase {
            GroupPhase::Dead => Err(ErrorCode::GroupIdNotFound),
            GroupPhase::Empty => Ok(()),
            _ => Err(ErrorCode::NonEmptyGroup),
        }
    }

    /// How `kafka-consumer-groups --describe` learns of the group. Assignments are shown in Stable only.
    pub fn describe(&self) -> DescribedGroup {
        let stable = self.phase == GroupPhase::Stable;
        let members = self.members().map(|member| DescribedMember {
            member_id: member.id.clone(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            host: member.host.clone(),
            assignment: if stable { member.assignment.clone() } else { Rc::from([]) },
        });
        DescribedGroup {
            error: ErrorCode::None,
            group: self.id.clone(),
            state: self.phase.name().into(),
            protocol_type: self.protocol_type.clone().unwrap_or_else(|| "".into()),
            protocol: self.protocol.clone().filter(|_| stable).unwrap_or_else(|| "".into()),
            members: members.collect(),
        }
    }

    /// Whether one of these protocols is one that all members can work with, and of the group's type
    /// (`supportsProtocols`).
    fn supports(&self, protocol_type: &Name, protocols: &[(Name, Rc<Subscription>)]) -> bool {
        if self.phase == GroupPhase::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_ref() == Some(protocol_type)
            && protocols.iter().any(|(name, _)| self.members.values().all(|member| member.subscription(name).is_some()))
    }

    /// The protocol with the most votes. Every member votes for the first on its list that all can work with
    /// (`selectProtocol`). Of several with as many votes Kafka takes the first in its hash table: sticky, range, roundrobin,
    /// cooperative-sticky.
    fn select_protocol(&self) -> Option<Name> {
        let everyone = |name: &Name| self.members.values().all(|member| member.subscription(name).is_some());
        let first = self.members.values().next()?;
        let common: BTreeSet<&Name> =
            first.protocols.iter().map(|(name, _)| name).filter(|name| everyone(name)).collect();
        let mut votes: BTreeMap<&Name, u32> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((choice, _)) = member.protocols.iter().find(|(name, _)| common.contains(name)) {
                *votes.entry(choice).or_default() += 1;
            }
        }
        let most = votes.into_iter().min_by_key(|(name, count)| (Reverse(*count), java_hash_bucket(name, 16)));
        most.map(|(name, _)| name.clone())
    }

    fn is_leader(&self, id: &Name) -> bool {
        self.leader.as_ref() == Some(id)
    }

    /// The group's record with these assignments, or those of now.
    fn record(&self, assignments: Option<&BTreeMap<Name, Assignment>>) -> GroupRecord {
        let assignment = |member: &Member| match assignments {
            Some(assignments) => assignments.get(&member.id).cloned().unwrap_or_else(|| Rc::from([])),
            None => member.assignment.clone(),
        };
        let protocol = self.protocol.as_ref();
        let members = self.members.values().map(|member| MemberMetadata {
            member_id: member.id.clone(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.host.clone(),
            rebalance_timeout: member.rebalance_timeout,
            session_timeout: member.session_timeout,
            subscription: protocol.and_then(|name| member.subscription(name)).cloned().unwrap_or_default(),
            assignment: assignment(member),
        });
        let value = GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_else(|| "".into()),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.since.unwrap_or(-1),
            members: members.collect(),
        };
        GroupRecord::Group { group: self.id.clone(), value: Some(value) }
    }

    /// The record that makes a new group known (`newEmptyGroupMetadataRecord`).
    pub fn empty_record(&self) -> GroupRecord {
        let value = GroupMetadataValue {
            protocol_type: "".into(),
            generation: Generation(0),
            protocol: None,
            leader: None,
            current_state_timestamp: self.since.unwrap_or(-1),
            members: Vec::new(),
        };
        GroupRecord::Group { group: self.id.clone(), value: Some(value) }
    }

    fn join_response(&self, id: &Name, knows_members: bool) -> JoinGroupResponse {
        let protocol = self.protocol.as_ref();
        let members = self.members.values().filter(|_| knows_members).map(|member| {
            let subscription = protocol.and_then(|name| member.subscription(name)).cloned().unwrap_or_default();
            (member.id.clone(), member.instance_id.clone(), subscription)
        });
        JoinGroupResponse {
            error: ErrorCode::None,
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_else(|| "".into()),
            member_id: id.clone(),
            skip_assignment: false,
            members: members.collect(),
        }
    }

    fn sync_response(&self, assignment: Assignment) -> SyncGroupResponse {
        SyncGroupResponse { error: ErrorCode::None, protocol: self.protocol.clone(), assignment }
    }

    /// The member has shown that it lives: its session starts anew.
    fn keep_session(&self, id: &Name, turn: &mut Turn) {
        if let Some(member) = self.members.get(id) {
            self.set_session(id, member.session_timeout, turn);
        }
    }

    fn set_session(&self, id: &Name, timeout: Duration, turn: &mut Turn) {
        if turn.config.makes(Mistake::SessionNeverEnds) {
            return;
        }
        let timer = Timer::GroupSession { group: self.id.clone(), member: id.clone() };
        turn.out.set_timer(turn.now + timeout, timer);
    }
}

impl Member {
    fn load(value: MemberMetadata, protocol: Option<&Name>) -> Self {
        let subscription = value.subscription;
        Self {
            id: value.member_id,
            instance_id: value.group_instance_id,
            client_id: value.client_id,
            host: value.client_host,
            session_timeout: value.session_timeout,
            rebalance_timeout: value.rebalance_timeout,
            protocols: protocol.map(|name| (name.clone(), subscription)).into_iter().collect(),
            assignment: value.assignment,
            awaiting_join: None,
            awaiting_sync: None,
            is_new: false,
        }
    }

    pub fn id(&self) -> &Name {
        &self.id
    }

    pub fn client_id(&self) -> &Name {
        &self.client_id
    }

    pub fn instance_id(&self) -> Option<&Name> {
        self.instance_id.as_ref()
    }

    /// The machine it runs on, as tools print it.
    pub fn host(&self) -> &Name {
        &self.host
    }

    pub fn session_timeout(&self) -> Duration {
        self.session_timeout
    }

    pub fn rebalance_timeout(&self) -> Duration {
        self.rebalance_timeout
    }

    /// Assignors it can work with, the preferred one first, each with its subscription.
    pub fn protocols(&self) -> &[(Name, Rc<Subscription>)] {
        &self.protocols
    }

    /// Its partitions in the current generation.
    pub fn assignment(&self) -> &[(Name, u32)] {
        &self.assignment
    }

    /// Whether its JoinGroup of the rebalance under way has come.
    pub fn has_joined(&self) -> bool {
        self.awaiting_join.is_some()
    }

    fn subscription(&self, protocol: &Name) -> Option<&Rc<Subscription>> {
        self.protocols.iter().find(|(name, _)| name == protocol).map(|(_, subscription)| subscription)
    }

    /// Whether it need not send heartbeats now: it waits for an answer of ours (`hasSatisfiedHeartbeat`).
    fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }
}

/// An answer to JoinGroup that lets nobody in.
pub fn join_error(error: ErrorCode, member_id: &Name) -> JoinGroupResponse {
    JoinGroupResponse {
        error,
        generation: Generation(-1),
        protocol: None,
        leader: "".into(),
        member_id: member_id.clone(),
        skip_assignment: false,
        members: Vec::new(),
    }
}

/// An answer to SyncGroup without an assignment.
pub fn sync_error(error: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse { error, protocol: None, assignment: Rc::from([]) }
}
