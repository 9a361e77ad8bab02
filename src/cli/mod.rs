//! The command line, native only: each subcommand is a struct of arguments whose `run` gives an [`Outcome`].

pub mod run;

mod compare;

pub mod check;

pub mod shell;

mod table;

pub mod assign;

pub mod partition;

pub mod vectors;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use crate::sim::scenario::Scenario;

/// What a subcommand has to say, and how it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub stdout: String,
    pub stderr: String,
    /// 0 all is well, 1 something did not hold, 2 a file or a command is wrong.
    pub status: u8,
}

impl Outcome {
    /// All is well.
    pub fn success(stdout: String) -> Self {
        Self { stdout, ..Self::default() }
    }

    /// A file or a command is wrong: why, in a sentence.
    pub fn wrong(why: impl std::fmt::Display) -> Self {
        Self { stderr: format!("{why}\n"), status: 2, ..Self::default() }
    }

    /// Prints it all. A reader that has gone (`| head`) is no error.
    pub fn print(&self) -> ExitCode {
        let _ = std::io::stdout().write_all(self.stdout.as_bytes());
        let _ = std::io::stderr().write_all(self.stderr.as_bytes());
        ExitCode::from(self.status)
    }
}

/// The command line.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "brokerscope", version, about, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Subcommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Subcommand {
    Run(run::RunArgs),
    Check(check::CheckArgs),
    Shell(shell::ShellArgs),
    Partition(partition::PartitionArgs),
    Assign(assign::AssignArgs),
    Vectors(vectors::VectorsArgs),
}

impl Cli {
    /// Does what was asked for, and prints it.
    pub fn run(&self) -> ExitCode {
        match &self.command {
            Subcommand::Run(args) => args.run().print(),
            Subcommand::Check(args) => args.run().print(),
            Subcommand::Shell(args) => args.run(),
            Subcommand::Partition(args) => args.run().print(),
            Subcommand::Assign(args) => args.run().print(),
            Subcommand::Vectors(args) => args.run().print(),
        }
    }
}

/// Reads a scenario file. The error names the file.
fn read_scenario(file: &Path) -> Result<Scenario, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Scenario::parse(&text).map_err(|error| format!("{}: {error}", file.display()))
}
