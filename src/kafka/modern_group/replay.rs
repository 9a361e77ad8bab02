//! How a group changes: by its records, one after the other, when they are written and when they are read again
//! (`GroupMetadataManager.replay`).

use std::collections::BTreeSet;
use std::rc::Rc;

use super::{ClassicMember, ConsumerGroup, Member, ModernGroupPhase, Name};
use crate::kafka::effects::Effects;
use crate::kafka::fact::Fact;
use crate::kafka::group_log::{ConsumerMemberValue, ConsumerRecord, CurrentMemberValue};
use crate::kafka::ids::Generation;
use crate::kafka::message::consumer_group::LEAVE_EPOCH;

/// The topics that a regular expression stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedRegex {
    pub topics: BTreeSet<Name>,
    /// How many topics had ever been created by then.
    pub version: i64,
    /// When, in milliseconds since 1970.
    pub timestamp: i64,
}

impl ConsumerGroup {
    /// Takes in one record. [`settle`](Self::settle) follows when those that belong together are in.
    pub fn apply(&mut self, record: &ConsumerRecord) {
        match record {
            ConsumerRecord::Epoch(Some((epoch, hash))) => (self.epoch, self.metadata_hash) = (*epoch, *hash),
            // Whoever keeps the groups lets this one go.
            ConsumerRecord::Epoch(None) => {}
            ConsumerRecord::Member { member, value: Some(value) } => {
                let before = self.members.get(member).cloned().unwrap_or_else(|| Rc::new(Member::new(member.clone())));
                let mut after = Member::clone(&before);
                after.take(value);
                self.put(after);
            }
            ConsumerRecord::Member { member, value: None } => self.remove(member),
            ConsumerRecord::TargetEpoch(value) => {
                let (epoch, timestamp) = value.unwrap_or((Generation(-1), 0));
                (self.assignment_epoch, self.assignment_timestamp) = (epoch, timestamp);
            }
            ConsumerRecord::Target { member, value: Some(value) } => {
                self.target.insert(member.clone(), Rc::new(value.iter().copied().collect()));
            }
            ConsumerRecord::Target { member, value: None } => {
                self.target.remove(member);
            }
            ConsumerRecord::Current { member, value } => self.stand(member, value.as_ref()),
            ConsumerRecord::Regex { regex, value: Some(value) } => {
                let topics = value.topics.iter().cloned().collect();
                let resolved = ResolvedRegex { topics, version: value.version, timestamp: value.timestamp };
                self.regexes.insert(regex.clone(), resolved);
            }
            ConsumerRecord::Regex { regex, value: None } => {
                self.regexes.remove(regex);
            }
        }
    }

    fn stand(&mut self, member: &Name, value: Option<&CurrentMemberValue>) {
        let before = match (self.members.get(member), value) {
            (Some(before), _) => before.clone(),
            (None, Some(_)) => Rc::new(Member::new(member.clone())),
            (None, None) => return,
        };
        let mut after = Member::clone(&before);
        match value {
            Some(value) => after.standing = value.standing.clone(),
            None => {
                after.standing.epoch = LEAVE_EPOCH;
                after.standing.previous_epoch = LEAVE_EPOCH;
                after.standing.assigned = Rc::default();
                after.standing.revoking = Rc::default();
            }
        }
        self.put(after);
    }

    /// `updateMember`.
    fn put(&mut self, after: Member) {
        if let Some(before) = self.members.remove(&after.id) {
            self.let_go(&before);
        }
        for partition in after.standing.assigned.keys().chain(after.standing.revoking.keys()) {
            self.held.insert(*partition, after.standing.epoch);
        }
        if let Some(instance) = &after.instance_id {
            self.static_members.insert(instance.clone(), after.id.clone());
        }
        self.members.insert(after.id.clone(), Rc::new(after));
    }

    fn remove(&mut self, id: &Name) {
        self.expected.remove(id);
        let Some(member) = self.members.remove(id) else { return };
        self.let_go(&member);
        // A successor may have the instance id by now.
        if let Some(instance) = member.instance_id.as_ref()
            && self.static_members.get(instance) == Some(id)
        {
            self.static_members.remove(instance);
        }
    }

