//! What the controllers promise, with brokers that come and go.

use super::super::error::ErrorCode;
use super::super::fact::Fact;
use super::super::ids::{
    BrokerEpoch, BrokerId, ControllerId, LeaderEpoch, Name, Node, PartitionEpoch, TopicId, TopicPartition,
};
use super::super::lifecycle::Phase;
use super::super::message::{
    AlterPartition, AlterPartitionRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    IncrementalAlterConfigsRequest, NewTopic, Request, Response, TopicResult,
};
use super::super::metadata::MetadataRecord;
use super::super::quorum::Role;
use super::harness::Harness;
use crate::time::Duration;

const FIRST: TopicPartition = TopicPartition::new(TopicId(0), 0);

fn broker(id: i32) -> Node {
    Node::Broker(BrokerId(id))
}

fn controller(id: i32) -> Node {
    Node::Controller(ControllerId(id))
}

/// Proposes an ISR for the first partition as broker `sender` would; epochs are given as differences to the right ones.
fn propose(
    harness: &mut Harness,
    sender: i32,
    isr: &[i32],
    (leader_epoch, partition_epoch): (i32, i32),
    replica_epochs: i64,
) -> Result<Vec<i32>, ErrorCode> {
    let state = harness.partition(FIRST).clone();
    let brokers = harness.controller(101).image().brokers.clone();
    let epoch_of = |id: i32| brokers.get(&BrokerId(id)).map_or(BrokerEpoch(-1), |known| known.epoch);
    let request = AlterPartitionRequest {
        broker: BrokerId(sender),
        broker_epoch: epoch_of(sender),
        partitions: vec![AlterPartition {
            partition: FIRST,
            leader_epoch: LeaderEpoch(state.leader_epoch.0 + leader_epoch),
            partition_epoch: PartitionEpoch(state.partition_epoch.0 + partition_epoch),
            new_isr: isr.iter().map(|id| (BrokerId(*id), BrokerEpoch(epoch_of(*id).0 + replica_epochs))).collect(),
        }],
    };
    let Some(Response::AlterPartition(answer)) = harness.ask(Request::AlterPartition(request)) else {
        panic!("no answer to AlterPartition");
    };
    let altered = answer.partitions.first().ok_or(answer.error)?;
    if altered.error.is_none() { Ok(altered.isr.iter().map(|id| id.0).collect()) } else { Err(altered.error) }
}

fn new_topic(name: &str) -> NewTopic {
    let (assignment, configs) = (vec![vec![BrokerId(1)]], Vec::new());
    NewTopic { name: name.into(), partitions: None, replication_factor: None, assignment, configs }
}

fn outcome(result: &TopicResult) -> (ErrorCode, &str) {
    (result.error, result.message.as_deref().unwrap_or(""))
}

#[test]
fn brokers_register_fenced_and_are_unfenced_once_they_know_of_themselves() {
    let harness = Harness::new(3, "2");
    let facts = harness.facts_since(crate::time::Instant::ZERO);
    let at = |wanted: &dyn Fn(&Fact) -> bool| facts.iter().position(wanted).expect("the fact");
    let active = at(&|fact| matches!(fact, Fact::ControllerActive { .. }));
    for id in 1..=3 {
        let registered = at(&|fact| matches!(fact, Fact::BrokerRegistered { broker, .. } if broker.0 == id));
        let unfenced = at(&|fact| matches!(fact, Fact::BrokerUnfenced { broker } if broker.0 == id));
        assert!(active < registered && registered < unfenced);
        assert_eq!(harness.lifecycle(id).expect("it runs").phase(), Phase::Running);
    }
}

#[test]
fn a_brokers_epoch_is_the_offset_of_its_registration() {
    let harness = Harness::new(3, "2");
    let controller = harness.controller(101);
    for batch in controller.quorum().log().read(0, controller.quorum().high_watermark()) {
        for (record, offset) in batch.records.iter().zip(batch.base_offset..) {
            if let MetadataRecord::RegisterBroker { epoch, .. } = record {
                assert_eq!(epoch.0, offset);
            }
        }
    }
}

#[test]
fn every_voter_and_every_broker_arrives_at_the_same_image() {
    let mut harness = Harness::new(3, "2");
    harness.create_topic("orders", &[], &[]);
    let expected = harness.controller(101).image().topics.clone();
    assert_eq!(expected.len(), 1);
    assert_eq!(harness.controller(102).image().topics, expected);
    assert_eq!(harness.observer(1).image().topics, expected);
    assert!(!harness.controller(102).is_active());
}

