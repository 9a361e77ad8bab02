//! Seeded runs: random small clusters under random faults, with every check of the model on after every event.
//!
//! A failure prints its seed and the run as a scenario file; `SEED=7 cargo test --test seeds` runs that seed alone, and
//! `MORE=10000` goes on behind the last one.

use std::fmt::Write;
use std::panic::{self, AssertUnwindSafe};

use brokerscope::rng::Rng;
use brokerscope::sim::command::Command;
use brokerscope::sim::faults::Faults;
use brokerscope::sim::history::History;
use brokerscope::sim::random::{self, FAULT_STREAM, Sort, safe_targets};
use brokerscope::sim::report::{BrokerState, Report};
use brokerscope::sim::scenario::Scenario;
use brokerscope::sim::world::World;
use brokerscope::time::{Duration, Instant};

/// Faults come from here on.
const CALM_UNTIL: u64 = 4_000;
/// From here on everything is being put right.
const HEALED_AT: u64 = 40_000;
/// The longest a healed cluster may take: a session timeout, a rebalance, an ISR's return, the last automatic commit.
const QUIET_AT: u64 = 130_000;

/// With `acks=all`, `min.insync.replicas=2`, replication factor 3 and clean elections no crash, freeze or cut costs an
/// acknowledged record, and what was healed works again: the ISR is full, and the group has read everything. (Power that
/// fails on as many machines as are asked to have a record may; what is promised then, the other tests' checks know.)
#[test]
fn a_cluster_that_was_hurt_and_healed_has_lost_nothing_and_serves_everyone() {
    for_each_seed(1..=400, |seed| {
        let text = trouble(seed, "all", "all,-power");
        let mut world = world(&text);
        world.run_until(millis(QUIET_AT));
        let report = world.report();
        all_checks_hold(&report, &text);
        nothing_acked_is_lost(&report, &text);
        everything_has_recovered(&report, &text);
    });
}

/// Checks hold in the middle of the trouble as well, whatever the settings promise: here the producer does not wait.
#[test]
fn the_model_keeps_its_promises_with_any_acks() {
    for_each_seed(1001..=1150, |seed| {
        let acks = if seed % 2 == 0 { "1" } else { "0" };
        let text = trouble(seed, acks, "all");
        let mut world = world(&text);
        world.run_until(millis(QUIET_AT));
        let report = world.report();
        all_checks_hold(&report, &text);
        everything_has_recovered(&report, &text);
    });
}

/// A broker that stops cleanly hands its leaderships over first, so a rolling restart fails no record.
#[test]
fn a_rolling_restart_fails_no_record_and_loses_none() {
    for_each_seed(2001..=2040, |seed| {
        let mut text = cluster(seed, "all");
        for (broker, at) in (1..=3).zip([8, 28, 48]) {
            step(&mut text, at * 1000, &format!("stop broker-{broker}"));
            step(&mut text, at * 1000 + 10_000, &format!("start broker-{broker}"));
        }
        let mut world = world(&text);
        world.run_until(millis(QUIET_AT));
        let report = world.report();
        all_checks_hold(&report, &text);
        nothing_acked_is_lost(&report, &text);
        everything_has_recovered(&report, &text);
        assert_eq!(report.ledger.failed, 0, "records failed\n{text}");
    });
}

/// A run is its scenario, its seed and its commands.
#[test]
fn the_same_seed_gives_the_same_facts_and_another_seed_others() {
    for_each_seed(3001..=3030, |seed| {
        let text = trouble(seed, "all", "all");
        let hash = |text: &str| {
            let mut world = world(text);
            world.run_until(millis(HEALED_AT));
            (world.fact_count(), world.trace_hash())
        };
        assert_eq!(hash(&text), hash(&text), "{text}");
        let other = text.replacen(&format!("seed = {seed}\n"), &format!("seed = {}\n", seed + 1), 1);
        assert_ne!(hash(&text), hash(&other), "{text}");
    });
}

/// Wherever a seek goes to, back or forward, the world is the one that an uninterrupted run has at that moment.
#[test]
fn a_seek_leads_to_the_world_of_an_uninterrupted_run() {
    for_each_seed(4001..=4020, |seed| {
        let text = trouble(seed, "all", "all");
        let mut history = History::new(&scenario(&text));
        history.seek(millis(30_000));
        let mut rng = Rng::new(seed, 77);
        for at in (0..8).map(|_| rng.between(0, 35_000)) {
            history.seek(millis(at));
            let mut straight = world(&text);
            straight.run_until(millis(at));
            assert_eq!(as_json(&history.world().report()), as_json(&straight.report()), "at {at} ms\n{text}");
        }
    });
}

