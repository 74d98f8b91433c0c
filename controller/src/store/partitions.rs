//! Partitions of all tiers: made ahead and on demand, dropped when their time is over.

use super::readers::{Patience, is_readers_fault};
use super::tables::{self, HotTable};
use super::tiers::Tier;
use super::{Store, StoreError, doing, lock};
use crate::limits::PARTITION_MAKE_WAIT;
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

/// `gpu_hot_2026112109`: the first hour in UTC, so that names sort by time.
pub(super) fn name(table: &str, hour: i64) -> Option<String> {
    let begin = jiff::Timestamp::from_second(hour.checked_mul(3_600)?).ok()?;
    Some(format!("{table}_{}", begin.strftime("%Y%m%d%H")))
}

/// The first hour of a partition, by its name; none for names that are not ours.
fn hour_in(part: &str, table: &str) -> Option<i64> {
    let digits = part.strip_prefix(table)?.strip_prefix('_')?;
    let begin = jiff::civil::DateTime::strptime("%Y%m%d%H%M", format!("{digits}00")).ok()?;
    let hour = hour_of(begin.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond());
    (name(table, hour).as_deref() == Some(part)).then_some(hour)
}

impl Store {
    /// Sees to it that every table of the tier has a partition for each of these hours.
    pub(super) async fn ensure(&self, tier: Tier, hours: impl IntoIterator<Item = i64>) -> Result<(), StoreError> {
        let unknown: Vec<i64> = {
            let known = lock(&self.known.parts);
            hours.into_iter().map(|hour| tier.begin(hour)).filter(|begin| !known.contains(&(tier, *begin))).collect()
        };
        for begin in unknown {
            // Attaching takes a lock that lets readers and writers of the parent go on; `PARTITION OF` would not.
            self.within("making partitions", async |connection| {
                make_on(connection, tier, begin).await.map_err(doing("making partitions"))
            })
            .await?;
            lock(&self.known.parts).insert((tier, begin));
        }
        Ok(())
    }

    /// First hours of the partitions that a table has, oldest first.
    pub(super) async fn parts_of(&self, table: &HotTable, tier: Tier) -> Result<Vec<i64>, StoreError> {
        let parent = tier.table(table);
        let parts: Vec<String> = sqlx::query_scalar(
            "select relname::text from pg_inherits join pg_class on oid = inhrelid where inhparent = to_regclass($1)",
        )
        .bind(&parent)
        .fetch_all(&self.pool)
        .await
        .map_err(doing("listing partitions"))?;
        let mut hours: Vec<i64> = parts.iter().filter_map(|part| hour_in(part, &parent)).collect();
        hours.sort_unstable();
        Ok(hours)
    }

    /// Drops every partition of the tier that ended before `hour` begins; how many. One that is in use
    /// too long is left for the next time.
    pub(super) async fn drop_before(
        &self,
        tier: Tier,
        hour: i64,
        patience: &mut Patience,
    ) -> Result<usize, StoreError> {
        let mut dropped = 0;
        for table in tables::all() {
            let parts = self.parts_of(table, tier).await?;
            for begin in parts.into_iter().filter(|begin| begin + tier.hours() <= hour) {
                lock(&self.known.parts).remove(&(tier, begin));
                let Some(part) = name(&tier.table(table), begin) else { continue };
                match self.drop_partition(&part, patience).await {
                    Ok(()) => dropped += 1,
                    Err(error) if is_readers_fault(&error) => patience.lost(&part),
                    Err(error) => tracing::warn!(part, %error, "a partition past its time is not dropped"),
                }
            }
        }
        Ok(dropped)
    }

    async fn drop_partition(&self, part: &str, patience: &Patience) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let sql = format!("{}; drop table if exists {part}", patience.sql());
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await?;
        transaction.commit().await
    }
}

async fn make_on(connection: &mut PgConnection, tier: Tier, begin: i64) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let wait = PARTITION_MAKE_WAIT.as_millis();
    sqlx::query(AssertSqlSafe(format!("set local lock_timeout = {wait}"))).execute(&mut *transaction).await?;
    sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
    let parents: Vec<String> = tables::all().iter().map(|table| tier.table(table)).collect();
    let names: Vec<String> = parents.iter().filter_map(|parent| name(parent, begin)).collect();
    let missing: Vec<String> =
        sqlx::query_scalar("select name from unnest($1::text[]) as name where to_regclass(name) is null")
            .bind(names)
            .fetch_all(&mut *transaction)
            .await?;
    let mut sql = String::new();
    for parent in &parents {
        let Some(part) = name(parent, begin).filter(|part| missing.contains(part)) else { continue };
        let (from, to) = (begin * HOUR_MS, (begin + tier.hours()) * HOUR_MS);
        let _ = write!(
            sql,
            "create table {part} (like {parent} including all);
             alter table {parent} attach partition {part} for values from (time_of({from})) to (time_of({to}));"
        );
    }
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await?;
    transaction.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_time_and_tell_their_hour() {
        let hour = hour_of(1_763_715_600_000);
        assert_eq!(name("gpu_hot", hour).as_deref(), Some("gpu_hot_2025112109"));
        assert_eq!(hour_in("gpu_hot_2025112109", "gpu_hot"), Some(hour));
        assert_eq!(hour_in("gpu_hot_archive000", "gpu_hot"), None, "made by somebody else");
        assert_eq!(hour_in("gpu_hot_2025112109x", "gpu_hot"), None);
        assert_eq!(hour_in("other_2025112109", "gpu_hot"), None);
        assert_eq!(hour_of(-1), -1);
        assert_eq!(name("gpu_packed", Tier::Packed.begin(hour)).as_deref(), Some("gpu_packed_2025112100"));
    }
}
