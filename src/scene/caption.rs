//! The line at the stage's bottom: what the scenario says at this moment, or else what happened last.

use super::events::{Event, Tone, Weight};
use super::words;
use crate::sim::report::Report;
use crate::time::{Duration, Instant};

/// What stands at the stage's bottom.
#[derive(Clone, Debug, PartialEq)]
pub struct Caption {
    pub text: String,
    /// Said by the scenario; otherwise it is only the latest news.
    pub spoken: bool,
    pub tone: Tone,
}

/// How long a caption has the line to itself, in simulated time. It stays on until the next one, or until something
/// happens that marks the run: from there on it may be untrue.
const SPOKEN: Duration = Duration::secs(5);
const NEWS: Duration = Duration::secs(3);

/// The line for a moment. `said` are the scenario's captions and `events` what happened, both in order of time.
pub fn at<'a>(now: Instant, said: impl Iterator<Item = (Instant, &'a str)>, events: &[Event]) -> Option<Caption> {
    let until = events.partition_point(|event| event.at <= now);
    let spoken = said.take_while(|(at, _)| *at <= now).last().filter(|(at, _)| {
        let marked = |event: &&Event| event.weight == Weight::Marked && event.at >= *at + SPOKEN;
        now.since(*at) < SPOKEN
            || !events[..until].iter().rev().take_while(|event| event.at >= *at).any(|event| marked(&event))
    });
    if let Some((_, text)) = spoken {
        return Some(Caption { text: text.to_owned(), spoken: true, tone: Tone::Plain });
    }
    let news =
        events[..until].iter().rev().find(|event| event.weight >= Weight::Listed && event.tone != Tone::Asked)?;
    (now.since(news.at) < NEWS).then(|| Caption { text: news.text.clone(), spoken: false, tone: news.tone })
}

/// What a run came to, in one line: `The end: 10 of 10 processed, 0 lost`.
pub fn ending(report: &Report) -> String {
    let books = &report.ledger;
    let mut parts: Vec<String> = Vec::new();
    match books.groups.iter().next() {
        Some((_, group)) if books.groups.len() == 1 => {
            parts.push(format!("{} of {} processed", words::grouped(group.distinct), words::grouped(books.sent)));
        }
        _ => parts.push(format!("{} of {} acked", words::grouped(books.acked), words::grouped(books.sent))),
    }
    parts.push(format!("{} lost", words::grouped(books.lost)));
    for (number, name) in [(books.failed, "failed"), (books.duplicated, "duplicated")] {
        if number > 0 {
            parts.push(format!("{} {name}", words::grouped(number)));
        }
    }
    format!("The end: {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn news(seconds: u64) -> Event {
        let (tone, weight) = (Tone::Warn, Weight::Listed);
        Event { id: 1, at: second(seconds), tone, weight, text: "news".to_owned(), tag: "", about: None }
    }

    #[test]
    fn what_the_scenario_says_goes_before_the_news() {
        let caption = at(second(6), [(second(5), "said")].into_iter(), &[news(6)]).expect("a caption");
        assert_eq!((caption.text.as_str(), caption.spoken), ("said", true));
    }

    #[test]
    fn a_caption_stays_until_the_next_one_or_until_something_happens() {
        let said = || [(second(5), "first"), (second(40), "next")].into_iter();
        let line = |now, events: &[Event]| at(second(now), said(), events).map(|caption| caption.text);
        assert_eq!(line(35, &[]).as_deref(), Some("first"));
        assert_eq!(line(40, &[]).as_deref(), Some("next"));
        let marked = Event { weight: Weight::Marked, ..news(20) };
        assert_eq!(line(19, std::slice::from_ref(&marked)).as_deref(), Some("first"));
        assert_eq!(line(21, &[marked]).as_deref(), Some("news"));
    }

    #[test]
    fn news_fill_the_silence_for_a_while() {
        let line = |now| at(second(now), std::iter::empty(), &[news(6)]).map(|caption| caption.text);
        assert_eq!(line(5), None);
        assert_eq!(line(7).as_deref(), Some("news"));
        assert_eq!(line(10), None);
    }
}
