//! What the files worker is asked, and what it answers.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Plain files at or below `path` that were changed at `since_ms` or later; without it, all.
    Count { path: PathBuf, since_ms: Option<i64> },
    /// Whether each plain file at or below `source` that was last changed before `until_ms` is at the same place below
    /// `destination` with as many bytes.
    Compare { source: PathBuf, destination: PathBuf, until_ms: i64 },
}

/// In words why there is none: the path, and what the kernel says.
pub type Answer = Result<Found, String>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    Counted(Counted),
    Compared(Compared),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    pub files: u64,
    pub bytes: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    pub source: Counted,
    /// Those of them that the destination has.
    pub destination: Counted,
    /// One that it has not, below the source.
    pub missing: Option<String>,
}
