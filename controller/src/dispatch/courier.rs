//! One command on one stream of its host's session, until the host has told its result or the stream is lost.

use super::open::Departure;
use super::progress::Progress;
use crate::transport::Registry;
use crate::transport::errand::ErrandError;
use fleetlight_protocol::command::{CommandControl, CommandReport};
use fleetlight_protocol::errand::Errand;
use std::pin::pin;
use tokio::sync::watch;
use uuid::Uuid;

/// How it went.
#[derive(Debug)]
pub enum Carried {
    Finished,
    /// Without a result; `heard`: the host may know the command now.
    Back {
        heard: bool,
        why: String,
    },
}

/// Carries a command to an agent and its reports to `progress`.
pub async fn carry(registry: &Registry, progress: &Progress, agent_id: Uuid, departure: Departure) -> Carried {
    let id = departure.command.id;
    match talk(registry, progress, agent_id, departure).await {
        Ok(None) => Carried::Finished,
        Ok(Some(why)) => Carried::Back { heard: true, why },
        Err(error) => {
            tracing::debug!(command = %id, %error, "a command's stream has ended");
            Carried::Back { heard: !error.is_unheard(), why: error.to_string() }
        }
    }
}

/// None when the host has told the result, else why it has not.
async fn talk(
    registry: &Registry,
    progress: &Progress,
    agent_id: Uuid,
    departure: Departure,
) -> Result<Option<String>, ErrandError> {
    let Departure { command, mut cancel } = departure;
    let id = command.id;
    #[cfg(debug_assertions)]
    crate::kill_point::pass("command.send");
    let mut stream = registry.ask(agent_id, &Errand::Command(command)).await?;
    #[cfg(debug_assertions)]
    crate::kill_point::pass("command.handed");
    progress.waits(id, None);
    let mut cancelled = false;
    loop {
        // Not dropped while it waits: half a frame would be lost.
        let mut next = pin!(stream.answers.read::<CommandReport>());
        let report = loop {
            tokio::select! {
                biased;
                report = &mut next => break report?,
                () = wanted(&mut cancel), if !cancelled => {
                    cancelled = true;
                    stream.words.write(&CommandControl::Cancel).await?;
                }
            }
        };
        match report {
            Some(report @ CommandReport::Finished(_)) => {
                progress.report(id, report);
                return Ok(None);
            }
            Some(CommandReport::Unavailable { message }) => return Ok(Some(message)),
            Some(report) => progress.report(id, report),
            None => return Ok(Some("its agent broke off without a result".into())),
        }
    }
}

async fn wanted(cancel: &mut watch::Receiver<bool>) {
    // Closed without a wish: the command is closed, and nobody can wish any more.
    if cancel.wait_for(|wanted| *wanted).await.is_err() {
        std::future::pending::<()>().await;
    }
}
