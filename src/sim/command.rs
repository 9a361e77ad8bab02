//! The command language: one line, one command. Scenario steps, the page's command bar, links and tests all speak it.

mod complete;
mod options;
mod parse;

pub use complete::{Known, complete};
pub use options::{nearest, partitions, replication_factor, value_size};
pub use parse::{SEND, VERBS};

use std::collections::BTreeMap;
use std::fmt;

use super::spec::{BrokerSpec, ConsumerSpec, NodeName, ProducerSpec, TopicSpec, show_partitions};
use super::units::{self, Share};
use crate::kafka::consumer::SeekTo;
use crate::kafka::disk::DiskChange;
use crate::kafka::ids::BrokerId;
use crate::kafka::tool::ToolCommand;
use crate::kafka::tool::command::{CreateTopic, quoted};
use crate::kafka::workload::{Keys, Values};
use crate::time::Duration;

/// Something a person can do to the world.
///
/// It prints as one line that reads back to the same command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Crash at once: memory gone, disk kept, no goodbye. With `power`, the machine is dark too: nobody there refuses a
    /// connection, so peers learn of it by their timeouts; and what was not flushed to its disk is gone.
    Kill {
        node: NodeName,
        power: bool,
    },
    /// A clean shutdown: a broker's controlled shutdown, a client's close().
    Stop {
        node: NodeName,
    },
    Start {
        node: NodeName,
    },
    /// Alive but frozen, as in a long GC pause; until resumed where `lasting` is `None`.
    Pause {
        node: NodeName,
        lasting: Option<Duration>,
    },
    Resume {
        node: NodeName,
    },
    /// A consumer's application moves its position in a partition: seek().
    Seek {
        consumer: NodeName,
        partition: (String, u32),
        to: SeekTo,
    },
    /// A consumer's application wants nothing of these partitions for now, or goes on with them: pause() and resume().
    /// Never empty.
    PausePartitions {
        consumer: NodeName,
        partitions: Vec<(String, u32)>,
        paused: bool,
    },
    /// Everything it does takes `times` as long; 1 ends it.
    Slow {
        node: NodeName,
        times: u32,
        lasting: Option<Duration>,
    },
    /// The disk of a node that is down is emptied.
    Wipe {
        node: NodeName,
    },
    /// A broker's disk is full, has room again, or is of another kind.
    Disk {
        node: NodeName,
        change: DiskChange,
    },
    /// No message crosses between the two sides; with `one_way`, none from the `one` to the `other`. Neither is empty,
    /// and no node stands on both.
    Cut {
        one: Vec<NodeName>,
        other: Vec<NodeName>,
        one_way: bool,
        lasting: Option<Duration>,
    },
    /// One link, both ways.
    Link {
        a: NodeName,
        b: NodeName,
        change: LinkChange,
    },
    /// Network faults end: that link's, or all.
    Heal {
        link: Option<(NodeName, NodeName)>,
    },
    AddBroker(BrokerSpec),
    AddTopic(TopicSpec),
    /// Its `start` is [`crate::time::Instant::ZERO`]: it starts at once.
    AddProducer(Box<ProducerSpec>),
    AddConsumer(Box<ConsumerSpec>),
    /// Stops it, and it is gone from the picture.
    Remove {
        node: NodeName,
    },
    /// Changes settings; never empty.
    Set {
        target: SetTarget,
        changes: Vec<Change>,
    },
    /// One record by hand. A key or value that is not given is null.
    Send {
        producer: NodeName,
        key: Option<String>,
        value: Option<String>,
        partition: Option<u32>,
    },
    /// One of Kafka's own tools runs.
    Tool(ToolCommand),
}

/// What `link` changes; `None` leaves a property as it is. At least one is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkChange {
    pub latency: Option<Duration>,
    pub loss: Option<Share>,
    pub duplicate: Option<Share>,
    pub bandwidth_bits_per_second: Option<u64>,
}

/// Whose settings `set` changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetTarget {
    Node(NodeName),
    /// The default of every broker.
    Cluster,
    Topic(String),
}

