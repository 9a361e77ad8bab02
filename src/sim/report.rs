//! The report: what scripts, pages and expectations read about a run. Names and order of the fields are a promise.

pub mod expectation;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

pub use expectation::Expectation;

use super::scenario::{At, Expect};
use crate::time::Instant;

/// What one can say about a run at a moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// [`Report::FORMAT`].
    pub format: u32,
    /// The scenario's title.
    pub scenario: String,
    pub seed: u64,
    pub now_us: u64,
    /// 16 hex digits over every fact so far: the same scenario, seed and commands give the same, everywhere.
    pub trace_hash: String,
    /// Broken promises of the model itself; always empty, or we have a bug.
    pub violations: Vec<ViolationReport>,
    pub cluster: ClusterReport,
    pub topics: BTreeMap<String, TopicReport>,
    pub groups: BTreeMap<String, GroupReport>,
    /// By node name, as `producer-go`.
    pub producers: BTreeMap<String, ProducerReport>,
    /// By node name, as `consumer-c1`.
    pub consumers: BTreeMap<String, ConsumerReport>,
    pub ledger: LedgerReport,
    pub expectations: Vec<ExpectationReport>,
}

impl Report {
    /// The version of these promises.
    pub const FORMAT: u32 = 1;

    /// Whether a run that ends so ended well: every expectation holds and nothing was violated.
    pub fn is_good(&self) -> bool {
        self.violations.is_empty() && self.expectations.iter().all(|expectation| expectation.holds)
    }
}

/// A broken promise of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ViolationReport {
    pub name: String,
    pub at_us: u64,
    /// What was promised and what was found.
    pub what: String,
    /// The fact that broke it, by its id in the trace.
    pub fact: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClusterReport {
    /// `kraft` or `zookeeper`.
    pub mode: String,
    /// The active controller.
    pub controller: Option<i32>,
    pub controller_epoch: i32,
    /// In the order of their ids.
    pub brokers: Vec<BrokerReport>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BrokerReport {
    pub id: i32,
    pub state: BrokerState,
}

/// How a broker fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BrokerState {
    Running,
    Starting,
    /// It runs, but the controller has fenced it.
    Fenced,
    Paused,
    Stopping,
    Down,
}

