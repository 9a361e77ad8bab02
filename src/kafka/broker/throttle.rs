//! The throttle of replication (KIP-73): replicas that are not in the ISR, as those a reassignment adds, get no more
//! bandwidth than they are granted, at the leader that sends and at the follower that fetches.
//!
//! Which replicas count: `leader.replication.throttled.replicas` and `follower.replication.throttled.replicas` of the topic.
//! How much all of a broker's get together: `leader.replication.throttled.rate` and `follower.replication.throttled.rate`.
//! A leader never holds back a replica in the ISR (`ReplicaManager.shouldLeaderThrottle`), nor does a follower hold itself
//! back once it has everything committed (`RemoteLeaderEndPoint.shouldFollowerThrottle`), though their bytes count, too.

use super::Broker;
use super::follow::Fetcher;
use crate::kafka::ids::TopicPartition;
use crate::kafka::message::{FetchRequest, FetchedPartition};
use crate::kafka::quota::Rate;
use crate::kafka::replica::Replica;
use crate::time::Instant;

/// What throttled replicas have moved lately.
#[derive(Clone, Debug, Default)]
pub(super) struct Throttle {
    leader: Rate,
    follower: Rate,
    /// When the current step began.
    now: Instant,
}

impl Throttle {
    /// Rates are measured as of this moment.
    pub fn at(&mut self, now: Instant) {
        self.now = now;
    }
}

impl Broker {
    /// Whether a follower's fetch gets nothing of this partition for now.
    pub(super) fn leader_throttles(&self, request: &FetchRequest, replica: &Replica) -> bool {
        let Some((follower, _)) = request.replica else { return false };
        !replica.leadership().is_some_and(|leadership| leadership.isr().contains(&follower))
            && self.is_throttled_leader(replica)
            && self.throttle.leader.exceeds(self.throttle.now, self.config.leader_throttled_rate)
    }

    fn is_throttled_leader(&self, replica: &Replica) -> bool {
        replica.config().leader_throttled_replicas.contains(replica.partition().partition, self.id.0)
    }

    /// Counts what a follower is sent.
    pub(super) fn record_sent(&mut self, request: &FetchRequest, fetched: &[FetchedPartition]) {
        if request.replica.is_none() {
            return;
        }
        let throttled = |of: &&FetchedPartition| {
            self.replicas.get(&of.partition).is_some_and(|replica| self.is_throttled_leader(replica))
        };
        let bytes = fetched.iter().filter(throttled).map(bytes).sum();
        if bytes > 0 {
            self.throttle.leader.record(self.throttle.now, bytes);
        }
    }

    /// Whether this broker does not ask for a partition for now.
    pub(super) fn follower_throttles(&self, fetcher: &Fetcher, partition: TopicPartition) -> bool {
        self.is_throttled_follower(partition)
            && self.throttle.follower.exceeds(self.throttle.now, self.config.follower_throttled_rate)
            && !fetcher.is_caught_up(partition)
    }

    fn is_throttled_follower(&self, partition: TopicPartition) -> bool {
        let throttled = self.replicas.get(&partition).map(|replica| &replica.config().follower_throttled_replicas);
        throttled.is_some_and(|throttled| throttled.contains(partition.partition, self.id.0))
    }

    /// Counts what a leader has sent.
    pub(super) fn record_fetched(&mut self, fetched: &FetchedPartition) {
        let bytes = bytes(fetched);
        if bytes > 0 && self.is_throttled_follower(fetched.partition) {
            self.throttle.follower.record(self.throttle.now, bytes);
        }
    }
}

fn bytes(fetched: &FetchedPartition) -> u64 {
    fetched.batches.iter().map(|batch| batch.size()).sum()
}
