//! The metadata log's records, and the picture of the cluster that results from applying them in order.
//!
//! Kafka writes these to `__cluster_metadata-0` (KIP-500, KIP-631). Controllers decide by appending records; brokers
//! learn by fetching and applying them. Nobody changes an image in any other way.
//!
//! What we leave out: features, quotas, log directories.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::ids::{
    BrokerEpoch, BrokerId, ControllerId, LeaderEpoch, Name, Offset, PartitionEpoch, TopicId, TopicPartition,
};

/// One record of `__cluster_metadata-0`, with the field names of Kafka's schemas (`metadata/src/main/resources`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MetadataRecord {
    /// A control record: this voter leads the quorum from here on.
    LeaderChange { leader: ControllerId },
    /// `RegisterBrokerRecord`. Its offset in the log is the broker epoch.
    RegisterBroker { broker: BrokerId, epoch: BrokerEpoch, incarnation: u64, rack: Option<Name>, fenced: bool },
    /// `BrokerRegistrationChangeRecord`: `None` leaves a field as it is.
    BrokerRegistrationChange {
        broker: BrokerId,
        epoch: BrokerEpoch,
        fenced: Option<bool>,
        in_controlled_shutdown: Option<bool>,
    },
    /// `UnregisterBrokerRecord`.
    UnregisterBroker { broker: BrokerId },
    /// `TopicRecord`.
    Topic { id: TopicId, name: Name },
    /// `RemoveTopicRecord`: the partitions go with it.
    RemoveTopic { id: TopicId },
    /// `PartitionRecord`: a partition comes into being.
    Partition { partition: TopicPartition, registration: PartitionRegistration },
    /// `PartitionChangeRecord`: `None` leaves a field as it is; a `leader` given, even `Some(None)`, bumps the leader
    /// epoch. Every change bumps the partition epoch.
    PartitionChange {
        partition: TopicPartition,
        isr: Option<Vec<BrokerId>>,
        leader: Option<Option<BrokerId>>,
        replicas: Option<Vec<BrokerId>>,
        adding: Option<Vec<BrokerId>>,
        removing: Option<Vec<BrokerId>>,
        elr: Option<Vec<BrokerId>>,
        last_known_elr: Option<Vec<BrokerId>>,
        recovering: Option<bool>,
    },
    /// `ConfigRecord`: `None` removes the key.
    Config { resource: ConfigResource, key: Name, value: Option<Name> },
    /// `ClearElrRecord`: `min.insync.replicas` changed, of one topic or (`None`) of the cluster, so what was known about
    /// eligible leaders no longer holds.
    ClearElr { topic: Option<TopicId> },
    /// `ProducerIdsRecord`: producer ids below `next_producer_id` are given away, the last block of them to `broker`.
    ProducerIds { broker: BrokerId, broker_epoch: BrokerEpoch, next_producer_id: i64 },
    /// `NoOpRecord`: shows that the active controller is alive.
    NoOp,
}

/// What a dynamic setting belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigResource {
    /// The default of every broker.
    Cluster,
    Broker(BrokerId),
    Topic(TopicId),
}

/// Consecutive records of one leader of the quorum; they are committed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataBatch {
    /// Offset of the first record; each record takes one.
    pub base_offset: Offset,
    pub epoch: LeaderEpoch,
    pub records: Rc<[MetadataRecord]>,
}

impl MetadataBatch {
    /// The offset after the last record.
    pub fn next_offset(&self) -> Offset {
        self.base_offset + self.records.len() as Offset
    }

    /// About how many bytes it takes in Kafka's log: a batch's header, and a round figure for each record.
    pub fn bytes(&self) -> u64 {
        61 + self.records.iter().map(|record| if *record == MetadataRecord::NoOp { 10 } else { 80 }).sum::<u64>()
    }
}

/// Which snapshot: the epoch of the last record it stands for, and the offset after it (`OffsetAndEpoch`).
pub type SnapshotId = (LeaderEpoch, Offset);

/// What the records before `end` have come to. Kafka writes it as records to a `.checkpoint` file (KIP-630); here it is
/// the image itself.
#[derive(Clone, Debug)]
pub struct MetadataSnapshot {
    pub epoch: LeaderEpoch,
    pub end: Offset,
    pub image: Rc<MetadataImage>,
}

