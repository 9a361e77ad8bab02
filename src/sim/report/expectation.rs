//! `PATH OP VALUE`: what a scenario expects of its report.

use std::cmp::Ordering;
use std::fmt;

use serde_json::Value;

/// One expectation over a report. Prints as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    text: String,
    path: Vec<String>,
    op: Op,
    value: Value,
}

// A JSON value is never NaN, so equality is total.
impl Eq for Expectation {}

/// How a found value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// Longer ones first, or `<` would hide `<=`.
const OPS: [(&str, Op); 6] = [
    ("==", Op::Equal),
    ("!=", Op::NotEqual),
    ("<=", Op::AtMost),
    (">=", Op::AtLeast),
    ("<", Op::Less),
    (">", Op::Greater),
];

impl Expectation {
    /// Reads an expectation. The error says what was found and what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (path, rest) = parse_path(text.trim())?;
        let Some((sign, op)) = OPS.into_iter().find(|(sign, _)| rest.starts_with(sign)) else {
            return Err(format!("found `{rest}` after the path, allowed is `==`, `!=`, `<`, `<=`, `>` or `>=`"));
        };
        let given = rest[sign.len()..].trim();
        let value = serde_json::from_str(given).map_err(|_| {
            format!("found `{given}` after `{sign}`, allowed is a JSON value such as `3` or `\"Stable\"`")
        })?;
        let ordered = matches!(op, Op::Less | Op::AtMost | Op::Greater | Op::AtLeast);
        if ordered && !matches!(value, Value::Number(_) | Value::String(_)) {
            return Err(format!(
                "found `{given}` after `{sign}`, allowed is a number or a string, which have an order"
            ));
        }
        Ok(Self { text: text.trim().to_owned(), path, op, value })
    }

    /// Whether it holds for a report, and what the path names there; `null` where it names nothing.
    pub fn evaluate(&self, report: &Value) -> (bool, Value) {
        let found = find(report, &self.path).unwrap_or(Value::Null);
        (self.holds(&found), found)
    }

    fn holds(&self, found: &Value) -> bool {
        let order = compare(found, &self.value);
        match self.op {
            Op::Equal => order == Some(Ordering::Equal),
            Op::NotEqual => order != Some(Ordering::Equal),
            Op::Less => order == Some(Ordering::Less),
            Op::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Op::Greater => order == Some(Ordering::Greater),
            Op::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The path's names, and the text after it.
fn parse_path(text: &str) -> Result<(Vec<String>, &str), String> {
    let mut path = Vec::new();
    let mut rest = text;
    loop {
        let name;
        (name, rest) = parse_name(rest)?;
        path.push(name);
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None => return Ok((path, rest.trim_start())),
        }
    }
}

fn parse_name(text: &str) -> Result<(String, &str), String> {
    if let Some(quoted) = text.strip_prefix('"') {
        let close = quoted.find('"').ok_or_else(|| format!("found `{text}`, allowed is a name with a closing `\"`"))?;
        return Ok((quoted[..close].to_owned(), &quoted[close + 1..]));
    }
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, '.' | '=' | '!' | '<' | '>' | '"'));
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    if name.is_empty() {
        return Err(format!("found `{text}`, allowed is `PATH OP VALUE` such as `ledger.lost == 0`"));
    }
    Ok((name.to_owned(), rest))
}

fn find(value: &Value, path: &[String]) -> Option<Value> {
    let Some((name, rest)) = path.split_first() else { return Some(value.clone()) };
    let child = match value {
        Value::Object(table) => table.get(name),
        Value::Array(list) => name.parse::<u32>().ok().and_then(|at| list.get(at as usize)),
        _ => None,
    };
    match child {
        Some(child) => find(child, rest),
        // A field that is called so comes first; the topic `count` has a right to its name.
        None if name == "count" && rest.is_empty() => match value {
            Value::Object(table) => Some((table.len() as u64).into()),
            Value::Array(list) => Some((list.len() as u64).into()),
            _ => None,
        },
        None => None,
    }
}

