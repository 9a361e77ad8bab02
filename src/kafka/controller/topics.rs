//! Topics are created, grown and deleted: Kafka's rules and Kafka's sentences.
//!
//! `ReplicationControlManager.createTopics`, `createPartitions` and `deleteTopics`, with the checks of `ControllerApis`
//! and `Topic.validate`.
use super::super::error::ErrorCode;
use super::super::ids::{BrokerId, METADATA_TOPIC, Name, TopicId, TopicPartition};
use super::super::message::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, NewTopic, Response,
};
use super::super::metadata::{ConfigResource, MetadataRecord, PartitionRegistration};
use super::super::placement::place;
use super::cluster::Cluster;
use super::configs;
use super::decision::{ApiError, Decision, topic_result};
use crate::rng::Rng;

/// Longest name (`Topic.MAX_NAME_LENGTH`).
const MAX_NAME_LENGTH: usize = 249;

/// Creates each topic that may be created; the others are answered with their error.
pub fn create(cluster: &Cluster, request: &CreateTopicsRequest, rng: &mut Rng) -> Decision {
    let mut records = Vec::new();
    let mut created = 0;
    let results = request.topics.iter().enumerate().map(|(at, topic)| {
        let twice = request.topics.iter().enumerate().any(|(other, same)| other != at && same.name == topic.name);
        let outcome = check_name(cluster, &topic.name, twice).and_then(|()| {
            let id = TopicId(cluster.image.topics_created + created);
            records.extend(create_one(cluster, topic, id, rng)?);
            created += 1;
            Ok(())
        });
        topic_result(&topic.name, &outcome)
    });
    let response = Response::CreateTopics(CreateTopicsResponse { topics: results.collect() });
    Decision { records, response }
}

fn create_one(
    cluster: &Cluster,
    topic: &NewTopic,
    id: TopicId,
    rng: &mut Rng,
) -> Result<Vec<MetadataRecord>, ApiError> {
    let mut records = vec![MetadataRecord::Topic { id, name: topic.name.clone() }];
    for (key, value) in &topic.configs {
        configs::check_topic(key, Some(value))?;
        let (key, value) = (key.clone(), Some(value.clone()));
        records.push(MetadataRecord::Config { resource: ConfigResource::Topic(id), key, value });
    }
    let registrations =
        if topic.assignment.is_empty() { placed(cluster, topic, rng)? } else { assigned(cluster, topic)? };
    records.extend(partition_records(id, 0, registrations));
    Ok(records)
}

/// Partitions where the request wants them.
fn assigned(cluster: &Cluster, topic: &NewTopic) -> Result<Vec<PartitionRegistration>, ApiError> {
    let contradiction = |what| {
        let message = format!("A manual partition assignment was specified, but {what} was not set to -1.");
        ApiError::new(ErrorCode::InvalidRequest, message)
    };
    if topic.replication_factor.is_some() {
        return Err(contradiction("replication factor"));
    }
    if topic.partitions.is_some() {
        return Err(contradiction("numPartitions"));
    }
    let expected = topic.assignment[0].len();
    let check = |(number, replicas): (usize, &Vec<BrokerId>)| {
        check_assignment(cluster, replicas, expected)?;
        registration(cluster, replicas.clone()).ok_or_else(|| {
            let message = format!(
                "All brokers specified in the manual partition assignment for partition {number} are fenced or in \
                 controlled shutdown."
            );
            ApiError::new(ErrorCode::InvalidReplicaAssignment, message)
        })
    };
    topic.assignment.iter().enumerate().map(check).collect()
}

fn check_assignment(cluster: &Cluster, replicas: &[BrokerId], expected: usize) -> Result<(), ApiError> {
    check_replicas(cluster, replicas)?;
    if replicas.len() != expected {
        let message = format!(
            "The manual partition assignment includes a partition with {} replica(s), but this is not consistent with \
             previous partitions, which have {expected} replica(s).",
            replicas.len()
        );
        return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
    }
    Ok(())
}

/// Whether a partition can have these replicas (`validateManualPartitionAssignment`).
pub fn check_replicas(cluster: &Cluster, replicas: &[BrokerId]) -> Result<(), ApiError> {
    let refuse = |what: String| Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, what));
    if replicas.is_empty() {
        return refuse("The manual partition assignment includes an empty replica list.".into());
    }
    let mut sorted = replicas.to_vec();
    sorted.sort_unstable();
    for (at, broker) in sorted.iter().enumerate() {
        if !cluster.image.brokers.contains_key(broker) {
            return refuse(format!(
                "The manual partition assignment includes broker {broker}, but no such broker is registered."
            ));
        }
        if at > 0 && sorted[at - 1] == *broker {
            return refuse(format!("The manual partition assignment includes the broker {broker} more than once."));
        }
    }
    Ok(())
}

/// Partitions where Kafka's placer puts them.
fn placed(cluster: &Cluster, topic: &NewTopic, rng: &mut Rng) -> Result<Vec<PartitionRegistration>, ApiError> {
    let factor = topic.replication_factor.unwrap_or(cluster.config.default_replication_factor);
    if factor == 0 {
        let message = "Replication factor must be larger than 0, or -1 to use the default value.";
        return Err(ApiError::new(ErrorCode::InvalidReplicationFactor, message));
    }
    let partitions = topic.partitions.unwrap_or(cluster.config.num_partitions);
    if partitions == 0 {
        let message = "Number of partitions was set to an invalid non-positive value.";
        return Err(ApiError::new(ErrorCode::InvalidPartitions, message));
    }
    place_registrations(cluster, partitions, factor, rng).map_err(|why| unable_to_replicate(factor, &why))
}

