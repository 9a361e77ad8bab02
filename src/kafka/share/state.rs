//! A broker's share coordinator: the states of those share-partitions whose partition of `__share_group_state` the broker
//! leads (`ShareCoordinatorService`, `ShareCoordinatorShard`).
//!
//! A share-partition belongs to the partition that `group:topicId:partition` hashes to. A request is decided first: an
//! error, an answer, or a record. The record goes to the log and, once there, into memory; the answer waits until it is
//! committed. A new leader of `__share_group_state` reads the records back.
//!
//! Whoever writes names the epoch of the leader that it speaks for, and whoever is older than the newest one known is
//! turned away with FENCED_LEADER_EPOCH: a leader that was replaced changes nothing any more.
//!
//! What we leave out: `share.coordinator.write.timeout.ms` (whoever asks gives up by itself), snapshots of what has not
//! changed for long, deleting states.

use std::collections::{BTreeMap, VecDeque};

use rangemap::RangeMap;

use super::state_log::{self, ShareSnapshot, ShareUpdate, StateRecord};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{Generation, LeaderEpoch, Node, Offset, TopicPartition};
use crate::kafka::message::share::{
    InitializeShareGroupStateResponse, ReadShareGroupStateResponse, ReadShareGroupStateSummaryResponse,
    SharePartitionKey, StateBatch, WriteShareGroupStateResponse,
};
use crate::kafka::message::{Request, Response};
use crate::kafka::partitioner;
use crate::kafka::record::Batch;
use crate::time::Instant;

/// Who asked: another broker, or this one, by its own number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    Peer { node: Node, correlation_id: u32 },
    Own { id: u64 },
}

/// An answer, and whom it is for.
pub type Answer = (Asker, Response);

/// What follows from a request.
#[derive(Debug)]
pub enum Outcome {
    /// To be answered now.
    Answer(Answer),
    /// To be appended first; the broker reports by [`ShareCoordinator::appended`].
    Append(Box<StateAppend>),
    /// The answer waits for others.
    Waits,
}

/// A record that the coordinator wants in one of its partitions.
#[derive(Debug)]
pub struct StateAppend {
    /// Of `__share_group_state`.
    pub partition: u32,
    pub batch: Batch,
    record: StateRecord,
    answer: Answer,
}

/// The share coordinator of one broker.
#[derive(Clone, Debug, Default)]
pub struct ShareCoordinator {
    shards: BTreeMap<u32, Shard>,
}

#[derive(Clone, Debug)]
struct Shard {
    epoch: LeaderEpoch,
    states: BTreeMap<SharePartitionKey, State>,
    /// Answers, each with the offset that must be committed first.
    waiting: VecDeque<(Offset, Answer)>,
    high_watermark: Offset,
}

/// What is known of a share-partition, and how many updates there were since the last snapshot.
#[derive(Clone, Debug)]
struct State {
    known: ShareSnapshot,
    updates: u32,
}

/// The partition of `__share_group_state` that a share-partition belongs to (`SharePartitionKey.asCoordinatorKey`).
pub fn partition_of(key: &SharePartitionKey, partitions: u32) -> u32 {
    let TopicPartition { topic, partition } = key.partition;
    let uuid = base64(u128::from(topic.0) + 1);
    partitioner::coordinator_partition(&format!("{}:{uuid}:{partition}", key.group), partitions)
}

/// A UUID as Kafka prints it: in the URL alphabet, without padding.
fn base64(uuid: u128) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // 21 letters of six bits, and one of the last two.
    let six_bits = |place: u32| if place < 21 { uuid >> (122 - 6 * place) } else { uuid << 4 };
    (0..22).map(|place| char::from(ALPHABET[(six_bits(place) & 63) as usize])).collect()
}

impl ShareCoordinator {
    /// The broker leads a partition of `__share_group_state` and has read it.
    pub fn load(
        &mut self,
        partition: u32,
        epoch: LeaderEpoch,
        batches: &[Batch],
        high_watermark: Offset,
    ) -> Vec<Answer> {
        if self.shards.get(&partition).is_some_and(|shard| shard.epoch >= epoch) {
            return Vec::new();
        }
        let refused = self.unload(partition);
        let mut shard = Shard { epoch, states: BTreeMap::new(), waiting: VecDeque::new(), high_watermark };
        batches.iter().flat_map(state_log::records).for_each(|record| shard.apply(record));
        self.shards.insert(partition, shard);
        refused
    }

