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

/// Bytes of one batch of documents or events: it fits a frame even if nothing in it can be
/// compressed. More go into the next batch; one alone that is larger is a fault of its collector,
/// and is refused and logged.
pub const FACTS_BATCH_BYTES: usize = 192 * 1024;

/// Documents that hold now, and their bytes: four times the largest host that we know of, and within
/// what a controller keeps of one host. Full: a new one is left out, counted and logged; one that is
/// known stays as it was if its change has no room.
pub const DOCUMENTS: usize = 4_096;
pub const DOCUMENTS_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of batches in memory that are not on disk: about an hour of a host with 25 containers at
/// 5 s, while the disk takes nothing. Full: see [`crate::spool`].
pub const SPOOL_MEMORY_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of batches in memory that are on disk too: what live streams send next, so that they read
/// no file. Beyond it the oldest are read from disk when they are asked for.
pub const SPOOL_TAIL_BYTES: usize = 256 * 1024;
pub const SPOOL_TAIL_BATCHES: usize = 1_024;

/// Separate gaps that the spool remembers of an epoch; more are merged where nothing is held between.
pub const SPOOL_GAPS: usize = 1_024;

/// Bytes of a segment file: two hours of a large host. The unit in which room is made: a small part
/// of the bound. Full: the next one begins.
pub const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;

/// Bytes of one record: a frame of the protocol. A longer batch stays in memory alone.
pub const SPOOL_RECORD_BYTES: usize = fleetlight_protocol::limits::FRAME_BYTES + fleetlight_protocol::frame::HEAD_BYTES;

/// Bytes between two remembered places of a segment: what one read takes, and the index in memory
/// stays under 200 bytes for a megabyte on disk.
pub const SPOOL_MARK_BYTES: u64 = 32 * 1024;

/// Batches that are written before their senders hear of it; more wait for the next turn.
pub const SPOOL_TURN: usize = 64;

/// The longest that samples wait for the disk to have them for certain: what a power cut may cost.
/// Facts do not wait.
pub const SPOOL_SYNC_EVERY: Duration = Duration::from_secs(2);

/// Files waiting to be synced: each lane's open one and one just sealed. Full: asked again next turn.
pub const SPOOL_SYNCS: usize = 4;

/// Pause before a disk that refused, or a file that cannot be read, is tried again. Meanwhile batches are held in memory.
pub const SPOOL_RETRY: Duration = Duration::from_secs(10);

/// A write that takes longer is one of a disk that hangs: batches go on from memory. A read: its file is
/// tried again after [`SPOOL_RETRY`].
pub const SPOOL_STUCK: Duration = Duration::from_secs(2);

/// The longest that the agent's start waits for what earlier starts left: a full spool is read in a second or two,
/// and readings meanwhile fit their channel. Beyond it the disk hangs: batches go on from memory, and what is
/// found is sent once it was read.
pub const SPOOL_OPEN_WAIT: Duration = Duration::from_secs(5);

/// The longest that a start waits for another agent to let the spool's folder go: one that was killed while its disk
/// hung keeps it until its last call returns. Beyond it this is a mistake of configuration, and the start ends.
pub const SPOOL_IN_USE_WAIT: Duration = Duration::from_secs(10);
/// How often that is looked at.
pub const SPOOL_IN_USE_LOOK: Duration = Duration::from_secs(1);

/// Age at which acknowledged segments go even if their room is not needed. A controller restored from
/// a backup of that age still gets what it lacks.
pub const SPOOL_CACHE: Duration = Duration::from_secs(24 * 3_600);

/// How often what was acknowledged is written down, if it changed and no segment was ended meanwhile.
pub const SPOOL_CURSOR_EVERY: Duration = Duration::from_secs(60);

/// Bytes of the spool's folder that may be configured: below, a segment is no small part of it.
pub const SPOOL_BYTES: std::ops::RangeInclusive<u64> = 32 * 1024 * 1024..=1024 * 1024 * 1024 * 1024;

/// The longest that the spool's last writes may take on stopping.
pub const SPOOL_STOP_WAIT: Duration = Duration::from_secs(1);

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

// GPUs.

/// One tick's questions to NVML: 8 GPUs take some 50 ms. Beyond it the driver is called
/// unresponsive and the process that asks it is ended.
pub const NVML_READ_WITHIN: Duration = Duration::from_secs(2);

