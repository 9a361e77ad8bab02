//! The application around a share consumer: it works on what poll() returned, record by record, and keeps what it has to
//! say of each until the next poll().

use std::collections::VecDeque;

use crate::kafka::consumer::Working;
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::fact::Fact;
use crate::kafka::ids::{BrokerId, Name, Offset, Origin, TopicPartition};
use crate::kafka::message::share::{AcknowledgeType, AcknowledgementBatch};
use crate::kafka::record::Batch;
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

/// What was said of records, and to whom it is to be told.
type Outcome = (BrokerId, TopicPartition, AcknowledgementBatch);

#[derive(Clone, Debug)]
pub(super) struct ShareWork {
    /// What one record takes.
    time: Duration,
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
    pub(super) fn new(time: Duration) -> Self {
        Self { time, polled: VecDeque::new(), chunk: None, outcomes: Vec::new(), polled_count: 0, processed_count: 0 }
    }

    /// The application of a new process. What was under way is forgotten, what was done still counts.
    pub(super) fn restarted(&self) -> Self {
        let Self { time, polled_count, processed_count, .. } = *self;
        Self { polled_count, processed_count, ..Self::new(time) }
    }

    pub(super) fn set_time(&mut self, time: Duration) {
        self.time = time;
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
        let records = slice.batch.records().ok();
        let record = records.and_then(|mut records| records.find(|record| record.offset == slice.base_offset));
        Some(Working {
            partition: slice.partition,
            offset: slice.base_offset,
            key: record.and_then(|record| record.key),
            count: chunk.count,
            started: chunk.started,
            ends: chunk.ends,
        })
    }

    /// poll() has returned: the work begins. Work that takes no time is done at once.
    pub(super) fn begin(&mut self, now: Instant, group: &Name, out: &mut Effects) {
        if self.time.is_zero() {
            while let Some(count) = self.polled.front().map(|(_, slice)| slice.count) {
                self.done(count, group, out);
            }
        } else {
            self.next_chunk(now, out);
        }
    }

    /// [`Timer::Work`] came: the chunk is done.
    pub(super) fn worked(&mut self, now: Instant, group: &Name, out: &mut Effects) {
        let Some(chunk) = self.chunk.take_if(|chunk| chunk.ends <= now) else { return };
        self.done(chunk.count, group, out);
        self.next_chunk(now, out);
    }

    fn next_chunk(&mut self, now: Instant, out: &mut Effects) {
        let Some((_, slice)) = self.polled.front() else { return };
        let together = CHUNK.as_micros().checked_div(self.time.as_micros()).unwrap_or(1).max(1);
        let count = u32::try_from(together).unwrap_or(u32::MAX).min(slice.count);
        let ends = now + self.time * u64::from(count);
        self.chunk = Some(Chunk { count, started: now, ends });
        out.set_timer(ends, Timer::Work);
    }

    /// The work on the next `count` records, which are of one slice, is done.
    fn done(&mut self, count: u32, group: &Name, out: &mut Effects) {
        let Some((broker, slice)) = self.polled.front_mut() else { return };
        self.processed_count += u64::from(count);
        let (partition, base_offset) = (slice.partition, slice.base_offset);
        let origin = slice.origin.map(|origin| Origin { count, ..origin });
        out.note(Fact::Processed { group: Some(group.clone()), partition, base_offset, count, origin });
        let last = base_offset + Offset::from(count) - 1;
        let outcome = AcknowledgementBatch { first: base_offset, last, kind: AcknowledgeType::Accept };
        say(&mut self.outcomes, (*broker, partition, outcome));
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
