//! Who leads: one broker in an epoch, chosen from the ISR among those that are fit, and epochs that only rise.

use std::collections::BTreeMap;

use super::{Verdict, Witness};
use crate::kafka::ids::{BrokerId, LeaderEpoch, Node, PartitionEpoch, TopicPartition};
use crate::sim::trace::Stamped;

#[derive(Clone, Debug, Default)]
pub(super) struct LeaderChecks {
    leaders: BTreeMap<(TopicPartition, LeaderEpoch), BrokerId>,
    epochs: BTreeMap<(BrokerId, TopicPartition), (LeaderEpoch, PartitionEpoch)>,
    /// The epoch in which each controller is active.
    active: BTreeMap<Node, LeaderEpoch>,
    decided: BTreeMap<TopicPartition, Decided>,
    /// Somebody asked for unclean elections by hand.
    unclean_by_hand: bool,
}

/// The controllers' word on who leads a partition, epoch by epoch.
///
/// A controller that fails, or has been deposed and does not know it yet, may have decided what was never committed. The
/// one after it does not see that, and gives the same epochs anew: what it decides replaces the rest.
#[derive(Clone, Debug, Default)]
struct Decided {
    /// The epoch of the newest controller that has decided.
    by: LeaderEpoch,
    leaders: BTreeMap<LeaderEpoch, Option<BrokerId>>,
}

impl Decided {
    /// Who led last before that epoch.
    fn leader_before(&self, epoch: LeaderEpoch) -> Option<BrokerId> {
        self.leaders.range(..epoch).rev().find_map(|(_, leader)| *leader)
    }
}

impl LeaderChecks {
    pub(super) fn became_leader(
        &mut self,
        stamped: &Stamped,
        broker: BrokerId,
        partition: TopicPartition,
        epoch: LeaderEpoch,
        world: &impl Witness,
        verdict: &mut Verdict,
    ) {
        self.decided.entry(partition).or_default().leaders.entry(epoch).or_insert(Some(broker));
        let first = *self.leaders.entry((partition, epoch)).or_insert(broker);
        if first != broker {
            let what = format!(
                "{} has two leaders in epoch {epoch}: broker-{first} and broker-{broker}",
                world.name(partition)
            );
            verdict.report("OneLeaderPerEpoch", stamped, what);
        }
        self.epochs_rise(stamped, broker, partition, epoch, world, verdict);
    }

    /// A command was given: `kafka-leader-election --election-type unclean` asks for what no setting allows.
    pub(super) fn command(&mut self, text: &str) {
        self.unclean_by_hand |= text.contains("leader-election") && text.to_ascii_lowercase().contains("unclean");
    }

    /// A controller takes up its work.
    pub(super) fn controller_active(&mut self, controller: Option<Node>, epoch: LeaderEpoch) {
        self.active.extend(controller.map(|controller| (controller, epoch)));
    }

    /// A leader comes from the ISR, or from the ELR, or was the last one there was, unless the topic allows others.
    pub(super) fn election_is_clean(
        &mut self,
        stamped: &Stamped,
        (partition, leader, epoch): (TopicPartition, Option<BrokerId>, LeaderEpoch),
        unclean: bool,
        world: &impl Witness,
        verdict: &mut Verdict,
    ) {
        let by = stamped.node.and_then(|node| self.active.get(&node)).copied().unwrap_or_default();
        let decided = self.decided.entry(partition).or_default();
        // What a deposed controller decides comes to nothing.
        if by < decided.by {
            return;
        }
        let last = decided.leader_before(epoch);
        decided.by = by;
        decided.leaders.split_off(&epoch);
        decided.leaders.insert(epoch, leader);
        let Some(leader) = leader else { return };
        // A partition that nobody has led, as the leader was down when it was made, has nothing to lose.
        let is_last = last.is_none_or(|last| last == leader);
        if unclean && !is_last && !self.unclean_by_hand && !world.allows_unclean_election(stamped.node, partition) {
            let what = format!("{}: broker-{leader} was elected from outside ISR and ELR", world.name(partition));
            verdict.report("ElectionsAreClean", stamped, what);
        }
    }

    /// No broker goes back to an older word of the controller, not even by starting anew.
    pub(super) fn epochs_rise(
        &mut self,
        stamped: &Stamped,
        broker: BrokerId,
        partition: TopicPartition,
        epoch: LeaderEpoch,
        world: &impl Witness,
        verdict: &mut Verdict,
    ) {
        let Some(replica) = world.replica(broker, partition) else { return };
        let now = (epoch, replica.partition_epoch());
        let before = self.epochs.insert((broker, partition), now);
        if let Some(before) = before.filter(|before| before.0 > now.0 || before.1 > now.1) {
            let what = format!(
                "{} on broker-{broker} went from leader epoch {} and partition epoch {} back to {} and {}",
                world.name(partition),
                before.0,
                before.1,
                now.0,
                now.1
            );
            verdict.report("EpochsRise", stamped, what);
        }
    }

    /// The controller's word on a partition: the leader is in the ISR, the ISR is within the replicas, and all of it is
    /// fit (registered, not fenced, not shutting down). A single member may be down: it is remembered as the one that has
    /// the records. `elected` is the epoch of an election.
    pub(super) fn elected(
        &self,
        stamped: &Stamped,
        partition: TopicPartition,
        elected: Option<LeaderEpoch>,
        world: &impl Witness,
        verdict: &mut Verdict,
    ) {
        let Some(image) = stamped.node.and_then(|node| world.image_of(node)) else { return };
        let Some(state) = image.partition(partition) else { return };
        if elected.is_some_and(|epoch| epoch != state.leader_epoch) {
            // The same event has decided anew.
            return;
        }
        let isr = || state.isr.iter().map(BrokerId::to_string).collect::<Vec<_>>().join(" ");
        if let Some(leader) = state.leader.filter(|leader| !state.isr.contains(leader)) {
            let what = format!("{}: broker-{leader} leads, and the ISR is {{{}}}", world.name(partition), isr());
            verdict.report("LeaderInIsr", stamped, what);
        }
        if let Some(id) = state.isr.iter().find(|id| !state.replicas.contains(id)) {
            let what = format!("{}: broker-{id} of the ISR has no replica", world.name(partition));
            verdict.report("IsrIsFit", stamped, what);
        }
        let fit = |id: &BrokerId| image.brokers.get(id).is_some_and(|known| known.is_active());
        if let Some(id) = state.isr.iter().find(|id| state.isr.len() > 1 && !fit(id)) {
            let what = format!("{}: broker-{id} of the ISR {{{}}} is not active", world.name(partition), isr());
            verdict.report("IsrIsFit", stamped, what);
        }
    }
}
