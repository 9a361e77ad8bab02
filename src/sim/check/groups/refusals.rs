//! `WhoIsOutIsRefused`: the coordinator refuses what comes from somebody who is no member, or of another generation or epoch
//! than it is in, be it a heartbeat, SyncGroup or a commit.
//!
//! Whether a request must be refused is found out before the coordinator sees it, and held against its answer. That there
//! is no answer, or a refusal for another reason, is fine.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Verdict;
use crate::kafka::coordinator::{Group, GroupCoordinator};
use crate::kafka::group::ClassicGroup;
use crate::kafka::ids::{BrokerId, Generation, Name, Node, TopicPartition};
use crate::kafka::message::{Request, Response};
use crate::kafka::modern_group::ConsumerGroup;
use crate::sim::trace::Stamped;

#[derive(Clone, Debug, Default)]
pub(in crate::sim::check) struct Refusals {
    /// What must be refused, by who was asked, by whom, and the request's number.
    due: BTreeMap<(BrokerId, Node, u32), Due>,
    /// What was not, until the facts of its event come.
    missing: Vec<String>,
}

#[derive(Clone, Debug)]
struct Due {
    what: String,
    /// Of a commit: for these partitions.
    partitions: BTreeSet<TopicPartition>,
}

/// Whether that request may have to be refused.
pub(in crate::sim::check) fn may_be_due(request: &Request) -> bool {
    matches!(
        request,
        Request::Heartbeat(_) | Request::SyncGroup(_) | Request::OffsetCommit(_) | Request::ConsumerGroupHeartbeat(_)
    )
}

impl Refusals {
    /// A broker is about to look at a request of a member.
    pub(in crate::sim::check) fn asked(
        &mut self,
        broker: BrokerId,
        (from, correlation_id): (Node, u32),
        request: &Request,
        coordinator: Option<&GroupCoordinator>,
    ) {
        let key = (broker, from, correlation_id);
        self.due.remove(&key);
        if let Some(due) = coordinator.and_then(|coordinator| due(request, coordinator)) {
            self.due.insert(key, due);
        }
    }

    /// A broker answers.
    pub(in crate::sim::check) fn answered(
        &mut self,
        broker: BrokerId,
        (to, correlation_id): (Node, u32),
        response: &Response,
    ) {
        let Some(due) = self.due.remove(&(broker, to, correlation_id)) else { return };
        let is_accepted = match response {
            Response::Heartbeat(response) => response.error.is_none(),
            Response::SyncGroup(response) => response.error.is_none(),
            Response::ConsumerGroupHeartbeat(response) => response.error.is_none(),
            Response::OffsetCommit(response) => {
                response.partitions.iter().any(|(at, error)| error.is_none() && due.partitions.contains(at))
            }
            _ => false,
        };
        if is_accepted {
            self.missing.push(due.what);
        }
    }

    pub(in crate::sim::check) fn report(&mut self, stamped: &Stamped, verdict: &mut Verdict) {
        for what in self.missing.drain(..) {
            verdict.report("WhoIsOutIsRefused", stamped, what);
        }
    }
}

/// What must be refused of a request, if anything.
fn due(request: &Request, coordinator: &GroupCoordinator) -> Option<Due> {
    let (name, member, generation) = match request {
        Request::Heartbeat(request) => (&request.group, &request.member_id, request.generation),
        Request::SyncGroup(request) => (&request.group, &request.member_id, request.generation),
        Request::OffsetCommit(request) => (&request.group, &request.member_id, request.generation?),
        // Whoever joins, or leaves, need not be up to date.
        Request::ConsumerGroupHeartbeat(request) if request.member_epoch.0 > 0 => {
            (&request.group, &request.member_id, request.member_epoch)
        }
        _ => return None,
    };
    let group = coordinator.group(name);
    let why = match (group, request) {
        (Some(Group::Classic(_)), Request::ConsumerGroupHeartbeat(_)) => Some("the group is a classic one".into()),
        (Some(Group::Classic(group)), _) => wrong_in_classic(group, member, generation),
        (Some(Group::Consumer(group)), Request::OffsetCommit(request)) => {
            let partitions = request.partitions.iter().map(|(at, ..)| *at);
            return commit_due(group, member, generation, partitions);
        }
        (Some(Group::Consumer(group)), Request::ConsumerGroupHeartbeat(_)) => {
            wrong_in_consumer(group, member, generation)
        }
        // Classic members of such groups have rules of their own; other kinds know no members of these.
        (Some(_), _) => None,
        (None, _) => Some("there is no such group".into()),
    }?;
    let partitions = match request {
        Request::OffsetCommit(request) => request.partitions.iter().map(|(at, ..)| *at).collect(),
        _ => BTreeSet::new(),
    };
    let what = format!("{} by {member} in {generation} of {name} was accepted: {why}", request.api().name());
    Some(Due { what, partitions })
}

fn wrong_in_classic(group: &ClassicGroup, member: &Name, generation: Generation) -> Option<String> {
    if !group.members().any(|known| known.id() == member) {
        return Some("it is no member".into());
    }
    (group.generation() != generation).then(|| format!("the group is in {}", group.generation()))
}

fn wrong_in_consumer(group: &ConsumerGroup, member: &Name, epoch: Generation) -> Option<String> {
    let Some(known) = group.member(member) else { return Some("it is no member".into()) };
    let standing = known.standing();
    let lost_answer = epoch < standing.epoch && epoch == standing.previous_epoch;
    (epoch != standing.epoch && !lost_answer).then(|| format!("it is in {}", standing.epoch))
}

/// A commit of an earlier epoch counts for what the member had then and has still (KIP-1251).
fn commit_due(
    group: &ConsumerGroup,
    member: &Name,
    epoch: Generation,
    partitions: impl Iterator<Item = TopicPartition>,
) -> Option<Due> {
    let standing = group.member(member).map(|known| known.standing());
    let has = |at: &TopicPartition| {
        let given = standing.and_then(|standing| standing.assigned.get(at).or_else(|| standing.revoking.get(at)));
        given.is_some_and(|given| epoch >= *given)
    };
    let partitions: BTreeSet<TopicPartition> = match standing {
        Some(standing) if standing.epoch == epoch => return None,
        Some(standing) if standing.epoch > epoch => partitions.filter(|at| !has(at)).collect(),
        _ => partitions.collect(),
    };
    let now = standing.map_or("no member".to_owned(), |standing| format!("in {}", standing.epoch));
    let what = format!("a commit by {member} in {epoch} of {} was accepted: it is {now}", group.id());
    (!partitions.is_empty()).then_some(Due { what, partitions })
}
