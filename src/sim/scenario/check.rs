//! What must hold between the tables of a scenario file: names exist, at the time they are used, and exist once.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::{Field, Fields, ScenarioError};
use super::read::Placed;
use super::{At, Expect, Mode, Step};
use crate::kafka::ids::{BrokerId, ControllerId, ZooKeeperId};
use crate::kafka::tool::command::{Job, Topics};
use crate::sim::command::{Change, Command, SetTarget};
use crate::sim::spec::{
    self, BrokerSpec, ConsumerSpec, FIRST_CONTROLLER, NodeName, ProducerSpec, Settings, TopicSpec, check_assignment,
};
use crate::time::{Duration, Instant};

/// Every name comes once, and topics fit on the brokers.
pub fn names(
    brokers: &Placed<BrokerSpec>,
    topics: &Placed<TopicSpec>,
    producers: &Placed<ProducerSpec>,
    consumers: &Placed<ConsumerSpec>,
) -> Result<(), ScenarioError> {
    unique(brokers.iter().map(|(broker, table)| (broker.id.to_string(), *table)), "id")?;
    unique(topics.iter().map(|(topic, table)| (topic.name.clone(), *table)), "name")?;
    unique(producers.iter().map(|(producer, table)| (producer.name.clone(), *table)), "name")?;
    unique(consumers.iter().map(|(consumer, table)| (consumer.name.clone(), *table)), "name")?;
    let ids: BTreeSet<BrokerId> = brokers.iter().map(|(broker, _)| broker.id).collect();
    topics.iter().try_for_each(|(topic, table)| {
        let place = |key| table.get(key).or_else(|| table.get("name"));
        placement(topic, &ids).map_err(|(key, what)| refuse(place(key), *table, what))
    })
}

fn refuse(field: Option<Field>, table: Fields, what: String) -> ScenarioError {
    field.map_or_else(|| table.refuse(what.clone()), |field| field.refuse(what.clone()))
}

fn unique<'a>(names: impl Iterator<Item = (String, Fields<'a>)>, key: &'static str) -> Result<(), ScenarioError> {
    let mut seen = BTreeSet::new();
    for (name, table) in names {
        if !seen.insert(name.clone()) {
            let what = format!("found `{name}` a second time, allowed is each {key} once");
            return Err(refuse(table.get(key), table, what));
        }
    }
    Ok(())
}

/// Whether a topic's replicas find a place; the error names the key that is wrong.
fn placement(topic: &TopicSpec, brokers: &BTreeSet<BrokerId>) -> Result<(), (&'static str, String)> {
    let count = brokers.len();
    if u64::from(topic.replication_factor) > count as u64 {
        let found = topic.replication_factor;
        return Err((
            "replication-factor",
            format!("found {found}, allowed is at most {count}, for there are only {count} brokers"),
        ));
    }
    let stranger = topic.assignment.values().flatten().find(|id| !brokers.contains(id));
    if let Some(id) = stranger {
        let ids: Vec<String> = brokers.iter().map(ToString::to_string).collect();
        return Err(("assignment", format!("found broker {id}, allowed are {}", ids.join(", "))));
    }
    check_assignment(&topic.assignment, topic.partitions, topic.replication_factor).map_err(|what| ("assignment", what))
}

/// An expectation after the end would never be looked at.
pub fn expects(expects: &Placed<Expect>, duration: Duration) -> Result<(), ScenarioError> {
    let end = Instant::ZERO + duration;
    let late = expects.iter().find(|(expect, _)| matches!(expect.at, At::Time(at) if at > end));
    match late {
        None => Ok(()),
        Some((_, table)) => {
            let field = table.need("at", "a time")?;
            Err(field.wrong(&format!("`end` or a time up to the end at `{duration}`")))
        }
    }
}

/// Which names there are while the steps go by.
struct World {
    brokers: BTreeSet<BrokerId>,
    controllers: BTreeSet<ControllerId>,
    zookeepers: BTreeSet<ZooKeeperId>,
    topics: BTreeSet<String>,
    producers: BTreeMap<String, Settings>,
    consumers: BTreeMap<String, Settings>,
    cluster: Settings,
}

