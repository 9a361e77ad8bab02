//! Requests that only the controller answers, and what is answered by a broker that is not it, or not any more.
//!
//! Kafka's controller does its events one after the other, and each that came as a request first asks whether this broker
//! is still the controller (`KafkaController.processAlterPartition` and its fellows). A session that ends throws the
//! queue away, and with it the proposals of leaders, who hear nothing before their request times out
//! (`ControllerEventManager.clearAndPut`); here they are answered like the others.

use super::{Step, admin, partitions::Then};
use crate::kafka::controller::producer_ids;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{BrokerEpoch, BrokerId, Name, Node};
use crate::kafka::message::push::ControlledShutdownResponse;
use crate::kafka::message::{
    AllocateProducerIdsRequest, AlterPartitionRequest, AlterPartitionResponse, CreatePartitionsRequest,
    CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, Request, Response, TopicResult,
};

/// A request that only the controller answers.
#[derive(Clone, Debug)]
pub(super) enum AdminRequest {
    AlterPartition(AlterPartitionRequest),
    ControlledShutdown { broker: BrokerId, epoch: BrokerEpoch },
    CreateTopics(CreateTopicsRequest),
    DeleteTopics(DeleteTopicsRequest),
    CreatePartitions(CreatePartitionsRequest),
    AlterConfigs(IncrementalAlterConfigsRequest),
    AllocateProducerIds(AllocateProducerIdsRequest),
}

impl AdminRequest {
    /// `None` where it is not the controller's business.
    pub(super) fn of(request: Request) -> Option<Self> {
        Some(match request {
            Request::AlterPartition(request) => Self::AlterPartition(request),
            Request::ControlledShutdown(request) => {
                Self::ControlledShutdown { broker: request.broker, epoch: request.broker_epoch }
            }
            Request::CreateTopics(request) => Self::CreateTopics(request),
            Request::DeleteTopics(request) => Self::DeleteTopics(request),
            Request::CreatePartitions(request) => Self::CreatePartitions(request),
            Request::IncrementalAlterConfigs(request) => Self::AlterConfigs(request),
            Request::AllocateProducerIds(request) => Self::AllocateProducerIds(request),
            _ => return None,
        })
    }

    /// What a broker that is not the controller answers.
    pub(super) fn not_controller(&self) -> Response {
        let error = ErrorCode::NotController;
        let refused = |name: &Name| TopicResult { name: name.clone(), error, message: None };
        match self {
            Self::AlterPartition(_) => alter_partition_refused(),
            Self::AllocateProducerIds(_) => producer_ids::refused(error),
            Self::ControlledShutdown { .. } => shutdown_refused(),
            Self::CreateTopics(request) => {
                let topics = request.topics.iter().map(|topic| refused(&topic.name)).collect();
                Response::CreateTopics(CreateTopicsResponse { topics })
            }
            Self::DeleteTopics(request) => {
                Response::DeleteTopics(DeleteTopicsResponse { topics: request.topics.iter().map(refused).collect() })
            }
            Self::CreatePartitions(request) => {
                let topics = request.topics.iter().map(|(name, _)| refused(name)).collect();
                Response::CreatePartitions(CreatePartitionsResponse { topics })
            }
            Self::AlterConfigs(request) => {
                let mut results: Vec<TopicResult> = request.topics.iter().map(|(name, ..)| refused(name)).collect();
                if !request.cluster.is_empty() || !request.brokers.is_empty() {
                    results.push(refused(&"".into()));
                }
                Response::IncrementalAlterConfigs(IncrementalAlterConfigsResponse { results })
            }
        }
    }
}

impl Step {
    /// Who asked for this work, and what he is answered where it ends undone.
    pub(super) fn not_controller(self) -> Option<(Node, u32, Response)> {
        match self {
            Self::Write { then: Then::Answer { from, correlation_id, .. }, .. } => {
                Some((from, correlation_id, alter_partition_refused()))
            }
            Self::AnswerShutdown { from, correlation_id, .. } => Some((from, correlation_id, shutdown_refused())),
            Self::WriteWish(wish) => Some(wish.not_controller()),
            Self::ReadProducerIds(asker) | Self::WriteProducerIds(asker, _) => {
                Some((asker.from, asker.correlation_id, producer_ids::refused(ErrorCode::NotController)))
            }
            _ => None,
        }
    }
}

impl admin::Wish {
    fn not_controller(self) -> (Node, u32, Response) {
        (self.from, self.correlation_id, admin::with_error(self.response, ErrorCode::NotController))
    }
}

fn alter_partition_refused() -> Response {
    Response::AlterPartition(AlterPartitionResponse { error: ErrorCode::NotController, partitions: Vec::new() })
}

/// This one is refused by an exception of its own (`ControllerMovedException`).
fn shutdown_refused() -> Response {
    let (error, remaining) = (ErrorCode::StaleControllerEpoch, Vec::new());
    Response::ControlledShutdown(ControlledShutdownResponse { error, remaining })
}
