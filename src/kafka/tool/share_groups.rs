//! `kafka-share-groups` (`ShareGroupCommand`).
//!
//! A group is asked for at its coordinator, which in turn asks share coordinators where the group stands; where the
//! partitions end, their leaders are asked. (In Kafka the coordinator asks those, too.)

use std::collections::{BTreeMap, BTreeSet};

use super::super::config::Isolation;
use super::super::error::ErrorCode;
use super::super::ids::{BrokerId, Name, Offset, TopicId, TopicPartition};
use super::super::message::share::{
    DescribeShareGroupOffsetsRequest, DescribedShareGroup, DescribedShareMember, DescribedSharePartition,
    ShareGroupDescribeRequest,
};
use super::super::message::{
    FindCoordinatorRequest, ListGroupsRequest, ListOffsetsRequest, ListedGroup, MetadataRequest, MetadataResponse,
    OffsetSpec, Request, Response,
};
use super::command::{GroupView, ShareGroups};
use super::print::exception;
use super::{Next, Paper, Verdict, Whom};

/// The port of every broker, for there is one a machine.
const PORT: u32 = 9092;

/// Where the tool is.
#[derive(Clone, Debug)]
pub struct Talk {
    job: ShareGroups,
    stage: Stage,
    /// Brokers that have not listed their groups, the next one last.
    unlisted: Vec<BrokerId>,
    listed: Vec<ListedGroup>,
    /// Groups still to describe, the next one last.
    left: Vec<Name>,
    coordinator: Option<BrokerId>,
    described: BTreeMap<Name, Description>,
    names: BTreeMap<TopicId, Name>,
    leaders: BTreeMap<TopicPartition, BrokerId>,
    /// Leaders still to ask where partitions end.
    unasked: Vec<BrokerId>,
    ends: BTreeMap<TopicPartition, Offset>,
}

/// Everything about one group.
#[derive(Clone, Debug)]
struct Description {
    group: DescribedShareGroup,
    coordinator: BrokerId,
    offsets: Vec<DescribedSharePartition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Metadata,
    List,
    FindCoordinator,
    Describe,
    Offsets,
    Ends,
    Done,
}

impl Talk {
    pub fn new(job: ShareGroups) -> Self {
        Self {
            job,
            stage: Stage::Metadata,
            unlisted: Vec::new(),
            listed: Vec::new(),
            left: Vec::new(),
            coordinator: None,
            described: BTreeMap::new(),
            names: BTreeMap::new(),
            leaders: BTreeMap::new(),
            unasked: Vec::new(),
            ends: BTreeMap::new(),
        }
    }

