//! A cluster for cases that speak to one by its protocol: a controller and three brokers as every world has them, joined
//! by wires without faults.

use std::collections::BTreeMap;

use crate::kafka::broker::{Broker, BrokerDisk, BrokerSetup};
use crate::kafka::compat::TruncationRule;
use crate::kafka::config::BrokerConfig;
use crate::kafka::controller::{Bootstrap, Controller};
use crate::kafka::effects::{Effect, Effects, Input, Timer};
use crate::kafka::ids::{
    BrokerEpoch, BrokerId, ClientId, ControllerId, LeaderEpoch, Node, OFFSETS_TOPIC, TopicId, TopicPartition, Voters,
};
use crate::kafka::message::{Message, Request, Response};
use crate::kafka::metadata::{ConfigResource, MetadataBatch, MetadataRecord, PartitionRegistration};
use crate::kafka::quorum::ControllerDisk;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

const CONTROLLER: ControllerId = ControllerId(101);
const BROKERS: [BrokerId; 3] = [BrokerId(1), BrokerId(2), BrokerId(3)];
/// Leads the partition, and is asked everything.
const LEADER: BrokerId = BROKERS[0];
/// Who asks.
const CLIENT: Node = Node::Tool(ClientId(0));
const LATENCY: Duration = Duration::millis(1);
/// An answer that is not here by then does not come.
const PATIENCE: Duration = Duration::secs(30);

/// The one partition of the topic that a case is about.
pub const PARTITION: TopicPartition = TopicPartition::new(TopicId(0), 0);

/// The first partition of the topic that groups read; it has six.
pub const GROUP_PARTITION: TopicPartition = TopicPartition::new(TopicId(1), 0);
const GROUP_TOPIC_PARTITIONS: u32 = 6;

/// The machines, and what will happen to them, in order.
pub struct Cluster {
    now: Instant,
    controller: Controller,
    brokers: Vec<Broker>,
    events: BTreeMap<(Instant, u64), (Node, Input)>,
    timers: BTreeMap<(Node, Timer), (Instant, u64)>,
    next_event: u64,
    next_correlation: u32,
    answers: BTreeMap<u32, Response>,
}

impl Cluster {
    /// A cluster that has been up for long, with an empty topic.
    pub fn new() -> Self {
        let voters: Voters = [CONTROLLER].into();
        let history = MetadataBatch { base_offset: 0, epoch: LeaderEpoch(0), records: history().into() };
        let mut disk = ControllerDisk::default();
        disk.log.append(history.clone());
        let config = BrokerConfig::default();
        let rng = |stream| Rng::new(1, stream);
        let controller =
            Controller::new(CONTROLLER, voters.clone(), config.clone(), Bootstrap::default(), disk, rng(0));
        let broker = |id: &BrokerId| {
            Broker::new(BrokerSetup {
                id: *id,
                config: config.clone(),
                voters: voters.clone(),
                disk: BrokerDisk::with_history(history.clone()),
                rng: rng(u64::from(id.0.unsigned_abs())),
                settled: true,
                truncation: TruncationRule::default(),
                zookeeper: None,
            })
        };
        let mut cluster = Self {
            now: Instant::ZERO,
            controller,
            brokers: BROKERS.iter().map(broker).collect(),
            events: BTreeMap::new(),
            timers: BTreeMap::new(),
            next_event: 0,
            next_correlation: 0,
            answers: BTreeMap::new(),
        };
        cluster.schedule(Instant::ZERO, Node::Controller(CONTROLLER), Input::Start);
        BROKERS.iter().for_each(|id| cluster.schedule(Instant::ZERO, Node::Broker(*id), Input::Start));
        cluster.run_for(Duration::secs(1));
        cluster
    }

    /// Asks the partition's leader, and lets the followers catch up. `None` where no answer comes.
    pub fn ask(&mut self, request: Request) -> Option<Response> {
        let correlation_id = self.next_correlation;
        self.next_correlation += 1;
        let message = Message::Request { correlation_id, request };
        self.schedule(self.now + LATENCY, Node::Broker(LEADER), Input::Message { from: CLIENT, message });
        let give_up = self.now + PATIENCE;
        while !self.answers.contains_key(&correlation_id) && self.now < give_up {
            self.run_for(LATENCY);
        }
        self.run_for(Duration::millis(100));
        self.answers.remove(&correlation_id)
    }

