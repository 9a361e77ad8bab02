//! What a step of a machine may ask for, and nothing else: messages, timers, and facts.
//!
//! Every machine is one `step(now, input, out)`. It does no I/O, reads no clock, and sees no other machine: what follows
//! from an [`Input`] goes into [`Effects`], in the order it happened.

use super::fact::Fact;
use super::ids::{BrokerId, Name, Node, TopicPartition};
use super::message::{Message, Request, Response};
use crate::time::{Duration, Instant};

/// What happens to a machine.
#[derive(Clone, Debug)]
pub enum Input {
    /// The machine's process starts, for the first time or again. Memory is empty; what was on disk is there.
    Start,
    Message {
        from: Node,
        message: Message,
    },
    Timer(Timer),
    /// The connection to `peer` is gone: its process ended, or none listens there. Everything sent to it and not
    /// answered will not be.
    Disconnected {
        peer: Node,
    },
    /// A clean shutdown is asked for: SIGTERM at a broker, `close()` at a client.
    Shutdown,
}

/// A deadline of a machine. Setting one that is set already moves it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    // Every machine that sends requests
    /// The oldest request without an answer may have timed out.
    RequestTimeouts,

    // Controller
    /// Look for brokers without heartbeats.
    BrokerSessions,
    /// Write a no-op record if nothing else was written.
    NoOp,
    /// Write the records gathered so far.
    AppendLinger,
    /// Answer a held quorum fetch of this replica.
    QuorumFetchWait { replica: Node },
    /// Hand leadership back to preferred leaders.
    LeaderImbalance,
    /// A voter that knows no leader stands for election, or its election has come to nothing.
    Election,
    /// A voter has not heard from the leader for too long.
    QuorumFetchTimeout,
    /// The quorum's leader has not been fetched from by a majority for too long.
    CheckQuorum,
    /// The quorum's leader tells voters that do not fetch of itself again.
    BeginQuorumEpoch,
    /// Look for leaderless partitions that may have an unclean leader.
    UncleanElections,

    // Controllers and brokers
    /// Fetch the metadata log again, or ask a voter that did not answer.
    QuorumFetch,

    // Broker
    /// The controller does not let the broker stop; or no other voter takes over from a controller that stops.
    ControlledShutdown,
    /// The logs have been read after a start.
    LogRecovery,
    /// Register, or send the next heartbeat.
    BrokerHeartbeat,
    /// Look for followers that lag.
    IsrShrink,
    /// Send proposed ISRs again.
    AlterPartition,
    /// Fetch from this leader again.
    FollowerFetch { leader: BrokerId },
    /// A held fetch has waited long enough.
    DelayedFetch { id: u64 },
    /// A held produce has waited long enough.
    DelayedProduce { id: u64 },
    /// Write the high watermarks to disk.
    HighWatermarkCheckpoint,
    /// Look for producers that have been silent for long.
    ProducerIdExpiry,
    /// The operating system looks for old dirty pages.
    WriteBack,
    /// Look for segments that need not be kept.
    LogRetention,
    /// Force logs to the disk that were not for long.
    LogFlush,
    /// Write down from where each log would have to be recovered.
    RecoveryPointCheckpoint,
    /// The disk has brought what this fetch waits for.
    DiskRead { id: u64 },
    /// Offer the topic that this broker's coordinators need to the controller again.
    InternalTopic,

    // ZooKeeper mode
    /// A server of the ensemble looks after its leader, its followers, and its sessions.
    ZkTick,
    /// A server without a leader counts its votes, or sends its own again.
    ZkElection,
    /// The transaction log is on the disk.
    ZkFsync,
    /// A broker's session needs a sign of life, or another server.
    ZkSession,
    /// A broker whose last session still stands in its way registers again, or asks again for leave to stop.
    ZkRegistration,
    /// The controller sends again what a broker has not taken.
    ZkPush { broker: BrokerId },

    // Group coordinator
    /// The join phase of a group's rebalance may end.
    GroupJoin { group: Name },
    /// Members that have not sent SyncGroup are dropped.
    GroupSync { group: Name },
    /// A member's session, or a promised member id, runs out.
    GroupSession { group: Name, member: Name },
    /// The session of a member of the consumer protocol runs out.
    ConsumerGroupSession { group: Name, member: Name },
    /// A member of the consumer protocol has taken too long to give up partitions.
    ConsumerGroupRevocation { group: Name, member: Name },
    /// The regular expressions that a group subscribes to are resolved.
    ConsumerGroupRegexes { group: Name },
    /// The oldest write of a group coordinator has waited long enough for its replication.
    GroupWrite,
    /// Look for offsets to expire.
    OffsetExpiry,
    /// A share group's member has been silent for too long.
    ShareSession { group: Name, member: Name },

    // Share groups, at the leaders of partitions
    /// A held share fetch has waited long enough.
    DelayedShareFetch { id: u64 },
    /// The next lock on acquired records ends.
    AcquisitionLock { group: Name, partition: TopicPartition },
    /// Ask share coordinators again.
    ShareState,

    // Producer
    /// The application hands over its next records.
    Application,
    /// A batch has lingered, or a backoff has ended.
    Sender,
    /// The oldest batch may have missed its delivery timeout.
    Delivery,
    /// Metadata has grown old, or is asked for again.
    MetadataRefresh,

    // Consumer
    /// The application has worked on the next records.
    Work,
    /// poll() runs again.
    Poll,
    /// The background thread sends its heartbeat.
    GroupHeartbeat,
    /// The application has not polled for `max.poll.interval.ms`.
    PollDeadline,
    /// A deadline of the producer that the application sends dead letters with.
    DeadLetters(Box<Timer>),
    /// A share consumer's background thread sends its heartbeat.
    ShareHeartbeat,

    // Tool
    /// The tool gives up, or asks again.
    ToolRetry,
}

