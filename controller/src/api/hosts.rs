//! The fleet's present and one host's.

use super::{Api, ApiError, extract};
use crate::live::view::{Host, HostDetail, Shared};
use axum::extract::{Path, State};
use axum::response::Json;

pub async fn list(State(api): State<Api>) -> Json<Vec<Shared<Host>>> {
    Json(api.live().hosts())
}

pub async fn get(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<HostDetail>, ApiError> {
    let id = extract::id(&id, "host")?;
    api.live().detail(id).map(Json).ok_or_else(|| no_such(id))
}

/// The host, if the live view knows it.
pub(super) fn known(api: &Api, id: &str) -> Result<i32, ApiError> {
    let id = extract::id(id, "host")?;
    if api.live().is_named(id) { Ok(id) } else { Err(no_such(id)) }
}

fn no_such(id: i32) -> ApiError {
    ApiError::not_found(format!("there is no host {id}"))
}
