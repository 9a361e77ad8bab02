//! The controller of ZooKeeper mode: one of the brokers, whichever created `/controller` first (`KafkaController`).
//!
//! All state is in ZooKeeper; the controller keeps a copy, and tells every broker by request what it has to know. Its
//! work is a queue of events, done one after the other. An event is a row of steps; a step that needs ZooKeeper asks for
//! a batch of reads or writes, a request for each znode, and the work stands still until all are answered.
//!
//! Taking over ([`Step::ReadEpoch`] on): read `/controller_epoch`; create `/controller` and raise the epoch, both or
//! neither; read who lives, every topic, and **every partition's state**, a znode each; tell every broker. A broker dies:
//! its znode in `/brokers/ids` goes, a watch tells; for every partition it led a read, an election and a write; the same
//! for every other partition it had a replica of, to take it out of the ISR; then LeaderAndIsr and UpdateMetadata. So
//! both take longer the more partitions there are. KRaft's controllers have the state in memory before they lead, and
//! write one batch of records.
//!
//! Each write is conditional on the version of `/controller_epoch`, and each request to a broker carries the epoch: what
//! a controller says that has been replaced without knowing it counts nowhere.
//!
//! What we leave out: reassignment and the request for an election (the balance pass is there; a broker answers both with
//! UNSUPPORTED_VERSION), log directories, `/isr_change_notification` (leaders before 2.7), feature versions, delegation
//! tokens. The wish of a client goes through the broker it asked, and that broker passes it on; Kafka's admin client finds
//! the controller itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::rc::Rc;

use super::config::BrokerConfig;
use super::effects::{Effects, Timer};
use super::fact::Fact;
use super::ids::{BrokerId, LeaderEpoch, Name, Node, TopicId, TopicPartition};
use super::message::Request;
use super::message::ensemble::{Watch, WatchKind, ZkReply, ZkResult, ZnodeData};
use super::metadata::{ConfigResource, MetadataImage, PartitionRegistration};
use super::zk_client::ZkClient;
use super::zookeeper::paths;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

mod admin;
mod channels;
mod deletion;
pub mod elections;
mod load;
mod partitions;
pub mod placement;
mod producer_ids;
mod requests;

use admin::Waiting;
use channels::{Batch, Channels};
use partitions::{Change, Then};
use producer_ids::{Asker, Block};
use requests::AdminRequest;

/// The first balance of leaders after a controller took over (`scheduleAutoLeaderRebalanceTask(delay = 5)`).
const FIRST_BALANCE: Duration = Duration::secs(5);

/// What the controller acts with: time, its session, and what it asks of the world.
pub struct Desk<'a> {
    pub now: Instant,
    pub zk: &'a mut ZkClient,
    pub out: &'a mut Effects,
}

/// A broker's chance to be controller, or its being it.
#[derive(Clone, Debug)]
pub struct ZkController {
    id: BrokerId,
    config: BrokerConfig,
    rng: Rng,
    /// Whom `/controller` names.
    known: Option<BrokerId>,
    /// The epoch in which this broker is the controller, and the version of `/controller_epoch` that goes with it.
    reign: Option<(i32, i32)>,
    /// The epoch and the version of `/controller_epoch` of a claim that is under way.
    claim: Option<(i32, i32)>,
    claimed_at: Instant,
    /// It has loaded everything and acts.
    loaded: bool,
    /// The copy of what ZooKeeper holds. A partition's epoch is its znode's version; -1 where there is no znode yet.
    image: Rc<MetadataImage>,
    shutting_down: BTreeSet<BrokerId>,
    /// Topics whose replicas are going, with the brokers that have not said yet that theirs are gone.
    deleting: BTreeMap<TopicId, BTreeSet<BrokerId>>,
    events: VecDeque<Event>,
    steps: VecDeque<Step>,
    /// The step that waits for this batch.
    awaits: Option<(u64, Step)>,
    channels: Channels,
    waiting: Vec<Waiting>,
}

