//! `kafka-consumer-groups --delete` and `--delete-offsets`: asked of the group's coordinator.

use std::collections::{BTreeMap, BTreeSet};

use super::super::super::error::ErrorCode;
use super::super::super::ids::{BrokerId, Name};
use super::super::super::message::{DeleteGroupsRequest, OffsetDeleteRequest, OffsetDeleteResponse, Request, Response};
use super::super::{Next, Paper, Verdict, Whom};
use super::{
    TopicArguments, Topics, ask_metadata, coordinator_is_elsewhere, find_coordinator, is_of_consumers,
    list_consumer_groups, partitions_named, print_error, thrown,
};

/// `--delete`, a group at a time.
#[derive(Clone, Debug)]
pub struct GroupsTalk {
    /// `None`: all there are, which the brokers list first.
    wanted: Option<Vec<String>>,
    /// Brokers that have not listed their groups.
    unlisted: Option<Vec<BrokerId>>,
    /// Groups still to delete, the next one last.
    left: Vec<Name>,
    coordinator: Option<BrokerId>,
    results: BTreeMap<Name, ErrorCode>,
}

impl GroupsTalk {
    pub fn new(wanted: Option<Vec<String>>) -> Self {
        let mut left: Vec<Name> = wanted.iter().flatten().map(|group| group.as_str().into()).collect();
        left.reverse();
        Self { wanted, unlisted: None, left, coordinator: None, results: BTreeMap::new() }
    }

    pub fn next(&mut self, paper: &mut Paper) -> Next {
        if self.wanted.is_none() {
            match &self.unlisted {
                None => return ask_metadata(),
                Some(brokers) => {
                    if let Some(broker) = brokers.last() {
                        return list_consumer_groups(*broker, Vec::new(), Vec::new());
                    }
                }
            }
        }
        match (self.left.last(), self.coordinator) {
            (Some(group), None) => find_coordinator(group),
            (Some(group), Some(coordinator)) => {
                let request = DeleteGroupsRequest { groups: vec![group.clone()] };
                Next::Ask(Whom::Broker(coordinator), Request::DeleteGroups(request))
            }
            (None, _) => {
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
                self.left.extend(list.groups.into_iter().filter(is_of_consumers).map(|listed| listed.group));
                if let Some(unlisted) = &mut self.unlisted {
                    unlisted.pop();
                }
            }
            Response::FindCoordinator(found) if found.error.is_none() => self.coordinator = found.coordinator,
            Response::DeleteGroups(deleted) => {
                let result = deleted.results.first().map_or(ErrorCode::UnknownServerError, |(_, error)| *error);
                self.coordinator = None;
                if coordinator_is_elsewhere(result) {
                    return Verdict::TryAgain;
                }
                if let Some(group) = self.left.pop() {
                    self.results.insert(group, result);
                }
            }
            _ => return Verdict::TryAgain,
        }
        Verdict::GoOn
    }

    pub fn no_answer(&mut self) {
        self.coordinator = None;
        if self.wanted.is_none() && self.unlisted.as_ref().is_some_and(|brokers| !brokers.is_empty()) {
            (self.unlisted, self.left) = (None, Vec::new());
        }
    }

    /// `deleteGroups`
    fn print(&self, paper: &mut Paper) {
        let deleted = self.results.iter().filter(|(_, error)| error.is_none());
        let deleted = deleted.map(|(group, _)| format!("'{group}'")).collect::<Vec<_>>().join(", ");
        let failed: Vec<_> = self.results.iter().filter(|(_, error)| !error.is_none()).collect();
        if failed.is_empty() {
            return paper.line(&format!("Deletion of requested consumer groups ({deleted}) was successful."));
        }
        print_error("Deletion of some consumer groups failed:", paper);
        for (group, error) in failed {
            paper.line(&format!("* Group '{group}' could not be deleted due to: {}", thrown(*error)));
        }
        if !deleted.is_empty() {
            paper.line(&format!("\nThese consumer groups were deleted successfully: {deleted}"));
        }
    }
}

/// `--delete-offsets` of one group.
#[derive(Clone, Debug)]
pub struct OffsetsTalk {
    group: Name,
    arguments: Vec<(String, Option<Vec<u32>>)>,
    topics: Option<Topics>,
    coordinator: Option<BrokerId>,
    is_done: bool,
}

