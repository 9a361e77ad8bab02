//! Controllers and brokers' lifecycles on a small network with a fixed latency, for the tests beside this file.

use std::collections::{BTreeMap, BTreeSet};

use super::super::config::BrokerConfig;
use super::super::connection::InFlight;
use super::super::effects::{Effect, Effects, Input, Timer};
use super::super::fact::Fact;
use super::super::ids::{BrokerEpoch, BrokerId, ControllerId, Name, Node, TopicPartition, Voters};
use super::super::lifecycle::{Lifecycle, Turn};
use super::super::message::{CreateTopicsRequest, Message, NewTopic, Request, Response, TopicResult};
use super::super::metadata::PartitionRegistration;
use super::super::observer::{Ask, Observer};
use super::super::quorum::ControllerDisk;
use super::super::quorum::log::MetadataLog;
use super::{Bootstrap, Controller};
use crate::rng::Rng;
use crate::time::{Duration, Instant};

const LATENCY: Duration = Duration::millis(2);
const VOTERS: [ControllerId; 3] = [ControllerId(101), ControllerId(102), ControllerId(103)];
/// Who asks in the tests' name.
const ADMIN: Node = Node::Tool(super::super::ids::ClientId(0));

/// A broker reduced to what the controller sees of it.
struct TestBroker {
    lifecycle: Lifecycle,
    observer: Observer,
    in_flight: InFlight<Purpose>,
}

enum Purpose {
    Lifecycle,
    Observer,
}

/// The little world. Everything in it happens in the order of (time, when it was asked for).
pub struct Harness {
    pub now: Instant,
    controllers: BTreeMap<ControllerId, Controller>,
    brokers: BTreeMap<BrokerId, TestBroker>,
    controller_disks: BTreeMap<ControllerId, ControllerDisk>,
    broker_disks: BTreeMap<BrokerId, (MetadataLog, Option<BrokerEpoch>)>,
    bootstrap: Bootstrap,
    events: BTreeMap<(Instant, u64), (Node, Input)>,
    timers: BTreeMap<(Node, Timer), (Instant, u64)>,
    next_id: u64,
    paused: BTreeSet<Node>,
    pub facts: Vec<(Instant, Fact)>,
    pub replies: Vec<(Instant, u32, Response)>,
}

impl Harness {
    /// Three voters, and brokers 1 to `brokers`, two seconds after they started.
    pub fn new(brokers: i32, min_isr: &str) -> Self {
        let cluster_config = vec![(Name::from("min.insync.replicas"), Name::from(min_isr))];
        let mut harness = Self {
            now: Instant::ZERO,
            controllers: BTreeMap::new(),
            brokers: BTreeMap::new(),
            controller_disks: BTreeMap::new(),
            broker_disks: BTreeMap::new(),
            bootstrap: Bootstrap { cluster_config, ..Bootstrap::default() },
            events: BTreeMap::new(),
            timers: BTreeMap::new(),
            next_id: 0,
            paused: BTreeSet::new(),
            facts: Vec::new(),
            replies: Vec::new(),
        };
        for id in VOTERS {
            harness.start_controller(id.0);
            harness.controllers.get_mut(&id).expect("it was started").settle();
        }
        (1..=brokers).for_each(|id| harness.start_broker(id));
        harness.run_millis(2000);
        harness
    }

    pub fn start_controller(&mut self, id: i32) {
        let id = ControllerId(id);
        let voters: Voters = VOTERS.into();
        let disk = self.controller_disks.remove(&id).unwrap_or_default();
        let rng = Rng::new(7, id.0 as u64);
        let controller = Controller::new(id, voters, BrokerConfig::default(), self.bootstrap.clone(), disk, rng);
        self.controllers.insert(id, controller);
        self.schedule(self.now, Node::Controller(id), Input::Start);
    }

