//! The mount worker: the only process that asks file systems how full they are.
//!
//! A question lists the mounts; the answer says of each what it said last and for how long it has
//! kept the worker waiting. The answer itself never waits for a file system longer than
//! [`MOUNT_GRACE`](crate::limits::MOUNT_GRACE).

mod prober;

use crate::limits::{MOUNT_GRACE, MOUNT_PATIENCE};
use prober::Prober;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

/// The mounts to look at. Those of earlier questions that it does not list are forgotten.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Question {
    pub mounts: Vec<Target>,
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The kernel's number of the mount: another mount at the same place is another target.
    pub id: u64,
    /// The mount point's bytes; they need not be text.
    pub path: Vec<u8>,
    /// It is asked by a thread of its own.
    pub remote: bool,
}

impl Target {
    fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }
}

/// What is known of the mounts, in the question's order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    pub mounts: Vec<Probe>,
}

/// What is known of one mount.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The last time it answered; none if it never has.
    pub last: Option<Done>,
    /// Milliseconds that the present attempt has been out; none between attempts.
    pub out_ms: Option<u64>,
    /// It was not asked, since too many others keep threads waiting.
    pub crowded: bool,
}

/// One attempt that came back.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Done {
    pub took_us: u64,
    /// Or the error number of statvfs(3).
    pub result: Result<Room, i32>,
}

/// Room of a file system, as statvfs(3) has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// `f_frsize`, the unit of the next three.
    pub block_bytes: u64,
    pub blocks: u64,
    pub blocks_free: u64,
    pub blocks_available: u64,
    pub inodes: u64,
    pub inodes_free: u64,
}

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
