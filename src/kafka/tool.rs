//! Kafka's own command line tools: clients like any other, that ask brokers by message, print, and end.
//!
//! A tool asks one question after the other. A broker that does not answer, or says that somebody else would know, is
//! asked again or another one is, after a pause that doubles from 100 ms to 1 s (`retry.backoff.ms`,
//! `retry.backoff.max.ms`), for 60 s at most (`default.api.timeout.ms`). What it prints, on standard output or standard
//! error, comes in one piece when it ends.

pub mod command;

mod configs;
mod consume;
mod elect;
mod get_offsets;
mod groups;
mod json;
mod list_groups;
mod log_dirs;
mod options;
mod print;
mod produce;
mod quorum;
mod reassign;
mod share_groups;
mod topics;

pub use command::ToolCommand;

use super::backoff::Backoff;
use super::connection::InFlight;
use super::effects::{Effects, Input, Timer};
use super::fact::Fact;
use super::ids::{BrokerId, ClientId, Node};
use super::message::{Message, Request, Response};
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use command::Job;

/// `request.timeout.ms` of the admin client.
const REQUEST_TIMEOUT: Duration = Duration::secs(30);
/// `default.api.timeout.ms`.
const API_TIMEOUT: Duration = Duration::secs(60);
const BACKOFF: Backoff = Backoff { initial: Duration::millis(100), max: Duration::secs(1) };

/// One of Kafka's tools, running.
#[derive(Clone, Debug)]
pub struct Tool {
    id: ClientId,
    command: ToolCommand,
    talk: Talk,
    paper: Paper,
    /// Asked when it does not matter whom.
    brokers: Vec<BrokerId>,
    turn: u32,
    in_flight: InFlight<()>,
    failures: u32,
    /// Without an answer until then, the tool gives up.
    give_up: Instant,
    is_over: bool,
    rng: Rng,
}

/// What a tool prints, and whether its exit status will be 0.
#[derive(Clone, Debug)]
struct Paper {
    text: String,
    ok: bool,
}

impl Paper {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// An error as Kafka's logger prints it, without the time.
    fn fail(&mut self, line: &str) {
        self.line(line);
        self.ok = false;
    }
}

/// What a tool does next.
#[derive(Clone, Debug)]
enum Next {
    Ask(Whom, Request),
    Finish,
}

/// Whom a question goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    Anyone,
    Broker(BrokerId),
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    GoOn,
    /// After a pause.
    TryAgain,
}

/// How each tool leads its talk: what to ask, what to make of an answer, and what to do when there is none.
#[derive(Clone, Debug)]
enum Talk {
    Topics(topics::Talk),
    Configs(configs::Talk),
    Elect(elect::Talk),
    Reassign(reassign::Talk),
    Groups(groups::Talk),
    ShareGroups(share_groups::Talk),
    ListGroups(list_groups::Talk),
    LogDirs(log_dirs::Talk),
    GetOffsets(get_offsets::Talk),
    Produce(produce::Talk),
    Consume(consume::Talk),
    Quorum(quorum::Talk),
    Print(String),
}

impl Talk {
    fn new(command: &ToolCommand) -> Self {
        match &command.job {
            Job::Topics(job) => Self::Topics(topics::Talk::new(job.clone())),
            Job::Configs(job) => Self::Configs(configs::Talk::new(job.clone(), command.arguments())),
            Job::Elect(job) => Self::Elect(elect::Talk::new(job.clone())),
            Job::Reassign(job) => Self::Reassign(reassign::Talk::new(job.clone())),
            Job::Groups(job) => Self::Groups(groups::Talk::new(job.clone())),
            Job::ShareGroups(job) => Self::ShareGroups(share_groups::Talk::new(job.clone())),
            Job::ListGroups(job) => Self::ListGroups(list_groups::Talk::new(job.clone())),
            Job::GetOffsets(job) => Self::GetOffsets(get_offsets::Talk::new(job.clone())),
            Job::LogDirs(job) => Self::LogDirs(log_dirs::Talk::new(job.clone())),
            // Who runs the machine has read the files; there is nobody to ask.
            Job::DumpLog(_) => Self::Print(String::new()),
            Job::Produce(job) => Self::Produce(produce::Talk::new(job.clone())),
            Job::Consume(job) => Self::Consume(consume::Talk::new(job.clone())),
            Job::Quorum(job) => Self::Quorum(quorum::Talk::new(*job)),
            Job::Print(text) => Self::Print(text.clone()),
        }
    }

