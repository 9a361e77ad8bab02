//! One partition as one share group reads it, at the partition's leader (`SharePartition`).
//!
//! There is a window on the log. Before its start everything is done; from its end on nobody has had anything. Between
//! them each record has a state:
//!
//! | state | what leads out of it |
//! | --- | --- |
//! | Available | a member acquires it, and its delivery count rises |
//! | Acquired | accept: Acknowledged. Reject: Archived. Release, or the end of the lock's time: Available, or Archived if it has been delivered as often as `group.share.delivery.count.limit` allows. Renew: the lock's time begins anew |
//! | Acknowledged, Archived | nothing: the start moves over it |
//!
//! What becomes of an acquired record counts once the share coordinator has it: until then the record is *in transition*,
//! and if it cannot be written it goes back to whoever had it. That a record was acquired is written nowhere; a new leader
//! finds it Available.
//!
//! Records that share a fate are kept as one run; the runs cover the window without a gap. A batch that fails again and
//! again is handed out in ever smaller pieces, and a record alone at its last attempt, so that one bad record does not take
//! its neighbours with it (`shouldThrottleRecordsDelivery`).
//!
//! What we leave out: gaps of compacted topics; that pieces of one batch with different delivery counts are handed out
//! together.

use std::collections::BTreeMap;

use crate::kafka::config::{AcquireMode, BrokerConfig};
use crate::kafka::effects::Effects;
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::{AcquisitionEnd, Fact};
use crate::kafka::ids::{Generation, LeaderEpoch, Name, Offset};
use crate::kafka::message::share::{
    AcknowledgeType, AcknowledgementBatch, AcquiredRecords, SharePartitionKey, StateBatch, WriteShareGroupStateRequest,
};
use crate::kafka::record::Batch;
use crate::time::{Duration, Instant};

/// What has become of a record (`RecordState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordState {
    Available,
    Acquired,
    Acknowledged,
    Archived,
}

impl RecordState {
    /// The number in `__share_group_state`.
    pub const fn id(self) -> i8 {
        match self {
            Self::Available => 0,
            Self::Acquired => 1,
            Self::Acknowledged => 2,
            Self::Archived => 4,
        }
    }

    /// What that number says; a state that nobody writes down is taken for Available.
    pub const fn of_id(id: i8) -> Self {
        match id {
            2 => Self::Acknowledged,
            4 => Self::Archived,
            _ => Self::Available,
        }
    }

    const fn is_terminal(self) -> bool {
        matches!(self, Self::Acknowledged | Self::Archived)
    }
}

/// How much a share group may do at once, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `group.share.record.lock.duration.ms`
    pub lock: Duration,
    /// `group.share.delivery.count.limit`
    pub deliveries: u16,
    /// `group.share.partition.max.record.locks`
    pub in_flight: u32,
}

impl Limits {
    pub fn of(config: &BrokerConfig) -> Self {
        Self {
            lock: config.share_record_lock_duration,
            deliveries: config.share_delivery_count_limit as u16,
            in_flight: config.share_partition_max_record_locks,
        }
    }

    /// Delivered so often, a batch is handed out in pieces (`throttleRecordsDeliveryLimit`).
    fn throttle(&self) -> u16 {
        self.deliveries.div_ceil(2).max(2)
    }

    /// How many records of such a batch go together.
    fn piece(&self, run: &Run) -> u32 {
        if self.deliveries > 2 && run.delivery_count + 1 >= self.deliveries {
            return 1;
        }
        (run.batch >> (run.delivery_count - self.throttle() + 1)).max(1)
    }

    /// Where a record goes that a member does not want.
    fn after_release(&self, delivery_count: u16) -> RecordState {
        if delivery_count >= self.deliveries { RecordState::Archived } else { RecordState::Available }
    }
}

/// What a member asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    pub member: &'a Name,
    pub max_records: u32,
    pub batch_size: u32,
    pub mode: AcquireMode,
}

/// Records that follow each other and share a fate, as they look from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    pub first: Offset,
    pub last: Offset,
    pub state: RecordState,
    pub delivery_count: u16,
    /// Who has them.
    pub member: Option<Name>,
}

