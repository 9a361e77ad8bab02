//! What the charts draw: sums over equal stretches of time, and each partition's lag.

use crate::kafka::fact::Fact;
use crate::kafka::ids::{Name, Offset, TopicPartition, is_internal_topic};
use crate::sim::trace::{Names, Stamped};
use crate::time::{Duration, Instant};
use std::collections::BTreeMap;

/// Sums of one stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Records that leaders appended.
    pub written: u64,
    /// Records that poll() handed to applications.
    pub read: u64,
    /// Facts of every kind: how busy it was.
    pub facts: u32,
}

/// Everything the charts know of a run so far.
#[derive(Clone, Debug)]
pub struct Series {
    width: Duration,
    buckets: Vec<Bucket>,
    partitions: BTreeMap<TopicPartition, Measured>,
}

/// How far a group is behind in a partition: the lag from each moment on.
pub type Lag<'a> = (&'a Name, TopicPartition, &'a [(Instant, u64)]);

/// A partition's high watermark, and how far each group is behind it.
#[derive(Clone, Debug, Default)]
struct Measured {
    end: Offset,
    groups: BTreeMap<Name, Behind>,
}

#[derive(Clone, Debug, Default)]
struct Behind {
    committed: Offset,
    /// The lag from each moment on.
    steps: Vec<(Instant, u64)>,
}

/// More stretches than this are joined in pairs.
const MOST: usize = 1200;

impl Default for Series {
    fn default() -> Self {
        Self { width: Duration::millis(250), buckets: Vec::new(), partitions: BTreeMap::new() }
    }
}

impl Series {
    /// Takes one more fact in; facts come in order.
    pub fn enter(&mut self, stamped: &Stamped, names: &Names) {
        let bucket = self.bucket(stamped.at);
        bucket.facts = bucket.facts.saturating_add(1);
        match &stamped.fact {
            Fact::Appended { partition, count, leader: true, .. }
                if !is_internal_topic(names.topic(partition.topic)) =>
            {
                bucket.written += u64::from(*count);
            }
            Fact::Polled { count, .. } => bucket.read += u64::from(*count),
            Fact::HighWatermark { partition, to, leader: true, .. } => {
                let measured = self.partitions.entry(*partition).or_default();
                measured.end = *to;
                measured.groups.values_mut().for_each(|behind| behind.measure(stamped.at, *to));
            }
            Fact::OffsetCommitted { group, partition, offset } => {
                let measured = self.partitions.entry(*partition).or_default();
                let behind = measured.groups.entry(group.clone()).or_default();
                behind.committed = *offset;
                behind.measure(stamped.at, measured.end);
            }
            _ => {}
        }
    }

    /// How long each stretch is.
    pub fn width(&self) -> Duration {
        self.width
    }

    /// The stretches from the run's beginning on.
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// Each partition's lag behind its group's committed offset, as steps; group by group.
    pub fn lags(&self) -> Vec<Lag<'_>> {
        let mut lags: Vec<_> = Vec::new();
        for (partition, measured) in &self.partitions {
            lags.extend(measured.groups.iter().map(|(group, behind)| (group, *partition, behind.steps.as_slice())));
        }
        lags.sort_by_key(|(group, partition, _)| (*group, *partition));
        lags
    }

    fn behind_mut(&mut self) -> impl Iterator<Item = &mut Behind> {
        self.partitions.values_mut().flat_map(|measured| measured.groups.values_mut())
    }

    /// A stretch's sum as a rate, in records per second.
    pub fn per_second(&self, sum: u64) -> f64 {
        sum as f64 * 1e6 / self.width.as_micros() as f64
    }

    fn bucket(&mut self, at: Instant) -> &mut Bucket {
        let mut place = (at.as_micros() / self.width.as_micros()) as usize;
        while place >= MOST {
            self.join();
            place /= 2;
        }
        if self.buckets.len() <= place {
            self.buckets.resize(place + 1, Bucket::default());
        }
        &mut self.buckets[place]
    }

    fn join(&mut self) {
        self.width = self.width * 2;
        self.buckets = self
            .buckets
            .chunks(2)
            .map(|pair| Bucket {
                written: pair.iter().map(|bucket| bucket.written).sum(),
                read: pair.iter().map(|bucket| bucket.read).sum(),
                facts: pair.iter().fold(0, |sum, bucket| sum.saturating_add(bucket.facts)),
            })
            .collect();
        // As coarse as the stretches: of the steps within one, the last.
        let width = self.width.as_micros();
        for behind in self.behind_mut() {
            let mut kept: Vec<(Instant, u64)> = Vec::with_capacity(behind.steps.len());
            for step in behind.steps.drain(..) {
                match kept.last_mut() {
                    Some(last) if last.0.as_micros() / width == step.0.as_micros() / width => *last = step,
                    _ => kept.push(step),
                }
            }
            behind.steps = kept;
        }
    }
}

impl Behind {
    fn measure(&mut self, at: Instant, end: Offset) {
        let lag = end.saturating_sub(self.committed).max(0).unsigned_abs();
        match self.steps.last_mut() {
            Some(last) if last.1 == lag => {}
            Some(last) if last.0 == at => last.1 = lag,
            _ => self.steps.push((at, lag)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::ids::TopicId;

    const ORDERS: TopicPartition = TopicPartition::new(TopicId(0), 0);

    fn enter(series: &mut Series, millis: u64, fact: Fact) {
        let at = Instant::from_micros(millis * 1000);
        series.enter(&Stamped { id: 1, cause: 0, at, node: None, fact }, &Names::default());
    }

    fn polled(count: u32) -> Fact {
        Fact::Polled { partition: ORDERS, base_offset: 0, count }
    }

    #[test]
    fn sums_are_kept_for_equal_stretches() {
        let mut series = Series::default();
        enter(&mut series, 10, polled(3));
        enter(&mut series, 240, polled(4));
        enter(&mut series, 260, polled(5));
        let read: Vec<u64> = series.buckets().iter().map(|bucket| bucket.read).collect();
        assert_eq!(read, [7, 5]);
        assert_eq!(series.per_second(7), 28.0);
    }

    #[test]
    fn a_long_run_is_kept_in_bounds_and_loses_no_record() {
        let mut series = Series::default();
        for second in 0..4000 {
            enter(&mut series, second * 1000, polled(1));
        }
        assert!(series.buckets().len() <= MOST);
        assert_eq!(series.buckets().iter().map(|bucket| bucket.read).sum::<u64>(), 4000);
    }

    #[test]
    fn lag_is_the_high_watermark_less_the_committed_offset() {
        let mut series = Series::default();
        let committed = |offset| Fact::OffsetCommitted { group: "g".into(), partition: ORDERS, offset };
        enter(&mut series, 0, committed(0));
        enter(&mut series, 1, Fact::HighWatermark { partition: ORDERS, from: 0, to: 5, leader: true });
        enter(&mut series, 2, committed(4));
        let steps: Vec<u64> =
            series.lags().into_iter().flat_map(|(_, _, steps)| steps.iter().map(|(_, lag)| *lag)).collect();
        assert_eq!(steps, [0, 5, 1]);
    }
}
