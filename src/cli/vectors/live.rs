//! `live_traces`: requests to a real cluster and its answers, put to a cluster of ours.
//!
//! What is not built cannot be asked: a case that comes to such a step has failed there, and says so.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::cluster::{Cluster, GROUP_PARTITION, PARTITION};
use super::finding::Findings;
use crate::kafka::config::{Acks, Compression, Isolation};
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::LeaveReason;
use crate::kafka::ids::{Generation, LeaderEpoch, Name, TopicPartition};
use crate::kafka::message::consumer_group::ConsumerGroupHeartbeatRequest;
use crate::kafka::message::{
    EpochQuestion, FetchPartition, FetchRequest, InitProducerIdRequest, InitProducerIdResponse, ListOffsetsRequest,
    OffsetCommitRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest, OffsetSpec, ProduceRequest, Request,
    Response,
};
use crate::kafka::record::{Batch, BatchBuilder};
use crate::time::Duration;

/// The one group of a case.
const GROUP: &str = "group";

/// A producer that the case has not been given an id for: no cluster gives out one so high.
const NEVER_SEEN: i64 = 1 << 40;

/// Why a step cannot be compared.
enum Trouble {
    /// The step is not of this format.
    Unreadable(String),
    /// It asks for something that Kafka has and this program has not.
    NotBuilt(String),
}

/// A cluster, and the ids that a case's producers have in it.
struct Trace {
    cluster: Cluster,
    producers: BTreeMap<String, i64>,
}

pub fn live_traces(_: &[String], case: &Value, findings: &mut Findings) -> Result<(), String> {
    let steps = case.get("steps").and_then(Value::as_array).ok_or("it has no list `steps`")?;
    let mut trace = Trace { cluster: Cluster::new(), producers: BTreeMap::new() };
    for (at, step) in steps.iter().enumerate() {
        let Some(operation) = step.get("op") else { continue };
        let operation = operation.as_str().ok_or_else(|| format!("step {}: `op` is not a name", at + 1))?;
        let what = format!("step {} {operation}", at + 1);
        let nothing = Map::new();
        let part = |name: &str| step.get(name).and_then(Value::as_object).unwrap_or(&nothing);
        match trace.run(operation, part("req"), part("resp")) {
            Ok(got) => {
                for (field, expected) in part("resp") {
                    findings.compare(&format!("{what} {field}"), expected, got.get(field).unwrap_or(&Value::Null));
                }
                // An assignment comes only where it has changed.
                if let Some(assignment) = got.get("assignment").filter(|_| !part("resp").contains_key("assignment")) {
                    findings.add(&format!("{what} assignment"), "none", assignment.to_string());
                }
            }
            Err(Trouble::Unreadable(why)) => return Err(format!("{what}: {why}")),
            Err(Trouble::NotBuilt(why)) => {
                findings.add(&what, "an answer", format!("none: {why} not built"));
                return Ok(());
            }
        }
    }
    Ok(())
}

