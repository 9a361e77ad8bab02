//! A consumer: a client that reads partitions, and the application that works on the records. It reads alone, or as a
//! member of a group of the classic protocol ([`joining`]; `ClassicKafkaConsumer`, `ConsumerCoordinator`,
//! `AbstractCoordinator`), of the consumer protocol ([`modern`]; `AsyncKafkaConsumer`), or of a share group ([`share`]).
//!
//! The application's loop is poll(), work on every record, poll() again. In poll() the consumer does what is due, in
//! this order: it keeps its place in the group (finds the coordinator, gives up its partitions and joins again when a
//! rebalance calls), commits positions every `auto.commit.interval.ms`, looks up positions that it lacks, returns up to
//! `max.poll.records` that have come already, and asks for more. A poll() that has nothing to return goes on until
//! something comes. While the application works, answers still come in, and heartbeats go out in the background; but who
//! waits in JoinGroup has no background, and takes the answer in poll().
//!
//! What a commit says is therefore always done: positions are committed inside poll(), when the work on everything that
//! earlier polls returned is over. What a crash interrupts has not been committed, and another member gets it again.
//!
//! What a commit of the application itself says is done just as well ([`commits`]). What the application may ask for
//! between two polls is in [`subscription`], what it does about records that it cannot work on in [`application`].
//!
//! What we leave out: unsubscribe(), notes with commits, and the filter for aborted transactions.

mod application;
mod assignment;
mod commits;
mod dead_letters;
mod fetcher;
mod fetching;
mod heartbeat;
mod joining;
mod membership;
mod modern;
mod offsets;
mod share;
mod subscription;
#[cfg(test)]
mod tests;
mod validation;

pub use self::application::{Failing, Task, Working};
pub use self::commits::CommitMode;
pub use self::membership::MemberState;
pub use self::subscription::{Ask, Reads, SeekTo, TopicPattern};

use std::collections::VecDeque;

use self::application::Application;
use self::commits::CommitFor;
use self::commits::{Commits, Committing};
use self::dead_letters::DeadLetters;
use self::fetcher::Fetcher;
use self::joining::JoinOutcome;
use self::membership::{Membership, Sent};
use self::offsets::CommittedSearch;
use self::share::ShareConsumer;
use self::validation::Doubt;
use super::backoff::Backoff;
use super::cluster_view::ClusterView;
use super::config::{ConsumerConfig, GroupProtocol};
use super::connection::{InFlight, LostConnections};
use super::effects::{Effects, Input, Timer};
use super::error::ErrorCode;
use super::fact::{Fact, LeaveReason};
use super::ids::{BrokerId, ClientId, Generation, Name, Node, Offset, TopicPartition};
use super::message::{Message, Request, Response};
use super::producer::Producer;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// How long close() waits for answers (`ConsumerUtils.DEFAULT_CLOSE_TIMEOUT_MS`).
const CLOSE_TIMEOUT: Duration = Duration::secs(30);

/// What a consumer is made of.
#[derive(Clone, Debug)]
pub struct ConsumerSetup {
    pub id: ClientId,
    /// `consumer-c1`.
    pub name: Name,
    /// `client.id`: member ids begin with it.
    pub client_id: Name,
    /// `group.id`. Without one the consumer reads all partitions of its topics, and commits nothing.
    pub group: Option<Name>,
    /// The group is a share group (KIP-932).
    pub share: bool,
    pub reads: Reads,
    pub task: Task,
    pub config: ConsumerConfig,
    /// `bootstrap.servers`.
    pub bootstrap: Vec<BrokerId>,
    pub rng: Rng,
    /// What an earlier process of it sent dead letters with, if it did.
    pub dead_letters: Option<Producer>,
}

