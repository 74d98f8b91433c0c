//! The store.

use super::API_DEADLINE;
use std::time::Duration;

/// Connections to the database: flush, upkeep, and some eight short questions at once: keys, logins, sessions.
/// Full: callers wait [`STORE_ACQUIRE_WAIT`] for one.
pub const STORE_CONNECTIONS: u32 = 10;
/// Connections beside those for what people ask of history: a few cores work at no more at once. Full: the same.
pub const STORE_QUESTIONS: u32 = 6;
/// One statement of such a question: longer, and nobody waits for the answer any more. Beyond it the server ends it.
pub const STORE_QUESTION_WAIT: Duration = API_DEADLINE;
/// For a free or new connection. Beyond it the caller gets an error and tries again.
pub const STORE_ACQUIRE_WAIT: Duration = Duration::from_secs(5);
/// One flush takes milliseconds; a busy disk, seconds. Beyond it the connection is given up and the
/// flush tried again: the ledger knows if it had been committed after all.
pub const FLUSH_WAIT: Duration = Duration::from_secs(30);
/// Entities whose numbers are remembered: 1,000 hosts with 300 each at some 100 bytes. Full: those that were not in
/// use while half of it filled are forgotten, and asked again.
pub const ENTITIES_KNOWN: usize = 300_000;
/// How often numbering starts over when other transactions number the same entities.
pub const ENTITY_ROUNDS: usize = 5;
/// Entities that one run of upkeep looks at for samples, a dozen partitions each; the next run goes on after them. More
/// than the most that one host can make in the time, whose numbers would else pile up.
pub const ENTITIES_LOOKED_AT: i64 = 10_000;
/// How many go at once, while flushes wait.
pub const ENTITIES_FORGOTTEN: usize = 500;
/// Intervals of one agent's epoch, some 80 kB that each of its flushes reads and writes: facts that go ahead of
/// a long history leave one each. Full: batches that lie at no interval's edge are not acked, and the agent is
/// asked to connect again and send them, once what it sent has closed gaps.
pub const LEDGER_INTERVALS: usize = 4_096;
/// After its end an hour stays open for this long, for what is on its way. What comes later goes to
/// the late tables.
pub const CLOSE_AFTER: Duration = Duration::from_secs(300);
/// One step of compaction: an hour of one kind of all hosts. Beyond it the step is undone, and tried
/// again by the next run.
pub const PACK_WAIT: Duration = Duration::from_secs(600);
/// Memory in which a step sorts; more is sorted on disk.
pub const PACK_SORT_MIB: u32 = 64;
/// Hours of single hosts that one run merges late samples into, and hours of the fleet that it adds up; the rest waits
/// for the next run.
pub const LATE_STEPS: u32 = 5_000;
/// How far ahead of the controller's clock a tick may be; beyond it it is counted in quarantine.
pub const TICK_AHEAD: Duration = Duration::from_secs(600);
/// Age up to which an event's time is believed, and after which events, ended documents and
/// unused ledger rows are forgotten.
pub const EVENT_AGE: Duration = Duration::from_secs(400 * 24 * 3600);
/// After its first live sample an agent has this long to say again what is still there.
pub const CONFIRM_AFTER: Duration = Duration::from_secs(90);
/// Events in one answer; more come with the next page.
pub const EVENTS_PER_PAGE: usize = 500;
/// For the locks that making a partition needs. Beyond it the flush is tried again.
pub const PARTITION_MAKE_WAIT: Duration = Duration::from_secs(5);
/// For the lock that dropping a partition needs, during which everybody else at its table waits. Beyond it: next
/// time.
pub const PARTITION_DROP_WAIT: Duration = Duration::from_secs(2);
/// The same for what a run would drop after that: a dump holds all tables, and one such wait a run is enough.
pub const PARTITION_DROP_GLANCE: Duration = Duration::from_millis(50);
/// Partitions made ahead: upkeep may fail for as long before a flush has to make its own.
pub const PARTITION_HOURS_AHEAD: i64 = 3;
/// How far back a host's page tells what was refused of it.
pub const REFUSALS_SHOWN: Duration = Duration::from_secs(24 * 3600);
/// How long counts of what was quarantined are kept.
pub const QUARANTINE_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// A join token enrols one host within this time of its making.
pub const JOIN_TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// How long after its end a join token or an API token is still listed.
pub const TOKEN_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Keys that one agent may have while the answers to its renewals get lost. Beyond it the oldest goes.
pub const KEYS_PER_AGENT: i64 = 4;
/// How exactly an agent's last-seen time is kept: written with its connect and with its samples.
pub const AGENT_SEEN_EVERY: Duration = Duration::from_secs(60);
/// Before a host's last tick, rows count as its last ones: slow collectors run once a minute.
pub const LATEST_WINDOW: Duration = Duration::from_secs(90);
/// Buckets of one chart: more than a screen has pixels for.
pub const SERIES_BUCKETS: usize = 1_200;
/// Metrics, keys and points of one question: a point for each entity, metric and bucket, whether rows fell into it or
/// not, some 16 MB. Beyond them it is refused in words.
pub const SERIES_METRICS: usize = 16;
pub const SERIES_KEYS: usize = 512;
pub const SERIES_ROWS: usize = 400_000;
/// Rows and documents of one answer about a past moment, some 20 MB: 500 hosts with 100 entities each. Beyond them it
/// is refused in words, and kinds can be asked for one by one.
pub const MOMENT_ROWS: usize = 50_000;
