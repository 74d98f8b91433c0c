//! What need not come again of each agent's sequence: stored, or known never to come.
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

/// Whose sequence: host, agent, epoch. Locked in this order, so that two flushes never wait for each other.
type Key = (i32, Uuid, Uuid);

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
        let (hosts, agents, epochs) = columns(rows.keys());
        sqlx::query(
            "insert into ledger (host_id, agent_id, epoch, first_at, updated_at)
             select host_id, agent_id, epoch, time_of($4), time_of($4)
             from unnest($1::int[], $2::uuid[], $3::uuid[]) as wanted (host_id, agent_id, epoch)
             on conflict do nothing",
        )
        .bind(&hosts)
        .bind(&agents)
        .bind(&epochs)
        .bind(now_ms)
        .execute(&mut *connection)
        .await
        .map_err(doing("opening the ledger"))?;
        let held = sqlx::query(
            "select host_id, agent_id, epoch, seqs::text, live_at is not null
             from ledger join unnest($1::int[], $2::uuid[], $3::uuid[]) as wanted (host_id, agent_id, epoch)
             using (host_id, agent_id, epoch)
             order by host_id, agent_id, epoch for update of ledger",
        )
        .bind(&hosts)
        .bind(&agents)
        .bind(&epochs)
        .fetch_all(connection)
        .await
        .map_err(doing("reading the ledger"))?;
        for row in held {
            let entry = Entry { seqs: set(row.get(3))?, live: row.get(4), ..Entry::default() };
            rows.insert((row.get(0), row.get(1), row.get(2)), entry);
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
        let (hosts, agents, epochs) = columns(self.0.keys());
        let seqs: Vec<String> = self.0.values().map(|row| row.seqs.to_multirange()).collect();
        let live: Vec<bool> = self.0.values().map(|row| row.live).collect();
        sqlx::query(
            "update ledger set seqs = new.seqs::int8multirange,
             updated_at = time_of($6), live_at = case when new.live then coalesce(live_at, time_of($6)) end
             from unnest($1::int[], $2::uuid[], $3::uuid[], $4::text[], $5::bool[])
             as new (host_id, agent_id, epoch, seqs, live)
             where (ledger.host_id, ledger.agent_id, ledger.epoch) = (new.host_id, new.agent_id, new.epoch)",
        )
        .bind(hosts)
        .bind(agents)
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
    /// What the agent need not send again of these epochs: stored, or known never to come.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn stored(
        &self,
        host_id: i32,
        agent_id: Uuid,
        epochs: &[Uuid],
    ) -> Result<Vec<(Uuid, IntervalSet)>, StoreError> {
        let rows = sqlx::query(
            "select epoch, seqs::text from ledger where host_id = $1 and agent_id = $2 and epoch = any($3)",
        )
        .bind(host_id)
        .bind(agent_id)
        .bind(epochs)
        .fetch_all(&self.pool)
        .await
        .map_err(doing("reading what is stored of an agent"))?;
        rows.iter().map(|row| Ok((row.get(0), set(row.get(1))?))).collect()
    }
}

fn key(batch: &Batch) -> Key {
    (batch.host_id, batch.agent_id, batch.epoch)
}

fn columns<'a>(keys: impl Iterator<Item = &'a Key>) -> (Vec<i32>, Vec<Uuid>, Vec<Uuid>) {
    let mut columns = (Vec::new(), Vec::new(), Vec::new());
    for (host, agent, epoch) in keys {
        columns.0.push(*host);
        columns.1.push(*agent);
        columns.2.push(*epoch);
    }
    columns
}

fn set(text: &str) -> Result<IntervalSet, StoreError> {
    IntervalSet::from_multirange(text)
        .ok_or_else(|| StoreError::Unreadable { doing: "reading the ledger", what: text.chars().take(60).collect() })
}
