//! Commands on their way: from people to hosts, and what becomes of them.
//!
//! A wish is written first, with its row of the audit log, in one transaction ([`Dispatch::submit`]); a reconciler
//! ([`reconciler`]) then makes it so: it hands open commands to the sessions of their hosts, again after each
//! reconnect, until ingest has stored the host's word on them and closed them in the same transaction. Asking twice is
//! harmless: the host's journal knows the id. Everything that counts is in the database, so a restart goes on where
//! the last controller stopped.
//!
//! - [`open`]: the open commands in memory, and which can go now. [`courier`]: one command on one stream.
//! - [`progress`]: what hosts tell meanwhile, and who watches. [`view`]: a command as people see it.
//! - [`bulk`]: the same action on many containers, in batches. [`rates`]: how fast one person may ask.
//!
//! Uses `store` and the registry of `transport`.
//!
//! Invariant: before a stream carries a command, the database says `sent`; what it says is `queued` no host has seen,
//! and the controller may close it alone.

pub mod bulk;
mod courier;
mod open;
mod output;
pub mod progress;
mod rates;
mod reconciler;
pub mod view;

use crate::limits::{COMMAND_DEADLINE, COMMAND_DEADLINE_LEAST, COMMAND_DEADLINE_MOST};
use crate::store::audit::Who;
use crate::store::commands::{CommandFilter, CommandRecord, NewCommand, State};
use crate::store::{Store, StoreError};
use crate::transport::{Registry, WallClock};
use fleetlight_protocol::command::Action;
use fleetlight_protocol::form;
use open::{Full, OpenCommands};
use progress::{Progress, Watch};
use rates::Rates;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;
use view::CommandView;

/// The way in; clones share it.
#[derive(Debug, Clone)]
pub struct Dispatch(Arc<Shared>);

struct Shared {
    store: Store,
    registry: Registry,
    clock: WallClock,
    open: Mutex<OpenCommands>,
    progress: Arc<Progress>,
    rates: Rates,
    /// What the reconciler is to look at.
    inbox: Mutex<Inbox>,
    wake: Notify,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").field("registry", &self.registry).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Inbox {
    /// Closed in the database, and taken off the open ones: bounded by those.
    closed: Vec<Uuid>,
    /// Bulks that may go on: of commands that were closed, or new.
    bulks: Vec<Uuid>,
    /// The database has open commands that are not in memory.
    load: bool,
}

/// What somebody wants done.
#[derive(Debug, Clone)]
pub struct Wish {
    pub host_id: i32,
    pub host_name: String,
    pub action: Action,
    pub deadline: Option<Duration>,
}