/// Every producer and consumer finds its topics, and every step can be understood when its time comes.
pub fn steps(
    cluster: &[(String, String)],
    brokers: &Placed<BrokerSpec>,
    (mode, controllers): (Mode, u32),
    topics: &Placed<TopicSpec>,
    producers: &Placed<ProducerSpec>,
    consumers: &Placed<ConsumerSpec>,
    steps: &Placed<Step>,
) -> Result<(), ScenarioError> {
    let (voters, servers) = if mode == Mode::ZooKeeper { (0, controllers) } else { (controllers, 0) };
    let mut world = World {
        brokers: brokers.iter().map(|(broker, _)| broker.id).collect(),
        controllers: (FIRST_CONTROLLER..).take(voters as usize).map(ControllerId).collect(),
        zookeepers: (1..).take(servers as usize).map(ZooKeeperId).collect(),
        topics: topics.iter().map(|(topic, _)| topic.name.clone()).collect(),
        producers: producers.iter().map(|(spec, _)| (spec.name.clone(), spec.overrides.clone())).collect(),
        consumers: consumers.iter().map(|(spec, _)| (spec.name.clone(), spec.overrides.clone())).collect(),
        cluster: cluster.to_vec(),
    };
    // A client may wait for a topic that a step creates later.
    let mut known = world.topics.clone();
    known.extend(steps.iter().filter_map(|(step, _)| step.run.as_ref().and_then(created_topic)));
    for (producer, table) in producers {
        exists(&producer.workload.topic, &known).map_err(|what| refuse(table.get("topic"), *table, what))?;
    }
    for (spec, table) in consumers {
        let place = |topic| {
            if spec.conduct.dead_letter_topic.as_deref() == Some(topic) {
                "dead-letter-topic"
            } else {
                spec.reading().0
            }
        };
        for topic in spec.named_topics() {
            exists(topic, &known).map_err(|what| refuse(table.get(place(topic)), *table, what))?;
        }
    }
    for (step, table) in steps {
        let Some(command) = &step.run else { continue };
        world.run(command).map_err(|what| refuse(table.get("run"), *table, format!("`{command}`: {what}")))?;
    }
    Ok(())
}

