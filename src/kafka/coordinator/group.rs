//! The kinds of groups that a coordinator keeps, and what all of them have in common (`Group` in Kafka's
//! group-coordinator).
//!
//! A name belongs to one group, whatever its kind. What a request of one protocol finds under the name of another kind
//! is as good as nothing: UNKNOWN_MEMBER_ID or GROUP_ID_NOT_FOUND, as if there were no such group. Classic groups and
//! those of the consumer protocol are of one family: one becomes the other while it runs
//! ([`migration`](super::migration)).

use super::super::effects::{Effects, Timer};
use super::super::error::ErrorCode;
use super::super::fact::{GroupPhase, ModernGroupPhase};
use super::super::group::{ClassicGroup, OffsetExpiry, Turn};
use super::super::group_log::GroupRecord;
use super::super::ids::{Generation, Name};
use super::super::message::{ListedGroup, OffsetCommitRequest, Subscription};
use super::super::mistakes::Mistake;
use super::super::modern_group::ConsumerGroup;
use super::super::share::group::ShareGroup;
use super::super::share::group_log::{About, ShareGroupRecord};

/// A group of any kind.
#[derive(Clone, Debug)]
pub enum Group {
    Share(Box<ShareGroup>),
    Classic(ClassicGroup),
    Consumer(ConsumerGroup),
}

impl Group {
    /// Its name, `group.id`.
    pub fn id(&self) -> &Name {
        match self {
            Self::Share(group) => group.id(),
            Self::Classic(group) => group.id(),
            Self::Consumer(group) => group.id(),
        }
    }

