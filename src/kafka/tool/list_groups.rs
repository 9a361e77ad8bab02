//! `kafka-groups --list` (`GroupsCommand`): groups of every type.

use super::super::error::ErrorCode;
use super::super::ids::BrokerId;
use super::super::message::{ListGroupsRequest, ListedGroup, MetadataRequest, Request, Response, Subscription};
use super::command::{GroupScope, ListGroups};
use super::print::exception;
use super::{Next, Paper, Verdict, Whom};

/// Where the tool is.
#[derive(Clone, Debug)]
pub struct Talk {
    job: ListGroups,
    /// Brokers that have not listed their groups, the next one last.
    unlisted: Option<Vec<BrokerId>>,
    found: Vec<ListedGroup>,
}

impl Talk {
    pub fn new(job: ListGroups) -> Self {
        Self { job, unlisted: None, found: Vec::new() }
    }

    pub fn next(&mut self, paper: &mut Paper) -> Next {
        match self.unlisted.as_ref().map(|brokers| brokers.last()) {
            None => {
                let request = MetadataRequest { topics: Some(Vec::new()), allow_auto_topic_creation: false };
                Next::Ask(Whom::Anyone, Request::Metadata(request))
            }
            Some(Some(broker)) => Next::Ask(Whom::Broker(*broker), Request::ListGroups(ListGroupsRequest::default())),
            Some(None) => {
                self.print(paper);
                Next::Finish
            }
        }
    }

    pub fn answer(&mut self, response: Response) -> Verdict {
        match response {
            Response::Metadata(metadata) => {
                self.unlisted = Some(metadata.brokers.iter().rev().map(|(id, _)| *id).collect());
            }
            Response::ListGroups(list) if list.error.is_none() => {
                self.found.extend(list.groups);
                if let Some(unlisted) = &mut self.unlisted {
                    unlisted.pop();
                }
            }
            _ => return Verdict::TryAgain,
        }
        Verdict::GoOn
    }

    /// The brokers may be others by now: begins again.
    pub fn no_answer(&mut self) {
        self.unlisted = None;
        self.found.clear();
    }

    pub fn give_up(&self, paper: &mut Paper) {
        let timeout = exception(ErrorCode::RequestTimedOut);
        paper.fail(&format!(
            "Error while executing groups command : {timeout}: Timed out waiting for a node assignment."
        ));
    }

    /// `printGroupDetails`
    fn print(&mut self, paper: &mut Paper) {
        self.found.sort();
        self.found.dedup();
        let rows: Vec<[&str; 3]> = self
            .found
            .iter()
            .filter(|listed| self.is_wanted(listed))
            .map(|listed| [&*listed.group, &*listed.kind, &*listed.protocol_type])
            .collect();
        let width = rows.iter().flatten().map(|cell| cell.len()).max().unwrap_or(0).max(20);
        paper.line(&format!("{:width$} {:width$} {:width$}", "GROUP", "TYPE", "PROTOCOL"));
        for [group, kind, protocol] in rows {
            paper.line(&format!("{group:width$} {kind:width$} {protocol:width$} "));
        }
    }

    /// `combinedFilter`
    fn is_wanted(&self, listed: &ListedGroup) -> bool {
        let ListGroups { kind, protocol, scope } = &self.job;
        let of_protocol = protocol.as_ref().is_none_or(|protocol| **protocol == *listed.protocol_type);
        match (kind, protocol, scope) {
            (Some(kind), ..) => **kind == *listed.kind && of_protocol,
            (None, Some(_), _) => of_protocol,
            (None, None, GroupScope::All) => true,
            (None, None, GroupScope::Consumer) => {
                &*listed.protocol_type == Subscription::PROTOCOL_TYPE
                    || listed.protocol_type.is_empty()
                    || &*listed.kind == "Consumer"
            }
            (None, None, GroupScope::Share) => &*listed.kind == "Share",
            (None, None, GroupScope::Streams) => &*listed.kind == "Streams",
        }
    }
}
