//! The sample codec of one stream: rows as differences against the row before.
//!
//! Encoder and decoder keep, for each entity that the stream has named, its last codes
//! ([`crate::metric::Resolution`]), and learn how each metric behaves ([`crate::range`]). In one
//! batch, in this order:
//!
//! - the tick: a flag "as far as the last step", else the step in milliseconds;
//! - the rows: a flag "the entities of the batch before", else their number and, for each row, how
//!   far its entity is from the expected next one; an entity that is new brings kind and key;
//! - for each metric of each row: a flag "changed", and if so absent, or sign, bit length and bits
//!   of the difference; a value that was absent comes whole.
//!
//! Invariants, each with a test: a decoder that saw every batch since the stream's begin returns
//! what was encoded, rounded to the catalogue's resolution; any other bytes are an error or other
//! rows, and never a panic or more than [`ROWS_PER_BATCH`] of them. That bytes arrive whole is the
//! frame's and the transport's affair; a catalogue that differs is the hello's.

use crate::limits::{ENTITIES_PER_STREAM, ENTITY_KEY_BYTES, ROWS_PER_BATCH};
use crate::model::{Known, Numbers, Series};
use crate::range::{Bit, Coder, Reader, Writer};
use crate::samples::{EntityKind, Row};
use std::collections::HashMap;

/// What is wrong with a batch of samples.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DeltaError {
    #[error("sample batch is shorter or longer than its rows")]
    Length,
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
}

#[derive(Debug)]
struct Entity {
    kind: EntityKind,
    key: String,
    metrics: Vec<Known>,
}

impl Entity {
    fn new(kind: EntityKind, key: String) -> Self {
        Self { kind, key, metrics: vec![Known::default(); kind.metrics().len()] }
    }
}

/// What both sides know of the stream.
#[derive(Debug, Default)]
struct State {
    tick_ms: i64,
    step_ms: i64,
    same_step: Bit,
    entities: Vec<Entity>,
    /// Entities of the batch before, in order.
    last: Vec<usize>,
    same_rows: Bit,
    next_entity: Bit,
    numbers: Numbers,
    series: HashMap<EntityKind, Vec<Series>>,
}

impl State {
    fn tick(&mut self, coder: &mut impl Coder, tick_ms: i64) -> i64 {
        let step_ms = tick_ms.wrapping_sub(self.tick_ms);
        if !coder.bit(&mut self.same_step, step_ms == self.step_ms) {
            self.step_ms = self.numbers.signed(coder, step_ms);
        }
        self.tick_ms = self.tick_ms.wrapping_add(self.step_ms);
        self.tick_ms
    }

    /// The entity of the next row, by its distance from the one that the row before makes likely.
    fn entity(&mut self, coder: &mut impl Coder, expected: i64, entity: i64) -> i64 {
        if coder.bit(&mut self.next_entity, entity == expected) {
            return expected;
        }
        expected.wrapping_add(self.numbers.signed(coder, entity.wrapping_sub(expected)))
    }

    /// The codes of one row; reading, `codes` are overwritten.
    fn codes(&mut self, coder: &mut impl Coder, entity: usize, codes: &mut [Option<i64>]) {
        let Some(Entity { kind, metrics, .. }) = self.entities.get_mut(entity) else { return };
        let series = self.series.entry(*kind).or_insert_with(|| vec![Series::default(); metrics.len()]);
        for ((known, series), code) in metrics.iter_mut().zip(series).zip(codes) {
            *code = series.code(coder, known, *code);
        }
    }
}

/// Encodes the batches of one stream, in order.
#[derive(Debug, Default)]
pub struct Encoder {
    state: State,
    index: HashMap<EntityKind, HashMap<String, usize>>,
}

impl Encoder {
    /// Whether the stream has named so many entities that it should begin anew
    /// ([`crate::uplink::Uplink::Begin`]) before the next batch of `rows` rows.
    #[must_use]
    pub fn is_full(&self, rows: usize) -> bool {
        self.state.entities.len() + rows > ENTITIES_PER_STREAM
    }

    /// Encodes the rows of one tick. Rows beyond [`ROWS_PER_BATCH`] and keys beyond
    /// [`ENTITY_KEY_BYTES`] are the collector's fault and are refused.
    ///
    /// # Errors
    /// [`DeltaError`], and then a fresh [`Encoder`] must be begun.
    pub fn encode(&mut self, tick_ms: i64, rows: &[Row]) -> Result<Vec<u8>, DeltaError> {
        if rows.len() > ROWS_PER_BATCH {
            return Err(DeltaError::TooManyRows(rows.len() as u64));
        }
        let known = self.state.entities.len();
        let entities = rows.iter().map(|row| self.entity(row)).collect::<Result<Vec<_>, _>>()?;
        let mut writer = Writer::new();
        self.state.tick(&mut writer, tick_ms);
        let same = entities == self.state.last;
        writer.bit(&mut self.state.same_rows, same);
        if !same {
            self.state.numbers.signed(&mut writer, rows.len() as i64);
            self.put_entities(&mut writer, rows, &entities, known);
        }
        for (row, &entity) in rows.iter().zip(&entities) {
            let value = |position: usize| row.values.get(position).copied().flatten();
            let metrics = row.kind.metrics().iter().enumerate();
            let mut codes: Vec<_> = metrics.map(|(at, metric)| metric.resolution.encode(value(at)?)).collect();
            self.state.codes(&mut writer, entity, &mut codes);
        }
        self.state.last = entities;
        Ok(writer.finish())
    }