#[test]
fn a_silent_broker_is_fenced_after_its_session_and_its_partitions_move_in_one_batch() {
    let mut harness = Harness::new(3, "1");
    harness.create_topic("orders", &[&[1, 2, 3], &[2, 3, 1], &[1, 3, 2]], &[]);
    let killed = harness.now;
    harness.kill(broker(1));
    harness.run_millis(6900);
    assert!(harness.facts_since(killed).is_empty(), "its last heartbeat was at most 2 s before");
    harness.run_millis(3300);
    let facts = harness.facts_since(killed);
    let Some(Fact::BrokerFenced { broker, silent_for: Some(silent_for) }) = facts.last() else {
        panic!("not fenced: {facts:?}");
    };
    assert_eq!(*broker, BrokerId(1));
    assert!(*silent_for > Duration::secs(9) && *silent_for <= Duration::millis(10_125), "{silent_for}");
    let elected: Vec<Option<i32>> = facts
        .iter()
        .filter_map(
            |fact| if let Fact::LeaderElected { leader, .. } = fact { Some(leader.map(|id| id.0)) } else { None },
        )
        .collect();
    assert_eq!(elected, [Some(2), Some(3)]);
    let moved = harness.facts.iter().filter(|(at, _)| *at >= killed).map(|(at, _)| *at);
    assert_eq!(moved.collect::<std::collections::BTreeSet<_>>().len(), 1, "all at one moment");
    assert_eq!(harness.line("orders"), "leader=2 epoch=1 isr=2,3 elr= last=");
}

#[test]
fn below_min_isr_leavers_stay_eligible_until_they_come_back_from_a_crash() {
    // As observed on a live cluster: min ISR 2, replicas 3,1,2.
    let mut harness = Harness::new(3, "2");
    harness.create_topic("orders", &[&[3, 1, 2]], &[]);
    harness.kill(broker(3));
    harness.run_millis(11_000);
    assert_eq!(harness.line("orders"), "leader=1 epoch=1 isr=1,2 elr= last=");
    harness.kill(broker(2));
    harness.run_millis(11_000);
    assert_eq!(harness.line("orders"), "leader=1 epoch=1 isr=1 elr=2 last=");
    harness.start_broker(2);
    harness.run_millis(1000);
    assert_eq!(harness.line("orders"), "leader=1 epoch=1 isr=1 elr= last=", "it may have lost what it acknowledged");
    assert_eq!(propose(&mut harness, 1, &[1, 2], (0, 0), 0), Ok(vec![1, 2]));
    assert_eq!(harness.line("orders"), "leader=1 epoch=1 isr=1,2 elr= last=");
}

#[test]
fn the_last_leader_leads_again_after_everybody_crashed() {
    let mut harness = Harness::new(2, "1");
    harness.create_topic("orders", &[&[1, 2]], &[]);
    harness.kill(broker(2));
    harness.run_millis(11_000);
    harness.kill(broker(1));
    harness.run_millis(11_000);
    assert_eq!(harness.line("orders"), "leader=none epoch=1 isr= elr=1 last=1");
    harness.start_broker(2);
    harness.run_millis(3000);
    assert_eq!(harness.line("orders"), "leader=none epoch=1 isr= elr=1 last=1", "2 lacks what 1 acknowledged");
    harness.start_broker(1);
    harness.run_millis(3000);
    assert_eq!(harness.line("orders"), "leader=1 epoch=2 isr=1 elr= last=");
}

#[test]
fn a_topic_that_allows_it_is_led_by_whoever_is_there() {
    let mut harness = Harness::new(2, "1");
    harness.create_topic("orders", &[&[1, 2]], &[("unclean.leader.election.enable", "true")]);
    assert_eq!(propose(&mut harness, 1, &[1], (0, 0), 0), Ok(vec![1]));
    let killed = harness.now;
    harness.kill(broker(1));
    harness.run_millis(11_000);
    assert_eq!(harness.line("orders"), "leader=2 epoch=1 isr=2 elr= last=");
    let unclean = |fact: &Fact| matches!(fact, Fact::LeaderElected { unclean: true, .. });
    assert!(harness.facts_since(killed).iter().any(unclean));
}