    pub fn start_broker(&mut self, id: i32) {
        let id = BrokerId(id);
        let (log, previous_epoch) = self.broker_disks.remove(&id).unwrap_or_default();
        let config = BrokerConfig::default();
        let mut rng = Rng::new(self.next_id, id.0 as u64);
        let lifecycle = Lifecycle::new(id, &config, rng.next_u64(), previous_epoch);
        let observer = Observer::new(id, VOTERS.into(), &config, log, &mut rng);
        self.brokers.insert(id, TestBroker { lifecycle, observer, in_flight: InFlight::default() });
        self.schedule(self.now, Node::Broker(id), Input::Start);
    }

    /// Crashes a node: its disk stays, its connections break.
    pub fn kill(&mut self, node: Node) {
        match node {
            Node::Controller(id) => {
                let disk = self.controllers.remove(&id).map(Controller::into_disk);
                self.controller_disks.extend(disk.map(|disk| (id, disk)));
            }
            Node::Broker(id) => self.end_broker(id, None),
            _ => {}
        }
        self.break_connections(node);
    }

    /// Empties the disk of a controller that is down.
    pub fn wipe(&mut self, id: i32) {
        self.controller_disks.remove(&ControllerId(id));
    }

    pub fn stop_broker(&mut self, id: i32) {
        self.schedule(self.now, Node::Broker(BrokerId(id)), Input::Shutdown);
    }

    /// Nothing reaches the node, and its timers wait, until [`resume`](Self::resume).
    pub fn pause(&mut self, node: Node) {
        self.paused.insert(node);
    }

    pub fn resume(&mut self, node: Node) {
        self.paused.remove(&node);
    }

    fn end_broker(&mut self, id: BrokerId, clean_epoch: Option<BrokerEpoch>) {
        if let Some(broker) = self.brokers.remove(&id) {
            self.broker_disks.insert(id, (broker.observer.into_log(), clean_epoch));
        }
        self.break_connections(Node::Broker(id));
    }

    fn break_connections(&mut self, node: Node) {
        self.timers.retain(|(owner, _), _| *owner != node);
        for peer in self.nodes() {
            self.schedule(self.now + LATENCY, peer, Input::Disconnected { peer: node });
        }
    }

    fn nodes(&self) -> Vec<Node> {
        let controllers = self.controllers.keys().map(|id| Node::Controller(*id));
        controllers.chain(self.brokers.keys().map(|id| Node::Broker(*id))).collect()
    }

    pub fn run_millis(&mut self, millis: u64) {
        let end = self.now + Duration::millis(millis);
        while let Some((at, to, input)) = self.next_before(end) {
            self.now = self.now.max(at);
            self.deliver(to, input);
        }
        self.now = end;
    }

    fn next_before(&mut self, end: Instant) -> Option<(Instant, Node, Input)> {
        let event = self.events.iter().find(|(_, (to, _))| !self.paused.contains(to)).map(|(key, _)| *key);
        let waiting = self.timers.iter().filter(|((node, _), _)| !self.paused.contains(node));
        let timer = waiting.min_by_key(|(_, due)| **due).map(|(key, due)| (*due, key.clone()));
        match (event, timer) {
            (event, Some((due, key))) if due.0 <= end && event.is_none_or(|event| due < event) => {
                self.timers.remove(&key);
                Some((due.0, key.0, Input::Timer(key.1)))
            }
            (Some(event), _) if event.0 <= end => self.events.remove(&event).map(|(to, input)| (event.0, to, input)),
            _ => None,
        }
    }

    fn deliver(&mut self, to: Node, input: Input) {
        let mut out = Effects::default();
        match to {
            Node::Controller(id) => match self.controllers.get_mut(&id) {
                Some(controller) => controller.step(self.now, input, &mut out),
                None => return self.refuse(to, input),
            },
            Node::Broker(id) => match self.brokers.get_mut(&id) {
                Some(broker) => broker.step(self.now, input, &mut out),
                None => return self.refuse(to, input),
            },
            _ => {
                if let Input::Message { message: Message::Response { correlation_id, response }, .. } = input {
                    self.replies.push((self.now, correlation_id, response));
                }
                return;
            }
        }
        for effect in out.drain().collect::<Vec<_>>() {
            self.carry_out(to, effect);
        }
    }

