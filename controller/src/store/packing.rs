//! What "closed" means: hours that the hot tables take no more.
//!
//! Whoever writes samples holds the gate shared until its commit, and sends to late what is older
//! than the gate says. Whoever closes hours holds it alone, for one update. So when hours are
//! closed, everything that was written to them has been committed, and nothing follows. Entities are forgotten
//! under the same lock.

use super::partitions::{HOUR_MS, hour_of};
use super::{Store, StoreError, doing, lock};
use crate::limits::{CLOSE_AFTER, PARTITION_MAKE_WAIT};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

/// The gate; any number that nobody else uses.
const GATE: i64 = 0x666c_6565_7467_6174;

/// Which samples go where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gate {
    /// Older ones go to late.
    pub closed_before_ms: i64,
    /// Older ones can no longer be taken.
    pub raw_since_ms: i64,
    /// How often entities were forgotten: numbers that were learnt before may be of one that is gone.
    pub forgettings: i64,
}

/// Holds the gate until the transaction ends.
pub(super) async fn hold(connection: &mut PgConnection) -> Result<Gate, StoreError> {
    sqlx::query("select pg_advisory_xact_lock_shared($1)")
        .bind(GATE)
        .execute(&mut *connection)
        .await
        .map_err(doing("asking which hours are open"))?;
    // A statement of its own: its snapshot must be younger than the lock.
    read(connection).await
}

pub(super) async fn read(connection: &mut PgConnection) -> Result<Gate, StoreError> {
    let row = sqlx::query("select ms_of(closed_before), ms_of(raw_since), forgettings from packing")
        .fetch_one(connection)
        .await
        .map_err(doing("asking which hours are open"))?;
    Ok(Gate { closed_before_ms: row.get(0), raw_since_ms: row.get(1), forgettings: row.get(2) })
}

/// The statements after which nobody else is within a gate, until the transaction ends.
pub(super) fn shut() -> String {
    let wait = PARTITION_MAKE_WAIT.as_millis();
    format!("set local lock_timeout = {wait}; select pg_advisory_xact_lock({GATE});")
}

impl Store {
    /// Closes the hours whose grace is over; gives the gate as it is then.
    pub(super) async fn close_hours(&self, now_ms: i64) -> Result<Gate, StoreError> {
        let before_ms = hour_of(now_ms - CLOSE_AFTER.as_millis() as i64) * HOUR_MS;
        self.move_gate("closed_before", before_ms).await
    }

    /// Takes no more samples from before `since_ms`, and gives the gate as it is then.
    pub(super) async fn forget_raw_before(&self, since_ms: i64) -> Result<Gate, StoreError> {
        self.move_gate("raw_since", since_ms).await
    }

    async fn move_gate(&self, column: &'static str, to_ms: i64) -> Result<Gate, StoreError> {
        self.within("closing hours", async |connection| {
            let gate = read(connection).await?;
            let now_ms = if column == "raw_since" { gate.raw_since_ms } else { gate.closed_before_ms };
            if now_ms >= to_ms {
                return Ok(gate);
            }
            let mut transaction = connection.begin().await.map_err(doing("closing hours"))?;
            let shut = shut();
            let sql = format!("{shut} update packing set {column} = greatest({column}, time_of({to_ms}))");
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await.map_err(doing("closing hours"))?;
            transaction.commit().await.map_err(doing("closing hours"))?;
            read(connection).await
        })
        .await
        .inspect(|gate| *lock(&self.known.gate) = *gate)
    }
}
