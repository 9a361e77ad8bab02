//! `kafka-reassign-partitions` (`ReassignPartitionsCommand`).
//!
//! A list of steps, each of them a question; an answer may add more. What we leave out: moves between log directories
//! (a broker has one here, and files say `any`), and the throttle for those.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::error::ErrorCode;
use super::super::ids::{BrokerId, Name};
use super::super::message::{
    AlterPartitionReassignmentsRequest, IncrementalAlterConfigsRequest, ListPartitionReassignmentsRequest,
    MetadataRequest, MetadataResponse, OngoingReassignment, PartitionResult, Request, Response, TopicMetadata,
};
use super::super::placement::{UsableBroker, place};
use super::command::{Reassign, Target};
use super::print::{comma, exception};
use super::{API_TIMEOUT, Next, Paper, Verdict, Whom};
use crate::rng::Rng;

const EXISTING: &str = "Cannot execute because there is an existing partition assignment.  Use --additional to override \
                        this and create a new partition assignment in addition to the existing one. The --additional \
                        flag can also be used to change the throttle by resubmitting the current reassignment.";
const VERIFY_PERIODICALLY: &str = "Warning: You must run --verify periodically, until the reassignment completes, to \
                                   ensure the throttle is removed.";

const THROTTLED_RATES: [&str; 2] = ["leader.replication.throttled.rate", "follower.replication.throttled.rate"];
const THROTTLED_REPLICAS: [&str; 2] =
    ["leader.replication.throttled.replicas", "follower.replication.throttled.replicas"];

/// Where the tool is.
#[derive(Clone, Debug)]
pub struct Talk {
    job: Reassign,
    /// What is still to be asked; the first is under way.
    steps: VecDeque<Step>,
    ongoing: Vec<OngoingReassignment>,
    /// What `--generate` makes a proposal of.
    seen: Option<MetadataResponse>,
}

#[derive(Clone, Debug)]
enum Step {
    List,
    Look,
    /// Changes settings, and says so afterwards.
    Configure {
        request: IncrementalAlterConfigsRequest,
        said: Option<String>,
    },
    Move {
        partitions: Vec<(Name, u32, Option<Vec<BrokerId>>)>,
    },
}

/// Where a partition's records come from, and where they go.
type Move = (BTreeSet<BrokerId>, BTreeSet<BrokerId>);

impl Talk {
    pub fn new(job: Reassign) -> Self {
        let steps = match &job {
            Reassign::List => vec![Step::List],
            Reassign::Generate { .. } => vec![Step::Look],
            _ => vec![Step::List, Step::Look],
        };
        Self { job, steps: steps.into(), ongoing: Vec::new(), seen: None }
    }

    pub fn next(&mut self, paper: &mut Paper, rng: &mut Rng) -> Next {
        if let Some(seen) = self.seen.take() {
            self.generate(&seen, paper, rng);
        }
        let request = match self.steps.front() {
            None => return Next::Finish,
            Some(Step::List) => {
                Request::ListPartitionReassignments(ListPartitionReassignmentsRequest { partitions: None })
            }
            Some(Step::Look) => Request::Metadata(MetadataRequest { topics: None, allow_auto_topic_creation: false }),
            Some(Step::Configure { request, .. }) => Request::IncrementalAlterConfigs(request.clone()),
            Some(Step::Move { partitions }) => {
                let denied = matches!(self.job, Reassign::Execute { allow_replication_factor_change: false, .. });
                Request::AlterPartitionReassignments(AlterPartitionReassignmentsRequest {
                    allow_replication_factor_change: !denied,
                    partitions: partitions.clone(),
                    timeout: API_TIMEOUT,
                })
            }
        };
        Next::Ask(Whom::Anyone, request)
    }

