//! TOML tables with their places, so that every error can say the line, the key, what was found and what is allowed.

use std::fmt;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::sim::command::nearest;
use crate::sim::units::{self, DURATION};
use crate::time::{Duration, Instant};

/// Why a scenario file was turned away. Prints as one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// Counts from 1.
    pub line: u32,
    /// The key that is wrong, and the table it stands in.
    pub key: String,
    /// What was found and what is allowed.
    pub what: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "line {}: {}", self.line, self.what),
            key => write!(f, "line {}: {key}: {}", self.line, self.what),
        }
    }
}

impl std::error::Error for ScenarioError {}

/// The line of a byte of the text, counted from 1.
pub fn line_of(text: &str, at: usize) -> u32 {
    text.bytes().take(at).fold(1, |line, byte| line + u32::from(byte == b'\n'))
}

/// One table of the file, none of whose keys is unknown.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    text: &'a str,
    /// As in the file: `[[topic]]`; empty for the keys above all tables.
    name: &'static str,
    start: usize,
    table: &'a DeTable<'a>,
    allowed: &'static [&'static str],
}

/// One key of a table and its value.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    text: &'a str,
    table: &'static str,
    key: &'a str,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Fields<'a> {
    pub fn new(
        text: &'a str,
        name: &'static str,
        start: usize,
        table: &'a DeTable<'a>,
        allowed: &'static [&'static str],
    ) -> Result<Self, ScenarioError> {
        let mut unknown: Vec<_> = table.keys().filter(|key| !allowed.contains(&key.get_ref().as_ref())).collect();
        unknown.sort_unstable_by_key(|key| key.span().start);
        let fields = Self { text, name, start, table, allowed };
        match unknown.first() {
            None => Ok(fields),
            Some(key) => Err(fields.unknown(key)),
        }
    }

    fn unknown(&self, key: &Spanned<std::borrow::Cow<str>>) -> ScenarioError {
        let found = key.get_ref();
        let hint = nearest(found, self.allowed.iter().copied());
        let hint = hint.map(|name| format!(", did you mean `{name}`?")).unwrap_or_default();
        let allowed: Vec<String> = self.allowed.iter().map(|name| format!("`{name}`")).collect();
        ScenarioError {
            line: line_of(self.text, key.span().start),
            key: label(found, self.name),
            what: format!("found an unknown key{hint}; allowed are {}", allowed.join(", ")),
        }
    }

    pub fn get(&self, key: &'static str) -> Option<Field<'a>> {
        let value = self.table.get(key)?;
        Some(Field { text: self.text, table: self.name, key, value })
    }

    pub fn need(&self, key: &'static str, allowed: &str) -> Result<Field<'a>, ScenarioError> {
        self.get(key).ok_or_else(|| ScenarioError {
            line: line_of(self.text, self.start),
            key: label(key, self.name),
            what: format!("found nothing, allowed is {allowed}"),
        })
    }

    /// An error about the table as a whole.
    pub fn refuse(&self, what: String) -> ScenarioError {
        ScenarioError { line: line_of(self.text, self.start), key: self.name.to_owned(), what }
    }

    /// The tables of `[[key]]`.
    pub fn tables(
        &self,
        key: &'static str,
        name: &'static str,
        allowed: &'static [&'static str],
    ) -> Result<Vec<Fields<'a>>, ScenarioError> {
        let Some(field) = self.get(key) else { return Ok(Vec::new()) };
        let wrong = || field.wrong(&format!("tables, each headed by `{name}`"));
        let DeValue::Array(array) = field.value.get_ref() else { return Err(wrong()) };
        let table = |item: &'a Spanned<DeValue<'a>>| match item.get_ref() {
            DeValue::Table(table) => Fields::new(self.text, name, item.span().start, table, allowed),
            _ => Err(wrong()),
        };
        array.iter().map(table).collect()
    }

    /// The table of `[key]`, where there is one.
    pub fn table(
        &self,
        key: &'static str,
        name: &'static str,
        allowed: &'static [&'static str],
    ) -> Result<Option<Fields<'a>>, ScenarioError> {
        let Some(field) = self.get(key) else { return Ok(None) };
        match field.value.get_ref() {
            DeValue::Table(table) => Fields::new(self.text, name, field.value.span().start, table, allowed).map(Some),
            _ => Err(field.wrong(&format!("a table, headed by `{name}`"))),
        }
    }
}

fn label(key: &str, table: &str) -> String {
    if table.is_empty() { format!("`{key}`") } else { format!("`{key}` in {table}") }
}

impl<'a> Field<'a> {
    /// The value is none of those allowed.
    pub fn wrong(&self, allowed: &str) -> ScenarioError {
        self.refuse(format!("found {}, allowed is {allowed}", self.found()))
    }

    /// Something else is wrong with the value.
    pub fn refuse(&self, what: String) -> ScenarioError {
        ScenarioError { line: self.line(), key: label(self.key, self.table), what }
    }

    fn line(&self) -> u32 {
        line_of(self.text, self.value.span().start)
    }

    /// The value as it stands in the file, on one line and not too long.
    fn found(&self) -> String {
        let written = self.text.get(self.value.span()).unwrap_or_default();
        let line: String = written.split_whitespace().collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(60) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }

