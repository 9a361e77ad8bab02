//! The uniform assignor where members subscribe to different topics (`UniformHeterogeneousAssignmentBuilder`).
//!
//! Topic by topic, those with the most partitions a subscriber first: what is free goes to the subscribers with the fewest
//! partitions; then, in a few rounds over all topics, partitions move from the subscribers with the most to those with the
//! fewest. A group where subscriptions overlap may end up a little less even than it could be.

use std::collections::BTreeMap;

use super::super::Group;
use super::old_targets;

/// Each round about halves the imbalance (`MAX_ITERATION_COUNT`).
const MAX_ROUNDS: u32 = 16;

pub(super) fn share(group: &Group<'_>) -> Vec<Vec<u32>> {
    let mut mixed = Mixed { group, owner: vec![None; group.slots() as usize], sizes: vec![0; group.members.len()] };
    for (member, target) in (0..).zip(old_targets(group)) {
        for slot in target.into_iter().flatten() {
            if group.subscribes(member, group.topic_of(slot)) {
                mixed.give(slot, member);
            }
        }
    }
    let topics = mixed.topics_in_order();
    for topic in topics.iter().copied() {
        mixed.give_out(topic);
    }
    mixed.balance(&topics);

    let mut given = vec![Vec::new(); group.members.len()];
    for (slot, owner) in (0..).zip(mixed.owner) {
        if let Some(owner) = owner {
            given[owner as usize].push(slot);
        }
    }
    given
}

struct Mixed<'a> {
    group: &'a Group<'a>,
    owner: Vec<Option<u32>>,
    /// How many partitions each member has.
    sizes: Vec<u32>,
}

impl Mixed<'_> {
    /// By partitions a subscriber, the most first; then by subscribers, the fewest first; then by name.
    fn topics_in_order(&self) -> Vec<u32> {
        let mut topics: Vec<u32> = (0..self.group.topics.len() as u32).collect();
        let numbers = |topic: &u32| {
            let partitions = self.group.slots_of(*topic).len() as u64;
            (partitions, self.group.subscribers[*topic as usize].len() as u64)
        };
        topics.sort_by(|a, b| {
            let ((partitions_a, readers_a), (partitions_b, readers_b)) = (numbers(a), numbers(b));
            (partitions_b * readers_a).cmp(&(partitions_a * readers_b)).then(readers_a.cmp(&readers_b))
        });
        topics
    }

    /// Gives the free partitions of a topic to its subscribers (`assignRemainingPartitions`).
    fn give_out(&mut self, topic: u32) {
        let free: Vec<u32> = self.group.slots_of(topic).filter(|slot| self.owner[*slot as usize].is_none()).collect();
        if free.is_empty() {
            return;
        }
        let mut scale = Scale::of(&self.group.subscribers[topic as usize], &self.sizes);
        for slot in free {
            let member = scale.next_lightest(&self.sizes);
            self.give(slot, member);
        }
    }

    /// Goes over the topics until nothing has moved in a whole round, or there have been rounds enough (`balanceTopics`).
    fn balance(&mut self, topics: &[u32]) {
        let shared: Vec<u32> =
            topics.iter().copied().filter(|topic| self.group.subscribers[*topic as usize].len() > 1).collect();
        let mut last_moved = None;
        for _ in 0..MAX_ROUNDS {
            for topic in shared.iter().copied() {
                if last_moved == Some(topic) {
                    return;
                }
                if self.balance_topic(topic) || last_moved.is_none() {
                    last_moved = Some(topic);
                }
            }
        }
    }

    /// Moves partitions of one topic from its heaviest subscribers to its lightest; returns whether any moved.
    fn balance_topic(&mut self, topic: u32) -> bool {
        let subscribers = &self.group.subscribers[topic as usize];
        let mut scale = Scale::of(subscribers, &self.sizes);
        if scale.is_balanced_from_the_start(&self.sizes) {
            return false;
        }
        // What each subscriber can give away, the last of it first.
        let mut holdings: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for slot in self.group.slots_of(topic) {
            if let Some(owner) = self.owner[slot as usize] {
                holdings.entry(owner).or_default().push(slot);
            }
        }
        let mut moved = false;
        while let Some(heaviest) = scale.next_heaviest(&self.sizes) {
            let Some(slot) = holdings.get_mut(&heaviest).and_then(Vec::pop) else {
                scale.pass_over_heaviest();
                continue;
            };
            let lightest = scale.next_lightest(&self.sizes);
            if scale.is_balanced() {
                break;
            }
            self.sizes[heaviest as usize] -= 1;
            self.give(slot, lightest);
            moved = true;
        }
        moved
    }

    fn give(&mut self, slot: u32, member: u32) {
        self.owner[slot as usize] = Some(member);
        self.sizes[member as usize] += 1;
    }
}

