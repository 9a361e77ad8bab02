//! `group_classic` and its like: one coordinator, asked step by step by upstream's unit tests.
//!
//! A step asks the coordinator, moves the clock, or names an earlier step whose answer has come by now. Member ids that
//! upstream's coordinator made up are called `M1`, `M2` and so on: which of ours each is, the answers tell.
//!
//! Two things that the tests do are not in the recordings. A group is put into Stable by hand: here its members send
//! SyncGroup before a step that expects it. And the protocol type of JoinGroup is `consumer`, but in the test that is
//! named for its being empty.

mod modern;

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::file;
use super::finding::Findings;
use crate::kafka::config::BrokerConfig;
use crate::kafka::coordinator::{Append, Group, GroupCoordinator};
use crate::kafka::effects::{Effect, Effects, Timer};
use crate::kafka::fact::GroupPhase;
use crate::kafka::group::ClassicGroup;
use crate::kafka::ids::{ClientId, Generation, LeaderEpoch, Name, Node, Offset};
use crate::kafka::message::{
    HeartbeatRequest, JoinGroupRequest, Message, Request, Response, Subscription, SyncGroupRequest,
};
use crate::kafka::record::Batch;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// Upstream's tests of classic groups use this name where they use only one.
const GROUP: &str = "group-id";

#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    test: String,
    #[serde(default)]
    config: BTreeMap<String, Value>,
    steps: Vec<Step>,
    /// The group before the first step.
    initial: Option<modern::Initial>,
}

#[derive(Deserialize)]
struct Step {
    op: Option<String>,
    #[serde(default)]
    req: Map<String, Value>,
    group: Option<String>,
    /// A name for the answer, which comes later.
    #[serde(rename = "ref")]
    reference: Option<String>,
    advance_ms: Option<u64>,
    answer_to: Option<String>,
    /// What the test's assignor gives each member in this step.
    targets_after: Option<BTreeMap<String, BTreeMap<String, Vec<u32>>>>,
    resp: Option<Map<String, Value>>,
    /// `null` says that there is no such group.
    #[serde(default, deserialize_with = "given")]
    state: Option<Value>,
}

/// A field that is there, be it `null`.
fn given<'a, D: serde::Deserializer<'a>>(field: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(field).map(Some)
}

/// What a step brought to light.
#[derive(Default)]
struct Seen {
    answer: Option<Response>,
    state: Option<String>,
}

pub fn group_coordinator(_: &[String], case: &Value, findings: &mut Findings) -> Result<(), String> {
    let case: Case = file::parse(case)?;
    let mut play = Play::new(&case)?;
    let mut seen = Vec::new();
    for (step, at) in case.steps.iter().zip(1..) {
        seen.push(play.step(step).map_err(|why| format!("step {at}: {why}"))?);
    }
    // Only now is it known which member is which.
    for ((step, seen), at) in case.steps.iter().zip(&seen).zip(1..) {
        let what = format!("step {at} {}", step.op.as_deref().or(step.answer_to.as_deref()).unwrap_or("advance"));
        if let Some(expected) = &step.resp {
            let got = seen.answer.as_ref().map_or(Value::Null, |answer| play.show(answer));
            findings.compare(&format!("{what} answer"), &in_order(expected), &got);
        } else if let Some(early) = seen.answer.as_ref().filter(|_| step.op.is_some() && step.reference.is_some()) {
            findings.add(&format!("{what} answer"), "none yet", play.show(early).to_string());
        }
        if let Some(expected) = &step.state {
            findings.compare(&format!("{what} state"), &modern::in_order(expected), &json!(seen.state));
        }
    }
    Ok(())
}

/// Upstream lists members, and topics of an assignment, in the order of a Java hash map.
fn in_order(expected: &Map<String, Value>) -> Value {
    let mut expected = expected.clone();
    if let Some(Value::Array(topics)) = expected.get_mut("assignment") {
        topics.sort_by_key(ToString::to_string);
    }
    if let Some(Value::Array(members)) = expected.get_mut("members") {
        members.sort_by_key(ToString::to_string);
    }
    Value::Object(expected)
}

