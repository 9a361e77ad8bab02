//! The report of a world: what its machines and books say at this moment.
//!
//! Leaders, ISRs and brokers are what the active controller has, else what the broker with the newest metadata has.

use std::collections::{BTreeMap, BTreeSet};

use super::World;
use super::leaders::Leaders;
use crate::kafka::coordinator::{Group, GroupCoordinator};
use crate::kafka::fact::NodeState;
use crate::kafka::group::ClassicGroup;
use crate::kafka::ids::{BrokerId, LeaderEpoch, Name, Node, Offset, TopicPartition, is_internal_topic};
use crate::kafka::log::Log;
use crate::kafka::message::ensemble::ZnodeData;
use crate::kafka::metadata::{MetadataImage, PartitionRegistration};
use crate::kafka::modern_group::ConsumerGroup;
use crate::kafka::record::Batch;
use crate::kafka::share::group::{ASSIGNOR, ShareGroup};
use crate::kafka::zk_controller::ZkController;
use crate::kafka::zookeeper::paths;
use crate::sim::books::{Books, GroupAccount};
use crate::sim::check::{Account, Violation, Witness};
use crate::sim::report::{
    BrokerReport, BrokerState, ClusterReport, ConsumerReport, ExpectationReport, GroupLedgerReport, GroupReport,
    LedgerReport, OffsetReport, PartitionReport, ProducerReport, Report, TopicReport, ViolationReport,
};
use crate::sim::scenario::{At, Mode};
use crate::time::Instant;

impl World {
    /// Everything one can say about the run at this moment.
    pub fn report(&self) -> Report {
        let mut report = self.report_without_expectations();
        report.expectations = self.expectations.values().cloned().collect();
        if self.now >= self.end {
            let value = serde_json::to_value(&report).unwrap_or_default();
            for expect in self.scenario.expects.iter().filter(|expect| expect.at == At::End) {
                report.expectations.push(ExpectationReport::of(expect, &value));
            }
        }
        report
    }

    /// Looks at the expectations whose time is over by `until`.
    pub(super) fn look_at_expectations(&mut self, until: Instant) {
        let due: Vec<u32> = (0..)
            .zip(&self.scenario.expects)
            .filter(|(index, expect)| {
                matches!(expect.at, At::Time(at) if at <= until) && !self.expectations.contains_key(index)
            })
            .map(|(index, _)| index)
            .collect();
        if due.is_empty() {
            return;
        }
        let value = serde_json::to_value(self.report_without_expectations()).unwrap_or_default();
        let scenario = self.scenario.clone();
        for index in due {
            self.expectations.insert(index, ExpectationReport::of(&scenario.expects[index as usize], &value));
        }
    }

    fn report_without_expectations(&self) -> Report {
        let image = self.image();
        Report {
            format: Report::FORMAT,
            scenario: self.scenario.title.clone(),
            seed: self.scenario.seed,
            now_us: self.now.as_micros(),
            trace_hash: format!("{:016x}", self.trace_hash()),
            violations: self.violation_reports(),
            cluster: self.cluster(),
            topics: image.map(|image| self.topic_reports(image)).unwrap_or_default(),
            groups: self.group_reports(),
            producers: self.producer_reports(),
            consumers: self.consumer_reports(),
            ledger: self.ledger(),
            expectations: Vec::new(),
        }
    }

    /// The cluster as the active controller has it, else as the broker that knows most has it.
    pub fn image(&self) -> Option<&MetadataImage> {
        let active =
            self.controllers().filter_map(|(_, _, controller)| controller).filter(|controller| controller.is_active());
        let of_brokers = self.brokers().filter_map(|(_, _, broker)| broker).map(|broker| broker.image());
        active
            .max_by_key(|controller| controller.quorum().epoch())
            .map(|controller| controller.image())
            .or_else(|| self.zk_controller().map(|(_, controller)| controller.image()))
            .or_else(|| of_brokers.max_by_key(|image| image.next_offset))
    }

