//! The tables of `kafka-consumer-groups`, column by column as Kafka pads them.

use std::collections::BTreeMap;

use super::super::super::ids::{LeaderEpoch, Name, Offset, TopicPartition};
use super::super::super::message::ListedGroup;
use super::super::Paper;
use super::super::print::comma;
use super::Topics;
use super::describe::{Description, MemberOfAnyKind};

/// What is not known, or not there.
const MISSING: &str = "-";
/// The port of every broker, for there is one a machine.
const PORT: u32 = 9092;

/// `--list`: names alone, or a table with what was asked for (`printGroupInfo`).
pub fn list(found: &[ListedGroup], with_states: bool, with_types: bool, paper: &mut Paper) {
    if !with_states && !with_types {
        return found.iter().for_each(|listed| paper.line(&listed.group));
    }
    let width = found.iter().map(|listed| listed.group.len()).max().unwrap_or(0).max(15) + 10;
    let mut row = |name: &str, kind: &str, state: &str| {
        let mut line = format!("{name:width$}");
        if with_types {
            line.push_str(&format!(" {kind:20}"));
        }
        if with_states {
            line.push_str(&format!(" {state:20}"));
        }
        paper.line(&line);
    };
    row("GROUP", "TYPE", "STATE");
    found.iter().for_each(|listed| row(&listed.group, &listed.kind, &listed.state));
}

/// Says what is special about the group's state; false where there is nothing to show
/// (`shouldPrintMemberState`).
fn announce(description: &Description, rows: usize, paper: &mut Paper) -> bool {
    let group = &description.group.name;
    match &*description.group.state {
        "Dead" => paper.line(&format!("\nError: Consumer group '{group}' does not exist.")),
        "Empty" => paper.line(&format!("\nConsumer group '{group}' has no active members.")),
        "Stable" => {}
        _ => paper.line(&format!("\nWarning: Consumer group '{group}' is rebalancing.")),
    }
    &*description.group.state != "Dead" && rows > 0
}

/// A row of the offsets view.
struct OffsetRow {
    topic: String,
    partition: u32,
    epoch: Option<LeaderEpoch>,
    committed: Option<Offset>,
    end: Option<Offset>,
    consumer: String,
    host: String,
    client: String,
}

fn offset_rows(description: &Description, topics: &Topics) -> Vec<OffsetRow> {
    let row = |topic: &str, number: u32, member: Option<&MemberOfAnyKind>| {
        let partition = topics.partition(topic, number);
        let committed = partition.and_then(|partition| description.committed.get(&partition));
        let of_member =
            |text: fn(&MemberOfAnyKind) -> &Name| member.map_or(MISSING.into(), |member| text(member).to_string());
        OffsetRow {
            topic: topic.to_owned(),
            partition: number,
            epoch: committed.and_then(|(_, epoch)| *epoch),
            committed: committed.map(|(offset, _)| *offset),
            end: partition.and_then(|partition| topics.ends.get(&partition)).copied(),
            consumer: of_member(|member| &member.id),
            host: of_member(|member| &member.host),
            client: of_member(|member| &member.client_id),
        }
    };
    let mut members: Vec<&MemberOfAnyKind> = description.group.members.iter().collect();
    members.sort_by_key(|member| std::cmp::Reverse(member.assignment.len()));
    let mut rows = Vec::new();
    let mut assigned: Vec<TopicPartition> = Vec::new();
    for member in members {
        let mut partitions = member.assignment.clone();
        partitions.sort();
        for (topic, partition) in partitions {
            assigned.extend(topics.partition(&topic, partition));
            rows.push(row(&topic, partition, Some(member)));
        }
    }
    let free = description.committed.keys().filter(|partition| !assigned.contains(partition));
    let name = |partition: &TopicPartition| Some((topics.names.get(&partition.topic)?.clone(), partition.partition));
    let mut free: Vec<(Name, u32)> = free.filter_map(name).collect();
    free.sort();
    rows.extend(free.iter().map(|(topic, partition)| row(topic, *partition, None)));
    rows
}

fn or_missing<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| MISSING.into(), |value| value.to_string())
}

fn width<'a>(least: usize, texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(str::len).max().unwrap_or(0).max(least)
}

