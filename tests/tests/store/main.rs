//! The store against a real Postgres: one private cluster, one database for each test.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod agents;
mod charts;
mod commands;
mod directory;
mod forgetting;
mod grafana;
mod ingest;
mod inventory;
mod ledger;
mod moment;
mod packing;
mod readers;
mod rollups;
mod schema;
mod series;

use fleetlight_controller::store::Store;
use fleetlight_controller::store::flush::{Batch, Data, Outcome};
use fleetlight_controller::store::join_tokens::NewJoinToken;
use fleetlight_protocol::samples::{GpuSample, HostSample, Row, Sample};
use fleetlight_tests::postgres::database;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use uuid::Uuid;

/// 2025-11-21 09:00:00 UTC: tests bring their own clock.
pub const NOW_MS: i64 = 1_763_715_600_000;

/// A store on a fresh database, and a way around it.
#[derive(Debug)]
pub struct Fixture {
    pub store: Store,
    pub pool: PgPool,
    pub url: String,
}

impl Fixture {
    pub async fn new() -> Self {
        let url = database().await.expect("PostgreSQL 14 or later on this machine");
        let store = Store::connect(&url).await.expect("migrates");
        let pool = PgPool::connect(&url).await.expect("connects");
        Self { store, pool, url }
    }

    /// A host with an id.
    pub async fn host(&self, name: &str) -> i32 {
        sqlx::query_scalar("insert into hosts (name, created_at) values ($1, now()) returning id")
            .bind(name)
            .fetch_one(&self.pool)
            .await
            .expect("a host")
    }

    pub async fn count(&self, what: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {what}")))
            .fetch_one(&self.pool)
            .await
            .expect("counts")
    }

    pub async fn flush(&self, batches: &[Batch]) -> Vec<Outcome> {
        self.store.flush(batches, NOW_MS).await.expect("flushes")
    }

    /// Nobody reaches the database until [`Fixture::bring_back`].
    pub async fn take_away(&self) {
        self.allow_connections(false).await;
        let end = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1";
        sqlx::query(end).bind(self.name()).execute(&mut self.beside().await).await.expect("ended");
    }

    pub async fn bring_back(&self) {
        self.allow_connections(true).await;
    }

    async fn allow_connections(&self, allow: bool) {
        let sql = format!("alter database {} allow_connections {allow}", self.name());
        sqlx::query(AssertSqlSafe(sql)).execute(&mut self.beside().await).await.expect("altered");
    }

    /// A connection to another database of the same cluster.
    async fn beside(&self) -> PgConnection {
        PgConnection::connect(&self.url.replace(self.name(), "postgres")).await.expect("connects")
    }

    fn name(&self) -> &str {
        let (_, rest) = self.url.split_once("///").expect("a URL of a socket");
        rest.split_once('?').expect("with its folder").0
    }

    pub async fn token(&self, host_name: Option<&str>) -> NewJoinToken {
        self.store.create_join_token(host_name, NOW_MS).await.expect("a token")
    }
}

/// One agent's side of the sequence.
#[derive(Debug, Clone, Copy)]
pub struct Agent {
    pub host_id: i32,
    pub agent_id: Uuid,
    pub epoch: Uuid,
}

impl Agent {
    pub fn new(host_id: i32) -> Self {
        Self { host_id, agent_id: Uuid::new_v4(), epoch: Uuid::new_v4() }
    }

    pub fn batch(&self, seq: u64, data: Data) -> Batch {
        let Self { host_id, agent_id, epoch } = *self;
        Batch { host_id, agent_id, epoch, seq, live: true, received_ms: NOW_MS, data, left_out: Vec::new() }
    }

    /// One tick: the host and one GPU.
    pub fn tick(&self, seq: u64, tick_ms: i64) -> Batch {
        self.batch(seq, Data::Samples { tick_ms, rows: vec![host_row(seq as f64), gpu_row("GPU-0", 100.0)] })
    }
}

pub fn host_row(cpu_percent: f64) -> Row {
    HostSample { cpu_percent: Some(cpu_percent), memory_used_bytes: Some(4096.0), ..Default::default() }.row("")
}

pub fn gpu_row(key: &str, power_watts: f64) -> Row {
    GpuSample { power_watts: Some(power_watts), pcie_link_width: Some(16.0), ..Default::default() }.row(key)
}
