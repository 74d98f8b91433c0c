//! A host's events, newest first.

use super::extract::Query;
use super::{Api, ApiError, extract, hosts};
use crate::limits::EVENTS_PER_PAGE;
use crate::store::events::StoredEvent;
use axum::extract::{Path, State};
use axum::response::Json;
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Page {
    limit: Option<usize>,
    before_ms: Option<i64>,
}

pub async fn list(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Vec<StoredEvent>>, ApiError> {
    let host_id = hosts::known(&api, &id)?;
    let limit = extract::limit(page.limit, EVENTS_PER_PAGE)?;
    Ok(Json(api.store().events(Some(host_id), page.before_ms, limit).await?))
}
