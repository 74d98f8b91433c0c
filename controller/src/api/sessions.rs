//! Sessions as a list: one's own, and for admins everybody's.

use super::access::Permission;
use super::caller::Caller;
use super::{Api, ApiError, extract};
use crate::limits::SESSION_IDLE;
use crate::live::presence::Now;
use crate::store::web_sessions::WebSessionRecord;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

#[derive(Debug, Serialize, JsonSchema)]
pub struct SessionRow {
    id: Uuid,
    address: String,
    user_agent: String,
    created_ms: i64,
    /// To a minute.
    used_ms: i64,
    expires_ms: i64,
    /// The one that asks.
    current: bool,
}

pub async fn list(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Vec<SessionRow>>, ApiError> {
    let user_id: i32 = extract::id(&id, "user")?;
    if caller.user_id != Some(user_id) {
        caller.may(Permission::SeePeople)?;
        api.store().user_by_id(user_id).await?.ok_or_else(|| ApiError::not_found("there is no such user"))?;
    }
    let now_ms = Now::take().wall_ms;
    let sessions = api.store().web_sessions(user_id, now_ms, now_ms - SESSION_IDLE.as_millis() as i64).await?;
    let current = caller.session().ok().map(|session| session.hash);
    let row = |session: WebSessionRecord| SessionRow {
        id: session.id,
        address: session.address,
        user_agent: session.user_agent,
        created_ms: session.created_ms,
        used_ms: session.used_ms,
        expires_ms: session.expires_ms,
        current: Some(session.hash) == current,
    };
    Ok(Json(sessions.into_iter().map(row).collect()))
}

/// Somebody else's is not there for whoever may not see it.
pub async fn end(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id: Uuid = extract::id(&id, "session")?;
    let ended = api.store().end_web_session_of(id, caller.only_own()?).await?;
    let hash = ended.ok_or_else(|| ApiError::not_found("there is no such session"))?;
    api.0.streams.end(&hash);
    tracing::info!(by = caller.name, session = %id, "session ended");
    Ok(StatusCode::NO_CONTENT)
}
