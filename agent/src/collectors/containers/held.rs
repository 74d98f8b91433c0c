//! The held files of one container, and its sample of one tick.
//!
//! Opening a file costs more than reading it, so the cgroup's files stay open and are read from
//! their start (5–10 µs each). An open file belongs to that very cgroup: once it is removed reading
//! fails, and no later cgroup of the same name can answer in its place. The process's folder in
//! `/proc` is held in the same way, so that a process that got the same number is never read.
//! `net/dev` alone is opened at each tick: held open, it would keep the network namespace, and a
//! network card given to it, alive after the container's end.

use super::cgroup::{self, Hierarchies, Io};
use super::netdev::{self, Traffic};
use crate::limits::CGROUP_FILE_BYTES;
use fleetlight_protocol::samples::ContainerSample;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

/// What one file says.
#[derive(Debug, Clone, Copy)]
enum Kind {
    CpuacctUsage,
    /// Version 1: throttling only.
    CpuStat,
    /// Version 2: usage and throttling.
    CpuStatUnified,
    MemoryUsage,
    MemoryStat,
    MemoryStatUnified,
    Blkio,
    IoStat,
    Pids,
}

/// Controller (empty: version 2), file, meaning. Of each line the first that exists is held; a
/// controller that is not there gives no number, rather than a zero.
const FILES: [&[(&str, &str, Kind)]; 6] = [
    &[("cpuacct", "cpuacct.usage", Kind::CpuacctUsage), ("", "cpu.stat", Kind::CpuStatUnified)],
    &[("cpu", "cpu.stat", Kind::CpuStat)],
    &[("memory", "memory.usage_in_bytes", Kind::MemoryUsage), ("", "memory.current", Kind::MemoryUsage)],
    &[("memory", "memory.stat", Kind::MemoryStat), ("", "memory.stat", Kind::MemoryStatUnified)],
    &[
        ("blkio", "blkio.throttle.io_service_bytes_recursive", Kind::Blkio),
        ("blkio", "blkio.throttle.io_service_bytes", Kind::Blkio),
        ("", "io.stat", Kind::IoStat),
    ],
    &[("pids", "pids.current", Kind::Pids), ("", "pids.current", Kind::Pids)],
];

/// Counters of one reading.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Counters {
    cpu_nanoseconds: Option<u64>,
    periods: Option<u64>,
    throttled: Option<u64>,
    memory_usage: Option<u64>,
    inactive_file: Option<u64>,
    cache: Option<u64>,
    io: Option<Io>,
    pids: Option<u64>,
    traffic: Option<Traffic>,
}

/// Where files are read into; one for all containers.
#[derive(Debug)]
pub struct Buffer(Vec<u8>);

impl Default for Buffer {
    fn default() -> Self {
        Self(vec![0; CGROUP_FILE_BYTES])
    }
}

/// The open files of one container.
#[derive(Debug)]
pub struct Held {
    files: Vec<(Kind, File)>,
    /// The folder of its first process; `None` if the network is not its own.
    process: Option<OwnedFd>,
    before: Option<(Instant, Counters)>,
}

impl Held {
    /// Opens the files of container `id`, whose first process is `pid`. `None` if that process is
    /// gone or is another's by now.
    #[must_use]
    pub fn open(proc_root: &Path, hierarchies: &Hierarchies, id: &str, pid: u32, own_network: bool) -> Option<Self> {
        let folder = proc_root.join(pid.to_string());
        let process =
            rustix::fs::open(&folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut membership = String::new();
        open_at(&process, "cgroup")?.take(CGROUP_FILE_BYTES as u64).read_to_string(&mut membership).ok()?;
        if !cgroup::belongs(&membership, id) {
            return None;
        }
        let open = |(controller, file, kind): &(&str, &str, Kind)| {
            let folder = hierarchies.folder(&membership, controller, id)?;
            Some((*kind, File::open(folder.join(file)).ok()?))
        };
        let files: Vec<_> = FILES.iter().filter_map(|choices| choices.iter().find_map(open)).collect();
        (!files.is_empty()).then(|| Self { files, process: own_network.then_some(process), before: None })
    }

    /// Reads everything once. `None`: the container is gone.
    pub fn read(&mut self, buffer: &mut Buffer) -> Option<ContainerSample> {
        let now = Instant::now();
        let mut counters = Counters::default();
        for (kind, file) in &self.files {
            match file.read_at(&mut buffer.0, 0) {
                Ok(length) => counters.take(*kind, &buffer.0[..length]),
                Err(error) if is_gone(&error) => return None,
                // A file that cannot be read now, or never, gives no number.
                Err(_) => {}
            }
        }
        counters.traffic = self.process.as_ref().and_then(|process| traffic(process, &mut buffer.0));
        let before = self.before.replace((now, counters));
        let seconds = before.map(|(then, counters)| (now.duration_since(then).as_secs_f64(), counters));
        Some(counters.sample(seconds))
    }
}

/// Reading a file of a removed cgroup is ENODEV.
fn is_gone(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

fn open_at(folder: &OwnedFd, file: &str) -> Option<File> {
    let opened = rustix::fs::openat(folder, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    opened.ok().map(File::from)
}

/// The kernel hands this file out in pieces.
fn traffic(process: &OwnedFd, buffer: &mut [u8]) -> Option<Traffic> {
    let mut file = open_at(process, "net/dev")?;
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]).ok()? {
            0 => break,
            more => length += more,
        }
    }
    netdev::parse(&buffer[..length])
}

