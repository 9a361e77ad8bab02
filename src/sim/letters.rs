//! Messages of the group protocols, from send to delivery: what the network knows and no fact says.
//!
//! A [`Fact::Sent`](crate::kafka::fact::Fact::Sent) tells that a message left. When it arrives, what it weighs and what
//! it says is known where it is put on the wire; the world keeps that, beside its facts, while somebody listens. It
//! follows from the run alone, so a replay brings the same letters with the same ids.

use std::collections::VecDeque;

use super::world::Envelope;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{Name, Node};
use crate::kafka::message::{Api, Message, Request, Response};
use crate::time::{Duration, Instant};

/// One message between a consumer and a group coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The id of its `Sent` fact.
    pub id: u64,
    pub from: Node,
    pub to: Node,
    pub sent: Instant,
    /// When it arrives, or would have, where a cut holds it up or nobody is there.
    pub due: Instant,
    pub api: Api,
    pub request: bool,
    pub correlation_id: u32,
    pub bytes: u64,
    /// The first error of an answer.
    pub error: Option<ErrorCode>,
    /// The member id that a request carries; `None` where it is empty.
    pub member: Option<Name>,
    /// The assignor that a JoinGroup answer names.
    pub protocol: Option<Name>,
    /// It only says that somebody lives, or that this was heard.
    pub pulse: bool,
}

impl Letter {
    /// What is worth keeping of an envelope; `None` for one that no group's protocol is about.
    pub fn of(envelope: &Envelope) -> Option<Self> {
        let api = envelope.message.api();
        let between_client_and_coordinator = matches!(
            (envelope.from, envelope.to),
            (Node::Consumer(_), Node::Broker(_)) | (Node::Broker(_), Node::Consumer(_))
        );
        if !between_client_and_coordinator || !is_of_groups(api) {
            return None;
        }
        let member = match &envelope.message {
            Message::Request { request, .. } => member_of(request).filter(|member| !member.is_empty()).cloned(),
            Message::Response { .. } => None,
        };
        let (error, protocol) = match &envelope.message {
            Message::Response { response, .. } => (response.error(), protocol_of(response)),
            Message::Request { .. } => (None, None),
        };
        Some(Self {
            id: envelope.id,
            from: envelope.from,
            to: envelope.to,
            sent: envelope.sent,
            due: envelope.due,
            api,
            request: envelope.message.is_request(),
            correlation_id: envelope.message.correlation_id(),
            bytes: envelope.message.wire_bytes(),
            error,
            member,
            protocol,
            pulse: error.is_none() && envelope.message.only_says_that_somebody_lives(),
        })
    }

    /// The consumer at one of its ends.
    pub fn consumer(&self) -> Node {
        if self.request { self.from } else { self.to }
    }
}

/// Whether an API belongs to the protocols of groups.
fn is_of_groups(api: Api) -> bool {
    matches!(
        api,
        Api::JoinGroup
            | Api::SyncGroup
            | Api::Heartbeat
            | Api::LeaveGroup
            | Api::OffsetCommit
            | Api::OffsetFetch
            | Api::ConsumerGroupHeartbeat
    )
}

fn member_of(request: &Request) -> Option<&Name> {
    match request {
        Request::JoinGroup(join) => Some(&join.member_id),
        Request::SyncGroup(sync) => Some(&sync.member_id),
        Request::Heartbeat(heartbeat) => Some(&heartbeat.member_id),
        Request::OffsetCommit(commit) => Some(&commit.member_id),
        Request::ConsumerGroupHeartbeat(heartbeat) => Some(&heartbeat.member_id),
        Request::LeaveGroup(leave) => leave.members.first().map(|(member, _)| member),
        _ => None,
    }
}

fn protocol_of(response: &Response) -> Option<Name> {
    match response {
        Response::JoinGroup(join) => join.protocol.clone(),
        _ => None,
    }
}

/// Letters in the order of their ids, the latest ones of a long run.
#[derive(Clone, Debug, Default)]
pub struct Letters(VecDeque<Letter>);

/// How many are kept.
const MOST: usize = 200_000;

impl Letters {
    /// Takes one in. One that is known is replaced: a cut that has healed lets it arrive later.
    pub fn enter(&mut self, letter: Letter) {
        match self.0.binary_search_by_key(&letter.id, |known| known.id) {
            Ok(place) => self.0[place] = letter,
            Err(place) => {
                if self.0.len() >= MOST {
                    self.0.pop_front();
                    return self.enter(letter);
                }
                self.0.insert(place, letter);
            }
        }
    }

    /// Forgets every letter after this id.
    pub fn forget_after(&mut self, id: u64) {
        let keep = self.0.partition_point(|letter| letter.id <= id);
        self.0.truncate(keep);
    }

    pub fn find(&self, id: u64) -> Option<&Letter> {
        let place = self.0.binary_search_by_key(&id, |letter| letter.id).ok()?;
        self.0.get(place)
    }

    /// Those sent from a moment to another, both included, in order of their ids.
    pub fn between(&self, from: Instant, to: Instant) -> impl Iterator<Item = &Letter> {
        let start = self.0.partition_point(|letter| letter.sent + SLACK < from);
        let near = self.0.range(start..).take_while(move |letter| letter.sent <= to + SLACK);
        near.filter(move |letter| letter.sent >= from && letter.sent <= to)
    }

    /// The latest letter before an id of which something holds.
    pub fn latest_before(&self, id: u64, holds: impl Fn(&Letter) -> bool) -> Option<&Letter> {
        let end = self.0.partition_point(|letter| letter.id < id);
        self.0.range(..end).rev().take(LOOK_BACK).find(|letter| holds(letter))
    }
}

/// Ids follow the steps that send; a slow step's messages leave this much later at the most.
const SLACK: Duration = Duration::secs(2);
/// How many letters are looked through for an earlier one.
const LOOK_BACK: usize = 20_000;
