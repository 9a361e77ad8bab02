//! `assignor_*`: what an assignor makes of topics and members.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use serde::Deserialize;
use serde_json::Value;

use super::file;
use super::finding::Findings;
use crate::kafka::assignor::{Assignor, Member, Topic, Topics};
use crate::kafka::ids::{Generation, Name};
use crate::kafka::message::Subscription;

/// Each member's partitions, as `topic-0`.
pub type Assignment = BTreeMap<String, Vec<String>>;

/// Topics and members, and perhaps what to expect.
#[derive(Deserialize)]
pub struct AssignCase {
    topics: BTreeMap<String, CaseTopic>,
    members: Vec<CaseMember>,
    expect: Option<BTreeMap<String, Partitions>>,
    /// What the rebalances after this one lead to, where a cooperative assignor still holds partitions back.
    final_target: Option<BTreeMap<String, Partitions>>,
    #[serde(default)]
    props: Props,
    #[serde(rename = "match", default)]
    strictness: Strictness,
}

/// A number of partitions, or that and the racks of each partition's replicas.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a topic is a number of partitions, or a table of `partitions` and `replica_racks`")]
enum CaseTopic {
    /// -1: a topic that the cluster does not know.
    Count(i64),
    Racks {
        partitions: u32,
        #[serde(default)]
        replica_racks: Vec<Vec<Option<String>>>,
    },
}

#[derive(Deserialize)]
struct CaseMember {
    id: String,
    instance_id: Option<String>,
    rack: Option<String>,
    subscription: Vec<String>,
    #[serde(default)]
    owned: Partitions,
    generation: Option<i32>,
}

/// Partitions as `topic-0`, or topic by topic. Where the order of the topics counts, they are a list (see [`read`]).
#[derive(Clone, Deserialize)]
#[serde(untagged, expecting = "partitions are a list as `topic-0`, or a table of topics and their partitions")]
enum Partitions {
    Names(Vec<String>),
    InOrder(Vec<(String, Vec<u32>)>),
    ByTopic(BTreeMap<String, Vec<u32>>),
}

/// How many partitions stay with their owner, and how many go from one member that is still there to another.
#[derive(Deserialize, Default)]
struct Props {
    kept: Option<usize>,
    moved: Option<usize>,
}

/// How near the result must be to what a case expects.
#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum Strictness {
    /// Every member holds just those partitions.
    #[default]
    Exact,
    /// Every partition has one reader, the load is spread as well as there, and as much stays where it was.
    Properties,
}

/// Reads a file of cases, or one of them, and keeps the order in which members name what they own.
pub fn read(path: &Path) -> Result<Value, String> {
    file::read_in_order(path, "owned")
}

impl AssignCase {
    /// What the assignor makes of it.
    pub fn assign(&self, assignor: Assignor) -> Result<Assignment, String> {
        let members = self.members.iter().map(CaseMember::to_member).collect::<Result<Vec<_>, _>>()?;
        self.assign_to(assignor, &members)
    }

    fn assign_to(&self, assignor: Assignor, members: &[Member]) -> Result<Assignment, String> {
        let topics: Topics =
            self.topics.iter().filter_map(|(name, topic)| Some((name.as_str().into(), topic.to_topic()?))).collect();
        let mut subscribed = members.iter().flat_map(|member| &member.subscription.topics);
        if let Some(unknown) = subscribed.find(|name| assignor.is_on_server() && !topics.contains_key(*name)) {
            return Err(format!("a member subscribes to `{unknown}`, which is no topic (PartitionAssignorException)"));
        }
        let assigned = if assignor.is_on_server() {
            in_order_of_numbers(topics, members, |topics, members| assignor.assign(topics, members))
        } else {
            assignor.assign(&topics, members)
        };
        let written = |(topic, partition): (Name, u32)| format!("{topic}-{partition}");
        Ok(assigned.into_iter().map(|(id, list)| (id.to_string(), list.into_iter().map(written).collect())).collect())
    }

