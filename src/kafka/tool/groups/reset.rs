//! `kafka-consumer-groups --reset-offsets` (`resetOffsets`, `OffsetsUtils`).
//!
//! For each group: its coordinator says what state it is in, and only one without members can be reset. Where the
//! offsets shall go is asked of the leaders of its partitions; with `--execute` they are then committed, as by a member
//! of no generation. A group that does not exist is reset all the same: the commit makes it.
//!
//! Each call is made again by itself where somebody else coordinates or leads by now (`CoordinatorStrategy`,
//! `PartitionLeaderStrategy`): what the group's state was is not asked a second time.

use std::collections::{BTreeMap, BTreeSet};

use super::super::super::config::Isolation;
use super::super::super::error::ErrorCode;
use super::super::super::ids::{BrokerId, Name, Offset, TopicPartition};
use super::super::super::message::{
    DescribeGroupsRequest, ListOffsetsRequest, ListOffsetsResponse, OffsetCommitRequest, OffsetFetchRequest,
    OffsetSpec, Request, Response,
};
use super::super::command::{ResetOffsets, ResetTo, Scope};
use super::super::options::groups::USAGE;
use super::super::{Next, Paper, Verdict, Whom};
use super::{
    Topics, ask_metadata, coordinator_is_elsewhere, describe_as_consumer_group, find_coordinator, is_of_consumers,
    list_consumer_groups, message, partitions_named, print_error, print_failure, tables, thrown,
};
use crate::time::Instant;

/// `ConsumerGroupCommandOptions.checkArgs`
const UNDECIDED: &str = "WARN: No action will be performed as the --execute option is missing. In version 5.0, this \
                         command will require either --dry-run or --execute to be specified. You should add the \
                         --dry-run option explicitly if you are scripting this command and want to keep the current \
                         default behavior without prompting.";

/// Where the tool is.
#[derive(Clone, Debug)]
pub struct Talk {
    job: ResetOffsets,
    stage: Stage,
    topics: Topics,
    /// Somebody else may lead by now than `topics` says.
    topics_are_stale: bool,
    /// Brokers that have not listed their groups.
    unlisted: Vec<BrokerId>,
    /// Groups still to reset, the next one last.
    left: Vec<Name>,
    coordinator: Option<BrokerId>,
    /// What the group has committed.
    committed: BTreeMap<TopicPartition, Offset>,
    /// What is to be asked of leaders, the next one last.
    questions: Vec<Question>,
    found: BTreeMap<(TopicPartition, Bound), Offset>,
    /// What the group is being reset to.
    plan: BTreeMap<TopicPartition, Offset>,
    /// What groups have been reset to.
    done: BTreeMap<Name, BTreeMap<(Name, u32), Offset>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begin,
    List,
    Describe,
    DescribeClassic,
    OffsetFetch,
    ListOffsets,
    Commit,
    /// Something stands in the way, and has been said.
    Failed,
}

/// Which offset of a partition a leader has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Bound {
    Start,
    End,
    /// The first record that is not older than the time asked for.
    Time,
}

#[derive(Clone, Debug)]
struct Question {
    leader: BrokerId,
    bound: Bound,
    spec: OffsetSpec,
    partitions: Vec<TopicPartition>,
}

impl Talk {
    pub fn new(job: ResetOffsets) -> Self {
        Self {
            job,
            stage: Stage::Begin,
            topics: Topics::default(),
            topics_are_stale: false,
            unlisted: Vec::new(),
            left: Vec::new(),
            coordinator: None,
            committed: BTreeMap::new(),
            questions: Vec::new(),
            found: BTreeMap::new(),
            plan: BTreeMap::new(),
            done: BTreeMap::new(),
        }
    }

