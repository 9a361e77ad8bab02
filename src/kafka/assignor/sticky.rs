//! The sticky assignors (`AbstractStickyAssignor`, `StickyAssignor`, `CooperativeStickyAssignor`).
//!
//! Members say what they had. Who claims a partition in the highest generation keeps it, as far as the balance allows; two
//! claims of one generation cancel each other. If all members subscribe to the same topics, everybody's share is known
//! beforehand and a few passes do it (here); otherwise partitions are moved until no move helps (in `general`).
//!
//! The sticky assignor is eager: its members give everything up before they join, and tell what they had in user data. With
//! the cooperative one they go on reading what they own; so a partition that changes hands is taken from its owner in one
//! rebalance, and given to the other in the next.
//!
//! Where members and replicas name racks, a partition whose replicas are not on its reader's rack is not kept, and those
//! that are given out go to a member on one of their racks first (KIP-881).

mod general;
mod racks;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use self::racks::Racks;
use super::{Assignments, Assignor, Group};
use crate::kafka::ids::{Generation, Name};
use crate::kafka::message::{Subscription, UserData};

/// `StickyAssignor`.
pub(super) fn assign(group: &Group<'_>) -> Assignments {
    group.assignments(share(group, Assignor::Sticky).given)
}

/// `CooperativeStickyAssignor`: without what somebody else has still to give up.
pub(super) fn assign_cooperatively(group: &Group<'_>) -> Assignments {
    let Shares { mut given, transferring } = share(group, Assignor::CooperativeSticky);
    let transferring = transferring.unwrap_or_else(|| changing_hands(group, &given));
    for slots in &mut given {
        slots.retain(|slot| !transferring.contains(slot));
    }
    group.assignments(given)
}

/// What everybody is to have in the end.
struct Shares {
    given: Vec<Vec<u32>>,
    /// What changes hands, where the assignor has kept account of it.
    transferring: Option<BTreeSet<u32>>,
}

fn share(group: &Group<'_>, assignor: Assignor) -> Shares {
    if group.members.is_empty() {
        return Shares { given: Vec::new(), transferring: None };
    }
    let claims = Claims::of(group, assignor);
    let racks = Racks::of(group);
    match group.all_subscribe_to_the_same() {
        true => Constrained::new(group, &claims, &racks).share(),
        false => Shares { given: general::share(group, claims, &racks, assignor), transferring: None },
    }
}

/// What goes to one member while another one owns it (`computePartitionsTransferringOwnership`).
fn changing_hands(group: &Group<'_>, given: &[Vec<u32>]) -> BTreeSet<u32> {
    let (mut added, mut revoked) = (BTreeSet::new(), BTreeSet::new());
    for (member, given) in group.members.iter().zip(given) {
        let owned = member.subscription.owned_partitions.iter();
        let owned: BTreeSet<u32> = owned.filter_map(|(topic, partition)| group.slot(topic, *partition)).collect();
        let given: BTreeSet<u32> = given.iter().copied().collect();
        added.extend(given.difference(&owned));
        revoked.extend(owned.difference(&given));
    }
    added.intersection(&revoked).copied().collect()
}

/// What a member had, and in which generation (`memberData`).
fn member_data(assignor: Assignor, subscription: &Subscription) -> (&[(Name, u32)], Option<Generation>) {
    match (assignor, &subscription.user_data) {
        (Assignor::Sticky, Some(UserData::Sticky { partitions, generation })) => (partitions, *generation),
        (Assignor::Sticky, _) => (&[], None),
        (_, Some(UserData::Cooperative { generation })) => {
            (&subscription.owned_partitions, subscription.generation.or(*generation))
        }
        _ => (&subscription.owned_partitions, subscription.generation),
    }
}

/// A generation in numbers; none is -1 (`DEFAULT_GENERATION`).
fn number(generation: Option<Generation>) -> i32 {
    generation.map_or(-1, |generation| generation.0)
}

/// What the members say they had.
struct Claims {
    /// Those claims that hold, by member.
    owned: Vec<BTreeSet<u32>>,
    /// Partitions that two members claimed in the same generation.
    disputed: BTreeSet<u32>,
    newest: i32,
}

impl Claims {
    /// Settles who had what. A claim on a partition that is not there, or that nobody subscribes to, counts for nothing.
    fn of(group: &Group<'_>, assignor: Assignor) -> Self {
        let owned = vec![BTreeSet::new(); group.members.len()];
        let mut claims = Self { owned, disputed: BTreeSet::new(), newest: -1 };
        let mut owner_of: BTreeMap<u32, usize> = BTreeMap::new();
        for at in group.visits.iter().map(|at| *at as usize) {
            let (partitions, generation) = member_data(assignor, &group.members[at].subscription);
            let generation = number(generation);
            claims.newest = claims.newest.max(generation);
            for slot in partitions.iter().filter_map(|(topic, partition)| group.slot(topic, *partition)) {
                let Some(other) = owner_of.get(&slot).copied() else {
                    owner_of.insert(slot, at);
                    claims.owned[at].insert(slot);
                    continue;
                };
                // The other's generation is that of its subscription, even where its claim came as user data.
                let others = number(group.members[other].subscription.generation);
                if generation < others {
                    continue;
                }
                claims.owned[other].remove(&slot);
                owner_of.insert(slot, at);
                if generation == others {
                    claims.disputed.insert(slot);
                } else {
                    claims.owned[at].insert(slot);
                }
            }
        }
        claims
    }
}

