//! Samples grow old: closed hours are packed, late ones merged, minutes made, the oldest dropped.
//!
//! Invariants:
//! - Each step is one transaction; killed at any point, it is as if it had not begun, and the next
//!   run finds it again.
//! - One controller at a time: each step holds an advisory lock or is left to who does.
//! - A row stands in exactly one of hot, late and packed, for every snapshot.
//! - Readers may hold a partition for as long as they like: its rows are packed all the same, and the emptied
//!   partition goes when they are done. Nobody waits for us for longer than [`super::readers::Patience`] says.
//! - An entity has at most one chunk an hour. Quarters change in the transaction that changes chunks;
//!   minutes either agree with chunks or are noted in `minutes_due`, and the fleet's lines with quarters or in
//!   `fleet_due`.

use super::packing::Gate;
use super::partitions::{HOUR_MS, hour_of, name};
use super::readers::{Patience, is_readers_fault};
use super::tables::{self, HotTable};
use super::tiers::{HALF_DAY_MS, Tier, late};
use super::{Store, StoreError, chunks, doing, lock, rollups};
use crate::limits::{LATE_STEPS, PACK_SORT_MIB, PACK_WAIT, PARTITION_DROP_WAIT};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Postgres, Transaction};
use tokio::time::timeout;

/// Who may compact; any number that nobody else uses.
const LOCK: i64 = 0x666c_6565_7470_6163;

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// Hours of one table each that were packed, or whose partition could go at last.
    pub hours: usize,
    /// Hours of one table and host that late rows were merged into.
    pub merged: usize,
    /// Half days of one table and host whose minutes were made.
    pub minutes: usize,
}

impl Store {
    /// To be called every few minutes; harmless when called twice, or by two controllers. What fails is logged,
    /// left to the next run, and holds up nothing else.
    ///
    /// # Errors
    /// The database does not answer; what was done stays done.
    pub async fn compact(&self, now_ms: i64) -> Result<Compacted, StoreError> {
        let gate = self.close_hours(now_ms).await?;
        let (mut done, mut patience) = (Compacted::default(), Patience::default());
        for table in tables::all() {
            let closed = hour_of(gate.closed_before_ms);
            for hour in self.parts_of(table, Tier::Hot).await?.into_iter().filter(|hour| *hour < closed) {
                match self.pack_hour(table, hour, &mut patience).await {
                    Ok(packed) => done.hours += usize::from(packed),
                    Err(error) => tracing::warn!(table = table.name, hour, %error, "an hour is not packed yet"),
                }
            }
            match self.merge_late(table, gate).await {
                Ok(merged) => done.merged += merged,
                Err(error) => tracing::warn!(table = table.name, %error, "late samples are not merged yet"),
            }
        }
        self.make_fleet().await?;
        match self.make_minutes(gate).await {
            Ok(made) => done.minutes = made,
            Err(error) => tracing::warn!(%error, "some minutes are not made yet"),
        }
        Ok(done)
    }

    /// One hour of one table; whether anything was done here.
    async fn pack_hour(&self, table: &HotTable, hour: i64, patience: &mut Patience) -> Result<bool, StoreError> {
        let Some(leaf) = name(&table.name, hour) else { return Ok(false) };
        self.ensure_tiers(hour).await?;
        let sql = [
            chunks::pack(table, &leaf),
            rollups::quarters(table, hour, None),
            rollups::due(table, hour, None),
            rollups::fleet_due(table, hour),
        ];
        lock(&self.known.parts).remove(&(Tier::Hot, hour));
        self.step(async |step| {
            if !is_there(step, &leaf).await? {
                return Ok(false);
            }
            // Else a row committed after the select and before the drop would be in neither table.
            execute(step, &[format!("lock table {leaf} in share row exclusive mode")]).await?;
            let has_rows = has_rows(step, &leaf).await?;
            if has_rows {
                execute(step, &sql).await?;
                #[cfg(debug_assertions)]
                crate::kill_point::pass("pack.insert");
            }
            let dropped = drop_leaf(step, &leaf, patience).await?;
            if has_rows && !dropped {
                execute(step, &[format!("delete from {leaf}")]).await?;
            }
            #[cfg(debug_assertions)]
            crate::kill_point::pass("pack.drop");
            Ok(has_rows || dropped)
        })
        .await
    }

