use super::*;
use crate::kafka::config::Compression;
use crate::kafka::record::{BatchBuilder, transaction_marker};

const P: i64 = 7;

/// A batch of `P`.
fn batch(epoch: i16, first_sequence: i32, records: i32, base_offset: Offset) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    (0..records).for_each(|at| builder.append(1_000 + i64::from(at), None, Some(b"x"), &[]));
    Batch { base_offset, ..builder.build().with_producer(P, epoch, first_sequence) }
}

fn transactional(first_sequence: i32, base_offset: Offset) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None).transactional();
    builder.append(1_000, None, Some(b"x"), &[]);
    Batch { base_offset, ..builder.build().with_producer(P, 0, first_sequence) }
}

/// What a leader that has these batches says to another.
fn judge(known: &[Batch], new: &Batch) -> Result<Option<Offset>, (ErrorCode, Option<i32>)> {
    let state = ProducerState::of_log(known.iter(), 0);
    if let Some(duplicate) = state.find_duplicate(new) {
        return Ok(Some(duplicate.first_offset()));
    }
    state.check(new, AppendOrigin::Client).map(|()| None).map_err(|refusal| (refusal.error, refusal.expected))
}

const OUT_OF_ORDER: ErrorCode = ErrorCode::OutOfOrderSequenceNumber;

#[test]
fn the_table_of_kafka_decides() {
    let known = [batch(0, 0, 1, 10), batch(0, 1, 3, 11)];
    let rows = [
        (batch(0, 4, 1, 0), Ok(None)),
        (batch(0, 1, 3, 0), Ok(Some(11))),
        (batch(0, 0, 1, 0), Ok(Some(10))),
        (batch(0, 5, 1, 0), Err((OUT_OF_ORDER, Some(4)))),
        (batch(0, 2, 2, 0), Err((OUT_OF_ORDER, Some(4)))),
        (batch(0, 1, 2, 0), Err((OUT_OF_ORDER, Some(4)))),
        (batch(1, 0, 1, 0), Ok(None)),
        (batch(1, 4, 1, 0), Err((OUT_OF_ORDER, Some(0)))),
    ];
    for (new, expected) in rows {
        assert_eq!(judge(&known, &new), expected, "epoch {} sequence {}", new.producer_epoch, new.base_sequence);
    }
    let after_a_bump = [batch(0, 0, 1, 10), batch(1, 0, 1, 11)];
    assert_eq!(judge(&after_a_bump, &batch(0, 1, 1, 0)), Err((ErrorCode::InvalidProducerEpoch, None)));
    assert_eq!(judge(&after_a_bump, &batch(0, 0, 1, 0)), Err((ErrorCode::InvalidProducerEpoch, None)));
    assert_eq!(judge(&[], &batch(3, 17, 1, 0)), Ok(None), "a producer that is not known");
}

#[test]
fn five_batches_are_remembered() {
    let known: Vec<Batch> = (0..6).map(|at| batch(0, at, 1, Offset::from(at))).collect();
    assert_eq!(judge(&known, &batch(0, 1, 1, 0)), Ok(Some(1)));
    assert_eq!(judge(&known, &batch(0, 0, 1, 0)), Err((OUT_OF_ORDER, Some(6))));
}

#[test]
fn sequences_wrap_to_zero() {
    let known = [batch(0, i32::MAX - 1, 4, 0)];
    assert_eq!(known[0].last_sequence(), 1);
    assert_eq!(judge(&known, &batch(0, i32::MAX - 1, 4, 0)), Ok(Some(0)));
    assert_eq!(judge(&known, &batch(0, 2, 1, 0)), Ok(None));
    let at_the_end = [batch(0, i32::MAX, 1, 0)];
    assert_eq!(judge(&at_the_end, &batch(0, 0, 1, 0)), Ok(None));
    assert_eq!(judge(&at_the_end, &batch(0, 1, 1, 0)), Err((OUT_OF_ORDER, Some(0))));
}

