//! What a person can point at, and what belongs together.

use std::collections::BTreeSet;

use super::stage::{BrokerCard, Cast, ConsumerCard};
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

    /// What belongs to it, and stays lit while the rest dims.
    pub fn lights(&self, cast: &Cast) -> Lit {
        let members = || cast.groups.iter().flat_map(|group| &group.members);
        match self {
            Self::Node(chosen) => {
                let linked = cast.links.iter().filter_map(|link| match (link.from, link.to) {
                    (from, to) if from == *chosen => Some(to),
                    (from, to) if to == *chosen => Some(from),
                    _ => None,
                });
                let strips = match chosen {
                    Node::Broker(_) => LitStrips::Of(*chosen),
                    Node::Consumer(_) => {
                        let cards = members().filter(|card| card.node == *chosen);
                        LitStrips::These(cards.flat_map(|card| &card.chips).map(|chip| chip.partition).collect())
                    }
                    _ => LitStrips::All,
                };
                Lit { nodes: linked.chain([*chosen]).collect(), strips }
            }
            Self::Group(name) => {
                let groups = || cast.groups.iter().filter(|group| &group.name == name);
                let cards = || groups().flat_map(|group| &group.members);
                let coordinators = groups().filter_map(|group| group.coordinator);
                let read = cards().flat_map(|card| &card.chips).map(|chip| chip.partition);
                Lit {
                    nodes: coordinators.chain(cards().map(|card| card.node)).collect(),
                    strips: LitStrips::These(read.collect()),
                }
            }
            Self::Partition(partition) | Self::Replica(_, partition) | Self::Record(_, partition, _) => {
                let holds = |card: &&BrokerCard| card.strips.iter().any(|strip| strip.partition == *partition);
                let reads = |card: &&ConsumerCard| card.chips.iter().any(|chip| chip.partition == *partition);
                let brokers = cast.brokers.iter().filter(holds).map(|card| card.node);
                let readers = members().filter(reads).map(|card| card.node);
                let producers = cast.producers.iter().map(|card| card.node);
                Lit {
                    nodes: brokers.chain(readers).chain(producers).collect(),
                    strips: LitStrips::These([*partition].into()),
                }
            }
        }
    }
}

/// What stays lit while the rest of the stage dims.
#[derive(Clone, Debug)]
pub struct Lit {
    nodes: BTreeSet<Node>,
    strips: LitStrips,
}

#[derive(Clone, Debug)]
enum LitStrips {
    All,
    /// Those on one broker.
    Of(Node),
    These(BTreeSet<TopicPartition>),
}

impl Lit {
    pub fn node(&self, node: Node) -> bool {
        self.nodes.contains(&node)
    }

    /// A partition's log on a broker.
    pub fn strip(&self, broker: Node, partition: TopicPartition) -> bool {
        match &self.strips {
            LitStrips::All => true,
            LitStrips::Of(lit) => *lit == broker,
            LitStrips::These(lit) => lit.contains(&partition),
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
        let lit = Thing::Partition(cast.brokers[0].strips[2].partition).lights(&cast);
        let members = &cast.groups[0].members;
        assert!(cast.brokers.iter().all(|broker| lit.node(broker.node)));
        assert!(!lit.node(members[0].node) && lit.node(members[1].node));
        assert!(!lit.strip(cast.brokers[0].node, cast.brokers[0].strips[0].partition));
    }

    #[test]
    fn a_node_lights_those_it_is_linked_to() {
        let cast = sample::hello().cast;
        let lit = Thing::Node(cast.groups[0].members[1].node).lights(&cast);
        assert!(lit.node(cast.brokers[1].node));
        assert!(!lit.node(cast.producers[0].node));
    }
}
