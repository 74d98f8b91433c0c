//! What the executor costs by itself, and what a question through it takes.

use anyhow::{Context, Result};
use fleetlight_agent::docker::Docker;
use fleetlight_agent::executor::Client;
use fleetlight_tests::figures::Figures;
use fleetlight_tests::measure::{percentile, pss_bytes, tree};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// As many as a 99th percentile needs that is not the worst one.
const QUESTIONS: usize = 1_000;

/// CPU seconds that the threads of a process have run for so far, and of its children that live.
///
/// # Errors
/// If it has ended.
fn seconds(pid: u32) -> Result<f64> {
    let mut nanoseconds = 0;
    for pid in tree(pid) {
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            nanoseconds += text.split(' ').next().and_then(|run| run.parse::<u64>().ok()).context("schedstat")?;
        }
    }
    Ok(nanoseconds as f64 / 1e9)
}

/// Its share of a core over a window, at rest but for what the agent asks, and its memory at the end.
///
/// # Errors
/// If it ends.
pub async fn at_rest(pid: u32, window: Duration, figures: &mut Figures) -> Result<()> {
    let (before, began) = (seconds(pid)?, Instant::now());
    tokio::time::sleep(window).await;
    let percent = (seconds(pid)? - before) / began.elapsed().as_secs_f64() * 100.0;
    let how = format!(
        "{} s beside an agent and 25 busy containers, none of which starts or ends; it is in agent_cpu_percent too",
        window.as_secs()
    );
    figures.note("executor_cpu_percent", "percent of a core", percent, None, &how);
    let bytes = pss_bytes(&tree(pid))? as f64;
    figures.note("executor_pss_bytes", "bytes", bytes, None, "PSS at that window's end; it is in agent_pss_bytes too");
    Ok(())
}

/// What a ping of Docker takes through the executor, beside the same one without.
///
/// # Errors
/// If one is not answered.
pub async fn questions(executor: &Path, docker: &Path, figures: &mut Figures) -> Result<()> {
    let (client, direct) = (Client::new(executor.to_owned()), Docker::connect(docker).await?);
    let (mut through, mut without) = (Vec::new(), Vec::new());
    for _ in 0..QUESTIONS {
        let began = Instant::now();
        client.ping().await?;
        through.push(began.elapsed().as_secs_f64() * 1e6);
        let began = Instant::now();
        direct.ping().await?;
        without.push(began.elapsed().as_secs_f64() * 1e6);
    }
    for (name, share) in [("executor_question_p50_us", 0.5), ("executor_question_p99_us", 0.99)] {
        let (through, without) = (percentile(&mut through, share), percentile(&mut without, share));
        let how = format!(
            "{QUESTIONS} pings of Docker through the executor, less the same asked of Docker without it in turn: {through:.0} µs less {without:.0} µs"
        );
        figures.note(name, "microseconds", through - without, None, &how);
    }
    Ok(())
}
