//! A share consumer: a member of a share group, and the application that works on what it acquires (`KafkaShareConsumer`,
//! `ShareConsumerImpl`; KIP-932).
//!
//! Its poll() says what became of the records of the last one, and returns the next that have come; where nothing has, it
//! asks the leaders of its partitions for more, and takes the acknowledgements along. A record belongs to this consumer
//! from when a leader gives it out until the acknowledgement, or the end of the lock's time. Nothing is fetched ahead:
//! what waits in a buffer would be kept from others.
//!
//! With `share.acknowledgement.mode=implicit` poll() accepts all that the last one returned. With `explicit` the
//! application decides record by record; one that can fail decides so in either mode: a record that it would try again
//! it releases, for whoever gets it next, and one that it would skip it rejects.
//!
//! When it closes, the application commits what it has done (`commitSync()`), the share sessions end, and the member
//! leaves its group.
//!
//! What we leave out: renewing locks by itself, limits of retries of single acknowledgements: what a leader did not take
//! is given up, and the record comes again.

mod fetching;
mod membership;
mod work;

use std::collections::{BTreeMap, VecDeque};

use self::fetching::{Buffered, ShareSession};
use self::membership::ShareMembership;
use self::work::ShareWork;
use super::{AssignedPartition, CLOSE_TIMEOUT, ConsumerSetup, Phase, Task, Working};
use crate::kafka::backoff::Backoff;
use crate::kafka::cluster_view::ClusterView;
use crate::kafka::config::ConsumerConfig;
use crate::kafka::connection::{InFlight, LostConnections};
use crate::kafka::effects::{Effects, Input, Timer};
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::{Fact, LeaveReason};
use crate::kafka::ids::{BrokerId, Generation, Name, Node, TopicPartition};
use crate::kafka::message::share::AcknowledgementBatch;
use crate::kafka::message::{Message, Request, Response};
use crate::rng::Rng;
use crate::time::Instant;

/// One share consumer and its application.
#[derive(Clone, Debug)]
pub(super) struct ShareConsumer {
    client_id: Name,
    group: Name,
    topics: Vec<Name>,
    config: ConsumerConfig,
    bootstrap: Vec<BrokerId>,
    rng: Rng,
    view: ClusterView,
    in_flight: InFlight<Purpose>,
    connections: LostConnections,
    membership: ShareMembership,
    sessions: BTreeMap<BrokerId, ShareSession>,
    /// What is to be said of records, by the leader that gave them out.
    acknowledgements: BTreeMap<BrokerId, BTreeMap<TopicPartition, Vec<AcknowledgementBatch>>>,
    /// What has come, in that order.
    buffer: VecDeque<Buffered>,
    work: ShareWork,
    closing: Closing,
    fatal: Option<ErrorCode>,
    /// What [`Timer::Poll`] is set for.
    wake: Option<Instant>,
    poll_deadline_armed: bool,
}

/// How far close() has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    Open,
    /// Asked for; the application finishes what poll() has returned.
    Requested,
    /// The last acknowledgements are on their way, until then at the latest.
    Acknowledging {
        until: Instant,
    },
    /// The last heartbeat is.
    Leaving,
    Closed,
}

/// What a request was for.
#[derive(Clone, Debug)]
enum Purpose {
    Metadata,
    FindCoordinator,
    Heartbeat {
        epoch: Generation,
    },
    ShareFetch(BrokerId),
    /// The last one of its session?
    ShareAcknowledge(BrokerId, bool),
}

impl ShareConsumer {
    pub(super) fn new(setup: ConsumerSetup, group: Name) -> Self {
        let ConsumerSetup { client_id, reads, task, config, bootstrap, mut rng, .. } = setup;
        let topics = reads.topics();
        let backoff = Backoff { initial: config.retry_backoff, max: config.retry_backoff_max };
        Self {
            view: ClusterView::new(bootstrap.clone(), topics.clone(), backoff, config.metadata_max_age),
            membership: ShareMembership::new(&client_id, &mut rng),
            client_id,
            group,
            topics,
            bootstrap,
            rng,
            in_flight: InFlight::default(),
            connections: LostConnections::default(),
            sessions: BTreeMap::new(),
            acknowledgements: BTreeMap::new(),
            buffer: VecDeque::new(),
            work: ShareWork::new(task),
            closing: Closing::Open,
            fatal: None,
            wake: None,
            poll_deadline_armed: false,
            config,
        }
    }

