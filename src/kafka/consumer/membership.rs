//! A consumer's place in its group (`AbstractCoordinator`, `ConsumerCoordinator`).
//!
//! | state | what it does | heartbeats |
//! | --- | --- | --- |
//! | Unjoined | commits and gives up what it had, and sends JoinGroup at the next poll() | no |
//! | PreparingRebalance | waits in JoinGroup | no |
//! | CompletingRebalance | waits in SyncGroup; the leader has worked out the assignment before | yes |
//! | Stable | reads its partitions | yes |
//!
//! Range is an eager assignor: everything is given up before JoinGroup, and nothing is read until SyncGroup is answered.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::fetcher::State;
use super::heartbeat::Heartbeat;
use super::offsets::CommitFor;
use super::{Closing, Consumer, Purpose};
use crate::kafka::assignor::{Assignor, Member, Topic, Topics};
use crate::kafka::config::AssignmentStrategy;
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::Fact;
use crate::kafka::ids::{BrokerId, Generation, Name, Node, TopicPartition};
use crate::kafka::message::{
    Assignment, FindCoordinatorRequest, FindCoordinatorResponse, JoinGroupRequest, JoinGroupResponse, Request,
    Subscription, SyncGroupRequest, SyncGroupResponse,
};
use crate::time::{Duration, Instant};

/// JoinGroup may take as long as the rebalance, and a bit (`JOIN_GROUP_TIMEOUT_LAPSE`).
const JOIN_GROUP_TIMEOUT_LAPSE: Duration = Duration::secs(5);

/// How far a consumer is in its group (`AbstractCoordinator.MemberState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    Unjoined,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
}

/// What a consumer knows of its membership.
#[derive(Clone, Debug)]
pub(super) struct Membership {
    coordinator: Option<BrokerId>,
    search: Search,
    state: MemberState,
    member_id: Name,
    generation: Option<Generation>,
    protocol: Option<Name>,
    rejoin_needed: bool,
    /// JoinGroup or SyncGroup is out, or is about to follow from what came.
    joining: bool,
    join_not_before: Instant,
    preparation: Preparation,
    is_leader: bool,
    /// An answer to JoinGroup, while the leader has still to learn of the members' topics.
    leading: Option<JoinGroupResponse>,
    /// The partitions that the leader's assignment was made for.
    assigned_for: Option<Vec<(Name, u32)>>,
    /// An answer to SyncGroup that names topics not known yet.
    arriving: Option<Assignment>,
    /// Why it is no member any more.
    lost: ErrorCode,
    pub(super) heartbeat: Heartbeat,
}

/// The search for the coordinator.
#[derive(Clone, Copy, Debug)]
struct Search {
    asking: bool,
    not_before: Instant,
    failures: u32,
    /// Which of the brokers is asked next.
    turn: u32,
}

/// What comes before JoinGroup (`onJoinPrepare`): the last commit, and giving up the partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preparation {
    Due,
    /// The commit is out. At `until` it is waited for no longer.
    Committing {
        until: Instant,
    },
    /// The commit goes out again after a pause.
    Retrying {
        until: Instant,
    },
    Committed,
    Done,
}

/// Who the consumer was when it sent a request. An answer that meets another is out of date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) generation: Option<Generation>,
    pub(super) member_id: Name,
}

impl Membership {
    pub(super) fn new() -> Self {
        Self {
            coordinator: None,
            search: Search { asking: false, not_before: Instant::ZERO, failures: 0, turn: 0 },
            state: MemberState::Unjoined,
            member_id: "".into(),
            generation: None,
            protocol: None,
            rejoin_needed: true,
            joining: false,
            join_not_before: Instant::ZERO,
            preparation: Preparation::Due,
            is_leader: false,
            leading: None,
            assigned_for: None,
            arriving: None,
            lost: ErrorCode::UnknownMemberId,
            heartbeat: Heartbeat::heard(Instant::ZERO),
        }
    }

    pub(super) fn coordinator(&self) -> Option<BrokerId> {
        self.coordinator
    }

    pub(super) fn state(&self) -> MemberState {
        self.state
    }

    pub(super) fn member_id(&self) -> &Name {
        &self.member_id
    }

    pub(super) fn generation(&self) -> Option<Generation> {
        self.generation
    }

    pub(super) fn leads(&self) -> bool {
        self.is_leader
    }

    pub(super) fn sent(&self) -> Sent {
        Sent { generation: self.generation, member_id: self.member_id.clone() }
    }

    /// The error that a commit without membership fails with.
    pub(super) fn why_no_member(&self) -> ErrorCode {
        match self.state {
            MemberState::Unjoined => self.lost,
            _ => ErrorCode::RebalanceInProgress,
        }
    }

