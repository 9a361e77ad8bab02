//! One group: who reads what, and its rebalances.

use std::collections::{BTreeMap, BTreeSet};

use super::{Bracket, Gap, Kind, Latest, Mark, Phase, Rebalance, Score, Spell, Traffic, What, Why};
use crate::kafka::fact::{GroupPhase, ModernGroupPhase};
use crate::kafka::ids::{Generation, Name, Node, Offset, TopicPartition};
use crate::sim::letters::Letters;
use crate::sim::trace::Stamped;
use crate::time::{Duration, Instant};

/// How many rebalances are kept of one group.
const REBALANCES: usize = 60;
/// How many marks and brackets.
const MARKS: usize = 40_000;
const BRACKETS: usize = 4_000;
/// How many changes of a partition's reader.
const SPELLS: usize = 48;

/// One group's members, readers and rebalances.
#[derive(Clone, Debug, Default)]
pub struct GroupTrack {
    members: BTreeSet<Node>,
    /// Everything a member was handed and has not given back, whether it knows its position or not.
    held: BTreeMap<Node, BTreeSet<TopicPartition>>,
    spells: BTreeMap<TopicPartition, Latest<Spell>>,
    /// Where a partition's records have been processed up to.
    processed: BTreeMap<TopicPartition, Offset>,
    rebalances: Latest<Rebalance>,
    count: u32,
    marks: Latest<Mark>,
    brackets: Latest<Bracket>,
    unread: Duration,
}

impl GroupTrack {
    /// Consumers that ever were of this group.
    pub fn members(&self) -> impl Iterator<Item = Node> {
        self.members.iter().copied()
    }

    pub fn is_member(&self, node: Node) -> bool {
        self.members.contains(&node)
    }

    /// From the oldest to the latest.
    pub fn rebalances(&self) -> impl DoubleEndedIterator<Item = &Rebalance> {
        self.rebalances.0.iter()
    }

    pub fn rebalance(&self, number: u32) -> Option<&Rebalance> {
        self.rebalances().find(|rebalance| rebalance.number == number)
    }

    /// The one that a fact belongs to: the latest that had begun by then.
    pub fn rebalance_at(&self, id: u64) -> Option<&Rebalance> {
        self.rebalances().rev().find(|rebalance| rebalance.first <= id)
    }

    /// Everything that happened to members from a moment to another.
    pub fn marks(&self, from: Instant, to: Instant) -> impl Iterator<Item = &Mark> {
        let start = self.marks.0.partition_point(|mark| mark.at < from);
        self.marks.0.range(start..).take_while(move |mark| mark.at <= to)
    }

    /// Deadlines that came between two moments.
    pub fn brackets(&self, from: Instant, to: Instant) -> impl Iterator<Item = &Bracket> {
        let start = self.brackets.0.partition_point(|bracket| bracket.to < from);
        self.brackets.0.range(start..).take_while(move |bracket| bracket.to <= to)
    }

    /// Each partition with the changes of its reader, in order.
    pub fn partitions(&self) -> impl Iterator<Item = (TopicPartition, impl DoubleEndedIterator<Item = &Spell>)> {
        self.spells.iter().map(|(partition, spells)| (*partition, spells.0.iter()))
    }

    /// All gaps so far, those outside any rebalance too.
    pub fn unread(&self) -> Duration {
        self.unread
    }

    /// Partitions without a reader now, each with the moment its stretch began.
    pub fn unread_now(&self) -> impl Iterator<Item = (TopicPartition, Instant)> {
        self.spells.iter().filter_map(|(partition, spells)| {
            spells.0.back().filter(|spell| spell.reader.is_none()).map(|spell| (*partition, spell.at))
        })
    }

    /// What members and coordinator sent each other about the group from a rebalance's beginning to its end.
    pub fn traffic(&self, rebalance: &Rebalance, letters: &Letters) -> Traffic {
        let all = letters.between(rebalance.began, rebalance.ended);
        all.filter(|letter| self.is_member(letter.consumer())).fold(Traffic::default(), |sum, letter| Traffic {
            messages: sum.messages + 1,
            bytes: sum.bytes + letter.bytes,
        })
    }

    pub(super) fn waits_initially(&self) -> bool {
        self.rebalances.0.back().is_some_and(|last| last.closed.is_none() && last.from_empty)
    }

    pub(super) fn add_member(&mut self, node: Node) {
        self.members.insert(node);
    }

    pub(super) fn mark(&mut self, stamped: &Stamped, what: What, count: u32) {
        if let Some(node) = stamped.node {
            self.mark_at(stamped, node, what, count);
        }
    }

    pub(super) fn mark_at(&mut self, stamped: &Stamped, node: Node, what: What, count: u32) {
        self.marks.push(Mark { id: stamped.id, at: stamped.at, node, what, count }, MARKS);
    }