    fn next(&mut self, now: Instant, paper: &mut Paper, rng: &mut Rng) -> Next {
        match self {
            Self::Topics(talk) => talk.next(paper),
            Self::Configs(talk) => talk.next(),
            Self::Elect(talk) => talk.next(),
            Self::Reassign(talk) => talk.next(paper, rng),
            Self::Groups(talk) => talk.next(now, paper),
            Self::ShareGroups(talk) => talk.next(paper),
            Self::ListGroups(talk) => talk.next(paper),
            Self::LogDirs(talk) => talk.next(paper),
            Self::GetOffsets(talk) => talk.next(paper),
            Self::Produce(talk) => talk.next(now, paper, rng),
            Self::Consume(talk) => talk.next(now, paper),
            Self::Quorum(talk) => talk.next(),
            Self::Print(text) => {
                paper.text.push_str(text);
                Next::Finish
            }
        }
    }

    fn answer(&mut self, now: Instant, from: BrokerId, response: Response, paper: &mut Paper) -> Verdict {
        match self {
            Self::Topics(talk) => talk.answer(response, paper),
            Self::Configs(talk) => talk.answer(response, paper),
            Self::Elect(talk) => talk.answer(response, paper),
            Self::Reassign(talk) => talk.answer(response, paper),
            Self::Groups(talk) => talk.answer(from, response, paper),
            Self::ShareGroups(talk) => talk.answer(from, response, paper),
            Self::ListGroups(talk) => talk.answer(response),
            Self::LogDirs(talk) => talk.answer(from, response, paper),
            Self::GetOffsets(talk) => talk.answer(from, response, paper),
            Self::Produce(talk) => talk.answer(response, paper),
            Self::Consume(talk) => talk.answer(now, response, paper),
            Self::Quorum(talk) => talk.answer(now, response, paper),
            Self::Print(_) => Verdict::GoOn,
        }
    }

    /// The broker asked did not answer: begins again where it does not depend on that one.
    fn no_answer(&mut self) {
        match self {
            Self::Groups(talk) => talk.no_answer(),
            Self::ShareGroups(talk) => talk.no_answer(),
            Self::ListGroups(talk) => talk.no_answer(),
            Self::Produce(talk) => talk.no_answer(),
            Self::Consume(talk) => talk.no_answer(),
            Self::GetOffsets(talk) => talk.no_answer(),
            Self::Topics(_)
            | Self::Configs(_)
            | Self::Elect(_)
            | Self::Reassign(_)
            | Self::LogDirs(_)
            | Self::Quorum(_)
            | Self::Print(_) => {}
        }
    }

    fn give_up(&mut self, paper: &mut Paper) {
        match self {
            Self::Topics(talk) => talk.give_up(paper),
            Self::Configs(talk) => talk.give_up(paper),
            Self::Elect(talk) => talk.give_up(paper),
            Self::Reassign(talk) => talk.give_up(paper),
            Self::Groups(talk) => talk.give_up(paper),
            Self::ShareGroups(talk) => talk.give_up(paper),
            Self::ListGroups(talk) => talk.give_up(paper),
            Self::LogDirs(talk) => talk.give_up(paper),
            Self::GetOffsets(talk) => talk.give_up(paper),
            Self::Produce(talk) => talk.give_up(paper),
            Self::Consume(talk) => talk.give_up(paper),
            Self::Quorum(talk) => talk.give_up(paper),
            Self::Print(_) => {}
        }
    }

    /// When it ends by itself, whatever is under way.
    fn ends_at(&self) -> Option<Instant> {
        if let Self::Consume(talk) = self { talk.ends_at() } else { None }
    }
}

