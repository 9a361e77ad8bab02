//! Play, pause, step and pace, as commands on plain state. It reads no clock: the page says how much time went by.
//!
//! Kafka's milliseconds and a person's seconds differ. At the *auto* pace a message that matters takes about a second to
//! cross, whatever the network's latency, and stretches where nothing happens pass quickly. What has been watched for a
//! while without a rest goes faster and faster, or a steady stream of records would never end.

use crate::time::{Duration, Instant};

/// How fast simulated time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    Auto,
    /// Simulated microseconds in one second: 1 000 000 is real time.
    Fixed(u64),
}

/// The slowest fixed pace, 1/1000×.
pub const SLOWEST: u64 = 1_000;
/// The fastest fixed pace, 1000×.
pub const FASTEST: u64 = 1_000_000_000;

/// What a person asks of playback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaybackCommand {
    Play,
    Pause,
    /// Play if paused, pause if playing.
    Toggle,
    /// To the next fact that matters.
    Step,
    /// To the one before.
    Back,
    Seek(Instant),
    SetPace(Pace),
}

/// What the history must do for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    StepForward,
    StepBack,
    Seek(Instant),
}

/// Whether time passes, and how fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Playback {
    playing: bool,
    pace: Pace,
    /// Simulated microseconds in one second, at the moment.
    rate: u64,
    /// How long something has held attention without a rest, in microseconds of the person's time.
    watched: u64,
    /// The part of a simulated microsecond that was not yet handed out, in millionths.
    carry: u64,
}

/// How many messages cross one after another in a second at the auto pace.
const CROSSINGS_PER_SECOND: (u64, u64) = (5, 4);
/// The auto pace of a stretch where nothing happens: 3×.
const IDLE: u64 = 3_000_000;
/// The auto pace never holds still longer than this: 1/12×.
const BUSIEST: u64 = 1_000_000 / 12;
/// After this much watching the pace begins to rise.
const PATIENCE: u64 = 8_000_000;
/// It then doubles this often.
const WEAR: u64 = 4_000_000;
/// Speeding up doubles the rate this often, so that the eye can follow; slowing down is at once, or the message that
/// asks for attention would already be gone.
const RAMP: u64 = 50_000;

impl Default for Playback {
    fn default() -> Self {
        Self { playing: false, pace: Pace::Auto, rate: BUSIEST, watched: 0, carry: 0 }
    }
}

impl Playback {
    pub fn playing(&self) -> bool {
        self.playing
    }

    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// Simulated microseconds that pass in one second at the moment.
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// Takes a command. Stepping and seeking are left to the history; stepping also pauses.
    pub fn apply(&mut self, command: PlaybackCommand) -> Option<Move> {
        match command {
            PlaybackCommand::Play => self.playing = true,
            PlaybackCommand::Pause => self.playing = false,
            PlaybackCommand::Toggle => self.playing = !self.playing,
            PlaybackCommand::Step => {
                self.playing = false;
                return Some(Move::StepForward);
            }
            PlaybackCommand::Back => {
                self.playing = false;
                return Some(Move::StepBack);
            }
            PlaybackCommand::Seek(to) => return Some(Move::Seek(to)),
            PlaybackCommand::SetPace(Pace::Auto) => self.pace = Pace::Auto,
            PlaybackCommand::SetPace(Pace::Fixed(rate)) => {
                self.rate = rate.clamp(SLOWEST, FASTEST);
                self.pace = Pace::Fixed(self.rate);
            }
        }
        None
    }

    /// How much simulated time passes in `wall` microseconds of the person's. `attention` is how long the messages
    /// that matter and are under way now take to cross, if there are any.
    pub fn advance(&mut self, wall: u64, attention: Option<Duration>) -> Duration {
        if !self.playing {
            return Duration::ZERO;
        }
        if self.pace == Pace::Auto {
            self.adapt(wall, attention);
        }
        let total = self.rate.saturating_mul(wall).saturating_add(self.carry);
        self.carry = total % 1_000_000;
        Duration::micros(total / 1_000_000)
    }

    /// Something new happened: it is worth watching from the start.
    pub fn refresh(&mut self) {
        self.watched = 0;
    }

    fn adapt(&mut self, wall: u64, attention: Option<Duration>) {
        let target = match attention {
            Some(crossing) => {
                self.watched += wall;
                let doublings = (self.watched.saturating_sub(PATIENCE) / WEAR).min(20);
                let followed = crossing.as_micros().max(100) * CROSSINGS_PER_SECOND.0 / CROSSINGS_PER_SECOND.1;
                (followed << doublings).min(BUSIEST.max(followed))
            }
            None => {
                // A second of rest restores patience for eight.
                self.watched = self.watched.saturating_sub(wall * 8);
                IDLE
            }
        };
        self.rate = if target <= self.rate {
            target
        } else {
            (self.rate + self.rate.saturating_mul(wall) / RAMP).clamp(1, target)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: u64 = 16_667;

    fn playing() -> Playback {
        let mut playback = Playback::default();
        playback.apply(PlaybackCommand::Play);
        playback
    }

    fn run(playback: &mut Playback, frames: u64, attention: Option<Duration>) -> u64 {
        (0..frames).map(|_| playback.advance(FRAME, attention).as_micros()).sum()
    }

    #[test]
    fn nothing_passes_while_paused() {
        assert_eq!(Playback::default().advance(FRAME, None), Duration::ZERO);
    }

    #[test]
    fn a_message_takes_about_a_second_to_cross_at_the_auto_pace() {
        for crossing in [Duration::micros(500), Duration::millis(2), Duration::millis(40)] {
            let mut playback = playing();
            let passed = run(&mut playback, 60, Some(crossing));
            assert!((crossing.as_micros()..=crossing.as_micros() * 13 / 10).contains(&passed), "{crossing}: {passed}");
        }
    }

    #[test]
    fn stretches_where_nothing_happens_pass_quickly() {
        let mut playback = playing();
        run(&mut playback, 60, Some(Duration::millis(2)));
        let passed = run(&mut playback, 120, None);
        assert!(passed > 2_000_000, "two seconds of the person's pass at least two simulated ones: {passed}");
    }

    #[test]
    fn it_slows_down_at_once_when_something_happens() {
        let mut playback = playing();
        run(&mut playback, 120, None);
        let passed = playback.advance(FRAME, Some(Duration::millis(2))).as_micros();
        assert!(passed < 50, "a frame of some sixty that one crossing takes: {passed}");
    }

    #[test]
    fn a_steady_stream_goes_faster_the_longer_it_is_watched() {
        let mut playback = playing();
        let attention = Some(Duration::millis(2));
        let first = run(&mut playback, 60, attention);
        run(&mut playback, 60 * 40, attention);
        assert!(run(&mut playback, 60, attention) > first * 20);
        playback.refresh();
        assert_eq!(playback.advance(FRAME, attention).as_micros() / 10, first / 600);
    }

    #[test]
    fn a_fixed_pace_loses_no_time_to_rounding() {
        let mut playback = playing();
        playback.apply(PlaybackCommand::SetPace(Pace::Fixed(1_000)));
        assert_eq!(run(&mut playback, 60_000, None), FRAME * 60);
    }

    #[test]
    fn stepping_pauses_and_seeking_does_not() {
        let mut playback = playing();
        assert_eq!(playback.apply(PlaybackCommand::Seek(Instant::ZERO)), Some(Move::Seek(Instant::ZERO)));
        assert!(playback.playing());
        assert_eq!(playback.apply(PlaybackCommand::Step), Some(Move::StepForward));
        assert!(!playback.playing());
    }
}
