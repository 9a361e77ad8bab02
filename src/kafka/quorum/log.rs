//! One replica's copy of `__cluster_metadata-0`: at a voter, and at a broker that observes.

use std::rc::Rc;

use super::super::ids::{LeaderEpoch, Offset};
use super::super::metadata::MetadataBatch;

/// Batches in order, without gaps. It survives a crash. Cheap to clone: what is written long ago is shared.
#[derive(Clone, Debug, Default)]
pub struct MetadataLog {
    sealed: Vec<Rc<[MetadataBatch]>>,
    open: Vec<MetadataBatch>,
    end: Offset,
    /// Where each leader's batches begin.
    epochs: Vec<(LeaderEpoch, Offset)>,
}

/// Batches of one shared piece.
const PIECE: usize = 64;

impl MetadataLog {
    /// The offset after the last record.
    pub fn end(&self) -> Offset {
        self.end
    }

    /// The epoch of the last batch; `None` in an empty log.
    pub fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.last().map(|(epoch, _)| *epoch)
    }

    /// Appends a batch that begins where the log ends.
    pub fn append(&mut self, batch: MetadataBatch) {
        assert_eq!(batch.base_offset, self.end, "a gap in the metadata log");
        if self.last_epoch().is_none_or(|last| last < batch.epoch) {
            self.epochs.push((batch.epoch, batch.base_offset));
        }
        self.end = batch.next_offset();
        self.open.push(batch);
        if self.open.len() == PIECE {
            self.sealed.push(self.open.drain(..).collect());
        }
    }

    /// The whole batches within `from..to`.
    pub fn read(&self, from: Offset, to: Offset) -> Vec<MetadataBatch> {
        // Nearly every read is at the end.
        let ends_before = |piece: &Rc<[MetadataBatch]>| piece.last().is_some_and(|last| last.next_offset() <= from);
        let first = self.sealed.partition_point(ends_before);
        let batches = self.sealed[first..].iter().flat_map(|piece| piece.iter()).chain(&self.open);
        let within = |batch: &&MetadataBatch| batch.base_offset >= from && batch.next_offset() <= to;
        batches.filter(within).cloned().collect()
    }

    /// The largest epoch here that is not above `epoch`, and where it ends (KIP-101, KIP-279).
    pub fn end_of_epoch(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        let after = self.epochs.partition_point(|(known, _)| *known <= epoch);
        let end = self.epochs.get(after).map_or(self.end, |(_, start)| *start);
        match after.checked_sub(1) {
            Some(at) => (self.epochs[at].0, end),
            None => (epoch, end),
        }
    }

    /// Cuts off everything from `to` on.
    pub fn truncate(&mut self, to: Offset) {
        if to >= self.end {
            return;
        }
        let kept: Vec<MetadataBatch> = self.read(0, to);
        *self = Self::default();
        kept.into_iter().for_each(|batch| self.append(batch));
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::metadata::MetadataRecord;
    use super::*;

    fn log(epochs: &[i32]) -> MetadataLog {
        let mut log = MetadataLog::default();
        for epoch in epochs {
            let records = Rc::new([MetadataRecord::NoOp, MetadataRecord::NoOp]);
            log.append(MetadataBatch { base_offset: log.end(), epoch: LeaderEpoch(*epoch), records });
        }
        log
    }

    #[test]
    fn a_read_hands_out_whole_batches_in_order() {
        let log = log(&[1; 200]);
        let offsets = |from, to| log.read(from, to).iter().map(|batch| batch.base_offset).collect::<Vec<_>>();
        assert_eq!(offsets(126, 131), [126, 128]);
        assert_eq!(offsets(396, 400), [396, 398]);
        assert_eq!(offsets(0, 400).len(), 200);
        assert_eq!(offsets(400, 400), [] as [Offset; 0]);
    }

    #[test]
    fn an_epoch_ends_where_the_next_one_here_begins() {
        let log = log(&[1, 1, 3]);
        assert_eq!(log.end_of_epoch(LeaderEpoch(1)), (LeaderEpoch(1), 4));
        assert_eq!(log.end_of_epoch(LeaderEpoch(2)), (LeaderEpoch(1), 4));
        assert_eq!(log.end_of_epoch(LeaderEpoch(3)), (LeaderEpoch(3), 6));
    }

    #[test]
    fn truncation_forgets_the_epochs_that_are_cut_off() {
        let mut log = log(&[1, 1, 3]);
        log.truncate(4);
        assert_eq!((log.end(), log.last_epoch()), (4, Some(LeaderEpoch(1))));
    }
}
