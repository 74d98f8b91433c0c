//! What browsers report of the page's Content-Security-Policy: counted, and logged within bounds.

use super::Api;
use crate::limits::{CSP_REPORT_BYTES, CSP_REPORTS_LOGGED};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// Reports since the start.
#[derive(Debug, Default)]
pub struct CspReports(AtomicU64);

/// Browsers post without a session: the page before login is checked too.
pub async fn post(State(api): State<Api>, body: Bytes) -> StatusCode {
    let count = api.0.reports.0.fetch_add(1, Ordering::Relaxed) + 1;
    if count <= CSP_REPORTS_LOGGED {
        let shown = String::from_utf8_lossy(&body[..body.len().min(CSP_REPORT_BYTES)]).into_owned();
        tracing::warn!(count, report = ?shown, "a browser reports a breach of the page's Content-Security-Policy");
    }
    StatusCode::NO_CONTENT
}

/// How many reports came since the start.
pub async fn get(State(api): State<Api>) -> Json<Value> {
    Json(json!({ "count": api.0.reports.0.load(Ordering::Relaxed) }))
}
