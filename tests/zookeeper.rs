//! Seeded runs in ZooKeeper mode: random kills, pauses, stops and cuts of brokers and of the ensemble's servers, with
//! every check of the model on. `SEED=7 cargo test --test zookeeper` runs one seed alone.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::panic::{self, AssertUnwindSafe};

use std::rc::Rc;

use brokerscope::kafka::broker::{Broker, BrokerDisk, BrokerSetup, ZkSettled, ZkSetup};
use brokerscope::kafka::compat::TruncationRule;
use brokerscope::kafka::config::BrokerConfig;
use brokerscope::kafka::effects::{Effect, Effects, Input};
use brokerscope::kafka::error::ErrorCode;
use brokerscope::kafka::fact::Fact;
use brokerscope::kafka::ids::{BrokerEpoch, BrokerId, Node, ZooKeeperId};
use brokerscope::kafka::message::ensemble::{SessionId, Zxid};
use brokerscope::kafka::message::push::{PushHeader, UpdateMetadataRequest};
use brokerscope::kafka::message::{Message, Request, Response};
use brokerscope::kafka::metadata::{MetadataImage, MetadataRecord};
use brokerscope::rng::Rng;
use brokerscope::sim::report::{BrokerState, Report};
use brokerscope::sim::scenario::Scenario;
use brokerscope::sim::world::World;
use brokerscope::time::{Duration, Instant};

/// Faults come from here on.
const CALM_UNTIL: u64 = 4_000;
/// From here on everything is being put right.
const HEALED_AT: u64 = 60_000;
/// The longest a healed cluster may take: a session timeout, what a new controller does, an ISR's return.
const QUIET_AT: u64 = 150_000;

/// With `acks=all`, `min.insync.replicas=2` and clean elections no acknowledged record is lost, one broker at most acts as
/// controller in each epoch, and what was healed works again.
#[test]
fn a_cluster_with_zookeeper_that_was_hurt_and_healed_has_lost_nothing() {
    for_each_seed(1..=60, |seed| {
        let text = trouble(seed);
        let scenario = Scenario::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let mut world = World::new(&scenario);
        world.listen(true);
        let mut reigns: BTreeMap<i32, BrokerId> = BTreeMap::new();
        for second in 1..=QUIET_AT / 1000 {
            world.run_until(Instant::ZERO + Duration::secs(second));
            for stamped in world.take_journal() {
                if let Fact::ControllerLoaded { controller, epoch, .. } = stamped.fact {
                    let first = *reigns.entry(epoch).or_insert(controller);
                    assert_eq!(first, controller, "two controllers in epoch {epoch}\n{text}");
                }
            }
        }
        let report = world.report();
        assert!(report.violations.is_empty(), "{:#?}\n{text}", report.violations);
        assert_eq!(report.ledger.lost, 0, "acknowledged records are lost\n{text}");
        everything_has_recovered(&report, &text);
    });
}

/// `KafkaApis.handleUpdateMetadataRequest`, `ReplicaManager.becomeLeaderOrFollower`: a controller of the past, or a request
/// meant for an earlier life of the broker, counts nothing; and a new controller ends the old one's time.
#[test]
fn a_broker_refuses_a_controller_of_the_past() {
    let mut image = MetadataImage::default();
    let (id, epoch) = (BrokerId(2), BrokerEpoch(70));
    image.apply(&MetadataRecord::RegisterBroker { broker: id, epoch, incarnation: 0, rack: None, fenced: false });
    let settled = ZkSettled {
        session: SessionId(9),
        zxid: Zxid::new(1, 9),
        controller: BrokerId(1),
        reign: (5, 4),
        image: Rc::new(image),
    };
    let mut broker = Broker::new(BrokerSetup {
        id,
        config: BrokerConfig::default(),
        voters: [].into(),
        disk: BrokerDisk::default(),
        rng: Rng::new(1, 1),
        settled: true,
        truncation: TruncationRule::default(),
        zookeeper: Some(ZkSetup { ensemble: [ZooKeeperId(1)].into(), settled: Some(settled) }),
    });
    broker.step(Instant::ZERO, Input::Start, &mut Effects::default());
    let mut told = |controller_epoch, broker_epoch| {
        let header = PushHeader { controller: BrokerId(1), controller_epoch, broker_epoch: BrokerEpoch(broker_epoch) };
        let request = Request::UpdateMetadata(UpdateMetadataRequest {
            header,
            live_brokers: [(id, None)].into(),
            topics: [].into(),
            partitions: [].into(),
            deleted: Vec::new(),
        });
        let message = Message::Request { correlation_id: 1, request };
        let mut out = Effects::default();
        broker.step(Instant::ZERO, Input::Message { from: Node::Broker(BrokerId(1)), message }, &mut out);
        let answer = out.drain().find_map(|effect| match effect {
            Effect::Send { message: Message::Response { response: Response::UpdateMetadata(answer), .. }, .. } => {
                Some(answer.error)
            }
            _ => None,
        });
        answer.expect("an answer")
    };
    assert_eq!(told(4, 70), ErrorCode::StaleControllerEpoch);
    assert_eq!(told(5, 69), ErrorCode::StaleBrokerEpoch);
    assert_eq!(told(5, 70), ErrorCode::None);
    assert_eq!(told(6, 70), ErrorCode::None);
    assert_eq!(told(5, 70), ErrorCode::StaleControllerEpoch);
}

