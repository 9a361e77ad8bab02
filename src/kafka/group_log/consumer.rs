//! The records of a group of the consumer protocol (KIP-848), in Kafka's bytes.
//!
//! Schemas: `ConsumerGroupMetadata`, `ConsumerGroupMemberMetadata`, `ConsumerGroupTargetAssignmentMetadata`,
//! `ConsumerGroupTargetAssignmentMember`, `ConsumerGroupCurrentMemberAssignment`, `ConsumerGroupRegularExpression`, each a
//! key and a value of version 0.

use std::rc::Rc;

use super::{decode_subscription, encode_subscription, transpose};
use crate::kafka::fact::ReconciliationState;
use crate::kafka::ids::{Generation, Name, TopicPartition};
use crate::kafka::message::Subscription;
use crate::kafka::modern_group::{Epochs, Standing};
use crate::kafka::wire::{Reader, Writer};
use crate::time::Duration;

const GROUP_EPOCH: i16 = 3;
const MEMBER: i16 = 5;
const TARGET_EPOCH: i16 = 6;
const TARGET: i16 = 7;
const CURRENT: i16 = 8;
const REGEX: i16 = 16;
const VERSION: i16 = 0;

/// One record about a group of the consumer protocol. A value of `None` is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumerRecord {
    /// The group epoch, and the hash of what the members read.
    Epoch(Option<(Generation, i64)>),
    /// What a member has told of itself.
    Member { member: Name, value: Option<Box<ConsumerMemberValue>> },
    /// The group epoch that the target is for, and when it was worked out.
    TargetEpoch(Option<(Generation, i64)>),
    /// What a member is to have.
    Target { member: Name, value: Option<Vec<TopicPartition>> },
    /// Where a member stands.
    Current { member: Name, value: Option<CurrentMemberValue> },
    /// What a regular expression stands for.
    Regex { regex: Name, value: Option<RegexValue> },
}

/// Session timeout, and assignors with their subscriptions (`ClassicMemberMetadata`).
type ClassicMetadata = (Duration, Vec<(Name, Rc<Subscription>)>);

/// `ConsumerGroupMemberMetadataValue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerMemberValue {
    pub instance_id: Option<Name>,
    pub rack: Option<Name>,
    pub client_id: Name,
    pub host: Name,
    pub topics: Vec<Name>,
    pub regex: Option<Name>,
    pub rebalance_timeout: Option<Duration>,
    pub server_assignor: Option<Name>,
    /// For a member of the classic protocol: its session timeout, and the assignors it supports.
    pub classic: Option<ClassicMetadata>,
}

/// `ConsumerGroupCurrentMemberAssignmentValue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentMemberValue {
    pub standing: Standing,
}

/// `ConsumerGroupRegularExpressionValue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegexValue {
    pub topics: Vec<Name>,
    pub version: i64,
    pub timestamp: i64,
}

impl ConsumerRecord {
    /// Whether it takes something away.
    pub fn is_tombstone(&self) -> bool {
        match self {
            Self::Epoch(value) | Self::TargetEpoch(value) => value.is_none(),
            Self::Member { value, .. } => value.is_none(),
            Self::Target { value, .. } => value.is_none(),
            Self::Current { value, .. } => value.is_none(),
            Self::Regex { value, .. } => value.is_none(),
        }
    }

