//! Partitions come and go, whatever the group protocol (`ConsumerRebalanceListenerInvoker`,
//! `SubscriptionState.assignFromSubscribed`).

use super::Consumer;
use super::fetcher::State;
use super::membership::MemberState;
use crate::kafka::effects::Effects;
use crate::kafka::fact::Fact;
use crate::kafka::ids::{Name, TopicPartition};
use crate::time::Instant;

impl Consumer {
    /// From here on it reads exactly these, which are in order. What it has already goes on where it stands; the rest
    /// begins where the group has committed.
    pub(super) fn assign(&mut self, now: Instant, partitions: Vec<TopicPartition>, out: &mut Effects) {
        let (Some(group), Some(generation)) = (self.group.clone(), self.membership.generation) else { return };
        self.fetcher.retain(|partition| partitions.binary_search(&partition).is_ok());
        self.fetcher.assign(&partitions, State::AwaitsCommitted);
        self.restart_commit_interval(now);
        out.note(Fact::PartitionsAssigned { group, generation, partitions });
    }

    /// Gives partitions up, which are in order, while it is still a member (`onPartitionsRevoked`).
    pub(super) fn revoke(&mut self, partitions: Vec<TopicPartition>, out: &mut Effects) {
        let Some(group) = self.group.clone().filter(|_| !partitions.is_empty()) else { return };
        self.fetcher.retain(|partition| partitions.binary_search(&partition).is_err());
        out.note(Fact::PartitionsRevoked { group, partitions });
    }

    /// Everything goes: revoked if the consumer is still a member and no rebalance has passed it by, else lost.
    pub(super) fn give_up_partitions(&mut self, out: &mut Effects) {
        let partitions = self.fetcher.assigned();
        if self.is_of_a_generation() {
            return self.revoke(partitions, out);
        }
        self.fetcher.clear();
        if let Some(group) = self.group.clone().filter(|_| !partitions.is_empty()) {
            out.note(Fact::PartitionsLost { group, partitions, error: self.membership.lost });
        }
    }

    /// Whether it belongs to a generation of its group.
    pub(super) fn is_of_a_generation(&self) -> bool {
        self.membership.generation.is_some() && !self.membership.member_id.is_empty()
    }

    /// Whether it waits for the end of a rebalance.
    pub(super) fn is_rebalancing(&self) -> bool {
        matches!(self.membership.state, MemberState::PreparingRebalance | MemberState::CompletingRebalance)
    }

    /// What it has, as JoinGroup names it.
    pub(super) fn owned_by_name(&self) -> Vec<(Name, u32)> {
        let names = self.view.names();
        let named = |partition: TopicPartition| Some((Name::clone(names.get(&partition.topic)?), partition.partition));
        self.fetcher.assigned().into_iter().filter_map(named).collect()
    }

    /// Partitions of topics that it is not subscribed to any more, in order.
    pub(super) fn unwanted_partitions(&self) -> Vec<TopicPartition> {
        let names = self.view.names();
        let is_wanted =
            |partition: &TopicPartition| names.get(&partition.topic).is_some_and(|name| self.is_subscribed_to(name));
        let mut partitions = self.fetcher.assigned();
        partitions.retain(|partition| !is_wanted(partition));
        partitions
    }
}
