//! The target: who is to read what (`TargetAssignmentBuilder`), and what calls for a new one.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::{AssignorMember, Changes, ConsumerGroup, Member, ResolvedRegex, Topics, Turn, named, preferred_assignor};
use crate::kafka::assignor::Topic;
use crate::kafka::fact::{EpochReason, Fact};
use crate::kafka::group_log::ConsumerRecord;
use crate::kafka::ids::{Generation, Name, TopicPartition};
use crate::kafka::message::Subscription;
use crate::kafka::metadata::{MetadataImage, TopicImage};

/// A target, and the group epoch it is for.
pub(super) struct Target {
    pub(super) epoch: Generation,
    pub(super) partitions: Rc<BTreeSet<TopicPartition>>,
}

impl ConsumerGroup {
    /// The names a member is subscribed to: those it names, and those its expression was resolved to.
    pub(super) fn topics_of<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = &'a Name> {
        let resolved = member.subscribed_regex().and_then(|regex| self.regexes.get(regex));
        let by_regex = resolved.into_iter().flat_map(|resolved| &resolved.topics);
        member.topics.iter().chain(by_regex.filter(|name| !member.topics.contains(*name)))
    }

    /// Something that the group reads may have changed: it is looked at with the next heartbeat
    /// (`requestMetadataRefresh`).
    pub fn topics_changed(&mut self) {
        self.metadata_seen = None;
    }

    /// Raises the group epoch where that is called for, and looks at the topics (`updateSubscriptionMetadata`).
    pub(super) fn refresh_metadata(
        &mut self,
        reason: Option<EpochReason>,
        after: &Member,
        changes: &mut Changes,
        turn: &Turn,
    ) -> Generation {
        let hash = {
            let others = self.members().filter(|member| !self.is_replaced_by(member, after));
            metadata_hash(others.chain([after]), &self.regexes, turn.image)
        };
        let changed = (hash != self.metadata_hash).then_some(EpochReason::MetadataChanged);
        let mut epoch = self.epoch;
        if let Some(reason) = reason.or(changed) {
            epoch = Generation(epoch.0 + 1);
            changes.records.push(ConsumerRecord::Epoch(Some((epoch, hash))));
            changes.facts.push(Fact::GroupEpoch { group: self.id.clone(), epoch, reason });
        }
        self.metadata_seen = Some(epoch);
        epoch
    }

    /// Whether it is time to look at the topics (`hasMetadataExpired`).
    pub(super) fn is_metadata_stale(&self) -> bool {
        self.metadata_seen.is_none_or(|epoch| self.epoch < epoch)
    }

    /// The target, worked out anew if the group epoch is beyond it and the last one is old enough (KIP-1263).
    pub(super) fn update_target(
        &self,
        epoch: Generation,
        after: &Member,
        changes: &mut Changes,
        turn: &Turn,
    ) -> Target {
        let interval = turn.config.group_consumer_assignment_interval;
        let next = self.assignment_timestamp + i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
        let may = self.assignment_timestamp == 0 || interval.is_zero() || turn.now.timestamp_ms() >= next;
        if self.assignment_epoch >= epoch || !may {
            let known = match &after.instance_id {
                None => Some(&after.id),
                Some(instance) => self.static_members.get(instance),
            };
            let partitions = known.and_then(|id| self.target.get(id)).cloned().unwrap_or_default();
            return Target { epoch: self.assignment_epoch, partitions };
        }
        let others = || self.members().filter(|member| !self.is_replaced_by(member, after));
        let mut members: Vec<&Member> = others().chain([after]).collect();
        members.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let assigned = self.assign(&members, turn);
        let mut mine = Rc::default();
        for member in &members {
            let target = Rc::new(assigned.get(&member.id).cloned().unwrap_or_default());
            if self.target.get(&member.id) != Some(&target) {
                let value = Some(target.iter().copied().collect());
                changes.records.push(ConsumerRecord::Target { member: member.id.clone(), value });
            }
            if member.id == after.id {
                mine = target;
            }
        }
        changes.records.push(ConsumerRecord::TargetEpoch(Some((epoch, turn.now.timestamp_ms()))));
        let of = |member: &&Member| {
            let partitions = assigned.get(&member.id).into_iter().flatten().copied();
            (member.id.clone(), named(turn.image, partitions))
        };
        let facts = members.iter().map(of).collect();
        changes.facts.push(Fact::TargetAssigned { group: self.id.clone(), epoch, members: facts });
        Target { epoch, partitions: mine }
    }

    /// Asks the assignor. Members come with their old targets: what they were to have they shall keep.
    fn assign(&self, members: &[&Member], turn: &Turn) -> BTreeMap<Name, BTreeSet<TopicPartition>> {
        let assignor = preferred_assignor(self.members(), members.iter().copied(), turn.config);
        let mut topics = Topics::new();
        let specs: Vec<AssignorMember> = members
            .iter()
            .map(|member| {
                let known = self.topics_of(member).filter(|name| turn.image.topic_ids.contains_key(*name));
                let subscribed: BTreeSet<Name> = known.cloned().collect();
                for name in &subscribed {
                    if let Some((_, topic)) = turn.image.topic(name).filter(|_| !topics.contains_key(name)) {
                        topics.insert(name.clone(), described(topic, turn.image));
                    }
                }
                let previous = member.instance_id.as_ref().and_then(|instance| self.static_members.get(instance));
                let target = self.target.get(previous.unwrap_or(&member.id));
                let owned = target.into_iter().flat_map(|target| target.iter().copied());
                AssignorMember {
                    id: member.id.clone(),
                    instance_id: member.instance_id.clone(),
                    subscription: Rc::new(Subscription {
                        topics: subscribed.into_iter().collect(),
                        owned_partitions: named(turn.image, owned),
                        rack: member.rack.clone(),
                        ..Subscription::default()
                    }),
                }
            })
            .collect();
        let assigned = (turn.assign)(assignor, &topics, &specs);
        let by_id =
            |(name, partition): (Name, u32)| Some(TopicPartition::new(*turn.image.topic_ids.get(&name)?, partition));
        let of = |(member, partitions): (Name, Vec<(Name, u32)>)| {
            (member, partitions.into_iter().filter_map(by_id).collect())
        };
        assigned.into_iter().map(of).collect()
    }

    /// Whether the member is the one that has just spoken, or a static one whose place that takes.
    fn is_replaced_by(&self, member: &Member, after: &Member) -> bool {
        member.id == after.id || (after.instance_id.is_some() && member.instance_id == after.instance_id)
    }
}

