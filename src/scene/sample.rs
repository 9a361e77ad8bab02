//! Stages made by hand: for the tests of this folder, and for the page's own benchmark, which needs ten thousand
//! messages whatever the engine does.

use std::rc::Rc;

use super::marks::Mark;
use super::stage::*;
use crate::kafka::ids::{BrokerId, ClientId, ControllerId, Node, TopicId, TopicPartition};
use crate::time::{Duration, Instant};

const TOPIC: TopicId = TopicId(0);

fn broker(id: i32) -> Node {
    Node::Broker(BrokerId(id))
}

fn strip(partition: u32, keys: &[u64], high_watermark: i64, leader: bool, in_sync: bool) -> Strip {
    Strip {
        partition: TopicPartition::new(TOPIC, partition),
        label: format!("test-{partition}"),
        leader,
        in_sync,
        log_start: 0,
        log_end: keys.len() as i64,
        high_watermark,
        cells: (0..)
            .zip(keys)
            .map(|(offset, key)| Cell { offset, mark: Mark::nth(*key), tombstone: false, control: false })
            .collect(),
        epochs: vec![(0, 0)],
        eligible: false,
        trouble: Trouble::None,
        moving: None,
        fallen: Vec::new(),
        held: Vec::new(),
        flushed: 0,
        segments: Vec::new(),
    }
}

fn controllers() -> Vec<ControllerCard> {
    (101..=103)
        .map(|id| ControllerCard {
            node: Node::Controller(ControllerId(id)),
            name: format!("controller-{id}"),
            health: Health::Running,
            role: if id == 101 { "leader · epoch 1".to_owned() } else { "follower".to_owned() },
            active: id == 101,
            electing: false,
            votes: None,
        })
        .collect()
}

/// A moment of `hello`, just after broker-1 was fenced.
pub fn hello() -> Stage {
    let card = |id: i32, status: &str, health, strips| BrokerCard {
        node: broker(id),
        name: format!("broker-{id}"),
        health,
        status: status.to_owned(),
        alarming: health == Health::Down,
        rack: None,
        loading: None,
        strips,
        internal: (50, 17),
    };
    let (go, c1, c2) = (Node::Producer(ClientId(0)), Node::Consumer(ClientId(1)), Node::Consumer(ClientId(2)));
    let brokers = vec![
        card(
            1,
            "down · fenced at 13.6 s",
            Health::Down,
            vec![
                strip(0, &[0, 3], 2, false, false),
                strip(1, &[1, 4], 2, false, false),
                strip(2, &[2, 5], 2, false, false),
            ],
        ),
        card(
            2,
            "running · leads 2",
            Health::Running,
            vec![
                strip(0, &[0, 3], 2, false, true),
                strip(1, &[1, 4, 6], 2, true, true),
                strip(2, &[2, 5], 2, true, true),
            ],
        ),
        card(
            3,
            "running · leads 1",
            Health::Running,
            vec![
                strip(0, &[0, 3], 2, true, true),
                strip(1, &[1, 4], 2, false, true),
                strip(2, &[2, 5], 2, false, true),
            ],
        ),
    ];
    let chip = |partition| Chip {
        partition: TopicPartition::new(TOPIC, partition),
        label: format!("test-{partition}"),
        stopped: false,
    };
    let member = |node, name: &str, chips, doing: &str, mark, progress| ConsumerCard {
        node,
        name: name.to_owned(),
        health: Health::Running,
        chips,
        doing: doing.to_owned(),
        mark,
        progress,
        processed: 3,
        buffered: 0,
    };
    let group = GroupFrame {
        stopped: (0, 0),
        name: "consumer-group".to_owned(),
        state: "Stable".to_owned(),
        rebalancing: false,
        progress: None,
        line: "generation 1 · range".to_owned(),
        lag: 1,
        unread: 1,
        coordinator: Some(broker(2)),
        members: vec![
            member(c1, "consumer-c1", vec![chip(0), chip(1)], "Key-1 · 12 / 20 ms", Some(Mark::nth(1)), Some(0.6)),
            member(c2, "consumer-c2", vec![chip(2)], "waits for records", None, None),
        ],
    };
    let link = |from, to, state| Link { from, to, state };
    let links = vec![
        link(go, broker(1), LinkState::Dead),
        link(go, broker(2), LinkState::Open),
        link(go, broker(3), LinkState::Open),
        link(broker(2), c1, LinkState::Open),
        link(broker(3), c1, LinkState::Open),
        link(broker(2), c2, LinkState::Open),
    ];
    let flight = |id, from, to, part: f64, kind, label, marks: &[u64]| {
        let sent = Instant::from_micros(14_203_000 - (2000.0 * part) as u64);
        Flight {
            id,
            from,
            to,
            sent,
            due: sent + Duration::millis(2),
            kind,
            label,
            records: marks.len() as u32,
            marks: [0, 1, 2].map(|place| marks.get(place).map(|key| Mark::nth(*key))),
        }
    };
    let messages = vec![
        flight(1, go, broker(2), 0.56, FlightKind::Records, "Produce", &[7]),
        flight(2, broker(2), c1, 0.5, FlightKind::Records, "Fetch", &[4]),
        flight(3, broker(2), broker(3), 0.45, FlightKind::Records, "Fetch", &[6]),
        flight(4, broker(3), broker(2), 0.2, FlightKind::Ask, "Fetch", &[]),
        flight(5, broker(3), go, 0.3, FlightKind::Reply, "Produce", &[]),
        flight(6, broker(3), Node::Controller(ControllerId(101)), 0.7, FlightKind::Control, "AlterPartition", &[]),
        flight(7, c2, broker(2), 0.4, FlightKind::Control, "OffsetCommit", &[]),
        flight(8, broker(2), Node::Controller(ControllerId(101)), 0.5, FlightKind::Pulse, "BrokerHeartbeat", &[]),
        flight(9, c2, broker(2), 0.75, FlightKind::Ask, "Fetch", &[]),
    ];
    Stage {
        now: Instant::from_micros(14_203_000),
        cast: Rc::new(Cast {
            producers: vec![ProducerCard {
                node: go,
                name: "producer-go".to_owned(),
                health: Health::Running,
                line: "1 record/s · acks=all".to_owned(),
                sent: 8,
                acked: 6,
                failed: 0,
                open: 2,
            }],
            tools: Vec::new(),
            controllers: controllers(),
            brokers,
            groups: vec![group],
            znodes: Vec::new(),
            ailing: Ailing { under_replicated: 3, ..Ailing::default() },
            links,
        }),
        messages,
    }
}

