//! Becoming the controller, and keeping up with who lives (`elect`, `onControllerFailover`, `processBrokerChange`).

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::{Batch, Desk, FIRST_BALANCE, Step, ZkController, is_unborn, note_loading, parse_state, unborn};
use crate::kafka::fact::Fact;
use crate::kafka::ids::{BrokerEpoch, BrokerId, Name, TopicId, TopicPartition};
use crate::kafka::message::ensemble::{ZkError, ZkOp, ZkReply, ZkResult, ZnodeData};
use crate::kafka::metadata::{BrokerRegistration, MetadataImage, TopicImage};
use crate::kafka::zookeeper::paths;
use crate::time::Duration;

impl ZkController {
    /// What a step asks of ZooKeeper.
    pub(super) fn ask(&mut self, step: &Step) -> Vec<ZkOp> {
        let get = |path: Name, watch| ZkOp::GetData { path, watch };
        let list = |path: &str, watch| ZkOp::GetChildren { path: path.into(), watch };
        match step {
            Step::ReadController => vec![get(paths::CONTROLLER.into(), true)],
            Step::ReadEpoch => vec![get(paths::CONTROLLER_EPOCH.into(), false)],
            Step::Claim => vec![self.claim_op()],
            Step::ListBrokers => vec![list(paths::BROKER_IDS, true)],
            Step::ReadBrokers(ids) => ids.iter().map(|id| get(paths::broker(*id), false)).collect(),
            Step::ListTopics => vec![list(paths::TOPICS, true), get(paths::TOPICS.into(), false)],
            Step::ReadTopics(names) => names.iter().map(|name| get(paths::topic(name), true)).collect(),
            Step::ListDeletions => vec![list(paths::DELETE_TOPICS, true)],
            Step::ReadStates(partitions) | Step::Elect { partitions, .. } | Step::RemoveFromIsr { partitions, .. } => {
                partitions.iter().map(|partition| get(self.state_path(*partition), false)).collect()
            }
            Step::Initialize(partitions) => self.initial_writes(partitions),
            Step::Write { changes, .. } => changes.iter().map(|change| self.write_op(change)).collect(),
            Step::WriteWish(wish) => wish.ops(self.reign),
            Step::FinishDeletion(topic) => self.deletion_ops(*topic),
            Step::ReadProducerIds(_) => vec![get(paths::PRODUCER_IDS.into(), false)],
            Step::WriteProducerIds(asker, block) => vec![block.write_op(asker.broker)],
            Step::Loaded
            | Step::TriggerOnline
            | Step::TellWhoLives
            | Step::AnswerShutdown { .. }
            | Step::StartDeletion(_) => Vec::new(),
        }
    }

    pub(super) fn state_path(&self, partition: TopicPartition) -> Name {
        let name = self.image.topics.get(&partition.topic).map_or("", |topic| &topic.name);
        paths::state(name, partition.partition)
    }

    /// Whoever reads that there is no controller tries to be it.
    pub(super) fn controller_read(&mut self, results: &[ZkResult], desk: &mut Desk) {
        self.known = match results.first() {
            Some(Ok(ZkReply::Node { data, .. })) => {
                if let ZnodeData::Controller { broker } = **data {
                    Some(broker)
                } else {
                    None
                }
            }
            _ => None,
        };
        let reigns = self.known == Some(self.id);
        if self.reign.is_some() && !reigns {
            self.resign(desk.out);
        }
        // Its own name without a reign: its claim went through, and the answer was lost; or it is of a life before.
        if self.known.is_none() || (reigns && self.reign.is_none()) {
            self.steps.push_back(Step::ReadEpoch);
        }
    }

    pub(super) fn epoch_read(&mut self, results: &[ZkResult], desk: &mut Desk) {
        let Some(Ok(ZkReply::Node { data, stat })) = results.first() else { return };
        let ZnodeData::ControllerEpoch(epoch) = **data else { return };
        if self.known.is_none() {
            self.claim = Some((epoch + 1, stat.version));
            self.steps.push_back(Step::Claim);
        } else if self.claim.is_some_and(|(claimed, _)| claimed == epoch) {
            self.take_up(epoch, stat.version, desk);
        }
    }

    /// `registerControllerAndIncrementControllerEpoch`: both or neither.
    fn claim_op(&self) -> ZkOp {
        let (epoch, version) = self.claim.unwrap_or_default();
        ZkOp::Multi(vec![
            ZkOp::Create {
                path: paths::CONTROLLER.into(),
                data: Rc::new(ZnodeData::Controller { broker: self.id }),
                ephemeral: true,
                sequential: false,
            },
            ZkOp::SetData {
                path: paths::CONTROLLER_EPOCH.into(),
                data: Rc::new(ZnodeData::ControllerEpoch(epoch)),
                version: Some(version),
            },
        ])
    }

