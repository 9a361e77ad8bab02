//! ZooKeeper: a small tree of znodes that a majority of servers agrees on. Kafka up to 3.9 kept its metadata in it.
//!
//! One server leads, the others follow. Any server answers a client's reads from its own tree, which may lag a little.
//! Every write goes to the leader, which numbers it and proposes it; a server that has it on its disk acknowledges; with
//! a majority the leader commits it, and every server applies it in the order of the numbers (Zab). The server that the
//! client is connected to answers when it has applied the write itself.
//!
//! | state | what the server does | ends when |
//! |---|---|---|
//! | LOOKING | votes ([`election`]); turns clients away | a majority wants the same leader |
//! | FOLLOWING | passes writes on, logs proposals, applies commits ([`zab`]) | the leader was silent for `syncLimit` ticks, or its connection broke |
//! | LEADING | numbers, proposes and commits writes, ends sessions | fewer than a majority was heard within `syncLimit` ticks |
//!
//! A client has a *session*, which outlives its connection. The leader ends a session that nobody heard of for its
//! timeout, rounded up to the next tick; its *ephemeral* znodes go with it. So without a majority there is no leader,
//! nothing is written, and no session ends. A *watch* tells a client once that a znode, or the children of one, have
//! changed; it lives at the server the client is connected to.
//!
//! Source: Apache ZooKeeper 3.8, `QuorumPeer`, `FastLeaderElection`, `Leader`, `Learner`, `SessionTrackerImpl`. What we
//! leave out: observers, reconfiguration, quotas, ACLs; snapshots on disk (a server keeps its tree and the last
//! transactions); the leader's outstanding changes (each server finds out by itself, and all alike, whether a conditional
//! write succeeds); the order between a client's reads and its writes still under way (Kafka waits for its writes).

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::effects::{Effects, Input, Timer};
use super::fact::{EnsemblePhase, Fact};
use super::ids::{Node, ZooKeeperId};
use super::message::ensemble::{
    SessionId, Watch, WatchKind, ZkChange, ZkConnectRequest, ZkConnectResponse, ZkOp, ZkPingResponse, ZkRequest,
    ZkResponse, ZkResult, ZkTxn, ZkWatchEvent, ZkWrite, Zxid,
};
use super::message::{Message, Request, Response};
use crate::time::{Duration, Instant};

mod disk;
mod election;
pub mod paths;
pub mod tree;
mod zab;

pub use disk::ZooKeeperDisk;
use election::Election;
use tree::{Touched, Tree};
use zab::{Following, Leading};

/// Every server of an ensemble.
pub type Ensemble = Rc<[ZooKeeperId]>;

/// `tickTime`.
const TICK: Duration = Duration::secs(2);
/// `syncLimit`: 5 ticks without a word, and a leader or a follower counts as gone.
const SYNC_LIMIT: Duration = Duration::secs(10);
/// `initLimit`: 10 ticks for followers to gather around a new leader.
const INIT_LIMIT: Duration = Duration::secs(20);
/// What forcing the transaction log to the disk takes. All that arrived meanwhile goes with the next time.
const FSYNC: Duration = Duration::millis(1);

/// One server.
#[derive(Clone, Debug)]
pub struct ZooKeeperServer {
    id: ZooKeeperId,
    ensemble: Ensemble,
    disk: ZooKeeperDisk,
    state: State,
    /// `logicalclock`: the round of voting.
    round: u64,
    /// Logged, or about to be, and not committed yet.
    pending: std::collections::VecDeque<ZkTxn>,
    /// Not on the disk yet.
    unsynced: Vec<ZkTxn>,
    clients: BTreeMap<Node, SessionId>,
    watches: BTreeMap<Watch, BTreeSet<Node>>,
    tickets: BTreeMap<u64, Ticket>,
    next_ticket: u64,
    /// Sessions that the leader has not been told of since they were heard.
    heard_of: BTreeSet<SessionId>,
    /// Those that follow this server before it knows that it leads.
    early: BTreeMap<ZooKeeperId, super::message::ensemble::ZabFollow>,
}

#[derive(Clone, Debug)]
enum State {
    Looking(Election),
    Following(Following),
    Leading(Leading),
}

/// A client that waits for its write.
#[derive(Clone, Debug)]
struct Ticket {
    client: Node,
    correlation_id: u32,
    /// It waits for its session; these are its watches.
    watches: Option<(Zxid, Vec<Watch>)>,
}

