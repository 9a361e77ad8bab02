//! Filling a batch: the busiest code of the program.

use bytes::Bytes;

use super::{BATCH_OVERHEAD, Batch, attribute, codec_id};
use crate::kafka::compression;
use crate::kafka::config::Compression;
use crate::kafka::ids::LeaderEpoch;
use crate::kafka::varint;

/// A batch being filled (`MemoryRecordsBuilder`).
///
/// Records go straight into the block they are sent in; codec and CRC come once, in [`build`](Self::build).
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    compression: Compression,
    transactional: bool,
    base_timestamp: i64,
    max_timestamp: i64,
    count: i32,
    records: Vec<u8>,
}

impl BatchBuilder {
    /// An empty batch.
    pub fn new(compression: Compression) -> Self {
        Self { compression, transactional: false, base_timestamp: -1, max_timestamp: -1, count: 0, records: Vec::new() }
    }

    /// Makes room for a batch of that many bytes (`batch.size`), so that memory need not be asked for again.
    pub fn with_room_for(mut self, bytes: u32) -> Self {
        // A huge `batch.size` is a limit, not a forecast.
        self.records.reserve(bytes.saturating_sub(BATCH_OVERHEAD).min(1 << 16) as usize);
        self
    }

    /// Marks the batch as part of a transaction.
    pub fn transactional(mut self) -> Self {
        self.transactional = true;
        self
    }

    /// Adds one record. The first one's timestamp is what the others are counted from.
    pub fn append(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) {
        if self.count == 0 {
            self.base_timestamp = timestamp_ms;
            self.max_timestamp = timestamp_ms;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp_ms);
        let timestamp_delta = timestamp_ms.wrapping_sub(self.base_timestamp);
        let body = body_length(timestamp_delta, self.count, key, value, headers);
        self.records.reserve(body as usize + varint::MAX_LENGTH);

        // What stands before the key is put together first, so that the block grows by few and whole pieces.
        let mut front = [0; 4 * varint::MAX_LENGTH];
        let mut at = 0;
        varint::put(&mut front, &mut at, u64::from(varint::zig_zag32(body as i32)));
        front[at] = 0;
        at += 1;
        varint::put(&mut front, &mut at, varint::zig_zag64(timestamp_delta));
        varint::put(&mut front, &mut at, u64::from(varint::zig_zag32(self.count)));
        varint::put(&mut front, &mut at, u64::from(varint::zig_zag32(length_of(key))));
        self.records.extend_from_slice(&front[..at]);
        self.records.extend_from_slice(key.unwrap_or_default());
        put_bytes(&mut self.records, value);
        varint::write_varint(&mut self.records, headers.len() as i32);
        for (name, value) in headers {
            put_bytes(&mut self.records, Some(name.as_bytes()));
            put_bytes(&mut self.records, *value);
        }
        self.count += 1;
    }

    /// Records so far.
    pub fn count(&self) -> u32 {
        self.count.cast_unsigned()
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the batch if it were closed now; with a codec, before that has done its work.
    pub fn size(&self) -> u64 {
        u64::from(BATCH_OVERHEAD) + self.records.len() as u64
    }

    /// [`size`](Self::size) after one more such record (`MemoryRecordsBuilder.hasRoomFor` compares it with the limit).
    pub fn size_with(
        &self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> u64 {
        let base_timestamp = if self.count == 0 { timestamp_ms } else { self.base_timestamp };
        let body = body_length(timestamp_ms.wrapping_sub(base_timestamp), self.count, key, value, headers);
        self.size() + u64::from(varint::varint_length(body as i32) + body)
    }

    /// Closes the batch: offsets from 0, no leader yet, no producer id.
    pub fn build(self) -> Batch {
        self.build_unsealed().sealed()
    }

    /// The same without its CRC, for who is still to give it a producer id ([`Batch::with_producer`]) or to seal it
    /// ([`Batch::sealed`]).
    pub fn build_unsealed(self) -> Batch {
        let records: Bytes = match self.compression {
            // Room that was asked for and not used is given back: a log keeps its batches for long.
            Compression::None => self.records.into_boxed_slice().into(),
            codec => compression::compress(codec, &self.records).into(),
        };
        let transactional = if self.transactional { attribute::TRANSACTIONAL } else { 0 };
        Batch {
            base_offset: 0,
            leader_epoch: LeaderEpoch(-1),
            crc: 0,
            attributes: codec_id(self.compression) | transactional,
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            record_count: self.count,
            records,
            origin: None,
        }
    }
}

/// Bytes of a record behind its length (`DefaultRecord.sizeOfBodyInBytes`).
#[inline]
fn body_length(
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[(&str, Option<&[u8]>)],
) -> u32 {
    let mut length = 1 + varint::varlong_length(timestamp_delta) + varint::varint_length(offset_delta);
    length += bytes_length(key) + bytes_length(value) + varint::varint_length(headers.len() as i32);
    for (name, value) in headers {
        length += bytes_length(Some(name.as_bytes())) + bytes_length(*value);
    }
    length
}

/// Bytes that a key or a value takes behind its own length.
#[inline]
fn bytes_length(bytes: Option<&[u8]>) -> u32 {
    varint::varint_length(length_of(bytes)) + bytes.map_or(0, |bytes| bytes.len() as u32)
}

/// A length as a record states it: -1 says null.
#[inline]
fn length_of(bytes: Option<&[u8]>) -> i32 {
    bytes.map_or(-1, |bytes| bytes.len() as i32)
}

#[inline]
fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    varint::write_varint(out, length_of(bytes));
    out.extend_from_slice(bytes.unwrap_or_default());
}
