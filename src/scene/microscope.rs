//! The microscope: one rebalance as a swim-lane.
//!
//! A [`Slide`] has a lane for the coordinator and one for each member; messages between them with the moments they left
//! and arrived; what happened to members; the deadlines that decided it; and below, for each partition, who read it when,
//! and when nobody did. [`axis`] says where on the sheet a moment lies. What a rebalance is and how it is scored:
//! [`crate::sim::rebalances`].

pub mod axis;
pub mod words;

use std::collections::{BTreeMap, BTreeSet};

use super::chronicle::Chronicle;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{Node, TopicPartition};
use crate::kafka::message::Api;
use crate::sim::letters::{Letter, Letters};
use crate::sim::rebalances::{Bracket, GroupTrack, Kind, Rebalance, Rebalances, Score, Traffic, What, Why};
use crate::sim::trace::Names;
use crate::time::{Duration, Instant};

/// Which rebalance lies under the microscope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    pub group: String,
    /// Counts the group's rebalances from 1.
    pub number: u32,
}

/// One rebalance, ready to be drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slide {
    pub subject: Subject,
    /// The group's first and last rebalance that are known.
    pub known: (u32, u32),
    /// `classic · range · generation 2`.
    pub line: String,
    pub began: Instant,
    pub ended: Instant,
    /// It still goes on.
    pub open: bool,
    /// What is on the sheet: from before the first stretch without a reader to after the end.
    pub from: Instant,
    pub to: Instant,
    /// Coordinators first, then members.
    pub lanes: Vec<Lane>,
    pub coordinators: usize,
    pub arrows: Vec<Arrow>,
    pub marks: Vec<LaneMark>,
    pub brackets: Vec<LaneBracket>,
    /// States of the group, one after the other.
    pub states: Vec<State>,
    /// The longest unread first, where there are many.
    pub rows: Vec<Row>,
    /// How many partitions nobody reads from a moment on.
    pub unread_steps: Vec<(Instant, u32)>,
    pub score: ScoreCard,
}

/// More rows than this have no room beside each other: those that were unread come first.
const FEW_ROWS: usize = 8;

/// A coordinator or a member.
#[derive(Clone, Debug, PartialEq)]
pub struct Lane {
    pub node: Node,
    pub name: String,
}

/// A message from one lane to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrow {
    /// The id of its fact, for "why?".
    pub id: u64,
    pub from: usize,
    pub to: usize,
    pub sent: Instant,
    pub due: Instant,
    pub sort: Sort,
    pub request: bool,
    /// `JoinGroup`, or the error's name.
    pub label: &'static str,
}

/// What a message is for, which decides how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    Join,
    Sync,
    Offsets,
    Leave,
    /// A heartbeat of the consumer protocol that says something.
    News,
    Pulse,
    Error,
}

/// Something that happened to a member.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneMark {
    pub id: u64,
    pub at: Instant,
    pub lane: usize,
    pub what: What,
    pub count: u32,
}

/// A deadline over a lane.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneBracket {
    pub id: u64,
    pub from: Instant,
    pub to: Instant,
    pub lane: usize,
    pub setting: &'static str,
}

/// The group's state for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub from: Instant,
    pub to: Instant,
    pub name: &'static str,
    pub generation: i32,
}

/// One partition: who read it when.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub partition: TopicPartition,
    pub label: String,
    pub spells: Vec<RowSpell>,
    /// How long nobody read it, of what is on the sheet.
    pub unread: Duration,
    pub moved: bool,
}

/// One stretch of a partition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowSpell {
    pub from: Instant,
    pub to: Instant,
    /// The reader's lane; `None` for nobody.
    pub reader: Option<usize>,
    pub why: Why,
}

/// What the rebalance cost, and of how much.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ScoreCard {
    pub score: Score,
    pub traffic: Traffic,
    pub duration: Duration,
    pub partitions: u32,
    pub members: u32,
}

/// What a person may point at on a sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    Arrow(usize),
    Mark(usize),
    Bracket(usize),
    /// A row, and one of its stretches.
    Stretch(usize, usize),
}