    /// In ZooKeeper mode: the broker that acts as controller, by the newest epoch.
    pub fn zk_controller(&self) -> Option<(BrokerId, &ZkController)> {
        let of_brokers = self.brokers().filter_map(|(id, _, broker)| Some((id, broker?.zk_controller()?)));
        of_brokers.filter(|(_, controller)| controller.is_loaded()).max_by_key(|(_, controller)| controller.epoch())
    }

    /// In ZooKeeper mode: what `/controller_epoch` says at the server that knows most.
    fn zk_controller_epoch(&self) -> Option<i32> {
        let trees = self.zookeepers().filter_map(|(_, _, server)| Some(server?.tree()));
        let newest = trees.max_by_key(|tree| tree.applied())?;
        match *newest.get(paths::CONTROLLER_EPOCH)?.data {
            ZnodeData::ControllerEpoch(epoch) => Some(epoch),
            _ => None,
        }
    }

    /// The promises of the model that the run broke.
    pub fn violation_reports(&self) -> Vec<ViolationReport> {
        let report = |violation: &Violation| ViolationReport {
            name: violation.name.into(),
            at_us: violation.at.as_micros(),
            what: violation.what.clone(),
            fact: violation.fact,
        };
        let audit = self.audit();
        self.checks.violations().iter().chain(&audit).map(report).collect()
    }

    /// The promises that the books break, if any.
    pub fn audit(&self) -> Vec<Violation> {
        let old_rules = Witness::has_old_rules(self);
        let moment = (self.now, self.fact_count());
        let name = |partition| self.names.partition(partition);
        self.checks.audit(moment, &self.books, &self.accounts(), &self.attendance(), name, old_rules)
    }

    /// What became of each producer's records, partition by partition.
    pub fn accounts(&self) -> Vec<Account> {
        let logs = self.logs();
        let mut accounts = Vec::new();
        for (partition, registration) in self.ordinary_partitions() {
            let leading = logs.authoritative(partition, registration).into_iter().flat_map(|log| log.batches());
            let eligible = logs.eligible(partition, registration).flat_map(|log| log.batches());
            for (producer, found) in self.books.account(partition, eligible, leading) {
                accounts.push(Account {
                    producer,
                    name: format!(
                        "{} in {}",
                        self.names.node(Node::Producer(producer)),
                        self.names.partition(partition)
                    ),
                    partition,
                    found,
                    waits_for_all: self.waits_for_all(producer),
                });
            }
        }
        accounts
    }

    /// Who acts as controller, and how brokers fare.
    pub fn cluster(&self) -> ClusterReport {
        let image = self.image();
        let active = self
            .controllers()
            .filter_map(|(id, _, controller)| Some((id, controller?)))
            .filter(|(_, controller)| controller.is_active());
        let active = active.max_by_key(|(_, controller)| controller.quorum().epoch());
        let known = self.controllers().filter_map(|(_, _, controller)| Some(controller?.quorum().epoch())).max();
        let zookeeper = self.scenario.mode == Mode::ZooKeeper;
        ClusterReport {
            mode: self.scenario.mode.name().into(),
            controller: active.as_ref().map(|(id, _)| id.0).or_else(|| Some(self.zk_controller()?.0.0)),
            controller_epoch: known.map(|epoch| epoch.0).or_else(|| self.zk_controller_epoch()).unwrap_or(0),
            brokers: self
                .brokers()
                .map(|(id, state, _)| BrokerReport { id: id.0, state: broker_state(id, state, image, zookeeper) })
                .collect(),
        }
    }

    /// How a broker fares: its process, and whether the controller has fenced it.
    pub fn broker_state(&self, id: BrokerId) -> Option<BrokerState> {
        let zookeeper = self.scenario.mode == Mode::ZooKeeper;
        Some(broker_state(id, self.node_state(Node::Broker(id))?, self.image(), zookeeper))
    }

    fn topic_reports(&self, image: &MetadataImage) -> BTreeMap<String, TopicReport> {
        let mut topics: BTreeMap<String, TopicReport> = BTreeMap::new();
        for (partition, registration) in image.partitions() {
            let topic = topics.entry(self.names.topic(partition.topic).to_owned()).or_default();
            topic.partitions.insert(partition.partition, self.partition_report(partition, registration));
        }
        topics
    }

