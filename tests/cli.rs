//! The command line: what it prints, where, and with which exit status.

#![cfg(not(target_arch = "wasm32"))]

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

const HELLO: &str = "scenarios/hello.toml";

fn brokerscope(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brokerscope"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(args).output().expect("brokerscope runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

fn report(args: &[&str]) -> (Value, Option<i32>) {
    let output = brokerscope(args);
    (serde_json::from_slice(&output.stdout).expect("JSON"), output.status.code())
}

/// A scenario file with this text, under a name of its own.
fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("a file");
    path
}

#[test]
fn a_run_ends_with_0_when_everything_holds() {
    let (report, status) = report(&["run", HELLO, "--json"]);
    assert_eq!(status, Some(0));
    assert_eq!(report["format"], 1);
    assert_eq!(report["now_us"], 30_000_000);
    assert_eq!(report["ledger"]["acked"], 10);
    assert_eq!(report["violations"], serde_json::json!([]));
    let table = brokerscope(&["run", HELLO]);
    assert!(stdout(&table).contains("test-topic-2") && stdout(&table).contains("holds"), "{}", stdout(&table));
}

#[test]
fn a_comparison_has_every_protocol_and_says_what_each_rebalance_cost() {
    const CRASH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/redelivery.toml");
    let (report, status) = report(&["run", "--compare", CRASH, "--json"]);
    assert_eq!(status, Some(0));
    assert_eq!(report["format"], 1);
    let protocols = report["protocols"].as_array().expect("a list");
    let names: Vec<&str> = protocols.iter().filter_map(|protocol| protocol["protocol"].as_str()).collect();
    assert_eq!(names, ["eager", "cooperative", "consumer"]);
    for protocol in protocols {
        let group = &protocol["groups"]["bank"];
        let last = group["rebalances"].as_array().and_then(|list| list.last()).expect("a rebalance");
        assert_eq!(last["moved"], 1, "{protocol}");
        let unread = last["unread_us"].as_u64().expect("a number");
        assert!(unread > 4_000_000, "nobody reads the dead member's partition until its session ends: {protocol}");
        assert!(group["total"]["unread_us"].as_u64().is_some_and(|total| total >= unread));
    }
    let table = stdout(&brokerscope(&["run", "--compare", CRASH]));
    assert!(table.contains("PROTOCOL") && table.contains("cooperative"), "{table}");
}

