//! What stands on the stage: every node with what it holds, and every message between them.
//!
//! Names, states and counts are worked out here, so that painting asks no questions. Where things stand is
//! [`crate::scene::layout`]'s.

use std::rc::Rc;

use super::marks::Mark;
use crate::kafka::ids::{Node, Offset, TopicPartition};
use crate::time::Instant;

/// One moment, ready to be laid out and painted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stage {
    pub now: Instant,
    /// Shared: what is costly to read stays for several moments.
    pub cast: Rc<Cast>,
    pub messages: Vec<Flight>,
}

/// Everything on the stage that stands still between two events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cast {
    pub producers: Vec<ProducerCard>,
    /// Kafka's own tools, while they run.
    pub tools: Vec<ToolCard>,
    pub controllers: Vec<ControllerCard>,
    pub brokers: Vec<BrokerCard>,
    pub groups: Vec<GroupFrame>,
    /// The znodes worth showing; none without ZooKeeper.
    pub znodes: Vec<ZnodeLine>,
    pub ailing: Ailing,
    /// Connections that stand even while nothing travels on them.
    pub links: Vec<Link>,
}

impl Cast {
    /// Every node, in the order one reads the stage, with its name and how it fares.
    pub fn nodes(&self) -> impl Iterator<Item = (Node, &str, Health)> {
        let producers = self.producers.iter().map(|card| (card.node, card.name.as_str(), card.health));
        let tools = self.tools.iter().map(|card| (card.node, card.name.as_str(), Health::Running));
        let controllers = self.controllers.iter().map(|card| (card.node, card.name.as_str(), card.health));
        let brokers = self.brokers.iter().map(|card| (card.node, card.name.as_str(), card.health));
        let consumers = self.groups.iter().flat_map(|group| &group.members);
        let consumers = consumers.map(|card| (card.node, card.name.as_str(), card.health));
        producers.chain(tools).chain(controllers).chain(brokers).chain(consumers)
    }
}

/// How many partitions of ordinary topics are not as they should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ailing {
    /// Fewer in sync than there are replicas.
    pub under_replicated: u32,
    /// Fewer in sync than `min.insync.replicas`: `acks=all` is refused.
    pub under_min_isr: u32,
    /// Without a leader.
    pub offline: u32,
    /// Partitions of internal topics without a leader.
    pub internal_offline: u32,
    /// Nobody leads the metadata quorum.
    pub no_controller: bool,
}

/// A znode, as it is shown beside the ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZnodeLine {
    pub path: String,
    /// `→ broker-2`, where that is known.
    pub value: String,
    pub ephemeral: bool,
}

/// How a node fares, as the picture shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    #[default]
    Running,
    Starting,
    Stopping,
    /// Frozen, as in a long pause of its garbage collector.
    Paused,
    /// Alive, but the controller does not count on it.
    Fenced,
    Down,
}

impl Health {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Paused => "paused",
            Self::Fenced => "fenced",
            Self::Down => "down",
        }
    }
}

/// A producer.
#[derive(Clone, Debug, PartialEq)]
pub struct ProducerCard {
    pub node: Node,
    pub name: String,
    pub health: Health,
    /// What it does, in a few words: `1 record/s · acks=all`.
    pub line: String,
    pub sent: u64,
    pub acked: u64,
    pub failed: u64,
    /// Handed to send() and not yet reported back.
    pub open: u64,
}

/// A command line tool at work.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCard {
    pub node: Node,
    pub name: String,
}

/// A voter of the metadata quorum, or a server of the ZooKeeper ensemble.
#[derive(Clone, Debug, PartialEq)]
pub struct ControllerCard {
    pub node: Node,
    pub name: String,
    pub health: Health,
    /// `leader · epoch 1`, `follower`.
    pub role: String,
    pub active: bool,
    /// It looks for a leader, or asks to become one.
    pub electing: bool,
    /// Votes it has and votes it needs, while it asks for them.
    pub votes: Option<(u32, u32)>,
}

/// A broker and the replicas it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerCard {
    pub node: Node,
    pub name: String,
    pub health: Health,
    /// `running · leads 2`, `down · fenced at 13.6 s`.
    pub status: String,
    /// Something that a person should look at.
    pub alarming: bool,
    pub rack: Option<String>,
    /// It is the controller and still reads so many partitions' states out of ZooKeeper.
    pub loading: Option<u32>,
    /// Its replicas of ordinary topics.
    pub strips: Vec<Strip>,
    /// Its replicas of internal topics: how many it holds, and how many of them it leads.
    pub internal: (u32, u32),
}

