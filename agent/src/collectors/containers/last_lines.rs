//! The last log lines of a dead container, as they may leave the host.

use crate::docker::ContainerId;
use crate::executor::Client;
use crate::mask;
use tokio::time::{Instant, timeout_at};

/// The lines, if Docker gives them until `by`: the news of the death waits for them. None if the log
/// driver keeps none, or the container is gone already.
pub async fn of(docker: &Client, id: &ContainerId, by: Instant) -> Vec<String> {
    let lines = timeout_at(by, docker.last_lines(id)).await;
    mask::last_lines(&lines.ok().and_then(Result::ok).unwrap_or_default())
}
