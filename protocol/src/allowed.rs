//! What a host does when it is asked, as its own files say at that moment: the answer to
//! [`crate::errand::Errand::Allowed`]. For people who choose; what decides is the host, once it is asked.

use serde::{Deserialize, Serialize};

/// From the agent, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AllowedReport {
    Allowed(Box<Allowed>),
    /// The executor cannot be asked: in words.
    Unavailable {
        message: String,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// Those that may be done to something.
    pub actions: Vec<AllowedAction>,
    pub emergency_stops: Vec<EmergencyStop>,
    /// Those that may be run, at most [`crate::limits::ALLOWED_RUNBOOK_BYTES`] of them.
    pub runbooks: Vec<Runbook>,
    /// Names of files that may be read as logs.
    pub log_files: Vec<String>,
    /// Files that are not believed or not understood, and what is left out here: in words.
    pub problems: Vec<String>,
}

/// An action with the patterns of names that it may be done to: one of `names` fits, and none of `except`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowedAction {
    /// [`crate::command::Action::name`], or `logs.read`.
    pub action: String,
    /// At most [`crate::limits::ALLOWED_PATTERNS`], as `except`.
    pub names: Vec<String>,
    pub except: Vec<String>,
}

/// A declared emergency stop, with the patterns of the containers that it stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmergencyStop {
    pub name: String,
    pub containers: Vec<String>,
    pub except: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runbook {
    pub name: String,
    pub description: String,
    pub timeout_seconds: u64,
    pub parameters: Vec<Parameter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    pub name: String,
    pub description: String,
    /// Without one somebody must say.
    pub default: Option<String>,
    pub values: Values,
}

/// What a parameter may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// A text that the regular expression fits as a whole.
    Text {
        pattern: String,
        max_chars: u32,
    },
    Integer {
        min: i64,
        max: i64,
    },
    OneOf(Vec<String>),
}
