//! How a run begins: the cluster was formatted, started, and given its topics before; at zero everything is up.
//!
//! That history is a metadata log. Controllers and brokers find it on their disks and take it from there, as after any
//! restart, so no machine is told anything in a special way.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::connections::Connections;
use super::founding::Founding;
use super::{Blueprint, Event, Machine, Remains, Slot, World};
use crate::kafka::broker::{Broker, BrokerDisk, BrokerSetup, ZkSetup};
use crate::kafka::config::BrokerConfig;
use crate::kafka::consumer::{Consumer, ConsumerSetup};
use crate::kafka::controller::{Bootstrap, Controller};
use crate::kafka::effects::Input;
use crate::kafka::fact::{Fact, NodeState};
use crate::kafka::ids::{
    BrokerEpoch, BrokerId, ClientId, ControllerId, LeaderEpoch, Name, Node, Offset, TopicId, TopicPartition, Voters,
    ZooKeeperId,
};
use crate::kafka::metadata::{ConfigResource, MetadataBatch, MetadataRecord, PartitionRegistration};
use crate::kafka::placement;
use crate::kafka::producer::{Producer, ProducerSetup};
use crate::kafka::quorum::ControllerDisk;
use crate::kafka::zk_controller::placement as classic;
use crate::kafka::zookeeper::{Ensemble, ZooKeeperServer};
use crate::rng::Rng;
use crate::sim::books::Books;
use crate::sim::check::Checks;
use crate::sim::network::Network;
use crate::sim::queue::Queue;
use crate::sim::scenario::{ConsumerSpec, Mode, ProducerSpec, Scenario, TopicSpec};
use crate::sim::spec::{self, FIRST_CONTROLLER};
use crate::sim::trace::{Names, TraceHash};
use crate::time::Instant;

/// The generator's streams: the network draws from the first, placement from the second, processes from the rest.
const NETWORK_STREAM: u64 = 0;
const PLACEMENT_STREAM: u64 = 1;
const FIRST_PROCESS_STREAM: u64 = 16;

