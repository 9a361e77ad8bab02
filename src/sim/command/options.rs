//! `KEY=VALUE …`: the last part of many commands.

use super::Change;
use crate::kafka::config::{Setting, SettingError};
use crate::kafka::workload::{Keys, Template, Values};
use crate::sim::spec::{CONDUCT, ConsumerSpec, READING};
use crate::sim::units;

/// Options not yet taken, in the order given; no key comes twice.
pub struct Options {
    given: Vec<(String, String)>,
}

/// What [`partitions`] takes, for error messages.
pub const PARTITIONS: &str = "a whole number from 1 to 10000";
/// What [`replication_factor`] takes, for error messages.
pub const REPLICATION_FACTOR: &str = "a whole number from 1 to 100";

/// A topic's number of partitions.
pub fn partitions(text: &str) -> Option<u32> {
    text.parse().ok().filter(|partitions| (1..=10_000).contains(partitions))
}

/// A topic's number of replicas.
pub fn replication_factor(text: &str) -> Option<u32> {
    text.parse().ok().filter(|factor| (1..=100).contains(factor))
}

/// The bytes of a record's value: at most what any limit of Kafka could let pass.
pub fn value_size(text: &str) -> Option<u32> {
    units::size(text).and_then(|size| u32::try_from(size).ok()).filter(|size| *size <= 1 << 30)
}

impl Options {
    pub fn read(words: &[String]) -> Result<Self, String> {
        let mut given: Vec<(String, String)> = Vec::new();
        for word in words {
            let Some((key, value)) = word.split_once('=').filter(|(key, _)| !key.is_empty()) else {
                return Err(format!("found `{word}`, allowed is `KEY=VALUE`"));
            };
            if given.iter().any(|(other, _)| other == key) {
                return Err(format!("found `{key}` twice, allowed is one value"));
            }
            given.push((key.to_owned(), value.to_owned()));
        }
        Ok(Self { given })
    }

    /// Takes one option and reads its value.
    pub fn take<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&str) -> Option<T>,
        allowed: &str,
    ) -> Result<Option<T>, String> {
        let Some(at) = self.given.iter().position(|(given, _)| given == key) else { return Ok(None) };
        let (_, value) = self.given.remove(at);
        match read(&value) {
            Some(read) => Ok(Some(read)),
            None => Err(format!("found `{key}={value}`, allowed is {allowed}")),
        }
    }

    /// Nothing may be left.
    pub fn finish(self, known: &[&str]) -> Result<(), String> {
        match self.given.first() {
            None => Ok(()),
            Some((key, _)) => Err(unknown(key, known, &[])),
        }
    }

    /// All that was not taken.
    pub fn rest(self) -> Vec<(String, String)> {
        self.given
    }

    /// `key=TEMPLATE`, `key=null` or `keys=A,B`.
    pub fn keys(&mut self) -> Result<Option<Keys>, String> {
        let template = self.take("key", |text| Some(text.to_owned()), "a key")?;
        let in_turn = self.take("keys", |text| Some(text.split(',').map(str::to_owned).collect()), "keys")?;
        match (template, in_turn) {
            (None, None) => Ok(None),
            (None, Some(keys)) => Ok(Some(Keys::InTurn(keys))),
            (Some(text), None) if text == "null" => Ok(Some(Keys::None)),
            (Some(text), None) => Template::parse(&text).map(|template| Some(Keys::Template(template))),
            (Some(_), Some(_)) => Err("found both `key` and `keys`, allowed is one of them".into()),
        }
    }

    /// `value=TEMPLATE` or `size=BYTES`.
    pub fn values(&mut self) -> Result<Option<Values>, String> {
        let template = self.take("value", |text| Some(text.to_owned()), "a value")?;
        let size = self.take("size", value_size, units::SIZE)?;
        match (template, size) {
            (None, None) => Ok(None),
            (None, Some(size)) => Ok(Some(Values::Size(size))),
            (Some(text), None) => Template::parse(&text).map(|template| Some(Values::Template(template))),
            (Some(_), Some(_)) => Err("found both `value` and `size`, allowed is one of them".into()),
        }
    }

    /// Everything as changes: those of the application that are `known` first, then Kafka's settings, each with a
    /// value that `set` takes.
    pub fn changes(
        mut self,
        known: &[&str],
        kafka: &'static [Setting],
        mut set: impl FnMut(&str, &str) -> Result<(), SettingError>,
    ) -> Result<Vec<Change>, String> {
        let mut changes = Vec::new();
        if known.contains(&"rate") {
            changes.extend(self.take("rate", units::rate, units::RATE)?.map(Change::Rate));
            changes.extend(self.keys()?.map(Change::Keys));
            changes.extend(self.values()?.map(Change::Values));
        }
        if known.contains(&"work") {
            changes.extend(self.take("work", units::duration, units::DURATION)?.map(Change::Work));
        }
        // Whether a value fits its key is seen in a consumer that reads something.
        let mut consumer = ConsumerSpec::blank();
        for key in READING.iter().chain(CONDUCT).copied().filter(|key| known.contains(key)) {
            if let Some(value) = self.take(key, |value| Some(value.to_owned()), "a text")? {
                let refused = |allowed| format!("found `{key}={value}`, allowed is {allowed}");
                consumer.set_own(key, &value).map_err(refused)?;
                changes.push(Change::Own { key, value });
            }
        }
        for (key, value) in self.given {
            match set(&key, &value) {
                Ok(()) => changes.push(Change::Setting { key, value }),
                Err(SettingError::Unknown { .. }) => return Err(unknown(&key, known, kafka)),
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(changes)
    }
}

/// The error for a key that nobody knows; `kafka` are the settings that may stand there, too.
pub fn unknown(key: &str, known: &[&str], kafka: &'static [Setting]) -> String {
    let names = known.iter().copied().chain(kafka.iter().map(|setting| setting.name));
    if let Some(nearest) = nearest(key, names) {
        return format!("found the unknown key `{key}`; did you mean `{nearest}`?");
    }
    let mut allowed: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    if !kafka.is_empty() {
        allowed.push("a setting of Kafka".into());
    }
    format!("found the unknown key `{key}`, allowed is {}", allowed.join(", "))
}

/// The name most like `found`: at most a third of its letters differ.
pub fn nearest<'a>(found: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let best = names.map(|name| (strsim::levenshtein(found, name), name)).min()?;
    (best.0 <= found.len().div_ceil(3)).then_some(best.1)
}
