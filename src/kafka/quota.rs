//! A limit on bytes a second, measured over samples: the throttle of replication (KIP-73).
//!
//! Kafka's `ReplicationQuotaManager` with its `SimpleRate`: the bytes of the last [`SAMPLES`] samples of a second each,
//! divided by the time since the oldest of them began. Bytes are counted after they were sent, so a burst goes beyond the
//! limit, and then nothing goes until the rate has fallen below it. Numbers here are whole: the rate is never divided out.

use std::collections::VecDeque;

use crate::time::{Duration, Instant};

/// `replication.quota.window.num`.
const SAMPLES: usize = 11;
/// `replication.quota.window.size.seconds`.
const WINDOW: Duration = Duration::secs(1);

/// Bytes that were sent lately.
#[derive(Clone, Debug, Default)]
pub struct Rate {
    /// The oldest first.
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    begun: Instant,
    last: Instant,
    bytes: u64,
}

impl Rate {
    /// Counts bytes that have gone.
    pub fn record(&mut self, now: Instant, bytes: u64) {
        self.samples.retain(|sample| is_fresh(sample, now));
        match self.samples.back_mut().filter(|sample| now.since(sample.begun) < WINDOW) {
            Some(sample) => {
                sample.bytes += bytes;
                sample.last = now;
            }
            None => self.samples.push_back(Sample { begun: now, last: now, bytes }),
        }
        // One more than the window has: the oldest may lie in it with its end only.
        if self.samples.len() > SAMPLES + 1 {
            self.samples.pop_front();
        }
    }

    /// Whether more than `limit` bytes a second have gone.
    pub fn exceeds(&self, now: Instant, limit: u64) -> bool {
        let fresh = || self.samples.iter().filter(|sample| is_fresh(sample, now));
        let bytes: u128 = fresh().map(|sample| u128::from(sample.bytes)).sum();
        let began = fresh().map(|sample| sample.begun).min().unwrap_or(now);
        // The first window has its full length: little bytes in little time are no high rate.
        let elapsed = now.since(began).max(WINDOW);
        bytes * 1_000_000 > u128::from(limit) * u128::from(elapsed.as_micros())
    }
}

fn is_fresh(sample: &Sample, now: Instant) -> bool {
    now.since(sample.last) < WINDOW * SAMPLES as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::millis(millis)
    }

    #[test]
    fn a_burst_goes_through_and_is_waited_out() {
        let mut rate = Rate::default();
        rate.record(at(0), 5000);
        assert!(rate.exceeds(at(0), 1000));
        assert!(rate.exceeds(at(4999), 1000));
        assert!(!rate.exceeds(at(5000), 1000), "5000 bytes in 5 seconds are the limit, not more");
    }

    #[test]
    fn what_is_older_than_eleven_seconds_no_longer_counts() {
        let mut rate = Rate::default();
        rate.record(at(0), 1_000_000);
        assert!(rate.exceeds(at(10_999), 1000));
        assert!(!rate.exceeds(at(11_000), 1000));
    }

    #[test]
    fn within_the_first_second_bytes_count_as_if_it_were_over() {
        let mut rate = Rate::default();
        rate.record(at(0), 600);
        rate.record(at(1), 400);
        assert!(!rate.exceeds(at(1), 1000));
        rate.record(at(2), 1);
        assert!(rate.exceeds(at(2), 1000));
    }
}
