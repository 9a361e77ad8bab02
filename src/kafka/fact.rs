//! What happened: one stream for the trace, the picture, the charts, the captions, the checks and the tests.
//!
//! Machines note facts; the world stamps each with an id, the time, the node, and the id of its cause. Facts speak of
//! batches, never of single records. [`crate::sim::trace`] prints each as one line.

use super::effects::Timer;
use super::error::ErrorCode;
use super::ids::{
    BrokerEpoch, BrokerId, ControllerId, Generation, LeaderEpoch, Name, Node, Offset, Origin, PartitionEpoch, TopicId,
    TopicPartition, ZooKeeperId,
};
use super::message::Api;
use crate::time::Duration;

/// One thing that happened at one node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Fact {
    // The world. These can be causes of others.
    /// Somebody gave a command.
    Command {
        text: Name,
    },
    /// A message left its sender.
    Sent {
        to: Node,
        api: Api,
        request: bool,
        correlation_id: u32,
    },
    /// The network lost a message, or nobody was there to receive it.
    Dropped {
        to: Node,
        api: Api,
        reason: DropReason,
    },
    /// A deadline came.
    TimerFired(Timer),
    /// The connection to a peer broke.
    Disconnected {
        peer: Node,
    },
    /// A machine's process started, stopped, froze or went on.
    NodeState(NodeState),
    /// A link or a cut changed.
    NetworkChanged {
        text: Name,
    },

    // Controller
    /// The active controller took up its work.
    ControllerActive {
        controller: ControllerId,
        epoch: LeaderEpoch,
    },
    BrokerRegistered {
        broker: BrokerId,
        epoch: BrokerEpoch,
    },
    /// The controller takes a broker for dead: its heartbeats stayed away for `broker.session.timeout.ms`, or it asked.
    BrokerFenced {
        broker: BrokerId,
        silent_for: Option<Duration>,
    },
    BrokerUnfenced {
        broker: BrokerId,
    },
    ControlledShutdownBegan {
        broker: BrokerId,
    },
    TopicCreated {
        topic: TopicId,
        name: Name,
        partitions: u32,
        replication_factor: u32,
    },
    PartitionsAdded {
        topic: TopicId,
        name: Name,
        partitions: u32,
    },
    TopicDeleted {
        topic: TopicId,
        name: Name,
    },
    /// The controller chose a leader, or `None` where no replica may lead.
    LeaderElected {
        partition: TopicPartition,
        leader: Option<BrokerId>,
        epoch: LeaderEpoch,
        isr: Vec<BrokerId>,
        unclean: bool,
    },
    /// The controller wrote a new ISR without a change of leader.
    IsrChanged {
        partition: TopicPartition,
        from: Vec<BrokerId>,
        to: Vec<BrokerId>,
        epoch: PartitionEpoch,
    },
    ConfigChanged {
        resource: Name,
        key: Name,
        value: Option<Name>,
    },

    /// The replicas that may lead a partition whose ISR is too small (KIP-966).
    ElrChanged {
        partition: TopicPartition,
        from: Vec<BrokerId>,
        to: Vec<BrokerId>,
    },
    /// A partition begins to move: `adding` copy it, and `removing` go once every target replica is in the ISR.
    ReassignmentBegan {
        partition: TopicPartition,
        adding: Vec<BrokerId>,
        removing: Vec<BrokerId>,
    },
    /// A partition has moved, or its reassignment was cancelled.
    ReassignmentEnded {
        partition: TopicPartition,
        replicas: Vec<BrokerId>,
        cancelled: bool,
    },

    // The metadata quorum
    /// A voter's part in the quorum changed (`QuorumState`).
    QuorumState {
        from: QuorumPhase,
        to: QuorumPhase,
        epoch: LeaderEpoch,
        leader: Option<ControllerId>,
    },
    /// A voter answered a candidate. A pre-vote (KIP-996) binds nobody.
    Voted {
        candidate: ControllerId,
        epoch: LeaderEpoch,
        pre_vote: bool,
        granted: bool,
    },
    /// A snapshot of the metadata log was written; it stands for every record before `end`.
    SnapshotTaken {
        end: Offset,
        records: u32,
    },
    /// A replica of the metadata log took another's snapshot in place of records that are no longer in the log.
    SnapshotLoaded {
        end: Offset,
    },
    /// A voter cut records off its metadata log that the leader does not have.
    MetadataTruncated {
        from: Offset,
        to: Offset,
    },

    // Replicas
    BecameLeader {
        partition: TopicPartition,
        epoch: LeaderEpoch,
        log_end: Offset,
    },
    BecameFollower {
        partition: TopicPartition,
        epoch: LeaderEpoch,
        leader: Option<BrokerId>,
    },
    /// A batch went into a replica's log. `leader` tells whose append gave it its offsets.
    Appended {
        partition: TopicPartition,
        base_offset: Offset,
        count: u32,
        bytes: u32,
        epoch: LeaderEpoch,
        leader: bool,
        origin: Option<Origin>,
    },
    /// Everything from `to` on was cut off.
    Truncated {
        partition: TopicPartition,
        from: Offset,
        to: Offset,
    },
    /// `leader` tells whether this replica leads.
    HighWatermark {
        partition: TopicPartition,
        from: Offset,
        to: Offset,
        leader: bool,
    },
    /// The leader asks the controller for another ISR.
    IsrProposed {
        partition: TopicPartition,
        isr: Vec<BrokerId>,
        lagging: Option<(BrokerId, Duration)>,
    },
    /// The leader takes the controller's word for the ISR.
    IsrCommitted {
        partition: TopicPartition,
        isr: Vec<BrokerId>,
    },
    IsrRejected {
        partition: TopicPartition,
        error: ErrorCode,
    },
    /// A produce was refused, or its answer carries an error.
    ProduceFailed {
        partition: TopicPartition,
        error: ErrorCode,
    },
    /// A fetch was refused.
    FetchFailed {
        partition: TopicPartition,
        error: ErrorCode,
    },

    // Storage
    /// A new segment begins at this offset.
    SegmentRolled {
        partition: TopicPartition,
        base_offset: Offset,
    },
    /// Records up to `to` are on the disk, no longer in the page cache alone.
    Flushed {
        partition: TopicPartition,
        from: Offset,
        to: Offset,
    },
    /// The machine lost its power, and with it what was in the page cache alone.
    UnflushedLost {
        partition: TopicPartition,
        from: Offset,
        to: Offset,
    },
    /// The log was read and checked after an unclean stop, from the recovery point on.
    LogRecovered {
        partition: TopicPartition,
        recovery_point: Offset,
        log_end: Offset,
    },
    /// Whole segments went, by retention or by DeleteRecords.
    LogStartAdvanced {
        partition: TopicPartition,
        from: Offset,
        to: Offset,
    },
    /// The disk failed or is full: nothing in the log directory can be served any more.
    LogDirOffline {
        replicas: u32,
    },

    // Idempotent producing
    /// InitProducerId was answered, or the producer bumped its epoch by itself: batches carry these from here on.
    ProducerIdAssigned {
        producer_id: i64,
        producer_epoch: i16,
    },
    /// The leader has this very batch already; it answers with the offset of then, and appends nothing.
    DuplicateBatch {
        partition: TopicPartition,
        base_offset: Offset,
        origin: Option<Origin>,
    },
    /// The leader refused a batch: its first sequence does not follow the last one it has of this producer.
    SequenceRefused {
        partition: TopicPartition,
        producer_id: i64,
        expected: Option<i32>,
        found: i32,
        error: ErrorCode,
    },

    // ZooKeeper
    /// A server's part in the ensemble changed.
    EnsembleState {
        from: EnsemblePhase,
        to: EnsemblePhase,
        epoch: u32,
        leader: Option<ZooKeeperId>,
    },
    /// A znode was created, written (`version` above 0) or deleted (`version` is `None`).
    Znode {
        path: Name,
        version: Option<i32>,
        ephemeral: bool,
    },
    /// A client's session ended; its ephemeral znodes go.
    SessionExpired {
        client: BrokerId,
        silent_for: Duration,
    },
    /// A watch fired: the client is told that the znode changed.
    WatchFired {
        client: BrokerId,
        path: Name,
    },
    /// A broker created `/controller` and begins to read every partition's state.
    ControllerLoading {
        controller: BrokerId,
        epoch: i32,
        partitions: u32,
    },
    /// It has read them all and acts.
    ControllerLoaded {
        controller: BrokerId,
        epoch: i32,
        took: Duration,
    },

    // Producer
    /// The application handed records to send().
    RecordsSent {
        partition: TopicPartition,
        origin: Origin,
        bytes: u32,
    },
    /// send() itself failed: no metadata, no room, or a record that is too large. They never got an origin.
    SendFailed {
        count: u32,
        error: ErrorCode,
    },
    /// send() reported success. `base_offset` is -1 with `acks=0`.
    BatchAcked {
        partition: TopicPartition,
        origin: Origin,
        base_offset: Offset,
        latency: Duration,
    },
    /// The batch goes out again.
    BatchRetried {
        partition: TopicPartition,
        origin: Origin,
        error: ErrorCode,
        attempt: u32,
    },
    /// send() reported failure.
    BatchFailed {
        partition: TopicPartition,
        origin: Origin,
        error: ErrorCode,
    },
    /// Fresh metadata came.
    MetadataUpdated {
        brokers: u32,
    },

    // Consumer
    /// Records reached a consumer's buffer.
    Fetched {
        partition: TopicPartition,
        base_offset: Offset,
        count: u32,
    },
    /// poll() handed records to the application.
    Polled {
        partition: TopicPartition,
        base_offset: Offset,
        count: u32,
    },
    /// The application finished its work on records that follow each other in one batch. `base_offset` is the first
    /// one's; the origin names the same records.
    Processed {
        group: Option<Name>,
        partition: TopicPartition,
        base_offset: Offset,
        count: u32,
        origin: Option<Origin>,
    },
    PositionReset {
        partition: TopicPartition,
        offset: Offset,
        reason: ResetReason,
    },
    CoordinatorFound {
        group: Name,
        broker: BrokerId,
    },
    /// The consumer sent JoinGroup.
    JoiningGroup {
        group: Name,
    },
    PartitionsAssigned {
        group: Name,
        generation: Generation,
        partitions: Vec<TopicPartition>,
    },
    PartitionsRevoked {
        group: Name,
        partitions: Vec<TopicPartition>,
    },
    /// Gone without a chance to commit (Kafka's `onPartitionsLost`).
    PartitionsLost {
        group: Name,
        partitions: Vec<TopicPartition>,
        error: ErrorCode,
    },
    CommitFailed {
        group: Name,
        error: ErrorCode,
    },
    /// The application told the consumer to return nothing of these partitions (`pause`), or to go on (`resume`).
    PartitionsPaused {
        partitions: Vec<TopicPartition>,
        paused: bool,
    },
    /// The application failed on a record; `attempt` counts from 1.
    RecordFailed {
        group: Option<Name>,
        partition: TopicPartition,
        offset: Offset,
        origin: Option<Origin>,
        attempt: u32,
        then: FailurePolicy,
    },
    /// Consumer protocol (KIP-848): the member has heard of its new epoch. 0 before it has joined, -1 once it has left.
    MemberEpoch {
        group: Name,
        from: Generation,
        to: Generation,
    },
    LeavingGroup {
        group: Name,
        reason: LeaveReason,
    },

    // Group coordinator
    /// The coordinator has read its partition of `__consumer_offsets` and answers for its groups.
    CoordinatorLoaded {
        partition: u32,
        groups: u32,
    },
    CoordinatorUnloaded {
        partition: u32,
    },
    GroupState {
        group: Name,
        from: GroupPhase,
        to: GroupPhase,
        generation: Generation,
    },
    MemberJoined {
        group: Name,
        member: Name,
    },
    MemberRemoved {
        group: Name,
        member: Name,
        reason: LeaveReason,
    },
    /// What the group's leader decided, member by member.
    GroupAssigned {
        group: Name,
        generation: Generation,
        members: Vec<(Name, Vec<(Name, u32)>)>,
    },
    /// The coordinator's log holds this offset and it is committed.
    OffsetCommitted {
        group: Name,
        partition: TopicPartition,
        offset: Offset,
    },
    /// The group has no committed offset there any more: it expired, or was deleted.
    OffsetDeleted {
        group: Name,
        partition: TopicPartition,
    },
    /// The state of a group of the consumer protocol (KIP-848), or of a share group (KIP-932).
    ModernGroupState {
        group: Name,
        from: ModernGroupPhase,
        to: ModernGroupPhase,
        epoch: Generation,
    },
    /// Consumer protocol (KIP-848): the group has another epoch, and its target assignment is out of date.
    GroupEpoch {
        group: Name,
        epoch: Generation,
        reason: EpochReason,
    },
    /// The target assignment of that group epoch, member by member.
    TargetAssigned {
        group: Name,
        epoch: Generation,
        members: Vec<(Name, Vec<(Name, u32)>)>,
    },
    /// A member came one step nearer to its target (`CurrentAssignmentBuilder`).
    MemberReconciled {
        group: Name,
        member: Name,
        epoch: Generation,
        state: ReconciliationState,
        assigned: Vec<(Name, u32)>,
        revoking: Vec<(Name, u32)>,
    },
    /// The group now follows the consumer protocol, or the classic one again.
    GroupConverted {
        group: Name,
        to_consumer: bool,
    },

    // Share groups (KIP-932), at the partition's leader
    /// A member has records that follow each other for itself, until the lock's time is over.
    RecordsAcquired {
        group: Name,
        member: Name,
        partition: TopicPartition,
        base_offset: Offset,
        count: u32,
        delivery_count: u16,
    },
    /// It has not any more.
    AcquisitionEnded {
        group: Name,
        member: Name,
        partition: TopicPartition,
        base_offset: Offset,
        count: u32,
        how: AcquisitionEnd,
    },
    /// Everything before `to` is acknowledged or archived.
    ShareStartAdvanced {
        group: Name,
        partition: TopicPartition,
        from: Offset,
        to: Offset,
    },
    /// What was written in this epoch comes too late, and the leader lets go of all that it knows of the partition: who
    /// has which records. For the next request it asks the share coordinator again.
    SharePartitionFenced {
        group: Name,
        partition: TopicPartition,
        leader_epoch: LeaderEpoch,
        error: ErrorCode,
    },
    /// No member of the group has a session with the broker any more: it lets go of all that it knows of the group.
    ShareGroupForgotten {
        group: Name,
    },

    // Tools
    /// A tool prints these lines and ends; `ok` is false where its exit status would not be zero.
    ToolFinished {
        output: Name,
        ok: bool,
    },
}

