//! What became of each command, on disk, in a redb file of the executor's state folder.
//!
//! Invariants, each with a test:
//! 1. A command is on disk before it runs, and its result before anybody hears of it: [`Journal::accept`] and
//!    [`Journal::finish`] return after fsync.
//! 2. Whatever was accepted or refused is known at least until its deadline has passed: it cannot be begun again.
//! 3. Only what is settled gives way. While nothing can, no new command is taken.
//! 4. The journal says since when it knows everything. Of a command that was asked for before, and that it does not know,
//!    nothing is claimed.
//!
//! All but the look at the index blocks: it runs on threads for that. After an error of the disk the file is closed and
//! opened anew, since what has come to disk is then unknown.

use super::index::{Index, Known};
use crate::executor::message::Ended;
use crate::limits::JOURNAL_CACHE_BYTES;
use crate::tick::wall_ms;
use fleetlight_protocol::command::Command;
use redb::{Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, Semaphore, watch};
use uuid::Uuid;

const FILE: &str = "commands.redb";
/// By the command's id.
const ENTRIES: TableDefinition<u128, &[u8]> = TableDefinition::new("commands");
/// Ids whose results are in the agent's spool.
const SETTLED: TableDefinition<u128, ()> = TableDefinition::new("settled");
const ABOUT: TableDefinition<&str, i64> = TableDefinition::new("about");
/// Key in [`ABOUT`]: since when everything is known, by the host's clock.
const SINCE: &str = "since_ms";

/// When a command was asked for and until when it may begin, by the host's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub asked_ms: i64,
    pub until_ms: i64,
}

/// One command's line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    /// It may be running.
    Accepted {
        asked: Asked,
        began_ms: i64,
        command: Box<Command>,
    },
    Ended {
        asked: Asked,
        ended: Box<Ended>,
    },
}

/// Why the journal takes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum JournalError {
    #[error("the journal of commands is not open yet")]
    Closed,
    #[error(
        "the journal of commands is full of results that the agent has not taken: see that fleetlight-agent runs and that its disk has room"
    )]
    Full,
    #[error("the journal of commands in {folder} cannot be used: {reason}; mend that, it is tried again by itself")]
    Unusable { folder: String, reason: String },
}

#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    /// For threads that may block.
    file: Mutex<Option<Database>>,
    /// What the file holds; none while it is closed. Locked for moments only.
    index: Mutex<Option<Index>>,
    /// For who goes on a thread: on a disk that hangs they would take all the threads there are.
    turn: Arc<Semaphore>,
    /// The file was closed.
    pub closed: Notify,
    /// It has been open once.
    pub opened: watch::Sender<bool>,
    /// Number of the newest result.
    pub newest: watch::Sender<u64>,
}

/// What the file holds.
#[derive(Debug)]
pub(super) struct Opened {
    pub index: Index,
    pub orphans: Vec<Orphan>,
}

/// A command that was accepted and has no end.
#[derive(Debug)]
pub(super) struct Orphan {
    pub command: Command,
    pub asked: Asked,
    pub began_ms: i64,
}

