//! Record batches: Kafka's v2 layout (magic 2), the only one written since 4.0.
//!
//! A batch's header is parsed once; its records stay one block of bytes that producer, brokers and consumers share. A
//! broker never looks inside a record. Layout: `DefaultRecordBatch`, `DefaultRecord`.
//!
//! A producer fills a [`BatchBuilder`], the leader stamps [`Batch::base_offset`] and [`Batch::leader_epoch`] (which the
//! CRC leaves out, for that very reason), and a consumer walks [`Batch::records`].

mod builder;
mod control;
mod iter;

use std::fmt;

use bytes::Bytes;

pub use builder::BatchBuilder;
pub use control::{ControlType, control_batch, transaction_marker};
pub use iter::{Header, Record, RecordIter, RecordRef};

use super::compression;
use super::config::Compression;
use super::ids::{LeaderEpoch, Offset, Origin};

/// Bytes of a batch before its records (`RECORD_BATCH_OVERHEAD`).
pub const BATCH_OVERHEAD: u32 = 61;

/// Bytes before those that `batchLength` counts (`LOG_OVERHEAD`).
pub const LOG_OVERHEAD: u32 = 12;

/// What a batch without idempotence carries in place of an id, an epoch and a sequence.
pub const NO_PRODUCER_ID: i64 = -1;
pub const NO_PRODUCER_EPOCH: i16 = -1;
pub const NO_SEQUENCE: i32 = -1;

/// The only version of the layout.
const MAGIC: u8 = 2;

/// What the attributes of a batch say besides its codec.
mod attribute {
    pub const COMPRESSION: i16 = 0x07;
    pub const LOG_APPEND_TIME: i16 = 0x08;
    pub const TRANSACTIONAL: i16 = 0x10;
    pub const CONTROL: i16 = 0x20;
}

/// One record batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Assigned by the leader; 0 from a client.
    pub base_offset: Offset,
    /// Stamped by the leader; outside the CRC.
    pub leader_epoch: LeaderEpoch,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Bits 0-2 compression, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon.
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    /// -1 without idempotence; so are the next two.
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
    /// The records, compressed as one block if the attributes say so.
    pub records: Bytes,
    /// Not in Kafka's bytes: which application records these are, for the books.
    pub origin: Option<Origin>,
}

/// Bytes that are not what Kafka's layout says: why, in words that follow "corrupt record: ".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorruptRecord(pub &'static str);

impl fmt::Display for CorruptRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "corrupt record: {}", self.0)
    }
}

impl std::error::Error for CorruptRecord {}

