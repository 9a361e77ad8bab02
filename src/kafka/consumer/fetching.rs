//! Fetch, asked and answered (`AbstractFetch`).

use super::fetcher::{FetchPlan, State};
use super::{Consumer, Purpose};
use crate::kafka::config::OffsetReset;
use crate::kafka::effects::Effects;
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::ResetReason;
use crate::kafka::ids::{BrokerId, Name, Node, Offset, TopicPartition};
use crate::kafka::message::{FetchPartition, FetchRequest, FetchResponse, FetchedPartition, Request};
use crate::time::Instant;

impl Consumer {
    /// Prefetch: asks for more of everything that has nothing waiting.
    pub(super) fn send_fetches(&mut self, now: Instant, out: &mut Effects) {
        self.fetcher.notice_leaders(&self.view);
        let (plans, leaderless, wake) = self.fetcher.plan(now, &self.view);
        if leaderless {
            self.view.mark_stale();
        }
        if let Some(wake) = wake {
            self.wake_at(now, wake, out);
        }
        for FetchPlan { broker, partitions } in plans {
            let positions = partitions.iter().map(|(partition, _, offset)| (*partition, *offset)).collect();
            let partitions = partitions.into_iter().map(|(partition, epoch, offset)| FetchPartition {
                partition,
                current_leader_epoch: epoch,
                fetch_offset: offset,
                last_fetched_epoch: None,
                log_start_offset: -1,
                max_bytes: self.config.max_partition_fetch_bytes,
            });
            let request = FetchRequest {
                replica: None,
                max_wait: self.config.fetch_max_wait,
                min_bytes: self.config.fetch_min_bytes,
                max_bytes: self.config.fetch_max_bytes,
                isolation: self.config.isolation,
                rack: self.config.client_rack.as_deref().map(Name::from),
                partitions: partitions.collect(),
            };
            self.send(now, Node::Broker(broker), Request::Fetch(request), Purpose::Fetch(broker, positions), out);
        }
    }

    pub(super) fn on_fetched(
        &mut self,
        now: Instant,
        broker: BrokerId,
        asked: &[(TopicPartition, Offset)],
        response: FetchResponse,
        out: &mut Effects,
    ) {
        self.fetcher.answered(broker);
        // An answer has the partitions of its request, in that order.
        for (fetched, (partition, offset)) in response.partitions.into_iter().zip(asked) {
            if fetched.partition != *partition {
                continue;
            }
            let Some(state) = self.fetcher.get_mut(fetched.partition) else { continue };
            if fetched.error.is_none() {
                state.high_watermark = Some(fetched.high_watermark);
                if let Some(replica) = fetched.preferred_read_replica {
                    state.prefer(now, replica, now + self.config.metadata_max_age);
                }
                self.fetcher.buffer(fetched.partition, *offset, fetched.batches, out);
            } else if state.state == State::Fetching && state.position == Some(*offset) {
                self.on_fetch_error(now, &fetched);
            }
        }
    }

    fn on_fetch_error(&mut self, now: Instant, fetched: &FetchedPartition) {
        let pause = self.backoff().pause(0, &mut self.rng);
        let Some(state) = self.fetcher.get_mut(fetched.partition) else { return };
        if fetched.error == ErrorCode::OffsetOutOfRange {
            // A follower may simply lag; the leader knows.
            match (state.forget_preferred(), self.config.auto_offset_reset) {
                (true, _) => {}
                (false, OffsetReset::None) => self.fatal = Some(ErrorCode::OffsetOutOfRange),
                (false, _) => state.state = State::AwaitsReset(ResetReason::OutOfRange),
            }
            return;
        }
        // A replica that does not know the epoch yet will.
        if fetched.error != ErrorCode::UnknownLeaderEpoch {
            state.forget_preferred();
        }
        let knows_better = self.view.learn_leader(fetched.partition, fetched.current_leader);
        if !knows_better {
            state.not_before(now + pause);
            if fetched.error.is_stale_metadata() {
                self.view.mark_stale();
            }
        }
    }
}