#[test]
fn allowing_unclean_elections_later_elects_at_once() {
    let mut harness = Harness::new(2, "1");
    harness.create_topic("orders", &[&[1, 2]], &[]);
    assert_eq!(propose(&mut harness, 1, &[1], (0, 0), 0), Ok(vec![1]));
    harness.kill(broker(1));
    harness.run_millis(11_000);
    assert_eq!(harness.line("orders"), "leader=none epoch=1 isr= elr=1 last=1");
    let topics = vec![("orders".into(), "unclean.leader.election.enable".into(), Some("true".into()))];
    harness.ask(Request::IncrementalAlterConfigs(IncrementalAlterConfigsRequest {
        topics,
        cluster: Vec::new(),
        brokers: Vec::new(),
    }));
    assert_eq!(harness.line("orders"), "leader=2 epoch=2 isr=2 elr= last=");
}

#[test]
fn a_controlled_shutdown_moves_leaders_first_and_a_restart_keeps_eligibility() {
    let mut harness = Harness::new(2, "2");
    harness.create_topic("orders", &[&[1, 2]], &[]);
    let stopped = harness.now;
    harness.stop_broker(1);
    harness.run_millis(20);
    assert_eq!(harness.line("orders"), "leader=2 epoch=1 isr=2 elr=1 last=");
    assert!(harness.lifecycle(1).is_some(), "broker 2 may not know yet that it leads");
    harness.run_millis(4100);
    assert!(harness.lifecycle(1).is_none(), "it has stopped");
    let facts = harness.facts_since(stopped);
    assert!(matches!(facts[0], Fact::ControlledShutdownBegan { broker: BrokerId(1) }));
    assert_eq!(facts.last(), Some(&Fact::BrokerFenced { broker: BrokerId(1), silent_for: None }));
    harness.run_millis(10_000);
    harness.start_broker(1);
    harness.run_millis(1000);
    assert_eq!(harness.line("orders"), "leader=2 epoch=1 isr=2 elr=1 last=", "it shut down cleanly: nothing is lost");
}

#[test]
fn the_last_isr_member_may_stop_and_leaves_its_partition_offline() {
    let mut harness = Harness::new(2, "1");
    harness.create_topic("orders", &[&[1]], &[]);
    harness.stop_broker(1);
    harness.run_millis(4200);
    assert!(harness.lifecycle(1).is_none(), "it has stopped");
    assert_eq!(harness.line("orders"), "leader=none epoch=1 isr= elr=1 last=1");
    harness.run_millis(10_000);
    harness.start_broker(1);
    harness.run_millis(1000);
    assert_eq!(harness.line("orders"), "leader=1 epoch=2 isr=1 elr= last=", "unfencing elects it");
}

#[test]
fn a_broker_id_is_taken_until_the_session_of_the_crashed_one_ends() {
    let mut harness = Harness::new(1, "1");
    harness.kill(broker(1));
    harness.run_millis(100);
    harness.start_broker(1);
    harness.run_millis(5000);
    assert_eq!(harness.lifecycle(1).expect("it tries").phase(), Phase::Starting);
    harness.run_millis(7000);
    assert_eq!(harness.lifecycle(1).expect("it runs").phase(), Phase::Running);
}

#[test]
fn nothing_is_answered_before_a_majority_of_the_voters_holds_it() {
    let mut harness = Harness::new(3, "2");
    harness.kill(controller(103));
    assert_eq!(harness.create_topic("one-voter-down", &[], &[]).error, ErrorCode::None);
    harness.kill(controller(102));
    let committed = harness.controller(101).quorum().high_watermark();
    let request = DeleteTopicsRequest { topics: vec!["one-voter-down".into()], timeout: Duration::secs(30) };
    assert!(harness.ask(Request::DeleteTopics(request)).is_none());
    assert_eq!(harness.controller(101).quorum().high_watermark(), committed);
    assert!(harness.observer(1).image().topic("one-voter-down").is_some());
    harness.start_controller(102);
    harness.run_millis(2000);
    assert!(harness.observer(1).image().topic("one-voter-down").is_none());
    assert!(harness.replies.iter().any(|(_, _, reply)| matches!(reply, Response::DeleteTopics(_))));
}

