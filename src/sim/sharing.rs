//! A group on paper: topics and members as somebody types them, what each assignor makes of them, and what moves when
//! members leave.
//!
//! Topics are written `orders:6 users:3`, members `a=orders,users b=orders`. A member without topics (`a`) subscribes to
//! all of them; `c1..c6=orders` is six members.
//!
//! What we leave out: racks and instance ids; the conformance cases of `brokerscope assign` have them.

use std::collections::{BTreeMap, BTreeSet};

use crate::kafka::assignor::{Assignments, Assignor, Member, Topic, Topics};
use crate::kafka::ids::{Generation, Name};

/// The most members and partitions of a group on paper.
const MOST_MEMBERS: usize = 1000;
const MOST_PARTITIONS: u32 = 10_000;

/// More than it takes a group without racks to have everything given out.
const MOST_REBALANCES: i32 = 10;

/// Kafka's bound for a topic's name (`Topic.MAX_NAME_LENGTH`).
const LONGEST_TOPIC: usize = 249;

/// Topics, and members with their subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharing {
    topics: Topics,
    members: Vec<Member>,
}

/// What one assignor makes of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub assignor: Assignor,
    /// In the order of the members, those who have left included.
    pub shares: Vec<Share>,
    /// Partitions that went on from a member who left: these had to.
    pub inherited: u32,
    /// Partitions that went from a member who stayed to another one.
    pub reshuffled: u32,
    /// How many of those a cooperative assignor gives out in a second rebalance only, when their readers have let them go.
    pub held_back: u32,
}

/// What one member has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub member: Name,
    /// It has left; it has nothing any more.
    pub away: bool,
    /// By topic and number.
    pub held: Vec<Held>,
}

/// A partition that a member reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub topic: Name,
    pub partition: u32,
    /// The member that read it before somebody left, if that was another one.
    pub from: Option<Name>,
}

impl Sharing {
    /// Reads what was typed; an error is a sentence that says what is wrong, and what would be right.
    pub fn parse(topics: &str, members: &str) -> Result<Self, String> {
        let topics = parse_topics(topics)?;
        let members = parse_members(members, &topics)?;
        Ok(Self { topics, members })
    }

    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// What the assignor makes of it, new as the group is.
    pub fn assign(&self, assignor: Assignor) -> Assignments {
        assignor.assign(&self.topics, &self.members)
    }

    /// What it comes to when `away` have left a group that had shared everything: all at once, and the others say what they
    /// had.
    pub fn answer(&self, assignor: Assignor, away: &BTreeSet<Name>) -> Answer {
        let before = self.assign(assignor);
        let mut answer = Answer { assignor, shares: Vec::new(), inherited: 0, reshuffled: 0, held_back: 0 };
        if away.is_empty() {
            answer.shares = self.shares(&before, away, |_, _| None);
            return answer;
        }
        let staying: Vec<Member> = self.members.iter().filter(|member| !away.contains(&member.id)).cloned().collect();
        let first = assignor.assign(&self.topics, &owning(&staying, &before, 2));
        let mut after = first.clone();
        // What is held back is given out by the rebalance that follows at once, which may hold something back in turn.
        for generation in 3..3 + if assignor.is_cooperative() { MOST_REBALANCES } else { 0 } {
            let next = assignor.assign(&self.topics, &owning(&staying, &after, generation));
            if next == after {
                break;
            }
            after = next;
        }
        answer.held_back = count(&after).saturating_sub(count(&first));

        let reader_before: BTreeMap<&(Name, u32), &Name> =
            before.iter().flat_map(|(member, held)| held.iter().map(move |one| (one, member))).collect();
        answer.shares = self.shares(&after, away, |member, partition| {
            reader_before.get(partition).filter(|before| **before != member).map(|before| (*before).clone())
        });
        for from in answer.shares.iter().flat_map(|share| &share.held).filter_map(|held| held.from.as_ref()) {
            match away.contains(from) {
                true => answer.inherited += 1,
                false => answer.reshuffled += 1,
            }
        }
        answer
    }

    fn shares(
        &self,
        assignments: &Assignments,
        away: &BTreeSet<Name>,
        from: impl Fn(&Name, &(Name, u32)) -> Option<Name>,
    ) -> Vec<Share> {
        let share = |member: &Member| {
            let held = assignments.get(&member.id).into_iter().flatten().map(|one| {
                let (topic, partition) = one.clone();
                Held { topic, partition, from: from(&member.id, one) }
            });
            Share { member: member.id.clone(), away: away.contains(&member.id), held: held.collect() }
        };
        self.members.iter().map(share).collect()
    }
}