    pub(super) fn encode(&self, group: &str) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut key = Writer::default();
        let (kind, of) = match self {
            Self::Epoch(_) => (GROUP_EPOCH, None),
            Self::Member { member, .. } => (MEMBER, Some(member)),
            Self::TargetEpoch(_) => (TARGET_EPOCH, None),
            Self::Target { member, .. } => (TARGET, Some(member)),
            Self::Current { member, .. } => (CURRENT, Some(member)),
            Self::Regex { regex, .. } => (REGEX, Some(regex)),
        };
        key.int16(kind);
        key.string(group);
        if let Some(of) = of {
            key.string(of);
        }
        (key.0, self.encode_value())
    }

    fn encode_value(&self) -> Option<Vec<u8>> {
        let mut out = Writer::default();
        out.int16(VERSION);
        match self {
            // A hash or a time of 0 is the default of its tagged field, and left out.
            Self::Epoch(value) | Self::TargetEpoch(value) => {
                let (epoch, tagged) = (*value)?;
                out.int32(epoch.0);
                out.tagged(&[(0, tagged.to_be_bytes().to_vec())][..usize::from(tagged != 0)]);
            }
            Self::Member { value, .. } => value.as_ref()?.encode(&mut out),
            Self::Target { value, .. } => {
                out.topics(value.as_ref()?.iter().copied(), |out, partitions| {
                    out.compact_array(partitions.iter(), |out, at| out.int32(at.partition.cast_signed()));
                    out.tagged(&[]);
                });
                out.tagged(&[]);
            }
            Self::Current { value, .. } => {
                let standing = &value.as_ref()?.standing;
                out.int32(standing.epoch.0);
                out.int32(standing.previous_epoch.0);
                out.0.push(state_number(standing.state));
                out.epochs(&standing.assigned);
                out.epochs(&standing.revoking);
                out.tagged(&[]);
            }
            Self::Regex { value, .. } => {
                let value = value.as_ref()?;
                out.compact_array(value.topics.iter(), |out, topic| out.compact_string(topic));
                out.int64(value.version);
                out.int64(value.timestamp);
                out.tagged(&[]);
            }
        }
        Some(out.0)
    }

    /// Reads what follows the kind of a record; `None` if it is of no kind known here, or cut short.
    pub(super) fn decode(kind: i16, key: &mut Reader, value: Option<&[u8]>) -> Option<(Name, Self)> {
        let group = key.string()?;
        let body = |value: &mut Reader| (value.int16()? == VERSION).then_some(());
        macro_rules! value {
            ($decode:expr) => {
                transpose(value.map(|bytes| {
                    let mut bytes = Reader(bytes);
                    body(&mut bytes)?;
                    $decode(&mut bytes)
                }))?
            };
        }
        let record = match kind {
            GROUP_EPOCH => Self::Epoch(value!(epoch_and_number)),
            MEMBER => Self::Member { member: key.string()?, value: value!(ConsumerMemberValue::decode) },
            TARGET_EPOCH => Self::TargetEpoch(value!(epoch_and_number)),
            TARGET => Self::Target { member: key.string()?, value: value!(target) },
            CURRENT => Self::Current { member: key.string()?, value: value!(CurrentMemberValue::decode) },
            REGEX => Self::Regex { regex: key.string()?, value: value!(RegexValue::decode) },
            _ => return None,
        };
        Some((group, record))
    }
}

fn epoch_and_number(bytes: &mut Reader) -> Option<(Generation, i64)> {
    let epoch = Generation(bytes.int32()?);
    let number = bytes.tagged(0)?.map_or(Some(0), |field| Some(i64::from_be_bytes(field.try_into().ok()?)))?;
    Some((epoch, number))
}

fn target(bytes: &mut Reader) -> Option<Vec<TopicPartition>> {
    let topics = bytes.compact_array(|bytes| {
        let topic = bytes.topic()?;
        let partitions = bytes.compact_array(Reader::int32)?;
        bytes.tagged(0)?;
        Some((topic, partitions))
    })?;
    bytes.tagged(0)?;
    let flat = topics.into_iter().flat_map(|(topic, partitions)| {
        partitions.into_iter().map(move |partition| TopicPartition::new(topic, partition.cast_unsigned()))
    });
    Some(flat.collect())
}

impl ConsumerMemberValue {
    fn encode(&self, out: &mut Writer) {
        out.compact_nullable(self.instance_id.as_deref());
        out.compact_nullable(self.rack.as_deref());
        out.compact_string(&self.client_id);
        out.compact_string(&self.host);
        out.compact_array(self.topics.iter(), |out, topic| out.compact_string(topic));
        out.compact_nullable(self.regex.as_deref());
        match self.rebalance_timeout {
            Some(timeout) => out.millis(timeout),
            None => out.int32(-1),
        }
        out.compact_nullable(self.server_assignor.as_deref());
        let classic = self.classic.as_ref().map(|(session_timeout, protocols)| {
            let mut field = Writer::default();
            // The struct is there.
            field.0.push(1);
            field.millis(*session_timeout);
            field.compact_array(protocols.iter(), |out, (name, subscription)| {
                out.compact_string(name);
                out.compact_bytes(&encode_subscription(subscription));
                out.tagged(&[]);
            });
            field.tagged(&[]);
            (0, field.0)
        });
        out.tagged(classic.as_slice());
    }