#[test]
fn a_leader_without_a_majority_resigns_and_fences_nobody() {
    let mut harness = Harness::new(1, "1");
    harness.kill(controller(102));
    harness.kill(controller(103));
    // They may have fetched half a second ago.
    harness.run_millis(2400);
    assert!(harness.controller(101).is_active());
    harness.run_millis(800);
    assert!(matches!(harness.controller(101).quorum().role(), Role::Resigned { .. }));
    let lost = harness.now;
    harness.kill(broker(1));
    harness.run_millis(20_000);
    assert!(harness.facts_since(lost).is_empty());
    harness.start_controller(102);
    harness.run_millis(6000);
    let since = harness.facts_since(lost);
    assert!(
        matches!(since[..], [Fact::ControllerActive { .. }]),
        "a silent broker gets a whole session anew: {since:?}"
    );
    harness.run_millis(11_000);
    assert!(matches!(harness.facts.last(), Some((_, Fact::BrokerFenced { .. }))));
}

#[test]
fn a_leader_that_slept_too_long_does_not_take_its_own_sleep_for_the_brokers_death() {
    let mut harness = Harness::new(3, "1");
    let paused = harness.now;
    harness.pause(controller(101));
    harness.run_millis(20_000);
    harness.resume(controller(101));
    harness.run_millis(20_000);
    let fenced = |fact: &Fact| matches!(fact, Fact::BrokerFenced { .. });
    assert!(!harness.facts_since(paused).iter().any(fenced), "{:?}", harness.facts_since(paused));
    assert_ne!(harness.active(), 101, "the others have elected another one meanwhile");
    assert_eq!(harness.controller(101).quorum().leader(), Some(ControllerId(harness.active())));
}

#[test]
fn a_killed_leader_is_followed_by_one_that_knows_everything_committed() {
    let mut harness = Harness::new(3, "2");
    harness.create_topic("orders", &[&[1, 2, 3]], &[]);
    let killed = harness.now;
    harness.kill(controller(101));
    harness.run_millis(5000);
    let active = harness.active();
    assert_ne!(active, 101);
    let facts = harness.facts_since(killed);
    let Some(Fact::ControllerActive { controller, epoch }) = facts.first() else { panic!("nobody leads: {facts:?}") };
    assert!(controller.0 == active && *epoch > LeaderEpoch(1) && facts.len() == 1, "{facts:?}");
    assert_eq!(harness.line("orders"), "leader=1 epoch=0 isr=1,2,3 elr= last=");
    assert_eq!(harness.create_topic("more", &[], &[]).error, ErrorCode::None);
    harness.start_controller(101);
    harness.run_millis(3000);
    assert_eq!(harness.active(), active, "who returns follows");
    assert_eq!(harness.controller(101).image().topics, harness.controller(active).image().topics);
    assert!(harness.observer(1).image().topic("more").is_some());
}

#[test]
fn a_leader_that_loses_its_place_forgets_what_was_not_committed() {
    let mut harness = Harness::new(1, "1");
    harness.pause(controller(102));
    harness.pause(controller(103));
    let request = CreateTopicsRequest { topics: vec![new_topic("early")], timeout: Duration::secs(30) };
    assert!(harness.ask(Request::CreateTopics(request)).is_none());
    assert!(harness.controller(101).image().topic("early").is_some(), "it builds on what it decided");
    harness.run_millis(3000);
    assert!(harness.controller(101).image().topic("early").is_none(), "it has resigned");
    assert!(harness.controller(101).quorum().log().end() > harness.controller(101).quorum().high_watermark());
}

#[test]
fn a_voter_that_lost_its_disk_does_not_lead_before_it_has_the_log_again() {
    let mut harness = Harness::new(3, "2");
    harness.create_topic("orders", &[&[1, 2, 3]], &[]);
    harness.kill(controller(103));
    harness.wipe(103);
    harness.kill(controller(101));
    harness.start_controller(103);
    harness.run_millis(8000);
    assert_eq!(harness.active(), 102, "103 has nothing, and 102 has everything");
    assert_eq!(harness.line("orders"), "leader=1 epoch=0 isr=1,2,3 elr= last=");
    assert!(harness.controller(103).image().topic("orders").is_some());
}

