//! The classic group protocol, a member's side: JoinGroup and SyncGroup (`AbstractCoordinator`, `ConsumerCoordinator`).
//!
//! | state | what it does | heartbeats |
//! | --- | --- | --- |
//! | Unjoined | commits, gives up what it must, and sends JoinGroup at the next poll() | no |
//! | PreparingRebalance | waits in JoinGroup, whose answer poll() alone takes | no |
//! | CompletingRebalance | waits in SyncGroup; the leader has worked out the assignment before | yes |
//! | Stable | reads its partitions | yes |
//!
//! A member that joins says what it has and of which generation. What it gives up for that depends on its assignors:
//!
//! - **Eager** (range, round robin, sticky): everything before JoinGroup; it reads nothing until SyncGroup is answered.
//! - **Cooperative** (KIP-429; cooperative sticky): nothing but topics that it no longer wants. It reads on during the
//!   rebalance, and once SyncGroup is answered it gives up what it was not given again. Whoever gave up something joins
//!   again at once, and that second rebalance hands it to somebody else.
//!
//! A member is cooperative if all its assignors are: a member with range and cooperative sticky, as is the default, is
//! eager whichever of them the group uses. So a group moves from one to the other in two rolling restarts: first
//! everybody gets cooperative sticky beside the old one, then the old one goes.
//!
//! What is committed before partitions go: automatic commits before JoinGroup, as in Kafka, so what a cooperative member
//! reads while it waits is not in there; an application that commits by itself does so where Kafka would call its
//! `onPartitionsRevoked`.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::commits::{CommitFor, CommitMode};
use super::heartbeat::Heartbeat;
use super::membership::{MemberState, Sent};
use super::{Closing, Consumer, Purpose, Reads};
use crate::kafka::assignor::{Assignor, Member, Topic, Topics};
use crate::kafka::config::ConsumerConfig;
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::Fact;
use crate::kafka::ids::{Generation, Name, Node, TopicPartition};
use crate::kafka::message::{
    Assignment, JoinGroupRequest, JoinGroupResponse, Request, Subscription, SyncGroupRequest, SyncGroupResponse,
    UserData,
};
use crate::kafka::mistakes::Mistake;
use crate::time::{Duration, Instant};

/// JoinGroup may take as long as the rebalance, and a bit (`JOIN_GROUP_TIMEOUT_LAPSE`).
const JOIN_GROUP_TIMEOUT_LAPSE: Duration = Duration::secs(5);

/// What a member of the classic protocol knows of its rebalances.
#[derive(Clone, Debug)]
pub(super) struct Joining {
    /// `partition.assignment.strategy` of when the process started.
    assignors: Vec<Assignor>,
    /// The assignor of this generation.
    protocol: Option<Name>,
    rejoin_needed: bool,
    /// JoinGroup or SyncGroup is out, or is about to follow from what came.
    under_way: bool,
    not_before: Instant,
    /// What comes before JoinGroup (`onJoinPrepare`) is done.
    prepared: bool,
    last_commit: LastCommit,
    /// What came of JoinGroup while the application worked. poll() takes it.
    outcome: Option<JoinOutcome>,
    /// The topics that JoinGroup named (`joinedSubscription`).
    joined_for: Option<BTreeSet<Name>>,
    is_leader: bool,
    /// An answer to JoinGroup, while the leader has still to learn of the members' topics.
    leading: Option<JoinGroupResponse>,
    /// What the leader's assignment was made for (`assignmentSnapshot`).
    assigned_for: Option<Vec<(Name, Snapshot)>>,
    /// An answer to SyncGroup. poll() takes it, once its topics are known.
    arriving: Option<Assignment>,
    /// The last assignment that was taken, and its generation. Sticky assignors remember it, even once it is lost.
    remembered: Option<(Vec<(Name, u32)>, Generation)>,
}

/// How a leader knew a topic: by partition the racks of its replicas, which are empty unless it has a `client.rack` itself
/// (KIP-881, `MetadataSnapshot`, `PartitionRackInfo`). A broker that is down has none.
type Snapshot = Vec<BTreeSet<Option<Name>>>;

/// What came of a JoinGroup.
#[derive(Clone, Debug)]
pub(super) enum JoinOutcome {
    Answered(Sent, Box<JoinGroupResponse>),
    /// It will not be answered.
    Lost,
}