    pub(super) fn claimed(&mut self, results: &[ZkResult], desk: &mut Desk) {
        let Some((epoch, _)) = self.claim else { return };
        match results.first() {
            Some(Ok(ZkReply::Multi(parts))) => {
                if let Some(ZkReply::Written { stat, .. }) = parts.get(1) {
                    self.take_up(epoch, stat.version, desk);
                }
            }
            // Somebody was faster, or this very claim went through before the connection broke: `/controller` says.
            _ => self.steps.push_back(Step::ReadController),
        }
    }

    fn take_up(&mut self, epoch: i32, version: i32, desk: &mut Desk) {
        self.known = Some(self.id);
        self.claim = None;
        self.reign = Some((epoch, version));
        self.claimed_at = desk.now;
        self.loaded = false;
        self.steps.extend([Step::ListBrokers, Step::ListTopics, Step::ListDeletions, Step::Loaded]);
    }

    pub(super) fn brokers_listed(&mut self, results: &[ZkResult]) {
        let names = children(results.first());
        let ids: Vec<BrokerId> = names.iter().filter_map(|name| Some(BrokerId(name.parse().ok()?))).collect();
        self.steps.push_front(Step::ReadBrokers(ids));
    }

    pub(super) fn brokers_read(&mut self, ids: &[BrokerId], results: &[ZkResult]) {
        let mut live: BTreeMap<BrokerId, BrokerRegistration> = BTreeMap::new();
        for (id, result) in ids.iter().zip(results) {
            let Ok(ZkReply::Node { data, stat }) = result else { continue };
            if let ZnodeData::Broker { rack } = &**data {
                let registration = BrokerRegistration {
                    epoch: BrokerEpoch(stat.czxid.0.cast_signed()),
                    incarnation: 0,
                    rack: rack.clone(),
                    fenced: false,
                    in_controlled_shutdown: false,
                };
                live.insert(*id, registration);
            }
        }
        if self.loaded {
            self.brokers_changed(live);
        } else {
            self.edit().brokers = live;
        }
    }

    /// Who came, who went, and who did both before anybody looked (`processBrokerChange`).
    fn brokers_changed(&mut self, live: BTreeMap<BrokerId, BrokerRegistration>) {
        let before = self.image.brokers.clone();
        let bounced: Vec<BrokerId> = live
            .iter()
            .filter(|(id, now)| before.get(id).is_some_and(|then| then.epoch < now.epoch))
            .map(|(id, _)| *id)
            .collect();
        let new: Vec<BrokerId> = live.keys().copied().filter(|id| !before.contains_key(id)).collect();
        let dead: Vec<BrokerId> = before.keys().copied().filter(|id| !live.contains_key(id)).collect();
        let mut steps = Vec::new();
        if !new.is_empty() {
            self.welcome(&new, &live);
            steps.push(Step::TriggerOnline);
        }
        for broker in bounced {
            self.bury(broker, &mut steps);
            // It must not lead before it is told what it hosts; so it counts as live from the next look on.
            steps.push(Step::ListBrokers);
        }
        for broker in dead {
            self.bury(broker, &mut steps);
        }
        self.resume_deletions(&mut steps);
        for step in steps.into_iter().rev() {
            self.steps.push_front(step);
        }
    }

    /// `onBrokerStartup`: the others learn that it is there, and it learns everything.
    fn welcome(&mut self, new: &[BrokerId], live: &BTreeMap<BrokerId, BrokerRegistration>) {
        let existing: Vec<BrokerId> = self.image.brokers.keys().copied().collect();
        for id in new {
            if let Some(registration) = live.get(id) {
                self.edit().brokers.insert(*id, registration.clone());
                self.shutting_down.remove(id);
                self.channels.open(*id);
            }
        }
        let mut to_existing = Batch::default();
        to_existing.metadata(existing, []);
        self.send(to_existing);
        let born = |(_, state): &(TopicPartition, &_)| !is_unborn(state);
        let all: Vec<TopicPartition> = self.image.partitions().filter(born).map(|(partition, _)| partition).collect();
        let mut to_new = Batch::default();
        to_new.metadata(new.iter().copied(), all);
        self.send(to_new);
        self.put_replicas_online(new);
    }

    /// LeaderAndIsr for everything these brokers host (`OnlineReplica`).
    fn put_replicas_online(&mut self, brokers: &[BrokerId]) {
        let mut batch = Batch::default();
        for (partition, state) in self.image.partitions().filter(|(_, state)| !is_unborn(state)) {
            if self.deleting.contains_key(&partition.topic) {
                continue;
            }
            let here: Vec<BrokerId> = brokers.iter().copied().filter(|id| state.replicas.contains(id)).collect();
            batch.leader_and_isr(here, partition);
        }
        self.send(batch);
    }

    /// `onBrokerFailure`: leaders first, then the ISRs.
    fn bury(&mut self, broker: BrokerId, steps: &mut Vec<Step>) {
        self.edit().brokers.remove(&broker);
        self.shutting_down.remove(&broker);
        self.channels.close(broker);
        let partitions = self.partitions_on(broker);
        steps.push(Step::TriggerOnline);
        steps.push(Step::RemoveFromIsr { broker, partitions });
        steps.push(Step::TellWhoLives);
    }