/// Loading and initialising NVML: without persistence mode a second or so for each GPU. Beyond it
/// the driver is called unresponsive.
pub const NVML_OPEN_WITHIN: Duration = Duration::from_secs(10);

/// How often the executor is asked whether policy and runbooks are believed: a mistake is on the page a minute after it
/// was made, and a look reads a few small files.
pub const POLICY_LOOK: Duration = Duration::from_secs(60);

/// Pause before NVML is tried again where there is none: a try costs a process.
pub const NVML_ABSENT_RETRY: Duration = Duration::from_secs(60);

/// First pause after a failure; doubled up to [`NVML_ABSENT_RETRY`]. Not below [`WORKER_BACKOFF`].
pub const NVML_FAILED_RETRY: Duration = Duration::from_secs(5);

/// While a GPU is lost or needs a reset NVML is initialised anew this often: it may not see the
/// GPU's return otherwise.
pub const NVML_REOPEN: Duration = Duration::from_secs(60);

/// Between two readings of what seldom changes (modes, MIG instances), and of calls that the card
/// has refused.
pub const GPU_FACTS_EVERY: Duration = Duration::from_secs(60);

/// Between two readings of numbers that take many calls and seldom change: NVLink, retired pages.
pub const GPU_SLOW_EVERY: Duration = Duration::from_secs(30);

/// GPUs and MIG instances of one host: 16 GPUs of 7 instances. More are not read.
pub const GPU_ENTITIES: usize = 128;

/// MIG instances of one GPU, as NVML bounds them. More are not read.
pub const MIG_INSTANCES: u32 = 8;

/// NVLinks of one GPU, as NVML bounds them.
pub const NVLINKS: u32 = 18;

/// Processes of one GPU; of more, those with the lowest pids are kept.
pub const GPU_PROCESSES: usize = 256;

/// Characters of a process's name.
pub const PROCESS_NAME_CHARS: usize = 64;

/// Xids between two readings. A storm beyond it loses its oldest ones.
pub const XIDS_KEPT: usize = 256;

/// One wait for Xids, and the pause after one that failed at once.
pub const XID_WAIT: Duration = Duration::from_secs(5);

/// What the gpu collector may still have to say when the batcher is slow. Beyond it the oldest
/// go, and a tick says them again if they are still true.
pub const GPU_PENDING: usize = 64;

// Mounts.

/// Mounts that are watched; those beyond it, with the longest mount points, are left out.
pub const MOUNTS: usize = 256;

/// Longest pause between two looks at the mounts. Shorter than the interval, so that a mount
/// that hangs is found and called hung within 10 s at 5 s, and is known to be back soon. A bit
/// more than half of 5 s: two looks an interval, not three.
pub const MOUNT_LOOK: Duration = Duration::from_millis(2_600);

/// How long the mount worker's answer waits for the file systems that it has just asked. Healthy
/// ones take microseconds; of the others the next look will know.
pub const MOUNT_GRACE: Duration = Duration::from_millis(20);

/// How long one local mount may keep the others waiting before another thread goes on with them.
pub const MOUNT_PATIENCE: Duration = Duration::from_millis(500);

/// Threads of the mount worker, each waiting for one file system. Beyond it mounts are not asked
/// and say so.
pub const PROBE_THREADS: usize = 64;

/// Stack of such a thread: it makes one system call.
pub const PROBE_STACK_BYTES: usize = 64 * 1024;

/// Questions in a row that the mount worker may leave unanswered before it is started anew.
pub const MOUNT_WORKER_LATE: u32 = 3;

/// How long `disk-check` waits for a file system before it says that it does not answer, and how often it looks.
pub const DISK_CHECK_WAIT: Duration = Duration::from_secs(5);
pub const DISK_CHECK_LOOK: Duration = Duration::from_millis(50);

// The session with the controller.

/// A QUIC handshake: first packets go out after 0, 0.45 and 1.35 s. Beyond it the dial has failed.
pub const HANDSHAKE_WAIT: Duration = Duration::from_secs(3);

/// From the handshake to the welcome; the controller asks its database twice, and waits two seconds each time.
pub const WELCOME_WAIT: Duration = Duration::from_secs(5);

/// Looking up the controller's name. Beyond it the dial has failed; the look-up goes on, and is not
/// begun again meanwhile.
pub const RESOLVE_WAIT: Duration = Duration::from_secs(3);