/// Commands given by hand are part of the run: a replay has them, and the scenario file of the run has them as steps.
#[test]
fn a_run_with_commands_can_be_replayed_and_written_down() {
    for_each_seed(5001..=5080, |seed| {
        let text = cluster(seed, "all");
        let mut history = History::new(&scenario(&text));
        for (at, command) in faults(seed, "all") {
            history.seek(at);
            // What cannot be done at this moment is refused, and is no part of the run.
            let _ = history.command(&command);
        }
        let now = history.now();
        let (hash, report) = (history.world().trace_hash(), as_json(&history.world().report()));

        history.seek(millis(2_000));
        history.seek(now);
        assert_eq!(as_json(&history.world().report()), report, "replayed\n{text}");

        let written = history.as_scenario(&text);
        let mut again = world(&written);
        again.run_until(now);
        assert_eq!(again.trace_hash(), hash, "written down\n{written}");
    });
}

/// A small cluster that promises to keep what it has acknowledged, unless the producers do not wait.
fn cluster(seed: u64, acks: &'static str) -> String {
    random::cluster(seed, Sort::Safe { acks }, Duration::millis(QUIET_AT), Duration::secs(35))
}

/// The cluster, its faults, and how they are put right.
fn trouble(seed: u64, acks: &'static str, kinds: &str) -> String {
    let mut text = cluster(seed, acks);
    let healed = millis(HEALED_AT);
    let repairs = Faults::repairs(healed, &safe_targets());
    // A broker that was told to stop could not before the controller was back.
    let again = repairs.iter().filter(|(_, command)| matches!(command, Command::Start { .. }));
    let again = again.map(|(at, command)| (*at + Duration::secs(19), command.clone())).collect();
    for (at, command) in [faults(seed, kinds), repairs, again].concat() {
        step(&mut text, at.as_micros() / 1000, &command.to_string());
    }
    text
}

/// Crashes, freezes, slowness, cuts and lossy links at random moments, in the order of their times.
fn faults(seed: u64, kinds: &str) -> Vec<(Instant, Command)> {
    let faults = Faults {
        kinds: Faults::kinds_of(kinds).expect("kinds of faults"),
        count: (3, 14),
        from: millis(CALM_UNTIL),
        until: millis(HEALED_AT),
        lasting: (Duration::millis(100), Duration::secs(15)),
        topics: Vec::new(),
        consumers: Vec::new(),
    };
    faults.draw(&mut Rng::new(seed, FAULT_STREAM), &safe_targets())
}

fn step(text: &mut String, at: u64, run: &str) {
    let _ = write!(text, "\n[[step]]\nat = \"{at}ms\"\nrun = \"{run}\"\n");
}

fn all_checks_hold(report: &Report, text: &str) {
    assert!(report.violations.is_empty(), "{:#?}\n{text}", report.violations);
}

fn nothing_acked_is_lost(report: &Report, text: &str) {
    assert_eq!(report.ledger.lost, 0, "acknowledged records are lost\n{text}");
}

fn everything_has_recovered(report: &Report, text: &str) {
    for broker in &report.cluster.brokers {
        assert_eq!(broker.state, BrokerState::Running, "broker-{}\n{text}", broker.id);
    }
    for (name, topic) in &report.topics {
        for (number, partition) in &topic.partitions {
            let (mut isr, mut replicas) = (partition.isr.clone(), partition.replicas.clone());
            isr.sort_unstable();
            replicas.sort_unstable();
            assert_eq!(isr, replicas, "the ISR of {name}-{number}\n{text}");
            assert!(partition.leader.is_some(), "{name}-{number} has no leader\n{text}");
        }
    }
    for (name, producer) in &report.producers {
        assert_eq!(producer.pending, 0, "{name} still waits\n{text}");
    }
    let group = report.groups.get("g").unwrap_or_else(|| panic!("no group\n{text}"));
    assert_eq!(group.state, "Stable", "the group\n{text}");
    assert_eq!(group.lag, 0, "the group lags: {:?}\n{text}", group.offsets);
    let ledger = report.ledger.groups.get("g").unwrap_or_else(|| panic!("the group read nothing\n{text}"));
    assert_eq!(ledger.missed, 0, "nobody processed them, but the group has passed them\n{text}");
}

/// Runs `test` for each seed, or for `SEED` alone, and says which one failed.
fn for_each_seed(seeds: std::ops::RangeInclusive<u64>, test: impl Fn(u64)) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("SEED and MORE are numbers"));
    let more = *seeds.end() + number("MORE").unwrap_or(0);
    let seeds = number("SEED").map_or(*seeds.start()..=more, |seed| seed..=seed);
    for seed in seeds {
        if let Err(failure) = panic::catch_unwind(AssertUnwindSafe(|| test(seed))) {
            eprintln!("failed with SEED={seed}");
            panic::resume_unwind(failure);
        }
    }
}

fn scenario(text: &str) -> Scenario {
    Scenario::parse(text).unwrap_or_else(|error| panic!("{error:?}\n{text}"))
}

fn world(text: &str) -> World {
    World::new(&scenario(text))
}

fn millis(millis: u64) -> Instant {
    Instant::ZERO + Duration::millis(millis)
}

fn as_json(report: &Report) -> String {
    serde_json::to_string(report).expect("a report is plain data")
}
