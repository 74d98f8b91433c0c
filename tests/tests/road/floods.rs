//! One agent floods; nine others keep every sample and stay live, and the controller's memory is bounded.

use super::now_ms;
use fleetlight_agent::random::Random;
use fleetlight_agent::spool::Payload;
use fleetlight_agent::transport::enrol::{Host, enrol};
use fleetlight_agent::transport::udp_sockets;
use fleetlight_controller::limits::{
    DOCUMENTS_PER_HOST, ENTITIES_PER_HOST, FACT_BYTES_BURST, REPLAYED_ENTITIES_PER_HOST,
};
use fleetlight_controller::transport::AgentRef;
use fleetlight_protocol::document::{Body, CollectorDocument, Document};
use fleetlight_protocol::join_token::JoinToken;
use fleetlight_protocol::limits::{DOCUMENTS_PER_BATCH, FRAME_BYTES};
use fleetlight_protocol::samples::{ContainerSample, EntityKind, GpuSample, HostSample, Row, Sample};
use fleetlight_tests::client::{Client, Stream};
use fleetlight_tests::measure::{percentile, pss_bytes};
use fleetlight_tests::sim_agent::{Folder, SimAgent, Ways};
use fleetlight_tests::sim_controller::BEGAN_MS;
use fleetlight_tests::system::{Options, System};
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{interval, sleep};
use tokio_util::sync::CancellationToken;

const OTHERS: usize = 9;
/// At least; until all is told that it is refused for.
const FLOOD: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(500);
/// Rows of an ordinary tick beside the host's own.
const GPUS: usize = 4;
/// A million new entities a minute.
const NEW_PER_SECOND: usize = 16_667;
/// From a tick to a page that watches its host, at the flood's height and on a busy machine: the default interval.
const LIVE_WITHIN: Duration = Duration::from_secs(5);
/// What a flood may cost the controller: the pile (30 MB), the flooder's documents (16 MiB) as they are kept and
/// as they are being stored, names of its stream and of its entities, frames on their way.
const MEMORY_BYTES: u64 = 128 * 1024 * 1024;

/// A host of the test: its agent, and its number at the controller.
struct Joined {
    agent: SimAgent,
    id: i64,
}

async fn join(client: &Client, name: &str, number: u8) -> Joined {
    let made = client.post("join-tokens", &json!({ "host_name": name })).await.expect("a token");
    let token: JoinToken = made["token"].as_str().and_then(|token| token.parse().ok()).expect("a token");
    let folder = Folder::new().expect("a folder");
    let host = Host { hostname: name.into(), machine: name.into() };
    let identity = enrol(&token, folder.path(), host, Arc::new(now_ms)).await.expect("enrolled");
    let ways = Ways {
        clock_offset_ms: now_ms() - BEGAN_MS,
        noted_ms: now_ms(),
        spool_bytes: 256 * 1024 * 1024,
        ..Ways::default()
    };
    let agent = AgentRef { agent_id: identity.agent_id, host_id: i32::from(number) };
    let agent = SimAgent::start_on(udp_sockets(), agent, identity, ways).expect("an agent");
    let named = |hosts: &Value| super::host(hosts, name).filter(|host| host["state"] == "online")?["id"].as_i64();
    let id = client.wait("hosts", Duration::from_secs(20), named).await.expect("online");
    Joined { agent, id }
}

/// What an ordinary host ticked, and how long each tick took to the page that watches it.
#[derive(Default)]
struct Watched {
    ticks: Vec<i64>,
    delays: Vec<f64>,
}

/// Ticks until the flood is over, and watches until all of it was seen.
async fn ordinary(agent: &SimAgent, mut stream: Stream, over: &CancellationToken) -> Watched {
    let (mut timer, mut watched) = (interval(TICK), Watched::default());
    let late = async {
        over.cancelled().await;
        sleep(LIVE_WITHIN).await;
    };
    tokio::pin!(late);
    while !over.is_cancelled() || watched.delays.len() < watched.ticks.len() {
        tokio::select! {
            _ = timer.tick(), if !over.is_cancelled() => watched.ticks.push(tick(agent)),
            next = stream.next() => {
                let (name, data) = next.expect("the page goes on");
                if let Some(tick_ms) = data["tick_ms"].as_i64().filter(|_| name == "samples") {
                    watched.delays.push((now_ms() - tick_ms) as f64);
                }
            }
            () = &mut late => break,
        }
    }
    watched
}