impl ZooKeeperServer {
    /// A server as its process starts. A settled one has been up for long: the server with the highest number leads.
    pub fn new(id: ZooKeeperId, ensemble: Ensemble, disk: ZooKeeperDisk, settled: bool) -> Self {
        let leader = ensemble.iter().copied().max().unwrap_or(id);
        let epoch = disk.current_epoch();
        let state = match settled {
            true if leader == id => State::Leading(Leading::settled(epoch, disk.last_zxid(), &ensemble)),
            true => State::Following(Following::settled(leader)),
            false => State::Looking(Election::new(disk.vote(id))),
        };
        Self {
            id,
            ensemble,
            pending: disk.unapplied().collect(),
            disk,
            state,
            round: u64::from(settled),
            unsynced: Vec::new(),
            clients: BTreeMap::new(),
            watches: BTreeMap::new(),
            tickets: BTreeMap::new(),
            next_ticket: 0,
            heard_of: BTreeSet::new(),
            early: BTreeMap::new(),
        }
    }

    pub fn step(&mut self, now: Instant, input: Input, out: &mut Effects) {
        match input {
            Input::Start => self.start(now, out),
            Input::Message { from, message: Message::Request { correlation_id, request } } => {
                self.on_request(now, from, correlation_id, request, out);
            }
            Input::Message { from, message: Message::Response { response: Response::ZabPing(pong), .. } } => {
                self.on_pong(now, from, &pong);
            }
            Input::Message { .. } => {}
            Input::Timer(Timer::ZkTick) => {
                self.on_tick(now, out);
                self.set_tick(now, out);
            }
            Input::Timer(Timer::ZkElection) => self.on_election_timer(now, out),
            Input::Timer(Timer::ZkFsync) => self.on_synced(now, out),
            Input::Timer(_) => {}
            Input::Disconnected { peer } => self.on_disconnected(now, peer, out),
            Input::Shutdown => out.exit(),
        }
    }

    /// What survives the process.
    pub fn into_disk(self) -> ZooKeeperDisk {
        self.disk
    }

    pub fn id(&self) -> ZooKeeperId {
        self.id
    }

    /// The znodes as this server has them.
    pub fn tree(&self) -> &Tree {
        self.disk.tree()
    }

    pub fn phase(&self) -> EnsemblePhase {
        match self.state {
            State::Looking(_) => EnsemblePhase::Looking,
            State::Following(_) => EnsemblePhase::Following,
            State::Leading(_) => EnsemblePhase::Leading,
        }
    }

    /// Whether it takes clients: it leads with a majority behind it, or follows such a leader and is up to date.
    pub fn is_serving(&self) -> bool {
        match &self.state {
            State::Looking(_) => false,
            State::Following(following) => following.serving,
            State::Leading(leading) => leading.established,
        }
    }

    /// The epoch of the leader it last agreed to.
    pub fn epoch(&self) -> u32 {
        self.disk.current_epoch()
    }

    fn majority(&self) -> usize {
        self.ensemble.len() / 2 + 1
    }

    fn others(&self) -> impl Iterator<Item = ZooKeeperId> + use<> {
        let (id, ensemble) = (self.id, self.ensemble.clone());
        (0..ensemble.len()).map(move |at| ensemble[at]).filter(move |other| *other != id)
    }

    fn start(&mut self, now: Instant, out: &mut Effects) {
        self.set_tick(now, out);
        let sessions: Vec<SessionId> = self.disk.tree().sessions().map(|(id, _)| id).collect();
        match &mut self.state {
            State::Looking(_) => self.look(now, out),
            State::Following(following) => following.last_heard = now,
            State::Leading(leading) => {
                leading.last_heard.values_mut().for_each(|at| *at = now);
                leading.sessions = sessions.into_iter().map(|id| (id, now)).collect();
            }
        }
    }

    /// Ticks are whole multiples of half a `tickTime`, so that sessions end where their time was rounded up to.
    fn set_tick(&self, now: Instant, out: &mut Effects) {
        let half = (TICK / 2).as_micros();
        out.set_timer(Instant::from_micros((now.as_micros() / half + 1) * half), Timer::ZkTick);
    }

    fn on_request(&mut self, now: Instant, from: Node, correlation_id: u32, request: Request, out: &mut Effects) {
        match request {
            Request::ZkConnect(connect) => self.on_connect(now, from, correlation_id, connect, out),
            Request::ZkRequest(request) => self.on_operation(now, from, correlation_id, request, out),
            Request::ZkPing(ping) => {
                if self.clients.get(&from) != Some(&ping.session) {
                    return out.close_connection(from);
                }
                self.touch(now, ping.session);
                out.respond(from, correlation_id, Response::ZkPing(ZkPingResponse {}));
            }
            of_a_server => match from {
                Node::ZooKeeper(server) => self.on_server_request(now, server, correlation_id, of_a_server, out),
                _ => out.close_connection(from),
            },
        }
    }

