//! The sticky assignors where members subscribe to different topics (`GeneralAssignmentBuilder`).
//!
//! Everybody keeps what they had and may still read. What is left goes, the topics with the fewest subscribers first, to
//! the subscriber with the fewest partitions. Then partitions move from a member to one with at least two fewer until no
//! move helps; if all those moves made the group no better balanced than it was, none of them was made.
//!
//! Kafka asks before each partition whether all is balanced already. That takes it long and changes nothing: if all is
//! balanced, no partition can move. So it is not asked here. And where Kafka might give a partition back to a reader of
//! before who no longer subscribes to its topic, here that reader does not get it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Assignor, Group};
use super::racks::Racks;
use super::{Claims, member_data, number};

/// More passes over all partitions than any group has been seen to take. Kafka sets no such end.
const MAX_PASSES: u32 = 1000;

pub(super) fn share(group: &Group<'_>, claims: Claims, racks: &Racks, assignor: Assignor) -> Vec<Vec<u32>> {
    let mut general = General {
        group,
        owner: vec![None; group.slots() as usize],
        size: vec![0; group.members.len()],
        previous: previous_owners(group, claims.newest, assignor),
        movements: Movements::default(),
    };
    let everything_stayed = general.leave_what_it_had(claims, racks);
    general.share(racks, everything_stayed);

    let mut given = vec![Vec::new(); group.members.len()];
    for (slot, owner) in (0..).zip(&general.owner) {
        if let Some(owner) = owner {
            given[*owner as usize].push(slot);
        }
    }
    given
}

/// Who had each partition in the newest generation before the newest of all (`prepopulateCurrentAssignments`).
fn previous_owners(group: &Group<'_>, newest: i32, assignor: Assignor) -> BTreeMap<u32, u32> {
    let mut owners: BTreeMap<u32, (i32, u32)> = BTreeMap::new();
    for at in group.visits.iter().copied() {
        let (partitions, generation) = member_data(assignor, &group.members[at as usize].subscription);
        let generation = number(generation);
        if generation >= newest {
            continue;
        }
        for slot in partitions.iter().filter_map(|(topic, partition)| group.slot(topic, *partition)) {
            if owners.get(&slot).is_none_or(|(before, _)| *before < generation) {
                owners.insert(slot, (generation, at));
            }
        }
    }
    owners.into_iter().map(|(slot, (_, owner))| (slot, owner)).collect()
}

struct General<'a> {
    group: &'a Group<'a>,
    owner: Vec<Option<u32>>,
    /// How many partitions each member has.
    size: Vec<u32>,
    previous: BTreeMap<u32, u32>,
    movements: Movements,
}

