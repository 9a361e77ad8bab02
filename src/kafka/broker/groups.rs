//! The broker around its group coordinator: requests in, records to the log, and the news of their commitment back.

use super::Broker;
use crate::kafka::coordinator::Append;
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{Node, OFFSETS_TOPIC, Offset, TopicPartition};
use crate::kafka::message::Request;
use crate::time::Instant;

impl Broker {
    pub(super) fn on_group_request(
        &mut self,
        now: Instant,
        from: Node,
        correlation_id: u32,
        request: &Request,
        out: &mut Effects,
    ) {
        let appends = self.coordinator.on_request(now, from, correlation_id, request, out);
        self.append_group_records(now, appends, out);
    }

    pub(super) fn on_group_timer(&mut self, now: Instant, timer: &Timer, out: &mut Effects) {
        let appends = self.coordinator.on_timer(now, timer, out);
        self.append_group_records(now, appends, out);
    }

    /// The coordinator writes like a client with `acks=1` and waits for the high watermark itself
    /// (`CoordinatorPartitionWriter`).
    pub(super) fn append_group_records(&mut self, now: Instant, appends: Vec<Append>, out: &mut Effects) {
        for append in appends {
            let Some(topic) = self.observer.image().topic_ids.get(OFFSETS_TOPIC).copied() else {
                self.coordinator.appended(now, append.id, Err(ErrorCode::NotCoordinator), out);
                continue;
            };
            let partition = TopicPartition::new(topic, append.partition);
            let count = Offset::from(append.batch.last_offset_delta) + 1;
            let result = match self.replicas.get_mut(&partition) {
                Some(replica) => replica.append_as_leader(now, append.batch, false, out).map(|base| base + count),
                None => Err(ErrorCode::NotCoordinator),
            };
            self.coordinator.appended(now, append.id, result, out);
            if result.is_ok() {
                self.after_append(now, partition, out);
            }
        }
        self.initialize_share_partitions(now, out);
    }

    pub(super) fn on_offsets_committed(&mut self, now: Instant, partition: TopicPartition, out: &mut Effects) {
        if let Some(replica) = self.replicas.get(&partition) {
            self.coordinator.committed(now, partition.partition, replica.high_watermark(), out);
        }
        self.initialize_share_partitions(now, out);
    }

    /// This broker leads a partition of `__consumer_offsets`, or does so no longer: the groups in it come or go.
    pub(super) fn coordinate_partition(&mut self, now: Instant, partition: TopicPartition, out: &mut Effects) {
        match self.replicas.get(&partition).filter(|replica| replica.is_leader()) {
            Some(replica) => {
                let batches: Vec<_> = replica.log().batches().cloned().collect();
                let (epoch, high_watermark) = (replica.leader_epoch(), replica.high_watermark());
                self.coordinator.load(now, partition.partition, epoch, &batches, high_watermark, out);
            }
            None => self.coordinator.unload(partition.partition, out),
        }
    }

    /// The topics that groups read may have changed.
    pub(super) fn coordinate_topics(&mut self, now: Instant, out: &mut Effects) {
        let image = self.observer.image().clone();
        let appends = self.coordinator.topics_changed(now, &image, out);
        self.append_group_records(now, appends, out);
    }
}
