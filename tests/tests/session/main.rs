//! Sessions on the simulated network, and enrolment over loopback: both sides' transport as it
//! ships, with a directory and an ingest in memory.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests")]

mod delivery;
mod enrolment;
mod errands;
mod faults;
mod former;
mod history;
mod real;
mod trust;

use fleetlight_tests::sim_agent::{SimAgent, Ways, authority};
use fleetlight_tests::sim_controller::{Memory, SimController};
use fleetlight_tests::sim_net::SimNet;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tracing_subscriber::fmt::MakeWriter;

/// A controller on a network of its own.
struct World {
    net: SimNet,
    memory: Arc<Memory>,
    controller: SimController,
}

fn address() -> SocketAddr {
    ([10, 0, 1, 1], 7_443).into()
}

impl World {
    fn new(seed: u64) -> Self {
        let net = SimNet::new(seed);
        let memory = Arc::new(Memory::new(authority().expect("a CA")));
        let controller = SimController::start(&net, address(), &memory).expect("a controller");
        Self { net, memory, controller }
    }

    fn agent(&self, host: u8) -> SimAgent {
        self.agent_with(host, Ways::default())
    }

    fn agent_with(&self, host: u8, ways: Ways) -> SimAgent {
        SimAgent::start(&self.net, host, address(), &self.memory, ways).expect("an agent")
    }

    fn connects(&self) -> usize {
        self.controller.connects().len()
    }
}

/// Ticks once a second for `seconds`.
async fn ticking(agent: &SimAgent, seconds: u32) {
    for _ in 0..seconds {
        agent.tick(i64::from(Instant::now().elapsed().as_millis() as u32));
        sleep(Duration::from_secs(1)).await;
    }
}

/// Waits until `condition`; the wait is in simulated time.
async fn until(what: &str, limit: Duration, condition: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    let reached = timeout(limit, async {
        while !condition() {
            sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(reached.await.is_ok(), "not within {limit:?}: {what}");
    began.elapsed()
}

/// Everything that was pushed is committed, once, and nothing is left.
async fn all_arrived(agent: &SimAgent, memory: &Memory) {
    until("everything acknowledged", Duration::from_secs(200), || agent.is_empty()).await;
    let tables = memory.tables();
    let epoch = agent.spool.epoch();
    let mut arrived: Vec<u64> =
        tables.committed.iter().filter(|(of, ..)| *of == epoch).map(|(_, seq, _)| *seq).collect();
    arrived.sort_unstable();
    let pushed: Vec<u64> = (1..*agent.spool.head().borrow()).collect();
    assert_eq!(arrived, pushed);
}

/// What this thread logs, as lines.
#[derive(Clone, Default)]
struct Words(Arc<Mutex<Vec<u8>>>);

impl Words {
    /// Listens until the guard goes.
    fn listen() -> (Self, tracing::subscriber::DefaultGuard) {
        // With one subscriber in the process, tracing asks that of the thread on which a place logs first: another test's,
        // which has none, would silence the place for ours.
        static SECOND: LazyLock<tracing::Dispatch> =
            LazyLock::new(|| tracing::Dispatch::new(tracing_subscriber::registry()));
        LazyLock::force(&SECOND);
        let words = Self::default();
        let subscriber =
            tracing_subscriber::fmt().with_writer(words.clone()).with_ansi(false).with_max_level(tracing::Level::INFO);
        (words, tracing::subscriber::set_default(subscriber.finish()))
    }

    /// How many lines hold `part`.
    fn count(&self, part: &str) -> usize {
        let bytes = self.0.lock().unwrap();
        String::from_utf8_lossy(&bytes).lines().filter(|line| line.contains(part)).count()
    }

    fn assert_once(&self, part: &str) {
        let bytes = self.0.lock().unwrap().clone();
        assert_eq!(self.count(part), 1, "{part:?} in:\n{}", String::from_utf8_lossy(&bytes));
    }
}

impl Write for Words {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Words {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
