//! The page's files and the headers that keep it to itself.

use super::Api;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;
use tower_http::services::ServeDir;

/// Everything below has a hash of its content in its path (dashboard-static/build.mjs).
const HASHED: &str = "/a/";

/// No inline script, no eval, no frame, nothing from elsewhere; text becomes markup nowhere.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'; report-uri /admin/api/csp-report";

const HEADERS: &[(&str, &str)] = &[
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// Sets [`HEADERS`] on every answer, refusals included.
pub async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// A file of the built page.
pub async fn serve(State(api): State<Api>, request: Request) -> Response {
    let dir = &api.0.dashboard_dir;
    let path = request.uri().path().to_owned();
    let is_index = matches!(path.as_str(), "/" | "/index.html");
    if is_index && !tokio::fs::try_exists(dir.join("index.html")).await.unwrap_or(false) {
        return not_built(&dir.display().to_string());
    }
    let mut response = match ServeDir::new(dir).precompressed_gzip().oneshot(request).await {
        Ok(response) => response.into_response(),
        Err(never) => match never {},
    };
    if response.status() == StatusCode::NOT_FOUND {
        return (StatusCode::NOT_FOUND, "There is no such page. The dashboard is at /.\n").into_response();
    }
    let cached = if path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cached));
    response
}

/// What stands in for the page until it is built; it needs no script.
fn not_built(dir: &str) -> Response {
    let dir = dir.replace('&', "&amp;").replace('<', "&lt;");
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Fleetlight</title>\n\
         <h1>Fleetlight runs, but its page is not built</h1>\n\
         <p>There is no index.html in <code>{dir}</code>.</p>\n\
         <p>In the source folder run <code>make up</code> (it needs npm: <code>apt-get install npm</code>), then \
         load this page again. Or set <code>dashboard_dir</code> to a built page.</p>\n\
         <p>Agents are served and their data is kept in the meantime; the API under <code>/admin/api</code> works.</p>\n"
    );
    ([(header::CACHE_CONTROL, "no-cache"), (header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}
