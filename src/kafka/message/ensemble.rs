//! What is said to a ZooKeeper ensemble and within it: ZooKeeper's client protocol and Zab, with ZooKeeper's own names.
//!
//! What we leave out: ACLs, digests, the bytes of the znodes (Kafka writes JSON; here their content is typed).

use std::rc::Rc;

use crate::kafka::fact::EnsemblePhase;
use crate::kafka::ids::{BrokerId, LeaderEpoch, Name, TopicId, ZooKeeperId};
use crate::time::Duration;

/// A transaction's number: the leader's epoch in the upper half, a counter in the lower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zxid(pub u64);

impl Zxid {
    pub const fn new(epoch: u32, counter: u32) -> Self {
        Self(((epoch as u64) << 32) | counter as u64)
    }

    pub const fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The number after this one, of the same leader.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A client's session, by the transaction that opened it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// What a znode holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZnodeData {
    Empty,
    /// `/brokers/ids/N`.
    Broker {
        rack: Option<Name>,
    },
    /// `/controller`.
    Controller {
        broker: BrokerId,
    },
    /// `/controller_epoch`.
    ControllerEpoch(i32),
    /// `/brokers/topics/T`: the replicas of each partition.
    Topic {
        id: TopicId,
        replicas: Rc<[Vec<BrokerId>]>,
    },
    /// `/brokers/topics/T/partitions/P/state`.
    PartitionState {
        controller_epoch: i32,
        leader: Option<BrokerId>,
        leader_epoch: LeaderEpoch,
        isr: Vec<BrokerId>,
    },
    /// `/config/topics/T` and `/config/brokers/<default>`.
    Config(Vec<(Name, Name)>),
    /// `/config/changes/config_change_…`: the path of the settings that changed.
    ConfigChange(Name),
    /// `/brokers/topics` itself: how many topics were ever created. Kafka draws a random topic id instead.
    TopicsCreated(u32),
    /// `/latest_producer_id_block`: to whom the last block of producer ids was given; both ends belong to it.
    ProducerIdBlock {
        broker: BrokerId,
        start: i64,
        end: i64,
    },
}

/// What is known of a znode beside its content (ZooKeeper's `Stat`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// The transaction that created it.
    pub czxid: Zxid,
    /// The transaction that wrote it last.
    pub mzxid: Zxid,
    /// The transaction that changed its children last.
    pub pzxid: Zxid,
    /// How many times it was written.
    pub version: i32,
    /// The session it ends with.
    pub ephemeral_owner: Option<SessionId>,
}

/// One operation of a client.
#[derive(Clone, Debug)]
pub enum ZkOp {
    Create {
        path: Name,
        data: Rc<ZnodeData>,
        ephemeral: bool,
        /// A number that grows is put behind the path.
        sequential: bool,
    },
    /// `version` must be the znode's, where it is given.
    SetData {
        path: Name,
        data: Rc<ZnodeData>,
        version: Option<i32>,
    },
    Delete {
        path: Name,
        version: Option<i32>,
    },
    /// Nothing but the comparison, within a multi.
    Check {
        path: Name,
        version: i32,
    },
    /// All or nothing.
    Multi(Vec<ZkOp>),
    GetData {
        path: Name,
        watch: bool,
    },
    GetChildren {
        path: Name,
        watch: bool,
    },
    CloseSession,
}

impl ZkOp {
    /// Whether it changes something, and so has to go through the leader.
    pub const fn is_write(&self) -> bool {
        !matches!(self, Self::GetData { .. } | Self::GetChildren { .. })
    }

    /// How many znodes have to be looked up for it.
    pub fn znodes(&self) -> u64 {
        if let Self::Multi(ops) = self { ops.len() as u64 } else { 1 }
    }
}

/// How an operation went.
#[derive(Clone, Debug)]
pub enum ZkReply {
    Node {
        data: Rc<ZnodeData>,
        stat: Stat,
    },
    /// The last parts of the children's paths.
    Children(Vec<Name>),
    Written {
        path: Name,
        stat: Stat,
    },
    Done,
    Multi(Vec<ZkReply>),
}

/// Why it did not go (`KeeperException.Code`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZkError {
    NoNode,
    NodeExists,
    BadVersion,
    SessionExpired,
}

/// Which operation of a multi was refused; 0 for one that stands alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZkFailure {
    pub at: u32,
    pub error: ZkError,
}

