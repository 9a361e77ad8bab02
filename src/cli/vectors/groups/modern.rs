//! The part of the cases that is about the consumer protocol (KIP-848).
//!
//! Upstream's tests script the assignor: what it gives each member stands in the step, and here an assignor of one's own
//! says just that. Topics come up twice, by name in subscriptions and by id (`U2`) in assignments; which name is which
//! id the recordings do not tell, and nothing in them depends on it: they are taken in the order in which they come up.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::reconcile::{CaseStanding, TopicNames, exception, state_of as member_state};
use super::{Asked, Case};
use crate::kafka::assignor::Assignments;
use crate::kafka::coordinator::GroupCoordinator;
use crate::kafka::effects::Effects;
use crate::kafka::fact::LeaveReason;
use crate::kafka::group_log::{self, ConsumerMemberValue, ConsumerRecord, CurrentMemberValue, GroupRecord};
use crate::kafka::ids::{Generation, Name, TopicId, TopicPartition};
use crate::kafka::message::Request;
use crate::kafka::message::consumer_group::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use crate::kafka::metadata::{MetadataImage, PartitionRegistration, TopicImage};
use crate::kafka::modern_group::{ConsumerGroup, topics_hash};
use crate::kafka::record::Batch;
use crate::time::{Duration, Instant};

/// Enough of them for every case.
const PARTITIONS: usize = 32;

/// A group before the first step.
#[derive(Deserialize)]
pub struct Initial {
    group_epoch: i32,
    assignment_epoch: i32,
    members: BTreeMap<String, InitialMember>,
}

#[derive(Deserialize)]
struct InitialMember {
    #[serde(flatten)]
    standing: Value,
    subscribed: Vec<String>,
    target: BTreeMap<String, Vec<u32>>,
}

/// The topics of a case, and what its assignor says.
#[derive(Default)]
pub struct CaseTopics {
    ids: TopicNames,
    names: Vec<Name>,
    image: MetadataImage,
    script: Rc<RefCell<Assignments>>,
}

impl CaseTopics {
    /// Every topic that the case names, and every id.
    pub fn of(case: &Case) -> Self {
        let mut topics = Self::default();
        let mut called = Vec::new();
        for member in case.initial.iter().flat_map(|initial| initial.members.values()) {
            called.extend(member.subscribed.iter().map(|name| Name::from(name.as_str())));
            for id in member.target.keys() {
                topics.ids.id(id);
            }
        }
        for step in &case.steps {
            let named = step.req.get("topics").and_then(Value::as_array).into_iter().flatten();
            called.extend(named.filter_map(Value::as_str).map(Name::from));
            let targets = step.targets_after.iter().flat_map(BTreeMap::values);
            for id in targets.flat_map(BTreeMap::keys) {
                topics.ids.id(id);
            }
        }
        for name in called {
            if !topics.names.contains(&name) {
                topics.names.push(name);
            }
        }
        let image = &mut topics.image;
        for (name, id) in topics.names.iter().zip(0..) {
            let partitions = vec![PartitionRegistration::default(); PARTITIONS];
            image.topics.insert(TopicId(id), Rc::new(TopicImage { name: name.clone(), partitions }));
            image.topic_ids.insert(name.clone(), TopicId(id));
        }
        image.topics_created = topics.names.len() as u32;
        topics
    }

    /// The coordinator knows the topics, and asks the case's assignor.
    pub fn rule(&self, coordinator: &mut GroupCoordinator) {
        coordinator.topics_changed(Instant::ZERO, &self.image, &mut Effects::default());
        let script = self.script.clone();
        coordinator.assign_by(Rc::new(move |_, _, _| script.borrow().clone()));
    }

    /// What the assignor says from here on.
    pub fn script(&self, targets: &BTreeMap<String, BTreeMap<String, Vec<u32>>>) {
        let mut said = Assignments::new();
        for (member, target) in targets {
            let partitions = target.iter().flat_map(|(id, list)| {
                let name = self.name_of(id);
                list.iter().filter_map(move |at| Some((name.clone()?, *at)))
            });
            said.insert(member.as_str().into(), partitions.collect());
        }
        *self.script.borrow_mut() = said;
    }

    fn name_of(&self, id: &str) -> Option<Name> {
        self.names.get(self.ids.find(id)?.0 as usize).cloned()
    }

    pub fn heartbeat(&self, group: Name, asked: &Asked) -> Result<Request, String> {
        let owned = match asked.fields.get("owned") {
            None => None,
            Some(Value::Array(topics)) => Some(self.partitions(topics)?),
            Some(_) => Some(Vec::new()),
        };
        let topics = if asked.fields.contains_key("topics") { Some(asked.texts("topics")?) } else { None };
        // The tests' own assignors are not known here; theirs is what the case says.
        let server_assignor = asked.text("assignor").filter(|name| matches!(&**name, "uniform" | "range"));
        Ok(Request::ConsumerGroupHeartbeat(Box::new(ConsumerGroupHeartbeatRequest {
            group,
            member_id: asked.member(),
            member_epoch: Generation(asked.number("epoch")?.unwrap_or(0)),
            instance_id: asked.text("instance"),
            rack: asked.text("rack"),
            client_id: "client".into(),
            rebalance_timeout: asked.number::<u64>("rebalance_ms")?.map(Duration::millis),
            topics,
            regex: asked.text("regex"),
            server_assignor,
            owned,
            leave_reason: LeaveReason::Closed,
        })))
    }

