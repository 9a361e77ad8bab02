//! Whether a member may commit and look up offsets.

use super::{ConsumerGroup, Member};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{Generation, Name, TopicPartition};

/// A commit that the group lets through, partition by partition.
#[derive(Clone, Copy, Debug)]
pub struct CommitRight<'a> {
    /// `None`: every partition may be committed.
    outdated: Option<(&'a Member, Generation)>,
}

impl ConsumerGroup {
    /// `validateOffsetCommit`. A member whose epoch has risen since it sent the commit may still commit what it was
    /// given before that (KIP-1251).
    ///
    /// | member epoch | answer |
    /// | --- | --- |
    /// | none, and nobody is a member | yes |
    /// | the member's | yes |
    /// | newer | STALE_MEMBER_EPOCH |
    /// | older | partitions assigned by then, or earlier; STALE_MEMBER_EPOCH for others |
    pub fn check_commit(&self, member: &Name, epoch: Option<Generation>) -> Result<CommitRight<'_>, ErrorCode> {
        if epoch.is_none() && self.is_empty() {
            return Ok(CommitRight { outdated: None });
        }
        let member = self.find(member)?;
        let epoch = epoch.unwrap_or(Generation(-1));
        if epoch > member.standing.epoch {
            return Err(stale(member));
        }
        let outdated = (epoch < member.standing.epoch).then_some((&**member, epoch));
        Ok(CommitRight { outdated })
    }

    /// `validateOffsetFetch`: whoever says which member it is must be right about it.
    pub fn check_fetch(&self, member: Option<&(Name, Generation)>) -> Result<(), ErrorCode> {
        let Some((member, epoch)) = member else { return Ok(()) };
        let member = self.find(member)?;
        if *epoch == member.standing.epoch { Ok(()) } else { Err(stale(member)) }
    }
}

impl CommitRight<'_> {
    /// What is wrong with committing this partition, if anything (`createAssignmentEpochValidator`).
    pub fn refuses(&self, partition: TopicPartition) -> Option<ErrorCode> {
        let (member, told) = self.outdated?;
        let standing = &member.standing;
        let given = standing.assigned.get(&partition).or_else(|| standing.revoking.get(&partition));
        if given.is_some_and(|given| told >= *given) { None } else { Some(stale(member)) }
    }
}

fn stale(member: &Member) -> ErrorCode {
    match member.classic {
        Some(_) => ErrorCode::IllegalGeneration,
        None => ErrorCode::StaleMemberEpoch,
    }
}
