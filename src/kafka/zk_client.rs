//! A broker's session with ZooKeeper (`org.apache.zookeeper.ClientCnxn`, Kafka's `ZooKeeperClient`).
//!
//! The session is opened at one server and goes on at another when the connection is lost: requests that were under way
//! are sent again there (`retryRequestsUntilConnected`), watches come along. Only ZooKeeper can end a session, and a
//! client learns of it when it is back in touch. Up to `zookeeper.max.in.flight.requests` requests are under way at once.
//!
//! A third of the session timeout without anything to say, and the client sends a ping; two thirds without hearing
//! anything, and it looks for another server.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::effects::{Effects, Timer};
use super::ids::{BrokerId, Node};
use super::message::ensemble::{
    SessionId, Watch, WatchKind, ZkConnectRequest, ZkConnectResponse, ZkOp, ZkPingRequest, ZkRequest, ZkResult, Zxid,
};
use super::message::{Message, Request, Response};
use super::zookeeper::Ensemble;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// A pause before the next server is tried is drawn from below this.
const RECONNECT_MILLIS: u32 = 1000;

/// What the client has to say to the broker.
#[derive(Clone, Debug)]
pub enum ZkEvent {
    /// A new session begins.
    Opened,
    /// The session is over; whatever was asked in it is forgotten.
    Expired,
    /// Every operation of a batch has been answered.
    Done { batch: u64, results: Vec<ZkResult> },
    /// A watch fired.
    Changed(Watch),
}

/// One client.
#[derive(Clone, Debug)]
pub struct ZkClient {
    broker: BrokerId,
    ensemble: Ensemble,
    timeout: Duration,
    max_in_flight: usize,
    rng: Rng,
    link: Link,
    /// Which server is tried next.
    next_server: u32,
    session: Option<SessionId>,
    last_zxid: Zxid,
    watches: BTreeSet<Watch>,
    queue: VecDeque<Ask>,
    in_flight: BTreeMap<u32, Ask>,
    batches: BTreeMap<u64, Batch>,
    next_batch: u64,
    next_correlation_id: u32,
    last_sent: Instant,
    last_heard: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Down { retry_at: Instant },
    Connecting { server: Node, since: Instant },
    Up { server: Node },
}

#[derive(Clone, Debug)]
struct Ask {
    batch: u64,
    at: usize,
    op: ZkOp,
}

#[derive(Clone, Debug)]
struct Batch {
    results: Vec<Option<ZkResult>>,
    missing: usize,
}

impl ZkClient {
    /// A client without a connection. A broker that was up before has its session, and what it watches.
    pub fn new(
        broker: BrokerId,
        ensemble: Ensemble,
        timeout: Duration,
        max_in_flight: u32,
        session: Option<(SessionId, Zxid, BTreeSet<Watch>)>,
        mut rng: Rng,
    ) -> Self {
        // Settled brokers spread over the servers, so that the picture is not a matter of luck.
        let count = ensemble.len().max(1) as u32;
        let next_server = if session.is_some() { broker.0.unsigned_abs() % count } else { rng.below(count) };
        let (session, last_zxid, watches) = match session {
            Some((session, zxid, watches)) => (Some(session), zxid, watches),
            None => (None, Zxid::default(), BTreeSet::new()),
        };
        Self {
            broker,
            ensemble,
            timeout,
            max_in_flight: max_in_flight as usize,
            rng,
            link: Link::Down { retry_at: Instant::ZERO },
            next_server,
            session,
            last_zxid,
            watches,
            queue: VecDeque::new(),
            in_flight: BTreeMap::new(),
            batches: BTreeMap::new(),
            next_batch: 0,
            next_correlation_id: 0,
            last_sent: Instant::ZERO,
            last_heard: Instant::ZERO,
        }
    }

    /// The session, where there is one.
    pub fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// The server it is connected to.
    pub fn server(&self) -> Option<Node> {
        if let Link::Up { server } = self.link { Some(server) } else { None }
    }

    /// Connects.
    pub fn start(&mut self, now: Instant, out: &mut Effects) {
        self.connect(now, out);
        self.set_timer(out);
    }

    /// Asks for operations, each by itself. Their results come together as [`ZkEvent::Done`].
    pub fn submit(&mut self, now: Instant, ops: Vec<ZkOp>, out: &mut Effects) -> u64 {
        assert!(!ops.is_empty(), "a batch without operations is never done");
        let batch = self.next_batch;
        self.next_batch += 1;
        self.batches.insert(batch, Batch { results: vec![None; ops.len()], missing: ops.len() });
        self.queue.extend(ops.into_iter().enumerate().map(|(at, op)| Ask { batch, at, op }));
        self.send_queued(now, out);
        batch
    }

    pub fn on_message(&mut self, now: Instant, from: Node, message: Message, out: &mut Effects) -> Vec<ZkEvent> {
        let speaks = match self.link {
            Link::Up { server } | Link::Connecting { server, .. } => server == from,
            Link::Down { .. } => false,
        };
        if !speaks {
            return Vec::new();
        }
        self.last_heard = now;
        let events = match message {
            Message::Response { response: Response::ZkConnect(answer), .. } => {
                self.on_connected(now, from, answer, out)
            }
            Message::Response { correlation_id, response: Response::ZkRequest(answer) } => {
                self.last_zxid = self.last_zxid.max(answer.zxid);
                self.on_answer(correlation_id, answer.result)
            }
            Message::Request { request: Request::ZkWatchEvent(event), .. } => {
                self.last_zxid = self.last_zxid.max(event.zxid);
                if self.watches.remove(&event.watch) { vec![ZkEvent::Changed(event.watch)] } else { Vec::new() }
            }
            _ => Vec::new(),
        };
        self.send_queued(now, out);
        self.set_timer(out);
        events
    }

