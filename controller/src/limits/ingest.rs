//! History on its way, ingest, and the directory.

use super::SESSIONS;
use std::time::Duration;

// History: how much of it may be on its way, over all agents. Full: agents hold the rest.

/// Rows granted, or come and not stored yet: a fifth of [`PILE_ROWS`], and more than one flush takes, so that the
/// next one fills while one is written. It halves while the database is slow, and is not given back while it stands.
pub const HISTORY_ROWS: u64 = 30_000;
/// The least that is granted at once, a quarter of a minute of a large host: fifty agents take turns in thirty parts.
pub const HISTORY_GRANT_ROWS: u64 = 1_000;
/// From a batch's coming to its being stored: longer, and history is too much beside the present.
pub const HISTORY_SLOW: Duration = Duration::from_secs(1);
/// Credit that an agent has left unused for this long goes to others.
pub const CREDIT_UNUSED: Duration = Duration::from_secs(10);
/// How often an agent without credit is looked at, should nothing have made room.
pub const CREDIT_LOOK: Duration = Duration::from_secs(1);

// Ingest.

/// The age of the oldest batch that waits for the database from which people are told that history is behind:
/// flushes take less, also on a busy disk.
pub const HISTORY_BEHIND_AFTER: Duration = Duration::from_secs(5);
/// How often that is looked at.
pub const HISTORY_LOOK: Duration = Duration::from_secs(1);

/// Rows of samples that may wait for the database, some 30 MB: a minute of 1,000 small hosts, an
/// hour of ten. Full: batches are shown but not stored, and their agents send them again later. One host may
/// hold as many as are left for the others: whoever floods it leaves room.
pub const PILE_ROWS: u32 = 150_000;
/// How long a flush waits for company: its transaction costs about as much for one as for many.
pub const GATHER_FOR: Duration = Duration::from_millis(50);
/// Rows and batches of one flush; the rest goes into the next one.
pub const FLUSH_ROWS: u32 = 20_000;
pub const FLUSH_BATCHES: usize = 2_000;
/// Pauses between attempts to reach the database: doubling from the first to the longest.
pub const RETRY_FIRST: Duration = Duration::from_millis(100);
pub const RETRY_MOST: Duration = Duration::from_secs(5);
/// How long a stopping controller goes on trying to store what it holds. Beyond it, the agents
/// hold it.
pub const DRAIN_WAIT: Duration = Duration::from_secs(5);
/// Between two rounds of asking agents to connect again: a database that stays too slow must not
/// end all sessions all the time.
pub const RECONNECT_PAUSE: Duration = Duration::from_secs(15);
/// How often partitions are made and old data is forgotten.
pub const UPKEEP_EVERY: Duration = Duration::from_secs(600);

/// What upkeep may still take when the controller stops. What is not done by then is rolled back.
pub const UPKEEP_GOODBYE_WAIT: Duration = Duration::from_secs(2);
/// By how much a host's clock and the controller's may differ and still agree on the time: hours are closed so
/// much too early at worst, and samples that come for them are merged later.
pub const CLOCK_AGREES: Duration = Duration::from_secs(3600);
/// How often it is looked whether one does, where none has: it costs nothing, and a controller that is started again
/// and again still comes to pack.
pub const CLOCK_LOOK: Duration = Duration::from_secs(2);
/// How often documents are looked for that a restarted agent has not confirmed.
pub const CONFIRM_EVERY: Duration = Duration::from_secs(15);

// The directory.

/// For one answer of the database: less than [`super::DIRECTORY_WAIT`], so that what is remembered still helps.
pub const DATABASE_ANSWER_WAIT: Duration = Duration::from_secs(2);
/// How long an agent that the database knew is let in while the database is away.
pub const REMEMBER_FOR: Duration = Duration::from_secs(600);
/// Agents remembered for that, and as told what is stored: as many as there may be sessions. Full: the rest
/// wait for the database.
pub const REMEMBERED: usize = SESSIONS;