    fn partitions(&self, topics: &[Value]) -> Result<Vec<TopicPartition>, String> {
        let mut partitions = Vec::new();
        for topic in topics {
            let id = topic.get(0).and_then(Value::as_str).and_then(|id| self.ids.find(id));
            let list = topic.get(1).and_then(Value::as_array);
            let (Some(id), Some(list)) = (id, list) else { return Err(format!("`owned`: {topic} is no topic")) };
            let number = |at: &Value| u32::try_from(at.as_u64()?).ok();
            partitions.extend(list.iter().filter_map(number).map(|at| TopicPartition::new(id, at)));
        }
        Ok(partitions)
    }

    /// An answer as the cases write it: without what is empty.
    pub fn show(&self, heard: &ConsumerGroupHeartbeatResponse) -> Value {
        if !heard.error.is_none() {
            return json!({ "error": exception(heard.error) });
        }
        let mut shown = Map::new();
        shown.insert("member".to_owned(), json!(&*heard.member_id));
        shown.insert("epoch".to_owned(), json!(heard.member_epoch.0));
        if !heard.heartbeat_interval.is_zero() {
            shown.insert("heartbeat_ms".to_owned(), json!(heard.heartbeat_interval.as_millis()));
        }
        if let Some(assignment) = &heard.assignment {
            let mut topics: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
            for at in assignment {
                topics.entry(self.ids.name(at.topic)).or_default().insert(at.partition);
            }
            let mut topics: Vec<Value> = topics.into_iter().map(|(id, list)| json!([id, list])).collect();
            topics.sort_by_key(ToString::to_string);
            let nothing = topics.is_empty();
            shown.insert("assignment".to_owned(), if nothing { json!("empty") } else { json!(topics) });
        }
        Value::Object(shown)
    }
}

impl Initial {
    /// The records that such a group has on the log.
    pub fn history(&self, group: &str, topics: &mut CaseTopics) -> Batch {
        let mut records = Vec::new();
        for (id, member) in &self.members {
            let name: Name = id.as_str().into();
            let value = ConsumerMemberValue {
                instance_id: None,
                rack: None,
                client_id: "client".into(),
                host: "/client".into(),
                topics: member.subscribed.iter().map(|name| name.as_str().into()).collect(),
                regex: None,
                rebalance_timeout: Some(Duration::secs(45)),
                server_assignor: None,
                classic: None,
            };
            records.push(ConsumerRecord::Member { member: name.clone(), value: Some(Box::new(value)) });
            let target = topics.ids.partitions(&member.target).collect();
            records.push(ConsumerRecord::Target { member: name.clone(), value: Some(target) });
            if let Ok(standing) = CaseStanding::deserialize(&member.standing) {
                let standing = standing.standing(&mut topics.ids);
                records.push(ConsumerRecord::Current { member: name, value: Some(CurrentMemberValue { standing }) });
            }
        }
        let subscribed: BTreeSet<Name> =
            self.members.values().flat_map(|member| &member.subscribed).map(|name| name.as_str().into()).collect();
        let hash = topics_hash(&subscribed, &topics.image);
        records.push(ConsumerRecord::Epoch(Some((Generation(self.group_epoch), hash))));
        records.push(ConsumerRecord::TargetEpoch(Some((Generation(self.assignment_epoch), 0))));
        let of = |record| GroupRecord::Consumer { group: group.into(), record };
        let records: Vec<GroupRecord> = records.into_iter().map(of).collect();
        group_log::batch(&records, Instant::ZERO)
    }
}

/// A group's state as the cases write it, with the members in the order of their ids.
pub fn state_of(group: &ConsumerGroup) -> String {
    let members = group.members().map(|member| {
        let standing = member.standing();
        let state = json!(member_state(standing));
        let state = state.as_str().unwrap_or_default();
        format!("{}:{}:{}:{state};", member.id(), standing.epoch, standing.previous_epoch)
    });
    let (phase, epoch) = (group.phase().name(), group.epoch());
    format!("consumer|{phase}|{epoch}|{}|{}", group.assignment_epoch(), members.collect::<String>())
}

/// The same of what the case expects.
pub fn in_order(expected: &Value) -> Value {
    let Some((head, members)) =
        expected.as_str().filter(|text| text.starts_with("consumer|")).and_then(|text| text.rsplit_once('|'))
    else {
        return expected.clone();
    };
    let mut members: Vec<&str> = members.split_terminator(';').collect();
    members.sort_unstable();
    json!(format!("{head}|{}", members.iter().map(|member| format!("{member};")).collect::<String>()))
}
