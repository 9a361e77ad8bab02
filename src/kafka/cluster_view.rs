//! A client's view of the cluster: who leads what, as the last Metadata answer said (`Metadata`, `MetadataUpdater`).
//!
//! The view asks for itself: it knows when it is out of date, whom to ask, and how long to wait after a failure.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::backoff::Backoff;
use super::effects::{Effects, Timer};
use super::ids::{BrokerId, LeaderEpoch, Name, Node, TopicId, TopicPartition};
use super::message::{CurrentLeader, MetadataRequest, MetadataResponse, PartitionMetadata, Request};
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// What a client knows of the cluster.
#[derive(Clone, Debug)]
pub struct ClusterView {
    /// `bootstrap.servers`: asked while no broker is known.
    bootstrap: Vec<BrokerId>,
    brokers: Vec<BrokerId>,
    /// Shared with snapshots: a thousand clients may know ten thousand partitions each.
    topics: BTreeMap<Name, Rc<TopicView>>,
    wanted: Vec<Name>,
    /// All topics are asked for, whatever their names.
    everything: bool,
    backoff: Backoff,
    max_age: Duration,
    /// A request is out.
    asking: bool,
    stale: bool,
    updated: Option<Instant>,
    failures: u32,
    /// Answers in a row that told nothing new (`equivalentResponseCount`).
    unchanged: u32,
    not_before: Instant,
    turn: u32,
    /// How many of the topics wanted the request that is out names, and how many the last answer was about.
    asked_for: u32,
    answered_for: u32,
    /// Whether the request that is out asks for all topics, and whether the last answer was about all.
    asked_for_everything: bool,
    has_everything: bool,
}

/// What a client knows of a topic.
#[derive(Clone, Debug)]
pub struct TopicView {
    pub id: TopicId,
    /// By partition number: its leader, where there is one, and that leader's epoch.
    pub partitions: Vec<(Option<BrokerId>, LeaderEpoch)>,
    /// By partition number: the rack of each of its replicas, if the broker is up and has one.
    pub replica_racks: Vec<Vec<Option<Name>>>,
    /// The partitions that have a leader, ascending.
    pub available: Rc<[u32]>,
    /// Whether it is one of Kafka's own.
    pub internal: bool,
}

impl TopicView {
    /// By partition number: the racks of its replicas that are known.
    pub fn known_racks(&self) -> Vec<Vec<Name>> {
        self.replica_racks.iter().map(|racks| racks.iter().flatten().cloned().collect()).collect()
    }
}

/// The partitions that have a leader.
fn available(partitions: &[(Option<BrokerId>, LeaderEpoch)]) -> Rc<[u32]> {
    partitions.iter().zip(0..).filter(|((leader, _), _)| leader.is_some()).map(|(_, partition)| partition).collect()
}

/// Whether an answer tells of a partition, or of an election, that was not known.
fn has_newer_epoch(now: &[(Option<BrokerId>, LeaderEpoch)], before: &[(Option<BrokerId>, LeaderEpoch)]) -> bool {
    now.len() > before.len() || now.iter().zip(before).any(|(now, before)| now.1 > before.1)
}

impl ClusterView {
    /// Knows nothing yet, and asks for the topics `wanted`.
    pub fn new(bootstrap: Vec<BrokerId>, wanted: Vec<Name>, backoff: Backoff, max_age: Duration) -> Self {
        Self {
            bootstrap,
            brokers: Vec::new(),
            topics: BTreeMap::new(),
            wanted,
            everything: false,
            backoff,
            max_age,
            asking: false,
            stale: true,
            updated: None,
            failures: 0,
            unchanged: 0,
            not_before: Instant::ZERO,
            turn: 0,
            asked_for: 0,
            answered_for: 0,
            asked_for_everything: false,
            has_everything: false,
        }
    }

