//! From the tables of a scenario file to a [`Scenario`].

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::check;
use super::fields::{Field, Fields, ScenarioError, line_of};
use super::{At, Expect, Mode, Roles, Scenario, Step};
use crate::kafka::compat::TruncationRule;
use crate::kafka::config::{BrokerConfig, ConsumerConfig, ProducerConfig, Setting, SettingError, TopicConfig};
use crate::kafka::ids::BrokerId;
use crate::kafka::workload::{Keys, Template, Values, Workload};
use crate::sim::command::{Command, value_size};
use crate::sim::report::Expectation;
use crate::sim::spec::{
    self, BROKER_IDS, BrokerSpec, CLIENT_NAME, CONDUCT, ConsumerSpec, NetworkSpec, ProducerSpec, READING, Settings,
    TYPE, TopicSpec, check_topic_name, is_client_name,
};
use crate::sim::units::{self, BANDWIDTH};
use crate::time::{Duration, Instant};

/// The version of the format that this program reads.
const FORMAT: u64 = 1;

const TOP: &[&str] = &[
    "format", "title", "summary", "seed", "duration", "cluster", "broker", "network", "topic", "producer", "consumer",
    "step", "expect",
];

/// A list of what was read from a kind of tables, each with the table, for the checks across tables.
pub type Placed<'a, T> = Vec<(T, Fields<'a>)>;

/// Reads a whole file.
pub fn scenario(text: &str) -> Result<Scenario, ScenarioError> {
    let parsed = DeTable::parse(text).map_err(|error| syntax_error(text, &error))?;
    // A file of a later format may well have keys unknown here: that it is of a later format is the better answer.
    let top = Fields::new(text, "", 0, parsed.get_ref(), TOP)
        .map_err(|error| later_format(text, parsed.get_ref()).unwrap_or(error))?;
    let format = top.need("format", "`format = 1`")?;
    format.integer(FORMAT..=FORMAT).map_err(|_| format.wrong("1, the only format there is"))?;

    const CLUSTER: &[&str] = &["mode", "brokers", "compat", "controllers", "roles", "config"];
    let cluster = top.table("cluster", "[cluster]", CLUSTER)?;
    let cluster_config = read_settings(
        cluster.and_then(|cluster| cluster.get("config")),
        "broker",
        BrokerConfig::SETTINGS,
        spec::broker_config,
    )?;
    let brokers = brokers(top, cluster)?;
    let topics = topics(top, &cluster_config.0)?;
    let producers = producers(top)?;
    let consumers = consumers(top)?;
    let steps = steps(top)?;
    let expects = expects(top)?;
    let duration = or(top.get("duration"), Duration::secs(30), |field| field.duration())?;

    check::names(&brokers, &topics, &producers, &consumers)?;
    let controllers = or(cluster.and_then(|cluster| cluster.get("controllers")), 3, |field| field.integer_u32(1..=9))?;
    let mode = or(cluster.and_then(|cluster| cluster.get("mode")), Mode::Kraft, mode)?;
    check::steps(&cluster_config.0, &brokers, (mode, controllers), &topics, &producers, &consumers, &steps)?;
    check::expects(&expects, duration)?;

    let mut scenario = Scenario {
        title: or(top.get("title"), "Untitled".into(), |field| field.string())?,
        summary: or(top.get("summary"), String::new(), |field| field.string())?,
        seed: or(top.get("seed"), 1, |field| field.integer(0..=i64::MAX as u64))?,
        duration,
        mode,
        brokers: unplaced(brokers),
        truncation: or(cluster.and_then(|cluster| cluster.get("compat")), TruncationRule::default(), |field| {
            field.read(TruncationRule::of_compat, "\"pre-kip-101\" or \"pre-kip-279\"; without it today's rules hold")
        })?,
        controllers,
        roles: or(cluster.and_then(|cluster| cluster.get("roles")), Roles::Separate, roles)?,
        cluster_config: cluster_config.0,
        network: network(top)?,
        topics: unplaced(topics),
        producers: unplaced(producers),
        consumers: unplaced(consumers),
        steps: unplaced(steps),
        expects: unplaced(expects),
    };
    scenario.steps.sort_by_key(|step| step.at);
    Ok(scenario)
}

fn unplaced<T>(placed: Placed<T>) -> Vec<T> {
    placed.into_iter().map(|(item, _)| item).collect()
}

fn syntax_error(text: &str, error: &toml::de::Error) -> ScenarioError {
    let at = error.span().map_or(0, |span| span.start);
    let reason = error.message().trim().replace('\n', ", ");
    let line = text.lines().nth(line_of(text, at) as usize - 1).unwrap_or_default().trim();
    ScenarioError {
        line: line_of(text, at),
        key: String::new(),
        what: format!("found `{line}`, allowed is TOML, but: {reason}"),
    }
}