fn created_topic(command: &Command) -> Option<String> {
    match command {
        Command::AddTopic(topic) => Some(topic.name.clone()),
        Command::Tool(tool) => match &tool.job {
            Job::Topics(Topics::Create(create)) => Some(create.topic.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn exists(topic: &str, known: &BTreeSet<String>) -> Result<(), String> {
    if known.contains(topic) {
        return Ok(());
    }
    let allowed: Vec<&str> = known.iter().map(String::as_str).collect();
    Err(if allowed.is_empty() {
        format!("found the topic `{topic}`, but there is none; a [[topic]] table would make one")
    } else {
        format!("found the topic `{topic}`, which does not exist; allowed is {}", allowed.join(", "))
    })
}

impl World {
    /// What a command does to the names, or why it cannot be meant.
    fn run(&mut self, command: &Command) -> Result<(), String> {
        match command {
            Command::Kill { node, .. }
            | Command::Stop { node }
            | Command::Start { node }
            | Command::Pause { node, .. }
            | Command::Resume { node }
            | Command::Slow { node, .. }
            | Command::Disk { node, .. }
            | Command::Wipe { node } => self.knows(node),
            Command::Seek { consumer, partition: (topic, _), .. } => {
                self.knows(consumer)?;
                self.knows_topic(topic)
            }
            Command::PausePartitions { consumer, partitions, .. } => {
                self.knows(consumer)?;
                partitions.iter().try_for_each(|(topic, _)| self.knows_topic(topic))
            }
            Command::Cut { one, other, .. } => one.iter().chain(other).try_for_each(|node| self.knows(node)),
            Command::Link { a, b, .. } | Command::Heal { link: Some((a, b)) } => {
                self.knows(a)?;
                self.knows(b)
            }
            Command::Heal { link: None } => Ok(()),
            Command::AddBroker(broker) => fresh(self.brokers.insert(broker.id), &NodeName::Broker(broker.id)),
            Command::AddTopic(topic) => {
                placement(topic, &self.brokers).map_err(|(_, what)| what)?;
                fresh(self.topics.insert(topic.name.clone()), &format!("topic {}", topic.name))
            }
            Command::AddProducer(spec) => {
                self.knows_topic(&spec.workload.topic)?;
                let before = self.producers.insert(spec.name.clone(), spec.overrides.clone());
                fresh(before.is_none(), &format!("producer-{}", spec.name))
            }
            Command::AddConsumer(spec) => {
                spec.named_topics().try_for_each(|topic| self.knows_topic(topic))?;
                let before = self.consumers.insert(spec.name.clone(), spec.overrides.clone());
                fresh(before.is_none(), &format!("consumer-{}", spec.name))
            }
            Command::Remove { node } => self.remove(node),
            Command::Set { target, changes } => self.set(target, changes),
            Command::Send { producer, .. } => self.knows(producer),
            Command::Tool(_) => {
                self.topics.extend(created_topic(command));
                Ok(())
            }
        }
    }

    fn names(&self) -> Vec<NodeName> {
        let brokers = self.brokers.iter().map(|id| NodeName::Broker(*id));
        let controllers = self.controllers.iter().map(|id| NodeName::Controller(*id));
        let zookeepers = self.zookeepers.iter().map(|id| NodeName::ZooKeeper(*id));
        let producers = self.producers.keys().map(|name| NodeName::Producer(name.as_str().into()));
        let consumers = self.consumers.keys().map(|name| NodeName::Consumer(name.as_str().into()));
        brokers.chain(controllers).chain(zookeepers).chain(producers).chain(consumers).collect()
    }

    fn knows(&self, node: &NodeName) -> Result<(), String> {
        let names = self.names();
        if names.contains(node) {
            return Ok(());
        }
        let allowed: Vec<String> = names.iter().map(ToString::to_string).collect();
        Err(format!("found `{node}`, which does not exist then; allowed is {}", allowed.join(", ")))
    }

    fn knows_topic(&self, topic: &str) -> Result<(), String> {
        exists(topic, &self.topics)
    }

    fn remove(&mut self, node: &NodeName) -> Result<(), String> {
        self.knows(node)?;
        match node {
            NodeName::Broker(id) => self.brokers.remove(id),
            NodeName::Controller(id) => self.controllers.remove(id),
            NodeName::ZooKeeper(id) => self.zookeepers.remove(id),
            NodeName::Producer(name) => self.producers.remove(&**name).is_some(),
            NodeName::Consumer(name) => self.consumers.remove(&**name).is_some(),
        };
        Ok(())
    }

    /// Settings that are fine each by itself may contradict those that are there.
    fn set(&mut self, target: &SetTarget, changes: &[Change]) -> Result<(), String> {
        let given = changes.iter().filter_map(|change| match change {
            Change::Setting { key, value } => Some((key.clone(), value.clone())),
            _ => None,
        });
        match target {
            SetTarget::Topic(topic) => self.knows_topic(topic),
            SetTarget::Cluster => {
                self.cluster.extend(given);
                spec::broker_config(&self.cluster).map(drop).map_err(|error| error.to_string())
            }
            SetTarget::Node(node) => {
                self.knows(node)?;
                let mut named = ConsumerSpec::blank();
                for change in changes {
                    if let Change::Own { key, value } = change {
                        named.set_own(key, value)?;
                    }
                }
                named.named_topics().try_for_each(|topic| self.knows_topic(topic))?;
                match node {
                    NodeName::Producer(name) => {
                        let settings = self.producers.entry(name.to_string()).or_default();
                        settings.extend(given);
                        spec::producer_config(settings).map(drop)
                    }
                    NodeName::Consumer(name) => {
                        let settings = self.consumers.entry(name.to_string()).or_default();
                        settings.extend(given);
                        spec::consumer_config(settings).map(drop)
                    }
                    NodeName::Broker(_) | NodeName::Controller(_) | NodeName::ZooKeeper(_) => Ok(()),
                }
                .map_err(|error| error.to_string())
            }
        }
    }
}

fn fresh(is_fresh: bool, name: &impl std::fmt::Display) -> Result<(), String> {
    if is_fresh { Ok(()) } else { Err(format!("found `{name}`, which exists already; allowed is a new name")) }
}
