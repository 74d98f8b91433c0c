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

// Host.

/// Bytes of one file of procfs: mountinfo of a host with 1,000 containers has about 1 MB. Beyond
/// it the file is refused and its values are absent.
pub const PROC_FILE_BYTES: usize = 4 * 1024 * 1024;

/// Logical CPUs with rows of their own; the host's total counts all.
pub const CORES: usize = 2_048;

/// Network interfaces; those beyond it, in the kernel's order, are left out.
pub const INTERFACES: usize = 256;

/// Block devices; those beyond it, in the kernel's order, are left out.
pub const DISKS: usize = 512;

/// Temperature sensors; those beyond it, in the order of their keys, are left out.
pub const SENSORS: usize = 256;

/// Pause between two reads of the sensors: a chip may take milliseconds to answer, and
/// temperatures move slowly. Values older than three of these are no longer reported.
pub const SENSOR_REFRESH: Duration = Duration::from_secs(30);

/// Pause between two looks at what seldom changes: host name, operating system, CPUs.
pub const IDENTITY_REFRESH: Duration = Duration::from_secs(300);
