//! What people want: topics, partitions, settings (`ZkAdminManager`, `AdminZkClient`).
//!
//! A wish is checked by the rules of [`controller::topics`](crate::kafka::controller::topics) and
//! [`controller::configs`](crate::kafka::controller::configs), which have not changed since, and written into znodes.
//! Nothing else happens then: a watch tells the controller that there is a topic without state, and it takes care of it.
//! Whoever asked is answered when that is done, or when this broker hears of it like every other one.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::{AdminRequest, Desk, ZkController, is_unborn, placement};
use crate::kafka::controller::cluster::Cluster;
use crate::kafka::controller::{configs, topics};
use crate::kafka::effects::Effects;
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::Fact;
use crate::kafka::ids::{BrokerId, Name, Node, TopicId};
use crate::kafka::message::ensemble::{ZkError, ZkOp, ZkReply, ZkResult, ZnodeData};
use crate::kafka::message::{CreatePartitionsRequest, NewTopic, Response, TopicResult};
use crate::kafka::metadata::{ConfigResource, MetadataImage, MetadataRecord};
use crate::kafka::zookeeper::paths;

/// Somebody who is answered when these topics are there, or gone.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub to: Node,
    correlation_id: u32,
    /// With the number of partitions it is to have; 0 waits for its end.
    topics: Vec<(Name, u32)>,
    response: Response,
}

/// Znodes to write for somebody's wish.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) from: Node,
    pub(super) correlation_id: u32,
    pub(super) response: Response,
    writes: Vec<Write>,
}

/// One write, all or nothing, and what it means.
#[derive(Clone, Debug)]
struct Write {
    ops: Vec<ZkOp>,
    facts: Vec<Fact>,
    waits_for: Option<(Name, u32)>,
}

impl Wish {
    /// Each write counts only while nobody else reigns.
    pub(super) fn ops(&self, reign: Option<(i32, i32)>) -> Vec<ZkOp> {
        let version = reign.map_or(-1, |(_, version)| version);
        let check = || ZkOp::Check { path: paths::CONTROLLER_EPOCH.into(), version };
        let multi = |write: &Write| ZkOp::Multi(std::iter::once(check()).chain(write.ops.iter().cloned()).collect());
        self.writes.iter().map(multi).collect()
    }
}

impl ZkController {
    pub(super) fn wish(&mut self, from: Node, correlation_id: u32, request: AdminRequest, desk: &mut Desk) {
        // The rules look at a cluster as KRaft's controller has it.
        let mut cluster = Cluster::new(self.config.clone(), false);
        cluster.image = (*self.image).clone();
        for broker in &self.shutting_down {
            cluster.image.brokers.remove(broker);
        }
        let (decision, names) = match request {
            AdminRequest::CreateTopics(mut request) => {
                request.topics.iter_mut().for_each(|topic| self.place_topic(topic));
                (topics::create(&cluster, &request, &mut self.rng), Vec::new())
            }
            AdminRequest::CreatePartitions(request) => {
                (topics::create_partitions(&cluster, &request, &mut self.rng), grown(&request))
            }
            AdminRequest::DeleteTopics(request) => (topics::delete(&cluster, &request), Vec::new()),
            AdminRequest::AlterConfigs(request) => (configs::alter(&cluster, &request), Vec::new()),
            AdminRequest::AlterPartition(_)
            | AdminRequest::ControlledShutdown { .. }
            | AdminRequest::AllocateProducerIds(_) => return,
        };
        let writes = self.writes(&decision.records, &names);
        let wish = Wish { from, correlation_id, response: decision.response, writes };
        if wish.writes.is_empty() {
            desk.out.respond(from, correlation_id, wish.response);
        } else {
            self.steps.push_back(super::Step::WriteWish(wish));
        }
    }

    /// Replaces the wish for a number of replicas by the replicas, where there are enough brokers; else the rules say
    /// what is wrong.
    fn place_topic(&mut self, topic: &mut NewTopic) {
        if !topic.assignment.is_empty() {
            return;
        }
        let partitions = topic.partitions.unwrap_or(self.config.num_partitions);
        let factor = topic.replication_factor.unwrap_or(self.config.default_replication_factor);
        if let Some(placed) = self.place(0, partitions, factor).filter(|placed| !placed.is_empty()) {
            topic.assignment = placed;
            topic.partitions = None;
            topic.replication_factor = None;
        }
    }

