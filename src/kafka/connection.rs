//! The requests a machine has sent and not heard of (Kafka's `NetworkClient` and `InFlightRequests`), and the connections
//! that it has lost (`ClusterConnectionStates`).

use std::collections::{BTreeMap, BTreeSet};

use super::backoff::Backoff;
use super::effects::{Effects, Timer};
use super::ids::Node;
use super::message::Request;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// `reconnect.backoff.ms` and `reconnect.backoff.max.ms`.
const RECONNECT: Backoff = Backoff { initial: Duration::millis(50), max: Duration::secs(1) };

/// Connections that broke and do not stand again. One that was never tried is not in here: the first request to a peer
/// is taken to bring its connection with it.
#[derive(Clone, Debug, Default)]
pub struct LostConnections(BTreeMap<Node, Lost>);

#[derive(Clone, Copy, Debug, Default)]
struct Lost {
    failures: u32,
    /// The next attempt; `None` while one is under way.
    retry_at: Option<Instant>,
}

/// What becomes of a request to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    Ready,
    /// The connection has to stand first: the moment to try.
    Due,
    /// An attempt is under way.
    Connecting,
    /// Not tried before then.
    BackingOff(Instant),
}

impl LostConnections {
    /// The connection broke, or an attempt to make it failed. Returns when the next attempt may follow
    /// (`updateReconnectBackoff`).
    pub fn lost(&mut self, now: Instant, peer: Node, rng: &mut Rng) -> Instant {
        let lost = self.0.entry(peer).or_default();
        let retry_at = now + RECONNECT.pause(lost.failures, rng);
        *lost = Lost { failures: lost.failures + 1, retry_at: Some(retry_at) };
        retry_at
    }

    /// An attempt is under way.
    pub fn connecting(&mut self, peer: Node) {
        if let Some(lost) = self.0.get_mut(&peer) {
            lost.retry_at = None;
        }
    }

    /// The peer has answered.
    pub fn stands(&mut self, peer: Node) {
        self.0.remove(&peer);
    }

    /// `NetworkClient.ready`.
    pub fn state(&self, now: Instant, peer: Node) -> Connection {
        match self.0.get(&peer).map(|lost| lost.retry_at) {
            None => Connection::Ready,
            Some(None) => Connection::Connecting,
            Some(Some(at)) if at <= now => Connection::Due,
            Some(Some(at)) => Connection::BackingOff(at),
        }
    }
}

/// Requests in flight, each with a `T` that tells what it was for.
///
/// Every request ends in exactly one way: [`complete`](Self::complete), [`disconnected`](Self::disconnected) or
/// [`expired`](Self::expired) hands its `T` back.
#[derive(Clone, Debug)]
pub struct InFlight<T> {
    next_correlation_id: u32,
    requests: BTreeMap<u32, Pending<T>>,
    /// When [`Timer::RequestTimeouts`] is set for.
    armed: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Pending<T> {
    to: Node,
    deadline: Instant,
    purpose: T,
}

impl<T> Default for InFlight<T> {
    fn default() -> Self {
        Self { next_correlation_id: 0, requests: BTreeMap::new(), armed: None }
    }
}

impl<T> InFlight<T> {
    /// Sends a request and remembers it until it is answered, `timeout` is over, or the connection breaks. Returns its
    /// correlation id.
    pub fn send(
        &mut self,
        now: Instant,
        to: Node,
        request: Request,
        timeout: Duration,
        purpose: T,
        out: &mut Effects,
    ) -> u32 {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id = self.next_correlation_id.wrapping_add(1);
        let deadline = now + timeout;
        self.requests.insert(correlation_id, Pending { to, deadline, purpose });
        if self.armed.is_none_or(|armed| deadline < armed) {
            self.armed = Some(deadline);
            out.set_timer(deadline, Timer::RequestTimeouts);
        }
        out.request(to, correlation_id, request);
        correlation_id
    }

    /// The request that a response answers, unless it was given up before.
    pub fn complete(&mut self, correlation_id: u32) -> Option<(Node, T)> {
        self.requests.remove(&correlation_id).map(|pending| (pending.to, pending.purpose))
    }

    /// Every request that `peer` will not answer any more, oldest first.
    pub fn disconnected(&mut self, peer: Node) -> Vec<T> {
        self.take(|pending| pending.to == peer).into_iter().map(|(_, purpose)| purpose).collect()
    }

    /// On [`Timer::RequestTimeouts`]: the requests whose time is over, oldest first, each with whom it was sent to.
    ///
    /// A peer that lets one request time out is taken for dead: the connection is closed, and every other request to it
    /// is given up as well (`NetworkClient.handleTimedOutRequests`).
    pub fn expired(&mut self, now: Instant, out: &mut Effects) -> Vec<(Node, T)> {
        let silent: BTreeSet<Node> =
            self.requests.values().filter(|pending| pending.deadline <= now).map(|pending| pending.to).collect();
        for peer in &silent {
            out.close_connection(*peer);
        }
        let expired = self.take(|pending| silent.contains(&pending.to));
        self.armed = self.requests.values().map(|pending| pending.deadline).min();
        if let Some(at) = self.armed {
            out.set_timer(at, Timer::RequestTimeouts);
        }
        expired
    }

    /// How many requests to `to` are unanswered.
    pub fn count_to(&self, to: Node) -> usize {
        self.requests.values().filter(|pending| pending.to == to).count()
    }

    /// What the unanswered requests are for, oldest first.
    pub fn purposes(&self) -> impl Iterator<Item = (Node, &T)> {
        self.requests.values().map(|pending| (pending.to, &pending.purpose))
    }

    fn take(&mut self, mut gone: impl FnMut(&Pending<T>) -> bool) -> Vec<(Node, T)> {
        let ids: Vec<u32> = self.requests.iter().filter(|(_, pending)| gone(pending)).map(|(id, _)| *id).collect();
        ids.into_iter().filter_map(|id| self.complete(id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::ids::BrokerId;

    /// `ClusterConnectionStates.updateReconnectBackoff`: 50 ms, doubling to a second, give or take a fifth.
    #[test]
    fn a_lost_connection_is_tried_again_after_growing_pauses() {
        let (mut connections, mut rng) = (LostConnections::default(), Rng::new(1, 1));
        let (peer, now) = (Node::Broker(BrokerId(1)), Instant::from_micros(5_000_000));
        assert_eq!(connections.state(now, peer), Connection::Ready, "never tried");
        for expected in [50, 100, 200, 400, 800, 1000, 1000] {
            let at = connections.lost(now, peer, &mut rng);
            let pause = at.since(now).as_micros();
            assert!((expected * 800..=expected * 1200).contains(&pause), "{pause} µs, expected about {expected} ms");
            assert_eq!(connections.state(now, peer), Connection::BackingOff(at));
            assert_eq!(connections.state(at, peer), Connection::Due);
            connections.connecting(peer);
            assert_eq!(connections.state(at, peer), Connection::Connecting);
        }
        connections.stands(peer);
        assert_eq!(connections.state(now, peer), Connection::Ready);
    }
}
