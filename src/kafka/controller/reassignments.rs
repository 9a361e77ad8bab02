//! Partitions move to other brokers: AlterPartitionReassignments and ListPartitionReassignments (KIP-455).
//!
//! A reassignment takes three steps, each of them one PartitionChange record or none:
//!
//! 1. The new replicas join the list of replicas, as `adding`; those that are to go stay in it, as `removing`.
//! 2. The new ones fetch like any follower, and the leader takes them into the ISR.
//! 3. With the change that brings the last of them in, the `removing` ones leave replicas and ISR. If one of them led,
//!    another replica leads now; the epoch is a new one in any case ([`partition_change`](super::partition_change)).
//!
//! Where the ISR holds what the target needs already, the first record is the last one. Cancelling takes the `adding`
//! replicas away again. Kafka's `ReplicationControlManager.alterPartitionReassignments`, `PartitionReassignmentReplicas` and
//! `PartitionReassignmentRevert`.

use super::super::error::ErrorCode;
use super::super::ids::{BrokerId, Name, TopicPartition};
use super::super::message::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse, OngoingReassignment, Response,
};
use super::super::metadata::{MetadataRecord, PartitionRegistration};
use super::cluster::Cluster;
use super::decision::{ApiError, Decision, partition_result};
use super::partition_change::ChangeRequest;
use super::topics::check_replicas;

/// Begins, changes or cancels the reassignment of each partition that it can.
pub fn alter(cluster: &Cluster, request: &AlterPartitionReassignmentsRequest) -> Decision {
    let mut records = Vec::new();
    let partitions = request.partitions.iter().map(|(topic, number, target)| {
        let outcome = alter_one(cluster, topic, *number, target.as_deref(), request.allow_replication_factor_change);
        let outcome = outcome.map(|record| records.extend(record));
        partition_result(topic, *number, &outcome)
    });
    let partitions = partitions.collect();
    let response = AlterPartitionReassignmentsResponse { error: ErrorCode::None, partitions };
    Decision { records, response: Response::AlterPartitionReassignments(response) }
}

fn alter_one(
    cluster: &Cluster,
    topic: &Name,
    number: u32,
    target: Option<&[BrokerId]>,
    allow_replication_factor_change: bool,
) -> Result<Option<MetadataRecord>, ApiError> {
    let unknown = |what: String| ApiError::new(ErrorCode::UnknownTopicOrPartition, what);
    let id = cluster.image.topic_ids.get(topic);
    let id = *id.ok_or_else(|| unknown(format!("Unable to find a topic named {topic}.")))?;
    let partition = TopicPartition::new(id, number);
    let state = cluster.image.partition(partition);
    let state = state.ok_or_else(|| unknown(format!("Unable to find partition {topic}:{number}.")))?;
    let request = match target {
        None => cancel(cluster, topic, partition, state)?,
        Some(target) => {
            check_replicas(cluster, target)?;
            if !allow_replication_factor_change {
                check_factor(state, target)?;
            }
            begin(state, target)
        }
    };
    Ok(cluster.change_partition(partition, request, |id| cluster.is_active(id)))
}

fn without(ids: &[BrokerId], others: &[BrokerId]) -> Vec<BrokerId> {
    ids.iter().copied().filter(|id| !others.contains(id)).collect()
}

fn begin(state: &PartitionRegistration, target: &[BrokerId]) -> ChangeRequest {
    let mut removing = without(&state.replicas, target);
    let mut adding = without(target, &state.replicas);
    removing.sort_unstable();
    adding.sort_unstable();
    let replicas = [target, &removing].concat();
    ChangeRequest {
        target_replicas: Some(replicas),
        // What an earlier reassignment adds or removes stays so, unless this one has replicas of its own to name.
        target_adding: (!adding.is_empty()).then_some(adding),
        target_removing: (!removing.is_empty()).then_some(removing),
        ..ChangeRequest::default()
    }
}

/// KIP-860: the number of replicas as it will be once what is under way has ended.
fn check_factor(state: &PartitionRegistration, target: &[BrokerId]) -> Result<(), ApiError> {
    let present = without(&state.replicas, &state.removing).len();
    if present == target.len() {
        return Ok(());
    }
    let message = format!("The replication factor is changed from {present} to {}", target.len());
    Err(ApiError::new(ErrorCode::InvalidReplicationFactor, message))
}

/// Back to the replicas of before. If none of them is in the ISR, only an unclean election can do it.
fn cancel(
    cluster: &Cluster,
    topic: &Name,
    partition: TopicPartition,
    state: &PartitionRegistration,
) -> Result<ChangeRequest, ApiError> {
    if !state.is_reassigning() {
        let message = "No partition reassignment is in progress.";
        return Err(ApiError::new(ErrorCode::NoReassignmentInProgress, message));
    }
    let replicas = without(&state.replicas, &state.adding);
    let mut isr = without(&state.isr, &state.adding);
    if isr.is_empty() {
        if !cluster.unclean_election_enabled(partition.topic) {
            let message = format!(
                "Unable to revert partition assignment for {topic}:{} because it would require an unclean leader election.",
                partition.partition
            );
            return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
        }
        isr.extend(replicas.first());
    }
    Ok(ChangeRequest {
        election: cluster.election_for(partition.topic),
        target_isr: Some(isr),
        target_replicas: Some(replicas),
        target_adding: Some(Vec::new()),
        target_removing: Some(Vec::new()),
        ..ChangeRequest::default()
    })
}

/// What is under way.
pub fn list(cluster: &Cluster, request: &ListPartitionReassignmentsRequest) -> Decision {
    let mut partitions = Vec::new();
    for (name, id) in &cluster.image.topic_ids {
        let Some(topic) = cluster.image.topics.get(id) else { continue };
        let is_asked_for = |number: u32| {
            let asked = |named: &Vec<(Name, u32)>| named.iter().any(|(topic, asked)| topic == name && *asked == number);
            request.partitions.as_ref().is_none_or(asked)
        };
        let ongoing = topic.partitions.iter().zip(0..).filter(|(state, _)| state.is_reassigning());
        partitions.extend(ongoing.filter(|(_, number)| is_asked_for(*number)).map(|(state, partition)| {
            OngoingReassignment {
                topic: name.clone(),
                partition,
                replicas: state.replicas.clone(),
                adding: state.adding.clone(),
                removing: state.removing.clone(),
            }
        }));
    }
    let response = ListPartitionReassignmentsResponse { error: ErrorCode::None, partitions };
    Decision::answer(Response::ListPartitionReassignments(response))
}