impl Counters {
    fn take(&mut self, kind: Kind, text: &[u8]) {
        match kind {
            Kind::CpuacctUsage => self.cpu_nanoseconds = cgroup::number(text),
            Kind::CpuStat => self.take_periods(text),
            Kind::CpuStatUnified => {
                self.cpu_nanoseconds = cgroup::field(text, "usage_usec").and_then(|us| us.checked_mul(1_000));
                self.take_periods(text);
            }
            Kind::MemoryUsage => self.memory_usage = cgroup::number(text),
            Kind::MemoryStat => {
                self.inactive_file = cgroup::field(text, "total_inactive_file");
                self.cache = cgroup::field(text, "total_cache");
            }
            Kind::MemoryStatUnified => {
                self.inactive_file = cgroup::field(text, "inactive_file");
                self.cache = cgroup::field(text, "file");
            }
            Kind::Blkio => self.io = cgroup::blkio(text),
            Kind::IoStat => self.io = Some(cgroup::io_stat(text)),
            Kind::Pids => self.pids = cgroup::number(text),
        }
    }

    fn take_periods(&mut self, text: &[u8]) {
        self.periods = cgroup::field(text, "nr_periods");
        self.throttled = cgroup::field(text, "nr_throttled");
    }

    /// Levels of now, rates since `before` (seconds ago, counters). A counter that fell gives none.
    fn sample(&self, before: Option<(f64, Self)>) -> ContainerSample {
        let before = before.filter(|(seconds, _)| *seconds > 0.0);
        let rate = |of: fn(&Self) -> Option<u64>| {
            let (seconds, then) = before.as_ref()?;
            Some(of(self)?.checked_sub(of(then)?)? as f64 / seconds)
        };
        let grown = |of: fn(&Self) -> Option<u64>| of(self)?.checked_sub(of(&before.as_ref()?.1)?);
        // Without a limit there are no periods, and no share of them.
        let throttled = grown(|counters| counters.periods.filter(|all| *all > 0))
            .zip(grown(|counters| counters.throttled))
            .map(|(all, throttled)| if all == 0 { 0.0 } else { 100.0 * throttled as f64 / all as f64 });
        let used = self.memory_usage.map(|usage| usage.saturating_sub(self.inactive_file.unwrap_or(0)));
        ContainerSample {
            cpu_percent: rate(|counters| counters.cpu_nanoseconds).map(|nanoseconds| nanoseconds / 1e7),
            memory_used_bytes: used.map(|bytes| bytes as f64),
            memory_cache_bytes: self.cache.map(|bytes| bytes as f64),
            receive_bytes_per_second: rate(|counters| counters.traffic.map(|traffic| traffic.received)),
            transmit_bytes_per_second: rate(|counters| counters.traffic.map(|traffic| traffic.sent)),
            read_bytes_per_second: rate(|counters| counters.io.map(|io| io.read)),
            write_bytes_per_second: rate(|counters| counters.io.map(|io| io.written)),
            pids: self.pids.map(|pids| pids as f64),
            cpu_throttled_percent: throttled,
        }
    }
}

#[cfg(test)]
#[path = "held_tests.rs"]
mod tests;
