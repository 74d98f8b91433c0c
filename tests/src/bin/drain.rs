//! `make bench`: how fast a day of one large host's spool drains, across a kill of its agent, and what live samples
//! lose by it.
//!
//! A real controller with its Postgres; the agent's spool of the day is made in advance. Live latency is that of
//! three real agents with a tick a second, the draining one among them, before the drain and during it; what that one
//! itself ticks right after its starts is a figure of its own. `SEED` is that of the day's values.

use anyhow::{Context, Result, ensure};
use fleetlight_tests::client::{Client, Stream};
use fleetlight_tests::figures::Figures;
use fleetlight_tests::measure::{folder_bytes, percentile};
use fleetlight_tests::past::{self, BusyHost, MARK};
use fleetlight_tests::system::{Agent, AgentOptions, Options, System};
use sqlx::{Connection, PgConnection};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;

const TICK_MS: i64 = 5_000;
const DAY_MS: i64 = 24 * 3_600_000;
const GPUS: usize = 8;
const CONTAINERS: usize = 25;
/// The first one drains.
const HOSTS: [&str; 3] = ["large", "one", "two"];
/// Before the first measurement. After each start of the draining agent its own ticks count apart for as long.
const WARM_UP: Duration = Duration::from_secs(10);
const WARM_UP_MS: f64 = WARM_UP.as_secs() as f64 * 1e3;
const BASELINE: Duration = Duration::from_secs(60);
/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(200);
/// A hundred times real time, the least that is aimed at.
const AT_MOST: Duration = Duration::from_secs(864);
/// The most that a day may take on disk.
const DAY_BYTES: u64 = 80 * 1024 * 1024;

#[tokio::main]
async fn main() -> Result<()> {
    let seed = std::env::var("SEED").map_or(Ok(1), |seed| seed.parse()).context("SEED is a number")?;
    let system = System::start("drain", &Options::default())?;
    let client = system.set_up().await?;
    let config = AgentOptions { config: "interval_ms = 1000".into(), ..AgentOptions::default() };
    let mut agents = HOSTS.iter().map(|name| system.agent(name, &config)).collect::<Result<Vec<_>>>()?;
    tokio::time::sleep(WARM_UP).await;
    let watch = Watch::start(&client, &agents).await?;
    tokio::time::sleep(BASELINE).await;
    let baseline = watch.take().beside;

    let [large, ..] = &mut agents[..] else { unreachable!("three agents") };
    large.process()?.kill()?;
    let mut busy = BusyHost::new(seed, GPUS, CONTAINERS);
    let values = busy.values();
    let begin_ms = (now_ms()? / TICK_MS as f64) as i64 * TICK_MS - DAY_MS - 2 * 3_600_000;
    let times: Vec<i64> = (0..DAY_MS / TICK_MS).map(|tick| begin_ms + tick * TICK_MS).collect();
    let state_dir = system.dir().join(HOSTS[0]);
    past::leave(&state_dir, HOSTS[0], &times, &mut busy)?;
    let spool_bytes = folder_bytes(&state_dir.join("spool"))?;
    ensure!((1..=DAY_BYTES).contains(&spool_bytes), "the day takes {spool_bytes} bytes on disk of {DAY_BYTES}");
    watch.take();
    let took = drain(&system, &client, large, &watch, times.len() as i64).await?;
    let day = format!("{} ticks of {values} values ({GPUS} GPUs, {CONTAINERS} containers; SEED={seed})", times.len());
    let mut figures = Figures::default();
    let disk =
        format!("all files of the spool's folder: {day}, some events, and what the agent kept of its minute before");
    figures.beside("spool_24h_bytes", "bytes", spool_bytes as f64, Some(DAY_BYTES as f64), &[], &disk);
    note(&mut figures, &day, took, baseline, watch.take());
    figures.write()
}

/// Notes speed and latencies.
fn note(figures: &mut Figures, day: &str, took: Duration, mut before: Vec<f64>, during: Latencies) {
    let Latencies { mut beside, mut starting } = during;
    let p99 = [percentile(&mut before, 0.99), percentile(&mut beside, 0.99)];
    let p50 = [percentile(&mut before, 0.5), percentile(&mut beside, 0.5)];
    let apart =
        format!("the draining agent's own ticks of the first {} s after each of its two starts", WARM_UP.as_secs());
    let how = format!(
        "{day} in {:.1} s, from the start of an agent with them in its spool to the last one in Postgres, with a kill -9 and a restart of the agent in the middle; live p99 baseline / during: {:.1} / {:.1} ms (p50 {:.1} / {:.1}; n = {} / {}), from the moment that a tick is due on the host to its rows at a reader of server-sent events, three agents with a tick a second on the same machine, without {apart}: those are drain_start_live_p99",
        took.as_secs_f64(),
        p99[0],
        p99[1],
        p50[0],
        p50[1],
        before.len(),
        beside.len(),
    );
    let speed = DAY_MS as f64 / 1e3 / took.as_secs_f64();
    figures.beside("drain_speed_times_real_time", "times real time", speed, Some(100.0), &[], &how);
    figures.beside("drain_live_p99_ratio", "times the baseline", p99[1] / p99[0], Some(2.0), &[], &how);
    let how = format!("live latency of {apart} (n = {}), as in drain_live_p99_ratio", starting.len());
    figures.note("drain_start_live_p99", "ms", percentile(&mut starting, 0.99), None, &how);
}

