//! What a tool was asked to do: its command line, read as Kafka's tools read theirs.
//!
//! Options and wording: `TopicCommand`, `ConsoleProducer`, `LineMessageReader`, `ConsoleConsumerOptions`,
//! `ConsumerGroupCommandOptions`, `ConfigCommand`, `LeaderElectionCommand` and `ReassignPartitionsCommandOptions` of Apache
//! Kafka 4.3.1. A tool that reads a file gets its text after `<<<`, as a shell would give it `/dev/stdin`. What we leave
//! out: files, formatter and reader classes, and serializers.

use std::collections::BTreeMap;
use std::fmt;

use super::super::config::Acks;
use super::super::disk::LOG_DIR;
use super::super::ids::{BrokerId, Offset};
use super::super::message::{ElectionType, OffsetSpec};
use super::options::flags::Usage;
use super::options::{
    configs, consume, dump_log, elect, get_offsets, groups, list_groups, log_dirs, produce, quorum, reassign,
    share_groups, topics,
};
use crate::time::Duration;

/// One command line of one of Kafka's tools, understood.
///
/// It prints as a line that reads back to the same command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCommand {
    /// As it was given, without `.sh`.
    pub(crate) words: Vec<String>,
    pub job: Job,
}

/// What a tool does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    Topics(Topics),
    Produce(ConsoleProducer),
    Consume(ConsoleConsumer),
    Groups(ConsumerGroups),
    ListGroups(ListGroups),
    ShareGroups(ShareGroups),
    Quorum(DescribeQuorum),
    GetOffsets(GetOffsets),
    LogDirs(LogDirs),
    DumpLog(DumpLog),
    Configs(Configs),
    Elect(LeaderElection),
    Reassign(Reassign),
    /// Asks nobody: prints its help or version.
    Print(String),
}

/// `kafka-topics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topics {
    Create(CreateTopic),
    List { topic: Option<String>, exclude_internal: bool },
    Describe(DescribeTopics),
    Alter { topic: String, partitions: u32, if_exists: bool },
    Delete { topic: String, if_exists: bool },
}

/// `kafka-topics --create`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTopic {
    pub topic: String,
    pub partitions: Option<u32>,
    pub replication_factor: Option<u32>,
    /// `--replica-assignment`; empty where the controller places.
    pub assignment: Vec<Vec<BrokerId>>,
    pub configs: Vec<(String, String)>,
    pub if_not_exists: bool,
}

/// `kafka-topics --describe`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeTopics {
    pub topic: Option<String>,
    pub if_exists: bool,
    pub exclude_internal: bool,
    pub topics_with_overrides: bool,
    /// With any, only partitions that match one are printed.
    pub filters: Vec<PartitionFilter>,
}

/// Which partitions `kafka-topics --describe` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionFilter {
    UnderReplicated,
    UnderMinIsr,
    AtMinIsr,
    Unavailable,
}

/// `kafka-console-producer`. Its standard input is given with it: a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleProducer {
    pub topic: String,
    pub acks: Acks,
    pub records: Vec<ConsoleRecord>,
}

/// One line of a console producer's input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsoleRecord {
    pub key: Option<String>,
    pub value: Option<String>,
    pub headers: Vec<(String, Option<String>)>,
}

/// `kafka-console-consumer`. It reads without a group: all partitions of the topic, or one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleConsumer {
    pub topic: String,
    pub partition: Option<u32>,
    pub from: StartAt,
    pub max_messages: Option<u64>,
    /// Ends when no record has come for this long.
    pub timeout: Option<Duration>,
    pub print: Print,
}

/// Where a console consumer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    Earliest,
    Latest,
    Offset(Offset),
}

/// The formatter's properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Print {
    pub timestamp: bool,
    pub partition: bool,
    pub offset: bool,
    pub delivery: bool,
    pub epoch: bool,
    pub headers: bool,
    pub key: bool,
    pub value: bool,
    pub key_separator: String,
    pub line_separator: String,
    pub headers_separator: String,
    pub null_literal: String,
}

