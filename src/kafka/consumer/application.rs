//! The application around a consumer: it calls poll(), works on each record it got, and calls poll() again.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::kafka::effects::{Effects, Timer};
use crate::kafka::fact::Fact;
use crate::kafka::ids::{Name, Offset, Origin, TopicPartition};
use crate::kafka::record::Batch;
use crate::time::{Duration, Instant};

/// Records whose work takes no longer than this together are worked on in one go.
const CHUNK: Duration = Duration::millis(1);

/// The application's side of a consumer.
#[derive(Clone, Debug)]
pub(super) struct Application {
    /// Time that one record takes.
    work: Duration,
    /// What the last poll() returned and is not done yet.
    polled: VecDeque<Slice>,
    /// What it works on now, from the front of that.
    chunk: Option<Chunk>,
    polled_count: u64,
    processed_count: u64,
}

/// Records of one batch that follow each other.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub(super) partition: TopicPartition,
    pub(super) base_offset: Offset,
    pub(super) count: u32,
    /// Of exactly these records.
    pub(super) origin: Option<Origin>,
    pub(super) batch: Batch,
}

/// Records that are worked on in one go.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    count: u32,
    started: Instant,
    ends: Instant,
}

/// What an application is working on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Working {
    pub partition: TopicPartition,
    /// The first record's.
    pub offset: Offset,
    /// That record's key.
    pub key: Option<Bytes>,
    /// Records worked on in one go.
    pub count: u32,
    pub started: Instant,
    pub ends: Instant,
}

impl Application {
    pub(super) fn new(work: Duration) -> Self {
        Self { work, polled: VecDeque::new(), chunk: None, polled_count: 0, processed_count: 0 }
    }

    /// The application of a new process. What was under way is forgotten, what was done still counts.
    pub(super) fn restarted(&self) -> Self {
        let Self { work, polled_count, processed_count, .. } = *self;
        Self { polled_count, processed_count, ..Self::new(work) }
    }

    pub(super) fn set_work(&mut self, work: Duration) {
        self.work = work;
    }

    /// Whether it is between one poll() and the next.
    pub(super) fn is_busy(&self) -> bool {
        !self.polled.is_empty()
    }

    /// Whether a poll() is followed by the next without any time in between.
    pub(super) fn takes_no_time(&self) -> bool {
        self.work.is_zero()
    }

    pub(super) fn polled_count(&self) -> u64 {
        self.polled_count
    }

    pub(super) fn processed_count(&self) -> u64 {
        self.processed_count
    }

    /// Where poll() puts what it returns.
    pub(super) fn inbox(&mut self) -> &mut VecDeque<Slice> {
        &mut self.polled
    }

    /// What it works on now. This looks into the record; it is for the picture.
    pub(super) fn working(&self) -> Option<Working> {
        let (chunk, slice) = (self.chunk?, self.polled.front()?);
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
    pub(super) fn begin(&mut self, now: Instant, group: Option<&Name>, out: &mut Effects) {
        let count: u32 = self.polled.iter().map(|slice| slice.count).sum();
        self.polled_count += u64::from(count);
        if self.work.is_zero() {
            self.done(count, group, out);
        } else {
            self.next_chunk(now, out);
        }
    }

    /// [`Timer::Work`] came: the chunk is done. Returns whether that was all that poll() had returned.
    pub(super) fn worked(&mut self, now: Instant, group: Option<&Name>, out: &mut Effects) -> bool {
        let Some(chunk) = self.chunk.take_if(|chunk| chunk.ends <= now) else { return false };
        self.done(chunk.count, group, out);
        if !self.polled.is_empty() {
            self.next_chunk(now, out);
        }
        self.polled.is_empty()
    }

    fn next_chunk(&mut self, now: Instant, out: &mut Effects) {
        let left: u64 = self.polled.iter().map(|slice| u64::from(slice.count)).sum();
        let together = CHUNK.as_micros().checked_div(self.work.as_micros()).unwrap_or(left).max(1);
        let count = together.min(left);
        let ends = now + self.work * count;
        self.chunk = Some(Chunk { count: count as u32, started: now, ends });
        out.set_timer(ends, Timer::Work);
    }

    /// The work on the next `count` records is done.
    fn done(&mut self, mut count: u32, group: Option<&Name>, out: &mut Effects) {
        self.processed_count += u64::from(count);
        while count > 0
            && let Some(slice) = self.polled.front_mut()
        {
            let taken = slice.count.min(count);
            out.note(Fact::Processed {
                group: group.cloned(),
                partition: slice.partition,
                base_offset: slice.base_offset,
                count: taken,
                origin: slice.origin.map(|origin| Origin { count: taken, ..origin }),
            });
            count -= taken;
            if taken == slice.count {
                self.polled.pop_front();
                continue;
            }
            slice.base_offset += Offset::from(taken);
            slice.count -= taken;
            if let Some(origin) = &mut slice.origin {
                origin.first += u64::from(taken);
                origin.count -= taken;
            }
        }
    }
}
