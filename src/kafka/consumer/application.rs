//! The application around a consumer: it calls poll(), works on each record it got, and calls poll() again.
//!
//! It may be unable to work on some record ([`Failing`]): a text in the key or the value makes it fail, after the time
//! that its work takes. What happens then is its policy:
//!
//! | policy | what it does | what follows |
//! | --- | --- | --- |
//! | crash | the process dies, nothing committed; whoever runs it starts it again | it meets the record again, and all that it had done since its last commit |
//! | skip | it goes on | the record counts as processed: it was dealt with, on purpose |
//! | retry | it tries again after 1 s, 2 s, 4 s, and so on up to 10 s | the consumer stands still; after `max.poll.interval.ms` it is out of the group |
//! | dead letter | it sends the record to another topic, waits for the acknowledgement, and goes on | the record counts as processed |
//!
//! Skipped and dead-lettered records count as processed because the group's work on them is over, as the application
//! sees it: nobody will ever miss them by accident. [`Fact::RecordFailed`] tells them from the others.

use std::collections::VecDeque;

use bytes::Bytes;

use super::commits::CommitMode;
use crate::kafka::backoff::Backoff;
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::fact::{Fact, FailurePolicy};
use crate::kafka::ids::{Name, Offset, Origin, TopicPartition};
use crate::kafka::record::{Batch, Record};
use crate::time::{Duration, Instant};

/// Records whose work takes no longer than this together are worked on in one go.
const CHUNK: Duration = Duration::millis(1);

/// How long an application that tries again waits before it does.
const RETRY: Backoff = Backoff { initial: Duration::secs(1), max: Duration::secs(10) };

/// What an application does with records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// Time that one record takes.
    pub work: Duration,
    pub commit: CommitMode,
    /// What it cannot work on, if anything.
    pub failing: Option<Failing>,
}

/// The records that an application fails on, and what it does then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// A record with this text in its key or its value; never empty.
    pub on: Name,
    pub then: FailurePolicy,
    /// Where [`FailurePolicy::DeadLetter`] sends them.
    pub dead_letters: Option<Name>,
}

/// What an application does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is done with what poll() returned.
    Poll,
    /// [`Timer::Work`] will tell.
    Work,
    /// Its process dies.
    Crash,
    /// It sends a record elsewhere: key and value.
    DeadLetter(Option<Bytes>, Option<Bytes>),
}

/// The application's side of a consumer.
#[derive(Clone, Debug)]
pub(super) struct Application {
    task: Task,
    /// What the last poll() returned and is not done yet.
    polled: VecDeque<Slice>,
    /// What it works on now, from the front of that.
    chunk: Option<Chunk>,
    /// How often it has failed on the first record of that.
    attempts: u32,
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
    pub(super) fn new(task: Task) -> Self {
        Self { task, polled: VecDeque::new(), chunk: None, attempts: 0, polled_count: 0, processed_count: 0 }
    }

    /// The application of a new process. What was under way is forgotten, what was done still counts.
    pub(super) fn restarted(&self) -> Self {
        let Self { polled_count, processed_count, .. } = *self;
        Self { polled_count, processed_count, ..Self::new(self.task.clone()) }
    }

    pub(super) fn set_task(&mut self, task: Task) {
        self.task = task;
    }

    pub(super) fn task(&self) -> &Task {
        &self.task
    }

    /// Whether it is between one poll() and the next.
    pub(super) fn is_busy(&self) -> bool {
        !self.polled.is_empty()
    }

    /// Whether a poll() is followed by the next without any time in between.
    pub(super) fn takes_no_time(&self) -> bool {
        self.task.work.is_zero() && self.task.failing.is_none() && self.task.commit != CommitMode::Sync
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
        Some(Working {
            partition: slice.partition,
            offset: slice.base_offset,
            key: slice.records().next().and_then(|record| record.key),
            count: chunk.count,
            started: chunk.started,
            ends: chunk.ends,
        })
    }

    /// poll() has returned: the work begins.
    pub(super) fn begin(&mut self, now: Instant, group: Option<&Name>, out: &mut Effects) -> Next {
        self.polled_count += self.polled.iter().map(|slice| u64::from(slice.count)).sum::<u64>();
        self.go_on(now, group, out)
    }

