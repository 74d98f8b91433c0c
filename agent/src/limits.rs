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

/// Deaths remembered of one container: more than Docker's restart back-off lets happen in the
/// window.
pub const DEATHS: usize = 256;
// Threads.

/// Threads for calls that block, started when needed: one for each of those who may wait for ever
/// (sensors, what is known of the host, the state folder) and one for the rest. Full: calls wait.
pub const BLOCKING_THREADS: usize = 4;

// Stopping.

/// The longest that a stop waits for tasks: systemd kills after ten times that.
pub const STOP_WAIT: std::time::Duration = std::time::Duration::from_secs(3);
