//! What of a server survives its process: the epochs it has agreed to, its tree, and the last transactions.

use std::collections::VecDeque;

use super::tree::{Touched, Tree};
use crate::kafka::ids::ZooKeeperId;
use crate::kafka::message::ensemble::{ZkResult, ZkTxn, ZkVote, Zxid};

/// How many applied transactions a server keeps, for followers that lack only those (`commitLogCount`).
const KEPT: usize = 500;

/// A server's disk.
#[derive(Clone, Debug, Default)]
pub struct ZooKeeperDisk {
    /// `acceptedEpoch` and `currentEpoch`: no leader of an earlier epoch is followed any more.
    epoch: u32,
    tree: Tree,
    /// The last transactions, applied or not, in order.
    log: VecDeque<ZkTxn>,
    /// The transaction before the first of the log.
    base: Zxid,
}

impl ZooKeeperDisk {
    /// The disk of a server that has applied these transactions, all of one epoch.
    pub fn with_history(epoch: u32, history: impl IntoIterator<Item = ZkTxn>) -> Self {
        let mut disk = Self { epoch, ..Self::default() };
        for txn in history {
            let result = disk.tree.apply(&txn, &mut Vec::new());
            assert!(result.is_ok(), "a history that was refused: {result:?}");
        }
        disk.base = disk.tree.applied();
        disk
    }

    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    pub(super) fn current_epoch(&self) -> u32 {
        self.epoch
    }

    pub(super) fn accept_epoch(&mut self, epoch: u32) {
        self.epoch = epoch;
    }

    /// The last transaction here, committed or not.
    pub(super) fn last_zxid(&self) -> Zxid {
        self.log.back().map_or(self.base, |txn| txn.zxid).max(self.tree.applied())
    }

    /// The server's vote for itself.
    pub(super) fn vote(&self, id: ZooKeeperId) -> ZkVote {
        ZkVote { epoch: self.epoch, zxid: self.last_zxid(), leader: id }
    }

    pub(super) fn unapplied(&self) -> impl Iterator<Item = ZkTxn> {
        let applied = self.tree.applied();
        self.log.iter().filter(move |txn| txn.zxid > applied).cloned()
    }

    pub(super) fn append(&mut self, txn: ZkTxn) {
        self.log.push_back(txn);
    }

    pub(super) fn apply(&mut self, txn: &ZkTxn, touched: &mut Vec<Touched>) -> ZkResult {
        while self.log.len() > KEPT && self.log.front().is_some_and(|first| first.zxid <= self.tree.applied()) {
            self.base = self.log.pop_front().map_or(self.base, |first| first.zxid);
        }
        self.tree.apply(txn, touched)
    }

    /// What a follower that ends at `last` lacks: where to cut its log, and what comes behind; `None` where this log does
    /// not reach back so far.
    pub(super) fn difference(&self, last: Zxid) -> Option<(Zxid, Vec<ZkTxn>)> {
        if last < self.base {
            return None;
        }
        let shared = self.log.iter().map(|txn| txn.zxid).take_while(|zxid| *zxid <= last).last().unwrap_or(self.base);
        Some((shared, self.log.iter().filter(|txn| txn.zxid > shared).cloned().collect()))
    }

    /// Takes over another server's history: its tree, where it sends one, and the end of its log.
    pub(super) fn take_over(&mut self, snapshot: Option<Tree>, truncate_to: Zxid, txns: Vec<ZkTxn>) {
        if let Some(tree) = snapshot {
            self.base = tree.applied();
            self.tree = tree;
            self.log.clear();
        }
        while self.log.back().is_some_and(|txn| txn.zxid > truncate_to) {
            self.log.pop_back();
        }
        self.log.extend(txns);
    }
}
