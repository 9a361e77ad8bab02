//! What a cluster is made of, as scenario files and `add` commands describe it, and Kafka's rules for its settings.

mod consuming;

pub use consuming::{CONDUCT, Conduct, PARTITION, READING, TYPE, partition, show_partitions};

use std::collections::BTreeMap;
use std::fmt;

use crate::kafka::config::{
    Acks, BrokerConfig, ConsumerConfig, GroupProtocol, ProducerConfig, SettingError, TopicConfig,
};
use crate::kafka::ids::{BrokerId, ControllerId, Name, ZooKeeperId};
use crate::kafka::workload::Workload;
use crate::time::{Duration, Instant};

/// The `node.id` of the first KRaft voter; the others count on from it.
pub const FIRST_CONTROLLER: i32 = 101;

/// The ids brokers may have: `node.id` is one space with the controllers'.
pub const BROKER_IDS: std::ops::RangeInclusive<i32> = 0..=100;

/// Settings that somebody gave, by Kafka's names, in the order given. A later one wins.
pub type Settings = Vec<(String, String)>;

/// One broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerSpec {
    pub id: BrokerId,
    pub rack: Option<String>,
}

/// The links between all nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkSpec {
    /// One way, the median.
    pub latency: Duration,
    pub jitter: Duration,
    pub bandwidth_bits_per_second: u64,
}

impl Default for NetworkSpec {
    fn default() -> Self {
        Self { latency: Duration::millis(2), jitter: Duration::millis(1), bandwidth_bits_per_second: 1_000_000_000 }
    }
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    pub name: String,
    pub partitions: u32,
    pub replication_factor: u32,
    /// The replicas of a partition, the preferred leader first. Kafka places those of partitions that are not in it.
    pub assignment: BTreeMap<u32, Vec<BrokerId>>,
    /// Valid for a [`TopicConfig`].
    pub config: Settings,
}

/// One producer and the application that uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerSpec {
    /// Without the prefix: `go` is `producer-go`.
    pub name: String,
    pub workload: Workload,
    pub start: Instant,
    /// Kafka's defaults with the overrides, as a producer makes of them.
    pub config: ProducerConfig,
    pub overrides: Settings,
}

/// One consumer and the application that uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerSpec {
    /// Without the prefix: `c1` is `consumer-c1`.
    pub name: String,
    pub group: Option<String>,
    /// Empty where it reads by a pattern or has its partitions assigned.
    pub topics: Vec<String>,
    /// `topics-pattern`: it subscribes to all topics whose whole name matches.
    pub pattern: Option<String>,
    /// `assign`: the partitions it reads, by topic and number, whoever else does.
    pub assign: Vec<(String, u32)>,
    /// What the application takes for one record.
    pub work: Duration,
    pub conduct: Conduct,
    pub start: Instant,
    /// Kafka's defaults with the overrides.
    pub config: ConsumerConfig,
    pub overrides: Settings,
}

/// A machine, as people name it: `broker-1`, `producer-shop`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeName {
    Controller(ControllerId),
    ZooKeeper(ZooKeeperId),
    Broker(BrokerId),
    Producer(Name),
    Consumer(Name),
}

impl NodeName {
    /// What a name may look like, for error messages.
    pub const ALLOWED: &str =
        "a node such as `broker-1`, `controller-101`, `zookeeper-1`, `producer-NAME` or `consumer-NAME`";

    /// Reads a name. It tells nothing about whether there is such a node.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once('-')?;
        match kind {
            "broker" => id(name).map(|id| Self::Broker(BrokerId(id))),
            "controller" => id(name).map(|id| Self::Controller(ControllerId(id))),
            "zookeeper" => id(name).map(|id| Self::ZooKeeper(ZooKeeperId(id))),
            "producer" => is_client_name(name).then(|| Self::Producer(name.into())),
            "consumer" => is_client_name(name).then(|| Self::Consumer(name.into())),
            _ => None,
        }
    }

    pub fn is_client(&self) -> bool {
        matches!(self, Self::Producer(_) | Self::Consumer(_))
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Controller(id) => write!(f, "controller-{id}"),
            Self::ZooKeeper(id) => write!(f, "zookeeper-{id}"),
            Self::Broker(id) => write!(f, "broker-{id}"),
            Self::Producer(name) => write!(f, "producer-{name}"),
            Self::Consumer(name) => write!(f, "consumer-{name}"),
        }
    }
}

