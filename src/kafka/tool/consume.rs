//! `kafka-console-consumer` (`ConsoleConsumer`, `DefaultMessageFormatter`): reads by Fetch, without a group, one leader
//! after the other.
//!
//! Kafka's tool runs until somebody stops it. Here it ends by itself: with `--max-messages` and `--timeout-ms` as
//! Kafka's, else once it has read what was there when it began.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::super::config::Isolation;
use super::super::ids::TopicPartition;
use super::super::ids::{BrokerId, Name, Offset, TopicId};
use super::super::message::{
    FetchPartition, FetchRequest, FetchedPartition, ListOffsetsRequest, MetadataRequest, OffsetSpec, Request, Response,
    TopicMetadata,
};
use super::super::record::{Batch, Record};
use super::command::{ConsoleConsumer, Print, StartAt};
use super::{Next, Paper, Verdict, Whom};
use crate::time::{Duration, Instant};

/// `fetch.max.wait.ms`, shared by the leaders that are asked in turn.
const MAX_WAIT: Duration = Duration::millis(500);
const MAX_BYTES: u32 = 50 << 20;
const MAX_PARTITION_BYTES: u32 = 1 << 20;

/// Where the tool is.
#[derive(Clone, Debug)]
pub struct Talk {
    job: ConsoleConsumer,
    topic: Option<TopicMetadata>,
    positions: BTreeMap<u32, Offset>,
    /// Where each partition ended when the tool began.
    ends: BTreeMap<u32, Offset>,
    /// Leaders still to ask in this round.
    round: Vec<BrokerId>,
    /// What the request under way asks for, where it is ListOffsets.
    asking: Option<OffsetSpec>,
    count: u64,
    last_message: Option<Instant>,
    is_over: bool,
}

impl Talk {
    pub fn new(job: ConsoleConsumer) -> Self {
        Self {
            job,
            topic: None,
            positions: BTreeMap::new(),
            ends: BTreeMap::new(),
            round: Vec::new(),
            asking: None,
            count: 0,
            last_message: None,
            is_over: false,
        }
    }

    /// When no message has come for `--timeout-ms`.
    pub fn ends_at(&self) -> Option<Instant> {
        Some(self.last_message? + self.job.timeout?)
    }

    pub fn next(&mut self, now: Instant, paper: &mut Paper) -> Next {
        let since = *self.last_message.get_or_insert(now);
        if !self.is_over && self.job.timeout.is_some_and(|timeout| now.since(since) >= timeout) {
            paper.line(
                "ERROR Error processing message, terminating consumer process:  \
                 (org.apache.kafka.tools.consumer.ConsoleConsumer)\norg.apache.kafka.common.errors.TimeoutException",
            );
            self.is_over = true;
        }
        self.is_over |= self.has_all();
        if self.is_over {
            paper.line(&format!("Processed a total of {} messages", self.count));
            return Next::Finish;
        }
        let Some(topic) = &self.topic else {
            let topics = Some(vec![Name::from(self.job.topic.as_str())]);
            let request = MetadataRequest { topics, allow_auto_topic_creation: false };
            return Next::Ask(Whom::Anyone, Request::Metadata(request));
        };
        let id = topic.id;
        if self.round.is_empty() {
            self.round = self.leaders();
        }
        match self.round.last().copied() {
            Some(leader) => Next::Ask(Whom::Broker(leader), self.request(id, leader)),
            None => {
                self.topic = None;
                let request = MetadataRequest { topics: None, allow_auto_topic_creation: false };
                Next::Ask(Whom::Anyone, Request::Metadata(request))
            }
        }
    }

    fn has_all(&self) -> bool {
        if let Some(max) = self.job.max_messages {
            return self.count >= max;
        }
        let reached = |(partition, end): (&u32, &Offset)| self.positions.get(partition).is_some_and(|at| at >= end);
        self.job.timeout.is_none()
            && self.topic.is_some()
            && self.partitions().iter().all(|(partition, _)| self.ends.contains_key(partition))
            && self.ends.iter().all(reached)
    }

