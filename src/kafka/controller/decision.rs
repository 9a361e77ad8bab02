//! What a decision is: records to write, and the answer to give once they are committed.

use super::super::error::ErrorCode;
use super::super::ids::Name;
use super::super::message::{PartitionResult, Response, TopicResult};
use super::super::metadata::MetadataRecord;

/// The outcome of thinking about a request (Kafka's `ControllerResult`). Nothing has changed yet.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Written together, as one batch; empty where nothing changes.
    pub records: Vec<MetadataRecord>,
    pub response: Response,
}

impl Decision {
    /// An answer that needs no records.
    pub fn answer(response: Response) -> Self {
        Self { records: Vec::new(), response }
    }
}

/// An error with Kafka's sentence (`ApiError`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    pub error: ErrorCode,
    pub message: Option<String>,
}

impl ApiError {
    pub fn new(error: ErrorCode, message: impl Into<String>) -> Self {
        Self { error, message: Some(message.into()) }
    }
}

impl From<ErrorCode> for ApiError {
    fn from(error: ErrorCode) -> Self {
        Self { error, message: None }
    }
}

/// What became of one topic.
pub fn topic_result(name: &Name, outcome: &Result<(), ApiError>) -> TopicResult {
    let (error, message) = said(outcome);
    TopicResult { name: name.clone(), error, message }
}

/// What became of one partition.
pub fn partition_result(topic: &Name, partition: u32, outcome: &Result<(), ApiError>) -> PartitionResult {
    let (error, message) = said(outcome);
    PartitionResult { topic: topic.clone(), partition, error, message }
}

fn said(outcome: &Result<(), ApiError>) -> (ErrorCode, Option<Name>) {
    match outcome {
        Ok(()) => (ErrorCode::None, None),
        Err(refused) => (refused.error, refused.message.as_deref().map(Name::from)),
    }
}
