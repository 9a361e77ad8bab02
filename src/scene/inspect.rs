//! A selected thing as headings, rows and bytes: what the inspector shows.

mod groups;

use std::collections::BTreeMap;

use super::chronicle::Chronicle;
use super::events::Event;
use super::focus::Thing;
use super::footprints::Footprints;
use super::read;
use super::words;
use crate::kafka::config::{
    BrokerConfig, ConsumerConfig, GroupProtocol, ProducerConfig, Setting, SettingValue, TopicConfig,
};
use crate::kafka::ids::{BrokerId, ClientId, ControllerId, Node, Offset, TopicPartition, ZooKeeperId};
use crate::kafka::log::Log;
use crate::sim::world::World;

/// Everything the inspector says about one thing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inspection {
    pub title: String,
    /// `partition · leader broker-2 · leader epoch 1`.
    pub subtitle: String,
    pub sections: Vec<Section>,
    /// The fact that made it what it is, for "why?".
    pub why: Option<(String, u64)>,
}

/// Rows that belong together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    pub heading: String,
    pub rows: Vec<Row>,
    /// Bytes, as lines of sixteen: offset, hex, text.
    pub hex: Vec<String>,
    /// Folded until asked for.
    pub folded: bool,
}

/// One line: a name and a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    pub name: String,
    pub value: String,
    /// It differs from Kafka's default, or from what it should be.
    pub changed: bool,
    /// What it means, in one sentence.
    pub hint: String,
    /// What it leads to.
    pub goes_to: Option<Thing>,
    /// For a setting: the command that changes it, up to the new value.
    pub edit: Option<String>,
}

impl Row {
    /// A plain row.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into(), ..Self::default() }
    }

    /// Marks the value as one to look at.
    pub fn changed_if(mut self, changed: bool) -> Self {
        self.changed = changed;
        self
    }

    /// Makes the value lead to another thing.
    pub fn to(mut self, thing: Thing) -> Self {
        self.goes_to = Some(thing);
        self
    }
}

impl Section {
    /// Rows under a heading; none for the first ones.
    pub fn new(heading: impl Into<String>, rows: Vec<Row>) -> Self {
        Self { heading: heading.into(), rows, ..Self::default() }
    }
}

/// What the inspector says about a thing; `None` for one that is gone.
pub fn inspect(world: &World, chronicle: &Chronicle, thing: &Thing) -> Option<Inspection> {
    let mut shown = match thing {
        Thing::Node(Node::Broker(id)) => broker(world, *id),
        Thing::Node(Node::Controller(id)) => controller(world, chronicle.footprints(), *id),
        Thing::Node(Node::ZooKeeper(id)) => zookeeper(world, chronicle.footprints(), *id),
        Thing::Node(Node::Producer(id)) => producer(world, chronicle.footprints(), *id),
        Thing::Node(Node::Consumer(id)) => consumer(world, *id),
        Thing::Node(node @ Node::Tool(_)) => {
            Some(Inspection { title: world.names().node(*node), ..Inspection::default() })
        }
        Thing::Partition(partition) => self::partition(world, *partition, None, None),
        Thing::Replica(broker, partition) => self::partition(world, *partition, Some(*broker), None),
        Thing::Record(broker, partition, offset) => self::partition(world, *partition, Some(*broker), Some(*offset)),
        Thing::Group(name) => groups::group(world, name),
    }?;
    shown.why = why_of(world, chronicle, thing);
    Some(shown)
}