    /// The partitions to read, each with its leader.
    fn partitions(&self) -> Vec<(u32, Option<BrokerId>)> {
        let all =
            self.topic.iter().flat_map(|topic| (0..).zip(topic.partitions.iter().map(|partition| partition.leader)));
        all.filter(|(number, _)| self.job.partition.is_none_or(|only| only == *number)).collect()
    }

    fn leaders(&self) -> Vec<BrokerId> {
        let mut leaders: Vec<BrokerId> = self.partitions().into_iter().filter_map(|(_, leader)| leader).collect();
        leaders.sort_unstable_by(|a, b| b.cmp(a));
        leaders.dedup();
        leaders
    }

    /// What to ask a leader: where its partitions end and begin, as long as that is not known; then for records.
    fn request(&mut self, topic: TopicId, leader: BrokerId) -> Request {
        let led = self.partitions().into_iter().filter(|(_, of)| *of == Some(leader)).map(|(number, _)| number);
        let led: Vec<u32> = led.collect();
        let without = |known: &BTreeMap<u32, Offset>| -> Vec<u32> {
            led.iter().copied().filter(|partition| !known.contains_key(partition)).collect()
        };
        let (no_end, no_position) = (without(&self.ends), without(&self.positions));
        self.asking = match (no_end.is_empty(), no_position.is_empty()) {
            (false, _) => Some(OffsetSpec::Latest),
            (true, false) => Some(OffsetSpec::Earliest),
            (true, true) => None,
        };
        if let Some(spec) = self.asking {
            let of = if spec == OffsetSpec::Latest { no_end } else { no_position };
            let partitions = of.into_iter().map(|number| (TopicPartition::new(topic, number), None, spec)).collect();
            return Request::ListOffsets(ListOffsetsRequest {
                replica: None,
                isolation: Isolation::ReadUncommitted,
                partitions,
            });
        }
        let fetch = |number: u32| FetchPartition {
            partition: TopicPartition::new(topic, number),
            current_leader_epoch: None,
            fetch_offset: self.positions.get(&number).copied().unwrap_or(0),
            last_fetched_epoch: None,
            log_start_offset: -1,
            max_bytes: MAX_PARTITION_BYTES,
        };
        Request::Fetch(FetchRequest {
            replica: None,
            max_wait: self.wait(),
            min_bytes: 1,
            max_bytes: MAX_BYTES,
            isolation: Isolation::ReadUncommitted,
            rack: None,
            partitions: led.into_iter().map(fetch).collect(),
        })
    }

    fn wait(&self) -> Duration {
        let share = MAX_WAIT / (self.leaders().len().max(1) as u64);
        share.min(self.job.timeout.unwrap_or(share))
    }

    pub fn answer(&mut self, now: Instant, response: Response, paper: &mut Paper) -> Verdict {
        match response {
            Response::Metadata(metadata) => self.on_metadata(metadata.topics, paper),
            Response::ListOffsets(listed) => {
                if listed.partitions.iter().any(|(_, error, ..)| !error.is_none()) {
                    self.no_answer();
                    return Verdict::TryAgain;
                }
                for (partition, _, offset, _) in listed.partitions {
                    self.learn(partition.partition, offset);
                }
                Verdict::GoOn
            }
            Response::Fetch(fetched) => {
                self.round.pop();
                let mut verdict = Verdict::GoOn;
                for partition in fetched.partitions {
                    if partition.error.is_stale_metadata() {
                        self.no_answer();
                        verdict = Verdict::TryAgain;
                    } else {
                        self.read(now, partition, paper);
                    }
                }
                verdict
            }
            _ => Verdict::TryAgain,
        }
    }

    fn on_metadata(&mut self, topics: Vec<TopicMetadata>, paper: &mut Paper) -> Verdict {
        let topic = topics.into_iter().find(|topic| *topic.name == *self.job.topic);
        match topic.filter(|topic| topic.error.is_none()) {
            Some(topic) => {
                let exists = self.job.partition.is_none_or(|partition| (partition as usize) < topic.partitions.len());
                let has_leader = topic.partitions.iter().any(|partition| partition.leader.is_some());
                self.topic = Some(topic);
                if !exists {
                    self.warn(paper);
                } else if !has_leader {
                    self.topic = None;
                    return Verdict::TryAgain;
                }
                Verdict::GoOn
            }
            // The real tool would go on asking for good; with --timeout-ms until then.
            None if self.job.timeout.is_none() => {
                self.warn(paper);
                Verdict::GoOn
            }
            None => Verdict::TryAgain,
        }
    }

