//! Bytes of a segment file. Integers are little-endian.
//!
//! ```text
//! name    <number>-<samples|facts>-<epoch>.seg     number: 16 hex digits, rising over all starts
//! header  "FLSP" | u16 version | u16 0 | u64 made, ms since 1970 | u32 CRC-32C of these
//! record  u32 payload bytes | u32 CRC-32C of length, number, payload | u64 sequence number | payload
//! ```
//!
//! The file's name tells whose records these are, so that no damage inside can misattribute them.
//! Any bytes read as records or as none, never as a panic.

use crate::limits::SPOOL_RECORD_BYTES;
use crc::{CRC_32_ISCSI, Crc, Table};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

const MAGIC: [u8; 4] = *b"FLSP";
/// Rises when records, or resolutions of the metric catalogue, change their meaning.
const VERSION: u16 = 1;
pub(super) const HEADER_BYTES: usize = 20;
/// Bytes of a record before its payload.
pub(super) const HEAD_BYTES: usize = 16;

static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    Samples,
    /// Events, inventory, results: protected.
    Facts,
}

/// A segment file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    pub number: u64,
    pub lane: Lane,
    pub epoch: Uuid,
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lane = match self.lane {
            Lane::Samples => "samples",
            Lane::Facts => "facts",
        };
        write!(formatter, "{:016x}-{lane}-{}.seg", self.number, self.epoch.simple())
    }
}

/// The file is none of the spool's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Foreign;

impl FromStr for Name {
    type Err = Foreign;

    fn from_str(text: &str) -> Result<Self, Foreign> {
        let mut parts = text.strip_suffix(".seg").ok_or(Foreign)?.splitn(3, '-');
        let mut part = || parts.next().ok_or(Foreign);
        let number = u64::from_str_radix(part()?, 16).map_err(|_| Foreign)?;
        let lane = match part()? {
            "samples" => Lane::Samples,
            "facts" => Lane::Facts,
            _ => return Err(Foreign),
        };
        let epoch = Uuid::parse_str(part()?).map_err(|_| Foreign)?;
        let name = Self { number, lane, epoch };
        if name.to_string() == text { Ok(name) } else { Err(Foreign) }
    }
}

pub(super) fn header(made_ms: i64) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
    bytes[8..16].copy_from_slice(&made_ms.to_le_bytes());
    let sum = CRC32C.checksum(&bytes[..16]);
    bytes[16..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// What a file begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    Good {
        made_ms: i64,
    },
    /// Of another version of the agent.
    Other(u16),
    Damaged,
}

pub(super) fn parse_header(bytes: &[u8]) -> Header {
    let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else { return Header::Damaged };
    if bytes[..4] != MAGIC || word(&bytes[16..]) != Some(CRC32C.checksum(&bytes[..16])) {
        return Header::Damaged;
    }
    match u16::from_le_bytes([bytes[4], bytes[5]]) {
        VERSION => Header::Good { made_ms: long(&bytes[8..]).unwrap_or(0) as i64 },
        other => Header::Other(other),
    }
}

pub(super) fn record(seq: u64, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_le_bytes();
    let seq = seq.to_le_bytes();
    let mut bytes = Vec::with_capacity(HEAD_BYTES + payload.len());
    bytes.extend_from_slice(&length);
    bytes.extend_from_slice(&sum(&length, &seq, payload).to_le_bytes());
    bytes.extend_from_slice(&seq);
    bytes.extend_from_slice(payload);
    bytes
}

/// A whole record at the beginning of `bytes`: its number and its payload.
pub(super) fn parse_record(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = word(bytes)? as usize;
    if length > SPOOL_RECORD_BYTES {
        return None;
    }
    let payload = bytes.get(HEAD_BYTES..HEAD_BYTES + length)?;
    let good = word(&bytes[4..])? == sum(&bytes[..4], &bytes[8..16], payload);
    good.then(|| long(&bytes[8..]).map(|seq| (seq, payload))).flatten()
}

/// The number of the record at the beginning of `bytes`, if there is one; its sum is not checked.
pub(super) fn peek_seq(bytes: &[u8]) -> Option<u64> {
    long(bytes.get(8..)?)
}

fn sum(length: &[u8], seq: &[u8], payload: &[u8]) -> u32 {
    let mut digest = CRC32C.digest();
    digest.update(length);
    digest.update(seq);
    digest.update(payload);
    digest.finalize()
}

fn word(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn long(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_are_pinned() {
        let name = Name { number: 10, lane: Lane::Facts, epoch: Uuid::from_u128(1) };
        assert_eq!(name.to_string(), "000000000000000a-facts-00000000000000000000000000000001.seg");
        assert_eq!(name.to_string().parse(), Ok(name));
        for foreign in ["cursor", "a-facts-1.seg", "000000000000000A-facts-00000000000000000000000000000001.seg"] {
            assert_eq!(foreign.parse::<Name>(), Err(Foreign), "{foreign}");
        }
        let crc32c_of_nine_digits = 0xe306_9283;
        assert_eq!(CRC32C.checksum(b"123456789"), crc32c_of_nine_digits, "RFC 3720");
        assert_eq!(record(7, b"ab")[..4], [2, 0, 0, 0]);
        assert_eq!(record(7, b"ab")[8..], [7, 0, 0, 0, 0, 0, 0, 0, b'a', b'b']);
        assert_eq!(parse_header(&header(5)), Header::Good { made_ms: 5 });
    }

    proptest! {
        #[test]
        fn a_record_with_any_flipped_bit_is_none(seq: u64, payload in proptest::collection::vec(any::<u8>(), 0..60), at: usize) {
            let mut bytes = record(seq, &payload);
            prop_assert_eq!(parse_record(&bytes), Some((seq, payload.as_slice())));
            let at = at % (bytes.len() * 8);
            bytes[at / 8] ^= 1 << (at % 8);
            prop_assert_eq!(parse_record(&bytes), None);
        }

        #[test]
        fn any_bytes_are_a_record_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = (parse_record(&bytes), parse_header(&bytes), peek_seq(&bytes));
        }
    }
}
