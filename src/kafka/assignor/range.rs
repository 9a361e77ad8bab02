//! The range assignor: Kafka's default (`RangeAssignor`).
//!
//! Topic by topic, the subscribed members in their order get neighbouring partitions, as many each as the next one; the
//! first few get one more where the count does not divide. So members with the same topics read the same partition
//! numbers of topics with as many partitions ("co-partitioned"): that is what joins of streams rely on.
//!
//! Where members and replicas name racks and not every partition is on every rack, partitions go first to members on
//! one of their racks (KIP-881), within the same counts, and co-partitioned topics move together or not at all.

use std::collections::{BTreeMap, BTreeSet};

use super::{Assignments, Group, Member, Topic, Topics, in_member_order, java_order};
use crate::kafka::ids::Name;

pub(super) fn assign(topics: &Topics, members: &[Member]) -> Assignments {
    let group = Group::new(topics, in_member_order(members));
    let mut assignments: Assignments = members.iter().map(|member| (member.id.clone(), Vec::new())).collect();
    let mut states: Vec<TopicState<'_>> =
        (0..).zip(&group.topics).map(|(number, (name, topic))| TopicState::new(&group, number, name, topic)).collect();

    let rack_aware = states.iter().any(|state| state.needs_racks);
    if rack_aware {
        assign_matching_racks(&mut states, &mut assignments);
    }
    for state in &mut states {
        state.assign_ranges(|_, _, _| true, &mut assignments);
    }
    if rack_aware {
        for partitions in assignments.values_mut() {
            partitions.sort_by(|a, b| java_order(&a.0, &b.0).then(a.1.cmp(&b.1)));
        }
    }
    assignments
}

/// The first pass: what can be read within one rack. Topics with the same members and as many partitions go together.
fn assign_matching_racks(states: &mut [TopicState<'_>], assignments: &mut Assignments) {
    let mut co_partitioned: BTreeMap<(Vec<Name>, u32), Vec<&mut TopicState<'_>>> = BTreeMap::new();
    for state in states {
        // Topics none of whose members has a rack count as having no partitions here, and so nothing is done for them.
        let partitions = if state.knows_racks { state.topic.partitions } else { 0 };
        let members = state.consumers.iter().map(|consumer| consumer.member.id.clone()).collect();
        co_partitioned.entry((members, partitions)).or_default().push(state);
    }
    for ((_, partitions), mut together) in co_partitioned {
        match together.as_mut_slice() {
            [alone] if alone.needs_racks => alone.assign_ranges(TopicState::racks_match, assignments),
            [_] => {}
            together => assign_together(partitions, together, assignments),
        }
    }
}

/// Gives partition after partition of all these topics to the first member that is on one of its racks in each of them.
fn assign_together(partitions: u32, together: &mut [&mut TopicState<'_>], assignments: &mut Assignments) {
    let mut remaining: Vec<usize> = (0..together[0].consumers.len()).collect();
    for partition in 0..partitions {
        let fits = |consumer: usize| {
            together.iter().all(|state| state.racks_match(consumer, partition) && state.room_of(consumer) > 0)
        };
        let Some(consumer) = remaining.iter().copied().find(|consumer| fits(*consumer)) else { continue };
        for state in together.iter_mut() {
            state.give(consumer, &[partition], assignments);
        }
        if together.iter().all(|state| state.room_of(consumer) == 0) {
            remaining.retain(|other| *other != consumer);
        }
    }
}

/// One topic while it is being shared out (`TopicAssignmentState`).
struct TopicState<'a> {
    name: &'a Name,
    topic: &'a Topic,
    consumers: Vec<Consumer<'a>>,
    /// Whether any of its members has a rack.
    knows_racks: bool,
    /// Whether it matters which member gets which partition.
    needs_racks: bool,
    unassigned: BTreeSet<u32>,
    /// Partitions that each member gets, before the one more for the first few.
    share: u32,
    /// How many more members may get one more.
    extra: u32,
}

/// A member subscribed to the topic.
struct Consumer<'a> {
    member: &'a Member,
    assigned: u32,
}

