//! `brokerscope assign`: one assignor by itself.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::Outcome;
use super::vectors::assignors::{self, AssignCase};
use super::vectors::file;
use crate::kafka::assignor::Assignor;

/// Run one assignor on a case, or on every case of a file.
#[derive(Clone, Debug, clap::Args)]
pub struct AssignArgs {
    /// The assignor: range, roundrobin, sticky, cooperative-sticky, server-range or server-uniform.
    #[arg(long, value_name = "NAME")]
    pub assignor: String,
    /// One case, or a whole file, in the format of the conformance vectors.
    #[arg(value_name = "CASE.json")]
    pub file: PathBuf,
}

impl AssignArgs {
    /// A JSON line for each case: its name, and each member's partitions.
    pub fn run(&self) -> Outcome {
        let Some(assignor) = Assignor::by_name(&self.assignor) else {
            let known: Vec<&str> = Assignor::ALL.iter().map(|assignor| assignor.name()).collect();
            return Outcome::wrong(format!(
                "no assignor is called `{}`; there is: {}",
                self.assignor,
                known.join(", ")
            ));
        };
        let lines = assignors::read(&self.file).and_then(|content| {
            let cases = content.get("cases").and_then(Value::as_array).cloned().unwrap_or_else(|| vec![content]);
            cases.iter().enumerate().map(|(at, case)| line(assignor, at, case)).collect::<Result<String, String>>()
        });
        match lines {
            Ok(lines) => Outcome::success(lines),
            Err(why) => Outcome::wrong(format!("{}: {why}", self.file.display())),
        }
    }
}

fn line(assignor: Assignor, at: usize, case: &Value) -> Result<String, String> {
    let wrong = |why: String| format!("{}: {why}", file::name_of(at, case));
    let parsed: AssignCase = file::parse(case).map_err(wrong)?;
    let assignment = parsed.assign(assignor).map_err(wrong)?;
    let test = case.get("test").unwrap_or(&Value::Null);
    Ok(format!("{{\"test\":{test},\"assignment\":{}}}\n", json!(assignment)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASE: &str = r#"{"test":"T#t/1","topics":{"t":3},"members":[{"id":"b","subscription":["t"]},{"id":"a","subscription":["t"]}]}"#;

    #[test]
    fn one_case_or_a_file_of_cases_gives_a_line_each() {
        let line = "{\"test\":\"T#t/1\",\"assignment\":{\"a\":[\"t-0\",\"t-1\"],\"b\":[\"t-2\"]}}\n";
        assert_eq!(run("one", "range", CASE), Outcome::success(line.into()));
        assert_eq!(run("many", "range", &format!("{{\"cases\":[{CASE},{CASE}]}}")), Outcome::success(line.repeat(2)));
    }

    #[test]
    fn an_unknown_assignor_or_a_bad_case_ends_with_status_2_and_a_sentence() {
        let unknown = run("unknown", "random", CASE);
        assert_eq!(
            (unknown.status, unknown.stderr.as_str()),
            (
                2,
                "no assignor is called `random`; there is: range, roundrobin, sticky, cooperative-sticky, \
                     server-range, server-uniform\n"
            )
        );
        let bad = run("bad", "range", r#"{"topics":{}}"#);
        assert!(bad.status == 2 && bad.stderr.ends_with("case 1: missing field `members`\n"), "{bad:?}");
    }

    fn run(name: &str, assignor: &str, content: &str) -> Outcome {
        let file = std::env::temp_dir().join(format!("brokerscope-assign-{}-{name}.json", std::process::id()));
        std::fs::write(&file, content).unwrap();
        let outcome = AssignArgs { assignor: assignor.into(), file: file.clone() }.run();
        std::fs::remove_file(file).unwrap();
        outcome
    }
}
