//! The metadata quorum: one leader in an epoch, epochs that rise, and one vote of each voter in each.

use std::collections::BTreeMap;

use super::Verdict;
use crate::kafka::ids::{ControllerId, LeaderEpoch, Node};
use crate::sim::trace::Stamped;

#[derive(Clone, Debug, Default)]
pub(super) struct QuorumChecks {
    leaders: BTreeMap<LeaderEpoch, ControllerId>,
    votes: BTreeMap<(Node, LeaderEpoch), ControllerId>,
}

impl QuorumChecks {
    /// A controller takes up its work. It may do so again in the epoch it leads already.
    pub(super) fn active(
        &mut self,
        stamped: &Stamped,
        controller: ControllerId,
        epoch: LeaderEpoch,
        verdict: &mut Verdict,
    ) {
        let first = *self.leaders.entry(epoch).or_insert(controller);
        if first != controller {
            let what = format!("epoch {epoch} has two active controllers: {first} and {controller}");
            verdict.report("OneControllerPerEpoch", stamped, what);
        }
        if let Some((newest, _)) = self.leaders.last_key_value().filter(|(newest, _)| **newest > epoch) {
            let what = format!("controller-{controller} is active in epoch {epoch}, after one in epoch {newest}");
            verdict.report("ControllerEpochsRise", stamped, what);
        }
    }

    /// A voter has granted its vote. It may say so again to the same candidate, whose request came twice.
    pub(super) fn voted(
        &mut self,
        stamped: &Stamped,
        candidate: ControllerId,
        epoch: LeaderEpoch,
        verdict: &mut Verdict,
    ) {
        let Some(voter) = stamped.node else { return };
        let first = *self.votes.entry((voter, epoch)).or_insert(candidate);
        if first != candidate {
            let what = format!("{voter:?} voted for {first} and for {candidate} in epoch {epoch}");
            verdict.report("OneVotePerEpoch", stamped, what);
        }
    }
}
