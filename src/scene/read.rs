//! From the world to the stage: what every machine holds, and what is under way between them.

mod share;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::footprints::{Falling, Footprints};
use super::marks::Mark;
use super::stage::*;
use super::words;
use crate::kafka::broker::{Broker, BrokerDisk};
use crate::kafka::config::{GroupProtocol, SettingValue};
use crate::kafka::consumer::{Consumer, Phase, Reads};
use crate::kafka::coordinator::Group;
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::{EnsemblePhase, GroupPhase, ModernGroupPhase, NodeState, QuorumPhase};
use crate::kafka::ids::{
    BrokerId, ClientId, Node, OFFSETS_TOPIC, Offset, SHARE_STATE_TOPIC, TopicPartition, is_internal_topic,
};
use crate::kafka::log::{Log, Segment};
use crate::kafka::message::{Api, Message, Request, Response};
use crate::kafka::metadata::{MetadataImage, MetadataRecord, PartitionRegistration};
use crate::kafka::producer::Producer;
use crate::kafka::record::Batch;
use crate::sim::report::BrokerState;
use crate::sim::scenario::ProducerSpec;
use crate::sim::world::leaders::Leaders;
use crate::sim::world::{Envelope, World};
use crate::time::{Duration, Instant};

/// Reads stages from worlds. It remembers the marks of batches it has looked into, and of the newest records of each
/// log: those that are cut off are drawn while they fall, and the world has them no longer.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    /// By the batch's CRC, which covers its records and not its place in a log.
    looks: BTreeMap<u32, Rc<[Look]>>,
    seen: BTreeMap<(BrokerId, TopicPartition), (Instant, Vec<Cell>)>,
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
/// In how many logs the newest records are remembered.
const MOST_SEEN: usize = 1_024;
/// How many of the records that are cut off at once are seen to fall.
const MOST_FALLEN: i64 = 48;
/// Of more partitions than this no card has room for a log.
const MOST_NEAR: usize = 1_500;
/// How many of a consumer's partitions are looked at for the leaders it reads from.
const MOST_LINKED: usize = 48;
/// How many of a consumer's partitions are named.
const MOST_CHIPS: u32 = 16;
/// Of more consumers than this none has room for a card.
const MOST_CARDS: usize = 200;
/// How many znodes are shown.
const MOST_ZNODES: usize = 5;
/// Between how many nodes walls are looked for.
const MOST_WALLED: usize = 80;

impl Reader {
    /// The stage at the world's present moment.
    pub fn stage(&mut self, world: &World, footprints: &Footprints) -> Stage {
        Stage { now: world.now(), cast: Rc::new(self.cast(world, footprints)), messages: self.messages(world) }
    }

    /// The messages under way at the world's present moment. They cost little to read, however large the cluster is.
    pub fn messages(&mut self, world: &World) -> Vec<Flight> {
        world.in_flight().filter_map(|envelope| self.flight(world, envelope)).collect()
    }

    fn cast(&mut self, world: &World, footprints: &Footprints) -> Cast {
        let image = world.image();
        let states = image.map(|image| Partitions::of(world, image)).unwrap_or_default();
        let controllers = controllers(world, footprints);
        let no_controller = !controllers.is_empty() && !controllers.iter().any(|card| card.active);
        let brokers = world.brokers().map(|(id, ..)| self.broker(world, image, id, &states, footprints)).collect();
        let producers = world.producers();
        let producers = producers.map(|(id, state, spec, machine)| producer(world, id, state, spec, machine));
        Cast {
            producers: producers.collect(),
            tools: tools(world),
            controllers,
            brokers,
            groups: groups(world),
            znodes: znodes(footprints, world.now()),
            ailing: Ailing { no_controller, ..states.ailing },
            links: image.map(|image| links(world, image)).unwrap_or_default(),
        }
    }

