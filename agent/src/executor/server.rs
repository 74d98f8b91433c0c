//! The executor's end of the socket: one task a connection, each with one question.

use super::actions::runbook::Runbooks;
use super::commands::{Commands, answer as commands};
use super::listen::Listening;
use super::message::Request;
use super::peer::Peers;
use super::policy;
use super::wire::{self, WireError};
use super::{allowed, logs};
use crate::config::AgentConfig;
use crate::docker::{ContainerId, DaemonEvent, Docker, DockerError};
use crate::limits::{
    DOCKER_CALL, DOCKER_QUESTIONS, EXECUTOR_CONNECTIONS, EXECUTOR_REFUSALS_SAID_EVERY, EXECUTOR_REQUEST_WAIT,
};
use futures_util::StreamExt;
use serde::Serialize;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What the questions are answered from.
#[derive(Debug)]
pub struct Executor {
    config: AgentConfig,
    docker: Mutex<Option<Docker>>,
    /// For questions about single containers. Whoever asks counts his own, but one that he gave up may still be open here.
    places: Semaphore,
    runbooks: Runbooks,
    /// For who looks at a compose project's folder, which may hang.
    folder_turn: Arc<Semaphore>,
    commands: Commands,
    log_room: logs::Room,
}

/// Answers until `stop`.
pub async fn serve(listening: Listening, executor: Arc<Executor>, peers: Peers, stop: CancellationToken) {
    executor.commands().start(&executor, &stop).await;
    let room = Arc::new(Semaphore::new(EXECUTOR_CONNECTIONS));
    let tasks = TaskTracker::new();
    let mut door = Door { peers, refused: None };
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let stream = tokio::select! {
            accepted = listening.socket.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection to the executor could not be accepted");
                    tokio::time::sleep(EXECUTOR_REQUEST_WAIT / 100).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        if !door.lets_in(&stream) {
            continue;
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

/// Lets in whom the configuration names; the others are named in the log, not each time.
struct Door {
    peers: Peers,
    refused: Option<Instant>,
}

impl Door {
    fn lets_in(&mut self, stream: &UnixStream) -> bool {
        let peer = stream.peer_cred();
        if let Ok(peer) = &peer
            && self.peers.may_ask(peer.uid())
        {
            return true;
        }
        if self.refused.is_none_or(|at| at.elapsed() >= EXECUTOR_REFUSALS_SAID_EVERY) {
            self.refused = Some(Instant::now());
            match peer {
                Ok(peer) => tracing::warn!(
                    uid = peer.uid(),
                    pid = peer.pid(),
                    "refused: only the account that agent_user names, and the executor's own, may ask"
                ),
                Err(error) => tracing::warn!(%error, "refused: the kernel does not say who asks"),
            }
        }
        false
    }
}

async fn answer(mut stream: UnixStream, executor: &Arc<Executor>) {
    let request = match tokio::time::timeout(EXECUTOR_REQUEST_WAIT, wire::read(&mut stream)).await {
        Ok(Ok(Some(request))) => request,
        Ok(Ok(None)) | Err(_) => return,
        Ok(Err(error)) => return tracing::warn!(%error, "a question to the executor was not understood"),
    };
    let answered = match request {
        Request::Ping => about_docker(&mut stream, executor, "ping", async |docker| docker.ping().await).await,
        Request::List => about_docker(&mut stream, executor, "list", async |docker| docker.list().await).await,
        Request::Inspect(id) => {
            about_docker(&mut stream, executor, "inspect", async |docker| docker.inspect(&id).await).await
        }
        Request::ImageBytes(id) => {
            about_docker(&mut stream, executor, "image", async |docker| docker.image_bytes(&id).await).await
        }
        Request::LastLines(id) => {
            about_docker(&mut stream, executor, "logs", async |docker| executor.last_lines(&docker, &id).await).await
        }
        Request::Events { since_ns } => events(&mut stream, executor, since_ns).await,
        Request::Run { command, left_ms } => commands::run(&mut stream, executor, *command, left_ms).await,
        Request::Cancel(id) => wire::write(&mut stream, &executor.commands().cancel(id)).await,
        Request::Results => commands::results(&mut stream, executor).await,
        Request::Settle(ids) => commands::settle(&mut stream, executor, ids).await,
        Request::EmergencyStop { pattern } => commands::emergency_stop(&mut stream, executor, pattern).await,
        Request::Allowed => allowed::answer(&mut stream, executor).await,
        Request::Logs(wish) => logs::serve(&mut stream, executor, *wish).await,
    };
    if let Err(error) = answered {
        tracing::debug!(%error, "an answer of the executor was not taken");
    }
}

/// A question with one answer, given up if whoever asked hangs up: Docker is spared what nobody waits for.
async fn about_docker<T: Serialize>(
    stream: &mut UnixStream,
    executor: &Executor,
    call: &'static str,
    question: impl AsyncFnOnce(Docker) -> Result<T, DockerError>,
) -> Result<(), WireError> {
    let mut word = [0];
    let answer = tokio::select! {
        answer = executor.ask(call, question) => answer,
        _ = stream.read(&mut word) => return Ok(()),
    };
    match wire::write(stream, &answer).await {
        // One that no frame holds is trouble of this question alone.
        Err(WireError::Frame(error)) => {
            let broken = DockerError::Broken { call: call.into(), message: error.to_string() };
            wire::write(stream, &Err::<(), _>(broken)).await
        }
        written => written,
    }
}

impl Executor {
    #[must_use]
    pub fn new(config: AgentConfig) -> Self {
        let runbooks = Runbooks::new(&config);
        let commands = Commands::new(config.executor_state_dir.clone());
        Self {
            config,
            docker: Mutex::default(),
            places: Semaphore::new(DOCKER_QUESTIONS),
            runbooks,
            folder_turn: Arc::new(Semaphore::new(1)),
            commands,
            log_room: logs::Room::default(),
        }
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
    pub fn folder_turn(&self) -> &Arc<Semaphore> {
        &self.folder_turn
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

    /// The daemon; dialled anew after trouble.
    ///
    /// # Errors
    /// As [`Docker::connect`].
    pub async fn docker(&self) -> Result<Docker, DockerError> {
        let known = self.known().clone();
        match known {
            Some(docker) => Ok(docker),
            None => self.dial().await,
        }
    }

    /// A container's last lines, unmasked; where the policy denies reading its logs, that in words.
    ///
    /// # Errors
    /// As [`Docker::last_lines`].
    pub async fn last_lines(&self, docker: &Docker, id: &ContainerId) -> Result<Vec<Vec<u8>>, DockerError> {
        let may = match policy::load(&self.config.policy_file).await {
            // Its name need not be asked for.
            Ok(policy) if policy.reads_all_logs() => Ok(()),
            Ok(policy) => policy.read_logs(&docker.inspect(id).await?.name),
            Err(refused) => Err(refused),
        };
        match may {
            Ok(()) => docker.last_lines(id).await,
            Err(refused) => Ok(vec![refused.reason.into_bytes()]),
        }
    }

    /// Those who dial at the same time each get an answer of their own: nobody waits for another one's time limit.
    async fn dial(&self) -> Result<Docker, DockerError> {
        let docker = Docker::connect(&self.config.docker_socket).await?;
        *self.known() = Some(docker.clone());
        Ok(docker)
    }

    fn known(&self) -> MutexGuard<'_, Option<Docker>> {
        self.docker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks within [`DOCKER_CALL`], dialling included.
    async fn ask<T>(
        &self,
        call: &'static str,
        question: impl AsyncFnOnce(Docker) -> Result<T, DockerError>,
    ) -> Result<T, DockerError> {
        // Whether Docker answers at all is not asked behind others.
        let of_many = !matches!(call, "ping" | "list");
        let answer = async {
            let _place = if of_many { self.places.acquire().await.ok() } else { None };
            match question(self.docker().await?).await {
                // A daemon that has stopped breaks off; dialling says whether it is gone, and how to start it.
                Err(error @ DockerError::Broken { .. }) => self.dial().await.and(Err(error)),
                answer => answer,
            }
        };
        let answer = tokio::time::timeout(DOCKER_CALL, answer).await.unwrap_or_else(|_| {
            let socket = self.config.docker_socket.clone();
            Err(DockerError::Silent { socket, call: call.into(), within: DOCKER_CALL })
        });
        if answer.as_ref().is_err_and(DockerError::ends_session) {
            self.known().take();
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
                None => {
                    executor.known().take();
                    let message = "the stream ended: Docker stops or restarts".into();
                    let ended = DockerError::Broken { call: "events".into(), message };
                    return wire::write(&mut writer, &Err::<DaemonEvent, _>(ended)).await;
                }
            },
            // It says nothing more: a byte or an end is a goodbye.
            _ = reader.read(&mut word) => return Ok(()),
        }
    }
}
