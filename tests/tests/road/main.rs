//! The road, end to end: a real controller, its own Postgres, real agents, the real API.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod backup;
mod drain;
mod floods;
mod reference;
mod values;

use fleetlight_tests::client::{Client, Stream};
use fleetlight_tests::netns;
use fleetlight_tests::system::{AgentOptions, Options, System};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

fn every_second() -> AgentOptions {
    AgentOptions { config: "interval_ms = 1000".into(), ..AgentOptions::default() }
}

async fn host_id(client: &Client, name: &str) -> i64 {
    client
        .wait("hosts", 20 * SECOND, |hosts| {
            let streams = |host: &&Value| host["state"] == "online" && host["summary"]["cpu_percent"].is_number();
            host(hosts, name).filter(streams)?["id"].as_i64()
        })
        .await
        .expect("online, with numbers of its own")
}

fn host<'a>(hosts: &'a Value, name: &str) -> Option<&'a Value> {
    hosts.as_array()?.iter().find(|host| host["name"] == name)
}

/// Waits until the named host has this state; how long that took.
async fn until_state(client: &Client, name: &str, state: &str, within: Duration) -> Duration {
    let began = Instant::now();
    client
        .wait("hosts", within, |hosts| (host(hosts, name)?["state"] == state).then_some(()))
        .await
        .unwrap_or_else(|error| panic!("{name} is not {state}: {error:#}"));
    began.elapsed()
}

/// A host's samples of one tick.
struct TickRows {
    at_ms: i64,
    /// When it had come to us: it was sampled in between.
    received_ms: i64,
    /// Kind, key, values by the metric's name.
    rows: Vec<(String, String, serde_json::Map<String, Value>)>,
}

impl TickRows {
    fn has(&self, kind: &str, key: &str) -> bool {
        self.rows.iter().any(|row| row.0 == kind && row.1 == key)
    }

    /// A number of the only entity of a kind, or of a named one.
    fn value(&self, kind: &str, key: Option<&str>, metric: &str) -> f64 {
        let found = self.rows.iter().find(|row| row.0 == kind && key.is_none_or(|key| row.1 == key));
        let (.., values) = found.unwrap_or_else(|| panic!("no {kind} {key:?}"));
        values[metric].as_f64().unwrap_or_else(|| panic!("{kind} {key:?} has no {metric}"))
    }
}

