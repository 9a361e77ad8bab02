//! Who leads: the four rules of ZooKeeper mode, three of them here (`PartitionLeaderElectionAlgorithms`, `Election`).
//!
//! There are no eligible leader replicas (KIP-966 came with KRaft): when the last replica of the ISR is gone, it stays in
//! the ISR, and the partition waits for it, or for an unclean election.

use crate::kafka::ids::BrokerId;

/// Why somebody is elected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// The leader is gone.
    Offline { unclean: bool },
    /// Leadership goes back to the first replica of the assignment.
    Preferred,
    /// The leader wants to stop.
    ControlledShutdown,
}

/// Whether a replica stays in the ISR.
type Keep<'a> = &'a dyn Fn(&BrokerId) -> bool;

/// A leader and the ISR it begins with, or `None` where nobody can be elected.
pub fn elect(
    strategy: Strategy,
    assignment: &[BrokerId],
    isr: &[BrokerId],
    live: impl Fn(BrokerId) -> bool,
    shutting_down: impl Fn(BrokerId) -> bool,
) -> Option<(BrokerId, Vec<BrokerId>)> {
    let is_fit = |id: &BrokerId| live(*id) && isr.contains(id);
    let (leader, keep): (Option<BrokerId>, Keep) = match strategy {
        Strategy::Offline { unclean } => {
            let clean = assignment.iter().copied().find(|id| is_fit(id) && !shutting_down(*id));
            let any = || assignment.iter().copied().find(|id| unclean && live(*id) && !shutting_down(*id));
            (clean.or_else(any), &|id| live(*id) && !shutting_down(*id))
        }
        Strategy::Preferred => (assignment.first().copied().filter(|id| is_fit(id) && !shutting_down(*id)), &|_| true),
        Strategy::ControlledShutdown => {
            (assignment.iter().copied().find(|id| is_fit(id) && !shutting_down(*id)), &|id| !shutting_down(*id))
        }
    };
    let leader = leader?;
    // An unclean leader begins alone.
    let isr = if isr.contains(&leader) { isr.iter().copied().filter(|id| keep(id)).collect() } else { vec![leader] };
    Some((leader, isr))
}

/// What is left when a replica has gone: the leader, and the ISR (`ReplicaStateMachine.doRemoveReplicasFromIsr`). The
/// last one stays in it.
pub fn without(gone: BrokerId, leader: Option<BrokerId>, isr: &[BrokerId]) -> (Option<BrokerId>, Vec<BrokerId>) {
    let isr = if isr.len() == 1 { isr.to_vec() } else { isr.iter().copied().filter(|id| *id != gone).collect() };
    (leader.filter(|id| *id != gone), isr)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[i32]) -> Vec<BrokerId> {
        ids.iter().copied().map(BrokerId).collect()
    }

    fn check(strategy: Strategy, isr: &[i32], live: &[i32], stopping: &[i32], expected: Option<(i32, &[i32])>) {
        let found =
            elect(strategy, &ids(&[3, 1, 2]), &ids(isr), |id| live.contains(&id.0), |id| stopping.contains(&id.0));
        assert_eq!(found, expected.map(|(leader, isr)| (BrokerId(leader), ids(isr))), "{strategy:?}");
    }

    #[test]
    fn the_first_live_replica_of_the_assignment_that_is_in_the_isr_leads() {
        let clean = Strategy::Offline { unclean: false };
        check(clean, &[2, 1, 3], &[1, 2], &[], Some((1, &[2, 1])));
        check(clean, &[2, 3], &[1, 2], &[], Some((2, &[2])));
        check(clean, &[3], &[1, 2], &[], None);
    }

    #[test]
    fn an_unclean_leader_begins_alone() {
        check(Strategy::Offline { unclean: true }, &[3], &[1, 2], &[], Some((1, &[1])));
        check(Strategy::Offline { unclean: true }, &[3, 2], &[1, 2], &[], Some((2, &[2])));
    }

    #[test]
    fn the_preferred_leader_must_be_in_the_isr() {
        check(Strategy::Preferred, &[1, 2, 3], &[1, 2, 3], &[], Some((3, &[1, 2, 3])));
        check(Strategy::Preferred, &[1, 2], &[1, 2, 3], &[], None);
    }

    #[test]
    fn who_stops_leaves_the_isr_unless_nobody_else_is_in_it() {
        check(Strategy::ControlledShutdown, &[3, 1, 2], &[1, 2, 3], &[3], Some((1, &[1, 2])));
        check(Strategy::ControlledShutdown, &[3], &[1, 2, 3], &[3], None);
    }

    #[test]
    fn the_last_replica_stays_in_the_isr() {
        assert_eq!(without(BrokerId(3), Some(BrokerId(3)), &ids(&[3])), (None, ids(&[3])));
        assert_eq!(without(BrokerId(2), Some(BrokerId(3)), &ids(&[3, 2])), (Some(BrokerId(3)), ids(&[3])));
    }
}
