//! Every queue, wait and retry of the controller, with its reason and what happens when full.

use std::time::Duration;

// ---- live: the present in memory ----

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
// The private Postgres.

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
// Sessions and enrolment.

/// A QUIC handshake; three losses of a flight fit. Beyond it the attempt is dropped.
pub const HANDSHAKE_WAIT: Duration = Duration::from_secs(3);

/// From the handshake to the agent's first frame. Beyond it the connection is closed.
pub const HELLO_WAIT: Duration = Duration::from_secs(3);

/// One question to the directory, which asks the database. Beyond it the agent is told to try again.
pub const DIRECTORY_WAIT: Duration = Duration::from_secs(3);

/// Sessions at once: the 10,000 that were measured, and room for those being replaced. Further
/// attempts are refused, and agents try again.
pub const SESSIONS: usize = 12_000;

/// Handshakes at once; each costs about a millisecond of CPU. Further attempts are refused.
pub const HANDSHAKES: usize = 512;

/// From this many handshakes on, an address must first prove that it receives our packets.
pub const HANDSHAKES_UNPROVEN: usize = 128;

/// Handshakes at once from one address (IPv6: one /64): a fleet behind one NAT comes back in waves.
pub const HANDSHAKES_PER_ADDRESS: usize = 64;

/// From this many of its handshakes on, an address must prove itself, so that forged packets cannot
/// use up its share.
pub const HANDSHAKES_PER_ADDRESS_UNPROVEN: usize = 16;

/// First packets that wait to be looked at; more are refused by the QUIC layer.
pub const INCOMING: usize = 1_024;

/// Bytes kept of one connection that has not been looked at, and of all of them.
pub const INCOMING_BYTES: u64 = 16 * 1024;
pub const INCOMING_BYTES_TOTAL: u64 = 16 * 1024 * 1024;

/// Bi streams that an agent may have open: one is used; each is preallocated (164 kB for 1,024).
pub const BI_STREAMS: u32 = 8;

/// Uni streams that an agent may have open: four are used.
pub const UNI_STREAMS: u32 = 16;

/// Silence after which a connection is over: three keep-alives of the agent.
pub const IDLE: Duration = Duration::from_secs(45);

/// Bytes that an agent may send ahead of what ingest has taken: on one stream, and in all. Full:
/// the agent waits, and its spool holds the rest. Readers of logs who do not read hold a stream's part each.
pub const STREAM_RECEIVE_WINDOW: u32 = 256 * 1024;
pub const RECEIVE_WINDOW: u32 = 1024 * 1024 + LOG_READERS_PER_HOST as u32 * STREAM_RECEIVE_WINDOW;

/// Bytes of acks and answers that wait for one agent. Full: the writer waits [`CONTROL_WRITE_WAIT`].
pub const SEND_WINDOW: u64 = 256 * 1024;

/// Buffers of the UDP socket: the default lost thousands of packets in a handshake storm.
pub const UDP_BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// Protocol versions that a hello may name.
pub const HELLO_VERSIONS: usize = 32;

/// How long acks wait, once a batch has come, for a pong or more to share their packet: less than
/// the 25 ms after which QUIC sends its own ack, alone.
pub const ACK_DELAY: Duration = Duration::from_millis(5);

/// How long after its batch an ack waits, if it has been stored by then, for another batch whose QUIC ack it
/// can join: longer than the default tick, and shorter than the ten seconds after which an agent without an
/// ack dials anew.
pub const ACK_HOLD: Duration = Duration::from_secs(6);

/// Between two acks while batches come faster: each costs the agent a packet of its own, QUIC's ack.
pub const ACK_PAUSE: Duration = Duration::from_secs(2);

/// Acks on their way from ingest to one session. Full: ingest drops the ack, the agent sends the
/// batch again after its next connect, and the ledger recognises it.
pub const ACKS: usize = 1_024;