/// A share group's window on a partition.
#[derive(Clone, Debug)]
pub struct SharePartition {
    key: SharePartitionKey,
    leader_epoch: LeaderEpoch,
    state_epoch: Generation,
    /// SPSO: everything before it is done.
    start: Offset,
    /// Nothing from here on was ever acquired.
    end: Offset,
    /// By first offset.
    runs: BTreeMap<Offset, Run>,
}

#[derive(Clone, Debug)]
struct Run {
    last: Offset,
    state: RecordState,
    delivery_count: u16,
    /// How many records were acquired together when these were first.
    batch: u32,
    holder: Option<Holder>,
    transition: Option<Transition>,
}

#[derive(Clone, Debug)]
struct Holder {
    member: Name,
    locked_until: Instant,
}

/// A change that the share coordinator has not confirmed.
#[derive(Clone, Debug)]
struct Transition {
    write: u64,
    how: AcquisitionEnd,
    before: Holder,
}

impl SharePartition {
    /// As the share coordinator has it. `start` is where the group begins if that has never been decided.
    pub fn load(
        key: SharePartitionKey,
        leader_epoch: LeaderEpoch,
        state_epoch: Generation,
        start: Offset,
        batches: &[StateBatch],
        out: &mut Effects,
    ) -> Self {
        let mut runs = BTreeMap::new();
        let mut end = start;
        let known = |last, state, delivery_count, batch| Run {
            last,
            state,
            delivery_count,
            batch,
            holder: None,
            transition: None,
        };
        for batch in batches.iter().filter(|batch| batch.last >= start) {
            let first = batch.first.max(end);
            if first > end {
                // These were acquired, and nobody wrote down how that ended.
                runs.insert(end, known(first - 1, RecordState::Available, 0, length(end, first - 1)));
            }
            let state = RecordState::of_id(batch.state);
            runs.insert(first, known(batch.last, state, batch.delivery_count, length(first, batch.last)));
            end = batch.last + 1;
        }
        let mut partition = Self { key, leader_epoch, state_epoch, start, end, runs };
        partition.advance(out);
        partition
    }

    pub fn key(&self) -> &SharePartitionKey {
        &self.key
    }

    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// The share-partition start offset.
    pub fn start(&self) -> Offset {
        self.start
    }

    /// The end of the window.
    pub fn end(&self) -> Offset {
        self.end
    }

    /// How many records below the end of the log still need delivery (KIP-1226).
    pub fn lag(&self, log_end: Offset) -> Offset {
        (log_end - self.start - Offset::from(self.delivery_complete_count())).max(0)
    }

    /// How many records from the start on need no delivery any more.
    fn delivery_complete_count(&self) -> i32 {
        let done = self.runs.iter().filter(|(first, run)| **first >= self.start && run.state.is_terminal());
        done.map(|(first, run)| length(*first, run.last).cast_signed()).sum()
    }

    /// What is in the window, in order.
    pub fn records(&self) -> impl Iterator<Item = Records> {
        self.runs.iter().map(|(first, run)| Records {
            first: *first,
            last: run.last,
            state: run.state,
            delivery_count: run.delivery_count,
            member: run.holder.as_ref().map(|holder| holder.member.clone()),
        })
    }

    /// Where the next records are to be read: the first that are back, else those that nobody has had.
    pub fn next_fetch_offset(&self) -> Offset {
        self.runs.iter().find(|(_, run)| run.is_free()).map_or(self.end, |(first, _)| *first)
    }

    /// Whether somebody could acquire something here, if the log has it (`canAcquireRecords`).
    pub fn can_acquire(&self, limits: &Limits) -> bool {
        self.next_fetch_offset() < self.end || self.in_flight() < limits.in_flight
    }

    fn in_flight(&self) -> u32 {
        let open = self.runs.iter().filter(|(_, run)| !run.state.is_terminal());
        open.map(|(first, run)| length(*first, run.last)).sum()
    }

