//! Puts batches into segment files, makes room, and tries again what the disk refused.

use super::disk::{Disk, DiskFile};
use super::format::{HEADER_BYTES, Lane, Name, header, record};
use super::index::{Index, OWN, Reclaim, Segment};
use super::sync::Syncer;
use super::{Bounds, Spool, cursor, owner, recovery};
use crate::limits::{SPOOL_CURSOR_EVERY, SPOOL_RETRY, SPOOL_SYNC_EVERY, SPOOL_TURN};
use crate::tick::wall_ms;
use fleetlight_protocol::intervals::IntervalSet;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
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

/// The segment that a lane is appended to.
#[derive(Debug)]
struct Open {
    number: u64,
    file: Arc<dyn DiskFile>,
    bytes: u64,
    /// Appended to since it was last synced.
    dirty: bool,
    /// Its name is not synced yet.
    fresh: bool,
}

impl Writer {
    /// Reads what is there into `index`; also says why it cannot.
    pub fn begin(disk: Arc<dyn Disk>, bounds: Bounds, index: &mut Index) -> (Self, Option<String>) {
        let mut trouble = None;
        let mut number = 0;
        match recovery::recover(disk.as_ref(), index) {
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
            Err(error) => {
                trouble = Some(format!("the spool in {} cannot be read: {error}", disk.place()));
            }
        }
        let open = BTreeMap::new();
        let writer = Self {
            disk,
            epoch: index.own,
            bounds,
            number,
            open,
            syncer: Syncer::Inline,
            samples_synced: None,
            retry_at: None,
            cursor_due: None,
            cursor: Vec::new(),
            owner: None,
        };
        (writer, trouble)
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
            SPOOL_SYNC_EVERY
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

    /// Appends a record; a full disk first gets back what is kept only as a cache.
    fn append(&mut self, spool: &Spool, lane: Lane, seq: u64, payload: &[u8]) -> io::Result<()> {
        let record = record(seq, payload);
        loop {
            match self.try_append(spool, lane, &record) {
                Ok((number, offset)) => {
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
        }
        if !self.open.contains_key(&lane) {
            self.create(spool, lane)?;
        }
        let Some(open) = self.open.get_mut(&lane) else { return Err(io::ErrorKind::NotFound.into()) };
        open.file.append(record)?;
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
        let open = Open { number: self.number, file, bytes: HEADER_BYTES as u64, dirty: true, fresh: true };
        self.open.insert(lane, open);
        Ok(())
    }

    /// Ends a lane's segment. What a failed write left behind its last record is cut.
    fn seal(&mut self, spool: &Spool, lane: Lane) -> io::Result<()> {
        let Some(open) = self.open.remove(&lane) else { return Ok(()) };
        let mut state = spool.lock();
        let Some(segment) = state.index.segments.get_mut(&open.number) else { return Ok(()) };
        segment.sealed = true;
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
        if open.dirty { self.syncer.seal(&self.disk, &open.file, open.fresh) } else { Ok(()) }
    }

    /// Facts at once, samples when it is time.
    fn sync(&mut self, now: Instant) -> io::Result<()> {
        let due = self.samples_synced.is_none_or(|at| now.saturating_duration_since(at) >= SPOOL_SYNC_EVERY);
        for (lane, open) in &mut self.open {
            if open.dirty && (due || *lane == Lane::Facts) && self.syncer.sync(&self.disk, &open.file, open.fresh)? {
                (open.dirty, open.fresh) = (false, false);
                if *lane == Lane::Samples {
                    self.samples_synced = Some(now);
                }
            }
        }
        Ok(())
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

    /// Segments whose files somebody removed: what is still in memory is written again.
    fn drop_vanished(&self, spool: &Spool) {
        let Ok(names) = self.disk.list() else { return };
        let mut state = spool.lock();
        let state = &mut *state;
        let gone = |segment: &Segment| !names.contains(&segment.name.to_string());
        let numbers: Vec<u64> =
            state.index.segments.iter().filter(|(_, segment)| gone(segment)).map(|(number, _)| *number).collect();
        for number in numbers {
            let Some(segment) = state.index.segments.get(&number).filter(|segment| segment.epoch == OWN) else {
                continue;
            };
            if let Some(first) = state.memory.unwritten(&segment.seqs) {
                state.written = state.written.min(first);
            }
            state.index.remove(number, &state.memory.seqs());
        }
    }

    /// Cache that is old goes; and while the bound is passed, what matters least.
    fn reclaim(&mut self, spool: &Spool) {
        let aged = Reclaim::Aged { now_ms: wall_ms() };
        while self.remove(spool, aged) {}
        while spool.lock().index.bytes() > self.bounds.disk_bytes && self.remove(spool, Reclaim::Any) {}
    }

    /// Removes one segment, if one may go.
    fn remove(&mut self, spool: &Spool, reclaim: Reclaim) -> bool {
        let Some((name, note)) = forget(spool, reclaim) else { return false };
        if let Some(bytes) = note {
            self.note(bytes);
            spool.0.head.send_modify(|_| {});
        }
        if let Err(error) = self.disk.remove(&name.to_string()) {
            tracing::warn!(file = %name, %error, "a spool file cannot be removed");
        }
        true
    }

    fn save_cursor(&mut self, spool: &Spool, now: Instant) {
        if self.retry_at.is_some() || self.cursor_due.is_some_and(|due| now < due) {
            return;
        }
        self.cursor_due = Some(now + SPOOL_CURSOR_EVERY);
        let bytes = cursor::encode(&spool.lock().index);
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

/// Takes one segment out of the index, if one may go: its name, and the cursor's bytes if something is lost
/// with it. The disk is touched only once nobody waits for the lock: it may hang.
fn forget(spool: &Spool, reclaim: Reclaim) -> Option<(Name, Option<Vec<u8>>)> {
    let mut state = spool.lock();
    let state = &mut *state;
    let number = state.index.victim(reclaim)?;
    if let Some(segment) = state.index.segments.get(&number).filter(|segment| segment.epoch == OWN) {
        state.memory.forget(&segment.seqs);
    }
    let (name, lacking) = state.index.remove(number, &IntervalSet::default())?;
    let memory = &state.memory;
    state.index.merge_gaps(OWN, |first, last| memory.holds(first, last));
    Some((name, lacking.then(|| cursor::encode(&state.index))))
}