    /// `Group.GroupType`, as tools print it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Share(_) => "Share",
            Self::Classic(_) => "Classic",
            Self::Consumer(_) => "Consumer",
        }
    }

    /// Its state as tools print it.
    pub fn state(&self) -> &'static str {
        match self {
            Self::Share(group) => group.phase().name(),
            Self::Classic(group) => group.phase().name(),
            Self::Consumer(group) => group.phase().name(),
        }
    }

    /// The generation of a classic group, else the group epoch: of two coordinators' states, the newer has the higher.
    pub fn generation(&self) -> Generation {
        match self {
            Self::Classic(group) => group.generation(),
            Self::Consumer(group) => group.epoch(),
            Self::Share(group) => group.epoch(),
        }
    }

    /// The group, if it is one of the classic protocol.
    pub fn as_classic(&self) -> Option<&ClassicGroup> {
        match self {
            Self::Share(_) => None,
            Self::Classic(group) => Some(group),
            Self::Consumer(_) => None,
        }
    }

    /// The group, if it is a share group.
    pub fn as_share(&self) -> Option<&ShareGroup> {
        if let Self::Share(group) = self { Some(group) } else { None }
    }

    /// The share group, to act on.
    pub fn as_share_mut(&mut self) -> Option<&mut ShareGroup> {
        if let Self::Share(group) = self { Some(group) } else { None }
    }

    /// The classic group, to act on.
    pub fn as_classic_mut(&mut self) -> Option<&mut ClassicGroup> {
        match self {
            Self::Share(_) => None,
            Self::Classic(group) => Some(group),
            Self::Consumer(_) => None,
        }
    }

    /// The group, if it is one of the consumer protocol.
    pub fn as_consumer(&self) -> Option<&ConsumerGroup> {
        match self {
            Self::Consumer(group) => Some(group),
            Self::Classic(_) | Self::Share(_) => None,
        }
    }

    /// How ListGroups shows it (`asListedGroup`).
    pub fn listed(&self) -> ListedGroup {
        let protocol_type = match self {
            Self::Classic(group) => group.protocol_type().cloned(),
            Self::Consumer(_) => Some(Subscription::PROTOCOL_TYPE.into()),
            Self::Share(_) => Some("share".into()),
        };
        ListedGroup {
            group: self.id().clone(),
            kind: self.kind().into(),
            state: self.state().into(),
            protocol_type: protocol_type.unwrap_or_else(|| "".into()),
        }
    }

    /// Whether it has no members (`isEmpty`).
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Share(group) => group.is_empty(),
            Self::Classic(group) => group.phase() == GroupPhase::Empty,
            Self::Consumer(group) => group.is_empty(),
        }
    }

    /// Whether it is on its way out of the coordinator's memory.
    pub fn is_dead(&self) -> bool {
        match self {
            Self::Share(_) => false,
            Self::Classic(group) => group.phase() == GroupPhase::Dead,
            Self::Consumer(group) => group.phase() == ModernGroupPhase::Dead,
        }
    }

    /// Whether a member wants the topic (`isSubscribedToTopic`).
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match self {
            Self::Share(group) => group.is_subscribed_to(topic),
            Self::Classic(group) => group.is_subscribed_to(topic),
            Self::Consumer(group) => group.is_subscribed_to(topic),
        }
    }

    /// Whether a commit may be taken (`validateOffsetCommit`).
    pub fn validate_commit(&mut self, request: &OffsetCommitRequest, turn: &mut Turn) -> Result<(), ErrorCode> {
        match self {
            // It commits nothing (`ShareGroup.validateOffsetCommit`).
            Self::Share(_) => Err(ErrorCode::GroupIdNotFound),
            Self::Classic(group) => group.validate_commit(request, turn),
            Self::Consumer(_) if turn.config.makes(Mistake::CommitOfAnyMember) => Ok(()),
            Self::Consumer(group) => group.check_commit(&request.member_id, request.generation).map(drop),
        }
    }

    /// Whether its committed offsets may be deleted (`validateOffsetDelete`).
    pub fn validate_offset_delete(&self) -> Result<(), ErrorCode> {
        match self {
            Self::Classic(group) => group.validate_offset_delete(),
            Self::Consumer(_) => Ok(()),
            Self::Share(_) => Err(ErrorCode::GroupIdNotFound),
        }
    }

    /// Whether it may be deleted (`validateDeleteGroup`).
    pub fn validate_delete(&self) -> Result<(), ErrorCode> {
        match self {
            Self::Classic(group) => group.validate_delete(),
            Self::Consumer(group) if group.is_empty() => Ok(()),
            Self::Share(group) if group.is_empty() => Ok(()),
            Self::Share(_) => Err(ErrorCode::NonEmptyGroup),
            Self::Consumer(_) => Err(ErrorCode::NonEmptyGroup),
        }
    }

    /// What takes it out of the log again (`createGroupTombstoneRecords`).
    pub fn tombstones(&self) -> Vec<GroupRecord> {
        let name = || self.id().clone();
        match self {
            Self::Classic(_) => vec![GroupRecord::Group { group: name(), value: None }],
            Self::Share(_) => {
                let gone =
                    [About::Target { value: None }, About::Partitions { value: None }, About::Group { value: None }];
                gone.into_iter().map(|about| GroupRecord::Share(ShareGroupRecord { group: name(), about })).collect()
            }
            Self::Consumer(group) => {
                let of = |record| GroupRecord::Consumer { group: name(), record };
                group.tombstones().into_iter().map(of).collect()
            }
        }
    }

    /// From when on the retention of its offsets counts; `None` while none of them may expire
    /// (`offsetExpirationCondition`).
    pub fn offset_expiry(&self) -> Option<OffsetExpiry> {
        match self {
            Self::Share(_) => None,
            Self::Classic(group) => group.offset_expiry(),
            Self::Consumer(_) => Some(OffsetExpiry::SinceCommit),
        }
    }

    /// Its tombstone is being written: nobody finds it from now on.
    pub fn bury(&mut self, turn: &mut Turn) {
        match self {
            Self::Share(_) => {}
            Self::Classic(group) => group.bury(turn),
            Self::Consumer(group) => group.bury(turn.out),
        }
    }

    /// The tombstone could not be written: the group is still there.
    pub fn exhume(&mut self, turn: &mut Turn) {
        match self {
            Self::Share(_) => {}
            Self::Classic(group) => group.exhume(turn),
            Self::Consumer(group) => group.settle(turn.out),
        }
    }

    /// One of the group's deadlines has come.
    pub fn on_timer(&mut self, timer: &Timer, turn: &mut Turn) {
        match self {
            Self::Share(_) => {}
            Self::Classic(group) => match timer {
                Timer::GroupJoin { .. } => group.join_timed_out(turn),
                Timer::GroupSync { .. } => group.sync_timed_out(turn),
                Timer::GroupSession { member, .. } => group.session_timed_out(member, turn),
                _ => {}
            },
            // Theirs are kept apart: they decide, and change by their records.
            Self::Consumer(_) => {}
        }
    }

    /// It has been read from the log: its members' deadlines begin (`onLoaded`).
    pub fn loaded(&mut self, turn: &mut Turn) {
        match self {
            Self::Share(group) => group.loaded(turn.now, turn.config, turn.out),
            Self::Classic(group) => group.loaded(turn),
            Self::Consumer(_) => {}
        }
    }

    /// It is not kept here any more: everybody who waits learns why, and all deadlines go (`onUnloaded`).
    pub fn unload(&mut self, error: ErrorCode, out: &mut Effects) {
        match self {
            Self::Share(group) => group.unload(out),
            Self::Classic(group) => group.unload(error, out),
            Self::Consumer(group) => group.unload(out),
        }
    }
}
