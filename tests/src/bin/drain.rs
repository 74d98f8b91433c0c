//! `make bench`: how fast a day of one large host's spool drains, across a kill of its agent, and what live samples
//! lose by it.
//!
//! A real controller with its Postgres; the agent's spool of the day is made in advance. Live latency is that of
//! three real agents with a tick a second, the draining one among them, before the drain and during it.

use anyhow::{Context, Result, ensure};
use fleetlight_tests::client::{Client, Stream};
use fleetlight_tests::figures::Figures;
use fleetlight_tests::measure::percentile;
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
/// Before the first measurement, and after each start of the draining agent: what is read once is no latency.
const WARM_UP: Duration = Duration::from_secs(10);
const BASELINE: Duration = Duration::from_secs(60);
/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(200);
/// A hundred times real time, the least that is aimed at.
const AT_MOST: Duration = Duration::from_secs(864);

#[tokio::main]
async fn main() -> Result<()> {
    let system = System::start("drain", &Options::default())?;
    let client = system.set_up().await?;
    let config = AgentOptions { config: "interval_ms = 1000".into(), ..AgentOptions::default() };
    let mut agents = HOSTS.iter().map(|name| system.agent(name, &config)).collect::<Result<Vec<_>>>()?;
    tokio::time::sleep(WARM_UP).await;
    let watch = Watch::start(&client, &agents).await?;
    tokio::time::sleep(BASELINE).await;
    let baseline = watch.take();

    let [large, ..] = &mut agents[..] else { unreachable!("three agents") };
    large.process()?.kill()?;
    let mut busy = BusyHost::new(1, GPUS, CONTAINERS);
    let values = busy.values();
    let begin_ms = (now_ms()? / TICK_MS as f64) as i64 * TICK_MS - DAY_MS - 2 * 3_600_000;
    let times: Vec<i64> = (0..DAY_MS / TICK_MS).map(|tick| begin_ms + tick * TICK_MS).collect();
    past::leave(&system.dir().join(HOSTS[0]), HOSTS[0], &times, &mut busy)?;
    watch.take();
    let took = drain(&system, &client, large, &watch, times.len() as i64).await?;
    let during = watch.take();

    let (mut before, mut beside) = (baseline, during);
    let p99 = [percentile(&mut before, 0.99), percentile(&mut beside, 0.99)];
    let p50 = [percentile(&mut before, 0.5), percentile(&mut beside, 0.5)];
    let how = format!(
        "{} ticks of {values} values ({GPUS} GPUs, {CONTAINERS} containers) in {:.1} s, from the start of an agent with them in its spool to the last one in Postgres, with a kill -9 and a restart of the agent in the middle; live p99 baseline / during: {:.1} / {:.1} ms (p50 {:.1} / {:.1}; n = {} / {}), from the moment that a tick is due on the host to its rows at a reader of server-sent events, three agents with a tick a second on the same machine",
        times.len(),
        took.as_secs_f64(),
        p99[0],
        p99[1],
        p50[0],
        p50[1],
        before.len(),
        beside.len(),
    );
    let mut figures = Figures::default();
    let speed = DAY_MS as f64 / 1e3 / took.as_secs_f64();
    figures.beside("drain_speed_times_real_time", "times real time", speed, Some(100.0), &[], &how);
    figures.beside("drain_live_p99_ratio", "times the baseline", p99[1] / p99[0], Some(2.0), &[], &how);
    figures.write()
}

/// Lets the agent drain its spool, and kills it once in the middle.
async fn drain(system: &System, client: &Client, agent: &mut Agent, watch: &Watch, ticks: i64) -> Result<Duration> {
    let mut database = PgConnection::connect(&system.database_url()?).await?;
    watch.pause();
    agent.start()?;
    let began = Instant::now();
    let half = |left: Option<i64>| left.is_some_and(|left| left < ticks / 2);
    while !half(batches_left(client).await?) {
        ensure!(began.elapsed() < AT_MOST, "the first half has not drained within {AT_MOST:?}");
        tokio::time::sleep(LOOK).await;
    }
    agent.process()?.kill()?;
    watch.pause();
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
    latencies_ms: Vec<f64>,
    /// Ticks of the draining host before it do not count.
    from_ms: f64,
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
    fn take(&self) -> Vec<f64> {
        std::mem::take(&mut self.lock().latencies_ms)
    }

    /// The draining agent is about to start.
    fn pause(&self) {
        self.lock().from_ms = now_ms().unwrap_or(0.0) + WARM_UP.as_secs_f64() * 1e3;
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
        if !drains || tick_ms >= seen.from_ms {
            seen.latencies_ms.push(now_ms - tick_ms - phase_ms);
        }
    }
}
