//! The trace: every fact of a run, stamped, printed as one line, and hashed.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hash::{Hash, Hasher};

use crate::kafka::effects::Timer;
use crate::kafka::fact::{DropReason, Fact, NodeState};
use crate::kafka::ids::{BrokerId, Name, Node, TopicId, TopicPartition};
use crate::time::Instant;

/// A fact with its place in the run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stamped {
    /// Counts the facts of a run from 1.
    pub id: u64,
    /// The fact whose message, timer or command led to this one; 0 for none.
    pub cause: u64,
    pub at: Instant,
    /// Where it happened; `None` for the world itself.
    pub node: Option<Node>,
    pub fact: Fact,
}

/// A hash over facts that is the same on every machine: FNV-1a over fixed-width little-endian words.
///
/// `usize` and `isize` are hashed as 64 bits, or a browser's hash would differ from a native one.
#[derive(Clone, Debug)]
pub struct TraceHash(u64);

impl Default for TraceHash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl TraceHash {
    /// Takes one more fact in.
    pub fn add(&mut self, stamped: &Stamped) {
        stamped.hash(self);
    }

    /// The hash of everything so far.
    pub fn value(&self) -> u64 {
        self.0
    }

    fn word(&mut self, word: u64) {
        // One multiplication a word, not a byte: facts are hashed all the time. The rotation carries high bits down.
        self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
    }
}

impl Hasher for TraceHash {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
        self.word(bytes.len() as u64);
    }
    fn write_u8(&mut self, number: u8) {
        self.word(u64::from(number));
    }
    fn write_u16(&mut self, number: u16) {
        self.word(u64::from(number));
    }
    fn write_u32(&mut self, number: u32) {
        self.word(u64::from(number));
    }
    fn write_u64(&mut self, number: u64) {
        self.word(number);
    }
    fn write_usize(&mut self, number: usize) {
        self.word(number as u64);
    }
    fn write_i8(&mut self, number: i8) {
        self.word(i64::from(number) as u64);
    }
    fn write_i16(&mut self, number: i16) {
        self.word(i64::from(number) as u64);
    }
    fn write_i32(&mut self, number: i32) {
        self.word(i64::from(number) as u64);
    }
    fn write_i64(&mut self, number: i64) {
        self.word(number as u64);
    }
    fn write_isize(&mut self, number: isize) {
        self.word(number as i64 as u64);
    }
}

/// What things are called: machines carry ids, people read names.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// By client id: `producer-shop`.
    clients: Vec<Name>,
    topics: BTreeMap<TopicId, Name>,
}

impl Names {
    /// Gives the next client its name, and an id for it.
    pub fn add_client(&mut self, name: Name) -> u32 {
        self.clients.push(name);
        self.clients.len() as u32 - 1
    }

    /// Learns a topic's name. Deleted topics keep theirs: old facts speak of them.
    pub fn add_topic(&mut self, id: TopicId, name: Name) {
        self.topics.insert(id, name);
    }

    /// `broker-1`, `controller-101`, `producer-shop`.
    pub fn node(&self, node: Node) -> String {
        match node {
            Node::Broker(id) => format!("broker-{id}"),
            Node::Controller(id) => format!("controller-{id}"),
            Node::ZooKeeper(id) => format!("zookeeper-{id}"),
            Node::Producer(id) | Node::Consumer(id) | Node::Tool(id) => {
                self.clients.get(id.0 as usize).map_or_else(|| format!("client-{id}"), |name| name.to_string())
            }
        }
    }

    /// A topic's name.
    pub fn topic(&self, id: TopicId) -> &str {
        self.topics.get(&id).map_or("?", |name| name)
    }

    /// `orders-0`.
    pub fn partition(&self, partition: TopicPartition) -> String {
        format!("{}-{}", self.topic(partition.topic), partition.partition)
    }

    /// One line for one fact: time, node, what happened.
    pub fn line(&self, stamped: &Stamped) -> String {
        let at = stamped.at.as_micros();
        let mut line = format!("{:>4}.{:06} ", at / 1_000_000, at % 1_000_000);
        if let Some(node) = stamped.node {
            let _ = write!(line, "{} ", self.node(node));
        }
        line.push_str(&self.describe(&stamped.fact));
        let _ = write!(line, "  #{} <- #{}", stamped.id, stamped.cause);
        line
    }

