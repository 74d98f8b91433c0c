//! The agent's four collectors as the agent runs them, on one thread, and what a source that never
//! answers costs them.

use fleetlight_agent::collectors::containers::{self, Containers};
use fleetlight_agent::collectors::gpu::GpuCollector;
use fleetlight_agent::collectors::host::Host;
use fleetlight_agent::collectors::mounts::Mounts;
use fleetlight_agent::collectors::names::ContainerNames;
use fleetlight_agent::collectors::{Collector, Reading, run};
use fleetlight_agent::config::AgentConfig;
use fleetlight_agent::workers::Worker;
use fleetlight_protocol::document::{Body, CollectorState};
use fleetlight_protocol::samples::{CollectorSample, EntityKind, MountState, Row, Sample};
use fleetlight_tests::executor::Beside;
use fleetlight_tests::measure::{percentile, pss_bytes, tree};
use fleetlight_tests::sim_agent::Folder;
use fleetlight_tests::system::binary;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, advance, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Short, so that a hundred ticks are soon had.
const INTERVAL: Duration = Duration::from_millis(150);

/// Ticks of each other collector that are judged.
const TICKS: usize = 100;

/// Times that jitter is measured, at most.
const ROUNDS: usize = 3;

/// What the others' ticks may be late, 99 of 100.
const JITTER_SECONDS: f64 = 0.05;

/// What an hour may cost.
const HOUR: Duration = Duration::from_secs(3_600);
const HOUR_BYTES: u64 = 2 * 1024 * 1024;

/// The agent's own interval, in that hour.
const STEP: Duration = Duration::from_secs(5);

/// Looks in that hour.
const LOOKS: usize = 720;

/// What a step of the clock gives workers and sockets to answer in.
const PACE: Duration = Duration::from_millis(10);

/// The longest that a source may be stuck before it is called so.
const STUCK_WITHIN: Duration = Duration::from_secs(12);

/// The collectors, and what they have said.
pub struct Agent {
    inbox: mpsc::Receiver<Reading>,
    stop: CancellationToken,
    tasks: TaskTracker,
    _state: Folder,
    _executor: Beside,
    late: BTreeMap<&'static str, Vec<f64>>,
    missed: BTreeMap<&'static str, f64>,
    /// Collectors and mounts that are stuck.
    stuck: BTreeSet<String>,
}

impl Agent {
    /// Starts the collectors. `config` names the sources.
    ///
    /// The executor shares thread and clock with them, and what it costs counts as theirs.
    pub async fn start(config: AgentConfig, interval: Duration) -> Self {
        let state = Folder::new().expect("a folder");
        let config =
            AgentConfig { state_dir: state.path().to_owned(), interval_ms: interval.as_millis() as u32, ..config };
        let executor = Beside::start(config).await.expect("an executor");
        let config = executor.config();
        let (outbox, inbox) = mpsc::channel(64);
        let (stop, tasks, names) = (CancellationToken::new(), TaskTracker::new(), Arc::new(ContainerNames::default()));
        let program = binary("fleetlight-agent").expect("the agent is built");
        let worker = |args: &[&str]| Worker::new(program.clone(), args);
        let host = Host::new(&config, outbox.clone());
        let mounts = Mounts::with_worker(&config, outbox.clone(), worker(&["mount-worker"]));
        let nvml = worker(&["nvml-worker", "--library", &config.nvml_library]);
        let gpu = GpuCollector::with_worker(nvml, &config, Arc::clone(&names), outbox.clone());
        let (containers, watch): (Containers, _) = containers::spawn(&config, outbox.clone(), names, stop.clone());
        let phase = Duration::ZERO;
        tasks.spawn(run(host, interval, phase, outbox.clone(), stop.clone()));
        tasks.spawn(run(mounts, interval, phase, outbox.clone(), stop.clone()));
        tasks.spawn(run(gpu, interval, phase, outbox.clone(), stop.clone()));
        tasks.spawn(run(containers, interval, phase, outbox, stop.clone()));
        tasks.spawn(watch);
        let (late, missed, stuck) = Default::default();
        Self { inbox, stop, tasks, _state: state, _executor: executor, late, missed, stuck }
    }