    pub(super) fn bracket(&mut self, bracket: Bracket) {
        self.brackets.push(bracket, BRACKETS);
    }

    /// The coordinator of a classic group notes its state.
    pub(super) fn classic_state(
        &mut self,
        stamped: &Stamped,
        from: GroupPhase,
        to: GroupPhase,
        generation: Generation,
        protocol: Option<Name>,
    ) {
        match to {
            GroupPhase::PreparingRebalance => {
                let goes_on = self
                    .rebalances
                    .0
                    .back_mut()
                    .filter(|last| last.closed.is_none() || (last.unfinished && from == GroupPhase::Stable));
                match goes_on {
                    Some(last) => {
                        last.closed = None;
                        last.unfinished = false;
                    }
                    None => self.begin(stamped, Kind::Classic, from == GroupPhase::Empty),
                }
            }
            // A coordinator that takes over may find a group as it was before a rebalance began.
            GroupPhase::CompletingRebalance => {}
            GroupPhase::Stable | GroupPhase::Empty | GroupPhase::Dead => self.close(stamped),
        }
        if let Some(last) = self.rebalances.0.back_mut() {
            if to == GroupPhase::CompletingRebalance || to == GroupPhase::Stable {
                last.protocol = protocol.or_else(|| last.protocol.take());
            }
            last.enter_phase(stamped, to.name(), generation);
        }
    }

    /// The group epoch of the consumer protocol was bumped.
    pub(super) fn epoch(&mut self, stamped: &Stamped, epoch: Generation) {
        if self.rebalances.0.back().is_none_or(|last| last.closed.is_some()) {
            let empty = self.held.values().all(BTreeSet::is_empty);
            self.begin(stamped, Kind::Consumer, empty);
        }
        if let Some(last) = self.rebalances.0.back_mut() {
            last.generation = epoch;
            last.ended = stamped.at;
        }
    }

    pub(super) fn modern_state(&mut self, stamped: &Stamped, to: ModernGroupPhase, epoch: Generation) {
        match to {
            ModernGroupPhase::Assigning | ModernGroupPhase::Reconciling => self.epoch(stamped, epoch),
            ModernGroupPhase::Stable | ModernGroupPhase::Empty | ModernGroupPhase::Dead => self.close(stamped),
        }
        if let Some(last) = self.rebalances.0.back_mut() {
            last.enter_phase(stamped, to.name(), epoch);
        }
    }

    fn begin(&mut self, stamped: &Stamped, kind: Kind, from_empty: bool) {
        self.count += 1;
        let rebalance = Rebalance {
            number: self.count,
            first: stamped.id,
            kind,
            protocol: None,
            began: stamped.at,
            closed: None,
            ended: stamped.at,
            generation: Generation(0),
            from_empty,
            phases: Vec::new(),
            gaps: Vec::new(),
            score: Score::default(),
            unfinished: false,
        };
        self.rebalances.push(rebalance, REBALANCES);
    }

    fn close(&mut self, stamped: &Stamped) {
        if let Some(last) = self.rebalances.0.back_mut().filter(|last| last.closed.is_none()) {
            last.closed = Some(stamped.at);
            last.ended = stamped.at;
        }
    }

    pub(super) fn assigned(&mut self, stamped: &Stamped, node: Node, partitions: &[TopicPartition]) {
        self.mark(stamped, What::Assigned, partitions.len() as u32);
        self.held.entry(node).or_default().extend(partitions);
        // An assignment that repeats an old one, as after a static member's return, prolongs nothing.
        if let Some(last) = self.rebalances.0.back_mut()
            && last.closed.is_none_or(|closed| stamped.at.since(closed) < SETTLING)
        {
            last.ended = stamped.at;
        }
    }

    pub(super) fn revoked(&mut self, stamped: &Stamped, node: Node, partitions: &[TopicPartition], cooperative: bool) {
        self.mark(stamped, What::Revoked, partitions.len() as u32);
        self.give_up(stamped.at, node, partitions, Why::Revoked);
        if let Some(last) = self.rebalances.0.back_mut().filter(|_| cooperative && !partitions.is_empty()) {
            last.unfinished = true;
        }
    }

    pub(super) fn lost(&mut self, stamped: &Stamped, node: Node, partitions: &[TopicPartition]) {
        self.mark(stamped, What::Lost, partitions.len() as u32);
        self.give_up(stamped.at, node, partitions, Why::Lost);
    }

    fn give_up(&mut self, at: Instant, node: Node, partitions: &[TopicPartition], why: Why) {
        if let Some(held) = self.held.get_mut(&node) {
            partitions.iter().for_each(|partition| {
                held.remove(partition);
            });
        }
        for partition in partitions {
            self.stops(at, node, *partition, why);
        }
    }

