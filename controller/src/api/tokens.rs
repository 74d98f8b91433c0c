//! API tokens: made by their owner, shown once, seen and revoked by owner and admins.

use super::access::{Permission, Scope};
use super::audit::Said;
use super::caller::{Caller, TOKEN_PREFIX};
use super::extract::Body;
use super::users::name_fault;
use super::{Api, ApiError, extract, session};
use crate::limits::{TOKEN_DAYS, TOKEN_DAYS_MAX, TOKENS_PER_USER};
use crate::live::presence::Now;
use crate::store::api_tokens::{ApiTokenRecord, NewApiToken};
use crate::store::users::Role;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

const DAY_MS: i64 = 86_400_000;

#[derive(Debug, Serialize, JsonSchema)]
pub struct ApiTokenView {
    id: Uuid,
    user_id: i32,
    user: String,
    name: String,
    role: Role,
    scopes: Vec<String>,
    created_ms: i64,
    expires_ms: i64,
    /// To a minute.
    used_ms: Option<i64>,
    revoked_ms: Option<i64>,
}

impl From<ApiTokenRecord> for ApiTokenView {
    fn from(token: ApiTokenRecord) -> Self {
        Self {
            id: token.id,
            user_id: token.user_id,
            user: token.user_name,
            name: token.name,
            role: token.role,
            scopes: token.scopes,
            created_ms: token.created_ms,
            expires_ms: token.expires_ms,
            used_ms: token.used_ms,
            revoked_ms: token.revoked_ms,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenWish {
    /// What it is for.
    name: String,
    scopes: Vec<Scope>,
    /// At most the owner's, which it is without one.
    role: Option<Role>,
    days: Option<u32>,
}

/// Shown once.
#[derive(Serialize, JsonSchema)]
pub struct MadeToken {
    id: Uuid,
    token: String,
    expires_ms: i64,
}

impl std::fmt::Debug for MadeToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("MadeToken").field("id", &self.id).finish_non_exhaustive()
    }
}

pub async fn list(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<ApiTokenView>>, ApiError> {
    let tokens = api.store().api_tokens(caller.only_own()?).await?;
    Ok(Json(tokens.into_iter().map(ApiTokenView::from).collect()))
}

pub async fn create(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Body(wish): Body<TokenWish>,
) -> Result<(Extension<Said>, Json<MadeToken>), ApiError> {
    let user_id = caller.account()?;
    if let Some(fault) = name_fault(&wish.name) {
        return Err(ApiError::bad_request(fault));
    }
    let (role, days) = (wish.role.unwrap_or(caller.role), wish.days.unwrap_or(TOKEN_DAYS));
    if !(1..=TOKEN_DAYS_MAX).contains(&days) {
        return Err(ApiError::bad_request(format!("days = {days} is out of range; allowed: 1 to {TOKEN_DAYS_MAX}")));
    }
    let scopes: Vec<&'static str> =
        Scope::ALL.into_iter().filter(|scope| wish.scopes.contains(scope)).map(Scope::name).collect();
    if scopes.is_empty() {
        return Err(ApiError::bad_request("scopes is empty; allowed: read, act, admin"));
    }
    if let Some(what) = Permission::ALL.into_iter().find(|what| role.allows(*what) && !caller.role.allows(*what)) {
        let (own, what) = (caller.role.name(), what.words());
        return Err(ApiError::forbidden(format!("a token's role is at most its owner's: {own} may not {what}")));
    }
    let is_of_use =
        |scope: &Scope| Permission::ALL.into_iter().any(|what| what.scope() == Some(*scope) && role.allows(what));
    if let Some(scope) = Scope::ALL.into_iter().find(|scope| wish.scopes.contains(scope) && !is_of_use(scope)) {
        let (role, scope) = (role.name(), scope.name());
        return Err(ApiError::forbidden(format!("the role {role} may do nothing of the scope {scope}: leave it out")));
    }
    let now_ms = Now::take().wall_ms;
    let (id, token) = (Uuid::new_v4(), format!("{TOKEN_PREFIX}{}", session::secret::<32>()?));
    let expires_ms = now_ms + i64::from(days) * DAY_MS;
    let (name, hash) = (wish.name.trim(), session::hash(&token));
    let new = NewApiToken { id, user_id, name, hash, role, scopes: &scopes, now_ms, expires_ms };
    if !api.store().create_api_token(new).await? {
        return Err(ApiError::conflict(format!("there are {TOKENS_PER_USER} good tokens of yours: revoke one first")));
    }
    tracing::info!(by = caller.name, token = %id, name, "API token made");
    let said = json!({ "token": id, "name": name, "role": role.name(), "scopes": scopes });
    Ok((Extension(Said(said)), Json(MadeToken { id, token, expires_ms })))
}

/// Somebody else's is not there for whoever may not see it.
pub async fn revoke(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id: Uuid = extract::id(&id, "token")?;
    let revoked = api.store().revoke_api_token(id, caller.only_own()?, Now::take().wall_ms).await?;
    let (hash, name) =
        revoked.ok_or_else(|| ApiError::not_found("there is no such token, or it is revoked already"))?;
    api.0.streams.end(&hash);
    tracing::info!(by = caller.name, token = %id, name, "API token revoked");
    Ok(StatusCode::NO_CONTENT)
}
