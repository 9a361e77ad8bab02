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
        let named: Vec<(&Name, &Topic)> = topics.iter().filter(|(_, topic)| topic.partitions > 0).collect();
        let subscriptions = subscriptions(&named, &members);
        let mut subscribers = vec![Vec::new(); named.len()];
        for (at, subscription) in (0..).zip(&subscriptions) {
            subscription.iter().for_each(|topic| subscribers[*topic as usize].push(at));
        }
        // Topics that nobody wants are left out, and the others close up.
        let mut new_number = Vec::new();
        let mut topics = Vec::new();
        for (topic, subscribers) in named.into_iter().zip(&subscribers) {
            new_number.push(topics.len() as u32);
            if !subscribers.is_empty() {
                topics.push(topic);
            }
        }
        let mut renumbered: Vec<Rc<[u32]>> = Vec::new();
        for (at, subscription) in subscriptions.iter().enumerate() {
            let same = at.checked_sub(1).filter(|before| Rc::ptr_eq(&subscriptions[*before], subscription));
            renumbered.push(match same {
                Some(before) => renumbered[before].clone(),
                None => subscription.iter().map(|topic| new_number[*topic as usize]).collect(),
            });
        }
        let subscriptions = renumbered;
        subscribers.retain(|subscribers| !subscribers.is_empty());

        let numbers: BTreeMap<&str, u32> = (0..).zip(&topics).map(|(number, (name, _))| (&***name, number)).collect();
        let mut first_slots = vec![0];
        let mut topic_of = Vec::new();
        for (number, (_, topic)) in (0_u32..).zip(&topics) {
            topic_of.resize(topic_of.len() + topic.partitions as usize, number);
            first_slots.push(topic_of.len() as u32);
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

/// The topics that each member subscribes to, by their places among `named`, ascending.
fn subscriptions(named: &[(&Name, &Topic)], members: &[&Member]) -> Vec<Rc<[u32]>> {
    let place_of = |name: &Name, guess: usize| match named.get(guess) {
        // Most lists are in the order of the names, too.
        Some((there, _)) if *there == name => Some(guess),
        _ => named.binary_search_by(|(there, _)| (*there).cmp(name)).ok(),
    };
    let mut subscriptions: Vec<Rc<[u32]>> = Vec::new();
    for (at, member) in members.iter().enumerate() {
        if let Some(before) = at.checked_sub(1).filter(|before| says_the_same(members[*before], member)) {
            subscriptions.push(subscriptions[before].clone());
            continue;
        }
        let mut places: Vec<u32> = Vec::new();
        let mut guess = 0;
        for name in &member.subscription.topics {
            if let Some(place) = place_of(name, guess) {
                places.push(place as u32);
                guess = place + 1;
            }
        }
        places.sort_unstable();
        places.dedup();
        subscriptions.push(places.into());
    }
    subscriptions
}

fn says_the_same(a: &Member, b: &Member) -> bool {
    a.subscription.topics == b.subscription.topics
}

fn names(member: &Member) -> BTreeSet<&Name> {
    member.subscription.topics.iter().collect()
}
