//! What the calls answer: tokens and agents, events, series with gaps, the catalogue.

use crate::site::{Site, refusal};
use fleetlight_controller::feed;
use fleetlight_controller::live::Live;
use fleetlight_controller::live::presence::Connected;
use fleetlight_controller::store::agents::NewKey;
use fleetlight_controller::store::enrolment::Enrolment;
use fleetlight_controller::store::flush::{Batch, Data};
use fleetlight_controller::store::join_tokens::secret_hash;
use fleetlight_protocol::event::{Event, Fact, Severity};
use fleetlight_protocol::join_token::JoinToken;
use fleetlight_protocol::samples::{CoreSample, EntityKind, Row, Sample};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

const AGENT: Uuid = Uuid::from_u128(7);

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

async fn get(site: &Site, cookie: &str, path: &str) -> Value {
    let answer = site.call("GET", path).header("Cookie", cookie).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().await.unwrap()
}

async fn post(site: &Site, cookie: &str, path: &str, body: Value) -> reqwest::Response {
    site.call("POST", path).header("Cookie", cookie).json(&body).send().await.unwrap()
}

/// Enrols a host called `name` by the API's own token; returns its id.
async fn enrol(site: &Site, cookie: &str, name: &str) -> i32 {
    let made: Value = post(site, cookie, "join-tokens", json!({ "host_name": name })).await.json().await.unwrap();
    let token: JoinToken = made["token"].as_str().unwrap().parse().unwrap();
    assert_eq!((token.ca_fingerprint, token.endpoint.as_str()), ([7; 32], "127.0.0.1:7443"));
    assert!(made["command"].as_str().unwrap().contains(&format!("--token {token} ")));
    let enrolment = Enrolment {
        token_id: &token.id,
        secret_hash: secret_hash(&token.secret),
        hostname: "ignored",
        machine: "m",
        now_ms: now_ms(),
    };
    let key = NewKey { hash: [1; 32], not_after_ms: now_ms() + 1_000_000 };
    let host = site.store.enrol(&enrolment, AGENT, |_| Ok(key)).await.unwrap().unwrap();
    feed::restore(&site.live, &site.store).await.unwrap();
    host.host_id
}

async fn store(site: &Site, host_id: i32, seq: u64, data: Data) {
    let (epoch, received_ms) = (Uuid::from_u128(1), now_ms());
    let batch = Batch { host_id, agent_id: AGENT, epoch, seq, live: true, received_ms, data, left_out: Vec::new() };
    site.store.flush(&[batch], now_ms()).await.unwrap();
}

fn event(number: u128, at_ms: i64) -> Event {
    Event {
        id: Uuid::from_u128(number),
        at_ms,
        kind: EntityKind::Gpu,
        key: "GPU-1".into(),
        subject: "GPU 0".into(),
        severity: Severity::Crit,
        fact: Fact::Xid { code: 79, meaning: "fallen off the bus".into() },
    }
}

#[tokio::test]
async fn tokens_are_made_listed_used_and_revoked() {
    let site = Site::start().await;
    let cookie = site.cookie().await;
    let refused = post(&site, &cookie, "join-tokens", json!({ "host_name": "two words" })).await;
    assert_eq!(refusal(refused).await.0, 400);
    let any: Value = post(&site, &cookie, "join-tokens", json!({})).await.json().await.unwrap();
    enrol(&site, &cookie, "beta").await;
    let tokens = get(&site, &cookie, "join-tokens").await;
    let used = tokens.as_array().unwrap().iter().find(|token| token["host_name"] == "beta").unwrap();
    assert_eq!(used["used_by"], AGENT.to_string());
    assert!(!tokens.to_string().contains("secret") && used["used_ms"].is_i64());
    let revoke = |id: &Value| {
        let path = format!("join-tokens/{}", id.as_str().unwrap());
        site.call("DELETE", &path).header("Cookie", &cookie).send()
    };
    assert_eq!(revoke(&any["id"]).await.unwrap().status(), 204);
    assert_eq!(refusal(revoke(&used["id"]).await.unwrap()).await.0, 404, "a used token is ended by its agent");
    let tokens = get(&site, &cookie, "join-tokens").await;
    let any = tokens.as_array().unwrap().iter().find(|token| token["id"] == any["id"]).unwrap();
    assert!(any["revoked_ms"].is_i64());
    site.stop().await;
}

#[tokio::test]
async fn what_was_refused_of_a_host_is_told_by_reason() {
    let site = Site::start().await;
    let cookie = site.cookie().await;
    let host = enrol(&site, &cookie, "beta").await;
    let path = format!("hosts/{host}/refusals");
    assert_eq!(get(&site, &cookie, &path).await, json!([]));
    let rows = vec![CoreSample::default().row("cpu0"), CoreSample::default().row("cpu1")];
    store(&site, host, 1, Data::Samples { tick_ms: now_ms() + 3_600_000, rows }).await;
    let told = get(&site, &cookie, &path).await;
    assert_eq!((&told[0]["reason"], &told[0]["batches"], &told[0]["rows"]), (&json!("time"), &json!(1), &json!(2)));
    assert!(told[0]["last_detail"].as_str().unwrap().contains("clock right?"));
    assert!((now_ms() - told[0]["last_ms"].as_i64().unwrap()).abs() < 60_000);
    let agents = get(&site, &cookie, "agents").await;
    assert!(agents[0]["last_seen_ms"].is_i64(), "live samples are a sign of life");
    let unknown = site.call("GET", "hosts/99/refusals").header("Cookie", &cookie).send().await.unwrap();
    assert_eq!(refusal(unknown).await.0, 404);
    site.stop().await;
}

