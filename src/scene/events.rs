//! Facts as plain sentences, for those that a person should hear of.

use super::focus::Thing;
use super::words;
use crate::kafka::fact::{
    AcquisitionEnd, EnsemblePhase, EpochReason, Fact, FailurePolicy, GroupPhase, LeaveReason, ModernGroupPhase,
    NodeState, QuorumPhase, ReconciliationState,
};
use crate::kafka::ids::{
    BrokerId, ControllerId, Node, OFFSETS_TOPIC, SHARE_STATE_TOPIC, TopicPartition, is_internal_topic,
};
use crate::sim::trace::{Names, Stamped};
use crate::time::{Duration, Instant};

/// One thing that happened, told.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The id of its fact; "why?" starts from it.
    pub id: u64,
    pub at: Instant,
    pub tone: Tone,
    pub weight: Weight,
    pub text: String,
    /// Few words for the ribbon: `fenced`, `election`.
    pub tag: &'static str,
    /// What it is about.
    pub about: Option<Thing>,
}

/// How an event feels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    Plain,
    Good,
    /// Somebody asked for it.
    Asked,
    Warn,
    Bad,
}

impl Tone {
    /// The word in class names and for screen readers.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Asked => "asked",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Only in the full list.
    Minor,
    /// In the list of events.
    Listed,
    /// Also a mark on the ribbon.
    Marked,
}

/// The sentence for a fact; `None` for what nobody wants to read about.
pub fn event(stamped: &Stamped, names: &Names) -> Option<Event> {
    let told = tell(stamped, names)?;
    Some(Event {
        id: stamped.id,
        at: stamped.at,
        tone: told.0,
        weight: told.1,
        tag: told.2,
        text: told.3,
        about: about(stamped),
    })
}

/// Whether a step through the run stops at a fact: a listed event, or records that move.
pub fn matters(stamped: &Stamped, names: &Names) -> bool {
    let internal = |partition: &TopicPartition| is_internal_topic(names.topic(partition.topic));
    match &stamped.fact {
        Fact::Appended { partition, .. } | Fact::HighWatermark { partition, leader: true, .. } => !internal(partition),
        Fact::RecordsSent { .. } | Fact::BatchAcked { .. } | Fact::Polled { .. } | Fact::Processed { .. } => true,
        _ => event(stamped, names).is_some_and(|event| event.weight >= Weight::Listed),
    }
}

/// More of the same within this time is told in one line.
const SAME: Duration = Duration::secs(1);
/// Up to so many are told one by one.
const FEW: usize = 3;

/// The list with repeats folded: of many alike that follow each other closely, the first, and how many more came.
/// `events` come in order of time, and so does what is returned.
pub fn folded<'a>(events: impl Iterator<Item = &'a Event>) -> Vec<Event> {
    let mut told: Vec<Event> = Vec::new();
    let mut run: Vec<Event> = Vec::new();
    let end = |run: &mut Vec<Event>, told: &mut Vec<Event>| {
        if run.len() <= FEW {
            return told.append(run);
        }
        let more = run.len() - 1;
        let mut first = run.swap_remove(0);
        run.clear();
        first.text = format!("{} … and {more} more", first.text.trim_end_matches('.'));
        told.push(first);
    };
    for event in events {
        let alike = run.first().is_some_and(|first| {
            (first.tag, first.tone) == (event.tag, event.tone)
                && event.at.since(first.at) < SAME
                && !event.tag.is_empty()
        });
        if !alike || event.tone == Tone::Asked {
            end(&mut run, &mut told);
        }
        run.push(event.clone());
    }
    end(&mut run, &mut told);
    told
}

/// The tag of an event with which a rebalance begins: the microscope looks closer at it.
pub const REBALANCE: &str = "rebalance";

