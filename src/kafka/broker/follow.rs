//! Following leaders: one fetcher for each broker that leads something this one has a replica of
//! (`ReplicaFetcherManager`, `ReplicaFetcherThread`; one thread per source broker).
//!
//! A fetcher has one Fetch out at a time, for all its partitions. The next goes out when the answer is here.
//!
//! A leader that cannot place the offset asked for answers OFFSET_OUT_OF_RANGE. The follower then asks with ListOffsets
//! where the leader's log ends, and, unless its own goes beyond that, where it begins
//! (`AbstractFetcherThread.fetchOffsetAndTruncate`). In Kafka the thread waits for those answers with all its partitions;
//! here the others go on.
//!
//! Where the cluster lives by an older rule ([`TruncationRule`]), a fetch does not carry the epoch of the last record,
//! and what must be cut off is found out before the first one.

use std::collections::BTreeMap;

use super::{Broker, Purpose};
use crate::kafka::compat::TruncationRule;
use crate::kafka::config::Isolation;
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{BrokerId, LeaderEpoch, Node, Offset, TopicPartition};
use crate::kafka::message::{
    FetchPartition, FetchRequest, FetchedPartition, ListOffsetsRequest, ListOffsetsResponse, OffsetSpec, Request,
};
use crate::kafka::replica::Replica;
use crate::time::{Duration, Instant};

/// The fetching from one leader.
#[derive(Clone, Debug, Default)]
pub(super) struct Fetcher {
    pub(super) partitions: BTreeMap<TopicPartition, Progress>,
    /// How far below the leader's high watermark each log ended when records last came (`PartitionFetchState.lag`).
    lags: BTreeMap<TopicPartition, Offset>,
    in_flight: bool,
}

impl Fetcher {
    /// Whether a partition has everything that is committed, as far as the last answer tells
    /// (`PartitionFetchState.isReplicaInSync`).
    pub(super) fn is_caught_up(&self, partition: TopicPartition) -> bool {
        self.lags.get(&partition).is_some_and(|lag| *lag <= 0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Fetching,
    /// After an error: not before this moment.
    BackingOff(Instant),
    /// Out of range: a ListOffsets is out.
    AwaitingOffset,
    /// It must ask where its last epoch ends, not before this moment ([`TruncationRule::RequestedEpoch`]).
    Truncating(Instant),
    /// That question is out.
    AwaitingEpochEnd,
    /// Fenced, or the log does not fit the leader's: nothing goes on before there is a new epoch (`markPartitionFailed`).
    AwaitingMetadata,
}

/// What was asked about a partition: an answer to something older is void.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskedFor {
    pub(super) partition: TopicPartition,
    pub(super) epoch: LeaderEpoch,
    /// The log end at that time.
    pub(super) offset: Offset,
}

/// An end of a leader's log that its follower asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeaderOffset {
    leader: BrokerId,
    partition: TopicPartition,
    epoch: LeaderEpoch,
    spec: OffsetSpec,
}

impl Broker {
    /// Follows `leader` with a partition, from its log end on, and nobody else; `None` follows nobody.
    pub(super) fn follow(&mut self, partition: TopicPartition, leader: Option<BrokerId>) {
        self.fetchers.retain(|id, fetcher| {
            if Some(*id) != leader {
                fetcher.partitions.remove(&partition);
            }
            fetcher.lags.remove(&partition);
            !fetcher.partitions.is_empty() || fetcher.in_flight || Some(*id) == leader
        });
        let first = match self.truncation {
            TruncationRule::RequestedEpoch => Progress::Truncating(Instant::ZERO),
            TruncationRule::HighWatermark | TruncationRule::DivergingEpoch => Progress::Fetching,
        };
        if let Some(leader) = leader {
            self.fetchers.entry(leader).or_default().partitions.insert(partition, first);
        }
    }

    /// Sends the fetches that may go out.
    pub(super) fn run_fetchers(&mut self, now: Instant, out: &mut Effects) {
        let leaders: Vec<BrokerId> = self.fetchers.keys().copied().collect();
        for leader in leaders {
            self.run_fetcher(now, leader, out);
        }
    }