/// Lets the agent drain its spool, and kills it once in the middle.
async fn drain(system: &System, client: &Client, agent: &mut Agent, watch: &Watch, ticks: i64) -> Result<Duration> {
    let mut database = PgConnection::connect(&system.database_url()?).await?;
    watch.starts();
    agent.start()?;
    let began = Instant::now();
    let half = |left: Option<i64>| left.is_some_and(|left| left < ticks / 2);
    while !half(batches_left(client).await?) {
        ensure!(began.elapsed() < AT_MOST, "the first half has not drained within {AT_MOST:?}");
        tokio::time::sleep(LOOK).await;
    }
    agent.process()?.kill()?;
    watch.starts();
    agent.start()?;
    while stored(&mut database).await? < ticks {
        ensure!(began.elapsed() < AT_MOST, "the spool has not drained within {AT_MOST:?}");
        tokio::time::sleep(LOOK).await;
    }
    let took = began.elapsed();
    let rows: i64 = sqlx::query_scalar("select count(*) from host_samples where processes >= $1")
        .bind(MARK as f64)
        .fetch_one(&mut database)
        .await?;
    ensure!(rows == ticks, "{rows} rows of {ticks} ticks");
    Ok(took)
}

async fn batches_left(client: &Client) -> Result<Option<i64>> {
    let hosts = client.get("hosts").await?;
    let host = hosts.as_array().and_then(|hosts| hosts.iter().find(|host| host["name"] == HOSTS[0]));
    Ok(host.context("the host is not there")?["catching_up"]["batches_left"].as_i64())
}

/// How many different made ticks the ledger's tables hold.
async fn stored(database: &mut PgConnection) -> Result<i64> {
    let count = sqlx::query_scalar("select count(distinct processes) from host_samples where processes >= $1");
    Ok(count.bind(MARK as f64).fetch_one(database).await?)
}

fn now_ms() -> Result<f64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64() * 1e3)
}

/// Reads the streams of all hosts.
struct Watch {
    seen: Arc<Mutex<Seen>>,
    _readers: JoinSet<Result<()>>,
}

#[derive(Default)]
struct Seen {
    latencies: Latencies,
    /// When the draining agent started last.
    start_ms: f64,
}

/// In milliseconds.
#[derive(Default)]
struct Latencies {
    beside: Vec<f64>,
    /// Of the draining host's ticks right after its starts.
    starting: Vec<f64>,
}

impl Watch {
    async fn start(client: &Client, agents: &[Agent]) -> Result<Self> {
        let hosts = client.get("hosts").await?;
        let (seen, mut readers) = (Arc::<Mutex<Seen>>::default(), JoinSet::new());
        for (name, agent) in HOSTS.iter().zip(agents) {
            let host = hosts.as_array().and_then(|hosts| hosts.iter().find(|host| host["name"] == *name));
            let stream = client.stream(host.context("a host is not there")?["id"].as_i64()).await?;
            let log = agent.log();
            let phase = log.rsplit_once("phase_ms=").and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
            readers.spawn(read(stream, phase.context("no phase in the log")?, *name == HOSTS[0], Arc::clone(&seen)));
        }
        Ok(Self { seen, _readers: readers })
    }

    /// What was seen since the last time.
    fn take(&self) -> Latencies {
        std::mem::take(&mut self.lock().latencies)
    }

    /// The draining agent is about to start.
    fn starts(&self) {
        self.lock().start_ms = now_ms().unwrap_or(0.0);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(mut stream: Stream, phase_ms: f64, drains: bool, seen: Arc<Mutex<Seen>>) -> Result<()> {
    loop {
        let (name, data) = stream.next().await?;
        if name != "samples" {
            continue;
        }
        let (now_ms, tick_ms) = (now_ms()?, data["tick_ms"].as_f64().context("tick_ms")?);
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let since_start_ms = if drains { tick_ms - seen.start_ms } else { f64::INFINITY };
        let (latencies, ms) = (&mut seen.latencies, now_ms - tick_ms - phase_ms);
        match since_start_ms {
            // What it took before is history.
            ..0.0 => {}
            ..WARM_UP_MS => latencies.starting.push(ms),
            _ => latencies.beside.push(ms),
        }
    }
}