type Told = (Tone, Weight, &'static str, String);

fn tell(stamped: &Stamped, names: &Names) -> Option<Told> {
    use Tone::{Asked, Bad, Good, Plain, Warn};
    use Weight::{Listed, Marked, Minor};
    let who = stamped.node.map(|node| names.node(node)).unwrap_or_default();
    let p = |partition: &TopicPartition| names.partition(*partition);
    let internal = |partition: &TopicPartition| is_internal_topic(names.topic(partition.topic));
    Some(match &stamped.fact {
        Fact::Command { text } => (Asked, Marked, "command", text.to_string()),
        Fact::NetworkChanged { text } => (Warn, Listed, "network", format!("Network: {text}.")),
        // A tool comes and goes with its command, which is told.
        Fact::NodeState(_) if matches!(stamped.node, Some(Node::Tool(_))) => return None,
        Fact::NodeState(state) => node_state(*state, &who)?,

        Fact::ControllerActive { controller, epoch } => {
            (Plain, Marked, "controller", format!("controller-{controller} is the active controller, epoch {epoch}."))
        }
        Fact::BrokerRegistered { broker, .. } => (Plain, Minor, "", format!("broker-{broker} registers.")),
        Fact::BrokerFenced { broker, silent_for: Some(span) } => {
            let span = words::span(*span);
            (Bad, Marked, "fenced", format!("broker-{broker} is fenced: no heartbeat for {span}."))
        }
        Fact::BrokerFenced { broker, silent_for: None } => {
            (Warn, Marked, "fenced", format!("broker-{broker} is fenced, as it asked."))
        }
        Fact::BrokerUnfenced { broker } => {
            (Good, Listed, "back", format!("broker-{broker} is no longer fenced: it takes part again."))
        }
        Fact::ControlledShutdownBegan { broker } => {
            (Warn, Listed, "shutdown", format!("broker-{broker} hands its partitions over before it stops."))
        }
        Fact::TopicCreated { name, partitions, replication_factor, .. } => {
            let partitions = words::count(u64::from(*partitions), "partition");
            let purpose = match &**name {
                OFFSETS_TOPIC => ", where groups keep what they committed",
                SHARE_STATE_TOPIC => ", where share groups keep what became of records",
                _ => "",
            };
            let text = format!("{name} is created{purpose}: {partitions}, {replication_factor} replicas each.");
            (Plain, Listed, "topic", text)
        }
        Fact::PartitionsAdded { name, partitions, .. } => {
            (Plain, Listed, "topic", format!("{name} now has {partitions} partitions."))
        }
        Fact::TopicDeleted { name, .. } => (Warn, Listed, "topic", format!("{name} is deleted.")),
        Fact::ConfigChanged { resource, key, value } => {
            let value = value.as_deref().unwrap_or("its default");
            let text = format!("{resource}: {key} is now {value}.");
            // What Kafka sets on its own topics is nobody's news.
            let internal = [OFFSETS_TOPIC, SHARE_STATE_TOPIC].iter().any(|topic| text.contains(topic));
            (Plain, if internal { Minor } else { Listed }, "config", text)
        }
        Fact::LeaderElected { partition, .. } if internal(partition) => return None,
        Fact::LeaderElected { partition, leader: Some(leader), epoch, unclean, .. } => {
            let how = if *unclean { ", although it was not in the ISR" } else { "" };
            let tone = if *unclean { Bad } else { Warn };
            (
                tone,
                Marked,
                if *unclean { "unclean election" } else { "election" },
                format!("broker-{leader} leads {} from epoch {epoch} on{how}.", p(partition)),
            )
        }
        Fact::LeaderElected { partition, leader: None, .. } => {
            (Bad, Marked, "no leader", format!("{} has no leader: no replica may lead it.", p(partition)))
        }
        Fact::IsrChanged { partition, .. } if internal(partition) => return None,
        Fact::IsrChanged { partition, from, to, .. } => {
            let grew = to.len() > from.len();
            let (p, now) = (p(partition), ids(to));
            let differ = |some: &[BrokerId], others: &[BrokerId]| -> Vec<String> {
                some.iter().filter(|broker| !others.contains(broker)).map(|broker| format!("broker-{broker}")).collect()
            };
            let (came, went) = (differ(to, from).join(", "), differ(from, to).join(", "));
            let text = match (came.is_empty(), went.is_empty()) {
                (false, true) => format!("{came} is in sync on {p}: the ISR is {now}."),
                (true, false) => format!("{went} leaves the in-sync replicas (ISR) of {p}: {now} left."),
                _ => format!("ISR of {p}: {} → {now}.", ids(from)),
            };
            (if grew { Good } else { Warn }, Marked, if grew { "ISR grows" } else { "ISR shrinks" }, text)
        }

        Fact::ElrChanged { partition, from, to } if !internal(partition) && from != to => {
            let text = if to.is_empty() {
                format!("{}: no replica outside the ISR may lead any more (ELR is empty).", p(partition))
            } else {
                format!("{}: out of sync, yet eligible to lead (ELR): {}.", p(partition), ids(to))
            };
            (Plain, Listed, "ELR", text)
        }
        Fact::ReassignmentBegan { partition, adding, removing } => {
            let step = |verb: &str, some: &[BrokerId]| match some {
                [] => String::new(),
                some => format!(" {verb} {}", ids(some)),
            };
            let (adding, removing) = (step("adding", adding), step("removing", removing));
            let text = format!("{} begins to move:{adding}{removing}.", p(partition));
            (Plain, Marked, "moves", text)
        }
        Fact::ReassignmentEnded { partition, replicas, cancelled } => {
            let how = if *cancelled { "stays: its move was cancelled" } else { "has moved" };
            (Good, Listed, "moved", format!("{} {how}. Its replicas: {}.", p(partition), ids(replicas)))
        }

        Fact::QuorumState { to, epoch, leader, .. } => quorum_state(*to, epoch.0, *leader, &who)?,
        Fact::Voted { candidate, epoch, pre_vote, granted } => {
            let kind = if *pre_vote { "pre-vote" } else { "vote" };
            let how = if *granted { "grants" } else { "refuses" };
            (Plain, Minor, "vote", format!("{who} {how} controller-{candidate} its {kind} in epoch {epoch}."))
        }
        Fact::SnapshotTaken { end, records } => {
            let records = words::count(u64::from(*records), "record");
            (
                Plain,
                Minor,
                "snapshot",
                format!("{who} writes a snapshot of the metadata: {records} stand for offsets below {end}."),
            )
        }
        Fact::SnapshotLoaded { end } => (
            Plain,
            Listed,
            "snapshot",
            format!("{who} loads a snapshot of the metadata in place of offsets below {end}."),
        ),
        Fact::MetadataTruncated { from, to } => {
            let gone = words::count(from.abs_diff(*to), "record");
            (
                Warn,
                Listed,
                "truncated",
                format!("{who} cuts {gone} off its metadata log that the leader does not have."),
            )
        }

        Fact::LogRecovered { partition, recovery_point, log_end } if !internal(partition) => {
            let text = format!("{who} checked the log of {} from {recovery_point} to {log_end}.", p(partition));
            (Plain, Minor, "recovered", text)
        }
        Fact::UnflushedLost { partition, from, to } if !internal(partition) && from != to => {
            let gone = words::count(from.abs_diff(*to), "record");
            let text =
                format!("{who} loses {gone} of {} that no disk had: they were in the page cache only.", p(partition));
            (Bad, Marked, "lost from cache", text)
        }
        Fact::SegmentRolled { partition, base_offset } if !internal(partition) => (
            Plain,
            Minor,
            "segment",
            format!("{who}: a new segment of {} begins at offset {base_offset}.", p(partition)),
        ),
        Fact::Flushed { partition, to, .. } if !internal(partition) => {
            (Plain, Minor, "flush", format!("{who}: {} is on the disk up to offset {to}.", p(partition)))
        }
        Fact::LogStartAdvanced { partition, from, to } if !internal(partition) => {
            let gone = words::count(from.abs_diff(*to), "record");
            (
                Plain,
                Listed,
                "deleted",
                format!("{who} deletes the oldest {gone} of {}: it begins at {to}.", p(partition)),
            )
        }
        Fact::LogDirOffline { replicas } => {
            let replicas = words::count(u64::from(*replicas), "replica");
            (Bad, Marked, "disk offline", format!("{who}: the log directory is offline, and with it {replicas}."))
        }

        Fact::ProducerIdAssigned { producer_id, producer_epoch } => {
            (Plain, Minor, "producer id", format!("{who} produces as id {producer_id}, epoch {producer_epoch}."))
        }
        Fact::DuplicateBatch { partition, base_offset, .. } => {
            let text = format!(
                "{who} has this batch of {} already, at offset {base_offset}: it appends nothing.",
                p(partition)
            );
            (Good, Listed, "duplicate caught", text)
        }
        Fact::SequenceRefused { partition, expected, found, error, .. } => {
            let expected = expected.map_or_else(|| "nothing known".to_owned(), |next| format!("{next} comes next"));
            let error = words::error(&error.to_string());
            (
                Warn,
                Listed,
                "refused",
                format!("{who} refuses sequence {found} for {}: {expected}. {error}.", p(partition)),
            )
        }

        Fact::EnsembleState { to, epoch, .. } => {
            let (tone, weight, text) = match to {
                EnsemblePhase::Looking => (Warn, Listed, format!("{who} looks for a leader of the ensemble.")),
                EnsemblePhase::Following => (Plain, Minor, format!("{who} follows, epoch {epoch}.")),
                EnsemblePhase::Leading => (Plain, Marked, format!("{who} leads the ensemble, epoch {epoch}.")),
            };
            (tone, weight, "ensemble", text)
        }
        Fact::Znode { path, version, ephemeral } => {
            let kind = if *ephemeral { "ephemeral znode" } else { "znode" };
            let weight = if &**path == "/controller" || path.starts_with("/brokers/ids/") { Listed } else { Minor };
            match version {
                Some(0) => (Plain, weight, "znode", format!("The {kind} {path} is created.")),
                Some(version) => (Plain, Minor, "znode", format!("The {kind} {path} is written, version {version}.")),
                None => (Warn, weight, "znode", format!("The {kind} {path} is gone.")),
            }
        }
        Fact::SessionExpired { client, silent_for } => {
            let span = words::span(*silent_for);
            (
                Bad,
                Marked,
                "session expired",
                format!("broker-{client}'s session with ZooKeeper ends: silent for {span}."),
            )
        }
        Fact::WatchFired { client, path } => {
            (Plain, Minor, "watch", format!("broker-{client} is told that {path} changed."))
        }
        Fact::ControllerLoading { controller, partitions, .. } => {
            let partitions = words::count(u64::from(*partitions), "partition");
            let text = format!("broker-{controller} is the new controller: it reads {partitions} before it can act.");
            (Warn, Marked, "controller", text)
        }
        Fact::ControllerLoaded { controller, epoch, took } => {
            let took = words::span(*took);
            (
                Good,
                Marked,
                "controller ready",
                format!("broker-{controller} has read everything in {took}: it acts, epoch {epoch}."),
            )
        }

        Fact::Truncated { partition, from, to } if !internal(partition) => {
            let gone = words::count((from - to).unsigned_abs(), "record");
            (Warn, Marked, "truncated", format!("{who} drops {gone} of {}, back to offset {to}.", p(partition)))
        }
        Fact::IsrProposed { partition, lagging: Some((broker, behind)), .. } if !internal(partition) => {
            let behind = words::span(*behind);
            (Warn, Minor, "lag", format!("{who}: broker-{broker} has not caught up on {} for {behind}.", p(partition)))
        }
        Fact::ProduceFailed { partition, error } if !internal(partition) => {
            (Warn, Listed, "refused", format!("{who} refuses a batch for {}: {error}.", p(partition)))
        }

        Fact::SendFailed { count, error } => {
            let records = words::count(u64::from(*count), "record");
            (Bad, Marked, "failed", format!("{who}: send() fails for {records}: {error}."))
        }
        Fact::BatchRetried { partition, origin, error, attempt } => {
            let records = words::count(u64::from(origin.count), "record");
            let error = words::error(&error.to_string());
            let text = format!("{who} sends {records} for {} again: {error}.", p(partition));
            // The first retry is news; the ones that follow are more of the same.
            (Warn, if *attempt > 1 { Minor } else { Listed }, "retry", text)
        }
        Fact::BatchFailed { partition, origin, error } => {
            let records = words::count(u64::from(origin.count), "record");
            (Bad, Marked, "failed", format!("{who} gives up on {records} for {}: {error}.", p(partition)))
        }

        Fact::JoiningGroup { group } => (Plain, Minor, "", format!("{who} asks to join {group}.")),
        Fact::PartitionsAssigned { partitions, generation, .. } => {
            let list: Vec<String> = partitions.iter().map(p).collect();
            let list = if list.is_empty() { "nothing".to_owned() } else { list.join(", ") };
            (Good, Listed, "assigned", format!("{who} reads {list} (generation {generation})."))
        }
        Fact::PartitionsLost { partitions, error, .. } => {
            let list: Vec<String> = partitions.iter().map(p).collect();
            (Bad, Listed, "lost", format!("{who} loses {} without a chance to commit: {error}.", list.join(", ")))
        }
        Fact::CommitFailed { error, .. } => {
            (Warn, Listed, "commit", format!("{who} cannot commit: {}.", words::error(&error.to_string())))
        }
        Fact::CoordinatorFound { group, broker } => {
            (Plain, Minor, "", format!("{who} learns that broker-{broker} coordinates {group}."))
        }
        Fact::GroupState { group, to, generation, .. } => group_state(group, *to, generation.0)?,
        Fact::ModernGroupState { group, to, epoch, .. } => modern_state(group, *to, epoch.0)?,
        Fact::GroupEpoch { group, epoch, reason } => {
            let text = format!("{group} rebalances: {}. Group epoch {epoch}.", epoch_reason(*reason));
            (Warn, Marked, REBALANCE, text)
        }
        Fact::TargetAssigned { group, epoch, members } => {
            let members = words::count(members.len() as u64, "member");
            (
                Plain,
                Listed,
                "target",
                format!("{group}: the target of epoch {epoch} shares everything among {members}."),
            )
        }
        Fact::MemberReconciled { member, epoch, state, assigned, revoking, .. } => {
            let text = match state {
                ReconciliationState::Stable => {
                    let count = words::count(assigned.len() as u64, "partition");
                    format!("{member} is at its target of epoch {epoch}: {count}.")
                }
                ReconciliationState::UnrevokedPartitions => {
                    format!("{member} is to give up {} first.", words::count(revoking.len() as u64, "partition"))
                }
                ReconciliationState::UnreleasedPartitions => {
                    format!("{member} waits for partitions that others have not given up yet.")
                }
            };
            (Plain, Minor, "reconciled", text)
        }
        Fact::MemberEpoch { to, .. } if to.0 > 0 => (Plain, Minor, "epoch", format!("{who} is at epoch {to}.")),
        Fact::GroupConverted { group, to_consumer } => {
            let to = if *to_consumer { "the consumer protocol (KIP-848)" } else { "the classic protocol" };
            (Plain, Marked, "converted", format!("{group} now follows {to}."))
        }
        Fact::PartitionsRevoked { partitions, .. } => {
            let list: Vec<String> = partitions.iter().map(p).collect();
            (Warn, Minor, "revoked", format!("{who} gives up {}.", words::clip(&list.join(", "), 120)))
        }
        Fact::PartitionsPaused { partitions, paused } => {
            let list: Vec<String> = partitions.iter().map(p).collect();
            let verb = if *paused { "stops returning" } else { "returns again" };
            (Plain, Listed, "pause", format!("{who} {verb} records of {}.", words::clip(&list.join(", "), 120)))
        }
        Fact::RecordFailed { partition, offset, attempt, then, .. } => {
            let then = match then {
                FailurePolicy::Crash => "it crashes",
                FailurePolicy::Skip => "it skips the record",
                FailurePolicy::Retry => "it tries again",
                FailurePolicy::DeadLetter => "it sends the record to a dead-letter topic",
            };
            let text = format!("{who} fails on {}@{offset}, attempt {attempt}: {then}.", p(partition));
            // That a retry fails as well is more of the same.
            (Bad, if *attempt > 1 { Minor } else { Listed }, "failed record", text)
        }
        Fact::AcquisitionEnded { member, partition, base_offset, count, how, .. } => {
            let records = words::count(u64::from(*count), "record");
            let (tone, weight, what) = match how {
                AcquisitionEnd::Accepted => (Plain, Minor, "is done with"),
                AcquisitionEnd::Released => (Plain, Minor, "lets go of"),
                AcquisitionEnd::Rejected => (Warn, Listed, "rejects"),
                AcquisitionEnd::TimedOut => (Warn, Listed, "held for too long"),
                AcquisitionEnd::LimitReached => (Bad, Listed, "fails for the last time on"),
            };
            (tone, weight, "share", format!("{member} {what} {records} of {} from {base_offset} on.", p(partition)))
        }
        Fact::RecordsAcquired { member, partition, base_offset, count, delivery_count, .. } => {
            let records = words::count(u64::from(*count), "record");
            let again = if *delivery_count > 1 { format!(", delivery {delivery_count}") } else { String::new() };
            let text = format!("{member} acquires {records} of {} from {base_offset} on{again}.", p(partition));
            (Plain, Minor, "share", text)
        }
        Fact::SharePartitionFenced { group, partition, error, .. } => {
            let text = format!("{who} forgets who of {group} has what of {}: {error}.", p(partition));
            (Warn, Listed, "share", text)
        }
        Fact::ShareGroupForgotten { group } => {
            (Plain, Minor, "share", format!("{who} forgets {group}: no member of it is connected any more."))
        }
        Fact::OffsetDeleted { group, partition } if !internal(partition) => {
            (Warn, Listed, "offset", format!("{group} has no committed offset of {} any more.", p(partition)))
        }
        Fact::CoordinatorLoaded { groups, .. } if *groups > 0 => {
            let groups = words::count(u64::from(*groups), "group");
            (Plain, Listed, "coordinator", format!("{who} has loaded {groups} and coordinates from here on."))
        }
        Fact::LeavingGroup { group, reason } => {
            (Plain, Minor, "leaves", format!("{who} leaves {group}: {}.", leave_reason(*reason)))
        }
        Fact::MemberJoined { group, member } => (Plain, Minor, "joins", format!("{member} joins {group}.")),
        Fact::MemberRemoved { group, member, reason } => {
            let closed = matches!(reason, LeaveReason::Closed);
            let text = format!("{member} is out of {group}: {}.", leave_reason(*reason));
            (if closed { Plain } else { Bad }, Marked, "member out", text)
        }
        Fact::ToolFinished { ok: false, .. } => (Bad, Listed, "tool", format!("{who} fails.")),
        Fact::ToolFinished { ok: true, .. } => (Plain, Minor, "tool", format!("{who} is done.")),
        _ => return None,
    })
}

fn node_state(state: NodeState, who: &str) -> Option<Told> {
    use Tone::{Bad, Good, Plain, Warn};
    use Weight::{Listed, Marked, Minor};
    Some(match state {
        NodeState::Starting => (Plain, Listed, "start", format!("{who} starts.")),
        NodeState::Running => (Good, Minor, "", format!("{who} is running.")),
        NodeState::Paused => (Warn, Marked, "paused", format!("{who} freezes.")),
        NodeState::Stopping => (Warn, Listed, "stop", format!("{who} is asked to stop.")),
        NodeState::Stopped => (Plain, Listed, "stopped", format!("{who} has stopped.")),
        NodeState::Killed => (Bad, Marked, "crash", format!("{who} crashes.")),
    })
}

fn quorum_state(to: QuorumPhase, epoch: i32, leader: Option<ControllerId>, who: &str) -> Option<Told> {
    use Tone::{Plain, Warn};
    use Weight::{Listed, Marked, Minor};
    Some(match to {
        QuorumPhase::Unattached => (Plain, Minor, "quorum", format!("{who} knows of no leader, epoch {epoch}.")),
        QuorumPhase::Follower => {
            let leader = leader.map_or_else(|| "a leader".to_owned(), |leader| format!("controller-{leader}"));
            (Plain, Minor, "quorum", format!("{who} follows {leader} in epoch {epoch}."))
        }
        QuorumPhase::Prospective => {
            (Warn, Listed, "quorum election", format!("{who} misses its leader and asks who would vote for it."))
        }
        QuorumPhase::Candidate => {
            (Warn, Marked, "quorum election", format!("{who} stands for election in epoch {epoch}."))
        }
        QuorumPhase::Leader => (Plain, Listed, "quorum", format!("{who} wins the election of epoch {epoch}.")),
        QuorumPhase::Resigned => (Warn, Listed, "quorum", format!("{who} resigns: epoch {epoch} has no leader.")),
    })
}

fn group_state(group: &str, to: GroupPhase, generation: i32) -> Option<Told> {
    use Tone::{Good, Plain, Warn};
    use Weight::{Listed, Marked};
    Some(match to {
        GroupPhase::PreparingRebalance => (Warn, Marked, REBALANCE, format!("{group} rebalances: members join anew.")),
        GroupPhase::CompletingRebalance => {
            (Plain, Weight::Minor, "", format!("{group}: everybody has joined, the leader assigns."))
        }
        GroupPhase::Stable => (Good, Listed, "stable", format!("{group} is stable at generation {generation}.")),
        GroupPhase::Empty => (Warn, Listed, "empty", format!("{group} has no members left.")),
        GroupPhase::Dead => return None,
    })
}

fn modern_state(group: &str, to: ModernGroupPhase, epoch: i32) -> Option<Told> {
    use Tone::{Good, Plain, Warn};
    use Weight::{Listed, Minor};
    Some(match to {
        ModernGroupPhase::Stable => (Good, Listed, "stable", format!("{group} is stable at epoch {epoch}.")),
        ModernGroupPhase::Empty => (Warn, Listed, "empty", format!("{group} has no members left.")),
        ModernGroupPhase::Assigning => {
            (Plain, Minor, "", format!("{group}: the coordinator is to work out a target for epoch {epoch}."))
        }
        ModernGroupPhase::Reconciling => {
            (Plain, Minor, "", format!("{group}: members go to the target of epoch {epoch}, one by one."))
        }
        ModernGroupPhase::Dead => return None,
    })
}

fn epoch_reason(reason: EpochReason) -> &'static str {
    match reason {
        EpochReason::MemberJoined => "a member joined",
        EpochReason::MemberLeft => "a member is gone",
        EpochReason::SubscriptionChanged => "a member wants other topics",
        EpochReason::MetadataChanged => "a topic of its changed",
    }
}

