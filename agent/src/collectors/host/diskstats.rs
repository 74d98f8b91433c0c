//! `/proc/diskstats`: block devices.
//!
//! Source: the kernel's admin-guide/iostats.rst; a sector is 512 bytes whatever the device says.
//! Whole devices only: partitions would count the same bytes again, loop, RAM and optical
//! devices are no disks. `dm-*` and `md*` stay, since only there a volume's load can be seen.

use super::rates::{Previous, rate, time_share};
use crate::collectors::procfile::{Buffer, ProcFile, lines};
use crate::limits::DISKS;
use fleetlight_protocol::samples::{DiskSample, Row, Sample};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

const SECTOR_BYTES: f64 = 512.0;

/// Counts since boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    reads: u64,
    sectors_read: u64,
    read_ms: u64,
    writes: u64,
    sectors_written: u64,
    write_ms: u64,
    busy_ms: u64,
}

/// Devices and their counters, as the file has them.
pub fn parse(text: &[u8]) -> impl Iterator<Item = (&str, Counters)> {
    lines(text).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let name = fields.nth(2)?;
        // Lines of partitions had four columns before Linux 2.6.25; they are not wanted anyway.
        let mut columns = [0_u64; 11];
        for column in &mut columns {
            *column = fields.next()?.parse().ok()?;
        }
        let [reads, _, sectors_read, read_ms, writes, _, sectors_written, write_ms, _, busy_ms, _] = columns;
        Some((name, Counters { reads, sectors_read, read_ms, writes, sectors_written, write_ms, busy_ms }))
    })
}

fn sample(now: Counters, before: Counters, seconds: f64) -> DiskSample {
    let sectors = |now, before| Some(rate(now, before, seconds)? * SECTOR_BYTES);
    DiskSample {
        read_bytes_per_second: sectors(now.sectors_read, before.sectors_read),
        write_bytes_per_second: sectors(now.sectors_written, before.sectors_written),
        reads_per_second: rate(now.reads, before.reads, seconds),
        writes_per_second: rate(now.writes, before.writes, seconds),
        busy_percent: time_share(now.busy_ms, before.busy_ms, 1_000.0, seconds),
        request_seconds: request_seconds(now, before),
    }
}

/// Mean time of the requests completed between two readings; none without any.
fn request_seconds(now: Counters, before: Counters) -> Option<f64> {
    let done = now.reads.checked_sub(before.reads)?.saturating_add(now.writes.checked_sub(before.writes)?);
    let took = now.read_ms.checked_sub(before.read_ms)?.saturating_add(now.write_ms.checked_sub(before.write_ms)?);
    (done > 0).then(|| took as f64 / 1_000.0 / done as f64)
}

/// The file, its previous reading, and which names are whole devices.
#[derive(Debug)]
pub struct DiskStats {
    file: ProcFile,
    class_block: PathBuf,
    previous: Previous<Counters>,
    whole: HashMap<String, bool>,
}

impl DiskStats {
    pub fn new(proc_root: &Path, sys_root: &Path) -> Self {
        Self {
            file: ProcFile::new(proc_root.join("diskstats")),
            class_block: sys_root.join("class/block"),
            previous: Previous::default(),
            whole: HashMap::new(),
        }
    }

    /// Adds a row for each whole device.
    pub fn read(&mut self, buffer: &mut Buffer, now: Instant, rows: &mut Vec<Row>) {
        let Ok(text) = self.file.read(buffer) else { return };
        let seconds = self.previous.begin(now);
        let mut room = DISKS;
        for (name, counters) in parse(text) {
            if room == 0 || !is_whole_once(&mut self.whole, &self.class_block, name) {
                continue;
            }
            room -= 1;
            let before = self.previous.replace(name, counters);
            let rates = before.zip(seconds).map(|(before, seconds)| sample(counters, before, seconds));
            rows.push(rates.unwrap_or_default().row(name));
        }
        self.previous.end();
    }
}