/// The rebalance that a fact belongs to, or the group's latest by then.
pub fn subject_of(rebalances: &Rebalances, group: &str, id: u64) -> Option<Subject> {
    let found = rebalances.of_group(group)?.rebalance_at(id)?;
    Some(Subject { group: group.to_owned(), number: found.number })
}

/// The latest rebalance that had begun by a moment, of any group.
pub fn latest(rebalances: &Rebalances, now: Instant) -> Option<Subject> {
    let of_group = |(name, track): (&crate::kafka::ids::Name, &GroupTrack)| {
        let last = track.rebalances().rev().find(|rebalance| rebalance.began <= now)?;
        Some((last.began, Subject { group: name.to_string(), number: last.number }))
    };
    rebalances.groups().filter_map(of_group).max_by_key(|(began, _)| *began).map(|(_, subject)| subject)
}

/// A rebalance as the chronicle remembers it; `None` where it is not remembered.
pub fn slide(chronicle: &Chronicle, names: &Names, subject: &Subject) -> Option<Slide> {
    slide_of(chronicle.rebalances(), chronicle.letters(), names, chronicle.known(), subject)
}

/// A rebalance out of what is known up to a moment.
pub fn slide_of(
    rebalances: &Rebalances,
    letters: &Letters,
    names: &Names,
    known: Instant,
    subject: &Subject,
) -> Option<Slide> {
    let track = rebalances.of_group(&subject.group)?;
    let rebalance = track.rebalance(subject.number)?;
    let open = rebalance.closed.is_none();
    let ended = if open { known.max(rebalance.ended) } else { rebalance.ended };
    let reach = rebalance.reaches_back_to().min(first_bracket(track, rebalance, ended));
    let margin = Duration::micros((ended.since(reach).as_micros() / 16).clamp(20_000, 3_000_000));
    let from = Instant::ZERO + (reach.since(Instant::ZERO) - margin);
    let to = (ended + margin).min(known.max(ended));
    let mut sheet = Sheet { names, track, slide: Slide::default(), lanes: BTreeMap::new() };
    sheet.lay_lanes(rebalance, letters, from, to);
    sheet.lay_arrows(letters, from, to);
    sheet.lay_marks(rebalance, from, to);
    sheet.lay_states(rebalance, from, to);
    sheet.lay_rows(from, to);
    let known_numbers = (
        track.rebalances().next().map_or(1, |first| first.number),
        track.rebalances().next_back().map_or(1, |last| last.number),
    );
    // What is still unread counts so far; it becomes a gap of the rebalance when somebody reads it.
    let mut score = rebalance.score;
    if open {
        score.unread = track.unread_now().fold(score.unread, |sum, (_, since)| sum + to.since(since));
    }
    let partitions = sheet.slide.rows.len() as u32;
    let members = (sheet.slide.lanes.len() - sheet.slide.coordinators) as u32;
    Some(Slide {
        subject: subject.clone(),
        known: known_numbers,
        line: line(rebalance),
        began: rebalance.began,
        ended,
        open,
        from,
        to,
        score: ScoreCard {
            score,
            traffic: track.traffic(rebalance, letters),
            duration: ended.since(rebalance.began),
            partitions,
            members,
        },
        ..sheet.slide
    })
}

/// What kind of rebalance it is, in few words.
fn line(rebalance: &Rebalance) -> String {
    let protocol = rebalance.protocol.as_deref().map(|name| format!(" · {name}")).unwrap_or_default();
    match rebalance.kind {
        Kind::Classic => format!("classic{protocol} · generation {}", rebalance.generation),
        Kind::Consumer => format!("consumer protocol (KIP-848){protocol} · group epoch {}", rebalance.generation),
    }
}

/// Deadlines that came in the rebalance or set it off may have begun long before.
fn first_bracket(track: &GroupTrack, rebalance: &Rebalance, ended: Instant) -> Instant {
    track.brackets(rebalance.began, ended).map(|bracket| bracket.from).min().unwrap_or(rebalance.began)
}