impl<'a> TopicState<'a> {
    fn new(group: &Group<'a>, number: usize, name: &'a Name, topic: &'a Topic) -> Self {
        let subscribers = group.subscribers[number].iter().map(|member| group.members[*member as usize]);
        let consumers: Vec<_> = subscribers.map(|member| Consumer { member, assigned: 0 }).collect();
        let count = consumers.len() as u32;
        let consumer_racks: BTreeSet<&Name> = consumers.iter().filter_map(|consumer| consumer.member.rack()).collect();
        Self {
            name,
            topic,
            knows_racks: !consumer_racks.is_empty(),
            needs_racks: needs_racks(topic, &consumer_racks),
            unassigned: (0..topic.partitions).collect(),
            share: topic.partitions.checked_div(count).unwrap_or(0),
            extra: topic.partitions.checked_rem(count).unwrap_or(0),
            consumers,
        }
    }

    /// Gives each member in order as many of the partitions that `may_get` allows as it has room for.
    fn assign_ranges(&mut self, may_get: impl Fn(&Self, usize, u32) -> bool, assignments: &mut Assignments) {
        for consumer in 0..self.consumers.len() {
            let room = self.room_of(consumer) as usize;
            let allowed = self.unassigned.iter().copied().filter(|partition| may_get(self, consumer, *partition));
            let partitions: Vec<u32> = allowed.take(room).collect();
            self.give(consumer, &partitions, assignments);
        }
    }

    fn give(&mut self, consumer: usize, partitions: &[u32], assignments: &mut Assignments) {
        if partitions.is_empty() {
            return;
        }
        let consumer = &mut self.consumers[consumer];
        consumer.assigned += partitions.len() as u32;
        if consumer.assigned > self.share {
            self.extra -= 1;
        }
        let given = partitions.iter().map(|partition| (self.name.clone(), *partition));
        assignments.entry(consumer.member.id.clone()).or_default().extend(given);
        for partition in partitions {
            self.unassigned.remove(partition);
        }
    }

    /// How many more partitions a member may get.
    fn room_of(&self, consumer: usize) -> u32 {
        (self.share + u32::from(self.extra > 0)).saturating_sub(self.consumers[consumer].assigned)
    }

    /// Whether a replica of the partition is on the member's rack. A member without a rack is at home anywhere.
    fn racks_match(&self, consumer: usize, partition: u32) -> bool {
        self.consumers[consumer].member.rack().is_none_or(|rack| self.topic.racks_of(partition).contains(rack))
    }
}

