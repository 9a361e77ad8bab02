//! Connections: how messages get from one machine to another, and how machines learn that one does not.
//!
//! A client connects before its first request, and again after a connection broke. While the peer cannot be reached TCP
//! keeps trying: what a cut holds up arrives after it heals. Nobody waits for ever: an attempt to connect is given up
//! after `socket.connection.setup.timeout.ms`, which doubles with each failure in a row up to
//! `socket.connection.setup.timeout.max.ms` (`ClusterConnectionStates`, KIP-601); a request on a connection that stands
//! has its own timeout, which its machine keeps.
//!
//! What we leave out: the packets of the handshake itself.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::rc::Rc;

use super::{Envelope, Event, World};
use crate::kafka::backoff::Backoff;
use crate::kafka::effects::Input;
use crate::kafka::fact::{DropReason, Fact};
use crate::kafka::ids::Node;
use crate::kafka::message::Message;
use crate::sim::letters::Letter;
use crate::time::Instant;

/// Who is connected to whom, and what does not get through.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    /// By client and server.
    states: BTreeMap<(Node, Node), State>,
    /// Attempts to connect that failed in a row.
    failures: BTreeMap<(Node, Node), u32>,
    next_attempt: u64,
    /// Messages and news of broken connections that cuts hold up.
    held_up: Vec<Rc<Envelope>>,
    held_up_news: Vec<(Node, Node, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The number of the attempt.
    Opening(u64),
    Standing,
}

impl Connections {
    /// Messages that a cut holds up.
    pub fn held_up(&self) -> impl Iterator<Item = &Envelope> {
        self.held_up.iter().map(|envelope| &**envelope)
    }

    /// Every connection of a node is gone. Returns who was at their other ends, each once.
    pub fn end_of(&mut self, node: Node) -> BTreeSet<Node> {
        self.held_up.retain(|envelope| envelope.from != node && envelope.to != node);
        let mut peers = BTreeSet::new();
        self.states.retain(|&(client, server), _| {
            let ends = client == node || server == node;
            if ends {
                peers.insert(if client == node { server } else { client });
            }
            !ends
        });
        peers
    }

    fn forget(&mut self, node: Node, peer: Node) {
        self.states.remove(&(node, peer));
        self.states.remove(&(peer, node));
    }
}

/// The client and the server of the connection that a message travels on.
fn ends_of(from: Node, to: Node, message: &Message) -> (Node, Node) {
    if message.is_request() { (from, to) } else { (to, from) }
}

impl World {
    pub(super) fn send(&mut self, at: Instant, from: Node, to: Node, message: Message, cause: u64) {
        let api = message.api();
        let fact = Fact::Sent { to, api, request: message.is_request(), correlation_id: message.correlation_id() };
        let id = self.note(Some(from), cause, fact);
        if message.is_request() && !self.connections.states.contains_key(&(from, to)) {
            self.connect(at, from, to);
        }
        let passage = self.network.pass(at, from, to, message.wire_bytes(), &mut self.rng);
        for _ in 0..passage.losses {
            self.note(Some(from), id, Fact::Dropped { to, api, reason: DropReason::Lost });
        }
        let envelope = Rc::new(Envelope { id, from, to, sent: at, due: passage.due, message });
        self.keep_letter(&envelope);
        self.queue.schedule(passage.due, Event::Deliver(envelope));
    }

    fn keep_letter(&mut self, envelope: &Envelope) {
        if let Some(letters) = &mut self.letters {
            letters.extend(Letter::of(envelope));
        }
    }

    /// A client begins to connect.
    fn connect(&mut self, at: Instant, client: Node, server: Node) {
        self.connections.next_attempt += 1;
        let attempt = self.connections.next_attempt;
        self.connections.states.insert((client, server), State::Opening(attempt));
        let answers = self.slots.get(&server).is_some_and(|slot| !slot.dark);
        if answers && !self.network.parts(client, server) {
            return;
        }
        let Some((initial, max)) = self.slots.get(&client).map(|slot| slot.machine.connection_setup_timeout()) else {
            return;
        };
        let failures = self.connections.failures.get(&(client, server)).copied().unwrap_or(0);
        let patience = Backoff { initial, max }.pause(failures, &mut self.rng);
        self.queue.schedule(at + patience, Event::SetupTimeout { client, server, attempt });
    }

    /// An attempt to connect has taken too long, if it is still under way.
    pub(super) fn give_up_setup(&mut self, client: Node, server: Node, attempt: u64) {
        if self.connections.states.get(&(client, server)) != Some(&State::Opening(attempt)) {
            return;
        }
        *self.connections.failures.entry((client, server)).or_default() += 1;
        self.connections.states.remove(&(client, server));
        let waiting = |envelope: &Envelope| ends_of(envelope.from, envelope.to, &envelope.message) == (client, server);
        self.queue.extract(|event| matches!(event, Event::Deliver(envelope) if waiting(envelope)));
        let held_up = mem::take(&mut self.connections.held_up);
        let (gone, left): (Vec<_>, Vec<_>) = held_up.into_iter().partition(|envelope| waiting(envelope));
        self.connections.held_up = left;
        let cause = gone.last().map_or(0, |envelope| envelope.id);
        self.give(client, Input::Disconnected { peer: server }, cause);
    }