/// One consumer and its application.
#[derive(Clone, Debug)]
pub struct Consumer {
    id: ClientId,
    name: Name,
    client_id: Name,
    group: Option<Name>,
    reads: Reads,
    /// What it reads as topics; those that match, if it reads by a pattern.
    topics: Vec<Name>,
    /// What its application asks for before the next poll().
    asked: VecDeque<Ask>,
    config: ConsumerConfig,
    bootstrap: Vec<BrokerId>,
    rng: Rng,
    view: ClusterView,
    in_flight: InFlight<Purpose>,
    connections: LostConnections,
    membership: Membership,
    commits: Commits,
    committed_search: CommittedSearch,
    fetcher: Fetcher,
    application: Application,
    dead_letters: Option<DeadLetters>,
    closing: Closing,
    /// What ends the consumer, and its application with it.
    fatal: Option<ErrorCode>,
    /// What [`Timer::Poll`] is set for.
    wake: Option<Instant>,
    /// [`Timer::PollDeadline`] is set.
    poll_deadline_armed: bool,
    /// A share consumer is this, and nothing of the above.
    share: Option<Box<ShareConsumer>>,
}

/// How far close() has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    Open,
    /// Asked for; the application finishes what poll() has returned.
    Requested,
    /// The last commit, until then at the latest.
    Committing {
        until: Instant,
        sent: bool,
    },
    /// LeaveGroup is on its way.
    Leaving,
    Closed,
}

/// What a consumer is doing, for the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It does not know its group's coordinator.
    FindingCoordinator,
    /// It waits in JoinGroup.
    Joining,
    /// It waits in SyncGroup.
    Syncing,
    /// It waits in poll() for records.
    Polling,
    /// The application works on records.
    Working,
    Closing,
    Closed,
}

/// A partition as a consumer sees it, for the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssignedPartition {
    pub partition: TopicPartition,
    /// The next offset that poll() returns, once it is known.
    pub position: Option<Offset>,
    /// What this consumer last committed, or found committed.
    pub committed: Option<Offset>,
    /// Records that have come and wait for poll().
    pub buffered: u64,
    /// The application wants nothing of it for now.
    pub paused: bool,
    /// The high watermark that the last answer told.
    pub high_watermark: Option<Offset>,
}

/// What a request was for.
#[derive(Clone, Debug)]
enum Purpose {
    Metadata,
    FindCoordinator,
    JoinGroup(Sent),
    SyncGroup(Sent),
    Heartbeat(Sent),
    /// Of a member of the consumer protocol, in that epoch.
    MemberHeartbeat(Generation),
    /// The last heartbeat of one.
    Goodbye,
    LeaveGroup,
    Commit(Committing),
    OffsetFetch,
    ListOffsets(Vec<TopicPartition>),
    EpochEnds(Vec<Doubt>),
    Fetch(BrokerId, Vec<(TopicPartition, Offset)>),
}

impl Consumer {
    pub fn new(setup: ConsumerSetup) -> Self {
        let of_share_group = setup.group.clone().filter(|_| setup.share);
        let share = of_share_group.map(|group| Box::new(ShareConsumer::new(setup.clone(), group)));
        let ConsumerSetup { id, name, client_id, group, share: _, reads, task, config, bootstrap, rng, dead_letters } =
            setup;
        let backoff = Backoff { initial: config.retry_backoff, max: config.retry_backoff_max };
        let topics = reads.topics();
        let mut consumer = Self {
            view: ClusterView::new(bootstrap.clone(), topics.clone(), backoff, config.metadata_max_age),
            id,
            name,
            client_id,
            group,
            reads,
            topics,
            asked: VecDeque::new(),
            bootstrap,
            rng,
            in_flight: InFlight::default(),
            connections: LostConnections::default(),
            membership: Membership::new(&config),
            commits: Commits::default(),
            committed_search: CommittedSearch::default(),
            fetcher: Fetcher::default(),
            application: Application::new(task),
            dead_letters: dead_letters.map(DeadLetters::new),
            closing: Closing::Open,
            fatal: None,
            wake: None,
            poll_deadline_armed: false,
            share,
            config,
        };
        consumer.want_metadata();
        consumer
    }