    /// It leads it no longer. Everybody who waits is sent to the next coordinator.
    pub fn unload(&mut self, partition: u32) -> Vec<Answer> {
        let waiting = self.shards.remove(&partition).map(|shard| shard.waiting).unwrap_or_default();
        waiting.into_iter().map(|(_, answer)| refuse(answer, ErrorCode::NotCoordinator)).collect()
    }

    /// Where groups stand that have begun: start offset and how many records from there on need no delivery, with the epoch
    /// of who knows it.
    pub fn standings(&self) -> impl Iterator<Item = (LeaderEpoch, &SharePartitionKey, Offset, i32)> {
        self.shards.values().flat_map(|shard| {
            let states = shard.states.iter().filter(|(_, state)| state.known.start_offset >= 0);
            states.map(|(key, State { known, .. })| {
                (shard.epoch, key, known.start_offset, known.delivery_complete_count.max(0))
            })
        })
    }

    /// Handles InitializeShareGroupState, ReadShareGroupState, WriteShareGroupState and ReadShareGroupStateSummary. The
    /// partition is the one that the share-partition belongs to.
    pub fn on_request(
        &mut self,
        now: Instant,
        asker: Asker,
        partition: u32,
        request: &Request,
        updates_per_snapshot: u32,
    ) -> Option<Outcome> {
        let key = key_of(request)?.clone();
        let Some(shard) = self.shards.get_mut(&partition) else {
            let response = error_response(request, &key, ErrorCode::NotCoordinator)?;
            return Some(Outcome::Answer((asker, response)));
        };
        let (record, response) = match shard.decide(now, &key, request, updates_per_snapshot) {
            Ok(decided) => decided,
            Err(error) => (None, error_response(request, &key, error)?),
        };
        let answer = (asker, response);
        match record {
            Some(record) => {
                let batch = state_log::batch(&record, now);
                Some(Outcome::Append(Box::new(StateAppend { partition, batch, record, answer })))
            }
            None => match shard.waiting.back() {
                // What it tells must be committed, too.
                Some((end, _)) => {
                    let end = *end;
                    shard.waiting.push_back((end, answer));
                    Some(Outcome::Waits)
                }
                None => Some(Outcome::Answer(answer)),
            },
        }
    }

    /// The broker has appended a record, up to the given offset, or could not.
    pub fn appended(&mut self, append: StateAppend, result: Result<Offset, ErrorCode>) -> Option<Answer> {
        let StateAppend { partition, record, answer, .. } = append;
        match (result, self.shards.get_mut(&partition)) {
            (Ok(end), Some(shard)) => {
                shard.apply(record);
                shard.waiting.push_back((end, answer));
                None
            }
            (Ok(_), None) | (Err(ErrorCode::NotLeaderOrFollower), _) => Some(refuse(answer, ErrorCode::NotCoordinator)),
            (Err(_), _) => Some(refuse(answer, ErrorCode::CoordinatorNotAvailable)),
        }
    }

    /// The partition's high watermark has moved. Returns what may be answered now.
    pub fn committed(&mut self, partition: u32, high_watermark: Offset) -> Vec<Answer> {
        let Some(shard) = self.shards.get_mut(&partition) else { return Vec::new() };
        shard.high_watermark = shard.high_watermark.max(high_watermark);
        let ready = shard.waiting.iter().take_while(|(end, _)| *end <= shard.high_watermark).count();
        shard.waiting.drain(..ready).map(|(_, answer)| answer).collect()
    }
}

