//! What the mounts collector and the mount worker say to each other.

use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

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
    #[must_use]
    pub fn path(&self) -> &Path {
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
