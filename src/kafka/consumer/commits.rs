//! Commits: automatic ones, those of the application, and what becomes of them (`ConsumerCoordinator`).
//!
//! With `enable.auto.commit` poll() commits every `auto.commit.interval.ms`. Apart from that an application may commit
//! itself when it has worked on all that a poll() returned, and before its partitions go: [`CommitMode`]. commitSync()
//! keeps the application waiting, and tries again until the coordinator has taken it or it cannot succeed any more.
//! commitAsync() is sent once: a later one says more anyway, and to send an earlier one again could set the group back.

use std::collections::BTreeMap;

use super::fetcher::Partition;
use super::membership::{MemberState, Sent};
use super::{Consumer, Purpose};
use crate::kafka::config::GroupProtocol;
use crate::kafka::effects::Effects;
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::Fact;
use crate::kafka::ids::{Node, Offset, TopicPartition};
use crate::kafka::message::{OffsetCommitRequest, OffsetCommitResponse, Request};
use crate::time::{Duration, Instant};

/// `default.api.timeout.ms`: how long commitSync() tries.
const API_TIMEOUT: Duration = Duration::secs(60);

/// How an application commits, apart from `enable.auto.commit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommitMode {
    /// Not at all.
    #[default]
    None,
    /// commitSync() after each poll()'s records.
    Sync,
    /// commitAsync() after each poll()'s records; commitSync() where it is the last chance.
    Async,
}

impl CommitMode {
    /// As scenario files write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sync => "sync",
            Self::Async => "async",
        }
    }

    /// What scenario files may write.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::Sync, Self::Async].into_iter().find(|mode| mode.name() == text)
    }
}

/// When positions are committed.
#[derive(Clone, Debug, Default)]
pub(super) struct Commits {
    /// When the next automatic commit is due.
    next: Instant,
    /// A commit that must come through is not sent again before.
    retry_at: Instant,
    failures: u32,
    /// Commits sent so far.
    sent: u64,
    /// The application has something to commit, or is about to have.
    due: bool,
    /// The application waits in commitSync(): until then at the latest, and whether a request is out.
    waiting: Option<(Instant, bool)>,
}

/// Why positions are committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommitFor {
    /// `auto.commit.interval.ms` is over.
    Interval,
    /// The partitions are about to be given up.
    Revocation,
    Close,
    /// The application's commitSync().
    Sync,
    /// The application's commitAsync().
    Async,
}

/// A commit that is on its way.
#[derive(Clone, Debug)]
pub(super) struct Committing {
    pub(super) why: CommitFor,
    sent: Sent,
    /// Counts the commits of this consumer.
    number: u64,
    offsets: Vec<(TopicPartition, Offset)>,
}

impl Commits {
    pub(super) fn may_retry(&self, now: Instant) -> bool {
        self.retry_at <= now
    }

    pub(super) fn retry_at(&self) -> Instant {
        self.retry_at
    }

    /// poll() has returned records: once they are done there is something to commit.
    pub(super) fn note_polled(&mut self) {
        self.due = true;
    }

    /// Whether the application waits in commitSync().
    pub(super) fn blocks(&self) -> bool {
        self.waiting.is_some()
    }
}

impl Consumer {
    /// New partitions: the interval begins anew.
    pub(super) fn restart_commit_interval(&mut self, now: Instant) {
        self.commits.next = now + self.config.auto_commit_interval;
    }

    /// Commits positions if it is time (`maybeAutoCommitOffsetsAsync`). Everything that poll() returned before is done.
    pub(super) fn commit_if_due(&mut self, now: Instant, out: &mut Effects) {
        if !self.config.enable_auto_commit || !self.may_commit() {
            return;
        }
        if self.commits.next <= now {
            self.commits.next = now + self.config.auto_commit_interval;
            self.send_commit(now, CommitFor::Interval, out);
        }
        let next = self.commits.next;
        self.wake_at(now, next, out);
    }

