//! What people do to the world. A command that cannot be done answers with one line that says why; nothing changes.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::{Blueprint, Event, Machine, Remains, World};
use crate::kafka::consumer::Ask;
use crate::kafka::effects::{Input, Timer};
use crate::kafka::fact::{Fact, NodeState};
use crate::kafka::ids::{BrokerId, ClientId, Name, Node, TopicPartition};
use crate::kafka::producer::HandRecord;
use crate::kafka::tool::{Tool, ToolCommand};
use crate::sim::command::{Change, Command, SetTarget};
use crate::sim::spec::{self, BrokerSpec, ConsumerSpec, NodeName, ProducerSpec, READING};
use crate::time::{Duration, Instant};

impl World {
    /// Does what a command says, now. One of Kafka's tools takes its time: its id is handed back, and
    /// [`World::tool_output`] has what it printed once it has ended.
    pub fn command(&mut self, command: &Command) -> Result<Option<ClientId>, String> {
        let result = self.carry_out(command);
        self.close_event();
        result
    }

    /// The same at a moment that is not past, before anything else that happens at that very moment, as a step of the
    /// scenario would.
    pub fn command_at(&mut self, at: Instant, command: &Command) -> Result<Option<ClientId>, String> {
        self.check(command)?;
        if at > self.now {
            self.run_until(Instant::from_micros(at.as_micros() - 1));
            self.now = at;
        }
        self.command(command)
    }

    fn carry_out(&mut self, command: &Command) -> Result<Option<ClientId>, String> {
        self.check(command)?;
        let cause = self.note(None, 0, Fact::Command { text: command.to_string().as_str().into() });
        let done = self.carry_out_one(command, cause)?;
        if let Some(twin) = self.command_of_twin(command).filter(|twin| self.check(twin).is_ok()) {
            self.carry_out_one(&twin, cause)?;
        }
        Ok(done)
    }

    fn carry_out_one(&mut self, command: &Command, cause: u64) -> Result<Option<ClientId>, String> {
        match command {
            Command::Kill { node, power } => self.kill(node, *power, cause)?,
            Command::Stop { node } => self.stop(node, cause)?,
            Command::Start { node } => {
                let node = self.find(node)?;
                self.boot(node, cause);
            }
            Command::Pause { node, lasting } => {
                let node = self.find(node)?;
                self.change_state(node, NodeState::Paused, cause);
                self.after(*lasting, Event::Resume { node, cause });
            }
            Command::Resume { node } => {
                let node = self.find(node)?;
                self.resume(node, cause);
            }
            Command::Seek { consumer, partition, to } => {
                let (node, partition) = (self.find(consumer)?, self.partition_read_by(consumer, partition)?);
                self.ask_consumer(node, Ask::Seek(partition, *to), cause);
            }
            Command::PausePartitions { consumer, partitions, paused } => {
                let read = |partition| self.partition_read_by(consumer, partition);
                let partitions = partitions.iter().map(read).collect::<Result<Vec<_>, _>>()?;
                let node = self.find(consumer)?;
                self.ask_consumer(node, Ask::Pause(partitions, *paused), cause);
            }
            Command::Slow { node, times, lasting } => {
                let node = self.find(node)?;
                if let Some(slot) = self.slot_mut(node) {
                    slot.slow = *times;
                }
                self.after(*lasting, Event::EndSlow { node });
            }
            Command::Wipe { node } => {
                let node = self.find(node)?;
                if let Node::Broker(broker) = node {
                    let mut checks = std::mem::take(&mut self.checks);
                    checks.before_wipe(broker, self);
                    self.checks = checks;
                }
                if let Some(slot) = self.slot_mut(node) {
                    slot.machine = Machine::Off(Remains::Nothing);
                }
            }
            Command::Disk { node, change } => {
                let node = self.find(node)?;
                self.change_disk(node, *change);
            }
            Command::Cut { one, other, one_way, lasting } => {
                let (one, other) = (self.find_all(one)?, self.find_all(other)?);
                let number = self.network.cut(one, other, *one_way);
                self.note(None, cause, Fact::NetworkChanged { text: command.to_string().as_str().into() });
                self.after(*lasting, Event::EndCut { number, cause });
            }
            Command::Link { a, b, change } => {
                let (a, b) = (self.find(a)?, self.find(b)?);
                self.network.change_link(a, b, *change);
                self.note(None, cause, Fact::NetworkChanged { text: command.to_string().as_str().into() });
            }
            Command::Heal { link } => {
                let link = match link {
                    Some((a, b)) => Some((self.find(a)?, self.find(b)?)),
                    None => None,
                };
                self.network.heal(link);
                self.note(None, cause, Fact::NetworkChanged { text: "healed".into() });
                self.release_held_up();
            }
            Command::AddBroker(spec) => self.add_broker(spec, cause),
            Command::AddTopic(spec) => return self.run_tool(ToolCommand::create_topic(spec), cause).map(Some),
            Command::AddProducer(spec) => {
                self.add_producer(spec, self.now);
            }
            Command::AddConsumer(spec) => {
                self.add_consumer(spec, self.now);
            }
            Command::Remove { node } => self.remove(node, cause)?,
            Command::Set { target, changes } => return self.set(target, changes, cause),
            Command::Send { producer, key, value, partition } => {
                let node = self.find(producer)?;
                let name = |text: &Option<String>| text.as_deref().map(Name::from);
                let record = HandRecord { key: name(key), value: name(value), partition: *partition };
                if let Some(Machine::Producer(producer)) = self.slot_mut(node).map(|slot| &mut slot.machine) {
                    producer.send_by_hand(record);
                }
                self.give(node, Input::Timer(Timer::Application), cause);
            }
            Command::Tool(tool) => return self.run_tool(tool.clone(), cause).map(Some),
        }
        Ok(None)
    }

