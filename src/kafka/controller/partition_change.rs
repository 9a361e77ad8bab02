//! One decision about one partition: who leads it, who is in its ISR, who may lead it if the ISR is empty.
//!
//! Kafka's `PartitionChangeBuilder`, as a pure function of the partition, what is asked for, and who is fit to lead.
//!
//! | election | in this order |
//! |---|---|
//! | `Online` | the present leader, else the first replica, that is in the ISR (or, with an empty ISR, in the ELR) and fit; else the last known leader, if ISR and ELR are empty and it is fit; else nobody |
//! | `Unclean` | the same, but before "nobody": the first replica that is fit, even if records are lost |
//! | `Preferred` | the first replica if it is in the ISR and fit; else as `Online` |
//!
//! ELR (KIP-966): while the ISR is smaller than `min.insync.replicas`, members that leave it are remembered as eligible:
//! the high watermark stands still, so each holds everything committed. An unclean shutdown ends that.
//!
//! A reassignment ends here, too: whatever change makes the ISR hold what the target needs takes the `removing` replicas
//! away in the same record (`completeReassignmentIfNeeded`).
//!
//! What we leave out: log directories.

use std::collections::BTreeSet;

use super::super::ids::{BrokerId, TopicPartition};
use super::super::metadata::{MetadataRecord, PartitionRegistration};

/// How far an election may go (`PartitionChangeBuilder.Election`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Election {
    /// Hand leadership to the first replica if possible.
    Preferred,
    /// Keep the partition online, from ISR and ELR only.
    #[default]
    Online,
    /// Keep the partition online at any price (`unclean.leader.election.enable`).
    Unclean,
}

/// What is asked for. `None` keeps what the partition has.
#[derive(Clone, Debug, Default)]
pub struct ChangeRequest {
    pub election: Election,
    /// The effective `min.insync.replicas`: never more than there are replicas.
    pub min_isr: u32,
    /// Feature `eligible.leader.replicas.version` = 1.
    pub elr_enabled: bool,
    pub target_isr: Option<Vec<BrokerId>>,
    pub target_replicas: Option<Vec<BrokerId>>,
    pub target_adding: Option<Vec<BrokerId>>,
    pub target_removing: Option<Vec<BrokerId>>,
    /// The leader has recovered from an unclean election: it proposes an ISR.
    pub recovered: bool,
    /// A broker that came back without a clean shutdown: it may lack what it had acknowledged.
    pub unclean_shutdown: Option<BrokerId>,
}

/// The fields of the resulting `PartitionChangeRecord`; `None` is unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub isr: Option<Vec<BrokerId>>,
    /// A leader given bumps the leader epoch, even if it is the same one.
    pub leader: Option<Option<BrokerId>>,
    pub replicas: Option<Vec<BrokerId>>,
    pub adding: Option<Vec<BrokerId>>,
    pub removing: Option<Vec<BrokerId>>,
    pub elr: Option<Vec<BrokerId>>,
    pub last_known_elr: Option<Vec<BrokerId>>,
    /// `LeaderRecoveryState`.
    pub recovering: Option<bool>,
}

impl Change {
    /// As a record of the metadata log.
    pub fn into_record(self, partition: TopicPartition) -> MetadataRecord {
        let Self { isr, leader, replicas, adding, removing, elr, last_known_elr, recovering } = self;
        MetadataRecord::PartitionChange {
            partition,
            isr,
            leader,
            replicas,
            adding,
            removing,
            elr,
            last_known_elr,
            recovering,
        }
    }
}

