//! All SQL, one noun a file.
//!
//! Imports no sibling: what comes in and goes out are the protocol's words and this module's own.
//! Times are milliseconds since the Unix epoch; whoever calls brings the clock.
//!
//! Invariants:
//! - Telemetry enters by [`Store::flush`] alone: data and ledger in one transaction, flushed to
//!   disk before it returns.
//! - Names become SQL only in [`tables`], from the catalogue.
//! - Everything is keyed by host first.

pub mod agents;
pub mod api_tokens;
mod arrays;
pub mod audit;
pub mod bulks;
mod by_hand;
mod chunks;
pub mod commands;
pub mod compaction;
mod copy;
pub mod documents;
pub mod enrolment;
mod entities;
pub mod events;
pub mod flush;
mod forgetting;
mod grid;
pub mod hosts;
pub mod join_tokens;
mod known_devices;
pub mod latest;
mod ledger;
pub mod moment;
mod packing;
mod partitions;
mod parts;
mod pieces;
pub mod quarantine;
mod readers;
pub mod retention;
mod rollups;
mod samples;
pub mod series;
mod setup_tokens;
pub mod tables;
pub mod tiers;
pub mod upkeep;
pub mod users;
pub mod web_sessions;

use crate::limits::{
    AGENT_SEEN_EVERY, FLUSH_WAIT, STORE_ACQUIRE_WAIT, STORE_CONNECTIONS, STORE_QUESTION_WAIT, STORE_QUESTIONS,
};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, PgPool};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::AtomicI32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// The oldest server that has multiranges: `server_version_num`.
const MINIMUM_VERSION: i32 = 140_000;

/// What went wrong, while doing what.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{doing}: {source}")]
    Sql { doing: &'static str, source: sqlx::Error },
    #[error("{doing}: the database has not answered within {} s", waited.as_secs())]
    Late { doing: &'static str, waited: Duration },
    #[error(
        "the database is PostgreSQL {found}; Fleetlight needs 14 or later (multiranges): use a newer server for database_url"
    )]
    TooOld { found: String },
    #[error("bringing the database's tables up to date: {0}; its tables may belong to a newer Fleetlight")]
    Migrate(#[from] MigrateError),
    #[error("{doing}: the database holds {what}, which this version cannot read")]
    Unreadable { doing: &'static str, what: String },
}

impl StoreError {
    /// Whether the database refused the data itself, so that trying again cannot help: data
    /// exceptions, violated constraints, program limits. Anything else may pass by itself.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        let Self::Sql { source: sqlx::Error::Database(error), .. } = self else { return false };
        error.code().is_some_and(|code| ["22", "23", "54"].iter().any(|class| code.starts_with(class)))
    }
}

/// For `map_err`: what was being done.
fn doing(doing: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |source| StoreError::Sql { doing, source }
}

/// The database. Clones share two bounded pools.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    /// For what people ask of history, which may take long: nothing else waits for it.
    questions: PgPool,
    known: Arc<Known>,
    retention: retention::Retention,
}

/// What need not be asked again. Only committed facts get in here.
#[derive(Debug, Default)]
struct Known {
    entities: Mutex<entities::KnownEntities>,
    /// Agents whose last-seen time is not older than [`AGENT_SEEN_EVERY`]: when it was written.
    seen: Mutex<HashMap<Uuid, i64>>,
    /// Partitions, by their first hour since the Unix epoch, that every table of the tier has.
    parts: Mutex<HashSet<(tiers::Tier, i64)>>,
    /// The last entity that was looked at for forgetting.
    looked_at: AtomicI32,
    /// As it was last read; the database's own can only be further on.
    gate: Mutex<packing::Gate>,
}

impl Known {
    /// Agents that send live batches and whose last-seen time is due; forgets those that do not.
    fn unseen(&self, batches: &[flush::Batch], now_ms: i64) -> Vec<Uuid> {
        let mut seen = lock(&self.seen);
        seen.retain(|_, at_ms| now_ms.saturating_sub(*at_ms) < AGENT_SEEN_EVERY.as_millis() as i64);
        let live = batches.iter().filter(|batch| batch.live && !seen.contains_key(&batch.agent_id));
        let agents: BTreeSet<Uuid> = live.map(|batch| batch.agent_id).collect();
        agents.into_iter().collect()
    }
}

