//! Transcripts: each file of `tests/scripts` states one promise, and shows a cluster keep it.
//!
//! A script is read top to bottom: commands, `---`, and what happened. `UPDATE_GOLDENFILES=1 cargo test --test scripts`
//! writes what happens now; nobody does so without arguing from Kafka's rules that it is right.
//!
//! | command | what it does |
//! | --- | --- |
//! | `cluster brokers=3 KEY=VALUE …` | a cluster; also `mode=`, `controllers=`, `roles=`, `compat=`, `racks=`, `seed=`, and any broker setting |
//! | `topic NAME partitions=1 replicas="3,1,2" KEY=VALUE …` | a topic it has from the beginning; a list for each partition |
//! | `show KIND …` | the kinds of facts to print from here on (see [`kind`]), and the names of requests |
//! | `advance 5s` | lets time pass |
//! | `until 30s` | lets time pass up to that moment of the run |
//! | `producer NAME topic=T KEY=VALUE …` | a producer that sends nothing by itself |
//! | `produce NAME VALUE … [partition=0] [key=K]` | its application hands it records |
//! | `report PATH …` | what the report says there |
//! | `> …` | any line of the command language |

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use brokerscope::kafka::fact::Fact;
use brokerscope::kafka::ids::Node;
use brokerscope::kafka::message::Api;
use brokerscope::sim::command::Command;
use brokerscope::sim::history::History;
use brokerscope::sim::report::Expectation;
use brokerscope::sim::scenario::Scenario;
use brokerscope::sim::trace::{Names, Stamped};
use brokerscope::sim::units;
use brokerscope::time::{Duration, Instant};
use goldenscript::{Argument, Context};

#[test]
fn every_script_comes_out_as_it_is_written() {
    let mut paths: Vec<_> =
        fs::read_dir("tests/scripts").expect("the scripts").map(|entry| entry.expect("a script").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "there are no scripts");
    let only = std::env::var("SCRIPT").unwrap_or_default();
    let failed: Vec<_> =
        paths.iter().filter(|path| path.to_string_lossy().contains(&only) && !comes_out(path)).collect();
    assert!(failed.is_empty(), "these came out otherwise: {failed:#?}");
}

