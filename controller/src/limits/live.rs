//! The present in memory.

use std::time::Duration;

/// Missed ticks after which a host is stale: one may be lost, two may be late.
pub const STALE_AFTER_TICKS: u32 = 3;

/// Silence after which a host is offline, whatever its interval.
pub const OFFLINE_AFTER: Duration = Duration::from_secs(30);

/// How long after the last replayed batch a host still counts as catching up.
pub const CATCHING_UP_FOR: Duration = Duration::from_secs(5);

/// Interval assumed of a host that has not said its own.
pub const DEFAULT_INTERVAL_MS: u32 = 5_000;

/// Hosts in the live view, ten times the largest fleet aimed at; beyond it a host is not shown, and logged.
pub const HOSTS: usize = 10_000;

/// Rows, and as many documents, kept of one host; one codec stream names no more. Further ones are left out.
pub const ENTITIES_PER_HOST: usize = fleetlight_protocol::limits::ENTITIES_PER_STREAM;

/// Ends of documents remembered of one host, so that an older one which arrives later, as facts of the past do, does
/// not bring back what is gone: more than end while a night's facts come. The oldest go first.
pub const ENDED_PER_HOST: usize = 1_024;

/// Recent events kept of one host: enough for an hour of Xids and to notice repeats; the oldest go first.
pub const EVENTS_PER_HOST: usize = 256;

/// Intervals of the slowest collector that a row outlives its last sample.
pub const ROW_KEPT_TICKS: i64 = 3;

/// Problems told of one host, worst first: nobody reads a longer list, and it goes out with each change.
pub const PROBLEMS_PER_HOST: usize = 100;

/// Fleet messages held for all watchers together; whoever is further behind gets the whole present anew.
pub const FLEET_RING: usize = 1_024;

/// As [`FLEET_RING`], for the watchers of one host: a minute at one tick a second.
pub const DETAIL_RING: usize = 64;

/// Last events that a stream can resume with; whoever was away longer reads the list.
pub const RESUMABLE_EVENTS: usize = 256;

/// Live streams of all people together; one more is refused in words.
pub const WATCHERS: usize = 512;

/// Least time between two messages about one host's numbers; states and problems do not wait.
pub const HOST_MESSAGE_EVERY: Duration = Duration::from_secs(1);

/// Memory in use from which a host has a problem.
pub const MEMORY_WARN_PERCENT: f64 = 95.0;

/// Bytes or inodes of a local, writable mount in use.
pub const DISK_WARN_PERCENT: f64 = 90.0;
pub const DISK_CRIT_PERCENT: f64 = 95.0;

/// Difference of clocks from which time stamps mislead.
pub const CLOCK_OFFSET_MS: i64 = 2_000;

/// How long an Xid stays a problem.
pub const XID_IS_RECENT_MS: i64 = 3_600_000;

/// How long a container's failed exit stays a problem; after that it is just not running.
pub const EXIT_IS_RECENT_MS: i64 = 600_000;
