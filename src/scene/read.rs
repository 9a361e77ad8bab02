//! From the world to the stage: what every machine holds, and what is under way between them.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::marks::Mark;
use super::stage::*;
use super::words;
use crate::kafka::consumer::{Consumer, Phase};
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::{GroupPhase, NodeState};
use crate::kafka::group::ClassicGroup;
use crate::kafka::ids::{BrokerId, ClientId, Node, OFFSETS_TOPIC, Offset, TopicPartition};
use crate::kafka::log::Log;
use crate::kafka::message::{Message, Request, Response};
use crate::kafka::metadata::{MetadataImage, MetadataRecord};
use crate::kafka::record::Batch;
use crate::sim::report::BrokerState;
use crate::sim::world::{Envelope, World};
use crate::time::{Duration, Instant};

/// Reads stages from worlds. It remembers the marks of batches it has looked into, and nothing else.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    /// By the batch's CRC, which covers its records and not its place in a log.
    looks: BTreeMap<u32, Rc<[Look]>>,
}

/// How one record looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    mark: Mark,
    tombstone: bool,
}

/// How many of a log's newest records are looked at.
const MOST_CELLS: usize = 64;
/// How many batches are remembered.
const MOST_BATCHES: usize = 4_096;

impl Reader {
    /// The stage at the world's present moment.
    pub fn stage(&mut self, world: &World) -> Stage {
        let messages = world.in_flight().filter_map(|envelope| self.flight(world, envelope)).collect();
        Stage { now: world.now(), cast: self.cast(world), messages }
    }

    fn cast(&mut self, world: &World) -> Cast {
        let image = world.image();
        Cast {
            producers: world.producers().map(|(id, state, ..)| producer(world, id, state)).collect(),
            tools: tools(world),
            controllers: controllers(world),
            brokers: world.brokers().map(|(id, ..)| self.broker(world, image, id)).collect(),
            groups: groups(world),
            links: image.map(|image| links(world, image)).unwrap_or_default(),
        }
    }

    fn broker(&mut self, world: &World, image: Option<&MetadataImage>, id: BrokerId) -> BrokerCard {
        let state = world.broker_state(id).unwrap_or(BrokerState::Down);
        let fenced = image.and_then(|image| image.brokers.get(&id)).is_none_or(|broker| broker.fenced);
        let mut strips = Vec::new();
        let (mut held, mut led) = (0, 0);
        for (partition, registration) in image.into_iter().flat_map(MetadataImage::partitions) {
            if !registration.replicas.contains(&id) {
                continue;
            }
            let leader = registration.leader == Some(id);
            if world.names().topic(partition.topic) == OFFSETS_TOPIC {
                held += 1;
                led += u32::from(leader);
            } else {
                strips.push(self.strip(world, id, partition, leader, registration.isr.contains(&id)));
            }
        }
        let leads = strips.iter().filter(|strip| strip.leader).count();
        let status = match state {
            BrokerState::Down if fenced => "down · fenced".to_owned(),
            BrokerState::Running => format!("leads {leads}"),
            state => state.name().to_owned(),
        };
        BrokerCard {
            node: Node::Broker(id),
            name: format!("broker-{id}"),
            health: health_of(state),
            status,
            alarming: false,
            rack: image.and_then(|image| image.brokers.get(&id)?.rack.as_deref().map(str::to_owned)),
            strips,
            internal: (held, led),
        }
    }

    fn strip(&mut self, world: &World, id: BrokerId, partition: TopicPartition, leader: bool, in_sync: bool) -> Strip {
        let replica = world.broker(id).and_then(|broker| broker.replica(partition));
        let disk = world.disk(id);
        let log = replica.map(|replica| replica.log()).or_else(|| disk?.log(partition));
        let high_watermark = replica.map(|replica| replica.high_watermark());
        let high_watermark = high_watermark.or_else(|| Some(disk?.high_watermark(partition))).unwrap_or(0);
        Strip {
            partition,
            label: world.names().partition(partition),
            leader,
            in_sync,
            log_start: log.map_or(0, Log::start),
            log_end: log.map_or(0, Log::end),
            high_watermark,
            cells: log.map(|log| self.cells(log)).unwrap_or_default(),
        }
    }