/// Intervals in one ack frame: 19 bytes each at most, so that the frame stays within its bound.
pub const ACK_INTERVALS: usize = 4_096;

/// Pongs and certificates on their way to one agent. Full: its control stream is not read.
pub const CONTROL_QUEUE: usize = 16;

/// The longest that an agent may leave a control frame unread. Beyond it the session is closed.
pub const CONTROL_WRITE_WAIT: Duration = Duration::from_secs(10);

/// How long a refused or leaving agent has to read the last frame, and streams to be read to their
/// end after a goodbye.
pub const LAST_WORDS_WAIT: Duration = Duration::from_secs(1);

/// How long sessions may take to end when the controller stops.
pub const SESSIONS_STOP_WAIT: Duration = Duration::from_secs(2);

/// An enrolment from connect to answer. Beyond it the connection is dropped.
pub const ENROL_WAIT: Duration = Duration::from_secs(10);

/// Enrolments at once, and from one address. Further connections are closed at once.
pub const ENROLMENTS: usize = 64;
pub const ENROLMENTS_PER_ADDRESS: usize = 16;

/// Bytes of an enrolment request: a CSR for P-256 has some 300.
pub const ENROL_REQUEST_BYTES: usize = 16 * 1024;

/// Bytes of a CSR.
pub const CSR_BYTES: usize = 8 * 1024;

/// An address whose failed handshake was logged is not logged again for this long.
pub const FAILURE_LOG_PAUSE: Duration = Duration::from_secs(60);

/// Addresses remembered for that. Full: failures of further addresses are not logged.
pub const FAILURE_LOG_ADDRESSES: usize = 1_024;

// Certificates.

/// Life of an agent's certificate; it renews at 50–67 % of it.
pub const LEAF_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long after its end a certificate may still be renewed: a host that was off for a month.
pub const RENEWAL_GRACE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Life of the listeners' certificate, made anew at each start.
pub const SERVER_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);

/// Life of the CA: replacing it means enrolling every host again.
pub const CA_LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 3600);

/// Certificates begin this much before they are made, for hosts whose clocks are behind.
pub const BACKDATE: Duration = Duration::from_secs(3600);

// The store.

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

/// For one answer of the database: less than [`DIRECTORY_WAIT`], so that what is remembered still helps.
pub const DATABASE_ANSWER_WAIT: Duration = Duration::from_secs(2);
/// How long an agent that the database knew is let in while the database is away.
pub const REMEMBER_FOR: Duration = Duration::from_secs(600);
/// Agents remembered for that, and as told what is stored: as many as there may be sessions. Full: the rest
/// wait for the database.
pub const REMEMBERED: usize = SESSIONS;
// ---- api: the page and its calls ----

/// Bytes of a call's body: none carries more than a password and a name.
pub const API_BODY_BYTES: usize = 64 * 1024;

/// Calls at the same time, over all people; further ones wait for [`API_QUEUE_WAIT`].
pub const API_CONCURRENCY: usize = 64;

/// Calls at work at the same time of what needs no session (login, setup): each may hold a connection to the database,
/// and fewer than half of [`STORE_CONNECTIONS`] are theirs. Whoever still sends its body, or waits out a delay, takes no
/// place. Further ones wait as long.
pub const API_PUBLIC_CONCURRENCY: usize = 4;

/// Longest wait for room; then 503.
pub const API_QUEUE_WAIT: Duration = Duration::from_secs(5);

/// Longest that a call may take, with room, until its answer begins; then 503.
pub const API_DEADLINE: Duration = Duration::from_secs(20);

/// Connections of browsers; further ones wait in the kernel's backlog.
pub const HTTP_CONNECTIONS: usize = 1_024;

/// Wait for a request's head, and between requests of one connection.
pub const HTTP_HEADER_WAIT: Duration = Duration::from_secs(30);

/// Requests at once on one HTTP/2 connection: a page needs a dozen.
pub const HTTP_STREAMS: u32 = 64;

