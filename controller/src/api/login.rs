//! Logging in by name and password.

use super::envelope::Guest;
use super::extract::{Body, Secret};
use super::guard::Asked;
use super::session::LoggedIn;
use super::throttle::{Verdict, Way};
use super::{Api, ApiError, audit, caller, device, session};
use crate::limits::{LOGIN_REFUSED_AFTER, USER_NAME_CHARS};
use crate::store::users::User;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    name: String,
    password: Secret,
}

pub async fn post(
    State(api): State<Api>,
    Extension(asked): Extension<Asked>,
    headers: HeaderMap,
    Body(login): Body<Login>,
) -> Result<LoggedIn, ApiError> {
    // From here on: whoever sends a body byte by byte holds no place.
    let mut guest = Guest::of(&api).await?;
    let way = device::way(&api, &login.name, &headers, &asked).await?;
    let user = judge(&api, &login.name, login.password, way, &asked, Some(&mut guest)).await?;
    audit::logged_in(&api, &user, &asked, "login").await?;
    tracing::info!(name = user.name, address = %asked.client, "logged in");
    session::begin(&api, &user, &asked, &headers).await
}

/// The user of this name and password, within the bounds of back-off. A wrong name takes as long as a wrong password.
/// `guest`: the caller's place, where it has no session.
pub(super) async fn judge(
    api: &Api,
    name: &str,
    password: Secret,
    way: Way,
    asked: &Asked,
    mut guest: Option<&mut Guest<'_>>,
) -> Result<User, ApiError> {
    if name.chars().count() > USER_NAME_CHARS {
        return Err(wrong());
    }
    match api.0.throttle.begin(name, way, Instant::now()) {
        Verdict::Judge(Duration::ZERO) => {}
        Verdict::Judge(delay) => {
            if let Some(guest) = guest.as_deref_mut() {
                guest.rests();
                tokio::time::sleep(delay).await;
                guest.works().await?;
            }
        }
        Verdict::Wait(wait) => {
            let seconds = wait.as_secs_f64().ceil();
            return Err(ApiError::too_many(format!("too many failed logins: try again in {seconds} s"), wait));
        }
    }
    let began = Instant::now();
    let user = api.store().user(name).await?;
    let stored = user.as_ref().and_then(|user| user.password_hash.clone());
    let passwords = &api.0.passwords;
    let right = passwords.verify(password.0.clone(), stored).await.map_err(ApiError::internal)?;
    let Some(user) = user.filter(|_| right) else {
        tracing::warn!(?name, address = %asked.client, "login failed");
        audit::login_failed(api, name, asked).await;
        if let Some(guest) = guest {
            guest.rests();
        }
        tokio::time::sleep_until(began + LOGIN_REFUSED_AFTER).await;
        return Err(wrong());
    };
    api.0.throttle.succeeded(name, way);
    if !user.active {
        return Err(ApiError::forbidden("this account is disabled; ask an admin"));
    }
    upgraded(api, user, password).await
}

/// The user with a hash of today's kind.
async fn upgraded(api: &Api, user: User, password: Secret) -> Result<User, ApiError> {
    let Some(old) = user.password_hash.as_deref().filter(|hash| super::password::is_outdated(hash)) else {
        return Ok(user);
    };
    let new = api.0.passwords.hash(password.0).await.map_err(ApiError::internal)?;
    if !api.store().upgrade_password_hash(user.id, old, &new).await? {
        return Err(ApiError::unavailable("the password's hash was replaced at this very moment: log in again"));
    }
    tracing::info!(name = user.name, "a password's hash from elsewhere was replaced by argon2id");
    Ok(User { password_hash: Some(new), ..user })
}

/// The same words for a wrong name and a wrong password.
fn wrong() -> ApiError {
    caller::refused("name or password is wrong")
}
