//! The questions of charts and pages, asked of all three.

use crate::fleet::HOUR_MS;
use crate::http::Query;
use crate::ours::Database;
use crate::prometheus::{self, Prometheus};
use crate::victoria::{self, Victoria};
use anyhow::{Result, ensure};
use fleetlight_controller::store::series::{FleetQuery, SeriesQuery};
use fleetlight_protocol::samples::EntityKind;
use fleetlight_tests::figures::Figures;
use fleetlight_tests::measure::percentile;
use std::time::Instant;

/// As many as a 99th percentile needs that is not the worst one.
const ASKED: usize = 110;

pub struct Peers<'a> {
    pub victoria: &'a Victoria,
    pub prometheus: &'a Prometheus,
}

/// What is asked of the store.
enum Question {
    Moment(i64, i64),
    Series(SeriesQuery),
    Fleet(FleetQuery),
}

struct Case {
    name: &'static str,
    aim: Option<f64>,
    what: String,
    ours: Question,
    theirs: Query,
}

/// Asks what concerns a day, which ends at `to_ms`.
pub async fn of_a_day(
    database: &Database,
    peers: &Peers<'_>,
    hours: i64,
    to_ms: i64,
    figures: &mut Figures,
) -> Result<()> {
    for case in [latest(to_ms), gpu_1h(database, to_ms), gpus(database, hours, to_ms), fleet(hours, to_ms)] {
        case.measure(database, peers, figures).await?;
    }
    if database.minutes_due().await? {
        return Ok(());
    }
    // As if a late piece had come into each half day: nothing but samples can answer then.
    let due = "insert into minutes_due (kind, host_id, begins)
        select 6, host_id, date_bin('12 hours', t0, timestamptz 'epoch') from gpu_packed group by 2, 3";
    database.run(due).await?;
    let mut case = gpus(database, hours, to_ms);
    case.name = "query_gpus_24h_raw";
    case.what += "; from packed samples alone, as after late data";
    case.measure(database, peers, figures).await?;
    database.run("delete from minutes_due").await
}

/// Asks what concerns the days from `from_ms` on.
pub async fn of_a_week(
    database: &Database,
    peers: &Peers<'_>,
    from_ms: i64,
    to_ms: i64,
    figures: &mut Figures,
) -> Result<()> {
    week(from_ms, to_ms).measure(database, peers, figures).await
}

