//! `partition_change`: what the controller makes of one partition.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::file::parse;
use super::finding::Findings;
use crate::kafka::controller::partition_change::{Change, ChangeRequest, Election, decide};
use crate::kafka::ids::{BrokerId, LeaderEpoch, PartitionEpoch};
use crate::kafka::metadata::PartitionRegistration;

#[derive(Deserialize)]
struct ChangeCase {
    partition: CasePartition,
    request: CaseRequest,
    expect: Expected,
}

#[derive(Deserialize)]
struct CasePartition {
    replicas: Vec<i32>,
    isr: Vec<i32>,
    #[serde(default)]
    elr: Vec<i32>,
    #[serde(default)]
    last_known_elr: Vec<i32>,
    #[serde(default)]
    adding: Vec<i32>,
    #[serde(default)]
    removing: Vec<i32>,
    #[serde(default)]
    leader_recovery_state: Recovery,
    /// -1 where there is none.
    leader: i32,
    leader_epoch: i32,
    partition_epoch: i32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Recovery {
    #[default]
    Recovered,
    Recovering,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum CaseElection {
    Preferred,
    Online,
    Unclean,
}

#[derive(Deserialize)]
struct CaseRequest {
    election: CaseElection,
    min_isr: u32,
    elr_enabled: bool,
    target_isr: Option<Vec<i32>>,
    target_replicas: Option<Vec<i32>>,
    target_adding: Option<Vec<i32>>,
    target_removing: Option<Vec<i32>>,
    target_leader_recovery_state: Option<Recovery>,
    acceptable_leaders: Vec<i32>,
}

/// The fields of the record; what is absent is unchanged.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Expected {
    #[serde(skip_serializing)]
    no_change: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    isr: Option<Vec<i32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replicas: Option<Vec<i32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adding: Option<Vec<i32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removing: Option<Vec<i32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    elr: Option<Vec<i32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_known_elr: Option<Vec<i32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader_recovery_state: Option<Recovery>,
}

pub fn partition_change(_: &[String], case: &Value, findings: &mut Findings) -> Result<(), String> {
    let ChangeCase { partition, request, expect } = parse(case)?;
    let fit = |id: BrokerId| request.acceptable_leaders.contains(&id.0);
    let change = decide(&partition.registration(), request.asked(), fit);
    if expect.no_change {
        findings.compare("no_change", &true, &change.is_none());
    }
    // A change of log directories alone is a record without any of these fields, where nothing is decided here.
    findings.compare("record", &Expected { no_change: false, ..expect }, &Expected::of(change.unwrap_or_default()));
    Ok(())
}

fn ids(numbers: &[i32]) -> Vec<BrokerId> {
    numbers.iter().map(|number| BrokerId(*number)).collect()
}

impl CasePartition {
    fn registration(&self) -> PartitionRegistration {
        PartitionRegistration {
            replicas: ids(&self.replicas),
            isr: ids(&self.isr),
            elr: ids(&self.elr),
            last_known_elr: ids(&self.last_known_elr),
            adding: ids(&self.adding),
            removing: ids(&self.removing),
            recovering: self.leader_recovery_state == Recovery::Recovering,
            leader: Some(BrokerId(self.leader)).filter(|leader| leader.0 >= 0),
            leader_epoch: LeaderEpoch(self.leader_epoch),
            partition_epoch: PartitionEpoch(self.partition_epoch),
        }
    }
}

impl CaseRequest {
    fn asked(&self) -> ChangeRequest {
        ChangeRequest {
            election: match self.election {
                CaseElection::Preferred => Election::Preferred,
                CaseElection::Online => Election::Online,
                CaseElection::Unclean => Election::Unclean,
            },
            min_isr: self.min_isr,
            elr_enabled: self.elr_enabled,
            target_isr: self.target_isr.as_deref().map(ids),
            target_replicas: self.target_replicas.as_deref().map(ids),
            target_adding: self.target_adding.as_deref().map(ids),
            target_removing: self.target_removing.as_deref().map(ids),
            recovered: self.target_leader_recovery_state == Some(Recovery::Recovered),
            unclean_shutdown: None,
        }
    }
}

impl Expected {
    fn of(change: Change) -> Self {
        let numbers = |ids: Option<Vec<BrokerId>>| ids.map(|ids| ids.iter().map(|id| id.0).collect());
        Self {
            no_change: false,
            isr: numbers(change.isr),
            leader: change.leader.map(|leader| leader.map_or(-1, |leader| leader.0)),
            replicas: numbers(change.replicas),
            adding: numbers(change.adding),
            removing: numbers(change.removing),
            elr: numbers(change.elr),
            last_known_elr: numbers(change.last_known_elr),
            leader_recovery_state: change.recovering.map(|recovering| match recovering {
                true => Recovery::Recovering,
                false => Recovery::Recovered,
            }),
        }
    }
}
