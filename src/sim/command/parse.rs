//! Reading a command line. Every error is one line that says what was found and what is allowed.

use std::collections::BTreeMap;

use super::options::{self, Options};
use super::{Command, LinkChange, SetTarget};
use crate::kafka::config::{BrokerConfig, ConsumerConfig, ProducerConfig, Setting, TopicConfig};
use crate::kafka::consumer::SeekTo;
use crate::kafka::disk::{DiskChange, DiskKind};
use crate::kafka::ids::BrokerId;
use crate::kafka::tool::ToolCommand;
use crate::kafka::workload::Workload;
use crate::sim::spec::{
    self, BrokerSpec, CLIENT_NAME, CONDUCT, ConsumerSpec, NodeName, ProducerSpec, READING, Settings, TYPE, TopicSpec,
    check_topic_name, is_client_name,
};
use crate::sim::units::{self, BANDWIDTH, DURATION, SHARE, Share};
use crate::time::{Duration, Instant};

/// The first words of all commands but Kafka's tools.
pub const VERBS: [&str; 15] = [
    "kill", "stop", "start", "pause", "resume", "seek", "slow", "wipe", "disk", "cut", "link", "heal", "add", "remove",
    "set",
];

/// The first word of `send`, kept apart for the sake of one list a line.
pub const SEND: &str = "send";

impl Command {
    /// Reads one line. Words are split as a shell does, so a value with spaces is quoted: `value="Hello World"`.
    pub fn parse(line: &str) -> Result<Self, String> {
        let words = split(line)?;
        let Some((verb, rest)) = words.split_first() else {
            return Err(format!("found nothing, allowed is a command such as `kill broker-1`; {}", all_verbs()));
        };
        if verb.starts_with("kafka-") {
            return ToolCommand::parse(&words).map(Self::Tool);
        }
        let words = Words { verb, rest };
        match verb.as_str() {
            "kill" => kill(words),
            "stop" => words.only_node("stop NODE").map(|node| Self::Stop { node }),
            "start" => words.only_node("start NODE").map(|node| Self::Start { node }),
            "pause" => pause(words),
            "resume" => resume(words),
            "seek" => seek(words),
            "slow" => slow(words),
            "wipe" => wipe(words),
            "disk" => disk(words),
            "cut" => cut(line),
            "link" => link(words),
            "heal" => heal(words),
            "add" => add(words),
            "remove" => words.only_node("remove NODE").map(|node| Self::Remove { node }),
            "set" => set(words),
            SEND => send(words),
            other => Err(unknown_verb(other)),
        }
    }
}

fn split(line: &str) -> Result<Vec<String>, String> {
    shell_words::split(line)
        .map_err(|_| format!("found `{}`, allowed is a line in which every quote is closed", line.trim()))
}

fn all_verbs() -> String {
    format!("commands are {}, {SEND} and Kafka's own tools", VERBS.join(", "))
}

fn unknown_verb(found: &str) -> String {
    let nearest = options::nearest(found, VERBS.into_iter().chain([SEND]));
    let hint = nearest.map(|verb| format!("; did you mean `{verb}`?")).unwrap_or_default();
    format!("found the command `{found}`{hint}; {}", all_verbs())
}

/// The words of a command after its first.
#[derive(Clone, Copy)]
struct Words<'a> {
    verb: &'a str,
    rest: &'a [String],
}

impl<'a> Words<'a> {
    fn node(self, at: usize, usage: &str) -> Result<NodeName, String> {
        let word =
            self.rest.get(at).ok_or_else(|| format!("found no node after `{}`, allowed is `{usage}`", self.verb))?;
        node(word)
    }

    fn only_node(self, usage: &str) -> Result<NodeName, String> {
        let node = self.node(0, usage)?;
        self.end_at(1, usage)?;
        Ok(node)
    }

    fn end_at(self, len: usize, usage: &str) -> Result<(), String> {
        match self.rest.get(len) {
            None => Ok(()),
            Some(extra) => Err(format!("found `{extra}`, allowed is `{usage}`")),
        }
    }

    /// Takes `for D` off the end.
    fn lasting(self) -> Result<(Self, Option<Duration>), String> {
        let [rest @ .., keyword, time] = self.rest else { return Ok((self, None)) };
        if keyword != "for" {
            return Ok((self, None));
        }
        let lasting = units::duration(time).filter(|lasting| !lasting.is_zero());
        let lasting = lasting.ok_or_else(|| format!("found `{time}` after `for`, allowed is {DURATION}"))?;
        Ok((Self { rest, ..self }, Some(lasting)))
    }
}

