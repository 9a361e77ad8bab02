//! What a controller in ZooKeeper mode tells brokers, one by one. With KRaft all of this is gone: brokers fetch a log.
//!
//! Every request carries the controller's epoch, and the epoch of the broker it is meant for (KIP-380); a broker turns
//! away what comes from a controller of the past, or is meant for an earlier life of its own.
//!
//! What we leave out: endpoints, log directories, the incremental kinds of KIP-516.

use std::rc::Rc;

use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{BrokerEpoch, BrokerId, Name, TopicId, TopicPartition};
use crate::kafka::metadata::PartitionRegistration;

/// The controller that speaks, and whom it speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushHeader {
    pub controller: BrokerId,
    pub controller_epoch: i32,
    pub broker_epoch: BrokerEpoch,
}

/// A partition's state; its partition epoch is the version of its znode.
pub type PushedPartition = (TopicPartition, PartitionRegistration);

/// To the brokers that hold replicas: lead, or follow.
#[derive(Clone, Debug)]
pub struct LeaderAndIsrRequest {
    pub header: PushHeader,
    pub topics: Vec<(TopicId, Name)>,
    pub partitions: Vec<PushedPartition>,
}

#[derive(Clone, Copy, Debug)]
pub struct LeaderAndIsrResponse {
    pub error: ErrorCode,
}

/// To every broker: what clients may be told.
#[derive(Clone, Debug)]
pub struct UpdateMetadataRequest {
    pub header: PushHeader,
    pub live_brokers: Rc<[(BrokerId, Option<Name>)]>,
    pub topics: Rc<[(TopicId, Name)]>,
    pub partitions: Rc<[PushedPartition]>,
    /// Topics that are being deleted (`LeaderDuringDelete`).
    pub deleted: Vec<TopicId>,
}

#[derive(Clone, Copy, Debug)]
pub struct UpdateMetadataResponse {
    pub error: ErrorCode,
}

/// To brokers whose replicas end, for now or for good.
#[derive(Clone, Debug)]
pub struct StopReplicaRequest {
    pub header: PushHeader,
    pub partitions: Vec<TopicPartition>,
    pub delete: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct StopReplicaResponse {
    pub error: ErrorCode,
}

/// A broker wants to stop and asks for its leaderships to be moved away.
#[derive(Clone, Copy, Debug)]
pub struct ControlledShutdownRequest {
    pub broker: BrokerId,
    pub broker_epoch: BrokerEpoch,
}

#[derive(Clone, Debug)]
pub struct ControlledShutdownResponse {
    pub error: ErrorCode,
    /// What it still leads; it may stop when there is nothing.
    pub remaining: Vec<TopicPartition>,
}
