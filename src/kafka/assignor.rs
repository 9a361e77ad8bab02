//! Assignors: which member of a group reads which partitions.
//!
//! A client-side assignor runs in the member that leads its group, on what every member said when it joined. Each one
//! is a pure function of topics and members, in a file of its own.
//!
//! What we leave out: round robin, sticky, cooperative sticky, and the assignors of the KIP-848 coordinator.

mod range;

use std::collections::BTreeMap;
use std::rc::Rc;

use super::ids::Name;
use super::message::Subscription;

/// A way to share partitions among members, by the name it has in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assignor {
    /// `RangeAssignor`: topic by topic, a stretch of neighbouring partitions for each member.
    Range,
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
/// partition, where the assignor itself gives no order.
pub type Assignments = BTreeMap<Name, Vec<(Name, u32)>>;

impl Assignor {
    /// All there are.
    pub const ALL: &'static [Self] = &[Self::Range];

    /// The assignor of that name in the protocol.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|assignor| assignor.name() == name)
    }

    /// Its name in the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
        }
    }

    /// Shares the partitions of `topics` among `members`. A topic that is not in `topics` is passed over, as one whose
    /// metadata is missing.
    pub fn assign(self, topics: &Topics, members: &[Member]) -> Assignments {
        match self {
            Self::Range => range::assign(topics, members),
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

/// The members in the order in which assignors go through them: static ones by instance id, then dynamic ones by
/// member id (`AbstractPartitionAssignor.MemberInfo.compareTo`).
fn in_member_order(members: &[Member]) -> Vec<&Member> {
    let mut ordered: Vec<&Member> = members.iter().collect();
    ordered.sort_by(|a, b| match (&a.instance_id, &b.instance_id) {
        (Some(a), Some(b)) => java_order(a, b),
        (None, None) => java_order(&a.id, &b.id),
        (a, b) => b.is_some().cmp(&a.is_some()),
    });
    ordered
}

/// Java's `String.compareTo`: by UTF-16 code units.
fn java_order(a: &str, b: &str) -> std::cmp::Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}