#[tokio::test]
async fn revoking_an_agent_closes_its_session() {
    let site = Site::start().await;
    let cookie = site.cookie().await;
    enrol(&site, &cookie, "beta").await;
    let agents = get(&site, &cookie, "agents").await;
    assert_eq!((&agents[0]["host_name"], &agents[0]["revoked_ms"]), (&json!("beta"), &Value::Null));
    let path = format!("agents/{AGENT}/revoke");
    assert_eq!(post(&site, &cookie, &path, json!({})).await.status(), 204);
    assert_eq!(*site.revoked.lock().unwrap(), [AGENT]);
    assert_eq!(get(&site, &cookie, "agents").await[0]["revoked_for"], "revoked by admin");
    assert_eq!(refusal(post(&site, &cookie, &path, json!({})).await).await.0, 404);
    assert_eq!(refusal(post(&site, &cookie, "agents/x/revoke", json!({})).await).await.0, 404);
    assert_eq!(site.revoked.lock().unwrap().len(), 1);
    site.stop().await;
}

#[tokio::test]
async fn events_come_newest_first_and_survive_a_restart() {
    let site = Site::start().await;
    let cookie = site.cookie().await;
    let id = enrol(&site, &cookie, "beta").await;
    let start = now_ms() - 10_000;
    let events = (0..5).map(|number| event(number as u128, start + number * 1_000)).collect();
    store(&site, id, 1, Data::Events(events)).await;
    let list = get(&site, &cookie, &format!("hosts/{id}/events?limit=2")).await;
    assert_eq!((&list[0]["at_ms"], &list[1]["at_ms"]), (&json!(start + 4_000), &json!(start + 3_000)));
    assert_eq!((&list[0]["fact"], &list[0]["detail"]["code"]), (&json!("xid"), &json!(79)));
    let list = get(&site, &cookie, &format!("hosts/{id}/events?before_ms={}", start + 3_000)).await;
    assert_eq!(list.as_array().unwrap().len(), 3);
    for wrong in ["limit=0", "limit=501", "limit=x", "before=1"] {
        let answer = site.call("GET", &format!("hosts/{id}/events?{wrong}")).header("Cookie", &cookie).send().await;
        assert_eq!(refusal(answer.unwrap()).await.0, 400, "{wrong}");
    }
    let again = Live::default();
    feed::restore(&again, &site.store).await.unwrap();
    let session = Connected { agent_id: AGENT, address: String::new(), agent_version: String::new(), at_ms: 1 };
    again.connected(id, session);
    let problems = again.detail(id).unwrap().host.problems;
    assert_eq!(problems[0].message, "Xid 79: fallen off the bus", "{problems:?}");
    site.stop().await;
}

#[tokio::test]
async fn series_have_gaps_where_nothing_was_measured() {
    let site = Site::start().await;
    let cookie = site.cookie().await;
    let id = enrol(&site, &cookie, "beta").await;
    let start = now_ms() / 60_000 * 60_000 - 120_000;
    let core = |key: &str, percent: f64| -> Row { CoreSample { cpu_percent: Some(percent) }.row(key) };
    for (seq, tick) in [0, 1, 4].into_iter().enumerate() {
        let rows = vec![core("cpu0", 10.0 + tick as f64), core("cpu1", 50.0)];
        store(&site, id, seq as u64 + 1, Data::Samples { tick_ms: start + tick * 5_000, rows }).await;
    }
    let range = format!("from_ms={start}&to_ms={}", start + 30_000);
    let ask = |rest: &str| format!("hosts/{id}/series?kind=core&metric=cpu_percent&{range}{rest}");
    let series = get(&site, &cookie, &ask("&key=cpu0&buckets=100")).await;
    assert_eq!((&series["step_ms"], series["times_ms"].as_array().unwrap().len()), (&json!(5_000), 6));
    assert_eq!(series["source"], "raw");
    assert_eq!(series["series"][0]["avg"], json!([10.0, 11.0, null, null, 14.0, null]));
    assert_eq!(series["series"].as_array().unwrap().len(), 1);
    let all = get(&site, &cookie, &ask("")).await;
    assert_eq!(all["series"].as_array().unwrap().len(), 2, "without a key: all of the kind");
    for (wrong, word) in [
        ("kind=cores&metric=cpu_percent", "allowed: host"),
        ("kind=core&metric=cpu_percents", "cpu_percents"),
        ("kind=core&metric=cpu_percent&buckets=1201", "1200"),
        ("kind=core&metric=cpu_percent&from_ms=5&to_ms=5", "before"),
        ("kind=core", "metric"),
        ("kind=core&metric=cpu_percent&key=%00", "control characters"),
    ] {
        let answer = site.call("GET", &format!("hosts/{id}/series?{wrong}")).header("Cookie", &cookie).send().await;
        let (status, detail) = refusal(answer.unwrap()).await;
        assert_eq!((status, detail.contains(word)), (400, true), "{wrong}: {detail}");
    }
    site.stop().await;
}

