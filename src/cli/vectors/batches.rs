//! `batch_v2`: record batches, byte for byte.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::file::{hex, parse, unhex};
use super::finding::Findings;
use crate::kafka::config::{Compression, SettingValue};
use crate::kafka::record::{Batch, BatchBuilder, ControlType, Header, LOG_OVERHEAD, Record, transaction_marker};

/// One batch: its records, how it was sent, its header's fields, and all its bytes.
#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    records: Vec<CaseRecord>,
    #[serde(default)]
    control: Control,
    coordinator_epoch: Option<i32>,
    compression: Option<String>,
    timestamp_type: Option<String>,
    log_append_time: Option<i64>,
    producer_id: Option<i64>,
    producer_epoch: Option<i16>,
    base_sequence: Option<i32>,
    transactional: Option<bool>,
    base_offset: Option<i64>,
    batch_length: Option<u64>,
    partition_leader_epoch: Option<i32>,
    crc: Option<u32>,
    attributes: Option<i16>,
    last_offset_delta: Option<i32>,
    base_timestamp: Option<i64>,
    max_timestamp: Option<i64>,
    record_count: Option<i32>,
    hex: String,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
struct CaseRecord {
    timestamp: i64,
    key_utf8: Option<String>,
    value_utf8: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<CaseHeader>,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
struct CaseHeader {
    key: String,
    value_utf8: Option<String>,
}

/// `false`, or the type of the control record.
#[derive(Deserialize)]
#[serde(untagged, expecting = "`control` is true, false or the type of the control record")]
enum Control {
    Is(bool),
    Type(String),
}

impl Default for Control {
    fn default() -> Self {
        Self::Is(false)
    }
}

/// Reads the bytes and compares every field; then writes the same records and compares the bytes.
pub fn batch_v2(_: &[String], case: &Value, findings: &mut Findings) -> Result<(), String> {
    let case: Case = parse(case)?;
    let bytes = unhex(&case.hex).map_err(|why| format!("`hex`: {why}"))?;
    let codec = match &case.compression {
        None => Compression::None,
        Some(name) => {
            Compression::parse(name, 0, 0).ok_or_else(|| format!("`compression`: no codec is called `{name}`"))?
        }
    };
    let read = match Batch::parse(&bytes) {
        Ok(read) => read,
        Err(why) => {
            findings.add("hex", "a batch", why.to_string());
            return Ok(());
        }
    };
    findings.compare("hex, read and written again", &hex(&bytes), &hex(&read.encode()));
    compare_header(&case, &read, findings);
    match &case.control {
        Control::Type(name) => compare_marker(&case, name, &read, findings),
        Control::Is(control) => {
            findings.compare("control", control, &read.is_control());
            compare_records(&case, codec, &read, findings);
            Ok(())
        }
    }
}

fn compare_header(case: &Case, read: &Batch, findings: &mut Findings) {
    findings.compare_if("base_offset", case.base_offset.as_ref(), &read.base_offset);
    findings.compare_if("batch_length", case.batch_length.as_ref(), &(read.size() - u64::from(LOG_OVERHEAD)));
    findings.compare_if("partition_leader_epoch", case.partition_leader_epoch.as_ref(), &read.leader_epoch.0);
    findings.compare_if("crc", case.crc.as_ref(), &read.crc);
    findings.compare("crc of the bytes", &read.crc, &read.computed_crc());
    findings.compare_if("attributes", case.attributes.as_ref(), &read.attributes);
    findings.compare_if("last_offset_delta", case.last_offset_delta.as_ref(), &read.last_offset_delta);
    findings.compare_if("base_timestamp", case.base_timestamp.as_ref(), &read.base_timestamp);
    findings.compare_if("max_timestamp", case.max_timestamp.as_ref(), &read.max_timestamp);
    findings.compare_if("producer_id", case.producer_id.as_ref(), &read.producer_id);
    findings.compare_if("producer_epoch", case.producer_epoch.as_ref(), &read.producer_epoch);
    findings.compare_if("base_sequence", case.base_sequence.as_ref(), &read.base_sequence);
    findings.compare_if("transactional", case.transactional.as_ref(), &read.is_transactional());
    findings.compare_if("record_count", case.record_count.as_ref(), &read.record_count);
    if let Some(name) = &case.timestamp_type {
        let found = if read.is_log_append_time() { "LogAppendTime" } else { "CreateTime" };
        findings.compare("timestamp_type", name, &found.to_owned());
    }
}

fn compare_records(case: &Case, codec: Compression, read: &Batch, findings: &mut Findings) {
    findings.compare("compression", &codec.show(), &read.compression().map_or("unknown".into(), |codec| codec.show()));
    // The broker's time stands for every record's own.
    let time_of = |record: &CaseRecord| case.log_append_time.unwrap_or(record.timestamp);
    let expected: Vec<CaseRecord> =
        case.records.iter().map(|r| CaseRecord { timestamp: time_of(r), ..r.clone() }).collect();
    compare_content("records", &expected, read, findings);

    let mut builder = BatchBuilder::new(codec);
    for record in &case.records {
        let bytes = |text: &Option<String>| text.clone().map(String::into_bytes);
        let values: Vec<_> = record.headers.iter().map(|header| bytes(&header.value_utf8)).collect();
        let headers: Vec<_> = record.headers.iter().zip(&values).map(|(h, v)| (h.key.as_str(), v.as_deref())).collect();
        builder.append(
            record.timestamp,
            bytes(&record.key_utf8).as_deref(),
            bytes(&record.value_utf8).as_deref(),
            &headers,
        );
    }
    if case.transactional == Some(true) {
        builder = builder.transactional();
    }
    let mut written = builder.build().with_producer(
        case.producer_id.unwrap_or(-1),
        case.producer_epoch.unwrap_or(-1),
        case.base_sequence.unwrap_or(-1),
    );
    if let Some(time) = case.log_append_time {
        written = written.with_log_append_time(time);
    }
    stamp(&mut written, read);
    if codec == Compression::None {
        findings.compare("hex, written from the records", &case.hex.to_lowercase(), &hex(&written.encode()));
    } else {
        // No codec prescribes the bytes of its encoder; what it wrote must read as the same.
        compare_content("records, written and read again", &expected, &written, findings);
    }
}

fn compare_content(what: &str, expected: &Vec<CaseRecord>, batch: &Batch, findings: &mut Findings) {
    match batch.records() {
        Ok(records) => findings.compare(what, expected, &records.map(CaseRecord::from).collect()),
        Err(why) => findings.add(what, format!("{} records", expected.len()), why.to_string()),
    }
}

/// A transaction's marker. The case does not name its producer: that is taken from the bytes.
fn compare_marker(case: &Case, name: &str, read: &Batch, findings: &mut Findings) -> Result<(), String> {
    let kind = match name {
        "COMMIT" => ControlType::Commit,
        "ABORT" => ControlType::Abort,
        _ => return Err(format!("`control`: `{name}` is neither COMMIT nor ABORT")),
    };
    let epoch = case.coordinator_epoch.ok_or("missing field `coordinator_epoch`")?;
    let mut written = transaction_marker(kind, epoch, read.producer_id, read.producer_epoch, read.base_timestamp);
    stamp(&mut written, read);
    let show =
        |batch: &Batch| batch.control().map_or("none".to_owned(), |(kind, value)| format!("{kind:?} {}", hex(&value)));
    findings.compare("control", &show(&written), &show(read));
    findings.compare("hex, written anew", &case.hex.to_lowercase(), &hex(&written.encode()));
    Ok(())
}

/// As the leader stamps a batch.
fn stamp(batch: &mut Batch, like: &Batch) {
    batch.base_offset = like.base_offset;
    batch.leader_epoch = like.leader_epoch;
}

impl From<Record> for CaseRecord {
    fn from(record: Record) -> Self {
        let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
        let header = |header: Header| CaseHeader { key: text(header.key), value_utf8: header.value.map(text) };
        Self {
            timestamp: record.timestamp,
            key_utf8: record.key.map(text),
            value_utf8: record.value.map(text),
            headers: record.headers.into_iter().map(header).collect(),
        }
    }
}
