//! `brokerscope assign`: the assignors by themselves, on conformance cases or on a group as it is typed.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Outcome;
use super::vectors::assignors::{self, AssignCase};
use super::vectors::file;
use crate::kafka::assignor::Assignor;
use crate::kafka::ids::Name;
use crate::sim::sharing::{Answer, Held, Share, Sharing};

/// See how assignors share partitions among the members of a group.
///
/// With CASE.json and --assignor: a JSON line for each case. With --topics and --members: what every assignor makes of
/// them, side by side, and with --without also what moves when members leave.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  brokerscope assign --topics orders:6,users:3 --members a=orders,users b=orders c\n  \
                        brokerscope assign --topics orders:12 --members c1..c5 --without c2\n  \
                        brokerscope assign --assignor sticky case.json"
)]
pub struct AssignArgs {
    /// One assignor: range, roundrobin, sticky, cooperative-sticky, server-range or server-uniform.
    #[arg(long, value_name = "NAME")]
    pub assignor: Option<String>,
    /// One case, or a whole file, in the format of the conformance vectors.
    #[arg(value_name = "CASE.json", conflicts_with_all = ["topics", "members", "without"])]
    pub file: Option<PathBuf>,
    /// Topics and their partitions, as in orders:6,users:3.
    #[arg(long, value_name = "TOPIC:PARTITIONS", num_args = 1.., requires = "members")]
    pub topics: Vec<String>,
    /// Members and their topics, as in a=orders,users; without topics a member subscribes to all; c1..c6 are six.
    #[arg(long, value_name = "MEMBER[=TOPIC,…]", num_args = 1.., requires = "topics")]
    pub members: Vec<String>,
    /// Members who leave when everything is shared.
    #[arg(long, value_name = "MEMBER", num_args = 1.., requires = "topics")]
    pub without: Vec<String>,
}

impl AssignArgs {
    /// A JSON line for each case: its name, and each member's partitions; or tables of a typed group.
    pub fn run(&self) -> Outcome {
        let assignor = match &self.assignor {
            None => None,
            Some(name) => match Assignor::by_name(name) {
                Some(assignor) => Some(assignor),
                None => return Outcome::wrong(format!("no assignor is called `{name}`; there is: {}", names())),
            },
        };
        match (assignor, &self.file) {
            (Some(assignor), Some(file)) => run_cases(assignor, file),
            (None, Some(_)) => Outcome::wrong(format!("which assignor? Say --assignor and one of: {}", names())),
            (_, None) if self.topics.is_empty() => {
                Outcome::wrong("there is nothing to share: give a CASE.json, or --topics and --members")
            }
            (assignor, None) => match self.typed(assignor) {
                Ok(tables) => Outcome::success(tables),
                Err(why) => Outcome::wrong(why),
            },
        }
    }

    fn typed(&self, assignor: Option<Assignor>) -> Result<String, String> {
        let group = Sharing::parse(&self.topics.join(" "), &self.members.join(" "))?;
        let leavers = self.without.iter().flat_map(|names| names.split(',')).filter(|name| !name.is_empty());
        let away: BTreeSet<Name> = leavers.map(Name::from).collect();
        if let Some(nobody) = away.iter().find(|name| !group.members().iter().any(|member| member.id == **name)) {
            return Err(format!("`{nobody}` cannot leave: it is no member"));
        }
        if let Some(assignor) = assignor {
            return Ok(json_line(&group.answer(assignor, &away)));
        }
        let answers = |away: &BTreeSet<Name>| -> Vec<Answer> {
            Assignor::ALL.iter().map(|assignor| group.answer(*assignor, away)).collect()
        };
        let mut text = table(&answers(&BTreeSet::new()));
        if !away.is_empty() {
            let names = away.iter().map(|name| &**name).collect::<Vec<_>>().join(", ");
            let _ = write!(text, "\nwithout {names} (+ marks what has come from another member)\n\n");
            text += &table(&answers(&away));
        }
        Ok(text)
    }
}

fn names() -> String {
    Assignor::ALL.iter().map(|assignor| assignor.name()).collect::<Vec<_>>().join(", ")
}

