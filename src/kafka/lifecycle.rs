//! A broker's life as the controller sees it: registration, heartbeats, controlled shutdown (`BrokerLifecycleManager`).
//!
//! | phase | what the broker does | ends when |
//! |---|---|---|
//! | Starting | registers, then heartbeats wanting to stay fenced, while it reads the metadata log | it has applied its own registration |
//! | Recovery | reads its own logs, still fenced; then asks to be unfenced | the controller unfences it |
//! | Running | leads and follows, with a heartbeat every `broker.heartbeat.interval.ms` | it is asked to stop |
//! | PendingControlledShutdown | heartbeats wanting to shut down, while the controller moves its leaderships away | the controller says it may stop |
//! | ShuttingDown | nothing any more | |
//!
//! One request is under way at a time. The broker drives this: it sends what is asked for as [`Ask`], and brings back
//! how that ended.

use super::backoff::QuorumBackoff;
use super::config::BrokerConfig;
use super::effects::{Effects, Timer};
use super::error::ErrorCode;
use super::ids::{BrokerEpoch, BrokerId, ControllerId, Name, Node, Offset};
use super::message::{
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationRequest, BrokerRegistrationResponse, Request,
};
use super::observer::Ask;
use crate::time::{Duration, Instant};

/// Where in its life a broker is (`BrokerState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    Starting,
    Recovery,
    Running,
    PendingControlledShutdown,
    ShuttingDown,
}

/// What an answer of the controller means for the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing new.
    None,
    /// Its own registration is in its image: time to read the logs, and to call [`Lifecycle::logs_recovered`] after.
    CaughtUp,
    /// It may lead and join ISRs.
    Unfenced,
    /// It may stop. The epoch goes into the clean-shutdown file.
    ShutDown,
    /// Whoever was asked is not the active controller: find it ([`Observer::controller_lost`]).
    ///
    /// [`Observer::controller_lost`]: super::observer::Observer::controller_lost
    NotController,
}

/// The registration of one incarnation of a broker.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    broker: BrokerId,
    rack: Option<Name>,
    incarnation: u64,
    previous_epoch: Option<BrokerEpoch>,
    heartbeat_interval: Duration,
    request_timeout: Duration,
    phase: Phase,
    /// Known once registered.
    epoch: Option<BrokerEpoch>,
    logs_recovered: bool,
    in_flight: bool,
    /// Something happened while a request was under way: the next one follows at once.
    hurry: bool,
    got_shutdown_response: bool,
    backoff: QuorumBackoff,
}

impl Lifecycle {
    /// A broker's process starts. `incarnation` is drawn anew at each start; `previous_epoch` comes from the
    /// clean-shutdown file, which is removed when it has been read.
    pub fn new(broker: BrokerId, config: &BrokerConfig, incarnation: u64, previous_epoch: Option<BrokerEpoch>) -> Self {
        Self {
            broker,
            rack: config.broker_rack.as_deref().map(Name::from),
            incarnation,
            previous_epoch,
            heartbeat_interval: config.broker_heartbeat_interval,
            request_timeout: config.quorum_request_timeout,
            phase: Phase::Starting,
            epoch: None,
            logs_recovered: false,
            in_flight: false,
            hurry: false,
            got_shutdown_response: false,
            backoff: QuorumBackoff::default(),
        }
    }