    fn broker(
        &mut self,
        world: &World,
        image: Option<&MetadataImage>,
        id: BrokerId,
        states: &Partitions,
        footprints: &Footprints,
    ) -> BrokerCard {
        let state = world.broker_state(id).unwrap_or(BrokerState::Down);
        let fenced = image.and_then(|image| image.brokers.get(&id)).is_none_or(|broker| broker.fenced);
        let mut strips = Vec::new();
        let (mut held, mut led) = (0, 0);
        let (broker, disk) = (world.broker(id), world.disk(id));
        for (partition, registration) in image.into_iter().flat_map(MetadataImage::partitions) {
            if !registration.replicas.contains(&id) {
                continue;
            }
            let leader = registration.leader == Some(id);
            let topic = world.names().topic(partition.topic);
            if topic == SHARE_STATE_TOPIC {
                continue;
            }
            if topic == OFFSETS_TOPIC {
                held += 1;
                led += u32::from(leader);
            } else {
                let strip = match states.far {
                    true => far_strip(broker, disk, partition),
                    false => self.strip(world, id, partition, footprints),
                };
                let coming = registration.adding.contains(&id).then_some(Moving::Coming);
                let moving = coming.or_else(|| registration.removing.contains(&id).then_some(Moving::Going));
                strips.push(Strip {
                    leader,
                    in_sync: registration.isr.contains(&id),
                    eligible: registration.elr.contains(&id),
                    trouble: states.trouble.get(&partition).copied().unwrap_or_default(),
                    moving,
                    ..strip
                });
            }
        }
        let leads = strips.iter().filter(|strip| strip.leader).count();
        let loading = footprints.loading(world.now()).filter(|loading| loading.controller == id);
        let running = matches!(state, BrokerState::Running | BrokerState::Fenced);
        let loading = loading.filter(|_| running);
        let status = match (state, loading) {
            (BrokerState::Down, _) if fenced => "down · fenced".to_owned(),
            (_, Some(reading)) if reading.partitions > 0 => {
                format!("controller · reads {}", words::count(u64::from(reading.partitions), "partition"))
            }
            (BrokerState::Running, Some(_)) => format!("controller · leads {leads}"),
            (BrokerState::Running, None) => format!("leads {leads}"),
            (BrokerState::Fenced, _) => "fenced: nobody counts on it".to_owned(),
            (state, _) => state.name().to_owned(),
        };
        BrokerCard {
            node: Node::Broker(id),
            name: format!("broker-{id}"),
            health: health_of(state),
            status,
            alarming: false,
            rack: image.and_then(|image| image.brokers.get(&id)?.rack.as_deref().map(str::to_owned)),
            loading: loading.map(|loading| loading.partitions).filter(|partitions| *partitions > 0),
            strips,
            internal: (held, led),
        }
    }

    fn strip(&mut self, world: &World, id: BrokerId, partition: TopicPartition, footprints: &Footprints) -> Strip {
        let (log, high_watermark) = kept(world.broker(id), world.disk(id), partition);
        let now = world.now();
        let cells = log.map(|log| self.cells(log)).unwrap_or_default();
        let falling = footprints.falling(id, partition, now);
        let fallen = self.fallen((id, partition), &falling);
        // What fell is looked up in what was there before it fell.
        if falling.is_empty() {
            if self.seen.len() >= MOST_SEEN {
                self.seen.clear();
            }
            self.seen.insert((id, partition), (now, cells.clone()));
        }
        Strip {
            partition,
            label: world.names().partition(partition),
            leader: false,
            in_sync: false,
            log_start: log.map_or(0, Log::start),
            log_end: log.map_or(0, Log::end),
            high_watermark,
            cells,
            epochs: log
                .map(|log| log.epochs().entries().iter().map(|(epoch, at)| (*at, epoch.0)).collect())
                .unwrap_or_default(),
            eligible: false,
            trouble: Trouble::None,
            moving: None,
            fallen,
            held: share::held(world, id, partition),
            flushed: log.map_or(0, Log::flushed),
            segments: log
                .map(|log| log.segments().iter().skip(1).map(Segment::base_offset).collect())
                .unwrap_or_default(),
        }
    }

