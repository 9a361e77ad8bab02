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
//! What the log tells of its producers is kept beside it ([`ProducerState`]).
//!
//! What we leave out: log directories.

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
use super::producer_state::{AppendOrigin, ProducerState};
use super::record::Batch;
use crate::time::{Duration, Instant};

/// One replica.
#[derive(Clone, Debug)]
pub struct Replica {
    partition: TopicPartition,
    log: Log,
    producers: ProducerState,
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
    /// Its log start, as that fetch told.
    log_start: Offset,
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

    /// Whether its log has that offset, or ends there.
    pub fn covers(&self, offset: Offset) -> bool {
        self.log_end.is_some_and(|end| (self.log_start..=end).contains(&offset))
    }

    /// A leader's new epoch (`Replica.resetReplicaState`). A broker that led before knows what it knew; the clock of the
    /// lag begins anew for members of the ISR, or the first check would throw them out.
    fn begin_epoch(&self, now: Instant, leader_end: Offset, led_before: bool, in_isr: bool) -> Self {
        let last_caught_up = in_isr.then_some(now);
        if !led_before {
            return Self { last_caught_up, ..Self::default() };
        }
        Self { last_caught_up, last_fetch: last_caught_up, last_fetch_leader_end: leader_end, ..*self }
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
            producers: ProducerState::of_log(log.batches(), high_watermark),
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

    /// The log, for what happens to it as a file: flushing, retention.
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    /// What survives the process: the log.
    pub fn into_log(self) -> Log {
        self.log
    }

    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// The end of what a read_committed consumer may see: no further than the first open transaction.
    pub fn last_stable_offset(&self) -> Offset {
        self.producers.first_unstable_offset().map_or(self.high_watermark, |first| first.min(self.high_watermark))
    }

    /// What is known of the producers that wrote here.
    pub fn producers(&self) -> &ProducerState {
        &self.producers
    }

    /// After a clean stop: what the snapshot written then would give back.
    pub fn reload_producers(&mut self, now: Instant, expiration: Duration) {
        self.producers.reload(self.log.start()..self.log.end(), now.timestamp_ms(), expiration);
    }

    /// Forgets producers that have been silent for `producer.id.expiration.ms`.
    pub fn expire_producers(&mut self, now: Instant, expiration: Duration) {
        self.producers.remove_expired(now.timestamp_ms(), expiration);
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
                self.confirm_isr(registration, out);
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

    /// The epoch begins at the log end. A broker that did not lead before knows nothing of the followers, so the high
    /// watermark waits until each in the ISR has fetched once.
    fn become_leader(&mut self, now: Instant, me: BrokerId, registration: &PartitionRegistration, out: &mut Effects) {
        self.log.begin_epoch(self.leader_epoch);
        let end = self.log.end();
        let known = self.leadership().map(|leadership| &leadership.followers);
        let state_of = |id: &BrokerId| known.and_then(|known| known.get(id)).copied().unwrap_or_default();
        let followers = registration
            .replicas
            .iter()
            .filter(|id| **id != me)
            .map(|id| (*id, state_of(id).begin_epoch(now, end, known.is_some(), registration.isr.contains(id))))
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
    fn confirm_isr(&mut self, registration: &PartitionRegistration, out: &mut Effects) {
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
        if leadership.isr != registration.isr {
            leadership.isr.clone_from(&registration.isr);
            out.note(Fact::IsrCommitted { partition, isr: registration.isr.clone() });
        }
    }

    /// Appends a client's batch (`Partition.appendRecordsToLeader`). Returns its first offset; that of a batch which is
    /// here already is the one it got then.
    pub fn append_as_leader(
        &mut self,
        now: Instant,
        batch: Batch,
        require_min_isr: bool,
        out: &mut Effects,
    ) -> Result<Offset, ErrorCode> {
        self.append_from(AppendOrigin::Client, now, batch, require_min_isr, out)
    }

    /// Appends what a client or a transaction coordinator sent.
    pub fn append_from(
        &mut self,
        origin: AppendOrigin,
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
        if batch.is_control() && origin == AppendOrigin::Client {
            return Err(ErrorCode::InvalidRecord);
        }
        if batch.has_producer_id()
            && let Some(base_offset) = self.check_producer(origin, &batch, out)?
        {
            return Ok(base_offset);
        }
        if self.config.timestamp_type == TimestampType::LogAppendTime {
            batch = batch.with_log_append_time(now.timestamp_ms());
        }
        let (count, bytes, origin) = (batch.record_count as u32, batch.size() as u32, batch.origin);
        let base_offset = self.log.append_as_leader(batch, self.leader_epoch);
        if let Some(batch) = self.log.batches().next_back() {
            self.producers.append(batch);
        }
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

    /// Holds a batch against what is known of its producer (`UnifiedLog.analyzeAndValidateProducerState`). `Some` is the
    /// first offset of a batch that is in the log already.
    fn check_producer(
        &self,
        origin: AppendOrigin,
        batch: &Batch,
        out: &mut Effects,
    ) -> Result<Option<Offset>, ErrorCode> {
        let partition = self.partition;
        if self.config.makes(Mistake::DuplicateAppendedAgain) && self.producers.find_duplicate(batch).is_some() {
            return Ok(None);
        }
        if origin == AppendOrigin::Client
            && let Some(known) = self.producers.find_duplicate(batch)
        {
            let base_offset = known.first_offset();
            out.note(Fact::DuplicateBatch { partition, base_offset, origin: batch.origin });
            return Ok(Some(base_offset));
        }
        self.producers.check(batch, origin).map(|()| None).map_err(|refusal| {
            let (producer_id, found) = (batch.producer_id, batch.base_sequence);
            let (expected, error) = (refusal.expected, refusal.error);
            out.note(Fact::SequenceRefused { partition, producer_id, expected, found, error });
            error
        })
    }

    /// Checks a request's leader epoch, then that this replica leads.
    pub fn check_epoch(&self, requested: Option<LeaderEpoch>) -> Result<(), ErrorCode> {
        self.compare_epoch(requested)?;
        if self.is_leader() { Ok(()) } else { Err(ErrorCode::NotLeaderOrFollower) }
    }

    /// Checks a request's leader epoch.
    pub fn compare_epoch(&self, requested: Option<LeaderEpoch>) -> Result<(), ErrorCode> {
        if let Some(requested) = requested {
            if requested < self.leader_epoch {
                return Err(ErrorCode::FencedLeaderEpoch);
            }
            if requested > self.leader_epoch {
                return Err(ErrorCode::UnknownLeaderEpoch);
            }
        }
        Ok(())
    }

    /// Who leads, as an error answer tells the client (KIP-951).
    pub fn current_leader(&self, me: BrokerId) -> CurrentLeader {
        let leader = if self.is_leader() { Some(me) } else { self.leader() };
        leader.map(|leader| (leader, self.leader_epoch))
    }

    /// Places a fetch in this log (`Partition.readRecords`). Where it tells the epoch of the last record before the offset,
    /// and that epoch ends earlier here or was never here, the logs part: the answer is where.
    pub fn place(
        &self,
        last_fetched: Option<LeaderEpoch>,
        fetch_offset: Offset,
    ) -> Result<Option<(LeaderEpoch, Offset)>, ErrorCode> {
        let (start, end) = (self.log.start(), self.log.end());
        let told = last_fetched.filter(|_| !self.config.makes(Mistake::DivergenceIgnored));
        if let Some(last_fetched) = told {
            let known = self.log.epochs().end_offset_for(Some(last_fetched), end).ok_or(ErrorCode::OffsetOutOfRange)?;
            if fetch_offset >= start && (known.0 < last_fetched || known.1 < fetch_offset) {
                return Ok(Some(known));
            }
        }
        if (start..=end).contains(&fetch_offset) { Ok(None) } else { Err(ErrorCode::OffsetOutOfRange) }
    }

    /// Takes note of a follower's fetch. Returns whether its log end moved.
    pub fn update_follower(
        &mut self,
        now: Instant,
        follower: BrokerId,
        epoch: BrokerEpoch,
        fetch_offset: Offset,
        log_start: Offset,
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
        state.log_start = log_start;
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
        self.producers.high_watermark_moved(to);
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
    pub fn accept_isr(&mut self, me: BrokerId, isr: Vec<BrokerId>, epoch: PartitionEpoch, out: &mut Effects) {
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
        self.confirm_isr(&registration, out);
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
            if !self.config.makes(Mistake::SequencesNotCopied) {
                self.producers.append(&batch);
            }
            self.log.append_as_follower(batch);
        }
        let to = leader_high_watermark.min(self.log.end()).max(self.log.start());
        self.set_follower_high_watermark(to, out);
    }

    fn set_follower_high_watermark(&mut self, to: Offset, out: &mut Effects) {
        let from = mem::replace(&mut self.high_watermark, to);
        self.producers.high_watermark_moved(to);
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
        self.producers = ProducerState::default();
        out.note(Fact::Truncated { partition: self.partition, from, to: start });
        self.set_follower_high_watermark(start, out);
    }

    /// Cuts off every record at `to` and beyond.
    pub fn truncate(&mut self, to: Offset, out: &mut Effects) {
        let from = self.log.end();
        let end = self.log.truncate_to(to);
        if end < from {
            self.reread_producers(end);
            out.note(Fact::Truncated { partition: self.partition, from, to: end });
        }
        if self.high_watermark > end {
            self.set_follower_high_watermark(end, out);
        }
    }
}

impl Replica {
    /// What the records that were cut off told is forgotten; what those producers wrote before is read again.
    fn reread_producers(&mut self, end: Offset) {
        let cut = self.producers.truncate(end);
        if !cut.is_empty() {
            let theirs = self.log.batches().filter(|batch| cut.contains(&batch.producer_id));
            theirs.for_each(|batch| self.producers.append(batch));
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
