//! One group of the consumer protocol (KIP-848), as its coordinator keeps it (`ConsumerGroup`, and the
//! `consumerGroup…` methods of `GroupMetadataManager`).
//!
//! There is one request, a heartbeat, and no moment at which everybody waits. The coordinator itself works out who is to
//! read what, and leads each member there by its own pace. Three epochs say how far everything is:
//!
//! | epoch | rises when |
//! | --- | --- |
//! | group epoch | a member comes, goes or subscribes to other topics; a subscribed topic changes |
//! | assignment epoch | the target assignment is worked out for a group epoch |
//! | member epoch | a member has given up what it must, and may have what is free of its target |
//!
//! | state | what it means |
//! | --- | --- |
//! | Empty | no members |
//! | Assigning | the target is of an older epoch than the group |
//! | Reconciling | some member is not where the target wants it |
//! | Stable | everybody is |
//! | Dead | gone |
//!
//! A heartbeat is worked on in four steps ([`heartbeat`]): the member's subscription, the group epoch, the target
//! ([`target`]), and the member's own next step ([`reconcile`]). All that is decided is written as records; the group
//! changes when they are on the log ([`replay`]), and the answer leaves when they are committed. Whatever was not
//! answered can be said again: the coordinator takes the previous epoch, too, from a member that claims nothing more
//! than it was given.
//!
//! Two deadlines: a member that is not heard of for `group.consumer.session.timeout.ms` is out, and so is one that takes
//! longer than its `max.poll.interval.ms` to give up partitions.
//!
//! What we leave out: settings of single groups (`kafka-configs --entity-type groups`), the assignor on a thread of its
//! own (`group.consumer.assignor.offload.enable`), members that let the coordinator make up their id (version 0), and
//! the very function that Kafka hashes a topic's metadata with. Groups are described as they are, committed or not.

mod classic;
mod heartbeat;
mod offsets;
mod reconcile;
mod regex;
mod replay;
mod target;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

pub use self::classic::upgraded;
pub use self::heartbeat::check;
pub use self::reconcile::{Reconciliation, Standing};
pub use self::replay::ResolvedRegex;
pub use self::target::topics_hash;
use super::assignor::{Assignments, Member as AssignorMember, Topics};
use super::config::{BrokerConfig, ServerAssignor};
use super::effects::{Effects, Timer};
use super::error::ErrorCode;
use super::fact::{Fact, ModernGroupPhase, ReconciliationState};
use super::group_log::ConsumerRecord;
use super::ids::{Generation, Name, TopicId, TopicPartition};
use super::message::Subscription;
use super::message::consumer_group::{DescribedConsumerGroup, DescribedConsumerMember};
use super::metadata::MetadataImage;
use super::mistakes::Mistake;
use crate::time::{Duration, Instant};

/// Partitions of a member, each with the epoch in which the member was given it.
pub type Epochs = BTreeMap<TopicPartition, Generation>;

/// A group of the consumer protocol.
#[derive(Clone, Debug)]
pub struct ConsumerGroup {
    id: Name,
    epoch: Generation,
    /// Of everything that the assignment depends on besides the members.
    metadata_hash: i64,
    assignment_epoch: Generation,
    /// When the target was worked out, in milliseconds since 1970; 0 if that is not known.
    assignment_timestamp: i64,
    members: BTreeMap<Name, Rc<Member>>,
    /// Member id by instance id.
    static_members: BTreeMap<Name, Name>,
    target: BTreeMap<Name, Rc<BTreeSet<TopicPartition>>>,
    /// Who holds a partition holds it in this epoch.
    held: BTreeMap<TopicPartition, Generation>,
    regexes: BTreeMap<Name, ResolvedRegex>,
    phase: ModernGroupPhase,
    /// The topics are known as of that group epoch; `None` once they may have changed.
    metadata_seen: Option<Generation>,
    /// Classic members that were told to join again.
    expected: BTreeSet<Name>,
}

/// A member of a group of the consumer protocol (`ConsumerGroupMember`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    id: Name,
    standing: Standing,
    instance_id: Option<Name>,
    rack: Option<Name>,
    client_id: Name,
    host: Name,
    /// `None` until it has told.
    rebalance_timeout: Option<Duration>,
    topics: Rc<BTreeSet<Name>>,
    regex: Option<Name>,
    server_assignor: Option<Name>,
    /// Set where it speaks the classic protocol.
    classic: Option<Rc<ClassicMember>>,
}