/// A cluster of this size with one group, nothing under way.
pub fn cluster(brokers: i32, partitions: u32, members: u32) -> Stage {
    let mut stage = hello();
    stage.messages.clear();
    let cast = Rc::make_mut(&mut stage.cast);
    cast.links.clear();
    cast.brokers = (1..=brokers)
        .map(|id| BrokerCard {
            node: broker(id),
            name: format!("broker-{id}"),
            health: Health::Running,
            status: "running".to_owned(),
            alarming: false,
            rack: None,
            loading: None,
            strips: (0..partitions).map(|partition| strip(partition, &[0, 1, 2, 3], 4, false, true)).collect(),
            internal: (0, 0),
        })
        .collect();
    let member = cast.groups[0].members[0].clone();
    cast.groups[0].members = (0..members)
        .map(|id| ConsumerCard {
            node: Node::Consumer(ClientId(id + 1)),
            name: format!("consumer-{id}"),
            ..member.clone()
        })
        .collect();
    stage
}

/// `hello` with this many messages on their way, spread over every link; `now` moves them on.
pub fn busy(messages: u64, now: Instant) -> Stage {
    let mut stage = hello();
    stage.now = now;
    stage.messages = crowd(&stage.cast, messages, now);
    stage
}

/// Messages that keep flying around a cast, for as long as `now` moves on.
pub fn crowd(cast: &Cast, messages: u64, now: Instant) -> Vec<Flight> {
    const CROSSING: u64 = 1_000_000;
    let producers: Vec<Node> = cast.producers.iter().map(|card| card.node).collect();
    let brokers: Vec<Node> = cast.brokers.iter().map(|card| card.node).collect();
    let consumers: Vec<Node> = cast.groups.iter().flat_map(|group| &group.members).map(|card| card.node).collect();
    let pick = |nodes: &[Node], id: u64| nodes[(id % nodes.len().max(1) as u64) as usize];
    (0..messages)
        .map(|id| {
            let (from, to) = match id % 3 {
                0 => (pick(&producers, id / 3), pick(&brokers, id / 5)),
                1 => (pick(&brokers, id / 3), pick(&consumers, id / 5)),
                _ => (pick(&brokers, id / 3), pick(&brokers, id / 3 + 1)),
            };
            let phase = (id.wrapping_mul(2_654_435_769) % CROSSING + now.as_micros()) % CROSSING;
            let sent = Instant::from_micros(now.as_micros().saturating_sub(phase));
            Flight {
                id,
                from,
                to,
                sent,
                due: sent + Duration::micros(CROSSING),
                kind: FlightKind::Records,
                label: "Fetch",
                records: 1,
                marks: [Some(Mark::nth(id / 3)), None, None],
            }
        })
        .collect()
}
