//! Leaders and ISRs change: read the znodes, decide, write them, tell the brokers (`PartitionStateMachine`,
//! `ReplicaStateMachine`). Nobody is told before the last write of the batch is done.

use std::rc::Rc;

use super::elections::{self, Strategy};
use super::load::has_moved;
use super::{AdminRequest, Batch, Desk, Elect, Step, ZkController, is_unborn, parse_state};
use crate::kafka::config::SettingValue;
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::Fact;
use crate::kafka::ids::{BrokerEpoch, BrokerId, LeaderEpoch, Node, PartitionEpoch, TopicId, TopicPartition};
use crate::kafka::message::ensemble::{ZkError, ZkOp, ZkReply, ZkResult, ZnodeData};
use crate::kafka::message::push::ControlledShutdownResponse;
use crate::kafka::message::{
    AlterPartition, AlterPartitionRequest, AlterPartitionResponse, AlteredPartition, Response,
};
use crate::kafka::metadata::PartitionRegistration;
use crate::kafka::zookeeper::paths;

/// `leader.imbalance.per.broker.percentage`.
const IMBALANCE_PERCENT: usize = 10;

/// What a partition's znode is to say, if nobody has written it since.
#[derive(Clone, Debug)]
pub(super) struct Change {
    partition: TopicPartition,
    /// The partition epoch is the version that the znode must have.
    state: PartitionRegistration,
    unclean: bool,
}

/// What follows once the changes are written.
#[derive(Clone, Debug)]
pub(super) enum Then {
    /// The replicas and everybody else are told. Changes that lost a race are tried again.
    Tell(Again),
    /// The leader that asked is answered, with these refusals, and everybody else is told.
    Answer { from: Node, correlation_id: u32, refused: Vec<AlteredPartition> },
}

/// How a change that lost a race is decided anew.
#[derive(Clone, Copy, Debug)]
pub(super) enum Again {
    Elect(Elect),
    /// The broker that goes is not told.
    Remove(BrokerId),
}

impl ZkController {
    /// `triggerOnlinePartitionStateChange`: whatever has no leader that lives.
    pub(super) fn trigger_online(&mut self) {
        let mut unborn = Vec::new();
        let mut offline = Vec::new();
        for (partition, state) in self.image.partitions() {
            if self.deleting.contains_key(&partition.topic) {
                continue;
            }
            if is_unborn(state) {
                unborn.push(partition);
            } else if state.leader.is_none_or(|leader| !self.image.brokers.contains_key(&leader)) {
                offline.push(partition);
            }
        }
        self.steps.push_front(Step::Elect { strategy: Elect::Offline, partitions: offline });
        self.steps.push_front(Step::Initialize(unborn));
    }

    /// The states are read: who leads?
    pub(super) fn elect(
        &mut self,
        strategy: Elect,
        partitions: &[TopicPartition],
        results: &[ZkResult],
        desk: &mut Desk,
    ) {
        let Some(states) = self.current_states(partitions, results, desk) else { return };
        let mut changes = Vec::new();
        for (partition, state) in states {
            let rule = match strategy {
                Elect::Offline => Strategy::Offline { unclean: self.allows_unclean(partition.topic) },
                Elect::Preferred => Strategy::Preferred,
                Elect::ControlledShutdown => Strategy::ControlledShutdown,
            };
            let live = |id: BrokerId| self.image.brokers.contains_key(&id);
            let stops = |id: BrokerId| self.shutting_down.contains(&id);
            let Some((leader, isr)) = elections::elect(rule, &state.replicas, &state.isr, live, stops) else {
                continue;
            };
            if strategy != Elect::Offline && state.leader == Some(leader) {
                continue;
            }
            let unclean = !state.isr.contains(&leader);
            let leader_epoch = LeaderEpoch(state.leader_epoch.0 + 1);
            let state = PartitionRegistration { leader: Some(leader), isr, leader_epoch, ..state };
            changes.push(Change { partition, state, unclean });
        }
        self.steps.push_front(Step::Write { changes, then: Then::Tell(Again::Elect(strategy)) });
    }

    /// The states are read: a replica leaves the ISR. That is a new leader epoch even where the leader stays.
    pub(super) fn remove_from_isr(
        &mut self,
        broker: BrokerId,
        partitions: &[TopicPartition],
        results: &[ZkResult],
        desk: &mut Desk,
    ) {
        let Some(states) = self.current_states(partitions, results, desk) else { return };
        let changes = states
            .into_iter()
            .filter(|(_, state)| state.isr.contains(&broker))
            .map(|(partition, state)| {
                let (leader, isr) = elections::without(broker, state.leader, &state.isr);
                let leader_epoch = LeaderEpoch(state.leader_epoch.0 + 1);
                let state = PartitionRegistration { leader, isr, leader_epoch, ..state };
                Change { partition, state, unclean: false }
            })
            .collect();
        self.steps.push_front(Step::Write { changes, then: Then::Tell(Again::Remove(broker)) });
    }

