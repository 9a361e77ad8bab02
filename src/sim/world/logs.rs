//! Where the log of each replica is, and which of them speaks for its partition.

use std::collections::BTreeMap;

use super::{Machine, Remains, World};
use crate::kafka::ids::{BrokerId, Node, TopicPartition};
use crate::kafka::log::Log;
use crate::kafka::metadata::PartitionRegistration;

/// The logs of all brokers at one moment, in memory or on the disk of one that is down: for those who ask about many.
pub(super) struct Logs<'a>(BTreeMap<BrokerId, &'a Machine>);

impl<'a> Logs<'a> {
    fn of(&self, broker: BrokerId, partition: TopicPartition) -> Option<&'a Log> {
        log_in(self.0.get(&broker)?, partition)
    }

    /// The logs that may still serve a partition: its leader's; where there is none, those of the ISR, of the ELR, and of
    /// the last known ELR.
    pub fn eligible(
        &self,
        partition: TopicPartition,
        registration: &PartitionRegistration,
    ) -> impl Iterator<Item = &'a Log> {
        let leader = registration.leader.and_then(|id| self.of(id, partition));
        let others = registration.isr.iter().chain(&registration.elr).chain(&registration.last_known_elr);
        let others = others.filter(move |_| leader.is_none()).filter_map(move |id| self.of(*id, partition));
        leader.into_iter().chain(others)
    }

    /// The log that speaks for a partition: its leader's, else the longest that may still come to lead.
    pub fn authoritative(&self, partition: TopicPartition, registration: &PartitionRegistration) -> Option<&'a Log> {
        self.eligible(partition, registration).max_by_key(|log| log.end())
    }
}

impl World {
    /// A replica's log, in memory or on the disk of a broker that is down.
    pub fn log(&self, broker: BrokerId, partition: TopicPartition) -> Option<&Log> {
        log_in(&self.slots.get(&Node::Broker(broker))?.machine, partition)
    }

    /// [`Logs::authoritative`] of one partition.
    pub fn authoritative_log(&self, partition: TopicPartition) -> Option<&Log> {
        self.logs().authoritative(partition, self.image()?.partition(partition)?)
    }

    pub(super) fn logs(&self) -> Logs<'_> {
        let broker = |node: &Node| if let Node::Broker(id) = node { Some(*id) } else { None };
        Logs(self.servers().filter_map(|(node, slot)| Some((broker(node)?, &slot.machine))).collect())
    }
}

fn log_in(machine: &Machine, partition: TopicPartition) -> Option<&Log> {
    match machine {
        Machine::Broker(broker) => broker.log(partition),
        Machine::Off(Remains::Broker(disk)) => disk.log(partition),
        _ => None,
    }
}