/// A coordinator with its log and its timers, and the names of the case.
struct Play {
    coordinator: GroupCoordinator,
    now: Instant,
    timers: BTreeMap<Timer, Instant>,
    answers: BTreeMap<u32, Response>,
    asked: u32,
    ends: BTreeMap<u32, Offset>,
    /// What the case calls a member, and its id here.
    names: BTreeMap<String, Name>,
    references: BTreeMap<String, u32>,
    protocol_type: &'static str,
    /// The topics of a case about the consumer protocol.
    topics: modern::CaseTopics,
}

impl Play {
    fn new(case: &Case) -> Result<Self, String> {
        // The bounds are checked before the layer that upstream's tests drive.
        let mut config = BrokerConfig { group_min_session_timeout: Duration::ZERO, ..BrokerConfig::default() };
        for (key, value) in &case.config {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            config.set(key, &value).map_err(|error| format!("`{key}`: {error}"))?;
        }
        let is_of_no_type = case.test.contains("EmptyProtocolType");
        let mut play = Self {
            coordinator: GroupCoordinator::new(config, Rng::new(1, 1)),
            now: Instant::ZERO,
            timers: BTreeMap::new(),
            answers: BTreeMap::new(),
            asked: 0,
            ends: BTreeMap::new(),
            names: BTreeMap::new(),
            references: BTreeMap::new(),
            protocol_type: if is_of_no_type { "" } else { Subscription::PROTOCOL_TYPE },
            topics: modern::CaseTopics::of(case),
        };
        play.topics.rule(&mut play.coordinator);
        for group in case.steps.iter().map(Step::group) {
            let partition = play.coordinator.partition_of(group);
            let history = case.initial.as_ref().map(|initial| initial.history(group, &mut play.topics));
            let end = history.as_ref().map_or(0, Batch::next_offset);
            let batches: Vec<Batch> = history.into_iter().collect();
            *play.ends.entry(partition).or_default() = end;
            play.act(|coordinator, now, out| {
                coordinator.load(now, partition, LeaderEpoch(0), &batches, end, out);
                Vec::new()
            });
        }
        Ok(play)
    }

    fn step(&mut self, step: &Step) -> Result<Seen, String> {
        let mut seen = Seen::default();
        if let Some(millis) = step.advance_ms {
            self.advance(Duration::millis(millis));
        }
        if let Some(targets) = &step.targets_after {
            self.topics.script(targets);
        }
        if let Some(operation) = &step.op {
            if step.expects("Stable") {
                self.stabilize(step.group());
            }
            let id = self.ask(self.request(operation, step)?);
            seen.answer = self.answers.remove(&id);
            if seen.answer.is_none()
                && let Some(reference) = &step.reference
            {
                self.references.insert(reference.clone(), id);
            }
        }
        if let Some(reference) = &step.answer_to {
            let id = self.references.get(reference).ok_or_else(|| format!("nothing was asked under `{reference}`"))?;
            seen.answer = self.answers.remove(id);
        }
        self.learn_names(step, seen.answer.as_ref());
        seen.state = self.coordinator.group(step.group()).map(state_of);
        Ok(seen)
    }

