//! What a group coordinator writes to `__consumer_offsets`, in Kafka's own bytes.
//!
//! A key says what its record is about: a group's offset for one partition, or the group itself. A record without a
//! value (a tombstone) takes that away again. Schemas: `OffsetCommitKey`, `OffsetCommitValue` (version 4),
//! `GroupMetadataKey`, `GroupMetadataValue` (version 3); a member's subscription and assignment inside are
//! `ConsumerProtocolSubscription` and `ConsumerProtocolAssignment` (version 3).
//!
//! What we leave out: notes beside an offset, and user data of assignments; both are written as empty, and skipped in
//! reading.

mod consumer;

use std::rc::Rc;

use bytes::Bytes;

pub use self::consumer::{ConsumerMemberValue, ConsumerRecord, CurrentMemberValue, RegexValue};
use super::config::Compression;
use super::ids::{Generation, LeaderEpoch, Name, Offset, TopicId};
use super::message::{Assignment, Subscription, UserData};
use super::record::{Batch, BatchBuilder};
use super::share::group_log::ShareGroupRecord;
use super::wire::{Reader, Writer};
use crate::time::{Duration, Instant};

/// One record of `__consumer_offsets`. A `value` of `None` is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupRecord {
    Offset {
        group: Name,
        topic: Name,
        partition: u32,
        value: Option<OffsetCommitValue>,
    },
    Group {
        group: Name,
        value: Option<GroupMetadataValue>,
    },
    /// About a group of the consumer protocol (KIP-848).
    Consumer {
        group: Name,
        record: ConsumerRecord,
    },
    /// About a share group (KIP-932).
    Share(ShareGroupRecord),
}

/// Where a group will read on in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommitValue {
    /// The next offset to read.
    pub offset: Offset,
    /// Epoch of the record before it.
    pub leader_epoch: Option<LeaderEpoch>,
    /// When the coordinator took the commit in.
    pub commit_timestamp: i64,
    /// Which topic of that name it was (since version 4).
    pub topic_id: Option<TopicId>,
}

/// A group as of one generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadataValue {
    /// `consumer`; empty for a group that nobody has ever joined.
    pub protocol_type: Name,
    pub generation: Generation,
    /// The assignor in use.
    pub protocol: Option<Name>,
    pub leader: Option<Name>,
    /// When the group came into its state; -1 if unknown.
    pub current_state_timestamp: i64,
    pub members: Vec<MemberMetadata>,
}

/// A member of a group as of one generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberMetadata {
    pub member_id: Name,
    pub group_instance_id: Option<Name>,
    pub client_id: Name,
    pub client_host: Name,
    pub rebalance_timeout: Duration,
    pub session_timeout: Duration,
    /// For the protocol in use.
    pub subscription: Rc<Subscription>,
    pub assignment: Assignment,
}

const OFFSET_COMMIT: i16 = 1;
const GROUP_METADATA: i16 = 2;
const OFFSET_COMMIT_VALUE: i16 = 4;
const GROUP_METADATA_VALUE: i16 = 3;
const CONSUMER_PROTOCOL: i16 = 3;

/// One batch with these records, as the coordinator hands it to its partition's leader.
pub fn batch(records: &[GroupRecord], now: Instant) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    for record in records {
        let (key, value) = record.encode();
        builder.append(now.timestamp_ms(), Some(&key), value.as_deref(), &[]);
    }
    builder.build()
}

/// The records of a batch with their offsets. Kinds of records that are not known here are left out, as Kafka does
/// with those of newer versions.
pub fn records(batch: &Batch) -> Vec<(Offset, GroupRecord)> {
    let Ok(records) = batch.records() else { return Vec::new() };
    let decode = |key: Option<Bytes>, value: Option<Bytes>| GroupRecord::decode(&key?, value.as_deref());
    records.filter_map(|record| Some((record.offset, decode(record.key, record.value)?))).collect()
}

