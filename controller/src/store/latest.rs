//! The last numbers of a host, for a controller that has just started.

use super::{Store, StoreError, doing, tables};
use crate::limits::LATEST_WINDOW;
use fleetlight_protocol::samples::{EntityKind, Row};
use sqlx::{AssertSqlSafe, Row as _};

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
        let tick_ms: Option<i64> = sqlx::query_scalar(
            "select ms_of(ts) from entities cross join lateral (
                 select ts from host_hot where host_hot.host_id = entities.host_id and entity_id = entities.id
                 order by ts desc limit 1) as newest
             where entities.host_id = $1 and kind = $2",
        )
        .bind(host_id)
        .bind(EntityKind::Host as i16)
        .fetch_optional(&self.pool)
        .await
        .map_err(doing("looking for a host's last tick"))?;
        let Some(tick_ms) = tick_ms else { return Ok(None) };
        let mut rows = Vec::new();
        for table in tables::all() {
            rows.extend(self.latest_of(table, host_id, tick_ms).await?);
        }
        Ok(Some(Latest { tick_ms, rows }))
    }

    async fn latest_of(&self, table: &tables::HotTable, host_id: i32, tick_ms: i64) -> Result<Vec<Row>, StoreError> {
        let values: Vec<String> = table.metrics().iter().map(|metric| format!("{}::float8", metric.name)).collect();
        let (name, values) = (&table.name, values.join(", "));
        let from_ms = tick_ms - LATEST_WINDOW.as_millis() as i64;
        // Times as literals: the planner then leaves all other partitions out.
        let sql = format!(
            "select distinct on (entity_id) key, array[{values}] from {name} join entities on entities.id = entity_id
             where {name}.host_id = $1 and ts > time_of({from_ms}) and ts <= time_of({tick_ms})
             order by entity_id, ts desc"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .persistent(false)
            .bind(host_id)
            .fetch_all(&self.pool)
            .await
            .map_err(doing("reading a host's last numbers"))?;
        Ok(rows.iter().map(|row| Row { kind: table.kind, key: row.get(0), values: row.get(1) }).collect())
    }
}
