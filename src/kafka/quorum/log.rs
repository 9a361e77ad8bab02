//! One replica's copy of `__cluster_metadata-0`: at a voter, and at a broker that observes.

use std::rc::Rc;

use super::super::ids::{LeaderEpoch, Offset};
use super::super::metadata::{MetadataBatch, MetadataSnapshot, SnapshotId};

/// Batches in order, without gaps, and a snapshot of what came before them. It survives a crash. Cheap to clone: what is
/// written long ago is shared.
#[derive(Clone, Debug, Default)]
pub struct MetadataLog {
    snapshot: Option<MetadataSnapshot>,
    start: Offset,
    sealed: Vec<Rc<[MetadataBatch]>>,
    open: Vec<MetadataBatch>,
    end: Offset,
    bytes: u64,
    /// Where each leader's batches begin.
    epochs: Vec<(LeaderEpoch, Offset)>,
}

/// Where a replica's log stands towards this one (`ValidOffsetAndEpoch`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    Valid,
    /// The replica is to cut its log off here.
    Diverging(LeaderEpoch, Offset),
    /// The replica needs records that are only in the snapshot.
    Snapshot(SnapshotId),
}

/// Batches of one shared piece.
const PIECE: usize = 64;

impl MetadataLog {
    /// The offset of the first record that is still here.
    pub fn start(&self) -> Offset {
        self.start
    }

    /// The offset after the last record.
    pub fn end(&self) -> Offset {
        self.end
    }

