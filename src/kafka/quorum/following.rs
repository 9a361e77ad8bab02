//! The followers' part: they look for the leader, fetch from it, and cut off what it does not have (`FollowerState`).
//!
//! A follower whose leader does not answer asks any other voter meanwhile: one of them may know of a new leader. Whoever
//! knows no leader does nothing else.

use super::super::effects::{Effects, Timer};
use super::super::fact::Fact;
use super::super::ids::{ControllerId, LeaderEpoch, Node, Offset};
use super::super::message::{
    FetchSnapshotRequest, FetchSnapshotResponse, QuorumFetchRequest, QuorumFetchResponse, Request,
};
use super::{FETCH_MAX_WAIT, Quorum, Role};
use crate::time::Instant;

impl Quorum {
    /// Fetches, if nothing is under way. One fetch at a time, whomever it goes to.
    pub(super) fn fetch(&mut self, now: Instant, out: &mut Effects) {
        if self.has_question_under_way() || self.is_stopping {
            return;
        }
        let (leader, snapshot) = match &self.role {
            Role::Follower { leader, snapshot, .. } => (Some(*leader), *snapshot),
            _ => (None, None),
        };
        let from_leader = leader.filter(|leader| self.is_ready(now, *leader));
        let Some(to) = from_leader.or_else(|| self.any_ready(now)) else {
            return self.come_back_for(now, self.others(), out);
        };
        let (replica, epoch) = (Node::Controller(self.id), self.disk.epoch);
        let request = match snapshot.filter(|_| Some(to) == leader) {
            Some(snapshot_id) => Request::FetchSnapshot(FetchSnapshotRequest { replica, epoch, snapshot_id }),
            None => Request::QuorumFetch(QuorumFetchRequest {
                replica,
                epoch,
                fetch_offset: self.disk.log.end(),
                last_fetched_epoch: self.disk.log.last_epoch(),
                high_watermark: self.high_watermark,
                max_wait: FETCH_MAX_WAIT,
            }),
        };
        self.ask(now, to, request, out);
    }

    /// Some other voter that may be asked now (`findReadyBootstrapServer`).
    fn any_ready(&mut self, now: Instant) -> Option<ControllerId> {
        let ready: Vec<ControllerId> = self.others().into_iter().filter(|voter| self.is_ready(now, *voter)).collect();
        if ready.is_empty() {
            return None;
        }
        let at = self.rng.below(ready.len() as u32);
        ready.get(at as usize).copied()
    }

    /// The leader answered, or whoever was asked in its place.
    pub(super) fn on_fetched(
        &mut self,
        now: Instant,
        from: ControllerId,
        fetched: QuorumFetchResponse,
        out: &mut Effects,
    ) {
        let before = self.round;
        if self.learn(fetched.error, fetched.leader, fetched.epoch, now, out) {
            // It had no news either: no need to ask again at once.
            if self.round == before {
                self.pause(now, from);
            }
            return;
        }
        let Role::Follower { snapshot, .. } = &mut self.role else { return };
        if let Some((epoch, end)) = fetched.diverging_epoch {
            if !self.truncate(epoch, end, out) {
                return self.pause(now, from);
            }
        } else if let Some(id) = fetched.snapshot_id {
            *snapshot = Some(id);
        } else {
            // An answer to what was asked before the log was cut is of no use.
            let from = self.disk.log.end();
            for batch in fetched.batches.into_iter().filter(|batch| batch.base_offset >= from) {
                self.disk.log.append(batch);
            }
            self.committed_to(fetched.high_watermark.min(self.disk.log.end()), now, out);
        }
        self.note_success(now, out);
    }

    /// The leader handed its snapshot over.
    pub(super) fn on_snapshot(
        &mut self,
        now: Instant,
        from: ControllerId,
        fetched: FetchSnapshotResponse,
        out: &mut Effects,
    ) {
        if let Role::Follower { snapshot, .. } = &mut self.role {
            *snapshot = None;
        }
        if self.learn(fetched.error, fetched.leader, fetched.epoch, now, out) {
            return self.pause(now, from);
        }
        let Some(snapshot) = fetched.snapshot else { return };
        if snapshot.end > self.disk.log.end() || self.disk.log.epoch_at(snapshot.end - 1) != Some(snapshot.epoch) {
            let end = snapshot.end;
            self.disk.log.install(snapshot);
            out.note(Fact::SnapshotLoaded { end });
            self.high_watermark = self.high_watermark.max(end);
            self.snapshots.restart(now, end);
        }
        self.note_success(now, out);
    }

    /// The leader is alive.
    fn note_success(&mut self, now: Instant, out: &mut Effects) {
        let later = now + self.settings.fetch_timeout;
        if let Role::Follower { until, has_fetched, .. } = &mut self.role {
            (*until, *has_fetched) = (later, true);
            out.set_timer(later, Timer::QuorumFetchTimeout);
        }
    }

    /// Cuts off what the leader does not have. What is committed stays, whatever the leader says.
    fn truncate(&mut self, epoch: LeaderEpoch, end: Offset, out: &mut Effects) -> bool {
        let (from, to) = (self.disk.log.end(), self.disk.log.truncation_point(epoch, end));
        if to < self.high_watermark {
            return false;
        }
        if to < from {
            self.disk.log.truncate(to);
            out.note(Fact::MetadataTruncated { from, to });
        }
        true
    }

    /// Everything before `offset` is committed.
    pub(super) fn committed_to(&mut self, offset: Offset, now: Instant, out: &mut Effects) {
        if offset <= self.high_watermark {
            return;
        }
        self.high_watermark = offset;
        self.snapshots.after_commit(now, offset, &mut self.disk.log, out);
    }
}
