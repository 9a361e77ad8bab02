//! `kafka-leader-election` (`LeaderElectionCommand`).

use super::super::error::ErrorCode;
use super::super::ids::Name;
use super::super::message::{ElectLeadersRequest, PartitionResult, Request, Response};
use super::command::LeaderElection;
use super::print::exception;
use super::{API_TIMEOUT, Next, Paper, Verdict, Whom};

/// Where the tool is.
#[derive(Clone, Debug)]
pub struct Talk {
    job: LeaderElection,
    is_done: bool,
}

impl Talk {
    pub fn new(job: LeaderElection) -> Self {
        Self { job, is_done: false }
    }

    pub fn next(&mut self) -> Next {
        if self.is_done {
            return Next::Finish;
        }
        let named = |(topic, partition): &(String, u32)| (Name::from(topic.as_str()), *partition);
        let partitions = self.job.partitions.as_ref().map(|partitions| partitions.iter().map(named).collect());
        let request = ElectLeadersRequest { election: self.job.election, partitions, timeout: API_TIMEOUT };
        Next::Ask(Whom::Anyone, Request::ElectLeaders(request))
    }

    pub fn answer(&mut self, response: Response, paper: &mut Paper) -> Verdict {
        let Response::ElectLeaders(elected) = response else { return Verdict::TryAgain };
        if elected.error == ErrorCode::UnsupportedVersion {
            self.is_done = true;
            paper.fail(&format!("{}: The node does not support ELECT_LEADERS", exception(elected.error)));
            return Verdict::GoOn;
        }
        // The brokers hand it on to the active controller; while there is none, somebody has to ask again.
        if !elected.error.is_none() {
            return Verdict::TryAgain;
        }
        self.is_done = true;
        self.print(&elected.partitions, paper);
        Verdict::GoOn
    }

    fn print(&self, results: &[PartitionResult], paper: &mut Paper) {
        let election = self.job.election.name();
        let of = |wanted: ErrorCode| -> Vec<String> {
            let found = results.iter().filter(|result| result.error == wanted);
            found.map(|result| format!("{}-{}", result.topic, result.partition)).collect()
        };
        let (elected, needless) = (of(ErrorCode::None), of(ErrorCode::ElectionNotNeeded));
        if !elected.is_empty() {
            let partitions = elected.join(", ");
            paper.line(&format!("Successfully completed leader election ({election}) for partitions {partitions}"));
        }
        if !needless.is_empty() {
            paper.line(&format!("Valid replica already elected for partitions {}", needless.join(", ")));
        }
        let failed: Vec<&PartitionResult> = results
            .iter()
            .filter(|result| !matches!(result.error, ErrorCode::None | ErrorCode::ElectionNotNeeded))
            .collect();
        for result in &failed {
            paper.line(&format!(
                "Error completing leader election ({election}) for partition: {}-{}: {}: {}",
                result.topic,
                result.partition,
                exception(result.error),
                result.message.as_deref().unwrap_or_default()
            ));
        }
        if !failed.is_empty() {
            fail(&format!("{} replica(s) could not be elected", failed.len()), paper);
        }
    }

    pub fn give_up(&mut self, paper: &mut Paper) {
        let reason = "Timeout waiting for election results";
        paper.line(reason);
        fail(reason, paper);
    }
}

fn fail(reason: &str, paper: &mut Paper) {
    paper.line(reason);
    paper.fail(&format!("org.apache.kafka.server.common.AdminCommandFailedException: {reason}"));
}
