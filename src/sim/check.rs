//! What the model promises, checked after every event. A broken promise is our bug, never the user's.
//!
//! Each check reads the facts of one event and, where they touch a partition, its replicas; what it must remember it
//! keeps itself, so that it never trusts the bookkeeping of the machines it judges. Names follow the properties of
//! Kafka's TLA+ models where there is one.
//!
//! | file | what it holds the model to |
//! | --- | --- |
//! | `leaders` | `OneLeaderPerEpoch`, `EpochsRise`, `LeaderInIsr`, `IsrIsFit`, `ElectionsAreClean` |
//! | `logs` | `LeaderHighWatermarkNeverFalls`, `HighWatermarkWithinLog`, `LogsAgreeUpToHighWatermark`, `NoCommitBelowMinIsr`, `LeaderHasEveryCommittedRecord`, `CommittedRecordsSurvive`, `IsrHasEveryCommittedRecord`, `EpochsOnLogRise`, `LogsMatch` |
//! | `clients` | `AckedIsCommitted`, `ReadIsCommitted` |
//! | `groups` | `OneReaderPerGeneration`, `CommitsWithinLog`, `CommitIsReplicated`, `CommitsNeverFall`, `CommittedOffsetsSurvive` |
//! | `groups/readers` | `OneReaderAtOnce`, `ReadersHoldWhatTheyRead`, `WhoIsOutHoldsNothing`, `OneOwnerPerPartition`, `EpochsAreReplicated`, `GroupEpochRisesWithItsMembers` |
//! | `groups/refusals` | `WhoIsOutIsRefused` |
//! | `groups/share` | `OneHolderPerRecord`, `WhatIsDoneIsNotDelivered`, `DeliveriesAreLimited` |
//! | `groups/attendance` | `GroupsMissNothing`; of groups left in peace `EveryPartitionHasAReader`, `ReadersCatchUp`; at the end of a run |
//! | `quorum` | `OneQuorumLeaderPerEpoch`, `OneVotePerEpoch`, `ControllerEpochsRise`, `QuorumLeaderHasEveryCommittedRecord`, `CommittedMetadataSurvives`, `CommittedMetadataAgrees` |
//! | `ledger` | `LedgerAddsUp`, `AckedRecordsSurvive`, `IdempotentProducersDoNotRepeat`, at the end of a run |
//!
//! What Kafka itself does not promise is *forgiven*, partition by partition: what an unclean election, an emptied disk, or
//! power lost on too many machines takes away. From then on nothing is asked of the records that partition had; that they
//! are counted is the books' business.

mod clients;
mod groups;
mod leaders;
mod ledger;
mod logs;
mod quorum;

use std::collections::{BTreeMap, BTreeSet};

pub use self::groups::Attendance;
use self::groups::{GroupChecks, Peace, Readers, Refusals, ShareChecks, Shared};
use self::leaders::LeaderChecks;
pub use self::ledger::Account;
use self::logs::LogChecks;
use self::quorum::QuorumChecks;
use crate::kafka::consumer::Consumer;
use crate::kafka::coordinator::GroupCoordinator;
use crate::kafka::fact::{Fact, GroupPhase, LeaveReason, ModernGroupPhase, NodeState, ResetReason};
use crate::kafka::ids::{BrokerId, ClientId, ControllerId, Node, TopicPartition};
use crate::kafka::log::Log;
use crate::kafka::message::{Message, Request};
use crate::kafka::metadata::{MetadataImage, PartitionRegistration};
use crate::kafka::quorum::Quorum;
use crate::kafka::quorum::log::MetadataLog;
use crate::kafka::replica::Replica;
use crate::sim::trace::Stamped;
use crate::time::Instant;

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The property's name.
    pub name: &'static str,
    pub at: Instant,
    /// What was promised and what was found.
    pub what: String,
    /// The fact that broke it.
    pub fact: u64,
}

