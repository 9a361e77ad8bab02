//! Amounts as people write them: `250ms`, `16KiB`, `1Gbit/s`, `0.5 %`. Whole numbers inside, never floats.
//!
//! Each kind has one function that reads and one that shows; what is shown reads back to the same amount.

use std::fmt;

use crate::time::{Duration, Instant};

/// What a duration may look like, for error messages.
pub const DURATION: &str = "a time such as `250ms`, `5s` or `2m`";
/// What a size may look like, for error messages.
pub const SIZE: &str = "a size such as `100`, `16KiB` or `1GB`";
/// What a rate may look like, for error messages.
pub const RATE: &str = "records per second such as `0.5` or `300`, at most 100000000";
/// What a bandwidth may look like, for error messages.
pub const BANDWIDTH: &str = "a bandwidth such as `1Gbit/s`, `100Mbit/s` or `10MB/s`";
/// What a share may look like, for error messages.
pub const SHARE: &str = "a percentage from `0%` to `100%`";

/// Longer than any run that anybody waits for: a year.
const LONGEST_US: u64 = 366 * 24 * 3600 * 1_000_000;
const FASTEST: u64 = 100_000_000_000;
const WIDEST: u64 = 1_000_000_000_000_000;

const DURATION_UNITS: [(&str, u64); 5] =
    [("us", 1), ("ms", 1000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)];
const SIZE_UNITS: [(&str, u64); 7] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];
const BANDWIDTH_UNITS: [(&str, u64); 9] = [
    ("bit/s", 1),
    ("kbit/s", 1000),
    ("Mbit/s", 1_000_000),
    ("Gbit/s", 1_000_000_000),
    ("Tbit/s", 1_000_000_000_000),
    ("B/s", 8),
    ("KB/s", 8000),
    ("MB/s", 8_000_000),
    ("GB/s", 8_000_000_000),
];

/// `250ms`, `5s`, `1.5s`, `2m`, `1h`; a plain `0` too.
pub fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    amount(text, &DURATION_UNITS).filter(|micros| *micros <= LONGEST_US).map(Duration::micros)
}

/// A moment of a run, written as the time since it began.
pub fn instant(text: &str) -> Option<Instant> {
    duration(text).map(|since| Instant::ZERO + since)
}

/// A moment, as scenario files write it: `5s`.
pub fn show_instant(at: Instant) -> String {
    at.since(Instant::ZERO).to_string()
}

/// Bytes: `100`, `16KiB`, `1GB`.
pub fn size(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| amount(text, &SIZE_UNITS))
}

/// Records per second, as thousandths of a record per second: `0.5`, `300`.
pub fn rate(text: &str) -> Option<u64> {
    scaled(text, 1000).filter(|rate| *rate <= FASTEST)
}

/// The shortest text of a rate: `0.5`, `300`.
pub fn show_rate(rate: u64) -> String {
    let (whole, thousandths) = (rate / 1000, rate % 1000);
    if thousandths == 0 {
        return whole.to_string();
    }
    format!("{whole}.{thousandths:03}").trim_end_matches('0').to_owned()
}

/// Bits per second: `1Gbit/s`, `10MB/s`.
pub fn bandwidth(text: &str) -> Option<u64> {
    amount(text, &BANDWIDTH_UNITS).filter(|bits| (1..=WIDEST).contains(bits))
}

/// In the largest unit that keeps it whole: `1Gbit/s`.
pub fn show_bandwidth(bits_per_second: u64) -> String {
    let bits = &BANDWIDTH_UNITS[..5];
    let whole = bits.iter().rev().find(|(_, factor)| bits_per_second.is_multiple_of(*factor));
    let (unit, factor) = whole.copied().unwrap_or(("bit/s", 1));
    format!("{}{unit}", bits_per_second / factor)
}

/// A part of a whole, in millionths: how often a link loses or doubles a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

impl Share {
    /// What [`Share::millionths`] is a part of.
    pub const WHOLE: u32 = 1_000_000;

    /// `5%`, `0.1%`.
    pub fn parse(text: &str) -> Option<Self> {
        let millionths = scaled(text.strip_suffix('%')?.trim_end(), 10_000)?;
        u32::try_from(millionths).ok().filter(|share| *share <= Self::WHOLE).map(Self)
    }

    /// So many hundredths; more than all is all.
    pub const fn percent(percent: u32) -> Self {
        Self(if percent > 100 { Self::WHOLE } else { percent * 10_000 })
    }

    pub const fn millionths(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 10_000, self.0 % 10_000);
        match rest {
            0 => write!(f, "{whole}%"),
            _ => write!(f, "{}%", format!("{whole}.{rest:04}").trim_end_matches('0')),
        }
    }
}

/// A decimal number and one of the units.
fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = (&text[..digits], text[digits..].trim_start());
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    scaled(number, *factor)
}

/// `number` times `factor`, where that is a whole number that fits.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) || number.ends_with('.') || fraction.len() > 12 {
        return None;
    }
    let fraction_factor = 10_u128.pow(fraction.len() as u32);
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let scaled = digits.checked_mul(u128::from(factor))?;
    if scaled % fraction_factor != 0 {
        return None;
    }
    u64::try_from(scaled / fraction_factor).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_read_in_every_unit() {
        for (text, micros) in
            [("250ms", 250_000), ("5s", 5_000_000), ("2m", 120_000_000), ("40us", 40), ("4.5s", 4_500_000), ("0s", 0)]
        {
            assert_eq!(duration(text), Some(Duration::micros(micros)), "{text}");
        }
        for text in ["", "5", "s", "5 parsecs", "-1s", "1e3s", "0.0000001s", "5S", ".5s", "5.s", "99999999h"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_tell_kibibytes_from_kilobytes() {
        assert_eq!(size("16KiB"), Some(16_384));
        assert_eq!(size("1GB"), Some(1_000_000_000));
        assert_eq!(size("100"), Some(100));
        assert_eq!(size("1.5KB"), Some(1500));
        assert_eq!(size("1Gb"), None);
    }

    #[test]
    fn a_slow_rate_keeps_its_fraction() {
        assert_eq!(rate("0.5"), Some(500));
        assert_eq!(rate("300"), Some(300_000));
        assert_eq!(rate("1.0"), Some(1000));
        assert_eq!(rate("-1"), None);
        assert_eq!(show_rate(500), "0.5");
        assert_eq!(show_rate(300_000), "300");
    }

    #[test]
    fn bandwidths_and_shares() {
        assert_eq!(bandwidth("1Gbit/s"), Some(1_000_000_000));
        assert_eq!(bandwidth("10MB/s"), Some(80_000_000));
        assert_eq!(bandwidth("0bit/s"), None);
        assert_eq!(Share::parse("0.1%").map(Share::millionths), Some(1000));
        assert_eq!(Share::parse("101%"), None);
        assert_eq!(Share::parse("5"), None);
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(micros in 0..LONGEST_US, rate_ in 0..FASTEST, bits in 1..WIDEST, share in 0..=Share::WHOLE) {
            prop_assert_eq!(duration(&Duration::micros(micros).to_string()), Some(Duration::micros(micros)));
            prop_assert_eq!(rate(&show_rate(rate_)), Some(rate_));
            prop_assert_eq!(bandwidth(&show_bandwidth(bits)), Some(bits));
            prop_assert_eq!(Share::parse(&Share(share).to_string()), Some(Share(share)));
        }
    }
}
