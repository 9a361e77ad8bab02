//! The world: every machine, the network between them, one queue of events, and one clock.
//!
//! A machine's state changes only in its `step`, and a step happens only because an event came up: a message arrived, a
//! timer fired, a connection broke, a process started. What the step asks for goes back into the queue. The same
//! scenario, seed and commands give the same facts, to the last bit, everywhere.
//!
//! The world is cheap to clone: machines are shared until one of the clones steps them, record bytes always.

mod attendance;
mod commands;
mod connections;
mod disk;
mod founding;
pub mod leaders;
mod logs;
mod report;
mod roles;
mod setup;

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::rc::Rc;

use crate::kafka::broker::{Broker, BrokerDisk};
use crate::kafka::config::Acks;
use crate::kafka::consumer::Consumer;
use crate::kafka::controller::Controller;
use crate::kafka::coordinator::GroupCoordinator;
use crate::kafka::effects::{Effect, Effects, Input, Timer};
use crate::kafka::fact::{Fact, NodeState};
use crate::kafka::ids::{BrokerId, ClientId, ControllerId, Name, Node, OFFSETS_TOPIC, TopicPartition, ZooKeeperId};
use crate::kafka::log::Log;
use crate::kafka::message::Message;
use crate::kafka::metadata::{MetadataImage, PartitionRegistration};
use crate::kafka::producer::Producer;
use crate::kafka::quorum::log::MetadataLog;
use crate::kafka::quorum::{ControllerDisk, Quorum};
use crate::kafka::replica::Replica;
use crate::kafka::tool::Tool;
use crate::kafka::zookeeper::{ZooKeeperDisk, ZooKeeperServer};
use crate::rng::Rng;
use crate::sim::books::Books;
use crate::sim::check::{Checks, Witness};
use crate::sim::letters::Letter;
use crate::sim::network::Network;
use crate::sim::queue::{Queue, Ticket};
use crate::sim::report::ExpectationReport;
use crate::sim::scenario::{BrokerSpec, ConsumerSpec, ProducerSpec, Scenario};
use crate::sim::trace::{Names, Stamped, TraceHash};
use crate::time::{Duration, Instant};
use connections::Connections;

/// A message under way.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The id of its `Sent` fact: the cause of what its arrival brings about.
    pub id: u64,
    pub from: Node,
    pub to: Node,
    pub sent: Instant,
    /// When it arrives; for a message held up by a cut, when it would have.
    pub due: Instant,
    pub message: Message,
}

/// What comes up at a moment.
#[derive(Clone, Debug)]
enum Event {
    Deliver(Rc<Envelope>),
    Timer {
        node: Node,
        timer: Timer,
        cause: u64,
    },
    /// A busy node can go on.
    Ready {
        node: Node,
    },
    Disconnect {
        node: Node,
        peer: Node,
        cause: u64,
    },
    /// A client has waited `socket.connection.setup.timeout.ms` for a connection.
    SetupTimeout {
        client: Node,
        server: Node,
        attempt: u64,
    },
    /// A step of the scenario.
    Step(u32),
    Boot {
        node: Node,
        cause: u64,
    },
    Resume {
        node: Node,
        cause: u64,
    },
    EndSlow {
        node: Node,
    },
    EndCut {
        number: u32,
        cause: u64,
    },
}

/// A machine and the process it runs in.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    machine: Machine,
    state: NodeState,
    timers: BTreeMap<Timer, Ticket>,
    /// What waits while the process is paused or busy, with its cause.
    inbox: VecDeque<(Input, u64)>,
    busy_until: Instant,
    /// A `Ready` event is in the queue.
    will_wake: bool,
    /// Everything takes so many times as long.
    slow: u32,
    /// The machine has no power: its connections do not even break.
    dark: bool,
    /// Gone from the picture as soon as it has stopped.
    leaving: bool,
    blueprint: Blueprint,
}

