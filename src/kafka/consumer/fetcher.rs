//! What a consumer reads, where it stands, and what has come and waits for poll() (`SubscriptionState`,
//! `AbstractFetch`, `FetchBuffer`, `FetchCollector`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::application::Slice;
use crate::kafka::cluster_view::ClusterView;
use crate::kafka::effects::Effects;
use crate::kafka::fact::{Fact, ResetReason};
use crate::kafka::ids::{BrokerId, LeaderEpoch, Offset, Origin, TopicPartition};
use crate::kafka::record::Batch;
use crate::time::Instant;

/// The partitions that a consumer reads.
#[derive(Clone, Debug, Default)]
pub(super) struct Fetcher {
    partitions: BTreeMap<TopicPartition, Partition>,
    /// What has come, in that order. No partition is in here twice.
    buffer: VecDeque<Completed>,
    /// Brokers that have a Fetch to answer.
    asked: BTreeSet<BrokerId>,
    /// Brokers whose connection is lost, and when it may be tried again.
    unavailable: BTreeMap<BrokerId, Instant>,
}

/// A partition that the consumer reads.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    pub(super) state: State,
    /// Where the group has committed, as far as this consumer knows.
    pub(super) committed: Option<Offset>,
    /// The number of the commit that said so.
    pub(super) committed_by: u64,
    /// Where the application seeks, if it does: the end of the log, else its beginning.
    pub(super) sought_end: bool,
    /// The next offset that poll() returns, once it is known.
    pub(super) position: Option<Offset>,
    /// Epoch of the last record that poll() returned.
    pub(super) last_epoch: Option<LeaderEpoch>,
    /// The leader that the position is known to be right at, and its epoch.
    pub(super) current_leader: Option<(BrokerId, LeaderEpoch)>,
    /// The high watermark that the last answer told.
    pub(super) high_watermark: Option<Offset>,
    /// A nearer replica to read from (KIP-392), and until when.
    preferred: Option<(BrokerId, Instant)>,
    /// Not asked for before, after an error.
    not_before: Instant,
    /// It is about to be given up: poll() returns no more of it.
    revoking: bool,
    /// The application wants nothing of it for now.
    paused: bool,
    buffered: bool,
}

/// What a partition needs before it can be read (`FetchStates`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Where the group has committed.
    AwaitsCommitted,
    /// An end of the log, by `auto.offset.reset`.
    AwaitsReset(ResetReason),
    /// That has been asked for.
    Resetting(ResetReason),
    /// The leader's word that its log still has what was read before the position.
    AwaitsValidation,
    Fetching,
}

/// Records of one partition that have come (`CompletedFetch`).
#[derive(Clone, Debug)]
struct Completed {
    partition: TopicPartition,
    runs: VecDeque<Run>,
}

/// Records of one batch whose offsets follow each other.
#[derive(Clone, Debug)]
struct Run {
    base_offset: Offset,
    /// 0 for what poll() never returns: control records.
    count: u32,
    origin: Option<Origin>,
    /// Where the position goes once all of it is returned.
    next_offset: Offset,
    batch: Batch,
}

/// One Fetch to send.
pub(super) struct FetchPlan {
    pub(super) broker: BrokerId,
    pub(super) partitions: Vec<(TopicPartition, Option<LeaderEpoch>, Offset)>,
}

impl Partition {
    pub(super) fn new(state: State) -> Self {
        Self {
            state,
            committed: None,
            committed_by: 0,
            sought_end: false,
            position: None,
            last_epoch: None,
            current_leader: None,
            high_watermark: None,
            preferred: None,
            not_before: Instant::ZERO,
            revoking: false,
            paused: false,
            buffered: false,
        }
    }

    pub(super) fn start_at(&mut self, offset: Offset, epoch: Option<LeaderEpoch>) {
        self.state = State::Fetching;
        self.position = Some(offset);
        self.last_epoch = epoch;
        self.current_leader = None;
    }

    pub(super) fn not_before(&mut self, at: Instant) {
        self.not_before = at;
    }

    /// Reads from that replica until then. The time of one that is preferred already stays.
    pub(super) fn prefer(&mut self, now: Instant, replica: BrokerId, until: Instant) {
        if self.preferred.is_none_or(|(known, end)| known != replica || end < now) {
            self.preferred = Some((replica, until));
        }
    }

    /// Forgets the nearer replica. Returns whether there was one.
    pub(super) fn forget_preferred(&mut self) -> bool {
        self.preferred.take().is_some()
    }

