//! Seeded runs of idempotent producers: whatever breaks, no record is written twice and none overtakes another.
//!
//! A failure prints its seed and the run as a scenario file; `SEED=7 cargo test --test idempotence` runs that seed alone,
//! and `MORE=1000` goes on behind the last one.

use std::collections::BTreeMap;
use std::fmt::Write;

use brokerscope::kafka::ids::{ClientId, TopicId, TopicPartition};
use brokerscope::rng::Rng;
use brokerscope::sim::scenario::Scenario;
use brokerscope::sim::world::World;
use brokerscope::time::{Duration, Instant};

/// Faults come between these moments, and the run ends at the last one.
const CALM_UNTIL: u64 = 3_000;
const HEALED_AT: u64 = 30_000;
const QUIET_AT: u64 = 75_000;

/// With acks=all, `min.insync.replicas=2` and clean elections.
#[test]
fn an_idempotent_producer_doubles_nothing_and_keeps_its_order() {
    let mut retried = 0;
    for seed in seeds(1..=80) {
        let (text, world) = run(seed, true);
        let report = world.report();
        assert!(report.violations.is_empty(), "seed {seed}: {:?}\n{text}", report.violations);
        assert_eq!(report.ledger.duplicated, 0, "seed {seed}: records were written twice\n{text}");
        assert_eq!(report.ledger.lost, 0, "seed {seed}: acknowledged records are lost\n{text}");
        assert_eq!(out_of_order(&world), 0, "seed {seed}: records overtook others\n{text}");
        retried += u64::from(report.producers.values().any(|producer| producer.retries > 0));
    }
    assert!(std::env::var("SEED").is_ok() || retried > 20, "only {retried} runs had anything to send again");
}

/// The same runs without idempotence: both happen.
#[test]
fn without_idempotence_records_are_doubled_and_overtake() {
    let (mut doubled, mut overtaken) = (0, 0);
    for seed in 1..=30 {
        let (_, world) = run(seed, false);
        doubled += world.report().ledger.duplicated;
        overtaken += out_of_order(&world);
    }
    assert!(doubled > 0, "no record was doubled");
    assert!(overtaken > 0, "no record overtook another");
}

/// Batches that lie behind a later record of their producer.
fn out_of_order(world: &World) -> usize {
    let partitions = (0..4).map(|partition| TopicPartition::new(TopicId(0), partition));
    let logs = partitions.filter_map(|partition| world.authoritative_log(partition));
    logs.map(|log| {
        let mut ends: BTreeMap<ClientId, u64> = BTreeMap::new();
        let overtaken = log.batches().filter_map(|batch| batch.origin).filter(|origin| {
            let end = ends.entry(origin.producer).or_default();
            let late = origin.first < *end;
            *end = (*end).max(origin.first + u64::from(origin.count));
            late
        });
        overtaken.count()
    })
    .sum()
}

fn run(seed: u64, idempotent: bool) -> (String, World) {
    let text = trouble(seed, idempotent);
    let scenario = Scenario::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut world = World::new(&scenario);
    world.run_until(Instant::ZERO + Duration::millis(QUIET_AT));
    (text, world)
}

fn trouble(seed: u64, idempotent: bool) -> String {
    let mut rng = Rng::new(seed, 1);
    let mut text = format!(
        "format = 1\ntitle = \"seed {seed}\"\nseed = {seed}\nduration = \"{QUIET_AT}ms\"\n\n[cluster]\nbrokers = 3\n\
         controllers = 3\nconfig = {{ \"min.insync.replicas\" = 2, \"replica.lag.time.max.ms\" = 5000 }}\n\n\
         [network]\nlatency = \"{}ms\"\njitter = \"1ms\"\n\n\
         [[topic]]\nname = \"orders\"\npartitions = {}\nreplication-factor = 3\n",
        rng.between(1, 5),
        rng.between(1, 3),
    );
    for producer in 0..2 {
        let rate = rng.between(20, 120);
        let _ = write!(
            text,
            "\n[[producer]]\nname = \"p{producer}\"\ntopic = \"orders\"\nrate = {rate}\ncount = {}\nkey = \"k{{i%7}}\"\n\
             config = {{ acks = \"all\", \"enable.idempotence\" = {idempotent}, \"linger.ms\" = {}, \
             \"request.timeout.ms\" = {}, \"delivery.timeout.ms\" = {} }}\n",
            rate * 30,
            [0, 5, 30][rng.below(3) as usize],
            [1_500, 3_000][rng.below(2) as usize],
            [6_000, 20_000, 60_000][rng.below(3) as usize],
        );
    }
    for (at, line) in faults(&mut rng) {
        step(&mut text, at, &line);
    }
    step(&mut text, HEALED_AT, "heal");
    for node in ["broker-1", "broker-2", "broker-3", "controller-101"] {
        step(&mut text, HEALED_AT + 1, &format!("resume {node}"));
        step(&mut text, HEALED_AT + 1_000, &format!("start {node}"));
    }
    text
}

/// Faults at random moments, in the order of their times: what loses answers above all.
fn faults(rng: &mut Rng) -> Vec<(u64, String)> {
    let mut faults = Vec::new();
    for _ in 0..rng.between(4, 10) {
        let at = rng.between(CALM_UNTIL, HEALED_AT - 1);
        let lasting = rng.between(200, 9_000);
        let broker = rng.between(1, 3);
        let producer = rng.below(2);
        match rng.below(6) {
            0 | 1 => faults.push((at, format!("cut broker-{broker} -> producer-p{producer} for {lasting}ms"))),
            2 => faults.push((at, format!("cut broker-{broker} | producer-p{producer} for {lasting}ms"))),
            3 => faults.push((at, format!("pause broker-{broker} for {lasting}ms"))),
            4 => {
                let other = broker % 3 + 1;
                faults.push((at, format!("cut broker-{broker} | broker-{other} for {lasting}ms")));
            }
            _ => {
                faults.push((at, format!("kill broker-{broker}")));
                faults.push((at + lasting, format!("start broker-{broker}")));
            }
        }
    }
    faults.retain(|(at, _)| *at < HEALED_AT);
    faults.sort();
    faults
}

fn step(text: &mut String, at: u64, run: &str) {
    let _ = write!(text, "\n[[step]]\nat = \"{at}ms\"\nrun = \"{run}\"\n");
}

/// These, or `SEED` alone.
fn seeds(seeds: std::ops::RangeInclusive<u64>) -> std::ops::RangeInclusive<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("SEED and MORE are numbers"));
    let more = *seeds.end() + number("MORE").unwrap_or(0);
    number("SEED").map_or(*seeds.start()..=more, |seed| seed..=seed)
}
