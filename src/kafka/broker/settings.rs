//! What a broker says of settings: DescribeConfigs (KIP-133, with synonyms: KIP-226).
//!
//! A setting can stand in several places; the first that has it counts: the topic, this broker (dynamic), all brokers
//! (dynamic), this broker's file, Kafka's default. All but the first are synonyms. Kafka's `ConfigHelper`.

use super::Broker;
use crate::kafka::config::{BrokerConfig, DYNAMIC_BROKER_SETTINGS, Setting, TopicConfig};
use crate::kafka::effects::Effects;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{Name, Node};
use crate::kafka::message::{
    ConfigEntity, ConfigSource, DescribeConfigsRequest, DescribeConfigsResponse, DescribedConfig, Response,
};
use crate::kafka::metadata::ConfigResource;

/// Source, name there, and value.
type Synonym = (ConfigSource, Name, Name);

impl Broker {
    pub(super) fn on_describe_configs(
        &self,
        from: Node,
        correlation_id: u32,
        request: &DescribeConfigsRequest,
        out: &mut Effects,
    ) {
        let image = self.observer.image();
        let described = match &request.entity {
            ConfigEntity::Topic(name) => {
                let id = image.topic_ids.get(name);
                id.map(|id| self.describe_topic_settings(ConfigResource::Topic(*id))).ok_or((
                    ErrorCode::UnknownTopicOrPartition,
                    String::from("This server does not host this topic-partition."),
                ))
            }
            ConfigEntity::Broker(id) if *id == self.id => Ok(self.describe_broker_settings()),
            ConfigEntity::Broker(id) => Err((
                ErrorCode::InvalidRequest,
                format!("Unexpected broker id, expected {} or empty string, but received {id}", self.id),
            )),
            ConfigEntity::Brokers => Ok(self.describe_default_settings()),
        };
        let response = match described {
            Ok(mut configs) => {
                configs.sort_by(|a, b| a.name.cmp(&b.name));
                DescribeConfigsResponse { error: ErrorCode::None, message: None, configs }
            }
            Err((error, message)) => {
                DescribeConfigsResponse { error, message: Some(message.as_str().into()), configs: Vec::new() }
            }
        };
        out.respond(from, correlation_id, Response::DescribeConfigs(response));
    }

    fn describe_topic_settings(&self, topic: ConfigResource) -> Vec<DescribedConfig> {
        let describe = |setting: &Setting| {
            let own =
                self.dynamic(topic, setting.name).map(|value| (ConfigSource::DynamicTopic, setting.name.into(), value));
            let of_broker = broker_synonym(setting.name).map(|name| self.synonyms(name, setting.default));
            let synonyms: Vec<Synonym> = own.into_iter().chain(of_broker.into_iter().flatten()).collect();
            described(setting, synonyms)
        };
        TopicConfig::SETTINGS.iter().map(describe).collect()
    }

    fn describe_broker_settings(&self) -> Vec<DescribedConfig> {
        let describe = |setting: &Setting| described(setting, self.synonyms(setting.name, setting.default));
        BrokerConfig::SETTINGS.iter().filter(|setting| self.has(setting)).map(describe).collect()
    }

    /// Throttles exist as dynamic settings only.
    fn has(&self, setting: &Setting) -> bool {
        let dynamic_only = setting.name.ends_with(".replication.throttled.rate");
        let given = |resource| self.dynamic(resource, setting.name).is_some();
        !dynamic_only || given(ConfigResource::Broker(self.id)) || given(ConfigResource::Cluster)
    }

    fn describe_default_settings(&self) -> Vec<DescribedConfig> {
        let configs = self.observer.image().configs.get(&ConfigResource::Cluster);
        let describe = |(name, value): (&Name, &Name)| {
            let source = ConfigSource::DynamicDefaultBroker;
            let synonyms = vec![(source, name.clone(), value.clone())];
            DescribedConfig { name: name.clone(), value: value.clone(), source, synonyms }
        };
        configs.into_iter().flatten().map(describe).collect()
    }

    fn dynamic(&self, resource: ConfigResource, key: &str) -> Option<Name> {
        self.observer.image().configs.get(&resource)?.get(key).cloned()
    }

    /// Where a broker's setting has a value, in the order that counts. A name that the model does not keep for brokers
    /// has its default alone.
    fn synonyms(&self, key: &str, default: &str) -> Vec<Synonym> {
        let known = BrokerConfig::SETTINGS.iter().find(|setting| setting.name == key);
        let default = known.map_or(default, |setting| setting.default);
        let fixed = self.static_config.get(key).filter(|value| value != default);
        let of_broker = self.dynamic(ConfigResource::Broker(self.id), key);
        let of_all = self.dynamic(ConfigResource::Cluster, key);
        let throttle = key.ends_with(".replication.throttled.rate");
        [
            (ConfigSource::DynamicBroker, of_broker),
            (ConfigSource::DynamicDefaultBroker, of_all.filter(|_| DYNAMIC_BROKER_SETTINGS.contains(&key))),
            (ConfigSource::StaticBroker, fixed.as_deref().map(Name::from).filter(|_| !throttle)),
            (ConfigSource::Default, (!throttle).then(|| Name::from(default))),
        ]
        .into_iter()
        .filter_map(|(source, value)| Some((source, Name::from(key), value?)))
        .collect()
    }
}

fn described(setting: &Setting, synonyms: Vec<Synonym>) -> DescribedConfig {
    let (source, value) = synonyms
        .first()
        .map_or_else(|| (ConfigSource::Default, setting.default.into()), |(source, _, value)| (*source, value.clone()));
    DescribedConfig { name: setting.name.into(), value, source, synonyms }
}

/// The broker's setting that stands behind a topic's (`ServerTopicConfigSynonyms`). Times are left out: their synonyms go
/// by hours, and Kafka drops those from its answer.
fn broker_synonym(key: &str) -> Option<&'static str> {
    Some(match key {
        "min.insync.replicas" => "min.insync.replicas",
        "unclean.leader.election.enable" => "unclean.leader.election.enable",
        "max.message.bytes" => "message.max.bytes",
        "compression.type" => "compression.type",
        "message.timestamp.type" => "log.message.timestamp.type",
        "cleanup.policy" => "log.cleanup.policy",
        "segment.bytes" => "log.segment.bytes",
        "retention.bytes" => "log.retention.bytes",
        _ => return None,
    })
}