/// Why the controller has something to do.
#[derive(Clone, Debug)]
enum Event {
    /// Somebody should be the controller.
    Elect,
    BrokersChanged,
    TopicsChanged,
    DeletionsChanged,
    TopicChanged(Name),
    Balance,
    /// A setting that may allow elections has changed.
    UncleanAllowed,
    Deleted(TopicId),
    Request {
        from: Node,
        correlation_id: u32,
        request: AdminRequest,
    },
}

/// One thing to do. Those that need ZooKeeper come back with its answers.
#[derive(Clone, Debug)]
enum Step {
    ReadController,
    ReadEpoch,
    Claim,
    ListBrokers,
    ReadBrokers(Vec<BrokerId>),
    ListTopics,
    ReadTopics(Vec<Name>),
    ListDeletions,
    ReadStates(Vec<TopicPartition>),
    Loaded,
    /// Election and ISR for partitions whose leader is gone, and state for those that have none.
    TriggerOnline,
    Elect {
        strategy: Elect,
        partitions: Vec<TopicPartition>,
    },
    RemoveFromIsr {
        broker: BrokerId,
        partitions: Vec<TopicPartition>,
    },
    Initialize(Vec<TopicPartition>),
    Write {
        changes: Vec<Change>,
        then: Then,
    },
    /// Who was told nothing by the steps before is told who lives.
    TellWhoLives,
    AnswerShutdown {
        from: Node,
        correlation_id: u32,
        broker: BrokerId,
    },
    /// A client's wish, written down.
    WriteWish(admin::Wish),
    StartDeletion(TopicId),
    FinishDeletion(TopicId),
    ReadProducerIds(Asker),
    WriteProducerIds(Asker, Block),
}

/// As [`elections::Strategy`]; whether an unclean election is allowed is each topic's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Elect {
    Offline,
    Preferred,
    ControlledShutdown,
}

impl ZkController {
    /// A broker as its process starts.
    pub fn new(id: BrokerId, config: BrokerConfig, rng: Rng) -> Self {
        Self {
            id,
            config,
            rng,
            known: None,
            reign: None,
            claim: None,
            claimed_at: Instant::ZERO,
            loaded: false,
            image: Rc::default(),
            shutting_down: BTreeSet::new(),
            deleting: BTreeMap::new(),
            events: VecDeque::new(),
            steps: VecDeque::new(),
            awaits: None,
            channels: Channels::default(),
            waiting: Vec::new(),
        }
    }

    /// The cluster was up long before: somebody has been the controller, and knows everything.
    pub fn settle(&mut self, controller: BrokerId, reign: (i32, i32), image: Rc<MetadataImage>) {
        self.known = Some(controller);
        if controller == self.id {
            self.reign = Some(reign);
            self.loaded = true;
            image.brokers.keys().for_each(|broker| self.channels.open(*broker));
            self.image = image;
        }
    }

    /// What a settled broker watches: the controller everything, the others the controller.
    pub fn settled_watches(&self) -> BTreeSet<Watch> {
        let mut watches: BTreeSet<Watch> = [(paths::CONTROLLER.into(), WatchKind::Data)].into();
        if self.reign.is_some() {
            let children = [paths::BROKER_IDS, paths::TOPICS, paths::DELETE_TOPICS];
            watches.extend(children.map(|path| (path.into(), WatchKind::Children)));
            let topics = self.image.topics.values();
            watches.extend(topics.map(|topic| (paths::topic(&topic.name), WatchKind::Data)));
        }
        watches
    }

    /// The controller of a settled cluster goes on with its periodic work.
    pub fn start_settled(&self, now: Instant, out: &mut Effects) {
        if self.reign.is_some() {
            self.schedule_balance(now, Duration::secs(self.config.leader_imbalance_check_interval_seconds), out);
        }
    }

    /// Whether this broker is the controller, as far as it knows. It may have been replaced without knowing it.
    pub fn is_active(&self) -> bool {
        self.reign.is_some()
    }

