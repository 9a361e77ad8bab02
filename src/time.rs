//! Simulated time: whole microseconds since the run began. Nothing here reads a clock.

use std::fmt;
use std::ops::{Add, AddAssign, Div, Mul, Sub};

/// A moment of a run, in microseconds since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

/// A stretch of simulated time, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(u64);

/// The wall-clock time, in milliseconds since 1970, that record timestamps give to [`Instant::ZERO`]:
/// 2026-01-01T00:00:00Z.
pub const EPOCH_MS: i64 = 1_767_225_600_000;

impl Instant {
    /// The moment a run begins.
    pub const ZERO: Self = Self(0);

    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The record timestamp of this moment (Kafka's `CreateTime`): milliseconds since 1970.
    pub const fn timestamp_ms(self) -> i64 {
        EPOCH_MS + (self.0 / 1000) as i64
    }

    /// The time from `earlier` to this moment; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl Duration {
    pub const ZERO: Self = Self(0);
    /// Longer than any run: stands for a setting that is switched off by a value without an end.
    pub const MAX: Self = Self(u64::MAX / 4);

    pub const fn micros(micros: u64) -> Self {
        Self(micros)
    }

    pub const fn millis(millis: u64) -> Self {
        Self(millis * 1000)
    }

    pub const fn secs(secs: u64) -> Self {
        Self(secs * 1_000_000)
    }

    pub const fn as_micros(self) -> u64 {
        self.0
    }

    pub const fn as_millis(self) -> u64 {
        self.0 / 1000
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by.0))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, by: Duration) {
        *self = *self + by;
    }
}

impl Add for Duration {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Duration {
    type Output = Self;
    /// Never below zero.
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Mul<u64> for Duration {
    type Output = Self;
    fn mul(self, by: u64) -> Self {
        Self(self.0.saturating_mul(by))
    }
}

impl Div<u64> for Duration {
    type Output = Self;
    fn div(self, by: u64) -> Self {
        Self(self.0 / by)
    }
}

/// Seconds with milliseconds: `13.602 s`. Finer digits appear only where there are some.
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secs, micros) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if micros % 1000 == 0 { write!(f, "{secs}.{:03} s", micros / 1000) } else { write!(f, "{secs}.{micros:06} s") }
    }
}

/// In the largest unit that keeps it whole, as scenario files write it: `250ms`, `5s`, `2m`, `40us`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => write!(f, "0s"),
            us if us % 60_000_000 == 0 => write!(f, "{}m", us / 60_000_000),
            us if us % 1_000_000 == 0 => write!(f, "{}s", us / 1_000_000),
            us if us % 1000 == 0 => write!(f, "{}ms", us / 1000),
            us => write!(f, "{us}us"),
        }
    }
}