/// What a node is when it runs, and what is left of it when it does not.
#[derive(Clone, Debug)]
enum Machine {
    Controller(Box<Controller>),
    ZooKeeper(Box<ZooKeeperServer>),
    Broker(Box<Broker>),
    Producer(Box<Producer>),
    Consumer(Box<Consumer>),
    Tool(Box<Tool>),
    Off(Remains),
}

/// What survives a process.
#[derive(Clone, Debug)]
enum Remains {
    Controller(Box<ControllerDisk>),
    ZooKeeper(Box<ZooKeeperDisk>),
    Broker(Box<BrokerDisk>),
    /// The application goes on with its next record; a consumer's, with its next dead letter.
    Producer(Box<Producer>),
    Nothing,
}

/// What a node is started from.
#[derive(Clone, Debug)]
enum Blueprint {
    Controller,
    ZooKeeper,
    Broker(Rc<BrokerSpec>),
    Producer(Rc<ProducerSpec>),
    Consumer(Rc<ConsumerSpec>),
    Tool,
}

/// The simulated world.
#[derive(Clone, Debug)]
pub struct World {
    scenario: Rc<Scenario>,
    now: Instant,
    end: Instant,
    rng: Rng,
    /// Each process gets a stream of random numbers of its own.
    next_stream: u64,
    network: Network,
    queue: Queue<Event>,
    names: Names,
    slots: BTreeMap<Node, Rc<Slot>>,
    connections: Connections,
    next_fact: u64,
    events: u64,
    hash: TraceHash,
    books: Books,
    checks: Checks,
    /// The facts of the event that is running.
    facts: Vec<Stamped>,
    journal: Option<Vec<Stamped>>,
    /// Messages of groups since they were taken, while somebody listens.
    letters: Option<Vec<Letter>>,
    /// Results of expectations whose time has come, by their place in the scenario.
    expectations: BTreeMap<u32, ExpectationReport>,
    tool_output: BTreeMap<ClientId, (bool, Name)>,
    /// In ZooKeeper mode: how the cluster stood when the run began.
    founding: Option<Rc<founding::Founding>>,
}

/// A consumer whose application crashed is started again after this, as by a supervisor.
const SUPERVISOR_DELAY: Duration = Duration::secs(5);

/// What one input costs its node before the results leave: a fixed part, one for the bytes of a message, and one for the
/// znodes that a ZooKeeper server looks up.
fn service_time(input: &Input, slow: u32) -> Duration {
    const STEP: u64 = 10;
    const BYTES_PER_MICRO: u64 = 1000;
    const ZNODE: u64 = 30;
    let bytes = if let Input::Message { message, .. } = input { message.wire_bytes() } else { 0 };
    let znodes = if let Input::Message { message, .. } = input { message.znodes() } else { 0 };
    Duration::micros((STEP + bytes / BYTES_PER_MICRO + ZNODE * znodes) * u64::from(slow))
}

impl World {
    /// The present moment.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// When something happens next.
    pub fn next_event_at(&self) -> Option<Instant> {
        self.queue.next_at()
    }

    /// Lets everything happen that is due up to and including `until`, and sets the clock to it.
    pub fn run_until(&mut self, until: Instant) {
        while self.queue.next_at().is_some_and(|at| at <= until) {
            self.run_event();
        }
        self.look_at_expectations(until);
        self.now = self.now.max(until);
    }

