//! The line at the stage's bottom: what the scenario says at this moment, or else what happened last.

use super::events::{Event, Tone, Weight};
use crate::time::{Duration, Instant};

/// What stands at the stage's bottom.
#[derive(Clone, Debug, PartialEq)]
pub struct Caption {
    pub text: String,
    /// Said by the scenario; otherwise it is only the latest news.
    pub spoken: bool,
    pub tone: Tone,
}

/// How long a caption stays, in simulated time.
const SPOKEN: Duration = Duration::secs(5);
const NEWS: Duration = Duration::secs(3);

/// The line for a moment. `said` are the scenario's captions and `events` what happened, both in order of time.
pub fn at<'a>(now: Instant, said: impl Iterator<Item = (Instant, &'a str)>, events: &[Event]) -> Option<Caption> {
    let spoken = said.take_while(|(at, _)| *at <= now).last().filter(|(at, _)| now.since(*at) < SPOKEN);
    if let Some((_, text)) = spoken {
        return Some(Caption { text: text.to_owned(), spoken: true, tone: Tone::Plain });
    }
    let until = events.partition_point(|event| event.at <= now);
    let news =
        events[..until].iter().rev().find(|event| event.weight >= Weight::Listed && event.tone != Tone::Asked)?;
    (now.since(news.at) < NEWS).then(|| Caption { text: news.text.clone(), spoken: false, tone: news.tone })
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
    fn news_fill_the_silence_for_a_while() {
        let line = |now| at(second(now), std::iter::empty(), &[news(6)]).map(|caption| caption.text);
        assert_eq!(line(5), None);
        assert_eq!(line(7).as_deref(), Some("news"));
        assert_eq!(line(10), None);
    }
}
