//! Servers that a killed controller left, and the traces of those that died.
//!
//! Which ones run is asked of the processes. `postmaster.pid` does not tell: one that is just starting has not written
//! it yet, or writes it between our reading and our removing what an earlier one left, and would then serve unseen.

use super::process::send;
use super::{Cluster, PostgresError, io_error};
use crate::limits::{POSTGRES_IMMEDIATE_WAIT, POSTGRES_POLL, POSTGRES_STOP_WAIT};
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use tokio::time::{Instant, sleep};

/// Stops what serves the cluster. The folder's lock is ours, so no living controller needs it.
pub async fn stop_left_over(cluster: &Cluster) -> Result<(), PostgresError> {
    for (signal, limit) in [(Signal::INT, POSTGRES_STOP_WAIT), (Signal::QUIT, POSTGRES_IMMEDIATE_WAIT)] {
        for pid in serving(cluster.data()) {
            tracing::info!(pid, "stopping the Postgres that an earlier controller left");
            send(pid, signal);
        }
        let deadline = Instant::now() + limit;
        while !serving(cluster.data()).is_empty() && Instant::now() < deadline {
            sleep(POSTGRES_POLL).await;
        }
    }
    if let Some(pid) = serving(cluster.data()).first() {
        let said = format!("process {pid} ignores the request to stop: end it by hand");
        return Err(PostgresError::Failed { program: "postgres".into(), how: "still running".into(), said });
    }
    cluster.claims().iter().try_for_each(|file| forget(file))
}

/// Postgres itself takes over the file of a process that is gone. It refuses to start where the number was never
/// written, or is some process's: another one by now, as after a reboot, or the dead one, not yet waited for.
fn forget(file: &Path) -> Result<(), PostgresError> {
    let Ok(text) = fs::read_to_string(file) else { return Ok(()) };
    let pid = text.lines().next().and_then(|line| line.trim().parse::<u32>().ok());
    if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
        return Ok(());
    }
    fs::remove_file(file).map_err(io_error("removing", file))
}

fn serving(data: &Path) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| serves(*pid, data)).collect()
}

/// Whether the process is a Postgres on this data, by its command line, which anybody may read.
fn serves(pid: u32, data: &Path) -> bool {
    let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let mut words = line.split(|byte| *byte == 0);
    words.next().is_some_and(|program| program.ends_with(b"postgres"))
        && words.any(|word| word == data.as_os_str().as_encoded_bytes())
}