fn tick(agent: &SimAgent) -> i64 {
    let at_ms = now_ms();
    let gpu = |number| GpuSample { power_watts: Some(99.0), ..Default::default() }.row(format!("GPU-{number}"));
    let host = HostSample { cpu_percent: Some(5.0), ..Default::default() }.row("");
    let rows: Vec<Row> = std::iter::once(host).chain((0..GPUS).map(gpu)).collect();
    agent.spool.push(Payload::Samples { at_ms, rows: rows.into() });
    at_ms
}

/// New containers at the rate of a million a minute, documents without end, and ticks of 1970 and 2036, all at once;
/// how many containers there were in how many seconds.
async fn flood(agent: &SimAgent, over: &CancellationToken) -> (usize, f64) {
    const YEAR_2036_MS: i64 = 2_082_758_400_000;
    let (began, mut timer, mut named) = (Instant::now(), interval(TICK / 5), 0);
    let mut documents = documents();
    while !over.is_cancelled() {
        timer.tick().await;
        let due = (began.elapsed().as_secs_f64() * NEW_PER_SECOND as f64) as usize;
        agent.spool.push(Payload::Samples { at_ms: now_ms(), rows: (named..due).map(container).collect() });
        named = due;
        for at_ms in [0, YEAR_2036_MS] {
            agent.spool.push(Payload::Samples { at_ms, rows: vec![container(0)].into() });
        }
        agent.spool.push(Payload::Inventory(documents.next().into_iter().flatten().collect()));
    }
    (named, began.elapsed().as_secs_f64())
}

fn container(number: usize) -> Row {
    ContainerSample { cpu_percent: Some(1.0), ..Default::default() }.row(format!("{number:x}"))
}

/// Batches of documents in frames as large as they may be on the wire. First more documents than a host may have, and
/// as many bytes as it may send at once; what follows is held back.
fn documents() -> impl Iterator<Item = Vec<Document>> {
    const MANY: usize = DOCUMENTS_PER_HOST / DOCUMENTS_PER_BATCH + 1;
    const LARGE: usize = FACT_BYTES_BURST as usize / (4 * FRAME_BYTES);
    let (small, large) = (document_of(0, 0), document_of(FRAME_BYTES, 3 * FRAME_BYTES));
    let noise = document_of(FRAME_BYTES, 0);
    let numbered = move |number: usize, body: &Body| Document {
        kind: EntityKind::Collector,
        key: number.to_string(),
        observed_ms: now_ms(),
        body: Some(body.clone()),
    };
    (0..).map(move |turn| {
        let from = turn * DOCUMENTS_PER_BATCH;
        match turn {
            0..MANY => (from..from + DOCUMENTS_PER_BATCH).map(|number| numbered(number, &small)).collect(),
            _ if turn < MANY + LARGE => vec![numbered(from, &large)],
            _ => vec![numbered(from, &noise)],
        }
    })
}

/// A document with so much noise, which does not compress, and so much else; all but a KiB for what is around it.
fn document_of(noise_bytes: usize, bytes: usize) -> Body {
    let mut random = Random(1);
    let noise = (1_024..noise_bytes).map(|_| char::from(b'#' + (random.draw() % 56) as u8));
    let reason = noise.chain((1_024..bytes).map(|_| 'x')).collect();
    Body::Collector(CollectorDocument { reason, ..Default::default() })
}

/// The most that the process takes until the flood is over.
async fn most_memory(pid: u32, over: &CancellationToken) -> u64 {
    let (mut timer, mut most) = (interval(TICK / 5), 0);
    while !over.is_cancelled() {
        timer.tick().await;
        most = most.max(pss_bytes(&[pid]).expect("it runs"));
    }
    most
}

/// Ends the flood when it has lasted and all that it is refused for is told; what was.
async fn told(client: &Client, id: i64, over: &CancellationToken) -> BTreeMap<String, i64> {
    let _end = over.clone().drop_guard();
    sleep(FLOOD).await;
    let deadline = Instant::now() + 10 * FLOOD;
    loop {
        let told = refusals(client, id).await;
        if ["entities", "time", "documents", "size", "rate"].iter().all(|reason| told.contains_key(*reason)) {
            return told;
        }
        assert!(Instant::now() < deadline, "not all is told: {told:?}");
        sleep(TICK / 5).await;
    }
}