/// A number without sign or leading zeros, so that every node has one name only.
fn id(text: &str) -> Option<i32> {
    let id: i32 = text.parse().ok().filter(|id| *id >= 0)?;
    (id.to_string() == text).then_some(id)
}

/// Whether a producer or consumer can be called so.
pub fn is_client_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 100 && name.bytes().all(is_name_byte)
}

/// What [`is_client_name`] takes, for error messages.
pub const CLIENT_NAME: &str = "up to 100 letters, digits, `.`, `_` or `-`";

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// Kafka's rule for topic names (`org.apache.kafka.common.internals.Topic.validate`); the error is Kafka's reason.
pub fn check_topic_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("the empty string is not allowed".into());
    }
    if name == "." || name == ".." {
        return Err("'.' or '..' is not allowed".into());
    }
    if name.len() > 249 {
        return Err(format!("the length of '{name}' is longer than the max allowed length 249"));
    }
    if !name.bytes().all(is_name_byte) {
        return Err(format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        ));
    }
    Ok(())
}

/// Whether every partition in the assignment exists and has as many replicas as it should, no broker twice.
pub fn check_assignment(
    assignment: &BTreeMap<u32, Vec<BrokerId>>,
    partitions: u32,
    replication_factor: u32,
) -> Result<(), String> {
    for (partition, replicas) in assignment {
        if *partition >= partitions {
            return Err(format!("found partition {partition}, allowed is 0 to {}", partitions - 1));
        }
        if replicas.len() as u64 != u64::from(replication_factor) {
            let found = replicas.len();
            return Err(format!("found {found} replicas of partition {partition}, allowed is {replication_factor}"));
        }
        let twice = replicas.iter().zip(1..).find(|(id, after)| replicas[*after..].contains(id));
        if let Some((id, _)) = twice {
            return Err(format!("found broker {id} twice for partition {partition}, allowed is one replica a broker"));
        }
    }
    Ok(())
}

fn is_given(overrides: &[(String, String)], key: &str) -> bool {
    overrides.iter().any(|(given, _)| given == key)
}

/// What a producer makes of its settings: idempotence goes off where the user broke its terms without asking for it,
/// and the delivery timeout grows to what it must hold (`ProducerConfig.postProcessAndValidateIdempotenceConfigs`,
/// `KafkaProducer.configureDeliveryTimeout`).
pub fn producer_config(overrides: &[(String, String)]) -> Result<ProducerConfig, SettingError> {
    let mut config = ProducerConfig::default();
    for (key, value) in overrides {
        config.set(key, value)?;
    }
    let conflict = |what: &str| Err(SettingError::Conflict(what.into()));
    if config.enable_idempotence {
        let asked_for = is_given(overrides, "enable.idempotence");
        if config.retries == 0 && asked_for {
            return conflict("`retries` must not be 0 with `enable.idempotence=true`");
        }
        if config.acks != Acks::All && asked_for {
            return conflict("`acks` must be `all` with `enable.idempotence=true`");
        }
        if config.max_in_flight_requests > 5 {
            return Err(SettingError::Conflict(format!(
                "`max.in.flight.requests.per.connection` is {} and must be at most 5 for an idempotent producer; \
                 `enable.idempotence=false` would lift that",
                config.max_in_flight_requests
            )));
        }
        config.enable_idempotence = config.retries > 0 && config.acks == Acks::All;
    }
    let least = config.linger + config.request_timeout;
    if config.delivery_timeout < least {
        if is_given(overrides, "delivery.timeout.ms") {
            return Err(SettingError::Conflict(format!(
                "`delivery.timeout.ms` is {} and must be at least `linger.ms` + `request.timeout.ms`, which is {}",
                config.delivery_timeout.as_millis(),
                least.as_millis()
            )));
        }
        config.delivery_timeout = least;
    }
    Ok(config)
}

