//! Rows into the hot tables, by binary COPY.

use super::copy::CopyBuffer;
use super::entities::Unknown;
use super::flush::{Batch, Data};
use super::retention::Retention;
use super::tables::{self, HotTable};
use super::{StoreError, doing, storable};
use crate::limits::TICK_AHEAD;
use fleetlight_protocol::metric::Column;
use fleetlight_protocol::samples::{EntityKind, Row};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// Whether a tick can be: not from the future, and not older than raw samples are kept.
#[must_use]
pub fn plausible(tick_ms: i64, retention: &Retention, now_ms: i64) -> bool {
    let ahead = TICK_AHEAD.as_millis() as i64;
    (retention.raw_since_ms(now_ms)..=now_ms.saturating_add(ahead)).contains(&tick_ms)
}

/// A row, its tick, and the number of its entity once that is known.
#[derive(Debug)]
struct Numbered<'a> {
    tick_ms: i64,
    host_id: i32,
    row: &'a Row,
    entity_id: Option<i32>,
}

/// All rows of a flush.
#[derive(Debug)]
pub struct Rows<'a>(Vec<Numbered<'a>>);

impl<'a> Rows<'a> {
    pub fn of(batches: impl Iterator<Item = &'a Batch>) -> Self {
        let rows = batches.flat_map(|batch| {
            let (tick_ms, rows) = match &batch.data {
                Data::Samples { tick_ms, rows } => (*tick_ms, rows.as_slice()),
                _ => (0, &[][..]),
            };
            rows.iter().map(move |row| Numbered { tick_ms, host_id: batch.host_id, row, entity_id: None })
        });
        Self(rows.collect())
    }

    /// Fills in the numbers that `known` gives; returns what is still without one.
    pub fn number(&mut self, mut known: impl FnMut(i32, EntityKind, &str) -> Option<i32>) -> Unknown {
        let mut unknown = Unknown::new();
        for entry in self.0.iter_mut().filter(|entry| entry.entity_id.is_none()) {
            let key = storable(&entry.row.key);
            entry.entity_id = known(entry.host_id, entry.row.kind, &key);
            if entry.entity_id.is_none() {
                unknown.insert((entry.host_id, entry.row.kind, key.into_owned()));
            }
        }
        unknown
    }

    /// Sends all rows that have a number, those from before `closed_before_ms` to late; how many.
    pub async fn copy(&self, connection: &mut PgConnection, closed_before_ms: i64) -> Result<u64, StoreError> {
        let mut buffers: BTreeMap<(EntityKind, bool), (&HotTable, CopyBuffer)> = BTreeMap::new();
        for entry in &self.0 {
            let (Some(entity_id), Some(table)) = (entry.entity_id, tables::of(entry.row.kind)) else { continue };
            let (_, buffer) = buffers
                .entry((table.kind, entry.tick_ms < closed_before_ms))
                .or_insert_with(|| (table, CopyBuffer::default()));
            write(buffer, table, entry, entity_id);
        }
        let mut copied = 0;
        for ((_, is_late), (table, buffer)) in buffers {
            let into = if is_late { &table.copy_late } else { &table.copy };
            let mut copy = connection.copy_in_raw(into).await.map_err(doing("copying samples"))?;
            copy.send(buffer.finish()).await.map_err(doing("copying samples"))?;
            copied += copy.finish().await.map_err(doing("copying samples"))?;
        }
        Ok(copied)
    }
}

fn write(buffer: &mut CopyBuffer, table: &HotTable, entry: &Numbered<'_>, entity_id: i32) {
    // The catalogue has some dozens of metrics a kind.
    buffer.tuple(table.columns.len() as i16 + 3);
    buffer.time(entry.tick_ms);
    buffer.int4(entry.host_id);
    buffer.int4(entity_id);
    for (place, column) in &table.columns {
        let value = entry.row.values.get(*place).copied().flatten().filter(|value| value.is_finite());
        match column {
            Column::Int8 => buffer.int8(value.and_then(int8)),
            Column::Real => buffer.real(value.map(|value| value as f32).filter(|value| value.is_finite())),
            Column::Int2 => buffer.int2(value.and_then(int2)),
        }
    }
}

/// What the column cannot hold is absent, not clamped: a wrong number is worse than none.
fn int8(value: f64) -> Option<i64> {
    let value = value.round();
    (value >= i64::MIN as f64 && value < i64::MAX as f64).then_some(value as i64)
}

fn int2(value: f64) -> Option<i16> {
    let value = value.round();
    (value >= f64::from(i16::MIN) && value <= f64::from(i16::MAX)).then_some(value as i16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_column_cannot_hold_is_absent() {
        assert_eq!(int2(32_767.4), Some(32_767));
        assert_eq!(int2(32_768.0), None);
        assert_eq!(int8(1e18), Some(1_000_000_000_000_000_000));
        assert_eq!(int8(1e19), None);
    }

    #[test]
    fn ticks_far_from_now_are_not_plausible() {
        let (now, day) = (1_763_715_600_000, 24 * 3_600_000);
        for days in [1, 14, 400] {
            let kept = Retention { raw_days: days, ..Retention::default() };
            let is = |tick| plausible(tick, &kept, now);
            assert!(is(now - i64::from(days) * day) && !is(now - i64::from(days) * day - 1), "{days} days");
            assert!(is(now + 599_000) && !is(now + 601_000) && !is(i64::MIN) && !is(i64::MAX));
        }
    }
}
