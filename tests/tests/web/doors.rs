//! Who gets in: sessions, host names, origins, bodies; for every call there is.

use crate::site::{Site, concrete, refusal};
use fleetlight_controller::api::access::Access;
use fleetlight_controller::api::routes::routes;
use std::collections::BTreeSet;

/// What may be called without a session. A new public call must be added here on purpose.
const PUBLIC: &[&str] = &["POST /setup", "POST /login", "POST /csp-report", "GET /session"];

#[tokio::test]
async fn every_call_is_public_on_purpose_or_demands_a_session() {
    let site = Site::start().await;
    let mut public = BTreeSet::new();
    for route in routes() {
        let path = concrete(route.path);
        let answer = site.call(route.method.as_str(), &path).body("{}").send().await.unwrap();
        let name = format!("{} {}", route.method, route.path);
        if let Access::Needs(_) = route.access {
            assert_eq!(refusal(answer).await.0, 401, "{name}");
            let forged = site.call(route.method.as_str(), &path).header("Cookie", "fleetlight=00").body("{}");
            assert_eq!(refusal(forged.send().await.unwrap()).await.0, 401, "{name} with a made-up cookie");
        } else {
            assert_ne!(answer.status(), 401, "{name}");
            public.insert(name);
        }
    }
    assert_eq!(public, PUBLIC.iter().map(|name| (*name).to_owned()).collect());
    site.stop().await;
}

#[tokio::test]
async fn what_another_site_causes_is_refused() {
    let site = Site::start().await;
    let cookie = site.cookie().await;
    for route in routes().iter().filter(|route| route.access != Access::Report) {
        let path = concrete(route.path);
        for foreign in ["cross-site", "same-site"] {
            let call = site.call(route.method.as_str(), &path).header("Cookie", &cookie);
            let (status, detail) =
                refusal(call.header("Sec-Fetch-Site", foreign).body("{}").send().await.unwrap()).await;
            assert_eq!((status, detail.contains("another site")), (403, true), "{} {path}", route.method);
        }
    }
    let logout = |name: &'static str, value: &'static str| {
        let call = reqwest::Client::new().post(format!("{}/admin/api/logout", site.origin));
        call.header("Cookie", &cookie).header(name, value).send()
    };
    let (status, detail) = refusal(logout("Content-Type", "application/json").await.unwrap()).await;
    assert_eq!((status, detail.contains(&site.origin)), (403, true), "no origin: {detail}");
    let answer = site.call("GET", "hosts").header("Cookie", &cookie).send().await.unwrap();
    assert_eq!(answer.status(), 200, "nothing of that has ended the session");
    site.stop().await;
}

#[tokio::test]
async fn other_host_names_are_refused_for_page_and_api() {
    let site = Site::start().await;
    for path in ["/", "/admin/api/session", "/a/x.js"] {
        for host in ["evil.example", "localhost", "127.0.0.1:1", ""] {
            let answer = reqwest::Client::new().get(format!("{}{path}", site.origin)).header("Host", host);
            let (status, detail) = refusal_of(answer.send().await.unwrap()).await;
            assert_eq!((status, detail.contains("public_url")), (421, true), "{host} {path}: {detail}");
        }
    }
    let port = site.origin.rsplit(':').next().unwrap();
    let answer = reqwest::Client::new().get(&site.origin).header("Host", format!("localhost:{port}"));
    assert_eq!(answer.send().await.unwrap().status(), 200);
    site.stop().await;
}

/// As [`refusal`], for answers from before any call.
async fn refusal_of(response: reqwest::Response) -> (u16, String) {
    let status = response.status().as_u16();
    let problem: serde_json::Value = response.json().await.unwrap();
    (status, problem["detail"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_words() {
    let site = Site::start().await;
    let cookie = site.cookie().await;
    let post = |body: String| site.call("POST", "login").body(body).send();
    let (status, detail) = refusal(post("{".into()).await.unwrap()).await;
    assert_eq!(status, 400);
    assert!(detail.contains("EOF"), "{detail}");
    let (status, detail) = refusal(post(r#"{"name": "a", "password": "b", "extra": 1}"#.into()).await.unwrap()).await;
    assert_eq!((status, detail.contains("extra")), (400, true), "{detail}");
    assert_eq!(refusal(post("x".repeat(70_000)).await.unwrap()).await.0, 413);
    let plain = site.call("POST", "login").header("Content-Type", "text/plain").body("{}");
    let typed = plain.build().map(|mut request| {
        request.headers_mut().insert("content-type", "text/plain".parse().unwrap());
        request
    });
    let answer = reqwest::Client::new().execute(typed.unwrap()).await.unwrap();
    assert_eq!(refusal(answer).await.0, 415);
    for (path, status, word) in [
        ("nothing", 404, "no such call"),
        ("hosts/x", 404, "no host \"x\""),
        ("hosts/99", 404, "no host 99"),
        ("stream?host=99", 404, "no such host"),
        ("stream?hots=1", 400, "hots"),
        ("stream?host=x", 400, "invalid digit"),
    ] {
        let answer = site.call("GET", path).header("Cookie", &cookie).send().await.unwrap();
        let (found, detail) = refusal(answer).await;
        assert_eq!((found, detail.contains(word)), (status, true), "{path}: {detail}");
    }
    let answer = site.call("PUT", "session").header("Cookie", &cookie).send().await.unwrap();
    assert_eq!(refusal(answer).await.0, 405);
    site.stop().await;
}
