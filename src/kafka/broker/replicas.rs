//! The replicas a broker has opened. Clones share each until one of them changes it, so that a snapshot of a broker costs
//! a pointer a replica.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::kafka::ids::TopicPartition;
use crate::kafka::replica::Replica;

/// Replicas by partition.
#[derive(Clone, Debug, Default)]
pub(super) struct Replicas(BTreeMap<TopicPartition, Rc<Replica>>);

impl Replicas {
    pub fn get(&self, partition: &TopicPartition) -> Option<&Replica> {
        self.0.get(partition).map(|replica| &**replica)
    }

    pub fn get_mut(&mut self, partition: &TopicPartition) -> Option<&mut Replica> {
        self.0.get_mut(partition).map(Rc::make_mut)
    }

    pub fn insert(&mut self, partition: TopicPartition, replica: Replica) {
        self.0.insert(partition, Rc::new(replica));
    }

    pub fn remove(&mut self, partition: &TopicPartition) -> Option<Rc<Replica>> {
        self.0.remove(partition)
    }

    pub fn contains_key(&self, partition: &TopicPartition) -> bool {
        self.0.contains_key(partition)
    }

    pub fn keys(&self) -> impl Iterator<Item = &TopicPartition> {
        self.0.keys()
    }

    pub fn iter(&self) -> impl Iterator<Item = (TopicPartition, &Replica)> {
        self.0.iter().map(|(partition, replica)| (*partition, &**replica))
    }

    /// Each replica, out of its share.
    pub fn into_replicas(self) -> impl Iterator<Item = (TopicPartition, Replica)> {
        self.0.into_iter().map(|(partition, replica)| (partition, Rc::unwrap_or_clone(replica)))
    }
}
