//! What changes something: one call a verb, each with a deadline that fits it. Only the executor calls these.

use super::{ContainerId, Docker, DockerError, ImageId, ImageName};
use crate::limits;
use bollard::errors::Error;
use bollard::query_parameters::{CreateImageOptionsBuilder, KillContainerOptionsBuilder, StopContainerOptionsBuilder};
use futures_util::{Stream, StreamExt};
use std::borrow::Cow;
use std::future::Future;
use std::time::Duration;

/// What a fetch says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetching {
    Line(String),
    /// Bytes have come.
    Progress,
}

impl Docker {
    /// One that runs already stays as it is.
    ///
    /// # Errors
    /// As [`DockerError`] says.
    pub async fn start(&self, id: &ContainerId) -> Result<(), DockerError> {
        self.change("start", limits::START_WITHIN, self.patient().start_container(id.as_str(), None)).await
    }

    /// Docker waits for the container's own time before it kills it; `stop_seconds` as its inspection says.
    ///
    /// # Errors
    /// As [`DockerError`] says.
    pub async fn stop(&self, id: &ContainerId, stop_seconds: Option<i64>) -> Result<(), DockerError> {
        self.change("stop", stop_within(stop_seconds), self.patient().stop_container(id.as_str(), None)).await
    }

    /// Stop and start in one: Docker finishes it even if whoever asked is gone.
    ///
    /// # Errors
    /// As [`DockerError`] says.
    pub async fn restart(&self, id: &ContainerId, stop_seconds: Option<i64>) -> Result<(), DockerError> {
        let within = stop_within(stop_seconds) + limits::START_WITHIN;
        self.change("restart", within, self.patient().restart_container(id.as_str(), None)).await
    }

    /// Asks it to end and kills it after `grace`: Docker does both. Should Docker not be done soon after, it is told once
    /// more to kill it.
    ///
    /// # Errors
    /// As [`DockerError`] says, of that last try.
    pub async fn halt(&self, id: &ContainerId, grace: Duration) -> Result<(), DockerError> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        let within = grace + limits::HALT_SLACK;
        match self.change("stop", within, self.patient().stop_container(id.as_str(), Some(options))).await {
            Ok(()) => Ok(()),
            Err(_) => self.kill(id).await,
        }
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// As [`DockerError`] says.
    pub async fn kill(&self, id: &ContainerId) -> Result<(), DockerError> {
        let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
        self.change("kill", limits::CHANGE_WITHIN, self.patient().kill_container(id.as_str(), Some(options))).await
    }

    /// # Errors
    /// As [`DockerError`] says.
    pub async fn pause(&self, id: &ContainerId) -> Result<(), DockerError> {
        self.change("pause", limits::CHANGE_WITHIN, self.patient().pause_container(id.as_str())).await
    }

    /// # Errors
    /// As [`DockerError`] says.
    pub async fn unpause(&self, id: &ContainerId) -> Result<(), DockerError> {
        self.change("unpause", limits::CHANGE_WITHIN, self.patient().unpause_container(id.as_str())).await
    }

    /// Docker refuses if it runs. Its volumes stay.
    ///
    /// # Errors
    /// As [`DockerError`] says.
    pub async fn remove(&self, id: &ContainerId) -> Result<(), DockerError> {
        self.change("remove", limits::REMOVE_WITHIN, self.patient().remove_container(id.as_str(), None)).await
    }

    /// Fetches the image that its registry has under this name now; dropped, Docker gives it up.
    pub fn fetch(&self, image: &ImageName) -> impl Stream<Item = Result<Fetching, DockerError>> + Send + use<> {
        let options = CreateImageOptionsBuilder::default().from_image(image.name()).tag(image.tag()).build();
        self.patient().create_image(Some(options), None, None).map(|news| {
            let news = news.map_err(|error| refused("fetch", error))?;
            let Some(line) =
                news.status.filter(|_| news.progress_detail.is_none_or(|progress| progress.current.is_none()))
            else {
                return Ok(Fetching::Progress);
            };
            Ok(Fetching::Line(match news.id {
                Some(id) => format!("{id}: {line}"),
                None => line,
            }))
        })
    }

    /// Which image has this name here; none if none has.
    ///
    /// # Errors
    /// As [`DockerError`] says.
    pub async fn image_named(&self, image: &ImageName) -> Result<Option<ImageId>, DockerError> {
        match self.ask("image", self.client.inspect_image(&image.to_string())).await {
            Ok(found) => Ok(found.id.as_deref().and_then(ImageId::parse)),
            Err(DockerError::Gone) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// bollard bounds a call by itself, to what suits a question.
    fn patient(&self) -> bollard::Docker {
        self.client.clone().with_timeout(limits::FETCH_SILENCE.max(limits::STOP_LONGEST + limits::START_WITHIN * 2))
    }

    async fn change<T>(
        &self,
        call: &'static str,
        within: Duration,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, DockerError> {
        match tokio::time::timeout(within, answer).await {
            Err(_) => Err(DockerError::Silent { socket: self.socket.clone(), call: call.into(), within }),
            Ok(answer) => answer.map_err(|error| refused(call, error)),
        }
    }
}

/// Unlike in a question, what Docker says to a 404 or 409 is for people.
fn refused(call: &'static str, error: Error) -> DockerError {
    match error {
        Error::DockerResponseServerError { status_code: 404, message } if message.contains("No such container") => {
            DockerError::Gone
        }
        Error::DockerResponseServerError { status_code: status, message } => {
            DockerError::Refused { call: Cow::Borrowed(call), status, message }
        }
        Error::DockerStreamError { error: message } => DockerError::Unable { call: Cow::Borrowed(call), message },
        other => DockerError::of(call, other),
    }
}

/// Docker waits that long and then kills, for which it takes some time itself.
fn stop_within(stop_seconds: Option<i64>) -> Duration {
    let own = match stop_seconds {
        None => limits::STOP_DEFAULT,
        Some(seconds) => u64::try_from(seconds).map_or(limits::STOP_LONGEST, Duration::from_secs),
    };
    own.min(limits::STOP_LONGEST) + limits::STOP_SLACK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_waited_for_as_long_as_docker_waits() {
        let slack = limits::STOP_SLACK;
        assert_eq!(stop_within(None), limits::STOP_DEFAULT + slack);
        assert_eq!(stop_within(Some(0)), slack);
        assert_eq!(stop_within(Some(120)), Duration::from_secs(120) + slack);
        assert_eq!(stop_within(Some(-1)), limits::STOP_LONGEST + slack, "for ever");
        assert_eq!(stop_within(Some(i64::MAX)), limits::STOP_LONGEST + slack);
    }
}
