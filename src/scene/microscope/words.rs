//! What is said of a sheet: sentences for what one points at, and lines of tables.

use super::{Arrow, LaneMark, Slide, Sort, Spot};
use crate::kafka::ids::Node;
use crate::scene::words;
use crate::sim::rebalances::{What, Why};
use crate::time::Instant;

impl Slide {
    /// A sentence for something on the sheet.
    pub fn sentence(&self, spot: Spot) -> String {
        match spot {
            Spot::Arrow(place) => self.arrows.get(place).map(|arrow| self.arrow_sentence(arrow)),
            Spot::Mark(place) => self.marks.get(place).map(|mark| self.mark_sentence(mark)),
            Spot::Bracket(place) => self.brackets.get(place).map(|bracket| {
                let span = words::span(bracket.to.since(bracket.from));
                format!("{}: {} of {span} ran out.", self.lane(bracket.lane), bracket.setting)
            }),
            Spot::Stretch(row, place) => self.stretch_sentence(row, place),
        }
        .unwrap_or_default()
    }

    /// When it happened; where it lasts, when it began.
    pub fn moment(&self, spot: Spot) -> Option<Instant> {
        match spot {
            Spot::Arrow(place) => self.arrows.get(place).map(|arrow| arrow.sent),
            Spot::Mark(place) => self.marks.get(place).map(|mark| mark.at),
            Spot::Bracket(place) => self.brackets.get(place).map(|bracket| bracket.to),
            Spot::Stretch(row, place) => Some(self.rows.get(row)?.spells.get(place)?.from),
        }
    }

    /// The fact behind it, for "why?".
    pub fn fact(&self, spot: Spot) -> Option<u64> {
        match spot {
            Spot::Arrow(place) => self.arrows.get(place).map(|arrow| arrow.id),
            Spot::Mark(place) => self.marks.get(place).map(|mark| mark.id),
            Spot::Bracket(place) => self.brackets.get(place).map(|bracket| bracket.id),
            Spot::Stretch(..) => None,
        }
    }

    pub fn lane(&self, place: usize) -> &str {
        self.lanes.get(place).map_or("?", |lane| &lane.name)
    }

    /// How many bytes of every member's name are the same, up to a mark between words; names are told apart by the rest.
    pub fn common(&self) -> usize {
        let mut names = self.lanes.iter().skip(self.coordinators).map(|lane| &*lane.name);
        let Some(first) = names.next() else { return 0 };
        let alike = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
        let same = names.fold(first.len(), |same, name| same.min(alike(first, name)));
        // Marks between words are one byte, so a name is never cut within a letter.
        first.bytes().take(same).rposition(|byte| matches!(byte, b'-' | b'_' | b'.')).map_or(0, |mark| mark + 1)
    }

    fn arrow_sentence(&self, arrow: &Arrow) -> String {
        let (from, to) = (self.lane(arrow.from), self.lane(arrow.to));
        let took = words::span(arrow.due.since(arrow.sent));
        let label = arrow.label;
        let what = match (arrow.sort, arrow.request) {
            (Sort::Error, _) => format!("{from} answers {to}: {}", words::error(label)),
            (_, true) => format!("{from} sends {label} to {to}"),
            (_, false) => format!("{from} answers {label} to {to}"),
        };
        format!("{what}. Under way for {took}.")
    }

    fn mark_sentence(&self, mark: &LaneMark) -> String {
        let who = self.lane(mark.lane);
        let partitions = words::count(u64::from(mark.count), "partition");
        match mark.what {
            What::Assigned => format!("{who} is assigned {partitions}."),
            What::Revoked => format!("{who} gives up {partitions}, after a last commit."),
            What::Lost => format!("{who} loses {partitions} without a chance to commit."),
            What::Joins => format!("{who} asks to join."),
            What::Leaves => format!("{who} says that it leaves."),
            What::Out => format!("The coordinator drops {who}."),
            What::CommitFailed => format!("{who} cannot commit."),
            What::Started => format!("{who} starts."),
            What::Froze => format!("{who} freezes."),
            What::WentOn => format!("{who} goes on."),
            What::Ended => format!("The process of {who} ends."),
            What::Epoch => format!("{who} is at epoch {}.", mark.count),
        }
    }

