//! Frames: a length, a flag, a MessagePack value.
//!
//! ```text
//! u32 big-endian: bit 31 = payload is zstd, bits 0–30 = payload bytes
//! payload
//! ```
//!
//! Structs travel as maps with field names, so that fields can be added; the two messages that
//! flow all the time are tuples (see [`crate::uplink`], [`crate::control`]).

use crate::limits::{COMPRESS_FROM_BYTES, FRAME_BYTES, FRAME_PLAIN_BYTES};
use serde::{Serialize, de::DeserializeOwned};

/// Bytes of a frame's head.
pub const HEAD_BYTES: usize = 4;

const COMPRESSED: u32 = 1 << 31;

/// What is wrong with a frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("frame of {0} bytes is over the bound of {FRAME_BYTES}")]
    TooLong(usize),
    #[error("frame unpacks to more than {FRAME_PLAIN_BYTES} bytes")]
    TooLongUnpacked,
    #[error("frame's compressed payload is damaged: {0}")]
    Damaged(String),
    #[error("frame does not hold the expected message: {0}")]
    Unexpected(#[from] rmp_serde::decode::Error),
    #[error("message could not be written as MessagePack: {0}")]
    Unwritable(#[from] rmp_serde::encode::Error),
}

/// A frame's head, read before its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub length: usize,
    pub compressed: bool,
}

impl Head {
    /// # Errors
    /// [`FrameError::TooLong`]: the payload must not be read.
    pub fn parse(bytes: [u8; HEAD_BYTES]) -> Result<Self, FrameError> {
        let word = u32::from_be_bytes(bytes);
        let head = Self { length: (word & !COMPRESSED) as usize, compressed: word & COMPRESSED != 0 };
        if head.length > FRAME_BYTES { Err(FrameError::TooLong(head.length)) } else { Ok(head) }
    }
}

/// A whole frame, head included, compressed where it pays.
///
/// # Errors
/// [`FrameError::TooLong`] if the message does not fit; [`FrameError::Unwritable`].
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, FrameError> {
    let plain = rmp_serde::to_vec_named(message)?;
    if plain.len() >= COMPRESS_FROM_BYTES
        && let Ok(packed) = zstd::bulk::compress(&plain, 3)
        && packed.len() < plain.len()
    {
        return with_head(&packed, COMPRESSED);
    }
    with_head(&plain, 0)
}

fn with_head(payload: &[u8], flag: u32) -> Result<Vec<u8>, FrameError> {
    if payload.len() > FRAME_BYTES {
        return Err(FrameError::TooLong(payload.len()));
    }
    let mut frame = Vec::with_capacity(HEAD_BYTES + payload.len());
    frame.extend_from_slice(&(payload.len() as u32 | flag).to_be_bytes());
    frame.extend_from_slice(payload);
    Ok(frame)
}

/// The message of a frame whose head has been parsed.
///
/// # Errors
/// Any [`FrameError`]; the payload comes from the network.
pub fn decode<M: DeserializeOwned>(head: Head, payload: &[u8]) -> Result<M, FrameError> {
    if !head.compressed {
        return Ok(rmp_serde::from_slice(payload)?);
    }
    let plain = zstd::bulk::decompress(payload, plain_bytes(head, payload)?)
        .map_err(|error| FrameError::Damaged(error.to_string()))?;
    Ok(rmp_serde::from_slice(&plain)?)
}

/// What a payload takes unpacked: the size that zstd states in it, bounded.
///
/// # Errors
/// No such size, or one beyond the bound.
pub fn plain_bytes(head: Head, payload: &[u8]) -> Result<usize, FrameError> {
    if !head.compressed {
        return Ok(payload.len());
    }
    match zstd::zstd_safe::get_frame_content_size(payload) {
        Ok(Some(size)) if size > FRAME_PLAIN_BYTES as u64 => Err(FrameError::TooLongUnpacked),
        Ok(Some(size)) => Ok(size as usize),
        Ok(None) => Err(FrameError::Damaged("no size stated".into())),
        Err(_) => Err(FrameError::Damaged("not a zstd frame".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(frame: &[u8]) -> (Head, &[u8]) {
        let (head, payload) = frame.split_at(HEAD_BYTES);
        (Head::parse(head.try_into().expect("four bytes")).expect("within bounds"), payload)
    }

    proptest! {
        #[test]
        fn messages_come_back(text in ".{0,3000}") {
            let frame = encode(&text).expect("fits");
            let (head, payload) = split(&frame);
            prop_assert_eq!(decode::<String>(head, payload).expect("own frame"), text);
        }

        #[test]
        fn any_payload_is_an_answer_or_an_error(payload in proptest::collection::vec(any::<u8>(), 0..300), compressed in any::<bool>()) {
            let _ = decode::<crate::uplink::Uplink>(Head { length: payload.len(), compressed }, &payload);
        }
    }

    #[test]
    fn long_repetitive_messages_are_compressed() {
        let frame = encode(&"a".repeat(10_000)).expect("fits");
        assert!(split(&frame).0.compressed);
        assert!(frame.len() < 200);
    }

    #[test]
    fn an_oversize_head_is_refused() {
        assert!(matches!(Head::parse([0x7f, 0xff, 0xff, 0xff]), Err(FrameError::TooLong(_))));
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let bomb = zstd::bulk::compress(&vec![0_u8; FRAME_PLAIN_BYTES + 1], 3).expect("packs");
        let head = Head { length: bomb.len(), compressed: true };
        assert!(matches!(decode::<String>(head, &bomb), Err(FrameError::TooLongUnpacked)));
    }
}