/// A consumer's settings (`org.apache.kafka.clients.consumer.internals.Heartbeat`).
pub fn consumer_config(overrides: &[(String, String)]) -> Result<ConsumerConfig, SettingError> {
    let mut config = ConsumerConfig::default();
    for (key, value) in overrides {
        config.set(key, value)?;
    }
    let given = |keys: &[&'static str]| keys.iter().copied().find(|key| is_given(overrides, key));
    match config.group_protocol {
        GroupProtocol::Classic => {
            if let Some(key) = given(&["group.remote.assignor"]) {
                return Err(SettingError::Conflict(format!(
                    "`{key}` cannot be set with `group.protocol=classic`: there the members' own assignors share the \
                     partitions (`partition.assignment.strategy`)"
                )));
            }
        }
        GroupProtocol::Consumer => {
            let theirs = ["session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"];
            if let Some(key) = given(&theirs) {
                return Err(SettingError::Conflict(format!(
                    "`{key}` cannot be set with `group.protocol=consumer`: there the coordinator decides \
                     (`group.consumer.session.timeout.ms`, `group.consumer.heartbeat.interval.ms`, \
                     `group.consumer.assignors`)"
                )));
            }
        }
    }
    if config.heartbeat_interval >= config.session_timeout {
        return Err(SettingError::Conflict(format!(
            "`heartbeat.interval.ms` is {} and must be below `session.timeout.ms`, which is {}",
            config.heartbeat_interval.as_millis(),
            config.session_timeout.as_millis()
        )));
    }
    Ok(config)
}

/// A broker's settings (`KafkaConfig.validateValues`).
pub fn broker_config(overrides: &[(String, String)]) -> Result<BrokerConfig, SettingError> {
    let mut config = BrokerConfig::default();
    for (key, value) in overrides {
        config.set(key, value)?;
    }
    at_most(
        ("replica.fetch.wait.max.ms", config.replica_fetch_wait_max),
        ("replica.lag.time.max.ms", config.replica_lag_time_max),
    )?;
    at_most(
        ("group.min.session.timeout.ms", config.group_min_session_timeout),
        ("group.max.session.timeout.ms", config.group_max_session_timeout),
    )?;
    let session = ("group.consumer.session.timeout.ms", config.group_consumer_session_timeout);
    at_most(("group.consumer.min.session.timeout.ms", config.group_consumer_min_session_timeout), session)?;
    at_most(session, ("group.consumer.max.session.timeout.ms", config.group_consumer_max_session_timeout))?;
    let heartbeat = ("group.consumer.heartbeat.interval.ms", config.group_consumer_heartbeat_interval);
    at_most(("group.consumer.min.heartbeat.interval.ms", config.group_consumer_min_heartbeat_interval), heartbeat)?;
    at_most(heartbeat, ("group.consumer.max.heartbeat.interval.ms", config.group_consumer_max_heartbeat_interval))?;
    Ok(config)
}

fn at_most(small: (&str, Duration), large: (&str, Duration)) -> Result<(), SettingError> {
    if small.1 <= large.1 {
        return Ok(());
    }
    Err(SettingError::Conflict(format!(
        "`{}` is {} and must be at most `{}`, which is {}",
        small.0,
        small.1.as_millis(),
        large.0,
        large.1.as_millis()
    )))
}

/// A topic's settings.
pub fn topic_config(overrides: &[(String, String)]) -> Result<TopicConfig, SettingError> {
    let mut config = TopicConfig::default();
    for (key, value) in overrides {
        config.set(key, value)?;
    }
    Ok(config)
}
