//! What machines say to each other: Kafka's requests and responses, with the protocol's own names and fields.
//!
//! What we leave out: API versions (everybody speaks the newest), authorization, throttling, fetch sessions (KIP-227:
//! every Fetch names all its partitions), tagged fields that nothing here reads.

use std::rc::Rc;

use super::config::{Acks, Isolation};
use super::error::ErrorCode;
use super::fact::LeaveReason;
use super::ids::{
    BrokerEpoch, BrokerId, ControllerId, Generation, LeaderEpoch, Name, Node, Offset, PartitionEpoch, TopicId,
    TopicPartition,
};
use super::metadata::{MetadataBatch, MetadataSnapshot, SnapshotId};
use super::record::Batch;
use crate::time::Duration;

pub mod consumer_group;
pub mod ensemble;
mod group_admin;
mod news;
pub mod push;
pub mod share;

use consumer_group::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
};
use ensemble::{
    NoAnswer, ZabAck, ZabCommit, ZabFollow, ZabPingRequest, ZabPingResponse, ZabVote, ZkConnectRequest,
    ZkConnectResponse, ZkPingRequest, ZkPingResponse, ZkRequest, ZkResponse, ZkTxn, ZkWatchEvent, ZkWrite,
};
pub use group_admin::{DeleteGroupsRequest, DeleteGroupsResponse, OffsetDeleteRequest, OffsetDeleteResponse};
use push::{
    ControlledShutdownRequest, ControlledShutdownResponse, LeaderAndIsrRequest, LeaderAndIsrResponse,
    StopReplicaRequest, StopReplicaResponse, UpdateMetadataRequest, UpdateMetadataResponse,
};
use share::{
    DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse, InitializeShareGroupStateRequest,
    InitializeShareGroupStateResponse, ReadShareGroupStateRequest, ReadShareGroupStateResponse,
    ReadShareGroupStateSummaryRequest, ReadShareGroupStateSummaryResponse, ShareAcknowledgeRequest,
    ShareAcknowledgeResponse, ShareFetchRequest, ShareFetchResponse, ShareGroupDescribeRequest,
    ShareGroupDescribeResponse, ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse, WriteShareGroupStateRequest,
    WriteShareGroupStateResponse,
};

/// One message: a request, or the response that answers the request of the same correlation id.
#[derive(Clone, Debug)]
pub enum Message {
    Request { correlation_id: u32, request: Request },
    Response { correlation_id: u32, response: Response },
}

