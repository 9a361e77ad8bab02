//! Kafka's error codes: what a broker answers is data, never a failure of ours.
//!
//! Codes and retriability: `org.apache.kafka.common.protocol.Errors`.

use std::fmt;

macro_rules! errors {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $name:literal, $retriable:literal;)*) => {
        /// The error of a reply, by Kafka's code.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)*
        }

        impl ErrorCode {
            /// The number in the protocol.
            pub const fn code(self) -> i16 {
                match self { $(Self::$variant => $code,)* }
            }

            /// Kafka's name, as `NOT_ENOUGH_REPLICAS`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whether Kafka's exception for it is a `RetriableException`.
            pub const fn is_retriable(self) -> bool {
                match self { $(Self::$variant => $retriable,)* }
            }
        }
    };
}

errors! {
    /// Anything unexpected on the server.
    UnknownServerError = -1, "UNKNOWN_SERVER_ERROR", false;
    #[default]
    /// Success.
    None = 0, "NONE", false;
    /// Fetch offset below log start or above log end.
    OffsetOutOfRange = 1, "OFFSET_OUT_OF_RANGE", false;
    /// CRC or size check failed.
    CorruptMessage = 2, "CORRUPT_MESSAGE", true;
    /// Broker has no such partition (or no permission to see it).
    UnknownTopicOrPartition = 3, "UNKNOWN_TOPIC_OR_PARTITION", true;
    /// Partition has no leader yet (metadata).
    LeaderNotAvailable = 5, "LEADER_NOT_AVAILABLE", true;
    /// Wrong broker for this request.
    NotLeaderOrFollower = 6, "NOT_LEADER_OR_FOLLOWER", true;
    /// Acks not complete in time, or admin change not done in time.
    RequestTimedOut = 7, "REQUEST_TIMED_OUT", true;
    /// Batch above max.message.bytes.
    MessageTooLarge = 10, "MESSAGE_TOO_LARGE", false;
    /// The request comes from a controller that has been replaced (ZooKeeper mode).
    StaleControllerEpoch = 11, "STALE_CONTROLLER_EPOCH", false;
    /// Commit metadata above the limit.
    OffsetMetadataTooLarge = 12, "OFFSET_METADATA_TOO_LARGE", false;
    /// Client side: connection lost before the answer.
    NetworkException = 13, "NETWORK_EXCEPTION", true;
    /// Coordinator is replaying its partition.
    CoordinatorLoadInProgress = 14, "COORDINATOR_LOAD_IN_PROGRESS", true;
    /// No coordinator yet, or its append failed.
    CoordinatorNotAvailable = 15, "COORDINATOR_NOT_AVAILABLE", true;
    /// Other broker coordinates this group/transaction.
    NotCoordinator = 16, "NOT_COORDINATOR", true;
    /// Bad or internal topic name, or name collision.
    InvalidTopicException = 17, "INVALID_TOPIC_EXCEPTION", false;
    /// Batch larger than a segment.
    RecordListTooLarge = 18, "RECORD_LIST_TOO_LARGE", false;
    /// Acks=all and ISR below min ISR, not written.
    NotEnoughReplicas = 19, "NOT_ENOUGH_REPLICAS", true;
    /// ISR fell below min ISR after the write.
    NotEnoughReplicasAfterAppend = 20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", true;
    /// Acks not -1, 0, 1.
    InvalidRequiredAcks = 21, "INVALID_REQUIRED_ACKS", false;
    /// Generation is not the current one.
    IllegalGeneration = 22, "ILLEGAL_GENERATION", false;
    /// No common assignor / protocol type mismatch.
    InconsistentGroupProtocol = 23, "INCONSISTENT_GROUP_PROTOCOL", false;
    /// Empty or bad group id.
    InvalidGroupId = 24, "INVALID_GROUP_ID", false;
    /// Coordinator does not know the member.
    UnknownMemberId = 25, "UNKNOWN_MEMBER_ID", false;
    /// Outside broker bounds.
    InvalidSessionTimeout = 26, "INVALID_SESSION_TIMEOUT", false;
    /// Rejoin needed.
    RebalanceInProgress = 27, "REBALANCE_IN_PROGRESS", false;
    /// CreateTime outside the allowed window.
    InvalidTimestamp = 32, "INVALID_TIMESTAMP", false;
    /// API version not supported.
    UnsupportedVersion = 35, "UNSUPPORTED_VERSION", false;
    /// Create of an existing topic.
    TopicAlreadyExists = 36, "TOPIC_ALREADY_EXISTS", false;
    /// Partition count < 1 or not an increase.
    InvalidPartitions = 37, "INVALID_PARTITIONS", false;
    /// < 1 or more than brokers.
    InvalidReplicationFactor = 38, "INVALID_REPLICATION_FACTOR", false;
    /// Bad manual assignment.
    InvalidReplicaAssignment = 39, "INVALID_REPLICA_ASSIGNMENT", false;
    /// Unknown config or bad value.
    InvalidConfig = 40, "INVALID_CONFIG", false;
    /// Ask the active controller.
    NotController = 41, "NOT_CONTROLLER", true;
    /// Malformed or contradictory request.
    InvalidRequest = 42, "INVALID_REQUEST", false;
    /// Sequence gap (client handles specially).
    OutOfOrderSequenceNumber = 45, "OUT_OF_ORDER_SEQUENCE_NUMBER", false;
    /// Old duplicate; clients count it as success.
    DuplicateSequenceNumber = 46, "DUPLICATE_SEQUENCE_NUMBER", false;
    /// Partition leader saw a newer epoch.
    InvalidProducerEpoch = 47, "INVALID_PRODUCER_EPOCH", false;
    /// Operation not allowed in this transaction state.
    InvalidTxnState = 48, "INVALID_TXN_STATE", false;
    /// Marker from an old coordinator epoch.
    TransactionCoordinatorFenced = 52, "TRANSACTION_COORDINATOR_FENCED", false;
    /// Skipped because another part failed.
    OperationNotAttempted = 55, "OPERATION_NOT_ATTEMPTED", false;
    /// Log directory offline.
    KafkaStorageError = 56, "KAFKA_STORAGE_ERROR", true;
    /// Another reassignment runs.
    ReassignmentInProgress = 60, "REASSIGNMENT_IN_PROGRESS", false;
    /// Group has members.
    NonEmptyGroup = 68, "NON_EMPTY_GROUP", false;
    /// No such group.
    GroupIdNotFound = 69, "GROUP_ID_NOT_FOUND", false;
    /// Fetch session evicted: send a full fetch.
    FetchSessionIdNotFound = 70, "FETCH_SESSION_ID_NOT_FOUND", true;
    /// Request has an older leader epoch.
    FencedLeaderEpoch = 74, "FENCED_LEADER_EPOCH", true;
    /// Request has a newer leader epoch.
    UnknownLeaderEpoch = 75, "UNKNOWN_LEADER_EPOCH", true;
    /// Broker re-registered meanwhile.
    StaleBrokerEpoch = 77, "STALE_BROKER_EPOCH", false;
    /// New leader's HW not caught up yet.
    OffsetNotAvailable = 78, "OFFSET_NOT_AVAILABLE", true;
    /// Rejoin with the id in this answer.
    MemberIdRequired = 79, "MEMBER_ID_REQUIRED", false;
    /// Preferred replica not in ISR or down.
    PreferredLeaderNotAvailable = 80, "PREFERRED_LEADER_NOT_AVAILABLE", true;
    /// Group is full.
    GroupMaxSizeReached = 81, "GROUP_MAX_SIZE_REACHED", false;
    /// Another member took this instance id.
    FencedInstanceId = 82, "FENCED_INSTANCE_ID", false;
    /// Nobody can lead.
    EligibleLeadersNotAvailable = 83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", true;
    /// Leader is already right.
    ElectionNotNeeded = 84, "ELECTION_NOT_NEEDED", true;
    /// Nothing to cancel.
    NoReassignmentInProgress = 85, "NO_REASSIGNMENT_IN_PROGRESS", false;
    /// Offsets of a topic that a member reads are not deleted.
    GroupSubscribedToTopic = 86, "GROUP_SUBSCRIBED_TO_TOPIC", false;
    /// Record failed validation.
    InvalidRecord = 87, "INVALID_RECORD", false;
    /// Stale partition epoch.
    InvalidUpdateVersion = 95, "INVALID_UPDATE_VERSION", false;
    /// The snapshot asked for is not here (any more).
    SnapshotNotFound = 98, "SNAPSHOT_NOT_FOUND", false;
    /// Topic id not hosted here.
    UnknownTopicId = 100, "UNKNOWN_TOPIC_ID", true;
    /// Broker id alive elsewhere.
    DuplicateBrokerRegistration = 101, "DUPLICATE_BROKER_REGISTRATION", false;
    /// Heartbeat of an unregistered broker.
    BrokerIdNotRegistered = 102, "BROKER_ID_NOT_REGISTERED", false;
    /// Wrong cluster.
    InconsistentClusterId = 104, "INCONSISTENT_CLUSTER_ID", false;
    /// Proposed ISR has a fenced/stale replica.
    IneligibleReplica = 107, "INELIGIBLE_REPLICA", false;
    /// ISR change applied and leadership moved.
    NewLeaderElected = 108, "NEW_LEADER_ELECTED", false;
    /// Member epoch is not the current one.
    FencedMemberEpoch = 110, "FENCED_MEMBER_EPOCH", false;
    /// The holder of the instance id has not left.
    UnreleasedInstanceId = 111, "UNRELEASED_INSTANCE_ID", false;
    /// No such server-side assignor.
    UnsupportedAssignor = 112, "UNSUPPORTED_ASSIGNOR", false;
    /// Commit or fetch of offsets with another member epoch.
    StaleMemberEpoch = 113, "STALE_MEMBER_EPOCH", false;
    /// Share acknowledge of a record not held.
    InvalidRecordState = 121, "INVALID_RECORD_STATE", false;
    /// Share session is unknown: open another.
    ShareSessionNotFound = 122, "SHARE_SESSION_NOT_FOUND", true;
    /// Request out of turn in a share session.
    InvalidShareSessionEpoch = 123, "INVALID_SHARE_SESSION_EPOCH", true;
    /// Share state of a newer epoch is known.
    FencedStateEpoch = 124, "FENCED_STATE_EPOCH", false;
    /// Regular expression of a subscription that cannot be read.
    InvalidRegularExpression = 128, "INVALID_REGULAR_EXPRESSION", false;
}

impl ErrorCode {
    pub const fn is_none(self) -> bool {
        matches!(self, Self::None)
    }

    /// Whether a client that meets it asks for fresh metadata (Kafka's `InvalidMetadataException`).
    pub const fn is_stale_metadata(self) -> bool {
        matches!(
            self,
            Self::UnknownTopicOrPartition
                | Self::LeaderNotAvailable
                | Self::NotLeaderOrFollower
                | Self::FencedLeaderEpoch
                | Self::UnknownLeaderEpoch
                | Self::UnknownTopicId
                | Self::NetworkException
                | Self::KafkaStorageError
        )
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
