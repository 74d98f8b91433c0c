//! Numbers over time, in buckets: average, least and greatest, with gaps; from the coarsest source
//! that suffices.

use super::grid::Grid;
pub use super::grid::Source;
use super::parts::Parts;
use super::pieces::{Wanted, pieces};
use super::{FAR_MS, Store, StoreError, doing, lock, tables};
use crate::limits::{DEFAULT_INTERVAL_MS, SERIES_KEYS, SERIES_METRICS};
use fleetlight_protocol::samples::EntityKind;
use futures_util::TryStreamExt;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres};
use std::collections::{BTreeMap, HashMap};

/// What to read.
#[derive(Debug, Clone)]
pub struct SeriesQuery {
    pub host_id: i32,
    pub kind: EntityKind,
    /// Names of the catalogue.
    pub metrics: Vec<String>,
    /// None: all entities of the kind that have samples in the range.
    pub keys: Option<Vec<String>>,
    pub from_ms: i64,
    pub to_ms: i64,
    /// At most this many (but two), and never more than [`crate::limits::SERIES_BUCKETS`].
    pub buckets: usize,
    /// The controller's clock: what is older than it is kept comes from rollups.
    pub now_ms: i64,
}

/// The same of all hosts together: one line for each metric, over all entities of the kind.
#[derive(Debug, Clone)]
pub struct FleetQuery {
    pub kind: EntityKind,
    pub metrics: Vec<String>,
    pub from_ms: i64,
    pub to_ms: i64,
    pub buckets: usize,
    pub now_ms: i64,
}

/// Equal buckets from `from_ms` on, each beginning at its `times_ms`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Series {
    pub from_ms: i64,
    pub to_ms: i64,
    pub step_ms: i64,
    pub source: Source,
    pub times_ms: Vec<i64>,
    pub series: Vec<Line>,
}

/// One metric of one entity; null where nothing was measured.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Line {
    pub key: String,
    pub metric: &'static str,
    pub avg: Vec<Option<f64>>,
    pub min: Vec<Option<f64>>,
    pub max: Vec<Option<f64>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    /// The question is at fault; the words say how.
    #[error("{0}")]
    Question(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// # Errors
    /// [`SeriesError::Question`] names what is wrong with it and what is allowed.
    pub async fn series(&self, query: &SeriesQuery) -> Result<Series, SeriesError> {
        let metrics = known_metrics(query.kind, &query.metrics)?;
        check_range(query.from_ms, query.to_ms)?;
        let table = table_of(query.kind)?;
        if query.keys.as_ref().is_some_and(|keys| keys.len() > SERIES_KEYS) {
            return Err(SeriesError::Question(format!("name at most {SERIES_KEYS} keys")));
        }
        let interval_ms = self.interval_ms(query.host_id).await?;
        let finest = self.finest(query.from_ms, query.now_ms);
        let grid = Grid::new(query.from_ms, query.to_ms, query.buckets, interval_ms, finest);
        let keys = self.keys(query).await?;
        // Each kind has tables of its own: who names no keys wants all that they hold of the host.
        let only = if query.keys.is_some() { " and host_id = $1 and entity_id = any($2)" } else { " and host_id = $1" };
        let wanted = Wanted { table, metrics: &metrics, only, interval_s: Some(interval_ms as f64 / 1_000.0) };
        let sql = pieces(&wanted, &grid, "entity_id");
        let mut reading = sqlx::query(AssertSqlSafe(sql)).persistent(false).bind(query.host_id);
        if query.keys.is_some() {
            reading = reading.bind(keys.keys().copied().collect::<Vec<i32>>());
        }
        let parts = self.parts(&wanted, grid, reading).await?;
        let by_key: BTreeMap<&str, i32> = keys.iter().map(|(id, key)| (key.as_str(), *id)).collect();
        let lines = by_key.into_iter().flat_map(|(key, id)| parts.lines(id, key, &metrics));
        Ok(answer(grid, lines.collect()))
    }

    /// Adds up what a question reads, row by row: chunks by the thousand need not be in memory together.
    async fn parts(
        &self,
        wanted: &Wanted<'_>,
        grid: Grid,
        reading: Query<'_, Postgres, PgArguments>,
    ) -> Result<Parts, SeriesError> {
        let mut parts = Parts::new(grid, wanted.metrics.len(), wanted.interval_s);
        let mut rows = reading.fetch(&self.questions);
        while let Some(row) = rows.try_next().await.map_err(doing("reading a series"))? {
            parts.add(&row)?;
        }
        Ok(parts)
    }

    /// # Errors
    /// As [`Store::series`].
    pub async fn fleet_series(&self, query: &FleetQuery) -> Result<Series, SeriesError> {
        let metrics = known_metrics(query.kind, &query.metrics)?;
        check_range(query.from_ms, query.to_ms)?;
        let table = table_of(query.kind)?;
        let interval_ms = i64::from(DEFAULT_INTERVAL_MS);
        let finest = self.finest(query.from_ms, query.now_ms);
        let grid = Grid::new(query.from_ms, query.to_ms, query.buckets, interval_ms, finest);
        let wanted = Wanted { table, metrics: &metrics, only: "", interval_s: None };
        let reading = sqlx::query(AssertSqlSafe(pieces(&wanted, &grid, "0"))).persistent(false);
        let lines = self.parts(&wanted, grid, reading).await?.lines(0, "", &metrics);
        Ok(answer(grid, if lines.is_empty() { empty("", &metrics, grid.buckets) } else { lines }))
    }

    /// What is sure to be there from `from_ms` on. What a shorter retention dropped before does not come back.
    pub(super) fn finest(&self, from_ms: i64, now_ms: i64) -> Source {
        let dropped_before_ms = lock(&self.known.gate).raw_since_ms;
        if from_ms >= self.retention.raw_since_ms(now_ms).max(dropped_before_ms) {
            Source::Samples
        } else if from_ms >= self.retention.minutes_since_ms(now_ms) {
            Source::Minutes
        } else {
            Source::Quarters
        }
    }

    async fn keys(&self, query: &SeriesQuery) -> Result<HashMap<i32, String>, StoreError> {
        let rows: Vec<(i32, String)> = sqlx::query_as(
            "select id, key from entities where host_id = $1 and kind = $2 and ($3::text[] is null or key = any($3))",
        )
        .bind(query.host_id)
        .bind(query.kind as i16)
        .bind(query.keys.as_deref())
        .fetch_all(&self.questions)
        .await
        .map_err(doing("looking for what a series is about"))?;
        Ok(rows.into_iter().collect())
    }

    /// The sampling interval that the host's own document states.
    async fn interval_ms(&self, host_id: i32) -> Result<i64, StoreError> {
        let stated: Option<i64> = sqlx::query_scalar(
            "select (body->>'interval_ms')::bigint from inventory where host_id = $1 and kind = $2 and valid_to is null",
        )
        .bind(host_id)
        .bind(EntityKind::Host as i16)
        .fetch_optional(&self.questions)
        .await
        .map_err(doing("looking for the sampling interval"))?
        .flatten();
        Ok(stated.filter(|interval| *interval > 0).unwrap_or(i64::from(DEFAULT_INTERVAL_MS)))
    }
}