fn latest(to_ms: i64) -> Case {
    Case {
        name: "query_latest",
        aim: None,
        what: "the last row of every entity of the fleet".into(),
        ours: Question::Moment(to_ms - 1_000, to_ms),
        theirs: Query { promql: vec![r#"{host=~".+"}"#.into()], from_ms: 0, to_ms: to_ms - 1_000, step_s: 0 },
    }
}

fn series(
    database: &Database,
    hours: i64,
    to_ms: i64,
    metrics: &[&str],
    keys: Option<Vec<String>>,
    buckets: usize,
) -> Question {
    Question::Series(SeriesQuery {
        host_id: database.hosts[0],
        kind: EntityKind::Gpu,
        metrics: metrics.iter().map(|name| (*name).to_owned()).collect(),
        keys,
        from_ms: to_ms - hours * HOUR_MS,
        to_ms,
        buckets,
        now_ms: to_ms,
    })
}

fn gpu_1h(database: &Database, to_ms: i64) -> Case {
    let host = database.hosts[0];
    let theirs = ["utilization_percent", "power_watts"];
    Case {
        name: "query_gpu_1h",
        aim: None,
        what: "one GPU, an hour, two metrics, every sample".into(),
        ours: series(database, 1, to_ms, &theirs, Some(vec!["gpu-3".into()]), 1_200),
        theirs: Query {
            promql: theirs.iter().map(|name| format!(r#"gpu_{name}{{host="host-{host}",key="gpu-3"}}"#)).collect(),
            from_ms: to_ms - HOUR_MS,
            to_ms: to_ms - 1_000,
            step_s: 5,
        },
    }
}

fn gpus(database: &Database, hours: i64, to_ms: i64) -> Case {
    let host = database.hosts[0];
    let theirs = ["avg", "max"].map(|of| format!(r#"{of}_over_time(gpu_power_watts{{host="host-{host}"}}[5m])"#));
    Case {
        name: "query_gpus_24h",
        aim: Some(60.0),
        what: format!("8 GPUs of a host, {hours} h, average and greatest power of 5 minutes"),
        ours: series(database, hours, to_ms, &["power_watts"], None, hours as usize * 12 + 1),
        theirs: Query {
            promql: theirs.into(),
            from_ms: to_ms - (hours * HOUR_MS - 300_000),
            to_ms: to_ms - 1_000,
            step_s: 300,
        },
    }
}

fn fleet_of(from_ms: i64, to_ms: i64) -> (Question, Query) {
    let quarters = (to_ms - from_ms) / 900_000;
    let ours = Question::Fleet(FleetQuery {
        kind: EntityKind::Gpu,
        metrics: vec!["utilization_percent".into()],
        from_ms,
        to_ms,
        buckets: quarters as usize + 1,
        now_ms: to_ms,
    });
    let promql = vec!["avg(avg_over_time(gpu_utilization_percent[15m]))".into()];
    (ours, Query { promql, from_ms: from_ms + 900_000, to_ms: to_ms - 1_000, step_s: 900 })
}

fn fleet(hours: i64, to_ms: i64) -> Case {
    let (ours, theirs) = fleet_of(to_ms - hours * HOUR_MS, to_ms);
    let what = format!("mean utilization of 80 GPUs, {hours} h, by 15 minutes");
    Case { name: "query_fleet_24h", aim: Some(20.0), what, ours, theirs }
}

fn week(from_ms: i64, to_ms: i64) -> Case {
    let (ours, theirs) = fleet_of(from_ms, to_ms);
    let days = (to_ms - from_ms) / (24 * HOUR_MS);
    let what = format!("mean utilization of 80 GPUs, {days} days, by 15 minutes");
    Case { name: "query_7d", aim: Some(20.0), what, ours, theirs }
}

impl Case {
    async fn measure(&self, database: &Database, peers: &Peers<'_>, figures: &mut Figures) -> Result<()> {
        let mut ours = times(async || self.ours.ask(database).await).await?;
        let mut theirs = [
            (victoria::NAME, times(async || peers.victoria.ask(&self.theirs).await).await?),
            (prometheus::NAME, times(async || peers.prometheus.ask(&self.theirs).await).await?),
        ];
        let how = format!(
            "{}; {ASKED} times, warm; ours by the store's functions, without HTTP; peers by HTTP on loopback, one PromQL expression after the other, without result caches",
            self.what
        );
        for (end, share) in [("p50", 0.5), ("p99", 0.99)] {
            let peers: Vec<_> = theirs.iter_mut().map(|(name, times)| (*name, percentile(times, share))).collect();
            let aim = self.aim.filter(|_| end == "p99");
            let name = format!("{}_{end}_ms", self.name);
            figures.beside(&name, "ms", percentile(&mut ours, share), aim, &peers, &how);
        }
        Ok(())
    }
}

/// Milliseconds of each answer; an empty one is an error.
async fn times(mut ask: impl AsyncFnMut() -> Result<usize>) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for _ in 0..ASKED {
        let began = Instant::now();
        let found = ask().await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        ensure!(found > 0, "nothing was found");
    }
    Ok(times)
}

impl Question {
    /// How many hosts, lines or points the store finds.
    async fn ask(&self, database: &Database) -> Result<usize> {
        Ok(match self {
            Self::Moment(at_ms, now_ms) => database.store.fleet_at(*at_ms, *now_ms).await?.len(),
            Self::Series(query) => database.store.series(query).await?.series.len(),
            Self::Fleet(query) => {
                let found = database.store.fleet_series(query).await?;
                found.series.iter().flat_map(|line| &line.avg).flatten().count()
            }
        })
    }
}
