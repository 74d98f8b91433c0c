//! A wall clock that a test sets, for processes that preload `tests/clock-stub`.

use crate::system::binary;
use anyhow::Result;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// How far the clock of some processes is ahead of the real one.
#[derive(Debug)]
pub struct FalseClock(PathBuf);

impl FalseClock {
    /// A clock that is the real one's until it is set; `file` says what it is set to.
    #[must_use]
    pub fn new(file: &Path) -> Self {
        Self(file.to_owned())
    }

    /// # Errors
    /// Those of the file.
    pub fn set(&self, ahead_ms: i64) -> Result<()> {
        // In place and at once: the processes have the file open, and an empty one is the real time.
        let file = File::options().write(true).create(true).truncate(false).open(&self.0)?;
        Ok(file.write_all_at(&ahead_ms.to_le_bytes(), 0)?)
    }

    /// The environment of a process that goes by it.
    ///
    /// # Errors
    /// If the stub is not built.
    pub fn env(&self) -> Result<Vec<(String, String)>> {
        let stub = binary("libfleetlight_clock_stub.so")?;
        Ok(vec![
            ("LD_PRELOAD".into(), stub.display().to_string()),
            ("FLEETLIGHT_CLOCK".into(), self.0.display().to_string()),
        ])
    }
}