/// Decides; `None` where nothing changes. `fit` tells whether a broker may lead now: unfenced and not shutting down.
pub fn decide(
    partition: &PartitionRegistration,
    request: ChangeRequest,
    fit: impl Fn(BrokerId) -> bool,
) -> Option<Change> {
    let mut change = Change::default();
    let mut target = Target::new(partition, &request);

    let elected = target.elect(partition, &request, &fit);
    if elected.leader != partition.leader {
        change.leader = Some(elected.leader);
        if let Some(leader) = elected.leader {
            if target.elr.contains(&leader) {
                target.elr.retain(|id| *id != leader);
                target.isr = vec![leader];
            }
            if elected.unclean {
                // Only the new leader's log counts from here on.
                change.isr = Some(vec![leader]);
                change.recovering = (!partition.recovering).then_some(true);
            }
        }
    }
    // A replica that was taken away may still believe it leads: a new epoch fences it.
    if change.leader.is_none() && !partition.replicas.iter().all(|id| target.replicas.contains(id)) {
        change.leader = Some(partition.leader);
    }
    if change.isr.is_some() || !request.elr_enabled {
        target.elr.clear();
    }
    if target.elr != partition.elr {
        change.elr = Some(target.elr);
    }
    // Without ELR the last member stays in the ISR, or nobody would know who holds the records.
    let isr_may_change = !target.isr.is_empty() || request.elr_enabled;
    if change.isr.is_none() && isr_may_change && target.isr != partition.isr {
        change.isr = Some(target.isr);
    }
    if request.elr_enabled {
        change.last_known_elr = last_known_leader(partition, change.leader);
    }
    if target.replicas != partition.replicas {
        change.replicas = Some(target.replicas);
    }
    if target.adding != partition.adding {
        change.adding = Some(target.adding);
    }
    if target.removing != partition.removing {
        change.removing = Some(target.removing);
    }
    if request.recovered && partition.recovering {
        change.recovering = Some(false);
    }
    (change != Change::default()).then_some(change)
}

/// The last leader is remembered when the partition loses it, and forgotten when there is one again.
fn last_known_leader(partition: &PartitionRegistration, new_leader: Option<Option<BrokerId>>) -> Option<Vec<BrokerId>> {
    match new_leader {
        Some(None) if partition.last_known_elr.is_empty() => partition.leader.map(|leader| vec![leader]),
        Some(Some(_)) if !partition.last_known_elr.is_empty() => Some(Vec::new()),
        _ => None,
    }
}

/// What the partition is to become, while it is being decided.
struct Target {
    replicas: Vec<BrokerId>,
    adding: Vec<BrokerId>,
    removing: Vec<BrokerId>,
    isr: Vec<BrokerId>,
    elr: Vec<BrokerId>,
}

struct Elected {
    leader: Option<BrokerId>,
    unclean: bool,
}

impl Target {
    fn new(partition: &PartitionRegistration, request: &ChangeRequest) -> Self {
        let of = |target: &Option<Vec<BrokerId>>, present: &Vec<BrokerId>| target.as_ref().unwrap_or(present).clone();
        let mut target = Self {
            replicas: of(&request.target_replicas, &partition.replicas),
            adding: of(&request.target_adding, &partition.adding),
            removing: of(&request.target_removing, &partition.removing),
            isr: of(&request.target_isr, &partition.isr),
            elr: partition.elr.clone(),
        };
        target.complete_reassignment();
        if request.elr_enabled {
            target.populate_elr(partition, request);
        }
        target
    }

    /// Ends a reassignment whose new replicas are all in the ISR. If it takes away more replicas than it adds, every
    /// replica that stays must be there: otherwise the ISR would shrink for nothing
    /// (`PartitionReassignmentReplicas.maybeCompleteReassignment`).
    fn complete_reassignment(&mut self) {
        if self.adding.is_empty() && self.removing.is_empty() {
            return;
        }
        let stay = |ids: &[BrokerId]| -> Vec<BrokerId> {
            ids.iter().copied().filter(|id| !self.removing.contains(id)).collect()
        };
        let (isr, replicas) = (stay(&self.isr), stay(&self.replicas));
        let in_isr = |ids: &[BrokerId]| ids.iter().all(|id| isr.contains(id));
        // Only what is taken away can leave nothing behind.
        let empty = !self.removing.is_empty() && (isr.is_empty() || replicas.is_empty());
        let fewer = self.adding.len() < self.removing.len();
        if empty || !in_isr(&self.adding) || (fewer && !in_isr(&replicas)) {
            return;
        }
        (self.isr, self.replicas) = (isr, replicas);
        self.adding.clear();
        self.removing.clear();
    }