impl General<'_> {
    /// Returns whether nothing had to be taken from anybody.
    fn leave_what_it_had(&mut self, claims: Claims, racks: &Racks) -> bool {
        let mut everything_stayed = true;
        for (member, owned) in (0..).zip(claims.owned) {
            for slot in owned {
                if self.group.subscribes(member, self.group.topic_of(slot)) && !racks.mismatch(member, slot) {
                    self.set_owner(slot, member);
                } else {
                    everything_stayed = false;
                }
            }
        }
        everything_stayed
    }

    /// Gives out what is free, and balances (`balance`).
    fn share(&mut self, racks: &Racks, everything_stayed: bool) {
        let new_group = self.size.iter().all(|size| *size == 0);
        let order = self.slots_by_readers();
        let free: Vec<u32> = order.iter().copied().filter(|slot| self.owner[*slot as usize].is_none()).collect();
        if racks.matter() {
            free.iter().for_each(|slot| self.give(*slot, |member| !racks.mismatch(member, *slot)));
        }
        free.iter().for_each(|slot| self.give(*slot, |_| true));

        let may_move = |slot: &u32| self.is_shared(self.group.topic_of(*slot));
        let (order, free): (Vec<u32>, Vec<u32>) =
            (order.into_iter().filter(may_move).collect(), free.into_iter().filter(may_move).collect());
        let may_change: Vec<u32> = (0..self.size.len() as u32).filter(|member| self.may_change(*member)).collect();
        let before = (self.owner.clone(), self.size.clone());
        if everything_stayed {
            self.balance(&free);
        }
        let moved = self.balance(&order);
        if !new_group && moved && imbalance(&self.size, &may_change) >= imbalance(&before.1, &may_change) {
            (self.owner, self.size) = before;
        }
    }

    /// All slots, those of topics with few subscribers first.
    fn slots_by_readers(&self) -> Vec<u32> {
        let mut topics: Vec<u32> = (0..self.group.topics.len() as u32).collect();
        topics.sort_by_key(|topic| self.group.subscribers[*topic as usize].len());
        topics.into_iter().flat_map(|topic| self.group.slots_of(topic)).collect()
    }

    /// Gives a free partition to the subscriber with the fewest of those that may have it (`maybeAssignPartition`).
    fn give(&mut self, slot: u32, may_have: impl Fn(u32) -> bool) {
        if self.owner[slot as usize].is_some() {
            return;
        }
        if let Some(member) = self.least_loaded(slot, may_have) {
            self.set_owner(slot, member);
        }
    }

    fn least_loaded(&self, slot: u32, may_have: impl Fn(u32) -> bool) -> Option<u32> {
        let subscribers = &self.group.subscribers[self.group.topic_of(slot) as usize];
        let able = subscribers.iter().copied().filter(|member| may_have(*member));
        able.min_by_key(|member| self.size[*member as usize])
    }

    /// Whether more than one member reads the topic (`canTopicParticipateInReassignment`).
    fn is_shared(&self, topic: u32) -> bool {
        self.group.subscribers[topic as usize].len() > 1
    }

    /// Whether there is something that the member could get or lose (`canConsumerParticipateInReassignment`): a topic of
    /// its own is all its own already.
    fn may_change(&self, member: u32) -> bool {
        self.group.subscriptions[member as usize].iter().any(|topic| self.is_shared(*topic))
    }

    /// Moves partitions until no move helps; returns whether any moved (`performReassignments`).
    fn balance(&mut self, slots: &[u32]) -> bool {
        let mut moved = false;
        for _ in 0..MAX_PASSES {
            let mut moved_now = false;
            for slot in slots.iter().copied() {
                let Some(to) = self.better_owner(slot) else { continue };
                self.reassign(slot, to);
                moved_now = true;
            }
            if !moved_now {
                break;
            }
            moved = true;
        }
        moved
    }

    /// A subscriber with at least two partitions fewer than the owner: at best the one who had it before.
    fn better_owner(&self, slot: u32) -> Option<u32> {
        let size_of = |member: u32| self.size[member as usize];
        let size = size_of(self.owner[slot as usize]?);
        let previous = self.previous.get(&slot).copied();
        previous
            .filter(|member| self.group.subscribes(*member, self.group.topic_of(slot)) && size > size_of(*member) + 1)
            .or_else(|| self.least_loaded(slot, |_| true).filter(|member| size > size_of(*member) + 1))
    }

    /// Moves the partition, or another one of its topic that thereby goes back where it came from.
    fn reassign(&mut self, slot: u32, to: u32) {
        let Some(from) = self.owner[slot as usize] else { return };
        let topic = self.group.topic_of(slot);
        let slot = self.movements.one_to_move_back(topic, slot, from, to).unwrap_or(slot);
        let Some(from) = self.owner[slot as usize] else { return };
        self.movements.add(topic, slot, from, to);
        self.size[from as usize] -= 1;
        self.set_owner(slot, to);
    }

    fn set_owner(&mut self, slot: u32, member: u32) {
        self.owner[slot as usize] = Some(member);
        self.size[member as usize] += 1;
    }
}

/// The differences in size of all pairs of members, summed up (`getBalanceScore`).
fn imbalance(sizes: &[u32], members: &[u32]) -> u64 {
    let mut sizes: Vec<u64> = members.iter().map(|member| sizes[*member as usize].into()).collect();
    sizes.sort_unstable();
    let mut smaller = 0;
    (0..).zip(sizes).fold(0, |sum, (count, size)| {
        let here = size * count - smaller;
        smaller += size;
        sum + here
    })
}

/// Which partitions have moved from whom to whom (`PartitionMovements`), so that no two of one topic cross each other.
#[derive(Default)]
struct Movements {
    of_slot: BTreeMap<u32, (u32, u32)>,
    /// By topic, from and to.
    slots: BTreeMap<(u32, u32, u32), BTreeSet<u32>>,
}

impl Movements {
    /// A partition of the topic that went the other way before, if there is one (`getTheActualPartitionToBeMoved`).
    fn one_to_move_back(&self, topic: u32, slot: u32, from: u32, to: u32) -> Option<u32> {
        let origin = self.of_slot.get(&slot).map_or(from, |(origin, _)| *origin);
        self.slots.get(&(topic, to, origin))?.first().copied()
    }

    fn add(&mut self, topic: u32, slot: u32, from: u32, to: u32) {
        let mut origin = from;
        if let Some((before, until)) = self.of_slot.remove(&slot) {
            origin = before;
            if let Some(slots) = self.slots.get_mut(&(topic, before, until)) {
                slots.remove(&slot);
            }
        }
        if origin != to {
            self.of_slot.insert(slot, (origin, to));
            self.slots.entry((topic, origin, to)).or_default().insert(slot);
        }
    }
}
