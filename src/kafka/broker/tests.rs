//! Replication between two brokers, with the test in the other one's place: broker 1 leads a partition, broker 2 follows.

use super::*;
use crate::kafka::config::{Acks, Compression, Isolation};
use crate::kafka::effects::Effect;
use crate::kafka::fact::Fact;
use crate::kafka::ids::{ControllerId, TopicId};
use crate::kafka::message::{
    FetchPartition, FetchRequest, FetchResponse, FetchedPartition, ListOffsetsRequest, ListOffsetsResponse, OffsetSpec,
    ProduceRequest,
};
use crate::kafka::metadata::{MetadataRecord, PartitionRegistration};
use crate::kafka::record::{Batch, BatchBuilder};

const LEADER: BrokerId = BrokerId(1);
const FOLLOWER: BrokerId = BrokerId(2);
const EPOCH: LeaderEpoch = LeaderEpoch(0);

fn orders() -> TopicPartition {
    TopicPartition::new(TopicId(7), 0)
}

/// `count` records, each a batch of its own, from `first` on.
fn batches(first: Offset, count: Offset) -> Vec<Batch> {
    let batch = |base_offset| {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(0, None, Some(b"x"), &[]);
        Batch { base_offset, leader_epoch: EPOCH, ..builder.build() }
    };
    (first..first + count).map(batch).collect()
}

/// A broker that has been up for long.
struct Bench {
    broker: Broker,
    now: Instant,
    sent: Vec<(Node, Message)>,
    facts: Vec<Fact>,
}

impl Bench {
    fn new(id: BrokerId) -> Self {
        let register = |broker, epoch| MetadataRecord::RegisterBroker {
            broker,
            epoch: BrokerEpoch(epoch),
            incarnation: 0,
            rack: None,
            fenced: false,
        };
        let registration = PartitionRegistration {
            replicas: vec![LEADER, FOLLOWER],
            isr: vec![LEADER, FOLLOWER],
            leader: Some(LEADER),
            leader_epoch: EPOCH,
            ..PartitionRegistration::default()
        };
        let records = vec![
            register(LEADER, 0),
            register(FOLLOWER, 1),
            MetadataRecord::Topic { id: orders().topic, name: "orders".into() },
            MetadataRecord::Partition { partition: orders(), registration },
        ];
        let history = MetadataBatch { base_offset: 0, epoch: LeaderEpoch(1), records: records.into() };
        let broker = Broker::new(BrokerSetup {
            truncation: Default::default(),
            id,
            config: BrokerConfig::default(),
            voters: [ControllerId(101)].into(),
            disk: BrokerDisk::with_history(history),
            rng: Rng::new(1, 1),
            settled: true,
            zookeeper: None,
        });
        let mut bench = Self { broker, now: Instant::ZERO, sent: Vec::new(), facts: Vec::new() };
        bench.step(Input::Start);
        bench
    }

    fn step(&mut self, input: Input) {
        let mut out = Effects::default();
        self.broker.step(self.now, input, &mut out);
        for effect in out.drain() {
            match effect {
                Effect::Send { to, message } => self.sent.push((to, message)),
                Effect::Note(fact) => self.facts.push(fact),
                _ => {}
            }
        }
    }

    /// The request to the leader that is out; there must be exactly one.
    fn asked(&mut self) -> (u32, Request) {
        let to_leader = |(to, message): &(Node, Message)| *to == Node::Broker(LEADER) && message.is_request();
        let at = self.sent.iter().position(to_leader).expect("a request to the leader");
        let (_, message) = self.sent.remove(at);
        assert!(!self.sent.iter().any(to_leader), "one request at a time: {:?}", self.sent);
        let Message::Request { correlation_id, request } = message else { unreachable!("it is one") };
        (correlation_id, request)
    }

    /// The fetch that is out: its correlation id, and what it wants.
    fn fetch(&mut self) -> (u32, FetchPartition) {
        let (id, request) = self.asked();
        let Request::Fetch(fetch) = request else { panic!("not a fetch: {request:?}") };
        (id, fetch.partitions[0])
    }

