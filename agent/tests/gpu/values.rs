//! What a card answers comes through; what it does not is absent.

use crate::cards::{self, H200, bare, full};
use crate::host::{Host, numbers};
use fleetlight_protocol::document::GpuDriverState;
use fleetlight_protocol::samples::{EntityKind, GpuSample, Sample};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[tokio::test]
async fn everything_that_a_card_answers_comes_through() {
    let mut host = Host::new(&cards::host(&[full()]));
    let rows = host.tick().await.expect("a reading");
    let first = numbers(&rows, EntityKind::Gpu, H200);
    let expected = [
        ("utilization_percent", 83.0),
        ("memory_utilization_percent", 41.0),
        ("memory_total_bytes", 150_754_820_096.0),
        ("memory_used_bytes", 75_377_410_048.0),
        ("temperature_celsius", 61.0),
        ("memory_temperature_celsius", 72.0),
        ("power_watts", 512.3),
        ("power_limit_watts", 700.0),
        ("energy_joules", 9_876_543.0),
        ("graphics_clock_megahertz", 1_980.0),
        ("memory_clock_megahertz", 3_201.0),
        ("video_clock_megahertz", 1_545.0),
        ("throttle_reasons", 4.0),
        ("fan_percent", 30.0),
        ("pcie_replays", 2.0),
        ("pcie_link_generation", 5.0),
        ("pcie_link_width", 16.0),
        ("nvlink_links_active", 1.0),
        ("nvlink_errors", 7.0),
        ("encoder_percent", 12.0),
        ("decoder_percent", 34.0),
        ("ecc_corrected", 3.0),
        ("ecc_uncorrected", 1.0),
        ("retired_pages", 3.0),
        ("remapped_rows_corrected", 5.0),
        ("remapped_rows_uncorrected", 1.0),
        ("remap_pending", 0.0),
        ("remap_failed", 0.0),
    ];
    for (name, value) in expected {
        assert_eq!(first.get(name), Some(&value), "{name}");
    }
    assert_eq!(first.len(), expected.len(), "a rate needs two readings: {first:?}");

    let mut later = full();
    later["fields"]["197"] = json!({"u64": 3_000_000});
    host.set(&cards::host(&[later]));
    let rows = host.tick().await.expect("a reading");
    let second = numbers(&rows, EntityKind::Gpu, H200);
    assert!(second["pcie_transmit_bytes_per_second"] > 0.0);
    assert_eq!(second["pcie_receive_bytes_per_second"], 0.0);

    let answered: BTreeSet<_> = second.keys().map(|name| (*name).to_owned()).collect();
    let all: BTreeSet<_> = GpuSample::METRICS.iter().map(|metric| metric.name.to_owned()).collect();
    assert_eq!(answered, all, "every metric of the catalogue has a source");
    let document = host.gpu(H200).expect("said");
    assert_eq!(document.supported.iter().cloned().collect::<BTreeSet<_>>(), all);
}

#[tokio::test]
async fn facts_and_versions_are_documents_and_said_once() {
    let mut host = Host::new(&cards::host(&[full()]));
    for _ in 0..3 {
        host.tick().await.expect("a reading");
    }
    let driver = host.driver();
    assert_eq!((driver.state, driver.gpus, driver.reason.as_str()), (GpuDriverState::Ok, 1, ""));
    assert_eq!(driver.driver_version.as_deref(), Some("580.95.05"));
    assert_eq!(driver.cuda_version.as_deref(), Some("13.0"));
    let gpu = host.gpu(H200).expect("said");
    assert_eq!((gpu.index, gpu.name.as_deref()), (0, Some("NVIDIA H200")));
    assert_eq!(gpu.pci_bus_id.as_deref(), Some("00000000:18:00.0"));
    assert_eq!((gpu.persistence_mode, gpu.ecc_enabled, gpu.mig_enabled), (Some(true), Some(true), Some(false)));
    assert_eq!((gpu.power_limit_default_watts, gpu.nvlink_links), (Some(700.0), Some(2)));
    let said = host.documents.iter().filter(|it| it.kind == EntityKind::Gpu).count();
    assert_eq!(said, 2, "at first, and when the rates were there");
}

