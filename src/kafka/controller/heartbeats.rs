//! When brokers were last heard, and what a heartbeat makes of a broker's state.
//!
//! Kafka's `BrokerHeartbeatManager` and `BrokerHeartbeatTracker`. A broker's state moves along this table:
//!
//! | current \ request | want fence | want shut down | neither |
//! |---|---|---|---|
//! | FENCED | stays | SHUTDOWN_NOW | UNFENCED once it has applied its own registration |
//! | UNFENCED | FENCED | CONTROLLED_SHUTDOWN if it leads partitions, else SHUTDOWN_NOW | stays |
//! | CONTROLLED_SHUTDOWN | as right | as right | SHUTDOWN_NOW once it leads nothing and every active broker has applied the records that took its leaderships away |
//!
//! A session belongs to one registration (id and epoch). It ends `broker.session.timeout.ms` after the last heartbeat,
//! also for a broker that shut down cleanly: one that is back sooner is told DUPLICATE_BROKER_REGISTRATION for a while.

use std::collections::BTreeMap;

use super::super::ids::{BrokerEpoch, BrokerId, Offset};
use super::super::message::BrokerHeartbeatRequest;
use crate::time::{Duration, Instant};

/// A broker's state as heartbeats move it (`BrokerControlState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerControlState {
    Fenced,
    Unfenced,
    ControlledShutdown,
    ShutdownNow,
}

impl BrokerControlState {
    /// Whether the reply says `is_fenced`.
    pub fn is_fenced(self) -> bool {
        matches!(self, Self::Fenced | Self::ShutdownNow)
    }
}

/// What the active controller remembers of heartbeats. It starts empty with every new active controller.
#[derive(Clone, Debug)]
pub struct Heartbeats {
    session_timeout: Duration,
    contacts: BTreeMap<(BrokerId, BrokerEpoch), Instant>,
    brokers: BTreeMap<BrokerId, BrokerHeartbeat>,
}

#[derive(Clone, Copy, Debug, Default)]
struct BrokerHeartbeat {
    /// How much of the metadata log it said it has applied.
    metadata_offset: Offset,
    /// Offset of the last record that its controlled shutdown wrote.
    controlled_shutdown_offset: Option<Offset>,
}

impl Heartbeats {
    pub fn new(session_timeout: Duration) -> Self {
        Self { session_timeout, contacts: BTreeMap::new(), brokers: BTreeMap::new() }
    }

    /// Forgets everything: another time as active controller begins.
    pub fn clear(&mut self) {
        self.contacts.clear();
        self.brokers.clear();
    }

    /// A heartbeat came in; it counts even if it is refused afterwards.
    pub fn touch(&mut self, now: Instant, broker: BrokerId, epoch: BrokerEpoch) {
        self.contacts.insert((broker, epoch), now);
    }

    /// Whether this registration was heard of within the session timeout.
    pub fn has_valid_session(&self, now: Instant, broker: BrokerId, epoch: BrokerEpoch) -> bool {
        self.contacts.get(&(broker, epoch)).is_some_and(|contact| !self.is_expired(now, *contact))
    }

    /// Takes out one registration that was not heard of for longer than the session timeout, with how long.
    pub fn take_expired(&mut self, now: Instant) -> Option<(BrokerId, BrokerEpoch, Duration)> {
        let (key, contact) = self.contacts.iter().find(|(_, contact)| self.is_expired(now, **contact))?;
        let (key, silent_for) = (*key, now.since(*contact));
        self.contacts.remove(&key);
        Some((key.0, key.1, silent_for))
    }

    fn is_expired(&self, now: Instant, contact: Instant) -> bool {
        contact + self.session_timeout < now
    }

    /// A new incarnation: nothing is known of it yet.
    pub fn register(&mut self, broker: BrokerId) {
        self.brokers.insert(broker, BrokerHeartbeat { metadata_offset: -1, controlled_shutdown_offset: None });
    }

    /// Remembers how far the broker's metadata is. Being fenced ends a controlled shutdown.
    pub fn update(&mut self, broker: BrokerId, fenced: bool, metadata_offset: Offset) {
        let state = self.brokers.entry(broker).or_default();
        state.metadata_offset = metadata_offset;
        if fenced {
            state.controlled_shutdown_offset = None;
        }
    }

    /// The broker was fenced without having asked.
    pub fn fence(&mut self, broker: BrokerId) {
        if let Some(state) = self.brokers.get_mut(&broker) {
            state.controlled_shutdown_offset = None;
        }
    }

    /// The records that took the broker's leaderships away end at `offset`. Only the first time counts.
    pub fn begin_controlled_shutdown(&mut self, broker: BrokerId, offset: Offset) {
        let state = self.brokers.entry(broker).or_default();
        state.controlled_shutdown_offset.get_or_insert(offset);
    }

    pub fn is_shutting_down(&self, broker: BrokerId) -> bool {
        self.brokers.get(&broker).is_some_and(|state| state.controlled_shutdown_offset.is_some())
    }

