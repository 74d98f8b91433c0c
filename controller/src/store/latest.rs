//! The last numbers of a host, for a controller that has just started.

use super::grid::Source;
use super::{Store, StoreError, tables};
use fleetlight_protocol::samples::Row;

/// The newest row of each entity that had one shortly before the host's last tick.
#[derive(Debug, Clone, PartialEq)]
pub struct Latest {
    pub tick_ms: i64,
    pub rows: Vec<Row>,
}

impl Store {
    /// None: no samples of this host are kept.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn latest(&self, host_id: i32) -> Result<Option<Latest>, StoreError> {
        let Some(tick_ms) = self.last_tick_ms(host_id).await? else { return Ok(None) };
        let mut rows = Vec::new();
        for table in tables::all() {
            let found = self.rows_at(table, Some(host_id), tick_ms, Source::Samples).await?;
            rows.extend(found.into_iter().map(|(_, _, row)| row));
        }
        Ok(Some(Latest { tick_ms, rows }))
    }
}
