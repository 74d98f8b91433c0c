//! Numbers over time, in buckets: average, least and greatest, with gaps.

use super::{Store, StoreError, doing, tables};
use crate::limits::{DEFAULT_INTERVAL_MS, SERIES_BUCKETS, SERIES_KEYS, SERIES_METRICS, SERIES_ROWS};
use fleetlight_protocol::samples::EntityKind;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeMap;

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
    /// At most this many (but two), and never more than [`SERIES_BUCKETS`].
    pub buckets: usize,
}

/// Equal buckets from `from_ms` on, each beginning at its `times_ms`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    pub from_ms: i64,
    pub to_ms: i64,
    pub step_ms: i64,
    pub times_ms: Vec<i64>,
    pub series: Vec<Line>,
}

/// One metric of one entity; null where nothing was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
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

/// The buckets of a question: whole multiples of the sampling interval, on a grid that does not
/// move with the question, so that a chart that slides on keeps its buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Grid {
    from_ms: i64,
    step_ms: i64,
    buckets: usize,
}

impl Grid {
    fn new(from_ms: i64, to_ms: i64, buckets: usize, interval_ms: i64) -> Self {
        // A range that lies across the grid's lines needs one bucket more than its length does.
        let whole = (buckets.clamp(2, SERIES_BUCKETS) - 1) as i64;
        let interval_ms = interval_ms.max(1);
        let intervals = (to_ms - from_ms + interval_ms - 1) / interval_ms;
        let step_ms = interval_ms * ((intervals + whole - 1) / whole).max(1);
        let (from_ms, buckets) = span(from_ms, to_ms, step_ms);
        Self { from_ms, step_ms, buckets: buckets as usize }
    }

    fn to_ms(self) -> i64 {
        self.from_ms + self.step_ms * self.buckets as i64
    }

    fn times(self) -> Vec<i64> {
        (0..self.buckets as i64).map(|bucket| self.from_ms + bucket * self.step_ms).collect()
    }
}

/// First grid point and number of buckets that cover a range.
fn span(from_ms: i64, to_ms: i64, step_ms: i64) -> (i64, i64) {
    let first = from_ms.div_euclid(step_ms);
    (first * step_ms, (to_ms - 1).div_euclid(step_ms) - first + 1)
}

impl Store {
    /// # Errors
    /// [`SeriesError::Question`] names what is wrong with it and what is allowed.
    pub async fn series(&self, query: &SeriesQuery) -> Result<Series, SeriesError> {
        let metrics = known_metrics(query)?;
        let Some(table) = tables::of(query.kind) else {
            return Err(SeriesError::Question(format!("{} has no metrics", query.kind.name())));
        };
        let interval_ms = self.interval_ms(query.host_id).await?;
        let grid = Grid::new(query.from_ms, query.to_ms, query.buckets, interval_ms);
        let columns: Vec<String> = metrics
            .iter()
            .map(|name| format!("avg({name})::float8, min({name})::float8, max({name})::float8"))
            .collect();
        let (name, columns) = (&table.name, columns.join(", "));
        let (from_ms, to_ms, step_ms) = (grid.from_ms, grid.to_ms(), grid.step_ms);
        // Times as literals: the planner then leaves all other partitions out.
        let sql = format!(
            "select key, ((ms_of(ts) - {from_ms}) / {step_ms})::int as bucket, array[{columns}]
             from {name} join entities on entities.id = entity_id
             where {name}.host_id = $1 and ts >= time_of({from_ms}) and ts < time_of({to_ms})
             and entity_id in (select id from entities where host_id = $1 and kind = $2 and ($3::text[] is null or key = any($3)))
             group by entity_id, key, bucket order by key, bucket limit {limit}",
            limit = SERIES_ROWS + 1,
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .persistent(false)
            .bind(query.host_id)
            .bind(query.kind as i16)
            .bind(query.keys.as_deref())
            .fetch_all(&self.pool)
            .await
            .map_err(doing("reading a series"))?;
        if rows.len() > SERIES_ROWS {
            let message =
                format!("more than {SERIES_ROWS} points: ask for fewer keys, fewer buckets or a shorter time");
            return Err(SeriesError::Question(message));
        }
        let mut lines: BTreeMap<String, Vec<Line>> = BTreeMap::new();
        for row in &rows {
            let (key, bucket, values): (String, i32, Vec<Option<f64>>) = (row.get(0), row.get(1), row.get(2));
            let of_key = lines.entry(key).or_insert_with_key(|key| empty(key, &metrics, grid.buckets));
            fill(of_key, bucket, &values);
        }
        let series = lines.into_values().flatten().collect();
        Ok(Series { from_ms, to_ms, step_ms, times_ms: grid.times(), series })
    }

    /// The sampling interval that the host's own document states.
    async fn interval_ms(&self, host_id: i32) -> Result<i64, StoreError> {
        let stated: Option<i64> = sqlx::query_scalar(
            "select (body->>'interval_ms')::bigint from inventory where host_id = $1 and kind = $2 and valid_to is null",
        )
        .bind(host_id)
        .bind(EntityKind::Host as i16)
        .fetch_optional(&self.pool)
        .await
        .map_err(doing("looking for the sampling interval"))?
        .flatten();
        Ok(stated.filter(|interval| *interval > 0).unwrap_or(i64::from(DEFAULT_INTERVAL_MS)))
    }
}

/// The catalogue's own names for what was asked: nothing else becomes SQL.
fn known_metrics(query: &SeriesQuery) -> Result<Vec<&'static str>, SeriesError> {
    let question = |message: String| Err(SeriesError::Question(message));
    if query.from_ms >= query.to_ms || query.from_ms < 0 || query.to_ms > FAR_MS {
        return question("from_ms must be before to_ms, both milliseconds since the Unix epoch".into());
    }
    if query.metrics.is_empty() || query.metrics.len() > SERIES_METRICS {
        return question(format!("name 1 to {SERIES_METRICS} metrics"));
    }
    if query.keys.as_ref().is_some_and(|keys| keys.len() > SERIES_KEYS) {
        return question(format!("name at most {SERIES_KEYS} keys"));
    }
    let catalogue = query.kind.metrics();
    let mut names = Vec::new();
    for wanted in &query.metrics {
        match catalogue.iter().find(|metric| metric.name == wanted) {
            Some(metric) if !names.contains(&metric.name) => names.push(metric.name),
            Some(_) => {}
            None => {
                let kind = query.kind.name();
                return question(format!("{kind} has no metric {wanted:?}; GET catalogue lists what there is"));
            }
        }
    }
    Ok(names)
}

/// The year 2200.
const FAR_MS: i64 = 7_258_118_400_000;

fn empty(key: &str, metrics: &[&'static str], buckets: usize) -> Vec<Line> {
    let gap = || vec![None; buckets];
    metrics.iter().map(|metric| Line { key: key.to_owned(), metric, avg: gap(), min: gap(), max: gap() }).collect()
}

fn fill(lines: &mut [Line], bucket: i32, values: &[Option<f64>]) {
    let Ok(bucket) = usize::try_from(bucket) else { return };
    for (line, value) in lines.iter_mut().zip(values.chunks_exact(3)) {
        for (target, value) in [&mut line.avg, &mut line.min, &mut line.max].into_iter().zip(value) {
            if let Some(target) = target.get_mut(bucket) {
                *target = *value;
            }
        }
    }
}

#[cfg(test)]
#[path = "series_tests.rs"]
mod tests;