    fn cells(&mut self, log: &Log) -> Vec<Cell> {
        let mut cells = Vec::new();
        for batch in log.batches().rev() {
            let looks = self.looks(batch);
            for (place, look) in (0..).zip(looks.iter()).collect::<Vec<(Offset, _)>>().into_iter().rev() {
                let offset = batch.base_offset + place;
                cells.push(Cell { offset, mark: look.mark, tombstone: look.tombstone, control: batch.is_control() });
            }
            if cells.len() >= MOST_CELLS {
                break;
            }
        }
        cells.reverse();
        cells
    }

    fn looks(&mut self, batch: &Batch) -> Rc<[Look]> {
        if let Some(known) = self.looks.get(&batch.crc) {
            return Rc::clone(known);
        }
        let looks: Rc<[Look]> = match batch.records() {
            Ok(records) => records
                .map(|record| Look { mark: Mark::of_key(record.key.as_deref()), tombstone: record.value.is_none() })
                .collect(),
            Err(_) => Rc::from([]),
        };
        if self.looks.len() >= MOST_BATCHES {
            self.looks.clear();
        }
        self.looks.insert(batch.crc, Rc::clone(&looks));
        looks
    }

    fn flight(&mut self, world: &World, envelope: &Envelope) -> Option<Flight> {
        if envelope.due < world.now() {
            return None;
        }
        let mut records = 0;
        let mut marks = [None; 3];
        for (partition, batch) in batches(&envelope.message) {
            if world.names().topic(partition.topic) == OFFSETS_TOPIC {
                continue;
            }
            for look in self.looks(batch).iter() {
                if let Some(free) = marks.get_mut(records as usize) {
                    *free = Some(look.mark);
                }
                records += 1;
            }
        }
        let (kind, label) = kind(&envelope.message, records);
        Some(Flight {
            id: envelope.id,
            from: envelope.from,
            to: envelope.to,
            sent: envelope.sent,
            due: envelope.due,
            kind,
            label,
            records,
            marks,
        })
    }
}

/// How long the messages that are worth watching take to cross, if any are under way: the quickest of them.
pub fn attention(world: &World) -> Option<Duration> {
    let now = world.now();
    world
        .in_flight()
        .filter(|envelope| envelope.due >= now && matters(world, &envelope.message))
        .map(|envelope| envelope.due.since(envelope.sent))
        .min()
}

fn matters(world: &World, message: &Message) -> bool {
    match message {
        Message::Request { request, .. } => match request {
            Request::Produce(_) | Request::JoinGroup(_) | Request::SyncGroup(_) | Request::LeaveGroup(_) => true,
            Request::AlterPartition(alter) => {
                alter.partitions.iter().any(|change| world.names().topic(change.partition.topic) != OFFSETS_TOPIC)
            }
            _ => false,
        },
        Message::Response { response, .. } => match response {
            Response::Produce(_) => true,
            Response::Fetch(_) => {
                batches(message).any(|(partition, _)| world.names().topic(partition.topic) != OFFSETS_TOPIC)
            }
            _ => false,
        },
    }
}

fn batches(message: &Message) -> Box<dyn Iterator<Item = (TopicPartition, &Batch)> + '_> {
    match message {
        Message::Request { request: Request::Produce(produce), .. } => {
            Box::new(produce.partitions.iter().map(|(partition, batch)| (*partition, batch)))
        }
        Message::Response { response: Response::Fetch(fetch), .. } => Box::new(
            fetch.partitions.iter().flat_map(|fetched| fetched.batches.iter().map(|batch| (fetched.partition, batch))),
        ),
        _ => Box::new(std::iter::empty()),
    }
}

