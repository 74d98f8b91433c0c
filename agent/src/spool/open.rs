//! Opening: the writer's thread reads what earlier starts left. Whoever opens waits for that, but not for ever:
//! past [`SPOOL_OPEN_WAIT`] batches go on from memory, and what is found is taken in when it was read.

use super::disk::Disk;
use super::index::{Index, OWN};
use super::sync::Syncer;
use super::writer::Writer;
use super::{Bounds, Spool, Thread};
use crate::limits::SPOOL_OPEN_WAIT;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::timeout;
use uuid::Uuid;

/// Why there is no spool.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the spool's threads cannot start: {0}")]
    Thread(io::Error),
    #[error(
        "another agent uses the spool in {0}: stop that one (systemctl stop fleetlight-agent), or give this one a folder of its own (spool.path)"
    )]
    InUse(String),
}

/// How reading ended.
#[derive(Debug)]
pub(super) enum Read {
    /// What was there is known, or cannot be read: then that is the spool's trouble.
    Done,
    /// Another process uses it.
    InUse,
}

impl Spool {
    /// The spool of `host` on `disk`, with what earlier starts left there. If that cannot be read, or not in time,
    /// that is its trouble.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(disk: Arc<dyn Disk>, bounds: Bounds, host: &str) -> Result<(Self, Thread), OpenError> {
        let place = disk.place();
        let index = Index::new(Uuid::new_v4(), host);
        let reading = Index::new(index.own, host);
        let spool = Self::new(index, bounds, Some(Arc::clone(&disk)), None);
        let started = Thread::start(&spool, move || Writer::begin(disk, bounds, reading));
        let (thread, read) = started.map_err(OpenError::Thread)?;
        match timeout(SPOOL_OPEN_WAIT, read).await {
            Err(_) => spool.open_unread(),
            Ok(Ok(Read::InUse)) => return Err(OpenError::InUse(place)),
            Ok(_) => {}
        }
        Ok((spool, thread))
    }

    /// The same, which reads, writes and syncs at once: for tests.
    #[must_use]
    pub fn open_inline(disk: Arc<dyn Disk>, bounds: Bounds, host: &str) -> Self {
        let index = Index::new(Uuid::new_v4(), host);
        let (writer, found, trouble) = Writer::begin(Arc::clone(&disk), bounds, Index::new(index.own, host));
        let spool = Self::new(index, bounds, Some(disk), Some(Mutex::new(writer)));
        if let Some(writer) = &spool.0.inline {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.syncer = Syncer::Inline(spool.0.synced.clone());
        }
        spool.read(found, trouble.as_ref());
        spool
    }

    fn open_unread(&self) {
        // Under the lock: what is read at this moment is read before this is said, or its first turn takes it back.
        let state = self.lock();
        if !state.is_read {
            let seconds = SPOOL_OPEN_WAIT.as_secs();
            self.say_trouble(&format!("it has not been read within {seconds} s: does its disk hang?"));
        }
    }

    /// What earlier starts left was read. Returns whether there is anything to send or to tell.
    pub(super) fn read(&self, found: Index, trouble: Option<&io::Error>) -> bool {
        let mut state = self.lock();
        state.is_read = true;
        if let Some(error) = trouble {
            self.say_trouble(&error.to_string());
        }
        take_in(&mut state.index, found)
    }

    /// Waits until what earlier starts left was read, if that was after the spool was opened: the controller was
    /// not asked about it.
    pub async fn found_late(&self) {
        self.0.found_late.notified().await;
    }
}

/// Adds what earlier starts left. False if that is nothing.
fn take_in(index: &mut Index, mut found: Index) -> bool {
    if found.host != index.host {
        // Enrolled as another host meanwhile.
        found.disown();
    }
    found.epochs.remove(&OWN);
    let any = !found.epochs.is_empty();
    index.epochs.append(&mut found.epochs);
    index.segments.append(&mut found.segments);
    index.evicted_batches += found.evicted_batches;
    any
}