/// Looks a name up once: what a device is does not change while it has its name.
fn is_whole_once(known: &mut HashMap<String, bool>, class_block: &Path, name: &str) -> bool {
    if let Some(whole) = known.get(name) {
        return *whole;
    }
    if known.len() >= 4 * DISKS {
        known.clear();
    }
    let whole = is_whole(class_block, name);
    known.insert(name.to_owned(), whole);
    whole
}

fn is_whole(class_block: &Path, name: &str) -> bool {
    if ["loop", "ram", "zram", "sr", "fd"].iter().any(|kind| numbered(name, kind)) {
        return false;
    }
    // A slash in a device's name is a '!' in sysfs.
    let device = class_block.join(name.replace('/', "!"));
    if device.is_dir() { !device.join("partition").exists() } else { !named_as_partition(name) }
}

fn numbered(name: &str, kind: &str) -> bool {
    name.strip_prefix(kind).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Without sysfs: `sda1`, and `nvme0n1p1` where the device's own name ends in a digit.
fn named_as_partition(name: &str) -> bool {
    let stem = name.trim_end_matches(|last: char| last.is_ascii_digit());
    if stem.len() == name.len() {
        return false;
    }
    let lettered = ["sd", "hd", "vd", "xvd"].iter().any(|kind| {
        stem.strip_prefix(kind)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_lowercase()))
    });
    lettered || stem.strip_suffix('p').is_some_and(|disk| disk.ends_with(|last: char| last.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIXTURE: &[u8] = b"   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n \
        259       0 nvme0n1 58872 9584 7428522 52825 14848 80160 22544200 90730 0 16948 144269 5868 52 719864 655 1181 58\n \
        259       1 nvme0n1p1 1 0 8 1 0 0 0 0 0 1 1\n \
        8 1 sda1 10 20 30 40\n 253 0 dm-0 5 0 40 6 7 0 56 8 0 9 14\n";

    #[test]
    fn columns_are_those_of_iostats() {
        let found: Vec<_> = parse(FIXTURE).collect();
        assert_eq!(found.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["loop0", "nvme0n1", "nvme0n1p1", "dm-0"]);
        let expected = Counters {
            reads: 58_872,
            sectors_read: 7_428_522,
            read_ms: 52_825,
            writes: 14_848,
            sectors_written: 22_544_200,
            write_ms: 90_730,
            busy_ms: 16_948,
        };
        assert_eq!(found[1].1, expected);
    }

    #[test]
    fn whole_devices_are_told_by_name_where_sysfs_is_missing() {
        let nowhere = Path::new("/nonexistent");
        for whole in ["sda", "vda", "nvme0n1", "mmcblk0", "dm-0", "md127", "xvda", "nbd3", "cciss/c0d0"] {
            assert!(is_whole(nowhere, whole), "{whole}");
        }
        for part in ["sda1", "vda15", "nvme0n1p2", "mmcblk0p1", "md127p1", "loop7", "ram0", "zram0", "sr0", "fd0"] {
            assert!(!is_whole(nowhere, part), "{part}");
        }
    }

    #[test]
    fn rates_and_mean_request_time() {
        let before = Counters::default();
        let now =
            Counters { reads: 10, sectors_read: 80, read_ms: 30, writes: 10, write_ms: 10, busy_ms: 2_500, ..before };
        let sample = sample(now, before, 5.0);
        assert_eq!(sample.read_bytes_per_second, Some(8_192.0));
        assert_eq!(sample.reads_per_second, Some(2.0));
        assert_eq!(sample.busy_percent, Some(50.0));
        assert_eq!(sample.request_seconds, Some(0.002));
        assert_eq!(request_seconds(now, now), None, "no request, no mean");
        assert_eq!(request_seconds(before, now), None, "went backwards");
    }

    proptest! {
        #[test]
        fn any_bytes_parse(bytes in prop::collection::vec(any::<u8>(), 0..400), name in ".{0,20}") {
            let _ = parse(&bytes).count();
            is_whole(Path::new("/nonexistent"), &name);
        }
    }
}
