//! `brokerscope vectors`: the conformance runner.
//!
//! A vector file holds cases of one kind: inputs, and what Kafka itself made of them. The file's name says the kind.
//! Every case goes through the code that the cluster runs; what differs is printed.

pub mod assignors;
mod batches;
mod cluster;
mod encodings;
pub mod file;
mod finding;
mod groups;
mod live;
mod logs;
mod partition_change;
mod partitions;
mod placement;
mod producers;
mod reconcile;
mod replication;
mod truncation;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Outcome;
use crate::kafka::assignor::Assignor;
use finding::Findings;

/// Run conformance vectors through the engine's own code.
#[derive(Clone, Debug, clap::Args)]
pub struct VectorsArgs {
    /// Vector files; a file's name says what it checks, as in `high_watermark.json`.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

impl VectorsArgs {
    /// Each failing case with what was expected and what came, then `N passed, M failed`.
    ///
    /// Status 1 if a case failed, 2 if a kind is not known or a file cannot be read as what it should be.
    pub fn run(&self) -> Outcome {
        let mut outcome = Outcome::default();
        let (mut passed, mut failed) = (0_u64, 0_u64);
        for file in &self.files {
            match run_file(file) {
                Ok(tally) => {
                    passed += tally.passed;
                    failed += tally.failed;
                    outcome.stdout += &tally.report;
                }
                Err(why) => {
                    let _ = writeln!(outcome.stderr, "{}: {why}", file.display());
                    outcome.status = 2;
                }
            }
        }
        let _ = writeln!(outcome.stdout, "{passed} passed, {failed} failed");
        if failed > 0 && outcome.status == 0 {
            outcome.status = 1;
        }
        outcome
    }
}

/// Runs one case. An error says that the case itself cannot be read.
type Run = fn(&[String], &Value, &mut Findings) -> Result<(), String>;

/// A kind of vector: its name, the columns of its cases where the file names none, and how a case is run.
type Kind = (&'static str, &'static [&'static str], Run);

/// All that can be checked.
const KINDS: &[Kind] = &[
    ("murmur2", &["key_hex", "utf8", "murmur2", "p_of_3", "p_of_6", "p_of_12", "p_of_50"], partitions::murmur2),
    (
        "coordinator_partition",
        &["id", "java_hashcode", "abs", "p_of_3", "p_of_10", "p_of_50"],
        partitions::coordinator_partition,
    ),
    ("crc32c", &["data_hex", "crc32c_hex"], encodings::crc32c),
    ("varint", &["kind", "value", "hex"], encodings::varint),
    ("batch_v2", &[], batches::batch_v2),
    ("assignor_range", &[], |_, case, findings| assignors::assignor(Assignor::Range, case, findings)),
    ("assignor_roundrobin", &[], |_, case, findings| assignors::assignor(Assignor::RoundRobin, case, findings)),
    ("assignor_sticky", &[], |_, case, findings| assignors::assignor(Assignor::Sticky, case, findings)),
    ("assignor_cooperative_sticky", &[], |_, case, findings| {
        assignors::assignor(Assignor::CooperativeSticky, case, findings)
    }),
    ("assignor_server_range", &[], |_, case, findings| assignors::assignor(Assignor::ServerRange, case, findings)),
    ("assignor_server_uniform", &[], |_, case, findings| assignors::assignor(Assignor::ServerUniform, case, findings)),
    ("group_classic", &[], groups::group_coordinator),
    ("group_consumer848", &[], groups::group_coordinator),
    ("placement", &[], placement::placement),
    ("high_watermark", &[], replication::high_watermark),
    ("epoch_cache", &[], replication::epoch_cache),
    ("truncation", &[], truncation::truncation),
    ("partition_change", &[], partition_change::partition_change),
    ("producer_state", &[], producers::producer_state),
    ("reconcile_848", &[], reconcile::reconcile_848),
    ("log_append", &[], logs::log_append),
    ("live_traces", &[], live::live_traces),
];

struct Tally {
    passed: u64,
    failed: u64,
    report: String,
}

fn run_file(path: &Path) -> Result<Tally, String> {
    let (kind, default_columns, run) = kind_of(path)?;
    let content = if kind.starts_with("assignor_") { assignors::read(path)? } else { file::read(path)? };
    let cases = content.get("cases").and_then(Value::as_array).ok_or("it has no list `cases`")?;
    let columns = file::columns(&content, default_columns)?;
    let mut tally = Tally { passed: 0, failed: 0, report: String::new() };
    for (at, case) in cases.iter().enumerate() {
        let mut findings = Findings::default();
        run(&columns, case, &mut findings).map_err(|why| format!("{}: {why}", file::name_of(at, case)))?;
        if findings.is_empty() {
            tally.passed += 1;
        } else {
            tally.failed += 1;
            let _ = write!(tally.report, "FAILED {}: {}\n{findings}", path.display(), file::name_of(at, case));
        }
    }
    Ok(tally)
}

/// The kind that a file's name says: it begins with it, and goes on, if it does, with no letter or digit. So
/// `murmur2-mine.json` is of the kind `murmur2`.
fn kind_of(path: &Path) -> Result<Kind, String> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let says =
        |kind: &str| name.strip_prefix(kind).is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()));
    KINDS.iter().copied().find(|kind| says(kind.0)).ok_or_else(|| {
        let kinds: Vec<&str> = KINDS.iter().map(|kind| kind.0).collect();
        format!("no kind of vector is called `{name}`; there are: {}", kinds.join(", "))
    })
}
