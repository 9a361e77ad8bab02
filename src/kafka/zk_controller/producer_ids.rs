//! Producer ids: the controller gives them to brokers by the thousand (`KafkaController.processAllocateProducerIds`,
//! `ZkProducerIdManager.getNewProducerIdBlock`).
//!
//! `/latest_producer_id_block` holds the block that was given last. The next one is written over it on condition that
//! nobody else wrote meanwhile; whoever was too late reads again. So no two brokers get the same id, whichever of two
//! controllers they asked.
//!
//! What we leave out: brokers that write the znode themselves (`inter.broker.protocol.version` before 3.0).

use std::rc::Rc;

use super::{Desk, Step, ZkController};
use crate::kafka::controller::producer_ids::{BLOCK_SIZE, refused};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{BrokerId, Node};
use crate::kafka::message::ensemble::{ZkError, ZkOp, ZkReply, ZkResult, ZnodeData};
use crate::kafka::message::{AllocateProducerIdsRequest, AllocateProducerIdsResponse, Response};
use crate::kafka::zookeeper::paths;

/// A broker that waits for a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub from: Node,
    pub correlation_id: u32,
    pub broker: BrokerId,
}

/// The ids that a broker is to have, and the version of the znode that says so far whose the last ones are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    start: i64,
    end: i64,
    version: i32,
}

impl Block {
    /// The block after the last one, which may be the first.
    fn after(latest: &ZnodeData, version: i32) -> Option<Self> {
        let start = match latest {
            ZnodeData::ProducerIdBlock { end, .. } => end.checked_add(1)?,
            _ => 0,
        };
        // Both ends belong to it.
        let end = start.checked_add(i64::from(BLOCK_SIZE) - 1)?;
        Some(Self { start, end, version })
    }

    pub(super) fn write_op(self, broker: BrokerId) -> ZkOp {
        ZkOp::SetData {
            path: paths::PRODUCER_IDS.into(),
            data: Rc::new(ZnodeData::ProducerIdBlock { broker, start: self.start, end: self.end }),
            version: Some(self.version),
        }
    }
}

impl ZkController {
    /// A broker has used its ids up. Only one that is registered, in this life, gets more.
    pub(super) fn allocate_producer_ids(
        &mut self,
        from: Node,
        correlation_id: u32,
        request: AllocateProducerIdsRequest,
        desk: &mut Desk,
    ) {
        let AllocateProducerIdsRequest { broker, broker_epoch } = request;
        let error = match self.image.brokers.get(&broker) {
            None => ErrorCode::BrokerIdNotRegistered,
            Some(known) if known.epoch != broker_epoch => ErrorCode::StaleBrokerEpoch,
            Some(_) => return self.steps.push_back(Step::ReadProducerIds(Asker { from, correlation_id, broker })),
        };
        desk.out.respond(from, correlation_id, refused(error));
    }

    pub(super) fn producer_ids_read(&mut self, asker: Asker, results: &[ZkResult], desk: &mut Desk) {
        let block = match results.first() {
            Some(Ok(ZkReply::Node { data, stat })) => Block::after(data, stat.version),
            _ => None,
        };
        match block {
            Some(block) => self.steps.push_front(Step::WriteProducerIds(asker, block)),
            None => desk.out.respond(asker.from, asker.correlation_id, refused(ErrorCode::UnknownServerError)),
        }
    }

    pub(super) fn producer_ids_written(&mut self, asker: Asker, block: Block, results: &[ZkResult], desk: &mut Desk) {
        let response = match results.first() {
            Some(Ok(ZkReply::Written { .. })) => Response::AllocateProducerIds(AllocateProducerIdsResponse {
                error: ErrorCode::None,
                producer_id_start: block.start,
                producer_id_len: BLOCK_SIZE,
            }),
            // Another controller was faster; or this very write went through before the connection broke, and its ids
            // are lost.
            Some(Err(failure)) if failure.error == ZkError::BadVersion => {
                return self.steps.push_front(Step::ReadProducerIds(asker));
            }
            _ => refused(ErrorCode::UnknownServerError),
        };
        desk.out.respond(asker.from, asker.correlation_id, response);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_follow_one_another_without_a_gap_and_without_an_id_in_common() {
        let mut latest = ZnodeData::Empty;
        for (version, first) in [(0, 0), (1, 1000), (2, 2000)] {
            let block = Block::after(&latest, version).expect("a block");
            assert_eq!((block.start, block.end), (first, first + 999));
            let ZkOp::SetData { data, version: expected, .. } = block.write_op(BrokerId(2)) else {
                panic!("{block:?}")
            };
            assert_eq!(expected, Some(version), "written only if nobody else wrote");
            latest = (*data).clone();
        }
    }

    #[test]
    fn there_are_no_ids_after_the_last() {
        let latest = ZnodeData::ProducerIdBlock { broker: BrokerId(1), start: 0, end: i64::MAX - 999 };
        assert!(Block::after(&latest, 7).is_none());
    }
}
