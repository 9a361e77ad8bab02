//! A broker: hands each request to the part that answers it, and keeps those parts in step with the metadata log.
//!
//! Its parts: replicas, each leading or following ([`replica`](super::replica)); fetchers, one per leader that it follows;
//! a purgatory of requests that wait; the group coordinator; its lifecycle towards the controller; and an observer of the
//! metadata log. What the log says becomes true here only when it has been fetched and applied (KIP-500).
//!
//! Kafka's `BrokerServer`, `KafkaApis`, `ReplicaManager`, `BrokerMetadataPublisher`.

mod describe;
mod epochs;
mod fetch;
mod follow;
mod groups;
mod isr;
mod produce;
mod producer_ids;
mod publish;
mod replicas;
mod settings;
mod share;
mod storage;
#[cfg(test)]
mod tests;
mod throttle;
mod zk;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use self::follow::{AskedFor, Fetcher, LeaderOffset};
use self::producer_ids::ProducerIds;
use self::replicas::Replicas;
use self::share::Share;
use self::storage::{Files, Storage};
use self::throttle::Throttle;
use self::zk::ZkMember;
pub use self::zk::{ZkSettled, ZkSetup};
use super::compat::TruncationRule;
use super::config::BrokerConfig;
use super::connection::InFlight;
use super::coordinator::GroupCoordinator;
use super::effects::{Effects, Input, Timer};
use super::error::ErrorCode;
use super::ids::{BrokerEpoch, BrokerId, LeaderEpoch, Name, Node, Offset, PartitionEpoch, TopicPartition, Voters};
use super::lifecycle::{Lifecycle, Phase, Turn};
use super::log::Log;
use super::message::{Message, Request, Response};
use super::metadata::{MetadataBatch, MetadataImage};
use super::observer::{Ask, Observer};
use super::purgatory::Purgatory;
use super::quorum::log::MetadataLog;
use super::replica::Replica;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// What a broker's process is started with.
#[derive(Clone, Debug)]
pub struct BrokerSetup {
    pub id: BrokerId,
    pub config: BrokerConfig,
    pub voters: Voters,
    pub disk: BrokerDisk,
    pub rng: Rng,
    /// It has been up for long: everything on its disk is known to be committed, and it is registered and unfenced.
    pub settled: bool,
    /// How its replicas find out what to cut off.
    pub truncation: TruncationRule,
    /// In ZooKeeper mode; there are no voters then.
    pub zookeeper: Option<ZkSetup>,
}

/// How long a broker waits for the controller's leave to stop (`BrokerServer.shutdown`).
const CONTROLLED_SHUTDOWN_TIMEOUT: Duration = Duration::secs(300);

/// What is on a broker's disk.
#[derive(Clone, Debug, Default)]
pub struct BrokerDisk {
    logs: BTreeMap<TopicPartition, Log>,
    /// `replication-offset-checkpoint`.
    high_watermarks: BTreeMap<TopicPartition, Offset>,
    /// `.kafka_cleanshutdown`: the broker epoch in which it stopped cleanly; gone once it runs.
    clean_shutdown: Option<BrokerEpoch>,
    metadata: MetadataLog,
    /// The disk itself, and what else is on it.
    files: Files,
}

impl BrokerDisk {
    /// The disk of a broker that has seen this metadata and nothing else.
    pub fn with_history(history: MetadataBatch) -> Self {
        let mut disk = Self::default();
        disk.metadata.append(history);
        disk
    }

    /// The log of a replica, where there is one.
    pub fn log(&self, partition: TopicPartition) -> Option<&Log> {
        self.logs.get(&partition)
    }

    /// Every replica's log.
    pub fn logs(&self) -> impl Iterator<Item = (TopicPartition, &Log)> {
        self.logs.iter().map(|(partition, log)| (*partition, log))
    }

    /// The high watermark that was last written down.
    pub fn high_watermark(&self, partition: TopicPartition) -> Offset {
        self.high_watermarks.get(&partition).copied().unwrap_or_default()
    }
}