/// How long sent bytes may stay unread before a connection is given up: a sleeping laptop's stream.
pub const HTTP_UNACKED: Duration = Duration::from_secs(60);

/// Longest TLS handshake of a browser.
pub const TLS_HANDSHAKE_WAIT: Duration = Duration::from_secs(10);

/// Pause after a failed accept: usually the process is out of file descriptors.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What running calls get at the end; then they are cut.
pub const WEB_DRAIN: Duration = Duration::from_secs(3);

/// Between heartbeats of a live stream: a page greys out after three.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);

/// Live streams of one session: tabs of one person.
pub const STREAMS_PER_SESSION: usize = 16;

/// Life of a login, whatever happens.
pub const SESSION_ABSOLUTE: Duration = Duration::from_secs(24 * 3600);

/// Life of a login without a call; an open stream is no call.
pub const SESSION_IDLE: Duration = Duration::from_secs(12 * 3600);

/// Sessions of one person: some browsers on each of a dozen devices. Beyond it the one not used for longest ends.
pub const SESSIONS_PER_USER: i64 = 64;

/// How exactly the last use is noted: a write a minute, not one a call.
pub const SESSION_TOUCH_EVERY: Duration = Duration::from_secs(60);

/// Shortest new password.
pub const PASSWORD_MIN_CHARS: usize = 10;

/// Longest password: hashing takes time by length.
pub const PASSWORD_BYTES: usize = 1_024;

/// Longest name that anybody can have.
pub const USER_NAME_CHARS: usize = 64;

/// Password hashes computed at once: 19 MiB and a core each; further ones wait.
pub const ARGON2_AT_ONCE: usize = 2;

/// Failed logins of one address at one account before it must wait.
pub const LOGIN_FREE: u32 = 5;

/// Longest such wait: it doubles up to here.
pub const LOGIN_WAIT_MAX: Duration = Duration::from_secs(60);

/// Failed logins at one account, from anywhere, before it answers more slowly.
pub const LOGIN_ACCOUNT_FREE: u32 = 20;

/// Added delay for each further one, and at most: its owner can always get in.
pub const LOGIN_DELAY_STEP: Duration = Duration::from_millis(100);
pub const LOGIN_DELAY_MAX: Duration = Duration::from_secs(2);

/// Quiet time after which failures are forgotten.
pub const LOGIN_FORGET_AFTER: Duration = Duration::from_secs(900);

/// Accounts and addresses whose failures are remembered, about 1 MiB; the least guilty are forgotten first.
pub const LOGIN_KEYS: usize = 10_000;

/// A wrong name or password is told no sooner than this: longer than the slowest hash that is accepted takes, so that
/// the time tells nobody which names exist.
pub const LOGIN_REFUSED_AFTER: Duration = Duration::from_millis(400);

/// How long a password counts as given just now, for what destroys or costs.
pub const FRESH_FOR: Duration = Duration::from_secs(300);

/// Costs of password hashes from elsewhere: what takes less than [`LOGIN_REFUSED_AFTER`] (bcrypt of cost 12 some 250 ms,
/// argon2id with these 200 ms). Beyond them they are refused, and a one-time link sets the password anew.
pub const BCRYPT_COST_MAX: u32 = 12;
pub const ARGON2_MEMORY_KIB_MAX: u32 = 64 * 1024;
pub const ARGON2_TIME_MAX: u32 = 4;

/// Life of a one-time link for somebody new, or who forgot the password.
pub const LINK_LIFE: Duration = Duration::from_secs(24 * 3600);

/// How long a browser in which somebody has logged in is known after that; and how many of one person, a dozen of
/// devices and as many profiles. Full: the one not used for longest is forgotten, which costs it only its exemption.
pub const DEVICE_KNOWN: Duration = Duration::from_secs(90 * 24 * 3600);
pub const DEVICES_PER_USER: i64 = 24;

/// Characters kept of a browser's name for itself.
pub const USER_AGENT_CHARS: usize = 256;

