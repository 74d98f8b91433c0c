//! Batches between the collectors and the controller's word that it has them: on disk, bounded.
//!
//! - [`Spool`]: takes batches in, gives them numbers, offers them.
//! - `open`: reading what earlier starts left, on a disk that may hang.
//! - `settle`: what the controller says it has, and whose the batches are.
//! - `writer`: puts them into segment files; its own thread, so that no disk holds up a tick.
//! - [`Reader`]: what one stream sends next. `memory`, `index`: what is known without reading.
//! - `format`, `payload`: the bytes. `recovery`, `cursor`: what earlier starts left.
//! - `owner`: which host the folder is of. [`disk`]: the door to the file system.
//!
//! Invariants, each with a test of its name in `invariants` or `memory_tests.rs`:
//! 1. Numbers of an epoch rise by one and are never given twice; each start is a new epoch. A machine that
//!    was set back while it ran passes over those that it gave before.
//! 2. A batch is offered for sending once `write(2)` has put it into a segment file: kill -9 at any
//!    instant leaves every batch that was offered there, exactly once.
//! 3. A power cut costs at most the samples of one sync interval, and no fact that was synced, which
//!    is asked for as soon as it is written and said once it is done.
//! 4. A torn tail is cut; a damaged record costs that record, is counted, and is told as evicted.
//! 5. A batch that the controller lacks goes only when the bound needs its room: acknowledged
//!    segments first, then samples, then facts, oldest first; what goes is counted and told.
//! 6. What the controller says it has is the truth: a controller that went back gets what it lacks
//!    from acknowledged segments, and is told what is gone.
//! 7. What another host measured is not sent: a folder that was copied with its disk is discarded.
//! 8. A disk that refuses or hangs stops nothing: batches go on from memory, bounded, the trouble is
//!    said, and the disk is used again when it works.
//! 9. One process at a time uses a folder: a second one touches nothing there.

mod cursor;
pub mod disk;
mod format;
mod index;
mod memory;
mod open;
mod owner;
mod payload;
mod reader;
mod recovery;
mod settle;
mod sync;
mod thread;
mod writer;

pub use index::Place;
pub use open::OpenError;
pub use payload::Payload;
pub use reader::{Batch, Next, Reader};
pub use thread::Thread;

use crate::limits::{SEGMENT_BYTES, SPOOL_MEMORY_BYTES, SPOOL_STUCK};
use disk::Disk;
use fleetlight_protocol::uplink::Class;
use index::{Index, OWN};
use memory::Memory;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{Notify, watch};
use uuid::Uuid;
use writer::Writer;

/// How much the spool holds.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Of all segment files.
    pub disk_bytes: u64,
    pub segment_bytes: u64,
    /// Of batches in memory that are not on disk.
    pub memory_bytes: usize,
}

impl Bounds {
    #[must_use]
    pub fn of_disk(disk_bytes: u64) -> Self {
        Self { disk_bytes, segment_bytes: SEGMENT_BYTES, memory_bytes: SPOOL_MEMORY_BYTES }
    }
}

/// Which facts the disk has for certain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Synced {
    /// Those with a smaller number, unless they were pushed before the last failure.
    pub below: u64,
    /// How often the disk has failed.
    pub failures: u64,
}

/// Shared between the batcher, which fills it, the transport, which empties it, and the writer.
#[derive(Debug, Clone)]
pub struct Spool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bounds: Bounds,
    disk: Option<Arc<dyn Disk>>,
    state: Mutex<State>,
    /// The next number that is not offered yet.
    head: watch::Sender<u64>,
    trouble: watch::Sender<Option<String>>,
    synced: watch::Sender<Synced>,
    /// There is something to write, or it is time to stop.
    work: Condvar,
    /// What earlier starts left was read after all.
    found_late: Notify,
    /// Writes while a batch is taken in, where a test wants no thread.
    inline: Option<Mutex<Writer>>,
}

#[derive(Debug)]
struct State {
    index: Index,
    memory: Memory,
    /// The number of the next batch.
    next: u64,
    /// All below are on disk, or will not be.
    written: u64,
    /// A welcome said what the controller has, and the cursor does not say so yet.
    settled: bool,
    /// Since when the writer has not come on, while there is something to write.
    waiting_since: Option<Instant>,
    /// What earlier starts left was read, or cannot be.
    is_read: bool,
    stopping: bool,
}

impl Default for Spool {
    fn default() -> Self {
        Self::in_memory(SPOOL_MEMORY_BYTES)
    }
}

