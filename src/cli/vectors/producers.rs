//! `producer_state`: what one partition's log tells of its producers, operation by operation.

use serde::Deserialize;
use serde_json::Value;

use super::file::parse;
use super::finding::Findings;
use crate::kafka::config::{BrokerConfig, Compression};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::Offset;
use crate::kafka::producer_state::{AppendOrigin, CompletedTransaction, ProducerState};
use crate::kafka::record::{Batch, BatchBuilder, ControlType, transaction_marker};

#[derive(Deserialize)]
struct Case {
    ops: Vec<Value>,
}

/// What is done to a state that begins empty.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Operation {
    Append {
        producer_id: i64,
        epoch: i16,
        first_seq: i32,
        first_offset: Offset,
        last_offset: Offset,
        timestamp: i64,
        transactional: bool,
        origin: Origin,
        result: String,
    },
    Marker {
        producer_id: i64,
        epoch: i16,
        control: Control,
        coordinator_epoch: i32,
        offset: Offset,
        timestamp: i64,
        /// 2 makes the check of the epoch strict.
        #[serde(default)]
        transaction_version: u8,
        result: String,
    },
    CompleteTxn {
        producer_id: i64,
        first: Offset,
        last: Offset,
        aborted: bool,
    },
    LastEntry {
        producer_id: i64,
        result: Option<String>,
    },
    FirstUnstableOffset {
        result: Value,
    },
    #[serde(alias = "highWatermark")]
    OnHighWatermarkUpdated {
        #[serde(alias = "highWatermark", alias = "arg")]
        offset: Offset,
    },
    RemoveExpiredProducers {
        now: i64,
    },
    TruncateAndReload {
        log_start_offset: Offset,
        log_end_offset: Offset,
        now: i64,
    },
    TruncateFullyAndStartAt {},
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Origin {
    Client,
    Coordinator,
    Replication,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Control {
    Abort,
    Commit,
}

pub fn producer_state(_: &[String], case: &Value, findings: &mut Findings) -> Result<(), String> {
    let case: Case = parse(case)?;
    let mut state = ProducerState::default();
    for (at, operation) in case.ops.iter().enumerate() {
        let what = format!("operation {} {operation}", at + 1);
        let operation = parse(operation).map_err(|why| format!("operation {}: {why}", at + 1))?;
        operate(&mut state, operation, &what, findings).map_err(|why| format!("operation {}: {why}", at + 1))?;
    }
    Ok(())
}

fn operate(state: &mut ProducerState, operation: Operation, what: &str, findings: &mut Findings) -> Result<(), String> {
    let expiration = BrokerConfig::default().producer_id_expiration;
    match operation {
        Operation::Append {
            producer_id,
            epoch,
            first_seq,
            first_offset,
            last_offset,
            timestamp,
            transactional,
            origin,
            result,
        } => {
            let last_offset_delta = i32::try_from(last_offset - first_offset).map_err(|error| error.to_string())?;
            let builder = BatchBuilder::new(Compression::None);
            let builder = if transactional { builder.transactional() } else { builder };
            let batch = Batch {
                base_offset: first_offset,
                last_offset_delta,
                max_timestamp: timestamp,
                ..builder.build().with_producer(producer_id, epoch, first_seq)
            };
            let origin = match origin {
                Origin::Client => AppendOrigin::Client,
                Origin::Coordinator => AppendOrigin::Coordinator { strict: false },
                Origin::Replication => AppendOrigin::Replication,
            };
            let checked = state.check(&batch, origin).map_err(|refusal| refusal.error);
            findings.compare(what, &code_of(&result), &outcome(checked));
            if checked.is_ok() {
                state.note(&batch);
            }
        }
        Operation::Marker {
            producer_id,
            epoch,
            control,
            coordinator_epoch,
            offset,
            timestamp,
            transaction_version,
            result,
        } => {
            let kind = match control {
                Control::Abort => ControlType::Abort,
                Control::Commit => ControlType::Commit,
            };
            let marker = transaction_marker(kind, coordinator_epoch, producer_id, epoch, timestamp);
            let marker = Batch { base_offset: offset, ..marker };
            let origin = AppendOrigin::Coordinator { strict: transaction_version >= 2 };
            match state.check(&marker, origin) {
                Ok(()) => findings.compare(what, &result, &ended(state.note(&marker))),
                Err(refusal) => findings.compare(what, &code_of(&result), &refusal.error.name().to_owned()),
            }
        }
        Operation::CompleteTxn { producer_id, first, last, aborted } => {
            state.complete(CompletedTransaction { producer_id, first_offset: first, last_offset: last, aborted });
        }
        Operation::LastEntry { producer_id, result } => {
            findings.compare(what, &result, &last_entry(state, producer_id));
        }
        Operation::FirstUnstableOffset { result } => {
            findings.compare(what, &offset_in(&result)?, &state.first_unstable_offset());
        }
        Operation::OnHighWatermarkUpdated { offset } => state.high_watermark_moved(offset),
        Operation::RemoveExpiredProducers { now } => state.remove_expired(now, expiration),
        Operation::TruncateAndReload { log_start_offset, log_end_offset, now } => {
            state.reload(log_start_offset..log_end_offset, now, expiration);
        }
        Operation::TruncateFullyAndStartAt {} => *state = ProducerState::default(),
    }
    Ok(())
}

/// An entry as the cases write it.
fn last_entry(state: &ProducerState, producer_id: i64) -> Option<String> {
    let entry = state.entry(producer_id)?;
    let transaction = entry.transaction_first_offset.map_or("none".to_owned(), |offset| offset.to_string());
    Some(format!(
        "epoch={} lastSeq={} lastOffset={} firstSeq={} currentTxnFirstOffset={transaction}",
        entry.epoch,
        entry.last_sequence(),
        entry.last_data_offset(),
        entry.first_sequence(),
    ))
}

/// What a marker did, as the cases write it.
fn ended(completed: Option<CompletedTransaction>) -> String {
    completed.map_or("no-txn".to_owned(), |CompletedTransaction { first_offset, last_offset, aborted, .. }| {
        format!("completed first={first_offset} last={last_offset} aborted={aborted}")
    })
}

/// An offset, or that there is none: null or `none`.
fn offset_in(value: &Value) -> Result<Option<Offset>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text == "none" => Ok(None),
        Value::String(text) => text.parse().map(Some).map_err(|_| format!("`{text}` is no offset")),
        value => parse(value).map(Some),
    }
}

/// The outcome of an append: `ok`, or an error by its code's name.
pub fn outcome(result: Result<(), ErrorCode>) -> String {
    result.err().map_or("ok", ErrorCode::name).to_owned()
}

/// The name of the code that an exception's class stands for; anything else as it is.
pub fn code_of(exception: &str) -> String {
    let Some(stem) = exception.strip_suffix("Exception") else { return exception.to_owned() };
    let special = match stem {
        "OutOfOrderSequence" => ErrorCode::OutOfOrderSequenceNumber,
        "DuplicateSequence" => ErrorCode::DuplicateSequenceNumber,
        "RecordTooLarge" => ErrorCode::MessageTooLarge,
        "RecordBatchTooLarge" => ErrorCode::RecordListTooLarge,
        "CorruptRecord" => ErrorCode::CorruptMessage,
        "KafkaStorage" => ErrorCode::KafkaStorageError,
        _ => {
            let mut name = String::new();
            for (at, letter) in stem.char_indices() {
                if letter.is_ascii_uppercase() && at > 0 {
                    name.push('_');
                }
                name.push(letter.to_ascii_uppercase());
            }
            return name;
        }
    };
    special.name().to_owned()
}