/// New partitions on usable brokers, or why there are none.
fn place_registrations(
    cluster: &Cluster,
    partitions: u32,
    factor: u32,
    rng: &mut Rng,
) -> Result<Vec<PartitionRegistration>, String> {
    let signed = i32::try_from(factor).unwrap_or(i32::MAX);
    let lists = place(&cluster.usable_brokers(), partitions, signed, &mut |bound| rng.below(bound))
        .map_err(|error| error.to_string())?;
    let shut = || String::from("All brokers are currently fenced or in controlled shutdown.");
    lists.into_iter().map(|replicas| registration(cluster, replicas).ok_or_else(shut)).collect()
}

fn unable_to_replicate(factor: u32, why: &str) -> ApiError {
    let message = format!("Unable to replicate the partition {factor} time(s): {why}");
    ApiError::new(ErrorCode::InvalidReplicationFactor, message)
}

/// A new partition: every active replica is in the ISR, and the first of them leads. `None` where none is active.
fn registration(cluster: &Cluster, replicas: Vec<BrokerId>) -> Option<PartitionRegistration> {
    let isr: Vec<BrokerId> = replicas.iter().copied().filter(|id| cluster.is_active(*id)).collect();
    let leader = Some(*isr.first()?);
    Some(PartitionRegistration { replicas, isr, leader, ..PartitionRegistration::default() })
}

fn partition_records(
    topic: TopicId,
    first: u32,
    registrations: Vec<PartitionRegistration>,
) -> impl Iterator<Item = MetadataRecord> {
    registrations.into_iter().zip(first..).map(move |(registration, number)| MetadataRecord::Partition {
        partition: TopicPartition::new(topic, number),
        registration,
    })
}

/// Raises the number of partitions of each topic. The new ones start their own walk over the brokers.
pub fn create_partitions(cluster: &Cluster, request: &CreatePartitionsRequest, rng: &mut Rng) -> Decision {
    let mut records = Vec::new();
    let results = request.topics.iter().enumerate().map(|(at, (name, count))| {
        let twice = request.topics.iter().enumerate().any(|(other, (same, _))| other != at && same == name);
        let added = if twice {
            Err(ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name."))
        } else {
            grow(cluster, name, *count, rng)
        };
        let outcome = added.map(|added| records.extend(added));
        topic_result(name, &outcome)
    });
    let response = Response::CreatePartitions(CreatePartitionsResponse { topics: results.collect() });
    Decision { records, response }
}

fn grow(cluster: &Cluster, name: &Name, count: u32, rng: &mut Rng) -> Result<Vec<MetadataRecord>, ApiError> {
    let (id, topic) = cluster.image.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let present = topic.partitions.len() as u32;
    if count == present {
        let message = format!("Topic already has {present} partition(s).");
        return Err(ApiError::new(ErrorCode::InvalidPartitions, message));
    }
    if count < present {
        let message =
            format!("The topic {name} currently has {present} partition(s); {count} would not be an increase.");
        return Err(ApiError::new(ErrorCode::InvalidPartitions, message));
    }
    let factor = topic.partitions.first().map_or(0, |partition| partition.replicas.len() as u32);
    let registrations = place_registrations(cluster, count - present, factor, rng)
        .map_err(|why| ApiError::new(ErrorCode::InvalidReplicationFactor, why))?;
    Ok(partition_records(id, present, registrations).collect())
}

/// Deletes each topic that is there.
pub fn delete(cluster: &Cluster, request: &DeleteTopicsRequest) -> Decision {
    let mut records: Vec<MetadataRecord> = Vec::new();
    let results = request.topics.iter().enumerate().map(|(at, name)| {
        let outcome = match cluster.image.topic_ids.get(name) {
            _ if request.topics[..at].contains(name) => {
                Err(ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name."))
            }
            Some(id) => {
                records.push(MetadataRecord::RemoveTopic { id: *id });
                Ok(())
            }
            None => {
                let message = "This server does not host this topic-partition.";
                Err(ApiError::new(ErrorCode::UnknownTopicOrPartition, message))
            }
        };
        topic_result(name, &outcome)
    });
    let response = Response::DeleteTopics(DeleteTopicsResponse { topics: results.collect() });
    Decision { records, response }
}

fn check_name(cluster: &Cluster, name: &Name, twice: bool) -> Result<(), ApiError> {
    if twice {
        return Err(ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name."));
    }
    if &**name == METADATA_TOPIC {
        let message = format!("Creation of internal topic {METADATA_TOPIC} is prohibited.");
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    }
    if cluster.image.topic_ids.contains_key(name) {
        return Err(ApiError::new(ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
    }
    if let Some(reason) = invalid_name(name) {
        return Err(ApiError::new(ErrorCode::InvalidTopicException, format!("Topic name is invalid: {reason}")));
    }
    // Metric names cannot tell '.' from '_'.
    let unified = name.replace('.', "_");
    let collides = |other: &&Name| unified.contains('_') && other.replace('.', "_") == unified;
    match cluster.image.topic_ids.keys().find(collides) {
        Some(other) => {
            let message = format!("Topic '{name}' collides with existing topic: {other}");
            Err(ApiError::new(ErrorCode::InvalidTopicException, message))
        }
        None => Ok(()),
    }
}

/// Why a name is none (`Topic.detectInvalidTopic`).
fn invalid_name(name: &str) -> Option<String> {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    match name {
        "" => Some("the empty string is not allowed".into()),
        "." | ".." => Some(format!("'{name}' is not allowed")),
        _ if name.chars().count() > MAX_NAME_LENGTH => {
            Some(format!("the length of '{name}' is longer than the max allowed length {MAX_NAME_LENGTH}"))
        }
        _ if !name.chars().all(legal) => {
            Some(format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"))
        }
        _ => None,
    }
}