    pub fn next(&mut self, now: Instant, paper: &mut Paper) -> Next {
        if std::mem::take(&mut self.job.undecided) {
            paper.line(UNDECIDED);
        }
        // A duration counts back from when the tool first looks.
        if let ResetTo::Ago(millis) = self.job.to {
            self.job.to = ResetTo::Time(now.timestamp_ms().saturating_sub(millis));
        }
        match self.stage {
            Stage::Begin => ask_metadata(),
            _ if self.topics_are_stale => ask_metadata(),
            Stage::List => match self.unlisted.last() {
                Some(broker) => list_consumer_groups(*broker, Vec::new(), Vec::new()),
                None => {
                    self.left.sort();
                    self.left.dedup();
                    self.left.reverse();
                    self.stage = Stage::Describe;
                    self.next(now, paper)
                }
            },
            Stage::Describe if self.left.is_empty() => {
                self.print(paper);
                Next::Finish
            }
            Stage::Describe => self.ask_coordinator(describe_as_consumer_group),
            Stage::DescribeClassic => {
                self.ask_coordinator(|group| Request::DescribeGroups(DescribeGroupsRequest { groups: vec![group] }))
            }
            Stage::OffsetFetch => self.ask_coordinator(|group| {
                Request::OffsetFetch(OffsetFetchRequest { group, member: None, partitions: None })
            }),
            Stage::ListOffsets => match self.questions.last() {
                Some(question) => {
                    let partitions = question.partitions.iter().map(|partition| (*partition, None, question.spec));
                    let request = ListOffsetsRequest {
                        replica: None,
                        isolation: Isolation::ReadUncommitted,
                        partitions: partitions.collect(),
                    };
                    Next::Ask(Whom::Broker(question.leader), Request::ListOffsets(request))
                }
                None => {
                    self.decide(paper);
                    self.next(now, paper)
                }
            },
            Stage::Commit => {
                let partitions = self.plan.iter().map(|(partition, offset)| (*partition, *offset, None)).collect();
                self.ask_coordinator(|group| {
                    Request::OffsetCommit(OffsetCommitRequest {
                        group,
                        generation: None,
                        member_id: "".into(),
                        group_instance_id: None,
                        partitions,
                    })
                })
            }
            Stage::Failed => Next::Finish,
        }
    }

    fn ask_coordinator(&self, request: impl FnOnce(Name) -> Request) -> Next {
        match (self.coordinator, self.left.last()) {
            (Some(coordinator), Some(group)) => Next::Ask(Whom::Broker(coordinator), request(group.clone())),
            (None, Some(group)) => find_coordinator(group),
            (_, None) => Next::Finish,
        }
    }

    pub fn answer(&mut self, from: BrokerId, response: Response, paper: &mut Paper) -> Verdict {
        match response {
            Response::Metadata(metadata) => {
                self.topics = Topics::of(&metadata);
                if self.topics_are_stale {
                    let mut asked = self.questions.iter().flat_map(|question| &question.partitions);
                    if !asked.all(|partition| self.topics.leaders.contains_key(partition)) {
                        return Verdict::TryAgain;
                    }
                    self.topics_are_stale = false;
                    for question in std::mem::take(&mut self.questions) {
                        self.ask(question.bound, question.spec, &question.partitions);
                    }
                    return Verdict::GoOn;
                }
                self.stage = Stage::Describe;
                match &self.job.groups {
                    Some(groups) => self.left = groups.iter().rev().map(|group| group.as_str().into()).collect(),
                    None => {
                        self.unlisted = metadata.brokers.iter().map(|(id, _)| *id).collect();
                        self.stage = Stage::List;
                    }
                }
            }
            Response::ListGroups(list) if list.error.is_none() => {
                self.left.extend(list.groups.into_iter().filter(is_of_consumers).map(|listed| listed.group));
                self.unlisted.retain(|broker| *broker != from);
            }
            Response::FindCoordinator(found) if found.error.is_none() => {
                self.coordinator = found.coordinator;
            }
            Response::ConsumerGroupDescribe(described) => match described.groups.into_iter().next() {
                Some(group) if group.error == ErrorCode::GroupIdNotFound => self.stage = Stage::DescribeClassic,
                Some(group) if group.error.is_none() => self.on_state(&group.state, paper),
                _ => return self.look_again(),
            },
            Response::DescribeGroups(described) => match described.groups.into_iter().next() {
                Some(group) if group.error.is_none() || group.error == ErrorCode::GroupIdNotFound => {
                    self.on_state(&group.state, paper);
                }
                _ => return self.look_again(),
            },
            Response::OffsetFetch(fetched) if fetched.error.is_none() => {
                let known = fetched.partitions.into_iter().filter(|(_, offset, _)| *offset >= 0);
                self.committed = known.map(|(partition, offset, _)| (partition, offset)).collect();
                self.ask_leaders(paper);
            }
            Response::ListOffsets(listed) => return self.on_listed(&listed, paper),
            Response::OffsetCommit(committed) => {
                let errors: BTreeSet<ErrorCode> = committed.partitions.iter().map(|(_, error)| *error).collect();
                if errors.iter().any(|error| coordinator_is_elsewhere(*error)) {
                    return self.look_again();
                }
                if errors.iter().any(|error| !error.is_none()) {
                    let failed = committed.partitions.iter().filter(|(_, error)| !error.is_none());
                    let names = failed.map(|(partition, _)| self.name(*partition)).collect::<Vec<_>>().join(", ");
                    let reason = format!("Failed altering group offsets for the following partitions: [{names}]");
                    return self.fail(&reason, paper);
                }
                self.conclude();
            }
            _ => return self.look_again(),
        }
        Verdict::GoOn
    }

