//! Numbers and epochs, what the controller says it has, and of which host the folder is.

use super::{BOUNDS, open, open_as, segments, sent, told};
use crate::spool::disk::Disk;
use crate::spool::memory_tests::{all, numbers, samples};
use crate::spool::sim_disk::{Faults, SimDisk};
use crate::spool::{Spool, cursor, format};
use fleetlight_protocol::uplink::Class;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

#[test]
fn numbers_rise_and_each_start_is_a_new_epoch() {
    let disk = SimDisk::default();
    let first = open(&disk);
    (0..3).for_each(|tick| first.push(samples(tick)));
    let second = open(&disk);
    second.push(samples(3));
    assert_ne!(first.epoch(), second.epoch());
    let found: Vec<(Uuid, u64)> = sent(&second).into_keys().collect();
    let expected: BTreeSet<_> =
        [(first.epoch(), 1), (first.epoch(), 2), (first.epoch(), 3), (second.epoch(), 1)].into();
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(all(&second, Class::Replay).len(), 4, "older epochs first, all of them");
    assert_eq!(second.held_epochs(), [first.epoch(), second.epoch()]);
}

#[test]
fn a_controller_that_went_back_gets_what_it_lacks_from_the_cache() {
    let disk = SimDisk::default();
    let spool = open(&disk);
    let epoch = spool.epoch();
    (0..30).for_each(|tick| spool.push(samples(tick)));
    spool.acked(epoch, 1, 30);
    assert!(spool.is_drained());
    spool.settle(&[(epoch, vec![(1, 12), (20, 22)])]);
    let lacks: Vec<u64> = (13..=19).chain(23..=30).collect();
    assert_eq!(numbers(&all(&spool, Class::Replay)), lacks);
    // After a restart too, and what is gone for good is told.
    let file = segments(&disk).remove(0);
    let again = open(&disk);
    disk.lock_remove(&file);
    again.settle(&[(epoch, Vec::new())]);
    let held = sent(&again).len() as u64;
    let gone: u64 = told(&again).iter().map(|(_, first, last)| last - first + 1).sum();
    assert_eq!(held + gone, 30);
    assert!(gone > 0);
}

#[tokio::test]
async fn what_a_welcome_says_is_noted_though_no_batch_follows() {
    let disk = SimDisk::default();
    let before = open(&disk);
    (0..5).for_each(|tick| before.push(samples(tick)));
    let (spool, thread) = Spool::open(Arc::new(disk.clone()), BOUNDS, "alpha").await.expect("threads");
    let noted = || {
        let expected = cursor::encode(&spool.lock().index);
        // Far below the pause after which it is noted anyhow.
        let until = Instant::now() + Duration::from_secs(20);
        while disk.read(cursor::CURSOR, 0, usize::MAX).ok().as_ref() != Some(&expected) {
            assert!(Instant::now() < until, "it is not noted");
            std::thread::yield_now();
        }
        expected
    };
    let first = noted();
    spool.settle(&[(before.epoch(), vec![(1, 3)])]);
    assert_ne!(noted(), first);
    thread.stop().await;
}

#[test]
fn what_the_controller_could_not_look_up_stays_as_it_is_known() {
    let disk = SimDisk::default();
    let spool = open(&disk);
    (0..30).for_each(|tick| spool.push(samples(tick)));
    spool.acked(spool.epoch(), 1, 25);
    spool.settle(&[]);
    assert_eq!((sent(&spool).len(), spool.evicted_batches()), (5, 0));
}

#[test]
fn a_machine_that_was_set_back_gives_no_number_to_another_batch() {
    for spool in [open(&SimDisk::default()), Spool::default()] {
        (0..5).for_each(|tick| spool.push(samples(tick)));
        // What it sent before it was set back.
        spool.settle(&[(spool.epoch(), vec![(1, 90), (95, 100)])]);
        (0..3).for_each(|tick| spool.push(samples(tick)));
        assert_eq!(numbers(&all(&spool, Class::Live)), [101, 102, 103]);
        assert_eq!(told(&spool), [(spool.epoch(), 91, 94)], "what it never sent is gone with that past");
    }
}

