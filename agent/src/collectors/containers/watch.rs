//! Follows Docker: its events as they come, what they make worth a look, and its silence.
//!
//! One task owns the [`Registry`]; questions to Docker run beside its event stream, so that no slow
//! answer holds up a death. It tells the collector of numbers what to read by a [`Board`].

use super::last_lines;
use super::registry::{DeathNews, Outcome, Registry, Target};
use crate::collectors::{Outbox, Reading, Unavailable};
use crate::docker::{ContainerId, DaemonEvent, Docker, DockerError, ImageId, Inspection, Listed};
use crate::limits::{DOCKER_BACKOFF, DOCKER_LIST, DOCKER_PING, DOCKER_QUESTIONS};
use crate::mask;
use crate::tick::wall_ms;
use fleetlight_protocol::document::Document;
use fleetlight_protocol::event::Event;
use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt};
use std::collections::BTreeSet;
use std::future::Future;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// What the watcher tells the collector of numbers.
#[derive(Debug, Default)]
pub struct Board {
    pub targets: Vec<Target>,
    /// Why Docker does not answer; numbers go on.
    pub trouble: Option<Unavailable>,
}

/// The watcher.
#[derive(Debug)]
pub struct Watcher {
    socket: PathBuf,
    outbox: Outbox,
    board: watch::Sender<Board>,
    registry: Registry,
    /// Where the next event stream takes up, in nanoseconds since the Unix epoch.
    since_ns: i64,
    /// Events may have been missed; until everything that the list names has been looked at.
    gap: bool,
    /// Deaths whose last lines are awaited.
    untold: Vec<DeathNews>,
}

/// Answers of Docker.
enum Answer {
    List { asked: u64, result: Result<Vec<Listed>, DockerError> },
    Inspection { id: ContainerId, asked: u64, result: Result<Box<Inspection>, DockerError> },
    Image { image: ImageId, result: Result<Option<u64>, DockerError> },
    LastLines { death: DeathNews, lines: Vec<String> },
    Pong(Result<(), DockerError>),
}

type Question = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Why a session with Docker ended.
enum End {
    Trouble(DockerError),
    NobodyListens,
}

impl From<DockerError> for End {
    fn from(error: DockerError) -> Self {
        Self::Trouble(error)
    }
}

impl Watcher {
    #[must_use]
    pub fn new(socket: PathBuf, outbox: Outbox, board: watch::Sender<Board>, registry: Registry) -> Self {
        let since_ns = wall_ms().saturating_mul(1_000_000);
        Self { socket, outbox, board, registry, since_ns, gap: true, untold: Vec::new() }
    }

    /// Follows Docker until `stop`, dialling again whenever it is lost.
    pub async fn run(mut self, stop: CancellationToken) {
        let (shortest, longest) = DOCKER_BACKOFF;
        let mut pause = shortest;
        loop {
            let began = Instant::now();
            let end = tokio::select! {
                end = self.session() => end,
                () = stop.cancelled() => return,
            };
            let End::Trouble(error) = end else { return };
            self.report(&error);
            if self.tell_untold().await.is_err() {
                return;
            }
            if began.elapsed() > longest * 2 {
                pause = shortest;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
            pause = (pause * 2).min(longest);
        }
    }

    /// Shown as the collector's state; said once, by whoever shows it.
    fn report(&mut self, error: &DockerError) {
        self.gap = true;
        let trouble = Some(Unavailable { state: error.state(), reason: mask::text(&error.to_string()) });
        self.board.send_if_modified(|board| {
            let changed = board.trouble != trouble;
            board.trouble = trouble;
            changed
        });
    }

    /// Deaths whose last lines nobody brings any more.
    async fn tell_untold(&mut self) -> Result<(), End> {
        for death in std::mem::take(&mut self.untold) {
            let outcome = self.registry.told(&death, Vec::new());
            self.say(outcome.events, outcome.documents).await?;
        }
        Ok(())
    }

    /// Events first, for they are what people wait for.
    async fn say(&mut self, events: Vec<Event>, documents: Vec<Document>) -> Result<(), End> {
        let targets = self.registry.targets();
        self.board.send_if_modified(|board| {
            let changed = board.targets != targets;
            board.targets = targets;
            changed
        });
        let events = (!events.is_empty()).then_some(Reading::Events(events));
        let documents = (!documents.is_empty()).then_some(Reading::Documents(documents));
        for reading in events.into_iter().chain(documents) {
            self.outbox.send(reading).await.map_err(|_| End::NobodyListens)?;
        }
        Ok(())
    }

    /// One connection's life: returns why it ended.
    async fn session(&mut self) -> End {
        match Docker::connect(&self.socket).await {
            Ok(docker) => {
                let events = docker.events(self.since_ns);
                Session::new(self, docker).follow(events).await
            }
            Err(error) => End::Trouble(error),
        }
    }
}

/// One connection: what is asked and not yet answered.
struct Session<'a> {
    watcher: &'a mut Watcher,
    docker: Docker,
    questions: FuturesUnordered<Question>,
    /// Being inspected.
    looking: BTreeSet<ContainerId>,
    /// To be inspected.
    due: BTreeSet<ContainerId>,
    /// The list came.
    listed: bool,
}

