//! Mistakes that can be planted in the rules, one in a run, to prove that the checks find them.
//!
//! With the cargo feature `planted-mistakes` there is a setting `planted.mistake`, so that a scenario file can hold it like
//! any other. Without the feature there is no such setting, every question below is answered with a constant `false`, and
//! nothing of it is left in the program.

#[cfg(feature = "planted-mistakes")]
use super::config::SettingValue;
use super::config::{BrokerConfig, ConsumerConfig, TopicConfig};

macro_rules! mistakes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A rule that is broken.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mistake {
            #[default]
            None,
            $($(#[$doc])* $variant,)*
        }

        impl Mistake {
            /// Every mistake that can be planted.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// As scenario files and the command line write it.
            pub const fn name(self) -> &'static str {
                match self {
                    Self::None => "none",
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

mistakes! {
    /// The high watermark waits for one follower, not for every replica in the ISR.
    HighWatermarkWithoutIsr = "high-watermark-without-isr",
    /// The high watermark is the log end.
    HighWatermarkIsLogEnd = "high-watermark-is-log-end",
    /// `min.insync.replicas` is not looked at.
    MinIsrIgnored = "min-isr-ignored",
    /// A leader does not look whether a follower's log has left its own.
    DivergenceIgnored = "divergence-ignored",
    /// A new follower cuts its log at its own high watermark (before KIP-101).
    TruncationToHighWatermark = "truncation-to-high-watermark",
    /// An election takes the first replica that is up, and the ISR for all of them.
    LeaderOutsideIsr = "leader-outside-isr",
    /// A leader shrinks the ISR by itself, and tells the controller afterwards.
    IsrShrinkBeforeCommit = "isr-shrink-before-commit",
    /// A follower joins the ISR by fetching, however far behind.
    IsrExpansionWithoutCatchingUp = "isr-expansion-without-catching-up",
    /// `acks=all` is answered like `acks=1`.
    AcksAllAfterLocalAppend = "acks-all-after-local-append",
    /// Consumers are served up to the log end.
    FetchAboveHighWatermark = "fetch-above-high-watermark",
    /// The coordinator acknowledges a commit once it is in its own log.
    CommitBeforeReplication = "commit-before-replication",
    /// Every member gets what the first one got.
    PartitionAssignedTwice = "partition-assigned-twice",
    /// The generation of a commit is not looked at.
    GenerationNotChecked = "generation-not-checked",
    /// A leader counts what it sends to a follower as received.
    SentCountsAsReceived = "sent-counts-as-received",
    /// The controller takes a proposed ISR whatever epochs it speaks of.
    StaleAlterPartition = "stale-alter-partition",
    /// A crashed broker stays eligible (before KIP-966).
    UncleanShutdownForgotten = "unclean-shutdown-forgotten",
    /// A fenced broker may join the ISR.
    FencedReplicaJoins = "fenced-replica-joins",
    /// A voter gives its vote to everyone who asks with a log like its own.
    VoteGrantedTwice = "vote-granted-twice",
    /// The quorum's leader takes metadata for committed that it alone has.
    QuorumCommitsAlone = "quorum-commits-alone",
    /// A leader appends again what a producer sends again.
    DuplicateAppendedAgain = "duplicate-appended-again",
    /// A follower does not note producers and sequences as it copies, and does not know them when it leads.
    SequencesNotCopied = "sequences-not-copied",
    /// Who sends a heartbeat, and in which generation, is not looked at.
    HeartbeatOfAnybody = "heartbeat-of-anybody",
    /// Members keep what they had in the generation before.
    OldAssignmentKept = "old-assignment-kept",
    /// A static member takes a place, and the one before stays too.
    StaticMemberNotFenced = "static-member-not-fenced",
    /// Nobody is ever missed.
    SessionNeverEnds = "session-never-ends",
    /// A leader gives away at once what a cooperative member still reads.
    CooperationLeftOut = "cooperation-left-out",
    /// KIP-848: a heartbeat is answered once its records are in the coordinator's own log.
    HeartbeatBeforeReplication = "heartbeat-before-replication",
    /// KIP-848: a partition is given to its next owner while the one before has it.
    PartitionNotReleased = "partition-not-released",
    /// KIP-848: a member goes, and the group epoch stays.
    GroupEpochKept = "group-epoch-kept",
    /// KIP-848: who commits is not looked at.
    CommitOfAnyMember = "commit-of-any-member",
    /// A client that was thrown out joins again with what it had.
    OutAndReading = "out-and-reading",
    /// A client begins to read a partition where `auto.offset.reset` says, whatever is committed.
    CommittedOffsetIgnored = "committed-offset-ignored",
    /// Share groups: a new leader of a partition does not ask what is done with.
    ShareStateForgotten = "share-state-forgotten",
    /// Share groups: a leader that enters another epoch forgets who has what.
    ShareHoldersForgotten = "share-holders-forgotten",
    /// Share groups: records are delivered again and again.
    DeliveriesNotCounted = "deliveries-not-counted",
}

#[cfg(feature = "planted-mistakes")]
impl SettingValue for Mistake {
    fn parse(text: &str, _low: i64, _high: i64) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::None]).find(|mistake| mistake.name() == text)
    }
    fn show(&self) -> String {
        self.name().into()
    }
}

macro_rules! makes {
    ($config:ident) => {
        impl $config {
            /// Whether this mistake was planted.
            #[cfg(feature = "planted-mistakes")]
            pub fn makes(&self, mistake: Mistake) -> bool {
                self.mistake == mistake
            }

            /// Whether this mistake was planted: never.
            #[cfg(not(feature = "planted-mistakes"))]
            pub const fn makes(&self, _: Mistake) -> bool {
                false
            }
        }
    };
}
makes!(BrokerConfig);
makes!(ConsumerConfig);
makes!(TopicConfig);
