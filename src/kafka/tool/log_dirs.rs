//! `kafka-log-dirs --describe` (`LogDirsCommand`).

use std::collections::BTreeMap;

use super::super::disk::LOG_DIR;
use super::super::error::ErrorCode;
use super::super::ids::{BrokerId, TopicId};
use super::super::message::{
    DescribeLogDirsRequest, DescribeLogDirsResponse, MetadataRequest, MetadataResponse, Request, Response,
};
use super::command::LogDirs;
use super::print::{comma, exception};
use super::{Next, Paper, Verdict, Whom};

/// Where the tool is.
#[derive(Clone, Debug)]
pub struct Talk {
    job: LogDirs,
    stage: Stage,
    names: BTreeMap<TopicId, String>,
    /// Brokers that are still to be asked, the next one last.
    left: Vec<BrokerId>,
    answers: BTreeMap<BrokerId, DescribeLogDirsResponse>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Look,
    Describe,
    Done,
}

impl Talk {
    pub fn new(job: LogDirs) -> Self {
        Self { job, stage: Stage::Look, names: BTreeMap::new(), left: Vec::new(), answers: BTreeMap::new() }
    }

    pub fn next(&mut self, paper: &mut Paper) -> Next {
        match (self.stage, self.left.last()) {
            (Stage::Look, _) => {
                let request = MetadataRequest { topics: None, allow_auto_topic_creation: false };
                Next::Ask(Whom::Anyone, Request::Metadata(request))
            }
            (Stage::Describe, Some(broker)) => {
                Next::Ask(Whom::Broker(*broker), Request::DescribeLogDirs(DescribeLogDirsRequest { topics: None }))
            }
            (Stage::Describe, None) => {
                let brokers: Vec<BrokerId> = self.answers.keys().copied().collect();
                paper.line(&format!("Received log directory information from brokers {}", comma(&brokers)));
                paper.line(&self.as_json());
                Next::Finish
            }
            (Stage::Done, _) => Next::Finish,
        }
    }

    pub fn answer(&mut self, from: BrokerId, response: Response, paper: &mut Paper) -> Verdict {
        match response {
            Response::Metadata(metadata) => self.look(&metadata, paper),
            Response::DescribeLogDirs(described) => {
                self.answers.insert(from, described);
                self.left.pop();
            }
            _ => return Verdict::TryAgain,
        }
        Verdict::GoOn
    }

    fn look(&mut self, metadata: &MetadataResponse, paper: &mut Paper) {
        let known: Vec<BrokerId> = metadata.brokers.iter().map(|(id, _)| *id).collect();
        let asked = if self.job.brokers.is_empty() { &known } else { &self.job.brokers };
        let strangers: Vec<BrokerId> = asked.iter().filter(|id| !known.contains(id)).copied().collect();
        if !strangers.is_empty() {
            paper.fail(&format!(
                "ERROR: The given brokers do not exist from --broker-list: {}. Current existent brokers: {}",
                comma(&strangers),
                comma(&known)
            ));
            self.stage = Stage::Done;
            return;
        }
        paper.line("Querying brokers for log directories information");
        let topics = metadata.topics.iter().filter(|topic| topic.error.is_none());
        self.names = topics.map(|topic| (topic.id, topic.name.to_string())).collect();
        self.left = asked.iter().rev().copied().collect();
        self.stage = Stage::Describe;
    }

    pub fn give_up(&self, paper: &mut Paper) {
        paper.fail(&format!("{}: Timed out waiting for a node assignment.", exception(ErrorCode::RequestTimedOut)));
    }

    /// Kafka writes the fields in the order of its hash map; here they have the order of the documentation.
    fn as_json(&self) -> String {
        let broker = |(id, answer): (&BrokerId, &DescribeLogDirsResponse)| {
            let error = if answer.error.is_none() { "null".into() } else { format!("\"{}\"", exception(answer.error)) };
            format!(
                r#"{{"broker":{id},"logDirs":[{{"partitions":[{}],"error":{error},"logDir":"{LOG_DIR}"}}]}}"#,
                self.partitions(answer).join(",")
            )
        };
        let brokers: Vec<String> = self.answers.iter().map(broker).collect();
        format!(r#"{{"version":1,"brokers":[{}]}}"#, brokers.join(","))
    }

    fn partitions(&self, answer: &DescribeLogDirsResponse) -> Vec<String> {
        let wanted = |name: &str| self.job.topics.is_empty() || self.job.topics.iter().any(|topic| topic == name);
        let line = |replica: &super::super::message::DescribedReplica| {
            let name = self.names.get(&replica.partition.topic).filter(|name| wanted(name))?;
            Some(format!(
                r#"{{"partition":"{name}-{}","size":{},"offsetLag":{},"isFuture":false}}"#,
                replica.partition.partition, replica.size, replica.offset_lag
            ))
        };
        answer.replicas.iter().filter_map(line).collect()
    }
}
