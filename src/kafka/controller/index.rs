//! Which partitions a broker matters to, so that no decision has to look at all of them.
//!
//! Kafka's `BrokersToIsrs` and `BrokersToElrs`, and `imbalancedPartitions` of `ReplicationControlManager`.

use std::collections::{BTreeMap, BTreeSet};

use super::super::ids::{BrokerId, TopicPartition};
use super::super::metadata::PartitionRegistration;

/// Kept in step with the image by [`Cluster::apply`](super::cluster::Cluster::apply).
#[derive(Clone, Debug, Default)]
pub struct PartitionIndex {
    isr: BTreeMap<BrokerId, BTreeSet<TopicPartition>>,
    elr: BTreeMap<BrokerId, BTreeSet<TopicPartition>>,
    leaderships: BTreeMap<BrokerId, u32>,
    leaderless: BTreeSet<TopicPartition>,
    imbalanced: BTreeSet<TopicPartition>,
}

impl PartitionIndex {
    /// The partitions whose ISR has this broker, in order.
    pub fn in_isr(&self, broker: BrokerId) -> Vec<TopicPartition> {
        self.isr.get(&broker).into_iter().flatten().copied().collect()
    }

    /// The partitions whose ELR has this broker, in order.
    pub fn in_elr(&self, broker: BrokerId) -> Vec<TopicPartition> {
        self.elr.get(&broker).into_iter().flatten().copied().collect()
    }

    /// Whether the broker leads any partition.
    pub fn leads_any(&self, broker: BrokerId) -> bool {
        self.leaderships.contains_key(&broker)
    }

    /// The partitions without a leader, in order.
    pub fn leaderless(&self) -> Vec<TopicPartition> {
        self.leaderless.iter().copied().collect()
    }

    /// The partitions led by another than their first replica, in order.
    pub fn imbalanced(&self) -> impl Iterator<Item = TopicPartition> {
        self.imbalanced.iter().copied()
    }

    /// A partition came into being (`old` is `None`), changed, or went (`new` is `None`).
    pub fn update(
        &mut self,
        partition: TopicPartition,
        old: Option<&PartitionRegistration>,
        new: Option<&PartitionRegistration>,
    ) {
        let members = |state: Option<&PartitionRegistration>, of: fn(&PartitionRegistration) -> &Vec<BrokerId>| {
            state.map(|state| of(state).clone()).unwrap_or_default()
        };
        replace(&mut self.isr, partition, members(old, |state| &state.isr), members(new, |state| &state.isr));
        replace(&mut self.elr, partition, members(old, |state| &state.elr), members(new, |state| &state.elr));
        self.update_leader(old.and_then(|state| state.leader), new.and_then(|state| state.leader));
        mark(&mut self.leaderless, partition, new.is_some_and(|state| state.leader.is_none()));
        let preferred_leads = |state: &PartitionRegistration| state.leader == state.replicas.first().copied();
        mark(&mut self.imbalanced, partition, new.is_some_and(|state| !preferred_leads(state)));
    }

    fn update_leader(&mut self, old: Option<BrokerId>, new: Option<BrokerId>) {
        if let Some(leader) = new {
            *self.leaderships.entry(leader).or_default() += 1;
        }
        if let Some(leader) = old
            && let Some(count) = self.leaderships.get_mut(&leader)
        {
            *count -= 1;
            if *count == 0 {
                self.leaderships.remove(&leader);
            }
        }
    }
}

fn replace(
    lists: &mut BTreeMap<BrokerId, BTreeSet<TopicPartition>>,
    partition: TopicPartition,
    old: Vec<BrokerId>,
    new: Vec<BrokerId>,
) {
    for broker in old.iter().filter(|broker| !new.contains(broker)) {
        if let Some(list) = lists.get_mut(broker) {
            list.remove(&partition);
        }
    }
    for broker in new.iter().filter(|broker| !old.contains(broker)) {
        lists.entry(*broker).or_default().insert(partition);
    }
}

fn mark(set: &mut BTreeSet<TopicPartition>, partition: TopicPartition, present: bool) {
    if present {
        set.insert(partition);
    } else {
        set.remove(&partition);
    }
}
