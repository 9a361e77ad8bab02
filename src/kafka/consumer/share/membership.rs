//! A share consumer's place in its group (`ShareMembershipManager`, `ShareHeartbeatRequestManager`).
//!
//! It sends heartbeats from the background, whatever the application does. An answer may bring other partitions; it takes
//! them at once, and says so with the next heartbeat, which does not wait.

use super::{Closing, Purpose, ShareConsumer};
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::{Fact, LeaveReason};
use crate::kafka::ids::{BrokerId, Generation, Name, Node, TopicPartition};
use crate::kafka::message::share::{JOIN_EPOCH, LEAVE_EPOCH, ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse};
use crate::kafka::message::{FindCoordinatorRequest, FindCoordinatorResponse, Request};
use crate::rng::Rng;
use crate::time::Instant;

/// What it knows of its membership.
#[derive(Clone, Debug)]
pub(super) struct ShareMembership {
    member_id: Name,
    /// 0: it has to join.
    epoch: Generation,
    coordinator: Option<BrokerId>,
    search: Search,
    assigned: Vec<TopicPartition>,
    /// A heartbeat is out.
    asking: bool,
    failures: u32,
    /// The next heartbeat.
    due: Instant,
    /// The application has not polled for too long: it is out until it does.
    stale: bool,
}

/// The search for the coordinator.
#[derive(Clone, Copy, Debug)]
struct Search {
    asking: bool,
    not_before: Instant,
    failures: u32,
    turn: u32,
}

impl ShareMembership {
    /// A new member. It makes its id itself: a UUID in Kafka; here the client's name goes before it, so that people see whose
    /// it is.
    pub(super) fn new(client_id: &Name, rng: &mut Rng) -> Self {
        let (high, low) = (rng.next_u64(), rng.next_u64());
        Self {
            member_id: format!("{client_id}-{high:016x}{low:016x}").as_str().into(),
            epoch: JOIN_EPOCH,
            coordinator: None,
            search: Search { asking: false, not_before: Instant::ZERO, failures: 0, turn: 0 },
            assigned: Vec::new(),
            asking: false,
            failures: 0,
            due: Instant::ZERO,
            stale: false,
        }
    }

    pub(super) fn member_id(&self) -> &Name {
        &self.member_id
    }

    /// `None` while it is no member.
    pub(super) fn epoch(&self) -> Option<Generation> {
        Some(self.epoch).filter(|epoch| *epoch != JOIN_EPOCH)
    }

    pub(super) fn coordinator(&self) -> Option<BrokerId> {
        self.coordinator
    }

    pub(super) fn assigned(&self) -> &[TopicPartition] {
        &self.assigned
    }

    pub(super) fn forget_coordinator_at(&mut self, peer: Node) {
        if self.coordinator.map(Node::Broker) == Some(peer) {
            self.coordinator = None;
        }
    }

    /// The application polls: who was out for not doing so may join again.
    pub(super) fn polled(&mut self) {
        if std::mem::take(&mut self.stale) {
            self.due = Instant::ZERO;
        }
    }
}

impl ShareConsumer {
    /// The background's turn: looks for the coordinator, and sends the heartbeat that is due.
    pub(super) fn keep_membership(&mut self, now: Instant, out: &mut Effects) {
        let Some(coordinator) = self.membership.coordinator else { return self.find_coordinator(now, out) };
        if self.membership.asking || self.membership.stale {
            return;
        }
        if now < self.membership.due {
            return out.set_timer(self.membership.due, Timer::ShareHeartbeat);
        }
        let joins = self.membership.epoch == JOIN_EPOCH;
        if joins {
            out.note(Fact::JoiningGroup { group: self.group.clone() });
        }
        // An assignment may have been lost with the last answer: who says everything again is told it again
        // (`resetHeartbeatState`).
        let in_full = joins || self.membership.failures > 0;
        let request = ShareGroupHeartbeatRequest {
            group: self.group.clone(),
            member_id: self.membership.member_id.clone(),
            member_epoch: self.membership.epoch,
            client_id: self.client_id.clone(),
            rack: self.config.client_rack.as_deref().filter(|_| in_full).map(Name::from),
            subscribed_topics: in_full.then(|| self.topics.clone()),
        };
        self.membership.asking = true;
        let purpose = Purpose::Heartbeat { epoch: self.membership.epoch };
        self.send(now, Node::Broker(coordinator), Request::ShareGroupHeartbeat(request), purpose, out);
    }

    fn find_coordinator(&mut self, now: Instant, out: &mut Effects) {
        let search = self.membership.search;
        if search.asking {
            return;
        }
        if now < search.not_before {
            return self.wake_at(now, search.not_before, out);
        }
        let brokers = self.view.brokers();
        let Some(broker) = brokers.get(search.turn as usize % brokers.len().max(1)).copied() else { return };
        self.membership.search.asking = true;
        let request = Request::FindCoordinator(FindCoordinatorRequest { key: self.group.clone() });
        self.send(now, Node::Broker(broker), request, Purpose::FindCoordinator, out);
    }

