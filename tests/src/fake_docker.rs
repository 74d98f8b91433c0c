//! A Docker daemon that says what a test tells it to, holds an answer back, or falls silent.
//!
//! For what a real daemon does not do on demand. It runs on a thread and a runtime of its own, so
//! that a test may pause its clock.

use anyhow::{Context, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

/// Longest head of a request.
const HEAD_BYTES: usize = 8 * 1024;

/// Events that a slow follower may be behind: a burst of deaths.
const EVENTS: usize = 512;

/// How long a test waits for a question: longer than the agent's longest pause.
const ASKED_WITHIN: Duration = Duration::from_secs(20);

/// The daemon; dropping it ends it.
#[derive(Debug)]
pub struct FakeDocker {
    socket: PathBuf,
    shared: Arc<Shared>,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    mood: watch::Sender<Mood>,
    events: broadcast::Sender<String>,
    /// Paths of the questions so far, without version and query.
    asked: watch::Sender<Vec<String>>,
    /// By what is asked for, the last part of the path: questions that are open, and the most that ever were.
    open: Mutex<HashMap<String, (usize, usize)>>,
}

/// What it does now.
#[derive(Debug, Default)]
struct Mood {
    /// It accepts, and answers nothing.
    silent: bool,
    /// Questions for paths with this end have their answer held back.
    held: Option<String>,
    /// Bodies by path.
    answers: HashMap<String, String>,
}

impl FakeDocker {
    /// One without containers.
    ///
    /// # Errors
    /// If there is no socket to be had.
    pub fn start() -> Result<Self> {
        let socket = std::env::temp_dir().join(format!("fleetlight-{}.sock", uuid::Uuid::new_v4()));
        let listener = std::os::unix::net::UnixListener::bind(&socket).context("binding a socket")?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            mood: watch::Sender::default(),
            events: broadcast::Sender::new(EVENTS),
            asked: watch::Sender::default(),
            open: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::spawn({
            let (shared, stop) = (Arc::clone(&shared), stop.clone());
            move || runtime.block_on(stop.run_until_cancelled(serve(listener, shared))).unwrap_or_default()
        });
        let daemon = Self { socket, shared, stop, thread: Some(thread) };
        daemon.answer("/version", r#"{"Version":"28.0.0","ApiVersion":"1.48"}"#);
        daemon.answer("/_ping", "OK");
        daemon.answer("/containers/json", "[]");
        Ok(daemon)
    }

    /// Path of its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What it answers from now on to questions for `path`, such as `/containers/json`. What has
    /// no answer does not exist.
    pub fn answer(&self, path: &str, body: &str) {
        self.shared.mood.send_modify(|mood| {
            mood.answers.insert(path.to_owned(), body.to_owned());
        });
    }

    /// Sends an event to whoever follows.
    pub fn event(&self, json: &str) {
        let _ = self.shared.events.send(format!("{json}\n"));
    }

    /// Takes questions for paths that end with `end` and holds their answers back until [`FakeDocker::release`].
    pub fn hold(&self, end: &str) {
        self.shared.mood.send_modify(|mood| mood.held = Some(end.to_owned()));
    }

    /// Gives the answers that were held back, as they are now.
    pub fn release(&self) {
        self.shared.mood.send_modify(|mood| mood.held = None);
    }

    /// From now on it accepts and answers nothing, nor does it send an event.
    pub fn fall_silent(&self) {
        self.shared.mood.send_modify(|mood| mood.silent = true);
    }

    /// The most questions that were ever open at a time for paths whose last part is `what`.
    #[must_use]
    pub fn most_at_once(&self, what: &str) -> usize {
        self.shared.open(what, |_| ()).1
    }

    /// What it has been asked for so far.
    #[must_use]
    pub fn questions(&self) -> Vec<String> {
        self.shared.asked.borrow().clone()
    }

    /// Waits until it has been asked for `path` more than `before` times; gives the new number.
    ///
    /// # Errors
    /// If that does not come within [`ASKED_WITHIN`].
    pub async fn asked(&self, path: &str, before: usize) -> Result<usize> {
        let count = |asked: &Vec<String>| asked.iter().filter(|known| *known == path).count();
        let mut asked = self.shared.asked.subscribe();
        let more = tokio::time::timeout(ASKED_WITHIN, asked.wait_for(|asked| count(asked) > before)).await;
        let late = || format!("{path} was not asked more than {before} times within {ASKED_WITHIN:?}");
        Ok(count(&*more.with_context(late)??))
    }
}

impl Shared {
    fn open(&self, what: &str, change: impl FnOnce(&mut usize)) -> (usize, usize) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, most) = open.entry(what.to_owned()).or_default();
        change(now);
        *most = (*most).max(*now);
        (*now, *most)
    }
}

/// One question that is not answered yet.
struct Open<'a>(&'a Shared, String);

impl<'a> Open<'a> {
    fn new(shared: &'a Shared, path: &str) -> Self {
        let what = path.rsplit('/').next().unwrap_or_default().to_owned();
        shared.open(&what, |now| *now += 1);
        Self(shared, what)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open(&self.1, |now| *now -= 1);
    }
}

impl Drop for FakeDocker {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.socket);
    }
}

async fn serve(listener: std::os::unix::net::UnixListener, shared: Arc<Shared>) {
    let Ok(listener) = UnixListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // Whoever asks may hang up at any time.
            let _ = converse(stream, &shared).await;
        });
    }
}

/// One connection: one question.
async fn converse(mut stream: UnixStream, shared: &Shared) -> std::io::Result<()> {
    let Some(path) = question(&mut stream).await? else { return Ok(()) };
    // Whoever hung up before this was asked is noticed before it is counted.
    tokio::task::yield_now().await;
    let open = Open::new(shared, &path);
    let events = shared.events.subscribe();
    shared.asked.send_modify(|asked| asked.push(path.clone()));
    let mut mood = shared.mood.subscribe();
    let answers = mood.wait_for(|mood| !mood.silent && mood.held.as_ref().is_none_or(|end| !path.ends_with(end)));
    let body = tokio::select! {
        mood = answers => mood.ok().and_then(|mood| mood.answers.get(&path).cloned()),
        _ = stream.read_u8() => return Ok(()),
    };
    let (status, body) = match body {
        _ if path == "/events" => return follow(stream, events, mood).await,
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", r#"{"message":"there is no such thing"}"#.to_owned()),
    };
    // Before whoever asked can ask again.
    drop(open);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all((head + &body).as_bytes()).await
}

/// The path that is asked for, without the API's version and the query.
async fn question(stream: &mut UnixStream) -> std::io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == HEAD_BYTES || stream.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split([' ', '?']).nth(1).unwrap_or_default();
    let version = path.strip_prefix("/v1.").and_then(|rest| rest.find('/').map(|end| &rest[end..]));
    Ok(Some(version.unwrap_or(path).to_owned()))
}

/// An event stream, until the follower hangs up.
async fn follow(
    mut stream: UnixStream,
    mut events: broadcast::Receiver<String>,
    mood: watch::Receiver<Mood>,
) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n").await?;
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            _ = stream.read_u8() => return Ok(()),
        };
        let silent = mood.borrow().silent;
        match event {
            Ok(event) if !silent => stream.write_all(event.as_bytes()).await?,
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return Ok(()),
        }
    }
}
