//! The page and its calls.

use std::time::Duration;

/// Bytes of a call's body: none carries more than a password and a name.
pub const API_BODY_BYTES: usize = 64 * 1024;

/// Calls at the same time, over all people; further ones wait for [`API_QUEUE_WAIT`].
pub const API_CONCURRENCY: usize = 64;

/// Calls at work at the same time of what needs no session (login, setup): each may hold a connection to the database,
/// and fewer than half of [`super::STORE_CONNECTIONS`] are theirs. Whoever still sends its body, or waits out a delay, takes no
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

/// Bytes of a CSP report that are logged, and how many reports are: the rest is only counted.
pub const CSP_REPORT_BYTES: usize = 1_024;
pub const CSP_REPORTS_LOGGED: u64 = 20;
