//! `kafka-consumer-groups` (`ConsumerGroupCommand`).
//!
//! A group is asked for at its coordinator; where its partitions end, at their leaders. Nothing is printed before
//! everything is known.

mod delete;
mod describe;
mod reset;
mod tables;

use std::collections::BTreeMap;

use super::super::error::ErrorCode;
use super::super::ids::{BrokerId, Name, Offset, TopicId, TopicPartition};
use super::super::message::consumer_group::ConsumerGroupDescribeRequest;
use super::super::message::{
    FindCoordinatorRequest, ListGroupsRequest, ListedGroup, MetadataRequest, MetadataResponse, Request, Response,
    Subscription,
};
use super::command::ConsumerGroups;
use super::print::exception;
use super::{Next, Paper, Verdict, Whom};
use crate::time::Instant;

/// Where the tool is.
#[derive(Clone, Debug)]
pub enum Talk {
    Describe(describe::Talk),
    Reset(Box<reset::Talk>),
    Delete(delete::GroupsTalk),
    DeleteOffsets(delete::OffsetsTalk),
}

impl Talk {
    pub fn new(job: ConsumerGroups) -> Self {
        match job {
            ConsumerGroups::List { .. } | ConsumerGroups::Describe { .. } => Self::Describe(describe::Talk::new(job)),
            ConsumerGroups::Reset(job) => Self::Reset(Box::new(reset::Talk::new(job))),
            ConsumerGroups::Delete { groups } => Self::Delete(delete::GroupsTalk::new(groups)),
            ConsumerGroups::DeleteOffsets { group, topics } => {
                Self::DeleteOffsets(delete::OffsetsTalk::new(group, topics))
            }
        }
    }

    pub fn next(&mut self, now: Instant, paper: &mut Paper) -> Next {
        match self {
            Self::Describe(talk) => talk.next(paper),
            Self::Reset(talk) => talk.next(now, paper),
            Self::Delete(talk) => talk.next(paper),
            Self::DeleteOffsets(talk) => talk.next(paper),
        }
    }

    pub fn answer(&mut self, from: BrokerId, response: Response, paper: &mut Paper) -> Verdict {
        match self {
            Self::Describe(talk) => talk.answer(from, response, paper),
            Self::Reset(talk) => talk.answer(from, response, paper),
            Self::Delete(talk) => talk.answer(response),
            Self::DeleteOffsets(talk) => talk.answer(response, paper),
        }
    }

    /// Leaders and coordinators may have changed.
    pub fn no_answer(&mut self) {
        match self {
            Self::Describe(talk) => talk.no_answer(),
            Self::Reset(talk) => talk.no_answer(),
            Self::Delete(talk) => talk.no_answer(),
            Self::DeleteOffsets(talk) => talk.no_answer(),
        }
    }

    pub fn give_up(&mut self, paper: &mut Paper) {
        let call = match self {
            Self::Describe(talk) => talk.call(),
            Self::Reset(talk) => talk.call(),
            Self::Delete(_) => "deleteGroups",
            Self::DeleteOffsets(_) => "offsetDelete",
        };
        let timeout = exception(ErrorCode::RequestTimedOut);
        print_failure(&format!("{timeout}: Timed out waiting for a node assignment. Call: {call}"), paper);
    }
}

/// What the tool knows of the topics.
#[derive(Clone, Debug, Default)]
struct Topics {
    names: BTreeMap<TopicId, Name>,
    /// How many partitions.
    counts: BTreeMap<TopicId, u32>,
    leaders: BTreeMap<TopicPartition, BrokerId>,
    ends: BTreeMap<TopicPartition, Offset>,
}

impl Topics {
    fn of(metadata: &MetadataResponse) -> Self {
        let mut topics = Self::default();
        for topic in metadata.topics.iter().filter(|topic| topic.error.is_none()) {
            topics.names.insert(topic.id, topic.name.clone());
            topics.counts.insert(topic.id, topic.partitions.len() as u32);
            let leaders = topic
                .partitions
                .iter()
                .zip(0..)
                .filter_map(|(partition, number)| Some((TopicPartition::new(topic.id, number), partition.leader?)));
            topics.leaders.extend(leaders);
        }
        topics
    }