    pub fn on_disconnected(&mut self, now: Instant, peer: Node, out: &mut Effects) {
        if matches!(self.link, Link::Up { server } | Link::Connecting { server, .. } if server == peer) {
            self.lose(now);
            self.set_timer(out);
        }
    }

    /// On [`Timer::ZkSession`].
    pub fn on_timer(&mut self, now: Instant, out: &mut Effects) {
        match self.link {
            Link::Down { retry_at } if retry_at <= now => self.connect(now, out),
            Link::Connecting { server, since } if now >= since + self.connect_timeout() => {
                out.close_connection(server);
                self.lose(now);
            }
            Link::Up { server } if now >= self.last_heard + self.timeout * 2 / 3 => {
                out.close_connection(server);
                self.lose(now);
            }
            Link::Up { server } if now >= self.last_sent + self.timeout / 3 => {
                if let Some(session) = self.session {
                    self.last_sent = now;
                    out.request(server, u32::MAX, Request::ZkPing(ZkPingRequest { session }));
                }
            }
            _ => {}
        }
        self.set_timer(out);
    }

    fn connect_timeout(&self) -> Duration {
        self.timeout / self.ensemble.len().max(1) as u64
    }

    fn set_timer(&self, out: &mut Effects) {
        let at = match self.link {
            Link::Down { retry_at } => retry_at,
            Link::Connecting { since, .. } => since + self.connect_timeout(),
            Link::Up { .. } => (self.last_sent + self.timeout / 3).min(self.last_heard + self.timeout * 2 / 3),
        };
        out.set_timer(at, Timer::ZkSession);
    }

    fn connect(&mut self, now: Instant, out: &mut Effects) {
        let server = Node::ZooKeeper(self.ensemble[self.next_server as usize % self.ensemble.len()]);
        self.next_server = (self.next_server + 1) % self.ensemble.len() as u32;
        self.link = Link::Connecting { server, since: now };
        self.last_sent = now;
        let request = ZkConnectRequest {
            client: self.broker,
            session: self.session,
            timeout: self.timeout,
            last_zxid: self.last_zxid,
            watches: self.watches.iter().cloned().collect(),
        };
        out.request(server, u32::MAX, Request::ZkConnect(request));
    }

    /// The connection is gone; the session may live on.
    fn lose(&mut self, now: Instant) {
        let pause = Duration::millis(u64::from(self.rng.below(RECONNECT_MILLIS)));
        self.link = Link::Down { retry_at: now + pause };
        for (_, ask) in std::mem::take(&mut self.in_flight).into_iter().rev() {
            self.queue.push_front(ask);
        }
    }

    fn on_connected(&mut self, now: Instant, from: Node, answer: ZkConnectResponse, out: &mut Effects) -> Vec<ZkEvent> {
        let had = self.session.is_some();
        match answer.session {
            Some(session) => {
                self.link = Link::Up { server: from };
                self.session = Some(session);
                self.last_zxid = self.last_zxid.max(answer.zxid);
                if had { Vec::new() } else { vec![ZkEvent::Opened] }
            }
            None => {
                self.session = None;
                self.last_zxid = Zxid::default();
                self.watches.clear();
                self.queue.clear();
                self.in_flight.clear();
                self.batches.clear();
                self.connect(now, out);
                vec![ZkEvent::Expired]
            }
        }
    }

    fn on_answer(&mut self, correlation_id: u32, result: ZkResult) -> Vec<ZkEvent> {
        let Some(ask) = self.in_flight.remove(&correlation_id) else { return Vec::new() };
        match ask.op {
            ZkOp::GetData { path, watch: true } => {
                self.watches.insert((path, WatchKind::Data));
            }
            ZkOp::GetChildren { path, watch: true } => {
                self.watches.insert((path, WatchKind::Children));
            }
            _ => {}
        }
        let Some(batch) = self.batches.get_mut(&ask.batch) else { return Vec::new() };
        if batch.results[ask.at].replace(result).is_none() {
            batch.missing -= 1;
        }
        if batch.missing > 0 {
            return Vec::new();
        }
        let done = self.batches.remove(&ask.batch).map(|batch| batch.results).unwrap_or_default();
        vec![ZkEvent::Done { batch: ask.batch, results: done.into_iter().flatten().collect() }]
    }

    fn send_queued(&mut self, now: Instant, out: &mut Effects) {
        let (Link::Up { server }, Some(session)) = (self.link, self.session) else { return };
        while self.in_flight.len() < self.max_in_flight {
            let Some(ask) = self.queue.pop_front() else { break };
            let correlation_id = self.next_correlation_id;
            self.next_correlation_id = (self.next_correlation_id + 1) % (u32::MAX - 1);
            out.request(server, correlation_id, Request::ZkRequest(ZkRequest { session, op: ask.op.clone() }));
            self.in_flight.insert(correlation_id, ask);
            self.last_sent = now;
        }
    }
}
