//! Sessions: fixation, lists, ending them, giving the password again, and how back-off treats known devices.

use crate::site::{PASSWORD, Site, cookie_of, refusal};
use fleetlight_controller::store::users::Role;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

fn by(site: &Site, cookie: &str, method: &str, path: &str) -> RequestBuilder {
    site.call(method, path).header("Cookie", cookie)
}

fn login(site: &Site, password: &str) -> RequestBuilder {
    site.call("POST", "login").json(&json!({ "name": "admin", "password": password }))
}

/// `name=value` of each cookie that an answer sets.
fn cookies_of(response: &Response) -> Vec<String> {
    let set = response.headers().get_all("set-cookie").iter();
    set.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_login_never_takes_over_a_secret_that_the_browser_had() {
    let site = Site::start().await;
    site.cookie().await;
    let planted = "fleetlight=0123456789abcdef";
    let answer = login(&site, PASSWORD).header("Cookie", planted).send().await.unwrap();
    let first = cookie_of(&answer);
    assert_ne!(first, planted);
    assert_eq!(status(by(&site, planted, "GET", "hosts")).await, 401);
    let second = cookie_of(&login(&site, PASSWORD).header("Cookie", &first).send().await.unwrap());
    assert_ne!(second, first);
    let both = (status(by(&site, &first, "GET", "hosts")).await, status(by(&site, &second, "GET", "hosts")).await);
    assert_eq!(both, (401, 200), "the session of before ends with it");
    site.stop().await;
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_their_owner_and_by_admins_alone() {
    let site = Site::start().await;
    let admin = site.cookie().await;
    let (ann, bo) = (site.person("ann", Role::Support).await, site.person("bo", Role::Support).await);
    let (anns, another, bos) = (site.session_of(ann).await, site.session_of(ann).await, site.session_of(bo).await);
    let list = async |cookie: &str, id: i32| -> Vec<Value> {
        let answer = by(&site, cookie, "GET", &format!("users/{id}/sessions")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    };
    let own = list(&anns, ann).await;
    assert_eq!(own.len(), 2);
    assert_eq!(own.iter().filter(|session| session["current"] == true).count(), 1);
    assert_eq!((&own[0]["address"], &own[0]["user_agent"]), (&json!("192.0.2.7"), &json!("a test")));
    assert!(!own.iter().any(|session| session.to_string().contains(anns.rsplit('=').next().unwrap())));
    assert_eq!(status(by(&site, &bos, "GET", &format!("users/{ann}/sessions"))).await, 403, "others' are not shown");
    let other = own.iter().find(|session| session["current"] == false).unwrap();
    let path = format!("sessions/{}", other["id"].as_str().unwrap());
    let refused = by(&site, &bos, "DELETE", &path).send().await.unwrap();
    assert_eq!(refusal(refused).await, (404, "there is no such session".into()), "and not ended");
    assert_eq!(status(by(&site, &another, "GET", "hosts")).await, 200);
    assert_eq!(status(by(&site, &anns, "DELETE", &path)).await, 204);
    assert_eq!(status(by(&site, &another, "GET", "hosts")).await, 401);
    let left = list(&admin, ann).await;
    assert_eq!(left.len(), 1);
    let path = format!("sessions/{}", left[0]["id"].as_str().unwrap());
    assert_eq!(status(by(&site, &admin, "DELETE", &path)).await, 204);
    assert_eq!(
        (status(by(&site, &anns, "GET", "hosts")).await, status(by(&site, &bos, "GET", "hosts")).await),
        (401, 200)
    );
    site.stop().await;
}

#[tokio::test]
async fn leaving_everywhere_ends_every_session_of_the_account() {
    let site = Site::start().await;
    let first = site.cookie().await;
    let second = cookie_of(&login(&site, PASSWORD).send().await.unwrap());
    let other = site.person("bo", Role::Support).await;
    let other = site.session_of(other).await;
    let mut stream = by(&site, &first, "GET", "stream").send().await.unwrap();
    assert_eq!(status(by(&site, &second, "POST", "logout-everywhere")).await, 204);
    let end = async { while stream.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(5), end).await.expect("streams too");
    for (cookie, expected) in [(&first, 401), (&second, 401), (&other, 200)] {
        assert_eq!(status(by(&site, cookie, "GET", "hosts")).await, expected);
    }
    site.stop().await;
}

#[tokio::test]
async fn the_password_given_again_opens_what_destroys() {
    let site = Site::start().await;
    let cookie = site.cookie().await;
    let make = || by(&site, &cookie, "POST", "tokens").json(&json!({ "name": "ci", "scopes": ["read"] }));
    assert_eq!(status(make()).await, 200, "a login is fresh");
    sqlx::query("update web_sessions set authenticated_at = now() - interval '301 s'")
        .execute(&site.pool)
        .await
        .unwrap();
    assert_eq!(status(make()).await, 403);
    let again = |password: &str| by(&site, &cookie, "POST", "reauthenticate").json(&json!({ "password": password }));
    let (wrong, detail) = refusal(again("wrong password").send().await.unwrap()).await;
    assert_eq!((wrong, detail.as_str()), (403, "the password is wrong"), "not 401: the session stands");
    assert_eq!(status(make()).await, 403);
    assert_eq!(status(again(PASSWORD)).await, 204);
    assert_eq!(status(make()).await, 200);
    site.stop().await;
}

/// Everything in this test comes from one address, as behind a NAT.
#[tokio::test]
async fn guesses_from_behind_the_same_address_hold_up_no_known_device() {
    let site = Site::start().await;
    let setup = site.set_password(site.setup_token()).await;
    let known = cookies_of(&setup).join("; ");
    assert!(known.contains("fleetlight-device="), "{known}");
    let session = cookie_of(&setup);
    // Waits double: one that outlasts what follows.
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = login(&site, "a guess").send().await.unwrap();
        let wait = answer.headers().get("retry-after").map(|wait| wait.to_str().unwrap().parse::<u64>().unwrap());
        if wait.is_some_and(|seconds| seconds >= 4) {
            break;
        }
        assert!(Instant::now() < until, "guesses must wait");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(status(login(&site, PASSWORD)).await, 429, "so must a stranger with the right one");
    let again = by(&site, &session, "POST", "reauthenticate").json(&json!({ "password": PASSWORD }));
    assert_eq!(status(again).await, 204, "whoever is in is not held up");
    let elsewhere = site.call("POST", "login").json(&json!({ "name": "film-maker", "password": "x" }));
    assert_eq!(status(elsewhere).await, 401, "nor are others behind the address");
    let answer = login(&site, PASSWORD).header("Cookie", &known).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let renewed = cookies_of(&answer).into_iter().find(|cookie| cookie.contains("device")).unwrap();
    let hash = |cookie: &str| Sha256::digest(cookie.rsplit('=').next().unwrap().as_bytes()).into();
    let knows = async |cookie: &str| site.store.knows_device(hash(cookie), "admin", 0).await.unwrap();
    assert_eq!((knows(&known).await, knows(&renewed).await), (false, true), "each login renews it");
    let mut guesses = Vec::new();
    for _ in 0..8 {
        guesses.push(status(login(&site, "a guess").header("Cookie", &renewed)).await);
    }
    assert!(guesses.contains(&429), "a stolen one gives no more guesses than any address: {guesses:?}");
    site.stop().await;
}

#[tokio::test]
async fn a_name_that_nobody_has_is_refused_no_sooner() {
    let site = Site::start().await;
    site.cookie().await;
    let mut times = [Vec::new(), Vec::new()];
    for number in 0..3 {
        for (times, name) in times.iter_mut().zip(["admin".to_owned(), format!("nobody {number}")]) {
            let began = Instant::now();
            let call = site.call("POST", "login").json(&json!({ "name": name, "password": "wrong password" }));
            assert_eq!(status(call).await, 401);
            times.push(began.elapsed());
        }
    }
    let [known, unknown] = times.map(|mut times| {
        times.sort();
        times[1].as_secs_f64()
    });
    assert!((0.7..1.4).contains(&(unknown / known)), "known {known} s, unknown {unknown} s");
    site.stop().await;
}