fn later_format(text: &str, top: &DeTable) -> Option<ScenarioError> {
    let (key, value) = top.get_key_value("format")?;
    let written = text.get(value.span())?;
    (written != "1").then(|| ScenarioError {
        line: line_of(text, key.span().start),
        key: "`format`".into(),
        what: format!("found {written}, allowed is 1, the only format there is"),
    })
}

/// A field's value, or the default where it is not there.
fn or<'a, T>(
    field: Option<Field<'a>>,
    default: T,
    read: impl FnOnce(&Field<'a>) -> Result<T, ScenarioError>,
) -> Result<T, ScenarioError> {
    field.map_or(Ok(default), |field| read(&field))
}

fn mode(field: &Field) -> Result<Mode, ScenarioError> {
    match field.string()?.as_str() {
        "kraft" => Ok(Mode::Kraft),
        "zookeeper" => Ok(Mode::ZooKeeper),
        _ => Err(field.wrong("\"kraft\" or \"zookeeper\"")),
    }
}

fn roles(field: &Field) -> Result<Roles, ScenarioError> {
    match field.string()?.as_str() {
        "separate" => Ok(Roles::Separate),
        "combined" => Ok(Roles::Combined),
        _ => Err(field.wrong("\"separate\" or \"combined\"")),
    }
}

fn brokers<'a>(top: Fields<'a>, cluster: Option<Fields<'a>>) -> Result<Placed<'a, BrokerSpec>, ScenarioError> {
    let tables = top.tables("broker", "[[broker]]", &["id", "rack"])?;
    let count = cluster.and_then(|cluster| cluster.get("brokers"));
    if let (Some(count), false) = (count, tables.is_empty()) {
        return Err(count.refuse("found both `brokers` and [[broker]] tables, allowed is one of them".into()));
    }
    if tables.is_empty() {
        let last = *BROKER_IDS.end() as u32;
        let count = or(count, 3, |field| field.integer_u32(1..=last))?;
        return Ok((1..=count as i32).map(|id| (BrokerSpec { id: BrokerId(id), rack: None }, top)).collect());
    }
    let broker = |table: Fields<'a>| {
        let id = table.need("id", "a broker's number")?.integer_u32(0..=*BROKER_IDS.end() as u32)?;
        let rack = table
            .get("rack")
            .map(|rack| rack.read(|rack| (!rack.is_empty()).then(|| rack.to_owned()), "a rack's name"));
        Ok((BrokerSpec { id: BrokerId(id as i32), rack: rack.transpose()? }, table))
    };
    tables.into_iter().map(broker).collect()
}

fn network(top: Fields) -> Result<NetworkSpec, ScenarioError> {
    let mut network = NetworkSpec::default();
    let Some(table) = top.table("network", "[network]", &["latency", "jitter", "bandwidth"])? else {
        return Ok(network);
    };
    network.latency = or(table.get("latency"), network.latency, Field::duration)?;
    network.jitter = or(table.get("jitter"), network.jitter, Field::duration)?;
    network.bandwidth_bits_per_second =
        or(table.get("bandwidth"), network.bandwidth_bits_per_second, |field| field.read(units::bandwidth, BANDWIDTH))?;
    for key in ["latency", "jitter"] {
        if let Some(field) =
            table.get(key).filter(|field| field.duration().is_ok_and(|found| found > Duration::secs(60)))
        {
            return Err(field.wrong("a time up to `60s`"));
        }
    }
    Ok(network)
}

/// Reads `config`: every key must be a setting of that kind of machine, with a value it takes, and `check` must find no
/// contradiction between them.
fn read_settings<C>(
    config: Option<Field>,
    kind: &str,
    known: &'static [Setting],
    check: impl Fn(&[(String, String)]) -> Result<C, SettingError>,
) -> Result<(Settings, C), ScenarioError> {
    let given = config.map_or(Ok(Vec::new()), |config| config.settings())?;
    let mut settings = Settings::new();
    for (key, value, field) in given {
        if !known.iter().any(|setting| setting.name == key) {
            return Err(field.refuse(unknown_setting(&key, kind, known)));
        }
        settings.push((key, value));
        match check(&settings) {
            // Two settings may contradict each other only until a third one is read.
            Ok(_) | Err(SettingError::Conflict(_)) => {}
            Err(error) => return Err(field.refuse(setting_error(&error))),
        }
    }
    match (check(&settings), config) {
        (Ok(config), _) => Ok((settings, config)),
        (Err(error), Some(field)) => Err(field.refuse(setting_error(&error))),
        // Kafka's own defaults do not contradict each other.
        (Err(error), None) => Err(ScenarioError { line: 1, key: String::new(), what: error.to_string() }),
    }
}

