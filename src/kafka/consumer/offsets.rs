//! Positions: where a consumer begins, and what it commits (`ConsumerCoordinator`, `OffsetFetcher`).

use std::collections::BTreeMap;

use super::fetcher::State;
use super::membership::{MemberState, Sent};
use super::{Consumer, Purpose};
use crate::kafka::config::OffsetReset;
use crate::kafka::effects::Effects;
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::{Fact, ResetReason};
use crate::kafka::ids::{BrokerId, LeaderEpoch, Node, Offset, TopicPartition};
use crate::kafka::message::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
    OffsetFetchResponse, OffsetSpec, Request,
};
use crate::time::Instant;

/// When positions are committed, and looked up.
#[derive(Clone, Debug, Default)]
pub(super) struct AutoCommit {
    /// When the next automatic commit is due.
    next: Instant,
    /// A commit that must come through is not sent again before.
    retry_at: Instant,
    failures: u32,
    /// OffsetFetch is out.
    fetching: bool,
    fetch_not_before: Instant,
    fetch_failures: u32,
}

/// Why positions are committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommitFor {
    /// `auto.commit.interval.ms` is over.
    Interval,
    /// The partitions are about to be given up.
    Revocation,
    Close,
}

impl AutoCommit {
    pub(super) fn may_retry(&self, now: Instant) -> bool {
        self.retry_at <= now
    }

    pub(super) fn retry_at(&self) -> Instant {
        self.retry_at
    }
}

impl Consumer {
    /// New partitions: the interval begins anew.
    pub(super) fn restart_commit_interval(&mut self, now: Instant) {
        self.commits.next = now + self.config.auto_commit_interval;
    }

    /// Commits positions if it is time (`maybeAutoCommitOffsetsAsync`). Everything that poll() returned before is done.
    pub(super) fn commit_if_due(&mut self, now: Instant, out: &mut Effects) {
        if !self.config.enable_auto_commit || self.membership.state() != MemberState::Stable {
            return;
        }
        if self.commits.next <= now {
            self.commits.next = now + self.config.auto_commit_interval;
            self.send_commit(now, CommitFor::Interval, out);
        }
        let next = self.commits.next;
        self.wake_at(now, next, out);
    }

    /// Whether close() has something to commit.
    pub(super) fn commits_on_close(&self) -> bool {
        let member = self.group.is_some() && self.membership.state() == MemberState::Stable;
        member && self.config.enable_auto_commit && !self.fetcher.consumed().is_empty()
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
        if self.membership.state() != MemberState::Stable {
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
            group_instance_id: self.instance_id(),
            partitions,
        };
        let purpose = Purpose::Commit(why, sent, offsets);
        self.send(now, Node::Broker(coordinator), Request::OffsetCommit(request), purpose, out);
        true
    }

    /// `OffsetCommitResponseHandler`: the first error decides.
    pub(super) fn on_commit(
        &mut self,
        now: Instant,
        why: CommitFor,
        sent: &Sent,
        offsets: &[(TopicPartition, Offset)],
        response: &OffsetCommitResponse,
        out: &mut Effects,
    ) {
        for (partition, offset) in offsets {
            let error = response.partitions.iter().find(|(at, _)| at == partition).map(|(_, error)| *error);
            if error == Some(ErrorCode::None)
                && let Some(state) = self.fetcher.get_mut(*partition)
            {
                state.committed = Some(*offset);
            }
        }
        let Some(error) = response.partitions.iter().map(|(_, error)| *error).find(|error| !error.is_none()) else {
            self.commits.failures = 0;
            return self.commit_over(why, false);
        };
        let current = *sent == self.membership.sent();
        match error {
            ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator | ErrorCode::RequestTimedOut => {
                self.membership.forget_coordinator();
            }
            ErrorCode::FencedInstanceId if current => self.fatal = Some(error),
            ErrorCode::RebalanceInProgress => self.membership.request_rejoin(),
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration
                if current || self.membership.state() != MemberState::PreparingRebalance =>
            {
                self.membership.reset(error);
            }
            _ => {}
        }
        self.commit_failed(now, why, error, out);
    }

    /// A commit has failed. Retriable errors are tried again: by the interval's next turn, or until the partitions must
    /// be given up.
    pub(super) fn commit_failed(&mut self, now: Instant, why: CommitFor, error: ErrorCode, out: &mut Effects) {
        if let Some(group) = self.group.clone() {
            out.note(Fact::CommitFailed { group, error });
        }
        if !error.is_retriable() {
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
            CommitFor::Interval => {}
            CommitFor::Revocation => self.membership.joining.last_commit_over(retry),
            CommitFor::Close => self.close_committed(retry),
        }
    }

