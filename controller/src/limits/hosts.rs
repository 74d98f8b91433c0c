//! What one host may have, and how fast it may send it.

use super::ENTITIES_PER_HOST;
use std::time::Duration;

// What one host may have. Beyond it the part is left out, counted in quarantine and shown with the host; the
// rest of the batch is kept, and no other host notices.

/// Entities that were sampled within [`ENTITY_FORGOTTEN_AFTER`] are [`ENTITIES_PER_HOST`] at most.
pub const ENTITY_FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);
/// The same of history, apart: a day of a host that starts 5,000 containers and processes an hour, which comes
/// within minutes. Some 4 MiB when full.
pub const REPLAYED_ENTITIES_PER_HOST: usize = 8 * ENTITIES_PER_HOST;
/// How often a host without room is looked through for forgotten entities.
pub const SCREEN_SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Bytes of one event as JSON: 20 log lines of 400 characters at six bytes each, and its names.
pub const EVENT_BYTES: usize = 64 * 1024;
/// Bytes of one document as JSON: 64 labels of 1,024 characters a side are 128 KiB.
pub const DOCUMENT_BYTES: usize = 256 * 1024;
/// Documents that hold now, and their bytes: 1,000 containers are about 1 MiB.
pub const DOCUMENTS_PER_HOST: usize = 4_096;
pub const DOCUMENT_BYTES_PER_HOST: usize = 16 * 1024 * 1024;

// How fast one host may send. Full: its streams are not read, and its agent holds the rest.

/// Values taken just now: 2,000 rows a second have some 25,000; and ten seconds' worth at once.
pub const LIVE_VALUES_PER_SECOND: u32 = 50_000;
pub const LIVE_VALUES_BURST: u32 = 500_000;
/// Values of the past: a day of 8 GPUs and 25 containers at 5 s in two minutes, which leaves two cores time for the
/// present.
pub const REPLAY_VALUES_PER_SECOND: u32 = 100_000;
pub const REPLAY_VALUES_BURST: u32 = 500_000;
/// Bytes of events and documents: a container that dies every 2 s with its last lines makes 4 KiB a second; at
/// once, the inventory of the largest host and a night of events.
pub const FACT_BYTES_PER_SECOND: u32 = 64 * 1024;
pub const FACT_BYTES_BURST: u32 = 16 * 1024 * 1024;
/// What a frame counts for at least: an empty one is work too.
pub const FRAME_COST_VALUES: usize = 200;
pub const FRAME_COST_BYTES: usize = 512;