    /// Sends the next fetch to a leader, unless one is out or every partition waits.
    pub(super) fn run_fetcher(&mut self, now: Instant, leader: BrokerId, out: &mut Effects) {
        self.ask_for_epoch_ends(now, leader, out);
        let fetch_epoch = self.fetch_epoch();
        let Some(fetcher) = self.fetchers.get(&leader) else { return };
        if fetcher.in_flight {
            return;
        }
        let throttles = |partition: &TopicPartition| self.follower_throttles(fetcher, *partition);
        let throttled: Vec<TopicPartition> = fetcher.partitions.keys().copied().filter(throttles).collect();
        let Some(fetcher) = self.fetchers.get_mut(&leader) else { return };
        let tells_epoch = self.truncation == TruncationRule::DivergingEpoch;
        let mut wanted = Vec::with_capacity(fetcher.partitions.len());
        let mut retry: Option<Instant> = None;
        for (partition, progress) in &mut fetcher.partitions {
            match *progress {
                Progress::BackingOff(until) | Progress::Truncating(until) if until > now => {
                    retry = Some(retry.map_or(until, |earliest| earliest.min(until)));
                    continue;
                }
                Progress::AwaitingOffset
                | Progress::Truncating(_)
                | Progress::AwaitingEpochEnd
                | Progress::AwaitingMetadata => continue,
                _ if throttled.contains(partition) => {
                    // With nothing else to ask for, Kafka's fetcher sleeps as after an error.
                    let until = now + self.config.replica_fetch_backoff;
                    retry = Some(retry.map_or(until, |earliest| earliest.min(until)));
                    continue;
                }
                Progress::Fetching | Progress::BackingOff(_) => *progress = Progress::Fetching,
            }
            if let Some(replica) = self.replicas.get(partition) {
                wanted.push(FetchPartition {
                    partition: *partition,
                    current_leader_epoch: Some(replica.leader_epoch()),
                    fetch_offset: replica.log().end(),
                    last_fetched_epoch: replica.log().last_epoch().filter(|_| tells_epoch),
                    log_start_offset: replica.log().start(),
                    max_bytes: self.config.replica_fetch_max_bytes,
                });
            }
        }
        if let Some(at) = retry {
            out.set_timer(at, Timer::FollowerFetch { leader });
        }
        let Some(epoch) = fetch_epoch.filter(|_| !wanted.is_empty()) else { return };
        fetcher.in_flight = true;
        let asked = wanted.iter().map(AskedFor::of).collect();
        let request = Request::Fetch(FetchRequest {
            replica: Some((self.id, epoch)),
            max_wait: self.config.replica_fetch_wait_max,
            min_bytes: self.config.replica_fetch_min_bytes,
            max_bytes: FOLLOWER_FETCH_MAX_BYTES,
            isolation: Isolation::ReadUncommitted,
            rack: None,
            partitions: wanted,
        });
        let purpose = Purpose::FollowerFetch { leader, asked };
        self.in_flight.send(now, Node::Broker(leader), request, FOLLOWER_FETCH_TIMEOUT, purpose, out);
    }

    /// A leader answered a fetch.
    pub(super) fn on_fetched(
        &mut self,
        now: Instant,
        leader: BrokerId,
        asked: &[AskedFor],
        fetched: Vec<FetchedPartition>,
        out: &mut Effects,
    ) {
        if let Some(fetcher) = self.fetchers.get_mut(&leader) {
            fetcher.in_flight = false;
        }
        for (answer, asked) in fetched.into_iter().zip(asked) {
            self.record_fetched(&answer);
            self.process_fetched(now, leader, *asked, answer, out);
        }
        self.run_fetcher(now, leader, out);
    }

    fn process_fetched(
        &mut self,
        now: Instant,
        leader: BrokerId,
        AskedFor { epoch, offset, .. }: AskedFor,
        answer: FetchedPartition,
        out: &mut Effects,
    ) {
        let Some(progress) =
            self.fetchers.get_mut(&leader).and_then(|fetcher| fetcher.partitions.get_mut(&answer.partition))
        else {
            return;
        };
        let Some(replica) = self.replicas.get_mut(&answer.partition) else { return };
        if replica.leader_epoch() != epoch || replica.is_leader() || replica.log().end() != offset {
            return;
        }
        match answer.error {
            ErrorCode::None => {
                if let Some((diverging, end)) = answer.diverging_epoch {
                    replica.truncate_to_divergence(diverging, end, out);
                } else if answer.batches.first().is_some_and(|batch| batch.base_offset < offset) {
                    // The leader's batches lie across this log's end (`UnexpectedAppendOffsetException`). That takes logs
                    // that diverge unnoticed.
                    *progress = Progress::AwaitingMetadata;
                } else {
                    let before = replica.high_watermark();
                    let has_records = !answer.batches.is_empty();
                    replica.append_fetched(answer.batches, answer.high_watermark, out);
                    let rose = replica.high_watermark() > before;
                    let lag = (answer.high_watermark - replica.log().end()).max(0);
                    if let Some(fetcher) = self.fetchers.get_mut(&leader)
                        && (has_records || !fetcher.lags.contains_key(&answer.partition))
                    {
                        fetcher.lags.insert(answer.partition, lag);
                    }
                    self.follow_log_start(answer.partition, answer.log_start_offset, out);
                    self.after_log_growth(now, answer.partition, out);
                    if rose {
                        // Consumers that read here may go on.
                        self.wake_fetches(answer.partition, out);
                    }
                }
            }
            ErrorCode::OffsetOutOfRange => {
                *progress = Progress::AwaitingOffset;
                let partition = answer.partition;
                self.ask_leader(now, LeaderOffset { leader, partition, epoch, spec: OffsetSpec::Latest }, out);
            }
            ErrorCode::FencedLeaderEpoch => *progress = Progress::AwaitingMetadata,
            _ => *progress = Progress::BackingOff(now + self.config.replica_fetch_backoff),
        }
    }