    pub(super) fn step(&mut self, now: Instant, input: Input, out: &mut Effects) {
        if self.closing == Closing::Closed && !matches!(input, Input::Start) {
            return;
        }
        match input {
            Input::Start => self.start(),
            Input::Message { message: Message::Response { correlation_id, response }, .. } => {
                if let Some((from, purpose)) = self.in_flight.complete(correlation_id) {
                    self.connections.stands(from);
                    self.on_response(now, from, purpose, response, out);
                }
            }
            // Nobody asks a consumer anything.
            Input::Message { .. } => {}
            Input::Timer(timer) => self.on_timer(now, &timer, out),
            Input::Disconnected { peer } => self.on_disconnected(now, peer, out),
            Input::Shutdown if self.closing == Closing::Open => self.closing = Closing::Requested,
            Input::Shutdown => {}
        }
        self.run(now, out);
    }

    /// The process starts: another member, which knows nothing of what the last one had.
    fn start(&mut self) {
        let fresh = Self {
            work: self.work.restarted(),
            membership: ShareMembership::new(&self.client_id, &mut self.rng),
            view: ClusterView::new(
                self.bootstrap.clone(),
                self.topics.clone(),
                self.backoff(),
                self.config.metadata_max_age,
            ),
            in_flight: InFlight::default(),
            connections: LostConnections::default(),
            sessions: BTreeMap::new(),
            acknowledgements: BTreeMap::new(),
            buffer: VecDeque::new(),
            closing: Closing::Open,
            fatal: None,
            wake: None,
            poll_deadline_armed: false,
            ..self.clone()
        };
        *self = fresh;
    }

    /// After every input: whatever can go on, goes on.
    fn run(&mut self, now: Instant, out: &mut Effects) {
        while !self.work.is_busy() {
            if self.closing != Closing::Open {
                self.close(now, out);
                break;
            }
            if !self.poll(now, out) {
                break;
            }
            if self.work.go_on(now, &self.group, out) {
                return out.halt();
            }
        }
        if matches!(self.closing, Closing::Open | Closing::Requested) {
            self.keep_membership(now, out);
        }
        if self.closing != Closing::Closed
            && let Some((to, request)) = self.view.next_request(now, out)
        {
            self.send(now, to, request, Purpose::Metadata, out);
        }
    }

    /// One poll(): what became of the last records, and whether it returns others.
    fn poll(&mut self, now: Instant, out: &mut Effects) -> bool {
        if self.poll_deadline_armed {
            self.poll_deadline_armed = false;
            out.cancel_timer(Timer::PollDeadline);
        }
        self.membership.polled();
        if self.fatal.is_some() {
            self.closing = Closing::Requested;
            self.close(now, out);
            return false;
        }
        self.gather_acknowledgements();
        self.collect(out);
        if self.work.is_busy() {
            self.send_acknowledgements(now, out);
            self.poll_deadline_armed = true;
            out.set_timer(now + self.config.max_poll_interval, Timer::PollDeadline);
        } else {
            self.send_fetches(now, out);
        }
        self.work.is_busy()
    }

    fn on_response(&mut self, now: Instant, from: Node, purpose: Purpose, response: Response, out: &mut Effects) {
        match (purpose, response) {
            (Purpose::Metadata, Response::Metadata(response)) => {
                self.view.update(now, response, &mut self.rng, out);
                out.note(Fact::MetadataUpdated { brokers: self.view.brokers().len() as u32 });
            }
            (Purpose::FindCoordinator, Response::FindCoordinator(response)) => {
                self.on_coordinator(now, &response, out);
            }
            (Purpose::Heartbeat { epoch }, Response::ShareGroupHeartbeat(response)) => {
                self.on_heartbeat(now, epoch, response, out);
            }
            (Purpose::ShareFetch(broker), Response::ShareFetch(response)) => {
                self.on_share_fetched(now, broker, response, out);
            }
            (Purpose::ShareAcknowledge(broker, last), Response::ShareAcknowledge(response)) => {
                self.on_acknowledged(broker, last, &response, out);
            }
            // An answer of another kind than the question: nothing that could be used.
            (purpose, _) => self.on_lost(now, from, purpose, out),
        }
    }

    fn on_timer(&mut self, now: Instant, timer: &Timer, out: &mut Effects) {
        match timer {
            Timer::RequestTimeouts => {
                let expired = self.in_flight.expired(now, out);
                let mut silent: Vec<Node> = expired.iter().map(|(peer, _)| *peer).collect();
                silent.dedup();
                for (peer, purpose) in expired {
                    self.on_lost(now, peer, purpose, out);
                }
                // A broker that does not answer one request in time loses its connection.
                for peer in silent {
                    out.close_connection(peer);
                    self.on_disconnected(now, peer, out);
                }
            }
            // The process dies of a record that its application cannot work on.
            Timer::Work if self.work.worked(now, &self.group, out) => out.halt(),
            Timer::Poll => self.wake = None,
            Timer::PollDeadline => self.poll_timed_out(now, out),
            // Everything else is looked at after every input.
            _ => {}
        }
    }

