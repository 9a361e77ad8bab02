use super::*;
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::{EpochReason, GroupPhase, ModernGroupPhase};
use crate::kafka::ids::{BrokerId, ClientId, TopicId};
use crate::sim::letters::Letter;
use crate::sim::scenario::Scenario;
use crate::sim::world::World;

const BROKER: Node = Node::Broker(BrokerId(1));
const C1: Node = Node::Consumer(ClientId(1));
const C2: Node = Node::Consumer(ClientId(2));
const C3: Node = Node::Consumer(ClientId(3));

fn p(number: u32) -> TopicPartition {
    TopicPartition::new(TopicId(0), number)
}

fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1000)
}

fn ms(millis: u64) -> Duration {
    Duration::millis(millis)
}

/// Facts told by hand.
#[derive(Default)]
struct Told {
    rebalances: Rebalances,
    letters: Letters,
    next: u64,
}

impl Told {
    fn note(&mut self, millis: u64, node: Node, fact: Fact) -> u64 {
        self.note_because(0, millis, node, fact)
    }

    fn note_because(&mut self, cause: u64, millis: u64, node: Node, fact: Fact) -> u64 {
        self.next += 1;
        let stamped = Stamped { id: self.next, cause, at: at(millis), node: Some(node), fact };
        self.rebalances.enter(&stamped, &self.letters, &|id| Some(at(id)));
        self.next
    }

    fn state(&mut self, millis: u64, from: GroupPhase, to: GroupPhase, generation: i32) {
        let fact = Fact::GroupState { group: "g".into(), from, to, generation: Generation(generation) };
        self.note(millis, BROKER, fact);
    }

    fn assigned(&mut self, millis: u64, node: Node, numbers: &[u32]) {
        let partitions = numbers.iter().copied().map(p).collect();
        self.note(millis, node, Fact::PartitionsAssigned { group: "g".into(), generation: Generation(1), partitions });
    }

    fn revoked(&mut self, millis: u64, node: Node, numbers: &[u32], cause: u64) {
        let partitions = numbers.iter().copied().map(p).collect();
        self.note_because(cause, millis, node, Fact::PartitionsRevoked { group: "g".into(), partitions });
    }

    fn reads(&mut self, millis: u64, node: Node, number: u32) {
        let reason = crate::kafka::fact::ResetReason::Committed;
        self.note(millis, node, Fact::PositionReset { partition: p(number), offset: 0, reason });
    }

    fn processed(&mut self, millis: u64, node: Node, first: i64, count: u32) {
        let (group, partition) = (Some("g".into()), p(0));
        self.note(millis, node, Fact::Processed { group, partition, base_offset: first, count, origin: None });
    }

    /// An answer to a SyncGroup; its id is a cause.
    fn sync_answer(&mut self, millis: u64, to: Node) -> u64 {
        let (api, id) = (Api::SyncGroup, self.next + 1);
        self.letters.enter(letter(id, millis, api, BROKER, to));
        self.note(millis, BROKER, Fact::Sent { to, api, request: false, correlation_id: 1 })
    }

    fn group(&self) -> &GroupTrack {
        self.rebalances.of_group("g").expect("the group is known")
    }

    fn rebalance(&self, number: u32) -> &Rebalance {
        self.group().rebalance(number).expect("the rebalance is known")
    }
}

fn letter(id: u64, millis: u64, api: Api, from: Node, to: Node) -> Letter {
    Letter {
        id,
        from,
        to,
        sent: at(millis),
        due: at(millis + 2),
        api,
        request: matches!(from, Node::Consumer(_)),
        correlation_id: 1,
        bytes: 100,
        error: None,
        member: None,
        protocol: None,
        pulse: false,
    }
}

/// Two members read partitions 0 and 1, and 2, from 10 ms on.
fn two_members() -> Told {
    use GroupPhase::{CompletingRebalance, Empty, PreparingRebalance, Stable};
    let mut told = Told::default();
    told.state(0, Empty, PreparingRebalance, 0);
    told.state(6, PreparingRebalance, CompletingRebalance, 1);
    told.state(8, CompletingRebalance, Stable, 1);
    told.assigned(9, C1, &[0, 1]);
    told.assigned(9, C2, &[2]);
    [(C1, 0), (C1, 1), (C2, 2)].into_iter().for_each(|(node, number)| told.reads(10, node, number));
    told
}

#[test]
fn partitions_that_nobody_read_before_count_from_the_rebalances_begin() {
    let told = two_members();
    let first = told.rebalance(1);
    assert_eq!(first.score, Score { unread: ms(30), moved: 0, redelivered: 0 });
    assert!(first.from_empty);
    assert_eq!((first.began, first.closed, first.ended), (at(0), Some(at(8)), at(10)));
}

