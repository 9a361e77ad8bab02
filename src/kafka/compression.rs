//! The codecs of `compression.type`, as Kafka's own classes frame them (`org.apache.kafka.common.compress`).
//!
//! All of them are pure Rust, so the same records have the same bytes natively and in a browser. Another program reads
//! what is written here; the bytes need not equal those of another encoder, as no codec prescribes them.

use std::io::{self, Read, Write};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::config::Compression;
use super::record::CorruptRecord;

/// `records` as one compressed block.
pub fn compress(codec: Compression, records: &[u8]) -> Vec<u8> {
    // An encoder writes into memory, and memory takes everything.
    let written = match codec {
        Compression::None => Ok(records.to_vec()),
        Compression::Gzip => gzip(records),
        Compression::Snappy => snappy(records),
        Compression::Lz4 => lz4(records),
        Compression::Zstd => Ok(compress_to_vec(records, CompressionLevel::Fastest)),
    };
    written.unwrap_or_else(|error| unreachable!("{codec:?} refused {} bytes: {error}", records.len()))
}

/// The records of a compressed block; an error where the block is not what its codec writes.
pub fn decompress(codec: Compression, block: &[u8]) -> Result<Vec<u8>, CorruptRecord> {
    let mut records = Vec::new();
    let read = match codec {
        Compression::None => {
            records.extend_from_slice(block);
            Ok(block.len())
        }
        Compression::Gzip => MultiGzDecoder::new(block).read_to_end(&mut records),
        Compression::Snappy => return unsnappy(block),
        Compression::Lz4 => FrameDecoder::new(block).read_to_end(&mut records),
        Compression::Zstd => match StreamingDecoder::new(block) {
            Ok(mut decoder) => decoder.read_to_end(&mut records),
            Err(_) => return Err(CorruptRecord("the block does not begin as a zstd frame")),
        },
    };
    read.map(|_| records).map_err(|_| CorruptRecord("the compressed block cannot be read"))
}

/// The default level, no name, no time: `GzipOutputStream` of a Kafka client.
fn gzip(records: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(records)?;
    encoder.finish()
}

/// Independent blocks of 64 KiB without checksums: `Lz4BlockOutputStream`.
fn lz4(records: &[u8]) -> io::Result<Vec<u8>> {
    let frame = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(frame, Vec::new());
    encoder.write_all(records)?;
    Ok(encoder.finish()?)
}

/// The header of snappy-java's stream: its magic, its version, and the oldest version that reads it.
const SNAPPY_HEADER: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];

/// Bytes in one block of snappy-java's stream (`SnappyOutputStream.DEFAULT_BLOCK_SIZE`).
const SNAPPY_BLOCK: usize = 32 * 1024;

/// Snappy's raw blocks, each behind its length, behind the header that snappy-java writes: Kafka has never used
/// Snappy's own frame format.
fn snappy(records: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = SNAPPY_HEADER.to_vec();
    let mut encoder = snap::raw::Encoder::new();
    for chunk in records.chunks(SNAPPY_BLOCK) {
        let block = encoder.compress_vec(chunk)?;
        out.extend_from_slice(&(block.len() as u32).to_be_bytes());
        out.extend_from_slice(&block);
    }
    Ok(out)
}

/// Reads snappy-java's stream, and a single raw block without a header as well: some clients write that.
fn unsnappy(block: &[u8]) -> Result<Vec<u8>, CorruptRecord> {
    const BAD: CorruptRecord = CorruptRecord("the block is not a snappy stream");
    let mut decoder = snap::raw::Decoder::new();
    if !block.starts_with(&SNAPPY_HEADER[..8]) {
        return decoder.decompress_vec(block).map_err(|_| BAD);
    }
    let mut rest = block.get(SNAPPY_HEADER.len()..).ok_or(BAD)?;
    let mut records = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>().ok_or(BAD)?;
        let length = u32::from_be_bytes(*length) as usize;
        let chunk = after.get(..length).ok_or(BAD)?;
        records.extend_from_slice(&decoder.decompress_vec(chunk).map_err(|_| BAD)?);
        rest = &after[length..];
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CODECS: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    #[test]
    fn every_codec_shrinks_what_repeats() {
        let records = b"Hello World ".repeat(20_000);
        for codec in CODECS {
            let block = compress(codec, &records);
            assert!(codec == Compression::None || block.len() < records.len() / 10, "{codec:?}: {}", block.len());
            assert_eq!(decompress(codec, &block).as_deref(), Ok(records.as_slice()), "{codec:?}");
        }
    }

    /// The first bytes that tell another program how to read on.
    #[test]
    fn blocks_begin_as_kafka_writes_them() {
        assert!(compress(Compression::Gzip, b"x").starts_with(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]));
        assert!(compress(Compression::Snappy, b"x").starts_with(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x03"));
        // Version 01, independent blocks, no checksums: 0x60; blocks of 64 KiB: 0x40.
        assert!(compress(Compression::Lz4, b"x").starts_with(&[0x04, 0x22, 0x4d, 0x18, 0x60, 0x40]));
        assert!(compress(Compression::Zstd, b"x").starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
    }

    #[test]
    fn a_block_of_noise_is_an_error_and_not_a_panic() {
        for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
            assert!(decompress(codec, b"this is no compressed block at all").is_err(), "{codec:?}");
            let whole = compress(codec, &b"abc".repeat(100));
            assert!(decompress(codec, &whole[..whole.len() / 2]).is_err(), "{codec:?} cut short");
        }
    }

    proptest! {
        #[test]
        fn a_damaged_block_never_panics(at in any::<prop::sample::Index>(), byte: u8, text in "[ab]{0,300}") {
            for codec in CODECS {
                let mut block = compress(codec, text.as_bytes());
                if !block.is_empty() {
                    let at = at.index(block.len());
                    block[at] = byte;
                }
                let _ = decompress(codec, &block);
            }
        }

        #[test]
        fn every_codec_gives_back_what_it_was_given(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..60),
            repeated in 0_usize..60,
        ) {
            let records = pieces.concat().repeat(repeated);
            for codec in CODECS {
                prop_assert_eq!(decompress(codec, &compress(codec, &records)), Ok(records.clone()));
            }
        }
    }
}