/// The next tick of a host.
async fn tick(stream: &mut Stream, catalogue: &Value) -> TickRows {
    let data = stream.wait(10 * SECOND, |name, data| (name == "samples").then(|| data.clone())).await.expect("samples");
    let received_ms = now_ms();
    let named = |row: &Value| {
        let kind = row["kind"].as_str()?.to_owned();
        let metrics =
            catalogue[&kind].as_array()?.iter().map(|metric| metric["name"].as_str().unwrap_or("").to_owned());
        let values = metrics.zip(row["values"].as_array()?.iter().cloned()).collect();
        Some((kind, row["key"].as_str()?.to_owned(), values))
    };
    let rows = data["rows"].as_array().expect("rows").iter().filter_map(named).collect();
    TickRows { at_ms: data["tick_ms"].as_i64().expect("a tick's time"), received_ms, rows }
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_come_from_postgres_and_a_killed_controller_costs_no_tick() {
    let mut system = System::start("history", &Options::default()).expect("controller");
    let client = system.set_up().await.expect("setup link");
    let _agent = system.agent("here", &every_second()).expect("agent");
    let id = host_id(&client, "here").await;
    let (from_ms, to_ms) = (now_ms() - 5_000, now_ms() + 55_000);
    let path = format!("hosts/{id}/series?kind=host&metric=load1&from_ms={from_ms}&to_ms={to_ms}&buckets=100");
    client.wait(&path, 20 * SECOND, |series| (points(series) >= 5).then_some(())).await.expect("five points");
    system.controller().expect("runs").kill().expect("killed");
    let killed_ms = now_ms();
    tokio::time::sleep(3 * SECOND).await;
    system.start_controller().expect("starts again");
    let client = Client::new(&system.origin()).expect("client");
    let login = serde_json::json!({ "name": "admin", "password": fleetlight_tests::system::PASSWORD });
    client.post("login", &login).await.expect("the password was kept");
    host_id(&client, "here").await;
    let back_ms = now_ms();
    let mut database = PgConnection::connect(&system.database_url().expect("its database")).await.expect("connects");
    let deadline = Instant::now() + 20 * SECOND;
    let ticks = loop {
        let ticks = stored_ticks(&mut database, id).await;
        // What arrives live is there before the history behind it: all of it is there when nothing is missing.
        if ticks.last().is_some_and(|last| *last > back_ms) && odd_steps(&ticks).is_empty() {
            break ticks;
        }
        assert!(Instant::now() < deadline, "steps that are no second: {:?} ms of {ticks:?}", odd_steps(&ticks));
        tokio::time::sleep(SECOND / 10).await;
    };
    let during = ticks.iter().filter(|tick| (killed_ms..back_ms).contains(tick)).count();
    assert!(during >= 3, "only {during} ticks of an outage of three seconds and more");
}

/// Times of all samples of the host itself, in their order.
async fn stored_ticks(database: &mut PgConnection, host_id: i64) -> Vec<i64> {
    sqlx::query_scalar("select ms_of(ts) from host_hot where host_id = $1 order by ts")
        .bind(host_id as i32)
        .fetch_all(database)
        .await
        .expect("reads")
}

/// What is not a second between two ticks that follow each other: one is missing, or there twice.
fn odd_steps(ticks: &[i64]) -> Vec<i64> {
    ticks.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| !(500..1_500).contains(step)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_with_unsent_batches_sends_them_after_its_restart() {
    let mut system = System::start("killed", &Options::default()).expect("controller");
    let client = system.set_up().await.expect("setup link");
    let mut agent = system.agent("here", &every_second()).expect("agent");
    let id = host_id(&client, "here").await;
    system.controller().expect("runs").kill().expect("killed");
    let from_ms = now_ms();
    tokio::time::sleep(6 * SECOND).await;
    agent.process().expect("runs").kill().expect("killed");
    let to_ms = now_ms();
    agent.start().expect("starts again");
    system.start_controller().expect("starts again");
    let client = Client::new(&system.origin()).expect("client");
    let login = serde_json::json!({ "name": "admin", "password": fleetlight_tests::system::PASSWORD });
    client.post("login", &login).await.expect("the password was kept");
    // The bucket of the kill's own second may be the next start's.
    let (from_ms, to_ms) = (from_ms / 1_000 * 1_000 + 1_000, to_ms / 1_000 * 1_000);
    let outage = format!("hosts/{id}/series?kind=host&metric=load1&from_ms={from_ms}&to_ms={to_ms}&buckets=600");
    let ticks = ((to_ms - from_ms) / 1_000) as usize;
    client
        .wait(&outage, 20 * SECOND, |series| (points(series) >= ticks).then_some(()))
        .await
        .expect("every tick that the killed agent took is there");
}

fn points(series: &Value) -> usize {
    let points =
        |one: &Value| one["avg"].as_array().map_or(0, |values| values.iter().filter(|value| !value.is_null()).count());
    series["series"].as_array().map_or(0, |all| all.iter().map(points).sum())
}

fn now_ms() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_agent_is_cut_off_and_told() {
    let system = System::start("revoke", &Options::default()).expect("controller");
    let client = system.set_up().await.expect("setup link");
    let agent = system.agent("here", &every_second()).expect("agent");
    host_id(&client, "here").await;
    let agents = client.get("agents").await.expect("agents");
    let agent_id = agents[0]["id"].as_str().expect("an id").to_owned();
    client.post(&format!("agents/{agent_id}/revoke"), &serde_json::json!({})).await.expect("revoked");
    until_state(&client, "here", "offline", 40 * SECOND).await;
    let deadline = Instant::now() + 10 * SECOND;
    while !agent.log().contains("revoked") {
        assert!(Instant::now() < deadline, "the agent does not say why:\n{}", agent.log());
        tokio::time::sleep(SECOND / 10).await;
    }
}

#[test]
fn two_hosts_with_addresses_of_their_own() {
    if let Err(why) = netns::available() {
        println!("SKIPPED: two hosts in network namespaces: {why}");
        return;
    }
    let star = netns::Star::new(2).expect("namespaces");
    netns::inside(star.hub(), "two_hosts_inside_the_hub").expect("passes inside");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by two_hosts_with_addresses_of_their_own, in its namespace"]
async fn two_hosts_inside_the_hub() {
    let hub = std::env::var("FL_HUB").expect("run inside a namespace");
    let leaf = |number: u8| Some(format!("{}-{number}", hub.trim_end_matches("-hub")));
    let options = Options { address: Some([10, 77, 1, 1].into()), ..Options::default() };
    let system = System::start("netns", &options).expect("controller");
    let client = system.set_up().await.expect("setup link");
    let options =
        |number| AgentOptions { netns: leaf(number), config: "interval_ms = 1000".into(), ..AgentOptions::default() };
    let _one = system.agent("one", &options(1)).expect("agent one");
    let _two = system.agent("two", &options(2)).expect("agent two");
    for name in ["one", "two"] {
        host_id(&client, name).await;
    }
    let hosts = client.get("hosts").await.expect("hosts");
    let address = |name| host(&hosts, name).and_then(|host| host["address"].as_str()).expect("address").to_owned();
    assert!(address("one").starts_with("10.77.1.2"), "{}", address("one"));
    assert!(address("two").starts_with("10.77.2.2"), "{}", address("two"));

    netns::ip(&["link", "set", "up2", "down"]).expect("cut");
    let stale = until_state(&client, "two", "stale", 10 * SECOND).await;
    assert!(stale > 2 * SECOND, "stale after {stale:?}: not before three ticks were missed");
    until_state(&client, "two", "offline", 40 * SECOND).await;
    until_state(&client, "one", "online", SECOND).await;
    netns::ip(&["link", "set", "up2", "up"]).expect("joined");
    // A host that sends what it held meanwhile is back: catching up counts as online.
    let began = Instant::now();
    let is_back = |hosts: &Value| {
        let state = host(hosts, "two")?["state"].as_str()?;
        (state == "online" || state == "catching_up").then_some(())
    };
    client.wait("hosts", 10 * SECOND, is_back).await.expect("two is back");
    let back = began.elapsed();
    println!("stale after {stale:?}, online again {back:?} after the cable was back");
    assert!(back < 5 * SECOND, "online again only after {back:?}");
    until_state(&client, "two", "online", 10 * SECOND).await;
}