impl Batch {
    /// Bytes of the whole batch.
    pub fn size(&self) -> u64 {
        u64::from(BATCH_OVERHEAD) + self.records.len() as u64
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> Offset {
        self.base_offset + Offset::from(self.last_offset_delta)
    }

    /// The offset after the last record.
    pub fn next_offset(&self) -> Offset {
        self.last_offset() + 1
    }

    /// Whether an idempotent producer sent it, or the marker ends a transaction.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }

    /// Sequence of the last record; -1 without idempotence, and for markers.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence == NO_SEQUENCE {
            return NO_SEQUENCE;
        }
        sequence_after(self.base_sequence, self.last_offset_delta)
    }

    /// How the records are compressed; `None` where the attributes name no codec that Kafka has.
    pub fn compression(&self) -> Option<Compression> {
        match self.attributes & attribute::COMPRESSION {
            0 => Some(Compression::None),
            1 => Some(Compression::Gzip),
            2 => Some(Compression::Snappy),
            3 => Some(Compression::Lz4),
            4 => Some(Compression::Zstd),
            _ => None,
        }
    }

    /// Whether the broker's clock stamped the records (`message.timestamp.type=LogAppendTime`).
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & attribute::LOG_APPEND_TIME != 0
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & attribute::TRANSACTIONAL != 0
    }

    /// Whether this is a marker that consumers never show.
    pub fn is_control(&self) -> bool {
        self.attributes & attribute::CONTROL != 0
    }

    /// The records in order of offset, their keys and values shared with the batch.
    ///
    /// Every record is checked before the first is handed out, so that walking them cannot fail.
    pub fn records(&self) -> Result<RecordIter, CorruptRecord> {
        let codec = self.compression().ok_or(CorruptRecord("the attributes name no codec"))?;
        let block = match codec {
            Compression::None => self.records.clone(),
            codec => compression::decompress(codec, &self.records)?.into(),
        };
        RecordIter::over(self, block)
    }

    /// The whole batch, byte for byte as Kafka sends and stores it.
    pub fn encode(&self) -> Vec<u8> {
        let length = BATCH_OVERHEAD - LOG_OVERHEAD + self.records.len() as u32;
        let mut bytes = Vec::with_capacity((BATCH_OVERHEAD as usize) + self.records.len());
        bytes.extend_from_slice(&self.base_offset.to_be_bytes());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&self.leader_epoch.0.to_be_bytes());
        bytes.push(MAGIC);
        bytes.extend_from_slice(&self.crc.to_be_bytes());
        bytes.extend_from_slice(&self.checked_header());
        bytes.extend_from_slice(&self.records);
        bytes
    }

    /// Reads one batch that fills `bytes`. Neither the CRC nor the records are looked at:
    /// [`crc_is_valid`](Self::crc_is_valid) and [`records`](Self::records) do that.
    pub fn parse(bytes: &[u8]) -> Result<Self, CorruptRecord> {
        let mut rest = bytes;
        let base_offset = i64::from_be_bytes(take(&mut rest)?);
        let length = i32::from_be_bytes(take(&mut rest)?);
        if usize::try_from(length) != Ok(rest.len()) {
            return Err(CorruptRecord("the batch length is not that of the batch"));
        }
        let leader_epoch = LeaderEpoch(i32::from_be_bytes(take(&mut rest)?));
        let [magic] = take(&mut rest)?;
        if magic != MAGIC {
            return Err(CorruptRecord("the magic byte is not 2"));
        }
        Ok(Self {
            base_offset,
            leader_epoch,
            crc: u32::from_be_bytes(take(&mut rest)?),
            attributes: i16::from_be_bytes(take(&mut rest)?),
            last_offset_delta: i32::from_be_bytes(take(&mut rest)?),
            base_timestamp: i64::from_be_bytes(take(&mut rest)?),
            max_timestamp: i64::from_be_bytes(take(&mut rest)?),
            producer_id: i64::from_be_bytes(take(&mut rest)?),
            producer_epoch: i16::from_be_bytes(take(&mut rest)?),
            base_sequence: i32::from_be_bytes(take(&mut rest)?),
            record_count: i32::from_be_bytes(take(&mut rest)?),
            records: Bytes::copy_from_slice(rest),
            origin: None,
        })
    }

    /// Whether nothing has changed since the CRC was worked out.
    pub fn crc_is_valid(&self) -> bool {
        self.crc == self.computed_crc()
    }

    /// The CRC-32C of what the batch holds now: all its bytes from the attributes on.
    pub fn computed_crc(&self) -> u32 {
        checksum(&[&self.checked_header(), &self.records])
    }

    /// The same batch stamped by the broker's clock; its records then all have that time
    /// (`DefaultRecordBatch.setMaxTimestamp`).
    pub fn with_log_append_time(&self, timestamp_ms: i64) -> Self {
        let attributes = self.attributes | attribute::LOG_APPEND_TIME;
        Self { attributes, max_timestamp: timestamp_ms, ..self.clone() }.sealed()
    }

    /// The same batch under a producer's identity and sequence (`ProducerBatch.setProducerState`).
    pub fn with_producer(self, producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Self {
        Self { producer_id, producer_epoch, base_sequence, ..self }.sealed()
    }

    /// The same batch with the CRC of what it holds now.
    pub fn sealed(mut self) -> Self {
        self.crc = self.computed_crc();
        self
    }

    /// The header's part that the CRC covers: bytes 21 to 61.
    fn checked_header(&self) -> [u8; 40] {
        let mut header = [0; 40];
        header[0..2].copy_from_slice(&self.attributes.to_be_bytes());
        header[2..6].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        header[6..14].copy_from_slice(&self.base_timestamp.to_be_bytes());
        header[14..22].copy_from_slice(&self.max_timestamp.to_be_bytes());
        header[22..30].copy_from_slice(&self.producer_id.to_be_bytes());
        header[30..32].copy_from_slice(&self.producer_epoch.to_be_bytes());
        header[32..36].copy_from_slice(&self.base_sequence.to_be_bytes());
        header[36..40].copy_from_slice(&self.record_count.to_be_bytes());
        header
    }
}

/// The CRC-32C (Castagnoli) of these pieces, one behind the other (`Crc32C`).
pub fn checksum(pieces: &[&[u8]]) -> u32 {
    pieces.iter().fold(0, |crc, piece| crc32c::crc32c_append(crc, piece))
}

/// The sequence so many records after `sequence`: 0 follows 2^31-1 (`DefaultRecordBatch.incrementSequence`).
pub const fn sequence_after(sequence: i32, records: i32) -> i32 {
    let sum = sequence as i64 + records as i64;
    if sum > i32::MAX as i64 { (sum - i32::MAX as i64 - 1) as i32 } else { sum as i32 }
}

/// The sequence so many records before `sequence` (`decrementSequence`).
pub const fn sequence_before(sequence: i32, records: i32) -> i32 {
    let difference = sequence as i64 - records as i64;
    if difference < 0 { (difference + i32::MAX as i64 + 1) as i32 } else { difference as i32 }
}

/// The number of a codec in the attributes (`CompressionType.id`).
fn codec_id(codec: Compression) -> i16 {
    match codec {
        Compression::None => 0,
        Compression::Gzip => 1,
        Compression::Snappy => 2,
        Compression::Lz4 => 3,
        Compression::Zstd => 4,
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], CorruptRecord> {
    let (taken, after) = rest.split_first_chunk::<N>().ok_or(CorruptRecord("the batch ends inside its header"))?;
    *rest = after;
    Ok(*taken)
}

#[cfg(test)]
mod tests;
