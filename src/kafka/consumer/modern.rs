//! The consumer protocol (KIP-848), a member's side (`ConsumerMembershipManager`, `AbstractMembershipManager`,
//! `ConsumerHeartbeatRequestManager`).
//!
//! | state | what it means | heartbeat |
//! | --- | --- | --- |
//! | Joining | no member yet, or again | at once, with everything |
//! | Reconciling | the assignment is not what the coordinator wants it to be | by the interval |
//! | Acknowledging | it is now; the coordinator has still to hear of it | at once, with what it has |
//! | Stable | it is | by the interval |
//! | Stale | the application was away too long, and the member has left; poll() brings it back | none |
//! | Out | not a member, and not going to be one | none |
//!
//! Heartbeats are the background's business and go on while the application works; the assignment changes in poll()
//! alone. There the member stops reading what it is to give up, commits what is done, gives it up, takes what is new,
//! and says so at once. Partitions that it keeps are read all the while.
//!
//! A fenced member has lost everything, and joins again under the same id.
//!
//! What we leave out: the member id is a UUID in Kafka; here the client's name goes before it, for people to read.

mod heartbeat;

use std::collections::BTreeSet;
use std::rc::Rc;

use super::commits::{CommitFor, CommitMode};
use super::membership::MemberState;
use super::{Closing, Consumer};
use crate::kafka::effects::Effects;
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::{Fact, LeaveReason};
use crate::kafka::ids::{Generation, Name, TopicPartition};
use crate::kafka::message::consumer_group::{JOIN_EPOCH, LEAVE_EPOCH, LEAVE_STATIC_EPOCH};
use crate::kafka::mistakes::Mistake;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

use self::heartbeat::SentFields;

/// How far a member is (`MemberState` of the clients).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Joining,
    Reconciling,
    Acknowledging,
    Stable,
    Stale,
    Out,
}

/// What a member of the consumer protocol knows of itself.
#[derive(Clone, Debug)]
pub(super) struct Modern {
    stage: Stage,
    epoch: Generation,
    /// What the coordinator wants it to have.
    target: Local,
    /// What it has, as it last said or is about to say.
    current: Local,
    step: Step,
    sent: SentFields,
    /// By the last answer; zero before the first.
    interval: Duration,
    next_heartbeat: Instant,
    /// A heartbeat waits for its answer.
    asking: bool,
    failures: u32,
}

/// An assignment, and how many there were before (`LocalAssignment`): one that comes back after another is a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Local {
    /// 0: none yet.
    number: u32,
    partitions: Rc<BTreeSet<TopicPartition>>,
}

/// How far one reconciliation is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// None is under way.
    Idle,
    /// The commit before it is out, or goes out again. At `until` it is waited for no longer.
    Committing { until: Instant, waits: bool, to: Local },
    /// The commit is over.
    Committed { to: Local },
}

impl Modern {
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Joining,
            epoch: JOIN_EPOCH,
            target: Local::default(),
            current: Local::default(),
            step: Step::Idle,
            sent: SentFields::default(),
            interval: Duration::ZERO,
            next_heartbeat: Instant::ZERO,
            asking: false,
            failures: 0,
        }
    }

    /// The commit before a reconciliation is answered.
    pub(super) fn last_commit_over(&mut self, retry: bool) {
        match &mut self.step {
            Step::Committing { waits, .. } if retry => *waits = false,
            Step::Committing { to, .. } => self.step = Step::Committed { to: std::mem::take(to) },
            _ => {}
        }
    }

    /// `transitionToJoining`: nothing is left of the membership before.
    fn join(&mut self) {
        self.stage = Stage::Joining;
        self.target = Local::default();
        self.current = Local::default();
        self.step = Step::Idle;
    }
}

impl Consumer {
    /// The consumer protocol's part of poll(): a member that was away too long comes back, and the assignment becomes
    /// what it should be. Returns whether the consumer has its place.
    pub(super) fn keep_reconciled(&mut self, now: Instant, out: &mut Effects) -> bool {
        if self.membership.modern.stage == Stage::Stale && self.closing == Closing::Open {
            self.membership.modern.join();
            self.turn_to_epoch(JOIN_EPOCH, out);
        }
        if self.membership.modern.stage == Stage::Reconciling {
            self.reconcile(now, out);
        }
        if self.membership.coordinator().is_none() {
            self.find_coordinator(now, out);
            return false;
        }
        self.membership.modern.epoch.0 > 0
    }

    /// `maybeReconcile`: commits, gives up, takes.
    fn reconcile(&mut self, now: Instant, out: &mut Effects) {
        match self.membership.modern.step.clone() {
            Step::Idle => self.begin_reconciliation(now, out),
            Step::Committing { until, waits: true, .. } if now < until => self.wake_at(now, until, out),
            Step::Committing { until, to, .. } if now < until => {
                if self.commits.may_retry(now) {
                    return self.commit_then(now, until, to, out);
                }
                let at = self.commits.retry_at();
                self.wake_at(now, at, out);
            }
            Step::Committing { to, .. } | Step::Committed { to } => self.end_reconciliation(now, to, out),
        }
    }

