//! One fill of all three stores with the same values, and what they then take.

use crate::columns::Columns;
use crate::fleet::{Fleet, HOSTS, HOUR_MS, HOUR_TICKS, TICK_MS, values};
use crate::ours::{Database, Ours};
use crate::prometheus::{BLOCK_HOURS, Prometheus};
use crate::victoria::Victoria;
use anyhow::{Result, ensure};
use fleetlight_controller::store::flush::Batch;
use std::ops::Range;
use std::path::Path;

/// Ticks of one flush: some 20,000 rows.
const FLUSH_TICKS: usize = 60;
/// After an hour's end it is closed and may be packed.
const CLOSED_AFTER_MS: i64 = 400_000;

/// All three stores and where their values come from.
pub struct Round<'a> {
    ours: &'a Ours,
    pub database: Database,
    pub victoria: Victoria,
    pub prometheus: Prometheus,
    fleet: Fleet,
    begin_ms: i64,
}

/// What they take.
pub struct Sizes {
    pub values: f64,
    /// Of the first hour, before it was packed, for each of its values.
    pub hot_per_value: f64,
    pub packed: f64,
    pub minutes: f64,
    pub quarters: f64,
    pub all: f64,
    pub victoria: f64,
    pub prometheus: f64,
    /// CPU seconds of Postgres and of this process for packing one hour, on average.
    pub packing_s: (f64, f64),
    /// VictoriaMetrics' for importing everything.
    pub victoria_import_s: f64,
}

impl<'a> Round<'a> {
    pub async fn new(ours: &'a Ours, name: &str, seed: u64, begin_ms: i64, gaps: bool, dir: &Path) -> Result<Self> {
        let dir = dir.join(name);
        std::fs::create_dir_all(&dir)?;
        let database = ours.database(name, HOSTS).await?;
        let fleet = Fleet::new(seed, &database.hosts, begin_ms, gaps);
        let (victoria, prometheus) = (Victoria::start(&dir).await?, Prometheus::new(&dir)?);
        Ok(Self { ours, database, victoria, prometheus, fleet, begin_ms })
    }

    /// Fills the first hours, packs each, and measures.
    pub async fn fill(&mut self, hours: i64) -> Result<Sizes> {
        let (mut count, mut hot_per_value, mut packing) = (0, 0.0, (0.0, 0.0));
        for hour in 0..hours {
            count += self.hour(hour, |fleet, ticks| fleet.ticks(ticks)).await?;
            if hour == 0 {
                hot_per_value = self.database.tier_bytes("hot").await? / count as f64;
            }
            let (postgres, own) = self.ours.cpu()?;
            self.pack(hour).await?;
            let after = self.ours.cpu()?;
            packing = (packing.0 + after.0 - postgres, packing.1 + after.1 - own);
            println!("hour {} of {hours}", hour + 1);
        }
        self.prometheus.make_blocks()?;
        let stored = self.database.packed_values().await?;
        ensure!(stored == count, "{stored} of {count} values are packed");
        let tier = async |tier| self.database.tier_bytes(tier).await;
        Ok(Sizes {
            values: count as f64,
            hot_per_value,
            packed: tier("packed").await?,
            minutes: tier("minute").await?,
            quarters: tier("quarter").await?,
            all: self.database.bytes().await?,
            victoria: self.victoria.settle().await?,
            prometheus: self.prometheus.settle().await?,
            packing_s: (packing.0 / hours as f64, packing.1 / hours as f64),
            victoria_import_s: self.victoria.import_cpu,
        })
    }

    /// Fills further hours with what questions over days need.
    pub async fn fill_thin(&mut self, hours: Range<i64>) -> Result<()> {
        for hour in hours {
            self.hour(hour, |fleet, ticks| fleet.thin_ticks(ticks)).await?;
            self.pack(hour).await?;
        }
        self.prometheus.make_blocks()?;
        self.victoria.settle().await?;
        // Compacting so little would gain nothing worth the wait.
        self.prometheus.serve().await?;
        self.database.run("vacuum analyze").await
    }

    /// Stores an hour in all three; how many values it has.
    async fn hour(&mut self, hour: i64, of: impl Fn(&mut Fleet, Range<i64>) -> Vec<Batch>) -> Result<u64> {
        let (first, mut columns, mut count) = (hour * HOUR_TICKS, Columns::default(), 0);
        for tick in (first..first + HOUR_TICKS).step_by(FLUSH_TICKS) {
            let batches = of(&mut self.fleet, tick..tick + FLUSH_TICKS as i64);
            count += values(&batches);
            columns.take(&batches);
            self.database.store.flush(&batches, self.begin_ms + tick * TICK_MS).await?;
        }
        self.victoria.import(&columns).await?;
        self.prometheus.take(&columns)?;
        if (hour + 1) % BLOCK_HOURS == 0 {
            self.prometheus.make_blocks()?;
        }
        Ok(count)
    }

    async fn pack(&self, hour: i64) -> Result<()> {
        self.database.store.compact(self.begin_ms + (hour + 1) * HOUR_MS + CLOSED_AFTER_MS).await?;
        Ok(())
    }
}