    fn on_connect(
        &mut self,
        now: Instant,
        from: Node,
        correlation_id: u32,
        connect: ZkConnectRequest,
        out: &mut Effects,
    ) {
        // "Refusing session request as client has seen zxid": it would go back in time.
        if !self.is_serving() || connect.last_zxid > self.tree().applied() {
            return out.close_connection(from);
        }
        let (session, change) = match connect.session {
            Some(session) => (session, ZkChange::MoveSession),
            None => (SessionId(0), ZkChange::OpenSession { client: connect.client, timeout: connect.timeout }),
        };
        let watches = Some((connect.last_zxid, connect.watches));
        self.submit(now, session, change, Ticket { client: from, correlation_id, watches }, out);
    }

    fn on_operation(&mut self, now: Instant, from: Node, correlation_id: u32, request: ZkRequest, out: &mut Effects) {
        let ZkRequest { session, op } = request;
        if self.clients.get(&from) != Some(&session) || !self.is_serving() {
            return out.close_connection(from);
        }
        self.touch(now, session);
        if op.is_write() {
            let ticket = Ticket { client: from, correlation_id, watches: None };
            return self.submit(now, session, ZkChange::Op(op), ticket, out);
        }
        let result = self.tree().read(&op);
        match op {
            // A watch on a znode that is not there waits for it to be created (`exists`).
            ZkOp::GetData { path, watch: true } => self.watch(from, (path, WatchKind::Data)),
            ZkOp::GetChildren { path, watch: true } => self.watch(from, (path, WatchKind::Children)),
            _ => {}
        }
        self.answer(from, correlation_id, result, out);
    }

    fn answer(&self, to: Node, correlation_id: u32, result: ZkResult, out: &mut Effects) {
        let zxid = self.tree().applied();
        out.respond(to, correlation_id, Response::ZkRequest(ZkResponse { zxid, result }));
    }

    /// Hands a write of a client to the leader.
    fn submit(&mut self, now: Instant, session: SessionId, change: ZkChange, ticket: Ticket, out: &mut Effects) {
        let number = self.next_ticket;
        self.next_ticket += 1;
        self.tickets.insert(number, ticket);
        let write = ZkWrite { origin: self.id, ticket: number, session, change };
        match &self.state {
            State::Following(following) => {
                out.request(Node::ZooKeeper(following.leader), 0, Request::ZabForward(write));
            }
            State::Leading(_) => self.propose(now, write, out),
            State::Looking(_) => {}
        }
    }

    /// A session was heard of.
    fn touch(&mut self, now: Instant, session: SessionId) {
        match &mut self.state {
            State::Leading(leading) => leading.touch(now, session),
            _ => {
                self.heard_of.insert(session);
            }
        }
    }

    fn watch(&mut self, client: Node, watch: Watch) {
        self.watches.entry(watch).or_default().insert(client);
    }

    /// A transaction is committed: it takes effect here, watches fire, and its client is answered if it waits here.
    fn apply(&mut self, now: Instant, txn: &ZkTxn, out: &mut Effects) {
        let mut touched = Vec::new();
        let ended = self.ended_session(txn);
        let result = self.disk.apply(txn, &mut touched);
        if let State::Leading(leading) = &mut self.state {
            narrate(txn, &touched, ended.map(|(client, _)| client), out);
            leading.after_apply(now, txn, result.is_ok());
        }
        for touched in &touched {
            for (path, kind) in tree::fires(touched) {
                self.fire(path, kind, out);
            }
        }
        if txn.write.origin == self.id {
            self.answer_ticket(txn, result, out);
        }
        if let Some((client, _)) = ended.filter(|(_, expired)| *expired) {
            self.drop_client_of(txn.write.session, Node::Broker(client), out);
        }
    }

    /// The client whose session this transaction ends, and whether it had expired.
    fn ended_session(&self, txn: &ZkTxn) -> Option<(super::ids::BrokerId, bool)> {
        let ends = match &txn.write.change {
            ZkChange::CloseSession { .. } => true,
            ZkChange::Op(ZkOp::CloseSession) => false,
            _ => return None,
        };
        Some((self.tree().session(txn.write.session)?.client, ends))
    }

