//! A coordinator driven by hand: its timers, its log, and everybody's requests.

use std::rc::Rc;

use super::*;
use crate::kafka::effects::Effect;
use crate::kafka::fact::LeaveReason;
use crate::kafka::ids::{ClientId, Generation};
use crate::kafka::message::{
    Assignment, DeleteGroupsRequest, DescribeGroupsRequest, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, ListGroupsRequest, Message, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
    Subscription, SyncGroupRequest, SyncGroupResponse,
};
use crate::kafka::metadata::{MetadataRecord, PartitionRegistration};
use ErrorCode::{
    CoordinatorLoadInProgress, CoordinatorNotAvailable, FencedInstanceId, GroupIdNotFound, GroupMaxSizeReached,
    GroupSubscribedToTopic, IllegalGeneration, InconsistentGroupProtocol, InvalidGroupId, InvalidSessionTimeout,
    MemberIdRequired, NonEmptyGroup, NotCoordinator, NotEnoughReplicas, RebalanceInProgress, UnknownMemberId,
    UnknownTopicOrPartition,
};
use GroupPhase::{CompletingRebalance, Dead, Empty, PreparingRebalance, Stable};

const OK: ErrorCode = ErrorCode::None;
const TOPIC: TopicId = TopicId(0);
const T0: TopicPartition = TopicPartition::new(TOPIC, 0);

/// A coordinator, its clock, its timers, and the log of the partition that group `g` belongs to.
struct Bench {
    coordinator: GroupCoordinator,
    partition: u32,
    now: Instant,
    timers: BTreeMap<Timer, Instant>,
    answers: BTreeMap<u32, Response>,
    next_request: u32,
    log: Vec<Batch>,
    end: Offset,
    high_watermark: Offset,
    /// Whether followers keep up: an append is committed at once.
    replicates: bool,
    facts: Vec<Fact>,
}

impl Bench {
    fn new() -> Self {
        // The vectors drive the layer below that check.
        let config = BrokerConfig { group_min_session_timeout: Duration::ZERO, ..BrokerConfig::default() };
        let mut bench = Self {
            coordinator: GroupCoordinator::new(config, Rng::new(1, 1)),
            partition: 0,
            now: Instant::ZERO,
            timers: BTreeMap::new(),
            answers: BTreeMap::new(),
            next_request: 0,
            log: Vec::new(),
            end: 0,
            high_watermark: 0,
            replicates: true,
            facts: Vec::new(),
        };
        bench.partition = bench.coordinator.partition_of("g");
        bench.on(|coordinator, now, out| coordinator.topics_changed(now, &image(&["t"]), out));
        bench.load();
        bench
    }

    fn load(&mut self) {
        let (partition, log, high_watermark) = (self.partition, self.log.clone(), self.high_watermark);
        let epoch = LeaderEpoch(self.facts.len() as i32);
        self.on(|coordinator, now, out| {
            coordinator.load(now, partition, epoch, &log, high_watermark, out);
            Vec::new()
        });
    }

    /// Another broker with the same log.
    fn failover(&mut self) {
        self.coordinator = GroupCoordinator::new(self.coordinator.host.config.clone(), Rng::new(1, 2));
        self.timers.clear();
        self.high_watermark = self.end;
        self.on(|coordinator, now, out| coordinator.topics_changed(now, &image(&["t"]), out));
        self.load();
    }

    fn on(&mut self, act: impl FnOnce(&mut GroupCoordinator, Instant, &mut Effects) -> Vec<Append>) {
        let mut out = Effects::default();
        let appends = act(&mut self.coordinator, self.now, &mut out);
        for Append { id, partition, batch } in appends {
            assert_eq!(partition, self.partition);
            let batch = Batch { base_offset: self.end, ..batch };
            self.end = batch.next_offset();
            self.log.push(batch);
            self.coordinator.appended(self.now, id, Ok(self.end), &mut out);
        }
        if self.replicates {
            self.high_watermark = self.end;
            self.coordinator.committed(self.now, self.partition, self.end, &mut out);
        }
        self.take(out);
    }