    pub(super) fn on_coordinator(&mut self, now: Instant, response: &FindCoordinatorResponse, out: &mut Effects) {
        let (Some(broker), true) = (response.coordinator, response.error.is_none()) else {
            return self.coordinator_search_failed(now);
        };
        self.membership.search = Search { asking: false, failures: 0, ..self.membership.search };
        self.membership.coordinator = Some(broker);
        out.note(Fact::CoordinatorFound { group: self.group.clone(), broker });
    }

    pub(super) fn coordinator_search_failed(&mut self, now: Instant) {
        let pause = self.backoff().pause(self.membership.search.failures, &mut self.rng);
        let search = &mut self.membership.search;
        search.asking = false;
        search.failures += 1;
        search.turn = search.turn.wrapping_add(1);
        search.not_before = now + pause;
    }

    pub(super) fn on_heartbeat(
        &mut self,
        now: Instant,
        sent: Generation,
        response: ShareGroupHeartbeatResponse,
        out: &mut Effects,
    ) {
        if sent == LEAVE_EPOCH {
            return self.left(out);
        }
        self.membership.asking = false;
        match response.error {
            ErrorCode::None if self.membership.stale => {}
            ErrorCode::None => {
                self.membership.failures = 0;
                self.membership.due = now + response.heartbeat_interval;
                self.enter_epoch(response.member_epoch, out);
                if let Some(assignment) = response.assignment {
                    self.take_assignment(now, assignment, out);
                }
            }
            ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch => {
                // Whatever it has acquired stays so until it is done, or the lock's time is over.
                self.lose_assignment(response.error, out);
                self.enter_epoch(JOIN_EPOCH, out);
                self.membership.due = now;
            }
            ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => {
                self.membership.coordinator = None;
                self.heartbeat_failed(now);
            }
            ErrorCode::CoordinatorLoadInProgress => self.heartbeat_failed(now),
            error => self.fatal = Some(error),
        }
    }

    /// A heartbeat was not answered, or with a passing error.
    pub(super) fn heartbeat_failed(&mut self, now: Instant) {
        let pause = self.backoff().pause(self.membership.failures, &mut self.rng);
        self.membership.asking = false;
        self.membership.failures += 1;
        self.membership.due = now + pause;
    }

    fn enter_epoch(&mut self, to: Generation, out: &mut Effects) {
        let from = std::mem::replace(&mut self.membership.epoch, to);
        if from != to {
            out.note(Fact::MemberEpoch { group: self.group.clone(), from, to });
        }
    }

    /// What it has of partitions that are gone stays acquired until it is acknowledged.
    fn take_assignment(&mut self, now: Instant, assignment: Vec<TopicPartition>, out: &mut Effects) {
        let before = std::mem::replace(&mut self.membership.assigned, assignment);
        // The coordinator hears at once that it has arrived.
        self.membership.due = now;
        let now_assigned = self.membership.assigned.clone();
        let revoked: Vec<TopicPartition> = before.iter().filter(|of| !now_assigned.contains(of)).copied().collect();
        if !revoked.is_empty() {
            out.note(Fact::PartitionsRevoked { group: self.group.clone(), partitions: revoked });
        }
        if before != now_assigned {
            let (group, generation) = (self.group.clone(), self.membership.epoch);
            out.note(Fact::PartitionsAssigned { group, generation, partitions: now_assigned });
        }
    }

    fn lose_assignment(&mut self, error: ErrorCode, out: &mut Effects) {
        let partitions = std::mem::take(&mut self.membership.assigned);
        if !partitions.is_empty() {
            out.note(Fact::PartitionsLost { group: self.group.clone(), partitions, error });
        }
    }

    /// [`Timer::PollDeadline`] came: the application takes too long, and the member leaves until it polls again.
    pub(super) fn poll_timed_out(&mut self, now: Instant, out: &mut Effects) {
        self.poll_deadline_armed = false;
        if self.work.is_busy() && self.membership.epoch != JOIN_EPOCH {
            self.membership.stale = true;
            self.send_leave(now, LeaveReason::PollTimeout, out);
            self.lose_assignment(ErrorCode::UnknownMemberId, out);
            self.enter_epoch(JOIN_EPOCH, out);
        }
    }

    /// The end of close().
    pub(super) fn leave(&mut self, now: Instant, reason: LeaveReason, out: &mut Effects) {
        let partitions = std::mem::take(&mut self.membership.assigned);
        if !partitions.is_empty() {
            out.note(Fact::PartitionsRevoked { group: self.group.clone(), partitions });
        }
        self.closing = Closing::Leaving;
        if !self.send_leave(now, reason, out) {
            self.left(out);
        }
    }

    fn send_leave(&mut self, now: Instant, reason: LeaveReason, out: &mut Effects) -> bool {
        let Some(coordinator) = self.membership.coordinator else { return false };
        if self.membership.epoch == JOIN_EPOCH || self.fatal.is_some() {
            return false;
        }
        out.note(Fact::LeavingGroup { group: self.group.clone(), reason });
        let request = ShareGroupHeartbeatRequest {
            group: self.group.clone(),
            member_id: self.membership.member_id.clone(),
            member_epoch: LEAVE_EPOCH,
            client_id: self.client_id.clone(),
            rack: None,
            subscribed_topics: None,
        };
        let purpose = Purpose::Heartbeat { epoch: LEAVE_EPOCH };
        self.send(now, Node::Broker(coordinator), Request::ShareGroupHeartbeat(request), purpose, out);
        true
    }
}
