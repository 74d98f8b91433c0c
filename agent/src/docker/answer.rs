//! Docker's answers as plain values. Pure.
//!
//! Environment, arguments and mounts of an answer are dropped here, before anyone can keep them.

use super::{ContainerId, ImageId};
use crate::limits::LOG_LINE_BYTES;
use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary, ContainerSummaryStateEnum, EventMessage,
    HealthConfig, HealthStatusEnum, HealthcheckResult, HostConfig, PortMap, RestartPolicyNameEnum,
};
use fleetlight_protocol::document::ContainerState;
use fleetlight_protocol::limits::LAST_LINES;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Docker's interval and time-out of a health check that states none.
const PROBE_DEFAULT: Duration = Duration::from_secs(30);

/// One line of the list of containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    pub id: ContainerId,
    pub name: String,
    pub state: ContainerState,
}

/// What inspecting a container gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    pub id: ContainerId,
    pub name: String,
    /// As named when it was made.
    pub image: String,
    pub image_id: Option<ImageId>,
    pub state: ContainerState,
    /// Of its first process, as the daemon's PID namespace counts; absent when not running.
    pub pid: Option<u32>,
    /// `starting`, `healthy`, `unhealthy`; absent without a check.
    pub health: Option<String>,
    /// What its health check said last.
    pub probe: Option<Probe>,
    /// From a start, the longest until its check has called it healthy or unhealthy; absent without a check.
    pub health_verdict: Option<Duration>,
    /// What Docker waits on a stop before it kills; negative is for ever, absent is Docker's default.
    pub stop_seconds: Option<i64>,
    /// Of its last run; absent before its first end.
    pub exit_code: Option<i64>,
    pub oom_killed: bool,
    pub created_ms: Option<i64>,
    pub started_ms: Option<i64>,
    pub finished_ms: Option<i64>,
    pub restarts: u32,
    pub restart_policy: RestartPolicy,
    /// `0.0.0.0:8188->8188/tcp`, or `8188/tcp` when exposed only.
    pub ports: Vec<String>,
    pub labels: HashMap<String, String>,
    pub memory_limit_bytes: Option<u64>,
    pub cpu_limit: Option<f64>,
    pub network: Network,
}

/// One run of a health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    pub exit_code: Option<i64>,
    /// As it was printed, at most [`LOG_LINE_BYTES`].
    pub output: Vec<u8>,
}

/// Whose network namespace a container lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    Own,
    /// The host's, or another container's: the counters there are not its own.
    Shared,
}

/// What Docker does when a container ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    No,
    OnFailure,
    Always,
    UnlessStopped,
}

impl RestartPolicy {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::OnFailure => "on-failure",
            Self::Always => "always",
            Self::UnlessStopped => "unless-stopped",
        }
    }
}

/// One event of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonEvent {
    pub id: ContainerId,
    pub name: String,
    /// Nanoseconds since the Unix epoch, by the host's clock.
    pub at_ns: i64,
    pub change: Change,
}

/// What happened to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    Created,
    Started,
    Died {
        exit_code: Option<i64>,
    },
    OutOfMemory,
    Killed {
        signal: Option<u32>,
    },
    Removed,
    Paused,
    Unpaused,
    Health(String),
    /// A restart that was asked for is through: its own death and start came before.
    Restarted,
    /// Renamed, or given other limits: look again.
    Altered,
}

impl DaemonEvent {
    #[must_use]
    pub fn at_ms(&self) -> i64 {
        self.at_ns / 1_000_000
    }
}

pub fn listed(summary: ContainerSummary) -> Option<Listed> {
    use ContainerSummaryStateEnum as Docker;
    let state = match summary.state? {
        Docker::CREATED => ContainerState::Created,
        Docker::RUNNING | Docker::STOPPING => ContainerState::Running,
        Docker::PAUSED => ContainerState::Paused,
        Docker::RESTARTING => ContainerState::Restarting,
        Docker::REMOVING => ContainerState::Removing,
        Docker::EXITED => ContainerState::Exited,
        Docker::DEAD => ContainerState::Dead,
        Docker::EMPTY => ContainerState::Unknown,
    };
    let name = summary.names.unwrap_or_default().into_iter().find(|name| name.matches('/').count() < 2);
    Some(Listed { id: ContainerId::parse(&summary.id?)?, name: bare(&name.unwrap_or_default()), state })
}