/// One broker.
#[derive(Clone, Debug)]
pub struct Broker {
    id: BrokerId,
    config: BrokerConfig,
    /// What its process was started with: dynamic settings go before it.
    static_config: Rc<BrokerConfig>,
    truncation: TruncationRule,
    lifecycle: Lifecycle,
    observer: Observer,
    /// In ZooKeeper mode, where the observer observes nothing and only keeps the image.
    zk: Option<Box<ZkMember>>,
    /// Whether what the observer knows has been made true here once.
    published: bool,
    clean_shutdown: bool,
    replicas: Replicas,
    /// Logs that were on disk when the process started and whose replica is not open yet.
    unopened: BTreeMap<TopicPartition, Log>,
    high_watermark_checkpoint: BTreeMap<TopicPartition, Offset>,
    storage: Storage,
    fetchers: BTreeMap<BrokerId, Fetcher>,
    purgatory: Purgatory,
    throttle: Throttle,
    coordinator: GroupCoordinator,
    share: Share,
    in_flight: InFlight<Purpose>,
    /// Partitions whose proposed ISR has not been answered.
    proposals: BTreeSet<TopicPartition>,
    proposals_in_flight: bool,
    /// The leader and partition epochs that the proposals under way speak of.
    proposed_at: BTreeMap<TopicPartition, (LeaderEpoch, PartitionEpoch)>,
    producer_ids: ProducerIds,
    /// Topics asked of the controller.
    creating: BTreeSet<Name>,
    /// Requests of clients for the controller, while none is known.
    unsent: Vec<(Node, u32, Request)>,
}

/// What a request was for.
#[derive(Clone, Debug)]
enum Purpose {
    Lifecycle,
    Observer,
    FollowerFetch {
        leader: BrokerId,
        asked: Vec<AskedFor>,
    },
    FollowerListOffsets(LeaderOffset),
    FollowerEpochs {
        leader: BrokerId,
        asked: Vec<AskedFor>,
    },
    AlterPartition,
    AllocateProducerIds,
    /// A share coordinator is asked.
    ShareState {
        id: u64,
    },
    CreateTopic {
        name: Name,
    },
    Forward {
        client: Node,
        correlation_id: u32,
        request: Box<Request>,
    },
    /// ZooKeeper mode: this broker is the controller and tells another what to do.
    ZkPush {
        broker: BrokerId,
    },
    /// ZooKeeper mode: this broker asks for leave to stop.
    ZkShutdown,
}

impl Broker {
    pub fn new(setup: BrokerSetup) -> Self {
        let BrokerSetup { id, config, voters, disk, mut rng, settled, truncation, zookeeper } = setup;
        let mut observer = Observer::new(id, voters, &config, disk.metadata, &mut rng);
        let lifecycle = if settled {
            match zookeeper.as_ref().and_then(|zookeeper| zookeeper.settled.as_ref()) {
                Some(settled) => observer.settle_with(settled.image.clone()),
                None => observer.settle(),
            }
            let registration = observer.image().brokers.get(&id);
            let (epoch, incarnation) =
                registration.map_or_else(Default::default, |known| (known.epoch, known.incarnation));
            Lifecycle::settled(id, &config, incarnation, epoch)
        } else {
            Lifecycle::new(id, &config, rng.next_u64(), disk.clean_shutdown)
        };
        let zk = zookeeper.map(|setup| Box::new(ZkMember::new(id, &config, setup, &mut rng)));
        Self {
            id,
            truncation,
            zk,
            coordinator: GroupCoordinator::new(config.clone(), rng.clone()),
            lifecycle,
            observer,
            published: false,
            clean_shutdown: disk.clean_shutdown.is_some() || settled,
            replicas: Replicas::default(),
            unopened: disk.logs,
            high_watermark_checkpoint: disk.high_watermarks,
            storage: Storage::new(disk.files),
            fetchers: BTreeMap::new(),
            purgatory: Purgatory::default(),
            throttle: Throttle::default(),
            share: Share::default(),
            in_flight: InFlight::default(),
            proposals: BTreeSet::new(),
            proposals_in_flight: false,
            proposed_at: BTreeMap::new(),
            producer_ids: ProducerIds::default(),
            creating: BTreeSet::new(),
            unsent: Vec::new(),
            static_config: Rc::new(config.clone()),
            config,
        }
    }

    pub fn step(&mut self, now: Instant, input: Input, out: &mut Effects) {
        self.throttle.at(now);
        match input {
            Input::Start => self.start(now, out),
            Input::Message { from: from @ Node::ZooKeeper(_), message } => self.on_zookeeper(now, from, message, out),
            Input::Message { from, message: Message::Request { correlation_id, request } } => {
                self.on_request(now, from, correlation_id, request, out);
            }
            Input::Message { message: Message::Response { correlation_id, response }, .. } => {
                if let Some((_, purpose)) = self.in_flight.complete(correlation_id) {
                    self.on_response(now, purpose, response, out);
                }
            }
            Input::Timer(timer) => self.on_timer(now, timer, out),
            Input::Disconnected { peer } => self.on_disconnected(now, peer, out),
            Input::Shutdown => {
                out.set_timer(now + CONTROLLED_SHUTDOWN_TIMEOUT, Timer::ControlledShutdown);
                if self.zk.is_some() {
                    return self.stop_with_zookeeper(now, out);
                }
                let turn = self.lifecycle.begin_shutdown(now, out);
                self.take_turn(now, turn, out);
            }
        }
    }