/// `kafka-consumer-groups`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumerGroups {
    /// With states or types asked for, a table; an empty list asks for all of them.
    List {
        states: Option<Vec<String>>,
        types: Option<Vec<String>>,
    },
    /// `None`: `--all-groups`.
    Describe {
        groups: Option<Vec<String>>,
        view: GroupView,
        verbose: bool,
    },
    Reset(ResetOffsets),
    /// `None`: `--all-groups`.
    Delete {
        groups: Option<Vec<String>>,
    },
    DeleteOffsets {
        group: String,
        topics: Vec<TopicArgument>,
    },
}

/// A topic, with the partitions that are meant; `None` is all of them.
pub type TopicArgument = (String, Option<Vec<u32>>);

/// `kafka-consumer-groups --reset-offsets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetOffsets {
    /// `None`: `--all-groups`.
    pub groups: Option<Vec<String>>,
    pub to: ResetTo,
    pub scope: Scope,
    /// Without it, the tool only says what it would do.
    pub execute: bool,
    /// Neither `--execute` nor `--dry-run` was given, which will not do for ever.
    pub undecided: bool,
    /// Prints what `--from-file` reads.
    pub export: bool,
}

/// Where offsets are reset to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResetTo {
    Earliest,
    Latest,
    /// Where they are; at the end where there are none.
    Current,
    Offset(Offset),
    Shift(Offset),
    /// The first record that is not older, in milliseconds since 1970.
    Time(i64),
    /// As many milliseconds before the tool runs.
    Ago(i64),
    /// By group, topic and partition.
    Plan(BTreeMap<String, BTreeMap<(String, u32), Offset>>),
}

/// Which partitions are reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All that the group has committed.
    AllTopics,
    /// Empty beside a plan, which names its own.
    Topics(Vec<TopicArgument>),
}

/// `kafka-share-groups`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShareGroups {
    /// With states asked for, a table; an empty list asks for all of them.
    List { states: Option<Vec<String>> },
    /// `None`: `--all-groups`.
    Describe { groups: Option<Vec<String>>, view: GroupView, verbose: bool },
}

/// `kafka-groups --list`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListGroups {
    /// `Classic`, `Consumer` or `Share`.
    pub kind: Option<String>,
    pub protocol: Option<String>,
    pub scope: GroupScope,
}

/// Which groups `kafka-groups` lists where neither type nor protocol is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupScope {
    #[default]
    All,
    /// Of consumers, and those that only keep offsets.
    Consumer,
    Share,
    Streams,
}

/// `kafka-metadata-quorum describe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescribeQuorum {
    Status,
    Replication { human_readable: bool },
}

/// `kafka-configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Configs {
    Alter(AlterConfigs),
    /// With `all`, not only what was set for that very thing.
    Describe {
        entity: Entity,
        all: bool,
    },
}

/// `kafka-configs --alter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterConfigs {
    pub entity: Entity,
    /// `None` deletes a setting.
    pub settings: Vec<(String, Option<String>)>,
}

/// Whose settings: the types and names of `kafka-configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entity {
    Topic(String),
    /// Every topic.
    Topics,
    Broker(BrokerId),
    /// The default of all brokers.
    BrokerDefaults,
    /// Every broker, and the default.
    Brokers,
}

/// `kafka-leader-election`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderElection {
    pub election: ElectionType,
    /// Topic and partition; `None` is all of them.
    pub partitions: Option<Vec<(String, u32)>>,
}

/// `kafka-reassign-partitions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reassign {
    Generate {
        topics: Vec<String>,
        brokers: Vec<BrokerId>,
        rack_aware: bool,
    },
    Execute {
        targets: Vec<Target>,
        additional: bool,
        /// Bytes a second.
        throttle: Option<u64>,
        allow_replication_factor_change: bool,
    },
    Verify {
        targets: Vec<Target>,
        preserve_throttles: bool,
    },
    Cancel {
        targets: Vec<Target>,
        preserve_throttles: bool,
    },
    List,
}

/// The replicas a partition is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub topic: String,
    pub partition: u32,
    pub replicas: Vec<BrokerId>,
}