impl Answer {
    /// The most partitions that a member has, minus the fewest, among those who are there.
    pub fn spread(&self) -> usize {
        let counts = || self.shares.iter().filter(|share| !share.away).map(|share| share.held.len());
        counts().max().unwrap_or(0) - counts().min().unwrap_or(0)
    }
}

/// The members, who say that they had this.
fn owning(members: &[Member], assignments: &Assignments, generation: i32) -> Vec<Member> {
    let owned = |member: &Member| assignments.get(&member.id).cloned().unwrap_or_default();
    members.iter().map(|member| member.clone().owning(owned(member), Some(Generation(generation)))).collect()
}

fn count(assignments: &Assignments) -> u32 {
    assignments.values().map(|held| held.len() as u32).sum()
}

fn parse_topics(text: &str) -> Result<Topics, String> {
    let mut topics = Topics::new();
    let mut all = 0_u32;
    for word in text.split(|c: char| c.is_whitespace() || ",;".contains(c)).filter(|word| !word.is_empty()) {
        let example = "a topic is written NAME:PARTITIONS, as in orders:6";
        let (name, number) = word.split_once(':').ok_or_else(|| format!("`{word}` is no topic: {example}"))?;
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > LONGEST_TOPIC || !name.chars().all(legal) {
            return Err(format!(
                "`{name}` is no topic's name: it has 1 to {LONGEST_TOPIC} letters, digits, dots, _ and -"
            ));
        }
        let partitions = number.parse().ok().filter(|number| (1..=MOST_PARTITIONS).contains(number));
        let partitions = partitions.ok_or_else(|| {
            format!("`{number}` is no number of partitions for `{name}`: it has 1 to {MOST_PARTITIONS}")
        })?;
        all += partitions;
        if all > MOST_PARTITIONS {
            return Err(format!("the topics have more than {MOST_PARTITIONS} partitions in all"));
        }
        if topics.insert(name.into(), Topic::of(partitions)).is_some() {
            return Err(format!("the topic `{name}` is there twice"));
        }
    }
    if topics.is_empty() {
        return Err("there is no topic; one is written NAME:PARTITIONS, as in orders:6".into());
    }
    Ok(topics)
}

fn parse_members(text: &str, topics: &Topics) -> Result<Vec<Member>, String> {
    let mut members: Vec<Member> = Vec::new();
    let mut seen: BTreeSet<Name> = BTreeSet::new();
    for word in close_up(text).split(|c: char| c.is_whitespace() || c == ';').filter(|word| !word.is_empty()) {
        let (names, wanted) = word.split_once('=').unwrap_or((word, ""));
        let mut wanted: Vec<Name> = wanted.split(',').filter(|topic| !topic.is_empty()).map(Name::from).collect();
        if let Some(unknown) = wanted.iter().find(|topic| !topics.contains_key(*topic)) {
            let known: Vec<&str> = topics.keys().map(|name| &**name).collect();
            return Err(format!(
                "`{names}` subscribes to `{unknown}`, which is no topic; there is: {}",
                known.join(", ")
            ));
        }
        if wanted.is_empty() {
            if word.contains('=') {
                return Err(format!("`{names}` names no topic after the `=`; without it, it subscribes to all"));
            }
            wanted = topics.keys().cloned().collect();
        }
        for id in parse_names(names)? {
            if !seen.insert(id.clone()) {
                return Err(format!("the member `{id}` is there twice"));
            }
            members.push(Member::new(&id, wanted.iter().cloned()));
        }
        if members.len() > MOST_MEMBERS {
            return Err(format!("there are more than {MOST_MEMBERS} members"));
        }
    }
    if members.is_empty() {
        return Err("there is no member; one is written NAME=TOPIC,TOPIC, as in a=orders,users".into());
    }
    Ok(members)
}

/// `c1..c3` are c1, c2 and c3.
fn parse_names(text: &str) -> Result<Vec<Name>, String> {
    let wrong = || format!("`{text}` is no member's name: it is a word, or a series as in c1..c6");
    let Some((first, last)) = text.split_once("..") else {
        return if text.is_empty() || text.contains(',') { Err(wrong()) } else { Ok(vec![text.into()]) };
    };
    let parts = |name: &str| -> Option<(String, usize)> {
        let letters = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
        Some((letters.to_owned(), name[letters.len()..].parse().ok()?))
    };
    match (parts(first), parts(last)) {
        (Some((letters, from)), Some((same, to))) if letters == same && from <= to && to - from <= MOST_MEMBERS => {
            Ok((from..=to).map(|number| format!("{letters}{number}").into()).collect())
        }
        _ => Err(wrong()),
    }
}

