//! Commands on their way, and the audit log.

use std::time::Duration;

/// Open commands of one host, and of all together, without those of bulks ([`BULKS_RUNNING`], [`BATCH_SIZE`]). Full: one
/// more is refused in words (429).
pub const OPEN_PER_HOST: usize = 64;
pub const OPEN_COMMANDS: usize = 4_096;

/// Emergency stops of one host that are open at once, whatever else is: a host that is drowning in commands still takes
/// them. Full: refused as others are.
pub const EMERGENCY_ROOM: usize = 8;

/// Commands of one host under way at once: each holds a stream, of which an agent grants a few, and readers of logs
/// need some. More wait for one to end.
pub const HANDED_PER_HOST: usize = 8;

/// After trouble a host is asked again after this, doubled up to the other; at once when it connects.
pub const ASK_AGAIN_FIRST: Duration = Duration::from_millis(500);
pub const ASK_AGAIN_MOST: Duration = Duration::from_secs(30);

/// What one person may ask at once, and in the long run each second. Beyond it: 429 with the wait. Emergency stops are
/// not counted.
pub const COMMANDS_AT_ONCE: f64 = 300.0;
pub const COMMANDS_PER_SECOND: f64 = 5.0;

/// People whose rate is remembered. Full of people who ask without a pause: others wait a second.
pub const COMMAND_ASKERS: usize = 10_000;

/// When a command must have begun that states no deadline of its own; and what it may state.
pub const COMMAND_DEADLINE: Duration = Duration::from_secs(60);
pub const COMMAND_DEADLINE_LEAST: Duration = Duration::from_secs(1);
pub const COMMAND_DEADLINE_MOST: Duration = Duration::from_secs(7 * 24 * 3600);

/// Bytes of the name of what is acted on, and of a pattern of names: Docker's and systemd's longest are below. They are
/// kept for ever in the audit log. Longer ones are refused.
pub const SUBJECT_BYTES: usize = 255;

/// How long an effect must hold that is asked for without a word on it.
pub const STABLE_SECONDS_DEFAULT: u32 = 10;

/// How long a host may be silent about a command that it may have begun; then it is closed as unknown.
pub const COMMAND_GIVEN_UP_AFTER: Duration = Duration::from_secs(30 * 24 * 3600);

/// How often the database is looked through for commands and acts that nobody told of.
pub const COMMANDS_LOOK: Duration = Duration::from_secs(60);

/// Before the database is tried again, once it failed at commands.
pub const DISPATCH_RETRY: Duration = Duration::from_secs(1);

/// Bytes of each text of a result (asked, observed, reason); the rest is cut.
pub const COMMAND_WORDS: usize = 4 * 1024;

/// Steps kept of a running command, and bytes of one; the oldest go first, the rest of a long one is cut.
pub const STEPS_KEPT: usize = 64;
pub const STEP_BYTES: usize = 1_024;

/// Live output kept for a watcher who comes back: some pieces of the largest size. Whoever missed more gets the command
/// with all output that is kept.
pub const RECENT_OUTPUT_BYTES: usize = 256 * 1024;

/// Messages that the watchers of a command may be behind; then they get it whole.
pub const COMMAND_RING: usize = 64;

/// How long progress is kept in memory after a command was closed: its watchers have its last word by then.
pub const TRACK_KEPT: Duration = Duration::from_secs(60);

/// Commands, bulks and acts in one answer; more come with the next page.
pub const COMMANDS_PER_PAGE: usize = 200;
pub const BULKS_PER_PAGE: usize = 100;
pub const AUDIT_PER_PAGE: usize = 500;

/// Characters of what a row of the audit log says of its object: the longest name of a host. The rest is cut.
pub const AUDIT_SUBJECT_CHARS: usize = 253;

/// Emergency stops that a host says somebody gave there by hand, written to the audit log an hour. Of more, which only a
/// host gone bad would tell, there are its events.
pub const BY_HAND_AUDITED: i64 = 60;

/// Written to the audit log a minute: failed logins of all together, and refusals of one person. The others are counted,
/// and told with the next one that is written.
pub const FAILED_LOGINS_AUDITED: u32 = 60;
pub const REFUSALS_AUDITED: u32 = 60;

/// What is written there, one person may do as often a minute: logins of anybody, and whatever else whoever is no admin
/// may do. Beyond it: 429.
pub const ACTS_AUDITED: u32 = 60;

/// People of whom that is counted: accounts, and whoever comes by JWT. Full of people who do such things without a
/// pause: nothing more is written of others' refusals, and their acts are refused.
pub const AUDITED_PEOPLE: usize = 10_000;

/// An act takes no longer than a call ([`super::API_DEADLINE`]); one that is open for this long was never closed.
pub const AUDIT_OPEN_FOR: Duration = Duration::from_secs(600);

/// Containers of one bulk, and those of one batch: the rest of a host's streams is left to others.
pub const BULK_ITEMS: usize = 1_000;
pub const BATCH_SIZE: usize = 32;

/// Containers of a batch of a bulk that says nothing of it: as the page offers.
pub const BATCH_SIZE_DEFAULT: usize = 4;

/// Bulks that run at once. More are refused in words (429).
pub const BULKS_RUNNING: usize = 16;

/// For each batch: its commands may have to wait for one another.
pub const BULK_DEADLINE: Duration = Duration::from_secs(600);
