//! Each lane's open segment: records go to its end, a full one is sealed, what is due is synced.

use super::Writer;
use crate::limits::SPOOL_SYNC_EVERY;
use crate::spool::Spool;
use crate::spool::disk::{Disk, DiskFile};
use crate::spool::format::{HEADER_BYTES, Lane, Name, header, record};
use crate::spool::index::{OWN, Reclaim, Segment};
use crate::spool::sync::Job;
use crate::tick::wall_ms;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The segment that a lane is appended to.
#[derive(Debug)]
pub(super) struct Open {
    number: u64,
    file: Arc<dyn DiskFile>,
    bytes: u64,
    /// Appended to since it was last synced.
    pub dirty: bool,
    /// Its name is not synced yet.
    fresh: bool,
    /// One more than its last record's number.
    below: u64,
}

impl Open {
    fn job(&self, lane: Lane, disk: &Arc<dyn Disk>) -> Job {
        let facts_below = (lane == Lane::Facts).then_some(self.below);
        Job { disk: Arc::clone(disk), file: Arc::clone(&self.file), name: self.fresh, facts_below }
    }
}

impl Writer {
    /// Appends a record; a full disk first gets back what is kept only as a cache.
    pub(super) fn append(&mut self, spool: &Spool, lane: Lane, seq: u64, payload: &[u8]) -> io::Result<()> {
        let record = record(seq, payload);
        loop {
            match self.try_append(spool, lane, &record) {
                Ok((number, offset)) => {
                    if let Some(open) = self.open.get_mut(&lane) {
                        open.below = seq + 1;
                    }
                    let mut state = spool.lock();
                    let state = &mut *state;
                    if let Some(segment) = state.index.segments.get_mut(&number) {
                        segment.add(seq, offset, record.len() as u64);
                    }
                    if let Some(own) = state.index.epochs.get_mut(&OWN) {
                        own.evicted.remove(seq, seq);
                    }
                    state.memory.written(lane, seq);
                    return Ok(());
                }
                Err(error) => {
                    let _ = self.seal(spool, lane);
                    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
                    if !(full && self.remove(spool, Reclaim::Cached)) {
                        return Err(error);
                    }
                }
            }
        }
    }

    fn try_append(&mut self, spool: &Spool, lane: Lane, record: &[u8]) -> io::Result<(u64, u64)> {
        let full = |open: &Open| open.bytes + record.len() as u64 > self.bounds.segment_bytes;
        if self.open.get(&lane).is_some_and(full) {
            self.seal(spool, lane)?;
            #[cfg(debug_assertions)]
            crate::kill_point::pass("segment.roll");
        }
        if !self.open.contains_key(&lane) {
            self.create(spool, lane)?;
        }
        let Some(open) = self.open.get_mut(&lane) else { return Err(io::ErrorKind::NotFound.into()) };
        #[cfg(debug_assertions)]
        crate::kill_point::pass("spool.write");
        open.file.append(record)?;
        #[cfg(debug_assertions)]
        crate::kill_point::pass("spool.written");
        let offset = open.bytes;
        open.bytes += record.len() as u64;
        open.dirty = true;
        Ok((open.number, offset))
    }

    fn create(&mut self, spool: &Spool, lane: Lane) -> io::Result<()> {
        self.number += 1;
        let name = Name { number: self.number, lane, epoch: self.epoch };
        let made_ms = wall_ms();
        let file = self.disk.create(&name.to_string())?;
        if let Err(error) = file.append(&header(made_ms)) {
            let _ = self.disk.remove(&name.to_string());
            return Err(error);
        }
        spool.lock().index.segments.insert(self.number, Segment::new(name, OWN, made_ms));
        let open = Open { number: self.number, file, bytes: HEADER_BYTES as u64, dirty: true, fresh: true, below: 0 };
        self.open.insert(lane, open);
        Ok(())
    }

    /// Ends a lane's segment. What a failed write left behind its last record is cut.
    pub(super) fn seal(&mut self, spool: &Spool, lane: Lane) -> io::Result<()> {
        let Some(open) = self.open.remove(&lane) else { return Ok(()) };
        let mut state = spool.lock();
        let Some(segment) = state.index.segments.get_mut(&open.number) else { return Ok(()) };
        segment.sealed = true;
        // What is cache is known to a start that comes before the next welcome, but for the last segment.
        self.cursor_due = None;
        let name = segment.name.to_string();
        let is_empty = segment.seqs.is_empty();
        if is_empty {
            state.index.segments.remove(&open.number);
        }
        drop(state);
        if is_empty {
            return self.disk.remove(&name);
        }
        self.disk.truncate(&name, open.bytes)?;
        if open.dirty { self.syncer.seal(open.job(lane, &self.disk)) } else { Ok(()) }
    }

    /// Facts at once, samples when it is time.
    pub(super) fn sync(&mut self, now: Instant) -> io::Result<()> {
        let due = self.samples_synced.is_none_or(|at| now.saturating_duration_since(at) >= SPOOL_SYNC_EVERY);
        for (lane, open) in &mut self.open {
            let wanted = open.dirty && (due || *lane == Lane::Facts);
            if wanted && self.syncer.sync(open.job(*lane, &self.disk))?.is_none() {
                (open.dirty, open.fresh) = (false, false);
                if *lane == Lane::Samples {
                    self.samples_synced = Some(now);
                }
            }
        }
        Ok(())
    }

    /// When samples are due, whatever else there was to do since the last sync. What the syncer had no room for is
    /// asked for again a whole interval later.
    pub(super) fn sync_in(&self, now: Instant) -> Duration {
        let since = self.samples_synced.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        SPOOL_SYNC_EVERY.checked_sub(since).filter(|rest| !rest.is_zero()).unwrap_or(SPOOL_SYNC_EVERY)
    }
}