/// What is said while nothing is selected: the scenario, and how it stands.
pub fn overview(world: &World) -> Inspection {
    let (ledger, state) = (world.ledger(), world.cluster());
    let scenario = world.scenario();
    let count = |name: &str, number: u64| Row::new(name, words::grouped(number));
    let mut books = vec![
        count("Sent", ledger.sent),
        count("Acked", ledger.acked),
        count("Failed", ledger.failed).changed_if(ledger.failed > 0),
        count("Lost", ledger.lost).changed_if(ledger.lost > 0),
        count("Duplicated", ledger.duplicated).changed_if(ledger.duplicated > 0),
    ];
    if ledger.diverged > 0 {
        books.push(count("Diverged", ledger.diverged).changed_if(true));
    }
    for (name, group) in &ledger.groups {
        books.push(count(&format!("Processed by {name}"), group.distinct).to(Thing::Group(name.clone())));
        books.push(count("Redelivered", group.redelivered).changed_if(group.redelivered > 0));
    }
    let kind = if world.zookeepers().next().is_some() { "broker" } else { "controller" };
    let controller = state.controller.map_or_else(|| "none".to_owned(), |id| format!("{kind}-{id}"));
    let running = state.brokers.iter().filter(|broker| broker.state.name() == "running").count();
    let all = state.brokers.len();
    let mut cluster = vec![
        Row::new("Active controller", controller),
        Row::new("Brokers running", format!("{running} of {all}")).changed_if(running < all),
    ];
    // A topic's partitions, and how many of them have fewer replicas in sync than they should.
    let mut topics: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (partition, registration) in world.image().into_iter().flat_map(|image| image.partitions()) {
        let counts = topics.entry(world.names().topic(partition.topic)).or_default();
        counts.0 += 1;
        counts.1 += u64::from(registration.isr.len() < read::wanted(registration));
    }
    for (topic, (all, short)) in topics.into_iter().filter(|(name, _)| !name.starts_with("__")) {
        cluster.push(Row::new(topic.to_owned(), words::count(all, "partition")));
        cluster.push(Row::new("Under-replicated", short.to_string()).changed_if(short > 0));
    }
    let mut sections = vec![Section::new("The books", books), Section::new("The cluster", cluster)];
    let violations = world.violation_reports();
    if !violations.is_empty() {
        let rows = violations.iter().map(|broken| Row::new(broken.name.clone(), broken.what.clone()).changed_if(true));
        sections.insert(0, Section::new("Broken promises of the model", rows.collect()));
    }
    Inspection { title: scenario.title.clone(), subtitle: scenario.summary.clone(), sections, why: None }
}

/// A setting's value at a node, by Kafka's name.
pub fn setting(world: &World, node: Node, name: &str) -> Option<String> {
    match node {
        Node::Broker(id) => world.broker(id)?.config().get(name),
        // The quorum is configured as the brokers are.
        Node::Controller(_) => world.brokers().find_map(|(.., broker)| broker?.config().get(name)),
        Node::Producer(id) => world.producers().find(|(found, ..)| *found == id)?.3?.config().get(name),
        Node::Consumer(id) => world.consumers().find(|(found, ..)| *found == id)?.3?.config().get(name),
        Node::ZooKeeper(_) | Node::Tool(_) => None,
    }
}

/// The last event about a thing, as a question.
fn why_of(world: &World, chronicle: &Chronicle, thing: &Thing) -> Option<(String, u64)> {
    let broad = match thing.partition() {
        Some(partition) => Thing::Partition(partition),
        None => thing.clone(),
    };
    let now = world.now();
    let known = chronicle.events().iter().rev().filter(|event| event.at <= now);
    let last: &Event = known.into_iter().find(|event| event.about.as_ref() == Some(&broad))?;
    let question = match (thing.partition(), last.tag) {
        (Some(partition), "election" | "unclean election") => {
            let leader = world.image().and_then(|image| image.partition(partition)?.leader);
            leader.map_or_else(
                || "Why is there no leader?".to_owned(),
                |leader| format!("Why is broker-{leader} the leader?"),
            )
        }
        (_, "ISR shrinks" | "ISR grows") => "Why did the ISR change?".to_owned(),
        (_, "fenced") => "Why is it fenced?".to_owned(),
        (_, "crash" | "stopped") => "Why is it down?".to_owned(),
        (_, "rebalance" | "stable" | "empty" | "member out") => "Why did the group change?".to_owned(),
        _ => "What happened last?".to_owned(),
    };
    Some((question, last.id))
}