impl GroupRecord {
    /// Key and value as Kafka writes them.
    pub fn encode(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut key = Writer::default();
        match self {
            Self::Offset { group, topic, partition, value } => {
                key.int16(OFFSET_COMMIT);
                key.string(group);
                key.string(topic);
                key.int32(partition.cast_signed());
                (key.0, value.as_ref().map(OffsetCommitValue::encode))
            }
            Self::Group { group, value } => {
                key.int16(GROUP_METADATA);
                key.string(group);
                (key.0, value.as_ref().map(GroupMetadataValue::encode))
            }
            Self::Consumer { group, record } => record.encode(group),
            Self::Share(record) => record.encode(),
        }
    }

    /// Reads a record; `None` if it is of no kind known here, or cut short.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Option<Self> {
        if let Some(record) = ShareGroupRecord::decode(key, value) {
            return Some(Self::Share(record));
        }
        let mut key = Reader(key);
        match key.int16()? {
            // Version 0 of the key looks the same.
            0 | OFFSET_COMMIT => {
                let (group, topic, partition) = (key.string()?, key.string()?, key.int32()?.cast_unsigned());
                let value = value.map(OffsetCommitValue::decode);
                Some(Self::Offset { group, topic, partition, value: transpose(value)? })
            }
            GROUP_METADATA => {
                let group = key.string()?;
                Some(Self::Group { group, value: transpose(value.map(GroupMetadataValue::decode))? })
            }
            kind => {
                let (group, record) = ConsumerRecord::decode(kind, &mut key, value)?;
                Some(Self::Consumer { group, record })
            }
        }
    }
}

/// A tombstone stays one; a value that cannot be read makes the record unreadable.
fn transpose<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        Some(None) => None,
        Some(decoded) => Some(decoded),
        None => Some(None),
    }
}

impl OffsetCommitValue {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.int16(OFFSET_COMMIT_VALUE);
        out.int64(self.offset);
        out.int32(self.leader_epoch.map_or(-1, |epoch| epoch.0));
        out.compact_string("");
        out.int64(self.commit_timestamp);
        let topic_id = self.topic_id.map(|topic| {
            let mut field = Writer::default();
            field.topic(topic);
            (0, field.0)
        });
        out.tagged(topic_id.as_slice());
        out.0
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Reader(bytes);
        if bytes.int16()? != OFFSET_COMMIT_VALUE {
            return None;
        }
        let offset = bytes.int64()?;
        let leader_epoch = Some(LeaderEpoch(bytes.int32()?)).filter(|epoch| epoch.0 >= 0);
        bytes.skip_compact()?;
        let commit_timestamp = bytes.int64()?;
        let topic_id = bytes.tagged(0)?.and_then(|field| Reader(field).topic());
        Some(Self { offset, leader_epoch, commit_timestamp, topic_id })
    }
}

impl GroupMetadataValue {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.int16(GROUP_METADATA_VALUE);
        out.string(&self.protocol_type);
        out.int32(self.generation.0);
        out.nullable_string(self.protocol.as_deref());
        out.nullable_string(self.leader.as_deref());
        out.int64(self.current_state_timestamp);
        out.int32(self.members.len() as i32);
        for member in &self.members {
            out.string(&member.member_id);
            out.nullable_string(member.group_instance_id.as_deref());
            out.string(&member.client_id);
            out.string(&member.client_host);
            out.millis(member.rebalance_timeout);
            out.millis(member.session_timeout);
            out.bytes(&encode_subscription(&member.subscription));
            out.bytes(&encode_assignment(&member.assignment));
        }
        out.0
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Reader(bytes);
        if bytes.int16()? != GROUP_METADATA_VALUE {
            return None;
        }
        let protocol_type = bytes.string()?;
        let generation = Generation(bytes.int32()?);
        let protocol = bytes.nullable_string()?;
        let leader = bytes.nullable_string()?;
        let current_state_timestamp = bytes.int64()?;
        let members = bytes.array(|bytes| {
            Some(MemberMetadata {
                member_id: bytes.string()?,
                group_instance_id: bytes.nullable_string()?,
                client_id: bytes.string()?,
                client_host: bytes.string()?,
                rebalance_timeout: bytes.millis()?,
                session_timeout: bytes.millis()?,
                subscription: Rc::new(decode_subscription(bytes.bytes()?)?),
                assignment: decode_assignment(bytes.bytes()?)?,
            })
        })?;
        Some(Self { protocol_type, generation, protocol, leader, current_state_timestamp, members })
    }
}