    pub fn answer(&mut self, response: Response, paper: &mut Paper) -> Verdict {
        match (self.steps.front(), response) {
            (Some(Step::List), Response::ListPartitionReassignments(listed)) if listed.error.is_none() => {
                self.steps.pop_front();
                self.ongoing = listed.partitions;
                self.listed(paper);
            }
            (Some(Step::Look), Response::Metadata(metadata)) => {
                self.steps.pop_front();
                self.looked(metadata, paper);
            }
            (Some(Step::Configure { .. }), Response::IncrementalAlterConfigs(altered)) => {
                let refused = altered.results.into_iter().find(|result| !result.error.is_none());
                if refused.as_ref().is_some_and(|result| result.error == ErrorCode::NotController) {
                    return Verdict::TryAgain;
                }
                if let (Some(Step::Configure { said: Some(said), .. }), None) = (self.steps.pop_front(), &refused) {
                    paper.line(&said);
                }
                if let Some(result) = refused {
                    let message = result.message.as_deref().unwrap_or_default();
                    self.fail_with(&format!("{}: {message}", exception(result.error)), paper);
                }
            }
            (Some(Step::Move { .. }), Response::AlterPartitionReassignments(altered)) if altered.error.is_none() => {
                self.steps.pop_front();
                self.moved(&altered.partitions, paper);
            }
            (Some(Step::List), Response::ListPartitionReassignments(listed))
                if listed.error == ErrorCode::UnsupportedVersion =>
            {
                self.not_supported("LIST_PARTITION_REASSIGNMENTS", paper);
            }
            (Some(Step::Move { .. }), Response::AlterPartitionReassignments(altered))
                if altered.error == ErrorCode::UnsupportedVersion =>
            {
                self.not_supported("ALTER_PARTITION_REASSIGNMENTS", paper);
            }
            _ => return Verdict::TryAgain,
        }
        Verdict::GoOn
    }

    fn not_supported(&mut self, api: &str, paper: &mut Paper) {
        let class = exception(ErrorCode::UnsupportedVersion);
        self.fail_with(&format!("{class}: The node does not support {api}"), paper);
    }

    pub fn give_up(&mut self, paper: &mut Paper) {
        let call = match self.steps.front() {
            Some(Step::Look) => "describeTopics",
            Some(Step::Configure { .. }) => "incrementalAlterConfigs",
            Some(Step::Move { .. }) => "alterPartitionReassignments",
            Some(Step::List) | None => "listPartitionReassignments",
        };
        let class = exception(ErrorCode::RequestTimedOut);
        self.fail_with(&format!("{class}: Timed out waiting for a node assignment. Call: {call}"), paper);
    }

    /// As `main` prints what was not foreseen, and nothing follows.
    fn fail_with(&mut self, reason: &str, paper: &mut Paper) {
        self.steps.clear();
        paper.line(&format!("Error: {reason}"));
        paper.fail(&format!("java.util.concurrent.ExecutionException: {reason}"));
    }

    /// A `TerseException`: the reason alone.
    fn fail_tersely(&mut self, reason: &str, paper: &mut Paper) {
        self.steps.clear();
        paper.fail(reason);
    }

    fn listed(&mut self, paper: &mut Paper) {
        match &self.job {
            Reassign::List if self.ongoing.is_empty() => paper.line("No partition reassignments found."),
            Reassign::List => {
                paper.line("Current partition reassignments:");
                self.ongoing.iter().for_each(|ongoing| paper.line(&describe(ongoing)));
            }
            Reassign::Execute { additional: false, .. } if !self.ongoing.is_empty() => {
                self.fail_tersely(EXISTING, paper);
            }
            _ => {}
        }
    }

    fn looked(&mut self, metadata: MetadataResponse, paper: &mut Paper) {
        match self.job.clone() {
            Reassign::List => {}
            Reassign::Generate { .. } => self.seen = Some(metadata),
            Reassign::Execute { targets, throttle, .. } => self.execute(&targets, throttle, &metadata, paper),
            Reassign::Verify { targets, preserve_throttles } => {
                self.verify(&targets, &metadata, paper);
                if self.ongoing.is_empty() && !preserve_throttles {
                    self.clear_throttles(&targets, &metadata);
                    self.announce_clearing(paper);
                }
            }
            Reassign::Cancel { targets, preserve_throttles } => {
                self.cancel(&targets, paper);
                let nothing_to_cancel = self.steps.is_empty();
                if !preserve_throttles {
                    self.clear_throttles(&targets, &metadata);
                    if nothing_to_cancel {
                        self.announce_clearing(paper);
                    }
                }
            }
        }
    }

