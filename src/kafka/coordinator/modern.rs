//! Groups of the consumer protocol in their shard: what they decide is applied as soon as it is on the log, as the next
//! heartbeat builds on it; answers wait until it is committed.

use std::fmt;
use std::rc::Rc;

use super::group::Group;
use super::shard::{Shard, ShardTurn};
use crate::kafka::assignor::Assignor;
use crate::kafka::config::ServerAssignor;
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::{Fact, ModernGroupPhase};
use crate::kafka::group::{ConsumerWrite, ReplyTo, Then, Write};
use crate::kafka::group_log::{ConsumerRecord, GroupRecord};
use crate::kafka::ids::Name;
use crate::kafka::message::Response;
use crate::kafka::message::consumer_group::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, DescribedConsumerGroup, JOIN_EPOCH, LEAVE_EPOCH,
};
use crate::kafka::modern_group::{Assign, Changes, ConsumerGroup, Turn};

/// Runs the coordinator's own assignors.
const ASSIGN: &Assign = &|assignor, topics, members| {
    let assignor = match assignor {
        ServerAssignor::Uniform => Assignor::ServerUniform,
        ServerAssignor::Range => Assignor::ServerRange,
    };
    assignor.assign(topics, members)
};

/// What takes the place of Kafka's assignors, if anything does.
#[derive(Clone, Default)]
pub(super) struct OwnAssignor(pub(super) Option<Rc<Assign>>);

impl fmt::Debug for OwnAssignor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "an assignor of one's own" } else { "Kafka's assignors" })
    }
}

impl ShardTurn<'_> {
    /// What groups of the consumer protocol need to decide.
    pub(super) fn modern(&mut self) -> Turn<'_> {
        let assign = self.host.assign.0.as_deref().unwrap_or(ASSIGN);
        Turn { now: self.now, config: &self.host.config, image: &self.host.image, assign, out: self.out }
    }

    /// Writes what a group has decided. Without records the answer, if there is one, waits for the writes before it.
    pub(super) fn write_changes(
        &mut self,
        group: &Name,
        before: Vec<GroupRecord>,
        changes: Changes,
        reply: Option<(ReplyTo, Response)>,
    ) {
        let of = |record| GroupRecord::Consumer { group: group.clone(), record };
        let records: Vec<GroupRecord> = before.into_iter().chain(changes.records.into_iter().map(of)).collect();
        if records.is_empty() && reply.is_none() && changes.facts.is_empty() {
            return;
        }
        let then = Then::Consumer(Box::new(ConsumerWrite { group: group.clone(), facts: changes.facts, reply }));
        self.writes.push(Write { records, then });
    }
}

impl Shard {
    /// Handles ConsumerGroupHeartbeat.
    pub(super) fn consumer_heartbeat(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest,
        reply: ReplyTo,
        turn: &mut ShardTurn,
    ) {
        let name = &request.group;
        let joins = request.member_epoch == JOIN_EPOCH;
        let mut before = Vec::new();
        let mut new = ConsumerGroup::new(name.clone());
        let upgrade = if joins { self.upgrade(request, turn) } else { None };
        let upgrades = upgrade.is_some();
        let group = match self.groups.get_mut(name) {
            Some(Group::Consumer(group)) => Ok(group),
            None if joins => Ok(&mut new),
            // Nobody is in there, so nobody minds (`maybeDeleteEmptyClassicGroup`).
            Some(Group::Classic(group)) if joins && group.is_vacant() => {
                before.push(GroupRecord::Group { group: name.clone(), value: None });
                Ok(&mut new)
            }
            _ => match upgrade {
                Some((group, records)) => {
                    (new, before) = (group, records);
                    Ok(&mut new)
                }
                None => Err(ErrorCode::GroupIdNotFound),
            },
        };
        match group.and_then(|group| group.heartbeat(request, &mut turn.modern())) {
            Ok((mut changes, response)) => {
                let mut answer = Some((reply, Response::ConsumerGroupHeartbeat(response)));
                if upgrades && !before.is_empty() {
                    self.upgraded(name, &new, &mut changes, turn);
                } else if request.member_epoch == LEAVE_EPOCH {
                    answer = self.downgrade(name, &changes, answer, turn);
                }
                if answer.is_some() {
                    turn.write_changes(name, before, changes, answer);
                }
            }
            Err(error) => {
                let response = ConsumerGroupHeartbeatResponse::refused(error);
                reply.respond(Response::ConsumerGroupHeartbeat(response), turn.out);
            }
        }
    }

