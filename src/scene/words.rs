//! Numbers and names as people read them.

use crate::time::{Duration, Instant};

/// `00:14.203`: minutes, seconds and milliseconds of a moment.
pub fn clock(at: Instant) -> String {
    let millis = at.as_micros() / 1000;
    format!("{:02}:{:02}.{:03}", millis / 60_000, millis / 1000 % 60, millis % 1000)
}

/// `13.602 s`: a moment in a sentence.
pub fn moment(at: Instant) -> String {
    let millis = at.as_micros() / 1000;
    format!("{}.{:03} s", millis / 1000, millis % 1000)
}

/// `3 records`, `1 record`.
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{}\u{202f}{noun}{plural}", grouped(number)).replace('\u{202f}', " ")
}

/// Thousands apart: `12 345`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A number in little room: `950`, `12.3k`, `4.1M`.
pub fn short(number: u64) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..1_000_000 => format!("{:.1}k", number as f64 / 1e3),
        _ => format!("{:.1}M", number as f64 / 1e6),
    }
}

/// `82 B`, `1.5 KiB`.
pub fn bytes(number: u64) -> String {
    match number {
        0..1024 => format!("{number} B"),
        1024..1_048_576 => format!("{:.1} KiB", number as f64 / 1024.0),
        _ => format!("{:.1} MiB", number as f64 / 1_048_576.0),
    }
}

/// A stretch of time in a sentence: `20 ms`, `9 s`, `2.5 ms`.
pub fn span(span: Duration) -> String {
    let micros = span.as_micros();
    let trim = |value: f64, unit: &str| {
        let text = format!("{value:.1}");
        format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text))
    };
    match micros {
        0..1000 => format!("{micros} µs"),
        1000..1_000_000 => trim(micros as f64 / 1e3, "ms"),
        _ => trim(micros as f64 / 1e6, "s"),
    }
}

/// An error of Kafka's with what it means, for those that a learner meets first.
pub fn error(name: &str) -> String {
    let meaning = match name {
        "NETWORK_EXCEPTION" => "the connection broke",
        "REQUEST_TIMED_OUT" => "no answer in time",
        "NOT_LEADER_OR_FOLLOWER" => "that broker does not lead it",
        "LEADER_NOT_AVAILABLE" => "it has no leader yet",
        "NOT_ENOUGH_REPLICAS" | "NOT_ENOUGH_REPLICAS_AFTER_APPEND" => "too few replicas are in sync",
        "COORDINATOR_NOT_AVAILABLE" => "the group's coordinator is gone",
        "NOT_COORDINATOR" => "another broker coordinates the group",
        "COORDINATOR_LOAD_IN_PROGRESS" => "the group's coordinator is still starting",
        "UNKNOWN_MEMBER_ID" => "the group does not know this member",
        "ILLEGAL_GENERATION" => "the group is at another generation",
        "REBALANCE_IN_PROGRESS" => "the group is rebalancing",
        _ => return name.to_owned(),
    };
    format!("{meaning} ({name})")
}

/// At most so many letters, with an ellipsis where there were more.
pub fn clip(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// How fast simulated time runs: `1/40×`, `2×`. The rate is simulated microseconds in one second.
pub fn pace(rate: u64) -> String {
    let times = rate as f64 / 1e6;
    if times >= 0.95 {
        let text = if times < 9.5 { format!("{times:.1}") } else { format!("{times:.0}") };
        return format!("{}×", text.strip_suffix(".0").unwrap_or(&text));
    }
    let one_in = 1.0 / times.max(1e-6);
    // Two digits say enough, and a label that jitters says less.
    let digits = 10_f64.powf((one_in.log10().floor() - 1.0).max(0.0));
    format!("1/{:.0}×", (one_in / digits).round() * digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_minutes_seconds_and_milliseconds() {
        assert_eq!(clock(Instant::from_micros(14_203_999)), "00:14.203");
        assert_eq!(clock(Instant::from_micros(61_000_000)), "01:01.000");
    }

    #[test]
    fn numbers_are_grouped_in_thousands() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(count(1, "record"), "1 record");
    }

    #[test]
    fn a_pace_is_a_fraction_or_a_multiple() {
        assert_eq!(pace(1_000_000), "1×");
        assert_eq!(pace(25_000), "1/40×");
        assert_eq!(pace(2_100), "1/480×");
        assert_eq!(pace(1_000_000_000), "1000×");
    }

    #[test]
    fn a_span_uses_the_unit_that_keeps_it_short() {
        assert_eq!(span(Duration::micros(800)), "800 µs");
        assert_eq!(span(Duration::micros(2_500)), "2.5 ms");
        assert_eq!(span(Duration::secs(9)), "9 s");
    }
}
