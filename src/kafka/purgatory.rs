//! Requests that wait: produces for the ISR, fetches for records (`DelayedOperationPurgatory`).
//!
//! Each waits on its partitions. Whoever changes a partition asks here who waited for it, and looks at those again.

use std::collections::BTreeMap;

use super::error::ErrorCode;
use super::ids::{Node, Offset, TopicPartition};
use super::message::FetchRequest;

/// A produce with `acks=all` whose batches are in the leader's log (`DelayedProduce`).
#[derive(Clone, Debug)]
pub struct DelayedProduce {
    pub from: Node,
    pub correlation_id: u32,
    pub partitions: Vec<DelayedAppend>,
}

/// What became of one partition of a waiting produce.
#[derive(Clone, Copy, Debug)]
pub struct DelayedAppend {
    pub partition: TopicPartition,
    pub base_offset: Offset,
    /// The high watermark that commits it.
    pub required_offset: Offset,
    /// `None` while it waits.
    pub outcome: Option<ErrorCode>,
}

/// A fetch that could not be answered with enough bytes yet (`DelayedFetch`).
#[derive(Clone, Debug)]
pub struct DelayedFetch {
    pub from: Node,
    pub correlation_id: u32,
    pub request: FetchRequest,
    /// The segment that held each fetch offset when the fetch came, by its base offset (`LogOffsetMetadata`).
    pub segments: Vec<Offset>,
}

/// Every request that waits at one broker.
#[derive(Clone, Debug, Default)]
pub struct Purgatory {
    next_id: u64,
    produces: BTreeMap<u64, DelayedProduce>,
    fetches: BTreeMap<u64, DelayedFetch>,
    produce_watchers: BTreeMap<TopicPartition, Vec<u64>>,
    fetch_watchers: BTreeMap<TopicPartition, Vec<u64>>,
}

impl Purgatory {
    /// Keeps a produce. The id names it in its timer.
    pub fn hold_produce(&mut self, produce: DelayedProduce) -> u64 {
        let id = self.next_id();
        for append in &produce.partitions {
            self.produce_watchers.entry(append.partition).or_default().push(id);
        }
        self.produces.insert(id, produce);
        id
    }

    /// Keeps a fetch. The id names it in its timer.
    pub fn hold_fetch(&mut self, fetch: DelayedFetch) -> u64 {
        let id = self.next_id();
        for wanted in &fetch.request.partitions {
            self.fetch_watchers.entry(wanted.partition).or_default().push(id);
        }
        self.fetches.insert(id, fetch);
        id
    }

    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// The produces that wait for a partition, oldest first.
    pub fn produces_on(&self, partition: TopicPartition) -> Vec<u64> {
        self.produce_watchers.get(&partition).cloned().unwrap_or_default()
    }

    /// The fetches that wait for a partition, oldest first.
    pub fn fetches_on(&self, partition: TopicPartition) -> Vec<u64> {
        self.fetch_watchers.get(&partition).cloned().unwrap_or_default()
    }

    pub fn produce_mut(&mut self, id: u64) -> Option<&mut DelayedProduce> {
        self.produces.get_mut(&id)
    }

    pub fn fetch(&self, id: u64) -> Option<&DelayedFetch> {
        self.fetches.get(&id)
    }

    /// Lets go of a produce, to answer it.
    pub fn take_produce(&mut self, id: u64) -> Option<DelayedProduce> {
        let produce = self.produces.remove(&id)?;
        for append in &produce.partitions {
            unwatch(&mut self.produce_watchers, append.partition, id);
        }
        Some(produce)
    }

    /// Lets go of a fetch, to answer it.
    pub fn take_fetch(&mut self, id: u64) -> Option<DelayedFetch> {
        let fetch = self.fetches.remove(&id)?;
        for wanted in &fetch.request.partitions {
            unwatch(&mut self.fetch_watchers, wanted.partition, id);
        }
        Some(fetch)
    }

    /// The requests of a peer that is gone; nobody will read their answers.
    pub fn of_peer(&self, peer: Node) -> (Vec<u64>, Vec<u64>) {
        let produces = self.produces.iter().filter(|(_, produce)| produce.from == peer).map(|(id, _)| *id).collect();
        let fetches = self.fetches.iter().filter(|(_, fetch)| fetch.from == peer).map(|(id, _)| *id).collect();
        (produces, fetches)
    }

    /// How many produces and fetches wait.
    pub fn sizes(&self) -> (usize, usize) {
        (self.produces.len(), self.fetches.len())
    }
}

fn unwatch(watchers: &mut BTreeMap<TopicPartition, Vec<u64>>, partition: TopicPartition, id: u64) {
    if let Some(ids) = watchers.get_mut(&partition) {
        ids.retain(|watching| *watching != id);
    }
}