impl World {
    /// The world of a scenario, at the moment the run begins.
    pub fn new(scenario: &Scenario) -> Self {
        let mut world = Self {
            now: Instant::ZERO,
            end: Instant::ZERO + scenario.duration,
            rng: Rng::new(scenario.seed, NETWORK_STREAM),
            next_stream: FIRST_PROCESS_STREAM,
            network: Network::new(scenario.network.clone()),
            queue: Queue::default(),
            names: Names::default(),
            slots: BTreeMap::new(),
            connections: Connections::default(),
            next_fact: 1,
            events: 0,
            hash: TraceHash::default(),
            books: Books::default(),
            checks: Checks::default(),
            facts: Vec::new(),
            journal: None,
            letters: None,
            expectations: BTreeMap::new(),
            tool_output: BTreeMap::new(),
            founding: None,
            scenario: Rc::new(scenario.clone()),
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        let scenario = self.scenario.clone();
        let history = MetadataBatch { base_offset: 0, epoch: LeaderEpoch(0), records: history(&scenario).into() };
        let ensemble = self.ensemble();
        self.founding = (!ensemble.is_empty())
            .then(|| Rc::new(Founding::new(&history, self.broker_config().zookeeper_session_timeout)));
        for fact in known_topics(&history) {
            self.note(None, 0, fact);
        }
        for id in self.voters().iter() {
            let mut disk = ControllerDisk::default();
            disk.log.append(history.clone());
            let machine = Machine::Off(Remains::Controller(Box::new(disk)));
            self.add_slot(Node::Controller(*id), Blueprint::Controller, machine);
        }
        for id in ensemble.iter() {
            let disk = self.founding.as_ref().map(|founding| founding.disk.clone()).unwrap_or_default();
            let machine = Machine::Off(Remains::ZooKeeper(Box::new(disk)));
            self.add_slot(Node::ZooKeeper(*id), Blueprint::ZooKeeper, machine);
        }
        for broker in &scenario.brokers {
            let disk = match scenario.mode {
                Mode::Kraft => BrokerDisk::with_history(history.clone()),
                Mode::ZooKeeper => BrokerDisk::default(),
            };
            let machine = Machine::Off(Remains::Broker(Box::new(disk)));
            self.add_slot(Node::Broker(broker.id), Blueprint::Broker(Rc::new(broker.clone())), machine);
        }
        let nodes: Vec<Node> = self.slots.keys().copied().collect();
        for node in nodes {
            self.boot_settled(node);
        }
        for producer in &scenario.producers {
            self.add_producer(producer, producer.start);
        }
        for consumer in &scenario.consumers {
            self.add_consumer(consumer, consumer.start);
        }
        for (step, index) in scenario.steps.iter().zip(0..) {
            self.queue.schedule(step.at, Event::Step(index));
        }
        self.close_event();
    }

    /// The servers of the ZooKeeper ensemble, where there is one.
    pub(super) fn ensemble(&self) -> Ensemble {
        let count = if self.scenario.mode == Mode::ZooKeeper { self.scenario.controllers as i32 } else { 0 };
        (1..=count).map(ZooKeeperId).collect()
    }

    pub(super) fn voters(&self) -> Voters {
        let count = if self.scenario.mode == Mode::Kraft { self.scenario.controllers } else { 0 };
        (0..count).map(|i| ControllerId(FIRST_CONTROLLER + i as i32)).collect()
    }

    pub(super) fn add_slot(&mut self, node: Node, blueprint: Blueprint, machine: Machine) {
        let slot = Slot {
            machine,
            state: NodeState::Stopped,
            timers: BTreeMap::new(),
            inbox: std::collections::VecDeque::new(),
            busy_until: Instant::ZERO,
            will_wake: false,
            slow: 1,
            dark: false,
            leaving: false,
            blueprint,
        };
        self.slots.insert(node, Rc::new(slot));
    }

    pub(super) fn add_producer(&mut self, spec: &ProducerSpec, start: Instant) -> Node {
        let node = Node::Producer(self.register(&format!("producer-{}", spec.name)));
        self.add_slot(node, Blueprint::Producer(Rc::new(spec.clone())), Machine::Off(Remains::Nothing));
        self.boot_at(node, start);
        node
    }

    pub(super) fn add_consumer(&mut self, spec: &ConsumerSpec, start: Instant) -> Node {
        let node = Node::Consumer(self.register(&format!("consumer-{}", spec.name)));
        self.add_slot(node, Blueprint::Consumer(Rc::new(spec.clone())), Machine::Off(Remains::Nothing));
        self.boot_at(node, start);
        node
    }

    /// Starts a client at its time. One that is added while the world runs starts at once.
    fn boot_at(&mut self, node: Node, start: Instant) {
        if start > self.now || self.now == Instant::ZERO {
            self.queue.schedule(start, Event::Boot { node, cause: 0 });
        } else {
            self.boot(node, 0);
        }
    }

    pub(super) fn register(&mut self, name: &str) -> ClientId {
        ClientId(self.names.add_client(name.into()))
    }

    /// At the beginning a cluster node is up already.
    fn boot_settled(&mut self, node: Node) {
        self.boot_with(node, 0, true);
    }

    /// A process starts.
    pub(super) fn boot(&mut self, node: Node, cause: u64) {
        self.boot_with(node, cause, false);
    }

    fn boot_with(&mut self, node: Node, cause: u64, settled: bool) {
        let stream = self.next_stream;
        let Some(slot) = self.slots.get(&node).filter(|slot| !slot.is_up()) else { return };
        self.next_stream += 1;
        let rng = Rng::new(self.scenario.seed, stream);
        let Some(machine) = self.build(node, slot.blueprint.clone(), slot.machine.clone(), rng, settled) else {
            return;
        };
        let state =
            if matches!(machine, Machine::Broker(_)) && !settled { NodeState::Starting } else { NodeState::Running };
        if self.slots.get(&node).is_some_and(|slot| slot.dark) {
            self.reset_connections(node, cause);
        }
        if let Some(slot) = self.slot_mut(node) {
            slot.machine = machine;
            slot.dark = false;
            slot.busy_until = Instant::ZERO;
        }
        let started = self.change_state(node, state, cause);
        self.give(node, Input::Start, started);
    }

    fn build(&self, node: Node, blueprint: Blueprint, old: Machine, rng: Rng, settled: bool) -> Option<Machine> {
        match (node, blueprint) {
            (Node::Controller(id), _) => {
                let (config, disk) = (self.broker_config(), old.into_controller_disk());
                let mut controller = Controller::new(id, self.voters(), config, Bootstrap::default(), disk, rng);
                if settled {
                    controller.settle();
                }
                Some(Machine::Controller(Box::new(controller)))
            }
            (Node::ZooKeeper(id), _) => {
                let server = ZooKeeperServer::new(id, self.ensemble(), old.into_zookeeper_disk(), settled);
                Some(Machine::ZooKeeper(Box::new(server)))
            }
            (Node::Broker(id), Blueprint::Broker(spec)) => {
                let mut config = self.broker_config();
                config.broker_rack.clone_from(&spec.rack);
                let disk = old.into_broker_disk();
                let zookeeper = (self.scenario.mode == Mode::ZooKeeper).then(|| ZkSetup {
                    ensemble: self.ensemble(),
                    settled: self.founding.as_ref().filter(|_| settled).and_then(|founding| founding.settled(id)),
                });
                let truncation = self.scenario.truncation;
                let voters = self.voters();
                let setup = BrokerSetup { id, config, voters, disk, rng, settled, truncation, zookeeper };
                Some(Machine::Broker(Box::new(Broker::new(setup))))
            }
            (Node::Producer(id), Blueprint::Producer(spec)) => {
                Some(Machine::Producer(Box::new(match old.into_producer() {
                    Some(before) => before.restarted(rng, self.bootstrap()),
                    None => Producer::new(ProducerSetup {
                        id,
                        name: self.names.node(node).into(),
                        workload: spec.workload.clone(),
                        config: spec.config.clone(),
                        bootstrap: self.bootstrap(),
                        rng,
                    }),
                })))
            }
            (Node::Consumer(id), Blueprint::Consumer(spec)) => {
                let name: Name = self.names.node(node).into();
                Some(Machine::Consumer(Box::new(Consumer::new(ConsumerSetup {
                    id,
                    client_id: name.clone(),
                    name,
                    group: spec.group.as_deref().map(Into::into),
                    share: spec.conduct.share,
                    reads: spec.reads(),
                    task: spec.task(),
                    config: spec.config.clone(),
                    bootstrap: self.bootstrap(),
                    rng,
                    dead_letters: old.into_producer(),
                }))))
            }
            _ => None,
        }
    }

    /// Every broker that clients are told to ask first.
    pub(super) fn bootstrap(&self) -> Vec<BrokerId> {
        self.slots.keys().filter_map(|node| node.broker()).collect()
    }

    /// What every broker's configuration file says. A cluster of fewer than three brokers keeps its offsets on as many
    /// as it has, as Kafka's own quick start does.
    fn broker_config(&self) -> BrokerConfig {
        let mut config = spec::broker_config(&self.scenario.cluster_config).unwrap_or_default();
        let given = self.scenario.cluster_config.iter().any(|(key, _)| key == "offsets.topic.replication.factor");
        let brokers = self.scenario.brokers.len() as u32;
        if !given {
            config.offsets_topic_replication_factor = config.offsets_topic_replication_factor.min(brokers.max(1));
        }
        let is_given = |key: &str| self.scenario.cluster_config.iter().any(|(given, _)| given == key);
        if !is_given("share.coordinator.state.topic.replication.factor") {
            let factor = config.share_state_topic_replication_factor.min(brokers.max(1));
            config.share_state_topic_replication_factor = factor;
        }
        if !is_given("share.coordinator.state.topic.min.isr") {
            let factor = config.share_state_topic_replication_factor;
            config.share_state_topic_min_isr = config.share_state_topic_min_isr.min(factor);
        }
        config
    }
}

/// The metadata log of a cluster that has been set up as the scenario says.
fn history(scenario: &Scenario) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    for broker in &scenario.brokers {
        let epoch = BrokerEpoch(records.len() as Offset);
        let rack = broker.rack.as_deref().map(Into::into);
        records.push(MetadataRecord::RegisterBroker { broker: broker.id, epoch, incarnation: 0, rack, fenced: false });
    }
    if scenario.mode == Mode::Kraft {
        // Formatting with eligible leader replicas writes this one (KIP-966).
        let min_isr = scenario.cluster_config.iter().rev().find(|(key, _)| key == "min.insync.replicas");
        records.push(MetadataRecord::Config {
            resource: ConfigResource::Cluster,
            key: "min.insync.replicas".into(),
            value: Some(min_isr.map_or("1", |(_, value)| value).into()),
        });
    }
    let mut rng = Rng::new(scenario.seed, PLACEMENT_STREAM);
    for (topic, id) in scenario.topics.iter().zip(0..) {
        topic_records(scenario, topic, TopicId(id), &mut rng, &mut records);
    }
    records
}

