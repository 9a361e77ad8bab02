//! What facts leave on the stage that the world itself does not show: cells that were cut off and still fall, parts in
//! an election and the votes in it, znodes, partitions that move.
//!
//! Every answer is a function of the facts so far and of the moment asked for, so that the picture is right while
//! paused, scrubbing and running backwards. Lists are bounded: of a long run the latest is kept.

use std::collections::{BTreeMap, BTreeSet};

use crate::kafka::fact::{EnsemblePhase, Fact, QuorumPhase};
use crate::kafka::ids::{
    BrokerId, ClientId, ControllerId, LeaderEpoch, Name, Node, Offset, TopicPartition, ZooKeeperId,
};
use crate::sim::trace::Stamped;
use crate::time::{Duration, Instant};

/// One value over time.
#[derive(Clone, Debug)]
struct Past<T>(Vec<(u64, Instant, T)>);

impl<T> Default for Past<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// How many values of one thing are kept.
const MOST: usize = 2_000;
/// How many znodes are kept.
const MOST_ZNODES: usize = 256;

impl<T> Past<T> {
    fn push(&mut self, stamped: &Stamped, value: T) {
        if self.0.len() >= MOST {
            self.0.drain(..MOST / 2);
        }
        self.0.push((stamped.id, stamped.at, value));
    }

    fn forget_after(&mut self, id: u64) {
        self.0.retain(|(known, ..)| *known <= id);
    }

    /// Everything up to a moment, the latest first.
    fn until(&self, now: Instant) -> impl Iterator<Item = (Instant, &T)> {
        let end = self.0.partition_point(|(_, at, _)| *at <= now);
        self.0[..end].iter().rev().map(|(_, at, value)| (*at, value))
    }

    fn last(&self, now: Instant) -> Option<&T> {
        self.until(now).next().map(|(_, value)| value)
    }
}

/// A voter's part in the metadata quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voter {
    pub phase: QuorumPhase,
    pub epoch: LeaderEpoch,
    pub leader: Option<ControllerId>,
}

/// A server's part in its ZooKeeper ensemble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    pub phase: EnsemblePhase,
    pub epoch: u32,
}

#[derive(Clone, Copy, Debug)]
struct Ballot {
    voter: Option<Node>,
    candidate: ControllerId,
    pre_vote: bool,
    granted: bool,
}

/// Records that a replica lost, on their way down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Falling {
    /// When they were cut off.
    pub at: Instant,
    pub first: Offset,
    pub end: Offset,
    /// How far they have fallen, 0 to 1.
    pub part: f64,
}

#[derive(Clone, Copy, Debug)]
struct CutOff {
    broker: BrokerId,
    partition: TopicPartition,
    first: Offset,
    end: Offset,
}

/// A controller that reads every partition's state out of ZooKeeper, or has read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loading {
    pub controller: BrokerId,
    pub epoch: i32,
    /// How many it reads; 0 once it has.
    pub partitions: u32,
}

/// A znode as people read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Znode {
    pub path: Name,
    pub version: i32,
    pub ephemeral: bool,
}

/// What facts left behind.
#[derive(Clone, Debug, Default)]
pub struct Footprints {
    cut_off: Past<CutOff>,
    voters: BTreeMap<ControllerId, Past<Voter>>,
    ballots: Past<Ballot>,
    servers: BTreeMap<ZooKeeperId, Past<Server>>,
    znodes: BTreeMap<Name, Past<Option<Znode>>>,
    loading: Past<Loading>,
    producer_ids: BTreeMap<ClientId, Past<(i64, i16)>>,
}

/// How long cells fall, in simulated time.
pub const FALL: Duration = Duration::secs(2);

/// How far something has come since `at`, 0 to 1; `None` before it and once it is over.
///
/// The way grows with the logarithm of the time: at a thousandth of real time the first milliseconds are seen, at three
/// times real time the last second is.
pub fn fading(at: Instant, now: Instant) -> Option<f64> {
    if now < at || now >= at + FALL {
        return None;
    }
    let millis = |span: Duration| span.as_micros() as f64 / 1e3;
    Some((millis(now.since(at))).ln_1p() / millis(FALL).ln_1p())
}