    /// The application wants nothing of it for now.
    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    fn is_readable(&self) -> bool {
        self.state == State::Fetching && !self.revoking && !self.paused
    }
}

impl Fetcher {
    pub(super) fn partitions(&self) -> impl Iterator<Item = (TopicPartition, &Partition)> {
        self.partitions.iter().map(|(partition, state)| (*partition, state))
    }

    pub(super) fn get_mut(&mut self, partition: TopicPartition) -> Option<&mut Partition> {
        self.partitions.get_mut(&partition)
    }

    pub(super) fn assigned(&self) -> Vec<TopicPartition> {
        self.partitions.keys().copied().collect()
    }

    /// Reads these partitions from here on; those that it reads already stay as they are.
    pub(super) fn assign(&mut self, partitions: &[TopicPartition], state: State) {
        for partition in partitions {
            self.partitions.entry(*partition).or_insert_with(|| Partition::new(state));
        }
    }

    /// Reads only those partitions that are to stay.
    pub(super) fn retain(&mut self, stays: impl Fn(TopicPartition) -> bool) {
        self.partitions.retain(|partition, _| stays(*partition));
        self.buffer.retain(|completed| stays(completed.partition));
    }

    /// Reads exactly these, which are in order; what it reads already stays as it is.
    pub(super) fn read_only(&mut self, partitions: &[TopicPartition], fresh: State) {
        let stays = |partition: TopicPartition| partitions.binary_search(&partition).is_ok();
        if !self.partitions.keys().all(|known| stays(*known)) {
            self.retain(stays);
        }
        self.assign(partitions, fresh);
    }

    /// Whatever has come of a partition is of no use any more: its position is about to change.
    pub(super) fn seek(&mut self, partition: TopicPartition) -> Option<&mut Partition> {
        let state = self.partitions.get_mut(&partition)?;
        state.buffered = false;
        self.buffer.retain(|completed| completed.partition != partition);
        Some(state)
    }

    /// Returns nothing of a partition, or goes on with it; what has come is kept. Returns whether that is news.
    pub(super) fn set_paused(&mut self, partition: TopicPartition, paused: bool) -> bool {
        let Some(state) = self.partitions.get_mut(&partition).filter(|state| state.paused != paused) else {
            return false;
        };
        state.paused = paused;
        true
    }

    /// Reads nothing any more.
    pub(super) fn clear(&mut self) {
        self.partitions.clear();
        self.buffer.clear();
    }