    fn on_disconnected(&mut self, now: Instant, peer: Node, out: &mut Effects) {
        self.view.mark_stale();
        let retry_at = self.connections.lost(now, peer, &mut self.rng);
        if let Node::Broker(broker) = peer {
            self.session_lost(broker, retry_at);
        }
        for purpose in self.in_flight.disconnected(peer) {
            self.on_lost(now, peer, purpose, out);
        }
        self.membership.forget_coordinator_at(peer);
    }

    /// A request will not be answered.
    fn on_lost(&mut self, now: Instant, peer: Node, purpose: Purpose, out: &mut Effects) {
        match purpose {
            Purpose::Metadata => self.view.request_failed(now, &mut self.rng, out),
            Purpose::FindCoordinator => self.coordinator_search_failed(now),
            Purpose::Heartbeat { .. } if self.closing == Closing::Leaving => self.left(out),
            Purpose::Heartbeat { .. } => self.heartbeat_failed(now),
            Purpose::ShareFetch(broker) | Purpose::ShareAcknowledge(broker, _) => {
                self.view.mark_stale();
                self.session_lost(broker, now);
            }
        }
        self.membership.forget_coordinator_at(peer);
    }

    /// close(): says what is done, ends the sessions, leaves the group. The application has finished what poll() returned.
    fn close(&mut self, now: Instant, out: &mut Effects) {
        if self.closing == Closing::Requested {
            self.gather_acknowledgements();
            self.buffer.clear();
            let until = now + CLOSE_TIMEOUT;
            self.closing = Closing::Acknowledging { until };
            self.wake_at(now, until, out);
        }
        let Closing::Acknowledging { until } = self.closing else { return };
        if now < until && !self.end_sessions(now, out) {
            return;
        }
        self.leave(now, LeaveReason::Closed, out);
    }

    /// The last heartbeat is answered, or there was none to send.
    fn left(&mut self, out: &mut Effects) {
        if self.closing == Closing::Leaving {
            self.closing = Closing::Closed;
            out.exit();
        }
    }

    fn send(&mut self, now: Instant, to: Node, request: Request, purpose: Purpose, out: &mut Effects) {
        self.in_flight.send(now, to, request, self.config.request_timeout, purpose, out);
    }

    fn backoff(&self) -> Backoff {
        Backoff { initial: self.config.retry_backoff, max: self.config.retry_backoff_max }
    }

    /// Something is to be done at that time.
    fn wake_at(&mut self, now: Instant, at: Instant, out: &mut Effects) {
        if at > now && self.wake.is_none_or(|wake| wake <= now || at < wake) {
            self.wake = Some(at);
            out.set_timer(at, Timer::Poll);
        }
    }
}

/// What the picture and the commands see and change of it.
impl ShareConsumer {
    pub(super) fn set_config(&mut self, config: ConsumerConfig) {
        self.config = config;
    }

    pub(super) fn set_task(&mut self, task: Task) {
        self.work.set_task(task);
    }

    pub(super) fn member_id(&self) -> &Name {
        self.membership.member_id()
    }

    pub(super) fn epoch(&self) -> Option<Generation> {
        self.membership.epoch()
    }

    pub(super) fn coordinator(&self) -> Option<BrokerId> {
        self.membership.coordinator()
    }

    /// There are no positions: the leaders know what is done.
    pub(super) fn assigned(&self) -> impl Iterator<Item = AssignedPartition> {
        self.membership.assigned().iter().map(|partition| AssignedPartition {
            partition: *partition,
            position: None,
            committed: None,
            buffered: self.buffer.iter().filter(|of| of.slice.partition == *partition).map(Buffered::count).sum(),
            paused: false,
            high_watermark: None,
        })
    }

    pub(super) fn working(&self) -> Option<Working> {
        self.work.working()
    }

    pub(super) fn polled(&self) -> u64 {
        self.work.polled_count()
    }

    pub(super) fn processed(&self) -> u64 {
        self.work.processed_count()
    }

    pub(super) fn fatal(&self) -> Option<ErrorCode> {
        self.fatal
    }

    pub(super) fn phase(&self) -> Phase {
        match self.closing {
            Closing::Closed => Phase::Closed,
            _ if self.work.is_busy() => Phase::Working,
            Closing::Open if self.membership.coordinator().is_none() => Phase::FindingCoordinator,
            Closing::Open if self.membership.epoch().is_none() => Phase::Joining,
            Closing::Open => Phase::Polling,
            _ => Phase::Closing,
        }
    }
}