    pub fn step(&mut self, now: Instant, input: Input, out: &mut Effects) {
        if let Some(share) = &mut self.share {
            return share.step(now, input, out);
        }
        if self.closing == Closing::Closed && !matches!(input, Input::Start) {
            return;
        }
        match input {
            Input::Start => self.start(now, out),
            Input::Message { from, message: Message::Response { correlation_id, response } } => {
                if let Some(correlation_id) = dead_letters::of_producer(correlation_id) {
                    let message = Message::Response { correlation_id, response };
                    self.step_producer(now, Input::Message { from, message }, out);
                } else if let Some((from, purpose)) = self.in_flight.complete(correlation_id) {
                    self.connections.stands(from);
                    self.on_response(now, from, purpose, response, out);
                }
            }
            // Nobody asks a consumer anything.
            Input::Message { .. } => {}
            Input::Timer(Timer::DeadLetters(timer)) => self.step_producer(now, Input::Timer(*timer), out),
            Input::Timer(timer) => self.on_timer(now, &timer, out),
            Input::Disconnected { peer } => {
                self.on_disconnected(now, peer, out);
                self.step_producer(now, Input::Disconnected { peer }, out);
            }
            Input::Shutdown if self.closing == Closing::Open => self.closing = Closing::Requested,
            Input::Shutdown => {}
        }
        self.run(now, out);
    }

    /// Changes the settings, from now on.
    pub fn set_config(&mut self, config: ConsumerConfig) {
        self.share.iter_mut().for_each(|share| share.set_config(config.clone()));
        self.config = config;
    }

    /// Changes what the application does with records, from the next one on.
    pub fn set_task(&mut self, task: Task) {
        self.share.iter_mut().for_each(|share| share.set_task(task.clone()));
        self.application.set_task(task);
    }

    pub fn id(&self) -> ClientId {
        self.id
    }

    pub fn name(&self) -> &Name {
        &self.name
    }

    pub fn group(&self) -> Option<&Name> {
        self.group.as_ref()
    }

    /// The topics it reads, or partitions of; for a pattern those that match now.
    pub fn topics(&self) -> &[Name] {
        &self.topics
    }

    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    pub fn config(&self) -> &ConsumerConfig {
        &self.config
    }

    /// Whether it is a member of a share group.
    pub fn is_share(&self) -> bool {
        self.share.is_some()
    }

    /// Empty until the coordinator has given it one; a share consumer makes its own.
    pub fn member_id(&self) -> &Name {
        self.share.as_ref().map_or_else(|| self.membership.member_id(), |share| share.member_id())
    }

    /// `None` while it is no member.
    pub fn generation(&self) -> Option<Generation> {
        self.share.as_ref().map_or_else(|| self.membership.generation(), |share| share.epoch())
    }

    /// Whether it worked out the group's assignment.
    pub fn leads_group(&self) -> bool {
        self.membership.leads()
    }

    pub fn coordinator(&self) -> Option<BrokerId> {
        self.share.as_ref().map_or_else(|| self.membership.coordinator(), |share| share.coordinator())
    }

    /// The partitions it reads, in order.
    pub fn assigned(&self) -> impl Iterator<Item = AssignedPartition> {
        let shared = self.share.iter().flat_map(|share| share.assigned());
        let owned = self.fetcher.partitions().map(|(partition, state)| AssignedPartition {
            partition,
            position: state.position,
            committed: state.committed,
            buffered: self.fetcher.buffered(partition),
            paused: state.is_paused(),
            high_watermark: state.high_watermark,
        });
        shared.chain(owned)
    }

    /// What the application works on now. This decodes the record's batch.
    pub fn working(&self) -> Option<Working> {
        self.share.as_ref().map_or_else(|| self.application.working(), |share| share.working())
    }

