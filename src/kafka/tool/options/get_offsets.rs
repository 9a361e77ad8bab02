//! `kafka-get-offsets` (`GetOffsetShell`). What we leave out: `--topic-partitions`, `--partitions`, and regular
//! expressions for `--topic`.

use super::super::super::message::OffsetSpec;
use super::super::command::GetOffsets;
use super::flags::{Flag, Given, Takes, Usage, flag};

/// The options.
pub const USAGE: Usage = Usage { about: "An interactive shell for getting topic-partition offsets.", flags: &FLAGS };

const FLAGS: [Flag; 2] = [
    flag("topic", Takes::Value("topic"), "The topic to get the offsets for. If not present, all topics are queried."),
    flag(
        "time",
        Takes::Value("<timestamp> / -1 or latest / -2 or earliest / -3 or max-timestamp"),
        "timestamp of the offsets before that. [Note: No offset is returned, if the timestamp greater than recently \
         committed record timestamp is given.]",
    ),
];

/// Reads the options.
pub fn parse(given: &Given) -> Result<GetOffsets, String> {
    let time = match given.value("time")?.unwrap_or("latest") {
        "latest" | "-1" => OffsetSpec::Latest,
        "earliest" | "-2" => OffsetSpec::Earliest,
        "max-timestamp" | "-3" => OffsetSpec::MaxTimestamp,
        text => OffsetSpec::Timestamp(text.parse().map_err(|_| {
            format!(
                "Error occurred: Malformed time argument {text}. Please use -1 or latest / -2 or earliest / -3 or \
                 max-timestamp, or a specified long format timestamp"
            )
        })?),
    };
    Ok(GetOffsets { topic: given.text("topic")?, time })
}
