//! Who may make which call: every route, by nobody, by each role, and by tokens.

use crate::site::{Site, concrete};
use fleetlight_controller::api::access::{Access, Permission};
use fleetlight_controller::api::routes::routes;
use fleetlight_controller::store::users::Role;
use reqwest::RequestBuilder;
use serde_json::Value;
use std::collections::BTreeSet;

/// Each call with who gets in: Nobody, Admin, Support, Developer, sYsops, an admin's token to Read, one to act (C).
/// A new call is added here on purpose.
const CASES: &[(&str, &str)] = &[
    ("POST /setup", "NASDYRC"),
    ("POST /login", "NASDYRC"),
    ("POST /csp-report", "NASDYRC"),
    ("GET /csp-report", "-ASDYR-"),
    ("GET /openapi.json", "-ASDYR-"),
    ("GET /session", "NASDYRC"),
    ("POST /logout", "-ASDY--"),
    ("POST /logout-everywhere", "-ASDY--"),
    ("POST /password", "-ASDY--"),
    ("POST /reauthenticate", "-ASDY--"),
    ("DELETE /sessions/{id}", "-ASDY--"),
    ("GET /tokens", "-ASDY--"),
    ("POST /tokens", "-ASDY--"),
    ("DELETE /tokens/{id}", "-ASDY--"),
    ("GET /users", "-A-----"),
    ("POST /users", "-A-----"),
    ("PATCH /users/{id}", "-A-----"),
    ("POST /users/{id}/reset-password", "-A-----"),
    // Of others: see sessions.rs.
    ("GET /users/{id}/sessions", "-A-----"),
    ("GET /catalogue", "-ASDYR-"),
    ("GET /hosts", "-ASDYR-"),
    ("GET /hosts/{id}", "-ASDYR-"),
    ("GET /hosts/{id}/events", "-ASDYR-"),
    ("GET /hosts/{id}/refusals", "-ASDYR-"),
    ("GET /hosts/{id}/series", "-ASDYR-"),
    ("GET /hosts/{id}/allowed", "-ASDYR-"),
    ("POST /hosts/{id}/commands", "-A----C"),
    ("POST /hosts/{id}/emergency-stop", "-A-----"),
    ("POST /containers/{id}/{verb}", "-A----C"),
    ("GET /commands", "-ASDYR-"),
    ("GET /commands/{id}", "-ASDYR-"),
    ("POST /commands/{id}/cancel", "-A----C"),
    ("GET /commands/{id}/stream", "-ASDYR-"),
    ("GET /bulks", "-ASDYR-"),
    ("POST /bulks", "-A----C"),
    ("GET /bulks/{id}", "-ASDYR-"),
    ("POST /bulks/{id}/cancel", "-A----C"),
    ("GET /audit", "-A--YR-"),
    ("GET /audit.csv", "-A--YR-"),
    ("GET /fleet/series", "-ASDYR-"),
    ("GET /fleet/at", "-ASDYR-"),
    ("GET /stream", "-ASDYR-"),
    ("GET /logs/stream", "-ASDYR-"),
    ("GET /logs/{service}", "-ASDYR-"),
    ("GET /join-tokens", "-ASDYR-"),
    ("POST /join-tokens", "-A-----"),
    ("DELETE /join-tokens/{id}", "-A-----"),
    ("GET /agents", "-ASDYR-"),
    ("POST /agents/{id}/revoke", "-A-----"),
];

/// Somebody who calls.
struct Who {
    letter: char,
    user_id: Option<i32>,
    bearer: Option<String>,
}

impl Who {
    /// As that person, with a session of its own: some calls end it.
    async fn calls(&self, site: &Site, request: RequestBuilder) -> RequestBuilder {
        match (&self.bearer, self.user_id) {
            (Some(bearer), _) => request.header("Authorization", bearer),
            (None, Some(id)) => request.header("Cookie", site.session_of(id).await),
            (None, None) => request,
        }
    }
}