    fn partition(&self, topic: &str, partition: u32) -> Option<TopicPartition> {
        let (id, _) = self.names.iter().find(|(_, name)| &***name == topic)?;
        Some(TopicPartition::new(*id, partition))
    }

    /// How many partitions a topic has, if it is there.
    fn count(&self, topic: &str) -> Option<u32> {
        let (id, _) = self.names.iter().find(|(_, name)| &***name == topic)?;
        self.counts.get(id).copied()
    }

    fn name(&self, partition: TopicPartition) -> Option<&Name> {
        self.names.get(&partition.topic)
    }
}

/// Which partitions an option `--topic` names: one for each topic, with its partitions or all of them.
type TopicArguments = [(String, Option<Vec<u32>>)];

/// The partitions that `--topic` names; an error is a topic that is not there.
fn partitions_named(arguments: &TopicArguments, topics: &Topics) -> Result<Vec<(Name, u32)>, Name> {
    let mut named = Vec::new();
    for (topic, partitions) in arguments {
        let name: Name = topic.as_str().into();
        match partitions {
            Some(partitions) => named.extend(partitions.iter().map(|partition| (name.clone(), *partition))),
            None => {
                let count = topics.count(topic).ok_or_else(|| name.clone())?;
                named.extend((0..count).map(|partition| (name.clone(), partition)));
            }
        }
    }
    named.sort();
    named.dedup();
    Ok(named)
}

fn ask_metadata() -> Next {
    Next::Ask(Whom::Anyone, Request::Metadata(MetadataRequest { topics: None, allow_auto_topic_creation: false }))
}

fn find_coordinator(group: &Name) -> Next {
    Next::Ask(Whom::Anyone, Request::FindCoordinator(FindCoordinatorRequest { key: group.clone() }))
}

fn describe_as_consumer_group(group: Name) -> Request {
    Request::ConsumerGroupDescribe(ConsumerGroupDescribeRequest { groups: vec![group] })
}

/// Consumer groups alone, as the admin client asks for them (`ListGroupsOptions.forConsumerGroups`).
fn list_consumer_groups(broker: BrokerId, states: Vec<Name>, types: Vec<Name>) -> Next {
    let types = if types.is_empty() { vec!["Classic".into(), "Consumer".into()] } else { types };
    Next::Ask(Whom::Broker(broker), Request::ListGroups(ListGroupsRequest { states, types }))
}

/// Of those that brokers list, groups of consumers, and those that only keep offsets.
fn is_of_consumers(listed: &ListedGroup) -> bool {
    listed.protocol_type.is_empty() || &*listed.protocol_type == Subscription::PROTOCOL_TYPE
}

/// The tool's exit status is 0 all the same, as Kafka's.
fn print_error(message: &str, paper: &mut Paper) {
    paper.line(&format!("\nError: {message}"));
}

fn print_failure(reason: &str, paper: &mut Paper) {
    print_error(&format!("Executing consumer group command failed due to {reason}"), paper);
}

/// What an error says of itself (`Errors.message`), as far as groups meet it.
fn message(error: ErrorCode) -> &'static str {
    match error {
        ErrorCode::NonEmptyGroup => "The group is not empty.",
        ErrorCode::GroupIdNotFound => "The group id does not exist.",
        ErrorCode::InvalidGroupId => "The group id is invalid.",
        ErrorCode::GroupSubscribedToTopic => {
            "Deleting offsets of a topic is forbidden while the consumer group is actively subscribed to it."
        }
        ErrorCode::UnknownTopicOrPartition => "This server does not host this topic-partition.",
        other => other.name(),
    }
}

/// An exception as Java prints it: its class, and what it says.
fn thrown(error: ErrorCode) -> String {
    format!("{}: {}", exception(error), message(error))
}

/// Whether the coordinator has moved or is not ready: then it is looked for again.
fn coordinator_is_elsewhere(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable | ErrorCode::CoordinatorLoadInProgress
    )
}
