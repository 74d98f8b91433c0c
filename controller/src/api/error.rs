//! The one error of the API: what a person is told, apart from what the log is told.
//!
//! Bodies are written by [`super::envelope`], which knows the request's id.

use crate::store::StoreError;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::fmt::Display;
use std::time::Duration;

/// A refusal or a failure, with words that say what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub status: StatusCode,
    pub detail: String,
    pub retry_after: Option<Duration>,
    /// For programs: what mends it. `reauthenticate`, `password_due`.
    pub code: Option<&'static str>,
    /// For the log only.
    pub cause: Option<String>,
}

impl ApiError {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: None, code: None, cause: None }
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// `setup_required`: nobody can log in yet.
    #[must_use]
    pub fn unauthorized(setup_required: bool) -> Self {
        let detail = if setup_required {
            "no admin has a password yet: open the one-time link that the controller printed at its start"
        } else {
            "log in first; the session may have ended"
        };
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// The request is for a host that is not served here.
    pub fn misdirected(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::MISDIRECTED_REQUEST, detail)
    }

    pub fn unsupported_media_type(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    pub fn too_many(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    pub fn unavailable(detail: impl Into<String>) -> Self {
        let retry_after = Some(Duration::from_secs(1));
        Self { retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// Something that is not the caller's fault; `cause` goes to the log under the request's id.
    pub fn internal(cause: impl Display) -> Self {
        let detail = "the controller failed at this; its log has the reason under this request id";
        Self { cause: Some(cause.to_string()), ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail) }
    }

    /// What a bare status means, for answers that the web framework made.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        let detail = match status {
            StatusCode::NOT_FOUND => "there is no such call; see docs/api.md",
            StatusCode::METHOD_NOT_ALLOWED => "this call does not take that method; see docs/api.md",
            StatusCode::PAYLOAD_TOO_LARGE => "the body is larger than 64 KiB",
            StatusCode::INTERNAL_SERVER_ERROR => {
                "the controller failed at this; its log has the reason under this request id"
            }
            StatusCode::BAD_REQUEST => "the path or a header is not what this call takes; see docs/api.md",
            _ => "the request was refused",
        };
        Self::new(status, detail)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.is_refusal() {
            let detail = "the database cannot take one of these values; look for control characters and huge numbers";
            return Self { cause: Some(error.to_string()), ..Self::bad_request(detail) };
        }
        Self { cause: Some(error.to_string()), ..Self::unavailable("the database does not answer; try again") }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
