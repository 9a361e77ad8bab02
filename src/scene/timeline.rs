//! The ribbon of what happened: marks, ticks, and how busy each stretch was.

use super::events::{Event, Tone, Weight};
use super::series::Series;
use crate::time::{Duration, Instant};

/// The ribbon of a run, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ribbon {
    /// Where the ribbon ends: the scenario's duration, or the present if that is later.
    pub end: Instant,
    /// How far the run has been simulated.
    pub known: Instant,
    pub marks: Vec<RibbonMark>,
    /// How busy each of [`STRETCHES`] equal stretches was, 0 to 1.
    pub density: Vec<f64>,
    pub ticks: Vec<Instant>,
    /// Where another future was left for this one.
    pub forks: Vec<Instant>,
}

/// One or more events that lie close together.
#[derive(Clone, Debug, PartialEq)]
pub struct RibbonMark {
    pub at: Instant,
    pub tone: Tone,
    pub text: String,
    /// The first of them.
    pub event: u64,
}

/// How many stretches the density has.
pub const STRETCHES: usize = 120;

impl Ribbon {
    /// The ribbon of these events; marks closer than a hundredth of it are told together.
    pub fn of(events: &[Event], series: &Series, known: Instant, duration: Duration, forks: Vec<Instant>) -> Self {
        let end = (Instant::ZERO + duration).max(known).max(Instant::from_micros(1));
        Self { end, known, marks: marks(events, end), density: density(series, end), ticks: ticks(end), forks }
    }

    /// A moment's place on the ribbon, 0 to 1.
    pub fn place(&self, at: Instant) -> f64 {
        (at.as_micros() as f64 / self.end.as_micros().max(1) as f64).clamp(0.0, 1.0)
    }

    /// The moment at a place.
    pub fn moment(&self, place: f64) -> Instant {
        Instant::from_micros((place.clamp(0.0, 1.0) * self.end.as_micros() as f64) as u64)
    }
}

fn marks(events: &[Event], end: Instant) -> Vec<RibbonMark> {
    let near = end.as_micros() / 60;
    let mut groups: Vec<Vec<&Event>> = Vec::new();
    for event in events.iter().filter(|event| event.weight == Weight::Marked) {
        match groups.last_mut() {
            Some(group) if event.at.since(group[0].at).as_micros() <= near => group.push(event),
            _ => groups.push(vec![event]),
        }
    }
    groups.into_iter().map(|group| told_together(&group)).collect()
}

fn told_together(group: &[&Event]) -> RibbonMark {
    let tone = group.iter().map(|event| event.tone).max().unwrap_or(Tone::Plain);
    let mut tags: Vec<(&str, usize)> = Vec::new();
    for event in group.iter().filter(|event| event.tone != Tone::Asked) {
        match tags.iter_mut().find(|(tag, _)| *tag == event.tag) {
            Some((_, count)) => *count += 1,
            None => tags.push((event.tag, 1)),
        }
    }
    // The worst first: a label has room for two.
    tags.sort_by_key(|(tag, count)| {
        let worst = group.iter().filter(|event| event.tag == *tag).map(|event| event.tone).max();
        (std::cmp::Reverse(worst), *count)
    });
    let asked = group.iter().find(|event| event.tone == Tone::Asked).map(|event| event.text.clone());
    let counted =
        tags.iter().take(2).map(|(tag, count)| if *count > 1 { format!("{count}× {tag}") } else { (*tag).to_owned() });
    let text = asked.unwrap_or_else(|| counted.collect::<Vec<_>>().join(", "));
    RibbonMark { at: group[0].at, tone, text, event: group[0].id }
}

fn density(series: &Series, end: Instant) -> Vec<f64> {
    let mut sums = vec![0.0_f64; STRETCHES];
    let width = series.width().as_micros();
    for (place, bucket) in series.buckets().iter().enumerate() {
        let at = place as u64 * width * STRETCHES as u64 / end.as_micros().max(1);
        if let Some(sum) = sums.get_mut(at as usize) {
            *sum += f64::from(bucket.facts);
        }
    }
    let most = sums.iter().copied().fold(1.0, f64::max);
    sums.into_iter().map(|sum| (sum / most).sqrt()).collect()
}

/// Between four and ten round moments.
fn ticks(end: Instant) -> Vec<Instant> {
    const STEPS: [u64; 14] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000];
    const LONGER: [u64; 8] = [30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 36_000_000];
    let end = end.as_micros();
    let steps = STEPS.iter().chain(&LONGER).map(|millis| millis * 1000);
    let step = steps.clone().find(|step| end / step <= 8).unwrap_or(end.max(1));
    (0..=end / step).map(|place| Instant::from_micros(place * step)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: u64, seconds: u64, tone: Tone, tag: &'static str, text: &str) -> Event {
        let at = Instant::from_micros(seconds * 1_000_000);
        Event { id, at, tone, weight: Weight::Marked, text: text.to_owned(), tag, about: None }
    }

    #[test]
    fn events_at_one_moment_are_one_mark_in_the_worst_tone() {
        let events = [
            event(1, 4, Tone::Asked, "command", "kill broker-1"),
            event(2, 4, Tone::Bad, "crash", "broker-1 crashes."),
            event(3, 13, Tone::Bad, "fenced", ""),
            event(4, 13, Tone::Warn, "election", ""),
            event(5, 13, Tone::Warn, "election", ""),
        ];
        let ribbon = Ribbon::of(&events, &Series::default(), Instant::ZERO, Duration::secs(30), Vec::new());
        let told: Vec<(&str, Tone)> = ribbon.marks.iter().map(|mark| (mark.text.as_str(), mark.tone)).collect();
        assert_eq!(told, [("kill broker-1", Tone::Bad), ("fenced, 2× election", Tone::Bad)]);
    }

    #[test]
    fn a_place_and_its_moment_are_each_others_inverse() {
        let ribbon = Ribbon::of(&[], &Series::default(), Instant::ZERO, Duration::secs(30), Vec::new());
        let moment = Instant::from_micros(14_203_000);
        assert!(ribbon.moment(ribbon.place(moment)).as_micros().abs_diff(moment.as_micros()) <= 1);
    }

    #[test]
    fn ticks_are_round_and_few() {
        for seconds in [1, 30, 45, 600, 7200] {
            let ticks = ticks(Instant::from_micros(seconds * 1_000_000));
            assert!((3..=9).contains(&ticks.len()), "{seconds} s: {}", ticks.len());
        }
        assert_eq!(ticks(Instant::from_micros(30_000_000)).len(), 7);
    }
}
