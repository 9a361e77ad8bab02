//! Walking the records of a batch without copying them (`DefaultRecord.readFrom`).

use bytes::Bytes;

use super::{Batch, CorruptRecord};
use crate::kafka::ids::Offset;
use crate::kafka::varint::{read_varint, read_varlong};

/// One record, as a consumer gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub offset: Offset,
    /// Milliseconds since 1970: when it was created, or appended where the topic says so.
    pub timestamp: i64,
    pub key: Option<Bytes>,
    /// `None` is a tombstone.
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
}

/// One record where it lies: nothing is copied, and no bytes are shared beyond the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef<'a> {
    pub offset: Offset,
    pub timestamp: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
}

/// A record's header: a name and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// The records of one batch, in order of offset.
#[derive(Clone, Debug)]
pub struct RecordIter {
    base_offset: Offset,
    base_timestamp: i64,
    /// Stands in for every record's own time where the broker's clock stamps them.
    log_append_time: Option<i64>,
    block: Bytes,
    /// Bytes of the block that have been walked.
    at: u32,
    left: i32,
}

impl RecordIter {
    /// Checks every record of `block`, the batch's records uncompressed.
    pub(super) fn over(batch: &Batch, block: Bytes) -> Result<Self, CorruptRecord> {
        let mut rest: &[u8] = &block;
        for _ in 0..batch.record_count {
            check(RawRecord::read(&mut rest)?)?;
        }
        if !rest.is_empty() {
            return Err(CorruptRecord("bytes remain after the last record"));
        }
        Ok(Self {
            base_offset: batch.base_offset,
            base_timestamp: batch.base_timestamp,
            log_append_time: batch.is_log_append_time().then_some(batch.max_timestamp),
            block,
            at: 0,
            left: batch.record_count,
        })
    }

    /// The bytes that are walked, uncompressed.
    pub fn block(&self) -> &Bytes {
        &self.block
    }

    /// The next record without a share in its bytes, and so cheaper than [`next`](Iterator::next): for whoever is done
    /// with a record before asking for another.
    pub fn next_ref(&mut self) -> Option<RecordRef<'_>> {
        let raw = walk(&self.block, &mut self.at, &mut self.left)?;
        let (offset, timestamp) = (self.offset_of(&raw), self.timestamp_of(&raw));
        Some(RecordRef { offset, timestamp, key: raw.key, value: raw.value })
    }

    /// Moves on to the first record at or after `offset`.
    pub fn skip_to(&mut self, offset: Offset) {
        let (mut at, mut left) = (self.at, self.left);
        while let Some(raw) = walk(&self.block, &mut at, &mut left) {
            if self.offset_of(&raw) >= offset {
                break;
            }
            (self.at, self.left) = (at, left);
        }
    }

    fn offset_of(&self, raw: &RawRecord<'_>) -> Offset {
        self.base_offset.wrapping_add(Offset::from(raw.offset_delta))
    }

    fn timestamp_of(&self, raw: &RawRecord<'_>) -> i64 {
        self.log_append_time.unwrap_or(self.base_timestamp.wrapping_add(raw.timestamp_delta))
    }
}

/// Reads the record at `at` and moves behind it.
#[inline]
fn walk<'a>(block: &'a [u8], at: &mut u32, left: &mut i32) -> Option<RawRecord<'a>> {
    if *left <= 0 {
        return None;
    }
    let mut rest = &block[*at as usize..];
    let raw = RawRecord::read(&mut rest).ok()?;
    *at = (block.len() - rest.len()) as u32;
    *left -= 1;
    Some(raw)
}

impl Iterator for RecordIter {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let raw = walk(&self.block, &mut self.at, &mut self.left)?;
        let share = |bytes: &[u8]| self.block.slice_ref(bytes);
        let header = |(key, value): (&[u8], Option<&[u8]>)| Header { key: share(key), value: value.map(share) };
        Some(Record {
            offset: self.offset_of(&raw),
            timestamp: self.timestamp_of(&raw),
            key: raw.key.map(share),
            value: raw.value.map(share),
            headers: raw.headers().map_while(Result::ok).map(header).collect(),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.left).unwrap_or(0);
        (left, Some(left))
    }
}

impl ExactSizeIterator for RecordIter {}

/// A record's fields where they lie.
struct RawRecord<'a> {
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    header_count: i32,
    /// What is left of the record: its headers.
    tail: &'a [u8],
}

impl<'a> RawRecord<'a> {
    #[inline]
    fn read(rest: &mut &'a [u8]) -> Result<Self, CorruptRecord> {
        const SHORT: CorruptRecord = CorruptRecord("a record ends before its last field");
        let length = read_varint(rest).ok_or(CorruptRecord("the batch holds fewer records than it counts"))?;
        let length = usize::try_from(length).map_err(|_| CorruptRecord("a record has a negative length"))?;
        let (mut body, after) =
            rest.split_at_checked(length).ok_or(CorruptRecord("a record is longer than its batch"))?;
        *rest = after;
        // A record's own attributes say nothing so far.
        body = body.get(1..).ok_or(SHORT)?;
        Ok(Self {
            timestamp_delta: read_varlong(&mut body).ok_or(SHORT)?,
            offset_delta: read_varint(&mut body).ok_or(SHORT)?,
            key: read_bytes(&mut body).ok_or(SHORT)?,
            value: read_bytes(&mut body).ok_or(SHORT)?,
            header_count: read_varint(&mut body).ok_or(SHORT)?,
            tail: body,
        })
    }

    fn headers(&self) -> Headers<'a> {
        Headers { left: self.header_count, rest: self.tail }
    }
}

struct Headers<'a> {
    left: i32,
    rest: &'a [u8],
}

impl<'a> Iterator for Headers<'a> {
    type Item = Result<(&'a [u8], Option<&'a [u8]>), CorruptRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        let header = read_bytes(&mut self.rest).flatten().zip(read_bytes(&mut self.rest));
        if header.is_none() {
            self.left = 0;
        }
        Some(header.ok_or(CorruptRecord("a header has no name, or ends early")))
    }
}

/// Checks what reading the fields has left open: the headers, and that nothing follows them.
fn check(raw: RawRecord<'_>) -> Result<(), CorruptRecord> {
    if raw.header_count < 0 {
        return Err(CorruptRecord("a record counts fewer than no headers"));
    }
    let mut headers = raw.headers();
    for header in &mut headers {
        header?;
    }
    if headers.rest.is_empty() { Ok(()) } else { Err(CorruptRecord("bytes remain after a record's last header")) }
}

/// A length and as many bytes; a negative length says null. The outer `None` says that the record ends early.
#[inline]
fn read_bytes<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let Ok(length) = usize::try_from(read_varint(rest)?) else { return Some(None) };
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(Some(bytes))
}