impl Footprints {
    /// Takes one more fact in; facts come in order.
    pub fn enter(&mut self, stamped: &Stamped) {
        let broker = stamped.node.and_then(Node::broker);
        match (&stamped.fact, stamped.node) {
            (Fact::Truncated { partition, from, to }, _) => {
                let Some(broker) = broker else { return };
                self.cut(stamped, broker, *partition, *to, *from);
            }
            (Fact::UnflushedLost { partition, from, to }, _) => {
                let Some(broker) = broker else { return };
                let (first, end) = ((*from).min(*to), (*from).max(*to));
                self.cut(stamped, broker, *partition, first, end);
            }
            (Fact::QuorumState { to, epoch, leader, .. }, Some(Node::Controller(id))) => {
                let voter = Voter { phase: *to, epoch: *epoch, leader: *leader };
                self.voters.entry(id).or_default().push(stamped, voter);
            }
            (Fact::Voted { candidate, pre_vote, granted, .. }, voter) => {
                let ballot = Ballot { voter, candidate: *candidate, pre_vote: *pre_vote, granted: *granted };
                self.ballots.push(stamped, ballot);
            }
            (Fact::EnsembleState { to, epoch, .. }, Some(Node::ZooKeeper(id))) => {
                self.servers.entry(id).or_default().push(stamped, Server { phase: *to, epoch: *epoch });
            }
            (Fact::Znode { path, version, ephemeral }, _) => self.znode(stamped, path, *version, *ephemeral),
            (Fact::ControllerLoading { controller, epoch, partitions }, _) => {
                // A cluster without partitions is read in no time, but it is read.
                let partitions = (*partitions).max(1);
                self.loading.push(stamped, Loading { controller: *controller, epoch: *epoch, partitions });
            }
            (Fact::ControllerLoaded { controller, epoch, .. }, _) => {
                self.loading.push(stamped, Loading { controller: *controller, epoch: *epoch, partitions: 0 });
            }
            (Fact::ProducerIdAssigned { producer_id, producer_epoch }, Some(Node::Producer(id))) => {
                self.producer_ids.entry(id).or_default().push(stamped, (*producer_id, *producer_epoch));
            }
            _ => {}
        }
    }

    /// Forgets every fact after this one.
    pub fn forget_after(&mut self, id: u64) {
        self.cut_off.forget_after(id);
        self.ballots.forget_after(id);
        self.loading.forget_after(id);
        self.voters.values_mut().for_each(|past| past.forget_after(id));
        self.servers.values_mut().for_each(|past| past.forget_after(id));
        self.znodes.values_mut().for_each(|past| past.forget_after(id));
        self.producer_ids.values_mut().for_each(|past| past.forget_after(id));
    }

    /// Records that a replica lost a moment ago.
    pub fn falling(&self, broker: BrokerId, partition: TopicPartition, now: Instant) -> Vec<Falling> {
        let lately = self.cut_off.until(now).take_while(|(at, _)| *at + FALL > now);
        let mine = lately.filter(|(_, cut)| (cut.broker, cut.partition) == (broker, partition));
        mine.filter_map(|(at, cut)| Some(Falling { at, first: cut.first, end: cut.end, part: fading(at, now)? }))
            .collect()
    }

    /// A voter's part in the quorum, where it has told.
    pub fn voter(&self, id: ControllerId, now: Instant) -> Option<Voter> {
        self.voters.get(&id)?.last(now).copied()
    }

    /// How many votes one that asks for them has, its own counted; `None` for one that does not ask.
    pub fn votes(&self, id: ControllerId, now: Instant) -> Option<usize> {
        let (since, voter) = self.voters.get(&id)?.until(now).next()?;
        let pre_vote = match voter.phase {
            QuorumPhase::Prospective => true,
            QuorumPhase::Candidate => false,
            _ => return None,
        };
        let cast = self.ballots.until(now).take_while(|(at, _)| *at >= since);
        let mine = cast.filter(|(_, ballot)| ballot.granted && ballot.candidate == id && ballot.pre_vote == pre_vote);
        let others: BTreeSet<Node> = mine.filter_map(|(_, ballot)| ballot.voter).collect();
        Some(1 + others.into_iter().filter(|voter| *voter != Node::Controller(id)).count())
    }

    /// A server's part in its ensemble, where it has told.
    pub fn server(&self, id: ZooKeeperId, now: Instant) -> Option<Server> {
        self.servers.get(&id)?.last(now).copied()
    }

    /// The znodes that are there, in the order of their paths.
    pub fn znodes(&self, now: Instant) -> impl Iterator<Item = &Znode> {
        self.znodes.values().filter_map(move |past| past.last(now)?.as_ref())
    }

    /// Who reads, or has read, every partition's state out of ZooKeeper.
    pub fn loading(&self, now: Instant) -> Option<Loading> {
        self.loading.last(now).copied()
    }

    /// A producer's id and epoch, once it has them.
    pub fn producer_id(&self, id: ClientId, now: Instant) -> Option<(i64, i16)> {
        self.producer_ids.get(&id)?.last(now).copied()
    }

    fn cut(&mut self, stamped: &Stamped, broker: BrokerId, partition: TopicPartition, first: Offset, end: Offset) {
        self.cut_off.push(stamped, CutOff { broker, partition, first, end });
    }