fn run_cases(assignor: Assignor, file: &Path) -> Outcome {
    let lines = assignors::read(file).and_then(|content| {
        let cases = content.get("cases").and_then(Value::as_array).cloned().unwrap_or_else(|| vec![content]);
        cases.iter().enumerate().map(|(at, case)| line(assignor, at, case)).collect::<Result<String, String>>()
    });
    match lines {
        Ok(lines) => Outcome::success(lines),
        Err(why) => Outcome::wrong(format!("{}: {why}", file.display())),
    }
}

fn line(assignor: Assignor, at: usize, case: &Value) -> Result<String, String> {
    let wrong = |why: String| format!("{}: {why}", file::name_of(at, case));
    let parsed: AssignCase = file::parse(case).map_err(wrong)?;
    let assignment = parsed.assign(assignor).map_err(wrong)?;
    let test = case.get("test").unwrap_or(&Value::Null);
    Ok(format!("{{\"test\":{test},\"assignment\":{}}}\n", json!(assignment)))
}

/// A typed group's answer in the shape of a case's.
fn json_line(answer: &Answer) -> String {
    let names = |share: &Share| -> Vec<String> {
        share.held.iter().map(|held| format!("{}-{}", held.topic, held.partition)).collect()
    };
    let there = answer.shares.iter().filter(|share| !share.away);
    let assignment: serde_json::Map<String, Value> =
        there.map(|share| (share.member.to_string(), names(share).into())).collect();
    format!("{{\"test\":null,\"assignment\":{}}}\n", json!(assignment))
}

/// A row for each member, a column for each assignor; below them how even it is, and what has moved.
fn table(answers: &[Answer]) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let head = std::iter::once(String::new()).chain(answers.iter().map(|answer| answer.assignor.name().to_owned()));
    rows.push(head.collect());
    let members = answers.first().map_or(&[][..], |answer| &answer.shares);
    for (at, share) in members.iter().enumerate() {
        let cells = answers.iter().map(|answer| if share.away { "-".into() } else { runs(&answer.shares[at].held) });
        rows.push(std::iter::once(share.member.to_string()).chain(cells).collect());
    }
    let mut row = |name: &str, cell: &dyn Fn(&Answer) -> String| {
        rows.push(std::iter::once(name.to_owned()).chain(answers.iter().map(cell)).collect());
    };
    row("most - fewest", &|answer| answer.spread().to_string());
    if members.iter().any(|share| share.away) {
        row("moved", &|answer| match (answer.inherited, answer.reshuffled) {
            (had_to, 0) => had_to.to_string(),
            (had_to, others) => format!("{} ({others} need not)", had_to + others),
        });
        row("held back", &|answer| answer.held_back.to_string());
    }
    let columns = answers.len() + 1;
    let widths: Vec<usize> =
        (0..columns).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}

