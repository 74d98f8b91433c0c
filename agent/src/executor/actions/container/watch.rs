//! Sees what happens to one container from before an action on: Docker's events as they come, and looks between them.

use super::effect::{Effect, Verdict};
use crate::docker::{Change, ContainerId, DaemonEvent, Docker, DockerError, Inspection};
use crate::executor::actions::Task;
use crate::limits::{LOOK_EVERY, LOOK_PATIENCE};
use crate::tick::wall_ms;
use futures_util::{Stream, StreamExt};
use std::pin::{Pin, pin};
use tokio::time::{Instant, sleep, sleep_until};

/// How watching ended.
#[derive(Debug)]
pub enum Ending {
    Judged(Verdict, Option<Box<Inspection>>),
    Cancelled,
    /// Docker did not say for [`LOOK_PATIENCE`].
    Unseen(DockerError),
}

/// The host's time, that goes on evenly while the clock is set.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began_ms: i64,
    began: Instant,
}

impl Clock {
    #[must_use]
    pub fn new() -> Self {
        Self { began_ms: wall_ms(), began: Instant::now() }
    }

    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.began_ms + i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// When the action began, for Docker's events.
    #[must_use]
    pub fn began_ns(&self) -> i64 {
        self.began_ms * 1_000_000
    }
}

#[derive(Debug)]
pub struct Watch<'a> {
    docker: &'a Docker,
    id: ContainerId,
    task: &'a Task,
    effect: Effect,
    events: Events,
    clock: Clock,
    answered: bool,
}

impl<'a> Watch<'a> {
    /// From the clock's beginning on.
    #[must_use]
    pub fn new(docker: &'a Docker, id: &ContainerId, task: &'a Task, effect: Effect, clock: Clock) -> Self {
        let events = Events {
            docker: docker.clone(),
            id: id.clone(),
            since_ns: clock.began_ns(),
            at: At::Closed(Instant::now()),
        };
        Self { docker, id: id.clone(), task, effect, events, clock, answered: false }
    }

    /// Waits for the call and takes events meanwhile; none if it was cancelled.
    pub async fn during<T>(&mut self, call: impl Future<Output = T>) -> Option<T> {
        let mut call = pin!(call);
        loop {
            tokio::select! {
                answer = &mut call => {
                    self.answered();
                    return Some(answer);
                }
                event = self.events.next() => self.take(&event),
                () = self.task.cancel.cancelled() => return None,
            }
        }
    }

    /// The action was done; from here on it is looked at.
    pub fn answered(&mut self) {
        self.answered = true;
        self.effect.answered(self.clock.now_ms());
    }

    /// Looks until it has held or cannot any more.
    pub async fn until_judged(&mut self) -> Ending {
        let mut silent_since: Option<Instant> = None;
        loop {
            match self.look().await {
                Ok((Verdict::Wait, _)) => silent_since = None,
                Ok((verdict, found)) => return Ending::Judged(verdict, found),
                Err(error) if silent_since.get_or_insert_with(Instant::now).elapsed() > LOOK_PATIENCE => {
                    return Ending::Unseen(error);
                }
                Err(error) => tracing::debug!(%error, id = %self.id, "a container cannot be looked at"),
            }
            tokio::select! {
                event = self.events.next() => self.take(&event),
                () = sleep(LOOK_EVERY) => {}
                () = self.task.cancel.cancelled() => return Ending::Cancelled,
            }
        }
    }

    async fn look(&mut self) -> Result<(Verdict, Option<Box<Inspection>>), DockerError> {
        let found = match self.docker.inspect(&self.id).await {
            Ok(found) => Some(Box::new(found)),
            Err(DockerError::Gone) => None,
            Err(error) => return Err(error),
        };
        Ok((self.effect.look(self.clock.now_ms(), found.as_deref()), found))
    }

    fn take(&mut self, event: &DaemonEvent) {
        if let Some(step) = self.step(&event.change) {
            self.task.report.step(&step);
        }
        self.effect.event(event.at_ms(), &event.change);
    }

    /// What people are told meanwhile.
    fn step(&self, change: &Change) -> Option<String> {
        match change {
            Change::Started => Some("started".into()),
            Change::Died { exit_code: Some(code) } if self.answered && self.effect.is_to_run() => {
                Some(format!("exited {code}"))
            }
            Change::Died { .. } => Some("stopped".into()),
            Change::OutOfMemory => Some("memory was lacking".into()),
            Change::Paused => Some("paused".into()),
            Change::Unpaused => Some("resumed".into()),
            Change::Removed => Some("removed".into()),
            Change::Health(health) => Some(crate::mask::plain(health.as_bytes())),
            Change::Created | Change::Killed { .. } | Change::Restarted | Change::Altered => None,
        }
    }
}

type EventStream = Pin<Box<dyn Stream<Item = Result<DaemonEvent, DockerError>> + Send>>;

/// A container's events, whatever becomes of the stream that brings them.
struct Events {
    docker: Docker,
    id: ContainerId,
    since_ns: i64,
    at: At,
}

enum At {
    Open(EventStream),
    /// Opened again then.
    Closed(Instant),
}

impl std::fmt::Debug for Events {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Events").field("id", &self.id).field("since_ns", &self.since_ns).finish_non_exhaustive()
    }
}

impl Events {
    /// The next one. Nothing is lost if this is dropped and asked again.
    async fn next(&mut self) -> DaemonEvent {
        loop {
            match &mut self.at {
                At::Closed(until) => {
                    sleep_until(*until).await;
                    self.at = At::Open(Box::pin(self.docker.events_of(&self.id, self.since_ns)));
                }
                At::Open(stream) => match stream.next().await {
                    Some(Ok(event)) => {
                        self.since_ns = self.since_ns.max(event.at_ns + 1);
                        return event;
                    }
                    ended => {
                        tracing::debug!(?ended, id = %self.id, "Docker's events broke off");
                        self.at = At::Closed(Instant::now() + LOOK_EVERY);
                    }
                },
            }
        }
    }
}
