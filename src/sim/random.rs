//! Clusters by the seed: small ones with somebody who writes and somebody who reads, of every sort that Kafka allows, or
//! only of the sort that promises to keep what it has acknowledged.

mod groups;

use std::fmt::Write;

use super::spec::NodeName;
use crate::rng::Rng;
use crate::time::Duration;

/// Which clusters may come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Any number of replicas, any `acks`, unclean elections or not.
    Any,
    /// Replication factor 3, `min.insync.replicas=2`, clean elections; all producers use these `acks`.
    Safe { acks: &'static str },
}

/// The stream of a seed's generator that draws clusters, the one that draws faults, and the one that draws groups.
pub const CLUSTER_STREAM: u64 = 1;
pub const FAULT_STREAM: u64 = 2;
const GROUP_STREAM: u64 = 3;

/// A cluster as the text of a scenario file. Producers write for `writing`, so that they are done before the end.
pub fn cluster(seed: u64, sort: Sort, duration: Duration, writing: Duration) -> String {
    let mut rng = Rng::new(seed, CLUSTER_STREAM);
    let mut text = format!("format = 1\ntitle = \"seed {seed}\"\nseed = {seed}\nduration = \"{duration}\"\n\n");
    match sort {
        Sort::Safe { acks } => safe(&mut rng, acks, writing, &mut text),
        Sort::Any => any(&mut rng, &mut Rng::new(seed, GROUP_STREAM), writing, &mut text),
    }
    text
}

fn safe(rng: &mut Rng, acks: &str, writing: Duration, text: &mut String) {
    let brokers = 3 + rng.below(2);
    let _ = write!(
        text,
        "[cluster]\nbrokers = {brokers}\ncontrollers = 3\nconfig = {{ \"min.insync.replicas\" = 2, \
         \"replica.lag.time.max.ms\" = {}, \"offsets.topic.num.partitions\" = 3 }}\n\n[network]\nlatency = \"{}ms\"\n\
         jitter = \"1ms\"\n",
        one_of(rng, &[5_000, 10_000, 30_000]),
        rng.between(1, 5),
    );
    topic(text, "orders", rng.between(1, 4), 3);
    for producer in 0..rng.between(1, 2) {
        let rate = rng.between(5, 60);
        let key = rng.chance(1, 2);
        let config = format!(
            "acks = \"{acks}\", \"linger.ms\" = {}, \"delivery.timeout.ms\" = 60000, \"request.timeout.ms\" = {}",
            one_of(rng, &[0, 5, 100]),
            one_of(rng, &[3_000, 30_000]),
        );
        write_producer(text, producer, "orders", rate, writing, key, &config);
    }
    for consumer in 0..rng.between(1, 3) {
        let work = rng.between(0, 4);
        let config = format!("\"session.timeout.ms\" = {}", one_of(rng, &[6_000, 10_000, 45_000]));
        write_consumer(text, consumer, work, &config);
    }
}