    /// poll() returns nothing more of these (`markPendingRevocation`).
    pub(super) fn stop_for_revocation(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            if let Some(state) = self.partitions.get_mut(partition) {
                state.revoking = true;
            }
        }
    }

    /// The same for those that are about to go.
    pub(super) fn stop_some_for_revocation(&mut self, goes: impl Fn(TopicPartition) -> bool) {
        let going = self.partitions.iter_mut().filter(|(at, _)| goes(**at));
        going.for_each(|(_, partition)| partition.revoking = true);
    }

    /// A partition that has another leader is read from it; whether the position is still right there must be asked where
    /// the epoch of the last record is known (`SubscriptionState.maybeValidatePosition`).
    pub(super) fn notice_leaders(&mut self, view: &ClusterView) {
        for (partition, state) in &mut self.partitions {
            if !matches!(state.state, State::Fetching | State::AwaitsValidation) {
                continue;
            }
            let Some((leader, epoch)) = view.leader_and_epoch(*partition) else { continue };
            let Some(leader) = leader else {
                // A position that no leader has vouched for waits for one (`seekUnvalidated`).
                if state.current_leader.is_none() && state.last_epoch.is_some() {
                    state.state = State::AwaitsValidation;
                }
                continue;
            };
            if state.current_leader == Some((leader, epoch)) {
                continue;
            }
            state.current_leader = Some((leader, epoch));
            state.preferred = None;
            state.not_before = Instant::ZERO;
            state.state = if state.last_epoch.is_some() { State::AwaitsValidation } else { State::Fetching };
        }
    }

    /// Every position there is, for a commit (`allConsumed`).
    pub(super) fn consumed(&self) -> Vec<(TopicPartition, Offset, Option<LeaderEpoch>)> {
        let position = |(partition, state): (TopicPartition, &Partition)| {
            (state.state == State::Fetching).then_some((partition, state.position?, state.last_epoch))
        };
        self.partitions().filter_map(position).collect()
    }

    /// The partitions in that state whose backoff is over, and when the next backoff ends.
    pub(super) fn awaiting(
        &self,
        now: Instant,
        is_wanted: impl Fn(State) -> bool,
    ) -> (Vec<TopicPartition>, Option<Instant>) {
        let wanted = || self.partitions().filter(|(_, state)| is_wanted(state.state) && !state.revoking);
        let due = wanted().filter(|(_, state)| state.not_before <= now).map(|(partition, _)| partition).collect();
        (due, wanted().map(|(_, state)| state.not_before).filter(|at| *at > now).min())
    }

    /// How many records of a partition wait for poll().
    pub(super) fn buffered(&self, partition: TopicPartition) -> u64 {
        let completed = self.buffer.iter().find(|completed| completed.partition == partition);
        completed.map_or(0, |completed| completed.runs.iter().map(|run| u64::from(run.count)).sum())
    }

    /// The Fetches to send now: one to each broker that has none to answer and nothing in the buffer, for all it leads
    /// of what is not in the buffer (`prepareFetchRequests`). Also says which partitions have no leader, and when the
    /// next backoff ends.
    pub(super) fn plan(&mut self, now: Instant, view: &ClusterView) -> (Vec<FetchPlan>, bool, Option<Instant>) {
        let mut wake = None;
        let mut leaderless = false;
        if self.partitions.values().all(|state| state.buffered || !state.is_readable()) {
            return (Vec::new(), leaderless, wake);
        }
        let mut busy = self.asked.clone();
        if !self.buffer.is_empty() {
            let readable = |(_, state): &(TopicPartition, &Partition)| state.buffered && state.is_readable();
            busy.extend(self.partitions().filter(readable).filter_map(|(at, state)| source(now, view, at, state)));
        }
        let mut plans: BTreeMap<BrokerId, FetchPlan> = BTreeMap::new();
        for (partition, state) in self.partitions.iter().filter(|(_, state)| state.is_readable() && !state.buffered) {
            if state.not_before > now {
                wake = Some(wake.map_or(state.not_before, |wake: Instant| wake.min(state.not_before)));
                continue;
            }
            let Some(broker) = source(now, view, *partition, state) else {
                leaderless = true;
                continue;
            };
            if let Some(until) = self.unavailable.get(&broker).copied().filter(|until| *until > now) {
                wake = Some(wake.map_or(until, |wake: Instant| wake.min(until)));
                continue;
            }
            let Some(position) = state.position.filter(|_| !busy.contains(&broker)) else { continue };
            let epoch = view.leader_and_epoch(*partition).map(|(_, epoch)| epoch);
            let plan = plans.entry(broker).or_insert_with(|| FetchPlan { broker, partitions: Vec::new() });
            plan.partitions.push((*partition, epoch, position));
        }
        self.asked.extend(plans.keys());
        (plans.into_values().collect(), leaderless, wake)
    }

    /// The connection to the broker is lost: it is not asked before then.
    pub(super) fn hold_back(&mut self, broker: BrokerId, until: Instant) {
        self.unavailable.insert(broker, until);
    }

    /// The broker has answered its Fetch, or never will.
    pub(super) fn answered(&mut self, broker: BrokerId) {
        self.asked.remove(&broker);
    }

    /// Takes in what came for a partition, if it is still what the partition needs.
    pub(super) fn buffer(&mut self, partition: TopicPartition, asked: Offset, batches: Vec<Batch>, out: &mut Effects) {
        let Some(state) = self.partitions.get_mut(&partition) else { return };
        if !state.is_readable() || state.position != Some(asked) || state.buffered {
            return;
        }
        let mut runs = VecDeque::with_capacity(batches.len());
        for batch in batches {
            push_runs(batch, asked, &mut runs);
        }
        let mut records = runs.iter().filter(|run| run.count > 0);
        if let Some(first) = records.next() {
            let count = first.count + records.map(|run| run.count).sum::<u32>();
            out.note(Fact::Fetched { partition, base_offset: first.base_offset, count });
        }
        if !runs.is_empty() {
            state.buffered = true;
            self.buffer.push_back(Completed { partition, runs });
        }
    }

    /// Hands up to `room` records to the application, oldest answer first, and moves the positions (`collectFetch`).
    pub(super) fn collect(&mut self, mut room: u32, polled: &mut VecDeque<Slice>, out: &mut Effects) {
        let mut at = 0;
        while room > 0
            && let Some(completed) = self.buffer.get_mut(at)
        {
            let partition = completed.partition;
            let Some(state) = self.partitions.get_mut(&partition) else {
                self.buffer.remove(at);
                continue;
            };
            if state.paused || state.revoking {
                at += 1;
                continue;
            }
            // What came before the position was put in doubt is not returned.
            if state.state != State::Fetching {
                state.buffered = false;
                self.buffer.remove(at);
                continue;
            }
            let mut returned: Option<(Offset, u32)> = None;
            while let Some(run) = completed.runs.front_mut().filter(|run| room > 0 || run.count == 0) {
                if let Some(slice) = run.take(partition, room) {
                    room -= slice.count;
                    state.position = Some(slice.base_offset + Offset::from(slice.count));
                    state.last_epoch = Some(run.batch.leader_epoch);
                    returned = Some(join_or_note(partition, returned, &slice, out));
                    polled.push_back(slice);
                }
                if run.count == 0 {
                    state.position = Some(run.next_offset);
                    completed.runs.pop_front();
                }
            }
            if let Some((base_offset, count)) = returned {
                out.note(Fact::Polled { partition, base_offset, count });
            }
            if completed.runs.is_empty() {
                state.buffered = false;
                self.buffer.remove(at);
            }
        }
    }
}

