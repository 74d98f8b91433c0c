//! Events: facts at a time, drawn on time axes and kept apart from samples.

use crate::command::{CommandResult, Output};
use crate::document::CollectorState;
use crate::samples::{EntityKind, MountState};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub id: Uuid,
    /// Milliseconds since the Unix epoch, by the host's clock.
    pub at_ms: i64,
    pub kind: EntityKind,
    /// As in [`crate::samples::Row`].
    pub key: String,
    /// The entity's name for people, as it was then.
    pub subject: String,
    pub severity: Severity,
    pub fact: Fact,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Info,
    Warn,
    Crit,
}

impl Event {
    /// As the fleet hears of it: a command's output stays with the command.
    #[must_use]
    pub fn brief(&self) -> Self {
        let mut brief = self.clone();
        if let Fact::CommandFinished(result) = &mut brief.fact {
            result.output = Output::default();
        }
        brief
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    AgentStarted {
        version: String,
    },
    HostBooted {
        boot_time_ms: i64,
    },
    ContainerCreated,
    ContainerStarted,
    ContainerDied {
        exit_code: Option<i64>,
        oom_killed: bool,
        /// Masked, oldest first, at most [`crate::limits::LAST_LINES`].
        last_lines: Vec<String>,
    },
    ContainerRemoved,
    ContainerPaused,
    ContainerUnpaused,
    ContainerHealth {
        health: String,
    },
    CrashLoopBegan {
        deaths: u32,
        window_seconds: u32,
        last_exit_code: Option<i64>,
        last_lines: Vec<String>,
    },
    CrashLoopEnded,
    Xid {
        code: u64,
        meaning: String,
    },
    GpuLost {
        reason: String,
    },
    GpuBack,
    MountChanged {
        from: MountState,
        to: MountState,
        reason: String,
    },
    CollectorChanged {
        from: CollectorState,
        to: CollectorState,
        reason: String,
    },
    /// A command has ended; it is closed by this word.
    CommandFinished(Box<CommandResult>),
    /// Something of a newer agent that this build does not know.
    #[serde(other)]
    Unknown,
}

impl Fact {
    /// Name in API, table and pages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::AgentStarted { .. } => "agent_started",
            Self::HostBooted { .. } => "host_booted",
            Self::ContainerCreated => "container_created",
            Self::ContainerStarted => "container_started",
            Self::ContainerDied { .. } => "container_died",
            Self::ContainerRemoved => "container_removed",
            Self::ContainerPaused => "container_paused",
            Self::ContainerUnpaused => "container_unpaused",
            Self::ContainerHealth { .. } => "container_health",
            Self::CrashLoopBegan { .. } => "crash_loop_began",
            Self::CrashLoopEnded => "crash_loop_ended",
            Self::Xid { .. } => "xid",
            Self::GpuLost { .. } => "gpu_lost",
            Self::GpuBack => "gpu_back",
            Self::MountChanged { .. } => "mount_changed",
            Self::CollectorChanged { .. } => "collector_changed",
            Self::CommandFinished(_) => "command_finished",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_wire() {
        let fact = Fact::ContainerDied { exit_code: Some(137), oom_killed: true, last_lines: Vec::new() };
        let json = serde_json::to_value(&fact).expect("encodes");
        assert_eq!(json["container_died"]["exit_code"], 137);
        assert_eq!(fact.name(), "container_died");
    }
}