/// A number that differs when a subscribed topic is created or deleted, or its partitions or their racks change
/// (`computeMetadataHash`).
pub(super) fn metadata_hash<'a>(
    members: impl Iterator<Item = &'a Member>,
    regexes: &BTreeMap<Name, ResolvedRegex>,
    image: &MetadataImage,
) -> i64 {
    let mut names: BTreeSet<&Name> = BTreeSet::new();
    let mut wanted: BTreeSet<&Name> = BTreeSet::new();
    for member in members {
        names.extend(member.topics.iter());
        wanted.extend(member.subscribed_regex());
    }
    let resolved = wanted.into_iter().filter_map(|regex| regexes.get(regex));
    names.extend(resolved.flat_map(|resolved| &resolved.topics));
    topics_hash(names, image)
}

/// The same of topics by their names; 0 where none of them exists.
pub fn topics_hash<'a>(names: impl IntoIterator<Item = &'a Name>, image: &MetadataImage) -> i64 {
    let topics: Vec<_> = names.into_iter().filter_map(|name| Some((name, image.topic(name)?))).collect();
    if topics.is_empty() {
        return 0;
    }
    let mut hash = Fnv::new();
    for (name, (id, topic)) in topics {
        hash.write(name.as_bytes());
        hash.write(&id.0.to_be_bytes());
        for racks in described(topic, image).replica_racks {
            hash.write(b"/");
            racks.iter().for_each(|rack| hash.write(rack.as_bytes()));
        }
    }
    hash.0.cast_signed()
}

/// A topic's partitions and the racks of their replicas.
fn described(topic: &TopicImage, image: &MetadataImage) -> Topic {
    let rack_of = |broker| image.brokers.get(broker).and_then(|registration| registration.rack.clone());
    let racks = topic.partitions.iter().map(|partition| {
        let racks: BTreeSet<Name> = partition.replicas.iter().filter_map(rack_of).collect();
        racks.into_iter().collect()
    });
    Topic { partitions: topic.partitions.len() as u32, replica_racks: racks.collect() }
}

/// FNV-1a.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().chain(&[0]) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
