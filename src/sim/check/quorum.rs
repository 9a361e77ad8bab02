//! What the metadata quorum promises: Raft's properties, with the names of Kafka's own simulation
//! (`RaftEventSimulationTest`) where it has one.

use std::collections::BTreeMap;

use crate::kafka::fact::{Fact, QuorumPhase};
use crate::kafka::ids::{ControllerId, LeaderEpoch, Node, Offset};
use crate::kafka::quorum::Quorum;
use crate::kafka::quorum::log::MetadataLog;
use crate::sim::trace::Stamped;

/// A property's name, and how it was broken.
pub type Broken = (&'static str, String);

/// What the checks of the quorum remember.
#[derive(Clone, Debug, Default)]
pub struct QuorumChecks {
    leaders: BTreeMap<LeaderEpoch, ControllerId>,
    votes: BTreeMap<(ControllerId, LeaderEpoch), ControllerId>,
    /// The newest epoch that an active controller took up its work in.
    active: LeaderEpoch,
    /// How far the metadata is committed, and the epoch of the last record before.
    committed: Option<(Offset, LeaderEpoch)>,
    /// A voter's disk was emptied, and with it its vote and its part of every majority: nothing is promised any more.
    void: bool,
}

impl QuorumChecks {
    /// Looks at one fact. `quorum` is the voter that noted it, `logs` every voter's log, running or not.
    pub fn after_fact(
        &mut self,
        stamped: &Stamped,
        quorum: Option<&Quorum>,
        logs: impl FnOnce() -> Vec<MetadataLog>,
    ) -> Option<Broken> {
        if let Fact::Command { text } = &stamped.fact {
            // In combined mode a broker's disk is a voter's, too.
            self.void |= text.starts_with("wipe ");
        }
        let Some(Node::Controller(voter)) = stamped.node.filter(|_| !self.void) else { return None };
        let broken = match &stamped.fact {
            Fact::QuorumState { to: QuorumPhase::Leader, epoch, .. } => {
                self.one_leader(voter, *epoch).or_else(|| self.leader_has_everything(voter, quorum))
            }
            Fact::QuorumState { to: QuorumPhase::Candidate, epoch, .. } => self.one_vote(voter, *epoch, voter),
            Fact::Voted { candidate, epoch, pre_vote: false, granted: true } => {
                self.one_vote(voter, *epoch, *candidate)
            }
            Fact::ControllerActive { epoch, .. } => self.epochs_rise(voter, *epoch),
            Fact::MetadataTruncated { .. } => self.majority_has_everything(voter, &logs()),
            _ => None,
        };
        broken.or_else(|| self.one_history(voter, quorum?))
    }

    /// `SingleLeader`: at most one leader in an epoch.
    fn one_leader(&mut self, voter: ControllerId, epoch: LeaderEpoch) -> Option<Broken> {
        let first = *self.leaders.entry(epoch).or_insert(voter);
        let what = || format!("the quorum has two leaders in epoch {epoch}: controller-{first} and controller-{voter}");
        (first != voter).then(|| ("OneQuorumLeaderPerEpoch", what()))
    }

    /// A controller takes up its work in a newer epoch than any before, or again in the one it leads.
    fn epochs_rise(&mut self, voter: ControllerId, epoch: LeaderEpoch) -> Option<Broken> {
        let newest = self.active;
        self.active = newest.max(epoch);
        let what = || format!("controller-{voter} is active in epoch {epoch}, after one in epoch {newest}");
        (epoch < newest).then(|| ("ControllerEpochsRise", what()))
    }

    /// A voter that votes twice in an epoch could make two leaders.
    fn one_vote(&mut self, voter: ControllerId, epoch: LeaderEpoch, candidate: ControllerId) -> Option<Broken> {
        let first = *self.votes.entry((voter, epoch)).or_insert(candidate);
        let what = || {
            format!("controller-{voter} voted in epoch {epoch} for controller-{first} and for controller-{candidate}")
        };
        (first != candidate).then(|| ("OneVotePerEpoch", what()))
    }

    /// Whoever is elected has every committed record.
    fn leader_has_everything(&self, voter: ControllerId, quorum: Option<&Quorum>) -> Option<Broken> {
        let ((offset, epoch), quorum) = (self.committed?, quorum?);
        let what = || {
            let end = quorum.log().end();
            format!("controller-{voter} leads without the committed metadata below {offset}; its log ends at {end}")
        };
        (!holds(quorum.log(), offset, epoch)).then(|| ("QuorumLeaderHasEveryCommittedRecord", what()))
    }

    /// `MajorityReachedHighWatermark`: no truncation takes a committed record from a majority.
    fn majority_has_everything(&self, voter: ControllerId, logs: &[MetadataLog]) -> Option<Broken> {
        let (offset, epoch) = self.committed?;
        let holders = logs.iter().filter(|log| holds(log, offset, epoch)).count();
        let what = || {
            format!(
                "controller-{voter} cut its metadata log, and {holders} of {} voters hold what is committed below {offset}",
                logs.len()
            )
        };
        (holders <= logs.len() / 2).then(|| ("CommittedMetadataSurvives", what()))
    }

    /// `ConsistentCommittedData`: what two voters take for committed is the same.
    fn one_history(&mut self, voter: ControllerId, quorum: &Quorum) -> Option<Broken> {
        let reached = quorum.high_watermark();
        let (offset, epoch) = self.committed.unwrap_or((0, LeaderEpoch(0)));
        if reached < offset {
            return None;
        }
        if offset > 0 && !holds(quorum.log(), offset, epoch) {
            let what = format!("controller-{voter} has committed up to {reached}, but other records below {offset}");
            return Some(("CommittedMetadataAgrees", what));
        }
        if let Some(last) = quorum.log().epoch_at(reached - 1).filter(|_| reached > offset) {
            self.committed = Some((reached, last));
        }
        None
    }
}

/// Whether a log has the record before `offset`, and with it all before that one, or a snapshot in their place.
fn holds(log: &MetadataLog, offset: Offset, epoch: LeaderEpoch) -> bool {
    log.start() >= offset || log.epoch_at(offset - 1) == Some(epoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    fn noted(voter: i32, fact: Fact) -> Stamped {
        let node = Some(Node::Controller(ControllerId(voter)));
        Stamped { id: 1, cause: 0, at: Instant::ZERO, node, fact }
    }

    fn check(checks: &mut QuorumChecks, voter: i32, fact: Fact) -> Option<&'static str> {
        checks.after_fact(&noted(voter, fact), None, Vec::new).map(|(name, _)| name)
    }

    fn becomes(to: QuorumPhase, epoch: i32) -> Fact {
        Fact::QuorumState { from: QuorumPhase::Unattached, to, epoch: LeaderEpoch(epoch), leader: None }
    }

    fn votes(candidate: i32, pre_vote: bool) -> Fact {
        Fact::Voted { candidate: ControllerId(candidate), epoch: LeaderEpoch(2), pre_vote, granted: true }
    }

    #[test]
    fn two_leaders_of_one_epoch_are_found() {
        let mut checks = QuorumChecks::default();
        assert_eq!(check(&mut checks, 101, becomes(QuorumPhase::Leader, 2)), None);
        assert_eq!(check(&mut checks, 102, becomes(QuorumPhase::Leader, 3)), None);
        assert_eq!(check(&mut checks, 103, becomes(QuorumPhase::Leader, 2)), Some("OneQuorumLeaderPerEpoch"));
    }

    #[test]
    fn a_second_vote_in_an_epoch_is_found_and_a_candidate_has_voted_for_itself() {
        let mut checks = QuorumChecks::default();
        assert_eq!(check(&mut checks, 103, votes(101, true)), None);
        assert_eq!(check(&mut checks, 103, votes(102, true)), None, "a pre-vote binds nobody");
        assert_eq!(check(&mut checks, 103, votes(101, false)), None);
        assert_eq!(check(&mut checks, 103, votes(101, false)), None, "the same vote again");
        assert_eq!(check(&mut checks, 103, votes(102, false)), Some("OneVotePerEpoch"));
        assert_eq!(check(&mut checks, 102, becomes(QuorumPhase::Candidate, 2)), None);
        assert_eq!(check(&mut checks, 102, votes(101, false)), Some("OneVotePerEpoch"));
    }
}
