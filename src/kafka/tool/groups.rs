//! `kafka-consumer-groups` (`ConsumerGroupCommand`).
//!
//! A group is asked for at its coordinator; where its partitions end, at their leaders. Nothing is printed before
//! everything is known.

mod tables;

use std::collections::{BTreeMap, BTreeSet};

use super::super::config::Isolation;
use super::super::error::ErrorCode;
use super::super::ids::{BrokerId, LeaderEpoch, Name, Offset, TopicId, TopicPartition};
use super::super::message::{
    DescribeGroupsRequest, DescribedGroup, FindCoordinatorRequest, ListGroupsRequest, ListOffsetsRequest, ListedGroup,
    MetadataRequest, MetadataResponse, OffsetFetchRequest, OffsetSpec, Request, Response,
};
use super::command::{ConsumerGroups, GroupView};
use super::print::exception;
use super::{Next, Paper, Verdict, Whom};

/// Where the tool is.
#[derive(Clone, Debug)]
pub struct Talk {
    job: ConsumerGroups,
    stage: Stage,
    brokers: Vec<BrokerId>,
    /// How many brokers have listed their groups.
    listed: u32,
    listings: Vec<ListedGroup>,
    /// Groups still to describe, the next one last.
    left: Vec<Name>,
    coordinator: Option<BrokerId>,
    described: BTreeMap<Name, Description>,
    topics: Topics,
    /// Leaders still to ask where partitions end.
    leaders: Vec<BrokerId>,
}

/// Everything about one group.
#[derive(Clone, Debug)]
struct Description {
    group: DescribedGroup,
    coordinator: BrokerId,
    committed: BTreeMap<TopicPartition, (Offset, Option<LeaderEpoch>)>,
}

/// What the tool knows of the topics.
#[derive(Clone, Debug, Default)]
struct Topics {
    names: BTreeMap<TopicId, Name>,
    leaders: BTreeMap<TopicPartition, BrokerId>,
    ends: BTreeMap<TopicPartition, Offset>,
}

impl Topics {
    fn partition(&self, topic: &str, partition: u32) -> Option<TopicPartition> {
        let (id, _) = self.names.iter().find(|(_, name)| &***name == topic)?;
        Some(TopicPartition::new(*id, partition))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Metadata,
    ListGroups,
    FindCoordinator,
    Describe,
    OffsetFetch,
    ListOffsets,
    Print,
    Done,
}

impl Talk {
    pub fn new(job: ConsumerGroups) -> Self {
        Self {
            job,
            stage: Stage::Metadata,
            brokers: Vec::new(),
            listed: 0,
            listings: Vec::new(),
            left: Vec::new(),
            coordinator: None,
            described: BTreeMap::new(),
            topics: Topics::default(),
            leaders: Vec::new(),
        }
    }

    pub fn next(&mut self, paper: &mut Paper) -> Next {
        match self.stage {
            Stage::Metadata => {
                let request = MetadataRequest { topics: None, allow_auto_topic_creation: false };
                Next::Ask(Whom::Anyone, Request::Metadata(request))
            }
            Stage::ListGroups => match self.brokers.get(self.listed as usize) {
                Some(broker) => Next::Ask(Whom::Broker(*broker), Request::ListGroups(ListGroupsRequest::default())),
                None => self.all_listed(paper),
            },
            Stage::FindCoordinator => match self.left.last() {
                Some(group) => {
                    let request = FindCoordinatorRequest { key: group.clone() };
                    Next::Ask(Whom::Anyone, Request::FindCoordinator(request))
                }
                None => self.all_described(paper),
            },
            Stage::Describe => {
                self.ask_coordinator(|group| Request::DescribeGroups(DescribeGroupsRequest { groups: vec![group] }))
            }
            Stage::OffsetFetch => self.ask_coordinator(|group| {
                Request::OffsetFetch(OffsetFetchRequest { group, member: None, partitions: None })
            }),
            Stage::ListOffsets => match self.leaders.last().copied() {
                Some(leader) => Next::Ask(Whom::Broker(leader), self.ends_request(leader)),
                None => {
                    self.stage = Stage::Print;
                    self.next(paper)
                }
            },
            Stage::Print => {
                self.print(paper);
                Next::Finish
            }
            Stage::Done => Next::Finish,
        }
    }