/// `ConsumerProtocolSubscription`, version first (`ConsumerProtocol.serializeSubscription`).
pub fn encode_subscription(subscription: &Subscription) -> Vec<u8> {
    let mut out = Writer::default();
    out.int16(CONSUMER_PROTOCOL);
    out.int32(subscription.topics.len() as i32);
    subscription.topics.iter().for_each(|topic| out.string(topic));
    match &subscription.user_data {
        Some(user_data) => out.bytes(&encode_user_data(user_data)),
        None => out.int32(-1),
    }
    out.partitions(&subscription.owned_partitions);
    out.int32(subscription.generation.map_or(-1, |generation| generation.0));
    out.nullable_string(subscription.rack.as_deref());
    out.0
}

/// Reads what [`encode_subscription`] wrote; `None` if it is cut short.
pub fn decode_subscription(bytes: &[u8]) -> Option<Subscription> {
    let mut bytes = Reader(bytes);
    bytes.int16()?;
    let topics = bytes.array(Reader::string)?;
    let user_data = bytes.nullable_bytes()?.and_then(decode_user_data);
    let owned_partitions = bytes.partitions()?;
    let generation = generation(&mut bytes)?;
    Some(Subscription { topics, owned_partitions, generation, rack: bytes.nullable_string()?, user_data })
}

/// `STICKY_ASSIGNOR_USER_DATA_V1` and `COOPERATIVE_STICKY_ASSIGNOR_USER_DATA_V0`, which is but a generation.
fn encode_user_data(user_data: &UserData) -> Vec<u8> {
    let mut out = Writer::default();
    let (UserData::Sticky { generation, .. } | UserData::Cooperative { generation }) = user_data;
    if let UserData::Sticky { partitions, .. } = user_data {
        out.partitions(partitions);
    }
    out.int32(generation.map_or(-1, |generation| generation.0));
    out.0
}

fn decode_user_data(bytes: &[u8]) -> Option<UserData> {
    let (alone, mut bytes) = (bytes.len() == size_of::<i32>(), Reader(bytes));
    Some(match alone {
        true => UserData::Cooperative { generation: generation(&mut bytes)? },
        false => UserData::Sticky { partitions: bytes.partitions()?, generation: generation(&mut bytes)? },
    })
}

/// -1 is none.
fn generation(bytes: &mut Reader<'_>) -> Option<Option<Generation>> {
    Some(Some(Generation(bytes.int32()?)).filter(|generation| generation.0 >= 0))
}

/// `ConsumerProtocolAssignment`, version first (`ConsumerProtocol.serializeAssignment`).
pub fn encode_assignment(assignment: &[(Name, u32)]) -> Vec<u8> {
    let mut out = Writer::default();
    out.int16(CONSUMER_PROTOCOL);
    out.partitions(assignment);
    out.int32(-1);
    out.0
}