    /// Lets the next event happen. False where nothing is to come.
    pub fn run_event(&mut self) -> bool {
        let Some(at) = self.queue.next_at() else { return false };
        if at > self.now {
            self.look_at_expectations(Instant::from_micros(at.as_micros() - 1));
        }
        let Some((at, event)) = self.queue.pop() else { return false };
        self.now = self.now.max(at);
        self.events += 1;
        match event {
            Event::Deliver(envelope) => self.deliver(envelope),
            Event::Timer { node, timer, cause } => {
                if let Some(slot) = self.slot_mut(node) {
                    slot.timers.remove(&timer);
                }
                self.give(node, Input::Timer(timer), cause);
            }
            Event::Ready { node } => self.wake(node),
            Event::Disconnect { node, peer, cause } => self.deliver_news(node, peer, cause),
            Event::SetupTimeout { client, server, attempt } => self.give_up_setup(client, server, attempt),
            Event::Step(index) => self.run_scenario_step(index),
            Event::Boot { node, cause } => self.boot(node, cause),
            Event::Resume { node, cause } => self.resume(node, cause),
            Event::EndSlow { node } => {
                if let Some(slot) = self.slot_mut(node) {
                    slot.slow = 1;
                }
            }
            Event::EndCut { number, cause } => {
                if self.network.remove_cut(number) {
                    self.note(None, cause, Fact::NetworkChanged { text: "the cut has healed".into() });
                    self.release_held_up();
                }
            }
        }
        self.close_event();
        true
    }

    /// Enters the facts of the event into the hash, the books, the checks and the journal.
    fn close_event(&mut self) {
        if self.facts.is_empty() {
            return;
        }
        let mut facts = mem::take(&mut self.facts);
        for stamped in &facts {
            self.hash.add(stamped);
            if let Fact::TopicCreated { topic, name, .. } = &stamped.fact {
                self.names.add_topic(*topic, name.clone());
            }
            if let (Fact::LogStartAdvanced { partition, .. }, Some(Node::Broker(broker))) =
                (&stamped.fact, stamped.node)
            {
                let mut books = mem::take(&mut self.books);
                books.retire(*partition, self.log(broker, *partition).into_iter().flat_map(Log::retired));
                self.books = books;
            }
            if let Some(late) = self.books.enter(stamped) {
                let mut books = mem::take(&mut self.books);
                let log = self.serving_replica(late.stream.1).into_iter().flat_map(|replica| replica.log().batches());
                books.enter_late(&late, log);
                self.books = books;
            }
        }
        let mut checks = mem::take(&mut self.checks);
        checks.after_event(&facts, self);
        self.checks = checks;
        match &mut self.journal {
            Some(journal) => journal.append(&mut facts),
            None => facts.clear(),
        }
        self.facts = facts;
    }

    /// Notes a fact. Returns its id, which is a cause for others.
    fn note(&mut self, node: Option<Node>, cause: u64, fact: Fact) -> u64 {
        let id = self.next_fact;
        self.next_fact += 1;
        self.facts.push(Stamped { id, cause, at: self.now, node, fact });
        id
    }

    fn slot_mut(&mut self, node: Node) -> Option<&mut Slot> {
        self.slots.get_mut(&node).map(Rc::make_mut)
    }

    /// Hands a machine its input: now, or when it is neither paused nor busy any more.
    fn give(&mut self, node: Node, input: Input, cause: u64) {
        let now = self.now;
        let Some(slot) = self.slot_mut(node).filter(|slot| slot.is_up()) else { return };
        if slot.state == NodeState::Paused {
            slot.inbox.push_back((input, cause));
        } else if slot.busy_until > now || !slot.inbox.is_empty() {
            slot.inbox.push_back((input, cause));
            self.schedule_wake(node);
        } else {
            self.step(node, input, cause);
        }
    }

    fn schedule_wake(&mut self, node: Node) {
        let now = self.now;
        let Some(slot) = self.slot_mut(node).filter(|slot| !slot.will_wake) else { return };
        slot.will_wake = true;
        let at = slot.busy_until.max(now);
        self.queue.schedule(at, Event::Ready { node });
    }

    /// A node takes the next thing from its inbox.
    fn wake(&mut self, node: Node) {
        let Some(slot) = self.slot_mut(node) else { return };
        slot.will_wake = false;
        if slot.state == NodeState::Paused {
            return;
        }
        if let Some((input, cause)) = slot.inbox.pop_front() {
            self.step(node, input, cause);
            if self.slots.get(&node).is_some_and(|slot| !slot.inbox.is_empty()) {
                self.schedule_wake(node);
            }
        }
    }