    /// After the work on what a poll() returned: the application's own commit. Returns whether it goes on.
    pub(super) fn commit_by_application(&mut self, now: Instant, out: &mut Effects) -> bool {
        if !self.commits.due || self.group.is_none() {
            return true;
        }
        match self.application.task().commit {
            CommitMode::Sync => return self.commit_sync(now, out),
            // Without a coordinator it goes out as soon as one is found.
            CommitMode::Async if self.membership.coordinator().is_none() => self.find_coordinator(now, out),
            CommitMode::Async => {
                self.commits.due = false;
                self.send_commit(now, CommitFor::Async, out);
            }
            CommitMode::None => self.commits.due = false,
        }
        true
    }

    /// commitSync(). Returns whether it has returned.
    fn commit_sync(&mut self, now: Instant, out: &mut Effects) -> bool {
        let (until, under_way) = self.commits.waiting.unwrap_or((now + API_TIMEOUT, false));
        self.commits.waiting = Some((until, under_way));
        if now >= until {
            if let Some(group) = self.group.clone() {
                out.note(Fact::CommitFailed { group, error: ErrorCode::RequestTimedOut });
            }
            self.commit_sync_over();
            return true;
        }
        self.wake_at(now, until, out);
        if under_way {
            return false;
        }
        if !self.commits.may_retry(now) {
            let at = self.commits.retry_at;
            self.wake_at(now, at, out);
        } else if self.membership.coordinator().is_none() {
            self.find_coordinator(now, out);
        } else if self.send_commit(now, CommitFor::Sync, out) {
            self.commits.waiting = Some((until, true));
        } else {
            // There is nothing to commit, or it is no member: that was noted.
            self.commit_sync_over();
            return true;
        }
        false
    }

    fn commit_sync_over(&mut self) {
        self.commits.due = false;
        self.commits.waiting = None;
    }

    /// Whether somebody commits before partitions go.
    pub(super) fn commits_last(&self) -> bool {
        self.config.enable_auto_commit || self.application.task().commit != CommitMode::None
    }

    /// Whether close() has something to commit.
    pub(super) fn commits_on_close(&self) -> bool {
        self.group.is_some() && self.may_commit() && self.commits_last() && !self.fetcher.consumed().is_empty()
    }

    /// Whether the coordinator would take a commit: of a member in its place, or of somebody who is none.
    fn may_commit(&self) -> bool {
        self.is_manual() || self.membership.state() == MemberState::Stable
    }

    /// Sends OffsetCommit for every position. Returns false where there is nothing to commit, or no right to.
    pub(super) fn send_commit(&mut self, now: Instant, why: CommitFor, out: &mut Effects) -> bool {
        let (Some(group), Some(coordinator)) = (self.group.clone(), self.membership.coordinator()) else {
            return false;
        };
        let partitions = self.fetcher.consumed();
        if partitions.is_empty() {
            return false;
        }
        if !self.may_commit() {
            let error = self.membership.why_no_member();
            out.note(Fact::CommitFailed { group, error });
            return false;
        }
        let sent = self.membership.sent();
        let offsets = partitions.iter().map(|(partition, offset, _)| (*partition, *offset)).collect();
        let request = OffsetCommitRequest {
            group,
            generation: sent.generation,
            member_id: sent.member_id.clone(),
            group_instance_id: self.instance_id().filter(|_| !self.is_manual()),
            partitions,
        };
        self.commits.sent += 1;
        let purpose = Purpose::Commit(Committing { why, sent, number: self.commits.sent, offsets });
        self.send(now, Node::Broker(coordinator), Request::OffsetCommit(request), purpose, out);
        true
    }

