//! The report as tables that a person can read.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};

use crate::sim::report::Report;
use crate::time::{Duration, Instant};

/// Everything worth knowing at the end of a run. Kafka's own topics are left out.
pub fn report(report: &Report) -> String {
    let mut text = String::new();
    let now = Instant::ZERO + Duration::micros(report.now_us);
    let _ = writeln!(text, "{}\nafter {now}, seed {}\n", report.scenario, report.seed);
    let brokers: Vec<String> =
        report.cluster.brokers.iter().map(|broker| format!("broker-{} {}", broker.id, broker.state.name())).collect();
    let controller = report.cluster.controller.map_or("no controller".into(), |id| format!("controller-{id} active"));
    let _ = writeln!(text, "{controller}, {}\n", brokers.join(", "));
    for section in [partitions(report), groups(report), producers(report), consumers(report), ledger(report)] {
        text.push_str(&section);
    }
    text.push_str(&verdict(report));
    text
}

/// A table under a line of headings, or nothing where it has no rows. Columns of `numbers` stand at the right.
pub fn table(headings: &[&str], numbers: &[u32], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(headings.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for (column, number) in table.column_iter_mut().zip(0..) {
        column.set_padding((0, 2));
        if numbers.contains(&number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    format!("{}\n\n", lines.join("\n"))
}

fn list(ids: &[i32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn partitions(report: &Report) -> String {
    let mut rows = Vec::new();
    for (topic, partitions) in report.topics.iter().filter(|(topic, _)| !topic.starts_with("__")) {
        for (partition, state) in &partitions.partitions {
            let ends: Vec<String> =
                state.log_end_offset.iter().map(|(broker, end)| format!("{broker}:{end}")).collect();
            rows.push(vec![
                format!("{topic}-{partition}"),
                state.leader.map_or("none".into(), |leader| leader.to_string()),
                state.leader_epoch.to_string(),
                list(&state.replicas),
                list(&state.isr),
                state.high_watermark.to_string(),
                ends.join(" "),
            ]);
        }
    }
    table(&["PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "HIGH WATERMARK", "LOG ENDS"], &[1, 2, 5], rows)
}

fn groups(report: &Report) -> String {
    let mut rows = Vec::new();
    for (name, group) in &report.groups {
        let ledger = report.ledger.groups.get(name).cloned().unwrap_or_default();
        rows.push(vec![
            name.clone(),
            group.state.clone(),
            group.generation.to_string(),
            group.members.len().to_string(),
            group.lag.to_string(),
            ledger.processed.to_string(),
            ledger.redelivered.to_string(),
            ledger.missed.to_string(),
            ledger.out_of_order.to_string(),
        ]);
    }
    let headings =
        ["GROUP", "STATE", "GENERATION", "MEMBERS", "LAG", "PROCESSED", "REDELIVERED", "MISSED", "OUT OF ORDER"];
    table(&headings, &[2, 3, 4, 5, 6, 7, 8], rows)
}

fn producers(report: &Report) -> String {
    let row = |(name, producer): (&String, &crate::sim::report::ProducerReport)| {
        let numbers = [producer.sent, producer.acked, producer.failed, producer.pending, producer.retries];
        std::iter::once(name.clone()).chain(numbers.iter().map(ToString::to_string)).collect()
    };
    let rows = report.producers.iter().map(row).collect();
    table(&["PRODUCER", "SENT", "ACKED", "FAILED", "PENDING", "RETRIES"], &[1, 2, 3, 4, 5], rows)
}

fn consumers(report: &Report) -> String {
    let of = |name: &String| -> String {
        let members = report.groups.values().filter_map(|group| group.members.get(name));
        members.flatten().cloned().collect::<Vec<_>>().join(" ")
    };
    let row = |(name, consumer): (&String, &crate::sim::report::ConsumerReport)| {
        vec![name.clone(), consumer.polled.to_string(), consumer.processed.to_string(), of(name)]
    };
    let rows = report.consumers.iter().map(row).collect();
    table(&["CONSUMER", "POLLED", "PROCESSED", "PARTITIONS"], &[1, 2], rows)
}

fn ledger(report: &Report) -> String {
    let ledger = &report.ledger;
    let numbers = [ledger.sent, ledger.acked, ledger.failed, ledger.pending, ledger.lost, ledger.duplicated];
    let row = std::iter::once("records".to_owned()).chain(numbers.iter().map(ToString::to_string)).collect();
    table(&["LEDGER", "SENT", "ACKED", "FAILED", "PENDING", "LOST", "DUPLICATED"], &[1, 2, 3, 4, 5, 6], vec![row])
}

fn verdict(report: &Report) -> String {
    let row = |expectation: &crate::sim::report::ExpectationReport| {
        let found = if expectation.holds { String::new() } else { format!("found {}", expectation.found) };
        let holds = if expectation.holds { "holds" } else { "FAILS" };
        vec![holds.to_owned(), expectation.at.clone(), expectation.that.clone(), found]
    };
    let mut text = table(&["EXPECTED", "AT", "THAT", ""], &[], report.expectations.iter().map(row).collect());
    for violation in &report.violations {
        let at = Instant::ZERO + Duration::micros(violation.at_us);
        let _ = writeln!(text, "VIOLATION {} at {at}, fact {}: {}", violation.name, violation.fact, violation.what);
    }
    let _ = writeln!(text, "trace hash {}", report.trace_hash);
    text
}
