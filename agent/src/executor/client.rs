//! The agent's end of the executor's socket. Each question dials anew, which costs some 50 µs.

use super::message::Request;
use super::wire::{self, WireError};
use crate::docker::{ContainerId, DaemonEvent, DockerError, ImageId, Inspection, List};
use crate::limits::{DOCKER_CALL, EXECUTOR_CALL};
use fleetlight_protocol::allowed::AllowedReport;
use futures_util::Stream;
use futures_util::stream;
use serde::de::DeserializeOwned;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::UnixStream;

/// Where the executor listens; clones are cheap.
#[derive(Debug, Clone)]
pub struct Client {
    socket: Arc<Path>,
}

impl Client {
    #[must_use]
    pub fn new(socket: PathBuf) -> Self {
        Self { socket: socket.into() }
    }

    /// Dials and asks; the answers are read from what comes back.
    ///
    /// # Errors
    /// In words: the executor is not there, or does not let this account in.
    pub async fn ask(&self, request: &Request) -> Result<UnixStream, String> {
        let dialled = tokio::time::timeout(EXECUTOR_CALL, async {
            let mut stream = UnixStream::connect(&self.socket).await?;
            wire::write(&mut stream, request).await?;
            Ok::<_, WireError>(stream)
        });
        match dialled.await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.explain(&error)),
            Err(_) => Err(format!(
                "the executor at {} does not take questions: look at `journalctl -u fleetlight-executor`",
                self.socket.display()
            )),
        }
    }

    pub(super) fn explain(&self, error: &WireError) -> String {
        let place = self.socket.display();
        match error {
            WireError::Io(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                format!(
                    "the executor does not run, nobody listens on {place}: systemctl start fleetlight-executor (by hand: fleetlight-agent executor); numbers of known containers go on"
                )
            }
            WireError::Io(error) if error.kind() == ErrorKind::PermissionDenied => {
                format!("this account may not open {place}: give the agent's user the right to enter its folder")
            }
            // It closes without having read what this account asked.
            WireError::Io(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                self.refused()
            }
            error => format!(
                "the executor at {place} broke off: {error}; if it goes on, look at `journalctl -u fleetlight-executor`"
            ),
        }
    }

    /// What this host does when it is asked.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn allowed(&self) -> Result<AllowedReport, String> {
        let answered = async {
            let mut stream = self.ask(&Request::Allowed).await?;
            match wire::read(&mut stream).await {
                Ok(Some(answer)) => Ok(answer),
                Ok(None) => Err(self.refused()),
                Err(error) => Err(self.explain(&error)),
            }
        };
        let silent = |_| Err(format!("the executor at {} has not answered in time", self.socket.display()));
        tokio::time::timeout(2 * EXECUTOR_CALL, answered).await.unwrap_or_else(silent)
    }

    async fn docker<T: DeserializeOwned>(&self, request: Request) -> Result<T, DockerError> {
        let answered = async {
            let mut stream = self.ask(&request).await.map_err(DockerError::NoExecutor)?;
            match wire::read(&mut stream).await {
                Ok(Some(answer)) => answer,
                Ok(None) => Err(DockerError::NoExecutor(self.refused())),
                Err(error) => Err(DockerError::NoExecutor(self.explain(&error))),
            }
        };
        // The executor bounds the call itself; this is for one that hangs as a whole.
        let within = DOCKER_CALL + EXECUTOR_CALL;
        let silent = || {
            DockerError::NoExecutor(format!(
                "the executor at {} has not answered within {} s: look at `journalctl -u fleetlight-executor`; numbers of known containers go on",
                self.socket.display(),
                within.as_secs()
            ))
        };
        tokio::time::timeout(within, answered).await.map_err(|_| silent())?
    }

    pub(super) fn refused(&self) -> String {
        format!(
            "the executor at {} hung up without an answer: it ends, or does not know this account (its setting agent_user names the one that may ask); its log says which: journalctl -u fleetlight-executor",
            self.socket.display()
        )
    }

    /// Whether Docker answers.
    ///
    /// # Errors
    /// As [`crate::docker::Docker::connect`] and [`crate::docker::Docker::ping`].
    pub async fn ping(&self) -> Result<(), DockerError> {
        self.docker(Request::Ping).await
    }

    /// # Errors
    /// As [`crate::docker::Docker::list`].
    pub async fn list(&self) -> Result<List, DockerError> {
        self.docker(Request::List).await
    }

    /// # Errors
    /// As [`crate::docker::Docker::inspect`].
    pub async fn inspect(&self, id: &ContainerId) -> Result<Inspection, DockerError> {
        self.docker(Request::Inspect(id.clone())).await
    }

    /// # Errors
    /// As [`crate::docker::Docker::image_bytes`].
    pub async fn image_bytes(&self, image: &ImageId) -> Result<Option<u64>, DockerError> {
        self.docker(Request::ImageBytes(image.clone())).await
    }

    /// # Errors
    /// As [`crate::docker::Docker::last_lines`].
    pub async fn last_lines(&self, id: &ContainerId) -> Result<Vec<Vec<u8>>, DockerError> {
        self.docker(Request::LastLines(id.clone())).await
    }

    /// Events as [`crate::docker::Docker::events`] gives them; the last one says why no more come.
    pub fn events(&self, since_ns: i64) -> impl Stream<Item = Result<DaemonEvent, DockerError>> + Send + use<> {
        enum At {
            Start(Client),
            Open(Client, UnixStream),
            End,
        }
        stream::unfold(At::Start(self.clone()), move |at| async move {
            let (client, mut stream) = match at {
                At::Start(client) => match client.ask(&Request::Events { since_ns }).await {
                    Ok(stream) => (client, stream),
                    Err(words) => return Some((Err(DockerError::NoExecutor(words)), At::End)),
                },
                At::Open(client, stream) => (client, stream),
                At::End => return None,
            };
            match wire::read(&mut stream).await {
                Ok(Some(event)) => Some((event, At::Open(client, stream))),
                Ok(None) => Some((Err(DockerError::NoExecutor(client.refused())), At::End)),
                Err(error) => Some((Err(DockerError::NoExecutor(client.explain(&error))), At::End)),
            }
        })
    }
}