impl Timer {
    /// Whether it marks the end of something that takes as long as the machine is slow, rather than a time to wait for.
    pub const fn ends_work(&self) -> bool {
        matches!(self, Self::DiskRead { .. } | Self::LogRecovery)
    }

    /// The setting whose value set this deadline, by Kafka's name.
    pub const fn setting(&self) -> Option<&'static str> {
        Some(match self {
            Self::DeadLetters(timer) => return timer.setting(),
            Self::RequestTimeouts => "request.timeout.ms",
            Self::BrokerSessions => "broker.session.timeout.ms",
            Self::NoOp => "metadata.max.idle.interval.ms",
            Self::AppendLinger => "controller.quorum.append.linger.ms",
            Self::Election => "controller.quorum.election.timeout.ms",
            Self::QuorumFetchTimeout | Self::CheckQuorum | Self::BeginQuorumEpoch => {
                "controller.quorum.fetch.timeout.ms"
            }
            Self::LeaderImbalance => "leader.imbalance.check.interval.seconds",
            Self::UncleanElections => "unclean.leader.election.interval.ms",
            Self::BrokerHeartbeat => "broker.heartbeat.interval.ms",
            Self::IsrShrink => "replica.lag.time.max.ms",
            Self::FollowerFetch { .. } => "replica.fetch.backoff.ms",
            Self::DelayedFetch { .. } => "fetch.max.wait.ms",
            Self::DelayedProduce { .. } => "request.timeout.ms",
            Self::HighWatermarkCheckpoint => "replica.high.watermark.checkpoint.interval.ms",
            Self::ProducerIdExpiry => "producer.id.expiration.check.interval.ms",
            Self::LogRetention => "log.retention.check.interval.ms",
            Self::LogFlush => "log.flush.scheduler.interval.ms",
            Self::RecoveryPointCheckpoint => "log.flush.offset.checkpoint.interval.ms",
            Self::ZkTick => "tickTime",
            Self::ZkSession => "zookeeper.session.timeout.ms",
            Self::GroupJoin { .. } => "group.initial.rebalance.delay.ms",
            Self::GroupSync { .. } | Self::PollDeadline | Self::ConsumerGroupRevocation { .. } => {
                "max.poll.interval.ms"
            }
            Self::ConsumerGroupSession { .. } => "group.consumer.session.timeout.ms",
            Self::GroupSession { .. } => "session.timeout.ms",
            Self::ShareSession { .. } => "group.share.session.timeout.ms",
            Self::ShareHeartbeat => "group.share.heartbeat.interval.ms",
            Self::DelayedShareFetch { .. } => "fetch.max.wait.ms",
            Self::AcquisitionLock { .. } => "group.share.record.lock.duration.ms",
            Self::GroupWrite => "offsets.commit.timeout.ms",
            Self::OffsetExpiry => "offsets.retention.check.interval.ms",
            Self::Sender => "linger.ms",
            Self::Delivery => "delivery.timeout.ms",
            Self::MetadataRefresh => "metadata.max.age.ms",
            Self::GroupHeartbeat => "heartbeat.interval.ms",
            Self::QuorumFetchWait { .. }
            | Self::QuorumFetch
            | Self::ConsumerGroupRegexes { .. }
            | Self::ZkElection
            | Self::ZkFsync
            | Self::ZkRegistration
            | Self::ZkPush { .. }
            | Self::LogRecovery
            | Self::WriteBack
            | Self::DiskRead { .. }
            | Self::ControlledShutdown
            | Self::AlterPartition
            | Self::InternalTopic
            | Self::ShareState
            | Self::Application
            | Self::Work
            | Self::Poll
            | Self::ToolRetry => return None,
        })
    }
}

