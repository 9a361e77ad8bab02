//! What may come next in a command line, for the page's command bar and the shell.

use super::parse::{SEND, VERBS};
use crate::kafka::config::{BrokerConfig, ConsumerConfig, ProducerConfig, Setting, TopicConfig};
use crate::kafka::tool::command::{TOOLS, option_names};
use crate::sim::spec::{CONDUCT, READING, TYPE};

/// The names that commands can use now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// As `broker-1`, `producer-shop`.
    pub nodes: Vec<String>,
    pub topics: Vec<String>,
    pub groups: Vec<String>,
}

/// Every line that `line` can become by finishing its last word, in order; never more than 50.
pub fn complete(line: &str, known: &Known) -> Vec<String> {
    let (head, word) = line.rfind(' ').map_or(("", line), |space| line.split_at(space + 1));
    let words: Vec<&str> = head.split_whitespace().collect();
    let mut found: Vec<String> =
        candidates(&words, known).into_iter().filter(|candidate| candidate.starts_with(word)).collect();
    found.sort_unstable();
    found.dedup();
    found.truncate(50);
    found.into_iter().map(|candidate| format!("{head}{candidate}")).collect()
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn candidates(words: &[&str], known: &Known) -> Vec<String> {
    let Some((verb, rest)) = words.split_first() else {
        return owned(&VERBS).into_iter().chain([SEND.to_owned()]).chain(owned(TOOLS)).collect();
    };
    let nodes = || known.nodes.clone();
    match (*verb, rest) {
        ("kill", [_]) => owned(&["power"]),
        ("kill" | "stop" | "start" | "pause" | "resume" | "slow" | "wipe" | "disk" | "remove", []) => nodes(),
        ("disk", [_]) => owned(&["full", "ok", "ssd", "hdd", "cache="]),
        ("disk", [_, _]) => owned(&["cache="]),
        ("seek", []) => consumers(known),
        ("seek", [_, partition]) if !partition.is_empty() => owned(&["to"]),
        ("seek", [_, _, _]) => owned(&["beginning", "end"]),
        ("seek", [_]) => partitions(known),
        ("pause", [node]) if node.starts_with("consumer-") => {
            owned(&["for"]).into_iter().chain(partitions(known)).collect()
        }
        ("resume", [node, ..]) if node.starts_with("consumer-") => partitions(known),
        ("pause" | "slow", [_, ..]) => owned(&["for"]),
        ("cut", _) => nodes().into_iter().chain(owned(&["|", "->", "for"])).collect(),
        ("link", [_, _, ..]) => owned(&["latency=", "loss=", "duplicate=", "bandwidth="]),
        ("link" | "heal", [] | [_]) => nodes(),
        ("add", []) => owned(&["broker", "topic", "producer", "consumer"]),
        ("add", [kind, _, ..]) => added(kind, known),
        ("set", []) => {
            let topics = known.topics.iter().map(|topic| format!("topic:{topic}"));
            nodes().into_iter().chain(owned(&["cluster"])).chain(topics).collect()
        }
        ("set", [target, ..]) => settable(target),
        (SEND, []) => nodes().into_iter().filter(|node| node.starts_with("producer-")).collect(),
        (SEND, _) => owned(&["key=", "value=", "partition="]),
        ("kafka-metadata-quorum" | "kafka-metadata-quorum.sh", []) => owned(&["describe"]),
        (tool, _) if tool.starts_with("kafka-") => match rest.last() {
            Some(&"--topic") => known.topics.clone(),
            Some(&"--group") => known.groups.clone(),
            Some(&"--type") => owned(&["classic", "consumer"]),
            Some(&"--group-type") => owned(&["classic", "consumer", "share"]),
            _ => option_names(tool),
        },
        _ => Vec::new(),
    }
}

fn consumers(known: &Known) -> Vec<String> {
    known.nodes.iter().filter(|node| node.starts_with("consumer-")).cloned().collect()
}

/// The first of each topic: how many there are is not known here.
fn partitions(known: &Known) -> Vec<String> {
    known.topics.iter().map(|topic| format!("{topic}-0")).collect()
}

fn with_settings(own: &[&str], settings: &[Setting]) -> Vec<String> {
    own.iter().copied().chain(settings.iter().map(|setting| setting.name)).map(|name| format!("{name}=")).collect()
}

fn added(kind: &str, known: &Known) -> Vec<String> {
    let of = |key: &str, names: &[String]| names.iter().map(|name| format!("{key}={name}")).collect::<Vec<_>>();
    match kind {
        "broker" => owned(&["rack="]),
        "topic" => with_settings(&["partitions", "replication-factor", "assignment"], TopicConfig::SETTINGS),
        "producer" => [
            of("topic", &known.topics),
            with_settings(&["topic", "rate", "count", "key", "keys", "value", "size"], ProducerConfig::SETTINGS),
        ]
        .concat(),
        "consumer" => [
            of("topics", &known.topics),
            of("group", &known.groups),
            with_settings(&[&["group", "work", TYPE], READING, CONDUCT].concat(), ConsumerConfig::SETTINGS),
        ]
        .concat(),
        _ => Vec::new(),
    }
}

fn settable(target: &str) -> Vec<String> {
    if target.starts_with("producer-") {
        with_settings(&["rate", "key", "keys", "value", "size"], ProducerConfig::SETTINGS)
    } else if target.starts_with("consumer-") {
        with_settings(&[&["work"], READING, CONDUCT].concat(), ConsumerConfig::SETTINGS)
    } else if target.starts_with("topic:") {
        with_settings(&[], TopicConfig::SETTINGS)
    } else {
        with_settings(&[], BrokerConfig::SETTINGS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        Known {
            nodes: owned(&["broker-1", "broker-2", "producer-go", "consumer-c1"]),
            topics: owned(&["orders"]),
            groups: owned(&["g"]),
        }
    }

    #[test]
    fn the_last_word_is_finished_and_the_rest_stays() {
        for (line, found) in [
            ("ki", &["kill"][..]),
            ("kill broker-", &["kill broker-1", "kill broker-2"]),
            ("kill broker-1 ", &["kill broker-1 power"]),
            ("set producer-go li", &["set producer-go linger.ms="]),
            ("set to", &["set topic:orders"]),
            ("send ", &["send producer-go"]),
            ("kafka-topics --desc", &["kafka-topics --describe"]),
            ("kafka-topics.sh --describe --topic o", &["kafka-topics.sh --describe --topic orders"]),
            ("kafka-consumer-groups --describe --group ", &["kafka-consumer-groups --describe --group g"]),
            ("add producer p topic=", &["add producer p topic=", "add producer p topic=orders"]),
            ("seek ", &["seek consumer-c1"]),
            ("seek consumer-c1 ", &["seek consumer-c1 orders-0"]),
            ("seek consumer-c1 orders-0 ", &["seek consumer-c1 orders-0 to"]),
            ("seek consumer-c1 orders-0 to b", &["seek consumer-c1 orders-0 to beginning"]),
            ("pause consumer-c1 o", &["pause consumer-c1 orders-0"]),
            ("set consumer-c1 on", &["set consumer-c1 on-failure="]),
            ("what ", &[]),
        ] {
            assert_eq!(complete(line, &known()), found, "{line}");
        }
        assert!(complete("", &known()).contains(&"kafka-topics".to_owned()));
    }
}