/// Addresses of the controller's name that one dial tries, and the head start that each has.
pub const ADDRESSES: usize = 4;
pub const ADDRESS_HEAD_START: Duration = Duration::from_millis(250);

/// Round trip assumed of a path never used: a controller that comes back is found soon.
pub const FIRST_ROUND_TRIP: Duration = Duration::from_millis(150);

/// Silence after which a connection is over, and how often it is broken to keep NATs open.
pub const IDLE: Duration = Duration::from_secs(45);
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Bytes that wait to be acknowledged by QUIC. Full: the lane waits, and the spool holds the rest.
pub const SEND_WINDOW: u64 = 256 * 1024;

/// Bytes of acks and answers that the controller may send ahead.
pub const RECEIVE_WINDOW: u32 = 256 * 1024;

/// First pause after a lost connection; it doubles with each failure.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// Longest pause in the first [`BACKOFF_PATIENCE`] of an outage, so that a host is online within
/// five seconds of the controller's return; and after that.
pub const BACKOFF_CAP: Duration = Duration::from_secs(2);
pub const BACKOFF_PATIENCE: Duration = Duration::from_secs(600);
pub const BACKOFF_CAP_LATER: Duration = Duration::from_secs(60);

/// Pause after a refusal that only an operator can undo, and after being superseded by a clone.
pub const FINAL_RETRY: Duration = Duration::from_secs(60);

/// A session that lasted this long was a good one: the next loss begins with the shortest pause.
pub const STABLE_AFTER: Duration = Duration::from_secs(10);

/// Without an ack for this long, while batches wait for one, a fresh connection is dialled beside the
/// old: after a blackout QUIC's own recovery takes as long again as the blackout. Doubles up to the
/// cap while fresh connections bring no ack either, since then the database is slow, not the path.
pub const STALL_WAIT: Duration = Duration::from_secs(10);
pub const STALL_WAIT_CAP: Duration = Duration::from_secs(80);

/// Batches sent and not acknowledged: an hour of ticks. Full: lanes wait for acks.
pub const IN_FLIGHT: usize = 1_024;
/// Beyond this, history waits, so that the present always has room.
pub const IN_FLIGHT_REPLAY: usize = 512;

/// Between two words on how much history is left, which people see; the last one goes at once.
pub const HISTORY_SAID_EVERY: Duration = Duration::from_secs(5);

/// To a controller that grants no credit, history goes in bursts: 50 batches a second, a day of ticks in six minutes.
pub const REPLAY_BURST: usize = 10;
pub const REPLAY_PAUSE: Duration = Duration::from_millis(200);

/// Control messages between their reader and what answers them. Full: the reader waits.
pub const CONTROL_QUEUE: usize = 8;

/// How often clock offset and round trip are measured.
pub const PING_EVERY: Duration = Duration::from_secs(30);

/// How long a due ping waits for a batch to share its packet: the default tick.
pub const PING_COMPANY_WAIT: Duration = Duration::from_secs(5);

/// A renewal that was refused or not answered is tried again after this long; days are left.
pub const RENEWAL_RETRY: Duration = Duration::from_secs(600);

/// Age, after its certificate's end, at which a former key goes: controllers renew certificates for as long. And how
/// many are kept, should certificates be renewed more often than at half of their seven days; beyond it the oldest goes.
pub const FORMER_KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);
pub const FORMER_KEYS: usize = 12;

/// On stopping: the longest that unacknowledged batches and the goodbye may take together.
pub const GOODBYE_WAIT: Duration = Duration::from_millis(500);
/// Of that, for the batches.
pub const FLUSH_WAIT: Duration = Duration::from_millis(400);

/// An enrolment from connect to answer.
pub const ENROL_WAIT: Duration = Duration::from_secs(15);

/// The controller's time is written down when the last note is this old.
pub const TIME_NOTE_EVERY: Duration = Duration::from_secs(3_600);
// Docker and its containers.

/// The longest that one question to Docker may take. Beyond it the daemon counts as stuck and is
/// dialled anew; the numbers of known containers do not need it.
pub const DOCKER_CALL: Duration = Duration::from_secs(5);

/// How often Docker is asked whether it still answers: its event stream is silent both when nothing
/// happens and when it hangs. With [`DOCKER_CALL`] a hang is named within 10 s.
pub const DOCKER_PING: Duration = Duration::from_secs(5);