    /// The group's coordinator says how it is. One that does not exist is `Dead`.
    fn on_state(&mut self, state: &str, paper: &mut Paper) {
        let Some(group) = self.left.last().cloned() else { return };
        if !matches!(state, "Empty" | "Dead") {
            let why = format!(
                "Assignments can only be reset if the group '{group}' is inactive, but the current state is {state}."
            );
            print_error(&why, paper);
            return self.conclude();
        }
        self.committed.clear();
        self.found.clear();
        self.plan.clear();
        let needs_committed =
            self.job.scope == Scope::AllTopics || matches!(self.job.to, ResetTo::Current | ResetTo::Shift(_));
        if needs_committed {
            self.stage = Stage::OffsetFetch;
        } else {
            self.ask_leaders(paper);
        }
    }

    /// Which partitions are meant is known now: asks their leaders what there is to know.
    fn ask_leaders(&mut self, paper: &mut Paper) {
        let Some(partitions) = self.partitions(paper) else {
            self.stage = Stage::Failed;
            return;
        };
        self.stage = Stage::ListOffsets;
        let wanted: &[(Bound, OffsetSpec)] = match self.job.to {
            ResetTo::Earliest => &[(Bound::Start, OffsetSpec::Earliest)],
            ResetTo::Latest | ResetTo::Current => &[(Bound::End, OffsetSpec::Latest)],
            ResetTo::Time(at) | ResetTo::Ago(at) => &[(Bound::Time, OffsetSpec::Timestamp(at))],
            ResetTo::Offset(_) | ResetTo::Shift(_) | ResetTo::Plan(_) => {
                &[(Bound::End, OffsetSpec::Latest), (Bound::Start, OffsetSpec::Earliest)]
            }
        };
        let asked: Vec<TopicPartition> = match self.job.to {
            // Where something is committed that is the answer.
            ResetTo::Current => {
                partitions.iter().filter(|partition| !self.committed.contains_key(partition)).copied().collect()
            }
            _ => partitions.clone(),
        };
        for (bound, spec) in wanted {
            self.ask(*bound, *spec, &asked);
        }
        self.plan = partitions.into_iter().map(|partition| (partition, 0)).collect();
    }

    fn ask(&mut self, bound: Bound, spec: OffsetSpec, partitions: &[TopicPartition]) {
        let mut by_leader: BTreeMap<BrokerId, Vec<TopicPartition>> = BTreeMap::new();
        for partition in partitions {
            if let Some(leader) = self.topics.leaders.get(partition) {
                by_leader.entry(*leader).or_default().push(*partition);
            }
        }
        let questions =
            by_leader.into_iter().rev().map(|(leader, partitions)| Question { leader, bound, spec, partitions });
        self.questions.extend(questions);
    }

