//! The invariants of the module's head, on a disk that tears, flips, fills and dies.
//!
//! - `kept`: what a kill, a power cut and damage cost (1 to 4). `power`: how much a cut costs (3).
//! - `room`: what goes when the bound needs its room (5).
//! - `settled`: what the controller says it has, and of which host the folder is (1, 6, 7).
//! - `synced`: what is on disk for certain (3). `disk_trouble`: disks that refuse or hang (8). `in_use`: folders of another process (9).

mod disk_trouble;
mod in_use;
mod kept;
mod power;
mod room;
mod settled;
mod synced;

use crate::spool::memory_tests::all;
use crate::spool::sim_disk::SimDisk;
use crate::spool::{Bounds, Next, Spool};
use fleetlight_protocol::uplink::Class;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

const BOUNDS: Bounds = Bounds { disk_bytes: 1024 * 1024, segment_bytes: 2_000, memory_bytes: 1024 * 1024 };

fn open(disk: &SimDisk) -> Spool {
    open_with(disk, BOUNDS)
}

pub(in crate::spool) fn open_with(disk: &SimDisk, bounds: Bounds) -> Spool {
    open_as(disk, bounds, "alpha")
}

fn open_as(disk: &SimDisk, bounds: Bounds, host: &str) -> Spool {
    Spool::open_inline(Arc::new(disk.clone()), bounds, host)
}

/// Every batch that there is to send, by epoch and number, with how often.
fn sent(spool: &Spool) -> BTreeMap<(Uuid, u64), usize> {
    let mut found = BTreeMap::new();
    for next in [all(spool, Class::Live), all(spool, Class::Facts)].concat() {
        if let Next::Batch(batch) = next {
            *found.entry((batch.epoch, batch.seq)).or_default() += 1;
        }
    }
    found
}

fn told(spool: &Spool) -> Vec<(Uuid, u64, u64)> {
    let evicted =
        |next| if let Next::Evicted { epoch, first, last } = next { Some((epoch, first, last)) } else { None };
    all(spool, Class::Facts).into_iter().filter_map(evicted).collect()
}

fn segments(disk: &SimDisk) -> Vec<String> {
    disk.names().into_iter().filter(|name| name.ends_with(".seg")).collect()
}

fn turn(spool: &Spool, now: Instant) {
    let writer = spool.0.inline.as_ref().expect("inline");
    writer.lock().expect("sound").turn(spool, now);
    spool.offer();
}
