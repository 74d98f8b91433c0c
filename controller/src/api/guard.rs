//! Who may come in: our host names only, nothing that another site caused, and a session.
//!
//! Cookies ignore ports, and the same machine may serve other people's code on another one, so
//! `same-site` is as foreign as `cross-site`.

use super::server::Peer;
use super::settings::Site;
use super::{Api, ApiError, envelope, session};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

/// Who asks, and under which of our names; set by [`host`] on every request.
#[derive(Debug, Clone)]
pub struct Asked {
    pub site: Site,
    pub client: IpAddr,
}

/// Refuses requests for hosts that are not ours: with 421, before anything else is looked at.
pub async fn host(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let sites = &api.0.sites;
    let header = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    // HTTP/2 has the name in the address; where both are given they must agree.
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let host = match (authority, header) {
        (Some(authority), Some(header)) if !authority.eq_ignore_ascii_case(header) => None,
        (authority, header) => authority.or(header),
    };
    let Some(site) = host.and_then(|host| sites.of_host(host)) else {
        return envelope::plain(&ApiError::misdirected(sites.names()));
    };
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::from([127, 0, 0, 1]), |peer| peer.0.ip());
    let forwarded = request.headers().get("x-forwarded-for").and_then(|list| list.to_str().ok());
    let client = sites.client(peer, forwarded);
    request.extensions_mut().insert(Asked { site, client });
    next.run(request).await
}

/// Refuses what another site caused, and unsafe calls that do not prove they come from the page.
pub async fn same_origin(request: Request, next: Next) -> Response {
    match judge_origin(request.method(), request.headers(), request.extensions().get::<Asked>()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn judge_origin(method: &Method, headers: &HeaderMap, asked: Option<&Asked>) -> Result<(), ApiError> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let fetch_site = text("sec-fetch-site");
    if !matches!(fetch_site, None | Some("same-origin" | "none")) {
        return Err(ApiError::forbidden("another site caused this request; open the page itself"));
    }
    if method.is_safe() {
        return Ok(());
    }
    let ours = asked.map(|asked| asked.site.origin.as_str());
    match (fetch_site, text("origin")) {
        (_, Some(origin)) if Some(origin) != ours => {
            return Err(ApiError::forbidden(format!("the origin {origin:?} is not this page's")));
        }
        (Some("same-origin"), _) | (_, Some(_)) => {}
        (_, None) => {
            let ours = ours.unwrap_or_default();
            return Err(ApiError::forbidden(format!("this call changes something: send the header Origin: {ours}")));
        }
    }
    let content_type = text("content-type").unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::unsupported_media_type("send the header Content-Type: application/json"))
}

/// Demands a session and hands it on.
pub async fn demand_session(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    match session::of_request(&api, session::cookie_hash(&request)).await {
        Ok(session) => {
            request.extensions_mut().insert(session);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
