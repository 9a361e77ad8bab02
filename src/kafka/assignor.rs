//! Assignors: which member of a group reads which partitions.
//!
//! | assignor | where it runs | how it shares |
//! | --- | --- | --- |
//! | range | the member that leads | topic by topic, neighbouring partitions |
//! | round robin | the member that leads | all partitions in turn, like cards |
//! | sticky | the member that leads | evenly, and everybody keeps what they had as far as that goes |
//! | cooperative sticky | the member that leads | the same, but what changes hands waits a rebalance until it is free |
//! | range, uniform (KIP-848) | the coordinator | as range; as sticky, on the targets of before |
//!
//! Each one is a pure function of topics and members, in a file of its own. What a member had before comes with its
//! subscription: as user data (sticky), as owned partitions (cooperative sticky), or, at the coordinator, its target of
//! before in the place of what it owns (uniform).
//!
//! Where Kafka goes through a hash map of members, these go in the order in which the members are given; where it goes
//! through one of topics, by name. A real cluster may come to another answer that is as good.
//!
//! What we leave out: the assignors of share groups and of Streams, and assignors of one's own.

mod group;
mod range;
mod round_robin;
mod server_range;
mod sticky;
#[cfg(test)]
mod tests;
mod uniform;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use self::group::Group;
use super::config::AssignmentStrategy;
use super::ids::{Generation, Name};
use super::message::{Subscription, UserData};

/// A way to share partitions among members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assignor {
    /// `RangeAssignor`: topic by topic, a stretch of neighbouring partitions for each member.
    Range,
    /// `RoundRobinAssignor`: all partitions in turn to all members in turn.
    RoundRobin,
    /// `StickyAssignor`: evenly, with as few moves as that takes.
    Sticky,
    /// `CooperativeStickyAssignor`: sticky, and a partition that moves is first taken from its owner, and given to
    /// another only by the next rebalance.
    CooperativeSticky,
    /// The coordinator's `RangeAssignor` (KIP-848).
    ServerRange,
    /// The coordinator's `UniformAssignor` (KIP-848): evenly, with as few moves as that takes.
    ServerUniform,
}

/// A member of the group, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: Name,
    /// `group.instance.id` (KIP-345).
    pub instance_id: Option<Name>,
    /// Topics, partitions owned so far, rack.
    pub subscription: Rc<Subscription>,
}

/// A topic's partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topic {
    pub partitions: u32,
    /// For each partition the racks of its replicas; empty, or shorter than the partitions, where they are not known.
    pub replica_racks: Vec<Vec<Name>>,
}

/// The topics that have metadata, by name.
pub type Topics = BTreeMap<Name, Topic>;

/// The partitions of each member, by member id; a member that gets none is there with none. Sorted by topic, then by
/// partition.
pub type Assignments = BTreeMap<Name, Vec<(Name, u32)>>;

impl Assignor {
    /// All there are.
    pub const ALL: &'static [Self] =
        &[Self::Range, Self::RoundRobin, Self::Sticky, Self::CooperativeSticky, Self::ServerRange, Self::ServerUniform];