    fn take(&mut self, mut out: Effects) {
        for effect in out.drain() {
            match effect {
                Effect::Send { message: Message::Response { correlation_id, response }, .. } => {
                    assert!(self.answers.insert(correlation_id, response).is_none(), "answered twice");
                }
                Effect::SetTimer { at, timer } => {
                    self.timers.insert(timer, at);
                }
                Effect::CancelTimer(timer) => {
                    self.timers.remove(&timer);
                }
                Effect::Note(fact) => self.facts.push(fact),
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    fn request(&mut self, request: Request) -> u32 {
        let id = self.next_request;
        self.next_request += 1;
        let from = Node::Consumer(ClientId(0));
        self.on(|coordinator, now, out| coordinator.on_request(now, from, id, &request, out));
        id
    }

    fn replicate(&mut self) {
        self.replicates = true;
        self.on(|_, _, _| Vec::new());
    }

    fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some((timer, at)) =
            self.timers.iter().map(|(timer, at)| (timer.clone(), *at)).min_by_key(|(_, at)| *at)
            && at <= until
        {
            self.now = at;
            self.timers.remove(&timer);
            self.on(|coordinator, now, out| coordinator.on_timer(now, &timer, out));
        }
        self.now = until;
    }

    fn advance_ms(&mut self, millis: u64) {
        self.advance(Duration::millis(millis));
    }

    /// Sends JoinGroup. A new dynamic member comes back with the id that it is given.
    fn join(&mut self, join: Join) -> u32 {
        let id = self.request(join.request());
        match self.answers.get(&id) {
            Some(Response::JoinGroup(answer)) if answer.error == MemberIdRequired => {
                let member = answer.member_id.clone();
                self.request(Join { member, ..join }.request())
            }
            _ => id,
        }
    }

    fn joined(&mut self, id: u32) -> JoinGroupResponse {
        match self.answers.remove(&id) {
            Some(Response::JoinGroup(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    fn synced(&mut self, id: u32) -> SyncGroupResponse {
        match self.answers.remove(&id) {
            Some(Response::SyncGroup(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    fn sync(&mut self, member: &Name, generation: i32, given: &[(&Name, u32)]) -> u32 {
        let partitions = |count: u32| -> Assignment { (0..count).map(|p| ("t".into(), p)).collect() };
        self.request(Request::SyncGroup(SyncGroupRequest {
            group: "g".into(),
            generation: Generation(generation),
            member_id: member.clone(),
            group_instance_id: None,
            protocol: Some("range".into()),
            assignments: given.iter().map(|(id, count)| ((*id).clone(), partitions(*count))).collect(),
        }))
    }

    fn heartbeat(&mut self, member: &Name, generation: i32) -> ErrorCode {
        let id = self.request(Request::Heartbeat(HeartbeatRequest {
            group: "g".into(),
            generation: Generation(generation),
            member_id: member.clone(),
            group_instance_id: None,
        }));
        match self.answers.remove(&id) {
            Some(Response::Heartbeat(response)) => response.error,
            other => panic!("{other:?}"),
        }
    }

    fn leave(&mut self, member: &Name) -> ErrorCode {
        let id = self.request(Request::LeaveGroup(LeaveGroupRequest {
            group: "g".into(),
            members: vec![(member.clone(), None)],
            reason: LeaveReason::Closed,
        }));
        match self.answers.remove(&id) {
            Some(Response::LeaveGroup(response)) => response.members[0].1,
            other => panic!("{other:?}"),
        }
    }

    fn commit(&mut self, member: &str, generation: Option<i32>, offset: Offset) -> u32 {
        self.request(Request::OffsetCommit(OffsetCommitRequest {
            group: "g".into(),
            generation: generation.map(Generation),
            member_id: member.into(),
            group_instance_id: None,
            partitions: vec![(T0, offset, None)],
        }))
    }

    fn committed_error(&mut self, id: u32) -> ErrorCode {
        match self.answers.remove(&id) {
            Some(Response::OffsetCommit(response)) => response.partitions[0].1,
            other => panic!("{other:?}"),
        }
    }

    fn fetch_offset(&mut self) -> Offset {
        let request = OffsetFetchRequest { group: "g".into(), member: None, partitions: Some(vec![T0]) };
        let id = self.request(Request::OffsetFetch(request));
        match self.answers.remove(&id) {
            Some(Response::OffsetFetch(response)) => response.partitions[0].1,
            other => panic!("{other:?}"),
        }
    }

    fn state(&self) -> (GroupPhase, i32, usize) {
        let group = self.coordinator.group("g").and_then(Group::as_classic).expect("there is a group");
        (group.phase(), group.generation().0, group.members().count())
    }

    /// One member in each of the states that has any, and its id.
    fn in_state(phase: GroupPhase) -> (Self, Name) {
        let mut bench = Self::new();
        let id = bench.join(Join::default());
        bench.advance_ms(3000);
        let member = bench.joined(id).member_id;
        match phase {
            CompletingRebalance => {}
            Stable => {
                bench.sync(&member, 1, &[(&member, 1)]);
            }
            PreparingRebalance => {
                bench.join(Join::default());
            }
            Empty => {
                bench.leave(&member);
            }
            Dead => panic!("a dead group has no members"),
        }
        assert_eq!(bench.state().0, phase);
        (bench, member)
    }

    /// Two members in Stable: leader, follower.
    fn two() -> (Self, Name, Name) {
        let mut bench = Self::new();
        let (a, b) = (bench.join(Join::default()), bench.join(Join::default()));
        bench.advance_ms(6000);
        let (a, b) = (bench.joined(a), bench.joined(b));
        assert_eq!(a.leader, b.leader);
        let (leader, follower) =
            if a.leader == a.member_id { (a.member_id, b.member_id) } else { (b.member_id, a.member_id) };
        let waits = bench.sync(&follower, 1, &[]);
        assert!(!bench.answers.contains_key(&waits));
        bench.sync(&leader, 1, &[(&leader, 2), (&follower, 1)]);
        assert_eq!(bench.synced(waits).assignment.len(), 1);
        assert_eq!(bench.state(), (Stable, 1, 2));
        (bench, leader, follower)
    }
}

#[derive(Clone)]
struct Join {
    member: Name,
    instance: Option<Name>,
    session_ms: u64,
    rebalance_ms: u64,
    protocols: Vec<&'static str>,
    topic: &'static str,
}

impl Default for Join {
    fn default() -> Self {
        let protocols = vec!["range"];
        Self { member: "".into(), instance: None, session_ms: 10_000, rebalance_ms: 30_000, protocols, topic: "t" }
    }
}

impl Join {
    fn of(member: &Name) -> Self {
        Self { member: member.clone(), ..Self::default() }
    }

    fn request(&self) -> Request {
        let subscription = Rc::new(Subscription { topics: vec![self.topic.into()], ..Subscription::default() });
        Request::JoinGroup(JoinGroupRequest {
            group: "g".into(),
            version: JoinGroupRequest::VERSION,
            protocol_type: Subscription::PROTOCOL_TYPE.into(),
            session_timeout: Duration::millis(self.session_ms),
            rebalance_timeout: Duration::millis(self.rebalance_ms),
            member_id: self.member.clone(),
            group_instance_id: self.instance.clone(),
            client_id: "c".into(),
            protocols: self.protocols.iter().map(|name| (Name::from(*name), subscription.clone())).collect(),
        })
    }
}

/// A cluster with those topics, of three partitions each.
fn image(topics: &[&str]) -> MetadataImage {
    let mut image = MetadataImage::default();
    for (name, id) in topics.iter().zip(0..) {
        image.apply(&MetadataRecord::Topic { id: TopicId(id), name: (*name).into() });
        for partition in 0..3 {
            let partition = TopicPartition::new(TopicId(id), partition);
            image.apply(&MetadataRecord::Partition { partition, registration: PartitionRegistration::default() });
        }
    }
    image
}

// Kafka's own cases, from `GroupMetadataManagerTest` (recorded: vectors/group_classic.json).

#[test]
fn kafka_join_without_protocols_is_inconsistent() {
    for instance in [None, Some(Name::from("group-instance-id"))] {
        let mut bench = Bench::new();
        let id = bench.join(Join { instance, protocols: Vec::new(), session_ms: 500, ..Join::default() });
        assert_eq!(bench.joined(id).error, InconsistentGroupProtocol);
        assert_eq!(bench.state(), (Empty, 0, 0));
    }
}

#[test]
fn kafka_join_with_an_id_in_a_group_that_does_not_exist_is_unknown() {
    let mut bench = Bench::new();
    let id = bench.join(Join::of(&"member-id".into()));
    let answer = bench.joined(id);
    assert_eq!((answer.error, &*answer.member_id, answer.generation.0), (UnknownMemberId, "member-id", -1));
    assert!(bench.coordinator.group("g").is_none());
}

#[test]
fn kafka_heartbeat_in_the_first_join_phase_says_rebalance_in_progress() {
    let mut bench = Bench::new();
    let id = bench.request(Join { session_ms: 500, ..Join::default() }.request());
    let answer = bench.joined(id);
    assert_eq!((answer.error, bench.state()), (MemberIdRequired, (Empty, 0, 0)));
    bench.join(Join::of(&answer.member_id));
    assert_eq!(bench.state(), (PreparingRebalance, 0, 1));
    assert_eq!(bench.heartbeat(&answer.member_id, 0), RebalanceInProgress);
}

#[test]
fn kafka_a_new_member_prolongs_the_first_rebalance() {
    let mut bench = Bench::new();
    let first = bench.join(Join { rebalance_ms: 9000, ..Join::default() });
    bench.advance_ms(2999);
    let second = bench.join(Join { rebalance_ms: 9000, ..Join::default() });
    assert_eq!(bench.state(), (PreparingRebalance, 0, 2));
    bench.advance_ms(2);
    bench.advance_ms(1501);
    assert!(!bench.answers.contains_key(&first));
    bench.advance_ms(1500);
    let (first, second) = (bench.joined(first), bench.joined(second));
    assert_eq!((first.generation.0, second.generation.0), (1, 1));
    assert_eq!((&first.leader, &second.leader), (&first.member_id, &first.member_id));
    assert_eq!((first.members.len(), second.members.len()), (2, 0));
}

#[test]
fn kafka_the_first_rebalance_is_delayed_up_to_the_rebalance_timeout() {
    let mut bench = Bench::new();
    let join = Join { rebalance_ms: 6000, ..Join::default() };
    let mut ids = vec![bench.join(join.clone()), bench.join(join.clone())];
    bench.advance_ms(3001);
    ids.push(bench.join(join));
    assert_eq!(bench.state(), (PreparingRebalance, 0, 3));
    bench.advance_ms(2998);
    assert!(ids.iter().all(|id| !bench.answers.contains_key(id)));
    bench.advance_ms(1);
    let answers: Vec<JoinGroupResponse> = ids.into_iter().map(|id| bench.joined(id)).collect();
    assert!(answers.iter().all(|answer| answer.generation.0 == 1));
    assert_eq!(answers[0].members.len(), 3);
}

#[test]
fn kafka_members_that_do_not_rejoin_in_time_are_removed() {
    let mut bench = Bench::new();
    let join = Join { session_ms: 1000, rebalance_ms: 1000, ..Join::default() };
    let first = bench.join(join.clone());
    bench.advance_ms(3000);
    assert_eq!(bench.joined(first).generation.0, 1);
    let second = bench.join(join);
    assert_eq!(bench.state(), (PreparingRebalance, 1, 2));
    bench.advance_ms(1000);
    let answer = bench.joined(second);
    assert_eq!((answer.generation.0, answer.members.len()), (2, 1));
    assert_eq!(answer.leader, answer.member_id);
}

fn stable_static_member(protocols: Vec<&'static str>) -> (Bench, Name) {
    let mut bench = Bench::new();
    let instance = Some("group-instance-id".into());
    let first = bench.join(Join { instance, protocols, ..Join::default() });
    bench.advance_ms(3000);
    let member = bench.joined(first).member_id;
    bench.sync(&member, 1, &[(&member, 3)]);
    assert_eq!(bench.state(), (Stable, 1, 1));
    (bench, member)
}

#[test]
fn kafka_a_static_member_returns_to_a_stable_group_without_a_rebalance() {
    let (mut bench, old) = stable_static_member(vec!["range"]);
    let instance = Some("group-instance-id".into());
    let id = bench.join(Join { instance, protocols: vec!["range", "roundrobin"], ..Join::default() });
    let answer = bench.joined(id);
    assert_eq!((answer.error, answer.generation.0, answer.skip_assignment), (OK, 1, true));
    assert_eq!((bench.state(), answer.leader == answer.member_id), ((Stable, 1, 1), true));
    assert_ne!(answer.member_id, old);
    assert_eq!(bench.heartbeat(&old, 1), UnknownMemberId);
    let sync = bench.sync(&answer.member_id, 1, &[]);
    assert_eq!(bench.synced(sync).assignment.len(), 3, "it gets what it had");
}

#[test]
fn kafka_a_static_member_with_another_protocol_causes_a_rebalance() {
    let (mut bench, _) = stable_static_member(vec!["range", "roundrobin"]);
    let instance = Some("group-instance-id".into());
    let id = bench.join(Join { instance, protocols: vec!["roundrobin"], ..Join::default() });
    let answer = bench.joined(id);
    assert_eq!((answer.generation.0, answer.protocol.as_deref()), (2, Some("roundrobin")));
    assert_eq!(bench.state(), (CompletingRebalance, 2, 1));
}

// The tables at the top of `group.rs`, cell by cell.

#[test]
fn a_member_that_joins_again_unchanged_is_answered_by_the_state() {
    let (mut bench, member) = Bench::in_state(PreparingRebalance);
    let id = bench.join(Join::of(&member));
    assert_eq!(bench.joined(id).generation.0, 2, "it was the one that the others waited for");

    let (mut bench, member) = Bench::in_state(CompletingRebalance);
    let id = bench.join(Join::of(&member));
    assert_eq!((bench.joined(id).generation.0, bench.state()), (1, (CompletingRebalance, 1, 1)));

    let (mut bench, leader, follower) = Bench::two();
    let id = bench.join(Join::of(&follower));
    let answer = bench.joined(id);
    assert_eq!((answer.generation.0, answer.members.len(), bench.state().0), (1, 0, Stable));
    let id = bench.join(Join::of(&leader));
    assert!(!bench.answers.contains_key(&id));
    assert_eq!(bench.state(), (PreparingRebalance, 1, 2));

    let (mut bench, member) = Bench::in_state(Empty);
    let id = bench.join(Join::of(&member));
    assert_eq!(bench.joined(id).error, UnknownMemberId);
}

#[test]
fn a_member_that_joins_with_another_subscription_causes_a_rebalance() {
    for phase in [CompletingRebalance, Stable] {
        let (mut bench, member) = Bench::in_state(phase);
        let id = bench.join(Join { topic: "u", ..Join::of(&member) });
        assert_eq!((bench.joined(id).generation.0, bench.state()), (2, (CompletingRebalance, 2, 1)));
    }
}

#[test]
fn sync_is_answered_by_the_state() {
    let (mut bench, member) = Bench::in_state(Empty);
    let id = bench.sync(&member, 2, &[]);
    assert_eq!(bench.synced(id).error, UnknownMemberId);

    let (mut bench, member) = Bench::in_state(PreparingRebalance);
    let id = bench.sync(&member, 1, &[]);
    assert_eq!(bench.synced(id).error, RebalanceInProgress);

    let (mut bench, member) = Bench::in_state(CompletingRebalance);
    bench.replicates = false;
    let id = bench.sync(&member, 1, &[(&member, 2)]);
    assert!(!bench.answers.contains_key(&id), "not before the assignment is safe");
    assert_eq!(bench.state().0, CompletingRebalance);
    bench.replicate();
    assert_eq!((bench.synced(id).assignment.len(), bench.state().0), (2, Stable));

    let (mut bench, member) = Bench::in_state(Stable);
    let id = bench.sync(&member, 1, &[]);
    assert_eq!(bench.synced(id).assignment.len(), 1);
    let id = bench.sync(&member, 0, &[]);
    assert_eq!(bench.synced(id).error, IllegalGeneration);
    let id = bench.sync(&"nobody".into(), 1, &[]);
    assert_eq!(bench.synced(id).error, UnknownMemberId);
}

#[test]
fn a_rebalance_sends_those_who_wait_in_sync_back_to_join() {
    let mut bench = Bench::new();
    let ids = [bench.join(Join::default()), bench.join(Join::default())];
    bench.advance_ms(6000);
    let answers = ids.map(|id| bench.joined(id));
    let follower = answers.iter().find(|answer| answer.leader != answer.member_id).unwrap();
    let waiting = bench.sync(&follower.member_id, 1, &[]);
    bench.join(Join::default());
    assert_eq!(bench.synced(waiting).error, RebalanceInProgress);
}

#[test]
fn a_heartbeat_is_answered_by_the_state() {
    for (phase, expected) in
        [(Empty, UnknownMemberId), (PreparingRebalance, RebalanceInProgress), (CompletingRebalance, OK), (Stable, OK)]
    {
        let (mut bench, member) = Bench::in_state(phase);
        let generation = bench.state().1;
        assert_eq!(bench.heartbeat(&member, generation), expected, "{phase:?}");
    }
    let (mut bench, member) = Bench::in_state(Stable);
    assert_eq!(bench.heartbeat(&member, 7), IllegalGeneration);
    assert_eq!(bench.heartbeat(&"nobody".into(), 1), UnknownMemberId);
}

#[test]
fn a_commit_is_answered_by_the_state() {
    for (phase, expected) in
        [(Empty, UnknownMemberId), (PreparingRebalance, OK), (CompletingRebalance, RebalanceInProgress), (Stable, OK)]
    {
        let (mut bench, member) = Bench::in_state(phase);
        let id = bench.commit(&member, Some(1), 5);
        assert_eq!(bench.committed_error(id), expected, "{phase:?}");
        let id = bench.commit("", None, 6);
        let from_outside = if phase == Empty { OK } else { UnknownMemberId };
        assert_eq!(bench.committed_error(id), from_outside, "{phase:?}");
    }
    let (mut bench, member) = Bench::in_state(Stable);
    let id = bench.commit(&member, Some(2), 5);
    assert_eq!(bench.committed_error(id), IllegalGeneration);
    let mut bench = Bench::new();
    let id = bench.commit("x", Some(2), 5);
    assert_eq!(bench.committed_error(id), GroupIdNotFound);
}

#[test]
fn a_commit_counts_once_the_high_watermark_has_passed_it() {
    let (mut bench, member) = Bench::in_state(Stable);
    bench.replicates = false;
    let id = bench.commit(&member, Some(1), 5);
    assert!(!bench.answers.contains_key(&id));
    assert_eq!(bench.fetch_offset(), -1);
    bench.replicate();
    assert_eq!((bench.committed_error(id), bench.fetch_offset()), (OK, 5));
    assert!(bench.facts.contains(&Fact::OffsetCommitted { group: "g".into(), partition: T0, offset: 5 }));
}

#[test]
fn a_commit_waits_no_longer_than_its_timeout_and_may_still_count_later() {
    let (mut bench, member) = Bench::in_state(Stable);
    bench.replicates = false;
    let id = bench.commit(&member, Some(1), 5);
    bench.advance_ms(5000);
    assert_eq!(bench.committed_error(id), CoordinatorNotAvailable);
    bench.replicate();
    assert_eq!(bench.fetch_offset(), 5);
}

#[test]
fn a_commit_whose_append_fails_is_not_kept() {
    let (mut bench, member) = Bench::in_state(Stable);
    let request = Request::OffsetCommit(OffsetCommitRequest {
        group: "g".into(),
        generation: Some(Generation(1)),
        member_id: member,
        group_instance_id: None,
        partitions: vec![(T0, 9, None)],
    });
    let mut out = Effects::default();
    let appends = bench.coordinator.on_request(bench.now, Node::Consumer(ClientId(0)), 900, &request, &mut out);
    bench.coordinator.appended(bench.now, appends[0].id, Err(NotEnoughReplicas), &mut out);
    bench.take(out);
    assert_eq!((bench.committed_error(900), bench.fetch_offset()), (CoordinatorNotAvailable, -1));
}

#[test]
fn a_commit_for_a_topic_that_is_not_there_is_refused() {
    let (mut bench, member) = Bench::in_state(Stable);
    let gone = TopicPartition::new(TopicId(9), 0);
    let id = bench.request(Request::OffsetCommit(OffsetCommitRequest {
        group: "g".into(),
        generation: Some(Generation(1)),
        member_id: member,
        group_instance_id: None,
        partitions: vec![(gone, 1, None), (T0, 2, None)],
    }));
    let Some(Response::OffsetCommit(response)) = bench.answers.remove(&id) else { panic!("no answer") };
    assert_eq!(response.partitions, [(gone, UnknownTopicOrPartition), (T0, OK)]);
}

#[test]
fn a_member_that_falls_silent_is_dropped_and_the_others_rebalance() {
    let (mut bench, leader, follower) = Bench::two();
    bench.advance_ms(9000);
    assert_eq!(bench.heartbeat(&leader, 1), OK);
    bench.advance_ms(1000);
    let removed =
        Fact::MemberRemoved { group: "g".into(), member: follower.clone(), reason: LeaveReason::SessionTimeout };
    assert!(bench.facts.contains(&removed));
    assert_eq!(bench.state(), (PreparingRebalance, 1, 1));
    assert_eq!(bench.heartbeat(&follower, 1), UnknownMemberId);
    let id = bench.join(Join::of(&leader));
    assert_eq!(bench.joined(id).generation.0, 2);
}

#[test]
fn a_member_that_leaves_is_gone_at_once() {
    let (mut bench, leader, follower) = Bench::two();
    assert_eq!(bench.leave(&leader), OK);
    assert_eq!(bench.state(), (PreparingRebalance, 1, 1));
    assert_eq!(bench.leave(&leader), UnknownMemberId);
    assert_eq!(bench.leave(&follower), OK);
    assert_eq!(bench.state(), (Empty, 2, 0), "an emptied group counts one generation up");
}

#[test]
fn an_id_that_nobody_comes_back_with_holds_up_a_rebalance_only_for_its_session() {
    let (mut bench, leader, follower) = Bench::two();
    bench.request(Join { session_ms: 5000, ..Join::default() }.request());
    let (a, b) = (bench.join(Join::of(&leader)), bench.join(Join::of(&follower)));
    assert!(!bench.answers.contains_key(&a));
    bench.advance_ms(5000);
    assert_eq!((bench.joined(a).generation.0, bench.joined(b).generation.0), (2, 2));
}

#[test]
fn members_that_never_sync_are_dropped_after_the_rebalance_timeout() {
    let (mut bench, member) = Bench::in_state(CompletingRebalance);
    for _ in 0..4 {
        bench.advance_ms(7000);
        bench.heartbeat(&member, 1);
    }
    bench.advance_ms(2000);
    assert_eq!(bench.state(), (Empty, 2, 0));
    let reason = LeaveReason::SyncTimeout;
    assert!(bench.facts.contains(&Fact::MemberRemoved { group: "g".into(), member, reason }));
}

#[test]
fn the_group_is_full_at_its_maximum_size() {
    let (mut bench, _) = Bench::in_state(Stable);
    bench.coordinator.host.config.group_max_size = 1;
    let id = bench.join(Join::default());
    assert_eq!(bench.joined(id).error, GroupMaxSizeReached);
    assert_eq!(bench.state(), (Stable, 1, 1));
}

#[test]
fn session_timeouts_out_of_bounds_and_empty_group_ids_are_refused_first() {
    let mut bench = Bench::new();
    bench.coordinator.host.config.group_min_session_timeout = Duration::secs(6);
    let id = bench.join(Join { session_ms: 5999, ..Join::default() });
    assert_eq!(bench.joined(id).error, InvalidSessionTimeout);
    let Request::JoinGroup(join) = Join { session_ms: 1, ..Join::default() }.request() else { unreachable!() };
    let id = bench.request(Request::JoinGroup(JoinGroupRequest { group: "".into(), ..join }));
    assert_eq!(bench.joined(id).error, InvalidGroupId);
}

#[test]
fn a_fenced_instance_is_told_so() {
    let (mut bench, old) = stable_static_member(vec!["range"]);
    let instance = Some(Name::from("group-instance-id"));
    let id = bench.join(Join { instance: instance.clone(), ..Join::default() });
    assert_eq!(bench.joined(id).error, OK);
    let id = bench.join(Join { instance, ..Join::of(&old) });
    assert_eq!(bench.joined(id).error, FencedInstanceId);
}

#[test]
fn a_static_member_that_does_not_rejoin_stays_until_its_session_ends() {
    let (mut bench, member) = stable_static_member(vec!["range"]);
    let new = bench.join(Join { rebalance_ms: 2000, session_ms: 60_000, ..Join::default() });
    bench.advance_ms(9000);
    assert_eq!(bench.heartbeat(&member, 1), RebalanceInProgress);
    bench.advance_ms(10_000);
    assert!(
        bench.coordinator.group("g").and_then(Group::as_classic).unwrap().members().all(|left| *left.id() != member)
    );
    assert_eq!(bench.joined(new).members.len(), 1);
}

// Failover.

#[test]
fn a_group_survives_the_failover_of_its_coordinator() {
    let (mut bench, leader, follower) = Bench::two();
    let id = bench.commit(&leader, Some(1), 5);
    assert_eq!(bench.committed_error(id), OK);
    let before = bench.coordinator.group("g").and_then(Group::as_classic).unwrap().describe();
    bench.failover();
    let after = bench.coordinator.group("g").and_then(Group::as_classic).unwrap();
    assert_eq!(format!("{before:?}"), format!("{:?}", after.describe()));
    assert_eq!((bench.state(), bench.fetch_offset()), ((Stable, 1, 2), 5));
    assert_eq!(bench.heartbeat(&leader, 1), OK);
    let id = bench.sync(&follower, 1, &[]);
    assert_eq!(bench.synced(id).assignment.len(), 1);
}

#[test]
fn loading_twice_gives_the_same_state_as_living_through_it() {
    let (mut bench, leader, _) = Bench::two();
    bench.leave(&leader);
    bench.failover();
    let first = format!("{:?}", bench.coordinator.group("g").and_then(Group::as_classic).unwrap());
    bench.failover();
    assert_eq!(first, format!("{:?}", bench.coordinator.group("g").and_then(Group::as_classic).unwrap()));
    assert_eq!(bench.state(), (Stable, 1, 2), "a rebalance under way is not in the log");
}

#[test]
fn after_a_failover_every_member_has_a_whole_session_to_be_heard_of() {
    let (mut bench, leader, _) = Bench::two();
    bench.advance_ms(9000);
    bench.failover();
    bench.advance_ms(9999);
    assert_eq!(bench.heartbeat(&leader, 1), OK);
    bench.advance_ms(1);
    assert_eq!(bench.state(), (PreparingRebalance, 1, 1));
}

#[test]
fn offsets_above_the_high_watermark_count_when_it_has_passed_them() {
    let (mut bench, member) = Bench::in_state(Stable);
    let id = bench.commit(&member, Some(1), 5);
    assert_eq!(bench.committed_error(id), OK);
    bench.replicates = false;
    bench.commit(&member, Some(1), 8);
    bench.high_watermark = bench.end - 1;
    bench.coordinator = GroupCoordinator::new(BrokerConfig::default(), Rng::new(1, 2));
    bench.load();
    assert_eq!(bench.fetch_offset(), 5);
    bench.replicate();
    assert_eq!(bench.fetch_offset(), 8);
}

#[test]
fn whoever_waits_when_leadership_moves_is_sent_to_the_new_coordinator() {
    let mut bench = Bench::new();
    let waiting = bench.join(Join::default());
    let partition = bench.partition;
    bench.on(|coordinator, _, out| {
        coordinator.unload(partition, out);
        Vec::new()
    });
    assert_eq!(bench.joined(waiting).error, NotCoordinator);
    let id = bench.join(Join::default());
    assert_eq!(bench.joined(id).error, NotCoordinator);
    let of_groups = |timer: &Timer| !matches!(timer, Timer::OffsetExpiry | Timer::GroupWrite);
    assert!(!bench.timers.keys().any(of_groups), "{:?}", bench.timers);
}

#[test]
fn while_a_partition_is_loaded_its_groups_cannot_be_asked_but_heartbeats_are_let_pass() {
    let mut bench = Bench::new();
    let partition = bench.partition;
    bench.on(|coordinator, _, out| {
        coordinator.begin_load(partition, LeaderEpoch(99), out);
        Vec::new()
    });
    let id = bench.join(Join::default());
    assert_eq!(bench.joined(id).error, CoordinatorLoadInProgress);
    assert_eq!(bench.heartbeat(&"m".into(), 1), OK);
}

// Expiry, deletion, and what tools ask.

#[test]
fn an_empty_group_goes_when_its_offsets_have_expired() {
    let (mut bench, member) = Bench::in_state(Stable);
    let id = bench.commit(&member, Some(1), 5);
    assert_eq!(bench.committed_error(id), OK);
    bench.coordinator.host.config.offsets_retention_minutes = 60;
    for _ in 0..1000 {
        bench.advance_ms(8000);
        bench.heartbeat(&member, 1);
    }
    assert_eq!(bench.fetch_offset(), 5, "nothing expires while somebody is subscribed");
    bench.leave(&member);
    bench.advance(Duration::secs(3599));
    assert_eq!(bench.fetch_offset(), 5);
    bench.advance(Duration::secs(601));
    assert!(bench.coordinator.group("g").is_none());
    assert_eq!(bench.fetch_offset(), -1);
    bench.failover();
    assert!(bench.coordinator.group("g").is_none());
}

#[test]
fn deleting_a_topic_deletes_its_offsets() {
    let mut bench = Bench::new();
    let id = bench.commit("", None, 5);
    assert_eq!(bench.committed_error(id), OK);
    bench.on(|coordinator, now, out| coordinator.topics_changed(now, &image(&[]), out));
    assert_eq!(bench.fetch_offset(), -1);
    assert_eq!(bench.coordinator.group("g").map(Group::state), Some("Empty"));
}

#[test]
fn tools_see_a_group_with_its_members_and_an_unknown_one_as_dead() {
    let (mut bench, leader, _) = Bench::two();
    let groups = vec!["g".into()];
    let id = bench.request(Request::DescribeGroups(DescribeGroupsRequest { groups }));
    let Some(Response::DescribeGroups(response)) = bench.answers.remove(&id) else { panic!("no answer") };
    let group = &response.groups[0];
    assert_eq!((&*group.state, &*group.protocol, group.members.len()), ("Stable", "range", 2));
    assert_eq!(group.members.iter().find(|member| member.member_id == leader).unwrap().assignment.len(), 2);
    let id = bench.request(Request::ListGroups(ListGroupsRequest::default()));
    let Some(Response::ListGroups(response)) = bench.answers.remove(&id) else { panic!("no answer") };
    let [listed] = &response.groups[..] else { panic!("{response:?}") };
    assert_eq!(
        (&*listed.group, &*listed.kind, &*listed.state, &*listed.protocol_type),
        ("g", "Classic", "Stable", "consumer")
    );
    let unknown = bench.coordinator.describe(
        &(0..)
            .map(|i| Name::from(format!("x{i}")))
            .find(|name| bench.coordinator.partition_of(name) == bench.partition)
            .unwrap(),
    );
    assert_eq!((unknown.error, &*unknown.state), (GroupIdNotFound, "Dead"));
}

#[test]
fn an_answer_waits_for_the_writes_before_it() {
    let (mut bench, member) = Bench::in_state(Stable);
    bench.replicates = false;
    bench.commit(&member, Some(1), 5);
    let id = bench.request(Request::Heartbeat(HeartbeatRequest {
        group: "g".into(),
        generation: Generation(1),
        member_id: member,
        group_instance_id: None,
    }));
    assert!(!bench.answers.contains_key(&id));
    bench.replicate();
    assert!(bench.answers.contains_key(&id));
}

#[test]
fn a_join_of_an_old_version_needs_no_id_first() {
    let mut bench = Bench::new();
    let Request::JoinGroup(join) = Join::default().request() else { unreachable!() };
    let id = bench.request(Request::JoinGroup(JoinGroupRequest { version: 3, ..join }));
    assert_eq!(bench.state(), (PreparingRebalance, 0, 1));
    bench.advance_ms(3000);
    assert_eq!(bench.joined(id).generation.0, 1);
}

#[test]
fn members_of_another_protocol_type_are_turned_away() {
    let (mut bench, _) = Bench::in_state(Stable);
    let Request::JoinGroup(join) = Join::default().request() else { unreachable!() };
    let id = bench.request(Request::JoinGroup(JoinGroupRequest { protocol_type: "connect".into(), ..join }));
    assert_eq!(bench.joined(id).error, InconsistentGroupProtocol);
}

#[test]
fn a_static_member_whose_return_cannot_be_written_is_as_before() {
    let (mut bench, old) = stable_static_member(vec!["range"]);
    let join =
        Join { instance: Some("group-instance-id".into()), protocols: vec!["range", "roundrobin"], ..Join::default() };
    let mut out = Effects::default();
    let request = join.request();
    let appends = bench.coordinator.on_request(bench.now, Node::Consumer(ClientId(0)), 900, &request, &mut out);
    bench.coordinator.appended(bench.now, appends[0].id, Err(NotEnoughReplicas), &mut out);
    bench.take(out);
    let answer = bench.joined(900);
    assert_eq!((answer.error, &*answer.member_id, &answer.leader), (CoordinatorNotAvailable, "", &old));
    assert_eq!(bench.heartbeat(&old, 1), OK);
    bench.failover();
    assert_eq!(bench.heartbeat(&old, 1), OK);
}

fn delete_groups(bench: &mut Bench, groups: &[&str]) -> Vec<ErrorCode> {
    let groups = groups.iter().map(|group| (*group).into()).collect();
    let id = bench.request(Request::DeleteGroups(DeleteGroupsRequest { groups }));
    match bench.answers.remove(&id) {
        Some(Response::DeleteGroups(response)) => response.results.into_iter().map(|(_, error)| error).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_group_is_deleted_with_its_offsets_once_it_has_no_members() {
    let (mut bench, member) = Bench::in_state(Stable);
    let id = bench.commit(&member, Some(1), 5);
    assert_eq!(bench.committed_error(id), OK);
    assert_eq!(delete_groups(&mut bench, &["g"]), [NonEmptyGroup]);
    bench.leave(&member);
    // A commit that is not safe yet goes, too.
    bench.replicates = false;
    let late = bench.commit("", None, 6);
    let request = Request::DeleteGroups(DeleteGroupsRequest { groups: vec!["g".into()] });
    let id = bench.request(request);
    let waiting = bench.commit("", None, 7);
    assert_eq!(bench.committed_error(waiting), CoordinatorNotAvailable);
    bench.replicate();
    assert_eq!(bench.committed_error(late), OK);
    assert!(matches!(&bench.answers[&id], Response::DeleteGroups(deleted) if deleted.results[0].1 == OK));
    for _ in 0..2 {
        assert!(bench.coordinator.group("g").is_none());
        assert_eq!(bench.fetch_offset(), -1);
        assert_eq!(delete_groups(&mut bench, &["g"]), [GroupIdNotFound]);
        bench.failover();
    }
}

fn delete_offsets(bench: &mut Bench, topic: &str) -> (ErrorCode, Vec<ErrorCode>) {
    let partitions = vec![(topic.into(), 0), (topic.into(), 1)];
    let id = bench.request(Request::OffsetDelete(OffsetDeleteRequest { group: "g".into(), partitions }));
    match bench.answers.remove(&id) {
        Some(Response::OffsetDelete(response)) => {
            (response.error, response.partitions.into_iter().map(|(.., error)| error).collect())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn offsets_are_deleted_of_topics_that_nobody_wants() {
    let mut bench = Bench::new();
    assert_eq!(delete_offsets(&mut bench, "t"), (GroupIdNotFound, vec![]));
    let id = bench.commit("", None, 5);
    assert_eq!(bench.committed_error(id), OK);
    let waiting = bench.join(Join { topic: "other", ..Join::default() });
    bench.advance_ms(3000);
    let member = bench.joined(waiting).member_id;
    bench.sync(&member, 1, &[(&member, 0)]);
    assert_eq!(delete_offsets(&mut bench, "other"), (OK, vec![GroupSubscribedToTopic, GroupSubscribedToTopic]));
    assert_eq!(bench.fetch_offset(), 5);
    assert_eq!(delete_offsets(&mut bench, "t"), (OK, vec![OK, OK]));
    assert_eq!(bench.fetch_offset(), -1);
    assert!(bench.facts.contains(&Fact::OffsetDeleted { group: "g".into(), partition: T0 }));
    bench.failover();
    assert_eq!(bench.fetch_offset(), -1);
}

#[test]
fn groups_are_listed_by_state_and_type_without_regard_to_case() {
    let (bench, _) = Bench::in_state(Stable);
    let list = |states: &[&str], types: &[&str]| {
        let names = |words: &[&str]| words.iter().map(|word| (*word).into()).collect();
        bench.coordinator.list(&ListGroupsRequest { states: names(states), types: names(types) }).groups.len()
    };
    assert_eq!((list(&[], &[]), list(&["stable"], &["CLASSIC"]), list(&["Empty", " stable "], &[])), (1, 1, 1));
    assert_eq!((list(&["Empty"], &[]), list(&[], &["consumer"])), (0, 0));
}

#[test]
fn leaving_a_group_that_is_not_there_is_refused_member_by_member() {
    let mut bench = Bench::new();
    assert_eq!(bench.leave(&"nobody".into()), UnknownMemberId);
}
