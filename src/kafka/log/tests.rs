use super::*;
use crate::kafka::config::Compression;
use crate::kafka::ids::ClientId;
use crate::kafka::record::BatchBuilder;

/// One record of so many bytes, stamped with that time.
fn batch(timestamp: i64, bytes: usize) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(timestamp, None, Some(&vec![b'x'; bytes]), &[]);
    builder.build()
}

fn limits(bytes: u64, age_ms: i64) -> SegmentLimits {
    SegmentLimits { bytes, age_ms, index_interval: 4096, ..SegmentLimits::default() }
}

/// A log of records of 1000 bytes, one a second, in segments of so many bytes.
fn log_of(records: i64, segment_bytes: u64) -> Log {
    let mut log = Log::default();
    log.set_limits(limits(segment_bytes, i64::MAX));
    for second in 0..records {
        let origin = Some(Origin { producer: ClientId(1), first: second as u64, count: 1 });
        log.append_as_leader(Batch { origin, ..batch(second * 1000, 1000) }, LeaderEpoch(0));
    }
    log
}

fn bases(log: &Log) -> Vec<Offset> {
    log.segments().iter().map(Segment::base_offset).collect()
}

/// What is known of segments and sizes agrees with the batches that are there.
fn check(log: &Log) {
    let bytes: u64 = log.batches().map(Batch::size).sum();
    assert_eq!(log.bytes(), bytes);
    for segment in log.segments() {
        let own: u64 = log.segment_batches(segment.base_offset()).map(Batch::size).sum();
        assert_eq!(segment.bytes(), own, "segment {}", segment.base_offset());
    }
    assert_eq!(log.bytes_between(log.start(), log.end()), log.batches_from(log.start()).map(Batch::size).sum::<u64>());
    assert!(log.flushed() <= log.end() && log.recovery_point() <= log.flushed());
}

#[test]
fn a_segment_is_closed_before_the_batch_that_would_make_it_too_large() {
    let size = batch(0, 1000).size();
    let log = log_of(10, 3 * size);
    assert_eq!(bases(&log), [0, 3, 6, 9]);
    check(&log);
}

#[test]
fn a_read_ends_where_its_segment_does() {
    let size = batch(0, 1000).size();
    let log = log_of(10, 3 * size);
    let read = |from| {
        let found = log.read(from, log.end(), u64::MAX, true);
        found.iter().map(|batch| batch.base_offset).collect::<Vec<Offset>>()
    };
    assert_eq!([read(1), read(3), read(9), read(10)], [vec![1, 2], vec![3, 4, 5], vec![9], vec![]]);
    assert_eq!([2, 3, 10].map(|offset| log.segment_base(offset)), [0, 3, 9]);
}

#[test]
fn a_segment_is_closed_when_a_batch_is_too_much_younger_than_its_first() {
    let mut log = Log::default();
    log.set_limits(limits(u64::MAX, 5000));
    for timestamp in [1000, 6000, 6001, 9000, 12000] {
        log.append_as_leader(batch(timestamp, 10), LeaderEpoch(0));
    }
    assert_eq!(bases(&log), [0, 2, 4], "6001 is more than 5000 after 1000, 12000 more than 5000 after 6001");
}

#[test]
fn an_index_has_an_entry_for_the_batch_after_each_interval() {
    let size = batch(0, 1000).size();
    let log = log_of(20, u64::MAX);
    let entries: Vec<_> = log.offset_index(0).copied().collect();
    let every_fourth = [4, 8, 12, 16];
    assert!(3 * size <= 4096 && 4 * size > 4096);
    assert_eq!(entries, every_fourth.map(|at| OffsetEntry { offset: at, position: at as u64 * size }));
    let times: Vec<_> = log.time_index(0).copied().collect();
    assert_eq!(times, every_fourth.map(|at| TimeEntry { timestamp: at * 1000, offset: at }));
}

#[test]
fn a_full_index_closes_its_segment() {
    let mut log = Log::default();
    log.set_limits(SegmentLimits { index_interval: 0, index_bytes: 32, ..SegmentLimits::default() });
    for second in 0..4 {
        log.append_as_leader(batch(second, 10), LeaderEpoch(0));
    }
    // 32 bytes hold four offsets and two timestamps, and the last place of a time index stays free for the roll.
    assert_eq!(bases(&log), [0, 2]);
}