impl Spool {
    /// A spool without a disk that holds about `bytes`.
    #[must_use]
    pub fn in_memory(bytes: usize) -> Self {
        let bounds = Bounds { disk_bytes: 0, segment_bytes: 0, memory_bytes: bytes };
        Self::new(Index::new(Uuid::new_v4(), ""), bounds, None, None)
    }

    fn new(index: Index, bounds: Bounds, disk: Option<Arc<dyn Disk>>, inline: Option<Mutex<Writer>>) -> Self {
        let memory = Memory::default();
        let state = State {
            index,
            memory,
            next: 1,
            written: 1,
            settled: false,
            waiting_since: None,
            is_read: false,
            stopping: false,
        };
        Self(Arc::new(Inner {
            bounds,
            disk,
            state: Mutex::new(state),
            head: watch::Sender::new(1),
            trouble: watch::Sender::new(None),
            synced: watch::Sender::default(),
            work: Condvar::new(),
            found_late: Notify::new(),
            inline,
        }))
    }

    /// The epoch that this start's numbers belong to.
    #[must_use]
    pub fn epoch(&self) -> Uuid {
        self.lock().index.own
    }

    /// The next number to be offered for sending; changes when a batch is. Numbers begin at 1.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<u64> {
        self.0.head.subscribe()
    }

    /// Why batches are not on disk; changes when that does.
    #[must_use]
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.0.trouble.subscribe()
    }

    /// Epochs of which something is held, this start's included.
    #[must_use]
    pub fn held_epochs(&self) -> Vec<Uuid> {
        self.lock().index.held_epochs()
    }

    /// Which facts the disk has for certain; changes with each sync of them, and when the disk fails.
    #[must_use]
    pub fn synced(&self) -> watch::Receiver<Synced> {
        self.0.synced.subscribe()
    }

    /// Takes a batch in and gives it a number. It is offered for sending once it is written.
    pub fn push(&self, payload: Payload) {
        self.push_numbered(payload);
    }

    /// As [`Self::push`]; returns the number.
    pub fn push_numbered(&self, payload: Payload) -> u64 {
        let mut state = self.lock();
        let seq = state.next;
        state.next += 1;
        state.memory.insert(seq, payload);
        state.bound_memory(self.0.bounds.memory_bytes);
        let waiting_since = *state.waiting_since.get_or_insert_with(Instant::now);
        drop(state);
        if let Some(writer) = &self.0.inline {
            writer.lock().unwrap_or_else(PoisonError::into_inner).turn(self, Instant::now());
        } else if self.0.disk.is_some() {
            self.0.work.notify_all();
            if waiting_since.elapsed() > SPOOL_STUCK {
                self.say_trouble("a write does not come back: does its disk hang?");
            }
        }
        self.offer();
        seq
    }

    /// What one stream sends: batches with `after < place < before` that the controller lacks.
    #[must_use]
    pub fn reader(&self, class: Class, after: Place, before: Place) -> Reader {
        Reader::new(self.clone(), class, after, before)
    }

    /// Batches forced out since the start.
    #[must_use]
    pub fn evicted_batches(&self) -> u64 {
        self.lock().index.evicted_batches
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offers what is written; without a disk, or while it is in trouble, all that was taken in.
    fn offer(&self) {
        let in_memory = self.0.disk.is_none() || self.0.trouble.borrow().is_some();
        let state = self.lock();
        let offered = if in_memory { state.next } else { state.written };
        drop(state);
        self.0.head.send_if_modified(|head| {
            let rises = offered > *head;
            *head = offered.max(*head);
            rises
        });
    }

    fn say_trouble(&self, why: &str) {
        let Some(disk) = &self.0.disk else { return };
        let why = format!("the spool in {} takes nothing: {why}", disk.place());
        self.0.trouble.send_if_modified(|said| {
            let news = said.is_none();
            if news {
                self.0.synced.send_modify(|synced| synced.failures += 1);
                *said = Some(why);
            }
            news
        });
    }

    fn end_trouble(&self) {
        self.0.trouble.send_if_modified(|said| said.take().is_some());
    }
}

impl State {
    fn bound_memory(&mut self, bound: usize) {
        let evicted = self.memory.evict(bound);
        if !evicted.is_empty() {
            self.index.evict(OWN, &evicted);
            let memory = &self.memory;
            self.index.merge_gaps(OWN, |first, last| memory.holds(first, last));
        }
    }
}

#[cfg(test)]
mod figure;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod sim_disk;