/// A slide in the making.
struct Sheet<'a> {
    names: &'a Names,
    track: &'a GroupTrack,
    slide: Slide,
    lanes: BTreeMap<Node, usize>,
}

impl Sheet<'_> {
    fn lay_lanes(&mut self, rebalance: &Rebalance, letters: &Letters, from: Instant, to: Instant) {
        let mut coordinators: Vec<Node> = Vec::new();
        let mut members: BTreeSet<Node> = BTreeSet::new();
        for letter in letters.between(from, to).filter(|letter| self.track.is_member(letter.consumer())) {
            let coordinator = if letter.request { letter.to } else { letter.from };
            if !coordinators.contains(&coordinator) {
                coordinators.push(coordinator);
            }
            members.insert(letter.consumer());
        }
        for coordinator in rebalance.phases.iter().filter_map(|phase| phase.coordinator) {
            if !coordinators.contains(&coordinator) {
                coordinators.push(coordinator);
            }
        }
        let of_gaps = rebalance.gaps.iter().flat_map(|gap| gap.before.into_iter().chain([gap.after]));
        members.extend(of_gaps);
        members.extend(self.track.marks(from, to).map(|mark| mark.node).filter(|node| self.track.is_member(*node)));
        // Who reads all the while and has nothing to say reads none the less.
        for (_, spells) in self.track.partitions() {
            let mut reader = None;
            for spell in spells.take_while(|spell| spell.at <= to) {
                if spell.at > from {
                    members.extend(reader);
                }
                reader = spell.reader;
            }
            members.extend(reader);
        }
        self.slide.coordinators = coordinators.len();
        for node in coordinators.into_iter().chain(members) {
            self.lanes.insert(node, self.slide.lanes.len());
            self.slide.lanes.push(Lane { node, name: self.names.node(node) });
        }
    }

    fn lay_arrows(&mut self, letters: &Letters, from: Instant, to: Instant) {
        for letter in letters.between(from, to).filter(|letter| self.track.is_member(letter.consumer())) {
            let (Some(start), Some(end)) = (self.lanes.get(&letter.from), self.lanes.get(&letter.to)) else { continue };
            self.slide.arrows.push(Arrow {
                id: letter.id,
                from: *start,
                to: *end,
                sent: letter.sent,
                due: letter.due,
                sort: sort(letter),
                request: letter.request,
                label: letter
                    .error
                    .filter(|_| sort(letter) == Sort::Error)
                    .map_or(letter.api.name(), |error| error.name()),
            });
        }
    }

    fn lay_marks(&mut self, rebalance: &Rebalance, from: Instant, to: Instant) {
        for mark in self.track.marks(from, to) {
            let Some(lane) = self.lanes.get(&mark.node) else { continue };
            let &crate::sim::rebalances::Mark { id, at, what, count, .. } = mark;
            self.slide.marks.push(LaneMark { id, at, lane: *lane, what, count });
        }
        for bracket in self.track.brackets(rebalance.began, to) {
            let &Bracket { id, from, to, member, setting } = bracket;
            let lane = member.map_or(Some(0), |member| self.lanes.get(&member).copied());
            if let Some(lane) = lane {
                self.slide.brackets.push(LaneBracket { id, from, to, lane, setting });
            }
        }
    }

    fn lay_states(&mut self, rebalance: &Rebalance, from: Instant, to: Instant) {
        if rebalance.began > from && !rebalance.phases.is_empty() {
            let name = if rebalance.from_empty { "Empty" } else { "Stable" };
            self.slide.states.push(State { from, to: rebalance.began, name, generation: -1 });
        }
        for (place, phase) in rebalance.phases.iter().enumerate() {
            let end = rebalance.phases.get(place + 1).map_or(to, |next| next.at);
            let generation = phase.generation.0;
            self.slide.states.push(State { from: phase.at, to: end.max(phase.at), name: phase.state, generation });
        }
    }

    fn lay_rows(&mut self, from: Instant, to: Instant) {
        for (partition, spells) in self.track.partitions() {
            let mut laid: Vec<RowSpell> = Vec::new();
            let mut before = RowSpell { from, to, reader: None, why: Why::New };
            for spell in spells {
                if spell.at > to {
                    break;
                }
                let reader = spell.reader.and_then(|node| self.lanes.get(&node).copied());
                let next = RowSpell { from: spell.at.max(from), to, reader, why: spell.why };
                if spell.at > from {
                    laid.push(RowSpell { to: spell.at, ..before });
                }
                before = next;
            }
            laid.push(before);
            laid.retain(|spell| spell.from < spell.to);
            let unread = laid.iter().filter(|spell| spell.reader.is_none());
            let unread = unread.fold(Duration::ZERO, |sum, spell| sum + spell.to.since(spell.from));
            let readers: BTreeSet<usize> = laid.iter().filter_map(|spell| spell.reader).collect();
            let label = self.names.partition(partition);
            self.slide.rows.push(Row { partition, label, spells: laid, unread, moved: readers.len() > 1 });
        }
        if self.slide.rows.len() > FEW_ROWS {
            self.slide.rows.sort_by_key(|row| std::cmp::Reverse(row.unread));
        }
        let mut changes: BTreeMap<Instant, i64> = BTreeMap::new();
        for spell in self.slide.rows.iter().flat_map(|row| &row.spells).filter(|spell| spell.reader.is_none()) {
            *changes.entry(spell.from).or_default() += 1;
            *changes.entry(spell.to).or_default() -= 1;
        }
        let mut unread = 0;
        self.slide.unread_steps = changes
            .into_iter()
            .map(|(at, change)| {
                unread += change;
                (at, unread.max(0) as u32)
            })
            .collect();
    }
}

