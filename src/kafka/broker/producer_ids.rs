//! Producer ids: a broker gives them out one by one, from a block that it asked of the controller
//! (`RPCProducerIdManager`), in ZooKeeper mode as well (from 3.0 on).
//!
//! While it has none, the answer is COORDINATOR_LOAD_IN_PROGRESS, and the producer asks again; so does the first one that
//! asks a broker after its start. Nine tenths into a block the next one is asked for.

use std::ops::Range;

use super::{Broker, Purpose};
use crate::kafka::effects::Effects;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::Node;
use crate::kafka::message::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse, InitProducerIdResponse, Request, Response,
};
use crate::time::{Duration, Instant};

/// Pause after the controller gave no block (`RETRY_BACKOFF_MS`).
const RETRY: Duration = Duration::millis(50);
/// `controller.socket.timeout.ms`.
const TIMEOUT: Duration = Duration::secs(30);

/// The ids that a broker may give out.
#[derive(Clone, Debug, Default)]
pub(super) struct ProducerIds {
    /// Those left of the current block.
    current: Range<i64>,
    /// Where the current block is nine tenths used up.
    prefetch_at: i64,
    next: Option<Range<i64>>,
    requested: bool,
    not_before: Instant,
}

impl ProducerIds {
    /// The next id, if there is one.
    fn claim(&mut self) -> Option<i64> {
        if self.current.is_empty() {
            self.current = self.next.take()?;
            self.prefetch_at = self.current.start + (self.current.end - self.current.start) * 9 / 10;
        }
        self.current.next()
    }

    /// Whether it is time to ask for another block.
    fn wants_block(&self, now: Instant) -> bool {
        let used_up = self.current.start > self.prefetch_at || self.current.is_empty();
        used_up && self.next.is_none() && !self.requested && now >= self.not_before
    }

    fn failed(&mut self, now: Instant) {
        self.requested = false;
        self.not_before = now + RETRY;
    }
}

impl Broker {
    /// InitProducerId without a transactional id, which every broker answers.
    pub(super) fn on_init_producer_id(&mut self, now: Instant, from: Node, correlation_id: u32, out: &mut Effects) {
        let answer = match self.producer_ids.claim() {
            Some(producer_id) => InitProducerIdResponse { error: ErrorCode::None, producer_id, producer_epoch: 0 },
            None => InitProducerIdResponse {
                error: ErrorCode::CoordinatorLoadInProgress,
                producer_id: -1,
                producer_epoch: -1,
            },
        };
        self.request_producer_ids(now, out);
        out.respond(from, correlation_id, Response::InitProducerId(answer));
    }

    fn request_producer_ids(&mut self, now: Instant, out: &mut Effects) {
        if !self.producer_ids.wants_block(now) {
            return;
        }
        let (Some(controller), Some(broker_epoch)) = (self.controller_node(), self.lifecycle.broker_epoch()) else {
            return self.producer_ids.failed(now);
        };
        self.producer_ids.requested = true;
        let request = Request::AllocateProducerIds(AllocateProducerIdsRequest { broker: self.id, broker_epoch });
        self.in_flight.send(now, controller, request, TIMEOUT, Purpose::AllocateProducerIds, out);
    }

    /// The controller's answer: the next block, or none for now.
    pub(super) fn on_producer_ids(&mut self, now: Instant, allocated: &AllocateProducerIdsResponse) {
        let &AllocateProducerIdsResponse { error, producer_id_start, producer_id_len } = allocated;
        if error == ErrorCode::NotController {
            self.controller_lost();
        }
        if !error.is_none() {
            return self.on_producer_ids_lost(now);
        }
        self.producer_ids.requested = false;
        self.producer_ids.next = Some(producer_id_start..producer_id_start + i64::from(producer_id_len));
    }

    /// The controller did not answer. The next producer that asks makes the broker ask again.
    pub(super) fn on_producer_ids_lost(&mut self, now: Instant) {
        self.producer_ids.failed(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_tenths_into_a_block_the_next_one_is_wanted() {
        let (mut ids, now) = (ProducerIds::default(), Instant::ZERO);
        assert_eq!(ids.claim(), None);
        assert!(ids.wants_block(now));
        ids.next = Some(5000..6000);
        assert_eq!(ids.claim(), Some(5000));
        let used: Vec<i64> = std::iter::from_fn(|| if ids.wants_block(now) { None } else { ids.claim() }).collect();
        assert_eq!(used.last(), Some(&5900));
        ids.next = Some(9000..9010);
        let last = (0..100).filter_map(|_| ids.claim()).last();
        assert_eq!(last, Some(9000), "the current block is used up first");
    }

    #[test]
    fn after_a_failure_the_controller_is_left_alone_for_a_while() {
        let (mut ids, now) = (ProducerIds::default(), Instant::from_micros(1_000_000));
        ids.requested = true;
        assert!(!ids.wants_block(now));
        ids.failed(now);
        assert!(!ids.wants_block(now + Duration::millis(49)));
        assert!(ids.wants_block(now + RETRY));
    }
}
