//! Making the metadata true here (`BrokerMetadataPublisher`, `ReplicaManager.applyDelta`), and what follows when a
//! partition changes.

use std::collections::BTreeSet;

use super::storage::segment_limits;
use super::{Broker, isr};
use crate::kafka::compat::TruncationRule;
use crate::kafka::config::TopicConfig;
use crate::kafka::effects::Effects;
use crate::kafka::ids::{LeaderEpoch, OFFSETS_TOPIC, SHARE_STATE_TOPIC, TopicId, TopicPartition};
use crate::kafka::metadata::{ConfigResource, MetadataBatch, MetadataRecord};
use crate::kafka::mistakes::Mistake;
use crate::kafka::replica::Replica;
use crate::time::{Duration, Instant};

impl Broker {
    /// New committed records: what they leave at the end of them all becomes true, not every state in between.
    pub(super) fn apply_committed(&mut self, now: Instant, committed: &[MetadataBatch], out: &mut Effects) {
        if !self.published || committed.is_empty() {
            return;
        }
        let mut partitions: BTreeSet<TopicPartition> = BTreeSet::new();
        let mut configs = false;
        for record in committed.iter().flat_map(|batch| batch.records.iter()) {
            match record {
                MetadataRecord::Partition { partition, .. } | MetadataRecord::PartitionChange { partition, .. } => {
                    partitions.insert(*partition);
                }
                MetadataRecord::RemoveTopic { id } | MetadataRecord::ClearElr { topic: Some(id) } => {
                    partitions.extend(self.replicas.keys().filter(|partition| partition.topic == *id));
                }
                MetadataRecord::ClearElr { topic: None } => partitions.extend(self.replicas.keys()),
                MetadataRecord::Config { resource, key, .. } => {
                    configs = true;
                    self.apply_broker_config(*resource, key);
                }
                _ => {}
            }
        }
        if configs {
            self.refresh_topic_configs();
        }
        for partition in partitions {
            self.publish_partition(now, partition, out);
        }
        let image = self.observer.image().clone();
        self.creating.retain(|name| !image.topic_ids.contains_key(name));
        self.coordinate_topics(now, out);
        self.run_fetchers(now, out);
    }

    /// Everything the image says becomes true: the end of start-up.
    pub(super) fn publish_all(&mut self, now: Instant, out: &mut Effects) {
        self.published = true;
        let image = self.observer.image().clone();
        for resource in [ConfigResource::Cluster, ConfigResource::Broker(self.id)] {
            for key in image.configs.get(&resource).into_iter().flat_map(|config| config.keys()) {
                self.apply_broker_config(resource, key);
            }
        }
        let mine: Vec<TopicPartition> = image
            .partitions()
            .filter(|(_, registration)| registration.replicas.contains(&self.id))
            .map(|(partition, _)| partition)
            .collect();
        for partition in mine {
            self.publish_partition(now, partition, out);
        }
        // Logs of topics that were deleted while the broker was away.
        self.unopened.clear();
        self.coordinate_topics(now, out);
        self.run_fetchers(now, out);
    }

    /// A snapshot took the place of the image while the broker was serving: nobody says what changed.
    pub(super) fn publish_snapshot(&mut self, now: Instant, out: &mut Effects) {
        self.publish_all(now, out);
        self.refresh_topic_configs();
        let image = self.observer.image().clone();
        let is_gone = |partition: &TopicPartition| {
            image.partition(*partition).is_none_or(|known| !known.replicas.contains(&self.id))
        };
        let gone: Vec<TopicPartition> = self.replicas.keys().copied().filter(is_gone).collect();
        gone.into_iter().for_each(|partition| self.drop_replica(now, partition, out));
        self.creating.retain(|name| !image.topic_ids.contains_key(name));
    }