    fn execute(&mut self, targets: &[Target], throttle: Option<u64>, seen: &MetadataResponse, paper: &mut Paper) {
        let known = |id: &BrokerId| seen.brokers.iter().any(|(known, _)| known == id);
        if let Some(unknown) = targets.iter().flat_map(|target| &target.replicas).find(|id| !known(id)) {
            self.steps.clear();
            paper.line(&format!("Error: Unknown broker id {unknown}"));
            paper.fail(&format!(
                "org.apache.kafka.server.common.AdminCommandFailedException: Unknown broker id {unknown}"
            ));
            return;
        }
        let mut sorted: Vec<&Target> = targets.iter().collect();
        sorted.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        let mut current = Vec::new();
        for target in &sorted {
            match replicas(seen, &target.topic, target.partition) {
                Ok(replicas) => current.push(Target { replicas, ..(*target).clone() }),
                Err(why) => return self.fail_with(&why, paper),
            }
        }
        paper.line(&format!("Current partition replica assignment\n\n{}\n", as_json(&current)));
        paper.line("Save this to use as the --reassignment-json-file option during rollback");
        if let Some(rate) = throttle {
            paper.line(VERIFY_PERIODICALLY);
            self.steps.extend(self.throttle(&sorted, &current, rate));
        }
        let partitions = sorted
            .iter()
            .map(|target| (target.topic.as_str().into(), target.partition, Some(target.replicas.clone())))
            .collect();
        self.steps.push_back(Step::Move { partitions });
    }

    /// Throttles all that moves, what is under way already included: the topics' replicas, and the brokers' rates.
    fn throttle(&self, targets: &[&Target], current: &[Target], rate: u64) -> Vec<Step> {
        let mut moves: BTreeMap<(&str, u32), Move> = BTreeMap::new();
        for ongoing in &self.ongoing {
            let sources = ongoing.replicas.iter().filter(|id| !ongoing.adding.contains(id)).copied().collect();
            let destinations = ongoing.adding.iter().copied().collect();
            moves.insert((&ongoing.topic, ongoing.partition), (sources, destinations));
        }
        for (target, current) in targets.iter().zip(current) {
            let key = (target.topic.as_str(), target.partition);
            let sources =
                moves.get(&key).map_or_else(|| current.replicas.iter().copied().collect(), |(from, _)| from.clone());
            let destinations = target.replicas.iter().copied().filter(|id| !sources.contains(id)).collect();
            moves.insert(key, (sources, destinations));
        }
        let mut replicas: BTreeMap<&str, [BTreeSet<String>; 2]> = BTreeMap::new();
        let mut brokers: BTreeSet<BrokerId> = BTreeSet::new();
        for ((topic, partition), (sources, destinations)) in &moves {
            let [leaders, followers] = replicas.entry(topic).or_default();
            leaders.extend(sources.iter().map(|id| format!("{partition}:{id}")));
            followers.extend(destinations.iter().map(|id| format!("{partition}:{id}")));
            brokers.extend(sources.iter().chain(destinations));
        }
        let mut topics = Vec::new();
        for (topic, lists) in replicas {
            for (key, list) in THROTTLED_REPLICAS.into_iter().zip(lists) {
                let list = list.into_iter().collect::<Vec<_>>().join(",");
                topics.push((topic.into(), key.into(), Some(list.as_str().into())));
            }
        }
        let rate_of = |id: BrokerId| {
            THROTTLED_RATES.map(|key| (id, Name::from(key), Some(Name::from(rate.to_string().as_str()))))
        };
        let brokers = brokers.into_iter().flat_map(rate_of).collect();
        vec![
            Step::Configure { request: configure(topics, Vec::new()), said: None },
            Step::Configure {
                request: configure(Vec::new(), brokers),
                said: Some(format!("The inter-broker throttle limit was set to {rate} B/s")),
            },
        ]
    }

    fn verify(&self, targets: &[Target], seen: &MetadataResponse, paper: &mut Paper) {
        paper.line("Status of partition reassignment:");
        let mut sorted: Vec<&Target> = targets.iter().collect();
        sorted.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        for target in sorted {
            let name = target.name();
            if self.ongoing.iter().any(|ongoing| is_of(ongoing, target)) {
                paper.line(&format!("Reassignment of partition {name} is still in progress."));
                continue;
            }
            let current = replicas(seen, &target.topic, target.partition).unwrap_or_default();
            if current == target.replicas {
                paper.line(&format!("Reassignment of partition {name} is completed."));
            } else {
                paper.line(&format!(
                    "There is no active reassignment of partition {name}, but replica set is {} rather than {}.",
                    comma(&current),
                    comma(&target.replicas)
                ));
            }
        }
        // What Kafka says of moves between log directories: nothing, on a line of its own.
        paper.line("");
    }

