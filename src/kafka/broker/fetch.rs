//! Fetch, on the leader's side (`ReplicaManager.fetchMessages`, `DelayedFetch`), and ListOffsets.
//!
//! A consumer reads below the high watermark, a follower up to the log end. A follower's fetch is also its
//! acknowledgement of everything below the offset it asks for. Only a leader answers a follower; a consumer may read
//! from any replica, up to what that one knows to be committed, and where `replica.selector.class` says so the leader
//! sends it to one in its own rack (KIP-392).

use super::Broker;
use crate::kafka::config::{Isolation, ReplicaSelector};
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::Fact;
use crate::kafka::ids::{BrokerId, LeaderEpoch, Node, Offset};
use crate::kafka::log::TimeEntry;
use crate::kafka::message::{
    FetchPartition, FetchRequest, FetchResponse, FetchedPartition, ListOffsetsRequest, ListOffsetsResponse, OffsetSpec,
    Response,
};
use crate::kafka::mistakes::Mistake;
use crate::kafka::purgatory::DelayedFetch;
use crate::kafka::replica::{Leadership, Replica};
use crate::time::Instant;

/// What one partition of a fetch would get.
enum Outlook {
    /// So many bytes.
    Bytes(u64),
    /// An answer that must not wait.
    Urgent,
}

impl Broker {
    pub(super) fn on_fetch(
        &mut self,
        now: Instant,
        from: Node,
        correlation_id: u32,
        request: FetchRequest,
        out: &mut Effects,
    ) {
        if request.replica.is_some() {
            self.take_note_of_follower(now, &request, out);
        }
        if request.max_wait.is_zero() || request.partitions.is_empty() || self.is_answerable(&request, None) {
            return self.read_and_answer(now, from, correlation_id, request, out);
        }
        // A waiting fetch is looked at once more with the stricter eyes of the purgatory.
        let segments = self.segments_of(&request);
        if self.is_answerable(&request, Some(&segments)) {
            return self.read_and_answer(now, from, correlation_id, request, out);
        }
        let at = now + request.max_wait;
        let id = self.purgatory.hold_fetch(DelayedFetch { from, correlation_id, request, segments });
        out.set_timer(at, Timer::DelayedFetch { id });
    }

    /// Answers a waiting fetch if there is enough for it now.
    pub(super) fn try_complete_fetch(&mut self, id: u64, out: &mut Effects) {
        let Some(fetch) = self.purgatory.fetch(id) else { return };
        if self.is_answerable(&fetch.request, Some(&fetch.segments)) {
            self.finish_fetch(id, out);
        }
    }

    fn segments_of(&self, request: &FetchRequest) -> Vec<Offset> {
        let segment = |wanted: &FetchPartition| {
            self.replicas.get(&wanted.partition).map_or(0, |replica| replica.log().segment_base(wanted.fetch_offset))
        };
        request.partitions.iter().map(segment).collect()
    }

    /// Answers a waiting fetch with what there is.
    pub(super) fn finish_fetch(&mut self, id: u64, out: &mut Effects) {
        let Some(fetch) = self.purgatory.take_fetch(id) else { return };
        out.cancel_timer(Timer::DelayedFetch { id });
        self.answer_fetch(fetch.from, fetch.correlation_id, &fetch.request, out);
    }

    /// A follower has everything below what it asks for: it may join the ISR, and the high watermark may rise. A fetch
    /// from a diverging log says nothing of the kind.
    fn take_note_of_follower(&mut self, now: Instant, request: &FetchRequest, out: &mut Effects) {
        let Some((follower, epoch)) = request.replica else { return };
        for wanted in &request.partitions {
            let Some(replica) = self.replicas.get_mut(&wanted.partition) else { continue };
            if check(replica, wanted, Some(follower)).is_err() || diverges(replica, wanted) {
                continue;
            }
            let moved = replica.update_follower(now, follower, epoch, wanted.fetch_offset, wanted.log_start_offset);
            self.maybe_expand_isr(now, wanted.partition, follower, out);
            if moved {
                self.try_advance_high_watermark(now, wanted.partition, out);
            }
        }
    }

    /// Whether a fetch need not wait (any longer); in the purgatory with the segments that it began on.
    fn is_answerable(&self, request: &FetchRequest, segments: Option<&[Offset]>) -> bool {
        let mut bytes = 0;
        for (at, wanted) in request.partitions.iter().enumerate() {
            let began_on = segments.and_then(|segments| segments.get(at)).copied();
            match self.outlook(request, wanted, u64::from(request.min_bytes).saturating_sub(bytes), began_on) {
                Outlook::Urgent => return true,
                Outlook::Bytes(more) => bytes += more,
            }
        }
        bytes >= u64::from(request.min_bytes)
    }

