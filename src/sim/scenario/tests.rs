use super::*;
use crate::kafka::ids::BrokerId;
use crate::kafka::workload::{Keys, Values};

/// The example of the documentation, with its comments.
const EXAMPLE: &str = r#"
format = 1
title = "Ten hellos through three brokers"
summary = "One sentence a learner reads first."
seed = 7
duration = "30s"             # where a headless run ends

[cluster]
mode = "kraft"
brokers = 3                  # broker-1 … broker-3; or [[broker]] tables: id, rack
controllers = 3              # voters of the metadata quorum (or ZooKeeper servers)
config = { "replica.lag.time.max.ms" = 30000 }   # any broker setting

[network]
latency = "2ms"              # one way, median
jitter = "1ms"
bandwidth = "1Gbit/s"

[[topic]]
name = "test-topic"
partitions = 3
replication-factor = 3
assignment = { 0 = [1, 2, 3] }                  # optional; else placed as Kafka places
config = { "min.insync.replicas" = 2 }

[[producer]]
name = "go"
topic = "test-topic"
rate = 1.0                   # records per second handed to send()
count = 10                   # optional: then it closes
key = "Key-{i}"
value = "Hello World {i}"    # or size = 100 (bytes)
start = "0s"
config = { acks = "all" }

[[consumer]]
name = "c1"
group = "consumer-group"
topics = ["test-topic"]
work = "20ms"                # time the application spends on each record
start = "0s"
config = { "auto.offset.reset" = "earliest" }

[[step]]
at = "5s"
run = "kill broker-1"        # any command below
caption = "The leader of partition 0 dies."

[[expect]]
at = "end"                   # or a time
that = "ledger.lost == 0"
"#;

#[test]
fn the_documented_example_is_a_scenario() {
    let scenario = Scenario::parse(EXAMPLE).expect("the example");
    assert_eq!(scenario.seed, 7);
    assert_eq!(scenario.duration, Duration::secs(30));
    assert_eq!(scenario.brokers.len(), 3);
    assert_eq!(scenario.cluster_config, [("replica.lag.time.max.ms".to_owned(), "30000".to_owned())]);
    assert_eq!(scenario.network.bandwidth_bits_per_second, 1_000_000_000);
    assert_eq!(scenario.topics[0].assignment[&0], [1, 2, 3].map(BrokerId));
    assert_eq!(scenario.producers[0].workload.rate, 1000);
    assert_eq!(scenario.consumers[0].work, Duration::millis(20));
    assert_eq!(scenario.steps[0].run, Command::parse("kill broker-1").ok());
    assert_eq!(scenario.expects[0].at, At::End);
}

#[test]
fn what_is_not_said_has_a_default() {
    let scenario = Scenario::parse("format = 1\n[[topic]]\nname = \"t\"\n[[producer]]\nname = \"p\"\ntopic = \"t\"")
        .expect("a short one");
    assert_eq!(scenario.brokers.len(), 3);
    assert_eq!(scenario.controllers, 3);
    // num.partitions and default.replication.factor
    assert_eq!((scenario.topics[0].partitions, scenario.topics[0].replication_factor), (1, 1));
    assert_eq!(scenario.producers[0].workload.keys, Keys::None);
    assert_eq!(scenario.producers[0].workload.values, Values::default());
}

#[test]
fn brokers_may_stand_in_racks() {
    let scenario = Scenario::parse("format = 1\n[[broker]]\nid = 5\nrack = \"a\"\n[[broker]]\nid = 7").expect("racks");
    let ids: Vec<_> = scenario.brokers.iter().map(|broker| (broker.id.0, broker.rack.as_deref())).collect();
    assert_eq!(ids, [(5, Some("a")), (7, None)]);
}