fn broker(world: &World, id: BrokerId) -> Option<Inspection> {
    let state = world.broker_state(id)?;
    let registration = world.image().and_then(|image| image.brokers.get(&id));
    let machine = world.broker(id);
    let mut rows = vec![Row::new("State", state.name()).changed_if(state.name() != "running")];
    if let Some(registration) = registration {
        rows.push(Row::new("Broker epoch", registration.epoch.to_string()));
        rows.push(Row::new("Fenced", registration.fenced.to_string()).changed_if(registration.fenced));
        rows.extend(registration.rack.as_deref().map(|rack| Row::new("Rack", rack)));
    }
    if let Some(machine) = machine {
        let (fetches, produces) = machine.waiting();
        rows.push(Row::new("Replicas", machine.replicas().count().to_string()));
        rows.push(Row::new("Leads", machine.replicas().filter(|(_, replica)| replica.is_leader()).count().to_string()));
        rows.push(Row::new("Waiting in purgatory", format!("{fetches} fetches, {produces} produces")));
        rows.push(Row::new("Metadata offset", machine.image().next_offset.to_string()));
    }
    let mut sections = vec![Section::new("", rows)];
    if let Some(machine) = machine {
        sections.push(settings(BrokerConfig::SETTINGS, |name| machine.config().get(name), &format!("broker-{id}")));
    }
    Some(Inspection { title: format!("broker-{id}"), subtitle: "broker".to_owned(), sections, why: None })
}

fn controller(world: &World, footprints: &Footprints, id: ControllerId) -> Option<Inspection> {
    let (_, state, machine) = world.controllers().find(|(found, ..)| *found == id)?;
    let mut rows = vec![Row::new("Process", format!("{state:?}").to_lowercase())];
    if let Some(machine) = machine {
        let quorum = machine.quorum();
        rows.push(Row::new("Role", quorum.role().phase().name()));
        let leader = quorum.leader().map_or_else(|| "nobody".to_owned(), |leader| format!("controller-{leader}"));
        rows.push(Row::new("Leader it knows of", leader));
        let all = world.controllers().count();
        if let Some(votes) = footprints.votes(id, world.now()) {
            rows.push(Row::new("Votes for it", format!("{votes} of {all}; it needs {}", all / 2 + 1)).changed_if(true));
        }
        rows.push(Row::new("Active controller", machine.is_active().to_string()));
        rows.push(Row::new("Quorum epoch", quorum.epoch().to_string()));
        rows.push(Row::new("Log end", quorum.next_offset().to_string()));
        rows.push(Row::new("High watermark", quorum.high_watermark().to_string()));
    }
    Some(Inspection {
        title: format!("controller-{id}"),
        subtitle: "voter of the metadata quorum".to_owned(),
        sections: vec![Section::new("", rows)],
        why: None,
    })
}

fn zookeeper(world: &World, footprints: &Footprints, id: ZooKeeperId) -> Option<Inspection> {
    let node = Node::ZooKeeper(id);
    let mut rows = vec![Row::new("Process", format!("{:?}", world.node_state(node)?).to_lowercase())];
    if let Some(server) = footprints.server(id, world.now()) {
        rows.push(Row::new("State", server.phase.name()));
        rows.push(Row::new("Epoch", server.epoch.to_string()));
    }
    let znodes = footprints.znodes(world.now()).map(|znode| {
        let kind = if znode.ephemeral { " · ephemeral" } else { "" };
        Row::new(znode.path.to_string(), format!("version {}{kind}", znode.version))
    });
    let sections = vec![Section::new("", rows), Section::new("Znodes", znodes.collect())];
    Some(Inspection {
        title: world.names().node(node),
        subtitle: "server of the ZooKeeper ensemble".to_owned(),
        sections,
        why: None,
    })
}