fn node(word: &str) -> Result<NodeName, String> {
    NodeName::parse(word).ok_or_else(|| format!("found `{word}`, allowed is {}", NodeName::ALLOWED))
}

fn kill(words: Words) -> Result<Command, String> {
    let usage = "kill NODE [power]";
    let node = words.node(0, usage)?;
    let power = words.rest.get(1).is_some_and(|word| word == "power");
    words.end_at(1 + usize::from(power), usage)?;
    Ok(Command::Kill { node, power })
}

fn pause(words: Words) -> Result<Command, String> {
    let usage = "pause NODE [for D], or pause CONSUMER PARTITION …";
    let (words, lasting) = words.lasting()?;
    let node = words.node(0, usage)?;
    if words.rest.len() == 1 {
        return Ok(Command::Pause { node, lasting });
    }
    if lasting.is_some() {
        return Err(format!("found `for` after partitions, allowed is `{usage}`"));
    }
    pause_partitions(words, node, true)
}

fn resume(words: Words) -> Result<Command, String> {
    let node = words.node(0, "resume NODE, or resume CONSUMER PARTITION …")?;
    if words.rest.len() == 1 { Ok(Command::Resume { node }) } else { pause_partitions(words, node, false) }
}

/// The partitions behind a consumer's name.
fn pause_partitions(words: Words, consumer: NodeName, paused: bool) -> Result<Command, String> {
    must_be_consumer(&consumer)?;
    let mut partitions = Vec::new();
    for word in &words.rest[1..] {
        let partition = partition(word)?;
        if partitions.contains(&partition) {
            return Err(format!("found `{word}` twice, allowed is each partition once"));
        }
        partitions.push(partition);
    }
    Ok(Command::PausePartitions { consumer, partitions, paused })
}

fn partition(word: &str) -> Result<(String, u32), String> {
    spec::partition(word).ok_or_else(|| format!("found `{word}`, allowed is {}", spec::PARTITION))
}

fn must_be_consumer(node: &NodeName) -> Result<(), String> {
    match node {
        NodeName::Consumer(_) => Ok(()),
        _ => Err(format!("found `{node}`, allowed is a consumer: only those read partitions by position")),
    }
}

/// `seek CONSUMER PARTITION to OFFSET|beginning|end`.
fn seek(words: Words) -> Result<Command, String> {
    let usage = "seek CONSUMER PARTITION to OFFSET|beginning|end";
    let consumer = words.node(0, usage)?;
    must_be_consumer(&consumer)?;
    let [_, at, keyword, to] = words.rest else {
        return Err(format!("found `{}`, allowed is `{usage}`", words.rest.join(" ")));
    };
    if keyword != "to" {
        return Err(format!("found `{keyword}`, allowed is `{usage}`"));
    }
    let offset = || to.parse().ok().filter(|offset| *offset >= 0).map(SeekTo::Offset);
    let to = match to.as_str() {
        "beginning" => Some(SeekTo::Beginning),
        "end" => Some(SeekTo::End),
        _ => offset(),
    }
    .ok_or_else(|| format!("found `{to}`, allowed is an offset, `beginning` or `end`"))?;
    Ok(Command::Seek { consumer, partition: partition(at)?, to })
}

fn slow(words: Words) -> Result<Command, String> {
    let usage = "slow NODE xN [for D]";
    let (words, lasting) = words.lasting()?;
    let node = words.node(0, usage)?;
    let factor = words.rest.get(1).ok_or_else(|| format!("found no factor, allowed is `{usage}`"))?;
    let times =
        factor.strip_prefix('x').and_then(|times| times.parse().ok()).filter(|times| (1..=1000).contains(times));
    let times = times.ok_or_else(|| format!("found `{factor}`, allowed is a whole factor from `x1` to `x1000`"))?;
    words.end_at(2, usage)?;
    Ok(Command::Slow { node, times, lasting })
}

fn wipe(words: Words) -> Result<Command, String> {
    let node = words.only_node("wipe NODE")?;
    if node.is_client() {
        return Err(format!(
            "found `{node}`, allowed is a broker, a controller or a ZooKeeper server: a client has no disk"
        ));
    }
    Ok(Command::Wipe { node })
}