/// What a member of the classic protocol has said besides (`ClassicMemberMetadata`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicMember {
    pub session_timeout: Duration,
    /// Supported assignors, the preferred one first, each with its subscription.
    pub protocols: Vec<(Name, Rc<Subscription>)>,
}

/// Shares partitions among members, as [`Assignor::assign`](super::assignor::Assignor::assign) does.
pub type Assign = dyn Fn(ServerAssignor, &Topics, &[AssignorMember]) -> Assignments;

/// What a group needs to decide: the moment, the settings, the topics, and where deadlines go.
pub struct Turn<'a> {
    pub now: Instant,
    pub config: &'a BrokerConfig,
    pub image: &'a MetadataImage,
    pub assign: &'a Assign,
    pub out: &'a mut Effects,
}

/// What has been decided: records to write, and what is to be told once they are on the log.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub records: Vec<ConsumerRecord>,
    pub facts: Vec<Fact>,
}

impl ConsumerGroup {
    /// A group of that name, without members or history. Groups begin at epoch 1 since Kafka 4.3.
    pub fn new(id: Name) -> Self {
        Self {
            id,
            epoch: Generation(1),
            metadata_hash: 0,
            assignment_epoch: Generation(0),
            assignment_timestamp: 0,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            target: BTreeMap::new(),
            held: BTreeMap::new(),
            regexes: BTreeMap::new(),
            phase: ModernGroupPhase::Empty,
            metadata_seen: None,
            expected: BTreeSet::new(),
        }
    }

    pub fn id(&self) -> &Name {
        &self.id
    }

    pub fn phase(&self) -> ModernGroupPhase {
        self.phase
    }

    pub fn epoch(&self) -> Generation {
        self.epoch
    }

    /// The group epoch that the target was worked out for.
    pub fn assignment_epoch(&self) -> Generation {
        self.assignment_epoch
    }

    /// In the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values().map(Rc::as_ref)
    }

    pub fn member(&self, id: &str) -> Option<&Member> {
        self.members.get(id).map(Rc::as_ref)
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// What a member is to have.
    pub fn target_of(&self, member: &str) -> impl Iterator<Item = TopicPartition> {
        self.target.get(member).into_iter().flat_map(|target| target.iter().copied())
    }

    /// Whether a member wants the topic, by its name or by an expression.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        self.members().any(|member| self.topics_of(member).any(|name| &**name == topic))
    }

    /// The assignor that most members want (`preferredServerAssignor`), else the first of `group.consumer.assignors`.
    pub fn assignor(&self, config: &BrokerConfig) -> ServerAssignor {
        preferred_assignor(self.members(), self.members(), config)
    }

    /// How `kafka-consumer-groups --describe` learns of the group (`asDescribedGroup`).
    pub fn describe(&self, config: &BrokerConfig, image: &MetadataImage) -> DescribedConsumerGroup {
        let members = self.members().map(|member| {
            let standing = &member.standing;
            let mut assignment: BTreeSet<TopicPartition> = standing.assigned.keys().copied().collect();
            assignment.extend(standing.revoking.keys().copied());
            DescribedConsumerMember {
                member_id: member.id.clone(),
                instance_id: member.instance_id.clone(),
                rack: member.rack.clone(),
                epoch: standing.epoch,
                client_id: member.client_id.clone(),
                host: member.host.clone(),
                topics: member.topics.iter().cloned().collect(),
                regex: member.regex.clone(),
                assignment: named(image, assignment),
                target: named(image, self.target_of(&member.id)),
                is_classic: member.classic.is_some(),
            }
        });
        DescribedConsumerGroup {
            error: ErrorCode::None,
            group: self.id.clone(),
            state: self.phase.name().into(),
            epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            assignor: self.assignor(config).name().into(),
            members: members.collect(),
        }
    }

    /// After loading, every member has a whole session to be heard of, and whoever was giving something up a whole
    /// rebalance timeout (`onLoaded`).
    pub fn loaded(&self, turn: &mut Turn) {
        for member in self.members() {
            self.keep_session(member, turn);
            self.watch_revocation(member, turn);
        }
    }

    /// This broker is not the coordinator any more: all deadlines go.
    pub fn unload(&self, out: &mut Effects) {
        self.members().for_each(|member| self.cancel_timers(&member.id, out));
    }

    /// The member's session starts anew.
    fn keep_session(&self, member: &Member, turn: &mut Turn) {
        if turn.config.makes(Mistake::SessionNeverEnds) {
            return;
        }
        let timeout = turn.config.group_consumer_session_timeout;
        let timeout = member.classic.as_ref().map_or(timeout, |classic| classic.session_timeout);
        turn.out.set_timer(turn.now + timeout, self.session_timer(&member.id));
    }

    /// Whoever has partitions to give up has its rebalance timeout to do so.
    fn watch_revocation(&self, member: &Member, turn: &mut Turn) {
        let (group, id) = (self.id.clone(), member.id.clone());
        let timer = Timer::ConsumerGroupRevocation { group, member: id };
        match member.rebalance_timeout {
            Some(timeout) if member.is_revoking() && member.classic.is_none() => {
                turn.out.set_timer(turn.now + timeout, timer);
            }
            // What classic members have to do by then is theirs to count.
            _ if member.classic.is_some() => {}
            _ => turn.out.cancel_timer(timer),
        }
    }

    fn cancel_timers(&self, member: &Name, out: &mut Effects) {
        out.cancel_timer(self.session_timer(member));
        out.cancel_timer(Timer::ConsumerGroupRevocation { group: self.id.clone(), member: member.clone() });
    }

    fn session_timer(&self, member: &Name) -> Timer {
        Timer::ConsumerGroupSession { group: self.id.clone(), member: member.clone() }
    }

    fn find(&self, member: &str) -> Result<&Rc<Member>, ErrorCode> {
        self.members.get(member).ok_or(ErrorCode::UnknownMemberId)
    }
}