fn kind(message: &Message, records: u32) -> (FlightKind, &'static str) {
    let api = message.api().name();
    if let Some(error) = error_of(message) {
        return (FlightKind::Error, error.name());
    }
    let kind = match message {
        _ if records > 0 => FlightKind::Records,
        Message::Request { request, .. } => match request {
            Request::Fetch(_) => FlightKind::Ask,
            Request::Heartbeat(_) | Request::BrokerHeartbeat(_) | Request::QuorumFetch(_) => FlightKind::Pulse,
            _ => FlightKind::Control,
        },
        Message::Response { response, .. } => match response {
            Response::QuorumFetch(fetch) => {
                let news = fetch.batches.iter().flat_map(|batch| batch.records.iter());
                if news.into_iter().any(|record| *record != MetadataRecord::NoOp) {
                    return (FlightKind::Control, "metadata");
                }
                FlightKind::Pulse
            }
            Response::Fetch(fetch) if fetch.partitions.iter().any(|fetched| !fetched.batches.is_empty()) => {
                return (FlightKind::Control, "offsets");
            }
            Response::Fetch(_) | Response::Heartbeat(_) | Response::BrokerHeartbeat(_) => FlightKind::Pulse,
            _ => FlightKind::Reply,
        },
    };
    (kind, api)
}

/// The first error in a response.
fn error_of(message: &Message) -> Option<ErrorCode> {
    let Message::Response { response, .. } = message else { return None };
    let first = match response {
        Response::Produce(produce) => {
            produce.partitions.iter().map(|partition| partition.error).find(|error| !error.is_none())
        }
        Response::Fetch(fetch) => {
            fetch.partitions.iter().map(|partition| partition.error).find(|error| !error.is_none())
        }
        Response::JoinGroup(join) => Some(join.error),
        Response::SyncGroup(sync) => Some(sync.error),
        Response::Heartbeat(heartbeat) => Some(heartbeat.error),
        Response::FindCoordinator(found) => Some(found.error),
        Response::OffsetFetch(fetch) => Some(fetch.error),
        Response::OffsetCommit(commit) => {
            commit.partitions.iter().map(|(_, error)| *error).find(|error| !error.is_none())
        }
        Response::AlterPartition(alter) => Some(alter.error),
        Response::BrokerRegistration(registration) => Some(registration.error),
        Response::InitProducerId(init) => Some(init.error),
        Response::AllocateProducerIds(allocated) => Some(allocated.error),
        _ => None,
    };
    // A member's first join is always answered so; it is the protocol's way, no failure.
    first.filter(|error| !error.is_none() && *error != ErrorCode::MemberIdRequired)
}

fn health(state: NodeState) -> Health {
    match state {
        NodeState::Starting => Health::Starting,
        NodeState::Running => Health::Running,
        NodeState::Paused => Health::Paused,
        NodeState::Stopping => Health::Stopping,
        NodeState::Stopped | NodeState::Killed => Health::Down,
    }
}

fn health_of(state: BrokerState) -> Health {
    match state {
        BrokerState::Running => Health::Running,
        BrokerState::Starting => Health::Starting,
        BrokerState::Fenced => Health::Fenced,
        BrokerState::Paused => Health::Paused,
        BrokerState::Stopping => Health::Stopping,
        BrokerState::Down => Health::Down,
    }
}

fn producer(world: &World, id: ClientId, state: NodeState) -> ProducerCard {
    let node = Node::Producer(id);
    let spec = world.producers().find(|(found, ..)| *found == id).map(|(_, _, spec, machine)| (spec, machine));
    let account = world.books().producers().get(&id).copied().unwrap_or_default();
    let (line, closed) = spec.map_or((String::new(), false), |(spec, machine)| {
        let workload = machine.map_or(&spec.workload, |machine| machine.workload());
        let acks = machine.map_or(&spec.config, |machine| machine.config()).acks;
        let acks = crate::kafka::config::SettingValue::show(&acks);
        (format!("{} · acks={acks}", rate(workload.rate)), machine.is_some_and(|machine| machine.is_closed()))
    });
    ProducerCard {
        node,
        name: world.names().node(node),
        health: health(state),
        line: if closed { "closed: all sent".to_owned() } else { line },
        sent: account.sent,
        acked: account.acked,
        failed: account.failed,
        open: account.sent.saturating_sub(account.acked + account.failed),
    }
}

