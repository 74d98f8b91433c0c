//! Inventory: documents that change seldom.
//!
//! An agent sends the documents of a kind on connect when the controller's hash of them differs,
//! and every change after that; the controller keeps them with validity times, so that any past
//! moment can be rebuilt. No document holds an environment, an argument beyond argv\[0\], or a
//! label that was not masked.

use crate::samples::{EntityKind, MountState};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What is true of one entity from `observed_ms` on. No body: the entity is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    pub kind: EntityKind,
    /// As in [`crate::samples::Row`].
    pub key: String,
    pub observed_ms: i64,
    pub body: Option<Body>,
}

/// One body for each kind that has documents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    Host(HostDocument),
    Mount(MountDocument),
    Gpu(Box<GpuDocument>),
    GpuDriver(GpuDriverDocument),
    GpuProcess(GpuProcessDocument),
    Container(Box<ContainerDocument>),
    Collector(CollectorDocument),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostDocument {
    pub hostname: String,
    /// `Debian GNU/Linux`, from os-release.
    pub os: Option<String>,
    pub os_version: Option<String>,
    pub kernel: Option<String>,
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    pub boot_time_ms: i64,
    pub boot_id: String,
    /// `kvm`, `docker`, `none`; from DMI, cpuinfo and cgroup, as far as can be known.
    pub virtualization: Option<String>,
    pub cpu_model: Option<String>,
    pub cpu_count: u32,
    pub memory_total_bytes: u64,
    pub agent_version: String,
    /// The sampling interval in force.
    pub interval_ms: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountDocument {
    pub mount_point: String,
    pub source: String,
    pub fs_type: String,
    pub options: String,
    /// Network and FUSE file systems are probed where a hang cannot reach the agent.
    pub remote: bool,
    pub state: MountState,
    /// What the state means here, in words; empty when ok.
    pub reason: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuDriverDocument {
    pub state: GpuDriverState,
    /// What is wrong and what to do, in words; empty when ok.
    pub reason: String,
    pub driver_version: Option<String>,
    /// `13.0`
    pub cuda_version: Option<String>,
    pub nvml_version: Option<String>,
    pub gpus: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GpuDriverState {
    Ok,
    /// No libnvidia-ml.so.1: this host has no NVIDIA driver.
    #[default]
    LibraryMissing,
    /// The library is there, the kernel module is not.
    DriverNotLoaded,
    /// A call has not returned past its deadline.
    Unresponsive,
    /// Library and kernel module are of different versions: reboot.
    VersionMismatch,
    Error,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuDocument {
    pub uuid: String,
    pub index: u32,
    pub name: Option<String>,
    pub pci_bus_id: Option<String>,
    pub vbios_version: Option<String>,
    pub serial: Option<String>,
    pub state: GpuState,
    /// What is wrong and what to do, in words; empty when ok.
    pub reason: String,
    pub persistence_mode: Option<bool>,
    pub ecc_enabled: Option<bool>,
    pub mig_enabled: Option<bool>,
    /// For a MIG instance: the UUID of the GPU that it is a part of.
    pub parent: Option<String>,
    pub pcie_max_generation: Option<u32>,
    pub pcie_max_width: Option<u32>,
    pub max_graphics_clock_megahertz: Option<u32>,
    pub max_memory_clock_megahertz: Option<u32>,
    pub power_limit_default_watts: Option<f64>,
    pub nvlink_links: Option<u32>,
    /// Fields of [`crate::samples::GpuSample`] that this card answered at least once.
    pub supported: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GpuState {
    #[default]
    Ok,
    /// It has fallen off the bus, or vanished from the driver's list.
    Lost,
    ResetRequired,
    Error,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuProcessDocument {
    pub gpu: String,
    pub pid: u32,
    /// File name of argv\[0\]; nothing else of the command line leaves the host.
    pub name: Option<String>,
    /// `compute` or `graphics`
    pub context: String,
    /// Full id of the container that it runs in, by its cgroup.
    pub container: Option<String>,
    /// The user that the container's name names, by pattern, else the account that runs it.
    pub user: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerDocument {
    pub id: String,
    pub name: String,
    pub image: String,
    pub image_id: String,
    pub image_bytes: Option<u64>,
    pub state: ContainerState,
    /// `starting`, `healthy`, `unhealthy`; absent without a health check.
    pub health: Option<String>,
    pub exit_code: Option<i64>,
    pub oom_killed: bool,
    pub created_ms: Option<i64>,
    pub started_ms: Option<i64>,
    pub finished_ms: Option<i64>,
    /// Restarts by Docker's restart policy.
    pub restarts: u32,
    pub restart_policy: Option<String>,
    /// `0.0.0.0:8188->8188/tcp`
    pub ports: Vec<String>,
    pub compose_project: Option<String>,
    pub compose_service: Option<String>,
    /// Masked by key and by shape of the value.
    pub labels: BTreeMap<String, String>,
    /// The user that the name names, by pattern.
    pub user: Option<String>,
    pub memory_limit_bytes: Option<u64>,
    /// Cores; 0.5 is half a core.
    pub cpu_limit: Option<f64>,
    /// Set while it restarts again and again, whatever `state` says at the instant.
    pub crash_loop: Option<CrashLoop>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
    #[default]
    #[serde(other)]
    Unknown,
}

/// A container that dies again and again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrashLoop {
    /// Deaths within the window.
    pub deaths: u32,
    pub window_seconds: u32,
    pub last_exit_code: Option<i64>,
    /// Last log lines before the last death, masked.
    pub last_lines: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectorDocument {
    pub state: CollectorState,
    /// What is wrong and what to do, in words; empty when ok.
    pub reason: String,
    pub interval_ms: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CollectorState {
    #[default]
    Ok,
    /// Its source does not exist on this host (no Docker, no GPU).
    Absent,
    /// It has not come back past its deadline.
    Stuck,
    /// It answers with an error.
    Failing,
}

/// SHA-256, hex, over the documents of one kind, in key order. Agent and controller compute it from
/// the typed bodies, so that storage between them may change their bytes but not their hash.
#[must_use]
pub fn fingerprint<'a>(documents: impl IntoIterator<Item = (&'a str, &'a Body)>) -> String {
    let ordered: BTreeMap<&str, &Body> = documents.into_iter().collect();
    let mut hash = Sha256::new();
    for (key, body) in ordered {
        hash.update((key.len() as u64).to_be_bytes());
        hash.update(key);
        // A body is plain data: writing it as JSON cannot fail.
        hash.update(serde_json::to_vec(body).unwrap_or_default());
        hash.update([0]);
    }
    hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collector(reason: &str) -> Body {
        Body::Collector(CollectorDocument { reason: reason.into(), ..Default::default() })
    }

    #[test]
    fn a_fingerprint_depends_on_keys_and_bodies_and_not_on_order() {
        let (one, two) = (collector("one"), collector("two"));
        let both = fingerprint([("a", &one), ("b", &two)]);
        assert_eq!(both, fingerprint([("b", &two), ("a", &one)]));
        assert_ne!(both, fingerprint([("a", &two), ("b", &one)]));
        assert_eq!(fingerprint([]).len(), 64);
    }

    #[test]
    fn a_fingerprint_survives_storage_as_json() {
        let body = Body::Gpu(Box::new(GpuDocument {
            uuid: "GPU-1".into(),
            power_limit_default_watts: Some(699.9),
            ..Default::default()
        }));
        let stored = serde_json::to_value(&body).expect("encodes");
        let read: Body = serde_json::from_value(stored).expect("decodes");
        assert_eq!(fingerprint([("GPU-1", &body)]), fingerprint([("GPU-1", &read)]));
    }
}
