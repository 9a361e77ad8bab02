//! Variable-length integers: 7 bits a byte, the low group first, the high bit says that more follow.
//!
//! Signed ones are zig-zag first, so that small negative numbers stay short too. Source: `ByteUtils`.

/// The bytes that the longest number takes.
pub const MAX_LENGTH: usize = 10;

/// The bytes that [`write_varint`] takes for `value`.
#[inline]
pub const fn varint_length(value: i32) -> u32 {
    length(zig_zag32(value) as u64)
}

/// The bytes that [`write_varlong`] takes for `value`.
#[inline]
pub const fn varlong_length(value: i64) -> u32 {
    length(zig_zag64(value))
}

/// Appends a zig-zag number of 32 bits.
pub fn write_varint(out: &mut Vec<u8>, value: i32) {
    write(out, u64::from(zig_zag32(value)));
}

/// Appends a zig-zag number of 64 bits.
pub fn write_varlong(out: &mut Vec<u8>, value: i64) {
    write(out, zig_zag64(value));
}

/// Appends a number without zig-zag, as the compact types of flexible API versions have it.
pub fn write_uvarint(out: &mut Vec<u8>, value: u32) {
    write(out, u64::from(value));
}

/// Takes a zig-zag number of 32 bits off the front of `bytes`; `None` if it is cut short or too long.
#[inline]
pub fn read_varint(bytes: &mut &[u8]) -> Option<i32> {
    let raw = read_uvarint(bytes)?;
    Some((raw >> 1) as i32 ^ -((raw & 1) as i32))
}

/// Takes a zig-zag number of 64 bits off the front of `bytes`; `None` if it is cut short or too long.
#[inline]
pub fn read_varlong(bytes: &mut &[u8]) -> Option<i64> {
    let raw = read(bytes, 64)?;
    Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

/// Takes a number without zig-zag off the front of `bytes`; `None` if it is cut short or too long.
///
/// Bits of a fifth byte that do not fit are dropped, as Kafka drops them.
#[inline]
pub fn read_uvarint(bytes: &mut &[u8]) -> Option<u32> {
    read(bytes, 32).map(|raw| raw as u32)
}

/// Writes `raw` into `out` at `*at` and moves `*at` on. There must be room for [`MAX_LENGTH`] bytes.
#[inline]
pub(super) fn put(out: &mut [u8], at: &mut usize, mut raw: u64) {
    while raw >= 0x80 {
        out[*at] = raw as u8 | 0x80;
        *at += 1;
        raw >>= 7;
    }
    out[*at] = raw as u8;
    *at += 1;
}

#[inline]
pub(super) const fn zig_zag32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

#[inline]
pub(super) const fn zig_zag64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline]
const fn length(raw: u64) -> u32 {
    if raw < 0x80 {
        return 1;
    }
    let bits = 64 - (raw | 1).leading_zeros();
    bits.div_ceil(7)
}

#[inline]
fn write(out: &mut Vec<u8>, raw: u64) {
    if raw < 0x80 {
        out.push(raw as u8);
        return;
    }
    let mut encoded = [0; MAX_LENGTH];
    let mut at = 0;
    put(&mut encoded, &mut at, raw);
    out.extend_from_slice(&encoded[..at]);
}

#[inline]
fn read(bytes: &mut &[u8], bits: u32) -> Option<u64> {
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    if *first < 0x80 {
        return Some(u64::from(*first));
    }
    let mut value = u64::from(*first & 0x7f);
    let mut shift = 7;
    while shift < bits {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(*byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(value);
        }
        shift += 7;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The edges of `vectors/varint.json`.
    #[test]
    fn numbers_take_the_bytes_that_kafka_writes() {
        let mut out = Vec::new();
        write_varint(&mut out, -65);
        write_varint(&mut out, i32::MIN);
        write_varlong(&mut out, i64::MAX);
        write_uvarint(&mut out, -2_147_483_648_i32 as u32);
        assert_eq!(
            out,
            [
                0x81, 0x01, 0xff, 0xff, 0xff, 0xff, 0x0f, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
                0x80, 0x80, 0x80, 0x80, 0x08
            ]
        );
    }

    #[test]
    fn a_number_that_is_cut_short_or_never_ends_is_refused() {
        assert_eq!(read_varint(&mut [0x80].as_slice()), None);
        assert_eq!(read_varint(&mut [0xff; 6].as_slice()), None);
        assert_eq!(read_varlong(&mut [0xff; 11].as_slice()), None);
        assert_eq!(read_varint(&mut [].as_slice()), None);
    }

    proptest::proptest! {
        #[test]
        fn a_number_written_is_read_back_and_takes_the_length_foretold(int: i32, long: i64, unsigned: u32) {
            let mut out = Vec::new();
            write_varint(&mut out, int);
            assert_eq!(out.len() as u32, varint_length(int));
            write_varlong(&mut out, long);
            assert_eq!(out.len() as u32, varint_length(int) + varlong_length(long));
            write_uvarint(&mut out, unsigned);
            let mut rest = out.as_slice();
            assert_eq!(read_varint(&mut rest), Some(int));
            assert_eq!(read_varlong(&mut rest), Some(long));
            assert_eq!(read_uvarint(&mut rest), Some(unsigned));
            assert!(rest.is_empty());
        }
    }
}