/// How often the whole list is compared with what the events told.
pub const DOCKER_LIST: Duration = Duration::from_secs(60);

/// First and longest pause before Docker is dialled again. The socket is local and the only one who
/// waits is this host, so the pause carries no jitter.
pub const DOCKER_BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Questions about containers that Docker gets at a time, last log lines included; more wait, so that a host
/// with 200 containers does not make it breathless at start, nor when all of them die.
pub const DOCKER_QUESTIONS: usize = 8;

/// The longest that the news of a death waits for the last log lines; then it goes without. Docker
/// gives them within milliseconds; on a breathless host they are worth half of the 2 s within which
/// a death is to be seen.
pub const LAST_LINES_WAIT: Duration = Duration::from_secs(1);

/// The longest that the news of a death by SIGKILL that nobody asked for waits for Docker's word that memory was
/// lacking: both come from the kernel by ways of their own, and the word is mostly first, else a few
/// milliseconds later. Beyond it the death is told as any other.
pub const OOM_WORD_WAIT: Duration = Duration::from_millis(200);

/// Deaths that wait to be told: each of the [`CONTAINERS`] dies within [`LAST_LINES_WAIT`]. Full: the oldest
/// is told at once, without its last lines.
pub const UNTOLD_DEATHS: usize = CONTAINERS;

/// Containers of one host that are looked at: several times the largest that we know of. More are
/// left out.
pub const CONTAINERS: usize = 2_048;

/// Bytes kept of one log line before masking: enough that what is shown of it (400 characters) ends
/// before the cut.
pub const LOG_LINE_BYTES: usize = 4_096;

/// Characters of a label's key and of its value, and bytes of all labels of one container: those of
/// the largest compose projects take some 4 KiB. What is longer is cut and marked; labels beyond are
/// left out in the order of their keys, and a last entry says how many.
pub const LABEL_KEY_CHARS: usize = 128;
pub const LABEL_VALUE_CHARS: usize = 512;
pub const LABELS_BYTES: usize = 16 * 1024;

/// Published ports kept of one container; more are left out.
pub const PORTS: usize = 64;

/// Files that the agent may hold open: seven a container. Raised to this or the hard limit.
pub const OPEN_FILES: u64 = 65_536;

/// Bytes read of one cgroup or `/proc` file. `memory.stat` has 2 KiB; `io.stat` of 100 devices 10.
/// What is beyond is not seen.
pub const CGROUP_FILE_BYTES: usize = 32 * 1024;

/// How long a file of a cgroup is taken to say what it said when it was last read, if nothing has
/// happened that would change it. Shorter than the default tick: at 5 s every file is read.
pub const CGROUP_TRUST: Duration = Duration::from_millis(4_500);

/// While the memory of a container moves by less, what part of it is cache is not asked anew: what
/// has become cache since then counts as used, for no longer than [`CGROUP_TRUST`].
pub const MEMORY_STEADY_BYTES: u64 = 1024 * 1024;

// What is done to containers.

/// A start: the NVIDIA runtime initialises each GPU first, seconds each without persistence mode. Beyond it the action
/// has failed, and what is true then is said.
pub const START_WITHIN: Duration = Duration::from_secs(120);

/// Kill, pause, unpause: Docker gives up by itself after 10 s.
pub const CHANGE_WITHIN: Duration = Duration::from_secs(30);

/// A removal deletes the container's layer, which may hold millions of files.
pub const REMOVE_WITHIN: Duration = Duration::from_secs(120);

/// What Docker waits on a stop unless the container says otherwise; the longest that a container may say, or it counts
/// as one that does not stop; and what Docker itself takes to kill, twice.
pub const STOP_DEFAULT: Duration = Duration::from_secs(10);
pub const STOP_LONGEST: Duration = Duration::from_secs(600);
pub const STOP_SLACK: Duration = Duration::from_secs(30);

/// How often a container is looked at while its events are silent: an inspection costs a millisecond.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long Docker may leave looks unanswered until the effect counts as not seen.
pub const LOOK_PATIENCE: Duration = Duration::from_secs(30);

/// What a health check may take beyond the time that its own settings give it (Docker starts probes late on a busy host), and the
/// longest that is waited for one. Beyond it: unverified, still starting.
pub const HEALTH_SLACK: Duration = Duration::from_secs(10);
pub const HEALTH_LONGEST: Duration = Duration::from_secs(900);

