//! What every API call is wrapped in: an id, a deadline, a problem body, a line in the log; and the room that it
//! needs. What anybody may call has room of its own, so that logins by the thousand shut nobody out who is in.

use super::guard::Asked;
use super::routes::{PREFIX, routes};
use super::{Api, ApiError};
use crate::limits::{API_DEADLINE, API_QUEUE_WAIT};
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use uuid::Uuid;

/// `application/problem+json`, RFC 9457.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Refusal")]
pub(super) struct Problem<'a> {
    status: u16,
    title: &'static str,
    detail: &'a str,
    request_id: &'a str,
    /// For programs, where they can go on by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

/// Runs the call within its deadline and turns any refusal into a problem with the request's id.
pub async fn wrap(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<Asked>().map(|asked| asked.request_id.clone()).unwrap_or_default();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let call = format!("{} {}", request.method(), request.uri().path());
    // A stream answers at once and goes on.
    let answer = timeout(API_QUEUE_WAIT + API_DEADLINE, next.run(request)).await;
    let late = |_| ApiError::unavailable("the answer took too long; ask for less").into_response();
    let mut response = answer.unwrap_or_else(late);
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        let error = response.extensions_mut().remove::<ApiError>().unwrap_or_else(|| of_framework(status, path, &call));
        if let Some(cause) = &error.cause {
            tracing::error!(request_id = %id, %call, status = status.as_u16(), cause, "API call failed");
        }
        response = problem(&error, &id, &response);
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", id);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What the web framework refused, in words.
fn of_framework(status: StatusCode, path: Option<MatchedPath>, call: &str) -> ApiError {
    let error = ApiError::of_status(status);
    let Some(path) = path.filter(|_| status == StatusCode::METHOD_NOT_ALLOWED) else { return error };
    let path = path.as_str().strip_prefix(PREFIX).unwrap_or_default();
    let allowed: Vec<_> = routes().into_iter().filter(|route| route.path == path).map(|route| route.method).collect();
    let allowed = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    ApiError { detail: format!("there is no call {call}; this path takes: {allowed}"), ..error }
}

/// The problem of a request that never reached a call.
#[must_use]
pub fn plain(error: &ApiError) -> Response {
    problem(error, &Uuid::new_v4().simple().to_string(), &Response::default())
}

/// A call of anybody, with a place in the public room while it works, and none while it only waits: who guesses is made
/// to wait, and must not take the places of those who log in.
pub(super) struct Guest<'a> {
    room: &'a Semaphore,
    place: Option<SemaphorePermit<'a>>,
}

impl<'a> Guest<'a> {
    /// # Errors
    /// 503: there is no room.
    pub(super) async fn of(api: &'a Api) -> Result<Self, ApiError> {
        let room = &api.0.public_room;
        Ok(Self { room, place: Some(place(room).await?) })
    }

    pub(super) fn rests(&mut self) {
        self.place = None;
    }

    /// # Errors
    /// 503: there is no room.
    pub(super) async fn works(&mut self) -> Result<(), ApiError> {
        if self.place.is_none() {
            self.place = Some(place(self.room).await?);
        }
        Ok(())
    }
}

/// A place in a room, until it is dropped.
pub(super) async fn place(room: &Semaphore) -> Result<SemaphorePermit<'_>, ApiError> {
    match timeout(API_QUEUE_WAIT, room.acquire()).await {
        Ok(Ok(place)) => Ok(place),
        _ => Err(ApiError::unavailable("too many calls at the same time; try again")),
    }
}

fn problem(error: &ApiError, request_id: &str, refused: &Response) -> Response {
    let body = Problem {
        status: error.status.as_u16(),
        title: error.status.canonical_reason().unwrap_or("Error"),
        detail: &error.detail,
        request_id,
        code: error.code,
    };
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = (error.status, Body::from(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    for kept in [header::ALLOW, header::SET_COOKIE] {
        if let Some(value) = refused.headers().get(&kept) {
            headers.insert(kept, value.clone());
        }
    }
    if let Some(wait) = error.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs_f64().ceil().max(1.0) as u64));
    }
    response
}