    /// The ListOffsets that is out: its correlation id, and which end it asks for.
    fn list_offsets(&mut self) -> (u32, OffsetSpec) {
        let (id, request) = self.asked();
        let Request::ListOffsets(list) = request else { panic!("not ListOffsets: {request:?}") };
        assert_eq!(list.replica, Some(FOLLOWER));
        let (partition, epoch, spec) = list.partitions[0];
        assert_eq!((partition, epoch), (orders(), Some(EPOCH)));
        (id, spec)
    }

    fn answer(&mut self, correlation_id: u32, response: Response) {
        let message = Message::Response { correlation_id, response };
        self.step(Input::Message { from: Node::Broker(LEADER), message });
    }

    fn answer_fetch(&mut self, id: u32, error: ErrorCode, batches: Vec<Batch>) {
        let fetched = FetchedPartition {
            partition: orders(),
            error,
            high_watermark: 0,
            last_stable_offset: 0,
            log_start_offset: 0,
            diverging_epoch: None,
            current_leader: None,
            preferred_read_replica: None,
            batches,
        };
        self.answer(id, Response::Fetch(FetchResponse { partitions: vec![fetched] }));
    }

    fn answer_offset(&mut self, id: u32, error: ErrorCode, offset: Offset) {
        let partitions = vec![(orders(), error, offset, EPOCH)];
        self.answer(id, Response::ListOffsets(ListOffsetsResponse { partitions }));
    }

    /// Runs the fetcher after a pause.
    fn wait(&mut self) {
        self.now += self.broker.config.replica_fetch_backoff;
        self.step(Input::Timer(Timer::FollowerFetch { leader: LEADER }));
    }

    fn log_ends(&self) -> (Offset, Offset) {
        let log = self.broker.log(orders()).expect("a replica");
        (log.start(), log.end())
    }
}

/// Broker 2 with five records, right after the leader could not place the offset it asked for.
fn out_of_range() -> Bench {
    let mut bench = Bench::new(FOLLOWER);
    let (id, _) = bench.fetch();
    bench.answer_fetch(id, ErrorCode::None, batches(0, 5));
    let (id, wanted) = bench.fetch();
    assert_eq!(wanted.fetch_offset, 5);
    bench.answer_fetch(id, ErrorCode::OffsetOutOfRange, vec![]);
    bench
}

#[test]
fn a_follower_that_goes_beyond_its_leaders_log_end_cuts_its_own_there() {
    let mut bench = out_of_range();
    let (id, spec) = bench.list_offsets();
    assert_eq!(spec, OffsetSpec::Latest);
    bench.answer_offset(id, ErrorCode::None, 2);
    assert_eq!(bench.log_ends(), (0, 2));
    assert!(bench.facts.iter().any(|fact| matches!(fact, Fact::Truncated { from: 5, to: 2, .. })));
    assert_eq!(bench.fetch().1.fetch_offset, 2);
}

#[test]
fn a_follower_that_ends_before_its_leaders_log_start_begins_anew_there() {
    let mut bench = out_of_range();
    let (id, _) = bench.list_offsets();
    bench.answer_offset(id, ErrorCode::None, 9);
    assert_eq!(bench.log_ends(), (0, 5), "nothing is dropped before the leader has said where it begins");
    let (id, spec) = bench.list_offsets();
    assert_eq!(spec, OffsetSpec::Earliest);
    bench.answer_offset(id, ErrorCode::None, 8);
    assert_eq!(bench.log_ends(), (8, 8));
    let wanted = bench.fetch().1;
    assert_eq!((wanted.fetch_offset, wanted.last_fetched_epoch), (8, None));
}

#[test]
fn a_follower_that_gets_no_offset_keeps_its_log_and_fetches_again_later() {
    let mut bench = out_of_range();
    let (id, _) = bench.list_offsets();
    bench.answer_offset(id, ErrorCode::NotLeaderOrFollower, -1);
    bench.wait();
    let (id, wanted) = bench.fetch();
    assert_eq!(wanted.fetch_offset, 5);

    bench.answer_fetch(id, ErrorCode::OffsetOutOfRange, vec![]);
    assert_eq!(bench.list_offsets().1, OffsetSpec::Latest);
    bench.step(Input::Disconnected { peer: Node::Broker(LEADER) });
    bench.wait();
    assert_eq!(bench.fetch().1.fetch_offset, 5);
    assert_eq!(bench.log_ends(), (0, 5));
}