fn everything_has_recovered(report: &Report, text: &str) {
    assert!(report.cluster.controller.is_some(), "no controller\n{text}");
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
    assert_eq!(group.lag, 0, "the group lags: {:?}\n{text}", group.offsets);
}

/// The slowest producer is done well before [`QUIET_AT`], so that its last records can be read and committed.
fn trouble(seed: u64) -> String {
    let mut rng = Rng::new(seed, 1);
    let mut text = format!(
        "format = 1\nseed = {seed}\nduration = \"{QUIET_AT}ms\"\n[cluster]\nmode = \"zookeeper\"\nbrokers = 3\n\
         controllers = 3\nconfig = {{ \"min.insync.replicas\" = 2, \"replica.lag.time.max.ms\" = {}, \
         \"offsets.topic.num.partitions\" = 3 }}\n[network]\nlatency = \"{}ms\"\njitter = \"1ms\"\n\
         [[topic]]\nname = \"orders\"\npartitions = {}\nreplication-factor = 3\n\
         [[producer]]\nname = \"p\"\ntopic = \"orders\"\nrate = {}.0\ncount = 1400\nsize = 60\n\
         config = {{ acks = \"all\", \"delivery.timeout.ms\" = 60000, \"request.timeout.ms\" = 5000 }}\n\
         [[consumer]]\nname = \"c\"\ngroup = \"g\"\ntopics = [\"orders\"]\nwork = \"1ms\"\n\
         config = {{ \"auto.offset.reset\" = \"earliest\" }}\n",
        [5_000, 10_000, 30_000][rng.below(3) as usize],
        rng.between(1, 5),
        rng.between(1, 6),
        rng.between(10, 40),
    );
    let nodes: Vec<String> = (1..=3).flat_map(|id| [format!("broker-{id}"), format!("zookeeper-{id}")]).collect();
    let mut faults: Vec<(u64, String)> = Vec::new();
    for _ in 0..rng.between(3, 10) {
        let at = rng.between(CALM_UNTIL, HEALED_AT - 1);
        let lasting = rng.between(100, 25_000);
        let node = &nodes[rng.below(nodes.len() as u32) as usize];
        let rest: Vec<&str> = nodes.iter().filter(|other| *other != node).map(String::as_str).collect();
        match rng.below(5) {
            0 | 1 => faults.extend([(at, format!("kill {node}")), (at + lasting, format!("start {node}"))]),
            2 => faults.extend([(at, format!("stop {node}")), (at + lasting, format!("start {node}"))]),
            3 => faults.push((at, format!("pause {node} for {lasting}ms"))),
            _ => faults.push((at, format!("cut {node} | {} for {lasting}ms", rest.join(" ")))),
        }
    }
    faults.retain(|(at, _)| *at < HEALED_AT);
    faults.push((HEALED_AT, "heal".into()));
    for node in &nodes {
        faults.push((HEALED_AT + 1, format!("resume {node}")));
        faults.push((HEALED_AT + 1_000, format!("start {node}")));
        // A broker that was told to stop could not before the controller was back.
        faults.push((HEALED_AT + 30_000, format!("start {node}")));
    }
    faults.sort();
    for (at, line) in faults {
        let _ = write!(text, "\n[[step]]\nat = \"{at}ms\"\nrun = \"{line}\"\n");
    }
    text
}

fn for_each_seed(seeds: std::ops::RangeInclusive<u64>, test: impl Fn(u64)) {
    let only = std::env::var("SEED").ok().map(|text| text.parse::<u64>().expect("SEED is a number"));
    for seed in only.map_or(seeds, |seed| seed..=seed) {
        if let Err(failure) = panic::catch_unwind(AssertUnwindSafe(|| test(seed))) {
            eprintln!("failed with SEED={seed}");
            panic::resume_unwind(failure);
        }
    }
}
