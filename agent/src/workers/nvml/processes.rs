//! The processes on one GPU.
//!
//! Their names are read here and not in the agent: `/proc/<pid>/cmdline` takes a lock of the
//! process's memory map, which one that is stuck in the driver may hold for ever.

use super::calls::{Calls, Trouble};
use super::messages::ProcessReading;
use crate::limits::{GPU_PROCESSES, PROCESS_NAME_CHARS};
use nvml_wrapper::Device;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::{ProcessInfo, ProcessUtilizationSample};
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::Path;

/// What is remembered between ticks.
#[derive(Debug, Default)]
pub struct Processes {
    names: HashMap<u32, Option<String>>,
    /// Newest time stamp that the driver gave, in microseconds of its own clock.
    seen: Option<u64>,
}

impl Processes {
    /// Processes with a context on `device`, by pid; at most [`GPU_PROCESSES`]. Shares of the SMs
    /// are known of whole GPUs only.
    pub fn read(
        &mut self,
        device: &Device<'_>,
        calls: &mut Calls,
        whole: bool,
        proc_root: &Path,
    ) -> Result<Vec<ProcessReading>, Trouble> {
        let mut found = BTreeMap::new();
        let compute = || device.running_compute_processes();
        for process in calls.ask("nvmlDeviceGetComputeRunningProcesses_v3", 0, compute)?.unwrap_or_default() {
            found.entry(process.pid).or_insert_with(|| reading(&process, true));
        }
        let graphics = || device.running_graphics_processes();
        for process in calls.ask("nvmlDeviceGetGraphicsRunningProcesses_v3", 0, graphics)?.unwrap_or_default() {
            found.entry(process.pid).or_insert_with(|| reading(&process, false));
        }
        let mut found: Vec<_> = found.into_values().take(GPU_PROCESSES).collect();
        let shares = if whole && !found.is_empty() { self.shares(device, calls)? } else { None };
        self.names.retain(|pid, _| found.iter().any(|process| process.pid == *pid));
        for process in &mut found {
            // A process that is not among the samples did not run a kernel.
            process.utilization_percent = shares.as_ref().map(|all| all.get(&process.pid).map_or(0.0, |&share| share));
            let name = self.names.entry(process.pid).or_insert_with(|| name(proc_root, process.pid));
            process.name.clone_from(name);
        }
        Ok(found)
    }

    /// SM share of each pid since the previous call; none at the first one, whose samples may be
    /// of any age.
    fn shares(&mut self, device: &Device<'_>, calls: &mut Calls) -> Result<Option<HashMap<u32, f64>>, Trouble> {
        let seen = self.seen;
        let samples = calls.ask("nvmlDeviceGetProcessUtilization", 0, || {
            match device.process_utilization_stats(seen) {
                // No samples since then.
                Err(NvmlError::NotFound) => Ok(Vec::new()),
                other => other,
            }
        })?;
        let Some(samples) = samples else { return Ok(None) };
        let newest = samples.iter().map(|sample| sample.timestamp).max();
        self.seen = newest.max(seen).or(Some(0));
        Ok(seen.map(|seen| mean(&samples, seen)))
    }
}

/// Mean SM share of each pid over the samples after `seen`.
fn mean(samples: &[ProcessUtilizationSample], seen: u64) -> HashMap<u32, f64> {
    let mut sums: HashMap<u32, (f64, f64)> = HashMap::new();
    for sample in samples.iter().filter(|sample| sample.timestamp > seen && sample.sm_util <= 100) {
        let sum = sums.entry(sample.pid).or_default();
        *sum = (sum.0 + f64::from(sample.sm_util), sum.1 + 1.0);
    }
    sums.into_iter().map(|(pid, (sum, count))| (pid, sum / count)).collect()
}

fn reading(process: &ProcessInfo, compute: bool) -> ProcessReading {
    let memory_used_bytes = match process.used_gpu_memory {
        UsedGpuMemory::Used(bytes) => Some(bytes),
        UsedGpuMemory::Unavailable => None,
    };
    ProcessReading { pid: process.pid, compute, memory_used_bytes, ..ProcessReading::default() }
}

/// File name of argv\[0\]; absent for a process that is gone or has no arguments.
fn name(proc_root: &Path, pid: u32) -> Option<String> {
    let file = std::fs::File::open(proc_root.join(pid.to_string()).join("cmdline")).ok()?;
    let mut start = Vec::new();
    file.take(4_096).read_to_end(&mut start).ok()?;
    file_name(&start)
}

/// A process may write its whole command line, secrets included, into argv\[0\]: the first word is
/// what is kept.
fn file_name(cmdline: &[u8]) -> Option<String> {
    let first = cmdline.split(|&byte| byte == 0 || byte.is_ascii_whitespace()).next()?;
    let name = String::from_utf8_lossy(first.rsplit(|&byte| byte == b'/').next()?).into_owned();
    let name: String = name.chars().filter(|character| !character.is_control()).take(PROCESS_NAME_CHARS).collect();
    Some(name).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_file_name_of_argv0_is_kept() {
        assert_eq!(file_name(b"/usr/bin/python3\0main.py\0--token=hunter2\0").as_deref(), Some("python3"));
        assert_eq!(file_name(b"worker --token=hunter2\0").as_deref(), Some("worker"));
        assert_eq!(file_name(b"").as_deref(), None);
        assert_eq!(file_name(&[b'x'; 4_096]).map(|name| name.len()), Some(PROCESS_NAME_CHARS));
    }

    #[test]
    fn shares_are_means_of_the_samples_since_the_last_tick() {
        let sample = |pid, timestamp, sm_util| ProcessUtilizationSample {
            pid,
            timestamp,
            sm_util,
            mem_util: 0,
            enc_util: 0,
            dec_util: 0,
        };
        let samples = [sample(1, 5, 90), sample(1, 11, 10), sample(1, 12, 30), sample(2, 12, 4_000_000_000)];
        let shares = mean(&samples, 10);
        assert_eq!(shares.get(&1), Some(&20.0), "what is older counted in the tick before");
        assert_eq!(shares.get(&2), None, "no share is above the whole");
    }
}