/// `orders 0-2 +3; users 0`: neighbours together, and what has come from another member marked.
fn runs(held: &[Held]) -> String {
    let mut text = String::new();
    let mut at = 0;
    while at < held.len() {
        let first = &held[at];
        let same = |one: &&Held| one.topic == first.topic && one.from.is_some() == first.from.is_some();
        let run: Vec<&Held> = (first.partition..)
            .zip(&held[at..])
            .take_while(|(number, one)| one.partition == *number && same(one))
            .map(|(_, one)| one)
            .collect();
        let new_topic = at == 0 || held[at - 1].topic != first.topic;
        if new_topic {
            let _ = write!(text, "{}{}", if at == 0 { "" } else { "; " }, first.topic);
        }
        let mark = if first.from.is_some() { "+" } else { "" };
        let _ = write!(text, "{}{mark}{}", if new_topic { " " } else { "," }, first.partition);
        if run.len() > 1 {
            let _ = write!(text, "-{}", run[run.len() - 1].partition);
        }
        at += run.len();
    }
    text
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

    /// The order in which a member names its topics decides which of them it keeps first.
    #[test]
    fn what_a_member_owned_may_be_said_topic_by_topic() {
        let members = r#"[{"id":"A","subscription":["T2","T10"],"owned":{"T10":[0,1],"T2":[0]}},{"id":"B","subscription":["T2","T10"]}]"#;
        let case = format!(r#"{{"test":"t","topics":{{"T2":2,"T10":2}},"members":{members}}}"#);
        let line = "{\"test\":\"t\",\"assignment\":{\"A\":[\"T10-0\",\"T10-1\"],\"B\":[\"T2-0\",\"T2-1\"]}}\n";
        assert_eq!(run("owned", "server-uniform", &case), Outcome::success(line.into()));
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
        let gone = r#"{"topics":{"t":-1},"members":[{"id":"a","subscription":["t"]}]}"#;
        let gone = run("gone", "server-range", gone);
        assert!(gone.status == 2 && gone.stderr.contains("subscribes to `t`, which is no topic"), "{gone:?}");
    }

    #[test]
    fn a_typed_group_is_shared_by_all_assignors_side_by_side() {
        // Only `a` reads users, so those are dealt first. Then `b` gets orders until it has two as well: sticky gives the
        // next one to the first of equals by name, uniform goes round from `b` on.
        let outcome = typed(None, &["orders:4,users:2"], &["a", "b=orders"], &[]);
        let expected = "\
               range                    roundrobin               sticky                   cooperative-sticky       server-range             server-uniform
a              orders 0-1; users 0-1    orders 0,2; users 0-1    orders 2; users 0-1      orders 2; users 0-1      orders 0-1; users 0-1    orders 3; users 0-1
b              orders 2-3               orders 1,3               orders 0-1,3             orders 0-1,3             orders 2-3               orders 0-2
most - fewest  2                        2                        0                        0                        2                        0
";
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(plain(&outcome.stdout), plain(expected), "{}", outcome.stdout);
        assert_eq!(outcome.status, 0);
    }

    #[test]
    fn a_leaver_shows_what_moves() {
        let outcome = typed(None, &["t:6"], &["a b", "c"], &["b"]);
        let after = outcome.stdout.split_once("without b").unwrap().1;
        let rows: Vec<&str> = after.lines().filter(|line| !line.is_empty()).collect();
        assert!(rows[2].starts_with("a              t 0-1,+2"), "{after}");
        assert!(rows[3].starts_with("b              -"), "{after}");
        assert!(rows.iter().any(|row| row.starts_with("moved") && row.contains("2  ")), "{after}");
    }

    #[test]
    fn one_assignor_of_a_typed_group_answers_in_json() {
        let outcome = typed(Some("roundrobin"), &["t:3"], &["a", "b"], &[]);
        assert_eq!(outcome.stdout, "{\"test\":null,\"assignment\":{\"a\":[\"t-0\",\"t-2\"],\"b\":[\"t-1\"]}}\n");
    }

    #[test]
    fn what_is_typed_wrong_is_said() {
        for (outcome, part) in [
            (typed(None, &["t"], &["a"], &[]), "`t` is no topic"),
            (typed(None, &["t:1"], &["a"], &["z"]), "`z` cannot leave: it is no member"),
            (typed(None, &[], &[], &[]), "nothing to share"),
        ] {
            assert!(outcome.status == 2 && outcome.stderr.contains(part), "{outcome:?}");
        }
    }

    fn run(name: &str, assignor: &str, content: &str) -> Outcome {
        let file = std::env::temp_dir().join(format!("brokerscope-assign-{}-{name}.json", std::process::id()));
        std::fs::write(&file, content).unwrap();
        let args = AssignArgs { assignor: Some(assignor.into()), file: Some(file.clone()), ..empty() };
        let outcome = args.run();
        std::fs::remove_file(file).unwrap();
        outcome
    }

    fn typed(assignor: Option<&str>, topics: &[&str], members: &[&str], without: &[&str]) -> Outcome {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let (topics, members, without) = (words(topics), words(members), words(without));
        AssignArgs { assignor: assignor.map(str::to_owned), topics, members, without, ..empty() }.run()
    }

    fn empty() -> AssignArgs {
        AssignArgs { assignor: None, file: None, topics: Vec::new(), members: Vec::new(), without: Vec::new() }
    }
}
