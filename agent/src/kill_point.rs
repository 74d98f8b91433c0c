//! Places at which the fault suite (`make test-faults`) has this process die as by `kill -9`. Debug builds only.
//!
//! `FLEETLIGHT_KILL_POINT=spool.write:3`: at the third time that it comes there. The place is first noted in the file
//! that `FLEETLIGHT_KILL_NOTE` names, which outlives the process.

use crate::spool::Bounds;
use rustix::process::{Signal, getpid, kill_process};
use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

static ARMED: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();

/// What `FLEETLIGHT_SPOOL_BOUNDS` says: bytes on disk, of a segment, in memory. Smaller than an operator may set
/// them, so that segments are rolled, removed and forced out within seconds.
pub fn spool_bounds() -> Option<Bounds> {
    let text = env::var("FLEETLIGHT_SPOOL_BOUNDS").ok()?;
    let mut numbers = text.split(':').map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some(Bounds { disk_bytes: next()?, segment_bytes: next()?, memory_bytes: next()? as usize })
}

/// Dies here, if this is the place and the time.
pub fn pass(place: &str) {
    let armed = ARMED.get_or_init(|| {
        let point = env::var("FLEETLIGHT_KILL_POINT").ok()?;
        let (place, times) = point.rsplit_once(':')?;
        Some((place.to_owned(), AtomicU64::new(times.parse().ok()?)))
    });
    if armed.as_ref().is_some_and(|(at, left)| at == place && left.fetch_sub(1, Ordering::Relaxed) == 1) {
        let note = env::var_os("FLEETLIGHT_KILL_NOTE").unwrap_or_default();
        let _ = OpenOptions::new().create(true).append(true).open(note).map(|mut note| writeln!(note, "{place}"));
        let _ = kill_process(getpid(), Signal::KILL);
    }
}
