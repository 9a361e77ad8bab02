//! Who fetches from which partition (`SimpleAssignor`): every partition by about as many members as any other, every member
//! from about as many partitions, and who has one keeps it as far as that goes.
//!
//! Where the members' topics differ, each topic is dealt out by itself among those who want it. Where Kafka goes by the
//! order of a hash map, it is the order of ids here.

use std::collections::{BTreeMap, BTreeSet};

use crate::kafka::ids::{Name, TopicId, TopicPartition};

/// A member as the assignor sees it.
#[derive(Clone, Debug)]
pub struct ShareMemberSpec {
    pub id: Name,
    pub topics: BTreeSet<TopicId>,
    /// Its target so far.
    pub owned: Vec<TopicPartition>,
}

/// The target assignment of every member. `assignable` are the partitions that may be given out.
pub fn assign(
    assignable: &BTreeSet<TopicPartition>,
    members: &[ShareMemberSpec],
) -> BTreeMap<Name, BTreeSet<TopicPartition>> {
    let mut assigned: BTreeMap<Name, BTreeSet<TopicPartition>> =
        members.iter().map(|member| (member.id.clone(), BTreeSet::new())).collect();
    let topics: BTreeSet<TopicId> = members.iter().flat_map(|member| member.topics.iter().copied()).collect();
    let alike = members.windows(2).all(|pair| pair[0].topics == pair[1].topics);
    let together: Vec<BTreeSet<TopicId>> =
        if alike { vec![topics] } else { topics.into_iter().map(|topic| [topic].into()).collect() };
    for topics in together {
        let wanted = |partition: &&TopicPartition| topics.contains(&partition.topic);
        let partitions: Vec<TopicPartition> = assignable.iter().filter(wanted).copied().collect();
        let subscribed: Vec<&ShareMemberSpec> =
            members.iter().filter(|member| !member.topics.is_disjoint(&topics)).collect();
        let owned = subscribed.iter().map(|member| member.owned.iter().copied().collect()).collect();
        for (member, dealt) in subscribed.iter().zip(deal(&partitions, owned)) {
            assigned.entry(member.id.clone()).or_default().extend(dealt);
        }
    }
    assigned
}

/// Deals partitions out among members of one mind (`SimpleHomogeneousAssignmentBuilder`), who own some already.
fn deal(partitions: &[TopicPartition], mut dealt: Vec<BTreeSet<TopicPartition>>) -> Vec<BTreeSet<TopicPartition>> {
    let (count, members) = (partitions.len(), dealt.len());
    dealt.iter_mut().for_each(|owned| owned.retain(|partition| partitions.contains(partition)));
    if count == 0 || members == 0 {
        return dealt;
    }
    // How many members a partition should have, and how many partitions each member.
    let sharing = members.div_ceil(count);
    let up_to = |member: usize| (sharing * count * member).div_ceil(members);
    let desired: Vec<usize> = (0..members).map(|member| up_to(member + 1) - up_to(member)).collect();
    for (owned, desired) in dealt.iter_mut().zip(&desired) {
        while owned.len() > *desired {
            owned.pop_first();
        }
    }
    let mut shared: BTreeMap<TopicPartition, BTreeSet<usize>> =
        partitions.iter().map(|partition| (*partition, BTreeSet::new())).collect();
    for (owned, member) in dealt.iter().zip(0..) {
        for partition in owned {
            shared.entry(*partition).or_default().insert(member);
        }
    }
    for (partition, holders) in &mut shared {
        while holders.len() > sharing
            && let Some(member) = holders.pop_first()
        {
            dealt[member].remove(partition);
        }
    }
    // Round and round among those who lack some, once over the partitions.
    let mut lacking: Vec<usize> = (0..members).filter(|member| dealt[*member].len() < desired[*member]).collect();
    let mut next = 0;
    for (partition, mut holders) in shared {
        let mut passed_over = 0;
        while holders.len() < sharing && passed_over < lacking.len() {
            next %= lacking.len();
            let member = lacking[next];
            if !holders.insert(member) {
                passed_over += 1;
                next += 1;
                continue;
            }
            passed_over = 0;
            dealt[member].insert(partition);
            if dealt[member].len() >= desired[member] {
                lacking.remove(next);
            } else {
                next += 1;
            }
        }
    }
    dealt
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: TopicId = TopicId(0);

    /// Members `m0`, `m1`, … with what they own of topic T, and what each has in the end.
    fn dealt(partitions: u32, owned: &[&[u32]]) -> Vec<Vec<u32>> {
        let of = |partition: &u32| TopicPartition::new(T, *partition);
        let assignable = (0..partitions).map(|partition| TopicPartition::new(T, partition)).collect();
        let member = |(owned, number): (&&[u32], u32)| ShareMemberSpec {
            id: format!("m{number}").as_str().into(),
            topics: [T].into(),
            owned: owned.iter().map(of).collect(),
        };
        let members: Vec<ShareMemberSpec> = owned.iter().zip(0..).map(member).collect();
        let numbers = |partitions: BTreeSet<TopicPartition>| partitions.into_iter().map(|of| of.partition).collect();
        assign(&assignable, &members).into_values().map(numbers).collect()
    }

    #[test]
    fn more_members_than_partitions_all_have_one() {
        assert_eq!(dealt(2, &[&[] as &[u32]; 6]), [[0], [0], [0], [1], [1], [1]]);
    }

    #[test]
    fn fewer_members_than_partitions_have_all_of_them() {
        assert_eq!(dealt(5, &[&[], &[]]), [vec![0, 2, 4], vec![1, 3]]);
    }

    /// Three members on two partitions: each partition wants two, and so the members one, one and two of them.
    #[test]
    fn who_has_a_partition_keeps_it() {
        assert_eq!(dealt(2, &[&[0], &[1], &[]]).iter().map(Vec::len).sum::<usize>(), 4);
        let kept = dealt(2, &[&[1], &[0], &[]]);
        assert!(kept[0].contains(&1) && kept[1].contains(&0), "{kept:?}");
    }

    #[test]
    fn a_member_that_is_alone_gets_everything_and_gives_up_when_others_come() {
        assert_eq!(dealt(4, &[&[]]), [[0, 1, 2, 3]]);
        assert_eq!(dealt(4, &[&[0, 1, 2, 3], &[]]), [vec![2, 3], vec![0, 1]]);
    }

    #[test]
    fn members_get_only_what_they_subscribe_to() {
        let (one, two) = (TopicPartition::new(TopicId(1), 0), TopicPartition::new(TopicId(2), 0));
        let member = |id: &str, topics: &[u32]| ShareMemberSpec {
            id: id.into(),
            topics: topics.iter().map(|topic| TopicId(*topic)).collect(),
            owned: Vec::new(),
        };
        let assigned = assign(&[one, two].into(), &[member("a", &[1]), member("b", &[1, 2])]);
        assert_eq!(assigned.into_values().collect::<Vec<_>>(), [BTreeSet::from([one]), BTreeSet::from([one, two])]);
    }
}
