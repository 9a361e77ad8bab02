//! A broker in ZooKeeper mode: how it lives, and how metadata reaches it.
//!
//! It opens a session, reads its logs, and creates `/brokers/ids/N`; that is its registration, and the session is its sign
//! of life. Then it looks who the controller is, and is it if nobody is (KafkaServer.startup).
//!
//! What a KRaft broker reads from the metadata log, this one is told: LeaderAndIsr makes it lead and follow, UpdateMetadata
//! says what clients may know, StopReplica ends replicas. All that goes into the same image that the log would have gone
//! into, and from there the broker is the same. Settings it reads from ZooKeeper itself, and follows the notifications
//! in `/config/changes`.
//!
//! What we leave out: a broker whose znode of a life before is still there waits for its end; Kafka's process ends with
//! NODE_EXISTS, and whoever looks after it starts it again. Leadership and the metadata cache are one image here: what
//! LeaderAndIsr says, clients may know already.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::{Broker, Purpose};
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{BrokerEpoch, BrokerId, LeaderEpoch, Name, Node, PartitionEpoch, TopicId};
use crate::kafka::lifecycle::Lifecycle;
use crate::kafka::message::ensemble::{SessionId, WatchKind, ZkError, ZkOp, ZkReply, ZkResult, ZnodeData, Zxid};
use crate::kafka::message::push::{
    ControlledShutdownRequest, LeaderAndIsrRequest, LeaderAndIsrResponse, PushHeader, PushedPartition,
    StopReplicaRequest, StopReplicaResponse, UpdateMetadataRequest, UpdateMetadataResponse,
};
use crate::kafka::message::{
    AlterPartitionReassignmentsResponse, DescribeQuorumResponse, ElectLeadersResponse,
    ListPartitionReassignmentsResponse, Message, Request, Response,
};
use crate::kafka::metadata::{BrokerRegistration, ConfigResource, MetadataImage, PartitionRegistration, TopicImage};
use crate::kafka::zk_client::{ZkClient, ZkEvent};
use crate::kafka::zk_controller::{Desk, ZkController};
use crate::kafka::zookeeper::{Ensemble, paths};
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// `controller.socket.timeout.ms`.
const PUSH_TIMEOUT: Duration = Duration::secs(30);
/// `controlled.shutdown.max.retries` and `controlled.shutdown.retry.backoff.ms`.
const SHUTDOWN_TRIES: u32 = 3;
const SHUTDOWN_BACKOFF: Duration = Duration::secs(5);
/// Pause before a broker whose znode of before is still there tries again.
const REGISTRATION_RETRY: Duration = Duration::secs(1);

/// What a broker in ZooKeeper mode is started with.
#[derive(Clone, Debug)]
pub struct ZkSetup {
    pub ensemble: Ensemble,
    pub settled: Option<ZkSettled>,
}

/// The state of a broker that has been up for long.
#[derive(Clone, Debug)]
pub struct ZkSettled {
    pub session: SessionId,
    /// The last transaction before the run.
    pub zxid: Zxid,
    pub controller: BrokerId,
    /// The controller's epoch, and the version of `/controller_epoch`.
    pub reign: (i32, i32),
    pub image: Rc<MetadataImage>,
}

/// The broker's side of ZooKeeper mode.
#[derive(Clone, Debug)]
pub(super) struct ZkMember {
    client: ZkClient,
    controller: ZkController,
    settled: bool,
    logs_read: bool,
    /// This process has been registered: only then does it open its port.
    open: bool,
    /// The transaction that created its znode.
    broker_epoch: Option<BrokerEpoch>,
    /// The newest controller that has spoken.
    controller_epoch: i32,
    /// Settings by the path of their znode.
    configs: BTreeMap<Name, Vec<(Name, Name)>>,
    /// Notifications that have been followed.
    seen_changes: BTreeSet<Name>,
    reads: BTreeMap<u64, Read>,
    /// How often leave to stop will be asked for yet.
    stopping: Option<u32>,
}

/// What the broker itself asked of ZooKeeper.
#[derive(Clone, Debug)]
enum Read {
    Register,
    /// Whose znode is in the way?
    Owner,
    /// The topics with settings, and the notifications there are.
    ListConfigs,
    Configs(Vec<Name>),
    ListChanges,
    Changes,
    CloseSession,
}