/// Why it is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("{0}")]
    Wrong(String),
    #[error("{0}")]
    Full(String),
    #[error("too many commands in a short time: try again in {} s", .0.as_secs_f64().ceil())]
    TooFast(Duration),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Dispatch {
    #[must_use]
    pub fn new(store: Store, registry: Registry, clock: WallClock) -> Self {
        Self(Arc::new(Shared {
            store,
            registry,
            clock,
            open: Mutex::default(),
            progress: Arc::default(),
            rates: Rates::default(),
            inbox: Mutex::default(),
            wake: Notify::new(),
        }))
    }

    /// Writes a command and its row of the audit log; it goes to its host as soon as that is there.
    ///
    /// # Errors
    /// [`Refused`]: nothing was written.
    pub async fn submit(&self, wish: Wish, who: &Who) -> Result<CommandView, Refused> {
        check(&wish.action)?;
        let deadline = deadline(wish.deadline)?;
        if !matches!(wish.action, Action::EmergencyStop { .. }) {
            self.0.rates.take(&who.name, Instant::now()).map_err(Refused::TooFast)?;
        }
        let sent = {
            let open = self.open();
            open.room(wish.host_id, &wish.action).map_err(|full| Refused::Full(words(full, &wish.host_name)))?;
            open.has_stream(wish.host_id) && self.0.registry.agent_of(wish.host_id).is_some()
        };
        let asked_ms = (self.0.clock)();
        let deadline_ms = asked_ms + deadline.as_millis() as i64;
        let (id, host_id, action) = (Uuid::now_v7(), wish.host_id, wish.action);
        let command = NewCommand { id, host_id, action, asked_ms, deadline_ms, sent, bulk_id: None };
        let unsure = Unsure(self);
        self.0.store.ask(&command, who).await?;
        #[cfg(debug_assertions)]
        crate::kill_point::pass("command.ask");
        let record = CommandRecord::of(&command, wish.host_name, who);
        let view = CommandView::stored(record.clone());
        self.0.progress.open(record.clone(), asked_ms);
        self.open().add(&record, false);
        std::mem::forget(unsure);
        self.0.wake.notify_one();
        Ok(self.0.progress.view(id).unwrap_or(view))
    }

    /// A command as it stands.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn command(&self, id: Uuid) -> Result<Option<CommandView>, StoreError> {
        let stored = self.0.store.command(id).await?;
        Ok(stored.map(|record| self.view(record)))
    }

    /// Newest first, without what they printed.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn commands(&self, filter: CommandFilter, limit: usize) -> Result<Vec<CommandView>, StoreError> {
        let stored = self.0.store.commands(filter, limit).await?;
        Ok(stored.into_iter().map(|record| self.view(record).without_output()).collect())
    }

    /// Asks for a command's end: at once if no host has seen it, else by its host. None: there is no such command.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn cancel(&self, id: Uuid) -> Result<Option<CommandView>, StoreError> {
        self.0.store.cancel_command(id, (self.0.clock)()).await?;
        let Some(record) = self.0.store.command(id).await? else { return Ok(None) };
        if record.state == State::Finished {
            self.closed([id]);
        } else {
            self.0.progress.cancel_requested(id);
            self.open().cancel(id);
        }
        Ok(Some(self.view(record)))
    }

    /// Watches a command, from the message after `resume_from` on if that is still here. None: there is no such command.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn watch(&self, id: Uuid, resume_from: Option<u64>) -> Result<Option<Watch>, StoreError> {
        if let Some(watch) = self.0.progress.watch(id, resume_from) {
            return Ok(Some(watch));
        }
        let Some(record) = self.0.store.command(id).await? else { return Ok(None) };
        let closed_ms = record.end.as_ref().map_or(record.asked_ms, |end| end.closed_ms);
        Ok(Some(Watch::closed(&CommandView::stored(record), closed_ms.max(0) as u64 * 1_000)))
    }

    /// The database has closed these: told by ingest once it has stored hosts' words, which may be about anything.
    pub fn closed(&self, ids: impl IntoIterator<Item = Uuid>) {
        let mut any = false;
        for id in ids {
            let Some(bulk_id) = self.open().remove(id) else { continue };
            let mut inbox = self.inbox();
            inbox.closed.push(id);
            inbox.bulks.extend(bulk_id);
            any = true;
        }
        if any {
            self.0.wake.notify_one();
        }
    }

    fn view(&self, record: CommandRecord) -> CommandView {
        // The database is asked first, so that what is followed can only be newer.
        let followed = self.0.progress.view(record.id).filter(|_| record.state != State::Finished);
        followed.unwrap_or_else(|| CommandView::stored(record))
    }

    fn open(&self) -> MutexGuard<'_, OpenCommands> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.0.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Dropped where nobody can say whether the database has a command: whoever asked is gone, or the answer was lost.
struct Unsure<'a>(&'a Dispatch);

impl Drop for Unsure<'_> {
    fn drop(&mut self) {
        self.0.inbox().load = true;
        self.0.0.wake.notify_one();
    }
}

/// What must hold before anything is written; whether the host does it is the host's to say.
fn check(action: &Action) -> Result<(), Refused> {
    form::check(action).map_err(Refused::Wrong)
}

/// The one that was asked for, within its bounds.
fn deadline(asked: Option<Duration>) -> Result<Duration, Refused> {
    let deadline = asked.unwrap_or(COMMAND_DEADLINE);
    if (COMMAND_DEADLINE_LEAST..=COMMAND_DEADLINE_MOST).contains(&deadline) {
        return Ok(deadline);
    }
    let (least, most) = (COMMAND_DEADLINE_LEAST.as_secs(), COMMAND_DEADLINE_MOST.as_secs());
    Err(Refused::Wrong(format!(
        "deadline_seconds = {} is out of range; allowed: {least} to {most}",
        deadline.as_secs()
    )))
}

fn words(full: Full, host: &str) -> String {
    match full {
        Full::Host => format!("{host} has as many open commands as one host may have: wait for some, or cancel them"),
        Full::All => "as many commands are open as the controller holds: wait for some, or cancel them".into(),
    }
}
