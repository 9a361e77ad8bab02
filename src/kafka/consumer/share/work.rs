//! The application around a share consumer: it works on what poll() returned, record by record, and keeps what it has to
//! say of each until the next poll().
//!
//! | on a record that it fails on | it says | what follows |
//! | --- | --- | --- |
//! | `retry` | Release | somebody tries again, until the delivery limit is reached |
//! | `skip` | Reject | the record is archived; it counts as processed, as the group's work on it is over |
//! | `crash` | nothing: the process dies | its session ends, and everything it had is released |

use std::collections::VecDeque;

use crate::kafka::consumer::{Task, Working};
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::fact::{Fact, FailurePolicy};
use crate::kafka::ids::{BrokerId, Name, Offset, Origin, TopicPartition};
use crate::kafka::message::share::{AcknowledgeType, AcknowledgementBatch};
use crate::kafka::record::{Batch, Record};
use crate::time::{Duration, Instant};

/// Records whose work takes no longer than this together are worked on in one go.
const CHUNK: Duration = Duration::millis(1);

/// Records of one batch that follow each other.
#[derive(Clone, Debug)]
pub(super) struct ShareSlice {
    pub(super) partition: TopicPartition,
    pub(super) base_offset: Offset,
    pub(super) count: u32,
    /// Of exactly these records.
    pub(super) origin: Option<Origin>,
    pub(super) batch: Batch,
    /// How often they were delivered, this time included.
    pub(super) delivery_count: u16,
}

impl ShareSlice {
    fn records(&self) -> impl Iterator<Item = Record> {
        let (first, end) = (self.base_offset, self.base_offset + Offset::from(self.count));
        let records = self.batch.records().ok().into_iter().flatten();
        records.skip_while(move |record| record.offset < first).take_while(move |record| record.offset < end)
    }
}

/// What was said of records, and to whom it is to be told.
type Outcome = (BrokerId, TopicPartition, AcknowledgementBatch);

#[derive(Clone, Debug)]
pub(super) struct ShareWork {
    task: Task,
    /// What the last poll() returned and is not done yet, with the leader that gave it out.
    polled: VecDeque<(BrokerId, ShareSlice)>,
    chunk: Option<Chunk>,
    outcomes: Vec<Outcome>,
    polled_count: u64,
    processed_count: u64,
}

/// Records that are worked on in one go.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    count: u32,
    started: Instant,
    ends: Instant,
}

impl ShareWork {
    pub(super) fn new(task: Task) -> Self {
        Self { task, polled: VecDeque::new(), chunk: None, outcomes: Vec::new(), polled_count: 0, processed_count: 0 }
    }

    /// The application of a new process. What was under way is forgotten, what was done still counts.
    pub(super) fn restarted(&self) -> Self {
        let Self { polled_count, processed_count, .. } = *self;
        Self { polled_count, processed_count, ..Self::new(self.task.clone()) }
    }

    pub(super) fn set_task(&mut self, task: Task) {
        self.task = task;
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.polled.is_empty()
    }

    pub(super) fn polled_count(&self) -> u64 {
        self.polled_count
    }

    pub(super) fn processed_count(&self) -> u64 {
        self.processed_count
    }

    /// poll() returns these.
    pub(super) fn give(&mut self, broker: BrokerId, slice: ShareSlice) {
        self.polled_count += u64::from(slice.count);
        self.polled.push_back((broker, slice));
    }

    /// What is to be said of what is done.
    pub(super) fn take_outcomes(&mut self) -> Vec<Outcome> {
        std::mem::take(&mut self.outcomes)
    }

    /// What it works on now. This looks into the record; it is for the picture.
    pub(super) fn working(&self) -> Option<Working> {
        let (chunk, (_, slice)) = (self.chunk?, self.polled.front()?);
        Some(Working {
            partition: slice.partition,
            offset: slice.base_offset,
            key: slice.records().next().and_then(|record| record.key),
            count: chunk.count,
            started: chunk.started,
            ends: chunk.ends,
        })
    }