    /// Whether a command can be done, without doing anything.
    fn check(&self, command: &Command) -> Result<(), String> {
        match command {
            Command::Kill { node, .. } | Command::Stop { node } => self.must_run(node),
            Command::Pause { node, .. } => {
                self.must_run(node)?;
                match self.node_state(self.find(node)?) {
                    Some(NodeState::Paused) => Err(format!("{node} is paused already")),
                    _ => Ok(()),
                }
            }
            Command::Slow { node, .. } => self.must_run(node),
            Command::Seek { consumer, partition, .. } => self.partition_read_by(consumer, partition).map(|_| ()),
            Command::PausePartitions { consumer, partitions, .. } => {
                partitions.iter().try_for_each(|partition| self.partition_read_by(consumer, partition).map(|_| ()))
            }
            Command::Start { node } | Command::Wipe { node } => {
                let id = self.find(node)?;
                match self.is_up(id) {
                    true if matches!(command, Command::Start { .. }) => Err(format!("{node} runs already")),
                    true => Err(format!("{node} runs; only the disk of a node that is down can be wiped")),
                    false => Ok(()),
                }
            }
            Command::Resume { node } => match self.node_state(self.find(node)?) {
                Some(NodeState::Paused) => Ok(()),
                _ => Err(format!("{node} is not paused")),
            },
            Command::Remove { node } | Command::Disk { node, .. } => self.find(node).map(|_| ()),
            Command::Tool(tool) => self.dumped(tool).map(|_| ()),
            Command::Cut { one, other, .. } => {
                self.find_all(one)?;
                self.find_all(other).map(|_| ())
            }
            Command::Link { a, b, .. } | Command::Heal { link: Some((a, b)) } => {
                self.find(a)?;
                self.find(b).map(|_| ())
            }
            Command::Heal { link: None } | Command::AddTopic(_) => Ok(()),
            Command::AddBroker(spec) => self.must_be_new(&NodeName::Broker(spec.id)),
            Command::AddProducer(spec) => self.must_be_new(&NodeName::Producer(spec.name.as_str().into())),
            Command::AddConsumer(spec) => self.must_be_new(&NodeName::Consumer(spec.name.as_str().into())),
            Command::Set { target: SetTarget::Node(node), changes } => {
                let id = self.find(node)?;
                self.changed_blueprint(id, changes).map(|_| ())
            }
            Command::Set { .. } => Ok(()),
            Command::Send { producer, partition, .. } => {
                self.must_run(producer)?;
                self.must_have_partition(self.find(producer)?, *partition)
            }
        }
    }

