//! The sample codec of one stream: rows as differences against the row before.
//!
//! Encoder and decoder keep, for each entity that the stream has named, its last codes
//! ([`crate::metric::Resolution`]). A batch is:
//!
//! ```text
//! varint  zigzag(tick_ms − previous tick_ms)
//! varint  rows
//! row:    varint  zigzag(entity − (previous entity + 1))
//!         entity = number of entities known so far: a new one:
//!                 u8 kind | varint key length | key, UTF-8
//!         bitmap  ⌈metrics ⁄ 8⌉ bytes, bit i: metric i changed
//!         for each changed metric, in order:
//!           it was absent:  varint zigzag(code)
//!           it was present: varint 0 = absent now, else zigzag(code − last)
//! ```
//!
//! Invariants, each with a test: a decoder that saw every batch since the stream's begin returns
//! what was encoded, rounded to the catalogue's resolution; any other input is an error and never
//! a panic or an unbounded allocation; a metric that the peer's catalogue does not have is refused
//! by the version in the hello, not here.

use crate::limits::{ENTITIES_PER_STREAM, ENTITY_KEY_BYTES, ROWS_PER_BATCH};
use crate::samples::{EntityKind, Row};
use std::collections::HashMap;

/// What is wrong with a batch of samples.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DeltaError {
    #[error("sample batch ends in the middle of {0}")]
    Truncated(&'static str),
    #[error("sample batch has {0} bytes after its last row")]
    Trailing(usize),
    #[error("sample batch announces {0} rows, more than {ROWS_PER_BATCH}")]
    TooManyRows(u64),
    #[error("sample stream names more than {ENTITIES_PER_STREAM} entities")]
    TooManyEntities,
    #[error("sample row refers to entity {0}, which the stream has not named")]
    UnknownEntity(i64),
    #[error("sample row names an entity of unknown kind {0}")]
    UnknownKind(u8),
    #[error("sample row's key has {0} bytes, more than {ENTITY_KEY_BYTES}")]
    KeyTooLong(u64),
    #[error("sample row's key is not UTF-8")]
    KeyNotText,
    #[error("sample row changes a metric that {0} does not have")]
    UnknownMetric(&'static str),
    #[error("a number in the sample batch is longer than 64 bits")]
    Overlong,
}

#[derive(Debug)]
struct Entity {
    kind: EntityKind,
    key: String,
    codes: Vec<Option<i64>>,
}

/// Encodes the batches of one stream, in order.
#[derive(Debug, Default)]
pub struct Encoder {
    tick_ms: i64,
    entities: Vec<Entity>,
    index: HashMap<EntityKind, HashMap<String, usize>>,
}

impl Encoder {
    /// Whether the stream has named so many entities that it should begin anew
    /// ([`crate::uplink::Uplink::Begin`]) before the next batch of `rows` rows.
    #[must_use]
    pub fn is_full(&self, rows: usize) -> bool {
        self.entities.len() + rows > ENTITIES_PER_STREAM
    }

    /// Encodes the rows of one tick. Rows beyond [`ROWS_PER_BATCH`] and keys beyond
    /// [`ENTITY_KEY_BYTES`] are the collector's fault and are refused.
    ///
    /// # Errors
    /// [`DeltaError`], and then the encoder is unchanged only in so far as a fresh
    /// [`Encoder`] must be begun.
    pub fn encode(&mut self, tick_ms: i64, rows: &[Row]) -> Result<Vec<u8>, DeltaError> {
        if rows.len() > ROWS_PER_BATCH {
            return Err(DeltaError::TooManyRows(rows.len() as u64));
        }
        let mut out = Vec::with_capacity(16 + rows.len() * 24);
        put_signed(&mut out, tick_ms.wrapping_sub(self.tick_ms));
        self.tick_ms = tick_ms;
        put_unsigned(&mut out, rows.len() as u64);
        let mut expected = 0_i64;
        for row in rows {
            let (position, is_new) = self.position(row)?;
            put_signed(&mut out, position as i64 - expected);
            expected = position as i64 + 1;
            if is_new {
                out.push(row.kind as u8);
                put_unsigned(&mut out, row.key.len() as u64);
                out.extend_from_slice(row.key.as_bytes());
            }
            put_codes(&mut out, row, &mut self.entities[position].codes);
        }
        Ok(out)
    }

    fn position(&mut self, row: &Row) -> Result<(usize, bool), DeltaError> {
        if let Some(&position) = self.index.get(&row.kind).and_then(|keys| keys.get(row.key.as_str())) {
            return Ok((position, false));
        }
        if row.key.len() > ENTITY_KEY_BYTES {
            return Err(DeltaError::KeyTooLong(row.key.len() as u64));
        }
        if self.entities.len() >= ENTITIES_PER_STREAM {
            return Err(DeltaError::TooManyEntities);
        }
        let position = self.entities.len();
        self.entities.push(Entity { kind: row.kind, key: String::new(), codes: vec![None; row.kind.metrics().len()] });
        self.index.entry(row.kind).or_default().insert(row.key.clone(), position);
        Ok((position, true))
    }
}

fn put_codes(out: &mut Vec<u8>, row: &Row, last: &mut [Option<i64>]) {
    let bitmap = out.len();
    out.resize(bitmap + last.len().div_ceil(8), 0);
    for (position, (metric, last)) in row.kind.metrics().iter().zip(last.iter_mut()).enumerate() {
        let value = row.values.get(position).copied().flatten();
        let code = value.and_then(|value| metric.resolution.encode(value));
        if code == *last {
            continue;
        }
        out[bitmap + position / 8] |= 1 << (position % 8);
        match (*last, code) {
            (None, Some(code)) => put_signed(out, code),
            (Some(_), None) => put_signed(out, 0),
            (Some(last), Some(code)) => put_signed(out, code.wrapping_sub(last)),
            (None, None) => {}
        }
        *last = code;
    }
}

/// Decodes the batches of one stream, in order. After an error the stream must be closed.
#[derive(Debug, Default)]
pub struct Decoder {
    tick_ms: i64,
    entities: Vec<Entity>,
}

impl Decoder {
    /// Decodes one batch into its tick (milliseconds since the Unix epoch) and rows.
    ///
    /// # Errors
    /// [`DeltaError`] says what is wrong; the decoder must not be used after that.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<(i64, Vec<Row>), DeltaError> {
        let mut input = Input(bytes);
        self.tick_ms = self.tick_ms.wrapping_add(input.signed("the tick")?);
        let count = input.unsigned("the row count")?;
        if count > ROWS_PER_BATCH as u64 {
            return Err(DeltaError::TooManyRows(count));
        }
        // A row takes at least one byte: never allocate for more than can follow.
        let mut rows = Vec::with_capacity((count as usize).min(input.0.len()));
        let mut expected = 0_i64;
        for _ in 0..count {
            let position = expected.wrapping_add(input.signed("an entity")?);
            let row = self.row(position, &mut input)?;
            expected = position + 1;
            rows.push(row);
        }
        match input.0.len() {
            0 => Ok((self.tick_ms, rows)),
            left => Err(DeltaError::Trailing(left)),
        }
    }

    fn row(&mut self, position: i64, input: &mut Input<'_>) -> Result<Row, DeltaError> {
        let index = usize::try_from(position).map_err(|_| DeltaError::UnknownEntity(position))?;
        if index == self.entities.len() {
            let entity = new_entity(index, input)?;
            self.entities.push(entity);
        }
        let entity = self.entities.get_mut(index).ok_or(DeltaError::UnknownEntity(position))?;
        take_codes(input, entity)?;
        let metrics = entity.kind.metrics();
        let values = entity.codes.iter().zip(metrics);
        let values = values.map(|(code, metric)| code.map(|code| metric.resolution.decode(code)));
        Ok(Row { kind: entity.kind, key: entity.key.clone(), values: values.collect() })
    }
}

