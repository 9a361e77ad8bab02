//! `kafka-leader-election` (`LeaderElectionCommand`).

use super::super::super::message::ElectionType;
use super::super::command::LeaderElection;
use super::super::json::Json;
use super::flags::{Flag, Given, Takes, Usage, flag};

/// The options.
pub const USAGE: Usage = Usage {
    about: "This tool attempts to elect a new leader for a set of topic partitions. The type of elections supported are \
            preferred replicas and unclean replicas.\n\
            There are no files here: a file's text follows the options: --path-to-json-file /dev/stdin <<< '{...}'",
    flags: &FLAGS,
};

const FLAGS: [Flag; 6] = [
    flag(
        "election-type",
        Takes::Value("election type"),
        "REQUIRED: Type of election to attempt: \"preferred\" moves leadership to the first replica where another leads, \
         \"unclean\" elects any live replica where none leads.",
    ),
    flag("topic", Takes::Value("topic name"), "Name of topic for which to perform an election."),
    flag("partition", Takes::Value("partition id"), "Partition id for which to perform an election, with --topic."),
    flag("all-topic-partitions", Takes::Nothing, "Perform election on all of the eligible topic partitions."),
    flag(
        "path-to-json-file",
        Takes::Value("Path to JSON file"),
        "The list of partitions for which leader elections should be performed: {\"partitions\": [{\"topic\": \"foo\", \
         \"partition\": 1}]}. The text follows <<<.",
    ),
    flag("admin.config", Takes::Value("config file"), "(DEPRECATED) Taken and ignored: there are no files here."),
];

/// Reads the options; the JSON is in `input`.
pub fn parse(given: &Given, input: &[String]) -> Result<LeaderElection, String> {
    let named = given.text("election-type")?.ok_or("Missing required option(s): election-type")?;
    let election = match named.to_ascii_uppercase().as_str() {
        "PREFERRED" => ElectionType::Preferred,
        "UNCLEAN" => ElectionType::Unclean,
        _ => return Err(given.wrong(&format!("Cannot parse argument '{named}' of option election-type"))),
    };
    const ONE_OF: [&str; 3] = ["topic", "all-topic-partitions", "path-to-json-file"];
    if ONE_OF.iter().filter(|option| given.has(option)).count() != 1 {
        return Err(format!("One and only one of the following options is required: {}", ONE_OF.join(", ")));
    }
    let partition: Option<u32> = given.number("partition")?;
    let partitions = match (given.text("topic")?, partition) {
        (Some(topic), Some(partition)) => Some(vec![(topic, partition)]),
        (Some(_), None) => return Err("Missing required option(s): partition".into()),
        (None, Some(_)) => return Err("Option partition is only allowed if topic is used".into()),
        (None, None) if given.has("path-to-json-file") => Some(parse_json(&given.file("path-to-json-file", input)?)?),
        (None, None) => None,
    };
    Ok(LeaderElection { election, partitions })
}

fn parse_json(text: &str) -> Result<Vec<(String, u32)>, String> {
    let json = Json::parse(text)?;
    let listed = json.get("partitions").and_then(Json::list);
    let listed = listed.ok_or("Replica election data is missing \"partitions\" field")?;
    let one = |entry: &Json| -> Option<(String, u32)> {
        Some((entry.get("topic")?.text()?.to_owned(), entry.get("partition")?.number()?))
    };
    let partitions: Vec<(String, u32)> =
        listed.iter().map(one).collect::<Option<_>>().ok_or("found a partition without a `topic` or a `partition`")?;
    match partitions.iter().enumerate().find(|(at, partition)| partitions[..*at].contains(partition)) {
        None => Ok(partitions),
        Some((_, (topic, number))) => {
            Err(format!("Replica election data contains duplicate partitions: [{topic}-{number}]"))
        }
    }
}
