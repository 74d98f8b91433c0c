//! Segments that go: for the bound's sake, for a full disk's, or because somebody removed them.

use super::Writer;
use crate::spool::Spool;
use crate::spool::cursor;
use crate::spool::format::Name;
use crate::spool::index::{OWN, Reclaim, Segment};
use crate::tick::wall_ms;
use fleetlight_protocol::intervals::IntervalSet;

impl Writer {
    /// Segments whose files somebody removed: what is still in memory is written again.
    pub(super) fn drop_vanished(&self, spool: &Spool) {
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
    pub(super) fn reclaim(&mut self, spool: &Spool) {
        let aged = Reclaim::Aged { now_ms: wall_ms() };
        while self.remove(spool, aged) {}
        while spool.lock().index.bytes() > self.bounds.disk_bytes && self.remove(spool, Reclaim::Any) {}
    }

    /// Removes one segment, if one may go.
    pub(super) fn remove(&mut self, spool: &Spool, reclaim: Reclaim) -> bool {
        let Some((name, note)) = forget(spool, reclaim) else { return false };
        if let Some(bytes) = note {
            self.note(bytes);
            spool.0.head.send_modify(|_| {});
        }
        #[cfg(debug_assertions)]
        crate::kill_point::pass("segment.unlink");
        if let Err(error) = self.disk.remove(&name.to_string()) {
            tracing::warn!(file = %name, %error, "a spool file cannot be removed");
        }
        true
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
