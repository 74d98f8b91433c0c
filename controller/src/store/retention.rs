//! How long each tier is kept.

use super::partitions::{HOUR_MS, hour_of};
use super::readers::Patience;
use super::tiers::{Tier, fleet};
use super::{Store, StoreError, doing, tables};
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;

const DAY_MS: i64 = 24 * HOUR_MS;

/// Days; a partition goes when all of it is older.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Samples as they were taken.
    pub raw_days: u32,
    /// Averages, least and greatest of each minute.
    pub minute_days: u32,
    /// The same of 15 minutes.
    pub quarter_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { raw_days: 14, minute_days: 90, quarter_days: 730 }
    }
}

impl Retention {
    /// What is wrong with it, in words.
    ///
    /// # Errors
    /// A tier is kept for no time, for more than a century, or for less than a finer one.
    pub fn check(&self) -> Result<(), String> {
        let days = [1, self.raw_days, self.minute_days, self.quarter_days, 36_500];
        if days.is_sorted() {
            return Ok(());
        }
        Err(format!(
            "raw_days = {}, minute_days = {}, quarter_days = {}: each must be 1 to 36500, and none less than the one before",
            self.raw_days, self.minute_days, self.quarter_days
        ))
    }

    /// From when on raw samples are sure to be there.
    #[must_use]
    pub fn raw_since_ms(&self, now_ms: i64) -> i64 {
        now_ms - i64::from(self.raw_days) * DAY_MS
    }

    /// The same of minutes.
    #[must_use]
    pub fn minutes_since_ms(&self, now_ms: i64) -> i64 {
        now_ms - i64::from(self.minute_days) * DAY_MS
    }
}

impl Store {
    /// Drops what is older than it is kept; how many partitions.
    ///
    /// # Errors
    /// The database does not answer; what was done stays done.
    pub async fn drop_expired(&self, now_ms: i64) -> Result<usize, StoreError> {
        let retention = self.retention;
        // The gate moves first: from then on nobody brings samples of a day that is about to go.
        let packed_since = Tier::Packed.begin(hour_of(retention.raw_since_ms(now_ms)));
        self.forget_raw_before(packed_since * HOUR_MS).await?;
        let quarters_since = hour_of(now_ms - i64::from(retention.quarter_days) * DAY_MS);
        self.forget_lines_before(quarters_since * HOUR_MS).await?;
        let patience = &mut Patience::default();
        Ok(self.drop_before(Tier::Packed, packed_since, patience).await?
            + self.drop_before(Tier::Minute, hour_of(retention.minutes_since_ms(now_ms)), patience).await?
            + self.drop_before(Tier::Quarter, quarters_since, patience).await?)
    }

    async fn forget_lines_before(&self, since_ms: i64) -> Result<(), StoreError> {
        for table in tables::all() {
            let sql = format!("delete from {} where t0 < time_of({since_ms})", fleet(table));
            sqlx::query(AssertSqlSafe(sql))
                .execute(&self.pool)
                .await
                .map_err(doing("forgetting lines of the fleet"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarser_tiers_are_kept_longer() {
        assert_eq!(Retention::default().check(), Ok(()));
        assert!(Retention { raw_days: 0, ..Retention::default() }.check().is_err());
        let words = Retention { minute_days: 7, ..Retention::default() }.check().expect_err("less than raw");
        assert!(words.contains("minute_days = 7"), "{words}");
    }
}