impl ZkMember {
    pub(super) fn new(id: BrokerId, config: &super::BrokerConfig, setup: ZkSetup, rng: &mut Rng) -> Self {
        let stream = Rng::new(rng.next_u64(), 1);
        let mut controller = ZkController::new(id, config.clone(), Rng::new(rng.next_u64(), 2));
        let mut session = None;
        if let Some(settled) = &setup.settled {
            controller.settle(settled.controller, settled.reign, settled.image.clone());
            let mut watches = controller.settled_watches();
            watches.insert((paths::CONFIG_CHANGES.into(), WatchKind::Children));
            session = Some((settled.session, settled.zxid, watches));
        }
        let (timeout, window) = (config.zookeeper_session_timeout, config.zookeeper_max_in_flight);
        let image = setup.settled.as_ref().map(|settled| &settled.image);
        Self {
            client: ZkClient::new(id, setup.ensemble, timeout, window, session, stream),
            controller,
            settled: setup.settled.is_some(),
            logs_read: setup.settled.is_some(),
            open: setup.settled.is_some(),
            broker_epoch: image.and_then(|image| Some(image.brokers.get(&id)?.epoch)),
            controller_epoch: setup.settled.as_ref().map_or(0, |settled| settled.reign.0),
            configs: image.map(|image| configs_by_path(image)).unwrap_or_default(),
            seen_changes: BTreeSet::new(),
            reads: BTreeMap::new(),
            stopping: None,
        }
    }

    fn ask(&mut self, now: Instant, ops: Vec<ZkOp>, read: Read, out: &mut Effects) {
        let batch = self.client.submit(now, ops, out);
        self.reads.insert(batch, read);
    }
}

fn configs_by_path(image: &MetadataImage) -> BTreeMap<Name, Vec<(Name, Name)>> {
    let path = |resource: &ConfigResource| match resource {
        ConfigResource::Cluster => Some(paths::DEFAULT_BROKER_CONFIG.into()),
        ConfigResource::Topic(id) => Some(paths::topic_config(&image.topics.get(id)?.name)),
        ConfigResource::Broker(_) => None,
    };
    let pairs =
        |config: &BTreeMap<Name, Name>| config.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    image.configs.iter().filter_map(|(resource, config)| Some((path(resource)?, pairs(config)))).collect()
}

/// What nobody answers in ZooKeeper mode: there is no quorum to describe, and the rest is left out here. So a broker of
/// Kafka answers a request that it does not have.
pub(super) fn answer_unsupported(from: Node, correlation_id: u32, request: &Request, out: &mut Effects) {
    let error = ErrorCode::UnsupportedVersion;
    let response = match request {
        Request::DescribeQuorum(_) => Response::DescribeQuorum(DescribeQuorumResponse {
            error,
            leader: None,
            epoch: LeaderEpoch(-1),
            high_watermark: 0,
            voters: Vec::new(),
            observers: Vec::new(),
        }),
        Request::ElectLeaders(_) => Response::ElectLeaders(ElectLeadersResponse { error, partitions: Vec::new() }),
        Request::AlterPartitionReassignments(_) => {
            Response::AlterPartitionReassignments(AlterPartitionReassignmentsResponse { error, partitions: Vec::new() })
        }
        Request::ListPartitionReassignments(_) => {
            Response::ListPartitionReassignments(ListPartitionReassignmentsResponse { error, partitions: Vec::new() })
        }
        _ => return out.close_connection(from),
    };
    out.respond(from, correlation_id, response);
}

impl Broker {
    pub(super) fn start_with_zookeeper(&mut self, now: Instant, out: &mut Effects) {
        let Some(zk) = &mut self.zk else { return };
        zk.client.start(now, out);
        if zk.settled {
            zk.controller.start_settled(now, out);
            self.publish_all(now, out);
        } else {
            self.begin_recovery(now, out);
        }
    }

    /// What happens between the controller's part of this broker, ZooKeeper and the other brokers.
    fn with_controller(&mut self, now: Instant, out: &mut Effects, act: impl FnOnce(&mut ZkController, &mut Desk)) {
        let Some(zk) = &mut self.zk else { return };
        act(&mut zk.controller, &mut Desk { now, zk: &mut zk.client, out });
        for (broker, request) in zk.controller.take_outbox() {
            let purpose = Purpose::ZkPush { broker };
            self.in_flight.send(now, Node::Broker(broker), request, PUSH_TIMEOUT, purpose, out);
        }
    }

    pub(super) fn on_zookeeper(&mut self, now: Instant, from: Node, message: Message, out: &mut Effects) {
        let Some(zk) = &mut self.zk else { return };
        for event in zk.client.on_message(now, from, message, out) {
            self.on_zk_event(now, event, out);
        }
    }

