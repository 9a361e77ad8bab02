//! How long to wait after a failure before trying again.

use crate::rng::Rng;
use crate::time::Duration;

/// Pauses that double from one failure to the next, up to a limit (`ExponentialBackoff`).
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// `retry.backoff.ms`.
    pub initial: Duration,
    /// `retry.backoff.max.ms`.
    pub max: Duration,
}

impl Backoff {
    /// The pause after so many failures, give or take a fifth; the first is 0.
    pub fn pause(self, failures: u32, rng: &mut Rng) -> Duration {
        self.term(failures) * rng.between(800, 1200) / 1000
    }

    /// The same, to the letter.
    pub fn steady(self, failures: u32) -> Duration {
        self.term(failures)
    }

    fn term(self, failures: u32) -> Duration {
        (self.initial * (1 << failures.min(20))).min(self.max)
    }
}

/// The pauses of whoever asks the metadata quorum, or its leader: they double from 100 ms to 1 s, all alike.
#[derive(Clone, Copy, Debug, Default)]
pub struct QuorumBackoff {
    failures: u32,
}

impl QuorumBackoff {
    const TERMS: Backoff = Backoff { initial: Duration::millis(100), max: Duration::secs(1) };

    /// The pause after one more failure.
    pub fn next_pause(&mut self) -> Duration {
        let pause = Self::TERMS.term(self.failures);
        self.failures += 1;
        pause
    }
}
