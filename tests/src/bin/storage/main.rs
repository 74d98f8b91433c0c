//! What history costs, beside Prometheus and VictoriaMetrics on the same values in the same run: bytes a value in
//! each tier, CPU of ingest and of packing, times of questions.
//!
//! `SEED=1 HOURS=24 storage`: generated data of 10 hosts with 8 GPUs, 4 mounts and 25 containers each, through
//! the real store into a Postgres of its own; once aligned and once with gaps. Minutes need 12 hours, a question
//! over a week a whole day. Figures go to `target/bench/figures.json`.

mod columns;
mod fleet;
mod generator;
mod http;
mod ingest;
mod ours;
mod prometheus;
mod queries;
mod round;
mod victoria;

use anyhow::{Context, Result};
use fleet::{HOSTS, HOUR_MS};
use fleetlight_tests::figures::Figures;
use ours::Ours;
use queries::Peers;
use round::{Round, Sizes};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const DAY_HOURS: i64 = 24;
/// What a question over a week is asked of.
const WEEK_HOURS: i64 = 7 * DAY_HOURS;
/// Hours with gaps: what they change shows in fewer.
const GAPS_HOURS: i64 = 12;
/// Hours that ingest is measured with.
const INGEST_HOURS: i64 = 2;

/// What was asked for.
struct Plan {
    seed: u64,
    hours: i64,
    /// Midnight, UTC, eight days ago: all three keep what is so recent.
    begin_ms: i64,
}

impl Plan {
    fn read() -> Result<Self> {
        let number =
            |name: &str, or: u64| std::env::var(name).map_or(Ok(or), |text| text.parse().context(name.to_owned()));
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
        let begin_ms = (now_ms / (DAY_HOURS * HOUR_MS) - 8) * DAY_HOURS * HOUR_MS;
        Ok(Self { seed: number("SEED", 1)?, hours: number("HOURS", 24)? as i64, begin_ms })
    }

    fn how(&self) -> String {
        self.how_of(self.hours)
    }

