//! What is known in memory of the segments: which numbers each holds, where to begin to read, and
//! what of each epoch the controller has. No payloads, no I/O.

use super::format::{HEADER_BYTES, Lane, Name};
use crate::limits::{SPOOL_CACHE, SPOOL_GAPS, SPOOL_MARK_BYTES};
use fleetlight_protocol::intervals::{IntervalSet, SEQ_MAX};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A position in all that the spool holds: older epochs first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Starts of the agent by age; the running one is [`OWN`].
    pub(super) epoch: u32,
    pub seq: u64,
}

/// The epoch of this start.
pub(super) const OWN: u32 = u32::MAX;

impl Place {
    /// Before everything.
    pub const FIRST: Self = Self { epoch: 0, seq: 0 };
    /// After everything.
    pub const END: Self = Self { epoch: OWN, seq: u64::MAX };

    /// A number of the running epoch.
    #[must_use]
    pub fn own(seq: u64) -> Self {
        Self { epoch: OWN, seq }
    }
}

#[derive(Debug)]
pub(super) struct Epoch {
    pub id: Uuid,
    /// What the controller has, or has been told will never come.
    pub acked: IntervalSet,
    /// What will never come and was not acknowledged as such.
    pub evicted: IntervalSet,
    /// No number from here on is known to have been given.
    pub end: u64,
}

impl Epoch {
    pub fn new(id: Uuid) -> Self {
        Self { id, acked: IntervalSet::default(), evicted: IntervalSet::default(), end: 1 }
    }
}

#[derive(Debug)]
pub(super) struct Segment {
    pub name: Name,
    pub epoch: u32,
    pub made_ms: i64,
    pub seqs: IntervalSet,
    pub bytes: u64,
    /// Appended to no more.
    pub sealed: bool,
    /// Every so many bytes: a record's number and offset.
    marks: Vec<(u64, u64)>,
}

impl Segment {
    pub fn new(name: Name, epoch: u32, made_ms: i64) -> Self {
        let bytes = HEADER_BYTES as u64;
        Self { name, epoch, made_ms, seqs: IntervalSet::default(), bytes, sealed: false, marks: Vec::new() }
    }

    /// A record at `offset`.
    pub fn add(&mut self, seq: u64, offset: u64, length: u64) {
        if self.marks.last().is_none_or(|(_, mark)| offset - mark >= SPOOL_MARK_BYTES) {
            self.marks.push((seq, offset));
        }
        self.seqs.insert(seq, seq);
        self.bytes = offset + length;
    }

    /// Where the record `seq` is: a range that begins and ends between records.
    pub fn around(&self, seq: u64) -> (u64, u64) {
        let after = self.marks.partition_point(|(mark, _)| *mark <= seq);
        let from = after.checked_sub(1).map_or(HEADER_BYTES as u64, |at| self.marks[at].1);
        (from, self.marks.get(after).map_or(self.bytes, |(_, offset)| *offset))
    }

    /// The largest number.
    pub fn last(&self) -> u64 {
        self.seqs.intervals().last().map_or(0, |(_, last)| *last)
    }
}

/// Why a segment may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reclaim {
    /// It is kept only as a cache, and room is needed.
    Cached,
    /// Room is needed, whatever it holds.
    Any,
    /// It is kept only as a cache, and is old.
    Aged { now_ms: i64 },
}

#[derive(Debug)]
pub(super) struct Index {
    /// The epoch of this start.
    pub own: Uuid,
    pub epochs: BTreeMap<u32, Epoch>,
    pub segments: BTreeMap<u64, Segment>,
    pub evicted_batches: u64,
    /// The host that all of this is of.
    pub host: String,
}

impl Index {
    pub fn new(own: Uuid, host: &str) -> Self {
        Self {
            own,
            epochs: BTreeMap::from([(OWN, Epoch::new(own))]),
            segments: BTreeMap::new(),
            evicted_batches: 0,
            host: host.to_owned(),
        }
    }

    /// What earlier starts left is another host's, and is not to be sent. How many batches that were not
    /// acknowledged are given up with it.
    pub fn disown(&mut self) -> u64 {
        let mut given_up = 0;
        for segment in self.segments.values().filter(|segment| segment.epoch != OWN) {
            let mut lacking = segment.seqs.clone();
            if let Some(epoch) = self.epochs.get(&segment.epoch) {
                lacking.subtract(&epoch.acked);
            }
            given_up += lacking.count();
        }
        self.segments.retain(|_, segment| segment.epoch == OWN);
        self.epochs.retain(|ordinal, _| *ordinal == OWN);
        self.evicted_batches += given_up;
        given_up
    }