    /// What the znodes say now; `None` where a later controller has written one of them.
    fn current_states(
        &mut self,
        partitions: &[TopicPartition],
        results: &[ZkResult],
        desk: &mut Desk,
    ) -> Option<Vec<(TopicPartition, PartitionRegistration)>> {
        let (epoch, _) = self.reign?;
        let mut states = Vec::with_capacity(partitions.len());
        for (partition, result) in partitions.iter().zip(results) {
            let Some(known) = self.image.partition(*partition) else { continue };
            let Some((written_in, state)) = parse_state(result, &known.replicas) else { continue };
            if written_in > epoch {
                self.moved(desk);
                return None;
            }
            states.push((*partition, state));
        }
        Some(states)
    }

    fn allows_unclean(&self, topic: TopicId) -> bool {
        let dynamic = self.image.topic_config(topic, "unclean.leader.election.enable");
        dynamic.and_then(|value| SettingValue::parse(value, 0, 1)).unwrap_or(self.config.unclean_leader_election)
    }

    fn state_data(&self, state: &PartitionRegistration) -> Rc<ZnodeData> {
        Rc::new(ZnodeData::PartitionState {
            controller_epoch: self.reign.map_or(-1, |(epoch, _)| epoch),
            leader: state.leader,
            leader_epoch: state.leader_epoch,
            isr: state.isr.clone(),
        })
    }

    /// A write that counts only while nobody else reigns.
    fn guarded(&self, op: ZkOp) -> ZkOp {
        let version = self.reign.map_or(-1, |(_, version)| version);
        ZkOp::Multi(vec![ZkOp::Check { path: paths::CONTROLLER_EPOCH.into(), version }, op])
    }

    pub(super) fn write_op(&self, change: &Change) -> ZkOp {
        let (path, data) = (self.state_path(change.partition), self.state_data(&change.state));
        self.guarded(ZkOp::SetData { path, data, version: Some(change.state.partition_epoch.0) })
    }

    /// A leader and an ISR of all that live, for partitions that never had one.
    fn first_state(&self, partition: TopicPartition) -> Option<PartitionRegistration> {
        let known = self.image.partition(partition)?;
        let isr: Vec<BrokerId> = known.replicas.iter().copied().filter(|id| self.is_live(*id)).collect();
        Some(PartitionRegistration {
            leader: Some(*isr.first()?),
            isr,
            leader_epoch: LeaderEpoch(0),
            partition_epoch: PartitionEpoch(0),
            replicas: known.replicas.clone(),
            ..PartitionRegistration::default()
        })
    }

    pub(super) fn initial_writes(&mut self, partitions: &[TopicPartition]) -> Vec<ZkOp> {
        let create = |partition: &TopicPartition| {
            let (path, data) = (self.state_path(*partition), self.state_data(&self.first_state(*partition)?));
            Some(self.guarded(ZkOp::Create { path, data, ephemeral: false, sequential: false }))
        };
        partitions.iter().filter_map(create).collect()
    }

    pub(super) fn initialized(&mut self, partitions: &[TopicPartition], results: &[ZkResult], desk: &mut Desk) {
        let mut batch = Batch::default();
        let live: Vec<BrokerId> = self.image.brokers.keys().copied().collect();
        let born: Vec<(TopicPartition, PartitionRegistration)> =
            partitions.iter().filter_map(|partition| Some((*partition, self.first_state(*partition)?))).collect();
        for ((partition, state), result) in born.into_iter().zip(results) {
            if has_moved(result) {
                return self.moved(desk);
            }
            // One that is there already was written by this controller before its connection broke.
            if matches!(result, Err(failure) if failure.error != ZkError::NodeExists) {
                continue;
            }
            batch.leader_and_isr(state.replicas.iter().copied(), partition);
            batch.metadata(live.iter().copied(), [partition]);
            self.put(partition, state);
        }
        self.send(batch);
        self.answer_waiting(desk.out);
    }

    fn put(&mut self, partition: TopicPartition, state: PartitionRegistration) {
        let Some(topic) = self.edit().topics.get_mut(&partition.topic) else { return };
        if let Some(known) = Rc::make_mut(topic).partitions.get_mut(partition.partition as usize) {
            *known = state;
        }
    }