    fn begin_reconciliation(&mut self, now: Instant, out: &mut Effects) {
        let target = &self.membership.modern.target;
        // A topic that was created just now may not be known here yet.
        let is_known = |at: &&TopicPartition| self.view.name_of(at.topic).is_some();
        let known: BTreeSet<TopicPartition> = target.partitions.iter().filter(is_known).copied().collect();
        let all_known = known.len() == target.partitions.len();
        let to = Local { number: target.number, partitions: Rc::new(known) };
        if !all_known {
            self.view.mark_stale();
        }
        let current = &self.membership.modern.current;
        if current.number > 0 && *to.partitions == *current.partitions {
            self.membership.modern.current = to;
            self.membership.modern.stage = Stage::Acknowledging;
            return;
        }
        let goes = |at: TopicPartition| !to.partitions.contains(&at);
        self.fetcher.stop_some_for_revocation(goes);
        let until = now + self.config.max_poll_interval;
        // The consumer itself commits whatever changes; its application where it is told that partitions go.
        let anything_goes = self.fetcher.assigned().into_iter().any(goes);
        let by_application = anything_goes && self.application.task().commit != CommitMode::None;
        match self.config.enable_auto_commit || by_application {
            true => self.commit_then(now, until, to, out),
            false => self.end_reconciliation(now, to, out),
        }
    }

    fn commit_then(&mut self, now: Instant, until: Instant, to: Local, out: &mut Effects) {
        if self.send_commit(now, CommitFor::Revocation, out) {
            self.membership.modern.step = Step::Committing { until, waits: true, to };
            self.wake_at(now, until, out);
        } else {
            self.end_reconciliation(now, to, out);
        }
    }

    /// `revokeAndAssign`.
    fn end_reconciliation(&mut self, now: Instant, to: Local, out: &mut Effects) {
        let goes = |at: &TopicPartition| !to.partitions.contains(at);
        let revoked = self.fetcher.assigned().into_iter().filter(goes).collect();
        self.revoke(revoked, out);
        self.assign(now, to.partitions.iter().copied().collect(), out);
        let modern = &mut self.membership.modern;
        modern.current = to;
        modern.step = Step::Idle;
        modern.stage = Stage::Acknowledging;
    }

    /// The coordinator does not know the member by its epoch: everything is lost, and it joins again
    /// (`transitionToFenced`).
    fn fenced(&mut self, error: ErrorCode, out: &mut Effects) {
        if !self.config.makes(Mistake::OutAndReading) {
            self.lose_partitions(error, out);
        }
        self.membership.modern.join();
        self.turn_to_epoch(JOIN_EPOCH, out);
        if self.closing != Closing::Open {
            self.membership.modern.stage = Stage::Out;
        }
    }

    fn lose_partitions(&mut self, error: ErrorCode, out: &mut Effects) {
        self.membership.lost = error;
        self.membership.generation = None;
        self.give_up_partitions(out);
    }

    /// [`Timer::PollDeadline`] came: the member leaves, and comes back with the next poll()
    /// (`transitionToSendingLeaveGroup`, `transitionToStale`).
    pub(super) fn modern_poll_timed_out(&mut self, now: Instant, out: &mut Effects) {
        if matches!(self.membership.modern.stage, Stage::Stale | Stage::Out) {
            return;
        }
        self.send_goodbye(now, LeaveReason::PollTimeout, out);
        self.membership.modern.step = Step::Idle;
        self.membership.modern.stage = Stage::Stale;
        self.lose_partitions(ErrorCode::UnknownMemberId, out);
    }

    /// The end of close(): the member says goodbye; a static one only lends its place. Returns whether an answer is to be
    /// waited for.
    pub(super) fn modern_leave(&mut self, now: Instant, reason: LeaveReason, out: &mut Effects) -> bool {
        let is_member = !matches!(self.membership.modern.stage, Stage::Stale | Stage::Out);
        let sent = is_member && self.fatal.is_none() && self.send_goodbye(now, reason, out);
        self.membership.modern.stage = Stage::Out;
        sent
    }

    fn send_goodbye(&mut self, now: Instant, reason: LeaveReason, out: &mut Effects) -> bool {
        let Some(group) = self.group.clone() else { return false };
        if self.membership.coordinator().is_none() || self.membership.member_id.is_empty() {
            return false;
        }
        let epoch = if self.config.group_instance_id.is_some() { LEAVE_STATIC_EPOCH } else { LEAVE_EPOCH };
        out.note(Fact::LeavingGroup { group, reason });
        self.turn_to_epoch(epoch, out);
        self.send_member_heartbeat(now, Some(reason), out);
        true
    }

    /// Everything that follows from being a member of another epoch.
    fn turn_to_epoch(&mut self, to: Generation, out: &mut Effects) {
        let from = std::mem::replace(&mut self.membership.modern.epoch, to);
        let is_member = to.0 > 0;
        self.membership.generation = is_member.then_some(to);
        self.membership.state = if is_member { MemberState::Stable } else { MemberState::Unjoined };
        if let Some(group) = self.group.clone().filter(|_| from != to) {
            out.note(Fact::MemberEpoch { group, from, to });
        }
    }
}

/// `Uuid.randomUuid`, with the client's name before it.
fn new_member_id(client_id: &Name, rng: &mut Rng) -> Name {
    let (high, low) = (rng.next_u64(), rng.next_u64());
    let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
    let (d, e) = (0x8000 | ((low >> 48) & 0x3fff), low & 0xffff_ffff_ffff);
    format!("{client_id}-{a:08x}-{b:04x}-4{c:03x}-{d:04x}-{e:012x}").into()
}
