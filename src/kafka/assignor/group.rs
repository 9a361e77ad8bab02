//! A group in numbers: what assignors reckon with, so that a thousand members and ten thousand partitions are no matter.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use super::{Assignments, Member, Topic, Topics, java_order, member_order};
use crate::kafka::ids::Name;

/// Members and topics by their numbers. A *slot* is one partition: they are numbered through, topic after topic.
pub(super) struct Group<'a> {
    pub(super) members: Vec<&'a Member>,
    /// The members in the order in which they were given.
    pub(super) visits: Vec<u32>,
    /// The topics with partitions that somebody subscribes to, by name.
    pub(super) topics: Vec<(&'a Name, &'a Topic)>,
    /// The topics of each member, ascending.
    pub(super) subscriptions: Vec<Rc<[u32]>>,
    /// The members of each topic, ascending.
    pub(super) subscribers: Vec<Vec<u32>>,
    numbers: BTreeMap<&'a str, u32>,
    /// The first slot of each topic, and one past the last topic.
    first_slots: Vec<u32>,
    topic_of: Vec<u32>,
}

impl<'a> Group<'a> {
    /// Numbers the members by their ids.
    pub(super) fn by_id(topics: &'a Topics, members: &'a [Member]) -> Self {
        let mut order: Vec<usize> = (0..members.len()).collect();
        order.sort_by(|a, b| java_order(&members[*a].id, &members[*b].id));
        let mut visits = vec![0; order.len()];
        for (number, given) in (0..).zip(&order) {
            visits[*given] = number;
        }
        Self { visits, ..Self::new(topics, order.into_iter().map(|given| &members[given]).collect()) }
    }

    /// Numbers the members as they come.
    pub(super) fn new(topics: &'a Topics, members: Vec<&'a Member>) -> Self {
        let wanted: BTreeSet<&Name> = lists(&members).flat_map(|member| &member.subscription.topics).collect();
        let topics: Vec<(&Name, &Topic)> =
            topics.iter().filter(|(name, topic)| topic.partitions > 0 && wanted.contains(name)).collect();
        let numbers: BTreeMap<&str, u32> = (0..).zip(&topics).map(|(number, (name, _))| (&***name, number)).collect();
        let mut first_slots = vec![0];
        let mut topic_of = Vec::new();
        for (number, (_, topic)) in (0_u32..).zip(&topics) {
            topic_of.resize(topic_of.len() + topic.partitions as usize, number);
            first_slots.push(topic_of.len() as u32);
        }
        let mut subscriptions: Vec<Rc<[u32]>> = Vec::new();
        let mut subscribers = vec![Vec::new(); topics.len()];
        for (at, member) in members.iter().enumerate() {
            let subscription = match at.checked_sub(1).filter(|before| says_the_same(members[*before], member)) {
                Some(before) => subscriptions[before].clone(),
                None => {
                    let known = member.subscription.topics.iter().filter_map(|name| numbers.get(&**name).copied());
                    known.collect::<BTreeSet<u32>>().into_iter().collect()
                }
            };
            for topic in subscription.iter() {
                subscribers[*topic as usize].push(at as u32);
            }
            subscriptions.push(subscription);
        }
        let visits = (0..members.len() as u32).collect();
        Self { members, visits, topics, subscriptions, subscribers, numbers, first_slots, topic_of }
    }

    /// How many partitions there are in all.
    pub(super) fn slots(&self) -> u32 {
        self.topic_of.len() as u32
    }

    pub(super) fn slots_of(&self, topic: u32) -> Range<u32> {
        self.first_slots[topic as usize]..self.first_slots[topic as usize + 1]
    }

    pub(super) fn topic_of(&self, slot: u32) -> u32 {
        self.topic_of[slot as usize]
    }

    pub(super) fn partition_of(&self, slot: u32) -> u32 {
        slot - self.first_slots[self.topic_of(slot) as usize]
    }

    /// The slot of a partition by its topic's name, if there is such a partition and somebody subscribes to it.
    pub(super) fn slot(&self, topic: &str, partition: u32) -> Option<u32> {
        let topic = *self.numbers.get(topic)?;
        (partition < self.topics[topic as usize].1.partitions).then(|| self.first_slots[topic as usize] + partition)
    }

    pub(super) fn subscribes(&self, member: u32, topic: u32) -> bool {
        self.subscriptions[member as usize].binary_search(&topic).is_ok()
    }

    /// Whether every member names the same topics, be they known or not.
    pub(super) fn all_subscribe_to_the_same(&self) -> bool {
        self.members.windows(2).all(|pair| says_the_same(pair[0], pair[1]) || names(pair[0]) == names(pair[1]))
    }

    /// The numbers of the members, static ones first (see [`member_order`]).
    pub(super) fn member_order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.members.len() as u32).collect();
        order.sort_by(|a, b| self.compare_members(*a, *b));
        order
    }

    fn compare_members(&self, a: u32, b: u32) -> Ordering {
        member_order(self.members[a as usize], self.members[b as usize])
    }

    /// What each member got, by name.
    pub(super) fn assignments(&self, given: Vec<Vec<u32>>) -> Assignments {
        let named = |slot: u32| (self.topics[self.topic_of(slot) as usize].0.clone(), self.partition_of(slot));
        let mut assignments = Assignments::new();
        for (member, mut slots) in self.members.iter().zip(given) {
            slots.sort_unstable();
            assignments.entry(member.id.clone()).or_default().extend(slots.into_iter().map(named));
        }
        assignments
    }
}

/// One member for each list of topics that differs from the one before it.
fn lists<'a, 'm>(members: &'m [&'a Member]) -> impl Iterator<Item = &'a Member> + 'm {
    let new = |at: &usize| *at == 0 || !says_the_same(members[*at - 1], members[*at]);
    (0..members.len()).filter(new).map(|at| members[at])
}

fn says_the_same(a: &Member, b: &Member) -> bool {
    a.subscription.topics == b.subscription.topics
}

fn names(member: &Member) -> BTreeSet<&Name> {
    member.subscription.topics.iter().collect()
}