    /// A fact in a few dense words.
    pub fn describe(&self, fact: &Fact) -> String {
        let p = |partition: &TopicPartition| self.partition(*partition);
        match fact {
            Fact::Command { text } => format!("> {text}"),
            Fact::Sent { to, api, request, correlation_id } => {
                let answer = if *request { "" } else { " answer" };
                format!("-> {} {}{answer} ({correlation_id})", self.node(*to), api.name())
            }
            Fact::Dropped { to, api, reason } => {
                format!("-x {} {} {}", self.node(*to), api.name(), drop_reason(*reason))
            }
            Fact::TimerFired(timer) => format!("timer {}", self.timer(timer)),
            Fact::Disconnected { peer } => format!("disconnected from {}", self.node(*peer)),
            Fact::NodeState(state) => node_state(*state).into(),
            Fact::NetworkChanged { text } => format!("network: {text}"),
            Fact::ControllerActive { controller, epoch } => format!("active controller {controller} epoch={epoch}"),
            Fact::BrokerRegistered { broker, epoch } => format!("registered broker-{broker} epoch={epoch}"),
            Fact::BrokerFenced { broker, silent_for: Some(silent) } => {
                format!("fenced broker-{broker} silent={silent}")
            }
            Fact::BrokerFenced { broker, silent_for: None } => format!("fenced broker-{broker}"),
            Fact::BrokerUnfenced { broker } => format!("unfenced broker-{broker}"),
            Fact::ControlledShutdownBegan { broker } => format!("controlled shutdown of broker-{broker}"),
            Fact::TopicCreated { name, partitions, replication_factor, .. } => {
                format!("created {name} partitions={partitions} rf={replication_factor}")
            }
            Fact::PartitionsAdded { name, partitions, .. } => format!("{name} partitions={partitions}"),
            Fact::TopicDeleted { name, .. } => format!("deleted {name}"),
            Fact::LeaderElected { partition, leader, epoch, isr, unclean } => {
                let how = if *unclean { " unclean" } else { "" };
                format!("{} leader={} epoch={epoch} isr={}{how}", p(partition), leader_name(*leader), ids(isr))
            }
            Fact::IsrChanged { partition, from, to, epoch } => {
                format!("{} isr {} -> {} partition-epoch={epoch}", p(partition), ids(from), ids(to))
            }
            Fact::ConfigChanged { resource, key, value } => match value {
                Some(value) => format!("{resource} {key}={value}"),
                None => format!("{resource} {key} back to its default"),
            },
            Fact::ElrChanged { partition, from, to } => format!("{} elr {} -> {}", p(partition), ids(from), ids(to)),
            Fact::ReassignmentBegan { partition, adding, removing } => {
                format!("{} reassignment adding={} removing={}", p(partition), ids(adding), ids(removing))
            }
            Fact::ReassignmentEnded { partition, replicas, cancelled } => {
                let how = if *cancelled { "cancelled" } else { "complete" };
                format!("{} reassignment {how} replicas={}", p(partition), ids(replicas))
            }
            Fact::QuorumState { from, to, epoch, leader } => {
                let leader = leader.map_or("none".into(), |id| format!("controller-{id}"));
                format!("quorum {} -> {} epoch={epoch} leader={leader}", from.name(), to.name())
            }
            Fact::Voted { candidate, epoch, pre_vote, granted } => {
                let what = if *pre_vote { "pre-vote" } else { "vote" };
                let how = if *granted { "granted" } else { "refused" };
                format!("{what} {how} to controller-{candidate} epoch={epoch}")
            }
            Fact::SnapshotTaken { end, records } => format!("metadata snapshot at {end} records={records}"),
            Fact::SnapshotLoaded { end } => format!("metadata snapshot loaded up to {end}"),
            Fact::MetadataTruncated { from, to } => format!("metadata truncate {from} -> {to}"),
            Fact::BecameLeader { partition, epoch, log_end } => {
                format!("{} leads epoch={epoch} end={log_end}", p(partition))
            }
            Fact::BecameFollower { partition, epoch, leader } => {
                format!("{} follows {} epoch={epoch}", p(partition), leader_name(*leader))
            }
            Fact::Appended { partition, base_offset, count, bytes, epoch, leader, .. } => {
                let how = if *leader { "append" } else { "replicate" };
                format!(
                    "{} {how} {base_offset}..{} epoch={epoch} {bytes} B",
                    p(partition),
                    base_offset + i64::from(*count)
                )
            }
            Fact::Truncated { partition, from, to } => format!("{} truncate {from} -> {to}", p(partition)),
            Fact::HighWatermark { partition, from, to, .. } => format!("{} hw {from} -> {to}", p(partition)),
            Fact::IsrProposed { partition, isr, lagging: Some((id, lag)) } => {
                format!("{} proposes isr={} (broker-{id} lags {lag})", p(partition), ids(isr))
            }
            Fact::IsrProposed { partition, isr, lagging: None } => {
                format!("{} proposes isr={}", p(partition), ids(isr))
            }
            Fact::IsrCommitted { partition, isr } => format!("{} isr={}", p(partition), ids(isr)),
            Fact::IsrRejected { partition, error } => format!("{} isr refused {error}", p(partition)),
            Fact::ProduceFailed { partition, error } => format!("{} produce {error}", p(partition)),
            Fact::FetchFailed { partition, error } => format!("{} fetch {error}", p(partition)),
            Fact::SegmentRolled { partition, base_offset } => format!("{} segment {base_offset}", p(partition)),
            Fact::Flushed { partition, from, to } => format!("{} flushed {from} -> {to}", p(partition)),
            Fact::UnflushedLost { partition, from, to } => format!("{} unflushed lost {from} -> {to}", p(partition)),
            Fact::LogRecovered { partition, recovery_point, log_end } => {
                format!("{} recovered from {recovery_point} end={log_end}", p(partition))
            }
            Fact::LogStartAdvanced { partition, from, to } => format!("{} log start {from} -> {to}", p(partition)),
            Fact::LogDirOffline { replicas } => format!("log directory offline replicas={replicas}"),
            Fact::ProducerIdAssigned { producer_id, producer_epoch } => {
                format!("producer id {producer_id} epoch={producer_epoch}")
            }
            Fact::DuplicateBatch { partition, base_offset, .. } => {
                format!("{} duplicate of {base_offset}", p(partition))
            }
            Fact::SequenceRefused { partition, producer_id, expected, found, error } => {
                let expected = expected.map_or("any".into(), |sequence| sequence.to_string());
                format!("{} producer {producer_id} sequence {found}, expected {expected}: {error}", p(partition))
            }
            Fact::EnsembleState { from, to, epoch, leader } => {
                let leader = leader.map_or("none".into(), |id| format!("zookeeper-{id}"));
                format!("ensemble {} -> {} epoch={epoch} leader={leader}", from.name(), to.name())
            }
            Fact::Znode { path, version: None, .. } => format!("{path} deleted"),
            Fact::Znode { path, version: Some(0), ephemeral } => {
                format!("{path} created{}", if *ephemeral { " ephemeral" } else { "" })
            }
            Fact::Znode { path, version: Some(version), .. } => format!("{path} version={version}"),
            Fact::SessionExpired { client, silent_for } => {
                format!("session of broker-{client} expired after {silent_for}")
            }
            Fact::WatchFired { client, path } => format!("watch of broker-{client} on {path}"),
            Fact::ControllerLoading { controller, epoch, partitions } => {
                format!("controller broker-{controller} epoch={epoch} reads partitions={partitions}")
            }
            Fact::ControllerLoaded { controller, epoch, took } => {
                format!("controller broker-{controller} epoch={epoch} loaded in {took}")
            }
            Fact::RecordsSent { partition, origin, bytes } => {
                format!("{} send {}..{} {bytes} B", p(partition), origin.first, origin.first + u64::from(origin.count))
            }
            Fact::SendFailed { count, error } => format!("send of {count} failed {error}"),
            Fact::BatchAcked { partition, origin, base_offset, latency } => {
                let last = origin.first + u64::from(origin.count);
                format!("{} acked {}..{last} offset={base_offset} after {latency}", p(partition), origin.first)
            }
            Fact::BatchRetried { partition, origin, error, attempt } => {
                format!("{} retry {} of {}.. {error}", p(partition), attempt, origin.first)
            }
            Fact::BatchFailed { partition, origin, error } => {
                format!("{} failed {}..{} {error}", p(partition), origin.first, origin.first + u64::from(origin.count))
            }
            Fact::MetadataUpdated { brokers } => format!("metadata brokers={brokers}"),
            Fact::Fetched { partition, base_offset, count } => {
                format!("{} fetched {base_offset}..{}", p(partition), base_offset + i64::from(*count))
            }
            Fact::Polled { partition, base_offset, count } => {
                format!("{} polled {base_offset}..{}", p(partition), base_offset + i64::from(*count))
            }
            Fact::Processed { partition, base_offset, count, .. } => {
                format!("{} processed {base_offset}..{}", p(partition), base_offset + i64::from(*count))
            }
            Fact::PositionReset { partition, offset, reason } => {
                format!("{} position={offset} {reason:?}", p(partition))
            }
            Fact::CoordinatorFound { group, broker } => format!("{group} coordinator=broker-{broker}"),
            Fact::JoiningGroup { group } => format!("{group} joins"),
            Fact::PartitionsAssigned { group, generation, partitions } => {
                format!("{group} generation={generation} assigned {}", self.partitions(partitions))
            }
            Fact::PartitionsRevoked { group, partitions } => format!("{group} revoked {}", self.partitions(partitions)),
            Fact::PartitionsLost { group, partitions, error } => {
                format!("{group} lost {} {error}", self.partitions(partitions))
            }
            Fact::CommitFailed { group, error } => format!("{group} commit {error}"),
            Fact::LeavingGroup { group, reason } => format!("{group} leaves {reason:?}"),
            Fact::CoordinatorLoaded { partition, groups } => {
                format!("coordinates __consumer_offsets-{partition} groups={groups}")
            }
            Fact::CoordinatorUnloaded { partition } => format!("gives up __consumer_offsets-{partition}"),
            Fact::GroupState { group, from, to, generation } => {
                format!("{group} {} -> {} generation={generation}", from.name(), to.name())
            }
            Fact::MemberJoined { group, member } => format!("{group} + {member}"),
            Fact::MemberRemoved { group, member, reason } => format!("{group} - {member} {reason:?}"),
            Fact::GroupAssigned { group, generation, members } => {
                format!("{group} generation={generation} assigns {} members", members.len())
            }
            Fact::OffsetCommitted { group, partition, offset } => {
                format!("{group} {} committed={offset}", p(partition))
            }
            Fact::OffsetDeleted { group, partition } => format!("{group} {} committed=none", p(partition)),
            Fact::PartitionsPaused { partitions, paused } => {
                format!("{} {}", if *paused { "pauses" } else { "resumes" }, self.partitions(partitions))
            }
            Fact::RecordFailed { partition, offset, attempt, then, .. } => {
                format!("{} failed on {offset} attempt={attempt}: {then:?}", p(partition))
            }
            Fact::MemberEpoch { group, from, to } => format!("{group} member epoch {from} -> {to}"),
            Fact::ModernGroupState { group, from, to, epoch } => {
                format!("{group} {} -> {} epoch={epoch}", from.name(), to.name())
            }
            Fact::GroupEpoch { group, epoch, reason } => format!("{group} group epoch={epoch} {reason:?}"),
            Fact::TargetAssigned { group, epoch, members } => {
                format!("{group} target epoch={epoch} {}", members_of(members))
            }
            Fact::MemberReconciled { group, member, epoch, state, assigned, revoking } => {
                let mut line = format!("{group} {member} epoch={epoch} {state:?} {}", named(assigned));
                if !revoking.is_empty() {
                    let _ = write!(line, " revoking {}", named(revoking));
                }
                line
            }
            Fact::GroupConverted { group, to_consumer } => {
                format!("{group} converted to {}", if *to_consumer { "consumer" } else { "classic" })
            }
            Fact::RecordsAcquired { group, member, partition, base_offset, count, delivery_count } => {
                let end = base_offset + i64::from(*count);
                format!("{group} {} acquired {base_offset}..{end} by {member} delivery={delivery_count}", p(partition))
            }
            Fact::AcquisitionEnded { group, member, partition, base_offset, count, how } => {
                let end = base_offset + i64::from(*count);
                format!("{group} {} {how:?} {base_offset}..{end} by {member}", p(partition))
            }
            Fact::ShareStartAdvanced { group, partition, from, to } => {
                format!("{group} {} share start {from} -> {to}", p(partition))
            }
            Fact::SharePartitionFenced { group, partition, leader_epoch, error } => {
                format!("{group} {} share-partition fenced: epoch={leader_epoch} {error}", p(partition))
            }
            Fact::ShareGroupForgotten { group } => format!("{group} forgotten: no sessions"),
            Fact::ToolFinished { output, ok } => format!("tool {} {:?}", if *ok { "ok" } else { "failed" }, output),
        }
    }