    /// Which entities the rows are of; those from `known` on are named here for the first time.
    fn put_entities(&mut self, writer: &mut Writer, rows: &[Row], entities: &[usize], mut known: usize) {
        let mut expected = 0;
        for (row, &entity) in rows.iter().zip(entities) {
            self.state.entity(writer, expected, entity as i64);
            expected = entity as i64 + 1;
            if entity == known {
                known += 1;
                put_name(writer, row);
            }
        }
    }

    fn entity(&mut self, row: &Row) -> Result<usize, DeltaError> {
        let keys = self.index.entry(row.kind).or_default();
        if let Some(&entity) = keys.get(row.key.as_str()) {
            return Ok(entity);
        }
        if row.key.len() > ENTITY_KEY_BYTES {
            return Err(DeltaError::KeyTooLong(row.key.len() as u64));
        }
        let entity = self.state.entities.len();
        if entity >= ENTITIES_PER_STREAM {
            return Err(DeltaError::TooManyEntities);
        }
        keys.insert(row.key.clone(), entity);
        self.state.entities.push(Entity::new(row.kind, String::new()));
        Ok(entity)
    }
}

fn put_name(writer: &mut Writer, row: &Row) {
    writer.raw(8, row.kind as u64);
    writer.raw(16, row.key.len() as u64);
    for byte in row.key.bytes() {
        writer.raw(8, u64::from(byte));
    }
}

/// Decodes the batches of one stream, in order. After an error the stream must be closed.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
}

impl Decoder {
    /// Decodes one batch into its tick (milliseconds since the Unix epoch) and rows.
    ///
    /// # Errors
    /// [`DeltaError`] says what is wrong; the decoder must not be used after that.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<(i64, Vec<Row>), DeltaError> {
        let mut reader = Reader::new(bytes);
        let tick_ms = self.state.tick(&mut reader, 0);
        if !reader.bit(&mut self.state.same_rows, false) {
            self.state.last = Vec::new();
            let count = self.state.numbers.signed(&mut reader, 0) as u64;
            if count > ROWS_PER_BATCH as u64 {
                return Err(DeltaError::TooManyRows(count));
            }
            let mut expected = 0;
            for _ in 0..count {
                let entity = self.entity(&mut reader, expected)?;
                expected = entity as i64 + 1;
                self.state.last.push(entity);
            }
        }
        let entities = std::mem::take(&mut self.state.last);
        let rows = entities.iter().filter_map(|&entity| self.row(&mut reader, entity)).collect();
        self.state.last = entities;
        if reader.surplus() == 0 { Ok((tick_ms, rows)) } else { Err(DeltaError::Length) }
    }

    fn entity(&mut self, reader: &mut Reader<'_>, expected: i64) -> Result<usize, DeltaError> {
        let position = self.state.entity(reader, expected, 0);
        let known = self.state.entities.len();
        let entity = usize::try_from(position).ok().filter(|entity| *entity <= known);
        let entity = entity.ok_or(DeltaError::UnknownEntity(position))?;
        if entity == known {
            if known >= ENTITIES_PER_STREAM {
                return Err(DeltaError::TooManyEntities);
            }
            let named = take_name(reader)?;
            self.state.entities.push(named);
        }
        Ok(entity)
    }

    fn row(&mut self, reader: &mut Reader<'_>, entity: usize) -> Option<Row> {
        let kind = self.state.entities.get(entity)?.kind;
        let mut codes = vec![None; kind.metrics().len()];
        self.state.codes(reader, entity, &mut codes);
        let values = codes.into_iter().zip(kind.metrics());
        let values = values.map(|(code, metric)| code.map(|code| metric.resolution.decode(code))).collect();
        Some(Row { kind, key: self.state.entities.get(entity)?.key.clone(), values })
    }
}

fn take_name(reader: &mut Reader<'_>) -> Result<Entity, DeltaError> {
    let byte = reader.raw(8, 0) as u8;
    let kind = EntityKind::from_wire(byte).ok_or(DeltaError::UnknownKind(byte))?;
    let length = reader.raw(16, 0);
    if length > ENTITY_KEY_BYTES as u64 {
        return Err(DeltaError::KeyTooLong(length));
    }
    let key = (0..length).map(|_| reader.raw(8, 0) as u8).collect();
    let key = String::from_utf8(key).map_err(|_| DeltaError::KeyNotText)?;
    Ok(Entity::new(kind, key))
}

#[cfg(test)]
#[path = "delta_tests.rs"]
mod tests;
