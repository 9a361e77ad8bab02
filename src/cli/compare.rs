//! `brokerscope run --compare`: the same run under eager, cooperative and the consumer protocol, and what each rebalance
//! cost.

use serde::Serialize;

use super::table::table;
use crate::sim::command::Command;
use crate::sim::compare::{Protocol, Variant};
use crate::sim::rebalances::{GroupTrack, Rebalance};
use crate::sim::scenario::Scenario;
use crate::time::{Duration, Instant};

/// Everything that is compared.
#[derive(Debug, Serialize)]
pub struct Comparison {
    format: u32,
    scenario: String,
    seed: u64,
    protocols: Vec<ProtocolReport>,
}

/// One protocol's run.
#[derive(Debug, Serialize)]
struct ProtocolReport {
    protocol: &'static str,
    /// The consumers' settings that make it so.
    config: std::collections::BTreeMap<&'static str, &'static str>,
    trace_hash: String,
    violations: u64,
    groups: std::collections::BTreeMap<String, GroupReport>,
}

/// One group in one run.
#[derive(Debug, Serialize)]
struct GroupReport {
    rebalances: Vec<Row>,
    /// Sums over all of them. Unread is what the whole run left unread, outside rebalances too.
    total: Row,
}

/// What a rebalance cost.
#[derive(Clone, Debug, Default, Serialize)]
struct Row {
    number: u32,
    began_us: u64,
    ended_us: u64,
    duration_us: u64,
    generation: i32,
    unread_us: u64,
    moved: u32,
    redelivered: u64,
    messages: u64,
    bytes: u64,
}

impl Comparison {
    /// Runs a scenario under every protocol, with the same commands, to its end.
    pub fn of(scenario: &Scenario, commands: &[(Instant, Command)]) -> Result<Self, String> {
        let end = Instant::ZERO + scenario.duration;
        let mut protocols = Vec::new();
        for protocol in Protocol::ALL {
            let mut variant = Variant::new(scenario, protocol, commands, end)
                .map_err(|why| format!("--compare: {}: {why}", protocol.name()))?;
            variant.run(|| true);
            if let Some(refused) = variant.refused().first() {
                return Err(format!("--at: {refused}"));
            }
            protocols.push(ProtocolReport::of(&variant));
        }
        Ok(Self { format: 1, scenario: scenario.title.clone(), seed: scenario.seed, protocols })
    }

    /// Whether no run broke a promise of the model.
    pub fn is_good(&self) -> bool {
        self.protocols.iter().all(|protocol| protocol.violations == 0)
    }

    /// A table for people: a line for each protocol, group and rebalance, and one for their sum.
    pub fn to_table(&self) -> String {
        let mut rows = Vec::new();
        for protocol in &self.protocols {
            for (name, group) in &protocol.groups {
                let cells = |first: String, row: &Row| {
                    let seconds = |micros: u64| format!("{}.{:03}", micros / 1_000_000, micros / 1000 % 1000);
                    let began = if row.number > 0 { seconds(row.began_us) } else { String::new() };
                    let mut cells = vec![protocol.protocol.to_owned(), name.clone(), first, began];
                    cells.push(seconds(row.duration_us));
                    cells.push(seconds(row.unread_us));
                    cells.extend([u64::from(row.moved), row.redelivered, row.messages, row.bytes].map(|n| n.to_string()));
                    cells
                };
                rows.extend(group.rebalances.iter().map(|row| cells(row.number.to_string(), row)));
                rows.push(cells("all".to_owned(), &group.total));
            }
        }
        let headings = [
            "PROTOCOL", "GROUP", "REBALANCE", "BEGAN S", "TOOK S", "UNREAD S", "MOVED", "REDELIVERED", "MESSAGES", "BYTES",
        ];
        let table = table(&headings, &[2, 3, 4, 5, 6, 7, 8, 9], rows);
        format!("{}\nseed {}\n\n{table}", self.scenario, self.seed)
    }
}

impl ProtocolReport {
    fn of(variant: &Variant) -> Self {
        let groups = variant.rebalances().groups();
        let groups = groups.filter(|(_, track)| track.members().next().is_some());
        Self {
            protocol: variant.protocol.name(),
            config: variant.protocol.settings().iter().copied().collect(),
            trace_hash: format!("{:016x}", variant.world().trace_hash()),
            violations: variant.world().report().violations.len() as u64,
            groups: groups.map(|(name, track)| (name.to_string(), GroupReport::of(variant, track))).collect(),
        }
    }
}

impl GroupReport {
    fn of(variant: &Variant, track: &GroupTrack) -> Self {
        let row = |rebalance: &Rebalance| {
            let traffic = track.traffic(rebalance, variant.letters());
            Row {
                number: rebalance.number,
                began_us: rebalance.began.as_micros(),
                ended_us: rebalance.ended.as_micros(),
                duration_us: rebalance.duration().as_micros(),
                generation: rebalance.generation.0,
                unread_us: rebalance.score.unread.as_micros(),
                moved: rebalance.score.moved,
                redelivered: rebalance.score.redelivered,
                messages: traffic.messages,
                bytes: traffic.bytes,
            }
        };
        let rebalances: Vec<Row> = track.rebalances().map(row).collect();
        let now = variant.world().now();
        let open = track.unread_now().fold(Duration::ZERO, |sum, (_, since)| sum + now.since(since));
        let mut total = Row { unread_us: (track.unread() + open).as_micros(), ..Row::default() };
        for row in &rebalances {
            total.ended_us = row.ended_us;
            total.duration_us += row.duration_us;
            total.generation = row.generation;
            total.moved += row.moved;
            total.redelivered += row.redelivered;
            total.messages += row.messages;
            total.bytes += row.bytes;
        }
        Self { rebalances, total }
    }
}
