//! Who and what: the ids that messages and facts carry. Two numbers of one type get swapped; two types cannot.

use std::fmt;
use std::rc::Rc;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

id!(
    /// `node.id` of a broker.
    BrokerId(i32)
);
id!(
    /// `node.id` of a KRaft voter; they count from 101.
    ControllerId(i32)
);
id!(
    /// `server.N` of a ZooKeeper ensemble (its `myid`); they count from 1.
    ZooKeeperId(i32)
);
id!(
    /// A client (producer, consumer or tool), by its place in the world's registry of names.
    ClientId(u32)
);
id!(
    /// A topic, by the order of creation. It is never used again, so a topic deleted and created anew has another one,
    /// as Kafka's topic ids (KIP-516).
    TopicId(u32)
);
id!(
    /// Counts the leaders of a partition, or of the metadata quorum (KIP-101).
    LeaderEpoch(i32)
);
id!(
    /// Counts every change of a partition's state in the metadata log; AlterPartition is fenced by it.
    PartitionEpoch(i32)
);
id!(
    /// One registration of a broker: the offset of its record in the metadata log (KIP-631).
    BrokerEpoch(i64)
);
id!(
    /// Counts the completed rebalances of a classic group.
    Generation(i32)
);

/// A place in a partition's log. -1 where Kafka's protocol says "unknown".
pub type Offset = i64;

/// A group's `group.id`, a topic's name, a member id: shared, never copied.
pub type Name = Rc<str>;

/// One machine of the simulated world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    Controller(ControllerId),
    /// A server of the ZooKeeper ensemble that Kafka up to 3.9 kept its metadata in.
    ZooKeeper(ZooKeeperId),
    Broker(BrokerId),
    Producer(ClientId),
    Consumer(ClientId),
    /// One of Kafka's command line tools, running.
    Tool(ClientId),
}

impl Node {
    /// The client id, where this is a client.
    pub fn client(self) -> Option<ClientId> {
        match self {
            Self::Producer(id) | Self::Consumer(id) | Self::Tool(id) => Some(id),
            Self::Controller(_) | Self::ZooKeeper(_) | Self::Broker(_) => None,
        }
    }

    /// The broker id, where this is a broker.
    pub fn broker(self) -> Option<BrokerId> {
        if let Self::Broker(id) = self { Some(id) } else { None }
    }
}

/// One partition of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: TopicId,
    pub partition: u32,
}

impl TopicPartition {
    pub const fn new(topic: TopicId, partition: u32) -> Self {
        Self { topic, partition }
    }
}

/// Which of a producer's records these are: of all records it sent to the partition, `count` from the `first` on.
///
/// The tag travels beside a batch, like a tracing header. The books and the picture read it; no machine decides by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    pub producer: ClientId,
    pub first: u64,
    pub count: u32,
}

/// The topic of the metadata quorum; it has no topic id in the metadata it carries.
pub const METADATA_TOPIC: &str = "__cluster_metadata";
/// Where group coordinators keep their state.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// Where share coordinators keep the state of share groups.
pub const SHARE_STATE_TOPIC: &str = "__share_group_state";

/// Whether a topic is one of those that coordinators keep their state in (`Topic.isInternal`).
pub fn is_internal_topic(name: &str) -> bool {
    [OFFSETS_TOPIC, SHARE_STATE_TOPIC].contains(&name)
}

/// The voters of the metadata quorum, as every node has them configured (`controller.quorum.voters`).
pub type Voters = Rc<[ControllerId]>;
