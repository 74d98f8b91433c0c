//! Docker: the only module that speaks to the daemon, and the only one that knows bollard.
//!
//! It gives plain values ([`Inspection`], [`DaemonEvent`] …), unmasked but without environment and
//! arguments, which the executor passes on as typed messages: the network-facing agent has no such socket. Every call has a deadline ([`limits::DOCKER_CALL`]). Ids go into request paths, so
//! they are newtypes that can hold nothing else ([`ContainerId`], [`ImageId`]). The statistics API
//! is not used: a request costs the daemon 11–18 ms and a second of waiting; see
//! [`crate::collectors::containers`].

mod answer;
mod change;
mod id;
mod log_frames;
mod logs;
mod misread;
mod socket;

pub use answer::{Change, DaemonEvent, Inspection, Listed, Network, Probe, RestartPolicy};
pub use change::Fetching;
pub use id::{ContainerId, ImageId, ImageName};
pub use log_frames::LogFrames;
pub use logs::{LogBytes, LogsQuery};
pub use misread::List;

use crate::limits;
use bollard::errors::Error;
use bollard::query_parameters::{EventsOptions, ListContainersOptionsBuilder, LogsOptionsBuilder};
use fleetlight_protocol::document::CollectorState;
use fleetlight_protocol::limits::LAST_LINES;
use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why Docker gave no answer; the message says what happened, on what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum DockerError {
    #[error("Docker is not installed or its socket {} does not exist", .0.display())]
    NoSocket(PathBuf),
    #[error("{0}")]
    Denied(String),
    #[error("nobody listens on {}: start Docker (systemctl start docker)", .0.display())]
    NotRunning(PathBuf),
    /// It accepts and does not answer.
    #[error("Docker at {} has not answered {call} within {} ms: look at `journalctl -u docker`; numbers of known containers go on", .socket.display(), .within.as_millis())]
    Silent { socket: PathBuf, call: Cow<'static, str>, within: Duration },
    /// The process that holds the socket is not there.
    #[error("{0}")]
    NoExecutor(String),
    #[error("the container does not exist any more")]
    Gone,
    #[error("Docker refused {call} ({status}): {message}")]
    Refused { call: Cow<'static, str>, status: u16, message: String },
    /// It began and broke off, in Docker's words.
    #[error("Docker could not {call}: {message}")]
    Unable { call: Cow<'static, str>, message: String },
    #[error("Docker's answer to {call} was cut or not understood: {message}")]
    Broken { call: Cow<'static, str>, message: String },
    #[error("Docker's answer to {call} has words that this agent does not know: {message}; update the agent")]
    Misread { call: Cow<'static, str>, message: String },
}

impl DockerError {
    /// As the state of a collector.
    #[must_use]
    pub fn state(&self) -> CollectorState {
        match self {
            Self::NoSocket(_) => CollectorState::Absent,
            Self::Silent { .. } => CollectorState::Stuck,
            _ => CollectorState::Failing,
        }
    }

    /// Whether the daemon as a whole is in trouble, not this one question.
    #[must_use]
    pub fn ends_session(&self) -> bool {
        !matches!(
            self,
            Self::Gone | Self::Refused { .. } | Self::Unable { .. } | Self::Broken { .. } | Self::Misread { .. }
        )
    }

    fn of(call: &'static str, error: Error) -> Self {
        let call = Cow::Borrowed(call);
        match error {
            Error::DockerResponseServerError { status_code: 404 | 409, .. } => Self::Gone,
            Error::DockerResponseServerError { status_code: status, message } => {
                Self::Refused { call, status, message }
            }
            Error::JsonDataError { message, .. } => Self::Misread { call, message },
            other => Self::Broken { call, message: other.to_string() },
        }
    }
}

/// What of the daemon's events is asked for; the rest (exec of health checks) would be noise.
const EVENTS: [&str; 11] =
    ["create", "start", "die", "oom", "kill", "destroy", "pause", "unpause", "rename", "health_status", "update"];

/// A daemon that answered. Each call dials the socket anew, which costs some 50 µs; clones share nothing else.
#[derive(Debug, Clone)]
pub struct Docker {
    socket: PathBuf,
    client: bollard::Docker,
}

impl Docker {
    /// Finds out whether Docker is there, may be asked, and which version both speak.
    ///
    /// # Errors
    /// Every kind but [`DockerError::Gone`].
    pub async fn connect(socket: &Path) -> Result<Self, DockerError> {
        socket::probe(socket).await?;
        let address = socket.to_string_lossy();
        let seconds = limits::DOCKER_CALL.as_secs();
        let client = bollard::Docker::connect_with_unix(&address, seconds, bollard::API_DEFAULT_VERSION)
            .map_err(|error| DockerError::of("connect", error))?;
        let version = Box::pin(client.negotiate_version());
        let client = deadline(socket, "version", version).await?;
        Ok(Self { socket: socket.to_owned(), client })
    }

    async fn ask<T>(
        &self,
        call: &'static str,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, DockerError> {
        deadline(&self.socket, call, answer).await
    }

    /// Whether it still answers.
    ///
    /// # Errors
    /// As [`DockerError`] says.
    pub async fn ping(&self) -> Result<(), DockerError> {
        self.ask("ping", self.client.ping()).await.map(|_| ())
    }

    /// All containers, running or not; at most [`limits::CONTAINERS`].
    ///
    /// # Errors
    /// As [`DockerError`] says.
    pub async fn list(&self) -> Result<List, DockerError> {
        self.listed(&HashMap::new()).await
    }

    /// Containers, running or not, that bear all these labels (`key=value`).
    ///
    /// # Errors
    /// As [`DockerError`] says.
    pub async fn list_labelled(&self, labels: Vec<String>) -> Result<List, DockerError> {
        self.listed(&HashMap::from([("label".to_owned(), labels)])).await
    }

    async fn listed(&self, filters: &HashMap<String, Vec<String>>) -> Result<List, DockerError> {
        let options = ListContainersOptionsBuilder::default().all(true).filters(filters).build();
        let answer = async {
            match self.client.list_containers(Some(options)).await {
                Ok(found) => {
                    Ok(List { containers: found.into_iter().filter_map(answer::listed).collect(), misread: None })
                }
                Err(Error::JsonDataError { contents, .. }) => misread::list(&contents).map_err(Error::from),
                Err(error) => Err(error),
            }
        };
        let mut list = self.ask("list", answer).await?;
        list.containers.truncate(limits::CONTAINERS);
        Ok(list)
    }

    /// One container.
    ///
    /// # Errors
    /// [`DockerError::Gone`] if it does not exist.
    pub async fn inspect(&self, id: &ContainerId) -> Result<Inspection, DockerError> {
        let answer = async {
            match self.client.inspect_container(id.as_str(), None).await {
                Ok(found) => Ok(answer::inspection(found)),
                Err(Error::JsonDataError { contents, .. }) => misread::inspection(&contents).map_err(Error::from),
                Err(error) => Err(error),
            }
        };
        let found = self.ask("inspect", answer).await?;
        found
            .ok_or_else(|| DockerError::Broken { call: "inspect".into(), message: format!("{id} without id or state") })
    }

    /// Bytes of an image, all its layers.
    ///
    /// # Errors
    /// [`DockerError::Gone`] if it does not exist.
    pub async fn image_bytes(&self, image: &ImageId) -> Result<Option<u64>, DockerError> {
        let found = self.ask("image", self.client.inspect_image(image.as_str())).await?;
        Ok(found.size.and_then(|size| u64::try_from(size).ok()))
    }

    /// The last lines of both streams, oldest first, unmasked: at most [`LAST_LINES`], each of at most
    /// [`limits::LOG_LINE_BYTES`].
    ///
    /// # Errors
    /// [`DockerError::Gone`], and [`DockerError::Refused`] where the log driver keeps nothing.
    pub async fn last_lines(&self, id: &ContainerId) -> Result<Vec<Vec<u8>>, DockerError> {
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&LAST_LINES.to_string()).build();
        let mut frames = self.client.logs(id.as_str(), Some(options));
        self.ask("logs", async move {
            let mut tail = answer::Tail::default();
            while let Some(frame) = frames.next().await {
                tail.push(&frame?.into_bytes());
            }
            Ok(tail.lines())
        })
        .await
    }

    /// Events of containers from `since_ns` (nanoseconds since the Unix epoch) on. The daemon keeps
    /// the last 256 events for those who come late.
    pub fn events(&self, since_ns: i64) -> impl Stream<Item = Result<DaemonEvent, DockerError>> + Send + use<> {
        self.events_like(since_ns, HashMap::from([("event".to_owned(), owned(&EVENTS))]))
    }

    /// Every event of one container, that of a restart that is through included.
    pub fn events_of(
        &self,
        id: &ContainerId,
        since_ns: i64,
    ) -> impl Stream<Item = Result<DaemonEvent, DockerError>> + Send + use<> {
        let events = owned(&[&EVENTS[..], &["restart"]].concat());
        let filters = [("event".to_owned(), events), ("container".to_owned(), vec![id.to_string()])];
        self.events_like(since_ns, HashMap::from(filters))
    }

    fn events_like(
        &self,
        since_ns: i64,
        mut filters: HashMap<String, Vec<String>>,
    ) -> impl Stream<Item = Result<DaemonEvent, DockerError>> + Send + use<> {
        filters.insert("type".to_owned(), owned(&["container"]));
        let since = format!("{}.{:09}", since_ns.div_euclid(1_000_000_000), since_ns.rem_euclid(1_000_000_000));
        let options = EventsOptions { since: Some(since), until: None, filters: Some(filters) };
        self.client.events(Some(options)).filter_map(|message| async move {
            match message {
                Ok(message) => answer::event(message).map(Ok),
                Err(error) => Some(Err(DockerError::of("events", error))),
            }
        })
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

async fn deadline<T>(
    socket: &Path,
    call: &'static str,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, DockerError> {
    let within = limits::DOCKER_CALL;
    let silent = || DockerError::Silent { socket: socket.to_owned(), call: call.into(), within };
    match tokio::time::timeout(within, answer).await {
        Err(_) | Ok(Err(Error::RequestTimeoutError)) => Err(silent()),
        Ok(Err(error)) => Err(DockerError::of(call, error)),
        Ok(Ok(answer)) => Ok(answer),
    }
}

#[cfg(test)]
#[path = "docker_tests.rs"]
mod tests;
