//! Logging in by name and password.

use super::extract::{Body, Secret};
use super::guard::Asked;
use super::throttle::Verdict;
use super::{Api, ApiError, session};
use crate::limits::USER_NAME_CHARS;
use axum::extract::{Extension, State};
use axum::response::Response;
use serde::Deserialize;
use tokio::time::Instant;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    name: String,
    password: Secret,
}

pub async fn post(
    State(api): State<Api>,
    Extension(asked): Extension<Asked>,
    Body(login): Body<Login>,
) -> Result<Response, ApiError> {
    if login.name.chars().count() > USER_NAME_CHARS {
        return Err(wrong());
    }
    match api.0.throttle.begin(&login.name, asked.client, Instant::now()) {
        Verdict::Judge(delay) => tokio::time::sleep(delay).await,
        Verdict::Wait(wait) => {
            let seconds = wait.as_secs_f64().ceil();
            return Err(ApiError::too_many(format!("too many failed logins: try again in {seconds} s"), wait));
        }
    }
    let user = api.store().user(&login.name).await?;
    let stored = user.as_ref().and_then(|user| user.password_hash.clone());
    let right = api.0.passwords.verify(login.password.0, stored).await.map_err(ApiError::internal)?;
    let Some(user) = user.filter(|_| right) else {
        tracing::warn!(name = ?login.name, address = %asked.client, "login failed");
        return Err(wrong());
    };
    api.0.throttle.succeeded(&login.name, asked.client);
    tracing::info!(name = user.name, address = %asked.client, "logged in");
    session::begin(&api, &user, &asked).await
}

/// The same words for a wrong name and a wrong password.
fn wrong() -> ApiError {
    let mut error = ApiError::unauthorized(false);
    error.detail = "name or password is wrong".to_owned();
    error
}
