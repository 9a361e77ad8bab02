//! How long nobody serves a partition after something dies, in simulated milliseconds: the table of `docs/failover.md`.
//!
//! `cargo bench --bench failover` prints it. `cargo bench --bench failover -- 10 1000` measures those numbers of
//! partitions only.

use std::collections::BTreeSet;
use std::time::Instant as Clock;

use brokerscope::kafka::fact::Fact;
use brokerscope::kafka::ids::{BrokerId, Node, TopicId, TopicPartition};
use brokerscope::sim::command::Command;
use brokerscope::sim::scenario::Scenario;
use brokerscope::sim::world::World;
use brokerscope::time::{Duration, Instant};

const PARTITIONS: [u32; 3] = [10, 1_000, 10_000];
/// The middle one of so many runs is printed; each has its own seed and kills at another moment.
const RUNS: u64 = 3;
/// After this the answer is "never".
const PATIENCE: Duration = Duration::secs(240);

/// One replica: the brokers that live can give it a leader at once.
const CREATE: &str = "kafka-topics --create --topic wanted --partitions 1 --replication-factor 1";

/// Who dies.
#[derive(Clone, Copy)]
enum Victim {
    /// A broker that is not the controller: until each partition that it led is led again.
    Broker,
    /// The broker that is the controller as well (ZooKeeper mode): until the same.
    ControllerBroker,
    /// The active controller: until another is active and has everything it needs.
    Controller,
    /// The same: until a topic is led that somebody asks for as soon as it is dead.
    ControllerTopic,
}

fn main() {
    let wanted: Vec<u32> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let counts = if wanted.is_empty() { PARTITIONS.to_vec() } else { wanted };
    let heads: Vec<String> = counts.iter().map(|count| format!("{count} partitions")).collect();
    println!("| mode | who dies | until | {} |", heads.join(" | "));
    println!("|---|---|---|{}", "---:|".repeat(counts.len()));
    row(&counts, "kraft", Victim::Broker, "a broker", "every partition it led is led again");
    row(&counts, "zookeeper", Victim::Broker, "a broker", "every partition it led is led again");
    row(&counts, "kraft", Victim::Controller, "the active controller", "the next one is active");
    row(&counts, "zookeeper", Victim::Controller, "the broker that is the controller", "the next one has loaded");
    let until = "a topic that is asked for at once is led";
    row(&counts, "kraft", Victim::ControllerTopic, "the active controller", until);
    row(&counts, "zookeeper", Victim::ControllerTopic, "the broker that is the controller", until);
    let until = "every partition it led is led again";
    row(&counts, "zookeeper", Victim::ControllerBroker, "the broker that is the controller", until);
}

fn row(counts: &[u32], mode: &str, victim: Victim, who: &str, until: &str) {
    #[expect(clippy::disallowed_methods, reason = "a bench measures the program, and is never built for a browser")]
    let clock = Clock::now();
    let cells: Vec<String> = counts.iter().map(|count| cell(mode, *count, victim)).collect();
    println!("| {mode} | {who} | {until} | {} |", cells.join(" | "));
    eprintln!("  took {} ms", clock.elapsed().as_millis());
}

fn cell(mode: &str, partitions: u32, victim: Victim) -> String {
    let mut times: Vec<Option<Duration>> = (1..=RUNS).map(|seed| run(mode, partitions, victim, seed)).collect();
    times.sort_by_key(|time| time.unwrap_or(Duration::MAX));
    times[times.len() / 2].map_or("never".into(), |time| format!("{} ms", time.as_millis()))
}

/// Three brokers, three controllers or ZooKeeper servers, one idle topic with three replicas of each partition.
fn scenario(mode: &str, partitions: u32, seed: u64) -> Scenario {
    let text = format!(
        "format = 1\nseed = {seed}\nduration = \"10m\"\n[cluster]\nmode = \"{mode}\"\nbrokers = 3\ncontrollers = 3\n\
         [[topic]]\nname = \"idle\"\npartitions = {partitions}\nreplication-factor = 3\n"
    );
    Scenario::parse(&text).expect("a scenario that can be read")
}

fn run(mode: &str, partitions: u32, victim: Victim, seed: u64) -> Option<Duration> {
    let mut world = World::new(&scenario(mode, partitions, seed));
    let killed_at = Instant::ZERO + Duration::millis(20_000 + 1_370 * seed);
    world.run_until(killed_at);
    let controller = world.report().cluster.controller?;
    let broker = match victim {
        Victim::Broker => BrokerId(1 + controller % 3),
        Victim::ControllerBroker | Victim::Controller | Victim::ControllerTopic => BrokerId(controller),
    };
    let name = match (victim, mode) {
        (Victim::Controller | Victim::ControllerTopic, "kraft") => format!("controller-{controller}"),
        _ => format!("broker-{broker}"),
    };
    let mut open: BTreeSet<TopicPartition> = world
        .image()?
        .partitions()
        .filter(|(_, state)| state.leader == Some(broker))
        .map(|(partition, _)| partition)
        .collect();
    world.listen(true);
    world.command(&Command::parse(&format!("kill {name}")).ok()?).ok()?;
    if matches!(victim, Victim::ControllerTopic) {
        world.command(&Command::parse(CREATE).ok()?).ok()?;
    }
    let known: BTreeSet<TopicId> = world.image()?.topics.keys().copied().collect();
    while world.now() < killed_at + PATIENCE {
        world.run_event();
        for stamped in world.take_journal() {
            let done = match (&stamped.fact, victim) {
                (Fact::ControllerActive { .. } | Fact::ControllerLoaded { .. }, Victim::Controller) => true,
                (_, Victim::Controller) => false,
                (Fact::BecameLeader { partition, .. }, Victim::ControllerTopic) => !known.contains(&partition.topic),
                (_, Victim::ControllerTopic) => false,
                (Fact::BecameLeader { partition, .. }, _) if stamped.node != Some(Node::Broker(broker)) => {
                    open.remove(partition) && open.is_empty()
                }
                _ => false,
            };
            if done {
                return Some(stamped.at.since(killed_at));
            }
        }
    }
    None
}