    /// A settled broker goes on as it was; any other first learns what has been committed.
    fn start(&mut self, now: Instant, out: &mut Effects) {
        if self.log_dir_fails(out) {
            return;
        }
        self.start_storage(now, out);
        if self.zk.is_some() {
            self.start_with_zookeeper(now, out);
        } else {
            if self.lifecycle.phase() == Phase::Running {
                self.publish_all(now, out);
            }
            let ask = self.observer.start(now);
            self.ask(now, ask, Purpose::Observer, out);
            self.communicate(now, out);
        }
        out.set_timer(now + self.config.replica_lag_time_max / 2, Timer::IsrShrink);
        out.set_timer(now + self.config.high_watermark_checkpoint_interval, Timer::HighWatermarkCheckpoint);
        out.set_timer(now + self.config.producer_id_expiration_check_interval, Timer::ProducerIdExpiry);
    }

    fn on_request(&mut self, now: Instant, from: Node, correlation_id: u32, request: Request, out: &mut Effects) {
        if self.zk.is_some()
            && matches!(request, Request::LeaderAndIsr(_) | Request::UpdateMetadata(_) | Request::StopReplica(_))
        {
            return self.on_push(now, from, correlation_id, request, out);
        }
        if !self.published {
            // The port opens only once the broker knows what it has to serve.
            out.close_connection(from);
            return;
        }
        if Self::is_write(&request) && self.log_dir_fails(out) {
            return;
        }
        match request {
            Request::Produce(produce) => self.on_produce(now, from, correlation_id, produce, out),
            Request::Fetch(fetch) => self.on_fetch(now, from, correlation_id, fetch, out),
            Request::ListOffsets(list) => self.on_list_offsets(from, correlation_id, &list, out),
            Request::DescribeLogDirs(describe) => self.on_describe_log_dirs(from, correlation_id, &describe, out),
            Request::OffsetForLeaderEpoch(asked) => self.on_offset_for_leader_epoch(from, correlation_id, &asked, out),
            Request::Metadata(metadata) => self.on_metadata(now, from, correlation_id, &metadata, out),
            Request::DescribeConfigs(describe) => self.on_describe_configs(from, correlation_id, &describe, out),
            Request::InitProducerId(_) => self.on_init_producer_id(now, from, correlation_id, out),
            Request::FindCoordinator(find) => self.on_find_coordinator(now, from, correlation_id, &find, out),
            Request::AlterPartition(_) | Request::ControlledShutdown(_) | Request::AllocateProducerIds(_)
                if self.zk.is_some() =>
            {
                self.on_controller_request(now, from, correlation_id, request, out);
            }
            Request::CreateTopics(_)
            | Request::DeleteTopics(_)
            | Request::CreatePartitions(_)
            | Request::IncrementalAlterConfigs(_)
                if self.zk.is_some() && from.broker().is_some() =>
            {
                self.on_controller_request(now, from, correlation_id, request, out);
            }
            Request::DescribeQuorum(_)
            | Request::ElectLeaders(_)
            | Request::AlterPartitionReassignments(_)
            | Request::ListPartitionReassignments(_)
                if self.zk.is_some() =>
            {
                zk::answer_unsupported(from, correlation_id, &request, out);
            }
            Request::CreateTopics(_)
            | Request::DeleteTopics(_)
            | Request::CreatePartitions(_)
            | Request::DescribeQuorum(_)
            | Request::ElectLeaders(_)
            | Request::AlterPartitionReassignments(_)
            | Request::ListPartitionReassignments(_)
            | Request::IncrementalAlterConfigs(_) => self.forward(now, from, correlation_id, request, out),
            Request::JoinGroup(_)
            | Request::ConsumerGroupHeartbeat(_)
            | Request::ConsumerGroupDescribe(_)
            | Request::SyncGroup(_)
            | Request::Heartbeat(_)
            | Request::LeaveGroup(_)
            | Request::OffsetCommit(_)
            | Request::OffsetFetch(_)
            | Request::DescribeGroups(_)
            | Request::ListGroups(_)
            | Request::DeleteGroups(_)
            | Request::OffsetDelete(_)
            | Request::ShareGroupHeartbeat(_)
            | Request::ShareGroupDescribe(_) => self.on_group_request(now, from, correlation_id, &request, out),
            Request::ShareFetch(_)
            | Request::ShareAcknowledge(_)
            | Request::InitializeShareGroupState(_)
            | Request::ReadShareGroupState(_)
            | Request::WriteShareGroupState(_)
            | Request::ReadShareGroupStateSummary(_)
            | Request::DescribeShareGroupOffsets(_) => self.on_share_request(now, from, correlation_id, request, out),
            // Only a controller answers these; whoever asks a broker has the wrong address.
            _ => out.close_connection(from),
        }
    }