impl OffsetsTalk {
    pub fn new(group: String, arguments: Vec<(String, Option<Vec<u32>>)>) -> Self {
        Self { group: group.as_str().into(), arguments, topics: None, coordinator: None, is_done: false }
    }

    pub fn next(&mut self, _: &mut Paper) -> Next {
        match (&self.topics, self.coordinator) {
            _ if self.is_done => Next::Finish,
            (None, _) => ask_metadata(),
            (Some(_), None) => find_coordinator(&self.group),
            (Some(topics), Some(coordinator)) => {
                let (partitions, _) = named(&self.arguments, topics);
                let request = OffsetDeleteRequest { group: self.group.clone(), partitions };
                Next::Ask(Whom::Broker(coordinator), Request::OffsetDelete(request))
            }
        }
    }

    pub fn answer(&mut self, response: Response, paper: &mut Paper) -> Verdict {
        match response {
            Response::Metadata(metadata) => self.topics = Some(Topics::of(&metadata)),
            Response::FindCoordinator(found) if found.error.is_none() => self.coordinator = found.coordinator,
            Response::OffsetDelete(deleted) if !coordinator_is_elsewhere(deleted.error) => {
                self.print(&deleted, paper);
                self.is_done = true;
            }
            _ => {
                self.coordinator = None;
                return Verdict::TryAgain;
            }
        }
        Verdict::GoOn
    }

    pub fn no_answer(&mut self) {
        self.coordinator = None;
    }

    /// `deleteOffsets`
    fn print(&self, deleted: &OffsetDeleteResponse, paper: &mut Paper) {
        let topics = self.topics.clone().unwrap_or_default();
        let (asked, missing) = named(&self.arguments, &topics);
        let error_of = |topic: &Name, partition: u32| {
            let found = deleted.partitions.iter().find(|(name, number, _)| name == topic && *number == partition);
            found.map_or(deleted.error, |(.., error)| *error)
        };
        let mut rows: Vec<(Name, String, ErrorCode)> = asked
            .into_iter()
            .map(|(topic, partition)| {
                let error = error_of(&topic, partition);
                (topic, partition.to_string(), error)
            })
            .collect();
        let first = rows.iter().map(|(.., error)| *error).find(|error| !error.is_none());
        let error = if deleted.error.is_none() { first.unwrap_or(ErrorCode::None) } else { deleted.error };
        match error {
            ErrorCode::None => {
                paper.line(&format!("Request succeeded for deleting offsets from group {}.", self.group));
            }
            ErrorCode::InvalidGroupId | ErrorCode::GroupIdNotFound | ErrorCode::NonEmptyGroup => {
                print_error(super::message(error), paper);
            }
            ErrorCode::GroupSubscribedToTopic | ErrorCode::UnknownTopicOrPartition => {
                print_error("Encountered some partition-level error, see the follow-up details.", paper);
            }
            other => print_error(&format!("Encountered some unknown error: {other}"), paper),
        }
        rows.extend(missing.into_iter().map(|topic| (topic, "-".to_owned(), ErrorCode::UnknownTopicOrPartition)));
        rows.sort_by_key(|(topic, partition, _)| format!("{topic}{partition}"));
        let width = rows.iter().map(|(topic, ..)| topic.len()).max().unwrap_or(0).max(15);
        let mut row = |topic: &str, partition: &str, status: &str| {
            paper.text.push_str(&format!("\n{topic:width$} {partition:10} {status:15}"));
        };
        row("TOPIC", "PARTITION", "STATUS");
        for (topic, partition, error) in &rows {
            let failed = || format!("Error: {}", thrown(*error));
            row(topic, partition, &if error.is_none() { "Successful".to_owned() } else { failed() });
        }
        paper.text.push('\n');
    }
}

/// The partitions that are meant, and topics that are not there.
fn named(arguments: &TopicArguments, topics: &Topics) -> (Vec<(Name, u32)>, BTreeSet<Name>) {
    let (mut found, mut missing) = (Vec::new(), BTreeSet::new());
    for argument in arguments {
        match partitions_named(std::slice::from_ref(argument), topics) {
            Ok(partitions) => found.extend(partitions),
            Err(topic) => {
                missing.insert(topic);
            }
        }
    }
    found.sort();
    found.dedup();
    (found, missing)
}
