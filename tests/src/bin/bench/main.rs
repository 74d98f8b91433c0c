//! `make bench`: what an agent costs, beside node_exporter in the same run.
//!
//! Figures go to `target/bench/figures.json`: name → {value, unit, peer, peer_value, ratio, how}.

mod cost;
mod latency;
mod load;
mod peer;

use anyhow::{Context, Result};
use cost::Cost;
use fleetlight_tests::docker::Docker;
use fleetlight_tests::measure::{percentile, write_figures};
use fleetlight_tests::relay::Relay;
use fleetlight_tests::system::{AgentOptions, Options, System, binary};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::time::Duration;

/// How long each measurement lasts: twelve ticks of 5 s.
const WINDOW: Duration = Duration::from_secs(60);
/// What is read and allocated once lies before the window.
const WARM_UP: Duration = Duration::from_secs(30);
const DEATHS: usize = 30;

#[tokio::main]
async fn main() -> Result<()> {
    let docker = Docker::start().context("the benchmark needs Docker")?;
    let mut figures = Map::new();
    let mut note = |name: &str, figure: Value| {
        println!("{name}: {figure}");
        figures.insert(name.to_owned(), figure);
    };
    let size = std::fs::metadata(binary("fleetlight-agent")?)?.len();
    note("agent_binary_bytes", json!({ "value": size, "unit": "bytes", "how": "release build, thin LTO, stripped" }));

    load::start(&docker, 0..25, load::BUSY)?;
    let dockerd_alone = cost::dockerd(&docker, WINDOW).await?;
    let system = System::start("bench", &Options::default())?;
    let client = system.set_up().await?;
    let relay = Relay::start(([127, 0, 0, 1], 0).into(), system.session).await?;
    let socket = docker.socket().display();
    let options = |interval: u32| AgentOptions {
        config: format!("interval_ms = {interval}\ndocker_socket = \"{socket}\""),
        session_endpoint: Some(relay.address),
        ..AgentOptions::default()
    };

    let mut agent = system.agent("bench", &options(5_000))?;
    let mut stream = client.stream(Some(latency::host_id(&client).await?)).await?;
    let mut exporter = peer::NodeExporter::start(system.dir()).await?;
    tokio::time::sleep(WARM_UP).await;
    let (five, scraped) = tokio::try_join!(
        cost::measure(&mut agent, &docker, &mut stream, &relay, WINDOW),
        exporter.scrape_every(Duration::from_secs(5), WINDOW),
    )?;
    five.note(&mut note, &scraped, dockerd_alone);

    let mut deaths = latency::deaths(&docker, &mut stream, DEATHS).await?;
    let (p50, p99) = (percentile(&mut deaths, 0.5), percentile(&mut deaths, 0.99));
    note("death_to_browser_p50_ms", json!({ "value": p50, "unit": "ms", "how": "as death_to_browser_p99_ms" }));
    let how = format!(
        "{DEATHS} containers that exit by themselves: Docker's FinishedAt to the event at an SSE reader, 25 containers beside"
    );
    note("death_to_browser_p99_ms", json!({ "value": p99, "unit": "ms", "how": how }));

    drop(agent);
    load::start(&docker, 25..200, load::LIGHT)?;
    let dockerd_alone = cost::dockerd(&docker, WINDOW).await?;
    let mut agent = system.agent("bench", &options(1_000))?;
    tokio::time::sleep(WARM_UP).await;
    let mut stream = client.stream(Some(latency::host_id(&client).await?)).await?;
    let mut one = cost::measure(&mut agent, &docker, &mut stream, &relay, WINDOW).await?;
    let how = format!(
        "all processes of the agent and what it makes dockerd do, over {} s; 200 containers, a tick a second; {} values a tick",
        WINDOW.as_secs(),
        one.values_per_tick()
    );
    note(
        "agent_200_containers_1s_cpu_percent",
        json!({ "value": one.cpu_percent(dockerd_alone), "unit": "percent of a core", "how": how }),
    );
    note(
        "agent_200_containers_1s_pss_bytes",
        json!({ "value": one.pss_bytes, "unit": "bytes", "how": "all processes of the agent, at the end" }),
    );
    let Cost { latencies_ms, .. } = &mut one;
    let (p50, p99) = (percentile(latencies_ms, 0.5), percentile(latencies_ms, 0.99));
    let how = format!(
        "from the moment that a tick is due on the host to its rows at an SSE reader, {} ticks with 200 containers",
        latencies_ms.len()
    );
    note("sample_to_browser_p50_ms", json!({ "value": p50, "unit": "ms", "how": how }));
    note("sample_to_browser_p99_ms", json!({ "value": p99, "unit": "ms", "how": how }));

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench/figures.json");
    write_figures(&path, figures)?;
    println!("figures: {}", path.canonicalize()?.display());
    Ok(())
}
