//! Fleetlight's own store on a Postgres of its own, set up as the product does it.

use anyhow::{Context, Result};
use fleetlight_controller::postgres::PrivatePostgres;
use fleetlight_controller::store::Store;
use fleetlight_protocol::samples::EntityKind;
use fleetlight_tests::account::Account;
use rustix::time::{ClockId, clock_gettime};
use sqlx::{AssertSqlSafe, PgPool};
use std::path::Path;

pub struct Ours {
    postgres: PrivatePostgres,
    account: Account,
}

/// A database with its tables, and the hosts of a fleet.
pub struct Database {
    pub store: Store,
    pub pool: PgPool,
    pub hosts: Vec<i32>,
    /// What it takes without samples.
    empty_bytes: f64,
}

impl Ours {
    pub async fn start(dir: &Path) -> Result<Self> {
        let folder = dir.join("postgres");
        let postgres = PrivatePostgres::start(&folder).await?;
        let pid = std::fs::read_to_string(folder.join("data/postmaster.pid"))?;
        let account = Account::open("postgres")?;
        account.adopt(pid.lines().next().context("a process")?.parse()?)?;
        Ok(Self { postgres, account })
    }

    pub async fn stop(self) {
        self.postgres.stop().await;
    }

    /// CPU seconds so far of all processes of Postgres, and of this one.
    pub fn cpu(&self) -> Result<(f64, f64)> {
        let own = clock_gettime(ClockId::ProcessCPUTime);
        Ok((self.account.seconds()?, own.tv_sec as f64 + own.tv_nsec as f64 / 1e9))
    }

    /// A database of this name with so many hosts.
    pub async fn database(&self, name: &str, hosts: usize) -> Result<Database> {
        let server = PgPool::connect(self.postgres.url()).await?;
        sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&server).await?;
        server.close().await;
        let url = self.postgres.url().replacen("/fleetlight?", &format!("/{name}?"), 1);
        let (store, pool) = (Store::connect(&url).await?, PgPool::connect(&url).await?);
        let sql = "insert into hosts (name, created_at) select 'host-' || n, now() from generate_series(1, $1) as n returning id";
        let hosts = sqlx::query_scalar(sql).bind(hosts as i64).fetch_all(&pool).await?;
        let mut database = Database { store, pool, hosts, empty_bytes: 0.0 };
        database.empty_bytes = database.bytes().await?;
        Ok(database)
    }
}

impl Database {
    /// Heap, indexes and TOAST of a tier.
    pub async fn tier_bytes(&self, tier: &str) -> Result<f64> {
        let sql = format!(
            "select sum(pg_total_relation_size(relid))::float8 from unnest(array['host', 'gpu', 'mount', 'container']) as noun,
             pg_partition_tree((noun || '_{tier}')::regclass)"
        );
        Ok(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pool).await?)
    }

    /// How many values stand in packed.
    pub async fn packed_values(&self) -> Result<u64> {
        let arrays = |name: &str| format!("coalesce(sum((select count(x) from unnest({name}) as x)), 0)");
        self.count("packed", arrays).await
    }

    /// How many values stand in hot.
    pub async fn hot_values(&self) -> Result<u64> {
        self.count("hot", |name| format!("count({name})")).await
    }

    async fn count(&self, tier: &str, of: impl Fn(&str) -> String) -> Result<u64> {
        let mut values = 0;
        for kind in [EntityKind::Host, EntityKind::Gpu, EntityKind::Mount, EntityKind::Container] {
            let counts: Vec<String> = kind.metrics().iter().map(|metric| of(metric.name)).collect();
            let sql = format!("select ({})::bigint from {}_{tier}", counts.join(" + "), kind.name());
            values += sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)).fetch_one(&self.pool).await? as u64;
        }
        Ok(values)
    }

    /// Everything that samples brought: tiers, ledger, entities, partitions' own entries in the catalogue.
    pub async fn bytes(&self) -> Result<f64> {
        let bytes: f64 =
            sqlx::query_scalar("select pg_database_size(current_database())::float8").fetch_one(&self.pool).await?;
        Ok(bytes - self.empty_bytes)
    }

    /// Whether some minutes are not made yet: samples answer in their place.
    pub async fn minutes_due(&self) -> Result<bool> {
        Ok(sqlx::query_scalar("select exists (select from minutes_due)").fetch_one(&self.pool).await?)
    }

    pub async fn run(&self, sql: &'static str) -> Result<()> {
        sqlx::raw_sql(sql).execute(&self.pool).await?;
        Ok(())
    }

    pub async fn close(self) {
        self.pool.close().await;
        self.store.close().await;
    }
}