#[test]
fn list_offsets_tells_a_follower_the_log_end_and_a_client_the_high_watermark() {
    let mut bench = Bench::new(LEADER);
    let mut out = Effects::default();
    let replica = bench.broker.replicas.get_mut(&orders()).expect("a replica");
    for batch in batches(0, 3) {
        replica.append_as_leader(Instant::ZERO, batch, false, &mut out).expect("it leads");
    }
    for (replica, end) in [(Some(FOLLOWER), 3), (None, 0)] {
        let isolation = Isolation::ReadUncommitted;
        let partitions = vec![(orders(), Some(EPOCH), OffsetSpec::Latest)];
        let request = Request::ListOffsets(ListOffsetsRequest { replica, isolation, partitions });
        bench.sent.clear();
        let message = Message::Request { correlation_id: 1, request };
        bench.step(Input::Message { from: Node::Broker(FOLLOWER), message });
        let answers: Vec<Offset> = bench.sent.iter().filter_map(|(_, message)| listed_offset(message)).collect();
        assert_eq!(answers, [end], "asked by {replica:?}");
    }
}

fn listed_offset(message: &Message) -> Option<Offset> {
    match message {
        Message::Response { response: Response::ListOffsets(listed), .. } => Some(listed.partitions[0].2),
        _ => None,
    }
}

/// What the leader answers to a fetch that does not wait, by that broker.
fn fetch_of(bench: &mut Bench, follower: BrokerId, wanted: FetchPartition) -> FetchedPartition {
    let request = Request::Fetch(FetchRequest {
        replica: Some((follower, BrokerEpoch(1))),
        max_wait: Duration::ZERO,
        min_bytes: 1,
        max_bytes: 1 << 20,
        isolation: Isolation::ReadUncommitted,
        rack: None,
        partitions: vec![wanted],
    });
    bench.sent.clear();
    let message = Message::Request { correlation_id: 1, request };
    bench.step(Input::Message { from: Node::Broker(follower), message });
    let answer = bench.sent.iter().find_map(|(_, message)| match message {
        Message::Response { response: Response::Fetch(fetch), .. } => fetch.partitions.first().cloned(),
        _ => None,
    });
    answer.expect("an answer")
}

fn wanted(offset: Offset, last_fetched_epoch: Option<LeaderEpoch>) -> FetchPartition {
    FetchPartition {
        partition: orders(),
        current_leader_epoch: Some(EPOCH),
        fetch_offset: offset,
        last_fetched_epoch,
        log_start_offset: 0,
        max_bytes: 1 << 20,
    }
}

#[test]
fn a_follower_that_is_no_replica_yet_is_told_that_the_epoch_is_unknown() {
    let mut bench = Bench::new(LEADER);
    assert_eq!(fetch_of(&mut bench, BrokerId(3), wanted(0, None)).error, ErrorCode::UnknownLeaderEpoch);
    assert_eq!(fetch_of(&mut bench, FOLLOWER, wanted(0, None)).error, ErrorCode::None);
}

#[test]
fn the_epoch_is_checked_before_anything_else() {
    let mut bench = Bench::new(LEADER);
    let at = |epoch| FetchPartition { current_leader_epoch: Some(LeaderEpoch(epoch)), ..wanted(99, None) };
    assert_eq!(fetch_of(&mut bench, BrokerId(3), at(-1)).error, ErrorCode::FencedLeaderEpoch);
    assert_eq!(fetch_of(&mut bench, BrokerId(3), at(1)).error, ErrorCode::UnknownLeaderEpoch);
    assert_eq!(fetch_of(&mut bench, FOLLOWER, at(0)).error, ErrorCode::OffsetOutOfRange);
}