impl Journal {
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            file: Mutex::default(),
            index: Mutex::default(),
            turn: Arc::new(Semaphore::new(1)),
            closed: Notify::new(),
            opened: watch::Sender::default(),
            newest: watch::Sender::default(),
        }
    }

    /// Runs what blocks on a thread for that, one at a time.
    pub async fn on_thread<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let journal = Arc::clone(self);
        let turn = Arc::clone(&self.turn).acquire_owned().await.ok();
        let worked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work(&journal)
        });
        let worked = worked.await;
        worked.unwrap_or_else(|error| Err(self.unusable(&error)))
    }

    /// Opens the file, or makes it. It takes nothing before [`Journal::publish`].
    pub fn open(&self) -> Result<Opened, JournalError> {
        let mut file = self.file();
        *file = None;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(|error| self.unusable(&error))?;
        let database = Database::builder().set_cache_size(JOURNAL_CACHE_BYTES).create(self.folder.join(FILE));
        let database = database.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => self.unusable(&"another executor uses it"),
            error => self.unusable(&error),
        })?;
        let opened = read(&database, *self.newest.borrow()).map_err(|error| self.unusable(&error))?;
        *file = Some(database);
        Ok(opened)
    }

    /// Begins to answer by what was read. Whoever is waited for by an orphan must be known as such by now.
    pub fn publish(&self, index: Index) {
        let newest = index.newest();
        *self.known() = Some(index);
        self.newest.send_replace(newest);
        self.opened.send_replace(true);
    }

    /// What is known of a command.
    pub fn look(&self, id: Uuid) -> Result<Option<Known>, JournalError> {
        self.known().as_ref().map(|index| index.get(id)).ok_or(JournalError::Closed)
    }

    /// Since when everything is known.
    pub fn since_ms(&self) -> i64 {
        self.known().as_ref().map_or(i64::MAX, |index| index.since_ms)
    }

    /// The first result that is not settled with a number above `after`.
    pub fn unsettled(&self, after: u64) -> Option<(u64, Uuid)> {
        self.known().as_ref()?.unsettled(after)
    }

    /// Has the command on disk: it may run now, once.
    pub fn accept(&self, command: &Command, asked: Asked, began_ms: i64) -> Result<(), JournalError> {
        self.put(command.id, &Entry::Accepted { asked, began_ms, command: Box::new(command.clone()) })
    }

    /// Has the result on disk: it may be told now.
    pub fn finish(&self, asked: Asked, ended: Ended) -> Result<(), JournalError> {
        self.put(ended.result.command, &Entry::Ended { asked, ended: Box::new(ended) })
    }

    /// The result of a command that has ended.
    pub fn ended(&self, id: Uuid) -> Result<Option<Ended>, JournalError> {
        let file = self.file();
        let database = file.as_ref().ok_or(JournalError::Closed)?;
        match get(database, id).map_err(|error| self.unusable(&error))? {
            Some(Entry::Ended { ended, .. }) => Ok(Some(*ended)),
            _ => Ok(None),
        }
    }

    /// These results are in the agent's spool. A power cut may forget that, and they are told again.
    pub fn settle(&self, ids: &[Uuid]) -> Result<(), JournalError> {
        let mut file = self.file();
        let ids: Vec<Uuid> = {
            let known = self.known();
            let index = known.as_ref().ok_or(JournalError::Closed)?;
            ids.iter().copied().filter(|id| index.get(*id).is_some_and(Known::is_unsettled)).collect()
        };
        if ids.is_empty() {
            return Ok(());
        }
        self.write(&mut file, |database| {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(Durability::None)?;
            {
                let mut settled = transaction.open_table(SETTLED)?;
                for id in &ids {
                    settled.insert(id.as_u128(), ())?;
                }
            }
            Ok(transaction.commit()?)
        })?;
        if let Some(index) = self.known().as_mut() {
            ids.iter().for_each(|id| index.settle(*id));
        }
        Ok(())
    }

    fn put(&self, id: Uuid, entry: &Entry) -> Result<(), JournalError> {
        let bytes = rmp_serde::to_vec_named(entry).map_err(|error| self.unusable(&error))?;
        let size = bytes.len() as u64;
        let mut file = self.file();
        let room = self.known().as_ref().ok_or(JournalError::Closed)?.room(id, size, wall_ms());
        let (leaving, since_ms) = room.ok_or(JournalError::Full)?;
        self.write(&mut file, |database| {
            let transaction = database.begin_write()?;
            {
                let mut entries = transaction.open_table(ENTRIES)?;
                let mut settled = transaction.open_table(SETTLED)?;
                for id in &leaving {
                    entries.remove(id.as_u128())?;
                    settled.remove(id.as_u128())?;
                }
                entries.insert(id.as_u128(), bytes.as_slice())?;
                transaction.open_table(ABOUT)?.insert(SINCE, since_ms)?;
            }
            Ok(transaction.commit()?)
        })?;
        if let Some(index) = self.known().as_mut() {
            leaving.iter().for_each(|id| index.forget(*id));
            index.since_ms = since_ms;
            index.insert(id, entry, size, false);
            self.newest.send_replace(index.newest());
        }
        Ok(())
    }

    /// Closes the file when it fails: redb takes nothing more then, and what it has taken is unknown.
    fn write(
        &self,
        file: &mut Option<Database>,
        work: impl FnOnce(&Database) -> Result<(), redb::Error>,
    ) -> Result<(), JournalError> {
        let worked = work(file.as_ref().ok_or(JournalError::Closed)?);
        worked.map_err(|error| {
            *self.known() = None;
            *file = None;
            self.closed.notify_one();
            self.unusable(&error)
        })
    }

    /// As a disk that hangs, until this is dropped.
    #[cfg(test)]
    pub fn hang(&self) -> MutexGuard<'_, Option<Database>> {
        self.file()
    }

    /// As the kernel does when the process dies.
    #[cfg(test)]
    pub fn abandon(&self) {
        *self.known() = None;
        *self.file() = None;
    }

    fn file(&self) -> MutexGuard<'_, Option<Database>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, Option<Index>> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unusable(&self, reason: &dyn std::fmt::Display) -> JournalError {
        JournalError::Unusable { folder: self.folder.display().to_string(), reason: reason.to_string() }
    }
}