/// Without the blanks around `=` and `,`.
fn close_up(text: &str) -> String {
    let mut closed = String::new();
    let mut blank = false;
    for c in text.chars() {
        if c.is_whitespace() {
            blank = true;
            continue;
        }
        let joins = "=,".contains(c) || closed.ends_with(['=', ',']);
        if std::mem::take(&mut blank) && !joins {
            closed.push(' ');
        }
        closed.push(c);
    }
    closed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away(names: &[&str]) -> BTreeSet<Name> {
        names.iter().map(|name| Name::from(*name)).collect()
    }

    /// `a: orders-0 orders-1`, and `orders-2<b` for what b read before.
    fn show(answer: &Answer) -> Vec<String> {
        let held = |held: &Held| {
            let from = held.from.as_ref().map(|from| format!("<{from}")).unwrap_or_default();
            format!(" {}-{}{from}", held.topic, held.partition)
        };
        answer
            .shares
            .iter()
            .map(|share| format!("{}:{}", share.member, share.held.iter().map(held).collect::<String>()))
            .collect()
    }

    #[test]
    fn a_group_is_read_as_it_is_typed() {
        let typed = Sharing::parse("orders:6, users:3", "a=orders,users b = orders\nc1..c2").unwrap();
        let members: Vec<String> = typed
            .members()
            .iter()
            .map(|member| format!("{} {}", member.id, member.subscription.topics.join("+")))
            .collect();
        assert_eq!(members, ["a orders+users", "b orders", "c1 orders+users", "c2 orders+users"]);
        assert_eq!(typed.topics()["users"].partitions, 3);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (topics, members, part) in [
            ("", "a", "there is no topic"),
            ("orders", "a", "`orders` is no topic: a topic is written NAME:PARTITIONS"),
            ("orders:0", "a", "`0` is no number of partitions for `orders`"),
            ("ord/ers:1", "a", "is no topic's name"),
            ("t:1 t:2", "a", "the topic `t` is there twice"),
            ("a:9999 b:2", "a", "more than 10000 partitions"),
            ("t:1", "", "there is no member"),
            ("t:1", "a a", "the member `a` is there twice"),
            ("t:1", "a=u", "`a` subscribes to `u`, which is no topic; there is: t"),
            ("t:1", "a=", "`a` names no topic after the `=`"),
            ("t:1", "a1..b2", "`a1..b2` is no member's name"),
            ("t:1", "c1..c1001", "more than 1000 members"),
        ] {
            let error = Sharing::parse(topics, members).unwrap_err();
            assert!(error.contains(part), "{topics} {members}: {error}");
        }
    }

    #[test]
    fn with_sticky_only_what_the_leaver_had_moves() {
        let group = Sharing::parse("t:6", "a b c").unwrap();
        let answer = group.answer(Assignor::Sticky, &away(&["b"]));
        assert_eq!(show(&answer), ["a: t-0 t-1<b t-3", "b:", "c: t-2 t-4<b t-5"]);
        assert_eq!((answer.inherited, answer.reshuffled, answer.held_back, answer.spread()), (2, 0, 0, 0));
    }

    #[test]
    fn with_range_neighbours_shift() {
        let group = Sharing::parse("t:6", "a b c").unwrap();
        let answer = group.answer(Assignor::Range, &away(&["a"]));
        assert_eq!(show(&answer), ["a:", "b: t-0<a t-1<a t-2", "c: t-3<b t-4 t-5"]);
        assert_eq!((answer.inherited, answer.reshuffled), (2, 1));
    }

    /// a is the only one who may read u when b has left, and lets go of t, which c then gets.
    #[test]
    fn what_a_cooperative_assignor_holds_back_is_counted() {
        let group = Sharing::parse("t:2 u:3", "a=t,u b=u c=t").unwrap();
        let answer = group.answer(Assignor::CooperativeSticky, &away(&["b"]));
        let everything: usize = answer.shares.iter().map(|share| share.held.len()).sum();
        assert_eq!(everything, 5, "{answer:?}");
        assert_eq!(answer.held_back, answer.reshuffled, "{answer:?}");
    }

    #[test]
    fn nobody_away_moves_nothing() {
        let group = Sharing::parse("t:7", "a b c").unwrap();
        for assignor in Assignor::ALL {
            let answer = group.answer(*assignor, &BTreeSet::new());
            assert_eq!((answer.inherited, answer.reshuffled, answer.held_back, answer.spread()), (0, 0, 0, 1));
        }
    }
}
