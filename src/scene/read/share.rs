//! Share groups in the picture: nobody owns a partition, and nobody has a position. The leader of a partition knows who has
//! which records.

use crate::kafka::broker::Broker;
use crate::kafka::ids::{BrokerId, Name, Offset, TopicPartition};
use crate::kafka::share::partition::{RecordState, SharePartition};
use crate::sim::world::World;
use crate::sim::world::leaders::Leaders;

/// How many records still need delivery in a group.
pub(super) fn lag(world: &World, leaders: &Leaders<'_>, group: &Name) -> u64 {
    world.share_offsets(group, leaders).values().map(|(_, _, lag)| lag.unsigned_abs()).sum()
}

/// The runs of records of a partition that members of share groups have, by what this broker knows as its leader.
pub(super) fn held(world: &World, broker: BrokerId, partition: TopicPartition) -> Vec<(Offset, Offset)> {
    let windows = world.broker(broker).into_iter().flat_map(led).filter(|of| of.key().partition == partition);
    let records = windows.flat_map(SharePartition::records);
    let acquired = records.filter(|records| records.state == RecordState::Acquired);
    acquired.map(|records| (records.first, records.last)).collect()
}

/// The windows of the partitions that a broker leads.
fn led(broker: &Broker) -> impl Iterator<Item = &SharePartition> {
    let leads = |of: TopicPartition| broker.replica(of).is_some_and(|replica| replica.is_leader());
    broker.share_partitions().filter(move |window| leads(window.key().partition))
}