fn producer(world: &World, footprints: &Footprints, id: ClientId) -> Option<Inspection> {
    let (_, _, spec, machine) = world.producers().find(|(found, ..)| *found == id)?;
    let name = world.names().node(Node::Producer(id));
    let account = world.books().producers().get(&id).copied().unwrap_or_default();
    let open = account.sent - account.acked - account.failed;
    let mut rows = vec![
        Row::new("Sent", words::grouped(account.sent)),
        Row::new("Acked", words::grouped(account.acked)),
        Row::new("Failed", words::grouped(account.failed)).changed_if(account.failed > 0),
        Row::new("Open", words::grouped(open)),
        Row::new("Batches sent again", words::grouped(account.retries)).changed_if(account.retries > 0),
    ];
    if let Some(machine) = machine {
        if let Some((producer_id, epoch)) = machine.producer_id_and_epoch() {
            rows.push(Row::new("Producer id", format!("{producer_id}, epoch {epoch}")).changed_if(epoch > 0));
        }
        rows.push(Row::new("Buffered", words::bytes(machine.buffered_bytes())));
        rows.push(Row::new("send() blocked", machine.is_blocked().to_string()).changed_if(machine.is_blocked()));
    }
    if let Some((producer_id, epoch)) = footprints.producer_id(id, world.now()) {
        rows.push(Row::new("Producer id", producer_id.to_string()));
        rows.push(Row::new("Producer epoch", epoch.to_string()));
    }
    let config = machine.map_or(&spec.config, |machine| machine.config());
    let sections = vec![Section::new("", rows), settings(ProducerConfig::SETTINGS, |key| config.get(key), &name)];
    Some(Inspection {
        title: name,
        subtitle: format!("producer · writes to {}", spec.workload.topic),
        sections,
        why: None,
    })
}

fn consumer(world: &World, id: ClientId) -> Option<Inspection> {
    let (_, _, spec, machine) = world.consumers().find(|(found, ..)| *found == id)?;
    let name = world.names().node(Node::Consumer(id));
    let account = world.books().consumers().get(&id).copied().unwrap_or_default();
    let mut rows = vec![
        Row::new("Polled", words::grouped(account.polled)),
        Row::new("Processed", words::grouped(account.processed)),
        Row::new("Work per record", words::span(spec.work)),
    ];
    let mut sections = Vec::new();
    if let Some(machine) = machine {
        rows.insert(0, Row::new("Member", machine.member_id().to_string()));
        let is_classic = !machine.is_share() && machine.config().group_protocol == GroupProtocol::Classic;
        let generation = machine.generation();
        rows.push(
            Row::new(
                if is_classic { "Generation" } else { "Member epoch" },
                generation.map_or_else(|| "no member".to_owned(), |generation| generation.to_string()),
            )
            .changed_if(generation.is_none() && machine.assigned().next().is_some()),
        );
        if is_classic {
            rows.push(Row::new("Leads its group", machine.leads_group().to_string()));
        }
        for assigned in machine.assigned() {
            let show = |offset: Option<Offset>| offset.map_or_else(|| "none".to_owned(), |offset| offset.to_string());
            let row = |name: &str, value: String| Row::new(name, value);
            let buffered = row("Buffered records", assigned.buffered.to_string());
            // Members of share groups have no position: the leader hands out what is next.
            let mut rows = if machine.is_share() {
                vec![buffered]
            } else {
                vec![
                    row("Position", show(assigned.position)),
                    row("Committed", show(assigned.committed)),
                    row("High watermark it was told", show(assigned.high_watermark)),
                    buffered,
                ]
            };
            if assigned.paused {
                rows.insert(0, row("Paused", "fetches nothing until resume()".to_owned()).changed_if(true));
            }
            sections.push(Section::new(world.names().partition(assigned.partition), rows));
        }
    }
    sections.insert(0, Section::new("", rows));
    let config = machine.map_or(&spec.config, |machine| machine.config());
    sections.push(settings(ConsumerConfig::SETTINGS, |key| config.get(key), &name));
    let group =
        spec.group.as_deref().map_or_else(|| "without a group".to_owned(), |group| format!("member of {group}"));
    Some(Inspection { title: name, subtitle: format!("consumer · {group}"), sections, why: None })
}