async fn everybody(site: &Site) -> Vec<Who> {
    site.cookie().await;
    let admin = site.store.user("admin").await.unwrap().unwrap().id;
    let mut all = vec![Who { letter: 'N', user_id: None, bearer: None }];
    all.push(Who { letter: 'A', user_id: Some(admin), bearer: None });
    for (letter, role) in [('S', Role::Support), ('D', Role::Developer), ('Y', Role::Sysops)] {
        all.push(Who { letter, user_id: Some(site.person(role.name(), role).await), bearer: None });
    }
    for (letter, scope) in [('R', "read"), ('C', "act")] {
        let bearer = site.token_of(admin, Role::Admin, &[scope]).await;
        all.push(Who { letter, user_id: Some(admin), bearer: Some(bearer) });
    }
    all
}

#[tokio::test]
async fn every_call_has_a_case_for_each_role_and_for_nobody() {
    let known: BTreeSet<String> = CASES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let there: BTreeSet<String> = routes().iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    assert_eq!(known, there, "each route has its case, and each case its route");
    assert_eq!(known.len(), CASES.len(), "once");
    let site = Site::start().await;
    let everybody = everybody(&site).await;
    for (name, cases) in CASES {
        assert_eq!(cases.len(), everybody.len(), "{name}");
        let (method, path) = name.split_once(' ').unwrap();
        for (who, case) in everybody.iter().zip(cases.chars()) {
            assert!(case == who.letter || case == '-', "{name}: {cases}");
            let request = who.calls(&site, site.call(method, &concrete(path))).await;
            let status = request.body("{}").send().await.unwrap().status().as_u16();
            let expected = match (case, who.letter) {
                ('-', 'N') => status == 401,
                ('-', _) => status == 403,
                _ => status != 401 && status != 403,
            };
            assert!(expected, "{name} by {}: {status}, expected {case}", who.letter);
        }
    }
    site.stop().await;
}

#[tokio::test]
async fn what_destroys_or_costs_asks_for_the_password_again() {
    let site = Site::start().await;
    site.cookie().await;
    let admin = site.store.user("admin").await.unwrap().unwrap().id;
    let cookie = site.session_of(admin).await;
    sqlx::query("update web_sessions set authenticated_at = now() - interval '301 s'")
        .execute(&site.pool)
        .await
        .unwrap();
    let mut asked = BTreeSet::new();
    for route in routes() {
        let Access::Needs(permission) = route.access else { continue };
        if permission == Permission::Account {
            continue;
        }
        let call = site.call(route.method.as_str(), &concrete(route.path)).header("Cookie", &cookie).body("{}");
        let answer = call.send().await.unwrap();
        if answer.status() == 403 {
            let problem: Value = answer.json().await.unwrap();
            assert_eq!(problem["code"], "reauthenticate", "{} {}", route.method, route.path);
            asked.insert(format!("{} {}", route.method, route.path));
        }
    }
    for destroys in ["POST /agents/{id}/revoke", "POST /users", "PATCH /users/{id}", "POST /tokens"] {
        assert!(asked.contains(destroys), "{destroys}: {asked:?}");
    }
    assert!(asked.iter().all(|name| !name.starts_with("GET")), "{asked:?}");
    site.stop().await;
}

#[tokio::test]
async fn a_new_password_that_is_due_comes_before_everything() {
    let site = Site::start().await;
    let someone = site.person("someone", Role::Admin).await;
    sqlx::query("update users set must_change_password = true").execute(&site.pool).await.unwrap();
    let bearer = site.token_of(someone, Role::Admin, &["read"]).await;
    for route in routes() {
        let Access::Needs(permission) = route.access else { continue };
        let call = || site.call(route.method.as_str(), &concrete(route.path)).body("{}");
        let by_session = call().header("Cookie", site.session_of(someone).await).send().await.unwrap();
        let by_token = call().header("Authorization", &bearer).send().await.unwrap();
        assert_eq!(by_token.status(), 403, "{}", route.path);
        if permission == Permission::Account {
            assert_ne!(by_session.status(), 403, "{}", route.path);
        } else {
            let problem: Value = by_session.json().await.unwrap();
            assert_eq!(problem["code"], "password_due", "{}", route.path);
        }
    }
    site.stop().await;
}
