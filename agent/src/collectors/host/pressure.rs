//! `/proc/pressure/{cpu,memory,io}`: how long tasks waited.
//!
//! Source: the kernel's accounting/psi.rst. `total` counts microseconds and is exact, where the
//! averages beside it lag. Without PSI (older kernels, `psi=0`) the files are missing or refuse
//! to be read; `full` of the CPU has no meaning for a whole host and is left out.

use super::rates::{seconds_between, time_share};
use crate::collectors::procfile::{Buffer, ProcFile, lines};
use fleetlight_protocol::samples::HostSample;
use std::path::Path;
use std::time::Instant;

/// Microseconds waited since boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub some: Option<u64>,
    pub full: Option<u64>,
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=12345`, and the same for `full`.
pub fn parse(text: &[u8]) -> Totals {
    let mut totals = Totals::default();
    for line in lines(text) {
        let Some((name, rest)) = line.split_once(' ') else { continue };
        let total = rest.split_ascii_whitespace().find_map(|field| field.strip_prefix("total=")?.parse().ok());
        match name {
            "some" => totals.some = total,
            "full" => totals.full = total,
            _ => {}
        }
    }
    totals
}

/// One resource's file and its previous reading.
#[derive(Debug)]
struct Resource {
    file: ProcFile,
    previous: Option<(Instant, Totals)>,
}

impl Resource {
    fn new(path: &Path, name: &str) -> Self {
        Self { file: ProcFile::new(path.join(name)), previous: None }
    }

    /// Shares of time of `some` and `full`.
    fn read(&mut self, buffer: &mut Buffer, now: Instant) -> (Option<f64>, Option<f64>) {
        let totals = self.file.read(buffer).map(parse).unwrap_or_default();
        let Some((at, before)) = self.previous.replace((now, totals)) else { return (None, None) };
        let Some(seconds) = seconds_between(at, now) else { return (None, None) };
        let share = |now: Option<u64>, before: Option<u64>| time_share(now?, before?, 1e6, seconds);
        (share(totals.some, before.some), share(totals.full, before.full))
    }
}

/// The three files.
#[derive(Debug)]
pub struct Pressure {
    cpu: Resource,
    memory: Resource,
    io: Resource,
}

impl Pressure {
    pub fn new(proc_root: &Path) -> Self {
        let folder = proc_root.join("pressure");
        Self {
            cpu: Resource::new(&folder, "cpu"),
            memory: Resource::new(&folder, "memory"),
            io: Resource::new(&folder, "io"),
        }
    }

    pub fn read(&mut self, buffer: &mut Buffer, now: Instant, host: &mut HostSample) {
        (host.psi_cpu_some_percent, _) = self.cpu.read(buffer, now);
        (host.psi_memory_some_percent, host.psi_memory_full_percent) = self.memory.read(buffer, now);
        (host.psi_io_some_percent, host.psi_io_full_percent) = self.io.read(buffer, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn totals_are_microseconds() {
        let text = b"some avg10=0.22 avg60=0.17 avg300=1.11 total=58761459\nfull avg10=0.00 avg60=0.13 avg300=0.96 total=57647121\n";
        assert_eq!(parse(text), Totals { some: Some(58_761_459), full: Some(57_647_121) });
    }

    #[test]
    fn older_kernels_have_no_full_for_the_cpu() {
        assert_eq!(parse(b"some avg10=0.00 total=7\n"), Totals { some: Some(7), full: None });
        assert_eq!(parse(b"some avg10=0.00\n"), Totals::default());
    }

    #[test]
    fn a_kernel_without_psi_says_nothing() {
        let mut pressure = Pressure::new(Path::new("/nonexistent"));
        let (mut host, mut buffer, start) = (HostSample::default(), Buffer::default(), Instant::now());
        for tick in 0..2 {
            pressure.read(&mut buffer, start + std::time::Duration::from_secs(tick), &mut host);
        }
        assert_eq!(host, HostSample::default());
    }

    proptest! {
        #[test]
        fn any_bytes_parse(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            parse(&bytes);
        }
    }
}