    /// Nobody holds the member's partitions any more, but for those that somebody got in a newer epoch
    /// (`removePartitionEpochs`).
    fn let_go(&mut self, member: &Member) {
        for partition in member.standing.assigned.keys().chain(member.standing.revoking.keys()) {
            if self.held.get(partition) == Some(&member.standing.epoch) {
                self.held.remove(partition);
            }
        }
    }

    /// Says which state the group is in now, if that is another one.
    pub fn settle(&mut self, out: &mut Effects) {
        self.turn_to(self.phase_by_members(), out);
    }

    /// The group goes.
    pub fn bury(&mut self, out: &mut Effects) {
        self.turn_to(ModernGroupPhase::Dead, out);
    }

    fn turn_to(&mut self, to: ModernGroupPhase, out: &mut Effects) {
        let from = std::mem::replace(&mut self.phase, to);
        if from != to {
            out.note(Fact::ModernGroupState { group: self.id.clone(), from, to, epoch: self.epoch });
        }
    }

    /// `maybeUpdateGroupState`.
    fn phase_by_members(&self) -> ModernGroupPhase {
        let is_there = |member: &Member| member.standing.is_reconciled_to(self.assignment_epoch);
        if self.members.is_empty() {
            ModernGroupPhase::Empty
        } else if self.epoch > self.assignment_epoch {
            ModernGroupPhase::Assigning
        } else if self.members().all(is_there) {
            ModernGroupPhase::Stable
        } else {
            ModernGroupPhase::Reconciling
        }
    }

    /// Records that take everything of the group away (`createGroupTombstoneRecords`).
    pub fn tombstones(&self) -> Vec<ConsumerRecord> {
        let ids = || self.members.keys().cloned();
        let mut records: Vec<ConsumerRecord> =
            ids().map(|member| ConsumerRecord::Current { member, value: None }).collect();
        records.extend(ids().map(|member| ConsumerRecord::Target { member, value: None }));
        records.push(ConsumerRecord::TargetEpoch(None));
        records.extend(ids().map(|member| ConsumerRecord::Member { member, value: None }));
        let regexes = self.regexes.keys().cloned();
        records.extend(regexes.map(|regex| ConsumerRecord::Regex { regex, value: None }));
        records.push(ConsumerRecord::Epoch(None));
        records
    }
}

impl Member {
    fn take(&mut self, value: &ConsumerMemberValue) {
        self.instance_id.clone_from(&value.instance_id);
        self.rack.clone_from(&value.rack);
        self.client_id = value.client_id.clone();
        self.host = value.host.clone();
        self.topics = Rc::new(value.topics.iter().cloned().collect());
        self.regex.clone_from(&value.regex);
        self.rebalance_timeout = value.rebalance_timeout;
        self.server_assignor.clone_from(&value.server_assignor);
        self.classic = value.classic.as_ref().map(|(session_timeout, protocols)| {
            Rc::new(ClassicMember { session_timeout: *session_timeout, protocols: protocols.clone() })
        });
    }

    /// What the member has told of itself (`newConsumerGroupMemberSubscriptionRecord`).
    pub(super) fn record(&self) -> Box<ConsumerMemberValue> {
        Box::new(ConsumerMemberValue {
            instance_id: self.instance_id.clone(),
            rack: self.rack.clone(),
            client_id: self.client_id.clone(),
            host: self.host.clone(),
            topics: self.topics.iter().cloned().collect(),
            regex: self.regex.clone(),
            rebalance_timeout: self.rebalance_timeout,
            server_assignor: self.server_assignor.clone(),
            classic: self.classic.as_ref().map(|classic| (classic.session_timeout, classic.protocols.clone())),
        })
    }

    /// Where the member stands (`newConsumerGroupCurrentAssignmentRecord`).
    pub(super) fn current_record(&self) -> ConsumerRecord {
        let value = CurrentMemberValue { standing: self.standing.clone() };
        ConsumerRecord::Current { member: self.id.clone(), value: Some(value) }
    }
}
