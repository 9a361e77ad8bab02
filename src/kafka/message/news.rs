//! What a message tells whoever watches: the error in it, and whether it says more than that its sender lives.

use super::{Message, Request, Response};
use crate::kafka::error::ErrorCode;

impl Response {
    /// The first error in it; `None` where all went well, and for answers in which nobody but the asker looks for one.
    pub fn error(&self) -> Option<ErrorCode> {
        let first = match self {
            Self::Produce(produce) => first(produce.partitions.iter().map(|partition| partition.error)),
            Self::Fetch(fetch) => first(fetch.partitions.iter().map(|partition| partition.error)),
            Self::ShareFetch(fetch) => {
                let partitions = fetch.partitions.iter().flat_map(|of| [of.error, of.acknowledge_error]);
                first([fetch.error].into_iter().chain(partitions))
            }
            Self::ShareAcknowledge(said) => {
                first([said.error].into_iter().chain(said.partitions.iter().map(|(_, error, _)| *error)))
            }
            Self::ShareGroupHeartbeat(heartbeat) => Some(heartbeat.error),
            Self::JoinGroup(join) => Some(join.error),
            Self::SyncGroup(sync) => Some(sync.error),
            Self::Heartbeat(heartbeat) => Some(heartbeat.error),
            Self::LeaveGroup(leave) => {
                first([leave.error].into_iter().chain(leave.members.iter().map(|(_, error)| *error)))
            }
            Self::ConsumerGroupHeartbeat(heartbeat) => Some(heartbeat.error),
            Self::FindCoordinator(found) => Some(found.error),
            Self::OffsetFetch(fetch) => Some(fetch.error),
            Self::OffsetCommit(commit) => first(commit.partitions.iter().map(|(_, error)| *error)),
            Self::AlterPartition(alter) => Some(alter.error),
            Self::BrokerRegistration(registration) => Some(registration.error),
            Self::InitProducerId(init) => Some(init.error),
            Self::AllocateProducerIds(allocated) => Some(allocated.error),
            _ => None,
        };
        first.filter(|error| !error.is_none())
    }
}

fn first(mut errors: impl Iterator<Item = ErrorCode>) -> Option<ErrorCode> {
    errors.find(|error| !error.is_none())
}

impl Message {
    /// Whether it is a group member's heartbeat, or the answer to one, that only says that somebody lives. A heartbeat of
    /// KIP-848 or KIP-932 may say more: who joins or leaves, what it subscribes to and owns, what it is to have.
    pub fn only_says_that_somebody_lives(&self) -> bool {
        match self {
            Self::Request { request, .. } => match request {
                Request::Heartbeat(_) => true,
                Request::ConsumerGroupHeartbeat(beat) => {
                    beat.member_epoch.0 > 0 && beat.owned.is_none() && beat.topics.is_none()
                }
                Request::ShareGroupHeartbeat(beat) => beat.member_epoch.0 > 0 && beat.subscribed_topics.is_none(),
                _ => false,
            },
            Self::Response { response, .. } => match response {
                Response::Heartbeat(_) => true,
                Response::ConsumerGroupHeartbeat(beat) => beat.assignment.is_none(),
                Response::ShareGroupHeartbeat(beat) => beat.assignment.is_none(),
                _ => false,
            },
        }
    }
}
