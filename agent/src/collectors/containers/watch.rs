//! Follows Docker from [`session`](super::session) to session, and says what it learns.
//!
//! One task owns the [`Registry`]. It tells the collector of numbers what to read by a [`Board`].

use super::known::DeathNews;
use super::registry::{Registry, Target};
use super::session::Session;
use super::untold::Untold;
use crate::collectors::{Outbox, Reading, Unavailable};
use crate::docker::DockerError;
use crate::executor::Client;
use crate::limits::DOCKER_BACKOFF;
use crate::mask;
use crate::tick::wall_ms;
use fleetlight_protocol::document::Document;
use fleetlight_protocol::event::Event;
use fleetlight_protocol::limits::TEXT_CHARS;
use tokio::sync::watch;
use tokio::time::Instant;
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
    executor: Client,
    outbox: Outbox,
    board: watch::Sender<Board>,
    pub(super) registry: Registry,
    /// Where the next event stream takes up, in nanoseconds since the Unix epoch.
    pub(super) since_ns: i64,
    /// Events may have been missed; until everything that the list names has been looked at.
    pub(super) gap: bool,
    pub(super) untold: Untold,
}

/// Why a session with Docker ended.
pub(super) enum End {
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
    pub fn new(executor: Client, outbox: Outbox, board: watch::Sender<Board>, registry: Registry) -> Self {
        let since_ns = wall_ms().saturating_mul(1_000_000);
        Self { executor, outbox, board, registry, since_ns, gap: true, untold: Untold::default() }
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
            self.gap = true;
            self.report(Some(&error));
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
    pub(super) fn report(&mut self, error: Option<&DockerError>) {
        let reason = |error: &DockerError| mask::cut(mask::text(&error.to_string()), TEXT_CHARS);
        let trouble = error.map(|error| Unavailable { state: error.state(), reason: reason(error) });
        self.board.send_if_modified(|board| {
            let changed = board.trouble != trouble;
            board.trouble = trouble;
            changed
        });
    }

    /// Deaths whose last lines nobody brings any more.
    async fn tell_untold(&mut self) -> Result<(), End> {
        for death in self.untold.give_up() {
            self.tell(&death, Vec::new()).await?;
        }
        Ok(())
    }

    /// A death, with what is known of it by now.
    pub(super) async fn tell(&mut self, death: &DeathNews, last_lines: Vec<String>) -> Result<(), End> {
        let outcome = self.registry.told(death, last_lines);
        self.say(outcome.events, outcome.documents).await
    }

    /// Events first, for they are what people wait for.
    pub(super) async fn say(&mut self, events: Vec<Event>, documents: Vec<Document>) -> Result<(), End> {
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
        if let Err(error) = self.executor.ping().await {
            return End::Trouble(error);
        }
        let (docker, events) = (self.executor.clone(), self.executor.events(self.since_ns));
        Session::new(self, docker).follow(events).await
    }
}
