//! The controller: who decides which brokers are alive, who leads each partition, and what topics there are (KIP-500).
//!
//! Every voter of the [`quorum`](super::quorum) is a controller; the quorum's leader is the active one, the others apply
//! its committed records and so stand ready. A request takes this road:
//!
//! 1. A **decision** looks at the [`Cluster`] and changes nothing: it returns records and a reply.
//! 2. The records get their offsets in the metadata log, the facts are noted, and the records are **applied**: nothing
//!    else changes the cluster. The next decision already builds on them.
//! 3. The reply **waits** until the records are committed: a majority of the voters holds them. An answer without
//!    records waits for those before it, since it may tell of them.
//! 4. Brokers learn by fetching the log. Nothing is pushed to them.
//!
//! What happens without a request: every eighth of `broker.session.timeout.ms` silent brokers are fenced; every
//! `metadata.max.idle.interval.ms` a no-op record shows that the controller is alive; every
//! `leader.imbalance.check.interval.seconds` leadership goes back to preferred leaders; every
//! `unclean.leader.election.interval.ms`, and at once when that setting changes, leaderless partitions of topics that allow
//! it get an unclean leader.
//!
//! Kafka's `QuorumController`. What we leave out: features, quotas, ACLs.

use std::collections::BTreeMap;

use super::config::BrokerConfig;
use super::effects::{Effects, Input, Timer};
use super::error::ErrorCode;
use super::fact::Fact;
use super::ids::{BrokerEpoch, BrokerId, ControllerId, Name, Node, Offset, Voters};
use super::message::{
    AlterPartitionReassignmentsResponse, AlterPartitionResponse, BrokerHeartbeatRequest, BrokerHeartbeatResponse,
    BrokerRegistrationResponse, CreatePartitionsResponse, CreateTopicsResponse, DeleteTopicsResponse,
    ElectLeadersResponse, IncrementalAlterConfigsResponse, ListPartitionReassignmentsResponse, Message, Request,
    Response, TopicResult,
};
use super::metadata::{ConfigResource, MetadataBatch, MetadataImage, MetadataRecord};
use super::quorum::{ControllerDisk, Quorum};
use crate::rng::Rng;
use crate::time::{Duration, Instant};

pub mod alter_partition;
pub mod brokers;
pub mod cluster;
pub mod configs;
pub mod decision;
pub mod elections;
pub mod heartbeats;
pub mod index;
mod narrate;
pub mod partition_change;
pub mod producer_ids;
pub mod reassignments;
pub mod topics;

use cluster::Cluster;
use decision::Decision;
use heartbeats::BrokerControlState;
use partition_change::{ChangeRequest, Election};

/// The stream of random numbers for election timeouts.
const ELECTION_STREAM: u64 = 595;
/// Most elections of one balance pass (`MAX_ELECTIONS_PER_IMBALANCE`).
const MAX_ELECTIONS: usize = 1000;

/// What an active controller does from time to time.
const PERIODIC: [Timer; 4] = [Timer::NoOp, Timer::BrokerSessions, Timer::LeaderImbalance, Timer::UncleanElections];

/// What a cluster is formatted with (`kafka-storage format`): the first active controller writes it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// Cluster-wide dynamic settings, by Kafka's names.
    pub cluster_config: Vec<(Name, Name)>,
    /// KIP-966, feature `eligible.leader.replicas.version`: on since 4.1. With it the cluster always has a dynamic
    /// `min.insync.replicas`; without one here, the static one is written.
    pub eligible_leader_replicas: bool,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { cluster_config: Vec::new(), eligible_leader_replicas: true }
    }
}

/// One voter of the quorum, active or standing by.
#[derive(Clone, Debug)]
pub struct Controller {
    id: ControllerId,
    quorum: Quorum,
    cluster: Cluster,
    bootstrap: Bootstrap,
    rng: Rng,
    active: bool,
    /// Replies by the offset that must be committed first.
    waiting: BTreeMap<Offset, Vec<Reply>>,
}

#[derive(Clone, Debug)]
struct Reply {
    to: Node,
    correlation_id: u32,
    response: Response,
}

