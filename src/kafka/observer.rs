//! A broker's window on the metadata quorum: it fetches the log, and keeps the image that results.
//!
//! The broker drives it: it sends what is asked for here as [`Ask`], and brings back how that ended. Who leads is found
//! out by asking the voters in turn; each says which leader it knows of. The leader is the active controller, or will be
//! in a moment: requests to the controller go there (`RaftControllerNodeProvider`).
//!
//! After a start nothing of the log on disk counts until the leader has said how far it is committed (Kafka's
//! `MetadataLoader` waits for that too); then all of it comes at once.

use std::ops::ControlFlow;
use std::rc::Rc;

use super::config::BrokerConfig;
use super::effects::{Effects, Timer};
use super::error::ErrorCode;
use super::fact::Fact;
use super::ids::{BrokerId, ControllerId, LeaderEpoch, Node, Offset, Voters};
use super::message::{FetchSnapshotRequest, FetchSnapshotResponse, QuorumFetchRequest, QuorumFetchResponse, Request};
use super::metadata::{MetadataBatch, MetadataImage, SnapshotId};
use super::quorum::log::MetadataLog;
use super::quorum::snapshots::SnapshotClock;
use super::quorum::{FETCH_MAX_WAIT, pause_after};
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
    /// The leader wants this snapshot to be taken first.
    wanted: Option<SnapshotId>,
    snapshots: SnapshotClock,
    /// Fetches in a row that brought nothing.
    failures: u32,
}

impl Observer {
    /// `log` is what the disk holds; `rng` chooses the voter to ask first.
    pub fn new(broker: BrokerId, voters: Voters, config: &BrokerConfig, log: MetadataLog, rng: &mut Rng) -> Self {
        let epoch = log.last_epoch().unwrap_or_default();
        let next_voter = rng.below(voters.len().max(1) as u32);
        Self {
            broker,
            voters,
            request_timeout: config.quorum_request_timeout,
            snapshots: SnapshotClock::new(config, &log),
            image: log.snapshot().map(|snapshot| snapshot.image.clone()).unwrap_or_default(),
            log,
            epoch,
            leader: None,
            next_voter,
            wanted: None,
            failures: 0,
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

    /// The process starts: the first fetch.
    pub fn start(&mut self, now: Instant) -> Ask {
        self.snapshots.start(now);
        self.fetch()
    }

    /// The next fetch, also on [`Timer::QuorumFetch`].
    pub fn fetch(&mut self) -> Ask {
        let voter = self.leader.unwrap_or_else(|| self.voters[self.next_voter as usize]);
        let (replica, epoch) = (Node::Broker(self.broker), self.epoch);
        let request = match self.wanted.filter(|_| self.leader.is_some()) {
            Some(snapshot_id) => Request::FetchSnapshot(FetchSnapshotRequest { replica, epoch, snapshot_id }),
            None => Request::QuorumFetch(QuorumFetchRequest {
                replica,
                epoch,
                fetch_offset: self.log.end(),
                last_fetched_epoch: self.log.last_epoch(),
                high_watermark: self.image.next_offset,
                max_wait: FETCH_MAX_WAIT,
            }),
        };
        (Node::Controller(voter), request, self.request_timeout)
    }

    /// A voter answered. Returns the next fetch, if it is to go out at once, and the batches that the image has just
    /// taken in, in order.
    pub fn on_response(
        &mut self,
        now: Instant,
        response: QuorumFetchResponse,
        out: &mut Effects,
    ) -> (Option<Ask>, Vec<MetadataBatch>) {
        if let ControlFlow::Break(next) = self.learn(now, response.error, response.leader, response.epoch, out) {
            return (next, Vec::new());
        }
        if let Some((epoch, end)) = response.diverging_epoch {
            let to = self.log.truncation_point(epoch, end);
            if to < self.image.next_offset {
                return (self.on_failed(now, out), Vec::new());
            }
            self.log.truncate(to);
        }
        self.wanted = response.snapshot_id;
        // What was asked for before the log was cut is of no use.
        let from = self.log.end();
        for batch in response.batches.into_iter().filter(|batch| batch.base_offset >= from) {
            self.log.append(batch);
        }
        let committed = self.log.read(self.image.next_offset, response.high_watermark);
        if !committed.is_empty() {
            let image = Rc::make_mut(&mut self.image);
            committed.iter().for_each(|batch| image.apply_batch(batch));
            self.snapshots.after_commit(now, self.image.next_offset, &mut self.log, out);
        }
        (Some(self.fetch()), committed)
    }

    /// The leader handed its snapshot over. Returns the next fetch, and whether the image is another one now.
    pub fn on_snapshot(
        &mut self,
        now: Instant,
        response: FetchSnapshotResponse,
        out: &mut Effects,
    ) -> (Option<Ask>, bool) {
        self.wanted = None;
        if let ControlFlow::Break(next) = self.learn(now, response.error, response.leader, response.epoch, out) {
            return (next, false);
        }
        let fresh = response.snapshot.filter(|snapshot| snapshot.end > self.image.next_offset);
        let Some(snapshot) = fresh else { return (Some(self.fetch()), false) };
        let end = snapshot.end;
        self.image = snapshot.image.clone();
        self.log.install(snapshot);
        self.snapshots.restart(now, end);
        out.note(Fact::SnapshotLoaded { end });
        (Some(self.fetch()), true)
    }

    /// What an answer tells of the leader; where it tells nothing else, what to do next.
    fn learn(
        &mut self,
        now: Instant,
        error: ErrorCode,
        leader: Option<ControllerId>,
        epoch: LeaderEpoch,
        out: &mut Effects,
    ) -> ControlFlow<Option<Ask>> {
        if epoch < self.epoch {
            return ControlFlow::Break(self.on_failed(now, out));
        }
        let news = epoch > self.epoch || self.leader.is_none();
        self.epoch = epoch;
        if error != ErrorCode::None {
            self.leader = leader;
            let next = if self.leader.is_some() && news { Some(self.fetch()) } else { self.on_failed(now, out) };
            return ControlFlow::Break(next);
        }
        self.failures = 0;
        self.leader = leader;
        ControlFlow::Continue(())
    }

    /// The fetch went unanswered: its time is over, or the connection broke. The next one goes to another voter, on
    /// [`Timer::QuorumFetch`].
    pub fn on_failed(&mut self, now: Instant, out: &mut Effects) -> Option<Ask> {
        self.controller_lost();
        out.set_timer(now + pause_after(self.failures), Timer::QuorumFetch);
        self.failures += 1;
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
        Observer::new(BrokerId(1), voters, &BrokerConfig::default(), MetadataLog::default(), &mut Rng::new(1, 1))
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
            snapshot_id: None,
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
