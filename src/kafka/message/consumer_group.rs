//! The messages of the consumer protocol (KIP-848): one heartbeat that joins, reports, and leaves, and a description.

use crate::kafka::error::ErrorCode;
use crate::kafka::fact::LeaveReason;
use crate::kafka::ids::{Generation, Name, TopicPartition};
use crate::time::Duration;

/// The member epoch of a member that joins, or joins again.
pub const JOIN_EPOCH: Generation = Generation(0);
/// The member epoch of a member that leaves.
pub const LEAVE_EPOCH: Generation = Generation(-1);
/// The member epoch of a static member that leaves its place for its successor.
pub const LEAVE_STATIC_EPOCH: Generation = Generation(-2);

/// What a member tells its coordinator, every few seconds. A field of `None` has not changed since the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupHeartbeatRequest {
    pub group: Name,
    /// Made up by the member itself, for as long as its process lives (KIP-1082).
    pub member_id: Name,
    /// 0 joins, -1 leaves, -2 leaves a static member's place for its successor.
    pub member_epoch: Generation,
    pub instance_id: Option<Name>,
    pub rack: Option<Name>,
    /// `client.id`, from the request's header.
    pub client_id: Name,
    /// How long the coordinator waits for partitions to be given up.
    pub rebalance_timeout: Option<Duration>,
    pub topics: Option<Vec<Name>>,
    /// Empty says that there is none any more.
    pub regex: Option<Name>,
    pub server_assignor: Option<Name>,
    /// The partitions that the member owns.
    pub owned: Option<Vec<TopicPartition>>,
    /// Why the member leaves, for the facts alone: Kafka's coordinator is not told.
    pub leave_reason: LeaveReason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupHeartbeatResponse {
    pub error: ErrorCode,
    pub member_id: Name,
    pub member_epoch: Generation,
    pub heartbeat_interval: Duration,
    /// `None` where it is as before.
    pub assignment: Option<Vec<TopicPartition>>,
}

impl ConsumerGroupHeartbeatResponse {
    /// An answer with nothing but an error.
    pub fn refused(error: ErrorCode) -> Self {
        Self {
            error,
            member_id: "".into(),
            member_epoch: Generation(0),
            heartbeat_interval: Duration::ZERO,
            assignment: None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct ConsumerGroupDescribeRequest {
    pub groups: Vec<Name>,
}

#[derive(Clone, Debug)]
pub struct ConsumerGroupDescribeResponse {
    pub groups: Vec<DescribedConsumerGroup>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumerGroup {
    pub error: ErrorCode,
    pub group: Name,
    /// `Empty`, `Assigning`, `Reconciling`, `Stable`, `Dead`.
    pub state: Name,
    pub epoch: Generation,
    pub assignment_epoch: Generation,
    pub assignor: Name,
    pub members: Vec<DescribedConsumerMember>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumerMember {
    pub member_id: Name,
    pub instance_id: Option<Name>,
    pub rack: Option<Name>,
    pub epoch: Generation,
    pub client_id: Name,
    pub host: Name,
    pub topics: Vec<Name>,
    pub regex: Option<Name>,
    /// What it has, and what it is still to give up.
    pub assignment: Vec<(Name, u32)>,
    pub target: Vec<(Name, u32)>,
    /// It speaks the classic protocol (KIP-1099).
    pub is_classic: bool,
}

impl DescribedConsumerGroup {
    /// Nothing is known of the group but why.
    pub fn unknown(group: Name, error: ErrorCode) -> Self {
        Self {
            error,
            group,
            state: "".into(),
            epoch: Generation(0),
            assignment_epoch: Generation(0),
            assignor: "".into(),
            members: Vec::new(),
        }
    }
}
