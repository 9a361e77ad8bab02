//! What every assignor promises, over random groups that live on: members join and leave, topics grow, subscriptions
//! change.

use std::collections::BTreeSet;

use super::*;
use crate::rng::Rng;

/// A dynamic member that owns nothing.
pub(super) fn member(id: &str, topics: &str) -> Member {
    Member::new(id, topics.split_whitespace().map(Name::from))
}

pub(super) fn topics(sizes: &[(&str, u32)]) -> Topics {
    sizes.iter().map(|(name, partitions)| ((*name).into(), Topic::of(*partitions))).collect()
}

/// What each member got, as `a: t-0 t-1`.
pub(super) fn assign(assignor: Assignor, topics: &Topics, members: &[Member]) -> Vec<String> {
    let list = |partitions: &[(Name, u32)]| -> String {
        partitions.iter().map(|(topic, partition)| format!(" {topic}-{partition}")).collect()
    };
    assignor.assign(topics, members).iter().map(|(id, partitions)| format!("{id}:{}", list(partitions))).collect()
}

/// Those that share evenly wherever all subscriptions are equal.
const EVEN: [Assignor; 4] =
    [Assignor::RoundRobin, Assignor::Sticky, Assignor::CooperativeSticky, Assignor::ServerUniform];

/// Those that leave members what they had.
const STICKY: [Assignor; 3] = [Assignor::Sticky, Assignor::CooperativeSticky, Assignor::ServerUniform];

/// A group that changes from one rebalance to the next.
struct Life {
    rng: Rng,
    assignor: Assignor,
    /// Whether all members subscribe to the same topics.
    equal: bool,
    topics: Topics,
    members: Vec<Member>,
    generation: i32,
    born: u32,
}

impl Life {
    fn new(seed: u64, assignor: Assignor, equal: bool) -> Self {
        let mut rng = Rng::new(seed, 7);
        let racks = rng.chance(1, 4);
        let topic = |rng: &mut Rng| {
            let partitions = rng.below(10);
            let rack = |rng: &mut Rng| Name::from(["r0", "r1", "r2"][rng.below(3) as usize]);
            let replicas = |rng: &mut Rng| (0..if racks { rng.below(3) } else { 0 }).map(|_| rack(rng)).collect();
            Topic { partitions, replica_racks: (0..partitions).map(|_| replicas(rng)).collect() }
        };
        let topics = (0..=rng.below(5)).map(|n| (format!("t{n}").into(), topic(&mut rng))).collect();
        let mut life = Self { rng, assignor, equal, topics, members: Vec::new(), generation: 0, born: 0 };
        for _ in 0..=life.rng.below(7) {
            life.join();
        }
        life
    }

    fn join(&mut self) {
        let topics = self.choose_topics();
        let mut member = Member::new(&format!("m{}", self.rng.below(1000) * 100 + self.born), topics);
        self.born += 1;
        if self.rng.chance(1, 3) {
            Rc::make_mut(&mut member.subscription).rack = Some(["r0", "r1", "r9"][self.rng.below(3) as usize].into());
        }
        if self.rng.chance(1, 4) {
            member.instance_id = Some(format!("i{}", self.born).into());
        }
        let at = self.rng.below(self.members.len() as u32 + 1) as usize;
        self.members.insert(at, member);
    }

    fn choose_topics(&mut self) -> Vec<Name> {
        if self.equal {
            return self.topics.keys().cloned().chain(["ghost".into()]).collect();
        }
        let names: Vec<Name> = self.topics.keys().cloned().collect();
        names.into_iter().filter(|_| self.rng.chance(1, 2)).collect()
    }

    fn leave(&mut self) {
        let at = self.rng.below(self.members.len() as u32) as usize;
        self.members.remove(at);
    }

    fn change(&mut self) {
        match self.rng.below(4) {
            0 if self.members.len() > 1 => self.leave(),
            1 => {
                let at = self.rng.below(self.topics.len() as u32) as usize;
                self.topics.values_mut().nth(at).unwrap().partitions += 1 + self.rng.below(3);
            }
            2 if !self.equal => {
                let at = self.rng.below(self.members.len() as u32) as usize;
                let topics = self.choose_topics();
                Rc::make_mut(&mut self.members[at].subscription).topics = topics;
            }
            _ => self.join(),
        }
    }

    /// One rebalance; every member has then what it was given.
    fn rebalance(&mut self) -> Assignments {
        let answer = self.assignor.assign(&self.topics, &self.members);
        self.generation += 1;
        for member in &mut self.members {
            *member = member.clone().owning(answer[&member.id].clone(), Some(Generation(self.generation)));
        }
        answer
    }

    /// Rebalances until nothing is held back any more.
    fn settle(&mut self) -> Assignments {
        let mut answer = self.rebalance();
        for _ in 0..if self.assignor.is_cooperative() { 8 } else { 0 } {
            let next = self.rebalance();
            if next == answer {
                break;
            }
            answer = next;
        }
        answer
    }

    fn owned(&self) -> BTreeMap<Name, Vec<(Name, u32)>> {
        self.members.iter().map(|member| (member.id.clone(), member.subscription.owned_partitions.clone())).collect()
    }

    fn goes_after_racks(&self) -> bool {
        !self.assignor.is_on_server()
            && self.members.iter().any(|member| member.rack().is_some())
            && self.topics.values().any(|topic| topic.replica_racks.iter().any(|racks| !racks.is_empty()))
    }
}

