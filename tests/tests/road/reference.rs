//! What `/proc` and the file system say, noted again and again beside an agent: a sample is judged by what was true
//! from its tick until it had come to us.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks: memory moves little in it, and 100 looks a second cost next to nothing.
const EVERY: Duration = Duration::from_millis(10);

/// One look.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub at_ms: i64,
    pub memory_used_bytes: f64,
    pub load1: f64,
    /// Clock ticks of all CPUs since the boot: busy, and all.
    pub cpu: (f64, f64),
    pub root_used_bytes: f64,
}

/// The looks of a time, with the last one before it and the first one after it: what changed between two looks
/// is in one of them.
pub fn around(looks: &[Look], from_ms: i64, to_ms: i64) -> &[Look] {
    let first = looks.partition_point(|look| look.at_ms <= from_ms).saturating_sub(1);
    let end = looks.partition_point(|look| look.at_ms < to_ms);
    &looks[first..looks.len().min(end + 1)]
}

/// A thread that looks, until it is asked.
#[derive(Debug)]
pub struct Looks {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Look>>,
}

impl Looks {
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut looks = Vec::new();
            while !asked.load(Ordering::Relaxed) {
                looks.push(Look::take());
                #[allow(clippy::disallowed_methods, reason = "a thread of its own")]
                std::thread::sleep(EVERY);
            }
            looks
        });
        Self { stop, thread }
    }

    pub fn end(self) -> Vec<Look> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("looks at /proc")
    }
}

impl Look {
    fn take() -> Self {
        let stat = fs::read_to_string("/proc/stat").expect("/proc/stat");
        let ticks: Vec<f64> =
            stat.lines().next().expect("cpu").split_whitespace().skip(1).take(8).map(number).collect();
        let all: f64 = ticks.iter().sum();
        #[allow(clippy::disallowed_methods, reason = "the root of the machine that runs this test")]
        let root = rustix::fs::statvfs("/").expect("statvfs of /");
        let load = fs::read_to_string("/proc/loadavg").expect("/proc/loadavg");
        Self {
            at_ms: crate::now_ms(),
            memory_used_bytes: meminfo("MemTotal:") - meminfo("MemAvailable:"),
            load1: number(load.split(' ').next().expect("load")),
            // The fourth is idle, the fifth waits for a disk.
            cpu: (all - ticks[3] - ticks[4], all),
            root_used_bytes: ((root.f_blocks - root.f_bfree) * root.f_frsize) as f64,
        }
    }
}

/// A field of `/proc/meminfo` in bytes.
pub fn meminfo(name: &str) -> f64 {
    let text = fs::read_to_string("/proc/meminfo").expect("/proc/meminfo");
    let line = text.lines().find(|line| line.starts_with(name)).expect("field");
    number(line.split_whitespace().nth(1).expect("KiB")) * 1024.0
}

/// What `df -B1` says of a mount: size, used, available.
pub fn df(mount: &str) -> [f64; 3] {
    let output = Command::new("df").args(["-B1", "--output=size,used,avail", mount]).output().expect("df");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let fields: Vec<f64> = text.lines().nth(1).expect("a line").split_whitespace().map(number).collect();
    fields.try_into().expect("three numbers")
}

fn number(text: &str) -> f64 {
    text.parse().expect("a number")
}
