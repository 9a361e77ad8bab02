//! The conformance vectors: what Kafka itself computed, against what the engine computes.
#![cfg(not(target_arch = "wasm32"))]

use std::path::{Path, PathBuf};

use brokerscope::cli::Outcome;
use brokerscope::cli::vectors::VectorsArgs;
use serde_json::{Value, json};

/// Every kind, with a place in its file and a value that Kafka would not give there.
fn tampered() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("murmur2", "/cases/1/2", json!(1)),
        ("murmur2", "/cases/1/5", json!(7)),
        ("coordinator_partition", "/cases/20/2", json!(5)),
        ("coordinator_partition", "/cases/4/5", json!(13)),
        ("crc32c", "/cases/2/1", json!("e3069284")),
        ("varint", "/cases/8/2", json!("8102")),
        ("varint", "/cases/8/2", json!("810100")),
        ("batch_v2", "/cases/0/crc", json!(1)),
        ("batch_v2", "/cases/1/records/1/headers/0/key", json!("h9")),
        ("batch_v2", "/cases/2/producer_id", json!(4001)),
        ("batch_v2", "/cases/5/records/1/timestamp", json!(1)),
        ("batch_v2", "/cases/6/control", json!("ABORT")),
        ("batch_v2", "/cases/7/hex", json!("00")),
        ("assignor_range", "/cases/0/expect/consumer2/0", json!("topic1-1")),
        ("assignor_range", "/cases/8/expect/consumer0", json!([])),
        ("group_consumer848", "/cases/0/steps/1/resp/assignment/0/1", json!([1])),
        ("group_consumer848", "/cases/0/steps/5/state", json!("consumer|Stable|11|11|U1:10:10:STABLE;")),
        ("group_consumer848", "/cases/1/steps/4/resp/epoch", json!(4)),
        ("group_consumer848", "/cases/2/steps/0/resp/error", json!("UnknownMemberIdException")),
        ("group_classic", "/cases/0/steps/1/resp/error", json!("NONE")),
        ("group_classic", "/cases/2/steps/1/state", json!("classic|PreparingRebalance|1|1")),
        ("group_classic", "/cases/3/steps/5/advance_ms", json!(1400)),
        ("group_classic", "/cases/7/steps/3/resp/skip_assignment", json!(false)),
        ("group_classic", "/cases/8/steps/3/resp/members", json!(["M1"])),
        ("assignor_roundrobin", "/cases/1/expect/consumer3/0", json!("topic1-1")),
        ("assignor_roundrobin", "/cases/3/topics/topic2", json!(3)),
        ("assignor_sticky", "/cases/0/members/0/generation", json!(11)),
        ("assignor_sticky", "/cases/3/members/1/owned", json!(["topic1-1"])),
        ("assignor_cooperative_sticky", "/cases/1/expect/consumer2", json!(["topic-2"])),
        ("assignor_cooperative_sticky", "/cases/2/final_target/consumer3/0", json!("topic-1")),
        ("assignor_cooperative_sticky", "/cases/5/props/kept", json!(13)),
        ("assignor_server_range", "/cases/0/expect/A/T1/0", json!(1)),
        ("assignor_server_range", "/cases/4/members/2/subscription", json!(["T3"])),
        ("assignor_server_uniform", "/cases/1/members/0/owned", json!({"T1": [0], "T2": [0, 2]})),
        ("assignor_server_uniform", "/cases/1/expect/C/T1/0", json!(1)),
        ("placement", "/cases/2/expect/0", json!([3, 4, 2])),
        ("placement", "/cases/7/expect", json!([[0]])),
        ("placement", "/cases/10/expect/error", json!("InvalidPartitionsException")),
        ("high_watermark", "/cases/0/expect/after_hw", json!(9)),
        ("high_watermark", "/cases/9/under_min_isr", json!(false)),
        ("epoch_cache", "/cases/1/ops/4/2/0/1", json!(7)),
        ("epoch_cache", "/cases/4/ops/3/5", json!(12)),
        ("producer_state", "/cases/0/ops/3/result", json!("OutOfOrderSequenceException")),
        ("producer_state", "/cases/0/ops/4/result", json!(null)),
        ("producer_state", "/cases/5/ops/2/result", json!("no-txn")),
        ("reconcile_848", "/cases/1/expect/previous_member_epoch", json!(11)),
        ("reconcile_848", "/cases/2/expect/error", json!("UnknownMemberIdException")),
        ("reconcile_848", "/cases/3/expect/assigned_with_epochs/T1/7", json!(10)),
        ("log_append", "/cases/0/steps/7/expect/first_offset", json!(9)),
        ("log_append", "/cases/1/steps/5/expect/result", json!(6)),
        ("log_append", "/cases/3/steps/4/expect/lso", json!(10)),
        ("live_traces", "/cases/0/steps/5/resp/error", json!("NONE")),
        ("live_traces", "/cases/0/steps/11/resp/base_offset", json!(8)),
        ("live_traces", "/cases/1/steps/5/resp/assignment", json!([[0, 1]])),
        ("live_traces", "/cases/1/steps/13/resp/error", json!("STALE_MEMBER_EPOCH")),
        ("live_traces", "/cases/0/steps/23/resp/batches/1", json!("1..1")),
        ("truncation", "/cases/2/steps/0/truncate_to", json!(2)),
        ("truncation", "/cases/5/steps/1/diverging", json!([1, 8])),
        ("truncation", "/cases/5/end/epochs", json!([[0, 0], [2, 6]])),
        ("truncation", "/cases/7/steps/0/answer", json!("records")),
        ("partition_change", "/cases/1/expect", json!({"leader": 1})),
        ("partition_change", "/cases/7/expect/leader_recovery_state", json!("RECOVERED")),
        ("partition_change", "/cases/9/expect/leader", json!(-1)),
    ]
}