fn partition(world: &World, partition: TopicPartition, on: Option<Node>, offset: Option<Offset>) -> Option<Inspection> {
    let image = world.image()?;
    let state = image.partition(partition)?;
    let list = |ids: &[BrokerId]| ids.iter().map(BrokerId::to_string).collect::<Vec<_>>().join(", ");
    let leader = state.leader.map_or_else(|| "no leader".to_owned(), |leader| format!("leader broker-{leader}"));
    let ends: Vec<String> = state
        .replicas
        .iter()
        .filter_map(|id| Some(format!("{} on broker-{id}", log_of(world, *id, partition)?.end())))
        .collect();
    let high_watermark = world.serving_replica(partition).map(|replica| replica.high_watermark().to_string());
    let mut rows = vec![
        Row::new("Replicas", list(&state.replicas)),
        Row::new("ISR", list(&state.isr)).changed_if(state.isr.len() < state.replicas.len()),
        Row::new("High watermark", high_watermark.unwrap_or_else(|| "nobody serves it".to_owned())),
        Row::new("Log end", ends.join(", ")),
    ];
    if !state.elr.is_empty() {
        rows.push(Row::new("Eligible leaders (ELR)", list(&state.elr)).changed_if(true));
    }
    if !state.last_known_elr.is_empty() {
        rows.push(Row::new("Last known leader", list(&state.last_known_elr)).changed_if(true));
    }
    if state.is_reassigning() {
        rows.push(Row::new("Adding replicas", list(&state.adding)).changed_if(!state.adding.is_empty()));
        rows.push(Row::new("Removing replicas", list(&state.removing)).changed_if(!state.removing.is_empty()));
    }
    let mut sections = vec![Section::new("", rows)];
    let holder = on.and_then(Node::broker).or(state.leader);
    if let Some((id, log)) = holder.and_then(|id| Some((id, log_of(world, id, partition)?))) {
        sections.push(files(id, log));
    }
    if let Some(log) = holder.and_then(|id| log_of(world, id, partition)) {
        let offset = offset.unwrap_or(log.end() - 1);
        sections.extend(holder.and_then(|id| record(log, id, offset)).into_iter().flatten());
    }
    let topic = world.names().topic(partition.topic).to_owned();
    let mut config = TopicConfig::default();
    for setting in TopicConfig::SETTINGS {
        if let Some(value) = image.topic_config(partition.topic, setting.name) {
            // The controller took the value, so it reads.
            let _ = config.set(setting.name, value);
        }
    }
    sections.push(settings(TopicConfig::SETTINGS, |name| config.get(name), &format!("topic:{topic}")));
    let subtitle = format!("partition · {leader} · leader epoch {}", state.leader_epoch);
    Some(Inspection { title: world.names().partition(partition), subtitle, sections, why: None })
}

/// Where leader epochs and segments of one replica's log begin, and how much of it is on the disk.
fn files(broker: BrokerId, log: &Log) -> Section {
    let epochs: Vec<String> =
        log.epochs().entries().iter().map(|(epoch, start)| format!("{epoch} from {start}")).collect();
    let flushed = log.flushed();
    let cached = (log.end() - flushed).max(0).unsigned_abs();
    let starts: Vec<String> = log.segments().iter().map(|segment| segment.base_offset().to_string()).collect();
    let rows = vec![
        Row::new("Leader epochs", epochs.join(", ")),
        Row::new("Segments begin at", starts.join(", ")),
        Row::new("Flushed to the disk", format!("up to offset {flushed}")),
        Row::new("In the page cache alone", words::count(cached, "record")),
    ];
    Section::new(format!("Its log on broker-{broker}"), rows)
}

fn log_of(world: &World, broker: BrokerId, partition: TopicPartition) -> Option<&Log> {
    let running = world.broker(broker).and_then(|broker| broker.replica(partition)).map(|replica| replica.log());
    running.or_else(|| world.disk(broker)?.log(partition))
}