    /// What becomes of an answer in the next rebalance, when everybody has given up what was taken away.
    fn follow_up(&self, assignor: Assignor, answer: &Assignment) -> Result<Assignment, String> {
        let generation = self.members.iter().filter_map(|member| member.generation).max().unwrap_or(0) + 1;
        let member = |member: &CaseMember| {
            let owned = Partitions::Names(answer.get(&member.id).cloned().unwrap_or_default());
            let (id, subscription) = (member.id.clone(), member.subscription.clone());
            let (instance_id, rack) = (member.instance_id.clone(), member.rack.clone());
            CaseMember { id, instance_id, rack, subscription, owned, generation: Some(generation) }.to_member()
        };
        self.assign_to(assignor, &self.members.iter().map(member).collect::<Result<Vec<_>, _>>()?)
    }

    /// Every partition of a topic somebody reads is there once, at a member that reads the topic.
    fn check_properties(&self, expected: &Assignment, got: &Assignment, findings: &mut Findings) {
        let mut readers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (member, partitions) in got {
            for partition in partitions {
                readers.entry(partition).or_default().push(member);
            }
        }
        let mut partitions = 0;
        for (name, topic) in &self.topics {
            let subscribed: Vec<&CaseMember> = self.members.iter().filter(|m| m.subscription.contains(name)).collect();
            let Some(topic) = topic.to_topic().filter(|_| !subscribed.is_empty()) else { continue };
            for partition in (0..topic.partitions).map(|partition| format!("{name}-{partition}")) {
                partitions += 1;
                let readers = readers.get(partition.as_str()).map_or(&[][..], Vec::as_slice);
                if !matches!(readers, [one] if subscribed.iter().any(|member| member.id == *one)) {
                    findings.add(&partition, "one subscribed member", format!("{readers:?}"));
                }
            }
        }
        findings.compare("partitions in all", &partitions, &got.values().map(Vec::len).sum());
        if spread(got) > spread(expected) {
            let (expected, got) = (spread(expected), spread(got));
            findings.add("most minus fewest partitions", format!("at most {expected}"), got.to_string());
        }
        self.check_moves(got, findings);
    }

    fn check_moves(&self, got: &Assignment, findings: &mut Findings) {
        let reader_of: BTreeMap<&String, &String> =
            got.iter().flat_map(|(member, list)| list.iter().map(move |partition| (partition, member))).collect();
        let (mut kept, mut moved) = (0, 0);
        for member in &self.members {
            for partition in member.owned.names() {
                match reader_of.get(&partition) {
                    Some(reader) if **reader == member.id => kept += 1,
                    Some(_) => moved += 1,
                    None => {}
                }
            }
        }
        if self.props.kept.is_some_and(|least| kept < least) {
            findings.add("partitions kept", format!("at least {}", self.props.kept.unwrap_or(0)), kept.to_string());
        }
        // Where the answer of upstream held moves back, its count says nothing of the moves in the end.
        if self.final_target.is_none() && self.props.moved.is_some_and(|most| moved > most) {
            findings.add("partitions moved", format!("at most {}", self.props.moved.unwrap_or(0)), moved.to_string());
        }
    }
}

/// Runs a case. The order of a member's partitions does not count: upstream's tests compare sets.
pub fn assignor(assignor: Assignor, case: &Value, findings: &mut Findings) -> Result<(), String> {
    let case: AssignCase = file::parse(case)?;
    let expected = sorted(case.expect.as_ref().ok_or("missing field `expect`")?);
    let got = case.assign(assignor)?;
    let in_the_end = match &case.final_target {
        Some(target) => Some((sorted(target), case.follow_up(assignor, &got)?)),
        None => None,
    };
    if matches!(case.strictness, Strictness::Properties) {
        let (expected, got) = in_the_end.unwrap_or((expected, got));
        case.check_properties(&expected, &got, findings);
        return Ok(());
    }
    findings.compare("assignment", &expected, &without_order(got));
    if let Some((target, got)) = in_the_end {
        findings.compare("assignment in the end", &target, &without_order(got));
    }
    Ok(())
}

