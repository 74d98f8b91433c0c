//! What one stream sends next: from memory where it is there, else from disk, a stretch at a time.

use super::disk::Disk;
use super::format::{HEAD_BYTES, Lane, parse_record};
use super::index::{OWN, Place};
use super::{Payload, Spool};
use crate::limits::{SPOOL_RETRY, SPOOL_STUCK};
use fleetlight_protocol::intervals::IntervalSet;
use fleetlight_protocol::uplink::Class;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// A batch with its number.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub epoch: Uuid,
    pub seq: u64,
    pub payload: Payload,
}

/// What there is to send next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    Batch(Batch),
    /// These numbers of an epoch, first and last, will never come.
    Evicted {
        epoch: Uuid,
        first: u64,
        last: u64,
    },
    Nothing,
}

/// Gives each batch of a class once, in order; events, inventory and evicted intervals are facts, the last told by
/// readers without an end.
#[derive(Debug)]
pub struct Reader {
    spool: Spool,
    class: Class,
    after: Place,
    before: Place,
    /// Evicted intervals that it has given.
    told: BTreeMap<u32, IntervalSet>,
    /// Records read ahead.
    ahead: VecDeque<(u64, Vec<u8>)>,
    /// The segment that they are of.
    of: u64,
    /// Where it was when a file could not be read, and when to try that again.
    skipped: Option<(Place, Instant)>,
}

/// Where the next batch is.
enum Found {
    Nothing,
    InMemory(u64, Payload),
    /// In which file, between which offsets, and the last number that the file holds.
    OnDisk {
        segment: u64,
        place: Place,
        file: String,
        range: (u64, u64),
        last: u64,
    },
}

impl Reader {
    pub(super) fn new(spool: Spool, class: Class, after: Place, before: Place) -> Self {
        Self { spool, class, after, before, told: BTreeMap::new(), ahead: VecDeque::new(), of: 0, skipped: None }
    }

    /// When to go back to a file that could not be read.
    #[must_use]
    pub fn again_at(&self) -> Option<Instant> {
        self.skipped.map(|(_, at)| at)
    }

    /// Goes back to it. What was sent since and is not acknowledged comes once more.
    pub fn again(&mut self) {
        if let Some((after, _)) = self.skipped.take() {
            self.after = after;
        }
    }

    /// How many batches are yet to come.
    #[must_use]
    pub fn left(&self) -> u64 {
        let state = self.spool.lock();
        let on_disk = state.index.count(self.lane(), self.after, self.before);
        on_disk + state.memory.count_unwritten(self.lane(), self.own_after(), self.before.seq)
    }

    fn lane(&self) -> Lane {
        if self.class == Class::Facts { Lane::Facts } else { Lane::Samples }
    }

    /// The last number of the running epoch that it has given.
    fn own_after(&self) -> u64 {
        if self.after.epoch == OWN { self.after.seq } else { 0 }
    }

    /// What comes next.
    pub async fn next(&mut self) -> Next {
        loop {
            if self.tells()
                && let Some(evicted) = self.untold()
            {
                return evicted;
            }
            match self.find() {
                Found::Nothing => return Next::Nothing,
                Found::InMemory(seq, payload) => {
                    self.after = Place::own(seq);
                    return Next::Batch(Batch { epoch: self.spool.epoch(), seq, payload });
                }
                Found::OnDisk { segment, place, file, range, last } => {
                    if !self.has_read(segment, place.seq)
                        && let Err(error) = self.read(segment, file, range).await
                    {
                        // What cannot be read now may be readable later, and holds up nothing until then.
                        tracing::warn!(segment, %error, "a spool file cannot be read; it is tried again");
                        self.skipped.get_or_insert((self.after, Instant::now() + SPOOL_RETRY));
                        self.after = Place { epoch: place.epoch, seq: last };
                        continue;
                    }
                    if let Some(batch) = self.take(segment, place) {
                        return Next::Batch(batch);
                    }
                }
            }
        }
    }