    fn on_zk_event(&mut self, now: Instant, event: ZkEvent, out: &mut Effects) {
        match event {
            ZkEvent::Opened => self.register(now, out),
            ZkEvent::Expired => {
                let Some(zk) = &mut self.zk else { return };
                zk.broker_epoch = None;
                zk.reads.clear();
                zk.controller.on_expired(out);
                if zk.stopping.is_some() {
                    out.exit();
                }
            }
            ZkEvent::Changed((path, _)) if &*path == paths::CONFIG_CHANGES => self.list_changes(now, out),
            ZkEvent::Changed(watch) => self.with_controller(now, out, |node, desk| node.on_watch(&watch, desk)),
            ZkEvent::Done { batch, results } => {
                let Some(zk) = &mut self.zk else { return };
                match zk.reads.remove(&batch) {
                    Some(read) => self.on_read(now, read, &results, out),
                    None => self.with_controller(now, out, |node, desk| {
                        node.on_done(batch, results, desk);
                    }),
                }
            }
        }
    }

    pub(super) fn on_zk_timer(&mut self, now: Instant, timer: &Timer, out: &mut Effects) {
        let Some(zk) = &mut self.zk else { return };
        match timer {
            Timer::ZkSession => zk.client.on_timer(now, out),
            Timer::LogRecovery => {
                zk.logs_read = true;
                self.note_recovered(out);
                self.register(now, out);
            }
            Timer::ZkRegistration if zk.stopping.is_some() => self.ask_to_stop(now, out),
            Timer::ZkRegistration => self.register(now, out),
            Timer::ZkPush { broker } => {
                let broker = *broker;
                self.with_controller(now, out, |node, _| node.push_again(broker));
            }
            Timer::LeaderImbalance => self.with_controller(now, out, |node, desk| node.on_balance_timer(desk)),
            _ => {}
        }
    }

    pub(super) fn zookeeper_lost(&mut self, now: Instant, peer: Node, out: &mut Effects) {
        if let Some(zk) = &mut self.zk {
            zk.client.on_disconnected(now, peer, out);
            zk.controller.forget(peer);
        }
    }

    /// Once there is a session and the logs are read, the broker shows that it lives.
    fn register(&mut self, now: Instant, out: &mut Effects) {
        let rack = self.config.broker_rack.as_deref().map(Name::from);
        let id = self.id;
        let Some(zk) = &mut self.zk else { return };
        if !zk.logs_read || zk.client.session().is_none() || zk.broker_epoch.is_some() {
            return;
        }
        let create = ZkOp::Create {
            path: paths::broker(id),
            data: Rc::new(ZnodeData::Broker { rack }),
            ephemeral: true,
            sequential: false,
        };
        zk.ask(now, vec![create], Read::Register, out);
    }

    fn on_read(&mut self, now: Instant, read: Read, results: &[ZkResult], out: &mut Effects) {
        let id = self.id;
        let Some(zk) = &mut self.zk else { return };
        match (read, results.first()) {
            (Read::Register, Some(Ok(ZkReply::Written { stat, .. }))) => self.registered(now, stat.czxid, out),
            (Read::Register, Some(Err(failure))) if failure.error == ZkError::NodeExists => {
                zk.ask(now, vec![ZkOp::GetData { path: paths::broker(id), watch: false }], Read::Owner, out);
            }
            (Read::Owner, Some(Ok(ZkReply::Node { stat, .. }))) if stat.ephemeral_owner == zk.client.session() => {
                self.registered(now, stat.czxid, out);
            }
            (Read::Register | Read::Owner, _) => out.set_timer(now + REGISTRATION_RETRY, Timer::ZkRegistration),
            (Read::ListConfigs, Some(Ok(ZkReply::Children(topics)))) => {
                let mut read: Vec<Name> = topics.iter().map(|topic| paths::topic_config(topic)).collect();
                read.push(paths::DEFAULT_BROKER_CONFIG.into());
                if let Some(Ok(ZkReply::Children(changes))) = results.get(1) {
                    zk.seen_changes.extend(changes.iter().cloned());
                }
                self.read_configs(now, read, out);
            }
            (Read::Configs(paths), _) => self.configs_read(now, paths, results, out),
            (Read::ListChanges, Some(Ok(ZkReply::Children(changes)))) => {
                let new: Vec<Name> = changes.iter().filter(|name| !zk.seen_changes.contains(*name)).cloned().collect();
                zk.seen_changes.extend(new.iter().cloned());
                let path = |name: &Name| format!("{}/{name}", paths::CONFIG_CHANGES).into();
                let ops: Vec<ZkOp> = new.iter().map(|name| ZkOp::GetData { path: path(name), watch: false }).collect();
                if !ops.is_empty() {
                    zk.ask(now, ops, Read::Changes, out);
                }
            }
            (Read::Changes, _) => {
                let changed = results.iter().filter_map(|result| match result {
                    Ok(ZkReply::Node { data, .. }) => match &**data {
                        ZnodeData::ConfigChange(path) => Some(path.clone()),
                        _ => None,
                    },
                    _ => None,
                });
                let changed: BTreeSet<Name> = changed.collect();
                self.read_configs(now, changed.into_iter().collect(), out);
            }
            (Read::CloseSession, _) => out.exit(),
            (Read::ListConfigs | Read::ListChanges, _) => {}
        }
    }