    pub fn string(&self) -> Result<String, ScenarioError> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text.clone().into_owned()),
            _ => Err(self.wrong("a text in quotes")),
        }
    }

    /// Its name.
    pub fn key(&self) -> &'a str {
        self.key
    }

    pub fn strings(&self) -> Result<Vec<String>, ScenarioError> {
        let wrong = || self.wrong("a list of texts such as `[\"a\", \"b\"]`");
        let DeValue::Array(array) = self.value.get_ref() else { return Err(wrong()) };
        let text = |item: &Spanned<DeValue>| match item.get_ref() {
            DeValue::String(text) => Ok(text.clone().into_owned()),
            _ => Err(wrong()),
        };
        array.iter().map(text).collect()
    }

    pub fn integer(&self, range: RangeInclusive<u64>) -> Result<u64, ScenarioError> {
        let wrong = || {
            let (from, to) = (range.start(), range.end());
            if *to == u64::MAX || *to == i64::MAX as u64 {
                self.wrong(&format!("a whole number from {from} on"))
            } else {
                self.wrong(&format!("a whole number from {from} to {to}"))
            }
        };
        integer(self.value.get_ref())
            .and_then(|number| u64::try_from(number).ok())
            .filter(|number| range.contains(number))
            .ok_or_else(wrong)
    }

    pub fn integer_u32(&self, range: RangeInclusive<u32>) -> Result<u32, ScenarioError> {
        let number = self.integer(u64::from(*range.start())..=u64::from(*range.end()))?;
        Ok(u32::try_from(number).unwrap_or(*range.end()))
    }

    /// A text that `read` understands.
    pub fn read<T>(&self, read: impl FnOnce(&str) -> Option<T>, allowed: &str) -> Result<T, ScenarioError> {
        match self.value.get_ref() {
            DeValue::String(text) => read(text).ok_or_else(|| self.wrong(allowed)),
            _ => Err(self.wrong(&format!("{allowed}, in quotes"))),
        }
    }

    pub fn duration(&self) -> Result<Duration, ScenarioError> {
        self.read(units::duration, DURATION)
    }

    pub fn instant(&self) -> Result<Instant, ScenarioError> {
        self.read(units::instant, DURATION)
    }

    /// Records per second, whole or with a fraction.
    pub fn rate(&self) -> Result<u64, ScenarioError> {
        let text = match self.value.get_ref() {
            DeValue::Integer(_) => integer(self.value.get_ref()).map(|number| number.to_string()),
            DeValue::Float(float) => Some(float.as_str().replace('_', "")),
            DeValue::String(text) => Some(text.clone().into_owned()),
            _ => None,
        };
        text.and_then(|text| units::rate(&text)).ok_or_else(|| self.wrong(units::RATE))
    }

    /// Bytes: a number, or a text such as `16KiB`.
    pub fn size(&self, read: impl FnOnce(&str) -> Option<u32>) -> Result<u32, ScenarioError> {
        let text = match self.value.get_ref() {
            DeValue::Integer(_) => integer(self.value.get_ref()).map(|number| number.to_string()),
            DeValue::String(text) => Some(text.clone().into_owned()),
            _ => None,
        };
        text.and_then(|text| read(&text)).ok_or_else(|| self.wrong("a size up to 1GiB such as `100` or `\"16KiB\"`"))
    }

    /// A table of lists of numbers by number, as `{ 0 = [1, 2, 3] }`.
    pub fn lists_by_number(&self, allowed: &str) -> Result<Vec<(u32, Vec<i32>)>, ScenarioError> {
        let DeValue::Table(table) = self.value.get_ref() else { return Err(self.wrong(allowed)) };
        let entry = |(key, value): (&Spanned<std::borrow::Cow<str>>, &Spanned<DeValue>)| {
            let number = key.get_ref().parse().ok()?;
            let DeValue::Array(array) = value.get_ref() else { return None };
            let item = |item: &Spanned<DeValue>| integer(item.get_ref()).and_then(|number| i32::try_from(number).ok());
            Some((number, array.iter().map(item).collect::<Option<Vec<i32>>>()?))
        };
        table.iter().map(entry).collect::<Option<_>>().ok_or_else(|| self.wrong(allowed))
    }

    /// Settings by Kafka's names, in the file's order, each with its place. A key without quotes is read by TOML as
    /// tables within tables; here it means the same as with quotes.
    pub fn settings(&self) -> Result<Vec<(String, String, Field<'a>)>, ScenarioError> {
        let mut settings = Vec::new();
        self.collect_settings(self.value, "", &mut settings)?;
        settings.sort_by_key(|(_, _, field)| field.value.span().start);
        Ok(settings)
    }

    fn collect_settings(
        &self,
        value: &'a Spanned<DeValue<'a>>,
        prefix: &str,
        settings: &mut Vec<(String, String, Field<'a>)>,
    ) -> Result<(), ScenarioError> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.wrong("a table such as `{ acks = \"all\" }`"));
        };
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            let field = Field { value, key: self.key, ..*self };
            match setting_text(value.get_ref()) {
                Some(text) => settings.push((name, text, field)),
                None if matches!(value.get_ref(), DeValue::Table(_)) => {
                    self.collect_settings(value, &format!("{name}."), settings)?;
                }
                None => return Err(field.wrong(&format!("a text, a number, true or false for `{name}`"))),
            }
        }
        Ok(())
    }
}

fn integer(value: &DeValue) -> Option<i64> {
    let DeValue::Integer(integer) = value else { return None };
    i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok()
}

/// A setting's value as Kafka's own files would hold it.
fn setting_text(value: &DeValue) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(_) => integer(value).map(|number| number.to_string()),
        DeValue::Float(float) => Some(float.as_str().to_owned()),
        DeValue::Boolean(yes) => Some(yes.to_string()),
        DeValue::Array(list) => {
            let items: Option<Vec<String>> = list.iter().map(|item| setting_text(item.get_ref())).collect();
            items.map(|items| items.join(","))
        }
        DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}