    pub(super) fn is_up(&self, node: Node) -> bool {
        self.slots.get(&node).is_some_and(|slot| slot.is_up())
    }

    fn must_run(&self, name: &NodeName) -> Result<(), String> {
        if self.is_up(self.find(name)?) { Ok(()) } else { Err(format!("{name} is down already")) }
    }

    /// Whether a record can go to that partition of the producer's topic. Kafka's producer would wait for it for
    /// `max.block.ms`; here somebody has mistyped.
    fn must_have_partition(&self, producer: Node, partition: Option<u32>) -> Result<(), String> {
        let Some(Blueprint::Producer(spec)) = self.slots.get(&producer).map(|slot| &slot.blueprint) else {
            return Ok(());
        };
        let topic = &spec.workload.topic;
        let partitions = self.image().and_then(|image| Some(image.topic(topic)?.1.partitions.len() as u32));
        match (partition, partitions) {
            (Some(wanted), Some(count)) if wanted >= count => Err(format!(
                "found partition {wanted}, allowed is 0 to {}: {topic} has {count}",
                count.saturating_sub(1)
            )),
            _ => Ok(()),
        }
    }

    /// A partition that a consumer reads now. Kafka's consumer throws where it does not have it.
    fn partition_read_by(&self, consumer: &NodeName, partition: &(String, u32)) -> Result<TopicPartition, String> {
        self.must_run(consumer)?;
        let Some(Machine::Consumer(machine)) = self.slots.get(&self.find(consumer)?).map(|slot| &slot.machine) else {
            return Err(format!("{consumer} is no consumer"));
        };
        let read: Vec<TopicPartition> = machine.assigned().map(|assigned| assigned.partition).collect();
        let found = read.iter().find(|at| at.partition == partition.1 && self.names.topic(at.topic) == partition.0);
        found.copied().ok_or_else(|| {
            let names: Vec<String> = read.iter().map(|at| self.names.partition(*at)).collect();
            let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
            format!("{consumer} does not read {}-{} now; it reads {names}", partition.0, partition.1)
        })
    }

    fn ask_consumer(&mut self, node: Node, ask: Ask, cause: u64) {
        if let Some(Machine::Consumer(consumer)) = self.slot_mut(node).map(|slot| &mut slot.machine) {
            consumer.ask(ask);
        }
        self.give(node, Input::Timer(Timer::Poll), cause);
    }

    fn must_be_new(&self, name: &NodeName) -> Result<(), String> {
        if self.find(name).is_ok() { Err(format!("there is a {name} already")) } else { Ok(()) }
    }

    /// The node of that name.
    pub fn find(&self, name: &NodeName) -> Result<Node, String> {
        let text = name.to_string();
        let found = match name {
            NodeName::Broker(id) => Some(Node::Broker(*id)),
            NodeName::Controller(id) => Some(Node::Controller(*id)),
            NodeName::ZooKeeper(id) => Some(Node::ZooKeeper(*id)),
            NodeName::Producer(_) | NodeName::Consumer(_) => {
                self.slots.keys().rev().copied().find(|node| self.names.node(*node) == text)
            }
        };
        found.filter(|node| self.slots.contains_key(node)).ok_or_else(|| {
            let known: Vec<String> = self
                .slots
                .keys()
                .filter(|node| !matches!(node, Node::Tool(_)))
                .map(|node| self.names.node(*node))
                .collect();
            format!("there is no {text}; there are {}", known.join(", "))
        })
    }

    fn find_all(&self, names: &[NodeName]) -> Result<BTreeSet<Node>, String> {
        let nodes: BTreeSet<Node> = names.iter().map(|name| self.find(name)).collect::<Result<_, _>>()?;
        // A host has one cable, whatever runs on it.
        let twins: Vec<Node> = nodes.iter().filter_map(|node| self.twin(*node)).collect();
        Ok(nodes.into_iter().chain(twins).collect())
    }

    fn after(&mut self, lasting: Option<Duration>, event: Event) {
        if let Some(lasting) = lasting {
            self.queue.schedule(self.now + lasting, event);
        }
    }

