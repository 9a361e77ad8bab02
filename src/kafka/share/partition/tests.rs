//! Each rule of the window, one test.

use super::*;
use crate::kafka::config::Compression;
use crate::kafka::effects::Effect;
use crate::kafka::ids::{TopicId, TopicPartition};
use crate::kafka::record::BatchBuilder;

const LIMITS: Limits = Limits { lock: Duration::secs(30), deliveries: 5, in_flight: 2000 };

fn at(second: u64) -> Instant {
    Instant::ZERO + Duration::secs(second)
}

/// A log of batches of these sizes, and a window that begins at its start.
struct Bench {
    window: SharePartition,
    log: Vec<Batch>,
    limits: Limits,
    mode: AcquireMode,
    writes: u64,
}

impl Bench {
    fn new(sizes: &[u32]) -> Self {
        Self::with_state(sizes, 0, &[])
    }

    fn with_state(sizes: &[u32], start: Offset, state: &[StateBatch]) -> Self {
        let partition = TopicPartition::new(TopicId(0), 0);
        let key = SharePartitionKey { group: "g".into(), partition };
        let mut log: Vec<Batch> = Vec::new();
        for size in sizes {
            let mut builder = BatchBuilder::new(Compression::None);
            (0..*size).for_each(|_| builder.append(0, None, Some(b"v"), &[]));
            let base_offset = log.last().map_or(0, Batch::next_offset);
            log.push(Batch { base_offset, ..builder.build() });
        }
        let out = &mut Effects::default();
        let window = SharePartition::load(key, LeaderEpoch(0), Generation(2), start, state, out);
        Self { window, log, limits: LIMITS, mode: AcquireMode::BatchOptimized, writes: 0 }
    }

    /// What a member gets: first and last offset, and delivery count.
    fn acquire(&mut self, second: u64, member: &str, max: u32) -> Vec<(Offset, Offset, u16)> {
        let from = self.window.next_fetch_offset();
        let read: Vec<Batch> = self.log.iter().filter(|batch| batch.last_offset() >= from).cloned().collect();
        let wish = Wish { member: &member.into(), max_records: max, batch_size: max, mode: self.mode };
        let acquired = self.window.acquire(at(second), &wish, &read, &self.limits, &mut Effects::default());
        acquired.iter().map(|of| (of.first, of.last, of.delivery_count)).collect()
    }

    /// Says something of records; it is written at once.
    fn say(&mut self, second: u64, member: &str, said: &[(Offset, Offset, AcknowledgeType)]) -> Result<(), ErrorCode> {
        let write = self.begin(second, member, said)?;
        self.window.completed(at(second), write, true, &self.limits, &mut Effects::default());
        Ok(())
    }

    /// Says it, and leaves it in transition.
    fn begin(
        &mut self,
        second: u64,
        member: &str,
        said: &[(Offset, Offset, AcknowledgeType)],
    ) -> Result<u64, ErrorCode> {
        self.writes += 1;
        let said: Vec<AcknowledgementBatch> = said
            .iter()
            .map(|(first, last, kind)| AcknowledgementBatch { first: *first, last: *last, kind: *kind })
            .collect();
        self.window.acknowledge(at(second), &member.into(), &said, &self.limits, self.writes)?;
        Ok(self.writes)
    }

    fn expire(&mut self, second: u64) -> Vec<AcquisitionEnd> {
        let mut out = Effects::default();
        self.window.expire(at(second), &self.limits, &mut out);
        let how = |effect| if let Effect::Note(Fact::AcquisitionEnded { how, .. }) = effect { Some(how) } else { None };
        out.drain().filter_map(how).collect()
    }

    fn states(&self) -> Vec<(Offset, Offset, RecordState)> {
        self.window.records().map(|of| (of.first, of.last, of.state)).collect()
    }
}

use AcknowledgeType::{Accept, Reject, Release, Renew};
use RecordState::{Acknowledged, Acquired, Available};

#[test]
fn two_members_never_have_the_same_record() {
    let mut bench = Bench::new(&[1; 6]);
    assert_eq!(bench.acquire(0, "a", 2), [(0, 1, 1)]);
    assert_eq!(bench.acquire(0, "b", 3), [(2, 4, 1)]);
    assert_eq!(bench.acquire(0, "a", 9), [(5, 5, 1)]);
    assert_eq!(bench.acquire(0, "b", 9), []);
}