    /// `markCoordinatorUnknown`: it is looked for at the next opportunity.
    pub(super) fn forget_coordinator(&mut self) {
        self.coordinator = None;
    }

    /// Joins again at the next poll().
    pub(super) fn request_rejoin(&mut self) {
        self.rejoin_needed = true;
    }

    /// It is no member of the generation any more; after ILLEGAL_GENERATION its id may still hold
    /// (`resetStateAndRejoin`).
    pub(super) fn reset(&mut self, error: ErrorCode) {
        self.state = MemberState::Unjoined;
        self.generation = None;
        self.protocol = None;
        if error != ErrorCode::IllegalGeneration {
            self.member_id = "".into();
        }
        self.lost = error;
        self.rejoin_needed = true;
        self.preparation = Preparation::Due;
    }

    /// The commit before a rebalance is over.
    pub(super) fn revocation_committed(&mut self, retry: bool) {
        if let Preparation::Committing { until } = self.preparation {
            self.preparation = if retry { Preparation::Retrying { until } } else { Preparation::Committed };
        }
    }
}

impl Consumer {
    pub(super) fn instance_id(&self) -> Option<Name> {
        self.config.group_instance_id.as_deref().map(Name::from)
    }

    /// The group's part of poll(): looks for the coordinator, and joins if a rebalance calls. Returns whether the
    /// consumer has its place (`ConsumerCoordinator.poll`).
    pub(super) fn keep_membership(&mut self, now: Instant, out: &mut Effects) -> bool {
        if self.is_assignment_outdated() {
            self.membership.request_rejoin();
        }
        if self.membership.coordinator.is_none() {
            self.find_coordinator(now, out);
            return false;
        }
        if !self.membership.rejoin_needed && !self.membership.joining {
            return true;
        }
        if self.membership.joining {
            return false;
        }
        if now < self.membership.join_not_before {
            let at = self.membership.join_not_before;
            self.wake_at(now, at, out);
        } else if self.prepare_to_join(now, out) {
            self.send_join(now, out);
        }
        false
    }

    /// Asks some broker who coordinates the group, unless somebody is asked already.
    pub(super) fn find_coordinator(&mut self, now: Instant, out: &mut Effects) {
        let Some(key) = self.group.clone() else { return };
        let search = self.membership.search;
        if search.asking {
            return;
        }
        if now < search.not_before {
            return self.wake_at(now, search.not_before, out);
        }
        let brokers = self.view.brokers();
        let at = search.turn as usize % brokers.len().max(1);
        let Some(broker) = brokers.get(at).copied() else { return };
        self.membership.search.asking = true;
        let request = Request::FindCoordinator(FindCoordinatorRequest { key });
        self.send(now, Node::Broker(broker), request, Purpose::FindCoordinator, out);
    }

    pub(super) fn on_coordinator(&mut self, now: Instant, response: &FindCoordinatorResponse, out: &mut Effects) {
        let (Some(broker), true) = (response.coordinator, response.error.is_none()) else {
            return self.coordinator_search_failed(now, out);
        };
        self.membership.search = Search { asking: false, failures: 0, ..self.membership.search };
        self.membership.coordinator = Some(broker);
        self.membership.heartbeat.heard = now;
        if let Some(group) = self.group.clone() {
            out.note(Fact::CoordinatorFound { group, broker });
        }
    }

    pub(super) fn coordinator_search_failed(&mut self, now: Instant, out: &mut Effects) {
        let pause = self.backoff().pause(self.membership.search.failures, &mut self.rng);
        let search = &mut self.membership.search;
        search.asking = false;
        search.failures += 1;
        search.turn = search.turn.wrapping_add(1);
        search.not_before = now + pause;
        self.wake_at(now, now + pause, out);
    }

    /// What must come before JoinGroup: commits what is done and gives everything up. Returns whether that is over
    /// (`onJoinPrepare`).
    fn prepare_to_join(&mut self, now: Instant, out: &mut Effects) -> bool {
        match self.membership.preparation {
            Preparation::Done => return true,
            Preparation::Due => {
                let until = now + self.config.max_poll_interval;
                if self.config.enable_auto_commit {
                    // What comes from here on belongs to whoever gets the partitions next.
                    self.fetcher.stop_for_revocation();
                    if self.commit_before_joining(now, until, out) {
                        return false;
                    }
                }
            }
            Preparation::Committing { until } if now < until => {
                self.wake_at(now, until, out);
                return false;
            }
            Preparation::Retrying { until } if now < until => {
                if !self.commits.may_retry(now) {
                    let at = self.commits.retry_at();
                    self.wake_at(now, at, out);
                    return false;
                }
                if self.commit_before_joining(now, until, out) {
                    return false;
                }
            }
            Preparation::Committing { .. } | Preparation::Retrying { .. } | Preparation::Committed => {}
        }
        self.give_up_partitions(out);
        self.membership.preparation = Preparation::Done;
        true
    }