    fn kill(&mut self, name: &NodeName, power: bool, cause: u64) -> Result<(), String> {
        let node = self.find(name)?;
        if let Some(slot) = self.slot_mut(node) {
            slot.dark = power;
        }
        self.end_process(node, NodeState::Killed, cause);
        Ok(())
    }

    fn stop(&mut self, name: &NodeName, cause: u64) -> Result<(), String> {
        let node = self.first_to_stop(self.find(name)?);
        if self.node_state(node) == Some(NodeState::Paused) {
            self.resume(node, cause);
        }
        self.change_state(node, NodeState::Stopping, cause);
        self.give(node, Input::Shutdown, cause);
        Ok(())
    }

    fn remove(&mut self, name: &NodeName, cause: u64) -> Result<(), String> {
        let node = self.find(name)?;
        if !self.is_up(node) {
            self.slots.remove(&node);
            return Ok(());
        }
        if let Some(slot) = self.slot_mut(node) {
            slot.leaving = true;
        }
        self.stop(name, cause)
    }

    fn add_broker(&mut self, spec: &BrokerSpec, cause: u64) {
        let node = Node::Broker(spec.id);
        self.add_slot(node, Blueprint::Broker(Rc::new(spec.clone())), Machine::Off(Remains::Nothing));
        self.boot(node, cause);
    }

    fn run_tool(&mut self, command: ToolCommand, cause: u64) -> Result<ClientId, String> {
        let id = self.register(&format!("tool-{}", self.next_stream));
        let rng = crate::rng::Rng::new(self.scenario.seed, self.next_stream);
        self.next_stream += 1;
        let running: Vec<BrokerId> =
            self.bootstrap().into_iter().filter(|broker| self.is_up(Node::Broker(*broker))).collect();
        let bootstrap = if running.is_empty() { self.bootstrap() } else { running };
        let node = Node::Tool(id);
        let command = self.dumped(&command)?.unwrap_or(command);
        let tool = Tool::new(id, command, bootstrap, rng);
        self.add_slot(node, Blueprint::Tool, Machine::Tool(Box::new(tool)));
        if let Some(slot) = self.slot_mut(node) {
            slot.state = NodeState::Running;
        }
        self.give(node, Input::Start, cause);
        Ok(id)
    }

    fn set(&mut self, target: &SetTarget, changes: &[Change], cause: u64) -> Result<Option<ClientId>, String> {
        let settings = |changes: &[Change]| -> Vec<(String, String)> {
            let setting = |change: &Change| match change {
                Change::Setting { key, value } => Some((key.clone(), value.clone())),
                _ => None,
            };
            changes.iter().filter_map(setting).collect()
        };
        match target {
            SetTarget::Node(name) => {
                let node = self.find(name)?;
                let blueprint = self.changed_blueprint(node, changes)?;
                self.apply_blueprint(node, blueprint, changes, cause);
                Ok(None)
            }
            SetTarget::Cluster => self.run_tool(ToolCommand::alter_configs(None, settings(changes)), cause).map(Some),
            SetTarget::Topic(topic) => {
                self.run_tool(ToolCommand::alter_configs(Some(topic.clone()), settings(changes)), cause).map(Some)
            }
        }
    }

    /// What a node would be started from after `set`, if Kafka takes the settings.
    fn changed_blueprint(&self, node: Node, changes: &[Change]) -> Result<Blueprint, String> {
        let Some(slot) = self.slots.get(&node) else { return Err("there is no such node".into()) };
        match &slot.blueprint {
            Blueprint::Producer(spec) => changed_producer(spec, changes).map(|spec| Blueprint::Producer(Rc::new(spec))),
            Blueprint::Consumer(spec) => changed_consumer(spec, changes).map(|spec| Blueprint::Consumer(Rc::new(spec))),
            Blueprint::Broker(spec) => {
                let mut config = self.broker(spec.id).map(|broker| broker.config().clone()).unwrap_or_default();
                for change in changes {
                    match change {
                        Change::Setting { key, value } => config.set(key, value).map_err(|error| error.to_string())?,
                        _ => return Err("a broker has settings only".into()),
                    }
                }
                Ok(slot.blueprint.clone())
            }
            Blueprint::Controller | Blueprint::ZooKeeper | Blueprint::Tool => {
                Err("only brokers, producers and consumers can be set".into())
            }
        }
    }

