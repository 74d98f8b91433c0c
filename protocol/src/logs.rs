//! Logs on demand: one bi stream per reader, opened by the controller with [`crate::errand::Errand::Logs`], closed
//! (reset) by it when the reader leaves. What the reader does not read is not sent: the stream's flow control is the
//! back-pressure, and what a source could not hold meanwhile is counted in [`LogsReport::Dropped`].

use serde::{Deserialize, Serialize};

/// What a reader wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsRequest {
    /// At most [`crate::limits::LOG_SOURCES`]; their lines come merged by time as far as that is known.
    pub sources: Vec<LogSource>,
    /// So many lines of the past of each source first, at most [`crate::limits::LOG_PAST_LINES`].
    pub lines: u32,
    /// Nothing older than this, milliseconds since the Unix epoch by the host's clock.
    pub since_ms: Option<i64>,
    /// Only lines of this level and worse; lines that state no level pass.
    pub level: Option<LogLevel>,
    /// Only lines that contain this text, without regard to case.
    pub contains: Option<String>,
    /// Goes on with what comes.
    pub follow: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogSource {
    /// A container by Docker's id.
    Container { id: String },
    /// The journal of a systemd unit, with its ending.
    Unit { name: String },
    /// A file that the host declares under this name.
    File { name: String },
}

/// From worst to least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

/// From the agent, until the stream ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogsReport {
    /// Its names are short: these are what flows.
    #[serde(rename = "l")]
    Lines(Vec<LogLine>),
    /// So many lines of this source came faster than they were read, and are gone.
    #[serde(rename = "d")]
    Dropped { source: u16, lines: u64 },
    /// What was asked for of the past is sent; from here on lines come as they are written.
    Live,
    /// The source cannot be read, or no more: in words. The others go on.
    Problem { source: u16, message: String },
}

/// One line, masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Index into [`LogsRequest::sources`].
    #[serde(rename = "s")]
    pub source: u16,
    /// Milliseconds since the Unix epoch by the host's clock; absent where the source keeps none.
    #[serde(rename = "a")]
    pub at_ms: Option<i64>,
    #[serde(rename = "v")]
    pub level: Option<LogLevel>,
    /// Without its line end; at most [`crate::limits::LOG_LINE_CHARS`], the rest is cut and marked.
    #[serde(rename = "t")]
    pub text: String,
}