    pub(super) fn partitions_on(&self, broker: BrokerId) -> Vec<TopicPartition> {
        let hosted = self.image.partitions().filter(|(partition, state)| {
            state.replicas.contains(&broker) && !is_unborn(state) && !self.deleting.contains_key(&partition.topic)
        });
        hosted.map(|(partition, _)| partition).collect()
    }

    pub(super) fn topics_listed(&mut self, results: &[ZkResult]) {
        if let Some(Ok(ZkReply::Node { data, .. })) = results.get(1)
            && let ZnodeData::TopicsCreated(count) = **data
        {
            self.edit().topics_created = count;
        }
        let known = &self.image.topic_ids;
        let new = children(results.first()).into_iter().filter(|name| !known.contains_key(name)).collect();
        self.steps.push_front(Step::ReadTopics(new));
    }

    /// Assignments, of topics seen for the first time and of such that have grown.
    pub(super) fn topics_read(&mut self, names: &[Name], results: &[ZkResult], desk: &mut Desk) {
        let mut new: Vec<TopicPartition> = Vec::new();
        for (name, result) in names.iter().zip(results) {
            let Ok(ZkReply::Node { data, .. }) = result else { continue };
            if let ZnodeData::Topic { id, replicas } = &**data {
                self.take_assignment(*id, name, replicas, &mut new);
            }
        }
        if self.loaded {
            self.steps.push_front(Step::Initialize(new));
        } else if let Some((epoch, _)) = self.reign {
            note_loading(self.id, epoch, new.len(), desk.out);
            self.steps.push_front(Step::ReadStates(new));
        }
    }

    fn take_assignment(&mut self, id: TopicId, name: &Name, replicas: &[Vec<BrokerId>], new: &mut Vec<TopicPartition>) {
        let image = self.edit();
        image.topic_ids.insert(name.clone(), id);
        let topic = image
            .topics
            .entry(id)
            .or_insert_with(|| Rc::new(TopicImage { name: name.clone(), partitions: Vec::new() }));
        let known = topic.partitions.len();
        if replicas.len() > known {
            let topic = Rc::make_mut(topic);
            topic.partitions.extend(replicas[known..].iter().map(|replicas| unborn(replicas.clone())));
            new.extend((known..replicas.len()).map(|number| TopicPartition::new(id, number as u32)));
        }
    }

    /// The long part of a failover: one znode for each partition there is.
    pub(super) fn states_read(&mut self, partitions: &[TopicPartition], results: &[ZkResult]) {
        let image = self.edit();
        for (partition, result) in partitions.iter().zip(results) {
            let Some(topic) = image.topics.get_mut(&partition.topic) else { continue };
            let Some(state) = Rc::make_mut(topic).partitions.get_mut(partition.partition as usize) else { continue };
            if let Some((_, read)) = parse_state(result, &state.replicas) {
                *state = read;
            }
        }
    }

    /// Everything is read: the brokers are told (`onControllerFailover` from `sendUpdateMetadataRequest` on).
    pub(super) fn loaded(&mut self, desk: &mut Desk) {
        let Some((epoch, _)) = self.reign else { return };
        self.loaded = true;
        let took = desk.now.since(self.claimed_at);
        desk.out.note(Fact::ControllerLoaded { controller: self.id, epoch, took });
        let live: Vec<BrokerId> = self.image.brokers.keys().copied().collect();
        for broker in &live {
            self.channels.open(*broker);
        }
        let mut batch = Batch::default();
        let born = |(_, state): &(TopicPartition, &_)| !is_unborn(state);
        let all: Vec<TopicPartition> = self.image.partitions().filter(born).map(|(partition, _)| partition).collect();
        batch.metadata(live.iter().copied(), all);
        self.send(batch);
        self.put_replicas_online(&live);
        // `ReplicaStateMachine.startup` before `PartitionStateMachine.startup`.
        let hosts: BTreeSet<BrokerId> =
            self.image.partitions().flat_map(|(_, state)| state.replicas.iter().copied()).collect();
        for broker in hosts.into_iter().filter(|broker| !live.contains(broker)) {
            let partitions = self.partitions_on(broker);
            self.steps.push_back(Step::RemoveFromIsr { broker, partitions });
        }
        self.steps.push_back(Step::TriggerOnline);
        let mut steps = Vec::new();
        self.resume_deletions(&mut steps);
        self.steps.extend(steps);
        let pause = FIRST_BALANCE.min(Duration::secs(self.config.leader_imbalance_check_interval_seconds));
        self.schedule_balance(desk.now, pause, desk.out);
    }

    pub(super) fn edit(&mut self) -> &mut MetadataImage {
        Rc::make_mut(&mut self.image)
    }
}

/// The children that a listing found.
pub(super) fn children(result: Option<&ZkResult>) -> Vec<Name> {
    if let Some(Ok(ZkReply::Children(names))) = result { names.clone() } else { Vec::new() }
}

/// Whether a write was refused because `/controller_epoch` has moved on: each begins with that comparison.
pub(super) fn has_moved(result: &ZkResult) -> bool {
    matches!(result, Err(failure) if failure.at == 0 && failure.error == ZkError::BadVersion)
}
