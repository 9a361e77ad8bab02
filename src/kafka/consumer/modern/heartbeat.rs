//! The member's heartbeats: when they are sent, what they say, and what the answers mean.

use std::collections::BTreeSet;

use super::{Local, Stage, new_member_id};
use crate::kafka::consumer::{Closing, Consumer, Purpose, Reads};
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::{Fact, LeaveReason};
use crate::kafka::ids::{Generation, Name, Node, TopicPartition};
use crate::kafka::message::Request;
use crate::kafka::message::consumer_group::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use crate::time::{Duration, Instant};

/// What the coordinator has been told (`HeartbeatState.SentFields`): only what differs is said again.
#[derive(Clone, Debug, Default)]
pub(super) struct SentFields {
    rebalance_timeout: Option<Duration>,
    topics: Option<BTreeSet<Name>>,
    regex: Option<Name>,
    server_assignor: Option<Name>,
    assignment: Option<Local>,
}

impl Consumer {
    /// The background's turn, after every input: a heartbeat, if one is due.
    pub(in crate::kafka::consumer) fn keep_in_touch(&mut self, now: Instant, out: &mut Effects) {
        if self.group.is_none() || matches!(self.closing, Closing::Leaving | Closing::Closed) || self.fatal.is_some() {
            return;
        }
        let modern = &self.membership.modern;
        if modern.asking || matches!(modern.stage, Stage::Stale | Stage::Out) {
            return;
        }
        // After a failure even the urgent ones wait a moment.
        let at_once = matches!(modern.stage, Stage::Joining | Stage::Acknowledging) && modern.failures == 0;
        let due = modern.next_heartbeat;
        if !at_once && now < due {
            return out.set_timer(due, Timer::GroupHeartbeat);
        }
        if self.membership.coordinator().is_none() {
            return self.find_coordinator(now, out);
        }
        if self.membership.member_id.is_empty() {
            self.membership.member_id = new_member_id(&self.client_id, &mut self.rng);
        }
        self.send_member_heartbeat(now, None, out);
    }

    /// Sends ConsumerGroupHeartbeat (`buildRequestData`, `onHeartbeatRequestGenerated`).
    pub(super) fn send_member_heartbeat(&mut self, now: Instant, leaves: Option<LeaveReason>, out: &mut Effects) {
        let (Some(group), Some(coordinator)) = (self.group.clone(), self.membership.coordinator()) else { return };
        let joins = self.membership.modern.stage == Stage::Joining && leaves.is_none();
        if joins {
            out.note(Fact::JoiningGroup { group: group.clone() });
        }
        let mut request = ConsumerGroupHeartbeatRequest {
            group,
            member_id: self.membership.member_id.clone(),
            member_epoch: self.membership.modern.epoch,
            instance_id: self.instance_id(),
            rack: None,
            client_id: self.client_id.clone(),
            rebalance_timeout: None,
            topics: None,
            regex: None,
            server_assignor: None,
            owned: None,
            leave_reason: leaves.unwrap_or(LeaveReason::Closed),
        };
        let Some(_) = leaves else {
            self.tell_changes(joins, &mut request);
            let modern = &mut self.membership.modern;
            if modern.stage == Stage::Acknowledging {
                modern.stage = if modern.current == modern.target { Stage::Stable } else { Stage::Reconciling };
            }
            modern.asking = true;
            modern.next_heartbeat = now + modern.interval;
            let epoch = modern.epoch;
            let purpose = Purpose::MemberHeartbeat(epoch);
            return self.send(
                now,
                Node::Broker(coordinator),
                Request::ConsumerGroupHeartbeat(Box::new(request)),
                purpose,
                out,
            );
        };
        self.membership.modern.sent = SentFields::default();
        let request = Request::ConsumerGroupHeartbeat(Box::new(request));
        self.send(now, Node::Broker(coordinator), request, Purpose::Goodbye, out);
    }

