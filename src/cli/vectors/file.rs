//! Reading vector files, which may come from anybody: whatever is wrong with one is said in a sentence.

use std::fmt;
use std::path::Path;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The JSON in a file.
pub fn read(path: &Path) -> Result<Value, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("is not JSON: {error}"))
}

/// The JSON in a file, where each table of that name becomes a list of its entries: its order counts, and a [`Value`]
/// forgets it.
pub fn read_in_order(path: &Path, name: &str) -> Result<Value, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    let value = InOrder { name, here: false }.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    value.map_err(|error| format!("is not JSON: {error}"))
}

/// Reads a value; `here` says that it is called so.
#[derive(Clone, Copy)]
struct InOrder<'a> {
    name: &'a str,
    here: bool,
}

impl<'de> DeserializeSeed<'de> for InOrder<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for InOrder<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(InOrder { here: false, ..self })? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(String, Value)> = Vec::new();
        while let Some(key) = table.next_key::<String>()? {
            let value = table.next_value_seed(InOrder { here: key == self.name, ..self })?;
            entries.push((key, value));
        }
        Ok(match self.here {
            true => entries.into_iter().map(|(key, value)| Value::from(vec![key.into(), value])).collect(),
            false => entries.into_iter().collect::<Map<String, Value>>().into(),
        })
    }
}

/// One case as a type of ours.
pub fn parse<T: DeserializeOwned>(case: &Value) -> Result<T, String> {
    T::deserialize(case).map_err(|error| error.to_string())
}

/// A case's number from 1, and its name if it has one: `test`, or the first text in a row.
pub fn name_of(at: usize, case: &Value) -> String {
    let name = case.get("test").or_else(|| case.get(0)).and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() { format!("case {}", at + 1) } else { format!("case {} ({name})", at + 1) }
}

/// The names of the columns of a file whose cases are rows.
pub fn columns(content: &Value, default: &[&str]) -> Result<Vec<String>, String> {
    match content.get("meta").and_then(|meta| meta.get("columns")) {
        None => Ok(default.iter().map(|column| (*column).to_owned()).collect()),
        Some(columns) => parse(columns).map_err(|_| "its `meta.columns` is not a list of names".to_owned()),
    }
}

/// One row of a table.
pub struct Row<'a> {
    cells: Vec<(&'a str, &'a Value)>,
}

impl<'a> Row<'a> {
    pub fn new(columns: &'a [String], case: &'a Value) -> Result<Self, String> {
        let cells = case.as_array().ok_or("it is not a row (a list)")?;
        if cells.len() != columns.len() {
            return Err(format!("it has {} cells for {} columns", cells.len(), columns.len()));
        }
        Ok(Self { cells: columns.iter().map(String::as_str).zip(cells).collect() })
    }

    /// The cell of that column; `None` where there is no such column.
    pub fn find<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, String> {
        let Some((_, cell)) = self.cells.iter().find(|(name, _)| *name == column) else { return Ok(None) };
        parse(cell).map(Some).map_err(|error| format!("`{column}`: {error}"))
    }

    /// The cell of that column.
    pub fn get<T: DeserializeOwned>(&self, column: &str) -> Result<T, String> {
        self.find(column)?.ok_or_else(|| format!("the file has no column `{column}`"))
    }

    /// The bytes of that column's cell, written in hex.
    pub fn bytes(&self, column: &str) -> Result<Vec<u8>, String> {
        unhex(&self.get::<String>(column)?).map_err(|why| format!("`{column}`: {why}"))
    }

    /// Every column `p_of_N`, its number, and its cell.
    pub fn partitions(&self) -> Result<Vec<(&'a str, u32, u32)>, String> {
        let mut found = Vec::new();
        for (name, _) in &self.cells {
            let Some(of) = name.strip_prefix("p_of_") else { continue };
            let of = of.parse().ok().filter(|of| *of > 0);
            let of = of.ok_or_else(|| format!("the column `{name}` names no number of partitions"))?;
            found.push((*name, of, self.get(name)?));
        }
        Ok(found)
    }
}

/// The bytes that a text of hexadecimal digits stands for.
pub fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes = pairs.iter().map(|[high, low]| Some((digit(*high)? << 4 | digit(*low)?) as u8)).collect();
    match bytes {
        Some(bytes) if rest.is_empty() => Ok(bytes),
        _ => Err("it is not a text of pairs of hexadecimal digits".to_owned()),
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
