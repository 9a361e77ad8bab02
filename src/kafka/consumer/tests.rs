//! Consumers against one broker that answers at once: a coordinator, and a log for each partition.

use std::collections::BTreeMap;

use super::*;
use crate::kafka::config::{BrokerConfig, Compression};
use crate::kafka::coordinator::{Append, GroupCoordinator};
use crate::kafka::effects::Effect;
use crate::kafka::fact::ResetReason;
use crate::kafka::ids::{LeaderEpoch, Origin, TopicId};
use crate::kafka::message::{
    EpochEnd, EpochQuestion, FetchRequest, FetchResponse, FetchedPartition, FindCoordinatorResponse,
    ListOffsetsResponse, MetadataResponse, OffsetForLeaderEpochResponse, OffsetSpec, PartitionMetadata, TopicMetadata,
};
use crate::kafka::metadata::{MetadataImage, MetadataRecord, PartitionRegistration};
use crate::kafka::record::{Batch, BatchBuilder};

const BROKER: BrokerId = BrokerId(1);
const TOPIC: TopicId = TopicId(0);
const LATENCY: Duration = Duration::millis(2);

fn partition(partition: u32) -> TopicPartition {
    TopicPartition::new(TOPIC, partition)
}

/// What happens at a moment.
enum Event {
    Timer(Node, Timer),
    Deliver { from: Node, to: Node, message: Message },
}

/// One broker with topic `t` of so many partitions, and the consumers of group `g`.
struct Bench {
    now: Instant,
    events: BTreeMap<(Instant, u64), Event>,
    next_event: u64,
    timers: BTreeMap<(Node, Timer), (Instant, u64)>,
    consumers: BTreeMap<Node, Consumer>,
    coordinator: GroupCoordinator,
    group_log: Vec<Batch>,
    group_log_end: Offset,
    logs: Vec<Vec<Batch>>,
    produced: u64,
    facts: Vec<(Instant, Node, Fact)>,
    exited: Vec<Node>,
    /// The broker is silent: requests vanish.
    silent: bool,
    /// Fetches that wait for records.
    waiting: Vec<(Node, u32, FetchRequest)>,
}

impl Bench {
    fn new(partitions: u32) -> Self {
        let mut bench = Self {
            now: Instant::ZERO,
            events: BTreeMap::new(),
            next_event: 0,
            timers: BTreeMap::new(),
            consumers: BTreeMap::new(),
            coordinator: GroupCoordinator::new(BrokerConfig::default(), Rng::new(1, 1)),
            group_log: Vec::new(),
            group_log_end: 0,
            logs: vec![Vec::new(); partitions as usize],
            produced: 0,
            facts: Vec::new(),
            exited: Vec::new(),
            silent: false,
            waiting: Vec::new(),
        };
        bench.load();
        bench
    }

    /// The coordinator begins anew, with nothing but its log.
    fn load(&mut self) {
        let mut image = MetadataImage::default();
        image.apply(&MetadataRecord::Topic { id: TOPIC, name: "t".into() });
        for at in 0..self.logs.len() as u32 {
            let registration = PartitionRegistration::default();
            image.apply(&MetadataRecord::Partition { partition: partition(at), registration });
        }
        self.coordinator = GroupCoordinator::new(BrokerConfig::default(), Rng::new(1, 1 + self.next_event));
        let mut out = Effects::default();
        self.coordinator.topics_changed(self.now, &image, &mut out);
        let at = self.coordinator.partition_of("g");
        self.coordinator.load(self.now, at, LeaderEpoch(0), &self.group_log, self.group_log_end, &mut out);
        self.take(Node::Broker(BROKER), out);
    }