/// All members subscribe to the same topics (`ConstrainedAssignmentBuilder`). With T partitions and M members everybody
/// gets at least T / M, and T mod M members get one more.
struct Constrained<'a> {
    group: &'a Group<'a>,
    claims: &'a Claims,
    racks: &'a Racks,
    /// What each must have: T / M.
    least: usize,
    /// What the lucky ones have: T / M, rounded up.
    most: usize,
    /// How many may still have more than the least.
    lucky_left: usize,
    given: Vec<Vec<u32>>,
    /// Members with less than they must have.
    wanting: Vec<u32>,
    /// Which of them is looked at first for a partition on its rack.
    rack_turn: usize,
    /// Members with just what they must have, who may yet be lucky.
    hoping: VecDeque<u32>,
    /// Partitions that were not left to their owners.
    revoked: BTreeMap<u32, u32>,
    transferring: BTreeSet<u32>,
}

impl<'a> Constrained<'a> {
    fn new(group: &'a Group<'a>, claims: &'a Claims, racks: &'a Racks) -> Self {
        let (slots, members) = (group.slots() as usize, group.members.len());
        Self {
            group,
            claims,
            racks,
            least: slots / members,
            most: slots.div_ceil(members),
            lucky_left: slots % members,
            given: vec![Vec::new(); members],
            wanting: Vec::new(),
            rack_turn: 0,
            hoping: VecDeque::new(),
            revoked: BTreeMap::new(),
            transferring: BTreeSet::new(),
        }
    }

    fn share(mut self) -> Shares {
        for member in &self.group.visits {
            self.leave_what_it_had(*member);
        }
        self.wanting.sort_unstable();
        self.hoping.make_contiguous().sort_unstable();
        let kept: BTreeSet<u32> = self.given.iter().flatten().copied().collect();
        let free = (0..self.group.slots()).filter(|slot| !kept.contains(slot)).collect();
        let mut free = self.racks.fewest_readers_first(free);
        if self.racks.matter() {
            free.retain(|slot| !self.give_within_rack(*slot));
        }
        self.give_in_turn(&free);
        Shares { given: self.given, transferring: Some(self.transferring) }
    }

    /// A member keeps what it had, up to what it may have.
    fn leave_what_it_had(&mut self, member: u32) {
        let (group, racks) = (self.group, self.racks);
        let claimed = &self.claims.owned[member as usize];
        let (mut owned, elsewhere): (Vec<u32>, Vec<u32>) =
            claimed.iter().partition(|slot| !racks.mismatch(member, **slot));
        self.revoked.extend(elsewhere.into_iter().map(|slot| (slot, member)));
        owned.retain(|slot| !self.claims.disputed.contains(slot));
        owned.sort_by_key(|slot| (group.partition_of(*slot), group.topic_of(*slot)));

        let keeps = if owned.len() < self.least {
            self.wanting.push(member);
            owned.len()
        } else if owned.len() >= self.most && self.lucky_left > 0 {
            self.be_lucky();
            self.most
        } else {
            if self.lucky_left > 0 {
                self.hoping.push_back(member);
            }
            self.least
        };
        self.revoked.extend(owned.split_off(keeps).into_iter().map(|slot| (slot, member)));
        self.given[member as usize] = owned;
    }

    /// One more member has more than the least. After the last one, nobody can hope any longer.
    fn be_lucky(&mut self) {
        self.lucky_left -= 1;
        if self.lucky_left == 0 {
            self.hoping.clear();
        }
    }

    /// Gives a partition to a member on one of its racks, if one has room (`assignRackAwareRoundRobin`).
    fn give_within_rack(&mut self, slot: u32) -> bool {
        if let Some(at) = self.next_within_rack(slot) {
            let member = self.wanting[at];
            let count = self.give(slot, member);
            self.rack_turn = at + 1;
            if count >= self.least {
                self.wanting.remove(at);
                self.rack_turn = at;
                if count < self.most && self.lucky_left > 0 {
                    self.hoping.push_back(member);
                }
            }
            return true;
        }
        let Some(at) = self.hoping.iter().position(|member| self.racks.matches(*member, slot)) else { return false };
        let member = self.hoping[at];
        if self.give(slot, member) == self.most {
            self.hoping.remove(at);
            self.be_lucky();
        }
        true
    }

    /// The place of the next member in turn who wants, and is on one of the partition's racks (`nextRackConsumer`).
    fn next_within_rack(&self, slot: u32) -> Option<usize> {
        let count = self.wanting.len();
        let places = (0..count).map(|step| (self.rack_turn + step) % count);
        places.into_iter().find(|place| self.racks.matches(self.wanting[*place], slot))
    }

    /// Gives what is left to those who want, in turn, and then to those who hope (`assignRoundRobin`).
    fn give_in_turn(&mut self, free: &[u32]) {
        let mut turn = 0;
        for slot in free.iter().copied() {
            if turn == self.wanting.len() {
                turn = 0;
            }
            let Some(member) = self.wanting.get(turn).copied().or_else(|| self.hoping.pop_front()) else { break };
            turn += 1;
            if self.give(slot, member) == self.least && !self.wanting.is_empty() {
                turn -= 1;
                self.wanting.remove(turn);
                self.hoping.push_back(member);
            }
        }
    }

    /// Returns how many it has then.
    fn give(&mut self, slot: u32, member: u32) -> usize {
        let from_another = self.revoked.get(&slot).is_some_and(|owner| *owner != member);
        if from_another || self.claims.disputed.contains(&slot) {
            self.transferring.insert(slot);
        }
        let given = &mut self.given[member as usize];
        given.push(slot);
        given.len()
    }
}