#[test]
fn a_batch_is_acquired_as_a_whole_unless_the_limit_is_strict() {
    assert_eq!(Bench::new(&[10, 10]).acquire(0, "a", 3), [(0, 9, 1)]);
    let mut strict = Bench { mode: AcquireMode::RecordLimit, ..Bench::new(&[10, 10]) };
    assert_eq!(strict.acquire(0, "a", 3), [(0, 2, 1)]);
    assert_eq!(strict.acquire(0, "b", 3), [(3, 5, 1)]);
}

#[test]
fn the_start_moves_over_what_is_accepted_or_rejected_without_a_gap() {
    let mut bench = Bench::new(&[1; 6]);
    bench.acquire(0, "a", 6);
    bench.say(1, "a", &[(2, 3, Accept)]).unwrap();
    assert_eq!(bench.window.start(), 0, "0 and 1 are still under way");
    bench.say(1, "a", &[(0, 0, Accept), (1, 1, Reject)]).unwrap();
    assert_eq!(bench.window.start(), 4);
    assert_eq!(bench.states(), [(4, 5, Acquired)]);
    assert_eq!(bench.window.lag(6), 2);
}

#[test]
fn what_is_released_goes_to_somebody_else_with_a_higher_count() {
    let mut bench = Bench::new(&[1; 4]);
    bench.acquire(0, "a", 4);
    bench.say(1, "a", &[(0, 0, Accept), (1, 2, Release), (3, 3, Accept)]).unwrap();
    assert_eq!(bench.states(), [(1, 2, Available), (3, 3, Acknowledged)]);
    assert_eq!(bench.acquire(1, "b", 9), [(1, 2, 2)]);
}

#[test]
fn only_who_has_a_record_can_say_what_becomes_of_it() {
    let mut bench = Bench::new(&[1; 4]);
    bench.acquire(0, "a", 2);
    assert_eq!(bench.say(1, "b", &[(0, 0, Accept)]), Err(ErrorCode::InvalidRecordState));
    assert_eq!(bench.say(1, "a", &[(1, 2, Accept)]), Err(ErrorCode::InvalidRequest), "2 was never given out");
    assert_eq!(bench.say(1, "a", &[(0, 1, Accept), (1, 1, Accept)]), Err(ErrorCode::InvalidRecordState), "twice");
    assert_eq!(bench.states(), [(0, 1, Acquired)], "nothing has changed");
    bench.say(1, "a", &[(0, 1, Accept)]).unwrap();
    assert_eq!(bench.say(1, "a", &[(0, 1, Accept)]), Ok(()), "before the start it is done anyway");
}

#[test]
fn a_lock_ends_after_its_time_and_a_renewal_begins_another() {
    let mut bench = Bench::new(&[1; 2]);
    bench.acquire(0, "a", 1);
    bench.acquire(0, "a", 1);
    bench.say(20, "a", &[(1, 1, Renew)]).unwrap();
    assert_eq!(bench.window.next_expiry(), Some(at(30)));
    assert_eq!(bench.expire(30), [AcquisitionEnd::TimedOut]);
    assert_eq!(bench.states(), [(0, 0, Available), (1, 1, Acquired)]);
    assert_eq!(bench.window.next_expiry(), Some(at(50)));
    assert_eq!(bench.say(31, "a", &[(0, 0, Accept)]), Err(ErrorCode::InvalidRecordState), "too late");
}

#[test]
fn a_record_that_was_delivered_too_often_is_archived() {
    let mut bench = Bench::new(&[1; 2]);
    for delivery in 1..5 {
        assert_eq!(bench.acquire(0, "a", 1), [(0, 0, delivery)]);
        bench.say(0, "a", &[(0, 0, Release)]).unwrap();
    }
    assert_eq!(bench.acquire(100, "a", 1), [(0, 0, 5)]);
    assert_eq!(bench.expire(130), [AcquisitionEnd::LimitReached]);
    assert_eq!(bench.window.start(), 1, "it is done with");
}

