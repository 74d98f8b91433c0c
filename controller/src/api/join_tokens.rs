//! One-time tokens with which hosts join.

use super::audit::Said;
use super::caller::Caller;
use super::extract::Body;
use super::{Api, ApiError};
use crate::live::presence::Now;
use crate::store::hosts::{HOST_NAME_RULE, is_host_name};
use crate::store::join_tokens::JoinTokenRecord;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use fleetlight_protocol::join_token::JoinToken;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

#[derive(Debug, Serialize, JsonSchema)]
pub struct TokenView {
    id: String,
    host_name: Option<String>,
    created_ms: i64,
    expires_ms: i64,
    used_ms: Option<i64>,
    /// The agent that it made.
    used_by: Option<Uuid>,
    revoked_ms: Option<i64>,
}

impl From<JoinTokenRecord> for TokenView {
    fn from(token: JoinTokenRecord) -> Self {
        let JoinTokenRecord { id, host_name, created_ms, expires_ms, used_ms, used_by, revoked_ms } = token;
        Self { id, host_name, created_ms, expires_ms, used_ms, used_by, revoked_ms }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// Binds the token to this name; it may then also replace the key of the host that has it.
    #[serde(default)]
    host_name: Option<String>,
}

/// Shown once.
#[derive(Serialize, JsonSchema)]
pub struct NewToken {
    id: String,
    token: String,
    command: String,
    expires_ms: i64,
}

impl std::fmt::Debug for NewToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("NewToken").field("id", &self.id).finish_non_exhaustive()
    }
}

pub async fn list(State(api): State<Api>) -> Result<Json<Vec<TokenView>>, ApiError> {
    let tokens = api.store().join_tokens().await?;
    Ok(Json(tokens.into_iter().map(TokenView::from).collect()))
}

pub async fn create(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Body(wish): Body<Wish>,
) -> Result<(Extension<Said>, Json<NewToken>), ApiError> {
    let host_name = wish.host_name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    if let Some(name) = host_name.filter(|name| !is_host_name(name)) {
        return Err(ApiError::bad_request(format!("{name:?}: {HOST_NAME_RULE}")));
    }
    let made = api.store().create_join_token(host_name, Now::take().wall_ms).await?;
    tracing::info!(by = caller.name, token = made.id, host_name, "join token made");
    let joining = &api.0.parts.joining;
    let token = JoinToken {
        ca_fingerprint: joining.ca_fingerprint,
        id: made.id.clone(),
        secret: made.secret,
        endpoint: joining.endpoint.clone(),
    };
    let token = token.to_string();
    // As the README adds a host: in the folder that the agent's binary was copied to.
    let command = format!(
        "sudo ./fleetlight-agent enrol --token {token} && sudo sh -c './fleetlight-agent executor & exec ./fleetlight-agent run'"
    );
    let said = Said(json!({ "join_token": made.id, "host_name": host_name }));
    Ok((Extension(said), Json(NewToken { id: made.id, token, command, expires_ms: made.expires_ms })))
}

pub async fn revoke(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    if !api.store().revoke_join_token(&id, Now::take().wall_ms).await? {
        return Err(ApiError::not_found(
            "there is no such unused join token; a used one is ended by revoking its agent",
        ));
    }
    tracing::info!(by = caller.name, token = id, "join token revoked");
    Ok(StatusCode::NO_CONTENT)
}