    /// poll() has returned: works on what is left, chunk by chunk. Work that takes no time is done at once. Returns
    /// whether the process dies of it.
    pub(super) fn go_on(&mut self, now: Instant, group: &Name, out: &mut Effects) -> bool {
        while let Some(count) = self.next_count() {
            if !self.task.work.is_zero() {
                let ends = now + self.task.work * u64::from(count);
                self.chunk = Some(Chunk { count, started: now, ends });
                out.set_timer(ends, Timer::Work);
                return false;
            }
            if self.finish(count, group, out) {
                return true;
            }
        }
        false
    }

    /// [`Timer::Work`] came: the chunk is over. Returns whether the process dies.
    pub(super) fn worked(&mut self, now: Instant, group: &Name, out: &mut Effects) -> bool {
        let Some(chunk) = self.chunk.take_if(|chunk| chunk.ends <= now) else { return false };
        self.finish(chunk.count, group, out) || self.go_on(now, group, out)
    }

    /// How many records are worked on in one go. One that it fails on is worked on alone.
    fn next_count(&self) -> Option<u32> {
        let (_, slice) = self.polled.front()?;
        let together = CHUNK.as_micros().checked_div(self.task.work.as_micros());
        let count = together.map_or(slice.count, |count| u32::try_from(count.max(1)).unwrap_or(u32::MAX));
        let count = count.min(slice.count);
        let Some(failing) = &self.task.failing else { return Some(count) };
        let fine = slice.records().take(count as usize).take_while(|record| !failing.hits(record)).count();
        Some((fine as u32).max(1))
    }

    /// The time for the next `count` records is over: they are done, unless it fails on the first. Returns whether the
    /// process dies.
    fn finish(&mut self, count: u32, group: &Name, out: &mut Effects) -> bool {
        let Some((_, slice)) = self.polled.front() else { return false };
        let failing = self.task.failing.as_ref();
        let hit = failing.filter(|failing| slice.records().next().is_some_and(|record| failing.hits(&record)));
        let Some(then) = hit.map(|failing| failing.then) else {
            self.done(count, AcknowledgeType::Accept, group, out);
            return false;
        };
        out.note(Fact::RecordFailed {
            group: Some(group.clone()),
            partition: slice.partition,
            offset: slice.base_offset,
            origin: slice.origin.map(|origin| Origin { count: 1, ..origin }),
            attempt: u32::from(slice.delivery_count),
            then,
        });
        match then {
            FailurePolicy::Crash => return true,
            FailurePolicy::Retry => self.done(1, AcknowledgeType::Release, group, out),
            FailurePolicy::Skip | FailurePolicy::DeadLetter => self.done(1, AcknowledgeType::Reject, group, out),
        }
        false
    }

    /// The work on the next `count` records, which are of one slice, has come to this end.
    fn done(&mut self, count: u32, kind: AcknowledgeType, group: &Name, out: &mut Effects) {
        let Some((broker, slice)) = self.polled.front_mut() else { return };
        let (partition, base_offset) = (slice.partition, slice.base_offset);
        if kind != AcknowledgeType::Release {
            self.processed_count += u64::from(count);
            let origin = slice.origin.map(|origin| Origin { count, ..origin });
            out.note(Fact::Processed { group: Some(group.clone()), partition, base_offset, count, origin });
        }
        let last = base_offset + Offset::from(count) - 1;
        say(&mut self.outcomes, (*broker, partition, AcknowledgementBatch { first: base_offset, last, kind }));
        slice.base_offset += Offset::from(count);
        slice.count -= count;
        if let Some(origin) = &mut slice.origin {
            origin.first += u64::from(count);
            origin.count -= count;
        }
        if slice.count == 0 {
            self.polled.pop_front();
        }
    }
}

/// Adds to what is to be said; what is the same of neighbours is said at once.
fn say(outcomes: &mut Vec<Outcome>, (broker, partition, batch): Outcome) {
    match outcomes.last_mut() {
        Some((to, of, before))
            if *to == broker && *of == partition && before.kind == batch.kind && before.last + 1 == batch.first =>
        {
            before.last = batch.last;
        }
        _ => outcomes.push((broker, partition, batch)),
    }
}