fn answer(grid: Grid, series: Vec<Line>) -> Series {
    let Grid { from_ms, step_ms, source, .. } = grid;
    Series { from_ms, to_ms: grid.to_ms(), step_ms, source, times_ms: grid.times(), series }
}

fn table_of(kind: EntityKind) -> Result<&'static tables::HotTable, SeriesError> {
    tables::of(kind).ok_or_else(|| SeriesError::Question(format!("{} has no metrics", kind.name())))
}

fn check_range(from_ms: i64, to_ms: i64) -> Result<(), SeriesError> {
    if from_ms >= to_ms || from_ms < 0 || to_ms > FAR_MS {
        let words = "from_ms must be before to_ms, both milliseconds since the Unix epoch";
        return Err(SeriesError::Question(words.into()));
    }
    Ok(())
}

/// The catalogue's own names for what was asked: nothing else becomes SQL.
fn known_metrics(kind: EntityKind, wanted: &[String]) -> Result<Vec<&'static str>, SeriesError> {
    let question = |message: String| Err(SeriesError::Question(message));
    if wanted.is_empty() || wanted.len() > SERIES_METRICS {
        return question(format!("name 1 to {SERIES_METRICS} metrics"));
    }
    let mut names = Vec::new();
    for wanted in wanted {
        match kind.metrics().iter().find(|metric| metric.name == wanted) {
            Some(metric) if !names.contains(&metric.name) => names.push(metric.name),
            Some(_) => {}
            None => {
                let kind = kind.name();
                return question(format!("{kind} has no metric {wanted:?}; GET catalogue lists what there is"));
            }
        }
    }
    Ok(names)
}

fn empty(key: &str, metrics: &[&'static str], buckets: usize) -> Vec<Line> {
    let gap = || vec![None; buckets];
    metrics.iter().map(|metric| Line { key: key.to_owned(), metric, avg: gap(), min: gap(), max: gap() }).collect()
}

#[cfg(test)]
#[path = "series_tests.rs"]
mod tests;
