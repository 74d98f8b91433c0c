//! Reading what earlier starts left.
//!
//! A tail that is no whole record was torn by a crash and is cut. A record in the middle whose sum
//! is wrong is skipped: the search goes on at the next place that holds a whole record of a number
//! that can follow. Its number is then in no segment, and the welcome makes it an evicted one.

use super::cursor::{self, CURSOR};
use super::disk::Disk;
use super::format::{HEADER_BYTES, Header, Name, parse_header, parse_record, peek_seq};
use super::index::{Index, Segment};
use super::owner;
use crate::limits::{SEGMENT_BYTES, SPOOL_RECORD_BYTES};
use fleetlight_protocol::intervals::IntervalSet;
use fleetlight_protocol::limits::HELD_EPOCHS;
use std::collections::BTreeMap;
use std::io;
use uuid::Uuid;

/// How far numbers may jump over a damaged stretch: far more than a segment holds.
const JUMP: u64 = 10_000_000;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub records: u64,
    /// Stretches that held no record.
    pub damaged: u64,
    /// Files whose end was cut.
    pub torn: u64,
    /// The largest file number.
    pub number: u64,
}

/// Reads all segments of `disk` into `index`, in which only the running epoch is.
pub(super) fn recover(disk: &dyn Disk, index: &mut Index) -> io::Result<Found> {
    let (names, owner) = (disk.list()?, owner::read(disk)?);
    let segments = by_age(names.iter().filter_map(|name| name.parse().ok()).collect());
    let largest = segments.iter().map(|name| name.number).max().unwrap_or(0);
    let mut found = Found { number: largest.max(segments.len() as u64), ..Found::default() };
    for (place, name) in (1..).zip(segments) {
        if let Err(error) = read(disk, (place, name), index, &mut found) {
            tracing::warn!(file = %name, %error, "a spool file cannot be read and is left alone");
        }
    }
    if names.iter().any(|name| name == CURSOR) {
        cursor::load(disk, index);
    }
    if let Some(other) = owner.filter(|owner| *owner != index.host) {
        let (host, batches) = (&index.host.clone(), index.disown());
        tracing::warn!(host, other, batches, "the spool is another host's, perhaps of a copied disk: it is discarded");
    }
    bound_epochs(disk, index);
    Ok(found)
}

/// The oldest start's first, and each start's together. Numbers alone do not tell: a start that could not read
/// the folder began with 1 again.
fn by_age(mut segments: Vec<Name>) -> Vec<Name> {
    let mut begins: BTreeMap<Uuid, u64> = BTreeMap::new();
    for name in &segments {
        let begin = begins.entry(name.epoch).or_insert(name.number);
        *begin = name.number.min(*begin);
    }
    segments.sort_by_key(|name| (begins.get(&name.epoch).copied(), name.epoch, name.number));
    segments
}

fn read(disk: &dyn Disk, (place, name): (u64, Name), index: &mut Index, found: &mut Found) -> io::Result<()> {
    let file = name.to_string();
    let bytes = disk.read(&file, 0, (SEGMENT_BYTES as usize + SPOOL_RECORD_BYTES) * 2)?;
    let made_ms = match parse_header(&bytes) {
        Header::Good { made_ms } => made_ms,
        Header::Other(version) => {
            tracing::warn!(
                file,
                version,
                "a spool file of another version is left alone; remove it if no agent of that version will run here"
            );
            return Ok(());
        }
        Header::Damaged => 0,
    };
    let ordinal = index.epoch_of(name.epoch).unwrap_or_else(|| index.add_epoch(name.epoch));
    let mut segment = Segment::new(name, ordinal, made_ms);
    segment.sealed = true;
    found.damaged += scan(&bytes, &mut segment);
    if segment.seqs.is_empty() {
        return disk.remove(&file);
    }
    if segment.bytes < bytes.len() as u64 {
        disk.truncate(&file, segment.bytes)?;
        found.torn += 1;
    }
    found.records += segment.seqs.count();
    if let Some(epoch) = index.epochs.get_mut(&ordinal) {
        let last = segment.seqs.intervals().last().map_or(0, |(_, last)| *last);
        epoch.end = epoch.end.max(last + 1);
    }
    index.segments.insert(place, segment);
    Ok(())
}

/// Finds the records of a file; returns how many stretches between them held none.
pub(super) fn scan(bytes: &[u8], segment: &mut Segment) -> u64 {
    let (mut at, mut last, mut skipping, mut damaged) = (HEADER_BYTES, None, false, 0);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let follows = peek_seq(rest).is_some_and(|seq| match last {
            Some(last) => seq > last && seq - last <= JUMP,
            None => seq > 0 && seq < u64::MAX >> 1,
        });
        match follows.then(|| parse_record(rest)).flatten() {
            Some((seq, payload)) => {
                damaged += u64::from(skipping);
                skipping = false;
                let length = super::format::HEAD_BYTES + payload.len();
                segment.add(seq, at as u64, length as u64);
                last = Some(seq);
                at += length;
            }
            None => {
                skipping = true;
                at += 1;
            }
        }
    }
    damaged
}

/// A hello can name so many epochs; the oldest beyond that go, cached ones first.
fn bound_epochs(disk: &dyn Disk, index: &mut Index) {
    while index.held_epochs().len() > HELD_EPOCHS {
        let cached = index.epochs.keys().copied().find(|ordinal| index.is_settled(*ordinal));
        let Some(oldest) = cached.or_else(|| index.epochs.keys().next().copied()) else { return };
        let numbers: Vec<u64> =
            index.segments.iter().filter(|(_, segment)| segment.epoch == oldest).map(|(number, _)| *number).collect();
        let mut lost = 0;
        for number in numbers {
            let before = index.evicted_batches;
            if let Some((name, _)) = index.remove(number, &IntervalSet::default()) {
                let _ = disk.remove(&name.to_string());
            }
            lost += index.evicted_batches - before;
        }
        index.epochs.remove(&oldest);
        if lost > 0 {
            tracing::warn!(
                batches = lost,
                "too many starts without the controller: the oldest one's batches are given up"
            );
        }
    }
}

/// Numbers as they are kept in the cursor.
pub(super) fn set(intervals: &[(u64, u64)]) -> IntervalSet {
    let mut set = IntervalSet::default();
    intervals.iter().for_each(|(first, last)| set.insert(*first, *last));
    set
}