    fn partitions(&self, partitions: &[TopicPartition]) -> String {
        let names: Vec<String> = partitions.iter().map(|partition| self.partition(*partition)).collect();
        format!("[{}]", names.join(" "))
    }

    fn timer(&self, timer: &Timer) -> String {
        match timer {
            Timer::QuorumFetchWait { replica } => format!("QuorumFetchWait {}", self.node(*replica)),
            Timer::FollowerFetch { leader } => format!("FollowerFetch broker-{leader}"),
            Timer::DelayedFetch { id } => format!("DelayedFetch {id}"),
            Timer::DelayedProduce { id } => format!("DelayedProduce {id}"),
            Timer::DiskRead { id } => format!("DiskRead {id}"),
            Timer::GroupJoin { group } => format!("GroupJoin {group}"),
            Timer::GroupSync { group } => format!("GroupSync {group}"),
            Timer::ShareSession { group, member } => format!("ShareSession {group} {member}"),
            Timer::DelayedShareFetch { id } => format!("DelayedShareFetch {id}"),
            Timer::AcquisitionLock { group, partition } => {
                format!("AcquisitionLock {group} {}", self.partition(*partition))
            }
            Timer::GroupSession { group, member } => format!("GroupSession {group} {member}"),
            Timer::ConsumerGroupSession { group, member } => format!("ConsumerGroupSession {group} {member}"),
            Timer::ConsumerGroupRevocation { group, member } => format!("ConsumerGroupRevocation {group} {member}"),
            Timer::ConsumerGroupRegexes { group } => format!("ConsumerGroupRegexes {group}"),
            other => format!("{other:?}"),
        }
    }
}