    /// Records that poll() has returned.
    pub fn polled(&self) -> u64 {
        self.share.as_ref().map_or_else(|| self.application.polled_count(), |share| share.polled())
    }

    /// Records that the application is done with.
    pub fn processed(&self) -> u64 {
        self.share.as_ref().map_or_else(|| self.application.processed_count(), |share| share.processed())
    }

    /// The error that ended it, if one did.
    pub fn fatal(&self) -> Option<ErrorCode> {
        self.share.as_ref().map_or(self.fatal, |share| share.fatal())
    }

    pub fn phase(&self) -> Phase {
        if let Some(share) = &self.share {
            return share.phase();
        }
        match (self.closing, self.membership.state()) {
            (Closing::Closed, _) => Phase::Closed,
            _ if self.application.is_busy() => Phase::Working,
            (Closing::Open, _) if self.group.is_none() || self.is_manual() => Phase::Polling,
            (Closing::Open, _) if self.membership.coordinator().is_none() => Phase::FindingCoordinator,
            (Closing::Open, MemberState::Stable) => Phase::Polling,
            (Closing::Open, MemberState::CompletingRebalance) => Phase::Syncing,
            (Closing::Open, _) => Phase::Joining,
            _ => Phase::Closing,
        }
    }

    /// The process starts: nothing is left of an earlier one but what it has done.
    fn start(&mut self, now: Instant, out: &mut Effects) {
        let dead_letters = self.dead_letters.take().map(|letters| letters.producer);
        let setup = ConsumerSetup {
            id: self.id,
            name: self.name.clone(),
            client_id: self.client_id.clone(),
            group: self.group.clone(),
            share: false,
            reads: self.reads.clone(),
            task: self.application.task().clone(),
            config: self.config.clone(),
            bootstrap: self.bootstrap.clone(),
            rng: self.rng.clone(),
            dead_letters,
        };
        *self = Self { application: self.application.restarted(), ..Self::new(setup) };
        self.restart_commit_interval(now);
        self.step_producer(now, Input::Start, out);
    }

    /// The process dies of its application.
    fn crash(&mut self, out: &mut Effects) {
        self.closing = Closing::Closed;
        out.halt();
    }

    /// After every input: whatever can go on, goes on.
    fn run(&mut self, now: Instant, out: &mut Effects) {
        while self.closing != Closing::Closed && !self.application.is_busy() {
            if self.closing != Closing::Open {
                self.close(now, out);
                break;
            }
            if !self.commit_by_application(now, out) || !self.poll(now, out) {
                break;
            }
            self.commits.note_polled();
            let next = self.application.begin(now, self.group.as_ref(), out);
            self.follow(now, next, out);
        }
        if self.membership.protocol == GroupProtocol::Consumer && self.is_member() {
            self.keep_in_touch(now, out);
        }
        if self.closing != Closing::Closed
            && let Some((to, request)) = self.view.next_request(now, out)
        {
            self.send(now, to, request, Purpose::Metadata, out);
        }
    }

