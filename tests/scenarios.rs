//! Every built-in scenario holds what it promises, with its own seed and with others.

#![cfg(not(target_arch = "wasm32"))]

use std::path::PathBuf;

use brokerscope::kafka::compat::TruncationRule;
use brokerscope::sim::scenario::Scenario;
use brokerscope::sim::world::World;

fn scenarios() -> Vec<(PathBuf, Scenario)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).expect("scenarios/").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
        .into_iter()
        .filter(|file| file.extension().is_some_and(|ending| ending == "toml"))
        .map(|file| {
            let text = std::fs::read_to_string(&file).expect("readable");
            let scenario = Scenario::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            (file, scenario)
        })
        .collect()
}

#[test]
fn the_built_in_scenarios_hold_what_they_expect() {
    let scenarios = scenarios();
    assert!(scenarios.len() >= 4);
    for (file, scenario) in scenarios {
        let own = scenario.seed;
        for seed in [own, 11, 12, 13, 14, 15] {
            let mut world = World::new(&Scenario { seed, ..scenario.clone() });
            world.run_until(world.end());
            let report = world.report();
            assert_eq!(report.expectations.len(), scenario.expects.len(), "{}", file.display());
            for expectation in &report.expectations {
                assert!(
                    expectation.holds,
                    "{} seed {seed}: at {} {}, found {}",
                    file.display(),
                    expectation.at,
                    expectation.that,
                    expectation.found
                );
            }
            assert_eq!(report.violations, [], "{} seed {seed}", file.display());
        }
    }
}

#[test]
fn what_was_lost_before_kip_101_is_not_lost_today() {
    let (_, of_old) = scenarios().into_iter().find(|(file, _)| file.ends_with("kip-101.toml")).expect("the scenario");
    let scenario = Scenario { truncation: TruncationRule::default(), ..of_old };
    let mut world = World::new(&scenario);
    world.run_until(world.end());
    let report = world.report();
    assert_eq!((report.ledger.acked, report.ledger.lost), (2, 0));
    assert_eq!(report.topics["payments"].partitions[&0].leader, Some(3), "the same broker leads in the end");
    assert_eq!(report.violations, []);
}

#[test]
fn a_written_scenario_runs_the_same() {
    for (file, scenario) in scenarios() {
        let written = Scenario::parse(&scenario.to_toml()).expect("reads back");
        let hash = |scenario: &Scenario| {
            let mut world = World::new(scenario);
            world.run_until(world.end());
            world.trace_hash()
        };
        assert_eq!(hash(&scenario), hash(&written), "{}", file.display());
    }
}