    /// Whether it has read everything and acts.
    pub fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// The epoch of this broker's reign.
    pub fn epoch(&self) -> Option<i32> {
        self.reign.map(|(epoch, _)| epoch)
    }

    /// Whom ZooKeeper names as controller, as far as this broker knows.
    pub fn known(&self) -> Option<BrokerId> {
        self.known
    }

    /// The cluster as the controller has it.
    pub fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// The broker has a session and is registered: it looks who the controller is, and whether it can be it.
    pub fn begin(&mut self, desk: &mut Desk) {
        self.events.push_back(Event::Elect);
        self.run(desk);
    }

    /// The session is over, and with it any reign.
    pub fn on_expired(&mut self, out: &mut Effects) {
        self.resign(out);
        self.known = None;
        self.events.clear();
    }

    /// Settings changed: elections that were not allowed may be now.
    pub fn set_configs(&mut self, configs: &BTreeMap<ConfigResource, BTreeMap<Name, Name>>, desk: &mut Desk) {
        if self.image.configs == *configs {
            return;
        }
        Rc::make_mut(&mut self.image).configs.clone_from(configs);
        if self.loaded {
            self.events.push_back(Event::UncleanAllowed);
            self.run(desk);
        }
    }

    pub fn on_watch(&mut self, watch: &Watch, desk: &mut Desk) {
        let (path, kind) = (&*watch.0, watch.1);
        let event = match (path, kind) {
            (paths::CONTROLLER, _) => Event::Elect,
            (paths::BROKER_IDS, _) => Event::BrokersChanged,
            (paths::TOPICS, WatchKind::Children) => Event::TopicsChanged,
            (paths::DELETE_TOPICS, _) => Event::DeletionsChanged,
            _ => match path.strip_prefix(paths::TOPICS).and_then(|rest| rest.strip_prefix('/')) {
                Some(topic) => Event::TopicChanged(topic.into()),
                None => return,
            },
        };
        self.events.push_back(event);
        self.run(desk);
    }

    /// A batch has been answered. False where it was none of the controller's.
    pub fn on_done(&mut self, batch: u64, results: Vec<ZkResult>, desk: &mut Desk) -> bool {
        let Some((_, step)) = self.awaits.take_if(|(awaited, _)| *awaited == batch) else { return false };
        self.finish(step, results, desk);
        self.run(desk);
        true
    }

    /// A request that only the controller answers. A broker that is not it says so, and whoever asks has to look for it.
    pub fn on_request(&mut self, from: Node, correlation_id: u32, request: Request, desk: &mut Desk) {
        let Some(request) = AdminRequest::of(request) else { return desk.out.close_connection(from) };
        if !self.loaded {
            return desk.out.respond(from, correlation_id, request.not_controller());
        }
        self.events.push_back(Event::Request { from, correlation_id, request });
        self.run(desk);
    }

    /// A broker has taken what it was told.
    pub fn on_push_answered(&mut self, broker: BrokerId, desk: &mut Desk) {
        if let Some(Request::StopReplica(stop)) = self.channels.answered(broker)
            && stop.delete
        {
            self.replicas_gone(broker, &stop.partitions);
            self.run(desk);
        }
    }

    pub fn on_push_lost(&mut self, now: Instant, broker: BrokerId, out: &mut Effects) {
        self.channels.lost(now, broker, out);
    }

    /// On [`Timer::ZkPush`].
    pub fn push_again(&mut self, broker: BrokerId) {
        self.channels.again(broker);
    }

    /// What is to be sent to brokers now.
    pub fn take_outbox(&mut self) -> Vec<(BrokerId, Request)> {
        self.channels.take_outbox()
    }

    /// On [`Timer::LeaderImbalance`].
    pub fn on_balance_timer(&mut self, desk: &mut Desk) {
        if self.loaded {
            let interval = Duration::secs(self.config.leader_imbalance_check_interval_seconds);
            self.schedule_balance(desk.now, interval, desk.out);
            self.events.push_back(Event::Balance);
            self.run(desk);
        }
    }

