//! Dynamic settings: checked as Kafka checks them, refused in Kafka's words.
//!
//! `ConfigurationControlManager.incrementalAlterConfigs`, with the validation of `LogConfig` and `ConfigDef`.

use std::collections::BTreeSet;

use super::super::config::{BrokerConfig, DYNAMIC_BROKER_SETTINGS, SettingError, TopicConfig};
use super::super::error::ErrorCode;
use super::super::ids::{BrokerId, Name};
use super::super::message::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, Response};
use super::super::metadata::{ConfigResource, MetadataRecord};
use super::cluster::Cluster;
use super::decision::{ApiError, Decision, topic_result};

const MIN_ISR: &str = "min.insync.replicas";
const UNCLEAN: &str = "unclean.leader.election.enable";

/// Changes each resource wholly or not at all. The cluster's result has the empty name, as Kafka's default resource; a
/// broker's has its id for a name.
pub fn alter(cluster: &Cluster, request: &IncrementalAlterConfigsRequest) -> Decision {
    let mut records = Vec::new();
    let mut results = Vec::new();
    for (at, (topic, ..)) in request.topics.iter().enumerate() {
        if request.topics[..at].iter().any(|(earlier, ..)| earlier == topic) {
            continue;
        }
        let changes = request.topics.iter().filter(|(name, ..)| name == topic).map(|(_, key, value)| (key, value));
        let outcome = alter_topic(cluster, topic, changes).map(|altered| records.extend(altered));
        results.push(topic_result(topic, &outcome));
    }
    if !request.cluster.is_empty() {
        let outcome = alter_cluster(cluster, &request.cluster).map(|altered| records.extend(altered));
        results.push(topic_result(&"".into(), &outcome));
    }
    let brokers: BTreeSet<BrokerId> = request.brokers.iter().map(|(broker, ..)| *broker).collect();
    for broker in brokers {
        let changes = request.brokers.iter().filter(|(id, ..)| *id == broker).map(|(_, key, value)| (key, value));
        let outcome = alter_broker(cluster, broker, changes).map(|altered| records.extend(altered));
        results.push(topic_result(&broker.to_string().as_str().into(), &outcome));
    }
    Decision { records, response: Response::IncrementalAlterConfigs(IncrementalAlterConfigsResponse { results }) }
}

fn alter_topic<'a>(
    cluster: &Cluster,
    topic: &Name,
    changes: impl Iterator<Item = (&'a Name, &'a Option<Name>)>,
) -> Result<Vec<MetadataRecord>, ApiError> {
    let Some(id) = cluster.image.topic_ids.get(topic) else {
        let message = format!("The topic '{topic}' does not exist.");
        return Err(ApiError::new(ErrorCode::UnknownTopicOrPartition, message));
    };
    let resource = ConfigResource::Topic(*id);
    let present = cluster.image.configs.get(&resource);
    let mut records = Vec::new();
    let mut clear_elr = false;
    for (key, value) in changes {
        check_topic(key, value.as_ref())?;
        if present.and_then(|present| present.get(key)) != value.as_ref() {
            clear_elr |= &**key == MIN_ISR;
            records.push(MetadataRecord::Config { resource, key: key.clone(), value: value.clone() });
        }
    }
    if clear_elr && cluster.elr_enabled {
        records.push(MetadataRecord::ClearElr { topic: Some(*id) });
    }
    Ok(records)
}

fn alter_broker<'a>(
    cluster: &Cluster,
    broker: BrokerId,
    changes: impl Iterator<Item = (&'a Name, &'a Option<Name>)> + Clone,
) -> Result<Vec<MetadataRecord>, ApiError> {
    check_dynamic(changes.clone().map(|(key, _)| key))?;
    let resource = ConfigResource::Broker(broker);
    let mut records = Vec::new();
    for (key, value) in changes {
        if &**key == MIN_ISR && cluster.elr_enabled {
            let message = "Broker-level min.insync.replicas cannot be altered while ELR is enabled.";
            return Err(ApiError::new(ErrorCode::InvalidConfig, message));
        }
        check_cluster(key, value.as_ref())?;
        records.push(MetadataRecord::Config { resource, key: key.clone(), value: value.clone() });
    }
    Ok(records)
}