    fn on_response(&mut self, now: Instant, purpose: Purpose, response: Response, out: &mut Effects) {
        match (purpose, response) {
            (Purpose::Observer, Response::QuorumFetch(fetch)) => {
                let (ask, committed) = self.observer.on_response(now, fetch, out);
                self.apply_committed(now, &committed, out);
                if let Some(ask) = ask {
                    self.ask(now, ask, Purpose::Observer, out);
                }
            }
            (Purpose::Observer, Response::FetchSnapshot(fetch)) => {
                let (ask, is_new) = self.observer.on_snapshot(now, fetch, out);
                if is_new && self.published {
                    self.publish_snapshot(now, out);
                }
                if let Some(ask) = ask {
                    self.ask(now, ask, Purpose::Observer, out);
                }
            }
            (Purpose::Lifecycle, Response::BrokerRegistration(registration)) => {
                let turn = self.lifecycle.on_registration(now, &registration, out);
                self.take_turn(now, turn, out);
            }
            (Purpose::Lifecycle, Response::BrokerHeartbeat(heartbeat)) => {
                let turn = self.lifecycle.on_heartbeat(now, &heartbeat, out);
                self.take_turn(now, turn, out);
            }
            (Purpose::FollowerFetch { leader, asked }, Response::Fetch(fetch)) => {
                if fetch.partitions.iter().any(|fetched| !fetched.batches.is_empty()) && self.log_dir_fails(out) {
                    return;
                }
                self.on_fetched(now, leader, &asked, fetch.partitions, out);
            }
            (Purpose::FollowerEpochs { leader, asked }, Response::OffsetForLeaderEpoch(ends)) => {
                self.on_epoch_ends(now, leader, &asked, &ends, out);
            }
            (Purpose::FollowerListOffsets(asked), Response::ListOffsets(listed)) => {
                self.on_leader_offset(now, asked, &listed, out);
            }
            (Purpose::AlterPartition, Response::AlterPartition(altered)) => self.on_alter_partition(now, altered, out),
            (Purpose::AllocateProducerIds, Response::AllocateProducerIds(allocated)) => {
                self.on_producer_ids(now, &allocated);
            }
            (Purpose::ShareState { id }, answer) => self.on_share_state_response(now, id, &answer, out),
            (Purpose::CreateTopic { name }, _) => {
                self.creating.remove(&name);
            }
            (Purpose::ZkPush { broker }, answer) => self.on_push_answer(now, broker, Some(answer), out),
            (Purpose::ZkShutdown, answer) => self.on_shutdown_answer(now, Some(answer), out),
            (Purpose::Forward { client, correlation_id, request }, answer) => {
                if answered_by_nobody(&answer) {
                    self.controller_lost();
                    self.unsent.push((client, correlation_id, *request));
                    out.set_timer(now + describe::FORWARD_RETRY, Timer::InternalTopic);
                } else {
                    out.respond(client, correlation_id, answer);
                }
            }
            (purpose, _) => self.on_lost(now, purpose, out),
        }
    }

