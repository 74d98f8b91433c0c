//! What could not be stored as what it says it is: counted, shown, never silently gone.

use super::flush::{Batch, Data};
use super::{StoreError, doing, storable};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// Why a batch is counted here; the table's `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The tick is in the future, or older than what is kept.
    Time,
    /// The database refused the data.
    Refused,
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Refused => "refused",
        }
    }
}

#[derive(Debug, Default)]
struct Count {
    batches: i64,
    rows: i64,
    last_seq: i64,
    last_tick_ms: Option<i64>,
}

/// Counts batches by host and reason; `detail` says why in words.
pub async fn count<'a>(
    connection: &mut PgConnection,
    batches: impl Iterator<Item = &'a Batch>,
    reason: Reason,
    detail: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    let mut counts: BTreeMap<i32, Count> = BTreeMap::new();
    for batch in batches {
        let count = counts.entry(batch.host_id).or_default();
        let (rows, tick_ms) = match &batch.data {
            Data::Samples { tick_ms, rows } => (rows.len(), Some(*tick_ms)),
            Data::Events(events) => (events.len(), None),
            Data::Documents(documents) => (documents.len(), None),
            Data::Evicted { .. } => (0, None),
        };
        count.batches += 1;
        count.rows += rows as i64;
        count.last_seq = i64::try_from(batch.seq).unwrap_or(i64::MAX);
        count.last_tick_ms = tick_ms;
    }
    for (host_id, count) in counts {
        sqlx::query(
            "insert into quarantine as q values ($1, $2, date_trunc('hour', time_of($3), 'UTC'), $4, $5, $6, $7, $8)
             on conflict (host_id, reason, hour) do update set
             batches = q.batches + excluded.batches, rows = q.rows + excluded.rows,
             last_seq = excluded.last_seq, last_tick_ms = excluded.last_tick_ms, last_detail = excluded.last_detail",
        )
        .bind(host_id)
        .bind(reason.name())
        .bind(now_ms)
        .bind(count.batches)
        .bind(count.rows)
        .bind(count.last_seq)
        .bind(count.last_tick_ms)
        .bind(storable(detail))
        .execute(&mut *connection)
        .await
        .map_err(doing("counting what is quarantined"))?;
    }
    Ok(())
}