/// How checks look at the world.
pub trait Witness {
    /// The replica of a broker that runs.
    fn replica(&self, broker: BrokerId, partition: TopicPartition) -> Option<&Replica>;
    /// A broker's log, whether its process runs or not.
    fn log(&self, broker: BrokerId, partition: TopicPartition) -> Option<&Log>;
    /// Every broker there is.
    fn broker_ids(&self) -> Vec<BrokerId>;
    /// How a partition is called.
    fn name(&self, partition: TopicPartition) -> String;
    /// A voter that runs.
    fn quorum(&self, voter: ControllerId) -> Option<&Quorum>;
    /// Every voter's metadata log, whether its process runs or not.
    fn metadata_logs(&self) -> Vec<MetadataLog>;
    /// Whether a replica outside the ISR may lead this partition, as the controller that decides has it.
    fn allows_unclean_election(&self, controller: Option<Node>, partition: TopicPartition) -> bool;
    /// The cluster as a controller that runs has it.
    fn image_of(&self, controller: Node) -> Option<&MetadataImage>;
    /// A partition as the active controller has it.
    fn registration(&self, partition: TopicPartition) -> Option<&PartitionRegistration>;
    /// The group coordinator of a broker that runs.
    fn coordinator(&self, broker: BrokerId) -> Option<&GroupCoordinator>;
    /// The replicas that a running broker leads of `__consumer_offsets`.
    fn led_offsets(&self, broker: BrokerId) -> Vec<&Replica>;
    /// One of them, by its number.
    fn led_offsets_partition(&self, broker: BrokerId, number: u32) -> Option<&Replica>;
    /// A consumer that runs.
    fn consumer(&self, id: ClientId) -> Option<&Consumer>;
    /// `group.share.delivery.count.limit` of a broker that runs.
    fn delivery_limit(&self, broker: BrokerId) -> u32;
    /// Whether a producer waits for every in-sync replica (`acks=all`).
    fn waits_for_all(&self, producer: ClientId) -> bool;
    /// Whether an old version's rules are on, which are known to lose records.
    fn has_old_rules(&self) -> bool;
}

/// What the checks remember.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    leaders: LeaderChecks,
    logs: LogChecks,
    groups: GroupChecks,
    readers: Readers,
    refusals: Refusals,
    share: ShareChecks,
    peace: Peace,
    quorum: QuorumChecks,
    /// Producers that were given an id, by which leaders recognise what they have already, and whether they stayed in its
    /// first epoch. Whoever has to begin another one, as a leader that stopped cleanly remembers one batch only, sends
    /// again what is there, and nothing is promised: sequences start anew.
    idempotent: BTreeMap<ClientId, bool>,
    /// A disk was emptied. If it was that of a voter, ids may be given out twice.
    wiped: bool,
    verdict: Verdict,
}

/// What was found, and what is not held against the model.
#[derive(Clone, Debug, Default)]
struct Verdict {
    /// Partitions that lost records as Kafka would have.
    forgiven: BTreeSet<TopicPartition>,
    violations: Vec<Violation>,
}

/// More than this is not kept: one broken promise breaks others.
const MAX_VIOLATIONS: usize = 100;

impl Verdict {
    fn report(&mut self, name: &'static str, stamped: &Stamped, what: String) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(Violation { name, at: stamped.at, what, fact: stamped.id });
        }
    }

    fn is_forgiven(&self, partition: TopicPartition) -> bool {
        self.forgiven.contains(&partition)
    }
}