    /// Looks up the positions that are missing: what the group has committed, else an end of the log
    /// (`updateFetchPositions`).
    pub(super) fn find_positions(&mut self, now: Instant, out: &mut Effects) {
        self.fetch_committed(now, out);
        self.validate_positions(now, out);
        let (partitions, wake) = self.fetcher.awaiting(now, |state| matches!(state, State::AwaitsReset(_)));
        if let Some(wake) = wake {
            self.wake_at(now, wake, out);
        }
        let spec = match self.config.auto_offset_reset {
            OffsetReset::Earliest => OffsetSpec::Earliest,
            OffsetReset::Latest => OffsetSpec::Latest,
            // `NoOffsetForPartitionException` ends the application.
            OffsetReset::None => {
                if !partitions.is_empty() {
                    self.fatal = Some(ErrorCode::OffsetOutOfRange);
                }
                return;
            }
        };
        let mut by_leader: BTreeMap<BrokerId, Vec<(TopicPartition, Option<LeaderEpoch>, OffsetSpec)>> = BTreeMap::new();
        for partition in partitions {
            match self.view.leader_and_epoch(partition) {
                Some((Some(leader), epoch)) => {
                    by_leader.entry(leader).or_default().push((partition, Some(epoch), spec));
                }
                _ => self.view.mark_stale(),
            }
        }
        for (leader, partitions) in by_leader {
            for (partition, ..) in &partitions {
                if let Some(state) = self.fetcher.get_mut(*partition)
                    && let State::AwaitsReset(reason) = state.state
                {
                    state.state = State::Resetting(reason);
                }
            }
            let purpose = Purpose::ListOffsets(partitions.iter().map(|(partition, ..)| *partition).collect());
            let request = ListOffsetsRequest { replica: None, isolation: self.config.isolation, partitions };
            self.send(now, Node::Broker(leader), Request::ListOffsets(request), purpose, out);
        }
    }

    fn fetch_committed(&mut self, now: Instant, out: &mut Effects) {
        let (Some(group), Some(coordinator)) = (self.group.clone(), self.membership.coordinator()) else { return };
        let (partitions, _) = self.fetcher.awaiting(now, |state| state == State::AwaitsCommitted);
        if self.commits.fetching || partitions.is_empty() {
            return;
        }
        if now < self.commits.fetch_not_before {
            let at = self.commits.fetch_not_before;
            return self.wake_at(now, at, out);
        }
        self.commits.fetching = true;
        let request = OffsetFetchRequest { group, partitions: Some(partitions) };
        self.send(now, Node::Broker(coordinator), Request::OffsetFetch(request), Purpose::OffsetFetch, out);
    }

    /// `OffsetFetchResponseHandler`.
    pub(super) fn on_offsets(&mut self, now: Instant, response: OffsetFetchResponse, out: &mut Effects) {
        if !response.error.is_none() {
            if matches!(response.error, ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable) {
                self.membership.forget_coordinator();
            }
            return self.offset_fetch_failed(now, out);
        }
        self.commits.fetching = false;
        self.commits.fetch_failures = 0;
        for (partition, offset, epoch) in response.partitions {
            let Some(state) = self.fetcher.get_mut(partition).filter(|state| state.state == State::AwaitsCommitted)
            else {
                continue;
            };
            if offset < 0 {
                state.state = State::AwaitsReset(ResetReason::NoOffset);
                continue;
            }
            state.committed = Some(offset);
            state.start_at(offset, epoch);
            out.note(Fact::PositionReset { partition, offset, reason: ResetReason::Committed });
        }
    }

    pub(super) fn offset_fetch_failed(&mut self, now: Instant, out: &mut Effects) {
        self.commits.fetching = false;
        let pause = self.backoff().pause(self.commits.fetch_failures, &mut self.rng);
        self.commits.fetch_failures += 1;
        self.commits.fetch_not_before = now + pause;
        self.wake_at(now, now + pause, out);
    }

    /// `OffsetFetcher.resetPositionIfNeeded`: the ends of the logs are the positions.
    pub(super) fn on_log_ends(&mut self, now: Instant, response: ListOffsetsResponse, out: &mut Effects) {
        for (partition, error, offset, _) in response.partitions {
            if !error.is_none() {
                if error.is_stale_metadata() {
                    self.view.mark_stale();
                }
                self.reset_failed(now, partition, out);
                continue;
            }
            let Some(state) = self.fetcher.get_mut(partition) else { continue };
            if let State::Resetting(reason) = state.state {
                // Nothing was read yet, so there is no epoch that could end before the position.
                state.start_at(offset, None);
                out.note(Fact::PositionReset { partition, offset, reason });
            }
        }
    }

    pub(super) fn reset_failed(&mut self, now: Instant, partition: TopicPartition, out: &mut Effects) {
        let at = now + self.backoff().pause(0, &mut self.rng);
        if let Some(state) = self.fetcher.get_mut(partition)
            && let State::Resetting(reason) = state.state
        {
            state.state = State::AwaitsReset(reason);
            state.not_before(at);
            self.wake_at(now, at, out);
        }
    }
}