/// Reads what [`encode_assignment`] wrote; no bytes at all are an assignment of nothing. `None` if it is cut short.
pub fn decode_assignment(bytes: &[u8]) -> Option<Assignment> {
    if bytes.is_empty() {
        return Some(Rc::from([]));
    }
    let mut bytes = Reader(bytes);
    bytes.int16()?;
    let partitions = bytes.partitions()?;
    bytes.skip_nullable_bytes()?;
    Some(partitions.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription() -> Subscription {
        Subscription {
            topics: vec!["orders".into(), "users".into()],
            owned_partitions: vec![("orders".into(), 0), ("users".into(), 2), ("orders".into(), 1)],
            generation: Some(Generation(7)),
            rack: Some("a".into()),
            user_data: Some(UserData::Cooperative { generation: Some(Generation(6)) }),
        }
    }

    #[test]
    fn an_offset_commit_has_the_bytes_of_kafkas_schema() {
        let value = OffsetCommitValue {
            offset: 5,
            leader_epoch: Some(LeaderEpoch(2)),
            commit_timestamp: 9,
            topic_id: Some(TopicId(0)),
        };
        let record = GroupRecord::Offset { group: "g".into(), topic: "t".into(), partition: 3, value: Some(value) };
        let (key, bytes) = record.encode();
        assert_eq!(key, [0, 1, 0, 1, b'g', 0, 1, b't', 0, 0, 0, 3]);
        let mut expected = vec![0, 4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 9, 1, 0, 16];
        expected.extend([0; 15]);
        expected.push(1);
        assert_eq!(bytes, Some(expected));
        assert_eq!(GroupRecord::decode(&key, bytes.as_deref()), Some(record));
    }

    #[test]
    fn a_groups_record_reads_back_as_it_was_written() {
        let member = MemberMetadata {
            member_id: "c-1".into(),
            group_instance_id: Some("i".into()),
            client_id: "c".into(),
            client_host: "/c".into(),
            rebalance_timeout: Duration::secs(300),
            session_timeout: Duration::secs(45),
            subscription: Rc::new(Subscription { owned_partitions: Vec::new(), ..subscription() }),
            assignment: Rc::from([(Name::from("orders"), 0), (Name::from("orders"), 1)]),
        };
        let value = GroupMetadataValue {
            protocol_type: "consumer".into(),
            generation: Generation(4),
            protocol: Some("range".into()),
            leader: Some("c-1".into()),
            current_state_timestamp: 17,
            members: vec![member],
        };
        let record = GroupRecord::Group { group: "g".into(), value: Some(value) };
        let (key, bytes) = record.encode();
        assert_eq!(key, [0, 2, 0, 1, b'g']);
        assert_eq!(GroupRecord::decode(&key, bytes.as_deref()), Some(record));
    }

    #[test]
    fn tombstones_read_back_as_tombstones() {
        for record in [
            GroupRecord::Group { group: "g".into(), value: None },
            GroupRecord::Offset { group: "g".into(), topic: "t".into(), partition: 0, value: None },
        ] {
            let (key, value) = record.encode();
            assert_eq!(value, None);
            assert_eq!(GroupRecord::decode(&key, None), Some(record));
        }
    }

    #[test]
    fn a_subscription_gathers_owned_partitions_by_topic() {
        let decoded = decode_subscription(&encode_subscription(&subscription())).unwrap();
        assert_eq!(decoded.owned_partitions, vec![("orders".into(), 0), ("orders".into(), 1), ("users".into(), 2)]);
        assert_eq!((decoded.topics, decoded.generation, decoded.rack), {
            let Subscription { topics, generation, rack, .. } = subscription();
            (topics, generation, rack)
        });
    }

    #[test]
    fn what_an_assignor_remembers_reads_back() {
        let partitions = vec![("orders".into(), 0), ("orders".into(), 1)];
        for user_data in [
            None,
            Some(UserData::Cooperative { generation: None }),
            Some(UserData::Sticky { partitions: Vec::new(), generation: Some(Generation(0)) }),
            Some(UserData::Sticky { partitions, generation: Some(Generation(3)) }),
        ] {
            let written = Subscription { user_data, ..Subscription::default() };
            assert_eq!(decode_subscription(&encode_subscription(&written)), Some(written));
        }
    }

    #[test]
    fn bytes_that_are_cut_short_are_no_record() {
        let record = GroupRecord::Group {
            group: "g".into(),
            value: Some(GroupMetadataValue {
                protocol_type: "consumer".into(),
                generation: Generation(1),
                protocol: None,
                leader: None,
                current_state_timestamp: -1,
                members: Vec::new(),
            }),
        };
        let (key, value) = record.encode();
        let value = value.unwrap();
        for length in 0..value.len() {
            assert_eq!(GroupRecord::decode(&key, Some(&value[..length])), None);
        }
    }

    #[test]
    fn records_of_kinds_unknown_here_are_passed_over() {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(0, Some(&[0, 15, 0, 0]), Some(b"newer"), &[]);
        let (key, value) = GroupRecord::Group { group: "g".into(), value: None }.encode();
        builder.append(0, Some(&key), value.as_deref(), &[]);
        let found = records(&builder.build());
        assert_eq!(found, [(1, GroupRecord::Group { group: "g".into(), value: None })]);
    }
}