    fn schedule_balance(&self, now: Instant, pause: Duration, out: &mut Effects) {
        if self.config.auto_leader_rebalance {
            out.set_timer(now + pause, Timer::LeaderImbalance);
        }
    }

    /// This broker knows more of the cluster now: who asked it for topics while it was the controller is answered when
    /// they are there, whoever is the controller (`DelayedCreatePartitions`, `DelayedDeleteTopics`).
    pub fn on_metadata(&mut self, image: &MetadataImage, out: &mut Effects) {
        self.answer_waiting_by(image, out);
    }

    /// A client is gone: nobody waits for its answer.
    pub fn forget(&mut self, client: Node) {
        self.waiting.retain(|waiting| waiting.to != client);
    }

    /// Works until ZooKeeper has to be waited for, or nothing is left to do.
    fn run(&mut self, desk: &mut Desk) {
        while self.awaits.is_none() {
            if let Some(step) = self.steps.pop_front() {
                self.begin_step(step, desk);
            } else if let Some(event) = self.events.pop_front() {
                self.begin_event(event, desk);
            } else {
                return;
            }
        }
    }

    fn begin_event(&mut self, event: Event, desk: &mut Desk) {
        match event {
            Event::Elect => self.steps.push_back(Step::ReadController),
            // The rest is the controller's work.
            _ if !self.loaded => {}
            Event::BrokersChanged => self.steps.push_back(Step::ListBrokers),
            Event::TopicsChanged => self.steps.push_back(Step::ListTopics),
            Event::DeletionsChanged => self.steps.push_back(Step::ListDeletions),
            Event::TopicChanged(name) => self.steps.push_back(Step::ReadTopics(vec![name])),
            Event::UncleanAllowed => self.steps.push_back(Step::TriggerOnline),
            Event::Deleted(topic) => self.steps.push_back(Step::FinishDeletion(topic)),
            Event::Balance => self.balance(),
            Event::Request { from, correlation_id, request } => self.serve(from, correlation_id, request, desk),
        }
    }

    fn begin_step(&mut self, step: Step, desk: &mut Desk) {
        match step {
            Step::Loaded => self.loaded(desk),
            Step::TriggerOnline => self.trigger_online(),
            Step::TellWhoLives => {
                let mut batch = Batch::default();
                batch.metadata(self.image.brokers.keys().copied(), []);
                self.send(batch);
            }
            Step::AnswerShutdown { from, correlation_id, broker } => {
                self.answer_shutdown(from, correlation_id, broker, desk.out);
            }
            Step::StartDeletion(topic) => self.start_deletion(topic),
            step => {
                let ops = self.ask(&step);
                if ops.is_empty() {
                    self.finish(step, Vec::new(), desk);
                } else {
                    let batch = desk.zk.submit(desk.now, ops, desk.out);
                    self.awaits = Some((batch, step));
                }
            }
        }
    }

    /// ZooKeeper has answered what a step asked.
    fn finish(&mut self, step: Step, results: Vec<ZkResult>, desk: &mut Desk) {
        match step {
            Step::ReadController => self.controller_read(&results, desk),
            Step::ReadEpoch => self.epoch_read(&results, desk),
            Step::Claim => self.claimed(&results, desk),
            Step::ListBrokers => self.brokers_listed(&results),
            Step::ReadBrokers(ids) => self.brokers_read(&ids, &results),
            Step::ListTopics => self.topics_listed(&results),
            Step::ReadTopics(names) => self.topics_read(&names, &results, desk),
            Step::ListDeletions => self.deletions_listed(&results),
            Step::ReadStates(partitions) => self.states_read(&partitions, &results),
            Step::Elect { strategy, partitions } => self.elect(strategy, &partitions, &results, desk),
            Step::RemoveFromIsr { broker, partitions } => self.remove_from_isr(broker, &partitions, &results, desk),
            Step::Initialize(partitions) => self.initialized(&partitions, &results, desk),
            Step::Write { changes, then } => self.written(changes, then, &results, desk),
            Step::WriteWish(wish) => self.wish_written(wish, &results, desk),
            Step::FinishDeletion(topic) => self.deletion_finished(topic, desk),
            Step::ReadProducerIds(asker) => self.producer_ids_read(asker, &results, desk),
            Step::WriteProducerIds(asker, block) => self.producer_ids_written(asker, block, &results, desk),
            Step::Loaded
            | Step::TriggerOnline
            | Step::TellWhoLives
            | Step::AnswerShutdown { .. }
            | Step::StartDeletion(_) => {}
        }
    }

