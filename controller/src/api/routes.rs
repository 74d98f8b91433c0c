//! Every call of the API with who may make it, and the layers around them.
//!
//! The router is built from this table, so that a call without a stated access cannot exist, and
//! tests go through the same table.

use super::{
    Api, agents, catalogue, csp_report, envelope, events, guard, hosts, join_tokens, login, moment, page, refusals,
    series, session, setup, stream,
};
use crate::limits::API_BODY_BYTES;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, delete, get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

/// Where the API lies.
pub const PREFIX: &str = "/admin/api";

/// Who may make a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody at the page: what comes before a session.
    Public,
    /// As [`Access::Public`], and without proof of origin: browsers send it by themselves.
    Report,
    /// Whoever is logged in.
    Session,
}

/// One call.
#[derive(Debug)]
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    pub access: Access,
    handler: MethodRouter<Api>,
}

/// The whole API.
#[must_use]
pub fn routes() -> Vec<Route> {
    use Access::{Public, Report, Session};
    let route = |method, path, access, handler| Route { method, path, access, handler };
    let (read, make, remove) = (Method::GET, Method::POST, Method::DELETE);
    vec![
        route(make.clone(), "/setup", Public, post(setup::post)),
        route(make.clone(), "/login", Public, post(login::post)),
        route(make.clone(), "/csp-report", Report, post(csp_report::post)),
        route(read.clone(), "/csp-report", Session, get(csp_report::get)),
        route(read.clone(), "/session", Public, get(session::get)),
        route(make.clone(), "/logout", Session, post(session::logout)),
        route(read.clone(), "/catalogue", Session, get(catalogue::get)),
        route(read.clone(), "/hosts", Session, get(hosts::list)),
        route(read.clone(), "/hosts/{id}", Session, get(hosts::get)),
        route(read.clone(), "/hosts/{id}/events", Session, get(events::list)),
        route(read.clone(), "/hosts/{id}/refusals", Session, get(refusals::list)),
        route(read.clone(), "/hosts/{id}/series", Session, get(series::get)),
        route(read.clone(), "/fleet/series", Session, get(series::fleet)),
        route(read.clone(), "/fleet/at", Session, get(moment::get)),
        route(read.clone(), "/stream", Session, get(stream::get)),
        route(read.clone(), "/join-tokens", Session, get(join_tokens::list)),
        route(make.clone(), "/join-tokens", Session, post(join_tokens::create)),
        route(remove, "/join-tokens/{id}", Session, delete(join_tokens::revoke)),
        route(read, "/agents", Session, get(agents::list)),
        route(make, "/agents/{id}/revoke", Session, post(agents::revoke)),
    ]
}

/// Pages and API with all that they pass through.
pub fn router(api: &Api) -> Router {
    let mut calls = Router::new();
    for route in routes() {
        let demand_session = from_fn_with_state(api.clone(), guard::demand_session);
        let room = from_fn_with_state(api.clone(), envelope::public_room);
        let session_room = from_fn_with_state(api.clone(), envelope::session_room);
        calls = calls.route(
            route.path,
            match route.access {
                Access::Report => route.handler.layer(room),
                // Who is logged in asks this first; it is one look at the database.
                Access::Public if route.method == Method::GET => {
                    route.handler.layer(session_room).layer(from_fn(guard::same_origin))
                }
                Access::Public => route.handler.layer(room).layer(from_fn(guard::same_origin)),
                Access::Session => {
                    route.handler.layer(demand_session).layer(session_room).layer(from_fn(guard::same_origin))
                }
            },
        );
    }
    let calls = calls
        .fallback(async || axum::http::StatusCode::NOT_FOUND)
        .layer(DefaultBodyLimit::max(API_BODY_BYTES))
        .layer(CatchPanicLayer::new())
        .layer(from_fn(envelope::wrap))
        // Leaves streams of events alone: they would be held back.
        .layer(CompressionLayer::new());
    Router::new()
        .nest(PREFIX, calls)
        .fallback(page::serve)
        .layer(from_fn_with_state(api.clone(), guard::host))
        .layer(from_fn(page::headers))
        .with_state(api.clone())
}