    /// What a step asks. Another protocol's requests join this list.
    fn request(&self, operation: &str, step: &Step) -> Result<Request, String> {
        let group: Name = step.group().into();
        let asked = Asked { fields: &step.req, names: &self.names };
        Ok(match operation {
            "JoinGroup" => {
                let protocols = asked.texts("protocols")?;
                let subscription = Rc::new(Subscription::default());
                Request::JoinGroup(JoinGroupRequest {
                    group,
                    version: asked.number("v")?.unwrap_or(JoinGroupRequest::VERSION),
                    protocol_type: self.protocol_type.into(),
                    session_timeout: asked.millis("session_ms")?,
                    rebalance_timeout: asked.millis("rebalance_ms")?,
                    member_id: asked.member(),
                    group_instance_id: asked.text("instance"),
                    client_id: "client".into(),
                    protocols: protocols.into_iter().map(|name| (name, subscription.clone())).collect(),
                })
            }
            "SyncGroup" => Request::SyncGroup(SyncGroupRequest {
                group,
                generation: asked.generation()?,
                member_id: asked.member(),
                group_instance_id: asked.text("instance"),
                protocol: asked.text("protocol"),
                assignments: Vec::new(),
            }),
            "Heartbeat" => Request::Heartbeat(HeartbeatRequest {
                group,
                generation: asked.generation()?,
                member_id: asked.member(),
                group_instance_id: asked.text("instance"),
            }),
            "ConsumerGroupHeartbeat" => self.topics.heartbeat(group, &asked)?,
            other => return Err(format!("`{other}` is none of the requests that the format knows")),
        })
    }

    /// An answer as the cases write it: without what is empty.
    fn show(&self, answer: &Response) -> Value {
        let name = |id: &Name| {
            let known = self.names.iter().find(|(_, known)| *known == id);
            known.map_or_else(|| id.to_string(), |(name, _)| name.clone())
        };
        let mut shown = Map::new();
        let mut put = |field: &str, value: Value| {
            if ![json!(""), json!([]), json!(false), json!(null), json!("NONE")].contains(&value) {
                shown.insert(field.to_owned(), value);
            }
        };
        match answer {
            Response::JoinGroup(joined) => {
                let mut members: Vec<String> = joined.members.iter().map(|(id, ..)| name(id)).collect();
                members.sort();
                put("error", json!(joined.error.name()));
                put("gen", json!(joined.generation.0));
                put("protocol", json!(joined.protocol.as_deref()));
                put("leader", json!(name(&joined.leader)));
                put("member", json!(name(&joined.member_id)));
                put("members", json!(members));
                put("skip_assignment", json!(joined.skip_assignment));
            }
            Response::SyncGroup(synced) => put("error", json!(synced.error.name())),
            Response::Heartbeat(heard) => put("error", json!(heard.error.name())),
            Response::ConsumerGroupHeartbeat(heard) => return self.topics.show(heard),
            _ => {}
        }
        Value::Object(shown)
    }

    /// The case calls the member that is answered by a name.
    fn learn_names(&mut self, step: &Step, answer: Option<&Response>) {
        let expected = step.resp.as_ref().and_then(|resp| resp.get("member")).and_then(Value::as_str);
        if let (Some(expected), Some(Response::JoinGroup(joined))) = (expected, answer)
            && !joined.member_id.is_empty()
        {
            self.names.entry(expected.to_owned()).or_insert_with(|| joined.member_id.clone());
        }
    }

    /// Lets a group that has got its members come to rest, as upstream's tests do by setting its state.
    fn stabilize(&mut self, group: &str) {
        let found = self.coordinator.group(group).and_then(Group::as_classic);
        let Some(found) = found.filter(|group| group.phase() == GroupPhase::CompletingRebalance) else { return };
        for request in syncs(found) {
            let id = self.ask(Request::SyncGroup(request));
            self.answers.remove(&id);
        }
    }

    fn ask(&mut self, request: Request) -> u32 {
        let id = self.asked;
        self.asked += 1;
        let from = Node::Consumer(ClientId(0));
        self.act(|coordinator, now, out| coordinator.on_request(now, from, id, &request, out));
        id
    }

    fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some((timer, at)) =
            self.timers.iter().min_by_key(|(_, at)| **at).map(|(timer, at)| (timer.clone(), *at))
            && at <= until
        {
            self.now = at;
            self.timers.remove(&timer);
            self.act(|coordinator, now, out| coordinator.on_timer(now, &timer, out));
        }
        self.now = until;
    }

    /// Whatever is to be written is written, and committed at once.
    fn act(&mut self, act: impl FnOnce(&mut GroupCoordinator, Instant, &mut Effects) -> Vec<Append>) {
        let mut out = Effects::default();
        for Append { id, partition, batch } in act(&mut self.coordinator, self.now, &mut out) {
            let end = self.ends.entry(partition).or_default();
            *end = Batch { base_offset: *end, ..batch }.next_offset();
            let end = *end;
            self.coordinator.appended(self.now, id, Ok(end), &mut out);
            self.coordinator.committed(self.now, partition, end, &mut out);
        }
        for effect in out.drain() {
            match effect {
                Effect::Send { message: Message::Response { correlation_id, response }, .. } => {
                    self.answers.insert(correlation_id, response);
                }
                Effect::SetTimer { at, timer } => {
                    self.timers.insert(timer, at);
                }
                Effect::CancelTimer(timer) => {
                    self.timers.remove(&timer);
                }
                _ => {}
            }
        }
    }
}

/// A group's state as the cases write it. Another protocol's groups join this list.
fn state_of(group: &Group) -> String {
    match group {
        Group::Classic(group) => {
            let members = group.members().count();
            format!("classic|{}|{}|{members}", group.phase().name(), group.generation())
        }
        Group::Share(group) => format!("share|{}|{}", group.phase().name(), group.members().count()),
        Group::Consumer(group) => modern::state_of(group),
    }
}

/// SyncGroup of every member, the leader's last.
fn syncs(group: &ClassicGroup) -> Vec<SyncGroupRequest> {
    let mut ids: Vec<&Name> = group.members().map(|member| member.id()).collect();
    ids.sort_by_key(|id| group.leader() == Some(*id));
    let request = |id: &Name| SyncGroupRequest {
        group: group.id().clone(),
        generation: group.generation(),
        member_id: id.clone(),
        group_instance_id: None,
        protocol: None,
        assignments: Vec::new(),
    };
    ids.into_iter().map(request).collect()
}

impl Step {
    fn group(&self) -> &str {
        self.group.as_deref().unwrap_or(GROUP)
    }

    fn expects(&self, phase: &str) -> bool {
        self.state.as_ref().and_then(Value::as_str).is_some_and(|state| state.split('|').nth(1) == Some(phase))
    }
}

/// The fields of a request, and who the names in it are.
struct Asked<'a> {
    fields: &'a Map<String, Value>,
    names: &'a BTreeMap<String, Name>,
}

impl Asked<'_> {
    fn text(&self, field: &str) -> Option<Name> {
        self.fields.get(field).and_then(Value::as_str).map(Name::from)
    }

    fn texts(&self, field: &str) -> Result<Vec<Name>, String> {
        let Some(list) = self.fields.get(field) else { return Ok(Vec::new()) };
        let texts: Option<Vec<Name>> =
            list.as_array().and_then(|list| list.iter().map(|text| text.as_str().map(Name::from)).collect());
        texts.ok_or_else(|| format!("`{field}` is not a list of names"))
    }

    fn number<T: TryFrom<i64>>(&self, field: &str) -> Result<Option<T>, String> {
        let Some(number) = self.fields.get(field) else { return Ok(None) };
        let number = number.as_i64().and_then(|number| T::try_from(number).ok());
        number.map(Some).ok_or_else(|| format!("`{field}` is not such a number"))
    }

    fn millis(&self, field: &str) -> Result<Duration, String> {
        Ok(Duration::millis(self.number(field)?.unwrap_or(0)))
    }

    fn generation(&self) -> Result<Generation, String> {
        Ok(Generation(self.number("gen")?.unwrap_or(0)))
    }

    /// The member's id here; a name that no answer has given is an id itself.
    fn member(&self) -> Name {
        let named = self.text("member").unwrap_or_else(|| "".into());
        self.names.get(&*named).cloned().unwrap_or(named)
    }
}
