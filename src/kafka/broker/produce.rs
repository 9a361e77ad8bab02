//! Produce, on the leader's side (`ReplicaManager.appendRecords`, `DelayedProduce`).

use super::Broker;
use super::epochs::error_of_missing;
use crate::kafka::config::Acks;
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::Fact;
use crate::kafka::ids::{Node, Offset, TopicPartition};
use crate::kafka::message::{PartitionProduceResponse, ProduceRequest, ProduceResponse, Response};
use crate::kafka::mistakes::Mistake;
use crate::kafka::purgatory::{DelayedAppend, DelayedProduce};
use crate::kafka::record::Batch;
use crate::time::Instant;

impl Broker {
    /// Appends each batch, then answers as `acks` says: not at all, at once, or when the ISR has it.
    pub(super) fn on_produce(
        &mut self,
        now: Instant,
        from: Node,
        correlation_id: u32,
        request: ProduceRequest,
        out: &mut Effects,
    ) {
        let ProduceRequest { acks, timeout, partitions } = request;
        let appended: Vec<DelayedAppend> = partitions
            .into_iter()
            .map(|(partition, batch)| self.append_batch(now, partition, batch, acks, out))
            .collect();
        match acks {
            Acks::All if self.config.makes(Mistake::AcksAllAfterLocalAppend) => {
                self.answer_produce(from, correlation_id, &appended, out);
            }
            Acks::None => {
                if appended.iter().any(|append| append.outcome.is_some()) {
                    // The client waits for no answer; a broken connection is the only way to tell it.
                    out.close_connection(from);
                }
            }
            Acks::Leader => self.answer_produce(from, correlation_id, &appended, out),
            Acks::All => {
                let id = self.purgatory.hold_produce(DelayedProduce { from, correlation_id, partitions: appended });
                if !self.try_complete_produce(id, out) {
                    out.set_timer(now + timeout, Timer::DelayedProduce { id });
                }
            }
        }
    }

    fn append_batch(
        &mut self,
        now: Instant,
        partition: TopicPartition,
        batch: Batch,
        acks: Acks,
        out: &mut Effects,
    ) -> DelayedAppend {
        let count = Offset::from(batch.last_offset_delta) + 1;
        let result = match self.replicas.get_mut(&partition) {
            Some(replica) => replica.append_as_leader(now, batch, acks == Acks::All, out),
            None => Err(self.error_of_missing(partition)),
        };
        match result {
            Ok(base_offset) => {
                self.after_append(now, partition, out);
                DelayedAppend { partition, base_offset, required_offset: base_offset + count, outcome: None }
            }
            Err(error) => {
                out.note(Fact::ProduceFailed { partition, error });
                DelayedAppend { partition, base_offset: -1, required_offset: -1, outcome: Some(error) }
            }
        }
    }

    /// Answers a waiting produce if each of its batches is committed or has failed. Returns whether it did.
    pub(super) fn try_complete_produce(&mut self, id: u64, out: &mut Effects) -> bool {
        let Some(produce) = self.purgatory.produce_mut(id) else { return true };
        let mut waits = false;
        for append in produce.partitions.iter_mut().filter(|append| append.outcome.is_none()) {
            append.outcome = match self.replicas.get(&append.partition) {
                Some(replica) => match replica.leadership() {
                    None => Some(ErrorCode::NotLeaderOrFollower),
                    Some(_) if replica.high_watermark() < append.required_offset => None,
                    // The data is there; what was promised of its safety is not. In Kafka that is a race of two threads:
                    // below min.insync.replicas the high watermark stands still, so the ISR must shrink after the one
                    // has moved it and before it has looked at who waits. Here both are one step.
                    Some(leadership)
                        if (leadership.maximal_isr_size() as u64) < u64::from(replica.effective_min_isr()) =>
                    {
                        Some(ErrorCode::NotEnoughReplicasAfterAppend)
                    }
                    Some(_) => Some(ErrorCode::None),
                },
                None => Some(error_of_missing(self.observer.image(), append.partition)),
            };
            waits |= append.outcome.is_none();
        }
        if waits {
            return false;
        }
        self.finish_produce(id, out);
        true
    }

    /// On [`Timer::DelayedProduce`]: what is not committed by now has timed out. It stays in the log.
    pub(super) fn expire_produce(&mut self, id: u64, out: &mut Effects) {
        if self.try_complete_produce(id, out) {
            return;
        }
        if let Some(produce) = self.purgatory.produce_mut(id) {
            for append in &mut produce.partitions {
                append.outcome.get_or_insert(ErrorCode::RequestTimedOut);
            }
        }
        self.finish_produce(id, out);
    }

    fn finish_produce(&mut self, id: u64, out: &mut Effects) {
        let Some(produce) = self.purgatory.take_produce(id) else { return };
        out.cancel_timer(Timer::DelayedProduce { id });
        for append in &produce.partitions {
            if let Some(error) = append.outcome.filter(|error| !error.is_none() && append.base_offset >= 0) {
                out.note(Fact::ProduceFailed { partition: append.partition, error });
            }
        }
        self.answer_produce(produce.from, produce.correlation_id, &produce.partitions, out);
    }

    fn answer_produce(&self, to: Node, correlation_id: u32, appended: &[DelayedAppend], out: &mut Effects) {
        let partitions = appended
            .iter()
            .map(|append| {
                let error = append.outcome.unwrap_or(ErrorCode::None);
                let replica = self.replicas.get(&append.partition);
                PartitionProduceResponse {
                    partition: append.partition,
                    error,
                    base_offset: if error.is_none() { append.base_offset } else { -1 },
                    log_start_offset: replica.map_or(-1, |replica| replica.log().start()),
                    current_leader: (error == ErrorCode::NotLeaderOrFollower)
                        .then(|| replica.and_then(|replica| replica.current_leader(self.id)))
                        .flatten(),
                }
            })
            .collect();
        out.respond(to, correlation_id, Response::Produce(ProduceResponse { partitions }));
    }
}