    /// One step of a machine, and everything it asked for.
    fn step(&mut self, node: Node, input: Input, cause: u64) {
        let cause = match &input {
            Input::Timer(timer) => self.note(Some(node), cause, Fact::TimerFired(timer.clone())),
            Input::Disconnected { peer } => self.note(Some(node), cause, Fact::Disconnected { peer: *peer }),
            _ => cause,
        };
        if let (Node::Broker(broker), Input::Message { from, message: Message::Request { correlation_id, request } }) =
            (node, &input)
            && Checks::looks_at(request)
        {
            let mut checks = mem::take(&mut self.checks);
            checks.before_request(broker, *from, *correlation_id, request, self);
            self.checks = checks;
        }
        let now = self.now;
        let Some(slot) = self.slots.get_mut(&node).map(Rc::make_mut) else { return };
        let service = service_time(&input, slot.slow);
        let mut out = Effects::default();
        slot.machine.step(now, input, &mut out);
        let (slow, busy) = (u64::from(slot.slow), out.busy_for());
        let done = now + service + busy * slow;
        slot.busy_until = done;
        for effect in out.drain() {
            match effect {
                Effect::Send { to, message } => {
                    if let Node::Broker(broker) = node {
                        self.checks.answered(broker, to, &message);
                    }
                    self.send(done, node, to, message, cause);
                }
                Effect::SetTimer { at, timer } if timer.ends_work() => {
                    self.set_timer(node, (now + at.since(now) * slow).max(done), timer, cause);
                }
                Effect::SetTimer { at, timer } => self.set_timer(node, at.max(done), timer, cause),
                Effect::CancelTimer(timer) => self.cancel_timer(node, &timer),
                Effect::Note(fact) => {
                    if let (Fact::ToolFinished { output, ok }, Some(client)) = (&fact, node.client()) {
                        self.tool_output.insert(client, (*ok, output.clone()));
                    }
                    self.note(Some(node), cause, fact);
                }
                Effect::CloseConnection { peer } => self.close_connection(node, peer, cause),
                Effect::Exit => self.end_process(node, NodeState::Stopped, cause),
                Effect::Halt => {
                    self.end_process(node, NodeState::Killed, cause);
                    if matches!(node, Node::Consumer(_)) {
                        self.queue.schedule(done + SUPERVISOR_DELAY, Event::Boot { node, cause });
                    }
                }
                Effect::Busy(_) => {}
            }
        }
        self.follow_boot(node, cause);
    }

    /// A booting broker counts as running once it says so itself.
    fn follow_boot(&mut self, node: Node, cause: u64) {
        let Some(slot) = self.slots.get(&node) else { return };
        if let (NodeState::Starting, Machine::Broker(broker)) = (slot.state, &slot.machine)
            && broker.is_running()
        {
            self.change_state(node, NodeState::Running, cause);
        }
    }

    fn change_state(&mut self, node: Node, state: NodeState, cause: u64) -> u64 {
        if let Some(slot) = self.slot_mut(node) {
            slot.state = state;
        }
        self.note(Some(node), cause, Fact::NodeState(state))
    }

    fn set_timer(&mut self, node: Node, at: Instant, timer: Timer, cause: u64) {
        self.cancel_timer(node, &timer);
        let ticket = self.queue.schedule(at, Event::Timer { node, timer: timer.clone(), cause });
        if let Some(slot) = self.slot_mut(node) {
            slot.timers.insert(timer, ticket);
        }
    }

    fn cancel_timer(&mut self, node: Node, timer: &Timer) {
        let ticket = self.slot_mut(node).and_then(|slot| slot.timers.remove(timer));
        if let Some(ticket) = ticket {
            self.queue.cancel(ticket);
        }
    }