fn leave_reason(reason: LeaveReason) -> &'static str {
    match reason {
        LeaveReason::Closed => "it closed",
        LeaveReason::PollTimeout => "it did not poll for max.poll.interval.ms",
        LeaveReason::SessionTimeout => "no heartbeat for session.timeout.ms",
        LeaveReason::JoinTimeout => "it did not join again in time",
        LeaveReason::SyncTimeout => "it did not ask for its assignment in time",
        LeaveReason::Replaced => "a new instance took its place",
        LeaveReason::GroupFull => "the group is full",
        LeaveReason::RevocationTimeout => "it did not give up its partitions in time",
        LeaveReason::RemovedByAdmin => "an administrator removed it",
    }
}

fn about(stamped: &Stamped) -> Option<Thing> {
    match &stamped.fact {
        Fact::LeaderElected { partition, .. }
        | Fact::IsrChanged { partition, .. }
        | Fact::Truncated { partition, .. }
        | Fact::ElrChanged { partition, .. }
        | Fact::ReassignmentBegan { partition, .. }
        | Fact::ReassignmentEnded { partition, .. }
        | Fact::UnflushedLost { partition, .. }
        | Fact::LogStartAdvanced { partition, .. }
        | Fact::DuplicateBatch { partition, .. }
        | Fact::SequenceRefused { partition, .. }
        | Fact::ProduceFailed { partition, .. }
        | Fact::BatchRetried { partition, .. }
        | Fact::BatchFailed { partition, .. } => Some(Thing::Partition(*partition)),
        Fact::BrokerFenced { broker, .. }
        | Fact::BrokerUnfenced { broker }
        | Fact::BrokerRegistered { broker, .. }
        | Fact::SessionExpired { client: broker, .. }
        | Fact::ControllerLoading { controller: broker, .. }
        | Fact::ControllerLoaded { controller: broker, .. }
        | Fact::ControlledShutdownBegan { broker } => Some(Thing::Node(Node::Broker(*broker))),
        Fact::ControllerActive { controller, .. } => Some(Thing::Node(Node::Controller(*controller))),
        Fact::GroupState { group, .. }
        | Fact::ModernGroupState { group, .. }
        | Fact::GroupEpoch { group, .. }
        | Fact::TargetAssigned { group, .. }
        | Fact::MemberReconciled { group, .. }
        | Fact::GroupConverted { group, .. }
        | Fact::MemberRemoved { group, .. }
        | Fact::MemberJoined { group, .. } => Some(Thing::Group(group.to_string())),
        _ => stamped.node.map(Thing::Node),
    }
}