/// Adds a slice to what poll() returns of a partition; where there is a gap before it, what came before is noted.
fn join_or_note(
    partition: TopicPartition,
    before: Option<(Offset, u32)>,
    slice: &Slice,
    out: &mut Effects,
) -> (Offset, u32) {
    match before {
        Some((base, count)) if base + Offset::from(count) == slice.base_offset => (base, count + slice.count),
        Some((base_offset, count)) => {
            out.note(Fact::Polled { partition, base_offset, count });
            (slice.base_offset, slice.count)
        }
        None => (slice.base_offset, slice.count),
    }
}

/// Where a partition is read from: the nearer replica that the leader named, else the leader.
fn source(now: Instant, view: &ClusterView, partition: TopicPartition, state: &Partition) -> Option<BrokerId> {
    let preferred = state.preferred.filter(|(_, until)| now <= *until).map(|(broker, _)| broker);
    // One that is not in the cluster any more is of no use (`AbstractFetch.selectReadReplica`).
    let preferred = preferred.filter(|broker| view.brokers().contains(broker));
    preferred.or_else(|| view.leader(partition))
}

/// The part of a batch at and after `from`, as runs. Only a compacted batch, which has gaps, is looked into.
fn push_runs(batch: Batch, from: Offset, runs: &mut VecDeque<Run>) {
    if batch.next_offset() <= from {
        return;
    }
    if batch.is_control() {
        let next_offset = batch.next_offset();
        runs.push_back(Run { base_offset: next_offset, count: 0, origin: None, next_offset, batch });
        return;
    }
    if batch.record_count == batch.last_offset_delta + 1 {
        let base_offset = from.max(batch.base_offset);
        let count = (batch.next_offset() - base_offset) as u32;
        runs.push_back(Run::of(batch, base_offset, count));
        return;
    }
    let next_offset = batch.next_offset();
    let Ok(records) = batch.records() else { return };
    let mut offsets = records.map(|record| record.offset).filter(|offset| *offset >= from);
    let mut current = offsets.next().map(|first| (first, 1));
    for offset in offsets {
        let Some((base, count)) = current else { break };
        if offset == base + Offset::from(count) {
            current = Some((base, count + 1));
        } else {
            runs.push_back(Run::of(batch.clone(), base, count));
            current = Some((offset, 1));
        }
    }
    match current {
        Some((base, count)) => runs.push_back(Run { next_offset, ..Run::of(batch, base, count) }),
        None => runs.push_back(Run { base_offset: next_offset, count: 0, origin: None, next_offset, batch }),
    }
}

impl Run {
    fn of(batch: Batch, base_offset: Offset, count: u32) -> Self {
        let delta = (base_offset - batch.base_offset) as u64;
        let origin = batch.origin.map(|origin| Origin { first: origin.first + delta, count, ..origin });
        Self { base_offset, count, origin, next_offset: base_offset + Offset::from(count), batch }
    }

    /// Takes up to `room` records off the front.
    fn take(&mut self, partition: TopicPartition, room: u32) -> Option<Slice> {
        let count = self.count.min(room);
        if count == 0 {
            return None;
        }
        let origin = self.origin.map(|origin| Origin { count, ..origin });
        let slice = Slice { partition, base_offset: self.base_offset, count, origin, batch: self.batch.clone() };
        self.base_offset += Offset::from(count);
        self.count -= count;
        if let Some(origin) = &mut self.origin {
            origin.first += u64::from(count);
            origin.count -= count;
        }
        Some(slice)
    }
}
