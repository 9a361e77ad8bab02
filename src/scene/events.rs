//! Facts as plain sentences, for those that a person should hear of.

use super::focus::Thing;
use super::words;
use crate::kafka::fact::{Fact, GroupPhase, LeaveReason, NodeState};
use crate::kafka::ids::{BrokerId, Node, OFFSETS_TOPIC, TopicPartition};
use crate::sim::trace::{Names, Stamped};
use crate::time::Instant;

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
        about: about(stamped, names),
    })
}

/// Whether a step through the run stops at a fact: a listed event, or records that move.
pub fn matters(stamped: &Stamped, names: &Names) -> bool {
    let internal = |partition: &TopicPartition| names.topic(partition.topic) == OFFSETS_TOPIC;
    match &stamped.fact {
        Fact::Appended { partition, .. } | Fact::HighWatermark { partition, leader: true, .. } => !internal(partition),
        Fact::RecordsSent { .. } | Fact::BatchAcked { .. } | Fact::Polled { .. } | Fact::Processed { .. } => true,
        _ => event(stamped, names).is_some_and(|event| event.weight >= Weight::Listed),
    }
}

type Told = (Tone, Weight, &'static str, String);

fn tell(stamped: &Stamped, names: &Names) -> Option<Told> {
    use Tone::{Asked, Bad, Good, Plain, Warn};
    use Weight::{Listed, Marked, Minor};
    let who = stamped.node.map(|node| names.node(node)).unwrap_or_default();
    let p = |partition: &TopicPartition| names.partition(*partition);
    let internal = |partition: &TopicPartition| names.topic(partition.topic) == OFFSETS_TOPIC;
    Some(match &stamped.fact {
        Fact::Command { text } => (Asked, Marked, "command", text.to_string()),
        Fact::NetworkChanged { text } => (Warn, Listed, "network", format!("Network: {text}.")),
        // A tool comes and goes with its command, which is told.
        Fact::NodeState(_) if matches!(stamped.node, Some(Node::Tool(_))) => return None,
        Fact::NodeState(state) => node_state(*state, &who)?,

        Fact::ControllerActive { controller, epoch } => {
            (Plain, Listed, "controller", format!("controller-{controller} leads the quorum, epoch {epoch}."))
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
            let purpose = if &**name == OFFSETS_TOPIC { ", where groups keep what they committed" } else { "" };
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
            (Plain, if text.contains(OFFSETS_TOPIC) { Minor } else { Listed }, "config", text)
        }
        Fact::LeaderElected { partition, .. } if internal(partition) => return None,
        Fact::LeaderElected { partition, leader: Some(leader), epoch, unclean, .. } => {
            let how = if *unclean { ", although it was not in the ISR" } else { "" };
            let tone = if *unclean { Bad } else { Warn };
            (tone, Marked, "election", format!("broker-{leader} leads {} from epoch {epoch} on{how}.", p(partition)))
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

        Fact::Truncated { partition, from, to } if !internal(partition) => {
            let gone = words::count((from - to).unsigned_abs(), "record");
            (Warn, Listed, "truncated", format!("{who} drops {gone} of {}, back to offset {to}.", p(partition)))
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

fn group_state(group: &str, to: GroupPhase, generation: i32) -> Option<Told> {
    use Tone::{Good, Plain, Warn};
    use Weight::{Listed, Marked};
    Some(match to {
        GroupPhase::PreparingRebalance => {
            (Warn, Marked, "rebalance", format!("{group} rebalances: members join anew."))
        }
        GroupPhase::CompletingRebalance => {
            (Plain, Weight::Minor, "", format!("{group}: everybody has joined, the leader assigns."))
        }
        GroupPhase::Stable => (Good, Listed, "stable", format!("{group} is stable at generation {generation}.")),
        GroupPhase::Empty => (Warn, Listed, "empty", format!("{group} has no members left.")),
        GroupPhase::Dead => return None,
    })
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
    }
}

fn about(stamped: &Stamped, _names: &Names) -> Option<Thing> {
    match &stamped.fact {
        Fact::LeaderElected { partition, .. }
        | Fact::IsrChanged { partition, .. }
        | Fact::Truncated { partition, .. }
        | Fact::ProduceFailed { partition, .. }
        | Fact::BatchRetried { partition, .. }
        | Fact::BatchFailed { partition, .. } => Some(Thing::Partition(*partition)),
        Fact::BrokerFenced { broker, .. }
        | Fact::BrokerUnfenced { broker }
        | Fact::BrokerRegistered { broker, .. }
        | Fact::ControlledShutdownBegan { broker } => Some(Thing::Node(Node::Broker(*broker))),
        Fact::ControllerActive { controller, .. } => Some(Thing::Node(Node::Controller(*controller))),
        Fact::GroupState { group, .. } | Fact::MemberRemoved { group, .. } | Fact::MemberJoined { group, .. } => {
            Some(Thing::Group(group.to_string()))
        }
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
    use crate::time::Duration;

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
    fn internal_topics_are_not_told_partition_by_partition() {
        check(elected(1, Some(2)), None);
    }

    #[test]
    fn a_fencing_names_the_silence_that_led_to_it() {
        let fact = Fact::BrokerFenced { broker: BrokerId(1), silent_for: Some(Duration::secs(9)) };
        check(fact, Some("broker-1 is fenced: no heartbeat for 9 s."));
    }
}