    /// Gives a member records of what was read at [`next_fetch_offset`](Self::next_fetch_offset).
    pub fn acquire(
        &mut self,
        now: Instant,
        wish: &Wish,
        read: &[Batch],
        limits: &Limits,
        out: &mut Effects,
    ) -> Vec<AcquiredRecords> {
        let mut acquired = Acquired::default();
        let from = self.next_fetch_offset();
        let Some(mut last) = read.last().map(Batch::last_offset).filter(|last| *last >= from) else {
            return acquired.records;
        };
        let room = limits.in_flight.saturating_sub(self.in_flight());
        let mut max = wish.max_records.min(room);
        if room == 0 {
            // Nothing new, but what is back already counts.
            last = last.min(self.end - 1);
            max = wish.max_records.min((self.end - from).max(0) as u32);
        }
        if last < from {
            return acquired.records;
        }
        let holder = Holder { member: wish.member.clone(), locked_until: now + limits.lock };
        let free: Vec<Offset> =
            self.runs.range(from..=last).filter(|(_, run)| run.is_free()).map(|(first, _)| *first).collect();
        for first in free {
            let Some(run) = self.runs.get(&first).filter(|_| acquired.count < max) else { break };
            let is_throttled = run.delivery_count >= limits.throttle();
            if is_throttled && acquired.count > 0 {
                return acquired.records;
            }
            let mut size = length(first, run.last.min(last));
            if is_throttled {
                size = size.min(limits.piece(run));
            }
            if wish.mode == AcquireMode::RecordLimit {
                size = size.min(max - acquired.count);
            }
            self.split(first + Offset::from(size));
            if let Some(run) = self.runs.get_mut(&first) {
                run.state = RecordState::Acquired;
                run.delivery_count += 1;
                run.holder = Some(holder.clone());
                acquired.add(&self.key, wish.member, first, run, out);
            }
            if is_throttled {
                return acquired.records;
            }
        }
        if acquired.count < max && last >= self.end {
            for (first, last) in new_batches(self.end, last, max - acquired.count, wish, read) {
                let run = Run {
                    last,
                    state: RecordState::Acquired,
                    delivery_count: 1,
                    batch: length(first, last),
                    holder: Some(holder.clone()),
                    transition: None,
                };
                acquired.add(&self.key, wish.member, first, &run, out);
                self.runs.insert(first, run);
                self.end = last + 1;
            }
        }
        acquired.records
    }

    /// A member says what becomes of records that it has. What that changes is to be written under this id, and counts
    /// once [`completed`](Self::completed) says so. With an error nothing has changed.
    pub fn acknowledge(
        &mut self,
        now: Instant,
        member: &Name,
        batches: &[AcknowledgementBatch],
        limits: &Limits,
        write: u64,
    ) -> Result<Vec<StateBatch>, ErrorCode> {
        let mut claimed = Vec::new();
        for batch in batches.iter().filter(|batch| batch.last >= self.start) {
            let (first, last) = (batch.first.max(self.start), batch.last);
            self.check_holder(member, first, last)?;
            // The same record twice in one request is in transition the second time.
            let is_free = |(from, to): &(Offset, Offset)| last < *from || *to < first;
            if !claimed.iter().all(is_free) {
                return Err(ErrorCode::InvalidRecordState);
            }
            claimed.push((first, last));
        }
        let (start, mut changed) = (self.start, Vec::new());
        for batch in batches.iter().filter(|batch| batch.last >= start) {
            let (first, last) = (batch.first.max(start), batch.last);
            self.split(first);
            self.split(last + 1);
            for (first, run) in self.runs.range_mut(first..=last) {
                match batch.kind {
                    AcknowledgeType::Renew => {
                        run.holder.iter_mut().for_each(|holder| holder.locked_until = now + limits.lock);
                    }
                    AcknowledgeType::Accept => {
                        changed.extend(run.begin(*first, RecordState::Acknowledged, AcquisitionEnd::Accepted, write));
                    }
                    AcknowledgeType::Reject => {
                        changed.extend(run.begin(*first, RecordState::Archived, AcquisitionEnd::Rejected, write));
                    }
                    AcknowledgeType::Release => changed.extend(run.release(*first, limits, write)),
                }
            }
        }
        Ok(changed)
    }

