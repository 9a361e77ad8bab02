//! What the controller knows: the image of its log, and the questions that decisions ask of it.

use std::rc::Rc;

use super::super::config::{BrokerConfig, SettingValue};
use super::super::ids::{BrokerId, TopicId, TopicPartition};
use super::super::metadata::{MetadataImage, MetadataRecord, PartitionRegistration};
use super::super::mistakes::Mistake;
use super::super::placement::UsableBroker;
use super::heartbeats::Heartbeats;
use super::index::PartitionIndex;
use super::partition_change::{self, ChangeRequest, Election};

/// The state that records build. Only [`apply`](Self::apply) changes image and index.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub image: MetadataImage,
    index: Rc<PartitionIndex>,
    /// When brokers were last heard: not in the log, known to the active controller alone.
    pub heartbeats: Heartbeats,
    pub config: BrokerConfig,
    /// KIP-966, feature `eligible.leader.replicas.version`.
    pub elr_enabled: bool,
}

/// Why leaders and ISRs are looked at anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is fenced or shuts down: out of the ISR, and not fit to lead.
    Removed(BrokerId),
    /// It is about to be unfenced: fit to lead, though the image does not say so yet.
    Added(BrokerId),
    /// It came back after a crash: out of ISR and ELR.
    UncleanShutdown(BrokerId),
}

impl Cluster {
    pub fn new(config: BrokerConfig, elr_enabled: bool) -> Self {
        let heartbeats = Heartbeats::new(config.broker_session_timeout);
        Self { image: MetadataImage::default(), index: Rc::default(), heartbeats, config, elr_enabled }
    }

    pub fn index(&self) -> &PartitionIndex {
        &self.index
    }

    /// Begins again with another image: a snapshot's, or none.
    pub fn load(&mut self, image: MetadataImage) {
        let mut index = PartitionIndex::default();
        image.partitions().for_each(|(partition, state)| index.update(partition, None, Some(state)));
        (self.image, self.index) = (image, Rc::new(index));
    }

    /// Applies one record to the image, and keeps the index in step. The caller advances `image.next_offset`.
    pub fn apply(&mut self, record: &MetadataRecord) {
        match record {
            MetadataRecord::Partition { partition, .. } | MetadataRecord::PartitionChange { partition, .. } => {
                let old = self.image.partition(*partition).cloned();
                self.image.apply(record);
                let new = self.image.partition(*partition);
                Rc::make_mut(&mut self.index).update(*partition, old.as_ref(), new);
            }
            MetadataRecord::RemoveTopic { id } => {
                self.forget_topic(*id);
                self.image.apply(record);
            }
            MetadataRecord::ClearElr { topic } => {
                let before = self.partitions_with_elr(*topic);
                self.image.apply(record);
                for (partition, old) in before {
                    let new = self.image.partition(partition);
                    Rc::make_mut(&mut self.index).update(partition, Some(&old), new);
                }
            }
            _ => self.image.apply(record),
        }
    }

    fn forget_topic(&mut self, id: TopicId) {
        let Some(topic) = self.image.topics.get(&id).cloned() else { return };
        for (old, number) in topic.partitions.iter().zip(0..) {
            Rc::make_mut(&mut self.index).update(TopicPartition::new(id, number), Some(old), None);
        }
    }

    fn partitions_with_elr(&self, topic: Option<TopicId>) -> Vec<(TopicPartition, PartitionRegistration)> {
        let concerned = |partition: TopicPartition| topic.is_none_or(|topic| topic == partition.topic);
        let partitions =
            self.image.partitions().filter(|(partition, state)| concerned(*partition) && !state.elr.is_empty());
        partitions.map(|(partition, state)| (partition, state.clone())).collect()
    }

    /// Whether the broker may lead, or join an ISR (`ClusterControlManager.isActive`).
    pub fn is_active(&self, broker: BrokerId) -> bool {
        self.image.brokers.get(&broker).is_some_and(|registration| registration.is_active())
    }

    /// The brokers that new partitions may go to, in order.
    pub fn usable_brokers(&self) -> Vec<UsableBroker> {
        let usable = self.image.brokers.iter().filter(|(id, _)| !self.heartbeats.is_shutting_down(**id));
        usable.map(|(id, broker)| UsableBroker { id: *id, rack: broker.rack.clone(), fenced: broker.fenced }).collect()
    }

    /// `min.insync.replicas` of the topic, the cluster or the static configuration, but no more than there are replicas
    /// (`getTopicEffectiveMinIsr`).
    pub fn effective_min_isr(&self, topic: TopicId) -> u32 {
        let dynamic = self.image.topic_config(topic, "min.insync.replicas");
        let configured = dynamic
            .and_then(|value| SettingValue::parse(value, 1, i64::MAX))
            .unwrap_or(self.config.min_insync_replicas);
        let first = self.image.topics.get(&topic).and_then(|topic| topic.partitions.first());
        first.map_or(configured, |partition| configured.min(partition.replicas.len() as u32))
    }

    /// `unclean.leader.election.enable` of the topic, the cluster or the static configuration.
    pub fn unclean_election_enabled(&self, topic: TopicId) -> bool {
        let dynamic = self.image.topic_config(topic, "unclean.leader.election.enable");
        dynamic.and_then(|value| SettingValue::parse(value, 0, 1)).unwrap_or(self.config.unclean_leader_election)
    }

    /// `Unclean` where the topic allows it, else `Online`.
    pub fn election_for(&self, topic: TopicId) -> Election {
        if self.unclean_election_enabled(topic) { Election::Unclean } else { Election::Online }
    }

    /// A change of one partition as things stand, or `None` where nothing changes.
    pub fn change_partition(
        &self,
        partition: TopicPartition,
        request: ChangeRequest,
        fit: impl Fn(BrokerId) -> bool,
    ) -> Option<MetadataRecord> {
        let state = self.image.partition(partition)?;
        let min_isr = self.effective_min_isr(partition.topic);
        let mut request = ChangeRequest { min_isr, elr_enabled: self.elr_enabled, ..request };
        if self.config.makes(Mistake::LeaderOutsideIsr) && !state.leader.is_some_and(&fit) {
            request.target_isr = Some(state.replicas.iter().copied().filter(|id| fit(*id)).collect());
        }
        Some(partition_change::decide(state, request, fit)?.into_record(partition))
    }

    /// New leaders and ISRs for partitions that a broker's coming or going concerns (`generateLeaderAndIsrUpdates`).
    pub fn update_leaders_and_isrs(
        &self,
        cause: Cause,
        partitions: Vec<TopicPartition>,
        records: &mut Vec<MetadataRecord>,
    ) {
        let fit = |broker: BrokerId| match cause {
            Cause::Removed(gone) | Cause::UncleanShutdown(gone) if gone == broker => false,
            Cause::Added(new) if new == broker => true,
            _ => self.is_active(broker),
        };
        let gone = match cause {
            Cause::Removed(broker) | Cause::UncleanShutdown(broker) => Some(broker),
            Cause::Added(_) => None,
        };
        for partition in partitions {
            let Some(state) = self.image.partition(partition) else { continue };
            let request = ChangeRequest {
                election: self.election_for(partition.topic),
                target_isr: Some(state.isr.iter().copied().filter(|id| Some(*id) != gone).collect()),
                unclean_shutdown: if let Cause::UncleanShutdown(broker) = cause { Some(broker) } else { None },
                ..ChangeRequest::default()
            };
            records.extend(self.change_partition(partition, request, fit));
        }
    }
}