    fn partition_report(&self, partition: TopicPartition, registration: &PartitionRegistration) -> PartitionReport {
        let leader = registration.leader.and_then(|id| self.broker(id)?.replica(partition));
        let ids = |brokers: &[BrokerId]| brokers.iter().map(|id| id.0).collect();
        let ends =
            registration.replicas.iter().filter_map(|id| Some((id.0, self.log(*id, partition)?.end()))).collect();
        let (start, high_watermark, stable) = match leader {
            Some(replica) => (replica.log().start(), replica.high_watermark(), replica.last_stable_offset()),
            None => self.best_known_offsets(partition, registration),
        };
        PartitionReport {
            leader: registration.leader.map(|id| id.0),
            leader_epoch: registration.leader_epoch.0,
            replicas: ids(&registration.replicas),
            isr: ids(&registration.isr),
            log_start_offset: start,
            high_watermark,
            last_stable_offset: stable,
            log_end_offset: ends,
        }
    }

    /// Without a leader: what the replicas that run know.
    fn best_known_offsets(&self, partition: TopicPartition, registration: &PartitionRegistration) -> (i64, i64, i64) {
        let replicas = registration.replicas.iter().filter_map(|id| self.broker(*id)?.replica(partition));
        let known = replicas.max_by_key(|replica| replica.high_watermark());
        known.map_or((0, 0, 0), |replica| {
            (replica.log().start(), replica.high_watermark(), replica.last_stable_offset())
        })
    }

    /// How many offsets of a leader's log another log of the ISR gives to different records.
    fn diverged(&self, partition: TopicPartition, registration: &PartitionRegistration) -> u64 {
        let Some(log) = registration.leader.and_then(|id| self.log(id, partition)) else { return 0 };
        let others: Vec<&Log> = registration.isr.iter().filter_map(|id| self.log(*id, partition)).collect();
        let is_the_same = |one: &Batch, two: &Batch| {
            one.base_offset == two.base_offset && one.crc == two.crc && one.leader_epoch == two.leader_epoch
        };
        let differs = |batch: &&Batch| {
            others.iter().filter_map(|other| other.batch_at(batch.base_offset)).any(|other| !is_the_same(batch, other))
        };
        log.batches().filter(differs).map(|batch| (batch.next_offset() - batch.base_offset) as u64).sum()
    }

    fn group_reports(&self) -> BTreeMap<String, GroupReport> {
        let leaders = self.leaders();
        let coordinators = self.brokers().filter_map(|(_, _, broker)| Some(broker?.coordinator()));
        let names: BTreeSet<&Name> = coordinators.flat_map(|at| at.groups().map(Group::id)).collect();
        let coordinated = names.into_iter().filter_map(|name| Some((name, self.coordinator_of(name)?)));
        coordinated
            .map(|(name, (_, coordinator, group))| {
                let report = match group {
                    Group::Classic(group) => self.group_report(coordinator, group, &leaders),
                    Group::Consumer(group) => self.consumer_group_report(coordinator, group, &leaders),
                    Group::Share(group) => self.share_group_report(group, &leaders),
                };
                (name.to_string(), report)
            })
            .collect()
    }

    /// Who coordinates a group, and what it knows of it; of two brokers that think they do, the one with the newer state.
    pub fn coordinator_of(&self, group: &str) -> Option<(BrokerId, &GroupCoordinator, &Group)> {
        let found = self.brokers().filter_map(|(id, _, broker)| {
            let coordinator = broker?.coordinator();
            Some((id, coordinator, coordinator.group(group)?))
        });
        found.max_by_key(|(.., group)| group.generation())
    }

    fn share_group_report(&self, group: &ShareGroup, leaders: &Leaders<'_>) -> GroupReport {
        let members = group.members().map(|(id, member)| {
            let partitions = member.assigned().iter().map(|partition| self.names.partition(*partition));
            (member.client_id().unwrap_or(id).to_string(), partitions.collect())
        });
        let members = members.collect();
        let offsets: BTreeMap<String, OffsetReport> = self
            .share_offsets(group.id(), leaders)
            .into_iter()
            .map(|(partition, (start, log_end, lag))| {
                let (committed, lag) = (Some(start), Some(lag));
                (self.names.partition(partition), OffsetReport { committed, log_end, lag })
            })
            .collect();
        GroupReport {
            kind: "share".into(),
            state: group.phase().name().into(),
            generation: group.epoch().0,
            protocol: Some(ASSIGNOR.into()),
            lag: offsets.values().filter_map(|offset| offset.lag).sum(),
            members,
            offsets,
        }
    }