    fn decode(bytes: &mut Reader) -> Option<Box<Self>> {
        let mut value = Self {
            instance_id: bytes.compact_nullable()?,
            rack: bytes.compact_nullable()?,
            client_id: bytes.compact_string()?,
            host: bytes.compact_string()?,
            topics: bytes.compact_array(Reader::compact_string)?,
            regex: bytes.compact_nullable()?,
            rebalance_timeout: u64::try_from(bytes.int32()?).ok().map(Duration::millis),
            server_assignor: bytes.compact_nullable()?,
            classic: None,
        };
        if let Some(field) = bytes.tagged(0)? {
            let mut field = Reader(field);
            if field.take(1)? == [1] {
                let session_timeout = field.millis()?;
                let protocols = field.compact_array(|bytes| {
                    let name = bytes.compact_string()?;
                    let subscription = Rc::new(decode_subscription(bytes.compact_bytes()?)?);
                    bytes.tagged(0)?;
                    Some((name, subscription))
                })?;
                value.classic = Some((session_timeout, protocols));
            }
        }
        Some(Box::new(value))
    }
}

impl CurrentMemberValue {
    fn decode(bytes: &mut Reader) -> Option<Self> {
        let epoch = Generation(bytes.int32()?);
        let previous_epoch = Generation(bytes.int32()?);
        let state = state_of(bytes.take(1)?.first().copied()?);
        let assigned = Rc::new(bytes.epochs(epoch)?);
        let revoking = Rc::new(bytes.epochs(epoch)?);
        bytes.tagged(0)?;
        Some(Self { standing: Standing { epoch, previous_epoch, state, assigned, revoking } })
    }
}

impl RegexValue {
    fn decode(bytes: &mut Reader) -> Option<Self> {
        let topics = bytes.compact_array(Reader::compact_string)?;
        let (version, timestamp) = (bytes.int64()?, bytes.int64()?);
        bytes.tagged(0)?;
        Some(Self { topics, version, timestamp })
    }
}

/// `MemberState.value`.
const fn state_number(state: Option<ReconciliationState>) -> u8 {
    match state {
        Some(ReconciliationState::Stable) => 0,
        Some(ReconciliationState::UnrevokedPartitions) => 1,
        Some(ReconciliationState::UnreleasedPartitions) => 2,
        None => 127,
    }
}

const fn state_of(number: u8) -> Option<ReconciliationState> {
    match number {
        0 => Some(ReconciliationState::Stable),
        1 => Some(ReconciliationState::UnrevokedPartitions),
        2 => Some(ReconciliationState::UnreleasedPartitions),
        _ => None,
    }
}

impl Writer {
    /// A list of topics, each by its id and with what `write` makes of its partitions.
    fn topics(
        &mut self,
        partitions: impl Iterator<Item = TopicPartition>,
        write: impl Fn(&mut Self, &[TopicPartition]),
    ) {
        let mut sorted: Vec<TopicPartition> = partitions.collect();
        sorted.sort_unstable();
        let topics: Vec<&[TopicPartition]> = sorted.chunk_by(|a, b| a.topic == b.topic).collect();
        self.compact_array(topics.into_iter(), |out, partitions| {
            out.topic(partitions[0].topic);
            write(out, partitions);
        });
    }

    fn epochs(&mut self, epochs: &Epochs) {
        self.topics(epochs.keys().copied(), |out, partitions| {
            out.compact_array(partitions.iter(), |out, at| out.int32(at.partition.cast_signed()));
            let mut field = Self::default();
            let known = partitions.iter().filter_map(|at| epochs.get(at)).collect::<Vec<_>>();
            field.compact_array(known.into_iter(), |out, epoch| out.int32(epoch.0));
            out.tagged(&[(0, field.0)]);
        });
    }
}