impl Controller {
    /// A voter as its process starts: memory is empty, `disk` is what was there.
    pub fn new(
        id: ControllerId,
        voters: Voters,
        config: BrokerConfig,
        bootstrap: Bootstrap,
        disk: ControllerDisk,
        rng: Rng,
    ) -> Self {
        // The draws for elections are its own: how many there are must not move where topics are placed.
        let quorum = Quorum::new(id, voters, &config, disk, Rng::new(rng.clone().next_u64(), ELECTION_STREAM));
        let cluster = Cluster::new(config, bootstrap.eligible_leader_replicas);
        Self { id, quorum, cluster, bootstrap, rng, active: false, waiting: BTreeMap::new() }
    }

    /// The run begins with the cluster up: the quorum has a leader already ([`Quorum::settle`]).
    pub fn settle(&mut self) {
        self.quorum.settle();
    }

    /// One thing happens to the controller. What is due comes first: a leader that slept too long must find out before
    /// it takes others' silence for death.
    pub fn step(&mut self, now: Instant, input: Input, out: &mut Effects) {
        if matches!(input, Input::Start) {
            self.quorum.start(now, out);
        } else {
            self.quorum.poll(now, out);
            self.follow_quorum(now, out);
            self.take(now, input, out);
            self.quorum.poll(now, out);
        }
        self.follow_quorum(now, out);
        if self.quorum.may_exit() {
            out.exit();
        }
    }

    fn take(&mut self, now: Instant, input: Input, out: &mut Effects) {
        match input {
            Input::Start => {}
            Input::Message { from, message: Message::Request { correlation_id, request } } => {
                self.on_request(now, from, correlation_id, &request, out);
            }
            Input::Message { message: Message::Response { correlation_id, response }, .. } => {
                self.quorum.on_response(now, correlation_id, response, out);
            }
            Input::Timer(timer) => self.on_timer(now, timer, out),
            Input::Disconnected { peer } => {
                self.waiting.values_mut().for_each(|replies| replies.retain(|reply| reply.to != peer));
                self.quorum.on_disconnected(now, peer, out);
            }
            Input::Shutdown => self.quorum.shut_down(now, out),
        }
    }

    /// What survives a crash.
    pub fn into_disk(self) -> ControllerDisk {
        self.quorum.into_disk()
    }

    pub fn id(&self) -> ControllerId {
        self.id
    }

    /// Whether this is the active controller.
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// The cluster as this controller knows it: the active one with records that are not committed yet.
    pub fn image(&self) -> &MetadataImage {
        &self.cluster.image
    }

    /// Its part in the quorum: role, epoch, log and high watermark.
    pub fn quorum(&self) -> &Quorum {
        &self.quorum
    }

    fn on_request(&mut self, now: Instant, from: Node, correlation_id: u32, request: &Request, out: &mut Effects) {
        if Quorum::answers(request) {
            return self.quorum.on_request(now, from, correlation_id, request, out);
        }
        let decision = if self.active { self.decide(now, request, out) } else { not_controller(request) };
        let Some(Decision { records, response }) = decision else { return out.close_connection(from) };
        self.write(now, records, None, out);
        let reply = Reply { to: from, correlation_id, response };
        self.waiting.entry(self.quorum.next_offset()).or_default().push(reply);
        if !self.active {
            self.refuse_waiting(out);
        }
    }

    /// `None` for a request that no controller answers.
    fn decide(&mut self, now: Instant, request: &Request, out: &mut Effects) -> Option<Decision> {
        let cluster = &self.cluster;
        Some(match request {
            Request::BrokerRegistration(request) => brokers::register(cluster, now, request, self.quorum.next_offset()),
            Request::BrokerHeartbeat(request) => self.heartbeat(now, request, out),
            Request::AlterPartition(request) => alter_partition::alter(cluster, request),
            Request::AllocateProducerIds(request) => producer_ids::allocate(cluster, request),
            Request::CreateTopics(request) => topics::create(cluster, request, &mut self.rng),
            Request::CreatePartitions(request) => topics::create_partitions(cluster, request, &mut self.rng),
            Request::DeleteTopics(request) => topics::delete(cluster, request),
            Request::ElectLeaders(request) => elections::elect(cluster, request),
            Request::AlterPartitionReassignments(request) => reassignments::alter(cluster, request),
            Request::ListPartitionReassignments(request) => reassignments::list(cluster, request),
            Request::IncrementalAlterConfigs(request) => {
                let Decision { records, response } = configs::alter(cluster, request);
                let unclean = configs::allow_unclean_elections(&records);
                self.write(now, records, None, out);
                if unclean {
                    self.elect_unclean_leaders(now, out);
                }
                Decision::answer(response)
            }
            _ => return None,
        })
    }

