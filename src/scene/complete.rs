//! What a line of the command bar may become.

use crate::kafka::ids::Node;
use crate::sim::world::World;

/// The names that a command can speak of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    pub nodes: Vec<String>,
    pub topics: Vec<String>,
    pub groups: Vec<String>,
}

impl Known {
    /// The names of a world.
    pub fn of(world: &World) -> Self {
        let nodes = world.nodes().filter(|(node, _)| !matches!(node, Node::Tool(_)));
        let topics = world.image().into_iter().flat_map(|image| image.topic_ids.keys());
        let mut groups: Vec<String> = world.consumers().filter_map(|(.., spec, _)| spec.group.clone()).collect();
        groups.sort();
        groups.dedup();
        Self {
            nodes: nodes.map(|(node, _)| world.names().node(node)).collect(),
            topics: topics.filter(|name| !name.starts_with("__")).map(|name| name.to_string()).collect(),
            groups,
        }
    }
}

/// What a place in a command stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    Node,
    Consumer,
    Topic,
    Group,
}

/// Whole commands worth offering, with their places for names in capitals, and what it does.
const COMMANDS: &[(&str, &str)] = &[
    ("kill NODE", "crash at once; disk kept"),
    ("kill NODE power", "its machine goes dark; what was not flushed is gone"),
    ("stop NODE", "clean shutdown"),
    ("start NODE", "boot again"),
    ("pause NODE", "freeze, as in a long GC pause"),
    ("pause NODE for 20s", "freeze, and go on by itself"),
    ("resume NODE", "go on"),
    ("seek CONSUMER TOPIC-0 to beginning", "read a partition again"),
    ("pause CONSUMER TOPIC-0", "return nothing of a partition"),
    ("slow NODE x10", "everything takes ten times as long"),
    ("wipe NODE", "empty the disk of a node that is down"),
    ("disk NODE full", "nothing more can be written"),
    ("disk NODE ok", "there is room again"),
    ("disk NODE hdd cache=64MiB", "another disk, more or less memory to cache it"),
    ("cut NODE | NODE", "no message crosses"),
    ("cut NODE -> NODE", "nothing crosses in this direction"),
    ("link NODE NODE latency=200ms", "change one link"),
    ("heal", "end every network fault"),
    ("heal NODE NODE", "end the faults of one link"),
    ("send NODE key=K value=V", "one record by hand"),
    ("set NODE rate=10", "change a setting"),
    ("set topic:TOPIC min.insync.replicas=1", "change a topic's setting"),
    ("add broker 4", "one more broker"),
    ("add topic NAME partitions=3 replication-factor=3", "one more topic"),
    ("add producer NAME topic=TOPIC rate=1", "one more producer"),
    ("add consumer NAME group=GROUP topics=TOPIC", "one more consumer"),
    ("remove NODE", "stop it and take it away"),
    ("kafka-topics --list", "Kafka's tool"),
    ("kafka-topics --describe", "leaders, replicas, ISR"),
    ("kafka-topics --describe --topic TOPIC", "leaders, replicas, ISR"),
    ("kafka-topics --create --topic NAME --partitions 3 --replication-factor 3", "Kafka's tool"),
    ("kafka-topics --delete --topic TOPIC", "Kafka's tool"),
    ("kafka-consumer-groups --list", "Kafka's tool"),
    ("kafka-consumer-groups --describe --group GROUP", "offsets and lag"),
    ("kafka-consumer-groups --describe --group GROUP --members --verbose", "who has which partitions"),
    ("kafka-consumer-groups --describe --group GROUP --state", "its coordinator, assignor and state"),
    (
        "kafka-consumer-groups --reset-offsets --group GROUP --topic TOPIC --to-earliest --dry-run",
        "what a reset would do",
    ),
    (
        "kafka-consumer-groups --reset-offsets --group GROUP --topic TOPIC --to-earliest --execute",
        "read everything again",
    ),
    ("kafka-consumer-groups --reset-offsets --group GROUP --topic TOPIC --to-latest --execute", "skip what is there"),
    ("kafka-consumer-groups --delete-offsets --group GROUP --topic TOPIC", "forget what it committed"),
    ("kafka-consumer-groups --delete --group GROUP", "delete a group without members"),
    ("kafka-groups --list", "groups of every type"),
    ("kafka-get-offsets --topic TOPIC --time latest", "where each partition ends"),
    ("kafka-log-dirs --describe", "bytes of each replica"),
    ("kafka-configs --describe --entity-type topics --entity-name TOPIC", "a topic's settings"),
    ("kafka-leader-election --election-type preferred --all-topic-partitions", "bring leadership home"),
    ("kafka-reassign-partitions --list", "partitions on the move"),
    ("kafka-metadata-quorum describe --status", "who leads the quorum"),
    ("kafka-metadata-quorum describe --replication --human-readable", "how far each copy of the metadata is"),
    ("kafka-console-consumer --topic TOPIC --from-beginning --max-messages 5", "read records"),
];

