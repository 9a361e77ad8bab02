//! The assignors by themselves: a typed group, what each assignor makes of it, and what moves when members leave.

use std::collections::{BTreeMap, BTreeSet};

use super::marks::HUES;
use crate::kafka::assignor::Assignor;
use crate::kafka::ids::Name;
use crate::sim::sharing::{Answer, Held, Share, Sharing};

/// More members than this are summed up.
const MOST_ROWS: usize = 24;

/// A member with more partitions than this shows runs of them.
const MOST_CELLS: usize = 32;

/// A member: a hue and a letter of its own (hues come again, letters do not).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    pub name: String,
    pub letter: String,
    /// `0..HUES`.
    pub hue: u8,
}

/// Every assignor's answer, in the order of the assignors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    pub cards: Vec<Card>,
    /// All answers in one sentence.
    pub summary: String,
}

/// One assignor's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    pub name: &'static str,
    /// Where it runs, and how it goes about a rebalance.
    pub kind: &'static str,
    pub rows: Vec<Row>,
    /// The members that have no row: how many, and what they have.
    pub others: Option<String>,
    pub verdict: String,
    /// Nothing moved that need not, or nobody has two more than another.
    pub good: bool,
}

/// What one member has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub who: Who,
    pub away: bool,
    pub count: usize,
    pub groups: Vec<TopicCells>,
    /// The row for somebody who hears it.
    pub spoken: String,
}

/// The partitions of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicCells {
    pub topic: String,
    pub cells: Vec<Cell>,
}

/// A partition, or a run of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    pub text: String,
    /// Who had it before.
    pub from: Option<Who>,
}

/// The members of a group, as far as they have a row.
pub fn members(group: &Sharing) -> Vec<Who> {
    group.members().iter().take(MOST_ROWS).enumerate().map(|(at, member)| who(at, &member.id)).collect()
}

impl Board {
    /// All answers, when `away` have left.
    pub fn of(group: &Sharing, away: &BTreeSet<String>) -> Self {
        let there = |name: &&String| group.members().iter().any(|member| *member.id == ***name);
        let away: BTreeSet<Name> = away.iter().filter(there).map(|name| name.as_str().into()).collect();
        let numbers: BTreeMap<&str, usize> =
            group.members().iter().enumerate().map(|(at, member)| (&*member.id, at)).collect();
        let answers: Vec<Answer> = Assignor::ALL.iter().map(|assignor| group.answer(*assignor, &away)).collect();
        let cards = answers.iter().map(|answer| card(answer, &away, &numbers)).collect();
        Self { cards, summary: summary(&answers, &away) }
    }
}

fn card(answer: &Answer, away: &BTreeSet<Name>, numbers: &BTreeMap<&str, usize>) -> Card {
    let rows = answer.shares.iter().take(MOST_ROWS).enumerate().map(|(at, share)| row(at, share, numbers));
    Card {
        name: answer.assignor.name(),
        kind: kind(answer.assignor),
        rows: rows.collect(),
        others: others(&answer.shares),
        verdict: verdict(answer, away),
        good: if away.is_empty() { answer.spread() <= 1 } else { answer.reshuffled == 0 },
    }
}

const fn kind(assignor: Assignor) -> &'static str {
    match assignor {
        Assignor::Range | Assignor::RoundRobin | Assignor::Sticky => "client, eager",
        Assignor::CooperativeSticky => "client, cooperative",
        Assignor::ServerRange | Assignor::ServerUniform => "coordinator, KIP-848",
    }
}

fn verdict(answer: &Answer, away: &BTreeSet<Name>) -> String {
    let even = match answer.spread() {
        0 => "All have as many.".to_owned(),
        1 => "Nobody has two more than another.".to_owned(),
        spread => format!("One has {spread} more than another."),
    };
    if away.is_empty() {
        return even;
    }
    let moved = match (answer.inherited, answer.reshuffled) {
        (had_to, 0) => format!("{had_to} moved, and had to."),
        (had_to, others) => format!("{} moved; {others} of them need not have.", had_to + others),
    };
    let waited = match answer.held_back {
        0 => String::new(),
        1 => " 1 waits for a second rebalance.".to_owned(),
        held_back => format!(" {held_back} wait for a second rebalance."),
    };
    format!("{moved}{waited} {even}")
}