#[test]
fn what_is_cut_off_is_forgotten_and_the_rest_is_not() {
    let other = |base_offset| Batch { producer_id: 8, ..batch(0, 0, 1, base_offset) };
    let log = [batch(0, 0, 1, 0), other(1), batch(0, 1, 1, 2), batch(1, 0, 1, 3)];
    let mut state = ProducerState::of_log(log.iter(), 0);
    assert_eq!(state.truncate(2), BTreeSet::from([P]));
    assert!(state.entry(8).is_some() && state.entry(P).is_none());
    log[..2].iter().filter(|batch| batch.producer_id == P).for_each(|batch| state.append(batch));
    assert_eq!(state.entry(P).map(|entry| (entry.epoch, entry.last_sequence())), Some((0, 0)));
}

#[test]
fn a_transaction_holds_readers_back_until_its_marker_is_committed() {
    let mut state = ProducerState::default();
    state.append(&transactional(0, 5));
    state.append(&batch(0, 0, 1, 6));
    assert_eq!(state.first_unstable_offset(), Some(5));
    let marker = Batch { base_offset: 7, ..transaction_marker(ControlType::Commit, 0, P, 0, 1_000) };
    assert_eq!(state.check(&marker, AppendOrigin::Coordinator { strict: false }), Ok(()));
    state.append(&marker);
    state.high_watermark_moved(7);
    assert_eq!(state.first_unstable_offset(), Some(5), "the marker could still be lost");
    state.high_watermark_moved(8);
    assert_eq!(state.first_unstable_offset(), None);
}

#[test]
fn what_is_cut_off_may_have_ended_a_transaction() {
    let marker = Batch { base_offset: 6, ..transaction_marker(ControlType::Commit, 0, P, 0, 1_000) };
    let log = [transactional(0, 5), marker];
    let mut state = ProducerState::of_log(log.iter(), 7);
    assert_eq!(state.first_unstable_offset(), None);
    state.truncate(6);
    state.append(&log[0]);
    assert_eq!(state.first_unstable_offset(), Some(5));
}

#[test]
fn markers_are_fenced_by_both_epochs() {
    let mut state = ProducerState::default();
    state.append(&transactional(0, 0));
    let marker = |coordinator, epoch| transaction_marker(ControlType::Abort, coordinator, P, epoch, 1_000);
    let check = |state: &ProducerState, marker: &Batch, strict| {
        state.check(marker, AppendOrigin::Coordinator { strict }).map_err(|refusal| refusal.error)
    };
    assert_eq!(check(&state, &marker(3, 0), true), Err(ErrorCode::InvalidProducerEpoch), "version 2 bumps the epoch");
    assert_eq!(check(&state, &marker(3, 1), true), Ok(()));
    state.append(&Batch { base_offset: 1, ..marker(3, 1) });
    assert_eq!(check(&state, &marker(3, 1), true), Ok(()), "the same marker once more");
    assert_eq!(check(&state, &marker(2, 1), false), Err(ErrorCode::TransactionCoordinatorFenced));
    assert_eq!(check(&state, &marker(3, 0), false), Err(ErrorCode::InvalidProducerEpoch));
}

#[test]
fn a_snapshot_gives_back_the_last_batch_of_who_was_not_silent_too_long() {
    let log: Vec<Batch> = (0..3).map(|at| batch(0, at, 1, Offset::from(at))).collect();
    let day = Duration::secs(86_400);
    let mut state = ProducerState::of_log(log.iter(), 0);
    state.reload(0..3, 2_000, day);
    assert_eq!(state.entry(P).map(|entry| (entry.first_sequence(), entry.last_sequence())), Some((2, 2)));
    assert!(!state.has_expired(1_000 + 86_399_999, day));
    assert!(state.has_expired(1_000 + 86_400_000, day));
    state.reload(0..3, 1_000 + 86_400_000, day);
    assert!(state.entry(P).is_none());
}
