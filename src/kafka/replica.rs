//! One replica of one partition: the leader's and the follower's rules (`Partition`, `Replica`, `ReplicaFetcherThread`).
//!
//! A partition has one leader at a time. Followers fetch from it like consumers; the offset a follower asks for tells
//! the leader how far it has got. The *high watermark* is the first offset not known to be on every in-sync replica:
//! consumers read below it, and a record is committed once it is below it. Which replicas are in sync (the ISR) the
//! leader proposes and the controller decides (AlterPartition, KIP-497); while a proposal is open the leader waits for
//! every replica that might be in the ISR (the *maximal* ISR).
//!
//! A follower's log may hold records of an old leader that the new one never had. Each fetch carries the epoch of the
//! follower's last record; the leader answers with the place where the logs part, and the follower cuts its log there
//! (KIP-101, KIP-279, KIP-595).
//!
//! What we leave out: transactions (the last stable offset is the high watermark), log directories.

use std::collections::BTreeMap;
use std::mem;

use super::config::{TimestampType, TopicConfig};
use super::effects::Effects;
use super::error::ErrorCode;
use super::fact::Fact;
use super::ids::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionEpoch, TopicPartition};
use super::log::Log;
use super::message::CurrentLeader;
use super::metadata::PartitionRegistration;
use super::mistakes::Mistake;
use super::record::Batch;
use crate::time::{Duration, Instant};

/// One replica.
#[derive(Clone, Debug)]
pub struct Replica {
    partition: TopicPartition,
    log: Log,
    high_watermark: Offset,
    leader_epoch: LeaderEpoch,
    partition_epoch: PartitionEpoch,
    /// All brokers with a replica, the preferred leader first.
    replicas: Vec<BrokerId>,
    config: TopicConfig,
    role: Role,
}

#[derive(Clone, Debug)]
enum Role {
    Leader(Leadership),
    /// Of `None` while the partition has no leader.
    Follower(Option<BrokerId>),
}

/// What only a leader knows.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// The ISR as the controller last confirmed it; the leader is in it.
    isr: Vec<BrokerId>,
    /// The ISR asked for and not yet answered.
    proposed: Option<Vec<BrokerId>>,
    /// Log end when this epoch began: a follower must reach it to join the ISR.
    epoch_start: Offset,
    followers: BTreeMap<BrokerId, FollowerState>,
}

/// What a leader knows of a follower (`Replica.updateFetchStateOrThrow`).
#[derive(Clone, Copy, Debug, Default)]
pub struct FollowerState {
    /// The offset it last asked for; `None` until it has fetched from this leader.
    pub log_end: Option<Offset>,
    /// Its broker epoch in that fetch.
    pub broker_epoch: Option<BrokerEpoch>,
    last_fetch: Option<Instant>,
    /// The leader's log end at that fetch.
    last_fetch_leader_end: Offset,
    /// The last moment at which it had everything the leader had.
    pub last_caught_up: Option<Instant>,
}

impl FollowerState {
    /// Whether it has everything, or had at some moment of the last `lag_time_max` (`replica.lag.time.max.ms`).
    pub fn is_caught_up(&self, now: Instant, leader_end: Offset, lag_time_max: Duration) -> bool {
        self.log_end == Some(leader_end) || self.last_caught_up.is_some_and(|at| now.since(at) <= lag_time_max)
    }
}

/// One follower, as the high watermark rule sees it.
#[derive(Clone, Copy, Debug)]
pub struct WatermarkVote {
    /// -1 where the leader does not know it yet.
    pub log_end: Offset,
    pub in_maximal_isr: bool,
    pub caught_up: bool,
    /// Not fenced, not shutting down, and not restarted since.
    pub isr_eligible: bool,
}

/// The high watermark that a leader may move to, if it may move (`Partition.maybeIncrementLeaderHW`).
///
/// Below `min_isr` in-sync replicas it stands still (KIP-966). Else it is the lowest log end among the leader, the
/// maximal ISR, and followers about to join: those caught up hold it back too, or one that joins could lack a
/// committed record.
pub fn high_watermark_candidate(
    current: Offset,
    leader_end: Offset,
    isr_size: usize,
    effective_min_isr: u32,
    followers: impl Iterator<Item = WatermarkVote>,
) -> Option<Offset> {
    if (isr_size as u64) < u64::from(effective_min_isr) {
        return None;
    }
    let lowest = followers
        .filter(|follower| follower.in_maximal_isr || (follower.caught_up && follower.isr_eligible))
        .map(|follower| follower.log_end)
        .fold(leader_end, Offset::min);
    (lowest > current).then_some(lowest)
}

