//! A run as text for a link: its scenario, and the commands given so far.
//!
//! `1.PAYLOAD.CHECK`: the program's link format, the deflated run in base64url, and the CRC-32C of what was deflated. A
//! link that was cut off, changed or made by a newer program says so instead of opening something else.

use std::fmt;
use std::io::{Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};

use crate::time::Instant;

/// The newest link format this program reads, and the one it writes.
pub const FORMAT: u32 = 1;

/// What a link holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// The scenario file.
    #[serde(rename = "s")]
    pub scenario: String,
    /// Commands given by hand, each with its time in microseconds.
    #[serde(rename = "c", default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<(u64, String)>,
    /// The moment on show.
    #[serde(rename = "t", default)]
    pub at: u64,
}

/// Why a link cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// Made by a newer program.
    TooNew(u32),
    /// Cut off or changed on its way.
    Damaged,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooNew(format) => {
                write!(f, "This link was made by a newer Brokerscope (format {format}; this one reads {FORMAT}).")
            }
            Self::Damaged => write!(f, "This link is damaged: part of it is missing or changed. Please copy it again."),
        }
    }
}

/// No link opens to more than this: a small text can be made to inflate without end.
const LARGEST: u64 = 1 << 20;

impl Shared {
    /// The text after `#s=`.
    pub fn encode(&self) -> String {
        let plain = serde_json::to_vec(self).unwrap_or_default();
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        // Writing into memory cannot fail.
        let packed = encoder.write_all(&plain).and_then(|()| encoder.finish()).unwrap_or_default();
        format!("{FORMAT}.{}.{:08x}", URL_SAFE_NO_PAD.encode(packed), crc32c::crc32c(&plain))
    }

    /// Reads what [`Shared::encode`] wrote.
    pub fn decode(text: &str) -> Result<Self, LinkError> {
        let mut parts = text.trim().split('.');
        let format: u32 = parts.next().and_then(|format| format.parse().ok()).ok_or(LinkError::Damaged)?;
        if format > FORMAT {
            return Err(LinkError::TooNew(format));
        }
        let (Some(payload), Some(check), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(LinkError::Damaged);
        };
        let packed = URL_SAFE_NO_PAD.decode(payload).map_err(|_| LinkError::Damaged)?;
        let mut plain = Vec::new();
        let inflated = DeflateDecoder::new(&packed[..]).take(LARGEST).read_to_end(&mut plain);
        inflated.map_err(|_| LinkError::Damaged)?;
        if u32::from_str_radix(check, 16).ok() != Some(crc32c::crc32c(&plain)) {
            return Err(LinkError::Damaged);
        }
        serde_json::from_slice(&plain).map_err(|_| LinkError::Damaged)
    }

    /// The moment on show.
    pub fn moment(&self) -> Instant {
        Instant::from_micros(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared() -> Shared {
        Shared {
            scenario: "format = 1\ntitle = \"Grüße\"\n".repeat(20),
            commands: vec![(4_500_000, "kill broker-1".to_owned())],
            at: 14_203_000,
        }
    }

    #[test]
    fn a_link_opens_to_what_was_shared() {
        assert_eq!(Shared::decode(&shared().encode()), Ok(shared()));
    }

    #[test]
    fn a_link_is_safe_in_an_address() {
        assert!(shared().encode().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)));
    }

    #[test]
    fn a_link_that_lost_or_changed_a_letter_is_damaged() {
        let text = shared().encode();
        for at in 2..text.len() {
            assert_eq!(Shared::decode(&text[..at]), Err(LinkError::Damaged), "cut at {at}");
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("still ASCII");
            assert_ne!(
                Shared::decode(&changed),
                Ok(shared()).map(|shared| Shared { at: 0, ..shared }),
                "changed at {at}"
            );
            assert!(Shared::decode(&changed).is_err() || Shared::decode(&changed) == Ok(shared()), "changed at {at}");
        }
    }

    #[test]
    fn a_link_of_a_newer_program_says_so() {
        assert_eq!(Shared::decode("2.AAAA.00000000"), Err(LinkError::TooNew(2)));
        assert_eq!(Shared::decode("garbage"), Err(LinkError::Damaged));
    }
}