    fn registered(&mut self, now: Instant, czxid: Zxid, out: &mut Effects) {
        let epoch = BrokerEpoch(czxid.0.cast_signed());
        self.lifecycle = Lifecycle::settled(self.id, &self.config, self.lifecycle.incarnation(), epoch);
        let Some(zk) = &mut self.zk else { return };
        zk.broker_epoch = Some(epoch);
        zk.open = true;
        let list = |path: &str, watch| ZkOp::GetChildren { path: path.into(), watch };
        let ops = vec![list(paths::TOPIC_CONFIGS, false), list(paths::CONFIG_CHANGES, true)];
        zk.ask(now, ops, Read::ListConfigs, out);
        self.with_controller(now, out, |node, desk| node.begin(desk));
    }

    fn list_changes(&mut self, now: Instant, out: &mut Effects) {
        if let Some(zk) = &mut self.zk {
            let list = ZkOp::GetChildren { path: paths::CONFIG_CHANGES.into(), watch: true };
            zk.ask(now, vec![list], Read::ListChanges, out);
        }
    }

    fn read_configs(&mut self, now: Instant, paths: Vec<Name>, out: &mut Effects) {
        let ops: Vec<ZkOp> = paths.iter().map(|path| ZkOp::GetData { path: path.clone(), watch: false }).collect();
        if let Some(zk) = self.zk.as_mut().filter(|_| !ops.is_empty()) {
            zk.ask(now, ops, Read::Configs(paths), out);
        }
    }

    fn configs_read(&mut self, now: Instant, paths: Vec<Name>, results: &[ZkResult], out: &mut Effects) {
        let Some(zk) = &mut self.zk else { return };
        for (path, result) in paths.into_iter().zip(results) {
            match result {
                Ok(ZkReply::Node { data, .. }) => {
                    if let ZnodeData::Config(config) = &**data {
                        zk.configs.insert(path, config.clone());
                    }
                }
                _ => {
                    zk.configs.remove(&path);
                }
            }
        }
        self.apply_configs(now, out);
    }

    /// The settings that ZooKeeper holds become those of the image, of the broker, and of its replicas.
    fn apply_configs(&mut self, now: Instant, out: &mut Effects) {
        let Some(zk) = &self.zk else { return };
        let table = |config: &Vec<(Name, Name)>| -> BTreeMap<Name, Name> { config.iter().cloned().collect() };
        let mut configs: BTreeMap<ConfigResource, BTreeMap<Name, Name>> = BTreeMap::new();
        if let Some(cluster) = zk.configs.get(paths::DEFAULT_BROKER_CONFIG) {
            configs.insert(ConfigResource::Cluster, table(cluster));
        }
        for (name, id) in &self.observer.image().topic_ids {
            if let Some(config) = zk.configs.get(&paths::topic_config(name)) {
                configs.insert(ConfigResource::Topic(*id), table(config));
            }
        }
        let before = self.observer.image().configs.get(&ConfigResource::Cluster).cloned().unwrap_or_default();
        let after = configs.get(&ConfigResource::Cluster).cloned().unwrap_or_default();
        self.observer.image_mut().configs = configs;
        for key in before.keys().chain(after.keys()) {
            self.apply_broker_config(ConfigResource::Cluster, key);
        }
        self.refresh_topic_configs();
        let configs = self.observer.image().configs.clone();
        self.with_controller(now, out, |node, desk| node.set_configs(&configs, desk));
    }

