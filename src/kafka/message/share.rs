//! The requests of share groups (KIP-932): a member and its coordinator, a member and the leaders of its partitions, and
//! those leaders and the share coordinator, which keeps their state.
//!
//! What we leave out: the type GAP, as no batch here has gaps; several share-partitions in one request between brokers.

use crate::kafka::config::AcquireMode;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{Generation, LeaderEpoch, Name, Offset, TopicPartition};
use crate::kafka::message::CurrentLeader;
use crate::kafka::record::Batch;
use crate::time::Duration;

/// A member's sign of life: 0 as its epoch joins, -1 leaves. `None` fields have not changed since the last one.
#[derive(Clone, Debug)]
pub struct ShareGroupHeartbeatRequest {
    pub group: Name,
    /// The member makes its id itself.
    pub member_id: Name,
    pub member_epoch: Generation,
    /// `client.id`; it travels in the header of Kafka's requests.
    pub client_id: Name,
    pub rack: Option<Name>,
    pub subscribed_topics: Option<Vec<Name>>,
}

/// A member epoch that joins the group.
pub const JOIN_EPOCH: Generation = Generation(0);
/// A member epoch that leaves the group.
pub const LEAVE_EPOCH: Generation = Generation(-1);

#[derive(Clone, Debug)]
pub struct ShareGroupHeartbeatResponse {
    pub error: ErrorCode,
    pub member_id: Name,
    pub member_epoch: Generation,
    pub heartbeat_interval: Duration,
    /// `None` if it is as before.
    pub assignment: Option<Vec<TopicPartition>>,
}

#[derive(Clone, Debug)]
pub struct ShareGroupDescribeRequest {
    pub groups: Vec<Name>,
}

#[derive(Clone, Debug)]
pub struct ShareGroupDescribeResponse {
    pub groups: Vec<DescribedShareGroup>,
}

#[derive(Clone, Debug)]
pub struct DescribedShareGroup {
    pub error: ErrorCode,
    pub group: Name,
    pub state: Name,
    pub group_epoch: Generation,
    pub assignment_epoch: Generation,
    pub assignor: Name,
    pub members: Vec<DescribedShareMember>,
}

#[derive(Clone, Debug)]
pub struct DescribedShareMember {
    pub member_id: Name,
    pub member_epoch: Generation,
    pub client_id: Name,
    pub client_host: Name,
    pub topics: Vec<Name>,
    pub assignment: Vec<(Name, u32)>,
}

/// What a member says of records that it has acquired (`AcknowledgeType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AcknowledgeType {
    /// Done.
    Accept,
    /// Somebody shall try again.
    Release,
    /// Nobody shall.
    Reject,
    /// It needs the lock for longer (KIP-1222).
    Renew,
}

/// Records from `first` to `last`, both included. Kafka allows one type for each offset as well; a client that needs that
/// sends several batches here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcknowledgementBatch {
    pub first: Offset,
    pub last: Offset,
    pub kind: AcknowledgeType,
}

/// Partitions, each with what is acknowledged there.
pub type Acknowledgements = Vec<(TopicPartition, Vec<AcknowledgementBatch>)>;

/// A session epoch that opens a share session.
pub const FIRST_SESSION_EPOCH: i32 = 0;
/// A session epoch that closes it.
pub const FINAL_SESSION_EPOCH: i32 = -1;

#[derive(Clone, Debug)]
pub struct ShareFetchRequest {
    pub group: Name,
    pub member_id: Name,
    /// Counts the requests of a share session, from 0 on; -1 closes it.
    pub session_epoch: i32,
    pub max_wait: Duration,
    pub min_bytes: u32,
    pub max_bytes: u32,
    pub max_records: u32,
    /// How many records an acquired batch should have at most.
    pub batch_size: u32,
    pub acquire_mode: AcquireMode,
    /// Some acknowledgement renews; such a request brings no records.
    pub is_renewal: bool,
    /// Partitions to add to the session, and acknowledgements.
    pub partitions: Acknowledgements,
    /// Partitions to take out of the session.
    pub forgotten: Vec<TopicPartition>,
}

#[derive(Clone, Debug)]
pub struct ShareFetchResponse {
    pub error: ErrorCode,
    /// How long what is acquired stays so.
    pub acquisition_lock_timeout: Duration,
    pub partitions: Vec<ShareFetchedPartition>,
}

