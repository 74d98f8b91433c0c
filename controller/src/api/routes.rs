//! Every call of the API with what it takes to make it, and the layers around them.
//!
//! The router is built from this table, so that a call without a stated access cannot exist, and
//! tests go through the same table.

use super::access::{Access, Permission};
use super::guard::Door;
use super::openapi::{self, Call, delete, get, patch, post};
use super::{
    Api, account, agents, allowed, audit, bulks, catalogue, command_stream, commands, containers, csp_report, envelope,
    events, guard, hosts, join_tokens, login, logs, moment, page, refusals, series, session, sessions, setup, stream,
    tokens, users,
};
use crate::limits::API_BODY_BYTES;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::middleware::{from_fn, from_fn_with_state};
use std::sync::Arc;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

/// Where the API lies.
pub const PREFIX: &str = "/admin/api";

/// One call.
#[derive(Debug)]
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    pub access: Access,
    /// What the audit log calls it; none for reading, and for calls that write there themselves.
    pub audit: Option<&'static str>,
    /// What the audit log calls a refusal of a call that writes there itself what it does.
    pub refusal: Option<&'static str>,
    pub(super) call: Call,
}

impl Route {
    fn audited(self, name: &'static str) -> Self {
        Self { audit: Some(name), ..self }
    }

    fn writes_itself(self, refusal: &'static str) -> Self {
        Self { refusal: Some(refusal), ..self }
    }
}

/// The whole API.
#[must_use]
pub fn routes() -> Vec<Route> {
    use Access::{Needs, Open, Public, Report};
    use Permission::{Account, Act, Audit, ChangePeople, Destroy, Enrol, MakeTokens, Own, Read, SeePeople};
    let route = |method, path, access, call| Route { method, path, access, audit: None, refusal: None, call };
    let (read, make, change, remove) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    vec![
        route(make.clone(), "/setup", Public, post(setup::post)),
        route(make.clone(), "/login", Public, post(login::post)),
        route(make.clone(), "/csp-report", Report, post(csp_report::post)),
        route(read.clone(), "/csp-report", Needs(Read), get(csp_report::get)),
        route(read.clone(), "/openapi.json", Needs(Read), get(openapi::serve)),
        route(read.clone(), "/session", Open, get(session::get)),
        route(make.clone(), "/logout", Needs(Account), post(session::logout)).audited("logout"),
        route(make.clone(), "/logout-everywhere", Needs(Account), post(account::log_out_everywhere))
            .audited("logout.everywhere"),
        route(make.clone(), "/password", Needs(Account), post(account::change_password)).audited("password.change"),
        route(make.clone(), "/reauthenticate", Needs(Own), post(account::reauthenticate)).audited("password.confirm"),
        route(remove.clone(), "/sessions/{id}", Needs(Own), delete(sessions::end)).audited("session.end"),
        route(read.clone(), "/tokens", Needs(Own), get(tokens::list)),
        route(make.clone(), "/tokens", Needs(MakeTokens), post(tokens::create)).audited("token.make"),
        route(remove.clone(), "/tokens/{id}", Needs(Own), delete(tokens::revoke)).audited("token.revoke"),
        route(read.clone(), "/users", Needs(SeePeople), get(users::list)),
        route(make.clone(), "/users", Needs(ChangePeople), post(users::create)).audited("user.add"),
        route(change, "/users/{id}", Needs(ChangePeople), patch(users::change)).audited("user.change"),
        route(make.clone(), "/users/{id}/reset-password", Needs(ChangePeople), post(users::reset_password))
            .audited("user.reset_password"),
        route(read.clone(), "/users/{id}/sessions", Needs(Own), get(sessions::list)),
        route(read.clone(), "/catalogue", Needs(Read), get(catalogue::get)),
        route(read.clone(), "/hosts", Needs(Read), get(hosts::list)),
        route(read.clone(), "/hosts/{id}", Needs(Read), get(hosts::get)),
        route(read.clone(), "/hosts/{id}/events", Needs(Read), get(events::list)),
        route(read.clone(), "/hosts/{id}/refusals", Needs(Read), get(refusals::list)),
        route(read.clone(), "/hosts/{id}/series", Needs(Read), get(series::get)),
        route(read.clone(), "/hosts/{id}/allowed", Needs(Read), get(allowed::get)),
        route(make.clone(), "/hosts/{id}/commands", Needs(Act), post(commands::create)).writes_itself("command"),
        route(make.clone(), "/hosts/{id}/emergency-stop", Needs(Destroy), post(commands::emergency_stop))
            .writes_itself("emergency_stop"),
        route(make.clone(), "/containers/{id}/{verb}", Needs(Act), post(containers::act)).writes_itself("container"),
        route(read.clone(), "/commands", Needs(Read), get(commands::list)),
        route(read.clone(), "/commands/{id}", Needs(Read), get(commands::get)),
        route(make.clone(), "/commands/{id}/cancel", Needs(Act), post(commands::cancel))
            .writes_itself("command.cancel"),
        route(read.clone(), "/commands/{id}/stream", Needs(Read), get(command_stream::get)),
        route(read.clone(), "/bulks", Needs(Read), get(bulks::list)),
        route(make.clone(), "/bulks", Needs(Act), post(bulks::create)).writes_itself("bulk"),
        route(read.clone(), "/bulks/{id}", Needs(Read), get(bulks::get)),
        route(make.clone(), "/bulks/{id}/cancel", Needs(Act), post(bulks::cancel)).writes_itself("bulk.cancel"),
        route(read.clone(), "/audit", Needs(Audit), get(audit::list)),
        route(read.clone(), "/audit.csv", Needs(Audit), get(audit::csv)),
        route(read.clone(), "/fleet/series", Needs(Read), get(series::fleet)),
        route(read.clone(), "/fleet/at", Needs(Read), get(moment::get)),
        route(read.clone(), "/stream", Needs(Read), get(stream::get)),
        route(read.clone(), "/logs/stream", Needs(Read), get(logs::stream)),
        route(read.clone(), "/logs/{service}", Needs(Read), get(logs::socket)),
        route(read.clone(), "/join-tokens", Needs(Read), get(join_tokens::list)),
        route(make.clone(), "/join-tokens", Needs(Enrol), post(join_tokens::create)).audited("join_token.make"),
        route(remove, "/join-tokens/{id}", Needs(Enrol), delete(join_tokens::revoke)).audited("join_token.revoke"),
        route(read, "/agents", Needs(Read), get(agents::list)),
        route(make, "/agents/{id}/revoke", Needs(Destroy), post(agents::revoke)).audited("agent.revoke"),
    ]
}

/// Pages and API with all that they pass through.
pub fn router(api: &Api) -> Router {
    let mut calls = Router::new();
    for route in routes() {
        let Route { path, audit, refusal, .. } = route;
        let keys: Arc<[String]> = route.call.query_keys().into();
        let admit = |needs| {
            let door = Door { api: api.clone(), needs, audit, refusal, path, keys: keys.clone() };
            from_fn_with_state(door, guard::admit)
        };
        let same_origin = from_fn(guard::same_origin);
        calls = calls.route(
            route.path,
            match route.access {
                Access::Report => route.call.handler,
                Access::Public => route.call.handler.route_layer(same_origin),
                // Who is logged in asks this first; it is one look at the database.
                Access::Open => route.call.handler.route_layer(admit(None)).route_layer(same_origin),
                Access::Needs(permission) => {
                    route.call.handler.route_layer(admit(Some(permission))).route_layer(same_origin)
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
