//! `kafka-metadata-quorum` (`MetadataQuorumCommand`). Adding and removing controllers (KIP-853) is not modelled.

use super::super::command::DescribeQuorum;
use super::flags::{Flag, Given, Takes, Usage, flag};

/// The options. `describe` is a word of its own before or among them.
pub const USAGE: Usage = Usage { about: "This tool describes kraft metadata quorum status.", flags: &FLAGS };

const FLAGS: [Flag; 4] = [
    flag(
        "status",
        Takes::Nothing,
        "A short summary of the quorum status and the other provides detailed information about the status of \
         replication.",
    ),
    flag("replication", Takes::Nothing, "Detailed information about the status of replication"),
    flag("human-readable", Takes::Nothing, "Human-readable output"),
    flag("bootstrap-controller", Takes::Value("controller to connect to"), "Taken and ignored, as the other one."),
];

/// Takes the command's name out of the words.
pub fn without_command(words: &[String]) -> Result<Vec<String>, String> {
    match words.iter().position(|word| word == "describe") {
        Some(at) => {
            Ok(words.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, word)| word.clone()).collect())
        }
        None => match words.iter().find(|word| matches!(word.as_str(), "add-controller" | "remove-controller")) {
            Some(word) => Err(USAGE.wrong(&format!("found `{word}`, allowed is `describe`"))),
            None => Ok(words.to_vec()),
        },
    }
}

/// Reads the options of `describe`.
pub fn parse(given: &Given) -> Result<DescribeQuorum, String> {
    match (given.has("status"), given.has("replication"), given.has("human-readable")) {
        (true, true, _) => {
            Err("Only one of --status or --replication should be specified with describe sub-command".into())
        }
        (false, true, human_readable) => Ok(DescribeQuorum::Replication { human_readable }),
        (true, false, true) => Err("The option --human-readable is only supported along with --replication".into()),
        (true, false, false) => Ok(DescribeQuorum::Status),
        (false, false, _) => Err("One of --status or --replication must be specified with describe sub-command".into()),
    }
}
