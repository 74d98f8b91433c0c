//! A password by a one-time link: the first admin's, from the controller's own output; somebody new's; and that of
//! who forgot the old one.

use super::envelope::Guest;
use super::extract::{Body, Secret};
use super::guard::Asked;
use super::session::LoggedIn;
use super::{Api, ApiError, audit, password, session};
use crate::limits::LINK_LIFE;
use crate::live::presence::Now;
use crate::store::Store;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::atomic::Ordering;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    token: Secret,
    password: Secret,
}

pub async fn post(
    State(api): State<Api>,
    Extension(asked): Extension<Asked>,
    headers: HeaderMap,
    Body(setup): Body<Setup>,
) -> Result<LoggedIn, ApiError> {
    if let Some(fault) = password::fault(&setup.password.0) {
        return Err(ApiError::bad_request(fault));
    }
    let _guest = Guest::of(&api).await?;
    let (hash, now_ms) = (session::hash(&setup.token.0), Now::take().wall_ms);
    // Hashing a password is work: not for whoever has no link.
    let user = api.store().user_of_link(hash, now_ms).await?.ok_or_else(used_up)?;
    let password_hash = api.0.passwords.hash(setup.password.0).await.map_err(ApiError::internal)?;
    let (who, act) = audit::by_link(&user, &asked);
    let set = async { api.store().use_setup_token(hash, &password_hash, now_ms).await?.ok_or_else(used_up) };
    let user = audit::record(&api, &who, act, set).await?;
    api.0.set_up.store(true, Ordering::Relaxed);
    api.0.streams.end_user(user.id);
    tracing::info!(name = user.name, address = %asked.client, "a password was set by a one-time link");
    session::begin(&api, &user, &asked, &headers).await
}

fn used_up() -> ApiError {
    ApiError::forbidden(
        "this one-time link is used up, over, or not the newest: log in, ask an admin for a new one, or run \
         fleetlight-controller reset-password",
    )
}

/// A fresh one-time link, which replaces the one before; none once an admin has a password.
///
/// # Errors
/// If the database does not answer, or the machine gives no random bytes.
pub async fn link(store: &Store, origin: &str) -> anyhow::Result<Option<String>> {
    let token = token()?;
    let stands = store.put_setup_token(session::hash(&token)).await?;
    Ok(stands.then(|| address(origin, &token)))
}

/// A fresh one-time link for a user, for a day; the password of before works until it is used. None: nobody active
/// has the id.
///
/// # Errors
/// As [`link`].
pub async fn link_for(store: &Store, origin: &str, user_id: i32, now_ms: i64) -> anyhow::Result<Option<String>> {
    let token = token()?;
    let expires_ms = now_ms + LINK_LIFE.as_millis() as i64;
    let stands = store.put_link(user_id, session::hash(&token), expires_ms).await?;
    Ok(stands.then(|| address(origin, &token)))
}

fn token() -> anyhow::Result<String> {
    session::secret::<16>().map_err(|error| anyhow::anyhow!(error.cause.unwrap_or(error.detail)))
}

fn address(origin: &str, token: &str) -> String {
    format!("{origin}/#/setup/{token}")
}