    /// `OffsetCommitResponseHandler`: the first error decides.
    pub(super) fn on_commit(
        &mut self,
        now: Instant,
        commit: Committing,
        response: &OffsetCommitResponse,
        out: &mut Effects,
    ) {
        let errors: BTreeMap<TopicPartition, ErrorCode> = response.partitions.iter().copied().collect();
        for (partition, offset) in &commit.offsets {
            if errors.get(partition) == Some(&ErrorCode::None)
                && let Some(state) = self.fetcher.get_mut(*partition)
            {
                state.note_commit(commit.number, *offset);
            }
        }
        let Some(error) = response.partitions.iter().map(|(_, error)| *error).find(|error| !error.is_none()) else {
            self.commits.failures = 0;
            return self.commit_over(commit.why, false);
        };
        let current = commit.sent == self.membership.sent();
        match error {
            ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator | ErrorCode::RequestTimedOut => {
                self.membership.forget_coordinator();
            }
            // Who is no member has no generation that could be wrong; the consumer protocol's heartbeats find out for
            // themselves.
            _ if self.is_manual() || self.membership.protocol == GroupProtocol::Consumer => {}
            ErrorCode::FencedInstanceId if current => self.fatal = Some(error),
            ErrorCode::RebalanceInProgress => self.membership.request_rejoin(),
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration
                if current || self.membership.state() != MemberState::PreparingRebalance =>
            {
                self.membership.reset(error);
            }
            _ => {}
        }
        self.commit_failed(now, commit.why, error, out);
    }

    /// A commit has failed. Retriable errors are tried again: by the interval's next turn, until commitSync() gives up, or
    /// until the partitions must be given up.
    pub(super) fn commit_failed(&mut self, now: Instant, why: CommitFor, error: ErrorCode, out: &mut Effects) {
        if let Some(group) = self.group.clone() {
            out.note(Fact::CommitFailed { group, error });
        }
        // A member of the consumer protocol may have come to another epoch meanwhile. The commit before a reconciliation is
        // made again under that one; commitSync() fails.
        let outdated = error == ErrorCode::StaleMemberEpoch && why == CommitFor::Revocation;
        let outdated = outdated && self.membership.state() == MemberState::Stable;
        // What it read of a topic that is no more it can never commit; the consumer protocol does not wait for that
        // (`autoCommitSyncBeforeRebalanceWithRetries`).
        let deleted = error == ErrorCode::UnknownTopicOrPartition
            && why == CommitFor::Revocation
            && self.membership.protocol == GroupProtocol::Consumer;
        if !(error.is_retriable() || outdated) || deleted || why == CommitFor::Async {
            return self.commit_over(why, false);
        }
        let pause = self.backoff().pause(self.commits.failures, &mut self.rng);
        self.commits.failures += 1;
        self.commits.retry_at = now + pause;
        self.wake_at(now, now + pause, out);
        if why == CommitFor::Interval {
            self.commits.next = now + pause;
        }
        self.commit_over(why, true);
    }

    fn commit_over(&mut self, why: CommitFor, retry: bool) {
        match why {
            CommitFor::Interval | CommitFor::Async => {}
            CommitFor::Revocation if self.membership.protocol == GroupProtocol::Consumer => {
                self.membership.modern.last_commit_over(retry);
            }
            CommitFor::Revocation => self.membership.joining.last_commit_over(retry),
            CommitFor::Close => self.close_committed(retry),
            CommitFor::Sync if retry => self.commits.waiting = self.commits.waiting.map(|(until, _)| (until, false)),
            CommitFor::Sync => self.commit_sync_over(),
        }
    }
}

impl Partition {
    /// A commit was taken. The answer to an earlier one may come later: it tells nothing new.
    fn note_commit(&mut self, number: u64, offset: Offset) {
        if number > self.committed_by {
            self.committed_by = number;
            self.committed = Some(offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::consumer::fetcher::State;

    #[test]
    fn an_answer_that_comes_late_sets_nothing_back() {
        let mut partition = Partition::new(State::Fetching);
        partition.note_commit(2, 20);
        partition.note_commit(1, 10);
        assert_eq!(partition.committed, Some(20));
        // After a seek a later commit may well say less.
        partition.note_commit(3, 5);
        assert_eq!(partition.committed, Some(5));
    }
}