    /// [`Timer::Work`] came: the chunk is over.
    pub(super) fn worked(&mut self, now: Instant, group: Option<&Name>, out: &mut Effects) -> Next {
        let Some(chunk) = self.chunk.take_if(|chunk| chunk.ends <= now) else { return Next::Work };
        self.finish(now, chunk.count, group, out).unwrap_or_else(|| self.go_on(now, group, out))
    }

    /// The record that it failed on is where dead letters go.
    pub(super) fn dead_lettered(&mut self, now: Instant, group: Option<&Name>, out: &mut Effects) -> Next {
        self.done(1, group, out);
        self.go_on(now, group, out)
    }

    /// Works on what is left, chunk by chunk. Work that takes no time is done at once.
    fn go_on(&mut self, now: Instant, group: Option<&Name>, out: &mut Effects) -> Next {
        while !self.polled.is_empty() {
            let count = self.next_count();
            if !self.task.work.is_zero() {
                self.chunk = Some(Chunk { count, started: now, ends: now + self.task.work * u64::from(count) });
                out.set_timer(now + self.task.work * u64::from(count), Timer::Work);
                return Next::Work;
            }
            if let Some(next) = self.finish(now, count, group, out) {
                return next;
            }
        }
        Next::Poll
    }

    /// How many records are worked on in one go. One that it fails on is worked on alone.
    fn next_count(&self) -> u32 {
        let left: u64 = self.polled.iter().map(|slice| u64::from(slice.count)).sum();
        let together = CHUNK.as_micros().checked_div(self.task.work.as_micros()).unwrap_or(left).max(1);
        let count = together.min(left) as u32;
        let Some(failing) = &self.task.failing else { return count };
        let records = self.polled.iter().flat_map(Slice::records).take(count as usize);
        let fine = records.take_while(|record| !failing.hits(record)).count();
        (fine as u32).max(1)
    }

    /// The time for the next `count` records is over: they are done, unless it fails on the first. Then this is what
    /// follows.
    fn finish(&mut self, now: Instant, count: u32, group: Option<&Name>, out: &mut Effects) -> Option<Next> {
        let failed = self.task.failing.clone().and_then(|failing| {
            let (slice, record) = self.polled.front().and_then(|slice| Some((slice, slice.records().next()?)))?;
            failing.hits(&record).then(|| (failing, slice.clone(), record))
        });
        let Some((failing, slice, record)) = failed else {
            self.done(count, group, out);
            return None;
        };
        self.attempts += 1;
        out.note(Fact::RecordFailed {
            group: group.cloned(),
            partition: slice.partition,
            offset: slice.base_offset,
            origin: slice.origin.map(|origin| Origin { count: 1, ..origin }),
            attempt: self.attempts,
            then: failing.then,
        });
        match failing.then {
            FailurePolicy::Crash => Some(Next::Crash),
            FailurePolicy::Skip => {
                self.done(1, group, out);
                None
            }
            FailurePolicy::Retry => {
                let ends = now + RETRY.steady(self.attempts - 1) + self.task.work;
                self.chunk = Some(Chunk { count: 1, started: now, ends });
                out.set_timer(ends, Timer::Work);
                Some(Next::Work)
            }
            FailurePolicy::DeadLetter => Some(Next::DeadLetter(record.key, record.value)),
        }
    }

    /// The work on the next `count` records is done.
    fn done(&mut self, mut count: u32, group: Option<&Name>, out: &mut Effects) {
        self.attempts = 0;
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

impl Slice {
    fn records(&self) -> impl Iterator<Item = Record> {
        let (first, end) = (self.base_offset, self.base_offset + Offset::from(self.count));
        let records = self.batch.records().ok().into_iter().flatten();
        records.skip_while(move |record| record.offset < first).take_while(move |record| record.offset < end)
    }
}

impl Failing {
    /// Whether the application fails on a record.
    pub(super) fn hits(&self, record: &Record) -> bool {
        let has = |text: &Option<Bytes>| {
            text.as_ref().is_some_and(|text| text.windows(self.on.len()).any(|part| part == self.on.as_bytes()))
        };
        has(&record.key) || has(&record.value)
    }
}