/// `disk NODE full`, `disk NODE ok`, or another kind of disk, more or less memory to cache it, or both.
fn disk(words: Words) -> Result<Command, String> {
    let usage = "disk NODE full, disk NODE ok or disk NODE [ssd|hdd] [cache=SIZE]";
    let node = words.node(0, usage)?;
    if !matches!(node, NodeName::Broker(_)) {
        return Err(format!("found `{node}`, allowed is a broker: only their disks are modelled"));
    }
    let change = match &words.rest[1..] {
        [word] if word == "full" => DiskChange::Full,
        [word] if word == "ok" => DiskChange::Ok,
        rest => {
            let kind = rest.first().and_then(|word| DiskKind::parse(word));
            let mut options = Options::read(&rest[usize::from(kind.is_some())..])
                .map_err(|_| format!("found `{}`, allowed is `{usage}`", rest.join(" ")))?;
            let cache = options.take("cache", units::size, units::SIZE)?;
            options.finish(&["cache"])?;
            if kind.is_none() && cache.is_none() {
                return Err(format!("found nothing to change, allowed is `{usage}`"));
            }
            DiskChange::Other { kind, cache }
        }
    };
    Ok(Command::Disk { node, change })
}

/// `cut A B … | C D … [for D]`; for one link, `cut A B` will do. With `->` in place of the bar, only what goes that way
/// is stopped.
fn cut(line: &str) -> Result<Command, String> {
    let usage = "cut A B … | C D … [for D], with -> for one direction only";
    let spaced = split(&line.replace('|', " | ").replace("->", " -> "))?;
    let (words, lasting) = Words { verb: "cut", rest: spaced.get(1..).unwrap_or_default() }.lasting()?;
    let one_way = words.rest.iter().any(|word| word == "->");
    let sides: Vec<&[String]> = words.rest.split(|word| word == "|" || word == "->").collect();
    let nodes = |side: &[String]| side.iter().map(|word| node(word)).collect::<Result<Vec<_>, _>>();
    let (one, other) = match sides.as_slice() {
        [[a, b]] => (vec![node(a)?], vec![node(b)?]),
        [one, other] if !one.is_empty() && !other.is_empty() => (nodes(one)?, nodes(other)?),
        _ => {
            return Err(format!(
                "found `{}`, allowed is `{usage}` with nodes on both sides of the `|` (or `->`)",
                line.trim()
            ));
        }
    };
    let mut seen = Vec::new();
    for node in one.iter().chain(&other) {
        if seen.contains(&node) {
            return Err(format!("found `{node}` twice, allowed is each node on one side of the cut"));
        }
        seen.push(node);
    }
    Ok(Command::Cut { one, other, one_way, lasting })
}

fn two_nodes(words: Words, usage: &str) -> Result<(NodeName, NodeName), String> {
    let (a, b) = (words.node(0, usage)?, words.node(1, usage)?);
    if a == b {
        return Err(format!("found `{a}` twice, allowed are the two ends of a link"));
    }
    Ok((a, b))
}

fn link(words: Words) -> Result<Command, String> {
    let usage = "link A B [latency=D] [loss=P%] [duplicate=P%] [bandwidth=R]";
    let (a, b) = two_nodes(words, usage)?;
    let mut options = Options::read(&words.rest[2..])?;
    let change = LinkChange {
        latency: options.take("latency", units::duration, DURATION)?,
        loss: options.take("loss", Share::parse, SHARE)?,
        duplicate: options.take("duplicate", Share::parse, SHARE)?,
        bandwidth_bits_per_second: options.take("bandwidth", units::bandwidth, BANDWIDTH)?,
    };
    options.finish(&["latency", "loss", "duplicate", "bandwidth"])?;
    if change == LinkChange::default() {
        return Err(format!("found nothing to change, allowed is `{usage}`"));
    }
    Ok(Command::Link { a, b, change })
}

fn heal(words: Words) -> Result<Command, String> {
    let usage = "heal [A B]";
    if words.rest.is_empty() {
        return Ok(Command::Heal { link: None });
    }
    let link = two_nodes(words, usage)?;
    words.end_at(2, usage)?;
    Ok(Command::Heal { link: Some(link) })
}

fn add(words: Words) -> Result<Command, String> {
    let usage = "add broker N, add topic NAME, add producer NAME or add consumer NAME";
    let [kind, name, rest @ ..] = words.rest else {
        return Err(format!("found too few words after `add`, allowed is {usage}"));
    };
    let options = Options::read(rest)?;
    match kind.as_str() {
        "broker" => add_broker(name, options).map(Command::AddBroker),
        "topic" => add_topic(name, options).map(Command::AddTopic),
        "producer" => add_producer(name, options).map(|spec| Command::AddProducer(Box::new(spec))),
        "consumer" => add_consumer(name, options).map(|spec| Command::AddConsumer(Box::new(spec))),
        other => Err(format!("found `add {other}`, allowed is {usage}")),
    }
}