    /// The state before a heartbeat.
    pub fn current_state(&self, broker: BrokerId, fenced: bool) -> BrokerControlState {
        match fenced {
            _ if self.is_shutting_down(broker) => BrokerControlState::ControlledShutdown,
            true => BrokerControlState::Fenced,
            false => BrokerControlState::Unfenced,
        }
    }

    /// The table above (`calculateNextBrokerState`). `lowest_active_offset` is the least metadata offset of the brokers
    /// that are unfenced and not shutting down; `None` where there are none.
    pub fn next_state(
        &self,
        current: BrokerControlState,
        request: &BrokerHeartbeatRequest,
        leads_any: bool,
        lowest_active_offset: Option<Offset>,
    ) -> BrokerControlState {
        use BrokerControlState::{ControlledShutdown, Fenced, ShutdownNow, Unfenced};
        match current {
            Fenced if request.want_shut_down => ShutdownNow,
            // A registration's epoch is the offset of its record.
            Fenced if !request.want_fence && request.current_metadata_offset >= request.broker_epoch.0 => Unfenced,
            Fenced => Fenced,
            Unfenced if request.want_shut_down && (request.want_fence || !leads_any) => ShutdownNow,
            Unfenced if request.want_shut_down => ControlledShutdown,
            Unfenced if request.want_fence => Fenced,
            Unfenced => Unfenced,
            ControlledShutdown if leads_any => ControlledShutdown,
            ControlledShutdown => {
                let offset = self.brokers.get(&request.broker).and_then(|state| state.controlled_shutdown_offset);
                let everybody_knows = lowest_active_offset.is_none_or(|lowest| offset.is_none_or(|own| own <= lowest));
                if everybody_knows { ShutdownNow } else { ControlledShutdown }
            }
            ShutdownNow => ShutdownNow,
        }
    }

    /// The least metadata offset of `active` brokers.
    pub fn lowest_offset(&self, active: impl Iterator<Item = BrokerId>) -> Option<Offset> {
        active.map(|id| self.brokers.get(&id).map_or(-1, |state| state.metadata_offset)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::BrokerControlState::{ControlledShutdown, Fenced, ShutdownNow, Unfenced};
    use super::*;

    const BROKER: BrokerId = BrokerId(1);

    fn request(want: &str, metadata_offset: Offset) -> BrokerHeartbeatRequest {
        BrokerHeartbeatRequest {
            broker: BROKER,
            broker_epoch: BrokerEpoch(10),
            current_metadata_offset: metadata_offset,
            want_fence: want.contains("fence"),
            want_shut_down: want.contains("shutdown"),
        }
    }

    #[test]
    fn the_states_move_as_the_table_says() {
        let heartbeats = Heartbeats::new(Duration::secs(9));
        let next = |current, want, offset, leads| heartbeats.next_state(current, &request(want, offset), leads, None);
        assert_eq!(next(Fenced, "fence", 99, false), Fenced);
        assert_eq!(next(Fenced, "shutdown", 99, false), ShutdownNow);
        assert_eq!(next(Fenced, "", 9, false), Fenced, "it has not applied its own registration");
        assert_eq!(next(Fenced, "", 10, false), Unfenced);
        assert_eq!(next(Unfenced, "", 0, true), Unfenced);
        assert_eq!(next(Unfenced, "fence", 99, true), Fenced);
        assert_eq!(next(Unfenced, "fence shutdown", 99, true), ShutdownNow);
        assert_eq!(next(Unfenced, "shutdown", 99, true), ControlledShutdown);
        assert_eq!(next(Unfenced, "shutdown", 99, false), ShutdownNow);
    }

    #[test]
    fn a_controlled_shutdown_ends_when_nothing_is_led_and_every_active_broker_knows() {
        let mut heartbeats = Heartbeats::new(Duration::secs(9));
        heartbeats.begin_controlled_shutdown(BROKER, 50);
        let next = |leads, lowest| heartbeats.next_state(ControlledShutdown, &request("shutdown", 99), leads, lowest);
        assert_eq!(next(true, Some(60)), ControlledShutdown);
        assert_eq!(next(false, Some(49)), ControlledShutdown);
        assert_eq!(next(false, Some(50)), ShutdownNow);
        assert_eq!(next(false, None), ShutdownNow, "nobody else is left");
    }

    #[test]
    fn a_session_ends_only_after_its_timeout_has_passed() {
        let mut heartbeats = Heartbeats::new(Duration::secs(9));
        heartbeats.touch(Instant::ZERO, BROKER, BrokerEpoch(10));
        let at = |millis| Instant::ZERO + Duration::millis(millis);
        assert!(heartbeats.has_valid_session(at(9000), BROKER, BrokerEpoch(10)));
        assert!(!heartbeats.has_valid_session(at(9000), BROKER, BrokerEpoch(11)), "another registration");
        assert_eq!(heartbeats.take_expired(at(9000)), None);
        let expired = heartbeats.take_expired(at(9001));
        assert_eq!(expired, Some((BROKER, BrokerEpoch(10), Duration::millis(9001))));
        assert_eq!(heartbeats.take_expired(at(9001)), None, "each is taken once");
    }
}
