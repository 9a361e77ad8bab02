//! `brokerscope run`: a scenario, headless.

use std::fmt::Write;
use std::path::PathBuf;

use super::compare::Comparison;
use super::{Outcome, read_scenario, table};
use crate::kafka::ids::ClientId;
use crate::sim::command::Command;
use crate::sim::scenario::Scenario;
use crate::sim::units;
use crate::sim::world::World;
use crate::time::{Duration, Instant};

/// How much is run before the trace is taken away, so that it never takes much memory.
const SLICE: Duration = Duration::millis(100);

/// Run a scenario to its end without a page, and say how it went.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// The scenario, a TOML file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// End at this time instead of the scenario's end: `5s`, `2m`.
    #[arg(long, value_name = "D", value_parser = duration)]
    pub until: Option<Duration>,
    /// Another seed than the scenario's.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Give a command at a time: `--at '5s kill broker-1'`. May be given more than once.
    #[arg(long, value_name = "TIME COMMAND")]
    pub at: Vec<String>,
    /// Print the report as JSON.
    #[arg(long, conflicts_with = "trace")]
    pub json: bool,
    /// Print one line a fact.
    #[arg(long)]
    pub trace: bool,
    /// Run it three times, with its groups' consumers under the eager (range), the cooperative (cooperative-sticky) and
    /// the consumer protocol (KIP-848), and print what each rebalance cost.
    ///
    /// UNREAD S are partition-seconds in which nobody read a partition; MOVED partitions that have another reader
    /// afterwards; REDELIVERED records that the group processed again; MESSAGES and BYTES what members and coordinator
    /// sent from the rebalance's begin to its end. With --json one object: {"format":1, "scenario", "seed",
    /// "protocols": [{"protocol": "eager"|"cooperative"|"consumer", "config", "trace_hash", "violations",
    /// "groups": {NAME: {"rebalances": [{"number", "began_us", "ended_us", "duration_us", "generation", "unread_us",
    /// "moved", "redelivered", "messages", "bytes"}], "total": {the same}}}}]}. Expectations are not looked at. The
    /// exit status is 1 where a run broke a promise of the model.
    #[arg(long, conflicts_with = "trace")]
    pub compare: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    units::duration(text).ok_or_else(|| format!("allowed is {}", units::DURATION))
}

/// What a tool that a command started printed.
struct ToolRun {
    at: Instant,
    line: String,
    tool: ClientId,
}

impl RunArgs {
    pub fn run(&self) -> Outcome {
        match self.prepare() {
            Ok((scenario, commands)) if self.compare => self.compare(&scenario, &commands).unwrap_or_else(Outcome::wrong),
            Ok((scenario, commands)) => self.play(&scenario, &commands).unwrap_or_else(Outcome::wrong),
            Err(why) => Outcome::wrong(why),
        }
    }

    fn prepare(&self) -> Result<(Scenario, Vec<(Instant, Command)>), String> {
        let mut scenario = read_scenario(&self.file)?;
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        scenario.duration = self.until.unwrap_or(scenario.duration);
        let mut commands = self.at.iter().map(|text| timed_command(text)).collect::<Result<Vec<_>, _>>()?;
        commands.sort_by_key(|(at, _)| *at);
        let end = Instant::ZERO + scenario.duration;
        if let Some((at, command)) = commands.last().filter(|(at, _)| *at > end) {
            let at = units::show_instant(*at);
            return Err(format!(
                "--at: found `{at} {command}`, allowed is a time up to the end at `{}`",
                scenario.duration
            ));
        }
        Ok((scenario, commands))
    }

    fn compare(&self, scenario: &Scenario, commands: &[(Instant, Command)]) -> Result<Outcome, String> {
        let comparison = Comparison::of(scenario, commands)?;
        let stdout = if self.json {
            serde_json::to_string(&comparison).map_err(|error| error.to_string())? + "\n"
        } else {
            comparison.to_table()
        };
        Ok(Outcome { stdout, status: u8::from(!comparison.is_good()), ..Outcome::default() })
    }

    fn play(&self, scenario: &Scenario, commands: &[(Instant, Command)]) -> Result<Outcome, String> {
        let mut world = World::new(scenario);
        world.listen(self.trace);
        let mut trace = String::new();
        let mut tools = Vec::new();
        for (at, command) in commands {
            self.run_until(&mut world, *at, &mut trace);
            let given = world.command(command);
            let tool = given.map_err(|why| format!("--at: `{} {command}`: {why}", units::show_instant(*at)))?;
            tools.extend(tool.map(|tool| ToolRun { at: *at, line: command.to_string(), tool }));
        }
        let end = world.end();
        self.run_until(&mut world, end, &mut trace);
        let report = world.report();
        let stdout = if self.trace {
            trace
        } else if self.json {
            serde_json::to_string(&report).map_err(|error| error.to_string())? + "\n"
        } else {
            format!("{}{}", tool_output(&world, &tools), table::report(&report))
        };
        Ok(Outcome { stdout, status: u8::from(!report.is_good()), ..Outcome::default() })
    }

    fn run_until(&self, world: &mut World, until: Instant, trace: &mut String) {
        if !self.trace {
            return world.run_until(until);
        }
        loop {
            world.run_until(until.min(world.now() + SLICE));
            for stamped in world.take_journal() {
                trace.push_str(&world.names().line(&stamped));
                trace.push('\n');
            }
            if world.now() >= until {
                return;
            }
        }
    }
}

/// `5s kill broker-1`
fn timed_command(text: &str) -> Result<(Instant, Command), String> {
    let (time, line) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
    let at = units::instant(time)
        .ok_or_else(|| format!("--at: found `{time}`, allowed is {} and then a command", units::DURATION))?;
    let command = Command::parse(line).map_err(|why| format!("--at: `{text}`: {why}"))?;
    Ok((at, command))
}

fn tool_output(world: &World, tools: &[ToolRun]) -> String {
    let mut text = String::new();
    for run in tools {
        let output = world.tool_output(run.tool).map_or("(it had not ended)\n", |(_, output)| output);
        let _ = writeln!(text, "{} {}\n{output}", units::show_instant(run.at), run.line);
    }
    text
}