/// `1 record/s`, from thousandths of a record per second.
fn rate(milli: u64) -> String {
    match milli {
        0 => "by hand".to_owned(),
        1000 => "1 record/s".to_owned(),
        milli if milli % 1000 == 0 => format!("{} records/s", words::short(milli / 1000)),
        milli => format!("{:.1} records/s", milli as f64 / 1000.0),
    }
}

fn tools(world: &World) -> Vec<ToolCard> {
    let running = world.nodes().filter(|(node, state)| matches!(node, Node::Tool(_)) && health(*state) != Health::Down);
    running.map(|(node, _)| ToolCard { node, name: world.names().node(node) }).collect()
}

fn controllers(world: &World) -> Vec<ControllerCard> {
    world
        .controllers()
        .map(|(id, state, controller)| {
            let active = controller.is_some_and(|controller| controller.is_active());
            let role = match controller {
                Some(controller) if active => format!("leader · epoch {}", controller.quorum().epoch()),
                Some(controller) => controller.quorum().role().phase().name().to_lowercase(),
                None => "down".to_owned(),
            };
            let node = Node::Controller(id);
            ControllerCard { node, name: world.names().node(node), health: health(state), role, active }
        })
        .collect()
}

fn links(world: &World, image: &MetadataImage) -> Vec<Link> {
    let mut links: BTreeMap<(Node, Node), LinkState> = BTreeMap::new();
    let slow = world.network().changed_links();
    let slow: Vec<(Node, Node)> = slow.map(|(pair, _)| pair).collect();
    let mut add = |from: Node, to: Node| {
        let down = |node| world.node_state(node).is_none_or(|state| health(state) == Health::Down);
        let state = if world.network().parts(from, to) {
            LinkState::Cut
        } else if down(from) || down(to) {
            LinkState::Dead
        } else if slow.contains(&(from, to)) || slow.contains(&(to, from)) {
            LinkState::Slow
        } else {
            LinkState::Open
        };
        links.insert((from, to), state);
    };
    for (id, _, spec, machine) in world.producers() {
        let workload = machine.map_or(&spec.workload, |machine| machine.workload());
        let leaders = image.topic(&workload.topic).into_iter().flat_map(|(_, topic)| &topic.partitions);
        for leader in leaders.filter_map(|partition| partition.leader) {
            add(Node::Producer(id), Node::Broker(leader));
        }
    }
    for (id, _, _, machine) in world.consumers() {
        for assigned in machine.into_iter().flat_map(Consumer::assigned) {
            if let Some(leader) = image.partition(assigned.partition).and_then(|partition| partition.leader) {
                add(Node::Broker(leader), Node::Consumer(id));
            }
        }
    }
    // A cut or a slow link shows wherever it is, or one would look for it in vain.
    let brokers: Vec<Node> = world.brokers().map(|(id, ..)| Node::Broker(id)).collect();
    for (place, one) in brokers.iter().enumerate() {
        for other in &brokers[place + 1..] {
            if world.network().parts(*one, *other) || slow.contains(&(*one, *other)) || slow.contains(&(*other, *one)) {
                add(*one, *other);
            }
        }
    }
    links.into_iter().map(|((from, to), state)| Link { from, to, state }).collect()
}

fn groups(world: &World) -> Vec<GroupFrame> {
    let mut frames: BTreeMap<String, GroupFrame> = BTreeMap::new();
    for (id, state, spec, machine) in world.consumers() {
        let name = spec.group.clone().unwrap_or_default();
        let frame = frames.entry(name.clone()).or_insert_with(|| group_frame(world, name));
        let stopped = frame.rebalancing;
        frame.members.push(consumer(world, id, state, machine, stopped));
    }
    frames.into_values().collect()
}