/// Good API tokens of one person: one for each script. Full: revoke one first.
pub const TOKENS_PER_USER: i64 = 50;

/// Life of an API token, in days: of one that does not say, and at most.
pub const TOKEN_DAYS: u32 = 90;
pub const TOKEN_DAYS_MAX: u32 = 366;

/// People that may be there: a list that one page shows. Full: nobody can be added.
pub const USERS: usize = 1_000;

/// How long a password that came by HTTP Basic is not hashed again, and how many are remembered. Full: all are
/// forgotten, and hashed once more.
pub const BASIC_REMEMBERED_FOR: Duration = Duration::from_secs(60);
pub const BASIC_REMEMBERED: usize = 1_024;

/// How often a live stream looks whether its caller may still have it.
pub const STREAM_LOOK: Duration = Duration::from_secs(60);

/// By how much the clock of whoever issues JWTs may differ from ours.
pub const JWT_LEEWAY: Duration = Duration::from_secs(60);

/// Keys in a JWKS file: two, while one replaces the other, and as many for each of several uses.
pub const JWT_KEYS: usize = 16;

/// Bytes of a file with keys for JWTs.
pub const JWT_KEY_BYTES: u64 = 64 * 1024;

/// Bytes of a CSP report that are logged, and how many reports are: the rest is only counted.
pub const CSP_REPORT_BYTES: usize = 1_024;
pub const CSP_REPORTS_LOGGED: u64 = 20;

// Channels between the controller's parts.

/// Batches on their way from sessions to ingest. Full: streams are not read, and agents hold their
/// batches.
pub const INBOUND: usize = 1_024;

/// Changes of presence on their way to the live view. Full: sessions wait.
pub const PRESENCE: usize = 256;

/// An agent grants a stream for an errand within this time, or counts as lost: it allows several at once, and ends them.
pub const ERRAND_OPEN_WAIT: Duration = Duration::from_secs(5);

/// An agent takes a word of an errand within this time, or counts as lost.
pub const ERRAND_WRITE_WAIT: Duration = Duration::from_secs(10);

/// Questions at once, over all people, what a host allows: each holds a stream of its agent, and commands need some.
/// Further ones wait for [`API_QUEUE_WAIT`]. And how long an agent may take for the answer; beyond it 503.
pub const ALLOWED_AT_ONCE: usize = 8;
pub const ALLOWED_WAIT: Duration = Duration::from_secs(6);

// Commands on their way.

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

/// An act takes no longer than a call ([`API_DEADLINE`]); one that is open for this long was never closed.
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

// Logs on demand.

/// Readers of logs in all, with some 2 MiB each at most; one more is refused in words.
pub const LOG_READERS: usize = 64;

/// Readers of one host's logs: what they do not read must leave room in [`RECEIVE_WINDOW`] for the host's samples. One more
/// is refused in words.
pub const LOG_READERS_PER_HOST: usize = 8;

/// Reports of one host that wait for a reader, 128 KiB each. Full: the host's stream is not read.
pub const LOG_REPORTS: usize = 2;

/// How long the past of the other hosts waits for one that says nothing: longer than a host waits for its sources. Then
/// they go on without it.
pub const LOG_PAST_WAIT: Duration = Duration::from_secs(4);

/// How long a socket may leave a message unread. Beyond it, it is closed; [`HTTP_UNACKED`] does the same for streams.
pub const LOG_UNREAD: Duration = Duration::from_secs(60);

/// What a socket may say: nothing is asked of it. More ends it.
pub const SOCKET_MESSAGE_BYTES: usize = 4 * 1024;

/// Bytes that wait to be written to a socket: one message, of which a host's largest has about 1 MiB as JSON. Beyond it the
/// socket is closed.
pub const SOCKET_WRITE_BYTES: usize = 8 * 1024 * 1024;

/// For the last word to a socket.
pub const SOCKET_GOODBYE_WAIT: Duration = Duration::from_secs(1);