/// The order of two values of one kind that has an order; equality for any two.
fn compare(found: &Value, wanted: &Value) -> Option<Ordering> {
    match (found, wanted) {
        (Value::Number(found), Value::Number(wanted)) => {
            Some(Decimal::of(&found.to_string())?.cmp(&Decimal::of(&wanted.to_string())?))
        }
        (Value::String(found), Value::String(wanted)) => Some(found.cmp(wanted)),
        (Value::Array(found), Value::Array(wanted)) => {
            let equal = found.len() == wanted.len()
                && found.iter().zip(wanted).all(|(found, wanted)| compare(found, wanted) == Some(Ordering::Equal));
            equal.then_some(Ordering::Equal)
        }
        (found, wanted) => (found == wanted).then_some(Ordering::Equal),
    }
}

/// A number by its digits, so that `1`, `1.0` and `0.5` compare without floats.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Decimal {
    millionths: i128,
}

impl Decimal {
    fn of(text: &str) -> Option<Self> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let fraction = format!("{fraction:0<6}");
        let millionths: i128 = format!("{whole}{}", fraction.get(..6)?).parse().ok()?;
        Some(Self { millionths: if negative { -millionths } else { millionths } })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(text: &str, holds: bool, found: Value) {
        let report = json!({
            "ledger": {"lost": 0, "sent": 10},
            "violations": [],
            "cluster": {"brokers": [{"id": 1, "state": "running"}]},
            "topics": {"users.notification": {"partitions": {"0": {"leader": null, "isr": [1, 2]}}}, "count": {}},
            "groups": {"g": {"state": "Stable"}},
        });
        assert_eq!(Expectation::parse(text).expect(text).evaluate(&report), (holds, found), "{text}");
    }

    #[test]
    fn a_path_names_a_field_and_nothing_is_null() {
        check("ledger.lost == 0", true, json!(0));
        check("ledger.lost==0", true, json!(0));
        check("ledger.lots == null", true, json!(null));
        check("groups.nobody.state == \"Stable\"", false, json!(null));
        check("groups.g.state == \"Stable\"", true, json!("Stable"));
        check("cluster.brokers.0.state != \"down\"", true, json!("running"));
    }

    #[test]
    fn a_name_with_a_dot_is_quoted() {
        check("topics.\"users.notification\".partitions.0.isr == [1,2]", true, json!([1, 2]));
        check("topics.\"users.notification\".partitions.0.leader == null", true, json!(null));
    }

    #[test]
    fn a_last_count_counts_entries_unless_a_field_is_called_so() {
        check("violations.count == 0", true, json!(0));
        check("topics.\"users.notification\".partitions.0.isr.count >= 2", true, json!(2));
        check("cluster.count == 1", true, json!(1));
        check("topics.count == {}", true, json!({}));
        check("ledger.lost.count == null", true, json!(null));
    }

    #[test]
    fn only_what_has_an_order_is_more_or_less() {
        check("ledger.sent > 9", true, json!(10));
        check("ledger.sent >= 10.0", true, json!(10));
        check("ledger.sent < 10.5", true, json!(10));
        check("ledger.sent < 2", false, json!(10));
        check("ledger.nothing < 2", false, json!(null));
        check("groups.g.state < \"T\"", true, json!("Stable"));
    }

    #[test]
    fn an_expectation_that_cannot_be_read_says_what_is_allowed() {
        for (text, part) in [
            ("", "PATH OP VALUE"),
            ("ledger.lost", "`==`"),
            ("ledger.lost = 0", "`==`"),
            ("ledger.lost == zero", "JSON"),
            ("ledger.lost < null", "order"),
            ("ledger..lost == 0", "PATH OP VALUE"),
            ("topics.\"a == 0", "closing"),
        ] {
            let error = Expectation::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
