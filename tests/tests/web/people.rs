//! Accounts: how somebody comes, changes the password, is disabled; and that an admin always remains.

use crate::site::{PASSWORD, Site, cookie_of, refusal};
use fleetlight_controller::config::ControllerConfig;
use fleetlight_controller::reset_password;
use fleetlight_controller::store::users::Role;
use reqwest::Response;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

const OTHER: &str = "another good password";

async fn send(site: &Site, method: &str, cookie: &str, path: &str, body: Value) -> Response {
    site.call(method, path).header("Cookie", cookie).json(&body).send().await.unwrap()
}

async fn status(site: &Site, cookie: &str, path: &str) -> u16 {
    site.call("GET", path).header("Cookie", cookie).send().await.unwrap().status().as_u16()
}

async fn login(site: &Site, name: &str, password: &str) -> Response {
    site.post("login", json!({ "name": name, "password": password })).await
}

async fn code(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let problem: Value = response.json().await.unwrap();
    (status, problem["code"].clone())
}

#[tokio::test]
async fn a_newcomer_comes_by_a_link_and_has_a_role() {
    let site = Site::start().await;
    let admin = site.cookie().await;
    let made = send(&site, "POST", &admin, "users", json!({ "name": "bo", "role": "support" })).await;
    let made: Value = made.json().await.unwrap();
    assert_eq!((&made["name"], &made["role"], &made["has_password"]), (&json!("bo"), &json!("support"), &json!(false)));
    let link = made["link"].as_str().unwrap();
    let bo = cookie_of(&site.set_password(link.rsplit('/').next().unwrap()).await);
    let view: Value = site.call("GET", "session").header("Cookie", &bo).send().await.unwrap().json().await.unwrap();
    assert_eq!((&view["name"], &view["role"]), (&json!("bo"), &json!("support")));
    assert_eq!(view["may"], json!(["account", "own", "make_tokens", "read"]));
    assert_eq!(status(&site, &bo, "hosts").await, 200);
    let (status, detail) = refusal(send(&site, "POST", &bo, "users", json!({})).await).await;
    assert_eq!((status, detail.contains("the role support may not change people")), (403, true), "{detail}");
    let users: Value = site.call("GET", "users").header("Cookie", &admin).send().await.unwrap().json().await.unwrap();
    assert_eq!((&users[0]["name"], &users[1]["name"]), (&json!("admin"), &json!("bo")));
    assert!(users[1]["last_login_ms"].is_i64() && !users.to_string().contains("argon2"), "{users}");
    site.stop().await;
}

#[tokio::test]
async fn wrong_wishes_are_refused_in_words() {
    let site = Site::start().await;
    let admin = site.cookie().await;
    for (body, expected, word) in [
        (json!({ "name": "admin", "role": "support" }), 409, "already"),
        (json!({ "name": "a:b", "role": "support" }), 400, "colon"),
        (json!({ "name": " a", "role": "support" }), 400, "space"),
        (json!({ "name": "a\u{1b}[2J", "role": "support" }), 400, "control"),
        (json!({ "name": "x".repeat(65), "role": "support" }), 400, "64"),
        (json!({ "name": "a", "role": "root" }), 400, "sysops"),
        (json!({ "name": "a", "role": "support", "password": "short" }), 400, "too short"),
        (json!({ "name": "a", "role": "support", "password_hash": "$1$md5" }), 400, "bcrypt"),
        (json!({ "name": "a", "role": "support", "password": PASSWORD, "password_hash": "x" }), 400, "not both"),
    ] {
        let (found, detail) = refusal(send(&site, "POST", &admin, "users", body.clone()).await).await;
        assert_eq!((found, detail.contains(word)), (expected, true), "{body}: {detail}");
    }
    let nobody = send(&site, "PATCH", &admin, "users/99", json!({ "role": "support" })).await;
    assert_eq!(refusal(nobody).await.0, 404);
    site.person("bo", Role::Support).await;
    let id = site.store.user("bo").await.unwrap().unwrap().id;
    let taken = send(&site, "PATCH", &admin, &format!("users/{id}"), json!({ "name": "admin" })).await;
    assert_eq!(refusal(taken).await.0, 409);
    site.stop().await;
}