    /// Lets time pass.
    pub fn wait(&mut self, lasting: Duration) {
        self.run_for(lasting);
    }

    fn run_for(&mut self, lasting: Duration) {
        let end = self.now + lasting;
        while let Some((at, node, input)) = self.next_before(end) {
            self.now = at;
            self.step(node, input);
        }
        self.now = end;
    }

    /// What happens next; equal times in the order they were asked for.
    fn next_before(&mut self, end: Instant) -> Option<(Instant, Node, Input)> {
        let event = self.events.keys().next().copied();
        let timer = self.timers.iter().min_by_key(|(_, due)| **due).map(|(key, due)| (*due, key.clone()));
        match (event, timer) {
            (event, Some((due, (node, timer)))) if due.0 <= end && event.is_none_or(|event| due < event) => {
                self.timers.remove(&(node, timer.clone()));
                Some((due.0, node, Input::Timer(timer)))
            }
            (Some(due), _) if due.0 <= end => self.events.remove(&due).map(|(node, input)| (due.0, node, input)),
            _ => None,
        }
    }

    fn step(&mut self, node: Node, input: Input) {
        let mut out = Effects::default();
        match node {
            Node::Controller(_) => self.controller.step(self.now, input, &mut out),
            Node::Broker(id) => {
                if let Some(broker) = self.brokers.iter_mut().find(|broker| broker.id() == id) {
                    broker.step(self.now, input, &mut out);
                }
            }
            _ => {
                if let Input::Message { message: Message::Response { correlation_id, response }, .. } = input {
                    self.answers.insert(correlation_id, response);
                }
            }
        }
        for effect in out.drain() {
            match effect {
                Effect::Send { to, message } => {
                    self.schedule(self.now + LATENCY, to, Input::Message { from: node, message });
                }
                Effect::SetTimer { at, timer } => {
                    let id = self.next_id();
                    self.timers.insert((node, timer), (at.max(self.now), id));
                }
                Effect::CancelTimer(timer) => {
                    self.timers.remove(&(node, timer));
                }
                _ => {}
            }
        }
    }

    fn schedule(&mut self, at: Instant, node: Node, input: Input) {
        let id = self.next_id();
        self.events.insert((at, id), (node, input));
    }

    fn next_id(&mut self) -> u64 {
        self.next_event += 1;
        self.next_event
    }
}

/// What the metadata log says of such a cluster.
fn history() -> Vec<MetadataRecord> {
    let register = |(broker, epoch): (&BrokerId, i64)| MetadataRecord::RegisterBroker {
        broker: *broker,
        epoch: BrokerEpoch(epoch),
        incarnation: 0,
        rack: None,
        fenced: false,
    };
    let mut records: Vec<MetadataRecord> = BROKERS.iter().zip(0..).map(register).collect();
    records.push(MetadataRecord::Config {
        resource: ConfigResource::Cluster,
        key: "min.insync.replicas".into(),
        value: Some("1".into()),
    });
    records.push(MetadataRecord::Topic { id: PARTITION.topic, name: "case".into() });
    let registration = PartitionRegistration {
        replicas: BROKERS.into(),
        isr: BROKERS.into(),
        leader: Some(LEADER),
        ..PartitionRegistration::default()
    };
    records.push(MetadataRecord::Partition { partition: PARTITION, registration: registration.clone() });
    // What groups read, and where the leader, who coordinates them all, keeps them.
    let offsets = TopicPartition::new(TopicId(2), 0);
    let group = (0..GROUP_TOPIC_PARTITIONS).map(|at| TopicPartition::new(GROUP_PARTITION.topic, at));
    records.push(MetadataRecord::Topic { id: GROUP_PARTITION.topic, name: "c".into() });
    records.push(MetadataRecord::Topic { id: offsets.topic, name: OFFSETS_TOPIC.into() });
    for partition in group.chain([offsets]) {
        records.push(MetadataRecord::Partition { partition, registration: registration.clone() });
    }
    records
}
