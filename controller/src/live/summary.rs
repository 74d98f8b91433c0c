//! One host in a row: the numbers of the overview. Pure.

use super::host::HostData;
use fleetlight_protocol::document::{Body, CollectorState, ContainerState, GpuState};
use fleetlight_protocol::samples::EntityKind;
use schemars::JsonSchema;
use serde::Serialize;

#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Summary {
    pub cpu_percent: Option<f64>,
    pub cpu_count: Option<u32>,
    pub memory_used_bytes: Option<f64>,
    pub memory_total_bytes: Option<f64>,
    pub gpus: Vec<GpuSummary>,
    pub fullest_mount: Option<FullestMount>,
    /// None where the host has no Docker.
    pub containers: Option<ContainerCounts>,
    pub os: Option<String>,
    pub kernel: Option<String>,
    pub architecture: Option<String>,
    pub boot_time_ms: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GpuSummary {
    pub key: String,
    pub name: Option<String>,
    #[schemars(with = "String")]
    pub state: GpuState,
    pub utilization_percent: Option<f64>,
    pub memory_used_bytes: Option<f64>,
    pub memory_total_bytes: Option<f64>,
    pub temperature_celsius: Option<f64>,
    pub power_watts: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FullestMount {
    pub key: String,
    pub used_percent: f64,
}

/// A container in a crash loop is counted there and not as running.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ContainerCounts {
    pub running: u32,
    pub total: u32,
    pub crash_loops: u32,
    pub unhealthy: u32,
}

impl Summary {
    #[must_use]
    pub fn of(data: &HostData) -> Self {
        let number = |metric| data.value(EntityKind::Host, "", metric);
        let mut summary = Self {
            cpu_percent: number("cpu_percent"),
            memory_used_bytes: number("memory_used_bytes"),
            memory_total_bytes: number("memory_total_bytes"),
            gpus: gpus(data),
            fullest_mount: fullest_mount(data),
            containers: containers(data),
            ..Self::default()
        };
        if let Some(host) = data.host_document() {
            let os = [host.os.as_deref(), host.os_version.as_deref()];
            let os = os.into_iter().flatten().collect::<Vec<_>>().join(" ");
            summary.cpu_count = Some(host.cpu_count);
            summary.os = Some(os).filter(|os| !os.is_empty());
            summary.kernel.clone_from(&host.kernel);
            summary.architecture = Some(host.architecture.clone());
            summary.boot_time_ms = Some(host.boot_time_ms);
            summary.memory_total_bytes = summary.memory_total_bytes.or(Some(host.memory_total_bytes as f64));
        }
        summary
    }
}

fn gpus(data: &HostData) -> Vec<GpuSummary> {
    let mut gpus: Vec<_> = data
        .documents
        .of(EntityKind::Gpu)
        .filter_map(|(key, document)| match &document.body {
            Some(Body::Gpu(gpu)) => Some((key, gpu)),
            _ => None,
        })
        .collect();
    gpus.sort_by_key(|(_, gpu)| gpu.index);
    let summary = gpus.into_iter().map(|(key, gpu)| {
        let number = |metric| data.value(EntityKind::Gpu, key, metric);
        GpuSummary {
            key: key.to_owned(),
            name: gpu.name.clone(),
            state: gpu.state,
            utilization_percent: number("utilization_percent"),
            memory_used_bytes: number("memory_used_bytes"),
            memory_total_bytes: number("memory_total_bytes"),
            temperature_celsius: number("temperature_celsius"),
            power_watts: number("power_watts"),
        }
    });
    summary.collect()
}

fn fullest_mount(data: &HostData) -> Option<FullestMount> {
    let levels = data.fill_levels();
    let levels = levels.filter_map(|(mount, level)| level.bytes_percent.map(|percent| (mount, percent)));
    let (key, used_percent) = levels.max_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(FullestMount { key: key.to_owned(), used_percent: (used_percent * 10.0).round() / 10.0 })
}

fn containers(data: &HostData) -> Option<ContainerCounts> {
    let collector = data.documents.get(EntityKind::Collector, "containers").and_then(|held| held.body.as_ref());
    if matches!(collector, Some(Body::Collector(collector)) if collector.state == CollectorState::Absent) {
        return None;
    }
    let mut counts = ContainerCounts::default();
    for (_, document) in data.documents.of(EntityKind::Container) {
        let Some(Body::Container(container)) = &document.body else { continue };
        counts.total += 1;
        counts.unhealthy += u32::from(container.health.as_deref() == Some("unhealthy"));
        if container.crash_loop.is_some() {
            counts.crash_loops += 1;
        } else if container.state == ContainerState::Running {
            counts.running += 1;
        }
    }
    Some(counts)
}