    /// A heartbeat counts as a sign of life whatever becomes of it.
    fn heartbeat(&mut self, now: Instant, request: &BrokerHeartbeatRequest, out: &mut Effects) -> Decision {
        let broker = request.broker;
        self.cluster.heartbeats.touch(now, broker, request.broker_epoch);
        let (Decision { records, response }, next) = brokers::heartbeat(&self.cluster, request);
        self.write(now, records, None, out);
        if let Some(next) = next {
            self.cluster.heartbeats.update(broker, next.is_fenced(), request.current_metadata_offset);
            if next == BrokerControlState::ControlledShutdown {
                self.cluster.heartbeats.begin_controlled_shutdown(broker, self.quorum.next_offset() - 1);
            }
        }
        Decision::answer(response)
    }

    fn on_timer(&mut self, now: Instant, timer: Timer, out: &mut Effects) {
        match timer {
            Timer::AppendLinger => self.quorum.flush(now, out),
            Timer::QuorumFetchWait { replica } => self.quorum.end_wait(replica, out),
            // Nobody takes over: it stops all the same.
            Timer::ControlledShutdown => out.exit(),
            Timer::RequestTimeouts => self.quorum.on_request_timeouts(now, out),
            Timer::NoOp | Timer::BrokerSessions | Timer::LeaderImbalance | Timer::UncleanElections => {
                self.on_periodic(now, timer, out)
            }
            _ => {}
        }
    }

    fn on_periodic(&mut self, now: Instant, timer: Timer, out: &mut Effects) {
        if !self.active {
            return;
        }
        let more = match timer {
            Timer::NoOp => {
                self.write(now, vec![MetadataRecord::NoOp], None, out);
                false
            }
            Timer::BrokerSessions => {
                self.fence_silent_brokers(now, out);
                false
            }
            Timer::LeaderImbalance => {
                self.cluster.config.auto_leader_rebalance && self.elect_preferred_leaders(now, out)
            }
            _ => self.elect_unclean_leaders(now, out),
        };
        if more {
            out.set_timer(now, timer);
        } else {
            self.schedule(now, timer, out);
        }
    }

    fn schedule(&self, now: Instant, timer: Timer, out: &mut Effects) {
        let config = &self.cluster.config;
        let period = match timer {
            Timer::NoOp => config.metadata_max_idle_interval,
            Timer::BrokerSessions => (config.broker_session_timeout / 8).max(Duration::millis(1)),
            Timer::UncleanElections => config.unclean_leader_election_interval,
            _ => Duration::secs(config.leader_imbalance_check_interval_seconds),
        };
        // An interval of 0 turns the no-op records off.
        if !period.is_zero() {
            out.set_timer(now + period, timer);
        }
    }

    /// One broker after the other, each in a batch of its own, so that the second decision sees what the first did.
    fn fence_silent_brokers(&mut self, now: Instant, out: &mut Effects) {
        while let Some((broker, epoch, silent_for)) = self.cluster.heartbeats.take_expired(now) {
            if self.cluster.image.brokers.get(&broker).is_none_or(|known| known.epoch != epoch) {
                continue;
            }
            let mut records = Vec::new();
            brokers::fence(&self.cluster, broker, &mut records);
            self.write(now, records, Some(silent_for), out);
            self.cluster.heartbeats.fence(broker);
        }
    }

    /// Whether there may be more to elect than one pass does.
    fn elect_preferred_leaders(&mut self, now: Instant, out: &mut Effects) -> bool {
        let request = || ChangeRequest { election: Election::Preferred, ..ChangeRequest::default() };
        let fit = |broker: BrokerId| self.cluster.is_active(broker);
        let records: Vec<MetadataRecord> = self
            .cluster
            .index()
            .imbalanced()
            .filter_map(|partition| self.cluster.change_partition(partition, request(), fit))
            .take(MAX_ELECTIONS)
            .collect();
        let more = records.len() >= MAX_ELECTIONS;
        self.write(now, records, None, out);
        more
    }

    /// Whether there may be more to elect than one pass does.
    fn elect_unclean_leaders(&mut self, now: Instant, out: &mut Effects) -> bool {
        let request = || ChangeRequest { election: Election::Unclean, ..ChangeRequest::default() };
        let fit = |broker: BrokerId| self.cluster.is_active(broker);
        let leaderless = self.cluster.index().leaderless().into_iter();
        let records: Vec<MetadataRecord> = leaderless
            .filter(|partition| self.cluster.unclean_election_enabled(partition.topic))
            .filter_map(|partition| self.cluster.change_partition(partition, request(), fit))
            .take(MAX_ELECTIONS)
            .collect();
        let more = records.len() >= MAX_ELECTIONS;
        self.write(now, records, None, out);
        more
    }

