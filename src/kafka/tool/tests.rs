//! Tools against a cluster of canned answers: what they print, byte for byte.

use super::super::config::Compression;
use super::super::effects::Effect;
use super::super::error::ErrorCode;
use super::super::ids::{LeaderEpoch, Name, TopicId, TopicPartition};
use super::super::message::consumer_group::{ConsumerGroupDescribeResponse, DescribedConsumerGroup};
use super::super::message::*;
use super::super::record::BatchBuilder;
use super::print::uuid;
use super::*;

/// Runs a tool until it ends; `serve` answers each request, or refuses the connection.
fn run(line: &str, serve: impl FnMut(BrokerId, Request) -> Option<Response>) -> (String, bool) {
    let (output, ok, _) = run_timed(line, serve);
    (output, ok)
}

fn run_timed(line: &str, mut serve: impl FnMut(BrokerId, Request) -> Option<Response>) -> (String, bool, Instant) {
    let words = shell_words::split(line).expect(line);
    let command = ToolCommand::parse(&words).unwrap_or_else(|error| panic!("{line}: {error}"));
    let mut tool = Tool::new(ClientId(9), command, vec![BrokerId(1), BrokerId(2)], Rng::new(1, 1));
    let mut now = Instant::ZERO;
    let mut timers = std::collections::BTreeMap::new();
    let mut inputs = vec![Input::Start];
    for _ in 0..10_000 {
        let input = if let Some(input) = inputs.pop() {
            input
        } else {
            let (timer, at) = timers
                .iter()
                .min_by_key(|(_, at)| **at)
                .map(|(timer, at): (&Timer, &Instant)| (timer.clone(), *at))
                .expect("a timer");
            timers.remove(&timer);
            now = now.max(at);
            Input::Timer(timer)
        };
        let mut out = Effects::default();
        tool.step(now, input, &mut out);
        now += Duration::millis(2);
        for effect in out.drain() {
            match effect {
                Effect::Send { to: Node::Broker(to), message: Message::Request { correlation_id, request } } => {
                    let from = Node::Broker(to);
                    inputs.push(match serve(to, request) {
                        Some(response) => {
                            Input::Message { from, message: Message::Response { correlation_id, response } }
                        }
                        None => Input::Disconnected { peer: from },
                    });
                }
                Effect::SetTimer { at, timer } => {
                    timers.insert(timer, at);
                }
                Effect::Note(Fact::ToolFinished { output, ok }) => return (output.to_string(), ok, now),
                _ => {}
            }
        }
    }
    panic!("{line} does not end");
}

fn ids(numbers: &[i32]) -> Vec<BrokerId> {
    numbers.iter().copied().map(BrokerId).collect()
}

fn partition(leader: Option<i32>, isr: &[i32], elr: &[i32]) -> PartitionMetadata {
    PartitionMetadata {
        error: ErrorCode::None,
        leader: leader.map(BrokerId),
        leader_epoch: LeaderEpoch(0),
        replicas: ids(&[1, 2, 3]),
        isr: ids(isr),
        elr: ids(elr),
        last_known_elr: vec![],
        offline_replicas: vec![],
        adding_replicas: Vec::new(),
        removing_replicas: Vec::new(),
    }
}

fn topic(name: &str, id: u32, partitions: Vec<PartitionMetadata>) -> TopicMetadata {
    TopicMetadata {
        error: ErrorCode::None,
        name: name.into(),
        id: TopicId(id),
        internal: name.starts_with("__"),
        partitions,
        configs: vec![("min.insync.replicas".into(), "2".into())],
    }
}

fn metadata() -> Response {
    Response::Metadata(MetadataResponse {
        brokers: ids(&[1, 2]).into_iter().map(|id| (id, None)).collect(),
        controller: None,
        topics: vec![
            topic("payments", 2, vec![partition(Some(2), &[2, 3], &[])]),
            topic("orders", 1, vec![partition(Some(1), &[1, 2, 3], &[]), partition(None, &[], &[3])]),
            topic("__consumer_offsets", 0, vec![partition(Some(1), &[1, 2, 3], &[])]),
        ],
    })
}

