//! Leaders on request: ElectLeaders (KIP-183, KIP-460).
//!
//! `ReplicationControlManager.electLeaders`. A preferred election moves leadership back to the first replica, if that is in
//! the ISR; an unclean one gives a partition without a leader to any replica that is alive, whatever records it lacks.

use super::super::error::ErrorCode;
use super::super::ids::{Name, TopicPartition};
use super::super::message::{ElectLeadersRequest, ElectLeadersResponse, ElectionType, PartitionResult, Response};
use super::super::metadata::MetadataRecord;
use super::cluster::Cluster;
use super::decision::{ApiError, Decision, partition_result};
use super::partition_change::{ChangeRequest, Election};

/// Elects where a leader is to be had.
pub fn elect(cluster: &Cluster, request: &ElectLeadersRequest) -> Decision {
    let mut records = Vec::new();
    let partitions = match &request.partitions {
        Some(named) => {
            named.iter().map(|(topic, partition)| one(cluster, request, topic, *partition, &mut records)).collect()
        }
        None => all(cluster, request, &mut records),
    };
    let response = ElectLeadersResponse { error: ErrorCode::None, partitions };
    Decision { records, response: Response::ElectLeaders(response) }
}

/// Of all partitions, those that have the right leader are not worth a line.
fn all(cluster: &Cluster, request: &ElectLeadersRequest, records: &mut Vec<MetadataRecord>) -> Vec<PartitionResult> {
    let mut results = Vec::new();
    for (name, id) in &cluster.image.topic_ids {
        let count = cluster.image.topics.get(id).map_or(0, |topic| topic.partitions.len() as u32);
        results.extend((0..count).map(|partition| one(cluster, request, name, partition, records)));
    }
    results.retain(|result| result.error != ErrorCode::ElectionNotNeeded);
    results
}

fn one(
    cluster: &Cluster,
    request: &ElectLeadersRequest,
    topic: &Name,
    partition: u32,
    records: &mut Vec<MetadataRecord>,
) -> PartitionResult {
    let outcome = elect_one(cluster, request.election, topic, partition).map(|record| records.push(record));
    partition_result(topic, partition, &outcome)
}

fn elect_one(cluster: &Cluster, election: ElectionType, topic: &Name, number: u32) -> Result<MetadataRecord, ApiError> {
    let unknown = |what: String| ApiError::new(ErrorCode::UnknownTopicOrPartition, what);
    let id = *cluster.image.topic_ids.get(topic).ok_or_else(|| unknown(format!("No such topic as {topic}")))?;
    let partition = TopicPartition::new(id, number);
    let state =
        cluster.image.partition(partition).ok_or_else(|| unknown(format!("No such partition as {topic}-{number}")))?;
    let needless = match election {
        ElectionType::Preferred => state.leader == state.replicas.first().copied(),
        ElectionType::Unclean => state.leader.is_some(),
    };
    if needless {
        let message = "Leader election not needed for topic partition.";
        return Err(ApiError::new(ErrorCode::ElectionNotNeeded, message));
    }
    let kind = match election {
        ElectionType::Preferred => Election::Preferred,
        ElectionType::Unclean => Election::Unclean,
    };
    let request = ChangeRequest { election: kind, ..ChangeRequest::default() };
    cluster.change_partition(partition, request, |id| cluster.is_active(id)).ok_or_else(|| match election {
        ElectionType::Preferred => {
            ApiError::new(ErrorCode::PreferredLeaderNotAvailable, "The preferred leader was not available.")
        }
        ElectionType::Unclean => {
            ApiError::new(ErrorCode::EligibleLeadersNotAvailable, "Eligible topic partition leaders are not available.")
        }
    })
}