impl Target {
    /// As Kafka names a partition: `orders-0`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }
}

/// `kafka-get-offsets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetOffsets {
    /// `None`: every topic.
    pub topic: Option<String>,
    pub time: OffsetSpec,
}

/// `kafka-log-dirs --describe`; empty lists ask for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDirs {
    pub brokers: Vec<BrokerId>,
    pub topics: Vec<String>,
}

/// `kafka-dump-log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpLog {
    pub files: Vec<DumpedFile>,
    pub print_data_log: bool,
}

/// One file of a broker's log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpedFile {
    pub broker: BrokerId,
    /// Its directory: `orders-0`.
    pub partition: String,
    pub base_offset: Offset,
    pub kind: FileKind,
}

/// The files of a segment that `kafka-dump-log` can read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Log,
    Index,
    TimeIndex,
}

impl DumpedFile {
    /// Its path on the broker's machine.
    pub fn path(&self) -> String {
        let ending = match self.kind {
            FileKind::Log => "log",
            FileKind::Index => "index",
            FileKind::TimeIndex => "timeindex",
        };
        format!("{LOG_DIR}/{}/{:020}.{ending}", self.partition, self.base_offset)
    }
}

/// What `kafka-consumer-groups --describe` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupView {
    Offsets,
    Members,
    State,
}

/// The names of the tools there are.
pub const TOOLS: &[&str] = &[
    "kafka-topics",
    "kafka-console-producer",
    "kafka-console-consumer",
    "kafka-consumer-groups",
    "kafka-groups",
    "kafka-share-groups",
    "kafka-metadata-quorum",
    "kafka-get-offsets",
    "kafka-log-dirs",
    "kafka-dump-log",
    "kafka-configs",
    "kafka-leader-election",
    "kafka-reassign-partitions",
];

/// Those that read a standard input.
const READERS: [&str; 4] =
    ["kafka-console-producer", "kafka-consumer-groups", "kafka-leader-election", "kafka-reassign-partitions"];

/// What `--version` prints.
const VERSION: &str = "4.3.1\n";