#[tokio::test]
async fn ranges_reach_as_far_as_anything_is_kept() {
    let site = Site::start().await;
    let cookie = site.cookie().await;
    let id = enrol(&site, &cookie, "beta").await;
    let now = now_ms();
    let rows = vec![CoreSample { cpu_percent: Some(40.0) }.row("cpu0")];
    store(&site, id, 1, Data::Samples { tick_ms: now - 3_600_000, rows }).await;
    for (days, source) in [(0.2, "raw"), (7.0, "minutes"), (30.0, "quarters"), (730.0, "quarters")] {
        let from_ms = now - (days * 86_400_000.0) as i64;
        let ask = format!("hosts/{id}/series?kind=core&metric=cpu_percent&from_ms={from_ms}&to_ms={now}");
        let series = get(&site, &cookie, &ask).await;
        let values = series["series"][0]["max"].as_array().unwrap();
        assert_eq!(series["source"], source, "{days} days");
        assert!(values.len() <= 1_200 && values.iter().filter(|value| !value.is_null()).count() == 1, "{days} days");
    }
    site.stop().await;
}

#[tokio::test]
async fn the_fleet_is_told_as_one_and_as_it_was() {
    let site = Site::start().await;
    let cookie = site.cookie().await;
    let id = enrol(&site, &cookie, "beta").await;
    let then = now_ms() / 60_000 * 60_000 - 600_000;
    let row = |key: &str, percent: f64| CoreSample { cpu_percent: Some(percent) }.row(key);
    for (seq, (second, percent)) in [(0, 10.0), (5, 30.0), (300, 90.0)].into_iter().enumerate() {
        let data = Data::Samples { tick_ms: then + second * 1_000, rows: vec![row("cpu0", percent), row("cpu1", 0.0)] };
        store(&site, id, seq as u64 + 1, data).await;
    }
    let ask = format!("fleet/series?kind=core&metric=cpu_percent&from_ms={then}&to_ms={}", then + 15_000);
    let series = get(&site, &cookie, &ask).await;
    let line = json!([{"key": "", "metric": "cpu_percent",
        "avg": [5.0, 15.0, null], "min": [0.0, 0.0, null], "max": [10.0, 30.0, null]}]);
    assert_eq!((&series["series"], &series["source"]), (&line, &json!("raw")));

    let at = get(&site, &cookie, &format!("fleet/at?ms={}", then + 7_000)).await;
    assert_eq!((&at["at_ms"], &at["source"]), (&json!(then + 7_000), &json!("raw")));
    assert_eq!(at["hosts"].as_array().unwrap().len(), 1, "only hosts of which something is known");
    let host = &at["hosts"][0];
    assert_eq!((&host["id"], &host["name"], &host["tick_ms"]), (&json!(id), &json!("beta"), &json!(then + 5_000)));
    assert_eq!(host["rows"][0], json!({"kind": "core", "key": "cpu0", "values": [30.0]}));
    let of = |kind: &str| format!("fleet/at?ms={}&kind={kind}", then + 7_000);
    assert_eq!(get(&site, &cookie, &of("gpu,host")).await["hosts"], json!([]));
    assert_eq!(get(&site, &cookie, &of("gpu,core")).await["hosts"], at["hosts"]);
    for (wrong, word) in [
        ("fleet/series?kind=core&metric=cpu_percent&key=cpu0", "leave key out"),
        ("fleet/series?kind=cores&metric=cpu_percent", "allowed: host"),
        ("fleet/series?kind=core&metric=cpu_percent&buckets=0", "1200"),
        ("fleet/at", "ms"),
        ("fleet/at?ms=-1", "Unix epoch"),
        (&of("cores"), "allowed: host"),
    ] {
        let (status, detail) = refusal(site.call("GET", wrong).header("Cookie", &cookie).send().await.unwrap()).await;
        assert_eq!((status, detail.contains(word)), (400, true), "{wrong}: {detail}");
    }
    site.stop().await;
}

#[tokio::test]
async fn the_catalogue_is_in_the_order_of_rows() {
    let site = Site::start().await;
    let cookie = site.cookie().await;
    let catalogue = get(&site, &cookie, "catalogue").await;
    for kind in EntityKind::ALL {
        let names: Vec<_> = kind.metrics().iter().map(|metric| json!(metric.name)).collect();
        let told: Vec<_> =
            catalogue[kind.name()].as_array().unwrap().iter().map(|metric| metric["name"].clone()).collect();
        assert_eq!(told, names, "{}", kind.name());
    }
    assert_eq!(catalogue["gpu"][0]["unit"], "percent");
    site.stop().await;
}
