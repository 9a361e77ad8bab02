//! `live_traces`: requests to a real cluster and its answers, put to a cluster of ours.
//!
//! What is not built cannot be asked: a case that comes to such a step has failed there, and says so.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::cluster::{Cluster, PARTITION};
use super::finding::Findings;
use crate::kafka::config::{Acks, Compression, Isolation};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::LeaderEpoch;
use crate::kafka::message::{
    EpochQuestion, FetchPartition, FetchRequest, InitProducerIdRequest, InitProducerIdResponse, ListOffsetsRequest,
    OffsetForLeaderEpochRequest, OffsetSpec, ProduceRequest, Request, Response,
};
use crate::kafka::record::{Batch, BatchBuilder};
use crate::time::Duration;

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
