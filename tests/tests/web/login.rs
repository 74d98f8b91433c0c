//! The one-time link, logging in and out, back-off, and how sessions end.

use crate::site::{PASSWORD, Site, cookie_of, refusal};
use fleetlight_controller::api::Web;
use fleetlight_controller::limits::{API_CONCURRENCY, API_PUBLIC_CONCURRENCY, SESSIONS_PER_USER};
use fleetlight_controller::store::users::Role;
use fleetlight_controller::store::web_sessions::NewWebSession;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// What `GET session` says, and what a call that needs a session answers: they must agree.
async fn session_status(site: &Site, cookie: &str) -> u16 {
    let status = site.call("GET", "hosts").header("Cookie", cookie).send().await.unwrap().status().as_u16();
    let view = session_view(site, cookie).await;
    assert_eq!((&view["name"] == "admin", view["expires_ms"].is_number()), (status == 200, status == 200), "{view}");
    status
}

async fn session_view(site: &Site, cookie: &str) -> Value {
    let answer = site.call("GET", "session").header("Cookie", cookie).send().await.unwrap();
    assert_eq!(answer.status(), 200, "that nobody is logged in is an answer");
    answer.json().await.unwrap()
}

#[tokio::test]
async fn the_setup_link_works_once() {
    let site = Site::start().await;
    let nobody = |setup_required: bool| {
        json!({ "name": null, "user_id": null, "authenticated": null, "role": null, "may": [], "must_change_password": false,
                "expires_ms": null, "fresh_until_ms": null, "setup_required": setup_required })
    };
    assert_eq!(session_view(&site, "").await, nobody(true));
    let (status, detail) = refusal(site.call("GET", "hosts").send().await.unwrap()).await;
    assert_eq!((status, detail.contains("one-time link")), (401, true), "{detail}");
    let short = site.post("setup", json!({ "token": site.setup_token(), "password": "short" })).await;
    assert_eq!(refusal(short).await.0, 400);
    assert_eq!(refusal(site.set_password(&"0".repeat(32)).await).await.0, 403);
    let cookie = site.cookie().await;
    assert!(cookie.starts_with("fleetlight="), "{cookie}");
    assert_eq!(session_status(&site, &cookie).await, 200);
    let (status, detail) = refusal(site.set_password(site.setup_token()).await).await;
    assert_eq!((status, detail.contains("used up")), (403, true), "{detail}");
    assert_eq!(session_view(&site, "").await, nobody(false));
    site.stop().await;
}

#[tokio::test]
async fn a_newer_link_replaces_the_older_until_a_password_is_set() {
    let site = Site::start().await;
    let link = |store| async move {
        let listen = "127.0.0.1:0".parse().unwrap();
        let dashboard_dir = "/nowhere".into();
        let settings = fleetlight_controller::api::WebSettings {
            listen,
            public_url: None,
            tls: None,
            trusted_proxy: None,
            dashboard_dir,
            jwt: None,
        };
        Web::bind(settings).await.unwrap().setup_link(store).await.unwrap()
    };
    let newer = link(&site.store).await.unwrap();
    assert_eq!(refusal(site.set_password(site.setup_token()).await).await.0, 403);
    cookie_of(&site.set_password(newer.rsplit('/').next().unwrap()).await);
    assert_eq!(link(&site.store).await, None, "somebody can log in now");
    site.stop().await;
}

