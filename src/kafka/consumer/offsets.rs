//! Positions: where a consumer begins to read (`ConsumerCoordinator`, `OffsetFetcher`).

use std::collections::BTreeMap;

use super::fetcher::State;
use super::{Consumer, Purpose};
use crate::kafka::config::{GroupProtocol, OffsetReset};
use crate::kafka::effects::Effects;
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::{Fact, ResetReason};
use crate::kafka::ids::{BrokerId, Generation, LeaderEpoch, Name, Node, TopicPartition};
use crate::kafka::message::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetFetchRequest, OffsetFetchResponse, OffsetSpec, Request,
};
use crate::kafka::mistakes::Mistake;
use crate::time::Instant;

/// The search for what the group has committed.
#[derive(Clone, Debug, Default)]
pub(super) struct CommittedSearch {
    /// OffsetFetch is out.
    asking: bool,
    not_before: Instant,
    failures: u32,
}

impl Consumer {
    /// Looks up the positions that are missing: what the group has committed, else an end of the log
    /// (`updateFetchPositions`).
    pub(super) fn find_positions(&mut self, now: Instant, out: &mut Effects) {
        self.fetch_committed(now, out);
        self.validate_positions(now, out);
        let (partitions, wake) = self.fetcher.awaiting(now, |state| matches!(state, State::AwaitsReset(_)));
        if let Some(wake) = wake {
            self.wake_at(now, wake, out);
        }
        let mut by_leader: BTreeMap<BrokerId, Vec<(TopicPartition, Option<LeaderEpoch>, OffsetSpec)>> = BTreeMap::new();
        for partition in partitions {
            let Some(spec) = self.reset_spec(now, partition) else {
                // `NoOffsetForPartitionException` ends the application.
                self.fatal = Some(ErrorCode::OffsetOutOfRange);
                return;
            };
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

    /// Which offset a position is reset to: where the application seeks, else what `auto.offset.reset` says.
    fn reset_spec(&mut self, now: Instant, partition: TopicPartition) -> Option<OffsetSpec> {
        let state = self.fetcher.get_mut(partition)?;
        if state.state == State::AwaitsReset(ResetReason::Sought) {
            return Some(if state.sought_end { OffsetSpec::Latest } else { OffsetSpec::Earliest });
        }
        match self.config.auto_offset_reset {
            OffsetReset::Earliest => Some(OffsetSpec::Earliest),
            OffsetReset::Latest => Some(OffsetSpec::Latest),
            OffsetReset::ByDuration(age) => {
                Some(OffsetSpec::Timestamp(now.timestamp_ms().saturating_sub_unsigned(age.as_millis())))
            }
            OffsetReset::None => None,
        }
    }

    fn fetch_committed(&mut self, now: Instant, out: &mut Effects) {
        let (Some(group), Some(coordinator)) = (self.group.clone(), self.membership.coordinator()) else { return };
        let (partitions, _) = self.fetcher.awaiting(now, |state| state == State::AwaitsCommitted);
        if self.committed_search.asking || partitions.is_empty() {
            return;
        }
        if now < self.committed_search.not_before {
            let at = self.committed_search.not_before;
            return self.wake_at(now, at, out);
        }
        self.committed_search.asking = true;
        let request = OffsetFetchRequest { group, member: self.member_and_epoch(), partitions: Some(partitions) };
        self.send(now, Node::Broker(coordinator), Request::OffsetFetch(request), Purpose::OffsetFetch, out);
    }

    /// Who a member of the consumer protocol is: then the coordinator checks it.
    fn member_and_epoch(&self) -> Option<(Name, Generation)> {
        let is_modern = self.membership.protocol == GroupProtocol::Consumer;
        let epoch = self.membership.generation().filter(|_| is_modern)?;
        Some((self.membership.member_id().clone(), epoch))
    }

    /// `OffsetFetchResponseHandler`.
    pub(super) fn on_offsets(&mut self, now: Instant, response: OffsetFetchResponse, out: &mut Effects) {
        if !response.error.is_none() {
            if matches!(response.error, ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable) {
                self.membership.forget_coordinator();
            }
            return self.offset_fetch_failed(now, out);
        }
        self.committed_search.asking = false;
        self.committed_search.failures = 0;
        for (partition, offset, epoch) in response.partitions {
            if let Some(epoch) = epoch {
                self.view.see_epoch(partition, epoch);
            }
            let Some(state) = self.fetcher.get_mut(partition).filter(|state| state.state == State::AwaitsCommitted)
            else {
                continue;
            };
            if offset < 0 || self.config.makes(Mistake::CommittedOffsetIgnored) {
                state.state = State::AwaitsReset(ResetReason::NoOffset);
                continue;
            }
            state.committed = Some(offset);
            state.start_at(offset, epoch);
            out.note(Fact::PositionReset { partition, offset, reason: ResetReason::Committed });
        }
    }

    pub(super) fn offset_fetch_failed(&mut self, now: Instant, out: &mut Effects) {
        self.committed_search.asking = false;
        let pause = self.backoff().pause(self.committed_search.failures, &mut self.rng);
        self.committed_search.failures += 1;
        self.committed_search.not_before = now + pause;
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
            let State::Resetting(reason) = state.state else { continue };
            if offset < 0 {
                // Nothing is that young yet: it is asked for again, as if there had been no answer.
                let at = now + self.config.request_timeout;
                state.state = State::AwaitsReset(reason);
                state.not_before(at);
                self.wake_at(now, at, out);
            } else {
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