#[test]
fn a_fetch_below_the_log_start_is_out_of_range_even_where_the_logs_part() {
    let mut bench = Bench::new(LEADER);
    let mut out = Effects::default();
    let replica = bench.broker.replicas.get_mut(&orders()).expect("a replica");
    replica.truncate_fully_and_start_at(10, &mut out);
    for batch in batches(0, 3) {
        replica.append_as_leader(Instant::ZERO, batch, false, &mut out).expect("it leads");
    }
    // A later epoch than any here, at an offset that is no longer here.
    let fetched = fetch_of(&mut bench, FOLLOWER, wanted(4, Some(EPOCH)));
    assert_eq!((fetched.error, fetched.diverging_epoch), (ErrorCode::OffsetOutOfRange, None));
    let fetched = fetch_of(&mut bench, FOLLOWER, wanted(99, Some(EPOCH)));
    assert_eq!((fetched.error, fetched.diverging_epoch), (ErrorCode::None, Some((EPOCH, 13))));
}

#[test]
fn a_diverging_fetch_acknowledges_nothing() {
    let mut bench = Bench::new(LEADER);
    let mut out = Effects::default();
    let replica = bench.broker.replicas.get_mut(&orders()).expect("a replica");
    for batch in batches(0, 3) {
        replica.append_as_leader(Instant::ZERO, batch, false, &mut out).expect("it leads");
    }
    assert!(fetch_of(&mut bench, FOLLOWER, wanted(7, Some(EPOCH))).diverging_epoch.is_some());
    let known = |bench: &Bench| {
        let leadership = bench.broker.replica(orders()).and_then(Replica::leadership).expect("it leads");
        leadership.followers()[&FOLLOWER].log_end
    };
    assert_eq!(known(&bench), None);
    fetch_of(&mut bench, FOLLOWER, wanted(3, Some(EPOCH)));
    assert_eq!(known(&bench), Some(3));
}

#[test]
fn a_produce_that_waits_too_long_times_out_and_stays_in_the_log() {
    let mut bench = Bench::new(LEADER);
    let batch = batches(0, 1).remove(0);
    let timeout = Duration::millis(100);
    let request = Request::Produce(ProduceRequest { acks: Acks::All, timeout, partitions: vec![(orders(), batch)] });
    let message = Message::Request { correlation_id: 7, request };
    bench.step(Input::Message { from: Node::Producer(crate::kafka::ids::ClientId(1)), message });
    let answer = |bench: &Bench| {
        bench.sent.iter().find_map(|(_, message)| match message {
            Message::Response { response: Response::Produce(produce), .. } => Some(produce.partitions[0].error),
            _ => None,
        })
    };
    assert_eq!(answer(&bench), None, "the follower has not fetched it");
    bench.now += timeout;
    bench.step(Input::Timer(Timer::DelayedProduce { id: 1 }));
    assert_eq!(answer(&bench), Some(ErrorCode::RequestTimedOut));
    assert_eq!(bench.log_ends(), (0, 1));
    // The follower has it after all: it is committed, though nobody hears of it.
    fetch_of(&mut bench, FOLLOWER, wanted(1, Some(EPOCH)));
    assert_eq!(bench.broker.replica(orders()).expect("a replica").high_watermark(), 1);
}

#[test]
fn a_leader_that_is_elected_again_knows_how_far_its_followers_are() {
    let mut out = Effects::default();
    let mut replica = Replica::open(orders(), Log::default(), 0);
    let at = |leader_epoch, partition_epoch| PartitionRegistration {
        replicas: vec![LEADER, FOLLOWER],
        isr: vec![LEADER, FOLLOWER],
        leader: Some(LEADER),
        leader_epoch: LeaderEpoch(leader_epoch),
        partition_epoch: PartitionEpoch(partition_epoch),
        ..PartitionRegistration::default()
    };
    replica.apply(Instant::ZERO, LEADER, &at(0, 0), &mut out);
    let follower = |replica: &Replica| replica.leadership().expect("it leads").followers()[&FOLLOWER].log_end;
    assert_eq!(follower(&replica), None, "it has just been elected");
    replica.update_follower(Instant::ZERO, FOLLOWER, BrokerEpoch(1), 0, 0);
    replica.apply(Instant::ZERO, LEADER, &at(1, 1), &mut out);
    assert_eq!((replica.leader_epoch(), follower(&replica)), (LeaderEpoch(1), Some(0)));
}

