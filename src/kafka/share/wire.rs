//! The primitive types of Kafka's protocol, as far as the records of share groups need them: keys in the old way, values in
//! the flexible one (KIP-482), where lengths are varints and each structure ends in tagged fields.

use crate::kafka::ids::{Name, TopicId};
use crate::kafka::varint;

/// Writes a key or a value.
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

    pub(super) fn int32(&mut self, value: i32) {
        self.fixed(value.to_be_bytes());
    }

    pub(super) fn int64(&mut self, value: i64) {
        self.fixed(value.to_be_bytes());
    }

    pub(super) fn string(&mut self, value: &str) {
        self.fixed((value.len() as i16).to_be_bytes());
        self.fixed(value);
    }

    /// A topic id as the UUID in its place. The zero UUID means "unknown", so counting starts at 1.
    pub(super) fn topic(&mut self, topic: TopicId) {
        self.fixed((u128::from(topic.0) + 1).to_be_bytes());
    }

    pub(super) fn compact_string(&mut self, value: Option<&str>) {
        varint::write_uvarint(&mut self.0, value.map_or(0, |value| value.len() as u32 + 1));
        self.fixed(value.unwrap_or_default());
    }

    pub(super) fn compact_array<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        varint::write_uvarint(&mut self.0, items.len() as u32 + 1);
        items.for_each(|item| write(self, item));
    }

    /// The end of a structure without tagged fields.
    pub(super) fn end(&mut self) {
        varint::write_uvarint(&mut self.0, 0);
    }

    /// The end of a structure with field 0 as its only tagged one.
    pub(super) fn end_with(&mut self, field: &[u8]) {
        for number in [1, 0, field.len() as u32] {
            varint::write_uvarint(&mut self.0, number);
        }
        self.fixed(field);
    }
}

/// Reads it off the front.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
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

    pub(super) fn string(&mut self) -> Option<Name> {
        let length = usize::try_from(self.int16()?).ok()?;
        Some(std::str::from_utf8(self.take(length)?).ok()?.into())
    }

    pub(super) fn topic(&mut self) -> Option<TopicId> {
        let number = u128::from_be_bytes(self.fixed()?).checked_sub(1)?;
        u32::try_from(number).ok().map(TopicId)
    }

    /// `None` inside is null.
    pub(super) fn compact_string(&mut self) -> Option<Option<Name>> {
        match varint::read_uvarint(&mut self.0)? {
            0 => Some(None),
            length => Some(Some(std::str::from_utf8(self.take(length as usize - 1)?).ok()?.into())),
        }
    }

    pub(super) fn compact_array<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = varint::read_uvarint(&mut self.0)?.saturating_sub(1);
        (0..count).map(|_| read(self)).collect()
    }

    /// The end of a structure: its tagged field 0, if there is one. Others are skipped.
    pub(super) fn end(&mut self) -> Option<Option<&'a [u8]>> {
        let mut found = None;
        for _ in 0..varint::read_uvarint(&mut self.0)? {
            let (tag, size) = (varint::read_uvarint(&mut self.0)?, varint::read_uvarint(&mut self.0)?);
            let field = self.take(size as usize)?;
            found = found.or((tag == 0).then_some(field));
        }
        Some(found)
    }
}