    fn znode(&mut self, stamped: &Stamped, path: &Name, version: Option<i32>, ephemeral: bool) {
        // One a partition, thousands of them: they tell nothing that the strips do not.
        if path.contains("/partitions/") {
            return;
        }
        if self.znodes.len() >= MOST_ZNODES && !self.znodes.contains_key(path) {
            return;
        }
        let znode = version.map(|version| Znode { path: path.clone(), version, ephemeral });
        self.znodes.entry(path.clone()).or_default().push(stamped, znode);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::ids::TopicId;

    const ORDERS: TopicPartition = TopicPartition::new(TopicId(0), 0);
    const B2: BrokerId = BrokerId(2);

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    fn told(facts: Vec<(u64, Node, Fact)>) -> Footprints {
        let mut footprints = Footprints::default();
        for (id, (millis, node, fact)) in (1..).zip(facts) {
            footprints.enter(&Stamped { id, cause: 0, at: at(millis), node: Some(node), fact });
        }
        footprints
    }

    fn voter(id: i32, millis: u64, to: QuorumPhase) -> (u64, Node, Fact) {
        let (from, epoch) = (QuorumPhase::Follower, LeaderEpoch(3));
        (millis, Node::Controller(ControllerId(id)), Fact::QuorumState { from, to, epoch, leader: None })
    }

    fn ballot(id: i32, millis: u64, pre_vote: bool, granted: bool) -> (u64, Node, Fact) {
        let (candidate, epoch) = (ControllerId(102), LeaderEpoch(3));
        (millis, Node::Controller(ControllerId(id)), Fact::Voted { candidate, epoch, pre_vote, granted })
    }

    #[test]
    fn cells_fall_from_their_truncation_on_and_only_forwards() {
        let fact = Fact::Truncated { partition: ORDERS, from: 9, to: 7 };
        let footprints = told(vec![(1000, Node::Broker(B2), fact)]);
        let part = |millis| footprints.falling(B2, ORDERS, at(millis)).first().map(|falling| falling.part);
        assert_eq!(part(999), None);
        assert_eq!(part(1000), Some(0.0));
        let (early, late) = (part(1010).expect("falls"), part(2500).expect("falls"));
        assert!(0.1 < early && early < late && late < 1.0, "{early} {late}");
        assert_eq!(part(3000), None);
        let falling = footprints.falling(B2, ORDERS, at(1000))[0];
        assert_eq!((falling.first, falling.end), (7, 9));
        assert!(footprints.falling(BrokerId(3), ORDERS, at(1000)).is_empty());
    }

    #[test]
    fn votes_are_those_of_the_present_part_and_its_own() {
        let footprints = told(vec![
            voter(102, 10, QuorumPhase::Prospective),
            ballot(101, 11, true, true),
            ballot(103, 12, true, true),
            voter(102, 13, QuorumPhase::Candidate),
            ballot(101, 14, false, false),
            ballot(103, 15, false, true),
            voter(102, 16, QuorumPhase::Leader),
        ]);
        let votes = |millis| footprints.votes(ControllerId(102), at(millis));
        assert_eq!(
            [votes(9), votes(10), votes(12), votes(13), votes(15), votes(16)],
            [None, Some(1), Some(3), Some(1), Some(2), None]
        );
    }

    #[test]
    fn what_was_in_the_page_cache_alone_falls_too() {
        let fact = Fact::UnflushedLost { partition: ORDERS, from: 10, to: 25 };
        let footprints = told(vec![(4, Node::Broker(B2), fact)]);
        let falling = footprints.falling(B2, ORDERS, at(4))[0];
        assert_eq!((falling.first, falling.end), (10, 25));
    }

    #[test]
    fn a_znode_is_gone_once_it_was_deleted_and_there_again_before() {
        let znode = |version| Fact::Znode { path: "/controller".into(), version, ephemeral: true };
        let server = Node::ZooKeeper(ZooKeeperId(1));
        let footprints = told(vec![(5, server, znode(Some(0))), (9, server, znode(None))]);
        let there = |millis| footprints.znodes(at(millis)).count();
        assert_eq!([there(4), there(5), there(9)], [0, 1, 0]);
    }

    #[test]
    fn another_future_forgets_what_came_after_its_beginning() {
        let mut footprints = told(vec![voter(102, 10, QuorumPhase::Candidate), voter(102, 20, QuorumPhase::Leader)]);
        footprints.forget_after(1);
        let phase = footprints.voter(ControllerId(102), at(30)).map(|voter| voter.phase);
        assert_eq!(phase, Some(QuorumPhase::Candidate));
    }
}
