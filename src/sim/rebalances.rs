//! The rebalances of every group, put together from facts: when each began and ended, who read what before and after,
//! and what it cost.
//!
//! **Where a rebalance begins and ends.** Classic: from the coordinator leaving Stable or Empty until the group is Stable
//! (or Empty) again and its members have their partitions. With a cooperative assignor one rebalance takes partitions
//! away and the next hands them out: a generation in which members revoked something after SyncGroup goes on in the one
//! that follows. Consumer protocol (KIP-848): from a bump of the group epoch until every member is at it.
//!
//! **Read by nobody.** A partition's stretch without a reader begins when its reader revokes or loses it
//! (`PartitionsRevoked`, `PartitionsLost`), or when the reader's process ends or freezes; for a partition nobody ever read,
//! when the rebalance begins. It ends when its next reader knows from where to read (`PositionReset`): from then on it may
//! fetch. It belongs to the rebalance that it began before the end of. A member that comes back without a rebalance, as a
//! static one, leaves a stretch that belongs to none, and is counted for the group alone.
//!
//! **Moved** is a partition whose reader afterwards is another than before. **Redelivered** is a record that a member of
//! the group processes though the group had processed a later one of its partition.
//!
//! What we leave out: share groups, where every partition may have many readers at once.

mod group;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

pub use self::group::GroupTrack;
use super::letters::Letters;
use super::trace::Stamped;
use crate::kafka::effects::Timer;
use crate::kafka::fact::{Fact, NodeState};
use crate::kafka::ids::{Generation, Name, Node, TopicPartition};
use crate::kafka::message::Api;
use crate::time::{Duration, Instant};

/// One rebalance of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebalance {
    /// Counts the group's rebalances from 1.
    pub number: u32,
    /// The fact it began with.
    pub first: u64,
    pub kind: Kind,
    /// The assignor, once it is known.
    pub protocol: Option<Name>,
    pub began: Instant,
    /// When the coordinator said that it is over; `None` while it is not.
    pub closed: Option<Instant>,
    /// The last thing that belongs to it, so far.
    pub ended: Instant,
    /// Its generation, or group epoch, at the end.
    pub generation: Generation,
    /// The group had no members before.
    pub from_empty: bool,
    /// States of the group as the coordinator noted them.
    pub phases: Vec<Phase>,
    /// Stretches in which a partition was read by nobody.
    pub gaps: Vec<Gap>,
    pub score: Score,
    /// Members gave up partitions after SyncGroup: another generation hands these out.
    unfinished: bool,
}

/// Which protocol a rebalance follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// JoinGroup, SyncGroup, Heartbeat.
    Classic,
    /// ConsumerGroupHeartbeat (KIP-848).
    Consumer,
}

/// The group's state from a moment on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    pub id: u64,
    pub at: Instant,
    /// Kafka's name.
    pub state: &'static str,
    pub generation: Generation,
    /// The broker that says so.
    pub coordinator: Option<Node>,
}

/// A stretch in which nobody read a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub partition: TopicPartition,
    pub from: Instant,
    pub to: Instant,
    /// The reader before; `None` where nobody ever was.
    pub before: Option<Node>,
    pub after: Node,
    pub why: Why,
}

/// Why a partition has no reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It never had one.
    New,
    Revoked,
    Lost,
    /// The reader's process ended.
    Ended,
    /// The reader's process is frozen.
    Frozen,
}

/// What a rebalance cost. Messages are counted by [`GroupTrack::traffic`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Partition-seconds unread: all gaps together.
    pub unread: Duration,
    pub moved: u32,
    pub redelivered: u64,
}

/// Messages of a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub messages: u64,
    pub bytes: u64,
}

/// Something that happened to a member, at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub id: u64,
    pub at: Instant,
    pub node: Node,
    pub what: What,
    /// How many partitions it is about.
    pub count: u32,
}

