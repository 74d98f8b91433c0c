//! Commands: typed actions that a person asks of a host, and what became of them.
//!
//! The controller opens one bi stream per command and sends [`crate::errand::Errand::Command`]; the agent answers
//! with [`CommandReport`]s until [`CommandReport::Finished`]. The controller may send
//! [`CommandControl`] meanwhile. A lost connection cancels nothing: the controller asks again with the same id, and
//! the host's journal knows what became of it. The result also travels as a fact
//! ([`crate::event::Fact::CommandFinished`]), which is stored and acknowledged like any other.
//!
//! Every name that comes in is checked on the host before it is used; there is no shell string.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use uuid::Uuid;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Of this one wish: the host does it at most once, however often it is asked.
    pub id: Uuid,
    /// When it was asked for, milliseconds since the Unix epoch, by the controller's clock.
    pub asked_ms: i64,
    /// Not begun later than this, by the controller's clock.
    pub deadline_ms: i64,
    /// Who asked, for the host's own log.
    pub by: String,
    pub action: Action,
}

/// The closed list of what a host can be asked to do. A new one needs a new session version: an agent that does not
/// know it cannot read the command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing: shows that commands reach the host and come back.
    Check,
    Container {
        verb: ContainerVerb,
        container: ContainerTarget,
        /// How long the effect must hold before it counts, at most [`crate::limits::STABLE_SECONDS`].
        stable_seconds: u32,
    },
    Unit {
        verb: UnitVerb,
        /// With its ending: `nginx.service`.
        unit: String,
        stable_seconds: u32,
    },
    /// A runbook that the host declares.
    Runbook {
        name: String,
        /// Those without a value have their defaults.
        #[serde(default)]
        parameters: BTreeMap<String, String>,
    },
    /// Stops at once what matches a pattern that the host's policy declares under this name.
    EmergencyStop { pattern: String },
}

/// The container that the asker saw. The host refuses when it is another one by now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerTarget {
    /// Docker's id, 64 hex digits.
    pub id: String,
    /// Its name as the asker saw it.
    pub name: String,
    /// Its image as named when it was made, as the asker saw it.
    pub image: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerVerb {
    Start,
    Stop,
    Restart,
    Kill,
    Pause,
    Unpause,
    Remove,
    /// Fetches the newest image of its name; the container goes on with the old one until recreated.
    Pull,
    /// Compose makes the container anew from its project's files.
    Recreate,
    /// Compose builds the image and makes the container anew.
    Rebuild,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitVerb {
    Start,
    Stop,
    Restart,
}

/// From the controller on a command's stream, after the command itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandControl {
    Cancel,
}

/// From the agent on a command's stream, in this order; the last one is always [`Self::Finished`] or
/// [`Self::Unavailable`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandReport {
    /// In the journal: it will not run twice.
    Accepted {
        began_ms: i64,
    },
    /// A step was reached, in words: "stopped", "started", "healthy".
    Step {
        at_ms: i64,
        text: String,
    },
    /// What it prints, as it comes; at most [`crate::limits::OUTPUT_CHUNK_BYTES`], masked.
    Output {
        stream: OutputStream,
        text: String,
    },
    Finished(Box<CommandResult>),
    /// The executor cannot be reached: nothing is known and nothing is closed, the controller asks again.
    Unavailable {
        message: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputStream {
    Stdout,
    Stderr,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandResult {
    pub command: Uuid,
    pub outcome: Outcome,
    /// What it was to achieve: `comfy-user001 runs, healthy, for 10 s`.
    pub asked: String,
    /// What is true now: `restarted, then exited 1 after 3 s`.
    pub observed: String,
    /// Why it is not [`Outcome::Verified`], and what to do.
    pub reason: Option<String>,
    /// By the host's clock; absent when it never began.
    pub began_ms: Option<i64>,
    pub ended_ms: i64,
    pub exit_code: Option<i64>,
    pub output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done, and looked at: it is so.
    Verified,
    /// Done, but what it was to achieve is not so.
    Unverified,
    /// It could not be done, or ended with an error.
    Failed,
    /// The host does not do this; the reason names the rule.
    Refused,
    /// Its deadline had passed before it began.
    Expired,
    Cancelled,
    /// The host or its executor went down while it ran; it is not begun again by itself.
    Interrupted,
    #[serde(other)]
    Unknown,
}

/// Output of a command within its bound: the beginning, the end, and how much between them is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// At most [`crate::limits::OUTPUT_HEAD_BYTES`].
    pub head: String,
    /// At most [`crate::limits::OUTPUT_TAIL_BYTES`]; empty when all is in `head`.
    pub tail: String,
    /// Bytes between the two that were not kept.
    pub dropped_bytes: u64,
}

impl Action {
    /// Its name in policy, API, audit and page: `container.restart`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Container { verb, .. } => verb.action(),
            Self::Unit { verb, .. } => verb.action(),
            Self::Runbook { .. } => "runbook.run",
            Self::EmergencyStop { .. } => "emergency_stop",
        }
    }

    /// What it acts on, for people; empty for the host itself.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::Check => "",
            Self::Container { container, .. } => &container.name,
            Self::Unit { unit, .. } => unit,
            Self::Runbook { name, .. } => name,
            Self::EmergencyStop { pattern } => pattern,
        }
    }
}

impl ContainerVerb {
    pub const ALL: [Self; 10] = [
        Self::Start,
        Self::Stop,
        Self::Restart,
        Self::Kill,
        Self::Pause,
        Self::Unpause,
        Self::Remove,
        Self::Pull,
        Self::Recreate,
        Self::Rebuild,
    ];

    #[must_use]
    pub fn action(self) -> &'static str {
        match self {
            Self::Start => "container.start",
            Self::Stop => "container.stop",
            Self::Restart => "container.restart",
            Self::Kill => "container.kill",
            Self::Pause => "container.pause",
            Self::Unpause => "container.unpause",
            Self::Remove => "container.remove",
            Self::Pull => "container.pull",
            Self::Recreate => "container.recreate",
            Self::Rebuild => "container.rebuild",
        }
    }
}

impl UnitVerb {
    pub const ALL: [Self; 3] = [Self::Start, Self::Stop, Self::Restart];

    #[must_use]
    pub fn action(self) -> &'static str {
        match self {
            Self::Start => "unit.start",
            Self::Stop => "unit.stop",
            Self::Restart => "unit.restart",
        }
    }
}

impl Outcome {
    /// Name in API, tables and pages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Unverified => "unverified",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_bytes_are_pinned() {
        let cancel = rmp_serde::to_vec_named(&CommandControl::Cancel).expect("encodes");
        assert_eq!(cancel, [&[0xa6], b"cancel".as_slice()].concat());
        let check = rmp_serde::to_vec_named(&Action::Check).expect("encodes");
        assert_eq!(check, [&[0xa5], b"check".as_slice()].concat());
    }

    #[test]
    fn names_are_those_of_the_wire() {
        for verb in ContainerVerb::ALL {
            let wire = serde_json::to_value(verb).expect("encodes");
            assert_eq!(verb.action(), format!("container.{}", wire.as_str().expect("a word")));
        }
        for verb in UnitVerb::ALL {
            let wire = serde_json::to_value(verb).expect("encodes");
            assert_eq!(verb.action(), format!("unit.{}", wire.as_str().expect("a word")));
        }
    }
}
