//! "Why?": the chain of causes behind a fact, and the setting that decided each step of it.
//!
//! Every fact carries the id of its cause: the message, timer or command whose step noted it. Walking back along these
//! needs no code in the protocols. A silence has no sender, so one step is added: what made the silent one silent.

use super::events;
use crate::kafka::fact::{AcquisitionEnd, Fact, LeaveReason, NodeState, QuorumPhase};
use crate::kafka::ids::Node;
use crate::sim::trace::{Names, Stamped};
use crate::time::Instant;

/// One step of the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    pub id: u64,
    pub at: Instant,
    pub text: String,
    /// The setting that decided it, by Kafka's name, and where it is set.
    pub setting: Option<(&'static str, Option<Node>)>,
}

/// How far back an answer goes.
const STEPS: usize = 7;

/// Why a fact came about: the fact itself first, then back to the command or the deadline that began it.
pub fn why<'a>(id: u64, find: impl Fn(u64) -> Option<&'a Stamped> + Copy, names: &Names) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = Vec::new();
    let mut next = find(id);
    let mut told: Option<&Stamped> = None;
    while let Some(stamped) = next.take() {
        if reasons.len() >= STEPS {
            break;
        }
        if let Some(reason) = reason(stamped, told, names) {
            reasons.push(reason);
        }
        next = silence(stamped, find)
            .or_else(|| silent_member(stamped, find, names))
            .or_else(|| fenced_with(stamped, find))
            .or_else(|| match &stamped.fact {
                // A deadline set by a setting explains itself; what set it is only the last of its kind.
                Fact::TimerFired(timer) if timer.setting().is_some() => None,
                Fact::Command { .. } => None,
                // What the sender noted in the same step says more than that it sent.
                Fact::Sent { .. } => noted_with(stamped, find).or_else(|| find(stamped.cause)),
                _ => find(stamped.cause),
            });
        told = Some(stamped);
    }
    reasons
}

fn reason(stamped: &Stamped, before: Option<&Stamped>, names: &Names) -> Option<Reason> {
    let who = stamped.node.map(|node| names.node(node)).unwrap_or_default();
    let (text, setting) = match &stamped.fact {
        Fact::TimerFired(timer) => {
            let setting = timer.setting()?;
            (format!("{who}: a timer ran out, set by"), Some((setting, stamped.node)))
        }
        Fact::Sent { to, api, request, .. } => {
            // Two messages of one exchange are one step of the story.
            if matches!(before.map(|fact| &fact.fact), Some(Fact::Sent { api: same, .. }) if same == api) {
                return None;
            }
            let to = names.node(*to);
            let text = if *request {
                format!("{who} sent {} to {to}.", api.name())
            } else {
                format!("{who} answered {}'s {}.", to, api.name())
            };
            (text, None)
        }
        Fact::Disconnected { peer } => (format!("{who} lost its connection to {}.", names.node(*peer)), None),
        Fact::Command { text } => (format!("{text}."), None),
        _ => (
            events::event(stamped, names)
                .map_or_else(|| format!("{who}: {}", names.describe(&stamped.fact)), |event| event.text),
            setting_of(stamped),
        ),
    };
    Some(Reason { id: stamped.id, at: stamped.at, text, setting })
}

/// The setting that a fact itself speaks of.
fn setting_of(stamped: &Stamped) -> Option<(&'static str, Option<Node>)> {
    let setting = match &stamped.fact {
        Fact::BrokerFenced { silent_for: Some(_), .. } => "broker.session.timeout.ms",
        Fact::MemberRemoved { reason, .. } | Fact::LeavingGroup { reason, .. } => match reason {
            LeaveReason::SessionTimeout => "session.timeout.ms",
            LeaveReason::PollTimeout
            | LeaveReason::JoinTimeout
            | LeaveReason::SyncTimeout
            | LeaveReason::RevocationTimeout => "max.poll.interval.ms",
            LeaveReason::GroupFull => "group.max.size",
            LeaveReason::Closed | LeaveReason::Replaced | LeaveReason::RemovedByAdmin => return None,
        },
        Fact::AcquisitionEnded { how: AcquisitionEnd::TimedOut, .. } => "group.share.record.lock.duration.ms",
        Fact::AcquisitionEnded { how: AcquisitionEnd::LimitReached, .. } => "group.share.delivery.count.limit",
        Fact::IsrProposed { lagging: Some(_), .. } => "replica.lag.time.max.ms",
        Fact::LeaderElected { unclean: true, .. } | Fact::LeaderElected { leader: None, .. } => {
            "unclean.leader.election.enable"
        }
        Fact::ProduceFailed { .. } => "min.insync.replicas",
        Fact::BatchFailed { .. } => "delivery.timeout.ms",
        Fact::QuorumState { to: QuorumPhase::Prospective, .. } => "controller.quorum.fetch.timeout.ms",
        Fact::QuorumState { to: QuorumPhase::Candidate, .. } => "controller.quorum.election.timeout.ms",
        Fact::ElrChanged { .. } => "min.insync.replicas",
        Fact::SnapshotTaken { .. } => "metadata.log.max.record.bytes.between.snapshots",
        Fact::SegmentRolled { .. } => "segment.bytes",
        Fact::UnflushedLost { .. } => "flush.messages",
        Fact::LogStartAdvanced { .. } => "retention.ms",
        Fact::SessionExpired { .. } => "zookeeper.session.timeout.ms",
        Fact::DuplicateBatch { .. } | Fact::SequenceRefused { .. } | Fact::ProducerIdAssigned { .. } => {
            "enable.idempotence"
        }
        _ => return None,
    };
    Some((setting, stamped.node))
}

