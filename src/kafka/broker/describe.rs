//! What a broker tells clients about the cluster: Metadata and FindCoordinator, from the image it has applied
//! (`KRaftMetadataCache`). It may lag behind the controller's.

use std::collections::BTreeMap;

use super::{Broker, Purpose};
use crate::kafka::config::BrokerConfig;
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{BrokerId, Name, Node, OFFSETS_TOPIC, SHARE_STATE_TOPIC, TopicId, is_internal_topic};
use crate::kafka::message::{
    CreateTopicsRequest, FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest, MetadataResponse, NewTopic,
    PartitionMetadata, Request, Response, TopicMetadata,
};
use crate::kafka::metadata::{ConfigResource, MetadataImage, TopicImage};
use crate::kafka::partitioner;
use crate::time::{Duration, Instant};

/// How long a broker waits for the controller to create a topic.
const CREATE_TIMEOUT: Duration = Duration::secs(30);

/// `offsets.topic.segment.bytes`.
const OFFSETS_TOPIC_SEGMENT_BYTES: &str = "104857600";

impl Broker {
    pub(super) fn on_metadata(
        &mut self,
        now: Instant,
        from: Node,
        correlation_id: u32,
        request: &MetadataRequest,
        out: &mut Effects,
    ) {
        let image = self.observer.image();
        let topics: Vec<TopicMetadata> = match &request.topics {
            None => image.topics.iter().map(|(id, topic)| self.describe_topic(image, *id, topic)).collect(),
            Some(names) => names
                .iter()
                .map(|name| match image.topic(name) {
                    Some((id, topic)) => self.describe_topic(image, id, topic),
                    None => unknown_topic(name),
                })
                .collect(),
        };
        let missing: Vec<Name> =
            topics.iter().filter(|topic| !topic.error.is_none()).map(|topic| topic.name.clone()).collect();
        let brokers = image
            .brokers
            .iter()
            .filter(|(_, broker)| !broker.fenced)
            .map(|(id, broker)| (*id, broker.rack.clone()))
            .collect();
        // In KRaft no broker is the controller: requests for it may go to any, which passes them on.
        let controller = match self.zk_controller() {
            Some(zk) => zk.known(),
            None => image.brokers.iter().find(|(_, broker)| !broker.fenced).map(|(id, _)| *id),
        };
        if request.allow_auto_topic_creation {
            for name in missing {
                let (partitions, replication_factor) =
                    (self.config.num_partitions, self.config.default_replication_factor);
                self.create_topic(now, name, partitions, replication_factor, out);
            }
        }
        out.respond(from, correlation_id, Response::Metadata(MetadataResponse { brokers, controller, topics }));
    }

    /// The coordinator of a group leads the partition of `__consumer_offsets` that the group's name hashes to.
    pub(super) fn on_find_coordinator(
        &mut self,
        now: Instant,
        from: Node,
        correlation_id: u32,
        request: &FindCoordinatorRequest,
        out: &mut Effects,
    ) {
        let image = self.observer.image();
        let found = match image.topic(OFFSETS_TOPIC) {
            Some((_, topic)) => {
                let partition = partitioner::coordinator_partition(&request.key, topic.partitions.len() as u32);
                topic.partitions.get(partition as usize).and_then(|registration| registration.leader)
            }
            None => {
                let (partitions, factor) =
                    (self.config.offsets_topic_partitions, self.config.offsets_topic_replication_factor);
                self.create_topic(now, OFFSETS_TOPIC.into(), partitions, factor, out);
                None
            }
        };
        let error = if found.is_some() { ErrorCode::None } else { ErrorCode::CoordinatorNotAvailable };
        let response = FindCoordinatorResponse { error, coordinator: found };
        out.respond(from, correlation_id, Response::FindCoordinator(response));
    }

    /// Asks the controller for a topic that a client needs (`AutoTopicCreationManager`). One request a topic at a time.
    pub(super) fn create_topic(
        &mut self,
        now: Instant,
        name: Name,
        partitions: u32,
        replication_factor: u32,
        out: &mut Effects,
    ) {
        if self.creating.contains(&name) {
            return;
        }
        let Some(controller) = self.controller_node() else { return };
        // Offsets are compacted: only the last of each key counts (`GroupCoordinatorService.groupMetadataTopicConfigs`).
        let configs = match &*name {
            OFFSETS_TOPIC => vec![
                ("cleanup.policy".into(), "compact".into()),
                ("compression.type".into(), "producer".into()),
                ("segment.bytes".into(), OFFSETS_TOPIC_SEGMENT_BYTES.into()),
            ],
            // `ShareCoordinatorService.shareGroupStateTopicConfigs`
            SHARE_STATE_TOPIC => vec![
                ("cleanup.policy".into(), "delete".into()),
                ("compression.type".into(), "producer".into()),
                ("segment.bytes".into(), OFFSETS_TOPIC_SEGMENT_BYTES.into()),
                ("min.insync.replicas".into(), self.config.share_state_topic_min_isr.to_string().as_str().into()),
                ("retention.ms".into(), "-1".into()),
            ],
            _ => Vec::new(),
        };
        let topic = NewTopic {
            name: name.clone(),
            partitions: Some(partitions),
            replication_factor: Some(replication_factor),
            assignment: Vec::new(),
            configs,
        };
        self.creating.insert(name.clone());
        let request = Request::CreateTopics(CreateTopicsRequest { topics: vec![topic], timeout: CREATE_TIMEOUT });
        self.in_flight.send(now, controller, request, CREATE_TIMEOUT, Purpose::CreateTopic { name }, out);
    }