/// Racks matter where members and replicas have some in common, and not every partition is on every rack
/// (`AbstractPartitionAssignor.useRackAwareAssignment`).
fn needs_racks(topic: &Topic, consumer_racks: &BTreeSet<&Name>) -> bool {
    let racks_of = |partition| topic.racks_of(partition).iter().collect::<BTreeSet<&Name>>();
    let all_racks: BTreeSet<&Name> = (0..topic.partitions).flat_map(racks_of).collect();
    !consumer_racks.is_disjoint(&all_racks) && (0..topic.partitions).any(|partition| racks_of(partition) != all_racks)
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use proptest::prelude::*;

    use super::super::Assignor;
    use super::*;
    use crate::kafka::message::Subscription;

    /// `RangeAssignorTest.testRackAwareAssignmentWithUniformSubscription`: counts stay as without racks.
    #[test]
    fn a_member_reads_partitions_on_its_rack_as_far_as_the_counts_allow() {
        let topics = [("t1", 6), ("t2", 7), ("t3", 2)];
        let everything = [("t1 t2 t3", "a"), ("t1 t2 t3", "b"), ("t1 t2 t3", "c")];
        check(
            &topics,
            (1, "abc"),
            &everything,
            &["t1-0 t1-3 t2-0 t2-3 t2-6", "t1-1 t1-4 t2-1 t2-4 t3-0", "t1-2 t1-5 t2-2 t2-5 t3-1"],
        );
        check(
            &topics,
            (2, "abc"),
            &everything,
            &["t1-0 t1-2 t2-0 t2-2 t2-3 t3-1", "t1-1 t1-3 t2-1 t2-4 t3-0", "t1-4 t1-5 t2-5 t2-6"],
        );
        // Rack c has no replica.
        check(
            &topics,
            (3, "ab"),
            &everything,
            &["t1-0 t1-1 t2-0 t2-1 t2-2 t3-0", "t1-2 t1-3 t2-3 t2-4 t3-1", "t1-4 t1-5 t2-5 t2-6"],
        );
    }

    /// `testRackAwareAssignmentWithNonEqualSubscription`.
    #[test]
    fn members_with_fewer_topics_still_get_partitions_on_their_rack() {
        check(
            &[("t1", 6), ("t2", 7), ("t3", 2)],
            (1, "abc"),
            &[("t1 t2 t3", "a"), ("t1 t2 t3", "b"), ("t1 t3", "c")],
            &["t1-0 t1-3 t2-0 t2-2 t2-3 t2-6", "t1-1 t1-4 t2-1 t2-4 t2-5 t3-0", "t1-2 t1-5 t3-1"],
        );
    }

    /// `testRackAwareAssignmentWithUniformPartitions`: t2's racks begin where t1's end, so no member is at home in
    /// partition 0 of both.
    #[test]
    fn co_partitioned_topics_stay_together_whatever_the_racks() {
        check(
            &[("t1", 5), ("t2", 5), ("t3", 5)],
            (1, "abc"),
            &[("t1 t2 t3", "a"), ("t1 t2 t3", "b"), ("t1 t2 t3", "c")],
            &["t1-0 t1-1 t2-0 t2-1 t3-0 t3-1", "t1-2 t1-3 t2-2 t2-3 t3-2 t3-3", "t1-4 t2-4 t3-4"],
        );
    }

    /// `testRackAwareAssignmentWithUniformPartitionsNonEqualSubscription`.
    #[test]
    fn co_partitioned_topics_move_together_where_their_racks_agree() {
        check(
            &[("t1", 5), ("t2", 5), ("t3", 5)],
            (2, "abc"),
            &[("t1 t2 t3", "a"), ("t1 t2 t3", "b"), ("t1 t3", "c")],
            &["t1-2 t2-0 t2-1 t2-3 t3-2", "t1-0 t1-3 t2-2 t2-4 t3-0 t3-3", "t1-1 t1-4 t3-1 t3-4"],
        );
    }

    /// `testRackAwareAssignmentWithCoPartitioning`.
    #[test]
    fn groups_of_co_partitioned_topics_are_matched_one_by_one() {
        let topics = [("t1", 6), ("t2", 6), ("t3", 2), ("t4", 2)];
        check(
            &topics,
            (1, "ab"),
            &[("t1 t2", "a"), ("t1 t2", "b"), ("t3 t4", "b"), ("t3 t4", "a")],
            &["t1-0 t1-2 t1-4 t2-0 t2-2 t2-4", "t1-1 t1-3 t1-5 t2-1 t2-3 t2-5", "t3-1 t4-1", "t3-0 t4-0"],
        );
        let all = "t1 t2 t3 t4";
        check(
            &topics,
            (1, "abc"),
            &[(all, "a"), (all, "b"), (all, "b"), (all, "a")],
            &["t1-0 t1-3 t2-0 t2-3 t3-0 t4-0", "t1-1 t1-4 t2-1 t2-4 t3-1 t4-1", "t1-2 t2-2", "t1-5 t2-5"],
        );
    }

    /// KIP-345: the order is that of the instance ids, so a new member id changes nothing.
    #[test]
    fn static_members_come_first_and_by_instance_id() {
        let topics = Topics::from([("t".into(), Topic::of(3))]);
        let mut members = [member("a", "t", ""), member("z", "t", ""), member("y", "t", "")];
        members[1].instance_id = Some("1".into());
        members[2].instance_id = Some("2".into());
        assert_eq!(show(&Assignor::Range.assign(&topics, &members)), ["a: t-2", "y: t-1", "z: t-0"]);
    }

    #[test]
    fn a_topic_without_metadata_is_passed_over() {
        let assigned = Assignor::Range.assign(&Topics::new(), &[member("a", "ghost", "")]);
        assert_eq!(show(&assigned), ["a: "]);
    }

    proptest! {
        #[test]
        fn every_partition_has_one_reader_and_no_member_two_more_than_another(
            partitions in prop::collection::vec(0_u32..20, 1..5),
            members in prop::collection::vec((prop::collection::vec(any::<bool>(), 5), "[abc]?"), 1..8),
            replicas in 0_usize..4,
        ) {
            let names: Vec<String> = (0..partitions.len()).map(|i| format!("t{i}")).collect();
            let sizes: Vec<(&str, u32)> = names.iter().map(String::as_str).zip(partitions).collect();
            let topics = topics(&sizes, replicas, "abc");
            let members: Vec<Member> = members.iter().enumerate().map(|(i, (chosen, rack))| {
                let subscribed: Vec<&str> = sizes.iter().zip(chosen).filter(|(_, yes)| **yes).map(|(t, _)| t.0).collect();
                member(&format!("m{i}"), &subscribed.join(" "), rack)
            }).collect();
            let assigned = Assignor::Range.assign(&topics, &members);
            for (name, topic) in &topics {
                let mut held: Vec<u32> = Vec::new();
                let mut counts: Vec<usize> = Vec::new();
                for member in &members {
                    let mine: Vec<u32> = assigned[&member.id].iter().filter(|(t, _)| t == name).map(|(_, p)| *p).collect();
                    if member.subscription.topics.contains(name) {
                        counts.push(mine.len());
                    } else {
                        prop_assert!(mine.is_empty());
                    }
                    held.extend(mine);
                }
                held.sort_unstable();
                let expected: Vec<u32> = if counts.is_empty() { Vec::new() } else { (0..topic.partitions).collect() };
                prop_assert_eq!(held, expected);
                prop_assert!(counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0) <= 1);
            }
        }
    }

    /// Assigns as the upstream tests do: partition after partition takes the next brokers around the racks.
    fn check(sizes: &[(&str, u32)], (replicas, racks): (usize, &str), members: &[(&str, &str)], expected: &[&str]) {
        let topics = topics(sizes, replicas, racks);
        let members: Vec<Member> =
            members.iter().zip("0123".chars()).map(|((t, r), id)| member(&format!("c{id}"), t, r)).collect();
        let expected: Vec<String> =
            expected.iter().zip("0123".chars()).map(|(list, id)| format!("c{id}: {list}")).collect();
        assert_eq!(show(&Assignor::Range.assign(&topics, &members)), expected);
    }

    fn topics(sizes: &[(&str, u32)], replicas: usize, racks: &str) -> Topics {
        let mut around = racks.chars().cycle();
        let mut topics = Topics::new();
        for (name, partitions) in sizes {
            let mut topic = Topic::of(*partitions);
            for _ in 0..*partitions {
                let mut from_here = around.clone();
                topic
                    .replica_racks
                    .push(from_here.by_ref().take(replicas).map(|rack| rack.to_string().into()).collect());
                around.next();
            }
            topics.insert((*name).into(), topic);
        }
        topics
    }

    fn member(id: &str, topics: &str, rack: &str) -> Member {
        let topics = topics.split_whitespace().map(Name::from).collect();
        let subscription = Subscription { topics, rack: Some(rack.into()), ..Subscription::default() };
        Member { id: id.into(), instance_id: None, subscription: Rc::new(subscription) }
    }

    fn show(assignments: &Assignments) -> Vec<String> {
        let list = |partitions: &[(Name, u32)]| {
            partitions.iter().map(|(topic, partition)| format!("{topic}-{partition}")).collect::<Vec<_>>().join(" ")
        };
        assignments.iter().map(|(id, partitions)| format!("{id}: {}", list(partitions))).collect()
    }
}
