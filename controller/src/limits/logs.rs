//! Logs on demand.

use std::time::Duration;

/// Readers of logs in all, with some 2 MiB each at most; one more is refused in words.
pub const LOG_READERS: usize = 64;

/// Readers of one host's logs: what they do not read must leave room in [`super::RECEIVE_WINDOW`] for the host's samples. One more
/// is refused in words.
pub const LOG_READERS_PER_HOST: usize = 8;

/// Reports of one host that wait for a reader, 128 KiB each. Full: the host's stream is not read.
pub const LOG_REPORTS: usize = 2;

/// How long the past of the other hosts waits for one that says nothing: longer than a host waits for its sources. Then
/// they go on without it.
pub const LOG_PAST_WAIT: Duration = Duration::from_secs(4);

/// How long a socket may leave a message unread. Beyond it, it is closed; [`super::HTTP_UNACKED`] does the same for streams.
pub const LOG_UNREAD: Duration = Duration::from_secs(60);

/// What a socket may say: nothing is asked of it. More ends it.
pub const SOCKET_MESSAGE_BYTES: usize = 4 * 1024;

/// Bytes that wait to be written to a socket: one message, of which a host's largest has about 1 MiB as JSON. Beyond it the
/// socket is closed.
pub const SOCKET_WRITE_BYTES: usize = 8 * 1024 * 1024;

/// For the last word to a socket.
pub const SOCKET_GOODBYE_WAIT: Duration = Duration::from_secs(1);