#[test]
fn numbers_that_two_starts_gave_hide_nothing() {
    let disk = SimDisk::default();
    let payload = samples(0).encode().expect("fits");
    for start in [1_u128, 2] {
        for (number, seq) in [(1, 1), (2, 2), (3, 3)] {
            let name = format::Name { number, lane: format::Lane::Samples, epoch: Uuid::from_u128(start) };
            let file = disk.create(&name.to_string()).expect("made");
            file.append(&[&format::header(0)[..], &format::record(seq, &payload)].concat()).expect("written");
        }
    }
    let found: Vec<(Uuid, u64)> = sent(&open(&disk)).into_keys().collect();
    let both = [1, 2].map(Uuid::from_u128).into_iter().flat_map(|epoch| (1..=3).map(move |seq| (epoch, seq)));
    assert_eq!(found, both.collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn a_copied_folder_is_not_sent_as_the_copys_own(calls in 0..60_usize) {
        let disk = SimDisk::default();
        let first = open(&disk);
        (0..30).for_each(|tick| first.push(samples(tick)));
        first.acked(first.epoch(), 1, 10);
        disk.set(Faults { calls_left: Some(calls), ..Faults::default() });
        // Killed at any call while it is taken over.
        open_as(&disk, BOUNDS, "beta").push(samples(0));
        disk.killed();
        let copy = open_as(&disk, BOUNDS, "beta");
        copy.push(samples(0));
        let foreign = |spool: &Spool| sent(spool).keys().any(|(epoch, _)| *epoch == first.epoch());
        prop_assert!(!foreign(&copy) && !copy.held_epochs().contains(&first.epoch()));
        let name = first.epoch().simple().to_string();
        prop_assert!(segments(&disk).iter().all(|file| !file.contains(&name)), "its files are gone");
        prop_assert!(sent(&open_as(&disk, BOUNDS, "beta")).contains_key(&(copy.epoch(), 1)), "its own stay");
        prop_assert!(!foreign(&open(&disk)));
    }
}

#[test]
fn a_machine_that_is_enrolled_as_another_host_keeps_what_this_start_measured() {
    let disk = SimDisk::default();
    let first = open(&disk);
    (0..30).for_each(|tick| first.push(samples(tick)));
    let again = open(&disk);
    again.settle(&[(first.epoch(), vec![(1, 10)])]);
    again.push(samples(0));
    again.belongs_to("alpha");
    assert_eq!(sent(&again).len(), 31 - 10, "the same host, enrolled again");
    again.belongs_to("beta");
    assert_eq!(again.held_epochs(), [again.epoch()]);
    assert_eq!((sent(&again).len(), again.evicted_batches()), (1, 20));
    again.push(samples(1));
    assert_eq!(sent(&open_as(&disk, BOUNDS, "beta")).len(), 2);
}

#[test]
fn starts_beyond_what_a_hello_names_give_the_oldest_up() {
    use fleetlight_protocol::limits::HELD_EPOCHS;
    let disk = SimDisk::default();
    let payload = samples(0).encode().expect("fits");
    for start in 1..=HELD_EPOCHS as u64 + 3 {
        let name = format::Name { number: start, lane: format::Lane::Samples, epoch: Uuid::from_u128(start.into()) };
        let file = disk.create(&name.to_string()).expect("made");
        file.append(&format::header(0)).expect("written");
        file.append(&format::record(1, &payload)).expect("written");
    }
    let spool = open(&disk);
    assert_eq!(spool.held_epochs().len(), HELD_EPOCHS);
    assert_eq!(spool.evicted_batches(), 4, "counted");
    assert!(!spool.held_epochs().contains(&Uuid::from_u128(4)) && spool.held_epochs().contains(&Uuid::from_u128(5)));
}
