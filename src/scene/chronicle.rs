//! Everything the page remembers of a run: a fold over its facts, fact by fact.

use std::collections::VecDeque;

use super::events::{self, Event};
use super::footprints::Footprints;
use super::series::Series;
use super::why::{self, Reason};
use crate::sim::trace::{Names, Stamped};
use crate::time::Instant;

/// What happened so far, for the list of events, the ribbon, the charts, and "why?".
#[derive(Clone, Debug, Default)]
pub struct Chronicle {
    events: Vec<Event>,
    series: Series,
    footprints: Footprints,
    recent: VecDeque<Stamped>,
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
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(stamped);
    }

    /// Forgets every fact after this one: another future begins.
    pub fn forget_after(&mut self, id: u64) {
        if id >= self.last {
            return;
        }
        self.last = id;
        self.events.retain(|event| event.id <= id);
        self.recent.retain(|fact| fact.id <= id);
        self.known = self.recent.back().map_or(Instant::ZERO, |fact| fact.at);
        self.series.forget_after(self.known);
        self.footprints.forget_after(id);
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
        let first = self.recent.front()?.id;
        let at = usize::try_from(id.checked_sub(first)?).ok()?;
        // Ids follow each other without gaps, so that the place tells the fact.
        self.recent.get(at).filter(|fact| fact.id == id)
    }
}
