//! Entities of which nothing is stored any more are forgotten: a host makes thousands an hour where containers and
//! processes come and go.
//!
//! Flushes remember numbers of entities, and must not write samples of one that is gone. So entities go only while no
//! flush is within the gate, after a last look at their samples, and [`Gate::forgettings`](super::packing::Gate)
//! tells the next flush of every controller to ask anew. Documents and events name entities by kind and key: they
//! lose nothing.

use super::tables::{self, HotTable};
use super::tiers::{Tier, late};
use super::{Store, StoreError, doing, packing};
use crate::limits::{ENTITIES_FORGOTTEN, ENTITIES_LOOKED_AT};
use sqlx::{AssertSqlSafe, Connection};
use std::sync::atomic::Ordering;

impl Store {
    /// Looks at the entities that are next in turn, and forgets those without samples in any tier; how many.
    ///
    /// # Errors
    /// The database does not answer; what was done stays done.
    pub async fn forget_entities(&self) -> Result<u64, StoreError> {
        let after = self.known.looked_at.load(Ordering::Relaxed);
        let last: Option<i32> = sqlx::query_scalar(
            "select max(id) from (select id from entities where id > $1 order by id limit $2) as next having count(*) = $2",
        )
        .bind(after)
        .bind(ENTITIES_LOOKED_AT)
        .fetch_optional(&self.pool)
        .await
        .map_err(doing("looking for entities without samples"))?;
        let mut forgotten = 0;
        for table in tables::all() {
            let without = without_samples(table);
            let sql = format!("select id from entities as e where id > $1 and id <= $2 and {without}");
            let ids: Vec<i32> = sqlx::query_scalar(AssertSqlSafe(sql))
                .bind(after)
                .bind(last.unwrap_or(i32::MAX))
                .fetch_all(&self.pool)
                .await
                .map_err(doing("looking for entities without samples"))?;
            for some in ids.chunks(ENTITIES_FORGOTTEN) {
                forgotten += self.forget(table, some).await?;
            }
        }
        // After the last one it is the first one's turn.
        self.known.looked_at.store(last.unwrap_or(0), Ordering::Relaxed);
        Ok(forgotten)
    }

    async fn forget(&self, table: &HotTable, ids: &[i32]) -> Result<u64, StoreError> {
        self.within("forgetting entities", async |connection| {
            let mut transaction = connection.begin().await.map_err(doing("forgetting entities"))?;
            let shut = AssertSqlSafe(packing::shut());
            sqlx::raw_sql(shut).execute(&mut *transaction).await.map_err(doing("forgetting entities"))?;
            // A statement of its own: its snapshot must be younger than the lock.
            let sql = format!("delete from entities as e where id = any($1) and {}", without_samples(table));
            let gone = sqlx::query(AssertSqlSafe(sql)).bind(ids).execute(&mut *transaction).await;
            let gone = gone.map_err(doing("forgetting entities"))?.rows_affected();
            if gone > 0 {
                sqlx::query("update packing set forgettings = forgettings + 1")
                    .execute(&mut *transaction)
                    .await
                    .map_err(doing("forgetting entities"))?;
            }
            transaction.commit().await.map_err(doing("forgetting entities"))?;
            Ok(gone)
        })
        .await
    }
}

/// Whether entity `e` is of the table's kind and has no row in any of its tables. One index look-up a partition, to the
/// first that has one: as a join, the planner might read them whole.
fn without_samples(table: &HotTable) -> String {
    let tiers = Tier::ALL.into_iter().map(|tier| tier.table(table)).chain([late(table)]);
    let row =
        |of: String| format!("(select true from {of} as s where s.host_id = e.host_id and s.entity_id = e.id limit 1)");
    let rows: Vec<String> = tiers.map(row).collect();
    format!("e.kind = {} and coalesce({}) is null", table.kind as i16, rows.join(", "))
}