/// Names come with a slash before them.
fn bare(name: &str) -> String {
    name.trim_start_matches('/').to_owned()
}

pub fn inspection(found: ContainerInspectResponse) -> Option<Inspection> {
    let state = found.state?;
    let host = found.host_config.unwrap_or_default();
    let config = found.config.unwrap_or_default();
    let finished_ms = state.finished_at.as_deref().and_then(milliseconds);
    let health = state.health.unwrap_or_default();
    Some(Inspection {
        id: ContainerId::parse(&found.id?)?,
        name: bare(&found.name.unwrap_or_default()),
        image: config.image.unwrap_or_default(),
        image_id: found.image.as_deref().and_then(ImageId::parse),
        state: state.status.map_or(ContainerState::Unknown, state_of),
        pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
        health: health.status.and_then(health_of),
        probe: health.log.and_then(|mut runs| runs.pop()).map(probe_of),
        health_verdict: config.healthcheck.as_ref().and_then(verdict_of),
        stop_seconds: config.stop_timeout,
        exit_code: state.exit_code.filter(|_| finished_ms.is_some()),
        oom_killed: state.oom_killed.unwrap_or(false),
        created_ms: found.created.as_deref().and_then(milliseconds),
        started_ms: state.started_at.as_deref().and_then(milliseconds),
        finished_ms,
        restarts: found.restart_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        restart_policy: policy_of(&host),
        ports: ports_of(found.network_settings.and_then(|network| network.ports).unwrap_or_default()),
        labels: config.labels.unwrap_or_default(),
        memory_limit_bytes: host.memory.and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes > 0),
        cpu_limit: cpu_limit(&host),
        network: network_of(host.network_mode.as_deref().unwrap_or_default()),
    })
}

fn state_of(status: ContainerStateStatusEnum) -> ContainerState {
    use ContainerStateStatusEnum as Docker;
    match status {
        Docker::CREATED => ContainerState::Created,
        Docker::RUNNING | Docker::STOPPING => ContainerState::Running,
        Docker::PAUSED => ContainerState::Paused,
        Docker::RESTARTING => ContainerState::Restarting,
        Docker::REMOVING => ContainerState::Removing,
        Docker::EXITED => ContainerState::Exited,
        Docker::DEAD => ContainerState::Dead,
        Docker::EMPTY => ContainerState::Unknown,
    }
}

fn health_of(health: HealthStatusEnum) -> Option<String> {
    match health {
        HealthStatusEnum::STARTING | HealthStatusEnum::HEALTHY | HealthStatusEnum::UNHEALTHY => {
            Some(health.as_ref().to_owned())
        }
        HealthStatusEnum::EMPTY | HealthStatusEnum::NONE => None,
    }
}

fn probe_of(run: HealthcheckResult) -> Probe {
    let mut output = run.output.unwrap_or_default().into_bytes();
    output.truncate(LOG_LINE_BYTES);
    Probe { exit_code: run.exit_code, output }
}

/// Failures before the end of the start period do not count; then each probe comes an interval after the last one's
/// end, and one more may be under way. Docker's defaults stand for what is absent or 0.
fn verdict_of(check: &HealthConfig) -> Option<Duration> {
    if check.test.as_ref().is_none_or(|test| test.is_empty() || test[0] == "NONE") {
        return None;
    }
    let stated = |nanos: Option<i64>| nanos.and_then(|nanos| u64::try_from(nanos).ok()).filter(|nanos| *nanos > 0);
    let time = |nanos, default| stated(nanos).map_or(default, Duration::from_nanos);
    let once = time(check.interval, PROBE_DEFAULT).saturating_add(time(check.timeout, PROBE_DEFAULT));
    let runs = stated(check.retries).unwrap_or(3).saturating_add(1);
    let runs = once.saturating_mul(u32::try_from(runs).unwrap_or(u32::MAX));
    Some(time(check.start_period, Duration::ZERO).saturating_add(runs))
}

