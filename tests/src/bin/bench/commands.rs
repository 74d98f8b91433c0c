//! How long a command takes to its host and back.

use crate::latency;
use anyhow::{Context, Result};
use fleetlight_tests::client::Client;
use fleetlight_tests::figures::Figures;
use fleetlight_tests::measure::percentile;
use serde_json::json;
use std::time::{Duration, Instant};

/// As many as a 99th percentile needs that is not the worst one.
const ROUNDS: usize = 200;
/// What is read and opened once lies before them.
const WARM_UP: usize = 20;
/// What the product aims at.
const AIM_P99_MS: f64 = 15.0;

/// From the call that asks for a check, a command that does nothing, to its result at a reader of its stream.
///
/// # Errors
/// If a check does not come back verified within five seconds.
pub async fn round_trips(client: &Client, figures: &mut Figures) -> Result<()> {
    let path = format!("hosts/{}/commands", latency::host_id(client).await?);
    let mut milliseconds = Vec::with_capacity(ROUNDS);
    for round in 0..WARM_UP + ROUNDS {
        let began = Instant::now();
        let made = client.post(&path, &json!({ "action": "check" })).await?;
        let id = made["id"].as_str().context("a command has an id")?;
        let mut events = client.events(&format!("commands/{id}/stream")).await?;
        let outcome = events
            .wait(Duration::from_secs(5), |_, view| {
                (view["state"] == "finished").then(|| view["outcome"].as_str().map(str::to_owned))?
            })
            .await?;
        let took = began.elapsed();
        anyhow::ensure!(outcome == "verified", "a check is {outcome}");
        if round >= WARM_UP {
            milliseconds.push(took.as_secs_f64() * 1e3);
        }
    }
    let profile = if cfg!(debug_assertions) { "debug build" } else { "release build" };
    let how = format!(
        "n = {ROUNDS} checks, one after the other, {profile}, on loopback: POST → database → agent → executor, which \
         journals begin and end on disk → agent → the command's server-sent events; the session goes through the relay \
         that counts bytes; 25 busy containers beside"
    );
    for (suffix, share, aim) in [("p50", 0.5, None), ("p99", 0.99, Some(AIM_P99_MS))] {
        let value = percentile(&mut milliseconds, share);
        figures.beside(&format!("command_round_trip_{suffix}_ms"), "ms", value, aim, &[], &how);
    }
    Ok(())
}