    /// Records on their way down, with the marks they had; without any where nobody saw the log before it was cut.
    fn fallen(&self, replica: (BrokerId, TopicPartition), falling: &[Falling]) -> Vec<Fallen> {
        let seen = self.seen.get(&replica);
        let mut fallen = Vec::new();
        for cut in falling {
            for offset in cut.first.max(cut.end - MOST_FALLEN)..cut.end {
                let known = seen.filter(|(at, _)| *at <= cut.at).map(|(_, cells)| cells);
                let cell = known.and_then(|cells| cells.iter().find(|cell| cell.offset == offset)).copied();
                let unknown = Cell { offset, mark: Mark::KEYLESS, tombstone: false, control: false };
                fallen.push(Fallen { cell: cell.unwrap_or(unknown), part: cut.part as f32 });
            }
        }
        fallen
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
            if is_internal_topic(world.names().topic(partition.topic)) {
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
    if is_ballot(message.api()) {
        return true;
    }
    match message {
        Message::Request { request, .. } => match request {
            Request::Produce(_) | Request::JoinGroup(_) | Request::SyncGroup(_) | Request::LeaveGroup(_) => true,
            Request::AlterPartition(alter) => {
                alter.partitions.iter().any(|change| !is_internal_topic(world.names().topic(change.partition.topic)))
            }
            _ => false,
        },
        Message::Response { response, .. } => match response {
            Response::Produce(_) => true,
            Response::Fetch(_) | Response::ShareFetch(_) => {
                batches(message).any(|(partition, _)| !is_internal_topic(world.names().topic(partition.topic)))
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
        Message::Response { response: Response::ShareFetch(fetch), .. } => Box::new(
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
        _ if is_ballot(message.api()) => return (FlightKind::Ballot, ballot(message)),
        _ if message.only_says_that_somebody_lives() => FlightKind::Pulse,
        Message::Request { request, .. } => match request {
            Request::Fetch(_) | Request::ShareFetch(_) => FlightKind::Ask,
            Request::BrokerHeartbeat(_) | Request::QuorumFetch(_) => FlightKind::Pulse,
            Request::ZkPing(_) | Request::ZabPing(_) => FlightKind::Pulse,
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
            Response::ShareFetch(_) => FlightKind::Pulse,
            Response::Fetch(_) | Response::BrokerHeartbeat(_) => FlightKind::Pulse,
            Response::ZkPing(_) | Response::ZabPing(_) => FlightKind::Pulse,
            _ => FlightKind::Reply,
        },
    };
    (kind, api)
}

/// Whether a message belongs to an election of the quorum.
fn is_ballot(api: Api) -> bool {
    matches!(api, Api::Vote | Api::BeginQuorumEpoch | Api::EndQuorumEpoch | Api::ZabVote)
}

/// What a message of an election says.
fn ballot(message: &Message) -> &'static str {
    match message {
        Message::Request { request: Request::Vote(vote), .. } if vote.pre_vote => "Vote (pre-vote)",
        Message::Response { response: Response::Vote(vote), .. } if vote.vote_granted => "granted",
        Message::Response { response: Response::Vote(_), .. } => "refused",
        _ => message.api().name(),
    }
}

/// The error in a response. A member's first join is always answered with one; it is the protocol's way, no failure.
fn error_of(message: &Message) -> Option<ErrorCode> {
    let Message::Response { response, .. } = message else { return None };
    response.error().filter(|error| *error != ErrorCode::MemberIdRequired)
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

fn producer(
    world: &World,
    id: ClientId,
    state: NodeState,
    spec: &ProducerSpec,
    machine: Option<&Producer>,
) -> ProducerCard {
    let node = Node::Producer(id);
    let account = world.books().producers().get(&id).copied().unwrap_or_default();
    let workload = machine.map_or(&spec.workload, |machine| machine.workload());
    let acks = machine.map_or(&spec.config, |machine| machine.config()).acks;
    let line = format!("{} · acks={}", rate(workload.rate), SettingValue::show(&acks));
    let closed = machine.is_some_and(|machine| machine.is_closed());
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

fn controllers(world: &World, footprints: &Footprints) -> Vec<ControllerCard> {
    let all = world.controllers().count() as u32;
    let now = world.now();
    let voters = world.controllers().map(|(id, state, controller)| {
        let active = controller.is_some_and(|controller| controller.is_active());
        let phase = controller.map(|controller| controller.quorum().role().phase());
        let votes = footprints.votes(id, now).map(|votes| (votes as u32, all / 2 + 1));
        let role = match (controller, phase) {
            (Some(controller), Some(phase)) => {
                format!("{} · epoch {}", phase.name().to_lowercase(), controller.quorum().epoch())
            }
            _ => "down".to_owned(),
        };
        ControllerCard {
            node: Node::Controller(id),
            name: world.names().node(Node::Controller(id)),
            health: health(state),
            role,
            active,
            electing: matches!(phase, Some(QuorumPhase::Prospective | QuorumPhase::Candidate)),
            votes: votes.filter(|_| controller.is_some()),
        }
    });
    let servers = world.zookeepers().map(|(id, state, server)| {
        let active = server.is_some_and(|server| server.phase() == EnsemblePhase::Leading && server.is_serving());
        let role = match server {
            Some(server) if active => format!("leader · epoch {}", server.epoch()),
            Some(server) if server.is_serving() => "follower".to_owned(),
            Some(_) => "looking for a leader".to_owned(),
            None => "down".to_owned(),
        };
        ControllerCard {
            node: Node::ZooKeeper(id),
            name: world.names().node(Node::ZooKeeper(id)),
            health: health(state),
            role,
            active,
            electing: server.is_some_and(|server| server.phase() == EnsemblePhase::Looking),
            votes: None,
        }
    });
    voters.chain(servers).collect()
}

/// The znodes that say who is there and who controls; the rest of the tree is the strips' business.
fn znodes(footprints: &Footprints, now: Instant) -> Vec<ZnodeLine> {
    let telling = |path: &str| {
        matches!(path, "/controller" | "/controller_epoch") || path.strip_prefix("/brokers/ids/").is_some()
    };
    let loading = footprints.loading(now);
    let mut lines: Vec<ZnodeLine> = footprints
        .znodes(now)
        .filter(|znode| telling(&znode.path))
        .map(|znode| {
            let value = match (&*znode.path, loading) {
                ("/controller", Some(loading)) => format!("→ broker-{}", loading.controller),
                ("/controller_epoch", Some(loading)) => format!("= {}", loading.epoch),
                _ => String::new(),
            };
            ZnodeLine { path: znode.path.to_string(), value, ephemeral: znode.ephemeral }
        })
        .collect();
    lines.sort_by_key(|line| !line.path.starts_with("/controller"));
    if lines.len() > MOST_ZNODES {
        let more = lines.len() - (MOST_ZNODES - 1);
        lines.truncate(MOST_ZNODES - 1);
        lines.push(ZnodeLine { path: format!("/brokers/ids: {more} more"), value: String::new(), ephemeral: true });
    }
    lines
}

/// How many replicas a partition ought to have in sync: those that are only being added do not count yet
/// (`OngoingReassignmentState.replicationFactor`).
pub fn wanted(state: &PartitionRegistration) -> usize {
    state.replicas.len().saturating_sub(state.adding.len())
}

/// A replica's log and high watermark, as the broker has them, or as they lie on its disk while it is down.
fn kept<'a>(
    broker: Option<&'a Broker>,
    disk: Option<&'a BrokerDisk>,
    partition: TopicPartition,
) -> (Option<&'a Log>, Offset) {
    match broker.and_then(|broker| broker.replica(partition)) {
        Some(replica) => (Some(replica.log()), replica.high_watermark()),
        None => (disk.and_then(|disk| disk.log(partition)), disk.map_or(0, |disk| disk.high_watermark(partition))),
    }
}

/// A replica among so many that each is a dot on the stage: how far it has come, and neither its name nor its records.
fn far_strip(broker: Option<&Broker>, disk: Option<&BrokerDisk>, partition: TopicPartition) -> Strip {
    let (log, high_watermark) = kept(broker, disk, partition);
    Strip {
        partition,
        label: String::new(),
        leader: false,
        in_sync: false,
        log_start: log.map_or(0, Log::start),
        log_end: log.map_or(0, Log::end),
        high_watermark,
        cells: Vec::new(),
        epochs: Vec::new(),
        eligible: false,
        trouble: Trouble::None,
        moving: None,
        fallen: Vec::new(),
        held: Vec::new(),
        flushed: log.map_or(0, Log::flushed),
        segments: Vec::new(),
    }
}

/// What ails each partition of an ordinary topic, and how many ail.
#[derive(Default)]
struct Partitions {
    /// There are so many that none of them is looked at closely.
    far: bool,
    trouble: BTreeMap<TopicPartition, Trouble>,
    ailing: Ailing,
}

impl Partitions {
    fn of(world: &World, image: &MetadataImage) -> Self {
        let mut all = Self { far: image.partitions().count() > MOST_NEAR, ..Self::default() };
        let cluster_wide = world.brokers().find_map(|(.., broker)| Some(broker?.config().min_insync_replicas));
        for (partition, state) in image.partitions() {
            if world.is_internal(partition) {
                all.ailing.internal_offline += u32::from(state.leader.is_none());
                continue;
            }
            let wanted = wanted(state);
            let own = image.topic_config(partition.topic, "min.insync.replicas").and_then(|value| value.parse().ok());
            let min_isr = own.or(cluster_wide).unwrap_or(1).min(state.replicas.len() as u32);
            let in_sync = state.isr.len();
            let under_min_isr = in_sync < min_isr as usize;
            all.ailing.offline += u32::from(state.leader.is_none());
            all.ailing.under_min_isr += u32::from(under_min_isr);
            all.ailing.under_replicated += u32::from(in_sync < wanted);
            let trouble = match () {
                () if state.leader.is_none() => Trouble::Offline,
                () if under_min_isr => Trouble::UnderMinIsr,
                () if in_sync < wanted => Trouble::UnderReplicated,
                () => continue,
            };
            all.trouble.insert(partition, trouble);
        }
        all
    }
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
        for leader in leaders.filter_map(|partition| partition.leader).collect::<BTreeSet<_>>() {
            add(Node::Producer(id), Node::Broker(leader));
        }
    }
    for (id, _, _, machine) in world.consumers() {
        let assigned = machine.into_iter().flat_map(Consumer::assigned).take(MOST_LINKED);
        let leaders = assigned.filter_map(|assigned| image.partition(assigned.partition)?.leader);
        for leader in leaders.collect::<BTreeSet<_>>() {
            add(Node::Broker(leader), Node::Consumer(id));
        }
    }
    // A cut or a slow link shows wherever it is, or one would look for it in vain.
    let network = world.network();
    if network.cuts().next().is_some() || !slow.is_empty() {
        let nodes: Vec<Node> =
            world.nodes().map(|(node, _)| node).filter(|node| !matches!(node, Node::Tool(_))).collect();
        for (place, one) in nodes.iter().enumerate().take(MOST_WALLED) {
            for other in nodes[place + 1..].iter().filter(|other| may_talk(*one, **other)) {
                let (from, to) = if is_left_of(*one, *other) { (*one, *other) } else { (*other, *one) };
                let changed = slow.contains(&(from, to)) || slow.contains(&(to, from));
                if changed || network.parts(from, to) {
                    add(from, to);
                }
            }
        }
    }
    links.into_iter().map(|((from, to), state)| Link { from, to, state }).collect()
}

/// Whether one of two nodes ever speaks to the other.
fn may_talk(one: Node, other: Node) -> bool {
    let server = |node| matches!(node, Node::Broker(_) | Node::Controller(_) | Node::ZooKeeper(_));
    let broker = |node| matches!(node, Node::Broker(_));
    (server(one) && server(other)) || broker(one) || broker(other)
}

/// Links are named in the direction of reading: producers, brokers, consumers.
fn is_left_of(one: Node, other: Node) -> bool {
    let rank = |node| match node {
        Node::Producer(_) | Node::Tool(_) => 0,
        Node::Broker(_) => 1,
        Node::Controller(_) | Node::ZooKeeper(_) => 2,
        Node::Consumer(_) => 3,
    };
    (rank(one), one) < (rank(other), other)
}

fn groups(world: &World) -> Vec<GroupFrame> {
    let leaders = world.leaders();
    let crowded = world.consumers().count() > MOST_CARDS;
    let mut frames: BTreeMap<String, GroupFrame> = BTreeMap::new();
    let mut topics: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (id, state, spec, machine) in world.consumers() {
        let name = spec.group.clone().unwrap_or_default();
        topics.entry(name.clone()).or_default().extend(spec.topics.iter().map(String::as_str));
        let frame = frames.entry(name.clone()).or_insert_with(|| group_frame(world, &leaders, name));
        let assigned = machine.into_iter().flat_map(Consumer::assigned);
        frame.unread += assigned
            .map(|assigned| assigned.position.map_or(0, |at| lag(&leaders, assigned.partition, at)))
            .sum::<u64>();
        frame.members.push(consumer(world, id, state, machine, if crowded { 0 } else { MOST_CHIPS }));
    }
    for (name, frame) in frames.iter_mut().filter(|(name, _)| !name.is_empty()) {
        frame.stopped = stopped(world, topics.get(name).into_iter().flatten(), &frame.members);
    }
    frames.into_values().collect()
}

/// How many partitions of the group's topics nobody may read now, and of how many.
fn stopped<'a>(world: &World, topics: impl Iterator<Item = &'a &'a str>, members: &[ConsumerCard]) -> (u32, u32) {
    let Some(image) = world.image() else { return (0, 0) };
    let all: usize = topics.filter_map(|topic| image.topic(topic)).map(|(_, topic)| topic.partitions.len()).sum();
    let read = members.iter().filter(|card| card.health != Health::Paused && card.health != Health::Down);
    let read = read.flat_map(|card| &card.chips).filter(|chip| !chip.stopped);
    // A partition is read by one member; for the moment in which a zombie does not know, it is counted once.
    let mut read: Vec<TopicPartition> = read.map(|chip| chip.partition).collect();
    read.sort_unstable();
    read.dedup();
    (all.saturating_sub(read.len()) as u32, all as u32)
}

fn group_frame(world: &World, leaders: &Leaders<'_>, name: String) -> GroupFrame {
    let found = world.coordinator_of(&name);
    let committed = world.books().groups().get(&*name).map(|account| &account.committed);
    let lag = committed.into_iter().flatten().map(|(partition, committed)| lag(leaders, *partition, *committed)).sum();
    let frame = GroupFrame {
        state: String::new(),
        rebalancing: false,
        progress: None,
        line: "no coordinator".to_owned(),
        lag,
        unread: 0,
        stopped: (0, 0),
        coordinator: found.as_ref().map(|(id, ..)| Node::Broker(*id)),
        members: Vec::new(),
        name,
    };
    if frame.name.is_empty() {
        return GroupFrame { name: "without a group".to_owned(), line: "each reads everything".to_owned(), ..frame };
    }
    let Some((_, coordinator, group)) = found else { return frame };
    match group {
        Group::Classic(group) => {
            let preparing = group.phase() == GroupPhase::PreparingRebalance;
            let (joined, all) = group
                .members()
                .fold((0, 0), |(joined, all), member| (joined + u32::from(member.has_joined()), all + 1));
            let protocol = group.protocol().map(|protocol| format!(" · {protocol}")).unwrap_or_default();
            GroupFrame {
                state: group.phase().name().to_owned(),
                rebalancing: preparing || group.phase() == GroupPhase::CompletingRebalance,
                progress: (preparing && all > 1).then(|| joined as f32 / all as f32),
                line: format!("generation {}{protocol}", group.generation()),
                ..frame
            }
        }
        Group::Consumer(group) => {
            let reconciling = matches!(group.phase(), ModernGroupPhase::Assigning | ModernGroupPhase::Reconciling);
            let (there, all) = group.members().fold((0, 0), |(there, all), member| {
                (there + u32::from(member.epoch() == group.assignment_epoch()), all + 1)
            });
            // The target is older than the group's epoch only while it is worked out.
            let target = match group.assignment_epoch() == group.epoch() {
                true => String::new(),
                false => format!(" · target {}", group.assignment_epoch()),
            };
            GroupFrame {
                state: group.phase().name().to_owned(),
                rebalancing: reconciling,
                progress: (reconciling && all > 1).then(|| there as f32 / all as f32),
                line: format!("epoch {}{target} · {}", group.epoch(), coordinator.assignor_of(group)),
                ..frame
            }
        }
        Group::Share(group) => GroupFrame {
            state: group.phase().name().to_owned(),
            line: format!("share group · epoch {}", group.epoch()),
            lag: share::lag(world, leaders, group.id()),
            ..frame
        },
    }
}

fn lag(leaders: &Leaders<'_>, partition: TopicPartition, committed: Offset) -> u64 {
    let end = leaders.of(partition).map_or(committed, |replica| replica.high_watermark());
    (end - committed).max(0).unsigned_abs()
}

fn consumer(world: &World, id: ClientId, state: NodeState, machine: Option<&Consumer>, named: u32) -> ConsumerCard {
    let node = Node::Consumer(id);
    let now = world.now();
    let working = machine.and_then(Consumer::working);
    let is_share = machine.is_some_and(Consumer::is_share);
    // Its group went on without it, and it has not come to poll() to hear so: what it still holds is not its own.
    let is_out = machine.is_some_and(|machine| {
        let subscribed = machine.group().is_some() && !matches!(machine.reads(), Reads::Partitions(_));
        !is_share && subscribed && machine.generation().is_none()
    });
    let chips: Vec<Chip> = machine
        .into_iter()
        .flat_map(Consumer::assigned)
        .zip(0_u32..)
        .map(|(assigned, place)| Chip {
            partition: assigned.partition,
            // No card has room for more: of ten thousand partitions nobody needs all names in every frame.
            label: if place < named { world.names().partition(assigned.partition) } else { String::new() },
            // Until it knows where to begin, and while its process is frozen, it reads nothing. Members of share groups
            // have no position: the leader gives them what is next.
            stopped: (!is_share && assigned.position.is_none()) || is_out || state == NodeState::Paused,
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
    // A member of the consumer protocol goes at a pace of its own: its epoch says how far it is.
    let modern = machine.filter(|machine| machine.config().group_protocol == GroupProtocol::Consumer);
    let doing = match modern.and_then(Consumer::generation).filter(|epoch| epoch.0 > 0) {
        Some(epoch) => format!("epoch {epoch} · {doing}"),
        None if is_out && !chips.is_empty() => format!("no member any more · {doing}"),
        None => doing,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::fact::Fact;
    use crate::kafka::ids::ZooKeeperId;
    use crate::sim::scenario::Scenario;
    use crate::sim::trace::Stamped;

    /// `hello` at a moment.
    fn hello(seconds: u64) -> World {
        let scenario = Scenario::parse(include_str!("../../scenarios/hello.toml")).expect("it is built in");
        let mut world = World::new(&scenario);
        world.run_until(second(seconds));
        world
    }

    fn second(seconds: u64) -> Instant {
        Instant::ZERO + Duration::secs(seconds)
    }

    fn partition(world: &World, number: u32) -> TopicPartition {
        let (topic, _) = world.image().and_then(|image| image.topic("test-topic")).expect("the topic is there");
        TopicPartition::new(topic, number)
    }

    fn noted(node: Node, at: Instant, facts: Vec<Fact>) -> Footprints {
        let mut footprints = Footprints::default();
        for (id, fact) in (1..).zip(facts) {
            footprints.enter(&Stamped { id, cause: 0, at, node: Some(node), fact });
        }
        footprints
    }

    fn strip(stage: &Stage, broker: usize, partition: TopicPartition) -> &Strip {
        let mut strips = stage.cast.brokers[broker].strips.iter();
        strips.find(|strip| strip.partition == partition).expect("a replica")
    }

    #[test]
    fn records_that_were_cut_off_fall_with_the_marks_they_had() {
        let mut world = hello(4);
        let partition = partition(&world, 2);
        let mut reader = Reader::default();
        let before = reader.stage(&world, &Footprints::default());
        let cells = strip(&before, 0, partition).cells.clone();
        let (first, end) = (cells[0].offset, cells.last().expect("records").offset + 1);
        let fact = Fact::Truncated { partition, from: end, to: first };
        let footprints = noted(Node::Broker(BrokerId(1)), second(4), vec![fact]);
        world.run_until(second(5));
        let stage = reader.stage(&world, &footprints);
        let fallen = &strip(&stage, 0, partition).fallen;
        assert_eq!(fallen.iter().map(|fallen| fallen.cell).collect::<Vec<_>>(), cells);
        assert!(fallen.iter().all(|fallen| (0.5..1.0).contains(&fallen.part)));
        assert!(strip(&stage, 1, partition).fallen.is_empty());
        // One who comes here from elsewhere sees them fall too, without their marks.
        let stage = Reader::default().stage(&world, &footprints);
        let marks: Vec<Mark> = strip(&stage, 0, partition).fallen.iter().map(|fallen| fallen.cell.mark).collect();
        assert_eq!(marks, vec![Mark::KEYLESS; cells.len()]);
    }

    #[test]
    fn a_fenced_broker_leaves_its_partitions_under_replicated() {
        let ailing = |seconds| Reader::default().stage(&hello(seconds), &Footprints::default()).cast.ailing;
        assert_eq!(ailing(3), Ailing::default());
        assert_eq!(ailing(15), Ailing { under_replicated: 3, ..Ailing::default() });
        assert_eq!(ailing(29), Ailing::default());
    }

    #[test]
    fn replicas_that_come_and_go_are_told_apart_and_do_not_count_as_missing() {
        let scenario = Scenario::parse(include_str!("../../scenarios/reassignment.toml")).expect("it is built in");
        let mut world = World::new(&scenario);
        world.run_until(second(20));
        let stage = Reader::default().stage(&world, &Footprints::default());
        let moving: Vec<Option<Moving>> =
            stage.cast.brokers.iter().flat_map(|broker| broker.strips.iter().map(|strip| strip.moving)).collect();
        assert_eq!(moving, [Some(Moving::Going), None, None, Some(Moving::Coming)]);
        assert_eq!(stage.cast.ailing.under_replicated, 0);
    }

    #[test]
    fn znodes_say_who_controls_and_leave_partitions_out() {
        let znode = |path: &str| Fact::Znode { path: path.into(), version: Some(0), ephemeral: true };
        let loading = Fact::ControllerLoading { controller: BrokerId(2), epoch: 3, partitions: 10 };
        let facts = vec![
            znode("/brokers/ids/1"),
            znode("/controller"),
            znode("/brokers/topics/orders/partitions/0/state"),
            loading,
        ];
        let footprints = noted(Node::ZooKeeper(ZooKeeperId(1)), second(1), facts);
        let lines: Vec<String> =
            znodes(&footprints, second(1)).iter().map(|line| format!("{} {}", line.path, line.value)).collect();
        assert_eq!(lines, ["/controller → broker-2", "/brokers/ids/1 "]);
    }
}
