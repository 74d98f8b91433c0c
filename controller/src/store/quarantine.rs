//! What could not be stored as what it says it is: counted by host, reason and hour, never silently gone.

use super::flush::{Batch, Data};
use super::{Store, StoreError, doing, storable};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{PgConnection, Row};
use std::collections::BTreeMap;

/// Why something is counted here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The tick is in the future, or older than what is kept.
    Time,
    /// The database refused the data.
    Refused,
    /// The agent's own bound forced it out before it could be sent.
    Evicted,
    /// One document or event is larger than any honest one.
    Size,
    /// The host names more entities than one may have.
    Entities,
    /// The host's documents are more, or larger together, than one may have.
    Documents,
    /// Came faster than one agent may send: held back, and stored all the same.
    Rate,
}

impl Reason {
    /// The table's `reason`, and the API's.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Refused => "refused",
            Self::Evicted => "evicted",
            Self::Size => "size",
            Self::Entities => "entities",
            Self::Documents => "documents",
            Self::Rate => "rate",
        }
    }
}

/// Parts of one batch that were left out of it before it came here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub reason: Reason,
    /// Samples, documents or events.
    pub rows: u64,
    /// Why, in words.
    pub detail: String,
}

/// What is counted in one transaction.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<(i32, Reason), Count>);

#[derive(Debug, Default)]
struct Count {
    batches: i64,
    rows: i64,
    last_seq: i64,
    last_tick_ms: Option<i64>,
    detail: String,
}

impl Tally {
    /// Counts a batch as a whole.
    pub fn batch(&mut self, batch: &Batch, reason: Reason, detail: &str) {
        let rows = match &batch.data {
            Data::Samples { rows, .. } => rows.len(),
            Data::Events(events) => events.len(),
            Data::Documents(documents) => documents.len(),
            Data::Evicted { .. } => 0,
        };
        self.part(batch, &LeftOut { reason, rows: rows as u64, detail: detail.to_owned() });
    }

    /// Counts what was left out of a batch.
    pub fn part(&mut self, batch: &Batch, out: &LeftOut) {
        let count = self.add(batch.host_id, out.reason, 1, batch.seq, &out.detail);
        count.rows = count.rows.saturating_add_unsigned(out.rows);
        count.last_tick_ms = match batch.data {
            Data::Samples { tick_ms, .. } => Some(tick_ms),
            _ => None,
        };
    }

    /// Counts batches that will never come.
    pub fn lost(&mut self, host_id: i32, batches: u64, seq: u64) {
        let detail = "the agent ran out of room before it could send them: was the controller away for long?";
        self.add(host_id, Reason::Evicted, batches, seq, detail);
    }

    fn add(&mut self, host_id: i32, reason: Reason, batches: u64, seq: u64, detail: &str) -> &mut Count {
        let count = self.0.entry((host_id, reason)).or_default();
        count.batches = count.batches.saturating_add_unsigned(batches);
        count.last_seq = i64::try_from(seq).unwrap_or(i64::MAX);
        detail.clone_into(&mut count.detail);
        count
    }

    pub async fn save(self, connection: &mut PgConnection, now_ms: i64) -> Result<(), StoreError> {
        for ((host_id, reason), count) in self.0 {
            sqlx::query(
                // What an agent says is lost can be any number: it must not stop the flush.
                "insert into quarantine as q (host_id, reason, hour, batches, rows, last_seq, last_tick_ms, last_detail, last_at)
                 values ($1, $2, date_trunc('hour', time_of($3), 'UTC'), $4, $5, $6, $7, $8, time_of($3))
                 on conflict (host_id, reason, hour) do update set
                 batches = least(q.batches::numeric + excluded.batches, 9223372036854775807)::bigint,
                 rows = least(q.rows::numeric + excluded.rows, 9223372036854775807)::bigint,
                 last_seq = excluded.last_seq, last_tick_ms = excluded.last_tick_ms,
                 last_detail = excluded.last_detail, last_at = greatest(q.last_at, excluded.last_at)",
            )
            .bind(host_id)
            .bind(reason.name())
            .bind(now_ms)
            .bind(count.batches)
            .bind(count.rows)
            .bind(count.last_seq)
            .bind(count.last_tick_ms)
            .bind(storable(&count.detail))
            .execute(&mut *connection)
            .await
            .map_err(doing("counting what is quarantined"))?;
        }
        Ok(())
    }
}

/// What was refused of one host for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Refusals {
    /// [`Reason::name`]
    pub reason: String,
    pub batches: i64,
    /// Samples, documents or events in them.
    pub rows: i64,
    pub last_ms: i64,
    /// Why the last one was, in words.
    pub last_detail: String,
}

impl Store {
    /// What was refused of a host since a moment, to the hour, by reason; the latest first.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn refusals(&self, host_id: i32, since_ms: i64) -> Result<Vec<Refusals>, StoreError> {
        let rows = sqlx::query(
            "select reason, least(sum(batches), 9223372036854775807)::bigint,
                    least(sum(rows), 9223372036854775807)::bigint, ms_of(max(last_at)),
                    (array_agg(last_detail order by last_at desc))[1]
             from quarantine where host_id = $1 and last_at >= time_of($2)
             group by reason order by max(last_at) desc, reason",
        )
        .bind(host_id)
        .bind(since_ms)
        .fetch_all(&self.questions)
        .await
        .map_err(doing("reading what was refused"))?;
        let refusals = |row: &sqlx::postgres::PgRow| Refusals {
            reason: row.get(0),
            batches: row.get(1),
            rows: row.get(2),
            last_ms: row.get(3),
            last_detail: row.get(4),
        };
        Ok(rows.iter().map(refusals).collect())
    }
}
