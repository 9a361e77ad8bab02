//! What a share coordinator writes to `__share_group_state`, in Kafka's own bytes.
//!
//! A snapshot says all that is known of a share-partition, an update what has changed since. Schemas: `ShareSnapshotKey`,
//! `ShareSnapshotValue`, `ShareUpdateKey`, `ShareUpdateValue`, each in its only version.

use crate::kafka::config::Compression;
use crate::kafka::ids::{Generation, LeaderEpoch, Offset, TopicPartition};
use crate::kafka::message::share::{SharePartitionKey, StateBatch};
use crate::kafka::record::{Batch, BatchBuilder};
use crate::kafka::wire::{Reader, Writer};
use crate::time::Instant;

/// One record of `__share_group_state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateRecord {
    Snapshot(SharePartitionKey, ShareSnapshot),
    Update(SharePartitionKey, ShareUpdate),
}

/// A share-partition as it stands (`ShareGroupOffset`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareSnapshot {
    /// Counts the snapshots.
    pub snapshot_epoch: i32,
    /// The group epoch in which the group began to read the partition.
    pub state_epoch: Generation,
    /// The newest leader of the partition that has asked.
    pub leader_epoch: LeaderEpoch,
    /// -1: not decided yet.
    pub start_offset: Offset,
    pub delivery_complete_count: i32,
    pub timestamp: i64,
    /// In order, without overlaps.
    pub batches: Vec<StateBatch>,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareUpdate {
    pub snapshot_epoch: i32,
    pub leader_epoch: LeaderEpoch,
    /// -1: as before.
    pub start_offset: Offset,
    pub delivery_complete_count: i32,
    pub batches: Vec<StateBatch>,
}

const SNAPSHOT: i16 = 0;
const UPDATE: i16 = 1;
const VERSION: i16 = 0;

/// A batch with this record.
pub fn batch(record: &StateRecord, now: Instant) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    let (key, value) = record.encode();
    builder.append(now.timestamp_ms(), Some(&key), Some(&value), &[]);
    builder.build()
}

/// The records of a batch; what cannot be read is left out.
pub fn records(batch: &Batch) -> Vec<StateRecord> {
    let Ok(records) = batch.records() else { return Vec::new() };
    records.filter_map(|record| StateRecord::decode(&record.key?, &record.value?)).collect()
}

impl StateRecord {
    /// Key and value as Kafka writes them.
    pub fn encode(&self) -> (Vec<u8>, Vec<u8>) {
        let (kind, key) = match self {
            Self::Snapshot(key, _) => (SNAPSHOT, key),
            Self::Update(key, _) => (UPDATE, key),
        };
        let mut out = Writer::of_kind(kind);
        out.string(&key.group);
        out.topic(key.partition.topic);
        out.int32(key.partition.partition.cast_signed());
        let mut value = Writer::of_kind(VERSION);
        match self {
            Self::Snapshot(_, snapshot) => {
                value.int32(snapshot.snapshot_epoch);
                value.int32(snapshot.state_epoch.0);
                value.int32(snapshot.leader_epoch.0);
                value.int64(snapshot.start_offset);
                // Created and written.
                value.int64(snapshot.timestamp);
                value.int64(snapshot.timestamp);
                write_batches(&mut value, &snapshot.batches);
                value.tagged(&[(0, snapshot.delivery_complete_count.to_be_bytes().to_vec())]);
            }
            Self::Update(_, update) => {
                value.int32(update.snapshot_epoch);
                value.int32(update.leader_epoch.0);
                value.int64(update.start_offset);
                write_batches(&mut value, &update.batches);
                value.tagged(&[(0, update.delivery_complete_count.to_be_bytes().to_vec())]);
            }
        }
        (out.0, value.0)
    }

