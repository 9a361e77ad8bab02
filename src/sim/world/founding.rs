//! How a cluster with ZooKeeper stands when a run begins: the znodes that its history has left, a session for each
//! broker, and the broker with the lowest number as controller.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::kafka::broker::ZkSettled;
use crate::kafka::ids::{BrokerEpoch, BrokerId, Name, ZooKeeperId};
use crate::kafka::message::ensemble::{SessionId, ZkChange, ZkOp, ZkTxn, ZkWrite, ZnodeData, Zxid};
use crate::kafka::metadata::{ConfigResource, MetadataBatch, MetadataImage};
use crate::kafka::zookeeper::{ZooKeeperDisk, paths};
use crate::time::Duration;

/// The epoch of the ensemble's leader, and of the controller.
const EPOCH: u32 = 1;

/// What the nodes of a settled cluster begin with.
#[derive(Clone, Debug)]
pub(super) struct Founding {
    pub disk: ZooKeeperDisk,
    image: Rc<MetadataImage>,
    sessions: BTreeMap<BrokerId, SessionId>,
    last: Zxid,
}

impl Founding {
    /// `history` says which brokers, topics and settings there are; `timeout` is that of the sessions.
    pub fn new(history: &MetadataBatch, timeout: Duration) -> Self {
        let mut image = MetadataImage::default();
        image.apply_batch(history);
        let mut diary = Diary::default();
        let mut sessions = BTreeMap::new();
        for (id, known) in &mut image.brokers {
            let zxid = diary.write(SessionId(0), ZkChange::OpenSession { client: *id, timeout });
            let session = SessionId(zxid.0);
            sessions.insert(*id, session);
            let data = ZnodeData::Broker { rack: known.rack.clone() };
            known.epoch = BrokerEpoch(diary.create(session, paths::broker(*id), data, true).0.cast_signed());
        }
        if let Some((controller, session)) = sessions.first_key_value() {
            diary.create(*session, paths::CONTROLLER.into(), ZnodeData::Controller { broker: *controller }, true);
            diary.create(
                *session,
                paths::CONTROLLER_EPOCH.into(),
                ZnodeData::ControllerEpoch(EPOCH.cast_signed()),
                false,
            );
            diary.create(*session, paths::TOPICS.into(), ZnodeData::TopicsCreated(image.topics_created), false);
            write_topics(&image, *session, &mut diary);
            diary.create(*session, paths::PRODUCER_IDS.into(), ZnodeData::Empty, false);
        }
        let last = diary.last;
        Self { disk: ZooKeeperDisk::with_history(EPOCH, diary.txns), image: Rc::new(image), sessions, last }
    }

    /// How this broker stands; `None` for one that came later.
    pub fn settled(&self, broker: BrokerId) -> Option<ZkSettled> {
        Some(ZkSettled {
            session: *self.sessions.get(&broker)?,
            zxid: self.last,
            controller: *self.sessions.keys().next()?,
            reign: (EPOCH.cast_signed(), 0),
            image: self.image.clone(),
        })
    }
}

fn write_topics(image: &MetadataImage, session: SessionId, diary: &mut Diary) {
    for (resource, config) in &image.configs {
        let path = match resource {
            ConfigResource::Topic(id) => image.topics.get(id).map(|topic| paths::topic_config(&topic.name)),
            ConfigResource::Cluster => Some(paths::DEFAULT_BROKER_CONFIG.into()),
            ConfigResource::Broker(_) => None,
        };
        let pairs = config.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        if let Some(path) = path {
            diary.create(session, path, ZnodeData::Config(pairs), false);
        }
    }
    for (id, topic) in &image.topics {
        let replicas = topic.partitions.iter().map(|state| state.replicas.clone()).collect();
        diary.create(session, paths::topic(&topic.name), ZnodeData::Topic { id: *id, replicas }, false);
        for (state, number) in topic.partitions.iter().zip(0..) {
            let data = ZnodeData::PartitionState {
                controller_epoch: EPOCH.cast_signed(),
                leader: state.leader,
                leader_epoch: state.leader_epoch,
                isr: state.isr.clone(),
            };
            diary.create(session, paths::state(&topic.name, number), data, false);
        }
    }
}

/// The transactions that were.
#[derive(Default)]
struct Diary {
    txns: Vec<ZkTxn>,
    last: Zxid,
}

impl Diary {
    fn write(&mut self, session: SessionId, change: ZkChange) -> Zxid {
        self.last = if self.txns.is_empty() { Zxid::new(EPOCH, 1) } else { self.last.next() };
        let write = ZkWrite { origin: ZooKeeperId(0), ticket: 0, session, change };
        self.txns.push(ZkTxn { zxid: self.last, write });
        self.last
    }

    fn create(&mut self, session: SessionId, path: Name, data: ZnodeData, ephemeral: bool) -> Zxid {
        let op = ZkOp::Create { path, data: Rc::new(data), ephemeral, sequential: false };
        self.write(session, ZkChange::Op(op))
    }
}