#[test]
fn a_lookup_by_time_finds_the_first_record_that_is_not_older() {
    let log = log_of(30, 7000);
    for (timestamp, offset) in [(-5, 0), (0, 0), (1, 1), (11_000, 11), (11_001, 12), (29_000, 29)] {
        assert_eq!(log.offset_for_time(timestamp).map(|found| found.offset), Some(offset), "{timestamp}");
    }
    assert_eq!(log.offset_for_time(29_001), None);
    assert_eq!(log.max_timestamp(), Some(TimeEntry { timestamp: 29_000, offset: 29 }));
}

#[test]
fn a_cut_leaves_indexes_and_sizes_as_if_nothing_had_been_there() {
    for to in 0..=30 {
        let mut log = log_of(30, 7000);
        log.truncate_to(to);
        check(&log);
        let shorter = log_of(to, 7000);
        let index = |log: &Log| log.offset_index(log.active_segment().base_offset).copied().collect::<Vec<_>>();
        // A cut at a segment's beginning leaves that segment, empty.
        if log.active_segment().bytes() > 0 {
            assert_eq!(bases(&log), bases(&shorter), "{to}");
            assert_eq!(index(&log), index(&shorter), "{to}");
            assert_eq!(log.active_segment().bytes(), shorter.active_segment().bytes(), "{to}");
        }
    }
}

#[test]
fn old_segments_go_up_to_the_first_that_is_young_enough() {
    let mut log = log_of(10, 3300);
    assert_eq!(bases(&log), [0, 3, 6, 9]);
    let retention = Retention { age_ms: Some(5000), bytes: None };
    // At 8.5 s the newest record of the first segment is 6.5 s old, that of the second 3.5 s.
    assert!(log.delete_old_segments(8500, &retention, 10));
    assert_eq!((log.start(), bases(&log)), (3, vec![3, 6, 9]));
    check(&log);
    assert!(!log.delete_old_segments(8500, &retention, 10));
}

#[test]
fn a_log_never_falls_below_the_bytes_to_keep() {
    let mut log = log_of(10, 3300);
    let size = batch(0, 1000).size();
    log.delete_old_segments(0, &Retention { age_ms: None, bytes: Some(5 * size) }, 10);
    assert_eq!((log.start(), log.bytes()), (3, 7 * size), "without the next three it would hold only four");
}

#[test]
fn nothing_beyond_the_high_watermark_goes() {
    let mut log = log_of(10, 3300);
    let all = Retention { age_ms: Some(0), bytes: None };
    assert!(log.delete_old_segments(1_000_000, &all, 5));
    assert_eq!(bases(&log), [3, 6, 9]);
}

#[test]
fn the_active_segment_goes_too_after_a_new_one_has_begun() {
    let mut log = log_of(10, 3300);
    assert!(log.delete_old_segments(1_000_000, &Retention { age_ms: Some(0), bytes: None }, 10));
    assert_eq!((log.start(), log.end(), bases(&log)), (10, 10, vec![10]));
    check(&log);
    assert_eq!(log.retired().collect::<Vec<_>>(), [Origin { producer: ClientId(1), first: 0, count: 10 }]);
    assert!(!log.delete_old_segments(2_000_000, &Retention { age_ms: Some(0), bytes: None }, 10), "an empty one never");
}

#[test]
fn a_segment_before_the_log_start_goes_and_none_that_holds_it() {
    let mut log = log_of(10, 3300);
    assert!(log.advance_start(7));
    assert!(!log.advance_start(5), "it never moves back");
    let keep = Retention::default();
    assert!(!log.delete_old_segments(0, &keep, 10), "the log start has moved already");
    assert_eq!((log.start(), bases(&log)), (7, vec![6, 9]));
    check(&log);
}

#[test]
fn without_power_what_was_not_flushed_is_gone() {
    let mut log = log_of(5, u64::MAX);
    assert_eq!(log.write_back(), Some((0, 5)));
    for second in 5..8 {
        log.append_as_leader(batch(second * 1000, 1000), LeaderEpoch(1));
    }
    assert_eq!(log.lose_unflushed(), Some((5, 8)));
    assert_eq!((log.end(), log.last_epoch()), (5, Some(LeaderEpoch(0))), "nor is there an epoch without records");
    assert_eq!(log.recovery_point(), 0, "Kafka itself flushed nothing");
    assert_eq!(log.lose_unflushed(), None);
    check(&log);
}

#[test]
fn recovery_reads_every_segment_from_the_recovery_points_on() {
    let mut log = log_of(10, 3300);
    log.flush(Instant::ZERO, 4);
    let size = batch(0, 1000).size();
    assert_eq!(log.bytes_to_recover(log.recovery_point()), 7 * size, "the segments 3, 6 and 9");
}