impl Checks {
    /// Looks at what one event did.
    pub fn after_event(&mut self, facts: &[Stamped], world: &impl Witness) {
        let verdict = &mut self.verdict;
        if let Some(last) = facts.last() {
            self.refusals.report(last, verdict);
        }
        for stamped in facts {
            self.peace.enter(stamped, world);
            let voter = if let Some(Node::Controller(id)) = stamped.node { world.quorum(id) } else { None };
            if let Some((name, what)) = self.quorum.after_fact(stamped, voter, || world.metadata_logs()) {
                verdict.report(name, stamped, what);
            }
            let broker = stamped.node.and_then(Node::broker);
            match &stamped.fact {
                Fact::Command { text } => {
                    self.wiped |= text.starts_with("wipe ");
                    self.leaders.command(text);
                }
                Fact::LeaderElected { partition, leader, epoch, unclean, .. } => {
                    if *unclean || leader.is_some_and(|leader| self.logs.had_moved_away(*partition, leader)) {
                        self.logs.elected_uncleanly(*partition, *epoch, verdict);
                    }
                    let election = (*partition, *leader, *epoch);
                    self.leaders.election_is_clean(stamped, election, *unclean, world, verdict);
                    self.leaders.elected(stamped, *partition, Some(*epoch), world, verdict);
                }
                Fact::IsrChanged { partition, from, to, .. } => {
                    self.logs.joined(stamped, *partition, from, to, world, verdict);
                    self.logs.healed(*partition, from, to);
                    self.leaders.elected(stamped, *partition, None, world, verdict);
                }
                Fact::ReassignmentEnded { partition, replicas, .. } => {
                    self.share.moved(*partition, replicas);
                    self.logs.moved(*partition, replicas, world, verdict);
                }
                Fact::ElrChanged { partition, to, .. } => self.logs.eligible(*partition, to, world),
                Fact::BecameLeader { partition, epoch, .. } => {
                    let Some(broker) = broker else { continue };
                    self.leaders.became_leader(stamped, broker, *partition, *epoch, world, verdict);
                    self.logs.became_leader(stamped, broker, *partition, world, verdict);
                    self.share.led(broker, *partition, *epoch);
                }
                Fact::BecameFollower { partition, epoch, .. } => {
                    let Some(broker) = broker else { continue };
                    self.leaders.epochs_rise(stamped, broker, *partition, *epoch, world, verdict);
                    self.share.followed(broker, *partition);
                }
                Fact::HighWatermark { partition, leader: true, .. } => {
                    let Some(broker) = broker else { continue };
                    self.logs.high_watermark_moved(stamped, broker, *partition, world, verdict);
                }
                Fact::ControllerActive { epoch, .. } => self.leaders.controller_active(stamped.node, *epoch),
                Fact::ControllerLoaded { .. } => self.logs.controller_replaced(),
                Fact::NodeState(state) => {
                    if let (NodeState::Starting, Some(broker)) = (state, broker) {
                        self.logs.restarted(broker);
                    }
                    match stamped.node {
                        Some(Node::Broker(broker)) if !is_alive(*state) => self.share.stopped(broker),
                        Some(Node::Consumer(member)) if !is_alive(*state) => self.readers.ended(member),
                        _ => {}
                    }
                }
                Fact::Appended { partition, base_offset, epoch, leader, .. } => {
                    let Some(broker) = broker else { continue };
                    logs::appended(stamped, (broker, *leader), *partition, *base_offset, *epoch, world, verdict);
                }
                Fact::Truncated { partition, to, .. } => self.logs.truncated(stamped, *partition, *to, world, verdict),
                Fact::UnflushedLost { partition, from, .. } => {
                    let Some(broker) = broker else { continue };
                    self.logs.unflushed_lost(broker, *partition, *from, world, verdict);
                }
                Fact::LogStartAdvanced { partition, .. } => self.logs.forgive(*partition, verdict),
                Fact::BatchAcked { partition, origin, base_offset, .. } => {
                    let committed = self.logs.committed_up_to(*partition);
                    clients::acked(stamped, *partition, origin, *base_offset, committed, world, verdict);
                }
                Fact::ProducerIdAssigned { producer_epoch, .. } => {
                    let Some(client) = stamped.node.and_then(Node::client) else { continue };
                    self.idempotent.entry(client).and_modify(|same| *same &= *producer_epoch == 0).or_insert(true);
                }
                Fact::Fetched { partition, base_offset, count } => {
                    let committed = self.logs.committed_up_to(*partition);
                    clients::fetched(stamped, *partition, *base_offset, *count, committed, world, verdict);
                }
                Fact::PartitionsAssigned { group, generation, partitions } => {
                    let Some(Node::Consumer(member)) = stamped.node else { continue };
                    self.groups.assigned(stamped, group, *generation, partitions, member, world, verdict);
                    self.readers.assigned(stamped, group, partitions, member, world, verdict);
                }
                Fact::PartitionsRevoked { group, partitions } | Fact::PartitionsLost { group, partitions, .. } => {
                    let Some(Node::Consumer(member)) = stamped.node else { continue };
                    self.groups.released(group, partitions, member);
                    self.readers.gave_up(member, partitions);
                }
                Fact::Polled { partition, .. } => {
                    let Some(Node::Consumer(member)) = stamped.node else { continue };
                    self.readers.polled(stamped, member, *partition, world, verdict);
                }
                Fact::JoiningGroup { .. } => {
                    let Some(Node::Consumer(member)) = stamped.node else { continue };
                    self.readers.joins(stamped, member, world, verdict);
                }
                Fact::PositionReset { partition, reason: ResetReason::Sought, .. } => self.groups.sought(*partition),
                Fact::GroupConverted { group, .. } => {
                    let Some(broker) = broker else { continue };
                    self.groups.converted(broker, group);
                }
                Fact::GroupState { group, to, .. } => {
                    self.groups.attended(stamped, group, *to == GroupPhase::Empty);
                }
                Fact::ModernGroupState { group, to, .. } => {
                    self.groups.attended(stamped, group, *to == ModernGroupPhase::Empty);
                }
                Fact::MemberEpoch { group, to, .. } if to.0 > 0 => {
                    let Some(Node::Consumer(member)) = stamped.node else { continue };
                    self.readers.heard_of_epoch(stamped, member, (group, *to), &self.logs, world, verdict);
                }
                Fact::MemberReconciled { group, member, epoch, assigned, revoking, .. } => {
                    let holds = assigned.iter().chain(revoking).cloned();
                    let Some(broker) = broker else { continue };
                    self.groups.reconciled(stamped, (broker, group), member, holds, verdict);
                    self.readers.reconciled(broker, (group, member, *epoch), world);
                }
                Fact::MemberRemoved { group, member, reason } => {
                    if *reason == LeaveReason::Replaced {
                        self.groups.replaced(group);
                    }
                    let Some(broker) = broker else { continue };
                    self.groups.removed(broker, group, member);
                    groups::epochs_rise(stamped, broker, (group, *reason), facts, world, verdict);
                }
                Fact::GroupAssigned { group, members, .. } | Fact::TargetAssigned { group, members, .. } => {
                    groups::assignment_is_sound(stamped, group, members, world, verdict);
                }
                Fact::RecordsAcquired { group, member, partition, base_offset, count, delivery_count } => {
                    let Some(broker) = broker else { continue };
                    let (partition, base_offset, count) = (*partition, *base_offset, *count);
                    let shared = Shared { group, member, partition, base_offset, count };
                    self.share.acquired(stamped, broker, &shared, *delivery_count, world, verdict);
                }
                Fact::AcquisitionEnded { group, member, partition, base_offset, count, how } => {
                    let Some(broker) = broker else { continue };
                    let (partition, base_offset, count) = (*partition, *base_offset, *count);
                    self.share.ended(broker, &Shared { group, member, partition, base_offset, count }, *how);
                }
                Fact::SharePartitionFenced { group, partition, leader_epoch, error } => {
                    let Some(broker) = broker else { continue };
                    self.share.fenced(broker, group, *partition, (*leader_epoch, *error));
                }
                Fact::ShareGroupForgotten { group } => {
                    let Some(broker) = broker else { continue };
                    self.share.forgotten(broker, group);
                }
                Fact::OffsetDeleted { group, partition } => self.groups.offset_deleted(group, *partition),
                Fact::OffsetCommitted { group, partition, offset } => {
                    let Some(broker) = broker else { continue };
                    self.groups.committed(stamped, broker, group, *partition, *offset, world, verdict);
                }
                Fact::CoordinatorLoaded { partition, .. } => {
                    let Some(broker) = broker else { continue };
                    self.groups.forget_holders(broker);
                    self.readers.forget_epochs();
                    self.groups.loaded(stamped, broker, *partition, world, verdict);
                }
                _ => {}
            }
        }
    }