impl BrokerState {
    /// As in the JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Fenced => "fenced",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Down => "down",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TopicReport {
    pub partitions: BTreeMap<u32, PartitionReport>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    pub leader: Option<i32>,
    pub leader_epoch: i32,
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
    pub log_start_offset: i64,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    /// By broker.
    pub log_end_offset: BTreeMap<i32, i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupReport {
    /// `classic`, or `share`.
    #[serde(rename = "type")]
    pub kind: String,
    pub state: String,
    /// Of a share group: the group epoch.
    pub generation: i32,
    /// The assignor's name.
    pub protocol: Option<String>,
    /// Over all partitions with a committed offset.
    pub lag: i64,
    /// Each member's partitions, as `orders-0`.
    pub members: BTreeMap<String, Vec<String>>,
    /// By partition. Of a share group: the start offset, and how many records from there on need delivery.
    pub offsets: BTreeMap<String, OffsetReport>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OffsetReport {
    pub committed: Option<i64>,
    pub log_end: i64,
    pub lag: Option<i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProducerReport {
    /// Records the application handed to send().
    pub sent: u64,
    /// What send() reported as stored.
    pub acked: u64,
    /// What send() reported as failed.
    pub failed: u64,
    pub pending: u64,
    /// Batches that went out again.
    pub retries: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConsumerReport {
    pub polled: u64,
    pub processed: u64,
}

/// The books over all producers and groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LedgerReport {
    pub sent: u64,
    pub acked: u64,
    pub failed: u64,
    pub pending: u64,
    /// Acked records that are on no log the partition can still serve.
    pub lost: u64,
    /// Surplus copies of one application record on the leaders' logs.
    pub duplicated: u64,
    /// Offsets at which a leader's log and another of its ISR hold different records. Only rules of old let it come to
    /// that (`compat`).
    pub diverged: u64,
    pub groups: BTreeMap<String, GroupLedgerReport>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GroupLedgerReport {
    /// Every time an application worked on a record.
    pub processed: u64,
    /// Each record once.
    pub distinct: u64,
    /// The difference of the two.
    pub redelivered: u64,
    /// Records in the log that the committed offset has passed and nobody processed.
    pub missed: u64,
    /// First deliveries that came after a later record of the same key.
    pub out_of_order: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExpectationReport {
    /// `end`, or a time as scenario files write it.
    pub at: String,
    pub that: String,
    pub holds: bool,
    pub found: Value,
}

impl ExpectationReport {
    /// What a report, as JSON, says about an expectation.
    pub fn of(expect: &Expect, report: &Value) -> Self {
        let (holds, found) = expect.that.evaluate(report);
        let at = match expect.at {
            At::End => "end".into(),
            At::Time(at) => at.since(Instant::ZERO).to_string(),
        };
        Self { at, that: expect.that.to_string(), holds, found }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_fields_have_the_promised_names_in_the_promised_order() {
        let partition = PartitionReport {
            leader: Some(1),
            leader_epoch: 0,
            replicas: vec![1, 2, 3],
            isr: vec![1, 2, 3],
            log_start_offset: 0,
            high_watermark: 10,
            last_stable_offset: 10,
            log_end_offset: BTreeMap::from([(1, 10), (2, 10), (10, 10)]),
        };
        let group = GroupReport {
            kind: "classic".into(),
            state: "Stable".into(),
            generation: 1,
            protocol: Some("range".into()),
            lag: 0,
            members: BTreeMap::from([("consumer-c1".into(), vec!["orders-0".into()])]),
            offsets: BTreeMap::from([(
                "orders-0".into(),
                OffsetReport { committed: Some(10), log_end: 10, lag: Some(0) },
            )]),
        };
        let report = Report {
            format: Report::FORMAT,
            scenario: "…".into(),
            seed: 7,
            now_us: 30_000_000,
            trace_hash: "0123456789abcdef".into(),
            violations: vec![],
            cluster: ClusterReport {
                mode: "kraft".into(),
                controller: Some(101),
                controller_epoch: 1,
                brokers: vec![BrokerReport { id: 1, state: BrokerState::Running }],
            },
            topics: BTreeMap::from([("orders".into(), TopicReport { partitions: BTreeMap::from([(0, partition)]) })]),
            groups: BTreeMap::from([("g".into(), group)]),
            producers: BTreeMap::from([(
                "producer-go".into(),
                ProducerReport { sent: 10, acked: 10, ..Default::default() },
            )]),
            consumers: BTreeMap::from([("consumer-c1".into(), ConsumerReport { polled: 10, processed: 10 })]),
            ledger: LedgerReport {
                sent: 10,
                acked: 10,
                groups: BTreeMap::from([(
                    "g".into(),
                    GroupLedgerReport { processed: 10, distinct: 10, ..Default::default() },
                )]),
                ..Default::default()
            },
            expectations: vec![ExpectationReport {
                at: "end".into(),
                that: "ledger.lost == 0".into(),
                holds: true,
                found: json!(0),
            }],
        };
        let expected = concat!(
            r#"{"format":1,"scenario":"…","seed":7,"now_us":30000000,"trace_hash":"0123456789abcdef","violations":[],"#,
            r#""cluster":{"mode":"kraft","controller":101,"controller_epoch":1,"#,
            r#""brokers":[{"id":1,"state":"running"}]},"#,
            r#""topics":{"orders":{"partitions":{"0":{"leader":1,"leader_epoch":0,"replicas":[1,2,3],"isr":[1,2,3],"#,
            r#""log_start_offset":0,"high_watermark":10,"last_stable_offset":10,"#,
            r#""log_end_offset":{"1":10,"2":10,"10":10}}}}},"#,
            r#""groups":{"g":{"type":"classic","state":"Stable","generation":1,"protocol":"range","lag":0,"#,
            r#""members":{"consumer-c1":["orders-0"]},"#,
            r#""offsets":{"orders-0":{"committed":10,"log_end":10,"lag":0}}}},"#,
            r#""producers":{"producer-go":{"sent":10,"acked":10,"failed":0,"pending":0,"retries":0}},"#,
            r#""consumers":{"consumer-c1":{"polled":10,"processed":10}},"#,
            r#""ledger":{"sent":10,"acked":10,"failed":0,"pending":0,"lost":0,"duplicated":0,"diverged":0,"#,
            r#""groups":{"g":{"processed":10,"distinct":10,"redelivered":0,"missed":0,"out_of_order":0}}},"#,
            r#""expectations":[{"at":"end","that":"ledger.lost == 0","holds":true,"found":0}]}"#,
        );
        assert_eq!(serde_json::to_string(&report).expect("plain data"), expected);
    }
}