    /// One poll(): everything that is due, and whether it returns records.
    fn poll(&mut self, now: Instant, out: &mut Effects) -> bool {
        if self.poll_deadline_armed {
            self.poll_deadline_armed = false;
            out.cancel_timer(Timer::PollDeadline);
        }
        self.do_what_was_asked(now, out);
        // What the background met comes up here, and nothing else is done (`pollHeartbeat`).
        if self.fatal.is_some() {
            return self.end_fatally(now, out);
        }
        let mut finds_positions = true;
        let mut hands_out = true;
        if self.is_member() {
            let has_place = self.keep_membership(now, out);
            if has_place {
                self.commit_if_due(now, out);
            }
            // Who has no place in a classic group looks for no positions (`updateAssignmentMetadataIfNeeded`).
            finds_positions = has_place || self.membership.protocol == GroupProtocol::Consumer;
            // Who was thrown out and cannot join again yet, for want of a coordinator, waits for one in here, and gives up
            // its partitions as soon as there is one: records of theirs are not handed out meanwhile. (Kafka's poll() hands
            // them out once its own timeout is over, which ours does not have: `coordinatorUnknownAndUnreadySync`.)
            hands_out = finds_positions || self.membership.generation().is_some();
        } else {
            self.read_by_itself();
            if self.group.is_some() && self.membership.coordinator().is_none() {
                self.find_coordinator(now, out);
            } else {
                self.commit_if_due(now, out);
            }
        }
        if finds_positions {
            self.find_positions(now, out);
        }
        if self.fatal.is_some() {
            return self.end_fatally(now, out);
        }
        if hands_out {
            self.fetcher.collect(self.config.max_poll_records, self.application.inbox(), out);
        }
        self.send_fetches(now, out);
        let returns = self.application.is_busy();
        if returns && self.is_member() && !self.application.takes_no_time() {
            self.arm_poll_deadline(now, out);
        }
        returns
    }

    /// poll() throws, and the application closes its consumer.
    fn end_fatally(&mut self, now: Instant, out: &mut Effects) -> bool {
        self.closing = Closing::Requested;
        self.close(now, out);
        false
    }

    /// Whether a group gives it its partitions, or will.
    pub fn is_member(&self) -> bool {
        self.group.is_some() && !self.is_manual()
    }