fn group_frame(world: &World, name: String) -> GroupFrame {
    let coordinators = world.brokers().filter_map(|(id, _, broker)| Some((id, broker?.coordinator().group(&name)?)));
    let found: Option<(BrokerId, &ClassicGroup)> = coordinators.max_by_key(|(_, group)| group.generation());
    let committed = world.books().groups().get(&*name).map(|account| &account.committed);
    let lag = committed.into_iter().flatten().map(|(partition, committed)| lag(world, *partition, *committed)).sum();
    let frame = GroupFrame {
        state: String::new(),
        rebalancing: false,
        progress: None,
        line: "no coordinator".to_owned(),
        lag,
        coordinator: found.map(|(id, _)| Node::Broker(id)),
        members: Vec::new(),
        name,
    };
    if frame.name.is_empty() {
        return GroupFrame { name: "without a group".to_owned(), line: "each reads everything".to_owned(), ..frame };
    }
    let Some((_, group)) = found else { return frame };
    let rebalancing = matches!(group.phase(), GroupPhase::PreparingRebalance | GroupPhase::CompletingRebalance);
    let (joined, all) =
        group.members().fold((0, 0), |(joined, all), member| (joined + u32::from(member.has_joined()), all + 1));
    let protocol = group.protocol().map(|protocol| format!(" · {protocol}")).unwrap_or_default();
    GroupFrame {
        state: group.phase().name().to_owned(),
        rebalancing,
        progress: (group.phase() == GroupPhase::PreparingRebalance && all > 1).then(|| joined as f32 / all as f32),
        line: format!("generation {}{protocol}", group.generation()),
        ..frame
    }
}

fn lag(world: &World, partition: TopicPartition, committed: Offset) -> u64 {
    let end = world.serving_replica(partition).map_or(committed, |replica| replica.high_watermark());
    (end - committed).max(0).unsigned_abs()
}

fn consumer(world: &World, id: ClientId, state: NodeState, machine: Option<&Consumer>, stopped: bool) -> ConsumerCard {
    let node = Node::Consumer(id);
    let now = world.now();
    let working = machine.and_then(Consumer::working);
    let chips = machine
        .into_iter()
        .flat_map(Consumer::assigned)
        .map(|assigned| Chip {
            partition: assigned.partition,
            label: world.names().partition(assigned.partition),
            stopped,
            lag: lag(world, assigned.partition, assigned.committed.unwrap_or(0)),
        })
        .collect();
    let account = world.books().consumers().get(&id).copied().unwrap_or_default();
    let doing = match machine.map(|machine| machine.phase()) {
        None => "down".to_owned(),
        Some(Phase::FindingCoordinator) => "looks for its coordinator".to_owned(),
        Some(Phase::Joining) => "joins its group".to_owned(),
        Some(Phase::Syncing) => "waits for its assignment".to_owned(),
        Some(Phase::Polling) => "waits for records".to_owned(),
        Some(Phase::Working) => working.as_ref().map_or_else(
            || "works".to_owned(),
            |working| {
                let key = working.key.as_deref().map(|key| String::from_utf8_lossy(key).into_owned());
                let key = key.unwrap_or_else(|| format!("offset {}", working.offset));
                if working.count > 1 {
                    format!("{key} and {} more", working.count - 1)
                } else {
                    format!("{key} · {}", words::span(working.ends.since(working.started)))
                }
            },
        ),
        Some(Phase::Closing) => "closes".to_owned(),
        Some(Phase::Closed) => "closed".to_owned(),
    };
    ConsumerCard {
        node,
        name: world.names().node(node),
        health: health(state),
        chips,
        doing,
        mark: working.as_ref().map(|working| Mark::of_key(working.key.as_deref())),
        progress: working.as_ref().map(|working| part(working.started, working.ends, now)),
        processed: account.processed,
        buffered: machine.into_iter().flat_map(Consumer::assigned).map(|assigned| assigned.buffered).sum(),
    }
}

fn part(from: Instant, to: Instant, now: Instant) -> f32 {
    let whole = to.since(from).as_micros();
    if whole == 0 { 1.0 } else { now.since(from).as_micros() as f32 / whole as f32 }
}