    pub fn next(&mut self, paper: &mut Paper) -> Next {
        match self.stage {
            Stage::Metadata => {
                let request = MetadataRequest { topics: None, allow_auto_topic_creation: false };
                Next::Ask(Whom::Anyone, Request::Metadata(request))
            }
            Stage::List => match self.unlisted.last() {
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
            Stage::Describe => self.ask_coordinator(|group| {
                Request::ShareGroupDescribe(ShareGroupDescribeRequest { groups: vec![group] })
            }),
            Stage::Offsets => self.ask_coordinator(|group| {
                Request::DescribeShareGroupOffsets(DescribeShareGroupOffsetsRequest { group })
            }),
            Stage::Ends => match self.unasked.last() {
                Some(leader) => Next::Ask(Whom::Broker(*leader), self.ends_request(*leader)),
                None => {
                    self.print(paper);
                    Next::Finish
                }
            },
            Stage::Done => Next::Finish,
        }
    }

    fn ask_coordinator(&self, request: impl FnOnce(Name) -> Request) -> Next {
        match (self.coordinator, self.left.last()) {
            (Some(coordinator), Some(group)) => Next::Ask(Whom::Broker(coordinator), request(group.clone())),
            _ => Next::Finish,
        }
    }

    fn all_listed(&mut self, paper: &mut Paper) -> Next {
        self.listed.retain(|listed| &*listed.kind == "Share");
        self.listed.sort();
        self.listed.dedup();
        if matches!(self.job, ShareGroups::List { .. }) {
            self.print(paper);
            return Next::Finish;
        }
        self.left = self.listed.iter().rev().map(|listed| listed.group.clone()).collect();
        self.stage = Stage::FindCoordinator;
        self.next(paper)
    }

    fn all_described(&mut self, paper: &mut Paper) -> Next {
        let partitions = self.described.values().flat_map(|described| &described.offsets);
        let leaders: BTreeSet<BrokerId> =
            partitions.filter_map(|at| self.leaders.get(&at.partition)).copied().collect();
        self.unasked = leaders.into_iter().collect();
        self.stage = Stage::Ends;
        self.next(paper)
    }

    fn ends_request(&self, leader: BrokerId) -> Request {
        let partitions = self.described.values().flat_map(|described| &described.offsets).map(|at| at.partition);
        let led: BTreeSet<TopicPartition> = partitions.filter(|of| self.leaders.get(of) == Some(&leader)).collect();
        Request::ListOffsets(ListOffsetsRequest {
            replica: None,
            isolation: Isolation::ReadUncommitted,
            partitions: led.into_iter().map(|partition| (partition, None, OffsetSpec::Latest)).collect(),
        })
    }

    pub fn answer(&mut self, from: BrokerId, response: Response, paper: &mut Paper) -> Verdict {
        match response {
            Response::Metadata(metadata) => self.learn(&metadata),
            Response::ListGroups(list) if list.error.is_none() => {
                self.listed.extend(list.groups);
                self.unlisted.pop();
            }
            Response::FindCoordinator(found) if found.error.is_none() => {
                self.coordinator = found.coordinator;
                self.stage = Stage::Describe;
            }
            Response::ShareGroupDescribe(described) => {
                return match described.groups.into_iter().next() {
                    Some(group) => self.on_description(from, group, paper),
                    None => Verdict::TryAgain,
                };
            }
            Response::DescribeShareGroupOffsets(found) if found.error.is_none() => {
                if let Some(described) = self.left.pop().and_then(|group| self.described.get_mut(&group)) {
                    described.offsets = found.partitions;
                }
                self.stage = Stage::FindCoordinator;
            }
            Response::ListOffsets(listed) => {
                if listed.partitions.iter().any(|(_, error, ..)| error.is_stale_metadata()) {
                    self.no_answer();
                    return Verdict::TryAgain;
                }
                let good = listed.partitions.iter().filter(|(_, error, ..)| error.is_none());
                self.ends.extend(good.map(|(partition, _, offset, _)| (*partition, *offset)));
                self.unasked.pop();
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
        *self = Self::new(self.job.clone());
        for topic in metadata.topics.iter().filter(|topic| topic.error.is_none()) {
            self.names.insert(topic.id, topic.name.clone());
            for (partition, number) in topic.partitions.iter().zip(0..) {
                let of = TopicPartition::new(topic.id, number);
                self.leaders.extend(partition.leader.map(|leader| (of, leader)));
            }
        }
        self.stage = match &self.job {
            ShareGroups::Describe { groups: Some(groups), .. } => {
                self.left = groups.iter().rev().map(|group| group.as_str().into()).collect();
                Stage::FindCoordinator
            }
            _ => {
                self.unlisted = metadata.brokers.iter().rev().map(|(id, _)| *id).collect();
                Stage::List
            }
        };
    }

    fn on_description(&mut self, coordinator: BrokerId, group: DescribedShareGroup, paper: &mut Paper) -> Verdict {
        if group.error == ErrorCode::GroupIdNotFound {
            let reason = format!("{}: Group {} not found.", exception(group.error), group.group);
            print_failure(&reason, paper);
            self.stage = Stage::Done;
            return Verdict::GoOn;
        }
        if !group.error.is_none() {
            self.no_answer();
            return Verdict::TryAgain;
        }
        let name = group.group.clone();
        self.described.insert(name, Description { group, coordinator, offsets: Vec::new() });
        if matches!(self.job, ShareGroups::Describe { view: GroupView::Offsets, .. }) {
            self.stage = Stage::Offsets;
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

    pub fn give_up(&self, paper: &mut Paper) {
        let timeout = exception(ErrorCode::RequestTimedOut);
        print_failure(&format!("{timeout}: Timed out waiting for a node assignment."), paper);
    }

    fn print(&self, paper: &mut Paper) {
        match &self.job {
            ShareGroups::List { states } => self.print_list(states.as_deref(), paper),
            ShareGroups::Describe { view, verbose, .. } => {
                for described in self.described.values() {
                    match view {
                        GroupView::Offsets => self.print_offsets(described, *verbose, paper),
                        GroupView::Members => print_members(described, *verbose, paper),
                        GroupView::State => print_state(described, *verbose, paper),
                    }
                }
            }
        }
    }

    /// `printGroupInfo`
    fn print_list(&self, states: Option<&[String]>, paper: &mut Paper) {
        let Some(states) = states else {
            return self.listed.iter().for_each(|listed| paper.line(&listed.group));
        };
        let is_wanted =
            |listed: &&ListedGroup| states.is_empty() || states.iter().any(|state| **state == *listed.state);
        let found: Vec<_> = self.listed.iter().filter(is_wanted).collect();
        let width = width(found.iter().map(|listed| &*listed.group));
        paper.line(&format!("{:width$} STATE", "GROUP"));
        found.iter().for_each(|listed| paper.line(&format!("{:width$} {}", &*listed.group, listed.state)));
    }

    /// `printOffsets`
    fn print_offsets(&self, described: &Description, verbose: bool, paper: &mut Paper) {
        let group = &*described.group.group;
        let known = |at: &DescribedSharePartition| Some((self.names.get(&at.partition.topic)?.clone(), at.clone()));
        let mut rows: Vec<(Name, DescribedSharePartition)> = described.offsets.iter().filter_map(known).collect();
        rows.sort_by_key(|(topic, at)| (topic.clone(), at.partition));
        if rows.is_empty() {
            return paper.line(&format!("\nShare group '{group}' has no offset information."));
        }
        let (groups, topics) = (width([group].into_iter()), width(rows.iter().map(|(topic, ..)| &**topic)));
        paper.line("");
        let mut row = |[group, topic, partition, epoch, start, lag]: [&str; 6]| {
            let epoch = if verbose { format!("{epoch:13} ") } else { String::new() };
            paper.line(&format!("{group:groups$} {topic:topics$} {partition:10} {epoch}{start:13} {lag}"));
        };
        row(["GROUP", "TOPIC", "PARTITION", "LEADER-EPOCH", "START-OFFSET", "LAG"]);
        for (topic, at) in &rows {
            let DescribedSharePartition { partition, start_offset, leader_epoch, delivery_complete_count } = at;
            // Where there is no start offset nothing else is told either (`ListShareGroupOffsetsHandler`).
            let start = Some(*start_offset).filter(|start| *start >= 0);
            let epoch = Some(leader_epoch.0).filter(|epoch| start.is_some() && *epoch >= 0);
            let end = self.ends.get(partition).filter(|_| *delivery_complete_count >= 0);
            let lag = start.zip(end).map(|(start, end)| (end - start - Offset::from(*delivery_complete_count)).max(0));
            let (epoch, start, lag) = (or_missing(epoch), or_missing(start), or_missing(lag));
            row([group, topic, &partition.partition.to_string(), &epoch, &start, &lag]);
        }
    }
}

/// Says what is special about the group's state; false where there is nothing to show (`maybePrintEmptyGroupState`).
fn announce(described: &Description, rows: usize, paper: &mut Paper) -> bool {
    let group = &described.group.group;
    if &*described.group.state == "Empty" {
        paper.line(&format!("\nShare group '{group}' has no active members."));
    }
    rows > 0
}

/// `printStates`
fn print_state(described: &Description, verbose: bool, paper: &mut Paper) {
    announce(described, 1, paper);
    let group = &described.group;
    let coordinator = format!("broker-{}:{PORT}  ({})", described.coordinator, described.coordinator);
    let groups = width([&*group.group].into_iter());
    let coordinators = coordinator.len().max(25);
    let members = group.members.len();
    let (epoch, target) = (group.group_epoch, group.assignment_epoch);
    paper.line("");
    if verbose {
        paper.line(&format!(
            "{:groups$} {:coordinators$} {:15} {:12} {:17} #MEMBERS",
            "GROUP", "COORDINATOR (ID)", "STATE", "GROUP-EPOCH", "ASSIGNMENT-EPOCH"
        ));
        let (epoch, target) = (epoch.to_string(), target.to_string());
        paper.line(&format!(
            "{:groups$} {coordinator:coordinators$} {:15} {epoch:12} {target:17} {members}",
            &*group.group, &*group.state
        ));
    } else {
        paper.line(&format!("{:groups$} {:coordinators$} {:15} #MEMBERS", "GROUP", "COORDINATOR (ID)", "STATE"));
        paper.line(&format!("{:groups$} {coordinator:coordinators$} {:15} {members}", &*group.group, &*group.state));
    }
}

/// `printMembers`
fn print_members(described: &Description, verbose: bool, paper: &mut Paper) {
    let group = &described.group;
    if !announce(described, group.members.len(), paper) {
        return;
    }
    let mut members: Vec<&DescribedShareMember> = group.members.iter().collect();
    members.sort_by_key(|member| member.member_id.clone());
    let groups = width([&*group.group].into_iter());
    let ids = width(members.iter().map(|member| &*member.member_id));
    let hosts = width(members.iter().map(|member| &*member.client_host));
    let clients = width(members.iter().map(|member| &*member.client_id));
    paper.line("");
    let mut row = |[group, id, host, client, count, epoch, assignment]: [&str; 7]| {
        let epoch = if verbose { format!("{epoch:13} ") } else { String::new() };
        paper
            .line(&format!("{group:groups$} {id:ids$} {host:hosts$} {client:clients$} {count:12} {epoch}{assignment}"));
    };
    row(["GROUP", "CONSUMER-ID", "HOST", "CLIENT-ID", "#PARTITIONS", "MEMBER-EPOCH", "ASSIGNMENT"]);
    for member in members {
        row([
            &group.group,
            &member.member_id,
            &member.client_host,
            &member.client_id,
            &member.assignment.len().to_string(),
            &member.member_epoch.to_string(),
            &assignment(member),
        ]);
    }
}

/// `topic:0,1;other:2` (`getAssignmentString`).
fn assignment(member: &DescribedShareMember) -> String {
    let mut topics: BTreeMap<&Name, Vec<u32>> = BTreeMap::new();
    for (topic, partition) in &member.assignment {
        topics.entry(topic).or_default().push(*partition);
    }
    let topic = |(topic, mut partitions): (&Name, Vec<u32>)| {
        partitions.sort_unstable();
        let partitions: Vec<String> = partitions.iter().map(ToString::to_string).collect();
        format!("{topic}:{}", partitions.join(","))
    };
    topics.into_iter().map(topic).collect::<Vec<_>>().join(";")
}

fn or_missing<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

fn width<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(str::len).max().unwrap_or(0).max(15)
}

/// The tool's exit status is 0 all the same, as Kafka's.
fn print_failure(reason: &str, paper: &mut Paper) {
    paper.line(&format!("\nError: Executing share group command failed due to {reason}"));
}
