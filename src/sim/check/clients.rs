//! What clients are told: an acknowledgement of all is of what is committed, and only that is read.

use super::{Verdict, Witness};
use crate::kafka::ids::{Offset, Origin, TopicPartition};
use crate::sim::trace::Stamped;

/// `acks=all` is answered when the high watermark has passed the batch.
pub(super) fn acked(
    stamped: &Stamped,
    partition: TopicPartition,
    origin: &Origin,
    base_offset: Offset,
    committed: Offset,
    world: &impl Witness,
    verdict: &mut Verdict,
) {
    let end = base_offset + Offset::from(origin.count);
    if base_offset < 0 || end <= committed || verdict.is_forgiven(partition) || !world.waits_for_all(origin.producer) {
        return;
    }
    let what = format!("{}: acked up to {end} with acks=all, committed up to {committed}", world.name(partition));
    verdict.report("AckedIsCommitted", stamped, what);
}

/// A consumer sees what is below the high watermark.
pub(super) fn fetched(
    stamped: &Stamped,
    partition: TopicPartition,
    base_offset: Offset,
    count: u32,
    committed: Offset,
    world: &impl Witness,
    verdict: &mut Verdict,
) {
    let end = base_offset + Offset::from(count);
    if count == 0 || end <= committed || verdict.is_forgiven(partition) {
        return;
    }
    let what = format!("{}: a consumer has read up to {end}, committed up to {committed}", world.name(partition));
    verdict.report("ReadIsCommitted", stamped, what);
}
