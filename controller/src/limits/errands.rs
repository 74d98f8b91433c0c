//! Channels between the controller's parts, and questions to hosts.

use std::time::Duration;

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
/// Further ones wait for [`super::API_QUEUE_WAIT`]. And how long an agent may take for the answer; beyond it 503.
pub const ALLOWED_AT_ONCE: usize = 8;
pub const ALLOWED_WAIT: Duration = Duration::from_secs(6);