fn summary(answers: &[Answer], away: &BTreeSet<Name>) -> String {
    let list = |number: &dyn Fn(&Answer) -> String| {
        answers
            .iter()
            .map(|answer| format!("{} {}", answer.assignor.name(), number(answer)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    if away.is_empty() {
        return format!("Most minus fewest partitions: {}.", list(&|answer| answer.spread().to_string()));
    }
    let names: Vec<&str> = away.iter().map(|name| &**name).collect();
    let moved = list(&|answer| (answer.inherited + answer.reshuffled).to_string());
    format!("Without {}, so many partitions move: {moved}.", names.join(", "))
}

fn others(shares: &[Share]) -> Option<String> {
    let rest = shares.get(MOST_ROWS..).filter(|rest| !rest.is_empty())?;
    let counts = || rest.iter().map(|share| share.held.len());
    let (fewest, most) = (counts().min().unwrap_or(0), counts().max().unwrap_or(0));
    let each = if fewest == most { fewest.to_string() } else { format!("{fewest} to {most}") };
    Some(format!("and {} more members with {each} partitions each", rest.len()))
}

fn row(at: usize, share: &Share, numbers: &BTreeMap<&str, usize>) -> Row {
    let from = |held: &Held| {
        let from = held.from.as_deref()?;
        Some(who(*numbers.get(from)?, from))
    };
    let mut groups: Vec<TopicCells> = Vec::new();
    let mut last: Option<&Held> = None;
    for held in &share.held {
        let follows = last.is_some_and(|last| {
            last.topic == held.topic && last.partition + 1 == held.partition && last.from == held.from
        });
        if last.is_none_or(|last| last.topic != held.topic) {
            groups.push(TopicCells { topic: held.topic.to_string(), cells: Vec::new() });
        }
        last = Some(held);
        let Some(cells) = groups.last_mut().map(|group| &mut group.cells) else { continue };
        match cells.last_mut().filter(|_| follows && share.held.len() > MOST_CELLS) {
            Some(run) => {
                let first = run.text.split('–').next().unwrap_or_default();
                run.text = format!("{first}–{}", held.partition);
            }
            None => cells.push(Cell { text: held.partition.to_string(), from: from(held) }),
        }
    }
    let spoken = spoken(share, &groups);
    Row { who: who(at, &share.member), away: share.away, count: share.held.len(), groups, spoken }
}

fn spoken(share: &Share, groups: &[TopicCells]) -> String {
    if share.away {
        return "has left".to_owned();
    }
    if groups.is_empty() {
        return "nothing".to_owned();
    }
    let cell = |cell: &Cell| match &cell.from {
        Some(from) => format!("{} from {}", cell.text, from.name),
        None => cell.text.clone(),
    };
    let group =
        |group: &TopicCells| format!("{} {}", group.topic, group.cells.iter().map(cell).collect::<Vec<_>>().join(", "));
    groups.iter().map(group).collect::<Vec<_>>().join("; ")
}

/// The member with this number. A short name is its own letter.
fn who(at: usize, name: &str) -> Who {
    let letter = if name.chars().count() <= 4 { name.to_owned() } else { letter(at) };
    Who { name: name.to_owned(), letter, hue: (at % usize::from(HUES)) as u8 }
}

/// A to Z, then A2 to Z2, and so on.
fn letter(at: usize) -> String {
    let letter = char::from(b'A' + (at % 26) as u8);
    if at < 26 { letter.to_string() } else { format!("{letter}{}", at / 26 + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(topics: &str, members: &str, away: &[&str]) -> Board {
        let group = Sharing::parse(topics, members).unwrap();
        Board::of(&group, &away.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn every_assignor_has_a_card_and_every_member_a_row() {
        let board = board("orders:3 users:1", "a b=orders", &[]);
        assert_eq!(board.cards.len(), 6);
        let spoken: Vec<&str> = board.cards[0].rows.iter().map(|row| row.spoken.as_str()).collect();
        assert_eq!(spoken, ["orders 0, 1; users 0", "orders 2"]);
        assert_eq!(board.cards[0].verdict, "One has 2 more than another.");
        assert!(!board.cards[0].good && board.cards[2].good);
        assert!(board.summary.starts_with("Most minus fewest partitions: range 2, roundrobin "), "{}", board.summary);
    }

    #[test]
    fn what_moved_says_from_whom() {
        let board = board("t:6", "a b c", &["b", "nobody"]);
        let sticky = &board.cards[2];
        let spoken: Vec<&str> = sticky.rows.iter().map(|row| row.spoken.as_str()).collect();
        assert_eq!(spoken, ["t 0, 1 from b, 3", "has left", "t 2, 4 from b, 5"]);
        assert_eq!(sticky.verdict, "2 moved, and had to. All have as many.");
        assert_eq!(sticky.rows[0].groups[0].cells[1].from.as_ref().unwrap().hue, 1);
        assert!(board.summary.starts_with("Without b, so many partitions move: range "), "{}", board.summary);
    }

    #[test]
    fn a_large_group_is_summed_up() {
        let large = board("t:400", "c1..c100", &[]);
        let range = &large.cards[0];
        assert_eq!(
            (range.rows.len(), range.others.as_deref()),
            (24, Some("and 76 more members with 4 partitions each"))
        );
        let two = board("t:100", "left right", &[]);
        assert_eq!(two.cards[0].rows[0].spoken, "t 0–49");
    }

    #[test]
    fn letters_do_not_come_again() {
        let letters: BTreeSet<String> = (0..1000).map(letter).collect();
        assert_eq!(letters.len(), 1000);
    }
}