#[derive(Clone, Debug)]
pub struct ShareFetchedPartition {
    pub partition: TopicPartition,
    pub error: ErrorCode,
    /// Of the acknowledgements that came with the request.
    pub acknowledge_error: ErrorCode,
    pub current_leader: CurrentLeader,
    /// Whole batches; only what was acquired of them counts.
    pub batches: Vec<Batch>,
    pub acquired: Vec<AcquiredRecords>,
}

/// Records from `first` to `last` that now belong to a member, and how often they were delivered, this time included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquiredRecords {
    pub first: Offset,
    pub last: Offset,
    pub delivery_count: u16,
}

#[derive(Clone, Debug)]
pub struct ShareAcknowledgeRequest {
    pub group: Name,
    pub member_id: Name,
    /// As in ShareFetch, but it cannot open a session.
    pub session_epoch: i32,
    pub is_renewal: bool,
    pub partitions: Acknowledgements,
}

#[derive(Clone, Debug)]
pub struct ShareAcknowledgeResponse {
    pub error: ErrorCode,
    pub partitions: Vec<(TopicPartition, ErrorCode, CurrentLeader)>,
}

/// What the share coordinator is asked about one share-partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SharePartitionKey {
    pub group: Name,
    pub partition: TopicPartition,
}

/// A group's coordinator announces a partition that the group begins to read.
#[derive(Clone, Debug)]
pub struct InitializeShareGroupStateRequest {
    pub key: SharePartitionKey,
    /// The group epoch.
    pub state_epoch: Generation,
    /// -1: not decided yet.
    pub start_offset: Offset,
}

#[derive(Clone, Debug)]
pub struct InitializeShareGroupStateResponse {
    pub key: SharePartitionKey,
    pub error: ErrorCode,
}

/// A partition's new leader asks where it stands.
#[derive(Clone, Debug)]
pub struct ReadShareGroupStateRequest {
    pub key: SharePartitionKey,
    pub leader_epoch: LeaderEpoch,
}

#[derive(Clone, Debug)]
pub struct ReadShareGroupStateResponse {
    pub key: SharePartitionKey,
    pub error: ErrorCode,
    pub state_epoch: Generation,
    /// -1: not decided yet.
    pub start_offset: Offset,
    pub batches: Vec<StateBatch>,
}

/// Records from `first` to `last` whose state must last. `state` is Kafka's number: 0 Available, 2 Acknowledged,
/// 4 Archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateBatch {
    pub first: Offset,
    pub last: Offset,
    pub state: i8,
    pub delivery_count: u16,
}

/// A partition's leader writes down what has changed.
#[derive(Clone, Debug)]
pub struct WriteShareGroupStateRequest {
    pub key: SharePartitionKey,
    pub state_epoch: Generation,
    pub leader_epoch: LeaderEpoch,
    pub start_offset: Offset,
    /// Records from the start on that need no delivery any more (KIP-1226).
    pub delivery_complete_count: i32,
    pub batches: Vec<StateBatch>,
}

#[derive(Clone, Debug)]
pub struct WriteShareGroupStateResponse {
    pub key: SharePartitionKey,
    pub error: ErrorCode,
}

#[derive(Clone, Debug)]
pub struct ReadShareGroupStateSummaryRequest {
    pub key: SharePartitionKey,
}

#[derive(Clone, Debug)]
pub struct ReadShareGroupStateSummaryResponse {
    pub key: SharePartitionKey,
    pub error: ErrorCode,
    /// -1: not decided yet.
    pub start_offset: Offset,
    pub delivery_complete_count: i32,
    /// The newest leader that has asked for the state; -1: none has.
    pub leader_epoch: LeaderEpoch,
}

/// A tool asks the group's coordinator where a share group stands.
#[derive(Clone, Debug)]
pub struct DescribeShareGroupOffsetsRequest {
    pub group: Name,
}

#[derive(Clone, Debug)]
pub struct DescribeShareGroupOffsetsResponse {
    pub error: ErrorCode,
    pub group: Name,
    pub partitions: Vec<DescribedSharePartition>,
}

/// Where a share group stands in a partition.
#[derive(Clone, Debug)]
pub struct DescribedSharePartition {
    pub partition: TopicPartition,
    /// -1 where there is none yet.
    pub start_offset: Offset,
    pub leader_epoch: LeaderEpoch,
    /// How many records from the start on need no delivery any more; -1 where nobody knows.
    pub delivery_complete_count: i32,
}
