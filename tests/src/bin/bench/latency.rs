//! How long a death takes to a browser.

use anyhow::{Context, Result};
use fleetlight_tests::client::{Client, Stream};
use fleetlight_tests::docker::Docker;
use fleetlight_tests::figures::Figures;
use fleetlight_tests::measure::percentile;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The id of the only host, once it is online.
///
/// # Errors
/// If it does not come online.
pub async fn host_id(client: &Client) -> Result<i64> {
    let online = |hosts: &serde_json::Value| {
        let host = hosts.as_array()?.first()?;
        (host["state"] == "online").then(|| host["id"].as_i64())?
    };
    client.wait("hosts", Duration::from_secs(20), online).await
}

/// Milliseconds from each container's end, as Docker notes it, to its event at the reader.
///
/// # Errors
/// If an event does not come within five seconds.
pub async fn deaths(docker: &Docker, stream: &mut Stream, count: usize) -> Result<Vec<f64>> {
    let mut latencies = Vec::new();
    for number in 0..count {
        let name = format!("death-{number}");
        let id = docker.run(&name, &[], "echo last words; sleep 0.4; exit 3")?;
        let arrived = stream
            .wait(Duration::from_secs(5), |event, data| {
                (event == "event" && data["fact"] == "container_died" && data["key"] == id.as_str())
                    .then(SystemTime::now)
            })
            .await
            .with_context(|| format!("the death of {name}"))?;
        let finished = docker.docker(&["inspect", "--format", "{{.State.FinishedAt}}", &id])?;
        let finished: jiff::Timestamp = finished.parse().with_context(|| finished.clone())?;
        let finished = Duration::from_nanos(u64::try_from(finished.as_nanosecond())?);
        latencies.push((arrived.duration_since(UNIX_EPOCH)?.as_secs_f64() - finished.as_secs_f64()) * 1e3);
        docker.remove(&name)?;
    }
    Ok(latencies)
}

/// Notes median and 99th percentile.
pub fn note(name: &str, mut milliseconds: Vec<f64>, figures: &mut Figures, what: &str) {
    let how = format!("n = {} {what}", milliseconds.len());
    for (suffix, share) in [("p50", 0.5), ("p99", 0.99)] {
        let value = percentile(&mut milliseconds, share);
        figures.note(&format!("{name}_{suffix}_ms"), "ms", value, None, &how);
    }
}