/// How many choices are offered.
const MOST: usize = 8;

/// Whole lines that begin like this one, each with what it does. An empty line offers what one does most.
pub fn complete(line: &str, known: &Known) -> Vec<(String, String)> {
    let typed = line.trim_start();
    let mut found: Vec<(String, String)> = Vec::new();
    for (shape, what) in COMMANDS {
        for text in filled(shape, typed, known) {
            if text.starts_with(typed) && text != typed && !found.iter().any(|(known, _)| *known == text) {
                found.push((text, (*what).to_owned()));
            }
        }
    }
    if typed.is_empty() {
        // One of each kind says more than eight nodes to kill.
        let mut verbs = std::collections::BTreeSet::new();
        found.retain(|(text, _)| verbs.insert(text.split(' ').next().unwrap_or_default().to_owned()));
    }
    found.truncate(MOST);
    found
}

/// A command's shape with its places filled, word by word, as far as the line goes; one place further offers every name.
fn filled(shape: &str, typed: &str, known: &Known) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in shape.split_inclusive(' ') {
        let bare = word.trim_end();
        let slot = slot(bare);
        let mut next = Vec::new();
        for line in &lines {
            // Only lines that agree with what was typed so far are worth going on with.
            if !(line.starts_with(typed) || typed.starts_with(line.as_str())) {
                continue;
            }
            match slot {
                Some((slot, place)) => {
                    let names = match slot {
                        Slot::Node | Slot::Consumer => &known.nodes,
                        Slot::Topic => &known.topics,
                        Slot::Group => &known.groups,
                    };
                    let taken = |name: &String| line.split(' ').any(|word| word == name);
                    let fits = |name: &&String| slot != Slot::Consumer || name.starts_with("consumer-");
                    next.extend(
                        names
                            .iter()
                            .filter(|name| fits(name) && !taken(name))
                            .map(|name| format!("{line}{}", word.replace(place, name))),
                    );
                }
                None => next.push(format!("{line}{word}")),
            }
        }
        lines = next;
        if lines.len() > 400 {
            lines.truncate(400);
        }
    }
    lines.into_iter().map(|line| line.trim_end().to_owned()).collect()
}

fn slot(word: &str) -> Option<(Slot, &'static str)> {
    if word == "TOPIC-0" {
        return Some((Slot::Topic, "TOPIC"));
    }
    [(Slot::Node, "NODE"), (Slot::Consumer, "CONSUMER"), (Slot::Topic, "TOPIC"), (Slot::Group, "GROUP")]
        .into_iter()
        .find(|(_, place)| word.ends_with(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[&str]) {
        let known = Known {
            nodes: vec!["broker-1".to_owned(), "broker-2".to_owned(), "producer-go".to_owned()],
            topics: vec!["orders".to_owned()],
            groups: vec!["g".to_owned()],
        };
        let found: Vec<String> = complete(line, &known).into_iter().map(|(text, _)| text).collect();
        assert_eq!(found.iter().take(expected.len()).map(String::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_verb_offers_every_node() {
        check("kill", &["kill broker-1", "kill broker-2", "kill producer-go"]);
        check("kill broker-2", &[]);
    }

    #[test]
    fn a_cut_never_has_the_same_node_on_both_sides() {
        check("cut broker-1 | b", &["cut broker-1 | broker-2"]);
    }

    #[test]
    fn kafkas_tools_are_completed_with_names_that_exist() {
        check("kafka-consumer-groups --d", &["kafka-consumer-groups --describe --group g"]);
    }

    #[test]
    fn an_empty_line_offers_one_command_of_each_kind() {
        check("", &["kill broker-1", "stop broker-1", "start broker-1"]);
    }
}