    fn place(&mut self, first: u32, count: u32, factor: u32) -> Option<Vec<Vec<BrokerId>>> {
        let live = self.image.brokers.iter().filter(|(id, _)| !self.shutting_down.contains(id));
        let live: Vec<(BrokerId, Option<Name>)> = live.map(|(id, known)| (*id, known.rack.clone())).collect();
        let rng = &mut self.rng;
        placement::place(&live, first, count, factor, &mut |bound| rng.below(bound))
    }

    /// The znodes that KRaft's records stand for.
    fn writes(&mut self, records: &[MetadataRecord], grown: &[(Name, u32)]) -> Vec<Write> {
        let mut writes = Vec::new();
        let mut created = self.image.topics_created;
        let mut settings: BTreeMap<ConfigResource, Vec<(Name, Option<Name>)>> = BTreeMap::new();
        for record in records {
            match record {
                MetadataRecord::Config { resource, key, value } => {
                    settings.entry(*resource).or_default().push((key.clone(), value.clone()));
                }
                MetadataRecord::RemoveTopic { id } => writes.extend(self.deletion_wish(*id)),
                _ => {}
            }
        }
        for record in records {
            let MetadataRecord::Topic { id, name } = record else { continue };
            created += 1;
            let own = settings.remove(&ConfigResource::Topic(*id)).unwrap_or_default();
            writes.push(creation(*id, name, created, own, replicas(records, *id)));
        }
        writes.extend(grown.iter().filter_map(|(name, count)| self.growth(name, *count, records)));
        writes.extend(settings.into_iter().filter_map(|(resource, changes)| self.setting(resource, &changes)));
        writes
    }

    fn growth(&mut self, name: &Name, count: u32, records: &[MetadataRecord]) -> Option<Write> {
        let (id, topic) = self.image.topic(name)?;
        let accepted = replicas(records, id);
        if accepted.is_empty() {
            return None;
        }
        let (present, factor) = (topic.partitions.len() as u32, accepted[0].len() as u32);
        let mut all: Vec<Vec<BrokerId>> = topic.partitions.iter().map(|state| state.replicas.clone()).collect();
        // The placement of old goes on with the next partition number.
        all.extend(self.place(present, accepted.len() as u32, factor).unwrap_or(accepted));
        let data = Rc::new(ZnodeData::Topic { id, replicas: all.into() });
        let fact = Fact::PartitionsAdded { topic: id, name: name.clone(), partitions: count };
        Some(Write {
            ops: vec![ZkOp::SetData { path: paths::topic(name), data, version: None }],
            facts: vec![fact],
            waits_for: Some((name.clone(), count)),
        })
    }

    fn deletion_wish(&self, id: TopicId) -> Option<Write> {
        let name = self.image.topics.get(&id)?.name.clone();
        let (path, data) = (paths::delete_topic(&name), Rc::new(ZnodeData::Empty));
        Some(Write {
            ops: vec![ZkOp::Create { path, data, ephemeral: false, sequential: false }],
            facts: Vec::new(),
            waits_for: Some((name, 0)),
        })
    }

    /// The settings go into their znode as a whole, and a notification beside it tells every broker.
    fn setting(&self, resource: ConfigResource, changes: &[(Name, Option<Name>)]) -> Option<Write> {
        let (path, shown) = match resource {
            ConfigResource::Topic(id) => {
                let name = &self.image.topics.get(&id)?.name;
                (paths::topic_config(name), format!("topic:{name}"))
            }
            ConfigResource::Cluster => (paths::DEFAULT_BROKER_CONFIG.into(), "cluster".into()),
            ConfigResource::Broker(_) => return None,
        };
        let present = self.image.configs.get(&resource);
        let mut all = present.cloned().unwrap_or_default();
        for (key, value) in changes {
            match value {
                Some(value) => all.insert(key.clone(), value.clone()),
                None => all.remove(key),
            };
        }
        let data = Rc::new(ZnodeData::Config(all.into_iter().collect()));
        let write = if present.is_some() {
            ZkOp::SetData { path: path.clone(), data, version: None }
        } else {
            ZkOp::Create { path: path.clone(), data, ephemeral: false, sequential: false }
        };
        let notification = ZkOp::Create {
            path: paths::config_change(),
            data: Rc::new(ZnodeData::ConfigChange(path)),
            ephemeral: false,
            sequential: true,
        };
        let resource: Name = shown.into();
        let fact = |(key, value): &(Name, Option<Name>)| Fact::ConfigChanged {
            resource: resource.clone(),
            key: key.clone(),
            value: value.clone(),
        };
        Some(Write { ops: vec![write, notification], facts: changes.iter().map(fact).collect(), waits_for: None })
    }