fn add_broker(name: &str, mut options: Options) -> Result<BrokerSpec, String> {
    let id = name.parse().ok().filter(|id| spec::BROKER_IDS.contains(id));
    let id = id.ok_or_else(|| format!("found the broker `{name}`, allowed is a number from 0 to 100"))?;
    let rack = options.take("rack", |rack| (!rack.is_empty()).then(|| rack.to_owned()), "a rack's name")?;
    options.finish(&["rack"])?;
    Ok(BrokerSpec { id: BrokerId(id), rack })
}

fn add_topic(name: &str, mut options: Options) -> Result<TopicSpec, String> {
    check_topic_name(name).map_err(|reason| format!("found the topic name `{name}`, but {reason}"))?;
    let assignment = options.take("assignment", parse_assignment, "replicas such as `1:2:3,2:3:1`")?;
    let partitions = options.take("partitions", options::partitions, options::PARTITIONS)?;
    let factor = options.take("replication-factor", options::replication_factor, options::REPLICATION_FACTOR)?;
    let missing =
        |key: &str| format!("found no `{key}`, allowed is `add topic NAME partitions=N replication-factor=N`");
    let first = assignment.as_ref().and_then(|assignment: &Vec<Vec<BrokerId>>| assignment.first());
    let placed = assignment.as_ref().map(Vec::len).and_then(|partitions| u32::try_from(partitions).ok());
    let replicas = first.map(Vec::len).and_then(|replicas| u32::try_from(replicas).ok());
    let partitions = partitions.or(placed).ok_or_else(|| missing("partitions"))?;
    let replication_factor = factor.or(replicas).ok_or_else(|| missing("replication-factor"))?;
    let assignment: BTreeMap<_, _> = (0..).zip(assignment.unwrap_or_default()).collect();
    if !assignment.is_empty() && assignment.len() as u64 != u64::from(partitions) {
        return Err(format!("found `assignment` of {} partitions, allowed is all {partitions}", assignment.len()));
    }
    spec::check_assignment(&assignment, partitions, replication_factor)?;
    let config = settings(options, &["partitions", "replication-factor", "assignment"], TopicConfig::SETTINGS)?;
    spec::topic_config(&config).map_err(|error| error.to_string())?;
    Ok(TopicSpec { name: name.to_owned(), partitions, replication_factor, assignment, config })
}

fn parse_assignment(text: &str) -> Option<Vec<Vec<BrokerId>>> {
    let replicas = |of: &str| of.split(':').map(|id| id.parse().ok().map(BrokerId)).collect();
    text.split(',').map(replicas).collect()
}

fn client_name(name: &str, kind: &str) -> Result<String, String> {
    // People who have read `producer-go` somewhere write it here, too.
    let name = name.strip_prefix(kind).and_then(|name| name.strip_prefix('-')).unwrap_or(name);
    if is_client_name(name) {
        Ok(name.to_owned())
    } else {
        Err(format!("found the name `{name}`, allowed are {CLIENT_NAME}"))
    }
}

fn add_producer(name: &str, mut options: Options) -> Result<ProducerSpec, String> {
    let topic = options.take("topic", |topic| Some(topic.to_owned()), "a topic")?;
    let topic = topic.ok_or("found no `topic`, allowed is `add producer NAME topic=T`")?;
    check_topic_name(&topic).map_err(|reason| format!("found the topic `{topic}`, but {reason}"))?;
    let mut workload = Workload::new(topic.as_str().into());
    if let Some(rate) = options.take("rate", units::rate, units::RATE)? {
        workload.rate = rate;
    }
    workload.count = options.take("count", |count| count.parse().ok(), "a number of records")?;
    if let Some(keys) = options.keys()? {
        workload.keys = keys;
    }
    if let Some(values) = options.values()? {
        workload.values = values;
    }
    let known = ["topic", "rate", "count", "key", "keys", "value", "size"];
    let overrides = settings(options, &known, ProducerConfig::SETTINGS)?;
    let config = spec::producer_config(&overrides).map_err(|error| error.to_string())?;
    Ok(ProducerSpec { name: client_name(name, "producer")?, workload, start: Instant::ZERO, config, overrides })
}

