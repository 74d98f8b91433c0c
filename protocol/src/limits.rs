//! Every bound on the wire. Each says why it has its size and what happens beyond it.

/// Bytes of one frame as sent. A tick of 300 entities is under 16 KiB; beyond it the peer is
/// broken or hostile and the stream is closed with the reason.
pub const FRAME_BYTES: usize = 256 * 1024;

/// Bytes of one frame after decompression: inventory of 1,000 containers is about 1 MiB.
/// Beyond it the frame is refused before it is allocated.
pub const FRAME_PLAIN_BYTES: usize = 4 * 1024 * 1024;

/// Payloads below this size are sent plain: zstd's header would eat what it saves.
pub const COMPRESS_FROM_BYTES: usize = 600;

/// Entities that one stream may name. 1,000 containers, 10,000 GPU processes over a stream's life
/// fit; the encoder restarts its dictionary before it gets there, a decoder refuses beyond it.
pub const ENTITIES_PER_STREAM: usize = 16_384;

/// Bytes of an entity's key: a container id has 64, a long mount point some hundred.
pub const ENTITY_KEY_BYTES: usize = 512;

/// Rows of one batch. One tick of the largest host that we know of is below 2,000.
pub const ROWS_PER_BATCH: usize = 8_192;

/// Rows that a batch of history counts for at least: its frame, its number and its ack are work too.
pub const HISTORY_BATCH_ROWS: usize = 16;

/// Events of one batch; more go into the next.
pub const EVENTS_PER_BATCH: usize = 256;

/// Documents of one batch; more go into the next.
pub const DOCUMENTS_PER_BATCH: usize = 256;

/// Last log lines kept with a container's death.
pub const LAST_LINES: usize = 20;

/// Characters of one kept log line; the rest is cut and marked.
pub const LAST_LINE_CHARS: usize = 400;

/// Characters of any other text field that comes from a host (names, reasons, versions).
pub const TEXT_CHARS: usize = 1_024;

/// Labels kept of one container.
pub const LABELS: usize = 64;

/// Epochs that a hello may name: the agent's own, and those of earlier starts of which its spool
/// still holds something. A day of an agent that crashes every two minutes; of more, the agent
/// gives up the oldest.
pub const HELD_EPOCHS: usize = 720;

/// Of a command's output, what is kept of its beginning and of its end: together with its words a result stays far
/// below a frame. What lies between is counted.
pub const OUTPUT_HEAD_BYTES: usize = 16 * 1024;
pub const OUTPUT_TAIL_BYTES: usize = 48 * 1024;

/// Bytes of one piece of live output; more come in the next.
pub const OUTPUT_CHUNK_BYTES: usize = 16 * 1024;

/// The longest time for which an effect can be asked to hold; beyond it the command is refused.
pub const STABLE_SECONDS: u32 = 300;

/// Bytes of a command's names: Docker's and systemd's longest are below. Longer ones are refused.
pub const NAME_BYTES: usize = 255;

/// Parameters of one runbook, and characters of one value; more is refused.
pub const PARAMETERS: usize = 32;
pub const PARAMETER_CHARS: usize = 4_096;

/// Of what a host tells that it allows: patterns of one list, and bytes of runbooks. A page shows no more, and one
/// frame holds it. Beyond them the rest is left out, and said to be.
pub const ALLOWED_PATTERNS: usize = 64;
pub const ALLOWED_RUNBOOK_BYTES: usize = 128 * 1024;

/// Sources that one reader of logs may merge: all of a workshop's containers. More is refused.
pub const LOG_SOURCES: usize = 64;

/// Lines of the past that one reader may ask for of each source.
pub const LOG_PAST_LINES: u32 = 200_000;

/// Characters of one line; the rest is cut and marked. Docker itself cuts at 16 KiB.
pub const LOG_LINE_CHARS: usize = 8_192;

/// Characters of the text that lines are asked to contain.
pub const LOG_CONTAINS_CHARS: usize = 256;
