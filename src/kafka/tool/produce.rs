//! `kafka-console-producer` (`ConsoleProducer`): all its input is there at once, and goes out as one batch a partition.

use std::collections::BTreeMap;

use super::super::config::{Acks, Compression};
use super::super::error::ErrorCode;
use super::super::ids::{BrokerId, Name, TopicPartition};
use super::super::message::{MetadataRequest, ProduceRequest, Request, Response, TopicMetadata};
use super::super::partitioner::partition_for_key;
use super::super::record::{Batch, BatchBuilder};
use super::command::{ConsoleProducer, ConsoleRecord};
use super::print::exception;
use super::{Next, Paper, Verdict, Whom};
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// `--message-send-max-retries`.
const RETRIES: u32 = 3;
/// `--request-timeout-ms`.
const TIMEOUT: Duration = Duration::millis(1500);

/// Where the tool is.
#[derive(Clone, Debug)]
pub struct Talk {
    job: ConsoleProducer,
    topic: Option<TopicMetadata>,
    /// What is still to be sent, once the partitions are chosen.
    batches: Option<BTreeMap<u32, Batch>>,
    attempts: u32,
}

impl Talk {
    pub fn new(job: ConsoleProducer) -> Self {
        Self { job, topic: None, batches: None, attempts: 0 }
    }

    pub fn next(&mut self, now: Instant, paper: &mut Paper, rng: &mut Rng) -> Next {
        if self.job.records.is_empty() || self.batches.as_ref().is_some_and(BTreeMap::is_empty) {
            return Next::Finish;
        }
        if self.attempts > RETRIES {
            self.fail(ErrorCode::RequestTimedOut, paper);
            return Next::Finish;
        }
        let Some(topic) = &self.topic else {
            let topics = Some(vec![Name::from(self.job.topic.as_str())]);
            let request = MetadataRequest { topics, allow_auto_topic_creation: true };
            return Next::Ask(Whom::Anyone, Request::Metadata(request));
        };
        let id = topic.id;
        let batches = self.batches.get_or_insert_with(|| fill(&self.job.records, topic, now, rng));
        // One leader after the other; what is left goes to the next one.
        let leader_of = |partition: &u32| topic.partitions.get(*partition as usize).and_then(|found| found.leader);
        match batches.keys().find_map(leader_of) {
            Some(leader) => {
                let led = batches.iter().filter(|(partition, _)| leader_of(partition) == Some(leader));
                let partitions = led.map(|(partition, batch)| (TopicPartition::new(id, *partition), batch.clone()));
                let partitions: Vec<_> = partitions.collect();
                self.send(leader, partitions)
            }
            None => {
                self.topic = None;
                self.attempts += 1;
                self.next(now, paper, rng)
            }
        }
    }

    fn send(&mut self, leader: BrokerId, partitions: Vec<(TopicPartition, Batch)>) -> Next {
        // Even with acks=0 the tool waits here for an answer, so that it knows when to end: the leader's alone.
        let acks = if self.job.acks == Acks::None { Acks::Leader } else { self.job.acks };
        Next::Ask(Whom::Broker(leader), Request::Produce(ProduceRequest { acks, timeout: TIMEOUT, partitions }))
    }

    pub fn answer(&mut self, response: Response, paper: &mut Paper) -> Verdict {
        match response {
            Response::Metadata(metadata) => {
                let topic = metadata.topics.into_iter().find(|topic| *topic.name == *self.job.topic);
                match topic.filter(|topic| topic.error.is_none() && !topic.partitions.is_empty()) {
                    Some(topic) => {
                        self.topic = Some(topic);
                        Verdict::GoOn
                    }
                    None => self.again(),
                }
            }
            Response::Produce(produced) => {
                let mut again = false;
                for partition in produced.partitions {
                    if partition.error.is_retriable() && self.attempts < RETRIES {
                        again = true;
                        continue;
                    }
                    if !partition.error.is_none() {
                        self.fail(partition.error, paper);
                    }
                    self.batches.as_mut().and_then(|batches| batches.remove(&partition.partition.partition));
                }
                if again { self.again() } else { Verdict::GoOn }
            }
            _ => self.again(),
        }
    }

    fn again(&mut self) -> Verdict {
        self.no_answer();
        Verdict::TryAgain
    }

    /// The leaders may have changed.
    pub fn no_answer(&mut self) {
        self.topic = None;
        if self.batches.is_some() {
            self.attempts += 1;
        }
    }

    pub fn give_up(&mut self, paper: &mut Paper) {
        let reason = format!("Topic {} not present in metadata after 60000 ms.", self.job.topic);
        self.log_failure(&format!("{}: {reason}", exception(ErrorCode::RequestTimedOut)), paper);
    }

    fn fail(&self, error: ErrorCode, paper: &mut Paper) {
        self.log_failure(&exception(error), paper);
    }

    /// As `ErrorLoggingCallback` does. Kafka's tool ends with status 0 all the same.
    fn log_failure(&self, exception: &str, paper: &mut Paper) {
        let bytes = |text: &Option<String>| text.as_ref().map_or("null".into(), |text| format!("{} bytes", text.len()));
        let Some(first) = self.job.records.first() else { return };
        paper.line(&format!(
            "ERROR Error when sending message to topic {} with key: {}, value: {} with error: \
             (org.apache.kafka.clients.producer.internals.ErrorLoggingCallback)",
            self.job.topic,
            bytes(&first.key),
            bytes(&first.value)
        ));
        paper.line(exception);
    }
}

/// Records with a key go where Kafka's partitioner puts them; the others all to one partition that has a leader, as
/// the sticky partitioner does with so few.
fn fill(records: &[ConsoleRecord], topic: &TopicMetadata, now: Instant, rng: &mut Rng) -> BTreeMap<u32, Batch> {
    let count = topic.partitions.len() as u32;
    let available: Vec<u32> = (0..)
        .zip(&topic.partitions)
        .filter(|(_, partition)| partition.leader.is_some())
        .map(|(number, _)| number)
        .collect();
    let sticky = if available.is_empty() { 0 } else { available[rng.below(available.len() as u32) as usize] };
    let mut builders: BTreeMap<u32, BatchBuilder> = BTreeMap::new();
    for record in records {
        let partition = record.key.as_ref().map_or(sticky, |key| partition_for_key(key.as_bytes(), count));
        let headers: Vec<(&str, Option<&[u8]>)> =
            record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref().map(str::as_bytes))).collect();
        let (key, value) = (record.key.as_deref().map(str::as_bytes), record.value.as_deref().map(str::as_bytes));
        let builder = builders.entry(partition).or_insert_with(|| BatchBuilder::new(Compression::None));
        builder.append(now.timestamp_ms(), key, value, &headers);
    }
    builders.into_iter().map(|(partition, builder)| (partition, builder.build())).collect()
}
