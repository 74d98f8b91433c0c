//! What an agent streams, on uni streams that each are of a [`Class`].
//!
//! Every batch carries a sequence number of its (agent, epoch); one sequence serves all classes,
//! and the controller keeps it as closed intervals. An epoch is a new UUID at each agent start.

use crate::document::Document;
use crate::event::Event;
use crate::limits::HISTORY_BATCH_ROWS;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Classes of streams: history must not hold up a death.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Events, inventory and command results.
    Facts,
    /// Samples as they are taken.
    Live,
    /// Whatever was held while the controller was away: samples on one stream and, from version 2 on, facts on
    /// another.
    Replay,
}

/// One frame of an uplink stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Uplink {
    /// The first frame of a stream, and again where the epoch or the sample dictionary begins
    /// anew: the frames after it belong to this class and epoch, and to a fresh
    /// [`crate::delta::Decoder`].
    #[serde(rename = "b")]
    Begin(Begin),
    /// Sequence number, and one tick's rows by [`crate::delta`].
    #[serde(rename = "s")]
    Samples(u64, #[serde(with = "bytes")] Vec<u8>),
    #[serde(rename = "e")]
    Events(u64, Vec<Event>),
    #[serde(rename = "i")]
    Inventory(u64, Vec<Document>),
    /// Sequence numbers that the agent's bound forced out, first and last: they will never come.
    #[serde(rename = "x")]
    Evicted(u64, u64),
}

/// What a batch of history with so many rows takes of the credit; both sides count alike.
#[must_use]
pub fn history_rows(rows: usize) -> u64 {
    rows.max(HISTORY_BATCH_ROWS) as u64
}

/// See [`Uplink::Begin`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    pub class: Class,
    pub epoch: Uuid,
}

/// `Vec<u8>` as MessagePack `bin`, not as an array of numbers.
mod bytes {
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("bytes")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_bytes_are_pinned() {
        let samples = Uplink::Samples(300, vec![1, 2, 3]);
        let bytes = rmp_serde::to_vec_named(&samples).expect("encodes");
        assert_eq!(bytes, [0x81, 0xa1, b's', 0x92, 0xcd, 1, 44, 0xc4, 3, 1, 2, 3]);
        let begin = Uplink::Begin(Begin { class: Class::Live, epoch: Uuid::nil() });
        let bytes = rmp_serde::to_vec_named(&begin).expect("encodes");
        assert_eq!(bytes[..10], [0x81, 0xa1, b'b', 0x82, 0xa5, b'c', b'l', b'a', b's', b's']);
        assert_eq!(rmp_serde::from_slice::<Uplink>(&bytes).expect("decodes"), begin);
    }
}