/// Why the network did not deliver a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// No process listens there.
    Refused,
    /// A cut lies between.
    Cut,
    /// The link lost it.
    Lost,
}

/// The state of a machine's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeState {
    Starting,
    Running,
    Paused,
    Stopping,
    /// Ended cleanly.
    Stopped,
    /// Crashed.
    Killed,
}

/// Why a consumer's position moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResetReason {
    /// It goes on where the group has committed.
    Committed,
    /// The application asked for it (`seek`).
    Sought,
    /// `auto.offset.reset`, for want of a committed offset.
    NoOffset,
    /// `auto.offset.reset`, because the offset is not in the log.
    OutOfRange,
    /// The log was cut off below it: it goes on where the new leader's log parts from what was read (KIP-320).
    Truncated,
}

/// Why a member is no longer in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeaveReason {
    /// It sent LeaveGroup when it closed.
    Closed,
    /// It sent LeaveGroup: no poll() for `max.poll.interval.ms`.
    PollTimeout,
    /// No heartbeat for `session.timeout.ms`.
    SessionTimeout,
    /// It did not send JoinGroup before the rebalance timeout.
    JoinTimeout,
    /// It did not send SyncGroup before the rebalance timeout.
    SyncTimeout,
    /// A new instance took over its `group.instance.id`.
    Replaced,
    /// It came when `group.max.size` members had joined already.
    GroupFull,
    /// It did not give up partitions before its rebalance timeout (KIP-848).
    RevocationTimeout,
    /// Somebody removed it by its instance id (`removeMembersFromConsumerGroup`).
    RemovedByAdmin,
}

