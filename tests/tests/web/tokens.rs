//! API tokens: shown once, within scope, role and time, and nobody else's.

use crate::site::{Site, refusal};
use fleetlight_controller::store::users::Role;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use std::time::Duration;

async fn by(request: RequestBuilder, cookie: &str) -> Response {
    request.header("Cookie", cookie).send().await.unwrap()
}

/// Status of a call by token, as a script makes it: without origin, without cookie.
async fn by_token(site: &Site, method: &str, path: &str, token: &str) -> u16 {
    let url = format!("{}/admin/api/{path}", site.origin);
    let request = reqwest::Client::new().request(method.parse().unwrap(), url).bearer_auth(token);
    let request = request.header("Content-Type", "application/json").body("{}");
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_token_is_shown_once_and_works_within_its_scopes() {
    let site = Site::start().await;
    let cookie = site.cookie().await;
    let make = |body: Value| by(site.call("POST", "tokens").json(&body), &cookie);
    let made: Value = make(json!({ "name": "deploy", "scopes": ["read"], "days": 1 })).await.json().await.unwrap();
    let token = made["token"].as_str().unwrap();
    assert!(token.starts_with("fl_") && token.len() == 67, "{token}");
    assert_eq!(by_token(&site, "GET", "hosts", token).await, 200);
    let list = by(site.call("GET", "tokens"), &cookie).await.json::<Value>().await.unwrap();
    assert_eq!(
        (&list[0]["name"], &list[0]["user"], &list[0]["scopes"]),
        (&json!("deploy"), &json!("admin"), &json!(["read"]))
    );
    assert!(list[0]["used_ms"].is_i64() && !list.to_string().contains(&token[3..]), "{list}");
    let stored: String = sqlx::query_scalar("select t::text from api_tokens t").fetch_one(&site.pool).await.unwrap();
    assert!(!stored.contains(&token[3..]), "hashed");
    let session: Value = site.call("GET", "session").bearer_auth(token).send().await.unwrap().json().await.unwrap();
    assert_eq!((&session["name"], &session["authenticated"]), (&json!("admin"), &json!("token \"deploy\"")));
    assert_eq!(session["may"], json!(["read", "audit"]));
    for (method, path) in [("POST", "join-tokens"), ("POST", "tokens"), ("POST", "users"), ("POST", "password")] {
        assert_eq!(by_token(&site, method, path, token).await, 403, "{method} {path}");
    }
    let admin: Value = make(json!({ "name": "enrol", "scopes": ["admin"] })).await.json().await.unwrap();
    let admin = admin["token"].as_str().unwrap();
    assert_eq!(by_token(&site, "POST", "join-tokens", admin).await, 200);
    assert_eq!(by_token(&site, "GET", "hosts", admin).await, 403, "scopes do not hold one another");
    for (method, path) in [("POST", "tokens"), ("GET", "tokens"), ("POST", "users"), ("PATCH", "users/1")] {
        assert_eq!(by_token(&site, method, path, admin).await, 403, "no token makes another: {method} {path}");
    }
    site.stop().await;
}

#[tokio::test]
async fn a_token_is_at_most_what_its_owner_is() {
    let site = Site::start().await;
    let cookie = site.cookie().await;
    let id = site.person("bo", Role::Support).await;
    let bo = site.session_of(id).await;
    let make = |body: Value| by(site.call("POST", "tokens").json(&body), &bo);
    for (body, status) in [
        (json!({ "name": "a", "scopes": ["act"], "role": "admin" }), 403),
        (json!({ "name": "a", "scopes": ["read"], "role": "sysops" }), 403),
        (json!({ "name": "a", "scopes": ["act"] }), 403),
        (json!({ "name": "a", "scopes": ["read", "admin"] }), 403),
        (json!({ "name": "a", "scopes": [] }), 400),
        (json!({ "name": "a", "scopes": ["root"] }), 400),
        (json!({ "name": "a", "scopes": ["read"], "days": 367 }), 400),
        (json!({ "name": "a", "scopes": ["read"], "days": 0 }), 400),
        (json!({ "name": "", "scopes": ["read"] }), 400),
    ] {
        assert_eq!(refusal(make(body.clone()).await).await.0, status, "{body}");
    }
    let (_, detail) = refusal(make(json!({ "name": "a", "scopes": ["act"] })).await).await;
    assert!(detail.contains("the role support may do nothing of the scope act"), "{detail}");
    assert_eq!(make(json!({ "name": "a", "scopes": ["read"] })).await.status(), 200);
    let bearer = site.token_of(id, Role::Support, &["read", "admin"]).await;
    let token = bearer.strip_prefix("Bearer ").unwrap();
    assert_eq!(by_token(&site, "GET", "hosts", token).await, 200);
    assert_eq!(by_token(&site, "POST", "join-tokens", token).await, 403, "the scope alone is not enough");
    // Of an admin who is one no more.
    let admin = site.person("ann", Role::Admin).await;
    let bearer = site.token_of(admin, Role::Admin, &["admin"]).await;
    let bearer = bearer.strip_prefix("Bearer ").unwrap();
    assert_eq!(by_token(&site, "POST", "join-tokens", bearer).await, 200);
    let demote = site.call("PATCH", &format!("users/{admin}")).json(&json!({ "role": "support" }));
    assert_eq!(by(demote, &cookie).await.status(), 200);
    assert_eq!(by_token(&site, "POST", "join-tokens", bearer).await, 403);
    site.stop().await;
}

#[tokio::test]
async fn a_token_ends_by_time_and_by_revoking_and_its_streams_with_it() {
    let site = Site::start().await;
    let cookie = site.cookie().await;
    let (ann, bo) = (site.person("ann", Role::Support).await, site.person("bo", Role::Support).await);
    let bearer = site.token_of(ann, Role::Support, &["read"]).await;
    let (token, bos) = (bearer.strip_prefix("Bearer ").unwrap(), site.session_of(bo).await);
    let list: Value = by(site.call("GET", "tokens"), &bos).await.json().await.unwrap();
    assert_eq!(list, json!([]), "others' are not shown");
    let list: Value = by(site.call("GET", "tokens"), &cookie).await.json().await.unwrap();
    let path = format!("tokens/{}", list[0]["id"].as_str().unwrap());
    assert_eq!(refusal(by(site.call("DELETE", &path), &bos).await).await.0, 404, "and not revoked");
    let mut stream = site.call("GET", "stream").bearer_auth(token).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    assert_eq!(by(site.call("DELETE", &path), &cookie).await.status(), 204, "admins may");
    let end = async { while stream.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(5), end).await.expect("its stream ends");
    assert_eq!(by_token(&site, "GET", "hosts", token).await, 401);
    assert_eq!(refusal(by(site.call("DELETE", &path), &cookie).await).await.0, 404);
    let bearer = site.token_of(ann, Role::Support, &["read"]).await;
    sqlx::query("update api_tokens set expires_at = now() - interval '1 s'").execute(&site.pool).await.unwrap();
    assert_eq!(by_token(&site, "GET", "hosts", bearer.strip_prefix("Bearer ").unwrap()).await, 401);
    for wrong in ["fl_", "fl_00", "0", ""] {
        assert_eq!(by_token(&site, "GET", "hosts", wrong).await, 401, "{wrong:?}");
    }
    site.stop().await;
}