    /// A process ends: its memory, its timers and its connections are gone.
    fn end_process(&mut self, node: Node, state: NodeState, cause: u64) {
        let Some(slot) = self.slot_mut(node).filter(|slot| slot.is_up()) else { return };
        let clean = state == NodeState::Stopped;
        let machine = mem::replace(&mut slot.machine, Machine::Off(Remains::Nothing));
        slot.machine = Machine::Off(machine.remains(clean));
        slot.inbox.clear();
        slot.slow = 1;
        let (dark, leaving) = (slot.dark, slot.leaving);
        for (_, ticket) in mem::take(&mut slot.timers) {
            self.queue.cancel(ticket);
        }
        let ended = self.change_state(node, state, cause);
        if dark {
            self.lose_power(node, ended);
        } else {
            self.reset_connections(node, ended);
        }
        if leaving || matches!(node, Node::Tool(_)) {
            self.slots.remove(&node);
        }
        self.end_twin(node, state, dark, ended);
    }

    fn resume(&mut self, node: Node, cause: u64) {
        if self.slots.get(&node).is_some_and(|slot| slot.state == NodeState::Paused) {
            let state = match self.slots.get(&node).map(|slot| &slot.machine) {
                Some(Machine::Broker(broker)) if !broker.is_running() => NodeState::Starting,
                _ => NodeState::Running,
            };
            self.change_state(node, state, cause);
            self.schedule_wake(node);
        }
    }

    /// Takes the facts noted since the last call, oldest first, if the world was asked to keep them.
    pub fn take_journal(&mut self) -> Vec<Stamped> {
        self.journal.as_mut().map(mem::take).unwrap_or_default()
    }

    /// Takes the messages of groups put on the wire since the last call, if the world was asked to keep them. One that a
    /// cut held up comes again when it goes on.
    pub fn take_letters(&mut self) -> Vec<Letter> {
        self.letters.as_mut().map(mem::take).unwrap_or_default()
    }

    /// Keeps letters for [`World::take_letters`] from now on, or no longer.
    pub fn keep_letters(&mut self, keeping: bool) {
        self.letters = keeping.then(Vec::new);
    }

    /// Keeps facts for [`World::take_journal`] from now on, or no longer.
    pub fn listen(&mut self, listening: bool) {
        self.journal = listening.then(Vec::new);
    }

    /// The hash over every fact so far.
    pub fn trace_hash(&self) -> u64 {
        self.hash.value()
    }

    /// How many facts there were so far.
    pub fn fact_count(&self) -> u64 {
        self.next_fact - 1
    }

    /// How many events have come up so far.
    pub fn event_count(&self) -> u64 {
        self.events
    }

    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Where a headless run ends.
    pub fn end(&self) -> Instant {
        self.end
    }

    pub fn names(&self) -> &Names {
        &self.names
    }

    pub fn network(&self) -> &Network {
        &self.network
    }

    pub fn books(&self) -> &Books {
        &self.books
    }

    /// Broken promises of the model.
    pub fn checks(&self) -> &Checks {
        &self.checks
    }

    /// What a tool printed, once it has ended, and whether it succeeded.
    pub fn tool_output(&self, tool: ClientId) -> Option<(bool, &str)> {
        self.tool_output.get(&tool).map(|(ok, output)| (*ok, &**output))
    }

    /// Every node there is, with the state of its process.
    pub fn nodes(&self) -> impl Iterator<Item = (Node, NodeState)> {
        self.slots.iter().map(|(node, slot)| (*node, slot.state))
    }

    /// The state of a node's process; `None` where there is no such node.
    pub fn node_state(&self, node: Node) -> Option<NodeState> {
        self.slots.get(&node).map(|slot| slot.state)
    }

    /// Controllers, ZooKeeper servers and brokers: they come before all clients in the order of nodes, of which there may
    /// be thousands.
    fn servers(&self) -> impl Iterator<Item = (&Node, &Rc<Slot>)> {
        self.slots.range(..Node::Producer(ClientId(0)))
    }

