//! What is wrong with a host, from the last that it said. Pure: no clock, no state.
//!
//! What is absent (no Docker, no GPU) is a fact and no problem; what no longer answers is one.

use super::host::HostData;
use super::presence::{HostState, Presence};
use crate::limits::{
    CLOCK_OFFSET_MS, DISK_CRIT_PERCENT, DISK_WARN_PERCENT, EXIT_IS_RECENT_MS, MEMORY_WARN_PERCENT, PROBLEMS_PER_HOST,
    XID_IS_RECENT_MS,
};
use fleetlight_protocol::document::{
    Body, CollectorDocument, CollectorState, ContainerDocument, ContainerState, GpuDocument, GpuDriverDocument,
    GpuDriverState, GpuState, MountDocument,
};
use fleetlight_protocol::event::{Fact, Severity as EventSeverity};
use fleetlight_protocol::samples::{EntityKind, MountState};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// Worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Crit,
    Warn,
}

/// One thing that wants attention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Problem {
    pub severity: Severity,
    #[schemars(with = "String")]
    pub kind: EntityKind,
    pub key: String,
    /// The entity's name for people.
    pub subject: String,
    pub message: String,
    /// When it was first seen, milliseconds since the Unix epoch.
    pub since_ms: i64,
}

/// Everything that is wrong at `now_ms`, worst first. `since_ms` is the fact's own time where it
/// has one, else `now_ms`; [`super::host::HostRecord`] keeps the first.
#[must_use]
pub fn problems(data: &HostData, presence: &Presence, state: HostState, now_ms: i64) -> Vec<Problem> {
    let mut found = Found { problems: Vec::new(), now_ms };
    found.presence(presence, state);
    // Of a host that is gone nothing else is known to be true now.
    if state != HostState::Offline {
        found.host(data, presence);
        found.documents(data);
        found.fill_levels(data);
        found.xids(data);
    }
    let mut problems = found.problems;
    problems.sort_by(|a, b| (a.severity, a.kind, &a.key, &a.message).cmp(&(b.severity, b.kind, &b.key, &b.message)));
    problems.truncate(PROBLEMS_PER_HOST);
    problems
}

struct Found {
    problems: Vec<Problem>,
    now_ms: i64,
}

use Severity::{Crit, Warn};

impl Found {
    fn add(&mut self, severity: Severity, entity: (EntityKind, &str), subject: &str, message: impl Into<String>) {
        self.problems.push(Problem {
            severity,
            kind: entity.0,
            key: entity.1.to_owned(),
            subject: subject.to_owned(),
            message: message.into(),
            since_ms: self.now_ms,
        });
    }

    fn presence(&mut self, presence: &Presence, state: HostState) {
        let since = presence.last_seen_ms.map_or_else(|| "it was enrolled".to_owned(), clock_time);
        let host = (EntityKind::Host, "");
        match (state, &presence.goodbye) {
            (HostState::Offline, Some(reason)) => {
                self.add(Warn, host, "", format!("offline: the agent stopped on purpose ({reason})"));
            }
            (HostState::Offline, None) => self.add(Crit, host, "", format!("offline: no sign of life since {since}")),
            (HostState::Stale, _) => {
                self.add(Crit, host, "", format!("stale: three samples missed, last sign of life {since}"));
            }
            (HostState::Online | HostState::CatchingUp, _) => return,
        }
        if let (Some(problem), Some(last_seen_ms)) = (self.problems.last_mut(), presence.last_seen_ms) {
            problem.since_ms = last_seen_ms;
        }
    }

    fn host(&mut self, data: &HostData, presence: &Presence) {
        let host = (EntityKind::Host, "");
        let used = data.value(EntityKind::Host, "", "memory_used_bytes");
        let total = data.value(EntityKind::Host, "", "memory_total_bytes");
        if let Some(percent) = share(used, total).filter(|percent| *percent >= MEMORY_WARN_PERCENT) {
            self.add(Warn, host, "memory", format!("{percent:.0} % of the memory is in use"));
        }
        if let Some(offset) =
            presence.clock_offset_ms.filter(|offset| offset.unsigned_abs() > CLOCK_OFFSET_MS.unsigned_abs())
        {
            let (seconds, way) =
                (offset.unsigned_abs() as f64 / 1_000.0, if offset > 0 { "ahead of" } else { "behind" });
            self.add(Warn, host, "clock", format!("its clock is {seconds:.1} s {way} the controller's; set up NTP"));
        }
    }

    fn documents(&mut self, data: &HostData) {
        for (key, document) in data.documents.all() {
            let entity = (document.kind, key);
            match &document.body {
                Some(Body::Container(container)) => self.container(entity, container),
                Some(Body::Mount(mount)) => self.mount(entity, mount),
                Some(Body::Gpu(gpu)) => self.gpu(entity, gpu),
                Some(Body::GpuDriver(driver)) => self.gpu_driver(entity, driver),
                Some(Body::Collector(collector)) => self.collector(entity, collector),
                Some(Body::Host(_) | Body::GpuProcess(_)) | None => {}
            }
        }
    }