    pub(super) fn deliver(&mut self, envelope: Rc<Envelope>) {
        let (id, from, to) = (envelope.id, envelope.from, envelope.to);
        let api = envelope.message.api();
        let ends = ends_of(from, to, &envelope.message);
        let opening = matches!(self.connections.states.get(&ends), Some(State::Opening(_)));
        // A connection opens when packets pass both ways; on one that stands, data needs its own way only.
        let blocked = if opening { self.network.parts(from, to) } else { self.network.is_cut(from, to) };
        if blocked {
            self.note(Some(from), id, Fact::Dropped { to, api, reason: DropReason::Cut });
            self.connections.held_up.push(envelope);
            return;
        }
        match self.slots.get(&to) {
            Some(slot) if slot.is_up() => {
                if opening {
                    self.connections.states.insert(ends, State::Standing);
                    self.connections.failures.remove(&ends);
                }
                let message = Rc::unwrap_or_clone(envelope).message;
                self.give(to, Input::Message { from, message }, id);
            }
            // Without power nobody says "connection refused".
            Some(slot) if slot.dark => {}
            _ => {
                let refused = self.note(Some(from), id, Fact::Dropped { to, api, reason: DropReason::Refused });
                self.connections.forget(from, to);
                self.tell_disconnected(from, to, refused);
            }
        }
    }

    /// Lets `node` know, after the way there, that its connection to `peer` is gone.
    pub(super) fn tell_disconnected(&mut self, node: Node, peer: Node, cause: u64) {
        let at = self.now + self.network.signal(peer, node);
        self.queue.schedule(at, Event::Disconnect { node, peer, cause });
    }

    pub(super) fn deliver_news(&mut self, node: Node, peer: Node, cause: u64) {
        if self.network.is_cut(peer, node) {
            self.connections.held_up_news.push((node, peer, cause));
        } else {
            self.give(node, Input::Disconnected { peer }, cause);
        }
    }

    /// One end closes its connections to a peer: what is under way on them is lost, and the other end learns of it.
    pub(super) fn close_connection(&mut self, node: Node, peer: Node, cause: u64) {
        let between = |envelope: &Envelope| {
            (envelope.from == node && envelope.to == peer) || (envelope.from == peer && envelope.to == node)
        };
        self.queue.extract(|event| matches!(event, Event::Deliver(envelope) if between(envelope)));
        self.connections.held_up.retain(|envelope| !between(envelope));
        self.connections.forget(node, peer);
        self.tell_disconnected(peer, node, cause);
    }

    /// Whoever is connected to a node learns that its process is gone. A machine without power says nothing; once it is
    /// back, its kernel answers segments of connections that it does not know with a reset.
    pub(super) fn reset_connections(&mut self, node: Node, cause: u64) {
        for peer in self.connections.end_of(node) {
            self.tell_disconnected(peer, node, cause);
        }
    }

    /// A cut has gone: TCP gets through again. What was sent shortly before that waits behind what the cut held up: on a
    /// connection nothing overtakes.
    pub(super) fn release_held_up(&mut self) {
        let (waiting, released): (Vec<_>, Vec<_>) = mem::take(&mut self.connections.held_up)
            .into_iter()
            .partition(|envelope| self.network.is_cut(envelope.from, envelope.to));
        self.connections.held_up = waiting;
        let paths: BTreeSet<(Node, Node)> = released.iter().map(|envelope| (envelope.from, envelope.to)).collect();
        let is_behind = |envelope: &Envelope| paths.contains(&(envelope.from, envelope.to));
        let behind = self.queue.extract(|event| matches!(event, Event::Deliver(envelope) if is_behind(envelope)));
        let behind = behind.into_iter().filter_map(|event| match event {
            Event::Deliver(envelope) => Some(envelope),
            _ => None,
        });
        for envelope in released.into_iter().chain(behind) {
            let due = self.network.resume(self.now, envelope.from, envelope.to);
            let envelope = Rc::new(Envelope { due, ..Rc::unwrap_or_clone(envelope) });
            self.keep_letter(&envelope);
            self.queue.schedule(due, Event::Deliver(envelope));
        }
        for (node, peer, cause) in mem::take(&mut self.connections.held_up_news) {
            if self.network.is_cut(peer, node) {
                self.connections.held_up_news.push((node, peer, cause));
            } else {
                self.tell_disconnected(node, peer, cause);
            }
        }
    }
}
