//! One question or answer with its number, as MessagePack. Pure.

use rmp_serde::{decode, encode};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Numbered<T>(u64, T);

/// The bytes of a message, without their length.
///
/// # Errors
/// If it is no plain data.
pub fn write<M: Serialize>(number: u64, message: &M) -> Result<Vec<u8>, encode::Error> {
    rmp_serde::to_vec_named(&Numbered(number, message))
}

/// The number by itself: an older answer may be of another shape.
///
/// # Errors
/// If these bytes are no message.
pub fn number(bytes: &[u8]) -> Result<u64, decode::Error> {
    rmp_serde::from_slice::<Numbered<IgnoredAny>>(bytes).map(|Numbered(number, _)| number)
}

/// The number and the message.
///
/// # Errors
/// If these bytes are no such message.
pub fn read<M: DeserializeOwned>(bytes: &[u8]) -> Result<(u64, M), decode::Error> {
    rmp_serde::from_slice(bytes).map(|Numbered(number, message)| (number, message))
}
