//! Numbers over time, for charts: of a host and of the fleet.

use super::extract::Query;
use super::{Api, ApiError, hosts};
use crate::limits::SERIES_BUCKETS;
use crate::live::presence::Now;
use crate::store::series::{FleetQuery, Series, SeriesError, SeriesQuery};
use axum::extract::{Path, State};
use axum::response::Json;
use fleetlight_protocol::samples::EntityKind;
use schemars::JsonSchema;
use serde::Deserialize;

/// Range of a chart that does not say its own.
const HOUR_MS: i64 = 3_600_000;

/// What to draw, and how.
#[derive(Debug, Deserialize, JsonSchema)]
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
    let FleetQuery { kind, metrics, from_ms, to_ms, buckets, now_ms } = query(&question, Now::take().wall_ms)?;
    let keys = question.key.map(|key| vec![key]);
    let query = SeriesQuery { host_id, kind, metrics, keys, from_ms, to_ms, buckets, now_ms };
    Ok(Json(api.store().series(&query).await?))
}

pub async fn fleet(State(api): State<Api>, Query(question): Query<Question>) -> Result<Json<Series>, ApiError> {
    if question.key.is_some() {
        return Err(ApiError::bad_request("the fleet's series is one line over all entities of a kind; leave key out"));
    }
    let query = query(&question, Now::take().wall_ms)?;
    Ok(Json(api.store().fleet_series(&query).await?))
}

impl From<SeriesError> for ApiError {
    fn from(error: SeriesError) -> Self {
        match error {
            SeriesError::Question(words) => Self::bad_request(words),
            SeriesError::Store(error) => error.into(),
        }
    }
}

/// The kind of a name.
pub(super) fn kind(name: &str) -> Result<EntityKind, ApiError> {
    EntityKind::from_name(name).ok_or_else(|| {
        let kinds = EntityKind::ALL.map(EntityKind::name).join(", ");
        ApiError::bad_request(format!("there is no kind {name:?}; allowed: {kinds}"))
    })
}

fn query(question: &Question, now_ms: i64) -> Result<FleetQuery, ApiError> {
    let kind = kind(&question.kind)?;
    let buckets = question.buckets.unwrap_or(SERIES_BUCKETS);
    if !(1..=SERIES_BUCKETS).contains(&buckets) {
        let words = format!("buckets = {buckets} is out of range; allowed: 1 to {SERIES_BUCKETS}");
        return Err(ApiError::bad_request(words));
    }
    let to_ms = question.to_ms.unwrap_or(now_ms);
    Ok(FleetQuery {
        kind,
        metrics: question.metric.split(',').map(str::to_owned).collect(),
        from_ms: question.from_ms.unwrap_or(to_ms.saturating_sub(HOUR_MS)),
        to_ms,
        buckets,
        now_ms,
    })
}