/// What a mark stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    Assigned,
    Revoked,
    Lost,
    /// It asked to join.
    Joins,
    /// It said that it leaves.
    Leaves,
    /// The coordinator dropped it.
    Out,
    CommitFailed,
    Started,
    Froze,
    WentOn,
    /// Its process ended.
    Ended,
    /// It is at a new epoch (KIP-848); the count is the epoch.
    Epoch,
}

/// A deadline that decided something: from when it was set until it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bracket {
    /// The fact of the timer.
    pub id: u64,
    pub from: Instant,
    pub to: Instant,
    /// The member it is about; `None` for the whole group.
    pub member: Option<Node>,
    /// The setting, by Kafka's name.
    pub setting: &'static str,
}

/// Who read a partition from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spell {
    pub at: Instant,
    pub reader: Option<Node>,
    /// Where nobody reads: why.
    pub why: Why,
}

/// Every group's rebalances.
#[derive(Clone, Debug, Default)]
pub struct Rebalances {
    groups: BTreeMap<Name, GroupTrack>,
    /// Each consumer's group.
    of: BTreeMap<Node, Name>,
    /// Member ids, as requests carry them.
    members: BTreeMap<Name, Node>,
}

/// When something that a fact or letter stands for happened.
pub type Moment<'a> = &'a dyn Fn(u64) -> Option<Instant>;

impl Rebalances {
    /// Takes one more fact in. Facts come in order, letters before the facts that speak of them; `moment` knows when
    /// earlier facts were noted.
    pub fn enter(&mut self, stamped: &Stamped, letters: &Letters, moment: Moment) {
        let Some(node) = stamped.node else { return };
        match &stamped.fact {
            Fact::Sent { request: true, api, .. } => self.learn_member(stamped.id, *api, letters),
            Fact::GroupState { group, from, to, generation } => {
                let joined = |letter: &super::letters::Letter| letter.protocol.is_some();
                let protocol = letters.latest_before(stamped.id, |letter| {
                    joined(letter) && self.of.get(&letter.consumer()) == Some(group)
                });
                let protocol = protocol.and_then(|letter| letter.protocol.clone());
                self.group(group).classic_state(stamped, *from, *to, *generation, protocol);
            }
            Fact::GroupEpoch { group, epoch, .. } => self.group(group).epoch(stamped, *epoch),
            Fact::ModernGroupState { group, to, epoch, .. } => self.group(group).modern_state(stamped, *to, *epoch),
            Fact::CoordinatorFound { group, .. } => self.belongs(node, group),
            Fact::JoiningGroup { group } => {
                self.belongs(node, group);
                self.group(group).mark(stamped, What::Joins, 0);
            }
            Fact::PartitionsAssigned { group, partitions, .. } => {
                self.belongs(node, group);
                self.group(group).assigned(stamped, node, partitions);
            }
            Fact::PartitionsRevoked { group, partitions } => {
                // What is given up because of a SyncGroup answer is given up cooperatively.
                let cooperative = letters.find(stamped.cause).is_some_and(|letter| letter.api == Api::SyncGroup);
                self.group(group).revoked(stamped, node, partitions, cooperative);
            }
            Fact::PartitionsLost { group, partitions, .. } => self.group(group).lost(stamped, node, partitions),
            Fact::MemberEpoch { group, to, .. } => {
                self.belongs(node, group);
                // Below are the epochs of those who leave, or are no members.
                if to.0 > 0 {
                    self.group(group).mark(stamped, What::Epoch, to.0.unsigned_abs());
                }
            }
            Fact::LeavingGroup { group, .. } => self.group(group).mark(stamped, What::Leaves, 0),
            Fact::CommitFailed { group, .. } => self.group(group).mark(stamped, What::CommitFailed, 0),
            Fact::MemberRemoved { group, member, .. } => {
                if let Some(of) = self.members.get(member).copied() {
                    self.group(group).mark_at(stamped, of, What::Out, 0);
                }
            }
            Fact::PositionReset { partition, .. } | Fact::Polled { partition, .. } => {
                if let Some(group) = self.group_of(node) {
                    group.reads(stamped, node, *partition);
                }
            }
            Fact::Processed { group: Some(group), partition, base_offset, count, .. } => {
                self.group(group).processed(*partition, *base_offset, base_offset + i64::from(*count));
            }
            Fact::NodeState(state) if matches!(node, Node::Consumer(_)) => self.process(stamped, node, *state),
            Fact::TimerFired(timer) => self.deadline(stamped, node, timer, moment),
            _ => {}
        }
    }

