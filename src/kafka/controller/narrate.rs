//! What records say, as facts. Noted at the moment the active controller applies its decision.

use std::collections::BTreeMap;

use super::super::effects::Effects;
use super::super::fact::Fact;
use super::super::ids::{BrokerId, LeaderEpoch, Name, PartitionEpoch, TopicId, TopicPartition};
use super::super::metadata::{ConfigResource, MetadataImage, MetadataRecord, PartitionRegistration};
use crate::time::Duration;

/// Notes what a batch will change. `image` is as it was before; `silent_for` says why a broker is fenced.
pub fn narrate(records: &[MetadataRecord], image: &MetadataImage, silent_for: Option<Duration>, out: &mut Effects) {
    let mut new_topics: BTreeMap<TopicId, &Name> = BTreeMap::new();
    let mut new_partitions: BTreeMap<TopicId, Vec<&PartitionRegistration>> = BTreeMap::new();
    for record in records {
        match record {
            MetadataRecord::Topic { id, name } => {
                new_topics.insert(*id, name);
            }
            MetadataRecord::Partition { partition, registration } => {
                new_partitions.entry(partition.topic).or_default().push(registration);
            }
            MetadataRecord::Config { resource, key, value } => {
                let resource = resource_name(*resource, image, &new_topics);
                out.note(Fact::ConfigChanged { resource, key: key.clone(), value: value.clone() });
            }
            MetadataRecord::RegisterBroker { broker, epoch, .. } => {
                out.note(Fact::BrokerRegistered { broker: *broker, epoch: *epoch });
            }
            MetadataRecord::BrokerRegistrationChange { broker, fenced, in_controlled_shutdown, .. } => {
                narrate_broker(*broker, *fenced, *in_controlled_shutdown, silent_for, out);
            }
            MetadataRecord::RemoveTopic { id } => {
                if let Some(topic) = image.topics.get(id) {
                    out.note(Fact::TopicDeleted { topic: *id, name: topic.name.clone() });
                }
            }
            MetadataRecord::PartitionChange { partition, isr, leader, elr, .. } => {
                narrate_reassignment(*partition, record, image, out);
                narrate_partition(*partition, record, isr.as_deref(), *leader, image, out);
                narrate_elr(*partition, elr.as_deref(), image, out);
            }
            MetadataRecord::ClearElr { topic } => {
                let cleared = image.partitions().filter(|(partition, _)| topic.is_none_or(|of| of == partition.topic));
                cleared.for_each(|(partition, _)| narrate_elr(partition, Some(&[]), image, out));
            }
            MetadataRecord::LeaderChange { .. }
            | MetadataRecord::UnregisterBroker { .. }
            | MetadataRecord::ProducerIds { .. }
            | MetadataRecord::NoOp => {}
        }
    }
    for (topic, added) in new_partitions {
        narrate_new_partitions(topic, &added, new_topics.get(&topic).copied(), image, out);
    }
}

fn narrate_broker(
    broker: BrokerId,
    fenced: Option<bool>,
    in_controlled_shutdown: Option<bool>,
    silent_for: Option<Duration>,
    out: &mut Effects,
) {
    match fenced {
        Some(true) => out.note(Fact::BrokerFenced { broker, silent_for }),
        Some(false) => out.note(Fact::BrokerUnfenced { broker }),
        None => {}
    }
    if in_controlled_shutdown == Some(true) {
        out.note(Fact::ControlledShutdownBegan { broker });
    }
}

fn narrate_partition(
    partition: TopicPartition,
    record: &MetadataRecord,
    isr: Option<&[BrokerId]>,
    leader: Option<Option<BrokerId>>,
    image: &MetadataImage,
    out: &mut Effects,
) {
    let Some(old) = image.partition(partition) else { return };
    if let Some(leader) = leader {
        let epoch = LeaderEpoch(old.leader_epoch.0 + 1);
        // With the end of a reassignment, a replica may lead that its leader takes into the ISR with the very same record.
        let joins = ends_reassignment(old, record) == Some(Ending::Complete);
        let unclean = leader.is_some_and(|id| !joins && !old.isr.contains(&id) && !old.elr.contains(&id));
        let isr = isr.unwrap_or(&old.isr).to_vec();
        out.note(Fact::LeaderElected { partition, leader, epoch, isr, unclean });
    } else if let Some(to) = isr {
        let epoch = PartitionEpoch(old.partition_epoch.0 + 1);
        out.note(Fact::IsrChanged { partition, from: old.isr.clone(), to: to.to_vec(), epoch });
    }
}