    pub(super) fn publish_partition(&mut self, now: Instant, partition: TopicPartition, out: &mut Effects) {
        let image = self.observer.image().clone();
        let Some(registration) = image.partition(partition).filter(|known| known.replicas.contains(&self.id)) else {
            return self.drop_replica(now, partition, out);
        };
        if !self.replicas.contains_key(&partition) {
            let log = self.unopened.remove(&partition).unwrap_or_default();
            let checkpoint = self.high_watermark_checkpoint.get(&partition).copied().unwrap_or_default();
            let mut replica = Replica::open(partition, log, checkpoint);
            if self.clean_shutdown {
                replica.reload_producers(now, self.config.producer_id_expiration);
            }
            let config = self.topic_config(partition.topic);
            replica.log_mut().set_limits(segment_limits(&config));
            replica.set_config(config);
            self.storage.opened(partition, replica.log());
            self.replicas.insert(partition, replica);
        }
        let Some(replica) = self.replicas.get_mut(&partition) else { return };
        let (led, epoch, followed) = (replica.is_leader(), replica.leader_epoch(), replica.leader());
        replica.apply(now, self.id, registration, out);
        if self.truncation == TruncationRule::HighWatermark
            && replica.leader().is_some_and(|leader| followed != Some(leader))
        {
            replica.truncate(replica.high_watermark(), out);
        }
        if replica.is_leader() {
            self.follow(partition, None);
        } else if replica.leader_epoch() != epoch || led {
            let leader = replica.leader();
            self.follow(partition, leader);
        }
        self.after_role_change(now, partition, led, epoch, out);
    }

    fn after_role_change(
        &mut self,
        now: Instant,
        partition: TopicPartition,
        led: bool,
        epoch: LeaderEpoch,
        out: &mut Effects,
    ) {
        let Some(replica) = self.replicas.get(&partition) else { return };
        let (leads, new_epoch) = (replica.is_leader(), replica.leader_epoch() != epoch);
        if self.is_offsets_topic(partition.topic) && (led != leads || new_epoch) {
            self.coordinate_partition(now, partition, out);
        }
        if self.is_share_state_topic(partition.topic) && (led != leads || new_epoch) {
            self.keep_share_states(now, partition, out);
        }
        // Only a follower lets go of them (`onBecomingFollower`): whoever leads on, in another epoch, keeps what it has.
        let forgets = new_epoch && self.config.makes(Mistake::ShareHoldersForgotten);
        if led && (!leads || forgets) {
            self.close_windows(partition, out);
        }
        if leads {
            self.after_isr_change(now, partition, out);
        }
        if (led && !leads) || new_epoch {
            self.proposals.remove(&partition);
            self.wake_everyone(partition, out);
        }
    }

    pub(super) fn drop_replica(&mut self, now: Instant, partition: TopicPartition, out: &mut Effects) {
        if self.replicas.remove(&partition).is_none() {
            return;
        }
        self.high_watermark_checkpoint.remove(&partition);
        self.storage.dropped(partition);
        self.proposals.remove(&partition);
        self.follow(partition, None);
        if self.is_offsets_topic(partition.topic) {
            self.coordinate_partition(now, partition, out);
        }
        if self.is_share_state_topic(partition.topic) {
            self.keep_share_states(now, partition, out);
        }
        self.close_windows(partition, out);
        self.wake_everyone(partition, out);
    }

    /// The leader's log grew.
    pub(super) fn after_append(&mut self, now: Instant, partition: TopicPartition, out: &mut Effects) {
        self.after_log_growth(now, partition, out);
        self.try_advance_high_watermark(now, partition, out);
        self.wake_fetches(partition, out);
    }

    /// The ISR changed, or was confirmed: the high watermark may rise.
    pub(super) fn after_isr_change(&mut self, now: Instant, partition: TopicPartition, out: &mut Effects) {
        self.try_advance_high_watermark(now, partition, out);
    }