    /// The partitions that are meant; `None` if something about them is wrong, which is then said
    /// (`checkAllTopicPartitionsValid`).
    fn partitions(&mut self, paper: &mut Paper) -> Option<Vec<TopicPartition>> {
        let group = self.left.last().cloned()?;
        let unknown = message(ErrorCode::UnknownTopicOrPartition);
        let named: Vec<(Name, u32)> = match (&self.job.to, &self.job.scope) {
            (ResetTo::Plan(plan), _) => match plan.get(&*group) {
                Some(plan) => plan.keys().map(|(topic, number)| (topic.as_str().into(), *number)).collect(),
                None => {
                    print_error(&format!("No reset plan for group {group} found"), paper);
                    Vec::new()
                }
            },
            (_, Scope::AllTopics) => {
                let committed = self.committed.keys();
                committed.filter_map(|at| Some((self.topics.name(*at)?.clone(), at.partition))).collect()
            }
            (_, Scope::Topics(arguments)) => match partitions_named(arguments, &self.topics) {
                Ok(named) => named,
                Err(_) => {
                    print_failure(unknown, paper);
                    return None;
                }
            },
        };
        let (mut found, mut missing, mut leaderless) = (Vec::new(), Vec::new(), Vec::new());
        for (topic, number) in named {
            let is_there = self.topics.count(&topic).is_some_and(|count| number < count);
            match self.topics.partition(&topic, number).filter(|_| is_there) {
                None => missing.push(format!("{topic}-{number}")),
                Some(partition) if !self.topics.leaders.contains_key(&partition) => {
                    leaderless.push(format!("{topic}-{number}"));
                }
                Some(partition) => found.push(partition),
            }
        }
        for (wrong, what) in [(&missing, "do not exist"), (&leaderless, "have no leader")] {
            if !wrong.is_empty() {
                print_failure(&format!("The partitions \"{}\" {what}", wrong.join(",")), paper);
                return None;
            }
        }
        Some(found)
    }

    fn on_listed(&mut self, listed: &ListOffsetsResponse, paper: &mut Paper) -> Verdict {
        let Some(question) = self.questions.last() else { return Verdict::GoOn };
        if listed.partitions.iter().any(|(_, error, ..)| error.is_retriable()) {
            return self.look_again();
        }
        let bound = question.bound;
        if let Some((_, error, ..)) = listed.partitions.iter().find(|(_, error, ..)| !error.is_none()) {
            return self.fail(&thrown(*error), paper);
        }
        let known = listed.partitions.iter().filter(|(_, _, offset, _)| *offset >= 0);
        self.found.extend(known.map(|(partition, _, offset, _)| ((*partition, bound), *offset)));
        self.questions.pop();
        Verdict::GoOn
    }

    /// The leaders have answered: works out the new offsets.
    fn decide(&mut self, paper: &mut Paper) {
        let partitions: Vec<TopicPartition> = self.plan.keys().copied().collect();
        if let ResetTo::Time(_) = self.job.to {
            let is_open = |partition: &&TopicPartition| {
                !self.found.contains_key(&(**partition, Bound::Time))
                    && !self.found.contains_key(&(**partition, Bound::End))
            };
            let open: Vec<TopicPartition> = partitions.iter().filter(is_open).copied().collect();
            for partition in &open {
                let topic = self.topics.name(*partition).map_or("", |name| name);
                paper.line(&format!(
                    "\nWarn: Partition {} from topic {topic} is empty. Falling back to latest known offset.",
                    partition.partition
                ));
            }
            if !open.is_empty() {
                return self.ask(Bound::End, OffsetSpec::Latest, &open);
            }
        }
        for partition in partitions {
            let bound = |bound| self.found.get(&(partition, bound)).copied();
            let offset = match &self.job.to {
                ResetTo::Earliest => bound(Bound::Start),
                ResetTo::Latest => bound(Bound::End),
                ResetTo::Current => self.committed.get(&partition).copied().or_else(|| bound(Bound::End)),
                ResetTo::Time(_) | ResetTo::Ago(_) => bound(Bound::Time).or_else(|| bound(Bound::End)),
                ResetTo::Offset(offset) => Some(self.within_log(partition, *offset, paper)),
                ResetTo::Plan(plan) => {
                    let name = self.topics.name(partition).map(|name| (name.to_string(), partition.partition));
                    let plan = self.left.last().and_then(|group| plan.get(&**group));
                    let planned = plan.zip(name).and_then(|(plan, name)| plan.get(&name)).copied();
                    planned.map(|offset| self.within_log(partition, offset, paper))
                }
                ResetTo::Shift(by) => match self.committed.get(&partition) {
                    Some(committed) => Some(self.within_log(partition, committed.saturating_add(*by), paper)),
                    None => {
                        let name = self.name(partition);
                        paper.fail(&USAGE.wrong(&format!(
                            "Cannot shift offset for partition {name} since there is no current committed offset"
                        )));
                        self.stage = Stage::Failed;
                        return;
                    }
                },
            };
            if let Some(offset) = offset {
                self.plan.insert(partition, offset);
            }
        }
        if self.job.execute && !self.plan.is_empty() {
            self.stage = Stage::Commit;
        } else {
            self.conclude();
        }
    }