    fn populate_elr(&mut self, partition: &PartitionRegistration, request: &ChangeRequest) {
        if self.isr.len() as u32 >= request.min_isr {
            self.elr.clear();
            return;
        }
        let candidates: BTreeSet<BrokerId> = partition.elr.iter().chain(&partition.isr).copied().collect();
        let eligible = |id: &BrokerId| !self.isr.contains(id) && request.unclean_shutdown != Some(*id);
        self.elr = candidates.into_iter().filter(eligible).collect();
    }

    fn elect(
        &self,
        partition: &PartitionRegistration,
        request: &ChangeRequest,
        fit: &impl Fn(BrokerId) -> bool,
    ) -> Elected {
        let holds_all = |id: BrokerId| self.isr.contains(&id) || (self.isr.is_empty() && self.elr.contains(&id));
        let valid = |id: &BrokerId| holds_all(*id) && fit(*id);
        let preferred = self.replicas.first().filter(|_| request.election == Election::Preferred);
        let clean = preferred
            .filter(|id| valid(id))
            .or(partition.leader.as_ref().filter(|id| valid(id)))
            .or_else(|| self.replicas.iter().find(|id| valid(id)));
        if let Some(leader) = clean {
            return Elected { leader: Some(*leader), unclean: false };
        }
        let unclean = self.last_known_leader(partition, request, fit).or_else(|| {
            let any = || self.replicas.iter().copied().find(|id| fit(*id));
            if request.election == Election::Unclean { any() } else { None }
        });
        Elected { leader: unclean, unclean: unclean.is_some() }
    }

