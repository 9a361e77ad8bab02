//! A consumer's place in its group: what every group protocol knows of it, and the search for the coordinator
//! (`AbstractCoordinator`).
//!
//! `group.protocol` says how the place is kept: by JoinGroup and SyncGroup ([`joining`](super::joining)), or by
//! ConsumerGroupHeartbeat alone ([`modern`](super::modern)), as [`Consumer::keep_membership`] finds out. What follows for
//! the partitions is the same for all: they are taken and given up in [`assignment`](super::assignment).

use super::heartbeat::Heartbeat;
use super::joining::Joining;
use super::modern::Modern;
use super::{Consumer, Purpose};
use crate::kafka::config::{ConsumerConfig, GroupProtocol};
use crate::kafka::effects::Effects;
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::Fact;
use crate::kafka::ids::{BrokerId, Generation, Name, Node};
use crate::kafka::message::{FindCoordinatorRequest, FindCoordinatorResponse, Request};
use crate::time::Instant;

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
    /// `group.protocol` of when the process started.
    pub(super) protocol: GroupProtocol,
    coordinator: Option<BrokerId>,
    search: Search,
    pub(super) state: MemberState,
    pub(super) member_id: Name,
    pub(super) generation: Option<Generation>,
    /// Why it is no member any more.
    pub(super) lost: ErrorCode,
    pub(super) heartbeat: Heartbeat,
    /// The classic protocol's part.
    pub(super) joining: Joining,
    /// The consumer protocol's part.
    pub(super) modern: Modern,
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

/// Who the consumer was when it sent a request. An answer that meets another is out of date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) generation: Option<Generation>,
    pub(super) member_id: Name,
}

impl Membership {
    pub(super) fn new(config: &ConsumerConfig) -> Self {
        Self {
            protocol: config.group_protocol,
            coordinator: None,
            search: Search { asking: false, not_before: Instant::ZERO, failures: 0, turn: 0 },
            state: MemberState::Unjoined,
            member_id: "".into(),
            generation: None,
            lost: ErrorCode::UnknownMemberId,
            heartbeat: Heartbeat::heard(Instant::ZERO),
            joining: Joining::new(config),
            modern: Modern::new(),
        }
    }

    pub(super) fn coordinator(&self) -> Option<BrokerId> {
        self.coordinator
    }

    pub(super) fn state(&self) -> MemberState {
        self.state
    }

    /// Whether the background thread of the classic protocol is awake: from JoinGroup's answer on (`hasNotJoinedGroup`).
    pub(super) fn has_joined(&self) -> bool {
        matches!(self.state, MemberState::CompletingRebalance | MemberState::Stable)
    }

    pub(super) fn member_id(&self) -> &Name {
        &self.member_id
    }

    pub(super) fn generation(&self) -> Option<Generation> {
        self.generation
    }

    pub(super) fn leads(&self) -> bool {
        self.joining.leads()
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
        self.joining.request_rejoin();
    }

    /// It is no member of the generation any more; after ILLEGAL_GENERATION its id may still hold
    /// (`resetStateAndRejoin`).
    pub(super) fn reset(&mut self, error: ErrorCode) {
        self.state = MemberState::Unjoined;
        self.generation = None;
        if error != ErrorCode::IllegalGeneration {
            self.member_id = "".into();
        }
        self.lost = error;
        self.joining.reset();
    }
}

impl Consumer {
    pub(super) fn instance_id(&self) -> Option<Name> {
        self.config.group_instance_id.as_deref().map(Name::from)
    }

    /// The group's part of poll(): looks for the coordinator, and joins if a rebalance calls. Returns whether the
    /// consumer has its place (`ConsumerCoordinator.poll`).
    pub(super) fn keep_membership(&mut self, now: Instant, out: &mut Effects) -> bool {
        match self.membership.protocol {
            GroupProtocol::Classic => self.keep_joined(now, out),
            GroupProtocol::Consumer => self.keep_reconciled(now, out),
        }
    }

    /// Fresh metadata came: whoever waited for it goes on.
    pub(super) fn metadata_updated(&mut self, now: Instant, out: &mut Effects) {
        match self.membership.protocol {
            GroupProtocol::Classic => self.lead_or_follow(now, out),
            // poll() looks again.
            GroupProtocol::Consumer => {}
        }
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
}