macro_rules! apis {
    ($($(#[$doc:meta])* $api:ident($request:ty, $response:ty) = $key:literal;)*) => {
        /// A request of one of Kafka's APIs.
        #[derive(Clone, Debug)]
        pub enum Request { $($(#[$doc])* $api($request),)* }

        /// The response of one of Kafka's APIs.
        #[derive(Clone, Debug)]
        pub enum Response { $($(#[$doc])* $api($response),)* }

        /// Which of Kafka's APIs a message belongs to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Api { $($(#[$doc])* $api,)* }

        impl Api {
            /// Every API, in the order of this file.
            pub const ALL: &'static [Self] = &[$(Self::$api),*];

            /// The number in the protocol (`ApiKeys`).
            pub const fn key(self) -> i16 {
                match self { $(Self::$api => $key,)* }
            }

            /// The name in the protocol.
            pub const fn name(self) -> &'static str {
                if matches!(self, Self::QuorumFetch) {
                    return "Fetch";
                }
                match self { $(Self::$api => stringify!($api),)* }
            }
        }

        impl Request {
            pub const fn api(&self) -> Api {
                match self { $(Self::$api(_) => Api::$api,)* }
            }
        }

        impl Response {
            pub const fn api(&self) -> Api {
                match self { $(Self::$api(_) => Api::$api,)* }
            }
        }
    };
}

apis! {
    /// Records for a partition's leader. With `acks=0` there is no response.
    Produce(ProduceRequest, ProduceResponse) = 0;
    /// Records wanted, by a consumer or by a follower.
    Fetch(FetchRequest, FetchResponse) = 1;
    /// The first or last offset of partitions.
    ListOffsets(ListOffsetsRequest, ListOffsetsResponse) = 2;
    /// Who leads what.
    Metadata(MetadataRequest, MetadataResponse) = 3;
    /// ZooKeeper mode: the controller tells a broker what to lead and what to follow.
    LeaderAndIsr(LeaderAndIsrRequest, LeaderAndIsrResponse) = 4;
    /// ZooKeeper mode: the controller tells a broker to let replicas go.
    StopReplica(StopReplicaRequest, StopReplicaResponse) = 5;
    /// ZooKeeper mode: the controller tells a broker what clients may be told.
    UpdateMetadata(UpdateMetadataRequest, UpdateMetadataResponse) = 6;
    /// ZooKeeper mode: a broker asks the controller for leave to stop.
    ControlledShutdown(ControlledShutdownRequest, ControlledShutdownResponse) = 7;
    OffsetCommit(OffsetCommitRequest, OffsetCommitResponse) = 8;
    OffsetFetch(OffsetFetchRequest, OffsetFetchResponse) = 9;
    FindCoordinator(FindCoordinatorRequest, FindCoordinatorResponse) = 10;
    JoinGroup(JoinGroupRequest, JoinGroupResponse) = 11;
    Heartbeat(HeartbeatRequest, HeartbeatResponse) = 12;
    /// ZooKeeper: a client opens its session, or takes it to another server. The numbers from here to the next ones of
    /// Kafka are ZooKeeper's own (`ZooDefs.OpCode`, `Leader`).
    ZkConnect(ZkConnectRequest, ZkConnectResponse) = -10;
    /// ZooKeeper: an operation on znodes.
    ZkRequest(ZkRequest, ZkResponse) = 4;
    ZkPing(ZkPingRequest, ZkPingResponse) = 11;
    /// ZooKeeper: a watch fires. No answer.
    ZkWatchEvent(ZkWatchEvent, NoAnswer) = -1;
    /// Zab: whom a server wants to lead. No answer.
    ZabVote(ZabVote, NoAnswer) = 0;
    /// Zab: a server follows. No answer but the history it lacks.
    ZabFollow(ZabFollow, NoAnswer) = 11;
    /// Zab: the leader's epoch, and what the follower lacks. No answer but the acknowledgement.
    ZabNewLeader(Box<NewLeader>, NoAnswer) = 10;
    /// Zab: a write goes to the leader. No answer.
    ZabForward(ZkWrite, NoAnswer) = 1;
    /// Zab: a transaction to be logged. No answer but the acknowledgement.
    ZabProposal(ZkTxn, NoAnswer) = 2;
    /// Zab: it is logged. No answer.
    ZabAck(ZabAck, NoAnswer) = 3;
    /// Zab: a majority has logged it. No answer.
    ZabCommit(ZabCommit, NoAnswer) = 4;
    ZabPing(ZabPingRequest, ZabPingResponse) = 5;
    LeaveGroup(LeaveGroupRequest, LeaveGroupResponse) = 13;
    SyncGroup(SyncGroupRequest, SyncGroupResponse) = 14;
    DescribeGroups(DescribeGroupsRequest, DescribeGroupsResponse) = 15;
    ListGroups(ListGroupsRequest, ListGroupsResponse) = 16;
    /// Consumer protocol (KIP-848): a member joins, reports, learns its assignment, and leaves.
    ConsumerGroupHeartbeat(Box<ConsumerGroupHeartbeatRequest>, ConsumerGroupHeartbeatResponse) = 68;
    ConsumerGroupDescribe(ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse) = 69;
    CreateTopics(CreateTopicsRequest, CreateTopicsResponse) = 19;
    DeleteTopics(DeleteTopicsRequest, DeleteTopicsResponse) = 20;
    /// An idempotent producer asks any broker for an id.
    InitProducerId(InitProducerIdRequest, InitProducerIdResponse) = 22;
    /// Where an epoch ends in the leader's log: for a consumer after a change of leader, and for followers of old (KIP-101).
    OffsetForLeaderEpoch(OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse) = 23;
    CreatePartitions(CreatePartitionsRequest, CreatePartitionsResponse) = 37;
    /// Groups without members are to go, with their offsets.
    DeleteGroups(DeleteGroupsRequest, DeleteGroupsResponse) = 42;
    /// What settings are, and where each value comes from.
    DescribeConfigs(DescribeConfigsRequest, DescribeConfigsResponse) = 32;
    /// Leaders wanted, preferred or at any price.
    ElectLeaders(ElectLeadersRequest, ElectLeadersResponse) = 43;
    IncrementalAlterConfigs(IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse) = 44;
    /// A voter that wants to lead asks the others, first without obligation (KIP-996).
    Vote(VoteRequest, VoteResponse) = 52;
    /// A new leader of the quorum tells the other voters.
    BeginQuorumEpoch(BeginQuorumEpochRequest, QuorumEpochResponse) = 53;
    /// A leader that resigns asks the other voters to elect another.
    EndQuorumEpoch(EndQuorumEpochRequest, QuorumEpochResponse) = 54;
    DescribeQuorum(DescribeQuorumRequest, DescribeQuorumResponse) = 55;
    /// A snapshot of the metadata log. Kafka sends it in pieces of up to 8 MiB; here it is one message of that size.
    FetchSnapshot(FetchSnapshotRequest, FetchSnapshotResponse) = 59;
    /// Committed offsets of a group are to go (KIP-496).
    OffsetDelete(OffsetDeleteRequest, OffsetDeleteResponse) = 47;
    /// What a broker's log directories hold.
    DescribeLogDirs(DescribeLogDirsRequest, DescribeLogDirsResponse) = 35;
    /// Partitions are to move to other brokers.
    AlterPartitionReassignments(AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse) = 45;
    ListPartitionReassignments(ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse) = 46;
    /// A leader proposes an ISR to the controller.
    AlterPartition(AlterPartitionRequest, AlterPartitionResponse) = 56;
    BrokerRegistration(BrokerRegistrationRequest, BrokerRegistrationResponse) = 62;
    BrokerHeartbeat(BrokerHeartbeatRequest, BrokerHeartbeatResponse) = 63;
    /// A broker asks the controller for a block of producer ids.
    AllocateProducerIds(AllocateProducerIdsRequest, AllocateProducerIdsResponse) = 67;
    /// Share groups (KIP-932): a member and its coordinator.
    ShareGroupHeartbeat(ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse) = 76;
    ShareGroupDescribe(ShareGroupDescribeRequest, ShareGroupDescribeResponse) = 77;
    /// A member acquires records at a partition's leader, and acknowledges others.
    ShareFetch(ShareFetchRequest, ShareFetchResponse) = 78;
    ShareAcknowledge(ShareAcknowledgeRequest, ShareAcknowledgeResponse) = 79;
    /// The share coordinator keeps what partition leaders know of share groups.
    InitializeShareGroupState(InitializeShareGroupStateRequest, InitializeShareGroupStateResponse) = 83;
    ReadShareGroupState(ReadShareGroupStateRequest, ReadShareGroupStateResponse) = 84;
    WriteShareGroupState(WriteShareGroupStateRequest, WriteShareGroupStateResponse) = 85;
    ReadShareGroupStateSummary(ReadShareGroupStateSummaryRequest, ReadShareGroupStateSummaryResponse) = 87;
    DescribeShareGroupOffsets(DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse) = 90;
    /// A Fetch of `__cluster_metadata-0`, by a voter or by a broker as observer. In Kafka it is the Fetch above; it has
    /// its own shape here because its records are typed.
    QuorumFetch(QuorumFetchRequest, QuorumFetchResponse) = 1;
}

/// What a leader of the ensemble sends to a server that joins it.
pub type NewLeader = ensemble::ZabNewLeader<ZkTxn, super::zookeeper::tree::Tree>;

/// The leader a broker knows of, sent along with NOT_LEADER_OR_FOLLOWER and the epoch errors (KIP-951).
pub type CurrentLeader = Option<(BrokerId, LeaderEpoch)>;

#[derive(Clone, Debug)]
pub struct ProduceRequest {
    pub acks: Acks,
    /// How long the leader may wait for the ISR: the producer's `request.timeout.ms`.
    pub timeout: Duration,
    /// One batch a partition.
    pub partitions: Vec<(TopicPartition, Batch)>,
}

#[derive(Clone, Debug)]
pub struct ProduceResponse {
    pub partitions: Vec<PartitionProduceResponse>,
}

#[derive(Clone, Copy, Debug)]
pub struct PartitionProduceResponse {
    pub partition: TopicPartition,
    pub error: ErrorCode,
    /// Offset given to the batch's first record; -1 with an error.
    pub base_offset: Offset,
    pub log_start_offset: Offset,
    pub current_leader: CurrentLeader,
}

/// Without a transactional id: a new producer id, at epoch 0, whoever asks.
#[derive(Clone, Copy, Debug)]
pub struct InitProducerIdRequest {}

#[derive(Clone, Copy, Debug)]
pub struct InitProducerIdResponse {
    pub error: ErrorCode,
    /// -1 with an error, and so is the epoch.
    pub producer_id: i64,
    pub producer_epoch: i16,
}

#[derive(Clone, Copy, Debug)]
pub struct AllocateProducerIdsRequest {
    pub broker: BrokerId,
    pub broker_epoch: BrokerEpoch,
}

#[derive(Clone, Copy, Debug)]
pub struct AllocateProducerIdsResponse {
    pub error: ErrorCode,
    /// The first id of the block; -1 with an error.
    pub producer_id_start: i64,
    pub producer_id_len: i32,
}

#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// A follower's id and epoch; `None` for a consumer.
    pub replica: Option<(BrokerId, BrokerEpoch)>,
    pub max_wait: Duration,
    pub min_bytes: u32,
    pub max_bytes: u32,
    pub isolation: Isolation,
    /// `client.rack` (KIP-392).
    pub rack: Option<Name>,
    pub partitions: Vec<FetchPartition>,
}

#[derive(Clone, Copy, Debug)]
pub struct FetchPartition {
    pub partition: TopicPartition,
    /// The epoch the sender believes in; `None` skips the check.
    pub current_leader_epoch: Option<LeaderEpoch>,
    pub fetch_offset: Offset,
    /// Epoch of the follower's last record, for the divergence check (KIP-595); `None` for a consumer or an empty log.
    pub last_fetched_epoch: Option<LeaderEpoch>,
    /// The follower's own log start; -1 for a consumer.
    pub log_start_offset: Offset,
    pub max_bytes: u32,
}

#[derive(Clone, Debug)]
pub struct FetchResponse {
    pub partitions: Vec<FetchedPartition>,
}

#[derive(Clone, Debug)]
pub struct FetchedPartition {
    pub partition: TopicPartition,
    pub error: ErrorCode,
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    pub log_start_offset: Offset,
    /// Where the follower's log leaves the leader's: truncate, then fetch again.
    pub diverging_epoch: Option<(LeaderEpoch, Offset)>,
    pub current_leader: CurrentLeader,
    /// A nearer replica that the consumer should read from instead (KIP-392).
    pub preferred_read_replica: Option<BrokerId>,
    pub batches: Vec<Batch>,
}

#[derive(Clone, Debug)]
pub struct ListOffsetsRequest {
    /// The follower that asks (ReplicaId); `None` is a client.
    pub replica: Option<BrokerId>,
    pub isolation: Isolation,
    pub partitions: Vec<(TopicPartition, Option<LeaderEpoch>, OffsetSpec)>,
}

/// Which offset ListOffsets asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OffsetSpec {
    /// The log start (-2).
    Earliest,
    /// The first record that is not older, in milliseconds since 1970.
    Timestamp(i64),
    /// The record with the largest timestamp (-3, KIP-734).
    MaxTimestamp,
    /// Where whoever asks may read up to (-1): a client the high watermark or the last stable offset, a follower the log
    /// end.
    Latest,
}

#[derive(Clone, Debug)]
pub struct ListOffsetsResponse {
    /// The offset is -1 with an error.
    pub partitions: Vec<(TopicPartition, ErrorCode, Offset, LeaderEpoch)>,
}

#[derive(Clone, Debug)]
pub struct OffsetForLeaderEpochRequest {
    pub partitions: Vec<EpochQuestion>,
}

#[derive(Clone, Copy, Debug)]
pub struct EpochQuestion {
    pub partition: TopicPartition,
    /// The epoch the sender believes in; `None` skips the check.
    pub current_leader_epoch: Option<LeaderEpoch>,
    /// The epoch whose end is asked for.
    pub leader_epoch: LeaderEpoch,
}

#[derive(Clone, Debug)]
pub struct OffsetForLeaderEpochResponse {
    pub partitions: Vec<EpochEnd>,
}

#[derive(Clone, Copy, Debug)]
pub struct EpochEnd {
    pub partition: TopicPartition,
    pub error: ErrorCode,
    /// The largest epoch that the leader knows and that is not later than the one asked for. `None` where it cannot tell,
    /// and from leaders of before KIP-279.
    pub leader_epoch: Option<LeaderEpoch>,
    /// -1 where the leader cannot tell.
    pub end_offset: Offset,
}

#[derive(Clone, Debug)]
pub struct MetadataRequest {
    /// Topics by name; `None` asks for all.
    pub topics: Option<Vec<Name>>,
    pub allow_auto_topic_creation: bool,
}

#[derive(Clone, Debug)]
pub struct MetadataResponse {
    /// Unfenced brokers and their racks.
    pub brokers: Vec<(BrokerId, Option<Name>)>,
    pub controller: Option<BrokerId>,
    pub topics: Vec<TopicMetadata>,
}

#[derive(Clone, Debug)]
pub struct TopicMetadata {
    pub error: ErrorCode,
    pub name: Name,
    /// Meaningless with an error.
    pub id: TopicId,
    pub internal: bool,
    pub partitions: Vec<PartitionMetadata>,
    /// Settings that differ from the default. In Kafka they come by DescribeConfigs; here that answer rides along.
    pub configs: Vec<(Name, Name)>,
}

#[derive(Clone, Debug)]
pub struct PartitionMetadata {
    /// LEADER_NOT_AVAILABLE where there is none.
    pub error: ErrorCode,
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub replicas: Vec<BrokerId>,
    pub isr: Vec<BrokerId>,
    pub elr: Vec<BrokerId>,
    pub last_known_elr: Vec<BrokerId>,
    pub offline_replicas: Vec<BrokerId>,
    /// Replicas that a reassignment adds. In Kafka these two come by ListPartitionReassignments; here they ride along.
    pub adding_replicas: Vec<BrokerId>,
    pub removing_replicas: Vec<BrokerId>,
}

#[derive(Clone, Debug)]
pub struct FindCoordinatorRequest {
    /// `group.id`.
    pub key: Name,
}

#[derive(Clone, Debug)]
pub struct FindCoordinatorResponse {
    pub error: ErrorCode,
    pub coordinator: Option<BrokerId>,
}

#[derive(Clone, Debug)]
pub struct JoinGroupRequest {
    pub group: Name,
    /// Of the request itself: before 4 a new member was let in without an id of its own, before 9 a static leader that
    /// came back could not be told to skip the assignment (KIP-394, KIP-814).
    pub version: i16,
    /// `consumer`; groups of other kinds, as Kafka Connect's, have others.
    pub protocol_type: Name,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    /// Empty for a new member.
    pub member_id: Name,
    pub group_instance_id: Option<Name>,
    /// `client.id`: the first part of the member id that the coordinator makes up.
    pub client_id: Name,
    /// Supported assignors, the preferred one first, each with what the member tells the group's leader.
    pub protocols: Vec<(Name, Rc<Subscription>)>,
}

impl JoinGroupRequest {
    /// The newest version, which every client here speaks.
    pub const VERSION: i16 = 9;
}

/// `ConsumerProtocolSubscription`: what a member tells the leader of its group.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subscription {
    pub topics: Vec<Name>,
    /// Partitions held, by topic name (cooperative protocols).
    pub owned_partitions: Vec<(Name, u32)>,
    pub generation: Option<Generation>,
    pub rack: Option<Name>,
    /// What the assignor adds for the eyes of the leader's assignor.
    pub user_data: Option<UserData>,
}

/// What an assignor remembers between two assignments, and sends along (`ConsumerPartitionAssignor.subscriptionUserData`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UserData {
    /// `StickyAssignor`, which is eager and owns nothing when it joins: what it was last given, and in which generation.
    Sticky { partitions: Vec<(Name, u32)>, generation: Option<Generation> },
    /// `CooperativeStickyAssignor`: the generation of its last assignment; what it owns stands in the subscription.
    Cooperative { generation: Option<Generation> },
}

impl Subscription {
    /// The protocol type of groups whose members say this (`ConsumerProtocol.PROTOCOL_TYPE`).
    pub const PROTOCOL_TYPE: &str = "consumer";
}

/// `ConsumerProtocolAssignment`: a member's partitions, by topic name.
pub type Assignment = Rc<[(Name, u32)]>;

#[derive(Clone, Debug)]
pub struct JoinGroupResponse {
    pub error: ErrorCode,
    pub generation: Generation,
    pub protocol: Option<Name>,
    pub leader: Name,
    /// With MEMBER_ID_REQUIRED: the id to join again with.
    pub member_id: Name,
    /// For a static member that leads again without a rebalance (KIP-814).
    pub skip_assignment: bool,
    /// Member id, instance id and subscription of every member; empty but for the leader.
    pub members: Vec<(Name, Option<Name>, Rc<Subscription>)>,
}

#[derive(Clone, Debug)]
pub struct SyncGroupRequest {
    pub group: Name,
    pub generation: Generation,
    pub member_id: Name,
    pub group_instance_id: Option<Name>,
    pub protocol: Option<Name>,
    /// By member id; empty but from the leader.
    pub assignments: Vec<(Name, Assignment)>,
}

#[derive(Clone, Debug)]
pub struct SyncGroupResponse {
    pub error: ErrorCode,
    pub protocol: Option<Name>,
    pub assignment: Assignment,
}

#[derive(Clone, Debug)]
pub struct HeartbeatRequest {
    pub group: Name,
    pub generation: Generation,
    pub member_id: Name,
    pub group_instance_id: Option<Name>,
}

#[derive(Clone, Copy, Debug)]
pub struct HeartbeatResponse {
    pub error: ErrorCode,
}

#[derive(Clone, Debug)]
pub struct LeaveGroupRequest {
    pub group: Name,
    /// Member id and instance id.
    pub members: Vec<(Name, Option<Name>)>,
    /// For the coordinator's log; Kafka sends it as a sentence (KIP-800).
    pub reason: LeaveReason,
}

#[derive(Clone, Debug)]
pub struct LeaveGroupResponse {
    pub error: ErrorCode,
    pub members: Vec<(Name, ErrorCode)>,
}

#[derive(Clone, Debug)]
pub struct OffsetCommitRequest {
    pub group: Name,
    /// `None` from a consumer without a group membership.
    pub generation: Option<Generation>,
    /// Empty likewise.
    pub member_id: Name,
    pub group_instance_id: Option<Name>,
    /// Next offset to read, and the epoch of the record before it.
    pub partitions: Vec<(TopicPartition, Offset, Option<LeaderEpoch>)>,
}

#[derive(Clone, Debug)]
pub struct OffsetCommitResponse {
    pub partitions: Vec<(TopicPartition, ErrorCode)>,
}

#[derive(Clone, Debug)]
pub struct OffsetFetchRequest {
    pub group: Name,
    /// Member id and epoch of a member of the consumer protocol (KIP-848).
    pub member: Option<(Name, Generation)>,
    /// `None` asks for every partition the group has committed.
    pub partitions: Option<Vec<TopicPartition>>,
}

#[derive(Clone, Debug)]
pub struct OffsetFetchResponse {
    pub error: ErrorCode,
    /// Offset -1 where nothing is committed.
    pub partitions: Vec<(TopicPartition, Offset, Option<LeaderEpoch>)>,
}

/// The filters have no regard to case; an empty one lets all pass.
#[derive(Clone, Debug, Default)]
pub struct ListGroupsRequest {
    pub states: Vec<Name>,
    pub types: Vec<Name>,
}

#[derive(Clone, Debug)]
pub struct ListGroupsResponse {
    pub error: ErrorCode,
    pub groups: Vec<ListedGroup>,
}

/// One group of a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedGroup {
    pub group: Name,
    /// `Classic`, `Consumer` or `Share`.
    pub kind: Name,
    pub state: Name,
    /// `consumer`, `share`; empty for a group that nobody has ever joined.
    pub protocol_type: Name,
}

#[derive(Clone, Debug)]
pub struct DescribeGroupsRequest {
    pub groups: Vec<Name>,
}

#[derive(Clone, Debug)]
pub struct DescribeGroupsResponse {
    pub groups: Vec<DescribedGroup>,
}

#[derive(Clone, Debug)]
pub struct DescribedGroup {
    pub error: ErrorCode,
    pub group: Name,
    /// `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Stable`, `Dead`.
    pub state: Name,
    /// As in [`ListedGroup`].
    pub protocol_type: Name,
    /// The assignor of a group that is Stable.
    pub protocol: Name,
    pub members: Vec<DescribedMember>,
}

#[derive(Clone, Debug)]
pub struct DescribedMember {
    pub member_id: Name,
    pub group_instance_id: Option<Name>,
    pub client_id: Name,
    /// The machine it runs on, as Kafka's tools print it: `/consumer-c1`.
    pub host: Name,
    pub assignment: Assignment,
}

#[derive(Clone, Debug)]
pub struct CreateTopicsRequest {
    pub topics: Vec<NewTopic>,
    pub timeout: Duration,
}

#[derive(Clone, Debug)]
pub struct NewTopic {
    pub name: Name,
    /// `None`: the broker's `num.partitions`.
    pub partitions: Option<u32>,
    /// `None`: the broker's `default.replication.factor`.
    pub replication_factor: Option<u32>,
    /// By partition; empty lets the controller place the replicas.
    pub assignment: Vec<Vec<BrokerId>>,
    pub configs: Vec<(Name, Name)>,
}

/// What became of one topic, with Kafka's sentence for an error.
#[derive(Clone, Debug)]
pub struct TopicResult {
    pub name: Name,
    pub error: ErrorCode,
    pub message: Option<Name>,
}

#[derive(Clone, Debug)]
pub struct CreateTopicsResponse {
    pub topics: Vec<TopicResult>,
}

#[derive(Clone, Debug)]
pub struct DeleteTopicsRequest {
    pub topics: Vec<Name>,
    pub timeout: Duration,
}

#[derive(Clone, Debug)]
pub struct DeleteTopicsResponse {
    pub topics: Vec<TopicResult>,
}

#[derive(Clone, Debug)]
pub struct CreatePartitionsRequest {
    /// Topic and its new number of partitions.
    pub topics: Vec<(Name, u32)>,
    pub timeout: Duration,
}

#[derive(Clone, Debug)]
pub struct CreatePartitionsResponse {
    pub topics: Vec<TopicResult>,
}

#[derive(Clone, Debug)]
pub struct IncrementalAlterConfigsRequest {
    /// Topic, key and value; `None` removes the override.
    pub topics: Vec<(Name, Name, Option<Name>)>,
    /// The same for the default of all brokers.
    pub cluster: Vec<(Name, Option<Name>)>,
    /// The same for one broker.
    pub brokers: Vec<(BrokerId, Name, Option<Name>)>,
}

#[derive(Clone, Debug)]
pub struct IncrementalAlterConfigsResponse {
    pub results: Vec<TopicResult>,
}

/// What settings belong to, as clients name it (`ConfigResource`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigEntity {
    Topic(Name),
    Broker(BrokerId),
    /// The default of every broker.
    Brokers,
}

#[derive(Clone, Debug)]
pub struct DescribeConfigsRequest {
    pub entity: ConfigEntity,
}

#[derive(Clone, Debug)]
pub struct DescribeConfigsResponse {
    pub error: ErrorCode,
    pub message: Option<Name>,
    /// By name.
    pub configs: Vec<DescribedConfig>,
}

/// One setting: its value and where that comes from, and every other value that would count without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConfig {
    pub name: Name,
    pub value: Name,
    pub source: ConfigSource,
    /// Source, name there, and value; the first one counts.
    pub synonyms: Vec<(ConfigSource, Name, Name)>,
}

