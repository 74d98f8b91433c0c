//! The life of a command on this host: asked → journal → run → journal → told → settled, at most once.
//!
//! - [`Commands`]: what is in hand, and who asks. `life`: one command from the ask to its end, `verdict`: in words.
//!   `live`: what is told of it.
//! - `journal`: what became of each, on disk; `index`: the same in memory. `form`: what a command must look like.
//! - `output`: the beginning and the end of what it prints, masked. [`answer`], `client`: the two ends of the socket.
//!
//! Invariant: an id that is in hand or in the journal is never begun again. Both are looked at under one lock, and a
//! command leaves the hand only once the journal has its end.

pub mod answer;
mod client;
mod form;
mod index;
mod journal;
mod life;
mod live;
mod output;
mod verdict;

pub use client::Answers;
pub use live::Attached;

use super::actions::Refused;
use super::policy;
use super::server::Executor;
use crate::limits::{COMMANDS_AT_ONCE, EMERGENCIES_AT_ONCE, JOURNAL_OPEN_WAIT, JOURNAL_RETRY, STOP_WAIT};
use fleetlight_protocol::command::{Action, Command};
use journal::{Journal, Orphan};
use life::{Doing, Life, Real};
use live::Live;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// The commands of one executor.
#[derive(Debug)]
pub struct Commands {
    journal: Arc<Journal>,
    live: Mutex<HashMap<Uuid, Arc<Live>>>,
    tasks: TaskTracker,
}

/// What is said to who asks for a command.
#[derive(Debug)]
pub enum Answer {
    /// It is in hand.
    Attached(Attached),
    /// The journal has its result.
    Ended,
    /// It was not begun, and may be asked for again.
    Unavailable(String),
}

impl Commands {
    #[must_use]
    pub fn new(state_dir: PathBuf) -> Self {
        let journal = Arc::new(Journal::new(state_dir));
        Self { journal, live: Mutex::default(), tasks: TaskTracker::new() }
    }

    /// Opens the journal, keeps it open until `stop`, and ends what an earlier start left without an end. Returns once the
    /// journal is open, or [`JOURNAL_OPEN_WAIT`] is over.
    pub async fn start(&self, executor: &Arc<Executor>, stop: &CancellationToken) {
        // Said at once, and not only when somebody asks for something.
        let _ = policy::load(&executor.config().policy_file).await;
        let mut opened = self.journal.opened.subscribe();
        let (executor, stop) = (Arc::clone(executor), stop.clone());
        self.tasks.spawn(async move { stop.run_until_cancelled(executor.commands().keep_open(&executor)).await });
        let _ = timeout(JOURNAL_OPEN_WAIT, opened.wait_for(|opened| *opened)).await;
    }

    /// Lets what runs come to its end, but not for long: the next start says of the rest that it was interrupted.
    pub async fn stop(&self) {
        self.tasks.close();
        if timeout(STOP_WAIT, self.tasks.wait()).await.is_err() {
            let left = self.live().len();
            tracing::warn!(left, "commands are still running; the next start says that they were interrupted");
        }
    }

    /// Begins a command, or says what is known of it.
    pub fn run(&self, executor: &Arc<Executor>, command: Command, left_ms: i64) -> Answer {
        self.run_by(Real, executor, command, left_ms)
    }

    fn run_by(&self, doing: impl Doing, executor: &Arc<Executor>, command: Command, left_ms: i64) -> Answer {
        let mut live = self.live();
        if let Some(known) = live.get(&command.id) {
            return Answer::Attached(known.attach());
        }
        match self.journal.look(command.id) {
            Ok(None) => {}
            Ok(Some(known)) if known.has_ended() => return Answer::Ended,
            Ok(Some(_)) => return Answer::Unavailable("whether the command began is being looked at".into()),
            // What stops things must not wait for a disk, and does no harm twice.
            Err(_) if is_emergency(&command.action) => {}
            Err(error) => return Answer::Unavailable(error.to_string()),
        }
        let most = COMMANDS_AT_ONCE + if is_emergency(&command.action) { EMERGENCIES_AT_ONCE } else { 0 };
        if live.len() >= most {
            return Answer::Unavailable(format!(
                "the host has {} commands in hand, which are as many as it takes",
                live.len()
            ));
        }
        let mut subjects = subjects(&command.action);
        let busy = busy(&live, &subjects);
        if busy.is_some() {
            subjects.clear();
        }
        let begun = Arc::new(Live::new(subjects));
        let attached = begun.attach();
        live.insert(command.id, Arc::clone(&begun));
        drop(live);
        let life = Life { executor: Arc::clone(executor), live: begun, command };
        self.tasks.spawn(life.run(doing, left_ms, busy));
        Answer::Attached(attached)
    }

    /// Asks a command to stop; whether it was in hand.
    pub fn cancel(&self, id: Uuid) -> bool {
        let live = self.live();
        let known = live.get(&id);
        known.inspect(|live| live.cancel.cancel()).is_some()
    }

    /// Opens the journal, and again whenever the disk has failed.
    async fn keep_open(&self, executor: &Arc<Executor>) {
        let mut said = None;
        loop {
            match self.journal.on_thread(Journal::open).await {
                Ok(opened) => {
                    let orphans = self.adopt(executor, opened.orphans);
                    self.journal.publish(opened.index);
                    for (life, began_ms, asked) in orphans {
                        self.tasks.spawn(life.recover(began_ms, asked));
                    }
                    if said.take().is_some() {
                        tracing::info!("the journal of commands is open: commands are taken again");
                    }
                    self.journal.closed.notified().await;
                }
                Err(error) => {
                    let words = error.to_string();
                    if said.as_ref() != Some(&words) {
                        tracing::error!("no commands are taken: {words}");
                        said = Some(words);
                    }
                }
            }
            sleep(JOURNAL_RETRY).await;
        }
    }

    /// Takes those in hand that have no end and are not in hand already.
    fn adopt(&self, executor: &Arc<Executor>, orphans: Vec<Orphan>) -> Vec<(Life, i64, journal::Asked)> {
        let mut live = self.live();
        let mut adopted = Vec::new();
        for Orphan { command, asked, began_ms } in orphans {
            if live.contains_key(&command.id) {
                continue;
            }
            let taken = Arc::new(Live::new(subjects(&command.action)));
            live.insert(command.id, Arc::clone(&taken));
            adopted.push((Life { executor: Arc::clone(executor), live: taken, command }, began_ms, asked));
        }
        adopted
    }

    fn live(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_emergency(action: &Action) -> bool {
    matches!(action, Action::EmergencyStop { .. })
}

/// What one command at a time may act on. An emergency stop waits for nobody.
fn subjects(action: &Action) -> Vec<String> {
    match action {
        Action::Check | Action::EmergencyStop { .. } => Vec::new(),
        // Compose gives the name to another id.
        Action::Container { container, .. } => {
            vec![format!("container {}", container.id), format!("container {}", container.name)]
        }
        Action::Unit { unit, .. } => vec![format!("unit {unit}")],
        Action::Runbook { name, .. } => vec![format!("runbook {name}")],
    }
}

fn busy(live: &HashMap<Uuid, Arc<Live>>, subjects: &[String]) -> Option<Refused> {
    let taken = |live: &Live| live.subjects.iter().any(|subject| subjects.contains(subject));
    let (id, other) = live.iter().find(|(_, live)| taken(live))?;
    let seconds = Instant::now().saturating_duration_since(other.since).as_secs();
    Some(Refused::new(format!("busy with command {id} since {seconds} s: ask again when that has ended")))
}

#[cfg(test)]
mod testing;
#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;
