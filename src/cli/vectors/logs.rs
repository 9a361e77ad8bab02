//! `log_append`: sequences on one log, through a replica as brokers have it.

use serde::Deserialize;
use serde_json::{Value, json};

use super::file::parse;
use super::finding::Findings;
use super::producers::code_of;
use crate::kafka::config::Compression;
use crate::kafka::effects::Effects;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{BrokerId, LeaderEpoch, Offset, PartitionEpoch, TopicId, TopicPartition};
use crate::kafka::log::Log;
use crate::kafka::metadata::PartitionRegistration;
use crate::kafka::producer_state::AppendOrigin;
use crate::kafka::record::{Batch, BatchBuilder, ControlType, transaction_marker};
use crate::kafka::replica::{Replica, WatermarkVote, high_watermark_candidate};
use crate::time::Instant;

const ME: BrokerId = BrokerId(1);

#[derive(Deserialize)]
struct Case {
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    op: String,
    #[serde(default)]
    leader_epoch: i32,
    arg: Option<Offset>,
    #[serde(default)]
    batches: Vec<CaseBatch>,
    /// `COORDINATOR` writes markers.
    origin: Option<String>,
    #[serde(default)]
    expect: Expected,
}

#[derive(Deserialize)]
struct CaseBatch {
    records: u32,
    producer_id: Option<i64>,
    #[serde(default)]
    epoch: i16,
    #[serde(default)]
    base_seq: i32,
    #[serde(default)]
    transactional: bool,
    #[serde(default)]
    control: bool,
    base_offset: Option<Offset>,
    #[serde(default)]
    leader_epoch: i32,
}

#[derive(Default, Deserialize)]
struct Expected {
    error: Option<String>,
    first_offset: Option<Offset>,
    last_offset: Option<Offset>,
    result: Option<Value>,
    start: Option<Offset>,
    leo: Option<Offset>,
    hw: Option<Offset>,
    lso: Option<Offset>,
}

/// One replica, and what the next step tells of the one at hand.
struct Bench {
    replica: Replica,
    out: Effects,
    partition_epoch: i32,
    /// What a truncation returned that the case shows one step late.
    truncated: Option<bool>,
}

pub fn log_append(_: &[String], case: &Value, findings: &mut Findings) -> Result<(), String> {
    let case: Case = parse(case)?;
    let mut bench = Bench::starting_at(case.steps.first().map_or(0, Step::log_start));
    for (at, step) in case.steps.iter().enumerate() {
        let what = format!("step {} {}", at + 1, step.op);
        let next = case.steps.get(at + 1).map(|step| step.op.as_str());
        if !bench.run(step, next, &what, findings)? {
            findings.add(&what, "a step like those of the format", "an operation that is not built");
            return Ok(());
        }
        bench.compare(&step.expect, &what, findings);
    }
    Ok(())
}

impl Step {
    /// Where the log must begin for this to be its first step.
    fn log_start(&self) -> Offset {
        let first_batch = self.batches.first().and_then(|batch| batch.base_offset);
        self.expect.start.or(self.expect.first_offset).or(first_batch).unwrap_or(0)
    }

    fn arg(&self) -> Result<Offset, String> {
        self.arg.ok_or_else(|| format!("`{}` has no `arg`", self.op))
    }
}

impl Bench {
    fn starting_at(start: Offset) -> Self {
        let partition = TopicPartition::new(TopicId(0), 0);
        let replica = Replica::open(partition, Log::default(), 0);
        let mut bench = Self { replica, out: Effects::default(), partition_epoch: 0, truncated: None };
        if start != 0 {
            bench.replica.truncate_fully_and_start_at(start, &mut bench.out);
        }
        bench
    }