    /// `node` does not read the partition any more, if it did.
    fn stops(&mut self, at: Instant, node: Node, partition: TopicPartition, why: Why) {
        let Some(spells) = self.spells.get_mut(&partition) else { return };
        if spells.0.back().is_some_and(|spell| spell.reader == Some(node)) {
            spells.push(Spell { at, reader: None, why }, SPELLS);
        }
    }

    pub(super) fn process_ended(&mut self, stamped: &Stamped, node: Node) {
        self.mark(stamped, What::Ended, 0);
        for partition in self.held.remove(&node).unwrap_or_default() {
            self.stops(stamped.at, node, partition, Why::Ended);
        }
    }

    pub(super) fn froze(&mut self, stamped: &Stamped, node: Node) {
        self.mark(stamped, What::Froze, 0);
        for partition in self.held.get(&node).cloned().unwrap_or_default() {
            self.stops(stamped.at, node, partition, Why::Frozen);
        }
    }

    /// A process starts, or one that froze goes on where it was, until it hears that it is out: what nobody else has taken
    /// it reads.
    pub(super) fn went_on(&mut self, stamped: &Stamped, node: Node) {
        let of_process = |what| matches!(what, What::Started | What::Froze | What::WentOn | What::Ended);
        let last = self.marks.0.iter().rev().find(|mark| mark.node == node && of_process(mark.what));
        let frozen = last.is_some_and(|mark| mark.what == What::Froze);
        self.mark(stamped, if frozen { What::WentOn } else { What::Started }, 0);
        let Some(held) = self.held.get(&node).cloned() else { return };
        for partition in held {
            let Some(spells) = self.spells.get_mut(&partition) else { continue };
            let Some(last) = spells.0.back().copied() else { continue };
            let own = spells.0.iter().rev().find_map(|spell| spell.reader) == Some(node);
            if last.reader.is_none() && last.why == Why::Frozen && own {
                self.unread = self.unread + stamped.at.since(last.at);
                spells.push(Spell { at: stamped.at, reader: Some(node), why: Why::New }, SPELLS);
            }
        }
    }

    /// A member knows where to read a partition from, or has records of it: from here on it is read.
    pub(super) fn reads(&mut self, stamped: &Stamped, node: Node, partition: TopicPartition) {
        if !self.held.get(&node).is_some_and(|held| held.contains(&partition)) {
            return;
        }
        let at = stamped.at;
        let spells = self.spells.entry(partition).or_default();
        let last = spells.0.back().copied();
        if last.is_some_and(|spell| spell.reader.is_some_and(|reader| reader == node)) {
            return;
        }
        let before = spells.0.iter().rev().find_map(|spell| spell.reader);
        spells.push(Spell { at, reader: Some(node), why: Why::New }, SPELLS);
        let Some(rebalance) = self.rebalances.0.back_mut() else { return };
        let (from, why) = match last {
            Some(Spell { at, reader: None, why }) => (at, why),
            // It is taken from one who still thinks that it is his: at no time read by nobody.
            Some(_) => (at, Why::New),
            None => (rebalance.began, Why::New),
        };
        self.unread = self.unread + at.since(from);
        if rebalance.closed.is_some_and(|closed| from > closed) {
            return;
        }
        rebalance.ended = rebalance.ended.max(at);
        rebalance.score.moved += u32::from(before.is_some_and(|before| before != node));
        if from < at {
            rebalance.score.unread = rebalance.score.unread + at.since(from);
            rebalance.gaps.push(Gap { partition, from, to: at, before, after: node, why });
        }
    }

    pub(super) fn processed(&mut self, partition: TopicPartition, first: Offset, end: Offset) {
        let known = self.processed.entry(partition).or_insert(first);
        let again = (end.min(*known) - first).max(0).unsigned_abs();
        *known = end.max(*known);
        if let Some(last) = self.rebalances.0.back_mut() {
            last.score.redelivered += again;
        }
    }
}

/// Assignments that come later than this after the coordinator's word are another story.
const SETTLING: Duration = Duration::secs(5);

impl Rebalance {
    fn enter_phase(&mut self, stamped: &Stamped, state: &'static str, generation: Generation) {
        self.generation = generation;
        self.phases.push(Phase { id: stamped.id, at: stamped.at, state, generation, coordinator: stamped.node });
    }

    /// From its beginning to the last thing that belongs to it.
    pub fn duration(&self) -> Duration {
        self.ended.since(self.began)
    }

    /// The earliest moment that belongs to it: a partition may have been without a reader before anybody noticed.
    pub fn reaches_back_to(&self) -> Instant {
        self.gaps.iter().map(|gap| gap.from).min().unwrap_or(self.began).min(self.began)
    }
}
