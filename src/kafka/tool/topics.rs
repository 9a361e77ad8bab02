//! `kafka-topics` (`TopicCommand`).

use regex_lite::Regex;

use super::super::error::ErrorCode;
use super::super::ids::{BrokerId, Name};
use super::super::message::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, MetadataRequest, MetadataResponse, NewTopic,
    PartitionMetadata, Request, Response, TopicMetadata, TopicResult,
};
use super::command::{CreateTopic, DescribeTopics, PartitionFilter, Topics};
use super::print::{comma, exception, uuid};
use super::{API_TIMEOUT, Next, Paper, Verdict, Whom};

/// Where the tool is.
#[derive(Clone, Debug)]
pub struct Talk {
    job: Topics,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Asks for all topics.
    Look,
    /// Asks for the change of these topics.
    Change(Vec<String>),
    Done,
}

impl Talk {
    pub fn new(job: Topics) -> Self {
        let stage = if matches!(job, Topics::Create(_)) { Stage::Change(Vec::new()) } else { Stage::Look };
        Self { job, stage }
    }

    pub fn next(&mut self, paper: &mut Paper) -> Next {
        match &self.stage {
            Stage::Look => {
                let request = MetadataRequest { topics: None, allow_auto_topic_creation: false };
                Next::Ask(Whom::Anyone, Request::Metadata(request))
            }
            Stage::Change(topics) => {
                if let (Topics::Create(create), true) = (&self.job, paper.text.is_empty())
                    && create.topic.contains(['.', '_'])
                {
                    paper.line(COLLISION);
                }
                self.change(topics).map_or(Next::Finish, |request| Next::Ask(Whom::Anyone, request))
            }
            Stage::Done => Next::Finish,
        }
    }

    fn change(&self, found: &[String]) -> Option<Request> {
        let names = || found.iter().map(|name| Name::from(name.as_str())).collect::<Vec<_>>();
        Some(match &self.job {
            Topics::Create(create) => Request::CreateTopics(create_request(create)),
            Topics::Alter { partitions, .. } => Request::CreatePartitions(CreatePartitionsRequest {
                topics: names().into_iter().map(|name| (name, *partitions)).collect(),
                timeout: API_TIMEOUT,
            }),
            Topics::Delete { .. } => {
                Request::DeleteTopics(DeleteTopicsRequest { topics: names(), timeout: API_TIMEOUT })
            }
            Topics::List { .. } | Topics::Describe(_) => return None,
        })
    }

    pub fn answer(&mut self, response: Response, paper: &mut Paper) -> Verdict {
        let results = match response {
            Response::Metadata(metadata) => {
                self.look(&metadata, paper);
                return Verdict::GoOn;
            }
            Response::CreateTopics(response) => response.topics,
            Response::DeleteTopics(response) => response.topics,
            Response::CreatePartitions(response) => response.topics,
            _ => return Verdict::TryAgain,
        };
        // The brokers hand it on to the active controller; while there is none, somebody has to ask again.
        if results.iter().any(|result| matches!(result.error, ErrorCode::NotController | ErrorCode::RequestTimedOut)) {
            return Verdict::TryAgain;
        }
        self.print_results(&results, paper);
        self.stage = Stage::Done;
        Verdict::GoOn
    }

    fn print_results(&self, results: &[TopicResult], paper: &mut Paper) {
        let failed = results.iter().find(|result| !result.error.is_none());
        match (&self.job, failed) {
            (Topics::Create(create), Some(failed))
                if create.if_not_exists && failed.error == ErrorCode::TopicAlreadyExists => {}
            (_, Some(failed)) => {
                print_failure(&message(failed), &exception(failed.error), paper);
            }
            (Topics::Create(create), None) => paper.line(&format!("Created topic {}.", create.topic)),
            (_, None) => {}
        }
    }

    pub fn give_up(&mut self, paper: &mut Paper) {
        let call = match (&self.stage, &self.job) {
            (Stage::Look, _) => "listTopics",
            (_, Topics::Create(_)) => "createTopics",
            (_, Topics::Alter { .. }) => "createPartitions",
            (_, _) => "deleteTopics",
        };
        let reason = format!("Timed out waiting for a node assignment. Call: {call}");
        print_failure(&reason, &exception(ErrorCode::RequestTimedOut), paper);
    }

    /// All topics are known: prints them, or goes on with those that are meant.
    fn look(&mut self, metadata: &MetadataResponse, paper: &mut Paper) {
        let job = &self.job;
        let mut topics: Vec<&TopicMetadata> = metadata.topics.iter().filter(|topic| topic.error.is_none()).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        self.stage = match job {
            Topics::Create(_) => Stage::Done,
            Topics::List { topic, exclude_internal } => {
                let found = select(&topics, topic.as_deref(), *exclude_internal);
                let names: Vec<&str> = found.iter().map(|topic| &*topic.name).collect();
                paper.line(&names.join("\n"));
                Stage::Done
            }
            Topics::Describe(describe) => {
                let found = select(&topics, describe.topic.as_deref(), describe.exclude_internal);
                if must_exist(&found, describe.topic.as_deref(), describe.if_exists, paper) {
                    let live: Vec<BrokerId> = metadata.brokers.iter().map(|(id, _)| *id).collect();
                    found.iter().for_each(|topic| describe_topic(describe, topic, &live, paper));
                }
                Stage::Done
            }
            Topics::Alter { topic, if_exists, .. } | Topics::Delete { topic, if_exists } => {
                let found = select(&topics, Some(topic), false);
                if must_exist(&found, Some(topic), *if_exists, paper) && !found.is_empty() {
                    Stage::Change(found.iter().map(|topic| topic.name.to_string()).collect())
                } else {
                    Stage::Done
                }
            }
        };
    }
}

