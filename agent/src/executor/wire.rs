//! Frames of [`fleetlight_protocol::frame`] on a Unix socket.

use fleetlight_protocol::frame::{self, FrameError, HEAD_BYTES, Head};
use serde::{Serialize, de::DeserializeOwned};
use std::io::{self, ErrorKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Why a message did not come or go.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Frame(#[from] FrameError),
}

/// The next message; none if the other side has hung up.
///
/// # Errors
/// [`WireError`]; after one the stream is of no more use.
pub async fn read<M: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<M>, WireError> {
    let mut head = [0; HEAD_BYTES];
    match stream.read_exact(&mut head).await {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    };
    let head = Head::parse(head)?;
    let mut payload = vec![0; head.length];
    stream.read_exact(&mut payload).await?;
    Ok(Some(frame::decode(head, &payload)?))
}

/// # Errors
/// [`WireError`]; after one the stream is of no more use.
pub async fn write<M: Serialize>(stream: &mut (impl AsyncWrite + Unpin), message: &M) -> Result<(), WireError> {
    Ok(stream.write_all(&frame::encode(message)?).await?)
}
