//! Brokers come, stay and go: registration, heartbeats, fencing, controlled shutdown.
//!
//! Kafka's `ClusterControlManager.registerBroker`, and `processBrokerHeartbeat` and the `handleBroker…` methods of
//! `ReplicationControlManager`.

use super::super::error::ErrorCode;
use super::super::ids::{BrokerEpoch, BrokerId, Offset};
use super::super::message::{
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationRequest, BrokerRegistrationResponse, Response,
};
use super::super::metadata::MetadataRecord;
use super::super::mistakes::Mistake;
use super::cluster::{Cause, Cluster};
use super::decision::Decision;
use super::heartbeats::BrokerControlState;
use crate::time::Instant;

/// A broker starts. `next_offset` is where the decision's first record will stand: a broker's epoch is the offset of its
/// registration.
///
/// What its previous incarnation left behind is cleaned up first. If that one did not shut down cleanly (its epoch is not
/// the one in the broker's clean-shutdown file), it may have lost what it had acknowledged, and leaves ISR and ELR of
/// every partition (KIP-966).
pub fn register(cluster: &Cluster, now: Instant, request: &BrokerRegistrationRequest, next_offset: Offset) -> Decision {
    let broker = request.broker;
    let respond =
        |error, broker_epoch| Response::BrokerRegistration(BrokerRegistrationResponse { error, broker_epoch });
    let existing = cluster.image.brokers.get(&broker);
    let mut records = Vec::new();
    let (epoch, fenced) = match existing {
        // It asks again because our answer was lost.
        Some(known) if known.incarnation == request.incarnation => (known.epoch, known.fenced),
        Some(known) if cluster.heartbeats.has_valid_session(now, broker, known.epoch) => {
            return Decision::answer(respond(ErrorCode::DuplicateBrokerRegistration, BrokerEpoch(-1)));
        }
        _ => {
            let clean = existing.is_some_and(|known| request.previous_broker_epoch == Some(known.epoch));
            clean_up(cluster, broker, clean, &mut records);
            (BrokerEpoch(next_offset + records.len() as Offset), true)
        }
    };
    let rack = request.rack.clone();
    let incarnation = request.incarnation;
    records.push(MetadataRecord::RegisterBroker { broker, epoch, incarnation, rack, fenced });
    Decision { records, response: respond(ErrorCode::None, epoch) }
}

fn clean_up(cluster: &Cluster, broker: BrokerId, clean: bool, records: &mut Vec<MetadataRecord>) {
    if cluster.elr_enabled && !clean && !cluster.config.makes(Mistake::UncleanShutdownForgotten) {
        let cause = Cause::UncleanShutdown(broker);
        cluster.update_leaders_and_isrs(cause, cluster.index().in_isr(broker), records);
        cluster.update_leaders_and_isrs(cause, cluster.index().in_elr(broker), records);
    } else {
        cluster.update_leaders_and_isrs(Cause::Removed(broker), cluster.index().in_isr(broker), records);
    }
}

/// A heartbeat: the answer, and the state it leads to (`None` where it is refused).
pub fn heartbeat(cluster: &Cluster, request: &BrokerHeartbeatRequest) -> (Decision, Option<BrokerControlState>) {
    let broker = request.broker;
    let Some(known) = cluster.image.brokers.get(&broker).filter(|known| known.epoch == request.broker_epoch) else {
        let refused = BrokerHeartbeatResponse {
            error: ErrorCode::StaleBrokerEpoch,
            is_caught_up: false,
            is_fenced: true,
            should_shut_down: false,
        };
        return (Decision::answer(Response::BrokerHeartbeat(refused)), None);
    };
    let current = cluster.heartbeats.current_state(broker, known.fenced);
    let lowest_active_offset =
        if current == BrokerControlState::ControlledShutdown { lowest_active_offset(cluster) } else { None };
    let leads_any = cluster.index().leads_any(broker);
    let next = cluster.heartbeats.next_state(current, request, leads_any, lowest_active_offset);
    let mut records = Vec::new();
    if next != current {
        match next {
            BrokerControlState::Fenced | BrokerControlState::ShutdownNow => fence(cluster, broker, &mut records),
            BrokerControlState::Unfenced => unfence(cluster, broker, known.epoch, &mut records),
            BrokerControlState::ControlledShutdown => begin_shutdown(cluster, broker, &mut records),
        }
    }
    let response = BrokerHeartbeatResponse {
        error: ErrorCode::None,
        is_caught_up: request.current_metadata_offset >= known.epoch.0,
        is_fenced: next.is_fenced(),
        should_shut_down: next == BrokerControlState::ShutdownNow,
    };
    (Decision { records, response: Response::BrokerHeartbeat(response) }, Some(next))
}

/// How much of the metadata every broker that goes on working is known to have applied.
fn lowest_active_offset(cluster: &Cluster) -> Option<Offset> {
    let stops = |id: &BrokerId| cluster.heartbeats.is_shutting_down(*id);
    let active = cluster.image.brokers.iter().filter(|(id, known)| !known.fenced && !stops(id));
    cluster.heartbeats.lowest_offset(active.map(|(id, _)| *id))
}

/// Takes a broker for dead: out of every ISR, its partitions to other leaders, and fenced, all in one batch.
pub fn fence(cluster: &Cluster, broker: BrokerId, records: &mut Vec<MetadataRecord>) {
    let Some(known) = cluster.image.brokers.get(&broker).filter(|known| !known.fenced) else { return };
    cluster.update_leaders_and_isrs(Cause::Removed(broker), cluster.index().in_isr(broker), records);
    records.push(change(broker, known.epoch, Some(true), None));
}

/// Lets a broker lead. Partitions without a leader may have waited for it.
fn unfence(cluster: &Cluster, broker: BrokerId, epoch: BrokerEpoch, records: &mut Vec<MetadataRecord>) {
    records.push(change(broker, epoch, Some(false), None));
    cluster.update_leaders_and_isrs(Cause::Added(broker), cluster.index().leaderless(), records);
}

/// Takes leaderships and ISR memberships away from a broker that wants to stop.
fn begin_shutdown(cluster: &Cluster, broker: BrokerId, records: &mut Vec<MetadataRecord>) {
    if let Some(known) = cluster.image.brokers.get(&broker).filter(|known| !known.in_controlled_shutdown) {
        records.push(change(broker, known.epoch, None, Some(true)));
    }
    cluster.update_leaders_and_isrs(Cause::Removed(broker), cluster.index().in_isr(broker), records);
}

fn change(
    broker: BrokerId,
    epoch: BrokerEpoch,
    fenced: Option<bool>,
    in_controlled_shutdown: Option<bool>,
) -> MetadataRecord {
    MetadataRecord::BrokerRegistrationChange { broker, epoch, fenced, in_controlled_shutdown }
}