    /// A request will not be answered.
    fn on_lost(&mut self, now: Instant, purpose: Purpose, out: &mut Effects) {
        match purpose {
            Purpose::Lifecycle => {
                self.observer.controller_lost();
                self.lifecycle.on_failed(now, out);
            }
            Purpose::Observer => {
                let ask = self.observer.on_failed(now, out);
                if let Some(ask) = ask {
                    self.ask(now, ask, Purpose::Observer, out);
                }
            }
            Purpose::FollowerFetch { leader, .. } => self.on_fetch_lost(now, leader, out),
            Purpose::FollowerListOffsets(asked) => self.on_leader_offset_lost(now, asked, out),
            Purpose::FollowerEpochs { leader, asked } => self.on_epoch_ends_lost(now, leader, &asked, out),
            Purpose::AlterPartition => self.on_proposals_lost(now, out),
            Purpose::AllocateProducerIds => self.on_producer_ids_lost(now),
            Purpose::ShareState { id } => self.share_question_lost(now, id, out),
            Purpose::ZkPush { broker } => self.on_push_answer(now, broker, None, out),
            Purpose::ZkShutdown => self.on_shutdown_answer(now, None, out),
            Purpose::CreateTopic { name } => {
                self.creating.remove(&name);
            }
            Purpose::Forward { client, correlation_id, request } => {
                self.unsent.push((client, correlation_id, *request));
                out.set_timer(now + describe::FORWARD_RETRY, Timer::InternalTopic);
            }
        }
    }

    fn on_timer(&mut self, now: Instant, timer: Timer, out: &mut Effects) {
        match timer {
            Timer::RequestTimeouts => {
                for (_, purpose) in self.in_flight.expired(now, out) {
                    self.on_lost(now, purpose, out);
                }
            }
            Timer::ZkSession | Timer::ZkRegistration | Timer::ZkPush { .. } | Timer::LeaderImbalance => {
                self.on_zk_timer(now, &timer, out);
            }
            Timer::LogRecovery if self.zk.is_some() => self.on_zk_timer(now, &timer, out),
            Timer::BrokerHeartbeat => self.communicate(now, out),
            Timer::QuorumFetch => {
                let ask = self.observer.fetch();
                self.ask(now, ask, Purpose::Observer, out);
            }
            Timer::DelayedShareFetch { .. } | Timer::AcquisitionLock { .. } | Timer::ShareState => {
                self.on_share_timer(now, &timer, out);
            }
            Timer::IsrShrink => self.shrink_isrs(now, out),
            Timer::AlterPartition => self.send_proposals(now, out),
            Timer::FollowerFetch { leader } => self.run_fetcher(now, leader, out),
            Timer::DelayedFetch { id } => self.finish_fetch(id, out),
            Timer::DelayedProduce { id } => self.expire_produce(id, out),
            Timer::LogRecovery
            | Timer::WriteBack
            | Timer::LogRetention
            | Timer::LogFlush
            | Timer::RecoveryPointCheckpoint
            | Timer::DiskRead { .. } => self.on_storage_timer(now, &timer, out),
            Timer::HighWatermarkCheckpoint => {
                if self.log_dir_fails(out) {
                    return;
                }
                self.checkpoint_high_watermarks();
                out.set_timer(now + self.config.high_watermark_checkpoint_interval, Timer::HighWatermarkCheckpoint);
            }
            Timer::ProducerIdExpiry => self.expire_producers(now, out),
            Timer::InternalTopic => self.forward_again(now, out),
            // No controller lets it go: it stops all the same.
            Timer::ControlledShutdown => {
                self.flush_all(now, out);
                out.exit();
            }
            group => self.on_group_timer(now, &group, out),
        }
    }

    fn on_disconnected(&mut self, now: Instant, peer: Node, out: &mut Effects) {
        let (produces, fetches) = self.purgatory.of_peer(peer);
        for id in produces {
            self.purgatory.take_produce(id);
            out.cancel_timer(Timer::DelayedProduce { id });
        }
        for id in fetches {
            self.purgatory.take_fetch(id);
            out.cancel_timer(Timer::DelayedFetch { id });
        }
        self.share_peer_lost(now, peer, out);
        self.forget_reads_of(peer);
        self.unsent.retain(|(client, _, _)| *client != peer);
        self.zookeeper_lost(now, peer, out);
        for purpose in self.in_flight.disconnected(peer) {
            self.on_lost(now, purpose, out);
        }
    }

    /// Registers, or sends the next heartbeat.
    fn communicate(&mut self, now: Instant, out: &mut Effects) {
        let controller = self.observer.controller();
        if let Some(ask) = self.lifecycle.communicate(now, controller, self.observer.metadata_offset(), out) {
            self.ask(now, ask, Purpose::Lifecycle, out);
        }
    }

    fn ask(&mut self, now: Instant, (to, request, timeout): Ask, purpose: Purpose, out: &mut Effects) {
        self.in_flight.send(now, to, request, timeout, purpose, out);
    }

