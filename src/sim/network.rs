//! The network: how long a message takes, and whether it gets through.
//!
//! Nodes talk over TCP. Messages from one node to another arrive in the order they were sent; a segment that the link
//! loses is sent again after the retransmission timeout, so loss shows as delay; what a cut holds up arrives after it
//! heals, unless one end has closed the connection meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use crate::kafka::ids::Node;
use crate::rng::Rng;
use crate::sim::command::LinkChange;
use crate::sim::spec::NetworkSpec;
use crate::sim::units::Share;
use crate::time::{Duration, Instant};

/// First pause before TCP sends a lost segment again (RFC 6298's lower bound as Linux has it); doubles each time.
const RETRANSMISSION_TIMEOUT: Duration = Duration::millis(200);
/// A segment lost more often in a row than this is not drawn again: the odds are against it in any case.
const MAX_RETRANSMISSIONS: u32 = 6;

/// Links, their faults, and what is under way on them.
#[derive(Clone, Debug)]
pub struct Network {
    spec: NetworkSpec,
    links: BTreeMap<(Node, Node), LinkChange>,
    cuts: BTreeMap<u32, Cut>,
    next_cut: u32,
    /// When the last message of each direction arrives: the next one comes later.
    arrivals: BTreeMap<(Node, Node), Instant>,
    /// Until when each node's interface is busy sending.
    sending: BTreeMap<Node, Instant>,
}

/// A wall between two sets of nodes, or one that only what comes from the `one` side cannot pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    pub one: BTreeSet<Node>,
    pub other: BTreeSet<Node>,
    pub one_way: bool,
    /// Links that cross it all the same: they were healed by themselves.
    healed: BTreeSet<(Node, Node)>,
}

impl Cut {
    fn stops(&self, from: Node, to: Node) -> bool {
        let across = |a, b| self.one.contains(a) && self.other.contains(b);
        (across(&from, &to) || (!self.one_way && across(&to, &from)))
            && !self.healed.contains(&(from.min(to), from.max(to)))
    }

    fn separates(&self, a: Node, b: Node) -> bool {
        self.stops(a, b) || self.stops(b, a)
    }

    fn separates_nobody(&self) -> bool {
        self.one.iter().all(|a| self.other.iter().all(|b| !self.separates(*a, *b)))
    }
}

/// When a message arrives, and how often it was lost on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    pub due: Instant,
    pub losses: u32,
}

impl Network {
    pub fn new(spec: NetworkSpec) -> Self {
        Self {
            spec,
            links: BTreeMap::new(),
            cuts: BTreeMap::new(),
            next_cut: 0,
            arrivals: BTreeMap::new(),
            sending: BTreeMap::new(),
        }
    }

    /// Sends `bytes` from one node to another at `now`.
    pub fn pass(&mut self, now: Instant, from: Node, to: Node, bytes: u64, rng: &mut Rng) -> Passage {
        let link = self.link(from, to);
        let bandwidth = link.bandwidth_bits_per_second.unwrap_or(self.spec.bandwidth_bits_per_second).max(1);
        let copies = if link.duplicate.is_some_and(|share| is_hit(share, rng)) { 2 } else { 1 };
        let transmission = Duration::micros((bytes * copies * 8).saturating_mul(1_000_000) / bandwidth);
        let sending = self.sending.entry(from).or_default();
        *sending = now.max(*sending) + transmission;
        let mut due = *sending + self.latency(link, rng);
        let mut losses = 0;
        while losses < MAX_RETRANSMISSIONS && link.loss.is_some_and(|share| is_hit(share, rng)) {
            due += RETRANSMISSION_TIMEOUT * (1 << losses);
            losses += 1;
        }
        let arrival = self.arrivals.entry((from, to)).or_default();
        *arrival = due.max(*arrival + Duration::micros(1));
        Passage { due: *arrival, losses }
    }

    /// How long news of a broken connection takes from one node to another.
    pub fn signal(&self, from: Node, to: Node) -> Duration {
        self.link(from, to).latency.unwrap_or(self.spec.latency)
    }

    /// When a message that a cut held up arrives, now that it has healed: after TCP's next attempt, and in order.
    pub fn resume(&mut self, now: Instant, from: Node, to: Node) -> Instant {
        let due = now + self.signal(from, to) + RETRANSMISSION_TIMEOUT;
        let arrival = self.arrivals.entry((from, to)).or_default();
        *arrival = due.max(*arrival + Duration::micros(1));
        *arrival
    }

    fn latency(&self, link: LinkChange, rng: &mut Rng) -> Duration {
        let median = link.latency.unwrap_or(self.spec.latency).as_micros();
        let jitter = self.spec.jitter.as_micros().min(median);
        Duration::micros(rng.between(median - jitter, median + jitter))
    }

    fn link(&self, a: Node, b: Node) -> LinkChange {
        self.links.get(&(a.min(b), a.max(b))).copied().unwrap_or_default()
    }

    /// Whether a cut stops what one node sends to another.
    pub fn is_cut(&self, from: Node, to: Node) -> bool {
        self.cuts.values().any(|cut| cut.stops(from, to))
    }

    /// Whether a cut lies between two nodes, one way or both: no new connection comes about across it.
    pub fn parts(&self, a: Node, b: Node) -> bool {
        self.cuts.values().any(|cut| cut.separates(a, b))
    }

    /// Builds a wall. The number names it for [`Network::remove_cut`].
    pub fn cut(&mut self, one: BTreeSet<Node>, other: BTreeSet<Node>, one_way: bool) -> u32 {
        self.next_cut += 1;
        self.cuts.insert(self.next_cut, Cut { one, other, one_way, healed: BTreeSet::new() });
        self.next_cut
    }

    /// Tears a wall down. False where it is gone already.
    pub fn remove_cut(&mut self, number: u32) -> bool {
        self.cuts.remove(&number).is_some()
    }

    /// Changes one link, both ways; what `change` leaves open stays.
    pub fn change_link(&mut self, a: Node, b: Node, change: LinkChange) {
        let link = self.links.entry((a.min(b), a.max(b))).or_default();
        link.latency = change.latency.or(link.latency);
        link.loss = change.loss.or(link.loss);
        link.duplicate = change.duplicate.or(link.duplicate);
        link.bandwidth_bits_per_second = change.bandwidth_bits_per_second.or(link.bandwidth_bits_per_second);
    }

    /// Ends the faults of one link, or all faults.
    pub fn heal(&mut self, link: Option<(Node, Node)>) {
        match link {
            None => {
                self.cuts.clear();
                self.links.clear();
            }
            Some((a, b)) => {
                for cut in self.cuts.values_mut().filter(|cut| cut.separates(a, b)) {
                    cut.healed.insert((a.min(b), a.max(b)));
                }
                self.cuts.retain(|_, cut| !cut.separates_nobody());
                self.links.remove(&(a.min(b), a.max(b)));
            }
        }
    }

    /// The walls that stand.
    pub fn cuts(&self) -> impl Iterator<Item = &Cut> {
        self.cuts.values()
    }

    /// The links that differ from the rest.
    pub fn changed_links(&self) -> impl Iterator<Item = ((Node, Node), LinkChange)> {
        self.links.iter().map(|(pair, change)| (*pair, *change))
    }

    /// The median latency of a link without faults.
    pub fn spec(&self) -> &NetworkSpec {
        &self.spec
    }
}

/// Draws whether a message is among the share that a fault hits.
fn is_hit(share: Share, rng: &mut Rng) -> bool {
    rng.chance(share.millionths(), Share::WHOLE)
}
