//! What a kill, a power cut and damage cost.

use super::{BOUNDS, open, open_with, segments, sent, told};
use crate::spool::memory_tests::{all, events, numbers, samples};
use crate::spool::sim_disk::{Faults, SimDisk};
use crate::spool::{Bounds, Spool};
use fleetlight_protocol::uplink::Class;
use proptest::prelude::*;
use std::collections::BTreeSet;
use uuid::Uuid;

/// What a run did before it died.
struct Run {
    epoch: Uuid,
    offered: BTreeSet<u64>,
    facts: BTreeSet<u64>,
}

/// Pushes and acks as `steps` say until the disk dies.
fn run(disk: &SimDisk, spool: &Spool, steps: &[(bool, Option<u64>)]) -> Run {
    let mut done = Run { epoch: spool.epoch(), offered: BTreeSet::new(), facts: BTreeSet::new() };
    for (is_fact, ack) in steps {
        let before = *spool.head().borrow();
        spool.push(if *is_fact { events() } else { samples(before as i64) });
        if spool.trouble().borrow().is_some() {
            break;
        }
        done.offered.insert(before);
        if *is_fact {
            done.facts.insert(before);
        }
        if let Some(ack) = ack.filter(|ack| done.offered.contains(ack)) {
            spool.acked(done.epoch, ack, ack);
        }
    }
    disk.set(Faults::default());
    done
}

#[test]
fn what_was_read_back_is_what_was_pushed() {
    let disk = SimDisk::default();
    let spool = open(&disk);
    spool.push(samples(5));
    spool.push(events());
    let fresh = [all(&spool, Class::Live), all(&spool, Class::Facts)].concat();
    let read = open(&disk);
    assert_eq!([all(&read, Class::Live), all(&read, Class::Facts)].concat(), fresh);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn kill_nine_at_any_call_loses_nothing_that_was_offered(
        steps in proptest::collection::vec((any::<bool>(), proptest::option::of(1..40_u64)), 1..60),
        calls in 0..200_usize,
        torn in 0..300_usize,
        again in 0..12_usize,
    ) {
        let disk = SimDisk::default();
        let spool = open(&disk);
        disk.set(Faults { calls_left: Some(calls), torn, ..Faults::default() });
        let done = run(&disk, &spool, &steps);
        disk.killed();
        // Recovery itself may be killed, at any call.
        disk.set(Faults { calls_left: Some(again), ..Faults::default() });
        drop(open(&disk));
        disk.killed();
        let spool = open(&disk);
        let found = sent(&spool);
        for (key, times) in &found {
            prop_assert_eq!(*times, 1, "{:?}", key);
        }
        let acked = steps.iter().filter_map(|(_, ack)| *ack).collect::<BTreeSet<_>>();
        for seq in &done.offered {
            prop_assert!(found.contains_key(&(done.epoch, *seq)) || acked.contains(seq), "{} is lost", seq);
        }
        prop_assert!(told(&spool).is_empty(), "nothing was forced out");
    }

    #[test]
    fn a_power_cut_costs_samples_of_one_interval_and_no_fact(
        steps in proptest::collection::vec((any::<bool>(), Just(None)), 1..60),
        calls in 0..200_usize,
        kept in 0..400_usize,
    ) {
        let disk = SimDisk::default();
        let spool = open(&disk);
        disk.set(Faults { calls_left: Some(calls), ..Faults::default() });
        let done = run(&disk, &spool, &steps);
        disk.cut(kept);
        let found = sent(&open(&disk));
        for (key, times) in &found {
            prop_assert_eq!(*times, 1, "{:?}", key);
        }
        for seq in &done.facts {
            prop_assert!(found.contains_key(&(done.epoch, *seq)), "the fact {} is lost", seq);
        }
        // Inline, all within one interval: the segment that was open may lose its samples, no other.
        let lost = done.offered.iter().filter(|seq| !found.contains_key(&(done.epoch, **seq)));
        let first_lost = lost.clone().next().copied().unwrap_or(u64::MAX);
        let samples = done.offered.difference(&done.facts);
        let later = samples.filter(|seq| **seq > first_lost && found.contains_key(&(done.epoch, **seq)));
        prop_assert_eq!(later.count(), 0, "only the newest samples may go");
    }

    #[test]
    fn a_flipped_bit_costs_one_record_and_is_told(pushes in 2..40_usize, at: prop::sample::Index, bit in 0..8_u8) {
        let disk = SimDisk::default();
        let spool = open_with(&disk, Bounds { segment_bytes: 100_000, ..BOUNDS });
        (0..pushes).for_each(|tick| spool.push(samples(tick as i64)));
        let epoch = spool.epoch();
        let file = segments(&disk).pop().expect("a segment");
        disk.change(&file, |bytes| {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        });
        let spool = open(&disk);
        let found = sent(&spool);
        prop_assert!(found.len() >= pushes - 1, "{} of {}", found.len(), pushes);
        spool.settle(&[(epoch, Vec::new())]);
        let lost: BTreeSet<u64> = told(&spool).iter().flat_map(|(of, first, last)| {
            assert_eq!(*of, epoch);
            *first..=*last
        }).collect();
        for seq in 1..=pushes as u64 {
            let is_last = seq == pushes as u64;
            let held = found.contains_key(&(epoch, seq));
            prop_assert!(held != lost.contains(&seq) || (is_last && !held), "{} is neither held nor told", seq);
        }
    }
}

#[test]
fn samples_are_synced_every_interval_and_facts_at_once() {
    let disk = SimDisk::default();
    let spool = open(&disk);
    spool.push(samples(0));
    spool.push(samples(1));
    spool.push(events());
    disk.cut(0);
    assert_eq!(numbers(&all(&open(&disk), Class::Live)), [1], "the second was not synced yet");
    assert_eq!(numbers(&all(&open(&disk), Class::Facts)), [3]);
}

#[test]
fn a_torn_tail_is_cut_and_a_damaged_record_is_read_past_in_a_running_spool_too() {
    let disk = SimDisk::default();
    let spool = open_with(&disk, Bounds { segment_bytes: 100_000, ..BOUNDS });
    (0..6).for_each(|tick| spool.push(samples(tick)));
    let file = segments(&disk).pop().expect("a segment");
    let whole = disk.bytes();
    disk.change(&file, |bytes| bytes.extend_from_slice(&[9; 30]));
    let spool = open(&disk);
    assert_eq!(sent(&spool).len(), 6);
    assert!(disk.bytes() <= whole, "the torn tail is gone");
    disk.change(&file, |bytes| bytes[60] ^= 1);
    assert_eq!(sent(&spool).len(), 5);
    assert_eq!(told(&spool).len(), 1);
    assert_eq!(spool.evicted_batches(), 1);
}
