//! What can be asked of the executor: the first frame of a connection, and what is answered.

use crate::docker::{ContainerId, ImageId};
use fleetlight_protocol::command::{Command, CommandResult};
use fleetlight_protocol::logs::LogsRequest;
use fleetlight_protocol::samples::EntityKind;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A question. Beside each stands what is answered; answers that are a `Result` come once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// `Result<(), DockerError>`
    Ping,
    /// `Result<List, DockerError>`
    List,
    /// `Result<Inspection, DockerError>`
    Inspect(ContainerId),
    /// `Result<Option<u64>, DockerError>`
    ImageBytes(ImageId),
    /// `Result<Vec<Vec<u8>>, DockerError>`; where the policy denies reading its logs, that in words.
    LastLines(ContainerId),
    /// `Result<DaemonEvent, DockerError>` each, until one side hangs up.
    Events { since_ns: i64 },
    /// [`fleetlight_protocol::command::CommandReport`] each. `left_ms` is what is left until the deadline. The same id again: what the
    /// journal knows, and what is still to come.
    Run { command: Box<Command>, left_ms: i64 },
    /// `bool`: whether it was running.
    Cancel(Uuid),
    /// [`Ended`] each: those not settled, and those to come, until one side hangs up.
    Results,
    /// `()`: these results are in the spool, on disk.
    Settle(Vec<Uuid>),
    /// [`fleetlight_protocol::logs::LogsReport`] each, until one side hangs up.
    Logs(Box<LogsRequest>),
    /// [`fleetlight_protocol::allowed::AllowedReport`]
    Allowed,
    /// [`fleetlight_protocol::command::CommandReport`] each: on the host, by hand.
    EmergencyStop { pattern: String },
}

/// A command that has ended, and what it was about: as [`fleetlight_protocol::event::Event`] tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    pub kind: EntityKind,
    pub key: String,
    pub subject: String,
    pub result: CommandResult,
}
