//! `assignor_*`: what an assignor makes of topics and members.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::Deserialize;
use serde_json::Value;

use super::file::parse;
use super::finding::Findings;
use crate::kafka::assignor::{Assignor, Member, Topic, Topics};
use crate::kafka::ids::{Generation, Name};
use crate::kafka::message::{Subscription, UserData};

/// Each member's partitions, as `topic-0`.
pub type Assignment = BTreeMap<String, Vec<String>>;

/// Topics and members, and perhaps what to expect.
#[derive(Deserialize)]
pub struct AssignCase {
    topics: BTreeMap<String, CaseTopic>,
    members: Vec<CaseMember>,
    expect: Option<Assignment>,
    #[serde(rename = "match", default)]
    strictness: Strictness,
}

/// A number of partitions, or that and the racks of each partition's replicas.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a topic is a number of partitions, or a table of `partitions` and `replica_racks`")]
enum CaseTopic {
    Count(u32),
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
    owned: Vec<String>,
    generation: Option<i32>,
}

/// How near the result must be to what a case expects.
#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum Strictness {
    /// Every member holds just those partitions.
    #[default]
    Exact,
    /// Every partition has one reader, and the load is spread as well as there.
    Properties,
}

impl AssignCase {
    /// What the assignor makes of it.
    pub fn assign(&self, assignor: Assignor) -> Result<Assignment, String> {
        let topics: Topics = self.topics.iter().map(|(name, topic)| (name.as_str().into(), topic.to_topic())).collect();
        let members = self.members.iter().map(CaseMember::to_member).collect::<Result<Vec<_>, _>>()?;
        let assigned = assignor.assign(&topics, &members);
        let written = |(topic, partition): (Name, u32)| format!("{topic}-{partition}");
        Ok(assigned.into_iter().map(|(id, list)| (id.to_string(), list.into_iter().map(written).collect())).collect())
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
            if subscribed.is_empty() {
                continue;
            }
            for partition in (0..topic.to_topic().partitions).map(|partition| format!("{name}-{partition}")) {
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
    }
}

/// Runs a case. The order of a member's partitions does not count: upstream's tests compare sets.
pub fn assignor(assignor: Assignor, case: &Value, findings: &mut Findings) -> Result<(), String> {
    let case: AssignCase = parse(case)?;
    let mut expected = case.expect.clone().ok_or("missing field `expect`")?;
    let mut got = case.assign(assignor)?;
    if matches!(case.strictness, Strictness::Properties) {
        case.check_properties(&expected, &got, findings);
        return Ok(());
    }
    for list in expected.values_mut().chain(got.values_mut()) {
        list.sort_by(|a, b| split(a).cmp(&split(b)));
    }
    findings.compare("assignment", &expected, &got);
    Ok(())
}

impl CaseTopic {
    fn to_topic(&self) -> Topic {
        match self {
            Self::Count(partitions) => Topic::of(*partitions),
            Self::Racks { partitions, replica_racks } => Topic {
                partitions: *partitions,
                // A replica on a broker without a rack says nothing.
                replica_racks: replica_racks
                    .iter()
                    .map(|racks| racks.iter().flatten().map(|r| r.as_str().into()).collect())
                    .collect(),
            },
        }
    }
}

impl CaseMember {
    fn to_member(&self) -> Result<Member, String> {
        let owned = self.owned.iter().map(|text| split(text).ok_or_else(|| format!("`{text}` is no partition")));
        let owned_partitions: Vec<(Name, u32)> =
            owned.map(|owned| owned.map(|(topic, partition)| (topic.into(), partition))).collect::<Result<_, _>>()?;
        let generation = self.generation.filter(|generation| *generation >= 0).map(Generation);
        let subscription = Subscription {
            topics: self.subscription.iter().map(|topic| topic.as_str().into()).collect(),
            user_data: Some(UserData::Sticky { partitions: owned_partitions.clone(), generation }),
            owned_partitions,
            generation,
            rack: self.rack.as_deref().map(Name::from),
        };
        let instance_id = self.instance_id.as_deref().map(Name::from);
        Ok(Member { id: self.id.as_str().into(), instance_id, subscription: Rc::new(subscription) })
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
