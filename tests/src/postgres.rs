//! One private Postgres for each test binary, one database for each test.
//!
//! The cluster is the product's own, under the target folder, and stays there between runs: initdb
//! takes longer than most tests. When the test process ends, the product's guard stops the server.

use anyhow::{Context, Result};
use fleetlight_controller::postgres::{PostgresError, PrivatePostgres};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::path::PathBuf;
use std::sync::OnceLock;
use tokio::sync::oneshot;
use uuid::Uuid;

/// Test processes that may run side by side, each on a cluster of its own.
const CLUSTERS: usize = 16;

/// A fresh, empty database of this test's own.
///
/// # Errors
/// There is no PostgreSQL on this machine, or it does not start.
pub async fn database() -> Result<String> {
    let url = cluster_url().await?;
    let name = format!("test_{}", Uuid::new_v4().simple());
    let mut connection = PgConnection::connect(&url).await.context("connecting to the tests' cluster")?;
    sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&mut connection).await?;
    connection.close().await?;
    Ok(url.replacen("/fleetlight?", &format!("/{name}?"), 1))
}

/// The shared cluster, started on first use by a thread that lives as long as the process: tests
/// bring runtimes of their own, which end with them.
async fn cluster_url() -> Result<String> {
    static URL: OnceLock<std::result::Result<String, String>> = OnceLock::new();
    let wait = || {
        URL.get_or_init(|| {
            let (sender, receiver) = oneshot::channel();
            std::thread::spawn(move || serve(sender));
            receiver.blocking_recv().map_err(|_| "the tests' cluster ended".to_owned())?
        })
        .clone()
    };
    tokio::task::spawn_blocking(wait).await?.map_err(anyhow::Error::msg)
}

fn serve(url: oneshot::Sender<std::result::Result<String, String>>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = url.send(Err(error.to_string()));
            return;
        }
    };
    runtime.block_on(async {
        match start().await {
            Ok(postgres) => {
                let _ = url.send(Ok(postgres.url().to_owned()));
                std::future::pending::<()>().await;
            }
            Err(error) => {
                let _ = url.send(Err(format!("{error:#}")));
            }
        }
    });
}

/// Takes the first cluster that no other test process holds, and drops what killed runs left in it.
async fn start() -> Result<PrivatePostgres> {
    for slot in 0..CLUSTERS {
        match PrivatePostgres::start(&folder().join(slot.to_string())).await {
            Ok(postgres) => {
                tidy(postgres.url()).await?;
                return Ok(postgres);
            }
            Err(PostgresError::Locked { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    anyhow::bail!("{CLUSTERS} test processes hold all clusters of {}", folder().display())
}

/// What killed runs left goes; and nothing waits for the disk: no test here cuts the power.
async fn tidy(url: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::query("alter system set fsync = off").execute(&mut connection).await?;
    sqlx::query("select pg_reload_conf()").execute(&mut connection).await?;
    let names: Vec<String> = sqlx::query_scalar("select datname::text from pg_database where datname like 'test\\_%'")
        .fetch_all(&mut connection)
        .await?;
    for name in names {
        let sql = format!("drop database {name} with (force)");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await?;
    }
    Ok(connection.close().await?)
}

/// Postgres steps down from root, so the clusters lie where another account can reach them.
fn folder() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        "/var/tmp/fleetlight-tests".into()
    } else {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/test-postgres")
    }
}
