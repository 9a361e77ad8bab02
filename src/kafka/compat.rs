//! What Kafka did before it knew better: old rules that a cluster can be told to follow, so that the losses they caused
//! can be replayed.
//!
//! A log may hold records that the new leader never had. Three times Kafka changed how a follower finds out which:
//!
//! | rule | until | the follower cuts off | what goes wrong |
//! |---|---|---|---|
//! | [`HighWatermark`](TruncationRule::HighWatermark) | 0.10 | everything above its own high watermark | that one lags a fetch behind: committed records go, and if the leader dies before they are fetched again they are lost; a leader that comes back with a higher one keeps what is no longer true |
//! | [`RequestedEpoch`](TruncationRule::RequestedEpoch) | 1.1 | what lies beyond the end of its last epoch in the leader's log (KIP-101) | a leader that never had that epoch answers where a later one begins: the follower keeps records of the epoch that the leader does not know |
//! | [`DivergingEpoch`](TruncationRule::DivergingEpoch) | today | what lies beyond the end of the last epoch that both have (KIP-279), as every fetch finds out by itself (KIP-595) | nothing |
//!
//! What we leave out: everything else that was different then. In 0.10 a follower whose high watermark lay beyond its
//! leader's log end stopped its process (`unclean.leader.election.enable=false`); here it truncates to the leader's log
//! end, as Kafka has done since.

/// How a follower decides what to cut off its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TruncationRule {
    /// Before KIP-101: to its own high watermark, whenever it gets another leader (`ReplicaManager.makeFollowers` of 0.10).
    HighWatermark,
    /// KIP-101: it asks where its last epoch ends, once, before the first fetch.
    RequestedEpoch,
    /// KIP-279 and KIP-595: each fetch carries the epoch of its last record, and the leader says where the logs part.
    #[default]
    DivergingEpoch,
}

impl TruncationRule {
    /// As scenario files say it, where they say anything: `pre-kip-101`.
    pub const fn compat(self) -> Option<&'static str> {
        match self {
            Self::HighWatermark => Some("pre-kip-101"),
            Self::RequestedEpoch => Some("pre-kip-279"),
            Self::DivergingEpoch => None,
        }
    }

    /// The rule that a scenario file names.
    pub fn of_compat(name: &str) -> Option<Self> {
        [Self::HighWatermark, Self::RequestedEpoch].into_iter().find(|rule| rule.compat() == Some(name))
    }

    /// Whether committed records survive every clean election.
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::DivergingEpoch)
    }
}
