//! A topic goes (`TopicDeletionManager`): clients are told that it is gone, every replica is deleted by its broker, and
//! when all have said so the znodes go. A topic with a replica on a broker that is down stays until that is back.

use std::collections::BTreeSet;

use super::load::children;
use super::{Batch, Desk, Event, Step, ZkController};
use crate::kafka::fact::Fact;
use crate::kafka::ids::{BrokerId, TopicId, TopicPartition};
use crate::kafka::message::ensemble::{ZkOp, ZkResult};
use crate::kafka::zookeeper::paths;

impl ZkController {
    pub(super) fn deletions_listed(&mut self, results: &[ZkResult]) {
        for name in children(results.first()) {
            if let Some(id) = self.image.topic_ids.get(&name).copied() {
                self.deleting.entry(id).or_default();
                if self.loaded {
                    self.steps.push_front(Step::StartDeletion(id));
                }
            }
        }
    }

    /// Somebody came or went: deletions that waited may go on.
    pub(super) fn resume_deletions(&self, steps: &mut Vec<Step>) {
        steps.extend(self.deleting.keys().map(|topic| Step::StartDeletion(*topic)));
    }

    pub(super) fn start_deletion(&mut self, id: TopicId) {
        let hosts = self.hosts(id);
        if hosts.is_empty() || !hosts.iter().all(|(broker, _)| self.image.brokers.contains_key(broker)) {
            return;
        }
        let mut batch = Batch::default();
        batch.deleted(self.image.brokers.keys().copied(), id);
        for (broker, partition) in &hosts {
            batch.stop_replica(*broker, *partition, true);
        }
        self.send(batch);
        self.deleting.insert(id, hosts.into_iter().map(|(broker, _)| broker).collect());
    }

    fn hosts(&self, id: TopicId) -> BTreeSet<(BrokerId, TopicPartition)> {
        let partitions = self.image.topics.get(&id).into_iter().flat_map(|topic| topic.partitions.iter().zip(0..));
        partitions
            .flat_map(|(state, number)| {
                state.replicas.iter().map(move |broker| (*broker, TopicPartition::new(id, number)))
            })
            .collect()
    }

    /// A broker has deleted its replicas.
    pub(super) fn replicas_gone(&mut self, broker: BrokerId, partitions: &[TopicPartition]) {
        let topics: BTreeSet<TopicId> = partitions.iter().map(|partition| partition.topic).collect();
        for topic in topics {
            if let Some(left) = self.deleting.get_mut(&topic)
                && left.remove(&broker)
                && left.is_empty()
            {
                self.events.push_back(Event::Deleted(topic));
            }
        }
    }

    pub(super) fn deletion_ops(&mut self, id: TopicId) -> Vec<ZkOp> {
        let Some(topic) = self.image.topics.get(&id) else { return Vec::new() };
        let states = (0..topic.partitions.len() as u32).map(|number| paths::state(&topic.name, number));
        let rest = [paths::topic(&topic.name), paths::topic_config(&topic.name), paths::delete_topic(&topic.name)];
        states.chain(rest).map(|path| ZkOp::Delete { path, version: None }).collect()
    }

    pub(super) fn deletion_finished(&mut self, id: TopicId, desk: &mut Desk) {
        self.deleting.remove(&id);
        let image = self.edit();
        let Some(topic) = image.topics.remove(&id) else { return };
        image.topic_ids.remove(&topic.name);
        desk.out.note(Fact::TopicDeleted { topic: id, name: topic.name.clone() });
        self.answer_waiting(desk.out);
    }
}
