//! What need not come again of each agent's sequence: stored, or known never to come.
//!
//! A sequence is known by its host and epoch, not by the key that it comes with: an agent that is enrolled again
//! sends what it holds with a new key, and what was stored before stays stored once.
//!
//! One set for both, since they alternate: samples that an agent's bound forced out, between facts that it
//! kept. At most [`LEDGER_INTERVALS`] intervals: a full set takes what lies at the edge of one, and withholds
//! the rest. Whatever order an agent sends in, the number beside an interval comes at some time, so that
//! each session ends with fewer gaps than it began with, and what was withheld comes with a later one.

use super::flush::{Batch, Data, Outcome};
use super::{Store, StoreError, doing};
use crate::limits::LEDGER_INTERVALS;
use fleetlight_protocol::intervals::{IntervalSet, SEQ_MAX};
use sqlx::{PgConnection, Row};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Whose sequence: host, epoch. Locked in this order, so that two flushes never wait for each other.
type Key = (i32, Uuid);

#[derive(Debug, Default)]
struct Entry {
    seqs: IntervalSet,
    live: bool,
    /// Numbers that this flush marked as never to come, and where the last of them began.
    lost: u64,
    lost_seq: u64,
}

/// The rows of one flush, locked until its transaction ends.
#[derive(Debug)]
pub struct Ledger(BTreeMap<Key, Entry>);

impl Ledger {
    /// Locks the rows of all sequences that `batches` belong to; missing ones are made.
    pub async fn lock(connection: &mut PgConnection, batches: &[Batch], now_ms: i64) -> Result<Self, StoreError> {
        let mut rows: BTreeMap<Key, Entry> = batches.iter().map(|batch| (key(batch), Entry::default())).collect();
        let (hosts, epochs) = columns(rows.keys());
        sqlx::query(
            "insert into ledger (host_id, epoch, first_at, updated_at)
             select host_id, epoch, time_of($3), time_of($3)
             from unnest($1::int[], $2::uuid[]) as wanted (host_id, epoch)
             on conflict do nothing",
        )
        .bind(&hosts)
        .bind(&epochs)
        .bind(now_ms)
        .execute(&mut *connection)
        .await
        .map_err(doing("opening the ledger"))?;
        let held = sqlx::query(
            "select host_id, epoch, seqs::text, live_at is not null
             from ledger join unnest($1::int[], $2::uuid[]) as wanted (host_id, epoch)
             using (host_id, epoch)
             order by host_id, epoch for update of ledger",
        )
        .bind(&hosts)
        .bind(&epochs)
        .fetch_all(connection)
        .await
        .map_err(doing("reading the ledger"))?;
        for row in held {
            let entry = Entry { seqs: set(row.get(2))?, live: row.get(3), ..Entry::default() };
            rows.insert((row.get(0), row.get(1)), entry);
        }
        Ok(Self(rows))
    }

    /// Decides on each batch, and marks the new ones.
    pub fn admit(&mut self, batches: &[Batch]) -> Vec<Outcome> {
        batches
            .iter()
            .map(|batch| self.0.get_mut(&key(batch)).map_or(Outcome::Withheld, |row| row.admit(batch)))
            .collect()
    }

    /// Marks a batch as never to come.
    pub fn evict(&mut self, batch: &Batch) {
        if let Some(row) = self.0.get_mut(&key(batch)) {
            row.seqs.insert(batch.seq, batch.seq);
        }
    }

    /// What agents have just said will never come: host, how many batches, the first of the last ones.
    pub fn lost(&self) -> impl Iterator<Item = (i32, u64, u64)> {
        let lost = self.0.iter().filter(|(_, row)| row.lost > 0);
        lost.map(|((host_id, ..), row)| (*host_id, row.lost, row.lost_seq))
    }

    pub async fn save(&self, connection: &mut PgConnection, now_ms: i64) -> Result<(), StoreError> {
        let (hosts, epochs) = columns(self.0.keys());
        let seqs: Vec<String> = self.0.values().map(|row| row.seqs.to_multirange()).collect();
        let live: Vec<bool> = self.0.values().map(|row| row.live).collect();
        sqlx::query(
            "update ledger set seqs = new.seqs::int8multirange,
             updated_at = time_of($5), live_at = case when new.live then coalesce(live_at, time_of($5)) end
             from unnest($1::int[], $2::uuid[], $3::text[], $4::bool[])
             as new (host_id, epoch, seqs, live)
             where (ledger.host_id, ledger.epoch) = (new.host_id, new.epoch)",
        )
        .bind(hosts)
        .bind(epochs)
        .bind(seqs)
        .bind(live)
        .bind(now_ms)
        .execute(connection)
        .await
        .map_err(doing("writing the ledger"))?;
        Ok(())
    }
}

impl Entry {
    fn admit(&mut self, batch: &Batch) -> Outcome {
        let last = if let Data::Evicted { last } = batch.data { last } else { batch.seq };
        if last > SEQ_MAX || last < batch.seq {
            return Outcome::Withheld;
        }
        let missing = self.seqs.missing(batch.seq, last);
        if missing == 0 {
            return Outcome::Duplicate;
        }
        if !self.seqs.insert_within(batch.seq, last, LEDGER_INTERVALS) {
            return Outcome::Withheld;
        }
        match batch.data {
            Data::Evicted { .. } => (self.lost, self.lost_seq) = (self.lost.saturating_add(missing), batch.seq),
            _ => self.live |= batch.live,
        }
        Outcome::Stored
    }
}

impl Store {
    /// What a host's agent need not send again of each of these epochs: stored, or known never to come.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn stored(&self, host_id: i32, epochs: &[Uuid]) -> Result<Vec<(Uuid, IntervalSet)>, StoreError> {
        let rows = sqlx::query(
            "select wanted.epoch, coalesce(seqs::text, '{}') from unnest($2::uuid[]) as wanted (epoch)
             left join ledger on ledger.host_id = $1 and ledger.epoch = wanted.epoch",
        )
        .bind(host_id)
        .bind(epochs)
        .fetch_all(&self.pool)
        .await
        .map_err(doing("reading what is stored of an agent"))?;
        rows.iter().map(|row| Ok((row.get(0), set(row.get(1))?))).collect()
    }
}

fn key(batch: &Batch) -> Key {
    (batch.host_id, batch.epoch)
}

fn columns<'a>(keys: impl Iterator<Item = &'a Key>) -> (Vec<i32>, Vec<Uuid>) {
    keys.copied().unzip()
}

fn set(text: &str) -> Result<IntervalSet, StoreError> {
    IntervalSet::from_multirange(text)
        .ok_or_else(|| StoreError::Unreadable { doing: "reading the ledger", what: text.chars().take(60).collect() })
}