    fn ask_coordinator(&self, request: impl FnOnce(Name) -> Request) -> Next {
        match (self.coordinator, self.left.last()) {
            (Some(coordinator), Some(group)) => Next::Ask(Whom::Broker(coordinator), request(group.clone())),
            _ => Next::Finish,
        }
    }

    /// Every broker has listed the groups it coordinates.
    fn all_listed(&mut self, paper: &mut Paper) -> Next {
        self.listings.sort();
        self.listings.dedup();
        if matches!(self.job, ConsumerGroups::List { .. }) {
            self.stage = Stage::Print;
        } else {
            self.left = self.listings.iter().rev().map(|listed| listed.group.clone()).collect();
            self.stage = Stage::FindCoordinator;
        }
        self.next(paper)
    }

    fn all_described(&mut self, paper: &mut Paper) -> Next {
        let wants_offsets = matches!(self.job, ConsumerGroups::Describe { view: GroupView::Offsets, .. });
        if wants_offsets {
            let leaders: BTreeSet<BrokerId> =
                self.partitions().iter().filter_map(|partition| self.topics.leaders.get(partition)).copied().collect();
            self.leaders = leaders.into_iter().collect();
        }
        self.stage = Stage::ListOffsets;
        self.next(paper)
    }

    /// Every partition that one of the groups has committed or reads.
    fn partitions(&self) -> BTreeSet<TopicPartition> {
        let assigned = |description: &Description| -> Vec<TopicPartition> {
            let members = description.group.members.iter().flat_map(|member| member.assignment.iter());
            members.filter_map(|(topic, partition)| self.topics.partition(topic, *partition)).collect()
        };
        let of = |description: &Description| {
            description.committed.keys().copied().chain(assigned(description)).collect::<Vec<_>>()
        };
        self.described.values().flat_map(of).collect()
    }

    fn ends_request(&self, leader: BrokerId) -> Request {
        let led = |partition: &TopicPartition| self.topics.leaders.get(partition) == Some(&leader);
        let partitions = self.partitions().into_iter().filter(led);
        Request::ListOffsets(ListOffsetsRequest {
            replica: None,
            isolation: Isolation::ReadUncommitted,
            partitions: partitions.map(|partition| (partition, None, OffsetSpec::Latest)).collect(),
        })
    }

    pub fn answer(&mut self, from: BrokerId, response: Response, paper: &mut Paper) -> Verdict {
        match response {
            Response::Metadata(metadata) => self.learn(&metadata),
            Response::ListGroups(list) if list.error.is_none() => {
                self.listings.extend(list.groups);
                self.listed += 1;
            }
            Response::FindCoordinator(found) => match found.coordinator.filter(|_| found.error.is_none()) {
                Some(coordinator) => {
                    self.coordinator = Some(coordinator);
                    self.stage = Stage::Describe;
                }
                None => return Verdict::TryAgain,
            },
            Response::DescribeGroups(described) => {
                return match described.groups.into_iter().next() {
                    Some(group) => self.on_description(from, group, paper),
                    None => Verdict::TryAgain,
                };
            }
            Response::OffsetFetch(fetched) if fetched.error.is_none() => {
                if let Some(description) = self.left.pop().and_then(|group| self.described.get_mut(&group)) {
                    let known = fetched.partitions.into_iter().filter(|(_, offset, _)| *offset >= 0);
                    description.committed =
                        known.map(|(partition, offset, epoch)| (partition, (offset, epoch))).collect();
                }
                self.stage = Stage::FindCoordinator;
            }
            Response::ListOffsets(listed) => {
                if listed.partitions.iter().any(|(_, error, ..)| error.is_stale_metadata()) {
                    self.no_answer();
                    return Verdict::TryAgain;
                }
                let good = listed.partitions.iter().filter(|(_, error, ..)| error.is_none());
                self.topics.ends.extend(good.map(|(partition, _, offset, _)| (*partition, *offset)));
                self.leaders.pop();
            }
            // The group has moved, or is being loaded.
            _ => {
                self.no_answer();
                return Verdict::TryAgain;
            }
        }
        Verdict::GoOn
    }

