//! Readers of partitions that are to go: a dump, or a session that was left open, may hold them for hours.
//!
//! The lock that dropping wants is the strongest, on the whole table: while we wait for it, whoever comes after us
//! waits, too, the writers of live samples included. So only the first wait of a run is a real one.

use crate::limits::{PARTITION_DROP_GLANCE, PARTITION_DROP_WAIT};
use std::time::Duration;

/// How long one run waits for readers.
#[derive(Debug)]
pub struct Patience(Duration);

impl Default for Patience {
    fn default() -> Self {
        Self(PARTITION_DROP_WAIT)
    }
}

impl Patience {
    /// The statement that bounds the waits of what follows in its transaction.
    pub fn sql(&self) -> String {
        format!("set local lock_timeout = {}", self.0.as_millis())
    }

    /// Somebody reads `part` for longer than that; said once a run.
    pub fn lost(&mut self, part: &str) {
        if self.0 > PARTITION_DROP_GLANCE {
            tracing::info!(part, "a partition past its time is being read; it goes when that is over, as do others");
            self.0 = PARTITION_DROP_GLANCE;
        }
    }
}

/// Whether a statement gave up because somebody holds what it wants: lock_not_available.
pub fn is_readers_fault(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "55P03")
}