    fn container(&mut self, entity: (EntityKind, &str), container: &ContainerDocument) {
        let name = container.name.as_str();
        if let Some(looping) = &container.crash_loop {
            let code = looping.last_exit_code.map_or_else(String::new, |code| format!(", last exit code {code}"));
            // Fewer make no loop: it began before the agent did.
            let often = match looping.deaths {
                0..3 => "restarts again and again".to_owned(),
                deaths => format!("died {deaths} times in {} min", looping.window_seconds / 60),
            };
            self.add(Crit, entity, name, format!("crash loop: {often}{code}"));
            return;
        }
        if container.health.as_deref() == Some("unhealthy") {
            self.add(Warn, entity, name, "its health check fails");
        }
        let ended = matches!(container.state, ContainerState::Exited | ContainerState::Dead);
        let recent = container.finished_ms.filter(|finished| self.now_ms.saturating_sub(*finished) < EXIT_IS_RECENT_MS);
        if let (true, Some(finished_ms), Some(code)) = (ended, recent, container.exit_code)
            && (container.oom_killed || !stopped_from_outside(code))
        {
            let cause = if container.oom_killed { ", killed for want of memory" } else { "" };
            self.add(Warn, entity, name, format!("exited with code {code}{cause}"));
            self.dated(finished_ms);
        }
    }

    fn mount(&mut self, entity: (EntityKind, &str), mount: &MountDocument) {
        let (severity, word) = match mount.state {
            MountState::Ok => return,
            MountState::Hung => (Crit, "hung"),
            MountState::Stale => (Crit, "stale"),
            MountState::Slow => (Warn, "slow"),
            MountState::Error => (Warn, "in error"),
        };
        self.add(severity, entity, &mount.mount_point, with_reason(word, &mount.reason));
    }

    fn gpu(&mut self, entity: (EntityKind, &str), gpu: &GpuDocument) {
        let (severity, word) = match gpu.state {
            GpuState::Ok => return,
            GpuState::Lost => (Crit, "lost"),
            GpuState::ResetRequired => (Crit, "needs a reset"),
            GpuState::Error => (Warn, "in error"),
        };
        self.add(severity, entity, &gpu_name(gpu), with_reason(word, &gpu.reason));
    }

    fn gpu_driver(&mut self, entity: (EntityKind, &str), driver: &GpuDriverDocument) {
        let (severity, word) = match driver.state {
            GpuDriverState::Ok | GpuDriverState::LibraryMissing => return,
            GpuDriverState::Unresponsive => (Crit, "does not answer"),
            GpuDriverState::VersionMismatch => (Crit, "library and kernel module differ in version"),
            GpuDriverState::DriverNotLoaded => (Warn, "kernel module not loaded"),
            GpuDriverState::Error => (Warn, "in error"),
        };
        self.add(severity, entity, "GPU driver", with_reason(word, &driver.reason));
    }

    fn collector(&mut self, entity: (EntityKind, &str), collector: &CollectorDocument) {
        let word = match collector.state {
            CollectorState::Ok | CollectorState::Absent => return,
            CollectorState::Stuck => "stuck",
            CollectorState::Failing => "failing",
        };
        let subject = format!("collector {}", entity.1);
        self.add(Warn, entity, &subject, with_reason(word, &collector.reason));
    }

    fn fill_levels(&mut self, data: &HostData) {
        for (mount, level) in data.fill_levels() {
            let (percent, what) = match (level.bytes_percent, level.inodes_percent) {
                (bytes, Some(inodes)) if bytes.is_none_or(|bytes| inodes > bytes) => {
                    (inodes, "of the inodes are in use")
                }
                (Some(bytes), _) => (bytes, "full"),
                (None, _) => continue,
            };
            let severity = match percent {
                _ if percent >= DISK_CRIT_PERCENT => Crit,
                _ if percent >= DISK_WARN_PERCENT => Warn,
                _ => continue,
            };
            self.add(severity, (EntityKind::Mount, mount), mount, format!("{percent:.0} % {what}"));
        }
    }

    fn xids(&mut self, data: &HostData) {
        let mut worst: BTreeMap<(&str, u64), Problem> = BTreeMap::new();
        for view in &data.events {
            let event = &view.event;
            let Fact::Xid { code, meaning } = &event.fact else { continue };
            if self.now_ms.saturating_sub(event.at_ms) >= XID_IS_RECENT_MS {
                continue;
            }
            let severity = if event.severity == EventSeverity::Crit { Crit } else { Warn };
            // Events stand oldest first: the newest of a code replaces those before it.
            let problem = Problem {
                severity,
                kind: event.kind,
                key: event.key.clone(),
                subject: event.subject.clone(),
                message: format!("Xid {code}: {meaning}"),
                since_ms: event.at_ms,
            };
            worst.insert((&event.key, *code), problem);
        }
        self.problems.extend(worst.into_values());
    }

    fn dated(&mut self, since_ms: i64) {
        if let Some(problem) = self.problems.last_mut() {
            problem.since_ms = since_ms;
        }
    }
}

/// 0, and what `docker stop`, `docker kill` and Ctrl-C leave: SIGTERM, SIGKILL, SIGINT.
fn stopped_from_outside(code: i64) -> bool {
    matches!(code, 0 | 130 | 137 | 143)
}

fn with_reason(word: &str, reason: &str) -> String {
    if reason.is_empty() { word.to_owned() } else { format!("{word}: {reason}") }
}

/// `GPU 3 (NVIDIA H200)`
#[must_use]
pub fn gpu_name(gpu: &GpuDocument) -> String {
    let name = gpu.name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    format!("GPU {}{name}", gpu.index)
}

/// Percent that `part` is of `whole`; absent where either is, or nothing can be a share.
#[must_use]
pub fn share(part: Option<f64>, whole: Option<f64>) -> Option<f64> {
    match (part, whole) {
        (Some(part), Some(whole)) if whole > 0.0 => Some(100.0 * part / whole),
        _ => None,
    }
}

fn clock_time(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms)
        .map_or_else(|_| format!("{at_ms} ms"), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

#[cfg(test)]
#[path = "problems_tests.rs"]
mod tests;