#[test]
fn an_expectation_that_does_not_hold_gives_1() {
    let path = file("fails.toml", "format = 1\nduration = \"1s\"\n[[expect]]\nthat = \"ledger.sent == 1\"");
    let output = brokerscope(&["run", path.to_str().expect("a path")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("FAILS"), "{}", stdout(&output));
}

#[test]
fn a_wrong_file_or_command_gives_2_and_says_why_on_stderr() {
    let path = file("wrong.toml", "format = 1\nduraton = \"1s\"");
    let wrong = path.to_str().expect("a path");
    for (args, part) in [
        (&["run", wrong][..], "line 2: `duraton`"),
        (&["run", "no-such-file.toml"], "no-such-file.toml"),
        (&["run", HELLO, "--at", "5s kil broker-1"], "`kil`"),
        (&["run", HELLO, "--at", "5s kill broker-9"], "broker-9"),
        (&["run", HELLO, "--at", "soon kill broker-1"], "`soon`"),
        (&["run", HELLO, "--at", "40s kill broker-1"], "`30s`"),
        (&["run", HELLO, "--until", "soon"], "soon"),
        (&["shell", HELLO, "-c", "kil broker-1"], "`kil`"),
        (&["shell", wrong, "-c", "kill broker-1"], "line 2"),
        (&["nothing"], "nothing"),
    ] {
        let output = brokerscope(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{args:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{args:?}");
    }
}

#[test]
fn the_same_run_gives_the_same_trace_and_another_seed_another() {
    let trace = || stdout(&brokerscope(&["run", HELLO, "--until", "3s", "--trace"]));
    assert_eq!(trace(), trace());
    let hash = |seed: &str| report(&["run", HELLO, "--seed", seed, "--json"]).0["trace_hash"].clone();
    assert_eq!(hash("5"), hash("5"));
    assert_ne!(hash("5"), hash("6"));
    assert_eq!(hash("5").as_str().map(str::len), Some(16));
}

#[test]
fn commands_are_given_at_their_time() {
    let (report, _) = report(&["run", HELLO, "--until", "3s", "--at", "2s kill broker-2", "--json"]);
    assert_eq!(report["cluster"]["brokers"][1]["state"], "down");
    assert_eq!(report["now_us"], 3_000_000);
}

#[test]
fn a_shell_runs_kafkas_tools_in_turn() {
    let output = brokerscope(&[
        "shell",
        HELLO,
        "-c",
        "kafka-topics.sh --create --topic orders --partitions 2 --replication-factor 3 --bootstrap-server b:9092",
        "-c",
        "kafka-console-producer --topic orders --reader-property parse.key=true --reader-property key.separator=: <<< a:1 a:2",
        "-c",
        "kafka-console-consumer --topic orders --from-beginning --formatter-property print.key=true",
        "-c",
        "kafka-topics --list",
    ]);
    let expected =
        "Created topic orders.\na\t1\na\t2\nProcessed a total of 2 messages\n__consumer_offsets\norders\ntest-topic\n";
    assert_eq!(stdout(&output), expected, "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_shell_describes_a_group_as_kafka_does() {
    let output = brokerscope(&["shell", HELLO, "-c", "kafka-consumer-groups --describe --group consumer-group"]);
    let text = stdout(&output);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let header = "GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID";
    assert_eq!(words(lines[1]).join(" "), header);
    // The member with the most partitions comes first.
    let rows: Vec<String> = lines[2..].iter().map(|line| words(line)[..6].join(" ")).collect();
    let expected = ["0 1 1 0", "1 1 1 0", "2 8 8 0"].map(|rest| format!("consumer-group test-topic {rest}"));
    assert_eq!(rows, expected, "{text}");
}

#[test]
fn a_tool_that_fails_gives_1() {
    let output = brokerscope(&["shell", HELLO, "-c", "kafka-topics --describe --topic nope"]);
    assert_eq!(output.status.code(), Some(1));
    let first = "Error while executing topic command : Topic 'nope' does not exist as expected";
    assert_eq!(stdout(&output).lines().next(), Some(first));
}

#[test]
fn a_check_without_violations_gives_0_and_the_same_sums_on_any_number_of_threads() {
    let run = |threads: &str| brokerscope(&["check", "--seeds", "1..6", "--threads", threads]);
    let one = run("1");
    assert_eq!(one.status.code(), Some(0), "{}{}", stdout(&one), stderr(&one));
    assert!(stdout(&one).starts_with("6 seeds, no violation\n"), "{}", stdout(&one));
    assert_eq!(stdout(&one), stdout(&run("3")));
}

#[test]
fn a_check_of_a_file_prints_the_shortest_run_that_fails() {
    let text = "format = 1\nduration = \"5s\"\n[[topic]]\nname = \"orders\"\npartitions = 1\nreplication-factor = 3\n\
                [[step]]\nat = \"1s\"\nrun = \"pause broker-3\"\n[[step]]\nat = \"2s\"\nrun = \"kill broker-2\"\n\
                [[expect]]\nthat = \"cluster.brokers.1.state == \\\"running\\\"\"\n";
    let path = file("shrinks.toml", text);
    let path = path.to_str().expect("a path");
    let output = brokerscope(&["check", path, "--seeds", "3..4", "--faults", "none"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("# Seed 3 fails at "), "{}", stdout(&output));
    assert!(stdout(&output).contains("kill broker-2") && !stdout(&output).contains("pause"), "{}", stdout(&output));
    let again = file("shrunk.toml", &stdout(&output));
    let output = brokerscope(&["run", again.to_str().expect("a path")]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
}

#[test]
fn a_check_that_makes_no_sense_gives_2() {
    for args in [
        &["check", "--seeds", "9..1"][..],
        &["check", "--seeds", "many"],
        &["check", "--seeds", "1..2", "--faults", "meteor"],
        &["check", "no-such-file.toml", "--seeds", "1..2"],
    ] {
        let output = brokerscope(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{args:?}");
    }
}
