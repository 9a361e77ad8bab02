//! What a producer's application hands to send(): how fast, how much, and which keys and values.
//!
//! Records are counted from 0. A workload is a pure function of that count, so the same record can be made again at any
//! time, and nobody has to keep it.

use std::fmt;

use super::ids::Name;
use crate::time::Duration;

/// What one application writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    pub topic: Name,
    /// Thousandths of a record per second; 0 sends nothing by itself.
    pub rate: u64,
    /// After this many records the producer closes; `None`: never.
    pub count: Option<u64>,
    pub keys: Keys,
    pub values: Values,
}

/// The keys of a workload's records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// Null keys: the partitioner chooses freely.
    #[default]
    None,
    Template(Template),
    /// Used in turn; never empty.
    InTurn(Vec<String>),
}

/// The values of a workload's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    Template(Template),
    /// Text of this many bytes.
    Size(u32),
}

impl Workload {
    /// One record a second without keys, whose values are `0`, `1`, `2` …
    pub fn new(topic: Name) -> Self {
        Self { topic, rate: 1000, count: None, keys: Keys::None, values: Values::default() }
    }

    /// Appends the key of record `i`; false, and nothing appended, where it is null.
    pub fn key(&self, i: u64, out: &mut Vec<u8>) -> bool {
        match &self.keys {
            Keys::None => return false,
            Keys::Template(template) => template.write(i, out),
            Keys::InTurn(keys) => {
                let turn = i % keys.len().max(1) as u64;
                out.extend_from_slice(keys.get(turn as usize).map_or(&[], |key| key.as_bytes()));
            }
        }
        true
    }

    /// Appends the value of record `i`.
    pub fn value(&self, i: u64, out: &mut Vec<u8>) {
        match &self.values {
            Values::Template(template) => template.write(i, out),
            Values::Size(size) => write_filler(i, *size as usize, out),
        }
    }

    /// How long after its first record this application hands over record `i`; `None` while the rate is 0.
    ///
    /// It is computed from the count, not summed up, so no rounding adds up however long a run is.
    pub fn due(&self, i: u64) -> Option<Duration> {
        const MICROS_TIMES_THOUSAND: u128 = 1_000_000_000;
        let micros = (u128::from(i) * MICROS_TIMES_THOUSAND).checked_div(u128::from(self.rate))?;
        Some(u64::try_from(micros).map_or(Duration::MAX, |micros| Duration::micros(micros).min(Duration::MAX)))
    }
}

impl Default for Values {
    fn default() -> Self {
        Self::Template(Template { pieces: vec![Piece::Count] })
    }
}

/// The number of the record, then words that compress as text does.
fn write_filler(i: u64, size: usize, out: &mut Vec<u8>) {
    const WORDS: &[u8] = b" the quick brown fox jumps over the lazy dog and runs through the forest until it is dark";
    let end = out.len() + size;
    write_number(i, out);
    while out.len() < end {
        let missing = end - out.len();
        out.extend_from_slice(&WORDS[..missing.min(WORDS.len())]);
    }
    out.truncate(end);
}

/// A text with places for the record's number: `{i}`, or `{i%5}` for its remainder. Other braces stand for themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Count,
    Remainder(u64),
}

impl Template {
    /// Reads a template. What looks like a place for the number and is none (`{i%0}`, `{i+1}`) is an error, which says
    /// what was found and what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        let mut literal = String::new();
        while let Some(open) = rest.find("{i") {
            literal.push_str(&rest[..open]);
            rest = &rest[open..];
            let inside = &rest[2..];
            if inside.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_') {
                literal.push_str("{i");
                rest = inside;
                continue;
            }
            let Some(close) = rest.find('}') else {
                return Err(format!("found `{rest}`, allowed is `{{i}}` or `{{i%5}}`"));
            };
            let piece = parse_place(&rest[2..close])
                .ok_or_else(|| format!("found `{}`, allowed is `{{i}}` or `{{i%5}}`", &rest[..=close]))?;
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(piece);
            rest = &rest[close + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self { pieces })
    }

    /// Appends the text of record `i`.
    pub fn write(&self, i: u64, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Count => write_number(i, out),
                Piece::Remainder(of) => write_number(i % of, out),
            }
        }
    }
}

fn parse_place(inside: &str) -> Option<Piece> {
    if inside.is_empty() {
        return Some(Piece::Count);
    }
    let of: u64 = inside.strip_prefix('%')?.parse().ok()?;
    (of > 0).then_some(Piece::Remainder(of))
}

/// As it was written.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Count => f.write_str("{i}"),
            Piece::Remainder(of) => write!(f, "{{i%{of}}}"),
        })
    }
}

/// Decimal digits, without the detour of a formatter: millions of records pass here.
fn write_number(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut left = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(template: &str, i: u64) -> String {
        let mut out = Vec::new();
        Template::parse(template).expect(template).write(i, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_template_puts_the_records_number_in_its_places() {
        assert_eq!(written("Key-{i}", 7), "Key-7");
        assert_eq!(written("{i%5}/{i}", 12), "2/12");
        assert_eq!(written("{i}", 0), "0");
        assert_eq!(written("{i}", u64::MAX), u64::MAX.to_string());
    }

    #[test]
    fn braces_that_are_no_place_for_the_number_stand_for_themselves() {
        assert_eq!(written(r#"{"id":{i},"items":{}}"#, 3), r#"{"id":3,"items":{}}"#);
        assert_eq!(written("{items}", 3), "{items}");
    }

    #[test]
    fn a_place_that_cannot_be_meant_is_refused() {
        assert_eq!(Template::parse("a{i%0}").unwrap_err(), "found `{i%0}`, allowed is `{i}` or `{i%5}`");
        assert!(Template::parse("{i+1}").is_err());
        assert!(Template::parse("{i").is_err());
    }

    #[test]
    fn a_template_prints_as_it_was_written() {
        for text in ["", "Key-{i}", "{i%5}-{items}{i}", "{\"a\":{i}}"] {
            assert_eq!(Template::parse(text).expect(text).to_string(), text);
        }
    }

    #[test]
    fn keys_in_turn_start_over_and_a_null_key_leaves_no_trace() {
        let mut workload = Workload::new("notes".into());
        let mut out = Vec::new();
        assert!(!workload.key(0, &mut out));
        assert!(out.is_empty());
        workload.keys = Keys::InTurn(vec!["Emma".into(), "Bruno".into()]);
        assert!(workload.key(3, &mut out));
        assert_eq!(out, b"Bruno");
    }

    #[test]
    fn a_value_by_size_has_exactly_that_size() {
        let mut workload = Workload::new("big".into());
        for size in [0, 1, 5, 100, 1000] {
            workload.values = Values::Size(size);
            let mut out = vec![b'x'];
            workload.value(123, &mut out);
            assert_eq!(out.len(), 1 + size as usize);
        }
    }

    #[test]
    fn the_time_of_a_record_does_not_drift() {
        let mut workload = Workload::new("t".into());
        workload.rate = 300_000;
        assert_eq!(workload.due(300), Some(Duration::secs(1)));
        assert_eq!(workload.due(3_000_000), Some(Duration::secs(10_000)));
        workload.rate = 500;
        assert_eq!(workload.due(1), Some(Duration::secs(2)));
        workload.rate = 0;
        assert_eq!(workload.due(0), None);
    }
}
