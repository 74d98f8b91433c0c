//! How much of the disk a day takes: 8 GPUs, 25 containers, a tick of 5 s, random walks.

use super::invariants::open_with;
use super::sim_disk::SimDisk;
use super::{Bounds, Payload};
use crate::random::Random;
use fleetlight_protocol::metric::Resolution;
use fleetlight_protocol::samples::{EntityKind, Row};

const TICKS_A_DAY: usize = 17_280;
/// Every record stands by itself, so a day is as large as so many parts of it: encoding all of it
/// would take a debug build a minute.
const TICKS: usize = TICKS_A_DAY / 24;

fn hex(random: &mut Random, digits: usize) -> String {
    (0..digits).map(|_| char::from(b"0123456789abcdef"[(random.draw() % 16) as usize])).collect()
}

/// The entities of a large host, every value present, all of them moving at once.
fn rows(random: &mut Random) -> Vec<Row> {
    let mut keys = vec![(EntityKind::Host, String::new())];
    keys.extend((0..32).map(|number| (EntityKind::Core, format!("cpu{number}"))));
    keys.extend((0..3).map(|number| (EntityKind::Interface, format!("eth{number}"))));
    keys.extend((0..3).map(|number| (EntityKind::Disk, format!("nvme{number}n1"))));
    keys.extend((0..12).map(|number| (EntityKind::Sensor, format!("coretemp/Core {number}"))));
    keys.extend(["/", "/boot", "/data", "/mnt/nfs"].map(|mount| (EntityKind::Mount, mount.to_owned())));
    for number in 0..8 {
        let gpu = format!("GPU-{}-{}-{}", hex(random, 8), hex(random, 12), hex(random, 12));
        keys.push((EntityKind::GpuProcess, format!("{gpu}/{}", 20_000 + number)));
        keys.push((EntityKind::Gpu, gpu));
    }
    keys.extend((0..25).map(|_| (EntityKind::Container, hex(random, 64))));
    keys.extend(["host", "mounts", "gpu", "containers"].map(|name| (EntityKind::Collector, name.to_owned())));
    let mut value = |resolution| match resolution {
        Resolution::Step(step) => step * (20.0 + 60.0 * random.unit()).round(),
        Resolution::Digits { unit, .. } => unit * 1e5 * random.unit(),
    };
    let row = |(kind, key): (EntityKind, String)| {
        let values = kind.metrics().iter().map(|metric| Some(value(metric.resolution))).collect();
        Row { kind, key, values }
    };
    keys.into_iter().map(row).collect()
}

fn walk(rows: &mut [Row], random: &mut Random) {
    for row in rows {
        for (value, metric) in row.values.iter_mut().zip(row.kind.metrics()) {
            let Some(value) = value else { continue };
            *value = match metric.resolution {
                Resolution::Step(step) => (*value + step * ((random.unit() * 5.0).floor() - 2.0)).abs(),
                Resolution::Digits { .. } => *value * (0.9 + 0.2 * random.unit()),
            };
        }
    }
}

#[test]
fn a_day_of_a_large_host_fits_into_eighty_mebibytes() {
    let (disk, mut random) = (SimDisk::default(), Random(1));
    let spool = open_with(&disk, Bounds::of_disk(512 * 1024 * 1024));
    let mut rows = rows(&mut random);
    for tick in 0..TICKS {
        walk(&mut rows, &mut random);
        spool.push(Payload::Samples { at_ms: 1_790_000_000_000 + 5_000 * tick as i64, rows: rows.clone().into() });
    }
    let bytes = disk.bytes() * (TICKS_A_DAY / TICKS);
    let values: usize = rows.iter().map(|row| row.values.len()).sum();
    println!("spool_24h_bytes {bytes} ({} entities, {values} values a tick)", rows.len());
    assert!(bytes <= 80 * 1024 * 1024, "{bytes}");
}
