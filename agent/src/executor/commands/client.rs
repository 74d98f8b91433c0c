//! The agent's end of questions about commands.

use crate::executor::message::{Ended, Request};
use crate::executor::{Client, wire};
use crate::limits::{EXECUTOR_CALL, EXECUTOR_SETTLES};
use fleetlight_protocol::command::{Command, CommandReport};
use futures_util::{Stream, stream};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use tokio::net::UnixStream;
use tokio::time::timeout;
use uuid::Uuid;

/// Answers that come one after the other.
#[derive(Debug)]
pub struct Answers<M> {
    client: Client,
    stream: UnixStream,
    of: PhantomData<fn() -> M>,
}

impl<M: DeserializeOwned> Answers<M> {
    /// The next one; none when the executor has said all. What was read in part is lost, so it must not be dropped while it
    /// waits and then be asked again.
    ///
    /// # Errors
    /// In words: the executor is gone.
    pub async fn next(&mut self) -> Result<Option<M>, String> {
        wire::read(&mut self.stream).await.map_err(|error| self.client.explain(&error))
    }
}

impl Client {
    /// Has a command done, or hears what became of it. Dropping the answers stops nothing.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn run(&self, command: Command, left_ms: i64) -> Result<Answers<CommandReport>, String> {
        self.answers(&Request::Run { command: Box::new(command), left_ms }).await
    }

    /// Results that are not settled, and those to come, until the executor is gone.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn results(&self) -> Result<impl Stream<Item = Ended> + Send + use<>, String> {
        let answers: Answers<Ended> = self.answers(&Request::Results).await?;
        Ok(stream::unfold(answers, |mut answers| async move { Some((answers.next().await.ok()??, answers)) }))
    }

    /// Asks a command to stop; whether it was in hand.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn cancel(&self, id: Uuid) -> Result<bool, String> {
        self.once(&Request::Cancel(id), EXECUTOR_CALL).await
    }

    /// Says that these results are in the spool, on disk.
    ///
    /// # Errors
    /// As [`Client::ask`]; or the journal does not take it, and they are told again.
    pub async fn settle(&self, ids: Vec<Uuid>) -> Result<(), String> {
        self.once(&Request::Settle(ids), EXECUTOR_SETTLES).await
    }

    async fn answers<M>(&self, request: &Request) -> Result<Answers<M>, String> {
        Ok(Answers { client: self.clone(), stream: self.ask(request).await?, of: PhantomData })
    }

    async fn once<M: DeserializeOwned>(&self, request: &Request, within: std::time::Duration) -> Result<M, String> {
        let mut answers = self.answers(request).await?;
        let answer = timeout(within, answers.next()).await;
        answer.map_err(|_| "the executor does not answer in time".to_owned())??.ok_or_else(|| self.refused())
    }
}