    /// The groups there are, by name.
    pub fn groups(&self) -> impl Iterator<Item = (&Name, &GroupTrack)> {
        self.groups.iter()
    }

    pub fn of_group(&self, name: &str) -> Option<&GroupTrack> {
        self.groups.get(name)
    }

    fn group(&mut self, name: &Name) -> &mut GroupTrack {
        self.groups.entry(name.clone()).or_default()
    }

    fn group_of(&mut self, node: Node) -> Option<&mut GroupTrack> {
        self.groups.get_mut(self.of.get(&node)?)
    }

    fn belongs(&mut self, node: Node, group: &Name) {
        if self.of.get(&node) != Some(group) {
            self.of.insert(node, group.clone());
            self.group(group).add_member(node);
        }
    }

    /// Requests name the member id that their sender goes by.
    fn learn_member(&mut self, id: u64, api: Api, letters: &Letters) {
        // Any of these comes early enough; heartbeats need not be looked at.
        if !matches!(api, Api::JoinGroup | Api::SyncGroup | Api::ConsumerGroupHeartbeat) {
            return;
        }
        let Some((member, node)) = letters.find(id).and_then(|letter| Some((letter.member.clone()?, letter.from)))
        else {
            return;
        };
        self.members.insert(member, node);
    }

    fn process(&mut self, stamped: &Stamped, node: Node, state: NodeState) {
        let Some(group) = self.group_of(node) else { return };
        match state {
            NodeState::Killed | NodeState::Stopped => group.process_ended(stamped, node),
            NodeState::Paused => group.froze(stamped, node),
            NodeState::Running => group.went_on(stamped, node),
            NodeState::Starting | NodeState::Stopping => {}
        }
    }

    /// Deadlines of groups decide something whenever they come: those that need not are taken back before.
    fn deadline(&mut self, stamped: &Stamped, node: Node, timer: &Timer, moment: Moment) {
        let (group, member, setting) = match timer {
            Timer::GroupJoin { group } => {
                let first = self.groups.get(group).is_some_and(GroupTrack::waits_initially);
                (group.clone(), None, if first { "group.initial.rebalance.delay.ms" } else { "max.poll.interval.ms" })
            }
            Timer::GroupSync { group } => (group.clone(), None, "max.poll.interval.ms"),
            Timer::GroupSession { group, member } => {
                (group.clone(), self.members.get(member).copied(), "session.timeout.ms")
            }
            Timer::ConsumerGroupSession { group, member } => {
                (group.clone(), self.members.get(member).copied(), "group.consumer.session.timeout.ms")
            }
            Timer::ConsumerGroupRevocation { group, member } => {
                (group.clone(), self.members.get(member).copied(), "max.poll.interval.ms")
            }
            Timer::PollDeadline => {
                let Some(group) = self.of.get(&node) else { return };
                (group.clone(), Some(node), "max.poll.interval.ms")
            }
            _ => return,
        };
        let Some(from) = moment(stamped.cause) else { return };
        let bracket = Bracket { id: stamped.id, from, to: stamped.at, member, setting };
        self.group(&group).bracket(bracket);
    }
}

/// A list that forgets its oldest entries.
#[derive(Clone, Debug)]
struct Latest<T>(VecDeque<T>);

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Latest<T> {
    fn push(&mut self, entry: T, most: usize) {
        if self.0.len() >= most {
            self.0.pop_front();
        }
        self.0.push_back(entry);
    }
}