    /// Where a share group stands in each partition: its start, the high watermark, and how many records still need
    /// delivery. That is as the leader counts them; where none has opened the share-partition, as the share coordinator
    /// does.
    pub fn share_offsets(
        &self,
        group: &Name,
        leaders: &Leaders<'_>,
    ) -> BTreeMap<TopicPartition, (Offset, Offset, i64)> {
        let brokers = || self.brokers().filter_map(|(_, _, broker)| broker);
        let mut known: BTreeMap<TopicPartition, (LeaderEpoch, Offset, Offset)> = BTreeMap::new();
        for (epoch, key, start, done) in brokers().flat_map(|broker| broker.share_standings()) {
            let is_news = known.get(&key.partition).is_none_or(|(newest, ..)| *newest <= epoch);
            if key.group == *group && is_news {
                known.insert(key.partition, (epoch, start, Offset::from(done)));
            }
        }
        let end = |of: TopicPartition| leaders.of(of).map_or(0, |replica| replica.high_watermark());
        let coordinated =
            known.into_iter().map(|(of, (_, start, done))| (of, (start, end(of), (end(of) - start - done).max(0))));
        let mut offsets: BTreeMap<TopicPartition, (Offset, Offset, i64)> = coordinated.collect();
        for broker in brokers() {
            let led = |of: TopicPartition| broker.replica(of).is_some_and(|replica| replica.is_leader());
            for window in broker.share_partitions().filter(|window| window.key().group == *group) {
                let of = window.key().partition;
                if led(of) {
                    offsets.insert(of, (window.start(), end(of), window.lag(end(of))));
                }
            }
        }
        offsets
    }

    /// A group of the consumer protocol: its generation is the group epoch, its protocol the coordinator's assignor.
    fn consumer_group_report(
        &self,
        coordinator: &GroupCoordinator,
        group: &ConsumerGroup,
        leaders: &Leaders<'_>,
    ) -> GroupReport {
        let members = group.members().map(|member| {
            let names = member.assigned().map(|partition| self.names.partition(partition));
            (member.client_id().to_string(), names.collect())
        });
        let offsets = self.offset_reports(coordinator, group.id(), leaders);
        GroupReport {
            kind: "consumer".into(),
            state: group.phase().name().into(),
            generation: group.epoch().0,
            protocol: Some(coordinator.assignor_of(group).into()),
            lag: offsets.values().filter_map(|offset| offset.lag).sum(),
            members: members.collect(),
            offsets,
        }
    }

    fn group_report(&self, coordinator: &GroupCoordinator, group: &ClassicGroup, leaders: &Leaders<'_>) -> GroupReport {
        let members = group
            .members()
            .map(|member| {
                let mut partitions = member.assignment().to_vec();
                partitions.sort();
                let names = partitions.into_iter().map(|(topic, partition)| format!("{topic}-{partition}"));
                (member.client_id().to_string(), names.collect())
            })
            .collect();
        let offsets = self.offset_reports(coordinator, group.id(), leaders);
        GroupReport {
            kind: "classic".into(),
            state: group.phase().name().into(),
            generation: group.generation().0,
            protocol: group.protocol().map(|protocol| protocol.to_string()),
            lag: offsets.values().filter_map(|offset| offset.lag).sum(),
            members,
            offsets,
        }
    }

    fn offset_reports(
        &self,
        coordinator: &GroupCoordinator,
        group: &str,
        leaders: &Leaders<'_>,
    ) -> BTreeMap<String, OffsetReport> {
        let offsets = coordinator.committed_offsets(group).map(|(partition, committed)| {
            let end = leaders.of(partition).map_or(0, |replica| replica.high_watermark());
            let lag = (end - committed.offset).max(0);
            let report = OffsetReport { committed: Some(committed.offset), log_end: end, lag: Some(lag) };
            (self.names.partition(partition), report)
        });
        offsets.collect()
    }