    pub(super) fn try_advance_high_watermark(&mut self, now: Instant, partition: TopicPartition, out: &mut Effects) {
        let image = self.observer.image();
        let lag_time_max = self.config.replica_lag_time_max;
        let Some(replica) = self.replicas.get_mut(&partition) else { return };
        if !replica.advance_high_watermark(now, lag_time_max, |id, state| isr::is_isr_eligible(image, id, state), out) {
            return;
        }
        for id in self.purgatory.produces_on(partition) {
            self.try_complete_produce(id, out);
        }
        self.wake_fetches(partition, out);
        self.wake_share_fetches(now, partition, out);
        if self.is_offsets_topic(partition.topic) {
            self.on_offsets_committed(now, partition, out);
        }
        if self.is_share_state_topic(partition.topic) {
            self.on_share_state_committed(now, partition, out);
        }
    }

    pub(super) fn wake_fetches(&mut self, partition: TopicPartition, out: &mut Effects) {
        for id in self.purgatory.fetches_on(partition) {
            self.try_complete_fetch(id, out);
        }
    }

    /// The partition has another leader now, or none: whoever waits for it is told.
    fn wake_everyone(&mut self, partition: TopicPartition, out: &mut Effects) {
        for id in self.purgatory.produces_on(partition) {
            self.try_complete_produce(id, out);
        }
        self.wake_fetches(partition, out);
    }

    /// A setting of this broker, as the image has it now: its own, else that of all brokers, else what it was started
    /// with.
    pub(super) fn apply_broker_config(&mut self, resource: ConfigResource, key: &str) {
        if !matches!(resource, ConfigResource::Cluster) && resource != ConfigResource::Broker(self.id) {
            return;
        }
        let configs = &self.observer.image().configs;
        let dynamic = |resource| configs.get(&resource).and_then(|config| config.get(key)).map(ToString::to_string);
        let dynamic = dynamic(ConfigResource::Broker(self.id)).or_else(|| dynamic(ConfigResource::Cluster));
        if let Some(value) = dynamic.or_else(|| self.static_config.get(key)) {
            // The controller has refused what Kafka would; a topic's key at the cluster is no broker setting.
            let _ = self.config.set(key, &value);
        }
    }

    pub(super) fn refresh_topic_configs(&mut self) {
        let topics: BTreeSet<TopicId> = self.replicas.keys().map(|partition| partition.topic).collect();
        for topic in topics {
            let config = self.topic_config(topic);
            let partitions: Vec<TopicPartition> =
                self.replicas.keys().filter(|of| of.topic == topic).copied().collect();
            for partition in partitions {
                if let Some(replica) = self.replicas.get_mut(&partition) {
                    replica.log_mut().set_limits(segment_limits(&config));
                    replica.set_config(config.clone());
                }
            }
        }
    }

    /// A topic's settings: its own, else the broker's, which the cluster's dynamic ones have gone into.
    fn topic_config(&self, topic: TopicId) -> TopicConfig {
        let mut config = TopicConfig {
            min_insync_replicas: self.config.min_insync_replicas,
            unclean_leader_election: self.config.unclean_leader_election,
            max_message_bytes: self.config.message_max_bytes,
            segment_bytes: self.config.log_segment_bytes,
            retention: Duration::secs(
                self.config.log_retention_hours.saturating_mul(3600).min(Duration::MAX.as_millis() / 1000),
            ),
            retention_bytes: self.config.log_retention_bytes,
            #[cfg(feature = "planted-mistakes")]
            mistake: self.config.mistake,
            ..TopicConfig::default()
        };
        if let Some(own) = self.observer.image().configs.get(&ConfigResource::Topic(topic)) {
            for (key, value) in own {
                // Checked by the controller when it was set.
                let _ = config.set(key, value);
            }
        }
        config
    }

    fn is_share_state_topic(&self, topic: TopicId) -> bool {
        self.observer.image().topic_ids.get(SHARE_STATE_TOPIC) == Some(&topic)
    }

    pub(super) fn is_offsets_topic(&self, topic: TopicId) -> bool {
        self.observer.image().topic_ids.get(OFFSETS_TOPIC) == Some(&topic)
    }
}