    fn apply_blueprint(&mut self, node: Node, blueprint: Blueprint, changes: &[Change], cause: u64) {
        let now = self.now;
        let Some(slot) = self.slot_mut(node) else { return };
        slot.blueprint = blueprint.clone();
        match (&mut slot.machine, &blueprint) {
            (Machine::Producer(producer) | Machine::Off(Remains::Producer(producer)), Blueprint::Producer(spec)) => {
                producer.set_config(spec.config.clone());
                producer.set_workload(now, spec.workload.clone());
            }
            (Machine::Consumer(consumer), Blueprint::Consumer(spec)) => {
                consumer.set_task(spec.task());
                if *consumer.reads() != spec.reads() {
                    consumer.ask(Ask::Read(spec.reads()));
                }
                consumer.set_config(spec.config.clone());
            }
            (Machine::Broker(broker), _) => {
                for change in changes {
                    if let Change::Setting { key, value } = change {
                        broker.set_config(key, value);
                    }
                }
            }
            _ => {}
        }
        let timer = if matches!(node, Node::Producer(_)) { Timer::Application } else { Timer::MetadataRefresh };
        if node.client().is_some() {
            self.give(node, Input::Timer(timer), cause);
        }
        for change in changes {
            let (key, value) = describe_change(change);
            let resource = self.names.node(node).as_str().into();
            self.note(
                Some(node),
                cause,
                Fact::ConfigChanged { resource, key: key.as_str().into(), value: Some(value.as_str().into()) },
            );
        }
    }

    /// A step of the scenario. Its file was checked, but the world may have changed by commands since: then the step is
    /// noted with the reason, and left out.
    pub(super) fn run_scenario_step(&mut self, index: u32) {
        let scenario = self.scenario.clone();
        let Some(command) = scenario.steps.get(index as usize).and_then(|step| step.run.as_ref()) else { return };
        if let Err(why) = self.carry_out(command) {
            self.note(None, 0, Fact::Command { text: format!("{command}: left out, {why}").as_str().into() });
        }
    }
}

fn describe_change(change: &Change) -> (String, String) {
    let text = change.to_string();
    match text.trim_start().split_once('=') {
        Some((key, value)) => (key.to_owned(), value.to_owned()),
        None => (text, String::new()),
    }
}

fn changed_producer(spec: &ProducerSpec, changes: &[Change]) -> Result<ProducerSpec, String> {
    let mut spec = spec.clone();
    for change in changes {
        match change {
            Change::Rate(rate) => spec.workload.rate = *rate,
            Change::Keys(keys) => spec.workload.keys = keys.clone(),
            Change::Values(values) => spec.workload.values = values.clone(),
            Change::Setting { key, value } => spec.overrides.push((key.clone(), value.clone())),
            Change::Work(_) | Change::Own { .. } => return Err("a producer only writes".into()),
        }
    }
    spec.config = spec::producer_config(&spec.overrides).map_err(|error| error.to_string())?;
    Ok(spec)
}

fn changed_consumer(spec: &ConsumerSpec, changes: &[Change]) -> Result<ConsumerSpec, String> {
    let mut spec = spec.clone();
    for change in changes {
        match change {
            Change::Work(work) => spec.work = *work,
            Change::Setting { key, value } => spec.overrides.push((key.clone(), value.clone())),
            Change::Own { key, value } => {
                // `IllegalStateException`: subscription to topics, partitions and pattern are mutually exclusive.
                let before = spec.reading().0;
                if READING.contains(key) && *key != before {
                    return Err(format!("found `{key}`, allowed is `{before}`, with which it began to read"));
                }
                spec.set_own(key, value)?;
            }
            _ => return Err("a consumer reads, works and has settings".into()),
        }
    }
    spec.check_own()?;
    spec.config = spec::consumer_config(&spec.overrides).map_err(|error| error.to_string())?;
    Ok(spec)
}