    fn cancel(&mut self, targets: &[Target], paper: &mut Paper) {
        let active = self.ongoing.iter().filter(|ongoing| targets.iter().any(|target| is_of(ongoing, target)));
        let partitions: Vec<_> = active.map(|ongoing| (ongoing.topic.clone(), ongoing.partition, None)).collect();
        if partitions.is_empty() {
            paper.line("None of the specified partition reassignments are active.");
            none_moves(paper);
        } else {
            self.steps.push_back(Step::Move { partitions });
        }
    }

    fn moved(&mut self, results: &[PartitionResult], paper: &mut Paper) {
        let cancels = matches!(self.job, Reassign::Cancel { .. });
        let failed: Vec<&PartitionResult> = results.iter().filter(|result| !result.error.is_none()).collect();
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let name = |result: &PartitionResult| format!("{}-{}", result.topic, result.partition);
        if !failed.is_empty() {
            let title = if cancels {
                format!("Error cancelling partition reassignment{} for:", plural(failed.len()))
            } else {
                "Error reassigning partition(s):".into()
            };
            let message = |result: &&PartitionResult| {
                format!("{}: {}", name(result), result.message.as_deref().unwrap_or_else(|| result.error.name()))
            };
            let reasons: Vec<String> = failed.iter().map(message).collect();
            return self.fail_tersely(&format!("{title}\n{}", reasons.join("\n")), paper);
        }
        let names: Vec<String> = results.iter().map(name).collect();
        let (count, names) = (plural(names.len()), names.join(","));
        if cancels {
            paper.line(&format!("Successfully cancelled partition reassignment{count} for: {names}"));
            none_moves(paper);
            if let Some(Step::Configure { .. }) = self.steps.front() {
                self.announce_clearing(paper);
            }
        } else {
            paper.line(&format!("Successfully started partition reassignment{count} for {names}"));
        }
    }

    /// Throttles go from all brokers there are, for nobody knows which took part.
    fn clear_throttles(&mut self, targets: &[Target], seen: &MetadataResponse) {
        let named = targets.iter().flat_map(|target| target.replicas.iter().copied());
        let brokers: BTreeSet<BrokerId> = seen.brokers.iter().map(|(id, _)| *id).chain(named).collect();
        let topics: BTreeSet<&str> = targets.iter().map(|target| target.topic.as_str()).collect();
        let of_brokers =
            brokers.iter().flat_map(|id| THROTTLED_RATES.map(|key| (*id, Name::from(key), None))).collect();
        let of_topics = topics
            .iter()
            .flat_map(|topic| THROTTLED_REPLICAS.map(|key| (Name::from(*topic), Name::from(key), None)))
            .collect();
        self.steps.push_back(Step::Configure { request: configure(Vec::new(), of_brokers), said: None });
        self.steps.push_back(Step::Configure { request: configure(of_topics, Vec::new()), said: None });
    }

    /// Proposes replicas for every partition of the topics, as new topics would get them.
    fn generate(&self, seen: &MetadataResponse, paper: &mut Paper, rng: &mut Rng) {
        let Reassign::Generate { topics, brokers, rack_aware } = &self.job else { return };
        let mut usable = Vec::new();
        for (id, rack) in seen.brokers.iter().filter(|(id, _)| brokers.contains(id)) {
            usable.push(UsableBroker { id: *id, rack: rack.clone().filter(|_| *rack_aware), fenced: false });
        }
        let rackless = usable.iter().filter(|broker| broker.rack.is_none()).count();
        let error = |class: &str, reason: &str, paper: &mut Paper| {
            paper.line(&format!("Error: {reason}"));
            paper.fail(&format!("{class}: {reason}"));
        };
        if *rack_aware && rackless != 0 && rackless != usable.len() {
            let reason = "Not all brokers have rack information. Add --disable-rack-aware in command line to make \
                          replica assignment without rack information.";
            return error("org.apache.kafka.server.common.AdminOperationException", reason, paper);
        }
        let (mut current, mut proposed) = (Vec::new(), Vec::new());
        let sorted: BTreeSet<&String> = topics.iter().collect();
        for topic in sorted {
            let Some(found) = topic_of(seen, topic) else {
                let class = exception(ErrorCode::UnknownTopicOrPartition);
                let reason = format!("{class}: Topic {topic} not found.");
                return error("java.util.concurrent.ExecutionException", &reason, paper);
            };
            let target =
                |(replicas, partition): (Vec<BrokerId>, u32)| Target { topic: topic.clone(), partition, replicas };
            let now = found.partitions.iter().map(|partition| partition.replicas.clone());
            current.extend(now.zip(0..).map(target));
            let factor = found.partitions.first().map_or(0, |partition| partition.replicas.len() as i32);
            match place(&usable, found.partitions.len() as u32, factor, &mut |bound| rng.below(bound)) {
                Ok(lists) => proposed.extend(lists.into_iter().zip(0..).map(target)),
                Err(why) => {
                    return error(&exception(ErrorCode::InvalidReplicationFactor), &why.to_string(), paper);
                }
            }
        }
        paper.line(&format!("Current partition replica assignment\n{}\n", as_json(&current)));
        paper.line(&format!("Proposed partition reassignment configuration\n{}", as_json(&proposed)));
    }