    fn take_turn(&mut self, now: Instant, turn: Turn, out: &mut Effects) {
        match turn {
            Turn::None | Turn::Unfenced => {}
            Turn::CaughtUp => self.begin_recovery(now, out),
            Turn::ShutDown => {
                self.flush_all(now, out);
                out.exit();
            }
            Turn::NotController => self.observer.controller_lost(),
        }
    }

    fn checkpoint_high_watermarks(&mut self) {
        let now = self.replicas.iter().map(|(partition, replica)| (partition, replica.high_watermark()));
        self.high_watermark_checkpoint.extend(now);
    }

    /// On [`Timer::ProducerIdExpiry`] (`UnifiedLog`'s "PeriodicProducerExpirationCheck").
    fn expire_producers(&mut self, now: Instant, out: &mut Effects) {
        out.set_timer(now + self.config.producer_id_expiration_check_interval, Timer::ProducerIdExpiry);
        let (now_ms, expiration) = (now.timestamp_ms(), self.config.producer_id_expiration);
        let concerned = self.replicas.iter().filter(|(_, replica)| replica.producers().has_expired(now_ms, expiration));
        let concerned: Vec<TopicPartition> = concerned.map(|(partition, _)| partition).collect();
        for partition in concerned {
            if let Some(replica) = self.replicas.get_mut(&partition) {
                replica.expire_producers(now, expiration);
            }
        }
    }

    /// What is on disk when the process ends. A clean stop writes the high watermarks, and that it was clean.
    pub fn into_disk(mut self, clean: bool) -> BrokerDisk {
        if clean {
            self.checkpoint_high_watermarks();
        }
        let clean_shutdown = self.lifecycle.broker_epoch().filter(|_| clean);
        let mut logs = self.unopened;
        logs.extend(self.replicas.into_replicas().map(|(partition, replica)| (partition, replica.into_log())));
        BrokerDisk {
            logs,
            high_watermarks: self.high_watermark_checkpoint,
            clean_shutdown,
            metadata: self.observer.into_log(),
            files: self.storage.into_files(),
        }
    }

    /// Changes one setting, by Kafka's name; one that Kafka would refuse changes nothing.
    pub fn set_config(&mut self, key: &str, value: &str) {
        if self.config.set(key, value).is_ok() {
            // It was refused above if it is wrong.
            let _ = Rc::make_mut(&mut self.static_config).set(key, value);
            self.refresh_topic_configs();
        }
    }

    pub fn id(&self) -> BrokerId {
        self.id
    }

    pub fn config(&self) -> &BrokerConfig {
        &self.config
    }

    /// What this broker believes about the cluster.
    pub fn image(&self) -> &MetadataImage {
        self.observer.image()
    }

    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Whether it has finished starting.
    pub fn is_running(&self) -> bool {
        !matches!(self.lifecycle.phase(), Phase::Starting | Phase::Recovery)
    }

    pub fn coordinator(&self) -> &GroupCoordinator {
        &self.coordinator
    }

    /// Every replica it has opened, in order.
    pub fn replicas(&self) -> impl Iterator<Item = (TopicPartition, &Replica)> {
        self.replicas.iter()
    }

    pub fn replica(&self, partition: TopicPartition) -> Option<&Replica> {
        self.replicas.get(&partition)
    }

    /// A partition's log, whether its replica is open or the broker is still on its way up.
    pub fn log(&self, partition: TopicPartition) -> Option<&Log> {
        self.replica(partition).map(Replica::log).or_else(|| self.unopened.get(&partition))
    }

    /// How many produces and fetches wait in its purgatory.
    pub fn waiting(&self) -> (usize, usize) {
        self.purgatory.sizes()
    }
}

/// Whether a forwarded request reached a controller that is not the active one.
fn answered_by_nobody(answer: &Response) -> bool {
    let results = match answer {
        Response::CreateTopics(created) => &created.topics,
        Response::DeleteTopics(deleted) => &deleted.topics,
        Response::CreatePartitions(created) => &created.topics,
        Response::IncrementalAlterConfigs(altered) => &altered.results,
        Response::DescribeQuorum(described) => return described.error == ErrorCode::NotLeaderOrFollower,
        Response::ElectLeaders(elected) => return elected.error == ErrorCode::NotController,
        Response::AlterPartitionReassignments(altered) => return altered.error == ErrorCode::NotController,
        Response::ListPartitionReassignments(listed) => return listed.error == ErrorCode::NotController,
        _ => return false,
    };
    results.iter().any(|result| result.error == ErrorCode::NotController)
}