    /// Does one step; false where there is no such operation.
    fn run(&mut self, step: &Step, next: Option<&str>, what: &str, findings: &mut Findings) -> Result<bool, String> {
        let end = self.replica.log().end();
        match step.op.as_str() {
            "appendAsLeader" => self.append_as_leader(step, what, findings)?,
            "appendAsFollower" => {
                let batches = step.batches.iter().map(CaseBatch::build).collect();
                self.replica.append_fetched(batches, self.replica.high_watermark(), &mut self.out);
                self.compare_offsets(step, end, what, findings);
            }
            "maybeIncrementHighWatermark" => {
                let vote =
                    WatermarkVote { log_end: step.arg()?, in_maximal_isr: true, caught_up: true, isr_eligible: true };
                let moved = high_watermark_candidate(self.replica.high_watermark(), end, 2, 1, [vote].into_iter());
                self.replica.append_fetched(Vec::new(), moved.unwrap_or(self.replica.high_watermark()), &mut self.out);
                findings.compare_if(what, step.expect.result.as_ref(), &json!(moved.is_some()));
            }
            "updateHighWatermark" => {
                let to = step.arg()?;
                if step.expect.leo.is_some_and(|leo| leo < end) {
                    // A truncation sets the high watermark before it returns, and only then is it shown, if at all.
                    if next == Some("truncateTo") {
                        self.replica.truncate(to, &mut self.out);
                        self.truncated = Some(true);
                    } else {
                        self.replica.truncate_fully_and_start_at(to, &mut self.out);
                    }
                }
                self.replica.append_fetched(Vec::new(), to, &mut self.out);
                findings.compare_if(what, step.expect.result.as_ref(), &json!(self.replica.high_watermark()));
            }
            "truncateTo" => {
                let to = step.arg()?;
                self.replica.truncate(to, &mut self.out);
                let truncated = self.truncated.take().unwrap_or(to < end);
                findings.compare_if(what, step.expect.result.as_ref(), &json!(truncated));
            }
            "truncateFullyAndStartAt" => self.replica.truncate_fully_and_start_at(step.arg()?, &mut self.out),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn append_as_leader(&mut self, step: &Step, what: &str, findings: &mut Findings) -> Result<(), String> {
        self.lead(LeaderEpoch(step.leader_epoch));
        let origin = match step.origin.as_deref() {
            None | Some("CLIENT") => AppendOrigin::Client,
            Some("COORDINATOR" | "RAFT_LEADER") => AppendOrigin::Coordinator { strict: false },
            Some(other) => return Err(format!("`{other}` is no origin of an append")),
        };
        let (mut first, mut last, mut refused): (_, _, Option<ErrorCode>) = (None, None, None);
        for batch in step.batches.iter().map(CaseBatch::build) {
            let records = Offset::from(batch.last_offset_delta);
            match self.replica.append_from(origin, Instant::ZERO, batch, false, &mut self.out) {
                Ok(offset) => {
                    first.get_or_insert(offset);
                    last = Some(offset + records);
                }
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        let expected = step.expect.error.as_deref().map(code_of);
        findings.compare(what, &expected, &refused.map(|error| error.name().to_owned()));
        if expected.is_none() && refused.is_none() {
            findings.compare(&format!("{what} first_offset"), &step.expect.first_offset, &first);
            findings.compare(&format!("{what} last_offset"), &step.expect.last_offset, &last);
        }
        Ok(())
    }

    /// Makes the replica lead in that epoch, unless it does already.
    fn lead(&mut self, leader_epoch: LeaderEpoch) {
        if self.replica.is_leader() && self.replica.leader_epoch() >= leader_epoch {
            return;
        }
        self.partition_epoch += 1;
        let registration = PartitionRegistration {
            replicas: vec![ME],
            isr: vec![ME],
            leader: Some(ME),
            leader_epoch,
            partition_epoch: PartitionEpoch(self.partition_epoch),
            ..PartitionRegistration::default()
        };
        self.replica.apply(Instant::ZERO, ME, &registration, &mut self.out);
    }

    /// What was copied begins where the log ended before.
    fn compare_offsets(&self, step: &Step, before: Offset, what: &str, findings: &mut Findings) {
        let log_end = self.replica.log().end();
        let (first, last) = (before, log_end - 1);
        findings.compare_if(&format!("{what} first_offset"), step.expect.first_offset.as_ref(), &first);
        findings.compare_if(&format!("{what} last_offset"), step.expect.last_offset.as_ref(), &last);
        if let Some(error) = &step.expect.error {
            findings.compare(what, &Some(error.as_str()), &None);
        }
    }

    fn compare(&mut self, expected: &Expected, what: &str, findings: &mut Findings) {
        self.out.drain();
        let (log, replica) = (self.replica.log(), &self.replica);
        findings.compare_if(&format!("{what} start"), expected.start.as_ref(), &log.start());
        findings.compare_if(&format!("{what} leo"), expected.leo.as_ref(), &log.end());
        findings.compare_if(&format!("{what} hw"), expected.hw.as_ref(), &replica.high_watermark());
        findings.compare_if(&format!("{what} lso"), expected.lso.as_ref(), &replica.last_stable_offset());
    }
}

impl CaseBatch {
    fn build(&self) -> Batch {
        let producer_id = self.producer_id.unwrap_or(-1);
        let batch = if self.control {
            // The cases do not say which way a transaction ended: to the log it is all the same.
            transaction_marker(ControlType::Commit, 0, producer_id, self.epoch, 0)
        } else {
            let builder = BatchBuilder::new(Compression::None);
            let mut builder = if self.transactional { builder.transactional() } else { builder };
            (0..self.records).for_each(|_| builder.append(0, None, Some(b"x"), &[]));
            match self.producer_id {
                Some(id) => builder.build().with_producer(id, self.epoch, self.base_seq),
                None => builder.build(),
            }
        };
        let base_offset = self.base_offset.unwrap_or(0);
        Batch { base_offset, leader_epoch: LeaderEpoch(self.leader_epoch), ..batch }
    }
}