    /// The client of a session that has expired is shown the door.
    fn drop_client_of(&mut self, session: SessionId, client: Node, out: &mut Effects) {
        if self.clients.get(&client) == Some(&session) {
            self.forget_client(client);
            out.close_connection(client);
        }
    }

    fn answer_ticket(&mut self, txn: &ZkTxn, result: ZkResult, out: &mut Effects) {
        let Some(Ticket { client, correlation_id, watches }) = self.tickets.remove(&txn.write.ticket) else { return };
        let Some((seen, watches)) = watches else {
            return self.answer(client, correlation_id, result, out);
        };
        let session = match &txn.write.change {
            ZkChange::OpenSession { .. } => Some(SessionId(txn.zxid.0)),
            _ => result.is_ok().then_some(txn.write.session),
        };
        let response = ZkConnectResponse { session, zxid: txn.zxid };
        out.respond(client, correlation_id, Response::ZkConnect(response));
        if let Some(session) = session {
            self.clients.insert(client, session);
            watches.into_iter().for_each(|watch| self.set_watch(client, seen, watch, out));
        }
    }

    /// A client brings its watches along; what has changed since fires at once (`DataTree.setWatches`).
    fn set_watch(&mut self, client: Node, seen: Zxid, watch: Watch, out: &mut Effects) {
        let changed = match watch.1 {
            // Whether a znode that is not there was there before is not known: its watch waits on.
            WatchKind::Data => self.tree().get(&watch.0).is_some_and(|znode| znode.stat.mzxid > seen),
            WatchKind::Children => self.tree().children_changed_at(&watch.0) > seen,
        };
        // A deletion leaves nothing but its trace in the parent.
        let gone = watch.1 == WatchKind::Data
            && self.tree().get(&watch.0).is_none()
            && self.tree().children_changed_at(tree::parent(&watch.0)) > seen;
        let (path, kind) = (watch.0.clone(), watch.1);
        self.watch(client, watch);
        if changed || gone {
            self.fire_for(&path, kind, client, out);
        }
    }

    fn fire(&mut self, path: &str, kind: WatchKind, out: &mut Effects) {
        let key: Watch = (path.into(), kind);
        for client in self.watches.remove(&key).unwrap_or_default() {
            self.send_event(client, key.clone(), out);
        }
    }

    fn fire_for(&mut self, path: &str, kind: WatchKind, client: Node, out: &mut Effects) {
        let key: Watch = (path.into(), kind);
        if self.watches.get_mut(&key).is_some_and(|clients| clients.remove(&client)) {
            self.send_event(client, key, out);
        }
    }

    fn send_event(&self, client: Node, watch: Watch, out: &mut Effects) {
        if let Some(broker) = client.broker() {
            out.note(Fact::WatchFired { client: broker, path: watch.0.clone() });
        }
        out.request(client, 0, Request::ZkWatchEvent(ZkWatchEvent { watch, zxid: self.tree().applied() }));
    }

    fn on_disconnected(&mut self, now: Instant, peer: Node, out: &mut Effects) {
        match peer {
            Node::ZooKeeper(server) => self.on_server_lost(now, server, out),
            client => self.forget_client(client),
        }
    }

    fn forget_client(&mut self, client: Node) {
        self.clients.remove(&client);
        self.tickets.retain(|_, ticket| ticket.client != client);
        self.watches.retain(|_, clients| {
            clients.remove(&client);
            !clients.is_empty()
        });
    }

    /// The server no longer speaks for the ensemble: its clients have to look for another.
    fn drop_clients(&mut self, out: &mut Effects) {
        let waiting = self.tickets.values().map(|ticket| ticket.client);
        let clients: BTreeSet<Node> = self.clients.keys().copied().chain(waiting).collect();
        for client in clients {
            self.forget_client(client);
            out.close_connection(client);
        }
    }
}

/// What a transaction did, once for the whole ensemble: the leader tells it.
fn narrate(txn: &ZkTxn, touched: &[Touched], client: Option<super::ids::BrokerId>, out: &mut Effects) {
    if let (ZkChange::CloseSession { silent_for: Some(silent_for) }, Some(client)) = (&txn.write.change, client) {
        out.note(Fact::SessionExpired { client, silent_for: *silent_for });
    }
    for touched in touched {
        let (path, version, ephemeral) = (touched.path.clone(), touched.version, touched.ephemeral);
        out.note(Fact::Znode { path, version, ephemeral });
    }
}
