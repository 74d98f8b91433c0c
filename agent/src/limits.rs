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
