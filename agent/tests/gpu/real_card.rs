//! The same assertions on a real card: `FLEETLIGHT_REAL_NVML=1`, or a path of the library.

use crate::host::AGENT;
use fleetlight_agent::collectors::gpu::GpuCollector;
use fleetlight_agent::collectors::{Collector, Reading};
use fleetlight_agent::config::AgentConfig;
use fleetlight_agent::tick::{Tick, wall_ms};
use fleetlight_agent::workers::Worker;
use fleetlight_protocol::document::{Body, GpuDriverState};
use fleetlight_protocol::samples::{EntityKind, GpuSample, Row, Sample};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

const LIBRARY: &str = "libnvidia-ml.so.1";

/// Which library to ask; none where nobody wants it.
fn library() -> Option<String> {
    let asked = std::env::var("FLEETLIGHT_REAL_NVML").ok()?;
    Some(if asked == "1" { LIBRARY.to_owned() } else { asked })
}

#[tokio::test]
async fn real_card() {
    let Some(library) = library() else {
        println!("SKIPPED: no NVIDIA GPU: set FLEETLIGHT_REAL_NVML=1 on a host that has one");
        return;
    };
    let (outbox, mut said) = mpsc::channel(1_024);
    let worker = Worker::new(AGENT.into(), &["nvml-worker", "--library", &library]);
    let mut collector = GpuCollector::with_worker(worker, &AgentConfig::default(), Default::default(), outbox);
    let (mut rows, mut took) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let began = Instant::now();
        let tick = Tick { at_ms: wall_ms(), due: began };
        rows = collector.collect(tick).await.expect("the card answers");
        took.push(began.elapsed());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    said.close();
    let mut documents = Vec::new();
    while let Some(reading) = said.recv().await {
        if let Reading::Documents(some) = reading {
            documents.extend(some.into_iter().filter_map(|document| document.body));
        }
    }
    for body in &documents {
        match body {
            Body::GpuDriver(driver) => {
                println!("driver: {driver:?}");
                assert_eq!((driver.state, driver.reason.as_str()), (GpuDriverState::Ok, ""));
                assert!(driver.driver_version.is_some() && driver.cuda_version.is_some());
            }
            Body::Gpu(gpu) => println!("gpu: {gpu:?}"),
            Body::GpuProcess(process) => println!("process: {process:?}"),
            other => panic!("{other:?}"),
        }
    }
    println!("ticks took {took:?}, the first with initialisation");
    let cards: Vec<&Row> = rows.iter().filter(|row| row.kind == EntityKind::Gpu).collect();
    assert!(!cards.is_empty(), "no GPU was found");
    for card in cards {
        plausible(card);
    }
}

/// Prints what the card gave, and checks what can be wrong on no card.
fn plausible(card: &Row) {
    let named: BTreeMap<_, _> = GpuSample::METRICS.iter().map(|metric| metric.name).zip(&card.values).collect();
    for (name, value) in &named {
        match value {
            Some(value) => println!("{} {name}: seen, {value}", card.key),
            None => println!("{} {name}: absent", card.key),
        }
    }
    assert_eq!(named.len(), card.values.len(), "a number for each metric of the catalogue");
    let within = |name: &str, low: f64, high: f64| {
        if let Some(value) = named[name] {
            assert!((low..=high).contains(value), "{name} = {value}");
        }
    };
    for name in GpuSample::METRICS.iter().map(|metric| metric.name).filter(|name| name.ends_with("_percent")) {
        within(name, 0.0, 100.0);
    }
    within("temperature_celsius", 1.0, 120.0);
    within("memory_temperature_celsius", 1.0, 130.0);
    within("power_watts", 1.0, 2_000.0);
    within("pcie_receive_bytes_per_second", 0.0, 130e9);
    within("pcie_transmit_bytes_per_second", 0.0, 130e9);
    if let (Some(used), Some(total)) = (named["memory_used_bytes"], named["memory_total_bytes"]) {
        assert!(used <= total, "{used} of {total}");
    }
}