#[tokio::test]
async fn a_password_that_two_know_must_be_changed_at_once() {
    let site = Site::start().await;
    let admin = site.cookie().await;
    let body = json!({ "name": "bo", "role": "developer", "password": PASSWORD });
    let made: Value = send(&site, "POST", &admin, "users", body).await.json().await.unwrap();
    assert_eq!((&made["link"], &made["must_change_password"]), (&Value::Null, &json!(true)));
    let answer = login(&site, "bo", PASSWORD).await;
    let (bo, elsewhere) = (cookie_of(&answer), cookie_of(&login(&site, "bo", PASSWORD).await));
    assert_eq!(answer.json::<Value>().await.unwrap()["must_change_password"], true);
    let hosts = site.call("GET", "hosts").header("Cookie", &bo).send().await.unwrap();
    assert_eq!(code(hosts).await, (403, json!("password_due")));
    let change = |old: &str, new: &str| send(&site, "POST", &bo, "password", json!({ "old": old, "new": new }));
    for (old, new, expected) in [(OTHER, OTHER, 400), ("wrong password", OTHER, 403), (PASSWORD, "short", 400)] {
        assert_eq!(refusal(change(old, new).await).await.0, expected, "{old} → {new}");
    }
    let new = cookie_of(&change(PASSWORD, OTHER).await);
    assert_ne!(new, bo);
    assert_eq!((status(&site, &new, "hosts").await, status(&site, &bo, "hosts").await), (200, 401));
    assert_eq!(status(&site, &elsewhere, "hosts").await, 401, "whoever knew the old one is out");
    assert_eq!(login(&site, "bo", PASSWORD).await.status(), 401);
    assert_eq!(login(&site, "bo", OTHER).await.status(), 200);
    site.stop().await;
}

#[tokio::test]
async fn hashes_of_bcrypt_are_taken_over_and_replaced_at_the_next_login() {
    let site = Site::start().await;
    let admin = site.cookie().await;
    // "U*U", from the algorithm's own test vectors.
    let hash = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    let body = json!({ "name": "bo", "role": "sysops", "password_hash": hash });
    assert_eq!(send(&site, "POST", &admin, "users", body).await.status(), 200);
    assert_eq!(login(&site, "bo", "U*u").await.status(), 401);
    let stored = async || site.store.user("bo").await.unwrap().unwrap().password_hash.unwrap();
    assert_eq!(stored().await, hash);
    let answer = login(&site, "bo", "U*U").await;
    assert_eq!(
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["role"].clone()),
        (200, json!("sysops"))
    );
    assert!(stored().await.starts_with("$argon2id$"));
    assert_eq!(login(&site, "bo", "U*U").await.status(), 200);
    site.stop().await;
}

#[tokio::test]
async fn whoever_is_disabled_is_out_at_once() {
    let site = Site::start().await;
    let admin = site.cookie().await;
    let id = site.person("bo", Role::Developer).await;
    let (bo, bearer) = (site.session_of(id).await, site.token_of(id, Role::Developer, &["read"]).await);
    let mut streams = Vec::new();
    for (header, value) in [("Cookie", &bo), ("Authorization", &bearer)] {
        let stream = site.call("GET", "stream").header(header, value).send().await.unwrap();
        assert_eq!(stream.status(), 200);
        streams.push(stream);
    }
    let path = format!("users/{id}");
    let set = |active: bool| send(&site, "PATCH", &admin, &path, json!({ "active": active }));
    let view: Value = set(false).await.json().await.unwrap();
    assert_eq!(view["active"], false);
    for mut stream in streams {
        let end = async { while stream.chunk().await.unwrap().is_some() {} };
        timeout(Duration::from_secs(5), end).await.expect("streams end with the account");
    }
    let by_token = || site.call("GET", "hosts").header("Authorization", &bearer).send();
    assert_eq!((status(&site, &bo, "hosts").await, by_token().await.unwrap().status().as_u16()), (401, 401));
    assert_eq!(set(true).await.status(), 200);
    assert_eq!(
        (status(&site, &bo, "hosts").await, by_token().await.unwrap().status().as_u16()),
        (401, 401),
        "for good"
    );
    site.stop().await;
}

#[tokio::test]
async fn streams_end_when_their_owner_may_do_something_else() {
    let site = Site::start().await;
    let admin = site.cookie().await;
    let id = site.person("bo", Role::Developer).await;
    let bo = site.session_of(id).await;
    for (wish, after) in [(json!({ "role": "support" }), 200), (json!({ "must_change_password": true }), 403)] {
        let mut stream = site.call("GET", "stream").header("Cookie", &bo).send().await.unwrap();
        assert_eq!(stream.status(), 200);
        assert_eq!(send(&site, "PATCH", &admin, &format!("users/{id}"), wish).await.status(), 200);
        let end = async { while stream.chunk().await.unwrap().is_some() {} };
        timeout(Duration::from_secs(5), end).await.expect("ends");
        assert_eq!(status(&site, &bo, "hosts").await, after);
    }
    site.stop().await;
}