    /// A consumer of group `g`; `settings` by Kafka's names.
    fn add(&mut self, id: u32, work: Duration, settings: &[(&str, &str)]) -> Node {
        let mut config = ConsumerConfig::default();
        config.set("auto.offset.reset", "earliest").unwrap();
        settings.iter().for_each(|(key, value)| config.set(key, value).unwrap());
        let node = Node::Consumer(ClientId(id));
        let consumer = Consumer::new(ConsumerSetup {
            id: ClientId(id),
            name: format!("consumer-c{id}").into(),
            client_id: format!("c{id}").into(),
            group: Some("g".into()),
            share: false,
            reads: Reads::Topics(vec!["t".into()]),
            task: Task { work, ..Task::default() },
            config,
            bootstrap: vec![BROKER],
            rng: Rng::new(7, u64::from(id)),
            dead_letters: None,
        });
        self.consumers.insert(node, consumer);
        self.input(node, Input::Start);
        node
    }

    /// One batch of `count` records of producer 100.
    fn produce(&mut self, to: u32, count: u32) {
        let mut builder = BatchBuilder::new(Compression::None);
        for i in 0..count {
            builder.append(self.now.timestamp_ms(), Some(format!("k{i}").as_bytes()), Some(b"v"), &[]);
        }
        let log = &mut self.logs[to as usize];
        let base_offset = log.last().map_or(0, Batch::next_offset);
        let origin = Some(Origin { producer: ClientId(100), first: self.produced, count });
        self.produced += u64::from(count);
        log.push(Batch { base_offset, leader_epoch: LeaderEpoch(0), origin, ..builder.build() });
        for (from, id, request) in std::mem::take(&mut self.waiting) {
            self.fetch(from, id, request);
        }
    }

    fn input(&mut self, node: Node, input: Input) {
        let mut out = Effects::default();
        if let Some(consumer) = self.consumers.get_mut(&node) {
            consumer.step(self.now, input, &mut out);
        }
        self.take(node, out);
    }

    fn schedule(&mut self, at: Instant, event: Event) -> (Instant, u64) {
        self.next_event += 1;
        self.events.insert((at, self.next_event), event);
        (at, self.next_event)
    }

    fn take(&mut self, node: Node, mut out: Effects) {
        for effect in out.drain() {
            match effect {
                Effect::Send { to, message } => {
                    self.schedule(self.now + LATENCY, Event::Deliver { from: node, to, message });
                }
                Effect::SetTimer { at, timer } => {
                    let key = self.schedule(at, Event::Timer(node, timer.clone()));
                    if let Some(old) = self.timers.insert((node, timer), key) {
                        self.events.remove(&old);
                    }
                }
                Effect::CancelTimer(timer) => {
                    if let Some(old) = self.timers.remove(&(node, timer)) {
                        self.events.remove(&old);
                    }
                }
                Effect::Note(fact) => self.facts.push((self.now, node, fact)),
                Effect::CloseConnection { .. } => {}
                Effect::Busy(_) => {}
                Effect::Exit | Effect::Halt => {
                    self.exited.push(node);
                    self.kill(node);
                }
            }
        }
    }