    /// Every controller, with the state of its process; `None` where it is down.
    pub fn controllers(&self) -> impl Iterator<Item = (ControllerId, NodeState, Option<&Controller>)> {
        self.servers().filter_map(|(node, slot)| match (node, &slot.machine) {
            (Node::Controller(id), Machine::Controller(controller)) => Some((*id, slot.state, Some(&**controller))),
            (Node::Controller(id), _) => Some((*id, slot.state, None)),
            _ => None,
        })
    }

    /// Every server of the ZooKeeper ensemble, with the state of its process; `None` where it is down.
    pub fn zookeepers(&self) -> impl Iterator<Item = (ZooKeeperId, NodeState, Option<&ZooKeeperServer>)> {
        self.servers().filter_map(|(node, slot)| match (node, &slot.machine) {
            (Node::ZooKeeper(id), Machine::ZooKeeper(server)) => Some((*id, slot.state, Some(&**server))),
            (Node::ZooKeeper(id), _) => Some((*id, slot.state, None)),
            _ => None,
        })
    }

    /// Every broker, with the state of its process; `None` where it is down.
    pub fn brokers(&self) -> impl Iterator<Item = (BrokerId, NodeState, Option<&Broker>)> {
        self.servers().filter_map(|(node, slot)| match (node, &slot.machine) {
            (Node::Broker(id), Machine::Broker(broker)) => Some((*id, slot.state, Some(&**broker))),
            (Node::Broker(id), _) => Some((*id, slot.state, None)),
            _ => None,
        })
    }

    /// A broker that runs.
    pub fn broker(&self, id: BrokerId) -> Option<&Broker> {
        match &self.slots.get(&Node::Broker(id))?.machine {
            Machine::Broker(broker) => Some(broker),
            _ => None,
        }
    }

    /// What is on the disk of a broker that does not run.
    pub fn disk(&self, id: BrokerId) -> Option<&BrokerDisk> {
        match &self.slots.get(&Node::Broker(id))?.machine {
            Machine::Off(Remains::Broker(disk)) => Some(disk),
            _ => None,
        }
    }

    /// Every producer with its specification; the machine is the last state of one that is down.
    pub fn producers(&self) -> impl Iterator<Item = (ClientId, NodeState, &ProducerSpec, Option<&Producer>)> {
        self.slots.iter().filter_map(|(node, slot)| match (node, &slot.blueprint, &slot.machine) {
            (Node::Producer(id), Blueprint::Producer(spec), Machine::Producer(producer)) => {
                Some((*id, slot.state, &**spec, Some(&**producer)))
            }
            (Node::Producer(id), Blueprint::Producer(spec), Machine::Off(Remains::Producer(producer))) => {
                Some((*id, slot.state, &**spec, Some(&**producer)))
            }
            (Node::Producer(id), Blueprint::Producer(spec), _) => Some((*id, slot.state, &**spec, None)),
            _ => None,
        })
    }

    /// Every consumer with its specification; `None` where it is down.
    pub fn consumers(&self) -> impl Iterator<Item = (ClientId, NodeState, &ConsumerSpec, Option<&Consumer>)> {
        self.slots.iter().filter_map(|(node, slot)| match (node, &slot.blueprint, &slot.machine) {
            (Node::Consumer(id), Blueprint::Consumer(spec), Machine::Consumer(consumer)) => {
                Some((*id, slot.state, &**spec, Some(&**consumer)))
            }
            (Node::Consumer(id), Blueprint::Consumer(spec), _) => Some((*id, slot.state, &**spec, None)),
            _ => None,
        })
    }

    /// Every message under way, in the order of arrival; then those that a cut holds up.
    pub fn in_flight(&self) -> impl Iterator<Item = &Envelope> {
        let flying = self
            .queue
            .iter()
            .filter_map(|(_, event)| if let Event::Deliver(envelope) = event { Some(&**envelope) } else { None });
        flying.chain(self.connections.held_up())
    }
}