#[test]
fn proposals_of_an_isr_are_checked_in_kafkas_order() {
    let mut harness = Harness::new(4, "1");
    harness.create_topic("orders", &[&[1, 2, 3]], &[]);
    // Every later check would fail too: the first one answers.
    assert_eq!(propose(&mut harness, 9, &[9], (1, 1), 1), Err(ErrorCode::StaleBrokerEpoch));
    assert_eq!(propose(&mut harness, 2, &[9], (1, -1), 1), Err(ErrorCode::NotController));
    assert_eq!(propose(&mut harness, 2, &[9], (-1, 1), 1), Err(ErrorCode::NotController));
    assert_eq!(propose(&mut harness, 2, &[9], (-1, -1), 1), Err(ErrorCode::FencedLeaderEpoch));
    assert_eq!(propose(&mut harness, 2, &[9], (0, -1), 1), Err(ErrorCode::InvalidRequest));
    assert_eq!(propose(&mut harness, 1, &[9], (0, -1), 1), Err(ErrorCode::InvalidUpdateVersion));
    assert_eq!(propose(&mut harness, 1, &[1, 4], (0, 0), 1), Err(ErrorCode::InvalidRequest), "4 is no replica");
    assert_eq!(propose(&mut harness, 1, &[2, 3], (0, 0), 1), Err(ErrorCode::InvalidRequest), "without the leader");
    assert_eq!(propose(&mut harness, 1, &[1, 1, 2], (0, 0), 1), Err(ErrorCode::InvalidRequest), "1 twice");
    assert_eq!(propose(&mut harness, 1, &[1, 2], (0, 0), 1), Err(ErrorCode::IneligibleReplica), "other incarnations");
    let before = harness.now;
    assert_eq!(propose(&mut harness, 1, &[1, 2, 3], (0, 0), 0), Ok(vec![1, 2, 3]), "what it is already");
    assert!(harness.facts_since(before).is_empty());
    assert_eq!(propose(&mut harness, 1, &[1, 2], (0, 0), 0), Ok(vec![1, 2]));
    assert_eq!(harness.partition(FIRST).partition_epoch, PartitionEpoch(1));
    assert_eq!(harness.partition(FIRST).leader_epoch, LeaderEpoch(0), "the leader is the same");
}

#[test]
fn a_fenced_replica_may_not_join_an_isr() {
    let mut harness = Harness::new(2, "1");
    harness.create_topic("orders", &[&[1, 2]], &[]);
    harness.kill(broker(2));
    harness.run_millis(11_000);
    assert_eq!(propose(&mut harness, 1, &[1, 2], (0, 0), 0), Err(ErrorCode::IneligibleReplica));
}

#[test]
fn new_partitions_have_every_unfenced_replica_in_their_isr() {
    let mut harness = Harness::new(3, "1");
    harness.kill(broker(1));
    harness.run_millis(11_000);
    harness.create_topic("orders", &[&[1, 2, 3]], &[]);
    assert_eq!(harness.line("orders"), "leader=2 epoch=0 isr=2,3 elr= last=");
    let refused = harness.create_topic("other", &[&[1]], &[]);
    let expected = "All brokers specified in the manual partition assignment for partition 0 are fenced or in \
                    controlled shutdown.";
    assert_eq!(outcome(&refused), (ErrorCode::InvalidReplicaAssignment, expected));
}

#[test]
fn topics_are_refused_in_kafkas_words() {
    let mut harness = Harness::new(3, "1");
    assert_eq!(outcome(&harness.create_topic("a_b", &[], &[])), (ErrorCode::None, ""));
    let mut refused = |name: &str, assignment: &[&[i32]], configs: &[(&str, &str)]| {
        let result = harness.create_topic(name, assignment, configs);
        (result.error, result.message.as_deref().unwrap_or("").to_owned())
    };
    let expect = |error, message: &str| (error, message.to_owned());
    use ErrorCode::{InvalidConfig, InvalidReplicaAssignment, InvalidTopicException, TopicAlreadyExists};
    assert_eq!(refused("a_b", &[], &[]), expect(TopicAlreadyExists, "Topic 'a_b' already exists."));
    let collides = "Topic 'a.b' collides with existing topic: a_b";
    assert_eq!(refused("a.b", &[], &[]), expect(InvalidTopicException, collides));
    let letters = "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', \
                   '_' and '-'";
    assert_eq!(refused("a b", &[], &[]), expect(InvalidTopicException, letters));
    assert_eq!(refused("..", &[], &[]), expect(InvalidTopicException, "Topic name is invalid: '..' is not allowed"));
    let unknown = "The manual partition assignment includes broker 9, but no such broker is registered.";
    assert_eq!(refused("x", &[&[1, 9]], &[]), expect(InvalidReplicaAssignment, unknown));
    let uneven = "The manual partition assignment includes a partition with 1 replica(s), but this is not consistent \
                  with previous partitions, which have 2 replica(s).";
    assert_eq!(refused("x", &[&[1, 2], &[3]], &[]), expect(InvalidReplicaAssignment, uneven));
    assert_eq!(refused("x", &[], &[("nope", "1")]), expect(InvalidConfig, "Unknown topic config name: nope"));
    let number = "Invalid value abc for configuration retention.ms: Not a number of type LONG";
    assert_eq!(refused("x", &[], &[("retention.ms", "abc")]), expect(InvalidConfig, number));
    let least = "Invalid value 0 for configuration min.insync.replicas: Value must be at least 1";
    assert_eq!(refused("x", &[], &[("min.insync.replicas", "0")]), expect(InvalidConfig, least));
}

