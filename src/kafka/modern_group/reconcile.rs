//! One member's way to its target, a step at a time (`CurrentAssignmentBuilder`).
//!
//! A partition passes from one member to another without anybody else's help: its old owner is told to give it up, says
//! in a heartbeat that it has, and from then on the new owner may be given it. Nobody waits for the group.
//!
//! | state | next |
//! | --- | --- |
//! | Stable | towards the target, if that is of another epoch |
//! | UnrevokedPartitions | waits until the member no longer owns what it is to give up; then towards the target |
//! | UnreleasedPartitions | towards the target at every heartbeat: somebody may have given up something |
//! | (unknown) | written by a newer coordinator: the member is fenced unless it owns nothing |

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::Epochs;
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::ReconciliationState;
use crate::kafka::ids::{Generation, TopicId, TopicPartition};

/// Where a member stands (the part of `ConsumerGroupMember` that reconciliation changes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub epoch: Generation,
    /// The epoch before: the answer that told of the new one may have been lost.
    pub previous_epoch: Generation,
    /// `None` for a state that is not known here.
    pub state: Option<ReconciliationState>,
    /// Partitions it may read, each with the epoch in which it was given to the member (KIP-1251).
    pub assigned: Rc<Epochs>,
    /// Partitions it is to give up.
    pub revoking: Rc<Epochs>,
}

/// Where the member is to go, and what is known on the way.
pub struct Reconciliation<'a> {
    pub target_epoch: Generation,
    pub target: &'a BTreeSet<TopicPartition>,
    /// The topics that the member is subscribed to and that exist. `None`: all.
    pub subscribed: Option<&'a BTreeSet<TopicId>>,
    /// The subscription has changed in this very heartbeat.
    pub subscription_changed: bool,
    /// Whether somebody holds the partition.
    pub is_held: &'a dyn Fn(TopicPartition) -> bool,
    /// What the member says that it owns; `None` where it says nothing.
    pub owned: Option<&'a [TopicPartition]>,
}

impl Standing {
    /// Before the first heartbeat is answered.
    pub fn new() -> Self {
        Self {
            epoch: Generation(0),
            previous_epoch: Generation(0),
            state: Some(ReconciliationState::Stable),
            assigned: Rc::default(),
            revoking: Rc::default(),
        }
    }

    /// Whether there is nothing left to do for that target (`isReconciledTo`).
    pub fn is_reconciled_to(&self, target_epoch: Generation) -> bool {
        self.state == Some(ReconciliationState::Stable) && self.epoch == target_epoch
    }

    /// One step. An error sends the member back to the beginning.
    pub fn next(&self, way: &Reconciliation) -> Result<Self, ErrorCode> {
        match self.state {
            Some(ReconciliationState::Stable) => Ok(if self.epoch != way.target_epoch {
                self.towards_target(self.epoch, way)
            } else if way.subscription_changed {
                self.within_subscription(way)
            } else {
                self.clone()
            }),
            Some(ReconciliationState::UnrevokedPartitions) => Ok(if !way.still_owns(&self.revoking) {
                self.towards_target(self.epoch, way)
            } else if way.subscription_changed {
                self.within_subscription(way)
            } else {
                self.clone()
            }),
            Some(ReconciliationState::UnreleasedPartitions) => Ok(self.towards_target(self.epoch, way)),
            None if way.owned.is_none_or(|owned| !owned.is_empty()) => Err(ErrorCode::FencedMemberEpoch),
            None => Ok(self.towards_target(way.target_epoch, way)),
        }
    }

    /// `computeNextAssignment`: what must go goes first; only then the member gets something, and the new epoch with it.
    fn towards_target(&self, epoch: Generation, way: &Reconciliation) -> Self {
        let wants = |partition: &TopicPartition| way.target.contains(partition) && way.is_subscribed(partition.topic);
        let mut assigned: Epochs = self.assigned.iter().filter(|(at, _)| wants(at)).map(copied).collect();
        let revoking: Epochs = self.assigned.iter().filter(|(at, _)| !wants(at)).map(copied).collect();
        if !revoking.is_empty() && way.still_owns(&revoking) {
            let state = ReconciliationState::UnrevokedPartitions;
            return self.moved(epoch, state, assigned, Rc::new(revoking));
        }
        let wanted = way.target.iter().filter(|at| wants(at) && !self.assigned.contains_key(at));
        // What the member itself is giving up is nobody else's.
        let (held, free): (Vec<TopicPartition>, Vec<TopicPartition>) =
            wanted.partition(|at| (way.is_held)(**at) && !self.revoking.contains_key(at));
        assigned.extend(free.into_iter().map(|at| (at, way.target_epoch)));
        let state = match held.is_empty() {
            true => ReconciliationState::Stable,
            false => ReconciliationState::UnreleasedPartitions,
        };
        self.moved(way.target_epoch, state, assigned, Rc::default())
    }