impl ToolCommand {
    /// Reads a command line, split into words. An error's first line is the reason, in Kafka's words; the table of
    /// options follows, as the tool would print it.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let Some((name, rest)) = words.split_first() else { return Err("found no tool".into()) };
        let name = name.strip_suffix(".sh").unwrap_or(name);
        let Some(usage) = usage(name) else {
            return Err(format!("found the tool `{name}`, allowed is {}", TOOLS.join(", ")));
        };
        let job = Self::parse_job(name, usage, rest)?;
        let words = std::iter::once(name.to_owned()).chain(rest.iter().cloned()).collect();
        Ok(Self { words, job })
    }

    fn parse_job(name: &str, usage: Usage, words: &[String]) -> Result<Job, String> {
        // What follows `<<<` is the tool's standard input, as in a shell.
        let input_at = words.iter().position(|word| word == "<<<");
        let (options, input) = words.split_at(input_at.unwrap_or(words.len()));
        let is_quorum = name == "kafka-metadata-quorum";
        let options = if is_quorum { quorum::without_command(options)? } else { options.to_vec() };
        let given = usage.read(&options)?;
        if options.is_empty() || given.has("help") {
            return Ok(Job::Print(usage.help()));
        }
        if given.has("version") {
            return Ok(Job::Print(VERSION.into()));
        }
        if !READERS.contains(&name) && !input.is_empty() {
            return Err(format!("found input after `<<<`, but {name} reads none"));
        }
        let input = input.get(1..).unwrap_or_default();
        match name {
            "kafka-topics" => topics::parse(&given).map(Job::Topics),
            "kafka-configs" => configs::parse(&given).map(Job::Configs),
            "kafka-leader-election" => elect::parse(&given, input).map(Job::Elect),
            "kafka-reassign-partitions" => reassign::parse(&given, input).map(Job::Reassign),
            "kafka-console-producer" => produce::parse(&given, input).map(Job::Produce),
            "kafka-console-consumer" => consume::parse(&given).map(Job::Consume),
            "kafka-metadata-quorum" => quorum::parse(&given).map(Job::Quorum),
            "kafka-get-offsets" => get_offsets::parse(&given).map(Job::GetOffsets),
            "kafka-log-dirs" => log_dirs::parse(&given).map(Job::LogDirs),
            "kafka-dump-log" => dump_log::parse(&given).map(Job::DumpLog),
            "kafka-groups" => list_groups::parse(&given).map(Job::ListGroups),
            "kafka-share-groups" => share_groups::parse(&given).map(Job::ShareGroups),
            _ => groups::parse(&given, input).map(Job::Groups),
        }
    }

    /// `kafka-configs --alter`, for a topic or for all brokers.
    pub fn alter_configs(topic: Option<String>, settings: Vec<(String, String)>) -> Self {
        let entity = match &topic {
            Some(topic) => ["--entity-type", "topics", "--entity-name", topic].map(str::to_owned).to_vec(),
            None => ["--entity-type", "brokers", "--entity-default"].map(str::to_owned).to_vec(),
        };
        let added = settings.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
        let mut words = vec!["kafka-configs".to_owned(), "--alter".to_owned()];
        words.extend(entity);
        words.extend(["--add-config".to_owned(), added]);
        let entity = topic.map_or(Entity::BrokerDefaults, Entity::Topic);
        let settings = settings.into_iter().map(|(key, value)| (key, Some(value))).collect();
        Self { words, job: Job::Configs(Configs::Alter(AlterConfigs { entity, settings })) }
    }

    /// `kafka-topics --create`.
    pub fn create(create: CreateTopic) -> Self {
        let mut words =
            vec!["kafka-topics".to_owned(), "--create".to_owned(), "--topic".to_owned(), create.topic.clone()];
        let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
        create.partitions.iter().for_each(|partitions| option("--partitions", partitions.to_string()));
        create.replication_factor.iter().for_each(|factor| option("--replication-factor", factor.to_string()));
        if !create.assignment.is_empty() {
            let replicas = |of: &Vec<BrokerId>| of.iter().map(ToString::to_string).collect::<Vec<_>>().join(":");
            option("--replica-assignment", create.assignment.iter().map(replicas).collect::<Vec<_>>().join(","));
        }
        create.configs.iter().for_each(|(key, value)| option("--config", format!("{key}={value}")));
        Self { words, job: Job::Topics(Topics::Create(create)) }
    }

    /// What was given after the tool's name.
    pub fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// The tool's name.
    pub fn tool(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }
}

fn usage(name: &str) -> Option<Usage> {
    match name {
        "kafka-topics" => Some(topics::USAGE),
        "kafka-configs" => Some(configs::USAGE),
        "kafka-leader-election" => Some(elect::USAGE),
        "kafka-reassign-partitions" => Some(reassign::USAGE),
        "kafka-console-producer" => Some(produce::USAGE),
        "kafka-console-consumer" => Some(consume::USAGE),
        "kafka-consumer-groups" => Some(groups::USAGE),
        "kafka-groups" => Some(list_groups::USAGE),
        "kafka-share-groups" => Some(share_groups::USAGE),
        "kafka-metadata-quorum" => Some(quorum::USAGE),
        "kafka-get-offsets" => Some(get_offsets::USAGE),
        "kafka-log-dirs" => Some(log_dirs::USAGE),
        "kafka-dump-log" => Some(dump_log::USAGE),
        _ => None,
    }
}

/// The options of a tool, with their dashes; none where there is no such tool.
pub fn option_names(tool: &str) -> Vec<String> {
    let usage = usage(tool.strip_suffix(".sh").unwrap_or(tool));
    usage.into_iter().flat_map(Usage::names).map(|name| format!("--{name}")).collect()
}

impl fmt::Display for ToolCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "))
    }
}

/// `word` so that a command line holds it as one word, with quotes only where they are needed.
pub fn quoted(word: &str) -> std::borrow::Cow<'_, str> {
    let is_plain = |c: char| c.is_alphanumeric() || "_-.:,=/@%+{}".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) || word == "<<<" { word.into() } else { shell_words::quote(word) }
}
