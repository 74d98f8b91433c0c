//! The executor's end of the socket: one task a connection, each with one question.

use super::actions::runbook::Runbooks;
use super::commands::{Commands, answer as commands};
use super::logs;
use super::message::Request;
use super::peer::Peers;
use super::wire::{self, WireError};
use crate::config::AgentConfig;
use crate::docker::{DaemonEvent, Docker, DockerError};
use crate::limits::{EXECUTOR_CONNECTIONS, EXECUTOR_REQUEST_WAIT};
use futures_util::StreamExt;
use serde::Serialize;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What the questions are answered from.
#[derive(Debug)]
pub struct Executor {
    config: AgentConfig,
    docker: Mutex<Option<Docker>>,
    runbooks: Runbooks,
    commands: Commands,
    log_room: logs::Room,
}

/// Listens on `socket`, which an earlier start may have left behind.
///
/// # Errors
/// In words: the folder is missing or not writable.
pub fn listen(socket: &Path) -> Result<UnixListener, String> {
    let place = socket.display();
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(format!("executor_socket: {place} cannot be made anew: {error}"));
        }
        _ => {}
    }
    let listener = UnixListener::bind(socket).map_err(|error| format!("executor_socket: {place}: {error}"))?;
    // Whoever may connect is told by the kernel who he is: the mode lets the agent's account through.
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o666))
        .map_err(|error| format!("executor_socket: {place}: {error}"))?;
    Ok(listener)
}

/// Answers until `stop`.
pub async fn serve(listener: UnixListener, executor: Arc<Executor>, peers: Peers, stop: CancellationToken) {
    executor.commands().start(&executor, &stop).await;
    let room = Arc::new(Semaphore::new(EXECUTOR_CONNECTIONS));
    let tasks = TaskTracker::new();
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection to the executor could not be accepted");
                    tokio::time::sleep(EXECUTOR_REQUEST_WAIT / 100).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        match stream.peer_cred() {
            Ok(peer) if peers.may_ask(peer.uid()) => {}
            Ok(peer) => {
                tracing::warn!(
                    uid = peer.uid(),
                    pid = peer.pid(),
                    "refused: only the agent's account may ask the executor"
                );
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "refused: the kernel does not say who asks the executor");
                continue;
            }
        }
        let (executor, stop) = (Arc::clone(&executor), stop.clone());
        tasks.spawn(async move {
            stop.run_until_cancelled(answer(stream, &executor)).await;
            drop(place);
        });
    }
    tasks.close();
    tasks.wait().await;
    executor.commands().stop().await;
}

async fn answer(mut stream: UnixStream, executor: &Arc<Executor>) {
    let request = match tokio::time::timeout(EXECUTOR_REQUEST_WAIT, wire::read(&mut stream)).await {
        Ok(Ok(Some(request))) => request,
        Ok(Ok(None)) | Err(_) => return,
        Ok(Err(error)) => return tracing::warn!(%error, "a question to the executor was not understood"),
    };
    let answered = match request {
        Request::Ping => once(&mut stream, executor.ask(async |docker| docker.ping().await).await).await,
        Request::List => once(&mut stream, executor.ask(async |docker| docker.list().await).await).await,
        Request::Inspect(id) => once(&mut stream, executor.ask(async |docker| docker.inspect(&id).await).await).await,
        Request::ImageBytes(id) => {
            once(&mut stream, executor.ask(async |docker| docker.image_bytes(&id).await).await).await
        }
        Request::LastLines(id) => {
            once(&mut stream, executor.ask(async |docker| docker.last_lines(&id).await).await).await
        }
        Request::Events { since_ns } => events(&mut stream, executor, since_ns).await,
        Request::Run { command, left_ms } => commands::run(&mut stream, executor, *command, left_ms).await,
        Request::Cancel(id) => once(&mut stream, executor.commands().cancel(id)).await,
        Request::Results => commands::results(&mut stream, executor).await,
        Request::Settle(ids) => commands::settle(&mut stream, executor, ids).await,
        Request::EmergencyStop { pattern } => commands::emergency_stop(&mut stream, executor, pattern).await,
        Request::Logs(wish) => logs::serve(&mut stream, executor, *wish).await,
    };
    if let Err(error) = answered {
        tracing::debug!(%error, "an answer of the executor was not taken");
    }
}

async fn once<T: Serialize>(stream: &mut UnixStream, answer: T) -> Result<(), WireError> {
    wire::write(stream, &answer).await
}

impl Executor {
    #[must_use]
    pub fn new(config: AgentConfig) -> Self {
        let runbooks = Runbooks::new(&config);
        let commands = Commands::new(config.executor_state_dir.clone());
        Self { config, docker: Mutex::default(), runbooks, commands, log_room: logs::Room::default() }
    }

    #[must_use]
    pub fn config(&self) -> &AgentConfig {
        &self.config
    }

    #[must_use]
    pub fn runbooks(&self) -> &Runbooks {
        &self.runbooks
    }

    #[must_use]
    pub fn commands(&self) -> &Commands {
        &self.commands
    }

    /// For readers of logs.
    #[must_use]
    pub fn log_room(&self) -> &logs::Room {
        &self.log_room
    }

    /// The daemon, dialled anew after trouble.
    ///
    /// # Errors
    /// As [`Docker::connect`].
    pub async fn docker(&self) -> Result<Docker, DockerError> {
        let mut known = self.docker.lock().await;
        if known.is_none() {
            *known = Some(Docker::connect(&self.config.docker_socket).await?);
        }
        known.clone().ok_or_else(|| DockerError::NoSocket(self.config.docker_socket.clone()))
    }

    async fn ask<T>(&self, question: impl AsyncFnOnce(Docker) -> Result<T, DockerError>) -> Result<T, DockerError> {
        let answer = question(self.docker().await?).await;
        if answer.as_ref().is_err_and(DockerError::ends_session) {
            self.docker.lock().await.take();
        }
        answer
    }
}

/// Until Docker ends the stream, or whoever asked hangs up.
async fn events(stream: &mut UnixStream, executor: &Executor, since_ns: i64) -> Result<(), WireError> {
    let docker = match executor.docker().await {
        Ok(docker) => docker,
        Err(error) => return wire::write(stream, &Err::<DaemonEvent, _>(error)).await,
    };
    let mut events = pin!(docker.events(since_ns));
    let (mut reader, mut writer) = stream.split();
    let mut word = [0];
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => wire::write(&mut writer, &event).await?,
                None => return Ok(()),
            },
            // It says nothing more: a byte or an end is a goodbye.
            _ = reader.read(&mut word) => return Ok(()),
        }
    }
}
