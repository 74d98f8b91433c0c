//! What time asks for: partitions ahead, and forgetting.

use super::partitions::hour_of;
use super::tiers::Tier;
use super::{Store, StoreError, doing};
use crate::limits::{DEVICE_KNOWN, EVENT_AGE, PARTITION_HOURS_AHEAD, QUARANTINE_AGE, TOKEN_AGE};

impl Store {
    /// To be called at start and every few minutes; harmless when called twice, or by two controllers.
    ///
    /// # Errors
    /// The database does not answer; what was done stays done.
    pub async fn upkeep(&self, now_ms: i64) -> Result<(), StoreError> {
        let hour = hour_of(now_ms);
        for tier in Tier::ALL {
            self.ensure(tier, hour..=hour + PARTITION_HOURS_AHEAD).await?;
        }
        let before = |age: std::time::Duration| now_ms - age.as_millis() as i64;
        let documents = self.forget_documents_before(before(EVENT_AGE)).await?;
        let events = self.forget_events_before(before(EVENT_AGE)).await?;
        self.forget_join_tokens_before(before(TOKEN_AGE)).await?;
        self.forget_api_tokens_before(before(TOKEN_AGE)).await?;
        self.forget_devices_before(before(DEVICE_KNOWN)).await?;
        self.forget_counts_before(before(EVENT_AGE), before(QUARANTINE_AGE)).await?;
        if documents > 0 || events > 0 {
            tracing::info!(documents, events, "forgot what is older than it is kept");
        }
        Ok(())
    }

    async fn forget_counts_before(&self, ledger_ms: i64, quarantine_ms: i64) -> Result<(), StoreError> {
        sqlx::query("delete from ledger where updated_at < time_of($1)")
            .bind(ledger_ms)
            .execute(&self.pool)
            .await
            .map_err(doing("forgetting old ledger rows"))?;
        sqlx::query("delete from quarantine where hour < time_of($1)")
            .bind(quarantine_ms)
            .execute(&self.pool)
            .await
            .map_err(doing("forgetting old quarantine counts"))?;
        Ok(())
    }
}
