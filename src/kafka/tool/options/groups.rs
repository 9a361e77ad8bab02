//! `kafka-consumer-groups` (`ConsumerGroupCommand`).

use super::super::command::{ConsumerGroups, GroupView};
use super::flags::{Flag, Given, Takes, Usage, flag};

/// The options.
pub const USAGE: Usage =
    Usage { about: "This tool helps to list all consumer groups and to describe a consumer group.", flags: &FLAGS };

const FLAGS: [Flag; 10] = [
    flag("list", Takes::Nothing, "List all consumer groups."),
    flag(
        "describe",
        Takes::Nothing,
        "Describe consumer group and list offset lag (number of messages not yet processed) related to given group.",
    ),
    flag("group", Takes::Value("consumer group"), "The consumer group we wish to act on."),
    flag("all-groups", Takes::Nothing, "Apply to all consumer groups."),
    flag(
        "offsets",
        Takes::Nothing,
        "Describe the group and list all topic partitions in the group along with their offset lag.",
    ),
    flag("members", Takes::Nothing, "Describe members of the group."),
    flag(
        "state",
        Takes::Maybe("String"),
        "When specified with '--describe', includes the state of the group. When specified with '--list', it displays \
         the state of all groups, or lists groups with specific states.",
    ),
    flag("type", Takes::Maybe("String"), "When specified with '--list', it displays the types of all the groups."),
    flag("verbose", Takes::Nothing, "Provide additional information, if any, when describing the group."),
    flag("timeout", Takes::Value("timeout (ms)"), "Taken and ignored: 30000."),
];

const ACTIONS: &str = "--list, --describe";
const STATES: [&str; 8] =
    ["Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Assigning", "Reconciling", "Unknown"];

/// Reads the options.
pub fn parse(given: &Given) -> Result<ConsumerGroups, String> {
    match (given.has("list"), given.has("describe")) {
        (true, false) => parse_list(given),
        (false, true) => parse_describe(given),
        _ => Err(given.wrong(&format!("Command must include exactly one action: {ACTIONS}"))),
    }
}

fn parse_list(given: &Given) -> Result<ConsumerGroups, String> {
    let unavailable: Vec<&str> =
        ["members", "offsets", "verbose"].into_iter().filter(|option| given.has(option)).collect();
    if !unavailable.is_empty() {
        let list = unavailable.join(", ");
        return Err(given.wrong(&format!("Option(s) [{list}] are unavailable given other options on the command line")));
    }
    let words = |name: &str| -> Vec<String> {
        given.values(name).flat_map(|list| list.split(',')).map(|word| word.trim().to_owned()).collect()
    };
    let states = words("state");
    // `stable`, `preparing-rebalance` and the like are found without regard to case and hyphens.
    let plain = |state: &str| state.replace(['-', '_'], "").to_ascii_lowercase();
    let known = |state: &String| STATES.into_iter().find(|known| plain(known) == plain(state)).map(str::to_owned);
    let found: Option<Vec<String>> = states.iter().map(known).collect();
    let found = found.ok_or_else(|| {
        given.wrong(&format!("Invalid state list '{}'. Valid states are: {}", states.join(","), STATES.join(", ")))
    })?;
    let types = words("type");
    if types.iter().any(|kind| !["classic", "consumer"].contains(&kind.to_ascii_lowercase().as_str())) {
        let list = types.join(",");
        return Err(given.wrong(&format!("Invalid types list '{list}'. Valid types are: Classic, Consumer")));
    }
    Ok(ConsumerGroups::List { states: given.has("state").then_some(found), types: given.has("type").then_some(types) })
}

fn parse_describe(given: &Given) -> Result<ConsumerGroups, String> {
    let groups: Vec<String> = given.values("group").map(str::to_owned).collect();
    if groups.is_empty() && !given.has("all-groups") {
        return Err(given.wrong("Option [describe] takes one of these options: [group], [all-groups]"));
    }
    if given.has("type") {
        return Err(given.wrong("Option(s) [type] are unavailable given other options on the command line"));
    }
    let views = [("members", GroupView::Members), ("offsets", GroupView::Offsets), ("state", GroupView::State)];
    let asked: Vec<GroupView> = views.into_iter().filter(|(name, _)| given.has(name)).map(|(_, view)| view).collect();
    if asked.len() > 1 {
        return Err(given.wrong("Option [describe] takes at most one of these options: [members], [offsets], [state]"));
    }
    if given.values("state").next().is_some() {
        return Err(given.wrong("Option [describe] does not take a value for [state]"));
    }
    Ok(ConsumerGroups::Describe {
        groups: (!given.has("all-groups")).then_some(groups),
        view: asked.first().copied().unwrap_or(GroupView::Offsets),
        verbose: given.has("verbose"),
    })
}