/// A partition's state as the controller has it (Kafka's `PartitionRegistration`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PartitionRegistration {
    /// In order of preference: the first is the preferred leader.
    pub replicas: Vec<BrokerId>,
    /// During a reassignment: those of `replicas` that are new.
    pub adding: Vec<BrokerId>,
    /// During a reassignment: those of `replicas` that go at its end.
    pub removing: Vec<BrokerId>,
    pub isr: Vec<BrokerId>,
    /// Eligible leader replicas (KIP-966): left the ISR while it was below `min.insync.replicas`, yet hold everything
    /// committed.
    pub elr: Vec<BrokerId>,
    /// The last leader, once ISR and ELR are empty.
    pub last_known_elr: Vec<BrokerId>,
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    /// `LeaderRecoveryState`: elected uncleanly, and no ISR of its own since.
    pub recovering: bool,
}

impl PartitionRegistration {
    /// Whether a reassignment of this partition is under way (`PartitionReassignmentReplicas.isReassignmentInProgress`).
    pub fn is_reassigning(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }
}

/// A broker as the controller has it (Kafka's `BrokerRegistration`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistration {
    pub epoch: BrokerEpoch,
    pub incarnation: u64,
    pub rack: Option<Name>,
    pub fenced: bool,
    pub in_controlled_shutdown: bool,
}

impl BrokerRegistration {
    /// Whether it may lead a partition, or join an ISR.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }
}

/// A topic as the controller has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicImage {
    pub name: Name,
    /// By partition number.
    pub partitions: Vec<PartitionRegistration>,
}

/// Everything the metadata log says up to `next_offset`. Cheap to clone: topics are shared until they change.
#[derive(Clone, Debug, Default)]
pub struct MetadataImage {
    /// The offset after the last record applied.
    pub next_offset: Offset,
    pub brokers: BTreeMap<BrokerId, BrokerRegistration>,
    pub topics: BTreeMap<TopicId, Rc<TopicImage>>,
    pub topic_ids: BTreeMap<Name, TopicId>,
    /// How many topics were ever created: the next one's id.
    pub topics_created: u32,
    /// The first producer id that no broker has been given.
    pub next_producer_id: i64,
    pub configs: BTreeMap<ConfigResource, BTreeMap<Name, Name>>,
}

impl MetadataImage {
    /// A partition's state, where there is such a partition.
    pub fn partition(&self, partition: TopicPartition) -> Option<&PartitionRegistration> {
        self.topics.get(&partition.topic)?.partitions.get(partition.partition as usize)
    }

    /// How many records a snapshot of it takes.
    pub fn record_count(&self) -> u32 {
        let partitions: u32 = self.topics.values().map(|topic| 1 + topic.partitions.len() as u32).sum();
        let configs: u32 = self.configs.values().map(|config| config.len() as u32).sum();
        self.brokers.len() as u32 + partitions + configs
    }

    /// A topic's id and state, by its name.
    pub fn topic(&self, name: &str) -> Option<(TopicId, &TopicImage)> {
        let id = *self.topic_ids.get(name)?;
        Some((id, self.topics.get(&id)?))
    }

    /// Every partition there is, in order.
    pub fn partitions(&self) -> impl Iterator<Item = (TopicPartition, &PartitionRegistration)> {
        self.topics.iter().flat_map(|(id, topic)| {
            topic
                .partitions
                .iter()
                .zip(0..)
                .map(|(registration, partition)| (TopicPartition::new(*id, partition), registration))
        })
    }

    /// A topic's setting: its own, else the cluster's, else `None` (Kafka's default).
    pub fn topic_config(&self, topic: TopicId, key: &str) -> Option<&Name> {
        let of = |resource| self.configs.get(&resource).and_then(|config| config.get(key));
        of(ConfigResource::Topic(topic)).or_else(|| of(ConfigResource::Cluster))
    }

    /// Applies all records of a batch. Batches come in order, without gaps.
    pub fn apply_batch(&mut self, batch: &MetadataBatch) {
        assert_eq!(batch.base_offset, self.next_offset, "a metadata batch out of order");
        for record in batch.records.iter() {
            self.apply(record);
        }
        self.next_offset = batch.next_offset();
    }