/// One change of `set`. Which ones a target takes is checked when the command is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Thousandths of a record per second.
    Rate(u64),
    Work(Duration),
    /// What a consumer reads, or what its application does besides its work; a key and a value of
    /// [`ConsumerSpec::set_own`].
    Own {
        key: &'static str,
        value: String,
    },
    Keys(Keys),
    Values(Values),
    /// Kafka's name and a value that its setting takes by itself.
    Setting {
        key: String,
        value: String,
    },
}

impl ToolCommand {
    /// What creates a topic in a running cluster.
    pub fn create_topic(topic: &TopicSpec) -> Self {
        let placed = !topic.assignment.is_empty();
        Self::create(CreateTopic {
            topic: topic.name.clone(),
            // Kafka takes numbers or an assignment, not both.
            partitions: (!placed).then_some(topic.partitions),
            replication_factor: (!placed).then_some(topic.replication_factor),
            assignment: topic.assignment.values().cloned().collect(),
            configs: topic.config.clone(),
            if_not_exists: false,
        })
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { node, power } => write!(f, "kill {node}{}", if *power { " power" } else { "" }),
            Self::Stop { node } => write!(f, "stop {node}"),
            Self::Start { node } => write!(f, "start {node}"),
            Self::Pause { node, lasting } => write!(f, "pause {node}{}", Lasting(*lasting)),
            Self::Resume { node } => write!(f, "resume {node}"),
            Self::Seek { consumer, partition: (topic, number), to } => {
                let to = match to {
                    SeekTo::Beginning => "beginning".to_owned(),
                    SeekTo::End => "end".to_owned(),
                    SeekTo::Offset(offset) => offset.to_string(),
                };
                write!(f, "seek {consumer} {topic}-{number} to {to}")
            }
            Self::PausePartitions { consumer, partitions, paused } => {
                let verb = if *paused { "pause" } else { "resume" };
                write!(f, "{verb} {consumer} {}", show_partitions(partitions, " "))
            }
            Self::Slow { node, times, lasting } => write!(f, "slow {node} x{times}{}", Lasting(*lasting)),
            Self::Wipe { node } => write!(f, "wipe {node}"),
            Self::Cut { one, other, one_way, lasting } => {
                let wall = if *one_way { "->" } else { "|" };
                write!(f, "cut {} {wall} {}{}", Spaced(one), Spaced(other), Lasting(*lasting))
            }
            Self::Disk { node, change } => write!(f, "disk {node}{}", ShownDisk(*change)),
            Self::Link { a, b, change } => write!(f, "link {a} {b}{change}"),
            Self::Heal { link: None } => write!(f, "heal"),
            Self::Heal { link: Some((a, b)) } => write!(f, "heal {a} {b}"),
            Self::AddBroker(spec) => {
                write!(f, "add broker {}", spec.id)?;
                spec.rack.iter().try_for_each(|rack| option(f, "rack", rack))
            }
            Self::AddTopic(spec) => fmt_topic(f, spec),
            Self::AddProducer(spec) => fmt_producer(f, spec),
            Self::AddConsumer(spec) => fmt_consumer(f, spec),
            Self::Remove { node } => write!(f, "remove {node}"),
            Self::Set { target, changes } => {
                write!(f, "set {target}")?;
                changes.iter().try_for_each(|change| change.fmt_option(f))
            }
            Self::Send { producer, key, value, partition } => {
                write!(f, "send {producer}")?;
                key.iter().try_for_each(|key| option(f, "key", key))?;
                value.iter().try_for_each(|value| option(f, "value", value))?;
                partition.iter().try_for_each(|partition| write!(f, " partition={partition}"))
            }
            Self::Tool(tool) => tool.fmt(f),
        }
    }
}

impl fmt::Display for SetTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => node.fmt(f),
            Self::Cluster => f.write_str("cluster"),
            Self::Topic(name) => write!(f, "topic:{name}"),
        }
    }
}

impl fmt::Display for LinkChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.latency.iter().try_for_each(|latency| write!(f, " latency={latency}"))?;
        self.loss.iter().try_for_each(|loss| write!(f, " loss={loss}"))?;
        self.duplicate.iter().try_for_each(|duplicate| write!(f, " duplicate={duplicate}"))?;
        let bandwidth = self.bandwidth_bits_per_second.map(units::show_bandwidth);
        bandwidth.iter().try_for_each(|bandwidth| write!(f, " bandwidth={bandwidth}"))
    }
}