    /// A member is gone: everything it has is released, as by [`acknowledge`](Self::acknowledge).
    pub fn release(&mut self, member: &Name, limits: &Limits, write: u64) -> Vec<StateBatch> {
        let held = |run: &Run| run.is_held() && run.holder.as_ref().is_some_and(|holder| holder.member == *member);
        let theirs = self.runs.iter_mut().filter(|(_, run)| held(run));
        theirs.filter_map(|(first, run)| run.release(*first, limits, write)).collect()
    }

    /// The share coordinator has that, or could not take it.
    pub fn completed(&mut self, now: Instant, write: u64, is_written: bool, limits: &Limits, out: &mut Effects) {
        for (first, run) in &mut self.runs {
            let Some(transition) = run.transition.take_if(|transition| transition.write == write) else { continue };
            if is_written {
                out.note(ended(&self.key, *first, run.last, transition.before.member, transition.how));
            } else if transition.before.locked_until > now {
                run.state = RecordState::Acquired;
                run.holder = Some(transition.before);
            } else {
                run.state = limits.after_release(run.delivery_count);
                let how = how_released(run.state, AcquisitionEnd::TimedOut);
                out.note(ended(&self.key, *first, run.last, transition.before.member, how));
            }
        }
        self.advance(out);
    }

    /// When the next lock's time is over.
    pub fn next_expiry(&self) -> Option<Instant> {
        let held = self.runs.values().filter(|run| run.is_held());
        held.filter_map(|run| run.holder.as_ref()).map(|holder| holder.locked_until).min()
    }

    /// Whatever was held for too long is available again, at once. What changed should be written; nobody waits for it
    /// (`releaseAcquisitionLockOnTimeout`).
    pub fn expire(&mut self, now: Instant, limits: &Limits, out: &mut Effects) -> Vec<StateBatch> {
        let mut changed = Vec::new();
        for (first, run) in self.runs.iter_mut().filter(|(_, run)| run.is_held()) {
            let Some(holder) = run.holder.take_if(|holder| holder.locked_until <= now) else { continue };
            run.state =
                if run.last < self.start { RecordState::Archived } else { limits.after_release(run.delivery_count) };
            let how = how_released(run.state, AcquisitionEnd::TimedOut);
            out.note(ended(&self.key, *first, run.last, holder.member, how));
            changed.extend((run.last >= self.start).then(|| run.state_batch(*first)));
        }
        self.advance(out);
        changed
    }

    /// The log begins later now: what was before is no more. Who has such a record keeps it, to no avail
    /// (`updateCacheAndOffsets`).
    pub fn log_start_moved(&mut self, log_start: Offset, out: &mut Effects) {
        if log_start <= self.start {
            return;
        }
        self.split(log_start);
        self.runs.retain(|first, run| *first >= log_start || run.state == RecordState::Acquired);
        self.move_start(log_start, out);
        self.end = self.end.max(log_start);
        self.advance(out);
    }

    /// What the share coordinator should be told.
    pub fn to_write(&self, batches: Vec<StateBatch>) -> WriteShareGroupStateRequest {
        WriteShareGroupStateRequest {
            key: self.key.clone(),
            state_epoch: self.state_epoch,
            leader_epoch: self.leader_epoch,
            start_offset: self.start,
            delivery_complete_count: self.delivery_complete_count(),
            batches,
        }
    }

    /// All of these records are held by the member.
    fn check_holder(&self, member: &Name, first: Offset, last: Offset) -> Result<(), ErrorCode> {
        if last < first || last >= self.end {
            return Err(ErrorCode::InvalidRequest);
        }
        let floor = self.runs.range(..=first).next_back().filter(|(_, run)| run.last >= first);
        let from = floor.map_or(first, |(from, _)| *from);
        let theirs = |run: &Run| run.is_held() && run.holder.as_ref().is_some_and(|holder| holder.member == *member);
        if self.runs.range(from..=last).all(|(_, run)| theirs(run)) {
            Ok(())
        } else {
            Err(ErrorCode::InvalidRecordState)
        }
    }

    /// Makes a run begin at this offset, if one has it.
    fn split(&mut self, at: Offset) {
        let Some((_, run)) = self.runs.range_mut(..at).next_back().filter(|(_, run)| run.last >= at) else { return };
        let rest = run.clone();
        run.last = at - 1;
        self.runs.insert(at, rest);
    }

