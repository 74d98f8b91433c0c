//! A host whose NVML is the stub library: its scenario, its `/proc`, and the collector on it.

use fleetlight_agent::collectors::gpu::GpuCollector;
use fleetlight_agent::collectors::names::ContainerNames;
use fleetlight_agent::collectors::{Collector, Reading, Unavailable};
use fleetlight_agent::config::AgentConfig;
use fleetlight_agent::tick::{Tick, wall_ms};
use fleetlight_agent::workers::Worker;
use fleetlight_protocol::document::{Body, Document, GpuDocument, GpuDriverDocument};
use fleetlight_protocol::event::Event;
use fleetlight_protocol::samples::{EntityKind, Row};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The agent's own binary.
pub const AGENT: &str = env!("CARGO_BIN_EXE_fleetlight-agent");

/// The stub library, built when the first test asks for it.
fn stub() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = Path::new(AGENT).parent().expect("the binary is in the profile's folder");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "-p", "fleetlight-nvml-stub", "--target-dir"]);
        build.arg(folder.parent().expect("and that is in the target folder"));
        if folder.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success(), "the stub library builds");
        folder.join("libfleetlight_nvml_stub.so")
    })
}

pub struct Host {
    folder: PathBuf,
    pub library: PathBuf,
    pub config: AgentConfig,
    pub names: Arc<ContainerNames>,
    collector: Option<GpuCollector>,
    outbox: mpsc::Receiver<Reading>,
    /// Everything said so far, newest last.
    pub documents: Vec<Document>,
    pub events: Vec<Event>,
}

impl Host {
    pub fn new(scenario: &Value) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("gpu-{}", uuid::Uuid::new_v4()));
        let library = folder.join("libfleetlight_nvml_stub.so");
        std::fs::create_dir_all(folder.join("proc")).expect("a folder for the test");
        std::fs::hard_link(stub(), &library).expect("the library, with a scenario of its own beside it");
        let config = AgentConfig {
            proc_root: folder.join("proc"),
            user_pattern: Some("^comfy-(user[0-9]+)$".into()),
            ..AgentConfig::default()
        };
        let names = Arc::new(ContainerNames::default());
        let (outbox, receiver) = mpsc::channel(64);
        let collector = Some(collector(&library, &config, &names, outbox));
        let (documents, events) = Default::default();
        let host = Self { folder, library, config, names, collector, outbox: receiver, documents, events };
        host.set(scenario);
        host
    }

    /// Changes what the library says, at once and as a whole.
    pub fn set(&self, scenario: &Value) {
        let (fresh, file) = (self.folder.join("fresh.json"), self.folder.join("scenario.json"));
        std::fs::write(&fresh, scenario.to_string()).expect("written");
        std::fs::rename(fresh, file).expect("renamed");
    }

    /// Adds a process to the host's `/proc`.
    pub fn process(&self, pid: u32, cmdline: &str, cgroup: &str, uid: u32) {
        let folder = self.config.proc_root.join(pid.to_string());
        std::fs::create_dir_all(&folder).expect("a folder");
        for (file, text) in [("cmdline", cmdline), ("cgroup", cgroup), ("status", &format!("Uid:\t{uid}\t{uid}\n"))] {
            std::fs::write(folder.join(file), text).expect("written");
        }
    }

    pub fn collector(&mut self) -> &mut GpuCollector {
        self.collector.as_mut().expect("not taken")
    }

    /// Hands the collector over to who runs it, with a channel of its own.
    pub fn take(&mut self) -> (GpuCollector, mpsc::Receiver<Reading>, mpsc::Sender<Reading>) {
        let (outbox, receiver) = mpsc::channel(1_024);
        self.collector = None;
        (collector(&self.library, &self.config, &self.names, outbox.clone()), receiver, outbox)
    }

    /// One tick.
    pub async fn tick(&mut self) -> Result<Vec<Row>, Unavailable> {
        let tick = Tick { at_ms: wall_ms(), due: Instant::now() };
        let rows = self.collector().collect(tick).await;
        while let Ok(reading) = self.outbox.try_recv() {
            match reading {
                Reading::Documents(documents) => self.documents.extend(documents),
                Reading::Events(events) => self.events.extend(events),
                Reading::Rows { .. } => panic!("rows are the runner's to send"),
            }
        }
        rows
    }

    /// Ticks until `done`, for `within` at most.
    pub async fn until(
        &mut self,
        within: Duration,
        mut done: impl FnMut(&Self, &Result<Vec<Row>, Unavailable>) -> bool,
    ) {
        let deadline = Instant::now() + within;
        loop {
            let rows = self.tick().await;
            if done(self, &rows) {
                return;
            }
            assert!(Instant::now() < deadline, "not within {within:?}; last: {rows:?}; events: {:?}", self.events);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The newest document of a GPU.
    pub fn gpu(&self, key: &str) -> Option<&GpuDocument> {
        let newest = self.documents.iter().rfind(|it| it.kind == EntityKind::Gpu && it.key == key)?;
        match newest.body.as_ref()? {
            Body::Gpu(document) => Some(document),
            other => panic!("{other:?}"),
        }
    }

    /// The newest document of the driver.
    pub fn driver(&self) -> &GpuDriverDocument {
        let newest = self.documents.iter().rfind(|it| it.kind == EntityKind::GpuDriver);
        match newest.and_then(|it| it.body.as_ref()) {
            Some(Body::GpuDriver(document)) => document,
            other => panic!("{other:?}"),
        }
    }

    /// Names of the facts of a GPU's events.
    pub fn facts(&self, key: &str) -> Vec<&'static str> {
        self.events.iter().filter(|event| event.key == key).map(|event| event.fact.name()).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn collector(
    library: &Path,
    config: &AgentConfig,
    names: &Arc<ContainerNames>,
    outbox: mpsc::Sender<Reading>,
) -> GpuCollector {
    let library = library.to_str().expect("an ordinary path");
    let worker = Worker::new(AGENT.into(), &["nvml-worker", "--library", library]);
    GpuCollector::with_worker(worker, config, Arc::clone(names), outbox)
}

/// The row of an entity, with its numbers by name.
pub fn numbers(rows: &[Row], kind: EntityKind, key: &str) -> std::collections::BTreeMap<&'static str, f64> {
    let row = rows.iter().find(|row| row.kind == kind && row.key == key).unwrap_or_else(|| panic!("no row of {key}"));
    let named = kind.metrics().iter().zip(&row.values);
    named.filter_map(|(metric, value)| Some((metric.name, (*value)?))).collect()
}