/// `shouldThrottleRecordsDelivery`: from the third of five deliveries on in halves, the last time alone.
#[test]
fn a_batch_that_fails_again_and_again_comes_in_pieces() {
    let mut bench = Bench::new(&[8]);
    for delivery in 1..=3 {
        assert_eq!(bench.acquire(0, "a", 9), [(0, 7, delivery)]);
        bench.say(0, "a", &[(0, 7, Release)]).unwrap();
    }
    assert_eq!(bench.acquire(0, "a", 9), [(0, 3, 4)]);
    bench.say(0, "a", &[(0, 3, Release)]).unwrap();
    assert_eq!(bench.acquire(0, "a", 9), [(0, 0, 5)]);
    assert_eq!(bench.acquire(0, "b", 9), [(1, 1, 5)]);
    bench.say(0, "a", &[(0, 0, Reject)]).unwrap();
    bench.say(0, "b", &[(1, 1, Accept)]).unwrap();
    assert_eq!(bench.window.start(), 2);
}

#[test]
fn no_more_than_the_limit_is_under_way_but_what_is_back_may_go_out() {
    let mut bench = Bench { limits: Limits { in_flight: 3, ..LIMITS }, ..Bench::new(&[1; 9]) };
    assert_eq!(bench.acquire(0, "a", 9), [(0, 2, 1)]);
    assert!(!bench.window.can_acquire(&bench.limits));
    assert_eq!(bench.acquire(0, "b", 9), []);
    bench.say(0, "a", &[(1, 1, Release)]).unwrap();
    assert!(bench.window.can_acquire(&bench.limits));
    assert_eq!(bench.acquire(0, "b", 9), [(1, 1, 2)]);
    bench.say(0, "a", &[(0, 0, Accept)]).unwrap();
    assert_eq!(bench.acquire(0, "b", 9), [(3, 3, 1)]);
}

#[test]
fn in_transition_a_record_is_nobodys_and_comes_back_if_it_cannot_be_written() {
    let mut bench = Bench::new(&[1; 2]);
    bench.acquire(0, "a", 2);
    let write = bench.begin(1, "a", &[(0, 0, Release), (1, 1, Accept)]).unwrap();
    assert_eq!(bench.acquire(1, "b", 9), [], "it is not written yet that 0 is free");
    assert_eq!(bench.window.start(), 0);
    assert_eq!(bench.window.next_expiry(), None);
    bench.window.completed(at(2), write, false, &LIMITS, &mut Effects::default());
    assert_eq!(bench.states(), [(0, 0, Acquired), (1, 1, Acquired)]);
    let write = bench.begin(3, "a", &[(0, 1, Accept)]).unwrap();
    bench.window.completed(at(40), write, false, &LIMITS, &mut Effects::default());
    assert_eq!(bench.states(), [(0, 0, Available), (1, 1, Available)], "the lock has ended meanwhile");
}

#[test]
fn a_member_that_goes_releases_all_it_has() {
    let mut bench = Bench::new(&[1; 4]);
    bench.acquire(0, "a", 1);
    bench.acquire(0, "b", 1);
    bench.acquire(0, "a", 1);
    let changed = bench.window.release(&"a".into(), &LIMITS, 7);
    assert_eq!(changed.iter().map(|batch| batch.first).collect::<Vec<_>>(), [0, 2]);
    bench.window.completed(at(0), 7, true, &LIMITS, &mut Effects::default());
    assert_eq!(bench.states(), [(0, 0, Available), (1, 1, Acquired), (2, 2, Available)]);
}

#[test]
fn a_new_leader_goes_on_where_the_share_coordinator_says() {
    let state = [
        StateBatch { first: 5, last: 6, state: 2, delivery_count: 1 },
        StateBatch { first: 8, last: 8, state: 0, delivery_count: 2 },
    ];
    let mut bench = Bench::with_state(&[1; 12], 4, &state);
    assert_eq!(bench.states(), [(4, 4, Available), (5, 6, Acknowledged), (7, 7, Available), (8, 8, Available)]);
    assert_eq!(bench.acquire(0, "a", 3), [(4, 4, 1), (7, 7, 1), (8, 8, 3)]);
}

#[test]
fn what_the_log_has_no_more_is_done_with() {
    let mut bench = Bench::new(&[1; 6]);
    bench.acquire(0, "a", 2);
    bench.acquire(0, "b", 2);
    bench.say(0, "a", &[(0, 1, Release)]).unwrap();
    bench.window.log_start_moved(3, &mut Effects::default());
    assert_eq!(bench.window.start(), 3);
    assert_eq!(bench.say(1, "b", &[(2, 3, Accept)]), Ok(()));
    assert_eq!(bench.window.start(), 4);
    assert_eq!(bench.acquire(1, "a", 9), [(4, 5, 1)]);
}
