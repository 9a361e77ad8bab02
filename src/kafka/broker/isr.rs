//! Proposing ISRs to the controller (`Partition.maybeShrinkIsr`, `maybeExpandIsr`, `AlterPartitionManager`).
//!
//! A partition has one proposal open at a time; one AlterPartition request carries all that wait.

use super::{Broker, Purpose};
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::Fact;
use crate::kafka::ids::{BrokerEpoch, BrokerId, Node, TopicPartition};
use crate::kafka::message::{AlterPartition, AlterPartitionRequest, AlterPartitionResponse, Request};
use crate::kafka::metadata::MetadataImage;
use crate::kafka::mistakes::Mistake;
use crate::kafka::replica::FollowerState;
use crate::time::{Duration, Instant};

/// Pause before an AlterPartition that failed as a whole is sent again.
const RETRY: Duration = Duration::millis(50);
/// `controller.socket.timeout.ms`.
const TIMEOUT: Duration = Duration::secs(30);

/// Whether a follower may be in an ISR: not fenced, not shutting down, and not restarted since its last fetch (KIP-903).
pub(super) fn is_isr_eligible(image: &MetadataImage, id: BrokerId, state: &FollowerState) -> bool {
    image.brokers.get(&id).is_some_and(|broker| {
        broker.is_active() && state.broker_epoch.is_some_and(|epoch| epoch == broker.epoch || epoch == BrokerEpoch(-1))
    })
}

impl Broker {
    /// On [`Timer::IsrShrink`], every half `replica.lag.time.max.ms`.
    pub(super) fn shrink_isrs(&mut self, now: Instant, out: &mut Effects) {
        out.set_timer(now + self.config.replica_lag_time_max / 2, Timer::IsrShrink);
        let lag_time_max = self.config.replica_lag_time_max;
        let lagging: Vec<_> = self
            .replicas
            .iter()
            .filter_map(|(partition, replica)| Some((partition, replica.isr_without_laggards(now, lag_time_max)?)))
            .collect();
        for (partition, (isr, laggard, lag)) in lagging {
            self.propose_isr(partition, isr, Some((laggard, lag)), out);
        }
        self.send_proposals(now, out);
    }

    pub(super) fn maybe_expand_isr(
        &mut self,
        now: Instant,
        partition: TopicPartition,
        follower: BrokerId,
        out: &mut Effects,
    ) {
        let image = self.observer.image();
        let isr = self.replicas.get(&partition).and_then(|replica| {
            let anybody = replica.config().makes(Mistake::FencedReplicaJoins);
            replica.isr_with(follower, |id, state| anybody || is_isr_eligible(image, id, state))
        });
        if let Some(isr) = isr {
            self.propose_isr(partition, isr, None, out);
            self.send_proposals(now, out);
        }
    }

    fn propose_isr(
        &mut self,
        partition: TopicPartition,
        isr: Vec<BrokerId>,
        lagging: Option<(BrokerId, Duration)>,
        out: &mut Effects,
    ) {
        if let Some(replica) = self.replicas.get_mut(&partition) {
            out.note(Fact::IsrProposed { partition, isr: isr.clone(), lagging });
            replica.propose_isr(isr);
            self.proposals.insert(partition);
        }
    }

    /// Sends every proposal that waits, unless a request is out.
    pub(super) fn send_proposals(&mut self, now: Instant, out: &mut Effects) {
        let Some(epoch) = self.lifecycle.broker_epoch() else { return };
        if self.proposals_in_flight || self.proposals.is_empty() {
            return;
        }
        let Some(controller) = self.observer.controller() else {
            out.set_timer(now + RETRY, Timer::AlterPartition);
            return;
        };
        let partitions: Vec<AlterPartition> =
            self.proposals.iter().filter_map(|partition| self.proposal(*partition, epoch)).collect();
        self.proposals.retain(|partition| partitions.iter().any(|altered| altered.partition == *partition));
        if partitions.is_empty() {
            return;
        }
        self.proposals_in_flight = true;
        self.proposed_at = partitions
            .iter()
            .map(|altered| (altered.partition, (altered.leader_epoch, altered.partition_epoch)))
            .collect();
        let request =
            Request::AlterPartition(AlterPartitionRequest { broker: self.id, broker_epoch: epoch, partitions });
        self.in_flight.send(now, Node::Controller(controller), request, TIMEOUT, Purpose::AlterPartition, out);
    }

    fn proposal(&self, partition: TopicPartition, own_epoch: BrokerEpoch) -> Option<AlterPartition> {
        let replica = self.replicas.get(&partition)?;
        let leadership = replica.leadership()?;
        let new_isr = leadership
            .proposed_isr()?
            .iter()
            .map(|id| {
                let epoch = match leadership.followers().get(id) {
                    Some(follower) => follower.broker_epoch.unwrap_or(BrokerEpoch(-1)),
                    None => own_epoch,
                };
                (*id, epoch)
            })
            .collect();
        Some(AlterPartition {
            partition,
            leader_epoch: replica.leader_epoch(),
            partition_epoch: replica.partition_epoch(),
            new_isr,
        })
    }

    pub(super) fn on_alter_partition(&mut self, now: Instant, response: AlterPartitionResponse, out: &mut Effects) {
        self.proposals_in_flight = false;
        if !response.error.is_none() {
            self.on_proposals_lost(now, out);
            return;
        }
        for altered in response.partitions {
            let Some(replica) = self.replicas.get_mut(&altered.partition) else { continue };
            let asked_at = self.proposed_at.remove(&altered.partition);
            match altered.error {
                // The metadata log has ended that proposal before, and another one may be open: it goes out next
                // ("Ignoring failed ISR update ... since we have already updated state", `Partition.handleAlterPartitionError`).
                error if !error.is_none() && asked_at != Some((replica.leader_epoch(), replica.partition_epoch())) => {}
                ErrorCode::None => {
                    self.proposals.remove(&altered.partition);
                    if altered.leader_epoch == replica.leader_epoch() {
                        replica.accept_isr(now, self.id, altered.isr, altered.partition_epoch, out);
                    }
                    self.after_isr_change(now, altered.partition, out);
                }
                // The controller knows more: its word is on the way by the metadata log, and ends the proposal.
                ErrorCode::FencedLeaderEpoch
                | ErrorCode::InvalidUpdateVersion
                | ErrorCode::UnknownTopicId
                | ErrorCode::UnknownTopicOrPartition
                | ErrorCode::InvalidRequest
                | ErrorCode::NewLeaderElected => {
                    self.proposals.remove(&altered.partition);
                    out.note(Fact::IsrRejected { partition: altered.partition, error: altered.error });
                }
                ErrorCode::IneligibleReplica | ErrorCode::OperationNotAttempted => {
                    self.proposals.remove(&altered.partition);
                    replica.withdraw_proposal();
                    out.note(Fact::IsrRejected { partition: altered.partition, error: altered.error });
                }
                _ => out.set_timer(now + RETRY, Timer::AlterPartition),
            }
        }
        self.send_proposals(now, out);
    }

    /// The controller did not answer, or is not the controller: the same proposals go out again, to whoever is.
    pub(super) fn on_proposals_lost(&mut self, now: Instant, out: &mut Effects) {
        self.proposals_in_flight = false;
        out.set_timer(now + RETRY, Timer::AlterPartition);
    }
}