    /// Topics were seen for the first time. Kafka reads the settings of a topic before it opens the first log; here they
    /// come a moment later.
    fn configure_new(&mut self, now: Instant, new: &[Name], out: &mut Effects) {
        let Some(zk) = self.zk.as_ref().filter(|_| !new.is_empty()) else { return };
        let unknown = new.iter().map(|name| paths::topic_config(name)).filter(|path| !zk.configs.contains_key(path));
        let unknown: Vec<Name> = unknown.collect();
        self.apply_configs(now, out);
        self.read_configs(now, unknown, out);
    }

    /// Whether a controller may still say so, to this life of the broker.
    fn check_push(&mut self, header: PushHeader) -> ErrorCode {
        let Some(zk) = &mut self.zk else { return ErrorCode::UnknownServerError };
        if header.controller_epoch < zk.controller_epoch {
            return ErrorCode::StaleControllerEpoch;
        }
        if zk.broker_epoch.is_some_and(|epoch| header.broker_epoch < epoch) {
            return ErrorCode::StaleBrokerEpoch;
        }
        zk.controller_epoch = header.controller_epoch;
        ErrorCode::None
    }

    /// A controller speaks. A process that is not registered yet must not hear what was meant for the one before it.
    pub(super) fn on_push(
        &mut self,
        now: Instant,
        from: Node,
        correlation_id: u32,
        request: Request,
        out: &mut Effects,
    ) {
        if self.zk.as_ref().is_none_or(|zk| !zk.open) {
            return out.close_connection(from);
        }
        let response = match request {
            Request::LeaderAndIsr(request) => {
                let error = self.check_push(request.header);
                if error.is_none() {
                    self.lead_and_follow(now, request, out);
                }
                Response::LeaderAndIsr(LeaderAndIsrResponse { error })
            }
            Request::UpdateMetadata(request) => {
                let error = self.check_push(request.header);
                if error.is_none() {
                    self.update_metadata(now, &request, out);
                }
                Response::UpdateMetadata(UpdateMetadataResponse { error })
            }
            Request::StopReplica(request) => {
                let error = self.check_push(request.header);
                if error.is_none() {
                    self.stop_replicas(now, &request, out);
                }
                Response::StopReplica(StopReplicaResponse { error })
            }
            _ => return out.close_connection(from),
        };
        out.respond(from, correlation_id, response);
    }

    fn lead_and_follow(&mut self, now: Instant, request: LeaderAndIsrRequest, out: &mut Effects) {
        let new: Vec<Name> = self.learn(&request.topics, &request.partitions);
        self.published = true;
        for (partition, _) in &request.partitions {
            self.publish_partition(now, *partition, out);
        }
        self.configure_new(now, &new, out);
        self.coordinate_topics(now, out);
        self.run_fetchers(now, out);
    }

    fn update_metadata(&mut self, now: Instant, request: &UpdateMetadataRequest, out: &mut Effects) {
        let new = self.learn(&request.topics, &request.partitions);
        let image = self.observer.image_mut();
        let live = request.live_brokers.iter().map(|(id, rack)| {
            let registration = BrokerRegistration {
                // UpdateMetadata does not tell it.
                epoch: BrokerEpoch(-1),
                incarnation: 0,
                rack: rack.clone(),
                fenced: false,
                in_controlled_shutdown: false,
            };
            (*id, registration)
        });
        image.brokers = live.collect();
        for id in &request.deleted {
            if let Some(topic) = image.topics.remove(id) {
                image.topic_ids.remove(&topic.name);
                image.configs.remove(&ConfigResource::Topic(*id));
            }
        }
        image.next_offset += 1;
        self.published = true;
        let image = self.observer.image().clone();
        self.creating.retain(|name| !image.topic_ids.contains_key(name));
        self.configure_new(now, &new, out);
        self.coordinate_topics(now, out);
        self.with_controller(now, out, |node, desk| node.on_metadata(&image, desk.out));
    }

    /// Takes partitions into the image. Returns the names of topics that were not in it.
    fn learn(&mut self, topics: &[(TopicId, Name)], partitions: &[PushedPartition]) -> Vec<Name> {
        let image = self.observer.image_mut();
        let mut new = Vec::new();
        for (id, name) in topics {
            if !image.topics.contains_key(id) {
                image.topics.insert(*id, Rc::new(TopicImage { name: name.clone(), partitions: Vec::new() }));
                image.topic_ids.insert(name.clone(), *id);
                new.push(name.clone());
            }
        }
        for (partition, state) in partitions {
            let Some(topic) = image.topics.get_mut(&partition.topic) else { continue };
            let states = &mut Rc::make_mut(topic).partitions;
            let at = partition.partition as usize;
            if states.len() <= at {
                // Not told of yet: it has no state, as far as is known here.
                let untold = PartitionRegistration { partition_epoch: PartitionEpoch(-1), ..Default::default() };
                states.resize(at + 1, untold);
            }
            states[at].clone_from(state);
        }
        new
    }