impl Replica {
    /// A replica as it is found on disk: a follower of nobody until the metadata says more.
    pub fn open(partition: TopicPartition, log: Log, checkpointed_high_watermark: Offset) -> Self {
        let high_watermark = checkpointed_high_watermark.clamp(log.start(), log.end());
        Self {
            partition,
            log,
            high_watermark,
            leader_epoch: LeaderEpoch(-1),
            partition_epoch: PartitionEpoch(-1),
            replicas: Vec::new(),
            config: TopicConfig::default(),
            role: Role::Follower(None),
        }
    }

    pub fn partition(&self) -> TopicPartition {
        self.partition
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    /// What survives the process: the log.
    pub fn into_log(self) -> Log {
        self.log
    }

    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// The end of what a read_committed consumer may see.
    pub fn last_stable_offset(&self) -> Offset {
        self.high_watermark
    }

    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    pub fn partition_epoch(&self) -> PartitionEpoch {
        self.partition_epoch
    }

    pub fn replicas(&self) -> &[BrokerId] {
        &self.replicas
    }

    pub fn config(&self) -> &TopicConfig {
        &self.config
    }

    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// Whom it follows, where it follows somebody.
    pub fn leader(&self) -> Option<BrokerId> {
        if let Role::Follower(leader) = self.role { leader } else { None }
    }

    /// What it knows as a leader, where it is one.
    pub fn leadership(&self) -> Option<&Leadership> {
        if let Role::Leader(leadership) = &self.role { Some(leadership) } else { None }
    }

    fn leadership_mut(&mut self) -> Option<&mut Leadership> {
        if let Role::Leader(leadership) = &mut self.role { Some(leadership) } else { None }
    }

    /// The settings of the topic changed, or became known.
    pub fn set_config(&mut self, config: TopicConfig) {
        self.config = config;
    }

    /// `min.insync.replicas`, but never more than there are replicas (KIP-966).
    pub fn effective_min_isr(&self) -> u32 {
        self.config.min_insync_replicas.min(self.replicas.len() as u32)
    }

    /// Follows the controller's word on who leads. `me` is this broker.
    pub fn apply(&mut self, now: Instant, me: BrokerId, registration: &PartitionRegistration, out: &mut Effects) {
        if registration.partition_epoch <= self.partition_epoch {
            return;
        }
        self.partition_epoch = registration.partition_epoch;
        self.replicas.clone_from(&registration.replicas);
        let new_epoch = registration.leader_epoch > self.leader_epoch;
        self.leader_epoch = self.leader_epoch.max(registration.leader_epoch);
        if registration.leader == Some(me) {
            if new_epoch {
                self.become_leader(now, me, registration, out);
            } else {
                self.confirm_isr(now, registration, out);
            }
        } else if new_epoch || self.is_leader() {
            self.role = Role::Follower(registration.leader);
            out.note(Fact::BecameFollower {
                partition: self.partition,
                epoch: self.leader_epoch,
                leader: registration.leader,
            });
            if self.config.makes(Mistake::TruncationToHighWatermark) && registration.leader.is_some() {
                self.truncate(self.high_watermark, out);
            }
        }
    }

    /// The epoch begins at the log end. Nothing is known of the followers, so the high watermark waits until each in
    /// the ISR has fetched once; ISR members count as caught up now, or the first check would throw them out.
    fn become_leader(&mut self, now: Instant, me: BrokerId, registration: &PartitionRegistration, out: &mut Effects) {
        self.log.begin_epoch(self.leader_epoch);
        let followers = registration
            .replicas
            .iter()
            .filter(|id| **id != me)
            .map(|id| {
                let last_caught_up = registration.isr.contains(id).then_some(now);
                (*id, FollowerState { last_caught_up, ..FollowerState::default() })
            })
            .collect();
        self.role = Role::Leader(Leadership {
            isr: registration.isr.clone(),
            proposed: None,
            epoch_start: self.log.end(),
            followers,
        });
        out.note(Fact::BecameLeader { partition: self.partition, epoch: self.leader_epoch, log_end: self.log.end() });
    }

    /// The controller's ISR, by the metadata log or in answer to a proposal, replaces whatever was proposed.
    fn confirm_isr(&mut self, now: Instant, registration: &PartitionRegistration, out: &mut Effects) {
        let partition = self.partition;
        let Some(leadership) = self.leadership_mut() else { return };
        leadership.proposed = None;
        for id in &registration.replicas {
            // A broker that got a replica by reassignment is not known yet.
            leadership.followers.entry(*id).or_default();
        }
        leadership.followers.retain(|id, _| registration.replicas.contains(id));
        if let Some(leader) = registration.leader {
            leadership.followers.remove(&leader);
        }
        for id in registration.isr.iter().filter(|id| !leadership.isr.contains(id)) {
            if let Some(follower) = leadership.followers.get_mut(id) {
                follower.last_caught_up = follower.last_caught_up.max(Some(now));
            }
        }
        if leadership.isr != registration.isr {
            leadership.isr.clone_from(&registration.isr);
            out.note(Fact::IsrCommitted { partition, isr: registration.isr.clone() });
        }
    }

    /// Appends a client's batch (`Partition.appendRecordsToLeader`). Returns its first offset.
    pub fn append_as_leader(
        &mut self,
        now: Instant,
        mut batch: Batch,
        require_min_isr: bool,
        out: &mut Effects,
    ) -> Result<Offset, ErrorCode> {
        let effective_min_isr = self.effective_min_isr();
        let Role::Leader(leadership) = &self.role else { return Err(ErrorCode::NotLeaderOrFollower) };
        let require_min_isr = require_min_isr && !self.config.makes(Mistake::MinIsrIgnored);
        if require_min_isr && (leadership.isr.len() as u64) < u64::from(effective_min_isr) {
            return Err(ErrorCode::NotEnoughReplicas);
        }
        if batch.size() > u64::from(self.config.max_message_bytes) {
            return Err(ErrorCode::MessageTooLarge);
        }
        if !batch.crc_is_valid() {
            return Err(ErrorCode::CorruptMessage);
        }
        if self.config.timestamp_type == TimestampType::LogAppendTime {
            batch = batch.with_log_append_time(now.timestamp_ms());
        }
        let (count, bytes, origin) = (batch.record_count as u32, batch.size() as u32, batch.origin);
        let base_offset = self.log.append_as_leader(batch, self.leader_epoch);
        out.note(Fact::Appended {
            partition: self.partition,
            base_offset,
            count,
            bytes,
            epoch: self.leader_epoch,
            leader: true,
            origin,
        });
        Ok(base_offset)
    }

    /// Checks a request's leader epoch, then that this replica leads.
    pub fn check_epoch(&self, requested: Option<LeaderEpoch>) -> Result<(), ErrorCode> {
        if let Some(requested) = requested {
            if requested < self.leader_epoch {
                return Err(ErrorCode::FencedLeaderEpoch);
            }
            if requested > self.leader_epoch {
                return Err(ErrorCode::UnknownLeaderEpoch);
            }
        }
        if self.is_leader() { Ok(()) } else { Err(ErrorCode::NotLeaderOrFollower) }
    }

    /// Who leads, as an error answer tells the client (KIP-951).
    pub fn current_leader(&self, me: BrokerId) -> CurrentLeader {
        let leader = if self.is_leader() { Some(me) } else { self.leader() };
        leader.map(|leader| (leader, self.leader_epoch))
    }

    /// Where a follower's log leaves this one, if it does: its last record's epoch ends earlier here, or was never here.
    pub fn diverging_epoch(
        &self,
        last_fetched: LeaderEpoch,
        fetch_offset: Offset,
    ) -> Result<Option<(LeaderEpoch, Offset)>, ErrorCode> {
        if self.config.makes(Mistake::DivergenceIgnored) {
            return Ok(None);
        }
        let Some((epoch, end)) = self.log.epochs().end_offset_for(Some(last_fetched), self.log.end()) else {
            return Err(ErrorCode::OffsetOutOfRange);
        };
        Ok((epoch < last_fetched || end < fetch_offset).then_some((epoch, end)))
    }

    /// Takes note of a follower's fetch. Returns whether its log end moved.
    pub fn update_follower(
        &mut self,
        now: Instant,
        follower: BrokerId,
        epoch: BrokerEpoch,
        fetch_offset: Offset,
    ) -> bool {
        let leader_end = self.log.end();
        let received = self.config.makes(Mistake::SentCountsAsReceived);
        let fetch_offset = if received { leader_end } else { fetch_offset };
        let Some(state) = self.leadership_mut().and_then(|leadership| leadership.followers.get_mut(&follower)) else {
            return false;
        };
        if fetch_offset >= leader_end {
            state.last_caught_up = state.last_caught_up.max(Some(now));
        } else if state.last_fetch.is_some() && fetch_offset >= state.last_fetch_leader_end {
            // It has read all there was at its previous fetch.
            state.last_caught_up = state.last_caught_up.max(state.last_fetch);
        }
        state.last_fetch_leader_end = state.last_fetch_leader_end.max(leader_end);
        state.last_fetch = Some(now);
        state.broker_epoch = Some(epoch);
        let before = state.log_end.replace(fetch_offset);
        before != state.log_end
    }

    /// Raises the high watermark as far as the rule allows. Returns whether it moved.
    ///
    /// It never falls on a leader: a consumer may already have read up to it.
    pub fn advance_high_watermark(
        &mut self,
        now: Instant,
        lag_time_max: Duration,
        is_eligible: impl Fn(BrokerId, &FollowerState) -> bool,
        out: &mut Effects,
    ) -> bool {
        let Role::Leader(leadership) = &self.role else { return false };
        let leader_end = self.log.end();
        if leader_end <= self.high_watermark {
            return false;
        }
        let without_isr = self.config.makes(Mistake::HighWatermarkWithoutIsr);
        let fastest = leadership.followers.values().filter_map(|state| state.log_end).max();
        let votes = leadership.followers.iter().map(|(id, state)| WatermarkVote {
            log_end: match fastest {
                Some(fastest) if without_isr => fastest,
                _ if self.config.makes(Mistake::HighWatermarkIsLogEnd) => leader_end,
                _ => state.log_end.unwrap_or(-1),
            },
            in_maximal_isr: leadership.is_in_maximal_isr(*id),
            caught_up: state.is_caught_up(now, leader_end, lag_time_max),
            isr_eligible: is_eligible(*id, state),
        });
        let Some(to) = high_watermark_candidate(
            self.high_watermark,
            leader_end,
            leadership.isr.len(),
            if self.config.makes(Mistake::MinIsrIgnored) { 0 } else { self.effective_min_isr() },
            votes,
        ) else {
            return false;
        };
        let from = mem::replace(&mut self.high_watermark, to);
        out.note(Fact::HighWatermark { partition: self.partition, from, to, leader: true });
        true
    }

    /// The ISR to propose because `follower` has caught up with it, if it has (`Partition.maybeExpandIsr`): at the high
    /// watermark, and at the start of this leader's epoch.
    pub fn isr_with(
        &self,
        follower: BrokerId,
        is_eligible: impl Fn(BrokerId, &FollowerState) -> bool,
    ) -> Option<Vec<BrokerId>> {
        let leadership = self.leadership()?;
        let state = leadership.followers.get(&follower)?;
        let end = state.log_end?;
        let lags = end < self.high_watermark || end < leadership.epoch_start;
        if leadership.proposed.is_some()
            || leadership.isr.contains(&follower)
            || (lags && !self.config.makes(Mistake::IsrExpansionWithoutCatchingUp))
            || !is_eligible(follower, state)
        {
            return None;
        }
        let mut isr = leadership.isr.clone();
        isr.push(follower);
        Some(isr)
    }

    /// The ISR to propose because followers lag, if any do, and the first that lags with how long.
    pub fn isr_without_laggards(
        &self,
        now: Instant,
        lag_time_max: Duration,
    ) -> Option<(Vec<BrokerId>, BrokerId, Duration)> {
        let leadership = self.leadership()?;
        if leadership.proposed.is_some() {
            return None;
        }
        let lags = |id: &BrokerId| {
            leadership.followers.get(id).is_some_and(|state| !state.is_caught_up(now, self.log.end(), lag_time_max))
        };
        let first = *leadership.isr.iter().find(|id| lags(id))?;
        let silent = leadership.followers.get(&first).and_then(|state| state.last_caught_up);
        let isr = leadership.isr.iter().copied().filter(|id| !lags(id)).collect();
        Some((isr, first, silent.map_or(now.since(Instant::ZERO), |at| now.since(at))))
    }

    /// Remembers an ISR that is being asked for: no other is until the answer is here.
    pub fn propose_isr(&mut self, isr: Vec<BrokerId>) {
        let at_once = self.config.makes(Mistake::IsrShrinkBeforeCommit);
        if let Some(leadership) = self.leadership_mut() {
            if at_once && isr.len() < leadership.isr.len() {
                leadership.isr.clone_from(&isr);
            }
            leadership.proposed = Some(isr);
        }
    }

    /// The controller said no, or nothing at all: back to the ISR it last confirmed.
    pub fn withdraw_proposal(&mut self) {
        if let Some(leadership) = self.leadership_mut() {
            leadership.proposed = None;
        }
    }

    /// The controller's answer to a proposal. An older answer than what is known changes nothing.
    pub fn accept_isr(
        &mut self,
        now: Instant,
        me: BrokerId,
        isr: Vec<BrokerId>,
        epoch: PartitionEpoch,
        out: &mut Effects,
    ) {
        if epoch < self.partition_epoch {
            return;
        }
        self.partition_epoch = epoch;
        let registration = PartitionRegistration {
            replicas: self.replicas.clone(),
            isr,
            leader: Some(me),
            ..PartitionRegistration::default()
        };
        self.confirm_isr(now, &registration, out);
    }

    /// Appends what the leader sent and follows its high watermark (`ReplicaFetcherThread.processPartitionData`).
    ///
    /// The high watermark may fall here, as after an unclean election, but never below the log start.
    pub fn append_fetched(&mut self, batches: Vec<Batch>, leader_high_watermark: Offset, out: &mut Effects) {
        for batch in batches {
            if batch.base_offset != self.log.end() {
                // A fetch answered twice, or one sent before a truncation.
                continue;
            }
            out.note(Fact::Appended {
                partition: self.partition,
                base_offset: batch.base_offset,
                count: batch.record_count as u32,
                bytes: batch.size() as u32,
                epoch: batch.leader_epoch,
                leader: false,
                origin: batch.origin,
            });
            self.log.append_as_follower(batch);
        }
        let to = leader_high_watermark.min(self.log.end()).max(self.log.start());
        self.set_follower_high_watermark(to, out);
    }

    fn set_follower_high_watermark(&mut self, to: Offset, out: &mut Effects) {
        let from = mem::replace(&mut self.high_watermark, to);
        if from != to {
            out.note(Fact::HighWatermark { partition: self.partition, from, to, leader: false });
        }
    }

    /// The leader said where the logs part: cuts this one there (`AbstractFetcherThread.getOffsetTruncationState`).
    ///
    /// Where this replica never had that epoch it cuts to the end of the epoch it does have before it, and asks again.
    pub fn truncate_to_divergence(&mut self, epoch: LeaderEpoch, end: Offset, out: &mut Effects) {
        let to = match self.log.epochs().end_offset_for(Some(epoch), self.log.end()) {
            Some((own, own_end)) if own == epoch => own_end.min(end),
            Some((_, own_end)) => own_end,
            None => end,
        };
        self.truncate(to.min(self.log.end()), out);
    }

    /// The leader's log begins beyond this one's end: nothing here can be continued
    /// (`ReplicaFetcherThread.truncateFullyAndStartAt`).
    pub fn truncate_fully_and_start_at(&mut self, start: Offset, out: &mut Effects) {
        let from = self.log.end();
        self.log.truncate_fully_and_start_at(start);
        out.note(Fact::Truncated { partition: self.partition, from, to: start });
        self.set_follower_high_watermark(start, out);
    }

    /// Cuts off every record at `to` and beyond.
    pub fn truncate(&mut self, to: Offset, out: &mut Effects) {
        let from = self.log.end();
        let end = self.log.truncate_to(to);
        if end < from {
            out.note(Fact::Truncated { partition: self.partition, from, to: end });
        }
        if self.high_watermark > end {
            self.set_follower_high_watermark(end, out);
        }
    }
}

impl Leadership {
    /// The ISR as the controller last confirmed it.
    pub fn isr(&self) -> &[BrokerId] {
        &self.isr
    }

    /// The ISR asked for and not yet answered.
    pub fn proposed_isr(&self) -> Option<&[BrokerId]> {
        self.proposed.as_deref()
    }

    /// How many replicas might be in the ISR: those confirmed, and those asked for.
    pub fn maximal_isr_size(&self) -> usize {
        let joining = self.proposed.iter().flatten().filter(|id| !self.isr.contains(id)).count();
        self.isr.len() + joining
    }

    fn is_in_maximal_isr(&self, id: BrokerId) -> bool {
        self.isr.contains(&id) || self.proposed.as_ref().is_some_and(|proposed| proposed.contains(&id))
    }

    /// The log end when this leader's epoch began.
    pub fn epoch_start(&self) -> Offset {
        self.epoch_start
    }

    /// What is known of each follower.
    pub fn followers(&self) -> &BTreeMap<BrokerId, FollowerState> {
        &self.followers
    }
}
