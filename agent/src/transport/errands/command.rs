//! A command: asked of the executor, and its reports handed back as they are.

use crate::executor::Client;
use crate::transport::clock::Clock;
use crate::transport::control::{read, write};
use crate::transport::session::Ended;
use fleetlight_protocol::command::{Command, CommandControl, CommandReport};
use quinn::{RecvStream, SendStream};
use uuid::Uuid;

/// Until the command has ended, or the controller has gone; that cancels nothing.
pub(super) async fn answer(command: Command, mut send: SendStream, recv: RecvStream, executor: &Client, clock: &Clock) {
    let id = command.id;
    let gone = send.stopped();
    tokio::select! {
        ended = relay(command, &mut send, executor, clock) => if let Err(ended) = ended {
            tracing::debug!(command = %id, ?ended, "the controller does not hear the end of a command");
        },
        () = listen(id, recv, executor) => {}
        _ = gone => {}
    }
}

async fn relay(command: Command, send: &mut SendStream, executor: &Client, clock: &Clock) -> Result<(), Ended> {
    // The controller's clock, as this session knows it.
    let left_ms = command.deadline_ms.saturating_sub(clock.now_ms());
    let mut answers = match executor.run(command, left_ms).await {
        Ok(answers) => answers,
        Err(message) => return write(send, &CommandReport::Unavailable { message }).await,
    };
    loop {
        let report = match answers.next().await {
            Ok(Some(report)) => report,
            Ok(None) => CommandReport::Unavailable {
                message: "the executor has stopped; its journal knows more once it is back".into(),
            },
            Err(message) => CommandReport::Unavailable { message },
        };
        write(send, &report).await?;
        if matches!(report, CommandReport::Finished(_) | CommandReport::Unavailable { .. }) {
            return Ok(());
        }
    }
}

/// Passes on what the controller says.
async fn listen(id: Uuid, mut recv: RecvStream, executor: &Client) {
    while let Ok(CommandControl::Cancel) = read(&mut recv).await {
        match executor.cancel(id).await {
            Ok(running) => tracing::info!(command = %id, running, "cancelled by the controller"),
            Err(error) => tracing::warn!(command = %id, "cannot be cancelled: {error}"),
        }
    }
    // It says nothing more, and may still listen.
    std::future::pending().await
}