/// `--describe --offsets` (`printOffsets`).
pub fn offsets(description: &Description, topics: &Topics, verbose: bool, paper: &mut Paper) {
    let rows = offset_rows(description, topics);
    if !announce(description, rows.len(), paper) {
        return;
    }
    let group = &*description.group.name;
    let widths = [
        width(15, [group].into_iter()),
        width(15, rows.iter().map(|row| row.topic.as_str())),
        width(15, rows.iter().map(|row| row.consumer.as_str())),
        width(15, rows.iter().map(|row| row.host.as_str())),
    ];
    let mut print = |cells: [&str; 10]| {
        let [group_width, topic_width, consumer_width, host_width] = widths;
        let [group, topic, partition, epoch, committed, end, lag, consumer, host, client] = cells;
        let epoch = if verbose { format!("{epoch:15} ") } else { String::new() };
        paper.text.push_str(&format!(
            "\n{group:group_width$} {topic:topic_width$} {partition:10} {epoch}{committed:15} {end:15} {lag:15} \
             {consumer:consumer_width$} {host:host_width$} {client}"
        ));
    };
    print([
        "GROUP",
        "TOPIC",
        "PARTITION",
        "LEADER-EPOCH",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    ]);
    for row in &rows {
        let lag = row.committed.and_then(|committed| row.end.map(|end| end - committed));
        print([
            group,
            &row.topic,
            &row.partition.to_string(),
            &or_missing(row.epoch),
            &or_missing(row.committed),
            &or_missing(row.end),
            &or_missing(lag),
            &row.consumer,
            &row.host,
            &row.client,
        ]);
    }
    paper.text.push('\n');
}

/// `topic:0,1;other:2`
fn show_assignment(assignment: &[(Name, u32)]) -> String {
    let mut partitions: Vec<(Name, u32)> = assignment.to_vec();
    partitions.sort();
    let of_topic = |chunk: &[(Name, u32)]| {
        let numbers: Vec<u32> = chunk.iter().map(|(_, partition)| *partition).collect();
        let topic = chunk.first().map_or("", |(topic, _)| topic);
        format!("{topic}:{}", comma(&numbers))
    };
    let topics: Vec<String> = partitions.chunk_by(|a, b| a.0 == b.0).map(of_topic).collect();
    if topics.is_empty() { MISSING.into() } else { topics.join(";") }
}

/// `--describe --members` (`printMembers`).
pub fn members(description: &Description, verbose: bool, paper: &mut Paper) {
    let members = &description.group.members;
    if !announce(description, members.len(), paper) {
        return;
    }
    let group = &*description.group.name;
    let target_epoch = or_missing(description.group.epochs.map(|(_, target)| target));
    let has_static = members.iter().any(|member| member.instance.is_some());
    // While a group changes from one protocol to the other, who has changed already.
    let speaks = |upgraded: bool| members.iter().any(|member| member.upgraded == Some(upgraded));
    let is_migrating = speaks(true) && speaks(false);
    let instance = |member: &MemberOfAnyKind| member.instance.as_deref().unwrap_or_default().to_owned();
    let rows: Vec<MemberRow> = members
        .iter()
        .map(|member| MemberRow {
            id: member.id.to_string(),
            instance: instance(member),
            host: member.host.to_string(),
            client: member.client_id.to_string(),
            count: member.assignment.len().to_string(),
            epoch: or_missing(member.epoch),
            assignment: show_assignment(&member.assignment),
            target_epoch: target_epoch.clone(),
            target: show_assignment(&member.target),
            upgraded: or_missing(member.upgraded),
        })
        .collect();
    let wide = |least: usize, cell: fn(&MemberRow) -> &String| width(least, rows.iter().map(|row| cell(row).as_str()));
    let group_width = width(15, [group].into_iter());
    let (id_width, instance_width) = (wide(15, |row| &row.id), wide(17, |row| &row.instance));
    let (host_width, client_width) = (wide(15, |row| &row.host), wide(15, |row| &row.client));
    let (assignment_width, target_width) = (wide(20, |row| &row.assignment), wide(20, |row| &row.target));
    let line = |group: &str, row: &MemberRow| {
        let MemberRow { id, instance, host, client, count, epoch, assignment, target_epoch, target, upgraded } = row;
        let instance = if has_static { format!("{instance:instance_width$} ") } else { String::new() };
        let mut line = format!(
            "{group:group_width$} {id:id_width$} {instance}{host:host_width$} {client:client_width$} {count:15} "
        );
        if verbose {
            line.push_str(&format!(
                "{epoch:15} {assignment:assignment_width$} {target_epoch:15} {target:target_width$}"
            ));
            if is_migrating {
                line.push_str(&format!(" {upgraded}"));
            }
        }
        line
    };
    let titles = MemberRow {
        id: "CONSUMER-ID".to_owned(),
        instance: "GROUP-INSTANCE-ID".to_owned(),
        host: "HOST".to_owned(),
        client: "CLIENT-ID".to_owned(),
        count: "#PARTITIONS".to_owned(),
        epoch: "CURRENT-EPOCH".to_owned(),
        assignment: "CURRENT-ASSIGNMENT".to_owned(),
        target_epoch: "TARGET-EPOCH".to_owned(),
        target: "TARGET-ASSIGNMENT".to_owned(),
        upgraded: "UPGRADED".to_owned(),
    };
    paper.line(&format!("\n{}", line("GROUP", &titles)));
    rows.iter().for_each(|row| paper.line(&line(group, row)));
}