fn result(error: ErrorCode, message: &str) -> Vec<TopicResult> {
    let message = (!message.is_empty()).then(|| message.into());
    vec![TopicResult { name: "orders".into(), error, message }]
}

#[test]
fn list_prints_names_in_order() {
    let list = |line: &str| run(line, |_, _| Some(metadata())).0;
    assert_eq!(list("kafka-topics --list"), "__consumer_offsets\norders\npayments\n");
    assert_eq!(list("kafka-topics --list --exclude-internal"), "orders\npayments\n");
    assert_eq!(list("kafka-topics --list --topic 'o.*,payments'"), "orders\npayments\n");
    assert_eq!(list("kafka-topics --list --topic order"), "\n");
}

#[test]
fn describe_is_laid_out_with_tabs() {
    let (output, ok) = run("kafka-topics --describe --topic orders --bootstrap-server b:9092", |_, _| Some(metadata()));
    let id = uuid(TopicId(1));
    assert!(ok);
    assert_eq!(
        output,
        format!(
            "Topic: orders\tTopicId: {id}\tPartitionCount: 2\tReplicationFactor: 3\tConfigs: min.insync.replicas=2\n\
             \tTopic: orders\tPartition: 0\tLeader: 1\tReplicas: 1,2,3\tIsr: 1,2,3\tElr: \tLastKnownElr: \n\
             \tTopic: orders\tPartition: 1\tLeader: none\tReplicas: 1,2,3\tIsr: \tElr: 3\tLastKnownElr: \n"
        )
    );
}

#[test]
fn the_partition_filters_print_partitions_only() {
    let describe = |filter: &str| run(&format!("kafka-topics --describe {filter}"), |_, _| Some(metadata())).0;
    let offline = "\tTopic: orders\tPartition: 1\tLeader: none\tReplicas: 1,2,3\tIsr: \tElr: 3\tLastKnownElr: \n";
    let smaller = "\tTopic: payments\tPartition: 0\tLeader: 2\tReplicas: 1,2,3\tIsr: 2,3\tElr: \tLastKnownElr: \n";
    assert_eq!(describe("--unavailable-partitions"), offline);
    assert_eq!(describe("--under-min-isr-partitions"), offline);
    assert_eq!(describe("--at-min-isr-partitions"), smaller);
    assert_eq!(describe("--under-replicated-partitions"), format!("{offline}{smaller}"));
}

#[test]
fn a_topic_that_does_not_exist_is_an_error_unless_it_need_not() {
    let (output, ok) = run("kafka-topics --describe --topic x", |_, _| Some(metadata()));
    assert!(!ok);
    assert!(
        output.starts_with("Error while executing topic command : Topic 'x' does not exist as expected\n"),
        "{output}"
    );
    assert_eq!(run("kafka-topics --delete --topic x --if-exists", |_, _| Some(metadata())), (String::new(), true));
}