fn ids(brokers: &[BrokerId]) -> String {
    let list: Vec<String> = brokers.iter().map(BrokerId::to_string).collect();
    if list.is_empty() { "nobody".to_owned() } else { list.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::ids::{LeaderEpoch, TopicId};

    fn check(fact: Fact, expected: Option<&str>) {
        let mut names = Names::default();
        names.add_topic(TopicId(0), "orders".into());
        names.add_topic(TopicId(1), OFFSETS_TOPIC.into());
        let node = Some(Node::Broker(BrokerId(2)));
        let stamped = Stamped { id: 1, cause: 0, at: Instant::ZERO, node, fact };
        assert_eq!(event(&stamped, &names).map(|event| event.text).as_deref(), expected);
    }

    fn elected(topic: u32, leader: Option<i32>) -> Fact {
        Fact::LeaderElected {
            partition: TopicPartition::new(TopicId(topic), 1),
            leader: leader.map(BrokerId),
            epoch: LeaderEpoch(1),
            isr: Vec::new(),
            unclean: false,
        }
    }

    #[test]
    fn an_election_is_told_by_broker_and_partition() {
        check(elected(0, Some(2)), Some("broker-2 leads orders-1 from epoch 1 on."));
        check(elected(0, None), Some("orders-1 has no leader: no replica may lead it."));
    }

    #[test]
    fn many_alike_are_told_in_one_line() {
        let event = |id, millis: u64, tag| Event {
            id,
            at: Instant::from_micros(millis * 1000),
            tone: Tone::Warn,
            weight: Weight::Listed,
            text: format!("{tag} {id}."),
            tag,
            about: None,
        };
        let mut events = vec![event(1, 0, "crash")];
        events.extend((2..17).map(|id| event(id, id, "retry")));
        events.extend([event(20, 5000, "retry"), event(21, 5001, "election"), event(22, 5001, "election")]);
        let told: Vec<String> = folded(events.iter()).into_iter().map(|event| event.text).collect();
        assert_eq!(told, ["crash 1.", "retry 2 … and 14 more", "retry 20.", "election 21.", "election 22."]);
    }

    #[test]
    fn a_candidate_stands_and_a_vote_names_its_candidate() {
        let (from, epoch) = (QuorumPhase::Prospective, LeaderEpoch(4));
        let fact = Fact::QuorumState { from, to: QuorumPhase::Candidate, epoch, leader: None };
        check(fact, Some("broker-2 stands for election in epoch 4."));
        let fact = Fact::Voted { candidate: ControllerId(102), epoch, pre_vote: true, granted: true };
        check(fact, Some("broker-2 grants controller-102 its pre-vote in epoch 4."));
    }

    #[test]
    fn a_loss_from_the_page_cache_is_told_and_one_of_nothing_is_not() {
        let partition = TopicPartition::new(TopicId(0), 1);
        let told = "broker-2 loses 3 records of orders-1 that no disk had: they were in the page cache only.";
        check(Fact::UnflushedLost { partition, from: 4, to: 7 }, Some(told));
        check(Fact::UnflushedLost { partition, from: 4, to: 4 }, None);
    }

    #[test]
    fn a_group_epoch_is_a_rebalance_that_one_may_look_closer_at() {
        let fact = Fact::GroupEpoch {
            group: "billing".into(),
            epoch: crate::kafka::ids::Generation(3),
            reason: EpochReason::MemberLeft,
        };
        check(fact.clone(), Some("billing rebalances: a member is gone. Group epoch 3."));
        let stamped = Stamped { id: 1, cause: 0, at: Instant::ZERO, node: None, fact };
        let event = event(&stamped, &Names::default()).expect("it is told");
        assert_eq!((event.tag, event.about), (REBALANCE, Some(Thing::Group("billing".to_owned()))));
    }

    #[test]
    fn internal_topics_are_not_told_partition_by_partition() {
        check(elected(1, Some(2)), None);
    }

    #[test]
    fn a_fencing_names_the_silence_that_led_to_it() {
        let fact = Fact::BrokerFenced { broker: BrokerId(1), silent_for: Some(Duration::secs(9)) };
        check(fact, Some("broker-1 is fenced: no heartbeat for 9 s."));
    }
}