/// What an application does about a record that it cannot work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailurePolicy {
    /// The process dies, uncommitted.
    Crash,
    /// It goes on with the next record.
    Skip,
    /// It tries again.
    Retry,
    /// It sends the record to another topic and goes on.
    DeadLetter,
}

/// Why a group of the consumer protocol has a new epoch (KIP-848).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EpochReason {
    MemberJoined,
    MemberLeft,
    SubscriptionChanged,
    /// A subscribed topic was created or deleted, or got partitions.
    MetadataChanged,
}

/// How far a member of the consumer protocol is with its target (`MemberState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReconciliationState {
    Stable,
    /// It must give up partitions first.
    UnrevokedPartitions,
    /// It waits for others to give up partitions.
    UnreleasedPartitions,
}

/// How a member of a share group came to let records go (`AcknowledgeType`, and what happens without one).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AcquisitionEnd {
    /// Done.
    Accepted,
    /// Somebody else may have them.
    Released,
    /// Nobody shall have them.
    Rejected,
    /// The lock's time was over: as if released.
    TimedOut,
    /// Delivered as often as `group.share.delivery.count.limit` allows.
    LimitReached,
}

/// A voter's part in the metadata quorum (`QuorumState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuorumPhase {
    Unattached,
    Follower,
    /// Asks for pre-votes (KIP-996).
    Prospective,
    Candidate,
    Leader,
    Resigned,
}

impl QuorumPhase {
    /// Kafka's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unattached => "Unattached",
            Self::Follower => "Follower",
            Self::Prospective => "Prospective",
            Self::Candidate => "Candidate",
            Self::Leader => "Leader",
            Self::Resigned => "Resigned",
        }
    }
}

/// A ZooKeeper server's part in its ensemble (`QuorumPeer.ServerState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EnsemblePhase {
    Looking,
    Following,
    Leading,
}

impl EnsemblePhase {
    /// ZooKeeper's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Looking => "LOOKING",
            Self::Following => "FOLLOWING",
            Self::Leading => "LEADING",
        }
    }
}

/// The state of a classic group (`ClassicGroupState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupPhase {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    Dead,
}

impl GroupPhase {
    /// Kafka's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

/// The state of a group whose assignment the coordinator works out (`ConsumerGroup.ConsumerGroupState`,
/// `ShareGroup.ShareGroupState`, which has no Assigning and no Reconciling).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModernGroupPhase {
    Empty,
    /// The target assignment is of an older epoch than the group.
    Assigning,
    /// Some members have not reached the target.
    Reconciling,
    Stable,
    Dead,
}

impl ModernGroupPhase {
    /// Kafka's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}