    fn refuse(&mut self, node: Node, input: Input) {
        if let Input::Message { from, .. } = input {
            self.schedule(self.now + LATENCY, from, Input::Disconnected { peer: node });
        }
    }

    fn carry_out(&mut self, from: Node, effect: Effect) {
        match effect {
            Effect::Send { to, message } => {
                self.schedule(self.now + LATENCY, to, Input::Message { from, message });
            }
            Effect::SetTimer { at, timer } => {
                self.next_id += 1;
                self.timers.insert((from, timer), (at, self.next_id));
            }
            Effect::CancelTimer(timer) => {
                self.timers.remove(&(from, timer));
            }
            Effect::CloseConnection { peer } => {
                self.schedule(self.now + LATENCY, peer, Input::Disconnected { peer: from });
            }
            Effect::Note(fact) => self.facts.push((self.now, fact)),
            Effect::Busy(_) => {}
            Effect::Exit | Effect::Halt => {
                if let Node::Broker(id) = from {
                    let epoch = self.brokers.get(&id).and_then(|broker| broker.lifecycle.broker_epoch());
                    self.end_broker(id, epoch);
                }
            }
        }
    }

    fn schedule(&mut self, at: Instant, to: Node, input: Input) {
        self.next_id += 1;
        self.events.insert((at, self.next_id), (to, input));
    }

    /// The active controller, else 101.
    pub fn active(&self) -> i32 {
        self.controllers.values().find(|controller| controller.is_active()).map_or(VOTERS[0].0, |found| found.id().0)
    }

    /// Sends a request to the active controller and waits up to a second. `None` where no answer came.
    pub fn ask(&mut self, request: Request) -> Option<Response> {
        self.next_id += 1;
        let correlation_id = self.next_id as u32;
        let message = Message::Request { correlation_id, request };
        let to = Node::Controller(ControllerId(self.active()));
        self.schedule(self.now + LATENCY, to, Input::Message { from: ADMIN, message });
        self.run_millis(1000);
        let answer = self.replies.iter().find(|(_, id, _)| *id == correlation_id);
        answer.map(|(_, _, response)| response.clone())
    }

    /// Creates a topic; without an assignment, of 3 partitions with 3 replicas each.
    pub fn create_topic(&mut self, name: &str, assignment: &[&[i32]], configs: &[(&str, &str)]) -> TopicResult {
        let assignment: Vec<Vec<BrokerId>> =
            assignment.iter().map(|replicas| replicas.iter().map(|id| BrokerId(*id)).collect()).collect();
        let count = if assignment.is_empty() { Some(3) } else { None };
        let configs = configs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let topic = NewTopic { name: name.into(), partitions: count, replication_factor: count, assignment, configs };
        let request = CreateTopicsRequest { topics: vec![topic], timeout: Duration::secs(30) };
        match self.ask(Request::CreateTopics(request)) {
            Some(Response::CreateTopics(created)) => created.topics[0].clone(),
            other => panic!("no answer to CreateTopics: {other:?}"),
        }
    }

    pub fn controller(&self, id: i32) -> &Controller {
        &self.controllers[&ControllerId(id)]
    }

    pub fn lifecycle(&self, id: i32) -> Option<&Lifecycle> {
        self.brokers.get(&BrokerId(id)).map(|broker| &broker.lifecycle)
    }

    pub fn observer(&self, id: i32) -> &Observer {
        &self.brokers[&BrokerId(id)].observer
    }

    /// A partition as the active controller has it.
    pub fn partition(&self, partition: TopicPartition) -> &PartitionRegistration {
        self.controller(self.active()).image().partition(partition).expect("a partition")
    }