    fn stop_replicas(&mut self, now: Instant, request: &StopReplicaRequest, out: &mut Effects) {
        for partition in &request.partitions {
            if request.delete {
                self.drop_replica(now, *partition, out);
                self.unopened.remove(partition);
            } else {
                self.follow(*partition, None);
            }
        }
    }

    pub(super) fn on_push_answer(
        &mut self,
        now: Instant,
        broker: BrokerId,
        answer: Option<Response>,
        out: &mut Effects,
    ) {
        let answered = answer.is_some();
        self.with_controller(now, out, |node, desk| match answered {
            true => node.on_push_answered(broker, desk),
            false => node.on_push_lost(desk.now, broker, desk.out),
        });
    }

    /// A request that only the controller answers.
    pub(super) fn on_controller_request(
        &mut self,
        now: Instant,
        from: Node,
        correlation_id: u32,
        request: Request,
        out: &mut Effects,
    ) {
        self.with_controller(now, out, |node, desk| node.on_request(from, correlation_id, request, desk));
    }

    /// SIGTERM: the controller is asked to move the leaderships away first.
    pub(super) fn stop_with_zookeeper(&mut self, now: Instant, out: &mut Effects) {
        let Some(zk) = &mut self.zk else { return };
        if zk.broker_epoch.is_none() {
            return out.exit();
        }
        if zk.stopping.is_none() {
            zk.stopping = Some(SHUTDOWN_TRIES);
            self.ask_to_stop(now, out);
        }
    }

    fn ask_to_stop(&mut self, now: Instant, out: &mut Effects) {
        let id = self.id;
        let Some(zk) = &mut self.zk else { return };
        let Some(tries) = zk.stopping.as_mut().filter(|tries| **tries > 0) else { return self.close_session(now, out) };
        *tries -= 1;
        let (Some(controller), Some(broker_epoch)) = (zk.controller.known(), zk.broker_epoch) else {
            return out.set_timer(now + SHUTDOWN_BACKOFF, Timer::ZkRegistration);
        };
        let request = Request::ControlledShutdown(ControlledShutdownRequest { broker: id, broker_epoch });
        self.in_flight.send(now, Node::Broker(controller), request, PUSH_TIMEOUT, Purpose::ZkShutdown, out);
    }

    /// The controller answered, or did not.
    pub(super) fn on_shutdown_answer(&mut self, now: Instant, answer: Option<Response>, out: &mut Effects) {
        match answer {
            Some(Response::ControlledShutdown(answer)) if answer.error.is_none() && answer.remaining.is_empty() => {
                self.close_session(now, out);
            }
            _ => out.set_timer(now + SHUTDOWN_BACKOFF, Timer::ZkRegistration),
        }
    }

    /// The session ends with the process, so that nobody has to wait for its timeout.
    fn close_session(&mut self, now: Instant, out: &mut Effects) {
        if let Some(zk) = &mut self.zk {
            zk.ask(now, vec![ZkOp::CloseSession], Read::CloseSession, out);
        }
    }

    /// Where requests for the controller go: in ZooKeeper mode to a broker.
    pub(super) fn controller_node(&self) -> Option<Node> {
        match &self.zk {
            Some(zk) => zk.controller.known().map(Node::Broker),
            None => self.observer.controller().map(Node::Controller),
        }
    }

    /// Whoever was taken for the controller is not it.
    pub(super) fn controller_lost(&mut self) {
        if self.zk.is_none() {
            self.observer.controller_lost();
        }
    }

    /// The broker epoch that fetches carry. In ZooKeeper mode leaders cannot check it: nobody tells them.
    pub(super) fn fetch_epoch(&self) -> Option<BrokerEpoch> {
        match &self.zk {
            Some(_) => Some(BrokerEpoch(-1)),
            None => self.lifecycle.broker_epoch(),
        }
    }

    /// The controller's part of this broker, in ZooKeeper mode.
    pub fn zk_controller(&self) -> Option<&ZkController> {
        self.zk.as_ref().map(|zk| &zk.controller)
    }

    /// The broker's session with ZooKeeper, in ZooKeeper mode.
    pub fn zk_client(&self) -> Option<&ZkClient> {
        self.zk.as_ref().map(|zk| &zk.client)
    }
}
