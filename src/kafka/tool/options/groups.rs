//! `kafka-consumer-groups` (`ConsumerGroupCommandOptions`). What we leave out: `--validate-regex`.

use std::collections::BTreeMap;

use super::super::command::{ConsumerGroups, GroupView, ResetOffsets, ResetTo, Scope, TopicArgument};
use super::flags::{Flag, Given, Takes, Usage, flag};
use super::moments;

/// The options.
pub const USAGE: Usage = Usage {
    about: "This tool helps to list all consumer groups, describe a consumer group, delete consumer group info, or reset \
            consumer group offsets.",
    flags: &FLAGS,
};

const FLAGS: [Flag; 26] = [
    flag("list", Takes::Nothing, "List all consumer groups."),
    flag(
        "describe",
        Takes::Nothing,
        "Describe consumer group and list offset lag (number of messages not yet processed) related to given group.",
    ),
    flag(
        "delete",
        Takes::Nothing,
        "Pass in groups to delete topic partition offsets and ownership information over the entire consumer group. For \
         instance --group g1 --group g2",
    ),
    flag(
        "reset-offsets",
        Takes::Nothing,
        "Reset offsets of consumer group. Instances should be inactive. Has 2 execution options: --dry-run (the default) \
         to plan which offsets to reset, and --execute to update the offsets. Additionally, the --export option is used \
         to export the results to a CSV format. You must choose one of the following reset specifications: \
         --to-datetime, --by-duration, --to-earliest, --to-latest, --shift-by, --from-file, --to-current, --to-offset. \
         To define the scope use --all-topics or --topic. One scope must be specified unless you use '--from-file'.",
    ),
    flag(
        "delete-offsets",
        Takes::Nothing,
        "Delete offsets of consumer group. Supports one consumer group at the time, and multiple topics.",
    ),
    flag("group", Takes::Value("consumer group"), "The consumer group we wish to act on."),
    flag("all-groups", Takes::Nothing, "Apply to all consumer groups."),
    flag(
        "topic",
        Takes::Value("topic"),
        "The topic whose consumer group information should be deleted or topic whose should be included in the reset \
         offset process. Partitions can be specified using this format: `topic1:0,1,2`, where 0,1,2 are the partition to \
         be included in the process. Multiple topics are supported.",
    ),
    flag("all-topics", Takes::Nothing, "Consider all topics assigned to a group in the `reset-offsets` process."),
    flag("dry-run", Takes::Nothing, "Only show results without executing changes on Consumer Groups."),
    flag("execute", Takes::Nothing, "Execute operation. Supported operations: reset-offsets."),
    flag("export", Takes::Nothing, "Export operation execution to a CSV file. Supported operations: reset-offsets."),
    flag("to-offset", Takes::Value("offset"), "Reset offsets to a specific offset."),
    flag(
        "from-file",
        Takes::Value("path to CSV file"),
        "Reset offsets to values defined in CSV file. Here its lines follow `<<<`.",
    ),
    flag(
        "to-datetime",
        Takes::Value("datetime"),
        "Reset offsets to offset from datetime. Format: 'YYYY-MM-DDThh:mm:ss.sss'",
    ),
    flag(
        "by-duration",
        Takes::Value("duration"),
        "Reset offsets to offset by duration from current timestamp. Format: 'PnDTnHnMnS'",
    ),
    flag("to-earliest", Takes::Nothing, "Reset offsets to earliest offset."),
    flag("to-latest", Takes::Nothing, "Reset offsets to latest offset."),
    flag("to-current", Takes::Nothing, "Reset offsets to current offset."),
    flag(
        "shift-by",
        Takes::Value("number-of-offsets"),
        "Reset offsets shifting current offset by 'n', where 'n' can be positive or negative.",
    ),
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

const ACTIONS: [&str; 5] = ["list", "describe", "delete", "reset-offsets", "delete-offsets"];
/// The options that say where offsets are reset to.
const TARGETS: [&str; 8] =
    ["to-offset", "to-datetime", "by-duration", "to-earliest", "to-latest", "to-current", "shift-by", "from-file"];
const STATES: [&str; 8] =
    ["Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Assigning", "Reconciling", "Unknown"];

/// Reads the options. `input` is the file of `--from-file`.
pub fn parse(given: &Given, input: &[String]) -> Result<ConsumerGroups, String> {
    if !input.is_empty() && !given.has("from-file") {
        return Err("found input after `<<<`, but only --from-file reads any".into());
    }
    let mut actions = ACTIONS.into_iter().filter(|action| given.has(action));
    let (Some(action), None) = (actions.next(), actions.next()) else {
        let actions = ACTIONS.map(|action| format!("--{action}")).join(", ");
        return Err(given.wrong(&format!("Command must include exactly one action: {actions}")));
    };
    if let Some(option) = ["members", "offsets", "verbose", "state"].into_iter().find(|option| given.has(option))
        && !matches!(action, "list" | "describe")
    {
        return Err(unavailable(given, &[option]));
    }
    let job = match action {
        "list" => parse_list(given),
        "describe" => parse_describe(given),
        "delete" => parse_delete(given),
        "reset-offsets" => parse_reset(given, input),
        _ => parse_delete_offsets(given),
    }?;
    given.excludes("group", &["all-groups", "list"])?;
    given.excludes("topic", &["list", "describe"])?;
    Ok(job)
}

fn unavailable(given: &Given, options: &[&str]) -> String {
    let list = options.join(", ");
    given.wrong(&format!("Option(s) [{list}] are unavailable given other options on the command line"))
}

/// The groups that an action is about; `None` is all of them.
fn groups(given: &Given, action: &str) -> Result<Option<Vec<String>>, String> {
    let groups: Vec<String> = given.values("group").map(str::to_owned).collect();
    if groups.is_empty() && !given.has("all-groups") {
        return Err(given.wrong(&format!("Option [{action}] takes one of these options: [group], [all-groups]")));
    }
    Ok((!given.has("all-groups")).then_some(groups))
}

fn parse_delete(given: &Given) -> Result<ConsumerGroups, String> {
    let groups = groups(given, "delete")?;
    if given.has("topic") {
        return Err(given.wrong("The consumer does not support topic-specific offset deletion from a consumer group."));
    }
    Ok(ConsumerGroups::Delete { groups })
}

fn parse_delete_offsets(given: &Given) -> Result<ConsumerGroups, String> {
    let Some(group) = given.text("group")?.filter(|_| given.has("topic")) else {
        return Err(given.wrong("Option [delete-offsets] takes the following options: [group], [topic]"));
    };
    Ok(ConsumerGroups::DeleteOffsets { group, topics: topics(given)? })
}

/// Every `--topic`: a name, perhaps with partitions as in `orders:0,2` (`parseTopicsWithPartitions`).
fn topics(given: &Given) -> Result<Vec<TopicArgument>, String> {
    let parse = |text: &str| -> Result<TopicArgument, String> {
        let Some((topic, partitions)) = text.split_once(':') else { return Ok((text.to_owned(), None)) };
        if partitions.is_empty() || partitions.contains(':') {
            let why = format!("Invalid topic arg '{text}', expected topic name and partitions");
            return Err(given.wrong(&why));
        }
        let number = |number: &str| {
            let why = format!("Invalid partition '{number}' specified in topic arg '{text}''");
            number.parse::<u32>().map_err(|_| given.wrong(&why))
        };
        let partitions = partitions.split(',').map(number).collect::<Result<_, _>>()?;
        Ok((topic.to_owned(), Some(partitions)))
    };
    given.values("topic").map(parse).collect()
}

fn parse_reset(given: &Given, input: &[String]) -> Result<ConsumerGroups, String> {
    if given.has("dry-run") && given.has("execute") {
        return Err(given.wrong("Option [reset-offsets] only accepts one of [execute] and [dry-run]"));
    }
    let groups = groups(given, "reset-offsets")?;
    for target in TARGETS {
        let others: Vec<&str> = TARGETS.into_iter().filter(|other| *other != target).collect();
        given.excludes(target, &others)?;
    }
    let scope = match (given.has("all-topics"), given.has("topic")) {
        (true, _) => Scope::AllTopics,
        (false, true) => Scope::Topics(topics(given)?),
        (false, false) if given.has("from-file") => Scope::Topics(Vec::new()),
        (false, false) => {
            return Err(given.wrong("One of the reset scopes should be defined: --all-topics, --topic."));
        }
    };
    let failed = |why: String| format!("Error: Executing consumer group command failed due to {why}");
    let to = if let Some(offset) = given.number("to-offset")? {
        ResetTo::Offset(offset)
    } else if let Some(by) = given.number("shift-by")? {
        ResetTo::Shift(by)
    } else if let Some(text) = given.value("to-datetime")? {
        ResetTo::Time(moments::datetime(text).map_err(failed)?)
    } else if let Some(text) = given.value("by-duration")? {
        ResetTo::Ago(moments::span(text).map_err(failed)?)
    } else if given.has("from-file") {
        let single = groups.as_ref().filter(|groups| groups.len() == 1).and_then(|groups| groups.first());
        ResetTo::Plan(plan(&given.file("from-file", input)?, single.map(String::as_str))?)
    } else if given.has("to-earliest") {
        ResetTo::Earliest
    } else if given.has("to-latest") {
        ResetTo::Latest
    } else if given.has("to-current") {
        ResetTo::Current
    } else {
        let targets = TARGETS.map(|target| format!("[{target}]")).join(", ");
        let why = format!("Option '[reset-offsets]' requires one of the following scenarios: [{targets}]");
        return Err(given.wrong(&why));
    };
    let (execute, export) = (given.has("execute"), given.has("export"));
    let undecided = !execute && !given.has("dry-run");
    Ok(ConsumerGroups::Reset(ResetOffsets { groups, to, scope, execute, undecided, export }))
}

type Plan = BTreeMap<String, BTreeMap<(String, u32), i64>>;

/// Lines of `topic,partition,offset` for a single group, or with the group before (`parseResetPlan`).
fn plan(csv: &str, single: Option<&str>) -> Result<Plan, String> {
    let mut plan = Plan::new();
    for line in csv.lines() {
        let wrong = || {
            format!("found the line `{line}` in the plan, allowed is `topic,partition,offset`, or `group,` before it")
        };
        let cells = csv_cells(line).ok_or_else(wrong)?;
        let (group, cells) = match (&cells[..], single) {
            ([topic, partition, offset], Some(group)) => (group, [topic, partition, offset]),
            ([group, topic, partition, offset], _) => (group.as_str(), [topic, partition, offset]),
            _ => return Err(wrong()),
        };
        let [topic, partition, offset] = cells;
        let (partition, offset) = (partition.trim().parse(), offset.trim().parse());
        let (Ok(partition), Ok(offset)) = (partition, offset) else { return Err(wrong()) };
        plan.entry(group.to_owned()).or_default().insert((topic.clone(), partition), offset);
    }
    Ok(plan)
}

/// The cells of a line, of which some may stand in quotes; `None` if a quote is not closed.
fn csv_cells(line: &str) -> Option<Vec<String>> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let cell = cells.last_mut()?;
        match letter {
            '"' if quoted && letters.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' if quoted || cell.is_empty() => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            letter => cell.push(letter),
        }
    }
    (!quoted).then_some(cells)
}

