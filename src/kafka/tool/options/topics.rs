//! `kafka-topics` (`TopicCommand`).

use super::super::super::ids::BrokerId;
use super::super::command::{CreateTopic, DescribeTopics, PartitionFilter, Topics};
use super::flags::{Flag, Given, Takes, Usage, flag};

/// The options.
pub const USAGE: Usage =
    Usage { about: "This tool helps to create, delete, describe, or change a topic.", flags: &FLAGS };

const FLAGS: [Flag; 19] = [
    flag("list", Takes::Nothing, "List all available topics."),
    flag("create", Takes::Nothing, "Create a new topic."),
    flag("delete", Takes::Nothing, "Delete a topic."),
    flag("alter", Takes::Nothing, "Alter the number of partitions."),
    flag("describe", Takes::Nothing, "List details for the given topics."),
    flag(
        "topic",
        Takes::Value("topic"),
        "The topic to create, alter, describe or delete. It also accepts a regular expression, except for --create.",
    ),
    flag("config", Takes::Value("name=value"), "A topic configuration override for the topic being created."),
    flag(
        "partitions",
        Takes::Value("# of partitions"),
        "The number of partitions for the topic being created or altered.",
    ),
    flag(
        "replication-factor",
        Takes::Value("replication factor"),
        "The replication factor for each partition in the topic being created.",
    ),
    flag(
        "replica-assignment",
        Takes::Value("1:2:3,2:3:1,..."),
        "A list of manual partition-to-broker assignments for the topic being created.",
    ),
    flag(
        "under-replicated-partitions",
        Takes::Nothing,
        "If set when describing topics, only show under-replicated partitions.",
    ),
    flag(
        "unavailable-partitions",
        Takes::Nothing,
        "If set when describing topics, only show partitions whose leader is not available.",
    ),
    flag(
        "under-min-isr-partitions",
        Takes::Nothing,
        "If set when describing topics, only show partitions whose isr count is less than the configured minimum.",
    ),
    flag(
        "at-min-isr-partitions",
        Takes::Nothing,
        "If set when describing topics, only show partitions whose isr count is equal to the configured minimum.",
    ),
    flag(
        "topics-with-overrides",
        Takes::Nothing,
        "If set when describing topics, only show topics that have overridden configs.",
    ),
    flag(
        "if-exists",
        Takes::Nothing,
        "If set when altering or deleting or describing topics, the action will only execute if the topic exists.",
    ),
    flag(
        "if-not-exists",
        Takes::Nothing,
        "If set when creating topics, the create request will not fail if the topic already exists.",
    ),
    flag("exclude-internal", Takes::Nothing, "Exclude internal topics when listing or describing topics."),
    flag(
        "partition-size-limit-per-response",
        Takes::Value("number"),
        "Taken and ignored: every answer holds all partitions.",
    ),
];

const ACTIONS: [&str; 5] = ["list", "describe", "create", "alter", "delete"];

const FILTERS: [(&str, PartitionFilter); 4] = [
    ("under-replicated-partitions", PartitionFilter::UnderReplicated),
    ("under-min-isr-partitions", PartitionFilter::UnderMinIsr),
    ("at-min-isr-partitions", PartitionFilter::AtMinIsr),
    ("unavailable-partitions", PartitionFilter::Unavailable),
];

/// Reads the options.
pub fn parse(given: &Given) -> Result<Topics, String> {
    let actions: Vec<&str> = ACTIONS.into_iter().filter(|action| given.has(action)).collect();
    let [action] = actions.as_slice() else {
        return Err(
            given.wrong("Command must include exactly one action: --list, --describe, --create, --alter or --delete")
        );
    };
    check_combinations(given)?;
    let topic = || given.required("topic");
    match *action {
        "create" => parse_create(given).map(Topics::Create),
        "list" => Ok(Topics::List { topic: given.text("topic")?, exclude_internal: given.has("exclude-internal") }),
        "describe" => parse_describe(given).map(Topics::Describe),
        "alter" => {
            given.required("partitions")?;
            let partitions = given.number("partitions")?.unwrap_or_default();
            Ok(Topics::Alter { topic: topic()?, partitions, if_exists: given.has("if-exists") })
        }
        _ => Ok(Topics::Delete { topic: topic()?, if_exists: given.has("if-exists") }),
    }
}

/// Which options go with which action (`TopicCommandOptions.checkInvalidArgs`).
fn check_combinations(given: &Given) -> Result<(), String> {
    let only_with = |option: &str, actions: &[&str]| {
        let others: Vec<&str> = ACTIONS.into_iter().filter(|action| !actions.contains(action)).collect();
        given.excludes(option, &others)
    };
    only_with("config", &["alter", "create"])?;
    only_with("partitions", &["alter", "create"])?;
    only_with("replication-factor", &["create"])?;
    only_with("replica-assignment", &["create"])?;
    if given.has("create") {
        given.excludes("replica-assignment", &["partitions", "replication-factor"])?;
    }
    for (filter, _) in FILTERS {
        only_with(filter, &["describe"])?;
        given.excludes(filter, &["topics-with-overrides"])?;
    }
    only_with("topics-with-overrides", &["describe"])?;
    only_with("if-exists", &["alter", "delete", "describe"])?;
    only_with("if-not-exists", &["create"])?;
    only_with("exclude-internal", &["list", "describe"])
}

fn parse_create(given: &Given) -> Result<CreateTopic, String> {
    let configs = given.values("config").map(|pair| {
        let pair = pair.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
        pair.filter(|(key, value)| !key.is_empty() && !value.is_empty()).ok_or_else(|| {
            "requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\"."
                .to_owned()
        })
    });
    Ok(CreateTopic {
        topic: given.required("topic")?,
        partitions: given.number("partitions")?,
        replication_factor: given.number("replication-factor")?,
        assignment: given.value("replica-assignment")?.map(parse_assignment).transpose()?.unwrap_or_default(),
        configs: configs.collect::<Result<_, _>>()?,
        if_not_exists: given.has("if-not-exists"),
    })
}

fn parse_assignment(text: &str) -> Result<Vec<Vec<BrokerId>>, String> {
    let broker = |id: &str| id.trim().parse().map(BrokerId).map_err(|_| format!("For input string: \"{id}\""));
    let partitions: Vec<Vec<BrokerId>> =
        text.split(',').map(|replicas| replicas.split(':').map(broker).collect()).collect::<Result<_, _>>()?;
    let show = |replicas: &[BrokerId]| replicas.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    for (replicas, partition) in partitions.iter().zip(0..) {
        let twice = replicas.iter().zip(1..).find(|(id, after)| replicas[*after..].contains(id));
        if let Some((id, _)) = twice {
            return Err(format!("Partition replica lists may not contain duplicate entries: {id}"));
        }
        if replicas.len() != partitions[0].len() {
            return Err(format!("Partition {partition} has different replication factor: [{}]", show(replicas)));
        }
    }
    Ok(partitions)
}

fn parse_describe(given: &Given) -> Result<DescribeTopics, String> {
    if given.has("if-exists") && !given.has("topic") {
        return Err(given.wrong("--topic or --topic-id is required to describe a topic"));
    }
    Ok(DescribeTopics {
        topic: given.text("topic")?,
        if_exists: given.has("if-exists"),
        exclude_internal: given.has("exclude-internal"),
        topics_with_overrides: given.has("topics-with-overrides"),
        filters: FILTERS.into_iter().filter(|(name, _)| given.has(name)).map(|(_, filter)| filter).collect(),
    })
}
