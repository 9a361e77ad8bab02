//! Scenario files: what a run begins with, what happens in it, and what must come out.

mod check;
mod fields;
mod read;
mod write;

pub use fields::ScenarioError;

use super::command::Command;
use super::report::Expectation;
pub use super::spec::{BrokerSpec, ConsumerSpec, NetworkSpec, ProducerSpec, Settings, TopicSpec};
use crate::kafka::compat::TruncationRule;
use crate::time::{Duration, Instant};

/// A scenario that can be run as it stands: every name in it exists, and Kafka takes every setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    pub title: String,
    pub summary: String,
    pub seed: u64,
    /// Where a headless run ends.
    pub duration: Duration,
    pub mode: Mode,
    pub brokers: Vec<BrokerSpec>,
    /// `compat`: how followers find out what to cut off their logs.
    pub truncation: TruncationRule,
    /// How many voters the metadata quorum has, or servers the ZooKeeper ensemble.
    pub controllers: u32,
    /// Whether brokers and voters are processes of their own.
    pub roles: Roles,
    /// Settings of every broker; valid for a [`crate::kafka::config::BrokerConfig`].
    pub cluster_config: Settings,
    pub network: NetworkSpec,
    pub topics: Vec<TopicSpec>,
    pub producers: Vec<ProducerSpec>,
    pub consumers: Vec<ConsumerSpec>,
    /// In the order of their times; equal times keep the file's order.
    pub steps: Vec<Step>,
    pub expects: Vec<Expect>,
}

/// Who keeps the cluster's metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// A quorum of controllers (KIP-500).
    #[default]
    Kraft,
    /// A ZooKeeper ensemble, and one of the brokers as controller: Kafka up to 3.9.
    ZooKeeper,
}

impl Mode {
    /// As scenario files and the report write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kraft => "kraft",
            Self::ZooKeeper => "zookeeper",
        }
    }
}

/// `process.roles` of the cluster's processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Roles {
    /// Each is a broker or a voter.
    #[default]
    Separate,
    /// The first broker and the first voter are one process, and so on.
    Combined,
}

impl Roles {
    /// As scenario files write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Separate => "separate",
            Self::Combined => "combined",
        }
    }
}

/// Something that happens or is said at a moment. At least one of the two is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub at: Instant,
    pub run: Option<Command>,
    pub caption: Option<String>,
}

/// What the report must say at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    pub at: At,
    pub that: Expectation,
}

/// When an expectation is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    Time(Instant),
    /// Where the run ends.
    End,
}

impl Scenario {
    /// Reads a scenario file. What is wrong turns the whole file away.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        read::scenario(text)
    }
}

#[cfg(test)]
mod tests;