impl Shard {
    fn decide(
        &self,
        now: Instant,
        key: &SharePartitionKey,
        request: &Request,
        updates_per_snapshot: u32,
    ) -> Result<(Option<StateRecord>, Response), ErrorCode> {
        let known = self.states.get(key);
        let (key, error) = (key.clone(), ErrorCode::None);
        match request {
            Request::InitializeShareGroupState(request) => {
                if known.is_some_and(|state| state.known.state_epoch > request.state_epoch) {
                    return Err(ErrorCode::FencedStateEpoch);
                }
                let snapshot = ShareSnapshot {
                    snapshot_epoch: known.map_or(0, |state| state.known.snapshot_epoch + 1),
                    state_epoch: request.state_epoch,
                    leader_epoch: LeaderEpoch(-1),
                    start_offset: request.start_offset,
                    delivery_complete_count: 0,
                    timestamp: now.timestamp_ms(),
                    batches: Vec::new(),
                };
                let response = InitializeShareGroupStateResponse { key: key.clone(), error };
                let record = StateRecord::Snapshot(key, snapshot);
                Ok((Some(record), Response::InitializeShareGroupState(response)))
            }
            Request::ReadShareGroupState(request) => {
                let state = known.ok_or(ErrorCode::InvalidRequest)?;
                if state.known.leader_epoch > request.leader_epoch {
                    return Err(ErrorCode::FencedLeaderEpoch);
                }
                let response = ReadShareGroupStateResponse {
                    key: key.clone(),
                    error,
                    state_epoch: state.known.state_epoch,
                    start_offset: state.known.start_offset,
                    batches: state.known.batches.clone(),
                };
                // From here on older leaders are turned away.
                let record = (state.known.leader_epoch < request.leader_epoch).then(|| {
                    let change = ShareUpdate {
                        snapshot_epoch: state.known.snapshot_epoch,
                        leader_epoch: request.leader_epoch,
                        start_offset: state.known.start_offset,
                        delivery_complete_count: state.known.delivery_complete_count,
                        batches: Vec::new(),
                    };
                    state.record(key, change, now, updates_per_snapshot)
                });
                Ok((record, Response::ReadShareGroupState(response)))
            }
            Request::WriteShareGroupState(request) => {
                let state = known.ok_or(ErrorCode::InvalidRequest)?;
                if state.known.leader_epoch > request.leader_epoch {
                    return Err(ErrorCode::FencedLeaderEpoch);
                }
                if state.known.state_epoch > request.state_epoch {
                    return Err(ErrorCode::FencedStateEpoch);
                }
                let change = ShareUpdate {
                    snapshot_epoch: state.known.snapshot_epoch,
                    leader_epoch: state.known.leader_epoch,
                    start_offset: request.start_offset,
                    delivery_complete_count: request.delivery_complete_count,
                    batches: combine(&[], &request.batches, request.start_offset),
                };
                let response = WriteShareGroupStateResponse { key: key.clone(), error };
                let record = state.record(key, change, now, updates_per_snapshot);
                Ok((Some(record), Response::WriteShareGroupState(response)))
            }
            Request::ReadShareGroupStateSummary(_) => {
                let state = known.ok_or(ErrorCode::InvalidRequest)?;
                let response = ReadShareGroupStateSummaryResponse {
                    key,
                    error,
                    start_offset: state.known.start_offset,
                    delivery_complete_count: state.known.delivery_complete_count,
                    leader_epoch: state.known.leader_epoch,
                };
                Ok((None, Response::ReadShareGroupStateSummary(response)))
            }
            _ => Err(ErrorCode::InvalidRequest),
        }
    }

    /// Takes in a record.
    fn apply(&mut self, record: StateRecord) {
        match record {
            StateRecord::Snapshot(key, known) => {
                self.states.insert(key, State { known, updates: 0 });
            }
            StateRecord::Update(key, update) => {
                if let Some(state) = self.states.get_mut(&key) {
                    state.known = state.changed(update);
                    state.updates += 1;
                }
            }
        }
    }
}

impl State {
    /// An update, or once there were many a snapshot with all there is (`generateShareStateRecord`).
    fn record(
        &self,
        key: SharePartitionKey,
        change: ShareUpdate,
        now: Instant,
        updates_per_snapshot: u32,
    ) -> StateRecord {
        if self.updates < updates_per_snapshot {
            return StateRecord::Update(key, change);
        }
        let snapshot_epoch = self.known.snapshot_epoch + 1;
        StateRecord::Snapshot(
            key,
            ShareSnapshot { snapshot_epoch, timestamp: now.timestamp_ms(), ..self.changed(change) },
        )
    }

    fn changed(&self, update: ShareUpdate) -> ShareSnapshot {
        let start_offset = if update.start_offset < 0 { self.known.start_offset } else { update.start_offset };
        ShareSnapshot {
            leader_epoch: update.leader_epoch.max(self.known.leader_epoch),
            start_offset,
            delivery_complete_count: update.delivery_complete_count,
            batches: combine(&self.known.batches, &update.batches, start_offset),
            ..self.known.clone()
        }
    }
}

/// Puts batches together: what is before the start goes, and of two that tell of the same record the one counts that is
/// further on, by deliveries and then by state (`PersisterStateBatchCombiner`).
fn combine(known: &[StateBatch], new: &[StateBatch], start: Offset) -> Vec<StateBatch> {
    let mut batches: Vec<&StateBatch> = known.iter().chain(new).filter(|batch| batch.last >= start).collect();
    batches.sort_by_key(|batch| (batch.delivery_count, batch.state));
    let mut combined: RangeMap<Offset, (u16, i8)> = RangeMap::new();
    for batch in batches.into_iter().filter(|batch| batch.first <= batch.last) {
        combined.insert(batch.first.max(start)..batch.last + 1, (batch.delivery_count, batch.state));
    }
    let batch = |(range, (delivery_count, state)): (&std::ops::Range<Offset>, &(u16, i8))| StateBatch {
        first: range.start,
        last: range.end - 1,
        state: *state,
        delivery_count: *delivery_count,
    };
    combined.iter().map(batch).collect()
}

