//! The road, end to end: a real controller, its own Postgres, real agents, the real API.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use fleetlight_tests::client::{Client, Stream};
use fleetlight_tests::netns;
use fleetlight_tests::system::{AgentOptions, Options, System};
use serde_json::Value;
use std::fs;
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

/// The next tick's rows of a host, as (kind, key) → values by metric name.
async fn rows(stream: &mut Stream, catalogue: &Value) -> Vec<(String, String, serde_json::Map<String, Value>)> {
    let rows = stream
        .wait(10 * SECOND, |name, data| (name == "samples").then(|| data["rows"].clone()))
        .await
        .expect("samples");
    let named = |row: &Value| {
        let kind = row["kind"].as_str()?.to_owned();
        let metrics =
            catalogue[&kind].as_array()?.iter().map(|metric| metric["name"].as_str().unwrap_or("").to_owned());
        let values = metrics.zip(row["values"].as_array()?.iter().cloned()).collect();
        Some((kind, row["key"].as_str()?.to_owned(), values))
    };
    rows.as_array().expect("rows").iter().filter_map(named).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn this_machine_shows_with_its_real_numbers() {
    let system = System::start("numbers", &Options::default()).expect("controller");
    let client = system.set_up().await.expect("setup link");
    let _agent = system.agent("here", &every_second()).expect("agent");
    let id = host_id(&client, "here").await;
    let catalogue = client.get("catalogue").await.expect("catalogue");
    let mut stream = client.stream(Some(id)).await.expect("stream");
    rows(&mut stream, &catalogue).await;
    let rows = rows(&mut stream, &catalogue).await;

    let (.., values) = rows.iter().find(|(kind, ..)| kind == "host").expect("the host's row");
    let meminfo = fs::read_to_string("/proc/meminfo").expect("/proc/meminfo");
    let field = |name: &str| -> f64 {
        let line = meminfo.lines().find(|line| line.starts_with(name)).expect("field");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("number") * 1024.0
    };
    assert_eq!(values["memory_total_bytes"].as_f64(), Some(field("MemTotal:")));
    let used = values["memory_used_bytes"].as_f64().expect("used");
    let expected = field("MemTotal:") - field("MemAvailable:");
    assert!((used - expected).abs() < 0.1 * field("MemTotal:"), "{used} of {expected}: within 10 % of all memory");
    let load: f64 =
        fs::read_to_string("/proc/loadavg").expect("loadavg").split(' ').next().expect("load").parse().expect("number");
    let load1 = values["load1"].as_f64().expect("load1");
    assert!((load1 - load).abs() < 1.0, "{load1}, /proc says {load}");
    let cpu = values["cpu_percent"].as_f64().expect("cpu");
    assert!((0.0..=100.5).contains(&cpu), "{cpu}");

    let df = std::process::Command::new("df").args(["-B1", "--output=target,size,used,avail"]).output().expect("df");
    let df = String::from_utf8_lossy(&df.stdout).into_owned();
    let (_, _, mount) = rows.iter().find(|(kind, key, _)| kind == "mount" && key == "/").expect("the root mount");
    let line: Vec<f64> = df
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|fields| fields[0] == "/")
        .expect("df says /")[1..]
        .iter()
        .map(|field| field.parse().expect("number"))
        .collect();
    assert_eq!(mount["total_bytes"].as_f64(), Some(line[0]), "size, to the byte");
    let used = mount["used_bytes"].as_f64().expect("used");
    assert!((used - line[1]).abs() < 0.02 * line[0], "{used}, df says {}: within 2 % of the disk", line[1]);

    let detail = client.get(&format!("hosts/{id}")).await.expect("detail");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").expect("kernel");
    assert_eq!(detail["summary"]["kernel"], kernel.trim());
    let documents = detail["documents"].as_array().expect("documents");
    let absent = documents.iter().find(|document| document["kind"] == "gpu_driver").expect("GPU driver's document");
    if !std::path::Path::new("/dev/nvidiactl").exists() {
        assert_eq!(absent["body"]["state"], "library_missing");
        assert!(absent["body"]["reason"].as_str().is_some_and(|why| !why.is_empty()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_come_from_postgres_and_survive_a_restart_of_the_controller() {
    let mut system = System::start("history", &Options::default()).expect("controller");
    let client = system.set_up().await.expect("setup link");
    let _agent = system.agent("here", &every_second()).expect("agent");
    let id = host_id(&client, "here").await;
    let path = |buckets: u32| {
        let now = now_ms();
        format!(
            "hosts/{id}/series?kind=host&metric=load1&from_ms={}&to_ms={}&buckets={buckets}",
            now - 5_000,
            now + 55_000
        )
    };
    client.wait(&path(60), 20 * SECOND, |series| (points(series) >= 5).then_some(())).await.expect("five points");
    system.controller().expect("runs").kill().expect("killed");
    let killed_ms = now_ms();
    tokio::time::sleep(3 * SECOND).await;
    system.start_controller().expect("starts again");
    let client = Client::new(&system.origin()).expect("client");
    let login = serde_json::json!({ "name": "admin", "password": fleetlight_tests::system::PASSWORD });
    client.post("login", &login).await.expect("the password was kept");
    // Every tick of the outage arrives by replay: no second of it is a gap.
    let id = host_id(&client, "here").await;
    let outage = format!(
        "hosts/{id}/series?kind=host&metric=load1&from_ms={}&to_ms={}&buckets=600",
        killed_ms - 2_000,
        killed_ms + 3_000
    );
    client
        .wait(&outage, 20 * SECOND, |series| {
            let all = series["series"][0]["avg"].as_array()?;
            (points(series) >= 5 && all.iter().filter(|value| value.is_null()).count() <= 1).then_some(())
        })
        .await
        .expect("the outage is filled");
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
    let back = until_state(&client, "two", "online", 10 * SECOND).await;
    println!("stale after {stale:?}, online again {back:?} after the cable was back");
    assert!(back < 5 * SECOND, "online again only after {back:?}");
}
