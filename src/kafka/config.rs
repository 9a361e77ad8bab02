//! Settings, by Kafka's names and with Kafka's defaults.
//!
//! One table per kind of machine says everything about a setting: its field, its name, its default, the values Kafka
//! takes, and what it does. Names, defaults and bounds: `ProducerConfig`, `ConsumerConfig`, `TopicConfig`,
//! `AbstractKafkaConfig` and `KRaftConfigs` of Apache Kafka 4.3.1.
//!
//! What we leave out: settings that could change nothing here (serializers, sockets, security, metrics). `cleanup.policy` is known
//! and kept, and says itself that compaction does not act on it.

use std::fmt;

use crate::time::Duration;

/// One setting, as the inspector and the error messages describe it.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Kafka's name: `linger.ms`.
    pub name: &'static str,
    /// Kafka's default, as Kafka writes it.
    pub default: &'static str,
    /// The values Kafka takes, for people: `[0,...]`, `[all, -1, 0, 1]`.
    pub allowed: &'static str,
    /// What it decides, in one sentence.
    pub effect: &'static str,
}

/// Why a setting was refused. Prints as Kafka's `ConfigException` would say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingError {
    /// No setting of that name for this kind of machine; `nearest` is the most alike.
    Unknown { name: String, nearest: Option<&'static str> },
    /// The value is not one that Kafka takes.
    Invalid { name: &'static str, value: String, allowed: &'static str },
    /// Two settings contradict each other.
    Conflict(String),
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, nearest: Some(nearest) } => {
                write!(f, "unknown setting `{name}`; did you mean `{nearest}`?")
            }
            Self::Unknown { name, nearest: None } => write!(f, "unknown setting `{name}`"),
            Self::Invalid { name, value, allowed } => {
                write!(f, "invalid value `{value}` for `{name}`; allowed: {allowed}")
            }
            Self::Conflict(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for SettingError {}

/// A type a setting can have. `show` of a value parses back to it.
pub trait SettingValue: Sized {
    fn parse(text: &str, low: i64, high: i64) -> Option<Self>;
    fn show(&self) -> String;
}

/// Unbounded above: Kafka's `[low,...]`.
const ANY: i64 = i64::MAX;

impl SettingValue for Duration {
    /// Milliseconds, as every Kafka setting that ends in `.ms`.
    fn parse(text: &str, low: i64, high: i64) -> Option<Self> {
        let millis: i64 = text.trim().parse().ok()?;
        // Only `retention.ms` and its like may be negative, and -1 means "no limit" there.
        (low..=high)
            .contains(&millis)
            .then(|| u64::try_from(millis).map_or(Self::MAX, |ms| Self::MAX.min(Self::millis(ms.min(u64::MAX / 8000)))))
    }
    fn show(&self) -> String {
        if *self == Self::MAX { "-1".into() } else { self.as_millis().to_string() }
    }
}

macro_rules! integer_setting {
    ($($type:ty),*) => {$(
        impl SettingValue for $type {
            fn parse(text: &str, low: i64, high: i64) -> Option<Self> {
                let number: i64 = text.trim().parse().ok()?;
                if (low..=high).contains(&number) { <$type>::try_from(number).ok() } else { None }
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
integer_setting!(i32, i64, u32, u64);

impl SettingValue for bool {
    fn parse(text: &str, _low: i64, _high: i64) -> Option<Self> {
        match text.trim() {
            word if word.eq_ignore_ascii_case("true") => Some(true),
            word if word.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl SettingValue for Option<String> {
    fn parse(text: &str, _low: i64, _high: i64) -> Option<Self> {
        Some((!text.is_empty() && text != "null").then(|| text.to_owned()))
    }
    fn show(&self) -> String {
        self.clone().unwrap_or_else(|| "null".into())
    }
}

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal $(| $other:literal)*),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl SettingValue for $name {
            fn parse(text: &str, _low: i64, _high: i64) -> Option<Self> {
                match text.trim().to_ascii_lowercase().as_str() {
                    $($text $(| $other)* => Some(Self::$variant),)*
                    _ => None,
                }
            }
            fn show(&self) -> String {
                match self { $(Self::$variant => $text),* }.to_owned()
            }
        }
    };
}

choice! {
    /// `acks`: what a producer waits for.
    Acks {
        /// Nothing: no reply is sent.
        None = "0",
        /// The leader's append.
        Leader = "1",
        /// Every replica in the ISR.
        All = "all" | "-1",
    }
}
/// `auto.offset.reset`: where a consumer begins without a valid committed offset (`AutoOffsetResetStrategy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetReset {
    Latest,
    Earliest,
    /// Nowhere: the application ends.
    None,
    /// At the first record that is no older (KIP-1106).
    ByDuration(Duration),
}

impl SettingValue for OffsetReset {
    fn parse(text: &str, _low: i64, _high: i64) -> Option<Self> {
        match text.trim() {
            "latest" => Some(Self::Latest),
            "earliest" => Some(Self::Earliest),
            "none" => Some(Self::None),
            other => iso_duration(other.strip_prefix("by_duration:")?).map(Self::ByDuration),
        }
    }
    fn show(&self) -> String {
        match self {
            Self::Latest => "latest".into(),
            Self::Earliest => "earliest".into(),
            Self::None => "none".into(),
            Self::ByDuration(duration) => {
                let (seconds, millis) = (duration.as_millis() / 1000, duration.as_millis() % 1000);
                let fraction = if millis == 0 { String::new() } else { format!(".{millis:03}") };
                format!("by_duration:PT{seconds}{fraction}S")
            }
        }
    }
}

/// A duration as ISO 8601 and Java's `Duration.parse` write it, `P1DT2H3M4.5S`, to the millisecond and without signs.
fn iso_duration(text: &str) -> Option<Duration> {
    let text = text.to_ascii_uppercase();
    let (days, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((_, "")) => return None,
        Some((days, time)) => (days, time),
        None => (text.strip_prefix('P')?, ""),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let mut millis: u64 = 0;
    let mut rest = (days, time);
    for (unit, of_time, factor) in [('D', false, 86_400_000), ('H', true, 3_600_000), ('M', true, 60_000)] {
        let part = if of_time { &mut rest.1 } else { &mut rest.0 };
        if let Some((number, after)) = part.split_once(unit) {
            let number: u64 = number.parse().ok()?;
            millis = millis.checked_add(number.checked_mul(factor)?)?;
            *part = after;
        }
    }
    if let Some(seconds) = rest.1.strip_suffix('S') {
        let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
        let digits: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
        millis = millis.checked_add(whole.parse::<u64>().ok()?.checked_mul(1000)?)?.checked_add(digits)?;
        rest.1 = "";
    }
    (rest.0.is_empty() && rest.1.is_empty() && millis <= u64::MAX / 8000).then(|| Duration::millis(millis))
}
choice! {
    /// `isolation.level`: whether records of open and aborted transactions are read.
    Isolation { ReadUncommitted = "read_uncommitted", ReadCommitted = "read_committed" }
}
choice! {
    /// `compression.type` of a producer.
    Compression { None = "none", Gzip = "gzip", Snappy = "snappy", Lz4 = "lz4", Zstd = "zstd" }
}
choice! {
    /// `message.timestamp.type` of a topic.
    TimestampType { CreateTime = "createtime", LogAppendTime = "logappendtime" }
}
choice! {
    /// `cleanup.policy` of a topic.
    CleanupPolicy { Delete = "delete", Compact = "compact", CompactDelete = "compact,delete" | "delete,compact" }
}
/// `replica.selector.class`: who decides from which replica a consumer reads (KIP-392).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReplicaSelector {
    /// Nobody: it is always the leader.
    Leader,
    /// The leader sends a consumer to a replica in the consumer's rack.
    RackAware,
}

const RACK_AWARE: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

impl SettingValue for ReplicaSelector {
    fn parse(text: &str, _low: i64, _high: i64) -> Option<Self> {
        match text.trim() {
            "" | "null" => Some(Self::Leader),
            RACK_AWARE => Some(Self::RackAware),
            _ => None,
        }
    }
    fn show(&self) -> String {
        match self {
            Self::Leader => "null".into(),
            Self::RackAware => RACK_AWARE.into(),
        }
    }
}

choice! {
    /// `listeners`: whether connections are encrypted. Kafka names an address, too.
    Listeners { Plaintext = "plaintext://:9092" | "plaintext", Ssl = "ssl://:9092" | "ssl" }
}

choice! {
    /// `share.acquire.mode`: how strictly a share consumer's `max.poll.records` is taken (KIP-1206).
    AcquireMode {
        /// Whole batches are acquired, and may be more.
        BatchOptimized = "batch_optimized",
        RecordLimit = "record_limit",
    }
}
choice! {
    /// `share.acknowledgement.mode`: who says that a record is done.
    AcknowledgementMode {
        /// The next poll() accepts what the last one returned.
        Implicit = "implicit",
        /// The application, record by record.
        Explicit = "explicit",
    }
}
choice! {
    /// `share.auto.offset.reset`: where a share group begins to read a partition. Kafka also takes `by_duration:…`.
    ShareOffsetReset { Latest = "latest", Earliest = "earliest" }
}

choice! {
    /// `compression.type` of a topic.
    TopicCompression {
        /// As the producer compressed it.
        Producer = "producer",
        Uncompressed = "uncompressed",
        Gzip = "gzip",
        Snappy = "snappy",
        Lz4 = "lz4",
        Zstd = "zstd",
    }
}
choice! {
    /// A client-side assignor, by its name in the protocol or by that of its class.
    AssignmentStrategy {
        Range = "range" | "rangeassignor" | "org.apache.kafka.clients.consumer.rangeassignor",
        RoundRobin = "roundrobin" | "roundrobinassignor" | "org.apache.kafka.clients.consumer.roundrobinassignor",
        Sticky = "sticky" | "stickyassignor" | "org.apache.kafka.clients.consumer.stickyassignor",
        CooperativeSticky = "cooperative-sticky"
            | "cooperativestickyassignor"
            | "org.apache.kafka.clients.consumer.cooperativestickyassignor",
    }
}

/// `partition.assignment.strategy`: the assignors that a consumer can work with, the preferred one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignmentStrategies(Vec<AssignmentStrategy>);

impl AssignmentStrategies {
    /// There is at least one, and none is there twice.
    pub fn iter(&self) -> impl Iterator<Item = AssignmentStrategy> + '_ {
        self.0.iter().copied()
    }
}

impl SettingValue for AssignmentStrategies {
    fn parse(text: &str, low: i64, high: i64) -> Option<Self> {
        let list = text.split(',').map(|one| AssignmentStrategy::parse(one, low, high)).collect::<Option<Vec<_>>>()?;
        let unique = list.iter().enumerate().all(|(at, one)| !list[..at].contains(one));
        unique.then_some(Self(list))
    }
    fn show(&self) -> String {
        self.0.iter().map(SettingValue::show).collect::<Vec<_>>().join(",")
    }
}

choice! {
    /// `group.protocol`: how a consumer keeps its place in its group.
    GroupProtocol {
        /// JoinGroup and SyncGroup: the clients share the partitions among themselves.
        Classic = "classic",
        /// ConsumerGroupHeartbeat: the coordinator shares them (KIP-848).
        Consumer = "consumer",
    }
}

choice! {
    /// An assignor that runs in the group coordinator (KIP-848).
    ServerAssignor {
        Uniform = "uniform" | "org.apache.kafka.coordinator.group.assignor.uniformassignor",
        Range = "range" | "org.apache.kafka.coordinator.group.assignor.rangeassignor",
    }
}
choice! {
    /// `group.consumer.migration.policy`: which conversions between the two protocols happen by themselves.
    MigrationPolicy { Disabled = "disabled", Downgrade = "downgrade", Upgrade = "upgrade", Bidirectional = "bidirectional" }
}

impl ServerAssignor {
    /// Its name in the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }
}

/// `group.consumer.assignors`: those that members may ask for; the first one is used where nobody asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAssignors(Vec<ServerAssignor>);

impl ServerAssignors {
    /// The one that a group gets whose members do not ask for any.
    pub fn first(&self) -> ServerAssignor {
        self.0.first().copied().unwrap_or(ServerAssignor::Uniform)
    }

    /// The one of that name, if members may ask for it.
    pub fn find(&self, name: &str) -> Option<ServerAssignor> {
        self.0.iter().copied().find(|assignor| assignor.name() == name)
    }
}

impl SettingValue for ServerAssignors {
    fn parse(text: &str, low: i64, high: i64) -> Option<Self> {
        text.split(',').map(|word| ServerAssignor::parse(word, low, high)).collect::<Option<_>>().map(Self)
    }
    fn show(&self) -> String {
        self.0.iter().map(|assignor| assignor.name()).collect::<Vec<_>>().join(",")
    }
}

/// `leader.replication.throttled.replicas` and `follower.replication.throttled.replicas`: partition and broker, or `*`
/// (`ThrottledReplicaListValidator`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThrottledReplicas {
    all: bool,
    listed: Vec<(u32, i32)>,
}

impl ThrottledReplicas {
    /// Whether a broker's replica of a partition is among them.
    pub fn contains(&self, partition: u32, broker: i32) -> bool {
        self.all || self.listed.contains(&(partition, broker))
    }
}

impl SettingValue for ThrottledReplicas {
    fn parse(text: &str, _low: i64, _high: i64) -> Option<Self> {
        let replica = |word: &str| {
            let (partition, broker) = word.trim().split_once(':')?;
            Some((partition.parse().ok()?, broker.parse().ok()?))
        };
        match text.trim() {
            "" => Some(Self::default()),
            "*" => Some(Self { all: true, listed: Vec::new() }),
            list => Some(Self { all: false, listed: list.split(',').map(replica).collect::<Option<_>>()? }),
        }
    }
    fn show(&self) -> String {
        if self.all {
            return "*".into();
        }
        self.listed.iter().map(|(partition, broker)| format!("{partition}:{broker}")).collect::<Vec<_>>().join(",")
    }
}

macro_rules! settings {
    ($(#[$doc:meta])* $name:ident { $($(#[$gate:meta])* $field:ident: $type:ty = $key:literal, $default:literal, [$low:expr, $high:expr], $allowed:literal, $effect:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$gate])* #[doc = concat!("`", $key, "`: ", $effect)] pub $field: $type,)*
        }

        impl $name {
            /// Every setting of this kind of machine, in the order of the documentation.
            pub const SETTINGS: &'static [Setting] =
                &[$($(#[$gate])* Setting { name: $key, default: $default, allowed: $allowed, effect: $effect }),*];

            /// Sets one value, by Kafka's name. Nothing changes when it is refused.
            pub fn set(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
                match key {
                    $($(#[$gate])* $key => {
                        self.$field = SettingValue::parse(value, $low, $high).ok_or_else(|| SettingError::Invalid {
                            name: $key, value: value.to_owned(), allowed: $allowed,
                        })?;
                        Ok(())
                    })*
                    _ => Err(SettingError::Unknown { name: key.to_owned(), nearest: nearest(key, Self::SETTINGS) }),
                }
            }

            /// A value as text, by Kafka's name.
            pub fn get(&self, key: &str) -> Option<String> {
                match key {
                    $($(#[$gate])* $key => Some(SettingValue::show(&self.$field)),)*
                    _ => None,
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    $($(#[$gate])* $field: SettingValue::parse($default, $low, $high).expect(concat!("the default of ", $key)),)*
                }
            }
        }
    };
}

settings! {
    /// What a producer is configured with.
    ProducerConfig {
        acks: Acks = "acks", "all", [0, ANY], "[all, -1, 0, 1]", "0: do not wait; 1: the leader has appended; all: every in-sync replica has.";
        linger: Duration = "linger.ms", "5", [0, ANY], "[0,...]", "waits this long for more records before sending a batch that is not full.";
        batch_size: u32 = "batch.size", "16384", [0, ANY], "[0,...]", "target bytes of a batch; a bigger record gets a batch of its own.";
        buffer_memory: u64 = "buffer.memory", "33554432", [0, ANY], "[0,...]", "bytes of unsent records; send() blocks when they are used up.";
        max_block: Duration = "max.block.ms", "60000", [0, ANY], "[0,...]", "how long send() may block on the buffer or on metadata.";
        max_request_size: u32 = "max.request.size", "1048576", [0, ANY], "[0,...]", "largest request, and largest record.";
        max_in_flight_requests: u32 = "max.in.flight.requests.per.connection", "5", [1, ANY], "[1,...]", "unanswered requests per broker.";
        enable_idempotence: bool = "enable.idempotence", "true", [0, 1], "[true, false]", "numbers the records, so that a retried batch is not written twice nor out of order; needs acks=all and at most 5 requests in flight.";
        retries: u32 = "retries", "2147483647", [0, 2_147_483_647], "[0,...,2147483647]", "how often a batch is sent again; bounded by delivery.timeout.ms in practice.";
        delivery_timeout: Duration = "delivery.timeout.ms", "120000", [0, ANY], "[0,...]", "from send() to success or failure, retries included.";
        request_timeout: Duration = "request.timeout.ms", "30000", [0, ANY], "[0,...]", "how long to wait for a broker's answer.";
        connection_setup_timeout: Duration = "socket.connection.setup.timeout.ms", "10000", [0, ANY], "[0,...]", "how long an attempt to connect may take; doubles with each failure in a row, give or take 20 %.";
        connection_setup_timeout_max: Duration = "socket.connection.setup.timeout.max.ms", "30000", [0, ANY], "[0,...]", "the longest an attempt to connect may take.";
        retry_backoff: Duration = "retry.backoff.ms", "100", [0, ANY], "[0,...]", "first pause before a retry; doubles with each, give or take 20 %.";
        retry_backoff_max: Duration = "retry.backoff.max.ms", "1000", [0, ANY], "[0,...]", "longest pause before a retry.";
        metadata_max_age: Duration = "metadata.max.age.ms", "300000", [0, ANY], "[0,...]", "metadata older than this is fetched anew.";
        compression: Compression = "compression.type", "none", [0, ANY], "[none, gzip, snappy, lz4, zstd]", "how whole batches are compressed.";
        ignore_keys: bool = "partitioner.ignore.keys", "false", [0, 1], "[true, false]", "spreads records with a key like those without.";
        adaptive_partitioning: bool = "partitioner.adaptive.partitioning.enable", "true", [0, 1], "[true, false]", "gives partitions with shorter queues more of the records without a key.";
    }
}

settings! {
    /// What a consumer is configured with.
    ConsumerConfig {
        group_instance_id: Option<String> = "group.instance.id", "null", [0, ANY], "a name", "makes the consumer a static member.";
        group_protocol: GroupProtocol = "group.protocol", "classic", [0, ANY], "[classic, consumer]", "how the group shares its partitions: a leader among the members decides, or the coordinator (KIP-848); from the next start of the process.";
        assignment_strategy: AssignmentStrategies = "partition.assignment.strategy", "range,cooperative-sticky", [0, ANY], "a list of [range, roundrobin, sticky, cooperative-sticky]", "the client-side assignors, the preferred one first; a group takes the one that all its members have and most prefer.";
        group_remote_assignor: Option<String> = "group.remote.assignor", "null", [0, ANY], "[null, uniform, range]", "group.protocol=consumer: the coordinator's assignor that this member asks for.";
        session_timeout: Duration = "session.timeout.ms", "45000", [0, ANY], "[0,...]", "a member without heartbeats for this long is dropped.";
        heartbeat_interval: Duration = "heartbeat.interval.ms", "3000", [0, ANY], "[0,...]", "time between heartbeats; must be below the session timeout.";
        max_poll_interval: Duration = "max.poll.interval.ms", "300000", [1, ANY], "[1,...]", "a member that does not poll for this long leaves; also its rebalance timeout.";
        max_poll_records: u32 = "max.poll.records", "500", [1, ANY], "[1,...]", "most records one poll() returns.";
        fetch_min_bytes: u32 = "fetch.min.bytes", "1", [0, ANY], "[0,...]", "the broker holds its answer until it has this many bytes.";
        fetch_max_wait: Duration = "fetch.max.wait.ms", "500", [0, ANY], "[0,...]", "the longest a broker holds a fetch.";
        fetch_max_bytes: u32 = "fetch.max.bytes", "52428800", [0, ANY], "[0,...]", "soft limit of one fetch answer.";
        max_partition_fetch_bytes: u32 = "max.partition.fetch.bytes", "1048576", [0, ANY], "[0,...]", "soft limit of one partition in a fetch answer.";
        acknowledgement_mode: AcknowledgementMode = "share.acknowledgement.mode", "implicit", [0, ANY], "[implicit, explicit]", "share consumers: whether the next poll() accepts every record of the last one, or the application says what becomes of each.";
        acquire_mode: AcquireMode = "share.acquire.mode", "batch_optimized", [0, ANY], "[batch_optimized, record_limit]", "share consumers: whether whole batches are acquired, or no more records than max.poll.records.";
        auto_offset_reset: OffsetReset = "auto.offset.reset", "latest", [0, ANY], "[latest, earliest, none, by_duration:PnDTnHnMn.nS]", "where to begin without a valid committed offset.";
        enable_auto_commit: bool = "enable.auto.commit", "true", [0, 1], "[true, false]", "commits the positions of finished work inside poll(), every auto.commit.interval.ms.";
        auto_commit_interval: Duration = "auto.commit.interval.ms", "5000", [0, ANY], "[0,...]", "time between automatic commits.";
        isolation: Isolation = "isolation.level", "read_uncommitted", [0, ANY], "[read_uncommitted, read_committed]", "whether open and aborted transactions are read; without transactions, both read up to the high watermark.";
        client_rack: Option<String> = "client.rack", "null", [0, ANY], "a rack", "the consumer's rack, for the assignor, and for a leader whose replica.selector.class sends it to a replica there.";
        request_timeout: Duration = "request.timeout.ms", "30000", [0, ANY], "[0,...]", "how long to wait for a broker's answer.";
        connection_setup_timeout: Duration = "socket.connection.setup.timeout.ms", "10000", [0, ANY], "[0,...]", "how long an attempt to connect may take; doubles with each failure in a row, give or take 20 %.";
        connection_setup_timeout_max: Duration = "socket.connection.setup.timeout.max.ms", "30000", [0, ANY], "[0,...]", "the longest an attempt to connect may take.";
        retry_backoff: Duration = "retry.backoff.ms", "100", [0, ANY], "[0,...]", "first pause before a retry.";
        retry_backoff_max: Duration = "retry.backoff.max.ms", "1000", [0, ANY], "[0,...]", "longest pause before a retry.";
        metadata_max_age: Duration = "metadata.max.age.ms", "300000", [0, ANY], "[0,...]", "metadata older than this is fetched anew.";
    }
}

settings! {
    /// What a broker is configured with, the group coordinator included.
    BrokerConfig {
        num_partitions: u32 = "num.partitions", "1", [1, 100_000], "[1,...]", "partitions of a topic created without a number.";
        #[cfg(feature = "planted-mistakes")]
        mistake: super::mistakes::Mistake = "planted.mistake", "none", [0, ANY], "[none, the name of a mistake]", "breaks one rule of the model.";
        default_replication_factor: u32 = "default.replication.factor", "1", [1, 32_767], "[1,...]", "replicas of a topic created without a number.";
        min_insync_replicas: u32 = "min.insync.replicas", "1", [1, ANY], "[1,...]", "ISR size that acks=all needs, where the topic says nothing.";
        unclean_leader_election: bool = "unclean.leader.election.enable", "false", [0, 1], "[true, false]", "lets a replica outside the ISR lead, where the topic says nothing.";
        message_max_bytes: u32 = "message.max.bytes", "1048588", [0, ANY], "[0,...]", "largest batch, where the topic says nothing.";
        auto_leader_rebalance: bool = "auto.leader.rebalance.enable", "true", [0, 1], "[true, false]", "moves leadership back to preferred leaders from time to time.";
        leader_imbalance_check_interval_seconds: u64 = "leader.imbalance.check.interval.seconds", "300", [1, ANY], "[1,...]", "seconds between those times.";
        unclean_leader_election_interval: Duration = "unclean.leader.election.interval.ms", "300000", [1, ANY], "[1,...]", "how often the controller looks for leaderless partitions that may have an unclean leader.";
        leader_throttled_rate: u64 = "leader.replication.throttled.rate", "9223372036854775807", [0, ANY], "[0,...]", "bytes a second that leaders send to throttled replicas outside the ISR, all together.";
        follower_throttled_rate: u64 = "follower.replication.throttled.rate", "9223372036854775807", [0, ANY], "[0,...]", "bytes a second that throttled replicas outside the ISR fetch, all together.";
        replica_lag_time_max: Duration = "replica.lag.time.max.ms", "30000", [0, ANY], "[0,...]", "a follower not caught up for longer leaves the ISR; checked every half of it.";
        replica_fetch_max_bytes: u32 = "replica.fetch.max.bytes", "1048576", [0, ANY], "[0,...]", "bytes of one partition in a follower's fetch.";
        replica_fetch_wait_max: Duration = "replica.fetch.wait.max.ms", "500", [0, ANY], "[0,...]", "longest a leader holds a follower's fetch.";
        replica_fetch_min_bytes: u32 = "replica.fetch.min.bytes", "1", [0, ANY], "[0,...]", "the leader holds a follower's fetch until it has this many bytes.";
        replica_fetch_backoff: Duration = "replica.fetch.backoff.ms", "1000", [0, ANY], "[0,...]", "pause of a follower after a fetch error.";
        high_watermark_checkpoint_interval: Duration = "replica.high.watermark.checkpoint.interval.ms", "5000", [0, ANY], "[0,...]", "how often high watermarks are written to disk.";
        producer_id_expiration: Duration = "producer.id.expiration.ms", "86400000", [1, ANY], "[1,...]", "a producer that writes nothing to a partition for this long is forgotten there.";
        producer_id_expiration_check_interval: Duration = "producer.id.expiration.check.interval.ms", "600000", [1, ANY], "[1,...]", "how often that is looked for.";
        listeners: Listeners = "listeners", "PLAINTEXT://:9092", [0, ANY], "[PLAINTEXT://:9092, SSL://:9092]", "whether connections are encrypted; SSL rules out zero-copy: each byte of an answer passes through the process.";
        log_segment_bytes: u32 = "log.segment.bytes", "1073741824", [1_048_576, ANY], "[1048576,...]", "a segment is closed at this size, where the topic says nothing.";
        log_retention_hours: u64 = "log.retention.hours", "168", [0, ANY], "[0,...]", "segments older than this are deleted, where the topic says nothing.";
        log_retention_bytes: i64 = "log.retention.bytes", "-1", [-1, ANY], "[-1,...]", "the oldest segments above this size are deleted, where the topic says nothing; -1: never.";
        log_retention_check_interval: Duration = "log.retention.check.interval.ms", "300000", [1, ANY], "[1,...]", "how often segments to delete are looked for.";
        log_flush_scheduler_interval_ms: i64 = "log.flush.scheduler.interval.ms", "9223372036854775807", [1, ANY], "[1,...]", "how often logs are looked for that flush.ms wants on the disk; by default never.";
        log_flush_checkpoint_interval: Duration = "log.flush.offset.checkpoint.interval.ms", "60000", [1, ANY], "[1,...]", "how often recovery points are written to disk.";
        broker_rack: Option<String> = "broker.rack", "null", [0, ANY], "a rack", "where the broker stands, for placement, for rack-aware assignors and for consumers that read nearby.";
        replica_selector: ReplicaSelector = "replica.selector.class", "null", [0, ANY], "[null, org.apache.kafka.common.replica.RackAwareReplicaSelector]", "RackAwareReplicaSelector sends a consumer with a client.rack to a replica in that rack.";
        offsets_topic_partitions: u32 = "offsets.topic.num.partitions", "50", [1, 1000], "[1,...]", "partitions of __consumer_offsets.";
        offsets_topic_replication_factor: u32 = "offsets.topic.replication.factor", "3", [1, 32_767], "[1,...]", "replicas of __consumer_offsets.";
        offsets_retention_minutes: u64 = "offsets.retention.minutes", "10080", [1, ANY], "[1,...]", "offsets of an empty group expire after this.";
        offsets_retention_check_interval: Duration = "offsets.retention.check.interval.ms", "600000", [1, ANY], "[1,...]", "how often that is looked for.";
        offsets_commit_timeout: Duration = "offsets.commit.timeout.ms", "5000", [1, ANY], "[1,...]", "how long an offset commit waits for its replication.";
        offset_metadata_max_bytes: u32 = "offset.metadata.max.bytes", "4096", [0, ANY], "[0,...]", "longest note with a committed offset; no client here writes notes.";
        group_initial_rebalance_delay: Duration = "group.initial.rebalance.delay.ms", "3000", [0, ANY], "[0,...]", "the first rebalance of an empty group waits this long for more members.";
        group_min_session_timeout: Duration = "group.min.session.timeout.ms", "6000", [0, ANY], "[0,...]", "shortest session timeout a member may ask for.";
        group_max_session_timeout: Duration = "group.max.session.timeout.ms", "1800000", [0, ANY], "[0,...]", "longest session timeout a member may ask for.";
        group_consumer_session_timeout: Duration = "group.consumer.session.timeout.ms", "45000", [1, ANY], "[1,...]", "group.protocol=consumer: a member that is not heard of for this long is out.";
        group_consumer_min_session_timeout: Duration = "group.consumer.min.session.timeout.ms", "45000", [1, ANY], "[1,...]", "the shortest group.consumer.session.timeout.ms.";
        group_consumer_max_session_timeout: Duration = "group.consumer.max.session.timeout.ms", "60000", [1, ANY], "[1,...]", "the longest group.consumer.session.timeout.ms.";
        group_consumer_min_heartbeat_interval: Duration = "group.consumer.min.heartbeat.interval.ms", "5000", [1, ANY], "[1,...]", "the shortest group.consumer.heartbeat.interval.ms.";
        group_consumer_max_heartbeat_interval: Duration = "group.consumer.max.heartbeat.interval.ms", "15000", [1, ANY], "[1,...]", "the longest group.consumer.heartbeat.interval.ms.";
        group_consumer_heartbeat_interval: Duration = "group.consumer.heartbeat.interval.ms", "5000", [1, ANY], "[1,...]", "group.protocol=consumer: the time between heartbeats that members are told.";
        group_consumer_max_size: u32 = "group.consumer.max.size", "2147483647", [1, 2_147_483_647], "[1,...]", "group.protocol=consumer: most members of a group.";
        group_consumer_assignors: ServerAssignors = "group.consumer.assignors", "uniform,range", [0, ANY], "a list of [uniform, range]", "group.protocol=consumer: the assignors that members may ask for; the first one is used where nobody asks.";
        group_consumer_migration_policy: MigrationPolicy = "group.consumer.migration.policy", "bidirectional", [0, ANY], "[disabled, downgrade, upgrade, bidirectional]", "whether a group changes its protocol when the first member of another one comes, or the last one goes.";
        group_consumer_assignment_interval: Duration = "group.consumer.assignment.interval.ms", "1000", [0, ANY], "[0,...]", "group.protocol=consumer: the least time between two target assignments of a group.";
        group_consumer_regex_refresh_interval: Duration = "group.consumer.regex.refresh.interval.ms", "600000", [10_000, ANY], "[10000,...]", "group.protocol=consumer: how often regular expressions are resolved again, even without a new topic.";
        group_max_size: u32 = "group.max.size", "2147483647", [1, 2_147_483_647], "[1,...]", "most members of a group.";
        share_session_timeout: Duration = "group.share.session.timeout.ms", "45000", [1, ANY], "[1,...]", "a member of a share group that is silent for this long is removed.";
        share_heartbeat_interval: Duration = "group.share.heartbeat.interval.ms", "5000", [1, ANY], "[1,...]", "time between the heartbeats of a share group's members, as the coordinator tells them.";
        share_assignment_interval: Duration = "group.share.assignment.interval.ms", "1000", [0, ANY], "[0,...]", "a share group's assignment is worked out no more often than this.";
        share_max_size: u32 = "group.share.max.size", "200", [1, 1000], "[1,...,1000]", "most members of a share group.";
        share_record_lock_duration: Duration = "group.share.record.lock.duration.ms", "30000", [1000, 3_600_000], "[1000,...,3600000]", "how long a member of a share group has records for itself; then others may have them.";
        share_delivery_count_limit: u32 = "group.share.delivery.count.limit", "5", [2, 10], "[2,...,10]", "a record of a share group that was delivered so often, and not accepted, is archived.";
        share_partition_max_record_locks: u32 = "group.share.partition.max.record.locks", "2000", [100, 10_000], "[100,...,10000]", "how many records of a partition may be under way in a share group.";
        share_auto_offset_reset: ShareOffsetReset = "share.auto.offset.reset", "latest", [0, ANY], "[latest, earliest]", "where share groups begin to read a partition; in Kafka it is set group by group.";
        share_state_topic_partitions: u32 = "share.coordinator.state.topic.num.partitions", "50", [1, 1000], "[1,...]", "partitions of __share_group_state.";
        share_state_topic_replication_factor: u32 = "share.coordinator.state.topic.replication.factor", "3", [1, 32_767], "[1,...]", "replicas of __share_group_state.";
        share_state_topic_min_isr: u32 = "share.coordinator.state.topic.min.isr", "2", [1, 32_767], "[1,...]", "min.insync.replicas of __share_group_state.";
        share_updates_per_snapshot: u32 = "share.coordinator.snapshot.update.records.per.snapshot", "500", [0, 500], "[0,...,500]", "records that tell what has changed in a share group's partition, before one tells all.";
        broker_heartbeat_interval: Duration = "broker.heartbeat.interval.ms", "2000", [1, ANY], "[1,...]", "time between a broker's heartbeats to the controller.";
        connection_setup_timeout: Duration = "socket.connection.setup.timeout.ms", "10000", [0, ANY], "[0,...]", "how long an attempt to connect may take; doubles with each failure in a row, give or take 20 %.";
        connection_setup_timeout_max: Duration = "socket.connection.setup.timeout.max.ms", "30000", [0, ANY], "[0,...]", "the longest an attempt to connect may take.";
        broker_session_timeout: Duration = "broker.session.timeout.ms", "9000", [1, ANY], "[1,...]", "a broker without heartbeats for this long is fenced.";
        quorum_election_timeout: Duration = "controller.quorum.election.timeout.ms", "1000", [1, ANY], "[1,...]", "a voter without a leader waits this long, and up to twice as long, before it stands for election.";
        quorum_election_backoff_max: Duration = "controller.quorum.election.backoff.max.ms", "1000", [0, ANY], "[0,...]", "the last of the successors a resigning leader names waits this long before it stands.";
        zookeeper_session_timeout: Duration = "zookeeper.session.timeout.ms", "18000", [4000, 40_000], "[4000,...,40000]", "ZooKeeper mode: a broker that ZooKeeper does not hear of for this long is dead; rounded up to ZooKeeper's tick.";
        zookeeper_max_in_flight: u32 = "zookeeper.max.in.flight.requests", "10", [1, 10_000], "[1,...]", "ZooKeeper mode: how many requests a broker has under way to ZooKeeper.";
        quorum_fetch_timeout: Duration = "controller.quorum.fetch.timeout.ms", "2000", [1, ANY], "[1,...]", "a voter that hears nothing from the leader for this long starts an election.";
        quorum_request_timeout: Duration = "controller.quorum.request.timeout.ms", "2000", [1, ANY], "[1,...]", "how long a voter or a broker waits for an answer of the quorum.";
        quorum_append_linger: Duration = "controller.quorum.append.linger.ms", "25", [0, ANY], "[0,...]", "the quorum's leader gathers records this long before it writes them.";
        metadata_snapshot_bytes: u64 = "metadata.log.max.record.bytes.between.snapshots", "20971520", [1, ANY], "[1,...]", "a snapshot of the metadata log is taken after so many bytes of records.";
        metadata_snapshot_interval: Duration = "metadata.log.max.snapshot.interval.ms", "3600000", [0, ANY], "[0,...]", "a snapshot of the metadata log is taken after this long; 0: never.";
        metadata_max_retention_bytes: u64 = "metadata.max.retention.bytes", "104857600", [0, ANY], "[0,...]", "records before the latest snapshot are deleted when the metadata log is larger than this.";
        metadata_max_idle_interval: Duration = "metadata.max.idle.interval.ms", "500", [0, ANY], "[0,...]", "an idle active controller writes a no-op record this often.";
    }
}

settings! {
    /// What a topic is configured with.
    TopicConfig {
        min_insync_replicas: u32 = "min.insync.replicas", "1", [1, ANY], "[1,...]", "ISR size that acks=all needs.";
        #[cfg(feature = "planted-mistakes")]
        mistake: super::mistakes::Mistake = "planted.mistake", "none", [0, ANY], "[none, the name of a mistake]", "breaks one rule of the model.";
        unclean_leader_election: bool = "unclean.leader.election.enable", "false", [0, 1], "[true, false]", "lets a replica outside the ISR lead, which loses records.";
        max_message_bytes: u32 = "max.message.bytes", "1048588", [0, ANY], "[0,...]", "largest batch.";
        compression: TopicCompression = "compression.type", "producer", [0, ANY], "[producer, uncompressed, gzip, snappy, lz4, zstd]", "how the leader stores batches; here always as the producer compressed them.";
        leader_throttled_replicas: ThrottledReplicas = "leader.replication.throttled.replicas", "", [0, ANY], "`*` or P:B,P:B,...", "replicas (partition:broker) whose sending to followers outside the ISR counts against leader.replication.throttled.rate.";
        follower_throttled_replicas: ThrottledReplicas = "follower.replication.throttled.replicas", "", [0, ANY], "`*` or P:B,P:B,...", "replicas (partition:broker) whose fetching outside the ISR counts against follower.replication.throttled.rate.";
        timestamp_type: TimestampType = "message.timestamp.type", "CreateTime", [0, ANY], "[CreateTime, LogAppendTime]", "whose clock stamps the records.";
        cleanup_policy: CleanupPolicy = "cleanup.policy", "delete", [0, ANY], "[compact, delete]", "old records are deleted by age and size, or all but the last of each key are; compaction has no effect here.";
        segment_bytes: u32 = "segment.bytes", "1073741824", [1_048_576, ANY], "[1048576,...]", "a segment is closed at this size.";
        segment_time: Duration = "segment.ms", "604800000", [1, ANY], "[1,...]", "a segment is closed when a record is this much younger than its first.";
        retention: Duration = "retention.ms", "604800000", [-1, ANY], "[-1,...]", "segments whose newest record is older than this are deleted; -1: never.";
        retention_bytes: i64 = "retention.bytes", "-1", [-1, ANY], "[-1,...]", "the oldest segments above this size are deleted; -1: never.";
        index_interval_bytes: u32 = "index.interval.bytes", "4096", [0, 2_147_483_647], "[0,...]", "bytes of log between two entries of an index.";
        segment_index_bytes: u32 = "segment.index.bytes", "10485760", [4, 2_147_483_647], "[4,...]", "a segment is closed when an index reaches this size.";
        flush_messages: i64 = "flush.messages", "9223372036854775807", [1, ANY], "[1,...]", "forces the log to the disk after so many records, while the producer waits; by default never.";
        flush_ms: i64 = "flush.ms", "9223372036854775807", [0, ANY], "[0,...]", "forces the log to the disk after this time; looked for every log.flush.scheduler.interval.ms.";
    }
}

/// The settings of a broker that can be changed while it runs (`DynamicBrokerConfig.ALL_DYNAMIC_CONFIGS`).
pub const DYNAMIC_BROKER_SETTINGS: [&str; 5] = [
    "min.insync.replicas",
    "unclean.leader.election.enable",
    "message.max.bytes",
    "leader.replication.throttled.rate",
    "follower.replication.throttled.rate",
];

/// The known name most like `key`: at most a third of its letters differ.
fn nearest(key: &str, settings: &'static [Setting]) -> Option<&'static str> {
    let best = settings.iter().map(|setting| (strsim::levenshtein(key, setting.name), setting.name)).min()?;
    (best.0 <= key.len() / 3).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_by_duration_is_read_as_java_writes_durations() {
        for (text, millis) in [
            ("PT1H", Some(3_600_000)),
            ("P1DT2H3M4.5S", Some(93_784_500)),
            ("P2D", Some(172_800_000)),
            ("pt0.25s", Some(250)),
            ("PT0S", Some(0)),
            ("1H", None),
            ("P", None),
            ("PT", None),
            ("P1H", None),
            ("PT-1S", None),
            ("PT1M2H", None),
        ] {
            assert_eq!(iso_duration(text), millis.map(Duration::millis), "{text}");
        }
        let reset = OffsetReset::parse("by_duration:PT1M0.5S", 0, 0).expect("a reset");
        assert_eq!(reset.show(), "by_duration:PT60.500S");
        assert_eq!(OffsetReset::parse(&reset.show(), 0, 0), Some(reset));
    }
}
