//! `reconcile_848`: one step of one member of a consumer-protocol group towards its target.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::file::parse;
use super::finding::Findings;
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::ReconciliationState;
use crate::kafka::ids::{Generation, TopicId, TopicPartition};
use crate::kafka::modern_group::{Epochs, Reconciliation, Standing};

/// Topic, partition, epoch.
pub type CaseEpochs = BTreeMap<String, BTreeMap<u32, i32>>;

#[derive(Deserialize)]
struct ReconcileCase {
    member: CaseStanding,
    target_epoch: i32,
    target: BTreeMap<String, Vec<u32>>,
    subscription_changed: bool,
    /// `T1:3` and the epoch of whoever holds it.
    other_owner_epoch: BTreeMap<String, i32>,
    owned_reported: Option<BTreeMap<String, Vec<u32>>>,
    expect: Value,
}

/// A member as cases show it.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct CaseStanding {
    state: CaseState,
    member_epoch: i32,
    previous_member_epoch: i32,
    assigned_with_epochs: CaseEpochs,
    pending_revocation_with_epochs: CaseEpochs,
}

/// `MemberState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CaseState {
    Stable,
    UnrevokedPartitions,
    UnreleasedPartitions,
    Unknown,
}

pub fn reconcile_848(_: &[String], case: &Value, findings: &mut Findings) -> Result<(), String> {
    let case: ReconcileCase = parse(case)?;
    let mut topics = TopicNames::default();
    let standing = case.member.standing(&mut topics);
    let target: BTreeSet<TopicPartition> = topics.partitions(&case.target).collect();
    let owned: Option<Vec<TopicPartition>> =
        case.owned_reported.as_ref().map(|owned| topics.partitions(owned).collect());
    let mut held = BTreeSet::new();
    for partition in case.other_owner_epoch.keys() {
        let (topic, number) = partition.rsplit_once(':').ok_or_else(|| format!("`{partition}` is no partition"))?;
        let number = number.parse().map_err(|_| format!("`{partition}` is no partition"))?;
        held.insert(TopicPartition::new(topics.id(topic), number));
    }
    let way = Reconciliation {
        target_epoch: Generation(case.target_epoch),
        target: &target,
        subscribed: None,
        subscription_changed: case.subscription_changed,
        is_held: &|partition| held.contains(&partition),
        owned: owned.as_deref(),
    };
    // Read first, so that what is compared is written in one way.
    let expected = match case.expect.get("error") {
        Some(_) => case.expect,
        None => json!(parse::<CaseStanding>(&case.expect)?),
    };
    let got = match standing.next(&way) {
        Ok(next) => json!(CaseStanding::of(&next, &topics)),
        Err(error) => json!({ "error": exception(error) }),
    };
    findings.compare("member", &expected, &got);
    Ok(())
}

/// Kafka's exception for an error: `FENCED_MEMBER_EPOCH` is thrown as `FencedMemberEpochException`.
pub fn exception(error: ErrorCode) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(1.min(word.len()));
        first.to_owned() + &rest.to_ascii_lowercase()
    };
    error.name().split('_').map(word).collect::<String>() + "Exception"
}

/// The names that a case gives to topics.
#[derive(Default)]
pub struct TopicNames(Vec<String>);

impl TopicNames {
    /// The topic of that name; another one for each name.
    pub fn id(&mut self, name: &str) -> TopicId {
        let at = self.0.iter().position(|known| known == name).unwrap_or_else(|| {
            self.0.push(name.to_owned());
            self.0.len() - 1
        });
        TopicId(at as u32)
    }

    /// The topic of that name, if it has come up.
    pub fn find(&self, name: &str) -> Option<TopicId> {
        let at = self.0.iter().position(|known| known == name)?;
        Some(TopicId(at as u32))
    }

    pub fn name(&self, topic: TopicId) -> String {
        self.0.get(topic.0 as usize).cloned().unwrap_or_default()
    }

    pub fn partitions<'a>(
        &mut self,
        of: &'a BTreeMap<String, Vec<u32>>,
    ) -> impl Iterator<Item = TopicPartition> + use<'a> {
        let topics: Vec<(TopicId, &'a Vec<u32>)> = of.iter().map(|(name, list)| (self.id(name), list)).collect();
        topics.into_iter().flat_map(|(topic, list)| list.iter().map(move |at| TopicPartition::new(topic, *at)))
    }

    fn epochs(&mut self, of: &CaseEpochs) -> Rc<Epochs> {
        let mut epochs = Epochs::new();
        for (name, partitions) in of {
            let topic = self.id(name);
            epochs.extend(partitions.iter().map(|(at, epoch)| (TopicPartition::new(topic, *at), Generation(*epoch))));
        }
        Rc::new(epochs)
    }

    fn shown(&self, epochs: &Epochs) -> CaseEpochs {
        let mut shown = CaseEpochs::new();
        for (at, epoch) in epochs {
            shown.entry(self.name(at.topic)).or_default().insert(at.partition, epoch.0);
        }
        shown
    }
}

impl CaseStanding {
    pub fn standing(&self, topics: &mut TopicNames) -> Standing {
        Standing {
            epoch: Generation(self.member_epoch),
            previous_epoch: Generation(self.previous_member_epoch),
            state: match self.state {
                CaseState::Stable => Some(ReconciliationState::Stable),
                CaseState::UnrevokedPartitions => Some(ReconciliationState::UnrevokedPartitions),
                CaseState::UnreleasedPartitions => Some(ReconciliationState::UnreleasedPartitions),
                CaseState::Unknown => None,
            },
            assigned: topics.epochs(&self.assigned_with_epochs),
            revoking: topics.epochs(&self.pending_revocation_with_epochs),
        }
    }

    fn of(standing: &Standing, topics: &TopicNames) -> Self {
        Self {
            state: state_of(standing),
            member_epoch: standing.epoch.0,
            previous_member_epoch: standing.previous_epoch.0,
            assigned_with_epochs: topics.shown(&standing.assigned),
            pending_revocation_with_epochs: topics.shown(&standing.revoking),
        }
    }
}

/// A member's state, by Kafka's name.
pub fn state_of(standing: &Standing) -> CaseState {
    match standing.state {
        Some(ReconciliationState::Stable) => CaseState::Stable,
        Some(ReconciliationState::UnrevokedPartitions) => CaseState::UnrevokedPartitions,
        Some(ReconciliationState::UnreleasedPartitions) => CaseState::UnreleasedPartitions,
        None => CaseState::Unknown,
    }
}