    /// A disk is about to be emptied. Nobody promised that what only it holds will be there afterwards.
    pub fn before_wipe(&mut self, broker: BrokerId, world: &impl Witness) {
        self.logs.before_wipe(broker, world, &mut self.verdict);
    }

    /// Whether [`Checks::before_request`] wants to see that request.
    pub fn looks_at(request: &Request) -> bool {
        groups::may_be_due(request)
    }

    /// A broker is about to answer a request, or to act upon it.
    pub fn before_request(
        &mut self,
        broker: BrokerId,
        from: Node,
        correlation_id: u32,
        request: &Request,
        world: &impl Witness,
    ) {
        self.refusals.asked(broker, (from, correlation_id), request, world.coordinator(broker));
    }

    /// A broker puts an answer on the wire.
    pub fn answered(&mut self, broker: BrokerId, to: Node, message: &Message) {
        if let Message::Response { correlation_id, response } = message {
            self.refusals.answered(broker, (to, *correlation_id), response);
        }
    }

    /// Every broken promise so far.
    pub fn violations(&self) -> &[Violation] {
        &self.verdict.violations
    }

    /// Whether a partition has lost records as Kafka would have: nothing is promised of those it had.
    pub fn is_forgiven(&self, partition: TopicPartition) -> bool {
        self.verdict.is_forgiven(partition)
    }
}

/// Whether a process in that state has what it had before.
fn is_alive(state: NodeState) -> bool {
    matches!(state, NodeState::Running | NodeState::Paused | NodeState::Stopping)
}