/// Runs one script; the difference is on the standard error.
fn comes_out(path: &Path) -> bool {
    let run = || {
        goldenscript::run(&mut Transcript::default(), path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    std::panic::catch_unwind(run).is_ok()
}

/// A cluster and what a reader wants to see of it.
#[derive(Default)]
struct Transcript {
    scenario: String,
    topics: String,
    history: Option<History>,
    shown: Vec<String>,
}

impl goldenscript::Runner for Transcript {
    type Command = goldenscript::Command;

    fn run(&mut self, command: &goldenscript::Command, _: &Context) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        match command.name.as_str() {
            "cluster" => {
                let racks: Vec<String> = args.take_key("racks").map_or_else(Vec::new, |racks| {
                    let racks = racks.split(',').zip(1..);
                    racks.map(|(rack, id)| format!("[[broker]]\nid = {id}\nrack = \"{rack}\"\n")).collect()
                });
                let brokers = args.take_key("brokers").unwrap_or("3");
                let brokers = if racks.is_empty() { format!("brokers = {brokers}\n") } else { String::new() };
                let compat = args.take_key("compat").map(|name| format!("compat = \"{name}\"\n")).unwrap_or_default();
                let controllers = args.take_key("controllers").unwrap_or("1");
                let seed = args.take_key("seed").unwrap_or("1");
                let roles = args.take_key("roles").unwrap_or("separate");
                let mode = args.take_key("mode").unwrap_or("kraft");
                self.scenario = format!(
                    "format = 1\ntitle = \"script\"\nseed = {seed}\nduration = \"1h\"\n[network]\njitter = \"0ms\"\n\
                     [cluster]\nmode = \"{mode}\"\n{brokers}{compat}controllers = {controllers}\nroles = \"{roles}\"\nconfig = {{ {} }}\n{}",
                    settings(&mut args),
                    racks.concat()
                );
                Ok(String::new())
            }
            "topic" => {
                let name = args.next_pos().ok_or("a topic has a name")?;
                let partitions = args.take_key("partitions").unwrap_or("1");
                let replicas = args.take_key("replicas").unwrap_or("1,2,3");
                let factor = replicas.split(' ').next().map_or(0, |first| first.split(',').count());
                let assignment: Vec<String> = (0..)
                    .zip(replicas.split(' '))
                    .map(|(at, replicas): (u32, _)| format!("{at} = [{replicas}]"))
                    .collect();
                write!(
                    self.topics,
                    "[[topic]]\nname = \"{name}\"\npartitions = {partitions}\nreplication-factor = {factor}\n\
                     assignment = {{ {} }}\nconfig = {{ {} }}\n",
                    assignment.join(", "),
                    settings(&mut args)
                )?;
                Ok(String::new())
            }
            "show" => {
                self.shown = args
                    .filter_map(|arg| if let Argument::Positional(kind) = arg { Some(kind.clone()) } else { None })
                    .collect();
                Ok(String::new())
            }
            "advance" => {
                let lasting = duration(args.next_pos())?;
                let until = self.history()?.now() + lasting;
                self.run_until(until)
            }
            "until" => {
                let until = Instant::ZERO + duration(args.next_pos())?;
                self.run_until(until)
            }
            "producer" => {
                let name = args.next_pos().ok_or("a producer has a name")?.to_owned();
                let options: Vec<String> = args.map(ToString::to_string).collect();
                self.command(&format!("add producer {name} rate=0 {}", options.join(" ")))
            }
            "produce" => {
                let name = args.next_pos().ok_or("which producer?")?;
                let partition =
                    args.take_key("partition").map(|number| format!(" partition={number}")).unwrap_or_default();
                let key = args.take_key("key").map(|key| format!(" key={key}")).unwrap_or_default();
                let mut output = String::new();
                while let Some(value) = args.next_pos() {
                    output += &self.command(&format!("send producer-{name} value={value}{key}{partition}"))?;
                }
                Ok(output)
            }
            "report" => {
                let report = serde_json::to_value(self.history()?.world().report())?;
                let mut output = String::new();
                while let Some(path) = args.next_pos() {
                    let (_, found) = Expectation::parse(&format!("{path} == null"))?.evaluate(&report);
                    writeln!(output, "{path} = {found}")?;
                }
                Ok(output)
            }
            // Behind `>` the whole line is the name.
            line if command.args.is_empty() => self.command(line),
            _ => self.command(&command.to_string()),
        }
    }

    fn end_script(&mut self) -> Result<(), Box<dyn Error>> {
        let report = self.history()?.world().report();
        if report.violations.is_empty() { Ok(()) } else { Err(format!("{:?}", report.violations).into()) }
    }
}

impl Transcript {
    /// The run; it begins when somebody first asks for it.
    fn history(&mut self) -> Result<&mut History, Box<dyn Error>> {
        if self.history.is_none() {
            let text = format!("{}{}", self.scenario, self.topics);
            let scenario = Scenario::parse(&text).map_err(|error| format!("{error}\n{text}"))?;
            let mut history = History::new(&scenario);
            history.take_facts();
            self.history = Some(history);
        }
        self.history.as_mut().ok_or_else(|| "there is no cluster".into())
    }

    fn run_until(&mut self, until: Instant) -> Result<String, Box<dyn Error>> {
        let history = self.history()?;
        history.run_until(until, || true);
        self.lines()
    }

    /// What a command printed, below what happened meanwhile.
    fn command(&mut self, line: &str) -> Result<String, Box<dyn Error>> {
        let command = Command::parse(line)?;
        let printed = self.history()?.command(&command)?;
        let mut output = self.lines()?;
        for line in printed.lines().filter(|line| !line.trim().is_empty()) {
            writeln!(output, "| {}", line.trim_end())?;
        }
        Ok(output)
    }

    /// The facts since the last look that the script shows.
    fn lines(&mut self) -> Result<String, Box<dyn Error>> {
        let shown = self.shown.clone();
        let history = self.history()?;
        let facts = history.take_facts();
        let names = history.world().names();
        Ok(facts.iter().filter_map(|stamped| line(stamped, names, &shown)).collect())
    }
}

/// A fact as scripts show it: to the hundredth of a second, and without the numbers that only a machine reads.
fn line(stamped: &Stamped, names: &Names, shown: &[String]) -> Option<String> {
    let (kind, text) = match &stamped.fact {
        Fact::Sent { to, api, request, .. } => {
            let answer = if *request { "" } else { " answer" };
            let of_quorum = [Some(*to), stamped.node].iter().any(|node| matches!(node, Some(Node::Controller(_))));
            let kind = if of_quorum && *api == Api::QuorumFetch { "quorum-fetch" } else { api.name() };
            (kind, format!("-> {} {}{answer}", names.node(*to), api.name()))
        }
        fact => (kind(fact), names.describe(fact)),
    };
    let is_shown = |word: &str| shown.iter().any(|shown| shown == word);
    let internal = ["__consumer_offsets-", "__share_group_state-"];
    if !is_shown(kind) || (internal.iter().any(|topic| text.contains(topic)) && !is_shown("internal")) {
        return None;
    }
    let hundredths = stamped.at.as_micros() / 10_000;
    let node = stamped.node.map(|node| names.node(node) + " ").unwrap_or_default();
    Some(format!("{:>3}.{:02} {node}{text}\n", hundredths / 100, hundredths % 100))
}

/// What a script calls a fact in `show`.
fn kind(fact: &Fact) -> &'static str {
    match fact {
        Fact::Command { .. } => "command",
        Fact::Sent { .. } => "message",
        Fact::Dropped { .. } => "dropped",
        Fact::TimerFired(_) => "timer",
        Fact::Disconnected { .. } => "disconnected",
        Fact::NodeState(_) => "state",
        Fact::NetworkChanged { .. } => "network",
        Fact::ControllerActive { .. } => "controller",
        Fact::BrokerRegistered { .. } => "registered",
        Fact::BrokerFenced { .. } | Fact::BrokerUnfenced { .. } => "fenced",
        Fact::ControlledShutdownBegan { .. } => "shutdown",
        Fact::TopicCreated { .. } | Fact::PartitionsAdded { .. } | Fact::TopicDeleted { .. } => "topic",
        Fact::LeaderElected { .. } => "elected",
        Fact::IsrChanged { .. } => "isr-changed",
        Fact::ConfigChanged { .. } => "config",
        Fact::ElrChanged { .. } => "elr",
        Fact::ReassignmentBegan { .. } | Fact::ReassignmentEnded { .. } => "reassignment",
        Fact::QuorumState { .. } => "quorum",
        Fact::Voted { .. } => "vote",
        Fact::SnapshotTaken { .. } | Fact::SnapshotLoaded { .. } => "snapshot",
        Fact::MetadataTruncated { .. } => "metadata-truncate",
        Fact::SegmentRolled { .. } | Fact::LogStartAdvanced { .. } => "segment",
        Fact::Flushed { .. } => "flush",
        Fact::UnflushedLost { .. } => "unflushed-lost",
        Fact::LogRecovered { .. } => "recovered",
        Fact::LogDirOffline { .. } => "log-dir",
        Fact::ProducerIdAssigned { .. } => "producer-id",
        Fact::DuplicateBatch { .. } => "duplicate",
        Fact::SequenceRefused { .. } => "sequence",
        Fact::EnsembleState { .. } => "ensemble",
        Fact::Znode { .. } => "znode",
        Fact::SessionExpired { .. } => "session",
        Fact::WatchFired { .. } => "watch",
        Fact::ControllerLoading { .. } | Fact::ControllerLoaded { .. } => "controller",
        Fact::BecameLeader { .. } => "leads",
        Fact::BecameFollower { .. } => "follows",
        Fact::Appended { leader: true, .. } => "append",
        Fact::Appended { leader: false, .. } => "replicate",
        Fact::Truncated { .. } => "truncate",
        Fact::HighWatermark { leader: true, .. } => "hw",
        Fact::HighWatermark { leader: false, .. } => "follower-hw",
        Fact::IsrProposed { .. } => "isr-proposed",
        Fact::IsrCommitted { .. } => "isr",
        Fact::IsrRejected { .. } => "isr-refused",
        Fact::ProduceFailed { .. } => "produce-error",
        Fact::FetchFailed { .. } => "fetch-error",
        Fact::RecordsSent { .. } => "send",
        Fact::SendFailed { .. } | Fact::BatchFailed { .. } => "failed",
        Fact::BatchAcked { .. } => "acked",
        Fact::BatchRetried { .. } => "retry",
        Fact::MetadataUpdated { .. } => "metadata",
        Fact::Fetched { .. } => "fetched",
        Fact::Polled { .. } => "polled",
        Fact::Processed { .. } => "processed",
        Fact::PositionReset { .. } => "position",
        Fact::CoordinatorFound { .. } => "found",
        Fact::JoiningGroup { .. } => "joins",
        Fact::PartitionsAssigned { .. } | Fact::PartitionsRevoked { .. } => "assigned",
        Fact::PartitionsLost { .. } => "lost",
        Fact::CommitFailed { .. } => "commit-error",
        Fact::LeavingGroup { .. } => "leaves",
        Fact::CoordinatorLoaded { .. } | Fact::CoordinatorUnloaded { .. } => "coordinator",
        Fact::GroupState { .. } => "group",
        Fact::MemberJoined { .. } | Fact::MemberRemoved { .. } => "member",
        Fact::GroupAssigned { .. } => "group-assigned",
        Fact::OffsetDeleted { .. } => "offset-deleted",
        Fact::PartitionsPaused { .. } => "paused",
        Fact::RecordFailed { .. } => "record-failed",
        Fact::MemberEpoch { .. } => "member-epoch",
        Fact::ModernGroupState { .. } => "group",
        Fact::GroupEpoch { .. } => "group-epoch",
        Fact::TargetAssigned { .. } => "target",
        Fact::MemberReconciled { .. } => "reconciled",
        Fact::GroupConverted { .. } => "converted",
        Fact::RecordsAcquired { .. } => "acquired",
        Fact::AcquisitionEnded { .. } => "acquisition-ended",
        Fact::ShareStartAdvanced { .. } => "share-start",
        Fact::SharePartitionFenced { .. } => "share-fenced",
        Fact::ShareGroupForgotten { .. } => "share-forgotten",
        Fact::OffsetCommitted { .. } => "committed",
        Fact::ToolFinished { .. } => "tool",
    }
}

/// The remaining `KEY=VALUE` arguments as a TOML table's inside.
fn settings(args: &mut goldenscript::ArgumentConsumer) -> String {
    let mut settings = Vec::new();
    while let Some((key, value)) = args.next_key() {
        settings.push(format!("\"{key}\" = \"{value}\""));
    }
    settings.join(", ")
}

fn duration(text: Option<&str>) -> Result<Duration, Box<dyn Error>> {
    text.and_then(units::duration).ok_or_else(|| format!("how long? {}", units::DURATION).into())
}
