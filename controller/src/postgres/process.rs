//! The server's process: start, watch, guard, stop.

use super::{Binaries, Cluster, PostgresError, cluster, io_error};
use crate::limits::{
    POSTGRES_GOODBYE_WAIT, POSTGRES_IMMEDIATE_WAIT, POSTGRES_LAST_LINES, POSTGRES_POLL, POSTGRES_RESTART_WAIT,
    POSTGRES_START_WAIT, POSTGRES_STOP_WAIT,
};
use rustix::process::{Pid, Signal};
use sqlx::{ConnectOptions, Connection};
use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Beside the folders. What is not here is Postgres's default; fsync and full_page_writes are on.
const SETTINGS: &[&str] = &[
    "listen_addresses=",                 // no TCP
    "unix_socket_permissions=0700",      // as its folder
    "max_connections=40",                // the pools have 16; psql and a backup find room
    "shared_buffers=64MB",               // a small machine; the kernel caches the rest
    "max_wal_size=512MB",                // a checkpoint every few minutes at thousands of rows a second
    "checkpoint_timeout=15min",          // fewer full-page images: hot partitions are rewritten all the time
    "wal_compression=on",                // full-page images are most of the WAL
    "jit=off",                           // queries take milliseconds; compiling them takes more
    "max_parallel_workers_per_gather=0", // cores belong to what is watched, not to the watcher
    "timezone=UTC",
    "log_timezone=UTC",
    "log_min_error_statement=panic", // no data in logs
    "log_line_prefix=",              // the controller's log has its own time
];

/// Last lines that the server wrote, for error messages.
type LastLines = Arc<Mutex<VecDeque<String>>>;

/// A server that accepts connections.
#[derive(Debug)]
pub struct Server {
    child: Child,
    said: LastLines,
    /// The controller's end of the guard's pipe; see [`guard`].
    guard: Option<ChildStdin>,
}

impl Server {
    pub async fn start(binaries: &Binaries, cluster: &Cluster) -> Result<Self, PostgresError> {
        let program = binaries.program("postgres");
        let mut command = clean(Command::new(&program));
        command.arg("-D").arg(cluster.data());
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.arg("-c").arg(cluster.socket_setting());
        cluster.account.apply(&mut command);
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(io_error("starting", &program))?;
        let said = LastLines::default();
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(follow(stderr, said.clone()));
        }
        let guard = child.id().and_then(|pid| guard(pid, cluster));
        let mut server = Self { child, said, guard };
        match server.wait_until_ready(cluster).await {
            Ok(()) => Ok(server),
            Err(error) => {
                server.stop().await;
                Err(error)
            }
        }
    }

    /// What `pg_ctl` looks at too: a server that is asked too early complains in the log. The file may still be
    /// that of an earlier process.
    fn says_ready(&self, cluster: &Cluster) -> bool {
        let Ok(text) = std::fs::read_to_string(cluster.data().join("postmaster.pid")) else { return false };
        let mut lines = text.lines().map(str::trim);
        lines.next().and_then(|pid| pid.parse().ok()) == self.child.id() && lines.nth(6) == Some("ready")
    }

    /// Accepts connections, and has the database.
    async fn wait_until_ready(&mut self, cluster: &Cluster) -> Result<(), PostgresError> {
        let deadline = Instant::now() + POSTGRES_START_WAIT;
        let mut connection = loop {
            if self.says_ready(cluster)
                && let Ok(connection) = cluster.options("postgres").connect().await
            {
                break connection;
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                let program = "postgres".to_owned();
                return Err(PostgresError::Failed { program, how: status.to_string(), said: self.last_lines() });
            }
            if Instant::now() > deadline {
                let seconds = POSTGRES_START_WAIT.as_secs();
                return Err(PostgresError::Silent { seconds, said: self.last_lines() });
            }
            sleep(POSTGRES_POLL).await;
        };
        let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(cluster::NAME)
            .fetch_one(&mut connection)
            .await?;
        if !exists {
            sqlx::query("create database fleetlight").execute(&mut connection).await?;
        }
        Ok(connection.close().await?)
    }

    /// Smart shutdown, for connections that have been closed and are about to be noticed; a fast one ends those of
    /// others; harder ones if it takes too long.
    async fn stop(&mut self) {
        let Some(pid) = self.child.id() else { return self.dismiss_guard().await };
        for (signal, limit) in [
            (Signal::TERM, POSTGRES_GOODBYE_WAIT),
            (Signal::INT, POSTGRES_STOP_WAIT),
            (Signal::QUIT, POSTGRES_IMMEDIATE_WAIT),
            (Signal::KILL, POSTGRES_IMMEDIATE_WAIT),
        ] {
            send(pid, signal);
            if timeout(limit, self.child.wait()).await.is_ok() {
                break;
            }
            if signal == Signal::TERM {
                continue;
            }
            tracing::warn!(pid, ?signal, "Postgres has not stopped within {} s", limit.as_secs());
        }
        self.dismiss_guard().await;
    }

    /// The process is gone: its number may soon be another's, which the guard must not signal.
    async fn dismiss_guard(&mut self) {
        if let Some(mut pipe) = self.guard.take() {
            let _ = pipe.write_all(b"done\n").await;
        }
    }

    fn last_lines(&self) -> String {
        let lines = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        if lines.is_empty() { "nothing".to_owned() } else { lines.join(" / ") }
    }
}

