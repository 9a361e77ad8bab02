//! Who leads which partition, as the brokers themselves have it.

use super::World;
use crate::kafka::broker::Broker;
use crate::kafka::ids::TopicPartition;
use crate::kafka::replica::Replica;

/// The leaders of all partitions at one moment: for those who ask about many of them.
#[derive(Clone, Debug)]
pub struct Leaders<'a>(Vec<(TopicPartition, &'a Replica)>);

impl Leaders<'_> {
    /// The replica that can serve a partition; of two that think so, the one in the newer epoch.
    pub fn of(&self, partition: TopicPartition) -> Option<&Replica> {
        let found = self.0.binary_search_by_key(&partition, |(partition, _)| *partition).ok()?;
        Some(self.0[found].1)
    }
}

impl World {
    /// The leader of every partition that has one.
    pub fn leaders(&self) -> Leaders<'_> {
        let brokers = self.brokers().filter_map(|(_, _, broker)| broker);
        let mut led: Vec<_> = brokers.flat_map(Broker::replicas).filter(|(_, replica)| replica.is_leader()).collect();
        led.sort_by_key(|(partition, replica)| (*partition, replica.leader_epoch()));
        led.dedup_by(|newer, kept| {
            let same = newer.0 == kept.0;
            if same {
                *kept = *newer;
            }
            same
        });
        Leaders(led)
    }

    /// The replica that can serve a partition: the leader's, else none.
    pub fn serving_replica(&self, partition: TopicPartition) -> Option<&Replica> {
        self.brokers()
            .filter_map(|(_, _, broker)| broker?.replica(partition))
            .filter(|replica| replica.is_leader())
            .max_by_key(|replica| replica.leader_epoch())
    }
}
