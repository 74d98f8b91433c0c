//! What is asked of an agent: a bi stream of its session for each errand.
//!
//! The stream's flow control is the back-pressure; dropping an [`ErrandStream`] ends it on both ways, which the agent
//! takes for a goodbye. A command is not cancelled by that: it is asked for again with the same id.

use super::control::{ReadError, read};
use super::registry::Registry;
use crate::limits::{ERRAND_OPEN_WAIT, ERRAND_WRITE_WAIT};
use fleetlight_protocol::errand::Errand;
use fleetlight_protocol::frame;
use quinn::{RecvStream, SendStream};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;
use uuid::Uuid;

/// Why an agent could not be asked, or gives no more answers.
#[derive(Debug, thiserror::Error)]
pub enum ErrandError {
    #[error("the host is not connected")]
    NotConnected,
    #[error(
        "the host's agent is too old to be asked: it speaks session version {speaks}, this needs {needs}; update it"
    )]
    TooOld { speaks: u16, needs: u16 },
    /// No stream was to be had: it was not asked.
    #[error("the host's agent takes no question: {0}")]
    NotOpened(String),
    #[error("the connection to the host was lost: {0}")]
    Lost(String),
    #[error("the agent's answer was not understood: {0}")]
    Broken(String),
}

impl ErrandError {
    /// Whether the agent is sure to have heard nothing.
    #[must_use]
    pub fn is_unheard(&self) -> bool {
        matches!(self, Self::NotConnected | Self::TooOld { .. } | Self::NotOpened(_))
    }
}

/// One errand's stream.
#[derive(Debug)]
pub struct ErrandStream {
    pub words: Words,
    pub answers: Answers,
}

/// What goes to the agent.
#[derive(Debug)]
pub struct Words(SendStream);

/// What comes back.
#[derive(Debug)]
pub struct Answers(RecvStream);

impl Registry {
    /// Asks an agent.
    ///
    /// # Errors
    /// [`ErrandError`]: it was not asked, or after [`ErrandError::Lost`] perhaps was.
    pub async fn ask(&self, agent_id: Uuid, errand: &Errand) -> Result<ErrandStream, ErrandError> {
        let line = self.line(agent_id).ok_or(ErrandError::NotConnected)?;
        let (speaks, needs) = (line.version, errand.since());
        if speaks < needs {
            return Err(ErrandError::TooOld { speaks, needs });
        }
        let opened = timeout(ERRAND_OPEN_WAIT, line.connection.open_bi()).await;
        let opened = opened.map_err(|_| ErrandError::NotOpened("all its streams for questions are in use".into()))?;
        let (send, recv) = opened.map_err(|error| ErrandError::NotOpened(error.to_string()))?;
        let mut stream = ErrandStream { words: Words(send), answers: Answers(recv) };
        stream.words.write(errand).await?;
        Ok(stream)
    }
}

impl Answers {
    /// The next answer; none when the agent has said all.
    ///
    /// # Errors
    /// [`ErrandError`]; what was read in part is lost, so it must not be dropped while it waits.
    pub async fn read<M: DeserializeOwned>(&mut self) -> Result<Option<M>, ErrandError> {
        read(&mut self.0).await.map_err(|error| match error {
            ReadError::Lost(error) => ErrandError::Lost(error.to_string()),
            ReadError::Cut => ErrandError::Lost("in the middle of an answer".into()),
            ReadError::Frame(error) => ErrandError::Broken(error.to_string()),
        })
    }
}

impl Words {
    /// # Errors
    /// [`ErrandError::Lost`].
    pub async fn write<M: Serialize>(&mut self, message: &M) -> Result<(), ErrandError> {
        let bytes = frame::encode(message).map_err(|error| ErrandError::Broken(error.to_string()))?;
        match timeout(ERRAND_WRITE_WAIT, self.0.write_all(&bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(ErrandError::Lost(error.to_string())),
            Err(_) => Err(ErrandError::Lost("it does not read".into())),
        }
    }
}