fn policy_of(host: &HostConfig) -> RestartPolicy {
    match host.restart_policy.as_ref().and_then(|policy| policy.name) {
        Some(RestartPolicyNameEnum::ALWAYS) => RestartPolicy::Always,
        Some(RestartPolicyNameEnum::UNLESS_STOPPED) => RestartPolicy::UnlessStopped,
        Some(RestartPolicyNameEnum::ON_FAILURE) => RestartPolicy::OnFailure,
        _ => RestartPolicy::No,
    }
}

/// `NanoCpus`, or quota by period (100 ms unless stated).
fn cpu_limit(host: &HostConfig) -> Option<f64> {
    let nano = host.nano_cpus.filter(|nano| *nano > 0).map(|nano| nano as f64 / 1e9);
    let quota = host.cpu_quota.filter(|quota| *quota > 0);
    let period = host.cpu_period.filter(|period| *period > 0).unwrap_or(100_000);
    nano.or_else(|| quota.map(|quota| quota as f64 / period as f64))
}

/// `host` and `container:<id>` lend another's namespace.
fn network_of(mode: &str) -> Network {
    if mode == "host" || mode.starts_with("container:") { Network::Shared } else { Network::Own }
}

fn ports_of(ports: PortMap) -> Vec<String> {
    let mut lines = Vec::new();
    for (inside, bindings) in ports {
        let bindings = bindings.unwrap_or_default();
        if bindings.is_empty() {
            lines.push(inside.clone());
        }
        for binding in bindings {
            let (ip, port) = (binding.host_ip.unwrap_or_default(), binding.host_port.unwrap_or_default());
            let ip = if ip.contains(':') { format!("[{ip}]") } else { ip };
            lines.push(format!("{ip}:{port}->{inside}"));
        }
    }
    lines.sort_unstable();
    lines.truncate(crate::limits::PORTS);
    lines
}

/// RFC 3339; Docker says "never" as the year 1.
fn milliseconds(time: &str) -> Option<i64> {
    time.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond).filter(|ms| *ms > 0)
}

pub fn event(message: EventMessage) -> Option<DaemonEvent> {
    let actor = message.actor?;
    let attributes = actor.attributes.unwrap_or_default();
    let number = |key: &str| attributes.get(key).and_then(|text| text.parse::<i64>().ok());
    let action = message.action?;
    let change = match action.as_str() {
        "create" => Change::Created,
        "start" => Change::Started,
        "die" => Change::Died { exit_code: number("exitCode") },
        "oom" => Change::OutOfMemory,
        "kill" => Change::Killed { signal: number("signal").and_then(|signal| u32::try_from(signal).ok()) },
        "destroy" => Change::Removed,
        "pause" => Change::Paused,
        "unpause" => Change::Unpaused,
        "restart" => Change::Restarted,
        "rename" | "update" => Change::Altered,
        other => Change::Health(other.strip_prefix("health_status:")?.trim().to_owned()),
    };
    let at_ns = message.time_nano.or_else(|| message.time.map(|seconds| seconds.saturating_mul(1_000_000_000)))?;
    let name = attributes.get("name").map(|name| bare(name)).unwrap_or_default();
    Some(DaemonEvent { id: ContainerId::parse(&actor.id?)?, name, at_ns, change })
}

/// The last lines of a log that comes in frames.
#[derive(Debug, Default)]
pub struct Tail {
    lines: VecDeque<Vec<u8>>,
}

impl Tail {
    /// Takes a frame: one line, or several from a terminal.
    pub fn push(&mut self, frame: &[u8]) {
        for line in frame.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).filter(|line| !line.is_empty()) {
            if self.lines.len() == LAST_LINES {
                self.lines.pop_front();
            }
            self.lines.push_back(line[..line.len().min(LOG_LINE_BYTES)].to_vec());
        }
    }

    #[must_use]
    pub fn lines(self) -> Vec<Vec<u8>> {
        self.lines.into()
    }
}