/// The commit before partitions are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastCommit {
    Due,
    /// It is out. At `until` it is waited for no longer.
    Sent {
        until: Instant,
    },
    /// It goes out again after a pause.
    Retrying {
        until: Instant,
    },
    Over,
}

impl Joining {
    pub(super) fn new(config: &ConsumerConfig) -> Self {
        Self {
            assignors: config.assignment_strategy.iter().map(Assignor::from).collect(),
            protocol: None,
            rejoin_needed: true,
            under_way: false,
            not_before: Instant::ZERO,
            prepared: false,
            last_commit: LastCommit::Due,
            outcome: None,
            joined_for: None,
            is_leader: false,
            leading: None,
            assigned_for: None,
            arriving: None,
            remembered: None,
        }
    }

    /// The highest rebalance protocol that all assignors have: cooperative, else eager.
    fn is_cooperative(&self) -> bool {
        self.assignors.iter().all(|assignor| assignor.is_cooperative())
    }

    /// What an assignor of this member remembers of the assignments before (`subscriptionUserData`).
    fn user_data(&self, assignor: Assignor) -> Option<UserData> {
        let generation = self.remembered.as_ref().map(|(_, generation)| *generation);
        match assignor {
            Assignor::Sticky => {
                let (partitions, generation) = self.remembered.clone()?;
                Some(UserData::Sticky { partitions, generation: Some(generation) })
            }
            Assignor::CooperativeSticky => Some(UserData::Cooperative { generation }),
            _ => None,
        }
    }

    pub(super) fn leads(&self) -> bool {
        self.is_leader
    }

    pub(super) fn request_rejoin(&mut self) {
        self.rejoin_needed = true;
    }

    /// No member of the generation any more: what comes before JoinGroup must be done again.
    pub(super) fn reset(&mut self) {
        self.protocol = None;
        self.rejoin_needed = true;
        self.prepared = false;
        self.last_commit = LastCommit::Due;
        self.arriving = None;
    }

    /// It was given partitions of a topic that it did not know of, and wants.
    pub(super) fn joined_also_for(&mut self, topic: &Name) {
        if let Some(joined_for) = &mut self.joined_for {
            joined_for.insert(topic.clone());
        }
    }

    /// The commit before partitions are given up is answered.
    pub(super) fn last_commit_over(&mut self, retry: bool) {
        if let LastCommit::Sent { until } = self.last_commit {
            self.last_commit = if retry { LastCommit::Retrying { until } } else { LastCommit::Over };
        }
    }
}

impl Consumer {
    /// The classic protocol's part of poll(): takes what JoinGroup and SyncGroup brought, and joins if a rebalance calls.
    /// Returns whether the consumer has its place.
    pub(super) fn keep_joined(&mut self, now: Instant, out: &mut Effects) -> bool {
        if let Some(outcome) = self.membership.joining.outcome.take() {
            self.join_over(now, outcome, out);
        }
        if self.membership.coordinator().is_none() {
            self.find_coordinator(now, out);
            return false;
        }
        if !self.take_assignment(now, out) {
            return false;
        }
        if self.is_assignment_outdated() || self.is_subscription_outdated() {
            self.membership.request_rejoin();
        }
        if !self.view.has_answer_for_all() && matches!(self.reads, Reads::Pattern(_)) {
            // It does not know yet what it wants.
            return false;
        }
        let joining = &self.membership.joining;
        if joining.under_way || !joining.rejoin_needed {
            return !joining.under_way;
        }
        if now < joining.not_before {
            let at = joining.not_before;
            self.wake_at(now, at, out);
        } else if self.prepare_to_join(now, out) {
            self.send_join(now, out);
        }
        false
    }

    /// What must come before JoinGroup: commits what is done and gives up what must go. Returns whether that is over
    /// (`onJoinPrepare`).
    fn prepare_to_join(&mut self, now: Instant, out: &mut Effects) -> bool {
        if self.membership.joining.prepared {
            return true;
        }
        let eager = !self.membership.joining.is_cooperative();
        let going = if eager { self.fetcher.assigned() } else { self.unwanted_partitions() };
        let by_application =
            !going.is_empty() && self.is_of_a_generation() && self.application.task().commit != CommitMode::None;
        if self.config.enable_auto_commit || by_application {
            // What comes from here on belongs to whoever gets the partitions next.
            self.fetcher.stop_for_revocation(&going);
            if !self.commit_first(now, out) {
                return false;
            }
        }
        self.membership.joining.prepared = true;
        self.membership.joining.last_commit = LastCommit::Due;
        self.membership.joining.is_leader = false;
        if !self.is_of_a_generation() && self.config.makes(Mistake::OutAndReading) {
            // What it has it keeps.
        } else if eager || !self.is_of_a_generation() {
            self.give_up_partitions(out);
        } else {
            self.revoke(going, out);
        }
        true
    }

