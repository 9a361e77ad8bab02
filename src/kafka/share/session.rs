//! Share sessions: what a member fetches from one leader, agreed request by request (`ShareSession`).
//!
//! The first request, at epoch 0, opens the session; each that follows counts one up and names only what has changed; -1
//! closes it. A session ends with its connection, too, and then whatever the member had acquired is released.

use std::collections::{BTreeMap, BTreeSet};

use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{Name, Node, TopicPartition};
use crate::kafka::message::share::{FINAL_SESSION_EPOCH, FIRST_SESSION_EPOCH};

/// A group and a member of it.
pub type SessionKey = (Name, Name);

/// The sessions of one broker (`ShareSessionCache`).
#[derive(Clone, Debug, Default)]
pub struct ShareSessions {
    open: BTreeMap<SessionKey, ShareSession>,
    /// By connection the group of the session that was last opened there, which may be closed by now
    /// (`connectionIdToSessionMap`).
    groups: BTreeMap<Node, Name>,
}

#[derive(Clone, Debug)]
struct ShareSession {
    /// The connection it lives on.
    node: Node,
    /// What the next request must say.
    epoch: i32,
    partitions: BTreeSet<TopicPartition>,
}

impl ShareSessions {
    /// Takes in a ShareFetch (`SharePartitionManager.newContext`). Returns the partitions to fetch from, those first whose
    /// turn it is; none where the session closes.
    pub fn fetch(
        &mut self,
        key: &SessionKey,
        node: Node,
        epoch: i32,
        added: impl Iterator<Item = TopicPartition>,
        forgotten: &[TopicPartition],
    ) -> Result<Vec<TopicPartition>, ErrorCode> {
        if epoch == FINAL_SESSION_EPOCH {
            return self.open.get(key).map(|_| Vec::new()).ok_or(ErrorCode::ShareSessionNotFound);
        }
        if epoch == FIRST_SESSION_EPOCH {
            self.open.insert(key.clone(), ShareSession { node, epoch, partitions: BTreeSet::new() });
            self.groups.insert(node, key.0.clone());
        }
        let session = self.take_turn(key, epoch)?;
        session.partitions.extend(added);
        session.partitions.retain(|partition| !forgotten.contains(partition));
        // Each request begins with another partition, so that none starves the others (`PartitionRotateStrategy`).
        let mut partitions: Vec<TopicPartition> = session.partitions.iter().copied().collect();
        if !partitions.is_empty() {
            let by = epoch.unsigned_abs() as usize % partitions.len();
            partitions.rotate_left(by);
        }
        Ok(partitions)
    }

    /// Takes in a ShareAcknowledge (`acknowledgeSessionUpdate`).
    pub fn acknowledge(&mut self, key: &SessionKey, epoch: i32) -> Result<(), ErrorCode> {
        match epoch {
            FIRST_SESSION_EPOCH => Err(ErrorCode::InvalidShareSessionEpoch),
            FINAL_SESSION_EPOCH => self.open.get(key).map(|_| ()).ok_or(ErrorCode::ShareSessionNotFound),
            _ => self.take_turn(key, epoch).map(|_| ()),
        }
    }

    fn take_turn(&mut self, key: &SessionKey, epoch: i32) -> Result<&mut ShareSession, ErrorCode> {
        let session = self.open.get_mut(key).ok_or(ErrorCode::ShareSessionNotFound)?;
        if session.epoch != epoch {
            return Err(ErrorCode::InvalidShareSessionEpoch);
        }
        session.epoch = next_epoch(epoch);
        Ok(session)
    }

    /// Closes a session. Returns what it was about.
    pub fn close(&mut self, key: &SessionKey) -> BTreeSet<TopicPartition> {
        self.open.remove(key).map(|session| session.partitions).unwrap_or_default()
    }

    /// A connection is gone, and its sessions are closed. Returns its group if no session is left of that
    /// (`checkAndNotifyListenersOnGroupEmpty`).
    pub fn group_left_empty(&mut self, node: Node) -> Option<Name> {
        let group = self.groups.remove(&node)?;
        let is_empty = !self.open.keys().any(|(of, _)| *of == group);
        is_empty.then_some(group)
    }

    /// The sessions on a connection.
    pub fn of_node(&self, node: Node) -> Vec<SessionKey> {
        self.open.iter().filter(|(_, session)| session.node == node).map(|(key, _)| key.clone()).collect()
    }
}

/// `ShareRequestMetadata.nextEpoch`.
pub fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}
