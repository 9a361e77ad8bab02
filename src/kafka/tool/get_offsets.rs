//! `kafka-get-offsets` (`GetOffsetShell`).

use std::collections::BTreeMap;

use super::super::config::Isolation;
use super::super::error::ErrorCode;
use super::super::ids::{BrokerId, Offset, TopicPartition};
use super::super::message::{ListOffsetsRequest, MetadataRequest, MetadataResponse, Request, Response};
use super::command::GetOffsets;
use super::print::exception;
use super::{Next, Paper, Verdict, Whom};

/// Where the tool is.
#[derive(Clone, Debug)]
pub struct Talk {
    job: GetOffsets,
    stage: Stage,
    /// The partitions of each leader that is still to be asked.
    left: BTreeMap<BrokerId, Vec<TopicPartition>>,
    names: BTreeMap<TopicPartition, (String, u32)>,
    /// In the order of `topic-partition` as text, as Kafka sorts them.
    found: BTreeMap<String, (TopicPartition, Offset)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Look,
    List,
    Done,
}

impl Talk {
    pub fn new(job: GetOffsets) -> Self {
        Self { job, stage: Stage::Look, left: BTreeMap::new(), names: BTreeMap::new(), found: BTreeMap::new() }
    }

    pub fn next(&mut self, paper: &mut Paper) -> Next {
        match (self.stage, self.left.first_key_value()) {
            (Stage::Look, _) => {
                let request = MetadataRequest { topics: None, allow_auto_topic_creation: false };
                Next::Ask(Whom::Anyone, Request::Metadata(request))
            }
            (Stage::List, Some((leader, partitions))) => {
                let request = ListOffsetsRequest {
                    replica: None,
                    isolation: Isolation::ReadUncommitted,
                    partitions: partitions.iter().map(|partition| (*partition, None, self.job.time)).collect(),
                };
                Next::Ask(Whom::Broker(*leader), Request::ListOffsets(request))
            }
            (Stage::List, None) => {
                for (partition, offset) in self.found.values() {
                    if let Some((topic, number)) = self.names.get(partition) {
                        paper.line(&format!("{topic}:{number}:{offset}"));
                    }
                }
                Next::Finish
            }
            (Stage::Done, _) => Next::Finish,
        }
    }

    pub fn answer(&mut self, from: BrokerId, response: Response, paper: &mut Paper) -> Verdict {
        match response {
            Response::Metadata(metadata) => self.look(&metadata, paper),
            Response::ListOffsets(listed) => {
                if listed.partitions.iter().any(|(_, error, ..)| error.is_retriable()) {
                    self.no_answer();
                    return Verdict::TryAgain;
                }
                for (partition, error, offset, _) in listed.partitions {
                    // Without a record of that time there is no line.
                    if let (true, 0.., Some((topic, number))) = (error.is_none(), offset, self.names.get(&partition)) {
                        self.found.insert(format!("{topic}-{number}"), (partition, offset));
                    }
                }
                self.left.remove(&from);
            }
            _ => return Verdict::TryAgain,
        }
        Verdict::GoOn
    }

    fn look(&mut self, metadata: &MetadataResponse, paper: &mut Paper) {
        self.left.clear();
        let meant = |name: &str| self.job.topic.as_deref().is_none_or(|topic| topic == name);
        for topic in metadata.topics.iter().filter(|topic| topic.error.is_none() && meant(&topic.name)) {
            for (partition, number) in topic.partitions.iter().zip(0..) {
                let id = TopicPartition::new(topic.id, number);
                self.names.insert(id, (topic.name.to_string(), number));
                if let Some(leader) = partition.leader {
                    self.left.entry(leader).or_default().push(id);
                }
            }
        }
        self.stage = Stage::List;
        if self.names.is_empty() {
            paper.fail("Error occurred: Could not match any topic-partitions with the specified filters");
            self.stage = Stage::Done;
        }
    }

    /// Leaders may have changed: looks again.
    pub fn no_answer(&mut self) {
        self.stage = Stage::Look;
    }

    pub fn give_up(&self, paper: &mut Paper) {
        paper.fail(&format!("{}: Timed out waiting for a node assignment.", exception(ErrorCode::RequestTimedOut)));
    }
}
