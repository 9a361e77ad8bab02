//! Where an epoch ends: OffsetForLeaderEpoch, answered to consumers and, under the rule of KIP-101, asked of leaders
//! before anything is fetched (`Partition.lastOffsetForLeaderEpoch`, `AbstractFetcherThread.truncateToEpochEndOffsets`).
//!
//! Followers of today do not ask: their fetches say it all (KIP-595).

use super::follow::{AskedFor, FOLLOWER_FETCH_TIMEOUT, Progress};
use super::{Broker, Purpose};
use crate::kafka::compat::TruncationRule;
use crate::kafka::effects::Effects;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{BrokerId, Node, TopicPartition};
use crate::kafka::message::{
    EpochEnd, EpochQuestion, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, Request, Response,
};
use crate::kafka::metadata::MetadataImage;
use crate::time::Instant;

impl Broker {
    pub(super) fn on_offset_for_leader_epoch(
        &mut self,
        from: Node,
        correlation_id: u32,
        request: &OffsetForLeaderEpochRequest,
        out: &mut Effects,
    ) {
        let partitions = request.partitions.iter().map(|question| self.epoch_end(question)).collect();
        let response = OffsetForLeaderEpochResponse { partitions };
        out.respond(from, correlation_id, Response::OffsetForLeaderEpoch(response));
    }

    fn epoch_end(&self, question: &EpochQuestion) -> EpochEnd {
        let partition = question.partition;
        let unknown = EpochEnd { partition, error: ErrorCode::None, leader_epoch: None, end_offset: -1 };
        let Some(replica) = self.replicas.get(&partition) else {
            return EpochEnd { error: self.error_of_missing(partition), ..unknown };
        };
        if let Err(error) = replica.check_epoch(question.current_leader_epoch) {
            return EpochEnd { error, ..unknown };
        }
        let log = replica.log();
        match (log.epochs().end_offset_for(Some(question.leader_epoch), log.end()), self.truncation) {
            (None, _) => unknown,
            (Some((epoch, end)), TruncationRule::DivergingEpoch) => {
                EpochEnd { leader_epoch: Some(epoch), end_offset: end, ..unknown }
            }
            // Of an epoch before all that it knows a leader could not tell anything then.
            (Some(_), _) if log.epochs().entries().first().is_some_and(|first| question.leader_epoch < first.0) => {
                unknown
            }
            (Some((_, end)), _) => EpochEnd { end_offset: end, ..unknown },
        }
    }

    pub(super) fn error_of_missing(&self, partition: TopicPartition) -> ErrorCode {
        error_of_missing(self.observer.image(), partition)
    }

    /// Asks a leader about every partition that must know before it fetches. A log without epochs is cut off at the high
    /// watermark at once.
    pub(super) fn ask_for_epoch_ends(&mut self, now: Instant, leader: BrokerId, out: &mut Effects) {
        let Some(fetcher) = self.fetchers.get_mut(&leader) else { return };
        let mut asked = Vec::new();
        let mut questions = Vec::new();
        for (partition, progress) in &mut fetcher.partitions {
            if !matches!(*progress, Progress::Truncating(at) if at <= now) {
                continue;
            }
            let Some(replica) = self.replicas.get_mut(partition) else { continue };
            let Some(last) = replica.log().last_epoch() else {
                *progress = Progress::Fetching;
                replica.truncate(replica.high_watermark(), out);
                continue;
            };
            *progress = Progress::AwaitingEpochEnd;
            let epoch = replica.leader_epoch();
            asked.push(AskedFor { partition: *partition, epoch, offset: replica.log().end() });
            questions.push(EpochQuestion {
                partition: *partition,
                current_leader_epoch: Some(epoch),
                leader_epoch: last,
            });
        }
        if questions.is_empty() {
            return;
        }
        let request = Request::OffsetForLeaderEpoch(OffsetForLeaderEpochRequest { partitions: questions });
        let purpose = Purpose::FollowerEpochs { leader, asked };
        self.in_flight.send(now, Node::Broker(leader), request, FOLLOWER_FETCH_TIMEOUT, purpose, out);
    }

    /// A leader said where epochs end: what goes beyond is cut off, and the fetching begins. That it may speak of another
    /// epoch than the one asked about nobody notices (the mistake that KIP-279 mends).
    pub(super) fn on_epoch_ends(
        &mut self,
        now: Instant,
        leader: BrokerId,
        asked: &[AskedFor],
        response: &OffsetForLeaderEpochResponse,
        out: &mut Effects,
    ) {
        let retry = now + self.config.replica_fetch_backoff;
        for (answer, asked) in response.partitions.iter().zip(asked) {
            let fetcher = self.fetchers.get_mut(&leader);
            let progress = fetcher.and_then(|fetcher| fetcher.partitions.get_mut(&asked.partition));
            let (Some(progress), Some(replica)) = (progress, self.replicas.get_mut(&asked.partition)) else { continue };
            if *progress != Progress::AwaitingEpochEnd || replica.leader_epoch() != asked.epoch {
                continue;
            }
            *progress = match answer.error {
                ErrorCode::None => Progress::Fetching,
                ErrorCode::FencedLeaderEpoch => Progress::AwaitingMetadata,
                _ => Progress::Truncating(retry),
            };
            if answer.error.is_none() {
                // A leader that cannot tell leaves the old rule: to the high watermark.
                let end = if answer.end_offset < 0 { replica.high_watermark() } else { answer.end_offset };
                replica.truncate(end.min(replica.log().end()), out);
            }
        }
        self.run_fetcher(now, leader, out);
    }

    /// A leader does not answer: the same question again after a pause.
    pub(super) fn on_epoch_ends_lost(&mut self, now: Instant, leader: BrokerId, asked: &[AskedFor], out: &mut Effects) {
        let retry = now + self.config.replica_fetch_backoff;
        if let Some(fetcher) = self.fetchers.get_mut(&leader) {
            for asked in asked {
                if let Some(progress) = fetcher.partitions.get_mut(&asked.partition)
                    && *progress == Progress::AwaitingEpochEnd
                {
                    *progress = Progress::Truncating(retry);
                }
            }
        }
        self.run_fetcher(now, leader, out);
    }
}

/// What is answered about a partition that is not here: it has moved, or there is none
/// (`ReplicaManager.getPartitionOrError`).
pub(super) fn error_of_missing(image: &MetadataImage, partition: TopicPartition) -> ErrorCode {
    match image.partition(partition) {
        Some(_) => ErrorCode::NotLeaderOrFollower,
        None => ErrorCode::UnknownTopicOrPartition,
    }
}
