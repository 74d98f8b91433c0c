//! A mount that hangs, through the real worker process: it is called hung in time, costs one
//! thread of the worker and nothing of the agent, and is known to be back, cut off, gone.
//!
//! See `mount.rs` for the namespace that it runs in.

use crate::fuse::{self, GatedMount};
use crate::mount::with_a_mount;
use fleetlight_agent::collectors::host::Host;
use fleetlight_agent::collectors::mounts::Mounts;
use fleetlight_agent::collectors::{Collector, Reading, run};
use fleetlight_agent::config::AgentConfig;
use fleetlight_agent::workers::Worker;
use fleetlight_protocol::document::Body;
use fleetlight_protocol::event::{Fact, Severity};
use fleetlight_protocol::samples::{CollectorSample, EntityKind, MountSample, MountState, Row, Sample};
use fleetlight_tests::system::binary;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const INTERVAL: Duration = Duration::from_secs(5);
const HOST_INTERVAL: Duration = Duration::from_secs(1);

/// The promise at this interval.
const HUNG_WITHIN: Duration = Duration::from_secs(10);

/// Two looks and a slow machine.
const SOON: Duration = Duration::from_secs(8);

#[test]
fn a_hung_mount_is_told_and_hinders_nobody() {
    with_a_mount("mount_told::a_hung_mount_is_told_and_hinders_nobody", told);
}

async fn told(mount: &GatedMount) {
    let mut agent = Agent::start(mount);

    let row = agent.row_with(MountState::Ok, SOON).await;
    assert_eq!(row.total_bytes, Some(fuse::BLOCKS as f64 * 4_096.0));
    assert_eq!(row.used_bytes, Some(fuse::BLOCKS as f64 / 2.0 * 4_096.0));
    assert_eq!((row.inodes_total, row.inodes_used), (Some(100.0), Some(40.0)));

    mount.fall_silent();
    let hung = agent.change_to(MountState::Hung, HUNG_WITHIN).await;
    assert_eq!(hung.severity, Severity::Crit);
    assert!(hung.reason.contains("/abort"), "says what to do: {}", hung.reason);
    let row = agent.row_with(MountState::Hung, SOON).await;
    assert_eq!(row.total_bytes, None, "only its state is known");
    agent.has_threads(2).await;

    mount.answer_again();
    agent.change_to(MountState::Ok, SOON).await;
    agent.row_with(MountState::Ok, SOON).await;

    mount.fall_silent();
    agent.change_to(MountState::Hung, HUNG_WITHIN).await;
    mount.abort();
    let cut = agent.change_to(MountState::Stale, SOON).await;
    assert!(cut.reason.contains("umount"), "says what to do: {}", cut.reason);

    mount.unmount();
    agent.gone(SOON).await;
    agent.end().await;
}

/// The two collectors as the agent runs them, and what they say.
struct Agent {
    mount: String,
    inbox: mpsc::Receiver<Reading>,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// Grid times of the host's ticks.
    host_ticks: Vec<i64>,
    state_dir: PathBuf,
}

struct Change {
    severity: Severity,
    reason: String,
}

impl Agent {
    fn start(mount: &GatedMount) -> Self {
        let state_dir = mount.place.with_extension("state");
        std::fs::create_dir_all(&state_dir).expect("temp folder is writable");
        let config = AgentConfig { state_dir: state_dir.clone(), ..AgentConfig::default() };
        let (outbox, inbox) = mpsc::channel(64);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let worker = Worker::new(binary("fleetlight-agent").expect("the agent is built"), &["mount-worker"]);
        let mounts = Mounts::with_worker(&config, outbox.clone(), worker);
        tasks.spawn(run(mounts, INTERVAL, Duration::ZERO, outbox.clone(), stop.clone()));
        let host = Host::new(&config, outbox.clone());
        tasks.spawn(run(host, HOST_INTERVAL, Duration::ZERO, outbox, stop.clone()));
        let mount = mount.place.display().to_string();
        Self { mount, inbox, stop, tasks, host_ticks: Vec::new(), state_dir }
    }

    /// Waits for the first reading of the mount that `find` accepts.
    async fn wait<T>(&mut self, what: &str, within: Duration, find: impl Fn(&Reading, &str) -> Option<T>) -> T {
        let deadline = Instant::now() + within;
        loop {
            let reading = tokio::time::timeout_at(deadline, self.inbox.recv()).await;
            let reading = reading.unwrap_or_else(|_| panic!("no {what} within {within:?}")).expect("collectors run");
            self.check_host(&reading);
            if let Some(found) = find(&reading, &self.mount) {
                return found;
            }
        }
    }