impl<'a> Session<'a> {
    fn new(watcher: &'a mut Watcher, docker: Docker) -> Self {
        let (looking, due) = (BTreeSet::new(), BTreeSet::new());
        Self { watcher, docker, questions: FuturesUnordered::new(), looking, due, listed: false }
    }

    async fn follow(mut self, events: impl Stream<Item = Result<DaemonEvent, DockerError>>) -> End {
        let mut events = pin!(events);
        let (mut lists, mut pings, mut seconds) =
            (every(DOCKER_LIST), every(DOCKER_PING), every(Duration::from_secs(1)));
        loop {
            let has_loops = self.watcher.registry.has_loops();
            // In this order: an event is newer than any answer that waits beside it.
            let step = tokio::select! {
                biased;
                event = events.next() => self.event(event).await,
                Some(answer) = self.questions.next(), if !self.questions.is_empty() => self.answer(answer).await,
                _ = lists.tick() => { self.ask_list(); Ok(()) }
                _ = pings.tick() => { self.ask_ping(); Ok(()) }
                _ = seconds.tick(), if has_loops => {
                    let outcome = self.watcher.registry.passed(wall_ms());
                    self.say(outcome).await
                }
            };
            if let Err(end) = step {
                return end;
            }
            self.ask_due();
            if self.listed && self.due.is_empty() && self.looking.is_empty() {
                self.watcher.gap = false;
            }
        }
    }

    async fn event(&mut self, event: Option<Result<DaemonEvent, DockerError>>) -> Result<(), End> {
        let ended =
            || DockerError::Broken { call: "events", message: "the stream ended: Docker stops or restarts".into() };
        let event = event.ok_or_else(ended)??;
        self.watcher.since_ns = self.watcher.since_ns.max(event.at_ns + 1);
        let outcome = self.watcher.registry.event(&event);
        self.say(outcome).await
    }

    async fn answer(&mut self, answer: Answer) -> Result<(), End> {
        let now_ms = wall_ms();
        let registry = &mut self.watcher.registry;
        let outcome = match answer {
            Answer::Pong(result) => return Ok(result?),
            Answer::List { asked, result } => {
                let outcome = registry.listed(&result?, asked, now_ms, self.watcher.gap);
                self.listed = true;
                self.watcher.board.send_modify(|board| board.trouble = None);
                outcome
            }
            Answer::Inspection { id, asked, result } => {
                // Removed meanwhile: the answer would bring it back.
                if !self.looking.remove(&id) {
                    return Ok(());
                }
                match result {
                    Ok(found) => registry.inspected(*found, asked, now_ms, self.watcher.gap),
                    Err(error) if error.ends_session() => return Err(error.into()),
                    Err(error) => {
                        tracing::debug!(container = %id, %error, "not inspected");
                        return Ok(());
                    }
                }
            }
            Answer::Image { image, result } => match result {
                Err(error) if error.ends_session() => return Err(error.into()),
                result => registry.image(&image, result.ok().flatten(), now_ms),
            },
            Answer::LastLines { death, lines } => {
                self.watcher.untold.retain(|untold| *untold != death);
                registry.told(&death, lines)
            }
        };
        self.say(outcome).await
    }

    async fn say(&mut self, outcome: Outcome) -> Result<(), End> {
        self.due.extend(outcome.look);
        self.due.retain(|id| !outcome.gone.contains(id));
        self.looking.retain(|id| !outcome.gone.contains(id));
        if let Some(death) = outcome.death {
            self.watcher.untold.push(death.clone());
            let docker = self.docker.clone();
            self.questions.push(Box::pin(async move {
                let lines = last_lines::of(&docker, &death.id).await;
                Answer::LastLines { death, lines }
            }));
        }
        self.watcher.say(outcome.events, outcome.documents).await
    }

    fn ask_list(&mut self) {
        let (docker, asked) = (self.docker.clone(), self.watcher.registry.asked());
        self.questions.push(Box::pin(async move { Answer::List { asked, result: docker.list().await } }));
    }

    fn ask_ping(&mut self) {
        let docker = self.docker.clone();
        self.questions.push(Box::pin(async move { Answer::Pong(docker.ping().await) }));
    }

    /// Asks what is due, as far as the number of open questions allows.
    fn ask_due(&mut self) {
        let free = DOCKER_QUESTIONS.saturating_sub(self.questions.len());
        let ids: Vec<_> = self.due.iter().filter(|id| !self.looking.contains(*id)).take(free).cloned().collect();
        for id in ids {
            self.due.remove(&id);
            self.looking.insert(id.clone());
            let (docker, asked) = (self.docker.clone(), self.watcher.registry.asked());
            self.questions.push(Box::pin(async move {
                let result = docker.inspect(&id).await.map(Box::new);
                Answer::Inspection { id, asked, result }
            }));
        }
        if self.questions.len() < DOCKER_QUESTIONS
            && let Some(image) = self.watcher.registry.unknown_image()
        {
            let docker = self.docker.clone();
            self.questions.push(Box::pin(async move {
                let result = docker.image_bytes(&image).await;
                Answer::Image { image, result }
            }));
        }
    }
}

/// The first tick comes at once; ticks that were late are not made up for.
fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
