//! What a person can point at, and what belongs together.

use super::stage::Cast;
use crate::kafka::ids::{Node, Offset, TopicPartition};

/// Something on the stage that can be named, selected and inspected.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    Node(Node),
    Partition(TopicPartition),
    /// One partition's log on one broker.
    Replica(Node, TopicPartition),
    /// One record of a replica's log.
    Record(Node, TopicPartition, Offset),
    Group(String),
}

impl Thing {
    /// The partition it is about, if it is about one.
    pub fn partition(&self) -> Option<TopicPartition> {
        match self {
            Self::Partition(partition) | Self::Replica(_, partition) | Self::Record(_, partition, _) => {
                Some(*partition)
            }
            Self::Node(_) | Self::Group(_) => None,
        }
    }

    /// Whether a node belongs to it, so that it stays lit while the rest dims.
    pub fn lights_node(&self, cast: &Cast, node: Node) -> bool {
        let reads = |member: Node, with: &dyn Fn(TopicPartition) -> bool| {
            let mut cards = cast.groups.iter().flat_map(|group| &group.members);
            cards.any(|card| card.node == member && card.chips.iter().any(|chip| with(chip.partition)))
        };
        let holds = |broker: Node, with: &dyn Fn(TopicPartition) -> bool| {
            let mut cards = cast.brokers.iter();
            cards.any(|card| card.node == broker && card.strips.iter().any(|strip| with(strip.partition)))
        };
        match self {
            Self::Node(chosen) => {
                *chosen == node
                    || cast.links.iter().any(|link| {
                        (link.from == *chosen && link.to == node) || (link.to == *chosen && link.from == node)
                    })
            }
            Self::Group(name) => cast
                .groups
                .iter()
                .filter(|group| &group.name == name)
                .any(|group| group.coordinator == Some(node) || group.members.iter().any(|card| card.node == node)),
            Self::Partition(_) | Self::Replica(..) | Self::Record(..) => {
                let with = |partition| Some(partition) == self.partition();
                match node {
                    Node::Broker(_) => holds(node, &with),
                    Node::Consumer(_) => reads(node, &with),
                    Node::Producer(_) => true,
                    Node::Controller(_) | Node::ZooKeeper(_) | Node::Tool(_) => false,
                }
            }
        }
    }

    /// Whether a replica's log belongs to it.
    pub fn lights_strip(&self, cast: &Cast, broker: Node, partition: TopicPartition) -> bool {
        match self {
            Self::Partition(_) | Self::Replica(..) | Self::Record(..) => self.partition() == Some(partition),
            Self::Node(Node::Broker(_)) => *self == Self::Node(broker),
            Self::Node(node @ Node::Consumer(_)) => {
                let mut cards = cast.groups.iter().flat_map(|group| &group.members);
                cards.any(|card| card.node == *node && card.chips.iter().any(|chip| chip.partition == partition))
            }
            Self::Group(name) => {
                let mut cards = cast.groups.iter().filter(|group| &group.name == name).flat_map(|group| &group.members);
                cards.any(|card| card.chips.iter().any(|chip| chip.partition == partition))
            }
            Self::Node(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::sample;

    #[test]
    fn a_partition_lights_its_replicas_and_its_reader_only() {
        let cast = sample::hello().cast;
        let chosen = Thing::Partition(cast.brokers[0].strips[2].partition);
        let members = &cast.groups[0].members;
        assert!(cast.brokers.iter().all(|broker| chosen.lights_node(&cast, broker.node)));
        assert!(!chosen.lights_node(&cast, members[0].node) && chosen.lights_node(&cast, members[1].node));
        assert!(!chosen.lights_strip(&cast, cast.brokers[0].node, cast.brokers[0].strips[0].partition));
    }

    #[test]
    fn a_node_lights_those_it_is_linked_to() {
        let cast = sample::hello().cast;
        let chosen = Thing::Node(cast.groups[0].members[1].node);
        assert!(chosen.lights_node(&cast, cast.brokers[1].node));
        assert!(!chosen.lights_node(&cast, cast.producers[0].node));
    }
}
