//! The first admin's password, by a one-time link from the controller's own output.

use super::extract::{Body, Secret};
use super::guard::Asked;
use super::{Api, ApiError, password, session};
use crate::store::Store;
use axum::extract::{Extension, State};
use axum::response::Response;
use serde::Deserialize;
use std::sync::atomic::Ordering;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    token: Secret,
    password: Secret,
}

pub async fn post(
    State(api): State<Api>,
    Extension(asked): Extension<Asked>,
    Body(setup): Body<Setup>,
) -> Result<Response, ApiError> {
    if let Some(fault) = password::fault(&setup.password.0) {
        return Err(ApiError::bad_request(fault));
    }
    let hash = session::hash(&setup.token.0);
    // Hashing a password is work: not for whoever has no link.
    if !api.store().has_setup_token(hash).await? {
        return Err(used_up());
    }
    let password_hash = api.0.passwords.hash(setup.password.0).await.map_err(ApiError::internal)?;
    let user = api.store().use_setup_token(hash, &password_hash).await?.ok_or_else(used_up)?;
    api.0.set_up.store(true, Ordering::Relaxed);
    tracing::info!(name = user.name, address = %asked.client, "the first admin's password was set by the one-time link");
    session::begin(&api, &user, &asked).await
}

fn used_up() -> ApiError {
    ApiError::forbidden(
        "this one-time link is used up or not the newest: log in, or restart the controller for a new link",
    )
}

/// A fresh one-time link, which replaces the one before; none once an admin has a password.
///
/// # Errors
/// If the database does not answer, or the machine gives no random bytes.
pub async fn link(store: &Store, origin: &str) -> anyhow::Result<Option<String>> {
    let token = session::secret::<16>().map_err(|error| anyhow::anyhow!(error.cause.unwrap_or(error.detail)))?;
    let stands = store.put_setup_token(session::hash(&token)).await?;
    Ok(stands.then(|| format!("{origin}/#/setup/{token}")))
}
