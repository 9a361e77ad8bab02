//! The files of a segment as `kafka-dump-log` prints them (`DumpLogSegments`).

use super::Log;
use crate::kafka::config::SettingValue;
use crate::kafka::ids::Offset;
use crate::kafka::record::{Batch, Record};

/// A `.log` file: a line for each batch; with `contents` also its records, their keys and values as text.
pub fn dump_log(log: &Log, base_offset: Offset, contents: bool) -> Vec<String> {
    let mut lines = vec![format!("Log starting offset: {base_offset}")];
    let mut position = 0;
    for batch in log.segment_batches(base_offset) {
        lines.push(batch_line(batch, position));
        position += batch.size();
        if !contents {
            continue;
        }
        match batch.records() {
            Ok(records) => lines.extend(records.map(|record| record_line(batch, &record))),
            Err(corrupt) => lines.push(corrupt.to_string()),
        }
    }
    lines
}

/// An `.index` file.
pub fn dump_index(log: &Log, base_offset: Offset) -> Vec<String> {
    let entry = |entry: &super::OffsetEntry| format!("offset: {} position: {}", entry.offset, entry.position);
    log.offset_index(base_offset).map(entry).collect()
}

/// A `.timeindex` file.
pub fn dump_time_index(log: &Log, base_offset: Offset) -> Vec<String> {
    let entry = |entry: &super::TimeEntry| format!("timestamp: {} offset: {}", entry.timestamp, entry.offset);
    log.time_index(base_offset).map(entry).collect()
}

fn timestamp_type(batch: &Batch) -> &'static str {
    if batch.is_log_append_time() { "LogAppendTime" } else { "CreateTime" }
}

/// The sequence of the record at this place in the batch; sequences wrap around before they would be negative.
fn sequence(batch: &Batch, place: i32) -> i32 {
    if batch.base_sequence < 0 { -1 } else { batch.base_sequence.wrapping_add(place) & i32::MAX }
}

fn batch_line(batch: &Batch, position: u64) -> String {
    format!(
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} producerEpoch: {} \
         partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: OptionalLong.empty \
         position: {position} {}: {} size: {} magic: 2 compresscodec: {} crc: {} isvalid: {}",
        batch.base_offset,
        batch.last_offset(),
        batch.record_count,
        batch.base_sequence,
        sequence(batch, batch.last_offset_delta),
        batch.producer_id,
        batch.producer_epoch,
        batch.leader_epoch,
        batch.is_transactional(),
        batch.is_control(),
        timestamp_type(batch),
        batch.max_timestamp,
        batch.size(),
        batch.compression().map_or_else(|| "unknown".to_owned(), |codec| codec.show()),
        batch.crc,
        batch.crc_is_valid()
    )
}

fn record_line(batch: &Batch, record: &Record) -> String {
    let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
    let (key, value) = (record.key.as_deref(), record.value.as_deref());
    let headers: Vec<_> = record.headers.iter().map(|header| String::from_utf8_lossy(&header.key)).collect();
    let place = i32::try_from(record.offset - batch.base_offset).unwrap_or(0);
    let mut line = format!(
        "| offset: {} {}: {} keySize: {} valueSize: {} sequence: {} headerKeys: [{}]",
        record.offset,
        timestamp_type(batch),
        record.timestamp,
        size(key),
        size(value),
        sequence(batch, place),
        headers.join(",")
    );
    if batch.is_control() {
        return line;
    }
    for (name, bytes) in [("key", key), ("payload", value)] {
        if let Some(bytes) = bytes {
            line.push_str(&format!(" {name}: {}", String::from_utf8_lossy(bytes)));
        }
    }
    line
}
