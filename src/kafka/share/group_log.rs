//! What a group coordinator writes to `__consumer_offsets` about share groups, in Kafka's own bytes.
//!
//! Schemas: `ShareGroupMemberMetadata`, `ShareGroupMetadata`, `ShareGroupTargetAssignmentMetadata`,
//! `ShareGroupTargetAssignmentMember`, `ShareGroupCurrentMemberAssignment` and `ShareGroupStatePartitionMetadata`, keys and
//! values, each in its only version.

use std::collections::BTreeMap;

use crate::kafka::ids::{Generation, Name, TopicId, TopicPartition};
use crate::kafka::wire::{Reader, Writer};

/// A record about a share group. A `value` of `None` is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareGroupRecord {
    pub group: Name,
    pub about: About,
}

/// What it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// A member, as it introduced itself.
    Member {
        member: Name,
        value: Option<MemberValue>,
    },
    /// The group: its epoch, and what its topics looked like then.
    Group {
        value: Option<(Generation, i64)>,
    },
    /// The epoch of the target assignment, and when it was made.
    Target {
        value: Option<(Generation, i64)>,
    },
    MemberTarget {
        member: Name,
        value: Option<Vec<TopicPartition>>,
    },
    /// The member's epoch, the one before, and its partitions.
    Current {
        member: Name,
        value: Option<(Generation, Generation, Vec<TopicPartition>)>,
    },
    /// Partitions that the share coordinator is told of, or knows.
    Partitions {
        value: Option<PartitionsValue>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberValue {
    pub rack: Option<Name>,
    pub client_id: Name,
    pub client_host: Name,
    pub topics: Vec<Name>,
}

/// Partitions by topic id and name.
pub type TopicPartitions = Vec<(TopicId, Name, Vec<u32>)>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionsValue {
    pub initializing: TopicPartitions,
    pub initialized: TopicPartitions,
}

const MEMBER: i16 = 10;
const GROUP: i16 = 11;
const TARGET: i16 = 12;
const MEMBER_TARGET: i16 = 13;
const CURRENT: i16 = 14;
const PARTITIONS: i16 = 15;
const VERSION: i16 = 0;
/// `MemberState.STABLE`: a share group's members are never in another.
const STABLE: i8 = 0;

impl ShareGroupRecord {
    /// Key and value as Kafka writes them.
    pub fn encode(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let (kind, member, value) = match &self.about {
            About::Member { member, value } => (MEMBER, Some(member), value.as_ref().map(encode_member)),
            About::Group { value } => (GROUP, None, value.map(encode_group)),
            About::Target { value } => (TARGET, None, value.map(encode_target)),
            About::MemberTarget { member, value } => {
                let encode = |partitions: &Vec<TopicPartition>| {
                    let mut out = Writer::of_kind(VERSION);
                    write_partitions(&mut out, partitions);
                    out.tagged(&[]);
                    out.0
                };
                (MEMBER_TARGET, Some(member), value.as_ref().map(encode))
            }
            About::Current { member, value } => (CURRENT, Some(member), value.as_ref().map(encode_current)),
            About::Partitions { value } => (PARTITIONS, None, value.as_ref().map(encode_known)),
        };
        let mut key = Writer::of_kind(kind);
        key.string(&self.group);
        member.into_iter().for_each(|member| key.string(member));
        (key.0, value)
    }

    /// Reads a record; `None` if it is of no kind known here, or cut short.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Option<Self> {
        let mut key = Reader(key);
        let (kind, group) = (key.int16()?, key.string()?);
        let mut value = value.map(Reader);
        if value.as_mut().is_some_and(|value| value.int16() != Some(VERSION)) {
            return None;
        }
        let about = match kind {
            MEMBER => About::Member { member: key.string()?, value: read(value, decode_member)? },
            GROUP => About::Group { value: read(value, |bytes| Some((Generation(bytes.int32()?), bytes.int64()?)))? },
            TARGET => About::Target { value: read(value, decode_target)? },
            MEMBER_TARGET => About::MemberTarget { member: key.string()?, value: read(value, read_partitions)? },
            CURRENT => About::Current { member: key.string()?, value: read(value, decode_current)? },
            PARTITIONS => About::Partitions { value: read(value, decode_known)? },
            _ => return None,
        };
        Some(Self { group, about })
    }
}

/// A tombstone stays one; a value that cannot be read makes the record unreadable.
fn read<'a, T>(value: Option<Reader<'a>>, decode: impl FnOnce(&mut Reader<'a>) -> Option<T>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(mut bytes) => {
            let decoded = decode(&mut bytes)?;
            Some(Some(decoded))
        }
    }
}

fn encode_member(value: &MemberValue) -> Vec<u8> {
    let mut out = Writer::of_kind(VERSION);
    out.compact_nullable(value.rack.as_deref());
    out.compact_string(&value.client_id);
    out.compact_string(&value.client_host);
    out.compact_array(value.topics.iter(), |out, topic| out.compact_string(topic));
    out.tagged(&[]);
    out.0
}

fn decode_member(bytes: &mut Reader) -> Option<MemberValue> {
    let rack = bytes.compact_nullable()?;
    let (client_id, client_host) = (bytes.compact_string()?, bytes.compact_string()?);
    let topics = bytes.compact_array(Reader::compact_string)?;
    bytes.tagged(0)?;
    Some(MemberValue { rack, client_id, client_host, topics })
}