    /// In the purgatory (`DelayedFetch.tryComplete`, case F) two more things are an answer: an offset beyond the readable
    /// end, for the leader has changed, and the client should look again; and an end that is on a later segment than the
    /// one that the fetch began on, however little there is to read before it.
    fn outlook(
        &self,
        request: &FetchRequest,
        wanted: &FetchPartition,
        enough: u64,
        began_on: Option<Offset>,
    ) -> Outlook {
        let Some(replica) = self.replicas.get(&wanted.partition) else { return Outlook::Urgent };
        let follower = request.replica.map(|(id, _)| id);
        if check(replica, wanted, follower).is_err() || diverges(replica, wanted) {
            return Outlook::Urgent;
        }
        if began_on.is_none() && self.preferred_read_replica(replica, request, wanted).is_some() {
            return Outlook::Urgent;
        }
        let end = readable_end(replica, request);
        if began_on.is_some() && wanted.fetch_offset > end {
            return Outlook::Urgent;
        }
        if self.leader_throttles(request, replica) {
            return Outlook::Bytes(0);
        }
        let is_older = |segment| wanted.fetch_offset < end && segment < replica.log().segment_base(end);
        if began_on.is_some_and(is_older) {
            return Outlook::Urgent;
        }
        let limit = u64::from(wanted.max_bytes).min(enough.max(1));
        Outlook::Bytes(replica.log().readable_bytes(wanted.fetch_offset, end, limit))
    }

    pub(super) fn answer_fetch(&mut self, to: Node, correlation_id: u32, request: &FetchRequest, out: &mut Effects) {
        let mut left = u64::from(request.max_bytes);
        let mut nothing_yet = true;
        let mut sent = 0;
        let partitions: Vec<FetchedPartition> = request
            .partitions
            .iter()
            .map(|wanted| {
                let fetched = self.read(request, wanted, left, nothing_yet, out);
                let bytes: u64 = fetched.batches.iter().map(|batch| batch.size()).sum();
                left = left.saturating_sub(bytes);
                sent += bytes;
                nothing_yet &= bytes == 0;
                fetched
            })
            .collect();
        self.count_sent(sent, out);
        self.record_sent(request, &partitions);
        out.respond(to, correlation_id, Response::Fetch(FetchResponse { partitions }));
    }

    fn read(
        &self,
        request: &FetchRequest,
        wanted: &FetchPartition,
        left: u64,
        at_least_one: bool,
        out: &mut Effects,
    ) -> FetchedPartition {
        let mut fetched = FetchedPartition {
            partition: wanted.partition,
            error: ErrorCode::None,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: None,
            current_leader: None,
            preferred_read_replica: None,
            batches: Vec::new(),
        };
        let Some(replica) = self.replicas.get(&wanted.partition) else {
            fetched.error = self.error_of_missing(wanted.partition);
            return fetched;
        };
        fetched.high_watermark = replica.high_watermark();
        fetched.last_stable_offset = replica.last_stable_offset();
        fetched.log_start_offset = replica.log().start();
        if let Some(preferred) = self.preferred_read_replica(replica, request, wanted)
            && replica.compare_epoch(wanted.current_leader_epoch).is_ok()
        {
            fetched.preferred_read_replica = Some(preferred);
            return fetched;
        }
        if let Err(error) = check(replica, wanted, request.replica.map(|(id, _)| id)) {
            out.note(Fact::FetchFailed { partition: wanted.partition, error });
            fetched.error = error;
            if matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch) {
                fetched.current_leader = replica.current_leader(self.id);
            }
            return fetched;
        }
        if let Ok(Some(diverging)) = place(replica, wanted) {
            fetched.diverging_epoch = Some(diverging);
            return fetched;
        }
        if self.leader_throttles(request, replica) {
            return fetched;
        }
        let limit = left.min(u64::from(wanted.max_bytes));
        fetched.batches = replica.log().read(wanted.fetch_offset, readable_end(replica, request), limit, at_least_one);
        fetched
    }

    /// Where else a consumer should read (`ReplicaManager.findPreferredReadReplica`, `RackAwareReplicaSelector`): at a
    /// replica in its rack that is in the ISR and has the offset, the one that is ahead of the others; not if the leader
    /// stands in that rack itself.
    fn preferred_read_replica(
        &self,
        replica: &Replica,
        request: &FetchRequest,
        wanted: &FetchPartition,
    ) -> Option<BrokerId> {
        if self.config.replica_selector != ReplicaSelector::RackAware || request.replica.is_some() {
            return None;
        }
        let (leadership, rack) = (replica.leadership()?, request.rack.as_ref()?);
        let brokers = &self.observer.image().brokers;
        let stands_there =
            |id: &BrokerId| brokers.get(id).is_some_and(|broker| !broker.fenced && broker.rack.as_ref() == Some(rack));
        if stands_there(&self.id) {
            return None;
        }
        let has_it =
            |id: &BrokerId| leadership.followers().get(id).is_some_and(|state| state.covers(wanted.fetch_offset));
        let nearest = leadership.isr().iter().filter(|id| stands_there(id) && has_it(id));
        nearest.max_by_key(|id| furthest_ahead(leadership, **id)).copied()
    }

    pub(super) fn on_list_offsets(
        &mut self,
        from: Node,
        correlation_id: u32,
        request: &ListOffsetsRequest,
        out: &mut Effects,
    ) {
        let partitions = request
            .partitions
            .iter()
            .map(|&(partition, epoch, spec)| {
                let Some(replica) = self.replicas.get(&partition) else {
                    return (partition, self.error_of_missing(partition), -1, Default::default());
                };
                match list_offset(replica, epoch, spec, request) {
                    Ok(offset) => (partition, ErrorCode::None, offset, replica.leader_epoch()),
                    Err(error) => (partition, error, -1, Default::default()),
                }
            })
            .collect();
        out.respond(from, correlation_id, Response::ListOffsets(ListOffsetsResponse { partitions }));
    }
}

