//! The keys that hosts hold.

use super::caller::Caller;
use super::{Api, ApiError, extract};
use crate::live::presence::Now;
use crate::store::agents::AgentRecord;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

#[derive(Debug, Serialize, JsonSchema)]
pub struct AgentView {
    id: Uuid,
    host_id: i32,
    host_name: String,
    created_ms: i64,
    last_seen_ms: Option<i64>,
    revoked_ms: Option<i64>,
    revoked_for: Option<String>,
    /// When its newest certificate ends.
    not_after_ms: Option<i64>,
}

impl From<AgentRecord> for AgentView {
    fn from(agent: AgentRecord) -> Self {
        Self {
            id: agent.id,
            host_id: agent.host_id,
            host_name: agent.host_name,
            created_ms: agent.created_ms,
            last_seen_ms: agent.last_seen_ms,
            revoked_ms: agent.revoked_ms,
            revoked_for: agent.revoked_for,
            not_after_ms: agent.certificate_ends_ms,
        }
    }
}

pub async fn list(State(api): State<Api>) -> Result<Json<Vec<AgentView>>, ApiError> {
    let agents = api.store().agents().await?;
    Ok(Json(agents.into_iter().map(AgentView::from).collect()))
}

/// The row first, then the session: a new connect is refused by the row.
pub async fn revoke(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id: Uuid = extract::id(&id, "agent")?;
    let why = format!("revoked by {}", caller.name);
    if !api.store().revoke_agent(id, &why, Now::take().wall_ms).await? {
        return Err(ApiError::not_found("there is no such agent, or it is revoked already"));
    }
    api.0.parts.agents.close_revoked(id);
    tracing::info!(by = caller.name, agent = %id, "agent revoked");
    Ok(StatusCode::NO_CONTENT)
}
