//! `kafka-reassign-partitions` (`ReassignPartitionsCommandOptions`, and the reading of its files).

use super::super::super::ids::BrokerId;
use super::super::command::{Reassign, Target};
use super::super::json::Json;
use super::super::print::comma;
use super::flags::{Flag, Given, Takes, Usage, flag};

/// The options.
pub const USAGE: Usage = Usage {
    about: "This tool helps to move topic partitions between replicas.\n\
            There are no files here: a file's text follows the options: \
            --execute --reassignment-json-file /dev/stdin <<< '{...}'",
    flags: &FLAGS,
};

const FLAGS: [Flag; 14] = [
    flag("verify", Takes::Nothing, "Verify if the reassignment completed. If it has, its throttle is removed."),
    flag(
        "generate",
        Takes::Nothing,
        "Generate a candidate partition reassignment configuration. This does not execute it.",
    ),
    flag("execute", Takes::Nothing, "Kick off the reassignment as specified by the --reassignment-json-file option."),
    flag("cancel", Takes::Nothing, "Cancel an active reassignment."),
    flag("list", Takes::Nothing, "List all active partition reassignments."),
    flag(
        "reassignment-json-file",
        Takes::Value("manual assignment json file path"),
        "The partition reassignment: {\"version\": 1, \"partitions\": [{\"topic\": \"foo\", \"partition\": 1, \"replicas\": \
         [1,2,3]}]}. The text follows <<<.",
    ),
    flag(
        "topics-to-move-json-file",
        Takes::Value("topics to reassign json file path"),
        "The topics to move to the brokers of --broker-list: {\"version\": 1, \"topics\": [{\"topic\": \"foo\"}]}. The text \
         follows <<<.",
    ),
    flag("broker-list", Takes::Value("brokerlist"), "The brokers to move partitions to, in the form \"0,1,2\"."),
    flag("disable-rack-aware", Takes::Nothing, "Disable rack aware replica assignment"),
    flag("throttle", Takes::Value("throttle"), "The movement of partitions is throttled to this value (bytes/sec)."),
    flag("timeout", Takes::Value("timeout"), "Taken and ignored: a broker has one log directory."),
    flag("additional", Takes::Nothing, "Execute this reassignment in addition to any other ongoing ones."),
    flag("preserve-throttles", Takes::Nothing, "Do not modify broker or topic throttles."),
    flag(
        "disallow-replication-factor-change",
        Takes::Nothing,
        "Denies the ability to change a partition's replication factor as part of this reassignment.",
    ),
];

/// Each action with the options it needs and those it takes besides.
const ACTIONS: [(&str, &[&str], &[&str]); 5] = [
    ("generate", &["topics-to-move-json-file", "broker-list"], &["disable-rack-aware"]),
    (
        "execute",
        &["reassignment-json-file"],
        &["additional", "throttle", "timeout", "disallow-replication-factor-change"],
    ),
    ("verify", &["reassignment-json-file"], &["preserve-throttles"]),
    ("cancel", &["reassignment-json-file"], &["preserve-throttles", "timeout"]),
    ("list", &[], &[]),
];

/// Reads the options; the JSON is in `input`.
pub fn parse(given: &Given, input: &[String]) -> Result<Reassign, String> {
    let asked: Vec<_> = ACTIONS.into_iter().filter(|(action, ..)| given.has(action)).collect();
    let [(action, required, permitted)] = asked.as_slice() else {
        let all = ACTIONS.map(|(action, ..)| format!("--{action}")).join(", ");
        return Err(given.wrong(&format!("Command must include exactly one action: {all}")));
    };
    for option in *required {
        given.required(option)?;
    }
    let others = FLAGS.iter().map(|flag| flag.name).filter(|name| given.has(name) && name != action);
    for other in others {
        if !required.contains(&other) && !permitted.contains(&other) {
            return Err(given.wrong(&format!("Option \"[{other}]\" can't be used with action \"[{action}]\"")));
        }
    }
    let targets = || parse_targets(&given.file("reassignment-json-file", input)?);
    let preserve_throttles = given.has("preserve-throttles");
    match *action {
        "generate" => Ok(Reassign::Generate {
            topics: parse_topics(&given.file("topics-to-move-json-file", input)?)?,
            brokers: parse_brokers(&given.required("broker-list")?)?,
            rack_aware: !given.has("disable-rack-aware"),
        }),
        "execute" => {
            let targets = targets()?;
            check_targets(&targets)?;
            Ok(Reassign::Execute {
                targets,
                additional: given.has("additional"),
                // Less than 0 is Kafka's "no throttle".
                throttle: given.number::<i64>("throttle")?.and_then(|rate| u64::try_from(rate).ok()),
                allow_replication_factor_change: !given.has("disallow-replication-factor-change"),
            })
        }
        "verify" => Ok(Reassign::Verify { targets: targets()?, preserve_throttles }),
        "cancel" => Ok(Reassign::Cancel { targets: targets()?, preserve_throttles }),
        _ => Ok(Reassign::List),
    }
}

