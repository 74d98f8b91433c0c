//! What stored samples cost: bytes a value in each tier, time to pack an hour, times of questions.
//!
//! `SEED=1 HOURS=12 storage`: generated data of 10 hosts with 8 GPUs, 4 mounts and 25 containers each, through
//! the real store into a private Postgres; once aligned and once with gaps. Minutes need 12 hours.
//! Figures go to `target/bench/storage.json`.

mod generator;

use anyhow::{Context, Result};
use fleetlight_controller::store::Store;
use fleetlight_controller::store::flush::{Batch, Data};
use fleetlight_controller::store::series::{FleetQuery, SeriesQuery};
use fleetlight_protocol::samples::EntityKind;
use fleetlight_tests::measure::percentile;
use fleetlight_tests::postgres::database;
use generator::{Entity, Noise};
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use std::path::Path;
use std::time::{Duration, Instant};
use uuid::Uuid;

const HOSTS: usize = 10;
const HOUR_MS: i64 = 3_600_000;
const TICK_MS: i64 = 5_000;
/// A line between two half days, so that the last hours are those of a whole one.
const BEGIN_MS: i64 = 1_763_683_200_000;
/// Ticks of one flush: some 20,000 rows.
const TICKS: i64 = 60;
const ASKED: usize = 50;

struct Run {
    store: Store,
    pool: PgPool,
    hosts: Vec<(i32, Uuid, Vec<Entity>)>,
    epoch: Uuid,
    noise: Noise,
    gaps: bool,
    values: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let number = |name: &str, or: u64| std::env::var(name).map_or(Ok(or), |text| text.parse().context(name.to_owned()));
    let (seed, hours) = (number("SEED", 1)?, number("HOURS", 12)? as i64);
    let how = format!("{HOSTS} hosts × (8 GPUs, 4 mounts, 25 containers), {hours} h at 5 s, seed {seed}");
    let mut figures = Map::new();
    let mut note = |name: &str, value: f64, unit: &str| {
        println!("{name}: {value:.4} {unit}");
        figures.insert(name.to_owned(), json!({ "value": value, "unit": unit, "how": how }));
    };
    let mut run = Run::new(seed, false).await?;
    run.fill(hours, &mut note).await?;
    let mut run = Run::new(seed, true).await?;
    let values = run.fill(hours.min(3), &mut |_, _, _| {}).await?;
    note("stored_bytes_per_value_with_gaps", run.bytes("packed").await? / values, "bytes");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("storage.json"), serde_json::to_string_pretty(&Value::Object(figures))?)?;
    Ok(())
}

impl Run {
    async fn new(seed: u64, gaps: bool) -> Result<Self> {
        let url = database().await?;
        let (store, pool) = (Store::connect(&url).await?, PgPool::connect(&url).await?);
        let mut noise = Noise::new(seed);
        let mut hosts = Vec::new();
        for number in 0..HOSTS {
            let sql = "insert into hosts (name, created_at) values ($1, now()) returning id";
            let id = sqlx::query_scalar(sql).bind(format!("host-{number}")).fetch_one(&pool).await?;
            hosts.push((id, Uuid::new_v4(), generator::host(&mut noise)));
        }
        Ok(Self { store, pool, hosts, epoch: Uuid::new_v4(), noise, gaps, values: 0 })
    }

    /// Makes, stores and packs the hours; gives how many values they have.
    async fn fill(&mut self, hours: i64, note: &mut impl FnMut(&str, f64, &str)) -> Result<f64> {
        let (mut packing, mut storing) = (Duration::ZERO, Duration::ZERO);
        for hour in 0..hours {
            let first = hour * HOUR_MS / TICK_MS;
            for tick in (first..first + HOUR_MS / TICK_MS).step_by(TICKS as usize) {
                let batches = self.batches(tick);
                let begun = Instant::now();
                self.store.flush(&batches, BEGIN_MS + tick * TICK_MS).await?;
                storing += begun.elapsed();
            }
            if hour == 0 {
                note("stored_hot_bytes_per_value", self.bytes("hot").await? / self.values as f64, "bytes");
            }
            if hour + 1 == hours {
                self.ask("while the minutes are due", hours, note).await?;
            }
            let begun = Instant::now();
            self.store.compact(BEGIN_MS + (hour + 1) * HOUR_MS + 400_000).await?;
            packing += begun.elapsed();
        }
        let values = self.values as f64;
        note("stored_values", values, "values");
        note("flush_values_per_second", values / storing.as_secs_f64(), "1/s");
        note("compaction_wall_seconds_per_hour", packing.as_secs_f64() / hours as f64, "s");
        let (packed, minute, quarter) =
            (self.bytes("packed").await?, self.bytes("minute").await?, self.bytes("quarter").await?);
        note("stored_bytes_per_value", packed / values, "bytes");
        note("stored_minute_bytes_per_value", minute / values, "bytes");
        note("stored_quarter_bytes_per_value", quarter / values, "bytes");
        note("stored_rollup_bytes_per_value", (minute + quarter) / values, "bytes");
        note("stored_total_bytes_per_value", (packed + minute + quarter) / values, "bytes");
        self.ask("packed", hours, note).await?;
        Ok(values)
    }

