//! Hourly partitions of the hot tables: made ahead and on demand, dropped when their time is over.

use super::{Store, StoreError, doing, lock, tables};
use crate::limits::{PARTITION_DROP_WAIT, PARTITION_MAKE_WAIT};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::fmt::Write as _;

pub const HOUR_MS: i64 = 3_600_000;

/// Serialises those who make partitions; any number that nobody else uses.
const LOCK: i64 = 0x666c_6565_7470_6172;

/// Hours since the Unix epoch.
#[must_use]
pub fn hour_of(ms: i64) -> i64 {
    ms.div_euclid(HOUR_MS)
}

/// `gpu_hot_2026112109`: the hour in UTC, so that names sort by time.
fn name(table: &str, hour: i64) -> Option<String> {
    let begin = jiff::Timestamp::from_second(hour * 3_600).ok()?;
    Some(format!("{table}_{}", begin.strftime("%Y%m%d%H")))
}

impl Store {
    /// Sees to it that every hot table has a partition for each of these hours.
    pub(super) async fn ensure_hours(&self, hours: impl IntoIterator<Item = i64>) -> Result<(), StoreError> {
        let unknown: Vec<i64> = {
            let known = lock(&self.known.hours);
            hours.into_iter().filter(|hour| !known.contains(hour)).collect()
        };
        for hour in unknown {
            self.make_hour(hour).await?;
            lock(&self.known.hours).insert(hour);
        }
        Ok(())
    }

    /// Attaching takes a lock that lets readers and writers of the parent go on; `PARTITION OF` would not.
    async fn make_hour(&self, hour: i64) -> Result<(), StoreError> {
        self.within("making partitions", async |connection| {
            make_hour_on(connection, hour).await.map_err(doing("making partitions"))
        })
        .await
    }

    /// Drops every partition that ended before `hour` begins; how many. One that is in use too long
    /// is left for the next time.
    pub(super) async fn drop_hours_before(&self, hour: i64) -> Result<usize, StoreError> {
        lock(&self.known.hours).retain(|known| *known >= hour);
        let parents: Vec<&str> = tables::all().iter().map(|table| table.name.as_str()).collect();
        let parts: Vec<String> = sqlx::query_scalar(
            "select part.relname::text from pg_inherits
             join pg_class part on part.oid = inhrelid join pg_class parent on parent.oid = inhparent
             where parent.oid = any (select to_regclass(name) from unnest($1::text[]) as name)",
        )
        .bind(parents)
        .fetch_all(&self.pool)
        .await
        .map_err(doing("listing partitions"))?;
        let mut dropped = 0;
        for part in parts.iter().filter(|part| is_before(part, hour)) {
            match self.drop_partition(part).await {
                Ok(()) => dropped += 1,
                Err(error) => tracing::warn!(part, %error, "a partition past its time is still in use"),
            }
        }
        Ok(dropped)
    }

    async fn drop_partition(&self, part: &str) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let wait = PARTITION_DROP_WAIT.as_millis();
        let sql = format!("set local lock_timeout = {wait}; drop table {part}");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await?;
        transaction.commit().await
    }
}

async fn make_hour_on(connection: &mut PgConnection, hour: i64) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let wait = PARTITION_MAKE_WAIT.as_millis();
    sqlx::query(AssertSqlSafe(format!("set local lock_timeout = {wait}"))).execute(&mut *transaction).await?;
    sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
    let names: Vec<String> = tables::all().iter().filter_map(|table| name(&table.name, hour)).collect();
    let missing: Vec<String> =
        sqlx::query_scalar("select name from unnest($1::text[]) as name where to_regclass(name) is null")
            .bind(names)
            .fetch_all(&mut *transaction)
            .await?;
    let mut sql = String::new();
    for table in tables::all() {
        let Some(part) = name(&table.name, hour).filter(|part| missing.contains(part)) else { continue };
        let (parent, from, to) = (&table.name, hour * HOUR_MS, (hour + 1) * HOUR_MS);
        let _ = write!(
            sql,
            "create table {part} (like {parent} including all);
             alter table {parent} attach partition {part} for values from (time_of({from})) to (time_of({to}));"
        );
    }
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Whether a partition, by its name, holds an hour before `hour`. Names that are not ours hold none.
fn is_before(part: &str, hour: i64) -> bool {
    tables::all().iter().any(|table| {
        let Some(limit) = name(&table.name, hour) else { return false };
        part.len() == limit.len() && part.starts_with(&format!("{}_", table.name)) && *part < *limit
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_time_and_tell_their_hour() {
        let hour = hour_of(1_763_715_600_000);
        assert_eq!(name("gpu_hot", hour).as_deref(), Some("gpu_hot_2025112109"));
        assert!(is_before("gpu_hot_2025112108", hour));
        assert!(!is_before("gpu_hot_2025112109", hour));
        assert!(!is_before("gpu_hot_archive000", hour), "made by somebody else");
        assert!(!is_before("other_2025112108", hour));
        assert_eq!(hour_of(-1), -1);
    }
}