/// What came of an operation.
pub type ZkResult = Result<ZkReply, ZkFailure>;

/// What is watched of a path: the znode itself (also whether it exists), or its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WatchKind {
    Data,
    Children,
}

/// A watch of a client.
pub type Watch = (Name, WatchKind);

/// A session is opened, or goes on at another server (`ConnectRequest`, with `SetWatches`).
#[derive(Clone, Debug)]
pub struct ZkConnectRequest {
    pub client: BrokerId,
    pub session: Option<SessionId>,
    pub timeout: Duration,
    /// The newest transaction that the client has seen: a server that is behind it turns the client away.
    pub last_zxid: Zxid,
    pub watches: Vec<Watch>,
}

#[derive(Clone, Copy, Debug)]
pub struct ZkConnectResponse {
    /// `None`: the session has expired.
    pub session: Option<SessionId>,
    pub zxid: Zxid,
}

#[derive(Clone, Debug)]
pub struct ZkRequest {
    pub session: SessionId,
    pub op: ZkOp,
}

#[derive(Clone, Debug)]
pub struct ZkResponse {
    pub zxid: Zxid,
    pub result: ZkResult,
}

#[derive(Clone, Copy, Debug)]
pub struct ZkPingRequest {
    pub session: SessionId,
}

#[derive(Clone, Copy, Debug)]
pub struct ZkPingResponse {}

/// A watched thing has changed. The watch is gone with it. There is no answer.
#[derive(Clone, Debug)]
pub struct ZkWatchEvent {
    pub watch: Watch,
    pub zxid: Zxid,
}

/// The answer that a message without an answer never gets.
#[derive(Clone, Copy, Debug)]
pub struct NoAnswer {}

/// Whom a server proposes to lead: who has seen more is preferred, then the higher number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ZkVote {
    pub epoch: u32,
    pub zxid: Zxid,
    pub leader: ZooKeeperId,
}

/// `FastLeaderElection.Notification`.
#[derive(Clone, Copy, Debug)]
pub struct ZabVote {
    /// The sender's round of voting (`logicalclock`).
    pub round: u64,
    pub vote: ZkVote,
    pub phase: EnsemblePhase,
}

/// FOLLOWERINFO: a server reports to the leader that it chose.
#[derive(Clone, Copy, Debug)]
pub struct ZabFollow {
    pub accepted_epoch: u32,
    pub last_zxid: Zxid,
}

/// LEADERINFO, the history that the follower lacks (DIFF, TRUNC or SNAP), and NEWLEADER.
#[derive(Clone, Debug)]
pub struct ZabNewLeader<T, S> {
    pub epoch: u32,
    /// Everything, where the leader's log does not reach back far enough.
    pub snapshot: Option<S>,
    /// What the follower has logged beyond this was never committed, and goes.
    pub truncate_to: Zxid,
    pub txns: Vec<T>,
}

/// ACK: everything up to here is on the sender's disk.
#[derive(Clone, Copy, Debug)]
pub struct ZabAck {
    pub zxid: Zxid,
}

/// COMMIT of everything up to here; UPTODATE where it is the first of an epoch.
#[derive(Clone, Copy, Debug)]
pub struct ZabCommit {
    pub zxid: Zxid,
}

/// PING from the leader. The answer names the sessions that were heard of since the last one.
#[derive(Clone, Debug)]
pub struct ZabPingRequest {}

#[derive(Clone, Debug)]
pub struct ZabPingResponse {
    pub heard_of: Vec<SessionId>,
}

/// What one transaction does. Servers apply it one after the other, each to the same effect.
#[derive(Clone, Debug)]
pub enum ZkChange {
    OpenSession {
        client: BrokerId,
        timeout: Duration,
    },
    /// A client shows up with its session at another server. Nothing changes; it is asked whether the session is there.
    MoveSession,
    Op(ZkOp),
    /// `silent_for` says for how long nothing was heard, where the leader ends it.
    CloseSession {
        silent_for: Option<Duration>,
    },
}

/// A write on its way to the leader, and what becomes of it there.
#[derive(Clone, Debug)]
pub struct ZkWrite {
    /// The server whose client it came from, and that server's number for it.
    pub origin: ZooKeeperId,
    pub ticket: u64,
    pub session: SessionId,
    pub change: ZkChange,
}

/// PROPOSAL.
#[derive(Clone, Debug)]
pub struct ZkTxn {
    pub zxid: Zxid,
    pub write: ZkWrite,
}
