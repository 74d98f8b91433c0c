//! What callers send, parsed at the edge, with refusals that name the place.

use super::ApiError;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use serde::de::DeserializeOwned;

/// A JSON body. Unknown fields are refused by the types themselves.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let parsed = serde_json::from_slice(&bytes(request).await?);
        parsed
            .map(Self)
            .map_err(|error| ApiError::bad_request(format!("the body is not what this call takes: {error}")))
    }
}

/// The same request once its body is here.
///
/// # Errors
/// As [`bytes`].
pub(super) async fn whole(request: Request) -> Result<Request, ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = bytes(Request::from_parts(parts.clone(), body)).await?;
    Ok(Request::from_parts(parts, bytes.into()))
}

/// A body, within its bound.
///
/// # Errors
/// 413: it is larger; 400: it broke off.
pub(super) async fn bytes(request: Request) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, &()).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::of_status(StatusCode::PAYLOAD_TOO_LARGE),
        _ => ApiError::bad_request("the body did not arrive whole"),
    })
}

/// Text that must not get into a log.
#[derive(Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// The query of the address.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let parsed = axum::extract::Query::try_from_uri(&parts.uri);
        let parsed = parsed.map_err(|error| ApiError::bad_request(format!("the query is wrong: {}", words(&error))))?;
        Ok(Self(parsed.0))
    }
}

/// Refuses keys that a call does not know, so that a slip is not taken for a wish.
///
/// # Errors
/// 400 names the key, and those that there are.
pub(super) fn known_keys(uri: &Uri, known: &[String]) -> Result<(), ApiError> {
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
    let pairs = pairs.map_err(|error| ApiError::bad_request(format!("the query is wrong: {}", words(&error))))?;
    let Some((key, _)) = pairs.0.into_iter().find(|(key, _)| !known.contains(key)) else { return Ok(()) };
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Err(ApiError::bad_request(format!("the query is wrong: {key} is no key of this call; there are: {known}")))
}

/// The innermost cause: the framework's own words say nothing.
fn words(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// How many to answer with: 100, or as asked within the bound.
///
/// # Errors
/// 400: beyond it.
pub fn limit(asked: Option<usize>, most: usize) -> Result<usize, ApiError> {
    let limit = asked.unwrap_or(100);
    if (1..=most).contains(&limit) {
        return Ok(limit);
    }
    Err(ApiError::bad_request(format!("limit = {limit} is out of range; allowed: 1 to {most}")))
}

/// A number in the path.
///
/// # Errors
/// 404: nothing of that name can exist.
pub fn id<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, ApiError> {
    text.parse().map_err(|_| ApiError::not_found(format!("there is no {what} {text:?}")))
}
