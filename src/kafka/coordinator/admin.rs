//! What administrators do to groups: deleting them, and deleting what they have committed (`GroupCoordinatorShard`,
//! `OffsetMetadataManager.deleteOffsets`).

use std::collections::{BTreeMap, BTreeSet};

use super::shard::{Shard, ShardTurn};
use super::{Append, GroupCoordinator};
use crate::kafka::effects::Effects;
use crate::kafka::error::ErrorCode;
use crate::kafka::group::{ReplyTo, Then, Write};
use crate::kafka::group_log::GroupRecord;
use crate::kafka::ids::Name;
use crate::kafka::message::{
    DeleteGroupsRequest, DeleteGroupsResponse, OffsetDeleteRequest, OffsetDeleteResponse, Response,
};
use crate::time::Instant;

impl GroupCoordinator {
    /// Handles DeleteGroups. Kafka's admin client asks for one group at a time. Here, too, the groups of a request are
    /// those of one partition; what else it names is not coordinated by that partition's leader.
    pub(super) fn delete_groups(
        &mut self,
        now: Instant,
        request: &DeleteGroupsRequest,
        reply: ReplyTo,
        out: &mut Effects,
    ) -> Vec<Append> {
        let partition = request.groups.first().map_or(0, |group| self.partition_of(group));
        if let Some(error) = self.availability(partition) {
            let results = request.groups.iter().map(|group| (group.clone(), error)).collect();
            reply.respond(Response::DeleteGroups(DeleteGroupsResponse { results }), out);
            return Vec::new();
        }
        let here = |group: &Name| self.partition_of(group) == partition;
        let groups: Vec<(Name, bool)> = request.groups.iter().map(|group| (group.clone(), here(group))).collect();
        let appends = self.on_shard(now, partition, out, |shard, turn| shard.delete_groups(&groups, reply, turn));
        self.arm_write_deadline(now, out);
        appends
    }
}

impl Shard {
    /// Deletes groups without members, with all that they have committed (`deleteGroups`). Each name comes with whether
    /// it is one of this partition's.
    fn delete_groups(&mut self, groups: &[(Name, bool)], reply: ReplyTo, turn: &mut ShardTurn) {
        let (mut records, mut deleted) = (Vec::new(), Vec::new());
        let mut results = Vec::new();
        for (name, is_here) in groups {
            let committed = self.committed_or_about_to(name);
            let result = match self.group_mut(name) {
                _ if !is_here => Err(ErrorCode::NotCoordinator),
                None => Err(ErrorCode::GroupIdNotFound),
                Some(group) => group.validate_delete().map(|()| {
                    records.extend(committed.into_iter().map(|at| tombstone(name, at)));
                    records.extend(group.tombstones());
                    group.bury(&mut turn.group());
                    deleted.push(name.clone());
                }),
            };
            results.push((name.clone(), result.err().unwrap_or(ErrorCode::None)));
        }
        let response = DeleteGroupsResponse { results };
        turn.writes.push(Write { records, then: Then::DeleteGroups { groups: deleted, reply, response } });
    }

    /// A group's tombstone is committed, or cannot be.
    pub(super) fn deleted(&mut self, name: &Name, is_safe: bool, turn: &mut ShardTurn) {
        if is_safe {
            if let Some(mut group) = self.remove_group(name) {
                group.unload(ErrorCode::UnknownMemberId, turn.out);
            }
        } else if let Some(group) = self.group_mut(name) {
            group.exhume(&mut turn.group());
        }
    }

    /// Handles OffsetDelete (`deleteOffsets`).
    pub(super) fn delete_offsets(&mut self, request: &OffsetDeleteRequest, reply: ReplyTo, turn: &mut ShardTurn) {
        let valid = match self.group(&request.group) {
            None => Err(ErrorCode::GroupIdNotFound),
            Some(group) => group.validate_offset_delete(),
        };
        if let Err(error) = valid {
            let response = OffsetDeleteResponse { error, partitions: Vec::new() };
            return turn.reply(reply, Response::OffsetDelete(response));
        }
        let committed = self.committed_or_about_to(&request.group);
        let mut wanted: BTreeMap<&Name, bool> = BTreeMap::new();
        let (mut records, mut partitions) = (Vec::new(), Vec::new());
        for (topic, partition) in &request.partitions {
            let is_wanted = *wanted
                .entry(topic)
                .or_insert_with(|| self.group(&request.group).is_some_and(|group| group.is_subscribed_to(topic)));
            let error = if is_wanted { ErrorCode::GroupSubscribedToTopic } else { ErrorCode::None };
            partitions.push((topic.clone(), *partition, error));
            let at = (topic.clone(), *partition);
            if !is_wanted && committed.contains(&at) {
                records.push(tombstone(&request.group, at));
            }
        }
        let response = Response::OffsetDelete(OffsetDeleteResponse { error: ErrorCode::None, partitions });
        turn.writes.push(Write { records, then: Then::Reply(reply, response) });
    }

    /// Topic and partition of all that a group has committed, or will have once what is written is safe.
    fn committed_or_about_to(&self, group: &Name) -> BTreeSet<(Name, u32)> {
        let mut found: BTreeSet<(Name, u32)> = self.offsets().names_of(group).collect();
        for record in self.unsafe_records() {
            match record {
                GroupRecord::Offset { group: of, topic, partition, value: Some(_) } if of == group => {
                    found.insert((topic.clone(), *partition));
                }
                _ => {}
            }
        }
        found
    }
}

fn tombstone(group: &Name, (topic, partition): (Name, u32)) -> GroupRecord {
    GroupRecord::Offset { group: group.clone(), topic, partition, value: None }
}
