//! How a controller's word reaches the brokers: one request at a time to each, in order, until it is answered
//! (`ControllerChannelManager`), and the gathering of what one change has to say (`ControllerBrokerRequestBatch`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use crate::kafka::effects::{Effects, Timer};
use crate::kafka::ids::{BrokerEpoch, BrokerId, TopicId, TopicPartition};
use crate::kafka::message::Request;
use crate::kafka::message::push::{
    LeaderAndIsrRequest, PushHeader, PushedPartition, StopReplicaRequest, UpdateMetadataRequest,
};
use crate::kafka::metadata::MetadataImage;
use crate::time::{Duration, Instant};

/// Pause before a broker that did not answer is told again.
const RETRY: Duration = Duration::millis(100);

/// The queues to the brokers.
#[derive(Clone, Debug, Default)]
pub struct Channels {
    queues: BTreeMap<BrokerId, Queue>,
    /// What is to be sent now.
    outbox: Vec<(BrokerId, Request)>,
}

#[derive(Clone, Debug, Default)]
struct Queue {
    waiting: VecDeque<Request>,
    in_flight: Option<Request>,
}

impl Channels {
    /// Opens a queue to a broker that has come.
    pub fn open(&mut self, broker: BrokerId) {
        self.queues.insert(broker, Queue::default());
    }

    /// The broker is gone, and what it was not told yet with it.
    pub fn close(&mut self, broker: BrokerId) {
        self.queues.remove(&broker);
    }

    pub fn close_all(&mut self) {
        *self = Self::default();
    }

    fn push(&mut self, broker: BrokerId, request: Request) {
        if let Some(queue) = self.queues.get_mut(&broker) {
            queue.waiting.push_back(request);
            self.send_next(broker);
        }
    }

    fn send_next(&mut self, broker: BrokerId) {
        let Some(queue) = self.queues.get_mut(&broker).filter(|queue| queue.in_flight.is_none()) else { return };
        if let Some(request) = queue.waiting.pop_front() {
            queue.in_flight = Some(request.clone());
            self.outbox.push((broker, request));
        }
    }

    /// The broker answered. Returns what it was asked.
    pub fn answered(&mut self, broker: BrokerId) -> Option<Request> {
        let done = self.queues.get_mut(&broker)?.in_flight.take();
        self.send_next(broker);
        done
    }

    /// The broker did not answer: it is asked the same again after a pause.
    pub fn lost(&mut self, now: Instant, broker: BrokerId, out: &mut Effects) {
        if self.queues.get(&broker).is_some_and(|queue| queue.in_flight.is_some()) {
            out.set_timer(now + RETRY, Timer::ZkPush { broker });
        }
    }

    /// On [`Timer::ZkPush`].
    pub fn again(&mut self, broker: BrokerId) {
        if let Some(request) = self.queues.get(&broker).and_then(|queue| queue.in_flight.clone()) {
            self.outbox.push((broker, request));
        }
    }

    pub fn take_outbox(&mut self) -> Vec<(BrokerId, Request)> {
        std::mem::take(&mut self.outbox)
    }
}

/// What one change has to say to the brokers.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    leader_and_isr: BTreeMap<BrokerId, BTreeSet<TopicPartition>>,
    stop: BTreeMap<(BrokerId, bool), BTreeSet<TopicPartition>>,
    /// Brokers that are told of these partitions and of who lives.
    metadata: BTreeSet<BrokerId>,
    partitions: BTreeSet<TopicPartition>,
    deleted: BTreeSet<TopicId>,
}

impl Batch {
    /// These brokers hold a replica of a partition that has changed.
    pub fn leader_and_isr(&mut self, brokers: impl IntoIterator<Item = BrokerId>, partition: TopicPartition) {
        for broker in brokers {
            self.leader_and_isr.entry(broker).or_default().insert(partition);
        }
    }

    /// These brokers are told who lives, and the state of these partitions.
    pub fn metadata(
        &mut self,
        brokers: impl IntoIterator<Item = BrokerId>,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) {
        self.metadata.extend(brokers);
        self.partitions.extend(partitions);
    }

    /// These brokers are told that a topic is no more.
    pub fn deleted(&mut self, brokers: impl IntoIterator<Item = BrokerId>, topic: TopicId) {
        self.metadata.extend(brokers);
        self.deleted.insert(topic);
    }

    pub fn stop_replica(&mut self, broker: BrokerId, partition: TopicPartition, delete: bool) {
        self.stop.entry((broker, delete)).or_default().insert(partition);
    }

    /// Puts it into the queues: LeaderAndIsr first, then UpdateMetadata, then StopReplica (`sendRequestsToBrokers`).
    pub fn send(self, controller: BrokerId, controller_epoch: i32, image: &MetadataImage, channels: &mut Channels) {
        let header = |broker: BrokerId| PushHeader {
            controller,
            controller_epoch,
            broker_epoch: image.brokers.get(&broker).map_or(BrokerEpoch(-1), |known| known.epoch),
        };
        for (broker, partitions) in self.leader_and_isr {
            let partitions = states(image, &partitions);
            let topics = names(image, &partitions);
            let header = header(broker);
            channels.push(broker, Request::LeaderAndIsr(LeaderAndIsrRequest { header, topics, partitions }));
        }
        if !self.metadata.is_empty() {
            let partitions: Rc<[PushedPartition]> = states(image, &self.partitions).into();
            let topics: Rc<[_]> = names(image, &partitions).into();
            let live: Rc<[_]> = image.brokers.iter().map(|(id, known)| (*id, known.rack.clone())).collect();
            for broker in self.metadata {
                let request = UpdateMetadataRequest {
                    header: header(broker),
                    live_brokers: live.clone(),
                    topics: topics.clone(),
                    partitions: partitions.clone(),
                    deleted: self.deleted.iter().copied().collect(),
                };
                channels.push(broker, Request::UpdateMetadata(request));
            }
        }
        for ((broker, delete), partitions) in self.stop {
            let partitions = partitions.into_iter().collect();
            channels
                .push(broker, Request::StopReplica(StopReplicaRequest { header: header(broker), partitions, delete }));
        }
    }
}

fn states(image: &MetadataImage, partitions: &BTreeSet<TopicPartition>) -> Vec<PushedPartition> {
    partitions.iter().filter_map(|partition| Some((*partition, image.partition(*partition)?.clone()))).collect()
}

fn names(image: &MetadataImage, partitions: &[PushedPartition]) -> Vec<(TopicId, crate::kafka::ids::Name)> {
    let ids: BTreeSet<TopicId> = partitions.iter().map(|(partition, _)| partition.topic).collect();
    ids.into_iter().filter_map(|id| Some((id, image.topics.get(&id)?.name.clone()))).collect()
}