/// A fetch of which nothing is heard for this long has failed: Docker says each second what has come. And the longest one: 60 GB at
/// 100 Mbit/s take 80 minutes.
pub const FETCH_SILENCE: Duration = Duration::from_secs(300);
pub const FETCH_LONGEST: Duration = Duration::from_secs(2 * 3_600);

/// The longest that compose may take: it builds images and fetches their bases. Beyond it it is ended, as a runbook is.
pub const COMPOSE_LONGEST: Duration = Duration::from_secs(3_600);

/// Which compose there is, and whose its project's files are, is known within this time or refused: a folder may lie on a file system
/// that hangs.
pub const COMPOSE_ASK: Duration = Duration::from_secs(10);

/// Files that a project may consist of; one with more is refused.
pub const COMPOSE_FILES: usize = 16;

/// Deaths remembered of one container: more than Docker's restart back-off lets happen in the
/// window.
pub const DEATHS: usize = 256;
// Units and runbooks.

/// One question to systemd: it answers within milliseconds. Beyond it the bus counts as away.
pub const SYSTEMD_CALL: Duration = Duration::from_secs(10);

/// The longest that a command waits for systemd to start or stop a unit: systemd's own bounds are 90 s for each. Beyond
/// it the job goes on, and the command says so.
pub const UNIT_JOB_WITHIN: Duration = Duration::from_secs(200);

/// Between two looks at a unit whose effect is to hold.
pub const UNIT_LOOK: Duration = Duration::from_millis(250);

/// Lines of the journal that tell why a unit is not well, their bytes, and the longest that they are waited for. What is
/// beyond is not shown.
pub const UNIT_LAST_LINES: u32 = 20;
pub const UNIT_LINES_BYTES: u64 = 32 * 1024;
pub const JOURNAL_WAIT: Duration = Duration::from_secs(5);

/// Bytes of a runbook's file, and runbooks in the folder. More are not there, and the log says so.
pub const RUNBOOK_BYTES: u64 = 64 * 1024;
pub const RUNBOOKS: usize = 256;

/// Steps of a runbook, arguments of one, bytes of one argument after its parameters were put in: what the kernel takes of
/// one. Variables of its environment. More is refused.
pub const RUN_STEPS: usize = 32;
pub const RUN_ARGUMENTS: usize = 256;
pub const RUN_ARGUMENT_BYTES: usize = 128 * 1024;
pub const RUN_VARIABLES: usize = 128;

/// How long a runbook may be allowed to run, and how long it may where it says nothing.
pub const RUN_TIMEOUT_SECONDS: std::ops::RangeInclusive<u64> = 1..=7 * 24 * 3_600;
pub const RUN_TIMEOUT_DEFAULT_SECONDS: u64 = 3_600;

/// What a runbook may print before it is stopped as one that runs wild: a line of 100 bytes for each of 600,000 files. Of
/// what it prints, beginning and end are kept.
pub const RUN_OUTPUT_DEFAULT_BYTES: u64 = 64 * 1024 * 1024;

/// From SIGTERM to SIGKILL, and from SIGKILL to the word that it does not end.
pub const RUN_GRACE: Duration = Duration::from_secs(10);
pub const RUN_KILL_WAIT: Duration = Duration::from_secs(5);
/// How often that is looked at.
pub const RUN_LOOK: Duration = Duration::from_millis(50);

/// How often a run is asked which step it has reached.
pub const RUN_STEP_LOOK: Duration = Duration::from_secs(1);

/// How long output may come after the end of what printed it.
pub const RUN_LAST_OUTPUT_WAIT: Duration = Duration::from_secs(2);

/// The longest that a look at the files that a runbook was to make may take: a million files on a network mount. Beyond
/// it the run is not verified.
pub const FILES_LOOK_WITHIN: Duration = Duration::from_secs(300);

/// Entries that one such look may meet. Beyond it the run is not verified.
pub const FILES_LOOKED_AT: u64 = 5_000_000;

/// Expectations of one runbook about paths. More are refused.
pub const RUN_EXPECTED_PATHS: usize = 16;

// Threads.

/// Threads for calls that block, started when needed: one for each of those who may wait for ever
/// (sensors, what is known of the host, the state folder) and one for the rest. Full: calls wait.
pub const BLOCKING_THREADS: usize = 4;

