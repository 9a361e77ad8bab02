//! Share groups in the picture: nobody owns a partition, and nobody has a position. The leader of a partition knows who has
//! which records.

use crate::kafka::broker::Broker;
use crate::kafka::ids::{BrokerId, Name, Offset, TopicPartition};
use crate::kafka::share::partition::{RecordState, SharePartition};
use crate::sim::world::World;

/// How many records still need delivery in a group, as the leaders of its partitions count them.
pub(super) fn lag(world: &World, group: &Name) -> u64 {
    let brokers = world.brokers().filter_map(|(_, _, broker)| broker);
    let windows = brokers.flat_map(|broker| led(broker).filter(|(window, _)| window.key().group == *group));
    windows.map(|(window, end)| window.lag(end).unsigned_abs()).sum()
}

/// The runs of records of a partition that members of share groups have, by what this broker knows as its leader.
pub(super) fn held(world: &World, broker: BrokerId, partition: TopicPartition) -> Vec<(Offset, Offset)> {
    let windows = world.broker(broker).into_iter().flat_map(led).filter(|(of, _)| of.key().partition == partition);
    let records = windows.flat_map(|(window, _)| window.records());
    let acquired = records.filter(|records| records.state == RecordState::Acquired);
    acquired.map(|records| (records.first, records.last)).collect()
}

/// The windows of the partitions that a broker leads, each with the high watermark.
fn led(broker: &Broker) -> impl Iterator<Item = (&SharePartition, Offset)> {
    broker.share_partitions().filter_map(|window| {
        let replica = broker.replica(window.key().partition).filter(|replica| replica.is_leader())?;
        Some((window, replica.high_watermark()))
    })
}
