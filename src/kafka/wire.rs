//! The primitive types of Kafka's protocol, as far as the records of `__consumer_offsets` and `__share_group_state` need
//! them: in the old way, and in the flexible one (KIP-482), where lengths are varints and each structure ends in tagged
//! fields.

use super::ids::{Name, TopicId};
use super::varint;
use crate::time::Duration;

/// Writes the primitive types of Kafka's protocol.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    /// A record's kind, or the version of its value.
    pub(super) fn of_kind(kind: i16) -> Self {
        Self(kind.to_be_bytes().to_vec())
    }

    pub(super) fn fixed(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.extend_from_slice(bytes.as_ref());
    }

    pub(super) fn int16(&mut self, value: i16) {
        self.fixed(value.to_be_bytes());
    }

    pub(super) fn int32(&mut self, value: i32) {
        self.fixed(value.to_be_bytes());
    }

    pub(super) fn int64(&mut self, value: i64) {
        self.fixed(value.to_be_bytes());
    }

    pub(super) fn uvarint(&mut self, value: u32) {
        varint::write_uvarint(&mut self.0, value);
    }

    pub(super) fn millis(&mut self, value: Duration) {
        self.int32(i32::try_from(value.as_millis()).unwrap_or(i32::MAX));
    }

    pub(super) fn string(&mut self, value: &str) {
        self.int16(value.len() as i16);
        self.fixed(value);
    }

    pub(super) fn nullable_string(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.string(value),
            None => self.int16(-1),
        }
    }

    /// A topic id as the UUID in its place. The zero UUID means "unknown", so counting starts at 1.
    pub(super) fn topic(&mut self, topic: TopicId) {
        self.fixed((u128::from(topic.0) + 1).to_be_bytes());
    }

    pub(super) fn compact_string(&mut self, value: &str) {
        self.compact_bytes(value.as_bytes());
    }

    pub(super) fn compact_nullable(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.compact_string(value),
            None => self.uvarint(0),
        }
    }

    pub(super) fn compact_bytes(&mut self, value: &[u8]) {
        self.uvarint(value.len() as u32 + 1);
        self.fixed(value);
    }

    pub(super) fn compact_array<T>(
        &mut self,
        elements: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        self.uvarint(elements.len() as u32 + 1);
        elements.for_each(|element| write(self, element));
    }

    /// The tagged fields that end a structure: each one's tag and bytes.
    pub(super) fn tagged(&mut self, fields: &[(u32, Vec<u8>)]) {
        self.uvarint(fields.len() as u32);
        for (tag, field) in fields {
            self.uvarint(*tag);
            self.uvarint(field.len() as u32);
            self.fixed(field);
        }
    }

    pub(super) fn bytes(&mut self, value: &[u8]) {
        self.int32(value.len() as i32);
        self.fixed(value);
    }

    /// Partitions gathered by topic, in the order in which the topics first come up.
    pub(super) fn partitions(&mut self, partitions: &[(Name, u32)]) {
        let mut topics: Vec<&Name> = Vec::new();
        for (topic, _) in partitions {
            if !topics.contains(&topic) {
                topics.push(topic);
            }
        }
        self.int32(topics.len() as i32);
        for topic in topics {
            let of_topic = || partitions.iter().filter(|(name, _)| name == topic);
            self.string(topic);
            self.int32(of_topic().count() as i32);
            of_topic().for_each(|(_, partition)| self.int32(partition.cast_signed()));
        }
    }
}

/// Reads the primitive types of Kafka's protocol off the front.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn int16(&mut self) -> Option<i16> {
        self.fixed().map(i16::from_be_bytes)
    }

    pub(super) fn int32(&mut self) -> Option<i32> {
        self.fixed().map(i32::from_be_bytes)
    }

    pub(super) fn int64(&mut self) -> Option<i64> {
        self.fixed().map(i64::from_be_bytes)
    }

    pub(super) fn uvarint(&mut self) -> Option<u32> {
        varint::read_uvarint(&mut self.0)
    }

    pub(super) fn millis(&mut self) -> Option<Duration> {
        u64::try_from(self.int32()?).ok().map(Duration::millis)
    }

    pub(super) fn string(&mut self) -> Option<Name> {
        self.nullable_string()?
    }

    pub(super) fn nullable_string(&mut self) -> Option<Option<Name>> {
        match usize::try_from(self.int16()?) {
            Err(_) => Some(None),
            Ok(length) => Some(Some(std::str::from_utf8(self.take(length)?).ok()?.into())),
        }
    }

    pub(super) fn topic(&mut self) -> Option<TopicId> {
        let number = u128::from_be_bytes(self.fixed()?).checked_sub(1)?;
        u32::try_from(number).ok().map(TopicId)
    }

    pub(super) fn compact_bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.uvarint()?.checked_sub(1)?;
        self.take(length as usize)
    }

    pub(super) fn compact_string(&mut self) -> Option<Name> {
        Some(std::str::from_utf8(self.compact_bytes()?).ok()?.into())
    }

    pub(super) fn compact_nullable(&mut self) -> Option<Option<Name>> {
        if self.0.first() == Some(&0) {
            self.take(1)?;
            return Some(None);
        }
        self.compact_string().map(Some)
    }

    pub(super) fn compact_array<T>(&mut self, mut element: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = self.uvarint()?.checked_sub(1)?;
        (0..length).map(|_| element(self)).collect()
    }

    /// Reads the tagged fields that end a struct; the one of that tag, if it is there, is given back.
    pub(super) fn tagged(&mut self, wanted: u32) -> Option<Option<&'a [u8]>> {
        let mut found = None;
        for _ in 0..self.uvarint()? {
            let (tag, size) = (self.uvarint()?, self.uvarint()?);
            let field = self.take(size as usize)?;
            if tag == wanted {
                found = Some(field);
            }
        }
        Some(found)
    }

    pub(super) fn skip_compact(&mut self) -> Option<()> {
        let length = self.uvarint()?.saturating_sub(1);
        self.take(length as usize).map(drop)
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.int32()?).ok()?;
        self.take(length)
    }

    pub(super) fn skip_nullable_bytes(&mut self) -> Option<()> {
        let length = self.int32()?.max(0);
        self.take(length as usize).map(drop)
    }

    pub(super) fn nullable_bytes(&mut self) -> Option<Option<&'a [u8]>> {
        match usize::try_from(self.int32()?) {
            Err(_) => Some(None),
            Ok(length) => Some(Some(self.take(length)?)),
        }
    }

    pub(super) fn array<T>(&mut self, mut element: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        (0..self.int32()?).map(|_| element(self)).collect()
    }

    pub(super) fn partitions(&mut self) -> Option<Vec<(Name, u32)>> {
        let topics = self.array(|bytes| Some((bytes.string()?, bytes.array(Self::int32)?)))?;
        let flat = topics.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(|partition| (topic.clone(), partition.cast_unsigned()))
        });
        Some(flat.collect())
    }
}