#[test]
fn a_cluster_may_live_by_rules_of_old() {
    let rule =
        |compat: &str| Scenario::parse(&format!("format = 1\n[cluster]\n{compat}")).map(|found| found.truncation);
    assert_eq!(rule(""), Ok(TruncationRule::DivergingEpoch));
    assert_eq!(rule("compat = \"pre-kip-101\""), Ok(TruncationRule::HighWatermark));
    assert_eq!(rule("compat = \"pre-kip-279\""), Ok(TruncationRule::RequestedEpoch));
    let error = rule("compat = \"0.10\"").expect_err("no rule is called so");
    let what = "found \"0.10\", allowed is \"pre-kip-101\" or \"pre-kip-279\"; without it today's rules hold";
    assert_eq!((error.line, error.what.as_str()), (3, what));
}

#[test]
fn a_setting_may_stand_without_quotes() {
    let quoted =
        Scenario::parse("format = 1\n[cluster]\nconfig = { \"num.partitions\" = 2, \"message.max.bytes\" = 5 }");
    let plain = Scenario::parse("format = 1\n[cluster]\nconfig = { num.partitions = 2, message.max.bytes = 5 }");
    assert_eq!(quoted, plain);
    assert!(plain.is_ok());
}

#[test]
fn steps_are_in_the_order_of_time() {
    let text = "format = 1\n[[step]]\nat = \"9s\"\nrun = \"kill broker-1\"\n[[step]]\nat = \"2s\"\ncaption = \"Look.\"";
    let scenario = Scenario::parse(text).expect("steps");
    assert_eq!(scenario.steps[0].caption.as_deref(), Some("Look."));
}

/// A step may use what an earlier one added, in the order of time and not of the file.
#[test]
fn steps_know_what_was_added_before() {
    let text = r#"format = 1
[[step]]
at = "2s"
run = "kill broker-4"
[[step]]
at = "1s"
run = "add broker 4""#;
    assert!(Scenario::parse(text).is_ok());
    let error = Scenario::parse(&text.replace("\"1s\"", "\"3s\"")).expect_err("too late");
    assert_eq!(error.line, 4, "{error}");
}

