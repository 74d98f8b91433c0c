//! Processes on a GPU: whose they are, how much they use.

use crate::cards::{self, bare};
use crate::host::{Host, numbers};
use fleetlight_protocol::document::{Body, GpuProcessDocument};
use fleetlight_protocol::samples::EntityKind;
use serde_json::{Value, json};

const ID: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

fn busy(processes: &Value) -> Value {
    let mut card = bare("GPU-a");
    card["processes"] = processes.clone();
    cards::host(&[card])
}

fn said(host: &Host, key: &str) -> GpuProcessDocument {
    let document = host.documents.iter().rfind(|it| it.kind == EntityKind::GpuProcess && it.key == key);
    match document.and_then(|it| it.body.clone()) {
        Some(Body::GpuProcess(document)) => document,
        other => panic!("{key}: {other:?}"),
    }
}

#[tokio::test]
async fn a_process_leads_to_its_container_and_user_and_keeps_its_arguments_to_itself() {
    let mut host = Host::new(&busy(&json!([
        {"pid": 100, "bytes": 1_000, "sm": 40, "time_us": 10},
        {"pid": 200, "bytes": 2_000, "graphics": true},
    ])));
    host.process(
        100,
        "/opt/venv/bin/python3\0main.py\0--api-key=hunter2\0",
        &format!("0::/system.slice/docker-{ID}.scope\n"),
        0,
    );
    host.process(200, "/usr/lib/xorg/Xorg\0:0\0", "0::/user.slice\n", 0);
    host.names.insert(ID, "comfy-user007");
    let rows = host.tick().await.expect("a reading");
    let inside = said(&host, "GPU-a/100");
    assert_eq!(inside.name.as_deref(), Some("python3"));
    assert_eq!((inside.container.as_deref(), inside.user.as_deref()), (Some(ID), Some("user007")));
    assert_eq!(inside.context, "compute");
    let outside = said(&host, "GPU-a/200");
    assert_eq!((outside.container, outside.user.as_deref()), (None, Some("root")));
    assert_eq!(outside.context, "graphics");
    assert!(!format!("{:?}", host.documents).contains("hunter2"));

    let first = numbers(&rows, EntityKind::GpuProcess, "GPU-a/100");
    assert_eq!(first.into_iter().collect::<Vec<_>>(), [("memory_used_bytes", 1_000.0)], "samples of unknown age");
}

#[tokio::test]
async fn shares_are_of_the_time_since_the_last_tick_and_an_idle_process_has_none() {
    let at = |time_us: u64, sm: u64| json!([{"pid": 100, "bytes": 1, "sm": sm, "time_us": time_us}, {"pid": 200, "bytes": 1}]);
    let mut host = Host::new(&busy(&at(10, 90)));
    host.tick().await.expect("a reading");
    host.set(&busy(&at(20, 40)));
    let rows = host.tick().await.expect("a reading");
    assert_eq!(numbers(&rows, EntityKind::GpuProcess, "GPU-a/100")["utilization_percent"], 40.0);
    assert_eq!(numbers(&rows, EntityKind::GpuProcess, "GPU-a/200")["utilization_percent"], 0.0);
    let rows = host.tick().await.expect("a reading");
    assert_eq!(numbers(&rows, EntityKind::GpuProcess, "GPU-a/100")["utilization_percent"], 0.0, "no new sample");
}

#[tokio::test]
async fn a_process_that_ends_is_gone() {
    let mut host = Host::new(&busy(&json!([{"pid": 100, "bytes": 1_000}])));
    host.tick().await.expect("a reading");
    host.set(&busy(&json!([])));
    let rows = host.tick().await.expect("a reading");
    assert!(rows.iter().all(|row| row.kind == EntityKind::Gpu));
    let last = host.documents.iter().rfind(|it| it.kind == EntityKind::GpuProcess).expect("said");
    assert_eq!((last.key.as_str(), &last.body), ("GPU-a/100", &None));
}
