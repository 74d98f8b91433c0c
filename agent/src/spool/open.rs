//! Opening: the writer's thread reads what earlier starts left. Whoever opens waits for that, but not for ever:
//! past [`SPOOL_OPEN_WAIT`] batches go on from memory, and what is found is taken in when it was read.

use super::disk::Disk;
use super::index::{Index, OWN};
use super::writer::Writer;
use super::{Bounds, Spool, Thread};
use crate::limits::SPOOL_OPEN_WAIT;
use std::io;
use std::sync::{Arc, Mutex};
use tokio::time::timeout;
use uuid::Uuid;

impl Spool {
    /// The spool of `host` on `disk`, with what earlier starts left there. If that cannot be read, or not in time,
    /// that is its trouble.
    ///
    /// # Errors
    /// The host gives no thread.
    pub async fn open(disk: Arc<dyn Disk>, bounds: Bounds, host: &str) -> io::Result<(Self, Thread)> {
        let index = Index::new(Uuid::new_v4(), host);
        let reading = Index::new(index.own, host);
        let spool = Self::new(index, bounds, Some(Arc::clone(&disk)), None, None);
        let (thread, read) = Thread::start(&spool, move || Writer::begin(disk, bounds, reading))?;
        if timeout(SPOOL_OPEN_WAIT, read).await.is_err() {
            spool.open_unread();
        }
        Ok((spool, thread))
    }

    /// The same, which reads, writes and syncs at once: for tests.
    #[must_use]
    pub fn open_inline(disk: Arc<dyn Disk>, bounds: Bounds, host: &str) -> Self {
        let index = Index::new(Uuid::new_v4(), host);
        let (writer, found, trouble) = Writer::begin(Arc::clone(&disk), bounds, Index::new(index.own, host));
        let spool = Self::new(index, bounds, Some(disk), trouble, Some(Mutex::new(writer)));
        take_in(&mut spool.lock().index, found);
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
    pub(super) fn read(&self, found: Index, trouble: Option<String>) -> bool {
        let mut state = self.lock();
        state.is_read = true;
        if trouble.is_some() {
            self.0.trouble.send_replace(trouble);
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
