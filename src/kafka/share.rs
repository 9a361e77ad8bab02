//! Share groups (KIP-932): consumers that share partitions as workers share a queue.
//!
//! A classic group gives each partition to one member, which commits how far it has read. A share group gives a partition
//! to as many members as like, and keeps account of single records. Three machines have a part in it:
//!
//! - the *group coordinator* knows who is a member and tells each which partitions to fetch from ([`group`], with the
//!   [`assignor`]);
//! - the *leader* of a partition hands out its records: each to one member, for a time. A member accepts a record,
//!   releases it for somebody else, or rejects it for good ([`partition`], with the members' [`session`]s);
//! - the *share coordinator* keeps what became of the records, in `__share_group_state`, so that the next leader of the
//!   partition knows it ([`state`], its records in [`state_log`]).
//!
//! What we leave out: transactions (`share.isolation.level`), dead-letter queues, deleting and altering a group's offsets,
//! settings of single groups, the limit of sessions (`group.share.max.share.sessions`), pruning of
//! `__share_group_state`, and members fenced at the leader when the coordinator throws them out.

pub mod assignor;
pub mod group;
pub mod group_log;
pub mod partition;
pub mod session;
pub mod state;
pub mod state_log;
