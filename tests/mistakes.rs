//! Proof that the checks can fail: each mistake, planted in an otherwise sound model, is found.
//!
//! Built with `--features planted-mistakes` only. `MISTAKE=name` tries one alone and says which seed found it.

#![cfg(not(target_arch = "wasm32"))]

use brokerscope::kafka::mistakes::Mistake;
use brokerscope::sim::faults::Faults;
use brokerscope::sim::trial;

/// A mistake, within how many seeds from 1 on it must be found, and under which faults.
const ALLOWED: &[(Mistake, u64, &str)] = &[
    (Mistake::HighWatermarkWithoutIsr, 5, "all"),
    (Mistake::HighWatermarkIsLogEnd, 5, "all"),
    (Mistake::MinIsrIgnored, 5, "all"),
    (Mistake::DivergenceIgnored, 20, "all"),
    (Mistake::TruncationToHighWatermark, 80, "power,kill,stop"),
    (Mistake::LeaderOutsideIsr, 5, "all"),
    (Mistake::IsrShrinkBeforeCommit, 100, "all"),
    (Mistake::IsrExpansionWithoutCatchingUp, 20, "all"),
    (Mistake::AcksAllAfterLocalAppend, 5, "all"),
    (Mistake::FetchAboveHighWatermark, 5, "all"),
    (Mistake::CommitBeforeReplication, 5, "all"),
    (Mistake::PartitionAssignedTwice, 5, "all"),
    (Mistake::GenerationNotChecked, 50, "pause,slow"),
    (Mistake::SentCountsAsReceived, 5, "all"),
    (Mistake::StaleAlterPartition, 150, "all"),
    (Mistake::UncleanShutdownForgotten, 20, "power,kill,wipe,pause,cut"),
    (Mistake::FencedReplicaJoins, 10, "all"),
    (Mistake::VoteGrantedTwice, 50, "all"),
    (Mistake::QuorumCommitsAlone, 60, "all"),
    (Mistake::DuplicateAppendedAgain, 10, "all"),
    (Mistake::SequencesNotCopied, 20, "all"),
    (Mistake::HeartbeatOfAnybody, 20, "pause,slow,members"),
    (Mistake::OldAssignmentKept, 10, "members,stop"),
    (Mistake::StaticMemberNotFenced, 200, "members"),
    (Mistake::SessionNeverEnds, 200, "kill,pause"),
    (Mistake::CooperationLeftOut, 20, "members,stop"),
    (Mistake::HeartbeatBeforeReplication, 20, "all"),
    (Mistake::PartitionNotReleased, 20, "members,stop"),
    (Mistake::GroupEpochKept, 20, "kill,stop"),
    (Mistake::CommitOfAnyMember, 50, "pause,slow,members"),
    (Mistake::OutAndReading, 50, "pause,slow,members"),
    (Mistake::CommittedOffsetIgnored, 20, "members,stop"),
    (Mistake::ShareStateForgotten, 50, "kill,stop"),
    (Mistake::ShareHoldersForgotten, 200, "pause,tool"),
    (Mistake::DeliveriesNotCounted, 100, "pause,slow,members"),
];

/// The first seed whose run fails, and how.
fn find(mistake: Mistake, seeds: u64, faults: &str) -> Option<(u64, String)> {
    let kinds = Faults::kinds_of(faults).expect("kinds of faults");
    (1..=seeds).find_map(|seed| {
        let mut scenario = trial::random(seed, &kinds);
        trial::plant(&mut scenario, mistake.name());
        Some((seed, trial::run(&scenario).failure?.name))
    })
}

#[test]
fn every_mistake_is_found_within_its_seeds() {
    let wanted = std::env::var("MISTAKE").ok();
    let mut missed = Vec::new();
    for (mistake, seeds, faults) in ALLOWED {
        if wanted.as_deref().is_some_and(|wanted| wanted != mistake.name()) {
            continue;
        }
        match find(*mistake, *seeds, faults) {
            Some((seed, property)) => println!("{}: seed {seed}, {property}", mistake.name()),
            None => missed.push(format!("{} in {seeds} seeds", mistake.name())),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:#?}");
}

#[test]
fn the_table_names_every_mistake() {
    for mistake in Mistake::ALL {
        assert!(ALLOWED.iter().any(|(of, ..)| *of == mistake), "{}", mistake.name());
    }
    assert!(ALLOWED.len() >= 12);
    assert!(ALLOWED.iter().all(|(_, seeds, _)| *seeds <= 200));
}

#[test]
fn no_seed_fails_without_a_mistake() {
    for faults in ["all", "all,wipe"] {
        assert_eq!(find(Mistake::None, 60, faults), None);
    }
}

/// Where everything else is sound, the shortest run that fails is short, and fails when it is read back.
#[test]
fn the_shortest_run_is_short_and_still_fails() {
    let mut scenario = trial::random(1, &Faults::kinds_of("all").expect("kinds of faults"));
    scenario.cluster_config.push(("planted.mistake".into(), Mistake::HighWatermarkIsLogEnd.name().into()));
    let failure = trial::run(&scenario).failure.expect("it is found at once");
    let (shortest, why) = trial::shortest(&scenario, &failure);
    assert_eq!(why.name, failure.name);
    assert_eq!(trial::commands(&shortest).count(), 0, "it needs no fault\n{}", shortest.to_toml());
    let again = brokerscope::sim::scenario::Scenario::parse(&shortest.to_toml()).expect("a scenario file");
    assert_eq!(trial::run(&again).failure, Some(why));
}