    fn ask_leader(&mut self, now: Instant, asked: LeaderOffset, out: &mut Effects) {
        let request = Request::ListOffsets(ListOffsetsRequest {
            replica: Some(self.id),
            isolation: Isolation::ReadUncommitted,
            partitions: vec![(asked.partition, Some(asked.epoch), asked.spec)],
        });
        let purpose = Purpose::FollowerListOffsets(asked);
        self.in_flight.send(now, Node::Broker(asked.leader), request, FOLLOWER_FETCH_TIMEOUT, purpose, out);
    }

    /// A leader said where its log ends or begins: what goes beyond its end is cut off; a log that ends before the
    /// leader's begins is dropped.
    pub(super) fn on_leader_offset(
        &mut self,
        now: Instant,
        asked: LeaderOffset,
        listed: &ListOffsetsResponse,
        out: &mut Effects,
    ) {
        let Some(&(_, error, offset, _)) = listed.partitions.first() else {
            return self.on_leader_offset_lost(now, asked, out);
        };
        let backoff = self.config.replica_fetch_backoff;
        let Some((progress, replica)) = self.awaiting_offset(asked) else { return };
        match error {
            ErrorCode::None => match asked.spec {
                OffsetSpec::Latest if offset >= replica.log().end() => {
                    return self.ask_leader(now, LeaderOffset { spec: OffsetSpec::Earliest, ..asked }, out);
                }
                OffsetSpec::Latest | OffsetSpec::Timestamp(_) | OffsetSpec::MaxTimestamp => {
                    *progress = Progress::Fetching;
                    replica.truncate(offset, out);
                }
                OffsetSpec::Earliest => {
                    *progress = Progress::Fetching;
                    if offset > replica.log().end() {
                        replica.truncate_fully_and_start_at(offset, out);
                    }
                }
            },
            ErrorCode::FencedLeaderEpoch => *progress = Progress::AwaitingMetadata,
            _ => *progress = Progress::BackingOff(now + backoff),
        }
        self.run_fetcher(now, asked.leader, out);
    }

    /// A leader does not say where its log ends: back to asking it for records after a pause.
    pub(super) fn on_leader_offset_lost(&mut self, now: Instant, asked: LeaderOffset, out: &mut Effects) {
        let until = now + self.config.replica_fetch_backoff;
        let Some((progress, _)) = self.awaiting_offset(asked) else { return };
        *progress = Progress::BackingOff(until);
        self.run_fetcher(now, asked.leader, out);
    }

    /// The partition that waits for this answer; `None` if the leader or its epoch has changed since.
    fn awaiting_offset(&mut self, asked: LeaderOffset) -> Option<(&mut Progress, &mut Replica)> {
        let progress = self.fetchers.get_mut(&asked.leader)?.partitions.get_mut(&asked.partition)?;
        let replica = self.replicas.get_mut(&asked.partition)?;
        let current = *progress == Progress::AwaitingOffset && replica.leader_epoch() == asked.epoch;
        current.then_some((progress, replica))
    }

    /// A leader does not answer: all its partitions back off.
    pub(super) fn on_fetch_lost(&mut self, now: Instant, leader: BrokerId, out: &mut Effects) {
        let until = now + self.config.replica_fetch_backoff;
        if let Some(fetcher) = self.fetchers.get_mut(&leader) {
            fetcher.in_flight = false;
            for progress in fetcher.partitions.values_mut().filter(|progress| **progress == Progress::Fetching) {
                *progress = Progress::BackingOff(until);
            }
        }
        self.run_fetcher(now, leader, out);
    }
}

impl AskedFor {
    fn of(fetch: &FetchPartition) -> Self {
        let epoch = fetch.current_leader_epoch.unwrap_or_default();
        Self { partition: fetch.partition, epoch, offset: fetch.fetch_offset }
    }
}

/// `replica.fetch.response.max.bytes`.
const FOLLOWER_FETCH_MAX_BYTES: u32 = 10_485_760;
/// `replica.socket.timeout.ms`.
pub(super) const FOLLOWER_FETCH_TIMEOUT: Duration = Duration::secs(30);
