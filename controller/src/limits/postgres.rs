//! The private Postgres.

use std::time::Duration;

/// `postgres --version` answers at once or not at all.
pub const POSTGRES_VERSION_WAIT: Duration = Duration::from_secs(10);
/// initdb takes two seconds on a laptop, and half a minute on a slow disk. Beyond it start fails.
pub const POSTGRES_INITDB_WAIT: Duration = Duration::from_secs(180);
/// From start to the first connection: recovery replays at most `max_wal_size` of WAL.
pub const POSTGRES_START_WAIT: Duration = Duration::from_secs(300);
/// How often start and stop look whether they are done.
pub const POSTGRES_POLL: Duration = Duration::from_millis(50);
/// For connections that their holders have closed. Beyond it those that are left are ended.
pub const POSTGRES_GOODBYE_WAIT: Duration = Duration::from_secs(1);
/// Fast shutdown writes a checkpoint. Beyond it Postgres is told to stop at once, and recovers later.
pub const POSTGRES_STOP_WAIT: Duration = Duration::from_secs(30);
/// After that, and before the last resort, SIGKILL.
pub const POSTGRES_IMMEDIATE_WAIT: Duration = Duration::from_secs(5);
/// Before a server that ended by itself is started again.
pub const POSTGRES_RESTART_WAIT: Duration = Duration::from_secs(1);
/// Lines of Postgres's log kept for error messages; older ones are forgotten.
pub const POSTGRES_LAST_LINES: usize = 8;
/// Longest path of a Unix socket: `sun_path` has 108 bytes, the last one is zero.
pub const SOCKET_PATH_BYTES: usize = 107;