#[test]
fn eager_leaves_every_partition_unread_and_moves_one() {
    use GroupPhase::{CompletingRebalance, PreparingRebalance, Stable};
    let mut told = two_members();
    told.state(1000, Stable, PreparingRebalance, 1);
    told.revoked(1100, C1, &[0, 1], 0);
    told.revoked(1200, C2, &[2], 0);
    told.state(1250, PreparingRebalance, CompletingRebalance, 2);
    told.state(1300, CompletingRebalance, Stable, 2);
    told.assigned(1302, C1, &[0]);
    told.assigned(1302, C2, &[2]);
    told.assigned(1302, C3, &[1]);
    told.reads(1310, C1, 0);
    told.reads(1310, C2, 2);
    told.reads(1320, C3, 1);
    let second = told.rebalance(2);
    // 0: 1100 to 1310, 1: 1100 to 1320, 2: 1200 to 1310.
    assert_eq!(second.score, Score { unread: ms(210 + 220 + 110), moved: 1, redelivered: 0 });
    assert_eq!((second.duration(), second.generation), (ms(320), Generation(2)));
    assert_eq!(told.group().unread(), ms(30 + 540));
}

#[test]
fn two_cooperative_generations_are_one_rebalance() {
    use GroupPhase::{CompletingRebalance, PreparingRebalance, Stable};
    let mut told = two_members();
    told.state(1000, Stable, PreparingRebalance, 1);
    told.state(1100, PreparingRebalance, CompletingRebalance, 2);
    told.state(1101, CompletingRebalance, Stable, 2);
    let answer = told.sync_answer(1101, C1);
    told.revoked(1103, C1, &[1], answer);
    told.assigned(1103, C1, &[]);
    told.state(1105, Stable, PreparingRebalance, 2);
    told.state(1200, PreparingRebalance, CompletingRebalance, 3);
    told.state(1201, CompletingRebalance, Stable, 3);
    told.assigned(1203, C3, &[1]);
    told.reads(1208, C3, 1);
    assert_eq!(told.group().rebalances().count(), 2);
    let second = told.rebalance(2);
    assert_eq!(second.score, Score { unread: ms(105), moved: 1, redelivered: 0 });
    assert_eq!((second.began, second.ended, second.generation), (at(1000), at(1208), Generation(3)));
}

#[test]
fn an_eager_leader_that_gives_up_first_begins_another_rebalance() {
    use GroupPhase::{CompletingRebalance, PreparingRebalance, Stable};
    let mut told = two_members();
    told.revoked(1000, C1, &[0, 1], 0);
    told.state(1003, Stable, PreparingRebalance, 1);
    told.state(1100, PreparingRebalance, CompletingRebalance, 2);
    told.state(1101, CompletingRebalance, Stable, 2);
    assert_eq!(told.group().rebalances().count(), 2);
}

#[test]
fn a_dead_members_partitions_are_unread_from_its_death_on() {
    use GroupPhase::{CompletingRebalance, PreparingRebalance, Stable};
    let mut told = two_members();
    told.note(2000, C2, Fact::NodeState(NodeState::Killed));
    told.state(8000, Stable, PreparingRebalance, 1);
    told.revoked(8010, C1, &[0, 1], 0);
    told.state(8011, PreparingRebalance, CompletingRebalance, 2);
    told.state(8012, CompletingRebalance, Stable, 2);
    told.assigned(8014, C1, &[0, 1, 2]);
    [0, 1, 2].into_iter().for_each(|number| told.reads(8020, C1, number));
    let second = told.rebalance(2);
    assert_eq!(second.score, Score { unread: ms(6020 + 10 + 10), moved: 1, redelivered: 0 });
    assert_eq!((second.reaches_back_to(), second.duration()), (at(2000), ms(20)));
}

#[test]
fn a_member_that_returns_without_a_rebalance_costs_the_group_and_no_rebalance() {
    let mut told = two_members();
    told.note(2000, C2, Fact::NodeState(NodeState::Stopped));
    told.assigned(2500, C2, &[2]);
    told.reads(2510, C2, 2);
    assert_eq!(told.rebalance(1).score.unread, ms(30));
    assert_eq!(told.group().unread(), ms(30 + 510));
}

#[test]
fn a_frozen_reader_reads_nothing_until_it_goes_on() {
    let mut told = two_members();
    told.note(2000, C2, Fact::NodeState(NodeState::Paused));
    assert_eq!(told.group().unread_now().collect::<Vec<_>>(), [(p(2), at(2000))]);
    told.note(2400, C2, Fact::NodeState(NodeState::Running));
    assert_eq!(told.group().unread_now().count(), 0);
    assert_eq!(told.group().unread(), ms(30 + 400));
}

