//! `make bench`: what an agent costs, beside node_exporter in the same run.
//!
//! Figures go to `target/bench/figures.json`: name → {value, unit, aim, peer, peer_value, ratio, peers, how}.

mod activity;
mod commands;
mod cost;
mod executor;
mod latency;
mod load;
mod peer;
mod tail;

use anyhow::{Context, Result};
use cost::Accounts;
use fleetlight_tests::account::Account;
use fleetlight_tests::client::{Client, Stream};
use fleetlight_tests::docker::Docker;
use fleetlight_tests::figures::{EXPORTER, Figures};
use fleetlight_tests::relay::Relay;
use fleetlight_tests::system::{Agent, AgentOptions, Options, System, binary};
use peer::NodeExporter;
use std::time::Duration;

/// How long each measurement lasts: twelve ticks of 5 s.
const WINDOW: Duration = Duration::from_secs(60);
/// The same for ticks of 1 s: enough of them that the 99th percentile is not the worst one.
const WINDOW_1S: Duration = Duration::from_secs(120);
/// What is read and allocated once lies before the window.
const WARM_UP: Duration = Duration::from_secs(30);
/// As many as a 99th percentile needs that is not the worst one.
const DEATHS: usize = 110;
/// Containers of the small host, all of them busy.
const FEW: u32 = 25;
/// Those of the large one, and how many of them are busy.
const MANY: u32 = 200;
const MANY_BUSY: u32 = 140;

/// What both hosts have in common.
struct Bench {
    docker: Docker,
    accounts: Accounts,
    system: System,
    client: Client,
    relay: Relay,
    exporter: NodeExporter,
}

#[tokio::main]
async fn main() -> Result<()> {
    let docker = Docker::start().context("the benchmark needs Docker")?;
    let accounts = Accounts { agent: Account::open("agent")?, docker: Account::open("docker")? };
    accounts.docker.adopt(docker.pid().context("a daemon of our own")?)?;
    let system = System::start("bench", &Options::default())?;
    let client = system.set_up().await?;
    let relay = Relay::start(([127, 0, 0, 1], 0).into(), system.session).await?;
    let exporter = NodeExporter::start(system.dir()).await?;
    let mut bench = Bench { docker, accounts, system, client, relay, exporter };
    let mut figures = Figures::default();
    sizes(&mut figures)?;
    tail::measure(&bench.docker, &mut bench.system, &bench.client, &mut figures).await?;
    bench.small_host(&mut figures).await?;
    bench.large_host(&mut figures).await?;
    figures.write()
}

impl Bench {
    /// 25 containers, a tick of 5 s.
    async fn small_host(&mut self, figures: &mut Figures) -> Result<()> {
        load::start(&self.docker, 0..FEW, load::BUSY)?;
        let alone = cost::docker_alone(&self.accounts, WINDOW).await?;
        let (mut agent, mut stream) = self.agent(Duration::from_secs(5)).await?;
        let (cost, scraped) = tokio::try_join!(
            cost::measure(&mut agent, &self.accounts, alone, &mut stream, &self.relay, WINDOW),
            self.exporter.scrape_every(Duration::from_secs(5), WINDOW),
        )?;
        cost.note("agent_cpu_percent", "agent_pss_bytes", figures, &scraped);
        cost.note_wire(figures, &scraped);
        executor::at_rest(agent.executor()?.pid(), WINDOW, figures).await?;
        executor::questions(&agent.executor_folder().join("socket"), self.docker.socket(), figures).await?;
        let deaths = latency::deaths(&self.docker, &mut stream, DEATHS).await?;
        let what = "containers that exit by themselves, one after the other: from Docker's FinishedAt to the event at a reader of server-sent events, which is what a page reads; drawing it is not in it; 25 busy containers beside";
        latency::note("death_to_browser", deaths, figures, what);
        commands::round_trips(&self.client, figures).await
    }

    /// 200 containers, a tick of 1 s.
    async fn large_host(&mut self, figures: &mut Figures) -> Result<()> {
        load::start(&self.docker, FEW..MANY_BUSY, load::BUSY)?;
        load::start(&self.docker, MANY_BUSY..MANY, load::CALM)?;
        let alone = cost::docker_alone(&self.accounts, WINDOW_1S).await?;
        let (mut agent, mut stream) = self.agent(Duration::from_secs(1)).await?;
        let (cost, scraped) = tokio::try_join!(
            cost::measure(&mut agent, &self.accounts, alone, &mut stream, &self.relay, WINDOW_1S),
            self.exporter.scrape_every(Duration::from_secs(1), WINDOW_1S),
        )?;
        cost.note("agent_200_containers_1s_cpu_percent", "agent_200_containers_1s_pss_bytes", figures, &scraped);
        let what = "batches of ticks: from the moment that a tick is due on the host to its rows at a reader of server-sent events, which is what a page reads; drawing them is not in it; 200 containers, a tick a second";
        latency::note("sample_to_browser", cost.latencies_ms, figures, what);
        Ok(())
    }

    /// An agent that is warm, and the stream of its host.
    async fn agent(&self, interval: Duration) -> Result<(Agent, Stream)> {
        let config = format!("interval_ms = {}", interval.as_millis());
        let docker = Some(self.docker.socket().to_owned());
        let session_endpoint = Some(self.relay.address);
        let options = AgentOptions { config, docker, session_endpoint, ..AgentOptions::default() };
        let mut agent = self.system.agent("bench", &options)?;
        self.accounts.agent.adopt(agent.process()?.pid())?;
        self.accounts.agent.adopt(agent.executor()?.pid())?;
        tokio::time::sleep(WARM_UP).await;
        let stream = self.client.stream(Some(latency::host_id(&self.client).await?)).await?;
        Ok((agent, stream))
    }
}

/// What is installed.
fn sizes(figures: &mut Figures) -> Result<()> {
    let agent = std::fs::metadata(binary("fleetlight-agent")?)?.len() as f64;
    let exporter = std::fs::metadata("/usr/bin/prometheus-node-exporter").map(|file| file.len() as f64).ok();
    let how = "release build, thin LTO, stripped; peer: Debian's binary";
    figures.note("agent_binary_bytes", "bytes", agent, exporter.map(|bytes| (EXPORTER, bytes)), how);
    Ok(())
}