fn any(rng: &mut Rng, group_rng: &mut Rng, writing: Duration, text: &mut String) {
    let brokers = rng.between(3, 5);
    // Most runs have something to lose.
    let factor = one_of(rng, &[1, 2, 3, 3, 3, 3]);
    let min_isr = if rng.chance(1, 2) { factor.min(2) } else { rng.between(1, factor) };
    let _ = write!(
        text,
        "[cluster]\nbrokers = {brokers}\ncontrollers = {}\nroles = \"{}\"\nconfig = {{ \"min.insync.replicas\" = {min_isr}, \
         \"replica.lag.time.max.ms\" = {}, \"broker.session.timeout.ms\" = {}, \"offsets.topic.num.partitions\" = {}, \
         \"offsets.topic.replication.factor\" = {}, \"unclean.leader.election.enable\" = {}, \
         \"leader.imbalance.check.interval.seconds\" = {}, \"group.initial.rebalance.delay.ms\" = {}{} }}\n\n\
         [network]\nlatency = \"{}ms\"\njitter = \"{}ms\"\n",
        one_of(rng, &[1, 3, 3, 3, 5]),
        pick(rng, &["separate", "separate", "combined"]),
        one_of(rng, &[2_000, 5_000, 10_000, 30_000]),
        one_of(rng, &[4_000, 9_000]),
        rng.between(1, 3),
        one_of(rng, &[1, 3, 3]),
        rng.chance(1, 5),
        one_of(rng, &[5, 15, 300]),
        one_of(rng, &[0, 500, 3_000]),
        groups::broker_settings(group_rng),
        one_of(rng, &[1, 2, 5, 20]),
        one_of(rng, &[0, 1, 5]),
    );
    topic(text, "orders", rng.between(1, 4), factor);
    let more = group_rng.below(3) as usize;
    let topics = &["orders", "payments", "refunds"][..1 + more];
    topics[1..].iter().for_each(|name| topic(text, name, group_rng.between(1, 4), factor));
    // One word for all producers, or it could not be told whose record a log may lose.
    let acks = *pick(rng, &["all", "all", "all", "1", "0"]);
    for producer in 0..rng.between(1, 2) {
        let rate = rng.between(2, 25);
        let key = rng.chance(1, 2);
        let idempotent = acks == "all" && rng.chance(2, 3);
        let config = format!(
            "acks = \"{acks}\", \"enable.idempotence\" = {idempotent}, \"linger.ms\" = {}, \"delivery.timeout.ms\" = \
             {}, \"request.timeout.ms\" = {}, \"max.in.flight.requests.per.connection\" = {}",
            one_of(rng, &[0, 5, 100]),
            one_of(rng, &[35_000, 120_000]),
            one_of(rng, &[1_000, 3_000, 30_000]),
            one_of(rng, &[1, 5, 5]),
        );
        write_producer(text, producer, "orders", rate, writing, key, &config);
    }
    for (name, producer) in topics[1..].iter().zip(5..) {
        let config = format!("acks = \"{acks}\", \"enable.idempotence\" = {}", acks == "all");
        write_producer(text, producer, name, group_rng.between(1, 10), writing, false, &config);
    }
    groups::groups(group_rng, topics, text);
}

fn topic(text: &mut String, name: &str, partitions: u64, factor: u64) {
    let _ = write!(text, "\n[[topic]]\nname = \"{name}\"\npartitions = {partitions}\nreplication-factor = {factor}\n");
}

fn write_producer(text: &mut String, number: u64, topic: &str, rate: u64, writing: Duration, key: bool, config: &str) {
    let _ = write!(
        text,
        "\n[[producer]]\nname = \"p{number}\"\ntopic = \"{topic}\"\nrate = {rate}\ncount = {}\n{}size = 60\nconfig = {{ \
         {config} }}\n",
        rate * writing.as_millis() / 1000,
        if key { "key = \"k{i%7}\"\n" } else { "" },
    );
}

fn write_consumer(text: &mut String, number: u64, work: u64, config: &str) {
    let _ = write!(
        text,
        "\n[[consumer]]\nname = \"c{number}\"\ngroup = \"g\"\ntopics = [\"orders\"]\nwork = \"{work}ms\"\nconfig = {{ \
         \"auto.offset.reset\" = \"earliest\", {config} }}\n",
    );
}

/// The nodes that faults hit in a cluster of [`Sort::Safe`]: those that every one of them has.
pub fn safe_targets() -> Vec<NodeName> {
    let names = ["broker-1", "broker-2", "broker-3", "controller-101", "controller-102", "consumer-c0"];
    names.iter().filter_map(|name| NodeName::parse(name)).collect()
}

fn one_of(rng: &mut Rng, choices: &[u64]) -> u64 {
    *pick(rng, choices)
}

fn pick<'a, T>(rng: &mut Rng, choices: &'a [T]) -> &'a T {
    &choices[rng.below(choices.len() as u32) as usize]
}
