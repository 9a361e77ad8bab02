//! A broker's window on the metadata quorum: it fetches the log, and keeps the image that results.
//!
//! The broker drives it: it sends what is asked for here as [`Ask`], and brings back how that ended. The active
//! controller is found by asking the voters in turn; each says which leader it knows of.
//!
//! After a start nothing of the log on disk counts until the leader has said how far it is committed (Kafka's
//! `MetadataLoader` waits for that too); then all of it comes at once.

use std::rc::Rc;

use super::backoff::QuorumBackoff;
use super::effects::{Effects, Timer};
use super::error::ErrorCode;
use super::ids::{BrokerId, ControllerId, LeaderEpoch, Node, Offset, Voters};
use super::message::{QuorumFetchRequest, QuorumFetchResponse, Request};
use super::metadata::{MetadataBatch, MetadataImage};
use super::quorum::FETCH_MAX_WAIT;
use super::quorum::log::MetadataLog;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// A request that the broker is to send, where to, and how long to wait for the answer.
pub type Ask = (Node, Request, Duration);

/// The metadata log and image of one broker.
#[derive(Clone, Debug)]
pub struct Observer {
    broker: BrokerId,
    voters: Voters,
    request_timeout: Duration,
    log: MetadataLog,
    image: Rc<MetadataImage>,
    epoch: LeaderEpoch,
    leader: Option<ControllerId>,
    /// Which voter is asked next while no leader is known.
    next_voter: u32,
    backoff: QuorumBackoff,
}

impl Observer {
    /// `log` is what the disk holds; `rng` chooses the voter to ask first.
    pub fn new(broker: BrokerId, voters: Voters, request_timeout: Duration, log: MetadataLog, rng: &mut Rng) -> Self {
        let epoch = log.last_epoch().unwrap_or_default();
        let next_voter = rng.below(voters.len().max(1) as u32);
        Self {
            broker,
            voters,
            request_timeout,
            log,
            image: Rc::default(),
            epoch,
            leader: None,
            next_voter,
            backoff: QuorumBackoff::default(),
        }
    }

    /// Takes everything on disk for committed: a cluster that was set up and at rest when the broker stopped.
    pub fn settle(&mut self) {
        let image = Rc::make_mut(&mut self.image);
        self.log.read(image.next_offset, self.log.end()).iter().for_each(|batch| image.apply_batch(batch));
    }

    /// Takes a whole image for true: ZooKeeper mode, where there is no log.
    pub fn settle_with(&mut self, image: Rc<MetadataImage>) {
        self.image = image;
    }

    /// The image to change, where it is not a log that changes it: in ZooKeeper mode a controller's requests do.
    pub fn image_mut(&mut self) -> &mut MetadataImage {
        Rc::make_mut(&mut self.image)
    }

    /// What survives the process.
    pub fn into_log(self) -> MetadataLog {
        self.log
    }

    /// What the broker believes about the cluster.
    pub fn image(&self) -> &Rc<MetadataImage> {
        &self.image
    }

    pub fn log(&self) -> &MetadataLog {
        &self.log
    }

    /// The offset of the last record applied, as heartbeats tell it; -1 where there is none.
    pub fn metadata_offset(&self) -> Offset {
        self.image.next_offset - 1
    }

    /// The active controller, as far as is known: where requests to the controller go.
    pub fn controller(&self) -> Option<ControllerId> {
        self.leader
    }

    /// The first fetch after a start, and each one on [`Timer::QuorumFetch`].
    pub fn fetch(&mut self) -> Ask {
        let voter = self.leader.unwrap_or_else(|| self.voters[self.next_voter as usize]);
        let request = QuorumFetchRequest {
            replica: Node::Broker(self.broker),
            epoch: self.epoch,
            fetch_offset: self.log.end(),
            last_fetched_epoch: self.log.last_epoch(),
            max_wait: FETCH_MAX_WAIT,
        };
        (Node::Controller(voter), Request::QuorumFetch(request), self.request_timeout)
    }

