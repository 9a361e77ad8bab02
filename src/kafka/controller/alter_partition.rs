//! A partition's leader proposes an ISR: Kafka's checks, in Kafka's order.
//!
//! `ReplicationControlManager.alterPartition` and `validateAlterPartitionData`. Only the leader adds replicas to an ISR;
//! the controller sees to it that none of them is fenced, stopping, or another incarnation than the leader saw
//! (KIP-841, KIP-903).

use super::super::error::ErrorCode;
use super::super::ids::{BrokerEpoch, BrokerId, LeaderEpoch, PartitionEpoch};
use super::super::message::{
    AlterPartition, AlterPartitionRequest, AlterPartitionResponse, AlteredPartition, Response,
};
use super::super::metadata::{MetadataRecord, PartitionRegistration};
use super::super::mistakes::Mistake;
use super::cluster::Cluster;
use super::decision::Decision;
use super::partition_change::ChangeRequest;

/// Writes each proposed ISR that stands the checks.
pub fn alter(cluster: &Cluster, request: &AlterPartitionRequest) -> Decision {
    let sender = cluster.image.brokers.get(&request.broker);
    if sender.is_none_or(|known| known.epoch != request.broker_epoch) {
        let refused = AlterPartitionResponse { error: ErrorCode::StaleBrokerEpoch, partitions: Vec::new() };
        return Decision::answer(Response::AlterPartition(refused));
    }
    let mut records = Vec::new();
    let altered = request.partitions.iter().map(|proposal| {
        alter_one(cluster, request.broker, proposal, &mut records)
            .unwrap_or_else(|error| AlteredPartition::refused(proposal.partition, error))
    });
    let partitions = altered.collect();
    let response = Response::AlterPartition(AlterPartitionResponse { error: ErrorCode::None, partitions });
    Decision { records, response }
}

fn alter_one(
    cluster: &Cluster,
    sender: BrokerId,
    proposal: &AlterPartition,
    records: &mut Vec<MetadataRecord>,
) -> Result<AlteredPartition, ErrorCode> {
    let partition = proposal.partition;
    let topic = cluster.image.topics.get(&partition.topic).ok_or(ErrorCode::UnknownTopicId)?;
    let state = topic.partitions.get(partition.partition as usize).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    check(cluster, sender, state, proposal)?;

    let target_isr = Some(proposal.new_isr.iter().map(|(id, _)| *id).collect());
    let election = cluster.election_for(partition.topic);
    // A leader speaks up once it has recovered; only then does it propose an ISR.
    let request = ChangeRequest { election, target_isr, recovered: true, ..ChangeRequest::default() };
    let mut after = state.clone();
    if let Some(record) = cluster.change_partition(partition, request, |id| cluster.is_active(id)) {
        if let MetadataRecord::PartitionChange { isr, leader, .. } = &record {
            after.partition_epoch = PartitionEpoch(after.partition_epoch.0 + 1);
            after.isr = isr.clone().unwrap_or(after.isr);
            if let Some(leader) = leader {
                after.leader = *leader;
                after.leader_epoch = LeaderEpoch(after.leader_epoch.0 + 1);
            }
        }
        records.push(record);
    }
    if after.leader != Some(sender) {
        return Err(ErrorCode::NewLeaderElected);
    }
    Ok(AlteredPartition {
        partition,
        error: ErrorCode::None,
        leader: after.leader,
        leader_epoch: after.leader_epoch,
        isr: after.isr,
        partition_epoch: after.partition_epoch,
    })
}

fn check(
    cluster: &Cluster,
    sender: BrokerId,
    state: &PartitionRegistration,
    proposal: &AlterPartition,
) -> Result<(), ErrorCode> {
    if cluster.config.makes(Mistake::StaleAlterPartition) {
        return Ok(());
    }
    // Whoever knows newer epochs than we has them from another controller.
    if proposal.leader_epoch > state.leader_epoch || proposal.partition_epoch > state.partition_epoch {
        return Err(ErrorCode::NotController);
    }
    if proposal.leader_epoch < state.leader_epoch {
        return Err(ErrorCode::FencedLeaderEpoch);
    }
    if state.leader != Some(sender) {
        return Err(ErrorCode::InvalidRequest);
    }
    if proposal.partition_epoch < state.partition_epoch {
        return Err(ErrorCode::InvalidUpdateVersion);
    }
    let isr: Vec<BrokerId> = proposal.new_isr.iter().map(|(id, _)| *id).collect();
    let twice = isr.iter().enumerate().any(|(at, id)| isr[..at].contains(id));
    if twice || !isr.iter().all(|id| state.replicas.contains(id)) || !isr.contains(&sender) {
        return Err(ErrorCode::InvalidRequest);
    }
    if !proposal.new_isr.iter().all(|(id, epoch)| is_eligible(cluster, *id, *epoch)) {
        return Err(ErrorCode::IneligibleReplica);
    }
    Ok(())
}

/// -1 skips the check of the epoch.
fn is_eligible(cluster: &Cluster, broker: BrokerId, epoch: BrokerEpoch) -> bool {
    if cluster.config.makes(Mistake::FencedReplicaJoins) {
        return true;
    }
    let known = cluster.image.brokers.get(&broker).filter(|known| known.is_active());
    known.is_some_and(|known| epoch == BrokerEpoch(-1) || epoch == known.epoch)
}
