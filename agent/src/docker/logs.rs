//! A container's log as Docker streams it: bytes, as fast as they are read and no faster.
//!
//! Not by bollard, which waits for the end of a terminal's line in memory without a bound, asks for whole seconds only and
//! makes several copies of each line.

use super::{ContainerId, Docker, DockerError};
use crate::limits::{DOCKER_CALL, LOG_READ_BYTES, LOG_WORDS_BYTES};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::fmt::Write;
use tokio::net::UnixStream;
use tokio_util::task::AbortOnDropHandle;

/// Which part of a log. Each line comes with its time.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogsQuery {
    /// So many of the last lines; all without it.
    pub tail: Option<u32>,
    /// Nanoseconds since the Unix epoch; lines of this instant are included.
    pub since_ns: Option<i64>,
    /// Goes on until the container ends.
    pub follow: bool,
}

/// An open log, to be read by [`super::LogFrames`].
#[derive(Debug)]
pub struct LogBytes {
    body: Incoming,
    /// Drives the connection.
    _connection: AbortOnDropHandle<()>,
}

impl Docker {
    /// Opens a container's log.
    ///
    /// # Errors
    /// [`DockerError::Gone`], and [`DockerError::Refused`] where the log driver keeps nothing.
    pub async fn logs(&self, id: &ContainerId, query: LogsQuery) -> Result<LogBytes, DockerError> {
        let silent = || DockerError::Silent { socket: self.socket.clone(), call: "logs".into(), within: DOCKER_CALL };
        tokio::time::timeout(DOCKER_CALL, self.open_logs(id, query)).await.map_err(|_| silent())?
    }

    async fn open_logs(&self, id: &ContainerId, query: LogsQuery) -> Result<LogBytes, DockerError> {
        let socket = UnixStream::connect(&self.socket).await.map_err(|error| broken(&error))?;
        // Else it grows to several times as much for a log that is read slower than it is written.
        let mut client = hyper::client::conn::http1::Builder::new();
        let opened = client.max_buf_size(LOG_READ_BYTES).handshake(TokioIo::new(socket)).await;
        let (mut sender, connection) = opened.map_err(|error| broken(&error))?;
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            // Its end is that of the body.
            let _ = connection.await;
        }));
        let path = format!("/v{}/containers/{id}/logs?{}", self.client.client_version(), query.text());
        let request = Request::get(path).header("host", "docker").body(Empty::<Bytes>::new());
        let request = request.map_err(|error| broken(&error))?;
        let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
        match answer.status().as_u16() {
            200 => Ok(LogBytes { body: answer.into_body(), _connection: connection }),
            404 => Err(DockerError::Gone),
            status => Err(DockerError::Refused { call: "logs".into(), status, message: words(answer).await }),
        }
    }
}

impl LogBytes {
    /// The next bytes; none at the end. Dropping it while it waits loses nothing.
    ///
    /// # Errors
    /// [`DockerError::Broken`]: Docker hung up.
    pub async fn next(&mut self) -> Result<Option<Bytes>, DockerError> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(bytes) = frame.map_err(|error| broken(&error))?.into_data() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }
}

impl LogsQuery {
    fn text(self) -> String {
        let mut text = format!("stdout=1&stderr=1&timestamps=1&follow={}", u8::from(self.follow));
        if let Some(tail) = self.tail {
            let _ = write!(text, "&tail={tail}");
        }
        if let Some(since) = self.since_ns {
            let _ = write!(text, "&since={}.{:09}", since.div_euclid(1_000_000_000), since.rem_euclid(1_000_000_000));
        }
        text
    }
}

/// What Docker says of a refusal, as far as it is short.
async fn words(answer: Response<Incoming>) -> String {
    let mut said = Vec::new();
    let mut body = answer.into_body();
    while let Some(Ok(frame)) = body.frame().await {
        said.extend_from_slice(frame.data_ref().map_or(&[][..], |bytes| bytes));
        if said.len() > LOG_WORDS_BYTES {
            break;
        }
    }
    let message = serde_json::from_slice::<serde_json::Value>(&said).ok();
    let message = message.and_then(|said| Some(said.get("message")?.as_str()?.to_owned()));
    message.unwrap_or_else(|| String::from_utf8_lossy(&said[..said.len().min(LOG_WORDS_BYTES)]).into_owned())
}

fn broken(error: &dyn std::fmt::Display) -> DockerError {
    DockerError::Broken { call: "logs".into(), message: error.to_string() }
}
