//! `kafka-consumer-groups --list` and `--describe`.

use std::collections::{BTreeMap, BTreeSet};

use super::super::super::config::Isolation;
use super::super::super::error::ErrorCode;
use super::super::super::ids::{BrokerId, Generation, LeaderEpoch, Name, Offset, TopicPartition};
use super::super::super::message::consumer_group::DescribedConsumerGroup;
use super::super::super::message::{
    DescribeGroupsRequest, DescribedGroup, ListOffsetsRequest, ListedGroup, MetadataResponse, OffsetFetchRequest,
    OffsetSpec, Request, Response,
};
use super::super::command::{ConsumerGroups, GroupView};
use super::super::print::exception;
use super::super::{Next, Paper, Verdict, Whom};
use super::{
    Topics, ask_metadata, describe_as_consumer_group, find_coordinator, is_of_consumers, list_consumer_groups,
    print_failure, tables,
};

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
pub struct Description {
    pub group: GroupOfAnyKind,
    pub coordinator: BrokerId,
    pub committed: BTreeMap<TopicPartition, (Offset, Option<LeaderEpoch>)>,
}

/// A group, whichever protocol its coordinator described it by (`ConsumerGroupDescription`).
#[derive(Clone, Debug)]
pub struct GroupOfAnyKind {
    pub name: Name,
    pub state: Name,
    pub assignor: Name,
    /// The group's and its target assignment's; a classic group has neither.
    pub epochs: Option<(Generation, Generation)>,
    pub members: Vec<MemberOfAnyKind>,
}

#[derive(Clone, Debug)]
pub struct MemberOfAnyKind {
    pub id: Name,
    pub instance: Option<Name>,
    pub client_id: Name,
    pub host: Name,
    pub assignment: Vec<(Name, u32)>,
    pub target: Vec<(Name, u32)>,
    /// A member of a classic group has none.
    pub epoch: Option<Generation>,
    /// Whether it speaks the consumer protocol; where it is in a classic group nobody asks.
    pub upgraded: Option<bool>,
}

impl From<DescribedGroup> for GroupOfAnyKind {
    fn from(group: DescribedGroup) -> Self {
        let members = group.members.into_iter().map(|member| MemberOfAnyKind {
            id: member.member_id,
            instance: member.group_instance_id,
            client_id: member.client_id,
            host: member.host,
            assignment: member.assignment.to_vec(),
            target: Vec::new(),
            epoch: None,
            upgraded: None,
        });
        Self {
            name: group.group,
            state: group.state,
            assignor: group.protocol,
            epochs: None,
            members: members.collect(),
        }
    }
}

impl From<DescribedConsumerGroup> for GroupOfAnyKind {
    fn from(group: DescribedConsumerGroup) -> Self {
        let members = group.members.into_iter().map(|member| MemberOfAnyKind {
            id: member.member_id,
            instance: member.instance_id,
            client_id: member.client_id,
            host: member.host,
            assignment: member.assignment,
            target: member.target,
            epoch: Some(member.epoch),
            upgraded: Some(!member.is_classic),
        });
        Self {
            name: group.group,
            state: group.state,
            assignor: group.assignor,
            epochs: Some((group.epoch, group.assignment_epoch)),
            members: members.collect(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Metadata,
    ListGroups,
    FindCoordinator,
    /// As a group of the consumer protocol; where it is none, as a classic one (`DescribeConsumerGroupsHandler`).
    Describe,
    DescribeClassic,
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
            Stage::Metadata => ask_metadata(),
            Stage::ListGroups => match self.brokers.get(self.listed as usize) {
                Some(broker) => {
                    let (states, types) = match &self.job {
                        ConsumerGroups::List { states, types } => (words(states.as_ref()), words(types.as_ref())),
                        _ => Default::default(),
                    };
                    list_consumer_groups(*broker, states, types)
                }
                None => self.all_listed(paper),
            },
            Stage::FindCoordinator => match self.left.last() {
                Some(group) => find_coordinator(group),
                None => self.all_described(paper),
            },
            Stage::Describe => self.ask_coordinator(describe_as_consumer_group),
            Stage::DescribeClassic => {
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
                self.listings.extend(list.groups.into_iter().filter(is_of_consumers));
                self.listed += 1;
            }
            Response::FindCoordinator(found) => match found.coordinator.filter(|_| found.error.is_none()) {
                Some(coordinator) => {
                    self.coordinator = Some(coordinator);
                    self.stage = Stage::Describe;
                }
                None => return Verdict::TryAgain,
            },
            Response::ConsumerGroupDescribe(described) => {
                return match described.groups.into_iter().next() {
                    Some(group) if group.error == ErrorCode::GroupIdNotFound => {
                        self.stage = Stage::DescribeClassic;
                        Verdict::GoOn
                    }
                    Some(group) => self.on_description(from, group.error, group.into(), paper),
                    None => Verdict::TryAgain,
                };
            }
            Response::DescribeGroups(described) => {
                return match described.groups.into_iter().next() {
                    Some(group) => self.on_description(from, group.error, group.into(), paper),
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
        self.topics = Topics::of(metadata);
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

    fn on_description(
        &mut self,
        coordinator: BrokerId,
        error: ErrorCode,
        group: GroupOfAnyKind,
        paper: &mut Paper,
    ) -> Verdict {
        if error == ErrorCode::GroupIdNotFound || (error.is_none() && &*group.state == "Dead") {
            let reason = format!("{}: Group {} not found.", exception(ErrorCode::GroupIdNotFound), group.name);
            print_failure(&reason, paper);
            self.stage = Stage::Done;
            return Verdict::GoOn;
        }
        if !error.is_none() {
            self.stage = Stage::FindCoordinator;
            return Verdict::TryAgain;
        }
        let name = group.name.clone();
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

    /// What it was at, by the admin client's name.
    pub fn call(&self) -> &'static str {
        match self.stage {
            Stage::Metadata | Stage::ListGroups => "listGroups",
            Stage::ListOffsets => "listOffsets",
            _ => "describeGroups",
        }
    }

    fn print(&self, paper: &mut Paper) {
        match &self.job {
            ConsumerGroups::List { states, types } => {
                tables::list(&self.listings, states.is_some(), types.is_some(), paper);
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
            _ => {}
        }
    }
}

fn words(filter: Option<&Vec<String>>) -> Vec<Name> {
    filter.into_iter().flatten().map(|word| word.as_str().into()).collect()
}
