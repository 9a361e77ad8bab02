//! Which leader wrote which part of a log: the leader epoch cache (KIP-101, `LeaderEpochFileCache`).

use super::ids::{LeaderEpoch, Offset};

/// Each epoch that wrote to a log, with the offset it began at. Both ascend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochCache {
    entries: Vec<(LeaderEpoch, Offset)>,
}

impl EpochCache {
    /// Notes that `epoch` begins at `start`. Entries that contradict it give way: a later word is the truer one.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) {
        if self.entries.last().is_some_and(|&(latest, began)| epoch == latest && start >= began) {
            return;
        }
        while self.entries.last().is_some_and(|&(latest, began)| latest >= epoch || began >= start) {
            self.entries.pop();
        }
        self.entries.push((epoch, start));
    }

    /// The log was cut off at `end`: epochs that began there or later never were.
    pub fn truncate_from_end(&mut self, end: Offset) {
        if end >= 0 {
            self.entries.retain(|&(_, start)| start < end);
        }
    }

    /// The log now begins at `start`: the epoch that wrote there begins there.
    pub fn truncate_from_start(&mut self, start: Offset) {
        let gone = self.entries.iter().take_while(|&&(_, began)| began <= start).count();
        if let Some(last_gone) = gone.checked_sub(1) {
            self.entries.drain(..last_gone);
            self.entries[0].1 = start;
        }
    }

    /// Where `requested` ends in this log, and which epoch that end belongs to: the largest known one that is not later
    /// (KIP-279). `None` where this log cannot tell.
    pub fn end_offset_for(&self, requested: Option<LeaderEpoch>, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        let requested = requested?;
        let &(latest, _) = self.entries.last()?;
        if requested == latest {
            return Some((requested, log_end));
        }
        if requested > latest {
            return None;
        }
        let later = self.entries.partition_point(|&(epoch, _)| epoch <= requested);
        let end = self.entries[later].1;
        let epoch = later.checked_sub(1).map_or(requested, |floor| self.entries[floor].0);
        Some((epoch, end))
    }

    /// The epoch that wrote, or will write, at `offset`.
    pub fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.entries.iter().rev().find(|&&(_, start)| start <= offset).map(|&(epoch, _)| epoch)
    }

    /// The newest epoch that has an entry.
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|&(epoch, _)| epoch)
    }

    /// Every epoch and where it began, oldest first.
    pub fn entries(&self) -> &[(LeaderEpoch, Offset)] {
        &self.entries
    }
}