fn setting_error(error: &SettingError) -> String {
    match error {
        SettingError::Invalid { name, value, allowed } => format!("found `{name}` = `{value}`, allowed is {allowed}"),
        SettingError::Conflict(what) => format!("found settings that Kafka refuses together: {what}"),
        SettingError::Unknown { .. } => error.to_string(),
    }
}

fn unknown_setting(key: &str, kind: &str, known: &'static [Setting]) -> String {
    let names = known.iter().map(|setting| setting.name);
    let hint = crate::sim::command::nearest(key, names.clone());
    match hint {
        Some(nearest) => {
            format!("found the unknown {kind} setting `{key}`, allowed are Kafka's; did you mean `{nearest}`?")
        }
        None => {
            format!("found the unknown {kind} setting `{key}`, allowed are {}", names.collect::<Vec<_>>().join(", "))
        }
    }
}

fn topic_name(field: &Field) -> Result<String, ScenarioError> {
    let name = field.string()?;
    match check_topic_name(&name) {
        Ok(()) => Ok(name),
        Err(reason) => Err(field.wrong(&format!("a topic name that Kafka takes, but {reason}"))),
    }
}

fn topics<'a>(top: Fields<'a>, cluster: &[(String, String)]) -> Result<Placed<'a, TopicSpec>, ScenarioError> {
    let known = &["name", "partitions", "replication-factor", "assignment", "config"];
    let defaults = spec::broker_config(cluster).unwrap_or_default();
    let topic = |table: Fields<'a>| {
        let assignment = or(table.get("assignment"), BTreeMap::new(), assignment)?;
        let first = assignment.values().next().map(|replicas: &Vec<BrokerId>| replicas.len() as u32);
        let spec = TopicSpec {
            name: topic_name(&table.need("name", "a topic's name")?)?,
            partitions: or(table.get("partitions"), defaults.num_partitions.max(assignment.len() as u32), |field| {
                field.integer_u32(1..=10_000)
            })?,
            replication_factor: or(
                table.get("replication-factor"),
                first.unwrap_or(defaults.default_replication_factor),
                |field| field.integer_u32(1..=100),
            )?,
            assignment,
            config: read_settings(table.get("config"), "topic", TopicConfig::SETTINGS, spec::topic_config)?.0,
        };
        Ok((spec, table))
    };
    top.tables("topic", "[[topic]]", known)?.into_iter().map(topic).collect()
}

fn assignment(field: &Field) -> Result<BTreeMap<u32, Vec<BrokerId>>, ScenarioError> {
    let lists = field.lists_by_number("brokers by partition such as `{ 0 = [1, 2, 3] }`")?;
    Ok(lists.into_iter().map(|(partition, ids)| (partition, ids.into_iter().map(BrokerId).collect())).collect())
}

fn client_name(table: Fields) -> Result<String, ScenarioError> {
    let field = table.need("name", CLIENT_NAME)?;
    field.read(|name| is_client_name(name).then(|| name.to_owned()), CLIENT_NAME)
}

fn producers<'a>(top: Fields<'a>) -> Result<Placed<'a, ProducerSpec>, ScenarioError> {
    let known = &["name", "topic", "rate", "count", "key", "keys", "value", "size", "start", "config"];
    let producer = |table: Fields<'a>| {
        let topic = topic_name(&table.need("topic", "a topic's name")?)?;
        let mut workload = Workload::new(topic.into());
        workload.rate = or(table.get("rate"), workload.rate, Field::rate)?;
        workload.count = table.get("count").map(|field| field.integer(1..=i64::MAX as u64)).transpose()?;
        workload.keys = keys(table)?;
        workload.values = values(table)?;
        let (overrides, config) =
            read_settings(table.get("config"), "producer", ProducerConfig::SETTINGS, spec::producer_config)?;
        let start = or(table.get("start"), Instant::ZERO, Field::instant)?;
        Ok((ProducerSpec { name: client_name(table)?, workload, start, config, overrides }, table))
    };
    top.tables("producer", "[[producer]]", known)?.into_iter().map(producer).collect()
}

fn keys(table: Fields) -> Result<Keys, ScenarioError> {
    match (table.get("key"), table.get("keys")) {
        (None, None) => Ok(Keys::None),
        (Some(key), None) => template(&key).map(Keys::Template),
        (None, Some(keys)) => {
            let texts = keys.strings()?;
            if texts.is_empty() { Err(keys.wrong("at least one key")) } else { Ok(Keys::InTurn(texts)) }
        }
        (Some(key), Some(_)) => Err(key.refuse("found both `key` and `keys`, allowed is one of them".into())),
    }
}

fn values(table: Fields) -> Result<Values, ScenarioError> {
    match (table.get("value"), table.get("size")) {
        (None, None) => Ok(Values::default()),
        (Some(value), None) => template(&value).map(Values::Template),
        (None, Some(size)) => size.size(value_size).map(Values::Size),
        (Some(value), Some(_)) => Err(value.refuse("found both `value` and `size`, allowed is one of them".into())),
    }
}