    /// A voter answered. Returns the next fetch, if it is to go out at once, and the batches that the image has just
    /// taken in, in order.
    pub fn on_response(
        &mut self,
        now: Instant,
        response: QuorumFetchResponse,
        out: &mut Effects,
    ) -> (Option<Ask>, Vec<MetadataBatch>) {
        if response.epoch < self.epoch {
            return (self.on_failed(now, out), Vec::new());
        }
        let news = response.epoch > self.epoch || self.leader.is_none();
        self.epoch = response.epoch;
        if response.error != ErrorCode::None {
            self.leader = response.leader;
            if self.leader.is_some() && news {
                return (Some(self.fetch()), Vec::new());
            }
            return (self.on_failed(now, out), Vec::new());
        }
        self.backoff = QuorumBackoff::default();
        self.leader = response.leader;
        if let Some((_, end)) = response.diverging_epoch {
            self.log.truncate(end.max(self.image.next_offset));
        }
        response.batches.into_iter().for_each(|batch| self.log.append(batch));
        let committed = self.log.read(self.image.next_offset, response.high_watermark);
        if !committed.is_empty() {
            let image = Rc::make_mut(&mut self.image);
            committed.iter().for_each(|batch| image.apply_batch(batch));
        }
        (Some(self.fetch()), committed)
    }

    /// The fetch went unanswered: its time is over, or the connection broke. The next one goes to another voter, on
    /// [`Timer::QuorumFetch`].
    pub fn on_failed(&mut self, now: Instant, out: &mut Effects) -> Option<Ask> {
        self.controller_lost();
        out.set_timer(now + self.backoff.next_pause(), Timer::QuorumFetch);
        None
    }

    /// Whoever was taken for the active controller is not it, or cannot be reached.
    pub fn controller_lost(&mut self) {
        self.leader = None;
        self.next_voter = (self.next_voter + 1) % self.voters.len() as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::super::metadata::MetadataRecord;
    use super::*;

    fn observer() -> Observer {
        let voters: Voters = [ControllerId(101), ControllerId(102), ControllerId(103)].into();
        Observer::new(BrokerId(1), voters, Duration::secs(2), MetadataLog::default(), &mut Rng::new(1, 1))
    }

    fn answer(
        error: ErrorCode,
        leader: Option<i32>,
        batches: Vec<MetadataBatch>,
        high_watermark: Offset,
    ) -> QuorumFetchResponse {
        QuorumFetchResponse {
            error,
            leader: leader.map(ControllerId),
            epoch: LeaderEpoch(1),
            high_watermark,
            diverging_epoch: None,
            batches,
        }
    }

    #[test]
    fn a_voter_that_does_not_lead_points_to_the_one_that_does() {
        let (mut observer, mut out) = (observer(), Effects::default());
        let refused = answer(ErrorCode::FencedLeaderEpoch, Some(101), Vec::new(), 0);
        let (ask, _) = observer.on_response(Instant::ZERO, refused, &mut out);
        let (to, request, _) = ask.expect("an immediate fetch");
        assert_eq!(to, Node::Controller(ControllerId(101)));
        assert!(matches!(request, Request::QuorumFetch(fetch) if fetch.epoch == LeaderEpoch(1)));
        assert_eq!(observer.controller(), Some(ControllerId(101)));
    }

    #[test]
    fn without_an_answer_the_voters_are_asked_in_turn() {
        let (mut observer, mut out) = (observer(), Effects::default());
        let mut asked: Vec<Node> = Vec::new();
        for _ in 0..3 {
            asked.push(observer.fetch().0);
            assert!(observer.on_failed(Instant::ZERO, &mut out).is_none(), "it pauses first");
        }
        asked.sort();
        assert_eq!(asked, [101, 102, 103].map(|id| Node::Controller(ControllerId(id))));
    }

    #[test]
    fn what_the_disk_holds_counts_only_once_the_leader_says_it_is_committed() {
        let mut log = MetadataLog::default();
        for offset in 0..3 {
            let records = [MetadataRecord::NoOp].into();
            log.append(MetadataBatch { base_offset: offset, epoch: LeaderEpoch(1), records });
        }
        let mut restarted = Observer { log, ..observer() };
        assert_eq!(restarted.metadata_offset(), -1);
        let known = answer(ErrorCode::None, Some(101), Vec::new(), 2);
        let (_, committed) = restarted.on_response(Instant::ZERO, known, &mut Effects::default());
        assert_eq!((committed.len(), restarted.metadata_offset()), (2, 1));
    }
}