/// Most settings of a broker stand in its file, and need a restart (`DynamicBrokerConfig.validateConfigs`).
fn check_dynamic<'a>(keys: impl Iterator<Item = &'a Name>) -> Result<(), ApiError> {
    let is_fixed = |key: &&Name| {
        BrokerConfig::SETTINGS.iter().any(|setting| setting.name == &***key)
            && !DYNAMIC_BROKER_SETTINGS.contains(&&***key)
    };
    let fixed: Vec<&str> = keys.filter(is_fixed).map(|key| &**key).collect();
    if fixed.is_empty() {
        return Ok(());
    }
    let message = format!("Cannot update these configs dynamically: [{}]", fixed.join(", "));
    Err(ApiError::new(ErrorCode::InvalidRequest, message))
}

fn alter_cluster(cluster: &Cluster, changes: &[(Name, Option<Name>)]) -> Result<Vec<MetadataRecord>, ApiError> {
    check_dynamic(changes.iter().map(|(key, _)| key))?;
    let mut records = Vec::new();
    let mut clear_elr = false;
    for (key, value) in changes {
        let is_min_isr = &**key == MIN_ISR;
        if is_min_isr && value.is_none() && cluster.elr_enabled {
            let message = "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.";
            return Err(ApiError::new(ErrorCode::InvalidConfig, message));
        }
        check_cluster(key, value.as_ref())?;
        clear_elr |= is_min_isr;
        // Written even if it is what is there already (KAFKA-14136).
        records.push(MetadataRecord::Config {
            resource: ConfigResource::Cluster,
            key: key.clone(),
            value: value.clone(),
        });
    }
    if clear_elr && cluster.elr_enabled {
        records.push(MetadataRecord::ClearElr { topic: None });
    }
    Ok(records)
}

/// Whether the records may let leaderless partitions be led by any replica from now on.
pub fn allow_unclean_elections(records: &[MetadataRecord]) -> bool {
    let is_unclean =
        |record: &MetadataRecord| matches!(record, MetadataRecord::Config { key, .. } if &**key == UNCLEAN);
    records.iter().any(is_unclean)
}

/// Whether a topic may have this setting. `None` removes it.
pub fn check_topic(key: &Name, value: Option<&Name>) -> Result<(), ApiError> {
    let mut config = TopicConfig::default();
    let outcome = match value {
        Some(value) => config.set(key, value),
        None => known(config.get(key).is_some(), key),
    };
    outcome.map_err(|error| refusal(error, "topic"))
}

fn check_cluster(key: &Name, value: Option<&Name>) -> Result<(), ApiError> {
    let mut config = BrokerConfig::default();
    let outcome = match value {
        Some(value) => config.set(key, value),
        None => known(config.get(key).is_some(), key),
    };
    outcome.map_err(|error| match error {
        // What Kafka has and this model does not is no error of Kafka's making.
        SettingError::Unknown { name, .. } => {
            ApiError::new(ErrorCode::InvalidRequest, format!("Cannot update these configs dynamically: [{name}]"))
        }
        error => refusal(error, "broker"),
    })
}

fn known(is_known: bool, key: &Name) -> Result<(), SettingError> {
    if is_known { Ok(()) } else { Err(SettingError::Unknown { name: key.to_string(), nearest: None }) }
}

/// Kafka's sentence for a setting it refuses (`ConfigDef`).
fn refusal(error: SettingError, kind: &str) -> ApiError {
    let message = match error {
        SettingError::Unknown { name, .. } => format!("Unknown {kind} config name: {name}"),
        SettingError::Invalid { name, value, allowed } => {
            format!("Invalid value {value} for configuration {name}: {}", complaint(name, &value, allowed))
        }
        SettingError::Conflict(what) => what,
    };
    ApiError::new(ErrorCode::InvalidConfig, message)
}

fn complaint(name: &str, value: &str, allowed: &str) -> String {
    let choices = allowed.trim_matches(['[', ']']);
    if choices == "true, false" {
        return "Expected value to be either true or false".into();
    }
    if name.ends_with(".throttled.replicas") {
        return format!(
            "{name} must be the literal '*' or a list of replicas in the following format: \
             [partitionId]:[brokerId],[partitionId]:[brokerId],..."
        );
    }
    let Some((least, most)) = choices.split_once(",...") else {
        return format!("String must be one of: {choices}");
    };
    match value.trim().parse::<i64>() {
        Err(_) => {
            let long = name.ends_with(".ms") || name == "retention.bytes";
            format!("Not a number of type {}", if long { "LONG" } else { "INT" })
        }
        Ok(number) if least.parse::<i64>().is_ok_and(|least| number < least) => {
            format!("Value must be at least {least}")
        }
        Ok(_) => format!("Value must be no more than {}", most.trim_start_matches(',')),
    }
}
