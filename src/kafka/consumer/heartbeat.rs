//! What keeps a membership alive, and what ends it: heartbeats, the deadline of poll(), and LeaveGroup.

use super::membership::{MemberState, Sent};
use super::{Closing, Consumer, Purpose};
use crate::kafka::config::GroupProtocol;
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::{Fact, LeaveReason};
use crate::kafka::ids::Node;
use crate::kafka::message::{HeartbeatRequest, LeaveGroupRequest, Request};
use crate::time::Instant;

/// The background thread's clock (`Heartbeat`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Heartbeat {
    /// The last sign of life from the coordinator.
    pub(super) heard: Instant,
    asking: bool,
    failures: u32,
}

impl Heartbeat {
    /// Nothing is under way; the coordinator was heard of just now.
    pub(super) fn heard(now: Instant) -> Self {
        Self { heard: now, asking: false, failures: 0 }
    }
}

impl Consumer {
    /// [`Timer::GroupHeartbeat`] came: the background thread's turn (`HeartbeatThread`).
    pub(super) fn heartbeat(&mut self, now: Instant, out: &mut Effects) {
        if self.membership.protocol == GroupProtocol::Consumer {
            // It looks after its heartbeats after every input.
            return;
        }
        let joined = self.membership.has_joined();
        let Some(group) = self.group.clone().filter(|_| joined && self.closing != Closing::Leaving) else { return };
        if now.since(self.membership.heartbeat.heard) >= self.config.session_timeout {
            // The coordinator may have forgotten this member, or be gone itself.
            self.membership.forget_coordinator();
            self.membership.heartbeat.heard = now;
        }
        let sent = self.membership.sent();
        let (Some(coordinator), Some(generation)) = (self.membership.coordinator(), sent.generation) else {
            self.find_coordinator(now, out);
            return out.set_timer(now + self.config.retry_backoff, Timer::GroupHeartbeat);
        };
        out.set_timer(now + self.config.heartbeat_interval, Timer::GroupHeartbeat);
        if self.membership.heartbeat.asking {
            return;
        }
        self.membership.heartbeat.asking = true;
        let (member_id, group_instance_id) = (sent.member_id.clone(), self.instance_id());
        let request = Request::Heartbeat(HeartbeatRequest { group, generation, member_id, group_instance_id });
        self.send(now, Node::Broker(coordinator), request, Purpose::Heartbeat(sent), out);
    }

    /// `HeartbeatResponseHandler`.
    pub(super) fn on_heartbeat(&mut self, now: Instant, sent: &Sent, error: ErrorCode, out: &mut Effects) {
        self.membership.heartbeat.asking = false;
        let current = *sent == self.membership.sent();
        match error {
            ErrorCode::None => {}
            // Still alive, but wanted in a rebalance: at the next poll().
            ErrorCode::RebalanceInProgress if self.membership.state() == MemberState::Stable => {
                self.membership.request_rejoin();
            }
            ErrorCode::RebalanceInProgress => {}
            ErrorCode::FencedInstanceId if current => {
                self.membership.reset(error);
                self.fatal = Some(error);
            }
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration if current => {
                return self.membership.reset(error);
            }
            // About an earlier generation.
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration | ErrorCode::FencedInstanceId => {}
            _ => {
                if matches!(error, ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator) {
                    self.membership.forget_coordinator();
                }
                return self.heartbeat_failed(now, out);
            }
        }
        self.membership.heartbeat = Heartbeat::heard(now);
    }

    /// A heartbeat was not answered, or with a passing error: the next follows after a pause.
    pub(super) fn heartbeat_failed(&mut self, now: Instant, out: &mut Effects) {
        let pause = self.backoff().pause(self.membership.heartbeat.failures, &mut self.rng);
        self.membership.heartbeat.asking = false;
        self.membership.heartbeat.failures += 1;
        out.set_timer(now + pause, Timer::GroupHeartbeat);
    }

    /// [`Timer::PollDeadline`] came: the application takes too long. A dynamic member leaves, a static one falls silent
    /// (`handlePollTimeoutExpiry`). Who waits in JoinGroup does neither: the thread that would do it rests until the answer
    /// is taken, and then the time begins anew.
    pub(super) fn poll_timed_out(&mut self, now: Instant, out: &mut Effects) {
        self.poll_deadline_armed = false;
        let stands_still = self.application.is_busy() || self.commits.blocks();
        if self.membership.protocol == GroupProtocol::Consumer {
            if stands_still {
                self.modern_poll_timed_out(now, out);
            }
            return;
        }
        if stands_still && self.membership.has_joined() {
            self.send_leave(now, LeaveReason::PollTimeout, out);
            self.membership.reset(ErrorCode::UnknownMemberId);
        }
    }

    /// The application has `max.poll.interval.ms` from now on.
    pub(super) fn arm_poll_deadline(&mut self, now: Instant, out: &mut Effects) {
        self.poll_deadline_armed = true;
        out.set_timer(now + self.config.max_poll_interval, Timer::PollDeadline);
    }

    /// The end of close(): gives everything up, says goodbye, and waits for the answer.
    pub(super) fn leave(&mut self, now: Instant, reason: LeaveReason, out: &mut Effects) {
        if self.is_rebalancing() {
            // What it has may be somebody else's already (`onLeavePrepare`).
            self.membership.generation = None;
            self.membership.lost = ErrorCode::RebalanceInProgress;
        }
        self.give_up_partitions(out);
        self.closing = Closing::Leaving;
        let sent = match self.membership.protocol {
            GroupProtocol::Classic => self.send_leave(now, reason, out),
            GroupProtocol::Consumer => self.modern_leave(now, reason, out),
        };
        if !sent {
            self.left(out);
        }
    }

    /// Sends LeaveGroup, if there is a membership to end. A static member's place is kept for it (KIP-345).
    fn send_leave(&mut self, now: Instant, reason: LeaveReason, out: &mut Effects) -> bool {
        let is_member = self.membership.state() != MemberState::Unjoined && !self.membership.member_id().is_empty();
        let (Some(group), Some(coordinator)) = (self.group.clone(), self.membership.coordinator()) else {
            return false;
        };
        if !is_member || self.config.group_instance_id.is_some() || self.fatal == Some(ErrorCode::FencedInstanceId) {
            return false;
        }
        out.note(Fact::LeavingGroup { group: group.clone(), reason });
        let members = vec![(self.membership.member_id().clone(), None)];
        let request = Request::LeaveGroup(LeaveGroupRequest { group, members, reason });
        self.send(now, Node::Broker(coordinator), request, Purpose::LeaveGroup, out);
        true
    }
}