impl Slot {
    fn is_up(&self) -> bool {
        !matches!(self.machine, Machine::Off(_))
    }
}

impl Machine {
    fn step(&mut self, now: Instant, input: Input, out: &mut Effects) {
        match self {
            Self::Controller(controller) => controller.step(now, input, out),
            Self::ZooKeeper(server) => server.step(now, input, out),
            Self::Broker(broker) => broker.step(now, input, out),
            Self::Producer(producer) => producer.step(now, input, out),
            Self::Consumer(consumer) => consumer.step(now, input, out),
            Self::Tool(tool) => tool.step(now, input, out),
            Self::Off(_) => {}
        }
    }

    /// `socket.connection.setup.timeout.ms` and `socket.connection.setup.timeout.max.ms`.
    fn connection_setup_timeout(&self) -> (Duration, Duration) {
        match self {
            Self::Broker(broker) => {
                let config = broker.config();
                (config.connection_setup_timeout, config.connection_setup_timeout_max)
            }
            Self::Producer(producer) => {
                let config = producer.config();
                (config.connection_setup_timeout, config.connection_setup_timeout_max)
            }
            Self::Consumer(consumer) => {
                let config = consumer.config();
                (config.connection_setup_timeout, config.connection_setup_timeout_max)
            }
            Self::Controller(_) | Self::ZooKeeper(_) | Self::Tool(_) | Self::Off(_) => {
                (Duration::secs(10), Duration::secs(30))
            }
        }
    }

    /// What is left when the process ends.
    fn remains(self, clean: bool) -> Remains {
        match self {
            Self::Controller(controller) => Remains::Controller(Box::new(controller.into_disk())),
            Self::ZooKeeper(server) => Remains::ZooKeeper(Box::new(server.into_disk())),
            Self::Broker(broker) => Remains::Broker(Box::new(broker.into_disk(clean))),
            Self::Producer(producer) => Remains::Producer(producer),
            Self::Consumer(consumer) => {
                let producer = consumer.into_dead_letters();
                producer.map_or(Remains::Nothing, |producer| Remains::Producer(Box::new(producer)))
            }
            Self::Tool(_) => Remains::Nothing,
            Self::Off(remains) => remains,
        }
    }

    /// The disk of a controller that is down; empty where nothing is left.
    fn into_controller_disk(self) -> ControllerDisk {
        if let Self::Off(Remains::Controller(disk)) = self { *disk } else { ControllerDisk::default() }
    }

    /// The disk of a ZooKeeper server that is down; empty where nothing is left.
    fn into_zookeeper_disk(self) -> ZooKeeperDisk {
        if let Self::Off(Remains::ZooKeeper(disk)) = self { *disk } else { ZooKeeperDisk::default() }
    }

    /// The disk of a broker that is down; empty where nothing is left.
    fn into_broker_disk(self) -> BrokerDisk {
        if let Self::Off(Remains::Broker(disk)) = self { *disk } else { BrokerDisk::default() }
    }

    /// What is left of a producer that has run before.
    fn into_producer(self) -> Option<Producer> {
        if let Self::Off(Remains::Producer(producer)) = self { Some(*producer) } else { None }
    }
}

impl Witness for World {
    fn replica(&self, broker: BrokerId, partition: TopicPartition) -> Option<&Replica> {
        self.broker(broker)?.replica(partition)
    }

    fn log(&self, broker: BrokerId, partition: TopicPartition) -> Option<&Log> {
        self.log(broker, partition)
    }

    fn broker_ids(&self) -> Vec<BrokerId> {
        self.brokers().map(|(id, _, _)| id).collect()
    }

    fn quorum(&self, voter: ControllerId) -> Option<&Quorum> {
        match &self.slots.get(&Node::Controller(voter))?.machine {
            Machine::Controller(controller) => Some(controller.quorum()),
            _ => None,
        }
    }

