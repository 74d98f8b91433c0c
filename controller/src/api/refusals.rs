//! What was refused of a host's data.

use super::{Api, ApiError, hosts};
use crate::limits::REFUSALS_SHOWN;
use crate::live::presence::Now;
use crate::store::quarantine::Refusals;
use axum::extract::{Path, State};
use axum::response::Json;

pub async fn list(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Vec<Refusals>>, ApiError> {
    let host_id = hosts::known(&api, &id)?;
    let since_ms = Now::take().wall_ms - REFUSALS_SHOWN.as_millis() as i64;
    Ok(Json(api.store().refusals(host_id, since_ms).await?))
}