    /// Passes a request for the controller on (KIP-590); its answer goes back to the client.
    pub(super) fn forward(
        &mut self,
        now: Instant,
        client: Node,
        correlation_id: u32,
        request: Request,
        out: &mut Effects,
    ) {
        let Some(controller) = self.controller_node() else {
            self.unsent.push((client, correlation_id, request));
            out.set_timer(now + FORWARD_RETRY, Timer::InternalTopic);
            return;
        };
        if controller == Node::Broker(self.id) {
            return self.on_controller_request(now, client, correlation_id, request, out);
        }
        let purpose = Purpose::Forward { client, correlation_id, request: Box::new(request.clone()) };
        self.in_flight.send(now, controller, request, CREATE_TIMEOUT, purpose, out);
    }

    /// Sends what found no controller before.
    pub(super) fn forward_again(&mut self, now: Instant, out: &mut Effects) {
        for (client, correlation_id, request) in std::mem::take(&mut self.unsent) {
            self.forward(now, client, correlation_id, request, out);
        }
    }

    fn describe_topic(&self, image: &MetadataImage, id: TopicId, topic: &TopicImage) -> TopicMetadata {
        let partitions = topic
            .partitions
            .iter()
            .map(|registration| PartitionMetadata {
                error: if registration.leader.is_some() { ErrorCode::None } else { ErrorCode::LeaderNotAvailable },
                leader: registration.leader,
                leader_epoch: registration.leader_epoch,
                replicas: registration.replicas.clone(),
                isr: registration.isr.clone(),
                elr: registration.elr.clone(),
                last_known_elr: registration.last_known_elr.clone(),
                offline_replicas: registration
                    .replicas
                    .iter()
                    .copied()
                    .filter(|replica| !is_alive(image, *replica))
                    .collect(),
                adding_replicas: registration.adding.clone(),
                removing_replicas: registration.removing.clone(),
            })
            .collect();
        TopicMetadata {
            error: ErrorCode::None,
            name: topic.name.clone(),
            id,
            internal: is_internal_topic(&topic.name),
            partitions,
            configs: self.overrides(image, id),
        }
    }

    /// The settings of a topic that are not Kafka's default, wherever they were given: to it, to all brokers, or in this
    /// broker's file.
    fn overrides(&self, image: &MetadataImage, id: TopicId) -> Vec<(Name, Name)> {
        let mut settings: BTreeMap<Name, Name> = BTreeMap::new();
        for (key, of_broker) in BROKER_SYNONYMS {
            let default = BrokerConfig::SETTINGS.iter().find(|setting| setting.name == of_broker);
            let fixed = self.static_config.get(of_broker);
            let fixed = fixed.filter(|value| default.is_none_or(|setting| setting.default != value));
            let of_all = image.configs.get(&ConfigResource::Cluster).and_then(|config| config.get(of_broker)).cloned();
            let value = of_all.or_else(|| fixed.as_deref().map(Name::from));
            settings.extend(value.map(|value| (Name::from(key), value)));
        }
        for (key, value) in image.configs.get(&ConfigResource::Topic(id)).into_iter().flatten() {
            settings.insert(key.clone(), value.clone());
        }
        settings.into_iter().collect()
    }
}

/// Pause before a request for the controller is tried again.
pub(super) const FORWARD_RETRY: Duration = Duration::millis(100);

fn unknown_topic(name: &Name) -> TopicMetadata {
    TopicMetadata {
        error: ErrorCode::UnknownTopicOrPartition,
        name: name.clone(),
        id: TopicId(u32::MAX),
        internal: false,
        partitions: Vec::new(),
        configs: Vec::new(),
    }
}

fn is_alive(image: &MetadataImage, id: BrokerId) -> bool {
    image.brokers.get(&id).is_some_and(|broker| !broker.fenced)
}

/// Topic settings whose broker settings there are here, too (`ServerTopicConfigSynonyms`).
const BROKER_SYNONYMS: [(&str, &str); 3] = [
    ("max.message.bytes", "message.max.bytes"),
    ("min.insync.replicas", "min.insync.replicas"),
    ("unclean.leader.election.enable", "unclean.leader.election.enable"),
];