#[test]
fn create_says_so_and_its_failure_is_kafkas() {
    let create = "kafka-topics --create --topic orders --partitions 3 --replication-factor 2 --config retention.ms=5";
    let serve = |_, request| match request {
        Request::CreateTopics(create) => {
            assert_eq!((create.topics[0].partitions, create.topics[0].replication_factor), (Some(3), Some(2)));
            assert_eq!(create.topics[0].configs, [(Name::from("retention.ms"), Name::from("5"))]);
            Some(Response::CreateTopics(CreateTopicsResponse { topics: result(ErrorCode::None, "") }))
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(run(create, serve), ("Created topic orders.\n".into(), true));
    let refuse = |_, _| {
        let topics = result(ErrorCode::TopicAlreadyExists, "Topic 'orders' already exists.");
        Some(Response::CreateTopics(CreateTopicsResponse { topics }))
    };
    let (output, ok) = run(create, refuse);
    assert!(!ok);
    assert!(output.starts_with("Error while executing topic command : Topic 'orders' already exists.\n"), "{output}");
    assert!(output.contains("org.apache.kafka.common.errors.TopicExistsException"), "{output}");
    assert_eq!(run(&format!("{create} --if-not-exists"), refuse), (String::new(), true));
}

#[test]
fn alter_asks_for_the_number_and_prints_nothing() {
    let serve = |_, request| match request {
        Request::Metadata(_) => Some(metadata()),
        Request::CreatePartitions(create) => {
            assert_eq!(create.topics, [(Name::from("orders"), 6)]);
            Some(Response::CreatePartitions(CreatePartitionsResponse { topics: result(ErrorCode::None, "") }))
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(run("kafka-topics --alter --topic orders --partitions 6", serve), (String::new(), true));
}

#[test]
fn a_tool_asks_another_broker_and_gives_up_after_a_minute() {
    let mut asked = Vec::new();
    let (output, _) = run("kafka-topics --list", |broker, _| {
        asked.push(broker.0);
        (broker.0 == 2).then(metadata)
    });
    assert_eq!(asked, [1, 2]);
    assert!(output.starts_with("__consumer_offsets\n"));

    let (output, ok, at) = run_timed("kafka-topics --list", |_, _| None);
    assert!(!ok);
    assert!(at >= Instant::ZERO + API_TIMEOUT && at <= Instant::ZERO + Duration::secs(63), "{at}");
    let reason = "Timed out waiting for a node assignment. Call: listTopics";
    assert!(output.starts_with(&format!("Error while executing topic command : {reason}\n")), "{output}");
}

fn member(id: &str, partitions: &[u32]) -> DescribedMember {
    DescribedMember {
        member_id: format!("consumer-{id}-uuid").as_str().into(),
        group_instance_id: None,
        client_id: format!("consumer-{id}").as_str().into(),
        host: format!("/consumer-{id}").as_str().into(),
        assignment: partitions.iter().map(|partition| (Name::from("orders"), *partition)).collect(),
    }
}

fn listed(group: &str, state: &str) -> ListedGroup {
    ListedGroup { group: group.into(), kind: "Classic".into(), state: state.into(), protocol_type: "consumer".into() }
}

fn group_cluster(
    state: &'static str,
    members: Vec<DescribedMember>,
) -> impl FnMut(BrokerId, Request) -> Option<Response> {
    move |broker, request| {
        Some(match request {
            Request::Metadata(_) => metadata(),
            Request::ListGroups(request) => {
                assert!(request.types.contains(&"Classic".into()));
                let is_wanted = broker.0 == 2 && (request.states.is_empty() || request.states.contains(&state.into()));
                let groups = if is_wanted { vec![listed("g", state)] } else { vec![] };
                Response::ListGroups(ListGroupsResponse { error: ErrorCode::None, groups })
            }
            Request::FindCoordinator(_) => {
                let coordinator = Some(BrokerId(2));
                Response::FindCoordinator(FindCoordinatorResponse { error: ErrorCode::None, coordinator })
            }
            Request::ConsumerGroupDescribe(request) => {
                let unknown = |group: &Name| DescribedConsumerGroup::unknown(group.clone(), ErrorCode::GroupIdNotFound);
                let groups = request.groups.iter().map(unknown).collect();
                Response::ConsumerGroupDescribe(ConsumerGroupDescribeResponse { groups })
            }
            Request::DescribeGroups(request) => {
                assert_eq!(broker.0, 2, "only the coordinator knows");
                let known = *request.groups[0] == *"g";
                Response::DescribeGroups(DescribeGroupsResponse {
                    groups: vec![DescribedGroup {
                        error: if known { ErrorCode::None } else { ErrorCode::GroupIdNotFound },
                        group: request.groups[0].clone(),
                        state: state.into(),
                        protocol_type: "consumer".into(),
                        protocol: "range".into(),
                        members: members.clone(),
                    }],
                })
            }
            Request::OffsetFetch(_) => {
                let committed = |topic, partition| TopicPartition::new(TopicId(topic), partition);
                Response::OffsetFetch(OffsetFetchResponse {
                    error: ErrorCode::None,
                    partitions: vec![(committed(1, 0), 7, Some(LeaderEpoch(3))), (committed(2, 0), 5, None)],
                })
            }
            Request::ListOffsets(request) => Response::ListOffsets(ListOffsetsResponse {
                partitions: request
                    .partitions
                    .iter()
                    .map(|(partition, ..)| (*partition, ErrorCode::None, 10, LeaderEpoch(0)))
                    .collect(),
            }),
            other => panic!("{other:?}"),
        })
    }
}

#[test]
fn groups_are_listed_with_what_was_asked_for() {
    let list =
        |options: &str| run(&format!("kafka-consumer-groups --list {options}"), group_cluster("Stable", vec![])).0;
    assert_eq!(list(""), "g\n");
    let spaces = |count: usize| " ".repeat(count);
    assert_eq!(
        list("--state"),
        format!("GROUP{} STATE{}\ng{} Stable{}\n", spaces(20), spaces(15), spaces(24), spaces(14))
    );
    assert_eq!(list("--state empty"), format!("GROUP{} STATE{}\n", spaces(20), spaces(15)));
    assert!(list("--state --type").starts_with(&format!(
        "GROUP{} TYPE{} STATE{}\n",
        spaces(20),
        spaces(16),
        spaces(15)
    )));
}

#[test]
fn a_groups_offsets_are_a_table_after_an_empty_line() {
    let members = vec![member("c1", &[]), member("c2", &[0, 1])];
    let (output, ok) = run("kafka-consumer-groups --describe --group g", group_cluster("Stable", members));
    assert!(ok);
    let expected = "
GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID      HOST            CLIENT-ID
g               orders          0          7               10              3               consumer-c2-uuid /consumer-c2    consumer-c2
g               orders          1          -               -               -               consumer-c2-uuid /consumer-c2    consumer-c2
g               payments        0          5               10              5               -                -               -
";
    assert_eq!(output, expected);
}

#[test]
fn an_empty_group_says_that_nobody_is_there() {
    let (output, _) = run("kafka-consumer-groups --describe --all-groups", group_cluster("Empty", vec![]));
    let expected = "
Consumer group 'g' has no active members.

GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID     HOST            CLIENT-ID
g               orders          0          7               10              3               -               -               -
g               payments        0          5               10              5               -               -               -
";
    assert_eq!(output, expected);
}

#[test]
fn members_and_state_have_tables_of_their_own() {
    let cluster = || group_cluster("Stable", vec![member("c1", &[0]), member("c2", &[1])]);
    let (output, _) = run("kafka-consumer-groups --describe --group g --members", cluster());
    let expected = [
        "",
        "GROUP           CONSUMER-ID      HOST            CLIENT-ID       #PARTITIONS     ",
        "g               consumer-c1-uuid /consumer-c1    consumer-c1     1               ",
        "g               consumer-c2-uuid /consumer-c2    consumer-c2     1               ",
        "",
    ];
    assert_eq!(output, expected.join("\n"));
    let (output, _) = run("kafka-consumer-groups --describe --group g --state", cluster());
    let expected = "
GROUP           COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE                #MEMBERS
g               broker-2:9092  (2)        range                Stable               2
";
    assert_eq!(output, expected);
}

#[test]
fn an_unknown_group_is_an_error_with_exit_status_0() {
    let (output, ok) = run("kafka-consumer-groups --describe --group x", group_cluster("Stable", vec![]));
    let expected = "\nError: Executing consumer group command failed due to \
                    org.apache.kafka.common.errors.GroupIdNotFoundException: Group x not found.\n";
    assert_eq!((output.as_str(), ok), (expected, true));
}

#[test]
fn a_console_producer_sends_keys_where_kafka_puts_them() {
    let mut sent = Vec::new();
    let line = "kafka-console-producer --topic payments --reader-property parse.key=true \
                --reader-property key.separator=: <<< 'a:1' 'b:2'";
    let (output, ok) = run(line, |broker, request| match request {
        Request::Metadata(_) => Some(metadata()),
        Request::Produce(produce) => {
            assert_eq!(broker.0, 2);
            for (partition, batch) in &produce.partitions {
                let records = batch.records().expect("records");
                let text =
                    |bytes: Option<bytes::Bytes>| String::from_utf8(bytes.unwrap_or_default().to_vec()).expect("text");
                sent.extend(records.map(|record| (partition.partition, text(record.key), text(record.value))));
            }
            let answer = |partition: &TopicPartition| PartitionProduceResponse {
                partition: *partition,
                error: ErrorCode::None,
                base_offset: 0,
                log_start_offset: 0,
                current_leader: None,
            };
            let partitions = produce.partitions.iter().map(|(partition, _)| answer(partition)).collect();
            Some(Response::Produce(ProduceResponse { partitions }))
        }
        other => panic!("{other:?}"),
    });
    assert_eq!((output.as_str(), ok), ("", true));
    assert_eq!(sent, [(0, "a".into(), "1".into()), (0, "b".into(), "2".into())]);
}

#[test]
fn a_console_consumer_prints_what_was_there_and_ends() {
    let serve = |_, request| {
        Some(match request {
            Request::Metadata(_) => metadata(),
            Request::ListOffsets(list) => Response::ListOffsets(ListOffsetsResponse {
                partitions: list
                    .partitions
                    .iter()
                    .map(|(partition, _, spec)| {
                        let offset = if *spec == OffsetSpec::Latest { 2 } else { 0 };
                        (*partition, ErrorCode::None, offset, LeaderEpoch(0))
                    })
                    .collect(),
            }),
            Request::Fetch(fetch) => {
                let mut builder = BatchBuilder::new(Compression::None);
                builder.append(1_767_225_600_000, Some(b"k"), Some(b"v"), &[("h", Some(b"1"))]);
                builder.append(1_767_225_600_001, None, None, &[]);
                Response::Fetch(FetchResponse {
                    partitions: vec![FetchedPartition {
                        partition: fetch.partitions[0].partition,
                        error: ErrorCode::None,
                        high_watermark: 2,
                        last_stable_offset: 2,
                        log_start_offset: 0,
                        diverging_epoch: None,
                        current_leader: None,
                        preferred_read_replica: None,
                        batches: vec![builder.build()],
                    }],
                })
            }
            other => panic!("{other:?}"),
        })
    };
    let consume = |options: &str| run(&format!("kafka-console-consumer --topic payments {options}"), serve).0;
    assert_eq!(consume("--from-beginning"), "v\nnull\nProcessed a total of 2 messages\n");
    assert_eq!(consume("--from-beginning --max-messages 1"), "v\nProcessed a total of 1 messages\n");
    assert_eq!(consume("--partition 0 --offset 1"), "null\nProcessed a total of 1 messages\n");
    assert_eq!(consume(""), "Processed a total of 0 messages\n");
    let all = "timestamp partition offset delivery epoch headers key"
        .split(' ')
        .map(|field| format!(" --formatter-property print.{field}=true"))
        .collect::<String>();
    assert_eq!(
        consume(&format!("--from-beginning{all}")),
        "CreateTime:1767225600000\tPartition:0\tOffset:0\tDelivery:NOT_PRESENT\tEpoch:NOT_PRESENT\th:1\tk\tv\n\
         CreateTime:1767225600001\tPartition:0\tOffset:1\tDelivery:NOT_PRESENT\tEpoch:NOT_PRESENT\tNO_HEADERS\tnull\tnull\n\
         Processed a total of 2 messages\n"
    );
}

#[test]
fn wrong_usage_says_why_and_prints_the_options() {
    for (line, reason) in [
        (
            "kafka-topics --list --create",
            "Command must include exactly one action: --list, --describe, --create, --alter or --delete",
        ),
        ("kafka-topics --create", "Missing required argument \"[topic]\""),
        ("kafka-topics --list --partitions 3", "Option \"[partitions]\" can't be used with option \"[list]\""),
        (
            "kafka-topics --create --topic t --partitions 1 --replica-assignment 1:2",
            "Option \"[replica-assignment]\" can't be used with option \"[partitions]\"",
        ),
        ("kafka-topics --lisp", "lisp is not a recognized option"),
        ("kafka-topics --create --topic", "Option topic requires an argument"),
        ("kafka-topics --create --topic t --partitions x", "Cannot parse argument 'x' of option partitions"),
        ("kafka-consumer-groups --describe", "Option [describe] takes one of these options: [group], [all-groups]"),
        ("kafka-console-consumer --offset 3 --topic t", "The partition is required when offset is specified."),
        (
            "kafka-console-producer --topic t --reader-property parse.key=true <<< abc",
            "No key separator found on line number 1: 'abc'",
        ),
    ] {
        let words = shell_words::split(line).expect(line);
        let error = ToolCommand::parse(&words).expect_err(line);
        assert_eq!(error.lines().next(), Some(reason), "{line}");
    }
    let error = ToolCommand::parse(&["kafka-topics".to_owned(), "--nope".to_owned()]).expect_err("no such option");
    assert_eq!(error.lines().nth(1).map(|line| line.split_whitespace().collect()), Some(vec!["Option", "Description"]));
}

#[test]
fn help_and_version_ask_nobody() {
    assert_eq!(run("kafka-topics --version", |_, _| panic!("asked")), ("4.3.1\n".into(), true));
    let (help, ok) = run("kafka-console-producer --help", |_, _| panic!("asked"));
    assert!(ok && help.contains("--topic <topic>") && help.contains("<<<"), "{help}");
}

#[test]
fn what_a_consumer_groups_command_lacks_it_says_in_kafkas_words() {
    let refused = |options: &str| {
        let words = shell_words::split(&format!("kafka-consumer-groups {options}")).expect(options);
        let why = ToolCommand::parse(&words).expect_err(options);
        why.lines().next().unwrap_or_default().to_owned()
    };
    let actions = "--list, --describe, --delete, --reset-offsets, --delete-offsets";
    assert_eq!(refused("--group g"), format!("Command must include exactly one action: {actions}"));
    assert_eq!(refused("--list --delete --group g"), format!("Command must include exactly one action: {actions}"));
    assert_eq!(
        refused("--delete --group g --topic t"),
        "The consumer does not support topic-specific offset deletion from a consumer group."
    );
    assert_eq!(refused("--delete"), "Option [delete] takes one of these options: [group], [all-groups]");
    assert_eq!(
        refused("--delete-offsets --group g"),
        "Option [delete-offsets] takes the following options: [group], [topic]"
    );
    assert_eq!(
        refused("--reset-offsets --group g --topic t --to-earliest --dry-run --execute"),
        "Option [reset-offsets] only accepts one of [execute] and [dry-run]"
    );
    assert_eq!(
        refused("--reset-offsets --group g --topic t --to-earliest --to-latest"),
        "Option \"[to-earliest]\" can't be used with option \"[to-latest]\""
    );
    assert_eq!(
        refused("--reset-offsets --group g --to-earliest"),
        "One of the reset scopes should be defined: --all-topics, --topic."
    );
    assert_eq!(
        refused("--reset-offsets --group g --all-topics"),
        "Option '[reset-offsets]' requires one of the following scenarios: [[to-offset], [to-datetime], [by-duration], \
         [to-earliest], [to-latest], [to-current], [shift-by], [from-file]]"
    );
    assert_eq!(
        refused("--reset-offsets --group g --topic t:x --to-earliest"),
        "Invalid partition 'x' specified in topic arg 't:x''"
    );
    assert_eq!(
        refused("--reset-offsets --group g --topic t --to-datetime yesterday"),
        "Error: Executing consumer group command failed due to java.text.ParseException: Error parsing timestamp. It does \
         not contain a 'T' according to ISO8601 format"
    );
    assert_eq!(
        refused("--reset-offsets --group g --topic t --by-duration 5m"),
        "Error: Executing consumer group command failed due to Text cannot be parsed to a Duration"
    );
    assert_eq!(
        refused("--reset-offsets --group g --members --topic t --to-earliest"),
        "Option(s) [members] are unavailable given other options on the command line"
    );
    assert_eq!(
        refused("--describe --group g --all-groups"),
        "Option \"[group]\" can't be used with option \"[all-groups]\""
    );
}