    /// The changes are written, or were refused.
    pub(super) fn written(&mut self, changes: Vec<Change>, then: Then, results: &[ZkResult], desk: &mut Desk) {
        if results.iter().any(has_moved) {
            self.steps.push_front(Step::Write { changes, then });
            return self.moved(desk);
        }
        let live: Vec<BrokerId> = self.image.brokers.keys().copied().collect();
        let mut batch = Batch::default();
        let mut again = Vec::new();
        let mut altered = Vec::new();
        for (change, result) in changes.into_iter().zip(results) {
            let partition = change.partition;
            // That may be our own write, whose answer was lost with the connection: Kafka does not find out, and the leader
            // keeps its ISR until it is told of another leader epoch (`tryProcessAlterPartition`, 3.9.1).
            let Ok(ZkReply::Multi(parts)) = result else {
                let failed = matches!(result, Err(failure) if failure.error == ZkError::BadVersion);
                if failed {
                    again.push(partition);
                }
                altered.push(AlteredPartition::refused(partition, ErrorCode::InvalidUpdateVersion));
                continue;
            };
            let Some(ZkReply::Written { stat, .. }) = parts.get(1) else { continue };
            let state = PartitionRegistration { partition_epoch: PartitionEpoch(stat.version), ..change.state };
            self.narrate(partition, &state, change.unclean, desk);
            if let Then::Tell(why) = &then {
                let spared = if let Again::Remove(broker) = why { Some(*broker) } else { None };
                let told = state.replicas.iter().copied().filter(|id| Some(*id) != spared);
                batch.leader_and_isr(told, partition);
            }
            batch.metadata(live.iter().copied(), [partition]);
            altered.push(confirmation(partition, &state));
            self.put(partition, state);
        }
        self.send(batch);
        match then {
            Then::Tell(_) if again.is_empty() => {}
            Then::Tell(Again::Elect(strategy)) => {
                self.steps.push_front(Step::Elect { strategy, partitions: again });
            }
            Then::Tell(Again::Remove(broker)) => {
                self.steps.push_front(Step::RemoveFromIsr { broker, partitions: again });
            }
            Then::Answer { from, correlation_id, refused } => {
                altered.extend(refused);
                let answer = AlterPartitionResponse { error: ErrorCode::None, partitions: altered };
                desk.out.respond(from, correlation_id, Response::AlterPartition(answer));
            }
        }
    }

    fn narrate(&self, partition: TopicPartition, state: &PartitionRegistration, unclean: bool, desk: &mut Desk) {
        let Some(old) = self.image.partition(partition) else { return };
        if old.leader != state.leader || unclean {
            let (leader, epoch, isr) = (state.leader, state.leader_epoch, state.isr.clone());
            desk.out.note(Fact::LeaderElected { partition, leader, epoch, isr, unclean });
        } else if old.isr != state.isr {
            let (from, to, epoch) = (old.isr.clone(), state.isr.clone(), state.partition_epoch);
            desk.out.note(Fact::IsrChanged { partition, from, to, epoch });
        }
    }

    /// Leaderships go back to preferred leaders, for brokers that miss more than a tenth of theirs
    /// (`checkAndTriggerAutoLeaderRebalance`).
    pub(super) fn balance(&mut self) {
        let live: Vec<BrokerId> = self.image.brokers.keys().copied().collect();
        for broker in live {
            let preferred: Vec<(TopicPartition, bool)> = self
                .image
                .partitions()
                .filter(|(_, state)| state.replicas.first() == Some(&broker) && !is_unborn(state))
                .map(|(partition, state)| (partition, state.leader == Some(broker)))
                .collect();
            let missing: Vec<TopicPartition> =
                preferred.iter().filter(|(_, leads)| !leads).map(|(partition, _)| *partition).collect();
            if missing.len() * 100 > preferred.len() * IMBALANCE_PERCENT {
                self.steps.push_back(Step::Elect { strategy: Elect::Preferred, partitions: missing });
            }
        }
    }

    pub(super) fn serve(&mut self, from: Node, correlation_id: u32, request: AdminRequest, desk: &mut Desk) {
        match request {
            AdminRequest::AlterPartition(request) => self.alter_partitions(from, correlation_id, &request, desk),
            AdminRequest::ControlledShutdown { broker, epoch } => {
                self.begin_shutdown(from, correlation_id, broker, epoch, desk);
            }
            AdminRequest::AllocateProducerIds(request) => {
                self.allocate_producer_ids(from, correlation_id, request, desk);
            }
            wish => self.wish(from, correlation_id, wish, desk),
        }
    }