    fn how_of(&self, hours: i64) -> String {
        format!("{HOSTS} hosts × (8 GPUs, 4 mounts, 25 containers), {hours} h at 5 s, seed {}", self.seed)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let plan = Plan::read()?;
    // Postgres, which may run as another user, must be able to reach its folder.
    let dir = std::env::temp_dir().join(format!("fl-storage-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let ours = Ours::start(&dir).await?;
    let done = measure(&plan, &ours, &dir).await;
    ours.stop().await;
    std::fs::remove_dir_all(&dir)?;
    done
}

async fn measure(plan: &Plan, ours: &Ours, dir: &Path) -> Result<()> {
    let mut figures = Figures::default();
    let aligned = of_aligned(plan, ours, dir, &mut figures).await?;
    figures.write()?;
    of_ingest(plan, ours, &aligned, &mut figures).await?;
    figures.write()?;
    let gaps = Round::new(ours, "gaps", plan.seed, plan.begin_ms, true, dir).await?;
    of_gaps(plan, gaps, &mut figures).await?;
    figures.write()
}

async fn of_aligned(plan: &Plan, ours: &Ours, dir: &Path, figures: &mut Figures) -> Result<Sizes> {
    let mut round = Round::new(ours, "aligned", plan.seed, plan.begin_ms, false, dir).await?;
    let sizes = round.fill(plan.hours).await?;
    note_sizes(plan, &sizes, figures);
    round.database.run("vacuum analyze").await?;
    let to_ms = plan.begin_ms + plan.hours * HOUR_MS;
    let peers = Peers { victoria: &round.victoria, prometheus: &round.prometheus };
    queries::of_a_day(&round.database, &peers, plan.hours, to_ms, figures).await?;
    if plan.hours == DAY_HOURS {
        round.fill_thin(DAY_HOURS..WEEK_HOURS).await?;
        let peers = Peers { victoria: &round.victoria, prometheus: &round.prometheus };
        let to_ms = plan.begin_ms + WEEK_HOURS * HOUR_MS;
        queries::of_a_week(&round.database, &peers, plan.begin_ms, to_ms, figures).await?;
    }
    round.database.close().await;
    Ok(sizes)
}

fn note_sizes(plan: &Plan, sizes: &Sizes, figures: &mut Figures) {
    let values = sizes.values;
    let how = format!("{}; {:.1} M values; heap, indexes and TOAST, without WAL", plan.how(), values / 1e6);
    let peers_how = "peers: data and index on disk once merged";
    let peers = [(victoria::NAME, sizes.victoria / values), (prometheus::NAME, sizes.prometheus / values)];
    let mut note = |name: &str, bytes: f64, aim: Option<f64>, peers: &[(&str, f64)], what: &str| {
        figures.beside(name, "bytes", bytes, aim, peers, &format!("{what}; {how}; {peers_how}"));
    };
    note("stored_hot_bytes_per_value", sizes.hot_per_value, None, &[], "the first hour, before it was packed");
    note("stored_bytes_per_value", sizes.packed / values, Some(1.45), &peers, "packed samples, at once");
    let old = "packed samples older than a day: as they were packed at once, there is no further tier";
    note("stored_bytes_per_value_old", sizes.packed / values, Some(1.0), &peers, old);
    note("stored_minute_bytes_per_value", sizes.minutes / values, None, &[], "minutes, for each raw value");
    note("stored_quarter_bytes_per_value", sizes.quarters / values, None, &[], "quarters, for each raw value");
    let rollups = (sizes.minutes + sizes.quarters) / values;
    note("stored_rollup_bytes_per_value", rollups, Some(0.55), &[], "minutes and quarters, for each raw value");
    let all = "everything that the samples brought: packed, rollups, ledger, entities, catalogue of partitions";
    note("stored_total_bytes_per_value", sizes.all / values, None, &peers, all);
    let (postgres, own) = sizes.packing_s;
    let how = format!(
        "{}; CPU of all processes of Postgres ({postgres:.2} s) and of the controller's part ({own:.2} s), for packing an hour with its quarters, and minutes of half days, on average",
        plan.how()
    );
    figures.beside("compaction_cpu_seconds_per_hour", "s", postgres + own, None, &[], &how);
}

async fn of_gaps(plan: &Plan, mut round: Round<'_>, figures: &mut Figures) -> Result<()> {
    let hours = plan.hours.min(GAPS_HOURS);
    let sizes = round.fill(hours).await?;
    let how = format!(
        "packed samples; {}; one tick in fifty missing, three hosts away 20 minutes an hour by turns; {:.1} M values",
        plan.how_of(hours),
        sizes.values / 1e6
    );
    let peers = [(victoria::NAME, sizes.victoria / sizes.values), (prometheus::NAME, sizes.prometheus / sizes.values)];
    let name = "stored_bytes_per_value_with_gaps";
    figures.beside(name, "bytes", sizes.packed / sizes.values, Some(1.45), &peers, &how);
    round.database.close().await;
    Ok(())
}

async fn of_ingest(plan: &Plan, ours: &Ours, aligned: &Sizes, figures: &mut Figures) -> Result<()> {
    let database = ours.database("ingest", HOSTS).await?;
    let cost = ingest::measure(ours, &database, plan.seed, INGEST_HOURS, plan.begin_ms).await?;
    let peer = [(victoria::NAME, aligned.values / aligned.victoria_import_s)];
    let how = format!(
        "{}; peer: CPU of /api/v1/import of {:.1} M values, an hour of a series a line",
        cost.how(),
        aligned.values / 1e6
    );
    let name = "ingest_values_per_core_second";
    figures.beside(name, "1/s", cost.values_per_core_second(), Some(1e6), &peer, &how);
    database.close().await;
    Ok(())
}