    fn send(&mut self, batch: Batch) {
        if let Some((epoch, _)) = self.reign {
            batch.send(self.id, epoch, &self.image, &mut self.channels);
        }
    }

    /// Another controller has taken over, or the session is gone (`onControllerResignation`). Whoever wants something of
    /// the controller is told to look for it. Who waits for topics goes on waiting: they are written, and whoever is the
    /// controller takes care of them.
    fn resign(&mut self, out: &mut Effects) {
        out.cancel_timer(Timer::LeaderImbalance);
        self.refuse_all(out);
        self.reign = None;
        self.loaded = false;
        self.channels.close_all();
        self.shutting_down.clear();
        self.deleting.clear();
        let configs = mem::take(&mut Rc::make_mut(&mut self.image).configs);
        self.image = Rc::new(MetadataImage { configs, ..MetadataImage::default() });
    }

    /// Answers the requests that are being worked on, and those that wait in the queue.
    fn refuse_all(&mut self, out: &mut Effects) {
        let steps = self.awaits.take().map(|(_, step)| step).into_iter().chain(mem::take(&mut self.steps));
        for (from, correlation_id, response) in steps.filter_map(Step::not_controller) {
            out.respond(from, correlation_id, response);
        }
        for event in mem::take(&mut self.events) {
            match event {
                Event::Request { from, correlation_id, request } => {
                    out.respond(from, correlation_id, request.not_controller());
                }
                other => self.events.push_back(other),
            }
        }
    }

    /// A conditional write failed because of `/controller_epoch`: somebody else reigns (`ControllerMovedException`).
    fn moved(&mut self, desk: &mut Desk) {
        self.resign(desk.out);
        self.events.clear();
        self.events.push_back(Event::Elect);
    }

    fn is_live(&self, broker: BrokerId) -> bool {
        self.image.brokers.contains_key(&broker) && !self.shutting_down.contains(&broker)
    }
}

/// A partition's state as its znode says it, and the epoch of the controller that wrote it.
fn parse_state(result: &ZkResult, replicas: &[BrokerId]) -> Option<(i32, PartitionRegistration)> {
    let Ok(ZkReply::Node { data, stat }) = result else { return None };
    let ZnodeData::PartitionState { controller_epoch, leader, leader_epoch, isr } = &**data else { return None };
    let registration = PartitionRegistration {
        replicas: replicas.to_vec(),
        isr: isr.clone(),
        leader: *leader,
        leader_epoch: *leader_epoch,
        partition_epoch: super::ids::PartitionEpoch(stat.version),
        ..PartitionRegistration::default()
    };
    Some((*controller_epoch, registration))
}

/// A partition that has replicas and no state yet.
fn unborn(replicas: Vec<BrokerId>) -> PartitionRegistration {
    PartitionRegistration {
        replicas,
        leader_epoch: LeaderEpoch(-1),
        partition_epoch: super::ids::PartitionEpoch(-1),
        ..PartitionRegistration::default()
    }
}

fn is_unborn(registration: &PartitionRegistration) -> bool {
    registration.partition_epoch.0 < 0
}

/// Notes that this broker is the controller, and has begun to read.
fn note_loading(controller: BrokerId, epoch: i32, partitions: usize, out: &mut Effects) {
    out.note(Fact::ControllerLoading { controller, epoch, partitions: partitions as u32 });
}
