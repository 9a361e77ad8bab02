//! Whether a position is still what it was when the partition has another leader (KIP-320, `OffsetsForLeaderEpochClient`,
//! `SubscriptionState.maybeValidatePosition`).
//!
//! A new leader may lack records that the consumer has read already: after an unclean election, or where logs were cut
//! off as Kafka did of old. The consumer knows the epoch of the last record it has read; the leader knows where that
//! epoch ends in its log. An end before the position means that the log was cut off below it. The consumer then goes on
//! from that end, or fails where `auto.offset.reset` is `none`. Until the answer is here it fetches nothing.

use std::collections::BTreeMap;

use super::fetcher::State;
use super::{Consumer, Purpose};
use crate::kafka::config::OffsetReset;
use crate::kafka::effects::Effects;
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::{Fact, ResetReason};
use crate::kafka::ids::{BrokerId, LeaderEpoch, Node, Offset, TopicPartition};
use crate::kafka::message::{
    EpochEnd, EpochQuestion, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, Request,
};
use crate::time::Instant;

/// A position that a leader was asked about. The answer counts while nothing of it has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) partition: TopicPartition,
    position: Offset,
    epoch: LeaderEpoch,
    leader: (BrokerId, LeaderEpoch),
}

impl Consumer {
    /// Asks the leaders of all positions that a change of leader has put in doubt (`validatePositionsIfNeeded`).
    pub(super) fn validate_positions(&mut self, now: Instant, out: &mut Effects) {
        self.fetcher.notice_leaders(&self.view);
        let (partitions, wake) = self.fetcher.awaiting(now, |state| state == State::AwaitsValidation);
        if let Some(wake) = wake {
            self.wake_at(now, wake, out);
        }
        let mut by_leader: BTreeMap<BrokerId, Vec<Doubt>> = BTreeMap::new();
        for partition in partitions {
            let Some(doubt) = self.doubt(partition) else { continue };
            by_leader.entry(doubt.leader.0).or_default().push(doubt);
            if let Some(state) = self.fetcher.get_mut(partition) {
                state.not_before(now + self.config.request_timeout);
            }
        }
        for (leader, doubts) in by_leader {
            let questions = doubts.iter().map(|doubt| EpochQuestion {
                partition: doubt.partition,
                current_leader_epoch: Some(doubt.leader.1),
                leader_epoch: doubt.epoch,
            });
            let request =
                Request::OffsetForLeaderEpoch(OffsetForLeaderEpochRequest { partitions: questions.collect() });
            self.send(now, Node::Broker(leader), request, Purpose::EpochEnds(doubts), out);
        }
    }

    fn doubt(&mut self, partition: TopicPartition) -> Option<Doubt> {
        let state = self.fetcher.get_mut(partition).filter(|state| state.state == State::AwaitsValidation)?;
        Some(Doubt { partition, position: state.position?, epoch: state.last_epoch?, leader: state.current_leader? })
    }

    /// `OffsetFetcherUtils.onSuccessfulResponseForValidatingPositions`.
    pub(super) fn on_epoch_ends(
        &mut self,
        now: Instant,
        asked: &[Doubt],
        response: &OffsetForLeaderEpochResponse,
        out: &mut Effects,
    ) {
        for (answer, doubt) in response.partitions.iter().zip(asked) {
            if !answer.error.is_none() {
                self.validation_failed(now, doubt.partition, out);
            } else if self.doubt(doubt.partition) == Some(*doubt) {
                self.complete_validation(doubt, answer, out);
            }
        }
    }

    /// `SubscriptionState.maybeCompleteValidation`.
    fn complete_validation(&mut self, doubt: &Doubt, answer: &EpochEnd, out: &mut Effects) {
        let Some(state) = self.fetcher.get_mut(doubt.partition) else { return };
        let known = answer.leader_epoch.filter(|_| answer.end_offset >= 0);
        if known.is_some() && answer.end_offset >= doubt.position {
            state.not_before(Instant::ZERO);
            state.state = State::Fetching;
            return;
        }
        if self.config.auto_offset_reset == OffsetReset::None {
            // `LogTruncationException`, an `OffsetOutOfRangeException`, ends the application.
            self.fatal = Some(ErrorCode::OffsetOutOfRange);
            return;
        }
        state.not_before(Instant::ZERO);
        if known.is_none() {
            state.state = State::AwaitsReset(ResetReason::Truncated);
            return;
        }
        state.state = State::Fetching;
        state.position = Some(answer.end_offset);
        state.last_epoch = known;
        out.note(Fact::PositionReset {
            partition: doubt.partition,
            offset: answer.end_offset,
            reason: ResetReason::Truncated,
        });
    }

    /// The leader did not say: it is asked again after a pause, with fresh metadata.
    pub(super) fn validation_failed(&mut self, now: Instant, partition: TopicPartition, out: &mut Effects) {
        self.view.mark_stale();
        let at = now + self.backoff().pause(0, &mut self.rng);
        if let Some(state) = self.fetcher.get_mut(partition).filter(|state| state.state == State::AwaitsValidation) {
            state.not_before(at);
            self.wake_at(now, at, out);
        }
    }
}
