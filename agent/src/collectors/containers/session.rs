//! One connection to Docker: its events as they come, what they make worth a look, and its silence.
//!
//! Questions run beside the event stream, so that no slow answer holds up a death.

use super::last_lines;
use super::registry::Outcome;
use super::untold::Ask;
use super::watch::{End, Watcher};
use crate::docker::{Change, ContainerId, DaemonEvent, DockerError, ImageId, Inspection, List};
use crate::executor::Client;
use crate::limits::{DOCKER_LIST, DOCKER_PING, DOCKER_QUESTIONS};
use crate::tick::wall_ms;
use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt};
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, sleep_until};

/// Answers of Docker.
enum Answer {
    List { asked: u64, result: Result<List, DockerError> },
    Inspection { id: ContainerId, asked: u64, result: Result<Box<Inspection>, DockerError> },
    Image { image: ImageId, result: Result<Option<u64>, DockerError> },
    LastLines { number: u64, lines: Vec<String> },
    Pong(Result<(), DockerError>),
}

type Question = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// One connection: what is asked and not yet answered.
pub struct Session<'a> {
    watcher: &'a mut Watcher,
    docker: Client,
    questions: FuturesUnordered<Question>,
    /// Being inspected.
    looking: BTreeSet<ContainerId>,
    /// To be inspected.
    due: BTreeSet<ContainerId>,
    /// The list came.
    listed: bool,
}

impl<'a> Session<'a> {
    pub fn new(watcher: &'a mut Watcher, docker: Client) -> Self {
        let (looking, due) = (BTreeSet::new(), BTreeSet::new());
        Self { watcher, docker, questions: FuturesUnordered::new(), looking, due, listed: false }
    }

    /// Follows the events until the connection is lost or nobody listens.
    pub async fn follow(mut self, events: impl Stream<Item = Result<DaemonEvent, DockerError>>) -> End {
        let mut events = pin!(events);
        let (mut lists, mut pings, mut seconds) =
            (every(DOCKER_LIST), every(DOCKER_PING), every(Duration::from_secs(1)));
        loop {
            let ready_at = self.watcher.untold.next_at();
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
                () = sleep_until(ready_at.unwrap_or_else(Instant::now)), if ready_at.is_some() => Ok(()),
            };
            if let Err(end) = step {
                return end;
            }
            if let Err(end) = self.tell_ready().await {
                return end;
            }
            self.ask_due();
            if self.listed && self.due.is_empty() && self.looking.is_empty() {
                self.watcher.gap = false;
            }
        }
    }

    async fn event(&mut self, event: Option<Result<DaemonEvent, DockerError>>) -> Result<(), End> {
        let ended = || DockerError::Broken {
            call: "events".into(),
            message: "the stream ended: Docker stops or restarts".into(),
        };
        let mut event = match event.ok_or_else(ended)? {
            Err(error @ DockerError::Misread { .. }) => {
                // Asked for again it would end the next session too; the list tells what it meant.
                self.watcher.since_ns = self.watcher.since_ns.max(wall_ms().saturating_mul(1_000_000));
                return Err(error.into());
            }
            event => event?,
        };
        self.watcher.since_ns = self.watcher.since_ns.max(event.at_ns + 1);
        // The word explains the death, not the run that may have begun since; how Docker sees it has changed.
        if event.change == Change::OutOfMemory && self.watcher.untold.lacked_memory(&event.id) {
            event.change = Change::Altered;
        }
        let outcome = self.watcher.registry.event(&event);
        self.say(outcome).await
    }

    async fn answer(&mut self, answer: Answer) -> Result<(), End> {
        let now_ms = wall_ms();
        let watcher = &mut *self.watcher;
        let outcome = match answer {
            Answer::Pong(result) => return Ok(result?),
            Answer::List { asked, result } => {
                let list = match result {
                    Err(error) if !error.ends_session() => {
                        watcher.report(Some(&error));
                        return Ok(());
                    }
                    list => list?,
                };
                self.listed = true;
                let misread = list.misread.map(|message| DockerError::Misread { call: "list".into(), message });
                watcher.report(misread.as_ref());
                watcher.registry.listed(&list.containers, asked, now_ms, watcher.gap)
            }
            Answer::Inspection { id, asked, result } => {
                // Removed meanwhile: the answer would bring it back.
                if !self.looking.remove(&id) {
                    return Ok(());
                }
                match result {
                    Ok(found) => watcher.registry.inspected(*found, asked, now_ms, watcher.gap),
                    Err(error) if error.ends_session() => return Err(error.into()),
                    Err(DockerError::Gone) => return Ok(()),
                    Err(error) => {
                        tracing::warn!(container = %id, %error, "not inspected; tried again with the next list");
                        return Ok(());
                    }
                }
            }
            Answer::Image { image, result } => match result {
                Err(error) if error.ends_session() => return Err(error.into()),
                result => watcher.registry.image(&image, result.ok().flatten(), now_ms),
            },
            Answer::LastLines { number, lines } => {
                watcher.untold.answered(number, lines);
                return Ok(());
            }
        };
        self.say(outcome).await
    }

    async fn say(&mut self, outcome: Outcome) -> Result<(), End> {
        self.due.extend(outcome.look);
        self.due.retain(|id| !outcome.gone.contains(id));
        self.looking.retain(|id| !outcome.gone.contains(id));
        if let Some(death) = outcome.death {
            self.watcher.untold.push(death, Instant::now());
        }
        self.watcher.say(outcome.events, outcome.documents).await
    }

    /// Tells the deaths that wait for nothing any more.
    async fn tell_ready(&mut self) -> Result<(), End> {
        for (death, last_lines) in self.watcher.untold.ready(Instant::now()) {
            self.watcher.tell(&death, last_lines).await?;
        }
        Ok(())
    }

    fn ask_list(&mut self) {
        let (docker, asked) = (self.docker.clone(), self.watcher.registry.asked());
        self.questions.push(Box::pin(async move { Answer::List { asked, result: docker.list().await } }));
    }

    fn ask_ping(&mut self) {
        let docker = self.docker.clone();
        self.questions.push(Box::pin(async move { Answer::Pong(docker.ping().await) }));
    }

    /// Asks what is due, as far as the number of open questions allows: what a death waits for comes first.
    fn ask_due(&mut self) {
        let free = DOCKER_QUESTIONS.saturating_sub(self.questions.len());
        for Ask { number, id, by } in self.watcher.untold.ask(free) {
            let docker = self.docker.clone();
            self.questions.push(Box::pin(async move {
                let lines = last_lines::of(&docker, &id, by).await;
                Answer::LastLines { number, lines }
            }));
        }
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
