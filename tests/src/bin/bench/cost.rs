//! What an agent costs over a window: CPU, memory, wire, and how late its rows come.

use super::peer::Scraped;
use anyhow::{Context, Result};
use fleetlight_tests::client::Stream;
use fleetlight_tests::docker::Docker;
use fleetlight_tests::measure::{cpu_seconds, pss_bytes, tree};
use fleetlight_tests::relay::Relay;
use fleetlight_tests::system::Agent;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

pub struct Cost {
    agent_cpu: f64,
    dockerd_cpu: f64,
    seconds: f64,
    pub pss_bytes: u64,
    processes: usize,
    wire_bytes: u64,
    packets: u64,
    values: usize,
    ticks: usize,
    pub latencies_ms: Vec<f64>,
}

/// CPU of dockerd and its containerd over a window, in percent of a core.
///
/// # Errors
/// If the daemon has ended.
pub async fn dockerd(docker: &Docker, window: Duration) -> Result<f64> {
    let pids = tree(docker.pid().context("a daemon of our own")?);
    let before = cpu_seconds(&pids)?;
    tokio::time::sleep(window).await;
    Ok((cpu_seconds(&pids)? - before) / window.as_secs_f64() * 100.0)
}

/// Watches a warm agent for a window.
///
/// # Errors
/// If a process ends or the stream breaks.
pub async fn measure(
    agent: &mut Agent,
    docker: &Docker,
    stream: &mut Stream,
    relay: &Relay,
    window: Duration,
) -> Result<Cost> {
    let phase_ms = phase_ms(&agent.log()).context("the agent's log does not state its phase")?;
    let agent_pids = tree(agent.process()?.pid());
    let docker_pids = tree(docker.pid().context("a daemon of our own")?);
    drain(stream).await?;
    let (began, agent_before, docker_before) = (Instant::now(), cpu_seconds(&agent_pids)?, cpu_seconds(&docker_pids)?);
    let (bytes_before, packets_before) = (relay.counters.bytes(), relay.counters.packets());
    let (mut values, mut ticks, mut latencies_ms) = (0, std::collections::HashSet::new(), Vec::new());
    while let Ok(next) = timeout_at(began + window, stream.next()).await {
        let (name, data) = next?;
        if name != "samples" {
            continue;
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let tick_ms = data["tick_ms"].as_f64().context("tick_ms")?;
        values += data["rows"].as_array().into_iter().flatten().map(present).sum::<usize>();
        ticks.insert(tick_ms as i64);
        latencies_ms.push(now.as_secs_f64() * 1e3 - tick_ms - phase_ms);
    }
    Ok(Cost {
        agent_cpu: cpu_seconds(&agent_pids)? - agent_before,
        dockerd_cpu: cpu_seconds(&docker_pids)? - docker_before,
        seconds: began.elapsed().as_secs_f64(),
        pss_bytes: pss_bytes(&agent_pids)?,
        processes: agent_pids.len(),
        wire_bytes: relay.counters.bytes() - bytes_before,
        packets: relay.counters.packets() - packets_before,
        values,
        ticks: ticks.len(),
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
    #[must_use]
    pub fn values_per_tick(&self) -> usize {
        self.values / self.ticks.max(1)
    }

    /// Percent of a core: the agent's processes, and what dockerd does more than without it.
    #[must_use]
    pub fn cpu_percent(&self, dockerd_alone: f64) -> f64 {
        (self.agent_cpu + self.induced(dockerd_alone)) / self.seconds * 100.0
    }

    fn induced(&self, dockerd_alone: f64) -> f64 {
        (self.dockerd_cpu - dockerd_alone / 100.0 * self.seconds).max(0.0)
    }

    pub fn note(&self, note: &mut impl FnMut(&str, Value), peer: &Scraped, dockerd_alone: f64) {
        let cpu = self.cpu_percent(dockerd_alone);
        let how = format!(
            "{} processes of the agent ({:.0} ms) and dockerd's extra ({:.0} ms) over {:.0} s, 25 containers, {} values a tick of 5 s; peer: node_exporter scraped every 5 s, {} samples, no containers",
            self.processes,
            self.agent_cpu * 1e3,
            self.induced(dockerd_alone) * 1e3,
            self.seconds,
            self.values_per_tick(),
            peer.values,
        );
        note("agent_cpu_percent", figure(cpu, "percent of a core", peer.cpu_percent, &how));
        let how = "PSS of all processes of the agent at the end of the window; peer: node_exporter's RSS";
        note("agent_pss_bytes", figure(self.pss_bytes as f64, "bytes", peer.rss_bytes as f64, how));
        let wire = self.wire_bytes as f64 / self.values.max(1) as f64;
        let how = format!(
            "{} bytes in {} packets both ways, IP and UDP headers, QUIC and acks counted, for {} values that are present; peer: gzip'd exposition's body, without HTTP and TCP",
            self.wire_bytes, self.packets, self.values,
        );
        note("wire_bytes_per_value", figure(wire, "bytes", peer.bytes_per_value, &how));
    }
}

fn figure(value: f64, unit: &str, peer_value: f64, how: &str) -> Value {
    json!({
        "value": value,
        "unit": unit,
        "peer": "prometheus-node-exporter (Debian)",
        "peer_value": peer_value,
        "ratio": value / peer_value,
        "how": how,
    })
}