    /// Said before the clearing is done, as Kafka does.
    fn announce_clearing(&self, paper: &mut Paper) {
        for step in &self.steps {
            let Step::Configure { request, .. } = step else { continue };
            let brokers: BTreeSet<BrokerId> = request.brokers.iter().map(|(id, ..)| *id).collect();
            let topics: BTreeSet<&Name> = request.topics.iter().map(|(topic, ..)| topic).collect();
            let plural = |count: usize| if count == 1 { "" } else { "s" };
            if !brokers.is_empty() {
                let ids: Vec<BrokerId> = brokers.into_iter().collect();
                paper.line(&format!("Clearing broker-level throttles on broker{} {}", plural(ids.len()), comma(&ids)));
            }
            if !topics.is_empty() {
                let names: Vec<&Name> = topics.into_iter().collect();
                paper.line(&format!(
                    "Clearing topic-level throttles on topic{} {}",
                    plural(names.len()),
                    comma(&names)
                ));
            }
        }
    }
}

/// Kafka forgets to end this line.
fn none_moves(paper: &mut Paper) {
    paper.text.push_str("None of the specified partition moves are active.");
}

fn configure(
    topics: Vec<(Name, Name, Option<Name>)>,
    brokers: Vec<(BrokerId, Name, Option<Name>)>,
) -> IncrementalAlterConfigsRequest {
    IncrementalAlterConfigsRequest { topics, cluster: Vec::new(), brokers }
}

fn topic_of<'a>(seen: &'a MetadataResponse, topic: &str) -> Option<&'a TopicMetadata> {
    seen.topics.iter().find(|known| known.error.is_none() && *known.name == *topic)
}

/// The replicas that a partition has, or why it has none.
fn replicas(seen: &MetadataResponse, topic: &str, partition: u32) -> Result<Vec<BrokerId>, String> {
    let class = exception(ErrorCode::UnknownTopicOrPartition);
    let found = topic_of(seen, topic).ok_or_else(|| format!("{class}: Topic {topic} not found."))?;
    let state = found.partitions.get(partition as usize);
    Ok(state.ok_or_else(|| format!("{class}: Unable to find partition: {topic}-{partition}"))?.replicas.clone())
}

fn is_of(ongoing: &OngoingReassignment, target: &Target) -> bool {
    *ongoing.topic == *target.topic && ongoing.partition == target.partition
}

fn describe(ongoing: &OngoingReassignment) -> String {
    let part = |title: &str, ids: &[BrokerId]| {
        if ids.is_empty() { String::new() } else { format!(" {title}: {}.", comma(ids)) }
    };
    format!(
        "{}-{}: replicas: {}.{}{}",
        ongoing.topic,
        ongoing.partition,
        comma(&ongoing.replicas),
        part("adding", &ongoing.adding),
        part("removing", &ongoing.removing)
    )
}

/// As the tool's files are written.
fn as_json(targets: &[Target]) -> String {
    let partition = |target: &Target| {
        let dirs = vec!["\"any\""; target.replicas.len()];
        format!(
            "{{\"topic\":\"{}\",\"partition\":{},\"replicas\":[{}],\"log_dirs\":[{}]}}",
            target.topic,
            target.partition,
            comma(&target.replicas),
            dirs.join(",")
        )
    };
    let partitions: Vec<String> = targets.iter().map(partition).collect();
    format!("{{\"version\":1,\"partitions\":[{}]}}", partitions.join(","))
}