    /// Asks for these topics too, from now on.
    pub fn want(&mut self, topics: impl IntoIterator<Item = Name>) {
        for topic in topics {
            if !self.wanted.contains(&topic) {
                self.wanted.push(topic);
                self.stale = true;
                // Something new is asked for at once (`requestUpdateForNewTopics`).
                self.unchanged = 0;
                self.not_before = Instant::ZERO;
            }
        }
    }

    /// Asks for all topics, from now on.
    pub fn want_everything(&mut self) {
        if !self.everything {
            self.everything = true;
            self.stale = true;
            self.unchanged = 0;
            self.not_before = Instant::ZERO;
            self.has_everything = false;
        }
    }

    /// Every topic that is known, by name.
    pub fn topics(&self) -> impl Iterator<Item = (&Name, &TopicView)> {
        self.topics.iter().map(|(name, topic)| (name, &**topic))
    }

    /// Whether an answer about everything wanted has come. What is still unknown does not exist.
    pub fn has_answer_for_all(&self) -> bool {
        self.answered_for as usize == self.wanted.len() && (self.has_everything || !self.everything)
    }

    /// The brokers that can be asked.
    pub fn brokers(&self) -> &[BrokerId] {
        if self.brokers.is_empty() { &self.bootstrap } else { &self.brokers }
    }

    /// A topic, once it is known.
    pub fn topic(&self, name: &str) -> Option<&TopicView> {
        self.topics.get(name).map(|topic| &**topic)
    }

    /// The name of a topic, once it is known.
    pub fn name_of(&self, id: TopicId) -> Option<&Name> {
        self.topics.iter().find(|(_, topic)| topic.id == id).map(|(name, _)| name)
    }

    /// The names of all topics that are known.
    pub fn names(&self) -> BTreeMap<TopicId, &Name> {
        self.topics.iter().map(|(name, topic)| (topic.id, name)).collect()
    }

    /// A partition's leader, where one is known.
    pub fn leader(&self, partition: TopicPartition) -> Option<BrokerId> {
        self.leader_and_epoch(partition)?.0
    }

    /// A partition's leader, where there is one, and its epoch, where the partition is known.
    pub fn leader_and_epoch(&self, partition: TopicPartition) -> Option<(Option<BrokerId>, LeaderEpoch)> {
        let topic = self.topics.values().find(|topic| topic.id == partition.topic)?;
        topic.partitions.get(partition.partition as usize).copied()
    }

    /// Something did not fit: asks again as soon as the backoff allows.
    pub fn mark_stale(&mut self) {
        self.stale = true;
    }

    /// The request to send now, and to whom, if the view is out of date. Sets [`Timer::MetadataRefresh`] for the next look.
    pub fn next_request(&mut self, now: Instant, out: &mut Effects) -> Option<(Node, Request)> {
        let aged = self.updated.is_none_or(|at| now.since(at) >= self.max_age);
        if self.asking || !(self.stale || aged) {
            return None;
        }
        if aged {
            self.unchanged = 0;
        }
        if now < self.not_before {
            out.set_timer(self.not_before, Timer::MetadataRefresh);
            return None;
        }
        let known = if self.brokers.is_empty() { &self.bootstrap } else { &self.brokers };
        let broker = *known.get(self.turn as usize % known.len().max(1))?;
        self.asking = true;
        self.asked_for = self.wanted.len() as u32;
        self.asked_for_everything = self.everything;
        let topics = (!self.everything).then(|| self.wanted.clone());
        let request = MetadataRequest { topics, allow_auto_topic_creation: true };
        Some((Node::Broker(broker), Request::Metadata(request)))
    }