/// The coordinator goes through topics by their ids, which the vectors number: T10 comes after T9. Here topics go by their
/// names; so they are called by other ones meanwhile.
fn in_order_of_numbers(
    topics: Topics,
    members: &[Member],
    assign: impl Fn(&Topics, &[Member]) -> BTreeMap<Name, Vec<(Name, u32)>>,
) -> BTreeMap<Name, Vec<(Name, u32)>> {
    let mut names: Vec<Name> = topics.keys().cloned().collect();
    names.sort_by_key(|name| {
        let letters = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
        (letters.to_owned(), name[letters.len()..].parse::<u64>().ok(), name.clone())
    });
    let places: BTreeMap<Name, usize> = names.iter().cloned().zip(0..).collect();
    let called = |name: &Name| -> Name {
        match places.get(name) {
            Some(place) => format!("{place:08}").into(),
            None => name.clone(),
        }
    };
    let call = |(name, partition): &(Name, u32)| (called(name), *partition);
    let members: Vec<Member> = members
        .iter()
        .map(|member| {
            let mut subscription = (*member.subscription).clone();
            subscription.topics = subscription.topics.iter().map(called).collect();
            subscription.owned_partitions = subscription.owned_partitions.iter().map(call).collect();
            Member { subscription: Rc::new(subscription), ..member.clone() }
        })
        .collect();
    let topics: Topics = topics.into_iter().map(|(name, topic)| (called(&name), topic)).collect();
    let by_name = |(number, partition): (Name, u32)| {
        let name = number.parse().ok().and_then(|place: usize| names.get(place)).cloned();
        (name.unwrap_or(number), partition)
    };
    let assigned = assign(&topics, &members);
    assigned.into_iter().map(|(id, list)| (id, list.into_iter().map(by_name).collect())).collect()
}

fn sorted(assignment: &BTreeMap<String, Partitions>) -> Assignment {
    without_order(assignment.iter().map(|(member, partitions)| (member.clone(), partitions.names())).collect())
}

/// Sorted; a member that has nothing may be there or not.
fn without_order(mut assignment: Assignment) -> Assignment {
    assignment.retain(|_, list| !list.is_empty());
    for list in assignment.values_mut() {
        list.sort_by(|a, b| split(a).cmp(&split(b)));
    }
    assignment
}

impl CaseTopic {
    fn to_topic(&self) -> Option<Topic> {
        match self {
            Self::Count(partitions) => u32::try_from(*partitions).ok().map(Topic::of),
            Self::Racks { partitions, replica_racks } => Some(Topic {
                partitions: *partitions,
                // A replica on a broker without a rack says nothing.
                replica_racks: replica_racks
                    .iter()
                    .map(|racks| racks.iter().flatten().map(|r| r.as_str().into()).collect())
                    .collect(),
            }),
        }
    }
}

impl CaseMember {
    fn to_member(&self) -> Result<Member, String> {
        let owned = self.owned.names();
        let owned = owned.iter().map(|text| split(text).ok_or_else(|| format!("`{text}` is no partition")));
        let owned_partitions: Vec<(Name, u32)> =
            owned.map(|owned| owned.map(|(topic, partition)| (topic.into(), partition))).collect::<Result<_, _>>()?;
        let generation = self.generation.filter(|generation| *generation >= 0).map(Generation);
        let subscription = Subscription {
            topics: self.subscription.iter().map(|topic| topic.as_str().into()).collect(),
            rack: self.rack.as_deref().map(Name::from),
            ..Subscription::default()
        };
        let instance_id = self.instance_id.as_deref().map(Name::from);
        let member = Member { id: self.id.as_str().into(), instance_id, subscription: Rc::new(subscription) };
        Ok(member.owning(owned_partitions, generation))
    }
}

impl Partitions {
    fn names(&self) -> Vec<String> {
        fn flat<'a>(topics: impl Iterator<Item = (&'a String, &'a Vec<u32>)>) -> Vec<String> {
            topics.flat_map(|(topic, list)| list.iter().map(move |partition| format!("{topic}-{partition}"))).collect()
        }
        match self {
            Self::Names(names) => names.clone(),
            Self::InOrder(topics) => flat(topics.iter().map(|(topic, list)| (topic, list))),
            Self::ByTopic(topics) => flat(topics.iter()),
        }
    }
}

impl Default for Partitions {
    fn default() -> Self {
        Self::Names(Vec::new())
    }
}

/// `orders-0` as a topic and a number.
fn split(partition: &str) -> Option<(&str, u32)> {
    let (topic, number) = partition.rsplit_once('-')?;
    Some((topic, number.parse().ok()?))
}

/// The most partitions that a member has, minus the fewest.
fn spread(assignment: &Assignment) -> usize {
    let counts = || assignment.values().map(Vec::len);
    counts().max().unwrap_or(0) - counts().min().unwrap_or(0)
}