    /// Late rows into their hours; in how many hours of a host.
    async fn merge_late(&self, table: &HotTable, gate: Gate) -> Result<usize, StoreError> {
        let source = late(table);
        let expired = format!("delete from {source} where ts < time_of({})", gate.raw_since_ms);
        sqlx::query(AssertSqlSafe(expired)).execute(&self.pool).await.map_err(doing("forgetting late samples"))?;
        let sql = format!("select distinct host_id, ms_of(ts) / {HOUR_MS} from {source} limit {LATE_STEPS}");
        let spans: Vec<(i32, i64)> = sqlx::query_as(AssertSqlSafe(sql))
            .fetch_all(&self.pool)
            .await
            .map_err(doing("looking for late samples"))?;
        let mut merged = 0;
        for (host_id, hour) in spans {
            match self.merge_hour(table, host_id, hour).await {
                Ok(done) => merged += usize::from(done),
                Err(error) => {
                    tracing::warn!(table = table.name, host_id, hour, %error, "an hour's late samples are not merged yet");
                }
            }
        }
        Ok(merged)
    }

    async fn merge_hour(&self, table: &HotTable, host_id: i32, hour: i64) -> Result<bool, StoreError> {
        let Some(leaf) = name(&table.name, hour) else { return Ok(false) };
        self.ensure_tiers(hour).await?;
        let sql = [
            merge(table, host_id, hour),
            rollups::quarters(table, hour, Some(host_id)),
            rollups::due(table, hour, Some(host_id)),
            rollups::fleet_due(table, hour),
        ];
        self.step(async |step| {
            // What is still in hot goes first, all at once.
            if is_there(step, &leaf).await? && has_rows(step, &leaf).await? {
                return Ok(false);
            }
            execute(step, &sql).await
        })
        .await
    }

    /// The fleet's lines of hours whose quarters have changed: once for all hosts that they changed of.
    async fn make_fleet(&self) -> Result<(), StoreError> {
        let sql = format!("select kind, ms_of(begins) from fleet_due order by begins desc, kind limit {LATE_STEPS}");
        let due: Vec<(i16, i64)> = sqlx::query_as(AssertSqlSafe(sql))
            .fetch_all(&self.pool)
            .await
            .map_err(doing("looking which lines of the fleet to make"))?;
        for (kind, begins_ms) in due {
            let Some(table) = tables::all().iter().find(|table| table.kind as i16 == kind) else { continue };
            let no_longer_due = format!("delete from fleet_due where kind = {kind} and begins = time_of({begins_ms})");
            let sql = [no_longer_due, rollups::fleet(table, begins_ms)];
            if let Err(error) = self.step(async |step| execute(step, &sql).await).await {
                tracing::warn!(table = table.name, %error, "an hour of the fleet is not added up yet");
            }
        }
        Ok(())
    }

    /// The minutes of half days that are over, or that late rows came into.
    async fn make_minutes(&self, gate: Gate) -> Result<usize, StoreError> {
        // Their chunks are gone, or partly: what was made of them stays.
        sqlx::query("delete from minutes_due where begins < time_of($1)")
            .bind(gate.raw_since_ms)
            .execute(&self.pool)
            .await
            .map_err(doing("forgetting which minutes to make"))?;
        let due: Vec<(i16, i32, i64)> = sqlx::query_as(
            "select kind, host_id, ms_of(begins) from minutes_due where begins <= time_of($1) order by begins, kind, host_id",
        )
        .bind(gate.closed_before_ms - HALF_DAY_MS)
        .fetch_all(&self.pool)
        .await
        .map_err(doing("looking which minutes to make"))?;
        let mut made = 0;
        for (kind, host_id, begins_ms) in due {
            let Some(table) = tables::all().iter().find(|table| table.kind as i16 == kind) else { continue };
            match self.make_half_day(table, host_id, begins_ms).await {
                Ok(done) => made += usize::from(done),
                Err(error) => {
                    tracing::warn!(table = table.name, host_id, begins_ms, %error, "a half day's minutes are not made yet");
                }
            }
        }
        Ok(made)
    }

    async fn make_half_day(&self, table: &HotTable, host_id: i32, begins_ms: i64) -> Result<bool, StoreError> {
        self.ensure(Tier::Minute, [hour_of(begins_ms)]).await?;
        let kind = table.kind as i16;
        let no_longer_due = format!(
            "delete from minutes_due where kind = {kind} and host_id = {host_id} and begins = time_of({begins_ms})"
        );
        let sql = [no_longer_due, rollups::minutes(table, begins_ms, host_id)];
        self.step(async |step| execute(step, &sql).await).await
    }