    /// Takes in an answer. A topic without a leader somewhere keeps the view out of date.
    pub fn update(&mut self, now: Instant, response: MetadataResponse, rng: &mut Rng, out: &mut Effects) {
        self.asking = false;
        self.updated = Some(now);
        if !response.brokers.is_empty() {
            self.brokers = response.brokers.iter().map(|(id, _)| *id).collect();
        }
        self.answered_for = self.asked_for;
        self.has_everything = self.asked_for_everything;
        if self.has_everything {
            // What an answer about all topics does not name is gone.
            self.topics.retain(|name, _| response.topics.iter().any(|topic| topic.name == *name));
        }
        self.stale = !self.has_answer_for_all();
        let racks: BTreeMap<BrokerId, Name> =
            response.brokers.into_iter().filter_map(|(id, rack)| Some((id, rack?))).collect();
        let mut news = false;
        for topic in response.topics {
            if !topic.error.is_none() {
                self.stale = true;
                self.topics.remove(&topic.name);
                continue;
            }
            self.stale |= topic.partitions.iter().any(|partition| partition.leader.is_none());
            let mut partitions: Vec<_> =
                topic.partitions.iter().map(|partition| (partition.leader, partition.leader_epoch)).collect();
            let before = self.topics.get(&topic.name).filter(|before| before.id == topic.id);
            // A broker that lags behind may tell of an older leader than is known (KIP-320, `lastSeenLeaderEpochs`).
            for (now, known) in partitions.iter_mut().zip(before.iter().flat_map(|before| &before.partitions)) {
                if now.1 < known.1 {
                    *now = *known;
                }
            }
            let racks_of = |partition: &PartitionMetadata| {
                partition.replicas.iter().map(|replica| racks.get(replica).cloned()).collect()
            };
            let replica_racks = topic.partitions.iter().map(racks_of).collect();
            news |= before.is_none_or(|before| has_newer_epoch(&partitions, &before.partitions));
            self.topics.insert(
                topic.name,
                Rc::new(TopicView {
                    id: topic.id,
                    available: available(&partitions),
                    partitions,
                    replica_racks,
                    internal: topic.internal,
                }),
            );
        }
        self.unchanged = if news { 0 } else { self.unchanged + 1 };
        if self.stale {
            self.back_off(now, rng, out);
        } else {
            self.failures = 0;
            self.not_before = now + self.backoff.pause(self.unchanged.saturating_sub(1), rng);
            out.set_timer(now + self.max_age, Timer::MetadataRefresh);
        }
    }

    /// The broker that was asked did not answer: the next one is asked after a pause.
    pub fn request_failed(&mut self, now: Instant, rng: &mut Rng, out: &mut Effects) {
        self.asking = false;
        self.stale = true;
        self.turn = self.turn.wrapping_add(1);
        self.back_off(now, rng, out);
    }

    fn back_off(&mut self, now: Instant, rng: &mut Rng, out: &mut Effects) {
        self.not_before = now + self.backoff.pause(self.failures, rng);
        self.failures += 1;
        out.set_timer(self.not_before, Timer::MetadataRefresh);
    }

    /// A committed offset is of a newer epoch than is known (`updateLastSeenEpochIfNewer`): whoever led before does not lead
    /// any more, and who does is asked.
    pub fn see_epoch(&mut self, partition: TopicPartition, epoch: LeaderEpoch) {
        if self.learn(partition, (None, epoch)) {
            self.stale = true;
        }
    }

    /// A broker named another leader (KIP-951). Returns whether that was news.
    pub fn learn_leader(&mut self, partition: TopicPartition, leader: CurrentLeader) -> bool {
        leader.is_some_and(|(leader, epoch)| self.learn(partition, (Some(leader), epoch)))
    }

    /// Takes in who leads a partition, if that is of a newer epoch than what is known. Returns whether it is.
    fn learn(&mut self, partition: TopicPartition, news: (Option<BrokerId>, LeaderEpoch)) -> bool {
        let Some(topic) = self.topics.values_mut().find(|topic| topic.id == partition.topic) else { return false };
        let place = partition.partition as usize;
        if topic.partitions.get(place).is_none_or(|known| news.1 <= known.1) {
            return false;
        }
        let topic = Rc::make_mut(topic);
        topic.partitions[place] = news;
        topic.available = available(&topic.partitions);
        true
    }
}