    fn commit_before_joining(&mut self, now: Instant, until: Instant, out: &mut Effects) -> bool {
        let sent = self.send_commit(now, CommitFor::Revocation, out);
        if sent {
            self.membership.preparation = Preparation::Committing { until };
            self.wake_at(now, until, out);
        }
        sent
    }

    /// Everything goes: revoked if the consumer is still a member, else lost.
    pub(super) fn give_up_partitions(&mut self, out: &mut Effects) {
        let partitions = self.fetcher.assigned();
        self.fetcher.clear();
        self.membership.is_leader = false;
        let Some(group) = self.group.clone().filter(|_| !partitions.is_empty()) else { return };
        if self.membership.generation.is_none() || self.membership.member_id.is_empty() {
            out.note(Fact::PartitionsLost { group, partitions, error: self.membership.lost });
        } else {
            out.note(Fact::PartitionsRevoked { group, partitions });
        }
    }

    fn send_join(&mut self, now: Instant, out: &mut Effects) {
        let (Some(group), Some(coordinator)) = (self.group.clone(), self.membership.coordinator) else { return };
        self.membership.state = MemberState::PreparingRebalance;
        self.membership.joining = true;
        out.note(Fact::JoiningGroup { group: group.clone() });
        let subscription = Rc::new(Subscription {
            topics: self.topics.clone(),
            owned_partitions: Vec::new(),
            generation: self.membership.generation,
            rack: self.config.client_rack.as_deref().map(Name::from),
        });
        let assignor = match self.config.assignment_strategy {
            AssignmentStrategy::Range => Assignor::Range,
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
            protocols: vec![(assignor.name().into(), subscription)],
        };
        let timeout = self.config.request_timeout.max(self.config.max_poll_interval + JOIN_GROUP_TIMEOUT_LAPSE);
        let (to, purpose) = (Node::Broker(coordinator), Purpose::JoinGroup(self.membership.sent()));
        self.in_flight.send(now, to, Request::JoinGroup(request), timeout, purpose, out);
    }