    /// The lifecycle of a broker that has been running for long: registered in `epoch`, and unfenced.
    pub fn settled(broker: BrokerId, config: &BrokerConfig, incarnation: u64, epoch: BrokerEpoch) -> Self {
        Self {
            phase: Phase::Running,
            epoch: Some(epoch),
            logs_recovered: true,
            ..Self::new(broker, config, incarnation, None)
        }
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The epoch of this registration; `None` before the controller has answered. A broker that stops cleanly writes it
    /// to its clean-shutdown file.
    pub fn broker_epoch(&self) -> Option<BrokerEpoch> {
        self.epoch
    }

    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// On start, and on [`Timer::BrokerHeartbeat`]: registers, or sends a heartbeat. `controller` and `metadata_offset`
    /// are what the observer knows.
    pub fn communicate(
        &mut self,
        now: Instant,
        controller: Option<ControllerId>,
        metadata_offset: Offset,
        out: &mut Effects,
    ) -> Option<Ask> {
        if self.phase == Phase::ShuttingDown {
            return None;
        }
        if self.in_flight {
            self.hurry = true;
            return None;
        }
        let Some(controller) = controller else {
            self.pause(now, out);
            return None;
        };
        self.in_flight = true;
        let request = match self.epoch {
            None => self.registration(),
            Some(epoch) => self.heartbeat(epoch, metadata_offset),
        };
        Some((Node::Controller(controller), request, self.request_timeout))
    }

    fn registration(&self) -> Request {
        Request::BrokerRegistration(BrokerRegistrationRequest {
            broker: self.broker,
            incarnation: self.incarnation,
            rack: self.rack.clone(),
            previous_broker_epoch: self.previous_epoch,
        })
    }

    fn heartbeat(&self, broker_epoch: BrokerEpoch, current_metadata_offset: Offset) -> Request {
        Request::BrokerHeartbeat(BrokerHeartbeatRequest {
            broker: self.broker,
            broker_epoch,
            current_metadata_offset,
            want_fence: !self.logs_recovered,
            want_shut_down: self.phase == Phase::PendingControlledShutdown,
        })
    }

    /// The logs have been read: the next heartbeat asks to be unfenced.
    pub fn logs_recovered(&mut self, now: Instant, out: &mut Effects) {
        self.logs_recovered = true;
        self.schedule(now, Duration::ZERO, out);
    }

    /// The broker is asked to stop. One that is not running yet stops at once.
    pub fn begin_shutdown(&mut self, now: Instant, out: &mut Effects) -> Turn {
        match self.phase {
            Phase::Running => {
                self.phase = Phase::PendingControlledShutdown;
                self.schedule(now, Duration::ZERO, out);
                Turn::None
            }
            Phase::PendingControlledShutdown => Turn::None,
            Phase::Starting | Phase::Recovery | Phase::ShuttingDown => self.shut_down(out),
        }
    }

    fn shut_down(&mut self, out: &mut Effects) -> Turn {
        self.phase = Phase::ShuttingDown;
        out.cancel_timer(Timer::BrokerHeartbeat);
        Turn::ShutDown
    }

    /// The controller answered a registration.
    pub fn on_registration(&mut self, now: Instant, response: &BrokerRegistrationResponse, out: &mut Effects) -> Turn {
        self.in_flight = false;
        match response.error {
            ErrorCode::NotController => self.not_controller(now, out),
            ErrorCode::None => {
                self.backoff = QuorumBackoff::default();
                self.epoch = Some(response.broker_epoch);
                self.schedule(now, Duration::ZERO, out);
                Turn::None
            }
            // As after a crash: the session of the previous incarnation has to run out first.
            _ => {
                self.hurry = false;
                self.schedule(now, self.heartbeat_interval, out);
                Turn::None
            }
        }
    }

    /// The controller answered a heartbeat.
    pub fn on_heartbeat(&mut self, now: Instant, response: &BrokerHeartbeatResponse, out: &mut Effects) -> Turn {
        self.in_flight = false;
        match response.error {
            ErrorCode::NotController => return self.not_controller(now, out),
            ErrorCode::None => self.backoff = QuorumBackoff::default(),
            _ => {
                self.hurry = false;
                self.schedule(now, self.heartbeat_interval, out);
                return Turn::None;
            }
        }
        let (pause, turn) = match self.phase {
            Phase::Starting if response.is_caught_up => {
                self.phase = Phase::Recovery;
                (Duration::millis(10), Turn::CaughtUp)
            }
            Phase::Starting => (Duration::millis(10), Turn::None),
            Phase::Recovery if !response.is_fenced => {
                self.phase = Phase::Running;
                (self.heartbeat_interval, Turn::Unfenced)
            }
            Phase::Recovery | Phase::Running => (self.heartbeat_interval, Turn::None),
            Phase::PendingControlledShutdown if response.should_shut_down => return self.shut_down(out),
            // The first time a shutdown is often complete soon.
            Phase::PendingControlledShutdown if !self.got_shutdown_response => {
                self.got_shutdown_response = true;
                (Duration::millis(50), Turn::None)
            }
            Phase::PendingControlledShutdown => (self.heartbeat_interval, Turn::None),
            Phase::ShuttingDown => return Turn::None,
        };
        self.schedule(now, pause, out);
        turn
    }

    /// The request went unanswered: its time is over, or the connection broke.
    pub fn on_failed(&mut self, now: Instant, out: &mut Effects) {
        self.in_flight = false;
        self.hurry = false;
        self.pause(now, out);
    }

    fn not_controller(&mut self, now: Instant, out: &mut Effects) -> Turn {
        self.on_failed(now, out);
        Turn::NotController
    }

    /// The connection to the controllers looks for the active one by itself, faster than heartbeats come
    /// (`NodeToControllerRequestThread`).
    fn pause(&mut self, now: Instant, out: &mut Effects) {
        if self.phase != Phase::ShuttingDown {
            out.set_timer(now + self.backoff.next_pause(), Timer::BrokerHeartbeat);
        }
    }

    fn schedule(&mut self, now: Instant, pause: Duration, out: &mut Effects) {
        if self.in_flight {
            self.hurry |= pause.is_zero();
            return;
        }
        let pause = if std::mem::take(&mut self.hurry) { Duration::ZERO } else { pause };
        out.set_timer(now + pause, Timer::BrokerHeartbeat);
    }
}

#[cfg(test)]
mod tests {
    use super::super::effects::Effect;
    use super::*;

    const CONTROLLER: Option<ControllerId> = Some(ControllerId(101));

    fn lifecycle() -> Lifecycle {
        Lifecycle::new(BrokerId(1), &BrokerConfig::default(), 77, None)
    }