async fn refusals(client: &Client, id: i64) -> BTreeMap<String, i64> {
    let answer = client.get(&format!("hosts/{id}/refusals")).await.expect("refusals");
    let counted = |one: &Value| Some((one["reason"].as_str()?.to_owned(), one["rows"].as_i64()?));
    answer.as_array().expect("a list").iter().filter_map(counted).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_hurts_only_its_own_host() {
    let mut system = System::start("floods", &Options::default()).expect("controller");
    let client = system.set_up().await.expect("setup link");
    let names: Vec<String> = (1..=OTHERS).map(|number| format!("other-{number}")).collect();
    let others = join_all((1..).zip(&names).map(|(number, name)| join(&client, name, number))).await;
    let flooder = join(&client, "flooder", 100).await;
    let mut streams = Vec::new();
    for other in &others {
        streams.push(client.stream(Some(other.id)).await.expect("a stream"));
    }
    let pid = system.controller().expect("runs").pid();
    let before = pss_bytes(&[pid]).expect("it runs");

    let over = CancellationToken::new();
    let ticking = join_all(others.iter().zip(streams).map(|(other, stream)| ordinary(&other.agent, stream, &over)));
    let (watched, (named, seconds), most, told) =
        tokio::join!(ticking, flood(&flooder.agent, &over), most_memory(pid, &over), told(&client, flooder.id, &over));

    let mut delays: Vec<f64> = watched.iter().flat_map(|one| one.delays.iter().copied()).collect();
    let (middle, slowest) = (percentile(&mut delays, 0.5), percentile(&mut delays, 1.0));
    let grown = most.saturating_sub(before);
    println!(
        "{named} new entities in {seconds:.1} s; refused: {told:?}; live p50 {middle} ms, slowest {slowest} ms; \
         memory {before} bytes and {grown} more"
    );
    assert!(named as f64 >= 0.9 * seconds * NEW_PER_SECOND as f64, "{named} were no flood");
    assert!(slowest <= LIVE_WITHIN.as_millis() as f64, "a tick was seen only after {slowest} ms");
    assert!(grown <= MEMORY_BYTES, "the flood took {grown} bytes");
    let mut database = PgConnection::connect(&system.database_url().expect("its database")).await.expect("connects");
    for (other, watched) in others.iter().zip(&watched) {
        assert_eq!(watched.delays.len(), watched.ticks.len(), "host {} showed each tick once", other.id);
        kept(&mut database, other, &watched.ticks).await;
        assert_eq!(refusals(&client, other.id).await, BTreeMap::new(), "host {}", other.id);
    }
    let entities: i64 = sqlx::query_scalar("select count(*) from entities where host_id = $1")
        .bind(flooder.id as i32)
        .fetch_one(&mut database)
        .await
        .expect("counts");
    let most = (ENTITIES_PER_HOST + REPLAYED_ENTITIES_PER_HOST).min(named);
    assert!(entities < most as i64, "{entities} entities of the flood's {named} are kept");
}

/// Waits until each tick of a host is stored with all that it had, and sees that none is twice.
async fn kept(database: &mut PgConnection, host: &Joined, ticks: &[i64]) {
    let wanted: HashSet<i64> = ticks.iter().copied().collect();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let sql = "select ms_of(ts), count(*) from gpu_hot where host_id = $1 group by ts";
        let stored: Vec<(i64, i64)> =
            sqlx::query_as(sql).bind(host.id as i32).fetch_all(&mut *database).await.expect("reads");
        if stored.len() == ticks.len() {
            let whole = |(at, rows): &(i64, i64)| wanted.contains(at) && *rows == GPUS as i64;
            assert!(stored.iter().all(whole), "host {}: {stored:?}", host.id);
            return;
        }
        assert!(Instant::now() < deadline, "host {}: {} of {} ticks are stored", host.id, stored.len(), ticks.len());
        tokio::time::sleep(TICK / 10).await;
    }
}