    /// Handles a deadline of a group of the consumer protocol.
    pub(super) fn consumer_timer(&mut self, timer: &Timer, name: &Name, turn: &mut ShardTurn) {
        let Some(Group::Consumer(group)) = self.groups.get_mut(name) else { return };
        let changes = match timer {
            Timer::ConsumerGroupSession { member, .. } => group.session_timed_out(member, &mut turn.modern()),
            Timer::ConsumerGroupRevocation { member, .. } => group.revocation_timed_out(member, &mut turn.modern()),
            Timer::ConsumerGroupRegexes { .. } => group.resolve_regexes(&turn.modern()),
            _ => return,
        };
        // Whoever is gone may have been the last one of the consumer protocol.
        let before = self.groups.get(name).map(Group::kind);
        self.downgrade(name, &changes, None, turn);
        if self.groups.get(name).map(Group::kind) == before {
            turn.write_changes(name, Vec::new(), changes, None);
        }
    }

    /// The records of a write are on the log: the group is what they make of it.
    pub(super) fn appended_changes(&mut self, records: &[GroupRecord], facts: Vec<Fact>, out: &mut Effects) {
        for record in records {
            self.replay_group(record, out);
        }
        facts.into_iter().for_each(|fact| out.note(fact));
        if let Some(GroupRecord::Consumer { group, .. }) = records.last()
            && let Some(Group::Consumer(group)) = self.groups.get_mut(group)
        {
            group.settle(out);
        }
    }

    /// Takes in one record about a group, as it was written or as it is read again.
    pub(super) fn replay_group(&mut self, record: &GroupRecord, out: &mut Effects) {
        match record {
            GroupRecord::Group { group, value: None } => {
                if let Some(Group::Classic(_)) = self.groups.get(group) {
                    self.groups.remove(group);
                }
            }
            GroupRecord::Consumer { group, record: ConsumerRecord::Epoch(None) } => {
                if let Some(Group::Consumer(gone)) = self.groups.get_mut(group) {
                    gone.bury(out);
                    self.groups.remove(group);
                }
            }
            GroupRecord::Consumer { group, record } => {
                let there = matches!(self.groups.get(group), Some(Group::Consumer(_)));
                if !there {
                    if record.is_tombstone() {
                        return;
                    }
                    self.groups.insert(group.clone(), Group::Consumer(ConsumerGroup::new(group.clone())));
                }
                if let Some(Group::Consumer(group)) = self.groups.get_mut(group) {
                    group.apply(record);
                }
            }
            _ => {}
        }
    }

    /// The topics may have changed: groups look at them with their next heartbeat.
    pub(super) fn topics_may_have_changed(&mut self) {
        for group in self.groups.values_mut() {
            if let Group::Consumer(group) = group {
                group.topics_changed();
            }
        }
    }

    /// Every group that is read from the log begins with its deadlines.
    pub(super) fn consumer_groups_loaded(&mut self, turn: &mut ShardTurn) {
        for group in self.groups.values_mut() {
            if let Group::Consumer(group) = group {
                group.settle(&mut Effects::default());
                group.loaded(&mut turn.modern());
            }
        }
    }
}

/// What ConsumerGroupDescribe is told of a group that cannot be described.
pub(super) fn unknown(group: &Name, error: ErrorCode) -> DescribedConsumerGroup {
    DescribedConsumerGroup {
        state: ModernGroupPhase::Dead.name().into(),
        ..DescribedConsumerGroup::unknown(group.clone(), error)
    }
}