fn new_entity(index: usize, input: &mut Input<'_>) -> Result<Entity, DeltaError> {
    if index >= ENTITIES_PER_STREAM {
        return Err(DeltaError::TooManyEntities);
    }
    let byte = input.byte("an entity's kind")?;
    let kind = EntityKind::from_wire(byte).ok_or(DeltaError::UnknownKind(byte))?;
    let length = input.unsigned("an entity's key")?;
    if length > ENTITY_KEY_BYTES as u64 {
        return Err(DeltaError::KeyTooLong(length));
    }
    let key = input.take(length as usize, "an entity's key")?;
    let key = std::str::from_utf8(key).map_err(|_| DeltaError::KeyNotText)?;
    Ok(Entity { kind, key: key.to_owned(), codes: vec![None; kind.metrics().len()] })
}

fn take_codes(input: &mut Input<'_>, entity: &mut Entity) -> Result<(), DeltaError> {
    let metrics = entity.codes.len();
    let bitmap = input.take(metrics.div_ceil(8), "a row's bitmap")?;
    for position in 0..bitmap.len() * 8 {
        if bitmap[position / 8] & (1 << (position % 8)) == 0 {
            continue;
        }
        let Some(last) = entity.codes.get_mut(position) else {
            return Err(DeltaError::UnknownMetric(entity.kind.name()));
        };
        let difference = input.signed("a value")?;
        *last = match *last {
            None => Some(difference),
            Some(_) if difference == 0 => None,
            Some(code) => Some(code.wrapping_add(difference)),
        };
    }
    Ok(())
}

fn put_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_unsigned(out, ((value << 1) ^ (value >> 63)) as u64);
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], DeltaError> {
        let (head, tail) = self.0.split_at_checked(count).ok_or(DeltaError::Truncated(what))?;
        self.0 = tail;
        Ok(head)
    }

    fn byte(&mut self, what: &'static str) -> Result<u8, DeltaError> {
        Ok(self.take(1, what)?[0])
    }

    fn unsigned(&mut self, what: &'static str) -> Result<u64, DeltaError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(what)?;
            if shift == 63 && byte > 1 {
                return Err(DeltaError::Overlong);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DeltaError::Overlong)
    }

    fn signed(&mut self, what: &'static str) -> Result<i64, DeltaError> {
        let value = self.unsigned(what)?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}

#[cfg(test)]
#[path = "delta_tests.rs"]
mod tests;