    fn heartbeat(is_caught_up: bool, is_fenced: bool, should_shut_down: bool) -> BrokerHeartbeatResponse {
        BrokerHeartbeatResponse { error: ErrorCode::None, is_caught_up, is_fenced, should_shut_down }
    }

    /// Sends the next request, answers it, and returns how long the broker waits afterwards, in milliseconds.
    fn round(lifecycle: &mut Lifecycle, answer: BrokerHeartbeatResponse) -> (Turn, Option<u64>) {
        let mut out = Effects::default();
        lifecycle.communicate(Instant::ZERO, CONTROLLER, 9, &mut out).expect("a request");
        let turn = lifecycle.on_heartbeat(Instant::ZERO, &answer, &mut out);
        (turn, pause(&mut out))
    }

    fn pause(out: &mut Effects) -> Option<u64> {
        let mut timers = out.drain().filter_map(|effect| match effect {
            Effect::SetTimer { at, timer: Timer::BrokerHeartbeat } => Some(at.as_micros() / 1000),
            _ => None,
        });
        timers.next_back()
    }

    fn registered() -> Lifecycle {
        let (mut lifecycle, mut out) = (lifecycle(), Effects::default());
        let ask = lifecycle.communicate(Instant::ZERO, CONTROLLER, -1, &mut out);
        assert!(matches!(ask, Some((_, Request::BrokerRegistration(_), _))));
        let answer = BrokerRegistrationResponse { error: ErrorCode::None, broker_epoch: BrokerEpoch(5) };
        assert_eq!(lifecycle.on_registration(Instant::ZERO, &answer, &mut out), Turn::None);
        assert_eq!(pause(&mut out), Some(0), "the first heartbeat follows at once");
        lifecycle
    }

    #[test]
    fn a_broker_starts_recovers_and_runs() {
        let mut lifecycle = registered();
        assert_eq!(round(&mut lifecycle, heartbeat(false, true, false)), (Turn::None, Some(10)));
        assert_eq!(round(&mut lifecycle, heartbeat(true, true, false)), (Turn::CaughtUp, Some(10)));
        assert_eq!(round(&mut lifecycle, heartbeat(true, true, false)), (Turn::None, Some(2000)));
        lifecycle.logs_recovered(Instant::ZERO, &mut Effects::default());
        assert_eq!(round(&mut lifecycle, heartbeat(true, false, false)), (Turn::Unfenced, Some(2000)));
        assert_eq!(lifecycle.phase(), Phase::Running);
    }

    #[test]
    fn logs_recovered_while_a_heartbeat_is_under_way_make_the_next_one_follow_at_once() {
        let (mut lifecycle, mut out) = (registered(), Effects::default());
        round(&mut lifecycle, heartbeat(true, true, false));
        lifecycle.communicate(Instant::ZERO, CONTROLLER, 9, &mut out).expect("a request");
        lifecycle.logs_recovered(Instant::ZERO, &mut out);
        lifecycle.on_heartbeat(Instant::ZERO, &heartbeat(true, true, false), &mut out);
        assert_eq!(pause(&mut out), Some(0));
    }

    #[test]
    fn a_controlled_shutdown_asks_soon_again_and_then_with_every_heartbeat() {
        let mut lifecycle = registered();
        lifecycle.phase = Phase::Running;
        assert_eq!(lifecycle.begin_shutdown(Instant::ZERO, &mut Effects::default()), Turn::None);
        assert_eq!(round(&mut lifecycle, heartbeat(true, false, false)), (Turn::None, Some(50)));
        assert_eq!(round(&mut lifecycle, heartbeat(true, false, false)), (Turn::None, Some(2000)));
        assert_eq!(round(&mut lifecycle, heartbeat(true, true, true)).0, Turn::ShutDown);
        assert_eq!(lifecycle.phase(), Phase::ShuttingDown);
    }

    #[test]
    fn a_broker_that_does_not_run_yet_stops_without_asking() {
        assert_eq!(registered().begin_shutdown(Instant::ZERO, &mut Effects::default()), Turn::ShutDown);
    }

    #[test]
    fn without_an_active_controller_the_pauses_grow_to_a_second() {
        let (mut lifecycle, mut out) = (lifecycle(), Effects::default());
        let pauses: Vec<Option<u64>> = (0..5)
            .map(|_| {
                assert!(lifecycle.communicate(Instant::ZERO, None, -1, &mut out).is_none());
                pause(&mut out)
            })
            .collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1000].map(Some));
    }

    #[test]
    fn a_refused_registration_is_tried_again_after_a_heartbeat_interval() {
        let (mut lifecycle, mut out) = (lifecycle(), Effects::default());
        lifecycle.communicate(Instant::ZERO, CONTROLLER, -1, &mut out);
        let error = ErrorCode::DuplicateBrokerRegistration;
        let answer = BrokerRegistrationResponse { error, broker_epoch: BrokerEpoch(-1) };
        assert_eq!(lifecycle.on_registration(Instant::ZERO, &answer, &mut out), Turn::None);
        assert_eq!(pause(&mut out), Some(2000));
        assert_eq!(lifecycle.broker_epoch(), None);
    }
}