    fn on_response(&mut self, now: Instant, from: Node, purpose: Purpose, response: Response, out: &mut Effects) {
        match (purpose, response) {
            (Purpose::Metadata, Response::Metadata(response)) => {
                self.view.update(now, response, &mut self.rng, out);
                out.note(Fact::MetadataUpdated { brokers: self.view.brokers().len() as u32 });
                self.match_pattern();
                self.metadata_updated(now, out);
            }
            (Purpose::FindCoordinator, Response::FindCoordinator(response)) => {
                self.on_coordinator(now, &response, out);
            }
            (Purpose::JoinGroup(sent), Response::JoinGroup(response)) => {
                self.join_over(now, JoinOutcome::Answered(sent, Box::new(response)), out);
            }
            (Purpose::SyncGroup(sent), Response::SyncGroup(response)) => self.on_sync(now, &sent, response, out),
            (Purpose::Heartbeat(sent), Response::Heartbeat(response)) => {
                self.on_heartbeat(now, &sent, response.error, out);
            }
            (Purpose::LeaveGroup, Response::LeaveGroup(_)) => self.left(out),
            (Purpose::MemberHeartbeat(epoch), Response::ConsumerGroupHeartbeat(response)) => {
                self.on_member_heartbeat(now, epoch, response, out);
            }
            (Purpose::Goodbye, Response::ConsumerGroupHeartbeat(_)) => self.left(out),
            (Purpose::Commit(commit), Response::OffsetCommit(response)) => {
                self.on_commit(now, commit, &response, out);
            }
            (Purpose::OffsetFetch, Response::OffsetFetch(response)) => self.on_offsets(now, response, out),
            (Purpose::ListOffsets(_), Response::ListOffsets(response)) => self.on_log_ends(now, response, out),
            (Purpose::EpochEnds(asked), Response::OffsetForLeaderEpoch(response)) => {
                self.on_epoch_ends(now, &asked, &response, out);
            }
            (Purpose::Fetch(broker, asked), Response::Fetch(response)) => {
                self.on_fetched(now, broker, &asked, response, out);
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
            Timer::Work => {
                let next = self.application.worked(now, self.group.as_ref(), out);
                self.follow(now, next, out);
            }
            Timer::Poll => self.wake = None,
            Timer::GroupHeartbeat => self.heartbeat(now, out),
            Timer::PollDeadline => self.poll_timed_out(now, out),
            // Everything else is looked at after every input.
            _ => {}
        }
    }

    fn on_disconnected(&mut self, now: Instant, peer: Node, out: &mut Effects) {
        self.view.mark_stale();
        // Nothing is fetched from there until the connection may be tried again (`AbstractFetch.isUnavailable`).
        let retry_at = self.connections.lost(now, peer, &mut self.rng);
        if let Node::Broker(broker) = peer {
            self.fetcher.hold_back(broker, retry_at);
        }
        for purpose in self.in_flight.disconnected(peer) {
            self.on_lost(now, peer, purpose, out);
        }
        if self.membership.coordinator().map(Node::Broker) == Some(peer) {
            self.membership.forget_coordinator();
        }
    }

    /// A request will not be answered.
    fn on_lost(&mut self, now: Instant, peer: Node, purpose: Purpose, out: &mut Effects) {
        match purpose {
            Purpose::Metadata => self.view.request_failed(now, &mut self.rng, out),
            Purpose::FindCoordinator => self.coordinator_search_failed(now, out),
            Purpose::JoinGroup(_) => self.join_over(now, JoinOutcome::Lost, out),
            Purpose::SyncGroup(_) => self.join_failed(now, ErrorCode::NetworkException, out),
            Purpose::Heartbeat(_) => self.heartbeat_failed(now, out),
            Purpose::MemberHeartbeat(_) => self.member_heartbeat_failed(now, out),
            Purpose::LeaveGroup | Purpose::Goodbye => self.left(out),
            Purpose::Commit(commit) => self.commit_failed(now, commit.why, ErrorCode::NetworkException, out),
            Purpose::OffsetFetch => self.offset_fetch_failed(now, out),
            Purpose::ListOffsets(partitions) => {
                self.view.mark_stale();
                for partition in partitions {
                    self.reset_failed(now, partition, out);
                }
            }
            Purpose::EpochEnds(asked) => {
                for doubt in asked {
                    self.validation_failed(now, doubt.partition, out);
                }
            }
            Purpose::Fetch(broker, partitions) => {
                self.view.mark_stale();
                self.fetcher.answered(broker);
                for (partition, _) in partitions {
                    if let Some(state) = self.fetcher.get_mut(partition) {
                        state.forget_preferred();
                    }
                }
            }
        }
        if self.membership.coordinator().map(Node::Broker) == Some(peer) {
            self.membership.forget_coordinator();
        }
    }

    /// close(): commits what is done, leaves the group, and ends. The application has finished what poll() returned.
    fn close(&mut self, now: Instant, out: &mut Effects) {
        if self.closing == Closing::Requested {
            let until = now + CLOSE_TIMEOUT;
            self.closing = Closing::Committing { until, sent: false };
        }
        let Closing::Committing { until, sent } = self.closing else { return };
        if !sent && now < until && self.commits_on_close() {
            self.wake_at(now, until, out);
            if self.membership.coordinator().is_none() {
                return self.find_coordinator(now, out);
            }
            if !self.commits.may_retry(now) {
                return;
            }
            if self.send_commit(now, CommitFor::Close, out) {
                self.closing = Closing::Committing { until, sent: true };
                return;
            }
        } else if sent && now < until {
            return;
        }
        self.leave(now, LeaveReason::Closed, out);
    }

    /// The commit of close() is over; with a retriable error it goes out again.
    fn close_committed(&mut self, retry: bool) {
        if let Closing::Committing { until, sent } = &mut self.closing {
            *sent = false;
            if !retry {
                // Whatever is left to do does not include a commit.
                *until = Instant::ZERO;
            }
        }
    }

    /// LeaveGroup is answered, or there was none to send.
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

    /// poll() has something to do at that time.
    fn wake_at(&mut self, now: Instant, at: Instant, out: &mut Effects) {
        if at > now && self.wake.is_none_or(|wake| wake <= now || at < wake) {
            self.wake = Some(at);
            out.set_timer(at, Timer::Poll);
        }
    }
}