    pub(super) fn wish_written(&mut self, wish: Wish, results: &[ZkResult], desk: &mut Desk) {
        if results.iter().any(super::load::has_moved) {
            self.steps.push_front(super::Step::WriteWish(wish));
            return self.moved(desk);
        }
        let mut topics = Vec::new();
        for (write, result) in wish.writes.into_iter().zip(results) {
            // What is there already was written before the connection broke and the request was sent again.
            let twice = matches!(result, Err(failure) if failure.error == ZkError::NodeExists);
            if matches!(result, Ok(ZkReply::Multi(_))) || twice {
                write.facts.into_iter().for_each(|fact| desk.out.note(fact));
                topics.extend(write.waits_for);
            }
        }
        let waiting = Waiting { to: wish.from, correlation_id: wish.correlation_id, topics, response: wish.response };
        self.waiting.push(waiting);
        self.answer_waiting(desk.out);
    }

    /// Answers everybody whose topics are as they wanted them.
    pub(super) fn answer_waiting(&mut self, out: &mut Effects) {
        self.answer_waiting_by(&self.image.clone(), out);
    }

    pub(super) fn answer_waiting_by(&mut self, image: &MetadataImage, out: &mut Effects) {
        let is_done = |(name, count): &(Name, u32)| match image.topic(name) {
            None => *count == 0,
            Some((_, topic)) => {
                *count > 0 && topic.partitions.len() as u32 >= *count && !topic.partitions.iter().any(is_unborn)
            }
        };
        for waiting in std::mem::take(&mut self.waiting) {
            if waiting.topics.iter().all(is_done) {
                out.respond(waiting.to, waiting.correlation_id, waiting.response);
            } else {
                self.waiting.push(waiting);
            }
        }
    }
}

fn creation(
    id: TopicId,
    name: &Name,
    created: u32,
    settings: Vec<(Name, Option<Name>)>,
    replicas: Vec<Vec<BrokerId>>,
) -> Write {
    let config: Vec<(Name, Name)> = settings.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    let partitions = replicas.len() as u32;
    let replication_factor = replicas.first().map_or(0, |first| first.len() as u32);
    let create =
        |path: Name, data: ZnodeData| ZkOp::Create { path, data: Rc::new(data), ephemeral: false, sequential: false };
    let shown: Name = format!("topic:{name}").into();
    let set = |(key, value): &(Name, Name)| Fact::ConfigChanged {
        resource: shown.clone(),
        key: key.clone(),
        value: Some(value.clone()),
    };
    let mut facts: Vec<Fact> = config.iter().map(set).collect();
    facts.push(Fact::TopicCreated { topic: id, name: name.clone(), partitions, replication_factor });
    let count = Rc::new(ZnodeData::TopicsCreated(created));
    Write {
        ops: vec![
            create(paths::topic_config(name), ZnodeData::Config(config)),
            create(paths::topic(name), ZnodeData::Topic { id, replicas: replicas.into() }),
            ZkOp::SetData { path: paths::TOPICS.into(), data: count, version: None },
        ],
        facts,
        waits_for: Some((name.clone(), partitions)),
    }
}

/// The replicas of a topic's new partitions.
fn replicas(records: &[MetadataRecord], id: TopicId) -> Vec<Vec<BrokerId>> {
    let of_topic = records.iter().filter_map(|record| match record {
        MetadataRecord::Partition { partition, registration } if partition.topic == id => {
            Some(registration.replicas.clone())
        }
        _ => None,
    });
    of_topic.collect()
}

/// The topics that a request wants to grow, once each.
fn grown(request: &CreatePartitionsRequest) -> Vec<(Name, u32)> {
    let mut seen = BTreeSet::new();
    request.topics.iter().filter(|(name, _)| seen.insert(name.clone())).cloned().collect()
}

pub(super) fn with_error(response: Response, error: ErrorCode) -> Response {
    let refuse = |results: Vec<TopicResult>| -> Vec<TopicResult> {
        results.into_iter().map(|result| TopicResult { error, message: None, ..result }).collect()
    };
    match response {
        Response::CreateTopics(mut created) => {
            created.topics = refuse(created.topics);
            Response::CreateTopics(created)
        }
        Response::DeleteTopics(mut deleted) => {
            deleted.topics = refuse(deleted.topics);
            Response::DeleteTopics(deleted)
        }
        Response::CreatePartitions(mut created) => {
            created.topics = refuse(created.topics);
            Response::CreatePartitions(created)
        }
        Response::IncrementalAlterConfigs(mut altered) => {
            altered.results = refuse(altered.results);
            Response::IncrementalAlterConfigs(altered)
        }
        other => other,
    }
}