/// The last thing worth telling that the sender of a message noted in the same step before it.
fn noted_with<'a>(sent: &Stamped, find: impl Fn(u64) -> Option<&'a Stamped>) -> Option<&'a Stamped> {
    (1..=64).map_while(|back| find(sent.id.checked_sub(back)?)).take_while(|fact| fact.at == sent.at).find(|fact| {
        fact.cause == sent.cause
            && fact.node == sent.node
            && matches!(
                fact.fact,
                Fact::BrokerFenced { .. }
                    | Fact::LeaderElected { .. }
                    | Fact::IsrProposed { .. }
                    | Fact::IsrChanged { .. }
                    | Fact::BrokerUnfenced { .. }
                    | Fact::GroupState { .. }
                    | Fact::GroupEpoch { .. }
                    | Fact::TargetAssigned { .. }
                    | Fact::MemberReconciled { .. }
                    | Fact::PartitionsRevoked { .. }
                    | Fact::JoiningGroup { .. }
                    | Fact::MemberRemoved { .. }
                    | Fact::LeavingGroup { .. }
                    | Fact::RecordsSent { .. }
                    | Fact::BatchRetried { .. }
                    | Fact::QuorumState { .. }
                    | Fact::Voted { .. }
                    | Fact::SessionExpired { .. }
                    | Fact::ControllerLoaded { .. }
                    | Fact::ReassignmentBegan { .. }
            )
    })
}

/// Where a fact is about a silence: what made the silent one silent.
fn silence<'a>(stamped: &Stamped, find: impl Fn(u64) -> Option<&'a Stamped>) -> Option<&'a Stamped> {
    let silent = match &stamped.fact {
        Fact::BrokerFenced { broker, .. } => Node::Broker(*broker),
        Fact::IsrProposed { lagging: Some((broker, _)), .. } => Node::Broker(*broker),
        Fact::SessionExpired { client, .. } => Node::Broker(*client),
        Fact::Disconnected { peer } => *peer,
        _ => return None,
    };
    (1..stamped.id).map_while(|back| find(stamped.id - back)).find(|fact| {
        let silenced = matches!(
            fact.fact,
            Fact::NodeState(NodeState::Killed | NodeState::Paused | NodeState::Stopping | NodeState::Stopped)
        );
        (silenced && fact.node == Some(silent)) || matches!(fact.fact, Fact::NetworkChanged { .. })
    })
}

/// A member that was not heard of: what happened to its process. A classic member's id begins with its client's name.
fn silent_member<'a>(
    stamped: &Stamped,
    find: impl Fn(u64) -> Option<&'a Stamped>,
    names: &Names,
) -> Option<&'a Stamped> {
    let Fact::MemberRemoved { member, reason: LeaveReason::SessionTimeout, .. } = &stamped.fact else { return None };
    (1..stamped.id).map_while(|back| find(stamped.id - back)).find(|fact| {
        let silenced = matches!(fact.fact, Fact::NodeState(NodeState::Killed | NodeState::Paused | NodeState::Stopped));
        let is_its = |node: Node| member.strip_prefix(&*names.node(node)).is_some_and(|rest| rest.starts_with('-'));
        silenced && fact.node.is_some_and(is_its)
    })
}