    /// The host's collector must miss no tick, whatever the mounts do.
    fn check_host(&mut self, reading: &Reading) {
        let Reading::Rows { collector: Host::NAME, at_ms, rows } = reading else { return };
        if let Some(last) = self.host_ticks.last() {
            assert_eq!(at_ms - last, HOST_INTERVAL.as_millis() as i64, "a tick of the host is missing");
        }
        self.host_ticks.push(*at_ms);
        let own = rows.iter().find(|row| row.kind == EntityKind::Collector).expect("its own row");
        assert_eq!(value::<CollectorSample>(own, "missed_ticks"), Some(0.0));
    }

    async fn row_with(&mut self, state: MountState, within: Duration) -> MountSample {
        self.wait(&format!("row in state {state:?}"), within, |reading, mount| {
            let Reading::Rows { collector: Mounts::NAME, rows, .. } = reading else { return None };
            let row = rows.iter().find(|row| row.kind == EntityKind::Mount && row.key == mount)?;
            let value = |name| value::<MountSample>(row, name);
            (value("state") == Some(f64::from(state as u8))).then(|| MountSample {
                total_bytes: value("total_bytes"),
                used_bytes: value("used_bytes"),
                inodes_total: value("inodes_total"),
                inodes_used: value("inodes_used"),
                ..MountSample::default()
            })
        })
        .await
    }

    /// Waits for the event, having seen the document that goes before it.
    async fn change_to(&mut self, state: MountState, within: Duration) -> Change {
        let began = Instant::now();
        let documented = self
            .wait(&format!("document in state {state:?}"), within, |reading, mount| {
                let Reading::Documents(documents) = reading else { return None };
                documents.iter().find_map(|document| match &document.body {
                    Some(Body::Mount(body)) if document.key == mount && body.state == state => {
                        Some(body.reason.clone())
                    }
                    _ => None,
                })
            })
            .await;
        println!("{state:?} after {} ms", began.elapsed().as_millis());
        let (severity, reason) = self
            .wait(&format!("event to {state:?}"), SOON, |reading, mount| {
                let Reading::Events(events) = reading else { return None };
                events.iter().find_map(|event| match &event.fact {
                    Fact::MountChanged { to, reason, .. } if event.key == mount && *to == state => {
                        Some((event.severity, reason.clone()))
                    }
                    _ => None,
                })
            })
            .await;
        assert_eq!(reason, documented, "event and document agree");
        Change { severity, reason }
    }

    async fn gone(&mut self, within: Duration) {
        self.wait("document without a body", within, |reading, mount| {
            let Reading::Documents(documents) = reading else { return None };
            documents.iter().find(|document| document.key == mount && document.body.is_none()).map(|_| ())
        })
        .await;
    }

    fn worker_pid(&self) -> u32 {
        worker_pid().expect("the worker runs")
    }

    /// One thread waits, one answers; those that ask other mounts come and go.
    async fn has_threads(&self, expected: usize) {
        let deadline = Instant::now() + SOON;
        while threads(self.worker_pid()) != expected {
            assert!(Instant::now() < deadline, "{} threads stay", threads(self.worker_pid()));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The worker ends with its collector.
    async fn end(mut self) {
        assert!(self.host_ticks.len() > 10, "{:?}", self.host_ticks);
        self.stop.cancel();
        self.tasks.close();
        self.inbox.close();
        tokio::time::timeout(SOON, self.tasks.wait()).await.expect("collectors end");
        let deadline = Instant::now() + SOON;
        while let Some(pid) = worker_pid() {
            assert!(Instant::now() < deadline, "worker {pid} is still there");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::fs::remove_dir_all(&self.state_dir).expect("removes");
    }
}

fn value<S: Sample>(row: &Row, name: &str) -> Option<f64> {
    let index = S::METRICS.iter().position(|metric| metric.name == name).expect("a metric");
    row.values[index]
}

/// The child of this process: the worker is the only one.
fn worker_pid() -> Option<u32> {
    let parent = format!("PPid:\t{}", std::process::id());
    let processes = std::fs::read_dir("/proc").expect("procfs").flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find(|pid| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line == parent) && !status.contains("State:\tZ")
    })
}

fn threads(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).expect("the worker runs").count()
}