/// What a request to the share coordinator is about.
pub fn key_of(request: &Request) -> Option<&SharePartitionKey> {
    match request {
        Request::InitializeShareGroupState(request) => Some(&request.key),
        Request::ReadShareGroupState(request) => Some(&request.key),
        Request::WriteShareGroupState(request) => Some(&request.key),
        Request::ReadShareGroupStateSummary(request) => Some(&request.key),
        _ => None,
    }
}

/// The error in an answer of the share coordinator.
pub fn error_of(response: &Response) -> ErrorCode {
    match response {
        Response::InitializeShareGroupState(response) => response.error,
        Response::ReadShareGroupState(response) => response.error,
        Response::WriteShareGroupState(response) => response.error,
        Response::ReadShareGroupStateSummary(response) => response.error,
        _ => ErrorCode::UnknownServerError,
    }
}

/// An answer with nothing but an error.
pub fn error_response(request: &Request, key: &SharePartitionKey, error: ErrorCode) -> Option<Response> {
    let key = key.clone();
    Some(match request {
        Request::InitializeShareGroupState(_) => {
            Response::InitializeShareGroupState(InitializeShareGroupStateResponse { key, error })
        }
        Request::ReadShareGroupState(_) => Response::ReadShareGroupState(read_error(key, error)),
        Request::WriteShareGroupState(_) => Response::WriteShareGroupState(WriteShareGroupStateResponse { key, error }),
        Request::ReadShareGroupStateSummary(_) => Response::ReadShareGroupStateSummary(summary_error(key, error)),
        _ => return None,
    })
}

/// The same answer with an error instead of what it would have said.
fn refuse((asker, response): Answer, error: ErrorCode) -> Answer {
    let response = match response {
        Response::InitializeShareGroupState(response) => {
            Response::InitializeShareGroupState(InitializeShareGroupStateResponse { error, ..response })
        }
        Response::ReadShareGroupState(response) => Response::ReadShareGroupState(read_error(response.key, error)),
        Response::WriteShareGroupState(response) => {
            Response::WriteShareGroupState(WriteShareGroupStateResponse { error, ..response })
        }
        Response::ReadShareGroupStateSummary(response) => {
            Response::ReadShareGroupStateSummary(summary_error(response.key, error))
        }
        other => other,
    };
    (asker, response)
}

fn read_error(key: SharePartitionKey, error: ErrorCode) -> ReadShareGroupStateResponse {
    ReadShareGroupStateResponse { key, error, state_epoch: Generation(-1), start_offset: -1, batches: Vec::new() }
}

fn summary_error(key: SharePartitionKey, error: ErrorCode) -> ReadShareGroupStateSummaryResponse {
    let leader_epoch = LeaderEpoch(0);
    ReadShareGroupStateSummaryResponse { key, error, start_offset: -1, delivery_complete_count: -1, leader_epoch }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(first: Offset, last: Offset, delivery_count: u16, state: i8) -> StateBatch {
        StateBatch { first, last, state, delivery_count }
    }

    #[test]
    fn a_uuid_is_printed_as_kafka_does() {
        assert_eq!(base64(1), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(base64(u128::MAX), "_____________________w");
    }

    #[test]
    fn of_two_batches_about_the_same_record_the_one_further_on_counts() {
        let known = [batch(0, 9, 1, 0)];
        assert_eq!(combine(&known, &[batch(3, 5, 1, 2)], 0), [batch(0, 2, 1, 0), batch(3, 5, 1, 2), batch(6, 9, 1, 0)]);
        assert_eq!(combine(&[batch(0, 9, 2, 0)], &[batch(0, 9, 1, 2)], 0), [batch(0, 9, 2, 0)]);
    }

    #[test]
    fn what_is_before_the_start_goes_and_neighbours_alike_are_one() {
        assert_eq!(combine(&[batch(0, 4, 1, 2)], &[batch(5, 9, 1, 2)], 3), [batch(3, 9, 1, 2)]);
        assert_eq!(combine(&[batch(0, 4, 1, 2)], &[], 5), []);
    }
}