    /// The assignor that is called so here (see [`Self::name`]); for the client's, that is its name in the protocol.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|assignor| assignor.name() == name)
    }

    /// The coordinator's assignor of that name in the protocol (`group.consumer.assignors`).
    pub fn on_server(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|assignor| assignor.is_on_server() && assignor.protocol_name() == name)
    }

    /// Its name, which tells the coordinator's assignors from the client's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
            Self::CooperativeSticky => "cooperative-sticky",
            Self::ServerRange => "server-range",
            Self::ServerUniform => "server-uniform",
        }
    }

    /// Its name in the protocol.
    pub const fn protocol_name(self) -> &'static str {
        match self {
            Self::ServerRange => "range",
            Self::ServerUniform => "uniform",
            client => client.name(),
        }
    }

    /// Whether the coordinator runs it (KIP-848), and not the member that leads.
    pub const fn is_on_server(self) -> bool {
        matches!(self, Self::ServerRange | Self::ServerUniform)
    }

    /// Whether members keep what they have during a rebalance (`RebalanceProtocol.COOPERATIVE`). With the others they give
    /// everything up before it; those of the coordinator know no such rebalance.
    pub const fn is_cooperative(self) -> bool {
        matches!(self, Self::CooperativeSticky)
    }

    /// Shares the partitions of `topics` among `members`. A topic that is not in `topics` is passed over, as one whose
    /// metadata is missing. The order of the members counts with the sticky assignors and the uniform one, as to who of
    /// those with equal claims may keep one partition more.
    pub fn assign(self, topics: &Topics, members: &[Member]) -> Assignments {
        match self {
            Self::Range => range::assign(topics, members),
            Self::RoundRobin => round_robin::assign(&Group::by_id(topics, members)),
            Self::Sticky => sticky::assign(&Group::by_id(topics, members)),
            Self::CooperativeSticky => sticky::assign_cooperatively(&Group::by_id(topics, members)),
            Self::ServerRange => server_range::assign(&Group::by_id(topics, members)),
            Self::ServerUniform => uniform::assign(&Group::new(topics, members.iter().collect())),
        }
    }
}

impl From<AssignmentStrategy> for Assignor {
    fn from(strategy: AssignmentStrategy) -> Self {
        match strategy {
            AssignmentStrategy::Range => Self::Range,
            AssignmentStrategy::RoundRobin => Self::RoundRobin,
            AssignmentStrategy::Sticky => Self::Sticky,
            AssignmentStrategy::CooperativeSticky => Self::CooperativeSticky,
        }
    }
}

impl Topic {
    /// A topic of that many partitions whose replicas' racks are not known.
    pub fn of(partitions: u32) -> Self {
        Self { partitions, replica_racks: Vec::new() }
    }

    /// The racks of one partition's replicas.
    fn racks_of(&self, partition: u32) -> &[Name] {
        self.replica_racks.get(partition as usize).map_or(&[], Vec::as_slice)
    }
}

/// As a JoinGroup response lists them.
impl From<&(Name, Option<Name>, Rc<Subscription>)> for Member {
    fn from((id, instance_id, subscription): &(Name, Option<Name>, Rc<Subscription>)) -> Self {
        Self { id: id.clone(), instance_id: instance_id.clone(), subscription: subscription.clone() }
    }
}

impl Member {
    /// A dynamic member that owns nothing.
    pub fn new(id: &str, topics: impl IntoIterator<Item = Name>) -> Self {
        let subscription = Subscription { topics: topics.into_iter().collect(), ..Subscription::default() };
        Self { id: id.into(), instance_id: None, subscription: Rc::new(subscription) }
    }

    /// The member, saying that it had these partitions in every way that an assignor may listen to.
    pub fn owning(mut self, partitions: Vec<(Name, u32)>, generation: Option<Generation>) -> Self {
        let subscription = Rc::make_mut(&mut self.subscription);
        subscription.user_data = Some(UserData::Sticky { partitions: partitions.clone(), generation });
        subscription.owned_partitions = partitions;
        subscription.generation = generation;
        self
    }

    /// `client.rack`; an empty one is none.
    fn rack(&self) -> Option<&Name> {
        self.subscription.rack.as_ref().filter(|rack| !rack.is_empty())
    }
}

/// The order in which assignors go through members: static ones by instance id, then dynamic ones by member id
/// (`AbstractPartitionAssignor.MemberInfo.compareTo`).
fn member_order(a: &Member, b: &Member) -> Ordering {
    match (&a.instance_id, &b.instance_id) {
        (Some(a), Some(b)) => java_order(a, b),
        (None, None) => java_order(&a.id, &b.id),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

fn in_member_order(members: &[Member]) -> Vec<&Member> {
    let mut ordered: Vec<&Member> = members.iter().collect();
    ordered.sort_by(|a, b| member_order(a, b));
    ordered
}

/// Java's `String.compareTo`: by UTF-16 code units.
fn java_order(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}