impl Tool {
    /// A tool that begins with [`Input::Start`].
    pub fn new(id: ClientId, command: ToolCommand, bootstrap: Vec<BrokerId>, rng: Rng) -> Self {
        let talk = Talk::new(&command);
        Self {
            id,
            command,
            talk,
            paper: Paper { text: String::new(), ok: true },
            brokers: bootstrap,
            turn: 0,
            in_flight: InFlight::default(),
            failures: 0,
            give_up: Instant::ZERO,
            is_over: false,
            rng,
        }
    }

    pub fn id(&self) -> ClientId {
        self.id
    }

    /// What it was asked to do.
    pub fn command(&self) -> &ToolCommand {
        &self.command
    }

    pub fn step(&mut self, now: Instant, input: Input, out: &mut Effects) {
        if self.is_over {
            return;
        }
        match input {
            Input::Start => {
                self.give_up = now + API_TIMEOUT;
                self.go_on(now, out);
            }
            Input::Message { from: Node::Broker(from), message: Message::Response { correlation_id, response } } => {
                if self.in_flight.complete(correlation_id).is_some() {
                    self.on_answer(now, from, response, out);
                }
            }
            Input::Message { .. } => {}
            Input::Disconnected { peer } => {
                if !self.in_flight.disconnected(peer).is_empty() {
                    self.on_failure(now, out);
                }
            }
            Input::Timer(Timer::RequestTimeouts) => {
                if !self.in_flight.expired(now, out).is_empty() {
                    self.on_failure(now, out);
                }
            }
            Input::Timer(_) => self.on_retry(now, out),
            Input::Shutdown => self.finish(out),
        }
    }

    fn on_answer(&mut self, now: Instant, from: BrokerId, response: Response, out: &mut Effects) {
        if let Response::Metadata(metadata) = &response
            && !metadata.brokers.is_empty()
        {
            self.brokers = metadata.brokers.iter().map(|(id, _)| *id).collect();
        }
        match self.talk.answer(now, from, response, &mut self.paper) {
            Verdict::GoOn => {
                self.failures = 0;
                self.give_up = now + API_TIMEOUT;
                self.go_on(now, out);
            }
            Verdict::TryAgain => self.pause(now, out),
        }
    }

    fn on_failure(&mut self, now: Instant, out: &mut Effects) {
        self.turn = self.turn.wrapping_add(1);
        self.talk.no_answer();
        self.pause(now, out);
    }

    fn pause(&mut self, now: Instant, out: &mut Effects) {
        let mut until = now + BACKOFF.pause(self.failures, &mut self.rng);
        self.failures += 1;
        if let Some(end) = self.talk.ends_at() {
            until = until.min(end.max(now));
        }
        out.set_timer(until, Timer::ToolRetry);
    }

    fn on_retry(&mut self, now: Instant, out: &mut Effects) {
        if now >= self.give_up {
            self.talk.give_up(&mut self.paper);
            return self.finish(out);
        }
        // A question that is still under way is answered, or not, in its own time.
        if self.in_flight.purposes().next().is_none() {
            self.go_on(now, out);
        }
    }

    fn go_on(&mut self, now: Instant, out: &mut Effects) {
        match self.talk.next(now, &mut self.paper, &mut self.rng) {
            Next::Ask(whom, request) => {
                let broker = match whom {
                    Whom::Broker(broker) => Some(broker),
                    Whom::Anyone => self.brokers.get(self.turn as usize % self.brokers.len().max(1)).copied(),
                };
                match broker {
                    Some(broker) => {
                        self.in_flight.send(now, Node::Broker(broker), request, REQUEST_TIMEOUT, (), out);
                    }
                    None => self.pause(now, out),
                }
            }
            Next::Finish => self.finish(out),
        }
    }

    fn finish(&mut self, out: &mut Effects) {
        self.is_over = true;
        let output = self.paper.text.as_str().into();
        out.note(Fact::ToolFinished { output, ok: self.paper.ok });
        out.exit();
    }
}

#[cfg(test)]
mod tests;