    /// Commits what is done before partitions go. Returns whether that is over.
    fn commit_first(&mut self, now: Instant, out: &mut Effects) -> bool {
        match self.membership.joining.last_commit {
            LastCommit::Due => {
                let until = now + self.config.max_poll_interval;
                !self.send_last_commit(now, until, out)
            }
            LastCommit::Sent { until } if now < until => {
                self.wake_at(now, until, out);
                false
            }
            LastCommit::Retrying { until } if now < until => {
                if self.commits.may_retry(now) {
                    return !self.send_last_commit(now, until, out);
                }
                let at = self.commits.retry_at();
                self.wake_at(now, at, out);
                false
            }
            LastCommit::Sent { .. } | LastCommit::Retrying { .. } | LastCommit::Over => true,
        }
    }

    fn send_last_commit(&mut self, now: Instant, until: Instant, out: &mut Effects) -> bool {
        let sent = self.send_commit(now, CommitFor::Revocation, out);
        if sent {
            self.membership.joining.last_commit = LastCommit::Sent { until };
            self.wake_at(now, until, out);
        }
        sent
    }

    fn send_join(&mut self, now: Instant, out: &mut Effects) {
        let (Some(group), Some(coordinator)) = (self.group.clone(), self.membership.coordinator()) else { return };
        self.membership.state = MemberState::PreparingRebalance;
        self.membership.joining.under_way = true;
        out.note(Fact::JoiningGroup { group: group.clone() });
        let subscription = Subscription {
            topics: self.topics.clone(),
            owned_partitions: self.owned_by_name(),
            generation: self.membership.generation,
            rack: self.config.client_rack.as_deref().map(Name::from),
            user_data: None,
        };
        self.membership.joining.joined_for = Some(self.topics.iter().cloned().collect());
        let joining = &self.membership.joining;
        let protocol = |assignor: &Assignor| {
            let user_data = joining.user_data(*assignor);
            (assignor.protocol_name().into(), Rc::new(Subscription { user_data, ..subscription.clone() }))
        };
        let request = JoinGroupRequest {
            group,
            version: JoinGroupRequest::VERSION,
            protocol_type: Subscription::PROTOCOL_TYPE.into(),
            session_timeout: self.config.session_timeout,
            rebalance_timeout: self.config.max_poll_interval,
            member_id: self.membership.member_id.clone(),
            group_instance_id: self.instance_id(),
            client_id: self.client_id.clone(),
            protocols: joining.assignors.iter().map(protocol).collect(),
        };
        let timeout = self.config.request_timeout.max(self.config.max_poll_interval + JOIN_GROUP_TIMEOUT_LAPSE);
        let (to, purpose) = (Node::Broker(coordinator), Purpose::JoinGroup(self.membership.sent()));
        self.in_flight.send(now, to, Request::JoinGroup(request), timeout, purpose, out);
    }

    /// JoinGroup is answered, or will not be. The background thread rests until JoinGroup's answer is taken
    /// (`HeartbeatThread`), so while the application works nobody takes it. commitSync() does, as poll().
    pub(super) fn join_over(&mut self, now: Instant, outcome: JoinOutcome, out: &mut Effects) {
        match outcome {
            outcome if self.application.is_busy() => self.membership.joining.outcome = Some(outcome),
            JoinOutcome::Answered(sent, response) => self.on_join(now, &sent, *response, out),
            JoinOutcome::Lost => self.join_failed(now, ErrorCode::NetworkException, out),
        }
    }