    /// Step 2 of the road above. No records, no batch.
    fn write(&mut self, now: Instant, records: Vec<MetadataRecord>, silent_for: Option<Duration>, out: &mut Effects) {
        if records.is_empty() {
            return;
        }
        narrate::narrate(&records, &self.cluster.image, silent_for, out);
        for record in &records {
            self.cluster.apply(record);
            if let MetadataRecord::RegisterBroker { broker, .. } = record {
                self.cluster.heartbeats.register(*broker);
            }
        }
        self.cluster.image.next_offset = self.quorum.append(now, records, out);
    }

    /// After anything that may have moved the quorum: takes up or lays down the work, applies, and answers.
    fn follow_quorum(&mut self, now: Instant, out: &mut Effects) {
        if self.active && !self.quorum.is_established() {
            self.stand_by(out);
        }
        if !self.active {
            self.catch_up();
            if self.quorum.is_established() {
                self.activate(now, out);
            }
        }
        self.answer_committed(out);
    }

    /// Applies what others decided, or this controller before it was started anew; only what is committed. Where the log
    /// does not begin early enough, its snapshot is what there is to begin with.
    fn catch_up(&mut self) {
        let to = self.quorum.high_watermark();
        if to <= self.cluster.image.next_offset {
            return;
        }
        if let Some(snapshot) =
            self.quorum.log().snapshot().filter(|_| self.cluster.image.next_offset < self.quorum.log().start())
        {
            self.cluster.load((*snapshot.image).clone());
        }
        for batch in self.quorum.log().read(self.cluster.image.next_offset, to) {
            batch.records.iter().for_each(|record| self.cluster.apply(record));
            self.cluster.image.next_offset = MetadataBatch::next_offset(&batch);
        }
    }

    /// Takes up the work. Every broker that is not fenced gets a whole session timeout to be heard.
    fn activate(&mut self, now: Instant, out: &mut Effects) {
        self.active = true;
        out.note(Fact::ControllerActive { controller: self.id, epoch: self.quorum.epoch() });
        self.cluster.heartbeats.clear();
        let brokers: Vec<(BrokerId, BrokerEpoch, bool)> =
            self.cluster.image.brokers.iter().map(|(id, known)| (*id, known.epoch, known.fenced)).collect();
        for (broker, epoch, fenced) in brokers {
            self.cluster.heartbeats.register(broker);
            if !fenced {
                self.cluster.heartbeats.touch(now, broker, epoch);
            }
        }
        if self.cluster.image.next_offset == 1 {
            self.write(now, self.bootstrap_records(), None, out);
        }
        for timer in PERIODIC {
            self.schedule(now, timer, out);
        }
    }

    /// The log holds nothing yet but the record of its first leader.
    fn bootstrap_records(&self) -> Vec<MetadataRecord> {
        const MIN_ISR: &str = "min.insync.replicas";
        let mut config = self.bootstrap.cluster_config.clone();
        if self.bootstrap.eligible_leader_replicas && !config.iter().any(|(key, _)| &**key == MIN_ISR) {
            config.push((MIN_ISR.into(), self.cluster.config.min_insync_replicas.to_string().into()));
        }
        let resource = ConfigResource::Cluster;
        let record = |(key, value)| MetadataRecord::Config { resource, key, value: Some(value) };
        config.into_iter().map(record).collect()
    }

    /// Lays the work down. What it decided and did not get committed is forgotten (`QuorumController.renounce`): it
    /// begins again with its snapshot and what is committed of its log.
    fn stand_by(&mut self, out: &mut Effects) {
        self.active = false;
        if self.cluster.image.next_offset > self.quorum.high_watermark() {
            self.cluster.load(MetadataImage::default());
        }
        for timer in PERIODIC {
            out.cancel_timer(timer);
        }
        self.refuse_waiting(out);
    }

    /// Step 3 of the road above.
    fn answer_committed(&mut self, out: &mut Effects) {
        let high_watermark = self.quorum.high_watermark();
        while let Some(first) = self.waiting.first_entry() {
            if *first.key() > high_watermark {
                return;
            }
            first.remove().into_iter().for_each(|reply| reply.send(out));
        }
    }

