//! The tables of `kafka-consumer-groups`, column by column as Kafka pads them.

use super::super::super::ids::{LeaderEpoch, Name, Offset, TopicPartition};
use super::super::super::message::{DescribedMember, ListedGroup};
use super::super::Paper;
use super::super::print::comma;
use super::{Description, Topics};

/// What is not known, or not there.
const MISSING: &str = "-";
/// The port of every broker, for there is one a machine.
const PORT: u32 = 9092;

/// `--list`: names alone, or a table with what was asked for (`printGroupInfo`).
pub fn list(listings: &[ListedGroup], states: Option<&[String]>, types: Option<&[String]>, paper: &mut Paper) {
    let is_one_of = |wanted: Option<&[String]>, found: &str| {
        wanted.is_none_or(|wanted| wanted.is_empty() || wanted.iter().any(|one| one.eq_ignore_ascii_case(found)))
    };
    let wanted = |listed: &&ListedGroup| is_one_of(types, &listed.kind) && is_one_of(states, &listed.state);
    let found: Vec<_> = listings.iter().filter(wanted).collect();
    if states.is_none() && types.is_none() {
        return found.iter().for_each(|listed| paper.line(&listed.group));
    }
    let width = found.iter().map(|listed| listed.group.len()).max().unwrap_or(0).max(15) + 10;
    let mut row = |name: &str, kind: &str, state: &str| {
        let mut line = format!("{name:width$}");
        if types.is_some() {
            line.push_str(&format!(" {kind:20}"));
        }
        if states.is_some() {
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
    let group = &description.group.group;
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
    let row = |topic: &str, number: u32, member: Option<&DescribedMember>| {
        let partition = topics.partition(topic, number);
        let committed = partition.and_then(|partition| description.committed.get(&partition));
        let of_member =
            |text: fn(&DescribedMember) -> &Name| member.map_or(MISSING.into(), |member| text(member).to_string());
        OffsetRow {
            topic: topic.to_owned(),
            partition: number,
            epoch: committed.and_then(|(_, epoch)| *epoch),
            committed: committed.map(|(offset, _)| *offset),
            end: partition.and_then(|partition| topics.ends.get(&partition)).copied(),
            consumer: of_member(|member| &member.member_id),
            host: of_member(|member| &member.host),
            client: of_member(|member| &member.client_id),
        }
    };
    let mut members: Vec<&DescribedMember> = description.group.members.iter().collect();
    members.sort_by_key(|member| std::cmp::Reverse(member.assignment.len()));
    let mut rows = Vec::new();
    let mut assigned: Vec<TopicPartition> = Vec::new();
    for member in members {
        let mut partitions: Vec<(Name, u32)> = member.assignment.to_vec();
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
    let group = &*description.group.group;
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
fn show_assignment(member: &DescribedMember) -> String {
    let mut partitions: Vec<(Name, u32)> = member.assignment.to_vec();
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
    let group = &*description.group.group;
    let assignments: Vec<String> = members.iter().map(show_assignment).collect();
    let has_static = members.iter().any(|member| member.group_instance_id.is_some());
    let instance = |member: &DescribedMember| member.group_instance_id.as_deref().unwrap_or_default().to_owned();
    let instances: Vec<String> = members.iter().map(instance).collect();
    let group_width = width(15, [group].into_iter());
    let id_width = width(15, members.iter().map(|member| &*member.member_id));
    let instance_width = width(17, instances.iter().map(String::as_str));
    let host_width = width(15, members.iter().map(|member| &*member.host));
    let client_width = width(15, members.iter().map(|member| &*member.client_id));
    let assignment_width = width(20, assignments.iter().map(String::as_str));
    let row = |group: &str, id: &str, instance: &str, host: &str, client: &str, count: &str, assignment: [&str; 4]| {
        let instance = if has_static { format!("{instance:instance_width$} ") } else { String::new() };
        let mut line = format!(
            "{group:group_width$} {id:id_width$} {instance}{host:host_width$} {client:client_width$} {count:15} "
        );
        if verbose {
            let [epoch, current, target_epoch, target] = assignment;
            line.push_str(&format!("{epoch:15} {current:assignment_width$} {target_epoch:15} {target:20}"));
        }
        line
    };
    let titles = ["CURRENT-EPOCH", "CURRENT-ASSIGNMENT", "TARGET-EPOCH", "TARGET-ASSIGNMENT"];
    let header = row("GROUP", "CONSUMER-ID", "GROUP-INSTANCE-ID", "HOST", "CLIENT-ID", "#PARTITIONS", titles);
    paper.line(&format!("\n{header}"));
    for ((member, assignment), instance) in members.iter().zip(&assignments).zip(&instances) {
        let count = member.assignment.len().to_string();
        // A classic group has no epochs and no target.
        let cells = [MISSING, assignment, MISSING, MISSING];
        paper.line(&row(group, &member.member_id, instance, &member.host, &member.client_id, &count, cells));
    }
}

/// `--describe --state` (`printStates`).
pub fn state(description: &Description, verbose: bool, paper: &mut Paper) {
    if !announce(description, 1, paper) {
        return;
    }
    let described = &description.group;
    let coordinator = format!("broker-{}:{PORT}  ({})", description.coordinator, description.coordinator);
    let coordinator_width = coordinator.len().max(25);
    let group_width = described.group.len().max(15);
    let strategy = if described.protocol.is_empty() { MISSING } else { &*described.protocol };
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
    print(&described.group, &coordinator, strategy, &described.state, [MISSING, MISSING], &members);
    paper.text.push('\n');
}
