//! What a case shows that is not as expected.

use std::fmt;

use serde::Serialize;

/// Where a case's results differ from what it expects.
#[derive(Clone, Debug, Default)]
pub struct Findings(Vec<Finding>);

#[derive(Clone, Debug)]
struct Finding {
    what: String,
    expected: String,
    got: String,
}

impl Findings {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes the two if they differ.
    pub fn compare<T: PartialEq + Serialize>(&mut self, what: &str, expected: &T, got: &T) {
        if expected != got {
            self.add(what, show(expected), show(got));
        }
    }

    /// [`compare`](Self::compare), where the case says what to expect.
    pub fn compare_if<T: PartialEq + Serialize>(&mut self, what: &str, expected: Option<&T>, got: &T) {
        if let Some(expected) = expected {
            self.compare(what, expected, got);
        }
    }

    /// Notes a difference in words.
    pub fn add(&mut self, what: &str, expected: impl Into<String>, got: impl Into<String>) {
        self.0.push(Finding { what: what.into(), expected: expected.into(), got: got.into() });
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { what, expected, got } in &self.0 {
            writeln!(f, "  {what}\n    expected {expected}\n    got      {got}")?;
        }
        Ok(())
    }
}

fn show<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| error.to_string())
}
