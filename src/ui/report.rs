//! The same cluster as tables: the picture's equal for a screen reader.

use leptos::prelude::*;

use crate::sim::report::Report;

/// Brokers, partitions, groups, clients and the books.
#[component]
pub fn ReportTables(#[prop(into)] report: Signal<Option<Report>>) -> impl IntoView {
    view! {
        <div class="tables" data-testid="report">
            {move || report.get().map(|report| view! {
                <h2>{report.scenario.clone()}</h2>
                <p class="sub">{format!("{:.3} s · seed {} · trace {}", report.now_us as f64 / 1e6, report.seed, report.trace_hash)}</p>
                {ledger(&report)}
                {table("Brokers", &["Broker", "State"], report.cluster.brokers.iter().map(|broker| {
                    vec![format!("broker-{}", broker.id), broker.state.name().to_owned()]
                }).collect())}
                {partitions(&report)}
                {groups(&report)}
                {table("Producers", &["Producer", "Sent", "Acked", "Failed", "Pending", "Retries"], report.producers.iter().map(|(name, producer)| {
                    vec![name.clone(), producer.sent.to_string(), producer.acked.to_string(), producer.failed.to_string(), producer.pending.to_string(), producer.retries.to_string()]
                }).collect())}
                {table("Consumers", &["Consumer", "Polled", "Processed"], report.consumers.iter().map(|(name, consumer)| {
                    vec![name.clone(), consumer.polled.to_string(), consumer.processed.to_string()]
                }).collect())}
                {expectations(&report)}
            })}
        </div>
    }
}

fn ledger(report: &Report) -> impl IntoView + use<> {
    let ledger = &report.ledger;
    let mut rows = vec![
        vec!["Sent".to_owned(), ledger.sent.to_string()],
        vec!["Acked".to_owned(), ledger.acked.to_string()],
        vec!["Failed".to_owned(), ledger.failed.to_string()],
        vec!["Pending".to_owned(), ledger.pending.to_string()],
        vec!["Lost".to_owned(), ledger.lost.to_string()],
        vec!["Duplicated".to_owned(), ledger.duplicated.to_string()],
    ];
    if ledger.diverged > 0 {
        rows.push(vec!["Diverged".to_owned(), ledger.diverged.to_string()]);
    }
    for (name, group) in &ledger.groups {
        rows.push(vec![format!("{name}: processed, distinct"), format!("{}, {}", group.processed, group.distinct)]);
        let trouble = format!("{}, {}, {}", group.redelivered, group.missed, group.out_of_order);
        rows.push(vec![format!("{name}: redelivered, missed, out of order"), trouble]);
    }
    for violation in &report.violations {
        rows.push(vec![format!("Broken promise: {}", violation.name), violation.what.clone()]);
    }
    table("The books", &["Records", "Count"], rows)
}

fn partitions(report: &Report) -> impl IntoView + use<> {
    let ids = |ids: &[i32]| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
    let rows = report
        .topics
        .iter()
        .filter(|(topic, _)| !topic.starts_with("__"))
        .flat_map(|(topic, state)| state.partitions.iter().map(move |(number, partition)| (topic, number, partition)))
        .map(|(topic, number, partition)| {
            let ends: Vec<String> =
                partition.log_end_offset.iter().map(|(broker, end)| format!("{broker}: {end}")).collect();
            vec![
                format!("{topic}-{number}"),
                partition.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string()),
                ids(&partition.isr),
                partition.high_watermark.to_string(),
                ends.join(", "),
            ]
        })
        .collect();
    table("Partitions", &["Partition", "Leader", "ISR", "High watermark", "Log end"], rows)
}

fn groups(report: &Report) -> Vec<AnyView> {
    let mut views = Vec::new();
    for (name, group) in &report.groups {
        let rows =
            group.members.iter().map(|(member, partitions)| vec![member.clone(), partitions.join(", ")]).collect();
        let title = format!("{name}: {}, generation {}, lag {}", group.state, group.generation, group.lag);
        views.push(table(&title, &["Member", "Partitions"], rows).into_any());
        let offset = |offset: Option<i64>| offset.map_or_else(|| "–".to_owned(), |offset| offset.to_string());
        let rows = group
            .offsets
            .iter()
            .map(|(partition, offsets)| {
                vec![partition.clone(), offset(offsets.committed), offsets.log_end.to_string(), offset(offsets.lag)]
            })
            .collect();
        views.push(table(&format!("{name}: offsets"), &["Partition", "Committed", "Log end", "Lag"], rows).into_any());
    }
    views
}

fn expectations(report: &Report) -> impl IntoView + use<> {
    let rows = report
        .expectations
        .iter()
        .map(|expectation| {
            vec![
                expectation.that.clone(),
                if expectation.holds { "holds".to_owned() } else { format!("fails: {}", expectation.found) },
            ]
        })
        .collect();
    table("Expectations", &["What", "Outcome"], rows)
}

fn table(title: &str, head: &[&'static str], rows: Vec<Vec<String>>) -> AnyView {
    if rows.is_empty() {
        return ().into_any();
    }
    let head: Vec<_> = head.iter().map(|name| view! { <th scope="col">{*name}</th> }).collect();
    let rows: Vec<_> = rows
        .into_iter()
        .map(|row| view! { <tr>{row.into_iter().map(|cell| view! { <td>{cell}</td> }).collect_view()}</tr> })
        .collect();
    view! {
        <h3>{title.to_owned()}</h3>
        <div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>
    }
    .into_any()
}