    fn stretch_sentence(&self, row: usize, place: usize) -> Option<String> {
        let row = self.rows.get(row)?;
        let spell = row.spells.get(place)?;
        let span = words::span(spell.to.since(spell.from));
        Some(match spell.reader {
            Some(reader) => format!("{} is read by {}.", row.label, self.lane(reader)),
            None => format!("{} is read by nobody for {span}: {}.", row.label, because(spell.why)),
        })
    }

    /// Lines of the table of messages: when, from, to, what, under way.
    pub fn message_lines(&self) -> impl Iterator<Item = [String; 5]> {
        self.arrows.iter().filter(|arrow| arrow.sort != Sort::Pulse).map(|arrow| {
            let answer = if arrow.request || arrow.sort == Sort::Error { "" } else { " answer" };
            [
                words::moment(arrow.sent),
                self.lane(arrow.from).to_owned(),
                self.lane(arrow.to).to_owned(),
                format!("{}{answer}", arrow.label),
                words::span(arrow.due.since(arrow.sent)),
            ]
        })
    }

    /// Lines of the table of stretches without a reader: partition, from, for how long, why, and who reads it then.
    pub fn unread_lines(&self) -> impl Iterator<Item = [String; 5]> {
        self.rows.iter().flat_map(move |row| {
            let nobody = row.spells.iter().enumerate().filter(|(_, spell)| spell.reader.is_none());
            nobody.map(move |(place, spell)| {
                let next = row.spells.get(place + 1).and_then(|next| next.reader);
                [
                    row.label.clone(),
                    words::moment(spell.from),
                    words::span(spell.to.since(spell.from)),
                    because(spell.why).to_owned(),
                    next.map_or("nobody yet", |lane| self.lane(lane)).to_owned(),
                ]
            })
        })
    }

    /// The summary that a screen reader hears first.
    pub fn summary(&self) -> String {
        let card = &self.score;
        let state = if self.open { "still goes on" } else { "took" };
        format!(
            "Rebalance {} of {}, {}: {state} {}. {} partition-seconds unread, {} moved, {} redelivered, {}.",
            self.subject.number,
            self.subject.group,
            self.line,
            words::span(card.duration),
            seconds(card.score.unread.as_micros()),
            words::count(u64::from(card.score.moved), "partition"),
            words::count(card.score.redelivered, "record"),
            words::count(card.traffic.messages, "message"),
        )
    }

    /// The node of a lane.
    pub fn node(&self, lane: usize) -> Option<Node> {
        self.lanes.get(lane).map(|lane| lane.node)
    }
}

/// Seconds with as many digits as help: `0.012`, `3.4`, `120`.
pub fn seconds(micros: u64) -> String {
    let seconds = micros as f64 / 1e6;
    match seconds {
        0.0 => "0".to_owned(),
        small if small < 0.1 => format!("{small:.3}"),
        middling if middling < 10.0 => format!("{middling:.2}"),
        large if large < 100.0 => format!("{large:.1}"),
        huge => words::grouped(huge.round() as u64),
    }
}

fn because(why: Why) -> &'static str {
    match why {
        Why::New => "nobody has read it yet",
        Why::Revoked => "its reader gave it up",
        Why::Lost => "its reader lost it",
        Why::Ended => "its reader's process ended",
        Why::Frozen => "its reader's process is frozen",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::ids::{BrokerId, ClientId, Node};
    use crate::scene::microscope::Lane;

    #[test]
    fn what_all_names_begin_with_ends_between_words() {
        let slide = |members: &[&str]| {
            let member = |(place, name): (usize, &&str)| Lane {
                node: Node::Consumer(ClientId(place as u32)),
                name: (*name).to_owned(),
            };
            let coordinator = Lane { node: Node::Broker(BrokerId(1)), name: "broker-1".to_owned() };
            let lanes = std::iter::once(coordinator).chain(members.iter().enumerate().map(member)).collect();
            Slide { coordinators: 1, lanes, ..Slide::default() }
        };
        assert_eq!(slide(&["consumer-billing-1", "consumer-billing-12"]).common(), "consumer-billing-".len());
        assert_eq!(slide(&["consumer-static", "consumer-stable"]).common(), "consumer-".len());
        assert_eq!(slide(&["consumer-é", "consumer-è"]).common(), "consumer-".len());
        assert_eq!(slide(&["consumer-c1"]).common(), "consumer-".len());
        assert_eq!(slide(&["a1", "b1"]).common(), 0);
        assert_eq!(slide(&[]).common(), 0);
    }
}