fn sort(letter: &Letter) -> Sort {
    match letter.api {
        // A member's first join is always answered so; it is the protocol's way, no failure.
        Api::JoinGroup if letter.error == Some(ErrorCode::MemberIdRequired) => Sort::Join,
        _ if letter.error.is_some() => Sort::Error,
        _ if letter.pulse => Sort::Pulse,
        Api::JoinGroup => Sort::Join,
        Api::SyncGroup => Sort::Sync,
        Api::LeaveGroup => Sort::Leave,
        Api::OffsetCommit | Api::OffsetFetch => Sort::Offsets,
        _ => Sort::News,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::compare::{Protocol, Variant};
    use crate::sim::scenario::Scenario;

    #[test]
    fn who_reads_all_the_while_and_says_nothing_has_a_lane() {
        let scenario = Scenario::parse(include_str!("../../scenarios/eager-vs-cooperative.toml")).expect("built in");
        let end = Instant::ZERO + Duration::secs(20);
        let mut variant = Variant::new(&scenario, Protocol::Consumer, &[], end).expect("a variant");
        let (mut pieces, mut looked) = (0, 0);
        while !variant.run(|| false) {
            pieces += 1;
            if pieces % 10 != 0 {
                continue;
            }
            let (names, now) = (variant.world().names(), variant.world().now());
            for (group, track) in variant.rebalances().groups() {
                let Some(last) = track.rebalances().next_back() else { continue };
                let subject = Subject { group: group.to_string(), number: last.number };
                let slide = slide_of(variant.rebalances(), variant.letters(), names, now, &subject).expect("a slide");
                for (partition, mut spells) in track.partitions() {
                    let row = slide.rows.iter().find(|row| row.partition == partition).expect("a row for each");
                    let reader = spells.next_back().filter(|spell| spell.at < slide.to).and_then(|spell| spell.reader);
                    let shown = row.spells.last().and_then(|spell| spell.reader);
                    let shown = shown.map(|lane| slide.lanes[lane].node);
                    assert!(reader.is_none() || shown == reader, "{}: {reader:?} is shown as {shown:?}", row.label);
                    looked += 1;
                }
            }
        }
        assert!(looked > 100, "it looked at {looked} rows");
    }
}
