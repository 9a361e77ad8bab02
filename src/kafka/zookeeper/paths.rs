//! Where Kafka keeps what (`kafka.zk.ZkData`).

use crate::kafka::ids::{BrokerId, Name};

/// Created first by the broker that is the controller; ephemeral.
pub const CONTROLLER: &str = "/controller";
/// Counts the controllers. Every write of a controller is conditional on the version of this znode.
pub const CONTROLLER_EPOCH: &str = "/controller_epoch";
/// Its children are the brokers that live.
pub const BROKER_IDS: &str = "/brokers/ids";
/// Its children are the topics.
pub const TOPICS: &str = "/brokers/topics";
/// Its children are the topics that somebody wants deleted.
pub const DELETE_TOPICS: &str = "/admin/delete_topics";
/// Its children are the topics that have settings of their own.
pub const TOPIC_CONFIGS: &str = "/config/topics";
/// The settings of all brokers.
pub const DEFAULT_BROKER_CONFIG: &str = "/config/brokers/<default>";
/// Its children tell which settings have changed.
pub const CONFIG_CHANGES: &str = "/config/changes";

/// The producer ids that were given away last.
pub const PRODUCER_IDS: &str = "/latest_producer_id_block";

/// A broker's sign of life; ephemeral.
pub fn broker(id: BrokerId) -> Name {
    format!("{BROKER_IDS}/{id}").into()
}

/// A topic's assignment.
pub fn topic(name: &str) -> Name {
    format!("{TOPICS}/{name}").into()
}

/// Leader and ISR of a partition.
pub fn state(topic: &str, partition: u32) -> Name {
    format!("{TOPICS}/{topic}/partitions/{partition}/state").into()
}

pub fn delete_topic(name: &str) -> Name {
    format!("{DELETE_TOPICS}/{name}").into()
}

pub fn topic_config(name: &str) -> Name {
    format!("{TOPIC_CONFIGS}/{name}").into()
}

/// What a sequential znode's number is put behind.
pub fn config_change() -> Name {
    format!("{CONFIG_CHANGES}/config_change_").into()
}
