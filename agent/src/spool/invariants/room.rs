//! What goes when the bound, or a full disk, needs its room.

use super::{BOUNDS, open_with, sent, told};
use crate::spool::memory_tests::{events, samples};
use crate::spool::sim_disk::{Faults, SimDisk};
use crate::spool::{Bounds, Spool};
use std::collections::BTreeSet;
use uuid::Uuid;

#[test]
fn the_bound_takes_cache_first_then_samples_and_facts_last() {
    let disk = SimDisk::default();
    let bounds = Bounds { disk_bytes: 12_000, segment_bytes: 1_000, memory_bytes: 1024 * 1024 };
    let spool = open_with(&disk, bounds);
    let epoch = spool.epoch();
    spool.push(events());
    (0..20).for_each(|tick| spool.push(samples(tick)));
    spool.acked(epoch, 5, 15);
    for tick in 0..400 {
        spool.push(samples(tick));
        assert!(disk.bytes() <= 12_000 + 1_000 + 400, "{}", disk.bytes());
    }
    assert!(sent(&spool).contains_key(&(epoch, 1)), "the event outlives samples");
    let gaps = told(&spool);
    assert!(!gaps.is_empty() && spool.evicted_batches() > 100);
    let lost: BTreeSet<u64> = gaps.iter().flat_map(|(_, first, last)| *first..=*last).collect();
    for seq in 1..*spool.head().borrow() {
        let held = sent_once(&spool, epoch, seq);
        assert!(held != lost.contains(&seq) || (5..=15).contains(&seq), "{seq} is neither held nor told");
    }
    // What was forced out is still told after a restart.
    let again = open_with(&disk, bounds);
    let still: BTreeSet<u64> = told(&again).iter().flat_map(|(_, first, last)| *first..=*last).collect();
    assert!(lost.iter().all(|seq| still.contains(seq) || sent_once(&again, epoch, *seq)));
}

fn sent_once(spool: &Spool, epoch: Uuid, seq: u64) -> bool {
    let state = spool.lock();
    let ordinal = state.index.epoch_of(epoch).expect("held");
    state.index.segments.values().any(|segment| segment.epoch == ordinal && segment.seqs.contains(seq))
}

#[test]
fn acknowledged_segments_go_before_any_that_the_controller_lacks() {
    let disk = SimDisk::default();
    let spool = open_with(&disk, Bounds { disk_bytes: 12_000, segment_bytes: 1_000, memory_bytes: 1024 * 1024 });
    let epoch = spool.epoch();
    for tick in 0..400 {
        spool.push(samples(tick));
        let seq = *spool.head().borrow() - 1;
        if seq > 10 {
            spool.acked(epoch, seq, seq);
        }
    }
    assert_eq!(spool.evicted_batches(), 0);
    assert_eq!(sent(&spool).len(), 10, "the ten that the controller lacks outlive 390 that it has");
    assert!(spool.lock().index.segments.len() > 5, "and what room is left is cache");
}

#[test]
fn a_start_before_any_welcome_knows_what_is_cache() {
    let disk = SimDisk::default();
    let bounds = Bounds { disk_bytes: 6_000, segment_bytes: 1_000, memory_bytes: 1024 * 1024 };
    let first = open_with(&disk, bounds);
    let lacking = (1, 10);
    for tick in 0..200 {
        first.push(samples(tick));
        let seq = *first.head().borrow() - 1;
        if seq > lacking.1 {
            first.acked(first.epoch(), seq, seq);
        }
    }
    let second = {
        // Killed, and once more within a minute: nothing is said at the end.
        let second = open_with(&disk, bounds);
        (0..60).for_each(|tick| second.push(samples(tick)));
        assert_eq!(second.evicted_batches(), 0);
        second.settle(&[(first.epoch(), vec![(lacking.1 + 1, 200)])]);
        second.push(samples(1));
        second.epoch()
    };
    let third = open_with(&disk, bounds);
    (0..60).for_each(|tick| third.push(samples(tick)));
    assert_eq!(third.evicted_batches(), 0);
    let lacked: Vec<u64> =
        sent(&third).into_keys().filter(|(epoch, _)| *epoch == first.epoch()).map(|(_, seq)| seq).collect();
    assert_eq!(lacked, (lacking.0..=lacking.1).collect::<Vec<_>>());
    assert!(sent(&third).contains_key(&(second, 1)));
}

#[test]
fn a_full_disk_first_takes_back_what_is_only_cache() {
    for is_quota in [false, true] {
        let disk = SimDisk::default();
        let spool = open_with(&disk, Bounds { segment_bytes: 1_000, ..BOUNDS });
        (0..100).for_each(|tick| spool.push(samples(tick)));
        spool.acked(spool.epoch(), 1, 90);
        disk.set(Faults { room: Some(disk.bytes() + 50), is_quota, ..Faults::default() });
        (0..20).for_each(|tick| spool.push(samples(tick)));
        assert_eq!(*spool.trouble().borrow(), None);
        assert_eq!(sent(&spool).len(), 30);
    }
}