/// An election or a shrunken ISR that a fencing brought about in the same step: that fencing.
fn fenced_with<'a>(stamped: &Stamped, find: impl Fn(u64) -> Option<&'a Stamped>) -> Option<&'a Stamped> {
    if !matches!(stamped.fact, Fact::LeaderElected { .. } | Fact::IsrChanged { .. }) {
        return None;
    }
    let fenced = |fact: &&Stamped| {
        fact.cause == stamped.cause
            && fact.node == stamped.node
            && matches!(fact.fact, Fact::BrokerFenced { silent_for: Some(_), .. })
    };
    let near = |fact: &&Stamped| fact.at == stamped.at;
    let before = (1..=512).map_while(|back| find(stamped.id.checked_sub(back)?)).take_while(near).find(fenced);
    before.or_else(|| (1..=512).map_while(|on| find(stamped.id + on)).take_while(near).find(fenced))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::effects::Timer;
    use crate::kafka::ids::{BrokerId, ControllerId, LeaderEpoch, TopicId, TopicPartition};
    use crate::time::Duration;

    #[test]
    fn an_election_goes_back_over_the_silence_to_the_command() {
        let broker = Node::Broker(BrokerId(1));
        let controller = Node::Controller(ControllerId(101));
        let fact = |id, cause, node, fact| Stamped { id, cause, at: Instant::from_micros(id), node, fact };
        let facts = [
            fact(1, 0, None, Fact::Command { text: "kill broker-1".into() }),
            fact(2, 1, Some(broker), Fact::NodeState(NodeState::Killed)),
            fact(3, 0, Some(controller), Fact::TimerFired(Timer::BrokerSessions)),
            fact(
                4,
                3,
                Some(controller),
                Fact::BrokerFenced { broker: BrokerId(1), silent_for: Some(Duration::secs(9)) },
            ),
        ];
        let reasons = why(4, |id| facts.iter().find(|fact| fact.id == id), &Names::default());
        let told: Vec<&str> = reasons.iter().map(|reason| reason.text.as_str()).collect();
        assert_eq!(told, ["broker-1 is fenced: no heartbeat for 9 s.", "broker-1 crashes.", "kill broker-1."]);
        assert_eq!(reasons[0].setting.map(|(name, _)| name), Some("broker.session.timeout.ms"));
    }

    #[test]
    fn an_election_goes_back_to_the_fencing_of_the_same_step() {
        let controller = Some(Node::Controller(ControllerId(101)));
        let fact = |id, cause, fact| Stamped { id, cause, at: Instant::from_micros(9), node: controller, fact };
        let elected = Fact::LeaderElected {
            partition: TopicPartition::new(TopicId(0), 0),
            leader: Some(BrokerId(2)),
            epoch: LeaderEpoch(1),
            isr: Vec::new(),
            unclean: false,
        };
        let facts = [
            fact(1, 0, Fact::TimerFired(Timer::BrokerSessions)),
            fact(2, 1, elected),
            fact(3, 1, Fact::BrokerFenced { broker: BrokerId(1), silent_for: Some(Duration::secs(9)) }),
        ];
        let told = why(2, |id| facts.iter().find(|fact| fact.id == id), &Names::default());
        assert_eq!(told.get(1).map(|reason| reason.text.as_str()), Some("broker-1 is fenced: no heartbeat for 9 s."));
    }

    #[test]
    fn a_member_that_was_dropped_for_its_silence_goes_back_to_what_silenced_it() {
        let (broker, consumer) = (Node::Broker(BrokerId(2)), Node::Consumer(crate::kafka::ids::ClientId(0)));
        let mut names = Names::default();
        names.add_client("consumer-c1".into());
        let fact = |id, cause, node, fact| Stamped { id, cause, at: Instant::from_micros(id), node, fact };
        let reason = LeaveReason::SessionTimeout;
        let removed = Fact::MemberRemoved { group: "g".into(), member: "consumer-c1-7f".into(), reason };
        let facts = [
            fact(1, 0, None, Fact::Command { text: "kill consumer-c1".into() }),
            fact(2, 1, Some(consumer), Fact::NodeState(NodeState::Killed)),
            fact(3, 0, Some(broker), removed),
        ];
        let reasons = why(3, |id| facts.iter().find(|fact| fact.id == id), &names);
        let told: Vec<&str> = reasons.iter().skip(1).map(|reason| reason.text.as_str()).collect();
        assert_eq!(told, ["consumer-c1 crashes.", "kill consumer-c1."]);
        assert_eq!(reasons[0].setting.map(|(name, _)| name), Some("session.timeout.ms"));
    }

    #[test]
    fn a_deadline_ends_the_chain_with_its_setting() {
        let broker = Some(Node::Broker(BrokerId(2)));
        let partition = TopicPartition::new(TopicId(0), 0);
        let fact = |id, cause, fact| Stamped { id, cause, at: Instant::from_micros(id), node: broker, fact };
        let facts = [
            fact(1, 0, Fact::TimerFired(Timer::IsrShrink)),
            fact(2, 1, Fact::BecameLeader { partition, epoch: LeaderEpoch(0), log_end: 0 }),
        ];
        let reasons = why(2, |id| facts.iter().find(|fact| fact.id == id), &Names::default());
        assert_eq!(reasons.len(), 2);
        assert_eq!(reasons[1].setting.map(|(name, _)| name), Some("replica.lag.time.max.ms"));
    }
}
