//! How each group fares: what it missed, and whether everything that its members want is read.

use std::collections::{BTreeMap, BTreeSet};

use super::World;
use super::leaders::Leaders;
use super::logs::Logs;
use crate::kafka::config::GroupProtocol;
use crate::kafka::consumer::{Consumer, Phase};
use crate::kafka::fact::NodeState;
use crate::kafka::ids::{Name, TopicPartition};
use crate::sim::books::Books;
use crate::sim::check::Attendance;
use crate::sim::report::BrokerState;
use crate::time::Duration;

impl World {
    /// Every group but share groups, with what its running members have.
    pub(super) fn attendance(&self) -> Vec<Attendance> {
        let (leaders, logs) = (self.leaders(), self.logs());
        let is_sheltered = self.is_sheltered(&leaders);
        let mut members: BTreeMap<Name, Vec<&Consumer>> = BTreeMap::new();
        for (_, state, _, consumer) in self.consumers() {
            let running =
                consumer.filter(|consumer| state == NodeState::Running && consumer.is_member() && !consumer.is_share());
            if let Some((consumer, group)) = running.and_then(|consumer| Some((consumer, consumer.group()?))) {
                members.entry(group.clone()).or_default().push(consumer);
            }
        }
        let accounts = self.books.groups();
        let names: BTreeSet<&Name> = accounts.keys().chain(members.keys()).collect();
        let is_share = |group: &Name| {
            let coordinators = self.brokers().filter_map(|(_, _, broker)| Some(broker?.coordinator()));
            coordinators.filter_map(|at| at.group(group)).any(|group| group.as_share().is_some())
        };
        names
            .into_iter()
            .filter(|group| !is_share(group))
            .map(|group| {
                let members = members.get(group).map(Vec::as_slice).unwrap_or_default();
                self.attendance_of(group, members, (&leaders, &logs), is_sheltered)
            })
            .collect()
    }

    fn attendance_of(
        &self,
        group: &Name,
        members: &[&Consumer],
        (leaders, logs): (&Leaders<'_>, &Logs<'_>),
        is_sheltered: bool,
    ) -> Attendance {
        let image = self.image();
        let partitions = || image.into_iter().flat_map(|image| image.partitions()).map(|(partition, _)| partition);
        let missed = self.books.groups().get(group).map(|account| {
            let log = |at: TopicPartition| logs.authoritative(at, image?.partition(at)?);
            let missed = |at| log(at).map_or(0, |log| Books::missed(account, at, log.batches()));
            // Nothing is missed below an offset that nobody has committed.
            let committed = account.committed.iter().filter(|(_, offset)| **offset > 0).map(|(at, _)| *at);
            committed.map(|at| (at, missed(at))).filter(|(_, count)| *count > 0).collect()
        });
        let wants = |consumer: &&Consumer, at: TopicPartition| {
            consumer.topics().iter().any(|topic| &**topic == self.names.topic(at.topic))
        };
        let assigned = members.iter().flat_map(|consumer| consumer.assigned());
        let mut read: Vec<TopicPartition> = assigned.map(|at| at.partition).collect();
        read.sort_unstable();
        let is_read = |at: &TopicPartition| read.binary_search(at).is_ok();
        let unread = partitions().filter(|at| !is_read(at) && members.iter().any(|member| wants(member, *at)));
        let mut behind = Vec::new();
        for consumer in members.iter().filter(|consumer| consumer.phase() != Phase::Working) {
            for at in consumer.assigned().filter(|at| !at.paused) {
                let end = leaders.of(at.partition).map(|replica| replica.last_stable_offset());
                if end.is_some_and(|end| end > 0 && at.position.is_none_or(|position| position < end)) {
                    behind.push((at.partition, consumer.id()));
                }
            }
        }
        Attendance {
            group: group.clone(),
            patience: members.iter().map(|member| self.patience(member)).max().unwrap_or_default(),
            missed: missed.unwrap_or_default(),
            unread: unread.collect(),
            behind,
            is_sheltered,
        }
    }

    /// How long a group with that member may take until everybody has its place: those who are gone must be missed, those
    /// who rebalance may take their time.
    fn patience(&self, member: &Consumer) -> Duration {
        let config = member.config();
        let by_brokers = |setting: fn(&crate::kafka::config::BrokerConfig) -> Duration| {
            let of_each = self.brokers().filter_map(|(_, _, broker)| Some(setting(broker?.config())));
            of_each.max().unwrap_or_default()
        };
        let silence = match config.group_protocol {
            GroupProtocol::Classic => config.session_timeout + config.heartbeat_interval,
            GroupProtocol::Consumer => {
                let heartbeat = by_brokers(|config| config.group_consumer_heartbeat_interval);
                let interval = by_brokers(|config| config.group_consumer_assignment_interval);
                by_brokers(|config| config.group_consumer_session_timeout) + heartbeat * 4 + interval
            }
        };
        silence + config.max_poll_interval + by_brokers(|config| config.group_initial_rebalance_delay)
    }

    /// Whether every broker serves, and every partition has a leader.
    fn is_sheltered(&self, leaders: &Leaders<'_>) -> bool {
        let serves = |id| self.broker_state(id) == Some(BrokerState::Running);
        let are_led =
            self.image().is_some_and(|image| image.partitions().all(|(partition, _)| leaders.of(partition).is_some()));
        self.brokers().all(|(id, ..)| serves(id)) && are_led
    }
}