/// Keeps the server up until `stop`; then stops it.
pub async fn supervise(mut server: Server, binaries: Binaries, cluster: Cluster, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return server.stop().await,
            status = server.child.wait() => {
                let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                tracing::error!(how, said = server.last_lines(), "the private Postgres ended; starting it again");
                server.dismiss_guard().await;
            }
        }
        server = loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(POSTGRES_RESTART_WAIT) => {}
            }
            match Server::start(&binaries, &cluster).await {
                Ok(server) => break server,
                Err(error) => tracing::error!(%error, "the private Postgres does not start"),
            }
        };
    }
}

/// A process that outlives the controller by an instant: when its pipe closes without a word, the
/// controller was killed, and it asks Postgres for a fast shutdown. (A parent-death signal would
/// follow the thread that spawned, not the process, and needs unsafe code.)
fn guard(pid: u32, cluster: &Cluster) -> Option<ChildStdin> {
    let mut command = clean(Command::new("/bin/sh"));
    command.args(["-c", r#"read -r word; [ "$word" = done ] || kill -INT "$1""#, "guard", &pid.to_string()]);
    cluster.account.apply(&mut command);
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.spawn() {
        // Dropping a child does not kill it; the runtime reaps it once it ends.
        Ok(mut child) => child.stdin.take(),
        Err(error) => {
            tracing::warn!(%error, "no guard for Postgres: if the controller is killed, it runs until the next start");
            None
        }
    }
}

pub(super) fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw)
        && let Err(error) = rustix::process::kill_process(pid, signal)
    {
        tracing::debug!(%error, ?signal, "signalling Postgres");
    }
}

/// Nothing of our environment (PGDATA, PGOPTIONS, locales) reaches the server.
fn clean(mut command: Command) -> Command {
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir("/");
    command
}

/// Postgres's words go into our log, and the last ones are kept for error messages.
async fn follow(stderr: impl AsyncRead + Unpin, said: LastLines) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match line.split(':').next() {
            Some("ERROR" | "FATAL" | "PANIC" | "WARNING") => tracing::warn!(target: "postgres", "{line}"),
            _ => tracing::debug!(target: "postgres", "{line}"),
        }
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() == POSTGRES_LAST_LINES {
            said.pop_front();
        }
        said.push_back(line);
    }
}

/// Runs a program to its end and returns what it wrote.
pub async fn output(command: Command, limit: Duration) -> Result<String, PostgresError> {
    let mut command = clean(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let failed = |how: String, said: String| PostgresError::Failed { program: program.clone(), how, said };
    match timeout(limit, command.output()).await {
        Err(_) => Err(failed(format!("not done after {} s", limit.as_secs()), "nothing".into())),
        Ok(Err(error)) => Err(failed(error.to_string(), "nothing".into())),
        Ok(Ok(done)) if !done.status.success() => {
            Err(failed(done.status.to_string(), String::from_utf8_lossy(&done.stderr).trim().to_owned()))
        }
        Ok(Ok(done)) => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
    }
}