/// Three logs under one hundred random leaders each, clean or not, with followers that get only part of what there is.
#[test]
fn whatever_happened_before_a_follower_ends_with_its_leaders_log() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed, 0);
        let mut logs: Vec<Replica> = (0..3).map(|_| Replica::open(orders(), Log::default(), 0)).collect();
        let mut leader = 0;
        for epoch in 0..100 {
            leader = rng.below(3) as usize;
            lead(&mut logs[leader], leader, epoch);
            for _ in 0..rng.below(3) {
                append(&mut logs[leader], &mut rng);
            }
            let follower = (leader + 1 + rng.below(2) as usize) % 3;
            let enough = rng.below(4) as usize;
            copy(&mut logs, leader, follower, enough);
        }
        for follower in (0..3).filter(|at| *at != leader) {
            copy(&mut logs, leader, follower, usize::MAX);
            let whole = |log: &Replica| -> Vec<_> {
                log.log().batches().map(|batch| (batch.base_offset, batch.leader_epoch, batch.crc)).collect()
            };
            assert_eq!(whole(&logs[follower]), whole(&logs[leader]), "seed {seed}");
        }
    }
}

fn lead(replica: &mut Replica, at: usize, epoch: i32) {
    let me = BrokerId(at as i32);
    let registration = PartitionRegistration {
        replicas: (0..3).map(BrokerId).collect(),
        isr: vec![me],
        leader: Some(me),
        leader_epoch: LeaderEpoch(epoch),
        partition_epoch: PartitionEpoch(epoch),
        ..PartitionRegistration::default()
    };
    replica.apply(Instant::ZERO, me, &registration, &mut Effects::default());
}

fn append(replica: &mut Replica, rng: &mut Rng) {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(0, None, Some(&rng.below(1 << 30).to_be_bytes()), &[]);
    replica.append_as_leader(Instant::ZERO, builder.build(), false, &mut Effects::default()).expect("it leads");
}

/// Fetches until the logs fit, then up to so many batches.
fn copy(logs: &mut [Replica], leader: usize, follower: usize, batches: usize) {
    let mut out = Effects::default();
    loop {
        let before = (logs[follower].log().last_epoch(), logs[follower].log().end());
        let (epoch, end) = before;
        match logs[leader].place(epoch, end).expect("a leader knows every epoch before its own") {
            Some((epoch, at)) => {
                logs[follower].truncate_to_divergence(epoch, at, &mut out);
                // An epoch that never wrote anything may be all that goes.
                let after = (logs[follower].log().last_epoch(), logs[follower].log().end());
                assert_ne!(after, before, "this would be repeated for ever");
            }
            None => {
                let more = logs[leader].log().batches_from(end).take(batches).cloned().collect();
                logs[follower].append_fetched(more, 0, &mut out);
                return;
            }
        }
    }
}

#[test]
fn an_encrypted_answer_passes_through_the_process_and_a_plain_one_does_not() {
    let mut bench = Bench::new(LEADER);
    let replica = bench.broker.replicas.get_mut(&orders()).expect("a replica");
    for batch in batches(0, 3) {
        replica.append_as_leader(Instant::ZERO, batch, false, &mut Effects::default()).expect("it leads");
    }
    let bytes = replica.log().bytes();
    for (listeners, zero_copy, copied) in [("PLAINTEXT://:9092", bytes, 0), ("SSL://:9092", bytes, bytes)] {
        bench.broker.set_config("listeners", listeners);
        let wanted = FetchPartition {
            partition: orders(),
            current_leader_epoch: Some(EPOCH),
            fetch_offset: 0,
            last_fetched_epoch: None,
            log_start_offset: 0,
            max_bytes: 1 << 20,
        };
        let request = Request::Fetch(FetchRequest {
            replica: Some((FOLLOWER, BrokerEpoch(1))),
            max_wait: Duration::ZERO,
            min_bytes: 1,
            max_bytes: 1 << 20,
            isolation: Isolation::ReadUncommitted,
            rack: None,
            partitions: vec![wanted],
        });
        let message = Message::Request { correlation_id: 1, request };
        bench.step(Input::Message { from: Node::Broker(FOLLOWER), message });
        let counts = bench.broker.disk().counts();
        assert_eq!((counts.sent_zero_copy, counts.sent_copied), (zero_copy, copied), "{listeners}");
    }
}