#[test]
fn records_that_the_group_has_done_before_count_as_redelivered() {
    use GroupPhase::{PreparingRebalance, Stable};
    let mut told = two_members();
    told.processed(100, C1, 0, 10);
    told.state(1000, Stable, PreparingRebalance, 1);
    // 7, 8 and 9 once more; 10 and 11 for the first time.
    told.processed(1100, C2, 7, 5);
    assert_eq!(told.rebalance(1).score.redelivered, 0);
    assert_eq!(told.rebalance(2).score.redelivered, 3);
}

#[test]
fn a_group_epoch_begins_a_rebalance_that_ends_when_all_are_stable() {
    let epoch =
        |epoch| Fact::GroupEpoch { group: "g".into(), epoch: Generation(epoch), reason: EpochReason::MemberJoined };
    let state = |from, to, epoch| Fact::ModernGroupState { group: "g".into(), from, to, epoch: Generation(epoch) };
    use ModernGroupPhase::{Assigning, Empty, Reconciling, Stable};
    let mut told = Told::default();
    told.note(0, BROKER, epoch(2));
    told.note(0, BROKER, state(Empty, Assigning, 2));
    told.note(1, BROKER, state(Assigning, Stable, 2));
    told.assigned(5, C1, &[0, 1]);
    told.reads(9, C1, 0);
    told.reads(9, C1, 1);
    told.note(1000, BROKER, epoch(3));
    told.note(1000, BROKER, state(Stable, Reconciling, 3));
    told.revoked(1500, C1, &[1], 0);
    told.assigned(3000, C2, &[1]);
    told.reads(3004, C2, 1);
    told.note(3100, BROKER, state(Reconciling, Stable, 3));
    let second = told.rebalance(2);
    assert_eq!(second.score, Score { unread: ms(1504), moved: 1, redelivered: 0 });
    assert_eq!((second.kind, second.duration()), (Kind::Consumer, ms(2100)));
    assert_eq!(second.gaps.len(), 1, "partition 0 was read all the time");
}

#[test]
fn traffic_counts_the_groups_messages_between_begin_and_end() {
    let mut told = two_members();
    for (id, millis, api) in [(90, 3, Api::JoinGroup), (91, 7, Api::SyncGroup), (92, 500, Api::Heartbeat)] {
        told.letters.enter(letter(id, millis, api, C1, BROKER));
    }
    told.letters.enter(letter(93, 4, Api::JoinGroup, Node::Consumer(ClientId(9)), BROKER));
    let traffic = told.group().traffic(told.rebalance(1), &told.letters);
    assert_eq!(traffic, Traffic { messages: 2, bytes: 200 });
}

#[test]
fn a_lost_partition_is_marked_as_lost() {
    let mut told = two_members();
    let fact = Fact::PartitionsLost { group: "g".into(), partitions: vec![p(2)], error: ErrorCode::UnknownMemberId };
    told.note(50, C2, fact);
    let marks: Vec<What> = told.group().marks(at(50), at(50)).map(|mark| mark.what).collect();
    assert_eq!(marks, [What::Lost]);
    assert_eq!(told.group().unread_now().count(), 1);
}

#[test]
fn a_crash_in_a_run_is_scored_from_the_crash_on() {
    let scenario = Scenario::parse(include_str!("../../../scenarios/redelivery.toml")).expect("it is built in");
    let mut world = World::new(&scenario);
    world.listen(true);
    world.keep_letters(true);
    world.run_until(world.end());
    let (mut rebalances, mut letters) = (Rebalances::default(), Letters::default());
    world.take_letters().into_iter().for_each(|letter| letters.enter(letter));
    let facts = world.take_journal();
    for stamped in &facts {
        rebalances.enter(stamped, &letters, &|id| facts.get(id as usize - 1).map(|fact| fact.at));
    }
    let group = rebalances.of_group("bank").expect("the group");
    let last = group.rebalances().next_back().expect("a rebalance");
    assert_eq!(last.reaches_back_to(), at(15_000), "consumer-c1 crashes at 15 s");
    let ledger = &world.report().ledger.groups["bank"];
    assert_eq!(last.score.redelivered, ledger.redelivered, "as the books have it");
    assert_eq!(last.score.moved, 1);
    assert_eq!(last.gaps.len(), 2, "the dead member's, and the one that eager takes away for a moment");
    let deadlines: Vec<&str> = group.brackets(last.began, last.ended).map(|bracket| bracket.setting).collect();
    assert_eq!(deadlines, ["session.timeout.ms"]);
}
