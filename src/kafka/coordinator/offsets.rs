//! What groups have committed (`OffsetMetadataManager`).

use std::collections::BTreeMap;

use super::group::Group;
use crate::kafka::group::OffsetExpiry;
use crate::kafka::group_log::{GroupRecord, OffsetCommitValue};
use crate::kafka::ids::{LeaderEpoch, Name, Offset, TopicId, TopicPartition};
use crate::time::{Duration, Instant};

/// Where a group will read on in a partition (`OffsetAndMetadata`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: Offset,
    /// Epoch of the record before it.
    pub leader_epoch: Option<LeaderEpoch>,
    /// When it was committed, in milliseconds since 1970.
    pub commit_timestamp: i64,
    topic: Name,
}

/// Committed offsets by group and partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Offsets {
    groups: BTreeMap<Name, BTreeMap<TopicPartition, CommittedOffset>>,
}

impl Offsets {
    pub(super) fn of(&self, group: &str) -> impl Iterator<Item = (TopicPartition, &CommittedOffset)> {
        self.groups.get(group).into_iter().flatten().map(|(partition, committed)| (*partition, committed))
    }

    pub(super) fn get(&self, group: &str, partition: TopicPartition) -> Option<&CommittedOffset> {
        self.groups.get(group)?.get(&partition)
    }

    /// Topic and partition of everything a group has committed.
    pub(super) fn names_of(&self, group: &str) -> impl Iterator<Item = (Name, u32)> {
        self.of(group).map(|(partition, committed)| (committed.topic.clone(), partition.partition))
    }

    /// Takes in a record of a commit; returns which partition's offset it set, or took away.
    pub(super) fn apply(
        &mut self,
        group: &Name,
        topic: &Name,
        partition: u32,
        value: Option<&OffsetCommitValue>,
    ) -> Option<TopicPartition> {
        let Some(value) = value else {
            return self.remove(group, topic, partition);
        };
        let partition = TopicPartition::new(value.topic_id?, partition);
        let committed = CommittedOffset {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            commit_timestamp: value.commit_timestamp,
            topic: topic.clone(),
        };
        self.groups.entry(group.clone()).or_default().insert(partition, committed);
        Some(partition)
    }

    /// A tombstone names the topic, not its id.
    fn remove(&mut self, group: &Name, topic: &Name, partition: u32) -> Option<TopicPartition> {
        let offsets = self.groups.get_mut(group)?;
        let is_it =
            |at: &TopicPartition, committed: &CommittedOffset| at.partition == partition && committed.topic == *topic;
        let found = offsets.iter().find(|(at, committed)| is_it(at, committed)).map(|(at, _)| *at);
        offsets.retain(|at, committed| !is_it(at, committed));
        if offsets.is_empty() {
            self.groups.remove(group);
        }
        found
    }

    /// Tombstones for everything committed for topics that are no more.
    pub(super) fn of_topics(&self, deleted: &[TopicId]) -> Vec<GroupRecord> {
        let tombstones = self.groups.iter().flat_map(|(group, offsets)| {
            offsets
                .iter()
                .filter(|(partition, _)| deleted.contains(&partition.topic))
                .map(|(partition, committed)| tombstone(group, *partition, committed))
        });
        tombstones.collect()
    }

    /// Tombstones for what a group has committed and not used for as long as `retention`, and whether that is all it has
    /// (`cleanupExpiredOffsets`). Nothing expires of a topic that a member wants.
    pub(super) fn expired(&self, group: &Group, now: Instant, retention: Duration) -> (Vec<GroupRecord>, bool) {
        let Some(offsets) = self.groups.get(group.id()) else { return (Vec::new(), true) };
        let Some(expiry) = group.offset_expiry() else { return (Vec::new(), false) };
        let is_expired = |committed: &CommittedOffset| {
            let since = match expiry {
                OffsetExpiry::SinceEmpty(Some(since)) => since,
                OffsetExpiry::SinceEmpty(None) | OffsetExpiry::SinceCommit => committed.commit_timestamp,
            };
            now.timestamp_ms() - since >= retention.as_millis() as i64 && !group.is_subscribed_to(&committed.topic)
        };
        let expired: Vec<GroupRecord> = offsets
            .iter()
            .filter(|(_, committed)| is_expired(committed))
            .map(|(partition, committed)| tombstone(group.id(), *partition, committed))
            .collect();
        let all = expired.len() == offsets.len();
        (expired, all)
    }
}

fn tombstone(group: &Name, partition: TopicPartition, committed: &CommittedOffset) -> GroupRecord {
    let topic = committed.topic.clone();
    GroupRecord::Offset { group: group.clone(), topic, partition: partition.partition, value: None }
}
