//! Jobs: what systemd was asked to do, and its word on how that ended.

use super::bus::JobRemovedStream;
use super::{Systemd, SystemdError, UnitName, explain};
use futures_util::StreamExt;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use zbus::OwnedObjectPath;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Start,
    Stop,
    Restart,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobResult {
    Done,
    /// systemd's word: `failed`, `timeout`, `dependency`, `canceled` …
    Other(String),
    /// It has not ended within the bound; it goes on.
    Late,
    /// The token was cancelled; so was the job.
    Cancelled,
}

/// A job that was begun, and how its end will be told.
pub struct Job {
    pub(super) path: OwnedObjectPath,
    pub(super) removed: JobRemovedStream,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Job").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Systemd {
    /// Asks for a job and waits for its end.
    ///
    /// # Errors
    /// [`SystemdError`] in systemd's words, for instance that the unit is masked.
    pub async fn job(
        &self,
        verb: Verb,
        unit: &UnitName,
        within: Duration,
        cancel: &CancellationToken,
    ) -> Result<JobResult, SystemdError> {
        // Before the job: its end may come at once.
        let removed = self.removals(unit).await?;
        let (manager, name) = (&self.manager, unit.as_str());
        // Else systemd forgets one that has ended, and with it whether it ran at all.
        if let Err(error) = manager.ref_unit(name).await {
            tracing::debug!(%error, %unit, "cannot be kept in memory");
        }
        let path = match verb {
            Verb::Start => manager.start_unit(name, "replace").await,
            Verb::Stop => manager.stop_unit(name, "replace").await,
            Verb::Restart => manager.restart_unit(name, "replace").await,
        };
        let mut job = Job { path: path.map_err(explain)?, removed };
        let ended = tokio::select! {
            ended = tokio::time::timeout(within, job.ended()) => ended.unwrap_or(Ok(JobResult::Late)),
            () = cancel.cancelled() => Ok(JobResult::Cancelled),
        };
        if ended == Ok(JobResult::Cancelled) {
            job.cancel(self).await;
        }
        ended
    }

    /// Word of the end of this unit's jobs, and of no other's: a burst of them at boot would fill the queue.
    pub(super) async fn removals(&self, unit: &UnitName) -> Result<JobRemovedStream, SystemdError> {
        self.manager.receive_job_removed_with_args(&[(2, unit.as_str())]).await.map_err(explain)
    }
}

impl Job {
    /// Waits for the end. Safe to drop and to call again.
    ///
    /// # Errors
    /// [`SystemdError::NoBus`]: what becomes of it is not heard any more.
    pub async fn ended(&mut self) -> Result<JobResult, SystemdError> {
        while let Some(signal) = self.removed.next().await {
            let removed = signal.args().map_err(explain)?;
            if removed.job() == &self.path {
                return Ok(match removed.result().as_str() {
                    "done" => JobResult::Done,
                    other => JobResult::Other(other.to_owned()),
                });
            }
        }
        Err(SystemdError::NoBus("it hung up".into()))
    }

    /// One that has ended meanwhile needs no cancelling.
    async fn cancel(&mut self, systemd: &Systemd) {
        let id = self.path.as_str().rsplit('/').next().and_then(|id| id.parse().ok());
        if let Some(id) = id
            && let Err(error) = systemd.manager.cancel_job(id).await
        {
            tracing::debug!(%error, "a job was not cancelled");
        }
    }
}