/// Where a setting's value comes from (`DescribeConfigsResponse.ConfigSource`); the first that has one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigSource {
    DynamicTopic,
    DynamicBroker,
    DynamicDefaultBroker,
    StaticBroker,
    Default,
}

impl ConfigSource {
    /// Kafka's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DynamicTopic => "DYNAMIC_TOPIC_CONFIG",
            Self::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
            Self::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            Self::StaticBroker => "STATIC_BROKER_CONFIG",
            Self::Default => "DEFAULT_CONFIG",
        }
    }
}

#[derive(Clone, Debug)]
pub struct ElectLeadersRequest {
    pub election: ElectionType,
    /// Topic and partition; `None` asks for all.
    pub partitions: Option<Vec<(Name, u32)>>,
    pub timeout: Duration,
}

/// Which leaders ElectLeaders asks for (`ElectionType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElectionType {
    /// The first replica, where another leads.
    Preferred,
    /// Any replica, where none leads.
    Unclean,
}

impl ElectionType {
    /// Kafka's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Preferred => "PREFERRED",
            Self::Unclean => "UNCLEAN",
        }
    }
}

/// What became of one partition, with Kafka's sentence for an error.
#[derive(Clone, Debug)]
pub struct PartitionResult {
    pub topic: Name,
    pub partition: u32,
    pub error: ErrorCode,
    pub message: Option<Name>,
}