    /// `updateCurrentAssignment`: topics that the member has dropped from its subscription go at once, whatever the
    /// target still says.
    fn within_subscription(&self, way: &Reconciliation) -> Self {
        let (kept, dropped): (Epochs, Epochs) =
            self.assigned.iter().map(copied).partition(|(at, _)| way.is_subscribed(at.topic));
        if dropped.is_empty() {
            return self.clone();
        }
        let mut revoking = Epochs::clone(&self.revoking);
        revoking.extend(dropped);
        if way.still_owns(&revoking) {
            let state = ReconciliationState::UnrevokedPartitions;
            return self.moved(self.epoch, state, kept, Rc::new(revoking));
        }
        let mut next = self.clone();
        next.previous_epoch = self.epoch;
        next.assigned = Rc::new(kept);
        next
    }

    fn moved(&self, epoch: Generation, state: ReconciliationState, assigned: Epochs, revoking: Rc<Epochs>) -> Self {
        // What has not changed stays shared.
        let assigned = if assigned == *self.assigned { self.assigned.clone() } else { Rc::new(assigned) };
        Self { epoch, previous_epoch: self.epoch, state: Some(state), assigned, revoking }
    }
}

impl Reconciliation<'_> {
    fn is_subscribed(&self, topic: TopicId) -> bool {
        self.subscribed.is_none_or(|subscribed| subscribed.contains(&topic))
    }

    /// `ownsRevokedPartitions`: a member that says nothing may own everything.
    fn still_owns(&self, revoking: &BTreeMap<TopicPartition, Generation>) -> bool {
        self.owned.is_none_or(|owned| owned.iter().any(|at| revoking.contains_key(at)))
    }
}

fn copied((partition, epoch): (&TopicPartition, &Generation)) -> (TopicPartition, Generation) {
    (*partition, *epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINE: TopicPartition = TopicPartition::new(TopicId(0), 0);
    const WANTED: TopicPartition = TopicPartition::new(TopicId(0), 1);

    fn way<'a>(target: &'a BTreeSet<TopicPartition>, is_held: &'a dyn Fn(TopicPartition) -> bool) -> Reconciliation<'a> {
        let target_epoch = Generation(4);
        Reconciliation { target_epoch, target, subscribed: None, subscription_changed: false, is_held, owned: None }
    }

    fn with(assigned: &[TopicPartition]) -> Standing {
        let assigned = assigned.iter().map(|at| (*at, Generation(3))).collect();
        Standing { epoch: Generation(3), assigned: Rc::new(assigned), ..Standing::new() }
    }

    #[test]
    fn nothing_is_given_before_what_must_go_is_gone() {
        let target = [WANTED].into();
        let first = with(&[MINE]).next(&way(&target, &|_| false)).unwrap();
        assert_eq!((first.state, first.epoch), (Some(ReconciliationState::UnrevokedPartitions), Generation(3)));
        assert!(first.assigned.is_empty() && first.revoking.contains_key(&MINE));
        // It still says so: it waits on.
        let kept = [MINE];
        assert_eq!(first.next(&Reconciliation { owned: Some(&kept), ..way(&target, &|_| false) }).unwrap(), first);
        let second = first.next(&Reconciliation { owned: Some(&[]), ..way(&target, &|_| false) }).unwrap();
        assert!(second.is_reconciled_to(Generation(4)));
        assert_eq!(*second.assigned, [(WANTED, Generation(4))].into());
    }

    #[test]
    fn what_somebody_else_holds_is_waited_for_in_the_new_epoch() {
        let target = [MINE, WANTED].into();
        let waits = with(&[MINE]).next(&way(&target, &|at| at == WANTED)).unwrap();
        assert_eq!((waits.state, waits.epoch), (Some(ReconciliationState::UnreleasedPartitions), Generation(4)));
        assert_eq!(*waits.assigned, [(MINE, Generation(3))].into());
        let has = waits.next(&way(&target, &|_| false)).unwrap();
        assert_eq!(*has.assigned, [(MINE, Generation(3)), (WANTED, Generation(4))].into());
    }

    #[test]
    fn a_topic_that_is_dropped_goes_at_once_whatever_the_target_says() {
        let target = [MINE].into();
        let none = BTreeSet::new();
        let standing = Standing { epoch: Generation(4), ..with(&[MINE]) };
        let way = Reconciliation { subscribed: Some(&none), subscription_changed: true, ..way(&target, &|_| false) };
        let next = standing.next(&way).unwrap();
        assert!(next.assigned.is_empty() && next.revoking.contains_key(&MINE));
    }
}