fn parse_list(given: &Given) -> Result<ConsumerGroups, String> {
    let out_of_place: Vec<&str> =
        ["members", "offsets", "verbose"].into_iter().filter(|option| given.has(option)).collect();
    if !out_of_place.is_empty() {
        return Err(unavailable(given, &out_of_place));
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
    let groups = groups(given, "describe")?;
    if given.has("type") {
        return Err(unavailable(given, &["type"]));
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
        groups,
        view: asked.first().copied().unwrap_or(GroupView::Offsets),
        verbose: given.has("verbose"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_for_one_group_or_names_them() {
        let of = |text, single| plan(text, single).map(|plan| format!("{plan:?}"));
        assert_eq!(
            of("orders,0,5\norders,1,7", Some("g")),
            Ok(r#"{"g": {("orders", 0): 5, ("orders", 1): 7}}"#.into())
        );
        assert_eq!(of("g,orders,0,5", None), Ok(r#"{"g": {("orders", 0): 5}}"#.into()));
        assert_eq!(of("\"a,\"\"b\",orders,0,5", None), Ok(r#"{"a,\"b": {("orders", 0): 5}}"#.into()));
        for wrong in ["orders,0,5", "orders,0", "g,orders,x,5", "\"g,orders,0,5"] {
            assert!(of(wrong, None).is_err(), "{wrong}");
        }
    }
}