    /// The start moves over everything that is done.
    fn advance(&mut self, out: &mut Effects) {
        let mut to = self.start;
        while let Some(run) = self.runs.get(&to).filter(|run| run.state.is_terminal() && run.transition.is_none()) {
            let next = run.last + 1;
            self.runs.remove(&to);
            to = next;
        }
        let start = self.start;
        self.runs.retain(|_, run| run.last >= start || run.is_held());
        self.move_start(to, out);
    }

    fn move_start(&mut self, to: Offset, out: &mut Effects) {
        let from = std::mem::replace(&mut self.start, to);
        if from < to {
            let SharePartitionKey { group, partition } = self.key.clone();
            out.note(Fact::ShareStartAdvanced { group, partition, from, to });
        }
    }
}

impl Run {
    /// It can be acquired.
    fn is_free(&self) -> bool {
        self.state == RecordState::Available && self.transition.is_none()
    }

    /// A member has it, and has not said what becomes of it.
    fn is_held(&self) -> bool {
        self.state == RecordState::Acquired && self.transition.is_none()
    }

    fn release(&mut self, first: Offset, limits: &Limits, write: u64) -> Option<StateBatch> {
        let state = limits.after_release(self.delivery_count);
        self.begin(first, state, how_released(state, AcquisitionEnd::Released), write)
    }

    fn begin(&mut self, first: Offset, state: RecordState, how: AcquisitionEnd, write: u64) -> Option<StateBatch> {
        let before = self.holder.take()?;
        self.transition = Some(Transition { write, how, before });
        self.state = state;
        Some(self.state_batch(first))
    }

    fn state_batch(&self, first: Offset) -> StateBatch {
        StateBatch { first, last: self.last, state: self.state.id(), delivery_count: self.delivery_count }
    }
}

/// What a member gets, as it comes together.
#[derive(Default)]
struct Acquired {
    records: Vec<AcquiredRecords>,
    count: u32,
}

impl Acquired {
    fn add(&mut self, key: &SharePartitionKey, member: &Name, first: Offset, run: &Run, out: &mut Effects) {
        let count = length(first, run.last);
        self.count += count;
        out.note(Fact::RecordsAcquired {
            group: key.group.clone(),
            member: member.clone(),
            partition: key.partition,
            base_offset: first,
            count,
            delivery_count: run.delivery_count,
        });
        let delivery_count = run.delivery_count;
        self.records.push(AcquiredRecords { first, last: run.last, delivery_count });
    }
}

/// How what nobody has had yet is cut into batches: at the ends of the log's own batches, so that each has about the size
/// that the member likes (`acquireNewBatchRecords`, `createBatches`).
fn new_batches(first: Offset, last: Offset, max: u32, wish: &Wish, read: &[Batch]) -> Vec<(Offset, Offset)> {
    let mut last = last;
    let limit = first + Offset::from(max) - 1;
    if limit < last {
        let around = read.iter().find(|batch| batch.last_offset() >= limit).map_or(limit, Batch::last_offset);
        last = if wish.mode == AcquireMode::RecordLimit { limit } else { around.min(last) };
    }
    let mut batches = Vec::new();
    let mut from = first;
    for end in read.iter().map(Batch::last_offset).filter(|end| *end < last) {
        if end >= from && length(from, end) >= wish.batch_size {
            batches.push((from, end));
            from = end + 1;
        }
    }
    batches.push((from, last));
    batches
}

fn ended(key: &SharePartitionKey, first: Offset, last: Offset, member: Name, how: AcquisitionEnd) -> Fact {
    let (group, partition) = (key.group.clone(), key.partition);
    Fact::AcquisitionEnded { group, member, partition, base_offset: first, count: length(first, last), how }
}

fn how_released(state: RecordState, how: AcquisitionEnd) -> AcquisitionEnd {
    if state == RecordState::Archived { AcquisitionEnd::LimitReached } else { how }
}

/// How many records from `first` to `last`, both included.
fn length(first: Offset, last: Offset) -> u32 {
    u32::try_from(last - first + 1).unwrap_or(0)
}

#[cfg(test)]
mod tests;