    fn warn(&mut self, paper: &mut Paper) {
        paper.fail(&format!(
            "WARN [Consumer clientId=console-consumer] The metadata response from the cluster reported a recoverable \
             issue: {{{}=UNKNOWN_TOPIC_OR_PARTITION}} (org.apache.kafka.clients.NetworkClient)",
            self.job.topic
        ));
        self.is_over = true;
    }

    /// An offset that ListOffsets was asked for.
    fn learn(&mut self, partition: u32, offset: Offset) {
        match (self.asking, self.job.from) {
            (Some(OffsetSpec::Latest), from) => {
                self.ends.insert(partition, offset);
                match from {
                    StartAt::Latest => self.positions.entry(partition).or_insert(offset),
                    StartAt::Offset(at) => self.positions.entry(partition).or_insert(at),
                    StartAt::Earliest => return,
                };
            }
            _ => {
                self.positions.entry(partition).or_insert(offset);
            }
        }
    }

    fn read(&mut self, now: Instant, fetched: FetchedPartition, paper: &mut Paper) {
        let number = fetched.partition.partition;
        let Some(position) = self.positions.get(&number).copied() else { return };
        if !fetched.error.is_none() {
            // OFFSET_OUT_OF_RANGE: auto.offset.reset.
            let reset =
                if self.job.from == StartAt::Earliest { fetched.log_start_offset } else { fetched.high_watermark };
            self.positions.insert(number, reset.max(0));
            return;
        }
        for batch in &fetched.batches {
            // A batch that cannot be read is passed over, as with --skip-message-on-error.
            let records = if batch.is_control() { None } else { batch.records().ok() };
            for record in records.into_iter().flatten().filter(|record| record.offset >= position) {
                if self.job.max_messages.is_some_and(|max| self.count >= max) {
                    return;
                }
                self.count += 1;
                self.last_message = Some(now);
                write_record(&self.job.print, number, batch, &record, &mut paper.text);
            }
            self.positions.insert(number, batch.next_offset().max(position));
        }
    }

    /// The leaders may have changed.
    pub fn no_answer(&mut self) {
        self.topic = None;
        self.round.clear();
    }

    pub fn give_up(&mut self, paper: &mut Paper) {
        paper.fail(
            "WARN [Consumer clientId=console-consumer] Connection to the bootstrap servers could not be established. \
             (org.apache.kafka.clients.NetworkClient)",
        );
        paper.line(&format!("Processed a total of {} messages", self.count));
    }
}

/// One line, field by field, each followed by the separator or, if it is the last, by the line's end.
fn write_record(print: &Print, partition: u32, batch: &Batch, record: &Record, out: &mut String) {
    let text = |bytes: &Option<Bytes>| {
        bytes.as_ref().map_or_else(|| print.null_literal.clone(), |bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    let mut fields: Vec<String> = Vec::new();
    if print.timestamp {
        let kind = if batch.is_log_append_time() { "LogAppendTime" } else { "CreateTime" };
        fields.push(format!("{kind}:{}", record.timestamp));
    }
    if print.partition {
        fields.push(format!("Partition:{partition}"));
    }
    if print.offset {
        fields.push(format!("Offset:{}", record.offset));
    }
    // The tool hands neither on to its formatter.
    if print.delivery {
        fields.push("Delivery:NOT_PRESENT".into());
    }
    if print.epoch {
        fields.push("Epoch:NOT_PRESENT".into());
    }
    if print.headers {
        let header = |header: &super::super::record::Header| {
            format!("{}:{}", String::from_utf8_lossy(&header.key), text(&header.value))
        };
        let headers: Vec<String> = record.headers.iter().map(header).collect();
        fields.push(if headers.is_empty() { "NO_HEADERS".into() } else { headers.join(&print.headers_separator) });
    }
    if print.key {
        fields.push(text(&record.key));
    }
    if print.value {
        fields.push(text(&record.value));
    }
    if !fields.is_empty() {
        out.push_str(&fields.join(&print.key_separator));
        out.push_str(&print.line_separator);
    }
}
