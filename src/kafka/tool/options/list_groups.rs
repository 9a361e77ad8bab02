//! `kafka-groups` (`GroupsCommand`).

use super::super::command::{GroupScope, ListGroups};
use super::flags::{Flag, Given, Takes, Usage, flag};

/// The options.
pub const USAGE: Usage = Usage { about: "This tool helps to list groups of all types.", flags: &FLAGS };

const FLAGS: [Flag; 6] = [
    flag("list", Takes::Nothing, "List the groups."),
    flag(
        "group-type",
        Takes::Value("type"),
        "Filter the groups based on group type. Valid types are: 'classic', 'consumer', 'share' and 'streams'.",
    ),
    flag("protocol", Takes::Value("protocol"), "Filter the groups based on protocol type."),
    flag(
        "consumer",
        Takes::Nothing,
        "Filter the groups to show all kinds of consumer groups, including classic and simple consumer groups. This \
         matches group type 'consumer', and group type 'classic' where the protocol type is 'consumer' or empty.",
    ),
    flag("share", Takes::Nothing, "Filter the groups to show share groups."),
    flag("streams", Takes::Nothing, "Filter the groups to show streams groups."),
];

/// Reads the options.
pub fn parse(given: &Given) -> Result<ListGroups, String> {
    if !given.has("list") {
        return Err(given.wrong("Command must include exactly one action: --list."));
    }
    let kind = match given.value("group-type")? {
        None => None,
        Some(text) => {
            let known =
                ["Classic", "Consumer", "Share", "Streams"].into_iter().find(|kind| kind.eq_ignore_ascii_case(text));
            Some(known.ok_or("--group-type must be a valid group type.")?.to_owned())
        }
    };
    let scopes = [("consumer", GroupScope::Consumer), ("share", GroupScope::Share), ("streams", GroupScope::Streams)];
    let mut scope = GroupScope::All;
    for (name, meant) in scopes {
        let others: Vec<&str> = ["consumer", "share", "streams", "group-type", "protocol"]
            .into_iter()
            .filter(|other| *other != name)
            .collect();
        given.excludes(name, &others)?;
        if given.has(name) {
            scope = meant;
        }
    }
    Ok(ListGroups { kind, protocol: given.text("protocol")?, scope })
}
