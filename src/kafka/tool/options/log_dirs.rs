//! `kafka-log-dirs` (`LogDirsCommand`).

use super::super::super::ids::BrokerId;
use super::super::command::LogDirs;
use super::flags::{Flag, Given, Takes, Usage, flag};

/// The options.
pub const USAGE: Usage =
    Usage { about: "This tool helps to query log directory usage on the specified brokers.", flags: &FLAGS };

const FLAGS: [Flag; 3] = [
    flag("describe", Takes::Nothing, "Describe the specified log directories on the specified brokers."),
    flag(
        "topic-list",
        Takes::Value("Topic list"),
        "The list of topics to be queried in the form \"topic1,topic2,topic3\". All topics will be queried if no topic \
         list is specified",
    ),
    flag(
        "broker-list",
        Takes::Value("Broker list"),
        "The list of brokers to be queried in the form \"0,1,2\". All brokers in the cluster will be queried if no \
         broker list is specified",
    ),
];

/// Reads the options.
pub fn parse(given: &Given) -> Result<LogDirs, String> {
    if !given.has("describe") {
        return Err(given.wrong("Missing required argument \"[describe]\""));
    }
    let broker = |id: &str| id.parse().map(BrokerId).map_err(|_| given.wrong(&format!("For input string: \"{id}\"")));
    Ok(LogDirs {
        brokers: list(given, "broker-list")?.iter().map(|id| broker(id)).collect::<Result<_, _>>()?,
        topics: list(given, "topic-list")?,
    })
}

fn list(given: &Given, name: &str) -> Result<Vec<String>, String> {
    let text = given.text(name)?.unwrap_or_default();
    Ok(text.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect())
}