#[derive(Clone, Debug)]
pub struct ElectLeadersResponse {
    pub error: ErrorCode,
    /// Of all partitions, those that needed no election are left out.
    pub partitions: Vec<PartitionResult>,
}

#[derive(Clone, Debug)]
pub struct AlterPartitionReassignmentsRequest {
    /// KIP-860.
    pub allow_replication_factor_change: bool,
    /// Topic, partition, and the replicas it is to have; `None` cancels what is under way.
    pub partitions: Vec<(Name, u32, Option<Vec<BrokerId>>)>,
    pub timeout: Duration,
}

#[derive(Clone, Debug)]
pub struct AlterPartitionReassignmentsResponse {
    pub error: ErrorCode,
    pub partitions: Vec<PartitionResult>,
}

#[derive(Clone, Debug)]
pub struct ListPartitionReassignmentsRequest {
    /// Topic and partition; `None` asks for all.
    pub partitions: Option<Vec<(Name, u32)>>,
}

#[derive(Clone, Debug)]
pub struct ListPartitionReassignmentsResponse {
    pub error: ErrorCode,
    pub partitions: Vec<OngoingReassignment>,
}

/// A partition that moves.
#[derive(Clone, Debug)]
pub struct OngoingReassignment {
    pub topic: Name,
    pub partition: u32,
    /// All of them, those on their way in and out included.
    pub replicas: Vec<BrokerId>,
    pub adding: Vec<BrokerId>,
    pub removing: Vec<BrokerId>,
}

