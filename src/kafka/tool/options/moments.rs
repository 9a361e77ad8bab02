//! Moments and spans as `kafka-consumer-groups` takes them: ISO 8601, read as Kafka and Java read it
//! (`Utils.getDateTime`, `java.time.Duration.parse`).

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// `YYYY-MM-DDThh:mm:ss.sss`, and `Z`, `+hh`, `+hhmm` or `+hh:mm` if it is not UTC anyway: milliseconds since 1970.
pub fn datetime(text: &str) -> Result<i64, String> {
    let Some((_, time)) = text.split_once('T') else {
        let why = "Error parsing timestamp. It does not contain a 'T' according to ISO8601 format";
        return Err(format!("java.text.ParseException: {why}"));
    };
    let has_zone = time.contains(['+', '-', 'Z']);
    let whole = if has_zone { text.to_owned() } else { format!("{text}Z") };
    read_datetime(&whole).ok_or_else(|| format!("java.text.ParseException: Unparseable date: \"{whole}\""))
}

fn read_datetime(text: &str) -> Option<i64> {
    let mut left = Scanner(text);
    let (year, month, day) = (left.number()?, left.after("-")?, left.after("-")?);
    let (hour, minute, second, milli) = (left.after("T")?, left.after(":")?, left.after(":")?, left.after(".")?);
    let offset = left.zone()?;
    let fits = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60
        && milli < 1000
        && (1..=9999).contains(&year);
    fits.then(|| {
        days_since_1970(year, month, day) * DAY + hour * HOUR + minute * MINUTE + second * SECOND + milli - offset
    })
}

/// `PnDTnHnMnS`, with a sign before the whole or any part, and a fraction of the seconds: milliseconds, fractions of
/// which are cut off.
pub fn span(text: &str) -> Result<i64, String> {
    read_span(&text.to_ascii_uppercase()).ok_or_else(|| "Text cannot be parsed to a Duration".to_owned())
}

fn read_span(text: &str) -> Option<i64> {
    let (sign, text) = split_sign(text);
    let text = text.strip_prefix('P')?;
    let (days, time) = match text.split_once('T') {
        Some((_, "")) => return None,
        Some((days, time)) => (days, time),
        None => (text, ""),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let mut total = part(days, &[('D', DAY)])?;
    total = total.checked_add(part(time, &[('H', HOUR), ('M', MINUTE), ('S', SECOND)])?)?;
    total.checked_mul(sign)
}

/// Amounts with their units, each at most once and in this order.
fn part(mut text: &str, units: &[(char, i64)]) -> Option<i64> {
    let mut total = 0_i64;
    for (unit, millis) in units {
        let Some((amount, rest)) = text.split_once(*unit) else { continue };
        text = rest;
        let (sign, amount) = split_sign(amount);
        let (whole, fraction) = amount.split_once(['.', ',']).filter(|_| *unit == 'S').unwrap_or((amount, ""));
        let are_digits = |text: &str| text.chars().all(|digit| digit.is_ascii_digit());
        if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) || fraction.len() > 9 {
            return None;
        }
        let thousandths: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
        let amount = whole.parse::<i64>().ok()?.checked_mul(*millis)?.checked_add(thousandths)?;
        total = total.checked_add(amount * sign)?;
    }
    text.is_empty().then_some(total)
}

fn split_sign(text: &str) -> (i64, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// What is still to be read.
struct Scanner<'a>(&'a str);

impl Scanner<'_> {
    fn number(&mut self) -> Option<i64> {
        let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        // Nine digits are more than any part of a date has.
        digits.parse().ok().filter(|_| digits.len() <= 9)
    }

    fn after(&mut self, mark: &str) -> Option<i64> {
        self.0 = self.0.strip_prefix(mark)?;
        self.number()
    }

    /// `Z` or the hours, and perhaps minutes, that the clock is ahead of UTC, to the end of the text.
    fn zone(&mut self) -> Option<i64> {
        if self.0 == "Z" {
            return Some(0);
        }
        let sign = if self.0.starts_with('-') { -1 } else { 1 };
        let digits = self.0.strip_prefix(['+', '-'])?;
        let (hours, minutes) = match (digits.len(), digits.split_once(':')) {
            (5, Some((hours, minutes))) => (hours, minutes),
            (4, None) => digits.split_at_checked(2)?,
            (2, None) => (digits, "00"),
            _ => return None,
        };
        let two = |text: &str| text.parse::<i64>().ok().filter(|_| text.len() == 2 && !text.starts_with(['+', '-']));
        let (hours, minutes) = (two(hours)?, two(minutes)?);
        (hours < 24 && minutes < 60).then_some(sign * (hours * HOUR + minutes * MINUTE))
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the Gregorian calendar from 1970-01-01, before it negative.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let leap_days = |years: i64| years / 4 - years / 100 + years / 400;
    let years = before * 365 + leap_days(before) - (1969 * 365 + leap_days(1969));
    years + (1..month).map(|month| days_in(year, month)).sum::<i64>() + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_utc_unless_it_says_otherwise() {
        assert_eq!(datetime("1970-01-01T00:00:00.000"), Ok(0));
        assert_eq!(datetime("2026-01-01T00:00:02.500"), Ok(1_767_225_602_500));
        assert_eq!(datetime("2024-02-29T23:59:59.999Z"), Ok(1_709_251_199_999));
        assert_eq!(datetime("2000-03-01T00:00:00.000"), Ok(951_868_800_000));
        assert_eq!(datetime("1969-12-31T23:59:59.999"), Ok(-1));
        for zone in ["+01:00", "+0100", "+01"] {
            assert_eq!(datetime(&format!("1970-01-01T01:00:00.000{zone}")), Ok(0), "{zone}");
        }
        assert_eq!(datetime("1969-12-31T18:30:00.000-05:30"), Ok(0));
    }

    #[test]
    fn what_is_no_moment_is_refused_with_javas_words() {
        let no_time = datetime("2026-01-01").unwrap_err();
        assert!(no_time.ends_with("It does not contain a 'T' according to ISO8601 format"), "{no_time}");
        for wrong in [
            "2026-02-29T00:00:00.000",
            "2026-13-01T00:00:00.000",
            "2026-01-01T24:00:00.000",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.000+1",
            "2026-01-01T00:00:00.000 ",
            "T",
        ] {
            let why = datetime(wrong).unwrap_err();
            assert!(why.starts_with("java.text.ParseException: Unparseable date: "), "{wrong}: {why}");
        }
    }

    #[test]
    fn a_span_is_as_java_reads_it() {
        assert_eq!(span("PT15M"), Ok(15 * MINUTE));
        assert_eq!(span("P2DT3H4M"), Ok(2 * DAY + 3 * HOUR + 4 * MINUTE));
        assert_eq!(span("pt20.345s"), Ok(20_345));
        assert_eq!(span("PT0.5S"), Ok(500));
        assert_eq!(span("P-6H"), Err("Text cannot be parsed to a Duration".to_owned()));
        assert_eq!(span("PT-6H3M"), Ok(-6 * HOUR + 3 * MINUTE));
        assert_eq!(span("-PT6H"), Ok(-6 * HOUR));
        for wrong in
            ["", "P", "PT", "P1DT", "15M", "PT15", "PTM", "P1H", "PT1S1M", "PT1.5M", "P1Y", "PT99999999999999999999S"]
        {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
