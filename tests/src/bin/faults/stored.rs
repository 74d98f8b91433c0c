//! What Postgres holds of one host: hot, late and packed rows as one, the ledger, events, and what was refused.

use crate::taken::{Place, Values};
use anyhow::{Context, Result};
use fleetlight_protocol::intervals::IntervalSet;
use fleetlight_protocol::samples::EntityKind;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// All of it, at one moment.
#[derive(Debug, Default)]
pub struct Stored {
    pub rows: HashMap<Place, Vec<Values>>,
    /// How often each event is there.
    pub events: HashMap<Uuid, u32>,
    /// Batches by reason.
    pub refused: BTreeMap<String, i64>,
    pub packed_rows: i64,
}

impl Stored {
    pub async fn read(url: &str, host: &str) -> Result<Self> {
        let mut connection = PgConnection::connect(url).await?;
        let connection = &mut connection;
        // One snapshot: batches arrive meanwhile. A partition that were dropped after it would take its rows out of
        // it, and their chunks would be too young for it.
        let hot = kinds().map(|kind| format!("{}_hot", kind.name())).collect::<Vec<_>>().join(", ");
        let sql = format!("begin isolation level repeatable read; lock table {hot} in access share mode");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await?;
        let host_id: i32 =
            sqlx::query_scalar("select id from hosts where name = $1").bind(host).fetch_one(&mut *connection).await?;
        let mut stored = Self::default();
        for kind in kinds() {
            stored.read_rows(connection, host_id, kind).await.with_context(|| kind.name())?;
        }
        let events = sqlx::query_scalar("select id from events where host_id = $1").bind(host_id);
        for id in events.fetch_all(&mut *connection).await? {
            *stored.events.entry(id).or_default() += 1;
        }
        let refused = "select reason, sum(batches)::bigint from quarantine where host_id = $1 group by reason";
        for row in sqlx::query(refused).bind(host_id).fetch_all(&mut *connection).await? {
            stored.refused.insert(row.get(0), row.get(1));
        }
        Ok(stored)
    }

    async fn read_rows(&mut self, connection: &mut PgConnection, host_id: i32, kind: EntityKind) -> Result<()> {
        let columns: Vec<_> = kind.metrics().iter().map(|metric| format!("{}::float8", metric.name)).collect();
        let (name, columns) = (kind.name(), columns.join(", "));
        let sql = format!("select key, ms_of(ts), array[{columns}] from {name}_samples where host_id = $1");
        for row in sqlx::query(AssertSqlSafe(sql)).bind(host_id).fetch_all(&mut *connection).await? {
            self.rows.entry((kind, row.get(0), row.get(1))).or_default().push(row.get(2));
        }
        let sql = format!("select coalesce(sum(n), 0)::bigint from {name}_packed where host_id = $1");
        self.packed_rows +=
            sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)).bind(host_id).fetch_one(connection).await?;
        Ok(())
    }
}

/// Those that have samples.
fn kinds() -> impl Iterator<Item = EntityKind> {
    EntityKind::ALL.into_iter().filter(|kind| !kind.metrics().is_empty())
}

/// What is stored or given up of each epoch.
pub async fn ledger(connection: &mut PgConnection, host_id: i32) -> Result<BTreeMap<Uuid, IntervalSet>> {
    let rows = sqlx::query("select epoch, seqs::text from ledger where host_id = $1").bind(host_id);
    let rows = rows.fetch_all(connection).await?;
    let entry = |row: &sqlx::postgres::PgRow| {
        let set = IntervalSet::from_multirange(row.get(1)).context("a ledger that cannot be read")?;
        Ok((row.get(0), set))
    };
    rows.iter().map(entry).collect()
}
