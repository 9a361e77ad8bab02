use proptest::prelude::*;

use super::*;
use crate::kafka::disk::DiskKind;
use crate::kafka::ids::{BrokerId, ControllerId};

fn parsed(line: &str) -> Command {
    Command::parse(line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn node(name: &str) -> NodeName {
    NodeName::parse(name).expect(name)
}

#[test]
fn every_command_of_the_table_is_read() {
    let broker = || node("broker-1");
    assert_eq!(parsed("kill broker-1"), Command::Kill { node: broker(), power: false });
    assert_eq!(parsed("kill broker-1 power"), Command::Kill { node: broker(), power: true });
    assert_eq!(parsed("stop controller-101"), Command::Stop { node: NodeName::Controller(ControllerId(101)) });
    assert_eq!(parsed("start broker-1"), Command::Start { node: broker() });
    assert_eq!(parsed("pause broker-1"), Command::Pause { node: broker(), lasting: None });
    let lasting = Some(Duration::secs(5));
    assert_eq!(parsed("pause broker-1 for 5s"), Command::Pause { node: broker(), lasting });
    assert_eq!(parsed("resume consumer-c1"), Command::Resume { node: node("consumer-c1") });
    assert_eq!(parsed("slow broker-1 x10 for 5s"), Command::Slow { node: broker(), times: 10, lasting });
    assert_eq!(parsed("wipe broker-1"), Command::Wipe { node: broker() });
    let disk = |change| Command::Disk { node: broker(), change };
    assert_eq!(parsed("disk broker-1 full"), disk(DiskChange::Full));
    assert_eq!(parsed("disk broker-1 ok"), disk(DiskChange::Ok));
    let other = DiskChange::Other { kind: Some(DiskKind::Hdd), cache: Some(4 << 20) };
    assert_eq!(parsed("disk broker-1 hdd cache=4MiB"), disk(other));
    assert_eq!(disk(other).to_string(), "disk broker-1 hdd cache=4194304");
    for wrong in ["disk broker-1", "disk producer-shop full", "disk broker-1 empty", "disk broker-1 ssd speed=3"] {
        assert!(Command::parse(wrong).is_err(), "{wrong}");
    }
    assert_eq!(parsed("remove producer-shop"), Command::Remove { node: node("producer-shop") });
    assert_eq!(parsed("heal"), Command::Heal { link: None });
    assert_eq!(parsed("heal broker-1 broker-2"), Command::Heal { link: Some((broker(), node("broker-2"))) });
}

#[test]
fn a_cut_has_two_sides_and_one_link_needs_no_bar() {
    let cut = |line: &str| match parsed(line) {
        Command::Cut { one, other, lasting, .. } => (one.len(), other.len(), lasting),
        other => panic!("{other:?}"),
    };
    assert_eq!(cut("cut broker-1 broker-2 | broker-3 controller-101 for 2m"), (2, 2, Some(Duration::secs(120))));
    assert_eq!(cut("cut broker-1|broker-2"), (1, 1, None));
    assert_eq!(cut("cut broker-1 broker-2"), (1, 1, None));
    assert_eq!(cut("cut broker-1 broker-2 for 3s"), (1, 1, Some(Duration::secs(3))));
    let one_way = |line: &str| matches!(parsed(line), Command::Cut { one_way: true, .. });
    assert!(one_way("cut broker-1 -> broker-2 broker-3 for 3s") && one_way("cut broker-1->broker-2"));
    assert!(!one_way("cut broker-1 | broker-2"));
}

#[test]
fn a_link_keeps_what_is_not_named() {
    let Command::Link { change, .. } = parsed("link broker-1 broker-2 latency=50ms loss=5% bandwidth=10Mbit/s") else {
        panic!("no link")
    };
    assert_eq!(change.latency, Some(Duration::millis(50)));
    assert_eq!(change.loss.map(Share::millionths), Some(50_000));
    assert_eq!(change.duplicate, None);
    assert_eq!(change.bandwidth_bits_per_second, Some(10_000_000));
}

#[test]
fn things_are_added_with_kafkas_settings_beside_their_own() {
    let Command::AddTopic(topic) = parsed("add topic t partitions=2 replication-factor=1 min.insync.replicas=1") else {
        panic!("no topic")
    };
    assert_eq!((topic.partitions, topic.replication_factor), (2, 1));
    assert_eq!(topic.config, [("min.insync.replicas".to_owned(), "1".to_owned())]);
    let Command::AddProducer(producer) =
        parsed(r#"add producer shop topic=t rate=0.5 count=3 key=Key-{i} value="Hello World {i}" acks=1"#)
    else {
        panic!("no producer")
    };
    assert_eq!(producer.workload.rate, 500);
    assert!(!producer.config.enable_idempotence, "acks=1 switches idempotence off, as in Kafka");
    let mut value = Vec::new();
    producer.workload.value(4, &mut value);
    assert_eq!(value, b"Hello World 4");
    let Command::AddConsumer(consumer) = parsed("add consumer c1 group=g topics=a,b work=20ms") else {
        panic!("no consumer")
    };
    assert_eq!((consumer.group.as_deref(), consumer.topics.len()), (Some("g"), 2));
    assert_eq!(
        parsed("add broker 4 rack=a"),
        Command::AddBroker(BrokerSpec { id: BrokerId(4), rack: Some("a".into()) })
    );
}

#[test]
fn set_and_send() {
    let Command::Set { target, changes } = parsed("set producer-go rate=5 linger.ms=10 key=null") else {
        panic!("no set")
    };
    assert_eq!(target, SetTarget::Node(node("producer-go")));
    let setting = Change::Setting { key: "linger.ms".into(), value: "10".into() };
    assert_eq!(changes, [Change::Rate(5000), Change::Keys(Keys::None), setting]);
    let Command::Set { target, .. } = parsed("set topic:orders retention.ms=1000") else { panic!("no set") };
    assert_eq!(target, SetTarget::Topic("orders".into()));
    let send =
        Command::Send { producer: node("producer-go"), key: Some("a b".into()), value: None, partition: Some(2) };
    assert_eq!(parsed("send producer-go key='a b' partition=2"), send);
}

#[test]
fn kafkas_tools_are_commands_with_or_without_sh() {
    let Command::Tool(tool) = parsed("kafka-topics.sh --bootstrap-server localhost:9092 --describe --topic orders")
    else {
        panic!("no tool")
    };
    assert_eq!(tool.tool(), "kafka-topics");
}

#[test]
fn an_error_is_one_line_that_says_what_was_found_and_what_is_allowed() {
    for (line, parts) in [
        ("", &["found nothing", "kill"][..]),
        ("kil broker-1", &["`kil`", "`kill`"]),
        ("kill", &["no node", "kill NODE [power]"]),
        ("kill brokr-1", &["`brokr-1`", "broker-1"]),
        ("kill broker-1 now", &["`now`", "kill NODE [power]"]),
        ("kill broker-01", &["`broker-01`"]),
        ("pause broker-1 for 5", &["`5`", "`5s`"]),
        ("slow broker-1 10", &["`10`", "`x1`"]),
        ("slow broker-1 x0", &["`x0`", "`x1`"]),
        ("wipe producer-a", &["`producer-a`", "disk"]),
        ("cut broker-1 | ", &["both sides"]),
        ("cut broker-1 | broker-1", &["`broker-1` twice"]),
        ("link broker-1 broker-2", &["nothing to change"]),
        ("link broker-1 broker-2 loss=5", &["`loss=5`", "`100%`"]),
        ("link broker-1 broker-2 los=5%", &["`los`", "`loss`"]),
        ("link broker-1 broker-1 loss=5%", &["twice"]),
        ("add topic t partitions=0 replication-factor=1", &["`partitions=0`", "1 to 10000"]),
        ("add topic t replication-factor=1", &["no `partitions`"]),
        ("add topic a/b partitions=1 replication-factor=1", &["`a/b`", "ASCII alphanumerics"]),
        ("add producer p", &["no `topic`"]),
        ("add producer p topic=t rate=fast", &["`rate=fast`", "records per second"]),
        ("add producer p topic=t rat=1", &["`rat`", "`rate`"]),
        ("add producer p topic=t linger=1", &["`linger`"]),
        ("add producer p topic=t acks=2", &["`2`", "`acks`", "[all, -1, 0, 1]"]),
        ("add producer p topic=t enable.idempotence=true acks=1", &["`acks` must be `all`"]),
        ("add producer p topic=t rate=1 rate=2", &["`rate` twice"]),
        ("add consumer c topics=t heartbeat.interval.ms=50000", &["`heartbeat.interval.ms`", "45000"]),
        ("add something x", &["`add something`", "add broker N"]),
        ("set broker-1", &["nothing to change"]),
        ("set broker-1 replica.lag.time.max=1", &["`replica.lag.time.max.ms`"]),
        ("set nobody a=1", &["`nobody`", "`cluster`", "`topic:NAME`"]),
        ("send consumer-c1 key=a", &["`consumer-c1`", "a producer"]),
        ("send producer-a key=\"a", &["quote"]),
        ("kafka-topic --list", &["`kafka-topic`", "kafka-topics"]),
    ] {
        let error = Command::parse(line).expect_err(line);
        assert!(!error.contains('\n'), "{line}: {error}");
        for part in parts {
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}

fn any_node() -> impl Strategy<Value = NodeName> {
    prop_oneof![
        (0..100).prop_map(|id| NodeName::Broker(BrokerId(id))),
        (101..110).prop_map(|id| NodeName::Controller(ControllerId(id))),
        "[a-z][a-z0-9._-]{0,8}".prop_map(|name| NodeName::Producer(name.as_str().into())),
        "[a-z][a-z0-9._-]{0,8}".prop_map(|name| NodeName::Consumer(name.as_str().into())),
    ]
}

fn any_lasting() -> impl Strategy<Value = Option<Duration>> {
    proptest::option::of((1..10_000_000_u64).prop_map(Duration::micros))
}

fn any_text() -> impl Strategy<Value = String> {
    // Letters, quotes, spaces and other things a shell would stumble over.
    "[a-zA-Z0-9 '\"\\\\$|=,#{}äß]{0,12}"
}

fn any_template() -> impl Strategy<Value = crate::kafka::workload::Template> {
    any_text().prop_filter_map("not a template", |text| {
        crate::kafka::workload::Template::parse(&format!("{text}{{i%7}}")).ok()
    })
}

fn any_command() -> impl Strategy<Value = Command> {
    let two = || (any_node(), any_node()).prop_filter("two ends", |(a, b)| a != b);
    prop_oneof![
        (any_node(), any::<bool>()).prop_map(|(node, power)| Command::Kill { node, power }),
        any_node().prop_map(|node| Command::Stop { node }),
        (any_node(), any_lasting()).prop_map(|(node, lasting)| Command::Pause { node, lasting }),
        (any_node(), 1..1000_u32, any_lasting()).prop_map(|(node, times, lasting)| Command::Slow {
            node,
            times,
            lasting
        }),
        (two(), any_lasting()).prop_map(|((a, b), lasting)| Command::Cut {
            one: vec![a],
            other: vec![b],
            one_way: lasting.is_none(),
            lasting
        }),
        (two(), 0..1_000_000_u64, 1..1_000_000_u64).prop_map(|((a, b), latency, bandwidth)| Command::Link {
            a,
            b,
            change: LinkChange {
                latency: Some(Duration::micros(latency)),
                loss: Share::parse("0.5%"),
                duplicate: None,
                bandwidth_bits_per_second: Some(bandwidth),
            },
        }),
        (any_text(), any_text(), proptest::option::of(0..9_u32)).prop_map(|(key, value, partition)| Command::Send {
            producer: NodeName::Producer("p".into()),
            key: Some(key),
            value: Some(value),
            partition,
        }),
        (0..1_000_000_u64, any_template(), 0..10_000_u32).prop_map(|(rate, template, size)| Command::Set {
            target: SetTarget::Node(NodeName::Producer("p".into())),
            changes: vec![
                Change::Rate(rate),
                Change::Keys(Keys::Template(template)),
                Change::Values(Values::Size(size)),
                Change::Setting { key: "linger.ms".into(), value: "7".into() },
            ],
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_printed_reads_back_to_the_same_command(command in any_command()) {
        prop_assert_eq!(Command::parse(&command.to_string()), Ok(command));
    }
}

#[test]
fn what_an_application_cannot_do_is_refused() {
    for (line, found) in [
        ("seek consumer-c1 orders to 5", "found `orders`, allowed is a partition such as `orders-0`"),
        ("seek consumer-c1 orders-0 to -1", "found `-1`, allowed is an offset, `beginning` or `end`"),
        ("pause broker-1 orders-0", "found `broker-1`, allowed is a consumer: only those read partitions by position"),
        ("pause consumer-c1 orders-0 for 5s", "found `for` after partitions"),
        ("resume consumer-c1 orders-0 orders-0", "found `orders-0` twice"),
        ("add consumer c topics=a assign=a-0", "found both `topics` and `assign`, allowed is one of them"),
        ("add consumer c topics-pattern=(", "found `topics-pattern=(`, allowed is a regular expression"),
        ("add consumer c topics=a commit=maybe", "found `commit=maybe`, allowed is `none`, `sync` or `async`"),
        (
            "add consumer c topics=a on-failure=dead-letter",
            "found `on-failure` = `dead-letter` and no `dead-letter-topic`",
        ),
        ("add consumer c topics=a on-failure=panic", "allowed is `crash`, `skip`, `retry` or `dead-letter`"),
        (
            "set consumer-c1 partition.assignment.strategy=best",
            "invalid value `best` for `partition.assignment.strategy`",
        ),
        ("set consumer-c1 auto.offset.reset=by_duration:1h", "allowed: [latest, earliest, none, by_duration:"),
    ] {
        let error = Command::parse(line).unwrap_err();
        assert!(error.contains(found), "{line}: {error}");
    }
}

#[test]
fn longer_commands_read_back_too() {
    for line in [
        "add broker 4 rack=a",
        "add topic t partitions=2 replication-factor=2 assignment=1:2,2:1 min.insync.replicas=2",
        "add producer p topic=t rate=0.25 count=3 keys=Emma,Bruno value='Hello World {i}' acks=1",
        "add producer p topic=t rate=1 key='' size=100",
        "add consumer c group=g topics=a,b work=20ms auto.offset.reset=earliest",
        "add consumer c topics=a work=0s",
        "add consumer c group=g topics-pattern='orders-.*' work=0s commit=async",
        "add consumer c assign=a-0,a-12 work=0s commit=sync enable.auto.commit=false",
        "add consumer c topics=a work=0s fails-on='no number' on-failure=dead-letter dead-letter-topic=b",
        "seek consumer-c1 my-orders-10 to 5",
        "seek consumer-c1 orders-0 to beginning",
        "seek consumer-c1 orders-0 to end",
        "pause consumer-c1 orders-0 orders-1",
        "resume consumer-c1 orders-0",
        "set consumer-c1 topics=a,b commit=none fails-on=null on-failure=skip",
        "set topic:t retention.ms=1000",
        "set cluster replica.lag.time.max.ms=1000",
        "kafka-console-producer --topic t --reader-property parse.key=true --reader-property key.separator=: <<< 'a:b c' d:",
        "kafka-consumer-groups --describe --group 'my group'",
    ] {
        assert_eq!(parsed(line).to_string().replace('"', "'"), line);
        assert_eq!(parsed(&parsed(line).to_string()), parsed(line), "{line}");
    }
}