    /// Reads a record; `None` if it is of no kind known here, or cut short.
    pub fn decode(key: &[u8], value: &[u8]) -> Option<Self> {
        let (mut key, mut value) = (Reader(key), Reader(value));
        let kind = key.int16()?;
        let (group, topic, partition) = (key.string()?, key.topic()?, key.int32()?.cast_unsigned());
        let key = SharePartitionKey { group, partition: TopicPartition::new(topic, partition) };
        if value.int16()? != VERSION {
            return None;
        }
        match kind {
            SNAPSHOT => {
                let (snapshot_epoch, state_epoch) = (value.int32()?, Generation(value.int32()?));
                let (leader_epoch, start_offset) = (LeaderEpoch(value.int32()?), value.int64()?);
                let (timestamp, _) = (value.int64()?, value.int64()?);
                let batches = read_batches(&mut value)?;
                let delivery_complete_count = read_count(&mut value)?;
                let snapshot = ShareSnapshot {
                    snapshot_epoch,
                    state_epoch,
                    leader_epoch,
                    start_offset,
                    delivery_complete_count,
                    timestamp,
                    batches,
                };
                Some(Self::Snapshot(key, snapshot))
            }
            UPDATE => {
                let (snapshot_epoch, leader_epoch) = (value.int32()?, LeaderEpoch(value.int32()?));
                let start_offset = value.int64()?;
                let batches = read_batches(&mut value)?;
                let delivery_complete_count = read_count(&mut value)?;
                let update =
                    ShareUpdate { snapshot_epoch, leader_epoch, start_offset, delivery_complete_count, batches };
                Some(Self::Update(key, update))
            }
            _ => None,
        }
    }
}

fn write_batches(out: &mut Writer, batches: &[StateBatch]) {
    out.compact_array(batches.iter(), |out, batch| {
        out.int64(batch.first);
        out.int64(batch.last);
        out.fixed(batch.state.to_be_bytes());
        out.fixed(batch.delivery_count.to_be_bytes());
        out.tagged(&[]);
    });
}

fn read_batches(bytes: &mut Reader) -> Option<Vec<StateBatch>> {
    bytes.compact_array(|bytes| {
        let (first, last) = (bytes.int64()?, bytes.int64()?);
        let (state, delivery_count) = (i8::from_be_bytes(bytes.fixed()?), u16::from_be_bytes(bytes.fixed()?));
        bytes.tagged(0)?;
        Some(StateBatch { first, last, state, delivery_count })
    })
}

/// The tagged count of records that need no delivery; -1 where it is not there.
fn read_count(bytes: &mut Reader) -> Option<i32> {
    match bytes.tagged(0)? {
        None => Some(-1),
        Some(field) => field.try_into().ok().map(i32::from_be_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::ids::TopicId;

    fn key() -> SharePartitionKey {
        SharePartitionKey { group: "g".into(), partition: TopicPartition::new(TopicId(2), 3) }
    }

    #[test]
    fn an_update_has_the_bytes_of_kafkas_schema() {
        let update = ShareUpdate {
            snapshot_epoch: 1,
            leader_epoch: LeaderEpoch(4),
            start_offset: 5,
            delivery_complete_count: 6,
            batches: vec![StateBatch { first: 7, last: 8, state: 2, delivery_count: 1 }],
        };
        let record = StateRecord::Update(key(), update);
        let (written_key, value) = record.encode();
        let mut expected = vec![0, 1, 0, 1, b'g'];
        expected.extend([0; 15]);
        expected.extend([3, 0, 0, 0, 3]);
        assert_eq!(written_key, expected);
        let mut expected = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5, 2];
        expected.extend([0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 1, 0]);
        expected.extend([1, 0, 4, 0, 0, 0, 6]);
        assert_eq!(value, expected);
        assert_eq!(StateRecord::decode(&written_key, &value), Some(record));
    }

    #[test]
    fn a_snapshot_reads_back_as_it_was_written_and_not_when_cut_short() {
        let snapshot = ShareSnapshot {
            snapshot_epoch: 1,
            state_epoch: Generation(2),
            leader_epoch: LeaderEpoch(-1),
            start_offset: -1,
            delivery_complete_count: 0,
            timestamp: 17,
            batches: vec![StateBatch { first: 0, last: 9, state: 4, delivery_count: 5 }],
        };
        let record = StateRecord::Snapshot(key(), snapshot);
        let (key, value) = record.encode();
        assert_eq!(StateRecord::decode(&key, &value), Some(record));
        for length in 0..value.len() {
            assert_eq!(StateRecord::decode(&key, &value[..length]), None, "{length} bytes");
        }
    }
}
