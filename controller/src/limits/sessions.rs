//! Sessions of agents, enrolment and certificates.

use super::LOG_READERS_PER_HOST;
use std::time::Duration;

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