    fn hear(&mut self, reading: Reading) {
        match reading {
            Reading::Rows { collector, rows, .. } => {
                let own = rows.iter().find(|row| row.kind == EntityKind::Collector).expect("its own row");
                self.late.entry(collector).or_default().push(value(own, "lateness_seconds"));
                self.missed.insert(collector, value(own, "missed_ticks"));
            }
            Reading::Documents(documents) => {
                for document in documents {
                    let stuck = match &document.body {
                        Some(Body::Collector(body)) => body.state == CollectorState::Stuck,
                        Some(Body::Mount(body)) => body.state == MountState::Hung,
                        _ => continue,
                    };
                    if stuck {
                        self.stuck.insert(document.key);
                    } else {
                        self.stuck.remove(&document.key);
                    }
                }
            }
            Reading::Events(_) => {}
        }
    }

    /// Listens for a while.
    async fn listen(&mut self, period: Duration) {
        let end = Instant::now() + period;
        while let Ok(reading) = timeout_at(end, self.inbox.recv()).await {
            self.hear(reading.expect("collectors run"));
        }
    }

    async fn until(&mut self, what: &str, within: Duration, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + within;
        while !done(self) {
            let reading = timeout_at(deadline, self.inbox.recv()).await;
            self.hear(reading.unwrap_or_else(|_| panic!("no {what} within {within:?}")).expect("collectors run"));
        }
    }

    /// Threads of the agent and its workers that stay: what asks, and ends, does not count.
    async fn threads(&mut self) -> usize {
        let mut least = usize::MAX;
        for _ in 0..20 {
            self.listen(Duration::from_millis(100)).await;
            let tasks = |pid: &u32| std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
            least = least.min(tree(std::process::id()).iter().map(tasks).sum());
        }
        least
    }

    /// The proportional set size of the agent, and of agent and workers: the least of some looks,
    /// since a worker that asks, and ends, does not count.
    async fn memory(&mut self) -> [u64; 2] {
        let (this, mut least) = (std::process::id(), [u64::MAX; 2]);
        for _ in 0..20 {
            self.listen(Duration::from_millis(50)).await;
            // One that is just ending has no size.
            if let (Ok(own), Ok(all)) = (pss_bytes(&[this]), pss_bytes(&tree(this))) {
                least = [least[0].min(own), least[1].min(all)];
            }
        }
        least
    }

    /// Lets the clock jump from step to step until the host has been looked at `looks` times and
    /// `period` has passed. What answers is real, and is waited for.
    async fn pass(&mut self, looks: usize, period: Duration) {
        let (began, before) = (Instant::now(), self.ticks(Host::NAME));
        while self.ticks(Host::NAME) < before + looks || began.elapsed() < period {
            tokio::time::pause();
            advance(STEP).await;
            tokio::time::resume();
            self.listen(PACE).await;
        }
    }

    fn ticks(&self, collector: &str) -> usize {
        self.late.get(collector).map_or(0, Vec::len)
    }

    async fn end(mut self) {
        self.stop.cancel();
        self.tasks.close();
        self.inbox.close();
        tokio::time::timeout(Duration::from_secs(5), self.tasks.wait()).await.expect("collectors end");
    }
}

/// The collector of the stuck source, as in [`Collector::NAME`], its name when stuck, and the act.
pub struct Fault<'a> {
    pub collector: &'static str,
    pub stuck: String,
    pub begin: Box<dyn Fn() + 'a>,
}

/// Nobody but the stuck source's own collector misses a tick or is late, and one thread is lost at
/// most.
///
/// A thread that does nothing but wake at the same moments tells what the machine itself is late by
/// while the test runs: the collectors have 50 ms beyond that. On a machine that others use as well one round
/// may be worse; a source that holds up the others makes every round so.
pub async fn the_others_keep_time(config: AgentConfig, fault: Fault<'_>) {
    let mut agent = Agent::start(config, INTERVAL).await;
    agent.until("twenty ticks", STUCK_WITHIN, |agent| agent.ticks(Host::NAME) >= 20).await;
    let threads = agent.threads().await;
    (fault.begin)();
    agent.until(&format!("{} stuck", fault.stuck), STUCK_WITHIN, |agent| agent.stuck.contains(&fault.stuck)).await;

    let mut rounds = Vec::new();
    while rounds.iter().all(|(late, machine)| *late > JITTER_SECONDS + machine) {
        assert!(rounds.len() < ROUNDS, "seconds within which 99 of 100 ticks, and bare wakings, were: {rounds:?}");
        rounds.push(jitter(&mut agent, fault.collector).await);
    }
    let lost = agent.threads().await as isize - threads as isize;
    println!("p99 of jitter, and of bare wakings, in seconds: {rounds:?}; {lost} threads lost");
    assert!(lost <= 1, "{lost} threads lost");
    agent.end().await;
}

