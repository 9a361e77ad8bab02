//! Control batches: one record that speaks to brokers, and that consumers never show.

use bytes::Bytes;

use super::{Batch, BatchBuilder, attribute};
use crate::kafka::config::Compression;

/// What a control record says (`ControlRecordType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ControlType {
    /// The transaction is undone.
    Abort,
    /// The transaction holds.
    Commit,
    /// The metadata quorum has a new leader.
    LeaderChange,
    SnapshotHeader,
    SnapshotFooter,
    KraftVersion,
    KraftVoters,
}

impl ControlType {
    const ALL: [Self; 7] = [
        Self::Abort,
        Self::Commit,
        Self::LeaderChange,
        Self::SnapshotHeader,
        Self::SnapshotFooter,
        Self::KraftVersion,
        Self::KraftVoters,
    ];

    /// The number in the record's key.
    pub const fn id(self) -> i16 {
        self as i16
    }
}

/// A control batch of one record; `value` is what its type's schema says.
pub fn control_batch(kind: ControlType, value: &[u8], timestamp_ms: i64) -> Batch {
    let [high, low] = kind.id().to_be_bytes();
    let mut builder = BatchBuilder::new(Compression::None);
    // The key: version 0, then the type.
    builder.append(timestamp_ms, Some(&[0, 0, high, low]), Some(value), &[]);
    let mut batch = builder.build();
    batch.attributes |= attribute::CONTROL;
    batch.sealed()
}

/// The marker that ends a producer's transaction in one partition (`EndTransactionMarker`); it takes one offset.
pub fn transaction_marker(
    kind: ControlType,
    coordinator_epoch: i32,
    producer_id: i64,
    producer_epoch: i16,
    timestamp_ms: i64,
) -> Batch {
    let mut value = [0; 6];
    value[2..].copy_from_slice(&coordinator_epoch.to_be_bytes());
    let mut batch = control_batch(kind, &value, timestamp_ms);
    batch.attributes |= attribute::TRANSACTIONAL;
    batch.with_producer(producer_id, producer_epoch, -1)
}

impl Batch {
    /// What a control batch says, and its record's value; `None` for any other batch, and for a type not known here.
    pub fn control(&self) -> Option<(ControlType, Bytes)> {
        if !self.is_control() {
            return None;
        }
        let record = self.records().ok()?.next()?;
        let [_, _, high, low] = *record.key?.first_chunk::<4>()?;
        let id = i16::from_be_bytes([high, low]);
        let kind = ControlType::ALL.into_iter().find(|kind| kind.id() == id)?;
        Some((kind, record.value.unwrap_or_default()))
    }
}