impl Member {
    /// A member that has said nothing yet.
    fn new(id: Name) -> Self {
        Self {
            id,
            standing: Standing::default(),
            instance_id: None,
            rack: None,
            client_id: "".into(),
            host: "".into(),
            rebalance_timeout: None,
            topics: Rc::default(),
            regex: None,
            server_assignor: None,
            classic: None,
        }
    }

    pub fn id(&self) -> &Name {
        &self.id
    }

    pub fn client_id(&self) -> &Name {
        &self.client_id
    }

    pub fn epoch(&self) -> Generation {
        self.standing.epoch
    }

    /// Its epochs, its state, what it may read and what it is to give up.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The partitions it may read.
    pub fn assigned(&self) -> impl Iterator<Item = TopicPartition> {
        self.standing.assigned.keys().copied()
    }

    /// Whether it has partitions to give up.
    pub fn is_revoking(&self) -> bool {
        self.standing.state == Some(ReconciliationState::UnrevokedPartitions)
    }

    fn subscribed_regex(&self) -> Option<&Name> {
        self.regex.as_ref().filter(|regex| !regex.is_empty())
    }
}

/// The assignor with the most votes; members that want none have no vote (`computePreferredServerAssignor`).
///
/// Of two with as many votes Kafka takes the first in a hash table that it copies from the group's own. That one lists
/// uniform before range; what nobody there has voted for comes behind both, as the vote of the member that is heard now.
fn preferred_assignor<'a>(
    before: impl Iterator<Item = &'a Member>,
    members: impl Iterator<Item = &'a Member>,
    config: &BrokerConfig,
) -> ServerAssignor {
    let wanted = |member: &Member| config.group_consumer_assignors.find(member.server_assignor.as_ref()?);
    let known: BTreeSet<ServerAssignor> = before.filter_map(wanted).collect();
    let mut votes: BTreeMap<ServerAssignor, u32> = BTreeMap::new();
    for assignor in members.filter_map(wanted) {
        *votes.entry(assignor).or_default() += 1;
    }
    let chosen =
        votes.into_iter().min_by_key(|(assignor, count)| (Reverse(*count), !known.contains(assignor), *assignor));
    chosen.map_or(config.group_consumer_assignors.first(), |(assignor, _)| assignor)
}

/// Partitions by the names of their topics; those of topics that are no more are left out.
fn named(image: &MetadataImage, partitions: impl IntoIterator<Item = TopicPartition>) -> Vec<(Name, u32)> {
    let named = |at: TopicPartition| Some((image.topics.get(&at.topic)?.name.clone(), at.partition));
    partitions.into_iter().filter_map(named).collect()
}

/// The topics of these names that exist.
fn ids_of<'a>(image: &MetadataImage, names: impl Iterator<Item = &'a Name>) -> BTreeSet<TopicId> {
    names.filter_map(|name| image.topic_ids.get(name).copied()).collect()
}