/// One replica's log.
#[derive(Clone, Debug, PartialEq)]
pub struct Strip {
    pub partition: TopicPartition,
    /// `orders-0`.
    pub label: String,
    pub leader: bool,
    /// In the ISR, as the controller has it.
    pub in_sync: bool,
    pub log_start: Offset,
    pub log_end: Offset,
    pub high_watermark: Offset,
    /// The newest records, in offset order.
    pub cells: Vec<Cell>,
    /// Where leader epochs begin, in offset order.
    pub epochs: Vec<(Offset, i32)>,
    /// Not in sync, yet it has everything committed and may lead (ELR, KIP-966).
    pub eligible: bool,
    /// What ails the whole partition.
    pub trouble: Trouble,
    /// A reassignment brings this replica, or takes it away.
    pub moving: Option<Moving>,
    /// Records that were cut off a moment ago.
    pub fallen: Vec<Fallen>,
    /// Records that members of share groups have, and nobody else may get: the first and the last offset of each run.
    pub held: Vec<(Offset, Offset)>,
    /// Records before it are on the disk; from it on they are in the page cache alone.
    pub flushed: Offset,
    /// Where segments begin, the first one not counted.
    pub segments: Vec<Offset>,
}

/// What ails a partition, from bad to worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trouble {
    #[default]
    None,
    UnderReplicated,
    UnderMinIsr,
    Offline,
}

/// What a reassignment does to a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moving {
    Coming,
    Going,
}

/// A record that is no longer in the log, on its way down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fallen {
    pub cell: Cell,
    /// How far it has fallen, 0 to 1.
    pub part: f32,
}

/// One record in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub offset: Offset,
    pub mark: Mark,
    /// A record without a value.
    pub tombstone: bool,
    /// A transaction marker or another record that applications never see.
    pub control: bool,
}

/// A consumer group, or a consumer that reads without one.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupFrame {
    pub name: String,
    /// Kafka's name of its state: `Stable`.
    pub state: String,
    /// A rebalance is going on.
    pub rebalancing: bool,
    /// How far the rebalance has come, 0 to 1, where that can be told.
    pub progress: Option<f32>,
    /// `generation 1 · range`.
    pub line: String,
    /// Records between the committed offsets and the log ends.
    pub lag: u64,
    /// Those of them that no member has fetched yet; the rest only waits for a commit.
    pub unread: u64,
    /// Partitions that nobody may read now, and how many there are.
    pub stopped: (u32, u32),
    /// Where its coordinator is, once it has one.
    pub coordinator: Option<Node>,
    pub members: Vec<ConsumerCard>,
}

/// A consumer.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerCard {
    pub node: Node,
    pub name: String,
    pub health: Health,
    pub chips: Vec<Chip>,
    /// `works on Key-1 · 12 / 20 ms`, `waits`.
    pub doing: String,
    /// What it works on now.
    pub mark: Option<Mark>,
    /// How far that work has come, 0 to 1.
    pub progress: Option<f32>,
    pub processed: u64,
    /// Records in its fetch buffer, not yet handed to the application.
    pub buffered: u64,
}

/// A partition that a consumer reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Chip {
    pub partition: TopicPartition,
    pub label: String,
    /// Nobody may read it now.
    pub stopped: bool,
}

/// A standing connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub from: Node,
    pub to: Node,
    pub state: LinkState,
}

/// How a connection fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkState {
    Open,
    /// One of its ends is down.
    Dead,
    /// A cut lies across it.
    Cut,
    /// What its first end sends to its second is stopped; the other way is open.
    CutThere,
    /// The other way round.
    CutBack,
    /// Slower than the rest of the network, or it loses messages.
    Slow,
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Flight {
    pub id: u64,
    pub from: Node,
    pub to: Node,
    pub sent: Instant,
    pub due: Instant,
    pub kind: FlightKind,
    /// The request's name in Kafka's protocol.
    pub label: &'static str,
    /// Records it carries.
    pub records: u32,
    /// Marks of the first of them.
    pub marks: [Option<Mark>; 3],
}

impl FlightKind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Records, Self::Ask, Self::Reply, Self::Error, Self::Control, Self::Ballot, Self::Pulse];

    /// What a person calls it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Records => "Records",
            Self::Ask => "Requests for records",
            Self::Reply => "Replies",
            Self::Error => "Errors",
            Self::Control => "Groups, metadata and control",
            Self::Ballot => "Votes and elections",
            Self::Pulse => "Heartbeats and empty fetches",
        }
    }
}

/// What a message looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlightKind {
    /// Records on their way: a pill.
    Records,
    /// A request for records: a hollow dot.
    Ask,
    /// A reply without records: a small tick.
    Reply,
    /// A reply that carries an error; its name is the label.
    Error,
    /// Group, quorum and metadata traffic: a small labelled shape.
    Control,
    /// Votes, and news of who leads the quorum.
    Ballot,
    /// Heartbeats and empty fetches: faint.
    Pulse,
}