fn leader_name(leader: Option<BrokerId>) -> String {
    leader.map_or_else(|| "none".into(), |id| format!("broker-{id}"))
}

fn ids(brokers: &[BrokerId]) -> String {
    let ids: Vec<String> = brokers.iter().map(BrokerId::to_string).collect();
    format!("{{{}}}", ids.join(" "))
}

fn drop_reason(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Refused => "refused",
        DropReason::Cut => "held up by a cut",
        DropReason::Lost => "lost, sent again",
    }
}

fn node_state(state: NodeState) -> &'static str {
    match state {
        NodeState::Starting => "starting",
        NodeState::Running => "running",
        NodeState::Paused => "paused",
        NodeState::Stopping => "stopping",
        NodeState::Stopped => "stopped",
        NodeState::Killed => "killed",
    }
}

/// `[t-0 t-1]`
fn named(partitions: &[(Name, u32)]) -> String {
    let names: Vec<String> = partitions.iter().map(|(topic, partition)| format!("{topic}-{partition}")).collect();
    format!("[{}]", names.join(" "))
}

/// `m1=[t-0] m2=[t-1]`
fn members_of(members: &[(Name, Vec<(Name, u32)>)]) -> String {
    let each: Vec<String> =
        members.iter().map(|(member, partitions)| format!("{member}={}", named(partitions))).collect();
    each.join(" ")
}