#[test]
fn the_engine_computes_what_kafka_computed() {
    let mut cases = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let file = entry.unwrap().path();
        let count = read(&file)["cases"].as_array().unwrap().len();
        let outcome = run(&file);
        assert_eq!(outcome, Outcome::success(format!("{count} passed, 0 failed\n")), "{}", file.display());
        cases += count;
    }
    assert!(cases > 150, "only {cases} cases were found");
}

#[test]
fn a_tampered_case_fails_and_no_other() {
    for (kind, place, value) in tampered() {
        let mut content = read(&folder().join(format!("{kind}.json")));
        let count = content["cases"].as_array().unwrap().len();
        *content.pointer_mut(place).unwrap_or_else(|| panic!("{kind} has no {place}")) = value;
        let outcome = run_text(kind, &content.to_string());
        assert_eq!(outcome.status, 1, "{kind} {place}: {outcome:?}");
        assert!(outcome.stdout.ends_with(&format!("{} passed, 1 failed\n", count - 1)), "{kind} {place}: {outcome:?}");
        let case: usize = place.split('/').nth(2).unwrap().parse().unwrap();
        assert!(outcome.stdout.contains(&format!("json: case {}", case + 1)), "{kind} {place}: {outcome:?}");
        assert!(
            outcome.stdout.contains("\n    expected ") && outcome.stdout.contains("\n    got      "),
            "{outcome:?}"
        );
    }
}

