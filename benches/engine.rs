//! The engine's budgets, natively, on one core: `make bench`.

use std::fmt::Write;

use brokerscope::kafka::assignor::{Assignor, Member, Topic, Topics};
use brokerscope::kafka::ids::Generation;
use brokerscope::sim::history::History;
use brokerscope::sim::scenario::Scenario;
use brokerscope::sim::world::World;
use brokerscope::time::{Duration, Instant};
use divan::Bencher;
use divan::counter::ItemsCount;

fn main() {
    divan::main();
    large_cluster();
}

/// 50 brokers with 5,000 partitions, written and read by 50 clients each: how fast it runs, and how much memory it takes.
#[expect(clippy::disallowed_methods, reason = "a bench measures time, and is never built for a browser")]
fn large_cluster() {
    let mut world = World::new(&scenario(50, 5000, 50, 1000, 50, "0s"));
    world.run_until(at(5));
    let (began, before) = (std::time::Instant::now(), world.event_count());
    world.run_until(at(15));
    let (took, events) = (began.elapsed(), world.event_count() - before);
    let per_second = u128::from(events) * 1000 / took.as_millis().max(1);
    let peak = peak_memory().map_or_else(|| "n/a".into(), |kib| format!("{} MiB", kib / 1024));
    println!(
        "50 brokers x 5,000 partitions: {events} events of 10 simulated seconds in {} ms, {per_second} events a second, \
         peak memory {peak}",
        took.as_millis()
    );
}

/// The most memory this process has had, in KiB, where the system tells (Linux).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// A cluster with one topic, written by `producers` at `rate` records a second each and read by one group.
fn scenario(brokers: u32, partitions: u32, producers: u32, rate: u64, consumers: u32, work: &str) -> Scenario {
    let mut text = format!(
        "format = 1\ntitle = \"bench\"\nsummary = \"A measured load.\"\nseed = 1\nduration = \"600s\"\n\
         [cluster]\nbrokers = {brokers}\ncontrollers = 3\n\
         config = {{ \"group.initial.rebalance.delay.ms\" = 500 }}\n\
         [[topic]]\nname = \"orders\"\npartitions = {partitions}\nreplication-factor = 3\n"
    );
    for producer in 0..producers {
        writeln!(text, "[[producer]]\nname = \"p{producer}\"\ntopic = \"orders\"\nrate = {rate}\nsize = 100")
            .expect("a string");
    }
    for consumer in 0..consumers {
        writeln!(
            text,
            "[[consumer]]\nname = \"c{consumer}\"\ngroup = \"g\"\ntopics = [\"orders\"]\nwork = \"{work}\"\n\
             config = {{ \"auto.offset.reset\" = \"earliest\" }}"
        )
        .expect("a string");
    }
    Scenario::parse(&text).unwrap_or_else(|error| panic!("{error}"))
}

/// Budget: well under a second, as the page does it, too. Each member says what it had before the last one joined; `mixed`
/// members subscribe to nine topics in ten.
#[divan::bench(
    args = assignor_cases(),
    sample_count = 5,
    sample_size = 1
)]
fn assignors(bencher: Bencher, case: &AssignorCase) {
    let (topics, members) = case.group();
    bencher.bench_local(|| case.assignor.assign(&topics, &members));
}

/// An assignor, and the size of a group.
struct AssignorCase {
    assignor: Assignor,
    members: u32,
    partitions: u32,
    mixed: bool,
}

fn assignor_cases() -> Vec<AssignorCase> {
    let sizes = [(100, 1000), (1000, 10_000)].into_iter().flat_map(|size| [(size, false), (size, true)]);
    sizes
        .flat_map(|((members, partitions), mixed)| {
            Assignor::ALL.iter().map(move |assignor| AssignorCase { assignor: *assignor, members, partitions, mixed })
        })
        .collect()
}

impl AssignorCase {
    /// Ten topics, and members of whom one is new.
    fn group(&self) -> (Topics, Vec<Member>) {
        let topics: Topics =
            (0..10).map(|topic| (format!("t{topic}").into(), Topic::of(self.partitions / 10))).collect();
        let member = |id: u32| {
            let wanted = (0..10).filter(|topic| !self.mixed || id % 10 != *topic);
            Member::new(&format!("consumer-{id}"), wanted.map(|topic| format!("t{topic}").into()))
        };
        let members: Vec<Member> = (0..self.members).map(member).collect();
        let before = self.assignor.assign(&topics, &members[1..]);
        let owned = |member: &Member| before.get(&member.id).cloned().unwrap_or_default();
        let members = members
            .into_iter()
            .map(|member| {
                let owned = owned(&member);
                member.owning(owned, Some(Generation(1)))
            })
            .collect();
        (topics, members)
    }
}

impl std::fmt::Display for AssignorCase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mixed = if self.mixed { ", mixed" } else { "" };
        write!(f, "{} x {} {}{mixed}", self.members, self.partitions, self.assignor.name())
    }
}

fn at(secs: u64) -> Instant {
    Instant::ZERO + Duration::secs(secs)
}

/// Budget: 2,000,000 records a second; aim: 4,000,000. RF 3, acks=all, 100 bytes, read by one group, books kept.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn records_produced_replicated_and_read(bencher: Bencher) {
    let scenario = scenario(3, 6, 2, 200_000, 1, "0s");
    bencher.counter(ItemsCount::new(4_000_000_u64)).bench_local(|| {
        let mut world = World::new(&scenario);
        world.run_until(at(10));
        world.event_count()
    });
}

/// Budget: the cost of one event grows at most twofold from the first size to the second. As many producers and
/// consumers as brokers.
#[divan::bench(args = [(3, 10), (50, 5000)], sample_count = 5, sample_size = 1)]
fn events(bencher: Bencher, (brokers, partitions): (u32, u32)) {
    let scenario = scenario(brokers, partitions, brokers, 1000, brokers, "0s");
    let mut settled = World::new(&scenario);
    settled.run_until(at(10));
    let before = settled.event_count();
    let mut counted = settled.clone();
    counted.run_until(at(15));
    let events = counted.event_count() - before;
    bencher.counter(ItemsCount::new(events)).with_inputs(|| settled.clone()).bench_local_values(|mut world| {
        world.run_until(at(15));
        world.event_count()
    });
}

/// Budget: 100 ms to any moment of ten busy minutes.
#[divan::bench(args = [30, 299, 595], sample_count = 20, sample_size = 1)]
fn seek_in_ten_busy_minutes(bencher: Bencher, second: u64) {
    thread_local! {
        static HISTORY: std::cell::RefCell<Option<History>> = const { std::cell::RefCell::new(None) };
    }
    HISTORY.with_borrow_mut(|history| {
        let history = history.get_or_insert_with(|| {
            let mut history = History::new(&scenario(3, 6, 1, 300, 2, "1ms"));
            history.run_until(at(600), || true);
            history.take_facts();
            history
        });
        bencher.bench_local(|| {
            history.seek(at(second));
            history.take_facts();
            history.now()
        });
        history.seek(at(600));
    });
}