/// One thing a step asked for.
#[derive(Clone, Debug)]
pub enum Effect {
    Send {
        to: Node,
        message: Message,
    },
    SetTimer {
        at: Instant,
        timer: Timer,
    },
    CancelTimer(Timer),
    Note(Fact),
    /// The connection to a peer is closed: the peer gets [`Input::Disconnected`].
    CloseConnection {
        peer: Node,
    },
    /// The machine's process ends by itself, as a broker after a controlled shutdown.
    Exit,
    /// The machine's process ends at once, with nothing put in order (`Exit.halt`).
    Halt,
    /// The step takes so much longer: what it asked for leaves later, and the next input waits.
    Busy(Duration),
}

/// What a step asked for, in order.
#[derive(Debug, Default)]
pub struct Effects {
    effects: Vec<Effect>,
}

impl Effects {
    /// Sends a request. The answer carries the same correlation id.
    pub fn request(&mut self, to: Node, correlation_id: u32, request: Request) {
        self.effects.push(Effect::Send { to, message: Message::Request { correlation_id, request } });
    }

    /// Answers a request.
    pub fn respond(&mut self, to: Node, correlation_id: u32, response: Response) {
        self.effects.push(Effect::Send { to, message: Message::Response { correlation_id, response } });
    }

    /// Sets a deadline, or moves it.
    pub fn set_timer(&mut self, at: Instant, timer: Timer) {
        self.effects.push(Effect::SetTimer { at, timer });
    }

    /// Forgets a deadline; one that is not set is no error.
    pub fn cancel_timer(&mut self, timer: Timer) {
        self.effects.push(Effect::CancelTimer(timer));
    }

    /// Says what happened.
    pub fn note(&mut self, fact: Fact) {
        self.effects.push(Effect::Note(fact));
    }

    /// Closes the connection to a peer.
    pub fn close_connection(&mut self, peer: Node) {
        self.effects.push(Effect::CloseConnection { peer });
    }

    /// Ends the machine's process.
    pub fn exit(&mut self) {
        self.effects.push(Effect::Exit);
    }

    /// Ends the machine's process at once.
    pub fn halt(&mut self) {
        self.effects.push(Effect::Halt);
    }

    /// Makes the step take so much longer.
    pub fn busy(&mut self, lasting: Duration) {
        self.effects.push(Effect::Busy(lasting));
    }

    /// How much longer the step takes.
    pub fn busy_for(&self) -> Duration {
        let busy = self
            .effects
            .iter()
            .map(|effect| if let Effect::Busy(lasting) = effect { *lasting } else { Duration::ZERO });
        busy.fold(Duration::ZERO, |sum, lasting| sum + lasting)
    }

    /// Takes everything asked for so far, in order.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Effect> {
        self.effects.drain(..)
    }

    /// What was asked for so far, in order.
    pub fn as_slice(&self) -> &[Effect] {
        &self.effects
    }
}