#[tokio::test]
async fn somebody_who_can_log_in_is_always_an_admin() {
    let site = Site::start().await;
    let admin = site.cookie().await;
    let first = site.store.user("admin").await.unwrap().unwrap().id;
    // An admin who never set a password could undo nothing.
    let second = site.person("bo", Role::Admin).await;
    let patch = |cookie: String, id: i32, body: Value| {
        let call = site.call("PATCH", &format!("users/{id}")).header("Cookie", cookie).json(&body);
        async move { call.send().await.unwrap() }
    };
    for body in [json!({ "role": "support" }), json!({ "active": false }), json!({ "active": false, "name": "x" })] {
        let (status, detail) = refusal(patch(admin.clone(), first, body).await).await;
        assert_eq!((status, detail.contains("last active admin")), (409, true), "{detail}");
    }
    sqlx::query("update users set password_hash = 'x' where id = $1").bind(second).execute(&site.pool).await.unwrap();
    for _ in 0..5 {
        sqlx::query("update users set role = 'admin'").execute(&site.pool).await.unwrap();
        let (one, two) = (site.session_of(first).await, site.session_of(second).await);
        let demote = json!({ "role": "support" });
        let (one, two) = tokio::join!(patch(one, second, demote.clone()), patch(two, first, demote));
        let left: i64 =
            sqlx::query_scalar("select count(*) from users where role = 'admin'").fetch_one(&site.pool).await.unwrap();
        assert_eq!(left, 1, "{} and {}", one.status(), two.status());
    }
    site.stop().await;
}

#[tokio::test]
async fn a_forgotten_password_is_set_by_a_link_that_ends() {
    let site = Site::start().await;
    let admin = site.cookie().await;
    let id = site.person("bo", Role::Support).await;
    let bo = site.session_of(id).await;
    let path = format!("users/{id}/reset-password");
    let link = async || -> String {
        let made: Value = send(&site, "POST", &admin, &path, json!({})).await.json().await.unwrap();
        made["link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    };
    let old = link().await;
    let new = link().await;
    assert_eq!(refusal(site.set_password(&old).await).await.0, 403, "a newer one replaces it");
    sqlx::query("update setup_tokens set expires_at = now() - interval '1 s'").execute(&site.pool).await.unwrap();
    assert_eq!(refusal(site.set_password(&new).await).await.0, 403, "it is good for a day");
    assert_eq!(status(&site, &bo, "hosts").await, 200, "a link that is not used changes nothing");
    let again = cookie_of(&site.set_password(&link().await).await);
    assert_eq!((status(&site, &again, "hosts").await, status(&site, &bo, "hosts").await), (200, 401));
    site.stop().await;
}

#[tokio::test]
async fn the_operator_gets_a_link_from_the_command_line() {
    let site = Site::start().await;
    let admin = site.cookie().await;
    let config = || ControllerConfig { database_url: Some(site.database_url.clone()), ..ControllerConfig::default() };
    let link = reset_password(config(), None).await.unwrap();
    assert!(link.starts_with("http://127.0.0.1:7070/#/setup/"), "{link}");
    let new = cookie_of(&site.set_password(link.rsplit('/').next().unwrap()).await);
    assert_eq!((status(&site, &new, "users").await, status(&site, &admin, "users").await), (200, 401));
    let audited = "select user_name || ' ' || action || ' ' || subject from audit where user_id is null";
    let audited: Vec<String> = sqlx::query_scalar(audited).fetch_all(&site.pool).await.unwrap();
    assert_eq!(audited, ["command line user.reset_password admin"]);
    let unknown = reset_password(config(), Some("bo")).await.unwrap_err().to_string();
    assert!(unknown.contains("\"bo\"") && unknown.contains("known: admin"), "{unknown}");
    let id = site.person("bo", Role::Support).await;
    assert!(reset_password(config(), Some("bo")).await.is_ok());
    sqlx::query("update users set active = false where id = $1").bind(id).execute(&site.pool).await.unwrap();
    let disabled = reset_password(config(), Some("bo")).await.unwrap_err().to_string();
    assert!(disabled.contains("disabled"), "{disabled}");
    site.stop().await;
}
