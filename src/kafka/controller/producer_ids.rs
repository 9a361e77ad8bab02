//! Producer ids: brokers get them by the thousand, and give them to producers one by one (`ProducerIdControlManager`).
//!
//! A block is given once. What a broker has not used of it when it stops is lost.

use super::super::error::ErrorCode;
use super::super::message::{AllocateProducerIdsRequest, AllocateProducerIdsResponse, Response};
use super::super::metadata::MetadataRecord;
use super::cluster::Cluster;
use super::decision::Decision;

/// Ids in a block (`PRODUCER_ID_BLOCK_SIZE`).
pub const BLOCK_SIZE: i32 = 1000;

/// Gives the next block to a broker that is registered (`generateNextProducerId`).
pub fn allocate(cluster: &Cluster, request: &AllocateProducerIdsRequest) -> Decision {
    let &AllocateProducerIdsRequest { broker, broker_epoch } = request;
    if cluster.image.brokers.get(&broker).is_none_or(|known| known.epoch != broker_epoch) {
        return Decision::answer(refused(ErrorCode::StaleBrokerEpoch));
    }
    let producer_id_start = cluster.image.next_producer_id;
    let Some(next_producer_id) = producer_id_start.checked_add(BLOCK_SIZE.into()) else {
        return Decision::answer(refused(ErrorCode::UnknownServerError));
    };
    let answer = AllocateProducerIdsResponse { error: ErrorCode::None, producer_id_start, producer_id_len: BLOCK_SIZE };
    Decision {
        records: vec![MetadataRecord::ProducerIds { broker, broker_epoch, next_producer_id }],
        response: Response::AllocateProducerIds(answer),
    }
}

/// No block, and why.
pub fn refused(error: ErrorCode) -> Response {
    Response::AllocateProducerIds(AllocateProducerIdsResponse { error, producer_id_start: -1, producer_id_len: 0 })
}

#[cfg(test)]
mod tests {
    use super::super::super::config::BrokerConfig;
    use super::super::super::ids::{BrokerEpoch, BrokerId};
    use super::*;

    const ASKED: AllocateProducerIdsRequest =
        AllocateProducerIdsRequest { broker: BrokerId(1), broker_epoch: BrokerEpoch(5) };

    fn cluster() -> Cluster {
        let mut cluster = Cluster::new(BrokerConfig::default(), true);
        let (broker, epoch) = (ASKED.broker, ASKED.broker_epoch);
        cluster.apply(&MetadataRecord::RegisterBroker { broker, epoch, incarnation: 1, rack: None, fenced: false });
        cluster
    }

    fn answer(decision: &Decision) -> (ErrorCode, i64, i32) {
        let Response::AllocateProducerIds(answer) = &decision.response else { panic!("{decision:?}") };
        (answer.error, answer.producer_id_start, answer.producer_id_len)
    }

    #[test]
    fn no_two_blocks_share_an_id() {
        let mut cluster = cluster();
        for start in [0, 1000, 2000] {
            let decision = allocate(&cluster, &ASKED);
            assert_eq!(answer(&decision), (ErrorCode::None, start, 1000));
            decision.records.iter().for_each(|record| cluster.apply(record));
        }
    }

    #[test]
    fn a_broker_of_before_gets_none() {
        let decision = allocate(&cluster(), &AllocateProducerIdsRequest { broker_epoch: BrokerEpoch(4), ..ASKED });
        assert_eq!((answer(&decision), decision.records), ((ErrorCode::StaleBrokerEpoch, -1, 0), Vec::new()));
    }
}