// Stopping.

/// The longest that a stop waits for tasks: systemd kills after ten times that.
pub const STOP_WAIT: std::time::Duration = std::time::Duration::from_secs(3);

/// Connections that the executor serves at once: each question, each running command and each reader of logs is one.
/// Further ones wait in the kernel's queue.
pub const EXECUTOR_CONNECTIONS: usize = 128;

/// Whoever connects to the executor asks within this time or is hung up on.
pub const EXECUTOR_REQUEST_WAIT: Duration = Duration::from_secs(5);

/// The executor takes a question within this time, and has this much longer than Docker for an answer; beyond it the
/// executor itself counts as hung. With [`DOCKER_PING`] that is named within 12 s.
pub const EXECUTOR_CALL: Duration = Duration::from_secs(2);

/// Between two words in the log on accounts that the executor refuses: one that tries in a loop fills no journal.
pub const EXECUTOR_REFUSALS_SAID_EVERY: Duration = Duration::from_secs(60);

// Commands.

/// Commands that one executor has in hand at once: a batch of the largest project that we know of. Further ones are told
/// to come again; the controller asks until their deadline.
pub const COMMANDS_AT_ONCE: usize = 32;

/// Of emergency stops so many more: what is busy does not keep one waiting.
pub const EMERGENCIES_AT_ONCE: usize = 8;

/// The longest that a command may have until its deadline when it arrives. Beyond it the command is refused: the journal
/// must know it for longer than it can be asked for.
pub const COMMAND_LEFT: Duration = Duration::from_secs(24 * 3_600);

/// Reports on one command that a reader may be behind. Beyond it he loses the oldest; the result he never loses.
pub const COMMAND_REPORTS: usize = 64;

/// Steps of one command that are told again to who asks later. Further ones are told only as they come.
pub const COMMAND_STEPS: usize = 128;

/// Bytes of one line of a command's output before masking. The rest of the line is cut, marked and counted.
pub const COMMAND_LINE_BYTES: usize = 8 * 1024;

/// Characters of what a result says was observed, which may hold last log lines, and of its reason. The rest is cut and
/// marked: a result fits one batch of facts.
pub const OBSERVED_CHARS: usize = 10_000;
pub const REASON_CHARS: usize = 2_048;

pub use fleetlight_protocol::limits::NAME_BYTES;

/// What the journal of commands keeps at most, in number and in bytes of its entries: a month of a busy host. Full: the
/// oldest that are settled and past their deadline give way; if there is none, new commands are not taken.
pub const JOURNAL_ENTRIES: usize = 16_384;
pub const JOURNAL_BYTES: u64 = 128 * 1024 * 1024;

/// Age at which settled commands leave the journal though there is room.
pub const JOURNAL_AGE: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Bytes of the journal's file that are kept in memory.
pub const JOURNAL_CACHE_BYTES: usize = 1024 * 1024;

/// Pause before a journal that cannot be opened or written is tried again. Meanwhile no command is taken.
pub const JOURNAL_RETRY: Duration = Duration::from_secs(5);

/// The longest that the executor's start waits for its journal. Beyond it the disk hangs: containers are told of, and
/// commands are not taken until it is open.
pub const JOURNAL_OPEN_WAIT: Duration = Duration::from_secs(5);

/// The executor notes what is settled within this time, which may wait for its disk; or it is told again.
pub const EXECUTOR_SETTLES: Duration = Duration::from_secs(30);

/// Bytes of the policy's file: thousands of rules. Beyond it every command is refused.
pub const POLICY_BYTES: u64 = 256 * 1024;

// Errands and results.

/// Streams that the controller may have open to an agent: the commands that an executor takes at once, and some readers of
/// logs. Further ones wait with the controller. QUIC keeps some 160 bytes ready for each.
pub const ERRANDS_AT_ONCE: u32 = 48;

/// The controller says what it wants within this time of opening a stream, or the stream is closed.
pub const ERRAND_WAIT: Duration = Duration::from_secs(5);

/// Results on their way from the executor to the spool's disk. Full: the rest waits in the executor's journal.
pub const RESULTS_PENDING: usize = 1_024;

/// First and longest pause before the executor is asked for results again. The socket is local, and nobody waits for it
/// but this host, so the pause carries no jitter.
pub const RESULTS_BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