fn topic_records(
    scenario: &Scenario,
    topic: &TopicSpec,
    id: TopicId,
    rng: &mut Rng,
    records: &mut Vec<MetadataRecord>,
) {
    records.push(MetadataRecord::Topic { id, name: topic.name.as_str().into() });
    for (key, value) in &topic.config {
        records.push(MetadataRecord::Config {
            resource: ConfigResource::Topic(id),
            key: key.as_str().into(),
            value: Some(value.as_str().into()),
        });
    }
    let brokers: Vec<placement::UsableBroker> = scenario
        .brokers
        .iter()
        .map(|broker| placement::UsableBroker {
            id: broker.id,
            rack: broker.rack.as_deref().map(Into::into),
            fenced: false,
        })
        .collect();
    let factor = topic.replication_factor as i32;
    let mut draw = |bound| rng.below(bound);
    let mut placed = match scenario.mode {
        Mode::Kraft => placement::place(&brokers, topic.partitions, factor, &mut draw).unwrap_or_default(),
        Mode::ZooKeeper => {
            let live: Vec<_> = brokers.iter().map(|broker| (broker.id, broker.rack.clone())).collect();
            classic::place(&live, 0, topic.partitions, topic.replication_factor, &mut draw).unwrap_or_default()
        }
    };
    for (partition, replicas) in &topic.assignment {
        if let Some(place) = placed.get_mut(*partition as usize) {
            place.clone_from(replicas);
        }
    }
    for (replicas, partition) in placed.into_iter().zip(0..) {
        let registration = PartitionRegistration {
            isr: replicas.clone(),
            leader: replicas.first().copied(),
            replicas,
            ..PartitionRegistration::default()
        };
        records.push(MetadataRecord::Partition { partition: TopicPartition::new(id, partition), registration });
    }
}

/// A fact for each topic that was there before, so that whoever reads facts alone knows of it.
fn known_topics(history: &MetadataBatch) -> Vec<Fact> {
    let partitions = |id: TopicId| {
        let of_topic = history.records.iter().filter_map(move |record| match record {
            MetadataRecord::Partition { partition, registration } if partition.topic == id => Some(registration),
            _ => None,
        });
        let factor = of_topic.clone().next().map_or(0, |registration| registration.replicas.len() as u32);
        (of_topic.count() as u32, factor)
    };
    history
        .records
        .iter()
        .filter_map(|record| match record {
            MetadataRecord::Topic { id, name } => {
                let (partitions, replication_factor) = partitions(*id);
                Some(Fact::TopicCreated { topic: *id, name: name.clone(), partitions, replication_factor })
            }
            _ => None,
        })
        .collect()
}
