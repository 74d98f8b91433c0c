//! HTTP Basic and JWTs: for scripts, and nothing that a browser sends by itself.

use crate::site::{PASSWORD, Site, now_ms, refusal};
use fleetlight_controller::api::jwt::{Algorithm, JwtSettings};
use fleetlight_controller::store::users::Role;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

/// As curl asks: no origin, no cookie.
fn script(site: &Site, method: &str, path: &str) -> RequestBuilder {
    let url = format!("{}/admin/api/{path}", site.origin);
    reqwest::Client::new().request(method.parse().unwrap(), url).header("Content-Type", "application/json")
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn scripts_call_by_name_and_password() {
    let site = Site::start().await;
    let cookie = site.cookie().await;
    let call = |method: &str, path: &str| script(&site, method, path).basic_auth("admin", Some(PASSWORD));
    assert_eq!(status(call("GET", "hosts")).await, 200);
    let made = call("POST", "join-tokens").body("{}");
    assert_eq!(status(made).await, 200, "without an origin");
    assert_eq!(status(call("POST", "tokens").json(&json!({ "name": "a", "scopes": ["read"] }))).await, 200, "fresh");
    assert_eq!(status(script(&site, "GET", "hosts").basic_auth("admin", Some("wrong password"))).await, 401);
    assert_eq!(status(script(&site, "GET", "hosts").basic_auth("nobody", Some(PASSWORD))).await, 401);
    let both = script(&site, "GET", "hosts").basic_auth("nobody", Some("x")).header("Cookie", &cookie);
    assert_eq!(status(both).await, 401, "the header decides alone");
    let (answer, detail) =
        refusal(script(&site, "GET", "hosts").header("Authorization", "Digest x").send().await.unwrap()).await;
    assert_eq!((answer, detail.contains("Bearer or Basic")), (401, true), "{detail}");
    let unasked = site.call("GET", "hosts").send().await.unwrap();
    assert!(!unasked.headers().contains_key("www-authenticate"), "no browser is to ask for one");
    site.stop().await;
}

#[tokio::test]
async fn a_browser_sends_no_basic_for_another_site() {
    let site = Site::start().await;
    site.cookie().await;
    let port: u16 = site.origin.rsplit(':').next().unwrap().parse().unwrap();
    let cross_port = format!("http://127.0.0.1:{}", port ^ 1);
    for (header, value) in [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Sec-Fetch-Site", "none"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Origin", "https://evil.example"),
        ("Origin", &cross_port),
        ("Origin", "null"),
    ] {
        let call = script(&site, "POST", "join-tokens").basic_auth("admin", Some(PASSWORD)).body("{}");
        assert_eq!(status(call.header(header, value)).await, 403, "{header}: {value}");
    }
    let form = reqwest::Client::new().post(format!("{}/admin/api/join-tokens", site.origin));
    let form = form.basic_auth("admin", Some(PASSWORD)).header("Content-Type", "text/plain").body("{}");
    assert_eq!(status(form).await, 415);
    let foreign = script(&site, "GET", "hosts").basic_auth("admin", Some(PASSWORD)).header("Host", "evil.example");
    assert_eq!(status(foreign).await, 421);
    site.stop().await;
}

#[tokio::test]
async fn a_password_remembered_for_scripts_ends_with_the_account() {
    let site = Site::start().await;
    let admin = site.cookie().await;
    let body = json!({ "name": "bo", "role": "support", "password": PASSWORD });
    let made = site.call("POST", "users").header("Cookie", &admin).json(&body).send().await.unwrap();
    let id = made.json::<Value>().await.unwrap()["id"].clone();
    let call = || script(&site, "GET", "hosts").basic_auth("bo", Some(PASSWORD));
    assert_eq!(status(call()).await, 403, "a new password is due");
    let change = script(&site, "POST", "password").basic_auth("bo", Some(PASSWORD));
    assert_eq!(status(change.json(&json!({ "old": PASSWORD, "new": "another good password" }))).await, 204);
    assert_eq!(status(call()).await, 401, "at once");
    let call = || script(&site, "GET", "hosts").basic_auth("bo", Some("another good password"));
    assert_eq!(status(call()).await, 200);
    let off = site.call("PATCH", &format!("users/{id}")).header("Cookie", &admin).json(&json!({ "active": false }));
    assert_eq!(status(off).await, 200);
    assert_ne!(status(call()).await, 200, "at once");
    let mut guesses = Vec::new();
    for _ in 0..8 {
        guesses.push(status(script(&site, "GET", "hosts").basic_auth("admin", Some("a guess"))).await);
    }
    assert!(guesses.contains(&429), "guesses are counted as logins are: {guesses:?}");
    site.stop().await;
}

fn token(secret: &[u8], claims: &Value) -> String {
    use base64::Engine;
    let encode = |bytes: &[u8]| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", encode(br#"{"alg":"HS256"}"#), encode(claims.to_string().as_bytes()));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    format!("{signed}.{}", encode(ring::hmac::sign(&key, signed.as_bytes()).as_ref()))
}

#[tokio::test]
async fn jwts_of_the_configured_issuer_act_by_their_role() {
    let secret = b"0123456789abcdef0123456789abcdef";
    let key_file = std::env::temp_dir().join(format!("fl-web-jwt-{}", std::process::id()));
    std::fs::write(&key_file, secret).unwrap();
    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let site = Site::with_jwt(JwtSettings {
        issuer: "https://issuer".into(),
        audience: "fleetlight".into(),
        algorithm: Algorithm::HS256,
        key_file: key_file.clone(),
        role_claim: "groups".into(),
        roles: BTreeMap::from([("ops".into(), Role::Admin), ("help".into(), Role::Support)]),
    })
    .await;
    std::fs::remove_file(key_file).unwrap();
    let now = now_ms() / 1_000;
    let of = |secret: &[u8], group: &str| {
        let claims = json!({ "iss": "https://issuer", "aud": "fleetlight", "sub": "alice", "groups": [group],
                             "iat": now, "exp": now + 60 });
        token(secret, &claims)
    };
    let call = |method: &str, path: &str, token: &str| script(&site, method, path).bearer_auth(token).body("{}");
    let (ops, help) = (of(secret, "ops"), of(secret, "help"));
    let session: Value = call("GET", "session", &ops).send().await.unwrap().json().await.unwrap();
    assert_eq!((&session["name"], &session["role"]), (&json!("jwt:alice"), &json!("admin")));
    assert_eq!(
        (status(call("GET", "hosts", &help)).await, status(call("POST", "join-tokens", &help)).await),
        (200, 403)
    );
    assert_eq!(status(call("POST", "join-tokens", &ops)).await, 200);
    for (method, path) in [("POST", "tokens"), ("POST", "users"), ("POST", "password"), ("GET", "tokens")] {
        assert_eq!(status(call(method, path, &ops)).await, 403, "no account is behind it: {method} {path}");
    }
    for wrong in [of(secret, "other"), of(b"another secret, quite as long as the first", "ops"), "a.b.c".into()] {
        assert_eq!(status(call("GET", "hosts", &wrong)).await, 401);
    }
    site.stop().await;
    let site = Site::start().await;
    assert_eq!(status(script(&site, "GET", "hosts").bearer_auth(&ops)).await, 401, "nobody's, unless configured");
    site.stop().await;
}