/// A case that asks for what this program has not is no case that passed.
#[test]
fn what_is_not_built_fails_and_says_so() {
    let fails = |kind: &str, case: &str, why: &str| {
        let outcome = run_text(kind, &format!(r#"{{"cases":[{case}]}}"#));
        assert_eq!((outcome.status, outcome.stderr.as_str()), (1, ""), "{outcome:?}");
        assert!(outcome.stdout.contains(why) && outcome.stdout.ends_with("0 passed, 1 failed\n"), "{outcome:?}");
    };
    let transactional = r#"{"steps":[{"op":"InitProducerId","req":{"transactional_id":"t"},"resp":{"error":"NONE"}}]}"#;
    fails("live_traces", transactional, "transactional ids are not built");
    fails("live_traces", r#"{"steps":[{"op":"EndTxn","req":{},"resp":{"error":"NONE"}}]}"#, "EndTxn is not built");
    fails("log_append", r#"{"steps":[{"op":"deleteOldSegments"}]}"#, "an operation that is not built");
}

#[test]
fn columns_are_found_by_their_names() {
    let outcome = run_text(
        "murmur2_of_mine",
        r#"{"meta":{"columns":["p_of_3","p_of_7","key_hex"]},"cases":[[0,0,"666f6f626172"],[0,6,"666f6f626172"]]}"#,
    );
    // The hash of `foobar` without its sign is 1,357,151,166: 0 modulo 3, and modulo 7.
    assert!(outcome.stdout.contains("p_of_7\n    expected 6\n    got      0\n"), "{outcome:?}");
    assert!(outcome.stdout.ends_with("1 passed, 1 failed\n"), "{outcome:?}");
}

#[test]
fn what_cannot_be_run_ends_with_status_2_and_one_sentence() {
    let sentence = |kind: &str, text: &str, sentence: &str| {
        let outcome = run_text(kind, text);
        assert_eq!(outcome.status, 2, "{outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
        assert!(outcome.stderr.trim_end().ends_with(sentence) || outcome.stderr.contains(sentence), "{outcome:?}");
    };
    sentence("astrology", r#"{"cases":[]}"#, "no kind of vector is called `astrology`; there are: murmur2, ");
    sentence("murmur22", r#"{"cases":[]}"#, "no kind of vector is called `murmur22`");
    sentence("murmur2", "{", "is not JSON: EOF while parsing an object at line 1 column 1");
    sentence("murmur2", "[]", "it has no list `cases`");
    sentence("murmur2", r#"{"cases":[["zz",null,1,0,0,0,0]]}"#, "it is not a text of pairs of hexadecimal digits");
    sentence("murmur2", r#"{"cases":[["00"]]}"#, "case 1 (00): it has 1 cells for 7 columns");
    sentence(
        "murmur2",
        r#"{"meta":{"columns":["key_hex","p_of_0"]},"cases":[["00",0]]}"#,
        "names no number of partitions",
    );
    sentence("varint", r#"{"cases":[["varint",2147483648,"00"]]}"#, "`value`: 2147483648 is no varint");
    sentence(
        "epoch_cache",
        r#"{"cases":[{"test":"T#t/1","ops":[["forget",1]]}]}"#,
        "none of those that the format knows",
    );
    sentence("batch_v2", r#"{"cases":[{"records":[]}]}"#, "missing field `hex`");
    sentence(
        "placement",
        r#"{"cases":[{"brokers":[],"partitions":1,"replication_factor":1}]}"#,
        "missing field `expect`",
    );
    sentence("assignor_range", r#"{"cases":[{"topics":{},"members":[]}]}"#, "missing field `expect`");
    sentence(
        "assignor_range",
        r#"{"cases":[{"topics":{"t":"three"},"members":[],"expect":{}}]}"#,
        "case 1: a topic is a number of partitions, or a table of `partitions` and `replica_racks`",
    );
    let missing = run(Path::new("murmur2-that-is-not-there.json"));
    assert!(missing.status == 2 && missing.stderr.contains("cannot be read"), "{missing:?}");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn run(file: &Path) -> Outcome {
    VectorsArgs { files: vec![file.to_owned()] }.run()
}

/// Runs a file of that name with that content.
fn run_text(kind: &str, text: &str) -> Outcome {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("vectors-{:?}", std::thread::current().id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{kind}.json"));
    std::fs::write(&file, text).unwrap();
    run(&file)
}
