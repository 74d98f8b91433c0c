//! Every queue, wait and retry of the agent, with its reason and what happens when full.

use std::time::Duration;

// Worker processes.

/// Bytes of one question or answer of a worker process: 1,000 mounts or 64 GPUs fit. Beyond it the
/// worker is broken and is started anew.
pub const WORKER_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// Pause between two starts of a worker process, so that one that ends at once costs little.
pub const WORKER_BACKOFF: Duration = Duration::from_secs(5);

// Containers known to more than one collector.

/// Containers whose names are shared: 1,000 on the largest host that we know of. Beyond it a GPU
/// process keeps its container's id and loses only the user that its name would give.
pub const CONTAINER_NAMES: usize = 4_096;
// Batches and the spool.

/// Readings on their way from collectors to the batcher. Full: collectors wait, and miss ticks that
/// they count.
pub const READINGS: usize = 64;

/// The longest that a tick's batch waits for a collector: under the 150 ms that a sample may take
/// to a browser.
pub const BATCH_WAIT: std::time::Duration = std::time::Duration::from_millis(40);

/// Bytes of batches held in memory: about an hour of a host with 25 containers at 5 s, and within the agent's
/// memory budget while the controller answers. Full: see [`crate::spool`].
pub const SPOOL_BYTES: usize = 16 * 1024 * 1024;

/// Separate gaps that the spool remembers; more are merged.
pub const SPOOL_GAPS: usize = 1_024;