    /// The state of a topic's first partition, in one line.
    pub fn line(&self, topic: &str) -> String {
        let (_, topic) = self.controller(self.active()).image().topic(topic).expect("a topic");
        let state = &topic.partitions[0];
        let ids = |ids: &[BrokerId]| ids.iter().map(|id| id.to_string()).collect::<Vec<_>>().join(",");
        let leader = state.leader.map_or("none".into(), |id| id.to_string());
        format!(
            "leader={leader} epoch={} isr={} elr={} last={}",
            state.leader_epoch,
            ids(&state.isr),
            ids(&state.elr),
            ids(&state.last_known_elr)
        )
    }

    /// The facts from `since` on, without the time; those of elections have tests of their own.
    pub fn facts_since(&self, since: Instant) -> Vec<Fact> {
        let of_elections = |fact: &Fact| matches!(fact, Fact::QuorumState { .. } | Fact::Voted { .. });
        let facts = self.facts.iter().filter(|(at, fact)| *at >= since && !of_elections(fact));
        facts.map(|(_, fact)| fact.clone()).collect()
    }
}

impl TestBroker {
    fn step(&mut self, now: Instant, input: Input, out: &mut Effects) {
        match input {
            Input::Start => {
                let ask = self.observer.fetch();
                self.send(now, ask, Purpose::Observer, out);
                self.communicate(now, out);
            }
            Input::Timer(Timer::BrokerHeartbeat) => self.communicate(now, out),
            Input::Timer(Timer::QuorumFetch) => {
                let ask = self.observer.fetch();
                self.send(now, ask, Purpose::Observer, out);
            }
            Input::Timer(Timer::RequestTimeouts) => {
                for (_, purpose) in self.in_flight.expired(now, out) {
                    self.failed(now, purpose, out);
                }
            }
            Input::Disconnected { peer } => {
                for purpose in self.in_flight.disconnected(peer) {
                    self.failed(now, purpose, out);
                }
            }
            Input::Shutdown => {
                let turn = self.lifecycle.begin_shutdown(now, out);
                self.take(now, turn, out);
            }
            Input::Message { message: Message::Response { correlation_id, response }, .. }
                if self.in_flight.complete(correlation_id).is_some() =>
            {
                self.on_response(now, response, out);
            }
            _ => {}
        }
    }

    fn on_response(&mut self, now: Instant, response: Response, out: &mut Effects) {
        let turn = match response {
            Response::QuorumFetch(fetched) => {
                if let (Some(ask), _) = self.observer.on_response(now, fetched, out) {
                    self.send(now, ask, Purpose::Observer, out);
                }
                return;
            }
            Response::BrokerRegistration(answer) => self.lifecycle.on_registration(now, &answer, out),
            Response::BrokerHeartbeat(answer) => self.lifecycle.on_heartbeat(now, &answer, out),
            _ => return,
        };
        self.take(now, turn, out);
    }

    fn take(&mut self, now: Instant, turn: Turn, out: &mut Effects) {
        match turn {
            Turn::CaughtUp => self.lifecycle.logs_recovered(now, out),
            Turn::NotController => self.observer.controller_lost(),
            Turn::ShutDown => out.exit(),
            Turn::None | Turn::Unfenced => {}
        }
    }

    fn communicate(&mut self, now: Instant, out: &mut Effects) {
        let (controller, offset) = (self.observer.controller(), self.observer.metadata_offset());
        if let Some(ask) = self.lifecycle.communicate(now, controller, offset, out) {
            self.send(now, ask, Purpose::Lifecycle, out);
        }
    }

    fn send(&mut self, now: Instant, (to, request, timeout): Ask, purpose: Purpose, out: &mut Effects) {
        self.in_flight.send(now, to, request, timeout, purpose, out);
    }

    fn failed(&mut self, now: Instant, purpose: Purpose, out: &mut Effects) {
        match purpose {
            Purpose::Lifecycle => self.lifecycle.on_failed(now, out),
            Purpose::Observer => {
                self.observer.on_failed(now, out);
            }
        }
    }
}