    /// `JoinGroupResponseHandler`.
    fn on_join(&mut self, now: Instant, sent: &Sent, response: JoinGroupResponse, out: &mut Effects) {
        if response.error.is_none() {
            if self.membership.state != MemberState::PreparingRebalance || self.closing != Closing::Open {
                // It has left meanwhile.
                self.membership.joining.under_way = false;
                return;
            }
            let membership = &mut self.membership;
            membership.state = MemberState::CompletingRebalance;
            membership.generation = Some(response.generation);
            membership.member_id = response.member_id.clone();
            membership.joining.protocol.clone_from(&response.protocol);
            membership.heartbeat = Heartbeat::heard(now);
            out.set_timer(now + self.config.heartbeat_interval, Timer::GroupHeartbeat);
            if self.commits.blocks() {
                self.arm_poll_deadline(now, out);
            }
            if response.leader == response.member_id {
                let topics = response.members.iter().flat_map(|(_, _, subscription)| subscription.topics.iter());
                self.view.want(topics.cloned().collect::<BTreeSet<Name>>());
                self.membership.joining.leading = Some(response);
                self.lead(now, out);
            } else {
                self.send_sync(now, Vec::new(), out);
            }
            return;
        }
        match response.error {
            // Not an error but the way in: the next JoinGroup names the id.
            ErrorCode::MemberIdRequired => {
                self.membership.member_id = response.member_id;
                self.membership.generation = None;
                self.membership.joining.under_way = false;
            }
            ErrorCode::UnknownMemberId => {
                if *sent == self.membership.sent() {
                    self.membership.reset(ErrorCode::UnknownMemberId);
                }
                self.membership.joining.under_way = false;
            }
            error => self.join_failed(now, error, out),
        }
    }

    /// The leader's work: shares the partitions of everybody's topics among everybody (`onLeaderElected`).
    fn lead(&mut self, now: Instant, out: &mut Effects) {
        // A topic that only other members want may not be known here yet.
        if !self.view.has_answer_for_all() {
            return;
        }
        let Some(response) = self.membership.joining.leading.take() else { return };
        let members: Vec<Member> = response.members.iter().map(Member::from).collect();
        let wanted: BTreeSet<&Name> = members.iter().flat_map(|member| &member.subscription.topics).collect();
        let known = |name: &&Name| {
            let topic = self.view.topic(name)?;
            let partitions = topic.partitions.len() as u32;
            Some(((*name).clone(), Topic { partitions, replica_racks: topic.known_racks() }))
        };
        let topics: Topics = wanted.iter().filter_map(known).collect();
        self.membership.joining.is_leader = true;
        self.membership.joining.assigned_for =
            Some(wanted.into_iter().map(|name| (name.clone(), self.snapshot(name))).collect());
        let assignor = response.protocol.as_deref().and_then(Assignor::by_name).unwrap_or(Assignor::Range);
        let assignments = match response.skip_assignment {
            // A static leader that has returned goes on with what there is (KIP-814).
            true => Vec::new(),
            false => {
                let gives_away =
                    assignor == Assignor::CooperativeSticky && self.config.makes(Mistake::CooperationLeftOut);
                let assignor = if gives_away { Assignor::Sticky } else { assignor };
                let assigned = assignor.assign(&topics, &members);
                assigned.into_iter().map(|(member, partitions)| (member, partitions.into())).collect()
            }
        };
        self.send_sync(now, assignments, out);
    }

    fn snapshot(&self, topic: &str) -> Snapshot {
        let rack_counts = self.config.client_rack.is_some();
        let racks_of = |racks: &Vec<Option<Name>>| racks.iter().filter(|_| rack_counts).cloned().collect();
        self.view.topic(topic).map_or_else(Vec::new, |topic| topic.replica_racks.iter().map(racks_of).collect())
    }

    /// Whether the leader has seen a topic change since it shared the partitions (`rejoinNeededOrPending`).
    fn is_assignment_outdated(&self) -> bool {
        let joining = &self.membership.joining;
        let Some(before) = joining.assigned_for.as_ref().filter(|_| joining.is_leader) else { return false };
        let stable = self.membership.state == MemberState::Stable;
        stable && before.iter().any(|(name, known)| self.snapshot(name) != *known)
    }

    /// Whether the topics are others than those that it joined for.
    fn is_subscription_outdated(&self) -> bool {
        let joined_for = self.membership.joining.joined_for.as_ref();
        joined_for.is_some_and(|joined| {
            joined.len() != self.topics.len() || !self.topics.iter().all(|name| joined.contains(name))
        })
    }

