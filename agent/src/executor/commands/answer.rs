//! Questions about commands, answered on the executor's socket.

use super::{Answer, Attached};
use crate::executor::server::Executor;
use crate::executor::wire::{self, WireError};
use fleetlight_protocol::command::{Action, Command, CommandReport};
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;

/// [`crate::executor::Request::Run`]: reports until the end. Who hangs up stops nothing.
///
/// # Errors
/// Who asked is gone.
pub async fn run(
    stream: &mut UnixStream,
    executor: &Arc<Executor>,
    command: Command,
    left_ms: i64,
) -> Result<(), WireError> {
    let id = command.id;
    match executor.commands().run(executor, command, left_ms) {
        Answer::Attached(attached) => follow(stream, attached).await,
        Answer::Ended => wire::write(stream, &ended(executor, id).await).await,
        Answer::Unavailable(message) => wire::write(stream, &CommandReport::Unavailable { message }).await,
    }
}

/// [`crate::executor::Request::EmergencyStop`]: a command that somebody gives on the host itself.
///
/// # Errors
/// As [`run`].
pub async fn emergency_stop(
    stream: &mut UnixStream,
    executor: &Arc<Executor>,
    pattern: String,
) -> Result<(), WireError> {
    let asked_ms = crate::tick::wall_ms();
    let action = Action::EmergencyStop { pattern };
    let left_ms = BY_HAND_MS;
    // Of another version than what a controller asks: so it knows what was given by hand.
    let command =
        Command { id: Uuid::new_v4(), asked_ms, deadline_ms: asked_ms + left_ms, by: "this host".into(), action };
    run(stream, executor, command, left_ms).await
}

/// What is asked by hand begins at once.
const BY_HAND_MS: i64 = 60_000;

async fn ended(executor: &Executor, id: Uuid) -> CommandReport {
    match executor.commands().journal.on_thread(move |journal| journal.ended(id)).await {
        Ok(Some(ended)) => CommandReport::Finished(Box::new(ended.result)),
        Ok(None) => CommandReport::Unavailable { message: "the journal's entry of this command cannot be read".into() },
        Err(error) => CommandReport::Unavailable { message: error.to_string() },
    }
}

async fn follow(stream: &mut UnixStream, attached: Attached) -> Result<(), WireError> {
    let Attached { past, mut reports, mut end } = attached;
    let (mut reader, mut writer) = stream.split();
    for report in &past {
        wire::write(&mut writer, report).await?;
    }
    let mut word = [0];
    loop {
        tokio::select! {
            biased;
            report = reports.recv() => match report {
                Ok(report) => wire::write(&mut writer, report.as_ref()).await?,
                // It read too slowly: these it does not get.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            },
            Ok(_) = end.changed() => break,
            // It says nothing more: a byte or an end is a goodbye.
            _ = reader.read(&mut word) => return Ok(()),
        }
    }
    let last = end.borrow().clone();
    match last {
        Some(report) => wire::write(&mut writer, report.as_ref()).await,
        None => Ok(()),
    }
}

/// [`crate::executor::Request::Results`]: what is not settled, and what comes, until one side hangs up.
///
/// # Errors
/// Who asked is gone.
pub async fn results(stream: &mut UnixStream, executor: &Executor) -> Result<(), WireError> {
    let journal = &executor.commands().journal;
    let (mut newest, mut told) = (journal.newest.subscribe(), 0);
    let (mut reader, mut writer) = stream.split();
    let mut word = [0];
    loop {
        newest.borrow_and_update();
        while let Some((number, id)) = journal.unsettled(told) {
            match journal.on_thread(move |journal| journal.ended(id)).await {
                Ok(Some(ended)) => wire::write(&mut writer, &ended).await?,
                Ok(None) => tracing::error!(command = %id, "a result cannot be read from the journal"),
                // It is numbered anew once the journal is open again.
                Err(_) => break,
            }
            told = number;
        }
        tokio::select! {
            changed = newest.changed() => if changed.is_err() { return Ok(()) },
            // As above.
            _ = reader.read(&mut word) => return Ok(()),
        }
    }
}

/// [`crate::executor::Request::Settle`].
///
/// # Errors
/// The journal's, in words: nothing is answered, and the results are told again.
pub async fn settle(stream: &mut UnixStream, executor: &Executor, ids: Vec<Uuid>) -> Result<(), WireError> {
    #[cfg(debug_assertions)]
    crate::kill_point::pass("command.settle");
    if let Err(error) = executor.commands().journal.on_thread(move |journal| journal.settle(&ids)).await {
        tracing::warn!("results stay unsettled: {error}");
        return Ok(());
    }
    wire::write(stream, &()).await
}