    /// Applies one record. Records about things that are not there change nothing.
    pub fn apply(&mut self, record: &MetadataRecord) {
        match record {
            MetadataRecord::LeaderChange { .. } | MetadataRecord::NoOp => {}
            MetadataRecord::RegisterBroker { broker, epoch, incarnation, rack, fenced } => {
                let registration = BrokerRegistration {
                    epoch: *epoch,
                    incarnation: *incarnation,
                    rack: rack.clone(),
                    fenced: *fenced,
                    in_controlled_shutdown: false,
                };
                self.brokers.insert(*broker, registration);
            }
            MetadataRecord::BrokerRegistrationChange { broker, epoch, fenced, in_controlled_shutdown } => {
                if let Some(registration) = self.brokers.get_mut(broker).filter(|found| found.epoch == *epoch) {
                    registration.fenced = fenced.unwrap_or(registration.fenced);
                    registration.in_controlled_shutdown =
                        in_controlled_shutdown.unwrap_or(registration.in_controlled_shutdown);
                }
            }
            MetadataRecord::UnregisterBroker { broker } => {
                self.brokers.remove(broker);
            }
            MetadataRecord::Topic { id, name } => {
                self.topics.insert(*id, Rc::new(TopicImage { name: name.clone(), partitions: Vec::new() }));
                self.topic_ids.insert(name.clone(), *id);
                self.topics_created = self.topics_created.max(id.0 + 1);
            }
            MetadataRecord::RemoveTopic { id } => {
                if let Some(topic) = self.topics.remove(id) {
                    self.topic_ids.remove(&topic.name);
                }
                self.configs.remove(&ConfigResource::Topic(*id));
            }
            MetadataRecord::Partition { partition, registration } => {
                if let Some(topic) = self.topics.get_mut(&partition.topic) {
                    // Kafka numbers partitions without gaps, so a new one always comes last.
                    assert_eq!(topic.partitions.len(), partition.partition as usize, "a partition out of order");
                    Rc::make_mut(topic).partitions.push(registration.clone());
                }
            }
            MetadataRecord::PartitionChange { partition, .. } => self.apply_partition_change(*partition, record),
            MetadataRecord::Config { resource, key, value } => {
                let config = self.configs.entry(*resource).or_default();
                match value {
                    Some(value) => config.insert(key.clone(), value.clone()),
                    None => config.remove(key),
                };
            }
            MetadataRecord::ProducerIds { next_producer_id, .. } => self.next_producer_id = *next_producer_id,
            MetadataRecord::ClearElr { topic: Some(topic) } => self.clear_elr(*topic),
            MetadataRecord::ClearElr { topic: None } => {
                let topics: Vec<TopicId> = self.topics.keys().copied().collect();
                topics.into_iter().for_each(|topic| self.clear_elr(topic));
            }
        }
    }

    fn clear_elr(&mut self, topic: TopicId) {
        let Some(topic) = self.topics.get_mut(&topic) else { return };
        let has_elr = |state: &PartitionRegistration| !state.elr.is_empty() || !state.last_known_elr.is_empty();
        if !topic.partitions.iter().any(has_elr) {
            return;
        }
        for state in Rc::make_mut(topic).partitions.iter_mut().filter(|state| has_elr(state)) {
            state.elr.clear();
            state.last_known_elr.clear();
            state.partition_epoch = PartitionEpoch(state.partition_epoch.0 + 1);
        }
    }

    fn apply_partition_change(&mut self, partition: TopicPartition, record: &MetadataRecord) {
        let MetadataRecord::PartitionChange {
            isr,
            leader,
            replicas,
            adding,
            removing,
            elr,
            last_known_elr,
            recovering,
            ..
        } = record
        else {
            return;
        };
        let Some(topic) = self.topics.get_mut(&partition.topic) else { return };
        let Some(state) = Rc::make_mut(topic).partitions.get_mut(partition.partition as usize) else { return };
        let take = |field: &mut Vec<BrokerId>, change: &Option<Vec<BrokerId>>| {
            if let Some(change) = change {
                field.clone_from(change);
            }
        };
        take(&mut state.isr, isr);
        take(&mut state.replicas, replicas);
        take(&mut state.adding, adding);
        take(&mut state.removing, removing);
        take(&mut state.elr, elr);
        take(&mut state.last_known_elr, last_known_elr);
        if let Some(leader) = leader {
            state.leader = *leader;
            state.leader_epoch = LeaderEpoch(state.leader_epoch.0 + 1);
        }
        state.recovering = recovering.unwrap_or(state.recovering);
        state.partition_epoch = PartitionEpoch(state.partition_epoch.0 + 1);
    }
}