    /// The offset, or the nearest one that the partition has (`checkOffsetsRange`).
    fn within_log(&self, partition: TopicPartition, offset: Offset, paper: &mut Paper) -> Offset {
        let bound = |bound| self.found.get(&(partition, bound)).copied();
        let (instead, what) = match (bound(Bound::Start), bound(Bound::End)) {
            (_, Some(end)) if offset > end => (end, "higher than latest"),
            (Some(start), _) if offset < start => (start, "lower than earliest"),
            _ => return offset,
        };
        let name = self.name(partition);
        paper.line(&format!(
            "WARN New offset ({offset}) is {what} offset for topic partition {name}. Value will be set to {instead} \
             (org.apache.kafka.tools.OffsetsUtils)"
        ));
        instead
    }

    fn name(&self, partition: TopicPartition) -> String {
        format!("{}-{}", self.topics.name(partition).map_or("", |name| name), partition.partition)
    }

    /// The group is done with; the next one.
    fn conclude(&mut self) {
        if let Some(group) = self.left.pop() {
            let named = |(partition, offset): (&TopicPartition, &Offset)| {
                Some(((self.topics.name(*partition)?.clone(), partition.partition), *offset))
            };
            let reset = self.plan.iter().filter_map(named).collect();
            self.done.insert(group, reset);
        }
        self.plan.clear();
        self.coordinator = None;
        self.stage = Stage::Describe;
    }

    fn fail(&mut self, reason: &str, paper: &mut Paper) -> Verdict {
        print_failure(reason, paper);
        self.stage = Stage::Failed;
        Verdict::GoOn
    }

    /// Somebody else leads or coordinates by now: asks who, and then the same again.
    fn look_again(&mut self) -> Verdict {
        self.no_answer();
        Verdict::TryAgain
    }

    pub fn no_answer(&mut self) {
        match self.stage {
            Stage::Begin | Stage::Failed => {}
            Stage::List => {
                self.left.clear();
                self.stage = Stage::Begin;
            }
            Stage::ListOffsets => self.topics_are_stale = true,
            Stage::Describe | Stage::DescribeClassic | Stage::OffsetFetch | Stage::Commit => self.coordinator = None,
        }
    }

    /// What it was at, by the admin client's name.
    pub fn call(&self) -> &'static str {
        match self.stage {
            Stage::Begin => "describeTopics",
            Stage::List => "listGroups",
            Stage::OffsetFetch => "offsetFetch",
            Stage::ListOffsets => "listOffsets",
            Stage::Commit => "offsetCommit",
            Stage::Describe | Stage::DescribeClassic | Stage::Failed => "describeConsumerGroups",
        }
    }

    fn print(&self, paper: &mut Paper) {
        let is_one_group = self.job.groups.as_ref().is_some_and(|groups| groups.len() == 1);
        if self.job.export {
            tables::reset_csv(&self.done, is_one_group, paper);
        } else {
            tables::reset(&self.done, paper);
        }
    }
}