/// The checks of a fetch, in Kafka's order: epoch, leadership, membership, divergence, offset (`Partition.fetchRecords`,
/// `readRecords`). A consumer need not ask the leader.
fn check(replica: &Replica, wanted: &FetchPartition, follower: Option<BrokerId>) -> Result<(), ErrorCode> {
    match follower {
        None => replica.compare_epoch(wanted.current_leader_epoch)?,
        Some(follower) => {
            replica.check_epoch(wanted.current_leader_epoch)?;
            // It may be a replica since a moment ago, of which the metadata has not told this broker yet.
            if !replica.leadership().is_some_and(|leadership| leadership.followers().contains_key(&follower)) {
                return Err(ErrorCode::UnknownLeaderEpoch);
            }
        }
    }
    place(replica, wanted).map(|_| ())
}

fn place(replica: &Replica, wanted: &FetchPartition) -> Result<Option<(LeaderEpoch, Offset)>, ErrorCode> {
    replica.place(wanted.last_fetched_epoch, wanted.fetch_offset)
}

fn diverges(replica: &Replica, wanted: &FetchPartition) -> bool {
    matches!(place(replica, wanted), Ok(Some(_)))
}

/// Orders the replicas that a consumer could read from (`ReplicaView.comparator`): the longer log, then who was caught up
/// later.
fn furthest_ahead(leadership: &Leadership, id: BrokerId) -> (Option<Offset>, Option<Instant>, BrokerId) {
    let state = leadership.followers().get(&id);
    (state.and_then(|state| state.log_end), state.and_then(|state| state.last_caught_up), id)
}

/// Where reading stops: a follower at the log end, a consumer at the high watermark or the last stable offset.
fn readable_end(replica: &Replica, request: &FetchRequest) -> Offset {
    if request.replica.is_some() {
        return replica.log().end();
    }
    committed_end(replica, request.isolation)
}

fn committed_end(replica: &Replica, isolation: Isolation) -> Offset {
    if replica.config().makes(Mistake::FetchAboveHighWatermark) {
        return replica.log().end();
    }
    match isolation {
        Isolation::ReadUncommitted => replica.high_watermark(),
        Isolation::ReadCommitted => replica.last_stable_offset(),
    }
}

/// A new leader whose high watermark has not reached its own epoch yet cannot tell a client where the log ends (KIP-207).
/// A follower wants to know where the log ends, and that is always known.
fn list_offset(
    replica: &Replica,
    epoch: Option<LeaderEpoch>,
    spec: OffsetSpec,
    request: &ListOffsetsRequest,
) -> Result<Offset, ErrorCode> {
    replica.check_epoch(epoch)?;
    match spec {
        OffsetSpec::Earliest => Ok(replica.log().start()),
        OffsetSpec::Timestamp(timestamp) => {
            Ok(found_below(replica, request.isolation, replica.log().offset_for_time(timestamp)))
        }
        OffsetSpec::MaxTimestamp => Ok(found_below(replica, request.isolation, replica.log().max_timestamp())),
        OffsetSpec::Latest if request.replica.is_some() => Ok(replica.log().end()),
        OffsetSpec::Latest => {
            let epoch_start = replica.leadership().map_or(0, |leadership| leadership.epoch_start());
            if replica.high_watermark() < epoch_start {
                return Err(ErrorCode::OffsetNotAvailable);
            }
            Ok(committed_end(replica, request.isolation))
        }
    }
}

/// The offset of a record that was looked up by its time; -1 where there is none that may be read yet
/// (`Partition.fetchOffsetForTimestamp`).
fn found_below(replica: &Replica, isolation: Isolation, found: Option<TimeEntry>) -> Offset {
    found.map(|found| found.offset).filter(|offset| *offset < committed_end(replica, isolation)).unwrap_or(-1)
}