/// Replaces a line of the example and expects it to be turned away there.
fn refused(old: &str, new: &str, line_of: &str, parts: &[&str]) {
    assert!(EXAMPLE.contains(old), "{old}");
    let text = EXAMPLE.replacen(old, new, 1);
    let error = Scenario::parse(&text).expect_err(new);
    let line = 1 + text.lines().position(|line| line.contains(line_of)).expect(line_of);
    assert_eq!(error.line as usize, line, "{error}");
    let sentence = error.to_string();
    assert!(!sentence.contains('\n'), "{sentence}");
    assert!(sentence.starts_with(&format!("line {line}: ")), "{sentence}");
    for part in parts {
        assert!(sentence.contains(part), "{part} is missing: {sentence}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    refused(
        "partitions = 3",
        "partition = 3",
        "partition = 3",
        &["`partition` in [[topic]]", "`partitions`", "`config`"],
    );
    refused("seed = 7", "sed = 7", "sed = 7", &["`sed`", "did you mean `seed`?", "`duration`"]);
    refused("[network]", "[netwrk]", "[netwrk]", &["`netwrk`", "`network`"]);
}

#[test]
fn a_bad_value_is_refused_with_what_is_allowed() {
    refused(
        "partitions = 3",
        "partitions = 0",
        "partitions = 0",
        &["`partitions` in [[topic]]", "found 0", "1 to 10000"],
    );
    refused("partitions = 3", "partitions = \"x\"", "partitions = \"x\"", &["found \"x\"", "1 to 10000"]);
    refused("\"30s\"", "\"30 parsecs\"", "parsecs", &["`duration`", "\"30 parsecs\"", "`5s`"]);
    refused("\"30s\"", "30", "duration = 30", &["`duration`", "found 30", "in quotes"]);
    refused("seed = 7", "seed = -7", "seed = -7", &["`seed`", "found -7", "from 0 on"]);
    refused("rate = 1.0", "rate = -1.0", "rate = -1.0", &["`rate` in [[producer]]", "-1.0", "records per second"]);
    refused("\"1Gbit/s\"", "\"1Gb\"", "1Gb", &["`bandwidth` in [network]", "`1Gbit/s`"]);
    refused(
        "\"kraft\"",
        "\"raft\"",
        "\"raft\"",
        &["`mode` in [cluster]", "found \"raft\"", "\"kraft\" or \"zookeeper\""],
    );
    refused("\"Key-{i}\"", "\"Key-{i%0}\"", "Key-{i%0}", &["`key` in [[producer]]", "`{i%0}`", "`{i%5}`"]);
    refused("format = 1", "format = 2", "format = 2", &["`format`", "found 2", "allowed is 1"]);
    refused("controllers = 3", "controllers = 0", "controllers = 0", &["`controllers` in [cluster]", "1 to 9"]);
    refused("name = \"c1\"", "name = \"c 1\"", "c 1", &["`name` in [[consumer]]", "\"c 1\"", "letters"]);
    refused("name = \"test-topic\"", "name = \"test topic\"", "test topic", &["ASCII alphanumerics"]);
    refused("at = \"5s\"", "at = \"soon\"", "soon", &["`at` in [[step]]", "\"soon\"", "`5s`"]);
    refused("value = \"Hello World {i}\"", "value = \"a\"\nsize = 3", "value = \"a\"", &["both `value` and `size`"]);
}

#[test]
fn what_is_no_toml_is_refused_with_its_line() {
    refused("seed = 7", "seed = ", "seed = ", &["TOML"]);
    refused("seed = 7", "seed = 7\nseed = 8", "seed = 8", &["TOML", "duplicate"]);
}

#[test]
fn a_name_that_does_not_exist_is_refused() {
    refused("topic = \"test-topic\"", "topic = \"tset\"", "tset", &["`topic` in [[producer]]", "`tset`", "test-topic"]);
    refused("[\"test-topic\"]", "[\"other\"]", "other", &["`topics` in [[consumer]]", "`other`", "test-topic"]);
    refused("kill broker-1", "kill broker-9", "kill broker-9", &["`run` in [[step]]", "`broker-9`", "broker-3"]);
    refused("kill broker-1", "kil broker-1", "kil broker-1", &["`run` in [[step]]", "`kil`", "`kill`"]);
    refused(
        "{ 0 = [1, 2, 3] }",
        "{ 0 = [1, 2, 9] }",
        "[1, 2, 9]",
        &["`assignment` in [[topic]]", "broker 9", "1, 2, 3"],
    );
    refused("{ 0 = [1, 2, 3] }", "{ 3 = [1, 2, 3] }", "{ 3 =", &["partition 3", "0 to 2"]);
    refused("{ 0 = [1, 2, 3] }", "{ 0 = [1, 2] }", "[1, 2]", &["2 replicas", "3"]);
    refused("{ 0 = [1, 2, 3] }", "{ 0 = [1, 2, 2] }", "[1, 2, 2]", &["broker 2 twice"]);
}

#[test]
fn a_name_comes_once() {
    let extra = "[[consumer]]\nname = 'c1'\ntopics = [\"test-topic\"]\n[[step]]";
    refused("[[step]]", extra, "name = 'c1'", &["`name` in [[consumer]]", "`c1` a second time"]);
}

#[test]
fn a_setting_that_kafka_would_refuse_is_refused() {
    refused(
        "acks = \"all\"",
        "acks = 2",
        "acks = 2",
        &["`config` in [[producer]]", "`acks`", "`2`", "[all, -1, 0, 1]"],
    );
    refused("acks = \"all\"", "ack = 1", "ack = 1", &["`ack`", "did you mean `acks`?"]);
    refused("acks = \"all\"", "acks = 1, \"enable.idempotence\" = true", "acks = 1", &["`acks` must be `all`"]);
    refused("acks = \"all\"", "\"max.in.flight.requests.per.connection\" = 6", "= 6", &["at most 5"]);
    refused("acks = \"all\"", "\"delivery.timeout.ms\" = 100", "delivery", &["`delivery.timeout.ms` is 100", "30005"]);
    refused(
        "\"auto.offset.reset\" = \"earliest\"",
        "\"session.timeout.ms\" = 3000",
        "session.timeout.ms",
        &["`heartbeat.interval.ms`"],
    );
    refused(
        "\"replica.lag.time.max.ms\" = 30000",
        "\"replica.lag.time.max.ms\" = 100",
        "= 100",
        &["`replica.fetch.wait.max.ms`"],
    );
    refused("\"min.insync.replicas\" = 2", "\"min.insync.replicas\" = 0", "= 0", &["`min.insync.replicas`", "[1,...]"]);
    refused("\"min.insync.replicas\" = 2", "\"minsync\" = 2", "minsync", &["`minsync`", "min.insync.replicas"]);
    refused("replication-factor = 3", "replication-factor = 4", "factor = 4", &["found 4", "at most 3"]);
}

#[test]
fn an_expectation_must_be_readable_and_in_time() {
    refused("ledger.lost == 0", "ledger.lost = 0", "ledger.lost = 0", &["`that` in [[expect]]", "`==`"]);
    refused("at = \"end\"", "at = \"31s\"", "31s", &["`at` in [[expect]]", "\"31s\"", "`30s`"]);
}

#[test]
fn what_is_missing_is_named_with_the_line_of_its_table() {
    refused("name = \"go\"\n", "", "[[producer]]", &["`name` in [[producer]]", "found nothing"]);
    refused("at = \"5s\"\n", "", "[[step]]", &["`at` in [[step]]", "found nothing"]);
}

#[test]
fn a_scenario_is_written_so_that_it_reads_back() {
    let racks = "format = 1\n[[broker]]\nid = 5\nrack = \"a\"\n[[topic]]\nname = \"t\"\n\
                 [[producer]]\nname = \"p\"\ntopic = \"t\"\nrate = 0.25\nkeys = [\"a\", \"b\"]\nsize = \"1KiB\"";
    for text in [EXAMPLE, racks] {
        let scenario = Scenario::parse(text).expect("a scenario");
        let written = scenario.to_toml();
        assert_eq!(Scenario::parse(&written), Ok(scenario), "{written}");
    }
}

#[test]
fn what_an_application_does_is_read_and_written() {
    let cluster = "format = 1\n[[topic]]\nname = \"orders-eu\"\n[[topic]]\nname = \"dead\"\n";
    let consumer = |keys: &str| Scenario::parse(&format!("{cluster}[[consumer]]\nname = \"c\"\n{keys}"));
    for keys in [
        "group = \"g\"\ntopics-pattern = \"orders-.*\"\ncommit = \"async\"",
        "assign = [\"orders-eu-0\"]\ncommit = \"sync\"",
        "topics = [\"orders-eu\"]\nfails-on = \"x y\"\non-failure = \"retry\"",
        "topics = [\"orders-eu\"]\nfails-on = \"x\"\non-failure = \"dead-letter\"\ndead-letter-topic = \"dead\"",
    ] {
        let scenario = consumer(keys).unwrap();
        assert_eq!(Scenario::parse(&scenario.to_toml()), Ok(scenario), "{keys}");
    }
    for (keys, found) in [
        ("topics = [\"orders-eu\"]\nassign = [\"orders-eu-0\"]", "found both `topics` and `assign`"),
        ("group = \"g\"", "found nothing, allowed is a list of topics"),
        ("assign = [\"orders\"]", "allowed is partitions such as `orders-0,orders-2`"),
        ("assign = [\"ghost-0\"]", "found the topic `ghost`, which does not exist"),
        ("topics-pattern = \"(\"", "allowed is a regular expression"),
        ("topics = [\"orders-eu\"]\non-failure = \"dead-letter\"", "no `dead-letter-topic`"),
        ("topics = [\"orders-eu\"]\ndead-letter-topic = \"ghost\"", "found the topic `ghost`, which does not exist"),
    ] {
        let error = consumer(keys).unwrap_err().to_string();
        assert!(error.contains(found), "{keys}: {error}");
    }
}