    /// Nobody knows what becomes of the records: the clients are to ask the next active controller.
    fn refuse_waiting(&mut self, out: &mut Effects) {
        for mut reply in std::mem::take(&mut self.waiting).into_values().flatten() {
            reply.response = refused(reply.response);
            reply.send(out);
        }
    }
}

impl Reply {
    fn send(self, out: &mut Effects) {
        out.respond(self.to, self.correlation_id, self.response);
    }
}

/// The answer of a controller that is not active.
fn not_controller(request: &Request) -> Option<Decision> {
    let topics = |names: &mut dyn Iterator<Item = &Name>| -> Vec<TopicResult> {
        names.map(|name| TopicResult { name: name.clone(), error: ErrorCode::NotController, message: None }).collect()
    };
    let error = ErrorCode::NotController;
    Some(Decision::answer(match request {
        Request::BrokerRegistration(_) => {
            Response::BrokerRegistration(BrokerRegistrationResponse { error, broker_epoch: BrokerEpoch(-1) })
        }
        Request::BrokerHeartbeat(_) => Response::BrokerHeartbeat(BrokerHeartbeatResponse {
            error,
            is_caught_up: false,
            is_fenced: true,
            should_shut_down: false,
        }),
        Request::AlterPartition(_) => {
            Response::AlterPartition(AlterPartitionResponse { error, partitions: Vec::new() })
        }
        Request::AllocateProducerIds(_) => producer_ids::refused(error),
        Request::CreateTopics(request) => Response::CreateTopics(CreateTopicsResponse {
            topics: topics(&mut request.topics.iter().map(|topic| &topic.name)),
        }),
        Request::CreatePartitions(request) => Response::CreatePartitions(CreatePartitionsResponse {
            topics: topics(&mut request.topics.iter().map(|(name, _)| name)),
        }),
        Request::DeleteTopics(request) => {
            Response::DeleteTopics(DeleteTopicsResponse { topics: topics(&mut request.topics.iter()) })
        }
        Request::IncrementalAlterConfigs(request) => {
            let broker = Name::from("");
            let of_brokers = (!request.cluster.is_empty() || !request.brokers.is_empty()).then_some(&broker);
            Response::IncrementalAlterConfigs(IncrementalAlterConfigsResponse {
                results: topics(&mut request.topics.iter().map(|(name, ..)| name).chain(of_brokers)),
            })
        }
        Request::ElectLeaders(_) => Response::ElectLeaders(ElectLeadersResponse { error, partitions: Vec::new() }),
        Request::AlterPartitionReassignments(_) => {
            let partitions = Vec::new();
            Response::AlterPartitionReassignments(AlterPartitionReassignmentsResponse { error, partitions })
        }
        Request::ListPartitionReassignments(_) => {
            let partitions = Vec::new();
            Response::ListPartitionReassignments(ListPartitionReassignmentsResponse { error, partitions })
        }
        _ => return None,
    }))
}

/// A reply turned into NOT_CONTROLLER, because its records may never be committed.
fn refused(mut response: Response) -> Response {
    let error = ErrorCode::NotController;
    let refuse = |topics: &mut Vec<TopicResult>| {
        for topic in topics {
            (topic.error, topic.message) = (error, None);
        }
    };
    match &mut response {
        Response::BrokerRegistration(registration) => registration.error = error,
        Response::BrokerHeartbeat(heartbeat) => heartbeat.error = error,
        Response::AlterPartition(alter) => alter.error = error,
        Response::AllocateProducerIds(_) => response = producer_ids::refused(error),
        Response::CreateTopics(create) => refuse(&mut create.topics),
        Response::CreatePartitions(create) => refuse(&mut create.topics),
        Response::DeleteTopics(delete) => refuse(&mut delete.topics),
        Response::IncrementalAlterConfigs(alter) => refuse(&mut alter.results),
        Response::ElectLeaders(elect) => (elect.error, elect.partitions) = (error, Vec::new()),
        Response::AlterPartitionReassignments(alter) => (alter.error, alter.partitions) = (error, Vec::new()),
        Response::ListPartitionReassignments(list) => (list.error, list.partitions) = (error, Vec::new()),
        _ => {}
    }
    response
}

#[cfg(test)]
mod harness;

#[cfg(test)]
mod tests;