fn check_version(json: &Json) -> Result<(), String> {
    match json.get("version").map(Json::number::<i64>) {
        None | Some(Some(1)) => Ok(()),
        Some(other) => {
            let version = other.map_or_else(|| "none".to_owned(), |version| version.to_string());
            Err(format!("Not supported version field value {version}"))
        }
    }
}

fn parse_topics(text: &str) -> Result<Vec<String>, String> {
    let json = Json::parse(text)?;
    check_version(&json)?;
    let listed = json.get("topics").and_then(Json::list).unwrap_or_default();
    let name = |entry: &Json| entry.get("topic").and_then(Json::text).map(str::to_owned);
    let topics: Vec<String> = listed.iter().map(name).collect::<Option<_>>().ok_or("found a topic without `topic`")?;
    match twice(&topics) {
        Some(topic) => Err(format!("List of topics to reassign contains duplicate entries: [{topic}]")),
        None => Ok(topics),
    }
}

fn parse_brokers(text: &str) -> Result<Vec<BrokerId>, String> {
    let broker = |id: &str| id.trim().parse().map(BrokerId).map_err(|_| format!("For input string: \"{id}\""));
    let brokers: Vec<BrokerId> = text.split(',').map(broker).collect::<Result<_, _>>()?;
    match twice(&brokers) {
        Some(id) => Err(format!("Broker list contains duplicate entries: [{id}]")),
        None => Ok(brokers),
    }
}

fn parse_targets(text: &str) -> Result<Vec<Target>, String> {
    let json = Json::parse(text)?;
    check_version(&json)?;
    let listed = json.get("partitions").and_then(Json::list).unwrap_or_default();
    listed.iter().map(parse_target).collect()
}

fn parse_target(entry: &Json) -> Result<Target, String> {
    let target = || -> Option<Target> {
        let replicas = entry.get("replicas")?.list()?.iter().map(|id| Some(BrokerId(id.number()?)));
        Some(Target {
            topic: entry.get("topic")?.text()?.to_owned(),
            partition: entry.get("partition")?.number()?,
            replicas: replicas.collect::<Option<_>>()?,
        })
    };
    let target = target().ok_or("found a partition without `topic`, `partition` or `replicas`")?;
    let dirs = entry.get("log_dirs").and_then(Json::list);
    match dirs {
        Some(dirs) if dirs.len() != target.replicas.len() => Err(format!(
            "Size of replicas list [{}] is different from size of log dirs list for partition {}",
            comma(&target.replicas),
            target.name()
        )),
        Some(dirs) if dirs.iter().any(|dir| dir.text() != Some("any")) => {
            Err("found a log directory, allowed is `any`: a broker has one log directory here".into())
        }
        _ => Ok(target),
    }
}

fn check_targets(targets: &[Target]) -> Result<(), String> {
    if targets.is_empty() {
        return Err("Partition reassignment list cannot be empty".into());
    }
    if targets.iter().any(|target| target.replicas.is_empty()) {
        return Err("Partition replica list cannot be empty".into());
    }
    let names: Vec<String> = targets.iter().map(Target::name).collect();
    if let Some(name) = twice(&names) {
        return Err(format!("Partition reassignment contains duplicate topic partitions: {name}"));
    }
    let doubled = targets.iter().find_map(|target| twice(&target.replicas).map(|id| (target.name(), id)));
    match doubled {
        Some((name, id)) => Err(format!(
            "Partition replica lists may not contain duplicate entries: {name} contains multiple entries for {id}"
        )),
        None => Ok(()),
    }
}

fn twice<T: PartialEq>(items: &[T]) -> Option<&T> {
    items.iter().enumerate().find(|(at, item)| items[..*at].contains(item)).map(|(_, item)| item)
}
