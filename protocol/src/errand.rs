//! What a controller asks on a bi stream that it opens: its first frame. From version 3 on.

use crate::command::Command;
use crate::logs::LogsRequest;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Errand {
    /// The agent answers with [`crate::command::CommandReport`]s.
    Command(Command),
    /// The agent answers with [`crate::logs::LogsReport`]s.
    Logs(LogsRequest),
    /// The agent answers with one [`crate::allowed::AllowedReport`].
    Allowed,
}

impl Errand {
    /// The first version of the session in which an agent knows it.
    #[must_use]
    pub fn since(&self) -> u16 {
        match self {
            Self::Command(_) | Self::Logs(_) => crate::ERRANDS,
            Self::Allowed => crate::TELLS_ALLOWED,
        }
    }
}