// The emergency stop.

/// What a container has to end by itself: a drowning host has no more time.
pub const EMERGENCY_GRACE: Duration = Duration::from_secs(3);

/// What Docker takes beyond that on a busy host; then it is told to kill, once.
pub const HALT_SLACK: Duration = Duration::from_secs(15);

/// What it waits for the journal's disk; then it begins without. On a drowning host a disk may hang.
pub const EMERGENCY_JOURNAL_WITHIN: Duration = Duration::from_secs(2);

/// Containers that Docker stops at a time; further ones wait for a place.
pub const EMERGENCY_AT_ONCE: usize = 64;

/// Times that Docker is asked what runs, each for [`DOCKER_CALL`]: on a drowning host it is slow.
pub const EMERGENCY_LISTS: usize = 4;

/// Containers that the result names; of more it says how many. Each is named as a step.
pub const EMERGENCY_NAMES: usize = 100;

/// The executor says within this time that it has taken an emergency stop by hand, and then something at least this
/// often: a container that Docker neither stops nor kills is given up by then. Beyond it, who asked does it himself.
pub const EMERGENCY_TAKEN_WITHIN: Duration = Duration::from_secs(25);
pub const EMERGENCY_SILENCE: Duration = Duration::from_secs(60);

// Logs on demand.

/// Readers of logs at once, each with [`LOG_QUEUE_BYTES`] at most; so commands always find a connection. One more is refused
/// in words.
pub const LOG_READERS: usize = 16;

/// Files followed at once, over all readers: each has a thread of its own, since a file may lie where reading hangs. One
/// more is refused in words.
pub const LOG_FILES: usize = 32;

/// Units whose journals are followed at once, over all readers: each is a journalctl with some megabytes of its own. As many
/// as one reader may name; one more is refused in words.
pub const LOG_UNITS: usize = 64;

/// Bytes of lines that one reader has not taken, over its sources, each of which has its equal part. Full: a source waits
/// while it tells the past; see [`LOG_PATIENCE`] for later.
pub const LOG_QUEUE_BYTES: usize = 4 * 1024 * 1024;

/// What a line counts for besides its text.
pub const LOG_LINE_COST: usize = 64;

/// How long a source with a full queue waits for its reader once lines are live. Then they are counted in place of being
/// kept, until there is room.
pub const LOG_PATIENCE: Duration = Duration::from_secs(1);

/// How long the past of the other sources waits for one that says nothing. Then they go on without it.
pub const LOG_PAST_WAIT: Duration = Duration::from_secs(2);

/// Lines and bytes of one frame; further ones go into the next. A frame has room for as much even if nothing in it can be
/// compressed.
pub const LOG_BATCH_LINES: usize = 2_048;
pub const LOG_BATCH_BYTES: usize = 128 * 1024;

/// Least time between two frames that are not full: fifty a second are live, and cost little.
pub const LOG_GATHER: Duration = Duration::from_millis(20);

/// Bytes of a line before it is made harmless: more than [`fleetlight_protocol::limits::LOG_LINE_CHARS`] of any characters. The rest is left out, and the line
/// marked.
pub const LOG_RAW_LINE_BYTES: usize = 4 * fleetlight_protocol::limits::LOG_LINE_CHARS + 4;

/// Priority of a reader's stream: below what is sampled.
pub const LOG_PRIORITY: i32 = -1;

/// Bytes of one read of a file, a pipe or Docker's answer; each source holds as much beside its queue. The rest waits where it is.
pub const LOG_READ_BYTES: usize = 64 * 1024;

/// How far back a file is searched for its last lines: a file without line ends must not be read as a whole.
pub const LOG_FILE_PAST_BYTES: u64 = 64 * 1024 * 1024;

/// How often a file is looked at for what is new, while somebody reads it.
pub const LOG_FILE_LOOK: Duration = Duration::from_millis(100);

/// Between two looks at a container that has stopped, for its next start.
pub const LOG_CONTAINER_LOOK: Duration = Duration::from_secs(1);

/// Bytes of what journalctl says when it fails; the rest is left out.
pub const LOG_WORDS_BYTES: usize = 1_024;

/// Bytes of one entry of the journal as JSON: its message as numbers has four to five for each. Longer ones are left out.
pub const LOG_ENTRY_BYTES: usize = 256 * 1024;