/// A record and the batch it is in, as fields and as bytes.
fn record(log: &Log, broker: BrokerId, offset: Offset) -> Option<Vec<Section>> {
    let batch = log.batch_at(offset)?;
    let text = |bytes: Option<&[u8]>| {
        bytes.map_or_else(|| "null".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    let found = batch.records().ok()?.find(|record| record.offset == offset)?;
    let record = Section::new(
        format!("Record at offset {offset}"),
        vec![
            Row::new("Key", text(found.key.as_deref())),
            Row::new("Value", words::clip(&text(found.value.as_deref()), 80)),
            Row::new("Timestamp", format!("{} ms", found.timestamp)),
            Row::new("On", format!("broker-{broker}")).to(Thing::Node(Node::Broker(broker))),
        ],
    );
    let codec = batch.compression().map_or_else(|| "unknown".to_owned(), |codec| codec.show());
    let bytes = batch.encode();
    let fields = vec![
        Row::new("baseOffset", batch.base_offset.to_string()),
        Row::new("batchLength", (bytes.len() - 12).to_string()),
        Row::new("partitionLeaderEpoch", batch.leader_epoch.to_string()),
        Row::new("magic", "2"),
        Row::new("crc", format!("{:08x}", batch.crc)).changed_if(!batch.crc_is_valid()),
        Row::new("attributes", format!("{:#06x} · {codec}", batch.attributes)),
        Row::new("lastOffsetDelta", batch.last_offset_delta.to_string()),
        Row::new("baseTimestamp", batch.base_timestamp.to_string()),
        Row::new("maxTimestamp", batch.max_timestamp.to_string()),
        Row::new("producerId", batch.producer_id.to_string()),
        Row::new("producerEpoch", batch.producer_epoch.to_string()),
        Row::new("baseSequence", batch.base_sequence.to_string()),
        Row::new("recordCount", batch.record_count.to_string()),
    ];
    let heading = format!("Its batch: {}", words::bytes(bytes.len() as u64));
    let batch = Section { heading, rows: fields, hex: hex_dump(&bytes[..bytes.len().min(512)]), folded: true };
    Some(vec![record, batch])
}

/// Every setting of a machine; those that differ from Kafka's default first.
fn settings(all: &'static [Setting], get: impl Fn(&str) -> Option<String>, target: &str) -> Section {
    let mut rows: Vec<Row> = all
        .iter()
        .filter_map(|setting| {
            let value = get(setting.name)?;
            let changed = !same(&value, setting.default);
            Some(Row {
                name: setting.name.to_owned(),
                value,
                changed,
                hint: format!("{} Default: {}. Allowed: {}.", setting.effect, setting.default, setting.allowed),
                goes_to: None,
                edit: Some(format!("set {target} {}=", setting.name)),
            })
        })
        .collect();
    rows.sort_by_key(|row| !row.changed);
    let changed = rows.iter().filter(|row| row.changed).count();
    let heading = if changed == 0 { "Settings".to_owned() } else { format!("Settings, {changed} changed") };
    Section { heading, rows, folded: true, ..Section::default() }
}

fn same(value: &str, default: &str) -> bool {
    value.eq_ignore_ascii_case(default)
}

/// Bytes as a hex dump: `0000  4b 65 79 2d 36 …  Key-6`.
pub fn hex_dump(bytes: &[u8]) -> Vec<String> {
    bytes
        .chunks(8)
        .enumerate()
        .map(|(line, chunk)| {
            let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
            let text: String =
                chunk.iter().map(|byte| if (0x20..0x7f).contains(byte) { *byte as char } else { '·' }).collect();
            format!("{:04x}  {:<23}  {text}", line * 8, hex.join(" "))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hex_dump_shows_offset_bytes_and_text() {
        assert_eq!(
            hex_dump(b"Key-6\0Hello"),
            ["0000  4b 65 79 2d 36 00 48 65  Key-6·He", "0008  6c 6c 6f                 llo"]
        );
    }
}