impl Change {
    fn fmt_option(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(rate) => option(f, "rate", &units::show_rate(*rate)),
            Self::Work(work) => option(f, "work", &work.to_string()),
            Self::Own { key, value } => option(f, key, value),
            Self::Keys(Keys::None) => option(f, "key", "null"),
            Self::Keys(keys) => fmt_keys(f, keys),
            Self::Values(values) => fmt_values(f, values),
            Self::Setting { key, value } => option(f, key, value),
        }
    }
}

/// With a space before it, as behind `set NODE`.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_option(f)
    }
}

fn fmt_topic(f: &mut fmt::Formatter<'_>, spec: &TopicSpec) -> fmt::Result {
    write!(f, "add topic {}", spec.name)?;
    write!(f, " partitions={} replication-factor={}", spec.partitions, spec.replication_factor)?;
    if !spec.assignment.is_empty() {
        option(f, "assignment", &show_assignment(&spec.assignment))?;
    }
    spec.config.iter().try_for_each(|(key, value)| option(f, key, value))
}

/// As `--replica-assignment` of `kafka-topics` writes it: `1:2:3,2:3:1`.
fn show_assignment(assignment: &BTreeMap<u32, Vec<BrokerId>>) -> String {
    let replicas = |of: &Vec<BrokerId>| of.iter().map(ToString::to_string).collect::<Vec<_>>().join(":");
    assignment.values().map(replicas).collect::<Vec<_>>().join(",")
}

fn fmt_producer(f: &mut fmt::Formatter<'_>, spec: &ProducerSpec) -> fmt::Result {
    let workload = &spec.workload;
    write!(f, "add producer {} topic={} rate={}", spec.name, workload.topic, units::show_rate(workload.rate))?;
    workload.count.iter().try_for_each(|count| write!(f, " count={count}"))?;
    fmt_keys(f, &workload.keys)?;
    fmt_values(f, &workload.values)?;
    spec.overrides.iter().try_for_each(|(key, value)| option(f, key, value))
}

fn fmt_consumer(f: &mut fmt::Formatter<'_>, spec: &ConsumerSpec) -> fmt::Result {
    write!(f, "add consumer {}", spec.name)?;
    spec.group.iter().try_for_each(|group| option(f, "group", group))?;
    let (key, value) = spec.reading();
    option(f, key, &value)?;
    write!(f, " work={}", spec.work)?;
    spec.conduct_given().iter().try_for_each(|(key, value)| option(f, key, value))?;
    spec.overrides.iter().try_for_each(|(key, value)| option(f, key, value))
}

fn fmt_keys(f: &mut fmt::Formatter<'_>, keys: &Keys) -> fmt::Result {
    match keys {
        Keys::None => Ok(()),
        Keys::Template(template) => option(f, "key", &template.to_string()),
        Keys::InTurn(keys) => option(f, "keys", &keys.join(",")),
    }
}

fn fmt_values(f: &mut fmt::Formatter<'_>, values: &Values) -> fmt::Result {
    match values {
        Values::Template(template) => option(f, "value", &template.to_string()),
        Values::Size(size) => write!(f, " size={size}"),
    }
}

/// ` KEY=VALUE`, quoted where the value would not read back as one word.
fn option(f: &mut fmt::Formatter<'_>, key: &str, value: &str) -> fmt::Result {
    write!(f, " {key}={}", quoted(value))
}

struct ShownDisk(DiskChange);

impl fmt::Display for ShownDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            DiskChange::Full => write!(f, " full"),
            DiskChange::Ok => write!(f, " ok"),
            DiskChange::Other { kind, cache } => {
                kind.iter().try_for_each(|kind| write!(f, " {}", kind.name()))?;
                cache.iter().try_for_each(|cache| write!(f, " cache={cache}"))
            }
        }
    }
}

struct Lasting(Option<Duration>);

impl fmt::Display for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|lasting| write!(f, " for {lasting}"))
    }
}

struct Spaced<'a>(&'a [NodeName]);

impl fmt::Display for Spaced<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (node, at) in self.0.iter().zip(0..) {
            write!(f, "{}{node}", if at == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