    /// `JoinGroupResponseHandler`.
    pub(super) fn on_join(&mut self, now: Instant, sent: &Sent, response: JoinGroupResponse, out: &mut Effects) {
        if response.error.is_none() {
            if self.membership.state != MemberState::PreparingRebalance || self.closing != Closing::Open {
                // It has left meanwhile.
                self.membership.joining = false;
                return;
            }
            let membership = &mut self.membership;
            membership.state = MemberState::CompletingRebalance;
            membership.generation = Some(response.generation);
            membership.member_id = response.member_id.clone();
            membership.protocol.clone_from(&response.protocol);
            membership.heartbeat = Heartbeat::heard(now);
            out.set_timer(now + self.config.heartbeat_interval, Timer::GroupHeartbeat);
            if response.leader == response.member_id {
                let topics = response.members.iter().flat_map(|(_, _, subscription)| subscription.topics.iter());
                self.view.want(topics.cloned().collect::<BTreeSet<Name>>());
                self.membership.leading = Some(response);
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
                self.membership.joining = false;
            }
            ErrorCode::UnknownMemberId => {
                if *sent == self.membership.sent() {
                    self.membership.reset(ErrorCode::UnknownMemberId);
                }
                self.membership.joining = false;
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
        let Some(response) = self.membership.leading.take() else { return };
        let members: Vec<Member> = response.members.iter().map(Member::from).collect();
        let wanted: BTreeSet<&Name> = members.iter().flat_map(|member| &member.subscription.topics).collect();
        let known = |name: &&Name| {
            let topic = self.view.topic(name)?;
            let partitions = topic.partitions.len() as u32;
            Some(((*name).clone(), Topic { partitions, replica_racks: topic.replica_racks.clone() }))
        };
        let topics: Topics = wanted.iter().filter_map(known).collect();
        self.membership.is_leader = true;
        self.membership.assigned_for =
            Some(wanted.into_iter().map(|name| (name.clone(), self.partition_count(name))).collect());
        let assignor = response.protocol.as_deref().and_then(Assignor::by_name).unwrap_or(Assignor::Range);
        let assignments = match response.skip_assignment {
            // A static leader that has returned goes on with what there is (KIP-814).
            true => Vec::new(),
            false => {
                let assigned = assignor.assign(&topics, &members);
                assigned.into_iter().map(|(member, partitions)| (member, partitions.into())).collect()
            }
        };
        self.send_sync(now, assignments, out);
    }

    fn partition_count(&self, topic: &str) -> u32 {
        self.view.topic(topic).map_or(0, |topic| topic.partitions.len() as u32)
    }

    /// Whether the leader has seen a topic change since it shared the partitions (`rejoinNeededOrPending`).
    fn is_assignment_outdated(&self) -> bool {
        let Some(before) = self.membership.assigned_for.as_ref().filter(|_| self.membership.is_leader) else {
            return false;
        };
        let stable = self.membership.state == MemberState::Stable;
        stable && before.iter().any(|(name, count)| self.partition_count(name) != *count)
    }

    fn send_sync(&mut self, now: Instant, assignments: Vec<(Name, Assignment)>, out: &mut Effects) {
        let sent = self.membership.sent();
        let (Some(group), Some(coordinator), Some(generation)) =
            (self.group.clone(), self.membership.coordinator, sent.generation)
        else {
            return self.join_failed(now, ErrorCode::CoordinatorNotAvailable, out);
        };
        let request = SyncGroupRequest {
            group,
            generation,
            member_id: sent.member_id.clone(),
            group_instance_id: self.instance_id(),
            protocol: self.membership.protocol.clone(),
            assignments,
        };
        self.send(now, Node::Broker(coordinator), Request::SyncGroup(request), Purpose::SyncGroup(sent), out);
    }

    /// `SyncGroupResponseHandler`.
    pub(super) fn on_sync(&mut self, now: Instant, sent: &Sent, response: SyncGroupResponse, out: &mut Effects) {
        if response.error.is_none() {
            self.membership.joining = false;
            let expected = self.membership.state == MemberState::CompletingRebalance;
            if !expected || *sent != self.membership.sent() || self.closing != Closing::Open {
                self.membership.rejoin_needed = true;
                return;
            }
            self.membership.state = MemberState::Stable;
            self.membership.rejoin_needed = false;
            self.membership.preparation = Preparation::Due;
            let names: BTreeSet<Name> = response.assignment.iter().map(|(name, _)| name.clone()).collect();
            self.view.want(names);
            self.membership.arriving = Some(response.assignment);
            return self.take_assignment(now, out);
        }
        match response.error {
            ErrorCode::RebalanceInProgress => self.membership.joining = false,
            error @ (ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                self.membership.joining = false;
                if *sent == self.membership.sent() {
                    self.membership.reset(error);
                }
            }
            error => self.join_failed(now, error, out),
        }
    }

    /// The assignment's partitions are the consumer's, as soon as their topics are known (`onJoinComplete`).
    fn take_assignment(&mut self, now: Instant, out: &mut Effects) {
        let Some(assignment) = self.membership.arriving.take() else { return };
        let unknown = |name: &Name| self.view.topic(name).is_none();
        if assignment.iter().any(|(name, _)| unknown(name)) && !self.view.has_answer_for_all() {
            self.membership.arriving = Some(assignment);
            return;
        }
        let (Some(group), Some(generation)) = (self.group.clone(), self.membership.generation) else { return };
        let partition =
            |(name, partition): &(Name, u32)| Some(TopicPartition::new(self.view.topic(name)?.id, *partition));
        let mut partitions: Vec<TopicPartition> = assignment.iter().filter_map(partition).collect();
        partitions.sort_unstable();
        self.fetcher.clear();
        self.fetcher.assign(&partitions, State::AwaitsCommitted);
        self.restart_commit_interval(now);
        out.note(Fact::PartitionsAssigned { group, generation, partitions });
    }

    /// Fresh metadata came: whoever waited for it goes on.
    pub(super) fn metadata_updated(&mut self, now: Instant, out: &mut Effects) {
        if self.membership.state == MemberState::CompletingRebalance {
            self.lead(now, out);
        } else {
            self.membership.leading = None;
        }
        if self.membership.state == MemberState::Stable {
            self.take_assignment(now, out);
        }
    }

    /// JoinGroup or SyncGroup has failed. What can be tried again is, after a pause; anything else ends the consumer.
    pub(super) fn join_failed(&mut self, now: Instant, error: ErrorCode, out: &mut Effects) {
        self.membership.joining = false;
        self.membership.rejoin_needed = true;
        match error {
            ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => self.membership.forget_coordinator(),
            ErrorCode::RebalanceInProgress | ErrorCode::CoordinatorLoadInProgress | ErrorCode::NetworkException => {}
            fatal => self.fatal = Some(fatal),
        }
        let at = now + self.config.retry_backoff;
        self.membership.join_not_before = at;
        self.wake_at(now, at, out);
    }
}