    /// Some ticks of all hosts. With gaps, one in fifty is missing, and a host is away for 20 minutes each hour.
    fn batches(&mut self, first: i64) -> Vec<Batch> {
        let mut batches = Vec::new();
        for tick in first..first + TICKS {
            let tick_ms = BEGIN_MS + tick * TICK_MS;
            for (number, (host_id, agent_id, entities)) in self.hosts.iter_mut().enumerate() {
                let rows: Vec<_> = entities.iter_mut().map(|entity| entity.tick(&mut self.noise)).collect();
                let away = (tick / 240) % 3 == number as i64 % 3 && number < 3;
                if self.gaps && (away || self.noise.chance(0.02)) {
                    continue;
                }
                self.values += rows.iter().flat_map(|row| &row.values).flatten().count() as u64;
                batches.push(Batch {
                    host_id: *host_id,
                    agent_id: *agent_id,
                    epoch: self.epoch,
                    seq: tick as u64,
                    live: false,
                    received_ms: tick_ms,
                    left_out: Vec::new(),
                    data: Data::Samples { tick_ms, rows },
                });
            }
        }
        batches
    }

    /// Heap, index and TOAST of a tier.
    async fn bytes(&self, tier: &str) -> Result<f64> {
        let sql = format!(
            "select sum(pg_total_relation_size(relid))::float8 from unnest(array['host', 'gpu', 'mount', 'container']) as noun,
             pg_partition_tree((noun || '_{tier}')::regclass)"
        );
        Ok(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pool).await?)
    }

    async fn ask(&self, when: &str, hours: i64, note: &mut impl FnMut(&str, f64, &str)) -> Result<()> {
        sqlx::raw_sql("analyze").execute(&self.pool).await?;
        let to_ms = BEGIN_MS + hours * HOUR_MS;
        let host_id = self.hosts[0].0;
        let metrics = vec!["utilization_percent".to_owned(), "power_watts".to_owned()];
        let series = |hours: i64, keys: Option<Vec<String>>, buckets: usize| SeriesQuery {
            host_id,
            kind: EntityKind::Gpu,
            metrics: metrics.clone(),
            keys,
            from_ms: to_ms - hours * HOUR_MS,
            to_ms,
            buckets,
            now_ms: to_ms,
        };
        let (one, all) = (series(1, Some(vec!["gpu-3".into()]), 1_200), series(hours, None, hours as usize * 12 + 1));
        let fleet = FleetQuery {
            kind: EntityKind::Gpu,
            metrics: metrics.clone(),
            from_ms: to_ms - hours * HOUR_MS,
            to_ms,
            buckets: hours as usize * 4 + 1,
            now_ms: to_ms,
        };
        let mut times: [Vec<f64>; 4] = Default::default();
        for _ in 0..ASKED {
            let begun = Instant::now();
            self.store.fleet_at(to_ms - 1_000, to_ms).await?;
            times[0].push(begun.elapsed().as_secs_f64() * 1e3);
            for (query, times) in [&one, &all].into_iter().zip(&mut times[1..3]) {
                let begun = Instant::now();
                self.store.series(query).await?;
                times.push(begun.elapsed().as_secs_f64() * 1e3);
            }
            let begun = Instant::now();
            self.store.fleet_series(&fleet).await?;
            times[3].push(begun.elapsed().as_secs_f64() * 1e3);
        }
        for (name, times) in
            ["query_latest", "query_gpu_1h", "query_gpus_all", "query_fleet_all"].iter().zip(&mut times)
        {
            note(&format!("{name}_p50_ms, {when}"), percentile(times, 0.5), "ms");
            note(&format!("{name}_p99_ms, {when}"), percentile(times, 0.99), "ms");
        }
        Ok(())
    }
}