/// The subscribers of a topic, from those with the fewest partitions to those with the most
/// (`MemberAssignmentBalancer`). At each end there is a range of members with as many partitions each: they get, or give,
/// one each, and then the range grows by those who have as many as they have now.
struct Scale {
    members: Vec<u32>,
    /// The light end is `members[..light_end]`; `next_light` is whose turn it is.
    light_end: usize,
    light_level: i64,
    next_light: usize,
    /// The heavy end is `members[heavy_start..heavy_end]`; beyond it are those with nothing to give. The turn goes
    /// downwards, and `next_heavy` is one above whose it is.
    heavy_start: usize,
    heavy_end: usize,
    heavy_level: i64,
    next_heavy: usize,
}

impl Scale {
    /// There is at least one member.
    fn of(members: &[u32], sizes: &[u32]) -> Self {
        let mut members = members.to_vec();
        members.sort_by_key(|member| sizes[*member as usize]);
        let count = members.len();
        let size_at = |place: usize| i64::from(sizes[members[place] as usize]);
        Self {
            light_end: 0,
            light_level: size_at(0) - 1,
            next_light: 0,
            heavy_start: count,
            heavy_end: count,
            heavy_level: size_at(count - 1) + 1,
            next_heavy: count,
            members,
        }
    }

    fn size_at(&self, place: usize, sizes: &[u32]) -> i64 {
        sizes[self.members[place] as usize].into()
    }

    fn is_balanced_from_the_start(&self, sizes: &[u32]) -> bool {
        self.size_at(self.members.len() - 1, sizes) - self.size_at(0, sizes) <= 1
    }

    fn is_balanced(&self) -> bool {
        self.heavy_level - self.light_level <= 1
    }

    /// Who is to get the next partition.
    fn next_lightest(&mut self, sizes: &[u32]) -> u32 {
        if self.next_light >= self.light_end {
            self.light_level += 1;
            while self.light_end < self.members.len() && self.size_at(self.light_end, sizes) == self.light_level {
                self.light_end += 1;
            }
            self.next_light = 0;
        }
        self.next_light += 1;
        self.members[self.next_light - 1]
    }

    /// Who is to give away the next partition, if anybody has one to give.
    fn next_heaviest(&mut self, sizes: &[u32]) -> Option<u32> {
        if self.next_heavy <= self.heavy_start {
            if self.heavy_end <= self.heavy_start && self.heavy_start > 0 {
                // All of them were passed over: the range begins anew, one further down.
                self.heavy_level = self.size_at(self.heavy_start - 1, sizes);
            } else {
                self.heavy_level -= 1;
            }
            while self.heavy_start > 0 && self.size_at(self.heavy_start - 1, sizes) == self.heavy_level {
                self.heavy_start -= 1;
            }
            self.next_heavy = self.heavy_end;
        }
        self.next_heavy = self.next_heavy.checked_sub(1)?;
        Some(self.members[self.next_heavy])
    }

    /// The one just named has nothing to give.
    fn pass_over_heaviest(&mut self) {
        self.heavy_end -= 1;
        self.members.swap(self.next_heavy, self.heavy_end);
    }
}
