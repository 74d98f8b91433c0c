//! What the gpu collector and the NVML process say to each other.

use fleetlight_protocol::document::{GpuDriverState, GpuState};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Asked by the collector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Load the library, initialise it, find the GPUs. Once for each process.
    Open { proc_root: PathBuf },
    /// The numbers of this tick.
    Read,
}

/// Said by the NVML process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    Opened(Driver),
    Reading(Reading),
    /// NVML as a whole is of no use.
    Outage(Outage),
    /// [`Question::Read`] came before [`Question::Open`]: this process was started anew meanwhile.
    NotOpen,
}

/// Versions, as far as they are told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driver {
    pub driver_version: Option<String>,
    /// `13.0`
    pub cuda_version: Option<String>,
    pub nvml_version: Option<String>,
}

/// Why there is nothing to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    pub state: GpuDriverState,
    /// What happened and what to do, in words.
    pub reason: String,
}

/// All GPUs at one tick.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    pub gpus: Vec<GpuReading>,
    /// Of all GPUs in the driver's list; only in the first reading and when something changed.
    pub facts: Option<Vec<GpuFacts>>,
    /// GPUs that the driver counts and does not open.
    pub unopened: Vec<Unopened>,
    /// Since the reading before, oldest first.
    pub xids: Vec<XidReading>,
}

/// One GPU or MIG instance at one tick.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuReading {
    pub uuid: String,
    pub state: GpuState,
    /// What is wrong and what to do; empty when ok.
    pub reason: String,
    /// In the catalogue's order; empty when it gave none.
    pub values: Vec<Option<f64>>,
    pub processes: Vec<ProcessReading>,
}

/// A process on a GPU.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessReading {
    pub pid: u32,
    /// File name of argv\[0\].
    pub name: Option<String>,
    pub compute: bool,
    pub memory_used_bytes: Option<u64>,
    pub utilization_percent: Option<f64>,
}

/// What seldom changes of one GPU or MIG instance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuFacts {
    pub uuid: String,
    pub index: u32,
    pub name: Option<String>,
    pub pci_bus_id: Option<String>,
    pub vbios_version: Option<String>,
    pub serial: Option<String>,
    pub persistence_mode: Option<bool>,
    pub ecc_enabled: Option<bool>,
    pub mig_enabled: Option<bool>,
    /// UUID of the GPU that a MIG instance is a part of.
    pub parent: Option<String>,
    pub pcie_max_generation: Option<u32>,
    pub pcie_max_width: Option<u32>,
    pub max_graphics_clock_megahertz: Option<u32>,
    pub max_memory_clock_megahertz: Option<u32>,
    pub power_limit_default_watts: Option<f64>,
    pub nvlink_links: Option<u32>,
}

/// A GPU of the driver's list that could not be opened: its UUID is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unopened {
    pub index: u32,
    pub reason: String,
}

/// One Xid error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct XidReading {
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// UUID of the GPU, where it could be told.
    pub gpu: Option<String>,
    pub code: u64,
}