    fn send_sync(&mut self, now: Instant, assignments: Vec<(Name, Assignment)>, out: &mut Effects) {
        let sent = self.membership.sent();
        let (Some(group), Some(coordinator), Some(generation)) =
            (self.group.clone(), self.membership.coordinator(), sent.generation)
        else {
            return self.join_failed(now, ErrorCode::CoordinatorNotAvailable, out);
        };
        let request = SyncGroupRequest {
            group,
            generation,
            member_id: sent.member_id.clone(),
            group_instance_id: self.instance_id(),
            protocol: self.membership.joining.protocol.clone(),
            assignments,
        };
        self.send(now, Node::Broker(coordinator), Request::SyncGroup(request), Purpose::SyncGroup(sent), out);
    }

    /// `SyncGroupResponseHandler`.
    pub(super) fn on_sync(&mut self, now: Instant, sent: &Sent, response: SyncGroupResponse, out: &mut Effects) {
        if response.error.is_none() {
            self.membership.joining.under_way = false;
            let expected = self.membership.state == MemberState::CompletingRebalance;
            if !expected || *sent != self.membership.sent() || self.closing != Closing::Open {
                self.membership.request_rejoin();
                return;
            }
            self.membership.state = MemberState::Stable;
            let joining = &mut self.membership.joining;
            joining.rejoin_needed = false;
            joining.prepared = false;
            let names: BTreeSet<Name> = response.assignment.iter().map(|(name, _)| name.clone()).collect();
            joining.arriving = Some(response.assignment);
            self.view.want(names);
            return;
        }
        match response.error {
            ErrorCode::RebalanceInProgress => self.membership.joining.under_way = false,
            error @ (ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                self.membership.joining.under_way = false;
                if *sent == self.membership.sent() {
                    self.membership.reset(error);
                }
            }
            error => self.join_failed(now, error, out),
        }
    }

    /// The assignment's partitions are the consumer's, as soon as their topics are known. Returns false while partitions
    /// that were taken away wait for their last commit (`onJoinComplete`).
    fn take_assignment(&mut self, now: Instant, out: &mut Effects) -> bool {
        let Some(assignment) = self.membership.joining.arriving.clone() else { return true };
        let unknown = |name: &Name| self.view.topic(name).is_none();
        if assignment.iter().any(|(name, _)| unknown(name)) && !self.view.has_answer_for_all() {
            return true;
        }
        if assignment.iter().any(|(name, _)| !self.is_subscribed_to(name)) {
            // The subscription has changed since it joined.
            self.membership.joining.arriving = None;
            self.membership.request_rejoin();
            return true;
        }
        for (name, _) in assignment.iter() {
            self.trust_leader(name);
        }
        let partition =
            |(name, partition): &(Name, u32)| Some(TopicPartition::new(self.view.topic(name)?.id, *partition));
        let mut partitions: Vec<TopicPartition> = assignment.iter().filter_map(partition).collect();
        partitions.sort_unstable();
        let mut taken_away = self.fetcher.assigned();
        taken_away.retain(|partition| partitions.binary_search(partition).is_err());
        if !taken_away.is_empty() {
            if self.application.task().commit != CommitMode::None {
                self.fetcher.stop_for_revocation(&taken_away);
                if !self.commit_first(now, out) {
                    return false;
                }
            }
            self.revoke(taken_away, out);
            self.membership.request_rejoin();
        }
        let generation = self.membership.generation;
        let joining = &mut self.membership.joining;
        joining.arriving = None;
        joining.last_commit = LastCommit::Due;
        joining.remembered = generation.map(|generation| (assignment.to_vec(), generation));
        self.assign(now, partitions, out);
        true
    }

    /// Fresh metadata came: a leader that waited for it goes on.
    pub(super) fn lead_or_follow(&mut self, now: Instant, out: &mut Effects) {
        if self.membership.state == MemberState::CompletingRebalance {
            self.lead(now, out);
        } else {
            self.membership.joining.leading = None;
        }
    }

    /// JoinGroup or SyncGroup has failed. What can be tried again is, after a pause; anything else ends the consumer.
    pub(super) fn join_failed(&mut self, now: Instant, error: ErrorCode, out: &mut Effects) {
        self.membership.joining.under_way = false;
        self.membership.request_rejoin();
        match error {
            ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => self.membership.forget_coordinator(),
            ErrorCode::RebalanceInProgress | ErrorCode::CoordinatorLoadInProgress | ErrorCode::NetworkException => {}
            fatal => self.fatal = Some(fatal),
        }
        let at = now + self.config.retry_backoff;
        self.membership.joining.not_before = at;
        self.wake_at(now, at, out);
    }
}
