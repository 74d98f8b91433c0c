//! A host's numbers over time, for charts.

use super::extract::Query;
use super::{Api, ApiError, hosts};
use crate::limits::SERIES_BUCKETS;
use crate::live::presence::Now;
use crate::store::series::{Series, SeriesError, SeriesQuery};
use axum::extract::{Path, State};
use axum::response::Json;
use fleetlight_protocol::samples::EntityKind;
use serde::Deserialize;

/// Range of a chart that does not say its own.
const HOUR_MS: i64 = 3_600_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    kind: String,
    /// Names, comma between.
    metric: String,
    key: Option<String>,
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    buckets: Option<usize>,
}

pub async fn get(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(question): Query<Question>,
) -> Result<Json<Series>, ApiError> {
    let host_id = hosts::known(&api, &id)?;
    let query = query(host_id, question, Now::take().wall_ms)?;
    match api.store().series(&query).await {
        Ok(series) => Ok(Json(series)),
        Err(SeriesError::Question(words)) => Err(ApiError::bad_request(words)),
        Err(SeriesError::Store(error)) => Err(error.into()),
    }
}

fn query(host_id: i32, question: Question, now_ms: i64) -> Result<SeriesQuery, ApiError> {
    let Some(kind) = EntityKind::from_name(&question.kind) else {
        let kinds = EntityKind::ALL.map(EntityKind::name).join(", ");
        return Err(ApiError::bad_request(format!("there is no kind {:?}; allowed: {kinds}", question.kind)));
    };
    let buckets = question.buckets.unwrap_or(SERIES_BUCKETS);
    if !(1..=SERIES_BUCKETS).contains(&buckets) {
        let words = format!("buckets = {buckets} is out of range; allowed: 1 to {SERIES_BUCKETS}");
        return Err(ApiError::bad_request(words));
    }
    let to_ms = question.to_ms.unwrap_or(now_ms);
    Ok(SeriesQuery {
        host_id,
        kind,
        metrics: question.metric.split(',').map(str::to_owned).collect(),
        keys: question.key.map(|key| vec![key]),
        from_ms: question.from_ms.unwrap_or(to_ms.saturating_sub(HOUR_MS)),
        to_ms,
        buckets,
        now_ms,
    })
}