#[test]
fn more_replicas_than_brokers_are_refused() {
    let mut harness = Harness::new(2, "1");
    let result = harness.create_topic("orders", &[], &[]);
    assert_eq!(result.error, ErrorCode::InvalidReplicationFactor);
    let expected = "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached \
                    because only 2 broker(s) are registered";
    assert!(result.message.expect("a sentence").starts_with(expected));
}

#[test]
fn partitions_only_grow_and_a_deleted_topics_id_is_not_used_again() {
    let mut harness = Harness::new(3, "1");
    harness.create_topic("orders", &[], &[]);
    let mut grow = |count| {
        let request = CreatePartitionsRequest { topics: vec![("orders".into(), count)], timeout: Duration::secs(30) };
        match harness.ask(Request::CreatePartitions(request)) {
            Some(Response::CreatePartitions(answer)) => answer.topics[0].clone(),
            other => panic!("no answer: {other:?}"),
        }
    };
    let fewer = "The topic orders currently has 3 partition(s); 2 would not be an increase.";
    assert_eq!(outcome(&grow(2)), (ErrorCode::InvalidPartitions, fewer));
    assert_eq!(outcome(&grow(3)), (ErrorCode::InvalidPartitions, "Topic already has 3 partition(s)."));
    assert_eq!(outcome(&grow(5)), (ErrorCode::None, ""));
    assert_eq!(harness.controller(101).image().topic("orders").expect("a topic").1.partitions.len(), 5);
    let names: Vec<Name> = vec!["orders".into(), "nowhere".into()];
    let request = DeleteTopicsRequest { topics: names, timeout: Duration::secs(30) };
    let Some(Response::DeleteTopics(deleted)) = harness.ask(Request::DeleteTopics(request)) else {
        panic!("no answer")
    };
    let errors: Vec<ErrorCode> = deleted.topics.iter().map(|topic| topic.error).collect();
    assert_eq!(errors, [ErrorCode::None, ErrorCode::UnknownTopicOrPartition]);
    harness.create_topic("orders", &[], &[]);
    assert_eq!(harness.controller(101).image().topic("orders").expect("a topic").0, TopicId(1));
}

#[test]
fn another_min_isr_forgets_who_was_eligible() {
    let mut harness = Harness::new(2, "2");
    harness.create_topic("orders", &[&[1, 2]], &[]);
    harness.kill(broker(2));
    harness.run_millis(11_000);
    assert_eq!(harness.line("orders"), "leader=1 epoch=0 isr=1 elr=2 last=");
    let cluster = vec![("min.insync.replicas".into(), Some("1".into()))];
    harness.ask(Request::IncrementalAlterConfigs(IncrementalAlterConfigsRequest {
        topics: Vec::new(),
        cluster,
        brokers: Vec::new(),
    }));
    assert_eq!(harness.line("orders"), "leader=1 epoch=0 isr=1 elr= last=");
    assert_eq!(harness.observer(1).image().partition(FIRST), Some(harness.partition(FIRST)));
}

#[test]
fn leadership_returns_to_the_preferred_replica_every_five_minutes() {
    let mut harness = Harness::new(2, "1");
    harness.create_topic("orders", &[&[1, 2]], &[]);
    harness.stop_broker(1);
    harness.run_millis(15_000);
    harness.start_broker(1);
    harness.run_millis(1000);
    assert_eq!(propose(&mut harness, 2, &[2, 1], (0, 0), 0), Ok(vec![2, 1]));
    assert_eq!(harness.line("orders"), "leader=2 epoch=1 isr=2,1 elr= last=");
    harness.run_millis(300_000);
    assert_eq!(harness.line("orders"), "leader=1 epoch=2 isr=2,1 elr= last=");
}