    /// The epoch of the last batch; `None` in an empty log.
    pub fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.last().map(|(epoch, _)| *epoch)
    }

    /// The epoch of the record at an offset; `None` where there is none, or none any more.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        if offset < self.start || offset >= self.end {
            return None;
        }
        let after = self.epochs.partition_point(|(_, start)| *start <= offset);
        after.checked_sub(1).map(|at| self.epochs[at].0)
    }

    /// The latest snapshot.
    pub fn snapshot(&self) -> Option<&MetadataSnapshot> {
        self.snapshot.as_ref()
    }

    /// The offset after the last record that the latest snapshot stands for; 0 without one.
    pub fn snapshot_end(&self) -> Offset {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.end)
    }

    /// Appends a batch that begins where the log ends.
    pub fn append(&mut self, batch: MetadataBatch) {
        assert_eq!(batch.base_offset, self.end, "a gap in the metadata log");
        if self.last_epoch().is_none_or(|last| last < batch.epoch) {
            self.epochs.push((batch.epoch, batch.base_offset));
        }
        self.end = batch.next_offset();
        self.bytes += batch.bytes();
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

    /// Whether a replica that ends at `offset`, with a record of `epoch`, can go on from there
    /// (`RaftLog.validateOffsetAndEpoch`, and the rule of `tryCompleteFetchRequest` that an empty log takes the snapshot
    /// where there is one).
    pub fn validate(&self, offset: Offset, epoch: Option<LeaderEpoch>) -> Agreement {
        if let Some(snapshot) = &self.snapshot {
            let id = (snapshot.epoch, snapshot.end);
            // Nothing before the log's first epoch can be told apart any more.
            let is_too_old = |epoch: LeaderEpoch| self.epochs.first().is_some_and(|(first, _)| epoch < *first);
            if offset == 0 || offset < self.start || (self.start > 0 && epoch.is_some_and(is_too_old)) {
                return Agreement::Snapshot(id);
            }
        }
        let Some(epoch) = epoch else { return Agreement::Valid };
        let (known, end) = self.end_of_epoch(epoch);
        if known < epoch || end < offset { Agreement::Diverging(known, end) } else { Agreement::Valid }
    }

    /// Where to cut so that nothing is left that the leader does not have, given where `epoch` ends there
    /// (`truncateToEndOffset`).
    pub fn truncation_point(&self, epoch: LeaderEpoch, end: Offset) -> Offset {
        let (known, own_end) = self.end_of_epoch(epoch);
        if known == epoch { own_end.min(end) } else { own_end }
    }

    /// Cuts off everything from `to` on.
    pub fn truncate(&mut self, to: Offset) {
        if to < self.end {
            self.keep(self.start, to);
        }
    }

    /// Keeps a snapshot of everything before `end`, which is committed. Returns how many records it takes.
    pub fn take_snapshot(&mut self, end: Offset) -> Option<u32> {
        let epoch = self.epoch_at(end - 1)?;
        let mut image = self.snapshot.as_ref().map(|snapshot| snapshot.image.clone()).unwrap_or_default();
        let state = Rc::make_mut(&mut image);
        self.read(state.next_offset, end).iter().for_each(|batch| state.apply_batch(batch));
        let records = image.record_count();
        self.snapshot = Some(MetadataSnapshot { epoch, end, image });
        Some(records)
    }

    /// Deletes what the snapshot stands for, if the log has more than so many bytes.
    pub fn clean(&mut self, max_bytes: u64) {
        let to = self.snapshot_end();
        if self.bytes > max_bytes && to > self.start {
            self.keep(to, self.end);
        }
    }

    /// Takes another replica's snapshot in place of everything that is here.
    pub fn install(&mut self, snapshot: MetadataSnapshot) {
        let (epoch, end) = (snapshot.epoch, snapshot.end);
        *self = Self { snapshot: Some(snapshot), start: end, end, epochs: vec![(epoch, end)], ..Self::default() };
    }

    /// Leaves the batches within `from..to`. The epoch of the record before them stays known.
    fn keep(&mut self, from: Offset, to: Offset) {
        let kept = self.read(from, to);
        let before = self.epoch_at(from - 1).or_else(|| self.epochs.first().filter(|_| from > 0).map(|first| first.0));
        let snapshot = self.snapshot.take();
        let epochs = before.map(|epoch| (epoch, from)).into_iter().collect();
        *self = Self { snapshot, start: from, end: from, epochs, ..Self::default() };
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

    #[test]
    fn a_snapshot_stands_for_what_was_deleted() {
        let mut log = log(&[1, 1, 3, 4]);
        assert_eq!(log.take_snapshot(6), Some(0), "no-op records come to nothing");
        log.clean(0);
        assert_eq!((log.start(), log.end(), log.snapshot_end()), (6, 8, 6));
        let (one, three, four) = (Some(LeaderEpoch(1)), Some(LeaderEpoch(3)), Some(LeaderEpoch(4)));
        let snapshot = Agreement::Snapshot((LeaderEpoch(3), 6));
        assert_eq!(log.validate(0, None), snapshot, "an empty log");
        assert_eq!(log.validate(4, one), snapshot, "below the log start");
        assert_eq!(log.validate(7, one), snapshot, "an epoch nobody knows about any more");
        assert_eq!(log.validate(6, three), Agreement::Valid);
        assert_eq!(log.validate(7, three), Agreement::Diverging(LeaderEpoch(3), 6));
        assert_eq!(log.validate(8, four), Agreement::Valid);
    }

    #[test]
    fn an_installed_snapshot_is_where_the_log_goes_on() {
        let mut leader = log(&[1, 1, 3]);
        leader.take_snapshot(6);
        let mut other = log(&[2]);
        other.install(leader.snapshot().expect("a snapshot").clone());
        assert_eq!((other.start(), other.end(), other.last_epoch()), (6, 6, Some(LeaderEpoch(3))));
        other.append(MetadataBatch { base_offset: 6, epoch: LeaderEpoch(4), records: [MetadataRecord::NoOp].into() });
        assert_eq!(other.end_of_epoch(LeaderEpoch(3)), (LeaderEpoch(3), 6));
    }

    #[test]
    fn a_follower_cuts_to_where_both_logs_still_agree() {
        let log = log(&[1, 1, 3]);
        assert_eq!(log.truncation_point(LeaderEpoch(1), 2), 2, "the leader's part of epoch 1 is shorter");
        assert_eq!(log.truncation_point(LeaderEpoch(1), 9), 4, "ours is");
        assert_eq!(log.truncation_point(LeaderEpoch(2), 5), 4, "we have nothing of epoch 2");
    }
}
