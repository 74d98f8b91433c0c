//! The held files of one container, and its sample of one tick.
//!
//! Opening a file costs more than reading it, so the cgroup's files stay open and are read from
//! their start (5–10 µs each). An open file belongs to that very cgroup: once it is removed reading
//! fails, and no later cgroup of the same name can answer in its place. The process's folder in
//! `/proc` is held in the same way, so that a process that got the same number is never read.
//! `net/dev` alone is opened at each tick: held open, it would keep the network namespace, and a
//! network card given to it, alive after the container's end.
//!
//! With a tick a second these reads are most of what the agent costs. So files that say nothing (no
//! limit to be throttled by, I/O that this kernel does not count), and levels of a container that
//! has not run since they were read, are read every [`CGROUP_TRUST`] only. So is `memory.stat`, the
//! dearest of them, while the memory in use stays within [`MEMORY_STEADY_BYTES`] of what it was.

use super::cgroup::{self, Hierarchies, Io};
use super::netdev::{self, Traffic};
use crate::limits::{CGROUP_FILE_BYTES, CGROUP_TRUST, MEMORY_STEADY_BYTES};
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

impl Kind {
    /// Whether it changes only while the container runs, but for what the kernel reclaims.
    fn follows_cpu(self) -> bool {
        self.is_memory_stat() || matches!(self, Self::CpuStat | Self::MemoryUsage | Self::Pids)
    }

    fn is_memory_stat(self) -> bool {
        matches!(self, Self::MemoryStat | Self::MemoryStatUnified)
    }
}

/// Controller (empty: version 2), file, meaning; the one with the CPU time first. Of each line the first that exists is
/// held; a controller that is not there gives no number, rather than a zero.
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

/// One open file.
#[derive(Debug)]
struct Source {
    kind: Kind,
    file: File,
    /// When it was last read, and whether it said nothing then.
    read: Option<(Instant, bool)>,
}

impl Source {
    /// Whether what it said last still holds: of a container that has not run, or whose memory has
    /// not moved.
    fn rests(&self, now: Instant, idle: bool, steady: bool) -> bool {
        let unmoved = idle && self.kind.follows_cpu() || steady && self.kind.is_memory_stat();
        self.read.is_some_and(|(at, silent)| (silent || unmoved) && now.duration_since(at) < CGROUP_TRUST)
    }
}

/// The open files of one container.
#[derive(Debug)]
pub struct Held {
    sources: Vec<Source>,
    /// `net` of its first process's folder; `None` if the network is not its own.
    network: Option<OwnedFd>,
    before: Option<(Instant, Counters)>,
    /// Memory in use when `memory.stat` was read.
    stat_at: Option<u64>,
}

impl Held {
    /// Opens the files of container `id`, whose first process is `pid`. `None` if that process is
    /// gone or is another's by now.
    #[must_use]
    pub fn open(proc_root: &Path, hierarchies: &Hierarchies, id: &str, pid: u32, own_network: bool) -> Option<Self> {
        let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let process = rustix::fs::open(proc_root.join(pid.to_string()), folder, Mode::empty()).ok()?;
        let mut membership = String::new();
        open_at(&process, "cgroup")?.take(CGROUP_FILE_BYTES as u64).read_to_string(&mut membership).ok()?;
        if !cgroup::belongs(&membership, id) {
            return None;
        }
        let open = |(controller, file, kind): &(&str, &str, Kind)| {
            let folder = hierarchies.folder(&membership, controller, id)?;
            Some(Source { kind: *kind, file: File::open(folder.join(file)).ok()?, read: None })
        };
        let sources: Vec<_> = FILES.iter().filter_map(|choices| choices.iter().find_map(open)).collect();
        let network = own_network.then(|| rustix::fs::openat(&process, "net", folder, Mode::empty()).ok()).flatten();
        (!sources.is_empty()).then_some(Self { sources, network, before: None, stat_at: None })
    }

    /// Reads everything once. `None`: the container is gone.
    pub fn read(&mut self, buffer: &mut Buffer) -> Option<ContainerSample> {
        let now = Instant::now();
        let last = self.before.map(|(_, counters)| counters).unwrap_or_default();
        let mut counters = Counters::default();
        for source in &mut self.sources {
            let idle = counters.cpu_nanoseconds.is_some() && counters.cpu_nanoseconds == last.cpu_nanoseconds;
            if source.rests(now, idle, counters.is_near(self.stat_at)) {
                counters.keep(source.kind, &last);
                continue;
            }
            match source.file.read_at(&mut buffer.0, 0) {
                Ok(length) => counters.take(source.kind, &buffer.0[..length]),
                Err(error) if is_gone(&error) => return None,
                // A file that cannot be read now, or never, gives no number.
                Err(_) => {}
            }
            source.read = Some((now, counters.silent(source.kind)));
            if source.kind.is_memory_stat() {
                self.stat_at = counters.memory_usage;
            }
        }
        counters.traffic = self.network.as_ref().and_then(|network| traffic(network, &mut buffer.0));
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

/// The kernel hands this file out in pieces of whole lines, a page at most. A piece with room for
/// many more lines is the last one.
fn traffic(network: &OwnedFd, buffer: &mut [u8]) -> Option<Traffic> {
    const LAST: usize = 2_048;
    let mut file = open_at(network, "dev")?;
    let mut length = 0;
    while length < buffer.len() {
        let more = file.read(&mut buffer[length..]).ok()?;
        length += more;
        if more < LAST {
            break;
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

    /// Takes over what the file of this kind said last.
    fn keep(&mut self, kind: Kind, last: &Self) {
        match kind {
            Kind::CpuacctUsage => self.cpu_nanoseconds = last.cpu_nanoseconds,
            Kind::CpuStat => (self.periods, self.throttled) = (last.periods, last.throttled),
            Kind::CpuStatUnified => {
                (self.cpu_nanoseconds, self.periods, self.throttled) =
                    (last.cpu_nanoseconds, last.periods, last.throttled);
            }
            Kind::MemoryUsage => self.memory_usage = last.memory_usage,
            Kind::MemoryStat | Kind::MemoryStatUnified => {
                (self.inactive_file, self.cache) = (last.inactive_file, last.cache);
            }
            Kind::Blkio | Kind::IoStat => self.io = last.io,
            Kind::Pids => self.pids = last.pids,
        }
    }

    /// Whether the file of this kind says nothing, and will not before somebody sets a limit.
    fn silent(&self, kind: Kind) -> bool {
        match kind {
            Kind::CpuStat => self.periods.is_none_or(|periods| periods == 0),
            Kind::Blkio => self.io.is_none(),
            _ => false,
        }
    }

    /// Whether about as much memory is in use as then.
    fn is_near(&self, then: Option<u64>) -> bool {
        self.memory_usage.zip(then).is_some_and(|(now, then)| now.abs_diff(then) < MEMORY_STEADY_BYTES)
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
