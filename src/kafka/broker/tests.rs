//! Replication between two brokers, with the test in the other one's place: broker 1 leads a partition, broker 2 follows.

use super::*;
use crate::kafka::config::{Compression, Isolation};
use crate::kafka::effects::Effect;
use crate::kafka::fact::Fact;
use crate::kafka::ids::{ControllerId, TopicId};
use crate::kafka::message::{
    FetchPartition, FetchResponse, FetchedPartition, ListOffsetsRequest, ListOffsetsResponse, OffsetSpec,
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