    /// A leader proposes ISRs (`processAlterPartition`).
    fn alter_partitions(&mut self, from: Node, correlation_id: u32, request: &AlterPartitionRequest, desk: &mut Desk) {
        let sender = self.image.brokers.get(&request.broker);
        if sender.is_none_or(|known| known.epoch != request.broker_epoch) {
            let answer = AlterPartitionResponse { error: ErrorCode::StaleBrokerEpoch, partitions: Vec::new() };
            return desk.out.respond(from, correlation_id, Response::AlterPartition(answer));
        }
        let mut changes = Vec::new();
        let mut refused = Vec::new();
        for proposal in &request.partitions {
            match self.check_proposal(request.broker, proposal) {
                Ok(Some(state)) => changes.push(Change { partition: proposal.partition, state, unclean: false }),
                Ok(None) => refused.extend(
                    self.image.partition(proposal.partition).map(|state| confirmation(proposal.partition, state)),
                ),
                Err(error) => refused.push(AlteredPartition::refused(proposal.partition, error)),
            }
        }
        self.steps.push_back(Step::Write { changes, then: Then::Answer { from, correlation_id, refused } });
    }

    /// The state to write; `None` where it is so already.
    fn check_proposal(
        &self,
        sender: BrokerId,
        proposal: &AlterPartition,
    ) -> Result<Option<PartitionRegistration>, ErrorCode> {
        if !self.image.topics.contains_key(&proposal.partition.topic) {
            return Err(ErrorCode::UnknownTopicId);
        }
        let state = self.image.partition(proposal.partition).filter(|state| !is_unborn(state));
        let state = state.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if proposal.partition_epoch > state.partition_epoch || proposal.leader_epoch > state.leader_epoch {
            return Err(ErrorCode::NotController);
        }
        if proposal.leader_epoch < state.leader_epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        let isr: Vec<BrokerId> = proposal.new_isr.iter().map(|(id, _)| *id).collect();
        if state.leader == Some(sender) && isr == state.isr {
            return Ok(None);
        }
        if proposal.partition_epoch < state.partition_epoch {
            return Err(ErrorCode::InvalidUpdateVersion);
        }
        if state.leader != Some(sender) || !isr.contains(&sender) {
            return Err(ErrorCode::InvalidRequest);
        }
        if !isr.iter().all(|id| self.is_live(*id)) {
            return Err(ErrorCode::IneligibleReplica);
        }
        Ok(Some(PartitionRegistration { isr, ..state.clone() }))
    }

    /// A broker wants to stop: its leaderships move, and it leaves the ISRs (`doControlledShutdown`).
    fn begin_shutdown(
        &mut self,
        from: Node,
        correlation_id: u32,
        broker: BrokerId,
        epoch: BrokerEpoch,
        desk: &mut Desk,
    ) {
        let known = self.image.brokers.get(&broker).map(|known| known.epoch);
        if known.is_none_or(|known| epoch < known) {
            let (error, remaining) = (ErrorCode::StaleBrokerEpoch, Vec::new());
            let answer = ControlledShutdownResponse { error, remaining };
            return desk.out.respond(from, correlation_id, Response::ControlledShutdown(answer));
        }
        if self.shutting_down.insert(broker) {
            desk.out.note(Fact::ControlledShutdownBegan { broker });
        }
        let replicated =
            |partition: &TopicPartition| self.image.partition(*partition).is_some_and(|state| state.replicas.len() > 1);
        let hosted: Vec<TopicPartition> = self.partitions_on(broker).into_iter().filter(replicated).collect();
        let leads = |partition: &TopicPartition| {
            self.image.partition(*partition).is_some_and(|state| state.leader == Some(broker))
        };
        let (led, followed): (Vec<TopicPartition>, Vec<TopicPartition>) = hosted.into_iter().partition(leads);
        let mut batch = Batch::default();
        for partition in &followed {
            batch.stop_replica(broker, *partition, false);
        }
        self.steps.push_back(Step::Elect { strategy: Elect::ControlledShutdown, partitions: led });
        self.steps.push_back(Step::RemoveFromIsr { broker, partitions: followed });
        self.steps.push_back(Step::AnswerShutdown { from, correlation_id, broker });
        self.send(batch);
    }

    pub(super) fn answer_shutdown(
        &self,
        from: Node,
        correlation_id: u32,
        broker: BrokerId,
        out: &mut crate::kafka::effects::Effects,
    ) {
        let led = self.image.partitions().filter(|(_, state)| state.leader == Some(broker) && state.replicas.len() > 1);
        let remaining = led.map(|(partition, _)| partition).collect();
        let answer = ControlledShutdownResponse { error: ErrorCode::None, remaining };
        out.respond(from, correlation_id, Response::ControlledShutdown(answer));
    }
}

fn confirmation(partition: TopicPartition, state: &PartitionRegistration) -> AlteredPartition {
    AlteredPartition {
        partition,
        error: ErrorCode::None,
        leader: state.leader,
        leader_epoch: state.leader_epoch,
        isr: state.isr.clone(),
        partition_epoch: state.partition_epoch,
    }
}