/// Lives of many groups; `promise` hears of each before and after every change, and of the seed.
fn live(assignors: &[Assignor], equal: &[bool], mut promise: impl FnMut(&mut Life, &str)) {
    let seeds = match std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..150_u64,
    };
    for (assignor, equal) in assignors.iter().flat_map(|assignor| equal.iter().map(move |equal| (*assignor, *equal))) {
        for seed in seeds.clone() {
            let mut life = Life::new(seed, assignor, equal);
            for step in 0..8 {
                promise(&mut life, &format!("SEED={seed}, step {step}, {}, equal: {equal}", assignor.name()));
                life.change();
            }
        }
    }
}

fn sizes(answer: &Assignments) -> (usize, usize) {
    let counts = || answer.values().map(Vec::len);
    (counts().min().unwrap_or(0), counts().max().unwrap_or(0))
}

#[test]
fn every_partition_of_a_subscribed_topic_has_one_reader_who_subscribes_to_it() {
    live(Assignor::ALL, &[true, false], |life, context| {
        let answer = life.settle();
        if life.goes_after_racks() && life.assignor.is_cooperative() {
            // What its reader's rack does not have is taken away again and again, and held back each time.
            return;
        }
        let mut read: Vec<(Name, u32)> = Vec::new();
        for member in &life.members {
            for (topic, partition) in &answer[&member.id] {
                assert!(member.subscription.topics.contains(topic), "{context}: {} reads {topic}", member.id);
                read.push((topic.clone(), *partition));
            }
            assert!(answer[&member.id].is_sorted(), "{context}");
        }
        read.sort();
        let subscribed = |name: &Name| life.members.iter().any(|member| member.subscription.topics.contains(name));
        let partitions = |(name, topic): (&Name, &Topic)| {
            let name = name.clone();
            (0..topic.partitions).map(move |partition| (name.clone(), partition))
        };
        let all: Vec<(Name, u32)> =
            life.topics.iter().filter(|(name, _)| subscribed(name)).flat_map(partitions).collect();
        assert_eq!(read, all, "{context}");
    });
}

#[test]
fn with_equal_subscriptions_nobody_has_two_more_than_another() {
    live(&EVEN, &[true], |life, context| {
        let (fewest, most) = sizes(&life.settle());
        assert!(most - fewest <= 1, "{context}: {fewest} to {most}");
    });
}

/// Two members of whom one has two partitions more, one of which the other could read: sticky leaves no such pair. (The
/// uniform assignor may, see `uniform::mixed`.)
#[test]
fn with_different_subscriptions_no_single_move_would_help() {
    live(&[Assignor::Sticky], &[false], |life, context| {
        let new = life.generation == 0;
        let answer = life.settle();
        for (giver, given) in &answer {
            for taker in &life.members {
                let could_take = given.iter().any(|(topic, _)| taker.subscription.topics.contains(topic));
                let uneven = given.len() > answer[&taker.id].len() + 1;
                // Moves that leave the sum of all differences as it was are not made (see `general`).
                assert!(!new || !could_take || !uneven, "{context}: from {giver} to {}", taker.id);
            }
        }
    });
}

#[test]
fn with_equal_subscriptions_nothing_moves_that_need_not() {
    live(&STICKY, &[true], |life, context| {
        // A partition that is out of its reader's rack may move for that alone.
        if life.goes_after_racks() {
            return;
        }
        let owned = life.owned();
        let answer = life.settle();
        let total: usize = answer.values().map(Vec::len).sum();
        let (least, extras) = (total / life.members.len(), total % life.members.len());
        // Everybody may keep `least`, and `extras` of those with more one more.
        let with_more = owned.values().filter(|owned| owned.len() > least).count();
        let may_stay = owned.values().map(|owned| owned.len().min(least)).sum::<usize>() + with_more.min(extras);
        let stayed: usize =
            answer.iter().map(|(member, now)| now.iter().filter(|one| owned[member].contains(one)).count()).sum();
        assert_eq!(stayed, may_stay, "{context}");
    });
}

#[test]
fn nothing_moves_when_nothing_changes() {
    live(&STICKY, &[true, false], |life, context| {
        let before = life.settle();
        if !life.goes_after_racks() {
            assert_eq!(life.settle(), before, "{context}");
        }
    });
}

#[test]
fn cooperative_never_gives_a_partition_away_before_its_owner_has_given_it_up() {
    live(&[Assignor::CooperativeSticky], &[true, false], |life, context| {
        for _ in 0..2 {
            let owned = life.owned();
            for (member, now) in life.rebalance() {
                for (other, owned) in owned.iter().filter(|(other, _)| **other != member) {
                    let taken = now.iter().find(|one| owned.contains(one));
                    assert_eq!(taken, None, "{context}: {member} gets what {other} has");
                }
            }
        }
    });
}

#[test]
fn with_equal_subscriptions_cooperative_comes_in_the_end_to_what_sticky_comes_to() {
    live(&[Assignor::CooperativeSticky], &[true], |life, context| {
        let sticky = Assignor::Sticky.assign(&life.topics, &life.members);
        let cooperative = life.settle();
        if !life.goes_after_racks() {
            assert_eq!(cooperative, sticky, "{context}");
        }
    });
}

#[test]
fn names_are_unique_and_lead_back() {
    for assignor in Assignor::ALL {
        assert_eq!(Assignor::by_name(assignor.name()), Some(*assignor));
        if assignor.is_on_server() {
            assert_eq!(Assignor::on_server(assignor.protocol_name()), Some(*assignor));
        }
    }
    assert_eq!(Assignor::on_server("sticky"), None);
    assert_eq!(Assignor::ALL.iter().collect::<BTreeSet<_>>().len(), 6);
}