#[derive(Clone, Debug)]
pub struct DescribeLogDirsRequest {
    /// `None` asks for all.
    pub topics: Option<Vec<TopicId>>,
}

/// One log directory; a broker has one here.
#[derive(Clone, Debug)]
pub struct DescribeLogDirsResponse {
    pub error: ErrorCode,
    pub replicas: Vec<DescribedReplica>,
}

#[derive(Clone, Copy, Debug)]
pub struct DescribedReplica {
    pub partition: TopicPartition,
    /// Bytes of its log.
    pub size: u64,
    /// How far its log end is behind its high watermark.
    pub offset_lag: Offset,
}

#[derive(Clone, Debug)]
pub struct AlterPartitionRequest {
    pub broker: BrokerId,
    pub broker_epoch: BrokerEpoch,
    pub partitions: Vec<AlterPartition>,
}

#[derive(Clone, Debug)]
pub struct AlterPartition {
    pub partition: TopicPartition,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    /// With the epochs of the brokers, so that a restarted one is recognised (KIP-903); -1 where unknown.
    pub new_isr: Vec<(BrokerId, BrokerEpoch)>,
}

#[derive(Clone, Debug)]
pub struct AlterPartitionResponse {
    pub error: ErrorCode,
    pub partitions: Vec<AlteredPartition>,
}

