//! Everything the page remembers of a run: a fold over its facts, fact by fact.

use std::collections::VecDeque;

use super::events::{self, Event};
use super::footprints::Footprints;
use super::series::Series;
use super::why::{self, Reason};
use crate::sim::letters::{Letter, Letters};
use crate::sim::rebalances::Rebalances;
use crate::sim::trace::{Names, Stamped};
use crate::time::Instant;

/// What happened so far, for the list of events, the ribbon, the charts, and "why?".
#[derive(Clone, Debug, Default)]
pub struct Chronicle {
    events: Vec<Event>,
    series: Series,
    footprints: Footprints,
    recent: VecDeque<Stamped>,
    letters: Letters,
    rebalances: Rebalances,
    /// Series and rebalances as they stood before the first of the recent facts: where another future begins, they are
    /// put together again from there.
    before_recent: (Series, Rebalances),
    last: u64,
    known: Instant,
}

/// How many facts are kept whole, to answer "why?".
const RECENT: usize = 120_000;
/// How many events are kept; of a longer run, the latest.
const EVENTS: usize = 5_000;

impl Chronicle {
    /// Takes one more fact in. One that is known already, as after a replay, changes nothing.
    pub fn enter(&mut self, stamped: Stamped, names: &Names) {
        if stamped.id <= self.last {
            return;
        }
        self.last = stamped.id;
        self.known = self.known.max(stamped.at);
        self.series.enter(&stamped, names);
        self.footprints.enter(&stamped);
        if let Some(event) = events::event(&stamped, names) {
            if self.events.len() >= EVENTS {
                self.events.drain(..EVENTS / 10);
            }
            self.events.push(event);
        }
        if self.recent.len() >= RECENT
            && let Some(old) = self.recent.pop_front()
        {
            let (series, rebalances) = &mut self.before_recent;
            series.enter(&old, names);
            rebalances.enter(&old, &self.letters, &|id| sent(&self.letters, id));
        }
        let moment = |id| sent(&self.letters, id).or_else(|| Some(find(&self.recent, id)?.at));
        self.rebalances.enter(&stamped, &self.letters, &moment);
        self.recent.push_back(stamped);
    }

    /// Takes a message of a group in; it comes before the facts of its time.
    pub fn deliver(&mut self, letter: Letter) {
        self.letters.enter(letter);
    }

    /// Forgets every fact after this one: another future begins.
    pub fn forget_after(&mut self, id: u64, names: &Names) {
        if id >= self.last {
            return;
        }
        self.last = id;
        self.events.retain(|event| event.id <= id);
        self.recent.retain(|fact| fact.id <= id);
        self.known = self.recent.back().map_or(Instant::ZERO, |fact| fact.at);
        self.footprints.forget_after(id);
        self.letters.forget_after(id);
        // What lies before the recent facts cannot be taken back: such a future begins with a clean sheet.
        if self.recent.is_empty() {
            self.before_recent = Default::default();
        }
        (self.series, self.rebalances) = self.before_recent.clone();
        for (place, stamped) in self.recent.iter().enumerate() {
            let moment = |id: u64| sent(&self.letters, id).or_else(|| Some(before(&self.recent, place, id)?.at));
            self.series.enter(stamped, names);
            self.rebalances.enter(stamped, &self.letters, &moment);
        }
    }

    /// What happened, in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    pub fn series(&self) -> &Series {
        &self.series
    }

    /// What facts left on the stage.
    pub fn footprints(&self) -> &Footprints {
        &self.footprints
    }

    /// The rebalances of every group.
    pub fn rebalances(&self) -> &Rebalances {
        &self.rebalances
    }

    /// The messages of groups.
    pub fn letters(&self) -> &Letters {
        &self.letters
    }

    /// The last moment something is known of.
    pub fn known(&self) -> Instant {
        self.known
    }

    /// When the last fact before a moment happened that a step stops at.
    pub fn before(&self, now: Instant, names: &Names) -> Option<Instant> {
        let earlier = self.recent.iter().rev().filter(|stamped| stamped.at < now);
        let matters = |stamped: &&Stamped| events::matters(stamped, names);
        earlier.into_iter().find(matters).map(|stamped| stamped.at)
    }

    /// Why an event came about, with the event itself first.
    pub fn why(&self, id: u64, names: &Names) -> Vec<Reason> {
        why::why(id, |id| self.fact(id), names)
    }

    /// A fact by its id, unless it is too long ago.
    pub fn fact(&self, id: u64) -> Option<&Stamped> {
        find(&self.recent, id)
    }
}

fn find(recent: &VecDeque<Stamped>, id: u64) -> Option<&Stamped> {
    let first = recent.front()?.id;
    let at = usize::try_from(id.checked_sub(first)?).ok()?;
    // Ids follow each other without gaps, so that the place tells the fact.
    recent.get(at).filter(|fact| fact.id == id)
}

fn before(recent: &VecDeque<Stamped>, place: usize, id: u64) -> Option<&Stamped> {
    find(recent, id).filter(|fact| recent.get(place).is_some_and(|now| fact.id < now.id))
}

/// When a message that a deadline goes back to arrived.
fn sent(letters: &Letters, id: u64) -> Option<Instant> {
    letters.find(id).map(|letter| letter.due)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::fact::Fact;
    use crate::kafka::ids::{TopicId, TopicPartition};

    const ORDERS: TopicPartition = TopicPartition::new(TopicId(0), 0);

    fn fact(id: u64, fact: Fact) -> Stamped {
        Stamped { id, cause: 0, at: Instant::from_micros(id * 1_000), node: None, fact }
    }

    #[test]
    fn of_a_future_that_was_left_nothing_is_charted() {
        let names = Names::default();
        let polled = |id| fact(id, Fact::Polled { partition: ORDERS, base_offset: 0, count: 5 });
        let high_watermark = |id, to| fact(id, Fact::HighWatermark { partition: ORDERS, from: 0, to, leader: true });
        let committed =
            |id, offset| fact(id, Fact::OffsetCommitted { group: "billing".into(), partition: ORDERS, offset });
        let of = |facts: Vec<Stamped>| {
            let mut chronicle = Chronicle::default();
            facts.into_iter().for_each(|fact| chronicle.enter(fact, &names));
            chronicle
        };
        let mut left = of(vec![polled(1), high_watermark(2, 3), committed(3, 1), high_watermark(4, 9), polled(5)]);
        left.forget_after(3, &names);
        left.enter(committed(4, 2), &names);
        let straight = of(vec![polled(1), high_watermark(2, 3), committed(3, 1), committed(4, 2)]);
        assert_eq!(left.series().buckets(), straight.series().buckets());
        assert_eq!(left.series().lags(), straight.series().lags());
    }
}
