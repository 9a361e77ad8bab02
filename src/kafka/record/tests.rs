use proptest::prelude::*;

use super::*;

/// The smallest record is 7 bytes (`log.md`: empty key and value), behind 61 bytes of header.
#[test]
fn the_smallest_record_takes_seven_bytes() {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(5, Some(b""), Some(b""), &[]);
    assert_eq!(builder.size(), u64::from(BATCH_OVERHEAD) + 7);
    assert_eq!(builder.build().size(), u64::from(BATCH_OVERHEAD) + 7);
}

/// `DefaultRecordBatch`: base offset and leader epoch lie before the CRC, so a leader stamps them without a new one.
#[test]
fn a_leader_stamps_a_batch_without_a_new_crc() {
    let mut batch = one_record();
    batch.base_offset = 1000;
    batch.leader_epoch = LeaderEpoch(7);
    assert!(batch.crc_is_valid());
    assert_eq!((batch.last_offset(), batch.next_offset()), (1000, 1001));
    batch.producer_id = 3;
    assert!(!batch.crc_is_valid(), "a producer id lies behind it");
}

#[test]
fn log_append_time_is_every_records_time() {
    let stamped = one_record().with_log_append_time(99);
    assert!(stamped.crc_is_valid() && stamped.is_log_append_time());
    assert_eq!(stamped.records().unwrap().map(|record| record.timestamp).collect::<Vec<_>>(), [99]);
}

#[test]
fn walking_can_begin_in_the_middle() {
    let mut builder = BatchBuilder::new(Compression::Zstd);
    for i in 0..10 {
        builder.append(0, None, Some(&[i]), &[]);
    }
    let mut batch = builder.build();
    batch.base_offset = 50;
    let mut records = batch.records().unwrap();
    assert_eq!(records.len(), 10);
    records.skip_to(57);
    let bare = records.clone().next_ref().map(|record| (record.offset, record.value.map(<[u8]>::to_vec)));
    assert_eq!(bare, Some((57, Some(vec![7]))));
    assert_eq!(records.map(|record| record.offset).collect::<Vec<_>>(), [57, 58, 59]);
}

#[test]
fn a_transaction_marker_takes_78_bytes() {
    let marker = transaction_marker(ControlType::Commit, 3, 1000, 6, 1_600_000_000_000);
    assert_eq!(marker.size(), 78);
    assert!(marker.is_control() && marker.is_transactional() && marker.crc_is_valid());
    assert_eq!(marker.control(), Some((ControlType::Commit, Bytes::from_static(&[0, 0, 0, 0, 0, 3]))));
}

#[test]
fn damaged_records_are_an_error_and_not_a_panic() {
    let whole = one_record();
    for at in 0..whole.records.len() {
        for byte in [0x00, 0x7f, 0x80, 0xff] {
            let mut records = whole.records.to_vec();
            records[at] = byte;
            let damaged = Batch { records: records.into(), ..whole.clone() };
            // It is found out by the CRC, whatever the records themselves still make of it.
            assert!(damaged.records == whole.records || !damaged.crc_is_valid());
            let _ = damaged.records().map(Iterator::count);
        }
    }
    let counted_wrong = |record_count| Batch { record_count, ..whole.clone() }.records().map(|_| ());
    assert!(counted_wrong(0).is_err() && counted_wrong(2).is_err() && counted_wrong(-1).is_err());
    assert!(Batch::parse(&whole.encode()[..70]).is_err());
    assert!(Batch::parse(&[]).is_err());
}

fn one_record() -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(5, Some(b"key"), Some(b"value"), &[("h", Some(b"x")), ("n", None)]);
    builder.build()
}

type Fields = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

fn fields() -> impl Strategy<Value = Fields> {
    let bytes = || prop::option::of(prop::collection::vec(any::<u8>(), 0..200));
    let headers =
        prop::collection::vec(("[a-zé]{0,5}", prop::option::of(prop::collection::vec(any::<u8>(), 0..9))), 0..3);
    (-1_000_000_i64..2_000_000_000_000, bytes(), bytes(), headers)
}

fn codec() -> impl Strategy<Value = Compression> {
    use Compression::*;
    prop::sample::select(vec![None, Gzip, Snappy, Lz4, Zstd])
}

proptest! {
    #[test]
    fn what_is_appended_is_what_is_read(codec in codec(), given in prop::collection::vec(fields(), 1..40), base in 0_i64..1 << 40) {
        let mut builder = BatchBuilder::new(codec);
        for (timestamp, key, value, headers) in &given {
            let headers: Vec<_> = headers.iter().map(|(k, v)| (k.as_str(), v.as_deref())).collect();
            let foretold = builder.size_with(*timestamp, key.as_deref(), value.as_deref(), &headers);
            builder.append(*timestamp, key.as_deref(), value.as_deref(), &headers);
            prop_assert_eq!(builder.size(), foretold);
        }
        let mut batch = builder.build();
        batch.base_offset = base;
        let read = Batch::parse(&batch.encode()).unwrap();
        prop_assert_eq!(&read, &batch);
        prop_assert!(read.crc_is_valid());
        prop_assert_eq!(read.compression(), Some(codec));
        prop_assert_eq!(read.max_timestamp, given.iter().map(|fields| fields.0).max().unwrap());

        let found: Vec<(i64, Fields)> = read.records().unwrap().map(|record| {
            let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
            let headers = record.headers.into_iter().map(|h| (text(h.key), h.value.map(|v| v.to_vec()))).collect();
            (record.offset, (record.timestamp, record.key.map(|k| k.to_vec()), record.value.map(|v| v.to_vec()), headers))
        }).collect();
        let expected: Vec<(i64, Fields)> = (base..).zip(given).collect();
        prop_assert_eq!(found, expected);
    }
}