    pub fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }

    pub fn epoch_of(&self, id: Uuid) -> Option<u32> {
        self.epochs.iter().find(|(_, epoch)| epoch.id == id).map(|(ordinal, _)| *ordinal)
    }

    /// A place for an epoch of an earlier start, after those that are known.
    pub fn add_epoch(&mut self, id: Uuid) -> u32 {
        let ordinal = self.epochs.range(..OWN).next_back().map_or(0, |(ordinal, _)| ordinal + 1);
        self.epochs.insert(ordinal, Epoch::new(id));
        ordinal
    }

    /// Epochs of which something is held or has to be told, the running one last.
    pub fn held_epochs(&self) -> Vec<Uuid> {
        let held = |ordinal: u32, epoch: &Epoch| {
            ordinal == OWN
                || !epoch.evicted.is_empty()
                || self.segments.values().any(|segment| segment.epoch == ordinal)
        };
        self.epochs.iter().filter(|(ordinal, epoch)| held(**ordinal, epoch)).map(|(_, epoch)| epoch.id).collect()
    }

    /// The first record of a lane with `after < place < before` that the controller lacks.
    pub fn find(&self, lane: Lane, after: Place, before: Place) -> Option<(u64, Place)> {
        let segments = self.segments.iter().filter(|(_, segment)| segment.name.lane == lane);
        let mut behind =
            segments.skip_while(|(_, segment)| (segment.epoch, segment.last()) <= (after.epoch, after.seq));
        let found = behind.find_map(|(number, segment)| {
            let from = if segment.epoch == after.epoch { after.seq.saturating_add(1) } else { 0 };
            let seq = segment.seqs.next_without(&self.epochs.get(&segment.epoch)?.acked, from)?;
            Some((*number, Place { epoch: segment.epoch, seq }))
        });
        found.filter(|(_, place)| *place < before)
    }

    /// How many records of a lane with `after < place < before` the controller lacks.
    pub fn count(&self, lane: Lane, after: Place, before: Place) -> u64 {
        let of_lane = self.segments.values().filter(|segment| segment.name.lane == lane);
        let between = of_lane.filter(|segment| (after.epoch..=before.epoch).contains(&segment.epoch));
        let count = |segment: &Segment| {
            let mut seqs = segment.seqs.clone();
            if let Some(epoch) = self.epochs.get(&segment.epoch) {
                seqs.subtract(&epoch.acked);
            }
            if segment.epoch == after.epoch {
                seqs.remove(0, after.seq);
            }
            if segment.epoch == before.epoch {
                seqs.remove(before.seq, SEQ_MAX);
            }
            seqs.count()
        };
        between.map(count).sum()
    }

    /// The first evicted interval that is not in `told`.
    pub fn untold(&self, told: &BTreeMap<u32, IntervalSet>) -> Option<(Place, u64)> {
        let mut gaps = self.epochs.iter().filter(|(_, epoch)| !epoch.evicted.is_empty());
        gaps.find_map(|(ordinal, epoch)| {
            let none = IntervalSet::default();
            let told = told.get(ordinal).unwrap_or(&none);
            let seq = epoch.evicted.next_without(told, 0)?;
            let (_, end) = epoch.evicted.next_in(seq)?;
            let last = told.next_in(seq).map_or(end, |(next, _)| end.min(next - 1));
            Some((Place { epoch: *ordinal, seq }, last))
        })
    }

    /// Whether nothing of an earlier epoch has to be sent or told.
    pub fn is_settled(&self, ordinal: u32) -> bool {
        let mut segments = self.segments.values().filter(|segment| segment.epoch == ordinal);
        let gaps = self.epochs.get(&ordinal).is_some_and(|epoch| !epoch.evicted.is_empty());
        ordinal != OWN && !gaps && segments.all(|segment| self.is_cache(segment))
    }

    /// Whether a segment holds nothing that the controller lacks.
    fn is_cache(&self, segment: &Segment) -> bool {
        let acked = self.epochs.get(&segment.epoch).map(|epoch| &epoch.acked);
        acked.is_some_and(|acked| segment.seqs.next_without(acked, 0).is_none())
    }

    /// The segment that is to go next, if one may. Cache goes first, then samples, then facts; the
    /// oldest of each first.
    pub fn victim(&self, reclaim: Reclaim) -> Option<u64> {
        let sealed = || self.segments.iter().filter(|(_, segment)| segment.sealed);
        let first = |found: Option<(&u64, &Segment)>| found.map(|(number, _)| *number);
        let cached = |wanted: &dyn Fn(&Segment) -> bool| {
            first(sealed().find(|(_, segment)| wanted(segment) && self.is_cache(segment)))
        };
        match reclaim {
            Reclaim::Aged { now_ms } => cached(&|segment| {
                let age_ms = now_ms.saturating_sub(segment.made_ms).unsigned_abs();
                u128::from(age_ms) > SPOOL_CACHE.as_millis()
            }),
            Reclaim::Cached => cached(&|_| true),
            Reclaim::Any => cached(&|_| true)
                .or_else(|| first(sealed().find(|(_, segment)| segment.name.lane == Lane::Samples)))
                .or_else(|| first(sealed().next())),
        }
    }

    /// Forgets a segment; what the controller lacks of it, and is not held elsewhere, is noted as
    /// evicted. Returns its name and whether there was any.
    pub fn remove(&mut self, number: u64, elsewhere: &IntervalSet) -> Option<(Name, bool)> {
        let segment = self.segments.remove(&number)?;
        let mut lacking = segment.seqs;
        if segment.epoch == OWN {
            lacking.subtract(elsewhere);
        }
        if let Some(epoch) = self.epochs.get(&segment.epoch) {
            lacking.subtract(&epoch.acked);
        }
        self.evict(segment.epoch, &lacking);
        Some((segment.name, !lacking.is_empty()))
    }

    /// A record that cannot be read is forced out.
    pub fn lose(&mut self, number: u64, seq: u64) {
        let Some(segment) = self.segments.get_mut(&number) else { return };
        segment.seqs.remove(seq, seq);
        let mut lost = IntervalSet::default();
        lost.insert(seq, seq);
        let epoch = segment.epoch;
        self.evict(epoch, &lost);
    }

    /// Notes numbers that will never come.
    pub fn evict(&mut self, ordinal: u32, numbers: &IntervalSet) {
        let Some(epoch) = self.epochs.get_mut(&ordinal) else { return };
        let mut fresh = numbers.clone();
        fresh.subtract(&epoch.evicted);
        self.evicted_batches += fresh.count();
        epoch.evicted.extend(numbers);
    }

    /// Two neighbouring gaps with nothing held between them become one, where there are too many: the
    /// numbers between were acknowledged, and acknowledging them once more changes nothing. Gaps kept
    /// apart by what is held are bounded as that is.
    pub fn merge_gaps(&mut self, ordinal: u32, holds: impl Fn(u64, u64) -> bool) {
        let Some(epoch) = self.epochs.get(&ordinal).filter(|epoch| epoch.evicted.intervals().len() > SPOOL_GAPS) else {
            return;
        };
        let on_disk = |first, last| {
            let mut segments = self.segments.values().filter(|segment| segment.epoch == ordinal);
            segments.any(|segment| segment.seqs.next_in(first).is_some_and(|(seq, _)| seq <= last))
        };
        let mergeable = epoch.evicted.intervals().windows(2).find_map(|pair| {
            let (first, last) = (pair[0].1 + 1, pair[1].0 - 1);
            (!holds(first, last) && !on_disk(first, last)).then_some((first, last))
        });
        if let (Some((first, last)), Some(epoch)) = (mergeable, self.epochs.get_mut(&ordinal)) {
            epoch.evicted.insert(first, last);
        }
    }

    pub fn acked(&mut self, ordinal: u32, first: u64, last: u64) {
        if let Some(epoch) = self.epochs.get_mut(&ordinal) {
            epoch.acked.insert(first, last);
            epoch.evicted.remove(first, last);
        }
    }

    /// Takes what the controller says it has of an epoch as the truth. `held` are numbers that are
    /// held beside the segments; what neither side has is noted as evicted, and told.
    pub fn settle(&mut self, ordinal: u32, stored: IntervalSet, held: &IntervalSet) {
        let Some(epoch) = self.epochs.get_mut(&ordinal) else { return };
        let mut lost = IntervalSet::default();
        lost.insert(1, epoch.end.saturating_sub(1));
        lost.subtract(&stored);
        lost.subtract(held);
        epoch.evicted.subtract(&stored);
        epoch.acked = stored;
        for segment in self.segments.values().filter(|segment| segment.epoch == ordinal) {
            lost.subtract(&segment.seqs);
        }
        self.evict(ordinal, &lost);
    }
}
