//! Where on the sheet a moment lies.
//!
//! On a clock's axis a second is as wide as any other. But a rebalance is a few milliseconds of talk between seconds of
//! waiting; so on an eased axis the gap between two events that follow each other is as wide as its length's logarithm:
//! talk can be read, and waiting is still seen to be longer.

use super::Slide;
use crate::time::{Duration, Instant};

/// A sheet's time, from its left edge (0) to its right (1).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axis {
    /// Moments in microseconds and their places, both growing.
    knots: Vec<(f64, f64)>,
}

/// More knots than this would tell nothing that can be seen.
const MOST: usize = 3_000;
/// Gaps up to this length look alike.
const SHORT: f64 = 400.0;
/// An event has at least this share of an average gap to itself.
const LEAST: f64 = 0.35;

impl Axis {
    /// Every second is as wide as any other.
    pub fn clock(from: Instant, to: Instant) -> Self {
        let (from, to) = (micros(from), micros(to));
        Self { knots: vec![(from, 0.0), (to.max(from + 1.0), 1.0)] }
    }

    /// Quiet stretches are drawn together.
    pub fn eased(slide: &Slide) -> Self {
        let mut times: Vec<u64> =
            slide.arrows.iter().flat_map(|arrow| [arrow.sent, arrow.due]).map(Instant::as_micros).collect();
        times.extend(slide.marks.iter().map(|mark| mark.at.as_micros()));
        times.extend(slide.states.iter().map(|state| state.from.as_micros()));
        let spells = slide.rows.iter().take(MOST).flat_map(|row| &row.spells);
        times.extend(spells.map(|spell| spell.from.as_micros()));
        times.sort_unstable();
        times.dedup();
        let (from, to) = (slide.from.as_micros(), slide.to.as_micros());
        times.retain(|time| (from..=to).contains(time));
        // Of very many events every so-many-th stands for its neighbours.
        let step = times.len().div_ceil(MOST).max(1);
        let mut times: Vec<u64> = times.into_iter().step_by(step).collect();
        times.insert(0, from);
        times.push(to.max(from + 1));
        times.dedup();
        let widths: Vec<f64> =
            times.windows(2).map(|pair| LEAST + ((pair[1] - pair[0]) as f64 / SHORT).ln_1p()).collect();
        let whole: f64 = widths.iter().sum();
        let mut place = 0.0;
        let mut knots = vec![(times[0] as f64, 0.0)];
        for (width, time) in widths.iter().zip(&times[1..]) {
            place += width / whole.max(f64::MIN_POSITIVE);
            knots.push((*time as f64, place));
        }
        Self { knots }
    }

    /// The place of a moment; moments off the sheet lie beyond its edges.
    pub fn place(&self, at: Instant) -> f64 {
        self.between(micros(at), |knot| knot.0, |knot| knot.1)
    }

    /// The moment at a place.
    pub fn moment(&self, place: f64) -> Instant {
        Instant::from_micros(self.between(place, |knot| knot.1, |knot| knot.0).max(0.0).round() as u64)
    }

    fn between(&self, value: f64, of: impl Fn(&(f64, f64)) -> f64, to: impl Fn(&(f64, f64)) -> f64) -> f64 {
        if self.knots.len() < 2 {
            return 0.0;
        }
        let after = self.knots.partition_point(|knot| of(knot) <= value).clamp(1, self.knots.len() - 1);
        let (a, b) = (&self.knots[after - 1], &self.knots[after]);
        let width = (of(b) - of(a)).max(f64::MIN_POSITIVE);
        to(a) + (to(b) - to(a)) * (value - of(a)) / width
    }

    /// Moments to write on the axis, at least `apart` places from each other, between two places.
    pub fn ticks(&self, left: f64, right: f64, apart: f64) -> Vec<Instant> {
        let mut ticks = Vec::new();
        let mut place = left;
        while place <= right && ticks.len() < 64 {
            let span = self.moment(place + apart).since(self.moment(place));
            let round = round_to(self.moment(place), step_for(span));
            if self.place(round) >= left - 1e-9 && ticks.last().is_none_or(|last: &Instant| *last < round) {
                ticks.push(round);
            }
            place = self.place(round).max(place) + apart;
        }
        ticks
    }
}

fn micros(at: Instant) -> f64 {
    at.as_micros() as f64
}

/// A round step of about a span: 1, 2 or 5 times a power of ten microseconds.
fn step_for(span: Duration) -> u64 {
    let span = span.as_micros().max(1) / 2;
    let power = 10_u64.pow(span.max(1).ilog10());
    [5, 2, 1].into_iter().map(|times| times * power).find(|step| *step <= span).unwrap_or(1)
}

fn round_to(at: Instant, step: u64) -> Instant {
    Instant::from_micros(at.as_micros().div_ceil(step.max(1)) * step.max(1))
}

#[cfg(test)]
mod tests {
    use super::super::{Arrow, Sort};
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    /// Two messages within a millisecond, three seconds of silence, and one more.
    fn burst() -> Slide {
        let arrow = |sent, due| Arrow {
            id: sent,
            from: 1,
            to: 0,
            sent: at(sent),
            due: at(due),
            sort: Sort::Join,
            request: true,
            label: "JoinGroup",
        };
        let arrows = vec![arrow(1_000, 1_500), arrow(1_600, 2_100), arrow(3_002_000, 3_003_000)];
        Slide { from: at(0), to: at(4_000_000), arrows, ..Slide::default() }
    }

    #[test]
    fn an_eased_axis_keeps_the_order_and_gives_talk_room() {
        let axis = Axis::eased(&burst());
        let places: Vec<f64> = [0, 1_000, 1_500, 1_600, 2_100, 3_002_000, 3_003_000, 4_000_000]
            .into_iter()
            .map(|micros| axis.place(at(micros)))
            .collect();
        assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "{places:?}");
        assert!(places[4] - places[1] > 0.05, "the first talk can be read: {places:?}");
        assert!(places[5] - places[4] > places[4] - places[3], "waiting is wider than talk: {places:?}");
    }

    #[test]
    fn a_place_leads_back_to_its_moment() {
        for axis in [Axis::eased(&burst()), Axis::clock(at(0), at(4_000_000))] {
            for micros in [0, 1_550, 700_000, 3_002_500, 4_000_000] {
                let found = axis.moment(axis.place(at(micros))).as_micros();
                assert!(found.abs_diff(micros) <= 1, "{found} for {micros}");
            }
        }
    }

    #[test]
    fn ticks_are_round_and_apart() {
        let axis = Axis::clock(at(0), at(4_000_000));
        let ticks: Vec<u64> = axis.ticks(0.0, 1.0, 0.2).iter().map(|tick| tick.as_micros()).collect();
        assert!(ticks.len() >= 4 && ticks.iter().all(|tick| tick % 100_000 == 0), "{ticks:?}");
    }
}
