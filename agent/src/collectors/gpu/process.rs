//! Whose a process on a GPU is: process → container by cgroup → user by the container's name, else
//! the account that runs it.

use crate::collectors::names::{ContainerNames, UserPattern};
use crate::workers::nvml::messages::{GpuReading, ProcessReading};
use fleetlight_protocol::document::{Body, Document, GpuProcessDocument};
use fleetlight_protocol::samples::{EntityKind, GpuProcessSample, Row, Sample};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// Finds owners, and knows what was said of which process.
#[derive(Debug)]
pub struct Attribution {
    proc_root: PathBuf,
    accounts: Accounts,
    names: Arc<ContainerNames>,
    pattern: UserPattern,
    /// By pid, as long as it is on a GPU: neither changes while a process lives.
    origins: HashMap<u32, Origin>,
    said: BTreeMap<String, GpuProcessDocument>,
}

#[derive(Debug, Clone, Default)]
struct Origin {
    container: Option<String>,
    account: Option<String>,
}

impl Attribution {
    #[must_use]
    pub fn new(proc_root: PathBuf, passwd: PathBuf, names: Arc<ContainerNames>, pattern: UserPattern) -> Self {
        let accounts = Accounts { file: passwd, read: None, names: HashMap::new() };
        Self { proc_root, accounts, names, pattern, origins: HashMap::new(), said: BTreeMap::new() }
    }

    /// Documents of processes that are new, changed or gone.
    pub fn changes(&mut self, gpus: &[GpuReading], at_ms: i64) -> Vec<Document> {
        let pids: Vec<u32> = gpus.iter().flat_map(|gpu| &gpu.processes).map(|process| process.pid).collect();
        self.origins.retain(|pid, _| pids.contains(pid));
        let mut now = BTreeMap::new();
        for gpu in gpus {
            for process in &gpu.processes {
                now.insert(key(&gpu.uuid, process.pid), self.document(&gpu.uuid, process));
            }
        }
        let document =
            |key: &String, body| Document { kind: EntityKind::GpuProcess, key: key.clone(), observed_ms: at_ms, body };
        let gone = self.said.keys().filter(|key| !now.contains_key(*key)).map(|key| document(key, None));
        let new = now.iter().filter(|(key, body)| self.said.get(*key) != Some(body));
        let changes = gone.chain(new.map(|(key, body)| document(key, Some(Body::GpuProcess(body.clone()))))).collect();
        self.said = now;
        changes
    }

    /// Forgets what was said.
    pub fn say_again(&mut self) {
        self.said.clear();
    }

    fn document(&mut self, gpu: &str, process: &ProcessReading) -> GpuProcessDocument {
        let Self { proc_root, accounts, origins, .. } = self;
        let origin = origins.entry(process.pid).or_insert_with(|| origin(proc_root, accounts, process.pid));
        let name = origin.container.as_ref().and_then(|id| self.names.name(id));
        let user = name.and_then(|name| self.pattern.user(&name)).or_else(|| origin.account.clone());
        GpuProcessDocument {
            gpu: gpu.to_owned(),
            pid: process.pid,
            name: process.name.clone(),
            context: if process.compute { "compute" } else { "graphics" }.to_owned(),
            container: origin.container.clone(),
            user,
        }
    }
}

/// `<gpu uuid>/<pid>`
fn key(gpu: &str, pid: u32) -> String {
    format!("{gpu}/{pid}")
}

/// The row of one process on one GPU.
pub fn row(gpu: &str, process: &ProcessReading) -> Row {
    let memory_used_bytes = process.memory_used_bytes.map(|bytes| bytes as f64);
    GpuProcessSample { memory_used_bytes, utilization_percent: process.utilization_percent }.row(key(gpu, process.pid))
}

/// Neither file waits for a lock that a process stuck in the driver could hold.
fn origin(proc_root: &Path, accounts: &mut Accounts, pid: u32) -> Origin {
    let folder = proc_root.join(pid.to_string());
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_default();
    Origin { container: container(&read("cgroup")), account: uid(&read("status")).map(|uid| accounts.name(uid)) }
}

/// Full id of the container of a process, from its `/proc/<pid>/cgroup`.
///
/// Runtimes name the cgroup of a container by its 64 hexadecimal digits, alone (`/docker/<id>`,
/// `/kubepods/…/<id>`) or in a systemd scope (`docker-<id>.scope`, `cri-containerd-<id>.scope`,
/// `libpod-<id>.scope`). Of nested containers the outermost is the one that this host knows.
fn container(cgroup: &str) -> Option<String> {
    let paths = cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let mut ids = paths.flat_map(|path| path.split('/')).filter_map(|part| {
        let scope = part.strip_suffix(".scope").unwrap_or(part);
        let (runtime, id) = scope.rsplit_once('-').unwrap_or(("", scope));
        let hex = id.len() == 64 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        // conmon is the process that watches a container of podman or CRI-O.
        (hex && !runtime.ends_with("conmon")).then(|| id.to_owned())
    });
    ids.next()
}

/// Real user id, from `/proc/<pid>/status`.
fn uid(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?.parse().ok()
}

/// Names of accounts, read again when the file changes.
#[derive(Debug)]
struct Accounts {
    file: PathBuf,
    read: Option<SystemTime>,
    names: HashMap<u32, String>,
}

impl Accounts {
    /// The account's name, else its number.
    fn name(&mut self, uid: u32) -> String {
        let changed = std::fs::metadata(&self.file).and_then(|file| file.modified()).ok();
        if self.read.is_none() || self.read != changed {
            self.names = accounts(&std::fs::read_to_string(&self.file).unwrap_or_default());
            self.read = changed;
        }
        self.names.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }
}

/// `name:password:uid:…`, the first of equal ids, as in getpwuid.
fn accounts(passwd: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in passwd.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(uid)) = (fields.next(), fields.nth(1).and_then(|uid| uid.parse().ok())) {
            names.entry(uid).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
