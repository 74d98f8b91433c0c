//! What an agent costs over a window: CPU, memory, wire, and how late its rows come.

use super::activity::Activity;
use super::peer::Scraped;
use anyhow::{Context, Result};
use fleetlight_tests::account::Account;
use fleetlight_tests::client::Stream;
use fleetlight_tests::figures::{EXPORTER, Figures};
use fleetlight_tests::measure::{pss_bytes, tree};
use fleetlight_tests::relay::Relay;
use fleetlight_tests::system::Agent;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Bytes of an IPv4 header, of which every packet has one.
const IP_HEADER: u64 = 20;

/// Whose CPU time is counted.
pub struct Accounts {
    pub agent: Account,
    /// dockerd, containerd and the shims, not the containers.
    pub docker: Account,
}

pub struct Cost {
    agent_cpu: f64,
    docker_cpu: f64,
    /// Of as long a window without an agent.
    docker_alone: f64,
    seconds: f64,
    pss_bytes: u64,
    processes: usize,
    wire_bytes: u64,
    packets: u64,
    values: usize,
    ticks: usize,
    activity: String,
    pub latencies_ms: Vec<f64>,
}

/// CPU seconds of Docker over a window without an agent.
///
/// # Errors
/// If the kernel does not say.
pub async fn docker_alone(accounts: &Accounts, window: Duration) -> Result<f64> {
    let before = accounts.docker.seconds()?;
    tokio::time::sleep(window).await;
    Ok(accounts.docker.seconds()? - before)
}

/// Watches a warm agent for a window.
///
/// # Errors
/// If a process ends, the stream breaks, or the load was none.
pub async fn measure(
    agent: &mut Agent,
    accounts: &Accounts,
    docker_alone: f64,
    stream: &mut Stream,
    relay: &Relay,
    window: Duration,
) -> Result<Cost> {
    let phase_ms = phase_ms(&agent.log()).context("the agent's log does not state its phase")?;
    drain(stream).await?;
    let began = Instant::now();
    let (agent_before, docker_before) = (accounts.agent.seconds()?, accounts.docker.seconds()?);
    let (bytes_before, packets_before) = (relay.counters.bytes(), relay.counters.packets());
    let (mut values, mut ticks, mut latencies_ms) = (0, std::collections::HashSet::new(), Vec::new());
    let mut activity = Activity::default();
    while let Ok(next) = timeout_at(began + window, stream.next()).await {
        let (name, data) = next?;
        if name != "samples" {
            continue;
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let tick_ms = data["tick_ms"].as_f64().context("tick_ms")?;
        let rows = data["rows"].as_array().context("rows")?;
        values += rows.iter().map(present).sum::<usize>();
        activity.take(rows);
        ticks.insert(tick_ms as i64);
        latencies_ms.push(now.as_secs_f64() * 1e3 - tick_ms - phase_ms);
    }
    let mut processes = tree(agent.process()?.pid());
    processes.extend(tree(agent.executor()?.pid()));
    Ok(Cost {
        agent_cpu: accounts.agent.seconds()? - agent_before,
        docker_cpu: accounts.docker.seconds()? - docker_before,
        docker_alone,
        seconds: began.elapsed().as_secs_f64(),
        pss_bytes: pss_bytes(&processes)?,
        processes: processes.len(),
        wire_bytes: relay.counters.bytes() - bytes_before,
        packets: relay.counters.packets() - packets_before,
        values,
        ticks: ticks.len(),
        activity: activity.judge()?,
        latencies_ms,
    })
}

/// What has arrived before the window does not count.
async fn drain(stream: &mut Stream) -> Result<()> {
    let until = Instant::now() + Duration::from_millis(100);
    while let Ok(next) = timeout_at(until, stream.next()).await {
        next?;
    }
    Ok(())
}

fn present(row: &Value) -> usize {
    row["values"].as_array().map_or(0, |values| values.iter().filter(|value| !value.is_null()).count())
}

fn phase_ms(log: &str) -> Option<f64> {
    log.rsplit_once("phase_ms=")?.1.split_whitespace().next()?.parse().ok()
}

impl Cost {
    fn values_per_tick(&self) -> usize {
        self.values / self.ticks.max(1)
    }

    /// What Docker does more than without an agent.
    fn induced(&self) -> f64 {
        (self.docker_cpu - self.docker_alone).max(0.0)
    }

    /// Notes the share of a core, and the memory, under these names.
    pub fn note(&self, cpu: &str, memory: &str, figures: &mut Figures, peer: &Scraped) {
        let how = format!(
            "{:.0} s, {} ticks of {} values that are present; all processes of agent and executor by a cgroup's account ({:.0} ms) and what Docker does more than in as long a window without an agent ({:.0} ms; {:.0} ms against {:.0}); {}; peer: scraped as often in the same window, by the same account, {} samples, none of containers",
            self.seconds,
            self.ticks,
            self.values_per_tick(),
            self.agent_cpu * 1e3,
            self.induced() * 1e3,
            self.docker_cpu * 1e3,
            self.docker_alone * 1e3,
            self.activity,
            peer.values,
        );
        let percent = (self.agent_cpu + self.induced()) / self.seconds * 100.0;
        figures.note(cpu, "percent of a core", percent, Some((EXPORTER, peer.cpu_percent)), &how);
        let how = format!(
            "PSS of all {} processes of agent and executor at the window's end; peer: likewise",
            self.processes
        );
        figures.note(memory, "bytes", self.pss_bytes as f64, Some((EXPORTER, peer.pss_bytes as f64)), &how);
    }

    pub fn note_wire(&self, figures: &mut Figures, peer: &Scraped) {
        let values = self.values.max(1) as f64;
        let with_ip = (self.wire_bytes + self.packets * IP_HEADER) as f64 / values;
        let how = format!(
            "{} bytes in {} packets of both directions, acks and pings among them, UDP headers and QUIC counted, for {} values that are present, in {} ticks; with IPv4 headers it is {with_ip:.2}; {}; peer: body of the gzip'd exposition, without HTTP, TCP and IP",
            self.wire_bytes, self.packets, self.values, self.ticks, self.activity,
        );
        let wire = self.wire_bytes as f64 / values;
        figures.note("wire_bytes_per_value", "bytes", wire, Some((EXPORTER, peer.bytes_per_value)), &how);
    }
}
