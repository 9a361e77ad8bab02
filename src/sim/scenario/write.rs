//! A scenario as a file that reads back to the same scenario.

use toml::{Table, Value};

use super::{At, Roles, Scenario};
use crate::kafka::workload::{Keys, Values, Workload};
use crate::sim::spec::{BrokerSpec, ConsumerSpec, ProducerSpec, TopicSpec};
use crate::sim::units;

impl Scenario {
    /// The scenario as TOML. Comments of the file it was read from are not in it.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        section(&mut text, "", self.head());
        section(&mut text, "[cluster]", self.cluster());
        self.brokers_if_named().for_each(|broker| section(&mut text, "[[broker]]", broker_table(broker)));
        section(&mut text, "[network]", self.network_table());
        self.topics.iter().for_each(|topic| section(&mut text, "[[topic]]", topic_table(topic)));
        self.producers.iter().for_each(|producer| section(&mut text, "[[producer]]", producer_table(producer)));
        self.consumers.iter().for_each(|consumer| section(&mut text, "[[consumer]]", consumer_table(consumer)));
        for step in &self.steps {
            let mut table = vec![("at", units::show_instant(step.at).into())];
            table.extend(step.run.iter().map(|run| ("run", run.to_string().into())));
            table.extend(step.caption.iter().map(|caption| ("caption", caption.clone().into())));
            section(&mut text, "[[step]]", table);
        }
        for expect in &self.expects {
            let at = match expect.at {
                At::End => "end".into(),
                At::Time(at) => units::show_instant(at),
            };
            section(&mut text, "[[expect]]", vec![("at", at.into()), ("that", expect.that.to_string().into())]);
        }
        text
    }

    fn head(&self) -> Fields {
        vec![
            ("format", 1.into()),
            ("title", self.title.clone().into()),
            ("summary", self.summary.clone().into()),
            ("seed", whole(self.seed)),
            ("duration", self.duration.to_string().into()),
        ]
    }

    fn cluster(&self) -> Fields {
        let mut table = vec![("mode", self.mode.name().into())];
        if self.brokers_if_named().next().is_none() {
            table.push(("brokers", whole(self.brokers.len() as u64)));
        }
        table.extend(self.truncation.compat().map(|compat| ("compat", compat.into())));
        table.push(("controllers", whole(u64::from(self.controllers))));
        if self.roles == Roles::Combined {
            table.push(("roles", self.roles.name().into()));
        }
        table.extend(config(&self.cluster_config));
        table
    }

    /// The brokers, unless a number says it all: no racks, and ids from 1 on.
    fn brokers_if_named(&self) -> impl Iterator<Item = &BrokerSpec> {
        let plain = self.brokers.iter().zip(1..).all(|(broker, id)| broker.id.0 == id && broker.rack.is_none());
        self.brokers.iter().filter(move |_| !plain)
    }

    fn network_table(&self) -> Fields {
        vec![
            ("latency", self.network.latency.to_string().into()),
            ("jitter", self.network.jitter.to_string().into()),
            ("bandwidth", units::show_bandwidth(self.network.bandwidth_bits_per_second).into()),
        ]
    }
}

type Fields = Vec<(&'static str, Value)>;

/// Keys in the order of the documentation, each on its line.
fn section(text: &mut String, heading: &str, fields: Fields) {
    if !heading.is_empty() {
        text.push_str(&format!("\n{heading}\n"));
    }
    for (key, value) in fields {
        text.push_str(&format!("{key} = {value}\n"));
    }
}

fn whole(number: u64) -> Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

fn config(settings: &[(String, String)]) -> Option<(&'static str, Value)> {
    let table: Table = settings.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
    (!table.is_empty()).then_some(("config", table.into()))
}

fn broker_table(broker: &BrokerSpec) -> Fields {
    let mut table = vec![("id", broker.id.0.into())];
    table.extend(broker.rack.iter().map(|rack| ("rack", rack.clone().into())));
    table
}

fn topic_table(topic: &TopicSpec) -> Fields {
    let mut table = vec![
        ("name", topic.name.clone().into()),
        ("partitions", topic.partitions.into()),
        ("replication-factor", topic.replication_factor.into()),
    ];
    if !topic.assignment.is_empty() {
        let ids = |replicas: &Vec<_>| -> Value {
            replicas.iter().map(|id: &crate::kafka::ids::BrokerId| Value::from(id.0)).collect::<Vec<_>>().into()
        };
        let entries = topic.assignment.iter().map(|(partition, replicas)| (partition.to_string(), ids(replicas)));
        table.push(("assignment", entries.collect::<Table>().into()));
    }
    table.extend(config(&topic.config));
    table
}

fn producer_table(producer: &ProducerSpec) -> Fields {
    let workload: &Workload = &producer.workload;
    let mut table = vec![("name", producer.name.clone().into()), ("topic", workload.topic.to_string().into())];
    table.push(("rate", rate(workload.rate)));
    table.extend(workload.count.map(|count| ("count", whole(count))));
    match &workload.keys {
        Keys::None => {}
        Keys::Template(template) => table.push(("key", template.to_string().into())),
        Keys::InTurn(keys) => table.push(("keys", keys.clone().into())),
    }
    match &workload.values {
        Values::Template(template) => table.push(("value", template.to_string().into())),
        Values::Size(size) => table.push(("size", whole(u64::from(*size)))),
    }
    table.push(("start", units::show_instant(producer.start).into()));
    table.extend(config(&producer.overrides));
    table
}

/// A rate with a fraction is written as text in quotes: a number of TOML with a fraction would pass through a float.
fn rate(rate: u64) -> Value {
    if rate.is_multiple_of(1000) { whole(rate / 1000) } else { units::show_rate(rate).into() }
}

fn consumer_table(consumer: &ConsumerSpec) -> Fields {
    let mut table = vec![("name", consumer.name.clone().into())];
    table.extend(consumer.group.iter().map(|group| ("group", group.clone().into())));
    match consumer.reading() {
        (key @ "topics-pattern", pattern) => table.push((key, pattern.into())),
        (key, list) => table.push((key, list.split(',').collect::<Vec<_>>().into())),
    }
    table.push(("work", consumer.work.to_string().into()));
    table.extend(consumer.conduct_given().into_iter().map(|(key, value)| (key, value.into())));
    table.push(("start", units::show_instant(consumer.start).into()));
    table.extend(config(&consumer.overrides));
    table
}