impl Reader<'_> {
    /// Partitions with the epochs in which they were assigned; older coordinators wrote none, and meant the member's.
    fn epochs(&mut self, member_epoch: Generation) -> Option<Epochs> {
        let topics = self.compact_array(|bytes| {
            let topic = bytes.topic()?;
            let partitions = bytes.compact_array(Self::int32)?;
            let epochs = match bytes.tagged(0)? {
                Some(field) => Reader(field).compact_array(Self::int32)?,
                None => vec![member_epoch.0; partitions.len()],
            };
            Some((topic, partitions, epochs))
        })?;
        let flat = topics.into_iter().flat_map(|(topic, partitions, epochs)| {
            let at = move |partition: i32| TopicPartition::new(topic, partition.cast_unsigned());
            partitions.into_iter().zip(epochs).map(move |(partition, epoch)| (at(partition), Generation(epoch)))
        });
        Some(flat.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::group_log::GroupRecord;
    use crate::kafka::ids::TopicId;

    fn standing() -> Standing {
        let at = |topic, partition| TopicPartition::new(TopicId(topic), partition);
        Standing {
            epoch: Generation(11),
            previous_epoch: Generation(10),
            state: Some(ReconciliationState::UnrevokedPartitions),
            assigned: Rc::new(
                [(at(0, 1), Generation(9)), (at(0, 2), Generation(11)), (at(3, 0), Generation(2))].into(),
            ),
            revoking: Rc::new([(at(0, 3), Generation(9))].into()),
        }
    }

    fn records() -> Vec<ConsumerRecord> {
        let subscription = Subscription { topics: vec!["t".into()], ..Subscription::default() };
        let member = ConsumerMemberValue {
            instance_id: Some("i".into()),
            rack: None,
            client_id: "c".into(),
            host: "/c".into(),
            topics: vec!["t".into(), "u".into()],
            regex: Some("".into()),
            rebalance_timeout: Some(Duration::secs(300)),
            server_assignor: Some("range".into()),
            classic: Some((Duration::secs(45), vec![("range".into(), Rc::new(subscription))])),
        };
        let newcomer = ConsumerMemberValue { rebalance_timeout: None, regex: None, classic: None, ..member.clone() };
        vec![
            ConsumerRecord::Epoch(Some((Generation(3), -7))),
            ConsumerRecord::Epoch(None),
            ConsumerRecord::Member { member: "m".into(), value: Some(Box::new(member)) },
            ConsumerRecord::Member { member: "m".into(), value: Some(Box::new(newcomer)) },
            ConsumerRecord::Member { member: "m".into(), value: None },
            ConsumerRecord::TargetEpoch(Some((Generation(3), 0))),
            ConsumerRecord::TargetEpoch(Some((Generation(3), 1_700_000_000_000))),
            ConsumerRecord::Target {
                member: "m".into(),
                value: Some(vec![TopicPartition::new(TopicId(0), 0), TopicPartition::new(TopicId(2), 5)]),
            },
            ConsumerRecord::Target { member: "m".into(), value: Some(Vec::new()) },
            ConsumerRecord::Current { member: "m".into(), value: Some(CurrentMemberValue { standing: standing() }) },
            ConsumerRecord::Current { member: "m".into(), value: None },
            ConsumerRecord::Regex {
                regex: "t.*".into(),
                value: Some(RegexValue { topics: vec!["t".into()], version: 4, timestamp: 17 }),
            },
        ]
    }

    #[test]
    fn records_read_back_as_they_were_written() {
        for record in records() {
            let record = GroupRecord::Consumer { group: "g".into(), record };
            let (key, value) = record.encode();
            assert_eq!(GroupRecord::decode(&key, value.as_deref()), Some(record));
        }
    }

    #[test]
    fn a_target_has_the_bytes_of_kafkas_schema() {
        let value = Some(vec![TopicPartition::new(TopicId(0), 2)]);
        let (key, bytes) = ConsumerRecord::Target { member: "m".into(), value }.encode("g");
        assert_eq!(key, [0, 7, 0, 1, b'g', 0, 1, b'm']);
        // Version, one topic, its id, one partition, no tagged fields, and none of the whole.
        let mut expected = vec![0, 0, 2];
        expected.extend([0; 15]);
        expected.extend([1, 2, 0, 0, 0, 2, 0, 0]);
        assert_eq!(bytes, Some(expected));
    }

    #[test]
    fn bytes_that_are_cut_short_are_no_record() {
        for record in records() {
            let (key, value) = GroupRecord::Consumer { group: "g".into(), record }.encode();
            let Some(value) = value else { continue };
            for length in 0..value.len() {
                let read = GroupRecord::decode(&key, Some(&value[..length]));
                assert_eq!(read, None, "{length} of {} bytes", value.len());
            }
        }
    }

    #[test]
    fn a_state_of_the_future_is_kept_as_unknown() {
        let standing = Standing { state: None, ..standing() };
        let record = ConsumerRecord::Current { member: "m".into(), value: Some(CurrentMemberValue { standing }) };
        let (key, value) = GroupRecord::Consumer { group: "g".into(), record: record.clone() }.encode();
        let read = GroupRecord::decode(&key, value.as_deref());
        assert_eq!(read, Some(GroupRecord::Consumer { group: "g".into(), record }));
    }
}
