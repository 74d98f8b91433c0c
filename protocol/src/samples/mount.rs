//! Mounted file systems.

use super::{resolution::*, sample};
use serde::{Deserialize, Serialize};

sample! {
    /// One mount. Sizes are those of `statvfs`; a mount that does not answer has only its state.
    MountSample is Mount {
        total_bytes: Bytes, Int8, ONE, "size: f_blocks × f_frsize", "node_filesystem_size_bytes";
        used_bytes: Bytes, Int8, ONE, "size less free, as df says: (f_blocks − f_bfree) × f_frsize";
        available_bytes: Bytes, Int8, ONE, "free to ordinary users: f_bavail × f_frsize", "node_filesystem_avail_bytes";
        inodes_total: Count, Int8, ONE, "f_files", "node_filesystem_files";
        inodes_used: Count, Int8, ONE, "f_files − f_ffree";
        probe_seconds: Seconds, Real, DURATION, "time that the file system took to answer";
        state: State, Int2, ONE, "0 ok, 1 slow, 2 hung, 3 stale, 4 error";
    }
}

/// Whether a file system answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountState {
    /// Answered in time.
    Ok = 0,
    /// Answered, but late.
    Slow = 1,
    /// Has not answered past its deadline.
    Hung = 2,
    /// ESTALE or ENOTCONN: the server's handle or the daemon is gone.
    Stale = 3,
    /// Another error; the document says which.
    Error = 4,
}
