//! One transaction for what many agents sent: ledger, samples, documents, events.

use super::ledger::Ledger;
use super::partitions::hour_of;
use super::quarantine::{LeftOut, Reason, Tally};
use super::samples::{Rows, plausible};
use super::tiers::Tier;
use super::{Store, StoreError, agents, by_hand, commands, documents, doing, entities, events, lock, packing};
use fleetlight_protocol::command::CommandResult;
use fleetlight_protocol::document::Document;
use fleetlight_protocol::event::{Event, Fact};
use fleetlight_protocol::samples::Row;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

/// One batch of one agent.
#[derive(Debug)]
pub struct Batch {
    pub host_id: i32,
    pub agent_id: Uuid,
    pub epoch: Uuid,
    pub seq: u64,
    /// Taken just now, not replayed: its epoch is that of the agent that runs.
    pub live: bool,
    /// Controller's clock at arrival.
    pub received_ms: i64,
    pub data: Data,
    /// What is no longer in `data`: counted with it, once.
    pub left_out: Vec<LeftOut>,
}

#[derive(Debug)]
pub enum Data {
    Samples {
        tick_ms: i64,
        rows: Vec<Row>,
    },
    Events(Vec<Event>),
    Documents(Vec<Document>),
    /// The batch's number and all up to this one were forced out at the agent.
    Evicted {
        last: u64,
    },
}

impl Batch {
    /// What became of commands, by the host's word.
    pub fn results(&self) -> impl Iterator<Item = (i32, &CommandResult)> {
        let events = if let Data::Events(events) = &self.data { events.as_slice() } else { &[] };
        events.iter().filter_map(|event| match &event.fact {
            Fact::CommandFinished(result) => Some((self.host_id, result.as_ref())),
            _ => None,
        })
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// In the tables, or counted in quarantine: to be acked.
    Stored,
    /// Was there already, or was given up: to be acked.
    Duplicate,
    /// Its number cannot be held, or not yet: not to be acked.
    Withheld,
}

impl Store {
    /// Stores batches, each exactly once however often it comes; on disk when this returns.
    /// All or nothing: after an error none is stored, unless the commit's answer was lost, which a
    /// repeated flush finds out.
    ///
    /// # Errors
    /// [`StoreError::is_refusal`] tells data that the database will never take from a database
    /// that is away.
    pub async fn flush(&self, batches: &[Batch], now_ms: i64) -> Result<Vec<Outcome>, StoreError> {
        let closed_before_ms = lock(&self.known.gate).closed_before_ms;
        let ticks = batches.iter().filter_map(|batch| match batch.data {
            Data::Samples { tick_ms, .. }
                if tick_ms >= closed_before_ms && plausible(tick_ms, &self.retention, now_ms) =>
            {
                Some(hour_of(tick_ms))
            }
            _ => None,
        });
        self.ensure(Tier::Hot, ticks).await?;
        self.within("storing batches", async |connection| self.flush_on(connection, batches, now_ms).await)
            .await
            .inspect_err(|error| {
                // Perhaps somebody dropped a partition that we believe in.
                if error.is_refusal() {
                    lock(&self.known.parts).clear();
                }
            })
    }

    /// Gives a batch up that the database refuses: counted in quarantine, marked as never to come.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn refuse(&self, batch: &Batch, why: &str, now_ms: i64) -> Result<(), StoreError> {
        self.within("giving a batch up", async |connection| {
            let mut transaction = begin(connection).await?;
            let mut ledger = Ledger::lock(&mut transaction, std::slice::from_ref(batch), now_ms).await?;
            ledger.evict(batch);
            let mut tally = Tally::default();
            tally.batch(batch, Reason::Refused, why);
            tally.save(&mut transaction, now_ms).await?;
            ledger.save(&mut transaction, now_ms).await?;
            transaction.commit().await.map_err(doing("committing"))
        })
        .await
    }

    async fn flush_on(
        &self,
        connection: &mut PgConnection,
        batches: &[Batch],
        now_ms: i64,
    ) -> Result<Vec<Outcome>, StoreError> {
        let mut transaction = begin(connection).await?;
        let gate = packing::hold(&mut transaction).await?;
        let mut ledger = Ledger::lock(&mut transaction, batches, now_ms).await?;
        let outcomes = ledger.admit(batches);
        let (fresh, untimely): (Vec<&Batch>, Vec<&Batch>) = batches
            .iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| **outcome == Outcome::Stored)
            .map(|(batch, _)| batch)
            .partition(|batch| self.is_timely(batch, gate.raw_since_ms, now_ms));
        let fresh = || fresh.iter().copied();

        let mut rows = Rows::of(fresh());
        let unknown = {
            let mut known = lock(&self.known.entities);
            known.as_of(gate.forgettings);
            rows.number(|host_id, kind, key| known.get(host_id, kind, key))
        };
        let entities = entities::resolve(&mut transaction, &unknown).await?;
        rows.number(|host_id, kind, key| entities.get(host_id, kind, key));
        rows.copy(&mut transaction, gate.closed_before_ms).await?;
        #[cfg(debug_assertions)]
        crate::kill_point::pass("flush.copy");
        documents::put(&mut transaction, fresh()).await?;
        events::insert(&mut transaction, fresh()).await?;
        commands::close_by_hosts(&mut transaction, fresh().flat_map(Batch::results), now_ms).await?;
        by_hand::note(&mut transaction, fresh(), now_ms).await?;
        let mut tally = Tally::default();
        let why = "the tick is in the future, or older than what is kept: is the host's clock right?";
        untimely.iter().for_each(|batch| tally.batch(batch, Reason::Time, why));
        for batch in fresh() {
            batch.left_out.iter().for_each(|out| tally.part(batch, out));
        }
        ledger.lost().for_each(|(host_id, batches, seq)| tally.lost(host_id, batches, seq));
        tally.save(&mut transaction, now_ms).await?;
        ledger.save(&mut transaction, now_ms).await?;
        let seen = self.known.unseen(batches, now_ms);
        agents::saw(&mut transaction, &seen, now_ms).await?;
        #[cfg(debug_assertions)]
        crate::kill_point::pass("flush.commit");
        transaction.commit().await.map_err(doing("committing"))?;
        lock(&self.known.entities).merge(entities, gate.forgettings);
        lock(&self.known.seen).extend(seen.into_iter().map(|agent_id| (agent_id, now_ms)));
        *lock(&self.known.gate) = gate;
        Ok(outcomes)
    }

    fn is_timely(&self, batch: &Batch, raw_since_ms: i64, now_ms: i64) -> bool {
        match batch.data {
            Data::Samples { tick_ms, .. } => tick_ms >= raw_since_ms && plausible(tick_ms, &self.retention, now_ms),
            _ => true,
        }
    }
}

/// A transaction whose commit waits for the disk, whatever the server's default is.
async fn begin(connection: &mut PgConnection) -> Result<sqlx::Transaction<'_, sqlx::Postgres>, StoreError> {
    let mut transaction = connection.begin().await.map_err(doing("beginning a transaction"))?;
    sqlx::query("set local synchronous_commit = on")
        .execute(&mut *transaction)
        .await
        .map_err(doing("beginning a transaction"))?;
    Ok(transaction)
}
