//! One's own password and leaving everywhere.

use super::caller::Caller;
use super::extract::{Body, Secret};
use super::guard::Asked;
use super::throttle::Way;
use super::{Api, ApiError, login, password, session};
use crate::live::presence::Now;
use crate::store::users::User;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    old: Secret,
    new: Secret,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Again {
    password: Secret,
}

/// Ends all sessions of the account and begins a new one: whoever knew the old password is out.
pub async fn change_password(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Extension(asked): Extension<Asked>,
    headers: HeaderMap,
    Body(wish): Body<NewPassword>,
) -> Result<Response, ApiError> {
    if let Some(fault) = password::fault(&wish.new.0) {
        return Err(ApiError::bad_request(fault));
    }
    if wish.new.0 == wish.old.0 {
        return Err(ApiError::bad_request("the new password is the old one: choose another"));
    }
    let user = of_password(&api, &caller, &asked, wish.old).await?;
    let hash = api.0.passwords.hash(wish.new.0).await.map_err(ApiError::internal)?;
    api.store().set_password(user.id, &hash).await?;
    api.0.streams.end_user(user.id);
    tracing::info!(by = caller.name, address = %asked.client, "password changed");
    let user = User { must_change_password: false, password_hash: Some(hash), ..user };
    if caller.session().is_err() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(session::begin(&api, &user, &asked, &headers).await?.into_response())
}

/// Notes that the password was given just now, for what destroys or costs.
pub async fn reauthenticate(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Extension(asked): Extension<Asked>,
    Body(again): Body<Again>,
) -> Result<StatusCode, ApiError> {
    let hash = caller.session()?.hash;
    of_password(&api, &caller, &asked, again.password).await?;
    api.store().reauthenticate_web_session(hash, Now::take().wall_ms).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn log_out_everywhere(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Extension(asked): Extension<Asked>,
) -> Result<Response, ApiError> {
    let user_id = caller.account()?;
    api.store().end_web_sessions(user_id).await?;
    api.0.streams.end_user(user_id);
    tracing::info!(by = caller.name, address = %asked.client, "logged out everywhere");
    session::left(&asked)
}

/// The caller's account, if the password is its own. Guesses are counted by the session: whoever found an open one
/// guesses as slowly as at the login, and those at the login do not hold its owner up.
async fn of_password(api: &Api, caller: &Caller, asked: &Asked, password: Secret) -> Result<User, ApiError> {
    let id = caller.account()?;
    let user = api.store().user_by_id(id).await?;
    let name = user.map(|user| user.name).ok_or_else(|| ApiError::not_found("this account is gone"))?;
    let way = caller.session().map_or(Way::Address(asked.client), |session| Way::Known(session.hash));
    login::judge(api, &name, password, way, asked, None).await.map_err(|error| match error.status {
        // 401 would tell the page that the session is over.
        StatusCode::UNAUTHORIZED => ApiError::forbidden("the password is wrong"),
        _ => error,
    })
}
