//! What the controller has acknowledged, written down after each welcome, with each new segment, and now and then.
//!
//! Only a hint: which segments are cache, before the first welcome says so. Lost or damaged, batches
//! are sent again, and the controller's ledger drops them.

use super::disk::Disk;
use super::format::{parse_record, record};
use super::index::{Index, OWN};
use super::recovery::set;
use crate::limits::SPOOL_RECORD_BYTES;
use std::io;
use uuid::Uuid;

/// Its file.
pub(super) const CURSOR: &str = "cursor";
const FRESH: &str = "cursor.new";

/// Epoch, what was acknowledged, what will never come, the first number never given.
type Entry = (Uuid, Vec<(u64, u64)>, Vec<(u64, u64)>, u64);

/// The cursor's bytes.
pub(super) fn encode(index: &Index) -> Vec<u8> {
    let held = index.held_epochs();
    let epochs = index.epochs.values().filter(|epoch| held.contains(&epoch.id));
    let entries: Vec<Entry> = epochs
        .map(|epoch| (epoch.id, epoch.acked.intervals().to_vec(), epoch.evicted.intervals().to_vec(), epoch.end))
        .collect();
    // Plain data: writing it cannot fail; were it empty, it would be read as no cursor.
    record(0, &rmp_serde::to_vec(&entries).unwrap_or_default())
}

/// Replaces the cursor. Not synced: after a power cut its sum tells whether it is whole.
pub(super) fn save(disk: &dyn Disk, bytes: &[u8]) -> io::Result<()> {
    let _ = disk.remove(FRESH);
    disk.create(FRESH)?.append(bytes)?;
    disk.rename(FRESH, CURSOR)
}

/// Takes the cursor's words on epochs that the index holds, and on those that are gone but have
/// something to be told.
pub(super) fn load(disk: &dyn Disk, index: &mut Index) {
    let Ok(bytes) = disk.read(CURSOR, 0, SPOOL_RECORD_BYTES) else { return };
    let Some((_, payload)) = parse_record(&bytes) else { return };
    let Ok(entries) = rmp_serde::from_slice::<Vec<Entry>>(payload) else { return };
    for (id, acked, evicted, end) in entries {
        let known = index.epoch_of(id);
        if known == Some(OWN) || (known.is_none() && evicted.is_empty()) {
            continue;
        }
        let ordinal = known.unwrap_or_else(|| index.add_epoch(id));
        let holding: Vec<_> = index.segments.values().filter(|segment| segment.epoch == ordinal).collect();
        let mut evicted = set(&evicted);
        holding.iter().for_each(|segment| evicted.subtract(&segment.seqs));
        if let Some(epoch) = index.epochs.get_mut(&ordinal) {
            epoch.acked = set(&acked);
            epoch.evicted = evicted;
            epoch.end = epoch.end.max(end);
        }
    }
}