fn template(field: &Field) -> Result<Template, ScenarioError> {
    Template::parse(&field.string()?).map_err(|error| field.refuse(error))
}

fn consumers<'a>(top: Fields<'a>) -> Result<Placed<'a, ConsumerSpec>, ScenarioError> {
    let known = &[
        "name",
        TYPE,
        "group",
        "topics",
        "topics-pattern",
        "assign",
        "work",
        "commit",
        "fails-on",
        "on-failure",
        "dead-letter-topic",
        "start",
        "config",
    ];
    let consumer = |table: Fields<'a>| {
        let group = table.get("group");
        let group = group.map(|field| field.read(|name| (!name.is_empty()).then(|| name.to_owned()), "a group's name"));
        let (overrides, config) =
            read_settings(table.get("config"), "consumer", ConsumerConfig::SETTINGS, spec::consumer_config)?;
        let mut spec = ConsumerSpec {
            name: client_name(table)?,
            group: group.transpose()?,
            work: or(table.get("work"), Duration::ZERO, Field::duration)?,
            start: or(table.get("start"), Instant::ZERO, Field::instant)?,
            config,
            overrides,
            ..ConsumerSpec::blank()
        };
        reading(table, &mut spec)?;
        for field in CONDUCT.iter().chain(&[TYPE]).filter_map(|key| table.get(key)) {
            own(&field, &field.string()?, &mut spec)?;
        }
        if let (Err(what), Some(field)) = (spec.check_own(), table.get("on-failure").or(table.get(TYPE))) {
            return Err(field.refuse(what));
        }
        Ok((spec, table))
    };
    top.tables("consumer", "[[consumer]]", known)?.into_iter().map(consumer).collect()
}

/// What a consumer reads: topics, a pattern, or partitions.
fn reading(table: Fields, spec: &mut ConsumerSpec) -> Result<(), ScenarioError> {
    let mut given = READING.iter().filter_map(|key| Some((*key, table.get(key)?)));
    let Some((key, field)) = given.next() else {
        return table.need("topics", "a list of topics such as `[\"orders\"]`").map(drop);
    };
    if let Some((other, field)) = given.next() {
        return Err(field.refuse(format!("found both `{key}` and `{other}`, allowed is one of them")));
    }
    if key == "topics-pattern" {
        return own(&field, &field.string()?, spec);
    }
    let names = field.strings()?;
    if names.is_empty() {
        return Err(field.wrong(if key == "topics" { "at least one topic" } else { "at least one partition" }));
    }
    own(&field, &names.join(","), spec)
}

fn own(field: &Field, text: &str, spec: &mut ConsumerSpec) -> Result<(), ScenarioError> {
    spec.set_own(field.key(), text).map_err(|allowed| field.wrong(&allowed))
}

fn steps<'a>(top: Fields<'a>) -> Result<Placed<'a, Step>, ScenarioError> {
    let step = |table: Fields<'a>| {
        let at = table.need("at", units::DURATION)?.instant()?;
        let run = table.get("run").map(|field| command(&field)).transpose()?;
        let caption = table.get("caption").map(|field| field.string()).transpose()?;
        if run.is_none() && caption.is_none() {
            return Err(table.refuse("found neither `run` nor `caption`, allowed is at least one of them".into()));
        }
        Ok((Step { at, run, caption }, table))
    };
    let mut steps: Placed<Step> =
        top.tables("step", "[[step]]", &["at", "run", "caption"])?.into_iter().map(step).collect::<Result<_, _>>()?;
    steps.sort_by_key(|(step, _)| step.at);
    Ok(steps)
}

fn command(field: &Field) -> Result<Command, ScenarioError> {
    let line = field.string()?;
    // A tool that is used wrongly prints its whole table of options; here the reason will do.
    let reason = |error: String| field.refuse(format!("`{line}`: {}", error.lines().next().unwrap_or_default()));
    Command::parse(&line).map_err(reason)
}

fn expects<'a>(top: Fields<'a>) -> Result<Placed<'a, Expect>, ScenarioError> {
    let expect = |table: Fields<'a>| {
        let at = |text: &str| if text == "end" { Some(At::End) } else { units::instant(text).map(At::Time) };
        let allowed = "`end` or a time such as `5s`";
        let at = or(table.get("at"), At::End, |field| field.read(at, allowed))?;
        let that = table.need("that", "`PATH OP VALUE` such as `ledger.lost == 0`")?;
        let expectation = Expectation::parse(&that.string()?).map_err(|error| that.refuse(error))?;
        Ok((Expect { at, that: expectation }, table))
    };
    top.tables("expect", "[[expect]]", &["at", "that"])?.into_iter().map(expect).collect()
}
