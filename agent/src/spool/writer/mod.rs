//! Puts batches into segment files, in turns, and tries again what the disk refused.
//!
//! - `append`: each lane's open segment.
//! - `room`: which segments go.

mod append;
mod room;

use super::disk::Disk;
use super::format::{Lane, Name};
use super::index::Index;
use super::sync::Syncer;
use super::{Bounds, Spool, cursor, owner, recovery};
use crate::limits::{SPOOL_CURSOR_EVERY, SPOOL_RETRY, SPOOL_TURN};
use append::Open;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use uuid::Uuid;

/// Owns the files that are written to.
#[derive(Debug)]
pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    epoch: Uuid,
    bounds: Bounds,
    /// The last file's number.
    number: u64,
    open: BTreeMap<Lane, Open>,
    pub syncer: Syncer,
    samples_synced: Option<Instant>,
    retry_at: Option<Instant>,
    cursor_due: Option<Instant>,
    cursor: Vec<u8>,
    /// Whose the folder is noted to be; none before the first turn.
    owner: Option<String>,
}

impl Writer {
    /// Reads what is there into `index`, once nobody else uses it; also says why it cannot.
    pub fn begin(disk: Arc<dyn Disk>, bounds: Bounds, mut index: Index) -> (Self, Index, Option<io::Error>) {
        let mut trouble = None;
        let mut number = 0;
        match disk.lock().and_then(|()| recovery::recover(disk.as_ref(), &mut index)) {
            Ok(found) => {
                number = found.number;
                let recovery::Found { records, damaged, torn, .. } = found;
                if damaged > 0 {
                    tracing::warn!(
                        damaged,
                        "stretches of the spool are damaged: what was there is told to the controller as lost"
                    );
                }
                tracing::info!(records, torn, "what earlier starts left in the spool was read");
            }
            Err(error) => trouble = Some(error),
        }
        let open = BTreeMap::new();
        let writer = Self {
            disk,
            epoch: index.own,
            bounds,
            number,
            open,
            syncer: Syncer::Inline(watch::Sender::default()),
            samples_synced: None,
            retry_at: None,
            cursor_due: None,
            cursor: Vec::new(),
            owner: None,
        };
        (writer, index, trouble)
    }

    /// Writes what waits, syncs what is due, makes room. Returns when to come back at the latest.
    pub fn turn(&mut self, spool: &Spool, now: Instant) -> Duration {
        if let Some(at) = self.retry_at.filter(|at| now < *at) {
            return at - now;
        }
        self.retry_at = None;
        match self.own(spool).and_then(|()| self.write_all(spool, now)) {
            Ok(()) => spool.end_trouble(),
            Err(error) => self.fail(spool, &error, now),
        }
        self.reclaim(spool);
        self.save_cursor(spool, now);
        let dirty = self.open.values().any(|open| open.dirty);
        if self.retry_at.is_some() {
            SPOOL_RETRY
        } else if dirty {
            self.sync_in(now)
        } else {
            SPOOL_CURSOR_EVERY
        }
    }

    /// The last turn: everything is synced and noted.
    pub fn finish(&mut self, spool: &Spool, now: Instant) {
        // What waits in memory for a disk that refused has no later chance.
        self.retry_at = None;
        self.samples_synced = None;
        self.cursor_due = None;
        self.turn(spool, now);
    }

    /// Whether it waits to try the disk again.
    pub fn is_waiting(&self) -> bool {
        self.retry_at.is_some()
    }

    /// Makes the folder this host's: what is another's goes, and then the note says so.
    fn own(&mut self, spool: &Spool) -> io::Result<()> {
        let host = spool.lock().index.host.clone();
        if self.owner.as_ref() == Some(&host) {
            return Ok(());
        }
        self.disk.lock()?;
        let owner = owner::read(self.disk.as_ref())?;
        if owner.as_ref().is_some_and(|owner| *owner != host) {
            let names = self.disk.list()?;
            let names = names.iter().filter_map(|name| name.parse::<Name>().ok());
            for name in names.filter(|name| name.epoch != self.epoch) {
                self.disk.remove(&name.to_string())?;
            }
            let _ = self.disk.remove(cursor::CURSOR);
        }
        if owner.as_ref() != Some(&host) {
            owner::note(self.disk.as_ref(), &host)?;
        }
        self.owner = Some(host);
        Ok(())
    }

    fn write_all(&mut self, spool: &Spool, now: Instant) -> io::Result<()> {
        self.syncer.check()?;
        loop {
            let mut state = spool.lock();
            let waiting = state.memory.waiting(state.written, SPOOL_TURN);
            if waiting.is_empty() {
                state.written = state.next;
                state.waiting_since = None;
                return self.sync(now);
            }
            drop(state);
            for (seq, payload) in waiting {
                match payload.encode() {
                    Ok(bytes) => self.append(spool, payload.lane(), seq, &bytes)?,
                    Err(error) => {
                        tracing::error!(seq, %error, "a batch is too large for the spool and stays in memory only; please report this");
                    }
                }
                let mut state = spool.lock();
                state.written = seq + 1;
                state.waiting_since = Some(now);
            }
            spool.offer();
            self.sync(now)?;
        }
    }

    fn fail(&mut self, spool: &Spool, error: &io::Error, now: Instant) {
        for lane in [Lane::Samples, Lane::Facts] {
            let _ = self.seal(spool, lane);
        }
        self.drop_vanished(spool);
        self.retry_at = Some(now + SPOOL_RETRY);
        spool.say_trouble(&error.to_string());
        spool.offer();
    }

    fn save_cursor(&mut self, spool: &Spool, now: Instant) {
        if self.retry_at.is_some() {
            return;
        }
        let mut state = spool.lock();
        let settled = std::mem::take(&mut state.settled);
        if !settled && self.cursor_due.is_some_and(|due| now < due) {
            return;
        }
        let bytes = cursor::encode(&state.index);
        drop(state);
        self.cursor_due = Some(now + SPOOL_CURSOR_EVERY);
        self.note(bytes);
    }

    fn note(&mut self, bytes: Vec<u8>) {
        if bytes == self.cursor {
            return;
        }
        match cursor::save(self.disk.as_ref(), &bytes) {
            Ok(()) => self.cursor = bytes,
            Err(error) => tracing::debug!(%error, "what was acknowledged cannot be noted; at worst it is sent again"),
        }
    }
}