const COLLISION: &str = "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') \
                         could collide. To avoid issues it is best to use either, but not both.";

fn message(result: &TopicResult) -> String {
    result.message.as_ref().map_or_else(|| format!("{}: {}", result.name, result.error), ToString::to_string)
}

fn print_failure(reason: &str, exception: &str, paper: &mut Paper) {
    paper.line(&format!("Error while executing topic command : {reason}"));
    paper.fail(&format!("ERROR {exception}: {reason}\n (org.apache.kafka.tools.TopicCommand)"));
}

fn create_request(create: &CreateTopic) -> CreateTopicsRequest {
    let configs = create.configs.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into()));
    let topic = NewTopic {
        name: create.topic.as_str().into(),
        partitions: create.partitions,
        replication_factor: create.replication_factor,
        assignment: create.assignment.clone(),
        configs: configs.collect(),
    };
    CreateTopicsRequest { topics: vec![topic], timeout: API_TIMEOUT }
}

/// The topics whose whole name matches (`TopicFilter.IncludeList`: a comma is as good as a bar).
fn select<'a>(topics: &[&'a TopicMetadata], pattern: Option<&str>, exclude_internal: bool) -> Vec<&'a TopicMetadata> {
    let pattern = pattern.map(|pattern| pattern.trim().replace(',', "|").replace(' ', ""));
    // Whatever is no regular expression can at least be a name.
    let regex = pattern.as_ref().and_then(|pattern| Regex::new(&format!("^(?:{pattern})$")).ok());
    let is_meant = |name: &str| match (&regex, &pattern) {
        (Some(regex), _) => regex.is_match(name),
        (None, Some(pattern)) => pattern == name,
        (None, None) => true,
    };
    let wanted = |topic: &&&TopicMetadata| is_meant(&topic.name) && !(exclude_internal && topic.internal);
    topics.iter().filter(wanted).copied().collect()
}

fn must_exist(found: &[&TopicMetadata], topic: Option<&str>, if_exists: bool, paper: &mut Paper) -> bool {
    match topic {
        Some(topic) if found.is_empty() && !if_exists => {
            let reason = format!("Topic '{topic}' does not exist as expected");
            print_failure(&reason, "java.lang.IllegalArgumentException", paper);
            false
        }
        _ => true,
    }
}

fn describe_topic(describe: &DescribeTopics, topic: &TopicMetadata, live: &[BrokerId], paper: &mut Paper) {
    if describe.filters.is_empty() && (!describe.topics_with_overrides || !topic.configs.is_empty()) {
        let configs: Vec<String> = topic.configs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        paper.line(&format!(
            "Topic: {}\tTopicId: {}\tPartitionCount: {}\tReplicationFactor: {}\tConfigs: {}",
            topic.name,
            uuid(topic.id),
            topic.partitions.len(),
            topic.partitions.first().map_or(0, replication_factor),
            configs.join(",")
        ));
    }
    if describe.topics_with_overrides {
        return;
    }
    let min_isr = topic.configs.iter().find(|(key, _)| &**key == "min.insync.replicas");
    let min_isr = min_isr.and_then(|(_, value)| value.parse().ok()).unwrap_or(1);
    for (partition, number) in topic.partitions.iter().zip(0..) {
        let matches = |filter: &PartitionFilter| is_match(*filter, partition, min_isr, live);
        if describe.filters.is_empty() || describe.filters.iter().any(matches) {
            paper.line(&partition_line(&topic.name, number, partition));
        }
    }
}

fn is_match(filter: PartitionFilter, partition: &PartitionMetadata, min_isr: usize, live: &[BrokerId]) -> bool {
    let isr = partition.isr.len();
    match filter {
        PartitionFilter::UnderReplicated => isr < replication_factor(partition),
        PartitionFilter::UnderMinIsr => partition.leader.is_none() || isr < min_isr,
        PartitionFilter::AtMinIsr => isr == min_isr,
        PartitionFilter::Unavailable => partition.leader.is_none_or(|leader| !live.contains(&leader)),
    }
}

/// Replicas on their way in do not count before they are there.
fn replication_factor(partition: &PartitionMetadata) -> usize {
    partition.replicas.len() - partition.adding_replicas.len()
}

fn partition_line(topic: &str, number: u32, partition: &PartitionMetadata) -> String {
    let (adding, removing) = (&partition.adding_replicas, &partition.removing_replicas);
    let moving = if adding.is_empty() && removing.is_empty() {
        String::new()
    } else {
        format!("\tAdding Replicas: {}\tRemoving Replicas: {}", comma(adding), comma(removing))
    };
    format!(
        "\tTopic: {topic}\tPartition: {number}\tLeader: {}\tReplicas: {}\tIsr: {}{moving}\tElr: {}\tLastKnownElr: {}",
        partition.leader.map_or_else(|| "none".into(), |leader| leader.to_string()),
        comma(&partition.replicas),
        comma(&partition.isr),
        comma(&partition.elr),
        comma(&partition.last_known_elr)
    )
}