    fn producer_reports(&self) -> BTreeMap<String, ProducerReport> {
        self.producers()
            .map(|(id, _, _, _)| {
                let account = self.books.producers().get(&id).copied().unwrap_or_default();
                let report = ProducerReport {
                    sent: account.sent,
                    acked: account.acked,
                    failed: account.failed,
                    pending: account.sent - account.acked - account.failed,
                    retries: account.retries,
                };
                (self.names.node(Node::Producer(id)), report)
            })
            .collect()
    }

    fn consumer_reports(&self) -> BTreeMap<String, ConsumerReport> {
        self.consumers()
            .map(|(id, _, _, _)| {
                let account = self.books.consumers().get(&id).copied().unwrap_or_default();
                let report = ConsumerReport { polled: account.polled, processed: account.processed };
                (self.names.node(Node::Consumer(id)), report)
            })
            .collect()
    }

    /// What became of all records: the books, held against the logs.
    pub fn ledger(&self) -> LedgerReport {
        let total = self.books.total();
        let mut ledger = LedgerReport {
            sent: total.sent,
            acked: total.acked,
            failed: total.failed,
            pending: total.sent - total.acked - total.failed,
            lost: 0,
            duplicated: 0,
            diverged: 0,
            groups: BTreeMap::new(),
        };
        let logs = self.logs();
        let mut speaking = Vec::new();
        for (partition, registration) in self.ordinary_partitions() {
            let eligible = logs.eligible(partition, registration).flat_map(|log| log.batches());
            ledger.lost += self.books.lost(partition, eligible);
            if let Some(log) = logs.authoritative(partition, registration) {
                ledger.duplicated += Books::duplicated(log.batches());
                speaking.push((partition, log));
            }
            if !self.scenario.truncation.is_safe() {
                ledger.diverged += self.diverged(partition, registration);
            }
        }
        for (group, account) in self.books.groups() {
            let missed = speaking.iter().map(|(partition, log)| Books::missed(account, *partition, log.batches()));
            ledger.groups.insert(group.to_string(), group_ledger(account, missed.sum()));
        }
        ledger
    }

    /// The partitions of all topics but Kafka's own, in order.
    fn ordinary_partitions(&self) -> impl Iterator<Item = (TopicPartition, &PartitionRegistration)> {
        let topics = self.image().into_iter().flat_map(|image| &image.topics);
        let ordinary = topics.filter(|(id, _)| !is_internal_topic(self.names.topic(**id)));
        ordinary.flat_map(|(id, topic)| {
            let partitions = topic.partitions.iter().zip(0..);
            partitions.map(|(registration, number)| (TopicPartition::new(*id, number), registration))
        })
    }

    /// Whether a partition belongs to one of Kafka's own topics.
    pub fn is_internal(&self, partition: TopicPartition) -> bool {
        is_internal_topic(self.names.topic(partition.topic))
    }
}

fn group_ledger(account: &GroupAccount, missed: u64) -> GroupLedgerReport {
    GroupLedgerReport {
        processed: account.processed,
        distinct: account.distinct,
        redelivered: account.processed - account.distinct,
        missed,
        out_of_order: account.out_of_order,
    }
}

fn broker_state(id: BrokerId, state: NodeState, image: Option<&MetadataImage>, zookeeper: bool) -> BrokerState {
    match state {
        NodeState::Starting => BrokerState::Starting,
        NodeState::Paused => BrokerState::Paused,
        NodeState::Stopping => BrokerState::Stopping,
        NodeState::Stopped | NodeState::Killed => BrokerState::Down,
        NodeState::Running => {
            let known = image.and_then(|image| image.brokers.get(&id));
            // With ZooKeeper nobody is fenced: who has no session is not there.
            let fenced = known.map_or(zookeeper && image.is_some(), |broker| broker.fenced);
            if fenced { BrokerState::Fenced } else { BrokerState::Running }
        }
    }
}
