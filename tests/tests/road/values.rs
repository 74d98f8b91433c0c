//! This machine's numbers at the end of the road, beside what `/proc` and `df` say of the same moment.

use crate::reference::{Look, Looks, around, df, meminfo};
use crate::{TickRows, every_second, host_id, tick};
use fleetlight_tests::client::Client;
use fleetlight_tests::system::{Options, System};
use std::fs;
use std::path::{Path, PathBuf};

/// Ticks that are compared: CPU over four seconds, so that its ends weigh little.
const TICKS: usize = 5;
/// From a tick to its numbers here: they are there before the next one.
const LATE_MS: i64 = 1_000;
/// Programs take and give back memory between two looks, 10 ms apart, and the kernel charges by the page and CPU.
const MEMORY_SLACK_BYTES: f64 = 8.0 * 1024.0 * 1024.0;
/// Points of CPU: each tick's share is counted in clock ticks of 10 ms.
const CPU_SLACK: f64 = 1.0;
/// Other programs write to `/` between two looks.
const DISK_SLACK_BYTES: f64 = 16.0 * 1024.0 * 1024.0;
const MIB: u64 = 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn this_machine_shows_with_its_real_numbers() {
    let system = System::start("numbers", &Options::default()).expect("controller");
    let client = system.set_up().await.expect("setup link");
    let _agent = system.agent("here", &every_second()).expect("agent");
    let id = host_id(&client, "here").await;
    let catalogue = client.get("catalogue").await.expect("catalogue");
    let mut stream = client.stream(Some(id)).await.expect("stream");
    let looks = Looks::start();
    // What comes first was sampled before we looked.
    tick(&mut stream, &catalogue).await;
    let mut ticks = Vec::new();
    while ticks.len() < TICKS {
        ticks.push(tick(&mut stream, &catalogue).await);
    }
    // The look after the last tick.
    tick(&mut stream, &catalogue).await;
    let looks = looks.end();
    for tick in &ticks {
        assert!(tick.received_ms - tick.at_ms < LATE_MS, "{} ms late", tick.received_ms - tick.at_ms);
        memory_and_load_lie_between(tick, &looks);
    }
    cpu_is_as_the_kernel_counts(&ticks, &looks);
    let [before, last] = ticks.last_chunk().expect("ticks");
    assert_eq!(last.value("host", None, "memory_total_bytes"), meminfo("MemTotal:"), "to the byte");
    assert_eq!(last.value("mount", Some("/"), "total_bytes"), df("/")[0], "the disk's size, to the byte");
    // A mount is asked from tick to tick.
    let around = around(&looks, before.at_ms, last.received_ms).iter();
    let used = last.value("mount", Some("/"), "used_bytes");
    between(used, around.map(|look| look.root_used_bytes), DISK_SLACK_BYTES, "used on /");
    who_it_is(&client, id).await;
}

/// The looks from a tick until its numbers had come to us.
fn of<'a>(tick: &TickRows, looks: &'a [Look]) -> &'a [Look] {
    around(looks, tick.at_ms, tick.received_ms)
}

fn memory_and_load_lie_between(tick: &TickRows, looks: &[Look]) {
    let looks = || of(tick, looks).iter();
    let memory = tick.value("host", None, "memory_used_bytes");
    between(memory, looks().map(|look| look.memory_used_bytes), MEMORY_SLACK_BYTES, "memory used");
    // The kernel states it with two decimals, and changes it each five seconds.
    let load = tick.value("host", None, "load1");
    between(load, looks().map(|look| look.load1), 0.001, "load of a minute");
}

fn cpu_is_as_the_kernel_counts(ticks: &[TickRows], looks: &[Look]) {
    // Each tick's share is of the time since the one before it.
    let share = |pair: &[TickRows]| {
        let ms = (pair[1].at_ms - pair[0].at_ms) as f64;
        (pair[1].value("host", None, "cpu_percent") * ms, ms)
    };
    let (busy, all) = ticks.windows(2).map(share).fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let (first, last) = (of(&ticks[0], looks), of(ticks.last().expect("ticks"), looks));
    let shares =
        first.iter().flat_map(|from| last.iter().map(|to| 100.0 * (to.cpu.0 - from.cpu.0) / (to.cpu.1 - from.cpu.1)));
    between(busy / all, shares, CPU_SLACK, "CPU");
}

/// Asserts that a value lies between the least and the greatest of others, or `slack` beside.
fn between(value: f64, others: impl Iterator<Item = f64> + Clone, slack: f64, what: &str) {
    let least = others.clone().fold(f64::INFINITY, f64::min);
    let greatest = others.fold(f64::NEG_INFINITY, f64::max);
    println!("{what}: {value}, by other means {least} to {greatest}");
    assert!((least - slack..=greatest + slack).contains(&value), "{what}: {value}, not from {least} to {greatest}");
}

async fn who_it_is(client: &Client, id: i64) {
    let detail = client.get(&format!("hosts/{id}")).await.expect("detail");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").expect("kernel");
    assert_eq!(detail["summary"]["kernel"], kernel.trim());
    let documents = detail["documents"].as_array().expect("documents");
    let absent = documents.iter().find(|document| document["kind"] == "gpu_driver").expect("GPU driver's document");
    if !Path::new("/dev/nvidiactl").exists() {
        assert_eq!(absent["body"]["state"], "library_missing");
        assert!(absent["body"]["reason"].as_str().is_some_and(|why| !why.is_empty()));
    }
}

/// A file system whose use only we change: every number is exact.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_64_mib_is_64_mib_of_a_mount() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: a mount of known use: mounting needs root");
        return;
    }
    let system = System::start("mounted", &Options::default()).expect("controller");
    let client = system.set_up().await.expect("setup link");
    let mount = Tmpfs::mount(system.dir().join("disk"), 128 * MIB);
    let _agent = system.agent("here", &every_second()).expect("agent");
    let id = host_id(&client, "here").await;
    let catalogue = client.get("catalogue").await.expect("catalogue");
    let mut stream = client.stream(Some(id)).await.expect("stream");
    let key = mount.0.to_str().expect("a path of letters");
    let metrics = ["total_bytes", "used_bytes", "available_bytes"];
    for file_bytes in [0, 64 * MIB, MIB, 0] {
        fs::write(mount.0.join("file"), vec![7; file_bytes as usize]).expect("writes");
        let expected = [128 * MIB, file_bytes, 128 * MIB - file_bytes].map(|bytes| bytes as f64);
        assert_eq!(df(key), expected, "df agrees with us");
        // What was being sampled meanwhile, and the first after it.
        let mut seen = None;
        for _ in 0..3 {
            let tick = tick(&mut stream, &catalogue).await;
            seen = tick.has("mount", key).then(|| metrics.map(|name| tick.value("mount", Some(key), name)));
            if seen == Some(expected) {
                break;
            }
        }
        assert_eq!(seen, Some(expected), "size, used and available, to the byte");
    }
}

/// Unmounted on drop.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(place: PathBuf, bytes: u64) -> Self {
        fs::create_dir_all(&place).expect("a folder");
        let size = format!("size={bytes}");
        let status =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&place).status();
        assert!(status.expect("mount").success(), "mounting at {}", place.display());
        Self(place)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}
