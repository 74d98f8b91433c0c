//! The invariants of the module's head, on a disk that tears, flips, fills and dies.

use super::memory_tests::{all, events, numbers, samples};
use super::sim_disk::{Faults, SimDisk};
use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const BOUNDS: Bounds = Bounds { disk_bytes: 1024 * 1024, segment_bytes: 2_000, memory_bytes: 1024 * 1024 };

fn open(disk: &SimDisk) -> Spool {
    open_with(disk, BOUNDS)
}

pub(super) fn open_with(disk: &SimDisk, bounds: Bounds) -> Spool {
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

#[test]
fn a_disk_that_refuses_stops_nothing_and_is_used_again() {
    let refusals: [fn(&SimDisk); 3] = [
        |disk| disk.set(Faults { refuses: true, ..Faults::default() }),
        |disk| disk.set(Faults { room: Some(disk.bytes() + 100), ..Faults::default() }),
        |disk| disk.remove_all(),
    ];
    for (way, refuse) in refusals.into_iter().enumerate() {
        let disk = SimDisk::default();
        let spool = open(&disk);
        (0..4).for_each(|tick| spool.push(samples(tick)));
        refuse(&disk);
        let (mut now, mut said) = (Instant::now(), false);
        for tick in 0..10 {
            spool.push(if tick % 3 == 0 { events() } else { samples(tick) });
            now += crate::limits::SPOOL_SYNC_EVERY;
            turn(&spool, now);
            said |= spool.trouble().borrow().is_some();
        }
        assert!(said, "way {way}: it says so");
        assert_eq!(*spool.head().borrow(), 15, "way {way}: all is offered");
        assert_eq!(sent(&spool).len(), 14, "way {way}");
        disk.set(Faults::default());
        turn(&spool, now + crate::limits::SPOOL_RETRY * 2);
        assert_eq!(*spool.trouble().borrow(), None, "way {way}");
        assert_eq!(sent(&open(&disk)).len(), 14, "way {way}: all of it is on disk now");
    }
}

fn turn(spool: &Spool, now: Instant) {
    let writer = spool.0.inline.as_ref().expect("inline");
    writer.lock().expect("sound").turn(spool, now);
    spool.offer();
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

#[test]
fn a_disk_that_hangs_stops_nothing() {
    let disk = SimDisk::default();
    let (spool, _thread) = Spool::open(Arc::new(Hanging(disk, "create")), BOUNDS, "alpha").expect("threads");
    let began = Instant::now();
    spool.push(samples(0));
    while spool.trouble().borrow().is_none() {
        assert!(began.elapsed() < crate::limits::SPOOL_STUCK * 10);
        spool.push(samples(1));
        std::thread::yield_now();
    }
    assert!(*spool.head().borrow() > 1, "offered from memory");
}

#[test]
fn a_disk_that_hangs_while_room_is_made_stops_nothing() {
    let disk = Arc::new(Hanging(SimDisk::default(), "remove"));
    let bounds = Bounds { disk_bytes: 4_000, segment_bytes: 1_000, ..BOUNDS };
    let (spool, _thread) = Spool::open(disk, bounds, "alpha").expect("threads");
    let (said, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        while spool.trouble().borrow().is_none() {
            spool.push(samples(0));
            std::thread::yield_now();
        }
        spool.push(samples(1));
        let _ = said.send(());
    });
    assert_eq!(told.recv_timeout(crate::limits::SPOOL_STUCK * 10), Ok(()), "batches go on from memory");
}

/// Never comes back from making or removing a segment.
#[derive(Debug)]
struct Hanging(SimDisk, &'static str);

impl Hanging {
    fn call(&self, call: &str, name: &str) {
        while self.1 == call && name.ends_with(".seg") {
            std::thread::park();
        }
    }
}

impl disk::Disk for Hanging {
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn disk::DiskFile>> {
        self.call("create", name);
        self.0.create(name)
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.0.read(name, offset, length)
    }

    fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        self.0.truncate(name, length)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.call("remove", name);
        self.0.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.0.sync_names()
    }

    fn place(&self) -> String {
        self.0.place()
    }
}

#[test]
fn a_file_that_cannot_be_read_for_a_while_is_not_lost() {
    let disk = SimDisk::default();
    let spool = open(&disk);
    (0..30).for_each(|tick| spool.push(samples(tick)));
    spool.push(events());
    let again = open(&disk);
    disk.set(Faults { refuses: true, ..Faults::default() });
    assert_eq!(sent(&again).len(), 0);
    disk.set(Faults::default());
    assert_eq!((sent(&again).len(), again.evicted_batches()), (31, 0), "the next reader finds them");
}

#[tokio::test(start_paused = true)]
async fn a_reader_goes_back_to_what_it_could_not_read() {
    let disk = SimDisk::default();
    let spool = open(&disk);
    (0..30).for_each(|tick| spool.push(samples(tick)));
    let again = open(&disk);
    let mut reader = again.reader(Class::Replay, Place::FIRST, Place::END);
    disk.set(Faults { refuses: true, ..Faults::default() });
    assert_eq!(reader.next().await, Next::Nothing);
    let wait = reader.again_at().expect("it will") - tokio::time::Instant::now();
    assert!(wait <= crate::limits::SPOOL_RETRY && !wait.is_zero(), "{wait:?}");
    disk.set(Faults::default());
    assert_eq!(reader.next().await, Next::Nothing, "not yet");
    reader.again();
    let mut found = Vec::new();
    while let Next::Batch(batch) = reader.next().await {
        found.push(batch.seq);
    }
    assert_eq!((found, reader.again_at()), ((1..=30).collect(), None));
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
