//! `brokerscope shell`: the command language at a prompt, or commands given in turn.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Context, Editor, Helper, Highlighter, Hinter, Validator};

use super::{Outcome, read_scenario, table};
use crate::kafka::ids::{ClientId, Node};
use crate::sim::command::{Command, Known, complete};
use crate::sim::units;
use crate::sim::world::World;
use crate::time::{Duration, Instant};

/// A tool that has not ended after so long is left to itself.
const PATIENCE: Duration = Duration::secs(600);

const HELP: &str = "\
A command of the command language, one of Kafka's tools, or:
  wait D      lets time go by: `wait 5s`
  report      shows the report as tables
  json        shows the report as JSON
  help        shows this
  quit        leaves
";

/// Give commands to a running scenario, at a prompt or in turn.
#[derive(Clone, Debug, clap::Args)]
pub struct ShellArgs {
    /// The scenario, a TOML file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// A command; may be given more than once. Without any, there is a prompt.
    #[arg(short, value_name = "COMMAND")]
    pub command: Vec<String>,
    /// The time at which the first command is given: `0s`, `5s`. Without it, the end of the scenario.
    #[arg(long, value_name = "D", value_parser = duration)]
    pub from: Option<Duration>,
}

fn duration(text: &str) -> Result<Duration, String> {
    units::duration(text).ok_or_else(|| format!("allowed is {}", units::DURATION))
}

/// What a line did.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reply {
    Output(String),
    /// A tool's output, where its exit status would not be 0.
    Failed(String),
    Quit,
}

impl ShellArgs {
    pub fn run(&self) -> ExitCode {
        let scenario = match read_scenario(&self.file) {
            Ok(scenario) => scenario,
            Err(why) => return Outcome::wrong(why).print(),
        };
        let mut world = World::new(&scenario);
        world.run_until(Instant::ZERO + self.from.unwrap_or(scenario.duration));
        if self.command.is_empty() { prompt(world) } else { run_commands(&mut world, &self.command).print() }
    }
}

fn run_commands(world: &mut World, commands: &[String]) -> Outcome {
    let mut outcome = Outcome::default();
    for line in commands {
        match run_line(world, line) {
            Ok(Reply::Output(output)) => outcome.stdout.push_str(&output),
            Ok(Reply::Failed(output)) => {
                outcome.stdout.push_str(&output);
                outcome.status = 1;
            }
            Ok(Reply::Quit) => break,
            Err(why) => return Outcome { stderr: format!("{why}\n"), status: 2, ..outcome },
        }
    }
    outcome
}

fn run_line(world: &mut World, line: &str) -> Result<Reply, String> {
    let line = line.trim();
    match line.split_once(' ').unwrap_or((line, "")) {
        ("", _) => Ok(Reply::Output(String::new())),
        ("help", "") => Ok(Reply::Output(HELP.into())),
        ("quit" | "exit", "") => Ok(Reply::Quit),
        ("report", "") => Ok(Reply::Output(table::report(&world.report()))),
        ("json", "") => {
            let json = serde_json::to_string_pretty(&world.report()).map_err(|error| error.to_string())?;
            Ok(Reply::Output(json + "\n"))
        }
        ("wait", time) => {
            let time = time.trim();
            let time =
                units::duration(time).ok_or_else(|| format!("found `wait {time}`, allowed is {}", units::DURATION))?;
            world.run_until(world.now() + time);
            Ok(Reply::Output(String::new()))
        }
        _ => match world.command(&Command::parse(line)?)? {
            Some(tool) => Ok(wait_for(world, tool)),
            None => Ok(Reply::Output(String::new())),
        },
    }
}

/// Lets time go by until a tool has ended.
fn wait_for(world: &mut World, tool: ClientId) -> Reply {
    let give_up = world.now() + PATIENCE;
    while world.tool_output(tool).is_none() && world.next_event_at().is_some_and(|at| at <= give_up) {
        world.run_event();
    }
    match world.tool_output(tool) {
        Some((true, output)) => Reply::Output(output.to_owned()),
        Some((false, output)) => Reply::Failed(output.to_owned()),
        None => Reply::Failed(format!("the tool has not ended after {PATIENCE} and goes on by itself\n")),
    }
}

fn known(world: &World) -> Known {
    let nodes = world.nodes().map(|(node, _)| node).filter(|node| !matches!(node, Node::Tool(_)));
    let report = world.report();
    Known {
        nodes: nodes.map(|node| world.names().node(node)).collect(),
        topics: report.topics.into_keys().collect(),
        groups: report.groups.into_keys().collect(),
    }
}

#[derive(Helper, Highlighter, Hinter, Validator)]
struct Completion {
    known: Known,
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok((0, complete(&line[..at], &self.known)))
    }
}

fn prompt(mut world: World) -> ExitCode {
    let mut editor = match Editor::<Completion, DefaultHistory>::new() {
        Ok(editor) => editor,
        Err(error) => return Outcome::wrong(error).print(),
    };
    if std::io::stdin().is_terminal() {
        println!("{}\n`help` says what there is, Tab finishes a word, Ctrl-D leaves.", world.scenario().title);
    }
    loop {
        editor.set_helper(Some(Completion { known: known(&world) }));
        let line = match editor.readline(&format!("{}> ", world.now())) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return ExitCode::SUCCESS,
            Err(error) => return Outcome::wrong(error).print(),
        };
        // A history that is full of one line twice is no error.
        let _ = editor.add_history_entry(&line);
        match run_line(&mut world, &line) {
            Ok(Reply::Output(output) | Reply::Failed(output)) => print!("{output}"),
            Ok(Reply::Quit) => return ExitCode::SUCCESS,
            Err(why) => eprintln!("{why}"),
        }
    }
}