    fn metadata_logs(&self) -> Vec<MetadataLog> {
        let of_slot = |slot: &Rc<Slot>| match &slot.machine {
            Machine::Controller(controller) => Some(controller.quorum().log().clone()),
            Machine::Off(Remains::Controller(disk)) => Some(disk.log.clone()),
            _ => None,
        };
        self.slots.values().filter_map(of_slot).collect()
    }

    fn name(&self, partition: TopicPartition) -> String {
        self.names.partition(partition)
    }

    fn has_old_rules(&self) -> bool {
        !self.scenario.truncation.is_safe()
    }

    fn allows_unclean_election(&self, controller: Option<Node>, partition: TopicPartition) -> bool {
        // What is set by a tool holds at once where it is decided; brokers hear of it later.
        const UNCLEAN: &str = "unclean.leader.election.enable";
        let image = controller.and_then(|controller| self.image_of(controller)).or_else(|| self.image());
        let dynamic = image.and_then(|image| image.topic_config(partition.topic, UNCLEAN)).map(|value| &**value);
        let from_file = self.scenario.cluster_config.iter().rev().find(|(key, _)| key == UNCLEAN);
        dynamic.or(from_file.map(|(_, value)| value.as_str())) == Some("true")
    }

    fn image_of(&self, controller: Node) -> Option<&MetadataImage> {
        match &self.slots.get(&controller)?.machine {
            Machine::Controller(controller) => Some(controller.image()),
            _ => None,
        }
    }

    fn registration(&self, partition: TopicPartition) -> Option<&PartitionRegistration> {
        // Controllers come first in the order of nodes. One that is frozen goes on thinking that it is active: whoever is
        // in the newest epoch says who is.
        let controllers = self.slots.range(..Node::Broker(BrokerId(i32::MIN)));
        let running = controllers.filter_map(|(_, slot)| match &slot.machine {
            Machine::Controller(controller) => Some(controller),
            _ => None,
        });
        match running.max_by_key(|controller| (controller.quorum().epoch(), controller.is_active())) {
            Some(newest) => newest.image().partition(partition).filter(|_| newest.is_active()),
            None => self.zk_controller().and_then(|(_, controller)| controller.image().partition(partition)),
        }
    }

    fn coordinator(&self, broker: BrokerId) -> Option<&GroupCoordinator> {
        self.broker(broker).map(Broker::coordinator)
    }

    fn led_offsets_partition(&self, broker: BrokerId, number: u32) -> Option<&Replica> {
        let broker = self.broker(broker)?;
        let (topic, _) = broker.image().topic(OFFSETS_TOPIC)?;
        let led = broker.coordinator().loaded_partitions().any(|loaded| loaded == number);
        broker.replica(TopicPartition::new(topic, number)).filter(|_| led)
    }

    fn led_offsets(&self, broker: BrokerId) -> Vec<&Replica> {
        let Some(broker) = self.broker(broker) else { return Vec::new() };
        let Some((topic, _)) = broker.image().topic(OFFSETS_TOPIC) else { return Vec::new() };
        let led = broker.coordinator().loaded_partitions();
        led.filter_map(|number| broker.replica(TopicPartition::new(topic, number))).collect()
    }

    fn consumer(&self, id: ClientId) -> Option<&Consumer> {
        match &self.slots.get(&Node::Consumer(id))?.machine {
            Machine::Consumer(consumer) => Some(consumer),
            _ => None,
        }
    }

    fn delivery_limit(&self, broker: BrokerId) -> u32 {
        self.broker(broker).map_or(u32::MAX, |broker| broker.config().share_delivery_count_limit)
    }

    fn waits_for_all(&self, producer: ClientId) -> bool {
        match self.slots.get(&Node::Producer(producer)).map(|slot| &slot.blueprint) {
            Some(Blueprint::Producer(spec)) => {
                let given = spec.overrides.iter().filter(|(key, _)| key == "acks").count();
                spec.config.acks == Acks::All && given <= 1
            }
            _ => false,
        }
    }
}