    fn tell_changes(&mut self, joins: bool, request: &mut ConsumerGroupHeartbeatRequest) {
        let rebalance_timeout = self.config.max_poll_interval;
        // A pattern is the coordinator's to resolve (`SubscriptionPattern`).
        let regex = match &self.reads {
            Reads::Pattern(pattern) => Some(Name::from(pattern.text())),
            Reads::Topics(_) | Reads::Partitions(_) => None,
        };
        let topics: BTreeSet<Name> = self.topics.iter().filter(|_| regex.is_none()).cloned().collect();
        let server_assignor = self.config.group_remote_assignor.as_deref().map(Name::from);
        let rack = self.config.client_rack.as_deref().map(Name::from);
        let modern = &mut self.membership.modern;
        let sent = &mut modern.sent;
        if joins || sent.rebalance_timeout != Some(rebalance_timeout) {
            request.rebalance_timeout = Some(rebalance_timeout);
            sent.rebalance_timeout = Some(rebalance_timeout);
        }
        if joins || sent.topics.as_ref() != Some(&topics) {
            request.topics = Some(topics.iter().cloned().collect());
            sent.topics = Some(topics);
        }
        if (joins && regex.is_some()) || sent.regex != regex {
            request.regex = Some(regex.clone().unwrap_or_else(|| "".into()));
            sent.regex = regex;
        }
        if server_assignor.is_some() && (joins || sent.server_assignor != server_assignor) {
            request.server_assignor.clone_from(&server_assignor);
            sent.server_assignor = server_assignor;
        }
        if joins || sent.assignment.as_ref() != Some(&modern.current) {
            request.owned = Some(modern.current.partitions.iter().copied().collect());
            sent.assignment = Some(modern.current.clone());
        }
        if joins {
            request.rack = rack;
        }
    }

    /// An answer to a heartbeat that was sent in the given epoch (`onHeartbeatSuccess`, `onErrorResponse`).
    pub(in crate::kafka::consumer) fn on_member_heartbeat(
        &mut self,
        now: Instant,
        sent_in: Generation,
        response: ConsumerGroupHeartbeatResponse,
        out: &mut Effects,
    ) {
        self.membership.modern.asking = false;
        // It has left meanwhile, or joins anew: this answer is about somebody that it was.
        let outdated = matches!(self.membership.modern.stage, Stage::Stale | Stage::Out)
            || matches!(self.closing, Closing::Leaving | Closing::Closed)
            || sent_in != self.membership.modern.epoch;
        if outdated {
            return;
        }
        if !response.error.is_none() {
            return self.on_heartbeat_error(now, response.error, out);
        }
        self.membership.modern.failures = 0;
        self.membership.heartbeat.heard = now;
        if self.membership.modern.interval != response.heartbeat_interval {
            self.membership.modern.interval = response.heartbeat_interval;
            self.membership.modern.next_heartbeat = now + response.heartbeat_interval;
        }
        self.turn_to_epoch(response.member_epoch, out);
        if let Some(assignment) = response.assignment {
            self.take_target(assignment);
        }
    }

    /// `processAssignmentReceived`.
    fn take_target(&mut self, assignment: Vec<TopicPartition>) {
        let modern = &mut self.membership.modern;
        let partitions: BTreeSet<TopicPartition> = assignment.into_iter().collect();
        if modern.target.number == 0 || *modern.target.partitions != partitions {
            modern.target = Local { number: modern.target.number + 1, partitions: partitions.into() };
        }
        if modern.current != modern.target {
            modern.stage = Stage::Reconciling;
        } else if matches!(modern.stage, Stage::Joining | Stage::Reconciling) {
            modern.stage = Stage::Stable;
        }
    }

    fn on_heartbeat_error(&mut self, now: Instant, error: ErrorCode, out: &mut Effects) {
        self.membership.modern.sent = SentFields::default();
        match error {
            // As soon as the new coordinator is found.
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => {
                self.membership.forget_coordinator();
                self.membership.modern.failures = 0;
                self.membership.modern.next_heartbeat = now;
            }
            ErrorCode::CoordinatorLoadInProgress => self.member_heartbeat_failed(now, out),
            ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId => {
                self.membership.modern.failures = 0;
                self.fenced(error, out);
            }
            fatal => {
                self.lose_partitions(fatal, out);
                self.membership.modern.stage = Stage::Out;
                self.fatal = Some(fatal);
            }
        }
    }

    /// A heartbeat will not be answered, or only with "later": everything is told again, after a pause.
    pub(in crate::kafka::consumer) fn member_heartbeat_failed(&mut self, now: Instant, out: &mut Effects) {
        let pause = self.backoff().pause(self.membership.modern.failures, &mut self.rng);
        let modern = &mut self.membership.modern;
        modern.asking = false;
        modern.sent = SentFields::default();
        modern.failures += 1;
        modern.next_heartbeat = now + pause;
        out.set_timer(now + pause, Timer::GroupHeartbeat);
    }
}