    /// The process is gone, with its timers.
    fn kill(&mut self, node: Node) {
        self.consumers.remove(&node);
        self.timers.retain(|(owner, _), key| *owner != node || self.events.remove(key).is_none());
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(entry) = self.events.first_entry() {
            if entry.key().0 > until {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            match event {
                Event::Timer(Node::Broker(_), timer) => {
                    self.timers.remove(&(Node::Broker(BROKER), timer.clone()));
                    self.coordinate(|coordinator, now, out| coordinator.on_timer(now, &timer, out));
                }
                Event::Timer(node, timer) => {
                    self.timers.remove(&(node, timer.clone()));
                    self.input(node, Input::Timer(timer));
                }
                Event::Deliver { from, message: Message::Request { correlation_id, request }, .. } => {
                    if !self.silent {
                        self.serve(from, correlation_id, request);
                    }
                }
                Event::Deliver { from, to, message } => self.input(to, Input::Message { from, message }),
            }
        }
        self.now = until;
    }

    fn coordinate(&mut self, act: impl FnOnce(&mut GroupCoordinator, Instant, &mut Effects) -> Vec<Append>) {
        let mut out = Effects::default();
        for Append { id, partition, batch } in act(&mut self.coordinator, self.now, &mut out) {
            let batch = Batch { base_offset: self.group_log_end, ..batch };
            self.group_log_end = batch.next_offset();
            self.group_log.push(batch);
            self.coordinator.appended(self.now, id, Ok(self.group_log_end), &mut out);
            self.coordinator.committed(self.now, partition, self.group_log_end, &mut out);
        }
        self.take(Node::Broker(BROKER), out);
    }

    fn respond(&mut self, to: Node, correlation_id: u32, response: Response) {
        let mut out = Effects::default();
        out.respond(to, correlation_id, response);
        self.take(Node::Broker(BROKER), out);
    }

    fn serve(&mut self, from: Node, id: u32, request: Request) {
        match request {
            Request::Metadata(_) => {
                let response = self.metadata();
                self.respond(from, id, Response::Metadata(response));
            }
            Request::FindCoordinator(_) => {
                let response = FindCoordinatorResponse { error: ErrorCode::None, coordinator: Some(BROKER) };
                self.respond(from, id, Response::FindCoordinator(response));
            }
            Request::ListOffsets(request) => {
                let end = |at: &TopicPartition, spec: &OffsetSpec| match spec {
                    OffsetSpec::Earliest => 0,
                    OffsetSpec::Timestamp(_) | OffsetSpec::MaxTimestamp => -1,
                    OffsetSpec::Latest => self.logs[at.partition as usize].last().map_or(0, Batch::next_offset),
                };
                let partitions = request.partitions.iter();
                let partitions = partitions.map(|(at, _, spec)| (*at, ErrorCode::None, end(at, spec), LeaderEpoch(0)));
                let response = ListOffsetsResponse { partitions: partitions.collect() };
                self.respond(from, id, Response::ListOffsets(response));
            }
            // Nothing is ever cut off here.
            Request::OffsetForLeaderEpoch(request) => {
                let end = |question: &EpochQuestion| EpochEnd {
                    partition: question.partition,
                    error: ErrorCode::None,
                    leader_epoch: Some(question.leader_epoch),
                    end_offset: Offset::MAX,
                };
                let partitions = request.partitions.iter().map(end).collect();
                self.respond(from, id, Response::OffsetForLeaderEpoch(OffsetForLeaderEpochResponse { partitions }));
            }
            Request::Fetch(request) => self.fetch(from, id, request),
            request => self.coordinate(|coordinator, now, out| coordinator.on_request(now, from, id, &request, out)),
        }
    }

    fn metadata(&self) -> MetadataResponse {
        let partition = |_| PartitionMetadata {
            error: ErrorCode::None,
            leader: Some(BROKER),
            leader_epoch: LeaderEpoch(0),
            replicas: vec![BROKER],
            isr: vec![BROKER],
            elr: Vec::new(),
            last_known_elr: Vec::new(),
            offline_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            removing_replicas: Vec::new(),
        };
        let topic = TopicMetadata {
            error: ErrorCode::None,
            name: "t".into(),
            id: TOPIC,
            internal: false,
            partitions: (0..self.logs.len()).map(partition).collect(),
            configs: Vec::new(),
        };
        MetadataResponse { brokers: vec![(BROKER, None)], controller: Some(BROKER), topics: vec![topic] }
    }

    fn fetch(&mut self, from: Node, id: u32, request: FetchRequest) {
        let mut any = false;
        let partitions = request.partitions.iter().map(|wanted| {
            let log = &self.logs[wanted.partition.partition as usize];
            let end = log.last().map_or(0, Batch::next_offset);
            let batches: Vec<Batch> =
                log.iter().filter(|batch| batch.next_offset() > wanted.fetch_offset).cloned().collect();
            let too_far = wanted.fetch_offset > end;
            any |= too_far || !batches.is_empty();
            FetchedPartition {
                partition: wanted.partition,
                error: if too_far { ErrorCode::OffsetOutOfRange } else { ErrorCode::None },
                high_watermark: end,
                last_stable_offset: end,
                log_start_offset: 0,
                diverging_epoch: None,
                current_leader: None,
                preferred_read_replica: None,
                batches,
            }
        });
        let response = FetchResponse { partitions: partitions.collect() };
        if any {
            self.respond(from, id, Response::Fetch(response));
        } else {
            self.waiting.push((from, id, request));
        }
    }

    /// What was processed, in order: by whom, the partition, the offsets.
    fn processed(&self) -> Vec<(Node, u32, Offset)> {
        let each = self.facts.iter().filter_map(|(_, node, fact)| match fact {
            Fact::Processed { partition, base_offset, count, .. } => Some((*node, *partition, *base_offset, *count)),
            _ => None,
        });
        each.flat_map(|(node, at, base, count)| (0..Offset::from(count)).map(move |i| (node, at.partition, base + i)))
            .collect()
    }

    /// The numbers of the producer's records that were processed, in order.
    fn origins(&self) -> Vec<u64> {
        let origins = self.facts.iter().filter_map(|(_, _, fact)| match fact {
            Fact::Processed { origin: Some(origin), count, .. } => {
                assert_eq!(origin.count, *count);
                Some(origin.first..origin.first + u64::from(origin.count))
            }
            _ => None,
        });
        origins.flatten().collect()
    }

    fn committed(&self, at: u32) -> Option<Offset> {
        let mut offsets = self.coordinator.committed_offsets("g");
        offsets.find(|(found, _)| *found == partition(at)).map(|(_, committed)| committed.offset)
    }

    fn has(&self, node: Node, is: impl Fn(&Fact) -> bool) -> bool {
        self.facts.iter().any(|(_, noted, fact)| *noted == node && is(fact))
    }

    fn assigned(&self, node: Node) -> Vec<u32> {
        self.consumers[&node].assigned().map(|assigned| assigned.partition.partition).collect()
    }
}

#[test]
fn a_consumer_joins_reads_everything_and_commits_what_is_done() {
    let mut bench = Bench::new(3);
    bench.produce(0, 4);
    bench.produce(2, 3);
    let node = bench.add(1, Duration::millis(20), &[]);
    bench.run(Duration::secs(10));
    assert_eq!(bench.assigned(node), [0, 1, 2]);
    assert_eq!(bench.processed().len(), 7);
    assert_eq!((bench.committed(0), bench.committed(1), bench.committed(2)), (Some(4), Some(0), Some(3)));
    let consumer = &bench.consumers[&node];
    assert_eq!((consumer.polled(), consumer.processed(), consumer.phase()), (7, 7, Phase::Polling));
    assert_eq!(consumer.generation(), Some(Generation(1)));
    assert!(consumer.leads_group());
    let reset = Fact::PositionReset { partition: partition(0), offset: 0, reason: ResetReason::NoOffset };
    assert!(bench.has(node, |fact| *fact == reset));
}

#[test]
fn the_first_join_waits_for_the_initial_rebalance_delay() {
    let mut bench = Bench::new(1);
    let node = bench.add(1, Duration::ZERO, &[]);
    bench.run(Duration::millis(3000));
    assert_eq!(bench.consumers[&node].phase(), Phase::Joining);
    bench.run(Duration::millis(100));
    assert_eq!(bench.assigned(node), [0]);
}

#[test]
fn two_members_share_the_partitions_and_each_record_is_read_once() {
    let mut bench = Bench::new(3);
    let (a, b) = (bench.add(1, Duration::ZERO, &[]), bench.add(2, Duration::ZERO, &[]));
    bench.run(Duration::secs(8));
    assert_eq!(bench.assigned(a).len() + bench.assigned(b).len(), 3);
    for at in 0..3 {
        bench.produce(at, 10);
    }
    bench.run(Duration::secs(1));
    let mut origins = bench.origins();
    origins.sort_unstable();
    assert_eq!(origins, (0..30).collect::<Vec<u64>>());
}

#[test]
fn a_member_that_comes_later_gets_its_share_and_nothing_twice() {
    let mut bench = Bench::new(2);
    let a = bench.add(1, Duration::millis(10), &[]);
    bench.run(Duration::secs(4));
    bench.produce(0, 50);
    bench.produce(1, 50);
    bench.run(Duration::millis(100));
    let b = bench.add(2, Duration::millis(10), &[]);
    bench.run(Duration::secs(10));
    assert_eq!((bench.assigned(a).len(), bench.assigned(b).len()), (1, 1));
    assert!(bench.has(a, |fact| matches!(fact, Fact::PartitionsRevoked { partitions, .. } if partitions.len() == 2)));
    let mut origins = bench.origins();
    origins.sort_unstable();
    assert_eq!(origins, (0..100).collect::<Vec<u64>>());
}

#[test]
fn a_crash_between_processing_and_committing_makes_another_member_do_the_work_again() {
    let mut bench = Bench::new(1);
    let a = bench.add(1, Duration::millis(100), &[]);
    bench.run(Duration::millis(3100));
    bench.produce(0, 10);
    bench.run(Duration::millis(350));
    assert_eq!(bench.processed().len(), 3);
    bench.kill(a);
    let b = bench.add(2, Duration::ZERO, &[]);
    bench.run(Duration::secs(60));
    let by_b = bench.processed().into_iter().filter(|(node, ..)| *node == b).count();
    assert_eq!(by_b, 10, "nothing was committed, so everything comes again");
    assert_eq!(bench.origins()[..3], [0, 1, 2]);
}

#[test]
fn a_record_is_not_processed_before_its_work_is_done() {
    let mut bench = Bench::new(1);
    let a = bench.add(1, Duration::secs(2), &[]);
    bench.run(Duration::millis(3100));
    bench.produce(0, 2);
    bench.run(Duration::millis(1900));
    assert!(bench.processed().is_empty());
    let working = bench.consumers[&a].working().unwrap();
    assert_eq!((working.offset, working.key.as_deref(), working.count), (0, Some(&b"k0"[..]), 1));
    bench.run(Duration::millis(200));
    assert_eq!(bench.processed().len(), 1);
}

#[test]
fn a_commit_never_covers_a_record_whose_work_is_not_done() {
    let mut bench = Bench::new(1);
    bench.add(1, Duration::millis(700), &[("auto.commit.interval.ms", "100"), ("max.poll.records", "3")]);
    bench.run(Duration::millis(3100));
    bench.produce(0, 20);
    for _ in 0..200 {
        bench.run(Duration::millis(100));
        let done = bench.processed().len() as Offset;
        assert!(bench.committed(0).unwrap_or(0) <= done);
    }
    assert_eq!(bench.committed(0), Some(20));
}

#[test]
fn records_whose_work_is_short_are_worked_on_together() {
    let mut bench = Bench::new(1);
    bench.add(1, Duration::micros(100), &[]);
    bench.run(Duration::millis(3100));
    bench.produce(0, 25);
    bench.run(Duration::millis(100));
    let counts: Vec<u32> = bench
        .facts
        .iter()
        .filter_map(|(_, _, fact)| if let Fact::Processed { count, .. } = fact { Some(*count) } else { None })
        .collect();
    assert_eq!(counts, [10, 10, 5]);
    assert_eq!(bench.origins(), (0..25).collect::<Vec<u64>>());
}

#[test]
fn reading_from_inside_a_batch_counts_only_the_rest_of_it() {
    let mut bench = Bench::new(1);
    let a = bench.add(1, Duration::millis(400), &[("max.poll.records", "4"), ("auto.commit.interval.ms", "1")]);
    bench.run(Duration::millis(3100));
    bench.produce(0, 10);
    // The second poll() commits 4; the crash comes in the middle of its work.
    bench.run(Duration::millis(1900));
    bench.kill(a);
    assert_eq!(bench.committed(0), Some(4));
    let b = bench.add(2, Duration::ZERO, &[]);
    bench.run(Duration::secs(60));
    let by_b: Vec<Offset> =
        bench.processed().into_iter().filter(|(node, ..)| *node == b).map(|(_, _, offset)| offset).collect();
    assert_eq!(by_b, [4, 5, 6, 7, 8, 9]);
    assert_eq!(bench.origins()[4..], [4, 5, 6, 7, 8, 9]);
}

#[test]
fn close_finishes_the_work_commits_it_and_leaves_the_group() {
    let mut bench = Bench::new(1);
    let a = bench.add(1, Duration::millis(100), &[]);
    bench.run(Duration::millis(3100));
    bench.produce(0, 5);
    bench.run(Duration::millis(150));
    bench.input(a, Input::Shutdown);
    bench.run(Duration::secs(1));
    assert_eq!((bench.exited.clone(), bench.processed().len(), bench.committed(0)), (vec![a], 5, Some(5)));
    assert!(bench.has(a, |fact| matches!(fact, Fact::LeavingGroup { reason: LeaveReason::Closed, .. })));
    assert_eq!(bench.coordinator.group("g").unwrap().as_classic().unwrap().members().count(), 0);
}

#[test]
fn close_of_a_static_member_keeps_its_place() {
    let mut bench = Bench::new(1);
    let a = bench.add(1, Duration::ZERO, &[("group.instance.id", "i")]);
    bench.run(Duration::millis(3100));
    bench.input(a, Input::Shutdown);
    bench.run(Duration::millis(100));
    assert_eq!(bench.exited, [a]);
    assert_eq!(bench.coordinator.group("g").unwrap().as_classic().unwrap().members().count(), 1);
}

#[test]
fn close_without_a_cluster_ends_all_the_same() {
    let mut bench = Bench::new(1);
    let a = bench.add(1, Duration::ZERO, &[]);
    bench.run(Duration::millis(3100));
    bench.silent = true;
    bench.produce(0, 1);
    bench.run(Duration::millis(10));
    bench.input(a, Input::Shutdown);
    bench.run(Duration::secs(61));
    assert_eq!(bench.exited, [a]);
}

#[test]
fn a_member_whose_application_is_too_slow_leaves_and_loses_its_partitions() {
    let mut bench = Bench::new(1);
    let a = bench.add(1, Duration::secs(3), &[("max.poll.interval.ms", "10000")]);
    bench.run(Duration::millis(3100));
    bench.produce(0, 5);
    bench.run(Duration::secs(11));
    assert!(bench.has(a, |fact| matches!(fact, Fact::LeavingGroup { reason: LeaveReason::PollTimeout, .. })));
    let group = Name::from("g");
    let removed = |fact: &Fact| matches!(fact, Fact::MemberRemoved { reason: LeaveReason::PollTimeout, .. });
    assert!(bench.has(Node::Broker(BROKER), removed));
    bench.run(Duration::secs(10));
    let lost = Fact::PartitionsLost { group, partitions: vec![partition(0)], error: ErrorCode::UnknownMemberId };
    assert!(bench.has(a, |fact| *fact == lost));
    assert!(bench.has(a, |fact| matches!(fact, Fact::CommitFailed { .. })));
    assert_eq!(bench.assigned(a), [0], "it has joined again");
}

#[test]
fn a_member_that_was_silent_too_long_starts_anew() {
    let mut bench = Bench::new(1);
    let a = bench.add(1, Duration::ZERO, &[("session.timeout.ms", "6000")]);
    bench.run(Duration::millis(3500));
    let first = bench.consumers[&a].member_id().clone();
    bench.silent = true;
    bench.run(Duration::secs(40));
    bench.silent = false;
    // What was sent into the silence times out first.
    bench.run(Duration::secs(40));
    let consumer = &bench.consumers[&a];
    assert!(*consumer.member_id() != first);
    assert_eq!((consumer.generation(), bench.assigned(a)), (Some(Generation(3)), vec![0]));
    assert!(bench.has(a, |fact| matches!(fact, Fact::PartitionsLost { .. })));
}

#[test]
fn a_failover_of_the_coordinator_costs_members_nothing() {
    let mut bench = Bench::new(2);
    let (a, b) = (bench.add(1, Duration::ZERO, &[]), bench.add(2, Duration::ZERO, &[]));
    bench.run(Duration::secs(8));
    let generations = |bench: &Bench| [a, b].map(|node| bench.consumers[&node].generation());
    let before = generations(&bench);
    bench.load();
    for node in [a, b] {
        bench.input(node, Input::Disconnected { peer: Node::Broker(BROKER) });
    }
    bench.produce(0, 3);
    bench.run(Duration::secs(60));
    assert_eq!((generations(&bench), bench.processed().len()), (before, 3));
}

#[test]
fn a_position_outside_the_log_is_reset() {
    let mut bench = Bench::new(1);
    let a = bench.add(1, Duration::ZERO, &[]);
    bench.run(Duration::millis(3500));
    bench.produce(0, 5);
    bench.run(Duration::millis(100));
    // An unclean election: the log is shorter than what was read.
    bench.logs[0].clear();
    bench.produce(0, 2);
    bench.run(Duration::secs(2));
    let reset = Fact::PositionReset { partition: partition(0), offset: 0, reason: ResetReason::OutOfRange };
    assert!(bench.has(a, |fact| *fact == reset));
    assert_eq!(bench.processed().len(), 7);
}

#[test]
fn without_a_position_and_without_a_reset_policy_the_application_ends() {
    let mut bench = Bench::new(1);
    let a = bench.add(1, Duration::ZERO, &[("auto.offset.reset", "none")]);
    bench.run(Duration::secs(4));
    assert_eq!(bench.exited, [a]);
}

#[test]
fn latest_reads_only_what_comes_after_it_has_begun() {
    let mut bench = Bench::new(1);
    bench.produce(0, 5);
    bench.add(1, Duration::ZERO, &[("auto.offset.reset", "latest")]);
    bench.run(Duration::secs(4));
    bench.produce(0, 2);
    bench.run(Duration::secs(1));
    assert_eq!(bench.origins(), [5, 6]);
}

#[test]
fn new_partitions_of_a_topic_make_the_leader_share_anew() {
    let mut bench = Bench::new(1);
    let a = bench.add(1, Duration::ZERO, &[("metadata.max.age.ms", "5000")]);
    bench.run(Duration::secs(4));
    bench.logs.push(Vec::new());
    bench.run(Duration::secs(10));
    assert_eq!(bench.assigned(a), [0, 1]);
}

#[test]
fn polls_return_at_most_max_poll_records() {
    let mut bench = Bench::new(1);
    bench.add(1, Duration::ZERO, &[("max.poll.records", "7")]);
    bench.run(Duration::millis(3100));
    bench.produce(0, 20);
    bench.run(Duration::millis(100));
    let polls: Vec<u32> = bench
        .facts
        .iter()
        .filter_map(|(_, _, fact)| if let Fact::Polled { count, .. } = fact { Some(*count) } else { None })
        .collect();
    assert_eq!(polls, [7, 7, 6]);
    assert_eq!(bench.origins(), (0..20).collect::<Vec<u64>>());
}

#[test]
fn a_consumer_without_a_group_reads_all_partitions_and_commits_nothing() {
    let mut bench = Bench::new(2);
    bench.produce(0, 3);
    bench.produce(1, 4);
    let node = Node::Consumer(ClientId(1));
    let mut config = ConsumerConfig::default();
    config.set("auto.offset.reset", "earliest").unwrap();
    let consumer = Consumer::new(ConsumerSetup {
        id: ClientId(1),
        name: "consumer-c1".into(),
        client_id: "c1".into(),
        group: None,
        share: false,
        reads: Reads::Topics(vec!["t".into()]),
        task: Task::default(),
        config,
        bootstrap: vec![BROKER],
        rng: Rng::new(7, 1),
        dead_letters: None,
    });
    bench.consumers.insert(node, consumer);
    bench.input(node, Input::Start);
    bench.run(Duration::secs(10));
    assert_eq!((bench.processed().len(), bench.committed(0)), (7, None));
    bench.input(node, Input::Shutdown);
    assert_eq!(bench.exited, [node]);
}

#[test]
fn a_consumer_that_starts_again_knows_nothing_of_its_last_life() {
    let mut bench = Bench::new(1);
    let a = bench.add(1, Duration::ZERO, &[]);
    bench.run(Duration::millis(3500));
    bench.produce(0, 3);
    bench.run(Duration::millis(100));
    bench.input(a, Input::Start);
    let consumer = &bench.consumers[&a];
    assert_eq!((consumer.generation(), consumer.assigned().count(), consumer.processed()), (None, 0, 3));
}