    /// Whether it tells what will never come: of the readers of facts, the one without an end.
    fn tells(&self) -> bool {
        self.class == Class::Facts && self.before == Place::END
    }

    fn untold(&mut self) -> Option<Next> {
        let state = self.spool.lock();
        let (place, last) = state.index.untold(&self.told)?;
        let epoch = state.index.epochs.get(&place.epoch)?.id;
        drop(state);
        self.told.entry(place.epoch).or_default().insert(place.seq, last);
        Some(Next::Evicted { epoch, first: place.seq, last })
    }

    fn find(&self) -> Found {
        let lane = self.lane();
        // What is not offered yet is not to be sent.
        let before = self.before.min(Place::own(*self.spool.0.head.borrow()));
        let state = self.spool.lock();
        let in_memory = (before.epoch == OWN).then(|| state.memory.find(lane, self.own_after(), before.seq)).flatten();
        match (state.index.find(lane, self.after, before), in_memory) {
            (Some((_, place)), Some((seq, payload))) if place >= Place::own(seq) => Found::InMemory(seq, payload),
            (Some((segment, place)), _) => {
                let Some(held) = state.index.segments.get(&segment) else { return Found::Nothing };
                let (range, last) = (held.around(place.seq), held.last());
                Found::OnDisk { segment, place, file: held.name.to_string(), range, last }
            }
            (None, Some((seq, payload))) => Found::InMemory(seq, payload),
            (None, None) => Found::Nothing,
        }
    }

    fn has_read(&mut self, segment: u64, seq: u64) -> bool {
        while self.of == segment && self.ahead.front().is_some_and(|(read, _)| *read < seq) {
            self.ahead.pop_front();
        }
        self.of == segment && self.ahead.front().is_some_and(|(read, _)| *read == seq)
    }

    /// Reads the stretch of a segment that holds the next record. Of a file that is gone, nothing.
    async fn read(&mut self, segment: u64, file: String, (from, to): (u64, u64)) -> io::Result<()> {
        let Some(disk) = self.spool.0.disk.clone() else { return Ok(()) };
        let read = tokio::task::spawn_blocking(move || stretch(disk.as_ref(), &file, from, to));
        let read = match timeout(SPOOL_STUCK, read).await {
            Ok(Ok(read)) => read,
            Ok(Err(stopping)) => Err(io::Error::other(stopping)),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        self.of = segment;
        self.ahead = match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => VecDeque::new(),
            read => read?,
        };
        Ok(())
    }

    /// The record that was to be read; if it is not there it is lost, and will be told.
    fn take(&mut self, segment: u64, place: Place) -> Option<Batch> {
        let payload = if self.has_read(segment, place.seq) { self.ahead.pop_front() } else { None };
        let payload = payload.and_then(|(_, bytes)| Payload::decode(&bytes));
        let mut state = self.spool.lock();
        let epoch = state.index.epochs.get(&place.epoch)?.id;
        match payload {
            Some(payload) => {
                self.after = place;
                Some(Batch { epoch, seq: place.seq, payload })
            }
            None => {
                // Unless the bound has forced it out in the meantime.
                state.index.lose(segment, place.seq);
                None
            }
        }
    }
}

/// The records between two offsets of a file.
fn stretch(disk: &dyn Disk, file: &str, from: u64, to: u64) -> io::Result<VecDeque<(u64, Vec<u8>)>> {
    let bytes = disk.read(file, from, (to - from) as usize)?;
    let (mut at, mut records) = (0, VecDeque::new());
    while at < bytes.len() {
        match parse_record(&bytes[at..]) {
            Some((seq, payload)) => {
                records.push_back((seq, payload.to_vec()));
                at += HEAD_BYTES + payload.len();
            }
            None => at += 1,
        }
    }
    Ok(records)
}