#[tokio::test]
async fn logging_in_and_out() {
    let site = Site::start().await;
    let first = site.cookie().await;
    let login = site.post("login", json!({ "name": "admin", "password": PASSWORD })).await;
    let second = cookie_of(&login);
    let view: Value = login.json().await.unwrap();
    assert_eq!(view["name"], "admin");
    let day = view["expires_ms"].as_i64().unwrap() - now_ms();
    assert!((86_300_000..=86_400_000).contains(&day), "{day}");
    assert_ne!(first, second);
    let logout = site.call("POST", "logout").header("Cookie", &second).send().await.unwrap();
    assert_eq!(logout.status(), 204);
    assert!(logout.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!((session_status(&site, &second).await, session_status(&site, &first).await), (401, 200));
    site.stop().await;
}

#[tokio::test]
async fn wrong_names_and_passwords_are_told_alike_and_backed_off() {
    let site = Site::start().await;
    let first = site.cookie().await;
    let attempt = |name: &str, password: &str| {
        let body = json!({ "name": name, "password": password });
        site.post("login", body)
    };
    let unknown = refusal(attempt("nobody\0", PASSWORD).await).await;
    assert_eq!(unknown, (401, "name or password is wrong".into()));
    // Each wait is twice the one before, so that even a slow machine comes to one that holds.
    let mut refused = attempt("admin", "wrong password").await;
    for _ in 0..12 {
        if refused.status() == 429 {
            break;
        }
        assert_eq!(refusal(refused).await, unknown);
        refused = attempt("admin", "wrong password").await;
    }
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert_eq!((refusal(refused).await.0, wait > 0), (429, true));
    assert_eq!(session_status(&site, &first).await, 200, "who is logged in stays so");
    let until = tokio::time::Instant::now() + Duration::from_secs(90);
    while attempt("admin", PASSWORD).await.status() != 200 {
        assert!(tokio::time::Instant::now() < until, "the owner gets in after the wait");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    site.stop().await;
}

#[tokio::test]
async fn sessions_end_absolutely_and_by_disuse() {
    use sha2::{Digest, Sha256};
    let site = Site::start().await;
    let user_id = site.store.user("admin").await.unwrap().unwrap().id;
    let hour = 3_600_000;
    for (secret, used_hours_ago, left_hours, status) in
        [("aa", 0, 1, 200), ("bb", 11, 1, 200), ("cc", 13, 1, 401), ("dd", 0, -1, 401)]
    {
        let hash = Sha256::digest(secret.as_bytes()).into();
        let now_ms = now_ms() - used_hours_ago * hour;
        let expires_ms = self::now_ms() + left_hours * hour;
        let (password_hash, address, user_agent) = (None, "127.0.0.1", "");
        let session = NewWebSession { hash, user_id, password_hash, address, user_agent, now_ms, expires_ms };
        assert!(site.store.begin_web_session(session).await.unwrap());
        let found = session_status(&site, &format!("fleetlight={secret}")).await;
        assert_eq!(found, status, "used {used_hours_ago} h ago, {left_hours} h left");
    }
    let hash = Sha256::digest("bb".as_bytes()).into();
    let used = site.store.web_session(hash, now_ms(), 0).await.unwrap().unwrap().used_ms;
    assert!(now_ms() - used < 60_000, "a call is a use");
    site.stop().await;
}

#[tokio::test]
async fn whoever_gave_the_password_of_a_moment_ago_is_not_let_in() {
    let site = Site::start().await;
    site.cookie().await;
    let user = site.store.user("admin").await.unwrap().unwrap();
    let begin = async |password_hash: Option<&str>, number: u8| {
        let (address, user_agent, now_ms) = ("127.0.0.1", "", now_ms());
        let (hash, user_id, expires_ms) = ([number; 32], user.id, now_ms + 60_000);
        let session = NewWebSession { hash, user_id, password_hash, address, user_agent, now_ms, expires_ms };
        site.store.begin_web_session(session).await.unwrap()
    };
    let stored = user.password_hash.as_deref();
    assert_eq!(
        (begin(stored, 1).await, begin(Some("an older one"), 2).await, begin(None, 3).await),
        (true, false, false)
    );
    sqlx::query("update users set active = false").execute(&site.pool).await.unwrap();
    assert!(!begin(stored, 4).await, "nor whoever was disabled meanwhile");
    sqlx::query("update users set active = true").execute(&site.pool).await.unwrap();
    for number in 10..90 {
        assert!(begin(stored, number).await);
    }
    let count: i64 = sqlx::query_scalar("select count(*) from web_sessions").fetch_one(&site.pool).await.unwrap();
    assert_eq!(count, SESSIONS_PER_USER, "the oldest go");
    // A new password ends them all, with what could set another one.
    site.store.put_link(user.id, [7; 32], now_ms() + 60_000).await.unwrap();
    site.store.set_password(user.id, "another").await.unwrap();
    for table in ["web_sessions", "setup_tokens"] {
        let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        assert_eq!(sqlx::query_scalar::<_, i64>(sql).fetch_one(&site.pool).await.unwrap(), 0, "{table}");
    }
    site.stop().await;
}

/// Each of them held one of the places of those who log in, or of those who are in, for as long as a call may take.
#[tokio::test]
async fn bodies_that_come_byte_by_byte_hold_up_nobody_else() {
    let site = Site::start().await;
    site.cookie().await;
    let address = site.origin.strip_prefix("http://").unwrap();
    let sue = site.person("sue", Role::Support).await;
    let (sue, admin) = (site.session_of(sue).await, site.session_of(1).await);
    let mut slow = Vec::new();
    let public = ["login", "setup", "csp-report"].map(|path| (path, API_PUBLIC_CONCURRENCY));
    for (path, count) in public.into_iter().chain([("reauthenticate", API_CONCURRENCY)]) {
        for _ in 0..count {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = format!(
                "POST /admin/api/{path} HTTP/1.1\r\nHost: {address}\r\nOrigin: {}\r\nCookie: {sue}\r\n\
                 Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{",
                site.origin
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            slow.push(stream);
        }
    }
    // The last ones are being read by the time that another connection is answered.
    for _ in 0..3 {
        site.call("GET", "session").send().await.unwrap();
    }
    let login = site.post("login", json!({ "name": "admin", "password": PASSWORD }));
    let login = tokio::time::timeout(Duration::from_secs(4), login).await.expect("answers at once");
    assert_eq!(login.status(), 200);
    let hosts = site.call("GET", "hosts").header("Cookie", &admin).send();
    let hosts = tokio::time::timeout(Duration::from_secs(4), hosts).await.expect("answers at once").unwrap();
    assert_eq!(hosts.status(), 200);
    drop(slow);
    site.stop().await;
}

#[tokio::test]
async fn logins_by_the_dozen_shut_nobody_out_who_is_in() {
    let site = Site::start().await;
    let cookie = site.cookie().await;
    // Whoever logs in now waits for the database, with place and connection; whoever is in does not.
    let mut blocker = site.pool.begin().await.unwrap();
    sqlx::query("lock table web_sessions in share mode").execute(&mut *blocker).await.unwrap();
    let mut logins = tokio::task::JoinSet::new();
    for _ in 0..80 {
        let login = site.call("POST", "login").json(&json!({ "name": "admin", "password": PASSWORD }));
        logins.spawn(login.send());
    }
    let stuck = async || -> i64 {
        let waiting =
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        sqlx::query_scalar(waiting).fetch_one(&site.pool).await.unwrap()
    };
    let until = tokio::time::Instant::now() + Duration::from_secs(30);
    while stuck().await < API_PUBLIC_CONCURRENCY as i64 {
        assert!(tokio::time::Instant::now() < until, "the logins wait");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..10 {
        let answer = site.call("GET", "agents").header("Cookie", &cookie).send();
        let answer = tokio::time::timeout(Duration::from_secs(4), answer).await.expect("answers at once").unwrap();
        assert_eq!(answer.status(), 200);
    }
    blocker.rollback().await.unwrap();
    logins.shutdown().await;
    site.stop().await;
}