#[derive(Clone, Debug)]
pub struct AlteredPartition {
    pub partition: TopicPartition,
    pub error: ErrorCode,
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub isr: Vec<BrokerId>,
    pub partition_epoch: PartitionEpoch,
}

impl AlteredPartition {
    /// The proposal counts nothing; the fields besides the error are the protocol's defaults.
    pub fn refused(partition: TopicPartition, error: ErrorCode) -> Self {
        Self {
            partition,
            error,
            leader: None,
            leader_epoch: LeaderEpoch(-1),
            isr: Vec::new(),
            partition_epoch: PartitionEpoch(-1),
        }
    }
}

#[derive(Clone, Debug)]
pub struct BrokerRegistrationRequest {
    pub broker: BrokerId,
    /// Random at each start of the broker.
    pub incarnation: u64,
    pub rack: Option<Name>,
    /// From the clean-shutdown file; `None` after a crash (KIP-966).
    pub previous_broker_epoch: Option<BrokerEpoch>,
}

#[derive(Clone, Copy, Debug)]
pub struct BrokerRegistrationResponse {
    pub error: ErrorCode,
    pub broker_epoch: BrokerEpoch,
}

#[derive(Clone, Copy, Debug)]
pub struct BrokerHeartbeatRequest {
    pub broker: BrokerId,
    pub broker_epoch: BrokerEpoch,
    /// How much of the metadata log the broker has applied.
    pub current_metadata_offset: Offset,
    pub want_fence: bool,
    pub want_shut_down: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct BrokerHeartbeatResponse {
    pub error: ErrorCode,
    pub is_caught_up: bool,
    pub is_fenced: bool,
    pub should_shut_down: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct QuorumFetchRequest {
    /// A voter or, as observer, a broker.
    pub replica: Node,
    pub epoch: LeaderEpoch,
    pub fetch_offset: Offset,
    pub last_fetched_epoch: Option<LeaderEpoch>,
    /// What the sender knows, so that the leader can tell news at once (KIP-1166); -1 where it knows nothing.
    pub high_watermark: Offset,
    pub max_wait: Duration,
}

#[derive(Clone, Debug)]
pub struct QuorumFetchResponse {
    pub error: ErrorCode,
    /// The leader that the answering voter knows of.
    pub leader: Option<ControllerId>,
    pub epoch: LeaderEpoch,
    /// -1 until a record of the leader's own epoch is committed.
    pub high_watermark: Offset,
    pub diverging_epoch: Option<(LeaderEpoch, Offset)>,
    /// The sender lacks records that are no longer in the log: it is to fetch this snapshot first.
    pub snapshot_id: Option<SnapshotId>,
    pub batches: Vec<MetadataBatch>,
}

#[derive(Clone, Copy, Debug)]
pub struct VoteRequest {
    pub candidate: ControllerId,
    /// The candidate's epoch; for a pre-vote the one before it.
    pub epoch: LeaderEpoch,
    pub last_epoch: LeaderEpoch,
    pub last_offset: Offset,
    pub pre_vote: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct VoteResponse {
    pub error: ErrorCode,
    pub leader: Option<ControllerId>,
    pub epoch: LeaderEpoch,
    pub vote_granted: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct BeginQuorumEpochRequest {
    pub leader: ControllerId,
    pub epoch: LeaderEpoch,
}

#[derive(Clone, Debug)]
pub struct EndQuorumEpochRequest {
    pub leader: ControllerId,
    pub epoch: LeaderEpoch,
    /// The voter with the longest log first.
    pub preferred_successors: Vec<ControllerId>,
}

/// The answer to BeginQuorumEpoch and to EndQuorumEpoch.
#[derive(Clone, Copy, Debug)]
pub struct QuorumEpochResponse {
    pub error: ErrorCode,
    pub leader: Option<ControllerId>,
    pub epoch: LeaderEpoch,
}

#[derive(Clone, Copy, Debug)]
pub struct FetchSnapshotRequest {
    /// A voter or, as observer, a broker.
    pub replica: Node,
    pub epoch: LeaderEpoch,
    pub snapshot_id: SnapshotId,
}

#[derive(Clone, Debug)]
pub struct FetchSnapshotResponse {
    pub error: ErrorCode,
    pub leader: Option<ControllerId>,
    pub epoch: LeaderEpoch,
    pub snapshot: Option<MetadataSnapshot>,
}

#[derive(Clone, Copy, Debug)]
pub struct DescribeQuorumRequest {}

#[derive(Clone, Debug)]
pub struct DescribeQuorumResponse {
    pub error: ErrorCode,
    pub leader: Option<ControllerId>,
    pub epoch: LeaderEpoch,
    pub high_watermark: Offset,
    /// The leader is one of them.
    pub voters: Vec<QuorumReplica>,
    pub observers: Vec<QuorumReplica>,
}

/// A copy of the metadata log as the leader of the quorum sees it.
#[derive(Clone, Copy, Debug)]
pub struct QuorumReplica {
    pub replica: Node,
    /// -1 where it is not known.
    pub log_end: Offset,
    /// Milliseconds of the wall clock; -1 where it has not fetched.
    pub last_fetch_timestamp: i64,
    /// When it had everything that the leader had then.
    pub last_caught_up_timestamp: i64,
}

impl Message {
    pub const fn api(&self) -> Api {
        match self {
            Self::Request { request, .. } => request.api(),
            Self::Response { response, .. } => response.api(),
        }
    }

    pub const fn correlation_id(&self) -> u32 {
        match self {
            Self::Request { correlation_id, .. } | Self::Response { correlation_id, .. } => *correlation_id,
        }
    }

    pub const fn is_request(&self) -> bool {
        matches!(self, Self::Request { .. })
    }

    /// How many znodes a ZooKeeper server looks up for it.
    pub fn znodes(&self) -> u64 {
        match self {
            Self::Request { request: Request::ZkRequest(request), .. } => request.op.znodes(),
            _ => 0,
        }
    }

    /// About how many bytes it takes on the wire: the record batches, and a round figure for everything else.
    pub fn wire_bytes(&self) -> u64 {
        const HEADER: u64 = 60;
        const ENTRY: u64 = 40;
        let entries = |count: usize| ENTRY * count as u64;
        let body = match self {
            Self::Request { request, .. } => match request {
                Request::Produce(produce) => produce.partitions.iter().map(|(_, batch)| batch.size() + 20).sum(),
                Request::Fetch(fetch) => entries(fetch.partitions.len()),
                Request::OffsetForLeaderEpoch(asked) => entries(asked.partitions.len()),
                Request::OffsetCommit(commit) => entries(commit.partitions.len()),
                Request::ShareFetch(fetch) => entries(fetch.partitions.len()),
                Request::ShareAcknowledge(acknowledge) => entries(acknowledge.partitions.len()),
                Request::SyncGroup(sync) => {
                    sync.assignments.iter().map(|(_, partitions)| 40 + 20 * partitions.len() as u64).sum()
                }
                Request::AlterPartition(alter) => entries(alter.partitions.len()),
                Request::LeaderAndIsr(push) => entries(push.partitions.len()),
                Request::UpdateMetadata(push) => entries(push.partitions.len()),
                Request::StopReplica(push) => entries(push.partitions.len()),
                Request::ZabNewLeader(history) => {
                    entries(history.txns.len() + history.snapshot.as_ref().map_or(0, |tree| tree.len()))
                }
                _ => ENTRY,
            },
            Self::Response { response, .. } => match response {
                Response::Fetch(fetch) => fetch
                    .partitions
                    .iter()
                    .map(|fetched| ENTRY + fetched.batches.iter().map(Batch::size).sum::<u64>())
                    .sum(),
                Response::ShareFetch(fetch) => fetch
                    .partitions
                    .iter()
                    .map(|fetched| ENTRY + fetched.batches.iter().map(Batch::size).sum::<u64>())
                    .sum(),
                Response::Produce(produce) => entries(produce.partitions.len()),
                Response::Metadata(metadata) => {
                    metadata.topics.iter().map(|topic| 40 + entries(topic.partitions.len())).sum()
                }
                Response::QuorumFetch(fetch) => fetch.batches.iter().map(|batch| entries(batch.records.len())).sum(),
                Response::FetchSnapshot(fetch) => {
                    fetch.snapshot.as_ref().map_or(0, |snapshot| entries(snapshot.image.record_count() as usize))
                }
                Response::JoinGroup(join) => entries(join.members.len()),
                _ => ENTRY,
            },
        };
        HEADER + body
    }
}