fn encode_group((epoch, metadata_hash): (Generation, i64)) -> Vec<u8> {
    let mut out = Writer::of_kind(VERSION);
    out.int32(epoch.0);
    out.int64(metadata_hash);
    out.tagged(&[]);
    out.0
}

fn encode_target((epoch, timestamp): (Generation, i64)) -> Vec<u8> {
    let mut out = Writer::of_kind(VERSION);
    out.int32(epoch.0);
    out.tagged(&[(0, timestamp.to_be_bytes().to_vec())]);
    out.0
}

fn decode_target(bytes: &mut Reader) -> Option<(Generation, i64)> {
    let epoch = Generation(bytes.int32()?);
    let timestamp = bytes.tagged(0)?.and_then(|field| field.try_into().ok()).map_or(0, i64::from_be_bytes);
    Some((epoch, timestamp))
}

fn encode_current((epoch, previous, partitions): &(Generation, Generation, Vec<TopicPartition>)) -> Vec<u8> {
    let mut out = Writer::of_kind(VERSION);
    out.int32(epoch.0);
    out.int32(previous.0);
    out.fixed(STABLE.to_be_bytes());
    write_partitions(&mut out, partitions);
    out.tagged(&[]);
    out.0
}

fn decode_current(bytes: &mut Reader) -> Option<(Generation, Generation, Vec<TopicPartition>)> {
    let (epoch, previous) = (Generation(bytes.int32()?), Generation(bytes.int32()?));
    let [_state] = bytes.fixed()?;
    Some((epoch, previous, read_partitions(bytes)?))
}

fn encode_known(value: &PartitionsValue) -> Vec<u8> {
    let mut out = Writer::of_kind(VERSION);
    for topics in [&value.initializing, &value.initialized] {
        out.compact_array(topics.iter(), |out, (topic, name, partitions)| {
            out.topic(*topic);
            out.compact_string(name);
            out.compact_array(partitions.iter(), |out, partition| out.int32(partition.cast_signed()));
            out.tagged(&[]);
        });
    }
    // Nothing is being deleted.
    out.compact_array([].iter(), |_, _: &()| {});
    out.tagged(&[]);
    out.0
}

fn decode_known(bytes: &mut Reader) -> Option<PartitionsValue> {
    let mut topics = || {
        bytes.compact_array(|bytes| {
            let (topic, name) = (bytes.topic()?, bytes.compact_string()?);
            let partitions = bytes.compact_array(|bytes| Some(bytes.int32()?.cast_unsigned()))?;
            bytes.tagged(0)?;
            Some((topic, name, partitions))
        })
    };
    Some(PartitionsValue { initializing: topics()?, initialized: topics()? })
}

/// Partitions gathered by topic.
fn write_partitions(out: &mut Writer, partitions: &[TopicPartition]) {
    let mut topics: BTreeMap<TopicId, Vec<u32>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(partition.topic).or_default().push(partition.partition);
    }
    out.compact_array(topics.iter(), |out, (topic, partitions)| {
        out.topic(*topic);
        out.compact_array(partitions.iter(), |out, partition| out.int32(partition.cast_signed()));
        out.tagged(&[]);
    });
}

fn read_partitions(bytes: &mut Reader) -> Option<Vec<TopicPartition>> {
    let topics = bytes.compact_array(|bytes| {
        let topic = bytes.topic()?;
        let partitions = bytes.compact_array(Reader::int32)?;
        bytes.tagged(0)?;
        Some((topic, partitions))
    })?;
    let flat = topics.into_iter().flat_map(|(topic, partitions)| {
        partitions.into_iter().map(move |partition| TopicPartition::new(topic, partition.cast_unsigned()))
    });
    Some(flat.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_kind() -> Vec<About> {
        let partitions = vec![TopicPartition::new(TopicId(0), 1), TopicPartition::new(TopicId(3), 0)];
        let known = vec![(TopicId(0), "orders".into(), vec![0, 1])];
        vec![
            About::Member {
                member: "m".into(),
                value: Some(MemberValue {
                    rack: Some("a".into()),
                    client_id: "c".into(),
                    client_host: "/c".into(),
                    topics: vec!["orders".into()],
                }),
            },
            About::Group { value: Some((Generation(2), 77)) },
            About::Target { value: Some((Generation(2), 1234)) },
            About::MemberTarget { member: "m".into(), value: Some(partitions.clone()) },
            About::Current { member: "m".into(), value: Some((Generation(2), Generation(1), partitions)) },
            About::Partitions { value: Some(PartitionsValue { initializing: Vec::new(), initialized: known }) },
        ]
    }

    #[test]
    fn a_groups_epoch_has_the_bytes_of_kafkas_schema() {
        let record = ShareGroupRecord { group: "g".into(), about: About::Group { value: Some((Generation(2), 3)) } };
        let (key, value) = record.encode();
        assert_eq!(key, [0, 11, 0, 1, b'g']);
        assert_eq!(value, Some(vec![0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0]));
    }

    #[test]
    fn every_kind_of_record_reads_back_as_it_was_written() {
        for about in every_kind() {
            let record = ShareGroupRecord { group: "g".into(), about };
            let (key, value) = record.encode();
            assert_eq!(ShareGroupRecord::decode(&key, value.as_deref()), Some(record));
        }
    }

    #[test]
    fn a_tombstone_reads_back_as_one() {
        let about = About::Current { member: "m".into(), value: None };
        let record = ShareGroupRecord { group: "g".into(), about };
        let (key, value) = record.encode();
        assert_eq!(value, None);
        assert_eq!(ShareGroupRecord::decode(&key, None), Some(record));
    }
}
