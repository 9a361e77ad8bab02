//! Share groups in the picture: nobody owns a partition, and nobody has a position.

use crate::kafka::ids::{Name, TopicPartition};
use crate::kafka::message::share::SharePartitionKey;
use crate::kafka::share::partition::SharePartition;
use crate::sim::world::World;

/// How many records of a partition still need delivery in a group.
pub(super) fn lag(world: &World, group: &Name, partition: TopicPartition) -> u64 {
    let end = world.serving_replica(partition).map_or(0, |replica| replica.high_watermark());
    window(world, group, partition).map_or(0, |window| window.lag(end).unsigned_abs())
}

/// The group's window at the partition's leader.
fn window<'a>(world: &'a World, group: &Name, partition: TopicPartition) -> Option<&'a SharePartition> {
    let key = SharePartitionKey { group: group.clone(), partition };
    let brokers = world.brokers().filter_map(|(_, _, broker)| broker);
    let leaders = brokers.filter(|broker| broker.replica(partition).is_some_and(|replica| replica.is_leader()));
    leaders.filter_map(|broker| broker.share_partition(&key)).max_by_key(|window| window.leader_epoch())
}
