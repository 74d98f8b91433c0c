//! Why the controller ends, and the exit code that says so (sysexits.h).

use std::path::Path;
use std::process::ExitCode;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration is not as it must be; trying again changes nothing.
    #[error("{0}")]
    Config(String),
    /// An address of the configuration cannot be listened on: it is taken, or not this machine's.
    #[error("{0}")]
    Listen(String),
    /// The database is not to be had.
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// Where the keys stand that the message names.
    #[must_use]
    pub fn configured_in(self, file: &Path) -> Self {
        let place = |message| format!("{message} (configuration: {})", file.display());
        match self {
            Self::Listen(message) => Self::Listen(place(message)),
            Self::Unavailable(message) => Self::Unavailable(place(message)),
            other => other,
        }
    }

    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Config(_) => 78,
            Self::Listen(_) => 71,
            Self::Unavailable(_) => 69,
            Self::Other(_) => 1,
        })
    }
}