fn narrate_elr(partition: TopicPartition, elr: Option<&[BrokerId]>, image: &MetadataImage, out: &mut Effects) {
    if let (Some(old), Some(to)) = (image.partition(partition), elr)
        && old.elr != to
    {
        out.note(Fact::ElrChanged { partition, from: old.elr.clone(), to: to.to_vec() });
    }
}

/// How a reassignment ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Complete,
    Cancelled,
}

/// Whether a record ends a reassignment of a partition: that under way, or one that needs no second record.
fn ends_reassignment(old: &PartitionRegistration, record: &MetadataRecord) -> Option<Ending> {
    let MetadataRecord::PartitionChange { replicas, adding, removing, .. } = record else { return None };
    let goes_on =
        |change: &Option<Vec<BrokerId>>, present: &[BrokerId]| !change.as_deref().unwrap_or(present).is_empty();
    let touched = replicas.is_some() || adding.is_some() || removing.is_some();
    if !touched || goes_on(adding, &old.adding) || goes_on(removing, &old.removing) {
        return None;
    }
    let replicas = replicas.as_ref().unwrap_or(&old.replicas);
    let stay = old.removing.iter().all(|id| replicas.contains(id));
    let back = old.is_reassigning() && stay && !old.adding.iter().any(|id| replicas.contains(id));
    Some(if back { Ending::Cancelled } else { Ending::Complete })
}

/// A reassignment that ends with the record it begins with (the ISR needs no new member) is only said to have ended.
fn narrate_reassignment(partition: TopicPartition, record: &MetadataRecord, image: &MetadataImage, out: &mut Effects) {
    let MetadataRecord::PartitionChange { replicas, adding, removing, .. } = record else { return };
    let Some(old) = image.partition(partition) else { return };
    if let Some(ending) = ends_reassignment(old, record) {
        let replicas = replicas.as_ref().unwrap_or(&old.replicas).clone();
        let cancelled = ending == Ending::Cancelled;
        out.note(Fact::ReassignmentEnded { partition, replicas, cancelled });
    } else if adding.is_some() || removing.is_some() {
        let adding = adding.as_ref().unwrap_or(&old.adding).clone();
        let removing = removing.as_ref().unwrap_or(&old.removing).clone();
        out.note(Fact::ReassignmentBegan { partition, adding, removing });
    }
}

fn narrate_new_partitions(
    topic: TopicId,
    added: &[&PartitionRegistration],
    new_name: Option<&Name>,
    image: &MetadataImage,
    out: &mut Effects,
) {
    let count = added.len() as u32;
    match (new_name, image.topics.get(&topic)) {
        (Some(name), _) => {
            let replication_factor = added[0].replicas.len() as u32;
            out.note(Fact::TopicCreated { topic, name: name.clone(), partitions: count, replication_factor });
        }
        (None, Some(known)) => {
            let partitions = known.partitions.len() as u32 + count;
            out.note(Fact::PartitionsAdded { topic, name: known.name.clone(), partitions });
        }
        (None, None) => {}
    }
}

/// As commands name it: `cluster`, `broker-1`, `topic:orders`.
fn resource_name(resource: ConfigResource, image: &MetadataImage, new_topics: &BTreeMap<TopicId, &Name>) -> Name {
    match resource {
        ConfigResource::Cluster => "cluster".into(),
        ConfigResource::Broker(id) => format!("broker-{id}").into(),
        ConfigResource::Topic(id) => {
            let name = new_topics.get(&id).copied().or_else(|| image.topics.get(&id).map(|topic| &topic.name));
            format!("topic:{}", name.map_or("", |name| name)).into()
        }
    }
}
