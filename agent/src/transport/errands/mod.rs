//! What the controller asks of this host: a bi stream each, passed on to the executor, which alone decides.
//!
//! - `allowed`: what it does at all. `command`: asked, its reports handed back as they are. `logs`: as they are read.

mod allowed;
mod command;
mod logs;

use super::control::read;
use super::session::Ended;
use super::{Link, clock::Clock};
use crate::executor::Client;
use crate::limits::ERRAND_WAIT;
use fleetlight_protocol::ERRANDS;
use fleetlight_protocol::errand::Errand;
use quinn::{Connection, RecvStream, SendStream};
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Takes errands until the connection ends; what was asked of the executor goes on there.
pub(super) async fn run(connection: &Connection, version: u16, link: &Link) -> Ended {
    if version < ERRANDS {
        return std::future::pending().await;
    }
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            accepted = connection.accept_bi() => match accepted {
                Ok((send, recv)) => {
                    tasks.spawn(answer(send, recv, link.executor.clone(), Arc::clone(&link.clock)));
                }
                Err(error) => return Ended::lost(error),
            },
            Some(_) = tasks.join_next() => {}
        }
    }
}

/// One stream. Dropping its halves closes it.
async fn answer(send: SendStream, mut recv: RecvStream, executor: Client, clock: Arc<Clock>) {
    match timeout(ERRAND_WAIT, read(&mut recv)).await {
        Ok(Ok(Errand::Command(command))) => command::answer(command, send, recv, &executor, &clock).await,
        Ok(Ok(Errand::Logs(request))) => logs::answer(request, send, recv, &executor).await,
        Ok(Ok(Errand::Allowed)) => allowed::answer(send, &executor).await,
        Ok(Err(ended)) => tracing::warn!(?ended, "what the controller asked was not understood"),
        Err(_) => tracing::warn!("the controller opened a stream and asked nothing"),
    }
}