impl Trace {
    /// Asks what a step asks. The answer has the fields that traces show.
    fn run(
        &mut self,
        operation: &str,
        asked: &Map<String, Value>,
        expected: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Trouble> {
        match operation {
            "InitProducerId" => self.init_producer_id(asked, expected),
            "Produce" => self.produce(asked),
            "ListOffsets LATEST" => self.latest_offsets(),
            "Fetch" => self.fetch(asked),
            "OffsetForLeaderEpoch" => self.end_of_epoch(asked),
            "ConsumerGroupHeartbeat" => self.member_heartbeat(asked),
            "OffsetCommit" => self.commit(asked),
            "OffsetFetch" => self.committed(asked),
            other => Err(Trouble::NotBuilt(format!("{other} is"))),
        }
    }

    /// While a broker waits for its first block of ids a client asks again.
    fn init_producer_id(
        &mut self,
        asked: &Map<String, Value>,
        expected: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Trouble> {
        if asked.contains_key("transactional_id") {
            return Err(Trouble::NotBuilt("transactional ids are".to_owned()));
        }
        let mut answer = self.ask_for_producer_id()?;
        for _ in 0..10 {
            if answer.error != ErrorCode::CoordinatorLoadInProgress {
                break;
            }
            answer = self.ask_for_producer_id()?;
        }
        let mut got = fields([("error", json!(answer.error.name())), ("epoch", json!(answer.producer_epoch))]);
        // The trace gives the id a name.
        if let (true, Some(name)) = (answer.error.is_none(), expected.get("producer").and_then(Value::as_str)) {
            self.producers.insert(name.to_owned(), answer.producer_id);
            got.insert("producer".to_owned(), json!(name));
        }
        Ok(got)
    }

    fn ask_for_producer_id(&mut self) -> Result<InitProducerIdResponse, Trouble> {
        match self.cluster.ask(Request::InitProducerId(InitProducerIdRequest {})) {
            Some(Response::InitProducerId(answer)) => Ok(answer),
            other => Err(silent(other.as_ref())),
        }
    }

    fn produce(&mut self, asked: &Map<String, Value>) -> Result<Map<String, Value>, Trouble> {
        if asked.get("transactional").is_some_and(|is| *is == json!(true)) {
            return Err(Trouble::NotBuilt("transactions are".to_owned()));
        }
        let acks = match number(asked, "acks")? {
            None | Some(-1) => Acks::All,
            Some(1) => Acks::Leader,
            Some(other) => return Err(Trouble::Unreadable(format!("acks={other} has no answer to compare"))),
        };
        let batch = self.batch(asked)?;
        let request = Request::Produce(ProduceRequest {
            acks,
            timeout: Duration::secs(10),
            partitions: vec![(PARTITION, batch)],
        });
        let answer = self.cluster.ask(request);
        let Some(Response::Produce(produced)) = &answer else { return Err(silent(answer.as_ref())) };
        let partition = produced.partitions.first().ok_or_else(|| silent(answer.as_ref()))?;
        Ok(fields([("error", json!(partition.error.name())), ("base_offset", json!(partition.base_offset))]))
    }

    fn batch(&mut self, asked: &Map<String, Value>) -> Result<Batch, Trouble> {
        let mut builder = BatchBuilder::new(Compression::None);
        for _ in 0..number(asked, "records")?.unwrap_or(1) {
            builder.append(0, None, Some(b"x"), &[]);
        }
        let name = asked.get("producer").and_then(Value::as_str).unwrap_or("none");
        if name == "none" {
            return Ok(builder.build());
        }
        // `Q (never seen)`, `V(old epoch)`: the name, and a remark.
        let name = name.split(['(', ' ']).next().unwrap_or(name);
        let unknown = NEVER_SEEN + self.producers.len() as i64;
        let id = *self.producers.entry(name.to_owned()).or_insert(unknown);
        let epoch = small(number(asked, "epoch")?.unwrap_or(0), "epoch")?;
        let sequence = small(number(asked, "base_seq")?.unwrap_or(0), "base_seq")?;
        Ok(builder.build().with_producer(id, epoch, sequence))
    }

    fn latest_offsets(&mut self) -> Result<Map<String, Value>, Trouble> {
        let mut got = Map::new();
        for (isolation, name) in [
            (Isolation::ReadUncommitted, "read_uncommitted(high watermark)"),
            (Isolation::ReadCommitted, "read_committed(last stable offset)"),
        ] {
            let partitions = vec![(PARTITION, None, OffsetSpec::Latest)];
            let request = ListOffsetsRequest { replica: None, isolation, partitions };
            let answer = self.cluster.ask(Request::ListOffsets(request));
            let Some(Response::ListOffsets(listed)) = &answer else { return Err(silent(answer.as_ref())) };
            got.insert(name.to_owned(), json!(listed.partitions.first().map(|(_, _, offset, _)| offset)));
        }
        Ok(got)
    }

    fn fetch(&mut self, asked: &Map<String, Value>) -> Result<Map<String, Value>, Trouble> {
        let isolation = match asked.get("isolation").and_then(Value::as_str) {
            Some("read_committed") => Isolation::ReadCommitted,
            _ => Isolation::ReadUncommitted,
        };
        let fetch = FetchPartition {
            partition: PARTITION,
            current_leader_epoch: epoch(asked, "current_leader_epoch")?,
            fetch_offset: number(asked, "offset")?.unwrap_or(0),
            last_fetched_epoch: epoch(asked, "last_fetched_epoch")?,
            log_start_offset: -1,
            max_bytes: 1 << 20,
        };
        let answer = self.cluster.ask(Request::Fetch(FetchRequest {
            replica: None,
            max_wait: Duration::millis(500),
            min_bytes: 1,
            max_bytes: 50 << 20,
            isolation,
            rack: None,
            partitions: vec![fetch],
        }));
        let Some(Response::Fetch(fetched)) = &answer else { return Err(silent(answer.as_ref())) };
        let partition = fetched.partitions.first().ok_or_else(|| silent(answer.as_ref()))?;
        Ok(fields([
            ("error", json!(partition.error.name())),
            ("high_watermark", json!(partition.high_watermark)),
            ("last_stable_offset", json!(partition.last_stable_offset)),
            ("batches", partition.batches.iter().map(shown).collect()),
        ]))
    }

    fn end_of_epoch(&mut self, asked: &Map<String, Value>) -> Result<Map<String, Value>, Trouble> {
        let question = EpochQuestion {
            partition: PARTITION,
            current_leader_epoch: epoch(asked, "current_leader_epoch")?,
            leader_epoch: epoch(asked, "leader_epoch")?.unwrap_or_default(),
        };
        let request = OffsetForLeaderEpochRequest { partitions: vec![question] };
        let answer = self.cluster.ask(Request::OffsetForLeaderEpoch(request));
        let Some(Response::OffsetForLeaderEpoch(ends)) = &answer else { return Err(silent(answer.as_ref())) };
        let end = ends.partitions.first().ok_or_else(|| silent(answer.as_ref()))?;
        Ok(fields([
            ("error", json!(end.error.name())),
            ("leader_epoch", json!(end.leader_epoch.map_or(-1, |epoch| epoch.0))),
            ("end_offset", json!(end.end_offset)),
        ]))
    }
}

/// The part about consumer groups (KIP-848).
impl Trace {
    /// Members of the recorded group waited for their heartbeats; a target was never so young that the next one had to
    /// wait.
    fn member_heartbeat(&mut self, asked: &Map<String, Value>) -> Result<Map<String, Value>, Trouble> {
        self.cluster.wait(Duration::secs(1));
        let owned = match asked.get("owned") {
            None => None,
            Some(topics) => {
                Some(partitions_of(topics).ok_or_else(|| Trouble::Unreadable(format!("`owned`: {topics}")))?)
            }
        };
        let topics = asked.get("topics").and_then(Value::as_array);
        let request = ConsumerGroupHeartbeatRequest {
            group: GROUP.into(),
            member_id: name_in(asked, "member"),
            member_epoch: Generation(small(number(asked, "epoch")?.unwrap_or(0), "epoch")?),
            instance_id: None,
            rack: None,
            client_id: "client".into(),
            rebalance_timeout: number(asked, "rebalance_ms")?.map(|ms| Duration::millis(ms.unsigned_abs())),
            topics: topics.map(|names| names.iter().filter_map(Value::as_str).map(Name::from).collect()),
            regex: None,
            server_assignor: None,
            owned,
            leave_reason: LeaveReason::Closed,
        };
        let answer = self.cluster.ask(Request::ConsumerGroupHeartbeat(Box::new(request)));
        let Some(Response::ConsumerGroupHeartbeat(heard)) = &answer else { return Err(silent(answer.as_ref())) };
        let mut got = fields([("error", json!(heard.error.name())), ("epoch", json!(heard.member_epoch.0))]);
        if let Some(assignment) = &heard.assignment {
            let numbers: Vec<u32> = assignment.iter().map(|at| at.partition).collect();
            let shown = if numbers.is_empty() { json!([]) } else { json!([numbers]) };
            got.insert("assignment".to_owned(), shown);
        }
        Ok(got)
    }

    fn commit(&mut self, asked: &Map<String, Value>) -> Result<Map<String, Value>, Trouble> {
        let epoch = number(asked, "generation_or_epoch")?.filter(|epoch| *epoch >= 0);
        let offset = number(asked, "offset")?.unwrap_or(0);
        let request = OffsetCommitRequest {
            group: GROUP.into(),
            generation: epoch.map(|epoch| small(epoch, "generation_or_epoch").map(Generation)).transpose()?,
            member_id: name_in(asked, "member"),
            group_instance_id: None,
            partitions: vec![(GROUP_PARTITION, offset, None)],
        };
        let answer = self.cluster.ask(Request::OffsetCommit(request));
        let Some(Response::OffsetCommit(committed)) = &answer else { return Err(silent(answer.as_ref())) };
        let error = committed.partitions.first().map(|(_, error)| error.name());
        Ok(fields([("error", json!(error))]))
    }

    fn committed(&mut self, asked: &Map<String, Value>) -> Result<Map<String, Value>, Trouble> {
        if asked.get("require_stable").is_some_and(|wants| *wants == json!(true)) {
            return Err(Trouble::NotBuilt("waiting for transactional offsets is".to_owned()));
        }
        let request = OffsetFetchRequest { group: GROUP.into(), member: None, partitions: Some(vec![GROUP_PARTITION]) };
        let answer = self.cluster.ask(Request::OffsetFetch(request));
        let Some(Response::OffsetFetch(found)) = &answer else { return Err(silent(answer.as_ref())) };
        let offset = found.partitions.first().map(|(_, offset, _)| *offset);
        Ok(fields([
            ("group_error", json!(found.error.name())),
            ("error", json!(found.error.name())),
            ("offset", json!(offset)),
        ]))
    }
}

/// `[[0, 1, 2]]`: the partitions of each topic; there is but one.
fn partitions_of(topics: &Value) -> Option<Vec<TopicPartition>> {
    let numbers = topics.as_array()?.iter().map(Value::as_array).collect::<Option<Vec<_>>>()?;
    let partition = |at: &Value| Some(TopicPartition::new(GROUP_PARTITION.topic, u32::try_from(at.as_u64()?).ok()?));
    numbers.into_iter().flatten().map(partition).collect()
}

/// A name without the remark behind it: `m2(epoch too high)` is `m2`.
fn name_in(asked: &Map<String, Value>, field: &str) -> Name {
    let text = asked.get(field).and_then(Value::as_str).unwrap_or_default();
    text.split(['(', ' ']).next().unwrap_or(text).into()
}

/// A batch as traces write it: `0..1 tx`, `3..3 control tx`.
fn shown(batch: &Batch) -> Value {
    let control = if batch.is_control() { " control" } else { "" };
    let transactional = if batch.is_transactional() { " tx" } else { "" };
    json!(format!("{}..{}{control}{transactional}", batch.base_offset, batch.last_offset()))
}

fn fields<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn number(asked: &Map<String, Value>, field: &str) -> Result<Option<i64>, Trouble> {
    match asked.get(field) {
        None => Ok(None),
        Some(value) => {
            value.as_i64().map(Some).ok_or_else(|| Trouble::Unreadable(format!("`{field}`: {value} is no number")))
        }
    }
}

fn small<T: TryFrom<i64>>(number: i64, field: &str) -> Result<T, Trouble> {
    T::try_from(number).map_err(|_| Trouble::Unreadable(format!("`{field}`: {number} is out of bounds")))
}

/// -1 says that there is none.
fn epoch(asked: &Map<String, Value>, field: &str) -> Result<Option<LeaderEpoch>, Trouble> {
    let epoch = number(asked, field)?.filter(|epoch| *epoch >= 0);
    epoch.map(|epoch| small(epoch, field).map(LeaderEpoch)).transpose()
}

/// The broker gave no answer, or none to the question.
fn silent(answer: Option<&Response>) -> Trouble {
    Trouble::NotBuilt(answer.map_or("an answer is".to_owned(), |answer| format!("this answer ({:?}) is", answer.api())))
}