/// How late 99 of 100 ticks of the other collectors are, and of a thread that only wakes; none is missed.
async fn jitter(agent: &mut Agent, stuck: &str) -> (f64, f64) {
    let (bare, missed) = (Bare::start(), agent.missed.clone());
    agent.late.clear();
    agent.until("ticks", INTERVAL * 2 * TICKS as u32, |agent| agent.ticks(Host::NAME) >= TICKS).await;
    let mut machine = bare.stop();
    let mut late = std::mem::take(&mut agent.late);
    late.remove(stuck);
    assert_eq!(late.len(), 3, "all others tick: {:?}", late.keys());
    for (collector, late) in &late {
        assert!(late.len() >= TICKS - 1, "{collector} has ticked {} times of {TICKS}", late.len());
        assert_eq!(agent.missed[collector], missed[collector], "{collector} has missed a tick");
    }
    let mut late: Vec<f64> = late.into_values().flatten().collect();
    (percentile(&mut late, 0.99), percentile(&mut machine, 0.99))
}

/// Agent and workers grow by 2 MiB at most in an hour with the stuck source.
pub async fn an_hour_costs_little(config: AgentConfig, fault: Fault<'_>) {
    let mut agent = Agent::start(config, STEP).await;
    agent.pass(60, Duration::ZERO).await;
    let before = agent.memory().await;
    (fault.begin)();
    // By the real clock: a worker waits a while for one that falls silent, and a clock that jumps would call that late.
    // The source is asked at the next step.
    agent
        .until(&format!("{} stuck", fault.stuck), STUCK_WITHIN + STEP, |agent| agent.stuck.contains(&fault.stuck))
        .await;
    agent.pass(LOOKS, HOUR).await;
    let after = agent.memory().await;
    println!("{:?} KiB before, {:?} KiB after an hour", before.map(kib), after.map(kib));
    // The agent by itself too: a worker that is gone for the moment must not make up for it.
    for (before, after) in before.into_iter().zip(after) {
        assert!(after <= before + HOUR_BYTES, "{before} bytes before, {after} after an hour");
    }
    agent.end().await;
}

/// Runs a test on one thread, as the agent runs.
pub fn on_one_thread(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(test);
    runtime.shutdown_background();
}

fn kib(bytes: u64) -> u64 {
    bytes / 1024
}

fn value(row: &Row, name: &str) -> f64 {
    let index = CollectorSample::METRICS.iter().position(|metric| metric.name == name).expect("a metric");
    row.values[index].expect("collectors know themselves")
}

/// A thread that wakes at the moments of the ticks and notes how late it is.
struct Bare {
    stop: blocking::Sender<()>,
    thread: std::thread::JoinHandle<Vec<f64>>,
}

impl Bare {
    fn start() -> Self {
        let (stop, stopped) = blocking::channel();
        let thread = std::thread::spawn(move || {
            let mut late = Vec::new();
            loop {
                let interval = INTERVAL.as_millis() as i64;
                let now = fleetlight_agent::tick::wall_ms();
                let wait = Duration::from_millis((interval - now.rem_euclid(interval)) as u64);
                let began = std::time::Instant::now();
                if stopped.recv_timeout(wait) != Err(blocking::RecvTimeoutError::Timeout) {
                    return late;
                }
                late.push(began.elapsed().saturating_sub(wait).as_secs_f64());
            }
        });
        Self { stop, thread }
    }

    fn stop(self) -> Vec<f64> {
        drop(self.stop);
        self.thread.join().expect("it ends")
    }
}