/// A row of the members view.
struct MemberRow {
    id: String,
    instance: String,
    host: String,
    client: String,
    count: String,
    epoch: String,
    assignment: String,
    target_epoch: String,
    target: String,
    upgraded: String,
}

/// `--describe --state` (`printStates`).
pub fn state(description: &Description, verbose: bool, paper: &mut Paper) {
    if !announce(description, 1, paper) {
        return;
    }
    let described = &description.group;
    let coordinator = format!("broker-{}:{PORT}  ({})", description.coordinator, description.coordinator);
    let coordinator_width = coordinator.len().max(25);
    let group_width = described.name.len().max(15);
    let strategy = if described.assignor.is_empty() { MISSING } else { &*described.assignor };
    let members = described.members.len().to_string();
    let mut print = |group: &str, coordinator: &str, strategy: &str, state: &str, epochs: [&str; 2], members: &str| {
        let [epoch, target] = epochs;
        let epochs = if verbose { format!("{epoch:15} {target:25} ") } else { String::new() };
        paper.text.push_str(&format!(
            "\n{group:group_width$} {coordinator:coordinator_width$} {strategy:20} {state:20} {epochs}{members}"
        ));
    };
    let epochs = ["GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH"];
    print("GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE", epochs, "#MEMBERS");
    // A classic group has neither epoch: its generation is not shown.
    let epoch = or_missing(described.epochs.map(|(epoch, _)| epoch));
    let target = or_missing(described.epochs.map(|(_, target)| target));
    print(&described.name, &coordinator, strategy, &described.state, [&epoch, &target], &members);
    paper.text.push('\n');
}

/// `--reset-offsets` (`printOffsetsToReset`).
pub fn reset(done: &BTreeMap<Name, BTreeMap<(Name, u32), Offset>>, paper: &mut Paper) {
    let group_width = width(15, done.keys().map(|group| &**group));
    let topic_width = width(15, done.values().flat_map(BTreeMap::keys).map(|(topic, _)| &**topic));
    let mut row = |group: &str, topic: &str, partition: &str, offset: &str| {
        paper.text.push_str(&format!("\n{group:group_width$} {topic:topic_width$} {partition:10} {offset}"));
    };
    if !done.is_empty() {
        row("GROUP", "TOPIC", "PARTITION", "NEW-OFFSET");
    }
    for (group, offsets) in done {
        for ((topic, partition), offset) in offsets {
            row(group, topic, &partition.to_string(), &offset.to_string());
        }
    }
    paper.text.push('\n');
}

/// `--reset-offsets --export` (`exportOffsetsToCsv`): what `--from-file` reads.
pub fn reset_csv(done: &BTreeMap<Name, BTreeMap<(Name, u32), Offset>>, is_one_group: bool, paper: &mut Paper) {
    for (group, offsets) in done {
        for ((topic, partition), offset) in offsets {
            let group = if is_one_group { String::new() } else { csv_cell(group) + "," };
            paper.line(&format!("{group}{},{partition},{offset}", csv_cell(topic)));
        }
    }
    paper.text.push('\n');
}

/// Quoted where Jackson does: texts that are long, or have a character that could mean something.
fn csv_cell(text: &str) -> String {
    let is_plain = text.len() <= 24 && text.chars().all(|c| c > ',');
    if is_plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}