impl Store {
    /// Connects, checks the server and brings its tables up to date, under an advisory lock.
    ///
    /// # Errors
    /// The URL is malformed, the server unreachable or too old, or a migration fails.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let options: PgConnectOptions = url.parse().map_err(doing("reading the database's URL"))?;
        let options = options.application_name("fleetlight-controller").disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(STORE_CONNECTIONS)
            .acquire_timeout(STORE_ACQUIRE_WAIT)
            .connect_with(options.clone())
            .await
            .map_err(doing("connecting to the database"))?;
        let (number, found): (i32, String) =
            sqlx::query_as("select current_setting('server_version_num')::int, current_setting('server_version')")
                .fetch_one(&pool)
                .await
                .map_err(doing("asking for the server's version"))?;
        if number < MINIMUM_VERSION {
            return Err(StoreError::TooOld { found });
        }
        MIGRATIONS.run(&pool).await?;
        let mut connection = pool.acquire().await.map_err(doing("reaching the database"))?;
        let gate = Mutex::new(packing::read(&mut connection).await?);
        drop(connection);
        let known = Arc::new(Known { gate, ..Known::default() });
        let questions = questions(options);
        Ok(Self { pool, questions, known, retention: retention::Retention::default() })
    }

    /// The same store, which keeps its tiers for these times.
    #[must_use]
    pub fn keeping(self, retention: retention::Retention) -> Self {
        Self { retention, ..self }
    }

    /// Runs `work` on a connection, for a bounded time. One that does not answer is closed, not
    /// handed to the next caller.
    async fn within<T>(
        &self,
        what: &'static str,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(doing("reaching the database"))?;
        match timeout(FLUSH_WAIT, work(&mut connection)).await {
            Ok(done) => done,
            Err(_) => {
                drop(connection.detach());
                Err(StoreError::Late { doing: what, waited: FLUSH_WAIT })
            }
        }
    }

    /// Closes all connections, waiting for those in use.
    pub async fn close(&self) {
        tokio::join!(self.pool.close(), self.questions.close());
    }
}

/// The server ends what takes too long: whoever asked is gone, and would leave the connection busy.
fn questions(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(STORE_QUESTIONS)
        .acquire_timeout(STORE_ACQUIRE_WAIT)
        .after_connect(|connection, _| {
            let bound = format!("set statement_timeout = {}", STORE_QUESTION_WAIT.as_millis());
            Box::pin(async { sqlx::raw_sql(AssertSqlSafe(bound)).execute(connection).await.map(drop) })
        })
        .connect_lazy_with(options)
}

/// The year 2200: after all that is kept.
const FAR_MS: i64 = 7_258_118_400_000;

/// A lock whose holder never panics while it holds; if one did, the caches are still only caches.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Text that Postgres can hold: it has no zero byte.
fn storable(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

/// The same for every string of a JSON value.
fn storable_json(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{fffd}"),
        serde_json::Value::Array(values) => values.iter_mut().for_each(storable_json),
        serde_json::Value::Object(fields) => {
            if fields.keys().any(|key| key.contains('\0')) {
                let old = std::mem::take(fields);
                *fields = old.into_iter().map(|(key, value)| (key.replace('\0', "\u{fffd}"), value)).collect();
            }
            fields.values_mut().for_each(storable_json);
        }
        _ => {}
    }
}

/// [`fleetlight_protocol::untagged`], as Postgres can hold it.
fn untagged(tagged: &impl serde::Serialize) -> serde_json::Value {
    let mut inside = fleetlight_protocol::untagged(tagged);
    storable_json(&mut inside);
    inside
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn zero_bytes_are_replaced_wherever_they_stand() {
        let mut value = json!({"a\0": ["b\0", {"c": "\0"}], "d": "\\u0000"});
        storable_json(&mut value);
        assert_eq!(value, json!({"a\u{fffd}": ["b\u{fffd}", {"c": "\u{fffd}"}], "d": "\\u0000"}));
    }
}