#[tokio::test]
async fn what_a_card_does_not_support_is_absent_and_never_zero() {
    let mut card = bare("GPU-a");
    // A failed field has a number in it all the same.
    card["fields"] = json!({"82": {"error": 3}, "142": {"error": 999}, "198": {"u32": 5}});
    let mut host = Host::new(&cards::host(&[card]));
    for _ in 0..2 {
        let rows = host.tick().await.expect("a reading");
        let only = numbers(&rows, EntityKind::Gpu, "GPU-a");
        assert_eq!(only.into_iter().collect::<Vec<_>>(), [("temperature_celsius", 41.0)]);
    }
    let document = host.gpu("GPU-a").expect("said");
    assert_eq!(document.supported, ["temperature_celsius"]);
    assert_eq!((document.ecc_enabled, document.mig_enabled, document.nvlink_links), (None, None, None));
}

#[tokio::test]
async fn an_old_driver_without_the_newer_memory_call_still_says_how_much() {
    let mut card = bare("GPU-a");
    card["values"]["nvmlDeviceGetMemoryInfo"] = json!([16_000, 4_000]);
    let mut scenario = cards::host(&[card]);
    scenario["faults"] = json!({"nvmlDeviceGetMemoryInfo_v2": {"error": 13}});
    let mut host = Host::new(&scenario);
    let rows = host.tick().await.expect("a reading");
    let card = numbers(&rows, EntityKind::Gpu, "GPU-a");
    assert_eq!((card["memory_total_bytes"], card["memory_used_bytes"]), (16_000.0, 4_000.0));
}

#[tokio::test]
async fn a_card_that_does_not_give_power_by_call_gives_it_by_field() {
    let mut card = bare("GPU-a");
    card["fields"] = json!({"186": {"u32": 70_500}});
    let mut host = Host::new(&cards::host(&[card]));
    let rows = host.tick().await.expect("a reading");
    assert_eq!(numbers(&rows, EntityKind::Gpu, "GPU-a")["power_watts"], 70.5);
}

/// A GPU shared by MIG: its utilisation and processes are its instances'.
fn shared() -> Value {
    let mut card = full();
    card["values"]["nvmlDeviceGetMigMode"] = json!([1, 1]);
    card["values"].as_object_mut().expect("an object").remove("nvmlDeviceGetUtilizationRates");
    card["instances"] = json!([
        {
            "texts": {"nvmlDeviceGetUUID": "MIG-1", "nvmlDeviceGetName": "NVIDIA H200 MIG 3g.71gb"},
            "values": {"nvmlDeviceGetMemoryInfo_v2": [75_000, 500], "nvmlDeviceGetPowerUsage": 512_300},
            "processes": [{"pid": 4_242, "bytes": 400}],
        },
        {
            "texts": {"nvmlDeviceGetUUID": "MIG-2"},
            "values": {"nvmlDeviceGetMemoryInfo_v2": [75_000, 0]},
        },
    ]);
    card
}

#[tokio::test]
async fn mig_instances_are_gpus_of_their_own() {
    let mut host = Host::new(&cards::host(&[shared()]));
    let rows = host.tick().await.expect("a reading");
    let whole = numbers(&rows, EntityKind::Gpu, H200);
    assert!(!whole.contains_key("utilization_percent"), "unsupported on a GPU that is shared");
    assert_eq!(whole["power_watts"], 512.3);
    let part = numbers(&rows, EntityKind::Gpu, "MIG-1");
    let memory = [("memory_total_bytes", 75_000.0), ("memory_used_bytes", 500.0)];
    assert_eq!(part.into_iter().collect::<Vec<_>>(), memory, "the rest is the whole card's");
    assert_eq!(numbers(&rows, EntityKind::GpuProcess, "MIG-1/4242")["memory_used_bytes"], 400.0);
    assert_eq!(numbers(&rows, EntityKind::Gpu, "MIG-2")["memory_used_bytes"], 0.0);

    assert_eq!(host.gpu(H200).map(|gpu| (gpu.mig_enabled, gpu.parent.clone())), Some((Some(true), None)));
    let part = host.gpu("MIG-1").expect("said");
    assert_eq!((part.parent.as_deref(), part.index), (Some(H200), 0));
    assert_eq!(host.driver().gpus, 1, "instances are no GPUs of the driver");
}