    async fn ensure_tiers(&self, hour: i64) -> Result<(), StoreError> {
        self.ensure(Tier::Packed, [hour]).await?;
        self.ensure(Tier::Quarter, [hour]).await
    }

    /// One transaction, unless another controller compacts; what `work` says, or no.
    pub(super) async fn step(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        // Not the pool's: a stopping controller cuts it, and would else wait for the statement's end.
        let mut connection = self.pool.acquire().await.map_err(doing("reaching the database"))?.detach();
        let all = async {
            let mut step = begin(&mut connection).await?;
            let ours: bool = sqlx::query_scalar("select pg_try_advisory_xact_lock($1)")
                .bind(LOCK)
                .fetch_one(&mut *step)
                .await
                .map_err(doing("compacting"))?;
            let done = if ours { work(&mut step).await } else { Ok(false) };
            match done {
                Ok(_) => step.commit().await.map_err(doing("compacting"))?,
                // Until it is rolled back the lock is held, and the next step would take it for another controller's.
                Err(_) => step.rollback().await.map_err(doing("giving up a step of compacting"))?,
            }
            done
        };
        timeout(PACK_WAIT, all).await.unwrap_or(Err(StoreError::Late { doing: "compacting", waited: PACK_WAIT }))
    }
}

/// Late rows and the chunks of their entities become chunks anew. What comes to late meanwhile stays there.
fn merge(table: &HotTable, host_id: i32, hour: i64) -> String {
    let (late, packed, names) = (late(table), Tier::Packed.table(table), chunks::names(table));
    let (from_ms, to_ms) = (hour * HOUR_MS, (hour + 1) * HOUR_MS);
    let unpacked = chunks::unpack(table, "old");
    let rows = format!(
        "(select ts, host_id, entity_id{names} from moved
          union all select ts, host_id, entity_id{names} from ({unpacked}) as unpacked)"
    );
    format!(
        "with moved as (
            delete from {late} where host_id = {host_id} and ts >= time_of({from_ms}) and ts < time_of({to_ms}) returning *),
         old as (
            delete from {packed} where host_id = {host_id} and t0 >= time_of({from_ms}) and t0 < time_of({to_ms})
            and entity_id in (select entity_id from moved) returning *)
         {}",
        chunks::pack(table, &rows)
    )
}

async fn begin(connection: &mut PgConnection) -> Result<Transaction<'_, Postgres>, StoreError> {
    let mut step = connection.begin().await.map_err(doing("compacting"))?;
    // lz4 packs these arrays to 1.70 bytes a value where pglz takes 1.45, whatever the server's default is.
    let sql = format!(
        "set local lock_timeout = {}; set local statement_timeout = {}; set local work_mem = '{PACK_SORT_MIB}MB';
         set local default_toast_compression = pglz",
        PARTITION_DROP_WAIT.as_millis(),
        PACK_WAIT.as_millis(),
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *step).await.map_err(doing("compacting"))?;
    Ok(step)
}

/// Runs the statements; true, since then it is done.
async fn execute(connection: &mut PgConnection, sql: &[String]) -> Result<bool, StoreError> {
    for statement in sql {
        let statement = AssertSqlSafe(statement.as_str());
        sqlx::raw_sql(statement).execute(&mut *connection).await.map_err(doing("compacting"))?;
    }
    Ok(true)
}

/// Whether the partition is gone: while it is read, it is not, and the step goes on.
async fn drop_leaf(connection: &mut PgConnection, leaf: &str, patience: &mut Patience) -> Result<bool, StoreError> {
    let mut attempt = connection.begin().await.map_err(doing("dropping a partition"))?;
    let sql = format!("{}; drop table {leaf}", patience.sql());
    match sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *attempt).await {
        Ok(_) => attempt.commit().await.map_err(doing("dropping a partition")).map(|()| true),
        Err(error) if is_readers_fault(&error) => {
            patience.lost(leaf);
            attempt.rollback().await.map_err(doing("dropping a partition")).map(|()| false)
        }
        Err(error) => Err(doing("dropping a partition")(error)),
    }
}

async fn has_rows(connection: &mut PgConnection, table: &str) -> Result<bool, StoreError> {
    sqlx::query_scalar(AssertSqlSafe(format!("select exists (select from {table})")))
        .fetch_one(connection)
        .await
        .map_err(doing("looking for rows"))
}

async fn is_there(connection: &mut PgConnection, table: &str) -> Result<bool, StoreError> {
    sqlx::query_scalar("select to_regclass($1) is not null")
        .bind(table)
        .fetch_one(connection)
        .await
        .map_err(doing("looking for a partition"))
}