fn add_consumer(name: &str, mut options: Options) -> Result<ConsumerSpec, String> {
    let group = options.take("group", |group| (!group.is_empty()).then(|| group.to_owned()), "a group's name")?;
    let work = options.take("work", units::duration, DURATION)?.unwrap_or_default();
    let mut spec = ConsumerSpec { name: client_name(name, "consumer")?, group, work, ..ConsumerSpec::blank() };
    let mut reading = Vec::new();
    for key in READING.iter().chain(CONDUCT).chain(&[TYPE]) {
        if let Some(value) = options.take(key, |value| Some(value.to_owned()), "a text")? {
            spec.set_own(key, &value).map_err(|allowed| format!("found `{key}={value}`, allowed is {allowed}"))?;
            reading.extend(Some(*key).filter(|key| READING.contains(key)));
        }
    }
    match reading.as_slice() {
        [] => return Err("found no `topics`, allowed is `add consumer NAME group=G topics=A,B`".into()),
        [_] => {}
        [one, other, ..] => return Err(format!("found both `{one}` and `{other}`, allowed is one of them")),
    }
    spec.check_own()?;
    let known = [&["group", "work", TYPE], READING, CONDUCT].concat();
    spec.overrides = settings(options, &known, ConsumerConfig::SETTINGS)?;
    spec.config = spec::consumer_config(&spec.overrides).map_err(|error| error.to_string())?;
    Ok(spec)
}

/// What is left are settings of Kafka. Their values are checked by who reads them all.
fn settings(options: Options, known: &[&str], kafka: &'static [Setting]) -> Result<Settings, String> {
    let settings = options.rest();
    for (key, _) in &settings {
        if !kafka.iter().any(|setting| setting.name == key) {
            return Err(options::unknown(key, known, kafka));
        }
    }
    Ok(settings)
}

fn set(words: Words) -> Result<Command, String> {
    let usage = "set NODE|cluster|topic:NAME KEY=VALUE …";
    let [target, rest @ ..] = words.rest else {
        return Err(format!("found nothing after `set`, allowed is `{usage}`"));
    };
    let target =
        match (target.as_str(), target.strip_prefix("topic:")) {
            ("cluster", _) => SetTarget::Cluster,
            (_, Some(topic)) => {
                check_topic_name(topic).map_err(|reason| format!("found the topic `{topic}`, but {reason}"))?;
                SetTarget::Topic(topic.to_owned())
            }
            (word, None) => SetTarget::Node(NodeName::parse(word).ok_or_else(|| {
                format!("found `{word}`, allowed is {}, `cluster` or `topic:NAME`", NodeName::ALLOWED)
            })?),
        };
    let options = Options::read(rest)?;
    let changes = match &target {
        SetTarget::Node(NodeName::Producer(_)) => {
            let mut producer = ProducerConfig::default();
            options
                .changes(&["rate", "key", "keys", "value", "size"], ProducerConfig::SETTINGS, |k, v| producer.set(k, v))
        }
        SetTarget::Node(NodeName::Consumer(_)) => {
            let mut consumer = ConsumerConfig::default();
            let known = [&["work"], READING, CONDUCT].concat();
            options.changes(&known, ConsumerConfig::SETTINGS, |k, v| consumer.set(k, v))
        }
        SetTarget::Topic(_) => {
            let mut topic = TopicConfig::default();
            options.changes(&[], TopicConfig::SETTINGS, |k, v| topic.set(k, v))
        }
        SetTarget::Cluster
        | SetTarget::Node(NodeName::Broker(_) | NodeName::Controller(_) | NodeName::ZooKeeper(_)) => {
            let mut broker = BrokerConfig::default();
            options.changes(&[], BrokerConfig::SETTINGS, |k, v| broker.set(k, v))
        }
    }?;
    if changes.is_empty() {
        return Err(format!("found nothing to change, allowed is `{usage}`"));
    }
    Ok(Command::Set { target, changes })
}

fn send(words: Words) -> Result<Command, String> {
    let usage = "send NODE [key=K] [value=V] [partition=P]";
    let producer = words.node(0, usage)?;
    if !matches!(producer, NodeName::Producer(_)) {
        return Err(format!("found `{producer}`, allowed is a producer: nobody else sends records"));
    }
    let mut options = Options::read(&words.rest[1..])?;
    let text = |text: &str| Some(text.to_owned());
    let key = options.take("key", text, "a key")?;
    let value = options.take("value", text, "a value")?;
    let partition = options.take("partition", |partition| partition.parse().ok(), "a partition's number")?;
    options.finish(&["key", "value", "partition"])?;
    Ok(Command::Send { producer, key, value, partition })
}
