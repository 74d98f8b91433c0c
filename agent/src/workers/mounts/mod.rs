//! The mount worker: the only process that asks file systems how full they are.
//!
//! A question lists the mounts; the answer says of each what it said last and for how long it has
//! kept the worker waiting. The answer itself never waits for a file system longer than
//! [`MOUNT_GRACE`](crate::limits::MOUNT_GRACE).

mod messages;
mod prober;

pub use messages::{Answer, Done, Probe, Question, Room, Target};

use crate::limits::{MOUNT_GRACE, MOUNT_PATIENCE};
use prober::Prober;
use std::process::ExitCode;

/// Answers on standard output what is asked on standard input, until that is closed.
#[must_use]
pub fn serve() -> ExitCode {
    let mut prober = Prober::new(ask, MOUNT_GRACE, MOUNT_PATIENCE);
    super::serve(|question: Question| prober.answer(&question))
}

/// May never return.
fn ask(target: &Target) -> Result<Room, i32> {
    #[allow(clippy::disallowed_methods, reason = "this process exists so that this call may hang")]
    let found = rustix::fs::statvfs(target.path()).map_err(rustix::io::Errno::raw_os_error)?;
    Ok(Room {
        // Before Linux 2.6 f_frsize may be 0 and f_bsize is meant.
        block_bytes: if found.f_frsize == 0 { found.f_bsize } else { found.f_frsize },
        blocks: found.f_blocks,
        blocks_free: found.f_bfree,
        blocks_available: found.f_bavail,
        inodes: found.f_files,
        inodes_free: found.f_ffree,
    })
}