    fn learn(&mut self, metadata: &MetadataResponse) {
        self.brokers = metadata.brokers.iter().map(|(id, _)| *id).collect();
        self.topics = Topics::default();
        for topic in metadata.topics.iter().filter(|topic| topic.error.is_none()) {
            self.topics.names.insert(topic.id, topic.name.clone());
            let leaders = topic
                .partitions
                .iter()
                .zip(0..)
                .filter_map(|(partition, number)| Some((TopicPartition::new(topic.id, number), partition.leader?)));
            self.topics.leaders.extend(leaders);
        }
        self.listed = 0;
        self.listings.clear();
        self.described.clear();
        self.stage = match &self.job {
            ConsumerGroups::Describe { groups: Some(groups), .. } => {
                self.left = groups.iter().rev().map(|group| group.as_str().into()).collect();
                Stage::FindCoordinator
            }
            _ => Stage::ListGroups,
        };
    }

    fn on_description(&mut self, coordinator: BrokerId, group: DescribedGroup, paper: &mut Paper) -> Verdict {
        if group.error == ErrorCode::GroupIdNotFound || (group.error.is_none() && &*group.state == "Dead") {
            let reason = format!("{}: Group {} not found.", exception(ErrorCode::GroupIdNotFound), group.group);
            print_failure(&reason, paper);
            self.stage = Stage::Done;
            return Verdict::GoOn;
        }
        if !group.error.is_none() {
            self.stage = Stage::FindCoordinator;
            return Verdict::TryAgain;
        }
        let name = group.group.clone();
        self.described.insert(name, Description { group, coordinator, committed: BTreeMap::new() });
        if matches!(self.job, ConsumerGroups::Describe { view: GroupView::Offsets, .. }) {
            self.stage = Stage::OffsetFetch;
        } else {
            self.left.pop();
            self.stage = Stage::FindCoordinator;
        }
        Verdict::GoOn
    }

    /// Leaders and coordinators may have changed: begins again.
    pub fn no_answer(&mut self) {
        self.stage = Stage::Metadata;
    }

    pub fn give_up(&mut self, paper: &mut Paper) {
        let call = match self.stage {
            Stage::Metadata | Stage::ListGroups => "listGroups",
            Stage::ListOffsets => "listOffsets",
            _ => "describeGroups",
        };
        let timeout = exception(ErrorCode::RequestTimedOut);
        print_failure(&format!("{timeout}: Timed out waiting for a node assignment. Call: {call}"), paper);
    }

    fn print(&self, paper: &mut Paper) {
        match &self.job {
            ConsumerGroups::List { states, types } => {
                tables::list(&self.listings, states.as_deref(), types.as_deref(), paper);
            }
            ConsumerGroups::Describe { view, verbose, .. } => {
                for description in self.described.values() {
                    match view {
                        GroupView::Offsets => tables::offsets(description, &self.topics, *verbose, paper),
                        GroupView::Members => tables::members(description, *verbose, paper),
                        GroupView::State => tables::state(description, *verbose, paper),
                    }
                }
            }
        }
    }
}

/// The tool's exit status is 0 all the same, as Kafka's.
fn print_failure(reason: &str, paper: &mut Paper) {
    paper.line(&format!("\nError: Executing consumer group command failed due to {reason}"));
}