/// The file's tables, made where it is new.
fn read(database: &Database, newest: u64) -> Result<Opened, redb::Error> {
    let transaction = database.begin_write()?;
    let since_ms = {
        transaction.open_table(ENTRIES)?;
        transaction.open_table(SETTLED)?;
        let mut about = transaction.open_table(ABOUT)?;
        let born_ms = about.get(SINCE)?.map(|since| since.value());
        if born_ms.is_none() {
            about.insert(SINCE, wall_ms())?;
        }
        born_ms.unwrap_or_else(wall_ms)
    };
    transaction.commit()?;
    let (mut index, mut orphans, mut ended) = (Index::new(since_ms, newest), Vec::new(), Vec::new());
    let transaction = database.begin_read()?;
    let settled = transaction.open_table(SETTLED)?;
    for line in transaction.open_table(ENTRIES)?.iter()? {
        let (id, bytes) = line?;
        let (id, size) = (Uuid::from_u128(id.value()), bytes.value().len() as u64);
        match rmp_serde::from_slice(bytes.value()) {
            Ok(entry @ Entry::Ended { .. }) => ended.push((id, entry, size, settled.get(id.as_u128())?.is_some())),
            Ok(entry) => {
                index.insert(id, &entry, size, false);
                let Entry::Accepted { asked, began_ms, command } = entry else { continue };
                orphans.push(Orphan { command: *command, asked, began_ms });
            }
            Err(error) => {
                tracing::error!(command = %id, %error, "an entry of the journal of commands cannot be read; the command is not run again");
                index.insert_unreadable(id, size, wall_ms());
            }
        }
    }
    // Results are told in the order in which they came.
    ended.sort_by_key(|(_, entry, ..)| if let Entry::Ended { ended, .. } = entry { ended.result.ended_ms } else { 0 });
    for (id, entry, size, settled) in ended {
        index.insert(id, &entry, size, settled);
    }
    Ok(Opened { index, orphans })
}

fn get(database: &Database, id: Uuid) -> Result<Option<Entry>, redb::Error> {
    let entries = database.begin_read()?.open_table(ENTRIES)?;
    let Some(bytes) = entries.get(id.as_u128())? else { return Ok(None) };
    Ok(rmp_serde::from_slice(bytes.value()).ok())
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
