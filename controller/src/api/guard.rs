//! Who may come in: our host names only, nothing that another site caused, and whoever may.
//!
//! Cookies ignore ports, and the same machine may serve other people's code on another one, so
//! `same-site` is as foreign as `cross-site`.

use super::access::Permission;
use super::caller::Shown;
use super::server::Peer;
use super::settings::Site;
use super::{Api, ApiError, audit, audit_subject, caller, envelope, extract, session};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

/// Who asks, and under which of our names; set by [`host`] on every request.
#[derive(Debug, Clone)]
pub struct Asked {
    pub site: Site,
    pub client: IpAddr,
    /// Of this request, as its answer has it in `X-Request-Id`.
    pub request_id: String,
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
    request.extensions_mut().insert(Asked { site, client, request_id: Uuid::new_v4().simple().to_string() });
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
    let authorization = text("authorization");
    let is_basic =
        authorization.is_some_and(|value| value.get(..6).is_some_and(|it| it.eq_ignore_ascii_case("basic ")));
    if is_basic && fetch_site.is_some() {
        // Browsers send it by themselves once somebody has opened a link with name and password in it.
        return Err(ApiError::forbidden("HTTP Basic is for scripts; browsers log in"));
    }
    // A socket goes both ways, and no browser asks before it opens one to another site.
    let is_socket = headers.contains_key(header::UPGRADE);
    if method.is_safe() && !is_socket {
        return Ok(());
    }
    let ours = asked.map(|asked| asked.site.origin.as_str());
    match (fetch_site, text("origin")) {
        (_, Some(origin)) if Some(origin) != ours => {
            return Err(ApiError::forbidden(format!("the origin {origin:?} is not this page's")));
        }
        (Some("same-origin"), _) | (_, Some(_)) => {}
        // No other site can set this header without asking us first, and we say no.
        (None, None) if authorization.is_some() => {}
        (_, None) => {
            let ours = ours.unwrap_or_default();
            return Err(ApiError::forbidden(format!("this call changes something: send the header Origin: {ours}")));
        }
    }
    if is_socket {
        return Ok(());
    }
    let content_type = text("content-type").unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::unsupported_media_type("send the header Content-Type: application/json"))
}

/// A route's door.
#[derive(Debug, Clone)]
pub struct Door {
    pub api: Api,
    /// What the caller must be allowed; without one anybody passes, but nobody by wrong proof.
    pub needs: Option<Permission>,
    /// What the audit log calls it, where the call itself does not write there; and its path.
    pub audit: Option<&'static str>,
    /// What it calls a refusal of one that does.
    pub refusal: Option<&'static str>,
    pub path: &'static str,
    /// Of its query.
    pub keys: Arc<[String]>,
}

/// Finds out who calls, lets pass whoever may, and hands the caller on.
pub async fn admit(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    // The place is the call's until it is answered, but not while its body is still on its way.
    let (caller, mut place) = match caller::of_request(&door.api, Shown::by(&request)).await {
        Ok(found) => found,
        Err(error) => return error.into_response(),
    };
    let judged = match (&caller, door.needs) {
        (Some(caller), Some(permission)) => caller.may(permission),
        (None, Some(_)) => session::refusal(&door.api).await,
        (_, None) => Ok(()),
    };
    let judged = judged.and_then(|()| match caller.as_ref().filter(|_| door.audit.is_some()) {
        Some(caller) => audit::room_for_act_of(&door.api, caller),
        None => Ok(()),
    });
    let mut judged = judged.and_then(|()| extract::known_keys(request.uri(), &door.keys));
    let name = door.audit.or(door.refusal);
    let mut act = caller.as_ref().zip(name).map(|(caller, name)| audit::act(caller, name, door.path, &request));
    if judged.is_ok() && !request.method().is_safe() {
        drop(place);
        (request, judged) = match extract::whole(request).await {
            Ok(request) => (request, Ok(())),
            Err(error) => (Request::default(), Err(error)),
        };
        place = match envelope::place(&door.api.0.room).await {
            Ok(place) => place,
            Err(error) => return error.into_response(),
        };
    }
    let _place = place;
    if let Some((_, act)) = act.as_mut().filter(|_| door.audit.is_some()) {
        let named;
        (request, named) = audit_subject::of(&door.api, door.path, request, judged.is_ok()).await;
        match named {
            Ok(Some(name)) => {
                let id = std::mem::replace(&mut act.subject, name);
                act.detail = if id.is_empty() { json!({}) } else { json!({ "id": id }) };
            }
            Ok(None) => {}
            Err(error) => judged = judged.and(Err(error)),
        }
    }
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
    match (judged, act) {
        (Err(error), None) => error.into_response(),
        (Err(error), Some((who, act))) => audit::refused(&door.api, &who, act, error).await.into_response(),
        (Ok(()), None) => next.run(request).await,
        (Ok(()), Some((who, act))) if door.audit.is_some() => {
            audit::around(&door.api, &who, act, next.run(request)).await
        }
        (Ok(()), Some((who, act))) => {
            let response = next.run(request).await;
            let error = response.extensions().get::<ApiError>().cloned();
            if let Some(error) = error.filter(|error| error.status == StatusCode::FORBIDDEN) {
                audit::refused(&door.api, &who, act, error).await;
            }
            response
        }
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