    fn last_known_leader(
        &self,
        partition: &PartitionRegistration,
        request: &ChangeRequest,
        fit: &impl Fn(BrokerId) -> bool,
    ) -> Option<BrokerId> {
        if !request.elr_enabled || !self.isr.is_empty() || !self.elr.is_empty() {
            return None;
        }
        let [leader] = partition.last_known_elr[..] else { return None };
        fit(leader).then_some(leader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[i32]) -> Vec<BrokerId> {
        ids.iter().map(|id| BrokerId(*id)).collect()
    }

    fn partition(replicas: &[i32], isr: &[i32], leader: i32) -> PartitionRegistration {
        let leader = (leader >= 0).then_some(BrokerId(leader));
        PartitionRegistration { replicas: ids(replicas), isr: ids(isr), leader, ..PartitionRegistration::default() }
    }

    fn request(election: Election, min_isr: u32, elr_enabled: bool) -> ChangeRequest {
        ChangeRequest { election, min_isr, elr_enabled, ..ChangeRequest::default() }
    }

    fn fit(brokers: &[i32]) -> impl Fn(BrokerId) -> bool {
        move |id| brokers.contains(&id.0)
    }

    #[test]
    fn a_fit_leader_stays_under_every_election_but_a_preferred_one() {
        let led_by_1 = partition(&[2, 1, 3], &[2, 1, 3], 1);
        for election in [Election::Online, Election::Unclean] {
            assert_eq!(decide(&led_by_1, request(election, 2, true), fit(&[1, 2, 3])), None);
        }
        let change = decide(&led_by_1, request(Election::Preferred, 2, true), fit(&[1, 2, 3])).expect("a change");
        assert_eq!(change, Change { leader: Some(Some(BrokerId(2))), ..Change::default() });
    }

    #[test]
    fn a_preferred_election_without_a_fit_first_replica_changes_nothing() {
        assert_eq!(
            decide(&partition(&[2, 1, 3], &[1, 3], 1), request(Election::Preferred, 2, true), fit(&[1, 2, 3])),
            None
        );
    }

    #[test]
    fn the_first_fit_replica_of_the_isr_follows_a_leader_that_left() {
        let asked = ChangeRequest { target_isr: Some(ids(&[2, 3])), ..request(Election::Online, 2, false) };
        let change = decide(&partition(&[2, 1, 3], &[2, 1, 3], 1), asked, fit(&[1, 2])).expect("a change");
        assert_eq!(change, Change { isr: Some(ids(&[2, 3])), leader: Some(Some(BrokerId(2))), ..Change::default() });
    }

    #[test]
    fn a_smaller_isr_alone_keeps_the_leader_epoch() {
        let asked = ChangeRequest { target_isr: Some(ids(&[2, 1])), ..request(Election::Online, 2, true) };
        let change = decide(&partition(&[2, 1, 3], &[2, 1, 3], 1), asked, fit(&[1, 2])).expect("a change");
        assert_eq!(change, Change { isr: Some(ids(&[2, 1])), ..Change::default() });
    }

    #[test]
    fn without_elr_the_last_member_stays_in_the_isr_of_an_offline_partition() {
        let asked = ChangeRequest { target_isr: Some(Vec::new()), ..request(Election::Online, 1, false) };
        let change = decide(&partition(&[1, 2], &[1], 1), asked, fit(&[2])).expect("a change");
        assert_eq!(change, Change { leader: Some(None), ..Change::default() });
    }

    #[test]
    fn with_elr_the_last_member_becomes_eligible_and_the_last_known_leader() {
        let asked = ChangeRequest { target_isr: Some(Vec::new()), ..request(Election::Online, 1, true) };
        let change = decide(&partition(&[1, 2], &[1], 1), asked, fit(&[2])).expect("a change");
        let expected = Change {
            isr: Some(Vec::new()),
            leader: Some(None),
            elr: Some(ids(&[1])),
            last_known_elr: Some(ids(&[1])),
            ..Change::default()
        };
        assert_eq!(change, expected);
    }

    #[test]
    fn an_eligible_replica_leads_an_empty_isr_without_loss() {
        let offline =
            PartitionRegistration { elr: ids(&[2, 3]), last_known_elr: ids(&[1]), ..partition(&[1, 2, 3], &[], -1) };
        let change = decide(&offline, request(Election::Online, 2, true), fit(&[1, 3])).expect("a change");
        let expected = Change {
            isr: Some(ids(&[3])),
            leader: Some(Some(BrokerId(3))),
            elr: Some(ids(&[2])),
            last_known_elr: Some(Vec::new()),
            ..Change::default()
        };
        assert_eq!(change, expected);
    }

    #[test]
    fn the_last_known_leader_leads_when_isr_and_elr_are_empty() {
        let offline = PartitionRegistration { last_known_elr: ids(&[1]), ..partition(&[1, 2, 3], &[], -1) };
        assert_eq!(decide(&offline, request(Election::Online, 3, true), fit(&[])), None);
        assert_eq!(decide(&offline, request(Election::Online, 3, true), fit(&[2, 3])), None);
        let change = decide(&offline, request(Election::Online, 3, true), fit(&[1])).expect("a change");
        assert_eq!((change.leader, change.isr), (Some(Some(BrokerId(1))), Some(ids(&[1]))));
    }

    #[test]
    fn only_an_unclean_election_takes_a_replica_from_outside_the_isr() {
        let offline = partition(&[2, 1, 3], &[3], -1);
        assert_eq!(decide(&offline, request(Election::Online, 2, false), fit(&[1])), None);
        let change = decide(&offline, request(Election::Unclean, 2, false), fit(&[1])).expect("a change");
        let expected = Change {
            isr: Some(ids(&[1])),
            leader: Some(Some(BrokerId(1))),
            recovering: Some(true),
            ..Change::default()
        };
        assert_eq!(change, expected);
    }

    #[test]
    fn an_unclean_shutdown_ends_eligibility() {
        let asked = ChangeRequest {
            target_isr: Some(ids(&[1])),
            unclean_shutdown: Some(BrokerId(2)),
            ..request(Election::Online, 2, true)
        };
        let held = PartitionRegistration { elr: ids(&[2, 3]), ..partition(&[1, 2, 3], &[1], 1) };
        let change = decide(&held, asked, fit(&[1])).expect("a change");
        assert_eq!(change, Change { elr: Some(ids(&[3])), ..Change::default() });
    }

    #[test]
    fn replicas_put_in_another_order_keep_the_epoch_and_replicas_taken_away_bump_it() {
        let led_by_1 = partition(&[2, 1, 3], &[2, 1, 3], 1);
        let asked =
            |replicas| ChangeRequest { target_replicas: Some(ids(replicas)), ..request(Election::Online, 2, true) };
        let reordered = decide(&led_by_1, asked(&[3, 2, 1]), fit(&[1, 2, 3])).expect("a change");
        assert_eq!(reordered, Change { replicas: Some(ids(&[3, 2, 1])), ..Change::default() });
        let fewer = decide(&led_by_1, asked(&[2, 1]), fit(&[1, 2, 3])).expect("a change");
        assert_eq!(fewer.leader, Some(Some(BrokerId(1))));
    }

    /// 1, 2, 3 on their way to 1, 2, 4.
    fn moving() -> PartitionRegistration {
        PartitionRegistration { adding: ids(&[4]), removing: ids(&[3]), ..partition(&[1, 2, 4, 3], &[1, 2, 3], 1) }
    }

    #[test]
    fn a_reassignment_ends_with_the_change_that_brings_its_new_replicas_into_the_isr() {
        let all = fit(&[1, 2, 3, 4]);
        assert_eq!(decide(&moving(), request(Election::Online, 2, true), &all), None);
        let asked = ChangeRequest { target_isr: Some(ids(&[1, 2, 3, 4])), ..request(Election::Online, 2, true) };
        let expected = Change {
            isr: Some(ids(&[1, 2, 4])),
            // The broker that goes may have led: whoever leads now does so in a new epoch.
            leader: Some(Some(BrokerId(1))),
            replicas: Some(ids(&[1, 2, 4])),
            adding: Some(Vec::new()),
            removing: Some(Vec::new()),
            ..Change::default()
        };
        assert_eq!(decide(&moving(), asked, &all), Some(expected));
    }

    #[test]
    fn a_leader_that_is_taken_away_hands_over_at_the_end() {
        let moving = PartitionRegistration { leader: Some(BrokerId(3)), ..moving() };
        let asked = ChangeRequest { target_isr: Some(ids(&[1, 2, 3, 4])), ..request(Election::Online, 2, true) };
        let change = decide(&moving, asked, fit(&[1, 2, 3, 4])).expect("a change");
        assert_eq!((change.leader, change.isr), (Some(Some(BrokerId(1))), Some(ids(&[1, 2, 4]))));
    }

    #[test]
    fn fewer_replicas_wait_until_all_that_stay_are_in_the_isr() {
        let shrinking = |isr: &[i32]| PartitionRegistration { removing: ids(&[3]), ..partition(&[1, 2, 3], isr, 1) };
        let asked = |isr: &[i32]| ChangeRequest { target_isr: Some(ids(isr)), ..request(Election::Online, 1, true) };
        let all = fit(&[1, 2, 3]);
        assert_eq!(decide(&shrinking(&[1, 3]), asked(&[1, 3]), &all), None);
        let change = decide(&shrinking(&[1, 3]), asked(&[1, 3, 2]), &all).expect("a change");
        assert_eq!((change.replicas, change.isr), (Some(ids(&[1, 2])), Some(ids(&[1, 2]))));
    }

    #[test]
    fn the_first_isr_of_an_uncleanly_elected_leader_ends_its_recovery() {
        let recovering = PartitionRegistration { recovering: true, ..partition(&[1, 2], &[1], 1) };
        let asked =
            ChangeRequest { target_isr: Some(ids(&[1, 2])), recovered: true, ..request(Election::Online, 1, true) };
        let change = decide(&recovering, asked, fit(&[1, 2])).expect("a change");
        assert_eq!(change, Change { isr: Some(ids(&[1, 2])), recovering: Some(false), ..Change::default() });
    }
}
