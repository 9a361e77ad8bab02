//! `kafka-share-groups` (`ShareGroupCommand`). What we leave out: `--delete`, `--reset-offsets` and `--delete-offsets`.

use super::super::command::{GroupView, ShareGroups};
use super::flags::{Flag, Given, Takes, Usage, flag};

/// The options.
pub const USAGE: Usage =
    Usage { about: "This tool helps to list all share groups, or describe a share group.", flags: &FLAGS };

const FLAGS: [Flag; 8] = [
    flag("list", Takes::Nothing, "List all share groups."),
    flag("describe", Takes::Nothing, "Describe share group, members and offset information related to given group."),
    flag("group", Takes::Value("share group"), "The share group we wish to act on."),
    flag("all-groups", Takes::Nothing, "Apply to all share groups."),
    flag(
        "offsets",
        Takes::Nothing,
        "Describe the group and list all topic partitions in the group along with their offset information.",
    ),
    flag("members", Takes::Nothing, "Describe members of the group."),
    flag(
        "state",
        Takes::Maybe("String"),
        "When specified with '--describe', includes the state of the group. When specified with '--list', it displays \
         the state of all groups, or lists groups with specific states.",
    ),
    flag("verbose", Takes::Nothing, "Provide additional information, if any, when describing the group."),
];

const STATES: [&str; 3] = ["Stable", "Dead", "Empty"];

/// Reads the options.
pub fn parse(given: &Given) -> Result<ShareGroups, String> {
    match (given.has("list"), given.has("describe")) {
        (true, false) => parse_list(given),
        (false, true) => parse_describe(given),
        _ => Err(given.wrong("Command must include exactly one action: --list, --describe.")),
    }
}

fn parse_list(given: &Given) -> Result<ShareGroups, String> {
    given.excludes("list", &["group", "members", "offsets"])?;
    let states: Vec<&str> = given.values("state").flat_map(|list| list.split(',')).map(str::trim).collect();
    let known = |state: &&str| STATES.into_iter().find(|known| known.eq_ignore_ascii_case(state)).map(str::to_owned);
    let found: Option<Vec<String>> = states.iter().map(known).collect();
    let found = found.ok_or_else(|| {
        given.wrong(&format!("Invalid state list '{}'. Valid states are: {}", states.join(","), STATES.join(", ")))
    })?;
    Ok(ShareGroups::List { states: given.has("state").then_some(found) })
}

fn parse_describe(given: &Given) -> Result<ShareGroups, String> {
    let groups: Vec<String> = given.values("group").map(str::to_owned).collect();
    if groups.is_empty() && !given.has("all-groups") {
        return Err(given.wrong("Option [describe] takes one of these options: [group], [all-groups]"));
    }
    given.excludes("members", &["offsets", "state"])?;
    given.excludes("offsets", &["state"])?;
    let view = match (given.has("members"), given.has("state")) {
        (true, _) => GroupView::Members,
        (_, true) => GroupView::State,
        _ => GroupView::Offsets,
    };
    let groups = (!given.has("all-groups")).then_some(groups);
    Ok(ShareGroups::Describe { groups, view, verbose: given.has("verbose") })
}
